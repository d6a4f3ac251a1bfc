//! Both layouts pass the suite, against a real moto server.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;

use secrets_api::{Provider, StoreUri};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::{Fixture, Place, conformance};
use support::{Moto, fresh, opening};

/// A secret, or a prefix, of its own a place.
struct Aws {
    moto: Moto,
    options: &'static str,
}

impl Fixture for Aws {
    fn fresh(&self) -> Place {
        let uri = format!("aws:{}/production{}", fresh("shop"), self.options);
        let uri = StoreUri::parse(&uri).unwrap();
        Place::new((opening(&self.moto.url()), uri))
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let (opening, uri) = place.get::<(TestOpening, StoreUri)>();
        secrets_aws::open(&opening.opening(uri)).unwrap()
    }

    fn leaks(&self, _place: &Place) -> Vec<(String, Vec<u8>)> {
        vec![("the server's log".to_owned(), self.moto.log())]
    }
}

fn passes(options: &'static str) {
    conformance(&Aws {
        moto: Moto::start(),
        options,
    });
}

#[test]
fn a_document_passes_the_conformance_suite() {
    passes("");
}

#[test]
fn single_secrets_pass_the_conformance_suite() {
    passes("?layout=each");
}
