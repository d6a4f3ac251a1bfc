//! On a terminal: nothing is shown that was not asked for by name (promise 9), answers are asked
//! for, and values are typed unseen.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use crate::support::{SECRETS, Sandbox};

/// Runs a command line on a terminal of its own and types `typed`; what the terminal showed.
fn on_a_terminal(sandbox: &Sandbox, line: &str, typed: &str) -> String {
    on_a_terminal_after(sandbox, line, "", typed)
}

/// The same, typing once `after` has been shown.
fn on_a_terminal_after(sandbox: &Sandbox, line: &str, after: &str, typed: &str) -> String {
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
    let mut stdout = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut waiting = !after.is_empty();
    if !waiting {
        stdin.write_all(typed.as_bytes()).unwrap();
    }
    let mut block = [0; 4096];
    loop {
        // A terminal whose last program has ended answers with an error.
        let n = stdout.read(&mut block).unwrap_or(0);
        if n == 0 {
            break;
        }
        shown.extend_from_slice(&block[..n]);
        if waiting && String::from_utf8_lossy(&shown).contains(after) {
            waiting = false;
            stdin.write_all(typed.as_bytes()).unwrap();
        }
    }
    child.wait().unwrap();
    drop(stdin);
    String::from_utf8_lossy(&shown).into_owned()
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
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    let shown = on_a_terminal(&sandbox, &format!("{SECRETS} unset A"), "n\n");
    assert!(
        shown.contains("remove A from dev (dotenv:.env); the value is not kept? [y/N]"),
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

/// Starts `line` on a terminal and, once `seen` has been shown, sends this signal to the program
/// whose pid the file `pid` in the project holds; what the terminal showed in all.
fn ended_on_a_terminal(sandbox: &Sandbox, line: &str, signal: &str) -> String {
    // Waits until the editor has said that it runs, then ends whoever started it.
    let script = format!(
        "{line} & program=$!; while ! [ -e running ]; do sleep 0.01; done; \
         kill -{signal} $program; wait $program; stty -a"
    );
    on_a_terminal(sandbox, &format!("sh -c '{script}'"), "")
}

/// The folders of ours in memory that hold this text.
fn left_in_memory(text: &str) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir("/dev/shm").unwrap().flatten();
    folders
        .map(|folder| folder.path().join("secrets.env"))
        .filter(|file| std::fs::read_to_string(file).is_ok_and(|t| t.contains(text)))
        .collect()
}

#[test]
fn an_editor_s_file_is_wiped_whatever_ends_us() {
    for signal in ["TERM", "HUP"] {
        let sandbox = Sandbox::initialised();
        let canary = format!("editcanary{}{signal}", std::process::id());
        sandbox.secrets("set A").input(&canary).succeeds();
        sandbox.write(
            "editor",
            "#!/bin/sh\ngrep -c editcanary \"$1\" > found; : > running; exec sleep 30\n",
        );
        let shown = ended_on_a_terminal(
            &sandbox,
            &format!("EDITOR=\"sh ./editor\" {SECRETS} edit"),
            signal,
        );
        assert_eq!(sandbox.read("found").trim(), "1", "{shown}");
        assert_eq!(
            left_in_memory(&canary),
            Vec::<std::path::PathBuf>::new(),
            "{shown}"
        );
    }
}

#[test]
fn an_interrupt_typed_in_the_editor_does_not_end_us() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("1").succeeds();
    sandbox.write(
        "editor",
        "trap : INT\nkill -INT 0\nsed -i s/A=1/A=2/ \"$1\"\n",
    );
    let shown = on_a_terminal(
        &sandbox,
        &format!("trap : INT; EDITOR='sh ./editor' {SECRETS} edit; echo ended $?"),
        "",
    );
    assert!(shown.contains("ended 0"), "{shown}");
    sandbox.secrets("get A").succeeds().prints("2\n");
}

#[test]
fn an_interrupted_prompt_gives_the_echo_back() {
    let sandbox = Sandbox::initialised();
    // The shell ignores the interrupt that the terminal sends to the whole foreground group.
    let line = format!("sh -c 'trap : INT; {SECRETS} set A; stty -a'");
    let shown = on_a_terminal_after(&sandbox, &line, "value of A", "\x03");
    assert!(shown.contains("value of A"), "{shown}");
    assert!(
        shown.contains(" echo ") && !shown.contains("-echo "),
        "{shown}"
    );
}
