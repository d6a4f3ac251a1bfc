//! What the suite does not ask, against a real moto server, some of it with a network that fails on
//! the way.
#![allow(clippy::unwrap_used)]

mod support;

use secrets_api::{Change, ErrorKind, Lookup, Op, Precondition, Select};
use secrets_testkit::block_on;
use secrets_testkit::servers::Relay;
use secrets_testkit::web::{Fault, Harm, Server};
use support::{Moto, call, cx, fresh, name, opening, store, store_with, value};

/// A fault for one kind of call, once.
fn at(wanted: &'static str, harm: Harm) -> Fault {
    Fault::once(harm).only(move |request| call(request) == wanted)
}

#[test]
fn a_move_whose_answer_is_lost_is_unknown_and_a_repetition_finds_it_done() {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    for options in ["", "?layout=each"] {
        let store = store(&server.url(), &format!("aws:{}{options}", fresh("lost")));
        store.put("A", "1", Precondition::Unguarded).unwrap();
        server.inject(at("UpdateSecretVersionStage", Harm::DropAfter));
        let operation = cx();
        let two = value("2");
        let lost = store.change(&operation, "A", Op::Put(&two), Precondition::Unguarded);
        assert_eq!(
            lost.unwrap_err().kind(),
            ErrorKind::OutcomeUnknown,
            "{options}"
        );
        assert_eq!(
            store.text("A").as_deref(),
            Some("2"),
            "it was done all the same"
        );
        server.heal();
        let again = store.change(&operation, "A", Op::Put(&two), Precondition::Unguarded);
        let version = store.look("A").unwrap().into_found().unwrap().meta.version;
        assert_eq!(again.unwrap(), version, "{options}");
        let history = block_on(store.provider.history(&cx(), &name("A"))).unwrap();
        assert_eq!(history.len(), 2, "{options}: nothing was applied twice");
    }
}

#[test]
fn a_move_that_never_arrives_changes_nothing_and_a_repetition_goes_on_from_the_version_that_waits()
{
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    let store = store(
        &server.url(),
        &format!("aws:{}?layout=each", fresh("unsent")),
    );
    let first = store
        .put("A", "1", Precondition::Unguarded)
        .unwrap()
        .unwrap();
    server.inject(at("UpdateSecretVersionStage", Harm::DropBefore));
    let operation = cx();
    let two = value("2");
    let when = Precondition::Version(first);
    let lost = store.change(&operation, "A", Op::Put(&two), when.clone());
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(store.text("A").as_deref(), Some("1"));
    store.change(&operation, "A", Op::Put(&two), when).unwrap();
    assert_eq!(store.text("A").as_deref(), Some("2"));
    let history = block_on(store.provider.history(&cx(), &name("A"))).unwrap();
    assert_eq!(history.len(), 2);
}

#[test]
fn a_put_whose_answer_is_lost_has_done_nothing_that_anybody_sees() {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    let store = store(&server.url(), &format!("aws:{}", fresh("put")));
    store.put("A", "1", Precondition::Unguarded).unwrap();
    server.inject(at("PutSecretValue", Harm::DropAfter));
    let operation = cx();
    let two = value("2");
    let lost = store.change(&operation, "A", Op::Put(&two), Precondition::Unguarded);
    assert_eq!(lost.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.text("A").as_deref(), Some("1"));
    store
        .change(&operation, "A", Op::Put(&two), Precondition::Unguarded)
        .unwrap();
    assert_eq!(store.text("A").as_deref(), Some("2"));
}

#[test]
fn a_creation_whose_answer_is_lost_is_unknown_and_a_repetition_finds_it_done() {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    for (options, when) in [
        ("", Precondition::Absent),
        ("", Precondition::Unguarded),
        ("?layout=each", Precondition::Absent),
        ("?layout=each", Precondition::Unguarded),
    ] {
        let store = store(&server.url(), &format!("aws:{}{options}", fresh("created")));
        server.inject(at("CreateSecret", Harm::DropAfter));
        let (operation, one) = (cx(), value("1"));
        let lost = store.change(&operation, "A", Op::Put(&one), when.clone());
        assert_eq!(
            lost.unwrap_err().kind(),
            ErrorKind::OutcomeUnknown,
            "{options} {when:?}"
        );
        let again = store
            .change(&operation, "A", Op::Put(&one), when.clone())
            .unwrap();
        let version = store.look("A").unwrap().into_found().unwrap().meta.version;
        assert_eq!(again, version, "{options} {when:?}");
        let other = store.put("A", "2", Precondition::Absent).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Conflict);
    }
}

