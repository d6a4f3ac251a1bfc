//! What lies in the past: deletions, ours and other tools', and versions that were destroyed, have run
//! out or were forgotten.

use secrets_api::{
    Change, ErrorKind, Lookup, Op, Precondition, Provider, ProviderExt as _, Select, Version,
};
use secrets_testkit::block_on;
use secrets_testkit::servers::until;
use serde_json::{Value, json};

use crate::stage::{SHOP, Stage, change, cx, get, name, open, put, text, value, version};

const EACH: &str = "vault:secret/shop?layout=each";

async fn restore(store: &dyn Provider, of: &str) -> secrets_api::Result<Option<Version>> {
    change(store, of, Op::Restore, Precondition::Unguarded).await
}

async fn delete(store: &dyn Provider, of: &str) {
    change(store, of, Op::Delete, Precondition::Unguarded)
        .await
        .unwrap();
}

async fn look(store: &dyn Provider, of: &str) -> Lookup {
    store.read_one(&cx(), &name(of)).await.unwrap()
}

/// The history as (deleted, value).
async fn past(store: &dyn Provider, of: &str) -> Vec<(bool, Option<String>)> {
    let of = name(of);
    let mut told = Vec::new();
    for meta in store.history(&cx(), &of).await.unwrap() {
        assert!(meta.modified.is_some());
        let found = match &meta.version {
            Some(version) => text(store.read_version(&cx(), &of, version).await.unwrap()),
            None => None,
        };
        told.push((meta.deleted, found));
    }
    told
}

fn was(text: &str) -> (bool, Option<String>) {
    (false, Some(text.to_owned()))
}

#[test]
fn a_document_that_other_tools_deleted_is_gone_but_not_forgotten() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "1" }));
    let store = open(&stage.as_root(), SHOP);
    block_on(async {
        let seen = version(&*store, "A").await.unwrap();
        stage.admin().ok("DELETE", "secret/data/shop", &Value::Null);
        assert!(matches!(look(&*store, "A").await, Lookup::Absent));
        let snapshot = store.read(&cx(), Select::All).await.unwrap();
        assert!(snapshot.missing && snapshot.items.is_empty());
        assert_eq!(store.list(&cx()).await.unwrap(), []);
        // Written anew it goes over the deletion, under compare-and-set still.
        put(&*store, "B", "2").await.unwrap();
        assert_eq!(stage.document("shop"), json!({ "B": "2" }));
        assert_eq!(past(&*store, "A").await, [(true, None)].as_slice()[..0]);
        // Their undelete of what they deleted brings the value back into the history.
        let first = json!({ "versions": [1] });
        stage.admin().ok("POST", "secret/undelete/shop", &first);
        assert_eq!(past(&*store, "A").await, [(true, None), was("1")]);
        let back = store.read_version(&cx(), &name("A"), &seen).await.unwrap();
        assert_eq!(text(back).as_deref(), Some("1"));
    });
}

#[test]
fn a_document_that_was_destroyed_may_have_held_another_value() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), SHOP);
    block_on(async {
        let told = async || {
            let history = store.history(&cx(), &name("A")).await.unwrap();
            let revisions = |meta: secrets_api::Meta| {
                let labels = meta.tags.into_iter();
                let revisions = labels.filter(|(key, _)| key == secrets_api::REVISION);
                // The number; then when it was made.
                let number = |revision: String| revision.split('@').next().unwrap().to_owned();
                revisions.map(|(_, revision)| number(revision)).collect()
            };
            let told: Vec<Vec<String>> = history.into_iter().map(revisions).collect();
            told
        };
        for text in ["1", "2", "1"] {
            put(&*store, "A", text).await.unwrap();
        }
        put(&*store, "B", "b").await.unwrap();
        assert_eq!(told().await, [vec!["3", "4"], vec!["2"], vec!["1"]]);
        let second = json!({ "versions": [2] });
        stage.admin().ok("POST", "secret/destroy/shop", &second);
        assert_eq!(past(&*store, "A").await, [was("1")]);
        assert_eq!(told().await, [["3", "4"]]);
    });
}

#[test]
fn a_document_that_begins_anew_has_none_of_its_earlier_revisions() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), SHOP);
    block_on(async {
        put(&*store, "A", "1").await.unwrap();
        let then = store.read(&cx(), Select::All).await.unwrap().revision;
        stage
            .admin()
            .ok("DELETE", "secret/metadata/shop", &Value::Null);
        let (name, value) = (name("A"), value("1"));
        let change = Change {
            name: &name,
            op: Op::Put(&value),
            when: Precondition::Absent,
        };
        let written = store.write(&cx(), None, &[change]).await.unwrap();
        let now = store.read(&cx(), Select::All).await.unwrap().revision;
        assert_ne!(now, then);
        // What a write answers is what a read finds.
        assert_eq!(written.revision, now);
        assert_eq!(
            written.revision.unwrap().as_str().split('@').next(),
            Some("1")
        );
        let state = store.history(&cx(), &name).await.unwrap().remove(0);
        let then = then.unwrap();
        assert!(
            state
                .tags
                .iter()
                .all(|(_, revision)| revision != then.as_str())
        );
    });
}

