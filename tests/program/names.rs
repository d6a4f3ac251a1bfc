//! A store that calls our secrets otherwise: `[stores.x] prefix, rename`.

use crate::support::{Done, Sandbox};

const FILE: &str = "\
SHOP_DATABASE_URL=postgres://db
DJANGO_SECRET=key
OTHER=theirs
SHOP_SECRET_KEY=old
";

/// A project whose only store is `uri` under this mapping, which its person has trusted.
fn mapped(uri: &str, mapping: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    map(&sandbox, uri, mapping);
    sandbox
}

fn map(sandbox: &Sandbox, uri: &str, mapping: &str) {
    write_manifest(sandbox, uri, mapping);
    let shown = sandbox.secrets("trust --json").ends(4).json();
    let digest = shown["digest"].as_str().unwrap();
    sandbox
        .secrets(&format!("trust --accept {digest}"))
        .succeeds();
}

fn write_manifest(sandbox: &Sandbox, uri: &str, mapping: &str) {
    sandbox.write(
        "secrets.toml",
        format!("[environments.dev]\nsource = [\"x\"]\n[stores.x]\nuri = \"{uri}\"\n{mapping}\n"),
    );
}

fn shop() -> Sandbox {
    let sandbox = mapped(
        "dotenv:.env",
        "prefix = \"SHOP_\"\nrename = { SECRET_KEY = \"DJANGO_SECRET\" }",
    );
    sandbox.write(".env", FILE);
    sandbox
}

fn names(done: &Done) -> Vec<String> {
    let list = done.json();
    let rows = list["secrets"].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn secrets_are_read_and_listed_by_our_names_and_what_is_not_ours_is_not_seen() {
    let sandbox = shop();
    sandbox
        .secrets("get DATABASE_URL")
        .succeeds()
        .prints("postgres://db\n");
    sandbox.secrets("get SECRET_KEY").succeeds().prints("key\n");
    let list = sandbox.secrets("list --json").succeeds().hides("OTHER");
    assert_eq!(names(&list), ["DATABASE_URL", "SECRET_KEY"]);
    for theirs in ["SHOP_DATABASE_URL", "DJANGO_SECRET", "OTHER"] {
        sandbox.secrets(&format!("get {theirs}")).ends(3);
    }
    sandbox
        .secrets("exec --pristine -- /usr/bin/env")
        .succeeds()
        .prints("DATABASE_URL=postgres://db\nSECRET_KEY=key\n");
    sandbox
        .secrets("export --format json")
        .succeeds()
        .hides("OTHER")
        .hides("SHOP_");
}

#[test]
fn changes_are_made_under_the_stores_names_and_leave_the_rest() {
    let sandbox = shop();
    sandbox.secrets("set SECRET_KEY").input("new").succeeds();
    sandbox.secrets("set API_KEY").input("api").succeeds();
    sandbox.secrets("unset DATABASE_URL --yes").succeeds();
    assert_eq!(
        sandbox.read(".env"),
        "DJANGO_SECRET=new\nOTHER=theirs\nSHOP_SECRET_KEY=old\nSHOP_API_KEY=api\n"
    );
    let list = sandbox.secrets("list --json").succeeds();
    assert_eq!(names(&list), ["API_KEY", "SECRET_KEY"]);
}

#[test]
fn a_store_with_versions_tells_its_past_by_our_names() {
    let sandbox = Sandbox::initialised();
    map(&sandbox, "local:dev", "prefix = \"SHOP_\"");
    for value in ["first", "second"] {
        sandbox.secrets("set A").input(value).succeeds();
    }
    let history = sandbox.secrets("history A --json").succeeds().json();
    assert_eq!(history["versions"].as_array().unwrap().len(), 2);
    sandbox.secrets("rollback A --yes").succeeds();
    sandbox.secrets("get A").succeeds().prints("first\n");
    sandbox.secrets("unset A").succeeds();
    sandbox.secrets("get A").ends(3);
    sandbox.secrets("rollback A --yes").succeeds();
    sandbox.secrets("history prune A --keep 1 --yes").succeeds();
    // Without the mapping it is the store's own name.
    sandbox
        .secrets("get SHOP_A --store local:dev")
        .succeeds()
        .prints("first\n");
    sandbox.secrets("get A --store local:dev").ends(3);
}

#[test]
fn a_name_whose_form_is_another_secret_there_is_refused_and_nothing_is_written() {
    let sandbox = mapped("dotenv:.env", "rename = { SECRET_KEY = \"DJANGO_SECRET\" }");
    sandbox.write(".env", FILE);
    sandbox
        .secrets("set DJANGO_SECRET")
        .input("overwritten")
        .ends(1)
        .says("DJANGO_SECRET cannot be held")
        .says("what SECRET_KEY is called there")
        .says("dotenv:.env")
        .hides("overwritten");
    assert_eq!(sandbox.read(".env"), FILE);
    sandbox.secrets("get DJANGO_SECRET").ends(3);
}

#[test]
fn a_name_too_long_for_its_prefix_is_refused() {
    let sandbox = shop();
    let long = "L".repeat(251);
    sandbox
        .secrets(&format!("set {long}"))
        .input("v")
        .ends(1)
        .says("has 256 characters with `SHOP_` before it");
}

#[test]
fn two_names_for_one_are_refused_with_their_line() {
    let sandbox = Sandbox::new();
    write_manifest(
        &sandbox,
        "dotenv:.env",
        "[stores.x.rename]\nA = \"X\"\nB = \"X\"",
    );
    sandbox
        .secrets("list")
        .ends(2)
        .says("secrets.toml:7:")
        .says("store `x`: A and B are both called X there");
}

#[test]
fn a_mapping_that_changes_is_asked_about_again() {
    let sandbox = shop();
    sandbox.secrets("list").succeeds();
    write_manifest(
        &sandbox,
        "dotenv:.env",
        "prefix = \"SHOP_\"\nrename = { SECRET_KEY = \"OTHER\" }",
    );
    sandbox
        .secrets("list")
        .ends(4)
        .says("has changed since it was trusted");
    sandbox
        .secrets("trust")
        .ends(4)
        .says("+store x calls SECRET_KEY OTHER")
        .says("-store x calls SECRET_KEY DJANGO_SECRET");
}

#[test]
fn copying_every_change_to_mirrors_takes_a_persons_word() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\nmirrors = [\"dotenv:b.env\"]\nauto-push = true\n",
    );
    sandbox
        .secrets("trust")
        .ends(4)
        .says("environment dev copies every change to its mirrors");
}

