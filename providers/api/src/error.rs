//! The errors a provider may answer with: a kind a program can act on, a sentence a person can.

use std::fmt;
use std::time::Duration;

use crate::Name;

/// The result of everything a provider does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure it was. Retrying, exit codes and hints hang on this, never on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// What was configured makes no sense: a malformed address, a path that is a directory.
    InvalidConfig,
    /// It needs a person's word first: a changed manifest, an unknown signer, an older generation.
    Untrusted,
    /// Nobody is logged in: no identity, an expired token, a locked keyring.
    Unauthenticated,
    /// Somebody is logged in and may not do this.
    PermissionDenied,
    /// What was there is not what the caller had seen: the precondition does not hold.
    Conflict,
    /// The store cannot do this, ever: binary values in a text file, history where none is kept.
    Unsupported,
    /// The store asks to be called less often.
    RateLimited,
    /// The store cannot be reached, or is not ready.
    Unavailable,
    /// A write was sent and its answer lost: it may or may not have happened.
    OutcomeUnknown,
    /// What the store holds cannot be understood: a broken file, an altered document.
    InvalidData,
    /// Anything else: a defect, a full disk, an answer outside the protocol.
    Unexpected,
}

/// A failure, with the kind it is of, one line for a person, and a hint of what to type.
///
/// Neither message, hint nor source may ever hold a value: the conformance suite searches for one.
#[derive(Debug)]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    excerpt: Option<String>,
    store: Option<String>,
    name: Option<Name>,
    retry_after: Option<Duration>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind`. `message` is lower-case, without a full stop, and says what failed.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            hint: None,
            excerpt: None,
            store: None,
            name: None,
            retry_after: None,
            source: None,
        }))
    }

    /// Says it in other words: for what stands between a store and a person.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Adds what to type next; an earlier hint is replaced.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the place in a text: lines to be shown below the message, what may be a value masked.
    #[must_use]
    pub fn with_excerpt(mut self, excerpt: impl Into<String>) -> Self {
        self.0.excerpt = Some(excerpt.into());
        self
    }

    /// Says at which store it failed; the first to say so wins, being nearest to the failure.
    #[must_use]
    pub fn at_store(mut self, store: impl fmt::Display) -> Self {
        self.0.store.get_or_insert_with(|| store.to_string());
        self
    }

    /// Says which secret it is about.
    #[must_use]
    pub fn about(mut self, name: &Name) -> Self {
        self.0.name = Some(name.clone());
        self
    }

    /// How long the store asked to be left alone. Only for an answer of the store's own: it says that the
    /// call had no effect.
    #[must_use]
    pub fn with_retry_after(mut self, wait: Duration) -> Self {
        self.0.retry_after = Some(wait);
        self
    }

    /// Keeps the cause. Only causes that cannot hold a value may be kept.
    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The place in a text, as lines to be shown.
    pub fn excerpt(&self) -> Option<&str> {
        self.0.excerpt.as_deref()
    }

    /// What kind of failure it was.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What failed, in one line, without the store.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What to type next.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Where it failed.
    pub fn store(&self) -> Option<&str> {
        self.0.store.as_deref()
    }

    /// Which secret it is about.
    pub fn name(&self) -> Option<&Name> {
        self.0.name.as_ref()
    }

    /// How long the store asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What the store cannot do.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// Somebody else wrote `name` since it was read.
    pub fn conflict(name: &Name) -> Self {
        Self::new(
            ErrorKind::Conflict,
            format!("{name} was changed by someone else"),
        )
        .about(name)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(store) = &self.0.store {
            write!(f, "{store}: ")?;
        }
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|e| e as _)
    }
}
