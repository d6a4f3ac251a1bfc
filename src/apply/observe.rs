//! What is in a store, or in the layers of an environment: one read a layer, all at once. What cannot be
//! read is unknown, never absent.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use secrets_api::{Ctx, Lookup, Meta, Name, REFERS, Revision, SecretValue, Select, Unit, Version};

use super::Party;
use crate::base::Keys;
use crate::exit::{Failure, Result};
use crate::plan::{Observation, Present, Seen};

/// Of how many names a store is asked in one call whether they were deleted.
pub(super) const ASKED_AT_ONCE: usize = 160;

/// A value, what is known of it, and the layer that supplies it.
#[derive(Debug)]
pub struct Held {
    /// The value as it is meant, whatever form the store keeps it in.
    pub value: SecretValue,
    /// What is known of it.
    pub meta: Meta,
    /// The index of the layer.
    pub layer: usize,
    /// The document's revision, where a version cannot tell a value that was put back.
    pub revision: Option<Revision>,
}

impl Held {
    /// What the state is remembered by.
    pub fn state(&self) -> Option<Version> {
        state(self.meta.version.as_ref(), self.revision.as_ref())
    }

    /// The names it is put together from, in its layer.
    pub fn refers(&self) -> impl Iterator<Item = Name> {
        let tags = self.meta.tags.iter().filter(|(key, _)| key == REFERS);
        tags.filter_map(|(_, name)| Name::new(name).ok())
    }
}

/// What a state is remembered by: its version, and the document's revision where the version is only a
/// MAC of the value. Another revision may mean that the value went and was put back: the document's
/// history tells.
pub fn state(version: Option<&Version>, revision: Option<&Revision>) -> Option<Version> {
    match (version, revision) {
        (Some(version), Some(revision)) => Some(Version::new(format!("{version} {revision}"))),
        (version, _) => version.cloned(),
    }
}

/// The revision in what a state is remembered by.
pub fn revision_of(state: &Version) -> Option<&str> {
    state.as_str().split_once(' ').map(|(_, revision)| revision)
}

/// The store's own version in what a state is remembered by.
pub fn version_of(state: &Version) -> Version {
    match state.as_str().split_once(' ') {
        Some((version, _)) => Version::new(version),
        None => state.clone(),
    }
}

/// Whether states of this layer are remembered with their document's revision.
pub fn needs_revision(party: &Party, layer: usize) -> bool {
    let can = party.stack.layers[layer].provider.capabilities();
    can.unit == Unit::Document && can.history && !can.own_versions
}

/// All that was seen of one party.
#[derive(Debug, Default)]
pub struct Observed {
    /// The values by name.
    pub held: BTreeMap<Name, Held>,
    /// The names that may be there and cannot be read, with why.
    pub unknown: BTreeMap<Name, Failure>,
    /// The names that the store remembers a deletion of.
    pub deleted: Vec<Name>,
    /// Entries that are no names of secrets: left alone.
    pub foreign: Vec<String>,
    /// Whether there is no document at all in any layer.
    pub missing: bool,
    /// The layers that are not there, by their places, with what they are called.
    pub lacking: BTreeMap<usize, String>,
    /// Whose the layers are, by their places, as far as their stores say.
    pub owners: BTreeMap<usize, String>,
    /// The layer that new names go to, if any can be written.
    home: Option<usize>,
    /// The layers that have to be asked by name about what they remember as deleted.
    silent: Vec<usize>,
    /// The layers that hold a name, readable or not, lowest first.
    holders: BTreeMap<Name, Vec<usize>>,
}

/// Looks at a party.
///
/// # Errors
/// If a layer cannot be read as a whole: what it would have said is unknown, so nothing is.
pub async fn observe(party: &Party, cx: &Ctx) -> Result<Observed> {
    let layers = &party.stack.layers;
    let reads = layers.iter().map(|l| l.provider.read(cx, Select::All));
    let mut seen = Observed {
        missing: true,
        home: party.stack.last_writable().ok(),
        ..Observed::default()
    };
    for (layer, snapshot) in join_all(reads).await.into_iter().enumerate() {
        let snapshot = snapshot?;
        seen.missing &= snapshot.missing;
        seen.owners
            .extend(snapshot.owner.map(|owner| (layer, owner)));
        if snapshot.missing {
            seen.lacking.insert(layer, layers[layer].label.clone());
        }
        if !snapshot.deletions && layers[layer].provider.capabilities().restore {
            seen.silent.push(layer);
        }
        seen.foreign.extend(snapshot.foreign);
        let revision = snapshot.revision.filter(|_| needs_revision(party, layer));
        for (name, lookup) in snapshot.items {
            seen.take(party, layer, name, lookup, revision.as_ref());
        }
    }
    Ok(seen)
}

