//! Credentials and the profile's region: what was given first, then the SDK's own chain in its own
//! order. What comes after the first that answers is never asked.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::imds;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::ProvideRegion as _;
#[allow(deprecated)] // The new names are in a crate that only renames them.
use aws_config::profile::profile_file::{ProfileFileKind, ProfileFiles};
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::{StaticConfiguration, WebIdentityTokenCredentialsProvider};
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{
    ProvideCredentials, Result as Provided, SharedCredentialsProvider, future,
};
use secrets_api::{CredentialSource, Error, ErrorKind, Opening, Result};

use crate::connection::plain;
use crate::place::Place;

/// How long the instance's metadata may take to be reached: it is on the machine, or nowhere.
const PROBE: Duration = Duration::from_secs(1);

/// Where credentials come from.
pub(crate) enum Login {
    /// Keys of the environment.
    Keys(Credentials),
    /// Keys kept in other stores, by the manifest's `auth`.
    Kept(Kept),
    /// The SDK's chain from the profile on.
    Chain(Chain),
}

/// The chain's settings.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    profile: Option<String>,
    config: Option<PathBuf>,
    credentials: Option<PathBuf>,
    web_identity: Option<StaticConfiguration>,
    container: bool,
    instance: bool,
    /// Where the instance's metadata is, if elsewhere than the SDK thinks.
    metadata: Option<String>,
}

/// Keys that are fetched when they are needed.
#[derive(Clone)]
pub(crate) struct Kept {
    id: String,
    secret: String,
    token: Option<String>,
    source: CredentialSource,
}

impl Login {
    pub(crate) fn new(opening: &Opening<'_>, place: &Place) -> Result<Self> {
        if let Some(auth) = opening.auth {
            return kept(opening, auth).map(Self::Kept);
        }
        // A profile that the address names goes before keys that happen to be in the environment.
        if place.profile.is_none()
            && let (Some(id), Some(secret)) = (
                opening.variable("AWS_ACCESS_KEY_ID"),
                opening.variable("AWS_SECRET_ACCESS_KEY"),
            )
        {
            let token = opening.variable("AWS_SESSION_TOKEN").map(str::to_owned);
            let keys = Credentials::new(id, secret, token, None, "environment");
            return Ok(Self::Keys(keys));
        }
        Ok(Self::Chain(Chain::new(opening, place)))
    }

    /// The provider of credentials. `config` is what its own requests are made with.
    pub(crate) fn provider(&self, config: &ProviderConfig) -> SharedCredentialsProvider {
        match self {
            Self::Keys(keys) => SharedCredentialsProvider::new(keys.clone()),
            Self::Kept(kept) => SharedCredentialsProvider::new(kept.clone()),
            Self::Chain(chain) => SharedCredentialsProvider::new(chain.provider(config)),
        }
    }
}

/// Never shows a key.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keys(_) => "Keys",
            Self::Kept(_) => "Kept",
            Self::Chain(_) => "Chain",
        })
    }
}

/// `auth = { method = "keys", access-key-id = "AKIA…", secret-access-key = "keyring:…" }`.
fn kept(opening: &Opening<'_>, auth: &secrets_api::Auth) -> Result<Kept> {
    let wrong = |what: String| {
        Error::new(ErrorKind::InvalidConfig, what).with_hint(
            "auth = { method = \"keys\", access-key-id = \"AKIA…\", secret-access-key = \"keyring:SERVICE/ITEM\" }; without auth AWS's own ways are used: profile, SSO, web identity, container, instance",
        )
    };
    if auth.method != "keys" {
        return Err(wrong(format!("AWS has no auth method `{}`", auth.method)));
    }
    let known = ["access-key-id", "secret-access-key", "session-token"];
    if let Some(other) = auth
        .settings
        .keys()
        .find(|key| !known.contains(&key.as_str()))
    {
        return Err(wrong(format!(
            "auth method `keys` has no setting `{other}`"
        )));
    }
    let need = |key: &str| {
        let found = auth.get(key).map(str::to_owned);
        found.ok_or_else(|| wrong(format!("auth method `keys` needs `{key}`")))
    };
    Ok(Kept {
        id: need("access-key-id")?,
        secret: need("secret-access-key")?,
        token: auth.get("session-token").map(str::to_owned),
        source: opening.credentials.clone(),
    })
}

