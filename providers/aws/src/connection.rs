//! The way to the service: region, endpoint, TLS, credentials. The client is built when it is first
//! needed, once, and shared. Every wait and the number of attempts (one) are set here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_config::provider_config::ProviderConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_secretsmanager::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{
    ConfigBag, IdentityCache, Intercept, Region, RuntimeComponents, SharedHttpClient,
};
use aws_sdk_secretsmanager::error::BoxError;
use aws_sdk_secretsmanager::primitives::{DateTime, DateTimeFormat};
use aws_smithy_async::time::SystemTimeSource;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use secrets_api::{Ctx, Error, ErrorKind, Opening, Result};
use secrets_net::{Address, Sent};
use tokio::sync::OnceCell;

use crate::login::{Chain, Login};
use crate::place::Place;
use crate::proxy::Proxy;
use crate::refusal::{self, Clock};
use crate::service::Service;

/// How long a connection may take.
const CONNECT: Duration = secrets_net::client::CONNECT;

/// How to get there, and the client once it was needed.
#[derive(Debug)]
pub(crate) struct Connection {
    region: Option<String>,
    endpoint: Option<Address>,
    sts_endpoint: Option<Address>,
    fips: bool,
    dual_stack: bool,
    role: Option<String>,
    login: Login,
    /// Names the region where nothing else does.
    profile: Chain,
    authorities: Option<PathBuf>,
    proxy: Proxy,
    timeout: Duration,
    clock: Arc<Clock>,
    built: OnceCell<Built>,
}

#[derive(Debug)]
struct Built {
    service: Service,
    config: SdkConfig,
}

impl Connection {
    /// No I/O.
    pub(crate) fn new(opening: &Opening<'_>, place: &Place) -> Result<Self> {
        let plain = opening.plain_http;
        let said = |name: &str| {
            let text = opening.variable(name);
            text.map(|text| Address::parse(text, name, plain))
                .transpose()
        };
        let yes = |name: &str| {
            let text = opening.variable(name);
            text.is_some_and(|text| text.eq_ignore_ascii_case("true"))
        };
        let ignored = yes("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        let of_all = if ignored {
            None
        } else {
            said("AWS_ENDPOINT_URL")?
        };
        let endpoint = match opening.addresses.first() {
            Some(address) => Some(Address::parse(address, "the store's address", plain)?),
            None if ignored => None,
            None => said("AWS_ENDPOINT_URL_SECRETS_MANAGER")?.or_else(|| of_all.clone()),
        };
        let sts = if ignored {
            None
        } else {
            said("AWS_ENDPOINT_URL_STS")?
        };
        // What stands in for AWS on this machine stands in for all of it.
        let stand_in = endpoint.clone().filter(Address::is_loopback);
        Ok(Self {
            region: place.region.clone(),
            sts_endpoint: sts.or(of_all).or(stand_in),
            endpoint,
            fips: yes("AWS_USE_FIPS_ENDPOINT"),
            dual_stack: yes("AWS_USE_DUALSTACK_ENDPOINT"),
            role: place.role.clone(),
            login: Login::new(opening, place)?,
            profile: Chain::new(opening, place),
            authorities: opening.variable("SSL_CERT_FILE").map(PathBuf::from),
            proxy: Proxy::new(opening),
            timeout: opening.timeout,
            clock: Arc::default(),
            built: OnceCell::new(),
        })
    }

    /// The service's calls.
    ///
    /// # Errors
    /// `InvalidConfig` where no region is known, or `SSL_CERT_FILE` holds no certificates.
    pub(crate) async fn service(&self) -> Result<&Service> {
        Ok(&self.built().await?.service)
    }

    /// Whose secrets the answers so far were about; nothing before the first that says so.
    pub(crate) fn owner(&self) -> Option<String> {
        self.built.get()?.service.owner()
    }

    /// Where it is, as a person would say it.
    pub(crate) fn endpoint(&self) -> String {
        match (&self.endpoint, &self.region) {
            (Some(address), _) => address.to_string(),
            (None, Some(region)) => format!("AWS Secrets Manager in {region}"),
            (None, None) => "AWS Secrets Manager in the profile's region".to_owned(),
        }
    }

    /// Whether it is spoken to over TLS.
    pub(crate) fn is_tls(&self) -> bool {
        self.endpoint.as_ref().is_none_or(Address::is_tls)
    }

    /// Who we are: the ARN that STS gives. Needs no permission (API reference, GetCallerIdentity).
    pub(crate) async fn caller(&self, cx: &Ctx) -> Result<Option<String>> {
        let config = &self.built().await?.config;
        let mut sts = aws_sdk_sts::config::Builder::from(config);
        sts.set_endpoint_url(self.sts_endpoint.as_ref().map(|a| a.as_str().to_owned()));
        let client = aws_sdk_sts::Client::from_conf(sts.build());
        let deadline = tokio::time::Instant::from_std(cx.deadline);
        let asked = tokio::time::timeout_at(deadline, client.get_caller_identity().send()).await;
        let failed = |error| refusal::of(&error, "sts:GetCallerIdentity", Sent::Read, &self.clock);
        match asked {
            Ok(answer) => Ok(answer.map_err(failed)?.arn),
            Err(_) => Err(refusal::Refusal::late(Sent::Read).into()),
        }
    }

