//! Stores as the program opens them: a provider in its layers, each kind on a server of its own.

use std::sync::Arc;
use std::time::Duration;

use secrets::layers::Layered;
use secrets::printer::{Color, Printer};
use secrets::surroundings::Surroundings;
use secrets_api::{Ctx, Name, Provider, SecretValue, StoreUri};
use secrets_testkit::opening::TestOpening;

/// Opens `uri` in layers that give each call `timeout`.
pub(crate) fn layered(opening: &TestOpening, uri: &str, timeout: Duration) -> Arc<dyn Provider> {
    let uri = StoreUri::parse(uri).unwrap();
    let entry = secrets::registry::find(uri.scheme()).unwrap();
    let provider = entry.open(&opening.opening(&uri)).unwrap();
    let surroundings = Surroundings::capture().unwrap();
    let printer = Printer::new(&surroundings, Color::Never, true, 0, false, true);
    Arc::new(Layered::new(provider, Arc::new(printer), timeout))
}

/// A new operation; the layers give each call its own time.
pub(crate) fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(600))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn value(text: &str) -> SecretValue {
    SecretValue::from_slice(text.as_bytes())
}
