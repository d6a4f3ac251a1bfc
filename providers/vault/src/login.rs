//! The ways to log in, from a store's `auth`. What a method needs is named by where it is kept, and
//! fetched when a login is first needed.

use std::sync::Arc;

use secrets_api::{
    Auth, CredentialSource, Ctx, Error, ErrorKind, Opening, Result, SecretValue, Zeroizing,
};
use secrets_net::client::{self, Roots};
use secrets_net::{Address, Sent};

use crate::token::Kept;
use crate::transport::variable;

/// Where Kubernetes puts a pod's token
/// (<https://kubernetes.io/docs/tasks/run-application/access-api-from-pod/>).
const KUBERNETES_TOKEN: &str = "file:/var/run/secrets/kubernetes.io/serviceaccount/token";

/// A way to log in.
#[derive(Debug)]
pub(crate) enum Method {
    /// The token that is kept by other command lines.
    Kept(Arc<Kept>),
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
    github: Option<GitHub>,
    /// Whether the token is kept between runs.
    pub(crate) cached: bool,
}

/// GitHub's token for asking, and what asks: whoever signed the server's own certificate signs nothing
/// there.
struct GitHub {
    token: SecretValue,
    client: reqwest::Client,
}

impl GitHub {
    /// `None` outside of a job: that matters when a login is needed, not before.
    fn new(opening: &Opening<'_>, url: &str) -> Result<Option<Self>> {
        let token = opening.variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN");
        let (Some(token), Ok(address)) = (token, url::Url::parse(url)) else {
            return Ok(None);
        };
        // The variable comes from the runner; a loopback address is what a test has.
        let origin = address.origin().ascii_serialization();
        let is_tls = Address::parse(&origin, "ACTIONS_ID_TOKEN_REQUEST_URL", false)?.is_tls();
        let builder = if is_tls {
            client::builder(opening)?
        } else {
            client::with_roots(opening, &Roots::None)?.no_proxy()
        };
        let client = builder
            .build()
            .map_err(|_| no_github("no TLS client can be made"))?;
        Ok(Some(Self {
            token: SecretValue::from_slice(token.as_bytes()),
            client,
        }))
    }
}

fn no_github(why: &str) -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        format!("GitHub gives no token for the login: {why}"),
    )
    .with_hint("the job needs `permissions: { id-token: write }`")
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

    /// A setting that becomes one part of a path.
    fn segment(&mut self, key: &'static str) -> Result<String> {
        let text = self.need(key)?;
        if text.contains('/') || crate::place::check_path(&text).is_err() {
            let what = format!("`{key}` of a login is no part of a path");
            return Err(
                wrong(what).with_hint("it holds no slash, percent sign or space at its ends")
            );
        }
        Ok(text)
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
            None => Method::Kept(Arc::new(Kept::new(opening))),
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
                if cached && matches!(method, Method::Jwt { .. }) {
                    // Who that is stands in the statement, which differs from one job to the next.
                    return Err(wrong(
                        "a token that was got for a signed statement is not kept between runs",
                    )
                    .with_hint("leave out `cache`"));
                }
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
        let github = match &method {
            Method::Jwt {
                jwt: Jwt::GitHub { url, .. },
                ..
            } => GitHub::new(opening, url)?,
            _ => None,
        };
        let login = Self {
            method,
            credentials: opening.credentials.clone(),
            github,
            cached,
        };
        Ok((login, identity))
    }

    /// The file that names who we are by a certificate, or nothing.
    pub(crate) fn certificate_file(opening: &Opening<'_>) -> String {
        let named = opening.auth.and_then(|auth| auth.get("certificate"));
        let by_variable = || variable(opening, "CLIENT_CERT").map(|(_, path)| path);
        named.or_else(by_variable).unwrap_or_default().to_owned()
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
    pub(crate) async fn statement(&self, cx: &Ctx, jwt: &Jwt) -> Result<SecretValue> {
        match jwt {
            Jwt::Kept(reference) => {
                let found = self.fetch(reference).await?;
                Ok(SecretValue::from_slice(found.expose().trim_ascii()))
            }
            Jwt::GitHub { url, audience } => self.ask_github(cx, url, audience.as_deref()).await,
        }
    }

    async fn ask_github(&self, cx: &Ctx, url: &str, audience: Option<&str>) -> Result<SecretValue> {
        #[derive(serde::Deserialize)]
        struct Given {
            value: Zeroizing<String>,
        }
        let (Some(github), Ok(mut url)) = (&self.github, url::Url::parse(url)) else {
            return Err(no_github(
                "ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN are not set",
            ));
        };
        if let Some(audience) = audience {
            url.query_pairs_mut().append_pair("audience", audience);
        }
        let token = github.token.expose_text().unwrap_or_default();
        let request = github.client.get(url).bearer_auth(token);
        let answer = request.timeout(cx.remaining()).send().await;
        let answer = answer.map_err(|error| secrets_net::failed(error, Sent::Read))?;
        if !answer.status().is_success() {
            let why = format!("it answers {}", answer.status().as_u16());
            return Err(no_github(&why));
        }
        let body = secrets_net::body(answer, Sent::Read).await?;
        let given: Given =
            serde_json::from_slice(&body).map_err(|_| no_github("its answer holds none"))?;
        Ok(SecretValue::from_slice(given.value.as_bytes()))
    }
}

fn method(opening: &Opening<'_>, settings: &mut Settings<'_>) -> Result<Method> {
    Ok(match settings.auth.method.as_str() {
        "token" => match settings.get("token") {
            Some(token) => Method::Token { token },
            None => Method::Kept(Arc::new(Kept::new(opening))),
        },
        "approle" => Method::AppRole {
            mount: settings.mount("approle")?,
            role_id: settings.need("role-id")?,
            secret_id: settings.need("secret-id")?,
            wrapped: settings.flag("wrapped")?,
        },
        "userpass" => Method::Userpass {
            mount: settings.mount("userpass")?,
            username: settings.segment("username")?,
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
    let mut pem = Zeroizing::new(client::read(&key, &key_from)?);
    pem.push(b'\n');
    pem.extend_from_slice(&client::read(&certificate, &from)?);
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
