//! The operating system's keyring: the Secret Service on Linux and the BSDs, the Keychain on
//! macOS, the Credential Manager on Windows.
//!
//! `keyring:SERVICE` is one item a secret, found by the attributes `service` and `username` (the
//! secret's name), so that `secret-tool lookup service shop username SECRET_KEY` reads what we
//! wrote and we read what it wrote. It must never prompt, never wait without an end, and never
//! take a keyring that is locked, or that is not there, for one that holds nothing.

#[cfg(all(unix, not(target_os = "macos")))]
mod bus;
mod native;
mod refusal;
mod store;
mod version;

use std::sync::Arc;
use std::time::Duration;

use secrets_api::{Error, ErrorKind, Name, Opening, Provider, Result, SecretValue};

use native::Edit;
use store::Keyring;

/// The word before the colon.
pub const SCHEME: &str = "keyring";

/// How long one call waits for the keyring at most, whatever its deadline says.
const PATIENCE: Duration = Duration::from_secs(10);

/// The service that holds the identity. No manifest may make a store of it: `exec` would hand the
/// private key on, and a sync could remove it.
const RESERVED: &str = "secrets";

/// The most bytes of a service's name: it is shown in every message.
const SERVICE_BYTES: usize = 255;

/// Opens `keyring:SERVICE`: the items of that service. No I/O.
///
/// # Errors
/// `InvalidConfig` for a missing or over-long service, for `secrets` (which holds the identity), or
/// for an option: there is none to give.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let uri = opening.uri;
    let refuse = |message: String| {
        Err(Error::new(ErrorKind::InvalidConfig, message)
            .at_store(uri)
            .with_hint("write `keyring:SERVICE`, such as `keyring:shop`"))
    };
    if let Some(option) = uri.unknown_option(&[]) {
        return refuse(format!("a keyring store has no option `{option}`"));
    }
    let service = uri.location();
    if service.is_empty() {
        return refuse("a keyring store needs the name of a service".to_owned());
    }
    if service.len() > SERVICE_BYTES {
        return refuse(format!(
            "the name of a keyring's service has at most {SERVICE_BYTES} bytes"
        ));
    }
    if service == RESERVED {
        return refuse(format!(
            "the keyring's service `{RESERVED}` is kept for the identity"
        ));
    }
    Ok(Arc::new(Keyring::new(service, opening.machine_key.clone())))
}

/// The value of one item, or `None` where the keyring is open and has no such item. Blocks for up
/// to ten seconds.
///
/// # Errors
/// `Unavailable` without a keyring, `Unauthenticated` where it is locked, `InvalidData` where
/// several items match.
pub fn get(service: &str, name: &str) -> Result<Option<SecretValue>> {
    let (service, users) = (service.to_owned(), vec![name.to_owned()]);
    let found = apart(move || native::read(&service, &users, PATIENCE))?;
    Ok(only(found)?.map(|item| item.value))
}

/// Keeps `value` under `name`, in place of what is there. Blocks for up to ten seconds.
///
/// # Errors
/// As [`get`]; `Unsupported` for a value larger than the keyring holds; `OutcomeUnknown` where the
/// keyring did not acknowledge it in time.
pub fn set(service: &str, name: &str, value: &SecretValue) -> Result<()> {
    if value.len() > native::VALUE_BYTES {
        return Err(Error::unsupported(format!(
            "the value has {} bytes and the keyring holds at most {}",
            value.len(),
            native::VALUE_BYTES
        )));
    }
    edit(service, name, Some(value.duplicate())).map(drop)
}

/// Removes an item; whether there was one. Blocks for up to ten seconds.
///
/// # Errors
/// As [`set`].
pub fn delete(service: &str, name: &str) -> Result<bool> {
    edit(service, name, None)
}

fn edit(service: &str, name: &str, value: Option<SecretValue>) -> Result<bool> {
    let service = service.to_owned();
    let edit = Edit {
        user: name.to_owned(),
        value,
    };
    only(apart(move || {
        native::write(&service, vec![edit], PATIENCE)
    })?)
}

/// The answer of a batch of one.
fn only<T>(mut answers: Vec<Result<T>>) -> Result<T> {
    answers.pop().unwrap_or_else(|| Err(refusal::unanswered()))
}

/// Runs `work` on a thread of its own: the caller may be inside a runtime, where a second one
/// cannot be entered.
fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let ended = std::thread::Builder::new()
        .name("keyring".to_owned())
        .spawn(work)
        .map_err(|error| {
            Error::new(ErrorKind::Unavailable, "no thread to ask the keyring on").with_source(error)
        })?;
    // What a panic says is not passed on: it is not ours to vouch for.
    ended.join().unwrap_or_else(|_| Err(refusal::unanswered()))
}

/// What a name of the keyring is to us: a secret's name, or none.
fn name_of(user: &str) -> Option<Name> {
    Name::new(user).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrets_api::StoreUri;
    use secrets_testkit::opening::TestOpening;

    use super::*;

    fn opened(uri: &str) -> Result<Arc<dyn Provider>> {
        open(&TestOpening::new().opening(&StoreUri::parse(uri).unwrap()))
    }

    #[test]
    fn opening_asks_nobody_and_says_where_it_is() {
        assert_eq!(opened("keyring:shop").unwrap().location(), "keyring:shop");
    }

    #[test]
    fn a_store_that_makes_no_sense_is_refused_with_a_hint() {
        let long = format!("keyring:{}", "x".repeat(SERVICE_BYTES + 1));
        for uri in ["keyring:", "keyring:shop?x=1", "keyring:secrets", &long] {
            let error = opened(uri).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{uri}");
            assert!(error.hint().is_some(), "{uri}");
        }
    }
}
