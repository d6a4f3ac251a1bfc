//! Two branches of a document are merged by name: what is signed by nobody confirmed is refused, and
//! an old document, however it is presented, brings nothing back.
#![allow(missing_docs, clippy::unwrap_used)]

mod person;

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use person::{Person, cx, refused};
use secrets_api::{
    Change, Error, ErrorKind, Lookup, Name, Op, Precondition, ProviderExt as _, Result,
    SecretValue, Version,
};
use secrets_local::{Identity, Merged, Pick, Side, Sides};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

/// Ada and Grace, who both have all of `dev`; `A` is `1`.
fn two() -> (Person, Person) {
    let (ada, grace) = (Person::founder(), Person::new());
    ada.folder().add(&grace.member("grace", &["dev"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    grace.pull(&ada);
    assert_eq!(grace.get("local:", "A").unwrap().as_deref(), Some("1"));
    (ada, grace)
}

/// The merge as a table: a change against something untouched wins, all else is a conflict.
fn by_table(_: &Name, sides: &Sides<'_>) -> Pick {
    let [ancestor, ours, theirs] = [&sides.ancestor, &sides.ours, &sides.theirs]
        .map(|side| side.as_ref().map(|held| held.version.to_owned()));
    match (ancestor, ours, theirs) {
        (None, None, _) => Pick::Theirs,
        (ancestor, ours, _) if ancestor.is_some() && ancestor == ours => Pick::Theirs,
        (ancestor, _, theirs) if ancestor.is_some() && ancestor == theirs => Pick::Ours,
        _ => Pick::Conflict,
    }
}

fn merge(at: &Person, ancestor: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Merged> {
    at.folder()
        .merge("dev", Some(ancestor), ours, theirs, &mut by_table)
}

/// As [`merge`], where nothing is to be asked.
fn unasked(at: &Person, ancestor: &[u8], ours: &[u8], theirs: &[u8]) -> Result<Merged> {
    at.folder()
        .merge("dev", Some(ancestor), ours, theirs, &mut |name, _| {
            panic!("{name} was asked about")
        })
}

/// What git does with the answer.
fn put(at: &Person, bytes: &[u8]) {
    std::fs::write(at.file("dev.age"), bytes).unwrap();
}

fn history(at: &Person, name: &str) -> Vec<String> {
    let metas = block_on(at.store("local:").history(&cx(), &Name::new(name).unwrap())).unwrap();
    let versions = metas.into_iter().map(|meta| meta.version.unwrap());
    versions
        .map(|version| version.as_str().to_owned())
        .collect()
}

fn value_of(at: &Person, name: &str, version: &Version) -> String {
    let name = Name::new(name).unwrap();
    let lookup = block_on(at.store("local:").read_version(&cx(), &name, version)).unwrap();
    let stored = lookup.into_found().unwrap();
    stored.value.expose_text().unwrap().to_owned()
}

fn unset(at: &Person, name: &str) {
    let name = Name::new(name).unwrap();
    let change = Change {
        name: &name,
        op: Op::Delete,
        when: Precondition::Unguarded,
    };
    block_on(at.store("local:").write_one(&cx(), change)).unwrap();
}

fn generation(at: &Person) -> u64 {
    at.folder().describe(&at.sealed()).unwrap().generation
}

#[test]
fn two_branches_become_one_that_both_people_believe() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    ada.set("local:", "OURS", "o").unwrap();
    grace.set("local:", "THEIRS", "t").unwrap();
    grace.set("local:", "A", "2").unwrap();
    let (ours, theirs) = (ada.sealed(), grace.sealed());
    let merged = merge(&ada, &ancestor, &ours, &theirs).unwrap();
    assert!(merged.conflicts.is_empty() && merged.without_ancestor.is_none());
    let taken: Vec<_> = merged.taken.iter().map(Name::as_str).collect();
    assert_eq!(taken, ["A", "THEIRS"]);
    for person in [&ada, &grace] {
        let newest = generation(person);
        put(person, &merged.bytes);
        for (name, value) in [("A", "2"), ("OURS", "o"), ("THEIRS", "t")] {
            assert_eq!(person.get("local:", name).unwrap().as_deref(), Some(value));
        }
        assert!(generation(person) > newest);
    }
    let told = grace.folder().describe(&merged.bytes).unwrap();
    assert_eq!(
        (told.author.as_str(), told.signer.as_deref()),
        ("ada", Some("ada"))
    );
    let body = String::from_utf8(ada.opened()).unwrap();
    let body: serde_json::Value = serde_json::from_str(body.split_once('\n').unwrap().1).unwrap();
    put(&grace, &ours);
    let parent = block_on(
        grace
            .store("local:")
            .read(&cx(), secrets_api::Select::Names(&[])),
    );
    // Grace has seen the merged one: the older one is refused to her, as it always was.
    refused(
        parent.map(|_| ()),
        ErrorKind::Untrusted,
        "older than what was seen",
    );
    assert_eq!(body["parent"].as_str().map(str::len), Some(64));
    assert_eq!(body["operations"].as_array().unwrap().len(), 4);
}

#[test]
fn a_merge_that_is_thrown_away_leaves_no_trace() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    ada.set("local:", "OURS", "o").unwrap();
    grace.set("local:", "THEIRS", "t").unwrap();
    let (ours, theirs) = (ada.sealed(), grace.sealed());
    for _ in 0..2 {
        merge(&ada, &ancestor, &ours, &theirs).unwrap();
    }
    assert_eq!(ada.get("local:", "OURS").unwrap().as_deref(), Some("o"));
    ada.set("local:", "OURS", "p").unwrap();
}

#[test]
fn both_sides_of_a_conflict_are_kept_and_theirs_can_be_brought_back() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    ada.set("local:", "A", "ours").unwrap();
    grace.set("local:", "A", "theirs").unwrap();
    let merged = merge(&ada, &ancestor, &ada.sealed(), &grace.sealed()).unwrap();
    let [clash] = &merged.conflicts[..] else {
        panic!("{merged:?}");
    };
    assert_eq!((clash.name.as_str(), clash.present), ("A", Side::Ours));
    assert!(merged.taken.is_empty());
    put(&ada, &merged.bytes);
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("ours"));
    assert_eq!(value_of(&ada, "A", &clash.other), "theirs");
    assert_eq!(history(&ada, "A").len(), 3);
}

