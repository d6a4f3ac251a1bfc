//! The ways to log in, from a store's `auth`. What a method needs is named by where it is kept, and
//! fetched when a login is first needed.

use secrets_api::{
    Auth, CredentialSource, Error, ErrorKind, Opening, Result, SecretValue, Zeroizing,
};

use crate::token::Kept;
use crate::transport::variable;

/// Where Kubernetes puts a pod's token
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>).
const KUBERNETES_TOKEN: &str = "file:/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A way to log in.
#[derive(Debug)]
pub(crate) enum Method {
    /// The token that is kept by other command lines.
    Kept(Kept),
    /// A token that is kept here.
    Token { token: String },
    /// AppRole.
    AppRole {
        mount: String,
        role_id: String,
        secret_id: String,
        wrapped: bool,
    },
    /// User name and password.
    Userpass {
        mount: String,
        username: String,
        password: String,
    },
    /// A signed statement of who we are: JWT and OIDC in CI, and a pod's.
    Jwt {
        mount: String,
        role: Option<String>,
        jwt: Jwt,
    },
    /// A client certificate.
    Certificate { mount: String, name: String },
}

/// Where a signed statement comes from.
#[derive(Debug)]
pub(crate) enum Jwt {
    /// It is kept here: a file, or a variable (GitLab's `id_tokens`).
    Kept(String),
    /// GitHub's own service gives it
    /// (<https://docs.github.com/actions/security-for-github-actions/security-hardening-your-deployments/about-security-hardening-with-openid-connect>).
    GitHub {
        url: String,
        audience: Option<String>,
    },
}

/// A login as the manifest has it.
pub(crate) struct Login {
    pub(crate) method: Method,
    pub(crate) credentials: CredentialSource,
    /// GitHub's token for asking, where it is there.
    github: Option<SecretValue>,
    /// Whether the token is kept between runs.
    pub(crate) cached: bool,
}

fn wrong(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, what)
}

/// The settings of a method; each is taken once, so that what is left over is unknown.
struct Settings<'a> {
    auth: &'a Auth,
    known: Vec<&'static str>,
}

impl Settings<'_> {
    fn get(&mut self, key: &'static str) -> Option<String> {
        self.known.push(key);
        self.auth.get(key).map(str::to_owned)
    }

    fn need(&mut self, key: &'static str) -> Result<String> {
        let method = &self.auth.method;
        self.get(key).ok_or_else(|| {
            wrong(format!("the login by {method} lacks `{key}`"))
                .with_hint(format!("auth = {{ method = \"{method}\", {key} = \"…\" }}"))
        })
    }

    fn mount(&mut self, default: &str) -> Result<String> {
        let mount = self.get("mount").unwrap_or_else(|| default.to_owned());
        crate::place::check_path(&mount)?;
        Ok(mount)
    }

    fn flag(&mut self, key: &'static str) -> Result<bool> {
        match self.get(key).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(wrong(format!(
                "`{key}` of a login is \"true\" or \"false\""
            ))),
        }
    }

    fn finish(self) -> Result<()> {
        let mut given = self.auth.settings.keys();
        match given.find(|key| !self.known.contains(&key.as_str())) {
            Some(key) => Err(wrong(format!(
                "the login by {} has no setting `{key}`",
                self.auth.method
            ))
            .with_hint(format!("it has {}", self.known.join(", ")))),
            None => Ok(()),
        }
    }
}

impl Login {
    /// Reads the manifest's words; fetches nothing yet. With a certificate to log in by comes the
    /// identity for TLS.
    pub(crate) fn new(opening: &Opening<'_>) -> Result<(Self, Option<reqwest::Identity>)> {
        let mut identity = certificate(opening, None)?;
        let mut cached = false;
        let method = match opening.auth {
            None => Method::Kept(Kept::new(opening)),
            Some(auth) => {
                let mut settings = Settings {
                    auth,
                    known: Vec::new(),
                };
                cached = match settings.get("cache").as_deref() {
                    None => false,
                    Some("keyring") => true,
                    Some(_) => {
                        return Err(wrong(
                            "a token is kept in `cache = \"keyring\"`, or not at all",
                        ));
                    }
                };
                let method = method(opening, &mut settings)?;
                if let Method::Certificate { .. } = method {
                    let files = (settings.get("certificate"), settings.get("key"));
                    identity = certificate(opening, Some(files))?;
                }
                settings.finish()?;
                method
            }
        };
        if matches!(method, Method::Certificate { .. }) && identity.is_none() {
            return Err(wrong("the login by certificate lacks the certificate")
                .with_hint("name the files: certificate = \"client.pem\", key = \"client-key.pem\", or VAULT_CLIENT_CERT and VAULT_CLIENT_KEY"));
        }
        let github = opening.variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
        let login = Self {
            method,
            credentials: opening.credentials.clone(),
            github: github.map(|text| SecretValue::from_slice(text.as_bytes())),
            cached,
        };
        Ok((login, identity))
    }

    /// Whether a token that was refused can be replaced by another login.
    pub(crate) fn can_repeat(&self) -> bool {
        !matches!(
            self.method,
            Method::Kept(_) | Method::Token { .. } | Method::AppRole { wrapped: true, .. }
        )
    }

    /// What is kept there.
    pub(crate) async fn fetch(&self, reference: &str) -> Result<SecretValue> {
        (self.credentials)(reference).await
    }

