//! Each rule of the union, on documents made by hand; and its laws on any two branches.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use secrets_api::Timestamp;

use super::*;

const NEVER: Standings = Standings {
    ours: Standing {
        behind: false,
        dated: false,
    },
    theirs: Standing {
        behind: false,
        dated: true,
    },
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

/// A state of this id, written at that second, with its id for a value.
fn state(id: &str, second: i64) -> State {
    State {
        id: id.to_owned(),
        at: at(second),
        by: "ada".to_owned(),
        value: Kept::Value(SecretValue::from_slice(id.as_bytes())),
    }
}

fn deleted(id: &str, second: i64) -> State {
    State {
        value: Kept::Deleted,
        ..state(id, second)
    }
}

/// States of these ids, newest first, each written a second after the next.
fn line(ids: &[&str], newest: i64) -> Vec<State> {
    (0_i64..)
        .zip(ids)
        .map(|(age, id)| state(id, newest - age))
        .collect()
}

fn document(states: Vec<State>) -> Document {
    let mut document = Document::new("dev");
    document.secrets.insert("A".to_owned(), states);
    document
}

fn ids(document: &Document) -> Vec<&str> {
    let states = states(document, "A").iter();
    states.map(|state| state.id.as_str()).collect()
}

/// What became of `A`, and how often was asked.
struct Outcome {
    united: United,
    asked: usize,
}

impl Outcome {
    fn ids(&self) -> Vec<&str> {
        ids(&self.united.document)
    }

    fn settled(&self) -> bool {
        self.united.conflicts.is_empty()
    }

    #[track_caller]
    fn clash(&self) -> (Side, &str) {
        let [clash] = &self.united.conflicts[..] else {
            panic!("{:?}", self.united.conflicts);
        };
        (clash.present, clash.other.as_ref().unwrap().as_str())
    }
}

fn judged(
    base: Option<Vec<State>>,
    ours: Vec<State>,
    theirs: Vec<State>,
    standings: Standings,
    pick: Pick,
) -> Outcome {
    let mut asked = 0;
    let base = base.map(document);
    let mut choose = |_: &Name, _: &Sides<'_>| {
        asked += 1;
        pick
    };
    let united = unite(
        "ada",
        base.as_ref(),
        document(ours),
        document(theirs),
        standings,
        &mut choose,
    );
    Outcome {
        united: united.unwrap(),
        asked,
    }
}

fn plain(ours: Vec<State>, theirs: Vec<State>, pick: Pick) -> Outcome {
    judged(None, ours, theirs, NEVER, pick)
}

#[test]
fn a_side_that_is_behind_gives_way_and_nobody_is_asked() {
    let behind = plain(
        line(&["c", "b", "a"], 9),
        line(&["b", "a"], 8),
        Pick::Theirs,
    );
    assert_eq!((behind.asked, behind.ids()), (0, vec!["c", "b", "a"]));
    assert!(!behind.united.changed && behind.united.taken.is_empty());
    let ahead = plain(line(&["b", "a"], 8), line(&["c", "b", "a"], 9), Pick::Ours);
    assert_eq!((ahead.asked, ahead.ids()), (0, vec!["c", "b", "a"]));
    assert_eq!(ahead.united.taken, [Name::new("A").unwrap()]);
    let equal = plain(line(&["b", "a"], 8), line(&["b", "a"], 8), Pick::Theirs);
    assert!(equal.asked == 0 && !equal.united.changed);
}

#[test]
fn a_deletion_is_a_state_like_any_other() {
    let gone = || vec![deleted("d", 9), state("b", 8), state("a", 7)];
    let behind = plain(gone(), line(&["b", "a"], 8), Pick::Theirs);
    assert_eq!((behind.asked, behind.ids()), (0, vec!["d", "b", "a"]));
    let ahead = plain(line(&["b", "a"], 8), gone(), Pick::Ours);
    assert_eq!((ahead.asked, ahead.ids()), (0, vec!["d", "b", "a"]));
}

