//! The table of [`crate::plan`], a test a row, each also seen in a mirror.

use super::*;

const BOTH: [Side; 2] = Side::BOTH;

/// Versions as they were agreed on, on either side.
const THEN: Option<u32> = Some(1);
/// A later one.
const LATER: Option<u32> = Some(2);

fn rules() -> Rules {
    Rules::default()
}

fn deleting() -> Rules {
    Rules {
        delete: true,
        ..Rules::default()
    }
}

/// What is done about a name that was agreed on as value 1 (or never), by side `one` and the other one;
/// the answer with `one` on the left. The same is asked with `one` on the right.
fn decide(agreed: bool, one: &Seen, other: &Seen, rules: &Rules) -> Option<Action> {
    let memory = match agreed {
        true => agreement(1, THEN, THEN),
        false => Memory::default(),
    };
    decide_by(&memory, one, other, rules)
}

fn decide_by(memory: &Memory, one: &Seen, other: &Seen, rules: &Rules) -> Option<Action> {
    let n = name("A");
    let seen = Sides {
        left: one,
        right: other,
    };
    let action = merge(&n, memory, seen, rules);
    let mirror = merge(&n, &memory.mirrored(), seen.swapped(), &rules.mirrored());
    assert_eq!(mirror.map(|a| a.mirrored()), action);
    action
}

fn untouched() -> Seen {
    there(1, THEN)
}

fn put_back() -> Seen {
    there(1, LATER)
}

fn changed() -> Seen {
    there(2, LATER)
}

fn gone() -> [Seen; 2] {
    [Seen::Absent, Seen::Deleted]
}

const TO_RIGHT: Action = Action::Change { to: Side::Right };

#[test]
fn unchanged_in_both_is_nothing() {
    let action = decide(true, &untouched(), &untouched(), &rules());
    assert_eq!(action, Some(Action::Same));
    let action = decide(false, &Seen::Absent, &Seen::Deleted, &rules());
    assert_eq!(action, None);
}

/// So that what went from a layer is told from what went with it.
#[test]
fn unchanged_in_both_and_supplied_by_another_layer_is_agreed_on_anew() {
    for layer in [None, Some(1)] {
        let mut memory = agreement(1, THEN, THEN);
        memory.agreed.as_mut().unwrap().layers.left = layer;
        let action = decide_by(&memory, &untouched(), &untouched(), &rules());
        assert_eq!(action, Some(Action::Agree));
    }
}

#[test]
fn changed_in_one_and_untouched_in_the_other_is_copied() {
    let action = decide(true, &changed(), &untouched(), &rules());
    assert_eq!(action, Some(TO_RIGHT));
    let told_nothing = there(1, None);
    let action = decide(true, &there(2, None), &told_nothing, &rules());
    assert_eq!(action, Some(TO_RIGHT));
}

#[test]
fn changed_in_both_to_the_same_is_an_agreement() {
    let action = decide(true, &changed(), &changed(), &rules());
    assert_eq!(action, Some(Action::Agree));
    let action = decide(true, &put_back(), &untouched(), &rules());
    assert_eq!(action, Some(Action::Agree));
}

#[test]
fn changed_in_both_differently_is_a_conflict() {
    let action = decide(true, &changed(), &there(3, LATER), &deleting());
    assert_eq!(action, Some(Action::Conflict(Why::BothChanged)));
}

#[test]
fn changed_in_one_and_put_back_in_the_other_is_a_conflict() {
    let action = decide(true, &changed(), &put_back(), &deleting());
    assert_eq!(action, Some(Action::Conflict(Why::PutBack(Side::Right))));
}

#[test]
fn deleted_in_both_is_forgotten() {
    for one in gone() {
        for other in gone() {
            let action = decide(true, &one, &other, &rules());
            assert_eq!(action, Some(Action::Forget));
        }
    }
}

#[test]
fn deleted_in_one_and_untouched_in_the_other_is_deleted_there_only_if_asked() {
    let to = Side::Right;
    for one in gone() {
        let action = decide(true, &one, &untouched(), &rules());
        assert_eq!(action, Some(Action::Pending { to }));
        let action = decide(true, &one, &untouched(), &deleting());
        assert_eq!(action, Some(Action::Delete { to }));
    }
}

