//! `git merge`: what is united, what is a conflict, and what is left alone.

use std::os::unix::fs::symlink;

use super::{
    DOCUMENT, accept, apart, commit, configured, doctor_asks_for_install, git, git_with, go_to,
    holds, is_left_alone, merge, merges, merges_again, parted, printed_after, repository, set,
};
use crate::support::{SECRETS, Sandbox};

#[test]
fn two_branches_that_set_different_names_merge_cleanly() {
    let sandbox = parted(
        |side| set(side, "FROM_SIDE", "s"),
        |main| {
            set(main, "FROM_MAIN", "m");
            set(main, "B", "changed");
        },
    );
    merges(&sandbox).says("from theirs: FROM_SIDE");
    holds(&sandbox, "FROM_SIDE", "s");
    holds(&sandbox, "FROM_MAIN", "m");
    holds(&sandbox, "A", "one");
    holds(&sandbox, "B", "changed");
}

#[test]
fn a_name_that_both_changed_is_a_conflict_and_either_value_can_be_had() {
    let sandbox = parted(|side| set(side, "A", "side"), |main| set(main, "A", "main"));
    let merged = merge(&sandbox).says("both changed A: ours stays for now");
    assert_eq!(merged.status, 1);
    holds(&sandbox, "A", "main");
    let command = printed_after(&merged, "to take theirs");
    sandbox.secrets(&command).succeeds();
    holds(&sandbox, "A", "side");
    // And back, for who has only looked at it.
    sandbox.secrets("rollback A").succeeds();
    holds(&sandbox, "A", "main");
    commit(&sandbox, "merged");
}

#[test]
fn the_strategy_option_ours_does_not_silence_a_conflict() {
    for option in ["ours", "theirs"] {
        let sandbox = parted(|side| set(side, "A", "side"), |main| set(main, "A", "main"));
        let words = format!("merge --no-edit -X {option} side");
        git(&sandbox, &words).ends(1).says("both changed A");
        holds(&sandbox, "A", "main");
    }
}

#[test]
fn a_deletion_is_merged_where_the_other_branch_left_the_name_alone() {
    let sandbox = parted(
        |side| drop(side.secrets("unset A --yes").succeeds()),
        |main| set(main, "B", "changed"),
    );
    merges(&sandbox);
    sandbox.secrets("get A").ends(3);
    holds(&sandbox, "B", "changed");
}

#[test]
fn a_deletion_against_a_change_says_how_to_have_it_either_way() {
    let unset = |at: &Sandbox| drop(at.secrets("unset A --yes").succeeds());
    let sandbox = parted(unset, |main| set(main, "A", "main"));
    let merged = merge(&sandbox).says("theirs removed A, ours changed it: it stays for now");
    holds(&sandbox, "A", "main");
    let command = printed_after(&merged, "to remove it");
    sandbox.secrets(&command).arg("--yes").succeeds();
    sandbox.secrets("get A").ends(3);

    let sandbox = parted(|side| set(side, "A", "side"), unset);
    let merged = merge(&sandbox).says("ours removed A, theirs changed it: it stays removed");
    sandbox.secrets("get A").ends(3);
    let command = printed_after(&merged, "to take theirs");
    sandbox.secrets(&command).succeeds();
    holds(&sandbox, "A", "side");
}

#[test]
fn a_criss_cross_is_merged_by_name() {
    let sandbox = parted(|side| set(side, "S", "1"), |main| set(main, "M", "1"));
    git(&sandbox, "branch before").succeeds();
    merges(&sandbox);
    go_to(&sandbox, "side");
    git(&sandbox, "merge --no-edit before").succeeds();
    set(&sandbox, "A", "side");
    commit(&sandbox, "side");
    go_to(&sandbox, "main");
    set(&sandbox, "B", "main");
    commit(&sandbox, "main");
    let bases = git(&sandbox, "merge-base --all main side")
        .succeeds()
        .text();
    assert_eq!(bases.lines().count(), 2);
    merges(&sandbox);
    for (name, value) in [("A", "side"), ("B", "main"), ("S", "1"), ("M", "1")] {
        holds(&sandbox, name, value);
    }
}

#[test]
fn a_criss_cross_in_which_one_conflict_was_settled_in_two_ways_is_one_conflict() {
    let sandbox = parted(|side| set(side, "A", "side"), |main| set(main, "A", "main"));
    git(&sandbox, "branch before").succeeds();
    assert_eq!(merge(&sandbox).status, 1);
    commit(&sandbox, "ours");
    go_to(&sandbox, "side");
    git(&sandbox, "merge --no-edit before").ends(1);
    commit(&sandbox, "ours-again");
    set(&sandbox, "S", "1");
    commit(&sandbox, "side");
    go_to(&sandbox, "main");
    assert_eq!(merge(&sandbox).says("conflict in A\n").status, 1);
    holds(&sandbox, "A", "main");
    holds(&sandbox, "S", "1");
}

