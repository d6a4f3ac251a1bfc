//! The signature around a document. age says to whom a file is sealed, not by whom: one line of
//! JSON before the document does.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use secrets_api::{Error, ErrorKind, Result, Zeroizing};
use serde::{Deserialize, Serialize};

use crate::identity::{Identity, SIGNING_PREFIX};

/// The format's name, and what a signature is bound to.
const FORMAT: &str = "secrets-local/1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    signer: Option<String>,
    signature: Option<String>,
}

/// A document as it was found, its signature checked if it has one.
pub(crate) struct Opened<'a> {
    pub(crate) body: &'a [u8],
    /// The public key that signed it; `None` if nobody did.
    pub(crate) signer: Option<String>,
}

fn message(body: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut message = Zeroizing::new(Vec::with_capacity(FORMAT.len() + 1 + body.len()));
    message.extend_from_slice(FORMAT.as_bytes());
    message.push(0);
    message.extend_from_slice(body);
    message
}

/// Puts the signature before the body.
pub(crate) fn sign(body: &[u8], identity: &Identity) -> Result<Zeroizing<Vec<u8>>> {
    let header = Header {
        format: FORMAT.to_owned(),
        signer: Some(identity.signing_key()),
        signature: Some(STANDARD.encode(identity.sign(&message(body)))),
    };
    let header = serde_json::to_vec(&header).map_err(|e| {
        Error::new(ErrorKind::Unexpected, "the signature cannot be written").with_source(e)
    })?;
    let mut signed = Zeroizing::new(Vec::with_capacity(header.len() + 1 + body.len()));
    signed.extend_from_slice(&header);
    signed.push(b'\n');
    signed.extend_from_slice(body);
    Ok(signed)
}

/// Takes the signature off and checks it.
///
/// # Errors
/// `InvalidData` for one that does not fit: the body was altered by someone who could open it.
pub(crate) fn open(plain: &[u8]) -> Result<Opened<'_>> {
    let line = plain
        .iter()
        .position(|b| *b == b'\n')
        .unwrap_or(plain.len());
    let Ok(header) = serde_json::from_slice::<Header>(&plain[..line]) else {
        return Ok(Opened {
            body: plain,
            signer: None,
        });
    };
    let body = plain.get(line + 1..).unwrap_or_default();
    if header.format != FORMAT {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "the document is of a format this version does not know",
        )
        .with_hint("a newer `secrets` wrote it: upgrade"));
    }
    let (Some(signer), Some(signature)) = (header.signer, header.signature) else {
        return Ok(Opened { body, signer: None });
    };
    if verify(&signer, &signature, body).is_none() {
        return Err(Error::new(
            ErrorKind::InvalidData,
            "the document was altered after it was signed",
        )
        .with_hint("restore it from source control: `git checkout FILE`"));
    }
    Ok(Opened {
        body,
        signer: Some(signer),
    })
}

fn verify(signer: &str, signature: &str, body: &[u8]) -> Option<()> {
    let key = verifying_key(signer)?;
    let signature: [u8; 64] = STANDARD.decode(signature).ok()?.try_into().ok()?;
    key.verify_strict(&message(body), &Signature::from_bytes(&signature))
        .ok()
}

/// A public signing key from its text.
pub(crate) fn verifying_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD
        .decode(text.strip_prefix(SIGNING_PREFIX)?)
        .ok()?
        .try_into()
        .ok()?;
    VerifyingKey::from_bytes(&bytes)
        .ok()
        .filter(|key| !key.is_weak())
}
