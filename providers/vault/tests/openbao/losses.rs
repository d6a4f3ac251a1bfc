//! Answers that are lost, and others who write meanwhile: nothing is sent twice by the provider itself,
//! nothing of theirs is lost, and what is not known is said to be so.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use secrets_api::{Change, ErrorKind, Op, Precondition, Provider, Revision, Select};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::{Admin, OpenBao, Relay};
use secrets_testkit::web::{App as _, Fault, Harm, Reply, Request, Server};
use serde_json::{Value, json};

use crate::stage::{ROOT, SHOP, Stage, change, cx, get, name, open, put, shown, value, version};

const EACH: &str = "vault:secret/shop?layout=each";

/// The next write meets this.
fn next_write(harm: Harm) -> Fault {
    Fault::once(harm).only(|request: &Request| request.method == "POST")
}

async fn revision(store: &dyn Provider) -> Revision {
    let snapshot = store.read(&cx(), Select::Names(&[])).await.unwrap();
    snapshot.revision.unwrap()
}

#[test]
fn a_document_whose_answer_is_lost_may_have_been_written_and_is_sent_once() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let store = open(&stage.as_root(), SHOP);
    block_on(async {
        let (of, new) = (name("A"), value("canary"));
        for (harm, arrives) in [(Harm::DropBefore, false), (Harm::DropAfter, true)] {
            let before = revision(&*store).await;
            let seen = version(&*store, "A").await.unwrap();
            stage.relay.forget();
            stage.relay.inject(next_write(harm));
            let changes = [Change {
                name: &of,
                op: Op::Put(&new),
                when: Precondition::Version(seen),
            }];
            let error = store
                .write(&cx(), Some(&before), &changes)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
            assert!(!shown(&error).contains("canary"));
            assert_eq!(
                stage.went(),
                ["GET /v1/secret/data/shop", "POST /v1/secret/data/shop"]
            );
            let expected = if arrives { "canary" } else { "a" };
            assert_eq!(stage.document("shop")["A"], expected);
        }
        // Whoever says it again under what was seen learns that it has happened.
        let again = change(&*store, "A", Op::Put(&new), Precondition::Absent).await;
        assert_eq!(again.unwrap_err().kind(), ErrorKind::Conflict);
    });
}

#[test]
fn a_change_whose_answer_cannot_be_understood_is_unknown_and_never_said_not_to_be_made() {
    let stage = Stage::start();
    stage.mount("one", 1);
    for (n, (what, harm)) in Harm::unreadable().into_iter().enumerate() {
        // Of a change without an answer nothing can be cut off.
        let silent = match harm {
            Harm::CutShort => Harm::DropAfter,
            _ => harm.clone(),
        };
        for (mount, options) in [
            ("secret", ""),
            ("secret", "?layout=each"),
            ("one", "?kv=1"),
            ("one", "?kv=1&layout=each"),
        ] {
            let uri = format!("vault:{mount}/unreadable-{n}-{}{options}", options.len());
            let store = open(&stage.as_root(), &uri);
            block_on(async {
                let unknown = async |part: &'static str, harm: &Harm, op: Op<'_>| {
                    stage
                        .relay
                        .inject(Fault::once(harm.clone()).only(move |request: &Request| {
                            request.method != "GET" && request.path.contains(part)
                        }));
                    let error = change(&*store, "A", op, Precondition::Unguarded)
                        .await
                        .unwrap_err();
                    let case = format!("{uri} {part} {what}: {error}");
                    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{case}");
                    assert!(!shown(&error).contains("canary"), "{case}");
                    stage.relay.heal();
                };
                let new = value("new");
                unknown("unreadable", &harm, Op::Put(&new)).await;
                assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("new"));
                if options != "?layout=each" {
                    unknown("unreadable", &harm, Op::Delete).await;
                    assert_eq!(get(&*store, "A").await.unwrap(), None);
                    return;
                }
                unknown("/delete/", &silent, Op::Delete).await;
                assert_eq!(get(&*store, "A").await.unwrap(), None);
                unknown("/undelete/", &silent, Op::Restore).await;
            });
        }
    }
}

#[test]
fn a_single_secret_whose_answer_is_lost_is_unknown_by_itself() {
    let stage = Stage::start();
    stage.write("shop/A", &json!({ "value": "a" }));
    stage.write("shop/B", &json!({ "value": "b" }));
    let store = open(&stage.as_root(), EACH);
    block_on(async {
        for (harm, arrives) in [(Harm::DropBefore, false), (Harm::DropAfter, true)] {
            stage.relay.forget();
            stage
                .relay
                .inject(Fault::once(harm).only(|request: &Request| {
                    request.method == "POST" && request.path.ends_with("/A")
                }));
            let (names, new) = ([name("A"), name("B")], value("new"));
            let put = |name| Change {
                name,
                op: Op::Put(&new),
                when: Precondition::Unguarded,
            };
            let written = store
                .write(&cx(), None, &[put(&names[0]), put(&names[1])])
                .await
                .unwrap();
            let error = written.items[0].as_ref().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
            assert!(written.items[1].is_ok());
            assert_eq!(stage.count("POST "), 2);
            assert_eq!(stage.document("shop/B"), json!({ "value": "new" }));
            let expected = if arrives { "new" } else { "a" };
            assert_eq!(stage.document("shop/A")["value"], expected);
        }
    });
}

