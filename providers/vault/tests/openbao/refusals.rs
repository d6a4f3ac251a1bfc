//! What cannot be: each with the right kind of error, a hint where a person can act, and no value.

use std::time::{Duration, Instant};

use secrets_api::{
    Change, Ctx, Error, ErrorKind, Op, Precondition, Provider, ProviderExt as _, Select,
};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::{free_port, until};
use secrets_testkit::web::{Fault, Harm, Reply, Request};
use serde_json::{Value, json};

use crate::stage::{ROOT, SHOP, Stage, change, cx, get, name, open, put, shown, text, value};

/// What every way to look at a store, and a write, come to.
fn all(store: &dyn Provider) -> Vec<Error> {
    block_on(async {
        let (one, names) = (value("canary"), [name("A")]);
        let changes = [Change {
            name: &names[0],
            op: Op::Put(&one),
            when: Precondition::Unguarded,
        }];
        let written = match store.write(&cx(), None, &changes).await {
            Ok(mut written) => written.items.remove(0).map(drop),
            Err(error) => Err(error),
        };
        vec![
            store
                .read(&cx(), Select::Names(&names))
                .await
                .map(drop)
                .unwrap_err(),
            store.read(&cx(), Select::All).await.map(drop).unwrap_err(),
            store.list(&cx()).await.map(drop).unwrap_err(),
            written.unwrap_err(),
        ]
    })
}

/// All of them are of this kind, say this and show no value.
fn assert_all(errors: &[Error], kind: ErrorKind, says: &str) {
    for error in errors {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(shown(error).contains(says), "{}", shown(error));
        assert!(error.hint().is_some(), "{error}");
        assert!(!shown(error).contains("canary"));
    }
}

#[test]
fn a_mount_that_is_not_there_is_not_taken_for_an_empty_store() {
    let stage = Stage::start();
    for uri in [
        "vault:nowhere/shop",
        "vault:nowhere/shop?layout=each",
        "vault:nowhere/shop?kv=1",
    ] {
        let store = open(&stage.as_root(), uri);
        assert_all(
            &all(&*store),
            ErrorKind::InvalidConfig,
            "vault secrets list",
        );
    }
}

#[test]
fn an_engine_of_another_kind_is_not_taken_for_an_empty_store() {
    let stage = Stage::start();
    stage
        .admin()
        .ok("POST", "sys/mounts/transit", &json!({ "type": "transit" }));
    for uri in [
        "vault:transit/shop",
        "vault:transit/shop?layout=each",
        "vault:transit/shop?kv=1",
    ] {
        let store = open(&stage.as_root(), uri);
        assert_all(
            &all(&*store),
            ErrorKind::InvalidConfig,
            "vault secrets list",
        );
    }
}

#[test]
fn an_engine_of_the_other_version_is_told_and_never_written() {
    let stage = Stage::start();
    stage.mount("one", 1);
    let framed = json!({ "data": { "A": "theirs" } });
    for layout in ["layout=document", "layout=each"] {
        let store = open(&stage.as_root(), &format!("vault:one/shop?{layout}"));
        assert_all(&all(&*store), ErrorKind::InvalidConfig, "kv=1");
        let store = open(
            &stage.as_root(),
            &format!("vault:secret/shop?kv=1&{layout}"),
        );
        assert_all(&all(&*store), ErrorKind::InvalidConfig, "leave out kv=1");
    }
    // No frame of ours has become a secret there.
    let (status, _) = stage.admin().call("LIST", "one/", None);
    assert_eq!(status, 404);
    let (status, _) = stage.admin().call("LIST", "secret/metadata/", None);
    assert_eq!(status, 404);
    // And one that looks like our frame is none.
    stage.admin().ok("POST", "one/data/shop", &framed);
    let store = open(&stage.as_root(), "vault:one/shop");
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.hint().unwrap().contains("kv=1"));
}

