//! How the program ends: the exit codes, and the failure that carries one.

use std::fmt;

use secrets_api::{Error, ErrorKind, Name};

/// The exit codes of every verb but `exec` (which keeps 125, 126 and 127 for itself and is else
/// the child's own). `docs/exit-codes.md` is generated from this table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed for a reason that has no code of its own.
    Failed = 1,
    /// The command line, the manifest or a store's address makes no sense.
    Usage = 2,
    /// A secret, version or environment is not there, or a required one is missing.
    NotFound = 3,
    /// Not logged in, not permitted, or not trusted.
    Denied = 4,
    /// Someone else changed it meanwhile, or two sides differ.
    Conflict = 5,
    /// A store cannot be reached, or asks to be called less often.
    Unavailable = 6,
    /// Drift, or findings of a check.
    Findings = 7,
    /// Partly done; the printed command resumes.
    Partly = 8,
    /// `exec`: failed before the command was started.
    ExecFailed = 125,
    /// `exec`: the command is there and cannot be executed.
    NotExecutable = 126,
    /// `exec`: the command is not there.
    CommandNotFound = 127,
}

impl Exit {
    /// All of them, with what each means, for the documentation.
    pub const TABLE: &'static [(Self, &'static str)] = &[
        (Self::Done, "done"),
        (Self::Failed, "failed"),
        (
            Self::Usage,
            "wrong usage: the command line, the manifest or a store's address; a question that nobody is there to answer (`--yes`)",
        ),
        (Self::NotFound, "not found, or a required secret is missing"),
        (
            Self::Denied,
            "not authenticated, not permitted, or not trusted",
        ),
        (
            Self::Conflict,
            "conflict: changed by someone else meanwhile",
        ),
        (Self::Unavailable, "a store is unavailable"),
        (Self::Findings, "drift, or findings of a check"),
        (Self::Partly, "partly done; the printed command resumes"),
        (
            Self::ExecFailed,
            "exec: failed before the command was started",
        ),
        (Self::NotExecutable, "exec: the command cannot be executed"),
        (Self::CommandNotFound, "exec: the command was not found"),
    ];

    /// The code of the same failure in `exec`, which keeps 125 for all its own.
    #[must_use]
    pub fn of_exec(self) -> Self {
        match self {
            Self::NotExecutable | Self::CommandNotFound => self,
            _ => Self::ExecFailed,
        }
    }

    fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::InvalidConfig => Self::Usage,
            ErrorKind::Untrusted | ErrorKind::Unauthenticated | ErrorKind::PermissionDenied => {
                Self::Denied
            }
            ErrorKind::Conflict => Self::Conflict,
            ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => {
                Self::Unavailable
            }
            ErrorKind::Unsupported | ErrorKind::InvalidData | ErrorKind::Unexpected => Self::Failed,
        }
    }
}

/// Why a verb did not do what it was asked: one line, one hint, one exit code. Never a value.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What failed: lower-case, no full stop. Empty: nothing is printed (a closed pipe).
    pub message: String,
    /// What to type.
    pub hint: Option<String>,
    /// The place in a text, as lines to be shown between the two.
    pub excerpt: Option<String>,
}

/// The result of a verb's parts.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// A failure with this exit code.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            excerpt: None,
        }
    }

    /// The command line makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// `name` is not in `place`.
    pub fn not_found(name: &Name, place: impl fmt::Display) -> Self {
        Self::new(Exit::NotFound, format!("{name} is not in {place}"))
    }

    /// Nobody reads our output any more: ends without a word.
    pub fn closed_pipe() -> Self {
        Self::new(Exit::Failed, String::new())
    }

    /// The same failure after a part was done (`verb`, such as "written"): said, with what to do
    /// about the rest.
    #[must_use]
    pub fn partly_if(self, done: bool, verb: &str, rest: &str) -> Self {
        if !done {
            return self;
        }
        Self::new(Exit::Partly, format!("partly {verb}: {}", self.message)).with_hint(rest)
    }

    /// Says what to type.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says what to type, if there is something to say.
    #[must_use]
    pub fn with_hint_opt(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let mut message = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            let text = next.to_string();
            if !message.contains(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            cause = next.source();
        }
        Self {
            exit: Exit::of(error.kind()),
            message,
            hint: error.hint().map(str::to_owned),
            excerpt: error.excerpt().map(str::to_owned),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
