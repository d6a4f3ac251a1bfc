//! What goes wrong on the way and at the service: each becomes the right error, with a hint, and no request
//! is ever made twice.
#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use secrets_api::{Ctx, ErrorKind, Lookup, Name, Op, Provider, ProviderExt as _, Select};
use secrets_testkit::block_on;
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::web::{Authority, Fault, Harm, Reply, Request, Server};
use support::{PARENT, change, cx, name, open_at, open_with, put, requests, value};

fn is_add(request: &Request) -> bool {
    request.path.ends_with(":addVersion")
}

/// A fake that holds `A`, with what is done to its requests.
fn with(fault: Fault) -> Gcp {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"before")]);
    fake.server().inject(fault);
    fake
}

#[test]
fn a_change_whose_answer_is_lost_is_of_unknown_outcome_and_is_not_sent_again() {
    for (harm, versions) in [(Harm::DropBefore, 1), (Harm::DropAfter, 2)] {
        let fake = with(Fault::always(harm.clone()).only(is_add));
        let store = open_at(&fake, "gcp:shop");
        let error = block_on(put(&*store, "A", b"canary")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{harm:?}");
        assert_eq!(error.store(), Some("gcp:shop"));
        assert_eq!(error.name(), Some(&name("A")));
        assert!(!format!("{error:?}").contains("canary"));
        assert_eq!(fake.versions(PARENT, "A"), versions, "{harm:?}");
        assert_eq!(fake.server().log().len(), 1, "{harm:?}");
    }
}

#[test]
fn a_change_whose_answer_cannot_be_understood_is_unknown_and_never_said_not_to_be_made() {
    let nothing = ("no content", Harm::AnswerAfter(Reply::empty(204)));
    for (what, harm) in Harm::unreadable().into_iter().chain([nothing]) {
        let fake = Gcp::plain();
        let store = open_at(&fake, "gcp:shop");
        let unknown = |step: &'static str, op: Op<'_>| {
            let here = move |request: &Request| {
                request.method != "GET" && request.path.trim_end_matches('/').ends_with(step)
            };
            fake.server().heal();
            fake.server().inject(Fault::once(harm.clone()).only(here));
            let error = block_on(change(&*store, "A", op)).unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::OutcomeUnknown,
                "{step} {what}: {error}"
            );
            assert!(!format!("{error:?}").contains("canary"));
        };
        let new = secrets_api::SecretValue::from_slice(b"new");
        unknown("/secrets", Op::Put(&new));
        unknown(":addVersion", Op::Put(&new));
        assert_eq!(
            block_on(value(&*store, "A")).unwrap().as_deref(),
            Some(&b"new"[..])
        );
        unknown("/A", Op::Delete);
        unknown(":disable", Op::Delete);
        assert_eq!(block_on(value(&*store, "A")).unwrap(), None);
        unknown(":enable", Op::Restore);
        assert_eq!(
            block_on(value(&*store, "A")).unwrap().as_deref(),
            Some(&b"new"[..])
        );
    }
}

#[test]
fn a_lost_answer_on_a_connection_that_was_used_before_is_not_asked_for_again_either() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop");
    block_on(async {
        put(&*store, "A", b"1").await.unwrap();
        fake.server().forget();
        fake.server().inject(Fault::always(Harm::DropAfter));
        let error = put(&*store, "A", b"2").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    });
    assert_eq!(fake.server().log().len(), 1);
    assert_eq!(fake.versions(PARENT, "A"), 2);
}

