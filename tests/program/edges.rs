//! Edges: mirrors that doctor looks at, files that are no store, a
//! machine key that is not one any more, files with several names or none who may write them.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

use secrets_testkit::web::{Reply, Request, Server};
use serde_json::json;

use crate::support::{Done, Sandbox};

const PLAIN: &str = "[environments.dev]\nsource = [\"dotenv:.env\"]\n";

/// A project that is read from `.env` and has a mirror at this Vault.
fn with_vault(address: &str) -> Sandbox {
    let sandbox = Sandbox::with_manifest(&format!(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\nmirrors = [\"hq\"]\n\
         [stores.hq]\nuri = \"vault:secret/shop\"\naddresses = [\"{address}\"]\ntimeout = \"500ms\"\n"
    ));
    sandbox.write(".env", "A=1\n");
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(sandbox.path(".env"), private).unwrap();
    sandbox
}

fn doctor(sandbox: &Sandbox, flags: &str) -> Done {
    let run = sandbox.secrets(&format!("doctor {flags}"));
    run.env("VAULT_TOKEN", "example").done()
}

#[test]
fn doctor_looks_at_mirrors_and_one_that_is_down_is_a_finding() {
    let port = secrets_testkit::servers::free_port();
    let sandbox = with_vault(&format!("http://127.0.0.1:{port}"));
    sandbox.trust();
    let done = doctor(&sandbox, "");
    assert_eq!(done.status, 7, "{}", done.text());
    let text = done.text();
    assert!(text.contains("✓ dotenv:.env"), "{text}");
    assert!(text.contains("✗ mirror hq"), "{text}");
    assert!(text.contains("cannot be reached"), "{text}");
    let report = doctor(&sandbox, "--json").json();
    let parts = report["findings"].as_array().unwrap();
    let mirror = parts.iter().find(|part| part["part"] == "mirror hq");
    assert_eq!(mirror.unwrap()["problems"].as_array().unwrap().len(), 1);
    // What was named in the source's place has no mirrors.
    let named = doctor(&sandbox, "--store dotenv:.env");
    assert_eq!(named.status, 0, "{}", named.text());
}

#[test]
fn doctor_asks_no_mirror_that_nobody_has_trusted_and_says_so() {
    let server = Server::plain(|_: &Request| Reply::json(403, &json!({"errors": []})));
    let sandbox = with_vault(&server.url());
    let done = doctor(&sandbox, "");
    assert_eq!(done.status, 7);
    assert!(done.text().contains("✗ mirror hq"), "{}", done.text());
    assert!(done.text().contains("secrets trust"), "{}", done.text());
    assert!(server.log().is_empty(), "{:?}", server.log());
    sandbox.trust();
    assert_eq!(doctor(&sandbox, "").status, 7);
    assert!(!server.log().is_empty());
}

#[test]
fn a_mirror_s_policy_is_printed_with_the_writes_it_needs() {
    let server = Server::plain(|_: &Request| Reply::empty(500));
    let sandbox = with_vault(&server.url());
    let untrusted = doctor(&sandbox, "--policy");
    assert_eq!(untrusted.status, 4, "{}", untrusted.err);
    untrusted
        .says("mirror hq is left out")
        .says("secrets trust");
    sandbox.trust();
    let done = doctor(&sandbox, "--policy");
    assert_eq!(done.status, 0, "{}", done.err);
    let text = done.text();
    assert!(text.contains("path \"secret/data/shop\""), "{text}");
    assert!(text.contains("\"create\", \"read\", \"update\""), "{text}");
    let list = doctor(&sandbox, "--policy --json").json();
    assert_eq!(list["policies"][0]["store"], "hq");
    assert!(server.log().is_empty(), "no store is asked");
}

#[test]
fn a_mirror_that_is_read_only_is_a_finding() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\nmirrors = [\"env:\"]\n",
    );
    sandbox.trust();
    let done = sandbox.secrets("doctor").ends(7);
    assert!(done.text().contains("✗ mirror env:"), "{}", done.text());
    assert!(done.text().contains("read-only"), "{}", done.text());
}

