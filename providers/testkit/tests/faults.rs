//! The suite can fail: every fault is caught by the checks named for it, and every check catches
//! some fault. Plain memory, which the faults are added to, passes (see its own tests).
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use secrets_api::{Capabilities, Ctx, Provider, Select};
use secrets_memory::Memory;
use secrets_testkit::canary::Canary;
use secrets_testkit::faulty::{self, Fault};
use secrets_testkit::{
    CANARY_CHECK, Fixture, Place, block_on, check_names, failures, seed_through,
};

struct Faulty(&'static Fault);

impl Fixture for Faulty {
    fn fresh(&self) -> Place {
        let mut can = Memory::CAPABILITIES;
        (self.0.over)(&mut can);
        Place::new(Memory::new(can))
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        (self.0.wrap)(Arc::new(place.get::<Memory>().clone()))
    }

    fn seed(&self, place: &Place, items: &[(&str, &[u8])]) -> bool {
        block_on(seed_through(place.get::<Memory>(), items)).is_ok()
    }
}

#[test]
fn every_fault_is_caught_by_the_checks_named_for_it_and_no_failure_shows_a_value() {
    let canary = Canary::of_this_process();
    let mut wrong = Vec::new();
    for fault in faulty::ALL {
        let failed = failures(&Faulty(fault));
        for check in fault.caught_by {
            if !failed.iter().any(|failure| failure.check == *check) {
                wrong.push(format!("{fault:?} passes {check}"));
            }
        }
        for failure in failed {
            if canary.found_in(failure.why.as_bytes()).is_some() {
                wrong.push(format!("{fault:?}: {} shows the value", failure.check));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_check_catches_some_fault() {
    let catching: BTreeSet<_> = faulty::ALL
        .iter()
        .flat_map(|f| f.caught_by)
        .copied()
        .collect();
    let checks: BTreeSet<_> = check_names().into_iter().collect();
    assert_eq!(checks, catching);
}

#[test]
fn a_leak_beside_the_store_is_found() {
    /// Keeps a log of what it is told to seed, and shows it.
    struct Logging;

    impl Fixture for Logging {
        fn fresh(&self) -> Place {
            Place::new(Memory::new(Memory::CAPABILITIES))
        }

        fn open(&self, place: &Place) -> Arc<dyn Provider> {
            Arc::new(place.get::<Memory>().clone())
        }

        fn leaks(&self, place: &Place) -> Vec<(String, Vec<u8>)> {
            let cx = Ctx::within(Duration::from_secs(60));
            let items = block_on(place.get::<Memory>().read(&cx, Select::All))
                .unwrap()
                .items;
            let values = items
                .into_iter()
                .filter_map(|(_, lookup)| lookup.unwrap().into_found());
            values
                .map(|stored| ("the log".to_owned(), stored.value.expose().to_vec()))
                .collect()
        }
    }

    let failed = failures(&Logging);
    assert_eq!(failed.len(), 1, "{failed:#?}");
    assert_eq!(failed[0].check, CANARY_CHECK);
    assert!(failed[0].why.contains("the log"), "{failed:#?}");
}

#[test]
fn a_read_only_store_that_is_not_seeded_fails() {
    struct Unseeded;

    impl Fixture for Unseeded {
        fn fresh(&self) -> Place {
            Place::new(Memory::new(Capabilities {
                writable: false,
                ..Memory::CAPABILITIES
            }))
        }

        fn open(&self, place: &Place) -> Arc<dyn Provider> {
            Arc::new(place.get::<Memory>().clone())
        }
    }

    let failed = failures(&Unseeded);
    let why = "the store is read-only and the fixture seeds no values";
    assert!(
        failed.iter().any(|failure| failure.why.contains(why)),
        "{failed:#?}"
    );
}

#[test]
#[should_panic(expected = "a_name_is_created_once")]
fn the_conformance_call_names_what_failed() {
    let ignores = faulty::ALL
        .iter()
        .find(|fault| fault.name == "IgnoresPreconditions");
    secrets_testkit::conformance(&Faulty(ignores.unwrap()));
}
