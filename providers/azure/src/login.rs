//! Who we are to the vault: the credential that was chosen, on our own client, and what it remembers. A
//! credential gets into no message.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use azure_core::cloud::{CloudConfiguration, CustomConfiguration};
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind as SdkKind;
use azure_core::http::{ClientOptions, RetryOptions, Transport};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, ClientAssertionCredentialOptions,
    ClientSecretCredential, ClientSecretCredentialOptions, WorkloadIdentityCredential,
    WorkloadIdentityCredentialOptions,
};
use secrets_api::{CredentialSource, Error, ErrorKind, Opening, Result, async_trait};
use secrets_net::Address;

use crate::cli::{Az, Profile};
use crate::entra::claims;
use crate::failure::{Failure, again, failure};
use crate::keep::Keep;
use crate::managed::{Managed, Which};
use crate::method::{HOW, Kept, Method};
use crate::place::wrong;
use crate::transport::{Deadline, Wire, another_audience};

/// What a credential is made with.
pub(crate) struct Means<'a> {
    pub(crate) opening: &'a Opening<'a>,
    pub(crate) wire: &'a Arc<Wire>,
    pub(crate) authority: &'a Address,
    pub(crate) credentials: &'a CredentialSource,
    /// What the tokens are for.
    pub(crate) resource: &'static str,
}

/// Makes a credential; no I/O but reading a workload's file.
type Make = Box<dyn Fn() -> Result<Arc<dyn TokenCredential>> + Send + Sync>;

/// A login that remembers who it is, and that it has failed: calls that wait for one token are not
/// each to wait for a dead server in turn.
pub(crate) struct Login {
    inner: Mutex<Arc<dyn TokenCredential>>,
    /// Makes the credential anew: the SDK's own keep their token and give it again after the vault has
    /// refused it.
    make: Make,
    wire: Arc<Wire>,
    /// The one scope that tokens are asked for.
    scope: String,
    keep: Option<Keep>,
    /// How it is done, for a person.
    pub(crate) how: String,
    failed: Mutex<Option<(Deadline, Error)>>,
    who: Mutex<Option<String>>,
}

impl Login {
    pub(crate) async fn new(method: &Method, means: &Means<'_>) -> Result<Self> {
        let any_account = Method::Cli {
            tenant: None,
            subscription: None,
        };
        let method = match method {
            Method::Unconfigured if Az::new(means.opening).is_installed() => &any_account,
            method => method,
        };
        let profile = matches!(method, Method::Cli { .. }).then(|| Profile::new(means.opening));
        let (make, how): (Make, String) = match method {
            Method::ClientSecret {
                tenant,
                client,
                secret,
            } => (
                client_secret(tenant, client, secret, means).await?,
                format!("a client secret of application {client}"),
            ),
            Method::WorkloadIdentity {
                tenant,
                client,
                file,
            } => (
                workload(tenant, client, file, means),
                format!("a workload identity of application {client}"),
            ),
            Method::ManagedIdentity(which) => managed(which.clone()),
            Method::Cli {
                tenant,
                subscription,
            } => cli(Az::new(means.opening), tenant.clone(), subscription.clone()),
            Method::Unconfigured => managed(Which::system(means.opening)),
        };
        let key = format!("{} {} {method:?}", means.authority, means.resource);
        Ok(Self {
            scope: format!("{}/.default", means.resource),
            keep: Keep::new(means.opening, key, profile)?,
            inner: Mutex::new(make()?),
            make,
            wire: Arc::clone(means.wire),
            how,
            failed: Mutex::default(),
            who: Mutex::default(),
        })
    }

