//! A login that lasts: one token for all calls, renewed in time, taken anew where it was refused.
//! The token goes to the servers of this store alone, and into no message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustify::endpoint::Endpoint;
use secrets_api::{
    CredentialCache, Ctx, Error, ErrorKind, Opening, Result, SecretValue, Timestamp, Zeroizing,
};
use secrets_net::Sent;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use vaultrs::api::auth::{approle, oidc, userpass};
use vaultrs::api::{sys, token};

use crate::answer::Answer;
use crate::login::{Login, Method};
use crate::requests::Raw;
use crate::transport::Transport;

/// Ten years, in seconds: longer than any token is meant to last.
const LONGEST_LIFE: u64 = 10 * 365 * 24 * 60 * 60;

/// A token we hold.
struct Token {
    value: Arc<SecretValue>,
    /// When it is to be renewed, at two thirds of its life; `None`: it is not ours to renew.
    renew: Option<Instant>,
    renewable: bool,
}

/// What a login answers, under `auth`.
#[derive(Deserialize)]
struct Granted {
    auth: Option<Grant>,
}

#[derive(Deserialize)]
struct Grant {
    client_token: Zeroizing<String>,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    renewable: bool,
}

/// A token kept between runs, with its end.
#[derive(Serialize, Deserialize)]
struct Cached {
    token: Zeroizing<String>,
    /// Seconds since the epoch.
    expires: i64,
}

/// The servers and who we are to them.
pub(crate) struct Session {
    pub(crate) transport: Transport,
    login: Login,
    token: Mutex<Option<Token>>,
    cache: Arc<dyn CredentialCache>,
    /// Under which a token is kept between runs: project, servers, namespace and login, nothing
    /// secret.
    cache_key: String,
    /// The secret id that a wrapping token held, which opens once.
    unwrapped: Mutex<Option<SecretValue>>,
}

impl Session {
    /// No I/O but reading certificates.
    pub(crate) fn new(opening: &Opening<'_>, namespace: Option<&str>) -> Result<Self> {
        let (login, certificate) = Login::new(opening)?;
        let transport = Transport::new(opening, namespace, certificate)?;
        let how = opening
            .auth
            .map(|auth| format!("{auth:?}"))
            .unwrap_or_default();
        // Relative paths of a login start in the project's folder; a certificate may be named by a
        // variable.
        let (servers, namespace) = (transport.servers(), transport.namespace());
        let (root, certificate) = (opening.root.display(), Login::certificate_file(opening));
        let cache_key = format!("{servers} {namespace} {root} {certificate} {how}");
        Ok(Self {
            transport,
            login,
            token: Mutex::default(),
            cache: Arc::clone(&opening.cache),
            cache_key,
            unwrapped: Mutex::default(),
        })
    }

    /// One call as who we are. The answer may be a refusal; a token that was refused is replaced once
    /// where the login can be repeated: a refused call has no effect.
    pub(crate) async fn call<E: Endpoint>(
        &self,
        cx: &Ctx,
        endpoint: E,
        sent: Sent,
    ) -> Result<Answer> {
        let token = self.token(cx).await?;
        let answer = self
            .transport
            .send(cx, Some(&token), &endpoint, sent)
            .await?;
        if !answer.refuses_token() || !self.login.can_repeat() {
            return Ok(answer);
        }
        let fresh = self.replace(cx, &token).await?;
        self.transport.send(cx, Some(&fresh), &endpoint, sent).await
    }

    /// The same where only a success is of use.
    pub(crate) async fn succeed<E: Endpoint>(
        &self,
        cx: &Ctx,
        endpoint: E,
        sent: Sent,
    ) -> Result<Answer> {
        let answer = self.call(cx, endpoint, sent).await?;
        if answer.is_success() {
            Ok(answer)
        } else {
            Err(answer.refusal(sent))
        }
    }

    async fn token(&self, cx: &Ctx) -> Result<Arc<SecretValue>> {
        let mut held = self.token.lock().await;
        if let Some(token) = &mut *held {
            if token.renew.is_some_and(|at| Instant::now() >= at) {
                self.renew(cx, token).await?;
            }
            return Ok(Arc::clone(&token.value));
        }
        let token = match self.cached().await {
            Some(token) => token,
            None => self.log_in(cx).await?,
        };
        let value = Arc::clone(&token.value);
        *held = Some(token);
        Ok(value)
    }

