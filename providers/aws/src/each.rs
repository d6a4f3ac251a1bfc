//! One AWS secret for each name, `PREFIX/NAME`. Reads go in batches of twenty; each write is
//! conditional by itself; a deletion leaves what can be restored for the recovery window.
//!
//! - The service holds no empty value. One is kept as a single NUL byte in a version whose id ends in
//!   `-e`: this provider reads it as empty, and another tool finds no text rather than a wrong one.
//! - The service has no conditional deletion. A guarded one looks again after the deletion, when
//!   nobody can write any more, and takes it back if it buried another value than the one it was for.
//!   It looks even where the answer was lost: whoever only reads back finds it deleted either way.
//! - A list may lack what was written in the last minutes ("ListSecrets" in the API reference), and
//!   with it a read of all: what must be there is asked for by name.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, KeySource, Leasing, Limits, Lookup,
    Meta, Name, Op, Poll, Precondition, Provider, ProviderExt as _, Report, Result, Revision,
    SecretValue, Select, Snapshot, Staging, Stored, Timestamp, Unit, Values, Version, Written,
    async_trait,
};
use secrets_net::{Marks, spread};

use crate::connection::Connection;
use crate::place::Place;
use crate::refusal::Refusal;
use crate::service::{At, BATCH, Batch, Described, Held, Pages, Service, Wanted};
use crate::states::{self, Draft};
use crate::write::{self, Put};
use crate::{READS, VALUE_BYTES, WRITES, inspect, policy};

/// All secrets below one prefix.
pub(crate) struct Each {
    place: Place,
    connection: Connection,
    machine_key: KeySource,
    /// Batches were denied: nobody asks for one again.
    batch_denied: AtomicBool,
}

impl Each {
    pub(crate) fn new(place: Place, connection: Connection, machine_key: KeySource) -> Self {
        Self {
            place,
            connection,
            machine_key,
            batch_denied: AtomicBool::new(false),
        }
    }

    fn here(&self, error: impl Into<Error>) -> Error {
        error.into().at_store(&self.place.location)
    }

    fn about(&self, name: &Name, error: impl Into<Error>) -> Error {
        self.here(error).about(name)
    }

    async fn service(&self) -> Result<&Service> {
        let service = self.connection.service().await;
        service.map_err(|error| self.here(error))
    }

    /// What stands before every name.
    fn prefix(&self) -> String {
        format!("{}/", self.place.id)
    }