#[test]
fn an_octopus_that_git_gives_up_leaves_everything_as_it_was() {
    let sandbox = apart();
    git(&sandbox, "checkout -q -b third HEAD~1").succeeds();
    accept(&sandbox);
    set(&sandbox, "C", "three");
    commit(&sandbox, "third");
    go_to(&sandbox, "main");
    let before = sandbox.read(DOCUMENT);
    // It merges contents by itself and asks no driver.
    git(&sandbox, "merge --no-edit side third").ends(2);
    assert_eq!(sandbox.read(DOCUMENT), before);
    git(&sandbox, "status --short").succeeds().prints("");
    merges(&sandbox);
    git(&sandbox, "merge --no-edit third").succeeds();
    for (name, value) in [("A", "side"), ("B", "main"), ("C", "three")] {
        holds(&sandbox, name, value);
    }
}

#[test]
fn a_document_that_one_branch_deleted_and_the_other_changed_is_git_s_own_conflict() {
    let delete = |at: &Sandbox| drop(git(at, "rm -q .secrets/dev.age").succeeds());
    let sandbox = parted(delete, |main| set(main, "B", "main"));
    assert_eq!(merge(&sandbox).status, 1);
    holds(&sandbox, "B", "main");
    let sandbox = parted(|side| set(side, "B", "side"), delete);
    assert_eq!(merge(&sandbox).status, 1);
    holds(&sandbox, "B", "side");
}

#[test]
fn a_document_that_both_branches_began_is_merged_without_an_ancestor() {
    let sandbox = repository();
    let manifest = sandbox.read("secrets.toml") + "\n[environments.prod]\nsource = [\"local:\"]\n";
    sandbox.write("secrets.toml", manifest);
    commit(&sandbox, "environment");
    let begin = |name: &str, both: &str| {
        for (name, value) in [(name, "x"), ("SAME", "same"), ("BOTH", both)] {
            let words = format!("set -e prod {name}");
            sandbox.secrets(&words).input(value).succeeds();
        }
        commit(&sandbox, "begun");
    };
    git(&sandbox, "checkout -q -b side").succeeds();
    begin("SIDE", "side");
    go_to(&sandbox, "main");
    begin("MAIN", "main");
    let merged = merge(&sandbox).says("conflict in BOTH\n");
    assert_eq!(merged.status, 1);
    let get = |name| sandbox.secrets(&format!("get -e prod {name}")).succeeds();
    for (name, value) in [
        ("SIDE", "x"),
        ("MAIN", "x"),
        ("SAME", "same"),
        ("BOTH", "main"),
    ] {
        get(name).prints(&format!("{value}\n"));
    }
    let command = printed_after(&merged, "to take theirs");
    sandbox.secrets(&command).succeeds();
    get("BOTH").prints("side\n");
}

#[test]
fn who_has_no_identity_merges_nothing_and_is_told_how_to_go_on() {
    let sandbox = apart();
    let (away, config) = (sandbox.home().join("away"), sandbox.home().join(".config"));
    std::fs::rename(&config, &away).unwrap();
    let before = sandbox.read(DOCUMENT);
    let merged = merge(&sandbox).says("you have no identity here");
    assert_eq!(merged.status, 1);
    merged
        .says("ours lies there, with nothing of theirs; do not add it as it is")
        .says("merge it again: `git checkout --merge .secrets/dev.age`");
    is_left_alone(&sandbox, &before);
    std::fs::rename(&away, &config).unwrap();
    merges_again(&sandbox);
}

#[test]
fn a_ci_job_merges_with_an_identity_from_its_environment_and_no_memory() {
    let sandbox = apart();
    let identity = sandbox.secrets("identity export").succeeds().text();
    let home = sandbox.home();
    std::fs::remove_dir_all(home.join(".config")).unwrap();
    std::fs::remove_dir_all(home.join(".local")).unwrap();
    let merge = || git(&sandbox, "merge --no-edit side").env("SECRETS_IDENTITY", identity.trim());
    merge()
        .ends(1)
        .says("nobody has looked into this folder's store on this machine");
    git(&sandbox, "merge --abort").succeeds();
    // What it trusts at first sight it has to have looked at.
    sandbox
        .secrets("list")
        .env("SECRETS_IDENTITY", identity.trim())
        .succeeds();
    merge().succeeds();
    for (name, value) in [("A", "side\n"), ("B", "main\n")] {
        sandbox
            .secrets(&format!("get {name}"))
            .env("SECRETS_IDENTITY", identity.trim())
            .succeeds()
            .prints(value);
    }
}

