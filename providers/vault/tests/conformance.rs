//! Both layouts and both versions pass the suite, on a real OpenBao.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrets_api::{Provider, StoreUri};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::OpenBao;
use secrets_testkit::{Fixture, Place, conformance};
use serde_json::json;

/// A path of its own for each place, on one server.
struct AtOpenBao {
    server: OpenBao,
    mount: &'static str,
    options: &'static str,
    places: AtomicUsize,
}

impl AtOpenBao {
    fn new(mount: &'static str, options: &'static str) -> Self {
        let server = OpenBao::start();
        if mount == "one" {
            let engine = json!({ "type": "kv", "options": { "version": "1" } });
            server.admin().ok("POST", "sys/mounts/one", &engine);
        }
        Self {
            server,
            mount,
            options,
            places: AtomicUsize::new(0),
        }
    }
}

impl Fixture for AtOpenBao {
    fn fresh(&self) -> Place {
        let n = self.places.fetch_add(1, Ordering::Relaxed);
        let uri = format!("vault:{}/shop/place-{n}{}", self.mount, self.options);
        let opening = TestOpening::new().with_variables([
            ("BAO_ADDR", self.server.address()),
            ("BAO_TOKEN", "root-token-of-the-tests"),
        ]);
        Place::new((opening, StoreUri::parse(&uri).unwrap()))
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let (opening, uri) = place.get::<(TestOpening, StoreUri)>();
        secrets_vault::open(&opening.opening(uri)).unwrap()
    }
}

#[test]
fn one_document_passes_the_conformance_suite() {
    conformance(&AtOpenBao::new("secret", ""));
}

#[test]
fn one_secret_a_path_passes_the_conformance_suite() {
    conformance(&AtOpenBao::new("secret", "?layout=each"));
}

#[test]
fn one_document_of_version_1_passes_the_conformance_suite() {
    conformance(&AtOpenBao::new("one", "?kv=1"));
}

#[test]
fn one_secret_a_path_of_version_1_passes_the_conformance_suite() {
    conformance(&AtOpenBao::new("one", "?kv=1&layout=each"));
}
