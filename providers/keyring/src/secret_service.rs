//! The freedesktop.org Secret Service (specification 0.2) over D-Bus: one connection and one
//! encrypted session a batch.
//!
//! The library's own way of unlocking is never taken: it opens a window and waits for a person
//! without an end. Whatever is locked is an error here, and everything runs on a runtime of its
//! own that is left when the time is over.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use secret_service::{Collection, EncryptionType, Item, SecretService};
use secrets_api::{Error, ErrorKind, Result, SecretValue, Timestamp};
use tokio::time::{Instant, timeout_at};
use zbus::DBusError as _;
use zbus::zvariant::OwnedValue;

use super::{Edit, Everything, Held, Listed};
use crate::{bus, refusal};

/// What `inspect` calls it.
pub(crate) const DESCRIPTION: &str = "Secret Service";

/// The most bytes of one value: what gnome-keyring was measured to hold and give back. It keeps
/// the keys to everything else in the same locked memory, so this is no place for files.
pub(crate) const VALUE_BYTES: usize = 64 * 1024;

/// The most bytes of a value that are taken from a keyring: other programs may store longer ones.
const READ_BYTES: usize = 16 * 1024 * 1024;

/// The most items of one service.
const ITEMS: usize = 10_000;

/// Questions under way at once on the one connection.
const PIPELINE: usize = 4;

/// How often an item that was removed between a search and its use is searched again.
const ATTEMPTS: usize = 3;

const DESTINATION: &str = "org.freedesktop.secrets";
const SERVICE_PATH: &str = "/org/freedesktop/secrets";
const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
const CONTENT_TYPE: &str = "application/octet-stream";

/// What there is to say of the keyring behind this service.
pub(crate) fn inspect(service: &str, within: Duration) -> Result<Vec<(String, String)>> {
    run(within, async {
        let session = Session::open(service).await?;
        let collection = match session.unlocked_default().await? {
            Some(collection) => collection.get_label().await.map_err(failed)?,
            None => "none yet".to_owned(),
        };
        Ok(vec![("collection".to_owned(), collection)])
    })
}

/// All items of the service; no value is fetched.
pub(crate) fn list(service: &str, within: Duration) -> Result<Vec<Listed>> {
    run(within, async {
        let session = Session::open(service).await?;
        let found = session.all().await?;
        Ok(found.into_iter().map(|found| found.listed).collect())
    })
}

/// The items of these users, one answer each in the order asked.
pub(crate) fn read(
    service: &str,
    users: &[String],
    within: Duration,
) -> Result<Vec<Result<Option<Held>>>> {
    run(within, async {
        let session = Session::open(service).await?;
        let answers: Vec<_> = stream::iter(users.iter().map(|user| session.held(user)))
            .buffered(PIPELINE)
            .collect()
            .await;
        if answers.iter().any(|answer| matches!(answer, Ok(None))) {
            session.unlocked_default().await?;
        }
        // What is wrong with the keyring is wrong with the whole call.
        answers
            .into_iter()
            .map(|answer| match answer {
                Err(error) if error.kind() != ErrorKind::InvalidData => Err(error),
                answer => Ok(answer),
            })
            .collect()
    })
}