#[test]
fn deleted_in_one_and_changed_or_put_back_in_the_other_is_a_conflict() {
    for one in gone() {
        for other in [changed(), put_back()] {
            let action = decide(true, &one, &other, &deleting());
            let why = Why::DeletedAndChanged(Side::Left);
            assert_eq!(action, Some(Action::Conflict(why)));
        }
    }
}

#[test]
fn never_agreed_and_equal_is_an_agreement() {
    let action = decide(false, &there(1, LATER), &there(1, THEN), &rules());
    assert_eq!(action, Some(Action::Agree));
}

#[test]
fn never_agreed_and_different_is_a_conflict() {
    let action = decide(false, &there(1, THEN), &there(2, THEN), &deleting());
    assert_eq!(action, Some(Action::Conflict(Why::NeverAgreed)));
}

#[test]
fn never_agreed_and_on_one_side_only_is_copied_as_the_first_in_the_direction_there_is() {
    let with = |direction| Rules {
        direction,
        ..deleting()
    };
    let to = Side::Right;
    for direction in [Direction::Both, Direction::To(to)] {
        let action = decide(false, &changed(), &Seen::Absent, &with(direction));
        assert_eq!(action, Some(Action::Create { to, first: true }));
    }
    let against = with(Direction::To(Side::Left));
    let action = decide(false, &changed(), &Seen::Absent, &against);
    assert_eq!(action, Some(Action::Extra { on: Side::Left }));
}

#[test]
fn never_agreed_and_deleted_on_the_other_side_is_a_conflict() {
    let action = decide(false, &changed(), &Seen::Deleted, &deleting());
    assert_eq!(action, Some(Action::Conflict(Why::Tombstone(Side::Right))));
}

#[test]
fn unreadable_is_unknown_whatever_the_other_side_holds() {
    let unknown = Seen::Unknown("denied".into());
    for other in [
        untouched(),
        changed(),
        put_back(),
        Seen::Absent,
        Seen::Deleted,
    ] {
        for agreed in [true, false] {
            let action = decide(agreed, &unknown, &other, &deleting());
            assert_eq!(action, Some(Action::Unknown { on: Side::Left }));
        }
    }
}

#[test]
fn a_push_shows_what_changed_in_its_mirror_and_overwrites_it_only_if_told_to() {
    let push = |prefer, delete| Rules {
        direction: Direction::To(Side::Right),
        prefer,
        delete,
        ..Rules::default()
    };
    let why = Why::TargetChanged(Side::Right);
    let conflict = Some(Action::Conflict(why));
    for prefer in [None, Some(Side::Right)] {
        let action = decide(true, &untouched(), &changed(), &push(prefer, true));
        assert_eq!(action, conflict);
    }
    let told = push(Some(Side::Left), false);
    let action = decide(true, &untouched(), &changed(), &told);
    assert_eq!(action, Some(TO_RIGHT));
    let action = decide(true, &untouched(), &Seen::Absent, &push(None, true));
    let why = Why::TargetDeleted(Side::Right);
    assert_eq!(action, Some(Action::Conflict(why)));
    let action = decide(true, &untouched(), &Seen::Absent, &told);
    let again = Action::Create {
        to: Side::Right,
        first: false,
    };
    assert_eq!(action, Some(again));
}

#[test]
fn a_deletion_that_is_preferred_is_passed_on_only_if_deletions_were_asked_for() {
    let prefer = |delete| Rules {
        prefer: Some(Side::Left),
        delete,
        ..Rules::default()
    };
    let to = Side::Right;
    let action = decide(true, &Seen::Absent, &changed(), &prefer(false));
    assert_eq!(action, Some(Action::Pending { to }));
    let action = decide(true, &Seen::Absent, &changed(), &prefer(true));
    assert_eq!(action, Some(Action::Delete { to }));
}

