//! Which credential is used: chosen from what is configured, and nothing else. No server is asked
//! whether it might have one, but where nothing is configured at all. No I/O.

use std::path::PathBuf;

use secrets_api::{Error, ErrorKind, Opening, Result};
use secrets_net::Address;

use crate::keep::is_asked;
use crate::managed::Which;
use crate::place::{over_tls, wrong};

const METHODS: &str =
    "`environment`, `client-secret`, `workload-identity`, `managed-identity` or `cli`";

/// What to do where nobody is logged in.
pub(crate) const HOW: &str =
    "set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or type `az login`";

/// How we log in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Method {
    ClientSecret {
        tenant: String,
        client: String,
        secret: Kept,
    },
    WorkloadIdentity {
        tenant: String,
        client: String,
        file: PathBuf,
    },
    ManagedIdentity(Which),
    Cli {
        tenant: Option<String>,
        subscription: Option<String>,
    },
    /// Nothing is configured: the CLI where it is installed, else the machine's identity.
    Unconfigured,
}

/// Where a client secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kept {
    /// In `AZURE_CLIENT_SECRET`.
    Variable,
    /// Where the manifest says.
    At(String),
}

impl Method {
    /// Chooses; no I/O.
    pub(crate) fn new(opening: &Opening<'_>) -> Result<Self> {
        let Some(auth) = opening.auth else {
            return Ok(Self::from_variables(opening)?.unwrap_or(Self::Unconfigured));
        };
        is_asked(opening)?;
        let known: &[&str] = match &*auth.method {
            "environment" => &[],
            "client-secret" => &["tenant-id", "client-id", "client-secret"],
            "workload-identity" => &["tenant-id", "client-id", "token-file"],
            "managed-identity" => &["client-id", "object-id", "resource-id"],
            "cli" => &["tenant-id", "subscription"],
            other => {
                let message = format!("a vault knows no login by `{other}`");
                return Err(wrong(message).with_hint(format!("`method` is {METHODS}")));
            }
        };
        let strange = auth
            .settings
            .keys()
            .find(|key| !known.contains(&key.as_str()) && *key != "cache");
        if let Some(key) = strange {
            let message = format!("a login by `{}` has no setting `{key}`", auth.method);
            let hint = match known {
                [] => "it has none: all comes from AZURE_… variables".to_owned(),
                known => format!("it has `{}`", known.join("`, `")),
            };
            return Err(wrong(message).with_hint(hint));
        }
        let text = |key: &str, variable: &str| {
            let found = auth.get(key).or_else(|| opening.variable(variable));
            let missing = || {
                wrong(format!("a login by `{}` needs `{key}`", auth.method))
                    .with_hint(format!("set it in the store's `auth`, or set {variable}"))
            };
            identifier(found.ok_or_else(missing)?, key)
        };
        match &*auth.method {
            "client-secret" => Ok(Self::ClientSecret {
                tenant: text("tenant-id", "AZURE_TENANT_ID")?,
                client: text("client-id", "AZURE_CLIENT_ID")?,
                secret: match (
                    auth.get("client-secret"),
                    opening.variable("AZURE_CLIENT_SECRET"),
                ) {
                    (Some(reference), _) => Kept::At(reference.to_owned()),
                    (None, Some(_)) => Kept::Variable,
                    (None, None) => {
                        let message = "a login by `client-secret` needs `client-secret`";
                        return Err(wrong(message).with_hint(
                            "say where it is kept: `client-secret = \"keyring:SERVICE/ITEM\"`, or set AZURE_CLIENT_SECRET",
                        ));
                    }
                },
            }),
            "workload-identity" => {
                let file = auth
                    .get("token-file")
                    .or_else(|| opening.variable("AZURE_FEDERATED_TOKEN_FILE"))
                    .ok_or_else(|| {
                        wrong("a login by `workload-identity` needs `token-file`").with_hint(
                            "set it in the store's `auth`, or set AZURE_FEDERATED_TOKEN_FILE",
                        )
                    })?;
                Ok(Self::WorkloadIdentity {
                    tenant: text("tenant-id", "AZURE_TENANT_ID")?,
                    client: text("client-id", "AZURE_CLIENT_ID")?,
                    file: opening.root.join(file),
                })
            }
            "managed-identity" => {
                let which = ["client-id", "object-id", "resource-id"]
                    .into_iter()
                    .filter_map(|key| auth.get(key).map(|id| (key, id.to_owned())));
                let which: Vec<_> = which.collect();
                match &*which {
                    [] => Ok(Self::ManagedIdentity(Which::system(opening))),
                    [(key, id)] => Ok(Self::ManagedIdentity(Which::one(opening, key, id))),
                    _ => Err(wrong(
                        "a managed identity is named by one of its ids, not by two",
                    )),
                }
            }
            "cli" => Ok(Self::Cli {
                tenant: auth
                    .get("tenant-id")
                    .map(|id| identifier(id, "tenant-id"))
                    .transpose()?,
                subscription: auth
                    .get("subscription")
                    .map(|id| identifier(id, "subscription"))
                    .transpose()?,
            }),
            // `environment`
            _ => Self::from_variables(opening)?.ok_or_else(|| {
                Error::new(
                    ErrorKind::Unauthenticated,
                    "no AZURE_… variables name a login",
                )
                .with_hint(HOW)
            }),
        }
    }

