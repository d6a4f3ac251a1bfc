//! `init` in projects as people have them.

use crate::support::Sandbox;

const MANAGE: &str =
    "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n";
const SETTINGS: &str = "\"\"\"Settings.\"\"\"\n\nfrom pathlib import Path\n\n# keep it secret!\nSECRET_KEY = 'django-insecure-canarykey'\n\nDEBUG = True\n";

fn django(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("manage.py", MANAGE);
    sandbox.write("shop/settings.py", SETTINGS);
    for (path, text) in files {
        sandbox.write(path, text);
    }
    sandbox
}

/// Every file of the project, to see that nothing changes.
fn state(sandbox: &Sandbox) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files = sandbox.files();
    files.sort();
    files
}

#[test]
fn a_literal_key_moves_into_the_store_and_the_settings_read_the_environment() {
    let sandbox = django(&[]);
    let done = sandbox.secrets("init --yes --no-recovery").succeeds();
    done.says("found a Django project: manage.py")
        .says("+import os")
        .says("-SECRET_KEY = '…'")
        .says("+SECRET_KEY = os.environ[\"SECRET_KEY\"]")
        .says("your public key: age1")
        .hides("canarykey");
    sandbox
        .secrets("get SECRET_KEY")
        .succeeds()
        .prints("django-insecure-canarykey\n");
    let settings = sandbox.read("shop/settings.py");
    assert!(
        settings.contains("import os\nfrom pathlib import Path\n"),
        "{settings}"
    );
    assert!(!settings.contains("canarykey"));
    assert!(
        sandbox
            .read("secrets.toml")
            .contains("source = [\"local:\"]")
    );
    assert!(sandbox.read(".gitignore").contains(".env\n"));
    let plain = sandbox
        .files()
        .into_iter()
        .find(|(_, bytes)| bytes.windows(9).any(|w| w == b"canarykey"));
    assert!(plain.is_none(), "{plain:?}");
}

#[test]
fn run_twice_it_changes_nothing() {
    for files in [&[][..], &[(".env", "A=1\n")][..]] {
        let sandbox = django(files);
        sandbox.secrets("init --yes --no-recovery").succeeds();
        let before = state(&sandbox);
        sandbox
            .secrets("init --yes --no-recovery")
            .succeeds()
            .says("nothing to do");
        assert_eq!(state(&sandbox), before);
    }
}

#[test]
fn a_dry_run_changes_nothing_at_all() {
    let sandbox = django(&[(".env", "A=1\n")]);
    let before = state(&sandbox);
    sandbox
        .secrets("init --dry-run")
        .succeeds()
        .says("would write secrets.toml");
    assert_eq!(state(&sandbox), before);
}

#[test]
fn without_a_terminal_the_settings_are_edited_only_when_told() {
    let sandbox = django(&[]);
    sandbox
        .secrets("init --no-recovery")
        .succeeds()
        .says("secrets init --yes");
    assert_eq!(sandbox.read("shop/settings.py"), SETTINGS);
    sandbox
        .secrets("init --yes")
        .succeeds()
        .says("SECRET_KEY moved from shop/settings.py");
}

#[test]
fn a_key_in_the_repositorys_history_has_to_be_replaced() {
    let sandbox = django(&[]);
    let script =
        "git init -q && git add . && git -c user.name=a -c user.email=a@b commit -q -m one";
    sandbox.command("sh", ["-c", script]).succeeds();
    sandbox
        .secrets("init --yes --no-recovery")
        .succeeds()
        .says("in this repository's history")
        .says("secrets set SECRET_KEY --generate");
}

#[test]
fn settings_in_a_package_are_edited_where_the_key_is() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "manage.py",
        MANAGE.replace("shop.settings", "config.settings.local"),
    );
    sandbox.write("config/settings/base.py", "SECRET_KEY = 'packagecanary'\n");
    sandbox.write("config/settings/local.py", "from .base import *\n");
    sandbox.write(
        "config/settings/production.py",
        "import os\nSECRET_KEY = os.environ['SECRET_KEY']\n",
    );
    sandbox
        .secrets("init --yes --no-recovery")
        .succeeds()
        .says("config/settings/base.py");
    assert_eq!(
        sandbox.read("config/settings/base.py"),
        "import os\n\nSECRET_KEY = os.environ[\"SECRET_KEY\"]\n"
    );
    sandbox
        .secrets("get SECRET_KEY")
        .succeeds()
        .prints("packagecanary\n");
}

#[test]
fn a_default_in_the_code_is_warned_of() {
    let sandbox = django(&[(
        "shop/settings.py",
        "import os\nSECRET_KEY = os.environ.get('SECRET_KEY', 'canary-default')\n",
    )]);
    sandbox
        .secrets("init --yes --no-recovery")
        .succeeds()
        .says("falls back to a key that stands in the code")
        .hides("canary-default");
}

#[test]
fn values_of_a_dotenv_file_are_moved_when_told_and_comments_stay() {
    let sandbox = django(&[
        (
            ".env",
            "# database\nDATABASE_URL='postgres://canary'\n\nDEBUG=1\n",
        ),
        ("shop/settings.py", ""),
    ]);
    sandbox.secrets("init --no-recovery").succeeds();
    assert!(
        sandbox
            .read("secrets.toml")
            .contains("source = [\"dotenv:.env\", \"local:\"]")
    );
    assert!(sandbox.read(".env").contains("canary"), "only when told");
    sandbox
        .secrets("init --move-env")
        .succeeds()
        .says("2 values moved from .env into local:");
    assert_eq!(sandbox.read(".env"), "# database\n\n");
    sandbox
        .secrets("get DATABASE_URL")
        .succeeds()
        .prints("postgres://canary\n");
    sandbox.secrets("get DEBUG").succeeds().prints("1\n");
}

