//! One document as a store.
//!
//! Its calls do their input and output at once, without a runtime: opening a document takes less
//! than a millisecond.

use std::sync::Arc;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, KeySource, Leasing, Limits, Lookup,
    Meta, Name, Op, Opening, Poll, Precondition, Provider, ProviderExt as _, Report, Result,
    Revision, SecretValue, Select, Snapshot, Staging, Stored, Unit, Values, Version, Written,
    async_trait,
};
use secrets_platform::files::{self, Contents, Edit, Options};

use crate::document::{Document, Kept, Operation, State};
use crate::identity::Identity;
use crate::inside::is_plain;
use crate::open::{self, Loaded, Resealing, Trust};
use crate::pins::{Pins, Seen};
use crate::place::{self, Place};
use crate::sealer::Sealer;
use crate::team::{Member, Team};

/// The word before the colon.
pub const SCHEME: &str = "local";

/// How many versions of a secret are kept where the address does not say.
pub(crate) const HISTORY: usize = 10;
pub(crate) const MOST_HISTORY: usize = 100;
/// The largest value, in bytes: documents are committed, and opened whole.
const MOST_BYTES: usize = 1024 * 1024;
/// The revision of a document that is not there.
const ABSENT: &str = "absent";

const CAPABILITIES: Capabilities = Capabilities {
    unit: Unit::Document,
    guard: Guard::Cooperative,
    values: Values::Bytes,
    writable: true,
    history: true,
    prune: true,
    restore: true,
    idempotent: true,
    cheap_poll: true,
    own_versions: true,
    limits: Limits {
        value_bytes: Some(MOST_BYTES),
        name_bytes: None,
        concurrency: 1,
    },
};

/// The document of an environment as a store: `local:[NAME][?history=N]`; without a name that of
/// the environment. Opens nothing yet.
///
/// # Errors
/// `InvalidConfig` for a name that is no plain file name, and for an option there is not.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let uri = opening.uri;
    let invalid = |message: &str| Err(Error::new(ErrorKind::InvalidConfig, message).at_store(uri));
    let name = if uri.location().is_empty() {
        opening.environment
    } else {
        uri.location()
    };
    if !is_plain(name) {
        return invalid(
            "a local store's name holds letters, digits, `-`, `_` and single `.`, at most 64, and starts with a letter or digit",
        );
    }
    if uri.unknown_option(&["history"]).is_some() {
        return invalid("a local store has one option, `history`");
    }
    let history = match uri.option("history").map(str::parse) {
        None => HISTORY,
        Some(Ok(n)) if (1..=MOST_HISTORY).contains(&n) => n,
        Some(_) => return invalid("`history` is the number of versions to keep, from 1 to 100"),
    };
    Ok(Arc::new(Local {
        location: format!("{SCHEME}:{name}"),
        name: name.to_owned(),
        place: Place::new(opening.root, opening.dirs),
        identity: Arc::clone(&opening.identity),
        history,
    }))
}