#[test]
fn no_file_that_is_committed_or_git_s_own_is_a_store() {
    let sandbox = Sandbox::initialised();
    sandbox.write("secrets.toml", PLAIN);
    sandbox.write(".env", "A=canary\n");
    sandbox.command("git", ["init", "-q"]).succeeds();
    sandbox.write(".gitattributes", "*.age -text\n");
    std::fs::create_dir(sandbox.path("conf")).unwrap();
    symlink("../secrets.toml", sandbox.path("conf/app.env")).unwrap();
    let before = sandbox.files();
    for (file, what) in [
        ("secrets.toml", "manifest, which is committed"),
        ("./conf/../secrets.toml", "manifest, which is committed"),
        ("conf/app.env", "manifest, which is committed"),
        (".gitignore", "git's own, and is committed"),
        ("conf/.gitignore", "git's own, and is committed"),
        (".gitattributes", "git's own, and is committed"),
        (".git/config", "git's own"),
        (".secrets/recipients.toml", "a part of the encrypted store"),
        (".secrets/new.env", "a part of the encrypted store"),
    ] {
        let store = format!("dotenv:{file}");
        for line in [
            format!("push {store} --yes"),
            format!("pull {store} --yes"),
            format!("sync dotenv:.env {store} --yes --first"),
            format!("set B --store {store} --yes"),
            format!("edit --store {store} --yes"),
            format!("import {store} --store dotenv:.env --yes"),
            format!("import dotenv:.env --store {store} --yes"),
            format!("list --store {store}"),
            format!("export --format json -o {file} --yes"),
        ] {
            let done = sandbox
                .secrets(&line)
                .env("EDITOR", "true")
                .input("x")
                .done();
            assert_eq!(done.status, 2, "{line}\n{}", done.err);
            done.says(what).says("hint: name a file").hides("canary");
        }
        sandbox.write(
            "secrets.toml",
            format!("[environments.dev]\nsource = [\"{store}\"]\n"),
        );
        sandbox.secrets("exec -- true").ends(125).says(what);
        sandbox.write("secrets.toml", PLAIN);
    }
    let written = |files: &[(std::path::PathBuf, Vec<u8>)]| {
        let of_project = |path: &std::path::Path| path.starts_with(sandbox.project());
        let files = files.iter().filter(|(path, _)| of_project(path));
        files.cloned().collect::<std::collections::BTreeMap<_, _>>()
    };
    assert_eq!(written(&sandbox.files()), written(&before));
}

#[test]
fn an_ignored_file_stays_a_store_whatever_its_name_begins_with() {
    let sandbox = Sandbox::with_manifest(PLAIN);
    sandbox.write(".env", "A=1\n");
    for file in ["secrets.toml.env", "gitignore.env", ".env.git"] {
        let line = format!("push dotenv:{file} --yes");
        sandbox.secrets(&line).succeeds();
        assert_eq!(sandbox.read(file), "A=1\n");
    }
}

#[test]
fn doctor_says_whether_git_tracks_a_file_that_holds_secrets() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\nmirrors = [\"dotenv:conf/app.env\"]\n\
         [secrets.DEBUG]\nsensitive = false\n",
    );
    for file in [".env", "conf/app.env"] {
        sandbox.write(file, "A=1\n");
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(sandbox.path(file), private).unwrap();
    }
    sandbox.trust();
    let git = |words: &str| sandbox.command("git", words.split(' ')).succeeds();
    let told = |status: i32, text: &str| {
        let done = sandbox.secrets("doctor").ends(status);
        assert!(done.text().contains(text), "{text}\n{}", done.text());
        done.text()
    };
    assert!(!told(0, "✓ mirror dotenv:conf/app.env").contains("git"));
    // A program that the repository's configuration names is not run for it.
    git("init -q");
    sandbox.write("spy", "#!/bin/sh\ntouch spied\n");
    std::fs::set_permissions(sandbox.path("spy"), std::fs::Permissions::from_mode(0o755)).unwrap();
    git("config core.fsmonitor ./spy");
    told(7, "git does not ignore .env");
    told(7, "`secrets init` adds it to .gitignore");
    told(7, "git does not ignore conf/app.env");
    told(7, "add /conf/app.env to .gitignore");
    assert!(!sandbox.path("spied").exists());
    git("config --unset core.fsmonitor");
    sandbox.write(".gitignore", ".env\n/conf/app.env\n");
    assert!(told(0, "git: ignores it").contains("✓ mirror dotenv:conf/app.env"));
    git("add -f .env");
    told(
        7,
        "git tracks .env: whoever has the repository has what is in it",
    );
    told(7, "git rm --cached .env");
    // What is declared to be no secret may be committed.
    sandbox.write(".env", "DEBUG=1\n");
    told(0, "git: tracks it; it holds configuration alone");
}