    /// A new login in place of a refused token, unless another call has made one meanwhile.
    async fn replace(&self, cx: &Ctx, refused: &SecretValue) -> Result<Arc<SecretValue>> {
        let mut held = self.token.lock().await;
        match &*held {
            Some(token) if !token.value.same_as(refused) => Ok(Arc::clone(&token.value)),
            _ => {
                let token = self.log_in(cx).await?;
                let value = Arc::clone(&token.value);
                *held = Some(token);
                Ok(value)
            }
        }
    }

    async fn renew(&self, cx: &Ctx, held: &mut Token) -> Result<()> {
        if held.renewable {
            let request = token::requests::RenewTokenSelfRequest { increment: None };
            let answer = self
                .transport
                .send(cx, Some(&held.value), &request, Sent::Read)
                .await?;
            if answer.is_success() {
                let granted: Granted = answer.json()?;
                if let Some(grant) = granted.auth {
                    *held = Token::from(&grant);
                    return Ok(());
                }
            }
        }
        if self.login.can_repeat() {
            *held = self.log_in(cx).await?;
        } else {
            // It is used until the server refuses it.
            held.renew = None;
        }
        Ok(())
    }

    /// One request, on the connection that all others use.
    async fn log_in(&self, cx: &Ctx) -> Result<Token> {
        let text = |value: &SecretValue| value.expose_text().unwrap_or_default().to_owned();
        let answer = match &self.login.method {
            Method::Kept(kept) => {
                let (kept, until) = (Arc::clone(kept), cx.deadline);
                let found = tokio::task::spawn_blocking(move || kept.find(until)).await;
                let found = found.map_err(|_| {
                    Error::new(ErrorKind::Unexpected, "the token could not be looked for")
                })?;
                return Ok(Token::lasting(found?));
            }
            Method::Token { token } => {
                let found = self.login.fetch(token).await?;
                return Ok(Token::lasting(SecretValue::from_slice(
                    found.expose().trim_ascii(),
                )));
            }
            Method::AppRole {
                mount,
                role_id,
                secret_id,
                wrapped,
            } => {
                let secret_id = if *wrapped {
                    self.unwrapped(cx, secret_id, mount).await?
                } else {
                    self.login.fetch(secret_id).await?
                };
                let request = approle::requests::LoginWithApproleRequest {
                    mount: mount.clone(),
                    role_id: role_id.clone(),
                    secret_id: text(&secret_id),
                };
                self.transport.send(cx, None, &request, Sent::Read).await?
            }
            Method::Userpass {
                mount,
                username,
                password,
            } => {
                let request = userpass::requests::LoginRequest {
                    mount: mount.clone(),
                    username: username.clone(),
                    password: text(&self.login.fetch(password).await?),
                };
                self.transport.send(cx, None, &request, Sent::Read).await?
            }
            Method::Jwt { mount, role, jwt } => {
                let statement = text(&self.login.statement(cx, jwt).await?);
                // Kubernetes asks for the same two, under the same names.
                let request = oidc::requests::JWTLoginRequest {
                    mount: mount.clone(),
                    jwt: statement,
                    role: role.clone(),
                };
                self.transport.send(cx, None, &request, Sent::Read).await?
            }
            Method::Certificate { mount, name } => {
                // vaultrs names the role `cert_name`; the interface knows it as `name`
                // (<https://developer.hashicorp.com/vault/api-docs/auth/cert#login-with-tls-certificate-method>).
                let body = serde_json::json!({ "name": name }).to_string();
                let request = Raw::post(
                    format!("auth/{mount}/login"),
                    Zeroizing::new(body.into_bytes()),
                );
                self.transport.send(cx, None, &request, Sent::Read).await?
            }
        };
        let grant = granted(&answer)?;
        let token = Token::from(&grant);
        self.keep(&grant).await;
        Ok(token)
    }

    /// The wrapped secret id, opened once however often the login is tried.
    async fn unwrapped(&self, cx: &Ctx, reference: &str, mount: &str) -> Result<SecretValue> {
        let mut held = self.unwrapped.lock().await;
        if held.is_none() {
            let wrapping = self.login.fetch(reference).await?;
            *held = Some(self.unwrap(cx, &wrapping, mount).await?);
        }
        let opened = held.as_ref().map(SecretValue::duplicate);
        opened.ok_or_else(|| Error::new(ErrorKind::Unexpected, "the secret id is not there"))
    }

