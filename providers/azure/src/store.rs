//! The provider: what is asked of the vault for each call of the trait, and what its answers mean.

use std::fmt;
use std::sync::Arc;

use azure_core::http::pager::PagerOptions;
use azure_core::time::OffsetDateTime;
use azure_security_keyvault_secrets::ResourceExt as _;
use azure_security_keyvault_secrets::models::{
    DeletedSecret, Secret, SecretAttributes, SecretClientGetDeletedSecretOptions,
    SecretClientGetSecretOptions, SecretClientListSecretPropertiesOptions,
    SecretClientListSecretPropertiesVersionsOptions, SecretProperties,
};
use futures_util::future::try_join;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, Leasing, Limits, Lookup, Meta,
    Name, Opening, Poll, Provider, ProviderExt as _, Report, Result, Revision, SecretValue, Select,
    Snapshot, Staging, Stored, Timestamp, Unit, Values, Version, Written, async_trait,
};
use secrets_net::{Sent, spread};
use tokio::sync::{OnceCell, Semaphore, mpsc};

use crate::failure::{Failure, failure, not_understood};
use crate::method::Method;
use crate::names::Whose;
use crate::place::Place;
use crate::policy;
use crate::session::{Kept, Session, context, options};

/// The tag that holds a secret's name as we write it.
pub(crate) const NAME_TAG: &str = "name";

/// The tag that holds when a version was written: the vault tells it in whole seconds, which do not
/// order what one rotation writes.
pub(crate) const WRITTEN_TAG: &str = "written";

/// "25k bytes each"; the service's own refusal says "beyond the maximum permitted length of 25600
/// characters". No value of so many bytes has more characters.
/// <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>
const LONGEST_VALUE: usize = 25_600;

/// How many requests are under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// One vault, or what lies below one prefix of it.
pub(crate) struct Vault {
    pub(crate) place: Place,
    pub(crate) method: Method,
    kept: Kept,
    session: OnceCell<Session>,
}

/// An answer of the vault's, or why there is none.
pub(crate) type Answer<T> = std::result::Result<T, Failure>;

/// A secret of a list.
struct Listed {
    name: Name,
    id: String,
    enabled: bool,
}

impl Vault {
    pub(crate) fn new(opening: &Opening<'_>) -> Result<Self> {
        let place = Place::new(opening)?;
        let method = Method::new(opening).map_err(|error| error.at_store(&place.location))?;
        Ok(Self {
            place,
            method,
            kept: Kept::new(opening),
            session: OnceCell::new(),
        })
    }

    /// What calls are made with, logged in; made by the first of them.
    pub(crate) async fn session(&self, cx: &Ctx) -> Result<&Session> {
        let made = async {
            let make = || Session::new(&self.kept, &self.place, &self.method);
            let session = self.session.get_or_try_init(make).await?;
            session.log_in(cx).await?;
            Ok(session)
        };
        made.await
            .map_err(|error: Error| error.at_store(&self.place.location))
    }

    /// The error that a failure is, about one secret or about the whole.
    pub(crate) fn explain(&self, failure: Failure, sent: Sent, about: Option<&Name>) -> Error {
        match failure {
            Failure::Refused(refusal) => refusal.into_error(&self.place, sent, about),
            Failure::Other(error) => {
                let error = error.at_store(&self.place.location);
                match about {
                    Some(name) => error.about(name),
                    None => error,
                }
            }
        }
    }

    fn lacks(&self, what: &str) -> Error {
        Error::unsupported(format!("the store {what}")).at_store(&self.place.location)
    }

    /// One state of a secret, the present one where no version is named.
    pub(crate) async fn get(&self, cx: &Ctx, id: &str, version: Option<&str>) -> Answer<Secret> {
        let session = self.session(cx).await.map_err(Failure::Other)?;
        let options = SecretClientGetSecretOptions {
            method_options: options(cx),
            secret_version: version.map(ToOwned::to_owned),
            ..SecretClientGetSecretOptions::default()
        };
        let answer = session.client.get_secret(id, Some(options)).await;
        answer
            .and_then(azure_core::http::Response::into_model)
            .map_err(|error| failure(&error))
    }

