//! The Keychain of macOS and the Credential Manager of Windows, through the `keyring` crate.
//!
//! Neither library can be told how long to wait, and both may open a window of the system's own:
//! the work is left behind on its thread when the time is over, and what became of it is said to
//! be unknown.

use std::collections::HashMap;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use keyring::Error as Cause;
use secrets_api::{Error, ErrorKind, Result, SecretValue};

use super::{Edit, Everything, Held, Listed};
use crate::refusal;

/// What `inspect` calls it.
pub(crate) const DESCRIPTION: &str = if cfg!(windows) {
    "Windows Credential Manager"
} else {
    "macOS Keychain"
};

/// The most bytes of one value: `CRED_MAX_CREDENTIAL_BLOB_SIZE` on Windows.
pub(crate) const VALUE_BYTES: usize = if cfg!(windows) { 5 * 512 } else { 64 * 1024 };

/// Nothing beside [`DESCRIPTION`].
pub(crate) fn inspect(_service: &str, _within: Duration) -> Result<Vec<(String, String)>> {
    ready().map(|()| Vec::new())
}

/// All items of the service; no value is fetched.
pub(crate) fn list(service: &str, within: Duration) -> Result<Vec<Listed>> {
    let service = service.to_owned();
    run(within, refusal::too_slow(within), move || users(&service)).map(|users| {
        let listed = users.into_iter().map(|user| Listed {
            user: Some(user),
            modified: None,
        });
        listed.collect()
    })
}

/// The items of these users, one answer each in the order asked.
pub(crate) fn read(
    service: &str,
    users: &[String],
    within: Duration,
) -> Result<Vec<Result<Option<Held>>>> {
    let (service, users) = (service.to_owned(), users.to_vec());
    run(within, refusal::too_slow(within), move || {
        users
            .iter()
            .map(|user| item(held(&service, user)))
            .collect()
    })
}

/// All items of the service, with the values of the users that are `wanted`.
pub(crate) fn read_all(
    service: &str,
    wanted: impl Fn(&str) -> bool + Send + 'static,
    within: Duration,
) -> Result<Everything> {
    let service = service.to_owned();
    run(within, refusal::too_slow(within), move || {
        let mut everything = Everything::default();
        for user in users(&service)? {
            if !wanted(&user) {
                everything.others.push(user);
                continue;
            }
            // Where it is `None`, it was removed while we read.
            if let Some(answer) = item(held(&service, &user))?.transpose() {
                everything.items.push((user, answer));
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
    let service = service.to_owned();
    run(within, refusal::unacknowledged(), move || {
        ready()?;
        Ok(edits.iter().map(|edit| change(&service, edit)).collect())
    })
}

/// Runs `work` on a thread of its own and waits for so long; then the answer is `late`.
fn run<T: Send + 'static>(
    within: Duration,
    late: Error,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (answer, answered) = mpsc::channel();
    std::thread::Builder::new()
        .name("keyring".to_owned())
        // Nobody listens any more when it was too late.
        .spawn(move || drop(answer.send(work())))
        .map_err(|error| {
            Error::new(ErrorKind::Unavailable, "no thread to ask the keyring on").with_source(error)
        })?;
    match answered.recv_timeout(within) {
        Ok(answer) => answer,
        Err(RecvTimeoutError::Timeout) => Err(late),
        Err(RecvTimeoutError::Disconnected) => Err(refusal::unanswered()),
    }
}

/// Chooses the platform's store, once a process.
fn ready() -> Result<()> {
    match keyring::Entry::store_status() {
        Ok(()) => Ok(()),
        Err(cause) => Err(failed(cause)),
    }
}

fn entry(service: &str, user: &str) -> Result<keyring::Entry> {
    ready()?;
    keyring::Entry::new(service, user).map_err(|cause| failed(&cause))
}

/// The users of this service, in order.
fn users(service: &str) -> Result<Vec<String>> {
    ready()?;
    let wanted = if cfg!(windows) {
        // Searched there by a regular expression; compared below in any case.
        HashMap::new()
    } else {
        HashMap::from([("service", service)])
    };
    let found = keyring_core::Entry::search(&wanted).map_err(|cause| failed(&cause))?;
    let mut users: Vec<String> = found
        .iter()
        .filter_map(keyring_core::Entry::get_specifiers)
        .filter(|(of, _)| of == service)
        .map(|(_, user)| user)
        .collect();
    users.sort();
    users.dedup();
    Ok(users)
}

fn held(service: &str, user: &str) -> Result<Option<Held>> {
    match entry(service, user)?.get_secret() {
        Ok(value) => Ok(Some(Held {
            value: SecretValue::from_vec(value),
            modified: None,
        })),
        Err(Cause::NoEntry) => Ok(None),
        Err(cause) => Err(failed(&cause)),
    }
}

fn change(service: &str, edit: &Edit) -> Result<bool> {
    let entry = entry(service, &edit.user)?;
    let done = match &edit.value {
        Some(value) => entry.set_secret(value.expose()),
        None => entry.delete_credential(),
    };
    match done {
        Ok(()) => Ok(true),
        Err(Cause::NoEntry) if edit.value.is_none() => Ok(false),
        Err(cause) => Err(failed(&cause)),
    }
}

/// What is wrong with one item stays with it; what is wrong with the keyring ends the call.
fn item<T>(answer: Result<T>) -> Result<Result<T>> {
    match answer {
        Err(error) if error.kind() != ErrorKind::InvalidData => Err(error),
        answer => Ok(answer),
    }
}

/// What the library's error means. It is not kept: some of them hold the value.
fn failed(cause: &Cause) -> Error {
    match cause {
        Cause::NoStorageAccess(_) => refusal::locked(),
        Cause::Ambiguous(items) => refusal::ambiguous(items.len()),
        Cause::BadEncoding(_) | Cause::BadDataFormat(..) | Cause::BadStoreFormat(_) => {
            refusal::broken("holds an item that cannot be understood")
        }
        Cause::TooLong(..) | Cause::Invalid(..) | Cause::NotSupportedByStore(_) => {
            Error::unsupported("the keyring cannot hold an item of this name and value")
        }
        Cause::NoDefaultStore => Error::new(
            ErrorKind::Unavailable,
            "the system's keyring could not be opened",
        ),
        _ => Error::new(ErrorKind::Unexpected, "the system's keyring failed"),
    }
}