    /// The secret id under a wrapping token: the only one to have opened it, or an error that says
    /// that somebody else has.
    async fn unwrap(&self, cx: &Ctx, wrapping: &SecretValue, mount: &str) -> Result<SecretValue> {
        #[derive(Deserialize)]
        struct Unwrapped {
            data: Inner,
        }
        #[derive(Deserialize)]
        struct Inner {
            secret_id: Zeroizing<String>,
        }
        #[derive(Deserialize)]
        struct Looked {
            data: Wrapping,
        }
        #[derive(Deserialize)]
        struct Wrapping {
            creation_path: String,
        }
        let wrapping = SecretValue::from_slice(wrapping.expose().trim_ascii());
        let spoilt = |what: &str| {
            Error::new(
                ErrorKind::Unauthenticated,
                format!("the wrapped secret id {what}"),
            )
            .with_hint(
                "somebody else may have opened it: have a new one made, and the old one revoked",
            )
        };
        // A wrapping token is for one use: where it came from is looked at first.
        let request = sys::requests::WrappingLookupRequest {
            token: wrapping.expose_text().unwrap_or_default().to_owned(),
        };
        let answer = self.transport.send(cx, None, &request, Sent::Read).await?;
        if matches!(answer.status, 400 | 403 | 404) {
            return Err(spoilt(
                "is not there any more: it was opened, or its time is over",
            ));
        }
        if !answer.is_success() {
            return Err(answer.refusal(Sent::Read));
        }
        let looked: Looked = answer.json()?;
        let made_here = looked
            .data
            .creation_path
            .starts_with(&format!("auth/{mount}/role/"))
            && looked.data.creation_path.ends_with("/secret-id");
        if !made_here {
            return Err(spoilt("was not made by the login's own role"));
        }
        let request = sys::requests::UnwrapRequest { token: None };
        let answer = self
            .transport
            .send(cx, Some(&wrapping), &request, Sent::Write)
            .await?;
        if !answer.is_success() {
            return Err(spoilt(
                "is not there any more: it was opened, or its time is over",
            ));
        }
        let unwrapped: Unwrapped = answer.json()?;
        Ok(SecretValue::from_slice(unwrapped.data.secret_id.as_bytes()))
    }

    async fn cached(&self) -> Option<Token> {
        if !self.login.cached {
            return None;
        }
        // What cannot be read is not there: we log in.
        let kept = self.cache.get(&self.cache_key).await.ok().flatten()?;
        let cached: Cached = serde_json::from_slice(kept.expose()).ok()?;
        let left = cached.expires - Timestamp::now().as_second();
        (left > 30).then(|| Token {
            value: Arc::new(SecretValue::from_slice(cached.token.as_bytes())),
            renew: None,
            renewable: false,
        })
    }

    /// Keeps the token where that was asked for. That it cannot be kept is no reason to fail: the next
    /// run logs in again.
    async fn keep(&self, grant: &Grant) {
        if !self.login.cached || grant.lease_duration == 0 {
            return;
        }
        let lasts = i64::try_from(grant.lease_duration).unwrap_or(i64::MAX / 2);
        let cached = Cached {
            token: grant.client_token.clone(),
            expires: Timestamp::now().as_second().saturating_add(lasts),
        };
        if let Ok(text) = serde_json::to_vec(&cached) {
            let _ = self
                .cache
                .put(&self.cache_key, &SecretValue::from_vec(text))
                .await;
        }
    }
}

/// What a login granted.
fn granted(answer: &Answer) -> Result<Grant> {
    let refused = |what: &str, hint: &str| {
        Error::new(
            ErrorKind::Unauthenticated,
            format!("the login was refused: {what}"),
        )
        .with_hint(hint)
    };
    if answer.is_success() {
        let granted: Granted = answer.json()?;
        return granted
            .auth
            .ok_or_else(|| refused("no token was granted", "is the mount a login's?"));
    }
    match answer.status {
        // Whoever is not logged in is not told which logins there are: 403 may be a mount without one.
        400 | 401 | 403 | 404 => Err(refused(
            "the server does not take these credentials at this mount",
            "are role and credential right and still valid? `vault auth list` shows the mounts of logins",
        )),
        _ => Err(answer.refusal(Sent::Read)),
    }
}

impl Token {
    /// One that others made: they renew it.
    fn lasting(value: SecretValue) -> Self {
        Self {
            value: Arc::new(value),
            renew: None,
            renewable: false,
        }
    }
}

impl From<&Grant> for Token {
    fn from(grant: &Grant) -> Self {
        // A server may say any time; no clock goes further than this.
        let life = Duration::from_secs(grant.lease_duration.min(LONGEST_LIFE));
        Self {
            value: Arc::new(SecretValue::from_slice(grant.client_token.as_bytes())),
            // A lifetime of zero has no end.
            renew: (!life.is_zero()).then(|| Instant::now() + life * 2 / 3),
            renewable: grant.renewable,
        }
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}
