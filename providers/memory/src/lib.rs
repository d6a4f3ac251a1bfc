//! A store in memory, for tests and dry runs: everything the trait knows, nothing that lasts.
//!
//! `memory:NAME` is one map for the whole process, by its name: two handles see each other's
//! writes, as two processes at one file do. It must never reach the disk or the network.

mod state;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, Leasing, Limits, Lookup, Meta,
    Name, Poll, Provider, ProviderExt as _, Report, Result, Revision, SecretValue, Select,
    Snapshot, Staging, Unit, Values, Version, Written, async_trait,
};

use state::State;

/// The word before the colon.
pub const SCHEME: &str = "memory";

type Shared = Arc<Mutex<State>>;

/// The maps that have a name, for as long as the process lives.
static NAMED: LazyLock<Mutex<HashMap<String, Shared>>> = LazyLock::new(Mutex::default);

/// A handle on one map; a clone is another handle on the same.
#[derive(Clone)]
pub struct Memory {
    location: String,
    can: Capabilities,
    shared: Shared,
}

/// Opens `memory:NAME`, the map of that name in this process. It starts empty.
///
/// # Errors
/// `InvalidConfig` for an option: there is none to give.
pub fn open(opening: &secrets_api::Opening<'_>) -> Result<Arc<dyn Provider>> {
    let uri = opening.uri;
    if let Some(option) = uri.unknown_option(&[]) {
        let message = format!("a memory store has no option `{option}`");
        return Err(Error::new(ErrorKind::InvalidConfig, message)
            .at_store(uri)
            .with_hint("write `memory:NAME`"));
    }
    Ok(Arc::new(Memory::named(uri.location())))
}

impl Memory {
    /// All that it can do; [`Memory::new`] takes less.
    pub const CAPABILITIES: Capabilities = Capabilities {
        unit: Unit::Document,
        guard: Guard::CompareAndSet,
        values: Values::Bytes,
        writable: true,
        history: true,
        prune: true,
        restore: true,
        idempotent: true,
        cheap_poll: true,
        own_versions: true,
        limits: Limits {
            value_bytes: Some(1024 * 1024),
            name_bytes: None,
            concurrency: 64,
        },
    };

    /// An empty map of its own that can do what `can` says and no more: for tests that need a
    /// lesser store. Other handles on it are its clones.
    pub fn new(can: Capabilities) -> Self {
        Self {
            location: format!("{SCHEME}:"),
            can,
            shared: Shared::default(),
        }
    }

    /// The map of this name in this process.
    pub fn named(name: &str) -> Self {
        let mut named = NAMED.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            location: format!("{SCHEME}:{name}"),
            can: Self::CAPABILITIES,
            shared: Arc::clone(named.entry(name.to_owned()).or_default()),
        }
    }

    /// The same map, through a handle that can do what `can` says: a store is filled through one
    /// that writes and looked at through one that does not.
    #[must_use]
    pub fn limited_to(&self, can: Capabilities) -> Self {
        Self {
            can,
            ..self.clone()
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left whole entries: each is pushed in one step.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn revision(&self, state: &State) -> Option<Revision> {
        (self.can.unit == Unit::Document).then(|| state.revision())
    }

    fn lacks(&self, what: &str) -> Error {
        Error::unsupported(format!("the store {what}")).at_store(&self.location)
    }
}

#[async_trait]
impl Provider for Memory {
    fn location(&self) -> &str {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        self.can
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)
    }

    async fn inspect(&self, _cx: &Ctx) -> Result<Report> {
        let count = self.lock().present().count();
        Ok(Report {
            facts: vec![("secrets".to_owned(), count.to_string())],
            ..Report::default()
        })
    }

    async fn list(&self, _cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let state = self.lock();
        let metas = state
            .present()
            .map(|(name, entry)| (name.clone(), entry.meta()));
        Ok(metas.collect())
    }

    async fn read(&self, _cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let state = self.lock();
        let look = |name: &Name| (name.clone(), Ok(state.look(name, self.can.restore)));
        let items = match what {
            Select::All => state.present().map(|(name, _)| look(name)).collect(),
            Select::Names(names) => names.iter().map(look).collect(),
        };
        Ok(Snapshot {
            revision: self.revision(&state),
            items,
            foreign: Vec::new(),
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
        if base.is_some() && self.can.guard < Guard::Cooperative {
            return Err(self.lacks("cannot guard a batch by its revision"));
        }
        let operation = self.can.idempotent.then_some(cx.operation);
        let mut state = self.lock();
        match self.can.unit {
            Unit::Document => state
                .write_whole(operation, base, changes, &self.can)
                .map_err(|error| error.at_store(&self.location)),
            Unit::Secret => {
                let mut written = state.write_each(operation, changes, &self.can);
                for item in &mut written.items {
                    let answer = std::mem::replace(item, Ok(None));
                    *item = answer.map_err(|error| error.at_store(&self.location));
                }
                Ok(written)
            }
        }
    }

    async fn history(&self, _cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        if !self.can.history {
            return Err(self.lacks("keeps no history"));
        }
        let labelled = self.can.unit == Unit::Document && !self.can.own_versions;
        Ok(self.lock().history(name, labelled))
    }

    async fn read_version(&self, _cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        if !self.can.history {
            return Err(self.lacks("keeps no history"));
        }
        Ok(self.lock().look_back(name, version))
    }

    async fn prune(&self, _cx: &Ctx, name: &Name, keep: usize) -> Result<usize> {
        if !self.can.prune {
            return Err(self.lacks("forgets no single states"));
        }
        Ok(self.lock().prune(name, keep))
    }

    async fn poll(&self, _cx: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        if !self.can.cheap_poll {
            return Err(self.lacks("cannot be polled"));
        }
        let cursor = Cursor::new(self.lock().revision().as_str());
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

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
