//! The ways a session bus has no keyring for us, in words; the platforms without a bus have none
//! of them. They must stay distinct from each other and from a keyring that is locked.

use secrets_api::{Error, ErrorKind};

/// Where the identity goes instead.
const FILE: &str = "keep the identity in a file: SECRETS_IDENTITY_FILE";

/// There is no bus to ask on.
pub(crate) fn no_bus() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "there is no session bus, so the keyring cannot be reached",
    )
    .with_hint(format!("start one with `dbus-run-session`, or {FILE}"))
}

/// There is a bus, and it is another user's.
pub(crate) fn not_our_bus() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the session bus refuses this user, so the keyring cannot be reached",
    )
    .with_hint(format!("run it as the user who is logged in, or {FILE}"))
}

/// Nobody on the bus keeps secrets.
pub(crate) fn no_provider() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "no program on the session bus offers a keyring (org.freedesktop.secrets)",
    )
    .with_hint(format!(
        "install and start gnome-keyring, KWallet or KeePassXC, or {FILE}"
    ))
}

/// It is there, and has no collection to put an item into.
pub(crate) fn no_collection() -> Error {
    Error::new(
        ErrorKind::Unavailable,
        "the keyring has no default collection to write to",
    )
    .with_hint("create one: log in to the desktop once, or add a keyring in `seahorse`")
}

/// It refuses us.
pub(crate) fn denied() -> Error {
    Error::new(ErrorKind::PermissionDenied, "the keyring refuses access")
        .with_hint("allow this program in the keyring's settings")
}
