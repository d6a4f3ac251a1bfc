//! A document counts only if somebody confirmed has signed it, and it is no older than what was
//! seen. Each case that is refused is refused in its own words.
#![allow(missing_docs, clippy::unwrap_used)]

mod person;

use person::{Person, cx, refused};
use secrets_api::{ErrorKind, Lookup, Name, ProviderExt as _, StoreUri};
use secrets_local::Created;
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

#[test]
fn what_one_person_seals_a_teammate_opens_once_added() {
    let (ada, grace) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    grace.pull(&ada);
    refused(
        grace.get("local:", "A"),
        ErrorKind::Unauthenticated,
        "not sealed to you",
    );
    let resealed = ada.folder().add(&grace.member("grace", &["dev"])).unwrap();
    assert!(resealed.len() == 1 && resealed[0].outcome.is_ok());
    grace.pull(&ada);
    assert_eq!(grace.get("local:", "A").unwrap().as_deref(), Some("1"));
    grace.set("local:", "A", "2").unwrap();
    ada.pull(&grace);
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("2"));
}

#[test]
fn a_teammate_opens_only_the_environments_that_are_theirs() {
    let (ada, grace) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    ada.set("local:production", "A", "secret").unwrap();
    ada.folder().add(&grace.member("grace", &["dev"])).unwrap();
    grace.pull(&ada);
    assert!(grace.get("local:", "A").is_ok());
    refused(
        grace.get("local:production", "A"),
        ErrorKind::Unauthenticated,
        "not sealed to you",
    );
    refused(
        grace.set("local:staging", "A", "x"),
        ErrorKind::Unauthenticated,
        "not among the people",
    );
    ada.folder()
        .add(&grace.member("grace", &["production"]))
        .unwrap();
    let team = ada.folder().team().unwrap();
    assert_eq!(team.members()[1].environments, ["dev", "production"]);
}

#[test]
fn who_is_removed_no_longer_opens_what_is_written_and_what_they_read_is_named() {
    let (ada, grace) = (Person::founder(), Person::new());
    ada.folder().add(&grace.member("grace", &["*"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    let removed = ada.folder().remove("grace").unwrap();
    assert_eq!(
        removed.could_read,
        [("dev".to_owned(), vec![Name::new("A").unwrap()])]
    );
    grace.pull(&ada);
    refused(
        grace.get("local:", "A"),
        ErrorKind::Unauthenticated,
        "not sealed to you",
    );
    refused(
        ada.folder().remove("ada"),
        ErrorKind::InvalidConfig,
        "cannot remove yourself",
    );
}

#[test]
fn a_recovery_key_opens_everything_and_signs_nothing() {
    let (ada, safe) = (Person::new(), Person::new());
    ada.folder()
        .init("ada", Some(&safe.identity.recipient()))
        .unwrap();
    ada.set("local:", "A", "1").unwrap();
    safe.pull(&ada);
    assert_eq!(safe.get("local:", "A").unwrap().as_deref(), Some("1"));
    refused(
        safe.set("local:", "A", "2"),
        ErrorKind::Unauthenticated,
        "not among the people",
    );
}

#[test]
fn a_document_signed_by_nobody_is_refused_until_it_is_accepted() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    let opened = ada.opened();
    let body = &opened[opened.iter().position(|b| *b == b'\n').unwrap() + 1..];
    let planted = String::from_utf8(body.to_vec())
        .unwrap()
        .replace("\"1\"", "\"planted\"");
    ada.seal(planted.as_bytes());
    refused(
        ada.get("local:", "A"),
        ErrorKind::Untrusted,
        "signed by nobody",
    );
    refused(
        ada.set("local:", "A", "2"),
        ErrorKind::Untrusted,
        "signed by nobody",
    );
    let review = ada.folder().review("dev").unwrap();
    assert_eq!(review.lines().len(), 2, "{review:?}");
    refused(
        ada.folder().accept("dev", "something else"),
        ErrorKind::Conflict,
        "meanwhile",
    );
    ada.folder().accept("dev", review.digest()).unwrap();
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("planted"));
    assert!(ada.folder().review("dev").unwrap().is_empty());
    ada.set("local:", "B", "x").unwrap();
    assert_eq!(
        ada.get("local:", "A").unwrap().as_deref(),
        Some("planted"),
        "the next write signs it"
    );
}

#[test]
fn a_body_changed_under_its_signature_is_refused() {
    let ada = Person::founder();
    ada.set("local:", "A", "canaryvalue").unwrap();
    let opened = String::from_utf8(ada.opened()).unwrap();
    ada.seal(opened.replace("canaryvalue", "planted").as_bytes());
    let error = refused(
        ada.get("local:", "A"),
        ErrorKind::InvalidData,
        "altered after it was signed",
    );
    assert!(!format!("{error:?}").contains("planted"));
}

#[test]
fn a_stranger_who_puts_himself_into_the_team_is_not_believed() {
    let (ada, mallory) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    let sealed = ada.sealed();
    // Whoever can push can write these files.
    mallory.forge(&ada, "mallory");
    mallory.set("local:", "A", "planted").unwrap();
    ada.pull(&mallory);
    refused(
        ada.get("local:", "A"),
        ErrorKind::Untrusted,
        "signed by somebody you have not confirmed",
    );
    std::fs::write(ada.file("dev.age"), sealed).unwrap();
    refused(
        ada.set("local:", "A", "2"),
        ErrorKind::Untrusted,
        "recipients.toml has changed",
    );
    let lines = ada.folder().review("dev").unwrap().lines().join("\n");
    assert!(
        lines.contains("new: mallory") && lines.contains("gone: ada"),
        "{lines}"
    );
}

#[test]
fn an_older_generation_is_refused_until_it_is_accepted() {
    let ada = Person::founder();
    ada.set("local:", "A", "old").unwrap();
    let old = ada.sealed();
    ada.set("local:", "A", "new").unwrap();
    std::fs::write(ada.file("dev.age"), old).unwrap();
    refused(
        ada.get("local:", "A"),
        ErrorKind::Untrusted,
        "older than what was seen here: generation 1, after 2",
    );
    ada.accept("dev");
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("old"));
}