#[test]
fn a_deletion_against_a_change_is_asked_about_and_one_against_nothing_is_not() {
    let (ada, grace) = two();
    ada.set("local:", "B", "1").unwrap();
    grace.pull(&ada);
    assert!(grace.get("local:", "B").is_ok());
    let ancestor = ada.sealed();
    unset(&grace, "A");
    unset(&grace, "B");
    ada.set("local:", "A", "2").unwrap();
    let mut asked = Vec::new();
    let mut choose = |name: &Name, sides: &Sides<'_>| {
        asked.push(name.to_string());
        let theirs = sides.theirs.as_ref().unwrap();
        assert!(theirs.value.is_none() && theirs.meta.deleted);
        assert!(sides.ours.as_ref().unwrap().value.is_some());
        Pick::Conflict
    };
    let (ours, theirs) = (ada.sealed(), grace.sealed());
    let merged = ada
        .folder()
        .merge("dev", Some(&ancestor), &ours, &theirs, &mut choose)
        .unwrap();
    assert_eq!(asked, ["A"]);
    put(&ada, &merged.bytes);
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("2"));
    let lookup = block_on(
        ada.store("local:")
            .read_one(&cx(), &Name::new("B").unwrap()),
    );
    assert!(matches!(lookup.unwrap(), Lookup::Deleted { .. }));
}

