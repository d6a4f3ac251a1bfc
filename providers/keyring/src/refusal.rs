//! The ways a keyring is not to be had, in words. They must stay distinct, and none of them may
//! be mistaken for an item that is not there.

use std::time::Duration;

use secrets_api::{Error, ErrorKind};

/// It is there and closed.
pub(crate) fn locked() -> Error {
    Error::new(ErrorKind::Unauthenticated, "the keyring is locked").with_hint(
        "unlock it: log in to the desktop, or run `gnome-keyring-daemon --unlock` and type its \
         password",
    )
}

/// It did not answer a question in time.
pub(crate) fn too_slow(within: Duration) -> Error {
    Error::new(
        ErrorKind::Unavailable,
        format!(
            "the keyring did not answer within {:.1} s",
            within.as_secs_f64()
        ),
    )
    .with_hint("see whether it waits for its password in a window")
}

/// A change was sent and its answer lost.
pub(crate) fn unacknowledged() -> Error {
    Error::new(
        ErrorKind::OutcomeUnknown,
        "the keyring did not acknowledge the change: it may or may not have been made",
    )
    .with_hint("read it again before changing it")
}

/// Two items answer to one name.
pub(crate) fn ambiguous(count: usize) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("the keyring holds {count} items of this service and name"),
    )
    .with_hint("remove all but one, with `seahorse` or `secret-tool clear`")
}

/// What came back is no answer; `what` never holds a value.
pub(crate) fn broken(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("the keyring {what}"))
}

/// The library ended without an answer.
pub(crate) fn unanswered() -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "the keyring was not asked to the end",
    )
}
