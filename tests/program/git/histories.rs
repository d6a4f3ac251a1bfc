//! `git rebase`, `cherry-pick`, `stash`, `revert`: all that merges with another ancestor, or the sides
//! the other way round.

use super::{
    DOCUMENT, accept, commit, git, go_to, holds, merges, parted, printed_after, repository, set,
};
use crate::support::Sandbox;

/// Three commits on `side`, one on `main`; `side` is checked out and what was seen last.
fn three_commits(on_main: (&str, &str)) -> Sandbox {
    let sandbox = repository();
    git(&sandbox, "checkout -q -b side").succeeds();
    for (name, value) in [("A", "1"), ("C", "c"), ("A", "2")] {
        set(&sandbox, name, value);
        commit(&sandbox, name);
    }
    go_to(&sandbox, "main");
    set(&sandbox, on_main.0, on_main.1);
    commit(&sandbox, "main");
    go_to(&sandbox, "side");
    holds(&sandbox, "A", "2");
    sandbox
}

#[test]
fn a_rebase_of_several_commits_asks_nothing_and_ends_with_all_of_them() {
    let sandbox = three_commits(("B", "main"));
    git(&sandbox, "rebase main").succeeds();
    for (name, value) in [("A", "2"), ("B", "main"), ("C", "c")] {
        holds(&sandbox, name, value);
    }
    set(&sandbox, "A", "3");
    let log = git(&sandbox, "log --format=%s").succeeds();
    assert_eq!(log.text(), "A\nC\nA\nmain\nfirst\n");
}

#[test]
fn a_rebase_stops_at_the_commit_that_changed_what_upstream_changed() {
    let sandbox = three_commits(("A", "main"));
    // Ours is upstream, theirs the commit that is being replayed.
    let stopped = git(&sandbox, "rebase main")
        .ends(1)
        .says("both changed A: ours stays for now");
    accept(&sandbox);
    holds(&sandbox, "A", "main");
    let command = printed_after(&stopped, "to take theirs");
    sandbox.secrets(&command).succeeds();
    git(&sandbox, "add .secrets").succeeds();
    // The commit that changed it once more has parted from the choice.
    let stopped = git(&sandbox, "rebase --continue").ends(1);
    let command = printed_after(&stopped, "to take theirs");
    sandbox.secrets(&command).succeeds();
    git(&sandbox, "add .secrets").succeeds();
    git(&sandbox, "rebase --continue").succeeds();
    holds(&sandbox, "A", "2");
    holds(&sandbox, "C", "c");
}

#[test]
fn a_rebase_that_is_given_up_leaves_the_branch_as_it_was() {
    let sandbox = three_commits(("A", "main"));
    let before = sandbox.read(DOCUMENT);
    git(&sandbox, "rebase main").ends(1);
    git(&sandbox, "rebase --abort").succeeds();
    assert_eq!(sandbox.read(DOCUMENT), before);
    holds(&sandbox, "A", "2");
}

#[test]
fn a_cherry_pick_brings_its_change_and_the_branch_can_be_merged_later() {
    let sandbox = parted(
        |side| {
            set(side, "EARLIER", "e");
            commit(side, "earlier");
            set(side, "PICKED", "p");
            commit(side, "picked");
            set(side, "LATER", "l");
        },
        |main| set(main, "B", "main"),
    );
    git(&sandbox, "cherry-pick side~1").succeeds();
    holds(&sandbox, "PICKED", "p");
    holds(&sandbox, "B", "main");
    sandbox.secrets("get EARLIER").ends(3);
    merges(&sandbox);
    for (name, value) in [
        ("EARLIER", "e"),
        ("PICKED", "p"),
        ("LATER", "l"),
        ("B", "main"),
    ] {
        holds(&sandbox, name, value);
    }
}

#[test]
fn a_stash_is_popped_onto_what_was_committed_meanwhile() {
    let sandbox = repository();
    set(&sandbox, "A", "stashed");
    git(&sandbox, "stash -q").succeeds();
    accept(&sandbox);
    set(&sandbox, "B", "committed");
    commit(&sandbox, "second");
    git(&sandbox, "stash pop").succeeds();
    holds(&sandbox, "A", "stashed");
    holds(&sandbox, "B", "committed");
    git(&sandbox, "stash list").succeeds().prints("");
}

#[test]
fn a_stash_that_conflicts_is_kept_and_its_value_is_in_the_history() {
    let sandbox = repository();
    set(&sandbox, "A", "stashed");
    git(&sandbox, "stash -q").succeeds();
    accept(&sandbox);
    set(&sandbox, "A", "committed");
    commit(&sandbox, "second");
    let popped = git(&sandbox, "stash pop").ends(1).says("both changed A");
    holds(&sandbox, "A", "committed");
    let command = printed_after(&popped, "to take theirs");
    sandbox.secrets(&command).succeeds();
    holds(&sandbox, "A", "stashed");
    let kept = git(&sandbox, "stash list").succeeds().text();
    assert_eq!(kept.lines().count(), 1);
}

#[test]
fn a_revert_is_a_conflict_that_says_how_to_have_the_earlier_value() {
    let sandbox = repository();
    set(&sandbox, "A", "new");
    set(&sandbox, "N", "new");
    commit(&sandbox, "second");
    set(&sandbox, "B", "changed");
    commit(&sandbox, "third");
    let reverted = git(&sandbox, "revert --no-edit HEAD~1")
        .ends(1)
        .says("theirs goes back to an earlier A: ours stays for now")
        .says("theirs goes back to when there was no N: it stays for now");
    holds(&sandbox, "A", "new");
    sandbox
        .secrets(&printed_after(&reverted, "to take theirs"))
        .succeeds();
    sandbox
        .secrets(&printed_after(&reverted, "to remove it"))
        .arg("--yes")
        .succeeds();
    git(&sandbox, "add .secrets").succeeds();
    git(&sandbox, "revert --continue").succeeds();
    holds(&sandbox, "A", "one");
    holds(&sandbox, "B", "changed");
    sandbox.secrets("get N").ends(3);
}

#[test]
fn the_last_commit_reverted_is_an_old_document_that_waits_for_a_person_s_word() {
    let sandbox = repository();
    set(&sandbox, "A", "new");
    commit(&sandbox, "second");
    git(&sandbox, "revert --no-edit HEAD").succeeds();
    sandbox
        .secrets("get A")
        .ends(4)
        .says("older than what was seen here");
    accept(&sandbox);
    holds(&sandbox, "A", "one");
}

#[test]
fn an_old_document_played_back_on_a_branch_brings_no_replaced_value() {
    let sandbox = repository();
    let old = sandbox.read(DOCUMENT);
    set(&sandbox, "A", "rotated");
    commit(&sandbox, "rotated");
    git(&sandbox, "checkout -q -b side").succeeds();
    sandbox.write(DOCUMENT, old);
    commit(&sandbox, "played-back");
    git(&sandbox, "checkout -q main").succeeds();
    set(&sandbox, "B", "changed");
    commit(&sandbox, "main");
    git(&sandbox, "merge --no-edit side")
        .ends(1)
        .says("theirs goes back to an earlier A: ours stays for now");
    holds(&sandbox, "A", "rotated");
    holds(&sandbox, "B", "changed");
}