#[test]
fn a_deletion_whose_answer_is_lost_is_unknown_and_a_repetition_deletes_nothing_newer() {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    let store = store(
        &server.url(),
        &format!("aws:{}?layout=each", fresh("deleted")),
    );
    store.put("A", "1", Precondition::Unguarded).unwrap();
    server.inject(at("DeleteSecret", Harm::DropAfter));
    let operation = cx();
    let delete = || store.change(&operation, "A", Op::Delete, Precondition::Unguarded);
    assert_eq!(delete().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
    assert!(matches!(store.look("A").unwrap(), Lookup::Deleted { .. }));
    assert_eq!(delete().unwrap(), None);
    // The answer to the restore is lost as well: the put after it tells.
    server.inject(at("RestoreSecret", Harm::DropAfter));
    store.put("A", "2", Precondition::Absent).unwrap();
    assert_eq!(delete().unwrap(), None);
    assert_eq!(store.text("A").as_deref(), Some("2"));
}

#[test]
fn deletions_and_restores_without_end_keep_within_the_services_stages() {
    let moto = Moto::start();
    let store = store(&moto.url(), &format!("aws:{}?layout=each", fresh("cycles")));
    store.put("A", "1", Precondition::Unguarded).unwrap();
    for _ in 0..12 {
        store
            .change(&cx(), "A", Op::Delete, Precondition::Unguarded)
            .unwrap();
        let version = store
            .change(&cx(), "A", Op::Restore, Precondition::Absent)
            .unwrap();
        assert!(version.is_some());
    }
    assert_eq!(store.text("A").as_deref(), Some("1"));
    let history = block_on(store.provider.history(&cx(), &name("A"))).unwrap();
    assert_eq!(history.len(), 1);
}

#[test]
fn what_lost_its_race_is_never_told_as_a_state() {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    let uri = format!("aws:{}?layout=each", fresh("race"));
    let (ours, theirs) = (store(&server.url(), &uri), store(&moto.url(), &uri));
    let first = ours.put("A", "1", Precondition::Absent).unwrap().unwrap();
    // Between our put and our move somebody else's whole write.
    let meanwhile = std::sync::Mutex::new(Some(theirs));
    server.inject(
        Fault::always(Harm::Latency(std::time::Duration::ZERO)).only(move |request| {
            if call(request) == "UpdateSecretVersionStage"
                && let Some(theirs) = meanwhile.lock().unwrap().take()
            {
                std::thread::scope(|scope| {
                    let put = || theirs.put("A", "theirs", Precondition::Unguarded);
                    scope.spawn(put).join().unwrap().unwrap();
                });
            }
            true
        }),
    );
    let lost = ours
        .put("A", "ours", Precondition::Version(first))
        .unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::Conflict);
    assert_eq!(
        server.log().len(),
        6,
        "creation; look, put, move, look, and the private stage dropped all the same"
    );
    assert_eq!(ours.text("A").as_deref(), Some("theirs"));
    let history = block_on(ours.provider.history(&cx(), &name("A"))).unwrap();
    assert_eq!(
        history.len(),
        2,
        "the version that lost is among the states"
    );
    ours.put("A", "3", Precondition::Unguarded).unwrap();
    let history = block_on(ours.provider.history(&cx(), &name("A"))).unwrap();
    assert_eq!(history.len(), 3);
}

