//! Where credentials come from, what is said where there are none, and what is not asked for them.
#![allow(clippy::unwrap_used)]

mod support;

use secrets_api::{ErrorKind, Precondition};
use secrets_testkit::canary::Canary;
use secrets_testkit::web::{Reply, Request, Server};
use serde_json::json;
use support::{always, entry, ok, opening, store, store_with, text};

#[test]
fn a_missing_region_and_missing_credentials_are_said_plainly() {
    let server = Server::plain(always(Reply::empty(500)));
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ];
    let no_region = opening(&server.url()).with_variables(keys);
    let error = store_with(&no_region, "aws:shop").look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.hint().unwrap().contains("AWS_REGION"));
    let variables = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let nobody = opening(&server.url()).with_variables(variables);
    for options in ["", "?layout=each"] {
        let store = store_with(&nobody, &format!("aws:shop{options}"));
        for error in [
            store.look("A").unwrap_err(),
            store.put("A", "1", Precondition::Absent).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(error.hint().unwrap().contains("aws sso login"));
        }
    }
    assert!(server.log().is_empty());
}

/// An instance's metadata (IMDSv2), with one role.
fn metadata(request: &Request) -> Reply {
    let text = |body: &str| Reply {
        status: 200,
        headers: vec![(
            "x-aws-ec2-metadata-token-ttl-seconds".into(),
            "21600".into(),
        )],
        body: body.into(),
    };
    match request.path.as_str() {
        "/latest/api/token" => text("token"),
        "/latest/meta-data/iam/security-credentials/"
        | "/latest/meta-data/iam/security-credentials" => text("shop"),
        path if path.ends_with("/shop") => text(
            "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIAX\",\"SecretAccessKey\":\"x\",\"Token\":\"t\",\"Expiration\":\"2099-01-01T00:00:00Z\"}",
        ),
        _ => Reply::empty(404),
    }
}

#[test]
fn the_instance_is_asked_only_where_nothing_else_gives_credentials() {
    let instance = Server::plain(metadata);
    let server = Server::plain(always(ok(&entry("shop", "{\"A\":\"a\"}"))));
    let with = |more: &[(&str, &str)]| {
        let url = instance.url();
        let mut variables = vec![
            ("AWS_REGION", "eu-west-1"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", url.as_str()),
        ];
        variables.extend(more);
        let opening = opening(&server.url()).with_variables(variables);
        assert_eq!(text(&store_with(&opening, "aws:shop").look("A")), Some("a"));
    };
    with(&[
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
    ]);
    assert!(instance.log().is_empty());
    with(&[]);
    assert!(!instance.log().is_empty());
}

#[test]
fn a_role_that_may_not_be_taken_on_is_a_denial_and_nothing_is_asked_without_it() {
    let app = |request: &Request| {
        assert!(
            request
                .form()
                .iter()
                .any(|(_, value)| value == "AssumeRole"),
            "{request:?}"
        );
        Reply {
            status: 403,
            headers: vec![("content-type".into(), "text/xml".into())],
            body: "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                   <Message>not authorized to perform: sts:AssumeRole</Message></Error></ErrorResponse>"
                .into(),
        }
    };
    let server = Server::plain(app);
    let uri = "aws:shop?role=arn:aws:iam::123456789012:role/shop";
    let error = store(&server.url(), uri).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert!(error.hint().unwrap().contains("sts:AssumeRole"));
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
        assert_eq!(text(&store_with(&opening, "aws:shop").look("A")), Some("a"));
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
    let server = Server::plain(always(ok(&entry("shop", "{\"A\":\"a\"}"))));
    let proxy = Server::plain(always(Reply::empty(403)));
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