impl Observed {
    /// Takes what a layer says of a name over what lower ones say.
    fn take(
        &mut self,
        party: &Party,
        layer: usize,
        name: Name,
        lookup: secrets_api::Result<Lookup>,
        revision: Option<&Revision>,
    ) {
        let stored = match lookup {
            Ok(Lookup::Found(stored)) => stored,
            Ok(Lookup::Deleted { .. }) => return self.deleted.push(name),
            Ok(Lookup::Absent) => return,
            Err(error) => {
                self.holds(&name, layer);
                return self.not_read(name, error.into());
            }
        };
        self.holds(&name, layer);
        match party.stack.decode(layer, &party.settings, &name, stored) {
            Ok(stored) => {
                self.unknown.remove(&name);
                let held = Held {
                    value: stored.value,
                    meta: stored.meta,
                    layer,
                    revision: revision.cloned(),
                };
                self.held.insert(name, held);
            }
            Err(failure) => self.not_read(name, failure),
        }
    }

    fn holds(&mut self, name: &Name, layer: usize) {
        self.holders.entry(name.clone()).or_default().push(layer);
    }

    /// The layers below the supplying one that hold a name too, the one that would supply it next first.
    pub fn covers(&self, name: &Name) -> impl Iterator<Item = usize> {
        let supplier = self.held.get(name).map(|held| held.layer);
        let holders = self.holders.get(name).into_iter().flatten().rev();
        holders
            .copied()
            .filter(move |layer| supplier.is_some_and(|supplier| *layer < supplier))
    }

    fn not_read(&mut self, name: Name, failure: Failure) {
        self.held.remove(&name);
        self.unknown.insert(name, failure);
    }

    /// Asks the layers that remember deletions about names that are not there.
    ///
    /// # Errors
    /// If a layer cannot be read.
    pub async fn look_for_graves(&mut self, party: &Party, cx: &Ctx, names: &[Name]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        // Part by part: each call has the store's own time, however many names there are.
        for part in names.chunks(ASKED_AT_ONCE) {
            let reads = self.silent.iter().map(|&layer| async move {
                let provider = &party.stack.layers[layer].provider;
                (layer, provider.read(cx, Select::Names(part)).await)
            });
            for (layer, snapshot) in join_all(reads).await {
                let snapshot = snapshot?;
                let revision = snapshot.revision.filter(|_| needs_revision(party, layer));
                for (name, lookup) in snapshot.items {
                    self.take(party, layer, name, lookup, revision.as_ref());
                }
            }
        }
        Ok(())
    }

    /// Whether there is a value, or there may be one.
    pub fn has(&self, name: &Name) -> bool {
        self.held.contains_key(name) || self.unknown.contains_key(name)
    }

    /// The same without the values.
    pub fn observation(&self, keys: &Keys) -> Observation {
        let deleted = self
            .deleted
            .iter()
            .map(|name| (name.clone(), Seen::Deleted));
        let held = self.held.iter().map(|(name, held)| {
            let present = Present {
                fingerprint: keys.fingerprint(name, &held.value),
                version: held.state(),
                modified: held.meta.modified,
                derived: held.meta.derived,
                refers: held.refers().collect(),
                layer: held.layer,
            };
            (name.clone(), Seen::Present(present))
        });
        let unknown = self.unknown.iter();
        let unknown = unknown.map(|(name, why)| (name.clone(), Seen::Unknown(why.message.clone())));
        Observation {
            // What is there counts over what was deleted in another layer.
            names: deleted.chain(held).chain(unknown).collect(),
            missing: self.missing,
            lacking: self.lacking.clone(),
            home: self.home,
        }
    }
}
