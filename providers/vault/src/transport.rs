//! Requests to the servers of one store, over one pool of connections: another server where one is
//! dead, redirects to trusted servers alone, and on a cluster our own writes read back.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http::header::{HeaderValue, LOCATION};
use reqwest::Client;
use rustify::endpoint::Endpoint;
use secrets_api::{Ctx, Error, ErrorKind, Opening, Result, SecretValue, Timestamp};
use secrets_net::client::{self, Roots};
use secrets_net::{Address, Sent, failed};
use tokio::sync::OnceCell;

use crate::answer::Answer;

const TOKEN: &str = "x-vault-token";
const NAMESPACE: &str = "x-vault-namespace";
const INDEX: &str = "x-vault-index";
/// Most servers one request is sent on to, one after the other.
const HOPS: usize = 5;

/// What has been learnt of the servers.
#[derive(Debug, Default)]
struct Learnt {
    /// Which of the addresses is spoken to.
    current: usize,
    /// How far the cluster had come at our last write: reads ask for no less.
    index: Option<String>,
    /// The server's clock less ours, in seconds.
    skew: Option<i64>,
    /// Whether an answer was lost, so that the next request is to find the leader first.
    find_leader: bool,
}

/// The servers of one store.
pub(crate) struct Transport {
    addresses: Vec<Address>,
    namespace: Option<HeaderValue>,
    builder: Mutex<Option<reqwest::ClientBuilder>>,
    client: OnceCell<Client>,
    learnt: Mutex<Learnt>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The variable of OpenBao, else that of Vault: `BAO_ADDR`, `VAULT_ADDR`.
pub(crate) fn variable<'a>(opening: &'a Opening<'_>, name: &str) -> Option<(String, &'a str)> {
    ["BAO", "VAULT"].into_iter().find_map(|prefix| {
        let name = format!("{prefix}_{name}");
        opening.variable(&name).map(|value| (name.clone(), value))
    })
}

fn addresses(opening: &Opening<'_>) -> Result<Vec<Address>> {
    if !opening.addresses.is_empty() {
        let parse =
            |text: &String| Address::parse(text, "an address of the store", opening.plain_http);
        return opening.addresses.iter().map(parse).collect();
    }
    let Some((name, text)) = variable(opening, "ADDR") else {
        return Err(Error::new(ErrorKind::InvalidConfig, "no server's address is known").with_hint(
            "set VAULT_ADDR (or BAO_ADDR), or `addresses = [\"https://…\"]` below the store in secrets.toml",
        ));
    };
    Ok(vec![Address::parse(text, &name, opening.plain_http)?])
}

/// Nobody turns verification off by a variable.
fn refuse_unverified(opening: &Opening<'_>) -> Result<()> {
    let Some((name, text)) = variable(opening, "SKIP_VERIFY") else {
        return Ok(());
    };
    if matches!(text.to_ascii_lowercase().as_str(), "0" | "f" | "false") {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidConfig,
        format!("{name} asks for TLS that is not verified, and secrets go over no such connection"),
    )
    .with_hint(format!(
        "unset {name}, and name the authority in VAULT_CACERT"
    )))
}

fn roots(opening: &Opening<'_>, addresses: &[Address]) -> Result<Roots> {
    if !addresses.iter().any(Address::is_tls) {
        return Ok(Roots::None);
    }
    match variable(opening, "CACERT") {
        Some((name, path)) => Ok(Roots::Pem(client::read(path.as_ref(), &name)?)),
        None => Ok(Roots::System),
    }
}

impl Transport {
    /// No I/O but reading certificates.
    pub(crate) fn new(
        opening: &Opening<'_>,
        namespace: Option<&str>,
        certificate: Option<reqwest::Identity>,
    ) -> Result<Self> {
        refuse_unverified(opening)?;
        let addresses = addresses(opening)?;
        let mut builder = client::with_roots(opening, &roots(opening, &addresses)?)?
            .https_only(addresses.iter().all(Address::is_tls));
        let direct = |address: &Address| !address.is_tls() || address.is_loopback();
        if addresses.iter().any(direct) {
            // A proxy is another machine: it would be shown a token that is not encrypted, and knows no
            // way to what runs on ours.
            builder = builder.no_proxy();
        }
        if let Some(certificate) = certificate {
            builder = builder.identity(certificate);
        }
        let named = variable(opening, "NAMESPACE").map(|(_, text)| text);
        let namespace = namespace.or(named).map(HeaderValue::from_str);
        let namespace = namespace.transpose().map_err(|_| {
            Error::new(
                ErrorKind::InvalidConfig,
                "the namespace holds characters it cannot hold",
            )
        })?;
        Ok(Self {
            addresses,
            namespace,
            builder: Mutex::new(Some(builder)),
            client: OnceCell::new(),
            learnt: Mutex::default(),
        })
    }

