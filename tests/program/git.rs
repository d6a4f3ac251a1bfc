//! git merges and shows the encrypted store by name: real git, the real program as its driver.

use crate::support::{Done, Run, Sandbox};

/// A repository with an initialised store and one commit.
fn repository() -> Sandbox {
    let sandbox = Sandbox::new();
    git(&sandbox, "init -q -b main").succeeds();
    sandbox.secrets("init --no-recovery").succeeds();
    set(&sandbox, "A", "one");
    set(&sandbox, "B", "two");
    commit(&sandbox, "first");
    sandbox
}

fn git<'a>(sandbox: &'a Sandbox, words: &str) -> Run<'a> {
    let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    sandbox.command("git", who.into_iter().chain(words.split_whitespace()))
}

fn commit(sandbox: &Sandbox, message: &str) {
    git(sandbox, "add -A").succeeds();
    git(sandbox, &format!("commit -q -m {message}")).succeeds();
}

fn set(sandbox: &Sandbox, name: &str, value: &str) {
    sandbox
        .secrets(&format!("set {name}"))
        .input(value)
        .succeeds();
}

fn holds(sandbox: &Sandbox, name: &str, value: &str) {
    sandbox
        .secrets(&format!("get {name}"))
        .succeeds()
        .prints(&format!("{value}\n"));
}

/// What `main` and a branch `side` change, each committed; `main` is checked out.
fn parted(on_side: impl Fn(&Sandbox), on_main: impl Fn(&Sandbox)) -> Sandbox {
    let sandbox = repository();
    git(&sandbox, "checkout -q -b side").succeeds();
    on_side(&sandbox);
    commit(&sandbox, "side");
    // An older document comes back with the branch: a person's word, as `checkout` needs today.
    git(&sandbox, "checkout -q main").succeeds();
    let shown = sandbox.secrets("trust --json").done().json();
    for waiting in shown["pending"].as_array().unwrap() {
        let digest = waiting["digest"].as_str().unwrap();
        sandbox
            .secrets(&format!("trust --accept {digest}"))
            .succeeds();
    }
    on_main(&sandbox);
    commit(&sandbox, "main");
    sandbox
}

fn merge(sandbox: &Sandbox) -> Done {
    git(sandbox, "merge --no-edit side").done()
}

#[test]
fn init_has_git_merge_and_show_by_name_and_once_is_enough() {
    let sandbox = repository();
    let driver = git(&sandbox, "config --local merge.secrets.driver").succeeds();
    assert!(
        driver.text().contains("git merge -- %O %A %B %P"),
        "{}",
        driver.text()
    );
    let attributes = sandbox.read(".secrets/.gitattributes");
    assert!(
        attributes.contains("*.age -text merge=secrets diff=secrets"),
        "{attributes}"
    );
    sandbox
        .secrets("git install")
        .succeeds()
        .says("nothing to do");
    sandbox.secrets("init --no-recovery").succeeds();
    assert_eq!(sandbox.read(".secrets/.gitattributes"), attributes);
    let status = git(&sandbox, "status --short").succeeds();
    assert_eq!(status.text(), "");
}

#[test]
fn outside_a_repository_nothing_is_set_up_and_install_says_why() {
    let sandbox = Sandbox::initialised();
    sandbox
        .secrets("git install")
        .ends(3)
        .says("there is no git repository here or above");
}

#[test]
fn two_branches_that_set_different_names_merge_cleanly() {
    let sandbox = parted(
        |side| set(side, "FROM_SIDE", "s"),
        |main| {
            set(main, "FROM_MAIN", "m");
            set(main, "B", "changed");
        },
    );
    let merged = merge(&sandbox);
    assert_eq!(merged.status, 0, "{}{}", merged.text(), merged.err);
    holds(&sandbox, "FROM_SIDE", "s");
    holds(&sandbox, "FROM_MAIN", "m");
    holds(&sandbox, "A", "one");
    holds(&sandbox, "B", "changed");
}

