//! A team that changes on one branch, on the other, or on both.

use super::{DOCUMENT, accept, commit, git, git_with, holds, parted, repository, set};
use crate::support::{Done, Sandbox};

/// Somebody's public keys, as `team add` takes them.
fn keys(sandbox: &Sandbox) -> String {
    let text = sandbox.secrets("identity show").succeeds().text();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn newcomer() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.secrets("identity new").succeeds();
    sandbox
}

fn add(at: &Sandbox, name: &str, who: &Sandbox) {
    let words = format!("team add {name} {} --environments dev --yes", keys(who));
    at.secrets(&words).succeeds();
}

/// Ada's repository and Grace's clone of it, both with the drivers.
fn team() -> (Sandbox, Sandbox) {
    let (ada, grace) = (repository(), newcomer());
    let words = format!("team add grace {} --environments * --yes", keys(&grace));
    ada.secrets(&words).succeeds();
    commit(&ada, "grace");
    clone(&ada, &grace);
    holds(&grace, "A", "one");
    (ada, grace)
}

fn clone(from: &Sandbox, to: &Sandbox) {
    let from = from.project();
    git_with(to, ["clone", "-q", from.to_str().unwrap(), "."]).succeeds();
    to.secrets("git install").succeeds();
}

/// What `git pull` does without a rebase.
fn pull(at: &Sandbox, from: &Sandbox) -> Done {
    let from = from.project();
    let words = [
        "pull",
        "-q",
        "--no-rebase",
        "--no-edit",
        from.to_str().unwrap(),
        "main",
    ];
    git_with(at, words).done()
}

fn opens(who: &Sandbox, at: &Sandbox) -> bool {
    who.write(DOCUMENT, at.read(DOCUMENT));
    who.write(
        ".secrets/recipients.toml",
        at.read(".secrets/recipients.toml"),
    );
    who.write("secrets.toml", at.read("secrets.toml"));
    who.secrets("get A").done().status == 0
}

#[test]
fn what_was_written_here_is_sealed_to_somebody_added_there_once_they_are_confirmed() {
    let ((ada, grace), eve) = (team(), newcomer());
    set(&grace, "A", "grace");
    commit(&grace, "hers");
    add(&ada, "eve", &eve);
    commit(&ada, "eve");
    let refused = pull(&grace, &ada)
        .says("theirs: dev.age is sealed to other people than those of recipients.toml here")
        .says("run `secrets trust`; then merge it again: `git checkout --merge .secrets/dev.age`");
    assert_eq!(refused.status, 1);
    assert!(!opens(&eve, &grace));
    accept(&grace);
    git(&grace, "checkout --merge .secrets/dev.age").succeeds();
    commit(&grace, "merged");
    holds(&grace, "A", "grace");
    assert!(opens(&eve, &grace));
    // Ada has nothing left to confirm.
    assert_eq!(pull(&ada, &grace).status, 0);
    holds(&ada, "A", "grace");
}

#[test]
fn somebody_added_here_can_read_what_is_merged() {
    let ((ada, grace), eve) = (team(), newcomer());
    set(&grace, "A", "grace");
    commit(&grace, "hers");
    add(&ada, "eve", &eve);
    commit(&ada, "eve");
    let merged = pull(&ada, &grace);
    assert_eq!(merged.status, 0, "{}", merged.err);
    holds(&ada, "A", "grace");
    assert!(opens(&eve, &ada));
}

#[test]
fn somebody_removed_there_cannot_read_what_is_merged() {
    let ((ada, grace), eve) = (team(), newcomer());
    add(&ada, "eve", &eve);
    commit(&ada, "eve");
    assert_eq!(pull(&grace, &ada).status, 0);
    accept(&grace);
    assert!(opens(&eve, &grace));
    set(&grace, "B", "grace");
    commit(&grace, "hers");
    ada.secrets("team remove eve --yes").succeeds();
    set(&ada, "A", "rotated");
    commit(&ada, "rotated");
    let refused = pull(&grace, &ada)
        .says("dev.age was sealed anew without them")
        .says("secrets trust")
        .says("then merge it again: `git checkout --merge .secrets/dev.age`");
    assert_eq!(refused.status, 1);
    accept(&grace);
    git(&grace, "checkout --merge .secrets/dev.age").succeeds();
    commit(&grace, "merged");
    holds(&grace, "A", "rotated");
    holds(&grace, "B", "grace");
    assert!(!opens(&eve, &grace));
}

