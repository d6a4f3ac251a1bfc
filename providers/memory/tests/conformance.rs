//! The store in memory passes the suite: as it is opened, and with every lesser set of abilities.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrets_api::{Capabilities, Guard, Provider, StoreUri, Unit, Values};
use secrets_memory::Memory;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::{Fixture, Place, conformance};

/// By its address, as the program opens it.
struct Named;

static PLACES: AtomicUsize = AtomicUsize::new(0);

impl Fixture for Named {
    fn fresh(&self) -> Place {
        let n = PLACES.fetch_add(1, Ordering::Relaxed);
        let uri = StoreUri::parse(&format!("memory:conformance-{n}")).unwrap();
        Place::new((TestOpening::new(), uri))
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let (opening, uri) = place.get::<(TestOpening, StoreUri)>();
        secrets_memory::open(&opening.opening(uri)).unwrap()
    }
}

/// With other abilities than all.
struct Lesser(Capabilities);

impl Fixture for Lesser {
    fn fresh(&self) -> Place {
        Place::new(Memory::new(self.0))
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        Arc::new(place.get::<Memory>().clone())
    }

    fn seed(&self, place: &Place, items: &[(&str, &[u8])]) -> bool {
        let writing = place.get::<Memory>().limited_to(Memory::CAPABILITIES);
        secrets_testkit::block_on(secrets_testkit::seed_through(&writing, items)).is_ok()
    }
}

#[test]
fn a_named_store_passes_the_conformance_suite() {
    conformance(&Named);
}

#[test]
fn every_unit_and_guard_passes_the_conformance_suite() {
    for unit in [Unit::Document, Unit::Secret] {
        for guard in [
            Guard::None,
            Guard::CreateOnly,
            Guard::Cooperative,
            Guard::CompareAndSet,
        ] {
            conformance(&Lesser(Capabilities {
                unit,
                guard,
                ..Memory::CAPABILITIES
            }));
        }
    }
}

#[test]
fn every_single_ability_can_be_denied() {
    type Deny = fn(&mut Capabilities);
    let denials: [Deny; 12] = [
        |can| can.values = Values::Utf8,
        |can| can.values = Values::Utf8NoNul,
        |can| can.writable = false,
        |can| (can.history, can.prune) = (false, false),
        |can| can.prune = false,
        |can| can.limits.name_bytes = Some(40),
        |can| can.restore = false,
        |can| can.idempotent = false,
        |can| can.cheap_poll = false,
        |can| can.own_versions = false,
        |can| can.limits.value_bytes = None,
        |can| can.limits.value_bytes = Some(4096),
    ];
    for unit in [Unit::Document, Unit::Secret] {
        for deny in denials {
            let mut can = Capabilities {
                unit,
                ..Memory::CAPABILITIES
            };
            deny(&mut can);
            conformance(&Lesser(can));
        }
    }
}
