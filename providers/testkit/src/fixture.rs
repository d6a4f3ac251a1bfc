//! How the suite gets at stores: places, and handles on them.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrets_api::{Change, Ctx, Name, Op, Precondition, Provider, Result, SecretValue};

/// One empty place that stores can be opened on: a temporary folder, a service name. Whatever the
/// fixture keeps in it lives until the last clone is dropped.
#[derive(Clone)]
pub struct Place(Arc<dyn Any + Send + Sync>);

impl Place {
    /// Keeps what the fixture needs to open a store here.
    pub fn new(state: impl Any + Send + Sync) -> Self {
        Self(Arc::new(state))
    }

    /// What the fixture kept.
    ///
    /// # Panics
    /// If something of another type was kept: the place is another fixture's.
    pub fn get<T: Any + Send + Sync>(&self) -> &T {
        self.0
            .downcast_ref()
            .expect("a place is opened by the fixture that made it")
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Place")
    }
}

/// What a provider's test supplies.
pub trait Fixture: Send + Sync {
    /// A new, empty place.
    fn fresh(&self) -> Place;

    /// A handle on it, as another process would have one. Called several times a place, and from
    /// several threads.
    fn open(&self, place: &Place) -> Arc<dyn Provider>;

    /// Puts values there by other means than the provider: for stores that are read-only. Whether
    /// it was done.
    fn seed(&self, _place: &Place, _items: &[(&str, &[u8])]) -> bool {
        false
    }

    /// Whether this place cannot hold a value that its capabilities allow: a `.env` dialect without
    /// a way to write a line break. Such a value must be refused as `Unsupported`, before any I/O.
    fn refuses(&self, _value: &[u8]) -> bool {
        false
    }

    /// Where else a value could have leaked to, as (label, content): log output, files beside the
    /// target. The store itself is not among them, unless it encrypts.
    fn leaks(&self, _place: &Place) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
}

/// Puts values there through a handle that writes: for a [`Fixture::seed`] of a store that has
/// both kinds of handle.
///
/// # Errors
/// What the store answers.
///
/// # Panics
/// If a name is no [`Name`].
pub async fn seed_through(store: &dyn Provider, items: &[(&str, &[u8])]) -> Result<()> {
    for (name, bytes) in items {
        let name = Name::new(name).expect("the suite's own names are names");
        let change = Change {
            name: &name,
            op: Op::Put(&SecretValue::from_slice(bytes)),
            when: Precondition::Unguarded,
        };
        let cx = Ctx::within(Duration::from_secs(60));
        for item in store.write(&cx, None, &[change]).await?.items {
            item?;
        }
    }
    Ok(())
}