#[test]
fn a_name_that_hijacks_a_process_is_refused_whatever_the_store_calls_it() {
    let sandbox = mapped("dotenv:.env", "rename = { LD_PRELOAD = \"HARMLESS\" }");
    sandbox.write(".env", "HARMLESS=/evil.so\n");
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("secrets trust --allow LD_PRELOAD");
    sandbox
        .secrets("export --format shell")
        .ends(4)
        .says("LD_PRELOAD");
    // And the other way round: what is a danger under its own name is none under ours.
    map(
        &sandbox,
        "dotenv:.env",
        "rename = { HARMLESS = \"LD_PRELOAD\" }",
    );
    sandbox.write(".env", "LD_PRELOAD=/evil.so\n");
    sandbox
        .secrets("exec --pristine -- /usr/bin/env")
        .succeeds()
        .prints("HARMLESS=/evil.so\n");
}

#[test]
fn a_login_s_credential_is_kept_from_the_child_under_another_name_too() {
    // The names of a store in the manifest, the prefix of the address itself, and both at once.
    for (process, child) in [
        ("uri = \"env:\"\nprefix = \"SHOP_\"", "A=a\n"),
        ("uri = \"env:?prefix=SHOP_\"", "A=a\n"),
        ("uri = \"env:?prefix=SH\"\nprefix = \"OP_\"", "A=a\n"),
        (
            "uri = \"env:?prefix=SHOP_\"\nrename = { HARMLESS = \"LOGIN\" }",
            "A=a\n",
        ),
        // Another variable, which has that name only without its prefix, is a secret like others.
        ("uri = \"env:?prefix=APP_\"", "SHOP_LOGIN=theirs\n"),
    ] {
        let sandbox = Sandbox::new();
        let manifest = format!(
            "[environments.dev]
source = [\"process\"]
mirrors = [\"hq\"]
[stores.process]
{process}
[stores.hq]
uri = \"vault:secret/shop\"
auth = {{ method = \"approle\", role-id = \"r\", secret-id = \"env:SHOP_LOGIN\" }}
"
        );
        sandbox.write("secrets.toml", manifest);
        let shown = sandbox.secrets("trust --json").ends(4).json();
        let digest = shown["digest"].as_str().unwrap();
        sandbox
            .secrets(&format!("trust --accept {digest}"))
            .succeeds();
        sandbox
            .secrets("exec --pristine -- /usr/bin/env")
            .env("SHOP_LOGIN", "canary")
            .env("SHOP_A", "a")
            .env("APP_SHOP_LOGIN", "theirs")
            .succeeds()
            .prints(child);
    }
}
