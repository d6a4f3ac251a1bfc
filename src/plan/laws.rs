//! The laws of one plan, over small arbitrary worlds. Its table row by row is in `table`, what holds over
//! many runs on several machines in `team`, of sides that hold nothing any more in `emptied`.

#![allow(clippy::unwrap_used)]

mod emptied;
mod table;
mod team;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::subsequence;
use proptest::{collection, option};
use secrets_api::{Name, Version};

use super::*;

const NAMES: [&str; 3] = ["A", "B", "C"];
/// How many layers a side has.
const LAYERS: usize = 2;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn print(value: u32) -> Fingerprint {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&value.to_be_bytes());
    Fingerprint::from_bytes(bytes)
}

fn version(number: u32) -> Version {
    Version::new(number.to_string())
}

fn there(value: u32, number: Option<u32>) -> Seen {
    Seen::Present(Present {
        fingerprint: print(value),
        version: number.map(version),
        modified: None,
        derived: false,
        refers: Vec::new(),
        layer: 0,
    })
}

fn agreement(value: u32, left: Option<u32>, right: Option<u32>) -> Memory {
    Memory {
        agreed: Some(Agreed {
            fingerprint: print(value),
            versions: Sides {
                left: left.map(version),
                right: right.map(version),
            },
            layers: Sides {
                left: Some(0),
                right: Some(0),
            },
        }),
        intent: None,
    }
}

// ---- worlds -----------------------------------------------------------------------------------------

#[derive(Debug, Clone)]
struct World {
    base: Base,
    seen: Sides<Observation>,
    rules: Rules,
}

fn some_version() -> impl Strategy<Value = Option<u32>> {
    option::weighted(0.8, 0..3u32)
}

fn some_seen() -> impl Strategy<Value = Seen> {
    let refers = option::weighted(0.2, subsequence(NAMES.to_vec(), 0..=2));
    let present = (0..3u32, some_version(), refers, 0..LAYERS);
    let present = present.prop_map(
        |(value, number, refers, layer)| match there(value, number) {
            Seen::Present(present) => Seen::Present(Present {
                derived: refers.is_some(),
                refers: refers.into_iter().flatten().map(name).collect(),
                layer,
                ..present
            }),
            other => other,
        },
    );
    prop_oneof![
        6 => present,
        2 => Just(Seen::Absent),
        1 => Just(Seen::Deleted),
        1 => Just(Seen::Unknown("denied".into())),
    ]
}

fn some_side() -> impl Strategy<Value = Side> {
    prop_oneof![Just(Side::Left), Just(Side::Right)]
}

fn some_memory() -> impl Strategy<Value = Memory> {
    let layer = || option::weighted(0.9, 0..LAYERS);
    let layers = (layer(), layer()).prop_map(|(left, right)| Sides { left, right });
    let agreed = option::weighted(0.7, (0..3u32, some_version(), some_version(), layers));
    let intent = option::weighted(0.3, some_side());
    (agreed, intent).prop_map(|(agreed, intent)| Memory {
        agreed: agreed.and_then(|(value, left, right, layers)| {
            let agreed = agreement(value, left, right).agreed?;
            Some(Agreed { layers, ..agreed })
        }),
        intent: intent.map(|to| Intent { to }),
    })
}

fn some_keep() -> impl Strategy<Value = Keep> {
    prop_oneof![some_side().prop_map(Keep::Side), Just(Keep::AsIs)]
}

fn some_choice() -> impl Strategy<Value = Choice> {
    let shown = (option::of(0..3u32), option::of(0..3u32));
    (some_keep(), shown).prop_map(|(keep, (left, right))| Choice {
        keep,
        shown: Sides {
            left: left.map(print),
            right: right.map(print),
        },
    })
}

fn some_direction() -> impl Strategy<Value = Direction> {
    prop_oneof![
        2 => Just(Direction::Both),
        1 => some_side().prop_map(Direction::To),
    ]
}