#[test]
fn what_is_the_same_stays_byte_for_byte() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    ada.set("local:", "A", "2").unwrap();
    let ours = ada.sealed();
    // Also for somebody who cannot open it.
    let stranger = Person::new();
    for (base, theirs) in [(&ancestor, &ours), (&ancestor, &ancestor)] {
        assert_eq!(unasked(&stranger, base, &ours, theirs).unwrap().bytes, ours);
    }
    let theirs = ours;
    let forward = unasked(&grace, &ancestor, &ancestor, &theirs).unwrap();
    assert_eq!(forward.bytes, theirs);
    assert_eq!(forward.taken, [Name::new("A").unwrap()]);
    let nothing = unasked(&grace, b"", &theirs, &ancestor).unwrap();
    assert_eq!((nothing.bytes, nothing.without_ancestor), (theirs, None));
}

#[test]
fn an_old_document_brings_nothing_back_whatever_it_is_said_to_come_from() {
    let (ada, grace) = two();
    let first = ada.sealed();
    ada.set("local:", "A", "leaked").unwrap();
    let old = ada.sealed();
    ada.set("local:", "A", "rotated").unwrap();
    let now = ada.sealed();
    for ancestor in [&now, &first, &Vec::new()] {
        let merged = unasked(&ada, ancestor, &now, &old).unwrap();
        assert_eq!(merged.bytes, now, "theirs is behind: nothing is written");
        assert!(merged.taken.is_empty() && merged.conflicts.is_empty());
    }
    // The other way round, as a rebase has them.
    let merged = unasked(&ada, &old, &old, &now).unwrap();
    assert_eq!(merged.bytes, now);
    // Also when the history has long forgotten it, and when it was pruned; with an ancestor that was
    // crafted to say that ours is untouched.
    for n in 0..12 {
        ada.set("local:", "A", &n.to_string()).unwrap();
    }
    for pruned in [false, true] {
        if pruned {
            let name = Name::new("A").unwrap();
            block_on(ada.store("local:").prune(&cx(), &name, 1)).unwrap();
        }
        let now = ada.sealed();
        let merged = merge(&ada, &now, &now, &old).unwrap();
        assert_eq!(merged.conflicts[0].present, Side::Ours);
        assert!(merged.taken.is_empty());
        put(&ada, &merged.bytes);
        assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("11"));
    }
    grace.pull(&ada);
    assert_eq!(grace.get("local:", "A").unwrap().as_deref(), Some("11"));
}

#[test]
fn a_forgotten_state_from_a_wrong_clock_s_future_is_not_taken_for_a_new_one() {
    let (ada, _) = two();
    // Made with another tool, and accepted then.
    let body = body(&ada);
    let (head, tail) = body.split_once("\"at\":\"2").unwrap();
    ada.seal(format!("{head}\"at\":\"9{tail}").as_bytes());
    let review = ada.folder().review("dev").unwrap();
    ada.folder().accept("dev", review.digest()).unwrap();
    let old = ada.sealed();
    for n in 0..12 {
        ada.set("local:", "A", &n.to_string()).unwrap();
    }
    let now = ada.sealed();
    let merged = merge(&ada, &now, &now, &old).unwrap();
    assert_eq!(merged.conflicts[0].present, Side::Ours);
    put(&ada, &merged.bytes);
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("11"));
}

#[test]
fn theirs_is_not_taken_over_what_was_written_later_whatever_is_answered() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    grace.set("local:", "A", "earlier").unwrap();
    ada.set("local:", "A", "later").unwrap();
    let (ours, theirs) = (ada.sealed(), grace.sealed());
    let always = &mut |_: &Name, _: &Sides<'_>| Pick::Theirs;
    let folder = ada.folder();
    let merged = folder.merge("dev", Some(&ancestor), &ours, &theirs, always);
    assert_eq!(merged.unwrap().conflicts[0].present, Side::Ours);
    let folder = grace.folder();
    let merged = folder.merge("dev", Some(&ancestor), &theirs, &ours, always);
    assert!(merged.unwrap().conflicts.is_empty());
}

