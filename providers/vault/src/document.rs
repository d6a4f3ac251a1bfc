//! `layout=document`: all secrets of an environment are fields of one document at one path. One GET
//! reads them all; a change is a GET and one compare-and-set write, in which every other field stays
//! as it is. A version of a single secret is a MAC under the machine's key; the document's own
//! version is the revision.

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, KeySource, Leasing, Limits, Lookup,
    Meta, Name, Op, Poll, Provider, ProviderExt as _, Report, Result, Revision, SecretValue,
    Select, Snapshot, Staging, Unit, Values, Version, Written, async_trait,
};
use secrets_net::{Document as Fields, Marks, document};

use crate::kv::{CONCURRENCY, Kv, MOST_BYTES, State, dated};

/// How often a write under no revision is made anew over what came meanwhile. Each time somebody
/// else has succeeded.
const ROUNDS: u32 = 20;

/// One document.
#[derive(Debug)]
pub(crate) struct Document {
    kv: Kv,
    key: MachineKey,
}

/// The machine's key, when it is first needed.
pub(crate) struct MachineKey(pub(crate) KeySource);

impl std::fmt::Debug for MachineKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MachineKey")
    }
}

impl Document {
    pub(crate) fn new(kv: Kv, key: KeySource) -> Self {
        Self {
            kv,
            key: MachineKey(key),
        }
    }

    fn marks(&self) -> Result<Marks> {
        Marks::new(&self.key.0, &self.kv.location)
    }

    /// The state's name: the engine's own version, or without versions a MAC over the fields.
    fn revision(&self, state: &State, marks: &Marks) -> Revision {
        if self.kv.is_two() {
            return Revision::new(state.revision());
        }
        match state {
            State::Live(_, fields, _) => whole(marks, fields),
            State::Never | State::Deleted(..) => whole(marks, &Fields::default()),
        }
    }

