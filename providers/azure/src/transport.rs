//! The one way out for the SDK, for the vault and for logins: our own client, to these two servers and
//! nowhere else, within the time of the call.
//!
//! It must never send a token to another server, follow a redirect, or send anything twice.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use azure_core::Bytes;
use azure_core::credentials::Secret;
use azure_core::error::ErrorKind as SdkKind;
use azure_core::http::headers::{AUTHORIZATION, Headers, WWW_AUTHENTICATE};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{AsyncRawResponse, Body, Context, Method, Request, StatusCode};
use azure_core::time::{OffsetDateTime, parse_rfc7231};
use secrets_api::{Error, ErrorKind, Result, async_trait};
use secrets_net::{Address, Sent, failed};

use crate::entra::refused;
use crate::failure::{not_understood, retry_after};

/// The most that is read of one answer: a page of 25 secrets with all their tags takes a tenth.
const LONGEST_ANSWER: usize = 8 * 1024 * 1024;

/// Until when a call may run; carried by the SDK's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deadline(pub(crate) Instant);

/// Marks a call that is made for its token alone: it goes no further than to us.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoginOnly;

/// The servers of one store, and how they are reached.
pub(crate) struct Wire {
    client: reqwest::Client,
    vault: Address,
    authority: Address,
    /// The one audience we take tokens for.
    resource: &'static str,
    /// Where a call's context says nothing.
    timeout: Duration,
    /// How far the vault's clock is ahead of ours, in seconds, by its last answer.
    ahead: Mutex<Option<i64>>,
    /// The last token that the vault has refused.
    refused: Mutex<Option<Secret>>,
    /// What to look at where the vault cannot be reached.
    unreachable: String,
}

/// What a request is, for what its failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Login,
    Vault(Sent),
}

impl Wire {
    pub(crate) fn new(
        client: reqwest::Client,
        vault: Address,
        authority: Address,
        resource: &'static str,
        timeout: Duration,
        unreachable: String,
    ) -> Self {
        Self {
            client,
            vault,
            authority,
            resource,
            timeout,
            ahead: Mutex::default(),
            refused: Mutex::default(),
            unreachable,
        }
    }

    /// How far the vault's clock is ahead of ours, in seconds.
    pub(crate) fn ahead(&self) -> Option<i64> {
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it was this token that the vault has refused last.
    pub(crate) fn has_refused(&self, token: &Secret) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref() == Some(token)
    }

    async fn exchange(&self, context: &Context<'_>, request: &Request) -> Result<AsyncRawResponse> {
        let url = request.url();
        let authorized = request.headers().get_optional_str(&AUTHORIZATION).is_some();
        let purpose = if self.is_login(request) {
            Purpose::Login
        } else if url.origin() == self.vault.url().origin() {
            if !authorized {
                return Ok(self.challenge());
            }
            if context.value::<LoginOnly>().is_some() {
                return Ok(AsyncRawResponse::from_bytes(
                    StatusCode::NoContent,
                    Headers::new(),
                    Bytes::new(),
                ));
            }
            Purpose::Vault(match request.method() {
                Method::Get | Method::Head => Sent::Read,
                _ => Sent::Write,
            })
        } else {
            return Err(Error::new(
                ErrorKind::Untrusted,
                "the vault names another server to go on at, which gets no token",
            )
            .with_hint("is it a Key Vault that answers at this address?"));
        };
        let (status, headers, body) = self.sent(context, request, purpose).await?;
        let refuses = status >= 400;
        if purpose == Purpose::Login && refuses {
            return Err(refused(status, retry_after(&headers), &body));
        }
        if status == 401 {
            self.check_challenge(&headers)?;
            let token = request.headers().get_optional_str(&AUTHORIZATION);
            let token = token.and_then(|header| header.strip_prefix("Bearer "));
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = token.map(|token| Secret::new(token.to_owned()));
        }
        Ok(AsyncRawResponse::from_bytes(
            StatusCode::from(status),
            headers,
            body,
        ))
    }

    fn is_login(&self, request: &Request) -> bool {
        request.url().origin() == self.authority.url().origin()
            && request.method() == Method::Post
            && request.url().path().ends_with("/oauth2/v2.0/token")
    }

