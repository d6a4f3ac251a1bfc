//! The store: one file, read and edited under the lock of its folder.
//!
//! Its calls do their input and output at once, without a runtime: reading a file takes
//! microseconds, less than handing it to a thread.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, KeySource, Leasing, Limits, Lookup,
    Meta, Name, Op, Opening, Poll, Precondition, Provider, ProviderExt as _, REFERS, Report,
    Result, Revision, SecretValue, Select, Snapshot, Staging, StoreUri, Stored, Unit, Values,
    Version, Written, Zeroizing, async_trait,
};
use secrets_platform::files::{self, Contents, Edit, Options};

use crate::document::Document;
use crate::edit::{self, Wish};
use crate::excerpt::may_be_shown;
use crate::marks::Marks;
use crate::{Dialect, Entry, Interpolation, LineCounter, Reading, Value};

/// The word before the colon.
pub const SCHEME: &str = "dotenv";

/// The largest value, in bytes: no reader of `.env` files was measured with more.
const MOST_BYTES: usize = 1024 * 1024;

const CAPABILITIES: Capabilities = Capabilities {
    unit: Unit::Document,
    guard: Guard::Cooperative,
    values: Values::Utf8NoNul,
    writable: true,
    history: false,
    prune: false,
    restore: false,
    idempotent: false,
    cheap_poll: true,
    own_versions: false,
    limits: Limits {
        value_bytes: Some(MOST_BYTES),
        name_bytes: None,
        concurrency: 1,
    },
};

/// A `.env` file as a store: `dotenv:PATH[?dialect=NAME][&interpolate=no]`. A relative path starts at the project's
/// folder. Opens nothing yet.
///
/// Of several lines for one name the last counts and is the one that is set; a removal takes all
/// of them. A key without `=` has no value: it is absent, until it is set in its place. A line that
/// the reader would leave out makes every call fail, naming its place.
///
/// # Errors
/// `InvalidConfig` without a path, and for an option or dialect there is not.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let uri = opening.uri;
    let invalid =
        |message: String| Err(Error::new(ErrorKind::InvalidConfig, message).at_store(uri));
    if uri.location().is_empty() {
        return invalid("a dotenv store needs the path of its file, such as dotenv:.env".into());
    }
    if let Some(option) = uri.unknown_option(&["dialect", "interpolate"]) {
        return invalid(format!(
            "there is no option `{option}`; a dotenv store has `dialect` and `interpolate`"
        ));
    }
    let reading = reading(uri)?;
    let Reading {
        dialect,
        interpolation,
    } = reading;
    let mut location = format!("{SCHEME}:{}", uri.location());
    if dialect != Dialect::default() {
        location.push_str("?dialect=");
        location.push_str(dialect.name());
    }
    if interpolation == Interpolation::Off {
        location.push_str(if location.contains('?') { "&" } else { "?" });
        location.push_str("interpolate=no");
    }
    Ok(Arc::new(Dotenv {
        path: opening.root.join(uri.location()),
        location,
        reading,
        machine_key: Arc::clone(&opening.machine_key),
    }))
}

/// How the file at this address is read.
///
/// # Errors
/// `InvalidConfig` for a dialect there is not, and for interpolation that cannot be switched.
pub fn reading(uri: &StoreUri) -> Result<Reading> {
    let invalid =
        |message: String| Err(Error::new(ErrorKind::InvalidConfig, message).at_store(uri));
    let dialect = match uri.option("dialect").map(str::parse) {
        None => Dialect::default(),
        Some(Ok(dialect)) => dialect,
        Some(Err(())) => {
            let known = Dialect::names().collect::<Vec<_>>().join(", ");
            return invalid(format!("there is no such dialect; there is {known}"));
        }
    };
    let interpolation = match uri.option("interpolate") {
        None | Some("yes") => Interpolation::AsRead,
        Some("no") if dialect == Dialect::PythonDotenv => Interpolation::Off,
        Some("no") => {
            return invalid("only python-dotenv can be told not to interpolate".into());
        }
        Some(_) => return invalid("`interpolate` is yes or no".into()),
    };
    Ok(Reading {
        dialect,
        interpolation,
    })
}

struct Dotenv {
    path: PathBuf,
    location: String,
    reading: Reading,
    machine_key: KeySource,
}

impl std::fmt::Debug for Dotenv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dotenv")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// One name of a file.
struct Item {
    value: Option<SecretValue>,
    derived: bool,
    /// The names that it is put together from.
    refers: Vec<Name>,
}

/// What a file holds: the last item of each name, and keys that are no names.
#[derive(Default)]
struct Items {
    order: Vec<Name>,
    by_name: HashMap<Name, Item>,
    foreign: Vec<String>,
}

