//! Who has signed a side, and whom both are sealed to.

use super::*;

#[test]
fn a_side_signed_by_nobody_known_is_refused_and_such_an_ancestor_counts_as_none() {
    let (ada, _) = two();
    let (ancestor, planted) = {
        let known = ada.sealed();
        ada.seal(ada.body().replace("\"1\"", "\"planted\"").as_bytes());
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
    mallory.forge(&ada, "mallory");
    mallory.set("local:", "A", "planted").unwrap();
    refused(
        unasked(&ada, &ancestor, &ours, &mallory.sealed()),
        ErrorKind::Untrusted,
        "somebody you have not confirmed",
    );
    // An ancestor that says that ours is untouched.
    let theirs = {
        put(&ada, &ancestor);
        ada.accept("dev");
        ada.set("local:", "A", "3").unwrap();
        ada.sealed()
    };
    put(&ada, &ours);
    ada.seal(ada.body().as_bytes());
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
    let forger = grace.on_another_machine();
    forger.forge(&ada, "grace");
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
    assert!(safe.get("local:", "A").is_ok());
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
        "eve is in recipients.toml here",
    );
    assert!(error.hint().unwrap().contains("secrets trust"));
    // Git has merged the list of people meanwhile, and she confirms it.
    std::fs::copy(ada.file("recipients.toml"), grace.file("recipients.toml")).unwrap();
    refused(
        merge(&grace, &ancestor, &ours, &theirs),
        ErrorKind::Untrusted,
        "recipients.toml has changed",
    );
    grace.accept("dev");
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
fn two_branches_that_have_removed_somebody_are_not_sealed_to_them_by_a_list_that_has_not() {
    let (ada, eve) = (Person::founder(), Person::new());
    ada.folder().add(&eve.member("eve", &["dev"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    let (ancestor, list) = (ada.sealed(), ada.file("recipients.toml"));
    let before = std::fs::read(&list).unwrap();
    ada.folder().remove("eve").unwrap();
    let removal = ada.sealed();
    ada.set("local:", "A", "2").unwrap();
    let one = ada.sealed();
    put(&ada, &removal);
    ada.accept("dev");
    ada.set("local:", "B", "3").unwrap();
    let other = ada.sealed();
    // A third branch is checked out, where she still is in, and that list was confirmed.
    std::fs::write(&list, before).unwrap();
    put(&ada, &ancestor);
    ada.accept("dev");
    for base in [&ancestor, &removal] {
        let why = "eve is in recipients.toml here";
        refused(merge(&ada, base, &one, &other), ErrorKind::Untrusted, why);
    }
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
fn who_was_removed_before_what_both_come_from_is_not_brought_back() {
    let (ada, eve) = (Person::founder(), Person::new());
    ada.folder().add(&eve.member("eve", &["dev"])).unwrap();
    ada.set("local:", "A", "1").unwrap();
    let (ours, list) = (ada.sealed(), ada.file("recipients.toml"));
    let before = std::fs::read(&list).unwrap();
    ada.folder().remove("eve").unwrap();
    let parent = ada.sealed();
    ada.set("local:", "A", "rotated").unwrap();
    let picked = ada.sealed();
    // The commit after the removal is picked onto a branch where she still is in.
    std::fs::write(&list, before).unwrap();
    put(&ada, &ours);
    ada.accept("dev");
    let error = refused(
        merge(&ada, &parent, &ours, &picked),
        ErrorKind::Untrusted,
        "eve is in recipients.toml here, and dev.age was sealed anew without them",
    );
    assert!(error.hint().unwrap().contains("secrets trust"));
}
