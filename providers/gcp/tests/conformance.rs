//! The provider passes the suite over a fake of the service, through Google's own client library: in a
//! whole project, below a prefix, and in one region.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use secrets_api::Provider;
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::{Fixture, Place, conformance};

/// One fake serves all: each place is a project of its own.
static FAKE: LazyLock<Gcp> = LazyLock::new(Gcp::plain);
static PROJECTS: AtomicUsize = AtomicUsize::new(0);

/// What comes after the project in a store's address.
struct At(&'static str);

impl Fixture for At {
    fn fresh(&self) -> Place {
        let n = PROJECTS.fetch_add(1, Ordering::Relaxed);
        Place::new(format!("gcp:conformance-{n}{}", self.0))
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        support::open_at(&FAKE, place.get::<String>())
    }

    fn refuses(&self, value: &[u8]) -> bool {
        value.is_empty()
    }

    fn leaks(&self, place: &Place) -> Vec<(String, Vec<u8>)> {
        let uri = place.get::<String>();
        let project = uri
            .strip_prefix("gcp:")
            .and_then(|rest| rest.strip_suffix(self.0));
        let project = project.unwrap();
        let here = format!("/projects/{project}/");
        let log = FAKE.server().log();
        let mut targets = String::new();
        for seen in log.iter().filter(|seen| seen.target.contains(&here)) {
            targets.push_str(&seen.target);
            targets.push('\n');
        }
        vec![("the addresses of requests".to_owned(), targets.into_bytes())]
    }
}

#[test]
fn a_whole_project_passes_the_conformance_suite() {
    conformance(&At(""));
}

#[test]
fn a_prefix_passes_the_conformance_suite() {
    conformance(&At("/django"));
}

#[test]
fn a_region_passes_the_conformance_suite() {
    conformance(&At("/django?location=europe-west3&labels=team:shop"));
}
