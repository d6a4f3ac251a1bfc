//! A document counts in its own store alone, and a store that is known on this machine is known in every
//! folder of it: another clone, another worktree, a copy that somebody else has planted.
#![allow(missing_docs, clippy::unwrap_used)]

mod person;

use person::{Person, refused};
use secrets_api::{ErrorKind, Name};
use secrets_local::{Pick, Sides};
use secrets_testkit::block_on;

/// Adds somebody to the list as whoever can push does: by hand, with nothing sealed anew.
fn add_by_hand(at: &Person, new: &Person, name: &str) {
    let path = at.file("recipients.toml");
    let mut list = std::fs::read_to_string(&path).unwrap();
    let member = new.member(name, &["*"]);
    list.push_str(&format!(
        "\n[[recipient]]\nname = \"{name}\"\nage = \"{}\"\nsign = \"{}\"\nenvironments = [\"*\"]\n",
        member.age,
        member.sign.unwrap()
    ));
    std::fs::write(path, list).unwrap();
}

#[test]
fn a_document_of_another_store_of_the_same_people_is_none_of_this_one() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    let other = ada.elsewhere();
    other.folder().init("ada", None).unwrap();
    for value in ["2", "3"] {
        other.set("local:", "A", value).unwrap();
    }
    std::fs::write(ada.file("dev.age"), other.sealed()).unwrap();
    let words = "dev.age is a document of another store";
    refused(ada.get("local:", "A"), ErrorKind::Untrusted, words);
    refused(ada.set("local:", "A", "4"), ErrorKind::Untrusted, words);
    // No word of a person makes it one.
    refused(
        ada.folder().review("dev").map(|_| ()),
        ErrorKind::Untrusted,
        words,
    );
    // Nor does a list that says it is that store.
    let list = std::fs::read_to_string(ada.file("recipients.toml")).unwrap();
    let list = list.replace(&ada.id(), &other.id());
    std::fs::write(ada.file("recipients.toml"), list).unwrap();
    refused(ada.get("local:", "A"), ErrorKind::Untrusted, words);
}

#[test]
fn a_store_without_an_id_is_still_one() {
    let ada = Person::founder();
    let list = std::fs::read_to_string(ada.file("recipients.toml")).unwrap();
    let list = list.replace(&ada.id(), "");
    std::fs::write(ada.file("recipients.toml"), list).unwrap();
    std::fs::remove_dir_all(ada.opening.dirs.state.join("local")).unwrap();
    ada.accept("dev");
    ada.set("local:", "A", "1").unwrap();
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("1"));
}

#[test]
fn in_another_clone_the_people_who_were_confirmed_are_known() {
    let (ada, eve) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    let clone = ada.elsewhere();
    clone.pull(&ada);
    assert_eq!(clone.get("local:", "A").unwrap().as_deref(), Some("1"));
    let worktree = ada.elsewhere();
    worktree.pull(&ada);
    add_by_hand(&worktree, &eve, "eve");
    refused(
        worktree.set("local:", "A", "2"),
        ErrorKind::Untrusted,
        "recipients.toml has changed",
    );
    let review = worktree.folder().review("dev").unwrap();
    assert!(
        review.lines()[0].starts_with("it says it is the store of ")
            && review.lines()[1].starts_with("new: eve"),
        "{review:?}"
    );
    // A word given in one folder counts in the next that is new.
    worktree.folder().accept("dev", review.digest()).unwrap();
    worktree.set("local:", "A", "2").unwrap();
    let third = ada.elsewhere();
    third.pull(&worktree);
    third.set("local:", "A", "3").unwrap();
    // The first one keeps what it has seen: it may be at another commit.
    ada.set("local:", "A", "4").unwrap();
}

