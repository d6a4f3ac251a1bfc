//! A document that two branches of source control have changed: the one that holds both. What each
//! side says counts only if somebody confirmed has signed it, and nothing is recorded here: what is
//! merged may be thrown away again, and is seen once it lies in its place.
//!
//! A branch may well be older than what was seen on this machine, and a rebase has the sides the
//! other way round. So one of the two has to be no older than what was seen, whichever it is: else the
//! merge would put our own signature and a new generation under two old documents. What the other
//! one may not do is to bring back what was replaced: see `unite`.

use secrets_api::{Error, ErrorKind, Name, Result};

use crate::document::Document;
use crate::folder::Folder;
use crate::identity::Identity;
use crate::open::{self, Trust};
use crate::provider::Local;
use crate::seal;
use crate::sealer::Sealer;
use crate::unite::{self, Clash, Pick, Sides, Standing, Standings, United};

/// What became of a merge.
#[derive(Debug)]
pub struct Merged {
    /// The document, sealed.
    pub bytes: Vec<u8>,
    /// What a person has to choose: nothing of it is lost.
    pub conflicts: Vec<Clash>,
    /// The names whose state is now theirs.
    pub taken: Vec<Name>,
    /// Why what both come from was left out of account, if it was: more is a conflict then.
    pub without_ancestor: Option<String>,
}

impl Merged {
    fn whole(bytes: &[u8], taken: Vec<Name>) -> Self {
        Self {
            bytes: bytes.to_vec(),
            conflicts: Vec::new(),
            taken,
            without_ancestor: None,
        }
    }
}

/// One side, signed by somebody confirmed.
struct Signed {
    document: Document,
    digest: Option<String>,
    /// Why it is not the newest that was seen here.
    overtaken: Option<String>,
}

/// What both come from, as far as it is known.
#[derive(Default)]
struct Base {
    /// `None` if it cannot be believed.
    document: Option<Document>,
    /// The digest of the people it says it is sealed to, believed or not.
    people: Option<String>,
    doubt: Option<String>,
}

