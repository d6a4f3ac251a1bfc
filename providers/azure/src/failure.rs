//! What went wrong, in our own words. The SDK's errors hold whole answers: nothing of them is kept but
//! the service's error code and what we know of it.
//!
//! Codes: <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes>

use std::error::Error as StdError;
use std::time::Duration;

use azure_core::error::ErrorKind as SdkKind;
use azure_core::http::RawResponse;
use azure_core::http::headers::{Headers, RETRY_AFTER};
use azure_core::time::{OffsetDateTime, parse_rfc7231};
use secrets_api::{Error, ErrorKind, Name};
use secrets_net::Sent;
use serde::Deserialize;

use crate::method::HOW;
use crate::place::Place;

/// Why a call did not succeed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The vault answered, and not with a success.
    Refused(Refusal),
    /// There was no answer of the vault's, or none that can be understood.
    Other(Error),
}

/// The vault's answer, less its text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// `Forbidden`, `Conflict`, …; empty where it is not said.
    code: String,
    /// `ForbiddenByRbac`, `ObjectIsBeingDeleted`, …; empty where it is not said.
    inner: String,
    /// `AKV10032`: the number of the message.
    number: Option<String>,
    retry_after: Option<Duration>,
}

#[derive(Deserialize, Default)]
struct Body {
    #[serde(default)]
    error: Detail,
}

#[derive(Deserialize, Default)]
struct Detail {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default, alias = "innerError")]
    innererror: Option<Box<Detail>>,
}

/// What an SDK error comes to.
pub(crate) fn failure(error: &azure_core::Error) -> Failure {
    if let Some(ours) = ours(error) {
        return Failure::Other(again(ours));
    }
    match error.kind() {
        SdkKind::HttpResponse {
            raw_response: Some(response),
            ..
        } => Failure::Refused(refusal(response)),
        SdkKind::Credential => Failure::Other(
            Error::new(
                ErrorKind::Unauthenticated,
                "no token can be had for the vault",
            )
            .with_hint(HOW),
        ),
        SdkKind::DataConversion => Failure::Other(not_understood()),
        _ => Failure::Other(Error::new(
            ErrorKind::Unexpected,
            "the request to the vault cannot be made",
        )),
    }
}

/// An answer outside the protocol.
pub(crate) fn not_understood() -> Error {
    Error::new(
        ErrorKind::InvalidData,
        "the vault's answer cannot be understood",
    )
    .with_hint("is it a Key Vault that answers at this address?")
}

/// The error of ours that the SDK was handed by our own transport or login, wherever it has put it.
fn ours<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(ours) = error.downcast_ref::<Error>() {
            return Some(ours);
        }
        // What is put into an I/O error is not among its sources.
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && let Some(inner) = io.get_ref()
            && let Some(ours) = inner.downcast_ref::<Error>()
        {
            return Some(ours);
        }
        next = error.source();
    }
    None
}

/// The same error once more.
pub(crate) fn again(error: &Error) -> Error {
    let mut copy = Error::new(error.kind(), error.message());
    if let Some(hint) = error.hint() {
        copy = copy.with_hint(hint);
    }
    if let Some(wait) = error.retry_after() {
        copy = copy.with_retry_after(wait);
    }
    copy
}

fn refusal(response: &RawResponse) -> Refusal {
    let body: &[u8] = response.body();
    let detail = serde_json::from_slice::<Body>(body)
        .unwrap_or_default()
        .error;
    let message = detail.message.unwrap_or_default();
    let inner = detail.innererror.unwrap_or_default();
    Refusal {
        status: response.status().into(),
        code: word(detail.code.as_deref()),
        inner: word(inner.code.as_deref()),
        number: number(&message, "AKV"),
        retry_after: retry_after(response.headers()),
    }
}

/// One word of the service's, which cannot hold a value.
fn word(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    let fits = text.len() <= 48 && text.chars().all(|c| c.is_ascii_alphanumeric());
    if fits { text.to_owned() } else { String::new() }
}

