//! What is particular to a vault: its names, its soft deletion, its versions and its labels.
#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use secrets_api::{ErrorKind, Lookup, Op, Precondition, SecretValue, Version};
use secrets_testkit::fakes::azure::Azure;
use support::{name, open, shown, store};

#[test]
fn what_others_have_made_is_read_under_its_upper_case_name() {
    let azure = Azure::start();
    azure.seed("django-secret-key", b"theirs");
    let store = store(&azure);
    assert_eq!(store.get("DJANGO_SECRET_KEY").unwrap().unwrap(), "theirs");
    store.put("DJANGO_SECRET_KEY", "ours").unwrap();
    assert_eq!(azure.ids(), ["django-secret-key"]);
    assert_eq!(azure.value("DJANGO-SECRET-KEY").unwrap(), b"ours");
}

#[test]
fn names_that_differ_in_case_alone_are_two_secrets() {
    let azure = Azure::start();
    let store = store(&azure);
    for text in ["Key", "KEY", "key", "kEY"] {
        store.put(text, text).unwrap();
    }
    for text in ["Key", "KEY", "key", "kEY"] {
        assert_eq!(store.get(text).unwrap().unwrap(), text);
    }
    assert_eq!(azure.ids().len(), 4);
}

#[test]
fn what_is_no_name_of_ours_is_foreign_and_kept() {
    let azure = Azure::start();
    azure.seed("1-stop-shop", b"x");
    azure.seed("wildcard", b"a certificate");
    azure.make_managed("wildcard");
    azure.seed("A", b"a");
    let store = store(&azure);
    let all = store.all().unwrap();
    assert_eq!(all.items.len(), 1);
    assert_eq!(all.foreign, ["1-stop-shop", "wildcard"]);
    let listed = store.run(store.provider.list(&store.cx())).unwrap();
    assert_eq!(listed.len(), 1);
}

#[test]
fn a_prefix_is_a_part_of_the_vault_and_sees_no_other() {
    let azure = Azure::start();
    azure.seed("shop--A", b"a of shop");
    azure.seed("SHOP--django-key", b"d of shop");
    azure.seed("other--A", b"a of other");
    azure.seed("A", b"a");
    let shop = open("azure:vault/shop", &azure.opening());
    let all = shop.all().unwrap();
    let names: Vec<_> = all.items.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["A", "DJANGO_KEY"]);
    assert!(all.foreign.is_empty());
    shop.put("B", "b").unwrap();
    assert_eq!(azure.value("shop--B").unwrap(), b"b");
    assert_eq!(shop.get("A").unwrap().unwrap(), "a of shop");
}

#[test]
fn tags_and_content_type_are_written_and_told() {
    let azure = Azure::start();
    let uri = "azure:shop?content-type=text/plain&tags=team:web,ticket:A-1";
    let store = open(uri, &azure.opening());
    store.put("Key", "v").unwrap();
    let labels = azure.labels("06-KEY");
    assert_eq!(labels["contentType"], "text/plain");
    assert_eq!(labels["tags"]["team"], "web");
    assert_eq!(labels["tags"]["name"], "Key");
    let Lookup::Found(stored) = store.look("Key").unwrap() else {
        panic!("it is there");
    };
    let tags: Vec<(&str, &str)> = stored.meta.tags.iter().map(|(k, v)| (&**k, &**v)).collect();
    let expected = [
        ("content-type", "text/plain"),
        ("team", "web"),
        ("ticket", "A-1"),
    ];
    assert_eq!(tags, expected);
    let listed = store.run(store.provider.list(&store.cx())).unwrap();
    assert_eq!(listed[0].1.tags, stored.meta.tags);
    assert_eq!(listed[0].1.version, None);
}

#[test]
fn a_deleted_secret_is_told_with_its_end_and_restored_with_all_its_versions() {
    let azure = Azure::start();
    let store = store(&azure);
    store.put("A", "1").unwrap();
    let second = store.put("A", "2").unwrap().unwrap();
    store.delete("A").unwrap();
    let Lookup::Deleted {
        recoverable_until, ..
    } = store.look("A").unwrap()
    else {
        panic!("it is deleted");
    };
    let days = recoverable_until.unwrap().as_second() - secrets_api::Timestamp::now().as_second();
    assert!((89 * 86_400..=90 * 86_400).contains(&days));
    assert_eq!(store.restore("A").unwrap().unwrap(), second);
    assert_eq!(store.get("A").unwrap().unwrap(), "2");
    assert_eq!(azure.versions("A"), 2);
    let again = store.restore("A").unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
}

#[test]
fn a_write_over_what_was_deleted_brings_it_back_first() {
    let azure = Azure::start();
    let store = store(&azure);
    store.put("A", "old").unwrap();
    store.delete("A").unwrap();
    azure.vault.forget();
    store.put("A", "new").unwrap();
    assert_eq!(azure.value("A").unwrap(), b"new");
    assert_eq!(azure.versions("A"), 2);
    let sent: Vec<String> = azure.log().into_iter().map(|seen| seen.method).collect();
    assert_eq!(sent, ["PUT", "POST", "GET", "PUT"]);
}

#[test]
fn a_name_between_two_states_is_waited_for() {
    let azure = Azure::start();
    azure.take_time(1);
    let store = store(&azure);
    store.put("A", "old").unwrap();
    store.delete("A").unwrap();
    store.put("A", "new").unwrap();
    assert_eq!(azure.value("A").unwrap(), b"new");
    store.delete("A").unwrap();
    // Its deletion is under way: that is waited for, then for the recovery.
    store.restore("A").unwrap();
    assert_eq!(azure.value("A").unwrap(), b"new");
    // Deleting what is on its way to be deleted is no error.
    store.delete("A").unwrap();
    store.delete("A").unwrap();
}

