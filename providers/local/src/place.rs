//! Where a store's files are: `.secrets/` in the project's folder, and never anywhere else. A link
//! in its place would read and write another project's secrets under this one's manifest, which
//! asks nobody for trust; so links are refused, whatever they lead to.

use std::path::{Path, PathBuf};

use secrets_api::{Dirs, Error, ErrorKind, Result};

use crate::pins::{Pins, Shelf};
use crate::team::Team;

/// The folder's name.
const FOLDER: &str = ".secrets";

/// A project's folder, and what this machine remembers of the store in it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) shelf: Shelf,
}

/// A file of the store in `root`, by its name.
///
/// # Errors
/// `Untrusted` if it, or the folder it is in, is a link.
pub(crate) fn file_in(root: &Path, name: &str) -> Result<PathBuf> {
    let folder = root.join(FOLDER);
    let file = folder.join(name);
    for path in [&folder, &file] {
        if path.is_symlink() {
            return Err(Error::new(
                ErrorKind::Untrusted,
                format!(
                    "{} is a link: the local store lies in the project's own folder",
                    path.display()
                ),
            )
            .with_hint("put the store itself there, or name another one in secrets.toml"));
        }
    }
    Ok(file)
}

impl Place {
    pub(crate) fn new(root: &Path, dirs: &Dirs) -> Self {
        Self {
            root: root.to_owned(),
            shelf: Shelf::new(dirs, root),
        }
    }

    /// The folder the store is in, made or not.
    pub(crate) fn folder(&self) -> PathBuf {
        self.root.join(FOLDER)
    }

    /// The file of a document.
    ///
    /// # Errors
    /// As [`file_in`].
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf> {
        file_in(&self.root, &format!("{name}.age"))
    }

    /// The people of `recipients.toml`.
    pub(crate) fn team(&self) -> Result<Team> {
        Team::load(&self.root)?.ok_or_else(not_made)
    }

    /// That there is a store to write to.
    pub(crate) fn made(&self) -> Result<()> {
        if crate::team::path(&self.root)?.exists() {
            Ok(())
        } else {
            Err(not_made())
        }
    }

    /// The people of `recipients.toml`, if they are those who were confirmed.
    ///
    /// # Errors
    /// `Untrusted` if they have changed: nothing is sealed to anyone unseen.
    pub(crate) fn confirmed_team(&self, pins: &Pins) -> Result<Team> {
        let team = self.team()?;
        match &pins.members {
            Some(members) if members != team.members() => Err(Error::new(
                ErrorKind::Untrusted,
                "recipients.toml has changed: the people this store is sealed to are not those you confirmed",
            )
            .with_hint(crate::open::CONFIRM)),
            _ => Ok(team),
        }
    }
}

/// Why a document that is not there may not be taken for an empty one: it was seen here before.
pub(crate) fn gone(name: &str, pins: &Pins) -> Option<String> {
    let seen = pins.documents.get(name)?;
    Some(format!(
        "{name}.age is gone: generation {} of it was seen here",
        seen.generation
    ))
}

fn not_made() -> Error {
    Error::new(
        ErrorKind::InvalidConfig,
        "there is no .secrets/recipients.toml here",
    )
    .with_hint("run `secrets init`; if the project has one in source control, restore it")
}