fn some_rules() -> impl Strategy<Value = Rules> {
    (
        some_direction(),
        option::of(some_side()),
        collection::vec(option::weighted(0.3, some_choice()), 3),
        any::<bool>(),
        subsequence(NAMES.to_vec(), 0..=3),
        subsequence(NAMES.to_vec(), 0..=3),
    )
        .prop_map(
            |(direction, prefer, choices, delete, flatten, named)| Rules {
                direction,
                prefer,
                choices: by_name(choices),
                delete,
                flatten: flatten.into_iter().map(name).collect(),
                named: named.into_iter().map(name).collect(),
            },
        )
}

fn by_name<T>(rows: Vec<Option<T>>) -> BTreeMap<Name, T> {
    let rows = NAMES.iter().zip(rows);
    rows.filter_map(|(text, row)| Some((name(text), row?)))
        .collect()
}

fn some_observation() -> impl Strategy<Value = Observation> {
    let rows = collection::vec(option::weighted(0.9, some_seen()), 3);
    let lacking = prop_oneof![
        6 => Just(vec![]),
        2 => (0..LAYERS).prop_map(|layer| vec![layer]),
        1 => Just((0..LAYERS).collect::<Vec<_>>()),
    ];
    (rows, lacking, 0..LAYERS).prop_map(|(rows, lacking, home)| {
        let mut seen = Observation {
            names: by_name(rows),
            home: Some(home),
            ..Observation::default()
        };
        lacking.into_iter().for_each(|layer| lose(&mut seen, layer));
        seen
    })
}

/// Takes a layer away with all that it supplies.
fn lose(seen: &mut Observation, layer: usize) {
    let supplied = |now: &Seen| now.present().is_some_and(|present| present.layer == layer);
    seen.names.retain(|_, now| !supplied(now));
    seen.lacking.insert(layer, format!("layer {layer}"));
    seen.missing = seen.lacking.len() == LAYERS;
    if seen.missing {
        seen.names.retain(|_, now| now.is_gone());
    }
}

fn some_world() -> impl Strategy<Value = World> {
    (
        collection::vec(option::weighted(0.8, some_memory()), 3),
        some_observation(),
        some_observation(),
        some_rules(),
    )
        .prop_map(|(memories, left, right, rules)| World {
            base: by_name(memories),
            seen: Sides { left, right },
            rules,
        })
}

impl World {
    fn plan(&self) -> Plan {
        plan(&self.base, &self.seen, &self.rules, |_| true)
    }

    fn missing(&self) -> bool {
        Side::BOTH.iter().any(|side| self.seen.of(*side).missing)
    }

    /// Whether a name is gone from one side together with all there was.
    fn is_emptied(&self, name: &Name) -> bool {
        let emptied = self.plan().emptied;
        emptied.left.contains(name) || emptied.right.contains(name)
    }

    /// Whether a side holds exactly what was agreed on, as far as its store tells.
    fn is_untouched(&self, step: &Step, side: Side) -> bool {
        let agreed = self.base.get(&step.name).and_then(|m| m.agreed.as_ref());
        let (Some(agreed), Some(now)) = (agreed, step.seen.of(side).present()) else {
            return false;
        };
        let moved = match (agreed.versions.of(side), &now.version) {
            (Some(then), Some(now)) => then != now,
            _ => false,
        };
        !self.missing()
            && !self.is_emptied(&step.name)
            && now.fingerprint == agreed.fingerprint
            && !moved
    }

    /// The side that counts by a person's word, and whether they meant this very name.
    fn word(&self, step: &Step) -> Option<(Side, bool)> {
        let now = shown(step);
        match self.rules.choices.get(&step.name) {
            Some(choice) if choice.shown == now => match choice.keep {
                Keep::Side(side) => Some((side, true)),
                Keep::AsIs => None,
            },
            _ => self.rules.prefer.map(|side| (side, false)),
        }
    }