#[test]
fn what_has_parted_is_asked_with_all_three_sides() {
    let (base, ours) = (document(line(&["a"], 1)), document(line(&["o", "a"], 3)));
    let theirs = document(vec![deleted("t", 4), state("a", 1)]);
    let mut asked = 0;
    let mut choose = |name: &Name, sides: &Sides<'_>| {
        asked += 1;
        assert_eq!(name.as_str(), "A");
        let held = |held: &Option<Held<'_>>| {
            let held = held.as_ref().unwrap();
            let value = held.value.map(|v| v.expose().to_vec());
            (
                held.version.to_owned(),
                value,
                held.meta.modified,
                held.meta.deleted,
            )
        };
        let value = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(
            [&sides.ancestor, &sides.ours, &sides.theirs].map(held),
            [
                ("a".to_owned(), value("a"), Some(at(1)), false),
                ("o".to_owned(), value("o"), Some(at(3)), false),
                ("t".to_owned(), None, Some(at(4)), true),
            ]
        );
        let shown = format!("{sides:?}");
        assert!(
            !shown.contains("[111]") && !shown.contains("\"o\")"),
            "{shown}"
        );
        Pick::Conflict
    };
    let united = unite("ada", Some(&base), ours, theirs, NEVER, &mut choose).unwrap();
    assert_eq!(asked, 1);
    assert_eq!(ids(&united.document), ["o", "t", "a"]);
    let [clash] = &united.conflicts[..] else {
        panic!("{:?}", united.conflicts);
    };
    assert_eq!(clash.other.as_ref().unwrap().as_str(), "t");
    assert_eq!((clash.removed, clash.set_back), (Some(Side::Theirs), false));
}

#[test]
fn a_name_that_only_theirs_has_is_asked_about_and_refused_it_stays_in_the_history() {
    let new = |pick| plain(Vec::new(), line(&["t"], 5), pick);
    let taken = new(Pick::Theirs);
    assert_eq!((taken.asked, taken.ids()), (1, vec!["t"]));
    for (pick, settled) in [(Pick::Ours, true), (Pick::Conflict, false)] {
        let kept = new(pick);
        assert_eq!(kept.settled(), settled);
        assert_eq!((kept.ids().len(), kept.ids()[1]), (2, "t"));
        let present = &states(&kept.united.document, "A")[0];
        assert!(matches!(present.value, Kept::Deleted) && present.by == "ada");
    }
}

#[test]
fn a_name_that_theirs_never_had_stays_and_nobody_is_asked() {
    let base = Some(line(&["a"], 1));
    let kept = judged(base, line(&["o", "a"], 5), Vec::new(), NEVER, Pick::Theirs);
    assert_eq!((kept.asked, kept.ids()), (0, vec!["o", "a"]));
    let neither = plain(Vec::new(), Vec::new(), Pick::Theirs);
    assert!(neither.asked == 0 && !neither.united.changed);
}

#[test]
fn a_theirs_that_goes_back_behind_what_both_come_from_is_for_a_person_to_decide() {
    let base = || Some(line(&["b", "a"], 2));
    let reverted = || line(&["a"], 1);
    let clash = |outcome: &Outcome| outcome.united.conflicts[0].clone();
    // Whether ours has changed it since or not; nobody is asked for what cannot be taken anyway.
    for ours in [line(&["b", "a"], 2), line(&["c", "b", "a"], 3)] {
        let newest = ours[0].id.clone();
        let outcome = judged(base(), ours, reverted(), NEVER, Pick::Theirs);
        assert_eq!((outcome.asked, outcome.clash()), (0, (Side::Ours, "a")));
        assert!(outcome.ids()[0] == newest && clash(&outcome).set_back);
    }
    // To when there was no such name.
    let outcome = judged(
        base(),
        line(&["b", "a"], 2),
        Vec::new(),
        NEVER,
        Pick::Theirs,
    );
    let told = clash(&outcome);
    assert_eq!((told.other, told.removed), (None, Some(Side::Theirs)));
    assert_eq!(outcome.ids(), ["b", "a"]);
    // Not if it comes to the same.
    let gone = vec![deleted("d", 5), state("b", 2)];
    let outcome = judged(base(), gone, Vec::new(), NEVER, Pick::Theirs);
    assert!(outcome.settled());
}