#[test]
fn a_deletion_whose_answer_is_lost_is_unknown_and_its_value_is_not_back() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), EACH);
    block_on(async {
        for (path, at) in [
            ("/v1/secret/data/shop/A", 0),
            ("/v1/secret/delete/shop/A", 1),
        ] {
            put(&*store, "A", "a").await.unwrap();
            stage.relay.forget();
            stage.relay.inject(
                Fault::once(Harm::DropAfter).only(move |request: &Request| {
                    request.method == "POST" && request.path == path
                }),
            );
            let error = change(&*store, "A", Op::Delete, Precondition::Unguarded)
                .await
                .unwrap_err();
            assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
            assert_eq!(stage.count("POST "), at + 1);
            assert_eq!(get(&*store, "A").await.unwrap(), None);
        }
    });
}

#[test]
fn an_engine_without_versions_loses_answers_alike() {
    let stage = Stage::start();
    stage.mount("one", 1);
    for uri in ["vault:one/shop?kv=1", "vault:one/each?kv=1&layout=each"] {
        let store = open(&stage.as_root(), uri);
        block_on(async {
            put(&*store, "A", "a").await.unwrap();
            for harm in [Harm::DropBefore, Harm::DropAfter] {
                stage.relay.forget();
                stage.relay.inject(next_write(harm));
                let error = put(&*store, "A", "canary").await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
                assert_eq!(stage.count("POST "), 1);
            }
            assert_eq!(get(&*store, "A").await.unwrap().as_deref(), Some("canary"));
        });
    }
}

#[test]
fn a_refusal_on_the_way_to_a_write_is_what_it_says() {
    let stage = Stage::start();
    let store = open(&stage.as_root(), SHOP);
    for (status, kind) in [
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::OutcomeUnknown),
        (502, ErrorKind::OutcomeUnknown),
        (503, ErrorKind::Unavailable),
        (412, ErrorKind::Unavailable),
    ] {
        stage.relay.forget();
        stage
            .relay
            .inject(next_write(Harm::Answer(Reply::empty(status))));
        let error = block_on(put(&*store, "A", "canary")).unwrap_err();
        assert_eq!(error.kind(), kind, "{status}");
        assert_eq!(stage.count("POST "), 1);
    }
    assert_eq!(block_on(get(&*store, "A")).unwrap(), None);
}

#[test]
fn a_lost_read_is_a_failure_that_may_be_repeated() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    for uri in [SHOP, EACH] {
        let store = open(&stage.as_root(), uri);
        for harm in [Harm::DropBefore, Harm::DropAfter] {
            stage.relay.forget();
            stage.relay.inject(Fault::once(harm));
            let error = block_on(get(&*store, "A")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert_eq!(stage.went().len(), 1, "nothing is retried here");
        }
    }
}