/// The run that meant to copy may have done it, and a person may have put it back: nobody can tell.
#[test]
fn what_a_killed_run_was_to_write_is_no_agreement_when_the_other_side_has_moved_on() {
    let to = Side::Right;
    let cut = Memory {
        intent: Some(Intent { to }),
        ..agreement(1, THEN, THEN)
    };
    let action = decide_by(&cut, &there(3, Some(3)), &changed(), &deleting());
    assert_eq!(action, Some(Action::Conflict(Why::BothChanged)));
    let action = decide_by(&cut, &there(2, Some(3)), &changed(), &rules());
    assert_eq!(action, Some(Action::Agree));
    let action = decide_by(&cut, &there(3, Some(3)), &Seen::Absent, &deleting());
    let why = Why::DeletedAndChanged(to);
    assert_eq!(action, Some(Action::Conflict(why)));
}

/// Where versions say nothing (they name the value), the killed run itself tells that the source had moved.
#[test]
fn a_value_put_back_in_the_source_of_a_killed_run_is_not_copied_over() {
    let memory = Memory {
        intent: Some(Intent { to: Side::Right }),
        ..agreement(1, THEN, THEN)
    };
    let action = decide_by(&memory, &untouched(), &there(3, Some(3)), &deleting());
    assert_eq!(action, Some(Action::Conflict(Why::PutBack(Side::Left))));
}

#[test]
fn a_derived_value_that_would_be_written_can_be_left_as_it_is() {
    let derived = match untouched() {
        Seen::Present(present) => Seen::Present(Present {
            derived: true,
            ..present
        }),
        other => other,
    };
    let conflict = Some(Action::Conflict(Why::Derived(Side::Right)));
    for prefer in BOTH.map(Some).into_iter().chain([None]) {
        let rules = Rules { prefer, ..rules() };
        assert_eq!(decide(true, &changed(), &derived, &rules), conflict);
    }
    let choosing = |keep| Rules {
        choices: [(
            name("A"),
            Choice {
                keep,
                shown: Sides {
                    left: changed().fingerprint(),
                    right: derived.fingerprint(),
                },
            },
        )]
        .into(),
        ..rules()
    };
    let action = decide(true, &changed(), &derived, &choosing(Keep::AsIs));
    assert_eq!(action, Some(Action::Skipped));
    let kept = choosing(Keep::Side(Side::Left));
    assert_eq!(decide(true, &changed(), &derived, &kept), conflict);
    let flat = Rules {
        flatten: [name("A")].into(),
        ..rules()
    };
    assert_eq!(decide(true, &changed(), &derived, &flat), Some(TO_RIGHT));
}

fn derived(value: u32, refers: &[&str]) -> Seen {
    match there(value, THEN) {
        Seen::Present(present) => Seen::Present(Present {
            derived: true,
            refers: refers.iter().map(|text| name(text)).collect(),
            ..present
        }),
        other => other,
    }
}

/// What is done with `A`, a line of the left side, where the right one has changed the names of `changed`.
fn waits(lines: &[(&str, Seen)], changed: &[&str], rules: &Rules) -> Action {
    let (mut base, mut seen) = (Base::new(), Sides::<Observation>::default());
    for (text, now) in lines {
        base.insert(name(text), agreement(1, THEN, THEN));
        seen.left.names.insert(name(text), now.clone());
        let other = if changed.contains(text) {
            there(2, LATER)
        } else {
            untouched()
        };
        seen.right.names.insert(name(text), other);
    }
    let plan = plan(&base, &seen, rules, |_| true);
    plan.steps[0].action.clone()
}

