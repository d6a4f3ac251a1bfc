//! Two branches of a document are merged by name: what is signed by nobody confirmed is refused, and
//! an old document, however it is presented, brings nothing back.
#![allow(missing_docs, clippy::unwrap_used)]

mod old;
mod people;
#[path = "../person/mod.rs"]
mod person;

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use person::{Person, cx, refused};
use secrets_api::{
    Change, Error, ErrorKind, Lookup, Name, Op, Precondition, ProviderExt as _, Result,
    SecretValue, Version,
};
use secrets_local::{Merged, People, Pick, Side, Sides};
use secrets_testkit::block_on;

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
    assert_eq!(value_of(&ada, "A", clash.other.as_ref().unwrap()), "theirs");
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
    let both = ["ada", "grace"].map(ToOwned::to_owned);
    assert_eq!(told.people, People::Listed(both.into()));
    let before = ada.sealed();
    let eve = Person::new();
    ada.folder().add(&eve.member("eve", &["dev"])).unwrap();
    let told_then = ada.folder().describe(&before).unwrap();
    assert!(matches!(told_then.people, People::Others(digest) if digest.len() == 64));
    let [a, b] = &told.secrets[..] else {
        panic!("{:?}", told.secrets);
    };
    assert!(a.name.as_str() == "A" && a.value.is_none() && a.meta.deleted && a.states == 2);
    assert_eq!(b.value.as_ref().unwrap().expose_text(), Some("2"));
    assert_eq!(b.meta.author.as_deref(), Some("grace"));
    assert!(b.meta.modified.is_some() && b.meta.version.is_some());
    // An older one is described as any other, and one that nobody signed says so.
    let planted = ada
        .body()
        .replace("\"author\":\"ada\"", "\"author\":\"\\u001b[2Kada\"");
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
