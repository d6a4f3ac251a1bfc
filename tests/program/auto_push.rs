//! `auto-push`: what is changed in the source is in the mirrors at once; where it is not, that is said, and
//! the printed command makes up for it.

use secrets_testkit::servers::{OpenBao, free_port};

use crate::support::{Done, Run, Sandbox};

/// A project whose `dev` is in the encrypted store and copies every change to these mirrors.
fn copying(mirrors: &str) -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "secrets.toml",
        format!(
            "[project]\ndefault-environment = \"dev\"\n\
             [environments.dev]\nsource = [\"local:\"]\nmirrors = [{mirrors}]\nauto-push = true\n\
             [stores.vault]\nuri = \"vault:secret/shop\"\ntimeout = \"200ms\"\n"
        ),
    );
    sandbox.trust();
    sandbox
}

/// With the Vault server at this address.
fn at<'a>(run: Run<'a>, address: &str) -> Run<'a> {
    run.env("VAULT_ADDR", address)
        .env("VAULT_TOKEN", "root-token-of-the-tests")
}

/// An address where nothing listens.
fn nowhere() -> String {
    format!("http://127.0.0.1:{}", free_port())
}

/// The commands that a hint names, in order.
fn commands(done: &Done) -> Vec<String> {
    let hint = done.err.split("hint: ").last().unwrap();
    let quoted = hint.split('`').skip(1).step_by(2);
    quoted.map(str::to_owned).collect()
}

/// A printed command, with a yes.
fn typed<'a>(sandbox: &'a Sandbox, line: &str) -> Run<'a> {
    sandbox.typed(&format!("{line} --yes"))
}

/// What an editor leaves, whatever it was given.
fn edit<'a>(sandbox: &'a Sandbox, text: &str) -> Run<'a> {
    sandbox.write("editor", format!("#!/bin/sh\nprintf '{text}' > \"$1\"\n"));
    sandbox.secrets("edit --yes").env("EDITOR", "sh ./editor")
}

#[test]
fn after_every_verb_that_changes_the_source_all_mirrors_hold_what_it_holds() {
    let server = OpenBao::start();
    let sandbox = copying("\"dotenv:one.env\", \"vault\"");
    let run = |words: &str| at(sandbox.secrets(words), server.address());
    let holds = |text: &str| {
        let mut file: Vec<String> = sandbox.read("one.env").lines().map(str::to_owned).collect();
        file.sort();
        assert_eq!(file, text.lines().collect::<Vec<_>>());
        let there = run("export --format dotenv --store vault").succeeds();
        assert_eq!(there.text(), text);
        run("status").succeeds();
    };
    run("set A")
        .input("first")
        .succeeds()
        .says("A copied to dotenv:one.env")
        .says("A copied to vault");
    holds("A=first\n");
    run("set A").input("second").succeeds();
    holds("A=second\n");
    run("rollback A")
        .succeeds()
        .says("A copied to dotenv:one.env");
    holds("A=first\n");
    run("import - --format json --yes")
        .input("{\"B\": \"third\", \"C\": \"fourth\"}")
        .succeeds()
        .says("C copied to vault");
    holds("A=first\nB=third\nC=fourth\n");
    at(
        edit(&sandbox, "A=fifth\\nB=third\\nC=sixth\\n"),
        server.address(),
    )
    .succeeds();
    holds("A=fifth\nB=third\nC=sixth\n");

    // A deletion takes one word more, which is printed.
    let done = run("unset A --yes")
        .ends(8)
        .says("dotenv:one.env: A is still there")
        .says("vault: A is still there")
        .says("removed, but not in every mirror")
        .hides("set, but");
    let push = commands(&done);
    assert_eq!(push, ["secrets push -e dev --only A --delete"]);
    run("status").ends(7);
    at(typed(&sandbox, &push[0]), server.address()).succeeds();
    holds("B=third\nC=sixth\n");

    run("rollback A").succeeds();
    holds("A=fifth\nB=third\nC=sixth\n");
}

#[test]
fn a_server_that_is_down_does_not_lose_the_change_and_the_next_push_heals_it() {
    let down = nowhere();
    let sandbox = copying("\"vault\", \"dotenv:one.env\"");
    let run = |words: &str, address: &str| at(sandbox.secrets(words), address);
    let done = run("set A", &down)
        .input("first")
        .ends(8)
        .says("vault: not copied")
        .says("A copied to dotenv:one.env")
        .says("set, but not in every mirror");
    let push = commands(&done);
    assert_eq!(push, ["secrets push -e dev"]);
    // It is in the source and in the mirror that is up.
    run("get A", &down).succeeds().prints("first\n");
    assert_eq!(sandbox.read("one.env"), "A=first\n");
    // The server that is down is no drift to those that can be seen.
    run("status", &down).ends(6).says("vault");

    let server = OpenBao::start();
    let up = server.address();
    let status = run("status", up).ends(7).text();
    assert!(status.contains("1 to create"), "{status}");
    at(typed(&sandbox, &push[0]), up).succeeds();
    run("get A --store vault", up).succeeds().prints("first\n");
    run("status", up).succeeds();

    // The same of a change, by the next change: what is pushed is what the source holds.
    run("set A", &down).input("second").ends(8);
    run("status", up).ends(7);
    run("set A", up)
        .input("third")
        .succeeds()
        .says("A copied to vault");
    run("get A --store vault", up).succeeds().prints("third\n");
    run("status", up).succeeds();

    // And of a removal.
    run("unset A --yes", &down)
        .ends(8)
        .says("removed, but not in every mirror")
        .hides("set, but");
    run("status", up).ends(7);
    run("push --delete --yes", up).succeeds();
    run("get A --store vault", up).ends(3);
    run("status", up).succeeds();
}