    /// What the variables of other Azure tools name, in their order: a client secret, then the token of
    /// a Kubernetes service account, then the identity of an App Service.
    /// <https://learn.microsoft.com/azure/developer/rust/sdk/authentication/overview>
    fn from_variables(opening: &Opening<'_>) -> Result<Option<Self>> {
        let ids = opening
            .variable("AZURE_TENANT_ID")
            .zip(opening.variable("AZURE_CLIENT_ID"));
        let ids = match ids {
            Some((tenant, client)) => Some((
                identifier(tenant, "AZURE_TENANT_ID")?,
                identifier(client, "AZURE_CLIENT_ID")?,
            )),
            None => None,
        };
        if let Some((tenant, client)) = ids {
            if opening.variable("AZURE_CLIENT_SECRET").is_some() {
                return Ok(Some(Self::ClientSecret {
                    tenant,
                    client,
                    secret: Kept::Variable,
                }));
            }
            if let Some(file) = opening.variable("AZURE_FEDERATED_TOKEN_FILE") {
                return Ok(Some(Self::WorkloadIdentity {
                    tenant,
                    client,
                    file: opening.root.join(file),
                }));
            }
            if opening.variable("AZURE_CLIENT_CERTIFICATE_PATH").is_some() {
                return Err(
                    wrong("a login by AZURE_CLIENT_CERTIFICATE_PATH is not supported")
                        .with_hint("set AZURE_CLIENT_SECRET instead, or use a workload identity"),
                );
            }
        }
        let app_service = opening.variable("IDENTITY_ENDPOINT").is_some()
            && opening.variable("IDENTITY_HEADER").is_some();
        Ok(app_service.then(|| {
            Self::ManagedIdentity(match opening.variable("AZURE_CLIENT_ID") {
                Some(id) => Which::one(opening, "client-id", id),
                None => Which::system(opening),
            })
        }))
    }
}

/// An id as Entra gives them, which goes into addresses and a command's words: nothing else may.
fn identifier(text: &str, what: &str) -> Result<String> {
    let fits = !text.is_empty()
        && text.len() <= 128
        && !text.starts_with('-')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    if fits {
        Ok(text.to_owned())
    } else {
        Err(wrong(format!(
            "{what} holds no id: it has letters, digits, `-` and `.`"
        )))
    }
}

