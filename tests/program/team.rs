//! A team around one local store.

use std::path::Path;

use crate::support::Sandbox;

/// What `git pull` does.
fn pull(from: &Sandbox, to: &Sandbox) {
    for name in [
        "secrets.toml",
        ".secrets/recipients.toml",
        ".secrets/dev.age",
    ] {
        if let Ok(bytes) = std::fs::read(from.path(name)) {
            to.write(name, bytes);
        }
    }
}

fn keys(sandbox: &Sandbox) -> String {
    let text = sandbox.secrets("identity show").succeeds().text();
    text.lines().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_teammate_joins_with_one_new_identity_one_add_and_a_pull() {
    let (ada, grace) = (Sandbox::initialised(), Sandbox::new());
    ada.secrets("set A").input("shared").succeeds();
    grace.secrets("identity new").succeeds();
    pull(&ada, &grace);
    grace
        .secrets("get A")
        .ends(4)
        .says("not sealed to you")
        .says("team add");
    ada.secrets(&format!("team add grace {} --yes", keys(&grace)))
        .succeeds()
        .says("dev sealed anew");
    pull(&ada, &grace);
    grace.secrets("get A").succeeds().prints("shared\n");
    grace.secrets("set A").input("hers").succeeds();
    pull(&grace, &ada);
    ada.secrets("get A").succeeds().prints("hers\n");
    let list = ada.secrets("team list --json").succeeds().json();
    assert_eq!(list["members"][1]["name"], "grace");
}

#[test]
fn who_is_removed_is_told_apart_and_what_they_read_is_named() {
    let (ada, grace) = (Sandbox::initialised(), Sandbox::new());
    ada.secrets("set A").input("shared").succeeds();
    grace.secrets("identity new").succeeds();
    ada.secrets(&format!("team add grace {} --yes", keys(&grace)))
        .succeeds();
    ada.secrets("team remove garce --yes")
        .ends(3)
        .says("did you mean `grace`?");
    ada.secrets("team remove grace --yes")
        .succeeds()
        .says("grace has been able to read in dev: A");
    pull(&ada, &grace);
    grace.secrets("get A").ends(4);
}

#[test]
fn what_a_sync_replaces_is_kept_for_the_people_of_its_own_environment() {
    let ada = Sandbox::initialised();
    ada.write(
        "secrets.toml",
        "[project]\ndefault-environment = \"staging\"\n\
         [environments.staging]\nsource = [\"dotenv:.env.staging\"]\n\
         [environments.production]\nsource = [\"dotenv:.env.production\"]\n",
    );
    ada.write(".env.staging", "A=new\n");
    ada.write(".env.production", "A=old\n");
    ada.secrets("sync staging production --prefer staging --yes")
        .succeeds()
        .says("secrets history NAME --store local:production.replaced");
    ada.secrets("get A --store local:production.replaced")
        .succeeds()
        .prints("old\n");
    let folder = ada.project().join(".secrets");
    assert!(!folder.join("staging.replaced.age").exists());
}

#[test]
fn a_team_that_somebody_else_changed_is_shown_and_confirmed_before_anything_is_sealed_to_it() {
    let (ada, mallory) = (Sandbox::initialised(), Sandbox::initialised());
    ada.secrets("set A").input("1").succeeds();
    let planted = mallory.read(".secrets/recipients.toml");
    let (_, planted) = planted.split_once("name = \"me\"").unwrap();
    let planted = format!("\n[[recipient]]\nname = \"mallory\"{planted}");
    ada.write(
        ".secrets/recipients.toml",
        format!("{}{planted}", ada.read(".secrets/recipients.toml")),
    );
    ada.secrets("set A")
        .input("2")
        .ends(4)
        .says("recipients.toml has changed")
        .says("secrets trust");
    ada.secrets("get A").succeeds().prints("1\n");
    let pending = ada
        .secrets("trust --json")
        .ends(4)
        .says("new: mallory")
        .json();
    let digest = pending["pending"][0]["digest"].as_str().unwrap();
    ada.secrets(&format!("trust --accept {digest}")).succeeds();
    ada.secrets("set A").input("2").succeeds();
}

#[test]
fn wrong_keys_are_refused() {
    let ada = Sandbox::initialised();
    ada.secrets("team add grace nonsense ed25519:AAAA --yes")
        .ends(2);
    ada.secrets("team add grace age1xyz --yes")
        .ends(2)
        .says("ed25519:");
    ada.secrets("team add grace --yes").ends(2);
}

#[test]
fn the_identity_is_exported_to_a_pipe_and_opens_the_store_elsewhere() {
    let ada = Sandbox::initialised();
    ada.secrets("set A").input("1").succeeds();
    let identity = ada.secrets("identity export").succeeds().text();
    assert!(identity.starts_with("AGE-SECRET-KEY-1"));
    let elsewhere = Sandbox::new();
    pull(&ada, &elsewhere);
    elsewhere
        .secrets("get A")
        .env("SECRETS_IDENTITY", identity.trim())
        .succeeds()
        .prints("1\n");
    elsewhere.write("key", &identity);
    elsewhere
        .secrets("get A")
        .env("SECRETS_IDENTITY_FILE", "key")
        .succeeds()
        .prints("1\n");
    elsewhere
        .secrets("get A")
        .env("SECRETS_IDENTITY_FILE", "none")
        .ends(4)
        .says("which is not there");
}

#[test]
fn an_identity_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let ada = Sandbox::initialised();
    ada.secrets("set A").input("1").succeeds();
    let path = ada.home().join(".config/secrets/identity");
    assert_eq!(
        std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    ada.secrets("get A").ends(4).says("chmod 600");
    assert!(Path::new(&path).exists());
}

#[test]
fn one_key_is_not_in_the_team_under_two_names() {
    let (ada, bob) = (Sandbox::initialised(), Sandbox::new());
    bob.secrets("identity new").succeeds();
    let add = |name: &str| ada.secrets(&format!("team add {name} {} --yes", keys(&bob)));
    add("bob").succeeds();
    add("bobby").ends(2).says("in the team already, as `bob`");
    add("bob").succeeds().says("may open that already");
}

#[test]
fn what_cannot_be_known_of_somebody_who_leaves_is_said() {
    let (ada, bob, carol) = (Sandbox::initialised(), Sandbox::new(), Sandbox::new());
    ada.write(
        "secrets.toml",
        "[project]\ndefault-environment = \"dev\"\n[environments.dev]\nsource = [\"local:\"]\n[environments.prod]\nsource = [\"local:\"]\n",
    );
    ada.secrets("set D -e dev").input("d").succeeds();
    ada.secrets("set P -e prod").input("p").succeeds();
    for (who, sandbox, environments) in [("bob", &bob, "dev"), ("carol", &carol, "dev,prod")] {
        sandbox.secrets("identity new").succeeds();
        let keys = keys(sandbox);
        ada.secrets(&format!(
            "team add {who} {keys} --environments {environments} --yes"
        ))
        .succeeds();
    }
    pull(&ada, &bob);
    bob.write(
        ".secrets/prod.age",
        std::fs::read(ada.path(".secrets/prod.age")).unwrap(),
    );
    let done = bob.secrets("team remove carol --yes --json").done();
    let report = done.json();
    assert_eq!(report["could-read"]["dev"][0], "D");
    assert_eq!(report["not-known"][0], "prod");
    done.says("in prod is not known");
}

#[test]
fn whoever_is_not_in_the_team_yet_is_told_so_by_init() {
    let (ada, grace) = (Sandbox::initialised(), Sandbox::new());
    ada.secrets("set A").input("1").succeeds();
    pull(&ada, &grace);
    for _ in 0..2 {
        grace
            .secrets("init --yes")
            .succeeds()
            .says("you are not in this project's team")
            .says("secrets team add YOUR-NAME 'age1")
            .hides("nothing to do");
    }
}

/// Gives `secrets trust` the word it asks for, as often as it asks.
fn trust_all(sandbox: &Sandbox) {
    loop {
        let done = sandbox.secrets("trust").done();
        let Some((_, digest)) = done.err.split_once("secrets trust --accept ") else {
            assert_eq!(done.status, 0, "{}", done.err);
            return;
        };
        let digest = digest.split_whitespace().next().unwrap().to_owned();
        sandbox
            .secrets_with(["trust", "--accept", &digest])
            .succeeds();
    }
}

#[test]
fn the_recovery_key_alone_brings_everything_back() {
    let (ada, safe) = (Sandbox::new(), Sandbox::new());
    let made = safe.secrets("identity new --json").succeeds().json();
    let recipient = made["recipient"].as_str().unwrap().to_owned();
    ada.secrets(&format!("init --recovery {recipient}"))
        .succeeds();
    ada.secrets("set A").input("kept").succeeds();

    // The steps of docs/recovery.md.
    std::fs::remove_dir_all(ada.home().join(".config")).unwrap();
    let rescued = ada
        .secrets("export --format json")
        .env(
            "SECRETS_IDENTITY_FILE",
            safe.home().join(".config/secrets/identity"),
        )
        .succeeds()
        .out;
    std::fs::rename(ada.path(".secrets"), ada.path(".secrets.lost")).unwrap();
    ada.secrets("identity new").succeeds();
    ada.secrets(&format!("init --recovery {recipient}"))
        .ends(4)
        .says("dev.age is gone");
    trust_all(&ada);
    ada.secrets(&format!("init --recovery {recipient}"))
        .succeeds();
    ada.secrets("import - --format json")
        .input(rescued)
        .succeeds();
    ada.secrets("get A").succeeds().prints("kept\n");
}
