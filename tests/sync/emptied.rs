//! Stores that hold nothing any more, all at once: no deletion of each of their names.

use std::sync::Arc;

use secrets::apply::Keeper;
use secrets::plan::{Action, Direction, Rules, Side};
use secrets_api::{Provider, ProviderExt as _};
use secrets_memory::Memory;
use secrets_testkit::block_on;

use crate::support::{Clerk, Ends, Machine, Ran, change, cx, layered, name, sync};

/// Two stores of single secrets that know of no deletion, and a machine that syncs them.
struct Site {
    machine: Machine,
    left: Arc<dyn Provider>,
    right: Arc<dyn Provider>,
}

impl Site {
    /// In step, with these names.
    fn agreed(names: &[&str]) -> Self {
        let can = secrets_api::Capabilities {
            restore: false,
            ..Memory::CAPABILITIES
        };
        let store = || layered(Arc::new(Memory::new(can)));
        let site = Self {
            machine: Machine::new(1),
            left: store(),
            right: store(),
        };
        for secret in names {
            site.change(Side::Left, secret, Some("1"));
        }
        assert!(site.sync(&Rules::default()).is_clean());
        site
    }

    fn store(&self, side: Side) -> &dyn Provider {
        match side {
            Side::Left => &*self.left,
            Side::Right => &*self.right,
        }
    }

    fn change(&self, side: Side, secret: &str, text: Option<&str>) {
        block_on(change(self.store(side), secret, text));
    }

    fn sync(&self, rules: &Rules) -> Ran {
        let left = ("memory:left", Arc::clone(&self.left));
        let ends = Ends::new(left, ("memory:right", Arc::clone(&self.right)));
        let mut desk = Clerk::leaving();
        let sync = sync(
            &self.machine,
            &ends,
            rules.clone(),
            Keeper::NotWanted,
            &mut desk,
        );
        block_on(sync)
    }

    fn holds(&self, side: Side, secret: &str) -> bool {
        let there = block_on(self.store(side).read_one(&cx(), &name(secret)));
        there.unwrap().found().is_some()
    }
}

fn delete() -> Rules {
    Rules {
        delete: true,
        ..Rules::default()
    }
}

#[test]
fn a_store_that_was_emptied_empties_no_other() {
    let push = Rules {
        direction: Direction::To(Side::Right),
        ..delete()
    };
    let site = Site::agreed(&["A", "B"]);
    site.change(Side::Left, "A", None);
    site.change(Side::Left, "B", None);
    let ran = site.sync(&push);
    assert!(ran.outcomes.is_empty(), "{:?}", ran.outcomes);
    assert_eq!(ran.plan.emptied.left.len(), 2);
    let stays = |a: &Action| *a == Action::Extra { on: Side::Right };
    assert_eq!(ran.plan.count(stays), 2);
    assert!(site.holds(Side::Right, "A") && site.holds(Side::Right, "B"));
    // Both ways it is copied back, as to a store that never was synced; who decides sees it as such.
    let ran = site.sync(&delete());
    assert!(ran.is_clean());
    assert!(site.holds(Side::Left, "A") && site.holds(Side::Left, "B"));
    assert!(site.holds(Side::Right, "A") && site.holds(Side::Right, "B"));
}

#[test]
fn what_is_written_to_it_by_and_by_deletes_no_more_than_before() {
    let site = Site::agreed(&["A", "B", "C"]);
    for secret in ["A", "B", "C"] {
        site.change(Side::Left, secret, None);
    }
    site.change(Side::Right, "D", Some("1"));
    let chosen = secrets::choice::Chosen::new(&secrets::flags::Choice {
        only: vec!["D".to_owned()],
        except: Vec::new(),
    });
    let task = crate::support::Task {
        rules: delete(),
        keeper: Keeper::NotWanted,
        chosen,
    };
    let ends = Ends::new(
        ("memory:left", Arc::clone(&site.left)),
        ("memory:right", Arc::clone(&site.right)),
    );
    let mut desk = Clerk::leaving();
    block_on(crate::support::sync_some(
        &site.machine,
        &ends,
        task,
        &mut desk,
    ));
    assert!(site.holds(Side::Left, "D") && !site.holds(Side::Left, "A"));
    site.sync(&delete());
    for secret in ["A", "B", "C", "D"] {
        assert!(site.holds(Side::Right, secret), "{secret}");
    }
}

#[test]
fn who_names_all_that_is_gone_has_meant_it() {
    let site = Site::agreed(&["A", "B"]);
    site.change(Side::Left, "A", None);
    site.change(Side::Left, "B", None);
    let named = |names: &[&str]| Rules {
        direction: Direction::To(Side::Right),
        named: names.iter().map(|n| name(n)).collect(),
        ..delete()
    };
    assert!(site.sync(&named(&["A"])).outcomes.is_empty());
    assert!(site.sync(&named(&["A", "B"])).is_clean());
    assert!(!site.holds(Side::Right, "A") && !site.holds(Side::Right, "B"));
}

#[test]
fn the_last_secret_of_a_store_is_deleted_as_any_other() {
    let site = Site::agreed(&["A", "B"]);
    site.change(Side::Left, "A", None);
    assert!(site.sync(&delete()).is_clean());
    site.change(Side::Left, "B", None);
    assert!(site.sync(&delete()).is_clean());
    assert!(!site.holds(Side::Right, "A") && !site.holds(Side::Right, "B"));
}