/// The number of a message: `AKV10032`, `AADSTS7000215`.
pub(crate) fn number(text: &str, series: &str) -> Option<String> {
    let (_, rest) = text.split_once(series)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!digits.is_empty() && digits.len() <= 10).then(|| format!("{series}{digits}"))
}

/// How long to wait: seconds, or a date (RFC 9110, 10.2.3).
pub(crate) fn retry_after(headers: &Headers) -> Option<Duration> {
    let text = headers.get_optional_str(&RETRY_AFTER)?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = parse_rfc7231(text).ok()?;
    (at - OffsetDateTime::now_utc()).try_into().ok()
}

impl Refusal {
    /// There is none of this name: said in as many words. A 404 without them is another server's.
    pub(crate) fn is_not_found(&self) -> bool {
        self.status == 404 && self.code == "SecretNotFound"
    }

    pub(crate) fn is_forbidden(&self) -> bool {
        self.status == 403
    }

    /// The name is taken by what was deleted: it can be brought back or be purged, no more.
    pub(crate) fn is_deleted(&self) -> bool {
        self.status == 409 && self.inner == "ObjectIsDeletedButRecoverable"
    }

    pub(crate) fn is_being_deleted(&self) -> bool {
        self.status == 409 && self.inner == "ObjectIsBeingDeleted"
    }

    /// The name is between two states, for some seconds.
    pub(crate) fn is_passing(&self) -> bool {
        self.is_being_deleted() || self.status == 409 && self.inner == "ObjectIsBeingRecovered"
    }

    /// A 409 that does not say why.
    pub(crate) fn is_other_conflict(&self) -> bool {
        self.status == 409 && !self.is_deleted() && !self.is_passing()
    }

