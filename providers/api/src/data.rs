//! The data that crosses the trait: what is asked, what is found, what is to change, what became
//! of it. Absence is data, never an error: a difference needs it.

use std::fmt;
use std::time::Duration;

use crate::{Name, Result, SecretValue, Timestamp};

macro_rules! opaque {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Takes over the store's own word.
            pub fn new(text: impl Into<Box<str>>) -> Self {
                Self(text.into())
            }

            /// The store's own word.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

opaque! {
    /// A store's name for one state of a secret. Opaque. Where a store has none of its own: a
    /// random id kept with the value, or a MAC under a local key; never a plain hash of a value.
    Version
}
opaque! {
    /// A store's name for one state of a whole document: a Vault path, a file.
    Revision
}
opaque! {
    /// Where a poll left off.
    Cursor
}

/// The label, among [`Meta::tags`] of a history, that names a revision of the document which held the
/// state: in stores whose versions cannot tell a value that was put back.
pub const REVISION: &str = "revision";

/// The label, among [`Meta::tags`] of a derived value, that names a secret of the same store which the value
/// is computed from.
pub const REFERS: &str = "refers";

/// Which secrets a read is about.
#[derive(Debug, Clone, Copy)]
pub enum Select<'a> {
    /// All there are: no list is needed before a read.
    All,
    /// These, answered in this order and number.
    Names(&'a [Name]),
}

/// What is known of a secret beside its value. All of it may be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// The store's name for this state; `None` where only a read can tell (a list fetches no
    /// value).
    pub version: Option<Version>,
    /// When this state was written.
    pub modified: Option<Timestamp>,
    /// Who wrote it, as far as the store knows.
    pub author: Option<String>,
    /// Whether this state is a deletion: only in histories.
    pub deleted: bool,
    /// Whether the value is computed from others (an interpolated line of a `.env` file): to be
    /// read, not written.
    pub derived: bool,
    /// The store's own labels.
    pub tags: Vec<(String, String)>,
}

/// A value and what is known of it.
#[derive(Debug)]
pub struct Stored {
    /// The value.
    pub value: SecretValue,
    /// What is known of it.
    pub meta: Meta,
}

/// What a read found under one name.
#[derive(Debug)]
pub enum Lookup {
    /// A value.
    Found(Stored),
    /// Nothing, and as far as the store can tell there never was.
    Absent,
    /// Nothing any more.
    Deleted {
        /// Until when it can be brought back; `None` where the store sets no end.
        recoverable_until: Option<Timestamp>,
        /// The deletion's own version: a precondition can name it.
        version: Option<Version>,
    },
}

impl Lookup {
    /// The value, where there is one.
    pub fn found(&self) -> Option<&Stored> {
        match self {
            Self::Found(stored) => Some(stored),
            Self::Absent | Self::Deleted { .. } => None,
        }
    }

    /// The value, where there is one.
    pub fn into_found(self) -> Option<Stored> {
        match self {
            Self::Found(stored) => Some(stored),
            Self::Absent | Self::Deleted { .. } => None,
        }
    }
}

/// What a read found.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The state of the whole document, in stores whose unit is one.
    pub revision: Option<Revision>,
    /// For `Select::Names`: one answer a name, in the order asked. For `Select::All`: all that
    /// are found, in the store's order; never an `Absent`.
    pub items: Vec<(Name, Result<Lookup>)>,
    /// Entries of the store whose names are no [`Name`]. They are kept by every write.
    pub foreign: Vec<String>,
    /// Whether there is no document at all: a file that is not there, rather than an empty one.
    /// Never so in stores of single secrets.
    pub missing: bool,
    /// For `Select::All`: whether what is deleted is among the items, so that a name which is not
    /// there never was. Where it is not, only `Select::Names` tells.
    pub deletions: bool,
    /// Whose the store is, where each of its answers says so: an account and a region. The same address is
    /// another store in another one's.
    pub owner: Option<String>,
}

/// What to do to one secret.
#[derive(Debug, Clone, Copy)]
pub enum Op<'a> {
    /// Store this value.
    Put(&'a SecretValue),
    /// Remove it. Removing what is not there is no error.
    Delete,
    /// Bring back what was deleted.
    Restore,
}

/// What must still be so for a change to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Precondition {
    /// There is no value under this name (never was, or deleted).
    Absent,
    /// The present state is this one.
    Version(Version),
    /// Whatever is there: always spelled out, never a default.
    Unguarded,
}

/// One intended change.
#[derive(Debug, Clone)]
pub struct Change<'a> {
    /// Which secret.
    pub name: &'a Name,
    /// What to do to it.
    pub op: Op<'a>,
    /// What must still be so.
    pub when: Precondition,
}

/// What became of a batch.
#[derive(Debug)]
pub struct Written {
    /// The document's new state, in stores whose unit is one.
    pub revision: Option<Revision>,
    /// One answer a change, in the order given: the new version (`None` after a deletion, or
    /// where the store does not tell).
    pub items: Vec<Result<Option<Version>>>,
}

/// A lease: what was issued, until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The store's name for it.
    pub id: String,
    /// How long it lasts from now.
    pub lasts: Duration,
    /// Whether it can be renewed.
    pub renewable: bool,
}

/// Credentials that were issued, under their lease.
#[derive(Debug)]
pub struct Leased {
    /// The lease.
    pub lease: Lease,
    /// What was issued, by name.
    pub items: Vec<(Name, SecretValue)>,
}

/// What a poll found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Poll {
    /// Whether anything may have changed since the cursor.
    pub changed: bool,
    /// Where to go on from.
    pub cursor: Cursor,
}

/// What `doctor` and a preflight are told about a store: never a value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Who we are to the store.
    pub identity: Option<String>,
    /// Facts for a person, as (label, text): `("file", "/srv/shop/.env, 0600")`.
    pub facts: Vec<(String, String)>,
    /// What is wrong, each with a hint of what to type.
    pub problems: Vec<(String, Option<String>)>,
}
