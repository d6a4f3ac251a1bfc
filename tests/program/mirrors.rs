//! `push`, `pull` and `status`: an environment's source and its mirrors; environments beside one another.

use serde_json::json;

use crate::support::{Done, Run, SECRETS, Sandbox, just_now};

/// A project with an encrypted store, whose `dev` is read from `.env` and has these mirrors.
fn mirrored(mirrors: &str) -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "secrets.toml",
        format!(
            "[project]\ndefault-environment = \"dev\"\n\
             [environments.dev]\nsource = [\"dotenv:.env\"]\nmirrors = [{mirrors}]\n\
             [stores.down]\nuri = \"vault:secret/shop\"\naddresses = [\"http://127.0.0.1:{}\"]\ntimeout = \"200ms\"\n",
            secrets_testkit::servers::free_port()
        ),
    );
    sandbox.write(".env", "A=1\nB=1\n");
    sandbox.trust();
    sandbox
}

/// Runs with a token for the store that is down.
fn run(sandbox: &Sandbox, line: &str) -> Done {
    sandbox.secrets(line).env("VAULT_TOKEN", "example").done()
}

#[track_caller]
fn ends(sandbox: &Sandbox, line: &str, status: i32) -> Done {
    let done = run(sandbox, line);
    assert_eq!(done.status, status, "{line}\n{}\n{}", done.text(), done.err);
    done
}

/// The command that a hint says resumes.
fn resuming(done: &Done) -> String {
    let rest = done.err.split("to resume: `").nth(1).unwrap();
    rest.split('`').next().unwrap().to_owned()
}

/// Runs a printed command, with the same token.
fn typed<'a>(sandbox: &'a Sandbox, line: &str) -> Run<'a> {
    sandbox.typed(line).env("VAULT_TOKEN", "example")
}

#[test]
fn a_push_copies_the_source_to_every_mirror_and_never_writes_it() {
    let sandbox = mirrored("\"dotenv:one.env\", \"dotenv:two.env\"");
    ends(&sandbox, "push --yes", 0)
        .says("# dotenv:.env → dotenv:one.env")
        .says("2 secrets written to dotenv:two.env");
    for file in [".env", "one.env", "two.env"] {
        assert_eq!(sandbox.read(file), "A=1\nB=1\n", "{file}");
    }
    sandbox.write("one.env", "A=1\nB=2\nOWN=1\n");
    ends(&sandbox, "push --yes", 5)
        .says("changed in the mirror alone")
        .says("`secrets pull dotenv:one.env");
    ends(&sandbox, "push --yes --prefer source", 0).says("only in the mirror: left alone");
    assert_eq!(sandbox.read("one.env"), "A=1\nB=1\nOWN=1\n");
    assert_eq!(sandbox.read(".env"), "A=1\nB=1\n");
}

#[test]
fn a_pull_takes_what_a_mirror_has_and_never_writes_it() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    ends(&sandbox, "push --yes", 0);
    sandbox.write("one.env", "A=1\nB=2\nNEW=1\n");
    ends(&sandbox, "pull --yes", 0).says("# dotenv:.env ← dotenv:one.env");
    assert_eq!(sandbox.read(".env"), "A=1\nB=2\nNEW=1\n");
    sandbox.write(".env", "A=3\nB=2\nNEW=1\n");
    ends(&sandbox, "pull --yes", 5).says("changed in the source alone");
    ends(&sandbox, "pull --yes --prefer mirror", 0);
    assert_eq!(sandbox.read(".env"), "A=1\nB=2\nNEW=1\n");
    assert_eq!(sandbox.read("one.env"), "A=1\nB=2\nNEW=1\n");
}

#[test]
fn a_pull_from_one_of_several_names_it() {
    let sandbox = mirrored("\"dotenv:one.env\", \"dotenv:two.env\"");
    sandbox.write("two.env", "A=1\nB=1\nC=1\n");
    ends(&sandbox, "pull --yes", 2)
        .says("several mirrors")
        .says("dotenv:one.env, dotenv:two.env");
    ends(&sandbox, "pull dotenv:two.env --yes", 0);
    assert_eq!(sandbox.read(".env"), "A=1\nB=1\nC=1\n");
}

