//! The three-way merge, one name at a time.

use std::collections::BTreeSet;

use secrets_api::Name;

use super::emptied::emptied;
use super::layers::Doubts;
use super::{
    Action, Agreed, Base, Keep, Memory, Observation, Plan, Rules, Seen, Side, Sides, Step, Why,
    follow,
};

/// What became of one side since the last agreement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The same value, in the same version as far as the store tells.
    Untouched,
    /// The same value in another version: it was put back.
    Touched,
    /// Another value.
    Changed,
    /// No value.
    Gone,
}

/// What both held at the last agreement.
#[derive(Debug, Clone, Copy)]
struct Ground<'a> {
    agreed: &'a Agreed,
    /// The side that is known to have left this state since, whatever it is in now.
    moved: Option<Side>,
}

/// Plans all names that `chosen` holds.
pub fn plan(
    base: &Base,
    seen: &Sides<Observation>,
    rules: &Rules,
    chosen: impl Fn(&Name) -> bool,
) -> Plan {
    // A document that is not there as a whole says nothing of its names.
    let nothing_known = Base::new();
    let base = match seen.left.missing || seen.right.missing {
        true => &nothing_known,
        false => base,
    };
    let names: BTreeSet<&Name> = seen
        .left
        .names
        .keys()
        .chain(seen.right.names.keys())
        .chain(base.keys())
        .filter(|name| chosen(name))
        .collect();
    let doubts = Doubts::new(base, seen);
    let gone_with_all = emptied(base, seen, &doubts, rules);
    let nothing = Memory::default();
    let step = |name: &Name| {
        let memory = base.get(name).unwrap_or(&nothing);
        let mut now = doubts.seen(name, memory);
        let gone = Side::BOTH
            .iter()
            .any(|s| gone_with_all.of(*s).contains(name));
        let memory = if gone { &nothing } else { memory };
        let sides = Sides {
            left: &now.left,
            right: &now.right,
        };
        let mut action = merge(name, memory, sides, rules)?;
        if let Action::Create { to, .. } = action
            && let Some(why) = doubts.of_new(to)
        {
            *now.of_mut(to) = Seen::Unknown(why);
            action = Action::Unknown { on: to };
        }
        Some(Step {
            name: name.clone(),
            action,
            seen: now,
            agreed: memory.agreed.as_ref().map(|agreed| agreed.fingerprint),
        })
    };
    let mut plan = Plan {
        steps: names.into_iter().filter_map(step).collect(),
        emptied: gone_with_all,
    };
    follow::wait(&mut plan, seen);
    plan
}

/// What is to be done about one name; `None` where there is nothing and never was.
pub fn merge(name: &Name, memory: &Memory, seen: Sides<&Seen>, rules: &Rules) -> Option<Action> {
    if let Some(on) = Side::BOTH
        .into_iter()
        .find(|side| matches!(seen.of(*side), Seen::Unknown(_)))
    {
        return Some(Action::Unknown { on });
    }
    let known = *memory != Memory::default();
    match (seen.left.present(), seen.right.present()) {
        (None, None) => return known.then_some(Action::Forget),
        (Some(left), Some(right)) if left.fingerprint == right.fingerprint => {
            let is_noted = memory.agreed.as_ref() == Some(&Agreed::of(left, right));
            let settled = memory.intent.is_none() && is_noted;
            return Some(if settled { Action::Same } else { Action::Agree });
        }
        _ => {}
    }
    let action = within(natural(ground(memory), seen, rules), rules);
    // Before, so that a person can leave such a value as it is; after, so that no choice writes it.
    let action = unless_derived(name, action, seen, rules);
    let action = resolved(name, action, seen, rules);
    Some(unless_derived(name, action, seen, rules))
}

/// What both held at the last agreement, if they ever agreed.
///
/// A write that may have happened since is no agreement, even where what was to be written is there
/// now: a person may have put it back there, after others replaced it. What it does tell is that the
/// side that was copied from had moved, or was told to count.
fn ground(memory: &Memory) -> Option<Ground<'_>> {
    Some(Ground {
        agreed: memory.agreed.as_ref()?,
        moved: memory.intent.map(|intent| intent.to.other()),
    })
}