#[test]
fn at_first_sight_nothing_is_sealed_to_people_the_document_was_not_sealed_to() {
    let (ada, grace, eve) = (Person::founder(), Person::new(), Person::new());
    ada.folder().add(&grace.member("grace", &["*"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    grace.pull(&ada);
    add_by_hand(&grace, &eve, "eve");
    // It is read, which confirms nobody.
    assert_eq!(grace.get("local:", "A").unwrap().as_deref(), Some("1"));
    refused(
        grace.set("local:", "A", "2"),
        ErrorKind::Untrusted,
        "were never confirmed on this machine",
    );
    let review = grace.folder().review("dev").unwrap();
    let lines = review.lines().join("\n");
    assert!(lines.contains("never seen on this machine: eve"), "{lines}");
    grace.folder().accept("dev", review.digest()).unwrap();
    grace.set("local:", "A", "2").unwrap();
    eve.pull(&grace);
    assert_eq!(eve.get("local:", "A").unwrap().as_deref(), Some("2"));
}

#[test]
fn a_merge_signs_nothing_in_a_store_that_was_never_seen() {
    let (ada, eve) = (Person::founder(), Person::new());
    // Somebody who is not in the team has put a store of their own into the repository.
    eve.folder()
        .init("eve", Some(&ada.identity.recipient()))
        .unwrap();
    add_by_hand(&eve, &ada, "ada");
    eve.accept("dev");
    eve.set("local:", "A", "1").unwrap();
    let ours = eve.sealed();
    eve.set("local:", "B", "2").unwrap();
    let theirs = eve.sealed();
    let planted = ada.elsewhere();
    planted.pull(&eve);
    let merge = || {
        let mut ours_counts = |_: &Name, _: &Sides<'_>| Pick::Ours;
        let folder = planted.folder();
        folder.merge("dev", None, &ours, &theirs, &mut ours_counts)
    };
    let words = "nobody has looked into this folder's store";
    refused(merge(), ErrorKind::Untrusted, words);
    // Its people are shown before anything is signed there.
    let review = planted.folder().review("dev").unwrap();
    assert!(review.lines()[0].contains("eve"), "{review:?}");
    planted.folder().accept("dev", review.digest()).unwrap();
    assert!(merge().is_ok());
}

#[test]
fn a_folder_that_was_looked_into_knows_its_people_by_itself() {
    let (ada, mallory) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    let clone = ada.elsewhere();
    clone.pull(&ada);
    assert!(clone.get("local:", "A").is_ok());
    // A store of his own, with an id of its own, is put in its place.
    mallory
        .folder()
        .init("mallory", Some(&ada.identity.recipient()))
        .unwrap();
    mallory.set("local:", "A", "planted").unwrap();
    clone.pull(&mallory);
    refused(
        clone.get("local:", "A"),
        ErrorKind::Untrusted,
        "a document of another store",
    );
    let review = clone.folder().review("dev").unwrap();
    let lines = review.lines().join("\n");
    assert!(
        lines.contains("the id of the store is another one") && lines.contains("new: mallory"),
        "{lines}"
    );
    // A list with another id is no way around it, with or without a document that could show it.
    clone.pull(&ada);
    let list = std::fs::read_to_string(mallory.file("recipients.toml")).unwrap();
    std::fs::write(clone.file("recipients.toml"), list).unwrap();
    for name in ["dev", "staging"] {
        let review = clone.folder().review(name);
        assert!(review.is_err() || review.unwrap().is_empty());
    }
    refused(
        clone.set("local:staging", "B", "2"),
        ErrorKind::Untrusted,
        "recipients.toml has changed",
    );
    clone.pull(&ada);
    assert_eq!(clone.get("local:", "A").unwrap().as_deref(), Some("1"));
}

#[test]
fn a_document_of_another_team_that_took_the_id_is_doubted() {
    let (ada, eve) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    eve.forge(&ada, "eve");
    add_by_hand(&eve, &ada, "ada");
    eve.accept("dev");
    eve.set("local:", "A", "evil").unwrap();
    // Ada joins that team, which says whose id it has, and writes there.
    let other = ada.elsewhere();
    other.pull(&eve);
    let review = other.folder().review("dev").unwrap();
    assert!(
        review.lines()[0].starts_with("it says it is the store of "),
        "{review:?}"
    );
    other.folder().accept("dev", review.digest()).unwrap();
    other.set("local:", "B", "2").unwrap();
    std::fs::write(ada.file("dev.age"), other.sealed()).unwrap();
    refused(
        ada.get("local:", "A"),
        ErrorKind::Untrusted,
        "sealed to other people than those you confirmed",
    );
}

#[test]
fn at_first_sight_a_name_without_a_document_confirms_nobody() {
    let (ada, grace, eve) = (Person::founder(), Person::new(), Person::new());
    ada.folder().add(&grace.member("grace", &["*"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    grace.pull(&ada);
    add_by_hand(&grace, &eve, "eve");
    refused(
        grace.set("local:staging", "B", "2"),
        ErrorKind::Untrusted,
        "there is no staging.age yet",
    );
    // Nor do those of another environment, whom its document says nothing of.
    let list = std::fs::read_to_string(grace.file("recipients.toml")).unwrap();
    let (rest, last) = list.rsplit_once("[\"*\"]").unwrap();
    let list = format!("{rest}[\"staging\"]{last}");
    std::fs::write(grace.file("recipients.toml"), list).unwrap();
    for value in ["2", "3"] {
        grace.set("local:", "A", value).unwrap();
    }
    let report = block_on(grace.store("local:").inspect(&person::cx())).unwrap();
    let told = report.problems.iter();
    let told = told.filter(|(what, _)| what.contains("never confirmed on this machine"));
    assert_eq!(told.count(), 1);
    refused(
        grace.set("local:staging", "B", "2"),
        ErrorKind::Untrusted,
        "were never confirmed on this machine",
    );
}

#[test]
fn what_is_old_in_one_folder_does_not_become_new_by_a_merge_in_another() {
    let ada = Person::founder();
    ada.set("local:", "A", "old").unwrap();
    let ancestor = ada.sealed();
    ada.set("local:", "B", "1").unwrap();
    let one = ada.sealed();
    for value in ["2", "3", "4", "5"] {
        ada.set("local:", "B", value).unwrap();
    }
    let other = ada.sealed();
    ada.set("local:", "A", "rotated").unwrap();
    let copy = ada.elsewhere();
    copy.pull(&ada);
    std::fs::write(copy.file("dev.age"), &one).unwrap();
    assert!(copy.get("local:", "A").is_ok());
    let mut theirs_count = |_: &Name, _: &Sides<'_>| Pick::Theirs;
    let folder = copy.folder();
    let merged = folder.merge("dev", Some(&ancestor), &one, &other, &mut theirs_count);
    std::fs::write(ada.file("dev.age"), merged.unwrap().bytes).unwrap();
    refused(ada.get("local:", "A"), ErrorKind::Untrusted, "older than");
}

#[test]
fn at_first_sight_the_team_is_not_changed_before_its_people_are_confirmed() {
    let (ada, grace) = (Person::founder(), Person::new());
    let (mallory, fay) = (Person::new(), Person::new());
    ada.folder().add(&grace.member("grace", &["*"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    grace.pull(&ada);
    add_by_hand(&grace, &mallory, "mallory");
    let fay = fay.member("fay", &["*"]);
    refused(
        grace.folder().add(&fay).map(|_| ()),
        ErrorKind::Untrusted,
        "never confirmed on this machine",
    );
    refused(
        grace.folder().remove("ada").map(|_| ()),
        ErrorKind::Untrusted,
        "never confirmed on this machine",
    );
    // An honest clone pins itself by what it reads.
    let honest = Person::new();
    ada.folder().add(&honest.member("hon", &["*"])).unwrap();
    honest.pull(&ada);
    assert!(honest.folder().add(&fay).is_ok());
}

#[test]
fn a_store_without_documents_confirms_nobody_at_first_sight() {
    let (ada, mallory) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    let fresh = Person::new();
    ada.folder().add(&fresh.member("fresh", &["*"])).unwrap();
    fresh.pull(&ada);
    add_by_hand(&fresh, &mallory, "mallory");
    std::fs::remove_file(fresh.file("dev.age")).unwrap();
    refused(
        fresh.set("local:", "B", "2"),
        ErrorKind::Untrusted,
        "there is no dev.age yet",
    );
}

#[test]
fn who_was_removed_comes_back_by_being_added_alone() {
    let (ada, eve) = (Person::founder(), Person::new());
    ada.folder().add(&eve.member("eve", &["*"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    let before = std::fs::read(ada.file("recipients.toml")).unwrap();
    ada.folder().remove("eve").unwrap();
    ada.set("local:", "A", "rotated").unwrap();
    // A list from before the removal is put back, and a person says yes to it.
    std::fs::write(ada.file("recipients.toml"), before).unwrap();
    let lines = ada.folder().review("dev").unwrap().lines().join("\n");
    assert!(
        lines.contains("dev.age is not sealed to eve: the next write seals it to them"),
        "{lines}"
    );
    ada.accept("dev");
    let back = "eve is in recipients.toml, and dev.age was sealed anew without them";
    refused(ada.set("local:", "B", "2"), ErrorKind::Untrusted, back);
    let fay = Person::new().member("fay", &["*"]);
    let resealed = ada.folder().add(&fay).unwrap();
    assert!(resealed[0].outcome.is_err());
    ada.folder().remove("eve").unwrap();
    ada.set("local:", "B", "2").unwrap();
    ada.folder().add(&eve.member("eve", &["*"])).unwrap();
    eve.pull(&ada);
    assert_eq!(eve.get("local:", "B").unwrap().as_deref(), Some("2"));
}

#[test]
fn another_team_s_document_is_no_side_of_a_merge_and_is_not_taken_over_by_adding_somebody() {
    let (ada, eve) = (Person::founder(), Person::new());
    ada.set("local:", "A", "1").unwrap();
    let ours = ada.sealed();
    eve.forge(&ada, "eve");
    add_by_hand(&eve, &ada, "ada");
    eve.accept("dev");
    eve.set("local:", "A", "evil").unwrap();
    let other = ada.elsewhere();
    other.pull(&eve);
    other.accept("dev");
    other.set("local:", "B", "2").unwrap();
    let blog = other.sealed();
    let mut theirs_count = |_: &Name, _: &Sides<'_>| Pick::Theirs;
    for (one, another) in [(&ours, &blog), (&blog, &ours)] {
        refused(
            ada.folder()
                .merge("dev", None, one, another, &mut theirs_count)
                .map(|_| ()),
            ErrorKind::Untrusted,
            "sealed to other people",
        );
    }
    std::fs::write(ada.file("dev.age"), &blog).unwrap();
    let fay = Person::new().member("fay", &["*"]);
    let resealed = ada.folder().add(&fay).unwrap();
    assert!(resealed[0].outcome.is_err());
}

#[test]
fn where_what_is_known_of_a_store_is_lost_it_begins_anew_with_its_people() {
    let ada = Person::founder();
    ada.set("local:", "A", "1").unwrap();
    std::fs::remove_dir_all(ada.opening.dirs.state.join("local/stores")).unwrap();
    ada.set("local:", "A", "2").unwrap();
    let clone = ada.elsewhere();
    clone.pull(&ada);
    assert_eq!(clone.get("local:", "A").unwrap().as_deref(), Some("2"));
}
