//! The HTTP client: rustls, the system's roots or those the user named, no redirects, bounded waits.
//! Whatever an environment variable could weaken is set explicitly.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, ClientBuilder, NoProxy, Proxy, redirect};
use secrets_api::{Error, ErrorKind, Opening, Result};

/// How long a connection may take: shorter than a store's usual time, so that a dead endpoint is told
/// from a write whose answer was lost.
pub const CONNECT: Duration = Duration::from_secs(3);

/// Whose signatures on certificates are trusted.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// None: no TLS is spoken (loopback), so nothing is loaded.
    None,
    /// Those of the system, or of `SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set (the
    /// variables OpenSSL and rustls-native-certs know).
    #[default]
    System,
    /// Those of this PEM text alone.
    Pem(Vec<u8>),
}

impl Roots {
    fn load(&self, opening: &Opening<'_>) -> Result<Vec<Certificate>> {
        match self {
            Self::None => Ok(Vec::new()),
            Self::Pem(pem) => from_pem(pem, "the authority's file"),
            Self::System => match opening.variable("SSL_CERT_FILE") {
                Some(path) => from_pem(&read(Path::new(path), "SSL_CERT_FILE")?, "SSL_CERT_FILE"),
                None => Ok(system()),
            },
        }
    }
}

/// The system's roots. What of them cannot be read is left out: fewer are trusted then.
fn system() -> Vec<Certificate> {
    let loaded = rustls_native_certs::load_native_certs();
    let certificates = loaded.certs.iter();
    certificates
        .filter_map(|der| Certificate::from_der(der).ok())
        .collect()
}

fn from_pem(pem: &[u8], from: &str) -> Result<Vec<Certificate>> {
    let wrong = || {
        Error::new(
            ErrorKind::InvalidConfig,
            format!("{from} holds no certificate in PEM"),
        )
    };
    let found = Certificate::from_pem_bundle(pem).map_err(|_| wrong())?;
    if found.is_empty() {
        Err(wrong())
    } else {
        Ok(found)
    }
}

/// The content of a file that `from` (a variable, an option) names.
///
/// # Errors
/// `InvalidConfig` where it cannot be read.
pub fn read(path: &Path, from: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|e| {
        let what = format!(
            "{from} names {}, which cannot be read: {}",
            path.display(),
            e.kind()
        );
        Error::new(ErrorKind::InvalidConfig, what)
    })
}

/// A client with the system's roots.
///
/// # Errors
/// `InvalidConfig` where `SSL_CERT_FILE` holds no certificates.
pub fn builder(opening: &Opening<'_>) -> Result<ClientBuilder> {
    with_roots(opening, &Roots::System)
}

/// A client with these roots.
///
/// What is spoken over TLS goes by the proxy that `HTTPS_PROXY` or `ALL_PROXY` names, but for the hosts of
/// `NO_PROXY` and the own machine: the proxy sees to whom we speak, and no more. Plain HTTP never
/// does: a proxy is another machine, and would read it.
///
/// # Errors
/// As [`builder`]; `InvalidConfig` for a proxy that is no address.
pub fn with_roots(opening: &Opening<'_>, roots: &Roots) -> Result<ClientBuilder> {
    let builder = ClientBuilder::new()
        .tls_backend_rustls()
        .tls_certs_only(roots.load(opening)?)
        .tls_danger_accept_invalid_certs(false)
        .tls_danger_accept_invalid_hostnames(false)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .redirect(redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .user_agent(concat!("secrets/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    Ok(match proxy(opening)? {
        Some(proxy) => builder.proxy(proxy),
        None => builder,
    })
}

/// The proxy for what is spoken over TLS.
fn proxy(opening: &Opening<'_>) -> Result<Option<Proxy>> {
    let either = |name: &str| {
        let small = name.to_ascii_lowercase();
        opening.variable(name).or_else(|| opening.variable(&small))
    };
    let Some(address) = either("HTTPS_PROXY").or_else(|| either("ALL_PROXY")) else {
        return Ok(None);
    };
    // The address may hold a password: it is not repeated.
    let proxy = Proxy::https(address).map_err(|_| {
        Error::new(
            ErrorKind::InvalidConfig,
            "HTTPS_PROXY or ALL_PROXY names no proxy",
        )
    })?;
    let not_by_it = format!(
        "localhost,127.0.0.0/8,::1,{}",
        either("NO_PROXY").unwrap_or_default()
    );
    Ok(Some(proxy.no_proxy(NoProxy::from_string(&not_by_it))))
}
