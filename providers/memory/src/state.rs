//! What a memory store holds: the states of each secret, newest last, and which operations were
//! carried out. Called under the store's lock; decides nothing about capabilities.

use std::collections::{BTreeMap, HashMap, VecDeque};

use secrets_api::{
    Capabilities, Change, Error, ErrorKind, Lookup, Meta, Name, Op, OperationId, Precondition,
    REVISION, Result, Revision, SecretValue, Stored, Timestamp, Version, Written,
};

/// States kept of one secret.
const MOST_STATES: usize = 100;
/// Changes whose answer is remembered.
const MOST_ANSWERS: usize = 4096;

/// One state of a secret; a deletion has no value.
pub(crate) struct Entry {
    version: Version,
    /// The generation that it came with: other than the version's where that came back with the value.
    since: u64,
    modified: Timestamp,
    value: Option<SecretValue>,
}

impl Entry {
    pub(crate) fn meta(&self) -> Meta {
        Meta {
            version: Some(self.version.clone()),
            modified: Some(self.modified),
            deleted: self.value.is_none(),
            ..Meta::default()
        }
    }

    fn lookup(&self) -> Lookup {
        match &self.value {
            Some(value) => Lookup::Found(Stored {
                value: value.duplicate(),
                meta: self.meta(),
            }),
            None => Lookup::Deleted {
                recoverable_until: None,
                version: Some(self.version.clone()),
            },
        }
    }
}

/// What a change was answered with.
#[derive(Clone)]
struct Answer {
    version: Option<Version>,
    revision: Revision,
}

#[derive(Default)]
pub(crate) struct State {
    /// Counts every state ever made: versions and revisions are named by it.
    generation: u64,
    secrets: BTreeMap<Name, VecDeque<Entry>>,
    answers: HashMap<(OperationId, Name), Answer>,
    answered: VecDeque<(OperationId, Name)>,
}

impl State {
    pub(crate) fn revision(&self) -> Revision {
        Revision::new(self.generation.to_string())
    }

    /// The secrets that have a value, by name.
    pub(crate) fn present(&self) -> impl Iterator<Item = (&Name, &Entry)> {
        self.secrets.iter().filter_map(|(name, states)| {
            let entry = states.back().filter(|entry| entry.value.is_some())?;
            Some((name, entry))
        })
    }

    /// What stands under `name`; `tells_deleted`: whether a deletion is told from absence.
    pub(crate) fn look(&self, name: &Name, tells_deleted: bool) -> Lookup {
        match self.secrets.get(name).and_then(VecDeque::back) {
            Some(entry) if entry.value.is_some() || tells_deleted => entry.lookup(),
            _ => Lookup::Absent,
        }
    }

    /// The states, newest first; `labelled`: each with the revisions that held it.
    pub(crate) fn history(&self, name: &Name, labelled: bool) -> Vec<Meta> {
        let mut until = self.generation + 1;
        let states = self.secrets.get(name).into_iter().flatten().rev();
        let metas = states.map(|entry| {
            let held = entry.since..std::mem::replace(&mut until, entry.since);
            let labels = held.filter(|_| labelled);
            Meta {
                tags: labels
                    .map(|n| (REVISION.to_owned(), n.to_string()))
                    .collect(),
                ..entry.meta()
            }
        });
        metas.collect()
    }

    /// Forgets all states but the newest `keep`, at least one; says how many went.
    pub(crate) fn prune(&mut self, name: &Name, keep: usize) -> usize {
        let Some(states) = self.secrets.get_mut(name) else {
            return 0;
        };
        let gone = states.len().saturating_sub(keep.max(1));
        states.drain(..gone);
        gone
    }

    pub(crate) fn look_back(&self, name: &Name, version: &Version) -> Lookup {
        let states = self.secrets.get(name).into_iter().flatten();
        states
            .rev()
            .find(|entry| entry.version == *version)
            .map_or(Lookup::Absent, Entry::lookup)
    }

