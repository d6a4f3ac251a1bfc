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

/// The length of the machine key, in bytes.
const KEY_BYTES: usize = 32;

fn machine_key_file(dirs: &Dirs) -> PathBuf {
    dirs.state.join("machine-key")
}

/// What the user's state holds of the machine key.
enum Kept {
    Key(SecretValue),
    /// There is none.
    Nothing,
    /// It is there and is not to be used.
    Unusable(Error),
    /// Its folder cannot be entered: nothing that was kept under it can be read or written either.
    Closed,
}

fn kept(path: &Path) -> Kept {
    let wrong =
        |kind, what: String, hint: String| Kept::Unusable(Error::new(kind, what).with_hint(hint));
    let shown = path.display();
    let contents = match (files::read(path), path.symlink_metadata()) {
        (Ok(None), _) => return Kept::Nothing,
        (Ok(Some(contents)), _) => contents,
        (Err(_), Err(_)) => return Kept::Closed,
        (Err(error), Ok(_)) => {
            let what = format!("the machine key: {}", error.message());
            let hint = match error.kind() {
                ErrorKind::PermissionDenied => format!("whose is it? `ls -l {shown}`"),
                _ => lost_with(path),
            };
            return wrong(error.kind(), what, hint);
        }
    };
    if contents.bytes.len() != KEY_BYTES {
        let length = contents.bytes.len();
        let what =
            format!("the machine key in {shown} is damaged: {length} bytes, not {KEY_BYTES}");
        return wrong(ErrorKind::InvalidData, what, lost_with(path));
    }
    if contents.mode & 0o077 != 0 {
        let mode = contents.mode & 0o777;
        let what = format!("others may read the machine key {shown} (mode {mode:03o})");
        return wrong(
            ErrorKind::Unauthenticated,
            what,
            format!("chmod 600 {shown}"),
        );
    }
    Kept::Key(SecretValue::from(contents.bytes))
}

/// What to do about a key that is not one any more.
fn lost_with(path: &Path) -> String {
    format!(
        "put the key back from a backup; if it is lost, remove {}: every pair of stores is then compared as if it had never been synced",
        path.display()
    )
}

/// The machine key: 32 random bytes in the user's state, made on first need where `create` says
/// so. Where it cannot be kept (no home, a read-only one) it lasts as long as this process, and
/// so do the versions made under it. The same where the kept one is not to be used: that one stays
/// as it is. What is remembered under it takes [`kept_machine_key`].
pub fn machine_key(dirs: &Dirs, create: bool) -> KeySource {
    let path = machine_key_file(dirs);
    once(move || match kept(&path) {
        Kept::Key(key) => Ok(key),
        Kept::Nothing if create => made(&path),
        Kept::Nothing | Kept::Unusable(_) | Kept::Closed => random_key(),
    })
}

/// The machine key for what is remembered under it: one that is there and cannot be used is an error, for
/// under another key all that would be taken for lost, and replaced.
pub fn kept_machine_key(dirs: &Dirs) -> KeySource {
    let path = machine_key_file(dirs);
    once(move || match kept(&path) {
        Kept::Key(key) => Ok(key),
        Kept::Nothing => made(&path),
        Kept::Closed => random_key(),
        Kept::Unusable(error) => Err(error),
    })
}

/// Makes one and keeps it, if it can be kept.
fn made(path: &Path) -> Result<SecretValue> {
    let fresh = random_key()?;
    let options = files::Options {
        create_parents: true,
        ..files::Options::default()
    };
    let made = files::update(path, &options, |now| {
        Ok(match now {
            None => {
                let bytes = Zeroizing::new(fresh.expose().to_vec());
                (files::Edit::Replace(bytes), fresh.duplicate())
            }
            // Another process was first.
            Some(now) if now.bytes.len() == KEY_BYTES => {
                (files::Edit::Keep, SecretValue::from_slice(&now.bytes))
            }
            Some(_) => (files::Edit::Keep, fresh.duplicate()),
        })
    });
    Ok(made.unwrap_or(fresh))
}

/// Whether the machine key is kept: else each process has another.
pub fn has_machine_key(dirs: &Dirs) -> bool {
    matches!(kept(&machine_key_file(dirs)), Kept::Key(_))
}

/// What is wrong with the machine key, where there is one.
pub fn machine_key_fault(dirs: &Dirs) -> Option<Error> {
    match kept(&machine_key_file(dirs)) {
        Kept::Unusable(error) => Some(error),
        Kept::Key(_) | Kept::Nothing | Kept::Closed => None,
    }
}

fn random_key() -> Result<SecretValue> {
    use rand::TryRng as _;
    let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn dirs(state: &Path) -> Dirs {
        Dirs {
            home: state.to_owned(),
            config: state.to_owned(),
            state: state.to_owned(),
        }
    }

    fn key(source: KeySource) -> Result<Vec<u8>> {
        source().map(|key| key.expose().to_vec())
    }

    #[test]
    fn a_machine_key_is_made_once_and_where_it_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(&folder.path().join("made"));
        let [one, other] = [(); 2].map(|()| key(machine_key(&dirs, false)).unwrap());
        assert_ne!(one, other, "each lasts as long as its process");
        assert!(!dirs.state.exists());
        let made = key(kept_machine_key(&dirs)).unwrap();
        assert_eq!(key(machine_key(&dirs, true)).unwrap(), made);
        assert_eq!(key(machine_key(&dirs, false)).unwrap(), made);
        assert!(has_machine_key(&dirs) && machine_key_fault(&dirs).is_none());
        let mode = machine_key_file(&dirs).metadata().unwrap().permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_machine_key_any_more_is_never_replaced_and_nothing_is_kept_under_another() {
        let folder = tempfile::tempdir().unwrap();
        let dirs = dirs(folder.path());
        let path = machine_key_file(&dirs);
        let refused = |kind: ErrorKind| {
            assert_eq!(key(kept_machine_key(&dirs)).unwrap_err().kind(), kind);
            assert_eq!(machine_key_fault(&dirs).unwrap().kind(), kind);
            assert!(machine_key_fault(&dirs).unwrap().hint().is_some());
            assert!(!has_machine_key(&dirs));
            // What keeps nothing goes on, with a key of its own.
            assert_eq!(key(machine_key(&dirs, true)).unwrap().len(), KEY_BYTES);
        };
        for damaged in [&[][..], &[7; 31], &[7; 33]] {
            std::fs::write(&path, damaged).unwrap();
            refused(ErrorKind::InvalidData);
            assert_eq!(std::fs::read(&path).unwrap(), damaged);
        }
        std::fs::write(&path, [7; KEY_BYTES]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        refused(ErrorKind::Unauthenticated);
        assert_ne!(key(machine_key(&dirs, true)).unwrap(), [7; KEY_BYTES]);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(key(kept_machine_key(&dirs)).unwrap(), [7; KEY_BYTES]);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        refused(ErrorKind::InvalidConfig);
    }

    #[test]
    fn where_nothing_can_be_kept_a_key_lasts_as_long_as_its_process() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let dirs = dirs(&folder.path().join("file/state"));
        assert_eq!(key(kept_machine_key(&dirs)).unwrap().len(), KEY_BYTES);
        assert_eq!(key(machine_key(&dirs, true)).unwrap().len(), KEY_BYTES);
        assert!(machine_key_fault(&dirs).is_none());
    }
}
