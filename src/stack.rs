//! The opened layers of an environment: read at once, merged by precedence, written one by one.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use secrets_api::{
    Change, Ctx, Error, ErrorKind, Guard, Lookup, Meta, Name, Op, Precondition, Provider,
    ProviderExt as _, Revision, SecretValue, Select, Stored, Values, Version,
};

use crate::exit::{Exit, Failure, Result};
use crate::manifest::Encoding;
use crate::settings::{LayerSpec, Settings};

/// What is said of a write that nothing guards.
pub const UNGUARDED: &str = "unguarded: a change made meanwhile by someone else is overwritten";

/// One opened store.
#[derive(Debug)]
pub struct Layer {
    /// What to call it.
    pub label: String,
    /// How it was named.
    pub spec: LayerSpec,
    /// The store.
    pub provider: Arc<dyn Provider>,
}

/// The layers, lowest first: later ones win. Never empty.
#[derive(Debug)]
pub struct Stack {
    /// The layers.
    pub layers: Vec<Layer>,
}

/// A value and the layer that supplies it.
#[derive(Debug)]
pub struct Held {
    /// The value and what is known of it.
    pub stored: Stored,
    /// The index of the layer.
    pub layer: usize,
    /// Lower layers that hold the name too.
    pub covers: Vec<usize>,
}

/// All layers, merged.
#[derive(Debug, Default)]
pub struct Merged {
    /// Values by name.
    pub items: BTreeMap<Name, Held>,
    /// Entries whose names are no secret names, by layer.
    pub foreign: Vec<(usize, Vec<String>)>,
    /// Layers that are not there at all: a file that is missing, rather than empty.
    pub missing: Vec<usize>,
    /// Names that are there and cannot be read as texts, by the layer that holds them, with why. Only a
    /// [`Stack::read_around`] has any.
    pub broken: BTreeMap<Name, (usize, Failure)>,
}

/// What is known of a name without its value.
#[derive(Debug)]
pub struct Listed {
    /// What is known.
    pub meta: Meta,
    /// The index of the layer.
    pub layer: usize,
}

impl Merged {
    /// The layer that supplies a name, readable or not.
    pub fn layer_of(&self, name: &Name) -> Option<usize> {
        let broken = self.broken.get(name).map(|(layer, _)| *layer);
        broken.or_else(|| self.items.get(name).map(|held| held.layer))
    }
}

impl Stack {
    /// Reads every layer at once and merges. Encoded values are decoded.
    ///
    /// # Errors
    /// If any layer, or any value of the selection, cannot be read: a half-read environment is
    /// none.
    pub async fn read(&self, cx: &Ctx, settings: &Settings, what: Select<'_>) -> Result<Merged> {
        let mut merged = self.read_around(cx, settings, what).await?;
        match merged.broken.pop_first() {
            Some((_, (_, failure))) => Err(failure),
            None => Ok(merged),
        }
    }

