//! What every provider has to pass.
#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;

use secrets_api::{Provider, StoreUri};
use secrets_local::{Folder, Identity};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::{Fixture, Place, conformance};

struct Project;

impl Fixture for Project {
    fn fresh(&self) -> Place {
        let opening = TestOpening::new().with_identity(Identity::generate().to_secret().expose());
        Folder::new(&opening.root, &opening.dirs, Arc::clone(&opening.identity))
            .init("ada", None)
            .unwrap();
        Place::new(opening)
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let uri = StoreUri::parse("local:").unwrap();
        secrets_local::open(&place.get::<TestOpening>().opening(&uri)).unwrap()
    }

    /// The store encrypts: no file of the project or the state may show a value.
    fn leaks(&self, place: &Place) -> Vec<(String, Vec<u8>)> {
        let opening = place.get::<TestOpening>();
        let folders = [
            opening.root.join(".secrets"),
            opening.dirs.state.join("local"),
        ];
        let files = folders
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
        files
            .map(|f| {
                (
                    f.path().display().to_string(),
                    std::fs::read(f.path()).unwrap_or_default(),
                )
            })
            .collect()
    }
}

#[test]
fn the_local_store_passes_the_conformance_suite() {
    conformance(&Project);
}