#[test]
fn one_commit_that_is_picked_neither_brings_nor_removes_what_those_before_it_added() {
    let before = || line(&["b"], 2);
    let outcome = judged(Some(before()), Vec::new(), before(), NEVER, Pick::Ours);
    assert!(outcome.settled() && outcome.asked == 0 && !outcome.united.changed);
    assert!(!outcome.united.document.secrets.contains_key("A"));
}

#[test]
fn a_conflict_that_two_people_settled_in_two_ways_is_asked_again() {
    let (ours, theirs) = (
        vec![state("o", 3), state("t", 4), state("a", 1)],
        vec![state("t", 4), state("o", 3), state("a", 1)],
    );
    let again = plain(ours, theirs, Pick::Conflict);
    assert_eq!((again.asked, again.clash()), (1, (Side::Ours, "t")));
}

#[test]
fn a_state_that_was_forgotten_is_not_taken_back_for_a_new_one() {
    let now = ["12", "11", "10", "9", "8", "7", "6", "5", "4", "3"];
    let replayed = || line(&["2", "1"], 2);
    let outcome = judged(
        Some(line(&now, 12)),
        line(&now, 12),
        replayed(),
        NEVER,
        Pick::Theirs,
    );
    assert_eq!((outcome.asked, outcome.clash()), (1, (Side::Ours, "2")));
    assert_eq!(outcome.ids()[0], "12");
    assert!(outcome.ids().contains(&"2"));
    // The same after the history was pruned, and however the states that are left are ordered.
    let pruned = plain(line(&["12"], 12), replayed(), Pick::Theirs);
    assert_eq!(pruned.clash(), (Side::Ours, "2"));
    let settled = vec![state("o", 1), state("t", 6)];
    assert_eq!(
        plain(settled, line(&["5"], 5), Pick::Theirs).clash(),
        (Side::Ours, "5")
    );
    // What is truly newer, and has forgotten ours by many changes, is taken.
    let newer = plain(line(&["2", "1"], 2), line(&now, 12), Pick::Theirs);
    assert!(newer.settled() && newer.ids()[0] == "12");
}

#[test]
fn a_document_that_does_not_follow_its_ancestor_wins_nothing_by_being_different() {
    let mut standings = NEVER;
    standings.theirs.behind = true;
    // By a wrong clock, from the future.
    let future = line(&["old"], 1_000_000);
    let outcome = judged(None, line(&["b", "a"], 9), future, standings, Pick::Theirs);
    assert_eq!(outcome.clash(), (Side::Ours, "old"));
    let new = judged(None, Vec::new(), line(&["t"], 9), standings, Pick::Theirs);
    assert_eq!(new.clash(), (Side::Ours, "t"));
    // The same with the sides the other way round, as a rebase has them.
    let mut standings = NEVER;
    standings.ours.behind = true;
    let outcome = judged(
        None,
        line(&["old"], 2),
        line(&["b", "a"], 9),
        standings,
        Pick::Ours,
    );
    assert_eq!(outcome.clash(), (Side::Theirs, "old"));
    assert_eq!(outcome.ids()[0], "b");
}

#[test]
fn ours_has_to_be_the_later_one_only_where_it_is_not_the_newest_that_was_seen() {
    let sides = || (line(&["o", "a"], 2), line(&["t", "b"], 9));
    let (ours, theirs) = sides();
    assert!(plain(ours, theirs, Pick::Ours).settled());
    let mut standings = NEVER;
    standings.ours.dated = true;
    let (ours, theirs) = sides();
    let outcome = judged(None, ours, theirs, standings, Pick::Ours);
    assert_eq!(outcome.clash(), (Side::Theirs, "o"));
}

#[test]
fn of_two_equal_values_either_will_do() {
    let twin = |id: &str, second| State {
        value: Kept::Value(SecretValue::from_slice(b"same")),
        ..state(id, second)
    };
    let outcome = plain(vec![twin("o", 9)], vec![twin("t", 5)], Pick::Theirs);
    assert!(outcome.settled());
    let gone = plain(vec![deleted("o", 9)], vec![deleted("t", 5)], Pick::Theirs);
    assert!(gone.settled());
    let differ = plain(vec![deleted("o", 9)], vec![twin("t", 5)], Pick::Theirs);
    assert!(!differ.settled());
}

