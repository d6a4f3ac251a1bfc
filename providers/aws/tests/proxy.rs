//! What goes by a proxy: TLS, and nothing else.
#![allow(clippy::unwrap_used)]

mod support;

use secrets_api::ErrorKind;
use secrets_testkit::canary::Canary;
use secrets_testkit::web::{Authority, Reply, Server};
use support::{always, entry, ok, opening, store_with, text};

#[test]
fn tls_goes_by_the_proxy_that_the_environment_names() {
    let (authority, proxy) = (Authority::new(), Server::plain(always(Reply::empty(403))));
    let shop = always(ok(&entry("shop", "{\"A\":\"a\"}")));
    let server = Server::over_tls(shop, &authority, &["0.0.0.0"]);
    // This machine, but not by a name that says so.
    let elsewhere = format!("https://0.0.0.0:{}", server.port());
    let with = |address: &str, variables: &[(&str, &str)]| {
        let opening = opening(address);
        let file = opening.folder().join("ca.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let mut all = opening.variables.clone();
        all.push(("SSL_CERT_FILE".into(), file.into()));
        all.extend(variables.iter().map(|(k, v)| (k.into(), v.into())));
        server.forget();
        proxy.forget();
        store_with(&opening.with_variables(all), "aws:shop").look("A")
    };
    let url = proxy.url();
    let bare = url.strip_prefix("http://").unwrap();
    for variables in [
        [("HTTPS_PROXY", url.as_str())].as_slice(),
        &[("https_proxy", bare)],
        &[("ALL_PROXY", &url), ("NO_PROXY", "example.com")],
    ] {
        let error = with(&elsewhere, variables).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{variables:?}");
        let methods: Vec<_> = proxy.log().into_iter().map(|seen| seen.method).collect();
        assert_eq!(methods, ["CONNECT"], "{variables:?}");
        assert_eq!(server.connections(), 0, "{variables:?}");
    }
    let own = server.url();
    for (address, variables) in [
        (&own, [("HTTPS_PROXY", url.as_str())].as_slice()),
        (&elsewhere, &[("HTTP_PROXY", &url)]),
        (
            &elsewhere,
            &[("HTTPS_PROXY", &url), ("NO_PROXY", "example.com, 0.0.0.0")],
        ),
    ] {
        let found = with(address, variables);
        assert_eq!(text(&found), Some("a"), "{variables:?}");
        assert_eq!(proxy.connections(), 0, "{variables:?}");
    }
    let password = Canary::of_this_process().text();
    let odd = format!("socks5://shop:{password}@127.0.0.1:1080");
    let error = with(&elsewhere, &[("ALL_PROXY", &odd)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert_eq!(Canary::of_this_process().found_in(shown.as_bytes()), None);
}