#[test]
fn a_source_can_be_named_in_place_of_the_environment_s() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    sandbox.write("other.env", "X=1\n");
    ends(
        &sandbox,
        "push --store dotenv:other.env dotenv:two.env --yes",
        0,
    );
    assert_eq!(sandbox.read("two.env"), "X=1\n");
    ends(
        &sandbox,
        "pull --store dotenv:three.env dotenv:two.env --yes",
        0,
    );
    assert_eq!(sandbox.read("three.env"), "X=1\n");
}

#[test]
fn what_counts_in_a_push_cannot_be_the_mirror() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    ends(&sandbox, "push --prefer mirror", 2).says("`secrets pull --prefer mirror`");
    ends(&sandbox, "pull --prefer source", 2).says("`secrets push --prefer source`");
    ends(&sandbox, "push --prefer nothing", 2).says("source or mirror");
}

#[test]
fn a_source_that_is_not_there_is_no_deletion_of_all_it_held() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    ends(&sandbox, "push --yes", 0);
    std::fs::remove_file(sandbox.path(".env")).unwrap();
    ends(&sandbox, "push --yes --delete", 3).says("dotenv:.env is not there");
    assert_eq!(sandbox.read("one.env"), "A=1\nB=1\n");
    ends(&sandbox, "pull dotenv:nowhere.env --yes", 3).says("dotenv:nowhere.env is not there");
}

#[test]
fn an_environment_without_mirrors_says_how_to_name_a_store() {
    let sandbox = mirrored("");
    ends(&sandbox, "push", 2).says("`secrets push STORE`");
    ends(&sandbox, "pull", 2).says("`secrets pull STORE`");
    ends(&sandbox, "push env:", 2).says("env: is read-only");
    ends(&sandbox, "pull --store env: dotenv:.env", 2).says("env: is read-only");
    ends(&sandbox, "push dotenv:./.env", 2).says("same store");
}

#[test]
fn many_names_that_only_a_mirror_has_are_told_in_one_line() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    let own: String = (0..20).map(|n| format!("OWN_{n}=1\n")).collect();
    sandbox.write("one.env", own);
    ends(&sandbox, "push --dry-run", 0)
        .says("20 only in the mirror: left alone")
        .hides("OWN_7");
    ends(&sandbox, "push --dry-run -v", 0).says("OWN_7");
}

#[test]
fn a_deletion_in_the_source_reaches_the_mirror_with_delete() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    ends(&sandbox, "push --yes", 0);
    sandbox.write(".env", "A=1\n");
    ends(&sandbox, "push --yes", 0).says("deleted in the source; --delete passes it on");
    ends(&sandbox, "status", 7).says_out("1 to delete");
    ends(&sandbox, "push --yes --delete", 0).says("1 secret removed from dotenv:one.env");
    assert_eq!(sandbox.read("one.env"), "A=1\n");
    ends(&sandbox, "status", 0);
}

#[test]
fn a_protected_environment_s_mirror_is_written_after_a_yes_and_its_source_too() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    let manifest = sandbox
        .read("secrets.toml")
        .replace("mirrors = ", "protected = true\nmirrors = ");
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    ends(&sandbox, "push", 2).says("--yes");
    ends(&sandbox, "push --yes", 0);
    sandbox.write("one.env", "A=2\nB=1\n");
    ends(&sandbox, "pull", 2).says("--yes");
    assert_eq!(sandbox.read(".env"), "A=1\nB=1\n");
    // Also where it is reached by its address, from another environment.
    let manifest = sandbox.read("secrets.toml") + "[environments.other]\nsource = [\"local:\"]\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    ends(
        &sandbox,
        "pull -e other --store dotenv:.env dotenv:one.env --dry-run --prefer mirror",
        0,
    )
    .says("protected: dev reads it too");
}