#[test]
fn a_guarded_deletion_that_buried_another_value_is_taken_back() {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    let uri = format!("aws:{}?layout=each", fresh("buried"));
    let (ours, theirs) = (store(&server.url(), &uri), store(&moto.url(), &uri));
    let first = ours.put("A", "1", Precondition::Absent).unwrap().unwrap();
    let meanwhile = std::sync::Mutex::new(Some(theirs));
    server.inject(
        Fault::always(Harm::Latency(std::time::Duration::ZERO)).only(move |request| {
            if call(request) == "DeleteSecret"
                && let Some(theirs) = meanwhile.lock().unwrap().take()
            {
                std::thread::scope(|scope| {
                    let put = || theirs.put("A", "theirs", Precondition::Unguarded);
                    scope.spawn(put).join().unwrap().unwrap();
                });
            }
            true
        }),
    );
    let deleted = ours.change(&cx(), "A", Op::Delete, Precondition::Version(first));
    assert_eq!(deleted.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(ours.text("A").as_deref(), Some("theirs"));
}

#[test]
fn a_deleted_secret_says_until_when_it_can_be_restored() {
    let moto = Moto::start();
    let store = store(
        &moto.url(),
        &format!("aws:{}?layout=each&recovery-days=7", fresh("gone")),
    );
    store.put("A", "1", Precondition::Unguarded).unwrap();
    store
        .change(&cx(), "A", Op::Delete, Precondition::Unguarded)
        .unwrap();
    let Lookup::Deleted {
        recoverable_until: Some(until),
        version: Some(_),
    } = store.look("A").unwrap()
    else {
        panic!("it is not told as deleted");
    };
    let days = (until.as_second() - secrets_api::Timestamp::now().as_second()) / 86_400;
    assert!((6..=7).contains(&days), "{days} days");
    assert!(
        block_on(store.provider.read(&cx(), Select::All))
            .unwrap()
            .items
            .is_empty()
    );
    store
        .change(&cx(), "A", Op::Restore, Precondition::Absent)
        .unwrap();
    assert_eq!(store.text("A").as_deref(), Some("1"));
}

#[test]
fn the_state_before_is_read_by_the_services_own_stage() {
    let moto = Moto::start();
    for options in ["", "?layout=each"] {
        let store = store(&moto.url(), &format!("aws:{}{options}", fresh("stage")));
        for text in ["1", "2", "3"] {
            store.put("A", text, Precondition::Unguarded).unwrap();
        }
        for (stage, expected) in [
            ("AWSPREVIOUS", Some("2")),
            ("AWSCURRENT", Some("3")),
            ("AWSPENDING", None),
        ] {
            let version = secrets_api::Version::new(stage);
            let lookup =
                block_on(store.provider.read_version(&cx(), &name("A"), &version)).unwrap();
            let text = lookup.found().and_then(|stored| stored.value.expose_text());
            assert_eq!(text, expected, "{options} {stage}");
        }
    }
}

#[test]
fn what_is_created_has_the_key_and_the_tags_of_the_address() {
    let moto = Moto::start();
    let uri = format!(
        "aws:{}?layout=each&kms-key-id=alias/shop&tags=team:shop,stage:test",
        fresh("tags")
    );
    let store = store(&moto.url(), &uri);
    store.put("A", "1", Precondition::Unguarded).unwrap();
    let listed = block_on(store.provider.list(&cx())).unwrap();
    let tags = &listed[0].1.tags;
    assert!(tags.contains(&("team".into(), "shop".into())), "{tags:?}");
    assert!(tags.contains(&("stage".into(), "test".into())), "{tags:?}");
}

#[test]
fn a_document_is_found_by_its_arn_and_is_not_created_by_one() {
    let moto = Moto::start();
    let name = fresh("arn");
    let by_name = store(&moto.url(), &format!("aws:{name}"));
    by_name.put("A", "1", Precondition::Unguarded).unwrap();
    let arn =
        |name: &str| format!("aws:arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}");
    // moto, as the service, takes an ARN without its random end.
    let by_arn = store(&moto.url(), &arn(&name));
    assert_eq!(by_arn.text("A").as_deref(), Some("1"));
    by_arn.put("A", "2", Precondition::Unguarded).unwrap();
    assert_eq!(by_name.text("A").as_deref(), Some("2"));
    let nowhere = store(&moto.url(), &arn("nowhere-AbCdEf"));
    let error = nowhere.put("A", "1", Precondition::Unguarded).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.hint().unwrap().contains("name"));
}

