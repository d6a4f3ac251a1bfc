//! Tokens: where they are found, that they are renewed in time, replaced where they were refused, kept
//! between runs only when that was asked for, and never shown.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use secrets_api::{Ctx, ErrorKind, ProviderExt as _};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use serde_json::json;

use crate::logins::{approle, by_approle};
use crate::stage::{ROOT, SHOP, Stage, cx, get, name, open, put, shown};

/// A program at this path.
fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// A home with a token file and a token helper, as far as they are given.
fn home(stage: &Stage, variables: &[(&str, &str)], file: &str, helper: &str) -> TestOpening {
    let address = stage.relay.url();
    let all = [("BAO_ADDR", address.as_str())].into_iter();
    let opening = TestOpening::new().with_variables(all.chain(variables.iter().copied()));
    let home = &opening.dirs.home;
    if !file.is_empty() {
        std::fs::write(home.join(".vault-token"), format!("{file}\n")).unwrap();
    }
    if !helper.is_empty() {
        let program = home.join("helper");
        script(&program, helper);
        let config = format!("# a comment\ntoken_helper = \"{}\"\n", program.display());
        std::fs::write(home.join(".vault"), config).unwrap();
    }
    opening
}

fn kind(opening: &TestOpening) -> Option<ErrorKind> {
    let store = open(opening, SHOP);
    block_on(get(&*store, "A")).err().map(|error| error.kind())
}

#[test]
fn the_token_is_that_of_the_first_place_that_has_one() {
    let stage = Stage::start();
    let says = |token: &str| format!("[ \"$1\" = get ] && echo {token}");
    let (right, wrong) = (says(ROOT), says("wrong"));
    let both = |first, second| [("BAO_TOKEN", first), ("VAULT_TOKEN", second)];
    for (opening, is_right) in [
        (home(&stage, &both(ROOT, "wrong"), "wrong", &wrong), true),
        (home(&stage, &both("wrong", ROOT), ROOT, &right), false),
        (
            home(&stage, &[("VAULT_TOKEN", ROOT)], "wrong", &wrong),
            true,
        ),
        (
            home(&stage, &[("VAULT_TOKEN", "wrong")], ROOT, &right),
            false,
        ),
        (home(&stage, &[], "wrong", &right), true),
        (home(&stage, &[], ROOT, &wrong), false),
        (home(&stage, &[], ROOT, ""), true),
        (home(&stage, &[("BAO_TOKEN", "")], ROOT, ""), true),
    ] {
        let expected = (!is_right).then_some(ErrorKind::Unauthenticated);
        assert_eq!(kind(&opening), expected);
    }
    // Named in the manifest it is that one, whatever else there is.
    let named = home(&stage, &[("BAO_TOKEN", "wrong")], "", "")
        .with_auth("token", &[("token", "keyring:shop/token")])
        .with_credential("keyring:shop/token", format!("{ROOT}\n").as_bytes());
    assert_eq!(kind(&named), None);
    let unnamed = home(&stage, &[("BAO_TOKEN", ROOT)], "", "").with_auth("token", &[]);
    assert_eq!(kind(&unnamed), None);
}

#[test]
fn nobody_is_logged_in_where_there_is_no_token() {
    let stage = Stage::start();
    for (file, helper, says) in [
        ("", "", "there is no token"),
        ("", "exit 0", "there is no token"),
        ("", "echo canary; exit 3", "helper failed"),
    ] {
        let opening = home(&stage, &[], file, helper);
        let store = open(&opening, SHOP);
        let error = block_on(get(&*store, "A")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.to_string().contains(says), "{error}");
        assert!(!shown(&error).contains("canary"));
    }
    let opening = home(&stage, &[], "", "");
    std::fs::write(
        opening.dirs.home.join(".vault"),
        "token_helper = \"helper\"",
    )
    .unwrap();
    assert_eq!(kind(&opening), Some(ErrorKind::InvalidConfig));
    assert_eq!(stage.went(), [""; 0]);
}

