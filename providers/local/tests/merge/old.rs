//! Documents that are older than what was seen, or than what they say they come from.

use super::*;

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
        assert!(merged.taken.is_empty());
        // What it says it comes from is ahead of it, as in a `git revert`: that is told.
        let set_back = merged.conflicts.iter().map(|clash| clash.set_back);
        assert!(set_back.eq((ancestor == &now).then_some(true)));
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
    let body = ada.body();
    let (head, tail) = body.split_once("\"at\":\"2").unwrap();
    ada.seal(format!("{head}\"at\":\"9{tail}").as_bytes());
    ada.accept("dev");
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
    assert_eq!(
        value_of_old(&ada, &merged, clash.other.as_ref().unwrap().as_str()),
        "1"
    );
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
    let fresh = ada.on_another_machine();
    fresh.pull(&ada);
    put(&fresh, &old);
    assert!(fresh.get("local:", "A").is_ok());
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
        put(&ada, &sealed);
        ada.accept("dev");
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
fn of_two_old_documents_comes_one_that_is_no_newer_than_they_are_here_and_elsewhere() {
    let (ada, grace) = two();
    let ancestor = ada.sealed();
    grace.set("local:", "B", "2").unwrap();
    let theirs = grace.sealed();
    ada.set("local:", "A", "leaked").unwrap();
    let ours = ada.sealed();
    ada.set("local:", "A", "rotated").unwrap();
    let newest = ada.sealed();
    grace.pull(&ada);
    assert!(grace.get("local:", "A").is_ok());
    ada.set("local:", "A", "again").unwrap();
    // Whatever is said to be what they come from, and however often.
    let mut merged = merge(&ada, &ancestor, &ours, &theirs).unwrap();
    for base in [&ancestor, &newest, &Vec::new()] {
        assert!(
            merged
                .overtaken
                .unwrap()
                .contains("older than what was seen")
        );
        for person in [&ada, &grace] {
            put(person, &merged.bytes);
            refused(
                person.get("local:", "A"),
                ErrorKind::Untrusted,
                "older than",
            );
        }
        merged = merge(&ada, base, &merged.bytes, &theirs).unwrap();
    }
    // A person's word for the one in the working tree, and what comes of it is the newest.
    put(&ada, &ours);
    ada.accept("dev");
    let merged = merge(&ada, &ancestor, &ours, &theirs).unwrap();
    assert!(merged.overtaken.is_none());
    put(&ada, &merged.bytes);
    assert_eq!(ada.get("local:", "A").unwrap().as_deref(), Some("leaked"));
    assert_eq!(ada.get("local:", "B").unwrap().as_deref(), Some("2"));
}

#[test]
fn a_rebase_of_several_commits_ends_with_the_newest_document() {
    let (ada, grace) = two();
    let mut base = ada.sealed();
    grace.set("local:", "B", "upstream").unwrap();
    let mut ours = grace.sealed();
    let mut picked = Vec::new();
    for (name, value) in [("A", "2"), ("C", "1"), ("A", "3")] {
        ada.set("local:", name, value).unwrap();
        picked.push(ada.sealed());
    }
    for (index, theirs) in picked.iter().enumerate() {
        let merged = unasked_but_new(&ada, &base, &ours, theirs);
        assert!(merged.conflicts.is_empty());
        assert_eq!(merged.overtaken.is_some(), index < 2);
        base.clone_from(theirs);
        ours = merged.bytes;
    }
    put(&ada, &ours);
    for (name, value) in [("A", "3"), ("B", "upstream"), ("C", "1")] {
        assert_eq!(ada.get("local:", name).unwrap().as_deref(), Some(value));
    }
}

/// As [`merge`], where nothing is to be asked but about names that are new.
fn unasked_but_new(at: &Person, ancestor: &[u8], ours: &[u8], theirs: &[u8]) -> Merged {
    let mut choose = |name: &Name, sides: &Sides<'_>| {
        assert!(sides.ours.is_none(), "{name} was asked about");
        Pick::Theirs
    };
    let folder = at.folder();
    let merged = folder.merge("dev", Some(ancestor), ours, theirs, &mut choose);
    merged.unwrap()
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
