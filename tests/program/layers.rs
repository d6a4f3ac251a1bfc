//! What lies beneath one side of a sync: several layers, lines that are put together from others, several
//! stores in one document, and who keeps what is replaced.

use crate::support::{Done, Sandbox};

const SYNC: &str = "sync dotenv:.env dotenv:b.env --yes";
const DIFF: &str = "diff dotenv:.env dotenv:b.env";

/// A project whose `dev` is read from these stores and has these mirrors.
fn project(source: &str, mirrors: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::initialised();
    let manifest = format!(
        "[project]\ndefault-environment = \"dev\"\n[environments.dev]\nsource = [{source}]\nmirrors = [{mirrors}]\n{more}"
    );
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    sandbox
}

/// Two layers and a mirror.
fn layered() -> Sandbox {
    project(
        r#""dotenv:.env", "dotenv:.env.local""#,
        r#""dotenv:m.env""#,
        "",
    )
}

/// A `.env` with an interpolated line and another file, in step.
fn agreed() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.write(".env", "B=x\nA=${B}y\n");
    sandbox.write("b.env", "B=x\nA=xy\n");
    sandbox.secrets(SYNC).succeeds();
    sandbox
}

fn run(sandbox: &Sandbox, line: &str, status: i32) -> Done {
    sandbox.secrets(line).ends(status)
}

#[test]
fn a_layer_that_is_gone_is_no_deletion_of_what_it_held() {
    let sandbox = layered();
    sandbox.write(".env", "A=1\nB=1\n");
    sandbox.write(".env.local", "C=1\n");
    run(&sandbox, "push --yes", 0);
    let mirror = sandbox.read("m.env");
    std::fs::remove_file(sandbox.path(".env")).unwrap();
    sandbox.write(".env.local", "C=2\n");
    run(&sandbox, "push --delete --yes", 8)
        .says("dotenv:.env is not there, and whether it was deleted is not known")
        .says("make it again, if only empty, or take it out of the layers");
    assert_eq!(sandbox.read("m.env"), mirror.replace("C=1", "C=2"));
    run(&sandbox, "status", 7);
    // An empty file is one that is there.
    sandbox.write(".env", "");
    run(&sandbox, "push --delete --yes", 0);
    assert_eq!(sandbox.read("m.env"), "C=2\n");
}

#[test]
fn a_layer_that_never_was_there_is_in_nobodys_way() {
    let sandbox = layered();
    sandbox.write(".env", "A=1\nB=1\n");
    run(&sandbox, "push --yes", 0);
    sandbox.write(".env", "A=2\n");
    run(&sandbox, "push --delete --yes", 0);
    assert_eq!(sandbox.read("m.env"), "A=2\n");
    run(&sandbox, "status", 0);
}

#[test]
fn one_sync_brings_in_step_what_lines_follow_from_what_it_wrote() {
    let sandbox = agreed();
    sandbox.write("b.env", "B=z\nA=xy\n");
    run(&sandbox, SYNC, 0)
        .says("lines put together from what was written say something else now")
        .says("1 secret written to dotenv:.env")
        .says("1 secret written to dotenv:b.env");
    assert_eq!(sandbox.read(".env"), "B=z\nA=${B}y\n");
    assert_eq!(sandbox.read("b.env"), "B=z\nA=zy\n");
    run(&sandbox, DIFF, 0);
    run(&sandbox, SYNC, 0).says("nothing to do");
}

#[test]
fn a_line_that_comes_out_equal_once_the_others_are_written_is_no_conflict() {
    let sandbox = agreed();
    sandbox.write("b.env", "B=z\nA=zy\n");
    let before = sandbox.read(".env");
    let text =
        "put together from other lines in the left store: compared again once those are written";
    run(&sandbox, &format!("{SYNC} --dry-run"), 0).says(text);
    assert_eq!(sandbox.read(".env"), before);
    run(&sandbox, SYNC, 0);
    assert_eq!(sandbox.read(".env"), "B=z\nA=${B}y\n");
    run(&sandbox, DIFF, 0);
}

#[test]
fn a_line_that_still_differs_then_is_told_and_left() {
    let sandbox = agreed();
    sandbox.write("b.env", "B=z\nA=other\n");
    run(&sandbox, SYNC, 8).says("A is in conflict; nothing more was written");
    assert_eq!(sandbox.read(".env"), "B=z\nA=${B}y\n");
    assert_eq!(sandbox.read("b.env"), "B=z\nA=other\n");
    // What depends on nothing that is written stops all of it, as ever.
    let sandbox = agreed();
    sandbox.write("b.env", "B=x\nA=other\nC=1\n");
    run(&sandbox, &format!("{SYNC} --first"), 5).says("A is in conflict; nothing was written");
    assert_eq!(sandbox.read(".env"), "B=x\nA=${B}y\n");
}

#[test]
fn a_name_that_a_line_is_put_together_from_is_not_removed_alone() {
    let sandbox = agreed();
    let hint = "secrets unset B A";
    run(&sandbox, "unset B --yes --store dotenv:.env", 1)
        .says("A is put together from B, which cannot be removed alone")
        .says(hint);
    sandbox.write("b.env", "A=xy\n");
    run(&sandbox, &format!("{SYNC} --delete"), 1)
        .says("dotenv:.env: A is put together from B, which would be removed; nothing was written")
        .says("--except B");
    assert_eq!(sandbox.read(".env"), "B=x\nA=${B}y\n");
    run(&sandbox, "unset B A --yes --store dotenv:.env", 0);
    assert_eq!(sandbox.read(".env"), "");
}

