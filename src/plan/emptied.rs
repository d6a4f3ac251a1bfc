//! Sides that hold nothing at all any more. That looks like an accident rather than like deletions, one by
//! one: no deletion is passed on from there. What would be deleted is planned as if never agreed on, as with
//! a document that is not there.

use std::collections::{BTreeMap, BTreeSet};

use secrets_api::Name;

use super::layers::Doubts;
use super::{Action, Base, Keep, Observation, Rules, Seen, Side, Sides, merge};

/// From so many names on that would all be gone at once.
const MANY: usize = 2;

/// The names that would be deleted because a side lacks them together with all there was. What the store itself
/// remembers as deleted was deleted, and so it is where a person has written out every name that is gone.
pub(super) fn emptied(
    base: &Base,
    seen: &Sides<Observation>,
    doubts: &Doubts<'_>,
    rules: &Rules,
) -> Sides<BTreeSet<Name>> {
    let unasked = Rules {
        prefer: None,
        choices: BTreeMap::new(),
        ..rules.clone()
    };
    let of = |side: Side| {
        let here = seen.of(side);
        let is_empty = here.names.values().all(Seen::is_gone);
        if !rules.delete || here.missing || !is_empty {
            return BTreeSet::new();
        }
        let (mut gone, mut doomed) = (0, BTreeSet::new());
        let mut is_wanted = true;
        for (name, memory) in base.iter().filter(|(_, memory)| memory.agreed.is_some()) {
            let now = doubts.seen(name, memory);
            let there = now.of(side.other());
            if *now.of(side) != Seen::Absent || there.is_gone() {
                continue;
            }
            let sides = Sides {
                left: &now.left,
                right: &now.right,
            };
            // A conflict that a person has decided, of this very name, is no accident.
            let conflict = || {
                let unasked = merge(name, memory, sides, &unasked);
                matches!(unasked, Some(Action::Conflict(_)))
            };
            let is_chosen = matches!(rules.chosen(name, sides), Some(Keep::Side(_)));
            if is_chosen && conflict() {
                continue;
            }
            gone += 1;
            is_wanted &= rules.named.contains(name);
            let deletion = Action::Delete { to: side.other() };
            if merge(name, memory, sides, rules) == Some(deletion) {
                doomed.insert(name.clone());
            }
        }
        match gone >= MANY && !is_wanted {
            true => doomed,
            false => BTreeSet::new(),
        }
    };
    Sides {
        left: of(Side::Left),
        right: of(Side::Right),
    }
}
