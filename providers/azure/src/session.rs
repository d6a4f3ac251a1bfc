//! What a store needs from its first call on, made then and kept: the client, the login, the SDK's
//! client on top of both. Opening a store makes none of it: that would read files.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use azure_core::http::{ClientMethodOptions, ClientOptions, Context, RetryOptions, Transport};
use azure_security_keyvault_secrets::models::SecretClientGetSecretOptions;
use azure_security_keyvault_secrets::{SecretClient, SecretClientOptions};
use secrets_api::{
    Auth, CredentialCache, CredentialSource, Ctx, Dirs, Error, ErrorKind, KeySource, Opening,
    Result, StoreUri,
};
use secrets_net::{Address, client};
use tokio::sync::OnceCell;

use crate::failure::{Failure, failure};
use crate::login::{Login, Means};
use crate::method::{Method, authority};
use crate::place::Place;
use crate::transport::{Deadline, LoginOnly, Wire};

/// What the store was opened with, owned.
pub(crate) struct Kept {
    uri: StoreUri,
    root: PathBuf,
    environment: String,
    dirs: Dirs,
    machine_key: KeySource,
    identity: KeySource,
    addresses: Vec<String>,
    auth: Option<Auth>,
    credentials: CredentialSource,
    cache: Arc<dyn CredentialCache>,
    timeout: Duration,
    variables: Vec<(OsString, OsString)>,
}

impl Kept {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        Self {
            uri: opening.uri.clone(),
            root: opening.root.to_owned(),
            environment: opening.environment.to_owned(),
            dirs: opening.dirs.clone(),
            machine_key: Arc::clone(&opening.machine_key),
            identity: Arc::clone(&opening.identity),
            addresses: opening.addresses.to_vec(),
            auth: opening.auth.cloned(),
            credentials: Arc::clone(&opening.credentials),
            cache: Arc::clone(&opening.cache),
            timeout: opening.timeout,
            variables: opening.variables.to_vec(),
        }
    }

    pub(crate) fn lend(&self) -> Opening<'_> {
        Opening {
            uri: &self.uri,
            root: &self.root,
            environment: &self.environment,
            dirs: &self.dirs,
            machine_key: Arc::clone(&self.machine_key),
            identity: Arc::clone(&self.identity),
            addresses: &self.addresses,
            plain_http: false,
            auth: self.auth.as_ref(),
            credentials: Arc::clone(&self.credentials),
            cache: Arc::clone(&self.cache),
            timeout: self.timeout,
            variables: &self.variables,
        }
    }
}

/// The SDK's client and what stands below it.
pub(crate) struct Session {
    pub(crate) client: SecretClient,
    pub(crate) wire: Arc<Wire>,
    pub(crate) login: Arc<Login>,
    pub(crate) authority: Address,
    /// Whose signatures on certificates are trusted, for a person.
    pub(crate) roots: String,
    logged_in: OnceCell<()>,
}

impl Session {
    pub(crate) async fn new(kept: &Kept, place: &Place, method: &Method) -> Result<Self> {
        let opening = kept.lend();
        let authority = authority(&opening, place.cloud.authority())?;
        let http = client::builder(&opening)?.build().map_err(|_| unusable())?;
        let vault = &place.vault;
        let unreachable = if kept.addresses.is_empty() {
            format!(
                "is there a vault of this name (az keyvault show --name {vault}), and does its firewall let you in?"
            )
        } else {
            format!("is the address of the store right ({})?", place.endpoint)
        };
        let wire = Arc::new(Wire::new(
            http,
            place.endpoint.clone(),
            authority.clone(),
            place.cloud.resource(),
            kept.timeout,
            unreachable,
        ));
        let means = Means {
            opening: &opening,
            wire: &wire,
            authority: &authority,
            credentials: &opening.credentials,
            resource: place.cloud.resource(),
        };
        let login = Arc::new(Login::new(method, &means).await?);
        let options = SecretClientOptions {
            client_options: ClientOptions {
                retry: RetryOptions::none(),
                transport: Some(Transport::with_policy(Arc::clone(&wire) as _)),
                ..ClientOptions::default()
            },
            // At an address of its own a vault is not below its audience's host. The transport takes
            // no other audience than that of vaults, which the SDK's check does not.
            verify_challenge_resource: Some(kept.addresses.is_empty()),
            ..SecretClientOptions::default()
        };
        let client = SecretClient::new(
            place.endpoint.as_str(),
            Arc::clone(&login) as _,
            Some(options),
        )
        .map_err(|_| unusable())?;
        let roots = match opening.variable("SSL_CERT_FILE") {
            Some(file) => format!("verified, 1.2 or newer, against {file}"),
            None => "verified, 1.2 or newer, against the system's authorities".to_owned(),
        };
        Ok(Self {
            client,
            wire,
            login,
            authority,
            roots,
            logged_in: OnceCell::new(),
        })
    }

    /// Has the SDK take a token for the vault before its first request. It would take one anyway, in
    /// answer to that request's challenge; but it answers one challenge a request, and that is to be the
    /// vault's own, of a token that it refuses.
    pub(crate) async fn log_in(&self, cx: &Ctx) -> Result<()> {
        let take = async || {
            let options = SecretClientGetSecretOptions {
                method_options: ClientMethodOptions {
                    context: context(cx).with_value(LoginOnly),
                },
                ..SecretClientGetSecretOptions::default()
            };
            match self.client.get_secret("0", Some(options)).await {
                Ok(_) => Ok(()),
                Err(error) => match failure(&error) {
                    // Our own transport's answer: there is a token.
                    Failure::Refused(_) => Ok(()),
                    Failure::Other(error) => Err(error),
                },
            }
        };
        self.logged_in.get_or_try_init(take).await.copied()
    }
}

fn unusable() -> Error {
    Error::new(
        ErrorKind::Unexpected,
        "the client for the vault cannot be made",
    )
}

/// The SDK's context of a call, with its end.
pub(crate) fn context(cx: &Ctx) -> Context<'static> {
    Context::new().with_value(Deadline(cx.deadline))
}

/// The same, as most of the SDK's calls take it.
pub(crate) fn options(cx: &Ctx) -> ClientMethodOptions<'static> {
    ClientMethodOptions {
        context: context(cx),
    }
}