#[test]
fn a_secret_that_other_tools_deleted_can_be_restored() {
    let stage = Stage::start();
    stage.write("shop/A", &json!({ "value": "1", "note": "theirs" }));
    let store = open(&stage.as_root(), EACH);
    block_on(async {
        stage
            .admin()
            .ok("DELETE", "secret/data/shop/A", &Value::Null);
        let Lookup::Deleted { version, .. } = look(&*store, "A").await else {
            panic!("a deletion is told from what never was");
        };
        assert!(matches!(look(&*store, "B").await, Lookup::Absent));
        assert_eq!(store.list(&cx()).await.unwrap(), []);
        let all = store.read(&cx(), Select::All).await.unwrap();
        assert!(all.deletions);
        let [(_, Ok(Lookup::Deleted { .. }))] = all.items.as_slice() else {
            panic!("what is deleted is told with the rest: {all:?}");
        };
        // A deletion has a version of its own, by which a write can be guarded.
        let when = Precondition::Version(version.unwrap());
        let old = Precondition::Version(Version::new("1"));
        let new = value("2");
        let refused = change(&*store, "A", Op::Put(&new), old).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Conflict);
        restore(&*store, "A").await.unwrap();
        assert_eq!(
            stage.document("shop/A"),
            json!({ "value": "1", "note": "theirs" })
        );
        stage
            .admin()
            .ok("DELETE", "secret/data/shop/A", &Value::Null);
        change(&*store, "A", Op::Put(&new), when).await.unwrap();
        assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("2"));
    });
}

#[test]
fn a_secret_that_we_deleted_is_deleted_for_other_tools_too_and_can_be_restored() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), EACH);
    block_on(async {
        put(&*store, "A", "1").await.unwrap();
        put(&*store, "A", "2").await.unwrap();
        delete(&*store, "A").await;
        let (status, _) = stage.admin().call("GET", "secret/data/shop/A", None);
        assert_eq!(status, 404);
        assert!(matches!(look(&*store, "A").await, Lookup::Deleted { .. }));
        assert_eq!(past(&*store, "A").await, [(true, None), was("2"), was("1")]);
        restore(&*store, "A").await.unwrap();
        assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("2"));
        assert_eq!(stage.document("shop/A"), json!({ "value": "2" }));
        // Restored twice, or where nothing was deleted, it stays.
        restore(&*store, "A").await.unwrap();
        assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("2"));
        let error = restore(&*store, "NEVER").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        // Others' undelete of our deletion: a version without a value, which is no value.
        delete(&*store, "A").await;
        let last = stage
            .admin()
            .ok("GET", "secret/metadata/shop/A", &Value::Null);
        let last = last["data"]["current_version"].clone();
        stage.admin().ok(
            "POST",
            "secret/undelete/shop/A",
            &json!({ "versions": [last] }),
        );
        assert_eq!(get(&*store, "A").await.unwrap(), None);
        restore(&*store, "A").await.unwrap();
        assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("2"));
    });
}

#[test]
fn versions_that_were_destroyed_are_left_out_and_never_come_back() {
    let stage = Stage::start();
    for n in 1..=3 {
        stage.write("shop", &json!({ "A": n.to_string() }));
        stage.write("shop/A", &json!({ "value": n.to_string() }));
    }
    let (document, each) = (open(&stage.as_root(), SHOP), open(&stage.as_root(), EACH));
    block_on(async {
        let second = json!({ "versions": [2] });
        stage.admin().ok("POST", "secret/destroy/shop", &second);
        stage.admin().ok("POST", "secret/destroy/shop/A", &second);
        assert_eq!(past(&*document, "A").await, [was("3"), was("1")]);
        assert_eq!(past(&*each, "A").await, [was("3"), was("1")]);
        let destroyed = Version::new("2");
        let back = each
            .read_version(&cx(), &name("A"), &destroyed)
            .await
            .unwrap();
        assert!(back.found().is_none());
        // The present one destroyed: nothing is there, and what is before it comes back.
        let third = json!({ "versions": [3] });
        stage.admin().ok("POST", "secret/destroy/shop/A", &third);
        assert_eq!(get(&*each, "A").await.unwrap(), None);
        restore(&*each, "A").await.unwrap();
        assert_eq!(get(&*each, "A").await.unwrap().as_deref(), Some("1"));
        // All of them: there is nothing to restore, and a new value can be written.
        delete(&*each, "A").await;
        stage.admin().ok(
            "POST",
            "secret/destroy/shop/A",
            &json!({ "versions": [1, 2, 3, 4, 5] }),
        );
        let error = restore(&*each, "A").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        put(&*each, "A", "new").await.unwrap();
        assert_eq!(get(&*each, "A").await.unwrap().as_deref(), Some("new"));
        // The document's present state destroyed by others.
        stage.admin().ok("POST", "secret/destroy/shop", &third);
        assert_eq!(get(&*document, "A").await.unwrap(), None);
        put(&*document, "B", "b").await.unwrap();
        assert_eq!(stage.document("shop"), json!({ "B": "b" }));
    });
}