#[test]
fn a_mirror_whose_folder_is_missing_is_drift_until_it_is_made() {
    let sandbox = copying("\"dotenv:../mounted/one.env\", \"dotenv:two.env\"");
    let done = sandbox
        .set("A", "canary1", 8)
        .says("dotenv:../mounted/one.env: ")
        .says("A copied to dotenv:two.env");
    assert_eq!(commands(&done), ["secrets push -e dev"]);
    assert_eq!(sandbox.read("two.env"), "A=canary1\n");
    sandbox.secrets("status").ends(7);
    std::fs::create_dir(sandbox.path("../mounted")).unwrap();
    typed(&sandbox, &commands(&done)[0]).succeeds();
    assert_eq!(sandbox.read("../mounted/one.env"), "A=canary1\n");
    sandbox.secrets("status").succeeds();
}

#[test]
fn a_mirror_in_conflict_stays_and_is_said_and_the_printed_commands_end_it() {
    let conflict = || {
        let sandbox = copying("\"dotenv:one.env\", \"dotenv:two.env\"");
        sandbox.set("A", "canary1", 0);
        sandbox.write("one.env", "A=theirs\n");
        let done = sandbox
            .set("A", "canary2", 8)
            .says("dotenv:one.env: A not copied")
            .says("A copied to dotenv:two.env")
            .says("set, but not in every mirror")
            .hides("theirs");
        assert_eq!(sandbox.read("one.env"), "A=theirs\n");
        assert_eq!(sandbox.read("two.env"), "A=canary2\n");
        let text = sandbox.secrets("status").ends(7).text();
        assert!(text.contains("1 in conflict"), "{text}");
        // The plain push would end as this one did.
        sandbox.secrets("push --yes").ends(5);
        (sandbox, commands(&done))
    };
    let (sandbox, commands) = conflict();
    assert_eq!(
        commands,
        [
            "secrets push dotenv:one.env -e dev --only A --prefer source",
            "secrets pull dotenv:one.env -e dev --only A --prefer mirror"
        ]
    );
    typed(&sandbox, &commands[0]).succeeds();
    assert_eq!(sandbox.read("one.env"), "A=canary2\n");
    sandbox.secrets("status").succeeds();

    let (sandbox, commands) = conflict();
    typed(&sandbox, &commands[1]).succeeds();
    let get = sandbox.secrets("get A").succeeds();
    get.prints("theirs\n");
    sandbox.secrets("push --yes").succeeds();
    sandbox.secrets("status").succeeds();
}

#[test]
fn what_was_removed_here_and_changed_there_stays_there_until_a_person_says_so() {
    let sandbox = copying("\"dotenv:one.env\"");
    sandbox.set("A", "canary1", 0);
    sandbox.write("one.env", "A=theirs\n");
    let done = sandbox
        .secrets("unset A --yes")
        .ends(8)
        .says("dotenv:one.env: A not copied")
        .says("removed, but not in every mirror");
    assert_eq!(sandbox.read("one.env"), "A=theirs\n");
    let push = &commands(&done)[0];
    assert_eq!(
        push,
        "secrets push -e dev --only A --prefer source --delete"
    );
    typed(&sandbox, push).succeeds();
    assert_eq!(sandbox.read("one.env"), "");
    sandbox.secrets("status").succeeds();
}

#[test]
fn one_mirror_in_conflict_and_one_down_are_made_up_for_each_by_a_command_of_its_own() {
    let sandbox = copying("\"dotenv:one.env\", \"dotenv:../mounted/two.env\"");
    sandbox.write("one.env", "A=theirs\n");
    let done = sandbox.set("A", "canary1", 8);
    let commands = commands(&done);
    let [push, overwrite, _] = commands.as_slice() else {
        panic!("{commands:?}");
    };
    std::fs::create_dir(sandbox.path("../mounted")).unwrap();
    typed(&sandbox, push).succeeds();
    assert_eq!(sandbox.read("../mounted/two.env"), "A=canary1\n");
    assert_eq!(sandbox.read("one.env"), "A=theirs\n");
    typed(&sandbox, overwrite).succeeds();
    assert_eq!(sandbox.read("one.env"), "A=canary1\n");
    sandbox.secrets("status").succeeds();
}

