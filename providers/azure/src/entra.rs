//! What those who give tokens say: why there is none, and whom one is for. Their texts are not
//! repeated: they quote what was sent.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrets_api::{Error, ErrorKind};
use serde::Deserialize;

use crate::failure::number;
use crate::method::HOW;

/// What the login server says where it gives no token.
#[derive(Deserialize, Default)]
struct Refused {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    error_description: Option<String>,
}

/// Why no token was given. The server's text is not repeated: it quotes what was sent.
/// <https://learn.microsoft.com/entra/identity-platform/reference-error-codes>
pub(crate) fn refused(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Error {
    let said = serde_json::from_slice::<Refused>(body).unwrap_or_default();
    let number = number(
        said.error_description.as_deref().unwrap_or_default(),
        "AADSTS",
    );
    let told = match (&number, said.error.as_deref()) {
        (Some(number), _) => format!(" ({number})"),
        (None, Some(word))
            if word.chars().all(|c| c.is_ascii_lowercase() || c == '_') && word.len() < 40 =>
        {
            format!(" ({word})")
        }
        _ => String::new(),
    };
    let error = |kind, message: &str, hint: &str| {
        Error::new(kind, format!("{message}{told}")).with_hint(hint)
    };
    let unauthenticated =
        |message: &str, hint: &str| error(ErrorKind::Unauthenticated, message, hint);
    let error = match (status, number.as_deref()) {
        (429, _) => error(
            ErrorKind::RateLimited,
            "the login server asks for fewer calls",
            "wait a little",
        ),
        (500.., _) => error(
            ErrorKind::Unavailable,
            "the login server has failed",
            "try again in a little while",
        ),
        (_, Some("AADSTS7000222")) => unauthenticated(
            "the client secret has expired",
            "make a new one: az ad app credential reset --id CLIENT-ID --append",
        ),
        (_, Some("AADSTS7000215")) => unauthenticated(
            "the client secret is wrong",
            "give the secret's value, not its id; a new one: az ad app credential reset --id CLIENT-ID --append",
        ),
        (_, Some("AADSTS700016")) => unauthenticated(
            "the tenant has no such application",
            "check AZURE_CLIENT_ID (`client-id`) and AZURE_TENANT_ID (`tenant-id`)",
        ),
        (_, Some("AADSTS90002" | "AADSTS900023")) => unauthenticated(
            "there is no such tenant",
            "check AZURE_TENANT_ID (`tenant-id`): az account show --query tenantId",
        ),
        (_, Some("AADSTS70021" | "AADSTS700211" | "AADSTS700212" | "AADSTS700213")) => {
            unauthenticated(
                "the application trusts no such workload",
                "compare issuer, subject and audience: az identity federated-credential list, or az ad app federated-credential list",
            )
        }
        (_, Some("AADSTS700024")) => unauthenticated(
            "the workload's token has expired, or the clocks differ",
            "is the file of AZURE_FEDERATED_TOKEN_FILE being renewed, and is the clock right?",
        ),
        _ => unauthenticated("the login was refused", HOW),
    };
    match retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// Whom a token is for, to be shown: its claims are read and not relied on.
/// <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
pub(crate) fn claims(token: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Claims {
        upn: Option<String>,
        unique_name: Option<String>,
        appid: Option<String>,
        oid: Option<String>,
        tid: Option<String>,
    }
    let payload = token.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    let user = claims.upn.or(claims.unique_name).and_then(shown);
    let who = user
        .or_else(|| Some(format!("application {}", shown(claims.appid?)?)))
        .or_else(|| Some(format!("object {}", shown(claims.oid?)?)))?;
    Some(match claims.tid.and_then(shown) {
        Some(tenant) => format!("{who} in tenant {tenant}"),
        None => who,
    })
}

fn shown(text: String) -> Option<String> {
    let fits = !text.is_empty()
        && text.len() <= 120
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "@._#+-".contains(c));
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_refusal_is_told_by_its_number_and_its_text_is_not_repeated() {
        let body = |number: &str| {
            format!(r#"{{"error":"invalid_client","error_description":"{number}: canary"}}"#)
        };
        for (number, says) in [
            ("AADSTS7000222", "expired"),
            ("AADSTS7000215", "wrong"),
            ("AADSTS700016", "application"),
            ("AADSTS90002", "tenant"),
            ("AADSTS1", "refused"),
        ] {
            let error = refused(401, None, body(number).as_bytes());
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(error.message().contains(says) && error.message().contains(number));
            assert!(!format!("{error:?}").contains("canary"));
        }
        assert_eq!(
            refused(429, Some(Duration::from_secs(2)), b"").kind(),
            ErrorKind::RateLimited
        );
        assert_eq!(refused(503, None, b"<html>").kind(), ErrorKind::Unavailable);
    }

    #[test]
    fn the_identity_is_read_from_the_token_and_bounded() {
        let token = |claims: &str| format!("x.{}.y", URL_SAFE_NO_PAD.encode(claims));
        assert_eq!(
            claims(&token(r#"{"appid":"a-1","oid":"o","tid":"t-1"}"#)).unwrap(),
            "application a-1 in tenant t-1"
        );
        assert_eq!(
            claims(&token(r#"{"upn":"ann@example.com"}"#)).unwrap(),
            "ann@example.com"
        );
        assert_eq!(claims(&token(r#"{"oid":"\u001b[31m"}"#)), None);
        assert_eq!(claims("opaque"), None);
    }
}