impl Items {
    fn new(entries: Vec<Entry<'_>>, file: &[u8]) -> Self {
        let mut items = Self::default();
        let mut seen = HashSet::new();
        let mut lines = LineCounter::new(file);
        for entry in entries {
            let Ok(name) = Name::new(&entry.name) else {
                let shown = foreign(&entry, lines.of(entry.at));
                if seen.insert(shown.clone()) {
                    items.foreign.push(shown);
                }
                continue;
            };
            let item = Item {
                value: entry.value.map(Value::into_secret),
                derived: entry.derived,
                refers: Vec::new(),
            };
            if items.by_name.insert(name.clone(), item).is_none() {
                items.order.push(name);
            }
        }
        items
    }

    fn read(document: &Document<'_>) -> Result<Self> {
        let entries = document.resolve(&[])?;
        let mut items = Self::new(entries, document.text.as_bytes());
        if items.by_name.values().any(|item| item.derived) {
            for (key, _, names) in document.references() {
                let item = Name::new(&key).ok().and_then(|n| items.by_name.get_mut(&n));
                if let Some(item) = item.filter(|item| item.derived) {
                    // Of several lines the last counts.
                    item.refers = names.iter().filter_map(|n| Name::new(n).ok()).collect();
                }
            }
        }
        Ok(items)
    }

    /// The value under a name; a key without `=` has none.
    fn value(&self, name: &Name) -> Option<&SecretValue> {
        self.by_name.get(name)?.value.as_ref()
    }

    /// Whether each change has come about.
    fn hold(&self, changes: &[Change<'_>]) -> bool {
        changes.iter().all(|change| match change.op {
            Op::Put(value) => self
                .value(change.name)
                .is_some_and(|now| now.same_as(value)),
            Op::Delete => !self.by_name.contains_key(change.name),
            Op::Restore => false,
        })
    }
}

/// A key that is no name, for messages; where it may be a part of a value, its place.
fn foreign(entry: &Entry<'_>, line: usize) -> String {
    let value = entry.value.as_ref().map_or(&[][..], |v| v.expose());
    if may_be_shown(&entry.name, value) {
        entry.name.to_string()
    } else {
        format!("line {line}")
    }
}

/// The items of names that are not to change, as they are written.
fn others<'a>(
    document: &'a Document<'_>,
    wished: &'a HashSet<&str>,
) -> impl Iterator<Item = (Cow<'a, str>, Option<&'a str>)> {
    document.bindings.iter().filter_map(|binding| {
        let key = document.key(binding)?;
        (!wished.contains(key.as_ref())).then(|| (key, document.written(binding)))
    })
}

impl Dotenv {
    fn at(&self, error: Error) -> Error {
        error.at_store(&self.location)
    }

    fn unsupported<T>(&self, what: &str) -> Result<T> {
        Err(self.at(Error::unsupported(what)))
    }

    fn marks(&self) -> Result<Marks> {
        Marks::new(&self.machine_key, &self.path).map_err(|e| self.at(e))
    }

    fn load(&self) -> Result<(Option<Contents>, Items)> {
        let contents = files::read(&self.path).map_err(|e| self.at(e))?;
        let items = match &contents {
            Some(contents) => Document::parse(self.reading, &contents.bytes)
                .and_then(|document| Items::read(&document))
                .map_err(|e| self.at(e))?,
            None => Items::default(),
        };
        Ok((contents, items))
    }

    fn meta(marks: &Marks, name: &Name, entry: &Item) -> Meta {
        Meta {
            version: entry.value.as_ref().map(|value| marks.version(name, value)),
            derived: entry.derived,
            tags: entry
                .refers
                .iter()
                .map(|name| (REFERS.to_owned(), name.to_string()))
                .collect(),
            ..Meta::default()
        }
    }

