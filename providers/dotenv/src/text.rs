//! A file's bytes as text. Some readers keep, or replace, bytes that are not UTF-8; such a byte is
//! carried through as one character of a private plane and becomes itself again when the text is
//! written, so that an edit leaves it as it was.

use std::borrow::Cow;

use secrets_api::Zeroizing;

/// Stands for the byte 0x00; only 0x80 and up occur. Private use, plane 16.
const FIRST: u32 = 0x10_fe00;

/// Whether a character stands for a byte.
pub(crate) fn is_byte(c: char) -> bool {
    (FIRST + 0x80..=FIRST + 0xff).contains(&u32::from(c))
}

/// The bytes as text, if they are UTF-8 or may be carried.
///
/// # Errors
/// The place of the first byte that is not UTF-8, where they may not be, or where the text holds
/// characters that would be mistaken for such bytes.
pub(crate) fn decoded(bytes: &[u8], carries: bool) -> Result<Cow<'_, str>, usize> {
    let first = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(Cow::Borrowed(text)),
        Err(e) => e.valid_up_to(),
    };
    if !carries {
        return Err(first);
    }
    let mut out = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        if chunk.valid().chars().any(is_byte) {
            return Err(first);
        }
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.extend(char::from_u32(FIRST + u32::from(*byte)));
        }
    }
    Ok(Cow::Owned(out))
}

/// The text as bytes again.
pub(crate) fn encoded(text: &str) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    for c in text.chars() {
        if is_byte(c) {
            out.push(u8::try_from(u32::from(c) - FIRST).unwrap_or_default());
        } else {
            let mut bytes = [0; 4];
            out.extend_from_slice(c.encode_utf8(&mut bytes).as_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_back_as_they_were() {
        for bytes in [
            &b"A=caf\xe9\n"[..],
            b"\xff\xfe",
            b"\xed\xa0\x80x",
            "é😀".as_bytes(),
        ] {
            let text = decoded(bytes, true).unwrap();
            assert_eq!(*encoded(&text), bytes);
        }
        assert_eq!(decoded(b"A=caf\xe9\n", false), Err(5));
        let mistaken = [&[0xe9][..], "\u{10feff}".as_bytes()].concat();
        assert_eq!(decoded(&mistaken, true), Err(0));
    }
}
