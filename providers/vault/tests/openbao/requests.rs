//! How many requests it takes, over how many connections.

use std::time::Duration;

use secrets_api::{Change, Op, Precondition, Select};
use secrets_testkit::block_on;
use secrets_testkit::web::{Fault, Harm, Reply, Request};
use serde_json::json;

use crate::stage::{SHOP, Stage, cx, get, name, open, value};

const EACH: &str = "vault:secret/shop?layout=each";

#[test]
fn a_document_however_large_is_one_request_on_one_connection() {
    let stage = Stage::start();
    let fields: serde_json::Map<_, _> = (0..200)
        .map(|n| (format!("NAME_{n}"), json!(format!("value {n}"))))
        .collect();
    stage.write("shop", &fields.into());
    let store = open(&stage.as_root(), SHOP);
    // Opening is no request.
    assert_eq!(stage.relay.connections(), 0);
    block_on(async {
        let snapshot = store.read(&cx(), Select::All).await.unwrap();
        assert_eq!(snapshot.items.len(), 200);
        assert_eq!(stage.went(), ["GET /v1/secret/data/shop"]);
        let names: Vec<_> = (0..20).map(|n| name(&format!("NAME_{n}"))).collect();
        store.read(&cx(), Select::Names(&names)).await.unwrap();
        assert_eq!(stage.went().len(), 2);
        assert_eq!(stage.relay.connections(), 1);
    });
}

#[test]
fn a_change_of_a_document_is_one_read_and_one_write_however_many_names() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "OTHER": "theirs" }));
    let store = open(&stage.as_root(), SHOP);
    let (names, new) = (["A", "B", "C", "D"].map(name), value("new"));
    let changes: Vec<_> = names
        .iter()
        .map(|name| Change {
            name,
            op: Op::Put(&new),
            when: Precondition::Absent,
        })
        .collect();
    block_on(store.write(&cx(), None, &changes)).unwrap();
    assert_eq!(
        stage.went(),
        ["GET /v1/secret/data/shop", "POST /v1/secret/data/shop"]
    );
    assert_eq!(stage.relay.connections(), 1);
}

#[test]
fn a_list_fetches_no_value() {
    let stage = Stage::start();
    stage.write(
        "shop",
        &json!({ "A": "canary", "B": { "deep": "canary" }, "no name": "x" }),
    );
    stage.write("shop/A", &json!({ "value": "canary" }));
    for (uri, names) in [(SHOP, vec!["A", "B"]), (EACH, vec!["A"])] {
        stage.relay.forget();
        let store = open(&stage.as_root(), uri);
        let listed = block_on(store.list(&cx())).unwrap();
        let listed: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(listed, names);
        assert_eq!(stage.count("GET /v1/secret/data"), 0);
    }
    // Without the right to it, or at a server that has no such path, values are read and dropped.
    stage.relay.inject(
        Fault::always(Harm::Answer(Reply::json(
            404,
            &json!({ "errors": ["1 error occurred:\n\t* unsupported path\n\n"] }),
        )))
        .only(|request: &Request| request.path.contains("/subkeys/")),
    );
    let store = open(&stage.as_root(), SHOP);
    assert_eq!(block_on(store.list(&cx())).unwrap().len(), 2);
    stage.relay.heal();
    let policy = "path \"secret/data/shop\" { capabilities = [\"read\"] }";
    let token = stage.bao.token_under("values", policy);
    let store = open(&stage.under(&token), SHOP);
    assert_eq!(block_on(store.list(&cx())).unwrap().len(), 2);
}

#[test]
fn a_hundred_secrets_are_one_list_and_a_hundred_reads_sixteen_at_a_time() {
    let stage = Stage::start();
    for n in 0..100 {
        stage.write(
            &format!("shop/NAME_{n}"),
            &json!({ "value": n.to_string() }),
        );
    }
    let slow = Fault::always(Harm::Latency(Duration::from_millis(20)));
    stage.relay.inject(slow);
    let store = open(&stage.as_root(), EACH);
    block_on(async {
        let snapshot = store.read(&cx(), Select::All).await.unwrap();
        assert_eq!(snapshot.items.len(), 100);
    });
    assert_eq!(stage.went().len(), 101);
    assert_eq!(stage.count("LIST /v1/secret/metadata/shop"), 1);
    assert_eq!(stage.count("GET /v1/secret/data/shop/NAME_"), 100);
    assert_eq!(stage.relay.most_under_way(), 16);
    assert!(stage.relay.connections() <= 16);
}

#[test]
fn one_secret_of_many_is_one_request() {
    let stage = Stage::start();
    stage.write("shop/A", &json!({ "value": "a" }));
    let store = open(&stage.as_root(), EACH);
    assert_eq!(block_on(get(&*store, "A")).unwrap().as_deref(), Some("a"));
    assert_eq!(stage.went(), ["GET /v1/secret/data/shop/A"]);
}
