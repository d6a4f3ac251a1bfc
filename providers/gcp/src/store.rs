//! The provider: the trait's questions put to Secret Manager. Changes are made in `write`.

use std::fmt;

use google_cloud_gax::error::rpc::Code;
use google_cloud_secretmanager_v1::model::secret_version::State;
use google_cloud_secretmanager_v1::model::{Secret, SecretVersion};
use google_cloud_wkt::Timestamp as WireTime;
use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, Leasing, Limits, Lookup, Meta,
    Name, Opening, Poll, Provider, ProviderExt as _, Report, Result, Revision, SecretValue, Select,
    Snapshot, Staging, Stored, Timestamp, Unit, Values, Version, Written, async_trait,
};
use secrets_net::spread;

use crate::failure::{self, Failed};
use crate::known::Known;
use crate::place::{Entry, Place, last_part};
use crate::session::{Link, Session, ask};
use crate::{inspect, payload};

/// Most requests under way at once: 1,000 values in 63 rounds, far from any quota
/// (<https://cloud.google.com/secret-manager/quotas>: 90,000 accesses a minute).
pub(crate) const CONCURRENCY: usize = 16;

/// The longest page the service gives: the fewest requests, of which there are but 600 a minute.
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/list>
const PAGE: i32 = 25_000;

/// The most pages of a list: far more secrets than a project has.
const PAGES: usize = 1_000;

/// The newest version. <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions/access>
const LATEST: &str = "latest";

/// The annotation of a secret that was removed at least once: a list looks at these alone.
pub(crate) const MARK: &str = "secrets-removed";

/// A project's secrets, or those with one prefix.
pub(crate) struct Store {
    pub(crate) place: Place,
    pub(crate) link: Link,
    pub(crate) known: Known,
}

/// One entry of the store, from a list.
pub(crate) struct Listed {
    pub(crate) name: Name,
    marked: bool,
    labels: Vec<(String, String)>,
}

/// How far a list has come.
#[derive(Default)]
struct Pages {
    /// What the next one is asked for by; empty for the first, and after the last.
    token: String,
    seen: usize,
}

impl Store {
    pub(crate) fn new(opening: &Opening<'_>) -> Result<Self> {
        let place = Place::new(opening.uri)?;
        let link = Link::new(opening, &place)?;
        Ok(Self {
            place,
            link,
            known: Known::default(),
        })
    }

    pub(crate) fn here(&self, error: Error) -> Error {
        error.at_store(&self.place.location)
    }

    pub(crate) fn about(&self, name: &Name, error: Error) -> Error {
        self.here(error).about(name)
    }

    fn lacks(&self, what: &str) -> Error {
        self.here(Error::unsupported(format!("Google Secret Manager {what}")))
    }

    pub(crate) async fn session(&self, cx: &Ctx) -> Result<std::sync::Arc<Session>> {
        let session = self.link.session(cx).await;
        session.map_err(|error| self.here(error))
    }

    /// All entries of the place: ours, and the ids of those that are no names.
    pub(crate) async fn entries(
        &self,
        cx: &Ctx,
        session: &Session,
    ) -> Result<(Vec<Listed>, Vec<String>), Failed> {
        let (mut ours, mut foreign) = (Vec::new(), Vec::new());
        let mut pages = Pages::default();
        loop {
            let request = session
                .client
                .list_secrets()
                .set_parent(&self.place.parent)
                .set_page_size(PAGE)
                .set_page_token(&pages.token);
            let page = ask(cx, &self.place, failure::LIST, request.send()).await?;
            for secret in page.secrets {
                match self.place.entry(&secret.name) {
                    Entry::Ours(name) => ours.push(listed(name, secret)),
                    Entry::Foreign => foreign.push(last_part(&secret.name).to_owned()),
                    Entry::Others => {}
                }
            }
            self.next_page(&mut pages, page.next_page_token)?;
            if pages.token.is_empty() {
                return Ok((ours, foreign));
            }
        }
    }

    /// Goes on to the next page; a server whose list does not end is not followed.
    fn next_page(&self, pages: &mut Pages, next: String) -> Result<(), Failed> {
        let endless = |why: String| {
            let message = format!("the list of the service does not end: {why}");
            Err(self.here(Error::new(ErrorKind::Unexpected, message)).into())
        };
        pages.seen += 1;
        if !next.is_empty() && pages.token == next {
            return endless("a page names itself as the next".to_owned());
        }
        if !next.is_empty() && pages.seen >= PAGES {
            return endless(format!("it has more than {PAGES} pages"));
        }
        pages.token = next;
        Ok(())
    }

