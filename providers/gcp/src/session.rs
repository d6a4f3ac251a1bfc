//! The client, made at the first call and shared from then on, and every request's time limit.

use std::sync::Arc;
use std::time::Duration;

use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::Result as Answered;
use google_cloud_gax::client_builder::internal::with_follow_redirects;
use google_cloud_gax::retry_policy::NeverRetry;
use google_cloud_secretmanager_v1::client::SecretManagerService;
use secrets_api::{Ctx, Error, ErrorKind, Opening, Result};
use secrets_net::{Address, Sent};
use tokio::sync::Mutex;

use crate::failure::{self, Failed, Method};
use crate::login::Login;
use crate::place::Place;
use crate::proxy::Proxies;

/// How much earlier than the caller we give up, so that the caller hears of each change by itself.
const EARLIER: Duration = Duration::from_millis(50);

/// A client that has a token.
pub(crate) struct Session {
    pub(crate) client: SecretManagerService,
    credentials: Credentials,
    pub(crate) identity: String,
}

/// How to get one.
pub(crate) struct Link {
    pub(crate) endpoint: Address,
    login: Login,
    timeout: Duration,
    session: Mutex<Option<Arc<Session>>>,
}

impl Link {
    pub(crate) fn new(opening: &Opening<'_>, place: &Place) -> Result<Self> {
        let own = place.endpoint();
        let address = opening.addresses.first().unwrap_or(&own);
        let endpoint = Address::parse(address, "`addresses`", opening.plain_http)?;
        let proxies = Proxies::new(opening);
        proxies.check(endpoint.url())?;
        Ok(Self {
            login: Login::new(opening, &endpoint, proxies)?,
            endpoint,
            timeout: opening.timeout,
            session: Mutex::default(),
        })
    }

    /// A client that has a token. A token is had before anything is sent, so that a login that hangs is
    /// not taken for a change that may have happened. One that failed is forgotten: the next call logs
    /// in anew, where the library would repeat its error.
    pub(crate) async fn session(&self, cx: &Ctx) -> Result<Arc<Session>> {
        let logged_in = async {
            let mut kept = self.session.lock().await;
            let session = match &*kept {
                Some(session) => Arc::clone(session),
                None => Arc::clone(kept.insert(Arc::new(self.connect().await?))),
            };
            match session.credentials.headers(http::Extensions::new()).await {
                Ok(_) => Ok(session),
                Err(error) => {
                    *kept = None;
                    Err(failure::not_logged_in(&error))
                }
            }
        };
        let ended = tokio::time::timeout(budget(cx), logged_in).await;
        ended.unwrap_or_else(|_| {
            Err(
                Error::new(ErrorKind::Unavailable, "the login to Google took too long").with_hint(
                    "is there a network, and is this machine at Google if it logs in as itself?",
                ),
            )
        })
    }

    async fn connect(&self) -> Result<Session> {
        let logged_in = self.login.log_in().await?;
        let builder = SecretManagerService::builder()
            .with_endpoint(self.endpoint.as_str())
            .with_credentials(logged_in.credentials.clone())
            .with_retry_policy(NeverRetry)
            .with_attempt_timeout(self.timeout);
        // A redirect could carry a value elsewhere: the library would repeat a request's body there.
        let client = with_follow_redirects(builder, false).build().await;
        Ok(Session {
            client: client.map_err(|error| unusable(&error))?,
            credentials: logged_in.credentials,
            identity: logged_in.identity,
        })
    }
}

/// The client cannot be made; the library's own text is not passed on.
fn unusable(error: &google_cloud_gax::client_builder::Error) -> Error {
    if error.is_universe_domain_mismatch() {
        return Error::new(
            ErrorKind::InvalidConfig,
            "GOOGLE_CLOUD_UNIVERSE_DOMAIN names another cloud than the credentials are for",
        )
        .with_hint("unset it");
    }
    Error::new(
        ErrorKind::InvalidConfig,
        "the client for Google cannot be made",
    )
    .with_hint("if SSL_CERT_FILE is set, is it a file of certificates?")
}

/// What is left of the caller's time, for us.
fn budget(cx: &Ctx) -> Duration {
    let left = cx.remaining();
    left.checked_sub(EARLIER).unwrap_or(left)
}

/// Sends one request and waits for its answer, once and no longer than the caller's time.
pub(crate) async fn ask<T>(
    cx: &Ctx,
    place: &Place,
    method: Method,
    request: impl Future<Output = Answered<T>>,
) -> std::result::Result<T, Failed> {
    let budget = budget(cx);
    if budget.is_zero() {
        // Nothing has been sent, and nothing will be.
        let over = failure::unanswered("the time is over", Sent::Read);
        return Err(Failed::from(over.at_store(&place.location)));
    }
    let mut failed = match tokio::time::timeout(budget, request).await {
        Ok(Ok(answer)) => return Ok(answer),
        Ok(Err(refusal)) => failure::understood(&refusal, method, place),
        Err(_) => failure::unanswered("Google did not answer in time", method.sent).into(),
    };
    failed.error = failed.error.at_store(&place.location);
    Err(failed)
}