#[test]
fn a_store_without_a_guard_says_so_before_it_is_written() {
    let sandbox = mirrored("");
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers/keyring");
    let home = format!("HOME={}", sandbox.home().display());
    let words = ["env", &home, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", SECRETS];
    let push = |flag: &str| {
        let words = words.into_iter().chain(["push", "keyring:shop", flag]);
        sandbox.command(server, words).succeeds()
    };
    let caution = "unguarded: a change made meanwhile by someone else is overwritten";
    push("--dry-run").says(caution);
    let done = push("--yes").says(caution);
    let (before, after) = (done.err.find(caution), done.err.find("written to"));
    assert!(before < after, "{}", done.err);
}

#[test]
fn a_mirror_that_is_down_holds_up_no_other_and_the_printed_command_resumes() {
    let sandbox = mirrored("\"down\", \"dotenv:one.env?dialect=docker\"");
    let done = ends(&sandbox, "push --yes --only A,B*", 8)
        .says("down: not synced")
        .says("2 secrets written, one store was not reached");
    assert_eq!(sandbox.read("one.env"), "A=1\nB=1\n");
    let again = resuming(&done);
    assert_eq!(again, "secrets push --only 'A,B*' --yes");
    typed(&sandbox, &again).ends(8);
    // Alone it is not partly done, but not done.
    ends(&sandbox, "push down --yes", 6).says("down");
}

#[test]
fn what_was_left_is_made_up_by_the_printed_command() {
    let sandbox = mirrored("\"dotenv:broken.env?dialect=shell\", \"dotenv:one.env\"");
    sandbox.write("broken.env", "A=$(date)\n");
    let line = "push dotenv:broken.env?dialect=shell dotenv:one.env --yes --store dotenv:.env";
    let done = ends(&sandbox, line, 8);
    let again = resuming(&done);
    assert!(
        again.contains("'dotenv:broken.env?dialect=shell'"),
        "{again}"
    );
    std::fs::remove_file(sandbox.path("broken.env")).unwrap();
    typed(&sandbox, &again).succeeds();
    assert_eq!(sandbox.read("broken.env"), "A=1\nB=1\n");
}

#[test]
fn a_partial_end_is_told_in_json_mirror_by_mirror() {
    let sandbox = mirrored("\"down\", \"dotenv:one.env\"");
    let report = ends(&sandbox, "push --yes --json", 8).json();
    assert_eq!(report["written"], true);
    assert!(
        report["error"]
            .as_str()
            .unwrap()
            .contains("2 secrets written")
    );
    let [down, one] = report["pairs"].as_array().unwrap().as_slice() else {
        panic!("{report}");
    };
    assert!(down["error"].as_str().unwrap().contains("vault"), "{down}");
    assert_eq!(down["in-step"], false);
    assert_eq!(one["direction"], "right");
    assert_eq!(one["secrets"][0]["outcome"], "done");
    assert_eq!(one["error"], json!(null));
}

#[test]
fn status_is_a_table_of_environments_and_stores_and_ends_with_7_on_drift() {
    let sandbox = mirrored("\"dotenv:one.env\", \"dotenv:two.env\"");
    let manifest = sandbox.read("secrets.toml")
        + "[environments.other]\nsource = [\"dotenv:.env\", \"local:\"]\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    ends(&sandbox, "status", 7)
        .says_out("2 to create")
        .says("`secrets push -e dev`");
    ends(&sandbox, "push --yes", 0);
    let done = ends(&sandbox, "status", 0);
    assert_eq!(
        just_now(&done.text()),
        "\
ENVIRONMENT  STORE                     ROLE    SECRETS  SYNCED  STATE
dev          dotenv:.env               source  2
dev          dotenv:one.env            mirror  2        0s ago  in step
dev          dotenv:two.env            mirror  2        0s ago  in step
other        dotenv:.env, local:other  source  2                no mirrors
"
    );
    sandbox.write(".env", "A=2\nB=2\nC=1\n");
    sandbox.write("two.env", "A=1\nB=3\nOWN=1\n");
    let text = ends(&sandbox, "status", 7).text();
    assert!(text.contains("1 to create, 2 to change"), "{text}");
    assert!(
        text.contains("1 to create, 1 to change, 1 in conflict, 1 only here"),
        "{text}"
    );
}

#[test]
fn status_is_asked_about_one_environment_one_source_or_some_names() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    let manifest = sandbox.read("secrets.toml")
        + "[environments.other]\nsource = [\"dotenv:.env\"]\nmirrors = [\"dotenv:two.env\"]\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    ends(&sandbox, "push --yes", 0);
    ends(&sandbox, "status", 7);
    ends(&sandbox, "status -e dev", 0).hides("two.env");
    ends(&sandbox, "status -e other", 7).hides("one.env");
    sandbox.write("three.env", "A=9\nB=1\n");
    ends(&sandbox, "status -e dev --store dotenv:three.env", 7).says_out("1 in conflict");
    sandbox.write(".env", "A=2\nB=1\n");
    ends(&sandbox, "status -e dev --only B", 0);
    ends(&sandbox, "status -e dev --except A", 0);
    ends(&sandbox, "status --only NOPE", 3);
    ends(&sandbox, "status -e nope", 2).says("no environment `nope`");
}