#[test]
fn a_document_that_only_claims_to_follow_ours_does_not_stand_in_its_place() {
    let (ada, grace) = two();
    ada.set("local:", "A", "2").unwrap();
    for n in 0..3 {
        grace.set("local:", "B", &n.to_string()).unwrap();
    }
    let (ours, theirs) = (ada.sealed(), grace.sealed());
    let merged = merge(&ada, &ours, &ours, &theirs).unwrap();
    assert_ne!(merged.bytes, theirs);
    put(&ada, &merged.bytes);
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("2"));
    assert_eq!(ada.get("local:", "B").unwrap().as_deref(), Some("2"));
}

#[test]
fn upstream_that_was_set_back_brings_nothing_back_into_a_rebase() {
    let (ada, _) = two();
    let old = ada.sealed();
    for n in 0..12 {
        ada.set("local:", "A", &n.to_string()).unwrap();
    }
    let ancestor = ada.sealed();
    ada.set("local:", "B", "mine").unwrap();
    let mine = ada.sealed();
    let merged = merge(&ada, &ancestor, &old, &mine).unwrap();
    let [clash] = &merged.conflicts[..] else {
        panic!("{merged:?}");
    };
    assert_eq!((clash.name.as_str(), clash.present), ("A", Side::Theirs));
    assert_eq!(value_of_old(&ada, &merged, clash.other.as_str()), "1");
    put(&ada, &merged.bytes);
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("11"));
    assert_eq!(ada.get("local:", "B").unwrap().as_deref(), Some("mine"));
}

#[test]
fn an_old_side_of_ours_stays_beneath_on_a_new_machine_and_without_an_ancestor_too() {
    let (ada, _) = two();
    let old = ada.sealed();
    for n in 0..12 {
        ada.set("local:", "A", &n.to_string()).unwrap();
    }
    let ancestor = ada.sealed();
    ada.set("local:", "B", "mine").unwrap();
    let mine = ada.sealed();
    let mut ours = |_: &Name, _: &Sides<'_>| Pick::Ours;
    let here = ada
        .folder()
        .merge("dev", None, &old, &mine, &mut ours)
        .unwrap();
    let secret = ada.identity.to_secret();
    let fresh = Person {
        opening: TestOpening::new().with_identity(secret.expose()),
        identity: Identity::parse(&secret).unwrap(),
    };
    fresh.pull(&ada);
    let there = fresh
        .folder()
        .merge("dev", Some(&ancestor), &old, &mine, &mut ours)
        .unwrap();
    for (at, merged) in [(&ada, here), (&fresh, there)] {
        assert_eq!(merged.conflicts[0].present, Side::Theirs);
        put(at, &merged.bytes);
        assert_eq!(at.get("local:", "A").unwrap().as_deref(), Some("11"));
    }
}

#[test]
fn a_side_that_was_only_sealed_anew_is_not_newer_than_what_is_merged() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    let reseal = || ada.folder().add(&grace.member("grace", &["dev"])).unwrap();
    // Once, so that both are of one generation, and once more.
    grace.set("local:", "A", "2").unwrap();
    let theirs_of = grace.sealed();
    for _ in 0..2 {
        reseal();
        assert!(ada.get("local:", "A").is_ok());
        let before = generation(&ada);
        let sealed = ada.sealed();
        let merged = unasked(&ada, &ancestor, &theirs_of, &sealed).unwrap();
        put(&ada, &merged.bytes);
        assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("2"));
        assert!(generation(&ada) > before);
        let review = {
            put(&ada, &sealed);
            ada.folder().review("dev").unwrap()
        };
        ada.folder().accept("dev", review.digest()).unwrap();
    }
    let merged = unasked(&grace, &ancestor, &theirs_of, &ada.sealed()).unwrap();
    let merged = grace.folder().describe(&merged.bytes).unwrap();
    assert!(merged.generation > generation(&ada));
}

fn value_of_old(at: &Person, merged: &Merged, version: &str) -> String {
    put(at, &merged.bytes);
    value_of(at, "A", &Version::new(version))
}

