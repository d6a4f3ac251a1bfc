use crate::support::Sandbox;

const BOTH: &str = "[environments.dev]\nsource = [\"dotenv:.env\", \"dotenv:.env.local\"]\n";

#[test]
fn a_value_from_standard_input_loses_one_final_newline_and_no_more() {
    let sandbox = Sandbox::initialised();
    sandbox
        .secrets("set A")
        .input("one\n\n")
        .succeeds()
        .says("A set in local:");
    sandbox.secrets("get A --raw").succeeds().prints("one\n");
    sandbox
        .secrets("set A --raw")
        .input("one\n")
        .succeeds()
        .says("A replaced in local:");
    sandbox.secrets("get A --raw").succeeds().prints("one\n");
    sandbox.secrets("get A").succeeds().prints("one\n\n");
}

#[test]
fn a_file_is_taken_byte_for_byte() {
    let sandbox = Sandbox::initialised();
    let bytes = [0_u8, 255, 10, 13, 10];
    sandbox.write("key.bin", bytes);
    sandbox.secrets("set KEY --from-file key.bin").succeeds();
    assert_eq!(sandbox.secrets("get KEY --raw").succeeds().out, bytes);
    assert_eq!(
        sandbox.secrets("get KEY --json").succeeds().json()["base64"],
        "AP8KDQo="
    );
}

#[test]
fn a_generated_value_never_silently_replaces_one() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set SECRET_KEY --generate").succeeds();
    let first = sandbox.secrets("get SECRET_KEY").succeeds().text();
    assert_eq!(first.trim_end().len(), 50);
    sandbox
        .secrets("set SECRET_KEY --generate")
        .ends(2)
        .says("--yes");
    assert_eq!(sandbox.secrets("get SECRET_KEY").succeeds().text(), first);
    sandbox
        .secrets("set SECRET_KEY --generate --yes")
        .succeeds();
    assert_ne!(sandbox.secrets("get SECRET_KEY").succeeds().text(), first);
}

#[test]
fn a_value_in_argv_is_refused_unless_the_name_is_no_secret() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\n[secrets.DEBUG]\nsensitive = false\n",
    );
    let refused = sandbox.secrets("set TOKEN=hunter2canary").ends(2);
    refused.says("secrets set TOKEN").hides("hunter2canary");
    sandbox.secrets("set DEBUG=true").succeeds();
    sandbox.secrets("get DEBUG").succeeds().prints("true\n");
}

#[test]
fn an_empty_value_takes_a_word_of_its_own() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").ends(2).says("--allow-empty");
    sandbox.secrets("set A --allow-empty").succeeds();
    sandbox.secrets("get A --raw").succeeds().prints("");
}

#[test]
fn later_layers_win_and_a_change_goes_to_the_layer_that_supplies_the_name() {
    let sandbox = Sandbox::with_manifest(BOTH);
    sandbox.write(".env", "A=low\nB=low\n");
    sandbox.write(".env.local", "A=high\n");
    sandbox.secrets("get A").succeeds().prints("high\n");
    sandbox.secrets("get B").succeeds().prints("low\n");
    sandbox
        .secrets("set B")
        .input("new")
        .succeeds()
        .says("dotenv:.env\n");
    assert_eq!(sandbox.read(".env"), "A=low\nB=new\n");
    sandbox.secrets("set C").input("c").succeeds();
    assert_eq!(sandbox.read(".env.local"), "A=high\nC=c\n");
    sandbox
        .secrets("unset A --yes")
        .succeeds()
        .says("A now has its value from dotenv:.env");
    sandbox.secrets("get A").succeeds().prints("low\n");
}

#[test]
fn an_edit_touches_nothing_but_its_line() {
    let sandbox = Sandbox::new();
    let before = "\u{feff}# shop\r\nexport A = 'x' # first\r\n\r\nB=\"two\\nlines\"\r\nC";
    sandbox.write(".env", before);
    sandbox.secrets("set D").input("d").succeeds();
    let after = sandbox.read(".env");
    assert!(after.starts_with(before), "{after:?}");
    sandbox.secrets("set A").input("y").succeeds();
    let changed = sandbox.read(".env");
    assert!(changed.starts_with("\u{feff}# shop\r\n"), "{changed:?}");
    assert!(
        changed.contains("\r\n\r\nB=\"two\\nlines\"\r\nC"),
        "{changed:?}"
    );
    sandbox.secrets("get A").succeeds().prints("y\n");
}

#[test]
fn list_shows_names_and_never_a_value() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("listcanary").succeeds();
    sandbox.secrets("list").succeeds().hides("listcanary");
    let json = sandbox
        .secrets("list --json")
        .succeeds()
        .hides("listcanary")
        .json();
    assert_eq!(json["schema"], 1);
    assert_eq!(json["secrets"][0]["name"], "A");
    assert_eq!(json["secrets"][0]["store"], "local:");
}

