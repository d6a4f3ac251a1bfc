//! A manifest comes with the code: what it reaches beyond the project takes a person's word.

use crate::support::{SECRETS, Sandbox};

fn outside() -> Sandbox {
    let sandbox =
        Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:../outside.env\"]\n");
    sandbox.write("../outside.env", "A=1\n");
    sandbox
}

#[test]
fn what_lies_outside_is_reached_only_once_trusted_and_a_change_asks_again() {
    let sandbox = outside();
    sandbox.secrets("get A").ends(4).says("secrets trust");
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("secrets trust");
    let shown = sandbox
        .secrets("trust --json")
        .ends(4)
        .says("reads dotenv:../outside.env")
        .json();
    let digest = shown["digest"].as_str().unwrap();
    sandbox
        .secrets(&format!("trust --accept {digest}"))
        .succeeds();
    sandbox.secrets("get A").succeeds().prints("1\n");
    sandbox.write(
        "secrets.toml",
        "[environments.dev]\nsource = [\"dotenv:../other.env\"]\n",
    );
    sandbox
        .secrets("get A")
        .ends(4)
        .says("has changed since it was trusted");
    sandbox.secrets(&format!("trust --accept {digest}")).ends(5);
    sandbox
        .secrets("trust")
        .ends(4)
        .says("+environment dev reads dotenv:../other.env")
        .says("-environment dev reads dotenv:../outside.env");
}

#[test]
fn a_ci_job_trusts_exactly_one_digest() {
    let sandbox = outside();
    let shown = sandbox.secrets("trust --json").ends(4).json();
    let digest = shown["digest"].as_str().unwrap();
    sandbox
        .secrets("get A")
        .env("SECRETS_TRUST", digest)
        .succeeds()
        .prints("1\n");
    sandbox
        .secrets("get A")
        .env("SECRETS_TRUST", "0000")
        .ends(4);
}

/// A project whose `production` copies every change to these mirrors, and whose `dev` to those; both are
/// in the encrypted store. `more` stands below `production`.
fn copied(production: &str, dev: &str, more: &str) -> Sandbox {
    let sandbox = Sandbox::initialised();
    copy(&sandbox, production, dev, more);
    sandbox.trust();
    sandbox
}

fn copy(sandbox: &Sandbox, production: &str, dev: &str, more: &str) {
    let manifest = format!(
        "[project]\ndefault-environment = \"dev\"\n\
         [environments.dev]\nsource = [\"local:\"]\nauto-push = true\nmirrors = [{dev}]\n\
         [environments.production]\nsource = [\"local:\"]\nauto-push = true\nmirrors = [{production}]\n{more}\n"
    );
    sandbox.write("secrets.toml", manifest);
}

/// Whether any file beside the encrypted store holds this.
fn is_in_the_open(sandbox: &Sandbox, text: &str) -> bool {
    let holds = |bytes: &[u8]| bytes.windows(text.len()).any(|at| at == text.as_bytes());
    sandbox.files().iter().any(|(_, bytes)| holds(bytes))
}

#[test]
fn a_mirror_that_was_added_gets_nothing_before_it_is_trusted_also_inside_the_project() {
    let sandbox = copied("\"dotenv:../outside.env\"", "", "");
    sandbox
        .set("DB1 -e production -y", "first", 0)
        .says("DB1 copied to dotenv:../outside.env");
    copy(
        &sandbox,
        "\"dotenv:../outside.env\", \"dotenv:static/app.css\", \"local:dev\"",
        "",
        "",
    );
    std::fs::create_dir(sandbox.path("static")).unwrap();
    sandbox
        .secrets("trust")
        .ends(4)
        .says("+environment production is copied to dotenv:static/app.css")
        .says("+environment production is copied to local:dev");
    sandbox
        .set("DB2 -e production -y", "canary2", 8)
        .says("set, but not in every mirror: secrets.toml has changed since it was trusted")
        .says("`secrets push -e production`");
    assert!(!is_in_the_open(&sandbox, "canary2"));
    sandbox.secrets("get DB2 -e dev").ends(3);
    for line in ["push --yes", "pull --yes", "status"] {
        sandbox
            .secrets(&format!("{line} -e production"))
            .ends(4)
            .says("has changed since it was trusted")
            .says("run `secrets trust`");
    }
    // What was left is made up for once it is trusted.
    sandbox.trust();
    sandbox.secrets("push -e production --yes").succeeds();
    assert!(sandbox.read("static/app.css").contains("DB2=canary2"));
    sandbox
        .secrets("get DB2 -e dev")
        .succeeds()
        .prints("canary2\n");
}

