//! Who we are to Google: a service account's key, or the credentials that are there by Google's own rules
//! (application default credentials).
//!
//! `auth.method` is one of
//! - `service-account`: `key` names where the key file's content is kept;
//! - `application-default`, also where none is named: the file that GOOGLE_APPLICATION_CREDENTIALS names,
//!   the one that `gcloud auth application-default login` leaves, the machine's metadata server
//!   (<https://cloud.google.com/docs/authentication/application-default-credentials>);
//! - `anonymous`: nobody, for a server on this machine alone.
//!
//! Nothing is read and nobody is asked before the first call, and the metadata server only where nothing
//! else is there. A key must never be shown or kept in an error.

use std::path::{Path, PathBuf};

use google_cloud_auth::build_errors::Error as BuildError;
use google_cloud_auth::credentials::{
    Credentials, anonymous, external_account, impersonated, mds, service_account, user_account,
};
use google_cloud_gax::retry_policy::NeverRetry;
use secrets_api::{Auth, CredentialSource, Error, ErrorKind, Opening, Result, SecretValue};
use secrets_net::Address;
use serde_json::Value;
use url::Url;

use crate::proxy::Proxies;

/// The only part of Google's cloud this provider is for; others have hosts of their own.
const UNIVERSE: &str = "googleapis.com";

/// Where `gcloud` keeps its files, below the home folder.
const GCLOUD: &str = ".config/gcloud";
const WELL_KNOWN: &str = "application_default_credentials.json";

/// The metadata server's own address: <https://cloud.google.com/compute/docs/metadata/overview>
const METADATA: &str = "metadata.google.internal";

const METHODS: &str =
    "the methods are service-account (with `key`), application-default and anonymous";

/// How we log in.
enum Way {
    /// By the key that this reference names.
    Key(String),
    /// By what is there.
    Default,
    /// Not at all.
    Anonymous,
}

/// What it takes to log in.
pub(crate) struct Login {
    way: Way,
    /// What GOOGLE_APPLICATION_CREDENTIALS names.
    named: Option<PathBuf>,
    well_known: PathBuf,
    metadata: Option<String>,
    quota_project: Option<String>,
    credentials: CredentialSource,
    proxies: Proxies,
}

/// Credentials, and whose they are.
pub(crate) struct LoggedIn {
    pub(crate) credentials: Credentials,
    pub(crate) identity: String,
}

fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

/// Nothing of a setting's content is shown: a reference may be a key in the wrong place.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.way {
            Way::Key(_) => "Login(service-account)",
            Way::Default => "Login(application-default)",
            Way::Anonymous => "Login(anonymous)",
        })
    }
}

impl Login {
    pub(crate) fn new(opening: &Opening<'_>, endpoint: &Address, proxies: Proxies) -> Result<Self> {
        let way = match opening.auth {
            None => Way::Default,
            Some(auth) => way(auth)?,
        };
        if matches!(way, Way::Anonymous) && !endpoint.is_loopback() {
            let message = "nobody is served by Google without credentials";
            return Err(wrong(message)
                .with_hint("`anonymous` is for a server on this machine, named in `addresses`"));
        }
        let gcloud = match opening.variable("CLOUDSDK_CONFIG") {
            Some(folder) => PathBuf::from(folder),
            None => opening.dirs.home.join(GCLOUD),
        };
        let metadata = opening.variable("GCE_METADATA_HOST").map(str::to_owned);
        metadata.as_deref().map_or(Ok(()), check_host)?;
        Ok(Self {
            way,
            named: opening
                .variable("GOOGLE_APPLICATION_CREDENTIALS")
                .map(PathBuf::from),
            well_known: gcloud.join(WELL_KNOWN),
            metadata,
            quota_project: opening
                .variable("GOOGLE_CLOUD_QUOTA_PROJECT")
                .map(str::to_owned),
            credentials: opening.credentials.clone(),
            proxies,
        })
    }

    /// Reads what is named, and asks nobody yet.
    pub(crate) async fn log_in(&self) -> Result<LoggedIn> {
        match &self.way {
            Way::Anonymous => Ok(LoggedIn {
                credentials: anonymous::Builder::new().build(),
                identity: "nobody (anonymous)".to_owned(),
            }),
            Way::Key(reference) => {
                let key = (self.credentials)(reference).await?;
                let from = "the service account's key";
                let key = parsed(&key, from)?;
                if key["type"] != "service_account" {
                    return Err(wrong(format!("{from} is no key of a service account"))
                        .with_hint("make one with `gcloud iam service-accounts keys create`"));
                }
                self.by_json(key, from)
            }
            Way::Default => self.by_what_is_there(),
        }
    }