    /// The error, about one secret or about the whole.
    pub(crate) fn into_error(self, place: &Place, sent: Sent, about: Option<&Name>) -> Error {
        let error = self.explained(place, sent, about);
        let error = match self.retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        };
        let error = error.at_store(&place.location);
        match about {
            Some(name) => error.about(name),
            None => error,
        }
    }

    fn explained(&self, place: &Place, sent: Sent, about: Option<&Name>) -> Error {
        let what = about.map_or_else(|| "the vault".to_owned(), ToString::to_string);
        let told = self.told();
        match self.status {
            300..=399 => Error::new(
                ErrorKind::Untrusted,
                "the vault sends us to another address, which is not followed",
            )
            .with_hint("is the vault's address right? a vault never redirects"),
            401 => self.unauthenticated(),
            403 => self.forbidden(place, about),
            404 => Error::new(
                ErrorKind::Unexpected,
                format!("the server does not know {what} and does not answer as a Key Vault does"),
            )
            .with_hint("is the vault's address right?"),
            409 => Error::new(
                ErrorKind::Conflict,
                format!("{what} cannot be changed now{told}"),
            )
            .with_hint("a deletion or a recovery may be under way: try again in a little while"),
            408 | 500..=599 if sent == Sent::Write => Error::new(
                ErrorKind::OutcomeUnknown,
                format!("the vault failed at the write of {what}{told}"),
            ),
            429 => Error::new(ErrorKind::RateLimited, "the vault asks for fewer calls"),
            408 | 500..=599 => Error::new(
                ErrorKind::Unavailable,
                format!("the vault has failed with status {}{told}", self.status),
            ),
            _ => Error::new(
                ErrorKind::Unexpected,
                format!(
                    "the vault refuses the request for {what} with status {}{told}",
                    self.status
                ),
            ),
        }
    }

    /// The codes, for a sentence's end.
    fn told(&self) -> String {
        let words = [
            &*self.code,
            &*self.inner,
            self.number.as_deref().unwrap_or_default(),
        ];
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        if words.is_empty() {
            String::new()
        } else {
            format!(" ({})", words.join(", "))
        }
    }

    fn unauthenticated(&self) -> Error {
        let told = self.told();
        let message = format!("the vault does not accept our token{told}");
        let hint = match self.number.as_deref() {
            // Invalid issuer: the token is of another tenant than the vault.
            Some("AKV10032") => {
                "the login is of another tenant than the vault: set AZURE_TENANT_ID, or `tenant-id` in the store's `auth`"
            }
            _ => {
                "log in again (`az login`), or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
            }
        };
        Error::new(ErrorKind::Unauthenticated, message).with_hint(hint)
    }

    fn forbidden(&self, place: &Place, about: Option<&Name>) -> Error {
        let vault = &place.vault;
        let id = about
            .and_then(|name| place.names.id(name))
            .unwrap_or_default();
        let what = about.map_or_else(|| "its secrets".to_owned(), ToString::to_string);
        let (message, hint) = match &*self.inner {
            "SecretDisabled" => (
                format!("{what} is disabled in the vault"),
                format!("az keyvault secret set-attributes --vault-name {vault} --name {id} --enabled true"),
            ),
            "ForbiddenByFirewall" => (
                "the vault's firewall does not let us in (ForbiddenByFirewall)".to_owned(),
                format!("az keyvault network-rule add --name {vault} --ip-address YOUR-ADDRESS"),
            ),
            "ForbiddenByConnection" => (
                "the vault takes connections from its private network alone (ForbiddenByConnection)".to_owned(),
                "call from inside the network of its private endpoint".to_owned(),
            ),
            _ => (
                format!("we may not do this to {what}{}", self.told()),
                "`secrets doctor --policy` prints the role that is needed".to_owned(),
            ),
        };
        Error::new(ErrorKind::PermissionDenied, message).with_hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Refusal {
        refusal(&RawResponse::from_bytes(
            status.into(),
            Headers::new(),
            body.to_owned(),
        ))
    }

    #[test]
    fn codes_are_read_and_texts_are_not_kept() {
        let body = r#"{"error":{"code":"Forbidden","message":"AKV10046: canary","innererror":{"code":"SecretDisabled"}}}"#;
        let refusal = answered(403, body);
        assert_eq!(
            (&*refusal.code, &*refusal.inner),
            ("Forbidden", "SecretDisabled")
        );
        assert_eq!(refusal.number.as_deref(), Some("AKV10046"));
        assert!(!format!("{refusal:?}").contains("canary"));
    }

    #[test]
    fn what_is_no_error_of_a_vault_is_read_as_none() {
        for body in [
            "",
            "<html>",
            "[]",
            r#"{"error":"x"}"#,
            r#"{"error":{"code":7}}"#,
        ] {
            let refusal = answered(404, body);
            assert_eq!(refusal.code, "");
            assert!(!refusal.is_not_found());
        }
        // A code that is no word may be anything.
        assert_eq!(answered(400, r#"{"error":{"code":"a canary"}}"#).code, "");
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_by_a_date() {
        let after = |text: &'static str| {
            let mut headers = Headers::new();
            headers.insert(RETRY_AFTER, text);
            retry_after(&headers)
        };
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Sun, 06 Nov 1994 08:49:37 GMT"), None);
        assert!(after("Sun, 06 Nov 2094 08:49:37 GMT").is_some());
        assert_eq!(after("soon"), None);
    }

    #[test]
    fn our_own_error_is_found_again_within_the_sdks() {
        let own =
            || Error::new(ErrorKind::RateLimited, "wait").with_retry_after(Duration::from_secs(3));
        let io = std::io::Error::other(own());
        for error in [
            azure_core::Error::new(SdkKind::Io, own()),
            azure_core::Error::new(SdkKind::Io, own()).with_context("more"),
            azure_core::Error::with_error(SdkKind::Credential, io, "failed"),
        ] {
            let Failure::Other(found) = failure(&error) else {
                panic!("it is no answer");
            };
            assert_eq!(found.kind(), ErrorKind::RateLimited);
            assert_eq!(found.retry_after(), Some(Duration::from_secs(3)));
        }
    }
}