impl Folder {
    /// Merges two branches of an environment's document by name, each given as the bytes of its
    /// file, and what both come from, if anything is. `choose` is asked for each name in which the two
    /// have parted; of the others the later state is taken. Histories are united. The answer is sealed
    /// to the people of `recipients.toml` as it is now, and signed by us. Records nothing.
    ///
    /// An ancestor that cannot be opened or believed counts as none.
    ///
    /// # Errors
    /// `Untrusted` if nobody confirmed has signed a side, if both are older than what was seen here, if
    /// the team is not the confirmed one, or if theirs is sealed to people who are not yet those of
    /// `recipients.toml`; `Unauthenticated` for who cannot open both or may not sign; `InvalidData`
    /// for what is broken.
    pub fn merge(
        &self,
        environment: &str,
        ancestor: Option<&[u8]>,
        ours: &[u8],
        theirs: &[u8],
        choose: &mut dyn FnMut(&Name, &Sides<'_>) -> Pick,
    ) -> Result<Merged> {
        let store = self.store(environment);
        store
            .merge(ancestor.filter(|b| !b.is_empty()), ours, theirs, choose)
            .map_err(|e| store.at(e))
    }
}

impl Local {
    fn merge(
        &self,
        ancestor: Option<&[u8]>,
        ours: &[u8],
        theirs: &[u8],
        choose: &mut dyn FnMut(&Name, &Sides<'_>) -> Pick,
    ) -> Result<Merged> {
        seal::unmarked(ours)?;
        if ours == theirs || ancestor == Some(theirs) {
            return Ok(Merged::whole(ours, Vec::new()));
        }
        let identity = self.identity()?;
        let pins = self.place.shelf.load()?;
        let team = self.place.confirmed_team(&pins)?;
        let trust = Trust {
            pins: &pins,
            listed: &team,
            leaving: None,
        };
        let one = self.signed("ours", ours, &identity, &trust)?;
        let other = self.signed("theirs", theirs, &identity, &trust)?;
        if let (Some(doubt), Some(_)) = (&one.overtaken, &other.overtaken) {
            return Err(Error::new(
                ErrorKind::Untrusted,
                format!("neither side is the newest that was seen here: {doubt}"),
            )
            .with_hint(self.again("if that is meant, run `secrets trust`")));
        }
        // One of the two is no older than what was seen: so theirs, being newer than ours, is not.
        if ancestor == Some(ours)
            && one.document.generation < other.document.generation
            && unite::comes_from(&one.document, &other.document)
        {
            let taken = unite::differing(&one.document, &other.document);
            return Ok(Merged::whole(theirs, taken));
        }
        let base = ancestor.map_or_else(Base::default, |bytes| self.base(bytes, &identity, &trust));
        let behind = |document: &Document| {
            let generation = base.document.as_ref().map(|base| base.generation);
            generation.is_some_and(|generation| document.generation <= generation)
        };
        let standings = Standings {
            ours: Standing {
                behind: ancestor != Some(ours) && behind(&one.document),
                dated: one.overtaken.is_some(),
            },
            theirs: Standing {
                behind: behind(&other.document),
                dated: true,
            },
        };
        let people = team.digest_for(&self.name);
        self.people_are_merged(&people, &one.document, &other.document, &base)?;
        let whole = one.overtaken.is_none()
            && one.document.recipients == people
            && other.document.generation <= one.document.generation;
        let sealer = Sealer::new(&self.name, &identity, pins, team)?;
        let United {
            document,
            changed,
            conflicts,
            taken,
        } = unite::unite(
            sealer.me(),
            base.document.as_ref(),
            one.document,
            other.document,
            standings,
            choose,
        )?;
        let bytes = if !changed && whole {
            ours.to_vec()
        } else {
            sealer.seal(document, one.digest)?.0
        };
        Ok(Merged {
            bytes,
            conflicts,
            taken,
            without_ancestor: base.doubt,
        })
    }

    /// Opens one side. How old it is, is for the caller to judge.
    fn signed(
        &self,
        side: &str,
        bytes: &[u8],
        identity: &Identity,
        trust: &Trust<'_>,
    ) -> Result<Signed> {
        let told = |error: Error| {
            let hint = match error.kind() {
                ErrorKind::Untrusted => Some(self.again(
                    "if recipients.toml was merged too, run `secrets trust`; else look at that branch first: `git switch` to it, then `secrets trust`",
                )),
                _ => error.hint().map(str::to_owned),
            };
            let told = Error::new(error.kind(), format!("{side}: {}", error.message()));
            match hint {
                Some(hint) => told.with_hint(hint),
                None => told,
            }
        };
        let found = open::open(&self.name, bytes, identity).map_err(told)?;
        let overtaken = found.overtaken(trust);
        let loaded = found.vouched(trust).map_err(told)?;
        Ok(Signed {
            document: loaded.document,
            digest: loaded.digest,
            overtaken,
        })
    }

    /// What both come from. Somebody who came later cannot open it, and somebody who has left since
    /// may have signed it: without it less is settled and more is asked, so it is done without.
    fn base(&self, bytes: &[u8], identity: &Identity, trust: &Trust<'_>) -> Base {
        let found = match open::open(&self.name, bytes, identity) {
            Ok(found) => found,
            Err(error) => {
                return Base {
                    doubt: Some(error.message().to_owned()),
                    ..Base::default()
                };
            }
        };
        let people = Some(found.people().to_owned());
        match found.vouched(trust) {
            Ok(loaded) => Base {
                document: Some(loaded.document),
                people,
                doubt: None,
            },
            Err(error) => Base {
                document: None,
                people,
                doubt: Some(error.message().to_owned()),
            },
        }
    }

    /// That theirs is not sealed to other people than ours because the team was changed there, which
    /// `recipients.toml` here does not show yet: what was written there after somebody was removed
    /// must not be sealed to them.
    fn people_are_merged(
        &self,
        people: &str,
        ours: &Document,
        theirs: &Document,
        base: &Base,
    ) -> Result<()> {
        let there = &theirs.recipients;
        if people != ours.recipients || people == there || base.people.as_ref() == Some(there) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Untrusted,
            format!("theirs: {}.age is sealed to other people than those of recipients.toml here, who may have been removed there", self.name),
        )
        .with_hint(self.again("merge recipients.toml first and run `secrets trust`")))
    }

    /// What to do first, and that it is then merged again.
    fn again(&self, first: &str) -> String {
        format!(
            "{first}; then merge it again: `git checkout --merge .secrets/{}.age`",
            self.name
        )
    }
}
