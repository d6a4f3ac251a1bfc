//! Tokens of a managed identity: from the endpoint of an App Service, or from a virtual machine's
//! metadata service.
//!
//! The SDK has a credential for this, which is not used: it reads the process's own environment, and
//! for a virtual machine it retries for 72 seconds whatever its retry options say.
//!
//! App Service: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>
//! Metadata service: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token>

use std::time::{Duration, Instant};

use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as SdkKind;
use azure_core::time::OffsetDateTime;
use secrets_api::{Error, ErrorKind, Opening, Result, async_trait};
use serde::Deserialize;
use url::{Host, Url};

use crate::method::HOW;
use crate::place::wrong;
use crate::transport::Deadline;

/// The metadata service answers from the same host: who is not there within this is not there.
const CONNECT: Duration = Duration::from_secs(1);

const METADATA: &str = "http://169.254.169.254";

/// Which identity, and who speaks for it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Which {
    source: Source,
    /// As the endpoint's query names it.
    id: Option<(&'static str, String)>,
}

#[derive(Clone, PartialEq, Eq)]
enum Source {
    AppService {
        endpoint: String,
        header: Secret,
    },
    Metadata {
        host: String,
    },
    /// An environment that other SDKs know and this does not.
    Unknown(&'static str),
}

impl Which {
    /// The identity that the machine itself has.
    pub(crate) fn system(opening: &Opening<'_>) -> Self {
        Self {
            source: Source::new(opening),
            id: None,
        }
    }

    /// One that was assigned to it: by `client-id`, `object-id` or `resource-id`.
    pub(crate) fn one(opening: &Opening<'_>, key: &str, id: &str) -> Self {
        let source = Source::new(opening);
        let key = match (key, &source) {
            ("client-id", _) => "client_id",
            ("object-id", _) => "object_id",
            (_, Source::AppService { .. }) => "mi_res_id",
            _ => "msi_res_id",
        };
        Self {
            source,
            id: Some((key, id.to_owned())),
        }
    }
}

impl Source {
    fn new(opening: &Opening<'_>) -> Self {
        let set = |name| opening.variable(name);
        match (set("IDENTITY_ENDPOINT"), set("IDENTITY_HEADER")) {
            (Some(_), Some(_)) if set("IDENTITY_SERVER_THUMBPRINT").is_some() => {
                Self::Unknown("Service Fabric")
            }
            (Some(endpoint), Some(header)) => Self::AppService {
                endpoint: endpoint.to_owned(),
                header: Secret::new(header.to_owned()),
            },
            (Some(_), None) if set("IMDS_ENDPOINT").is_some() => Self::Unknown("Azure Arc"),
            // Other Azure SDKs take the metadata service's address from this one.
            _ => Self::Metadata {
                host: set("AZURE_POD_IDENTITY_AUTHORITY_HOST")
                    .unwrap_or(METADATA)
                    .to_owned(),
            },
        }
    }
}

/// The header of an App Service is a credential.
impl std::fmt::Debug for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Which")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Asks for tokens.
#[derive(Debug)]
pub(crate) struct Managed {
    client: reqwest::Client,
    endpoint: Url,
    which: Which,
}

/// What both endpoints answer.
#[derive(Deserialize)]
struct Granted {
    access_token: Secret,
    /// Seconds since the epoch, as a text; as a number from some.
    expires_on: Seconds,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Seconds {
    Text(String),
    Number(i64),
}

impl Seconds {
    fn at(&self) -> Option<OffsetDateTime> {
        let seconds = match self {
            Self::Text(text) => text.parse().ok()?,
            Self::Number(number) => *number,
        };
        OffsetDateTime::from_unix_timestamp(seconds).ok()
    }
}

impl Managed {
    pub(crate) fn new(which: Which) -> Result<Self> {
        let (text, from, path, version) = match &which.source {
            Source::AppService { endpoint, .. } => {
                (endpoint, "IDENTITY_ENDPOINT", None, "2019-08-01")
            }
            Source::Metadata { host } => (
                host,
                "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                Some("/metadata/identity/oauth2/token"),
                "2018-02-01",
            ),
            Source::Unknown(what) => {
                let message = format!("the managed identities of {what} are not supported");
                return Err(Error::unsupported(message).with_hint(HOW));
            }
        };
        let mut endpoint =
            Url::parse(text).map_err(|_| wrong(format!("{from} holds no address")))?;
        if !is_near(&endpoint) {
            let message = format!("{from} is an address beyond this machine");
            return Err(Error::new(ErrorKind::Untrusted, message)
                .with_hint("it is http:// to 127.0.0.1 or to 169.254.…"));
        }
        if let Some(path) = path {
            endpoint.set_path(path);
        }
        {
            let mut query = endpoint.query_pairs_mut();
            query.append_pair("api-version", version);
            if let Some((key, id)) = &which.id {
                query.append_pair(key, id);
            }
        }
        // No TLS is spoken, no proxy stands between, no redirect is followed.
        let client = reqwest::Client::builder()
            .tls_backend_rustls()
            .tls_certs_only([])
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .build()
            .map_err(|_| Error::new(ErrorKind::Unexpected, "no HTTP client can be made"))?;
        Ok(Self {
            client,
            endpoint,
            which,
        })
    }

