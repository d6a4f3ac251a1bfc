//! Logging in: each way, what it asks whom, and what is said where it fails.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use secrets_api::{Ctx, ErrorKind, Provider};
use secrets_testkit::block_on;
use secrets_testkit::fakes::gcp::{Gcp, ServiceAccount};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::web::{Authority, Fault, Harm, Reply, Request};
use support::{PARENT, cx, open_with, put, requests, value};

const EMAIL: &str = "deploy@shop.iam.gserviceaccount.com";

/// Keys take a while to make.
static ACCOUNT: LazyLock<ServiceAccount> = LazyLock::new(|| ServiceAccount::new(EMAIL));

/// A fake that holds `A` and wants a token.
fn guarded() -> Gcp {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a")]);
    fake.demand_tokens();
    fake
}

fn opening(fake: &Gcp) -> TestOpening {
    TestOpening::new().with_addresses([fake.server().url()])
}

fn with_key(fake: &Gcp) -> TestOpening {
    let key = ACCOUNT.key_file("shop", &fake.token_uri());
    opening(fake)
        .with_auth("service-account", &[("key", "keyring:shop/key")])
        .with_credential("keyring:shop/key", key.as_bytes())
}

/// A user's credentials, as `gcloud` writes them.
fn user(fake: &Gcp, refresh_token: &str) -> String {
    serde_json::json!({
        "type": "authorized_user",
        "client_id": "id.apps.googleusercontent.com",
        "client_secret": "canary-client-secret",
        "refresh_token": refresh_token,
        "token_uri": fake.token_uri(),
    })
    .to_string()
}

/// The user's credentials where `gcloud` leaves them.
fn logged_in_by_gcloud(opening: &TestOpening, content: &str) {
    let folder = opening.dirs.home.join(".config/gcloud");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("application_default_credentials.json");
    std::fs::write(file, content).unwrap();
}

fn store(opening: &TestOpening) -> Arc<dyn Provider> {
    open_with(opening, "gcp:shop").unwrap()
}

fn reads(opening: &TestOpening) -> Result<(), secrets_api::Error> {
    let found = block_on(value(&*store(opening), "A"))?;
    assert_eq!(found.as_deref(), Some(&b"a"[..]));
    Ok(())
}

#[test]
fn a_service_accounts_key_signs_a_token_that_verifies_and_asks_nobody_for_one() {
    let fake = guarded();
    fake.know(&ACCOUNT);
    reads(&with_key(&fake)).unwrap();
    assert_eq!(
        requests(&fake.server().log()),
        ["GET /v1/projects/shop/secrets/A/versions/latest:access"]
    );
}

#[test]
fn a_key_that_google_does_not_know_is_unauthenticated_and_not_shown() {
    let fake = guarded();
    let opening = with_key(&fake);
    let error = reads(&opening).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().is_some());
    assert!(!format!("{error:?}").contains("PRIVATE"));
    assert!(!format!("{:?}", store(&opening)).contains("PRIVATE"));
    assert_eq!(fake.server().log().len(), 1);
}