    /// What one refused or found secret is to a reader.
    async fn lookup(&self, cx: &Ctx, secret: &str, got: Result<Held, Refusal>) -> Result<Lookup> {
        match got {
            Ok(held) => Ok(as_lookup(held)),
            Err(refusal) if refusal.is_absent() => Ok(Lookup::Absent),
            Err(refusal) if refusal.is_state() => {
                let described = match self.service().await?.describe(cx, secret).await {
                    Ok(described) => described,
                    // Deleted all the same: for how long, we may not know.
                    Err(refusal) if refusal.is_denied() => {
                        return Ok(Lookup::Deleted {
                            recoverable_until: None,
                            version: None,
                        });
                    }
                    Err(refusal) => return Err(refusal.into()),
                };
                match described {
                    None => Ok(Lookup::Absent),
                    Some(described) => match described.gone_by {
                        Some(by) => Ok(Lookup::Deleted {
                            recoverable_until: Some(by),
                            version: Some(deletion(by, &described)),
                        }),
                        None => Err(refusal.into()),
                    },
                }
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn one(&self, cx: &Ctx, secret: &str) -> Result<Lookup> {
        let got = self.service().await?.get(cx, secret, At::CURRENT).await;
        self.lookup(cx, secret, got).await
    }

    /// Up to twenty secrets, by one batch, or one by one where batches are denied.
    async fn some(&self, cx: &Ctx, secrets: &[String]) -> Result<Vec<(String, Result<Lookup>)>> {
        let singly = async || {
            let reads = secrets
                .iter()
                .map(|secret| async move { (secret.clone(), self.one(cx, secret).await) });
            spread(READS, reads).await
        };
        if secrets.len() == 1 || self.batch_denied.load(Ordering::Relaxed) {
            return Ok(singly().await);
        }
        let batch = match self.whole_batch(cx, Wanted::These(secrets)).await {
            Ok(batch) => batch,
            Err(refusal) if refusal.is_denied() => {
                self.batch_denied.store(true, Ordering::Relaxed);
                return Ok(singly().await);
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let answers = self.answers(cx, batch).await;
        let mut answers: HashMap<String, Result<Lookup>> = answers.into_iter().collect();
        let answers = secrets.iter().map(|secret| {
            let answer = answers.remove(secret);
            async move {
                let lookup = match answer {
                    Some(lookup) => lookup,
                    // Not answered for: asked once more by itself.
                    None => self.one(cx, secret).await,
                };
                (secret.clone(), lookup)
            }
        });
        Ok(spread(READS, answers).await)
    }

    /// What a batch answers, by the secrets' names. What it does not answer with the present version is
    /// asked once more by itself.
    async fn answers(&self, cx: &Ctx, batch: Batch) -> Vec<(String, Result<Lookup>)> {
        let held = batch
            .held
            .into_iter()
            .map(|held| (held.name.clone(), Ok(held)));
        let missed = batch.missed.into_iter();
        let missed = missed.map(|missed| (name_of(&missed.secret).to_owned(), Err(missed.why)));
        let all = held.chain(missed).map(|(secret, got)| async move {
            let lookup = match got {
                Ok(held) if !held.is_current => self.one(cx, &secret).await,
                got => self.lookup(cx, &secret, got).await,
            };
            (secret, lookup)
        });
        spread(READS, all).await
    }

    /// All pages of one batch, as one.
    async fn whole_batch(&self, cx: &Ctx, wanted: Wanted<'_>) -> Result<Batch, Refusal> {
        let service = match self.connection.service().await {
            Ok(service) => service,
            Err(error) => return Err(Refusal::unmade(error)),
        };
        let mut whole = Batch::default();
        let mut pages = Pages::default();
        loop {
            let page = service.batch(cx, wanted, pages.token()).await?;
            whole.held.extend(page.held);
            whole.missed.extend(page.missed);
            if !pages.turn(page.next)? {
                return Ok(whole);
            }
        }
    }

    async fn read_these(
        &self,
        cx: &Ctx,
        secrets: &[String],
    ) -> Result<Vec<(String, Result<Lookup>)>> {
        let batches = secrets.chunks(BATCH).map(|some| self.some(cx, some));
        let mut all = Vec::with_capacity(secrets.len());
        for batch in spread(READS, batches).await {
            all.extend(batch?);
        }
        Ok(all)
    }

    async fn read_names(&self, cx: &Ctx, names: &[Name]) -> Result<Snapshot> {
        let mut seen = HashSet::new();
        let distinct = names.iter().filter(|name| seen.insert(*name));
        let secrets: Vec<String> = distinct.map(|name| self.place.secret(name)).collect();
        let read = self.read_these(cx, &secrets).await?;
        let mut found: HashMap<String, Result<Lookup>> = read.into_iter().collect();
        let mut items: Vec<(Name, Result<Lookup>)> = Vec::with_capacity(names.len());
        for name in names {
            let lookup = match found.remove(&self.place.secret(name)) {
                Some(lookup) => lookup.map_err(|error| self.about(name, error)),
                None => again(&items, name).unwrap_or_else(|| {
                    let what = format!("{name} was asked for twice and could not be read");
                    Err(self.about(name, Error::new(ErrorKind::Unexpected, what)))
                }),
            };
            items.push((name.clone(), lookup));
        }
        Ok(Snapshot {
            items,
            owner: self.connection.owner(),
            ..Snapshot::default()
        })
    }

    async fn read_all(&self, cx: &Ctx) -> Result<Snapshot> {
        let prefix = self.prefix();
        let read = match self.whole_batch(cx, Wanted::Below(&prefix)).await {
            Ok(batch) => self.answers(cx, batch).await,
            // Batches are denied, or one secret makes the whole fail: a list, and what it names.
            Err(refusal) if refusal.is_denied() || refusal.is_state() => {
                if refusal.is_denied() {
                    self.batch_denied.store(true, Ordering::Relaxed);
                }
                let listed = self.service().await?.list(cx, &prefix).await?;
                let secrets: Vec<String> = listed.into_iter().map(|entry| entry.name).collect();
                self.read_these(cx, &secrets).await?
            }
            Err(refusal) => return Err(refusal.into()),
        };
        let mut snapshot = Snapshot::default();
        for (secret, lookup) in read {
            let Some(below) = self.place.below(&secret) else {
                continue;
            };
            match Name::new(below) {
                Ok(_) if matches!(lookup, Ok(Lookup::Absent)) => {}
                Ok(name) => {
                    let lookup = lookup.map_err(|error| self.about(&name, error));
                    snapshot.items.push((name, lookup));
                }
                Err(_) => snapshot.foreign.push(below.to_owned()),
            }
        }
        snapshot.items.sort_by(|a, b| a.0.cmp(&b.0));
        snapshot.foreign.sort();
        snapshot.owner = self.connection.owner();
        Ok(snapshot)
    }

    async fn change(
        &self,
        cx: &Ctx,
        marks: &Marks,
        change: &Change<'_>,
    ) -> Result<Option<Version>> {
        let Change { name, op, when } = change;
        let secret = self.place.secret(name);
        let draft = |what: &str| Draft::new(&cx.operation, [name.as_str(), what]);
        match op {
            Op::Put(value) => {
                let draft = draft(&format!("put {}", marks.version(name, value)));
                self.put(cx, name, &secret, &draft, value, when)
                    .await
                    .map(Some)
            }
            Op::Delete => {
                let draft = draft("delete");
                self.delete(cx, name, &secret, &draft, when).await?;
                Ok(None)
            }
            Op::Restore => {
                let draft = draft("restore");
                self.restore(cx, name, &secret, &draft, when).await
            }
        }
    }

    async fn put(
        &self,
        cx: &Ctx,
        name: &Name,
        secret: &str,
        draft: &Draft,
        value: &SecretValue,
        when: &Precondition,
    ) -> Result<Version> {
        let service = self.service().await?;
        let unguarded = *when == Precondition::Unguarded;
        // What is to be new is created without a look: mostly it is new.
        let mut first = true;
        let mut look = *when != Precondition::Absent;
        while !cx.remaining().is_zero() {
            let now = if look {
                service.describe(cx, secret).await?
            } else {
                None
            };
            let Some(now) = now else {
                if matches!(when, Precondition::Version(_)) {
                    return Err(Error::conflict(name));
                }
                let id = draft.id(None, value.is_empty());
                match service
                    .create(cx, &self.place, secret, &id, value.expose())
                    .await
                {
                    Ok(()) => return Ok(Version::new(id)),
                    Err(refusal)
                        if refusal.is(&["ResourceExistsException"]) || refusal.is_state() => {}
                    Err(refusal) => return Err(refusal.into()),
                }
                look = true;
                continue;
            };
            if let Some(current) = now.current().filter(|id| draft.made(id)) {
                return Ok(Version::new(current));
            }
            let holds = now.holds(when);
            // Guards that hold cannot be a repetition's: its own effect would have broken them.
            if (!holds || unguarded && first)
                && let Some(done) = states::done(draft, &service.versions(cx, secret).await?)
            {
                return Ok(Version::new(done.id.as_str()));
            }
            first = false;
            if !holds {
                return Err(Error::conflict(name));
            }
            if now.gone_by.is_some() {
                // The service writes to nothing that is scheduled for deletion.
                // Where the answer is lost, or somebody else was quicker, the put tells how it stands.
                let restored = service.restore(cx, secret).await;
                if let Err(refusal) = restored
                    && refusal.kind() != ErrorKind::OutcomeUnknown
                    && !refusal.is_state()
                {
                    return Err(refusal.into());
                }
            }
            let put = write::put(service, cx, secret, draft, now.current(), value.expose());
            match put.await? {
                Put::Now(id) => return Ok(Version::new(id)),
                Put::Lost if unguarded => {}
                Put::Lost => return Err(Error::conflict(name)),
            }
        }
        Err(write::overtaken())
    }

    async fn delete(
        &self,
        cx: &Ctx,
        name: &Name,
        secret: &str,
        draft: &Draft,
        when: &Precondition,
    ) -> Result<()> {
        let service = self.service().await?;
        let guarded = *when != Precondition::Unguarded;
        let now = service.describe(cx, secret).await?;
        let mark = draft.mark();
        let Some((now, current)) = now.as_ref().and_then(|now| Some((now, now.current()?))) else {
            return match when {
                Precondition::Version(_) => Err(Error::conflict(name)),
                Precondition::Absent | Precondition::Unguarded => Ok(()),
            };
        };
        let marked = now.with_stage(&mark);
        match (marked, now.gone_by) {
            // Carried out before, but perhaps not looked at since.
            (Some(version), Some(_)) if guarded && version != current => {
                return Err(take_back(service, cx, name, secret).await);
            }
            (Some(_), Some(_)) => return Ok(()),
            // Somebody has written since, before it was carried out or after: that cannot be told. No
            // guard holds any more, and a repetition deletes nothing newer.
            (Some(version), None) if version != current => {
                return match guarded {
                    true => Err(Error::conflict(name)),
                    false => Ok(()),
                };
            }
            _ => {}
        }
        if !now.holds(when) {
            return Err(Error::conflict(name));
        }
        if now.gone_by.is_some() {
            return Ok(());
        }
        if marked.is_none() {
            write::remember(service, cx, secret, now, &mark, current).await?;
        }
        let refusal = match service.delete(cx, secret, self.place.recovery_days).await {
            Ok(()) if !guarded => return Ok(()),
            Ok(()) => None,
            Err(refusal) if refusal.is_absent() => return Ok(()),
            // Somebody else deleted it meanwhile, or it is not to be deleted.
            Err(refusal) if refusal.is_state() => Some(refusal),
            Err(refusal) if refusal.kind() != ErrorKind::OutcomeUnknown => {
                // A repetition must not take this sending for one that was carried out.
                if marked.is_none() {
                    let _ = service.unmark(cx, secret, &mark, current).await;
                }
                return Err(refusal.into());
            }
            Err(refusal) if !guarded => return Err(refusal.into()),
            Err(refusal) => Some(refusal),
        };
        // Nobody can write to what is deleted: what is there now is what was deleted.
        let after = match service.describe(cx, secret).await {
            Ok(Some(after)) => after,
            Ok(None) => return Ok(()),
            Err(error) => {
                // Where time is left a repetition looks again; else the deletion stays unknown.
                let lost = |refusal: &Refusal| refusal.kind() == ErrorKind::OutcomeUnknown;
                let lost = refusal.filter(|refusal| lost(refusal) && cx.remaining().is_zero());
                return Err(lost.map_or_else(|| unfinished(name, error), Error::from));
            }
        };
        let meant = !guarded || after.current() == Some(current);
        match (refusal, after.gone_by) {
            (Some(refusal), None) if meant => Err(refusal.into()),
            _ if meant => Ok(()),
            // Somebody else has written another value and deleted it: that is for them to take back.
            (Some(refusal), Some(_)) if refusal.is_state() && marked.is_none() => {
                Err(Error::conflict(name))
            }
            (_, Some(_)) => Err(take_back(service, cx, name, secret).await),
            (_, None) => Err(Error::conflict(name)),
        }
    }

    async fn restore(
        &self,
        cx: &Ctx,
        name: &Name,
        secret: &str,
        draft: &Draft,
        when: &Precondition,
    ) -> Result<Option<Version>> {
        let service = self.service().await?;
        let mark = draft.mark();
        let now = service.describe(cx, secret).await?;
        let nothing = || {
            let message = format!("{name} is not deleted: there is nothing to restore");
            Err(Error::new(ErrorKind::Conflict, message))
        };
        let Some((now, current)) = now.as_ref().and_then(|now| Some((now, now.current()?))) else {
            return nothing();
        };
        if let Some(version) = now.with_stage(&mark) {
            return Ok(Some(Version::new(version)));
        }
        if now.gone_by.is_none() {
            return nothing();
        }
        if !now.holds(when) {
            return Err(Error::conflict(name));
        }
        match service.restore(cx, secret).await {
            Ok(()) => {}
            // Somebody else was quicker.
            Err(refusal) if refusal.is_state() => return nothing(),
            Err(refusal) => return Err(refusal.into()),
        }
        // It is back, whether or not a repetition will find that it was us.
        let _ = write::remember(service, cx, secret, now, &mark, current).await;
        Ok(Some(Version::new(current)))
    }
}

impl Described {
    /// Whether the precondition holds.
    fn holds(&self, when: &Precondition) -> bool {
        match (when, self.gone_by) {
            (Precondition::Unguarded, _) | (Precondition::Absent, Some(_)) => true,
            (Precondition::Absent, None) => self.current().is_none(),
            (Precondition::Version(version), Some(by)) => *version == deletion(by, self),
            (Precondition::Version(version), None) => self.current() == Some(version.as_str()),
        }
    }
}

/// Takes back a deletion that buried another value than it was meant for. The error to answer with.
async fn take_back(service: &Service, cx: &Ctx, name: &Name, secret: &str) -> Error {
    match service.restore(cx, secret).await {
        Err(refusal) if !refusal.is_state() => unfinished(name, refusal),
        _ => Error::conflict(name),
    }
}

/// A deletion that was sent, and not looked at or taken back to the end. A repetition goes on from there.
/// It is neither unknown, since a read back would find it deleted and look no further, nor refused,
/// since it had an effect.
fn unfinished(name: &Name, refusal: Refusal) -> Error {
    match refusal.kind() {
        ErrorKind::OutcomeUnknown | ErrorKind::RateLimited | ErrorKind::Unavailable => {
            let message =
                "the deletion was sent, and may have met a value somebody else had written";
            Error::new(ErrorKind::Unavailable, message).with_hint(format!(
                "look with `secrets history {name}`; `secrets rollback {name}` brings it back"
            ))
        }
        _ => refusal.into(),
    }
}

/// The version of a deletion: when what was deleted will be gone, and what that was.
fn deletion(by: Timestamp, described: &Described) -> Version {
    let current = described.current().unwrap_or_default();
    Version::new(format!("deleted-{}-{current}", by.as_microsecond()))
}

fn as_lookup(held: Held) -> Lookup {
    let Some(value) = held.value else {
        return Lookup::Absent;
    };
    Lookup::Found(Stored {
        value,
        meta: Meta {
            version: Some(Version::new(held.version)),
            modified: held.created,
            ..Meta::default()
        },
    })
}

/// The answer to a name that was asked for before.
fn again(items: &[(Name, Result<Lookup>)], name: &Name) -> Option<Result<Lookup>> {
    let (_, lookup) = items.iter().find(|(known, _)| known == name)?;
    Some(Ok(match lookup.as_ref().ok()? {
        Lookup::Found(stored) => Lookup::Found(Stored {
            value: stored.value.duplicate(),
            meta: stored.meta.clone(),
        }),
        Lookup::Absent => Lookup::Absent,
        Lookup::Deleted {
            recoverable_until,
            version,
        } => Lookup::Deleted {
            recoverable_until: *recoverable_until,
            version: version.clone(),
        },
    }))
}

/// A secret's name out of its name or ARN: the ARN ends in a hyphen and six random characters.
fn name_of(secret: &str) -> &str {
    let Some((_, name)) = secret.split_once(":secret:") else {
        return secret;
    };
    match name.rsplit_once('-') {
        Some((name, random)) if random.len() == 6 => name,
        _ => name,
    }
}

/// Whether a failure says something of the whole store rather than of one secret.
fn is_of_all(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable | ErrorKind::Unauthenticated | ErrorKind::RateLimited
    )
}

#[async_trait]
impl Provider for Each {
    fn location(&self) -> &str {
        &self.place.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Secret,
            guard: Guard::CompareAndSet,
            values: Values::Bytes,
            writable: true,
            history: true,
            prune: false,
            restore: true,
            idempotent: true,
            cheap_poll: false,
            own_versions: true,
            limits: Limits {
                value_bytes: Some(VALUE_BYTES),
                name_bytes: self.place.name_bytes(),
                // Of calls at once; a read is one call, and has its own requests at once within it.
                concurrency: WRITES,
            },
        }
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        inspect::each(&self.connection, &self.place, cx)
            .await
            .map_err(|error| self.here(error))
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let listed = self.service().await?.list(cx, &self.prefix()).await;
        let listed = listed.map_err(|refusal| self.here(refusal))?.into_iter();
        let mut names: Vec<(Name, Meta)> = listed
            // What never had a value is no secret yet.
            .filter(|entry| entry.current.is_some())
            .filter_map(|entry| {
                let name = Name::new(self.place.below(&entry.name)?).ok()?;
                let meta = Meta {
                    version: entry.current.map(Version::new),
                    modified: entry.changed,
                    tags: entry.tags,
                    ..Meta::default()
                };
                Some((name, meta))
            })
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(names)
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        match what {
            Select::All => self.read_all(cx).await,
            Select::Names(names) => self.read_names(cx, names).await,
        }
        .map_err(|error| self.here(error))
    }

    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.check(base, changes)?;
        let marks = Marks::new(&self.machine_key, &self.place.location);
        let marks = marks.map_err(|error| self.here(error))?;
        let each = changes.iter().map(|change| self.change(cx, &marks, change));
        let mut answers = spread(WRITES, each).await;
        // Where nothing at all could be done the whole call failed, and may be made again.
        let of_all = !answers.is_empty()
            && answers
                .iter()
                .all(|answer| answer.as_ref().is_err_and(|error| is_of_all(error.kind())));
        if of_all && let Some(Err(error)) = answers.pop() {
            return Err(self.here(error));
        }
        let items = answers.into_iter().zip(changes);
        Ok(Written {
            revision: None,
            items: items
                .map(|(answer, change)| answer.map_err(|error| self.about(change.name, error)))
                .collect(),
        })
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let told = async {
            let service = self.service().await?;
            let secret = self.place.secret(name);
            let Some(now) = service.describe(cx, &secret).await? else {
                return Ok(Vec::new());
            };
            let deletion = now.gone_by.map(|by| Meta {
                version: Some(deletion(by, &now)),
                deleted: true,
                ..Meta::default()
            });
            let all = service.versions(cx, &secret).await?;
            let states = states::states(&all).into_iter().map(|entry| Meta {
                version: Some(Version::new(entry.id.as_str())),
                modified: entry.created,
                ..Meta::default()
            });
            Ok(deletion.into_iter().chain(states).collect())
        };
        told.await.map_err(|error: Error| self.about(name, error))
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        let found = async {
            let service = self.service().await?;
            let secret = self.place.secret(name);
            // A VersionId has 32 to 64 characters; a shorter word is a stage: `AWSPREVIOUS`.
            let at = match version.as_str() {
                text if text.len() < 32 => At::Stage(text),
                text if text.len() <= 64 => At::Version(text),
                _ => return Ok(Lookup::Absent),
            };
            let got = service.get(cx, &secret, at).await;
            match got {
                Err(refusal) if refusal.is(&["InvalidParameterException"]) => Ok(Lookup::Absent),
                got => self.lookup(cx, &secret, got).await,
            }
        };
        found.await.map_err(|error: Error| self.about(name, error))
    }

    async fn prune(&self, _cx: &Ctx, _name: &Name, _keep: usize) -> Result<usize> {
        Err(self.here(Error::unsupported(
            "AWS Secrets Manager removes old versions by itself, and none when asked",
        )))
    }

    async fn poll(&self, _cx: &Ctx, _since: Option<&Cursor>) -> Result<Poll> {
        Err(self.here(Error::unsupported(
            "single secrets of AWS are not polled: reading them is as cheap",
        )))
    }

    fn policy(&self) -> Option<String> {
        Some(policy::least(&self.place))
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        None
    }

    fn staging(&self) -> Option<&dyn Staging> {
        None
    }
}

impl fmt::Debug for Each {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each")
            .field("location", &self.place.location)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn a_name_is_found_in_an_arn() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/A-AbCdEf";
        assert_eq!(name_of(arn), "shop/A");
        assert_eq!(name_of("shop/A"), "shop/A");
    }
}