    /// The same for a caller that asks for some of it: what is no text (a number in a document) is set
    /// apart, and is to be looked at for every name that is used.
    ///
    /// # Errors
    /// If any layer cannot be read.
    pub async fn read_around(
        &self,
        cx: &Ctx,
        settings: &Settings,
        what: Select<'_>,
    ) -> Result<Merged> {
        let reads = self
            .layers
            .iter()
            .map(|layer| layer.provider.read(cx, what));
        let mut merged = Merged::default();
        for (index, snapshot) in join_all(reads).await.into_iter().enumerate() {
            let snapshot = snapshot?;
            if snapshot.missing {
                merged.missing.push(index);
            }
            if !snapshot.foreign.is_empty() {
                merged.foreign.push((index, snapshot.foreign));
            }
            for (name, lookup) in snapshot.items {
                let stored = match lookup {
                    Ok(Lookup::Found(stored)) => stored,
                    Ok(Lookup::Absent | Lookup::Deleted { .. }) => continue,
                    Err(error) if error.kind() == ErrorKind::InvalidData => {
                        merged.items.remove(&name);
                        merged.broken.insert(name, (index, error.into()));
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                let stored = self.decode(index, settings, &name, stored)?;
                merged.broken.remove(&name);
                let covers = match merged.items.remove(&name) {
                    Some(Held {
                        layer, mut covers, ..
                    }) => {
                        covers.push(layer);
                        covers
                    }
                    None => Vec::new(),
                };
                merged.items.insert(
                    name,
                    Held {
                        stored,
                        layer: index,
                        covers,
                    },
                );
            }
        }
        Ok(merged)
    }

    /// Lists every layer at once and merges; no value is fetched.
    ///
    /// # Errors
    /// If any layer cannot be listed.
    pub async fn list(&self, cx: &Ctx) -> Result<BTreeMap<Name, Listed>> {
        let lists = join_all(self.layers.iter().map(|layer| layer.provider.list(cx))).await;
        let mut merged = BTreeMap::new();
        for (layer, list) in lists.into_iter().enumerate() {
            for (name, meta) in list? {
                merged.insert(name, Listed { meta, layer });
            }
        }
        Ok(merged)
    }

    /// Whether changes may go to this layer: it can be written, and is the environment's own. What
    /// is inherited belongs to another environment, and others may be able to read it there.
    fn is_own(layer: &Layer) -> bool {
        layer.provider.capabilities().writable && !layer.spec.inherited
    }

    /// The layer a new name goes to: the environment's last one that can be written.
    ///
    /// # Errors
    /// If none can.
    pub fn last_writable(&self) -> Result<usize> {
        self.layers.iter().rposition(Self::is_own).ok_or_else(|| {
            let labels: Vec<_> = self
                .layers
                .iter()
                .map(|layer| layer.label.as_str())
                .collect();
            Failure::usage(format!(
                "nothing here can be written: {}",
                labels.join(", ")
            ))
            .with_hint("name a store that can: `--store local:`")
        })
    }

    /// The layer a change of `name` goes to: the one that supplies it if it is the environment's
    /// own, else the last writable one.
    ///
    /// # Errors
    /// If the supplying layer cannot be written and none above it can.
    pub fn layer_for(&self, supplier: Option<usize>) -> Result<usize> {
        let last = self.last_writable()?;
        match supplier {
            Some(layer) if Self::is_own(&self.layers[layer]) => Ok(layer),
            Some(layer) if layer > last => Err(Failure::usage(format!(
                "{} supplies this name and cannot be written; what is written below it would not be seen",
                self.layers[layer].label
            ))),
            _ => Ok(last),
        }
    }

    /// Whether a write to one of these layers takes a person's word.
    pub fn protects(&self, layers: impl IntoIterator<Item = usize>) -> bool {
        layers
            .into_iter()
            .any(|l| self.layers[l].spec.protected.is_some())
    }

    /// Another environment than the layer's own, a protected one, that reads this layer.
    pub fn protector(&self, layer: usize) -> Option<&str> {
        let spec = &self.layers[layer].spec;
        let protected = spec.protected.as_deref();
        protected.filter(|p| *p != spec.environment)
    }

    /// What a person is told about writes, by layer and with what guards them, before they are made and
    /// never in silence: that another environment, a protected one, reads the layer; that one cannot
    /// tell a change made meanwhile by someone else. Empty where there is nothing to tell.
    pub fn caution(&self, writes: impl IntoIterator<Item = (usize, Precondition)>) -> String {
        let (mut other, mut unguarded) = (None, false);
        for (layer, when) in writes {
            other = other.or_else(|| self.protector(layer));
            unguarded |= when == Precondition::Unguarded;
        }
        let mut caution =
            other.map_or_else(String::new, |p| format!(" (protected: {p} reads it too)"));
        if unguarded {
            caution += &format!(" ({UNGUARDED})");
        }
        caution
    }

    /// The layer a removal of what is held goes to.
    ///
    /// # Errors
    /// If the layer that supplies it is inherited or cannot be written: a removal elsewhere would
    /// remove nothing.
    pub fn layer_to_remove(&self, name: &Name, supplier: usize) -> Result<usize> {
        let layer = &self.layers[supplier];
        if layer.spec.inherited {
            let environment = &layer.spec.environment;
            return Err(
                Failure::usage(format!("{name} is inherited from {environment}")).with_hint(
                    format!("remove it there: `secrets unset {name} -e {environment}`"),
                ),
            );
        }
        if !layer.provider.capabilities().writable {
            return Err(Failure::usage(format!(
                "{name} comes from {}, which cannot be written",
                layer.label
            )));
        }
        Ok(supplier)
    }

    /// What guards a change of what was seen: its version, its absence, or nothing where the store
    /// guards nothing.
    pub fn guard(&self, layer: usize, seen: Option<&Meta>) -> Precondition {
        let guard = self.layers[layer].provider.capabilities().guard;
        match seen {
            _ if guard == Guard::None => Precondition::Unguarded,
            None => Precondition::Absent,
            Some(Meta {
                version: Some(version),
                ..
            }) if guard >= Guard::Cooperative => Precondition::Version(version.clone()),
            Some(_) => Precondition::Unguarded,
        }
    }

    /// What guards a change of this name as it was found: its version, its absence, or nothing where it is
    /// no text, which has no version.
    pub fn guard_of(&self, layer: usize, merged: &Merged, name: &Name) -> Precondition {
        if merged.broken.get(name).is_some_and(|(at, _)| *at == layer) {
            return Precondition::Unguarded;
        }
        let held = merged.items.get(name).filter(|held| held.layer == layer);
        self.guard(layer, held.map(|held| &held.stored.meta))
    }

    /// Makes one change.
    ///
    /// # Errors
    /// The store's refusal.
    pub async fn write(
        &self,
        cx: &Ctx,
        layer: usize,
        change: Change<'_>,
    ) -> Result<Option<Version>> {
        Ok(self.layers[layer].provider.write_one(cx, change).await?)
    }

    /// Makes a batch of changes in one layer.
    ///
    /// # Errors
    /// The store's refusal, of the whole call or of the first item that failed; `Partly` where others
    /// were made, naming both.
    pub async fn write_all(
        &self,
        cx: &Ctx,
        layer: usize,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<()> {
        let written = self.layers[layer].provider.write(cx, base, changes).await?;
        let (mut made, mut left, mut first) = (Vec::new(), Vec::new(), None);
        for (change, item) in changes.iter().zip(written.items) {
            match item {
                Ok(_) => made.push(change.name.as_str()),
                Err(error) => {
                    left.push(change.name.as_str());
                    first.get_or_insert(error);
                }
            }
        }
        let Some(error) = first else {
            return Ok(());
        };
        let failure = Failure::from(error);
        if made.is_empty() {
            return Err(failure);
        }
        let message = format!(
            "partly done, in {}: {} made, {} left: {}",
            self.layers[layer].label,
            made.join(", "),
            left.join(", "),
            failure.message
        );
        let rest = format!(
            "run the same command again with what is left: {}",
            left.join(" ")
        );
        Err(Failure::new(Exit::Partly, message).with_hint(rest))
    }

    /// The value as it is to be kept in this layer.
    pub fn encode(
        &self,
        layer: usize,
        settings: &Settings,
        name: &Name,
        value: &SecretValue,
    ) -> SecretValue {
        if !self.is_encoded(layer, settings, name) {
            return value.duplicate();
        }
        SecretValue::from_vec(STANDARD.encode(value.expose()).into_bytes())
    }

    /// The value as it is meant, from how this layer keeps it.
    ///
    /// # Errors
    /// `InvalidData` where the manifest says base64 and the store holds none.
    pub fn decode(
        &self,
        layer: usize,
        settings: &Settings,
        name: &Name,
        stored: Stored,
    ) -> Result<Stored> {
        if !self.is_encoded(layer, settings, name) {
            return Ok(stored);
        }
        match STANDARD.decode(stored.value.expose()) {
            Ok(bytes) => Ok(Stored {
                value: SecretValue::from_vec(bytes),
                meta: stored.meta,
            }),
            Err(_) => Err(Error::new(
                ErrorKind::InvalidData,
                format!("{name} is declared `encoding = \"base64\"` and is not base64"),
            )
            .at_store(&self.layers[layer].label)
            .into()),
        }
    }

    fn is_encoded(&self, layer: usize, settings: &Settings, name: &Name) -> bool {
        settings
            .secret(name)
            .is_some_and(|s| s.encoding == Some(Encoding::Base64))
            && self.layers[layer].provider.capabilities().values != Values::Bytes
    }

    /// The operation that stores `value`, for readability at call sites.
    pub fn put<'a>(name: &'a Name, value: &'a SecretValue, when: Precondition) -> Change<'a> {
        Change {
            name,
            op: Op::Put(value),
            when,
        }
    }
}

#[cfg(test)]
mod tests {
    use secrets_api::StoreUri;
    use secrets_memory::Memory;

    use super::*;
    use crate::layers::TIMEOUT;
    use crate::layers::names::Names;

    /// One layer of `dev` that guards so much, for whose sake `protected` asks first.
    fn stack(guard: Guard, protected: Option<&str>) -> Stack {
        let can = secrets_api::Capabilities {
            guard,
            ..Memory::CAPABILITIES
        };
        let spec = LayerSpec {
            label: "memory:test".to_owned(),
            uri: StoreUri::parse("memory:test").unwrap(),
            environment: "dev".to_owned(),
            root: "/srv/shop".into(),
            inherited: false,
            addresses: Vec::new(),
            plain_http: false,
            auth: None,
            timeout: TIMEOUT,
            names: Names::default(),
            protected: protected.map(str::to_owned),
        };
        let layer = Layer {
            label: spec.label.clone(),
            provider: Arc::new(Memory::new(can)),
            spec,
        };
        Stack {
            layers: vec![layer],
        }
    }

    #[test]
    fn a_write_that_nothing_guards_is_told_whatever_the_store_could_guard_otherwise() {
        let versioned = Meta {
            version: Some(Version::new("1")),
            ..Meta::default()
        };
        let bare = Meta::default();
        for (guard, seen, told) in [
            (Guard::None, None, true),
            (Guard::None, Some(&versioned), true),
            // Only that a name does not exist yet can be guarded there.
            (Guard::CreateOnly, None, false),
            (Guard::CreateOnly, Some(&versioned), true),
            (Guard::Cooperative, Some(&versioned), false),
            (Guard::Cooperative, Some(&bare), true),
            (Guard::CompareAndSet, None, false),
            (Guard::CompareAndSet, Some(&versioned), false),
            (Guard::CompareAndSet, Some(&bare), true),
        ] {
            let stack = stack(guard, None);
            let caution = stack.caution([(0, stack.guard(0, seen))]);
            assert_eq!(caution.contains(UNGUARDED), told, "{guard:?} {seen:?}");
            assert_eq!(caution.is_empty(), !told, "{guard:?} {seen:?}");
        }
    }

    #[test]
    fn another_environment_that_asks_first_is_told_and_the_own_one_not() {
        let caution =
            |protected| stack(Guard::CompareAndSet, protected).caution([(0, Precondition::Absent)]);
        assert_eq!(
            caution(Some("production")),
            " (protected: production reads it too)"
        );
        assert_eq!(caution(Some("dev")), "");
        assert_eq!(caution(None), "");
    }
}
