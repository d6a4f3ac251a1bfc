//! What was confirmed once stays no more than that: the same file brought back later, the team
//! changed meanwhile, another process at work.
#![allow(missing_docs, clippy::unwrap_used)]

mod person;

use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use person::{Person, refused};
use secrets_api::ErrorKind;

#[test]
fn what_was_accepted_once_is_refused_when_it_comes_back_after_something_newer() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    ada.seal(ada.body().replace("\"1\"", "\"leaked\"").as_bytes());
    ada.accept("dev");
    let once = ada.sealed();
    ada.set("local:", "A", "rotated").unwrap();
    std::fs::write(ada.file("dev.age"), once).unwrap();
    refused(ada.get("local:", "A"), ErrorKind::Untrusted, "older than");
}

#[test]
fn who_wrote_last_can_be_removed() {
    let (ada, grace) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    ada.folder().add(&grace.member("grace", &["dev"])).unwrap();
    grace.pull(&ada);
    grace.set("local:", "A", "2").unwrap();
    ada.pull(&grace);
    let removed = ada.folder().remove("grace").unwrap();
    for item in &removed.resealed {
        item.outcome.as_ref().unwrap();
    }
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("2"));
}

#[test]
fn who_was_removed_by_a_teammate_signs_no_more_even_before_the_removal_is_confirmed() {
    let (ada, grace, eve) = (Person::founder(), Person::new(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    for (name, person) in [("grace", &grace), ("eve", &eve)] {
        ada.folder().add(&person.member(name, &["dev"])).unwrap();
    }
    grace.pull(&ada);
    eve.pull(&ada);
    assert!(grace.get("local:", "A").is_ok());
    eve.set("local:", "A", "planted").unwrap();
    ada.folder().remove("eve").unwrap();
    grace.pull(&ada);
    assert!(grace.get("local:", "A").is_ok(), "Ada's own is believed");
    std::fs::write(grace.file("dev.age"), eve.sealed()).unwrap();
    refused(
        grace.get("local:", "A"),
        ErrorKind::Untrusted,
        "no longer among the people",
    );
}

#[test]
fn a_document_without_its_list_of_people_is_not_opened() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    std::fs::remove_file(ada.file("recipients.toml")).unwrap();
    refused(
        ada.get("local:", "A"),
        ErrorKind::InvalidConfig,
        "no .secrets/recipients.toml",
    );
    refused(
        ada.folder().init("mallory", None),
        ErrorKind::InvalidConfig,
        "holds documents but no recipients.toml",
    );
}

#[test]
fn a_header_without_a_signature_is_signed_by_nobody() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    let body = ada.body();
    for header in [
        r#"{"format":"secrets-local/1"}"#.to_owned(),
        format!(
            r#"{{"format":"secrets-local/1","signer":"{}"}}"#,
            ada.identity.signing_key()
        ),
    ] {
        ada.seal(format!("{header}\n{body}").as_bytes());
        refused(
            ada.get("local:", "A"),
            ErrorKind::Untrusted,
            "signed by nobody",
        );
    }
    ada.accept("dev");
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("1"));
    ada.set("local:", "B", "2").unwrap();
    let opened = String::from_utf8(ada.opened()).unwrap();
    assert!(opened.lines().next().unwrap().contains("\"signature\""));
}

#[test]
fn a_document_of_another_environment_can_be_neither_opened_nor_accepted() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    std::fs::copy(ada.file("dev.age"), ada.file("production.age")).unwrap();
    for error in [
        ada.get("local:production", "A").map(|_| ()),
        ada.folder().review("production").map(|_| ()),
    ] {
        refused(error, ErrorKind::Untrusted, "another environment");
    }
}

#[test]
fn a_generation_beyond_which_there_is_none_is_refused_and_nothing_breaks() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    let last = format!("\"generation\":{}", u64::MAX);
    ada.seal(ada.body().replace("\"generation\":1", &last).as_bytes());
    ada.accept("dev");
    refused(
        ada.set("local:", "A", "2"),
        ErrorKind::InvalidData,
        "generation",
    );
}

#[test]
fn a_name_that_stands_twice_in_a_document_is_refused() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    let doubled = ada
        .body()
        .replace("\"secrets\":{", "\"secrets\":{\"A\":[],");
    ada.seal(doubled.as_bytes());
    refused(ada.get("local:", "A"), ErrorKind::InvalidData, "twice");
}

