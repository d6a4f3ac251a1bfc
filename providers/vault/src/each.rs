//! `layout=each`: every secret has a path of its own below the store's, and its value is the field
//! `value` there. Other fields at that path stay as they are.
//!
//! The engine guards a write by the version it replaces, and guards no deletion. So a deletion is a
//! guarded write of a version without the value, which is then deleted as the servers' own tools do:
//! what came before stays readable.

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, KeySource, Leasing, Limits, Lookup,
    Meta, Name, Op, Poll, Precondition, Provider, ProviderExt as _, Report, Result, Revision,
    SecretValue, Select, Snapshot, Staging, Stored, Unit, Values, Version, Written, async_trait,
};
use secrets_net::{Document as Fields, Marks, spread};

use crate::document::MachineKey;
use crate::kv::{CONCURRENCY, Kv, MOST_BYTES, Past, State, deleted};

/// The field that holds the value.
const FIELD: &str = "value";
/// As in the other layout.
const ROUNDS: u32 = 20;

/// One secret a path.
#[derive(Debug)]
pub(crate) struct Each {
    kv: Kv,
    key: MachineKey,
    field: Name,
}

impl Each {
    pub(crate) fn new(kv: Kv, key: KeySource) -> Self {
        Self {
            kv,
            key: MachineKey(key),
            field: Name::new(FIELD).expect("`value` is a name"),
        }
    }

