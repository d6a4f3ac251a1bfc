//! Which addresses may be spoken to: HTTPS anywhere, plain HTTP only to the own machine or where a
//! person has accepted it for this store in words (promise 7).

use std::fmt;

use secrets_api::{Error, ErrorKind, Result};
use url::{Host, Url};

/// A server's address: scheme, host and port, perhaps a path below which it serves.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// Checks an address. `from` says where it was written (`VAULT_ADDR`), for messages.
    ///
    /// # Errors
    /// `InvalidConfig` for what is no HTTP address or holds a user, password, query or fragment;
    /// `Untrusted` for plain HTTP to another machine, unless `plain_http`.
    pub fn parse(text: &str, from: &str, plain_http: bool) -> Result<Self> {
        let wrong = |what: &str| {
            Error::new(ErrorKind::InvalidConfig, format!("{from} {what}"))
                .with_hint("an address is written like `https://vault.example.com:8200`")
        };
        let url = Url::parse(text.trim()).map_err(|_| wrong("holds no address of a server"))?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(wrong("holds no HTTP address"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("must hold no user name or password"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("must hold no query and no fragment"));
        }
        let address = Self(url);
        if !address.is_tls() && !address.is_loopback() && !plain_http {
            let host = address.0.host_str().unwrap_or_default();
            return Err(Error::new(
                ErrorKind::Untrusted,
                format!("{from} would send secrets to {host} over plain HTTP, which anyone between can read"),
            )
            .with_hint("write https://, or say why it is safe: `plain-http = \"REASON\"` below the store in secrets.toml"));
        }
        Ok(address)
    }

    /// Whether it is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Whether it is the own machine, by its words alone: no name is looked up.
    pub fn is_loopback(&self) -> bool {
        match self.0.host() {
            // Not `x.localhost`: some resolvers ask the network for it.
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        }
    }

    /// Whether `other` is the same server: scheme, host and port.
    pub fn is_same_server(&self, other: &Self) -> bool {
        self.0.origin() == other.0.origin()
    }

    /// The address without a final slash.
    pub fn as_str(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The same as a URL.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> Option<ErrorKind> {
        Address::parse(text, "VAULT_ADDR", false)
            .err()
            .map(|e| e.kind())
    }

    #[test]
    fn tls_goes_anywhere_and_plain_http_to_the_own_machine_alone() {
        for fine in [
            "https://vault.example.com:8200",
            "https://10.0.0.1",
            "http://127.0.0.1:8200",
            "http://127.9.9.9",
            "http://[::1]:8200/",
            "http://localhost:1",
        ] {
            assert_eq!(kind(fine), None, "{fine}");
        }
        for plain in [
            "http://vault.example.com",
            "http://10.0.0.1",
            "http://localhost.example.com",
            "http://x.localhost",
            "http://127.0.0.1.example.com",
            "http://0.0.0.0",
        ] {
            assert_eq!(kind(plain), Some(ErrorKind::Untrusted), "{plain}");
            assert!(Address::parse(plain, "x", true).is_ok());
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_repeating_it() {
        for wrong in [
            "",
            "vault.example.com:8200",
            "ftp://x",
            "https://",
            "https://u:canary@x",
            "https://x/?token=canary",
            "https://x/#canary",
        ] {
            let error = Address::parse(wrong, "VAULT_ADDR", false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{wrong}");
            assert!(!format!("{error:?}").contains("canary"));
        }
    }

    #[test]
    fn a_server_is_told_by_scheme_host_and_port() {
        let address = |text| Address::parse(text, "x", true).unwrap();
        assert!(address("https://a/").is_same_server(&address("https://a:443/v1")));
        for other in ["http://a", "https://b", "https://a:8200"] {
            assert!(
                !address("https://a").is_same_server(&address(other)),
                "{other}"
            );
        }
        assert_eq!(address("https://a:8200/").to_string(), "https://a:8200");
    }
}
