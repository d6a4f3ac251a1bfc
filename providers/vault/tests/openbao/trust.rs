//! Who is spoken to: verified TLS, plain HTTP to the own machine alone, no redirect to a stranger. No
//! token goes anywhere else.

use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use secrets_api::{Ctx, ErrorKind, Op, Precondition, ProviderExt as _};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::web::{Authority, Fault, Harm, Reply, Request, Server};
use serde_json::json;

use crate::stage::{ROOT, SHOP, Stage, change, get, name, open, put, shown, try_open, uri, value};

/// Somebody who takes whatever comes.
fn stranger() -> Server {
    Server::plain(|_: &Request| Reply::json(200, &json!({ "data": {} })))
}

fn with_token(address: &str) -> TestOpening {
    TestOpening::new().with_variables([("VAULT_ADDR", address), ("VAULT_TOKEN", "canary-token")])
}

/// Answers with a redirect.
fn redirects(to: &str, status: u16) -> Fault {
    Fault::always(Harm::Answer(
        Reply::empty(status).with_header("location", to),
    ))
}

#[test]
fn a_certificate_of_a_stranger_is_refused_and_nothing_is_sent() {
    let theirs = Authority::new();
    let server = Server::over_tls(|_: &Request| Reply::empty(200), &theirs, &[]);
    let opening = with_token(&server.url());
    let ours = opening.root.join("ca.pem");
    std::fs::write(&ours, Authority::new().pem()).unwrap();
    let mut opening = opening;
    let path = ours.to_str().unwrap().to_owned();
    opening.variables.push(("VAULT_CACERT".into(), path.into()));
    let store = open(&opening, SHOP);
    for error in [
        block_on(get(&*store, "A")).unwrap_err(),
        block_on(put(&*store, "A", "canary")).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        assert!(error.hint().unwrap().contains("VAULT_CACERT"), "{error}");
        assert!(!shown(&error).contains("canary"));
        assert!(shown(&error).contains(SHOP));
    }
    assert_eq!(server.log(), []);
    // The file is looked at when the store is opened.
    std::fs::write(&ours, "no certificate").unwrap();
    let error = try_open(&opening, SHOP).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    std::fs::remove_file(&ours).unwrap();
    let error = try_open(&opening, SHOP).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("VAULT_CACERT"));
}

