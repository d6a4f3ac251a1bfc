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
    talk(sandbox, line, vec![(after, Box::new(|| {}), typed)])
}

/// One turn of a conversation: what is waited for, what happens then, what is typed.
type Turn<'a> = (&'a str, Box<dyn Fn() + 'a>, &'a str);

/// The same, turn by turn; each waits for something that is shown after the turn before.
fn talk(sandbox: &Sandbox, line: &str, turns: Vec<Turn<'_>>) -> String {
    let mut child = Command::new("script")
        .args(["-qefc", line, "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", sandbox.home())
        .env("TERM", "xterm")
        .env("LANG", "C.UTF-8")
        .current_dir(sandbox.project())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("script is there (Debian: bsdutils)");
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut answered = 0;
    let mut turns = turns.into_iter().peekable();
    let mut block = [0; 4096];
    loop {
        while let Some((after, happens, typed)) =
            turns.next_if(|(after, ..)| String::from_utf8_lossy(&shown[answered..]).contains(after))
        {
            answered = match after {
                "" => 0,
                _ => shown.len(),
            };
            happens();
            stdin.write_all(typed.as_bytes()).unwrap();
        }
        // A terminal whose last program has ended answers with an error.
        let n = stdout.read(&mut block).unwrap_or(0);
        if n == 0 {
            break;
        }
        shown.extend_from_slice(&block[..n]);
    }
    child.wait().unwrap();
    drop(stdin);
    let shown = String::from_utf8_lossy(&shown).into_owned();
    if let Some((after, ..)) = turns.next() {
        panic!("never shown: {after}\n{shown}");
    }
    shown
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
    sandbox.write("b.env", "A=terminalcanary2\n");
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
        "diff local: dotenv:b.env",
        "sync local: dotenv:b.env --dry-run",
        "push dotenv:b.env --dry-run",
        "status",
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

/// A project whose two files have both changed A, B and C since they were synced.
fn in_conflict() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.write(".env", "A=1\nB=1\nC=1\n");
    sandbox.write("b.env", "A=1\nB=1\nC=1\n");
    sandbox.secrets("sync dotenv:.env dotenv:b.env").succeeds();
    sandbox.write(".env", "A=left1\nB=left2\nC=left3\n");
    sandbox.write("b.env", "A=right1\nB=right2\nC=right3\n");
    sandbox
}

/// A turn in which nothing else happens.
fn turn<'a>(after: &'a str, typed: &'a str) -> Turn<'a> {
    (after, Box::new(|| {}), typed)
}

const SYNC: &str = "sync dotenv:.env dotenv:b.env";

#[test]
fn where_two_differ_a_person_chooses_name_by_name() {
    let sandbox = in_conflict();
    let shown = talk(
        &sandbox,
        &format!("{SECRETS} {SYNC}"),
        vec![
            turn("A: keep [l]eft, [r]ight, [s]kip, re[v]eal, [q]uit? ", "x\n"),
            turn("answer with one of the letters", "l\n"),
            turn("B: keep ", "right\n"),
            turn("C: keep ", "s\n"),
            turn(
                "write 1 secret to dotenv:.env, write 1 secret to dotenv:b.env? [y/N] ",
                "y\n",
            ),
        ],
    );
    assert!(shown.contains("left as it is"), "{shown}");
    for value in ["left1", "right2", "left3"] {
        assert!(!shown.contains(value), "{shown}");
    }
    assert_eq!(sandbox.read(".env"), "A=left1\nB=right2\nC=left3\n");
    assert_eq!(sandbox.read("b.env"), "A=left1\nB=right2\nC=right3\n");
    // What was skipped is a conflict again.
    sandbox.secrets(SYNC).ends(5).says("C is in conflict");
}

#[test]
fn a_value_is_revealed_when_asked_for_and_only_its_own() {
    let sandbox = in_conflict();
    let shown = talk(
        &sandbox,
        &format!("{SECRETS} {SYNC}"),
        vec![
            turn("A: keep ", "l\n"),
            turn("B: keep ", "v\n"),
            turn("B: keep ", "q\n"),
        ],
    );
    assert!(shown.contains("B in dotenv:.env: left2"), "{shown}");
    assert!(shown.contains("B in dotenv:b.env: right2"), "{shown}");
    assert!(
        !shown.contains("left1") && !shown.contains("right3"),
        "{shown}"
    );
    assert!(shown.contains("nothing was changed"), "{shown}");
    assert_eq!(sandbox.read("b.env"), "A=right1\nB=right2\nC=right3\n");
}

#[test]
fn no_value_is_revealed_into_a_file() {
    let sandbox = in_conflict();
    let shown = talk(
        &sandbox,
        &format!("{SECRETS} {SYNC} > log"),
        vec![turn("A: keep [l]eft, [r]ight, [s]kip, [q]uit? ", "q\n")],
    );
    assert!(!shown.contains("re[v]eal"), "{shown}");
    assert_eq!(sandbox.read("log"), "");
}

#[test]
fn a_choice_holds_only_for_what_was_shown() {
    let sandbox = in_conflict();
    let line = format!("{SECRETS} {SYNC} --only A");
    let edit = || sandbox.write("b.env", "A=newer\nB=right2\nC=right3\n");
    let shown = talk(
        &sandbox,
        &line,
        vec![
            turn("A: keep ", "l\n"),
            // Somebody writes what was not shown, before the answer: it is asked about anew.
            (
                "write 1 secret to dotenv:b.env? [y/N] ",
                Box::new(edit),
                "y\n",
            ),
            turn("A: keep ", "r\n"),
            turn("write 1 secret to dotenv:.env? [y/N] ", "y\n"),
        ],
    );
    assert!(shown.contains("somebody has written meanwhile"), "{shown}");
    assert_eq!(sandbox.read(".env"), "A=newer\nB=left2\nC=left3\n");
    assert_eq!(sandbox.read("b.env"), "A=newer\nB=right2\nC=right3\n");
}

#[test]
fn a_deletion_that_is_kept_removes_the_other() {
    let sandbox = in_conflict();
    sandbox.write(".env", "B=1\nC=1\n");
    sandbox.write("b.env", "A=right1\nB=1\nC=1\n");
    talk(
        &sandbox,
        &format!("{SECRETS} {SYNC}"),
        vec![
            turn("A: keep [l]eft (removes it), [r]ight, ", "l\n"),
            turn("remove 1 secret from dotenv:b.env? [y/N] ", "y\n"),
        ],
    );
    assert_eq!(sandbox.read("b.env"), "B=1\nC=1\n");
}

#[test]
fn a_deletion_is_asked_about_like_a_conflict_and_can_be_taken_back() {
    let sandbox = in_conflict();
    sandbox.write(".env", "C=left3\n");
    sandbox.write("b.env", "A=1\nB=1\nC=1\n");
    let shown = talk(
        &sandbox,
        &format!("{SECRETS} {SYNC}"),
        vec![
            turn(
                "A: keep [l]eft (removes it), [r]ight (brings it back), [s]kip, ",
                "r\n",
            ),
            turn(
                "B: keep [l]eft (removes it), [r]ight (brings it back), [s]kip, ",
                "l\n",
            ),
            turn("? [y/N] ", "y\n"),
        ],
    );
    assert!(
        shown.contains("remove 1 secret from dotenv:b.env"),
        "{shown}"
    );
    assert_eq!(sandbox.read(".env"), "C=left3\nA=1\n");
    assert_eq!(sandbox.read("b.env"), "A=1\nC=left3\n");
    // Who presses return leaves it, and is asked again the next time.
    sandbox.write(".env", "C=left3\n");
    for _ in 0..2 {
        let shown = on_a_terminal_after(&sandbox, &format!("{SECRETS} {SYNC}"), "A: keep ", "\n");
        assert!(shown.contains("nothing to write"), "{shown}");
    }
    assert_eq!(sandbox.read("b.env"), "A=1\nC=left3\n");
}

#[test]
fn the_end_of_the_input_at_a_conflict_is_quit_and_not_skip() {
    let sandbox = in_conflict();
    let line = format!("sh -c '{SECRETS} {SYNC}; echo ended $?'");
    let shown = talk(
        &sandbox,
        &line,
        vec![turn("A: keep ", "l\n"), turn("B: keep ", "\x04")],
    );
    assert!(shown.contains("nothing was changed"), "{shown}");
    assert!(shown.contains("ended 1"), "{shown}");
    assert_eq!(sandbox.read("b.env"), "A=right1\nB=right2\nC=right3\n");
}

#[test]
fn a_push_offers_the_source_alone() {
    let sandbox = in_conflict();
    talk(
        &sandbox,
        &format!("{SECRETS} push --store dotenv:.env dotenv:b.env --only A"),
        vec![
            turn("A: keep [l]eft (the source), [s]kip, ", "source\n"),
            turn("? [y/N] ", "y\n"),
        ],
    );
    assert_eq!(sandbox.read("b.env"), "A=left1\nB=right2\nC=right3\n");
    assert_eq!(sandbox.read(".env"), "A=left1\nB=left2\nC=left3\n");
}

#[test]
fn yes_on_a_terminal_answers_all_but_a_conflict() {
    let sandbox = in_conflict();
    let shown = on_a_terminal(&sandbox, &format!("{SECRETS} {SYNC} --yes"), "");
    assert!(
        shown.contains("A, B, C are in conflict; nothing was written"),
        "{shown}"
    );
    sandbox.write("b.env", "A=left1\nB=left2\nC=left3\nNEW=1\n");
    // A first copy too: the yes is a person's.
    let shown = on_a_terminal(&sandbox, &format!("{SECRETS} {SYNC} --yes"), "");
    assert!(shown.contains("1 secret written to dotenv:.env"), "{shown}");
    assert_eq!(sandbox.read(".env"), "A=left1\nB=left2\nC=left3\nNEW=1\n");
}

#[test]
fn nothing_is_asked_with_no_input_nor_in_a_dry_run_and_no_is_no() {
    let sandbox = in_conflict();
    for flag in ["--no-input", "--dry-run"] {
        let shown = on_a_terminal(&sandbox, &format!("{SECRETS} {SYNC} {flag}"), "");
        assert!(
            shown.contains("are in conflict; nothing was written"),
            "{shown}"
        );
    }
    let line = format!("{SECRETS} {SYNC} --prefer left");
    let shown = talk(&sandbox, &line, vec![turn("? [y/N] ", "n\n")]);
    assert!(shown.contains("nothing was changed"), "{shown}");
    assert_eq!(sandbox.read("b.env"), "A=right1\nB=right2\nC=right3\n");
}

#[test]
fn a_push_draws_how_far_it_is_and_leaves_no_trace_of_it() {
    let sandbox = Sandbox::new();
    sandbox.write("a.env", "ONE=1\nTWO=2\nTHREE=3\n");
    sandbox.write("to/other.env", "");
    // Somebody else is writing there, until the bar is seen.
    let folder = std::fs::File::open(sandbox.project().join("to")).unwrap();
    folder.lock().unwrap();
    let unlock = || folder.unlock().unwrap();
    let push = format!("{SECRETS} push --store dotenv:a.env dotenv:to/b.env --yes");
    let shown = talk(&sandbox, &push, vec![("0/3", Box::new(unlock), "")]);
    let drawn = shown.rfind("0/3").unwrap();
    // The line is wiped before what is left on the screen is said.
    let wiped = shown.rfind("\r\u{1b}[2K").unwrap();
    let said = shown.find("3 secrets written to dotenv:to/b.env").unwrap();
    assert!(drawn < wiped && wiped < said, "{shown:?}");
}