#[test]
fn a_token_that_may_not_ask_about_mounts_may_still_read_and_write() {
    let stage = Stage::start();
    let policy = "path \"secret/data/shop\" { capabilities = [\"create\", \"read\", \"update\"] }";
    let token = stage.bao.token_under("narrow", policy);
    let store = open(&stage.under(&token), SHOP);
    block_on(async {
        assert_eq!(get(&*store, "A").await.unwrap(), None);
        put(&*store, "A", "a").await.unwrap();
        assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("a"));
        // The engine is asked about once.
        assert_eq!(stage.count("GET /v1/sys/internal/ui/mounts/"), 1);
    });
}

#[test]
fn fields_that_are_no_texts_are_errors_of_their_own_and_stay_as_they_are() {
    let stage = Stage::start();
    let theirs = json!({
        "PORT": 5432, "RATIO": 2.5, "DEBUG": true, "NONE": null, "DEEP": { "x": ["canary", 1] },
        "LIST": ["canary"], "a name": "foreign", "9": "foreign", "": "foreign", "GOOD": "good",
    });
    stage.write("shop", &theirs);
    let store = open(&stage.as_root(), SHOP);
    block_on(async {
        let snapshot = store.read(&cx(), Select::All).await.unwrap();
        let mut foreign = snapshot.foreign.clone();
        foreign.sort();
        assert_eq!(foreign, ["", "9", "a name"]);
        assert_eq!(snapshot.items.len(), 7);
        for (of, lookup) in snapshot.items {
            match lookup {
                Ok(found) => assert_eq!((of.as_str(), text(found)), ("GOOD", Some("good".into()))),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::InvalidData);
                    assert!(!shown(&error).contains("canary"));
                    assert!(error.hint().unwrap().contains(of.as_str()));
                }
            }
        }
        put(&*store, "NEW", "new").await.unwrap();
        put(&*store, "GOOD", "better").await.unwrap();
        change(&*store, "NEW", Op::Delete, Precondition::Unguarded)
            .await
            .unwrap();
        let mut expected = theirs.clone();
        expected["GOOD"] = json!("better");
        assert_eq!(stage.document("shop"), expected);
        // Put over, it is a text.
        put(&*store, "PORT", "5433").await.unwrap();
        assert_eq!(get(&*store, "PORT").await.unwrap().as_deref(), Some("5433"));
    });
}

#[test]
fn other_tools_secrets_below_the_path_stay_as_they_are() {
    let stage = Stage::start();
    stage.write("shop/A", &json!({ "value": "a", "note": "theirs", "n": 1 }));
    stage.write("shop/B", &json!({ "password": "theirs" }));
    stage.write("shop/C", &json!({ "value": 7 }));
    stage.write("shop/not-a-name", &json!({ "value": "theirs" }));
    stage.write("shop/folder/D", &json!({ "value": "theirs" }));
    let store = open(&stage.as_root(), "vault:secret/shop?layout=each");
    block_on(async {
        let snapshot = store.read(&cx(), Select::All).await.unwrap();
        assert_eq!(snapshot.foreign, ["not-a-name"]);
        let mut seen = Vec::new();
        for (of, lookup) in snapshot.items {
            seen.push((of.to_string(), lookup.map(text).map_err(|e| e.kind())));
        }
        let expected = [
            ("A".to_owned(), Ok(Some("a".to_owned()))),
            ("C".to_owned(), Err(ErrorKind::InvalidData)),
        ];
        assert_eq!(seen, expected);
        put(&*store, "A", "b").await.unwrap();
        assert_eq!(
            stage.document("shop/A"),
            json!({ "value": "b", "note": "theirs", "n": 1 })
        );
        change(&*store, "A", Op::Delete, Precondition::Unguarded)
            .await
            .unwrap();
        assert_eq!(
            stage.document("shop/A"),
            json!({ "note": "theirs", "n": 1 })
        );
        assert_eq!(get(&*store, "A").await.unwrap(), None);
        put(&*store, "B", "ours").await.unwrap();
        assert_eq!(
            stage.document("shop/B"),
            json!({ "password": "theirs", "value": "ours" })
        );
    });
}

