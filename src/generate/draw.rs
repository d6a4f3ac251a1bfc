//! How a credential of each kind is put together.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use secrets_api::Zeroizing;

use super::entropy::Entropy;
use super::{Alphabet, Refused};

/// `RANDOM_STRING_CHARS` of Django's `get_random_secret_key`.
const DJANGO: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)";
/// The same less `# $ % & ( )`; the first 36 are letters and digits.
const PORTABLE: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789!@^*-_=+";
const PORTABLE_FIRST: usize = 36;
/// Letters and digits without `0 O 1 l I`, then symbols that need no quoting; 64 in all.
const PASSWORD: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789-_.+=@^";
const PASSWORD_FIRST: usize = 57;
/// Django takes a key that begins so for one of its own that was never replaced.
const INSECURE: &[u8] = b"django-insecure-";
/// The fewest different characters of a key that Django takes for random.
const FEWEST: usize = 5;

/// How to draw one.
#[derive(Debug)]
pub(super) enum Recipe {
    /// Symbols of an alphabet; the first of its first `first`.
    Symbols {
        alphabet: &'static [u8],
        first: usize,
        length: usize,
        django: bool,
    },
    /// Random bytes, written as text.
    Bytes { length: usize, text: Text },
    /// A UUID.
    Uuid,
    /// Words of the BIP 39 English list: 2,048 words, no two alike in their first four letters, in
    /// the public domain.
    Words { count: usize },
}

/// How random bytes are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text {
    Hex,
    Base64,
    UrlSafe,
    UrlSafePadded,
}

impl Recipe {
    pub(super) fn new(kind: &str, length: usize, alphabet: Alphabet) -> Self {
        match kind {
            "hex" => Self::Bytes {
                length,
                text: Text::Hex,
            },
            "base64" => Self::Bytes {
                length,
                text: Text::Base64,
            },
            "urlsafe" => Self::Bytes {
                length,
                text: Text::UrlSafe,
            },
            "fernet" => Self::Bytes {
                length,
                text: Text::UrlSafePadded,
            },
            "uuid" => Self::Uuid,
            "passphrase" => Self::Words { count: length },
            "password" => Self::Symbols {
                alphabet: PASSWORD,
                first: PASSWORD_FIRST,
                length,
                django: false,
            },
            _ => match alphabet {
                Alphabet::Portable => Self::Symbols {
                    alphabet: PORTABLE,
                    first: PORTABLE_FIRST,
                    length,
                    django: true,
                },
                Alphabet::Django => Self::Symbols {
                    alphabet: DJANGO,
                    first: DJANGO.len(),
                    length,
                    django: true,
                },
            },
        }
    }

    /// The entropy in bits.
    #[allow(clippy::cast_precision_loss, reason = "lengths are far below 2^52")]
    pub(super) fn bits(&self) -> f64 {
        match self {
            Self::Symbols {
                alphabet,
                first,
                length,
                ..
            } => (*first as f64).log2() + (*length as f64 - 1.0) * (alphabet.len() as f64).log2(),
            Self::Bytes { length, .. } => *length as f64 * 8.0,
            Self::Uuid => 122.0,
            Self::Words { count } => *count as f64 * 11.0,
        }
    }

    /// No credential has more bytes.
    pub(super) fn most_bytes(&self) -> usize {
        match self {
            Self::Symbols { length, .. } => *length,
            Self::Bytes { length, .. } => length * 2 + 4,
            Self::Uuid => 36,
            // The longest word of the list has 8 letters.
            Self::Words { count } => count * 9,
        }
    }

    /// Draws one and appends it; `out` has room for it.
    pub(super) fn append(&self, entropy: &mut Entropy, out: &mut Vec<u8>) -> Result<(), Refused> {
        match self {
            Self::Symbols {
                alphabet,
                first,
                length,
                django,
            } => {
                let start = out.len();
                loop {
                    out.truncate(start);
                    out.push(alphabet[entropy.below(*first)?]);
                    for _ in 1..*length {
                        out.push(alphabet[entropy.below(alphabet.len())?]);
                    }
                    if !*django || passes_w009(&out[start..]) {
                        return Ok(());
                    }
                }
            }
            Self::Bytes { length, text } => {
                let mut bytes = Zeroizing::new(vec![0; *length]);
                entropy.fill(&mut bytes)?;
                let written = Zeroizing::new(match text {
                    Text::Hex => bytes
                        .iter()
                        .flat_map(|b| [digit(b >> 4), digit(b & 15)])
                        .collect(),
                    Text::Base64 => STANDARD.encode(&*bytes).into_bytes(),
                    Text::UrlSafe => URL_SAFE_NO_PAD.encode(&*bytes).into_bytes(),
                    Text::UrlSafePadded => URL_SAFE.encode(&*bytes).into_bytes(),
                });
                out.extend_from_slice(&written);
                Ok(())
            }
            Self::Uuid => {
                let mut bytes = Zeroizing::new([0; 16]);
                entropy.fill(&mut *bytes)?;
                let mut text = Zeroizing::new([0; 36]);
                let uuid = uuid::Builder::from_random_bytes(*bytes).into_uuid();
                out.extend_from_slice(uuid.hyphenated().encode_lower(&mut *text).as_bytes());
                Ok(())
            }
            Self::Words { count } => {
                let words = bip39::Language::English.word_list();
                for n in 0..*count {
                    if n > 0 {
                        out.push(b'-');
                    }
                    out.extend_from_slice(words[entropy.below(words.len())?].as_bytes());
                }
                Ok(())
            }
        }
    }
}

fn digit(nibble: u8) -> u8 {
    b"0123456789abcdef"[usize::from(nibble)]
}

/// Django's own test of a key (django/core/checks/security/base.py); its length is ours to keep.
fn passes_w009(key: &[u8]) -> bool {
    let mut seen = [false; 256];
    let mut different = 0;
    for byte in key {
        if !std::mem::replace(&mut seen[usize::from(*byte)], true) {
            different += 1;
            if different == FEWEST {
                return !key.starts_with(INSECURE);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_django_would_warn_of_is_drawn_again() {
        assert!(!passes_w009(&[b'a'; 50]));
        assert!(!passes_w009(
            format!("django-insecure-{}", "x".repeat(40)).as_bytes()
        ));
        assert!(passes_w009(
            b"abcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
        ));
    }
}
