//! The policy that `doctor --policy` prints is enough for all that the store offers, and a part of it
//! for those who only read; and `doctor` says what is missing.

use std::collections::BTreeMap;

use secrets_api::{ErrorKind, Op, Precondition, Provider, Report, Select};
use secrets_testkit::block_on;
use serde_json::json;

use crate::stage::{SHOP, Stage, change, cx, get, name, open, put};

const EACH: &str = "vault:secret/shop?layout=each";

/// All that a store says it can do.
async fn do_all(store: &dyn Provider) {
    let can = store.capabilities();
    put(store, "A", "1").await.unwrap();
    put(store, "A", "2").await.unwrap();
    put(store, "B", "3").await.unwrap();
    assert_eq!(get(store, "A").await.unwrap().as_deref(), Some("2"));
    assert_eq!(store.list(&cx()).await.unwrap().len(), 2);
    assert_eq!(store.read(&cx(), Select::All).await.unwrap().items.len(), 2);
    change(store, "A", Op::Delete, Precondition::Unguarded)
        .await
        .unwrap();
    if can.restore {
        change(store, "A", Op::Restore, Precondition::Unguarded)
            .await
            .unwrap();
    }
    if can.history {
        let of = name("A");
        let past = store.history(&cx(), &of).await.unwrap();
        let versions = past.iter().filter_map(|meta| meta.version.as_ref());
        for version in versions {
            store.read_version(&cx(), &of, version).await.unwrap();
        }
    }
    if can.prune {
        assert!(store.prune(&cx(), &name("A"), 1).await.unwrap() > 0);
    }
    if can.cheap_poll {
        store.poll(&cx(), None).await.unwrap();
    }
    change(store, "B", Op::Delete, Precondition::Unguarded)
        .await
        .unwrap();
    assert_eq!(get(store, "B").await.unwrap(), None);
}

fn facts(report: &Report) -> BTreeMap<&str, &str> {
    let facts = report.facts.iter();
    facts
        .map(|(label, text)| (label.as_str(), text.as_str()))
        .collect()
}

#[test]
fn under_its_own_policy_a_store_can_do_all_that_it_offers() {
    let stage = Stage::start();
    stage.mount("one", 1);
    stage.mount("team/kv", 2);
    for (n, uri) in [
        SHOP,
        EACH,
        "vault:one/shop?kv=1",
        "vault:one/each?kv=1&layout=each",
        "vault:team/kv/shop?mount=team/kv",
        "vault:team/kv/each?mount=team/kv&layout=each",
    ]
    .into_iter()
    .enumerate()
    {
        let policy = open(&stage.as_root(), uri).policy().unwrap();
        let token = stage.bao.token_under(&format!("shop-{n}"), &policy);
        let store = open(&stage.under(&token), uri);
        block_on(do_all(&*store));
        // And nothing beside it.
        let other = uri.replace("/shop", "/other").replace("/each", "/other");
        let error = block_on(get(&*open(&stage.under(&token), &other), "A")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{uri}");
    }
}

/// Every rule of a policy, cut down to looking.
fn for_reading(policy: &str) -> String {
    let writes = [
        "\"create\", ",
        "\"update\", ",
        ", \"update\"",
        ", \"delete\"",
    ];
    let mut text = policy.to_owned();
    for word in writes {
        text = text.replace(word, "");
    }
    text.replace("[\"update\"]", "[\"deny\"]")
}

#[test]
fn who_only_reads_needs_the_reading_part_of_the_policy_alone() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    stage.write("shop/A", &json!({ "value": "a" }));
    for (n, uri) in [SHOP, EACH].into_iter().enumerate() {
        let policy = for_reading(&open(&stage.as_root(), uri).policy().unwrap());
        assert!(!policy.contains("create") && !policy.contains("update"));
        let token = stage.bao.token_under(&format!("reads-{n}"), &policy);
        let store = open(&stage.under(&token), uri);
        block_on(async {
            assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("a"));
            assert_eq!(store.list(&cx()).await.unwrap().len(), 1);
            assert_eq!(store.read(&cx(), Select::All).await.unwrap().items.len(), 1);
            store.history(&cx(), &name("A")).await.unwrap();
            let error = put(&*store, "A", "b").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        });
    }
    assert_eq!(stage.document("shop"), json!({ "A": "a" }));
}

#[test]
fn doctor_is_told_who_we_are_and_what_we_may_do() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "canary" }));
    for uri in [SHOP, EACH] {
        let store = open(&stage.as_root(), uri);
        stage.relay.forget();
        let report = block_on(store.inspect(&cx())).unwrap();
        assert!(report.identity.as_ref().unwrap().contains("root"));
        let facts = facts(&report);
        assert_eq!(facts["reachable"], stage.relay.url());
        assert!(facts["server"].contains("active"));
        assert!(facts["tls"].contains("plain HTTP"));
        assert!(facts["clock"].starts_with("0 s") || facts["clock"].starts_with("1 s"));
        assert_eq!(facts["we may"], "list, read, write, history");
        assert_eq!(report.problems, []);
        assert!(!format!("{report:?}").contains("canary"));
        // Nothing was read or changed.
        assert_eq!(stage.count("GET /v1/secret"), 0);
        assert_eq!(stage.count("POST /v1/secret"), 0);
    }
    // A token under a narrow policy, with the server's default one beside it.
    let admin = stage.admin();
    let narrow = json!({ "policy": "path \"secret/data/shop\" { capabilities = [\"update\"] }" });
    admin.ok("POST", "sys/policies/acl/narrow", &narrow);
    let token = admin.ok(
        "POST",
        "auth/token/create",
        &json!({ "policies": ["narrow"] }),
    );
    let token = token["auth"]["client_token"].as_str().unwrap().to_owned();
    let store = open(&stage.under(&token), SHOP);
    let report = block_on(store.inspect(&cx())).unwrap();
    assert_eq!(facts(&report)["we may"], "write");
    assert!(report.problems.len() >= 2);
    for (problem, hint) in &report.problems {
        assert!(problem.contains("we may not"), "{problem}");
        assert!(hint.as_ref().unwrap().contains("doctor --policy"));
    }
    // One that may not even ask who it is.
    let token = stage.bao.token_under(
        "mute",
        "path \"secret/data/shop\" { capabilities = [\"read\"] }",
    );
    let store = open(&stage.under(&token), SHOP);
    let report = block_on(store.inspect(&cx())).unwrap();
    assert!(report.identity.unwrap().contains("may not ask"));
    // One that is none.
    let store = open(&stage.under("none"), SHOP);
    let error = block_on(store.inspect(&cx())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}
