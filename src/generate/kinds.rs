//! The kinds of credentials, and what length each may have.

use super::Refused;

/// What a length counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Characters of the credential.
    Characters,
    /// Random bytes, before they are written as text.
    Bytes,
    /// Words.
    Words,
    /// The kind has one form only.
    Fixed,
}

/// A kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// What to call it.
    pub name: &'static str,
    /// One line for the help.
    pub about: &'static str,
    /// What its length counts.
    pub unit: Unit,
    /// The length where none is asked for.
    pub length: usize,
    /// The least length.
    pub least: usize,
    /// Why not less.
    pub reason: &'static str,
}

/// No credential is longer: most stores hold no larger value, and no reader expects one.
const MOST: usize = 4096;

const WEAK: &str = "less than 128 bits can be guessed in time";

/// All kinds, the default first.
#[rustfmt::skip]
pub const KINDS: &[Kind] = &[
    Kind { name: "django", about: "Django's SECRET_KEY: 50 characters, 272 bits", unit: Unit::Characters, length: 50, least: 50, reason: "Django warns of shorter keys (security.W009)" },
    Kind { name: "password", about: "letters, digits and -_.+=@^, none that look alike: 24 characters, 143 bits", unit: Unit::Characters, length: 24, least: 12, reason: "less than 70 bits can be guessed from a leaked hash" },
    Kind { name: "hex", about: "32 random bytes as hexadecimal digits", unit: Unit::Bytes, length: 32, least: 16, reason: WEAK },
    Kind { name: "base64", about: "32 random bytes as base64 (RFC 4648, section 4)", unit: Unit::Bytes, length: 32, least: 16, reason: WEAK },
    Kind { name: "urlsafe", about: "32 random bytes as URL-safe base64 without padding, as Python's token_urlsafe", unit: Unit::Bytes, length: 32, least: 16, reason: WEAK },
    Kind { name: "uuid", about: "a random UUID (RFC 9562, version 4), 122 bits", unit: Unit::Fixed, length: 16, least: 16, reason: "" },
    Kind { name: "fernet", about: "a key for Python's cryptography.fernet: 32 bytes, URL-safe base64", unit: Unit::Fixed, length: 32, least: 32, reason: "" },
    Kind { name: "passphrase", about: "8 words to be typed and remembered, 88 bits", unit: Unit::Words, length: 8, least: 6, reason: "less than 66 bits can be guessed from a leaked hash" },
];

/// The kind of this name.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// The length to draw, checked.
pub(super) fn length(kind: &Kind, asked: Option<usize>) -> Result<usize, Refused> {
    let Some(asked) = asked else {
        return Ok(kind.length);
    };
    let unit = match kind.unit {
        Unit::Characters => "characters",
        Unit::Bytes => "random bytes",
        Unit::Words => "words",
        Unit::Fixed => {
            let message = format!("a {} has one length", kind.name);
            return Err(Refused {
                message,
                hint: Some("leave out --length".to_owned()),
            });
        }
    };
    if asked < kind.least {
        let message = format!(
            "a {} of {asked} {unit} is too short: {}",
            kind.name, kind.reason
        );
        return Err(Refused {
            message,
            hint: Some(format!("--length {} or more", kind.least)),
        });
    }
    if asked > MOST {
        let message = format!("a {} of {asked} {unit} is too long", kind.name);
        return Err(Refused {
            message,
            hint: Some(format!("--length {MOST} or less")),
        });
    }
    Ok(asked)
}