#[test]
fn two_old_documents_get_no_new_signature() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    grace.set("local:", "B", "2").unwrap();
    let theirs = grace.sealed();
    ada.set("local:", "A", "leaked").unwrap();
    let ours = ada.sealed();
    ada.set("local:", "A", "rotated").unwrap();
    ada.set("local:", "A", "again").unwrap();
    let error = refused(
        merge(&ada, &ancestor, &ours, &theirs),
        ErrorKind::Untrusted,
        "neither side is the newest that was seen here",
    );
    assert!(error.hint().unwrap().contains("secrets trust"));
    // A person's word for the one in the working tree, and it is merged.
    put(&ada, &ours);
    let review = ada.folder().review("dev").unwrap();
    ada.folder().accept("dev", review.digest()).unwrap();
    merge(&ada, &ancestor, &ours, &theirs).unwrap();
}

#[test]
fn a_branch_older_than_what_was_seen_is_merged_into_as_long_as_the_other_is_the_newest() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    ada.set("local:", "OURS", "o").unwrap();
    grace.set("local:", "B", "1").unwrap();
    for n in 0..3 {
        grace.set("local:", "B", &n.to_string()).unwrap();
    }
    // Grace switches to Ada's branch and merges her own into it.
    let merged = merge(&grace, &ancestor, &ada.sealed(), &grace.sealed()).unwrap();
    assert!(merged.conflicts.is_empty());
    put(&grace, &merged.bytes);
    assert_eq!(grace.get("local:", "OURS").unwrap().as_deref(), Some("o"));
    assert_eq!(grace.get("local:", "B").unwrap().as_deref(), Some("2"));
}

/// The body of what is sealed, without who signed it.
fn body(at: &Person) -> String {
    let opened = String::from_utf8(at.opened()).unwrap();
    opened.split_once('\n').unwrap().1.to_owned()
}

#[test]
fn a_side_signed_by_nobody_known_is_refused_and_such_an_ancestor_counts_as_none() {
    let (ada, _) = two();
    let (ancestor, planted) = {
        let known = ada.sealed();
        ada.seal(body(&ada).replace("\"1\"", "\"planted\"").as_bytes());
        let planted = ada.sealed();
        put(&ada, &known);
        (known, planted)
    };
    ada.set("local:", "A", "2").unwrap();
    let ours = ada.sealed();
    for (one, other, side) in [(&ours, &planted, "theirs: "), (&planted, &ours, "ours: ")] {
        let error = refused(
            unasked(&ada, &ancestor, one, other),
            ErrorKind::Untrusted,
            "signed by nobody",
        );
        assert!(error.message().starts_with(side), "{error}");
        assert_eq!(error.store(), Some("local:dev"));
        assert!(!format!("{error:?}").contains("planted"));
    }
    // Theirs, by a stranger with a store of his own.
    let mallory = Person::new();
    mallory
        .folder()
        .init("mallory", Some(&ada.identity.recipient()))
        .unwrap();
    mallory.set("local:", "A", "planted").unwrap();
    refused(
        unasked(&ada, &ancestor, &ours, &mallory.sealed()),
        ErrorKind::Untrusted,
        "somebody you have not confirmed",
    );
    // An ancestor that says that ours is untouched.
    let theirs = {
        put(&ada, &ancestor);
        let review = ada.folder().review("dev").unwrap();
        ada.folder().accept("dev", review.digest()).unwrap();
        ada.set("local:", "A", "3").unwrap();
        ada.sealed()
    };
    put(&ada, &ours);
    ada.seal(body(&ada).as_bytes());
    let crafted = ada.sealed();
    let merged = merge(&ada, &crafted, &ours, &theirs).unwrap();
    assert_eq!(merged.conflicts.len(), 1);
    assert!(
        merged
            .without_ancestor
            .unwrap()
            .contains("signed by nobody")
    );
}