#[test]
fn a_token_helper_that_hangs_is_ended_when_the_time_is_over() {
    let stage = Stage::start();
    let opening = home(&stage, &[], "", "exec sleep 600");
    let store = open(&opening, SHOP);
    let start = Instant::now();
    let cx = Ctx::within(Duration::from_millis(300));
    let error = block_on(store.read_one(&cx, &name("A"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_token_is_renewed_at_two_thirds_of_its_life_and_nobody_logs_in_again() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let settings = json!({ "token_policies": "shop", "token_ttl": "4s", "token_max_ttl": "1h" });
    let (role, secret) = approle(&stage.admin(), &settings);
    let opening = by_approle(stage.as_nobody(), &role, &secret);
    let store = open(&opening, SHOP);
    block_on(async {
        let start = Instant::now();
        let renewals = || stage.count("POST /v1/auth/token/renew-self");
        // Twice: what was granted anew is renewed too. Past its first life the token works still.
        while renewals() < 2 {
            assert!(start.elapsed() < Duration::from_secs(30), "never renewed");
            assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("a"));
            if renewals() == 0 {
                assert!(start.elapsed() < Duration::from_secs(4), "renewed too late");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(
            start.elapsed() >= Duration::from_millis(5200),
            "renewed too soon"
        );
    });
    assert_eq!(stage.count("POST /v1/auth/approle/login"), 1);
}

#[test]
fn a_token_that_cannot_be_renewed_any_more_is_replaced_by_a_login() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let settings = json!({ "token_policies": "shop", "token_ttl": "1s", "token_max_ttl": "1s" });
    let (role, secret) = approle(&stage.admin(), &settings);
    let opening = by_approle(stage.as_nobody(), &role, &secret);
    let store = open(&opening, SHOP);
    block_on(async {
        let start = Instant::now();
        while stage.count("POST /v1/auth/approle/login") < 2 {
            assert!(start.elapsed() < Duration::from_secs(30), "never replaced");
            assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("a"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
}

/// Revokes all that AppRole has granted.
fn revoke_all(stage: &Stage) {
    let sync = json!({ "sync": true });
    stage
        .admin()
        .ok("POST", "sys/leases/revoke-prefix/auth/approle", &sync);
}

#[test]
fn a_token_that_was_revoked_is_replaced_once_and_the_request_made_again() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let (role, secret) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let opening = by_approle(stage.as_nobody(), &role, &secret);
    let store = open(&opening, SHOP);
    block_on(async {
        get(&*store, "A").await.unwrap();
        revoke_all(&stage);
        stage.relay.forget();
        assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("a"));
        assert_eq!(
            stage.went(),
            [
                "GET /v1/secret/data/shop",
                "POST /v1/auth/approle/login",
                "GET /v1/secret/data/shop"
            ]
        );
        // A write is replaced alike: what was refused has had no effect.
        revoke_all(&stage);
        put(&*store, "B", "b").await.unwrap();
        assert_eq!(stage.document("shop"), json!({ "A": "a", "B": "b" }));
        // Where the login itself is gone, it is said once.
        revoke_all(&stage);
        stage
            .admin()
            .ok("DELETE", "auth/approle/role/shop", &serde_json::Value::Null);
        stage.relay.forget();
        let error = get(&*store, "A").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert_eq!(stage.count("POST /v1/auth/approle/login"), 1);
    });
}

#[test]
fn many_calls_at_once_log_in_once() {
    let stage = Stage::start();
    for n in 0..20 {
        stage.write(&format!("shop/N{n}"), &json!({ "value": "a" }));
    }
    let (role, secret) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let opening = by_approle(stage.as_nobody(), &role, &secret);
    let store = open(&opening, "vault:secret/shop?layout=each");
    block_on(async {
        let all = secrets_api::Select::All;
        assert_eq!(store.read(&cx(), all).await.unwrap().items.len(), 20);
        assert_eq!(stage.count("POST /v1/auth/approle/login"), 1);
        revoke_all(&stage);
        let names: Vec<_> = (0..20).map(|n| name(&format!("N{n}"))).collect();
        let named = secrets_api::Select::Names(&names);
        let read = store.read(&cx(), named).await.unwrap();
        assert!(read.items.iter().all(|(_, lookup)| lookup.is_ok()));
        assert_eq!(stage.count("POST /v1/auth/approle/login"), 2);
    });
}

#[test]
fn a_plain_token_that_was_refused_is_not_tried_again() {
    let stage = Stage::start();
    let opening = stage.under("canary-token");
    let store = open(&opening, SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().unwrap().contains("VAULT_TOKEN"));
    assert!(!shown(&error).contains("canary"));
    assert_eq!(stage.went(), ["GET /v1/secret/data/shop"]);
}

#[test]
fn a_token_is_kept_between_runs_only_where_that_was_asked_for() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let (role, secret) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let opening = by_approle(stage.as_nobody(), &role, &secret);
    block_on(get(&*open(&opening, SHOP), "A")).unwrap();
    assert!(opening.cache.is_empty(), "nothing is kept unasked");
    let settings = [
        ("role-id", &*role),
        ("secret-id", "file:id"),
        ("cache", "keyring"),
    ];
    let opening = opening.with_auth("approle", &settings);
    block_on(get(&*open(&opening, SHOP), "A")).unwrap();
    assert_eq!(opening.cache.len(), 1);
    // The next run uses it.
    stage.relay.forget();
    let second = open(&opening, SHOP);
    assert_eq!(block_on(get(&*second, "A")).unwrap().as_deref(), Some("a"));
    assert_eq!(stage.went(), ["GET /v1/secret/data/shop"]);
    // One that was revoked meanwhile is replaced, and so is what is kept.
    revoke_all(&stage);
    assert_eq!(
        block_on(get(&*open(&opening, SHOP), "A"))
            .unwrap()
            .as_deref(),
        Some("a")
    );
    stage.relay.forget();
    block_on(get(&*open(&opening, SHOP), "A")).unwrap();
    assert_eq!(stage.went(), ["GET /v1/secret/data/shop"]);
    assert_eq!(opening.cache.len(), 1);
}

#[test]
fn a_token_kept_for_one_namespace_is_not_used_in_another() {
    let stage = Stage::start();
    let (role, secret) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let settings = [
        ("role-id", &*role),
        ("secret-id", "file:id"),
        ("cache", "keyring"),
    ];
    let mut opening = by_approle(stage.as_nobody(), &role, &secret).with_auth("approle", &settings);
    block_on(get(&*open(&opening, SHOP), "A")).unwrap();
    assert_eq!(opening.cache.len(), 1);
    opening = opening.with_variables([
        ("BAO_ADDR", stage.relay.url()),
        ("BAO_NAMESPACE", "team".to_owned()),
    ]);
    stage.relay.forget();
    block_on(get(&*open(&opening, SHOP), "A")).unwrap_err();
    assert_eq!(stage.went(), ["POST /v1/auth/approle/login"]);
}

#[test]
fn no_token_and_no_credential_is_shown_by_anything_that_can_be_printed() {
    let stage = Stage::start();
    let (role, secret) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let mut printed = String::new();
    let mut openings = vec![
        by_approle(stage.as_nobody(), &role, &secret),
        stage.as_root(),
    ];
    openings.push(
        stage
            .as_nobody()
            .with_auth("userpass", &[("username", "ada"), ("password", "file:p")])
            .with_credential("file:p", b"canary-password"),
    );
    openings.push(
        stage
            .as_nobody()
            .with_auth("token", &[("token", "env:T")])
            .with_credential("env:T", b"canary-token"),
    );
    for opening in &openings {
        for uri in [
            SHOP,
            "vault:secret/shop?layout=each",
            "vault-dynamic:database/creds/shop",
        ] {
            let store = open(opening, uri);
            let answer = block_on(get(&*store, "A"));
            printed += &format!("{store:?} {store:#?} {:?}", store.policy());
            if let Err(error) = answer {
                printed += &shown(&error);
            }
            if let Ok(report) = block_on(store.inspect(&cx())) {
                printed += &format!("{report:?}");
            }
        }
    }
    for hidden in [&secret, ROOT, "canary"] {
        assert!(!printed.contains(hidden), "{hidden} is printed");
    }
    let wrong = stage.under("two\nlines-canary");
    let error = block_on(get(&*open(&wrong, SHOP), "A")).unwrap_err();
    assert!(!shown(&error).contains("canary"));
}
