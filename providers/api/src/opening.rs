//! What a provider is given to open a store with. Opening does no I/O: providers never look at
//! the terminal, the home folder or the process environment by themselves.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Result, SecretValue, StoreUri};

/// The user's own folders, per the XDG Base Directory Specification 0.8.
#[derive(Debug, Clone)]
pub struct Dirs {
    /// `$XDG_CONFIG_HOME/secrets`: the identity file.
    pub config: PathBuf,
    /// `$XDG_STATE_HOME/secrets`: what was trusted and pinned, and the machine key.
    pub state: PathBuf,
}

/// Gives a key when it is first needed, and the same one from then on.
pub type KeySource = Arc<dyn Fn() -> Result<Arc<SecretValue>> + Send + Sync>;

/// All that a provider may use.
#[derive(Clone)]
pub struct Opening<'a> {
    /// Which store.
    pub uri: &'a StoreUri,
    /// The project's folder, absolute: relative paths start here.
    pub root: &'a Path,
    /// The environment's name, for stores that hold one each.
    pub environment: &'a str,
    /// The user's folders.
    pub dirs: &'a Dirs,
    /// 32 random bytes kept on this machine: versions that are MACs are made under it.
    pub machine_key: KeySource,
    /// The age identity (one line, `AGE-SECRET-KEY-1…`, or an unencrypted OpenSSH key).
    pub identity: KeySource,
    /// The process environment as it was at the start, sorted by name.
    pub variables: &'a [(OsString, OsString)],
}