    fn at<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.at_store(&self.kv.location))
    }

    /// The value in a document; `None` where it has no such field.
    fn value(&self, name: &Name, fields: &Fields) -> Result<Option<SecretValue>> {
        let no_text = |_| {
            Error::new(
                ErrorKind::InvalidData,
                format!("the field `{FIELD}` of {name} is no text"),
            )
            .about(name)
        };
        fields.get(&self.field).transpose().map_err(no_text)
    }

    fn version(
        &self,
        name: &Name,
        state: &State,
        value: Option<&SecretValue>,
    ) -> Result<Option<Version>> {
        match (self.kv.is_two(), value) {
            (true, _) => Ok(Some(Version::new(state.name()))),
            (false, None) => Ok(None),
            (false, Some(value)) => {
                let marks = Marks::new(&self.key.0, &self.kv.location)?;
                Ok(Some(marks.version(name, value)))
            }
        }
    }

    fn lookup(&self, name: &Name, state: &State) -> Result<Lookup> {
        let value = match state {
            State::Never => return Ok(Lookup::Absent),
            State::Deleted(..) => None,
            State::Live(_, fields, _) => self.value(name, fields)?,
        };
        let version = self.version(name, state, value.as_ref())?;
        Ok(match (value, state) {
            (Some(value), State::Live(_, _, meta)) => Lookup::Found(Stored {
                value,
                meta: Meta {
                    version,
                    ..meta.clone()
                },
            }),
            (None, State::Deleted(..)) => Lookup::Deleted {
                recoverable_until: None,
                version,
            },
            // Another tool's secret, without a value of ours.
            _ => Lookup::Absent,
        })
    }

    async fn look(&self, cx: &Ctx, name: &Name) -> Result<Lookup> {
        let state = self
            .kv
            .read(cx, &self.kv.child(name.as_str()), None)
            .await?;
        self.lookup(name, &state)
    }

    async fn change(&self, cx: &Ctx, change: &Change<'_>) -> Result<Option<Version>> {
        if let Some(made) = self.create(cx, change).await {
            return made;
        }
        for round in 0..ROUNDS {
            match self.try_change(cx, change).await {
                // Somebody else was faster: what was stated is looked at again.
                Err(error) if error.kind() == ErrorKind::Conflict && error.name().is_none() => {
                    let wait = std::time::Duration::from_millis(u64::from(round.min(10)) * 10);
                    tokio::time::sleep(wait).await;
                }
                other => return other,
            }
        }
        Err(Error::conflict(change.name))
    }

    /// One round: a `Conflict` without a name is the engine's own, and another round may be made.
    async fn try_change(&self, cx: &Ctx, change: &Change<'_>) -> Result<Option<Version>> {
        let path = self.kv.child(change.name.as_str());
        let state = self.kv.read(cx, &path, None).await?;
        self.change_from(cx, change, &path, state).await
    }

    /// A secret that is said to be new is written at once where the engine is known: it refuses the write
    /// if anything ever was there, and only then is it looked at.
    async fn create(&self, cx: &Ctx, change: &Change<'_>) -> Option<Result<Option<Version>>> {
        let new = change.when == Precondition::Absent && self.kv.guards_unseen();
        let Op::Put(value) = change.op else {
            return None;
        };
        if !new {
            return None;
        }
        let mut fields = live(&State::Never);
        if let Err(error) = fields.set(&self.field, value) {
            return Some(Err(error));
        }
        match self.write(cx, change.name, &fields, &State::Never).await {
            Err(error) if error.kind() == ErrorKind::Conflict => None,
            made => Some(made.map(Some)),
        }
    }

    /// The change of what was found in this state.
    async fn change_from(
        &self,
        cx: &Ctx,
        change: &Change<'_>,
        path: &str,
        state: State,
    ) -> Result<Option<Version>> {
        let value = match &state {
            State::Live(_, fields, _) => fields.get(&self.field),
            State::Never | State::Deleted(..) => None,
        };
        let holds = match &change.when {
            Precondition::Unguarded => true,
            Precondition::Absent => value.is_none(),
            Precondition::Version(seen) => {
                !matches!(state, State::Never) && seen.as_str() == state.name()
            }
        };
        if !holds {
            return Err(Error::conflict(change.name));
        }
        match change.op {
            Op::Put(value) => {
                let mut fields = live(&state);
                fields.set(&self.field, value)?;
                self.write(cx, change.name, &fields, &state).await.map(Some)
            }
            Op::Delete if value.is_none() => Ok(None),
            Op::Delete => self.delete(cx, path, &state).await.map(|()| None),
            Op::Restore => self
                .restore(cx, change.name, &state, value.is_some())
                .await
                .map(Some),
        }
    }

    async fn write(&self, cx: &Ctx, name: &Name, fields: &Fields, seen: &State) -> Result<Version> {
        let (version, _) = self
            .kv
            .write(cx, &self.kv.child(name.as_str()), fields, seen)
            .await?;
        if self.kv.is_two() {
            return Ok(Version::new(version.to_string()));
        }
        let marks = Marks::new(&self.key.0, &self.kv.location)?;
        let value = fields
            .get(&self.field)
            .transpose()?
            .unwrap_or_else(|| SecretValue::from_slice(b""));
        Ok(marks.version(name, &value))
    }

    async fn delete(&self, cx: &Ctx, path: &str, state: &State) -> Result<()> {
        if !self.kv.is_two() {
            return self.kv.remove(cx, path).await;
        }
        let mut fields = live(state);
        fields.remove(&self.field);
        let bare = fields.is_empty();
        let (version, _) = self.kv.write(cx, path, &fields, state).await?;
        // The value is gone already; what is left is that others see a deletion.
        if bare {
            self.kv.delete(cx, path, version).await?;
        }
        Ok(())
    }

    async fn restore(
        &self,
        cx: &Ctx,
        name: &Name,
        state: &State,
        is_there: bool,
    ) -> Result<Version> {
        if is_there {
            return Ok(Version::new(state.name()));
        }
        let path = self.kv.child(name.as_str());
        let gone = || {
            let what =
                format!("{name} cannot be restored: it was never there, or its past is forgotten");
            Error::new(ErrorKind::InvalidConfig, what).about(name)
        };
        let past = self.kv.past(cx, &path).await?;
        // A version that other tools deleted holds its value still.
        if let State::Deleted(version) = state
            && past
                .versions
                .get(version)
                .is_some_and(|known| !known.destroyed)
        {
            self.kv.undelete(cx, &path, *version).await?;
            if let State::Live(now, fields, _) = self.kv.read(cx, &path, None).await? {
                if now != *version {
                    // Somebody has written meanwhile: that is theirs, and stays.
                    return Err(Error::conflict(name));
                }
                if fields.get(&self.field).is_some() {
                    return Ok(Version::new(now.to_string()));
                }
                // Ours: a version without the value. It is deleted again, and what was before it comes
                // back as a version of its own.
                self.kv.delete(cx, &path, *version).await?;
            }
        }
        let earlier = past
            .versions
            .iter()
            .rev()
            .filter(|(n, known)| **n < past.current_version && !known.is_deleted());
        for (version, _) in earlier {
            let State::Live(_, earlier, _) = self.kv.read(cx, &path, Some(*version)).await? else {
                continue;
            };
            let Some(value) = earlier.get(&self.field).transpose()? else {
                continue;
            };
            // What others keep beside the value stays as it is now.
            let fields = match state {
                State::Live(..) => {
                    let mut fields = live(state);
                    fields.set(&self.field, &value)?;
                    fields
                }
                State::Never | State::Deleted(..) => earlier,
            };
            return self.write(cx, name, &fields, state).await;
        }
        Err(gone())
    }

    fn keeps_history(&self) -> Result<()> {
        if self.kv.is_two() {
            return Ok(());
        }
        self.at(Err(Error::unsupported(
            "key-value version 1 keeps no versions",
        )))
    }
}

/// A copy of the fields there, to be changed.
fn live(state: &State) -> Fields {
    match state {
        State::Live(_, fields, _) => fields.duplicate(),
        State::Never | State::Deleted(..) => Fields::default(),
    }
}

/// The states of one path, newest first.
fn states(past: &Past) -> Vec<Meta> {
    let newest_first = past.versions.iter().rev();
    newest_first
        .filter(|(_, known)| !known.destroyed)
        .map(|(version, known)| {
            let meta = known.meta();
            let name = if meta.deleted {
                deleted(*version)
            } else {
                version.to_string()
            };
            Meta {
                version: Some(Version::new(name)),
                ..meta
            }
        })
        .collect()
}

#[async_trait]
impl Provider for Each {
    fn location(&self) -> &str {
        &self.kv.location
    }

