//! Bytes as hexadecimal digits, digests, and random ids.

use rand::TryRng as _;
use secrets_api::{Error, ErrorKind, Result};
use sha2::{Digest as _, Sha256};

pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Sixteen random bytes: what no two of anything share.
///
/// # Errors
/// If the operating system gives no entropy.
pub(crate) fn random_id() -> Result<String> {
    let mut id = [0; 16];
    rand::rngs::SysRng.try_fill_bytes(&mut id).map_err(|e| {
        Error::new(
            ErrorKind::Unexpected,
            "the operating system gives no entropy",
        )
        .with_source(e)
    })?;
    Ok(encode(&id))
}

/// Whether a text is such an id.
pub(crate) fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// SHA-256, in hexadecimal. Of ciphertexts and public keys only, never of a value.
pub(crate) fn digest(bytes: &[u8]) -> String {
    encode(&Sha256::digest(bytes))
}

/// SHA-256 over parts, each with its length before it.
pub(crate) fn digest_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    encode(&hash.finalize())
}