    /// Makes the writes that `made` says, and notes all if `noted`, as `crate::apply` does.
    fn carry(&mut self, plan: &Plan, made: impl Fn(usize) -> bool, noted: bool) {
        for step in plan.writes() {
            self.forget(step);
            let emptied = plan.emptied.of(step.action.target().unwrap());
            self.base.retain(|name, _| !emptied.contains(name));
        }
        for (n, step) in plan.steps.iter().enumerate() {
            let Some(to) = step.action.target() else {
                continue;
            };
            announce(&mut self.base, step, to);
            if !made(n) {
                continue;
            }
            let layer = self.layer(step, to);
            let there = self.seen.of_mut(to);
            let written = match (&step.action, step.seen.of(to.other()).present()) {
                (Action::Delete { .. }, _) => Seen::Absent,
                (_, Some(source)) => Seen::Present(Present {
                    version: Some(version(100)),
                    derived: false,
                    refers: Vec::new(),
                    layer,
                    ..source.clone()
                }),
                (_, None) => panic!("nothing to write: {step:?}"),
            };
            there.names.insert(step.name.clone(), written);
            there.lacking.remove(&layer);
            there.missing = false;
        }
        if noted {
            for step in &plan.steps {
                let layer = step.action.target().map(|to| self.layer(step, to));
                conclude(&mut self.base, step, Some(version(100)), layer);
            }
        }
    }

    /// The layer that a step writes.
    fn layer(&self, step: &Step, to: Side) -> usize {
        let there = step.seen.of(to).present();
        there.map_or(self.seen.of(to).home.unwrap(), |there| there.layer)
    }

    /// Forgets what a document or layer that is about to be made would make look deleted.
    fn forget(&mut self, step: &Step) {
        let to = step.action.target().unwrap();
        let (layer, here) = (self.layer(step, to), self.seen.of(to));
        if !here.lacking.contains_key(&layer) {
            return;
        }
        self.base.retain(|name, memory| {
            let supplier = memory.agreed.as_ref().and_then(|a| *a.layers.of(to));
            let now = here.look(name).present().map(|present| present.layer);
            !here.missing
                && match (supplier, now) {
                    (Some(then), Some(now)) => then != layer || now > then,
                    (Some(then), None) => then != layer,
                    (None, now) => now.is_some(),
                }
        });
    }
}

fn shown(step: &Step) -> Sides<Option<Fingerprint>> {
    Sides {
        left: step.seen.left.fingerprint(),
        right: step.seen.right.fingerprint(),
    }
}

/// What is noted before a write.
fn announce(base: &mut Base, step: &Step, to: Side) {
    let memory = base.entry(step.name.clone()).or_default();
    memory.intent = Some(Intent { to });
}

/// What is noted after all writes.
fn conclude(base: &mut Base, step: &Step, written: Option<Version>, layer: Option<usize>) {
    let of = |side: Side| step.seen.of(side).present().cloned();
    let (value, to) = match step.action {
        Action::Agree => (of(Side::Left), None),
        Action::Create { to, .. } | Action::Change { to } => (of(to.other()), Some(to)),
        Action::Delete { .. } | Action::Forget => {
            base.remove(&step.name);
            return;
        }
        _ => return,
    };
    let mut versions = Sides {
        left: of(Side::Left).and_then(|p| p.version),
        right: of(Side::Right).and_then(|p| p.version),
    };
    let mut layers = Sides {
        left: of(Side::Left).map(|p| p.layer),
        right: of(Side::Right).map(|p| p.layer),
    };
    if let Some(to) = to {
        *versions.of_mut(to) = written;
        *layers.of_mut(to) = layer;
    }
    let agreed = Some(Agreed {
        fingerprint: value.unwrap().fingerprint,
        versions,
        layers,
    });
    base.insert(
        step.name.clone(),
        Memory {
            agreed,
            intent: None,
        },
    );
}

/// The same seen in a mirror.
trait Mirrored {
    fn mirrored(&self) -> Self;
}