    /// What a vault answers to a request without a token. We know what it would say, and take tokens for
    /// nothing else: answering for it saves a round trip.
    /// <https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses#authentication>
    fn challenge(&self) -> AsyncRawResponse {
        let mut headers = Headers::new();
        let challenge = format!(
            "Bearer authorization=\"{}\", resource=\"{}\"",
            self.authority, self.resource
        );
        headers.insert(WWW_AUTHENTICATE, challenge);
        AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Bytes::new())
    }

    /// A vault that asks for a token of another audience would get one that opens other doors.
    fn check_challenge(&self, headers: &Headers) -> Result<()> {
        let Some(challenge) = headers.get_optional_str(&WWW_AUTHENTICATE) else {
            return Ok(());
        };
        let mut audiences = audiences(challenge).peekable();
        // One in which none is found may be read in another way by the SDK.
        let none = audiences.peek().is_none();
        if !none && audiences.all(|audience| audience == self.resource) {
            return Ok(());
        }
        Err(another_audience())
    }

    async fn sent(
        &self,
        context: &Context<'_>,
        request: &Request,
        purpose: Purpose,
    ) -> Result<(u16, Headers, Bytes)> {
        let sent = match purpose {
            Purpose::Login => Sent::Read,
            Purpose::Vault(sent) => sent,
        };
        let unknown = || Error::new(ErrorKind::Unexpected, "the SDK asks in an unknown way");
        let method = method(request.method()).ok_or_else(unknown)?;
        let mut outgoing = self.client.request(method, request.url().clone());
        for (name, value) in request.headers().iter() {
            outgoing = outgoing.header(name.as_str(), value.as_str());
        }
        if let Body::Bytes(bytes) = request.body() {
            outgoing = outgoing.body(bytes.clone());
        }
        let remaining = match context.value::<Deadline>() {
            Some(Deadline(at)) => at.saturating_duration_since(Instant::now()),
            None => self.timeout,
        };
        if remaining.is_zero() {
            return Err(Error::new(
                ErrorKind::Unavailable,
                "the time for the call is over",
            ));
        }
        let outgoing = outgoing.timeout(remaining);
        let lost = |error| self.lost(error, purpose, sent);
        let mut answer = outgoing.send().await.map_err(lost)?;
        let status = answer.status().as_u16();
        let headers = headers(answer.headers());
        if purpose != Purpose::Login {
            self.look_at_the_clock(answer.headers());
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(too_long(purpose));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, Bytes::from(body)))
    }

    fn lost(&self, error: reqwest::Error, purpose: Purpose, sent: Sent) -> Error {
        let unreachable = error.is_connect();
        let error = failed(error, sent);
        match purpose {
            Purpose::Login => {
                let message = format!("no token can be had: {}", error.message());
                let named = Error::new(error.kind(), message);
                match error.hint() {
                    Some(hint) if error.kind() == ErrorKind::Untrusted => named.with_hint(hint),
                    _ => named.with_hint(format!("tokens come from {}", self.authority)),
                }
            }
            Purpose::Vault(_) if unreachable && error.kind() == ErrorKind::Unavailable => {
                error.with_hint(&*self.unreachable)
            }
            Purpose::Vault(_) => error,
        }
    }

    fn look_at_the_clock(&self, headers: &reqwest::header::HeaderMap) {
        let date = headers.get(reqwest::header::DATE);
        let Some(theirs) = date
            .and_then(|date| date.to_str().ok())
            .and_then(|date| parse_rfc7231(date).ok())
        else {
            return;
        };
        let ahead = theirs.unix_timestamp() - OffsetDateTime::now_utc().unix_timestamp();
        *self.ahead.lock().unwrap_or_else(PoisonError::into_inner) = Some(ahead);
    }
}

// The trait leaves the lifetime out, and async_trait makes another signature of one that names it.
#[allow(elided_lifetimes_in_paths)]
#[async_trait]
impl Policy for Wire {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        _next: &[std::sync::Arc<dyn Policy>],
    ) -> PolicyResult {
        self.exchange(context, request)
            .await
            .map_err(|error| azure_core::Error::new(SdkKind::Other, error))
    }
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire")
            .field("vault", &self.vault)
            .finish_non_exhaustive()
    }
}

/// What a challenge asks tokens for. The SDK takes any key that ends with these words for them,
/// whatever stands before: so do we.
fn audiences(challenge: &str) -> impl Iterator<Item = &str> {
    challenge.match_indices("=\"").filter_map(|(at, equals)| {
        let key = challenge[..at].to_ascii_lowercase();
        if !key.ends_with("resource") && !key.ends_with("scope") {
            return None;
        }
        let value = challenge[at + equals.len()..].split('"').next()?;
        Some(value.strip_suffix("/.default").unwrap_or(value))
    })
}

/// Said in place of a token that is not for vaults, which would open other doors.
pub(crate) fn another_audience() -> Error {
    Error::new(
        ErrorKind::Untrusted,
        "the vault asks for a token that is not for vaults: it gets none",
    )
    .with_hint("is the vault's address right, and is it in this `cloud`?")
}

fn too_long(purpose: Purpose) -> Error {
    match purpose {
        Purpose::Login => Error::new(
            ErrorKind::InvalidData,
            "the login server's answer cannot be understood",
        ),
        Purpose::Vault(Sent::Read) => not_understood(),
        Purpose::Vault(Sent::Write) => Error::new(
            ErrorKind::OutcomeUnknown,
            "the vault's answer to a write cannot be understood",
        ),
    }
}

fn method(method: Method) -> Option<reqwest::Method> {
    Some(match method {
        Method::Delete => reqwest::Method::DELETE,
        Method::Get => reqwest::Method::GET,
        Method::Head => reqwest::Method::HEAD,
        Method::Patch => reqwest::Method::PATCH,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        _ => return None,
    })
}

fn headers(map: &reqwest::header::HeaderMap) -> Headers {
    let mut headers = Headers::new();
    for (name, value) in map {
        if let Ok(value) = value.to_str() {
            headers.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    headers
}
