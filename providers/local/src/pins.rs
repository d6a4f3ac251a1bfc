//! What this machine has seen of a store: the people that were confirmed, the newest generation of
//! each document, and what was accepted by a person's word. In the user's own state, never in the
//! project: what the project says of itself proves nothing.
//!
//! Each folder has a record of its own, since two clones may be at different commits. The people who were
//! confirmed last are also kept by the store's id: another clone, or another worktree, of a store that is
//! known here is no first sight.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrets_api::{Dirs, Error, ErrorKind, Result, Zeroizing};
use secrets_platform::files::{self, Edit, Options};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::hex;
use crate::team::{Member, Team};

/// How many accepted documents are remembered.
const ACCEPTED: usize = 32;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pins {
    /// The project's folder, for people who read the file.
    pub(crate) root: String,
    /// The people who were confirmed; `None` before the first sight.
    pub(crate) members: Option<Vec<Member>>,
    /// The id of the store they are of.
    #[serde(default)]
    pub(crate) store: Option<String>,
    /// The newest state seen of each document.
    pub(crate) documents: BTreeMap<String, Seen>,
    /// Digests of documents that a person accepted although nobody known had signed them.
    pub(crate) accepted: Vec<String>,
    /// The folder where the people were confirmed, if that is another one of this store.
    #[serde(skip)]
    pub(crate) elsewhere: Option<String>,
}

impl Pins {
    /// The people who were confirmed, with the id of their store; `None` before the first sight.
    pub(crate) fn confirmed(&self) -> Option<Team> {
        let members = self.members.clone()?;
        Some(Team::of(self.store.clone(), members))
    }

    /// These are the people from now on.
    pub(crate) fn confirm(&mut self, team: &Team) {
        self.members = Some(team.members().to_vec());
        self.store = team.store().map(ToOwned::to_owned);
    }
}

/// What is known of one store, in whatever folder it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    /// The folder where its people were confirmed last.
    root: String,
    /// The people who were confirmed last.
    members: Vec<Member>,
    /// The newest state seen of each document.
    #[serde(default)]
    newest: BTreeMap<String, Seen>,
}

/// One state of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Seen {
    pub(crate) generation: u64,
    pub(crate) digest: String,
}

/// Where they are kept.
#[derive(Debug, Clone)]
pub(crate) struct Shelf {
    folder: PathBuf,
    path: PathBuf,
    root: PathBuf,
}

impl Shelf {
    pub(crate) fn new(dirs: &Dirs, root: &Path) -> Self {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let name = hex::digest(real.as_os_str().as_encoded_bytes());
        let folder = dirs.state.join("local");
        Self {
            path: folder.join(format!("{}.json", &name[..32])),
            folder,
            root: real,
        }
    }

    /// What was seen in this folder; where nothing was, the people who were confirmed in another folder
    /// with the store whose id `store` answers.
    ///
    /// # Errors
    /// If there is a record and it cannot be read: never taken for a first sight.
    pub(crate) fn load(&self, store: impl FnOnce() -> Option<String>) -> Result<Pins> {
        let mut pins = read::<Pins>(&self.path)?.unwrap_or_default();
        if pins.members.is_none()
            && let Some(store) = store()
            && let Some(known) = read::<Known>(&self.known(&store))?
        {
            pins.confirm(&Team::of(Some(store), known.members));
            pins.elsewhere = Some(known.root);
        }
        Ok(pins)
    }

    /// Where what is known of a store is kept, by its id.
    fn known(&self, store: &str) -> PathBuf {
        self.folder.join("stores").join(format!("{store}.json"))
    }

    /// The folder where the people of a store were confirmed last, if that is another than this one.
    ///
    /// # Errors
    /// As [`Shelf::load`].
    pub(crate) fn known_from(&self, store: &str) -> Result<Option<String>> {
        let known = read::<Known>(&self.known(store))?;
        let root = known.map(|known| known.root);
        Ok(root.filter(|root| *root != self.root.to_string_lossy()))
    }

    /// The newest state of a document of this store that was seen in any folder.
    ///
    /// # Errors
    /// As [`Shelf::load`].
    pub(crate) fn newest(&self, pins: &Pins, name: &str) -> Result<Option<Seen>> {
        let here = pins.documents.get(name).cloned();
        let Some(store) = &pins.store else {
            return Ok(here);
        };
        let known = read::<Known>(&self.known(store))?;
        let there = known.and_then(|mut known| known.newest.remove(name));
        // Of two of one generation the one that was seen here counts.
        Ok(match (here, there) {
            (Some(here), Some(there)) if there.generation > here.generation => Some(there),
            (here, there) => here.or(there),
        })
    }