#[test]
fn who_may_not_sign_an_environment_is_no_side_of_it_and_merges_nothing_of_it() {
    let (ada, grace) = two();
    ada.set("local:production", "P", "1").unwrap();
    let ancestor = std::fs::read(ada.file("production.age")).unwrap();
    let pro = |at: &Person| std::fs::read(at.file("production.age")).unwrap();
    // Grace seals a document of production to Ada with her own, unlisted, list of people.
    let forger = Person {
        opening: TestOpening::new().with_identity(grace.identity.to_secret().expose()),
        identity: Identity::parse(&grace.identity.to_secret()).unwrap(),
    };
    forger
        .folder()
        .init("grace", Some(&ada.identity.recipient()))
        .unwrap();
    forger.set("local:production", "P", "planted").unwrap();
    ada.set("local:production", "P", "2").unwrap();
    let mut never = |_: &Name, _: &Sides<'_>| panic!("asked");
    let folder = ada.folder();
    let (ours, theirs) = (pro(&ada), pro(&forger));
    refused(
        folder.merge("production", Some(&ancestor), &ours, &theirs, &mut never),
        ErrorKind::Untrusted,
        "somebody you have not confirmed",
    );
    // Another environment's document.
    refused(
        unasked(&ada, b"", &ada.sealed(), &ours),
        ErrorKind::Untrusted,
        "the one of another environment",
    );
    // What is not sealed to her she cannot merge; a recovery key opens all and signs nothing.
    let error = grace
        .folder()
        .merge("production", None, &ours, &ancestor, &mut never)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    let (ada, safe) = (Person::new(), Person::new());
    ada.folder()
        .init("ada", Some(&safe.identity.recipient()))
        .unwrap();
    ada.set("local:", "A", "1").unwrap();
    safe.pull(&ada);
    let ancestor = ada.sealed();
    ada.set("local:", "A", "2").unwrap();
    let theirs = ada.sealed();
    refused(
        unasked(&safe, b"", &ancestor, &theirs),
        ErrorKind::Unauthenticated,
        "not among the people",
    );
    assert_eq!(
        unasked(&safe, &ancestor, &ancestor, &theirs).unwrap().bytes,
        theirs
    );
}

#[test]
fn what_was_written_after_a_removal_there_is_not_sealed_to_who_was_removed() {
    let (ada, grace, eve) = (Person::founder(), Person::new(), Person::new());
    for (name, person) in [("grace", &grace), ("eve", &eve)] {
        ada.folder().add(&person.member(name, &["dev"])).unwrap();
    }
    ada.set("local:", "A", "1").unwrap();
    grace.pull(&ada);
    assert!(grace.get("local:", "A").is_ok());
    let ancestor = ada.sealed();
    ada.folder().remove("eve").unwrap();
    let removal = ada.sealed();
    ada.set("local:", "A", "rotated").unwrap();
    let theirs = ada.sealed();
    grace.set("local:", "B", "2").unwrap();
    let ours = grace.sealed();
    let error = refused(
        merge(&grace, &ancestor, &ours, &theirs),
        ErrorKind::Untrusted,
        "sealed to other people",
    );
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("secrets trust") && hint.contains("git checkout --merge .secrets/dev.age")
    );
    // Git has merged the list of people meanwhile, and she confirms it.
    std::fs::copy(ada.file("recipients.toml"), grace.file("recipients.toml")).unwrap();
    refused(
        merge(&grace, &ancestor, &ours, &theirs),
        ErrorKind::Untrusted,
        "recipients.toml has changed",
    );
    let review = grace.folder().review("dev").unwrap();
    grace.folder().accept("dev", review.digest()).unwrap();
    // Also where theirs has nothing but the removal, and is of no higher generation.
    let dropped = unasked(&grace, &ancestor, &ours, &removal).unwrap();
    assert!(eve.folder().describe(&dropped.bytes).is_err());
    let merged = merge(&grace, &ancestor, &ours, &theirs).unwrap();
    put(&grace, &merged.bytes);
    assert_eq!(
        grace.get("local:", "A").unwrap().as_deref(),
        Some("rotated")
    );
    // Where ours has the change of people and theirs none, nothing is in the way.
    let mine = grace.sealed();
    let merged = merge(&ada, &ancestor, &theirs, &ours).unwrap();
    assert!(eve.folder().describe(&merged.bytes).is_err() && mine != merged.bytes);
}