#[test]
fn histories_are_united_the_newest_first_and_each_in_its_own_order() {
    let ours = vec![state("o3", 30), state("o1", 10), state("o2", 20)];
    let theirs = vec![state("t2", 25), state("o2", 20), state("t1", 15)];
    let outcome = plain(ours, theirs, Pick::Ours);
    assert_eq!(outcome.ids(), ["o3", "t2", "t1", "o1", "o2"]);
}

#[test]
fn of_two_full_histories_the_newest_of_each_stay_and_of_a_long_one_as_many_as_it_had() {
    let named = |prefix: &str, count: i64, newest| -> Vec<State> {
        (0..count)
            .map(|age| state(&format!("{prefix}{age}"), newest - age))
            .collect()
    };
    let full = plain(named("o", 10, 100), named("t", 10, 50), Pick::Conflict);
    let expected = ["o0", "o1", "o2", "o3", "o4", "t0", "t1", "t2", "t3", "t4"];
    assert_eq!(full.ids(), expected);
    let long = plain(named("o", 40, 100), named("t", 10, 50), Pick::Conflict);
    assert_eq!(long.ids().len(), 40);
    assert!(long.ids().contains(&"t9"));
    let endless = plain(named("o", 150, 900), named("t", 150, 400), Pick::Conflict);
    assert_eq!(endless.ids().len(), MOST_HISTORY);
}

#[test]
fn what_one_side_has_pruned_does_not_come_back() {
    let base = || Some(line(&["c", "b", "a"], 3));
    let outcome = judged(
        base(),
        line(&["c"], 3),
        line(&["t", "c", "b", "a"], 9),
        NEVER,
        Pick::Ours,
    );
    assert_eq!(outcome.ids(), ["t", "c"]);
    let outcome = judged(
        base(),
        line(&["d", "c", "b", "a"], 9),
        line(&["c"], 3),
        NEVER,
        Pick::Ours,
    );
    assert_eq!(outcome.ids(), ["d", "c"]);
    let outcome = judged(
        base(),
        line(&["c", "b", "a"], 3),
        line(&["c"], 3),
        NEVER,
        Pick::Ours,
    );
    assert!(outcome.ids() == ["c"] && outcome.united.changed);
    // But never what a person has to choose from.
    let outcome = judged(
        base(),
        line(&["d"], 9),
        line(&["c", "b", "a"], 3),
        NEVER,
        Pick::Conflict,
    );
    assert_eq!(
        (outcome.ids(), outcome.clash()),
        (vec!["d", "c"], (Side::Ours, "c"))
    );
}

#[test]
fn operations_of_both_are_remembered_and_no_more_than_one_document_does() {
    let with = |prefix: &str| {
        let mut document = document(line(&[prefix], 1));
        document.operations = (0..OPERATIONS)
            .map(|n| Operation {
                id: format!("{prefix}{n}"),
                versions: vec![("A".to_owned(), None)],
            })
            .collect();
        document
    };
    let mut theirs = with("t");
    theirs.operations[0].id = "o1".to_owned();
    let mut never = |_: &Name, _: &Sides<'_>| Pick::Conflict;
    let united = unite("ada", None, with("o"), theirs, NEVER, &mut never).unwrap();
    let operations = united.document.operations;
    assert_eq!(operations.len(), OPERATIONS);
    let count = |id: &str| operations.iter().filter(|o| o.id == id).count();
    assert_eq!(["o0", "o1", "t1", "t9"].map(count), [1, 1, 1, 1]);
}

#[test]
fn the_generation_is_the_highest_of_all() {
    let of = |generation| Document {
        generation,
        ..document(line(&["a"], 1))
    };
    for (base, ours, theirs) in [(1, 2, 9), (1, 9, 2), (9, 1, 2)] {
        let mut never = |_: &Name, _: &Sides<'_>| Pick::Ours;
        let united = unite(
            "ada",
            Some(&of(base)),
            of(ours),
            of(theirs),
            NEVER,
            &mut never,
        );
        assert_eq!(united.unwrap().document.generation, 9);
    }
}

