//! Wrong turns: each is answered clearly, with a hint, with the right exit code, and loses nothing.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::Sandbox;

#[test]
fn wrong_words_are_answered_with_the_nearest_right_one() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"local:\"]\n[environments.production]\nsource = [\"hq\"]\n[stores.hq]\nuri = \"dotenv:hq.env\"\n",
    );
    sandbox.secrets("lits").ends(2).says("list");
    sandbox
        .secrets("list -e prodution")
        .ends(2)
        .says("did you mean `production`?");
    sandbox
        .secrets("list --store hk")
        .ends(2)
        .says("did you mean `hq`?");
    sandbox
        .secrets("list --store dotnev:.env")
        .ends(2)
        .says("did you mean `dotenv`?");
    sandbox
        .secrets("generate djnago")
        .ends(2)
        .says("did you mean `django`?");
    sandbox
        .secrets("list --store .env")
        .ends(2)
        .says("dotenv:.env");
}

#[test]
fn a_broken_manifest_is_answered_with_line_and_column() {
    for (text, place, hint) in [
        ("[environments.dev\n", "secrets.toml:1:", ""),
        (
            "[environments.dev]\nsuorce = []\n",
            "secrets.toml:2:1: unknown key `suorce`",
            "did you mean `source`?",
        ),
        ("[environments.dev]\nsource = 7\n", "secrets.toml:2:10", ""),
        (
            "[environments.dev]\nsource = [\"nowhere\"]\n",
            "there is no store `nowhere`",
            "dotenv:nowhere",
        ),
        (
            "[environments.dev]\n",
            "has no source",
            "source = [\"local:\"]",
        ),
    ] {
        let sandbox = Sandbox::with_manifest(text);
        sandbox.secrets("list").ends(2).says(place).says(hint);
    }
}

#[test]
fn names_that_are_none_are_refused_without_repeating_what_may_be_a_value() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets_with(["set", "A B"]).ends(2).says("not ` `");
    sandbox
        .secrets_with(["get", "1A"])
        .ends(2)
        .says("does not start with a digit");
    sandbox
        .secrets_with(["set", "A=hunter2canary"])
        .ends(2)
        .hides("hunter2canary");
    sandbox
        .secrets_with(["get", "A", "hunter2canary"])
        .ends(2)
        .hides("hunter2canary");
    sandbox
        .secrets_with(["set", "A", "--raw=hunter2canary"])
        .ends(2)
        .hides("hunter2canary");
    sandbox.secrets_with(["get", ""]).ends(2);
}

#[test]
fn a_dotenv_file_that_cannot_be_used_says_why() {
    let sandbox = Sandbox::new();
    sandbox.write("dir.env/x", "");
    sandbox
        .secrets("list --store dotenv:dir.env")
        .ends(2)
        .says("is a folder");
    sandbox.write("latin.env", b"A=1\nB=\xe9\n");
    sandbox
        .secrets("list --store dotenv:latin.env")
        .ends(1)
        .says("line 2, column 3: not UTF-8");
    sandbox.write("open.env", "A=1\nB='canary\n");
    sandbox
        .secrets("list --store dotenv:open.env")
        .ends(1)
        .says("line 2, column 3")
        .hides("canary");
    sandbox
        .secrets("set A --store dotenv:no/such/.env")
        .input("x")
        .ends(2)
        .says("is not there");
    sandbox.secrets("list --store dotenv:").ends(2).says("path");
    sandbox
        .secrets("list --store dotenv:.env?dialect=pyton")
        .ends(2)
        .says("python-dotenv");
    sandbox
        .secrets("list --store vault://me:canary@host/x")
        .ends(2)
        .hides("canary");
}

#[test]
fn a_dotenv_file_of_somebody_else_is_not_followed_to() {
    if secrets_platform::process::effective_user() != 0 {
        return assert!(
            std::env::var_os("CI").is_none(),
            "this test changes a file's owner: CI runs it as root"
        );
    }
    let sandbox = Sandbox::new();
    sandbox.write("theirs", "A=1\n");
    std::os::unix::fs::chown(sandbox.path("theirs"), Some(1234), None).unwrap();
    symlink("theirs", sandbox.path("link.env")).unwrap();
    sandbox
        .secrets("list --store dotenv:link.env")
        .ends(4)
        .says("another owner");
}

#[test]
fn a_file_held_by_a_lock_is_waited_for_and_then_named() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    let holder = std::fs::File::open(sandbox.project()).unwrap();
    holder.lock().unwrap();
    sandbox
        .secrets("set A")
        .input("2")
        .ends(6)
        .says("held by another process");
    assert_eq!(sandbox.read(".env"), "A=1\n");
}

