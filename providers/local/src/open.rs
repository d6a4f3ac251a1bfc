//! From a sealed file to a document that may be believed: opened, signed by somebody confirmed,
//! for the environment asked for, and no older than what was seen.

use secrets_api::{Error, ErrorKind, Result};

use crate::document::Document;
use crate::identity::Identity;
use crate::pins::{Pins, Seen};
use crate::team::{Member, Team};
use crate::{envelope, hex, seal};

/// What to type where a person's word is needed.
pub(crate) const CONFIRM: &str = "run `secrets trust` to see and accept it";

/// A document that may be believed, as it was found.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) document: Document,
    /// The sealed file's digest; `None` where there is no file.
    pub(crate) digest: Option<String>,
}

/// A document as it was found, believed or not.
pub(crate) struct Found {
    document: Document,
    signer: Option<String>,
    digest: String,
}

/// By what a document is judged.
pub(crate) struct Trust<'a> {
    /// What was seen on this machine.
    pub(crate) pins: &'a Pins,
    /// The people of `recipients.toml` as it is now.
    pub(crate) listed: &'a Team,
    /// That it is only being sealed anew.
    pub(crate) resealing: Option<Resealing<'a>>,
}

/// The team has just been changed: what was sealed to the one before is sealed to the one there is now.
#[derive(Clone, Copy)]
pub(crate) struct Resealing<'a> {
    /// The team there was, which was confirmed.
    pub(crate) before: &'a Team,
    /// Somebody who is being removed: what they wrote last is believed this once.
    pub(crate) leaving: Option<&'a Member>,
    /// Somebody who is being added, perhaps once more.
    pub(crate) coming: Option<&'a Member>,
}

impl Trust<'_> {
    /// The id of the store; at first sight that of the file counts.
    fn store(&self) -> Option<&str> {
        match self.pins.members {
            Some(_) => self.pins.store.as_deref(),
            None => self.listed.store(),
        }
    }
}

/// Opens a file's bytes, of whatever environment it says it is. Nothing in it may be used before
/// [`Found::believed`].
///
/// # Errors
/// What no person's word can mend.
pub(crate) fn read(bytes: &[u8], identity: &Identity) -> Result<Found> {
    let plain = seal::open(bytes, identity)?;
    let opened = envelope::open(&plain)?;
    Ok(Found {
        document: Document::parse(opened.body)?,
        signer: opened.signer,
        digest: hex::digest(bytes),
    })
}

/// Opens the bytes of the document `name`, as [`read`] does.
///
/// # Errors
/// As [`read`]; `Untrusted` for another environment's document.
pub(crate) fn open(name: &str, bytes: &[u8], identity: &Identity) -> Result<Found> {
    let found = read(bytes, identity)?;
    if found.document.environment != name {
        return Err(Error::new(
            ErrorKind::Untrusted,
            format!("the document {name}.age is the one of another environment, under this name"),
        )
        .with_hint("restore it from source control: `git checkout FILE`"));
    }
    Ok(found)
}

impl Found {
    /// The document, if it may be believed.
    ///
    /// # Errors
    /// `Untrusted`: a person may accept it.
    pub(crate) fn believed(self, trust: &Trust<'_>) -> Result<Loaded> {
        self.belongs(trust.store())?;
        match self.doubt(trust) {
            Some(doubt) => Err(untrusted(doubt)),
            None => self.vouched(trust),
        }
    }

    /// That it is a document of the store with this id. No person's word stands in for that: it was signed
    /// for other purposes.
    ///
    /// # Errors
    /// `Untrusted`.
    pub(crate) fn belongs(&self, store: Option<&str>) -> Result<()> {
        match self.stranger(store) {
            Some(stranger) => Err(Error::new(ErrorKind::Untrusted, stranger).with_hint(format!(
                "restore both from source control: `git checkout .secrets/recipients.toml .secrets/{}.age`; if the store was made anew, `secrets trust` shows it",
                self.document.environment
            ))),
            None => Ok(()),
        }
    }

    fn stranger(&self, store: Option<&str>) -> Option<String> {
        let is_ours = self.document.store.as_deref() == store;
        (!is_ours).then(|| {
            let name = &self.document.environment;
            format!("{name}.age is a document of another store than that of recipients.toml here")
        })
    }

    /// The document, if somebody confirmed vouches for it: however old it is. For one side of a
    /// merge, never for what a value is read from.
    ///
    /// # Errors
    /// `Untrusted`: a person may accept it.
    pub(crate) fn vouched(self, trust: &Trust<'_>) -> Result<Loaded> {
        self.belongs(trust.store())?;
        if let Some(doubt) = self.unvouched(trust) {
            return Err(untrusted(doubt));
        }
        Ok(Loaded {
            document: self.document,
            digest: Some(self.digest),
        })
    }

