//! All secrets of an environment in one AWS secret, as a JSON object. One request reads them all; a
//! batch is one conditional write, and its revision is the VersionId of `AWSCURRENT`.

use std::fmt;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, KeySource, Leasing, Limits, Lookup,
    Meta, Name, Op, Poll, Precondition, Provider, ProviderExt as _, Report, Result, Revision,
    SecretValue, Select, Snapshot, Staging, Timestamp, Unit, Values, Version, Written, async_trait,
};
use secrets_net::document::{self, Document as Fields};
use secrets_net::{Marks, spread};

use crate::connection::Connection;
use crate::place::Place;
use crate::service::{At, Held, Service};
use crate::states::{self, Draft};
use crate::write::{self, Put};
use crate::{READS, VALUE_BYTES, inspect, policy, refusal};

/// The revision of a place where no document is, or one that never had a value.
const ABSENT: &str = "absent";
/// How the revision of a deleted document begins.
const GONE: &str = "deleted";
/// What a JSON object of one text needs beside it: braces, quotes, a colon and the longest name.
const AROUND: usize = 7 + Name::MAX_BYTES;

/// One document.
pub(crate) struct Document {
    place: Place,
    connection: Connection,
    machine_key: KeySource,
}

/// What a read finds.
enum Now {
    Absent,
    /// Scheduled for deletion: nobody can read it.
    Gone {
        by: Option<Timestamp>,
    },
    Here(Here),
}

struct Here {
    version: String,
    created: Option<Timestamp>,
    fields: Fields,
}

impl Now {
    fn revision(&self) -> Revision {
        match self {
            Self::Absent => Revision::new(ABSENT),
            Self::Gone { by: Some(by) } => Revision::new(format!("{GONE}-{}", by.as_second())),
            Self::Gone { by: None } => Revision::new(GONE),
            Self::Here(here) => Revision::new(here.version.as_str()),
        }
    }
}

impl Document {
    pub(crate) fn new(place: Place, connection: Connection, machine_key: KeySource) -> Self {
        Self {
            place,
            connection,
            machine_key,
        }
    }

    fn here(&self, error: impl Into<Error>) -> Error {
        error.into().at_store(&self.place.location)
    }

    fn marks(&self) -> Result<Marks> {
        Marks::new(&self.machine_key, &self.place.location)
    }

    async fn service(&self) -> Result<&Service> {
        self.connection.service().await
    }