    /// What was deleted under this id and can be brought back.
    pub(crate) async fn get_deleted(&self, cx: &Ctx, id: &str) -> Answer<DeletedSecret> {
        let session = self.session(cx).await.map_err(Failure::Other)?;
        let options = SecretClientGetDeletedSecretOptions {
            method_options: options(cx),
        };
        let answer = session.client.get_deleted_secret(id, Some(options)).await;
        answer
            .and_then(azure_core::http::Response::into_model)
            .map_err(|error| failure(&error))
    }

    /// What stands under a name whose present state is not found.
    async fn gone(&self, cx: &Ctx, id: &str) -> Answer<Lookup> {
        match self.get_deleted(cx, id).await {
            Ok(deleted) => Ok(Lookup::Deleted {
                recoverable_until: deleted.scheduled_purge_date.and_then(timestamp),
                version: None,
            }),
            Err(Failure::Refused(refusal)) if refusal.is_passing() => Ok(Lookup::Deleted {
                recoverable_until: None,
                version: None,
            }),
            // Who may not look at what was deleted cannot tell it from what never was.
            Err(Failure::Refused(refusal)) if refusal.is_not_found() || refusal.is_forbidden() => {
                Ok(Lookup::Absent)
            }
            Err(failure) => Err(failure),
        }
    }

    async fn look(&self, cx: &Ctx, name: &Name) -> Result<Lookup> {
        let Some(id) = self.place.names.id(name) else {
            return Ok(Lookup::Absent);
        };
        let found = match self.get(cx, &id, None).await {
            Ok(secret) => return self.found(name, secret),
            Err(Failure::Refused(refusal)) if refusal.is_not_found() => self.gone(cx, &id).await,
            Err(failure) => Err(failure),
        };
        found.map_err(|failure| self.explain(failure, Sent::Read, Some(name)))
    }

    fn found(&self, name: &Name, mut secret: Secret) -> Result<Lookup> {
        let Some(value) = secret.value.take() else {
            return Err(self.explain(Failure::Other(not_understood()), Sent::Read, Some(name)));
        };
        let meta = meta(
            name,
            Facts {
                version: secret.resource_id().ok().and_then(|id| id.version),
                attributes: secret.attributes.as_ref(),
                content_type: secret.content_type.as_deref(),
                tags: secret.tags.as_ref(),
            },
        );
        let value = SecretValue::from_vec(value.into_bytes());
        Ok(Lookup::Found(Stored { value, meta }))
    }

    /// Hands on each secret of each page of the vault's list, whoever's it is. Pages come one after the
    /// other: each names the next.
    pub(crate) async fn each_listed(
        &self,
        cx: &Ctx,
        permits: &Semaphore,
        mut hand_on: impl FnMut(SecretProperties),
    ) -> Answer<()> {
        let session = self.session(cx).await.map_err(Failure::Other)?;
        let options = SecretClientListSecretPropertiesOptions {
            method_options: PagerOptions {
                context: context(cx),
                continuation: None,
            },
            ..SecretClientListSecretPropertiesOptions::default()
        };
        let pages = session.client.list_secret_properties(Some(options));
        let mut pages = std::pin::pin!(pages.map_err(|error| failure(&error))?.into_pages());
        loop {
            // It is never closed: an error here would be ours.
            let permit = permits.acquire().await;
            let page = pages.next().await;
            drop(permit);
            let Some(page) = page else { return Ok(()) };
            let page = page.and_then(azure_core::http::Response::into_model);
            let page = page.map_err(|error| failure(&error))?;
            page.value.into_iter().for_each(&mut hand_on);
        }
    }