pub(crate) struct Local {
    pub(crate) location: String,
    pub(crate) name: String,
    pub(crate) place: Place,
    pub(crate) identity: KeySource,
    pub(crate) history: usize,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// What is changed in a document, given it, the file's digest and who we are: whether there is
/// anything to write, and the answer.
trait Make<T>: Fn(&mut Document, Option<&String>, &str) -> Result<(bool, T)> {}
impl<T, F: Fn(&mut Document, Option<&String>, &str) -> Result<(bool, T)>> Make<T> for F {}

/// A document sealed anew, and what it was judged and sealed by.
struct Sealed {
    bytes: Vec<u8>,
    seen: Seen,
    pins: Pins,
    /// The team, if it is one that was vouched for.
    team: Option<Team>,
}

/// That a document which is not there never was: one that was seen and has vanished is not empty.
fn not_gone(name: &str, pins: &Pins) -> Result<()> {
    match place::gone(name, pins) {
        None => Ok(()),
        Some(gone) => Err(Error::new(ErrorKind::Untrusted, gone).with_hint(format!(
            "restore it: `git checkout .secrets/{name}.age`; if it was meant to go: `secrets trust`"
        ))),
    }
}

/// Why nothing is sealed to the people of `recipients.toml`: nobody has confirmed them here, and the document
/// does not say that it is sealed to just them.
fn unseen(name: &str, is_there: bool) -> Error {
    let news = if is_there {
        format!("recipients.toml has changed since {name}.age was sealed")
    } else {
        format!("there is no {name}.age yet")
    };
    let message =
        format!("{news}, and the people of recipients.toml were never confirmed on this machine");
    Error::new(ErrorKind::Untrusted, message).with_hint(open::CONFIRM)
}

/// That nobody is sealed to again who was removed, unless that is what is asked for: a list that still has them
/// is older than the document.
fn nobody_comes_back(document: &Document, team: &Team, coming: Option<&Member>) -> Result<()> {
    let name = &document.environment;
    let mut members = team.members().iter().filter(|m| m.opens(name));
    let back = members.find(|m| {
        document.removed.contains(&m.age) && coming.is_none_or(|coming| coming.age != m.age)
    });
    let Some(member) = back else { return Ok(()) };
    let who = &member.name;
    Err(Error::new(
        ErrorKind::Untrusted,
        format!("{who} is in recipients.toml, and {name}.age was sealed anew without them"),
    )
    .with_hint(format!(
        "out again: `secrets team remove {who}`; in again: then `secrets team add {who} …`"
    )))
}

fn revision(digest: Option<&String>) -> Revision {
    Revision::new(digest.map_or(ABSENT, String::as_str))
}

impl Local {
    pub(crate) fn at(&self, error: Error) -> Error {
        error.at_store(&self.location)
    }

    pub(crate) fn identity(&self) -> Result<Identity> {
        Identity::parse(&*(self.identity)()?)
    }

    /// The document, if there is one: without a file no identity is needed.
    pub(crate) fn load(&self) -> Result<Option<Loaded>> {
        // The record before the file: what others write in between makes the file newer than the
        // record, never older.
        let pins = self.place.pins()?;
        let Some(contents) = files::read(&self.place.file(&self.name)?)? else {
            return not_gone(&self.name, &pins).map(|()| None);
        };
        let team = self.place.team()?;
        let trust = Trust {
            pins: &pins,
            listed: &team,
            resealing: None,
        };
        let found = open::open(&self.name, &contents.bytes, &self.identity()?)?;
        let loaded = found.believed(&trust)?;
        if let Some(seen) = loaded.seen() {
            // People who came since are nobody's word yet.
            let team = loaded.vouches_for(&team).then_some(&team);
            self.place.shelf.note(&pins, team, &self.name, &seen);
        }
        Ok(Some(loaded))
    }

    /// Changes the document: `make` is given what is there and says what is to be kept of it.
    fn rewrite<T>(
        &self,
        resealing: Option<Resealing<'_>>,
        make: impl Make<T>,
    ) -> Result<(T, Option<String>)> {
        // What may ask a person something comes before the lock.
        let identity = self.identity()?;
        self.place.made()?;
        // For its owner alone: nobody else on the machine has any use for it.
        let options = Options::default();
        let (answer, sealed) = files::update(&self.place.file(&self.name)?, &options, |now| {
            let (answer, sealed) = self.remade(now, &identity, resealing, &make)?;
            Ok(match sealed {
                None => (Edit::Keep, (answer, None)),
                Some(mut sealed) => {
                    let bytes = std::mem::take(&mut sealed.bytes);
                    (Edit::Replace(bytes.into()), (answer, Some(sealed)))
                }
            })
        })?;
        let Some(Sealed {
            seen, pins, team, ..
        }) = sealed
        else {
            return Ok((answer, None));
        };
        self.place
            .shelf
            .note(&pins, team.as_ref(), &self.name, &seen);
        Ok((answer, Some(seen.digest)))
    }