    async fn now(&self, cx: &Ctx) -> Result<Now> {
        let service = self.service().await?;
        match service.get(cx, &self.place.id, At::CURRENT).await {
            Ok(held) => present(held),
            Err(refusal) if refusal.is_absent() => Ok(Now::Absent),
            Err(refusal) if refusal.is_state() => {
                let described = service.describe(cx, &self.place.id).await?;
                match described.and_then(|found| found.gone_by) {
                    Some(by) => Ok(Now::Gone { by: Some(by) }),
                    None => Err(refusal.into()),
                }
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    /// What a batch is known by, whatever it is put on top of.
    fn draft(&self, cx: &Ctx, marks: &Marks, changes: &[Change<'_>]) -> Draft {
        let parts: Vec<String> = changes
            .iter()
            .flat_map(|Change { name, op, .. }| {
                let what = match op {
                    Op::Put(value) => format!("put {}", marks.version(name, value)),
                    Op::Delete => "delete".to_owned(),
                    Op::Restore => "restore".to_owned(),
                };
                [name.as_str().to_owned(), what]
            })
            .collect();
        Draft::new(&cx.operation, parts.iter().map(String::as_str))
    }

    /// The answer to a batch that an earlier sending carried out.
    async fn done_before(
        &self,
        cx: &Ctx,
        draft: &Draft,
        changes: &[Change<'_>],
        marks: &Marks,
    ) -> Result<Option<Written>> {
        let all = self.service().await?.versions(cx, &self.place.id).await?;
        Ok(states::done(draft, &all).map(|entry| answer(&entry.id, changes, marks)))
    }

    async fn change(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let marks = self.marks()?;
        let draft = self.draft(cx, &marks, changes);
        let unguarded = base.is_none() && changes.iter().all(|c| c.when == Precondition::Unguarded);
        let mut first = true;
        while !cx.remaining().is_zero() {
            let now = self.now(cx).await?;
            let revision = now.revision();
            let (version, mut fields, before) = match now {
                Now::Here(here) if draft.made(&here.version) => {
                    return Ok(answer(&here.version, changes, &marks));
                }
                Now::Here(here) => {
                    let before = here.fields.to_json();
                    (Some(here.version), here.fields, Some(before))
                }
                Now::Absent => (None, Fields::default(), None),
                Now::Gone { by } => return Err(self.gone(by)),
            };
            // Guards that hold cannot be a repetition's: its own effect would have broken them.
            let admitted = match base {
                Some(base) if *base != revision => Err(Error::new(
                    ErrorKind::Conflict,
                    "the document was changed by someone else",
                )),
                _ => fields.change(&marks, changes),
            };
            let conflict = admitted
                .as_ref()
                .is_err_and(|e| e.kind() == ErrorKind::Conflict);
            if (conflict || unguarded && first)
                && version.is_some()
                && let Some(done) = self.done_before(cx, &draft, changes, &marks).await?
            {
                return Ok(done);
            }
            first = false;
            let versions = admitted?;
            let json = fields.to_json();
            if before.is_some_and(|before| *before == *json) {
                return Ok(written(revision.as_str(), versions));
            }
            fits(&json)?;
            let put = match &version {
                Some(version) => self.put(cx, &draft, Some(version), &json).await?,
                None => self.create(cx, &draft, &json).await?,
            };
            match put {
                Put::Now(id) => return Ok(written(&id, versions)),
                // Looked at again: what others wrote may leave our guards standing.
                Put::Lost => {}
            }
        }
        Err(write::overtaken())
    }

    async fn put(&self, cx: &Ctx, draft: &Draft, base: Option<&str>, json: &[u8]) -> Result<Put> {
        let service = self.service().await?;
        write::put(service, cx, &self.place.id, draft, base, json).await
    }

    async fn create(&self, cx: &Ctx, draft: &Draft, json: &[u8]) -> Result<Put> {
        let service = self.service().await?;
        let id = draft.id(None, false);
        if self.place.is_arn() {
            let described = service.describe(cx, &self.place.id).await?;
            return match described {
                Some(found) if found.current().is_none() => self.put(cx, draft, None, json).await,
                Some(_) => Ok(Put::Lost),
                None => Err(Error::new(
                    ErrorKind::InvalidConfig,
                    "there is no secret of this ARN, and one cannot be created by its ARN",
                )
                .with_hint("write its name in place of the ARN")),
            };
        }
        let refusal = match service
            .create(cx, &self.place, &self.place.id, &id, json)
            .await
        {
            Ok(()) => return Ok(Put::Now(id)),
            Err(refusal) => refusal,
        };
        if !refusal.is(&["ResourceExistsException"]) && !refusal.is_state() {
            return Err(refusal.into());
        }
        // It is there by now, or it was created without a value.
        match service.describe(cx, &self.place.id).await? {
            Some(found) if found.gone_by.is_some() => Err(self.gone(found.gone_by)),
            Some(found) if found.current().is_none() => self.put(cx, draft, None, json).await,
            _ => Ok(Put::Lost),
        }
    }

    /// A document that is scheduled for deletion is not restored by a write: all its old values
    /// would be back.
    fn gone(&self, by: Option<Timestamp>) -> Error {
        let until = by.map_or_else(String::new, |by| {
            format!(", and can be restored until {}", day(by))
        });
        let message = format!("the secret is scheduled for deletion{until}");
        let region = match &self.place.region {
            Some(region) => format!(" --region {region}"),
            None => String::new(),
        };
        Error::new(ErrorKind::Unsupported, message).with_hint(format!(
            "bring it back: `aws secretsmanager restore-secret --secret-id {}{region}`",
            self.place.id
        ))
    }

    /// The states of the document, newest first: some of them, and whether there are older ones.
    async fn states(&self, cx: &Ctx, ids: &[states::Entry]) -> Result<Vec<document::State>> {
        let service = self.service().await?;
        let reads = ids.iter().map(|entry| async move {
            let held = match service
                .get(cx, &self.place.id, At::Version(&entry.id))
                .await
            {
                Ok(held) => held,
                // It was removed between the list and the read, as the service does with old ones.
                Err(refusal) if refusal.is_absent() => return Ok(None),
                Err(refusal) => return Err(Error::from(refusal)),
            };
            let meta = Meta {
                version: Some(Version::new(&*entry.id)),
                modified: held.created,
                ..Meta::default()
            };
            // What is no document held no secret.
            let fields = held
                .value
                .and_then(|value| Fields::parse(value.expose()).ok());
            Ok(Some((meta, fields)))
        });
        let states = spread(READS, reads).await.into_iter();
        states.filter_map(Result::transpose).collect()
    }

    /// The versions that were ever the present one, newest first.
    async fn listed(&self, cx: &Ctx) -> Result<Vec<states::Entry>> {
        let service = self.service().await?;
        match service.describe(cx, &self.place.id).await? {
            None => return Ok(Vec::new()),
            // The service reads no version of it.
            Some(found) if found.gone_by.is_some() => return Err(self.gone(found.gone_by)),
            Some(_) => {}
        }
        let all = service.versions(cx, &self.place.id).await?;
        Ok(states::states(&all).into_iter().cloned().collect())
    }
}

/// Refuses a document that is larger than a secret of AWS.
fn fits(json: &[u8]) -> Result<()> {
    if json.len() <= VALUE_BYTES {
        return Ok(());
    }
    Err(Error::unsupported(format!(
        "the document would have {} bytes and an AWS secret holds at most {VALUE_BYTES}",
        json.len()
    ))
    .with_hint("one secret for each name has room: `aws:PREFIX?layout=each`"))
}

/// What a version names: one of the service's own stages (`AWSPREVIOUS`), or a secret's state.
fn named(version: &Version) -> At<'_> {
    let text = version.as_str();
    match text.starts_with("AWS") {
        true => At::Stage(text),
        false => At::Version(text),
    }
}

impl Here {
    fn look(&self, name: &Name, marks: &Marks) -> Result<Lookup> {
        let meta = Meta {
            modified: self.created,
            ..Meta::default()
        };
        self.fields.look(name, marks, &meta)
    }
}

fn present(held: Held) -> Result<Now> {
    let Some(value) = held.value else {
        return Ok(Now::Absent);
    };
    Ok(Now::Here(Here {
        version: held.version,
        created: held.created,
        fields: Fields::parse(value.expose())?,
    }))
}

fn written(version: &str, versions: Vec<Option<Version>>) -> Written {
    Written {
        revision: Some(Revision::new(version)),
        items: versions.into_iter().map(Ok).collect(),
    }
}

/// The answer to a batch that made this version.
fn answer(version: &str, changes: &[Change<'_>], marks: &Marks) -> Written {
    let versions = changes.iter().map(|Change { name, op, .. }| match op {
        Op::Put(value) => Some(marks.version(name, value)),
        Op::Delete | Op::Restore => None,
    });
    written(version, versions.collect())
}

/// A day, as it is written.
pub(crate) fn day(time: Timestamp) -> String {
    time.to_string().chars().take(10).collect()
}

#[async_trait]
impl Provider for Document {
    fn location(&self) -> &str {
        &self.place.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Document,
            guard: Guard::CompareAndSet,
            values: Values::Utf8,
            writable: true,
            history: true,
            prune: false,
            restore: false,
            idempotent: true,
            cheap_poll: true,
            own_versions: false,
            limits: Limits {
                value_bytes: Some(VALUE_BYTES - AROUND),
                name_bytes: None,
                concurrency: READS,
            },
        }
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)?;
        // What JSON escapes takes more room than it has bytes.
        let mut alone = Fields::default();
        let held = alone.set(name, value).and_then(|()| fits(&alone.to_json()));
        held.map_err(|error| self.here(error).about(name))
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        inspect::document(&self.connection, &self.place, cx)
            .await
            .map_err(|error| self.here(error))
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let items = self.read(cx, Select::All).await?.items.into_iter();
        Ok(items
            .map(|(name, lookup)| {
                let found = lookup.ok().and_then(Lookup::into_found);
                (name, found.map(|stored| stored.meta).unwrap_or_default())
            })
            .collect())
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let now = self.now(cx).await.map_err(|error| self.here(error))?;
        let revision = Some(now.revision());
        let here = match now {
            Now::Here(here) => here,
            Now::Absent | Now::Gone { .. } => {
                let lookup = || match now {
                    Now::Gone { by } => Lookup::Deleted {
                        recoverable_until: by,
                        version: None,
                    },
                    _ => Lookup::Absent,
                };
                let items = match what {
                    Select::All => Vec::new(),
                    Select::Names(names) => names
                        .iter()
                        .map(|name| (name.clone(), Ok(lookup())))
                        .collect(),
                };
                return Ok(Snapshot {
                    revision,
                    items,
                    foreign: Vec::new(),
                    missing: true,
                    deletions: false,
                    owner: self.connection.owner(),
                });
            }
        };
        let marks = self.marks().map_err(|error| self.here(error))?;
        let look = |name: &Name| {
            let found = here.look(name, &marks);
            (name.clone(), found.map_err(|error| self.here(error)))
        };
        let items = match what {
            Select::All => here.fields.names().map(|name| look(&name)).collect(),
            Select::Names(names) => names.iter().map(look).collect(),
        };
        Ok(Snapshot {
            revision,
            items,
            foreign: here.fields.foreign(),
            missing: false,
            deletions: false,
            owner: self.connection.owner(),
        })
    }

    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.check(base, changes)?;
        if changes.is_empty() {
            return Ok(Written {
                revision: None,
                items: Vec::new(),
            });
        }
        self.change(cx, base, changes)
            .await
            .map_err(|error| self.here(error))
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let told = async {
            let listed = self.listed(cx).await?;
            let states = self.states(cx, &listed).await?;
            Ok(document::history(&states, name, &self.marks()?))
        };
        told.await
            .map_err(|error: Error| self.here(error).about(name))
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        let found = async {
            let marks = self.marks()?;
            if let At::Stage(stage) = named(version) {
                let held = self
                    .service()
                    .await?
                    .get(cx, &self.place.id, At::Stage(stage))
                    .await;
                let Some(held) = refusal::absent_is_none(held)? else {
                    return Ok(Lookup::Absent);
                };
                return match present(held)? {
                    Now::Here(here) => here.look(name, &marks),
                    Now::Absent | Now::Gone { .. } => Ok(Lookup::Absent),
                };
            }
            // A few at a time: what is asked for is mostly among the newest.
            for some in self.listed(cx).await?.chunks(READS) {
                let states = self.states(cx, some).await?;
                let lookup = document::look_back(&states, name, version, &marks);
                if lookup.found().is_some() {
                    return Ok(lookup);
                }
            }
            Ok(Lookup::Absent)
        };
        found
            .await
            .map_err(|error: Error| self.here(error).about(name))
    }

    async fn prune(&self, _cx: &Ctx, _name: &Name, _keep: usize) -> Result<usize> {
        Err(self.here(Error::unsupported(
            "AWS Secrets Manager removes old versions by itself, and none when asked",
        )))
    }

    async fn poll(&self, cx: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        let described = async {
            let service = self.service().await?;
            Ok::<_, Error>(service.describe(cx, &self.place.id).await?)
        };
        let described = described.await.map_err(|error| self.here(error))?;
        let now = match described {
            Some(found) => match (found.gone_by, found.current()) {
                (Some(by), _) => format!("{GONE}-{}", by.as_second()),
                (None, Some(current)) => current.to_owned(),
                (None, None) => ABSENT.to_owned(),
            },
            None => ABSENT.to_owned(),
        };
        let cursor = Cursor::new(now);
        Ok(Poll {
            changed: since != Some(&cursor),
            cursor,
        })
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

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("location", &self.place.location)
            .finish_non_exhaustive()
    }
}