    fn capabilities(&self) -> Capabilities {
        let two = self.kv.is_two();
        Capabilities {
            unit: Unit::Secret,
            guard: if two {
                Guard::CompareAndSet
            } else {
                Guard::None
            },
            values: Values::Utf8,
            writable: true,
            history: two,
            prune: two,
            restore: two,
            idempotent: false,
            cheap_poll: false,
            own_versions: two,
            limits: Limits {
                value_bytes: Some(MOST_BYTES / 8),
                name_bytes: None,
                concurrency: CONCURRENCY,
            },
        }
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        self.at(crate::inspect::kv(cx, &self.kv).await)
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let keys = self.at(self.kv.below(cx, &self.kv.place.path).await)?;
        let names: Vec<Name> = keys.iter().filter_map(|key| Name::new(key).ok()).collect();
        if !self.kv.is_two() {
            return Ok(names
                .into_iter()
                .map(|name| (name, Meta::default()))
                .collect());
        }
        // A list names what was deleted too: only its past tells.
        let pasts = names.iter().map(|name| async move {
            let path = self.kv.child(name.as_str());
            self.kv.past(cx, &path).await
        });
        let mut found = Vec::with_capacity(names.len());
        for (name, past) in names.iter().zip(spread(CONCURRENCY, pasts).await) {
            let past = self.at(past)?;
            match states(&past).into_iter().next() {
                Some(meta) if !meta.deleted => found.push((name.clone(), meta)),
                _ => {}
            }
        }
        Ok(found)
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let mut foreign = Vec::new();
        let names: Vec<Name> = match what {
            Select::Names(names) => names.to_vec(),
            Select::All => {
                let keys = self.at(self.kv.below(cx, &self.kv.place.path).await)?;
                let (mut names, mut others) = (Vec::new(), Vec::new());
                for key in keys {
                    match Name::new(&key) {
                        Ok(name) => names.push(name),
                        Err(_) => others.push(key),
                    }
                }
                foreign = others;
                names
            }
        };
        let looks = spread(CONCURRENCY, names.iter().map(|name| self.look(cx, name))).await;
        let all = matches!(what, Select::All);
        let mut items = Vec::with_capacity(names.len());
        for (name, lookup) in names.into_iter().zip(looks) {
            let lookup = self.at(lookup);
            // What fails for all is the call's own failure.
            if let Err(error) = &lookup
                && !matches!(
                    error.kind(),
                    ErrorKind::InvalidData | ErrorKind::PermissionDenied
                )
            {
                return lookup.map(|_| Snapshot::default());
            }
            if all && matches!(lookup, Ok(Lookup::Absent)) {
                continue;
            }
            items.push((name, lookup));
        }
        Ok(Snapshot {
            revision: None,
            items,
            foreign,
            missing: false,
            deletions: all && self.kv.is_two(),
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
        let made = changes.iter().map(|change| self.change(cx, change));
        let items = spread(CONCURRENCY, made).await.into_iter();
        Ok(Written {
            revision: None,
            items: items.map(|item| self.at(item)).collect(),
        })
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        self.keeps_history()?;
        let past = self.at(self.kv.past(cx, &self.kv.child(name.as_str())).await)?;
        Ok(states(&past))
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        self.keeps_history()?;
        // The name of a deletion, or of no version, has no value.
        let Ok(number) = version.as_str().parse::<u64>() else {
            return Ok(Lookup::Absent);
        };
        let path = self.kv.child(name.as_str());
        let state = self.at(self.kv.read(cx, &path, Some(number)).await)?;
        self.at(self.lookup(name, &state))
    }

    async fn prune(&self, cx: &Ctx, name: &Name, keep: usize) -> Result<usize> {
        self.keeps_history()?;
        let path = self.kv.child(name.as_str());
        let past = self.at(self.kv.past(cx, &path).await)?;
        let kept: Vec<u64> = past
            .versions
            .iter()
            .rev()
            .filter(|(_, known)| !known.is_deleted())
            .map(|(version, _)| *version)
            .take(keep.max(1))
            .collect();
        let goes = |(version, known): &(&u64, &crate::kv::Known)| {
            !known.destroyed && !kept.contains(version) && **version != past.current_version
        };
        let going: Vec<u64> = past
            .versions
            .iter()
            .filter(goes)
            .map(|(version, _)| *version)
            .collect();
        let states = going
            .iter()
            .filter(|v| past.versions.get(v).is_some_and(|k| !k.is_deleted()))
            .count();
        if !going.is_empty() {
            self.at(self.kv.destroy(cx, &path, going).await)?;
        }
        Ok(states)
    }

    async fn poll(&self, _cx: &Ctx, _since: Option<&Cursor>) -> Result<Poll> {
        self.at(Err(Error::unsupported(
            "secrets at paths of their own cannot be polled at once",
        )))
    }

    fn policy(&self) -> Option<String> {
        Some(crate::policy::kv(&self.kv.place))
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        None
    }

    fn staging(&self) -> Option<&dyn Staging> {
        None
    }
}