    /// Called under the folder's lock, which `recipients.toml` is written under too: nothing is
    /// sealed to people who have just been removed.
    fn remade<T>(
        &self,
        now: Option<&Contents>,
        identity: &Identity,
        resealing: Option<Resealing<'_>>,
        make: &impl Make<T>,
    ) -> Result<(T, Option<Sealed>)> {
        let pins = self.place.pins()?;
        let team = self.place.confirmed_team(&pins)?;
        let sealer = Sealer::new(&self.name, identity, pins, team)?;
        let trust = Trust {
            pins: &sealer.pins,
            listed: &sealer.team,
            resealing,
        };
        let first = sealer.pins.members.is_none();
        let (loaded, vouched) = match now {
            Some(now) => {
                let loaded = open::open(&self.name, &now.bytes, identity)?.believed(&trust)?;
                let vouched = loaded.vouches_for(&sealer.team);
                if first && !loaded.is_sealed_to(&sealer.team) {
                    return Err(unseen(&self.name, true));
                }
                (loaded, vouched)
            }
            None => {
                not_gone(&self.name, &sealer.pins)?;
                if first {
                    return Err(unseen(&self.name, false));
                }
                let document = Document::new(&self.name);
                let digest = None;
                (Loaded { document, digest }, true)
            }
        };
        let Loaded {
            mut document,
            digest,
        } = loaded;
        let coming = resealing.and_then(|resealing| resealing.coming);
        nobody_comes_back(&document, &sealer.team, coming)?;
        let (changed, answer) = make(&mut document, digest.as_ref(), sealer.me())?;
        if !changed {
            return Ok((answer, None));
        }
        let (bytes, seen) = sealer.seal(document, digest)?;
        let Sealer { pins, team, .. } = sealer;
        let sealed = Sealed {
            bytes,
            seen,
            pins,
            team: vouched.then_some(team),
        };
        Ok((answer, Some(sealed)))
    }

    /// Makes the document, empty, unless it is there.
    pub(crate) fn begin(&self) -> Result<()> {
        self.rewrite(None, |_, digest, _| Ok((digest.is_none(), ())))
            .map(|_| ())
    }

    /// Seals the document anew, to the people there are now.
    pub(crate) fn reseal(&self, resealing: Resealing<'_>) -> Result<()> {
        self.rewrite(
            Some(resealing),
            |_: &mut Document, _: Option<&String>, _: &str| Ok((true, ())),
        )
        .map(|_| ())
    }

    /// Checks and makes the changes; called under the lock.
    fn change(
        &self,
        document: &mut Document,
        digest: Option<&String>,
        me: &str,
        operation: &str,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<(bool, Vec<Option<Version>>)> {
        if let Some(done) = document.done(operation, changes.iter().map(|c| c.name)) {
            // It was carried out: the same answer, and nothing is done again.
            let answer = |change: &Change<'_>| {
                let made = done
                    .versions
                    .iter()
                    .find(|(name, _)| name == change.name.as_str());
                made.and_then(|(_, version)| version.as_deref())
                    .map(Version::new)
            };
            return Ok((false, changes.iter().map(answer).collect()));
        }
        if base.is_some_and(|base| *base != revision(digest)) {
            let mut error = Error::new(
                ErrorKind::Conflict,
                "the document was changed by someone else",
            );
            if let Some(change) = changes.first() {
                error = error.about(change.name);
            }
            return Err(error);
        }
        for Change { name, when, .. } in changes {
            let present = document.present(name);
            let holds = match when {
                Precondition::Unguarded => true,
                Precondition::Absent => {
                    present.is_none_or(|state| matches!(state.value, Kept::Deleted))
                }
                Precondition::Version(version) => {
                    present.is_some_and(|state| state.version() == *version)
                }
            };
            if !holds {
                return Err(Error::conflict(name));
            }
        }
        let mut versions = Vec::with_capacity(changes.len());
        for change in changes {
            versions.push(self.make(document, me, change)?);
        }
        let unchanged = changes.is_empty();
        if !unchanged {
            let made = changes.iter().zip(&versions);
            document.remember(Operation {
                id: operation.to_owned(),
                versions: made
                    .map(|(c, v)| {
                        (
                            c.name.to_string(),
                            v.as_ref().map(|v| v.as_str().to_owned()),
                        )
                    })
                    .collect(),
            });
        }
        Ok((!unchanged, versions))
    }

