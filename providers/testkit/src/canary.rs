//! The value that is planted to be searched for: in errors, reports, `Debug` output, logs.
//!
//! One a process, random, so that no text can hold it by chance. What is found is told by the form
//! it was found in, never by showing it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use secrets_api::OperationId;

static PROCESS: LazyLock<Canary> = LazyLock::new(Canary::random);

/// Characters of the planted text that are searched for together: a message that shows only the
/// start or the end of a value is a leak too.
const WINDOW: usize = 10;

/// A text that occurs nowhere by chance, and the forms it may be hidden in.
pub struct Canary {
    text: String,
    forms: Vec<(&'static str, Vec<u8>)>,
    /// Which pairs of bytes a form starts with: most places of a text are passed over by it.
    starts: Box<[bool]>,
}

impl Canary {
    /// The one of this process.
    pub fn of_this_process() -> &'static Self {
        &PROCESS
    }

    /// A new one: 26 letters and digits, 130 random bits.
    pub fn random() -> Self {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
        let bits = u128::from_be_bytes(*OperationId::random().as_bytes());
        let text: String = (0..26)
            .map(|n| char::from(ALPHABET[((bits >> (n * 5).min(123)) & 31) as usize]))
            .collect();
        let forms = forms(text.as_bytes());
        let mut starts = vec![false; 1 << 16].into_boxed_slice();
        for (_, needle) in &forms {
            starts[pair(needle)] = true;
        }
        Self {
            text,
            forms,
            starts,
        }
    }

    /// The text to plant. Letters and digits only: escaping and quoting leave it as it is.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The form in which `content` holds the planted text, or a part of it.
    pub fn found_in(&self, content: &[u8]) -> Option<&'static str> {
        let places = (1..content.len()).map(|end| &content[end - 1..]);
        places
            .filter(|rest| self.starts[pair(rest)])
            .find_map(|rest| {
                self.forms
                    .iter()
                    .find(|(_, needle)| rest.starts_with(needle))
            })
            .map(|(form, _)| *form)
    }
}

impl std::fmt::Debug for Canary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canary")
    }
}

fn forms(text: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = Vec::new();
    for part in text.windows(WINDOW) {
        forms.push(("as it is", part.to_vec()));
        let mut hex = String::new();
        let mut decimal = String::new();
        let mut hex_list = String::new();
        for byte in part {
            let _ = write!(hex, "{byte:02x}");
            let _ = write!(decimal, "{byte}, ");
            let _ = write!(hex_list, "{byte:#x}, ");
        }
        // A part without a hex letter is the same in both: it is told as the first.
        let upper = hex.to_uppercase().into_bytes();
        forms.push(("in hex", hex.into_bytes()));
        forms.push(("in upper-case hex", upper));
        let list = |s: String| s.trim_end_matches(", ").as_bytes().to_vec();
        forms.push(("as a list of numbers", list(decimal)));
        forms.push(("as a list of hex numbers", list(hex_list)));
    }
    // Within a longer value the text may start at any of three places of a base64 group: the
    // groups it fills alone look the same whatever surrounds it.
    for shift in 0..3 {
        let whole = &text[shift..shift + (text.len() - shift) / 3 * 3];
        for part in whole.windows(12).step_by(3) {
            forms.push(("in base64", STANDARD.encode(part).into_bytes()));
            forms.push(("in URL-safe base64", URL_SAFE.encode(part).into_bytes()));
        }
    }
    let reversed: Vec<u8> = text.iter().rev().copied().collect();
    forms.push(("backwards", reversed));
    forms
}

/// The first two bytes as a number; `text` has them.
fn pair(text: &[u8]) -> usize {
    usize::from(text[0]) << 8 | usize::from(text[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_found_in_every_form_and_at_every_offset() {
        let canary = Canary::random();
        for before in 0..4 {
            let mut value = vec![b'x'; before];
            value.extend_from_slice(canary.text().as_bytes());
            value.extend_from_slice(b"\"\n\0tail");
            for (form, text) in [
                ("as it is", format!("{:?}", String::from_utf8_lossy(&value))),
                ("in base64", STANDARD.encode(&value)),
                ("as a list of numbers", format!("{value:?}")),
                ("in hex", format!("{:02x?}", value).replace([',', ' '], "")),
            ] {
                assert_eq!(canary.found_in(text.as_bytes()), Some(form));
            }
        }
    }

    #[test]
    fn a_part_of_it_is_found_and_other_texts_are_not() {
        let canary = Canary::random();
        assert!(
            canary
                .found_in(&canary.text().as_bytes()[..WINDOW])
                .is_some()
        );
        assert_eq!(canary.found_in(Canary::random().text().as_bytes()), None);
        assert_eq!(canary.found_in(b""), None);
    }
}
