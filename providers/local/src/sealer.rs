//! Who seals a document, to whom, and as which generation. Both ways to a new document end here: a
//! write, and a merge of two.

use secrets_api::{Error, ErrorKind, Result, Timestamp};

use crate::document::Document;
use crate::identity::Identity;
use crate::pins::{Pins, Seen};
use crate::team::Team;
use crate::{envelope, hex, seal};

/// Somebody who may sign a document, the people it is sealed to, and what was seen of it.
pub(crate) struct Sealer<'a> {
    identity: &'a Identity,
    name: &'a str,
    /// What we are called in `recipients.toml`.
    me: String,
    pub(crate) pins: Pins,
    pub(crate) team: Team,
}

impl<'a> Sealer<'a> {
    /// For the document `name`. The team has to be the confirmed one.
    ///
    /// # Errors
    /// `Unauthenticated` for who may not sign it.
    pub(crate) fn new(
        name: &'a str,
        identity: &'a Identity,
        pins: Pins,
        team: Team,
    ) -> Result<Self> {
        let Some(me) = team.signer(name, &identity.signing_key()) else {
            return Err(Error::new(
                ErrorKind::Unauthenticated,
                format!("you are not among the people of `{name}` in recipients.toml"),
            )
            .with_hint("someone who is in adds you: `secrets identity show`, then they run `secrets team add`"));
        };
        Ok(Self {
            identity,
            name,
            me: me.name.clone(),
            pins,
            team,
        })
    }

    /// What we are called.
    pub(crate) fn me(&self) -> &str {
        &self.me
    }

    /// Signs and seals what was made of a document of `document.generation`, whose sealed file has
    /// the digest `parent`: as one generation more than that, and than what was seen.
    ///
    /// # Errors
    /// `InvalidData` where there is no further generation.
    pub(crate) fn seal(
        &self,
        document: Document,
        parent: Option<String>,
    ) -> Result<(Vec<u8>, Seen)> {
        // Never below what was seen: a document that vanished and is made anew must not look old.
        let seen = self.pins.documents.get(self.name);
        let newest = document
            .generation
            .max(seen.map_or(0, |seen| seen.generation));
        let generation = newest.checked_add(1).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidData,
                format!("{}.age is of the last generation there can be", self.name),
            )
            .with_hint("restore an earlier one from source control, then run `secrets trust`")
        })?;
        self.seal_as(generation, document, parent)
    }

    /// Who it is sealed to from now on, and who was before.
    fn seal_to_the_team(&self, document: &mut Document) {
        let mut keys = self.team.recipients(self.name);
        keys.sort_unstable();
        let before = std::mem::replace(&mut document.sealed_to, keys);
        document.removed.extend(before);
        let now = &document.sealed_to;
        document.removed.retain(|key| !now.contains(key));
        document.removed.sort_unstable();
        document.removed.dedup();
        // Whoever has confirmed nobody vouches for nobody who was not vouched for.
        if self.pins.members.is_some() || document.team.is_empty() {
            document.team = self.team.digest();
        }
    }

    /// The same as a generation that is given: for what must not pass as the newest.
    pub(crate) fn seal_as(
        &self,
        generation: u64,
        mut document: Document,
        parent: Option<String>,
    ) -> Result<(Vec<u8>, Seen)> {
        document.generation = generation;
        document.parent = parent;
        document.store = self.team.store().map(ToOwned::to_owned);
        document.recipients = self.team.digest_for(self.name);
        self.seal_to_the_team(&mut document);
        document.written = Timestamp::now();
        self.me.clone_into(&mut document.author);
        let signed = envelope::sign(&document.to_bytes()?, self.identity)?;
        let bytes = seal::seal(&signed, &self.team.recipients(self.name))?;
        let seen = Seen {
            generation: document.generation,
            digest: hex::digest(&bytes),
        };
        Ok((bytes, seen))
    }
}
