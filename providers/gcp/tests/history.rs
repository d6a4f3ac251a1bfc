//! Histories, removals and what `doctor` is told.
#![allow(clippy::unwrap_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use secrets_api::{ErrorKind, Lookup, Op, ProviderExt as _, Version};
use secrets_testkit::block_on;
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::web::{Fault, Harm, Request};
use support::{PARENT, change, cx, name, open_at, put, value};

#[test]
fn a_removal_keeps_the_history_and_the_secret_and_rolling_back_finds_the_value() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop");
    for text in ["1", "2"] {
        block_on(put(&*store, "A", text.as_bytes())).unwrap();
    }
    block_on(change(&*store, "A", Op::Delete)).unwrap();
    let history = block_on(store.history(&cx(), &name("A"))).unwrap();
    let told: Vec<(String, bool)> = history
        .iter()
        .map(|meta| (meta.version.as_ref().unwrap().to_string(), meta.deleted))
        .collect();
    let expected = [("3", true), ("2", false), ("1", false)];
    assert_eq!(
        told,
        expected.map(|(version, deleted)| (version.to_owned(), deleted))
    );
    assert!(history.iter().all(|meta| meta.modified.is_some()));
    let before = Version::new("2");
    let found = block_on(store.read_version(&cx(), &name("A"), &before)).unwrap();
    assert_eq!(found.found().unwrap().value.expose(), b"2");
    let removed = block_on(store.read_version(&cx(), &name("A"), &Version::new("3"))).unwrap();
    assert!(matches!(removed, Lookup::Deleted { .. }));
}

#[test]
fn annotations_and_labels_of_others_outlive_a_removal() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop?labels=team:shop");
    block_on(put(&*store, "A", b"a")).unwrap();
    block_on(change(&*store, "A", Op::Delete)).unwrap();
    block_on(change(&*store, "A", Op::Restore)).unwrap();
    let labels = fake.labels(PARENT, "A");
    assert_eq!(labels, [("team".to_owned(), "shop".to_owned())]);
    assert_eq!(block_on(store.list(&cx())).unwrap().len(), 1);
}

#[test]
fn a_second_removal_marks_nothing_again() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop");
    for _ in 0..2 {
        block_on(put(&*store, "A", b"a")).unwrap();
        block_on(change(&*store, "A", Op::Delete)).unwrap();
    }
    let log = fake.server().log();
    let patches = log.iter().filter(|seen| seen.method == "PATCH").count();
    assert_eq!(patches, 1);
    assert_eq!(block_on(value(&*store, "A")).unwrap(), None);
}

/// A fake that holds `A`, to which another writer adds a version just before each of the first `times` that
/// are added here.
fn with_another_writer(times: usize) -> Arc<Gcp> {
    let fake = Arc::new(Gcp::plain());
    fake.plant(PARENT, &[("A", b"old")]);
    let other: Weak<Gcp> = Arc::downgrade(&fake);
    let left = AtomicUsize::new(times);
    let never = move |request: &Request| {
        let is_add = request.path.ends_with("/A:addVersion");
        let one_less = |left: usize| left.checked_sub(1);
        if is_add
            && left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
                .is_ok()
            && let Some(fake) = other.upgrade()
        {
            fake.plant(PARENT, &[("A", b"new")]);
        }
        false
    };
    fake.server()
        .inject(Fault::always(Harm::DropBefore).only(never));
    fake
}

#[test]
fn what_another_writes_into_a_removal_is_removed_with_it_and_is_what_a_restore_brings_back() {
    let fake = with_another_writer(1);
    let store = open_at(&fake, "gcp:shop");
    block_on(change(&*store, "A", Op::Delete)).unwrap();
    assert_eq!(block_on(value(&*store, "A")).unwrap(), None);
    let history = block_on(store.history(&cx(), &name("A"))).unwrap();
    let live = history.iter().filter(|meta| !meta.deleted);
    let live: Vec<&str> = live
        .map(|meta| meta.version.as_ref().unwrap().as_str())
        .collect();
    assert_eq!(live, ["2", "1"]);
    block_on(change(&*store, "A", Op::Restore)).unwrap();
    assert_eq!(
        block_on(value(&*store, "A")).unwrap().as_deref(),
        Some(&b"new"[..])
    );
}

