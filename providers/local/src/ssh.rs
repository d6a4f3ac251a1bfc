//! OpenSSH ed25519 keys as identities (PROTOCOL.key of OpenSSH; the age `ssh-ed25519` recipient).

use secrets_api::{Error, ErrorKind, Result, SecretValue, Zeroizing};
use ssh_key::private::KeypairData;
use ssh_key::{LineEnding, PrivateKey};

const BEGIN: &str = "-----BEGIN OPENSSH PRIVATE KEY-----";

/// An unlocked ed25519 key.
pub(crate) struct Key {
    /// The public key as `authorized_keys` has it, without a comment.
    pub(crate) recipient: String,
    /// The key as an OpenSSH file without a passphrase.
    pub(crate) text: SecretValue,
    /// The private key's 32 bytes.
    pub(crate) seed: Zeroizing<[u8; 32]>,
    /// The same key, for age.
    pub(crate) identity: age::ssh::Identity,
}

/// Whether the text is an OpenSSH private key at all.
pub(crate) fn is_key(text: &str) -> bool {
    text.trim_start().starts_with(BEGIN)
}

/// Whether it takes a passphrase.
pub(crate) fn is_encrypted(text: &str) -> bool {
    is_key(text) && read(text).is_ok_and(|key| key.is_encrypted())
}

/// Reads a key; `passphrase` for one that takes it.
pub(crate) fn parse(text: &str, passphrase: Option<&SecretValue>) -> Result<Key> {
    let mut key = read(text)?;
    if key.is_encrypted() {
        let Some(passphrase) = passphrase else {
            return Err(refused("the SSH key takes a passphrase")
                .with_hint("run it on a terminal, which can ask for it"));
        };
        key = key
            .decrypt(passphrase.expose())
            .map_err(|_| refused("that is not the passphrase of the SSH key"))?;
    }
    key.set_comment("");
    let KeypairData::Ed25519(pair) = key.key_data() else {
        return Err(refused("only an ed25519 key can both open and sign")
            .with_hint("make one: ssh-keygen -t ed25519"));
    };
    let seed = Zeroizing::new(pair.private.to_bytes());
    let broken = |_| refused("the SSH key cannot be used");
    let recipient = key.public_key().to_openssh().map_err(broken)?;
    let text = key.to_openssh(LineEnding::LF).map_err(broken)?;
    let identity = age::ssh::Identity::from_buffer(text.as_bytes(), None)
        .map_err(|_| refused("the SSH key cannot be used"))?;
    Ok(Key {
        recipient,
        text: SecretValue::from_slice(text.as_bytes()),
        seed,
        identity,
    })
}

fn read(text: &str) -> Result<PrivateKey> {
    PrivateKey::from_openssh(text.trim_start()).map_err(|_| refused("the SSH key cannot be read"))
}

fn refused(message: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, message)
}
