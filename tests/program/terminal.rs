//! On a terminal: nothing is shown that was not asked for by name (promise 9), answers are asked
//! for, and values are typed unseen.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::{SECRETS, Sandbox};

/// Runs a command line on a terminal of its own and types `typed`; what the terminal showed.
fn on_a_terminal(sandbox: &Sandbox, line: &str, typed: &str) -> String {
    let mut child = Command::new("script")
        .args(["-qefc", line, "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", sandbox.home())
        .env("TERM", "xterm")
        .current_dir(sandbox.project())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script is there (Debian: bsdutils)");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    let reader = std::thread::spawn(move || child.wait_with_output().unwrap());
    let output = reader.join().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_export_to_a_terminal_takes_reveal() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("terminalcanary").succeeds();
    let shown = on_a_terminal(&sandbox, &format!("{SECRETS} export --format shell"), "");
    assert!(
        shown.contains("--reveal") && !shown.contains("terminalcanary"),
        "{shown}"
    );
    let shown = on_a_terminal(
        &sandbox,
        &format!("{SECRETS} export --format shell --reveal"),
        "",
    );
    assert!(shown.contains("terminalcanary"), "{shown}");
    let shown = on_a_terminal(&sandbox, &format!("{SECRETS} identity export"), "");
    assert!(
        shown.contains("--reveal") && !shown.contains("AGE-SECRET-KEY"),
        "{shown}"
    );
}

#[test]
fn no_verb_shows_a_value_that_was_not_asked_for_by_name() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("terminalcanary").succeeds();
    for line in [
        "list",
        "list --json",
        "history A",
        "doctor",
        "env list",
        "team list",
        "trust",
        "import - --format json",
        "unset A --dry-run",
        "rollback A --dry-run",
    ] {
        let shown = on_a_terminal(&sandbox, &format!("{SECRETS} {line} -vv --no-input"), "");
        assert!(!shown.contains("terminalcanary"), "{line}: {shown}");
    }
    let shown = on_a_terminal(&sandbox, &format!("{SECRETS} get A"), "");
    assert!(shown.contains("terminalcanary"));
}

#[test]
fn a_value_is_typed_unseen() {
    let sandbox = Sandbox::initialised();
    let shown = on_a_terminal(&sandbox, &format!("{SECRETS} set A"), "typedcanary\n");
    assert!(shown.contains("value of A"), "{shown}");
    sandbox.secrets("get A").succeeds().prints("typedcanary\n");
}

#[test]
fn a_question_is_asked_and_no_is_no() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("1").succeeds();
    let shown = on_a_terminal(&sandbox, &format!("{SECRETS} unset A"), "n\n");
    assert!(
        shown.contains("remove A from dev (local:)? [y/N]"),
        "{shown}"
    );
    sandbox.secrets("get A").succeeds();
    on_a_terminal(&sandbox, &format!("{SECRETS} unset A"), "y\n");
    sandbox.secrets("get A").ends(3);
}

#[test]
fn colour_is_for_terminals_and_can_be_turned_off() {
    let sandbox = Sandbox::initialised();
    let line = format!("{SECRETS} get NOPE");
    assert!(
        on_a_terminal(&sandbox, &line, "").contains("\x1b[31m")
            || on_a_terminal(&sandbox, &line, "").contains("\x1b[1m")
    );
    assert!(!on_a_terminal(&sandbox, &format!("env NO_COLOR=1 {line}"), "").contains('\x1b'));
    assert!(!sandbox.secrets("get NOPE").ends(3).err.contains('\x1b'));
    assert!(
        sandbox
            .secrets("get NOPE --color always")
            .ends(3)
            .err
            .contains('\x1b')
    );
    assert!(
        sandbox
            .secrets("get NOPE")
            .env("CLICOLOR_FORCE", "1")
            .ends(3)
            .err
            .contains('\x1b')
    );
}
