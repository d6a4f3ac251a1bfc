//! What goes by a proxy: TLS, and nothing else.
#![allow(clippy::unwrap_used)]

mod support;

use secrets_api::{ErrorKind, Result};
use secrets_testkit::canary::Canary;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::web::{Authority, Reply, Request, Server};
use serde_json::json;
use support::{opening, store_with};

/// The service, with one document.
fn shop(_: &Request) -> Reply {
    Reply::json(
        200,
        &json!({
            "Name": "shop", "VersionId": "0b9f5c6e-0000-4000-8000-000000000001",
            "SecretString": "{\"A\":\"a\"}", "VersionStages": ["AWSCURRENT"],
        }),
    )
}

/// What is in the document, read by what was opened.
fn read(opening: &TestOpening) -> Result<Option<String>> {
    let found = store_with(opening, "aws:shop").look("A")?;
    let text = found.found().and_then(|stored| stored.value.expose_text());
    Ok(text.map(str::to_owned))
}

/// A proxy that takes nobody any further.
fn proxy() -> Server {
    Server::plain(|_: &Request| Reply::empty(403))
}

/// The SDK reads the container's variables itself: in a process that has them.
#[test]
fn the_containers_credentials_are_fetched_without_a_proxy() {
    const CHILD: &str = "SECRETS_AWS_TEST_ADDRESS";
    const CONTAINER: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    const PROXIES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"];
    if let Ok(address) = std::env::var(CHILD) {
        let handed = |name: &str| (name.to_owned(), std::env::var(name).unwrap());
        let variables = [CONTAINER].iter().chain(&PROXIES).map(|name| handed(name));
        let fixed = [
            ("AWS_REGION".to_owned(), support::REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned()),
        ];
        let opening = opening(&address).with_variables(variables.chain(fixed));
        assert_eq!(read(&opening).unwrap().as_deref(), Some("a"));
        return;
    }
    let container = Server::plain(|request: &Request| {
        let known = request.header("authorization") == Some(Canary::of_this_process().text());
        match known {
            true => Reply::json(
                200,
                &json!({
                    "AccessKeyId": "ASIAX", "SecretAccessKey": "x", "Token": "t",
                    "Expiration": "2099-01-01T00:00:00Z",
                }),
            ),
            false => Reply::empty(401),
        }
    });
    let (server, proxy) = (Server::plain(shop), proxy());
    let this = "the_containers_credentials_are_fetched_without_a_proxy";
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this])
        .env_clear()
        .envs(PROXIES.map(|name| (name, proxy.url())))
        .env(CONTAINER, format!("{}/keys", container.url()))
        .env(
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            Canary::of_this_process().text(),
        )
        .env(CHILD, server.url())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(proxy.connections(), 0, "{said}");
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}"
    );
    assert_eq!(container.log().len(), 1);
}

#[test]
fn tls_goes_by_the_proxy_that_the_environment_names() {
    let (authority, proxy) = (Authority::new(), proxy());
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
        (server.forget(), proxy.forget());
        read(&opening.with_variables(all))
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
        let found = with(address, variables).unwrap();
        assert_eq!(found.as_deref(), Some("a"), "{variables:?}");
        assert_eq!(proxy.connections(), 0, "{variables:?}");
    }
    let password = Canary::of_this_process().text();
    let odd = format!("socks5://shop:{password}@127.0.0.1:1080");
    let error = with(&elsewhere, &[("ALL_PROXY", &odd)]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let shown = format!("{error} {error:?} {:?}", error.hint());
    assert_eq!(Canary::of_this_process().found_in(shown.as_bytes()), None);
}
