//! By which proxy TLS goes. Plain HTTP goes by none: a proxy is another machine and would read it, and
//! what AWS speaks over plain HTTP, to the container and to the instance, is credentials.

use std::fmt;

use aws_smithy_http_client::proxy::ProxyConfig;
use secrets_api::{Error, ErrorKind, Opening, Result};

/// What `HTTPS_PROXY` or `ALL_PROXY`, and `NO_PROXY`, say.
pub(crate) struct Proxy {
    address: Option<String>,
    not_by_it: String,
}

impl Proxy {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        let either = |name: &str| {
            let small = name.to_ascii_lowercase();
            opening.variable(name).or_else(|| opening.variable(&small))
        };
        let address = either("HTTPS_PROXY").or_else(|| either("ALL_PROXY"));
        let others = either("NO_PROXY").unwrap_or_default();
        Self {
            address: address.map(|text| match text.contains("://") {
                true => text.to_owned(),
                false => format!("http://{text}"),
            }),
            not_by_it: format!("localhost,127.0.0.0/8,::1,{others}"),
        }
    }

    /// For the client that speaks TLS.
    ///
    /// # Errors
    /// `InvalidConfig` for a proxy that is no address.
    pub(crate) fn config(&self) -> Result<ProxyConfig> {
        let Some(address) = &self.address else {
            return Ok(ProxyConfig::disabled());
        };
        // The address may hold a password: it is not repeated.
        let proxy = ProxyConfig::https(address.as_str()).map_err(|_| {
            let message = "HTTPS_PROXY or ALL_PROXY names no proxy";
            Error::new(ErrorKind::InvalidConfig, message)
                .with_hint("a proxy is written like `http://proxy.example.com:3128`")
        })?;
        Ok(proxy.no_proxy(&self.not_by_it))
    }
}

/// Never shows the address: it may hold a password.
impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxy")
    }
}