#[test]
fn a_list_of_people_is_bounded_and_its_conflict_marks_are_named() {
    let ada = Person::founder();
    let path = ada.file("recipients.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let many: String = (0..2000)
        .map(|n| {
            format!(
                "[[recipient]]\nname = \"m{n}\"\nage = \"{}\"\n",
                ada.identity.recipient()
            )
        })
        .collect();
    std::fs::write(&path, format!("{text}{many}")).unwrap();
    refused(
        ada.set("local:", "A", "1"),
        ErrorKind::InvalidConfig,
        "at most 1000",
    );
    std::fs::write(
        &path,
        format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> x\n"),
    )
    .unwrap();
    refused(
        ada.set("local:", "A", "1"),
        ErrorKind::InvalidConfig,
        "git's conflict marks",
    );
}

#[test]
fn what_a_removed_person_could_read_and_we_cannot_is_named_as_unknown() {
    let (ada, grace, bob) = (Person::founder(), Person::new(), Person::new());
    ada.folder().add(&grace.member("grace", &["*"])).unwrap();
    ada.folder().add(&bob.member("bob", &["dev"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    ada.set("local:production", "B", "2").unwrap();
    bob.pull(&ada);
    let removed = bob.folder().remove("grace").unwrap();
    assert_eq!(removed.could_read.len(), 1);
    assert_eq!(removed.unknown, ["production"]);
    assert!(
        removed
            .resealed
            .iter()
            .any(|r| r.environment == "production" && r.outcome.is_err())
    );
}

#[test]
fn two_documents_that_wait_for_the_same_news_are_accepted_in_one_breath() {
    let (ada, grace) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    ada.folder().add(&grace.member("grace", &["*"])).unwrap();
    grace.pull(&ada);
    assert!(grace.get("local:", "A").is_ok());
    let bob = Person::new();
    ada.folder().add(&bob.member("bob", &["*"])).unwrap();
    ada.set("local:production", "B", "2").unwrap();
    grace.pull(&ada);
    let reviews = ["dev", "production"].map(|name| (name, grace.folder().review(name).unwrap()));
    for (name, review) in &reviews {
        assert!(review.lines().iter().any(|l| l.starts_with("new: bob")));
        grace.folder().accept(name, review.digest()).unwrap();
    }
    assert_eq!(
        grace
            .folder()
            .accept("dev", reviews[1].1.digest())
            .unwrap_err()
            .kind(),
        ErrorKind::Conflict
    );
}

#[test]
fn a_key_that_would_move_the_cursor_is_refused_and_not_shown() {
    let ada = Person::founder();
    let path = ada.file("recipients.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let ssh = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8Yqk7w1q5X3f3m0aB0bqj6bYw1sJmZ0s3qkJ1v2b3c";
    for planted in [
        format!("[[recipient]]\nname = \"x\"\nage = \"{ssh} \\u001b[2K\"\n"),
        "\"\\u001b[2K\" = 1\n".to_owned() + &text,
    ] {
        std::fs::write(&path, format!("{planted}{text}")).unwrap();
        let error = ada.folder().review("dev").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig);
        assert!(!error.to_string().contains('\u{1b}'), "{error:?}");
    }
}

#[test]
fn a_reader_beside_a_writer_never_takes_the_new_for_the_old() {
    let ada = Person::founder();
    ada.set("local:", "A", "0").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let read = || {
            while !done.load(Ordering::Relaxed) {
                ada.get("local:", "A").map_err(|e| e.to_string())?;
            }
            Ok::<_, String>(())
        };
        let readers: Vec<_> = (0..4).map(|_| scope.spawn(read)).collect();
        for n in 1..100 {
            ada.set("local:", "A", &n.to_string()).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for reader in readers {
            assert_eq!(reader.join().unwrap(), Ok(()));
        }
    });
}

#[test]
fn files_of_the_store_are_for_their_owner_and_the_list_of_people_for_all() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    let mode = |name: &str| {
        let metadata = std::fs::metadata(ada.file(name)).unwrap();
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode("dev.age"), mode("recipients.toml")), (0o600, 0o644));
}
