//! Lines of a `.env` that are put together from others: what follows from a write is seen in the same run.

use std::sync::Arc;

use secrets::apply::Keeper;
use secrets::exit::Exit;
use secrets::plan::{Action, Rules, Side, Why};
use secrets_api::{Provider, ProviderExt as _};
use secrets_memory::Memory;
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

use crate::support::{Clerk, Ends, Machine, Ran, bare, change, cx, layered, name, sync, value};

/// A `.env` on the left, and another store.
struct Site {
    opening: TestOpening,
    machine: Machine,
    file: Arc<dyn Provider>,
    other: Arc<dyn Provider>,
}

impl Site {
    fn new(text: &str) -> Self {
        let opening = TestOpening::new();
        std::fs::write(opening.root.join(".env"), text).unwrap();
        Self {
            machine: Machine::new(1),
            file: layered(bare(&opening, "dotenv:.env")),
            other: layered(Arc::new(Memory::new(Memory::CAPABILITIES))),
            opening,
        }
    }

    /// The same, synced.
    fn agreed(text: &str) -> Self {
        let site = Self::new(text);
        assert!(site.sync().0.is_clean());
        site
    }

    fn sync_by(&self, rules: Rules) -> (Ran, Clerk) {
        let ends = Ends::new(
            ("dotenv:.env", Arc::clone(&self.file)),
            ("memory:other", Arc::clone(&self.other)),
        );
        let mut clerk = Clerk::leaving();
        let run = sync(&self.machine, &ends, rules, Keeper::NotWanted, &mut clerk);
        (block_on(run), clerk)
    }

    fn sync(&self) -> (Ran, Clerk) {
        self.sync_by(Rules::default())
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.opening.root.join(".env")).unwrap()
    }

    fn put(&self, secret: &str, text: &str) {
        block_on(change(&*self.other, secret, Some(text)));
    }

    fn remove(&self, secret: &str) {
        block_on(change(&*self.other, secret, None));
    }

    fn other_holds(&self, secret: &str, text: &str) {
        let found = block_on(self.other.read_one(&cx(), &name(secret))).unwrap();
        assert!(
            found.found().unwrap().value.same_as(&value(text)),
            "{secret}"
        );
    }

    /// A second run finds nothing that changed since the first.
    fn at_rest(&self) {
        let (ran, clerk) = self.sync();
        assert!(ran.is_clean() && ran.outcomes.is_empty(), "{ran:?}");
        assert_eq!(clerk.plans.len(), 1);
        let same = ran.plan.count(|action| *action == Action::Same);
        assert_eq!(same, ran.plan.steps.len(), "{:?}", ran.plan);
    }
}

const TO_LEFT: Action = Action::Change { to: Side::Left };

fn actions(plan: &secrets::plan::Plan) -> Vec<Action> {
    plan.steps.iter().map(|step| step.action.clone()).collect()
}

#[test]
fn what_follows_from_a_write_is_copied_on_in_the_same_run() {
    let site = Site::agreed("B=x\nA=${B}y\nC=${A}!\n");
    site.other_holds("C", "xy!");
    site.put("B", "z");
    let (ran, clerk) = site.sync();
    assert!(ran.is_clean(), "{ran:?}");
    // What was not in the first plan was shown in the second.
    let (same, on) = (Action::Same, Action::Change { to: Side::Right });
    assert_eq!(
        actions(&clerk.plans[0]),
        [same.clone(), TO_LEFT, same.clone()]
    );
    assert_eq!(actions(&clerk.plans[1]), [on.clone(), same, on]);
    assert_eq!(site.text(), "B=z\nA=${B}y\nC=${A}!\n");
    site.other_holds("C", "zy!");
    site.at_rest();
}

#[test]
fn a_line_that_comes_out_equal_is_no_conflict() {
    let site = Site::agreed("B=x\nA=${B}y\n");
    site.put("B", "z");
    site.put("A", "zy");
    let (ran, clerk) = site.sync();
    assert!(ran.is_clean() && clerk.conflicts.is_empty(), "{ran:?}");
    let waiting = Action::Waiting { on: Side::Left };
    assert_eq!(actions(&clerk.plans[0]), [waiting, TO_LEFT]);
    assert_eq!(actions(&clerk.plans[1]), [Action::Agree, Action::Same]);
    assert_eq!(site.text(), "B=z\nA=${B}y\n");
    site.at_rest();
}

#[test]
fn a_line_that_does_not_come_out_equal_is_a_conflict_then() {
    let site = Site::agreed("B=x\nA=${B}y\n");
    site.put("B", "z");
    site.put("A", "other");
    let (ran, clerk) = site.sync();
    let conflict = Action::Conflict(Why::BothChanged);
    assert_eq!(ran.plan.steps[0].action, conflict, "{ran:?}");
    assert_eq!(clerk.conflicts.len(), 1);
    assert_eq!(site.text(), "B=z\nA=${B}y\n");
    site.other_holds("A", "other");
}

#[test]
fn a_line_that_nothing_follows_from_is_a_conflict_from_the_start() {
    let site = Site::agreed("B=x\nA=${B}y\nC=1\n");
    site.put("A", "other");
    site.put("C", "2");
    let (_, clerk) = site.sync();
    let conflict = Action::Conflict(Why::Derived(Side::Left));
    assert_eq!(clerk.plans[0].steps[0].action, conflict);
}

#[test]
fn lines_that_change_one_another_without_end_are_told() {
    let site = Site::agreed("B=x\nA=${B}y\n");
    let right = TestOpening::new();
    std::fs::write(right.root.join(".env"), "A=xy\nB=${A}\n").unwrap();
    let ends = Ends::new(
        ("dotenv:.env", Arc::clone(&site.file)),
        ("dotenv:b.env", layered(bare(&right, "dotenv:.env"))),
    );
    let rules = Rules {
        prefer: Some(Side::Right),
        ..Rules::default()
    };
    let mut clerk = Clerk::leaving();
    let run = sync(&site.machine, &ends, rules, Keeper::NotWanted, &mut clerk);
    let failure = block_on(run).answer.unwrap_err();
    assert_eq!(failure.exit, Exit::Partly);
    assert!(failure.message.contains("change one another"), "{failure}");
    assert!(failure.hint.unwrap().contains("--flatten"));
}

#[test]
fn a_name_that_a_line_is_put_together_from_is_not_deleted_and_nothing_is_written() {
    let site = Site::agreed("B=x\nA=${B}y\nC=1\n");
    site.remove("B");
    site.put("C", "2");
    let deleting = |flatten: &[&str]| Rules {
        delete: true,
        flatten: flatten.iter().map(|text| name(text)).collect(),
        ..Rules::default()
    };
    let (ran, _) = site.sync_by(deleting(&[]));
    let failure = ran.answer.unwrap_err();
    assert_eq!(
        failure.message,
        "dotenv:.env: A is put together from B, which would be removed; nothing was written"
    );
    assert!(failure.hint.unwrap().contains("--except B"));
    assert_eq!(site.text(), "B=x\nA=${B}y\nC=1\n");
    // With a value of its own for the line it is.
    site.put("A", "plain");
    let (ran, _) = site.sync_by(deleting(&["A"]));
    assert!(ran.is_clean(), "{ran:?}");
    assert_eq!(site.text(), "A=plain\nC=2\n");
    site.at_rest();
}