#[test]
fn an_old_digest_pushes_to_no_mirror_that_was_added_since() {
    let sandbox = copied("\"dotenv:../outside.env\"", "", "");
    sandbox.set("DB1 -e production -y", "canary1", 0);
    let digest = sandbox.secrets("trust --json").succeeds().json()["digest"].clone();
    let digest = digest.as_str().unwrap();
    copy(
        &sandbox,
        "\"dotenv:../outside.env\", \"dotenv:app.css\", \"local:dev\"",
        "",
        "",
    );
    for line in ["push --yes", "pull --yes", "status"] {
        sandbox
            .secrets(&format!("{line} -e production"))
            .env("SECRETS_TRUST", digest)
            .ends(4)
            .says("SECRETS_TRUST holds another digest");
    }
    assert!(!sandbox.path("app.css").exists());
    sandbox.secrets("get DB1 -e dev").ends(3);
}

#[test]
fn what_an_environment_is_read_from_is_not_exchanged_under_an_old_digest() {
    let stores = "[stores.hq]\nuri = \"local:production\"\n";
    let sandbox = copied("", "\"dotenv:dev.env\"", stores);
    sandbox.set("DB1 -e production -y", "canary1", 0);
    let digest = sandbox.secrets("trust --json").succeeds().json()["digest"].clone();
    let trusted = sandbox.read("secrets.toml");
    for (from, to) in [
        ("[\"local:\"]", "[\"local:production\"]"),
        ("[\"local:\"]", "[\"hq\"]"),
        ("[\"local:\"]", "[\"local:\"]\ninherit = \"production\""),
    ] {
        sandbox.write("secrets.toml", trusted.replacen(from, to, 1));
        sandbox
            .secrets("push -e dev --yes")
            .env("SECRETS_TRUST", digest.as_str().unwrap())
            .ends(4)
            .says("SECRETS_TRUST holds another digest");
        assert!(!sandbox.path("dev.env").exists(), "{to}");
    }
}

#[test]
fn another_environment_s_document_is_no_source_before_it_is_trusted() {
    let sandbox = Sandbox::initialised();
    let manifest = |source: &str| {
        let text = format!(
            "[environments.dev]\nsource = [\"{source}\"]\n[environments.production]\nsource = [\"local:\"]\n"
        );
        sandbox.write("secrets.toml", text);
    };
    manifest("local:dev");
    sandbox.set("A -e dev", "first", 0);
    manifest("local:production");
    sandbox.set("A -e dev", "second", 4).says("secrets trust");
    sandbox
        .secrets("trust")
        .ends(4)
        .says("environment dev reads local:production");
    sandbox.secrets("get A -e production").ends(3);
}

#[test]
fn what_init_writes_needs_no_word() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    sandbox.secrets("init --no-recovery").succeeds();
    sandbox.secrets("trust").succeeds().says("nothing waits");
    sandbox.secrets("set A").input("2").succeeds();
}

#[test]
fn who_changes_an_unprotected_environment_writes_no_protected_one_unasked() {
    let sandbox = copied(
        "",
        "\"local:production\", \"dotenv:dev.env\"",
        "protected = true",
    );
    sandbox
        .set("FLAG", "canary1", 8)
        .says("local:production: not copied: production reads it and is protected")
        .says("FLAG copied to dotenv:dev.env")
        .says("to resume: `secrets push -e dev`");
    sandbox.secrets("get FLAG -e production").ends(3);
    assert_eq!(sandbox.read("dev.env"), "FLAG=canary1\n");
    sandbox
        .secrets("push -e dev")
        .ends(2)
        .says("protected: production reads it too")
        .says("--yes");
    sandbox.secrets("get FLAG -e production").ends(3);
    sandbox.secrets("push -e dev --yes").succeeds();
    sandbox
        .secrets("get FLAG -e production")
        .succeeds()
        .prints("canary1\n");
}

#[test]
fn a_yes_for_one_protected_environment_is_none_for_another() {
    let eu = "protected = true\n[environments.eu]\nsource = [\"local:\"]\nprotected = true\n";
    let sandbox = copied("\"local:eu\", \"dotenv:copy.env\"", "", eu);
    sandbox.set("FLAG -e production", "canary1", 2);
    sandbox
        .set("FLAG -e production --yes", "canary1", 8)
        .says("local:eu: not copied: eu reads it and is protected")
        .says("FLAG copied to dotenv:copy.env");
    sandbox.secrets("get FLAG -e eu").ends(3);
    sandbox
        .secrets("push -e production --dry-run")
        .succeeds()
        .says("protected: eu reads it too");
}

