//! Lines that are put together from others and follow them: while one of those is about to be written, that
//! such a line is no write target is no conflict yet.

use std::collections::BTreeSet;

use secrets_api::Name;

use super::{Action, Observation, Plan, Present, Seen, Side, Sides, Why};

/// Lets those lines wait that would be written where others, which they are put together from, are.
pub(super) fn wait(plan: &mut Plan, seen: &Sides<Observation>) {
    for side in Side::BOTH {
        let is_written = |name: &Name| {
            let found = plan.steps.binary_search_by(|step| step.name.cmp(name));
            let action = found.ok().map(|n| &plan.steps[n].action);
            matches!(action, Some(Action::Create { to, .. } | Action::Change { to }) if *to == side)
        };
        let here = seen.of(side);
        let steps = plan.steps.iter().enumerate();
        let waiting: Vec<usize> = steps
            .filter(|(_, step)| step.action == Action::Conflict(Why::Derived(side)))
            .filter(|(_, step)| {
                let line = step.seen.of(side).present();
                line.is_some_and(|line| follows(line, here, &is_written))
            })
            .map(|(n, _)| n)
            .collect();
        for n in waiting {
            plan.steps[n].action = Action::Waiting { on: side };
        }
    }
}

/// Whether a line is put together, at any remove, from one that is written in its layer.
fn follows(line: &Present, here: &Observation, is_written: &dyn Fn(&Name) -> bool) -> bool {
    let mut met = BTreeSet::<&Name>::new();
    let mut next: Vec<&Name> = line.refers.iter().collect();
    while let Some(name) = next.pop() {
        if !met.insert(name) {
            continue;
        }
        let there = match here.look(name) {
            // Another layer's does not stand in the line.
            Seen::Present(there) if there.layer != line.layer => continue,
            Seen::Present(there) => Some(there),
            _ => None,
        };
        if is_written(name) {
            return true;
        }
        next.extend(there.into_iter().flat_map(|there| &there.refers));
    }
    false
}
