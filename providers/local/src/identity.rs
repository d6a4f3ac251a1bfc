//! The one private key a person keeps: an age identity or an OpenSSH ed25519 key. The key that
//! signs is derived from it, so that there is nothing else to keep.

use age::secrecy::ExposeSecret as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey};
use hkdf::Hkdf;
use secrets_api::{Error, ErrorKind, Result, SecretValue, Zeroizing};
use sha2::Sha256;

use crate::ssh;

/// How a public signing key begins, as text.
pub(crate) const SIGNING_PREFIX: &str = "ed25519:";

/// A private key that opens the documents sealed to it, and signs new ones.
pub struct Identity {
    keys: Keys,
    signing: SigningKey,
}

enum Keys {
    Age(age::x25519::Identity),
    Ssh(Box<ssh::Key>),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("recipient", &self.recipient())
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// A new one, from the operating system's entropy.
    ///
    /// # Panics
    /// If the operating system gives no entropy.
    #[must_use]
    pub fn generate() -> Self {
        let key = age::x25519::Identity::generate();
        let text = SecretValue::from_slice(key.to_string().expose_secret().as_bytes());
        Self::parse(&text).expect("what was just made can be read")
    }

    /// Reads an identity: a line `AGE-SECRET-KEY-1…` (blank lines and lines with `#`, as
    /// `age-keygen` writes them, may stand around it), or an OpenSSH ed25519 key.
    ///
    /// # Errors
    /// `Unauthenticated` for anything else, and for an SSH key that takes a passphrase.
    pub fn parse(text: &SecretValue) -> Result<Self> {
        Self::read(text, None)
    }

    /// Whether it is an SSH key that takes a passphrase.
    pub fn is_encrypted(text: &SecretValue) -> bool {
        text.expose_text().is_some_and(ssh::is_encrypted)
    }

    /// The same as [`Identity::parse`], for a key that takes a passphrase.
    ///
    /// # Errors
    /// `Unauthenticated` also for a wrong passphrase.
    pub fn parse_with_passphrase(text: &SecretValue, passphrase: &SecretValue) -> Result<Self> {
        Self::read(text, Some(passphrase))
    }

    fn read(text: &SecretValue, passphrase: Option<&SecretValue>) -> Result<Self> {
        let refused = |message: &str| Error::new(ErrorKind::Unauthenticated, message);
        let Some(text) = text.expose_text() else {
            return Err(refused("the identity is not text"));
        };
        if ssh::is_key(text) {
            let key = ssh::parse(text, passphrase)?;
            let signing = signing_key(&*key.seed)?;
            return Ok(Self {
                keys: Keys::Ssh(Box::new(key)),
                signing,
            });
        }
        let mut lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(
                refused("the identity has to be one line, AGE-SECRET-KEY-1…")
                    .with_hint("make one with `secrets identity new`"),
            );
        };
        let key: age::x25519::Identity = line.parse().map_err(|_| {
            refused("the identity cannot be read: it is no AGE-SECRET-KEY-1… and no OpenSSH ed25519 key")
        })?;
        let (_, bytes) =
            bech32::decode(line).map_err(|_| refused("the identity cannot be read"))?;
        let signing = signing_key(&Zeroizing::new(bytes))?;
        Ok(Self {
            keys: Keys::Age(key),
            signing,
        })
    }

    /// The identity as text that [`Identity::parse`] reads; an SSH key without its passphrase.
    pub fn to_secret(&self) -> SecretValue {
        match &self.keys {
            Keys::Age(key) => SecretValue::from_slice(key.to_string().expose_secret().as_bytes()),
            Keys::Ssh(key) => key.text.duplicate(),
        }
    }

    /// The public key that documents are sealed to.
    pub fn recipient(&self) -> String {
        match &self.keys {
            Keys::Age(key) => key.to_public().to_string(),
            Keys::Ssh(key) => key.recipient.clone(),
        }
    }

    /// The public key that signatures are checked with: `ed25519:` and base64.
    pub fn signing_key(&self) -> String {
        format!(
            "{SIGNING_PREFIX}{}",
            STANDARD.encode(self.signing.verifying_key().as_bytes())
        )
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// Calls `with` with what age opens a file by.
    pub(crate) fn with_age<T>(&self, with: impl FnOnce(&dyn age::Identity) -> T) -> T {
        match &self.keys {
            Keys::Age(key) => with(key),
            Keys::Ssh(key) => with(&key.identity),
        }
    }
}

/// HKDF-SHA-256 (RFC 5869) of the private key's 32 bytes.
fn signing_key(secret: &[u8]) -> Result<SigningKey> {
    let mut seed = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(Some(b"secrets/v1"), secret)
        .expand(b"ed25519 signing key", &mut *seed)
        .map_err(|_| Error::new(ErrorKind::Unexpected, "the signing key cannot be derived"))?;
    Ok(SigningKey::from_bytes(&seed))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_identity_and_its_text_are_the_same() {
        let made = Identity::generate();
        let again = Identity::parse(&made.to_secret()).unwrap();
        assert_eq!(
            (made.recipient(), made.signing_key()),
            (again.recipient(), again.signing_key())
        );
        assert!(made.recipient().starts_with("age1"));
        assert!(!format!("{made:?}").contains("SECRET"));
    }

    #[test]
    fn the_signing_key_follows_from_the_identity_alone() {
        let text = "# created\n\nAGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33\n";
        let identity = Identity::parse(&SecretValue::from_slice(text.as_bytes())).unwrap();
        assert_eq!(
            identity.recipient(),
            "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa"
        );
        assert_eq!(
            identity.signing_key(),
            Identity::parse(&identity.to_secret())
                .unwrap()
                .signing_key()
        );
    }

    #[test]
    fn what_is_no_identity_is_not_repeated() {
        for text in ["", "canary", "AGE-SECRET-KEY-1CANARY", "canary\ncanary"] {
            let error = Identity::parse(&SecretValue::from_slice(text.as_bytes())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(
                !format!("{error:?}").to_lowercase().contains("canary"),
                "{error:?}"
            );
        }
    }

    fn ssh_keygen(passphrase: &str) -> SecretValue {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let status = std::process::Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-a", "1", "-N", passphrase, "-f"])
            .arg(&path)
            .status()
            .expect("ssh-keygen is installed (Debian: openssh-client)");
        assert!(status.success());
        SecretValue::from_vec(std::fs::read(path).unwrap())
    }

    #[test]
    fn an_ssh_key_works_and_one_with_a_passphrase_once_it_is_given() {
        let plain = ssh_keygen("");
        let identity = Identity::parse(&plain).unwrap();
        assert!(identity.recipient().starts_with("ssh-ed25519 "));
        let again = Identity::parse(&identity.to_secret()).unwrap();
        assert_eq!(identity.signing_key(), again.signing_key());
        let locked = ssh_keygen("open sesame");
        assert!(Identity::is_encrypted(&locked) && !Identity::is_encrypted(&plain));
        assert_eq!(
            Identity::parse(&locked).unwrap_err().kind(),
            ErrorKind::Unauthenticated
        );
        let pass = |text: &str| {
            Identity::parse_with_passphrase(&locked, &SecretValue::from_slice(text.as_bytes()))
        };
        assert_eq!(
            pass("wrong").unwrap_err().kind(),
            ErrorKind::Unauthenticated
        );
        let unlocked = pass("open sesame").unwrap();
        assert_eq!(
            Identity::parse(&unlocked.to_secret()).unwrap().recipient(),
            unlocked.recipient()
        );
    }
}