    /// All versions of a secret, newest first; none where there is no secret.
    pub(crate) async fn versions(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
    ) -> Result<Vec<SecretVersion>, Failed> {
        if self.place.is_too_long(name) {
            return Ok(Vec::new());
        }
        let mut all = Vec::new();
        let mut pages = Pages::default();
        loop {
            let request = session
                .client
                .list_secret_versions()
                .set_parent(self.place.secret(name))
                .set_page_size(PAGE)
                .set_page_token(&pages.token);
            match ask(cx, &self.place, failure::LIST_VERSIONS, request.send()).await {
                Ok(page) => {
                    all.extend(page.versions);
                    self.next_page(&mut pages, page.next_page_token)?;
                }
                Err(failed) if failed.is(Code::NotFound) => return Ok(Vec::new()),
                Err(failed) => return Err(failed),
            }
            if pages.token.is_empty() {
                break;
            }
        }
        // "Sorted in reverse by create_time"; numbers leave no doubt.
        all.sort_by_key(|version| std::cmp::Reverse(number(&version.name)));
        Ok(all)
    }

    /// What is known of the newest version; `None` where there is none.
    pub(crate) async fn newest_version(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
    ) -> Result<Option<SecretVersion>, Failed> {
        let told = self.version(cx, session, name, LATEST).await?;
        let number = told.as_ref().map_or(0, |version| number(&version.name));
        match self.known.later_than(name, number) {
            None => Ok(told),
            Some(later) => self.version(cx, session, name, &later.to_string()).await,
        }
    }

    /// What is known of one version; `None` where there is none.
    async fn version(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
        version: &str,
    ) -> Result<Option<SecretVersion>, Failed> {
        if self.place.is_too_long(name) {
            return Ok(None);
        }
        let request = session
            .client
            .get_secret_version()
            .set_name(self.place.version(name, version));
        match ask(cx, &self.place, failure::GET_VERSION, request.send()).await {
            Ok(version) => Ok(Some(version)),
            Err(failed) if failed.is(Code::NotFound) => Ok(None),
            Err(failed) => Err(failed),
        }
    }

    /// The present value.
    pub(crate) async fn present(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
    ) -> Result<Lookup, Failed> {
        let told = self.look(cx, session, name, LATEST).await?;
        let version = match &told {
            Lookup::Found(stored) => stored.meta.version.as_ref(),
            Lookup::Deleted { version, .. } => version.as_ref(),
            Lookup::Absent => None,
        };
        let number = version.map_or(0, |version| number(version.as_str()));
        match self.known.later_than(name, number) {
            None => Ok(told),
            Some(later) => self.look(cx, session, name, &later.to_string()).await,
        }
    }

    /// The value of one version.
    pub(crate) async fn look(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
        version: &str,
    ) -> Result<Lookup, Failed> {
        if self.place.is_too_long(name) {
            return Ok(Lookup::Absent);
        }
        let request = session
            .client
            .access_secret_version()
            .set_name(self.place.version(name, version));
        match ask(cx, &self.place, failure::ACCESS, request.send()).await {
            Ok(answer) => {
                let value = payload::opened(answer.payload).map_err(|error| self.here(error))?;
                Ok(Lookup::Found(Stored {
                    value,
                    meta: Meta {
                        version: Some(Version::new(last_part(&answer.name))),
                        ..Meta::default()
                    },
                }))
            }
            Err(failed) if failed.is(Code::NotFound) => Ok(Lookup::Absent),
            Err(failed) if failed.is(Code::FailedPrecondition) => {
                self.without_value(cx, session, name, version).await
            }
            Err(failed) => Err(failed),
        }
    }

    /// Why a version that is there gives no value: it is disabled or destroyed, or its key is.
    async fn without_value(
        &self,
        cx: &Ctx,
        session: &Session,
        name: &Name,
        version: &str,
    ) -> Result<Lookup, Failed> {
        let Some(found) = self.version(cx, session, name, version).await? else {
            return Ok(Lookup::Absent);
        };
        match found.state {
            State::Disabled | State::Destroyed => Ok(Lookup::Deleted {
                recoverable_until: found.scheduled_destroy_time.and_then(time),
                version: Some(Version::new(last_part(&found.name))),
            }),
            _ => Err(self.here(failure::undecipherable()).into()),
        }
    }

    /// The values of these names, in their order.
    async fn looks(&self, cx: &Ctx, session: &Session, names: &[Name]) -> Result<Items> {
        let calls = names.iter().map(|name| self.present(cx, session, name));
        let mut items = Vec::with_capacity(names.len());
        for (name, looked) in names.iter().zip(spread(CONCURRENCY, calls).await) {
            match looked.map_err(|failed| failed.error.about(name)) {
                // What will pass or concerns all of them is the whole read's: it can be made again.
                Err(error) if concerns_all(error.kind()) => return Err(error),
                looked => items.push((name.clone(), looked)),
            }
        }
        Ok(items)
    }
}

type Items = Vec<(Name, Result<Lookup>)>;

fn concerns_all(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable
            | ErrorKind::RateLimited
            | ErrorKind::Unauthenticated
            | ErrorKind::Untrusted
    )
}

fn listed(name: Name, secret: Secret) -> Listed {
    let mut labels: Vec<_> = secret.labels.into_iter().collect();
    labels.sort();
    Listed {
        name,
        marked: secret.annotations.contains_key(MARK),
        labels,
    }
}

