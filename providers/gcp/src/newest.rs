//! What this process knows to be there: numbers of versions the service has acknowledged. "Adding a secret
//! version and then immediately accessing that secret version by version number is a strongly consistent
//! operation", which asking for `latest` is not; so an older `latest` is not believed.
//! <https://cloud.google.com/secret-manager/docs/reference/consistency>

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrets_api::Name;

/// The newest version of each secret that this process has made.
#[derive(Default)]
pub(crate) struct Newest(Mutex<HashMap<Name, u64>>);

impl Newest {
    fn lock(&self) -> MutexGuard<'_, HashMap<Name, u64>> {
        // A panic while it was held left a whole map: each entry is set in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version was made.
    pub(crate) fn made(&self, name: &Name, number: u64) {
        let mut known = self.lock();
        let newest = known.entry(name.clone()).or_default();
        *newest = number.max(*newest);
    }

    /// The version that is known to be there, if it is later than `told`, which the service says is the
    /// newest (0 for none).
    pub(crate) fn later_than(&self, name: &Name, told: u64) -> Option<u64> {
        self.lock().get(name).copied().filter(|known| *known > told)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_a_later_version_is_known_better() {
        let (a, b) = (Name::new("A").unwrap(), Name::new("B").unwrap());
        let newest = Newest::default();
        newest.made(&a, 7);
        newest.made(&a, 5);
        assert_eq!(newest.later_than(&a, 0), Some(7));
        assert_eq!(newest.later_than(&a, 6), Some(7));
        assert_eq!(newest.later_than(&a, 7), None);
        assert_eq!(newest.later_than(&a, 8), None);
        assert_eq!(newest.later_than(&b, 0), None);
    }
}