#[test]
fn a_folder_that_may_not_be_written_leaves_all_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    if secrets_platform::process::effective_user() == 0 {
        // Root may write anywhere but on a file system that is mounted read-only.
        let script = format!(
            "mount -t tmpfs t . && cd . && cd \"$PWD\" && echo A=1 > .env && mount -o remount,ro \"$PWD\" && printf 2 | {} set A",
            crate::support::SECRETS
        );
        let done = sandbox
            .command("unshare", ["-m", "sh", "-c", &script])
            .done();
        assert_eq!(done.status, 4, "{}", done.err);
        done.says("read-only");
    } else {
        std::fs::set_permissions(sandbox.project(), std::fs::Permissions::from_mode(0o555))
            .unwrap();
        sandbox
            .secrets("set A")
            .input("2")
            .ends(4)
            .says("permission denied");
    }
    assert_eq!(sandbox.read(".env"), "A=1\n");
}

#[test]
fn a_full_disk_leaves_all_as_it_was() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; head -c 5000 /dev/zero | tr '\\0' x | {} set A",
        crate::support::SECRETS
    );
    sandbox
        .command("bash", ["-c", &script])
        .ends(1)
        .says("larger than is allowed");
    assert_eq!(sandbox.read(".env"), "A=1\n");
}

#[test]
fn without_a_terminal_nothing_waits_for_an_answer() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A B").ends(2).says("one by one");
    sandbox
        .secrets("edit")
        .env("EDITOR", "true")
        .succeeds()
        .says("nothing was changed");
    sandbox
        .secrets("edit")
        .env("PATH", "/nonexistent")
        .ends(2)
        .says("EDITOR");
    sandbox.secrets("import - --format json").ends(1);
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let sandbox = Sandbox::new();
    let script = format!(
        "{} generate -n 200000 | head -n 1 >/dev/null; echo ${{PIPESTATUS[0]}}",
        crate::support::SECRETS
    );
    let done = sandbox.command("bash", ["-c", &script]).succeeds();
    assert_eq!(done.text(), "1\n");
    assert_eq!(done.err, "");
}

#[test]
fn an_editor_writes_what_was_changed_and_leaves_no_file() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("1").succeeds();
    sandbox.secrets("set B").input("2").succeeds();
    sandbox.write("editor", "#!/bin/sh\nls -l \"$1\" | cut -c1-10 > seen\necho \"$1\" >> seen\nsed -i 's/^A=1/A=changed/; /^B=/d' \"$1\"\necho C=3 >> \"$1\"\n");
    std::fs::set_permissions(
        sandbox.path("editor"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let run = |flags: &str| {
        sandbox
            .secrets(&format!("edit {flags}"))
            .env("EDITOR", "./editor")
    };
    run("").ends(2).says("--yes");
    sandbox.secrets("get B").succeeds();
    run("--yes").succeeds().says("~ A").says("- B").says("+ C");
    sandbox.secrets("get A").succeeds().prints("changed\n");
    sandbox.secrets("get B").ends(3);
    sandbox.secrets("get C").succeeds().prints("3\n");
    let seen = sandbox.read("seen");
    assert!(seen.starts_with("-rw-------\n/dev/shm/"), "{seen}");
    assert!(!std::path::Path::new(seen.lines().nth(1).unwrap()).exists());
}

#[test]
fn what_was_pasted_in_the_wrong_place_is_not_repeated() {
    let sandbox = Sandbox::initialised();
    for words in [
        &["DATABASE_URL=postgres://u:canary@h"][..],
        &["set", "KEY", "--Canary7"],
        &["get", "KEY", "Xcanary"],
    ] {
        let done = sandbox.secrets_with(words).done();
        assert_eq!(done.status, 2, "{words:?}");
        assert!(!done.err.to_lowercase().contains("canary"), "{}", done.err);
    }
    sandbox
        .secrets("exce -- true")
        .ends(2)
        .says("unrecognized subcommand 'exce'")
        .says("'exec'");
    sandbox.secrets("get exec --bogus").ends(2);
    sandbox.write("secrets.toml", "[secrets]\nSECRET_KEY = \"canary\"\n");
    sandbox
        .secrets("list")
        .ends(2)
        .hides("canary")
        .says("secrets.toml:2:14: a table is expected here");
}

#[test]
fn a_manifest_sends_no_commands_to_the_terminal() {
    let sandbox = Sandbox::new();
    for text in [
        "[environments.dev]\nsource = [\"\\u001b]0;evil\\u0007\"]\n",
        "\"\\u001b[2Jevil\" = 1\n",
        "[project]\ndefault-environment = \"\\u001b[2Jevil\"\n",
    ] {
        sandbox.write("secrets.toml", text);
        for verb in ["list", "trust --no-input", "doctor"] {
            let done = sandbox.secrets(verb).done();
            assert!(!done.err.contains('\u{1b}'), "{verb}: {:?}", done.err);
            assert!(!done.text().contains('\u{1b}'), "{verb}: {:?}", done.text());
        }
    }
}

#[test]
fn a_name_that_is_left_out_by_mistake_is_told() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set API_KEY").input("x").succeeds();
    sandbox
        .secrets("exec --except API_KYE -- true")
        .ends(125)
        .says("did you mean `API_KEY`?");
}
