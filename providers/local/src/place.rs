//! Where a store's files are, and what of them may be used: the people, if they were confirmed; no
//! document that was seen and has vanished.

use std::path::{Path, PathBuf};

use secrets_api::{Dirs, Error, ErrorKind, Result};

use crate::inside::{self, is_plain};
use crate::pins::{Pins, Shelf};
use crate::team::{REPLACED, Team};

/// A project's folder, and what this machine remembers of the store in it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) shelf: Shelf,
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
        self.root.join(inside::FOLDER)
    }

    /// The file of a document.
    ///
    /// # Errors
    /// As [`inside::file`].
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf> {
        inside::file(&self.root, &format!("{name}.age"))
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

    /// The documents that are there, sorted.
    pub(crate) fn documents(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder())
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| {
                let name: PathBuf = entry.file_name().into();
                let stem = name.file_stem()?.to_str()?.to_owned();
                (name.extension()? == "age" && is_plain(&stem)).then_some(stem)
            })
            .collect();
        names.sort();
        names
    }

    /// What this machine has seen.
    ///
    /// # Errors
    /// As [`Shelf::load`].
    pub(crate) fn pins(&self) -> Result<Pins> {
        self.shelf.load(|| {
            // What is wrong with the list is for whoever needs it to say.
            let listed = Team::load(&self.root).ok().flatten()?;
            listed.store().map(ToOwned::to_owned)
        })
    }

    /// The people of `recipients.toml`, if they are those who were confirmed; at first sight, whoever they
    /// are.
    ///
    /// # Errors
    /// `Untrusted` if they have changed: nothing is sealed to anyone unseen.
    pub(crate) fn confirmed_team(&self, pins: &Pins) -> Result<Team> {
        let team = self.team()?;
        match pins.confirmed() {
            Some(confirmed) if confirmed != team => Err(Error::new(
                ErrorKind::Untrusted,
                "recipients.toml has changed: the people this store is sealed to are not those you confirmed",
            )
            .with_hint(crate::open::CONFIRM)),
            _ => Ok(team),
        }
    }
}

/// Why a document that is not there may not be taken for an empty one: it was seen here before. What keeps
/// replaced values is not in source control, and nothing is read from it: it may begin anew.
pub(crate) fn gone(name: &str, pins: &Pins) -> Option<String> {
    let seen = pins.documents.get(name);
    let seen = seen.filter(|_| !name.ends_with(REPLACED))?;
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