#[test]
fn a_value_that_differs_is_left_in_the_dotenv_file() {
    let sandbox = django(&[(".env", "A=1\n"), ("shop/settings.py", "")]);
    sandbox.secrets("init --no-recovery").succeeds();
    sandbox
        .secrets("set A --store local:")
        .input("other")
        .succeeds();
    sandbox
        .secrets("init --move-env")
        .succeeds()
        .says("left in .env");
    assert_eq!(sandbox.read(".env"), "A=1\n");
}

#[test]
fn a_locked_place_for_the_identity_never_leads_to_a_second_one() {
    let sandbox = django(&[]);
    let config = sandbox.home().join(".config/secrets");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("identity-in-keyring"), "age1x").unwrap();
    sandbox.secrets("init --yes --no-recovery").done();
    assert!(!config.join("identity").exists());
    sandbox.secrets("identity new").done();
    assert!(!config.join("identity").exists());
}

#[test]
fn a_recovery_key_is_sealed_to() {
    let sandbox = Sandbox::new();
    let key = sandbox.secrets("identity new").succeeds().text();
    let key = key.lines().next().unwrap();
    sandbox
        .secrets(&format!("init --recovery {key}"))
        .succeeds();
    sandbox.secrets("team list").succeeds();
    assert!(
        sandbox
            .read(".secrets/recipients.toml")
            .contains("recovery = true")
    );
    let other = Sandbox::new();
    other
        .secrets("init --recovery nonsense")
        .ends(2)
        .says("age1");
}

#[test]
fn the_variable_that_the_settings_read_is_the_one_declared() {
    let sandbox = django(&[(
        "shop/settings.py",
        "import os\nSECRET_KEY = os.environ['DJANGO_SECRET_KEY']\n",
    )]);
    sandbox
        .secrets("init --yes --no-recovery")
        .succeeds()
        .says("secrets set DJANGO_SECRET_KEY --generate, then secrets exec -- gunicorn shop.wsgi");
    let manifest = sandbox.read("secrets.toml");
    assert!(
        manifest.contains("[secrets.DJANGO_SECRET_KEY]"),
        "{manifest}"
    );
    assert!(!manifest.contains("[secrets.SECRET_KEY]"), "{manifest}");
}

#[test]
fn several_keys_are_told_apart_and_a_second_run_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("manage.py", MANAGE);
    sandbox.write("shop/settings/__init__.py", "");
    sandbox.write("shop/settings/base.py", "SECRET_KEY = 'key-one-canary'\n");
    sandbox.write(
        "shop/settings/local.py",
        "from .base import *\nSECRET_KEY = 'key-two-canary'\n",
    );
    sandbox
        .secrets("init --yes --no-recovery")
        .succeeds()
        .says("another literal SECRET_KEY, left alone")
        .hides("canary");
    let before = state(&sandbox);
    sandbox.secrets("init --yes").succeeds().hides("canary");
    assert_eq!(state(&sandbox), before);

    let twice = "if X:\n    SECRET_KEY = 'a-canary'\nelse:\n    SECRET_KEY = 'b-canary'\n";
    let sandbox = django(&[("shop/settings.py", twice)]);
    sandbox
        .secrets("init --yes --no-recovery")
        .succeeds()
        .says("assigned in several places");
    assert_eq!(sandbox.read("shop/settings.py"), twice);
    sandbox.secrets("init --yes").succeeds();
}

#[test]
fn only_the_project_s_own_env_file_is_moved_and_bytes_stay_bytes() {
    let sandbox = Sandbox::initialised();
    sandbox.write(
        "secrets.toml",
        "[environments.dev]\nsource = [\"dotenv:shared.env\", \"dotenv:.env\", \"local:\"]\n[secrets.BIN]\nencoding = \"base64\"\n",
    );
    sandbox.write("shared.env", "SHARED=1\n");
    sandbox.write(".env", "BIN=AAEC/w==\n");
    sandbox.secrets("init --move-env").succeeds();
    assert_eq!(sandbox.read("shared.env"), "SHARED=1\n");
    assert_eq!(sandbox.read(".env"), "");
    assert_eq!(
        sandbox.secrets("get BIN --raw").succeeds().out,
        [0, 1, 2, 255]
    );
}

#[test]
fn nothing_outside_the_project_is_written_through_a_link() {
    let sandbox = django(&[]);
    let outside = sandbox.home().join("bashrc");
    std::fs::write(&outside, "# mine\n").unwrap();
    std::os::unix::fs::symlink(&outside, sandbox.path(".gitignore")).unwrap();
    sandbox
        .secrets("init --yes --no-recovery")
        .succeeds()
        .says(".gitignore is a link that leads out of the project");
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "# mine\n");
}

#[test]
fn what_is_wrong_with_the_flags_is_said_before_anything_is_written() {
    for line in ["init --recovery garbage", "init -e my/env"] {
        let sandbox = django(&[]);
        let before = state(&sandbox);
        sandbox.secrets(line).ends(2);
        assert_eq!(state(&sandbox), before, "{line}");
    }
    let sandbox = django(&[]);
    sandbox.secrets("init -e eu.prod --no-recovery").succeeds();
    sandbox.secrets("list").succeeds();
}

#[test]
fn a_tracked_env_file_is_told_and_json_says_what_was_done() {
    let sandbox = django(&[(".env", "A=1\n")]);
    for line in ["init -q", "add .env"] {
        sandbox.command("git", line.split(' ')).succeeds();
    }
    let done = sandbox
        .secrets("init --yes --no-recovery --json")
        .succeeds();
    assert_eq!(done.json()["changed"], true);
    done.says(".env is in source control")
        .says("git rm --cached .env");
}
