//! Bytes to an armoured age file and back (age-encryption.org/v1). What age says of a file it
//! cannot open becomes an error a person can act on.

use std::io::{Read as _, Write as _};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, Decryptor, Encryptor};
use secrets_api::{Error, ErrorKind, Result, Zeroizing};

use crate::identity::Identity;

/// Most bytes of an opened document.
const MOST: u64 = secrets_platform::files::MAX_BYTES;

/// How an armoured age file begins, and one that is not.
const ARMOR: &[u8] = b"-----BEGIN AGE ENCRYPTED FILE-----";
const BINARY: &[u8] = b"age-encryption.org/";

/// A public key, as text, that age can seal to.
pub(crate) fn recipient(text: &str) -> Result<Box<dyn age::Recipient>> {
    if let Ok(key) = text.parse::<age::x25519::Recipient>() {
        return Ok(Box::new(key));
    }
    if text.starts_with("ssh-ed25519 ")
        && let Ok(key) = text.parse::<age::ssh::Recipient>()
    {
        return Ok(Box::new(key));
    }
    Err(Error::new(
        ErrorKind::InvalidConfig,
        "a public key is age1… or ssh-ed25519 …, and this is neither",
    )
    .with_hint("`secrets identity show` prints one's own, `age-keygen` that of a recovery key"))
}

/// Whether a text is a public key that age can seal to.
///
/// # Errors
/// `InvalidConfig` if it is none.
pub fn check_recipient(text: &str) -> Result<()> {
    recipient(text).map(|_| ())
}

/// Seals `plain` to every recipient.
pub(crate) fn seal(plain: &[u8], recipients: &[String]) -> Result<Vec<u8>> {
    let keys = recipients
        .iter()
        .map(|text| recipient(text))
        .collect::<Result<Vec<_>>>()?;
    let encryptor = Encryptor::with_recipients(keys.iter().map(|key| &**key)).map_err(|e| {
        Error::new(
            ErrorKind::InvalidConfig,
            "the document cannot be sealed to these people",
        )
        .with_source(e)
    })?;
    let write = || -> std::io::Result<Vec<u8>> {
        let armor = ArmoredWriter::wrap_output(
            Vec::with_capacity(plain.len() * 3 / 2 + 1024),
            Format::AsciiArmor,
        )?;
        let mut writer = encryptor.wrap_output(armor)?;
        writer.write_all(plain)?;
        writer.finish()?.finish()
    };
    write().map_err(|e| {
        Error::new(ErrorKind::Unexpected, "the document cannot be sealed").with_source(e)
    })
}

/// Opens a sealed file.
pub(crate) fn open(sealed: &[u8], identity: &Identity) -> Result<Zeroizing<Vec<u8>>> {
    unmarked(sealed)?;
    if !sealed.trim_ascii_start().starts_with(ARMOR) && !sealed.starts_with(BINARY) {
        return Err(failed(&DecryptError::UnknownFormat));
    }
    let decryptor = Decryptor::new_buffered(ArmoredReader::new(sealed)).map_err(|e| failed(&e))?;
    if decryptor.is_scrypt() {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "the document is sealed by a passphrase, not to people",
        ));
    }
    let mut reader = identity
        .with_age(|key| decryptor.decrypt(std::iter::once(key)))
        .map_err(|e| failed(&e))?;
    // The plain text is no longer than the sealed one: the block never grows.
    let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
    let read = reader.by_ref().take(MOST + 1).read_to_end(&mut plain);
    match read {
        Ok(_) if plain.len() as u64 <= MOST => Ok(plain),
        Ok(_) => Err(Error::new(
            ErrorKind::InvalidData,
            "the document is larger than 64 MiB",
        )),
        Err(e) => Err(failed(&DecryptError::Io(e))),
    }
}

/// That git has left no marks in it.
pub(crate) fn unmarked(sealed: &[u8]) -> Result<()> {
    if has_conflict_marks(sealed) {
        return Err(Error::new(ErrorKind::InvalidData, "the document holds git's conflict marks: two branches changed it")
            .with_hint("`secrets git install` sets up a driver that merges by name, then `git checkout --merge FILE` merges it again; or take one side (`git checkout --ours` or `--theirs` FILE) and set what the other had changed"));
    }
    Ok(())
}

pub(crate) fn has_conflict_marks(bytes: &[u8]) -> bool {
    let mut lines = bytes.split(|b| *b == b'\n');
    lines.any(|line| line.starts_with(b"<<<<<<< ") || line.starts_with(b">>>>>>> "))
}

fn failed(error: &DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys | DecryptError::KeyDecryptionFailed => {
            Error::new(ErrorKind::Unauthenticated, "your identity does not open this document: it is not sealed to you")
                .with_hint("someone who is in adds you: `secrets identity show`, then they run `secrets team add`; else another identity is in use here, see `secrets identity show`")
        }
        DecryptError::InvalidHeader | DecryptError::UnknownFormat => {
            Error::new(ErrorKind::InvalidData, "the document is no age file, or cut short").with_hint(RESTORE)
        }
        _ => Error::new(ErrorKind::InvalidData, "the document was altered, or cut short, after it was sealed")
            .with_hint(RESTORE),
    }
}

const RESTORE: &str = "restore it from source control: `git checkout FILE`";
