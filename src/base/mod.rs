//! What two stores held when they last agreed, remembered in the user's state: fingerprints and
//! versions by name, and the writes under way. Never a value.
//!
//! One folder a pair of stores, whatever order they are named in; its file is replaced whole, sealed
//! under this machine's key, and only under the pair's lock. What is missing, broken or of another
//! pair is no base, and that is said: never a guess.

mod file;
mod keys;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrets_api::{Error, ErrorKind, Name, Result};
use secrets_platform::files;
use sha2::{Digest as _, Sha256};

use crate::plan::{Base, Memory, Side, Sides};

pub use keys::Keys;

/// How long to wait for another run on the same two stores.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long to sleep between two tries for the lock.
const TURN: Duration = Duration::from_millis(20);

/// Which two stores, for which project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The project's folder.
    pub project: String,
    /// The environment.
    pub environment: String,
    /// What tells each side from all other stores: place, options, names.
    pub stores: Sides<String>,
}

impl Pair {
    /// Whether the sides are kept the other way round.
    fn is_swapped(&self) -> bool {
        self.stores.left > self.stores.right
    }

    /// The sides as they are kept.
    fn in_order(&self) -> Sides<String> {
        if self.is_swapped() {
            self.stores.clone().swapped()
        } else {
            self.stores.clone()
        }
    }

    fn folder(&self, state: &Path) -> PathBuf {
        let stores = self.in_order();
        let mut hash = Sha256::new();
        for part in [
            &self.project,
            &self.environment,
            &stores.left,
            &stores.right,
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let digest: String = hash.finalize()[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        state.join("sync").join(digest)
    }
}

/// Why nothing is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Nothing was ever kept for these two stores on this machine.
    First,
    /// What was kept is damaged.
    Broken,
    /// It was made under another key than this machine's now.
    OtherKey,
    /// It is of other stores or of another project.
    OtherPair,
    /// It is of stores of the same addresses that another account owns.
    OtherOwner,
    /// A newer version of the program wrote it.
    Newer,
    /// The user's state cannot be read or written: nothing can be remembered here.
    NoState,
}

impl Lost {
    /// What to tell a person.
    pub fn words(&self) -> &'static str {
        match self {
            Self::First => "these two have never been synced from here",
            Self::Broken => "what was remembered of these two is damaged",
            Self::OtherKey => "what was remembered of these two was made under another machine key",
            Self::OtherPair => "what was remembered here is of other stores or another project",
            Self::OtherOwner => {
                "these are another account's than those that were last synced from here"
            }
            Self::Newer => "a newer version of secrets has written what was remembered",
            Self::NoState => "nothing can be remembered here: the state folder cannot be written",
        }
    }
}

/// Whose the layers of each side are, by their places, as far as their stores say.
pub type Owners = Sides<BTreeMap<usize, String>>;

/// What a file holds.
#[derive(Debug, Default)]
struct Remembered {
    base: Base,
    owners: Owners,
}

/// What is remembered of two stores, held under their lock or only looked at.
#[derive(Debug)]
pub struct Kept {
    pair: Pair,
    keys: Keys,
    path: PathBuf,
    base: Base,
    owners: Owners,
    saved: Option<secrets_api::Timestamp>,
    lost: Option<Lost>,
    /// The lock; given back when it is closed, also by a kill.
    lock: Option<File>,
}

impl Kept {
    /// Looks at what is remembered; takes no lock and leaves no trace.
    pub fn peek(state: &Path, pair: Pair, keys: Keys) -> Self {
        let path = pair.folder(state).join("base.json");
        let mut kept = Self {
            pair,
            keys,
            path,
            base: Base::new(),
            owners: Owners::default(),
            saved: None,
            lost: Some(Lost::First),
            lock: None,
        };
        kept.load();
        kept
    }

    /// Takes the pair's lock, so that one run at a time works on these two stores from here, and
    /// looks at what is remembered.
    ///
    /// # Errors
    /// `Unavailable` if another run holds the lock for longer than a minute.
    pub async fn take(state: &Path, pair: Pair, keys: Keys) -> Result<Self> {
        Self::take_within(PATIENCE, state, pair, keys).await
    }