#[test]
fn another_document_of_the_same_generation_is_not_silently_taken() {
    let (ada, grace) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    ada.folder().add(&grace.member("grace", &["dev"])).unwrap();
    grace.pull(&ada);
    grace.set("local:", "A", "hers").unwrap();
    ada.set("local:", "A", "mine").unwrap();
    ada.pull(&grace);
    refused(
        ada.get("local:", "A"),
        ErrorKind::Untrusted,
        "two people wrote at once",
    );
}

#[test]
fn broken_files_are_told_from_each_other() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    let whole = ada.sealed();
    let with = |bytes: &[u8]| {
        std::fs::write(ada.file("dev.age"), bytes).unwrap();
        ada.get("local:", "A")
    };
    refused(
        with(&whole[..whole.len() / 2]),
        ErrorKind::InvalidData,
        "cut short",
    );
    refused(with(b""), ErrorKind::InvalidData, "no age file");
    refused(with(b"A=1\n"), ErrorKind::InvalidData, "no age file");
    let text = String::from_utf8(whole.clone()).unwrap();
    let merged = format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> branch\n");
    refused(
        with(merged.as_bytes()),
        ErrorKind::InvalidData,
        "git's conflict marks",
    );
    // One character of the armour's middle, which is ciphertext.
    let mut altered = whole.clone();
    let at = altered.len() - 120;
    altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
    refused(with(&altered), ErrorKind::InvalidData, "altered");
    assert_eq!(with(&whole).unwrap().as_deref(), Some("1"));
}

#[test]
fn another_identity_is_told_how_to_get_in() {
    let (ada, grace) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    grace.pull(&ada);
    let error = refused(
        grace.get("local:", "A"),
        ErrorKind::Unauthenticated,
        "not sealed to you",
    );
    assert!(error.hint().unwrap().contains("team add"));
}

#[test]
fn without_a_document_nothing_is_needed_to_read() {
    let opening = TestOpening::new();
    let uri = StoreUri::parse("local:").unwrap();
    let store = secrets_local::open(&opening.opening(&uri)).unwrap();
    let lookup = block_on(store.read_one(&cx(), &Name::new("A").unwrap())).unwrap();
    assert!(matches!(lookup, Lookup::Absent));
}

#[test]
fn as_many_versions_are_kept_as_the_address_says() {
    let ada = Person::founder();
    for n in 0..14 {
        ada.set("local:", "A", &n.to_string()).unwrap();
        ada.set("local:?history=2", "B", &n.to_string()).unwrap();
    }
    let count = |uri: &str, name: &str| {
        block_on(ada.store(uri).history(&cx(), &Name::new(name).unwrap()))
            .unwrap()
            .len()
    };
    assert_eq!((count("local:", "A"), count("local:", "B")), (10, 2));
}

#[test]
fn odd_addresses_are_refused() {
    let opening = TestOpening::new();
    for uri in [
        "local:../x",
        "local:a/b",
        "local:.x",
        "local:a..b",
        "local:?history=0",
        "local:?history=x",
        "local:?keep=1",
    ] {
        let uri = StoreUri::parse(uri).unwrap();
        assert_eq!(
            secrets_local::open(&opening.opening(&uri))
                .unwrap_err()
                .kind(),
            ErrorKind::InvalidConfig
        );
    }
}

#[test]
fn a_second_init_changes_nothing() {
    let ada = Person::founder();
    let before = std::fs::read(ada.file("recipients.toml")).unwrap();
    assert_eq!(ada.folder().init("someone", None).unwrap(), Created::Before);
    assert_eq!(std::fs::read(ada.file("recipients.toml")).unwrap(), before);
}

#[test]
fn comments_in_the_list_of_people_stay() {
    let (ada, grace) = (Person::founder(), Person::new());
    let path = ada.file("recipients.toml");
    let text = format!(
        "{}# the end\n",
        std::fs::read_to_string(&path)
            .unwrap()
            .replace("[[recipient]]", "# our founder\n[[recipient]]")
    );
    std::fs::write(&path, &text).unwrap();
    ada.folder().add(&grace.member("grace", &["dev"])).unwrap();
    ada.folder().remove("grace").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
