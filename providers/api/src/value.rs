//! The one type a secret's bytes live in.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The bytes of one secret: wiped when dropped, never growing in place (which would leave copies
/// behind), and with no way to be printed, cloned, serialised or compared by accident.
///
/// ```
/// use secrets_api::SecretValue;
/// let value = SecretValue::from_slice(b"hunter2");
/// assert_eq!(format!("{value:?}"), "SecretValue(7 bytes)");
/// ```
///
/// It cannot be displayed:
/// ```compile_fail,E0277
/// let value = secrets_api::SecretValue::from_slice(b"hunter2");
/// println!("{value}");
/// ```
/// nor cloned:
/// ```compile_fail,E0599
/// let value = secrets_api::SecretValue::from_slice(b"hunter2");
/// let copy = value.clone();
/// ```
/// nor compared with `==`, which would take a time that depends on the content:
/// ```compile_fail,E0369
/// let value = secrets_api::SecretValue::from_slice(b"hunter2");
/// let same = value == secrets_api::SecretValue::from_slice(b"hunter2");
/// ```
/// nor serialised:
/// ```compile_fail,E0277
/// fn needs_serialize<T: serde::Serialize>(_: T) {}
/// needs_serialize(secrets_api::SecretValue::from_slice(b"hunter2"));
/// ```
pub struct SecretValue(Zeroizing<Box<[u8]>>);

impl SecretValue {
    /// Copies `bytes`. The caller remains responsible for wiping its own copy.
    pub fn from_slice(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(Box::from(bytes)))
    }

    /// Takes over `bytes`; where the vector holds spare capacity the bytes are moved to a block of
    /// their exact size and the vector is wiped.
    pub fn from_vec(mut bytes: Vec<u8>) -> Self {
        if bytes.len() == bytes.capacity() {
            return Self(Zeroizing::new(bytes.into_boxed_slice()));
        }
        let value = Self::from_slice(&bytes);
        bytes.zeroize();
        value
    }

    /// The bytes themselves. Every use of this call is a place where a secret could leak: it is
    /// the one word to search for in a review.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as UTF-8 text, or `None` where they are not text.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// A second copy, spelled out because each copy is one more place to wipe.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::from_slice(&self.0)
    }

    /// Whether both hold the same bytes, in a time that depends on the lengths alone.
    pub fn same_as(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes. An empty value is a value: it is not absence.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a NUL byte occurs: no process environment can hold it.
    pub fn has_nul(&self) -> bool {
        self.0.contains(&0)
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretValue({} bytes)", self.0.len())
    }
}

impl From<Zeroizing<Vec<u8>>> for SecretValue {
    fn from(mut bytes: Zeroizing<Vec<u8>>) -> Self {
        Self::from_vec(std::mem::take(&mut *bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_length_and_nothing_else() {
        let value = SecretValue::from_slice(b"canary");
        assert_eq!(
            format!("{value:?} {:?}", Some(&value)),
            "SecretValue(6 bytes) Some(SecretValue(6 bytes))"
        );
    }

    #[test]
    fn values_are_compared_by_content() {
        let a = SecretValue::from_slice(b"a");
        assert!(a.same_as(&a.duplicate()));
        assert!(!a.same_as(&SecretValue::from_slice(b"b")));
        assert!(!a.same_as(&SecretValue::from_slice(b"ab")));
    }

    #[test]
    fn spare_capacity_is_not_kept() {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(b"abc");
        assert_eq!(SecretValue::from_vec(bytes).expose(), b"abc");
    }
}