impl Mirrored for Memory {
    fn mirrored(&self) -> Self {
        Self {
            agreed: self.agreed.clone().map(|agreed| Agreed {
                versions: agreed.versions.swapped(),
                layers: agreed.layers.swapped(),
                ..agreed
            }),
            intent: self.intent.map(|intent| Intent {
                to: intent.to.other(),
            }),
        }
    }
}

impl Mirrored for Rules {
    fn mirrored(&self) -> Self {
        let choices = self.choices.iter().map(|(name, choice)| {
            let keep = match choice.keep {
                Keep::Side(side) => Keep::Side(side.other()),
                Keep::AsIs => Keep::AsIs,
            };
            let shown = choice.shown.swapped();
            (name.clone(), Choice { keep, shown })
        });
        Self {
            direction: match self.direction {
                Direction::Both => Direction::Both,
                Direction::To(to) => Direction::To(to.other()),
            },
            prefer: self.prefer.map(Side::other),
            choices: choices.collect(),
            ..self.clone()
        }
    }
}

impl Mirrored for World {
    fn mirrored(&self) -> Self {
        let base = self.base.iter();
        Self {
            base: base.map(|(n, m)| (n.clone(), m.mirrored())).collect(),
            seen: self.seen.clone().swapped(),
            rules: self.rules.mirrored(),
        }
    }
}

impl Mirrored for Action {
    fn mirrored(&self) -> Self {
        match *self {
            Self::Create { to, first } => Self::Create {
                to: to.other(),
                first,
            },
            Self::Change { to } => Self::Change { to: to.other() },
            Self::Delete { to } => Self::Delete { to: to.other() },
            Self::Pending { to } => Self::Pending { to: to.other() },
            Self::Extra { on } => Self::Extra { on: on.other() },
            Self::Unknown { on } => Self::Unknown { on: on.other() },
            Self::Waiting { on } => Self::Waiting { on: on.other() },
            Self::Conflict(why) => Self::Conflict(match why {
                Why::BothChanged | Why::NeverAgreed => why,
                Why::PutBack(side) => Why::PutBack(side.other()),
                Why::DeletedAndChanged(side) => Why::DeletedAndChanged(side.other()),
                Why::Tombstone(side) => Why::Tombstone(side.other()),
                Why::TargetChanged(side) => Why::TargetChanged(side.other()),
                Why::TargetDeleted(side) => Why::TargetDeleted(side.other()),
                Why::Derived(side) => Why::Derived(side.other()),
            }),
            Self::Same | Self::Agree | Self::Forget | Self::Skipped => self.clone(),
        }
    }
}

impl Mirrored for Plan {
    fn mirrored(&self) -> Self {
        let steps = self.steps.iter().map(|step| Step {
            action: match step.action {
                // Both cannot be read: the left one is named, whichever it is.
                Action::Unknown { .. } if is_unknown(&step.seen.left) => {
                    let right = is_unknown(&step.seen.right);
                    let on = if right { Side::Left } else { Side::Right };
                    Action::Unknown { on }
                }
                _ => step.action.mirrored(),
            },
            seen: step.seen.clone().swapped(),
            ..step.clone()
        });
        Self {
            steps: steps.collect(),
            emptied: self.emptied.clone().swapped(),
        }
    }
}

fn is_unknown(seen: &Seen) -> bool {
    matches!(seen, Seen::Unknown(_))
}

/// Whether a person may say what is to become of it.
fn is_open(action: &Action) -> bool {
    matches!(
        action,
        Action::Conflict(_) | Action::Waiting { .. } | Action::Pending { .. }
    )
}

// ---- the laws of one plan ---------------------------------------------------------------------------