    /// The signed statement.
    pub(crate) async fn statement(&self, jwt: &Jwt) -> Result<SecretValue> {
        match jwt {
            Jwt::Kept(reference) => {
                let found = self.fetch(reference).await?;
                Ok(SecretValue::from_slice(found.expose().trim_ascii()))
            }
            Jwt::GitHub { url, audience } => self.ask_github(url, audience.as_deref()).await,
        }
    }

    async fn ask_github(&self, url: &str, audience: Option<&str>) -> Result<SecretValue> {
        #[derive(serde::Deserialize)]
        struct Given {
            value: Zeroizing<String>,
        }
        let failed = |what: &str| {
            Error::new(
                ErrorKind::Unauthenticated,
                format!("GitHub gives no token for the login: {what}"),
            )
            .with_hint("the job needs `permissions: { id-token: write }`")
        };
        let Some(token) = &self.github else {
            return Err(failed("ACTIONS_ID_TOKEN_REQUEST_TOKEN is not set"));
        };
        let mut url = url::Url::parse(url).map_err(|_| failed("its address is none"))?;
        // The variable comes from the runner; a loopback address is what a test has.
        secrets_net::Address::parse(
            url.origin().ascii_serialization().as_str(),
            "ACTIONS_ID_TOKEN_REQUEST_URL",
            false,
        )?;
        if let Some(audience) = audience {
            url.query_pairs_mut().append_pair("audience", audience);
        }
        let client = reqwest::ClientBuilder::new()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(secrets_net::client::CONNECT)
            .build()
            .map_err(|_| failed("no TLS client can be made"))?;
        let text = token.expose_text().unwrap_or_default();
        let answer = client.get(url).bearer_auth(text).send().await;
        let answer = answer.map_err(|error| secrets_net::failed(error, secrets_net::Sent::Read))?;
        if !answer.status().is_success() {
            return Err(failed(&format!("it answers {}", answer.status().as_u16())));
        }
        let body = answer
            .bytes()
            .await
            .map_err(|_| failed("its answer broke off"))?;
        let given: Given =
            serde_json::from_slice(&body).map_err(|_| failed("its answer holds none"))?;
        Ok(SecretValue::from_slice(given.value.as_bytes()))
    }
}

fn method(opening: &Opening<'_>, settings: &mut Settings<'_>) -> Result<Method> {
    Ok(match settings.auth.method.as_str() {
        "token" => match settings.get("token") {
            Some(token) => Method::Token { token },
            None => Method::Kept(Kept::new(opening)),
        },
        "approle" => Method::AppRole {
            mount: settings.mount("approle")?,
            role_id: settings.need("role-id")?,
            secret_id: settings.need("secret-id")?,
            wrapped: settings.flag("wrapped")?,
        },
        "userpass" => Method::Userpass {
            mount: settings.mount("userpass")?,
            username: settings.need("username")?,
            password: settings.need("password")?,
        },
        method @ ("jwt" | "oidc") => Method::Jwt {
            mount: settings.mount(method)?,
            role: settings.get("role"),
            jwt: match (settings.need("jwt")?, settings.get("audience")) {
                (place, audience) if place == "github" => {
                    let url = opening.variable("ACTIONS_ID_TOKEN_REQUEST_URL");
                    Jwt::GitHub {
                        url: url.unwrap_or_default().to_owned(),
                        audience,
                    }
                }
                (place, None) => Jwt::Kept(place),
                (_, Some(_)) => return Err(wrong("`audience` goes with jwt = \"github\" alone")),
            },
        },
        "kubernetes" => Method::Jwt {
            mount: settings.mount("kubernetes")?,
            role: Some(settings.need("role")?),
            jwt: Jwt::Kept(
                settings
                    .get("jwt")
                    .unwrap_or_else(|| KUBERNETES_TOKEN.to_owned()),
            ),
        },
        "cert" => Method::Certificate {
            mount: settings.mount("cert")?,
            name: settings.get("role").unwrap_or_default(),
        },
        other => {
            return Err(wrong(format!("there is no login by `{other}`")).with_hint(
                "the methods are token, approle, userpass, jwt, oidc, kubernetes, cert",
            ));
        }
    })
}

/// The client's certificate and key, of the files given or of `VAULT_CLIENT_CERT` and
/// `VAULT_CLIENT_KEY`.
fn certificate(
    opening: &Opening<'_>,
    files: Option<(Option<String>, Option<String>)>,
) -> Result<Option<reqwest::Identity>> {
    let (certificate, key) = files.unwrap_or_default();
    let path = |named: Option<String>, name: &str| {
        let given = named.map(|path| (opening.root.join(path), "the login".to_owned()));
        given.or_else(|| variable(opening, name).map(|(name, path)| (path.into(), name)))
    };
    let pair = (path(certificate, "CLIENT_CERT"), path(key, "CLIENT_KEY"));
    let ((certificate, from), (key, key_from)) = match pair {
        (Some(certificate), Some(key)) => (certificate, key),
        (None, None) => return Ok(None),
        _ => return Err(wrong("a client's certificate and its key go together")),
    };
    let mut pem = Zeroizing::new(secrets_net::client::read(&key, &key_from)?);
    pem.push(b'\n');
    pem.extend_from_slice(&secrets_net::client::read(&certificate, &from)?);
    let identity = reqwest::Identity::from_pem(&pem);
    identity
        .map(Some)
        .map_err(|_| wrong("the client's certificate or its key is no PEM"))
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}
