//! What this process knows of what is there: the names that a list has shown, and the numbers of versions
//! that the service has acknowledged. "Adding a secret version and then immediately accessing that secret
//! version by version number is a strongly consistent operation", which asking for `latest` is not; so an
//! older `latest` is not believed.
//! <https://cloud.google.com/secret-manager/docs/reference/consistency>

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use secrets_api::Name;

/// The newest version of each secret that this process has made, and what the last list has shown.
#[derive(Default)]
pub(crate) struct Known(Mutex<Facts>);

#[derive(Default)]
struct Facts {
    made: HashMap<Name, u64>,
    listed: Option<HashSet<Name>>,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Facts> {
        // A panic while it was held left it whole: each entry is set in one step.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A version was made.
    pub(crate) fn made(&self, name: &Name, number: u64) {
        let mut facts = self.lock();
        let newest = facts.made.entry(name.clone()).or_default();
        *newest = number.max(*newest);
    }

    /// These are all the secrets there are, says the service.
    pub(crate) fn listed<'a>(&self, names: impl Iterator<Item = &'a Name>) {
        self.lock().listed = Some(names.cloned().collect());
    }

    /// Whether there most likely is no such secret: a list did not show it, and nothing was added since.
    pub(crate) fn is_new(&self, name: &Name) -> bool {
        let facts = self.lock();
        let listed = facts.listed.as_ref();
        listed.is_some_and(|names| !names.contains(name)) && !facts.made.contains_key(name)
    }

    /// The version that is known to be there, if it is later than `told`, which the service says is the
    /// newest (0 for none).
    pub(crate) fn later_than(&self, name: &Name, told: u64) -> Option<u64> {
        let facts = self.lock();
        let made = facts.made.get(name).copied();
        made.filter(|made| *made > told)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn only_a_later_version_is_known_better() {
        let (a, b) = (Name::new("A").unwrap(), Name::new("B").unwrap());
        let known = Known::default();
        known.made(&a, 7);
        known.made(&a, 5);
        assert_eq!(known.later_than(&a, 0), Some(7));
        assert_eq!(known.later_than(&a, 6), Some(7));
        assert_eq!(known.later_than(&a, 7), None);
        assert_eq!(known.later_than(&a, 8), None);
        assert_eq!(known.later_than(&b, 0), None);
    }

    #[test]
    fn a_name_is_new_where_a_list_did_not_show_it_and_nothing_was_added() {
        let (a, b) = (Name::new("A").unwrap(), Name::new("B").unwrap());
        let known = Known::default();
        assert!(!known.is_new(&a));
        known.listed([&a].into_iter());
        assert!(!known.is_new(&a));
        assert!(known.is_new(&b));
        known.made(&b, 1);
        assert!(!known.is_new(&b));
    }
}
