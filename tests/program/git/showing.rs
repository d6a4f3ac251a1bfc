//! `git diff`, `git log -p`, `git show`: names and fingerprints, and never a value.

use super::{DOCUMENT, apart, commit, git, merge, repository, set};
use crate::support::Sandbox;

/// How many lines of a difference begin like this.
fn count(shown: &str, start: &str) -> usize {
    shown.lines().filter(|line| line.starts_with(start)).count()
}

fn without_identity(sandbox: &Sandbox) {
    std::fs::remove_dir_all(sandbox.home().join(".config")).unwrap();
}

#[test]
fn a_difference_shows_names_and_fingerprints_wherever_git_shows_one() {
    let sandbox = repository();
    set(&sandbox, "A", "canary-value");
    let shows = |words: &str| {
        let shown = git(&sandbox, words).succeeds().hides("canary").text();
        for (start, times) in [
            ("-A ", 1),
            ("+A ", 1),
            ("-B ", 0),
            ("+B ", 0),
            ("-sealed", 0),
        ] {
            assert_eq!(count(&shown, start), times, "{words}\n{shown}");
        }
        assert!(!shown.contains("AGE ENCRYPTED"), "{shown}");
    };
    shows("diff");
    shows("diff HEAD");
    git(&sandbox, "add -A").succeeds();
    shows("diff --cached");
    commit(&sandbox, "second");
    shows("show");
    shows("log -p -1");
    shows("diff HEAD~1 HEAD");
    shows("-C .secrets diff HEAD~1");
    let tree = git(&sandbox, "show --textconv HEAD:.secrets/dev.age").succeeds();
    let lines: Vec<String> = tree.text().lines().map(str::to_owned).collect();
    assert_eq!(lines[..2], ["environment dev", "sealed to me"]);
    let words: Vec<&str> = lines[2].split(' ').collect();
    assert_eq!((words[0], words[1].len(), words[3]), ("A", 8, "me"));
    assert!(words[2].len() == 20 && words[2].ends_with('Z'), "{lines:?}");
}

#[test]
fn fingerprints_are_those_that_a_diff_of_stores_shows() {
    let sandbox = repository();
    sandbox.write(".env", "A=another\n");
    let shown = sandbox
        .secrets("git show .secrets/dev.age")
        .succeeds()
        .text();
    let line = shown.lines().find(|line| line.starts_with("A ")).unwrap();
    let fingerprint = line.split(' ').nth(1).unwrap();
    let compared = sandbox.secrets("diff local: dotenv:.env").ends(7);
    assert!(compared.text().contains(fingerprint), "{}", compared.text());
}

#[test]
fn a_removed_name_and_a_new_one_are_shown_as_such() {
    let sandbox = repository();
    sandbox.secrets("unset A --yes").succeeds();
    set(&sandbox, "C", "three");
    let shown = git(&sandbox, "diff").succeeds().text();
    assert_eq!(count(&shown, "+A removed "), 1, "{shown}");
    assert_eq!(
        (count(&shown, "+C "), count(&shown, "-C ")),
        (1, 0),
        "{shown}"
    );
}

#[test]
fn who_cannot_open_a_document_sees_that_it_changed_and_git_goes_on() {
    let sandbox = repository();
    set(&sandbox, "A", "changed");
    commit(&sandbox, "second");
    set(&sandbox, "B", "changed");
    without_identity(&sandbox);
    for words in ["diff", "show", "log -p"] {
        let shown = git(&sandbox, words).succeeds();
        let text = shown.text();
        assert_eq!(shown.err, "");
        assert!(
            text.contains("not opened here: you have no identity"),
            "{text}"
        );
        assert!(count(&text, "+sealed ") > 0, "{text}");
    }
    sandbox
        .secrets("git show .secrets/dev.age")
        .ends(4)
        .says("you have no identity here");
}

#[test]
fn a_broken_document_is_shown_as_broken_and_not_as_it_reads() {
    let sandbox = repository();
    let whole = sandbox.read(DOCUMENT);
    for (broken, why) in [
        ("A=canary-value\n".to_owned(), "no age file"),
        (whole[..whole.len() / 2].to_owned(), "cut short"),
        (String::new(), ""),
    ] {
        sandbox.write(DOCUMENT, broken);
        let shown = git(&sandbox, "diff").succeeds().hides("canary").text();
        assert!(shown.contains(why) && count(&shown, "-A ") == 1, "{shown}");
    }
}

#[test]
fn a_document_with_conflict_marks_is_refused_with_a_hint_and_shown_as_such() {
    let sandbox = apart();
    git(&sandbox, "config --remove-section merge.secrets").succeeds();
    assert_eq!(merge(&sandbox).status, 1);
    assert!(sandbox.read(DOCUMENT).contains("<<<<<<< HEAD"));
    let shown = git(&sandbox, "diff").succeeds().text();
    assert!(shown.contains("git's conflict marks"), "{shown}");
    for words in ["get A", "set A", "exec -- true"] {
        let done = sandbox.secrets(words).input("x").done();
        assert_ne!(done.status, 0);
        done.says("git's conflict marks")
            .says("secrets git install");
    }
}