    fn by_what_is_there(&self) -> Result<LoggedIn> {
        let variable = "GOOGLE_APPLICATION_CREDENTIALS";
        if let Some(path) = &self.named {
            let content = SecretValue::from_vec(secrets_net::client::read(path, variable)?);
            return self.by_json(parsed(&content, variable)?, variable);
        }
        match std::fs::read(&self.well_known) {
            Ok(content) => {
                let from = self.well_known.display().to_string();
                let json = parsed(&SecretValue::from_vec(content), &from)?;
                self.by_json(json, &from)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.by_metadata(),
            Err(error) => Err(unreadable(&self.well_known, &error)),
        }
    }

    fn by_metadata(&self) -> Result<LoggedIn> {
        let host = self.metadata.as_deref().unwrap_or(METADATA);
        let endpoint = Url::parse(&format!("http://{host}")).map_err(|_| no_host())?;
        self.proxies.check(&endpoint)?;
        // The universe is named so that the server is not asked for it.
        let builder = mds::Builder::default()
            .with_endpoint(format!("http://{host}"))
            .with_universe_domain(UNIVERSE)
            .with_retry_policy(NeverRetry);
        let builder = match &self.quota_project {
            Some(project) => builder.with_quota_project_id(project),
            None => builder,
        };
        Ok(LoggedIn {
            credentials: builder
                .build()
                .map_err(|error| unusable(&error, "the metadata server"))?,
            identity: format!("the machine's own service account (metadata server {host})"),
        })
    }

    /// Credentials by what a file holds. `from` says which, for messages.
    fn by_json(&self, json: Value, from: &str) -> Result<LoggedIn> {
        /// Names the project that pays, where one is named.
        macro_rules! built {
            ($builder:expr) => {{
                let builder = $builder;
                let builder = match &self.quota_project {
                    Some(project) => builder.with_quota_project_id(project),
                    None => builder,
                };
                builder.build().map_err(|error| unusable(&error, from))?
            }};
        }
        if let Some(universe) = json["universe_domain"].as_str()
            && universe != UNIVERSE
        {
            return Err(wrong(format!(
                "{from} is for another cloud than {UNIVERSE}, which this store is at"
            )));
        }
        self.proxies.check_all(&json)?;
        let word = |key: &str| json[key].as_str().unwrap_or("?").to_owned();
        let (identity, credentials) = match json["type"].as_str() {
            // It signs its own tokens: nobody is asked for one (<https://google.aip.dev/auth/4111>).
            Some("service_account") => (
                word("client_email"),
                built!(service_account::Builder::new(json)),
            ),
            Some("authorized_user") => (
                "the user who logged in with gcloud".to_owned(),
                built!(user_account::Builder::new(json).with_retry_policy(NeverRetry)),
            ),
            Some("impersonated_service_account") => (
                format!("a service account, by impersonation ({from})"),
                built!(impersonated::Builder::new(json).with_retry_policy(NeverRetry)),
            ),
            Some("external_account") => (
                format!("an identity of another provider ({from})"),
                built!(external_account::Builder::new(json).with_retry_policy(NeverRetry)),
            ),
            _ => {
                return Err(
                    wrong(format!("{from} holds no credentials of a known type")).with_hint(
                        "make them with `gcloud auth application-default login` or `gcloud iam \
                         service-accounts keys create`",
                    ),
                );
            }
        };
        Ok(LoggedIn {
            credentials,
            identity,
        })
    }
}

fn way(auth: &Auth) -> Result<Way> {
    let (way, known): (Way, &[&str]) = match auth.method.as_str() {
        "service-account" => {
            let key = auth.get("key").ok_or_else(|| {
                wrong("the method service-account needs `key`: where the key is kept").with_hint(
                    "auth = { method = \"service-account\", key = \"keyring:shop/gcp-key\" }",
                )
            })?;
            (Way::Key(key.to_owned()), &["key"])
        }
        "application-default" => (Way::Default, &[]),
        "anonymous" => (Way::Anonymous, &[]),
        _ => {
            return Err(wrong("a Google store has no such way to log in").with_hint(METHODS));
        }
    };
    match auth
        .settings
        .keys()
        .find(|key| !known.contains(&key.as_str()))
    {
        Some(unknown) => Err(wrong(format!(
            "the method {} has no setting `{unknown}`",
            auth.method
        ))
        .with_hint(METHODS)),
        None => Ok(way),
    }
}

/// A host and perhaps a port: nothing that would lead the request elsewhere.
fn check_host(host: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    match host.chars().all(fits) {
        true => Ok(()),
        false => Err(no_host()),
    }
}

fn no_host() -> Error {
    wrong("GCE_METADATA_HOST names no host")
        .with_hint("it is written like `metadata.google.internal` or `127.0.0.1:8080`")
}

/// The parser's own error is dropped: it may quote what it met.
fn parsed(content: &SecretValue, from: &str) -> Result<Value> {
    serde_json::from_slice(content.expose())
        .map_err(|_| wrong(format!("{from} holds no credentials: it is no JSON")))
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    wrong(format!(
        "{} cannot be read: {}",
        path.display(),
        error.kind()
    ))
}

/// The library's error is dropped for the same reason.
fn unusable(error: &BuildError, from: &str) -> Error {
    let message = match error.is_missing_field() || error.is_parsing() {
        true => {
            format!("{from} lacks a part of its credentials, or holds another kind of text there")
        }
        false => format!("{from} holds credentials that cannot be used"),
    };
    wrong(message).with_hint(
        "make them anew with `gcloud auth application-default login` or `gcloud iam service-accounts \
         keys create`",
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrets_api::StoreUri;
    use secrets_testkit::block_on;
    use secrets_testkit::opening::TestOpening;

    use super::*;

    fn login(opening: &TestOpening, address: &str) -> Result<Login> {
        let uri = StoreUri::parse("gcp:shop").unwrap();
        let address = Address::parse(address, "addresses", true).unwrap();
        let opening = opening.opening(&uri);
        Login::new(&opening, &address, Proxies::new(&opening))
    }

    fn refused(opening: &TestOpening) -> Error {
        let login = match login(opening, "http://127.0.0.1:1") {
            Ok(login) => login,
            Err(error) => return error,
        };
        match block_on(login.log_in()) {
            Ok(_) => panic!("it is no error"),
            Err(error) => error,
        }
    }

    #[test]
    fn a_way_to_log_in_that_makes_no_sense_is_refused_with_a_hint() {
        for (method, settings) in [
            ("password", &[][..]),
            ("service-account", &[]),
            ("service-account", &[("key", "file:x"), ("kye", "y")]),
            ("application-default", &[("key", "file:x")]),
            ("anonymous", &[("key", "file:x")]),
        ] {
            let error = refused(&TestOpening::new().with_auth(method, settings));
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{method}");
            assert!(error.hint().is_some(), "{method}");
        }
        let host = [("GCE_METADATA_HOST", "host/path?query")];
        let error = refused(&TestOpening::new().with_variables(host));
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    }

    #[test]
    fn nobody_is_anonymous_beyond_this_machine() {
        let opening = TestOpening::new().with_auth("anonymous", &[]);
        assert!(login(&opening, "http://127.0.0.1:1").is_ok());
        for address in ["https://secretmanager.googleapis.com", "http://10.0.0.1"] {
            let error = login(&opening, address).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{address}");
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_never_shown() {
        for content in [
            &b"canary"[..],
            b"{\"type\":\"authorized_user\",\"refresh_token\":\"canary\"}",
            b"{\"type\":\"service_account\",\"private_key\":\"canary\"}",
            b"{\"type\":\"service_account\",\"client_email\":[\"canary\"]}",
            b"{\"type\":\"canary\"}",
        ] {
            let opening = TestOpening::new()
                .with_auth("service-account", &[("key", "file:k")])
                .with_credential("file:k", content);
            let error = refused(&opening);
            assert_eq!(error.kind(), ErrorKind::InvalidConfig);
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    #[test]
    fn credentials_of_another_cloud_are_refused() {
        let key = b"{\"type\":\"service_account\",\"universe_domain\":\"example.com\"}";
        let opening = TestOpening::new()
            .with_auth("service-account", &[("key", "file:k")])
            .with_credential("file:k", key);
        assert!(refused(&opening).message().contains("another cloud"));
    }

    #[test]
    fn a_file_that_a_variable_names_must_be_there() {
        let named = [("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")];
        let error = refused(&TestOpening::new().with_variables(named));
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.message().contains("GOOGLE_APPLICATION_CREDENTIALS"));
    }

    #[test]
    fn debug_shows_the_method_and_nothing_else() {
        let opening = TestOpening::new().with_auth("service-account", &[("key", "canary")]);
        let login = login(&opening, "https://x").unwrap();
        assert_eq!(format!("{login:?}"), "Login(service-account)");
    }
}