#[test]
fn a_lost_read_is_unavailable_and_asked_once() {
    let fake = with(Fault::always(Harm::DropAfter));
    let store = open_at(&fake, "gcp:shop");
    let error = block_on(store.list(&cx())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = block_on(value(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(fake.server().log().len(), 2);
}

#[test]
fn one_lost_answer_of_a_batch_leaves_the_others_as_they_are() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a"), ("B", b"b"), ("C", b"c")]);
    let lost = |request: &Request| request.path.ends_with("/B:addVersion");
    fake.server()
        .inject(Fault::always(Harm::DropAfter).only(lost));
    let store = open_at(&fake, "gcp:shop");
    let names = ["A", "B", "C"].map(name);
    let new = secrets_api::SecretValue::from_slice(b"new");
    let changes = names.each_ref().map(|name| secrets_api::Change {
        name,
        op: Op::Put(&new),
        when: secrets_api::Precondition::Unguarded,
    });
    let written = block_on(store.write(&cx(), None, &changes)).unwrap();
    let kinds: Vec<_> = written
        .items
        .iter()
        .map(|item| item.as_ref().err().map(secrets_api::Error::kind))
        .collect();
    assert_eq!(kinds, [None, Some(ErrorKind::OutcomeUnknown), None]);
    assert_eq!(fake.server().log().len(), 3);
}

#[test]
fn a_removal_whose_last_answer_is_lost_has_happened_and_is_said_to_be_unknown() {
    let lost = |request: &Request| request.path.ends_with(":disable");
    let fake = with(Fault::always(Harm::DropAfter).only(lost));
    let store = open_at(&fake, "gcp:shop");
    let error = block_on(change(&*store, "A", Op::Delete)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(block_on(value(&*store, "A")).unwrap(), None);
}

#[test]
fn a_removal_that_fails_on_the_way_leaves_the_value() {
    for step in [":access", "/A", ":addVersion", ":disable"] {
        let here = move |request: &Request| request.path.ends_with(step);
        let fake = with(Fault::always(Harm::DropBefore).only(here).times(1));
        let store = open_at(&fake, "gcp:shop");
        block_on(change(&*store, "A", Op::Delete)).unwrap_err();
        let found = block_on(value(&*store, "A")).unwrap();
        assert_eq!(found.as_deref(), Some(&b"before"[..]), "{step}");
        let listed = block_on(store.list(&cx())).unwrap();
        assert_eq!(listed.len(), 1, "{step}");
    }
}

#[test]
fn a_removal_that_leaves_its_copy_live_says_which_and_how_to_disable_it() {
    let body = serde_json::json!({ "error": {
        "code": 403,
        "message": "Permission denied.",
        "status": "PERMISSION_DENIED",
    }});
    let refusals = [
        Harm::Answer(Reply::json(403, &body)),
        Harm::Answer(Reply::empty(429)),
        Harm::DropBefore,
    ];
    for refusal in refusals {
        let fake = Gcp::plain();
        let region = "projects/shop/locations/europe-west3";
        fake.plant(region, &[("web-A", b"canary")]);
        let here = |request: &Request| request.path.ends_with(":disable");
        fake.server().inject(Fault::always(refusal).only(here));
        let store = open_at(&fake, "gcp:shop/web?location=europe-west3");
        let error = block_on(change(&*store, "A", Op::Delete)).unwrap_err();
        assert!(error.message().contains("version 2"), "{error}");
        assert!(error.message().contains("stays live"), "{error}");
        let command = "gcloud secrets versions disable 2 --secret=web-A --project=shop \
                       --location=europe-west3";
        assert!(error.hint().unwrap().contains(command), "{error:?}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

#[test]
fn throttling_is_told_with_the_wait_and_not_waited_for() {
    let body = serde_json::json!({ "error": {
        "code": 429,
        "message": "Quota exceeded for quota metric 'Read requests'",
        "status": "RESOURCE_EXHAUSTED",
    }});
    let reply = Reply::json(429, &body).with_header("retry-after", "7");
    let fake = with(Fault::always(Harm::Answer(reply)));
    let store = open_at(&fake, "gcp:shop");
    let read = block_on(store.read(&cx(), Select::Names(&[name("A")]))).unwrap_err();
    let written = block_on(put(&*store, "A", b"x")).unwrap_err();
    for error in [read, written] {
        assert_eq!(error.kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert!(error.hint().is_some());
    }
    assert_eq!(fake.server().log().len(), 2);
}

#[test]
fn an_internal_error_is_unavailable_to_a_read_and_unknown_to_a_change() {
    let fake = with(Fault::always(Harm::Answer(Reply::empty(500))));
    let store = open_at(&fake, "gcp:shop");
    let error = block_on(value(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let error = block_on(put(&*store, "A", b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(fake.server().log().len(), 2);
}

#[test]
fn a_value_altered_on_its_way_to_us_is_not_given_out() {
    let fake = with(Fault::once(Harm::Latency(Duration::ZERO)));
    fake.alter_what_goes_out(true);
    let store = open_at(&fake, "gcp:shop");
    let error = block_on(value(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.message().contains("checksum"));
    let snapshot = block_on(store.read(&cx(), Select::All)).unwrap();
    assert!(snapshot.items[0].1.is_err());
}

#[test]
fn a_value_altered_on_its_way_to_the_service_is_not_stored() {
    let fake = with(Fault::once(Harm::Latency(Duration::ZERO)));
    fake.alter_what_comes_in(true);
    let store = open_at(&fake, "gcp:shop");
    let error = block_on(put(&*store, "A", b"canary")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(!format!("{error:?}").contains("canary"));
    assert_eq!(fake.versions(PARENT, "A"), 1);
}

#[test]
fn a_service_that_does_not_look_at_the_checksum_has_not_acknowledged() {
    let body = serde_json::json!({ "name": "projects/1/secrets/A/versions/2", "state": 1 });
    let fake = with(Fault::always(Harm::Answer(Reply::json(200, &body))).only(is_add));
    let store = open_at(&fake, "gcp:shop");
    let error = block_on(put(&*store, "A", b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
}

/// A port that takes connections and never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

fn nobody_at(address: &str) -> std::sync::Arc<dyn Provider> {
    let opening = TestOpening::new()
        .with_addresses([address])
        .with_auth("anonymous", &[]);
    open_with(&opening, "gcp:shop").unwrap()
}

#[test]
fn a_server_that_does_not_answer_is_given_up_within_the_callers_time() {
    let (_held, address) = silent();
    let store = nobody_at(&address);
    let started = Instant::now();
    let short = || Ctx::within(Duration::from_millis(400));
    let error = block_on(store.list(&short())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let new = secrets_api::SecretValue::from_slice(b"x");
    let change = secrets_api::Change {
        name: &name("A"),
        op: Op::Put(&new),
        when: secrets_api::Precondition::Unguarded,
    };
    let error = block_on(store.write_one(&short(), change)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_server_that_is_not_there_is_unavailable_at_once_to_a_change_too() {
    let (held, address) = silent();
    drop(held);
    let store = nobody_at(&address);
    let started = Instant::now();
    for error in [
        block_on(value(&*store, "A")).unwrap_err(),
        block_on(put(&*store, "A", b"x")).unwrap_err(),
        block_on(store.inspect(&cx())).unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.message().contains("refused"), "{error}");
        assert!(error.hint().is_some());
    }
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn a_redirect_is_not_followed_and_nothing_is_sent_there() {
    let elsewhere = Server::plain(|_: &Request| Reply::empty(200));
    let to = format!("{}/v1/x", elsewhere.url());
    for status in [302, 307, 308] {
        let reply = Reply::empty(status).with_header("location", to.clone());
        let fake = with(Fault::always(Harm::Answer(reply)));
        let store = open_at(&fake, "gcp:shop");
        for error in [
            block_on(value(&*store, "A")).unwrap_err(),
            block_on(put(&*store, "A", b"x")).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{status}");
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_certificate_nobody_vouches_for_is_not_trusted() {
    let fake = Gcp::over_tls(&Authority::new());
    let store = nobody_at_tls(&fake);
    let error = block_on(put(&*store, "A", b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(error.hint().unwrap().contains("SSL_CERT_FILE"));
    assert_eq!(fake.server().log().len(), 0);
}

fn nobody_at_tls(fake: &Gcp) -> std::sync::Arc<dyn Provider> {
    nobody_at(&fake.server().url())
}

#[test]
fn a_page_of_another_service_is_not_taken_for_an_answer() {
    for reply in [
        Reply::json(200, &serde_json::json!("canary")),
        Reply {
            status: 200,
            headers: Vec::new(),
            body: b"<html>canary</html>".to_vec(),
        },
    ] {
        let fake = with(Fault::always(Harm::Answer(reply)));
        let store = open_at(&fake, "gcp:shop");
        let error = block_on(store.list(&cx())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(!format!("{error:?}").contains("canary"));
    }
}

#[test]
fn a_list_that_does_not_end_is_given_up() {
    let body = serde_json::json!({ "nextPageToken": "again" });
    let fake = with(Fault::always(Harm::Answer(Reply::json(200, &body))));
    let error = block_on(open_at(&fake, "gcp:shop").list(&cx())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert_eq!(fake.server().log().len(), 2);
}

#[test]
fn a_list_of_ever_new_pages_is_given_up_too() {
    let pages = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::plain(move |_: &Request| {
        let page = pages.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // It ends at last: a test that waits for ever shows nothing.
        let next = match page {
            0..2_000 => page.to_string(),
            _ => String::new(),
        };
        Reply::json(200, &serde_json::json!({ "nextPageToken": next }))
    });
    let store = nobody_at(&server.url());
    let error = block_on(store.list(&cx())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    assert_eq!(server.log().len(), 1_000);
    let error = block_on(store.history(&cx(), &name("A"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
}

#[test]
fn a_missing_permission_is_named_with_the_role_that_has_it() {
    for (permission, role) in [
        ("secretmanager.versions.access", "secretAccessor"),
        ("secretmanager.versions.add", "secretVersionAdder"),
        ("secretmanager.secrets.list", "viewer"),
        ("secretmanager.versions.list", "viewer"),
        ("secretmanager.secrets.update", "admin"),
        ("secretmanager.versions.disable", "secretVersionManager"),
        ("secretmanager.versions.destroy", "secretVersionManager"),
    ] {
        let fake = Gcp::plain();
        fake.plant(PARENT, &[("A", b"a")]);
        let store = open_at(&fake, "gcp:shop");
        block_on(put(&*store, "A", b"b")).unwrap();
        fake.deny(permission);
        let error = match permission.rsplit('.').next().unwrap() {
            "access" => block_on(value(&*store, "A")).unwrap_err(),
            "add" => block_on(put(&*store, "A", b"x")).unwrap_err(),
            "destroy" => block_on(store.prune(&cx(), &name("A"), 1)).unwrap_err(),
            "update" | "disable" => block_on(change(&*store, "A", Op::Delete)).unwrap_err(),
            _ if permission.contains("versions") => {
                block_on(store.history(&cx(), &name("A"))).unwrap_err()
            }
            _ => block_on(store.list(&cx())).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{permission}");
        assert!(error.message().contains(permission), "{error}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains(&format!("roles/secretmanager.{role}")),
            "{hint}"
        );
    }
}

#[test]
fn creating_needs_a_permission_of_its_own() {
    let fake = Gcp::plain();
    fake.deny("secretmanager.secrets.create");
    let error = block_on(put(&*open_at(&fake, "gcp:shop"), "NEW", b"x")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.message().contains("secretmanager.secrets.create"));
}

#[test]
fn a_project_without_the_service_is_told_how_to_enable_it() {
    let fake = Gcp::plain();
    fake.enable(false);
    let error = block_on(open_at(&fake, "gcp:shop").list(&cx())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert_eq!(
        error.hint(),
        Some("gcloud services enable secretmanager.googleapis.com --project=shop")
    );
}

#[test]
fn a_newest_version_that_is_disabled_or_destroyed_is_a_deletion() {
    let fake = Gcp::plain();
    fake.plant(
        PARENT,
        &[("DISABLED", b"a"), ("DESTROYED", b"b"), ("KEPT", b"c")],
    );
    fake.disable_newest(PARENT, "DISABLED");
    fake.destroy_newest(PARENT, "DESTROYED");
    let store = open_at(&fake, "gcp:shop");
    for text in ["DISABLED", "DESTROYED"] {
        let lookup = block_on(store.read_one(&cx(), &name(text))).unwrap();
        let Lookup::Deleted { version, .. } = lookup else {
            panic!("{text} is not said to be deleted");
        };
        assert_eq!(version.unwrap().as_str(), "1");
        let history = block_on(store.history(&cx(), &name(text))).unwrap();
        let tag = ("state".to_owned(), text.to_lowercase());
        assert_eq!(history[0].tags, [tag]);
        assert!(history[0].deleted);
    }
    let all = block_on(store.read(&cx(), Select::All)).unwrap();
    assert!(all.deletions);
    let found = |(_, item): &&(Name, secrets_api::Result<Lookup>)| {
        item.as_ref().is_ok_and(|lookup| lookup.found().is_some())
    };
    assert_eq!(all.items.iter().filter(found).count(), 1);
    let back = block_on(change(&*store, "DISABLED", Op::Restore)).unwrap();
    assert_eq!(back.unwrap().as_str(), "1");
    assert!(block_on(value(&*store, "DISABLED")).unwrap().is_some());
    let error = block_on(change(&*store, "DESTROYED", Op::Restore)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[test]
fn a_value_that_cannot_be_decrypted_is_not_said_to_be_deleted() {
    let body = serde_json::json!({ "error": {
        "code": 400,
        "message": "The Cloud KMS key is disabled.",
        "status": "FAILED_PRECONDITION",
    }});
    let here = |request: &Request| request.path.ends_with(":access");
    let fake = with(Fault::always(Harm::Answer(Reply::json(400, &body))).only(here));
    let error = block_on(value(&*open_at(&fake, "gcp:shop"), "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.hint().unwrap().contains("CMEK"));
}

#[test]
fn what_somebody_else_has_changed_meanwhile_is_a_conflict_where_there_is_an_etag() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a")]);
    let store = open_at(&fake, "gcp:shop");
    block_on(change(&*store, "A", Op::Delete)).unwrap();
    let body = serde_json::json!({ "error": {
        "code": 400,
        "message": "The etag provided in the request does not match.",
        "status": "FAILED_PRECONDITION",
    }});
    let here = |request: &Request| request.path.ends_with(":enable");
    let stale = Fault::always(Harm::Answer(Reply::json(400, &body))).only(here);
    fake.server().inject(stale);
    let error = block_on(change(&*store, "A", Op::Restore)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.name(), Some(&name("A")));
    let log = fake.server().log();
    let last = requests(&log).pop().unwrap();
    assert_eq!(last, "POST /v1/projects/shop/secrets/A/versions/2:enable");
}

#[test]
fn plain_http_to_another_machine_is_refused_before_anything_is_sent() {
    let opening = TestOpening::new().with_addresses(["http://secretmanager.example.com"]);
    let error = open_with(&opening, "gcp:shop").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert_eq!(error.store(), Some("gcp:shop"));
}
