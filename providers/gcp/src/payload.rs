//! Values on their way to the service and back, each with its CRC-32C checksum.
//! <https://cloud.google.com/secret-manager/docs/data-integrity>

use bytes::Bytes;
use google_cloud_secretmanager_v1::model::SecretPayload;
use secrets_api::{Error, ErrorKind, Result, SecretValue};
use zeroize::{Zeroize as _, Zeroizing};

/// The most bytes of a payload: <https://cloud.google.com/secret-manager/quotas>
pub(crate) const MOST_BYTES: usize = 64 * 1024;

/// What is sent. Our copy is wiped when the library lets go of it.
pub(crate) fn sealed(value: &SecretValue) -> SecretPayload {
    let copy = Zeroizing::new(value.expose().to_vec());
    SecretPayload::new()
        .set_data_crc32c(crc32c::crc32c(value.expose()))
        .set_data(Bytes::from_owner(copy))
}

/// The value that came, if it is the one that was stored.
///
/// # Errors
/// `InvalidData` where the checksum is another, or missing.
pub(crate) fn opened(payload: Option<SecretPayload>) -> Result<SecretValue> {
    let payload = payload.unwrap_or_default();
    let told = payload.data_crc32c;
    let value = SecretValue::from_slice(&payload.data);
    // Where nobody else holds on to the library's copy it is wiped.
    if let Ok(mut copy) = payload.data.try_into_mut() {
        copy.as_mut().zeroize();
    }
    match told {
        None => Err(Error::new(
            ErrorKind::InvalidData,
            "the value came without its checksum",
        )
        .with_hint("is the address Google's own? every value of the service has a checksum")),
        Some(told) if told == i64::from(crc32c::crc32c(value.expose())) => Ok(value),
        Some(_) => Err(Error::new(
            ErrorKind::InvalidData,
            "the value does not match its checksum: it was altered on the way",
        )
        .with_hint("try again; if it stays so, what is between here and Google alters data")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_value_comes_back_as_it_was_sent() {
        for bytes in [&b"x"[..], b"\0\xff", &[7; MOST_BYTES]] {
            let sent = sealed(&SecretValue::from_slice(bytes));
            assert_eq!(opened(Some(sent)).unwrap().expose(), bytes);
        }
    }

    #[test]
    fn a_value_that_was_altered_or_has_no_checksum_is_refused_without_being_shown() {
        let sent = sealed(&SecretValue::from_slice(b"canary"));
        let altered = sent.clone().set_data(Bytes::from_static(b"canarz"));
        let bare = sent.set_or_clear_data_crc32c(None::<i64>);
        for payload in [Some(altered), Some(bare), None] {
            let error = opened(payload).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidData);
            assert!(!format!("{error:?}").contains("canar"));
        }
    }
}