    fn inner(&self) -> Arc<dyn TokenCredential> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&inner)
    }

    /// A token that the vault has not refused: one kept from an earlier run, or one that is asked for.
    async fn fresh(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let keep = self.keep.as_ref();
        let Some((keep, key)) = keep.and_then(|keep| Some((keep, keep.key()?))) else {
            return self.asked(scopes, options).await;
        };
        if let Some(token) = keep.get(&key).await
            && !self.wire.has_refused(&token.token)
        {
            return Ok(token);
        }
        let token = self.asked(scopes, options).await?;
        // Whose it is cannot be told where somebody else has logged in meanwhile.
        if keep.key().as_ref() == Some(&key) {
            keep.put(&key, &token).await;
        }
        Ok(token)
    }

    async fn asked(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let token = self.inner().get_token(scopes, options.clone()).await?;
        if !self.wire.has_refused(&token.token) {
            return Ok(token);
        }
        let anew =
            (self.make)().map_err(|error| azure_core::Error::new(SdkKind::Credential, error))?;
        *self.inner.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&anew);
        anew.get_token(scopes, options).await
    }

    /// Who the last token was for.
    pub(crate) fn who(&self) -> Option<String> {
        let who = self.who.lock().unwrap_or_else(PoisonError::into_inner);
        who.clone()
    }

    fn remembered(&self, deadline: Option<Deadline>) -> Option<Error> {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let (of, error) = failed.as_ref()?;
        (Some(*of) == deadline).then(|| again(error))
    }
}

#[async_trait]
impl TokenCredential for Login {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        // What the SDK asks for it has read in a vault's challenge.
        if scopes != [self.scope.as_str()] {
            return Err(azure_core::Error::new(
                SdkKind::Credential,
                another_audience(),
            ));
        }
        let context = options
            .as_ref()
            .map(|options| &options.method_options.context);
        let deadline = context.and_then(|context| context.value::<Deadline>().copied());
        if let Some(error) = self.remembered(deadline) {
            return Err(azure_core::Error::new(SdkKind::Credential, error));
        }
        let until = deadline.map_or_else(
            || Instant::now() + Duration::from_secs(30),
            |Deadline(at)| at,
        );
        let asked = tokio::time::timeout_at(until.into(), self.fresh(scopes, options));
        let error = match asked.await {
            Ok(Ok(token)) => {
                let mut who = self.who.lock().unwrap_or_else(PoisonError::into_inner);
                *who = claims(token.token.secret());
                return Ok(token);
            }
            Ok(Err(error)) => match failure(&error) {
                Failure::Other(error) => error,
                Failure::Refused(_) => {
                    Error::new(ErrorKind::Unauthenticated, "the login was refused")
                }
            },
            Err(_) => Error::new(ErrorKind::Unavailable, "no token could be had in time")
                .with_hint(format!("the login is by {}", self.how)),
        };
        if let Some(deadline) = deadline {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            *failed = Some((deadline, again(&error)));
        }
        Err(azure_core::Error::new(SdkKind::Credential, error))
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("how", &self.how)
            .finish_non_exhaustive()
    }
}

/// How the SDK's own requests for tokens are made: on our client, once.
fn client_options(means: &Means<'_>) -> ClientOptions {
    let mut cloud = CustomConfiguration::default();
    cloud.authority_host = means.authority.as_str().to_owned();
    ClientOptions {
        retry: RetryOptions::none(),
        transport: Some(Transport::with_policy(Arc::clone(means.wire) as _)),
        cloud: Some(Arc::new(CloudConfiguration::from(cloud))),
        ..ClientOptions::default()
    }
}

async fn client_secret(
    tenant: &str,
    client: &str,
    secret: &Kept,
    means: &Means<'_>,
) -> Result<Make> {
    let secret = match secret {
        Kept::Variable => means
            .opening
            .variable("AZURE_CLIENT_SECRET")
            .unwrap_or_default()
            .to_owned(),
        Kept::At(reference) => {
            let value = (means.credentials)(reference).await?;
            let text = value.expose_text().map(ToOwned::to_owned);
            text.ok_or_else(|| wrong("the client secret is no text"))?
        }
    };
    if secret.is_empty() {
        return Err(
            Error::new(ErrorKind::Unauthenticated, "the client secret is empty").with_hint(HOW),
        );
    }
    let (tenant, client) = (tenant.to_owned(), client.to_owned());
    let (secret, options) = (Secret::new(secret), client_options(means));
    Ok(Box::new(move || {
        let options = ClientSecretCredentialOptions {
            client_options: options.clone(),
        };
        let made =
            ClientSecretCredential::new(&tenant, client.clone(), secret.clone(), Some(options));
        Ok(made.map_err(|_| wrong("the login by a client secret cannot be set up"))?)
    }))
}