    /// All changes or none.
    pub(crate) fn write_whole(
        &mut self,
        operation: Option<OperationId>,
        base: Option<&Revision>,
        changes: &[Change<'_>],
        can: &Capabilities,
    ) -> Result<Written> {
        if let Some(written) = self.answered_before(operation, changes) {
            return Ok(written);
        }
        if base.is_some_and(|base| *base != self.revision()) {
            return Err(Error::new(
                ErrorKind::Conflict,
                "the store was changed by someone else",
            ));
        }
        for change in changes {
            self.admit(change, can)?;
        }
        let versions: Vec<_> = changes
            .iter()
            .map(|change| self.carry_out(change, can))
            .collect();
        for (change, version) in changes.iter().zip(&versions) {
            self.remember(operation, change.name, version.clone());
        }
        Ok(Written {
            revision: Some(self.revision()),
            items: versions.into_iter().map(Ok).collect(),
        })
    }

    /// Each change by itself.
    pub(crate) fn write_each(
        &mut self,
        operation: Option<OperationId>,
        changes: &[Change<'_>],
        can: &Capabilities,
    ) -> Written {
        let items = changes.iter().map(|change| {
            if let Some(answer) = self.answer(operation, change.name) {
                return Ok(answer.version.clone());
            }
            self.admit(change, can)?;
            let version = self.carry_out(change, can);
            self.remember(operation, change.name, version.clone());
            Ok(version)
        });
        Written {
            items: items.collect(),
            revision: None,
        }
    }

    /// Whether the change may happen now.
    fn admit(&self, change: &Change<'_>, can: &Capabilities) -> Result<()> {
        let now = self.secrets.get(change.name).and_then(VecDeque::back);
        let present = now.is_some_and(|entry| entry.value.is_some());
        let holds = match &change.when {
            Precondition::Unguarded => true,
            Precondition::Absent => !present,
            Precondition::Version(version) => {
                now.is_some_and(|entry| entry.version == *version && (present || can.restore))
            }
        };
        if !holds {
            return Err(Error::conflict(change.name));
        }
        if matches!(change.op, Op::Restore) && (present || now.is_none()) {
            let message = format!(
                "{} is not deleted: there is nothing to restore",
                change.name
            );
            return Err(Error::new(ErrorKind::Conflict, message).about(change.name));
        }
        Ok(())
    }

    /// Makes a change that was admitted; gives the new version, none for a deletion.
    fn carry_out(&mut self, change: &Change<'_>, can: &Capabilities) -> Option<Version> {
        let states = self.secrets.get(change.name);
        let value = match change.op {
            Op::Put(value) => Some(value.duplicate()),
            Op::Restore => states
                .into_iter()
                .flatten()
                .rev()
                .find_map(|entry| entry.value.as_ref().map(SecretValue::duplicate)),
            // What has no value gets no second deletion.
            Op::Delete if states.and_then(|s| s.back()?.value.as_ref()).is_none() => return None,
            Op::Delete => None,
        };
        self.generation += 1;
        let states = self.secrets.entry(change.name.clone()).or_default();
        let same = |entry: &&Entry| match (&entry.value, &value) {
            (Some(old), Some(new)) => !can.own_versions && old.same_as(new),
            _ => false,
        };
        // Where versions only tell values apart, a value brings back the one that it had.
        let before = states.iter().rev().find(same);
        let version = before.map_or_else(
            || Version::new(self.generation.to_string()),
            |entry| entry.version.clone(),
        );
        if states.back().is_some_and(|now| same(&now)) {
            return Some(version);
        }
        let told = value.is_some().then(|| version.clone());
        if states.len() == MOST_STATES {
            states.pop_front();
        }
        states.push_back(Entry {
            version,
            since: self.generation,
            modified: Timestamp::now(),
            value,
        });
        told
    }

    fn answer(&self, operation: Option<OperationId>, name: &Name) -> Option<&Answer> {
        self.answers.get(&(operation?, name.clone()))
    }

    /// The answer to a batch that was carried out under this operation. A batch has one fate: its
    /// changes were all answered, or none.
    fn answered_before(
        &self,
        operation: Option<OperationId>,
        changes: &[Change<'_>],
    ) -> Option<Written> {
        let answers: Option<Vec<&Answer>> = changes
            .iter()
            .map(|change| self.answer(operation, change.name))
            .collect();
        let answers = answers?;
        Some(Written {
            // As it was then: a later one would vouch for changes the caller has not seen.
            revision: Some(answers.first()?.revision.clone()),
            items: answers.iter().map(|a| Ok(a.version.clone())).collect(),
        })
    }

    fn remember(&mut self, operation: Option<OperationId>, name: &Name, version: Option<Version>) {
        let Some(operation) = operation else { return };
        if self.answered.len() == MOST_ANSWERS
            && let Some(oldest) = self.answered.pop_front()
        {
            self.answers.remove(&oldest);
        }
        let key = (operation, name.clone());
        let revision = self.revision();
        self.answered.push_back(key.clone());
        self.answers.insert(key, Answer { version, revision });
    }
}