    /// All that takes a person's word.
    pub(crate) fn doubts(&self, trust: &Trust<'_>) -> impl Iterator<Item = String> + use<> {
        let doubts = [
            self.unvouched(trust),
            self.overtaken(trust),
            self.for_others(trust),
        ];
        doubts.into_iter().flatten()
    }

    /// The public keys it says it is sealed to.
    pub(crate) fn sealed_to(&self) -> &[String] {
        &self.document.sealed_to
    }

    /// Why it may not be believed without a person's word.
    pub(crate) fn doubt(&self, trust: &Trust<'_>) -> Option<String> {
        self.doubts(trust).next()
    }

    /// Why nobody vouches for it. A person's word stands in for the signature. It does not for the
    /// generation: what was accepted once must not come back after something newer.
    pub(crate) fn unvouched(&self, trust: &Trust<'_>) -> Option<String> {
        let accepted = trust.pins.accepted.contains(&self.digest);
        let signer = || self.doubtful_signer(trust).filter(|_| !accepted);
        self.stranger(trust.store()).or_else(signer)
    }

    /// Why it is not what this machine has seen last, or anything newer.
    pub(crate) fn overtaken(&self, trust: &Trust<'_>) -> Option<String> {
        let name = &self.document.environment;
        let generation = self.document.generation;
        match trust.pins.documents.get(name) {
            Some(seen) if generation < seen.generation => Some(format!(
                "{name}.age is older than what was seen here: generation {generation}, after {}",
                seen.generation
            )),
            Some(seen) if generation == seen.generation && self.digest != seen.digest => {
                Some(format!(
                    "{name}.age is another generation {generation} than the one seen here: two people wrote at once"
                ))
            }
            _ => None,
        }
    }

    /// Why it may have been written for another team: the people it was sealed to are neither those who were
    /// confirmed nor those of the list. Whoever is in two teams has signed for both.
    fn for_others(&self, trust: &Trust<'_>) -> Option<String> {
        let name = &self.document.environment;
        let confirmed = trust.pins.confirmed()?;
        let is_for = |team: &Team| self.document.recipients == team.digest_for(name);
        let before = trust.resealing.map(|resealing| resealing.before);
        let known = is_for(&confirmed) || is_for(trust.listed) || before.is_some_and(is_for);
        let accepted = trust.pins.accepted.contains(&self.digest);
        (!known && !accepted).then(|| {
            format!("{name}.age was sealed to other people than those you confirmed, and those of recipients.toml")
        })
    }

    fn doubtful_signer(&self, trust: &Trust<'_>) -> Option<String> {
        let name = &self.document.environment;
        let Some(signer) = &self.signer else {
            return Some(format!(
                "{name}.age is signed by nobody: whoever knows your public key can have made it"
            ));
        };
        let leaving = trust.resealing.and_then(|resealing| resealing.leaving);
        if leaving.is_some_and(|m| m.signs(name, signer)) {
            return None;
        }
        // At first sight those of the file count.
        let confirmed = trust.pins.members.as_deref();
        let confirmed = confirmed.unwrap_or(trust.listed.members());
        if !confirmed.iter().any(|m| m.signs(name, signer)) {
            return Some(format!(
                "{name}.age is signed by somebody you have not confirmed ({signer})"
            ));
        }
        // Whoever a teammate has removed signs no more, from then on.
        trust.listed.signer(name, signer).is_none().then(|| {
            format!("{name}.age is signed by somebody who is no longer among the people of recipients.toml")
        })
    }

    /// The document and the key that signed it, whatever they are: to be shown, never to be used.
    pub(crate) fn into_parts(self) -> (Document, Option<String>) {
        (self.document, self.signer)
    }

    /// What is recorded once it is believed.
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            generation: self.document.generation,
            digest: self.digest.clone(),
        }
    }
}

fn untrusted(doubt: String) -> Error {
    Error::new(ErrorKind::Untrusted, doubt).with_hint(CONFIRM)
}

impl Loaded {
    /// Whether somebody who had confirmed this whole list has signed it.
    pub(crate) fn vouches_for(&self, team: &Team) -> bool {
        self.document.team == team.digest()
    }

    /// Whether it was sealed to these people.
    pub(crate) fn is_sealed_to(&self, team: &Team) -> bool {
        self.document.recipients == team.digest_for(&self.document.environment)
    }

    /// What was seen by loading it.
    pub(crate) fn seen(&self) -> Option<Seen> {
        let digest = self.digest.clone()?;
        Some(Seen {
            generation: self.document.generation,
            digest,
        })
    }
}