#[test]
fn who_was_added_since_merges_without_the_ancestor_and_says_so() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    let ancestor = ada.sealed();
    let grace = Person::new();
    ada.folder().add(&grace.member("grace", &["dev"])).unwrap();
    grace.pull(&ada);
    assert!(grace.get("local:", "A").is_ok());
    ada.set("local:", "A", "2").unwrap();
    grace.set("local:", "B", "3").unwrap();
    let merged = merge(&grace, &ancestor, &grace.sealed(), &ada.sealed()).unwrap();
    assert!(merged.conflicts.is_empty());
    assert!(
        merged
            .without_ancestor
            .unwrap()
            .contains("not sealed to you")
    );
    put(&grace, &merged.bytes);
    assert_eq!(grace.get("local:", "A").unwrap().as_deref(), Some("2"));
}

#[test]
fn git_s_conflict_marks_are_refused_on_each_side_with_what_to_type() {
    let (ada, _) = two();
    let whole = ada.sealed();
    let text = String::from_utf8(whole.clone()).unwrap();
    let marked = format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> x\n").into_bytes();
    for (ours, theirs) in [(&marked, &whole), (&whole, &marked), (&marked, &marked)] {
        let error = refused(
            unasked(&ada, b"", ours, theirs),
            ErrorKind::InvalidData,
            "git's conflict marks",
        );
        assert!(
            error.hint().unwrap().contains("secrets git install"),
            "{error:?}"
        );
    }
}

#[test]
fn an_operation_of_the_other_branch_that_is_sent_again_is_not_done_twice() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    let name = Name::new("B").unwrap();
    let value = SecretValue::from_slice(b"once");
    let operation = cx();
    let send = |at: &Person| {
        let change = Change {
            name: &name,
            op: Op::Put(&value),
            when: Precondition::Absent,
        };
        block_on(at.store("local:").write_one(&operation, change))
    };
    let done = send(&grace).unwrap();
    ada.set("local:", "A", "2").unwrap();
    let merged = merge(&ada, &ancestor, &ada.sealed(), &grace.sealed()).unwrap();
    put(&ada, &merged.bytes);
    assert_eq!(send(&ada).unwrap(), done);
    assert_eq!(history(&ada, "B").len(), 1);
}

#[test]
fn no_value_is_in_what_is_told_of_a_merge() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    ada.set("local:", "A", "canary-ours").unwrap();
    grace.set("local:", "A", "canary-theirs").unwrap();
    let mut shown = String::new();
    let mut choose = |_: &Name, sides: &Sides<'_>| {
        shown = format!("{sides:?}");
        Pick::Conflict
    };
    let (ours, theirs) = (ada.sealed(), grace.sealed());
    let folder = ada.folder();
    let merged = folder.merge("dev", Some(&ancestor), &ours, &theirs, &mut choose);
    shown.push_str(&format!("{:?}", merged.unwrap()));
    shown.push_str(&format!("{:?}", folder.describe(&theirs).unwrap()));
    let bytes = format!("{:?}", b"canary").replace(['[', ']'], "");
    assert!(
        !shown.contains("canary") && !shown.contains(&bytes),
        "{shown}"
    );
}