fn turn(Ground { agreed, moved }: Ground<'_>, side: Side, seen: &Seen) -> Turn {
    let Some(present) = seen.present() else {
        return Turn::Gone;
    };
    if present.fingerprint != agreed.fingerprint {
        return Turn::Changed;
    }
    let told = present
        .version
        .as_ref()
        .zip(agreed.versions.of(side).as_ref());
    if moved == Some(side) || told.is_some_and(|(now, then)| now != then) {
        Turn::Touched
    } else {
        Turn::Untouched
    }
}

/// What follows from what became of the two sides, whichever way and whatever anybody prefers. They
/// differ, and not both are gone.
fn natural(ground: Option<Ground<'_>>, seen: Sides<&Seen>, rules: &Rules) -> Action {
    let Some(ground) = ground else {
        return never_agreed(seen);
    };
    let turn = |side: Side| turn(ground, side, seen.of(side));
    let one_way = |side: Side| match (turn(side), turn(side.other())) {
        (Turn::Changed, Turn::Untouched) => Some(Action::Change { to: side.other() }),
        (Turn::Changed, Turn::Touched) => Some(Action::Conflict(Why::PutBack(side.other()))),
        (Turn::Gone, Turn::Untouched) if rules.delete => Some(Action::Delete { to: side.other() }),
        (Turn::Gone, Turn::Untouched) => Some(Action::Pending { to: side.other() }),
        (Turn::Gone, _) => Some(Action::Conflict(Why::DeletedAndChanged(side))),
        _ => None,
    };
    one_way(Side::Left)
        .or_else(|| one_way(Side::Right))
        .unwrap_or(Action::Conflict(Why::BothChanged))
}

/// The same where there is no agreement to start from.
fn never_agreed(seen: Sides<&Seen>) -> Action {
    let to = match (seen.left.present(), seen.right.present()) {
        (Some(_), None) => Side::Right,
        (None, Some(_)) => Side::Left,
        _ => return Action::Conflict(Why::NeverAgreed),
    };
    match seen.of(to) {
        Seen::Deleted => Action::Conflict(Why::Tombstone(to)),
        _ => Action::Create { to, first: true },
    }
}

/// What of it may happen in this direction: a push never writes its source.
fn within(action: Action, rules: &Rules) -> Action {
    match action {
        Action::Create { to, .. } if !rules.direction.writes(to) => {
            Action::Extra { on: to.other() }
        }
        Action::Change { to } if !rules.direction.writes(to) => {
            Action::Conflict(Why::TargetChanged(to.other()))
        }
        Action::Delete { to } | Action::Pending { to } if !rules.direction.writes(to) => {
            Action::Conflict(Why::TargetDeleted(to.other()))
        }
        action => action,
    }
}

/// What a person said: about this name as it is now, or about all.
fn resolved(name: &Name, action: Action, seen: Sides<&Seen>, rules: &Rules) -> Action {
    let why = match action {
        Action::Conflict(why) => Some(why),
        // What is to become of a deletion that is not passed on a person may say too, by name.
        Action::Pending { .. } => None,
        _ => return action,
    };
    let (kept, may_delete) = match (rules.chosen(name, seen), rules.prefer) {
        (Some(Keep::AsIs), _) => return Action::Skipped,
        (Some(Keep::Side(side)), _) => (side, true),
        // A preference among all that differ is none for a line that cannot be written.
        (None, Some(side)) if why.is_some_and(|why| !matches!(why, Why::Derived(_))) => {
            (side, rules.delete)
        }
        (None, _) => return action,
    };
    let to = kept.other();
    if !rules.direction.writes(to) {
        return action;
    }
    match (seen.of(kept).present(), seen.of(to).present()) {
        (Some(_), Some(_)) => Action::Change { to },
        (Some(_), None) => Action::Create { to, first: false },
        (None, _) if may_delete => Action::Delete { to },
        (None, _) => Action::Pending { to },
    }
}

/// A value that is put together from other lines is replaced only where that was asked for by name.
fn unless_derived(name: &Name, action: Action, seen: Sides<&Seen>, rules: &Rules) -> Action {
    let derived = |side: Side| seen.of(side).present().is_some_and(|p| p.derived);
    match action.target() {
        Some(to) if derived(to) && !rules.flatten.contains(name) => {
            Action::Conflict(Why::Derived(to))
        }
        _ => action,
    }
}