/// A relay at which somebody else writes each time a read has been answered, `times` times.
fn with_a_rival(bao: &OpenBao, path: &str, times: usize) -> (Server, Arc<AtomicUsize>) {
    let (relay, admin) = (Relay::to(bao.address()), bao.admin());
    let (path, writes) = (path.to_owned(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&writes);
    let app = move |request: &Request| {
        let reply = relay.answer(request);
        let target = format!("/v1/secret/data/{path}");
        if request.method == "GET" && request.path == target {
            let n = counter.load(Ordering::SeqCst);
            if n < times {
                counter.store(n + 1, Ordering::SeqCst);
                rival_writes(&admin, &path, n);
            }
        }
        reply
    };
    (Server::plain(app), writes)
}

/// Another tool's careful write of a field of its own.
fn rival_writes(admin: &Admin, path: &str, n: usize) {
    let (_, now) = admin.call("GET", &format!("secret/data/{path}"), None);
    let mut fields = now["data"]["data"].clone();
    if fields.is_null() {
        fields = json!({});
    }
    fields["THEIRS"] = json!(n.to_string());
    let cas = now["data"]["metadata"]["version"].as_u64().unwrap_or(0);
    let body = json!({ "data": fields, "options": { "cas": cas } });
    admin.ok("POST", &format!("secret/data/{path}"), &body);
}

#[test]
fn what_others_write_meanwhile_survives_a_write_that_states_no_revision() {
    let bao = OpenBao::start();
    let start = json!({ "data": { "A": "a", "KEPT": "kept" } });
    bao.admin().ok("POST", "secret/data/shop", &start);
    let (relay, writes) = with_a_rival(&bao, "shop", 3);
    let opening = TestOpening::new()
        .with_variables([("BAO_ADDR", relay.url()), ("BAO_TOKEN", ROOT.to_owned())]);
    let store = open(&opening, SHOP);
    block_on(put(&*store, "A", "ours")).unwrap();
    assert_eq!(writes.load(Ordering::SeqCst), 3);
    let now = bao.admin().ok("GET", "secret/data/shop", &Value::Null);
    let expected = json!({ "A": "ours", "KEPT": "kept", "THEIRS": "2" });
    assert_eq!(now["data"]["data"], expected);
    // Each of their writes has beaten one of ours.
    let posts = relay
        .log()
        .iter()
        .filter(|seen| seen.method == "POST")
        .count();
    assert_eq!(posts, 4);
}

#[test]
fn a_write_that_states_a_revision_is_refused_once_the_document_has_moved_on() {
    let bao = OpenBao::start();
    let start = json!({ "data": { "A": "a" } });
    bao.admin().ok("POST", "secret/data/shop", &start);
    let direct =
        TestOpening::new().with_variables([("BAO_ADDR", bao.address()), ("BAO_TOKEN", ROOT)]);
    let base = block_on(revision(&*open(&direct, SHOP)));
    let (relay, _) = with_a_rival(&bao, "shop", 1);
    let opening = TestOpening::new()
        .with_variables([("BAO_ADDR", relay.url()), ("BAO_TOKEN", ROOT.to_owned())]);
    let store = open(&opening, SHOP);
    let (of, new) = (name("A"), value("ours"));
    let changes = [Change {
        name: &of,
        op: Op::Put(&new),
        when: Precondition::Unguarded,
    }];
    let error = block_on(store.write(&cx(), Some(&base), &changes)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let posts = relay
        .log()
        .iter()
        .filter(|seen| seen.method == "POST")
        .count();
    assert_eq!(posts, 1, "a stated revision is not tried again");
    let now = bao.admin().ok("GET", "secret/data/shop", &Value::Null);
    assert_eq!(now["data"]["data"], json!({ "A": "a", "THEIRS": "0" }));
}

#[test]
fn a_stated_version_is_looked_at_again_when_another_field_has_changed() {
    let bao = OpenBao::start();
    let admin = bao.admin();
    admin.ok("POST", "secret/data/shop", &json!({ "data": { "A": "a" } }));
    admin.ok(
        "POST",
        "secret/data/shop/A",
        &json!({ "data": { "value": "a" } }),
    );
    for (uri, path, is_written) in [(SHOP, "shop", true), (EACH, "shop/A", false)] {
        let (relay, _) = with_a_rival(&bao, path, 0);
        let opening = |relay: &Server| {
            TestOpening::new()
                .with_variables([("BAO_ADDR", relay.url()), ("BAO_TOKEN", ROOT.to_owned())])
        };
        let seen = block_on(version(&*open(&opening(&relay), uri), "A")).unwrap();
        let (relay, _) = with_a_rival(&bao, path, 1);
        let store = open(&opening(&relay), uri);
        let when = Precondition::Version(seen);
        let written = block_on(change(&*store, "A", Op::Put(&value("ours")), when));
        // In a document the field is what was stated; by itself the secret's version has moved.
        match is_written {
            true => drop(written.unwrap()),
            false => assert_eq!(written.unwrap_err().kind(), ErrorKind::Conflict),
        }
        let now = admin.ok("GET", &format!("secret/data/{path}"), &Value::Null);
        assert_eq!(now["data"]["data"]["THEIRS"], "0");
    }
}

#[test]
fn a_path_that_is_always_busy_is_given_up_as_a_conflict() {
    let bao = OpenBao::start();
    let (relay, _) = with_a_rival(&bao, "shop", usize::MAX);
    let opening = TestOpening::new()
        .with_variables([("BAO_ADDR", relay.url()), ("BAO_TOKEN", ROOT.to_owned())]);
    let store = open(&opening, SHOP);
    let error = block_on(put(&*store, "A", "ours")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    let now = bao.admin().ok("GET", "secret/data/shop", &Value::Null);
    assert_eq!(now["data"]["data"]["A"], Value::Null);
}

#[test]
fn twenty_who_create_the_same_name_at_once_have_one_winner() {
    let stage = Stage::start();
    for uri in [SHOP, EACH] {
        let store = open(&stage.as_root(), uri);
        let won = block_on(async {
            let tries = (0..20).map(|n| {
                let store = Arc::clone(&store);
                async move {
                    let mine = value(&n.to_string());
                    change(&*store, "A", Op::Put(&mine), Precondition::Absent).await
                }
            });
            futures_util::future::join_all(tries).await
        });
        let lost = won.iter().filter_map(|answer| answer.as_ref().err());
        assert!(
            lost.clone()
                .all(|error| error.kind() == ErrorKind::Conflict)
        );
        assert_eq!(lost.count(), 19);
        let winner = won.iter().position(Result::is_ok).unwrap();
        let now = block_on(get(&*store, "A")).unwrap();
        assert_eq!(now, Some(winner.to_string()));
    }
}