#[test]
fn of_a_mirror_that_guards_nothing_that_is_said_before_a_change_is_copied_there() {
    let sandbox = copied("", "\"keyring:shop\"", "");
    sandbox.write("more.env", "A=1\nB=1\n");
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers/keyring");
    let home = format!("HOME={}", sandbox.home().display());
    let words = ["env", &home, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", SECRETS];
    let import = words
        .into_iter()
        .chain(["import", "dotenv:more.env", "--yes"]);
    let done = sandbox.command(server, import).succeeds();
    let caution = "keyring:shop: unguarded: a change made meanwhile by someone else is overwritten";
    assert_eq!(done.err.matches(caution).count(), 1, "{}", done.err);
    let (before, after) = (
        done.err.find(caution),
        done.err.find("A copied to keyring:shop"),
    );
    assert!(before < after && before.is_some(), "{}", done.err);
    // One that guards is not spoken of.
    let sandbox = copied("", "\"dotenv:dev.env\"", "");
    sandbox.set("A", "canary1", 0).hides("unguarded");
}

#[test]
fn a_value_is_configuration_only_once_a_person_has_said_so() {
    let sandbox = Sandbox::initialised();
    let manifest = "[environments.dev]\nsource = [\"dotenv:.env\"]\nmirrors = [\"dotenv:b.env\"]\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.write(".env", "A=canary1\n");
    sandbox.write("b.env", "A=canary2\n");
    sandbox.trust();
    sandbox.secrets("status --json").ends(7).hides("canary");
    sandbox.write(
        "secrets.toml",
        format!("{manifest}[secrets.A]\nsensitive = false\n"),
    );
    sandbox
        .secrets("trust")
        .ends(4)
        .says("+secret A is shown in plans and reports");
    sandbox.secrets("status --json").ends(4).hides("canary");
    let typed = "push --store dotenv:.env dotenv:b.env --prefer source --dry-run";
    for (line, status) in [
        ("diff dotenv:.env dotenv:b.env", 7),
        ("diff dotenv:.env dotenv:b.env --json", 7),
        (typed, 0),
        (&format!("{typed} --json"), 0),
    ] {
        sandbox.secrets(line).ends(status).hides("canary");
    }
    sandbox.trust();
    sandbox.secrets(typed).succeeds().says("\"canary1\"");
    let report = sandbox.secrets("status --json").ends(7).json();
    let secret = &report["environments"][0]["mirrors"][0]["secrets"][0];
    assert_eq!(secret["left"]["value"], "canary1");
}

#[test]
fn what_stays_inside_the_project_needs_no_word() {
    let sandbox =
        Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:conf/.env\", \"local:\"]\n");
    sandbox.write("conf/.env", "A=1\n");
    sandbox.secrets("get A").succeeds().prints("1\n");
    sandbox.secrets("trust").succeeds().says("nothing waits");
}

#[test]
fn a_link_that_leads_out_of_the_project_is_outside() {
    let sandbox = Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:.env\"]\n");
    sandbox.write("../outside.env", "A=1\n");
    std::os::unix::fs::symlink("../outside.env", sandbox.path(".env")).unwrap();
    sandbox.secrets("get A").ends(4).says("secrets trust");
}

#[test]
fn trust_is_taken_back() {
    let sandbox = outside();
    let digest = sandbox.secrets("trust --json").ends(4).json()["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    sandbox
        .secrets(&format!("trust --accept {digest}"))
        .succeeds();
    sandbox.secrets("trust --revoke").succeeds();
    sandbox.secrets("get A").ends(4);
}

#[test]
fn a_store_typed_on_the_command_line_is_the_users_own_word() {
    let sandbox = outside();
    sandbox
        .secrets("get A --store dotenv:../outside.env")
        .succeeds()
        .prints("1\n");
}

#[test]
fn a_manifest_of_another_user_is_not_used() {
    if !rustix_is_root() {
        return assert!(
            std::env::var_os("CI").is_none(),
            "this test changes a file's owner: CI runs it as root"
        );
    }
    let sandbox = Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:.env\"]\n");
    std::os::unix::fs::chown(sandbox.path("secrets.toml"), Some(1234), None).unwrap();
    sandbox
        .secrets("list")
        .ends(4)
        .says("belongs to another user (uid 1234)");
}

fn rustix_is_root() -> bool {
    secrets_platform::process::effective_user() == 0
}