#[test]
fn a_key_that_is_cut_off_is_told_before_anything_is_sent() {
    let fake = guarded();
    let whole = ACCOUNT.key_file("shop", "https://x/token");
    let mut key: serde_json::Value = serde_json::from_str(&whole).unwrap();
    for broken in [
        "",
        "canary",
        "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----\n",
    ] {
        key["private_key"] = serde_json::json!(broken);
        let opening = opening(&fake)
            .with_auth("service-account", &[("key", "file:k")])
            .with_credential("file:k", key.to_string().as_bytes());
        let error = block_on(put(&*store(&opening), "A", b"x")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{broken:?}");
        assert_eq!(error.store(), Some("gcp:shop"));
        let shown = format!("{error:?}");
        assert!(!shown.contains("canary") && !shown.contains("Y2FuYXJ5"));
    }
    assert_eq!(fake.server().log().len(), 0);
}

#[test]
fn a_credential_that_is_not_there_is_the_errors_own_kind() {
    let fake = guarded();
    let opening = opening(&fake).with_auth("service-account", &[("key", "keyring:shop/none")]);
    let error = reads(&opening).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert_eq!(fake.server().log().len(), 0);
}

#[test]
fn a_file_that_the_variable_names_comes_before_gclouds_own() {
    let fake = guarded();
    fake.know(&ACCOUNT);
    let mut opening = opening(&fake);
    logged_in_by_gcloud(&opening, &user(&fake, "never used"));
    let file = opening.folder().join("key.json");
    std::fs::write(&file, ACCOUNT.key_file("shop", &fake.token_uri())).unwrap();
    opening = opening.with_variables([("GOOGLE_APPLICATION_CREDENTIALS", file)]);
    reads(&opening).unwrap();
    assert_eq!(fake.server().log().len(), 1);
}

#[test]
fn a_user_logged_in_by_gcloud_costs_one_request_for_a_token_and_no_probe() {
    let fake = guarded();
    let opening = opening(&fake).with_variables([("GCE_METADATA_HOST", fake.metadata_host())]);
    logged_in_by_gcloud(&opening, &user(&fake, &fake.log_in()));
    let store = store(&opening);
    block_on(async {
        for _ in 0..3 {
            value(&*store, "A").await.unwrap();
        }
    });
    let requests = requests(&fake.server().log());
    assert_eq!(requests[0], "POST /token");
    assert_eq!(requests.len(), 1 + 3);
}

#[test]
fn a_login_that_has_expired_says_how_to_log_in_again() {
    let fake = guarded();
    let opening = opening(&fake);
    logged_in_by_gcloud(&opening, &user(&fake, "canary-refresh-token"));
    let error = block_on(put(&*store(&opening), "A", b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("expired"));
    let hint = error.hint().unwrap();
    assert!(hint.contains("gcloud auth application-default login"));
    assert!(!format!("{error:?}").contains("canary"));
    assert_eq!(requests(&fake.server().log()), ["POST /token"]);
}

#[test]
fn the_metadata_server_is_asked_only_where_nothing_else_is_there() {
    let fake = guarded();
    let opening = opening(&fake).with_variables([("GCE_METADATA_HOST", fake.metadata_host())]);
    reads(&opening).unwrap();
    let token = "GET /computeMetadata/v1/instance/service-accounts/default/token";
    let access = "GET /v1/projects/shop/secrets/A/versions/latest:access";
    assert_eq!(requests(&fake.server().log()), [token, access]);
    let report = block_on(store(&opening).inspect(&cx())).unwrap();
    assert!(report.identity.unwrap().contains("metadata server"));
}

#[test]
fn a_token_that_a_proxy_would_read_is_not_asked_for() {
    let fake = guarded();
    let stranger = Gcp::plain();
    let proxied = || {
        TestOpening::new()
            .with_addresses(["https://127.0.0.1:1"])
            .with_variables([
                ("GCE_METADATA_HOST", fake.metadata_host()),
                ("HTTP_PROXY", stranger.server().url()),
            ])
    };
    let (of_metadata, of_a_user) = (proxied(), proxied());
    logged_in_by_gcloud(&of_a_user, &user(&fake, &fake.log_in()));
    for opening in [of_metadata, of_a_user] {
        let error = block_on(value(&*store(&opening), "A")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted, "{error}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("NO_PROXY") && hint.contains(",127.0.0.1"),
            "{hint}"
        );
    }
    assert_eq!(fake.server().log().len(), 0);
    assert_eq!(stranger.server().log().len(), 0);
}

/// The library takes its proxies from the process: it takes another process to have them.
#[test]
fn plain_http_through_a_proxy_of_the_process_is_refused_and_past_it_is_not() {
    const CHILD: &str = "SECRETS_GCP_TEST_PROXIED";
    let opening = |address: String| {
        TestOpening::new()
            .with_addresses([address])
            .with_auth("anonymous", &[])
    };
    if let Ok(address) = std::env::var(CHILD) {
        if std::env::var("NO_PROXY").is_ok() {
            return reads(&opening(address)).unwrap();
        }
        let error = open_with(&opening(address), "gcp:shop").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Untrusted);
        return assert_eq!(error.store(), Some("gcp:shop"));
    }
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a")]);
    let proxy = Gcp::plain();
    let this = "plain_http_through_a_proxy_of_the_process_is_refused_and_past_it_is_not";
    for past in [None, Some(("NO_PROXY", "127.0.0.1"))] {
        let ended = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env_clear()
            .env("HTTP_PROXY", proxy.server().url())
            .env(CHILD, fake.server().url())
            .envs(past)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stdout).into_owned();
        assert!(
            ended.status.success() && said.contains("1 passed"),
            "{said}"
        );
        assert_eq!(fake.server().log().len(), usize::from(past.is_some()));
    }
    assert_eq!(proxy.server().log().len(), 0);
}