    /// All values: each is asked for as soon as the list has named it.
    async fn read_all(&self, cx: &Ctx) -> Result<Snapshot> {
        let permits = Semaphore::new(AT_ONCE);
        let (named, names) = mpsc::unbounded_channel::<Listed>();
        let mut foreign = Vec::new();
        let listing = async {
            // Dropped at the end: the reader is to know that no more are named.
            let named = named;
            let listed = self.each_listed(cx, &permits, |secret| {
                let Some((id, whose)) = self.whose(&secret) else {
                    return;
                };
                match whose {
                    Whose::Ours(name) => {
                        let enabled = is_enabled(secret.attributes.as_ref());
                        // The reader is gone only if it has failed: then nobody asks any more.
                        let _ = named.send(Listed { name, id, enabled });
                    }
                    Whose::Foreign => foreign.push(id),
                    Whose::Elsewhere => {}
                }
            });
            listed
                .await
                .map_err(|failure| self.explain(failure, Sent::Read, None))
        };
        let reading = stream::unfold(names, async |mut names| {
            names.recv().await.map(|listed| (listed, names))
        })
        .map(|listed| self.read_listed(cx, &permits, listed))
        .buffered(AT_ONCE)
        .try_filter_map(async |item| Ok(item))
        .try_collect::<Vec<_>>();
        let ((), items) = try_join(listing, reading).await?;
        Ok(Snapshot {
            items,
            foreign,
            ..Snapshot::default()
        })
    }

    /// The value of a secret that a list has named; `None` where it has been deleted since.
    async fn read_listed(
        &self,
        cx: &Ctx,
        permits: &Semaphore,
        listed: Listed,
    ) -> Result<Option<(Name, Result<Lookup>)>> {
        let Listed { name, id, enabled } = listed;
        if !enabled {
            // The vault would refuse it: 403, SecretDisabled.
            let error = self.disabled(&name, &id);
            return Ok(Some((name, Err(error))));
        }
        let permit = permits.acquire().await;
        let answer = self.get(cx, &id, None).await;
        drop(permit);
        let lookup = match answer {
            Ok(secret) => self.found(&name, secret),
            Err(Failure::Refused(refusal)) if refusal.is_not_found() => return Ok(None),
            Err(failure) => Err(self.explain(failure, Sent::Read, Some(&name))),
        };
        Ok(Some((name, whole(lookup)?)))
    }

    fn disabled(&self, name: &Name, id: &str) -> Error {
        let vault = &self.place.vault;
        let message = format!("{name} is disabled in the vault");
        Error::new(ErrorKind::PermissionDenied, message)
            .with_hint(format!(
                "az keyvault secret set-attributes --vault-name {vault} --name {id} --enabled true"
            ))
            .at_store(&self.place.location)
            .about(name)
    }

    /// The id of a listed secret and whose it is. What backs a certificate is the certificate's.
    /// <https://learn.microsoft.com/azure/key-vault/certificates/about-certificates#composition-of-a-certificate>
    fn whose(&self, secret: &SecretProperties) -> Option<(String, Whose)> {
        let id = secret.resource_id().ok()?.name;
        let whose = match self.place.names.whose(&id) {
            Whose::Ours(_) if secret.managed == Some(true) => Whose::Foreign,
            whose => whose,
        };
        Some((id, whose))
    }

    /// The versions of a secret, in the vault's order.
    pub(crate) async fn versions(&self, cx: &Ctx, id: &str) -> Answer<Vec<SecretProperties>> {
        let session = self.session(cx).await.map_err(Failure::Other)?;
        let options = SecretClientListSecretPropertiesVersionsOptions {
            method_options: PagerOptions {
                context: context(cx),
                continuation: None,
            },
            ..SecretClientListSecretPropertiesVersionsOptions::default()
        };
        let pages = session
            .client
            .list_secret_properties_versions(id, Some(options))
            .map_err(|error| failure(&error))?;
        pages.try_collect().await.map_err(|error| failure(&error))
    }

    /// The history of what is not there any more: that it was deleted. Its versions are hidden until it
    /// is restored.
    async fn history_of_gone(&self, cx: &Ctx, id: &str) -> Answer<Vec<Meta>> {
        match self.get_deleted(cx, id).await {
            Ok(deleted) => Ok(vec![Meta {
                modified: deleted.deleted_date.and_then(timestamp),
                deleted: true,
                ..Meta::default()
            }]),
            Err(Failure::Refused(refusal)) if refusal.is_not_found() || refusal.is_forbidden() => {
                Ok(Vec::new())
            }
            Err(failure) => Err(failure),
        }
    }
}