impl Kept {
    async fn fetch(&self) -> Provided {
        let text = async |reference: &str| {
            let failed = |_| CredentialsError::invalid_configuration("a kept key cannot be had");
            let value = (self.source)(reference).await.map_err(failed)?;
            let text = value.expose_text().map(|text| text.trim().to_owned());
            text.ok_or_else(|| CredentialsError::invalid_configuration("a kept key is no text"))
        };
        let secret = text(&self.secret).await?;
        let token = match &self.token {
            Some(reference) => Some(text(reference).await?),
            None => None,
        };
        Ok(Credentials::new(&self.id, secret, token, None, "kept"))
    }
}

impl ProvideCredentials for Kept {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.fetch())
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

impl Chain {
    pub(crate) fn new(opening: &Opening<'_>, place: &Place) -> Self {
        let file = |variable: &str, name: &str| {
            let named = opening.variable(variable).map(PathBuf::from);
            Some(named.unwrap_or_else(|| opening.dirs.home.join(".aws").join(name)))
        };
        let text = |name: &str| opening.variable(name).map(str::to_owned);
        let web_identity = text("AWS_WEB_IDENTITY_TOKEN_FILE").zip(text("AWS_ROLE_ARN"));
        let container = [
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ];
        let disabled = text("AWS_EC2_METADATA_DISABLED");
        Self {
            profile: place.profile.clone().or_else(|| text("AWS_PROFILE")),
            config: file("AWS_CONFIG_FILE", "config"),
            credentials: file("AWS_SHARED_CREDENTIALS_FILE", "credentials"),
            web_identity: web_identity.map(|(file, role)| StaticConfiguration {
                web_identity_token_file: file.into(),
                role_arn: role,
                session_name: text("AWS_ROLE_SESSION_NAME").unwrap_or_else(|| "secrets".to_owned()),
            }),
            container: container
                .iter()
                .any(|name| opening.variable(name).is_some()),
            // A profile that was asked for by name is the one way, or none.
            instance: place.profile.is_none()
                && disabled.is_none_or(|text| !text.eq_ignore_ascii_case("true")),
            metadata: text("AWS_EC2_METADATA_SERVICE_ENDPOINT"),
        }
    }

    /// The files that are there: one that is named and missing would be an error of its own.
    #[allow(deprecated)]
    fn files(&self) -> Option<ProfileFiles> {
        let mut files = ProfileFiles::builder();
        let mut any = false;
        for (kind, path) in [
            (ProfileFileKind::Config, &self.config),
            (ProfileFileKind::Credentials, &self.credentials),
        ] {
            if let Some(path) = path.as_ref().filter(|path| path.is_file()) {
                files = files.with_file(kind, path);
                any = true;
            }
        }
        any.then(|| files.build())
    }

    fn provider(&self, config: &ProviderConfig) -> CredentialsProviderChain {
        // The chain starts with something: what has nothing to give.
        let mut chain = CredentialsProviderChain::first_try("Nothing", Nothing);
        if let Some(files) = self.files() {
            let mut profile = ProfileFileCredentialsProvider::builder()
                .configure(config)
                .profile_files(files);
            if let Some(name) = &self.profile {
                profile = profile.profile_name(name);
            }
            chain = chain.or_else("Profile", profile.build());
        }
        if let Some(settings) = &self.web_identity {
            let web = WebIdentityTokenCredentialsProvider::builder()
                .configure(config)
                .static_configuration(settings.clone());
            chain = chain.or_else("WebIdentityToken", web.build());
        }
        if self.container {
            let container = EcsCredentialsProvider::builder().configure(config);
            chain = chain.or_else("EcsContainer", container.build());
        }
        if self.instance {
            let direct = config.clone().with_http_client(plain());
            let mut client = imds::Client::builder()
                .configure(&direct)
                .max_attempts(1)
                .connect_timeout(PROBE);
            // What is no address the SDK meets as well, and says so.
            if let Some(endpoint) = &self.metadata
                && let Ok(elsewhere) = client.clone().endpoint(endpoint)
            {
                client = elsewhere;
            }
            let instance = ImdsCredentialsProvider::builder()
                .configure(&direct)
                .imds_client(client.build());
            chain = chain.or_else("Ec2InstanceMetadata", instance.build());
        }
        chain
    }

    /// The region the profile names.
    pub(crate) async fn region(&self) -> Option<String> {
        let mut profile = ProfileFileRegionProvider::builder().profile_files(self.files()?);
        if let Some(name) = &self.profile {
            profile = profile.profile_name(name);
        }
        let region = profile.build().region().await?;
        Some(region.as_ref().to_owned())
    }
}

/// Has no credentials to give.
#[derive(Debug)]
struct Nothing;

impl ProvideCredentials for Nothing {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let none = "no keys in the environment";
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded(none)))
    }
}
