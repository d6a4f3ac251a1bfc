//! Versions and revisions: MACs under this machine's key. Never a plain hash, by which a short
//! value could be guessed.

use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrets_api::{Error, ErrorKind, KeySource, Name, Result, Revision, SecretValue, Version};
use sha2::Sha256;

/// What names the states of one file.
pub(crate) struct Marks(Hmac<Sha256>);

impl Marks {
    /// Asks for the key.
    pub(crate) fn new(key: &KeySource, path: &Path) -> Result<Self> {
        let mac = Hmac::<Sha256>::new_from_slice(key()?.expose()).map_err(|_| {
            Error::new(
                ErrorKind::Unexpected,
                "the machine key has no usable length",
            )
        })?;
        let mut marks = Self(mac);
        marks.feed(b"dotenv/1");
        marks.feed(path.as_os_str().as_encoded_bytes());
        Ok(marks)
    }

    /// Adds a part with its length before it: no two rows of parts look alike.
    fn feed(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn of(&self, parts: &[&[u8]]) -> String {
        let mut marks = Self(self.0.clone());
        parts.iter().for_each(|part| marks.feed(part));
        marks.0.finalize().into_bytes()[..16]
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect()
    }

    /// The state of one secret.
    pub(crate) fn version(&self, name: &Name, value: &SecretValue) -> Version {
        Version::new(self.of(&[b"value", name.as_str().as_bytes(), value.expose()]))
    }

    /// The state of the whole file; `None` where there is none.
    pub(crate) fn revision(&self, bytes: Option<&[u8]>) -> Revision {
        Revision::new(bytes.map_or_else(|| "absent".to_owned(), |bytes| self.of(&[b"file", bytes])))
    }
}
