//! What a store can do, as data. The conformance suite exercises all that is declared and shows
//! that all that is denied is refused.

/// The unit in which a store takes changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// All secrets live in one document (a file, a Vault path): a batch has one fate, and a
    /// stated base revision guards it as a whole.
    Document,
    /// Each secret is written by itself: each change of a batch has its own fate.
    Secret,
}

/// What the store itself enforces when a change states a precondition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guard {
    /// Nothing: every precondition but `Unguarded` is refused as `Unsupported`.
    None,
    /// Only that a name does not exist yet.
    CreateOnly,
    /// Preconditions hold against every writer that takes our lock; against others (a text
    /// editor) on a best-effort basis.
    Cooperative,
    /// The store compares and sets: preconditions hold against every writer.
    CompareAndSet,
}

/// Which values the store can hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Values {
    /// UTF-8 text without NUL.
    Utf8NoNul,
    /// UTF-8 text.
    Utf8,
    /// Any bytes.
    Bytes,
}

impl Values {
    /// Whether a value of these bytes can be held.
    pub fn holds(self, bytes: &[u8]) -> bool {
        match self {
            Self::Bytes => true,
            Self::Utf8 => std::str::from_utf8(bytes).is_ok(),
            Self::Utf8NoNul => !bytes.contains(&0) && std::str::from_utf8(bytes).is_ok(),
        }
    }

    /// The rule in words, for messages.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Bytes => "any bytes",
            Self::Utf8 => "UTF-8 text",
            Self::Utf8NoNul => "UTF-8 text without NUL",
        }
    }
}

/// Bounds of the store; what exceeds one is refused before the call, naming it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes in one value.
    pub value_bytes: Option<usize>,
    /// Most bytes in one name, where the store holds fewer than [`Name::MAX_BYTES`](crate::Name).
    pub name_bytes: Option<usize>,
    /// Most requests under way at once.
    pub concurrency: usize,
}

/// What one store can do. Plain data: asking for it probes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// The unit in which changes are taken.
    pub unit: Unit,
    /// What preconditions are worth.
    pub guard: Guard,
    /// Which values can be held.
    pub values: Values,
    /// Whether it takes changes at all.
    pub writable: bool,
    /// Whether earlier versions can be listed and read.
    pub history: bool,
    /// Whether the older states of one secret can be forgotten by themselves.
    pub prune: bool,
    /// Whether a deleted secret can be told from one that never was, and restored.
    pub restore: bool,
    /// Whether a write repeated with the same operation id takes effect once and is answered
    /// alike.
    pub idempotent: bool,
    /// Whether `poll` is cheaper than a read.
    pub cheap_poll: bool,
    /// Whether a version names the state: a value that is put back gets another one. Else it is a MAC
    /// of the value, which comes back with it.
    pub own_versions: bool,
    /// Bounds.
    pub limits: Limits,
}