    async fn built(&self) -> Result<&Built> {
        self.built.get_or_try_init(|| self.build()).await
    }

    async fn build(&self) -> Result<Built> {
        let region = match &self.region {
            Some(region) => region.clone(),
            None => self.profile.region().await.ok_or_else(|| {
                Error::new(ErrorKind::InvalidConfig, "no AWS region is known").with_hint(
                    "write `?region=eu-west-1` in the store's address, or set AWS_REGION",
                )
            })?,
        };
        let region = Region::new(region);
        let sts_is_plain = self.sts_endpoint.as_ref().is_some_and(|a| !a.is_tls());
        // Roots are loaded where TLS is spoken, and when it is first spoken.
        let speaks_tls = self.is_tls() || !sts_is_plain || matches!(self.login, Login::Chain(_));
        let tls = if speaks_tls { self.tls()? } else { plain() };
        let service_client = if self.is_tls() { tls.clone() } else { plain() };
        let sts_client = if sts_is_plain { plain() } else { tls.clone() };
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .read_timeout(self.timeout)
            .build();
        let of_login = ProviderConfig::without_region()
            .with_region(Some(region.clone()))
            .with_http_client(tls)
            .with_retry_config(RetryConfig::disabled())
            .with_timeout_config(timeouts.clone());
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Some(region))
            .http_client(sts_client)
            .time_source(SystemTimeSource::new())
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .use_fips(self.fips)
            .use_dual_stack(self.dual_stack)
            .identity_cache(IdentityCache::lazy().load_timeout(self.timeout).build())
            .credentials_provider(self.login.provider(&of_login))
            .build();
        if let Some(role) = &self.role {
            let mut sts = config.clone().into_builder();
            sts.set_endpoint_url(self.sts_endpoint.as_ref().map(|a| a.as_str().to_owned()));
            let assumed = AssumeRoleProvider::builder(role)
                .session_name("secrets")
                .configure(&sts.build())
                .build()
                .await;
            config = config
                .into_builder()
                .credentials_provider(SharedCredentialsProvider::new(assumed))
                .build();
        }
        let mut service = aws_sdk_secretsmanager::config::Builder::from(&config);
        service.set_http_client(Some(service_client));
        service.set_endpoint_url(self.endpoint.as_ref().map(|a| a.as_str().to_owned()));
        let service = service.interceptor(Watch(Arc::clone(&self.clock))).build();
        let client = aws_sdk_secretsmanager::Client::from_conf(service);
        Ok(Built {
            service: Service::new(client, Arc::clone(&self.clock)),
            config,
        })
    }

    /// The client for TLS: the roots that `SSL_CERT_FILE` names, else the system's. It goes by a proxy for
    /// TLS alone: of the credentials' sources some are spoken to over plain HTTP.
    fn tls(&self) -> Result<SharedHttpClient> {
        let mut context = TlsContext::builder();
        if let Some(path) = &self.authorities {
            let pem = secrets_net::client::read(path, "SSL_CERT_FILE")?;
            check(&pem)?;
            let store = TrustStore::empty().with_pem_certificate(pem);
            context = context.with_trust_store(store);
        }
        let unusable = |_| Error::new(ErrorKind::Unexpected, "TLS cannot be set up");
        let context = context.build().map_err(unusable)?;
        let proxy = self.proxy.config()?;
        Ok(
            Builder::new().build_with_connector_fn(move |settings, components| {
                let mut connector = Connector::builder();
                connector.set_connector_settings(settings.cloned());
                connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
                connector
                    .proxy_config(proxy.clone())
                    .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
                    .tls_context(context.clone())
                    .build()
            }),
        )
    }
}

/// The client for plain HTTP, which is for this machine: no roots, no proxy.
pub(crate) fn plain() -> SharedHttpClient {
    Builder::new().build_http()
}

/// Refuses a file that the SDK would panic about.
fn check(pem: &[u8]) -> Result<()> {
    let wrong = || {
        Error::new(
            ErrorKind::InvalidConfig,
            "SSL_CERT_FILE holds no certificates in PEM",
        )
        .with_hint("name a file of `-----BEGIN CERTIFICATE-----` blocks, or unset SSL_CERT_FILE")
    };
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(pem) {
        let der = der.map_err(|_| wrong())?;
        roots.add(der).map_err(|_| wrong())?;
    }
    if roots.is_empty() {
        Err(wrong())
    } else {
        Ok(())
    }
}

/// Reads the service's clock off its answers.
#[derive(Debug)]
struct Watch(Arc<Clock>);

impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "Watch"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date");
        let theirs = date.and_then(|text| DateTime::from_str(text, DateTimeFormat::HttpDate).ok());
        let ours = SystemTime::now().duration_since(UNIX_EPOCH);
        if let (Some(theirs), Ok(ours)) = (theirs, ours)
            && let Ok(ours) = i64::try_from(ours.as_secs())
        {
            self.0.set(theirs.secs() - ours);
        }
        Ok(())
    }
}