#[test]
fn what_a_mirror_holds_that_was_never_synced_is_said_to_be_there_after_it_is_removed_here() {
    // A source that remembers no deletion.
    let sandbox = copying("\"dotenv:one.env\"");
    let manifest = sandbox.read("secrets.toml");
    sandbox.write("secrets.toml", manifest.replace("local:", "dotenv:.env"));
    sandbox.trust();
    sandbox.write(".env", "A=canary1\n");
    sandbox.write("one.env", "A=theirs\nB=1\n");
    let done = sandbox
        .secrets("unset A --yes")
        .ends(8)
        .says("dotenv:one.env: A is still there");
    let unset = &commands(&done)[0];
    assert_eq!(unset, "secrets unset -e dev --store dotenv:one.env A");
    typed(&sandbox, unset).succeeds();
    assert_eq!(sandbox.read("one.env"), "B=1\n");
}

#[test]
fn a_mirror_that_cannot_be_read_keeps_what_it_has_and_that_is_said() {
    let sandbox = copying("\"dotenv:one.env?dialect=shell\"");
    sandbox.set("B", "canary1", 0);
    let line = "A=$(date)\nB=canary1\n";
    sandbox.write("one.env", line);
    sandbox
        .set("A", "canary2", 8)
        .says("dotenv:one.env?dialect=shell: ");
    assert_eq!(sandbox.read("one.env"), line);

    // One value of it.
    let sandbox = copying("\"dotenv:one.env\"");
    let manifest = sandbox.read("secrets.toml") + "[secrets.A]\nencoding = \"base64\"\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    sandbox.set("A", "canary1", 0);
    sandbox.set("B", "canary2", 0);
    let lines = "A=!\nB=canary2\n";
    sandbox.write("one.env", lines);
    sandbox
        .set("A", "canary3", 8)
        .says("dotenv:one.env: A not copied");
    assert_eq!(sandbox.read("one.env"), lines);
    // That is in the way of no other.
    sandbox
        .set("B", "canary4", 0)
        .says("B copied to dotenv:one.env");
}

#[test]
fn a_store_that_is_named_in_place_of_the_source_is_copied_nowhere() {
    let sandbox = copying("\"dotenv:one.env\"");
    sandbox
        .set("A --store dotenv:other.env", "canary1", 0)
        .hides("copied");
    sandbox
        .set("A --store local:dev", "canary2", 0)
        .hides("copied");
    assert!(!sandbox.path("one.env").exists());
    sandbox
        .set("A", "canary3", 0)
        .says("A copied to dotenv:one.env");
}

#[test]
fn without_auto_push_nothing_is_copied_and_status_says_so() {
    let sandbox = copying("\"dotenv:one.env\"");
    let manifest = sandbox.read("secrets.toml");
    sandbox.write("secrets.toml", manifest.replace("auto-push = true\n", ""));
    sandbox.trust();
    sandbox.set("A", "canary1", 0).hides("copied");
    assert!(!sandbox.path("one.env").exists());
    sandbox.secrets("status").ends(7);
}

#[test]
fn a_manifest_that_is_not_trusted_copies_nothing_whatever_the_verb_and_says_so() {
    let sandbox = copying("\"dotenv:one.env\"");
    sandbox.set("A", "canary1", 0);
    sandbox.set("A", "canary2", 0);
    let manifest = sandbox.read("secrets.toml");
    sandbox.write(
        "secrets.toml",
        manifest.replace(
            "\"dotenv:one.env\"",
            "\"dotenv:one.env\", \"dotenv:two.env\"",
        ),
    );
    let left = |run: Run<'_>, what: &str| {
        let done = run
            .ends(8)
            .says(&format!(
                "{what}, but not in every mirror: secrets.toml has changed since it was trusted"
            ))
            .says("run `secrets trust`");
        assert_eq!(commands(&done).last().unwrap(), "secrets push -e dev");
        assert_eq!(sandbox.read("one.env"), "A=canary2\n");
        assert!(!sandbox.path("two.env").exists());
    };
    let import = "import - --format json --yes";
    left(sandbox.secrets("set A").input("canary3"), "set");
    left(sandbox.secrets("rollback A"), "rolled back");
    left(
        sandbox.secrets(import).input("{\"B\": \"canary4\"}"),
        "imported",
    );
    left(edit(&sandbox, "A=canary5\\nB=canary4\\n"), "changed");
    left(sandbox.secrets("unset B --yes"), "removed");
    sandbox.secrets("push --yes").ends(4);
    sandbox.trust();
    sandbox.secrets("push --yes").succeeds();
    for mirror in ["one.env", "two.env"] {
        assert_eq!(sandbox.read(mirror), "A=canary5\n");
    }
    sandbox.secrets("status").succeeds();
}
