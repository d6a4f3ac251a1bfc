//! What providers are opened with, in a temporary folder: hermetic, and the same on every run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use secrets_api::{
    Auth, CredentialCache, CredentialSource, Dirs, Error, ErrorKind, KeySource, Opening, Result,
    SecretValue, StoreUri, async_trait,
};
use tempfile::TempDir;

/// An [`Opening`] that owns what it lends: a project's folder and a user's folders under one
/// temporary folder, environment `dev`, a fixed machine key, no identity and no variables until
/// they are set.
pub struct TestOpening {
    folder: TempDir,
    /// The project's folder.
    pub root: PathBuf,
    /// The user's folders.
    pub dirs: Dirs,
    /// The environment's name.
    pub environment: String,
    /// The machine key's source: 32 fixed bytes.
    pub machine_key: KeySource,
    /// The identity's source: `Unauthenticated` until set.
    pub identity: KeySource,
    /// The servers' addresses.
    pub addresses: Vec<String>,
    /// How to log in.
    pub auth: Option<Auth>,
    /// What `auth` names, by reference.
    pub credentials: BTreeMap<String, Vec<u8>>,
    /// What providers keep between runs.
    pub cache: Arc<MemoryCache>,
    /// How long one call may take.
    pub timeout: Duration,
    /// The process environment.
    pub variables: Vec<(OsString, OsString)>,
}

impl TestOpening {
    /// Makes the folders, all empty.
    ///
    /// # Panics
    /// If the operating system gives no temporary folder.
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        // What is resolved once here need not be resolved by every comparison in a test.
        let base = folder.path().canonicalize().expect("the folder exists");
        let make = |name: &str| {
            let path = base.join(name);
            std::fs::create_dir(&path).expect("the folder is ours");
            path
        };
        Self {
            root: make("project"),
            dirs: Dirs {
                home: make("home"),
                config: make("config"),
                state: make("state"),
            },
            folder,
            environment: "dev".to_owned(),
            machine_key: key(&[0x5a; 32]),
            identity: Arc::new(|| {
                Err(Error::new(
                    ErrorKind::Unauthenticated,
                    "this test has no identity",
                ))
            }),
            addresses: Vec::new(),
            auth: None,
            credentials: BTreeMap::new(),
            cache: Arc::default(),
            timeout: Duration::from_secs(10),
            variables: Vec::new(),
        }
    }

    /// Names the servers.
    #[must_use]
    pub fn with_addresses<A: Into<String>>(
        mut self,
        addresses: impl IntoIterator<Item = A>,
    ) -> Self {
        self.addresses = addresses.into_iter().map(Into::into).collect();
        self
    }

    /// Says how to log in.
    #[must_use]
    pub fn with_auth(mut self, method: &str, settings: &[(&str, &str)]) -> Self {
        self.auth = Some(Auth {
            method: method.to_owned(),
            settings: settings
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        });
        self
    }

    /// Keeps a credential where a setting of [`TestOpening::with_auth`] names it.
    #[must_use]
    pub fn with_credential(mut self, reference: &str, value: &[u8]) -> Self {
        self.credentials
            .insert(reference.to_owned(), value.to_vec());
        self
    }

    /// Sets the identity: an age secret key, or an OpenSSH private key.
    #[must_use]
    pub fn with_identity(mut self, identity: &[u8]) -> Self {
        self.identity = key(identity);
        self
    }

    /// Sets the process environment; it is sorted by name, as [`Opening::variables`] promises.
    #[must_use]
    pub fn with_variables<K: Into<OsString>, V: Into<OsString>>(
        mut self,
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        self.variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        self.variables.sort();
        self
    }

    /// What to open `uri` with.
    pub fn opening<'a>(&'a self, uri: &'a StoreUri) -> Opening<'a> {
        Opening {
            uri,
            root: &self.root,
            environment: &self.environment,
            dirs: &self.dirs,
            machine_key: self.machine_key.clone(),
            identity: self.identity.clone(),
            addresses: &self.addresses,
            plain_http: false,
            auth: self.auth.as_ref(),
            credentials: self.credential_source(),
            cache: Arc::clone(&self.cache) as Arc<dyn CredentialCache>,
            timeout: self.timeout,
            variables: &self.variables,
        }
    }

    fn credential_source(&self) -> CredentialSource {
        let kept = self.credentials.clone();
        Arc::new(move |reference| {
            let found = kept
                .get(reference)
                .map(|bytes| SecretValue::from_slice(bytes));
            let missing = || {
                Error::new(
                    ErrorKind::Unauthenticated,
                    "this test keeps no such credential",
                )
            };
            let answer = found.ok_or_else(missing);
            Box::pin(async move { answer })
        })
    }

    /// The temporary folder that all others lie in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Default for TestOpening {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for TestOpening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestOpening")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// What providers keep between runs, in memory.
#[derive(Default)]
pub struct MemoryCache(Mutex<BTreeMap<String, Vec<u8>>>);

impl MemoryCache {
    fn kept(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many credentials are kept.
    pub fn len(&self) -> usize {
        self.kept().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl CredentialCache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<SecretValue>> {
        let kept = self.kept();
        Ok(kept.get(key).map(|bytes| SecretValue::from_slice(bytes)))
    }

    async fn put(&self, key: &str, value: &SecretValue) -> Result<()> {
        self.kept().insert(key.to_owned(), value.expose().to_vec());
        Ok(())
    }
}

/// A source that always gives these bytes.
pub fn key(bytes: &[u8]) -> KeySource {
    let value = Arc::new(SecretValue::from_slice(bytes));
    Arc::new(move || Ok(Arc::clone(&value)))
}
