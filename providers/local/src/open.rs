//! From a sealed file to a document that may be believed: opened, signed by somebody confirmed,
//! for the environment asked for, and no older than what was seen.

use std::path::{Path, PathBuf};

use secrets_api::{Dirs, Error, ErrorKind, Result};

use crate::document::Document;
use crate::identity::Identity;
use crate::pins::{Pins, Seen, Shelf};
use crate::team::Team;
use crate::{envelope, hex, seal};

const CONFIRM: &str = "run `secrets trust` to see and accept it";

/// Where a store's files are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) root: PathBuf,
    pub(crate) shelf: Shelf,
}

/// A document that may be believed, as it was found.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) document: Document,
    /// The sealed file's digest; `None` where there is no file.
    pub(crate) digest: Option<String>,
}

impl Place {
    pub(crate) fn new(root: &Path, dirs: &Dirs) -> Self {
        Self {
            root: root.to_owned(),
            shelf: Shelf::new(dirs, root),
        }
    }

    /// The file of a document.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.root.join(".secrets").join(format!("{name}.age"))
    }

    /// Who counts: the people confirmed on this machine, else, at first sight, those of the file.
    pub(crate) fn believed(&self, pins: &Pins) -> Result<Team> {
        match &pins.members {
            Some(members) => Ok(Team::confirmed(members)),
            None => self.team(),
        }
    }

    /// The people of `recipients.toml`.
    pub(crate) fn team(&self) -> Result<Team> {
        Team::load(&self.root)?.ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidConfig,
                "there is no .secrets/recipients.toml here",
            )
            .with_hint("run `secrets init`; if the project has one in source control, restore it")
        })
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
            .with_hint(CONFIRM)),
            _ => Ok(team),
        }
    }
}

/// Opens a file's bytes and decides whether to believe them.
pub(crate) fn believed(
    name: &str,
    bytes: &[u8],
    identity: &Identity,
    pins: &Pins,
    team: &Team,
) -> Result<Loaded> {
    let digest = hex::digest(bytes);
    let plain = seal::open(bytes, identity)?;
    let opened = envelope::open(&plain)?;
    let document = Document::parse(opened.body)?;
    if document.environment != name {
        return Err(Error::new(
            ErrorKind::InvalidData,
            format!("the document {name}.age is the one of another environment, under this name"),
        )
        .with_hint("restore it from source control: `git checkout FILE`"));
    }
    if !pins.accepted.contains(&digest) {
        doubts(
            name,
            &document,
            opened.signer.as_deref(),
            &digest,
            pins,
            team,
        )?;
    }
    Ok(Loaded {
        document,
        digest: Some(digest),
    })
}

/// Why a document may not be believed without a person's word.
fn doubts(
    name: &str,
    document: &Document,
    signer: Option<&str>,
    digest: &str,
    pins: &Pins,
    team: &Team,
) -> Result<()> {
    let untrusted =
        |message: String| Err(Error::new(ErrorKind::Untrusted, message).with_hint(CONFIRM));
    let Some(signer) = signer else {
        return untrusted(format!(
            "{name}.age is signed by nobody: whoever knows your public key can have made it"
        ));
    };
    if team.signer(name, signer).is_none() {
        return untrusted(format!(
            "{name}.age is signed by somebody you have not confirmed ({signer})"
        ));
    }
    match pins.documents.get(name) {
        Some(seen) if document.generation < seen.generation => untrusted(format!(
            "{name}.age is older than what was seen here: generation {}, after {}",
            document.generation, seen.generation
        )),
        Some(seen) if document.generation == seen.generation && *digest != seen.digest => {
            untrusted(format!(
                "{name}.age is another generation {} than the one seen here: two people wrote at once",
                seen.generation
            ))
        }
        _ => Ok(()),
    }
}

impl Loaded {
    /// What was seen by loading it.
    pub(crate) fn seen(&self) -> Option<Seen> {
        let digest = self.digest.clone()?;
        Some(Seen {
            generation: self.document.generation,
            digest,
        })
    }
}