    async fn take_within(patience: Duration, state: &Path, pair: Pair, keys: Keys) -> Result<Self> {
        let folder = pair.folder(state);
        let Ok(file) = lock_file(&folder) else {
            let mut kept = Self::peek(state, pair, keys);
            kept.lost = Some(Lost::NoState);
            kept.base.clear();
            return Ok(kept);
        };
        let until = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) if Instant::now() < until => {
                    tokio::time::sleep(TURN).await;
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    let message = "another run is at work on the same two stores";
                    return Err(Error::new(ErrorKind::Unavailable, message)
                        .with_hint("try again when it is done"));
                }
                Err(std::fs::TryLockError::Error(e)) => {
                    return Err(
                        Error::new(ErrorKind::Unexpected, "cannot lock the sync's state")
                            .with_source(e),
                    );
                }
            }
        }
        let mut kept = Self::peek(state, pair, keys);
        kept.lock = Some(file);
        Ok(kept)
    }

    fn load(&mut self) {
        let found = match files::read(&self.path) {
            Ok(Some(contents)) => file::parse(&contents.bytes, &self.pair, &self.keys),
            Ok(None) => Err(Lost::First),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(Lost::Broken),
            Err(_) => Err(Lost::NoState),
        };
        match found {
            Ok((remembered, saved)) => {
                self.base = remembered.base;
                self.owners = remembered.owners;
                self.saved = Some(saved);
                self.lost = None;
            }
            Err(lost) => {
                self.base.clear();
                self.lost = Some(lost);
            }
        }
    }

    /// Takes note of whose the stores are that were looked at: what is remembered of another owner's counts
    /// for nothing, and is forgotten with the next note.
    pub fn meet(&mut self, now: Owners) {
        let is_other = |side: Side| {
            let mut now = now.of(side).iter();
            now.any(|(layer, owner)| {
                let then = self.owners.of(side).get(layer);
                then.is_some_and(|then| then != owner)
            })
        };
        if Side::BOTH.into_iter().any(is_other) {
            self.base.clear();
            self.owners = Owners::default();
            self.lost = Some(Lost::OtherOwner);
        }
        self.owners.left.extend(now.left);
        self.owners.right.extend(now.right);
    }

    /// What is remembered; empty where nothing is.
    pub fn base(&self) -> &Base {
        &self.base
    }

    /// When it was last written.
    pub fn saved(&self) -> Option<secrets_api::Timestamp> {
        self.saved
    }

    /// Why nothing is remembered, where nothing is.
    pub fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// Makes fingerprints of this project and environment.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Notes what became of names: what is remembered of each from now on, `None` for nothing. Where
    /// the state cannot be written at all nothing is noted, which [`Kept::lost`] has said.
    ///
    /// # Errors
    /// If it was writable and is not any more; nothing is noted then.
    pub fn note(&mut self, changes: Vec<(Name, Option<Memory>)>) -> Result<()> {
        if self.lock.is_none() || changes.is_empty() && self.lost.is_none() {
            return Ok(());
        }
        let mut base = self.base.clone();
        for (name, memory) in changes {
            match memory {
                Some(memory) => base.insert(name, memory),
                None => base.remove(&name),
            };
        }
        let saved = secrets_api::Timestamp::now();
        let remembered = Remembered {
            base,
            owners: self.owners.clone(),
        };
        let text = file::write(&remembered, &self.pair, &self.keys, saved)?;
        let options = files::Options::default();
        files::update(&self.path, &options, |_| {
            let bytes = secrets_api::Zeroizing::new(text.clone());
            Ok((files::Edit::Replace(bytes), ()))
        })?;
        self.base = remembered.base;
        self.saved = Some(saved);
        self.lost = None;
        Ok(())
    }
}

/// The file whose lock is the pair's, in the pair's own folder.
fn lock_file(folder: &Path) -> Result<File> {
    files::private_folder(folder)?;
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(folder.join("lock"));
    opened.map_err(|e| {
        Error::new(ErrorKind::Unexpected, "cannot lock the sync's state").with_source(e)
    })
}
