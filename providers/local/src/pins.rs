//! What this machine has seen of a store: the people that were confirmed, the newest generation of
//! each document, and what was accepted by a person's word. In the user's own state, never in the
//! project: what the project says of itself proves nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrets_api::{Dirs, Error, ErrorKind, Result, Zeroizing};
use secrets_platform::files::{self, Edit, Options};
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
    /// The newest state seen of each document.
    pub(crate) documents: BTreeMap<String, Seen>,
    /// Digests of documents that a person accepted although nobody known had signed them.
    pub(crate) accepted: Vec<String>,
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
    path: PathBuf,
    root: PathBuf,
}

impl Shelf {
    pub(crate) fn new(dirs: &Dirs, root: &Path) -> Self {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let name = hex::digest(real.as_os_str().as_encoded_bytes());
        Self {
            path: dirs
                .state
                .join("local")
                .join(format!("{}.json", &name[..32])),
            root: real,
        }
    }

    /// What was seen; nothing, if there is no record.
    ///
    /// # Errors
    /// If there is one and it cannot be read: never taken for a first sight.
    pub(crate) fn load(&self) -> Result<Pins> {
        match files::read(&self.path)? {
            None => Ok(Pins::default()),
            Some(contents) => self.parse(&contents.bytes),
        }
    }

    fn parse(&self, bytes: &[u8]) -> Result<Pins> {
        serde_json::from_slice(bytes).map_err(|e| {
            let path = self.path.display();
            Error::new(ErrorKind::Untrusted, format!("the record of what was confirmed is broken: {path}")).with_source(e)
                .with_hint(format!("remove {path}: then this is like a first sight, so look at `secrets team list` first"))
        })
    }

    /// Changes the record.
    pub(crate) fn update(&self, change: impl Fn(&mut Pins)) -> Result<()> {
        let options = Options {
            create_parents: true,
            ..Options::default()
        };
        files::update(&self.path, &options, |now| {
            let before = now.map(|now| self.parse(&now.bytes)).transpose()?;
            let mut after = before.clone().unwrap_or_default();
            self.root
                .to_string_lossy()
                .as_ref()
                .clone_into(&mut after.root);
            change(&mut after);
            after.accepted.truncate(ACCEPTED);
            if before.as_ref() == Some(&after) {
                return Ok((Edit::Keep, ()));
            }
            let text = serde_json::to_vec_pretty(&after).map_err(|e| {
                Error::new(ErrorKind::Unexpected, "the record cannot be written").with_source(e)
            })?;
            Ok((Edit::Replace(Zeroizing::new(text)), ()))
        })
    }

    /// Records a state, if it is newer than what was seen. Where the state folder cannot be
    /// written (a CI job's) nothing is recorded: each run is then a first sight.
    pub(crate) fn note(&self, pins: &Pins, team: Option<&Team>, name: &str, seen: &Seen) {
        let newer = pins
            .documents
            .get(name)
            .is_none_or(|before| before.generation < seen.generation);
        let first = pins.members.is_none() && team.is_some();
        if !newer && !first {
            return;
        }
        let _ = self.update(|pins| {
            if pins.members.is_none() {
                pins.members = team.map(|team| team.members().to_vec());
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
