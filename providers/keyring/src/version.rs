//! The version of an item: the keyring has none of its own, so it is a MAC under this machine's
//! key. It must never be a plain hash: those of guessable values can be looked up.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use secrets_api::{SecretValue, Version};
use sha2::Sha256;

/// HMAC-SHA-256 (RFC 2104) under `key` over service, name and value, each preceded by its length;
/// the first 16 bytes as hexadecimal digits.
pub(crate) fn of(key: &SecretValue, service: &str, name: &str, value: &SecretValue) -> Version {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.expose()).expect("an HMAC takes a key of any length");
    for part in [
        b"secrets keyring version 1",
        service.as_bytes(),
        name.as_bytes(),
        value.expose(),
    ] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    let mut text = String::with_capacity(32);
    for byte in &mac.finalize().into_bytes()[..16] {
        let _ = write!(text, "{byte:02x}");
    }
    Version::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(key: u8, service: &str, name: &str, value: &str) -> Version {
        let value = SecretValue::from_slice(value.as_bytes());
        of(&SecretValue::from_slice(&[key; 32]), service, name, &value)
    }

    #[test]
    fn a_version_tells_every_part_from_every_other() {
        let mut all = [
            version(1, "shop", "KEY", "value"),
            version(2, "shop", "KEY", "value"),
            version(1, "shopK", "EY", "value"),
            version(1, "shop", "KEYv", "alue"),
            version(1, "shop", "KEY", "value2"),
            version(1, "shop", "KEY", ""),
        ];
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]));
        assert_eq!(all[0].as_str().len(), 32);
    }

    #[test]
    fn a_version_is_the_same_for_the_same_state() {
        assert_eq!(version(1, "s", "N", "v"), version(1, "s", "N", "v"));
    }
}