#[test]
fn a_missing_name_is_answered_with_the_nearest() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set SECRET_KEY").input("x").succeeds();
    sandbox
        .secrets("get SECRET_KYE")
        .ends(3)
        .says("did you mean `SECRET_KEY`?");
    sandbox
        .secrets("unset ELEPHANT")
        .ends(3)
        .says("secrets set ELEPHANT");
}

#[test]
fn an_unset_in_a_dry_run_removes_nothing() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("x").succeeds();
    sandbox
        .secrets("unset A --dry-run")
        .succeeds()
        .says("nothing was changed");
    sandbox.secrets("get A").succeeds().prints("x\n");
    sandbox.secrets("unset A").succeeds();
    sandbox.secrets("get A").ends(3);
}

#[test]
fn a_protected_environment_asks_first() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\nprotected = true\n",
    );
    sandbox.secrets("set A").input("x").ends(2).says("--yes");
    assert!(!sandbox.path(".env").exists());
    sandbox.secrets("set A --yes").input("x").succeeds();
    assert_eq!(sandbox.read(".env"), "A=x\n");
}

#[test]
fn without_a_manifest_a_bare_env_file_is_enough() {
    let sandbox = Sandbox::new();
    sandbox.secrets("get A").ends(2).says("secrets init");
    sandbox.write(".env", "A=1\n");
    sandbox.secrets("get A").succeeds().prints("1\n");
    sandbox
        .secrets("get B --store env:")
        .env("B", "2")
        .succeeds()
        .prints("2\n");
}

#[test]
fn bytes_are_kept_as_base64_where_the_manifest_says_so() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\n[secrets.KEY]\nencoding = \"base64\"\n",
    );
    sandbox.write("key.bin", [0_u8, 1, 255]);
    sandbox
        .secrets("set OTHER --from-file key.bin")
        .ends(1)
        .says("OTHER");
    sandbox.secrets("set KEY --from-file key.bin").succeeds();
    assert_eq!(sandbox.read(".env"), "KEY=AAH/\n");
    assert_eq!(sandbox.secrets("get KEY --raw").succeeds().out, [0, 1, 255]);
}

const INHERITING: &str = "[environments.dev]\nsource = [\"local:\"]\n\
    [environments.production]\ninherit = \"dev\"\nsource = [\"local:\"]\nprotected = true\n";

#[test]
fn what_is_inherited_is_read_and_never_written() {
    let sandbox = Sandbox::initialised();
    sandbox.write("secrets.toml", INHERITING);
    sandbox
        .secrets("set KEY -e dev --yes")
        .input("dev")
        .succeeds();
    sandbox
        .secrets("get KEY -e production -v")
        .succeeds()
        .prints("dev\n")
        .says("local:dev, local:");
    sandbox
        .secrets("unset KEY -e production --yes")
        .ends(2)
        .says("inherited from dev");
    sandbox
        .secrets("set KEY -e production --yes")
        .input("production")
        .succeeds();
    sandbox.secrets("get KEY -e dev").succeeds().prints("dev\n");
    sandbox
        .secrets("get KEY -e production")
        .succeeds()
        .prints("production\n");
    assert!(sandbox.path(".secrets/production.age").exists());
}

#[test]
fn a_protected_environment_s_store_asks_however_it_is_reached() {
    let sandbox = Sandbox::initialised();
    sandbox.write("secrets.toml", INHERITING);
    for line in [
        "set KEY -e production",
        "set KEY -e dev --store local:production",
    ] {
        sandbox.secrets(line).input("x").ends(2).says("--yes");
        sandbox
            .secrets(&format!("{line} --yes"))
            .input("x")
            .succeeds();
    }
    // What a protected environment inherits it reads as well.
    sandbox
        .secrets("set KEY -e dev")
        .input("x")
        .ends(2)
        .says("(protected: production reads it too)")
        .says("--yes");
}

#[test]
fn a_value_or_a_kind_in_the_wrong_place_is_not_taken_for_a_name() {
    let sandbox = Sandbox::initialised();
    sandbox
        .secrets("set TOKEN --generate hex")
        .ends(2)
        .says("--generate=hex");
    for value in ["hunter2canary", "p@ss-canary", "Y2FuYXJ5=="] {
        sandbox
            .secrets_with(["set", "DB_PASSWORD", value])
            .ends(2)
            .hides("canary")
            .hides("Y2FuYX")
            .says("printf %s");
    }
    let done = sandbox.secrets("list").succeeds();
    assert!(done.err.contains("no secrets"), "{}", done.err);
}
