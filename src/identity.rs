//! Where the identity is that opens the local store, and the key this machine keeps.
//!
//! Order: `SECRETS_IDENTITY`, `SECRETS_IDENTITY_FILE`, the OS keyring where it was put there, the
//! file in the configuration folder, and last the keyring again for an identity whose marker is
//! lost. A place that should hold it and cannot be asked is an error, never "there is none":
//! otherwise a locked keyring would lead to a second identity.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use secrets_api::{Dirs, Error, ErrorKind, KeySource, Result, SecretValue, Zeroizing};
use secrets_platform::files;

use crate::printer::Printer;
use crate::surroundings::Surroundings;
use crate::variables;

/// The keyring's service and item name of the identity.
pub const KEYRING_SERVICE: &str = "secrets";
/// The item's name in the keyring.
pub const KEYRING_NAME: &str = "identity";
/// What is in an identity file at most, in bytes.
const MAX_BYTES: usize = 64 * 1024;

/// Where an identity was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In `SECRETS_IDENTITY`.
    Variable,
    /// In the file that `SECRETS_IDENTITY_FILE` names.
    NamedFile(PathBuf),
    /// In the OS keyring.
    Keyring,
    /// In the configuration folder.
    File(PathBuf),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Variable => f.write_str(variables::IDENTITY),
            Self::NamedFile(path) | Self::File(path) => write!(f, "{}", path.display()),
            Self::Keyring => f.write_str("the OS keyring"),
        }
    }
}

/// The identity file of the configuration folder.
pub fn file(dirs: &Dirs) -> PathBuf {
    dirs.config.join("identity")
}

/// Says that the identity is in the keyring; holds its public key.
pub fn keyring_marker(dirs: &Dirs) -> PathBuf {
    dirs.config.join("identity-in-keyring")
}

/// Finds the identity.
///
/// # Errors
/// `Unauthenticated` where a place holds it and will not give it, or a file's mode lets others
/// read it; whatever the keyring answers.
pub fn find(surroundings: &Surroundings) -> Result<Option<(Place, SecretValue)>> {
    find_in(surroundings, true)
}

/// The same; `ask_keyring` says whether an OS keyring that is not known to hold one is asked.
///
/// # Errors
/// As [`find`].
pub fn find_in(
    surroundings: &Surroundings,
    ask_keyring: bool,
) -> Result<Option<(Place, SecretValue)>> {
    if let Some(text) = surroundings.text(variables::IDENTITY) {
        return Ok(Some((
            Place::Variable,
            SecretValue::from_slice(text.as_bytes()),
        )));
    }
    if let Some(path) = surroundings.text(variables::IDENTITY_FILE) {
        let path = surroundings.cwd.join(path);
        let value = read_file(&path, false)?.ok_or_else(|| {
            let message = format!(
                "{} names {}, which is not there",
                variables::IDENTITY_FILE,
                path.display()
            );
            Error::new(ErrorKind::Unauthenticated, message)
        })?;
        return Ok(Some((Place::NamedFile(path), value)));
    }
    let marker = keyring_marker(&surroundings.dirs);
    if marker.exists() {
        let value = from_keyring()?.ok_or_else(|| {
            Error::new(ErrorKind::Unauthenticated, "your identity was put into the OS keyring and is not there any more")
                .with_hint(format!("if it is lost for good, remove {} and run `secrets identity new`; a teammate then has to add you again", marker.display()))
        })?;
        return Ok(Some((Place::Keyring, value)));
    }
    let path = file(&surroundings.dirs);
    if let Some(value) = read_file(&path, true)? {
        return Ok(Some((Place::File(path), value)));
    }
    if ask_keyring && has_session_bus(surroundings) {
        return Ok(from_keyring()
            .map_err(or_without)?
            .map(|value| (Place::Keyring, value)));
    }
    Ok(None)
}

/// Says how to go on where there is a bus and nobody on it who keeps secrets.
fn or_without(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Unavailable => error.with_hint(
            "unlock or start it; where there is none, and never was: `--no-keyring` with `identity new` and `init`",
        ),
        _ => error,
    }
}

/// Whether a session bus is to be expected, without asking it.
pub fn has_session_bus(surroundings: &Surroundings) -> bool {
    cfg!(target_os = "macos")
        || surroundings.text("DBUS_SESSION_BUS_ADDRESS").is_some()
        || surroundings
            .text(variables::XDG_RUNTIME_DIR)
            .is_some_and(|dir| Path::new(dir).join("bus").exists())
}

#[cfg(feature = "keyring")]
fn from_keyring() -> Result<Option<SecretValue>> {
    secrets_keyring::get(KEYRING_SERVICE, KEYRING_NAME)
}

#[cfg(not(feature = "keyring"))]
fn from_keyring() -> Result<Option<SecretValue>> {
    Ok(None)
}

