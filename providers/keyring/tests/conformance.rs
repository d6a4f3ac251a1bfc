//! The keyring passes the suite, in a real gnome-keyring.
#![cfg(all(unix, not(target_os = "macos")))]
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrets_api::{Provider, StoreUri};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::{Fixture, Place, conformance};

/// A service of its own a place.
struct Keyring;

static PLACES: AtomicUsize = AtomicUsize::new(0);

impl Fixture for Keyring {
    fn fresh(&self) -> Place {
        let n = PLACES.fetch_add(1, Ordering::Relaxed);
        let uri = StoreUri::parse(&format!("keyring:conformance-{n}")).unwrap();
        Place::new((TestOpening::new(), uri))
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let (opening, uri) = place.get::<(TestOpening, StoreUri)>();
        secrets_keyring::open(&opening.opening(uri)).unwrap()
    }

    /// The keyring's files and its log: a value must be in none of them as it is.
    fn leaks(&self, _place: &Place) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        let mut folders = vec![std::path::PathBuf::from(
            std::env::var_os("KEYRING_FOLDER").unwrap(),
        )];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().flatten() {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    folders.push(entry.path());
                } else if kind.is_file() {
                    // The keyring replaces its files while we look.
                    if let Ok(content) = std::fs::read(entry.path()) {
                        files.push((entry.path().display().to_string(), content));
                    }
                }
            }
        }
        files
    }
}

#[test]
fn the_keyring_passes_the_conformance_suite() {
    support::under_keyring("the_keyring_passes_the_conformance_suite", &[], || {
        conformance(&Keyring);
    });
}
