//! Fingerprints of values, and the seal of what is remembered: keyed MACs under this machine's key.

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrets_api::{Error, ErrorKind, KeySource, Name, Result, SecretValue};
use sha2::Sha256;

use crate::plan::Fingerprint;

/// Makes fingerprints and seals.
#[derive(Clone)]
pub struct Keys {
    bare: Hmac<Sha256>,
    values: Hmac<Sha256>,
}

impl Keys {
    /// Asks for the machine's key. No fingerprint of one project and environment says anything of
    /// another.
    ///
    /// # Errors
    /// If the key cannot be had.
    pub fn new(key: &KeySource, project: &str, environment: &str) -> Result<Self> {
        let unusable = |_| {
            Error::new(
                ErrorKind::Unexpected,
                "the machine key has no usable length",
            )
        };
        let bare = Hmac::<Sha256>::new_from_slice(key()?.expose()).map_err(unusable)?;
        let mut values = bare.clone();
        for part in ["secrets fingerprint 1", project, environment] {
            feed(&mut values, part.as_bytes());
        }
        Ok(Self { bare, values })
    }

    /// The fingerprint of a value under a name: HMAC-SHA-256 (RFC 2104).
    pub fn fingerprint(&self, name: &Name, value: &SecretValue) -> Fingerprint {
        let mut mac = self.values.clone();
        feed(&mut mac, name.as_str().as_bytes());
        feed(&mut mac, value.expose());
        Fingerprint::from_bytes(mac.finalize().into_bytes().into())
    }

    /// The seal of a text that is kept under this key.
    pub(super) fn seal(&self, text: &[u8]) -> [u8; 32] {
        let mut mac = self.bare.clone();
        feed(&mut mac, b"secrets base 1");
        feed(&mut mac, text);
        mac.finalize().into_bytes().into()
    }

    /// What tells this key from another, and nothing else of it.
    pub(super) fn mark(&self) -> [u8; 32] {
        let mut mac = self.bare.clone();
        feed(&mut mac, b"secrets base key 1");
        mac.finalize().into_bytes().into()
    }
}

/// Adds a part with its length before it: no two rows of parts look alike.
fn feed(mac: &mut Hmac<Sha256>, part: &[u8]) {
    mac.update(&(part.len() as u64).to_be_bytes());
    mac.update(part);
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}