#[test]
fn a_removal_where_latest_lags_behind_brings_no_older_value_back() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"old"), ("A", b"new")]);
    fake.lag(true);
    let store = open_at(&fake, "gcp:shop");
    block_on(change(&*store, "A", Op::Delete)).unwrap();
    fake.lag(false);
    let other = open_at(&fake, "gcp:shop");
    assert_eq!(block_on(value(&*other, "A")).unwrap(), None);
    block_on(change(&*other, "A", Op::Restore)).unwrap();
    assert_eq!(
        block_on(value(&*other, "A")).unwrap().as_deref(),
        Some(&b"new"[..])
    );
}

#[test]
fn a_removal_among_writes_that_do_not_end_is_a_conflict_and_leaves_no_old_value_live() {
    let fake = with_another_writer(usize::MAX);
    let store = open_at(&fake, "gcp:shop");
    let error = block_on(change(&*store, "A", Op::Delete)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.hint().unwrap().contains("secrets history A"));
    assert_eq!(block_on(value(&*store, "A")).unwrap(), None);
    let log = fake.server().log();
    let added = |seen: &&secrets_testkit::web::Seen| seen.target.contains(":addVersion");
    assert_eq!(log.iter().filter(added).count(), 4);
}

#[test]
fn an_alias_is_no_version() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a")]);
    let store = open_at(&fake, "gcp:shop");
    for alias in ["latest", "current", "", "-1", "1/../2"] {
        let found = block_on(store.read_version(&cx(), &name("A"), &Version::new(alias)));
        assert!(matches!(found.unwrap(), Lookup::Absent), "{alias}");
    }
    assert_eq!(fake.server().log().len(), 0);
}

#[test]
fn a_long_history_is_read_page_by_page_and_pruned() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop");
    for n in 0..12 {
        block_on(put(&*store, "A", &[n])).unwrap();
    }
    fake.page_at_most(5);
    let history = block_on(store.history(&cx(), &name("A"))).unwrap();
    let numbers: Vec<String> = history
        .iter()
        .map(|meta| meta.version.as_ref().unwrap().to_string())
        .collect();
    let expected: Vec<String> = (1..=12).rev().map(|n| n.to_string()).collect();
    assert_eq!(numbers, expected);
    assert_eq!(block_on(store.prune(&cx(), &name("A"), 3)).unwrap(), 9);
    assert_eq!(block_on(store.history(&cx(), &name("A"))).unwrap().len(), 3);
    let oldest = Version::new("1");
    let gone = block_on(store.read_version(&cx(), &name("A"), &oldest)).unwrap();
    assert!(gone.found().is_none());
    assert_eq!(
        block_on(value(&*store, "A")).unwrap().as_deref(),
        Some(&[11][..])
    );
}

#[test]
fn pruning_what_was_removed_keeps_the_removal() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop");
    block_on(put(&*store, "A", b"a")).unwrap();
    block_on(change(&*store, "A", Op::Delete)).unwrap();
    assert_eq!(block_on(store.prune(&cx(), &name("A"), 0)).unwrap(), 1);
    let lookup = block_on(store.read_one(&cx(), &name("A"))).unwrap();
    assert!(matches!(lookup, Lookup::Deleted { .. }));
}

#[test]
fn a_version_that_will_be_destroyed_is_forgotten_already() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop");
    for text in ["1", "2", "3"] {
        block_on(put(&*store, "A", text.as_bytes())).unwrap();
    }
    fake.delay_destruction(PARENT, "A");
    assert_eq!(block_on(store.prune(&cx(), &name("A"), 1)).unwrap(), 2);
    assert_eq!(block_on(store.prune(&cx(), &name("A"), 1)).unwrap(), 0);
    assert_eq!(block_on(store.history(&cx(), &name("A"))).unwrap().len(), 1);
}

#[test]
fn a_store_reads_its_own_writes_while_latest_lags_behind() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"old")]);
    fake.lag(true);
    let store = open_at(&fake, "gcp:shop");
    let now = |text: &str| block_on(value(&*store, text)).unwrap();
    let version = block_on(put(&*store, "A", b"new")).unwrap();
    assert_eq!(version.unwrap().as_str(), "2");
    assert_eq!(now("A").as_deref(), Some(&b"new"[..]));
    block_on(put(&*store, "B", b"first")).unwrap();
    assert_eq!(now("B").as_deref(), Some(&b"first"[..]));
    block_on(change(&*store, "A", Op::Delete)).unwrap();
    assert_eq!(now("A"), None);
    let listed = block_on(store.list(&cx())).unwrap();
    assert_eq!(listed.len(), 1);
    block_on(change(&*store, "A", Op::Restore)).unwrap();
    assert_eq!(now("A").as_deref(), Some(&b"new"[..]));
    // Others see it later; what they see is never taken for newer than it is.
    let other = open_at(&fake, "gcp:shop");
    assert_eq!(block_on(value(&*other, "B")).unwrap(), None);
    fake.lag(false);
    assert!(block_on(value(&*other, "B")).unwrap().is_some());
}