#[test]
fn why_what_is_replaced_cannot_be_kept_is_told_with_what_mends_that() {
    let sandbox = agreed();
    sandbox.write(".env", "B=2\nA=${B}y\n");
    let before = sandbox.read("b.env");
    std::fs::remove_file(sandbox.home().join(".config/secrets/identity")).unwrap();
    run(&sandbox, SYNC, 4)
        .says("nothing was written")
        .says("identity")
        .says("--no-keep")
        .hides("makes a local store");
    assert_eq!(sandbox.read("b.env"), before);
    let bare = Sandbox::new();
    bare.write(".env", "A=1\n");
    bare.write("b.env", "A=2\n");
    run(&bare, &format!("{SYNC} --prefer left"), 1)
        .says("`secrets init` makes a local store; to lose what is replaced: --no-keep");
    assert_eq!(bare.read("b.env"), "A=2\n");
}

#[test]
fn stores_that_have_names_of_their_own_in_one_document_are_two() {
    let stores = |one: &str, other: &str| {
        let store = |name: &str, prefix: &str| {
            format!("[stores.{name}]\nuri = \"dotenv:all.env\"\nprefix = \"{prefix}\"\n")
        };
        let more = store("stg", one) + &store("prd", other);
        let sandbox = project("\"dotenv:.env\"", r#""stg", "prd""#, &more);
        sandbox.write(".env", "A=1\nB=1\n");
        sandbox
    };
    let sandbox = stores("STG_", "PRD_");
    run(&sandbox, "push --yes", 0);
    let mut lines: Vec<String> = sandbox.read("all.env").lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, ["PRD_A=1", "PRD_B=1", "STG_A=1", "STG_B=1"]);
    run(&sandbox, "status", 0);
    run(&sandbox, "sync stg prd --yes", 0);
    sandbox.write("all.env", "STG_A=1\nSTG_B=2\nPRD_A=1\nPRD_B=1\n");
    run(&sandbox, "sync stg prd --yes", 0);
    assert_eq!(
        sandbox.read("all.env"),
        "STG_A=1\nSTG_B=2\nPRD_A=1\nPRD_B=2\n"
    );
    // The names of one may be those of the other.
    for (one, other) in [("STG_", "STG_2_"), ("STG_", "stg_"), ("STG_", "STG_")] {
        let sandbox = stores(one, other);
        run(&sandbox, "push --yes", 2).says("the same store");
        assert!(!sandbox.path("all.env").exists());
    }
}

#[test]
fn a_deletion_that_would_uncover_a_lower_layers_value_is_not_made_and_is_told_first() {
    let sandbox = layered();
    sandbox.write(".env", "KEY=stale\nOTHER=1\n");
    sandbox.write(".env.local", "KEY=newer\n");
    run(&sandbox, "push --yes", 0);
    sandbox.write("m.env", "OTHER=2\n");
    let sync = "sync dev dotenv:m.env --delete --yes";
    for line in [sync.to_owned(), format!("{sync} --dry-run")] {
        run(&sandbox, &line, 5)
            .says(
                "KEY cannot be removed alone: it would be dotenv:.env's again; nothing was written",
            )
            .says("secrets unset KEY --store dotenv:.env")
            .says("--except KEY");
    }
    assert_eq!(sandbox.read(".env.local"), "KEY=newer\n");
    assert_eq!(sandbox.read(".env"), "KEY=stale\nOTHER=1\n");
    run(&sandbox, &format!("{sync} --except KEY"), 0);
    run(&sandbox, "unset KEY --store dotenv:.env --yes", 0);
    run(&sandbox, sync, 0).says("1 secret removed from dotenv:.env.local");
    run(&sandbox, "get KEY", 3);
    assert_eq!(sandbox.read("m.env"), "OTHER=2\n");
}

#[test]
fn a_file_that_was_emptied_by_accident_empties_no_mirror() {
    let sandbox = project(r#""dotenv:.env""#, r#""dotenv:m.env""#, "");
    sandbox.write(".env", "A=1\nB=1\n");
    run(&sandbox, "push --yes", 0);
    sandbox.write(".env", "");
    run(&sandbox, "push --delete --yes", 5)
        .says("dotenv:.env holds nothing any more")
        .says("if they were deleted: --delete --only A,B");
    run(&sandbox, "sync dev dotenv:m.env --delete --yes", 5)
        .says("which looks like an accident: 2 secrets not taken for deleted there")
        .says("if they were deleted: --delete --only A,B");
    assert_eq!(sandbox.read("m.env"), "A=1\nB=1\n");
    // It comes back as a first copy does, or is deleted by its names.
    run(&sandbox, "pull --prefer mirror --yes", 0);
    assert_eq!(sandbox.read(".env"), "A=1\nB=1\n");
    sandbox.write(".env", "");
    run(&sandbox, "push --delete --yes --only A,B", 0);
    assert_eq!(sandbox.read("m.env"), "");
}

#[test]
fn of_what_is_set_a_mirror_that_cannot_hold_it_keeps_nothing_from_the_others() {
    for mirrors in [
        r#""dotenv:d.env?dialect=docker", "dotenv:m.env""#,
        r#""dotenv:d.env?dialect=docker""#,
    ] {
        let sandbox = project(r#""dotenv:.env""#, mirrors, "auto-push = true\n");
        sandbox.secrets("set A --yes").input("1").ends(0);
        let set = sandbox.secrets("set C --yes").input("two\nlines").ends(8);
        let set = set.says("dotenv:d.env?dialect=docker: not copied: ");
        // `set` knows no such flag.
        assert!(!set.err.contains("--except"), "{}", set.err);
        assert!(sandbox.read(".env").contains("two\nlines"));
        assert_eq!(sandbox.read("d.env"), "A=1\n");
        if mirrors.contains("m.env") {
            assert!(sandbox.read("m.env").contains("two\nlines"));
        }
    }
}