#[test]
fn theirs_can_stand_as_it_is_only_if_it_knows_all_that_ours_has() {
    let ours = || document(line(&["b", "a"], 2));
    let mut more = document(line(&["c", "b", "a"], 3));
    more.secrets.insert("B".to_owned(), line(&["x"], 3));
    assert!(comes_from(&ours(), &more) && !comes_from(&more, &ours()));
    assert_eq!(differing(&ours(), &more).len(), 2);
    assert!(!comes_from(&ours(), &document(line(&["c"], 3))));
    assert!(!comes_from(&ours(), &document(Vec::new())));
    assert!(comes_from(&ours(), &ours()) && differing(&ours(), &ours()).is_empty());
}

/// Edits of a branch: which of two names, and whether it is deleted.
fn edits() -> impl Strategy<Value = Vec<(bool, bool)>> {
    proptest::collection::vec((any::<bool>(), any::<bool>()), 0..25)
}

fn edit(document: &mut Document, edits: &[(bool, bool)], branch: &str, clock: &mut i64) {
    for (n, (first, delete)) in edits.iter().enumerate() {
        let name = Name::new(if *first { "A" } else { "B" }).unwrap();
        *clock += 1;
        let id = format!("{branch}{n}");
        let state = if *delete {
            deleted(&id, *clock)
        } else {
            state(&id, *clock)
        };
        document.push(&name, state, HISTORY);
    }
}

fn branches(
    common: &[(bool, bool)],
    ours: &[(bool, bool)],
    theirs: &[(bool, bool)],
) -> [Document; 3] {
    let make = |branch: &[(bool, bool)], name, start: i64| {
        let mut document = Document::new("dev");
        edit(&mut document, common, "base", &mut 0);
        edit(&mut document, branch, name, &mut start.clone());
        document
    };
    [
        make(&[], "", 0),
        make(ours, "ours", 1000),
        make(theirs, "theirs", 500),
    ]
}

proptest! {
    #[test]
    fn no_recent_state_of_either_branch_is_lost(
        common in edits(), ours in edits(), theirs in edits(), pick in 0..3_usize,
    ) {
        let pick = [Pick::Ours, Pick::Theirs, Pick::Conflict][pick];
        let made = || branches(&common, &ours, &theirs);
        let [base, one, other] = made();
        let mut choose = |_: &Name, _: &Sides<'_>| pick;
        let united = unite("ada", Some(&base), one, other, NEVER, &mut choose).unwrap();
        let [_, one, other] = made();
        for name in ["A", "B"] {
            let kept = states(&united.document, name);
            for side in [&one, &other] {
                for state in states(side, name).iter().take(5) {
                    prop_assert!(has(kept, &state.id), "{name} lost {}", state.id);
                }
            }
            prop_assert!(kept.len() <= HISTORY);
            let ids: HashSet<_> = kept.iter().map(|state| &state.id).collect();
            prop_assert_eq!(ids.len(), kept.len());
        }
    }

    #[test]
    fn what_settles_itself_does_so_whichever_side_is_ours(
        common in edits(), ours in edits(), theirs in edits(),
    ) {
        // A name that one side never had is asked about only where it is new.
        let common = [&[(true, false), (false, false)], &common[..]].concat();
        let made = || branches(&common, &ours, &theirs);
        let mut tops = Vec::new();
        for mirrored in [false, true] {
            let [base, one, other] = made();
            let (one, other) = if mirrored { (other, one) } else { (one, other) };
            let mut choose = |_: &Name, _: &Sides<'_>| Pick::Conflict;
            let united = unite("ada", Some(&base), one, other, NEVER, &mut choose).unwrap();
            let open: HashSet<_> = united.conflicts.iter().map(|c| c.name.to_string()).collect();
            let secrets = united.document.secrets;
            tops.push(["A", "B"].map(|name| {
                let top = secrets.get(name).and_then(|states| states.first());
                top.filter(|state| !open.contains(name) && !matches!(state.value, Kept::Deleted))
                    .map(|state| state.id.clone())
            }));
        }
        prop_assert_eq!(&tops[0], &tops[1]);
    }
}