/// An error that is about the connection or the login is about the whole call; any other is the one
/// secret's own.
pub(crate) fn whole<T>(answer: Result<T>) -> Result<Result<T>> {
    match answer {
        Err(error) if is_whole(error.kind()) => Err(error),
        other => Ok(other),
    }
}

fn is_whole(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unavailable
            | ErrorKind::RateLimited
            | ErrorKind::Unauthenticated
            | ErrorKind::Untrusted
            | ErrorKind::InvalidConfig
    )
}

fn timestamp(time: OffsetDateTime) -> Option<Timestamp> {
    Timestamp::from_second(time.unix_timestamp()).ok()
}

fn is_enabled(attributes: Option<&SecretAttributes>) -> bool {
    attributes.and_then(|attributes| attributes.enabled) != Some(false)
}

/// The version in an id; nothing where the vault does not tell.
pub(crate) fn version_of(secret: &Secret) -> Option<Version> {
    let id = secret.resource_id().ok()?;
    id.version.map(Version::new)
}

/// What the vault says of one state.
struct Facts<'a> {
    version: Option<String>,
    attributes: Option<&'a SecretAttributes>,
    content_type: Option<&'a str>,
    tags: Option<&'a std::collections::HashMap<String, String>>,
}

impl<'a> Facts<'a> {
    fn of(secret: &'a SecretProperties) -> Self {
        Self {
            version: secret.resource_id().ok().and_then(|id| id.version),
            attributes: secret.attributes.as_ref(),
            content_type: secret.content_type.as_deref(),
            tags: secret.tags.as_ref(),
        }
    }
}

/// The same as we tell it: the tags that we keep for ourselves are left out.
fn meta(name: &Name, facts: Facts<'_>) -> Meta {
    let attributes = facts.attributes;
    let mut tags: Vec<(String, String)> = facts
        .tags
        .into_iter()
        .flatten()
        .filter(|(key, value)| {
            let ours = *key == NAME_TAG && *value == name.as_str()
                || *key == WRITTEN_TAG && value.parse::<Timestamp>().is_ok();
            !ours
        })
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    tags.sort();
    let mut told = Vec::new();
    if let Some(content_type) = facts.content_type {
        told.push(("content-type".to_owned(), content_type.to_owned()));
    }
    if !is_enabled(attributes) {
        told.push(("enabled".to_owned(), "false".to_owned()));
    }
    let end = attributes
        .and_then(|attributes| attributes.expires)
        .and_then(timestamp);
    if let Some(end) = end {
        told.push(("expires".to_owned(), end.to_string()));
    }
    told.extend(tags);
    Meta {
        version: facts.version.map(Version::new),
        modified: attributes
            .and_then(|attributes| attributes.created.or(attributes.updated))
            .and_then(timestamp),
        tags: told,
        ..Meta::default()
    }
}

/// When a version was written, for the order: by the vault's clock, and within a second by the
/// writer's own.
fn age(secret: &SecretProperties) -> (Option<OffsetDateTime>, Option<Timestamp>) {
    let created = secret
        .attributes
        .as_ref()
        .and_then(|attributes| attributes.created);
    let written = secret.tags.as_ref().and_then(|tags| tags.get(WRITTEN_TAG));
    (created, written.and_then(|text| text.parse().ok()))
}

