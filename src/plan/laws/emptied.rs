//! Sides that hold nothing any more.

use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(config())]

    /// Unless a person has written out all of its names.
    #[test]
    fn a_side_that_holds_nothing_any_more_deletes_nothing(world in some_world(), side in some_side()) {
        let mut world = world;
        *world.seen.of_mut(side) = Observation { home: Some(0), ..Observation::default() };
        world.rules.choices.clear();
        world.rules.delete = true;
        let other = world.seen.of(side.other()).clone();
        let lost = |(name, memory): &(&Name, &Memory)| {
            memory.agreed.is_some() && !other.look(name).is_gone()
        };
        let lost: Vec<Name> = world.base.iter().filter(lost).map(|(name, _)| name.clone()).collect();
        if lost.len() < 2 || world.missing() || !other.lacking.is_empty() {
            return Ok(());
        }
        world.rules.named = lost.iter().skip(1).cloned().collect();
        let plan = world.plan();
        let removes = |action: &Action| {
            matches!(action, Action::Delete { .. } | Action::Pending { .. })
        };
        prop_assert_eq!(plan.count(removes), 0, "{:?}", plan);
        world.rules.named = lost.into_iter().collect();
        prop_assert_eq!(world.plan().emptied, Sides::default());
    }
}

#[test]
fn who_says_of_a_conflict_that_the_empty_side_counts_has_meant_it() {
    let base: Base = [
        (name("A"), agreement(1, None, None)),
        (name("B"), agreement(1, None, None)),
    ]
    .into();
    let right = [(name("A"), there(2, None)), (name("B"), there(2, None))].into();
    let seen = Sides {
        left: Observation::default(),
        right: Observation {
            names: right,
            ..Observation::default()
        },
    };
    let rules = |prefer, keep: Option<Keep>| {
        let shown = Sides {
            left: None,
            right: Some(print(2)),
        };
        let choices = keep.map(|keep| (name("A"), Choice { keep, shown }));
        Rules {
            delete: true,
            prefer,
            choices: choices.into_iter().collect(),
            ..Rules::default()
        }
    };
    let actions = |rules: &Rules| -> Vec<Action> {
        let plan = plan(&base, &seen, rules, |_| true);
        plan.steps.into_iter().map(|step| step.action).collect()
    };
    let conflict = Action::Conflict(Why::DeletedAndChanged(Side::Left));
    let back = Action::Create {
        to: Side::Left,
        first: true,
    };
    assert_eq!(
        actions(&rules(None, None)),
        [conflict.clone(), conflict.clone()]
    );
    // A preference among all that differ is none for an accident; of one name it is one.
    assert_eq!(
        actions(&rules(Some(Side::Left), None)),
        [back.clone(), back]
    );
    let chosen = actions(&rules(None, Some(Keep::Side(Side::Left))));
    assert_eq!(chosen, [Action::Delete { to: Side::Right }, conflict]);
}
