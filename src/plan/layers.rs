//! Layers that are not there. What such a layer supplied when both sides last agreed may have been deleted,
//! or have gone with it: that is not known, and nothing is planned on it.

use std::collections::BTreeSet;

use secrets_api::Name;

use super::{Base, Memory, Observation, Seen, Side, Sides};

/// The names and layers of two observations of which it is not known whether anything was deleted.
pub(super) struct Doubts<'a> {
    seen: &'a Sides<Observation>,
    /// The layers by which any name is in doubt.
    layers: Sides<BTreeSet<usize>>,
}

impl<'a> Doubts<'a> {
    pub(super) fn new(base: &Base, seen: &'a Sides<Observation>) -> Self {
        let mut layers = Sides::<BTreeSet<usize>>::default();
        for side in Side::BOTH
            .into_iter()
            .filter(|s| !seen.of(*s).lacking.is_empty())
        {
            let found = base
                .iter()
                .flat_map(|(name, memory)| vanished(name, memory, seen, side));
            layers.of_mut(side).extend(found);
        }
        Self { seen, layers }
    }

    /// What was seen under a name, as far as that is certain.
    pub(super) fn seen(&self, name: &Name, memory: &Memory) -> Sides<Seen> {
        let one = |side: Side| {
            let here = self.seen.of(side);
            let layer = vanished(name, memory, self.seen, side).into_iter().next();
            let label = layer.and_then(|layer| here.lacking.get(&layer));
            match (here.look(name), label) {
                (now @ Seen::Unknown(_), _) | (now, None) => now.clone(),
                (_, Some(label)) => Seen::Unknown(format!(
                    "{label} is not there, and whether it was deleted is not known: make it again, if only empty, or take it out of the layers"
                )),
            }
        };
        Sides {
            left: one(Side::Left),
            right: one(Side::Right),
        }
    }

    /// Why no new name may be written to this side: it would make the layer anew, and all that had gone
    /// with it would look as if it had been deleted.
    pub(super) fn of_new(&self, side: Side) -> Option<String> {
        let home = self.seen.of(side).home?;
        let label = self.seen.of(side).lacking.get(&home)?;
        self.layers.of(side).contains(&home).then(|| {
            format!(
                "{label}, where it would be written, is not there any more: make it again, if only empty, or take it out of the layers"
            )
        })
    }
}

/// The layers that are not there on this side and may be what a name, as it was agreed on, is missed for.
fn vanished(
    name: &Name,
    memory: &Memory,
    seen: &Sides<Observation>,
    side: Side,
) -> BTreeSet<usize> {
    let here = seen.of(side);
    let (now, other) = (here.look(name), seen.of(side.other()).look(name));
    let Some(agreed) = memory.agreed.as_ref().filter(|_| !here.lacking.is_empty()) else {
        return BTreeSet::new();
    };
    // The two hold the same: whatever was there before, it is agreed on anew.
    if now.fingerprint().is_some() && now.fingerprint() == other.fingerprint() {
        return BTreeSet::new();
    }
    // A removal there was under way.
    if memory.intent.is_some_and(|intent| intent.to == side) && now.is_gone() && other.is_gone() {
        return BTreeSet::new();
    }
    match (agreed.layers.of(side), now) {
        // A higher layer counts whatever a lower one would say.
        (Some(layer), Seen::Present(present)) if present.layer > *layer => BTreeSet::new(),
        (Some(layer), _) => here
            .lacking
            .contains_key(layer)
            .then_some(*layer)
            .into_iter()
            .collect(),
        // Remembered before layers were: it may have been any.
        (None, Seen::Present(_)) => BTreeSet::new(),
        (None, _) => here.lacking.keys().copied().collect(),
    }
}