#[async_trait]
impl Provider for Vault {
    fn location(&self) -> &str {
        &self.place.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Secret,
            // Setting a secret takes no precondition: no If-Match, no expected version.
            // <https://learn.microsoft.com/rest/api/keyvault/secrets/set-secret/set-secret>
            guard: Guard::None,
            // Values are JSON texts. Whether a NUL is kept is documented nowhere: none is sent.
            values: Values::Utf8NoNul,
            writable: true,
            history: true,
            // Versions can be disabled, and go only with the whole secret.
            prune: false,
            restore: true,
            idempotent: false,
            cheap_poll: false,
            own_versions: true,
            limits: Limits {
                value_bytes: Some(LONGEST_VALUE),
                name_bytes: Some(self.place.names.longest()),
                concurrency: AT_ONCE,
            },
        }
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        self.report(cx).await
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let mut listed = Vec::new();
        let permits = Semaphore::new(1);
        self.each_listed(cx, &permits, |secret| {
            if let Some((_, Whose::Ours(name))) = self.whose(&secret) {
                let meta = meta(&name, Facts::of(&secret));
                listed.push((name, meta));
            }
        })
        .await
        .map_err(|failure| self.explain(failure, Sent::Read, None))?;
        Ok(listed)
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let names = match what {
            Select::All => return self.read_all(cx).await,
            Select::Names(names) => names,
        };
        if !names.is_empty() {
            self.session(cx).await?;
        }
        let looks = names.iter().cloned().map(|name| async move {
            let lookup = whole(self.look(cx, &name).await)?;
            Ok::<_, Error>((name, lookup))
        });
        let items = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
        Ok(Snapshot {
            items,
            ..Snapshot::default()
        })
    }

    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.check(base, changes)?;
        if !changes.is_empty() {
            self.session(cx).await?;
        }
        let mut items = spread(
            AT_ONCE,
            changes.iter().map(|change| self.change(cx, change)),
        )
        .await;
        // Where nothing could be sent at all the call has failed, not each change by itself.
        let nothing_sent = !items.is_empty()
            && items
                .iter()
                .all(|item| item.as_ref().is_err_and(|error| is_whole(error.kind())));
        if nothing_sent && let Err(error) = items.swap_remove(0) {
            return Err(error);
        }
        Ok(Written {
            revision: None,
            items,
        })
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let Some(id) = self.place.names.id(name) else {
            return Ok(Vec::new());
        };
        let versions = match self.versions(cx, &id).await {
            Ok(versions) => versions,
            Err(Failure::Refused(refusal)) if refusal.is_not_found() => Vec::new(),
            Err(failure) => return Err(self.explain(failure, Sent::Read, Some(name))),
        };
        if versions.is_empty() {
            return self
                .history_of_gone(cx, &id)
                .await
                .map_err(|failure| self.explain(failure, Sent::Read, Some(name)));
        }
        let mut versions = versions;
        versions.sort_by_key(|secret| std::cmp::Reverse(age(secret)));
        Ok(versions
            .iter()
            .map(|secret| meta(name, Facts::of(secret)))
            .collect())
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        let id = self.place.names.id(name);
        // "A system-generated, 32 character string identifier": anything else would be another path.
        let text = version.as_str();
        let is_version = text.len() == 32 && text.chars().all(|c| c.is_ascii_alphanumeric());
        let (Some(id), true) = (id, is_version) else {
            return Ok(Lookup::Absent);
        };
        let found = match self.get(cx, &id, Some(text)).await {
            Ok(secret) => return self.found(name, secret),
            Err(Failure::Refused(refusal)) if refusal.is_not_found() => self.gone(cx, &id).await,
            Err(failure) => Err(failure),
        };
        found.map_err(|failure| self.explain(failure, Sent::Read, Some(name)))
    }

    async fn prune(&self, _cx: &Ctx, _name: &Name, _keep: usize) -> Result<usize> {
        Err(self.lacks("forgets no single version: a vault deletes whole secrets"))
    }

    async fn poll(&self, _cx: &Ctx, _since: Option<&Cursor>) -> Result<Poll> {
        Err(self.lacks("cannot be asked for changes more cheaply than by a list"))
    }

    fn policy(&self) -> Option<String> {
        Some(policy::text(&self.place))
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        None
    }

    fn staging(&self) -> Option<&dyn Staging> {
        None
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("location", &self.place.location)
            .finish_non_exhaustive()
    }
}

/// Opens it.
pub(crate) fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    Ok(Arc::new(Vault::new(opening)?))
}