    /// All servers that a token may go to.
    pub(crate) fn servers(&self) -> String {
        let all: Vec<&str> = self.addresses.iter().map(Address::as_str).collect();
        all.join(",")
    }

    /// The server spoken to.
    pub(crate) fn address(&self) -> &Address {
        let current = lock(&self.learnt).current;
        &self.addresses[current % self.addresses.len()]
    }

    /// The namespace; empty for that of the root.
    pub(crate) fn namespace(&self) -> &str {
        let namespace = self.namespace.as_ref().and_then(|name| name.to_str().ok());
        namespace.unwrap_or_default()
    }

    /// The server's clock less ours, in seconds, once it has answered.
    pub(crate) fn skew(&self) -> Option<i64> {
        lock(&self.learnt).skew
    }

    async fn client(&self) -> Result<&Client> {
        let make = || async {
            let builder = lock(&self.builder).take();
            let client = builder
                .map(reqwest::ClientBuilder::build)
                .and_then(Result::ok);
            client.ok_or_else(|| Error::new(ErrorKind::Unexpected, "no TLS client can be made"))
        };
        self.client.get_or_try_init(make).await
    }

    /// Sends a request, to another server where this one is dead or says so. The answer may be a
    /// refusal.
    ///
    /// # Errors
    /// That of the request that got no answer; `Untrusted` for a redirect to an address that nobody
    /// has trusted.
    pub(crate) async fn send<E: Endpoint>(
        &self,
        cx: &Ctx,
        token: Option<&SecretValue>,
        endpoint: &E,
        sent: Sent,
    ) -> Result<Answer> {
        if std::mem::take(&mut lock(&self.learnt).find_leader) {
            self.find_leader(cx).await;
        }
        let mut dead = 0;
        for _ in 0..HOPS + self.addresses.len() {
            // One that hangs leaves time for the others. A write that hangs may be carried out: it is
            // waited for.
            let share = match sent {
                Sent::Read => {
                    let left = self.addresses.len().saturating_sub(dead).max(1);
                    let left = u32::try_from(left).unwrap_or(u32::MAX);
                    Ctx {
                        deadline: Instant::now() + cx.remaining() / left,
                        ..*cx
                    }
                }
                Sent::Write => *cx,
            };
            let answer = match self.exchange(&share, token, endpoint, sent).await {
                Ok(answer) => answer,
                Err(error) => {
                    dead += 1;
                    let unsent = error.kind() == ErrorKind::Unavailable && sent == Sent::Write
                        || sent == Sent::Read;
                    self.turn_away(error.kind());
                    if unsent && dead < self.addresses.len() && cx.remaining().as_millis() > 0 {
                        continue;
                    }
                    return Err(error);
                }
            };
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                if answer.status >= 500 {
                    self.turn_away(if sent == Sent::Write {
                        ErrorKind::OutcomeUnknown
                    } else {
                        ErrorKind::Unavailable
                    });
                }
                return Ok(answer);
            }
            self.follow(&answer)?;
        }
        Err(Error::new(
            ErrorKind::Unavailable,
            "the servers send us from one to another",
        ))
    }

    /// After a failure: the next request goes to another server; where an answer may have been lost,
    /// to the leader.
    fn turn_away(&self, kind: ErrorKind) {
        let mut learnt = lock(&self.learnt);
        learnt.current = (learnt.current + 1) % self.addresses.len();
        learnt.find_leader |= kind == ErrorKind::OutcomeUnknown && self.addresses.len() > 1;
    }

    /// Turns to the server that a redirect names.
    fn follow(&self, answer: &Answer) -> Result<()> {
        let location = answer
            .headers
            .get(LOCATION)
            .and_then(|text| text.to_str().ok());
        let target = location.and_then(|text| {
            let mut url = url::Url::parse(text).ok()?;
            url.set_query(None);
            url.set_fragment(None);
            Address::parse(url.as_str(), "the redirect", true).ok()
        });
        let Some(target) = target else {
            return Err(Error::new(
                ErrorKind::Unexpected,
                "the server redirects to no address",
            ));
        };
        let known = self
            .addresses
            .iter()
            .position(|a| a.is_same_server(&target));
        let Some(known) = known else {
            let other = target.url().origin().ascii_serialization();
            return Err(Error::new(
                ErrorKind::Untrusted,
                format!("the server sends us on to {other}, which nobody has trusted: no token goes there"),
            )
            .with_hint("if it is one of its own, add it to `addresses` below the store in secrets.toml"));
        };
        lock(&self.learnt).current = known;
        Ok(())
    }

    /// Asks the servers who leads, and turns to it: reads there are never stale.
    async fn find_leader(&self, cx: &Ctx) {
        #[derive(serde::Deserialize)]
        struct Leader {
            #[serde(default)]
            leader_address: String,
        }
        for at in 0..self.addresses.len() {
            lock(&self.learnt).current = at;
            let asked = crate::requests::Raw::get("sys/leader".to_owned());
            let Ok(answer) = self.exchange(cx, None, &asked, Sent::Read).await else {
                continue;
            };
            let Ok(leader) = answer.json::<Leader>() else {
                continue;
            };
            let Ok(leader) = Address::parse(&leader.leader_address, "the leader", true) else {
                continue;
            };
            if let Some(known) = self
                .addresses
                .iter()
                .position(|a| a.is_same_server(&leader))
            {
                lock(&self.learnt).current = known;
                return;
            }
        }
    }

    /// One request, one answer.
    async fn exchange<E: Endpoint>(
        &self,
        cx: &Ctx,
        token: Option<&SecretValue>,
        endpoint: &E,
        sent: Sent,
    ) -> Result<Answer> {
        let unusable = || Error::new(ErrorKind::InvalidConfig, "the request cannot be made");
        let mut request = self.request(endpoint).ok_or_else(unusable)?;
        let headers = request.headers_mut();
        if let Some(token) = token {
            headers.insert(TOKEN, token_header(token)?);
        }
        // Keeps other sites' pages from sending requests through a browser; the servers' agents ask
        // for it.
        headers.insert("x-vault-request", HeaderValue::from_static("true"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        if let Some(namespace) = &self.namespace {
            headers.insert(NAMESPACE, namespace.clone());
        }
        if let Some(index) = lock(&self.learnt).index.as_deref() {
            if let Ok(index) = HeaderValue::from_str(index) {
                headers.insert(INDEX, index);
            }
            headers.insert(
                "x-vault-inconsistent",
                HeaderValue::from_static("forward-active-node"),
            );
        }
        *request.timeout_mut() = Some(cx.remaining());
        let started = Timestamp::now();
        let response = self.client().await?.execute(request).await;
        let response = response.map_err(|error| failed(error, sent))?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = secrets_net::body(response, sent).await?;
        self.learn(&headers, started, sent);
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// The endpoint's request at the server spoken to, below `/v1`.
    fn request<E: Endpoint>(&self, endpoint: &E) -> Option<reqwest::Request> {
        let mut url = self.address().url().clone();
        // vaultrs 0.8 has a tab before some of its paths.
        let path = endpoint.path();
        url.path_segments_mut()
            .ok()?
            .pop_if_empty()
            .push("v1")
            .extend(path.trim().trim_start_matches('/').split('/'));
        url.set_query(endpoint.query().ok()?.as_deref());
        let mut request = reqwest::Request::new(endpoint.method().into(), url);
        *request.body_mut() = endpoint.body().ok()?.map(reqwest::Body::from);
        Some(request)
    }

    fn learn(&self, headers: &http::HeaderMap, started: Timestamp, sent: Sent) {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let mut learnt = lock(&self.learnt);
        if let Some(index) = text(INDEX).filter(|_| sent == Sent::Write) {
            learnt.index = Some(index.to_owned());
        }
        let date = text("date").and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        if let Some(date) = date {
            learnt.skew = Some(date.timestamp().as_second() - started.as_second());
        }
    }
}

fn token_header(token: &SecretValue) -> Result<HeaderValue> {
    let unusable = |_| {
        Error::new(
            ErrorKind::Unauthenticated,
            "the token holds characters that no token has",
        )
        .with_hint("is it a file with more than the token in it?")
    };
    let mut header = HeaderValue::from_bytes(token.expose()).map_err(unusable)?;
    header.set_sensitive(true);
    Ok(header)
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("addresses", &self.addresses)
            .finish_non_exhaustive()
    }
}