#[test]
fn an_empty_value_is_refused_before_anything_is_sent() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop");
    let error = block_on(put(&*store, "A", b"")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("empty") && error.hint().is_some());
    assert_eq!(fake.server().log().len(), 0);
}

#[test]
fn doctor_is_told_what_was_proven_and_nothing_is_changed() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"canary")]);
    let store = open_at(&fake, "gcp:shop");
    let report = block_on(store.inspect(&cx())).unwrap();
    let fact = |label: &str| {
        let found = report.facts.iter().find(|(known, _)| known == label);
        found.map(|(_, text)| text.clone()).unwrap_or_default()
    };
    assert_eq!(fact("reachable"), fake.server().url());
    assert_eq!(fact("clock"), "as the server's");
    assert!(fact("tls").contains("plain HTTP"));
    let may = fact("we may");
    for word in [
        "list",
        "read",
        "write",
        "history",
        "remove",
        "prune",
        "not tried",
    ] {
        assert!(may.contains(word), "{word}: {may}");
    }
    assert!(report.problems.is_empty());
    assert_eq!(report.identity.as_deref(), Some("nobody (anonymous)"));
    assert!(!format!("{report:?}").contains("canary"));
    let log = fake.server().log();
    let asking = |seen: &&secrets_testkit::web::Seen| {
        seen.method == "GET" || seen.target.contains(":testIamPermissions")
    };
    assert_eq!(log.iter().filter(asking).count(), log.len());
    assert!(log.iter().all(|seen| !seen.target.contains(":access")));
}

#[test]
fn doctor_is_told_what_is_missing_and_how_to_mend_it() {
    let fake = Gcp::plain();
    fake.plant(PARENT, &[("A", b"a")]);
    fake.deny("secretmanager.versions.add");
    let report = block_on(open_at(&fake, "gcp:shop").inspect(&cx())).unwrap();
    assert_eq!(report.problems.len(), 1);
    let (problem, hint) = &report.problems[0];
    assert!(problem.contains("secretmanager.versions.add"));
    let hint = hint.as_deref().unwrap();
    assert!(hint.contains("roles/secretmanager.secretVersionAdder"));

    fake.deny("secretmanager.secrets.list");
    let report = block_on(open_at(&fake, "gcp:shop").inspect(&cx())).unwrap();
    assert!(report.problems[0].0.contains("secretmanager.secrets.list"));
    let may = report.facts.last().unwrap();
    assert!(may.1.contains("not tried"));
}

#[test]
fn the_policy_names_every_permission_that_is_used_and_none_that_is_not() {
    let fake = Gcp::plain();
    let store = open_at(&fake, "gcp:shop");
    let policy = store.policy().unwrap();
    for permission in [
        "secrets.list",
        "secrets.get",
        "secrets.create",
        "secrets.update",
        "versions.access",
        "versions.get",
        "versions.list",
        "versions.add",
        "versions.enable",
        "versions.disable",
        "versions.destroy",
    ] {
        assert!(policy.contains(&format!("secretmanager.{permission}")));
    }
    assert!(!policy.contains("secrets.delete") && !policy.contains("setIamPolicy"));
    assert!(policy.contains("--project=shop") && !policy.contains("startsWith"));
}

#[test]
fn the_policy_of_a_prefix_is_for_its_secrets_alone() {
    let fake = Gcp::plain();
    for (uri, beginning) in [
        ("gcp:shop/web", "projects/$NUMBER/secrets/web-"),
        (
            "gcp:shop/web?location=europe-west3",
            "projects/$NUMBER/locations/europe-west3/secrets/web-",
        ),
    ] {
        let policy = open_at(&fake, uri).policy().unwrap();
        let condition = format!("resource.name.startsWith('{beginning}')");
        assert_eq!(policy.matches(&condition).count(), 2, "{policy}");
        assert_eq!(policy.matches("--condition=None").count(), 2, "{policy}");
    }
}