#[test]
fn a_mirror_that_is_down_is_said_and_hides_no_drift() {
    let sandbox = mirrored("\"down\", \"dotenv:one.env\"");
    let done = ends(&sandbox, "status", 7).says("warning: down: ");
    let text = done.text();
    assert!(
        text.contains("unavailable") && text.contains("2 to create"),
        "{text}"
    );
    ends(&sandbox, "push --yes", 8);
    // Without drift elsewhere it is its own code that ends it.
    ends(&sandbox, "status", 6).says_out("in step");
    let report = ends(&sandbox, "status --json", 6).json();
    assert_eq!(report["drift"], false);
    let mirrors = &report["environments"][0]["mirrors"];
    assert!(mirrors[0]["error"].is_string(), "{report}");
    assert_eq!(mirrors[1]["in-step"], true);
}

#[test]
fn status_in_json_holds_what_each_mirror_lacks() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    sandbox.write("one.env", "A=1\n");
    let report = ends(&sandbox, "status --json", 7).hides("\"value\"").json();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["drift"], true);
    let dev = &report["environments"][0];
    assert_eq!(
        (&dev["environment"], &dev["secrets"]),
        (&json!("dev"), &json!(2))
    );
    let secrets = dev["mirrors"][0]["secrets"].as_array().unwrap();
    let steps: Vec<_> = secrets.iter().map(|s| (&s["name"], &s["step"])).collect();
    assert_eq!(
        steps,
        [
            (&json!("A"), &json!("same")),
            (&json!("B"), &json!("create"))
        ]
    );
}

#[test]
fn status_changes_nothing_and_works_without_a_manifest() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    ends(&sandbox, "status", 0).says_out("no mirrors");
    let before = sandbox.files();
    ends(&sandbox, "status", 0);
    assert_eq!(sandbox.files(), before);
    ends(&Sandbox::new(), "status", 2).says("secrets init");
}

#[test]
fn a_manifest_without_trust_reaches_no_mirror() {
    let sandbox = mirrored("\"down\"");
    let manifest = sandbox.read("secrets.toml").replace("/shop", "/other");
    sandbox.write("secrets.toml", manifest);
    for line in ["status", "push --yes", "pull --yes"] {
        ends(&sandbox, line, 4).says("secrets trust");
    }
}