fn config() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig {
        failure_persistence: None,
        cases: 8 * usual.cases,
        ..usual
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_result_is_the_same_whichever_side_is_named_first(world in some_world()) {
        prop_assert_eq!(world.mirrored().plan(), world.plan().mirrored());
    }

    #[test]
    fn nothing_is_planned_when_nothing_changed(world in some_world()) {
        let mut world = world;
        let steps = world.plan().steps;
        world.base.clear();
        world.seen = Sides::default();
        for step in steps {
            let Some(value) = step.seen.left.present().or(step.seen.right.present()) else { continue };
            let now = Seen::Present(value.clone());
            let versions = Sides { left: value.version.clone(), right: value.version.clone() };
            let layers = Sides { left: Some(value.layer), right: Some(value.layer) };
            let agreed = Some(Agreed { fingerprint: value.fingerprint, versions, layers });
            world.base.insert(step.name.clone(), Memory { agreed, intent: None });
            world.seen.left.names.insert(step.name.clone(), now.clone());
            world.seen.right.names.insert(step.name, now);
        }
        let plan = world.plan();
        prop_assert_eq!(plan.steps.len(), world.base.len());
        prop_assert_eq!(plan.count(|action| *action == Action::Same), world.base.len());
    }

    #[test]
    fn after_a_plan_was_carried_out_only_what_was_declined_is_left(world in some_world()) {
        let mut world = world;
        let first = world.plan();
        world.carry(&first, |_| true, true);
        let second = world.plan();
        prop_assert_eq!(second.writes().count(), 0, "{:?}", second);
        for step in &second.steps {
            let before = first.steps.iter().find(|s| s.name == step.name).map(|s| &s.action);
            let declined = matches!(
                step.action,
                Action::Pending { .. } | Action::Extra { .. } | Action::Skipped
                    | Action::Conflict(_) | Action::Unknown { .. }
            );
            prop_assert!(
                matches!(step.action, Action::Same | Action::Forget)
                    || declined && before == Some(&step.action)
                    || match step.action {
                        // Here no line follows what was written.
                        Action::Conflict(Why::Derived(on)) => before == Some(&Action::Waiting { on }),
                        _ => false,
                    }
                    || step.action == Action::Agree && before == Some(&Action::Agree)
                    || step.action == Action::Agree && before == Some(&Action::Same),
                "{:?} after {:?}", step, before
            );
        }
    }

    /// Cut off at any write, before it or after it, and run again by the same rules.
    #[test]
    fn a_run_that_was_killed_and_run_again_does_what_the_whole_run_would_have_done(
        world in some_world(),
        made in collection::vec(any::<bool>(), 3),
    ) {
        let (mut whole, mut cut) = (world.clone(), world);
        let first = whole.plan();
        whole.carry(&first, |_| true, true);
        cut.carry(&first, |n| made[n], false);
        let again = cut.plan();
        cut.carry(&again, |_| true, true);
        for text in NAMES {
            for side in Side::BOTH {
                let of = |world: &World| {
                    let seen = world.seen.of(side).look(&name(text)).clone();
                    (seen.fingerprint(), is_unknown(&seen))
                };
                prop_assert_eq!(of(&whole), of(&cut), "{} {:?}", text, again);
            }
        }
    }

    /// A value goes from both sides only where it stood unchanged since both agreed on it and the other
    /// side has moved on from it, or where a person said that the other side counts; a deletion needs
    /// `--delete` besides, or to have been chosen for this name.
    #[test]
    fn no_value_that_was_on_either_side_disappears_unless_that_was_asked_for(world in some_world()) {
        let mut after = world.clone();
        let plan = world.plan();
        after.carry(&plan, |_| true, true);
        for step in &plan.steps {
            let left = Side::BOTH.map(|s| after.seen.of(s).look(&step.name).fingerprint());
            for side in Side::BOTH {
                let Some(value) = step.seen.of(side).fingerprint() else { continue };
                if left.contains(&Some(value)) {
                    continue;
                }
                prop_assert_eq!(step.action.target(), Some(side));
                let word = world.word(step).filter(|(counts, _)| *counts == side.other());
                let allowed = match step.action {
                    Action::Change { .. } => world.is_untouched(step, side) || word.is_some(),
                    Action::Delete { .. } => {
                        let meant = word.is_some_and(|(_, this_name)| this_name);
                        meant || world.rules.delete && (world.is_untouched(step, side) || word.is_some())
                    }
                    _ => false,
                };
                prop_assert!(allowed, "{:?}", step);
            }
        }
    }

    #[test]
    fn a_conflict_is_never_resolved_without_being_told_how(world in some_world()) {
        let mut world = world;
        world.rules.prefer = None;
        world.rules.choices.clear();
        for step in world.plan().steps {
            let Sides { left, right } = shown(&step);
            let known = !world.missing() && !world.is_emptied(&step.name);
            let memory = world.base.get(&step.name).filter(|_| known);
            let both_moved = match memory.and_then(|memory| memory.agreed.as_ref()) {
                Some(_) => Side::BOTH.iter().all(|side| !world.is_untouched(&step, *side)),
                None => left.is_some() && right.is_some(),
            };
            if left != right && both_moved {
                prop_assert_eq!(step.action.target(), None, "{:?}", step);
                let shown = matches!(
                    step.action,
                    Action::Conflict(_) | Action::Unknown { .. } | Action::Waiting { .. }
                );
                prop_assert!(shown, "{:?}", step);
            }
        }
    }

    #[test]
    fn unknown_is_never_taken_for_deleted(world in some_world()) {
        for step in world.plan().steps {
            let unknown = Side::BOTH.iter().any(|side| is_unknown(step.seen.of(*side)));
            let said = matches!(step.action, Action::Unknown { on } if is_unknown(step.seen.of(on)));
            prop_assert_eq!(unknown, said, "{:?}", step);
        }
    }

    /// Unless the store remembers that this very name was deleted in it, and its side was preferred.
    #[test]
    fn a_document_that_is_not_there_is_no_deletion_of_its_names(world in some_world()) {
        for side in Side::BOTH {
            let mut world = world.clone();
            world.seen.of_mut(side).missing = true;
            world.seen.of_mut(side).names.clear();
            for layer in 0..LAYERS {
                world.seen.of_mut(side).lacking.insert(layer, format!("layer {layer}"));
            }
            let plan = world.plan();
            let removes = |action: &Action| {
                matches!(action, Action::Delete { .. } | Action::Pending { .. } | Action::Forget)
            };
            prop_assert_eq!(plan.count(removes), 0, "{:?}", plan);
        }
    }

    /// Nor what a layer below it would supply in its place a change, unless that is what the other side has.
    #[test]
    fn a_layer_that_is_not_there_is_no_deletion_of_what_it_supplied(
        world in some_world(), side in some_side(), layer in 0..LAYERS,
    ) {
        let mut world = world;
        lose(world.seen.of_mut(side), layer);
        if world.missing() {
            return Ok(());
        }
        let plan = world.plan();
        for (name, memory) in &world.base {
            let Some(agreed) = &memory.agreed else { continue };
            let here = world.seen.of(side).look(name);
            let other = world.seen.of(side.other()).look(name);
            if memory.intent == Some(Intent { to: side }) && here.is_gone() && other.is_gone() {
                continue;
            }
            let hidden = match (agreed.layers.of(side), here) {
                (Some(then), Seen::Present(now)) => {
                    let same = Some(now.fingerprint) == other.fingerprint();
                    *then == layer && now.layer < layer && !same
                }
                (Some(then), _) => *then == layer,
                (None, now) => now.is_gone(),
            };
            let step = plan.steps.iter().find(|step| step.name == *name);
            let unknown = step.is_some_and(|step| matches!(step.action, Action::Unknown { .. }));
            prop_assert!(!hidden || unknown, "{} {:?}", name, step);
        }
    }

    #[test]
    fn a_layer_that_is_not_there_and_supplied_nothing_is_in_nobodys_way(
        world in some_world(), side in some_side(), layer in 0..LAYERS,
    ) {
        let mut world = world;
        *world.seen.of_mut(side) = Observation {
            names: std::mem::take(&mut world.seen.of_mut(side).names),
            ..Observation { home: Some(layer), ..Observation::default() }
        };
        for agreed in world.base.values_mut().filter_map(|m| m.agreed.as_mut()) {
            *agreed.layers.of_mut(side) = Some(1 - layer);
        }
        lose(world.seen.of_mut(side), layer);
        let with = world.plan();
        world.seen.of_mut(side).lacking.clear();
        prop_assert_eq!(with, world.plan());
    }

    #[test]
    fn a_line_waits_only_while_one_that_it_is_put_together_from_is_written(world in some_world()) {
        let plan = world.plan();
        for step in &plan.steps {
            let Action::Waiting { on } = step.action else { continue };
            let line = step.seen.of(on).present().unwrap();
            prop_assert!(line.derived && !line.refers.is_empty(), "{:?}", step);
            let writes = |s: &Step| matches!(s.action, Action::Create { to, .. } | Action::Change { to } if to == on);
            prop_assert!(plan.steps.iter().any(writes), "{:?}", plan);
        }
    }

    #[test]
    fn a_push_never_writes_its_source_and_a_pull_never_what_it_pulls_from(world in some_world()) {
        for to in Side::BOTH {
            let mut world = world.clone();
            world.rules.direction = Direction::To(to);
            for step in world.plan().writes() {
                prop_assert_eq!(step.action.target(), Some(to));
            }
        }
    }

    #[test]
    fn a_choice_holds_only_for_what_was_shown(world in some_world(), keep in some_keep()) {
        let mut asked = world.clone();
        asked.rules.choices.clear();
        for step in asked.plan().steps {
            let now = shown(&step);
            let with = |shown: Sides<Option<Fingerprint>>| {
                let mut world = asked.clone();
                world.rules.choices.insert(step.name.clone(), Choice { keep, shown });
                let plan = world.plan();
                let mut steps = plan.steps.into_iter();
                steps.find(|s| s.name == step.name).unwrap().action
            };
            for side in Side::BOTH {
                let mut other = now;
                *other.of_mut(side) = Some(print(77));
                prop_assert_eq!(&with(other), &step.action);
            }
            let action = with(now);
            let conflict = {
                let mut plain = asked.clone();
                plain.rules.prefer = None;
                let plan = plain.plan();
                plan.steps.iter().any(|s| s.name == step.name && is_open(&s.action))
            };
            match keep {
                _ if !conflict => prop_assert_eq!(&action, &step.action),
                Keep::AsIs => prop_assert_eq!(action, Action::Skipped),
                Keep::Side(side) if !asked.rules.direction.writes(side.other()) => {
                    prop_assert!(is_open(&action), "{:?}", action);
                }
                Keep::Side(side) => prop_assert!(
                    action.target() == Some(side.other())
                        || action == Action::Conflict(Why::Derived(side.other()))
                        || action == Action::Waiting { on: side.other() }
                        // Its layer is not to be made anew.
                        || action == Action::Unknown { on: side.other() },
                    "{:?}", action
                ),
            }
        }
    }

    #[test]
    fn a_derived_value_is_written_only_where_that_was_asked_for_by_name(world in some_world()) {
        for step in world.plan().writes() {
            let there = step.seen.of(step.action.target().unwrap()).present();
            let derived = there.is_some_and(|present| present.derived);
            prop_assert!(!derived || world.rules.flatten.contains(&step.name), "{:?}", step);
        }
    }

    #[test]
    fn names_that_were_not_chosen_are_not_planned(world in some_world()) {
        // What waits for a name that is not written waits for nothing.
        let decided = |mut plan: Plan| {
            for step in &mut plan.steps {
                if let Action::Waiting { on } = step.action {
                    step.action = Action::Conflict(Why::Derived(on));
                }
            }
            plan
        };
        let plan = plan(&world.base, &world.seen, &world.rules, |n| n.as_str() != "B");
        let (plan, mut all) = (decided(plan), decided(world.plan()));
        all.steps.retain(|step| step.name.as_str() != "B");
        prop_assert_eq!(plan, all);
    }
}
