//! The whole folder `.secrets/`: made once, its team changed, and what somebody else changed in it
//! shown and accepted.

use std::path::Path;

use secrets_api::{Dirs, Error, ErrorKind, KeySource, Name, Result};
use secrets_platform::files;

use crate::document::{Document, Kept};
use crate::hex;
use crate::identity::Identity;
use crate::open::{self, Resealing, Trust};
use crate::pins::{Pins, Seen};
use crate::place::{self, Place};
use crate::provider::Local;
use crate::team::{self, Member, Team};

/// What `.secrets/.gitattributes` says.
const ATTRIBUTES: &[u8] = b"*.age -text\nrecipients.toml -text\n";

/// A project's local store as a whole.
#[derive(Clone)]
pub struct Folder {
    pub(crate) place: Place,
    pub(crate) identity: KeySource,
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Folder")
            .field("root", &self.place.root)
            .finish_non_exhaustive()
    }
}

/// Whether a store was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// Just now.
    Now,
    /// It was there, and was left alone.
    Before,
}

/// What became of one document when the team changed.
#[derive(Debug)]
pub struct Resealed {
    /// The environment.
    pub environment: String,
    /// Whether it is sealed to the new team.
    pub outcome: Result<()>,
}

/// What became of a removal.
#[derive(Debug)]
pub struct Removed {
    /// The documents.
    pub resealed: Vec<Resealed>,
    /// What the person has been able to read, by environment.
    pub could_read: Vec<(String, Vec<Name>)>,
    /// Environments they could open and we cannot: what they have read there is not known.
    pub unknown: Vec<String>,
}

/// What waits for a person's word.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Review {
    lines: Vec<String>,
    digest: String,
}

impl Review {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What is to be shown, a line each.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Stands for the document, the people, and what was seen of both when it was shown.
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

impl Folder {
    /// The store of the project in `root`. Does no input or output.
    pub fn new(root: &Path, dirs: &Dirs, identity: KeySource) -> Self {
        Self {
            place: Place::new(root, dirs),
            identity,
        }
    }

    /// Whether it was made.
    pub fn exists(&self) -> bool {
        team::path(&self.place.root).is_ok_and(|path| path.exists())
    }

    /// The people of `recipients.toml`; none, if there is no such file.
    ///
    /// # Errors
    /// `InvalidConfig` for what is broken in it.
    pub fn team(&self) -> Result<Team> {
        Ok(Team::load(&self.place.root)?.unwrap_or_default())
    }