#[test]
fn a_value_of_five_megabytes_is_refused_before_any_request() {
    let stage = Stage::start();
    let big = value(&"x".repeat(5_000_000));
    for uri in [
        SHOP,
        "vault:secret/shop?layout=each",
        "vault:secret/shop?kv=1",
    ] {
        let store = open(&stage.as_root(), uri);
        let most = store.capabilities().limits.value_bytes.unwrap();
        let written = block_on(change(&*store, "A", Op::Put(&big), Precondition::Unguarded));
        let error = written.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        for part in ["A", "5000000", &most.to_string()] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    assert_eq!(stage.went(), [""; 0]);
}

#[test]
fn a_document_that_would_be_too_large_is_refused_before_it_is_written() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), SHOP);
    let most = store.capabilities().limits.value_bytes.unwrap();
    let (part, names) = (
        value(&"x".repeat(most)),
        ["A", "B", "C", "D", "E", "F", "G"],
    );
    block_on(async {
        for of in names {
            change(&*store, of, Op::Put(&part), Precondition::Unguarded)
                .await
                .unwrap();
        }
        let sent = stage.count("POST ");
        let error = change(&*store, "H", Op::Put(&part), Precondition::Unguarded)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("bytes"), "{error}");
        assert_eq!(stage.count("POST "), sent);
    });
}

#[test]
fn an_expired_token_is_told_from_a_missing_policy() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let expired = stage
        .admin()
        .ok("POST", "auth/token/create", &json!({ "ttl": "1s" }));
    let expired = expired["auth"]["client_token"].as_str().unwrap().to_owned();
    let theirs = stage.admin().with_token(&expired);
    until("the token expires", || {
        theirs.call("GET", "auth/token/lookup-self", None).0 == 403
    });
    for uri in [SHOP, "vault:secret/shop?layout=each"] {
        let store = open(&stage.under(&expired), uri);
        assert_all(&all(&*store), ErrorKind::Unauthenticated, "log in again");
        let narrow = stage.bao.token_under(
            "other",
            "path \"secret/data/x\" { capabilities = [\"read\"] }",
        );
        let store = open(&stage.under(&narrow), uri);
        let error = block_on(store.read(&cx(), Select::All))
            .map(drop)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.hint().unwrap().contains("secrets doctor --policy"));
        assert_eq!(
            block_on(put(&*store, "A", "canary")).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        assert_eq!(
            block_on(store.list(&cx())).unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
    }
}

