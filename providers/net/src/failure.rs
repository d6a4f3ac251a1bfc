//! Why a request got no answer, and whether it may have had an effect.

use std::error::Error as StdError;

use secrets_api::{Error, ErrorKind, Result, Zeroizing};

/// What the request was to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Nothing is changed by it: it may be sent again.
    Read,
    /// It changes something.
    Write,
}

/// The error of a request that got no answer. The request's own address is kept out: a query may
/// hold a value.
pub fn failed(error: reqwest::Error, sent: Sent) -> Error {
    let error = error.without_url();
    let text = causes(&error);
    if error.is_builder() {
        return Error::new(ErrorKind::InvalidConfig, "the request cannot be made");
    }
    if error.is_connect() {
        if let Some((why, hint)) = distrusted(&text) {
            let what = format!("the server's certificate is not trusted: {why}");
            return Error::new(ErrorKind::Untrusted, what).with_hint(hint);
        }
        let message = match plain_reason(&text) {
            Some(why) => format!("the server cannot be reached: {why}"),
            None => "the server cannot be reached".to_owned(),
        };
        return Error::new(ErrorKind::Unavailable, message)
            .with_hint("is the address right, and is the server up?");
    }
    let message = if error.is_timeout() {
        "the server did not answer in time"
    } else {
        "the connection ended before the answer"
    };
    match sent {
        Sent::Read => Error::new(ErrorKind::Unavailable, message),
        Sent::Write => Error::new(ErrorKind::OutcomeUnknown, message),
    }
}

/// Most bytes of an answer: as much as the largest request that Vault takes
/// (<https://developer.hashicorp.com/vault/docs/internals/limits>). Whoever sends more is no store.
const LONGEST_ANSWER: usize = 32 * 1024 * 1024;

/// The body of an answer, in memory that is wiped.
///
/// # Errors
/// As [`failed`]; `InvalidData` for a body of more than 32 MiB, `OutcomeUnknown` where it answers a write.
pub async fn body(mut response: reqwest::Response, sent: Sent) -> Result<Zeroizing<Vec<u8>>> {
    let told = response.content_length().unwrap_or(0);
    let room = usize::try_from(told)
        .unwrap_or(usize::MAX)
        .min(LONGEST_ANSWER);
    let mut body = Zeroizing::new(Vec::with_capacity(room));
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| failed(error, sent))?
    {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            let kind = match sent {
                Sent::Read => ErrorKind::InvalidData,
                Sent::Write => ErrorKind::OutcomeUnknown,
            };
            let what = "the server's answer is larger than any answer of a store";
            return Err(Error::new(kind, what));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The messages of the error and its causes. Those of reqwest, hyper and rustls hold no part of a
/// body.
fn causes(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text.to_lowercase()
}

const SIGNER: &str =
    "name the authority that signed it: SSL_CERT_FILE=ca.pem (for Vault VAULT_CACERT)";
const NAME: &str = "is it the address that the certificate was made for?";
const CLOCK: &str = "is our clock right? else the server needs a new certificate";
const LEAF: &str =
    "the server needs a certificate of its own, signed by that authority (without CA:TRUE)";

/// What is wrong with the certificate, in rustls' words, and what to do.
fn distrusted(text: &str) -> Option<(&'static str, &'static str)> {
    [
        ("unknownissuer", "nobody we trust has signed it", SIGNER),
        ("not valid for name", "it is not for this host", NAME),
        ("notvalidforname", "it is not for this host", NAME),
        ("expired", "it has expired", CLOCK),
        ("notvalidyet", "it is not valid yet", CLOCK),
        ("not valid yet", "it is not valid yet", CLOCK),
        (
            "revoked",
            "it was revoked",
            "the server needs a new certificate",
        ),
        (
            "caused as end entity",
            "it is an authority's own certificate",
            LEAF,
        ),
        (
            "causedasendentity",
            "it is an authority's own certificate",
            LEAF,
        ),
        ("invalid peer certificate", "it cannot be verified", SIGNER),
    ]
    .into_iter()
    .find(|(sign, ..)| text.contains(sign))
    .map(|(_, why, hint)| (why, hint))
}

/// What went wrong below TLS, in a word.
fn plain_reason(text: &str) -> Option<&'static str> {
    [
        ("connection refused", "the connection was refused"),
        ("dns error", "its name is not known"),
        ("failed to lookup", "its name is not known"),
        ("timed out", "no connection in time"),
        ("no route", "there is no way to it"),
        ("unreachable", "there is no way to it"),
        ("invalidcontenttype", "it does not speak TLS at this port"),
        ("corrupt message", "it does not speak TLS at this port"),
        ("received fatal alert", "it refused our TLS"),
        ("reset by peer", "the connection was reset"),
    ]
    .into_iter()
    .find(|(sign, _)| text.contains(sign))
    .map(|(_, why)| why)
}