#[test]
fn tls_is_not_spoken_to_a_port_that_has_none() {
    let server = stranger();
    let opening = with_token(&server.url().replace("http://", "https://"));
    let error = block_on(get(&*open(&opening, SHOP), "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("does not speak TLS"), "{error}");
    assert_eq!(server.log(), []);
}

#[test]
fn plain_http_to_another_machine_needs_a_persons_word() {
    for address in ["http://vault.example.com:8200", "http://10.0.0.1"] {
        let opening = with_token(address);
        let error = try_open(&opening, SHOP).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        assert!(error.hint().unwrap().contains("plain-http"));
        let opening = opening.with_addresses([address]);
        let error = try_open(&opening, SHOP).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        let uri = uri(SHOP);
        let mut accepted = opening.opening(&uri);
        accepted.plain_http = true;
        secrets_vault::open(&accepted).unwrap();
    }
    for nowhere in [
        "",
        "vault.example.com:8200",
        "ftp://x",
        "https://u:canary@x",
    ] {
        let error = try_open(&with_token(nowhere), SHOP).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(error.hint().is_some());
        assert!(!shown(&error).contains("canary"));
    }
}

#[test]
fn a_redirect_to_a_stranger_is_not_followed_and_no_token_goes_there() {
    let stage = Stage::start();
    let stranger = stranger();
    let store = open(&stage.under("canary-token"), SHOP);
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/v1/secret/data/shop?canary=1", stranger.url());
        stage.relay.inject(redirects(&to, status));
        for error in [
            block_on(get(&*store, "A")).unwrap_err(),
            block_on(put(&*store, "A", "canary")).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{status}");
            assert!(error.to_string().contains(&stranger.url()), "{error}");
            assert!(error.hint().unwrap().contains("addresses"));
            assert!(!shown(&error).contains("canary"));
        }
    }
    let nowhere = redirects("/v1/elsewhere", 307);
    stage.relay.inject(nowhere);
    block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(stranger.log(), []);
    assert_eq!(stranger.connections(), 0);
}

#[test]
fn a_redirect_to_a_trusted_address_is_followed_with_method_and_body() {
    let stage = Stage::start();
    let standby = Server::plain(|_: &Request| Reply::empty(500));
    standby.inject(redirects(
        &format!("{}/v1/whatever", stage.relay.url()),
        307,
    ));
    let opening = TestOpening::new()
        .with_variables([("BAO_TOKEN", ROOT)])
        .with_addresses([standby.url(), stage.relay.url()]);
    let store = open(&opening, SHOP);
    block_on(async {
        change(&*store, "A", Op::Put(&value("a")), Precondition::Absent)
            .await
            .unwrap();
        assert_eq!(stage.document("shop"), json!({ "A": "a" }));
        // Whoever leads is spoken to from then on.
        standby.forget();
        put(&*store, "A", "b").await.unwrap();
        assert_eq!(standby.log(), []);
        assert_eq!(stage.document("shop"), json!({ "A": "b" }));
    });
}

#[test]
fn servers_that_send_us_round_in_a_circle_are_left() {
    let (one, two) = (stranger(), stranger());
    one.inject(redirects(&two.url(), 307));
    two.inject(redirects(&one.url(), 307));
    let opening = TestOpening::new()
        .with_variables([("BAO_TOKEN", "x")])
        .with_addresses([one.url(), two.url()]);
    let error = block_on(get(&*open(&opening, SHOP), "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(one.log().len() + two.log().len() < 10);
}

#[test]
fn nobody_turns_the_check_of_certificates_off() {
    for variable in ["VAULT_SKIP_VERIFY", "BAO_SKIP_VERIFY"] {
        for (text, is_fine) in [
            ("1", false),
            ("true", false),
            ("x", false),
            ("0", true),
            ("false", true),
        ] {
            let mut opening = with_token("https://vault.example.com");
            opening.variables.push((variable.into(), text.into()));
            let opened = try_open(&opening, SHOP);
            assert_eq!(opened.is_ok(), is_fine, "{variable}={text}");
            if let Err(error) = opened {
                assert_eq!(error.kind(), ErrorKind::InvalidConfig);
                assert!(error.hint().unwrap().contains("VAULT_CACERT"));
            }
        }
    }
}

#[test]
fn a_token_that_is_none_is_sent_to_nobody() {
    let server = stranger();
    let opening = TestOpening::new()
        .with_addresses([server.url()])
        .with_auth("token", &[("token", "file:t")])
        .with_credential("file:t", b"canary-one\ncanary-two\n");
    let error = block_on(get(&*open(&opening, SHOP), "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().is_some());
    assert!(!shown(&error).contains("canary"));
    assert_eq!(server.log(), []);
}

#[test]
fn a_server_that_takes_a_connection_and_says_nothing_is_left_in_time() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let start = Instant::now();
    // TLS is never spoken: the time for a connection, whatever time the call has.
    let store = open(&with_token(&format!("https://{address}")), SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    // The request is never answered: the call's own time.
    let store = open(&with_token(&format!("http://{address}")), SHOP);
    let start = Instant::now();
    let cx = Ctx::within(Duration::from_millis(400));
    let error = block_on(store.read_one(&cx, &name("A"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("in time"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(3));
}

/// Said to the process that [`what_is_not_encrypted_goes_through_no_proxy`] starts.
const ADDRESS: &str = "SECRETS_TEST_ADDRESS";

#[test]
fn what_is_not_encrypted_goes_through_no_proxy() {
    if let Ok(address) = std::env::var(ADDRESS) {
        block_on(get(&*open(&with_token(&address), SHOP), "A")).unwrap_err();
        return;
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let server = Server::plain(move |_: &Request| {
        counter.fetch_add(1, Ordering::SeqCst);
        Reply::json(404, &json!({ "errors": ["no handler for route"] }))
    });
    let proxy = stranger();
    // The variables are the process's own: it takes another process to have them.
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args([
            "--exact",
            "trust::what_is_not_encrypted_goes_through_no_proxy",
        ])
        .env(ADDRESS, server.url());
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "HTTPS_PROXY"] {
        again.env(variable, proxy.url());
    }
    for variable in ["NO_PROXY", "no_proxy", "REQUEST_METHOD"] {
        again.env_remove(variable);
    }
    let output = again.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(proxy.log(), []);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