#[test]
fn where_the_program_is_gone_git_merges_nothing_and_a_new_install_mends_it() {
    let sandbox = apart();
    let bin = sandbox.home().join("bin");
    std::fs::create_dir(&bin).unwrap();
    let path = std::env::var("PATH").unwrap();
    let with_bin = format!("{}:{path}", bin.display());
    // By its name, where that leads to it.
    symlink(SECRETS, bin.join("secrets")).unwrap();
    sandbox
        .secrets("git install")
        .env("PATH", &with_bin)
        .succeeds();
    assert!(configured(&sandbox, "merge.secrets.driver").starts_with("secrets git merge"));
    sandbox.secrets("doctor").env("PATH", &with_bin).succeeds();
    std::fs::remove_file(bin.join("secrets")).unwrap();
    let before = sandbox.read(DOCUMENT);
    for program in ["secrets", "/opt/gone/secrets"] {
        let driver = format!("{program} git merge -- %O %A %B %P");
        git_with(&sandbox, ["config", "merge.secrets.driver", &driver]).succeeds();
        let merged = git(&sandbox, "merge --no-edit side").env("PATH", &with_bin);
        merged.ends(1).says("not found");
        is_left_alone(&sandbox, &before);
        git(&sandbox, "merge --abort").succeeds();
    }
    doctor_asks_for_install(sandbox.secrets("doctor").env("PATH", &with_bin));
    assert_eq!(merge(&sandbox).status, 1);
    sandbox.secrets("git install").succeeds();
    merges_again(&sandbox);
}

#[test]
fn a_clone_without_the_driver_gets_marks_and_a_new_install_mends_them() {
    let sandbox = apart();
    git(&sandbox, "config --remove-section merge.secrets").succeeds();
    assert_eq!(merge(&sandbox).status, 1);
    assert!(sandbox.read(DOCUMENT).contains("<<<<<<< "));
    sandbox.secrets("git install").succeeds();
    merges_again(&sandbox);
}

#[test]
fn what_a_host_has_merged_with_marks_is_merged_anew_from_its_commits() {
    let sandbox = apart();
    git(&sandbox, "config --remove-section merge.secrets").succeeds();
    assert_eq!(merge(&sandbox).status, 1);
    commit(&sandbox, "marks");
    let ancestor = git(&sandbox, "merge-base HEAD^1 HEAD^2").succeeds().text();
    for (commit, file) in [
        (ancestor.trim(), "base.age"),
        ("HEAD^1", "merged.age"),
        ("HEAD^2", "theirs.age"),
    ] {
        let shown = git(&sandbox, &format!("show {commit}:{DOCUMENT}")).succeeds();
        sandbox.write(file, shown.out);
    }
    sandbox
        .secrets("git merge -- base.age merged.age theirs.age .secrets/dev.age")
        .succeeds();
    sandbox.write(DOCUMENT, sandbox.read("merged.age"));
    holds(&sandbox, "A", "side");
    holds(&sandbox, "B", "main");
}

#[test]
fn what_is_set_in_the_moment_git_merges_is_not_lost_without_a_word() {
    let sandbox = apart();
    let driver = configured(&sandbox, "merge.secrets.driver");
    let set_first = format!("echo late | '{SECRETS}' set LATE --quiet && {driver}");
    git_with(&sandbox, ["config", "merge.secrets.driver", &set_first]).succeeds();
    // Git has looked at the working tree before, and puts its own file there.
    merges(&sandbox).says("both sides are older than what was seen here");
    sandbox
        .secrets("get A")
        .ends(4)
        .says("older than what was seen here");
}

#[test]
fn two_branches_that_are_both_old_here_merge_to_one_that_is_old_too() {
    let sandbox = apart();
    git(&sandbox, "checkout -q -b third HEAD~1").succeeds();
    accept(&sandbox);
    for value in ["1", "2", "3"] {
        set(&sandbox, "C", value);
    }
    commit(&sandbox, "third");
    git(&sandbox, "checkout -q main").succeeds();
    merges(&sandbox)
        .says("both sides are older than what was seen here")
        .says("secrets trust");
    sandbox.secrets("get A").ends(4).says("secrets trust");
    // With the newest it is the newest again, and nobody is asked.
    git(&sandbox, "merge --no-edit third").succeeds();
    for (name, value) in [("A", "side"), ("B", "main"), ("C", "3")] {
        holds(&sandbox, name, value);
    }
}
