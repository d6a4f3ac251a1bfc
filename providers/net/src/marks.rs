//! The versions of secrets in a store that has none for them: MACs under this machine's key. Never a
//! plain hash, by which a short value could be guessed.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrets_api::{Error, ErrorKind, KeySource, Name, Result, SecretValue, Version};
use sha2::Sha256;

use crate::Document;

/// What names the states of the secrets of one store.
#[derive(Clone)]
pub struct Marks(Hmac<Sha256>);

impl Marks {
    /// Asks for the key. `location` is the store's: no mark of one store says anything of another.
    ///
    /// # Errors
    /// If the key cannot be had.
    pub fn new(key: &KeySource, location: &str) -> Result<Self> {
        let unusable = |_| {
            Error::new(
                ErrorKind::Unexpected,
                "the machine key has no usable length",
            )
        };
        let mac = Hmac::<Sha256>::new_from_slice(key()?.expose()).map_err(unusable)?;
        let mut marks = Self(mac);
        marks.feed(b"secrets net version 1");
        marks.feed(location.as_bytes());
        Ok(marks)
    }

    /// Adds a part with its length before it: no two rows of parts look alike.
    fn feed(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    /// HMAC-SHA-256 (RFC 2104) of the parts; the first 16 bytes as hexadecimal digits.
    fn of(&self, parts: &[&[u8]]) -> String {
        let mut marks = self.clone();
        parts.iter().for_each(|part| marks.feed(part));
        let mut text = String::with_capacity(32);
        for byte in &marks.0.finalize().into_bytes()[..16] {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// The state of one secret.
    pub fn version(&self, name: &Name, value: &SecretValue) -> Version {
        Version::new(self.of(&[b"value", name.as_str().as_bytes(), value.expose()]))
    }

    /// The state of a whole document, for stores that name none.
    pub fn revision(&self, document: &Document) -> String {
        self.of(&[b"document", &document.to_json()])
    }
}

impl std::fmt::Debug for Marks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Marks")
    }
}