    /// Changes this folder's record. People who were confirmed are from then on known in every folder.
    pub(crate) fn update(&self, change: impl Fn(&mut Pins)) -> Result<()> {
        match self.update_own(change)? {
            Some((store, members)) => {
                self.update_known(&store, |known| known.members.clone_from(&members))
            }
            None => Ok(()),
        }
    }

    fn update_known(&self, store: &str, change: impl Fn(&mut Known)) -> Result<()> {
        let path = self.known(store);
        files::update(&path, &made(), |now| {
            let before = now.map(|now| parse::<Known>(&path, &now.bytes));
            let before = before.transpose()?;
            let mut after = before.clone().unwrap_or_default();
            change(&mut after);
            if before.as_ref().map(|known| &known.members) != Some(&after.members) {
                after.root = self.root.to_string_lossy().into_owned();
            }
            if before.as_ref() == Some(&after) {
                return Ok((Edit::Keep, ()));
            }
            Ok((Edit::Replace(Zeroizing::new(json(&after)?)), ()))
        })
    }

    /// The people, with their store, if they are others than before.
    fn update_own(&self, change: impl Fn(&mut Pins)) -> Result<Option<(String, Vec<Member>)>> {
        files::update(&self.path, &made(), |now| {
            let before = now.map(|now| parse::<Pins>(&self.path, &now.bytes));
            let before = before.transpose()?;
            let mut after = before.clone().unwrap_or_default();
            self.root
                .to_string_lossy()
                .as_ref()
                .clone_into(&mut after.root);
            change(&mut after);
            after.accepted.truncate(ACCEPTED);
            if before.as_ref() == Some(&after) {
                return Ok((Edit::Keep, None));
            }
            let news = after.confirmed() != before.and_then(|before| before.confirmed());
            let confirmed = after.store.clone().zip(after.members.clone());
            let text = Zeroizing::new(json(&after)?);
            Ok((Edit::Replace(text), confirmed.filter(|_| news)))
        })
    }

    /// Records a state, if it is newer than what was seen, and at first sight the people: `team`, if there is
    /// somebody who vouches for all of them. Before that nothing is recorded: half a record would be one that
    /// confirms nobody. Where the state folder cannot be written (a CI job's) nothing is recorded either: each
    /// run is then a first sight.
    pub(crate) fn note(&self, pins: &Pins, team: Option<&Team>, name: &str, seen: &Seen) {
        let newer =
            |before: Option<&Seen>| before.is_none_or(|before| before.generation < seen.generation);
        let confirmed = match (&pins.members, &pins.elsewhere) {
            (None, _) => team.cloned(),
            // This folder remembers them by itself: its list may say another id tomorrow.
            (Some(_), Some(_)) => pins.confirmed(),
            (Some(_), None) if newer(pins.documents.get(name)) => None,
            (Some(_), None) => return,
        };
        if pins.members.is_none() && confirmed.is_none() {
            return;
        }
        let people = pins.confirmed();
        let noted = self.update(|pins| {
            if let (None, Some(team)) = (&pins.members, &confirmed) {
                pins.confirm(team);
            }
            if newer(pins.documents.get(name)) {
                pins.documents.insert(name.to_owned(), seen.clone());
            }
        });
        let store = confirmed
            .as_ref()
            .map_or(pins.store.as_deref(), Team::store);
        if let (Ok(()), Some(store)) = (noted, store) {
            let _ = self.update_known(store, |known| {
                // Where that record is gone it begins with the people of this one.
                if known.members.is_empty()
                    && let Some(team) = confirmed.as_ref().or(people.as_ref())
                {
                    known.members = team.members().to_vec();
                }
                if newer(known.newest.get(name)) {
                    known.newest.insert(name.to_owned(), seen.clone());
                }
            });
        }
    }
}

fn made() -> Options {
    Options {
        create_parents: true,
        ..Options::default()
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let contents = files::read(path)?;
    contents.map(|c| parse(path, &c.bytes)).transpose()
}

fn json(record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(record).map_err(|e| {
        Error::new(ErrorKind::Unexpected, "the record cannot be written").with_source(e)
    })
}

fn parse<T: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| {
        let path = path.display();
        Error::new(
            ErrorKind::Untrusted,
            format!("the record of what was confirmed is broken: {path}"),
        )
        .with_source(e)
        .with_hint(format!(
            "remove {path}: then this is like a first sight, so look at `secrets team list` first"
        ))
    })
}