/// A version's number, from its resource name.
pub(crate) fn number(resource: &str) -> u64 {
    last_part(resource).parse().unwrap_or_default()
}

/// The versions that are a secret's history: what was destroyed, or will be when its delay is over, is
/// forgotten, unless it says that there is no present value.
/// <https://cloud.google.com/secret-manager/docs/delay-destruction-of-secret-versions>
pub(crate) fn kept(versions: &[SecretVersion]) -> impl Iterator<Item = &SecretVersion> {
    let gone = |version: &SecretVersion| {
        version.state == State::Destroyed || version.scheduled_destroy_time.is_some()
    };
    let aged = versions.iter().enumerate();
    aged.filter(move |(age, version)| *age == 0 || !gone(version))
        .map(|(_, version)| version)
}

/// The service's time as ours.
fn time(wire: WireTime) -> Option<Timestamp> {
    Timestamp::new(wire.seconds(), wire.nanos()).ok()
}

/// What a history says of a version. One that has no value any more is a deletion.
fn state(version: &SecretVersion) -> Meta {
    let mut tags = Vec::new();
    if version.state != State::Enabled {
        let word = version.state.name().unwrap_or("unknown").to_lowercase();
        tags.push(("state".to_owned(), word));
    }
    Meta {
        version: Some(Version::new(last_part(&version.name))),
        modified: version.create_time.and_then(time),
        deleted: version.state != State::Enabled,
        tags,
        ..Meta::default()
    }
}

#[async_trait]
impl Provider for Store {
    fn location(&self) -> &str {
        &self.place.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Secret,
            guard: Guard::None,
            values: Values::Bytes,
            writable: true,
            history: true,
            prune: true,
            restore: true,
            idempotent: false,
            cheap_poll: false,
            own_versions: true,
            limits: Limits {
                value_bytes: Some(payload::MOST_BYTES),
                name_bytes: self.place.name_bytes(),
                concurrency: CONCURRENCY,
            },
        }
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)?;
        self.check_not_empty(name, value)
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        inspect::report(self, cx).await
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let session = self.session(cx).await?;
        let (entries, _) = self.entries(cx, &session).await?;
        // Those that were removed once are asked for what they are now.
        let marked = entries.iter().filter(|entry| entry.marked);
        let calls = marked.map(|entry| self.newest_version(cx, &session, &entry.name));
        let mut newest = spread(CONCURRENCY, calls).await.into_iter();
        let mut found = Vec::with_capacity(entries.len());
        for entry in entries {
            let mut meta = Meta {
                tags: entry.labels,
                ..Meta::default()
            };
            if entry.marked {
                let newest = newest.next().transpose()?.flatten();
                let Some(present) = newest.filter(|version| version.state == State::Enabled) else {
                    continue;
                };
                let known = state(&present);
                (meta.version, meta.modified) = (known.version, known.modified);
            }
            found.push((entry.name, meta));
        }
        Ok(found)
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        if matches!(what, Select::Names([])) {
            return Ok(Snapshot::default());
        }
        let session = self.session(cx).await?;
        let (entries, foreign) = match what {
            Select::All => {
                let (entries, foreign) = self.entries(cx, &session).await?;
                self.known.listed(entries.iter().map(|entry| &entry.name));
                (entries, foreign)
            }
            Select::Names(names) => {
                return Ok(Snapshot {
                    items: self.looks(cx, &session, names).await?,
                    ..Snapshot::default()
                });
            }
        };
        let names: Vec<Name> = entries.into_iter().map(|entry| entry.name).collect();
        let mut items = self.looks(cx, &session, &names).await?;
        // A secret that never had a value is none: another tool made it empty.
        items.retain(|(_, looked)| !matches!(looked, Ok(Lookup::Absent)));
        Ok(Snapshot {
            items,
            foreign,
            deletions: true,
            ..Snapshot::default()
        })
    }

    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.write_all(cx, base, changes).await
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let session = self.session(cx).await?;
        let versions = self.versions(cx, &session, name).await;
        let versions = versions.map_err(|failed| failed.error.about(name))?;
        Ok(kept(&versions).map(state).collect())
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        // The service would take an alias for a version: it names no state.
        if version.as_str().parse::<u64>().is_err() {
            return Ok(Lookup::Absent);
        }
        let session = self.session(cx).await?;
        let looked = self.look(cx, &session, name, version.as_str()).await;
        looked.map_err(|failed| failed.error.about(name))
    }

    async fn prune(&self, cx: &Ctx, name: &Name, keep: usize) -> Result<usize> {
        self.forget(cx, name, keep).await
    }

    async fn poll(&self, _cx: &Ctx, _since: Option<&Cursor>) -> Result<Poll> {
        Err(self.lacks("cannot be polled for less than a read"))
    }

    fn policy(&self) -> Option<String> {
        Some(inspect::policy(&self.place))
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        None
    }

    fn staging(&self) -> Option<&dyn Staging> {
        None
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gcp")
            .field("location", &self.place.location)
            .finish_non_exhaustive()
    }
}