#[test]
fn what_takes_longer_than_the_call_may_is_said_in_time() {
    let azure = Azure::start();
    let store = store(&azure).within(Duration::from_millis(900));
    store.put("A", "old").unwrap();
    azure.take_time(1000);
    store.delete("A").unwrap();
    let started = std::time::Instant::now();
    let put = store.put("A", "canary-7").unwrap_err();
    assert_eq!(put.kind(), ErrorKind::Conflict);
    let restore = store.restore("A").unwrap_err();
    assert_eq!(restore.kind(), ErrorKind::Conflict);
    assert!(started.elapsed() < Duration::from_secs(3));
    assert!(!shown(&put).contains("canary-7"));
}

#[test]
fn where_we_may_not_recover_it_says_how() {
    let azure = Azure::start();
    let store = store(&azure);
    store.put("A", "old").unwrap();
    store.delete("A").unwrap();
    azure.forbid("recover", "ForbiddenByRbac");
    let error = store.put("A", "new").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("az keyvault secret recover --vault-name shop --name A"),
        "{hint}"
    );
    assert!(matches!(store.look("A").unwrap(), Lookup::Deleted { .. }));
}

#[test]
fn what_is_purged_is_absent_and_free_again() {
    let azure = Azure::start();
    let store = store(&azure);
    store.put("A", "old").unwrap();
    store.delete("A").unwrap();
    azure.purge("A");
    assert!(matches!(store.look("A").unwrap(), Lookup::Absent));
    store.put("A", "new").unwrap();
    assert_eq!(azure.versions("A"), 1);
}

#[test]
fn a_disabled_secret_is_an_error_of_its_own_and_never_absent() {
    let azure = Azure::start();
    let store = store(&azure);
    store.put("A", "a").unwrap();
    store.put("B", "b").unwrap();
    azure.enable("B", false);
    azure.vault.forget();
    let all = store.all().unwrap();
    assert_eq!(all.items.len(), 2);
    // The list has told that the vault would refuse it.
    assert_eq!(azure.log().len(), 2);
    for error in [
        all.items.into_iter().nth(1).unwrap().1.unwrap_err(),
        store.look("B").unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert_eq!(error.name().unwrap().as_str(), "B");
        let hint = error.hint().unwrap();
        assert_eq!(
            hint,
            "az keyvault secret set-attributes --vault-name shop --name B --enabled true"
        );
    }
    let listed = store.run(store.provider.list(&store.cx())).unwrap();
    assert!(
        listed[1]
            .1
            .tags
            .contains(&("enabled".into(), "false".into()))
    );
}

#[test]
fn versions_of_one_second_are_told_newest_first() {
    let azure = Azure::start();
    let store = store(&azure);
    let mut versions: Vec<Version> = (0..30)
        .map(|n| store.put("A", &n.to_string()).unwrap().unwrap())
        .collect();
    versions.reverse();
    let history = store
        .run(store.provider.history(&store.cx(), &name("A")))
        .unwrap();
    let told: Vec<Version> = history
        .into_iter()
        .filter_map(|meta| meta.version)
        .collect();
    assert_eq!(told, versions);
}

#[test]
fn the_history_of_what_is_deleted_is_hidden_until_it_is_restored() {
    let azure = Azure::start();
    let store = store(&azure);
    let first = store.put("A", "1").unwrap().unwrap();
    store.put("A", "2").unwrap();
    let history = || {
        store
            .run(store.provider.history(&store.cx(), &name("A")))
            .unwrap()
    };
    let read = |version: &Version| {
        store
            .run(
                store
                    .provider
                    .read_version(&store.cx(), &name("A"), version),
            )
            .unwrap()
    };
    let before = history();
    assert_eq!(before.len(), 2);
    store.delete("A").unwrap();
    let meanwhile = history();
    assert_eq!(meanwhile.len(), 1);
    assert!(meanwhile[0].deleted && meanwhile[0].modified.is_some());
    assert!(matches!(read(&first), Lookup::Deleted { .. }));
    store.restore("A").unwrap();
    assert_eq!(history(), before);
    assert_eq!(read(&first).found().unwrap().value.expose(), b"1");
    for strange in ["", "versions", "../B", "0123456789abcdef0123456789abcde/"] {
        assert!(
            matches!(read(&Version::new(strange)), Lookup::Absent),
            "{strange}"
        );
    }
}

#[test]
fn a_value_or_a_name_that_a_vault_cannot_hold_is_refused_before_the_call() {
    let azure = Azure::start();
    let store = store(&azure);
    for value in [&vec![b'z'; 5_000_000][..], &[0xff], b"a\0b"] {
        let error = store
            .change("A", Op::Put(&SecretValue::from_slice(value)))
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
    let long = store.put(&"X".repeat(101), "v").unwrap_err();
    assert_eq!(long.kind(), ErrorKind::Unsupported);
    let change = secrets_api::Change {
        name: &name("A"),
        op: Op::Delete,
        when: Precondition::Absent,
    };
    let guarded = store
        .run(store.provider.write(&store.cx(), None, &[change]))
        .unwrap_err();
    assert_eq!(guarded.kind(), ErrorKind::Unsupported);
    assert!(azure.log().is_empty() && azure.login.log().is_empty());
}
