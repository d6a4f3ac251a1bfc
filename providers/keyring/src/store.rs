//! The provider: the trait's questions put to the platform's keyring.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, Guard, KeySource, Leasing, Limits, Lookup, Meta,
    Name, Op, Poll, Provider, ProviderExt as _, Report, Result, Revision, SecretValue, Select,
    Snapshot, Staging, Stored, Unit, Values, Version, Written, async_trait,
};

use crate::native::{self, Edit, Held, Listed};
use crate::{PATIENCE, SCHEME, name_of, refusal, version};

/// The most characters of a foreign item's name that are passed on.
const FOREIGN_CHARS: usize = 255;

/// One service's items.
pub(crate) struct Keyring {
    location: String,
    service: Arc<str>,
    machine_key: KeySource,
}

impl Keyring {
    pub(crate) fn new(service: &str, machine_key: KeySource) -> Self {
        Self {
            location: format!("{SCHEME}:{service}"),
            service: Arc::from(service),
            machine_key,
        }
    }

    /// Runs a blocking question on the runtime's blocking threads.
    async fn ask<T: Send + 'static>(
        &self,
        cx: &Ctx,
        question: impl FnOnce(&str, Duration) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let service = Arc::clone(&self.service);
        let within = cx.remaining().min(PATIENCE);
        tokio::task::spawn_blocking(move || question(&service, within))
            .await
            // What a panic says is not passed on: it is not ours to vouch for.
            .unwrap_or_else(|_| Err(refusal::unanswered()))
            .map_err(|error| self.here(error))
    }

    fn here(&self, error: Error) -> Error {
        error.at_store(&self.location)
    }

    fn about(&self, name: &Name, error: Error) -> Error {
        self.here(error).about(name)
    }

    fn stored(&self, key: &SecretValue, name: &Name, held: Held) -> Lookup {
        Lookup::Found(Stored {
            meta: Meta {
                version: Some(version::of(key, &self.service, name.as_str(), &held.value)),
                modified: held.modified,
                ..Meta::default()
            },
            value: held.value,
        })
    }

    fn lacks(&self, what: &str) -> Error {
        self.here(Error::unsupported(format!("the keyring {what}")))
    }

    async fn read_all(&self, cx: &Ctx) -> Result<Snapshot> {
        let wanted = |user: &str| name_of(user).is_some();
        let all = self
            .ask(cx, move |service, within| {
                native::read_all(service, wanted, within)
            })
            .await?;
        let key = (self.machine_key)()?;
        let items = all.items.into_iter().filter_map(|(user, held)| {
            let name = name_of(&user)?;
            let lookup = held
                .map(|held| self.stored(&key, &name, held))
                .map_err(|error| self.about(&name, error));
            Some((name, lookup))
        });
        Ok(Snapshot {
            revision: None,
            items: items.collect(),
            foreign: all.others.iter().map(|user| shortened(user)).collect(),
            missing: false,
            deletions: false,
            owner: None,
        })
    }
}

#[async_trait]
impl Provider for Keyring {
    fn location(&self) -> &str {
        &self.location
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            unit: Unit::Secret,
            guard: Guard::None,
            values: Values::Bytes,
            writable: true,
            history: false,
            prune: false,
            restore: false,
            idempotent: false,
            cheap_poll: false,
            own_versions: false,
            limits: Limits {
                value_bytes: Some(native::VALUE_BYTES),
                name_bytes: None,
                concurrency: 4,
            },
        }
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.check_admits(name, value)
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        let mut facts = vec![("keyring".to_owned(), native::DESCRIPTION.to_owned())];
        facts.extend(self.ask(cx, native::inspect).await?);
        let listed = self.ask(cx, native::list).await?;
        facts.push(("items".to_owned(), listed.len().to_string()));
        Ok(Report {
            facts,
            ..Report::default()
        })
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let mut listed: Vec<(Name, Meta)> = Vec::new();
        for Listed { user, modified } in self.ask(cx, native::list).await? {
            let Some(name) = user.as_deref().and_then(name_of) else {
                continue;
            };
            // Two items of one name are one name; a read says what is wrong with it.
            if listed.iter().any(|(known, _)| *known == name) {
                continue;
            }
            let meta = Meta {
                modified,
                ..Meta::default()
            };
            listed.push((name, meta));
        }
        Ok(listed)
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let Select::Names(names) = what else {
            return self.read_all(cx).await;
        };
        if names.is_empty() {
            return Ok(Snapshot::default());
        }
        let users: Vec<String> = names.iter().map(|name| name.as_str().to_owned()).collect();
        let found = self
            .ask(cx, move |service, within| {
                native::read(service, &users, within)
            })
            .await?;
        let mut key = None;
        let mut items = Vec::with_capacity(names.len());
        for (name, held) in names.iter().zip(found) {
            let lookup = match held {
                Err(error) => Err(self.about(name, error)),
                Ok(None) => Ok(Lookup::Absent),
                Ok(Some(held)) => {
                    if key.is_none() {
                        key = Some((self.machine_key)()?);
                    }
                    let key = key.as_ref().ok_or_else(refusal::unanswered)?;
                    Ok(self.stored(key, name, held))
                }
            };
            items.push((name.clone(), lookup));
        }
        Ok(Snapshot {
            revision: None,
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
        let mut edits = Vec::with_capacity(changes.len());
        let mut versions: Vec<Option<Version>> = Vec::with_capacity(changes.len());
        // Before anything is sent: a machine key that is not to be had must fail no half-made batch.
        let key = match changes.iter().any(|c| matches!(c.op, Op::Put(_))) {
            true => Some((self.machine_key)()?),
            false => None,
        };
        for Change { name, op, .. } in changes {
            let value = match op {
                Op::Put(value) => Some(*value),
                Op::Delete | Op::Restore => None,
            };
            versions.push(
                value
                    .zip(key.as_deref())
                    .map(|(value, key)| version::of(key, &self.service, name.as_str(), value)),
            );
            edits.push(Edit {
                user: name.as_str().to_owned(),
                value: value.map(SecretValue::duplicate),
            });
        }
        if edits.is_empty() {
            return Ok(Written {
                revision: None,
                items: Vec::new(),
            });
        }
        let answers = self
            .ask(cx, move |service, within| {
                native::write(service, edits, within)
            })
            .await?;
        let items =
            answers
                .into_iter()
                .zip(versions)
                .zip(changes)
                .map(|((answer, version), change)| {
                    answer
                        .map(|_| version)
                        .map_err(|error| self.about(change.name, error))
                });
        Ok(Written {
            revision: None,
            items: items.collect(),
        })
    }

    async fn history(&self, _cx: &Ctx, _name: &Name) -> Result<Vec<Meta>> {
        Err(self.lacks("keeps no history"))
    }

    async fn read_version(&self, _cx: &Ctx, _name: &Name, _version: &Version) -> Result<Lookup> {
        Err(self.lacks("keeps no history"))
    }

    async fn prune(&self, _cx: &Ctx, _name: &Name, _keep: usize) -> Result<usize> {
        Err(self.lacks("keeps no history"))
    }

    async fn poll(&self, _cx: &Ctx, _since: Option<&Cursor>) -> Result<Poll> {
        Err(self.lacks("cannot be polled"))
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

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}

/// A text of another program's making, no longer than a name may be.
fn shortened(text: &str) -> String {
    text.chars().take(FOREIGN_CHARS).collect()
}