#[test]
fn what_somebody_new_has_written_there_is_merged_once_they_are_confirmed() {
    let ((ada, grace), eve) = (team(), newcomer());
    add(&ada, "eve", &eve);
    commit(&ada, "eve");
    clone(&ada, &eve);
    set(&eve, "A", "eve");
    commit(&eve, "hers");
    set(&grace, "B", "grace");
    commit(&grace, "hers");
    let refused = pull(&grace, &eve)
        .says("theirs: dev.age is signed by somebody you have not confirmed")
        .says("if recipients.toml was merged too, run `secrets trust`");
    assert_eq!(refused.status, 1);
    accept(&grace);
    git(&grace, "checkout --merge .secrets/dev.age").succeeds();
    commit(&grace, "merged");
    holds(&grace, "A", "eve");
    holds(&grace, "B", "grace");
}

#[test]
fn the_last_work_of_somebody_who_was_removed_is_looked_at_by_itself_and_merged() {
    let (ada, grace) = team();
    set(&grace, "A", "last");
    commit(&grace, "last");
    ada.secrets("team remove grace --yes").succeeds();
    commit(&ada, "removed");
    let refused = pull(&ada, &grace)
        .says("theirs: dev.age is signed by somebody you have not confirmed")
        .says(
            "look at theirs by itself: `git checkout --theirs .secrets/dev.age`, `secrets trust`",
        );
    assert_eq!(refused.status, 1);
    holds(&ada, "A", "one");
    git(&ada, "checkout --theirs .secrets/dev.age").succeeds();
    accept(&ada);
    git(&ada, "checkout --merge .secrets/dev.age").succeeds();
    commit(&ada, "merged");
    holds(&ada, "A", "last");
    assert!(!opens(&grace, &ada));
}

#[test]
fn a_list_of_people_with_conflict_marks_stops_everything_until_it_is_settled() {
    let ((ada, grace), eve, fay) = (team(), newcomer(), newcomer());
    add(&grace, "fay", &fay);
    set(&grace, "B", "grace");
    commit(&grace, "fay");
    add(&ada, "eve", &eve);
    commit(&ada, "eve");
    assert_eq!(pull(&ada, &grace).status, 1);
    let status = git(&ada, "status --short").succeeds().text();
    assert_eq!(status, "UU .secrets/dev.age\nUU .secrets/recipients.toml\n");
    for words in ["get A", "set A"] {
        let done = ada.secrets(words).input("x").ends(2);
        done.says("git's conflict marks: two branches changed it");
    }
    // Theirs, and whom we had added once more.
    git(&ada, "checkout --theirs .secrets/recipients.toml").succeeds();
    accept(&ada);
    git(&ada, "checkout --merge .secrets/dev.age").succeeds();
    add(&ada, "eve", &eve);
    commit(&ada, "merged");
    holds(&ada, "B", "grace");
    assert!(opens(&eve, &ada) && opens(&fay, &ada));
}

#[test]
fn a_difference_shows_that_a_document_is_sealed_to_other_people() {
    let (sandbox, eve) = (repository(), newcomer());
    add(&sandbox, "eve", &eve);
    let shown = git(&sandbox, "diff .secrets/dev.age").succeeds().text();
    assert!(shown.contains("\n-sealed to others ("), "{shown}");
    assert!(shown.contains("\n+sealed to me, eve\n"), "{shown}");
    assert!(!shown.contains("\n+A "), "{shown}");
}

#[test]
fn who_was_added_on_both_branches_merges_without_what_both_come_from() {
    let eve = newcomer();
    let sandbox = parted(
        |side| {
            add(side, "eve", &eve);
            set(side, "A", "side");
        },
        |main| {
            add(main, "eve", &eve);
            set(main, "B", "main");
        },
    );
    clone(&sandbox, &eve);
    holds(&eve, "B", "main");
    // The ancestor is not sealed to her.
    git(&eve, "merge --no-edit origin/side")
        .succeeds()
        .says("merged without what both come from: your identity does not open this document");
    holds(&eve, "A", "side");
    holds(&eve, "B", "main");
}
