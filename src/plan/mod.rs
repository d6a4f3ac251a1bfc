//! What a sync would do, as pure data: two observations and what both held at the last agreement in, a
//! plan out. No I/O, no clock, no value: what is compared are fingerprints.
//!
//! | since the last agreement | plan |
//! | --- | --- |
//! | unchanged in both | nothing |
//! | changed in one, untouched in the other | copy to the other |
//! | changed in both, to the same | agree |
//! | changed in both, differently | conflict |
//! | deleted in both | forget |
//! | deleted in one, untouched in the other | delete there if asked, else pending |
//! | deleted in one, changed or touched in the other | conflict |
//! | to be deleted, and gone from one together with all there was | as if never agreed, unless all are named |
//! | never agreed, equal | agree |
//! | never agreed, different, or a deletion on one side | conflict |
//! | never agreed, on one side only | copy, marked as first |
//! | unreadable on one side | unknown: nothing |
//! | gone, and the layer that supplied it is not there | unknown: nothing |
//!
//! A version that moved while the value came back is *touched*: somebody put an old value back, on
//! purpose, and what the other side has changed since must not be copied over it unasked.
//!
//! A line that is put together from others is no write target. While one of those is about to be
//! written it waits: what it says then is seen in the next look.

mod emptied;
mod follow;
mod layers;
mod merge;
mod rules;

#[cfg(test)]
mod laws;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use secrets_api::{Name, Timestamp, Version};
use subtle::ConstantTimeEq as _;

pub use merge::{merge, plan};
pub use rules::{Choice, Direction, Keep, Rules};

/// One of the two stores of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Side {
    /// The one named first; of a mirror, the source.
    Left,
    /// The one named second; of a mirror, the mirror.
    Right,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// The opposite one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }

    /// `left` or `right`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }
}

/// One thing for each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sides<T> {
    /// The left one's.
    pub left: T,
    /// The right one's.
    pub right: T,
}

impl<T> Sides<T> {
    /// One side's.
    pub fn of(&self, side: Side) -> &T {
        match side {
            Side::Left => &self.left,
            Side::Right => &self.right,
        }
    }

    /// One side's, to be changed.
    pub fn of_mut(&mut self, side: Side) -> &mut T {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    /// The same with the sides exchanged.
    #[must_use]
    pub fn swapped(self) -> Self {
        Self {
            left: self.right,
            right: self.left,
        }
    }
}

/// A keyed MAC of a value under this machine's key: says whether two values are the same, and
/// nothing else. Compared in constant time.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// From the MAC's bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The MAC's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Its first eight hexadecimal digits, for people.
    pub fn short(&self) -> String {
        self.0[..4].iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Fingerprint {}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({}…)", self.short())
    }
}

/// A value that is there, as far as a plan needs to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// What tells the value from others.
    pub fingerprint: Fingerprint,
    /// The store's name for the state; `None` where it does not tell.
    pub version: Option<Version>,
    /// When it was written, as far as the store knows.
    pub modified: Option<Timestamp>,
    /// Whether it is put together from others: read, and not written unless asked for by name.
    pub derived: bool,
    /// The names it is put together from, in the layer that supplies it.
    pub refers: Vec<Name>,
    /// The layer that supplies it, by its place among those of its side.
    pub layer: usize,
}

/// What was seen under one name on one side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// A value.
    Present(Present),
    /// Nothing, and nothing is known to have been there.
    Absent,
    /// Nothing any more: the store remembers a deletion.
    Deleted,
    /// It may be there and cannot be read; why. Never taken for a deletion.
    Unknown(String),
}

impl Seen {
    /// The value, where there is one.
    pub fn present(&self) -> Option<&Present> {
        match self {
            Self::Present(present) => Some(present),
            _ => None,
        }
    }

    /// The value's fingerprint, where there is one.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.present().map(|present| present.fingerprint)
    }

    /// Whether there is certainly no value.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Absent | Self::Deleted)
    }
}

/// What was seen of one side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observation {
    /// By name; a name that is not here is absent.
    pub names: BTreeMap<Name, Seen>,
    /// There is no document at all: a file that is not there. That is no deletion of each of its
    /// names: it is planned as if the two had never agreed.
    pub missing: bool,
    /// The layers that are not there, by their places, with what they are called. What such a layer
    /// has supplied is not known to be deleted.
    pub lacking: BTreeMap<usize, String>,
    /// The layer that new names go to, if any can be written.
    pub home: Option<usize>,
}

impl Observation {
    /// What was seen under this name.
    pub fn look(&self, name: &Name) -> &Seen {
        self.names.get(name).unwrap_or(&Seen::Absent)
    }
}

/// What both sides held when they last agreed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agreed {
    /// The value's fingerprint.
    pub fingerprint: Fingerprint,
    /// Each side's version of it; `None` where the store told none.
    pub versions: Sides<Option<Version>>,
    /// The layer that supplied it on each side; `None` where that was not noted.
    pub layers: Sides<Option<usize>>,
}