#[test]
fn a_document_over_the_services_limit_is_refused_before_anything_is_sent() {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    let store = store(&server.url(), &format!("aws:{}", fresh("big")));
    store
        .put("A", &"x".repeat(40_000), Precondition::Unguarded)
        .unwrap();
    let puts = || server.log().len();
    let before = puts();
    let error = store
        .put("B", &"y".repeat(40_000), Precondition::Unguarded)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("65536"), "{}", error.message());
    // A read, and a look for an earlier sending: no put.
    assert_eq!(puts() - before, 2);
    assert_eq!(store.text("B"), None);
}

#[test]
fn a_role_is_taken_on_and_doctor_is_told_who_we_are_then() {
    let moto = Moto::start();
    let role = "arn:aws:iam::123456789012:role/shop";
    let store = store(&moto.url(), &format!("aws:{}?role={role}", fresh("role")));
    store.put("A", "1", Precondition::Unguarded).unwrap();
    assert_eq!(store.text("A").as_deref(), Some("1"));
    let report = block_on(store.provider.inspect(&cx())).unwrap();
    let identity = report.identity.unwrap();
    assert!(identity.contains("assumed-role/shop/secrets"), "{identity}");
}

#[test]
fn doctor_is_told_what_was_shown_and_that_writing_was_not_tried() {
    let moto = Moto::start();
    for options in ["", "?layout=each"] {
        let store = store(&moto.url(), &format!("aws:{}{options}", fresh("doctor")));
        store.put("A", "1", Precondition::Unguarded).unwrap();
        let report = block_on(store.provider.inspect(&cx())).unwrap();
        let fact = |label: &str| {
            let found = report.facts.iter().find(|(l, _)| l == label);
            found.map(|(_, text)| text.clone()).unwrap_or_default()
        };
        assert!(
            report
                .identity
                .as_deref()
                .is_some_and(|arn| arn.starts_with("arn:aws:"))
        );
        assert_eq!(fact("reachable"), moto.url());
        assert_eq!(fact("tls"), "none: plain HTTP");
        assert_eq!(fact("clock"), "as the server's");
        assert_eq!(fact("we may"), "list, read, history; write was not tried");
        assert!(report.problems.is_empty(), "{:?}", report.problems);
    }
}

#[test]
fn keys_kept_in_another_store_are_fetched_by_the_manifests_auth() {
    let moto = Moto::start();
    let settings = [
        ("access-key-id", "AKIAIOSFODNN7EXAMPLE"),
        ("secret-access-key", "keyring:shop/aws"),
    ];
    let opening = opening(&moto.url())
        .with_variables([("AWS_REGION", support::REGION)])
        .with_auth("keys", &settings)
        .with_credential("keyring:shop/aws", b"wJalrXUtnFEMIK7MDENG\n");
    let store = store_with(&opening, &format!("aws:{}", fresh("kept")));
    store.put("A", "1", Precondition::Unguarded).unwrap();
    assert_eq!(store.text("A").as_deref(), Some("1"));
}

#[test]
fn a_profile_gives_keys_and_region_from_the_users_own_files() {
    let moto = Moto::start();
    let opening = opening(&moto.url()).with_variables([("AWS_EC2_METADATA_DISABLED", "true")]);
    let folder = opening.dirs.home.join(".aws");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(
        folder.join("config"),
        "[profile shop]\nregion = eu-north-1\n",
    )
    .unwrap();
    let keys = "[shop]\naws_access_key_id = AKIAIOSFODNN7EXAMPLE\naws_secret_access_key = x\n";
    std::fs::write(folder.join("credentials"), keys).unwrap();
    let shop = store_with(&opening, &format!("aws:{}?profile=shop", fresh("profile")));
    shop.put("A", "1", Precondition::Unguarded).unwrap();
    assert_eq!(shop.text("A").as_deref(), Some("1"));
    let other = store_with(&opening, "aws:x?profile=other&region=eu-west-1");
    let error = other.look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
}

