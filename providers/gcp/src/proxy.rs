//! What must not go through a proxy. The client library, and the one that logs in, take the proxies of the
//! process and no client of ours; over plain HTTP a proxy, which is another machine, would read tokens and
//! values. So what would go that way is refused before it is sent. Over TLS a proxy sees to whom we speak,
//! and no more.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use secrets_api::{Error, ErrorKind, Opening, Result};
use serde_json::Value;
use url::Url;

/// The proxies we are told of, and those the library finds in the process: by the library's own rules, so
/// that it goes by none where we say that it does not.
pub(crate) struct Proxies([Matcher; 2]);

impl Proxies {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        let either = |name: &str| {
            let small = name.to_ascii_lowercase();
            let found = opening.variable(name).or_else(|| opening.variable(&small));
            found.unwrap_or_default().to_owned()
        };
        let told = Matcher::builder()
            .all(either("ALL_PROXY"))
            .http(either("HTTP_PROXY"))
            .no(either("NO_PROXY"))
            .build();
        Self([told, Matcher::from_system()])
    }

    /// Refuses an address that a proxy would be asked for in plain text.
    pub(crate) fn check(&self, address: &Url) -> Result<()> {
        // What is no address to the library is not asked at all.
        let by_proxy = address.scheme() == "http"
            && address.as_str().parse::<Uri>().is_ok_and(|address| {
                let mut matchers = self.0.iter();
                matchers.any(|matcher| matcher.intercept(&address).is_some())
            });
        if !by_proxy {
            return Ok(());
        }
        let host = address.host_str().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let message = format!(
            "{host} is asked over plain HTTP, and the proxy that HTTP_PROXY or ALL_PROXY names would read \
             what is sent"
        );
        let hint = format!(
            "ask it without the proxy: `export NO_PROXY=\"${{NO_PROXY:-$no_proxy}},{host}\"`"
        );
        Err(Error::new(ErrorKind::Untrusted, message).with_hint(hint))
    }

    /// The same of all addresses that a file of credentials holds.
    pub(crate) fn check_all(&self, json: &Value) -> Result<()> {
        match json {
            Value::String(text) => match Url::parse(text) {
                Ok(address) => self.check(&address),
                Err(_) => Ok(()),
            },
            Value::Array(all) => all.iter().try_for_each(|one| self.check_all(one)),
            Value::Object(all) => all.values().try_for_each(|one| self.check_all(one)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use secrets_api::StoreUri;
    use secrets_testkit::opening::TestOpening;

    use super::*;

    fn checked(variables: &[(&str, &str)], address: &str) -> Result<()> {
        let opening = TestOpening::new().with_variables(variables.iter().copied());
        let uri = StoreUri::parse("gcp:shop").unwrap();
        Proxies::new(&opening.opening(&uri)).check(&Url::parse(address).unwrap())
    }

    #[test]
    fn plain_http_goes_through_no_proxy_however_it_is_named() {
        for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            for address in ["http://127.0.0.1:1", "http://metadata.google.internal/x"] {
                let error = checked(&[(variable, "http://u:canary@proxy:3128")], address);
                let error = error.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Untrusted, "{variable}");
                assert!(!format!("{error:?}").contains("canary"));
            }
        }
    }

    #[test]
    fn tls_may_go_through_a_proxy() {
        let proxies = [("ALL_PROXY", "proxy:1"), ("HTTPS_PROXY", "proxy:1")];
        assert!(checked(&proxies, "https://secretmanager.googleapis.com").is_ok());
        assert!(checked(&proxies[1..], "http://127.0.0.1:1").is_ok());
    }

    #[test]
    fn the_entry_that_the_hint_names_is_enough() {
        for address in ["http://127.0.0.1:1", "http://[::1]:1", "http://a.internal"] {
            let proxy = ("HTTP_PROXY", "http://proxy:3128");
            let error = checked(&[proxy], address).unwrap_err();
            let entry = error.hint().unwrap().rsplit_once(',').unwrap().1;
            let entry = entry.trim_end_matches("\"`");
            for variable in ["NO_PROXY", "no_proxy"] {
                let covered = [proxy, (variable, &format!("other,{entry}"))];
                assert!(checked(&covered, address).is_ok(), "{entry}");
            }
        }
    }
}