#[test]
fn a_machine_key_that_cannot_be_used_stops_a_sync_and_is_left_as_it_is() {
    let sandbox = Sandbox::with_manifest(PLAIN);
    sandbox.write(".env", "A=1\n");
    sandbox
        .secrets("sync dotenv:.env dotenv:two.env --yes --first")
        .succeeds();
    let state = sandbox.home().join(".local/state/secrets");
    let key = state.join("machine-key");
    let good = std::fs::read(&key).unwrap();
    let [base] = sandbox.bases().try_into().unwrap();
    let remembered = std::fs::read(&base).unwrap();
    let refused = |what: &str, exit: i32, hint: &str| {
        sandbox.write(".env", "A=2\n");
        for line in [
            "sync dotenv:.env dotenv:two.env --yes --first",
            "push dotenv:two.env --yes",
            "diff dotenv:.env dotenv:two.env",
        ] {
            sandbox.secrets(line).ends(exit).says(what).says(hint);
        }
        assert_eq!(sandbox.read("two.env"), "A=1\n");
        assert_eq!(sandbox.bases(), [&*base], "{what}");
        assert_eq!(std::fs::read(&base).unwrap(), remembered, "{what}");
        let told = sandbox.secrets("doctor").ends(7).text();
        assert!(
            told.contains("✗ machine key") && told.contains(what),
            "{told}"
        );
        // What keeps nothing under it goes on.
        sandbox.secrets("exec -- true").succeeds();
        sandbox.secrets("set B").input("3").succeeds();
        sandbox.secrets("list").succeeds();
    };
    std::fs::write(&key, &good[..12]).unwrap();
    refused("is damaged: 12 bytes, not 32", 1, "put the key back");
    assert_eq!(std::fs::read(&key).unwrap(), &good[..12]);
    std::fs::write(&key, &good).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    refused("others may read the machine key", 4, "chmod 600");
    std::fs::remove_file(&key).unwrap();
    std::fs::create_dir(&key).unwrap();
    refused("is a folder", 2, "put the key back");
    std::fs::remove_dir(&key).unwrap();
    // Put back it is what it was: the change is passed on with no question.
    std::fs::write(&key, &good).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.write(".env", "A=2\n");
    sandbox
        .secrets("sync dotenv:.env dotenv:two.env --yes --no-keep")
        .succeeds();
    assert_eq!(sandbox.read("two.env"), "A=2\n");
}

#[test]
fn no_environment_takes_the_name_of_another_s_replaced_values() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"local:\"]\n[environments.\"dev.replaced\"]\nsource = [\"local:\"]\n",
    );
    sandbox
        .secrets("list -e dev")
        .ends(2)
        .says("secrets.toml:3:")
        .says("what is replaced in `dev` is kept under that name")
        .says("dev-replaced");
    let fresh = Sandbox::new();
    fresh
        .secrets("init --no-recovery -e dev.replaced")
        .ends(2)
        .says("no environment is called `dev.replaced`");
    assert!(!fresh.path("secrets.toml").exists());
}

#[test]
fn a_read_only_file_is_not_written_and_says_what_to_type() {
    let sandbox = Sandbox::with_manifest(PLAIN);
    sandbox.write(".env", "A=1\n");
    std::fs::set_permissions(sandbox.path(".env"), std::fs::Permissions::from_mode(0o400)).unwrap();
    let hint = "hint: if it is to be changed: chmod u+w";
    sandbox
        .secrets("set A")
        .input("2")
        .ends(4)
        .says("read-only (mode 400)")
        .says(hint);
    sandbox.write("two.env", "A=2\n");
    let line = "sync dotenv:two.env dotenv:.env --yes --prefer left --no-keep";
    sandbox.secrets(line).ends(4).says("read-only (mode 400)");
    sandbox.secrets("get A").succeeds().prints("1\n");
    sandbox.secrets("exec -- true").succeeds();
    std::fs::set_permissions(sandbox.path(".env"), std::fs::Permissions::from_mode(0o600)).unwrap();
    sandbox.secrets("set A").input("2").succeeds();
}

#[test]
fn other_names_of_a_file_that_is_written_are_told_once() {
    let sandbox = Sandbox::with_manifest(PLAIN);
    sandbox.write(".env", "A=1\n");
    std::fs::hard_link(sandbox.path(".env"), sandbox.path("kept.env")).unwrap();
    let told = "had another name (a hard link), which keeps the old content";
    // Nothing is changed, nothing is told.
    sandbox
        .secrets("set A")
        .input("1")
        .succeeds()
        .hides("hard link");
    let first = sandbox.secrets("set A").input("2").succeeds();
    assert_eq!(first.err.matches(told).count(), 1, "{}", first.err);
    assert_eq!(sandbox.read("kept.env"), "A=1\n");
    assert_eq!(std::fs::metadata(sandbox.path(".env")).unwrap().nlink(), 1);
    sandbox
        .secrets("set A")
        .input("3")
        .succeeds()
        .hides("hard link");
    for other in ["three.env", "four.env"] {
        std::fs::hard_link(sandbox.path(".env"), sandbox.path(other)).unwrap();
    }
    sandbox.write("two.env", "B=1\n");
    let line = "sync dotenv:two.env dotenv:.env --yes --first";
    let copied = sandbox.secrets(line).succeeds();
    copied.says("had 2 other names (hard links), which keep the old content");
}