#[test]
fn a_batch_of_changes_has_one_answer_each_in_order() {
    let moto = Moto::start();
    let store = store(&moto.url(), &format!("aws:{}?layout=each", fresh("many")));
    let names: Vec<_> = (0..45).map(|n| name(&format!("N{n}"))).collect();
    let values: Vec<_> = (0..45).map(|n| value(&n.to_string())).collect();
    let changes: Vec<_> = names
        .iter()
        .zip(&values)
        .map(|(name, value)| Change {
            name,
            op: Op::Put(value),
            when: Precondition::Absent,
        })
        .collect();
    let written = store.write(&cx(), &changes).unwrap();
    assert!(written.items.iter().all(Result::is_ok));
    let snapshot = block_on(store.provider.read(&cx(), Select::All)).unwrap();
    assert_eq!(snapshot.items.len(), 45);
    for (n, name) in names.iter().enumerate() {
        assert_eq!(store.text(name.as_str()), Some(n.to_string()));
    }
}

#[test]
fn a_profile_may_have_its_keys_given_by_a_program() {
    let moto = Moto::start();
    let opening = opening(&moto.url()).with_variables([("AWS_EC2_METADATA_DISABLED", "true")]);
    let folder = opening.dirs.home.join(".aws");
    std::fs::create_dir(&folder).unwrap();
    let told = folder.join("told.json");
    std::fs::write(
        &told,
        r#"{"Version": 1, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE", "SecretAccessKey": "wJalrXUtnFEMI"}"#,
    )
    .unwrap();
    let profile = format!(
        "[profile shop]\nregion = eu-north-1\ncredential_process = cat {}\n",
        told.display()
    );
    std::fs::write(folder.join("config"), profile).unwrap();
    let shop = store_with(&opening, &format!("aws:{}?profile=shop", fresh("program")));
    shop.put("A", "1", Precondition::Unguarded).unwrap();
    assert_eq!(shop.text("A").as_deref(), Some("1"));
}

#[test]
fn a_change_whose_answer_cannot_be_understood_is_unknown_and_never_said_not_to_be_made() {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    for (what, harm) in Harm::unreadable() {
        for options in ["", "?layout=each"] {
            let uri = format!("aws:{}{options}", fresh("unreadable"));
            let store = store(&server.url(), &uri);
            let unknown = |call: &'static str, op: Op<'_>| {
                server.inject(at(call, harm.clone()));
                let error = store
                    .change(&cx(), "A", op, Precondition::Unguarded)
                    .unwrap_err();
                let case = format!("{call} {what} {options}: {error}");
                assert_eq!(error.kind(), ErrorKind::OutcomeUnknown, "{case}");
                assert!(!format!("{error:?}").contains("canary"), "{case}");
                server.heal();
            };
            let [one, two, three] = ["1", "2", "3"].map(value);
            unknown("CreateSecret", Op::Put(&one));
            assert_eq!(store.text("A").as_deref(), Some("1"));
            unknown("UpdateSecretVersionStage", Op::Put(&two));
            assert_eq!(store.text("A").as_deref(), Some("2"));
            // Nobody sees the version yet: that it was not made the present one is certain.
            server.inject(at("PutSecretValue", harm.clone()));
            let put = store.change(&cx(), "A", Op::Put(&three), Precondition::Unguarded);
            assert_ne!(put.unwrap_err().kind(), ErrorKind::OutcomeUnknown, "{what}");
            server.heal();
            assert_eq!(store.text("A").as_deref(), Some("2"));
            if options.is_empty() {
                continue;
            }
            unknown("DeleteSecret", Op::Delete);
            assert_eq!(store.text("A"), None);
            unknown("RestoreSecret", Op::Restore);
            assert_eq!(store.text("A").as_deref(), Some("2"));
        }
    }
}

#[test]
fn a_store_says_whose_it_is_as_soon_as_it_holds_anything() {
    let moto = Moto::start();
    for options in ["", "?layout=each"] {
        let address = format!("aws:{}{options}", fresh("owned"));
        let reading = store(&moto.url(), &address);
        let owner = |what: Select<'_>| {
            let read = block_on(reading.provider.read(&cx(), what));
            read.unwrap().owner
        };
        assert_eq!(owner(Select::All), None, "{options}");
        store(&moto.url(), &address)
            .put("A", "1", Precondition::Unguarded)
            .unwrap();
        // The account of all who log in to moto without saying more.
        let moto = format!("123456789012 {}", support::REGION);
        let names = [name("A")];
        for what in [Select::All, Select::Names(&names)] {
            assert_eq!(owner(what).as_deref(), Some(moto.as_str()), "{options}");
        }
    }
}