fn read_file(path: &Path, private: bool) -> Result<Option<SecretValue>> {
    let Some(contents) = files::read(path)? else {
        return Ok(None);
    };
    if private && contents.mode & 0o077 != 0 {
        let message = format!(
            "others may read {} (mode {:03o})",
            path.display(),
            contents.mode & 0o777
        );
        return Err(Error::new(ErrorKind::Unauthenticated, message)
            .with_hint(format!("chmod 600 {}", path.display())));
    }
    if contents.bytes.len() > MAX_BYTES {
        let message = format!("{} is too large to be an identity", path.display());
        return Err(Error::new(ErrorKind::InvalidData, message));
    }
    Ok(Some(SecretValue::from(contents.bytes)))
}

/// The identity, looked for when it is first needed.
pub fn source(surroundings: &Arc<Surroundings>, unlock: Unlock) -> KeySource {
    let surroundings = Arc::clone(surroundings);
    once(move || match find(&surroundings)? {
        Some((_, value)) => unlock(value),
        None => Err(none_found(&surroundings)),
    })
}

/// Turns what was found into what can be used: asks for the passphrase of an encrypted SSH key.
pub type Unlock = Box<dyn Fn(SecretValue) -> Result<SecretValue> + Send + Sync>;

/// Asks on the terminal for the passphrase of an encrypted SSH key; hands on anything else.
pub fn unlocker(printer: &Arc<Printer>) -> Unlock {
    let printer = Arc::clone(printer);
    Box::new(move |found| unlock(&printer, found))
}

#[cfg(feature = "local")]
fn unlock(printer: &Printer, found: SecretValue) -> Result<SecretValue> {
    if !secrets_local::Identity::is_encrypted(&found) {
        return Ok(found);
    }
    let instead =
        "use an identity without a passphrase where nobody can type one: `secrets identity new`";
    let passphrase = printer
        .ask_hidden("passphrase of your SSH key", instead)
        .map_err(|failure| {
            Error::new(ErrorKind::Unauthenticated, failure.message).with_hint(instead)
        })?;
    Ok(secrets_local::Identity::parse_with_passphrase(&found, &passphrase)?.to_secret())
}

#[cfg(not(feature = "local"))]
fn unlock(_: &Printer, found: SecretValue) -> Result<SecretValue> {
    Ok(found)
}

/// Nobody has an identity here.
pub fn none_found(surroundings: &Surroundings) -> Error {
    let searched = if has_session_bus(surroundings) {
        "neither in the OS keyring nor in a file"
    } else {
        "there is no session bus, so no OS keyring was asked"
    };
    Error::new(
        ErrorKind::Unauthenticated,
        format!("you have no identity here ({searched})"),
    )
    .with_hint("run `secrets identity new`, or set SECRETS_IDENTITY_FILE to one you have")
}

/// The machine key: 32 random bytes in the user's state, made on first need where `create` says
/// so. Where it cannot be kept (no home, a read-only one) it lasts as long as this process, and
/// so do the versions made under it.
pub fn machine_key(dirs: &Dirs, create: bool) -> KeySource {
    let path = dirs.state.join("machine-key");
    once(move || {
        if let Some(kept) = files::read(&path)
            .ok()
            .flatten()
            .filter(|kept| kept.bytes.len() == 32)
        {
            return Ok(SecretValue::from(kept.bytes));
        }
        let fresh = random_key()?;
        if !create {
            return Ok(fresh);
        }
        let options = files::Options {
            create_parents: true,
            ..files::Options::default()
        };
        let kept = files::update(&path, &options, |now| {
            Ok(match now.filter(|now| now.bytes.len() == 32) {
                // Another process was first.
                Some(now) => (files::Edit::Keep, SecretValue::from_slice(&now.bytes)),
                None => {
                    let bytes = Zeroizing::new(fresh.expose().to_vec());
                    (files::Edit::Replace(bytes), fresh.duplicate())
                }
            })
        });
        Ok(kept.unwrap_or(fresh))
    })
}

/// Whether the machine key is kept: else each process has another.
pub fn has_machine_key(dirs: &Dirs) -> bool {
    dirs.state.join("machine-key").is_file()
}

fn random_key() -> Result<SecretValue> {
    use rand::TryRng as _;
    let mut bytes = Zeroizing::new(vec![0; 32]);
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(|e| {
        Error::new(
            ErrorKind::Unexpected,
            "the operating system gives no entropy",
        )
        .with_source(e)
    })?;
    Ok(SecretValue::from(bytes))
}

/// Remembers the first success; a failure is tried again.
fn once(make: impl Fn() -> Result<SecretValue> + Send + Sync + 'static) -> KeySource {
    let kept: OnceLock<Arc<SecretValue>> = OnceLock::new();
    Arc::new(move || {
        if let Some(value) = kept.get() {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        Ok(Arc::clone(kept.get_or_init(|| value)))
    })
}