#[test]
fn a_metadata_server_that_never_answers_is_given_up_in_time_and_changes_nothing() {
    let fake = guarded();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = silent.local_addr().unwrap().to_string();
    let opening = opening(&fake).with_variables([("GCE_METADATA_HOST", host)]);
    let store = store(&opening);
    let started = Instant::now();
    let new = secrets_api::SecretValue::from_slice(b"x");
    let changes = [secrets_api::Change {
        name: &support::name("A"),
        op: secrets_api::Op::Put(&new),
        when: secrets_api::Precondition::Unguarded,
    }];
    let short = Ctx::within(Duration::from_millis(400));
    let error = block_on(store.write(&short, None, &changes)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(fake.server().log().len(), 0);
}

#[test]
fn a_machine_that_is_not_at_google_is_told_how_to_log_in() {
    let fake = guarded();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = closed.local_addr().unwrap().to_string();
    drop(closed);
    let opening = opening(&fake).with_variables([("GCE_METADATA_HOST", host)]);
    let error = reads(&opening).unwrap_err();
    assert!(matches!(
        error.kind(),
        ErrorKind::Unavailable | ErrorKind::Unauthenticated
    ));
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("gcloud auth application-default login"),
        "{hint}"
    );
}

#[test]
fn a_token_that_could_not_be_had_once_is_asked_for_again_by_the_next_call() {
    let fake = guarded();
    let opening = opening(&fake);
    logged_in_by_gcloud(&opening, &user(&fake, &fake.log_in()));
    let for_tokens = |request: &Request| request.path == "/token";
    fake.server()
        .inject(Fault::once(Harm::Answer(Reply::empty(503))).only(for_tokens));
    let store = store(&opening);
    block_on(async {
        let error = value(&*store, "A").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        // No second attempt of the library's own.
        assert_eq!(fake.server().log().len(), 1);
        value(&*store, "A").await.unwrap();
    });
    assert_eq!(fake.server().log().len(), 3);
}

#[test]
fn a_project_that_pays_is_named_to_the_service() {
    let fake = guarded();
    let opening = opening(&fake).with_variables([
        ("GCE_METADATA_HOST", fake.metadata_host()),
        ("GOOGLE_CLOUD_QUOTA_PROJECT", "billing".to_owned()),
    ]);
    let paid = |request: &Request| request.header("x-goog-user-project") == Some("billing");
    fake.server()
        .inject(Fault::always(Harm::Answer(Reply::empty(418))).only(paid));
    let error = reads(&opening).unwrap_err();
    assert!(error.message().contains("418"), "{error}");
}

/// The library takes its certificates from the process's own environment alone: the test is run once
/// more, in a process whose environment names the fake's authority.
#[test]
fn over_tls_an_authority_named_by_the_environment_is_trusted() {
    const CHILD: &str = "SECRETS_GCP_TEST_ADDRESS";
    if let Ok(address) = std::env::var(CHILD) {
        let opening = TestOpening::new()
            .with_addresses([address])
            .with_auth("anonymous", &[]);
        return reads(&opening).unwrap();
    }
    let authority = Authority::new();
    let fake = Gcp::over_tls(&authority);
    fake.plant(PARENT, &[("A", b"a")]);
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("ca.pem");
    std::fs::write(&roots, authority.pem()).unwrap();
    let this = "over_tls_an_authority_named_by_the_environment_is_trusted";
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", this])
        .env_clear()
        .env("SSL_CERT_FILE", &roots)
        .env(CHILD, fake.server().url())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(
        ended.status.success() && said.contains("1 passed"),
        "{said}"
    );
    assert_eq!(fake.server().log().len(), 1);
}