    /// The file's state, which has to be `base` where one is given.
    fn held(marks: &Marks, now: Option<&Contents>, base: Option<&Revision>) -> Result<Revision> {
        let revision = marks.revision(now.map(|now| now.bytes.as_slice()));
        if base.is_some_and(|base| *base != revision) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the file was changed by someone else",
            ));
        }
        Ok(revision)
    }

    /// Checks and makes the changes on what is there now; called under the lock.
    fn change(
        &self,
        marks: &Marks,
        now: Option<&Contents>,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<(Edit, Written)> {
        let revision = Self::held(marks, now, base)?;
        let bytes = now.map_or(&[][..], |now| &now.bytes);
        let document = Document::parse(self.reading, bytes)?;
        let items = Items::read(&document)?;
        let mut wishes = Vec::with_capacity(changes.len());
        let mut kept = Vec::new();
        let removes = |name: &Name| {
            let mut removals = changes.iter().filter(|c| matches!(c.op, Op::Delete));
            removals.any(|change| change.name == name)
        };
        for Change { name, op, when } in changes {
            let present = items.value(name);
            let holds = match when {
                Precondition::Unguarded => true,
                Precondition::Absent => present.is_none(),
                Precondition::Version(version) => {
                    present.is_some_and(|value| marks.version(name, value) == *version)
                }
            };
            if !holds {
                return Err(Error::conflict(name));
            }
            match op {
                // A line that says so already stays as it is written, interpolated ones too.
                Op::Put(value)
                    if present.is_some_and(|present| present.same_as(value))
                        && !items.by_name[*name].refers.iter().any(removes) =>
                {
                    kept.push((*name, Wish::Set(value)));
                }
                Op::Put(value) => wishes.push((*name, Wish::Set(value))),
                Op::Delete => wishes.push((*name, Wish::Remove)),
                Op::Restore => {
                    return Err(Error::unsupported("a .env file keeps no deleted values"));
                }
            }
        }
        Self::stand_alone(&document, &items, changes)?;
        let mut edited = self.edited(&document, &wishes, changes)?;
        if edited.is_none() && !kept.is_empty() {
            // An interpolated line said so only until this batch changed what it names: it is
            // written out.
            wishes.append(&mut kept);
            edited = self.edited(&document, &wishes, changes)?;
        }
        let Some((text, after)) = edited else {
            return Err(Error::unsupported(
                "the edited file would not be read as it was meant; it was not changed",
            )
            .with_hint("write the line by hand, or move its neighbours out of the way"));
        };
        let unchanged = *text == *bytes;
        let written = Written {
            revision: Some(if unchanged {
                revision
            } else {
                marks.revision(Some(&text))
            }),
            items: changes
                .iter()
                .map(|change| {
                    Ok(after
                        .value(change.name)
                        .map(|value| marks.version(change.name, value)))
                })
                .collect(),
        };
        Ok((
            if unchanged {
                Edit::Keep
            } else {
                Edit::Replace(text)
            },
            written,
        ))
    }

    /// Refuses to remove what a line that stays is put together from: it would say something else, and in
    /// most dialects nobody would be told.
    fn stand_alone(document: &Document<'_>, items: &Items, changes: &[Change<'_>]) -> Result<()> {
        let is_held = |name: &Name| items.by_name.contains_key(name);
        let removed = changes.iter().filter(|c| matches!(c.op, Op::Delete));
        let removed = removed.map(|change| change.name).filter(|n| is_held(n));
        let removed: HashMap<&str, &Name> = removed.map(|name| (name.as_str(), name)).collect();
        if removed.is_empty() {
            return Ok(());
        }
        let changed: HashSet<&str> = changes.iter().map(|c| c.name.as_str()).collect();
        let stays = |key: &str| !changed.contains(key);
        let mut lines = document.references().filter(|(key, ..)| stays(key));
        let named = lines.find_map(|(key, at, names)| {
            let name = names.iter().find_map(|n| removed.get(n.as_str()))?;
            Some((key, at, *name))
        });
        let Some((key, at, name)) = named else {
            return Ok(());
        };
        let (line, hint) = match Name::new(&key) {
            Ok(line) => (
                line.to_string(),
                format!(
                    "give {line} a value of its own first (`secrets set {line}`), or remove both at once: `secrets unset {name} {line}`"
                ),
            ),
            // It may be a part of a value.
            Err(_) => {
                let at = u32::try_from(at).unwrap_or(u32::MAX);
                let line = LineCounter::new(document.text.as_bytes()).of(at);
                (format!("line {line}"), "change that line first".to_owned())
            }
        };
        let message = format!("{line} is put together from {name}, which cannot be removed alone");
        Err(Error::unsupported(message).with_hint(hint).about(name))
    }

    /// The new text with what it says, read back as its reader would; `None` where a change would
    /// not hold in it, or another line would say something else.
    fn edited(
        &self,
        document: &Document<'_>,
        wishes: &[(&Name, Wish<'_>)],
        changes: &[Change<'_>],
    ) -> Result<Option<(Zeroizing<Vec<u8>>, Items)>> {
        let text = edit::apply(self.reading.dialect, document, wishes)?;
        let new = Document::parse(self.reading, &text)?;
        let after = Items::read(&new)?;
        let wished = wishes.iter().map(|(name, _)| name.as_str()).collect();
        let meant = after.hold(changes) && others(document, &wished).eq(others(&new, &wished));
        Ok(meant.then_some((text, after)))
    }
}

#[async_trait]
impl Provider for Dotenv {
    fn location(&self) -> &str {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        CAPABILITIES
    }

    /// Whether a file of nothing else would be read as it was meant.
    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)?;
        let change = Change {
            name,
            op: Op::Put(value),
            when: Precondition::Unguarded,
        };
        let written = Document::parse(self.reading, b"")
            .and_then(|nothing| self.edited(&nothing, &[(name, Wish::Set(value))], &[change]));
        match written.map_err(|e| self.at(e))? {
            Some(_) => Ok(()),
            None => Err(self.at(Error::unsupported(format!(
                "no line of the {} dialect is read as this value of {name}",
                self.reading.dialect.name()
            ))
            .about(name))),
        }
    }

    async fn inspect(&self, _: &Ctx) -> Result<Report> {
        let (contents, items) = self.load()?;
        let mut report = Report::default();
        report
            .facts
            .push(("dialect".into(), self.reading.dialect.name().into()));
        match contents {
            None => report.facts.push((
                "file".into(),
                format!("{}, not there yet", self.path.display()),
            )),
            Some(contents) => {
                let path = self.path.display();
                report
                    .facts
                    .push(("file".into(), format!("{path}, mode {:04o}", contents.mode)));
                if contents.mode & 0o077 != 0 {
                    let problem = format!("others on this machine can open {path}");
                    report
                        .problems
                        .push((problem, Some(format!("chmod 600 {path}"))));
                }
            }
        }
        if !items.foreign.is_empty() {
            report
                .facts
                .push(("no names of secrets".into(), items.foreign.join(", ")));
        }
        Ok(report)
    }

    async fn list(&self, _: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let (_, items) = self.load()?;
        let marks = self.marks()?;
        let held = items
            .order
            .iter()
            .filter(|name| items.value(name).is_some());
        Ok(held
            .map(|name| (name.clone(), Self::meta(&marks, name, &items.by_name[name])))
            .collect())
    }

    async fn read(&self, _: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let (contents, mut items) = self.load()?;
        let marks = self.marks()?;
        let mut take = |name: &Name| -> Lookup {
            let Some(entry) = items.by_name.get_mut(name) else {
                return Lookup::Absent;
            };
            let meta = Self::meta(&marks, name, entry);
            match entry.value.take() {
                Some(value) => Lookup::Found(Stored { value, meta }),
                None => Lookup::Absent,
            }
        };
        let found = match what {
            // A name may be asked for twice.
            Select::Names(names) => {
                let mut answers: Vec<(Name, Result<Lookup>)> = Vec::with_capacity(names.len());
                let mut first: HashMap<&Name, usize> = HashMap::with_capacity(names.len());
                for name in names {
                    let lookup = match first.get(name).map(|index| &answers[*index].1) {
                        Some(Ok(Lookup::Found(Stored { value, meta }))) => Lookup::Found(Stored {
                            value: value.duplicate(),
                            meta: meta.clone(),
                        }),
                        Some(_) => Lookup::Absent,
                        None => take(name),
                    };
                    first.entry(name).or_insert(answers.len());
                    answers.push((name.clone(), Ok(lookup)));
                }
                answers
            }
            Select::All => {
                let all = items.order.iter().map(|name| (name.clone(), take(name)));
                all.filter(|(_, l)| matches!(l, Lookup::Found(_)))
                    .map(|(name, l)| (name, Ok(l)))
                    .collect()
            }
        };
        Ok(Snapshot {
            revision: Some(marks.revision(contents.as_ref().map(|c| c.bytes.as_slice()))),
            items: found,
            foreign: items.foreign,
            missing: contents.is_none(),
            deletions: false,
            owner: None,
        })
    }

    async fn write(
        &self,
        _: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.check(base, changes)?;
        let marks = self.marks()?;
        if changes.is_empty() {
            let now = files::read(&self.path).map_err(|e| self.at(e))?;
            let revision = Self::held(&marks, now.as_ref(), base).map_err(|e| self.at(e))?;
            return Ok(Written {
                revision: Some(revision),
                items: Vec::new(),
            });
        }
        files::update(&self.path, &Options::default(), |now| {
            self.change(&marks, now, base, changes)
        })
        .map_err(|e| self.at(e))
    }

    async fn history(&self, _: &Ctx, _: &Name) -> Result<Vec<Meta>> {
        self.unsupported("a .env file keeps no history")
    }

    async fn read_version(&self, _: &Ctx, _: &Name, _: &Version) -> Result<Lookup> {
        self.unsupported("a .env file keeps no history")
    }

    async fn prune(&self, _: &Ctx, _: &Name, _: usize) -> Result<usize> {
        self.unsupported("a .env file keeps no history")
    }

    async fn poll(&self, _: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        let stamp = files::stamp(&self.path).map_err(|e| self.at(e))?;
        let cursor = Cursor::new(stamp.unwrap_or_else(|| "absent".to_owned()));
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
