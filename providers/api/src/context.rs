//! What every call carries: which operation it belongs to, and until when it may run.

use std::fmt;
use std::time::{Duration, Instant};

use rand::TryRng as _;

/// The idempotency token of one intended change: drawn once, kept on a retry, stored before it is
/// sent. 128 random bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct OperationId([u8; 16]);

impl OperationId {
    /// A fresh one, from the operating system's entropy.
    ///
    /// # Panics
    /// If the operating system has no entropy to give: nothing sensible can go on then.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        rand::rngs::SysRng
            .try_fill_bytes(&mut bytes)
            .expect("the operating system gives entropy");
        Self(bytes)
    }

    /// One with the given bits: for journals that stored it, and for tests.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bits.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperationId({self})")
    }
}

/// The context of one call.
#[derive(Debug, Clone, Copy)]
pub struct Ctx {
    /// The idempotency token.
    pub operation: OperationId,
    /// When the caller stops waiting.
    pub deadline: Instant,
}

impl Ctx {
    /// A new operation that may take `timeout`.
    pub fn within(timeout: Duration) -> Self {
        Self {
            operation: OperationId::random(),
            deadline: Instant::now() + timeout,
        }
    }

    /// What is left of the time; zero when it is over.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}