fn workload(tenant: &str, client: &str, file: &std::path::Path, means: &Means<'_>) -> Make {
    let (tenant, client, file) = (tenant.to_owned(), client.to_owned(), file.to_owned());
    let options = client_options(means);
    Box::new(move || {
        let options = WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions {
                client_options: options.clone(),
            },
            client_id: Some(client.clone()),
            tenant_id: Some(tenant.clone()),
            token_file_path: Some(file.clone()),
        };
        let made = WorkloadIdentityCredential::new(Some(options));
        Ok(made.map_err(|_| {
            let message = format!(
                "the workload's token file {} cannot be read",
                file.display()
            );
            Error::new(ErrorKind::Unauthenticated, message).with_hint(
                "is the service account's token mounted there? (AZURE_FEDERATED_TOKEN_FILE)",
            )
        })?)
    })
}

fn managed(which: Which) -> (Make, String) {
    let make = Box::new(move || Ok(Arc::new(Managed::new(which.clone())?) as _));
    (make, "a managed identity".to_owned())
}

fn cli(az: Az, tenant_id: Option<String>, subscription: Option<String>) -> (Make, String) {
    let az = Arc::new(az);
    let make = Box::new(move || {
        let made = AzureCliCredential::new(Some(AzureCliCredentialOptions {
            subscription: subscription.clone(),
            tenant_id: tenant_id.clone(),
            executor: Some(Arc::clone(&az) as _),
        }));
        let made = made.map_err(|_| wrong("the login by the Azure CLI cannot be set up"))?;
        Ok(made as _)
    });
    (make, "the Azure CLI".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicUsize, Ordering};

    use azure_core::time::OffsetDateTime;
    use secrets_api::StoreUri;
    use secrets_net::client::{Roots, with_roots};
    use secrets_testkit::opening::TestOpening;

    use super::*;

    /// Gives a token for whatever it is asked for.
    #[derive(Debug, Default)]
    struct Willing(AtomicUsize);

    #[async_trait]
    impl TokenCredential for Willing {
        async fn get_token(
            &self,
            scopes: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            self.0.fetch_add(1, Ordering::SeqCst);
            let expires = OffsetDateTime::now_utc() + Duration::from_secs(3600);
            Ok(AccessToken::new(Secret::new(scopes.join(" ")), expires))
        }
    }

    #[tokio::test]
    async fn no_token_is_had_or_kept_for_anything_but_vaults() {
        const VAULTS: &str = "https://vault.azure.net";
        let kept = TestOpening::new().with_auth("cli", &[("cache", "keyring")]);
        let uri = StoreUri::parse("azure:shop").unwrap();
        let opening = kept.opening(&uri);
        let address = |text: &str| Address::parse(text, "a test", false).unwrap();
        let wire = Wire::new(
            with_roots(&opening, &Roots::None).unwrap().build().unwrap(),
            address("https://vault.example.com"),
            address("https://login.example.com"),
            VAULTS,
            Duration::from_secs(1),
            String::new(),
        );
        let willing = Arc::new(Willing::default());
        let login = Login {
            inner: Mutex::new(Arc::clone(&willing) as _),
            make: Box::new(|| Ok(Arc::new(Willing::default()) as _)),
            wire: Arc::new(wire),
            scope: format!("{VAULTS}/.default"),
            keep: Keep::new(&opening, "key".to_owned(), None).unwrap(),
            how: String::new(),
            failed: Mutex::default(),
            who: Mutex::default(),
        };
        let refused = async || {
            for scopes in [
                &["https://graph.microsoft.com/.default"][..],
                &["https://vault.azure.net//.default"],
                &["https://vault.azure.net"],
                &["https://vault.azure.net/.default", "openid"],
                &[],
            ] {
                let error = login.get_token(scopes, None).await.unwrap_err();
                let Failure::Other(error) = failure(&error) else {
                    panic!("it is no answer");
                };
                assert_eq!(error.kind(), ErrorKind::Untrusted, "{scopes:?}");
            }
        };
        refused().await;
        assert!(kept.cache.is_empty());
        assert_eq!(willing.0.load(Ordering::SeqCst), 0);
        let scope = ["https://vault.azure.net/.default"];
        let token = login.get_token(&scope, None).await.unwrap();
        assert_eq!(token.token.secret(), scope[0]);
        assert_eq!(kept.cache.len(), 1);
        // The one that is kept is not handed on either.
        refused().await;
        assert_eq!(willing.0.load(Ordering::SeqCst), 1);
    }
}