/// All items of the service, with the values of the users that are `wanted`.
pub(crate) fn read_all(
    service: &str,
    wanted: impl Fn(&str) -> bool,
    within: Duration,
) -> Result<Everything> {
    run(within, async {
        let session = Session::open(service).await?;
        let mut everything = Everything::default();
        let mut by_user: Vec<(String, Vec<Item<'_>>)> = Vec::new();
        let mut positions: HashMap<String, usize> = HashMap::new();
        for Found {
            item,
            listed,
            label,
        } in session.all().await?
        {
            match listed.user {
                Some(user) if wanted(&user) => {
                    let next = by_user.len();
                    let position = *positions.entry(user.clone()).or_insert(next);
                    match by_user.get_mut(position) {
                        Some((_, items)) => items.push(item),
                        None => by_user.push((user, vec![item])),
                    }
                }
                other => everything.others.push(other.unwrap_or(label)),
            }
        }
        let session = &session;
        let answers: Vec<_> = stream::iter(by_user)
            .map(async |(user, items)| {
                let held = match items.as_slice() {
                    [item] => match session.value(item).await {
                        Ok(None) => session.held(&user).await,
                        answer => answer,
                    },
                    several => Err(refusal::ambiguous(several.len())),
                };
                (user, held)
            })
            .buffered(PIPELINE)
            .collect()
            .await;
        for (user, held) in answers {
            match held {
                Err(error) if error.kind() != ErrorKind::InvalidData => return Err(error),
                Err(error) => everything.items.push((user, Err(error))),
                Ok(Some(held)) => everything.items.push((user, Ok(held))),
                // Removed while we read: it is no longer among all there are.
                Ok(None) => {}
            }
        }
        Ok(everything)
    })
}

/// Makes the changes one after the other; whether each found an item there before.
pub(crate) fn write(
    service: &str,
    edits: Vec<Edit>,
    within: Duration,
) -> Result<Vec<Result<bool>>> {
    let deadline = Instant::now() + within;
    // Time is watched a change at a time: what was acknowledged before it ran out stays said.
    block_on(async {
        let session = timeout_at(deadline, Session::open(service))
            .await
            .unwrap_or_else(|_| Err(refusal::too_slow(within)))?;
        let mut answers = Vec::with_capacity(edits.len());
        for edit in edits {
            answers.push(session.change(&edit, deadline, within).await);
        }
        Ok(answers)
    })
}

/// Runs a question to its end, or to the end of its time.
fn run<T>(within: Duration, question: impl Future<Output = Result<T>>) -> Result<T> {
    block_on(async {
        tokio::time::timeout(within, question)
            .await
            .unwrap_or_else(|_| Err(refusal::too_slow(within)))
    })
}

fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                "no runtime to ask the keyring on: the process has no descriptors left",
            )
            .with_source(error)
        })?
        .block_on(future)
}

/// One connection, one encrypted session, one service's items.
struct Session<'s> {
    service: &'s str,
    bus: zbus::Connection,
    secrets: SecretService<'static>,
}

/// One item of the service.
struct Found<'a> {
    item: Item<'a>,
    listed: Listed,
    /// What a person reads.
    label: String,
}

impl<'a> Found<'a> {
    fn new(item: Item<'a>, mut properties: HashMap<String, OwnedValue>) -> Self {
        let modified = modified(&properties);
        let mut attributes: HashMap<String, String> = properties
            .remove("Attributes")
            .and_then(|value| value.try_into().ok())
            .unwrap_or_default();
        let label = properties
            .remove("Label")
            .and_then(|value| value.try_into().ok());
        Self {
            item,
            listed: Listed {
                user: attributes.remove("username"),
                modified,
            },
            label: label.unwrap_or_default(),
        }
    }
}

