//! The process environment as a store, read-only: the lowest layer of a deployment that already
//! has its configuration there.
//!
//! `env:` is all of it, `env:?prefix=DJANGO_` the part with that prefix, under names without it.
//! What is read is the copy taken at the start, given with the opening: this crate must never look
//! at the live environment, nor change it. There are no versions: a process environment has one
//! state, and MACs would need the machine's key for nothing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::sync::Arc;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, Leasing, Limits, Lookup, Meta,
    Name, Opening, Poll, Provider, ProviderExt as _, Report, Result, Revision, SecretValue, Select,
    Snapshot, Staging, Stored, Unit, Values, Version, Written, async_trait,
};

/// The word before the colon.
pub const SCHEME: &str = "env";

/// The process environment, or the part of it under a prefix.
struct Environment {
    location: String,
    prefix: String,
    values: BTreeMap<Name, SecretValue>,
    foreign: Vec<String>,
}

/// Opens `env:` or `env:?prefix=PREFIX` over the variables given.
///
/// # Errors
/// `InvalidConfig` for a location (there is but one environment) or another option.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let uri = opening.uri;
    let wrong = |message: String| {
        Err(Error::new(ErrorKind::InvalidConfig, message)
            .at_store(uri)
            .with_hint("write `env:`, or `env:?prefix=DJANGO_` for names that start so"))
    };
    if !uri.location().is_empty() {
        return wrong("the environment is one place: nothing may follow `env:`".to_owned());
    }
    if let Some(option) = uri.unknown_option(&["prefix"]) {
        return wrong(format!("the environment has no option `{option}`"));
    }
    let prefix = uri.option("prefix").unwrap_or_default();
    Ok(Arc::new(Environment::new(
        uri.to_string(),
        prefix,
        opening.variables,
    )))
}

/// Whether a variable is `secrets`' own or its login to a store: no secret of the environment, and
/// never handed on.
fn is_our_own(variable: &[u8]) -> bool {
    variable.starts_with(b"SECRETS_") || variable == b"VAULT_TOKEN" || variable == b"BAO_TOKEN"
}

impl Environment {
    fn new(location: String, prefix: &str, variables: &[(OsString, OsString)]) -> Self {
        let mut values = BTreeMap::new();
        let mut foreign = Vec::new();
        for (variable, value) in variables {
            // Judged by the variable's own name: a prefix must not make it another.
            if is_our_own(variable.as_encoded_bytes()) {
                continue;
            }
            let Some(rest) = variable.as_encoded_bytes().strip_prefix(prefix.as_bytes()) else {
                continue;
            };
            let name = std::str::from_utf8(rest)
                .ok()
                .and_then(|text| Name::new(text).ok());
            match name {
                // Of duplicates the first counts, as for getenv(3).
                Some(name) => {
                    values
                        .entry(name)
                        .or_insert_with(|| SecretValue::from_slice(value.as_encoded_bytes()));
                }
                None => foreign.push(variable.to_string_lossy().into_owned()),
            }
        }
        Self {
            location,
            prefix: prefix.to_owned(),
            values,
            foreign,
        }
    }

    fn lookup(&self, name: &Name) -> Lookup {
        match self.values.get(name) {
            Some(value) => Lookup::Found(Stored {
                value: value.duplicate(),
                meta: Meta::default(),
            }),
            None => Lookup::Absent,
        }
    }

    fn lacks<T>(&self, what: &str) -> Result<T> {
        Err(Error::unsupported(format!("the process environment {what}")).at_store(&self.location))
    }
}

#[async_trait]
impl Provider for Environment {
    fn location(&self) -> &str {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Secret,
            guard: Guard::None,
            values: Values::Bytes,
            writable: false,
            history: false,
            prune: false,
            restore: false,
            idempotent: false,
            cheap_poll: false,
            own_versions: false,
            limits: Limits {
                value_bytes: None,
                name_bytes: None,
                concurrency: 1,
            },
        }
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)
    }

    async fn inspect(&self, _cx: &Ctx) -> Result<Report> {
        let count = self.values.len();
        let mut facts = vec![("variables".to_owned(), count.to_string())];
        if !self.prefix.is_empty() {
            facts.push(("prefix".to_owned(), self.prefix.clone()));
        }
        Ok(Report {
            facts,
            ..Report::default()
        })
    }

    async fn list(&self, _cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let names = self.values.keys();
        Ok(names.map(|name| (name.clone(), Meta::default())).collect())
    }

    async fn read(&self, _cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let look = |name: &Name| (name.clone(), Ok(self.lookup(name)));
        let items = match what {
            Select::All => self.values.keys().map(look).collect(),
            Select::Names(names) => names.iter().map(look).collect(),
        };
        Ok(Snapshot {
            revision: None,
            items,
            foreign: self.foreign.clone(),
            missing: false,
            deletions: false,
            owner: None,
        })
    }

    async fn write(
        &self,
        _cx: &Ctx,
        _base: Option<&Revision>,
        _changes: &[Change<'_>],
    ) -> Result<Written> {
        self.lacks("is read-only")
    }

    async fn history(&self, _cx: &Ctx, _name: &Name) -> Result<Vec<Meta>> {
        self.lacks("keeps no history")
    }

    async fn read_version(&self, _cx: &Ctx, _name: &Name, _version: &Version) -> Result<Lookup> {
        self.lacks("keeps no history")
    }

    async fn prune(&self, _cx: &Ctx, _name: &Name, _keep: usize) -> Result<usize> {
        self.lacks("keeps no history")
    }

    async fn poll(&self, _cx: &Ctx, _since: Option<&Cursor>) -> Result<Poll> {
        self.lacks("does not change while the process runs")
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

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("location", &self.location)
            .field("variables", &self.values.len())
            .finish_non_exhaustive()
    }
}
