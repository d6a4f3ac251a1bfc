//! What a provider is given to open a store with. Opening does no I/O: providers never look at
//! the terminal, the home folder or the process environment by themselves.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::{Result, SecretValue, StoreUri};

/// The user's own folders, per the XDG Base Directory Specification 0.8.
#[derive(Debug, Clone)]
pub struct Dirs {
    /// The home folder: what other tools keep there (`~/.vault-token`).
    pub home: PathBuf,
    /// `$XDG_CONFIG_HOME/secrets`: the identity file.
    pub config: PathBuf,
    /// `$XDG_STATE_HOME/secrets`: what was trusted and pinned, and the machine key.
    pub state: PathBuf,
}

/// Gives a key when it is first needed, and the same one from then on.
pub type KeySource = Arc<dyn Fn() -> Result<Arc<SecretValue>> + Send + Sync>;

/// How to log in to a store, as the manifest has it: names of credentials and where they are kept,
/// never a credential.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Auth {
    /// The method: `token`, `approle`, …
    pub method: String,
    /// What else the method needs, by its name.
    pub settings: BTreeMap<String, String>,
}

impl Auth {
    /// One setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.settings.get(key).map(String::as_str)
    }
}

/// A credential being fetched.
pub type Fetching = Pin<Box<dyn Future<Output = Result<SecretValue>> + Send>>;

/// Fetches a credential that an [`Auth`] setting names by where it is kept: `keyring:SERVICE/ITEM`,
/// `file:PATH`, `env:NAME`, or `STORE#NAME` for a secret of any other store.
pub type CredentialSource = Arc<dyn Fn(&str) -> Fetching + Send + Sync>;

/// Keeps a login's token between runs, where a person asked for it (`cache = "keyring"`).
#[async_trait]
pub trait CredentialCache: Send + Sync {
    /// What is kept under this key.
    async fn get(&self, key: &str) -> Result<Option<SecretValue>>;

    /// Keeps it.
    async fn put(&self, key: &str, value: &SecretValue) -> Result<()>;
}

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
    /// The servers' addresses the manifest names, each of which a person has trusted; empty where none
    /// are named.
    pub addresses: &'a [String],
    /// Whether a person has accepted plain HTTP to these addresses; else it goes to loopback only.
    pub plain_http: bool,
    /// How to log in; `None` where the store's usual way is to be found by itself.
    pub auth: Option<&'a Auth>,
    /// Fetches what `auth` names.
    pub credentials: CredentialSource,
    /// Where a token may be kept between runs, if `auth` asks for that.
    pub cache: Arc<dyn CredentialCache>,
    /// How long one call may take: to bound what a library does by itself.
    pub timeout: Duration,
    /// The process environment as it was at the start, sorted by name.
    pub variables: &'a [(OsString, OsString)],
}

impl Opening<'_> {
    /// The value of one variable, if it is text and not empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(n, _)| n == name);
        found
            .and_then(|(_, value)| value.to_str())
            .filter(|text| !text.is_empty())
    }
}