/// Where a change goes.
enum Target<'a> {
    /// To the one item there is.
    Item(Item<'a>),
    /// To a new item of this collection, if to any.
    New(Option<Collection<'a>>),
}

impl<'s> Session<'s> {
    async fn open(service: &'s str) -> Result<Self> {
        let connection = zbus::Connection::session()
            .await
            .map_err(|error| match error {
                zbus::Error::Handshake(_) => bus::not_our_bus(),
                _ => bus::no_bus(),
            })?;
        // gnome-keyring (42 and after) takes note of a client beside its first question, now and
        // then too late for it; being asked for a session by a client it does not know, it
        // crashes. So the first question is one that it answers to anybody.
        connection
            .call_method(
                Some(DESTINATION),
                SERVICE_PATH,
                Some(SERVICE_INTERFACE),
                "ReadAlias",
                &("default",),
            )
            .await
            .map_err(|error| failed(error.into()))?;
        let secrets = SecretService::connect_with_existing(EncryptionType::Dh, connection.clone())
            .await
            .map_err(failed)?;
        Ok(Self {
            service,
            bus: connection,
            secrets,
        })
    }

    /// All items that have these attributes; an error where any of them is locked.
    async fn search(&self, attributes: HashMap<&str, &str>) -> Result<Vec<Item<'_>>> {
        let found = self
            .secrets
            .search_items(attributes)
            .await
            .map_err(failed)?;
        if !found.locked.is_empty() {
            return Err(refusal::locked());
        }
        if found.unlocked.len() > ITEMS {
            return Err(refusal::broken("answers with more items than can be right"));
        }
        Ok(found.unlocked)
    }

    /// The one item of this user. `None` is worth nothing before [`Self::unlocked_default`]: some
    /// keyrings find nothing while they are locked.
    async fn find(&self, user: &str) -> Result<Option<Item<'_>>> {
        let attributes = HashMap::from([("service", self.service), ("username", user)]);
        let mut found = self.search(attributes).await?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            several => Err(refusal::ambiguous(several)),
        }
    }

    /// All items of the service, in the order of their users; an error where anything is locked.
    async fn all(&self) -> Result<Vec<Found<'_>>> {
        let found = self
            .search(HashMap::from([("service", self.service)]))
            .await?;
        self.unlocked_default().await?;
        let mut items: Vec<_> = stream::iter(found)
            .map(async |item| {
                let properties = self.properties(&item).await?;
                Ok::<_, Error>(properties.map(|properties| Found::new(item, properties)))
            })
            .buffered(PIPELINE)
            .try_filter_map(async |item| Ok(item))
            .try_collect()
            .await?;
        items.sort_by(|a, b| a.listed.user.cmp(&b.listed.user));
        Ok(items)
    }

    /// An item's properties in one question; `None` where it is gone.
    async fn properties(&self, item: &Item<'_>) -> Result<Option<HashMap<String, OwnedValue>>> {
        let answer = self
            .bus
            .call_method(
                Some(DESTINATION),
                &item.item_path,
                Some("org.freedesktop.DBus.Properties"),
                "GetAll",
                &(ITEM_INTERFACE,),
            )
            .await;
        let message = match answer {
            Ok(message) => message,
            Err(error) => return gone_or(error.into()),
        };
        let properties = message.body().deserialize();
        properties
            .map(Some)
            .map_err(|_| refusal::broken("does not say what an item is"))
    }

    /// The value of an item; `None` where it is gone.
    async fn value(&self, item: &Item<'_>) -> Result<Option<Held>> {
        let (value, properties) = futures_util::join!(item.get_secret(), self.properties(item));
        let value = match value {
            Ok(value) => SecretValue::from_vec(value),
            Err(error) => return gone_or(error),
        };
        if value.len() > READ_BYTES {
            return Err(refusal::broken("holds a value too long to be a secret"));
        }
        let modified = properties?.and_then(|properties| modified(&properties));
        Ok(Some(Held { value, modified }))
    }

    /// The value of this user's item. Of `None` holds what [`Self::find`] says.
    async fn held(&self, user: &str) -> Result<Option<Held>> {
        for _ in 0..ATTEMPTS {
            let Some(item) = self.find(user).await? else {
                return Ok(None);
            };
            if let Some(held) = self.value(&item).await? {
                return Ok(Some(held));
            }
        }
        Err(refusal::broken("names an item and does not have it"))
    }

    /// The collection that new items go to, if there is one; an error where it, or in its absence
    /// any other, is locked. This is what tells "locked" from "nothing there".
    async fn unlocked_default(&self) -> Result<Option<Collection<'_>>> {
        let (default, all) = match self.secrets.get_default_collection().await {
            Ok(collection) => (Some(collection), Vec::new()),
            Err(secret_service::Error::NoResult) => {
                let all = self.secrets.get_all_collections().await;
                (None, all.map_err(failed)?)
            }
            Err(error) => return Err(failed(error)),
        };
        for collection in default.iter().chain(&all) {
            if collection.is_locked().await.map_err(failed)? {
                return Err(refusal::locked());
            }
        }
        Ok(default)
    }

    /// Makes one change and says whether an item was there before.
    async fn change(&self, edit: &Edit, deadline: Instant, within: Duration) -> Result<bool> {
        for _ in 0..ATTEMPTS {
            // Looked at first: a timeout lets a question through once, however late it is.
            if Instant::now() >= deadline {
                return Err(refusal::too_slow(within));
            }
            let target = timeout_at(deadline, self.target(&edit.user))
                .await
                .unwrap_or_else(|_| Err(refusal::too_slow(within)))?;
            let sent = timeout_at(deadline, self.send(edit, &target)).await;
            match sent {
                Ok(Ok(existed)) => return Ok(existed),
                // Removed by someone else meanwhile: looked for again.
                Ok(Err(Unsent::Gone)) => {}
                Ok(Err(Unsent::Refused(error))) => return Err(error),
                Err(_) => return Err(refusal::unacknowledged()),
            }
        }
        Err(refusal::broken("names an item and does not have it"))
    }

    async fn target(&self, user: &str) -> Result<Target<'_>> {
        Ok(match self.find(user).await? {
            Some(item) => Target::Item(item),
            None => Target::New(self.unlocked_default().await?),
        })
    }

    async fn send(&self, edit: &Edit, target: &Target<'_>) -> Result<bool, Unsent> {
        match (target, &edit.value) {
            (Target::Item(item), Some(value)) => {
                item.set_secret(value.expose(), CONTENT_TYPE).await?;
                Ok(true)
            }
            (Target::Item(item), None) => {
                item.delete().await?;
                Ok(true)
            }
            (Target::New(None), Some(_)) => Err(Unsent::Refused(bus::no_collection())),
            (Target::New(Some(collection)), Some(value)) => {
                let attributes =
                    HashMap::from([("service", self.service), ("username", edit.user.as_str())]);
                let label = format!("{} of {}", edit.user, self.service);
                // Replace: if someone made the same item meanwhile, there must not be two.
                collection
                    .create_item(&label, attributes, value.expose(), true, CONTENT_TYPE)
                    .await?;
                Ok(false)
            }
            (Target::New(_), None) => Ok(false),
        }
    }
}