impl Agreed {
    /// What two sides agree on that hold the same value.
    pub fn of(left: &Present, right: &Present) -> Self {
        Self {
            fingerprint: left.fingerprint,
            versions: Sides {
                left: left.version.clone(),
                right: right.version.clone(),
            },
            layers: Sides {
                left: Some(left.layer),
                right: Some(right.layer),
            },
        }
    }
}

/// A write that was about to be made when this was noted, and of which nothing was noted since: the
/// run was cut off, or never heard the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intent {
    /// The side that was to be written.
    pub to: Side,
}

/// What is remembered of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    /// The last agreement, if there was one.
    pub agreed: Option<Agreed>,
    /// A write that may have happened since.
    pub intent: Option<Intent>,
}

/// What is remembered of two stores. Empty where nothing is: the first time, on another machine, or
/// where it was lost.
pub type Base = BTreeMap<Name, Memory>;

/// Why a name cannot be decided without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Changed in both since they agreed, differently.
    BothChanged,
    /// They never agreed on it, and it differs.
    NeverAgreed,
    /// An old value was put back on this side, and the other changed.
    PutBack(Side),
    /// Deleted on this side, and changed or put back on the other.
    DeletedAndChanged(Side),
    /// They never agreed on it; this side remembers that it was deleted.
    Tombstone(Side),
    /// Changed on the side that a push or pull copies to.
    TargetChanged(Side),
    /// Deleted on the side that a push or pull copies to.
    TargetDeleted(Side),
    /// It would be written on this side, where it is put together from other lines.
    Derived(Side),
}

/// What is to be done about one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing: as agreed before.
    Same,
    /// Nothing to write: both hold the same, which is to be remembered.
    Agree,
    /// Gone from both: nothing to remember any more.
    Forget,
    /// Write it where it is not.
    Create {
        /// Where.
        to: Side,
        /// Whether the two have never agreed on it.
        first: bool,
    },
    /// Write it where another value is.
    Change {
        /// Where.
        to: Side,
    },
    /// Remove it.
    Delete {
        /// Where.
        to: Side,
    },
    /// It would be removed there if deletions were asked for.
    Pending {
        /// Where.
        to: Side,
    },
    /// It is on this side only, and is not copied from there in this direction.
    Extra {
        /// Where it is.
        on: Side,
    },
    /// A person chose to leave it as it is.
    Skipped,
    /// A person has to decide.
    Conflict(Why),
    /// It is put together from other lines on this side, one of which is about to be written: what it
    /// says then is compared anew.
    Waiting {
        /// Where.
        on: Side,
    },
    /// It cannot be read on this side.
    Unknown {
        /// Where.
        on: Side,
    },
}

impl Action {
    /// The side that is written, if one is.
    pub fn target(&self) -> Option<Side> {
        match self {
            Self::Create { to, .. } | Self::Change { to } | Self::Delete { to } => Some(*to),
            _ => None,
        }
    }

    /// Whether the two sides hold the same.
    pub fn is_in_step(&self) -> bool {
        matches!(self, Self::Same | Self::Agree | Self::Forget)
    }

    /// The word for it in reports that programs read.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Same | Self::Agree => "same",
            Self::Forget => "forget",
            Self::Create { .. } => "create",
            Self::Change { .. } => "change",
            Self::Delete { .. } => "delete",
            Self::Pending { .. } => "pending",
            Self::Extra { .. } => "extra",
            Self::Skipped => "skipped",
            Self::Conflict(_) => "conflict",
            Self::Waiting { .. } => "waiting",
            Self::Unknown { .. } => "unknown",
        }
    }
}

/// What is to be done about one name, and what that was decided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The name.
    pub name: Name,
    /// What is to be done.
    pub action: Action,
    /// What was seen.
    pub seen: Sides<Seen>,
    /// What both held when they last agreed.
    pub agreed: Option<Fingerprint>,
}

impl Step {
    /// What a person is shown of it: their choice holds as long as that is there.
    pub fn shown(&self) -> Sides<Option<Fingerprint>> {
        let Sides { left, right } = &self.seen;
        rules::shown(Sides { left, right })
    }
}

/// What a sync would do. Printable: holds no value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// One step a name, by name.
    pub steps: Vec<Step>,
    /// The names that would be deleted, but are gone from a side which holds nothing any more: planned as if
    /// never agreed on.
    pub emptied: Sides<BTreeSet<Name>>,
}

impl Plan {
    /// The steps that write.
    pub fn writes(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|s| s.action.target().is_some())
    }

    /// The steps that a person has to decide.
    pub fn conflicts(&self) -> impl Iterator<Item = &Step> {
        let conflicts = |s: &&Step| matches!(s.action, Action::Conflict(_));
        self.steps.iter().filter(conflicts)
    }

    /// Whether both sides hold the same under every name, as far as they can be read.
    pub fn is_in_step(&self) -> bool {
        self.steps.iter().all(|s| s.action.is_in_step())
    }

    /// How many steps are of this kind.
    pub fn count(&self, of: impl Fn(&Action) -> bool) -> usize {
        self.steps.iter().filter(|s| of(&s.action)).count()
    }
}
