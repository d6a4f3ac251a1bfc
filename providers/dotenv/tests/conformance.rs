//! What every provider has to pass.
#![allow(missing_docs)]

use std::sync::Arc;

use secrets_api::{Provider, StoreUri};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::{Fixture, Place, conformance};

struct Files;

impl Fixture for Files {
    fn fresh(&self) -> Place {
        Place::new(TestOpening::new())
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let uri = StoreUri::parse("dotenv:.env").expect("a store's address");
        secrets_dotenv::open(&place.get::<TestOpening>().opening(&uri)).expect("it opens")
    }
}

#[test]
fn a_dotenv_file_passes_the_conformance_suite() {
    conformance(&Files);
}