    async fn token(&self, scope: &str, remaining: Duration) -> Result<AccessToken> {
        let mut url = self.endpoint.clone();
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        url.query_pairs_mut().append_pair("resource", resource);
        let mut request = self.client.get(url).timeout(remaining);
        request = match &self.which.source {
            Source::AppService { header, .. } => {
                request.header("X-IDENTITY-HEADER", header.secret())
            }
            _ => request.header("Metadata", "true"),
        };
        let nobody = "no managed identity answers on this machine";
        let unauthenticated = |message: &str, hint: &str| {
            Err(Error::new(ErrorKind::Unauthenticated, message).with_hint(hint))
        };
        let answer = match request.send().await {
            Ok(answer) => answer,
            // Nobody is there: asked again, nobody would be there.
            Err(error) if error.is_connect() => return unauthenticated(nobody, HOW),
            Err(error) => return Err(secrets_net::failed(error, secrets_net::Sent::Read)),
        };
        match answer.status().as_u16() {
            200 => {}
            400 => {
                return unauthenticated(
                    "this identity is not assigned to this machine",
                    "assign it: az vm identity assign, or az webapp identity assign; one of several is named by `client-id`",
                );
            }
            401 | 403 => {
                return unauthenticated("the managed identity's endpoint does not know us", HOW);
            }
            429 => {
                let message = "the managed identity's endpoint asks for fewer calls";
                return Err(Error::new(ErrorKind::RateLimited, message));
            }
            // "410: the service is being updated", in the metadata service's document.
            404 | 410 | 500.. => {
                let message = "the managed identity's endpoint is not ready";
                return Err(Error::new(ErrorKind::Unavailable, message));
            }
            _ => return unauthenticated(nobody, HOW),
        }
        let strange = || {
            let message = "the managed identity's answer cannot be understood";
            Error::new(ErrorKind::InvalidData, message)
        };
        let body = secrets_net::body(answer, secrets_net::Sent::Read).await;
        let body = body.map_err(|_| strange())?;
        let granted: Granted = serde_json::from_slice(&body).map_err(|_| strange())?;
        let expires = granted.expires_on.at().ok_or_else(strange)?;
        Ok(AccessToken::new(granted.access_token, expires))
    }
}

/// An address of this machine or of its link: what plain HTTP may be spoken to.
fn is_near(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_link_local(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
}

#[async_trait]
impl TokenCredential for Managed {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let context = options
            .as_ref()
            .map(|options| &options.method_options.context);
        let deadline = context.and_then(|context| context.value::<Deadline>());
        let remaining = deadline.map_or(Duration::from_secs(10), |Deadline(at)| {
            at.saturating_duration_since(Instant::now())
        });
        let scope = scopes.first().copied().unwrap_or_default();
        self.token(scope, remaining)
            .await
            .map_err(|error| azure_core::Error::new(SdkKind::Credential, error))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrets_api::StoreUri;
    use secrets_testkit::opening::TestOpening;

    use super::*;

    fn managed(variables: &[(&'static str, &'static str)]) -> Result<Managed> {
        let opening = TestOpening::new().with_variables(variables.iter().copied());
        let uri = StoreUri::parse("azure:shop").unwrap();
        Managed::new(Which::system(&opening.opening(&uri)))
    }

    #[test]
    fn a_credential_goes_no_further_than_this_machine_and_its_link() {
        for (host, near) in [
            ("http://127.0.0.1:41234/msi/token", true),
            ("http://localhost:42356/msi/token", true),
            ("http://169.254.130.5:8081/msi/token", true),
            ("http://10.0.0.1/msi/token", false),
            ("http://example.com/msi/token", false),
            ("http://localhost.example.com/", false),
            ("https://127.0.0.1/msi/token", false),
        ] {
            let made = managed(&[("IDENTITY_ENDPOINT", host), ("IDENTITY_HEADER", "canary")]);
            assert_eq!(made.is_ok(), near, "{host}");
            let shown = match made {
                Ok(managed) => format!("{managed:?}"),
                Err(error) => format!("{error:?}"),
            };
            assert!(!shown.contains("canary"));
        }
        assert!(
            managed(&[])
                .unwrap()
                .endpoint
                .as_str()
                .starts_with(METADATA)
        );
    }

    #[test]
    fn an_environment_that_is_not_known_is_refused_by_name() {
        let arc = [
            ("IDENTITY_ENDPOINT", "http://localhost:1"),
            ("IMDS_ENDPOINT", "http://localhost:2"),
        ];
        let error = managed(&arc).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("Azure Arc"));
    }

    #[test]
    fn the_end_of_a_token_is_read_as_text_or_number() {
        for seconds in ["\"1586984735\"", "1586984735"] {
            let text = format!(r#"{{"access_token":"t","expires_on":{seconds}}}"#);
            let granted: Granted = serde_json::from_str(&text).unwrap();
            assert_eq!(
                granted.expires_on.at().unwrap().unix_timestamp(),
                1_586_984_735
            );
        }
    }
}