/// Why a change was not made.
enum Unsent {
    /// The item is gone.
    Gone,
    /// Anything else.
    Refused(Error),
}

impl From<secret_service::Error> for Unsent {
    fn from(error: secret_service::Error) -> Self {
        if is_gone(&error) {
            return Self::Gone;
        }
        Self::Refused(match &error {
            // No answer in the protocol: the change may have been made all the same.
            secret_service::Error::Zbus(cause) if dbus_name(cause).is_none() => {
                refusal::unacknowledged()
            }
            _ => match dbus_name_of(&error).as_deref() {
                Some(
                    "org.freedesktop.DBus.Error.NoReply"
                    | "org.freedesktop.DBus.Error.Timeout"
                    | "org.freedesktop.DBus.Error.TimedOut"
                    | "org.freedesktop.DBus.Error.Disconnected",
                ) => refusal::unacknowledged(),
                _ => failed(error),
            },
        })
    }
}

fn modified(properties: &HashMap<String, OwnedValue>) -> Option<Timestamp> {
    let seconds = u64::try_from(properties.get("Modified")?).ok()?;
    Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

/// The name of the error a peer or the bus answered with.
fn dbus_name(error: &zbus::Error) -> Option<String> {
    match error {
        zbus::Error::MethodError(name, ..) => Some(name.to_string()),
        zbus::Error::FDO(error) => fdo_name(error),
        _ => None,
    }
}

fn fdo_name(error: &zbus::fdo::Error) -> Option<String> {
    match error {
        zbus::fdo::Error::ZBus(error) => dbus_name(error),
        named => Some(named.name().to_string()),
    }
}

fn dbus_name_of(error: &secret_service::Error) -> Option<String> {
    match error {
        secret_service::Error::Zbus(error) => dbus_name(error),
        secret_service::Error::ZbusFdo(error) => fdo_name(error),
        _ => None,
    }
}

/// Whether it says that the object asked is not there. Only a second search makes that absence.
fn is_gone(error: &secret_service::Error) -> bool {
    dbus_name_of(error).is_some_and(|name| {
        [
            "org.freedesktop.Secret.Error.NoSuchObject",
            "org.freedesktop.DBus.Error.UnknownObject",
            "org.freedesktop.DBus.Error.UnknownMethod",
        ]
        .contains(&name.as_str())
    })
}

fn gone_or<T>(error: secret_service::Error) -> Result<Option<T>> {
    if is_gone(&error) {
        return Ok(None);
    }
    Err(failed(error))
}

/// What the library's error means. Its text is not kept: it quotes the peer.
fn failed(error: secret_service::Error) -> Error {
    use secret_service::Error as E;
    let Some(name) = dbus_name_of(&error) else {
        return match error {
            E::Locked | E::Prompt | E::PromptDisconnected => refusal::locked(),
            E::Unavailable => bus::no_bus(),
            E::Crypto(_) => refusal::broken("answered with a value that cannot be decrypted"),
            E::Zvariant(_) | E::NoResult => refusal::broken("gave an answer outside its protocol"),
            _ => Error::new(
                ErrorKind::Unavailable,
                "the connection to the keyring broke",
            ),
        };
    };
    match name.as_str() {
        "org.freedesktop.Secret.Error.IsLocked" => refusal::locked(),
        "org.freedesktop.DBus.Error.ServiceUnknown"
        | "org.freedesktop.DBus.Error.NameHasNoOwner" => bus::no_provider(),
        name if name.starts_with("org.freedesktop.DBus.Error.Spawn") => bus::no_provider(),
        "org.freedesktop.DBus.Error.AccessDenied" | "org.freedesktop.DBus.Error.AuthFailed" => {
            bus::denied()
        }
        "org.freedesktop.DBus.Error.NoReply"
        | "org.freedesktop.DBus.Error.Timeout"
        | "org.freedesktop.DBus.Error.TimedOut"
        | "org.freedesktop.DBus.Error.Disconnected" => Error::new(
            ErrorKind::Unavailable,
            "the keyring ended without an answer",
        ),
        // The form of such a name is checked and its length bounded by the library.
        other => Error::new(
            ErrorKind::Unexpected,
            format!("the keyring refused with {other}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    fn refused(error: secret_service::Error) -> ErrorKind {
        match Unsent::from(error) {
            Unsent::Refused(error) => error.kind(),
            Unsent::Gone => panic!("it was taken for an item that is gone"),
        }
    }

    #[test]
    fn a_change_whose_answer_was_lost_is_of_unknown_outcome() {
        let lost = io::Error::from(io::ErrorKind::BrokenPipe);
        for error in [
            zbus::Error::InputOutput(Arc::new(lost)),
            zbus::Error::FDO(Box::new(zbus::fdo::Error::NoReply(String::new()))),
        ] {
            assert_eq!(refused(error.into()), ErrorKind::OutcomeUnknown);
        }
    }

    #[test]
    fn a_change_that_was_refused_is_not_of_unknown_outcome() {
        let denied = zbus::fdo::Error::AccessDenied(String::new());
        assert_eq!(refused(denied.into()), ErrorKind::PermissionDenied);
        assert_eq!(
            refused(secret_service::Error::Locked),
            ErrorKind::Unauthenticated
        );
    }

    #[test]
    fn what_a_peer_says_is_in_no_error() {
        for error in [
            zbus::Error::Failure("canary".to_owned()),
            zbus::Error::FDO(Box::new(zbus::fdo::Error::Failed("canary".to_owned()))),
        ] {
            let error = failed(error.into());
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}