    /// Makes one change; the version it made, none for a removal.
    fn make(
        &self,
        document: &mut Document,
        me: &str,
        change: &Change<'_>,
    ) -> Result<Option<Version>> {
        let Change { name, op, .. } = change;
        let present = document.present(name);
        let state = match op {
            Op::Put(value) => State::new(me, Kept::Value(value.duplicate()))?,
            Op::Delete => match present {
                Some(State {
                    value: Kept::Value(_),
                    ..
                }) => State::new(me, Kept::Deleted)?,
                _ => return Ok(None),
            },
            Op::Restore => match present {
                Some(State {
                    value: Kept::Value(_),
                    ..
                }) => return Ok(present.map(State::version)),
                _ => {
                    let states = document
                        .secrets
                        .get(name.as_str())
                        .map_or(&[][..], Vec::as_slice);
                    let last = states.iter().find_map(|state| match &state.value {
                        Kept::Value(value) => Some(value),
                        Kept::Deleted => None,
                    });
                    let Some(value) = last else {
                        return Err(Error::new(
                            ErrorKind::InvalidConfig,
                            format!("{name} has no value to bring back"),
                        )
                        .about(name));
                    };
                    State::new(me, Kept::Value(value.duplicate()))?
                }
            },
        };
        let version = state.version();
        document.push(name, state, self.history);
        Ok((!matches!(op, Op::Delete)).then_some(version))
    }
}

fn lookup(document: Option<&Document>, name: &Name) -> Lookup {
    match document.and_then(|document| document.present(name)) {
        None => Lookup::Absent,
        Some(state) => found(state),
    }
}

fn found(state: &State) -> Lookup {
    match &state.value {
        Kept::Value(value) => Lookup::Found(Stored {
            value: value.duplicate(),
            meta: state.meta(),
        }),
        Kept::Deleted => Lookup::Deleted {
            recoverable_until: None,
            version: Some(state.version()),
        },
    }
}

#[async_trait]
impl Provider for Local {
    fn location(&self) -> &str {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)
    }

    async fn inspect(&self, _: &Ctx) -> Result<Report> {
        let file = self.place.file(&self.name).map_err(|e| self.at(e))?;
        let mut report = Report::default();
        let team = Team::load(&self.place.root).map_err(|e| self.at(e))?;
        let loaded = self.load().map_err(|e| self.at(e))?;
        report.facts.push((
            "file".into(),
            match &loaded {
                Some(loaded) => format!(
                    "{}, generation {}, by {}",
                    file.display(),
                    loaded.document.generation,
                    loaded.document.author
                ),
                None => format!("{}, not there yet", file.display()),
            },
        ));
        let Some(team) = team else {
            report.problems.push((
                "there is no .secrets/recipients.toml".into(),
                Some("secrets init".into()),
            ));
            return Ok(report);
        };
        let people: Vec<_> = team
            .members()
            .iter()
            .filter(|m| m.opens(&self.name))
            .map(|m| m.name.as_str())
            .collect();
        report.facts.push(("sealed to".into(), people.join(", ")));
        match self.identity() {
            Err(error) => report
                .problems
                .push((error.to_string(), error.hint().map(str::to_owned))),
            Ok(identity) => match team.signer(&self.name, &identity.signing_key()) {
                Some(me) => report.identity = Some(me.name.clone()),
                None => report.problems.push((
                    format!(
                        "you are not among the people of `{}`: you cannot write",
                        self.name
                    ),
                    Some("someone who is in adds you: secrets team add".into()),
                )),
            },
        }
        if !team.members().iter().any(|m| m.recovery) && people.len() < 2 {
            report.facts.push((
                "recovery".into(),
                "none: if the one identity is lost, so are the secrets".into(),
            ));
        }
        if let Some(loaded) = &loaded
            && !loaded.vouches_for(&team)
            && self.place.pins().map_err(|e| self.at(e))?.members.is_none()
        {
            report.problems.push((
                "the people of recipients.toml were never confirmed on this machine, and have changed since this was sealed"
                    .into(),
                Some("compare them with `secrets team list`, then `secrets trust`: until then older documents are not noticed".into()),
            ));
        }
        if let Some(loaded) = &loaded
            && !loaded.is_sealed_to(&team)
        {
            report.problems.push((
                "recipients.toml has changed since the document was sealed".into(),
                Some(
                    "secrets trust, then any `secrets set` seals it to the people there are now"
                        .into(),
                ),
            ));
        }
        Ok(report)
    }