    /// Makes it, sealed to the owner of the identity and, if given, to a recovery key. The owner
    /// may open every environment.
    ///
    /// # Errors
    /// What is wrong with the name or the recovery key; that there is no identity; that there are
    /// documents whose list of people is gone.
    pub fn init(&self, me: &str, recovery: Option<&str>) -> Result<Created> {
        if team::path(&self.place.root)?.exists() {
            return Ok(Created::Before);
        }
        if !self.place.documents().is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                ".secrets holds documents but no recipients.toml: whom they are sealed to is not known",
            )
            .with_hint("restore it from source control: `git checkout .secrets/recipients.toml`"));
        }
        let identity = Identity::parse(&*(self.identity)()?)?;
        let mut members = vec![Member {
            name: me.to_owned(),
            age: identity.recipient(),
            sign: Some(identity.signing_key()),
            environments: vec![team::ALL.to_owned()],
            recovery: false,
        }];
        members.extend(recovery.map(|key| Member {
            name: "recovery".to_owned(),
            age: key.to_owned(),
            sign: None,
            environments: Vec::new(),
            recovery: true,
        }));
        // For everyone who has the code, as the files in it.
        let folder = self.place.folder();
        if !folder.exists() {
            std::fs::create_dir(&folder).map_err(|e| {
                Error::new(
                    ErrorKind::Unexpected,
                    format!("cannot make {}", folder.display()),
                )
                .with_source(e)
            })?;
        }
        // The signatures are over bytes: git must not turn line ends round in them.
        files::update(
            &folder.join(".gitattributes"),
            &files::Options {
                mode_if_new: 0o644,
                ..files::Options::default()
            },
            |now| match now {
                Some(_) => Ok((files::Edit::Keep, ())),
                None => Ok((files::Edit::Replace(ATTRIBUTES.to_vec().into()), ())),
            },
        )?;
        let team = team::update(&self.place.root, None, |list| list.clone_from(&members))?;
        self.pin(&team)?;
        Ok(Created::Now)
    }

    /// Makes an environment's document, empty, unless it is there: from then on one that is missing
    /// is a mistake and not a beginning.
    ///
    /// # Errors
    /// As any write of the store.
    pub fn begin(&self, environment: &str) -> Result<()> {
        self.store(environment).begin()
    }

    fn pin(&self, team: &Team) -> Result<()> {
        self.place.shelf.update(|pins| pins.confirm(team))
    }

    /// The team, confirmed, with the owner of the identity in it.
    fn own_team(&self) -> Result<Team> {
        // At first sight a document that somebody signed may vouch for the list.
        let mut pins = self.place.pins()?;
        if pins.members.is_none() {
            for name in self.place.documents() {
                // One that is not for us vouches for nobody.
                let _ = self.store(&name).load();
            }
            pins = self.place.pins()?;
        }
        if pins.members.is_none() {
            return Err(Error::new(
                ErrorKind::Untrusted,
                "the people of recipients.toml were never confirmed on this machine",
            )
            .with_hint(open::CONFIRM));
        }
        let team = self.place.confirmed_team(&pins)?;
        let identity = Identity::parse(&*(self.identity)()?)?;
        let key = identity.signing_key();
        if !team
            .members()
            .iter()
            .any(|m| !m.recovery && m.sign.as_ref() == Some(&key))
        {
            return Err(Error::new(
                ErrorKind::PermissionDenied,
                "you are not in this team: only someone who is in can change it",
            )
            .with_hint("`secrets identity show` prints what they need to add you"));
        }
        Ok(team)
    }

    /// Adds a person, or widens what one of that name and those keys may open, and seals every
    /// document that concerns them anew.
    ///
    /// # Errors
    /// `Untrusted` if the team is not the one confirmed here; `InvalidConfig` for a name that
    /// somebody else has, or a key that is none. A document that cannot be sealed anew is told in
    /// the answer.
    pub fn add(&self, new: &Member) -> Result<Vec<Resealed>> {
        let before = self.own_team()?;
        if let Some(present) = before.members().iter().find(|m| m.name == new.name)
            && (present.age != new.age
                || present.sign != new.sign
                || present.recovery != new.recovery)
        {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("there is a `{}` with other keys in the team", new.name),
            )
            .with_hint(format!(
                "remove the old one first: secrets team remove {}",
                new.name
            )));
        }
        let same_keys = |m: &&Member| {
            m.name != new.name && (m.age == new.age || (m.sign.is_some() && m.sign == new.sign))
        };
        if let Some(other) = before.members().iter().find(same_keys) {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("these keys are in the team already, as `{}`", other.name),
            )
            .with_hint(format!(
                "a person has one entry: to widen it, add `{}` again with more environments",
                other.name
            )));
        }
        let after = team::update(&self.place.root, Some(&before), |list| {
            match list.iter_mut().find(|m| m.name == new.name) {
                Some(present) => {
                    let more = new
                        .environments
                        .iter()
                        .filter(|e| !present.environments.contains(e))
                        .cloned()
                        .collect::<Vec<_>>();
                    present.environments.extend(more);
                }
                None => list.push(new.clone()),
            }
        })?;
        self.pin(&after)?;
        let resealing = Resealing {
            before: &before,
            leaving: None,
            coming: Some(new),
        };
        Ok(self.reseal(resealing, |environment| new.opens(environment)))
    }

    /// Removes a person and seals every document they could open anew. What they have read they
    /// keep: the answer says what that is.
    ///
    /// # Errors
    /// As [`Folder::add`]; `InvalidConfig` for somebody who is not there, and for oneself.
    pub fn remove(&self, name: &str) -> Result<Removed> {
        let before = self.own_team()?;
        let Some(member) = before.members().iter().find(|m| m.name == name).cloned() else {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                format!("there is no `{name}` in the team"),
            ));
        };
        let identity = Identity::parse(&*(self.identity)()?)?;
        if member.sign == Some(identity.signing_key()) {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "you cannot remove yourself: you could not seal the store anew",
            )
            .with_hint("someone else who is in does it"));
        }
        let (mut could_read, mut unknown) = (Vec::new(), Vec::new());
        for environment in self
            .place
            .documents()
            .into_iter()
            .filter(|e| member.opens(e))
        {
            match self.store(&environment).load() {
                Ok(loaded) => {
                    let names = loaded.iter().flat_map(|l| held(&l.document)).collect();
                    could_read.push((environment, names));
                }
                Err(_) => unknown.push(environment),
            }
        }
        could_read.retain(|(_, names): &(_, Vec<Name>)| !names.is_empty());
        let after = team::update(&self.place.root, Some(&before), |list| {
            list.retain(|m| m.name != name)
        })?;
        self.pin(&after)?;
        let resealing = Resealing {
            before: &before,
            leaving: Some(&member),
            coming: None,
        };
        Ok(Removed {
            resealed: self.reseal(resealing, |environment| member.opens(environment)),
            could_read,
            unknown,
        })
    }

    pub(crate) fn store(&self, name: &str) -> Local {
        Local {
            location: format!("local:{name}"),
            name: name.to_owned(),
            place: self.place.clone(),
            identity: std::sync::Arc::clone(&self.identity),
            history: usize::MAX,
        }
    }

    fn reseal(&self, resealing: Resealing<'_>, concerned: impl Fn(&str) -> bool) -> Vec<Resealed> {
        let documents = self
            .place
            .documents()
            .into_iter()
            .filter(|name| concerned(name));
        documents
            .map(|name| Resealed {
                outcome: self.store(&name).reseal(resealing),
                environment: name,
            })
            .collect()
    }

    /// The documents that keep what was replaced elsewhere: those that are there, or were seen here.
    ///
    /// # Errors
    /// If the record of what was seen cannot be read.
    pub fn replaced(&self) -> Result<Vec<String>> {
        let seen = self.place.pins()?.documents.into_keys();
        let mut names: Vec<String> = seen.chain(self.place.documents()).collect();
        names.retain(|name| name.ends_with(team::REPLACED));
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// What of this document, and of the team, waits for a person's word.
    ///
    /// # Errors
    /// What no word can mend: a broken file, another environment's document.
    pub fn review(&self, name: &str) -> Result<Review> {
        Ok(self.survey(name)?.map(|s| s.review).unwrap_or_default())
    }

    /// Accepts what the review with this digest showed.
    ///
    /// # Errors
    /// `Conflict` if the review would now show something else.
    pub fn accept(&self, name: &str, digest: &str) -> Result<()> {
        // Read once: what is recorded is what was compared.
        let survey = self.survey(name)?.filter(|s| s.review.digest == digest);
        let Some(Survey {
            team, found, gone, ..
        }) = survey
        else {
            return Err(Error::new(
                ErrorKind::Conflict,
                "what waits for your word has changed meanwhile",
            )
            .with_hint("run `secrets trust` again"));
        };
        self.place.shelf.update(|pins| {
            match &team {
                Some(team) => pins.confirm(team),
                None => pins.members = None,
            }
            if let Some(seen) = &found {
                pins.accepted.retain(|accepted| *accepted != seen.digest);
                pins.accepted.insert(0, seen.digest.clone());
                pins.documents.insert(name.to_owned(), seen.clone());
            } else if gone {
                pins.documents.remove(name);
            }
        })
    }

    /// Takes back every word given for a document that nobody known had signed. The people, and the
    /// generations seen, stay: forgetting those would let older ones pass.
    ///
    /// # Errors
    /// If the record cannot be written.
    pub fn forget_accepted(&self) -> Result<()> {
        if self.place.pins()?.accepted.is_empty() {
            return Ok(());
        }
        self.place.shelf.update(|pins| pins.accepted.clear())
    }

    /// Looks at the people and, as far as the identity opens it, at one document. `None` where
    /// there is no store and was none.
    fn survey(&self, name: &str) -> Result<Option<Survey>> {
        let pins = self.place.pins()?;
        let contents = files::read(&self.place.file(name)?)?;
        let listed = Team::load(&self.place.root)?;
        if listed.is_none() && place::gone(name, &pins).is_none() {
            return Ok(None);
        }
        let made = listed.is_some();
        let team = listed.unwrap_or_default();
        let sealed = contents.as_ref().map(|c| hex::digest(&c.bytes));
        let found = contents.map(|c| {
            let identity = Identity::parse(&*(self.identity)()?)?;
            open::open(name, &c.bytes, &identity)
        });
        // Somebody who cannot open it has nothing to say about it.
        let found = match found.transpose() {
            Err(error) if error.kind() == ErrorKind::Unauthenticated => None,
            other => other?,
        };
        let trust = Trust {
            pins: &pins,
            listed: &team,
            resealing: None,
        };
        let is_another = pins.members.is_some() && pins.store.as_deref() != team.store();
        match &found {
            // Judged by the list that lies there: that it is another one is what is shown.
            Some(found) => found.belongs(team.store())?,
            // Nothing there shows that the new id is right.
            None if is_another && !self.place.documents().is_empty() => return Ok(None),
            None => {}
        }
        let mut lines = people(&pins, &team);
        if let Some(store) = team.store()
            && !lines.is_empty()
            && let Some(root) = self.place.shelf.known_from(store)?
        {
            lines.insert(0, format!("it says it is the store of {root}"));
        }
        if let Some(found) = &found {
            lines.extend(found.doubts(&trust));
            let there = found.sealed_to();
            let members = team.members().iter().filter(|m| m.opens(name));
            let more = members.filter(|m| !there.is_empty() && !there.contains(&m.age));
            let more: Vec<&str> = more.map(|m| m.name.as_str()).collect();
            if !lines.is_empty() && !more.is_empty() {
                let more = more.join(", ");
                lines.push(format!(
                    "{name}.age is not sealed to {more}: the next write seals it to them"
                ));
            }
        }
        let gone = sealed.is_none().then(|| place::gone(name, &pins)).flatten();
        lines.extend(gone.clone());
        // Not over the lines: the same people, accepted with one document, are no longer news
        // when the next one is accepted in the same breath.
        let seen = pins.documents.get(name);
        let digest = hex::digest_parts([
            "secrets-local-review/1",
            name,
            sealed.as_deref().unwrap_or_default(),
            &team.digest(),
            &seen.map_or(0, |seen| seen.generation).to_string(),
            seen.map_or("", |seen| &seen.digest),
        ]);
        Ok(Some(Survey {
            review: Review { lines, digest },
            found: found.map(|found| found.seen()),
            gone: gone.is_some(),
            team: made.then_some(team),
        }))
    }
}

