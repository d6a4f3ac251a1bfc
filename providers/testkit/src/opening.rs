//! What providers are opened with, in a temporary folder: hermetic, and the same on every run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrets_api::{Dirs, Error, ErrorKind, KeySource, Opening, SecretValue, StoreUri};
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
            variables: Vec::new(),
        }
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
            variables: &self.variables,
        }
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

/// A source that always gives these bytes.
pub fn key(bytes: &[u8]) -> KeySource {
    let value = Arc::new(SecretValue::from_slice(bytes));
    Arc::new(move || Ok(Arc::clone(&value)))
}
