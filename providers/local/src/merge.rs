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
use crate::pins::Pins;
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
}

impl Merged {
    fn whole(bytes: &[u8], taken: Vec<Name>) -> Self {
        Self {
            bytes: bytes.to_vec(),
            conflicts: Vec::new(),
            taken,
            without_ancestor: None,
            overtaken: None,
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
        if pins.members.is_none() || pins.elsewhere.is_some() {
            // Whoever can push puts a folder anywhere; git calls us for each.
            return Err(Error::new(
                ErrorKind::Untrusted,
                "nobody has looked into this folder's store on this machine: nothing is signed in it unasked",
            )
            .with_hint(format!(
                "run `secrets list --store local:{}` in that folder first; if it is still refused, `secrets trust`",
                self.name
            )));
        }
        let team = self.place.confirmed_team(&pins)?;
        let trust = Trust {
            pins: &pins,
            listed: &team,
            resealing: None,
        };
        let one = self.signed("ours", ours, &identity, &trust)?;
        let other = self.signed("theirs", theirs, &identity, &trust)?;
        let ceiling = self.ceiling(&pins, [&one, &other])?;
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
        self.for_us("theirs", &team, &other.document, &one.document)?;
        // What was read here was judged then.
        let was_seen =
            pins.documents.get(&self.name).map(|seen| &seen.digest) == one.digest.as_ref();
        if !was_seen {
            self.for_us("ours", &team, &one.document, &other.document)?;
        }
        self.nobody_was_removed(&team, &one.document, &other.document)?;
        let whole = (one.overtaken.is_none() || overtaken.is_some())
            && one.document.recipients == people
            && other.document.generation <= one.document.generation;
        let highest = one.document.generation.max(other.document.generation);
        let sealer = Sealer::new(&self.name, &identity, pins, team)?;
        let removed: Vec<String> = [&one.document, &other.document]
            .into_iter()
            .chain(&base.document)
            .flat_map(|document| document.removed.iter().cloned())
            .collect();
        let United {
            mut document,
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
        document.removed = removed;
        // No newer than they are, wherever it is read: also where less was seen than here.
        let generation = match (&overtaken, ceiling) {
            (Some(_), _) => Some(highest),
            (None, Some(ceiling)) => Some(highest.saturating_add(1).min(ceiling)),
            (None, None) => None,
        };
        let bytes = match generation {
            _ if !changed && whole => ours.to_vec(),
            Some(generation) => sealer.seal_as(generation, document, one.digest)?.0,
            None => sealer.seal(document, one.digest)?.0,
        };
        Ok(Merged {
            bytes,
            conflicts,
            taken,
            without_ancestor: base.doubt,
            overtaken,
        })
    }

    /// The generation that what becomes of two sides may not pass: the one before the newest that was seen in
    /// another folder of this store, if both are older than that. Our signature must not make them new there.
    fn ceiling(&self, pins: &Pins, sides: [&Signed; 2]) -> Result<Option<u64>> {
        let newest = self.place.shelf.newest(pins, &self.name)?;
        let newest = newest.filter(|newest| {
            let is_it = |side: &Signed| side.digest.as_ref() == Some(&newest.digest);
            let is_newer = |side: &Signed| side.document.generation > newest.generation;
            !sides.iter().any(|side| is_it(side) || is_newer(side))
        });
        Ok(newest.map(|newest| newest.generation.saturating_sub(1)))
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

    /// That a side was sealed to nobody but people there are now, or whom the other side knows: else it is of a
    /// branch whose `recipients.toml` is not merged yet, or of another team.
    fn for_us(&self, side: &str, team: &Team, one: &Document, other: &Document) -> Result<()> {
        let keys = team.recipients(&self.name);
        let is_known = |key: &String| {
            keys.contains(key) || other.sealed_to.contains(key) || other.removed.contains(key)
        };
        if !one.sealed_to.is_empty() && one.sealed_to.iter().all(is_known) {
            return Ok(());
        }
        let message = format!(
            "{side}: {}.age is sealed to other people than those of recipients.toml here",
            self.name
        );
        Err(Error::new(ErrorKind::Untrusted, message)
            .with_hint("merge recipients.toml first and run `secrets trust`"))
    }

    /// That nobody is among the people it will be sealed to who was removed once, which `recipients.toml` here
    /// does not show: what was written since must not be sealed to them.
    fn nobody_was_removed(&self, team: &Team, ours: &Document, theirs: &Document) -> Result<()> {
        let members = team.members().iter().filter(|m| m.opens(&self.name));
        let mut removed = members.filter(|member| {
            let sides = [ours, theirs];
            let is_on_both = sides.iter().all(|d| d.sealed_to.contains(&member.age));
            // One that does not say so was sealed before that was written down.
            let is_removed =
                |d: &&Document| d.sealed_to.is_empty() || d.removed.contains(&member.age);
            !is_on_both && sides.iter().any(is_removed)
        });
        let Some(member) = removed.next() else {
            return Ok(());
        };
        let message = format!(
            "{} is in recipients.toml here, and {}.age was sealed anew without them on one of the two branches",
            member.name, self.name
        );
        Err(Error::new(ErrorKind::Untrusted, message).with_hint(
            "merge recipients.toml first and run `secrets trust`; whoever is to be in again is added on the other branch too (`secrets team add`)",
        ))
    }
}