/// A review, and what it is about.
struct Survey {
    review: Review,
    /// The people; `None` where the list of them is gone with the documents.
    team: Option<Team>,
    found: Option<Seen>,
    /// The document was seen and is not there any more.
    gone: bool,
}

/// The names that have a value in any state that is kept: a deleted one was read before.
fn held(document: &Document) -> impl Iterator<Item = Name> {
    let held = document
        .secrets
        .iter()
        .filter(|(_, states)| states.iter().any(|s| matches!(s.value, Kept::Value(_))));
    held.filter_map(|(name, _)| Name::new(name).ok())
}

/// How the people differ from those who were confirmed.
fn people(pins: &Pins, team: &Team) -> Vec<String> {
    let Some(confirmed) = &pins.members else {
        let members = team.members().iter();
        return members
            .map(|member| format!("never seen on this machine: {}", member.line()))
            .collect();
    };
    let mut lines = Vec::new();
    if pins.store.as_deref() != team.store() {
        lines.push("the id of the store is another one".to_owned());
    }
    for member in team.members() {
        match confirmed.iter().find(|m| m.name == member.name) {
            None => lines.push(format!("new: {}", member.line())),
            Some(before) if before != member => lines.push(format!(
                "changed: {} (was {})",
                member.line(),
                before.line()
            )),
            Some(_) => {}
        }
    }
    let gone = confirmed
        .iter()
        .filter(|m| !team.members().iter().any(|n| n.name == m.name));
    lines.extend(gone.map(|member| format!("gone: {}", member.line())));
    if lines.is_empty() && confirmed.as_slice() != team.members() {
        lines.push("the same people, in another order".to_owned());
    }
    lines
}
