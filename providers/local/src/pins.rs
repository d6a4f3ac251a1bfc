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

/// The people of one store who were confirmed last, in whatever folder.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {
    members: Vec<Member>,
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
        let mut pins = match files::read(&self.path)? {
            None => Pins::default(),
            Some(contents) => parse::<Pins>(&self.path, &contents.bytes)?,
        };
        if pins.members.is_none()
            && let Some(store) = store()
        {
            let path = self.known(&store);
            if let Some(contents) = files::read(&path)? {
                let known: Known = parse(&path, &contents.bytes)?;
                pins.confirm(&Team::of(Some(store), known.members));
            }
        }
        Ok(pins)
    }

    /// Where the people of a store are kept by its id.
    fn known(&self, store: &str) -> PathBuf {
        self.folder.join("stores").join(format!("{store}.json"))
    }

    /// Changes this folder's record. People who were confirmed are from then on known in every folder.
    pub(crate) fn update(&self, change: impl Fn(&mut Pins)) -> Result<()> {
        let confirmed = self.update_own(change)?;
        let Some((store, members)) = confirmed else {
            return Ok(());
        };
        let text = json(&Known { members })?;
        files::update(&self.known(&store), &made(), |_| {
            Ok((Edit::Replace(Zeroizing::new(text.clone())), ()))
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

    /// Records a state, if it is newer than what was seen. Where the state folder cannot be
    /// written (a CI job's) nothing is recorded: each run is then a first sight.
    pub(crate) fn note(&self, pins: &Pins, team: Option<&Team>, name: &str, seen: &Seen) {
        let newer = pins
            .documents
            .get(name)
            .is_none_or(|before| before.generation < seen.generation);
        let first = team.filter(|_| pins.members.is_none());
        if !newer && first.is_none() {
            return;
        }
        let _ = self.update(|pins| {
            if pins.members.is_none()
                && let Some(team) = first
            {
                pins.confirm(team);
            }
            if pins
                .documents
                .get(name)
                .is_none_or(|before| before.generation < seen.generation)
            {
                pins.documents.insert(name.to_owned(), seen.clone());
            }
        });
    }
}

fn made() -> Options {
    Options {
        create_parents: true,
        ..Options::default()
    }
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