#[test]
fn one_path_that_may_not_be_read_does_not_hide_the_others() {
    let stage = Stage::start();
    stage.write("shop/A", &json!({ "value": "a" }));
    stage.write("shop/B", &json!({ "value": "b" }));
    let policy = "path \"secret/data/shop/A\" { capabilities = [\"read\"] }\n\
                  path \"secret/metadata/shop\" { capabilities = [\"list\"] }";
    let token = stage.bao.token_under("narrow", policy);
    let store = open(&stage.under(&token), "vault:secret/shop?layout=each");
    let snapshot = block_on(store.read(&cx(), Select::All)).unwrap();
    let mut seen = Vec::new();
    for (of, lookup) in snapshot.items {
        seen.push((of.to_string(), lookup.map(text).map_err(|e| e.kind())));
    }
    let expected = [
        ("A".to_owned(), Ok(Some("a".to_owned()))),
        ("B".to_owned(), Err(ErrorKind::PermissionDenied)),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn a_sealed_server_is_not_ready_and_says_who_can_open_it() {
    let stage = Stage::start();
    stage.admin().ok("POST", "sys/seal", &Value::Null);
    for uri in [
        SHOP,
        "vault:secret/shop?layout=each",
        "vault:secret/shop?kv=1",
    ] {
        let store = open(&stage.as_root(), uri);
        assert_all(&all(&*store), ErrorKind::Unavailable, "operator unseal");
        let report = block_on(store.inspect(&cx())).unwrap();
        let (problem, hint) = &report.problems[0];
        assert!(problem.contains("sealed") && hint.as_ref().unwrap().contains("unseal"));
    }
}

#[test]
fn a_quota_that_is_used_up_is_a_rate_limit() {
    let stage = Stage::start();
    let quota = json!({ "rate": 1, "interval": "1h", "path": "secret/" });
    stage
        .admin()
        .ok("POST", "sys/quotas/rate-limit/tests", &quota);
    stage.admin().call("GET", "secret/data/shop", None);
    for uri in [SHOP, "vault:secret/shop?layout=each"] {
        let store = open(&stage.as_root(), uri);
        for error in all(&*store) {
            assert_eq!(error.kind(), ErrorKind::RateLimited, "{error}");
        }
    }
    // How long to wait is taken from the answer where it says so.
    let later = Reply::json(429, &json!({ "errors": [] })).with_header("retry-after", "7");
    stage.relay.inject(Fault::always(Harm::Answer(later)));
    let error = block_on(get(&*open(&stage.as_root(), SHOP), "A")).unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
}

#[test]
fn what_answers_but_is_no_vault_is_told() {
    let stage = Stage::start();
    let page = Reply {
        body: b"<html>canary, please sign in</html>".to_vec(),
        ..Reply::empty(200)
    };
    let object = Reply::json(200, &json!({ "hello": "canary" }));
    let list = Reply::json(
        200,
        &json!({ "data": { "data": ["canary"], "metadata": {
        "version": 1, "created_time": "2026-01-01T00:00:00Z" } } }),
    );
    let null = Reply::json(
        200,
        &json!({ "data": { "data": null, "metadata": {
        "version": 1, "created_time": "2026-01-01T00:00:00Z" } } }),
    );
    for reply in [page, object, list, null] {
        stage.relay.heal();
        stage.relay.inject(Fault::always(Harm::Answer(reply)));
        let store = open(&stage.as_root(), SHOP);
        let error = block_on(get(&*store, "A")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{error}");
        assert!(!shown(&error).contains("canary"));
    }
    for (status, kind) in [
        (400, ErrorKind::Unexpected),
        (404, ErrorKind::InvalidData),
        (500, ErrorKind::Unavailable),
        (502, ErrorKind::Unavailable),
        (503, ErrorKind::Unavailable),
    ] {
        stage.relay.heal();
        let page = Reply {
            body: b"<html>canary</html>".to_vec(),
            ..Reply::empty(status)
        };
        stage.relay.inject(Fault::always(Harm::Answer(page)));
        let error = block_on(get(&*open(&stage.as_root(), SHOP), "A")).unwrap_err();
        assert_eq!(error.kind(), kind, "{status} {error}");
        assert!(!shown(&error).contains("canary"));
    }
}

#[test]
fn a_port_where_nobody_listens_is_said_at_once() {
    let address = format!("http://127.0.0.1:{}", free_port());
    let opening =
        TestOpening::new().with_variables([("BAO_ADDR", address.as_str()), ("BAO_TOKEN", ROOT)]);
    let start = Instant::now();
    for uri in [SHOP, "vault:secret/shop?layout=each"] {
        let store = open(&opening, uri);
        assert_all(&all(&*store), ErrorKind::Unavailable, "refused");
    }
    assert!(start.elapsed() < Duration::from_secs(4));
    // Another server is asked where there is one.
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let opening = opening.with_addresses([address, stage.relay.url()]);
    let read = block_on(get(&*open(&opening, SHOP), "A"));
    assert_eq!(read.unwrap().as_deref(), Some("a"));
}

#[test]
fn no_call_takes_longer_than_its_time() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let store = open(&stage.as_root(), SHOP);
    let brief = || Ctx::within(Duration::from_millis(400));
    let start = Instant::now();
    let slow = |method: &'static str| {
        let harm = Harm::Latency(Duration::from_secs(60));
        Fault::always(harm).only(move |request: &Request| request.method == method)
    };
    stage.relay.inject(slow("GET"));
    let error = block_on(store.read_one(&brief(), &name("A")))
        .map(drop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    stage.relay.heal();
    stage.relay.inject(slow("POST"));
    let (of, new) = (name("A"), value("canary"));
    let change = Change {
        name: &of,
        op: Op::Put(&new),
        when: Precondition::Unguarded,
    };
    let error = block_on(store.write_one(&brief(), change)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(!shown(&error).contains("canary"));
    assert!(start.elapsed() < Duration::from_secs(4));
}
