//! A document that two branches of source control have changed: the one that holds both. What each
//! side says counts only if somebody confirmed has signed it, and nothing is recorded here: what is
//! merged may be thrown away again, and is seen once it lies in its place.
//!
//! A branch may well be older than what was seen on this machine, and a rebase has the sides the
//! other way round and one commit after the other. If one of the two is no older than what was seen,
//! whichever it is, what becomes of them is the newest there is; if both are older, so is what becomes of
//! them: our signature must not make two old documents new. What an older one may not do is to bring
//! back what was replaced: see `unite`.

use secrets_api::{Error, ErrorKind, Name, Result};

use crate::document::Document;
use crate::folder::Folder;
use crate::identity::Identity;
use crate::open::{self, Trust};
use crate::provider::Local;
use crate::seal;
use crate::sealer::Sealer;
use crate::team::Team;
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
    /// Why what became of it counts as old on this machine, if both sides do.
    pub overtaken: Option<String>,
    /// Whether theirs is sealed to people who are not confirmed here: they cannot open what became of it.
    pub leaves_out: bool,
}

impl Merged {
    fn whole(bytes: &[u8], taken: Vec<Name>) -> Self {
        Self {
            bytes: bytes.to_vec(),
            conflicts: Vec::new(),
            taken,
            without_ancestor: None,
            overtaken: None,
            leaves_out: false,
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
    doubt: Option<String>,
}

impl Folder {
    /// Merges two branches of an environment's document by name, each given as the bytes of its
    /// file, and what both come from, if anything is. `choose` is asked for each name in which the two
    /// have parted; of the others the later state is taken. Histories are united. The answer is sealed
    /// to the people of `recipients.toml` as it is now, and signed by us. Records nothing.
    ///
    /// An ancestor that cannot be opened or believed counts as none. Of two sides that are both older than
    /// what was seen here comes a document that is no newer than they are.
    ///
    /// # Errors
    /// `Untrusted` if nobody confirmed has signed a side, if the store was never seen here, if the team is
    /// not the confirmed one, or if a branch is no longer sealed to somebody of `recipients.toml`; `Unauthenticated` for who
    /// cannot open both or may not sign; `InvalidData` for what is broken.
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
        let pins = self.place.pins()?;
        if pins.members.is_none() {
            // Whoever can push puts a folder anywhere; git calls us for each.
            return Err(Error::new(
                ErrorKind::Untrusted,
                "this store was never seen on this machine: nothing is signed in it unasked",
            )
            .with_hint("run `secrets trust` in its folder first"));
        }
        let team = self.place.confirmed_team(&pins)?;
        let trust = Trust {
            pins: &pins,
            listed: &team,
            leaving: None,
        };
        let one = self.signed("ours", ours, &identity, &trust)?;
        let other = self.signed("theirs", theirs, &identity, &trust)?;
        let overtaken = one.overtaken.clone().filter(|_| other.overtaken.is_some());
        if ancestor == Some(ours)
            && one.document.generation < other.document.generation
            && unite::comes_from(&one.document, &other.document)
        {
            let taken = unite::differing(&one.document, &other.document);
            return Ok(Merged {
                overtaken,
                ..Merged::whole(theirs, taken)
            });
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
        let sides = (&one.document, &other.document);
        self.nobody_was_removed(&team, sides, base.document.as_ref())?;
        let whole = (one.overtaken.is_none() || overtaken.is_some())
            && one.document.recipients == people
            && other.document.generation <= one.document.generation;
        let highest = one.document.generation.max(other.document.generation);
        let keys = team.recipients(&self.name);
        let leaves_out = other
            .document
            .sealed_to
            .iter()
            .any(|key| !keys.contains(key));
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
        let bytes = match &overtaken {
            _ if !changed && whole => ours.to_vec(),
            // No newer than they are, wherever it is read: also where less was seen than here.
            Some(_) => sealer.seal_as(highest, document, one.digest)?.0,
            None => sealer.seal(document, one.digest)?.0,
        };
        Ok(Merged {
            bytes,
            conflicts,
            taken,
            without_ancestor: base.doubt,
            overtaken,
            leaves_out,
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
            let hint = match (error.kind(), side) {
                // Ours lies in the working tree, where `secrets trust` looks.
                (ErrorKind::Untrusted, "theirs") => Some(format!(
                    "if recipients.toml was merged too, run `secrets trust`; else look at theirs by itself: `git checkout --theirs .secrets/{}.age`, `secrets trust`",
                    self.name
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
        match found.vouched(trust) {
            Ok(loaded) => Base {
                document: Some(loaded.document),
                doubt: None,
            },
            Err(error) => Base {
                document: None,
                doubt: Some(error.message().to_owned()),
            },
        }
    }

    /// That nobody is among the people it will be sealed to whom a branch has removed, which `recipients.toml`
    /// here does not show: what was written there since must not be sealed to them. Who is on one branch
    /// alone was added there only if it is known that they were not in before.
    fn nobody_was_removed(
        &self,
        team: &Team,
        (ours, theirs): (&Document, &Document),
        base: Option<&Document>,
    ) -> Result<()> {
        let is_in = |document: &Document, key: &String| document.sealed_to.contains(key);
        let members = team.members().iter().filter(|m| m.opens(&self.name));
        let mut removed = members.filter_map(|member| {
            let key = &member.age;
            let had = base.is_none_or(|base| is_in(base, key));
            match (is_in(ours, key), is_in(theirs, key)) {
                (true, true) => None,
                (false, false) => Some(("neither side", member)),
                (true, false) => had.then_some(("theirs", member)),
                (false, true) => had.then_some(("ours", member)),
            }
        });
        let Some((side, member)) = removed.next() else {
            return Ok(());
        };
        let is_not = if side == "neither side" {
            "is"
        } else {
            "is not"
        };
        let (name, file) = (&member.name, &self.name);
        let message = format!(
            "{side}: {file}.age {is_not} sealed to {name}, who is in recipients.toml here and may have been removed there"
        );
        Err(Error::new(ErrorKind::Untrusted, message).with_hint(
            "merge recipients.toml first and run `secrets trust`; who was added without `secrets team add` is sealed to by the next `secrets set` before the merge",
        ))
    }
}