#[test]
fn a_line_waits_for_what_it_is_put_together_from_at_any_remove() {
    let on = Side::Left;
    let line = ("A", derived(1, &["B"]));
    let (plain, link) = (("B", untouched()), ("B", derived(1, &["C", "A"])));
    let two = [line.clone(), plain];
    let three = [line, link, ("C", untouched())];
    let waiting = Action::Waiting { on };
    let conflict = Action::Conflict(Why::Derived(on));
    assert_eq!(waits(&two, &["A", "B"], &rules()), waiting);
    assert_eq!(waits(&three, &["A", "B", "C"], &rules()), waiting);
    // Nothing it depends on is written.
    assert_eq!(waits(&two, &["A"], &rules()), conflict);
    let other = [two[0].clone(), two[1].clone(), ("C", untouched())];
    assert_eq!(waits(&other, &["A", "C"], &rules()), conflict);
    // What stands in another layer is not what the line says.
    let mut above = two.clone();
    if let Seen::Present(present) = &mut above[1].1 {
        present.layer = 1;
    }
    assert_eq!(waits(&above, &["A", "B"], &rules()), conflict);
    let flat = Rules {
        flatten: [name("A")].into(),
        ..rules()
    };
    assert_eq!(waits(&two, &["A", "B"], &flat), Action::Change { to: on });
}

/// A left side of two layers, of which the first has supplied `A` and is not there; the right one has it.
fn lacking(now: Option<(u32, usize)>, supplied: Option<usize>) -> (Base, Sides<Observation>) {
    let mut memory = agreement(1, THEN, THEN);
    memory.agreed.as_mut().unwrap().layers.left = supplied;
    let mut seen = Sides::<Observation>::default();
    seen.left.lacking.insert(0, "dotenv:.env".to_owned());
    seen.left.home = Some(1);
    if let Some((value, layer)) = now {
        let Seen::Present(present) = there(value, LATER) else {
            unreachable!()
        };
        let now = Seen::Present(Present { layer, ..present });
        seen.left.names.insert(name("A"), now);
    }
    seen.right.names.insert(name("A"), untouched());
    ([(name("A"), memory)].into(), seen)
}

#[test]
fn what_a_layer_supplied_that_is_not_there_is_not_known_to_be_deleted() {
    let act = |(base, seen): (Base, Sides<Observation>)| {
        let plan = plan(&base, &seen, &deleting(), |_| true);
        plan.steps[0].clone()
    };
    for supplied in [Some(0), None] {
        let step = act(lacking(None, supplied));
        assert_eq!(step.action, Action::Unknown { on: Side::Left });
        let Seen::Unknown(why) = step.seen.left else {
            panic!("{:?}", step.seen)
        };
        assert!(why.starts_with("dotenv:.env is not there"), "{why}");
    }
    // It went from a layer that is there.
    let to = Side::Right;
    assert_eq!(act(lacking(None, Some(1))).action, Action::Delete { to });
    // A higher layer says what counts, whatever the lower one would say.
    assert_eq!(act(lacking(Some((2, 1)), Some(0))).action, TO_RIGHT);
    assert_eq!(act(lacking(Some((1, 1)), Some(0))).action, Action::Agree);
}

#[test]
fn a_layer_is_not_made_anew_while_what_went_with_it_is_not_known() {
    for (home, wanted) in [
        (0, Action::Unknown { on: Side::Left }),
        (
            1,
            Action::Create {
                to: Side::Left,
                first: true,
            },
        ),
    ] {
        let (base, mut seen) = lacking(None, Some(0));
        seen.left.home = Some(home);
        seen.right.names.insert(name("NEW"), untouched());
        let plan = plan(&base, &seen, &rules(), |_| true);
        assert_eq!(plan.steps[1].action, wanted);
    }
}

#[test]
fn ten_thousand_names_are_planned() {
    let mut base = Base::new();
    let mut seen = Sides::<Observation>::default();
    for n in 0..10_000 {
        let n_th = name(&format!("NAME_{n}"));
        base.insert(n_th.clone(), agreement(n, THEN, THEN));
        let value = if n % 10 == 0 { n + 1 } else { n };
        let left = there(value, if n % 10 == 0 { LATER } else { THEN });
        seen.left.names.insert(n_th.clone(), left);
        seen.right.names.insert(n_th, there(n, THEN));
    }
    let plan = plan(&base, &seen, &rules(), |_| true);
    assert_eq!(plan.steps.len(), 10_000);
    assert_eq!(plan.writes().count(), 1_000);
    assert_eq!(plan.count(|action| *action == Action::Same), 9_000);
}
