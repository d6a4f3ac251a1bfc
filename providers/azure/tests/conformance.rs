//! A vault passes the suite: the official SDK, unchanged, over TLS, against the fake.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use secrets_api::{Provider, StoreUri};
use secrets_testkit::fakes::azure::Azure;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::{Fixture, Place, conformance};

/// A vault of its own a place.
struct Vaults {
    uri: &'static str,
}

struct One {
    azure: Azure,
    opening: TestOpening,
    uri: StoreUri,
}

impl Fixture for Vaults {
    fn fresh(&self) -> Place {
        let azure = Azure::start();
        let opening = azure.opening();
        let uri = StoreUri::parse(self.uri).unwrap();
        Place::new(One {
            azure,
            opening,
            uri,
        })
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let one = place.get::<One>();
        secrets_azure::open(&one.opening.opening(&one.uri)).unwrap()
    }

    /// What went over the wire in the open: addresses.
    fn leaks(&self, place: &Place) -> Vec<(String, Vec<u8>)> {
        let log = format!("{:?}", place.get::<One>().azure.log());
        vec![("the addresses of the requests".to_owned(), log.into_bytes())]
    }
}

fn passes(uri: &'static str) {
    conformance(&Vaults { uri });
}

#[test]
fn a_vault_passes_the_conformance_suite() {
    passes("azure:shop");
}

#[test]
fn a_part_of_a_vault_passes_the_conformance_suite() {
    passes("azure:shop/web-2");
}
