//! Names of secrets.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// The name of a secret: `[A-Za-z_][A-Za-z0-9_]*`, at most 255 bytes.
///
/// This is the form of a portable environment variable name (POSIX.1-2024, 8.1 and 3.216 "Name");
/// the length is the least that any supported store's own limit allows a name to be long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InvalidName {
    /// It has no character.
    Empty,
    /// It has more than [`Name::MAX_BYTES`] bytes.
    TooLong,
    /// It starts with a digit.
    StartsWithDigit,
    /// It holds this character.
    Character(char),
}

impl Name {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// Checks `text`.
    ///
    /// # Errors
    /// [`InvalidName`] says which rule of the form it breaks.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        let first = text.bytes().next().ok_or(InvalidName::Empty)?;
        if let Some(c) = text
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && *c != '_')
        {
            return Err(InvalidName::Character(c));
        }
        if first.is_ascii_digit() {
            return Err(InvalidName::StartsWithDigit);
        }
        if text.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("a name needs at least one character"),
            Self::TooLong => write!(f, "a name has at most {} bytes", Name::MAX_BYTES),
            Self::StartsWithDigit => f.write_str("a name does not start with a digit"),
            Self::Character(c) => {
                write!(
                    f,
                    "a name holds letters, digits and `_`, not `{}`",
                    c.escape_debug()
                )
            }
        }
    }
}

impl std::error::Error for InvalidName {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_portable_form() {
        for good in ["A", "_", "a1", "SECRET_KEY", "_9", &"X".repeat(255)] {
            assert!(Name::new(good).is_ok(), "{good}");
        }
        assert_eq!(Name::new(""), Err(InvalidName::Empty));
        assert_eq!(Name::new("1A"), Err(InvalidName::StartsWithDigit));
        assert_eq!(Name::new(&"X".repeat(256)), Err(InvalidName::TooLong));
        for (bad, c) in [
            ("A=B", '='),
            ("A B", ' '),
            ("A\0", '\0'),
            ("É", 'É'),
            ("a-b", '-'),
        ] {
            assert_eq!(Name::new(bad), Err(InvalidName::Character(c)), "{bad:?}");
        }
    }
}