    fn at<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| error.at_store(&self.kv.location))
    }

    /// One round of a write: `None` where somebody else was faster and another may be made.
    async fn try_write(
        &self,
        cx: &Ctx,
        marks: &Marks,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Option<Written>> {
        let state = self.kv.read(cx, &self.kv.place.path, None).await?;
        let before = self.revision(&state, marks);
        if base.is_some_and(|base| *base != before) {
            return Err(moved_on());
        }
        let mut fields = match &state {
            State::Live(_, fields, _) => fields.duplicate(),
            State::Never | State::Deleted(..) => Fields::default(),
        };
        let items = fields.change(marks, changes)?.into_iter().map(Ok).collect();
        let written = |revision| Written {
            revision: Some(revision),
            items,
        };
        let was = match &state {
            State::Live(_, fields, _) => fields.duplicate(),
            State::Never | State::Deleted(..) => Fields::default(),
        };
        let puts = changes.iter().any(|change| matches!(change.op, Op::Put(_)));
        if !puts && fields.same_as(&was) {
            return Ok(Some(written(before)));
        }
        match self
            .kv
            .write(cx, &self.kv.place.path, &fields, &state)
            .await
        {
            Ok((version, made)) if self.kv.is_two() => {
                Ok(Some(written(Revision::new(dated(version, made)))))
            }
            Ok(_) => Ok(Some(written(whole(marks, &fields)))),
            Err(error) if error.kind() == ErrorKind::Conflict && base.is_some() => Err(moved_on()),
            Err(error) if error.kind() == ErrorKind::Conflict => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The revision where the engine names none; a document without fields is one that is not there.
fn whole(marks: &Marks, fields: &Fields) -> Revision {
    Revision::new(if fields.is_empty() {
        "absent".to_owned()
    } else {
        marks.revision(fields)
    })
}

fn moved_on() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "the document was changed by someone else",
    )
}

#[async_trait]
impl Provider for Document {
    fn location(&self) -> &str {
        &self.kv.location
    }

    fn capabilities(&self) -> Capabilities {
        let two = self.kv.is_two();
        Capabilities {
            unit: Unit::Document,
            guard: if two {
                Guard::CompareAndSet
            } else {
                Guard::None
            },
            values: Values::Utf8,
            writable: true,
            history: two,
            prune: false,
            restore: false,
            idempotent: false,
            cheap_poll: two,
            own_versions: false,
            limits: Limits {
                // Less than the document, so that each value that is declared to fit does.
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
        let path = &self.kv.place.path;
        let fields = if self.kv.is_two() {
            self.kv.fields(cx, path).await
        } else {
            let names = |state| match state {
                State::Live(_, fields, _) => fields.names().map(|name| name.to_string()).collect(),
                State::Never | State::Deleted(..) => Vec::new(),
            };
            self.kv.read(cx, path, None).await.map(names)
        };
        let names = self
            .at(fields)?
            .into_iter()
            .filter_map(|field| Name::new(&field).ok());
        Ok(names.map(|name| (name, Meta::default())).collect())
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let state = self.at(self.kv.read(cx, &self.kv.place.path, None).await)?;
        let marks = self.at(self.marks())?;
        let revision = Some(self.revision(&state, &marks));
        let State::Live(_, fields, _) = &state else {
            let names = match what {
                Select::All => &[],
                Select::Names(names) => names,
            };
            return Ok(Snapshot {
                revision,
                items: names
                    .iter()
                    .map(|name| (name.clone(), Ok(Lookup::Absent)))
                    .collect(),
                foreign: Vec::new(),
                missing: true,
                deletions: false,
                owner: None,
            });
        };
        // When the document was written says nothing of one secret.
        let meta = Meta::default();
        let look = |name: Name| {
            let lookup = self.at(fields.look(&name, &marks, &meta));
            (name, lookup)
        };
        let items = match what {
            Select::All => fields.names().map(look).collect(),
            Select::Names(names) => names.iter().cloned().map(look).collect(),
        };
        Ok(Snapshot {
            revision,
            items,
            foreign: fields.foreign(),
            missing: false,
            deletions: false,
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
        if base.is_some() && !self.kv.is_two() {
            return self.at(Err(Error::unsupported(
                "key-value version 1 cannot guard a batch by its revision",
            )));
        }
        let marks = self.at(self.marks())?;
        for round in 0..ROUNDS {
            if let Some(written) = self.at(self.try_write(cx, &marks, base, changes).await)? {
                return Ok(written);
            }
            // A standby may not have what was written yet.
            tokio::time::sleep(std::time::Duration::from_millis(
                u64::from(round.min(10)) * 10,
            ))
            .await;
        }
        self.at(Err(moved_on()))
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        self.keeps_history()?;
        let states = self.at(self.kv.states(cx, &self.kv.place.path).await)?;
        Ok(document::history(&states, name, &self.at(self.marks())?))
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        self.keeps_history()?;
        let states = self.at(self.kv.states(cx, &self.kv.place.path).await)?;
        Ok(document::look_back(
            &states,
            name,
            version,
            &self.at(self.marks())?,
        ))
    }

    async fn prune(&self, _cx: &Ctx, _name: &Name, _keep: usize) -> Result<usize> {
        let error = Error::unsupported(
            "the store keeps whole documents: one secret's past cannot be forgotten alone",
        );
        self.at(Err(
            error.with_hint("`vault kv destroy -versions=…` forgets documents")
        ))
    }

    async fn poll(&self, cx: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        self.keeps_history()?;
        let past = self.at(self.kv.past(cx, &self.kv.place.path).await)?;
        let cursor = Cursor::new(past.state());
        Ok(Poll {
            changed: since != Some(&cursor),
            cursor,
        })
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

impl Document {
    fn keeps_history(&self) -> Result<()> {
        if self.kv.is_two() {
            return Ok(());
        }
        self.at(Err(Error::unsupported(
            "key-value version 1 keeps no versions",
        )))
    }
}
