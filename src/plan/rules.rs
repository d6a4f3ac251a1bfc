//! How a plan is to be made: which way, who counts where two differ, whether deletions are passed on.

use std::collections::{BTreeMap, BTreeSet};

use secrets_api::Name;

use super::{Fingerprint, Seen, Side, Sides};

/// Which sides may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Both: `sync`.
    #[default]
    Both,
    /// This one only: `push` writes the right side, `pull` the left.
    To(Side),
}

impl Direction {
    /// Whether this side may be written.
    pub fn writes(self, side: Side) -> bool {
        match self {
            Self::Both => true,
            Self::To(to) => to == side,
        }
    }
}

/// What a person said about one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// This side's state counts, a deletion too.
    Side(Side),
    /// Both stay as they are.
    AsIs,
}

/// A person's choice. It holds for what they were shown: once either side has another value it is
/// none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// What was chosen.
    pub keep: Keep,
    /// What each side held then.
    pub shown: Sides<Option<Fingerprint>>,
}

/// How a plan is to be made.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Which sides may be written.
    pub direction: Direction,
    /// The side that counts where two differ and no rule decides.
    pub prefer: Option<Side>,
    /// What a person said about single names.
    pub choices: BTreeMap<Name, Choice>,
    /// Whether what was deleted on one side is deleted on the other.
    pub delete: bool,
    /// Names that a person has written out one by one. A side that holds nothing at all any more had them
    /// deleted only if all that it is missed for is among these.
    pub named: BTreeSet<Name>,
    /// Derived values that may be replaced by plain ones.
    pub flatten: BTreeSet<Name>,
}

impl Rules {
    /// What a person said about this name, if both sides still hold what was shown then.
    pub fn chosen(&self, name: &Name, seen: Sides<&Seen>) -> Option<Keep> {
        let choice = self.choices.get(name)?;
        (choice.shown == shown(seen)).then_some(choice.keep)
    }
}

/// What a person is shown of a name.
pub fn shown(seen: Sides<&Seen>) -> Sides<Option<Fingerprint>> {
    Sides {
        left: seen.left.fingerprint(),
        right: seen.right.fingerprint(),
    }
}