#[test]
fn a_path_whose_whole_past_was_removed_never_was() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), EACH);
    block_on(async {
        put(&*store, "A", "1").await.unwrap();
        stage
            .admin()
            .ok("DELETE", "secret/metadata/shop/A", &Value::Null);
        assert!(matches!(look(&*store, "A").await, Lookup::Absent));
        assert_eq!(store.history(&cx(), &name("A")).await.unwrap(), []);
        let absent = Precondition::Absent;
        change(&*store, "A", Op::Put(&value("2")), absent)
            .await
            .unwrap();
        assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("2"));
    });
}

#[test]
fn a_value_that_runs_out_is_there_until_then_and_deleted_after() {
    let stage = Stage::start();
    let soon = json!({ "delete_version_after": "3s" });
    for path in ["shop", "shop/A"] {
        stage
            .admin()
            .ok("POST", &format!("secret/metadata/{path}"), &soon);
    }
    let (document, each) = (open(&stage.as_root(), SHOP), open(&stage.as_root(), EACH));
    block_on(async {
        for store in [&document, &each] {
            put(&**store, "A", "a").await.unwrap();
            assert_eq!(get(&**store, "A").await.unwrap().as_deref(), Some("a"));
            let past = store.history(&cx(), &name("A")).await.unwrap();
            assert!(!past[0].deleted, "the deletion lies ahead");
        }
        until("the values run out", || {
            let gone = |path| stage.admin().call("GET", path, None).0 == 404;
            gone("secret/data/shop") && gone("secret/data/shop/A")
        });
        for store in [&document, &each] {
            assert_eq!(get(&**store, "A").await.unwrap(), None);
            assert_eq!(store.list(&cx()).await.unwrap(), []);
        }
        assert!(matches!(look(&*each, "A").await, Lookup::Deleted { .. }));
        assert!(each.history(&cx(), &name("A")).await.unwrap()[0].deleted);
        for store in [&document, &each] {
            put(&**store, "A", "b").await.unwrap();
            assert_eq!(get(&**store, "A").await.unwrap().as_deref(), Some("b"));
        }
    });
}

#[test]
fn a_history_reaches_as_far_as_the_server_keeps_it() {
    let stage = Stage::start();
    for path in ["shop", "shop/A"] {
        let three = json!({ "max_versions": 3 });
        stage
            .admin()
            .ok("POST", &format!("secret/metadata/{path}"), &three);
    }
    for n in 1..=6 {
        stage.write("shop", &json!({ "A": n.to_string() }));
        stage.write("shop/A", &json!({ "value": n.to_string() }));
    }
    for uri in [SHOP, EACH] {
        let store = open(&stage.as_root(), uri);
        let told = block_on(past(&*store, "A"));
        assert_eq!(told, [was("6"), was("5"), was("4")]);
    }
}

#[test]
fn a_poll_tells_of_every_change_and_of_nothing_else() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), SHOP);
    block_on(async {
        let first = store.poll(&cx(), None).await.unwrap();
        assert!(first.changed);
        let mut cursor = first.cursor;
        assert!(!store.poll(&cx(), Some(&cursor)).await.unwrap().changed);
        let undelete = json!({ "versions": [1] });
        let steps: [(&str, &str, Value); 4] = [
            (
                "POST",
                "secret/data/shop",
                json!({ "data": { "A": "canary" } }),
            ),
            ("DELETE", "secret/data/shop", Value::Null),
            ("POST", "secret/undelete/shop", undelete),
            (
                "POST",
                "secret/data/shop",
                json!({ "data": { "A": "canary" } }),
            ),
        ];
        for (method, path, body) in steps {
            stage.admin().ok(method, path, &body);
            let poll = store.poll(&cx(), Some(&cursor)).await.unwrap();
            assert!(poll.changed, "{method} {path}");
            cursor = poll.cursor;
            assert!(!store.poll(&cx(), Some(&cursor)).await.unwrap().changed);
        }
        // No value is fetched for it.
        assert_eq!(stage.count("GET /v1/secret/data"), 0);
    });
}

#[test]
fn a_restore_brings_the_value_back_and_leaves_what_others_keep_beside_it() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), "vault:secret/shop?layout=each");
    block_on(async {
        stage.write("shop/KEY", &json!({ "value": "v", "owner": "ann" }));
        delete(&*store, "KEY").await;
        stage.write("shop/KEY", &json!({ "owner": "bob" }));
        restore(&*store, "KEY").await.unwrap();
        let kept = stage.document("shop/KEY");
        assert_eq!(kept, json!({ "value": "v", "owner": "bob" }));
    });
}