#[test]
fn environments_are_compared_layer_over_layer_and_written_where_the_value_is() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "secrets.toml",
        "[environments.dev]\nsource = [\"dotenv:.env\", \"local:\"]\n\
         [environments.staging]\ninherit = \"base\"\nsource = [\"dotenv:staging.env\"]\n\
         [environments.base]\nsource = [\"dotenv:base.env\"]\n",
    );
    sandbox.write(".env", "A=1\n");
    sandbox
        .secrets("set B --store local:dev")
        .input("1")
        .succeeds();
    sandbox.write("base.env", "BASE=1\nA=1\nB=1\n");
    sandbox.write("staging.env", "");
    sandbox.write("c.env", "A=1\nB=1\n");
    sandbox.secrets("sync dev dotenv:c.env").succeeds();
    sandbox.write("c.env", "A=2\nB=2\nNEW=2\n");
    let done = sandbox
        .secrets("sync dev dotenv:c.env --yes --first")
        .succeeds();
    assert!(done.err.contains("in dotenv:.env") && done.err.contains("in local:"));
    // The layer that supplies a name is written; a new one goes to the last.
    assert_eq!(sandbox.read(".env"), "A=2\n");
    for name in ["B", "NEW"] {
        sandbox
            .secrets(&format!("get {name} --store local:dev"))
            .succeeds()
            .prints("2\n");
    }
    // What is inherited belongs to another environment.
    sandbox
        .secrets("sync staging dotenv:c.env --yes --first --prefer right")
        .succeeds();
    assert_eq!(sandbox.read("base.env"), "BASE=1\nA=1\nB=1\n");
    assert_eq!(sandbox.read("staging.env"), "A=2\nB=2\nNEW=2\n");
    sandbox.secrets("diff staging dev").ends(7);
}

#[test]
fn environments_that_inherit_alike_are_compared_in_what_they_make_of_it() {
    let sandbox = Sandbox::with_manifest(
        "[environments.base]\nsource = [\"dotenv:base.env\"]\n\
         [environments.staging]\ninherit = \"base\"\nsource = [\"dotenv:staging.env\"]\n\
         [environments.production]\ninherit = \"base\"\nsource = [\"dotenv:production.env\"]\n",
    );
    sandbox.write("base.env", "A=1\nB=1\n");
    sandbox.write("staging.env", "");
    sandbox.write("production.env", "B=1\n");
    sandbox.secrets("diff staging production").succeeds();
    sandbox.secrets("sync staging production").succeeds();
    sandbox.write("production.env", "B=2\n");
    sandbox.secrets("diff staging production").ends(7);
    sandbox.secrets("diff base production").ends(7);
    sandbox
        .secrets("sync staging production --yes --no-keep")
        .succeeds()
        .says("in dotenv:staging.env");
    assert_eq!(sandbox.read("staging.env"), "B=2\n");
    assert_eq!(sandbox.read("base.env"), "A=1\nB=1\n");
    // What an environment is read from is no mirror of it.
    sandbox
        .secrets("push -e production dotenv:base.env --yes")
        .ends(2)
        .says("dotenv:base.env is on both sides");
}

#[test]
fn each_verb_can_be_used_from_its_help_alone() {
    let sandbox = Sandbox::new();
    for (verb, needed) in [
        ("diff", ["Exits 0", "--reveal", "Examples:"]),
        ("status", ["Exits 0", "fit for CI", "Examples:"]),
        ("sync", ["--prefer", "--first", "Examples:"]),
        ("push", ["--prefer", "secrets pull", "Examples:"]),
        ("pull", ["--prefer", "secrets push", "Examples:"]),
    ] {
        let help = sandbox.secrets(&format!("{verb} --help")).succeeds().text();
        for text in needed {
            assert!(help.contains(text), "{verb}: {text}\n{help}");
        }
    }
}

#[test]
fn what_a_push_remembered_is_known_where_the_environment_is_named_and_the_mirror_typed() {
    let sandbox = Sandbox::with_manifest(
        "[project]\ndefault-environment = \"dev\"\n\
         [environments.dev]\nsource = [\"dotenv:dev.env\"]\n\
         [environments.staging]\nsource = [\"dotenv:s.env\"]\nmirrors = [\"dotenv:m.env\"]\n",
    );
    sandbox.trust();
    sandbox.write("s.env", "A=1\nB=2\n");
    sandbox.secrets("push -e staging --yes").succeeds();
    for words in ["diff staging dotenv:m.env", "diff dotenv:m.env staging"] {
        let shown = sandbox.secrets(words).succeeds().text();
        assert!(shown.contains("(synced "), "{shown}");
    }
}