#[test]
fn a_file_is_described_whoever_signed_it_and_says_who_did() {
    let (ada, grace) = two();
    grace.set("local:", "B", "2").unwrap();
    unset(&grace, "A");
    let told = ada.folder().describe(&grace.sealed()).unwrap();
    assert_eq!(
        (told.environment.as_str(), told.author.as_str()),
        ("dev", "grace")
    );
    assert_eq!((told.signer.as_deref(), told.doubt), (Some("grace"), None));
    let [a, b] = &told.secrets[..] else {
        panic!("{:?}", told.secrets);
    };
    assert!(a.name.as_str() == "A" && a.value.is_none() && a.meta.deleted && a.states == 2);
    assert_eq!(b.value.as_ref().unwrap().expose_text(), Some("2"));
    assert_eq!(b.meta.author.as_deref(), Some("grace"));
    assert!(b.meta.modified.is_some() && b.meta.version.is_some());
    // An older one is described as any other, and one that nobody signed says so.
    let planted = body(&ada).replace("\"author\":\"ada\"", "\"author\":\"\\u001b[2Kada\"");
    ada.seal(planted.as_bytes());
    let told = ada.folder().describe(&ada.sealed()).unwrap();
    assert_eq!(told.signer, None);
    assert!(told.doubt.unwrap().contains("signed by nobody"));
    assert!(!told.author.contains('\u{1b}') && told.author.contains("ada"));
    ada.seal(body_of(&planted, "\\u001b[2K").as_bytes());
    let error = ada.folder().describe(&ada.sealed()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(!error.to_string().contains('\u{1b}'));
}

fn body_of(body: &str, environment: &str) -> String {
    body.replace(
        "\"environment\":\"dev\"",
        &format!("\"environment\":\"{environment}\""),
    )
}

#[test]
fn the_independent_age_opens_what_was_merged() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    ada.set("local:", "B", "größer\n").unwrap();
    grace.set("local:", "A", "2").unwrap();
    let merged = merge(&ada, &ancestor, &ada.sealed(), &grace.sealed()).unwrap();
    let program = std::env::var("SECRETS_TEST_AGE")
        .expect("SECRETS_TEST_AGE names the age program: run scripts/test");
    let mut key = tempfile::NamedTempFile::new().unwrap();
    key.write_all(grace.identity.to_secret().expose()).unwrap();
    put(&ada, &merged.bytes);
    let output = Command::new(program)
        .args(["-d", "-i"])
        .args([key.path(), &ada.file("dev.age")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let opened = String::from_utf8(output.stdout).unwrap();
    let body: serde_json::Value = serde_json::from_str(opened.split_once('\n').unwrap().1).unwrap();
    assert_eq!(body["secrets"]["B"][0]["value"]["text"], "größer\n");
    assert_eq!(body["secrets"]["A"][0]["value"]["text"], "2");
    assert_eq!(body["secrets"]["A"][1]["value"]["text"], "1");
}

#[test]
fn a_thousand_names_are_merged_in_well_under_a_second() {
    let (ada, grace) = two();
    let names: Vec<Name> = (0..1000)
        .map(|n| Name::new(&format!("NAME_{n}")).unwrap())
        .collect();
    let fill = |at: &Person, text: &str| {
        let value = SecretValue::from_slice(text.as_bytes());
        let changes: Vec<_> = names
            .iter()
            .map(|name| Change {
                name,
                op: Op::Put(&value),
                when: Precondition::Unguarded,
            })
            .collect();
        let written = block_on(at.store("local:").write(&cx(), None, &changes)).unwrap();
        assert!(written.items.iter().all(std::result::Result::is_ok));
    };
    fill(&ada, "base");
    grace.pull(&ada);
    assert!(grace.get("local:", "A").is_ok());
    let ancestor = ada.sealed();
    for n in 0..9 {
        fill(&ada, &format!("ours {n}"));
        fill(&grace, &format!("theirs {n}"));
    }
    let (ours, theirs) = (ada.sealed(), grace.sealed());
    let start = Instant::now();
    let merged = merge(&ada, &ancestor, &ours, &theirs).unwrap();
    let took = start.elapsed();
    eprintln!("1000 names of ten states a side: {took:?}");
    assert_eq!(merged.conflicts.len(), 1000);
    // Unoptimized, on a machine that does other things too.
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[test]
fn an_error_of_a_merge_says_which_side_it_is_about() {
    let (ada, _) = two();
    let whole = ada.sealed();
    let error: Error = unasked(&ada, b"", &whole, b"A=1\n").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.message().starts_with("theirs: ") && error.hint().is_some());
}