/// Where tokens come from.
///
/// # Errors
/// `InvalidConfig` and `Untrusted` for what is no HTTPS address.
pub(crate) fn authority(opening: &Opening<'_>, usual: &str) -> Result<Address> {
    let named = opening.variable("AZURE_AUTHORITY_HOST");
    let address = named.map_or_else(
        || usual.to_owned(),
        |host| {
            if host.contains("://") {
                host.to_owned()
            } else {
                format!("https://{host}")
            }
        },
    );
    over_tls(&address, "AZURE_AUTHORITY_HOST")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrets_api::StoreUri;
    use secrets_testkit::opening::TestOpening;

    use super::*;

    fn method(opening: &TestOpening) -> Result<Method> {
        Method::new(&opening.opening(&StoreUri::parse("azure:shop").unwrap()))
    }

    fn kind(opening: &TestOpening) -> ErrorKind {
        method(opening).unwrap_err().kind()
    }

    const IDS: [(&str, &str); 2] = [("AZURE_TENANT_ID", "t-1"), ("AZURE_CLIENT_ID", "c-1")];

    fn with(more: &[(&'static str, &'static str)]) -> TestOpening {
        TestOpening::new().with_variables(IDS.iter().chain(more).copied())
    }

    #[test]
    fn what_is_configured_is_used_in_the_order_of_other_azure_tools() {
        assert_eq!(method(&TestOpening::new()).unwrap(), Method::Unconfigured);
        let secret = ("AZURE_CLIENT_SECRET", "s");
        let file = ("AZURE_FEDERATED_TOKEN_FILE", "/token");
        let app = [
            ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi"),
            ("IDENTITY_HEADER", "h"),
        ];
        assert!(matches!(
            method(&with(&[secret, file, app[0], app[1]])).unwrap(),
            Method::ClientSecret {
                secret: Kept::Variable,
                ..
            }
        ));
        assert!(matches!(
            method(&with(&[file, app[0], app[1]])).unwrap(),
            Method::WorkloadIdentity { .. }
        ));
        assert!(matches!(
            method(&with(&app)).unwrap(),
            Method::ManagedIdentity(_)
        ));
        assert_eq!(method(&with(&[])).unwrap(), Method::Unconfigured);
    }

    #[test]
    fn a_login_that_is_named_is_the_one_used() {
        let secret = [("AZURE_CLIENT_SECRET", "s")];
        let cli = with(&secret).with_auth("cli", &[("tenant-id", "t-2")]);
        assert!(matches!(method(&cli).unwrap(), Method::Cli { tenant: Some(t), .. } if t == "t-2"));
        let kept = with(&secret).with_auth(
            "client-secret",
            &[("client-secret", "keyring:a/b"), ("client-id", "c-9")],
        );
        assert_eq!(
            method(&kept).unwrap(),
            Method::ClientSecret {
                tenant: "t-1".into(),
                client: "c-9".into(),
                secret: Kept::At("keyring:a/b".into()),
            }
        );
    }

    #[test]
    fn what_is_missing_or_strange_is_refused_with_what_to_write() {
        use ErrorKind::{InvalidConfig, Unauthenticated};
        let bare = TestOpening::new;
        for (opening, expected) in [
            (bare().with_auth("token", &[]), InvalidConfig),
            (bare().with_auth("environment", &[]), Unauthenticated),
            (
                bare().with_auth("environment", &[("client-id", "c")]),
                InvalidConfig,
            ),
            (bare().with_auth("client-secret", &[]), InvalidConfig),
            (with(&[]).with_auth("client-secret", &[]), InvalidConfig),
            (with(&[]).with_auth("workload-identity", &[]), InvalidConfig),
            (
                bare().with_auth(
                    "managed-identity",
                    &[("client-id", "a"), ("object-id", "b")],
                ),
                InvalidConfig,
            ),
            (
                bare().with_auth("cli", &[("tenant-id", "t; rm -rf /")]),
                InvalidConfig,
            ),
            (
                bare().with_auth("cli", &[("subscription", "--debug")]),
                InvalidConfig,
            ),
            (bare().with_auth("cli", &[("cache", "file")]), InvalidConfig),
            (
                with(&[("AZURE_CLIENT_CERTIFICATE_PATH", "/x.pem")]),
                InvalidConfig,
            ),
        ] {
            assert_eq!(kind(&opening), expected, "{:?}", opening.auth);
        }
    }

    #[test]
    fn tokens_come_over_tls_alone() {
        let usual = "https://login.microsoftonline.com";
        let ask = |host: &str| {
            let opening = TestOpening::new().with_variables([("AZURE_AUTHORITY_HOST", host)]);
            authority(
                &opening.opening(&StoreUri::parse("azure:shop").unwrap()),
                usual,
            )
        };
        assert_eq!(ask("").unwrap().as_str(), usual);
        assert_eq!(
            ask("login.microsoftonline.us").unwrap().as_str(),
            "https://login.microsoftonline.us"
        );
        assert_eq!(
            ask("http://127.0.0.1:1").unwrap_err().kind(),
            ErrorKind::Untrusted
        );
        assert_eq!(
            ask("http://login.example.com").unwrap_err().kind(),
            ErrorKind::Untrusted
        );
    }
}