#[test]
fn a_name_that_both_changed_is_a_conflict_and_the_other_value_is_in_the_history() {
    let sandbox = parted(|side| set(side, "A", "side"), |main| set(main, "A", "main"));
    let merged = merge(&sandbox);
    assert_eq!(merged.status, 1, "{}{}", merged.text(), merged.err);
    assert!(merged.err.contains("both changed A"), "{}", merged.err);
    holds(&sandbox, "A", "main");
    let start = merged.err.find("secrets rollback").unwrap() + "secrets ".len();
    let command = merged.err[start..].lines().next().unwrap();
    sandbox.secrets(command).succeeds();
    holds(&sandbox, "A", "side");
    git(&sandbox, "add .secrets").succeeds();
    git(&sandbox, "commit -q -m merged").succeeds();
}

#[test]
fn a_deletion_is_merged_where_the_other_branch_left_the_name_alone() {
    let sandbox = parted(
        |side| drop(side.secrets("unset A --yes").succeeds()),
        |main| set(main, "B", "changed"),
    );
    assert_eq!(merge(&sandbox).status, 0);
    sandbox.secrets("get A").ends(3);
    holds(&sandbox, "B", "changed");
}

#[test]
fn a_diff_shows_names_and_fingerprints_and_never_a_value() {
    let sandbox = repository();
    set(&sandbox, "A", "canary-value");
    for words in ["diff", "diff --cached HEAD"] {
        let shown = git(&sandbox, words).succeeds().hides("canary-value");
        let _ = shown;
    }
    let shown = git(&sandbox, "diff").succeeds().text();
    let lines = |sign: char, name: &str| {
        let start = format!("{sign}{name} ");
        shown
            .lines()
            .filter(|line| line.starts_with(&start))
            .count()
    };
    assert_eq!((lines('-', "A"), lines('+', "A")), (1, 1), "{shown}");
    assert_eq!((lines('-', "B"), lines('+', "B")), (0, 0), "{shown}");
    commit(&sandbox, "second");
    let log = git(&sandbox, "log -p").succeeds();
    assert!(log.text().contains("\n+A "), "{}", log.text());
}

#[test]
fn who_cannot_open_a_document_still_sees_a_log_and_a_merge_keeps_theirs() {
    let sandbox = parted(|side| set(side, "A", "side"), |main| set(main, "B", "main"));
    std::fs::remove_dir_all(sandbox.home().join(".config")).unwrap();
    let before = sandbox.read(".secrets/dev.age");
    let log = git(&sandbox, "log -p").succeeds();
    assert!(
        log.text().contains("sealed, and not opened here"),
        "{}",
        log.text()
    );
    let merged = merge(&sandbox);
    assert_eq!(merged.status, 1, "{}", merged.err);
    assert!(
        merged.err.contains("you have no identity here"),
        "{}",
        merged.err
    );
    assert_eq!(sandbox.read(".secrets/dev.age"), before);
}

#[test]
fn an_old_document_played_back_on_a_branch_brings_no_replaced_value() {
    let sandbox = repository();
    let old = sandbox.read(".secrets/dev.age");
    set(&sandbox, "A", "rotated");
    commit(&sandbox, "rotated");
    git(&sandbox, "checkout -q -b side").succeeds();
    sandbox.write(".secrets/dev.age", old);
    commit(&sandbox, "played-back");
    git(&sandbox, "checkout -q main").succeeds();
    set(&sandbox, "B", "changed");
    commit(&sandbox, "main");
    let merged = merge(&sandbox);
    assert_eq!(merged.status, 0, "{}{}", merged.text(), merged.err);
    holds(&sandbox, "A", "rotated");
    holds(&sandbox, "B", "changed");
}

#[test]
fn what_git_never_asks_is_refused_kindly() {
    let sandbox = repository();
    sandbox.write("text.txt", "x");
    sandbox
        .secrets("git merge text.txt text.txt text.txt text.txt")
        .ends(2)
        .says("no document of a local store");
    sandbox.secrets("git merge a b c .secrets/dev.age").ends(3);
    sandbox
        .secrets("git merge text.txt text.txt text.txt ../.secrets/dev.age")
        .ends(2);
    sandbox
        .secrets("git show text.txt")
        .ends(1)
        .says("no age file");
}

#[test]
fn doctor_says_that_a_clone_lacks_the_drivers() {
    let sandbox = repository();
    sandbox.secrets("doctor").succeeds();
    git(&sandbox, "config --local --unset merge.secrets.driver").succeeds();
    let done = sandbox.secrets("doctor").ends(7);
    let shown = format!("{}{}", done.text(), done.err);
    assert!(shown.contains("secrets git install"), "{shown}");
}