    async fn list(&self, _: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let loaded = self.load().map_err(|e| self.at(e))?;
        let Some(loaded) = loaded else {
            return Ok(Vec::new());
        };
        let states = loaded
            .document
            .secrets
            .iter()
            .filter_map(|(name, states)| Some((Name::new(name).ok()?, states.first()?)));
        Ok(states
            .filter(|(_, s)| matches!(s.value, Kept::Value(_)))
            .map(|(name, s)| (name, s.meta()))
            .collect())
    }

    async fn read(&self, _: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let loaded = self.load().map_err(|e| self.at(e))?;
        let document = loaded.as_ref().map(|loaded| &loaded.document);
        let items = match what {
            Select::Names(names) => names
                .iter()
                .map(|name| (name.clone(), Ok(lookup(document, name))))
                .collect(),
            Select::All => {
                let secrets = document.into_iter().flat_map(|document| &document.secrets);
                let present = secrets.filter_map(|(name, states)| {
                    Some((Name::new(name).ok()?, found(states.first()?)))
                });
                present.map(|(name, lookup)| (name, Ok(lookup))).collect()
            }
        };
        let digest = loaded.as_ref().and_then(|loaded| loaded.digest.as_ref());
        Ok(Snapshot {
            revision: Some(revision(digest)),
            items,
            foreign: Vec::new(),
            missing: loaded.is_none(),
            deletions: matches!(what, Select::All),
            owner: None,
        })
    }

    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.check(base, changes)?;
        let operation = cx.operation.to_string();
        let make = |document: &mut Document, digest: Option<&String>, me: &str| {
            let before = digest.cloned();
            let newest = document
                .operations
                .first()
                .is_some_and(|newest| newest.id == operation);
            let (changed, versions) =
                self.change(document, digest, me, &operation, base, changes)?;
            // An operation sent again names its revision only if it still is the newest one.
            let unchanged = (newest || changes.is_empty()).then(|| revision(before.as_ref()));
            Ok((changed, (versions, unchanged)))
        };
        let made = self.rewrite(None, make);
        let ((versions, unchanged), digest) = made.map_err(|e| self.at(e))?;
        Ok(Written {
            revision: digest
                .as_ref()
                .map(|digest| revision(Some(digest)))
                .or(unchanged),
            items: versions.into_iter().map(Ok).collect(),
        })
    }

    async fn history(&self, _: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let loaded = self.load().map_err(|e| self.at(e))?;
        let states = loaded
            .as_ref()
            .and_then(|loaded| loaded.document.secrets.get(name.as_str()));
        Ok(states.into_iter().flatten().map(State::meta).collect())
    }

    async fn read_version(&self, _: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        let loaded = self.load().map_err(|e| self.at(e))?;
        let states = loaded
            .as_ref()
            .and_then(|loaded| loaded.document.secrets.get(name.as_str()));
        let state = states
            .into_iter()
            .flatten()
            .find(|state| state.version() == *version);
        Ok(state.map_or(Lookup::Absent, found))
    }

    async fn prune(&self, _: &Ctx, name: &Name, keep: usize) -> Result<usize> {
        let make = |document: &mut Document, _: Option<&String>, _: &str| {
            let gone = document.prune(name, keep);
            Ok((gone > 0, gone))
        };
        let pruned = self.rewrite(None, make).map_err(|e| self.at(e))?;
        Ok(pruned.0)
    }

    async fn poll(&self, _: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        let file = self.place.file(&self.name).map_err(|e| self.at(e))?;
        let stamp = files::stamp(&file).map_err(|e| self.at(e))?;
        let cursor = Cursor::new(stamp.unwrap_or_else(|| ABSENT.to_owned()));
        Ok(Poll {
            changed: since != Some(&cursor),
            cursor,
        })
    }

    fn policy(&self) -> Option<String> {
        None
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        None
    }

    fn staging(&self) -> Option<&dyn Staging> {
        None
    }
}
