//! What is exported, read by its real readers: PyYAML, Python's TOML and JSON, a POSIX shell, fish, and
//! supervisor, which starts a process with it. `SECRETS_TEST_PYTHON` names the Python; without it the
//! tests fail.

use std::path::PathBuf;

use crate::support::Sandbox;

const VALUES: &[(&str, &str)] = &[
    ("PLAIN", "abc-123"),
    ("ODD", "it's \"$HOME\" `x` \\ #é %s {{ y }}\t😀"),
    ("LINES", "one\ntwo\n"),
    ("EMPTY", ""),
    ("BELL", "a\u{7}b\u{85}\u{2028}\u{feff}"),
];

fn filled(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::initialised();
    for (name, value) in VALUES.iter().filter(|(name, _)| names.contains(name)) {
        sandbox
            .secrets(&format!("set {name} --raw --allow-empty"))
            .input(value)
            .succeeds();
    }
    sandbox
}

fn python() -> PathBuf {
    let python = std::env::var_os("SECRETS_TEST_PYTHON");
    PathBuf::from(python.expect("SECRETS_TEST_PYTHON names a Python: run scripts/test"))
}

/// What a Python program that reads the text prints as JSON.
fn read_by_python(sandbox: &Sandbox, code: &str, text: &[u8]) -> serde_json::Value {
    let code = format!(
        "import base64, json, sys\ntext = sys.stdin.buffer.read().decode()\n{code}\nprint(json.dumps(found))"
    );
    let python = python();
    sandbox
        .command(python.to_str().unwrap(), ["-c", &code])
        .input(text)
        .succeeds()
        .json()
}

#[test]
fn documents_are_read_back_by_their_own_parsers() {
    let sandbox = filled(&["PLAIN", "ODD", "LINES", "EMPTY", "BELL"]);
    for (format, code) in [
        ("json", "found = json.loads(text)"),
        ("yaml", "import yaml; found = yaml.safe_load(text)"),
        ("toml", "import tomllib; found = tomllib.loads(text)"),
        (
            "ansible",
            "found = {k: v['__ansible_unsafe'] for k, v in json.loads(text).items()}",
        ),
        (
            "k8s",
            "import yaml; secret = yaml.safe_load(text); assert secret['kind'] == 'Secret' and secret['type'] == 'Opaque'\n\
             found = {k: base64.b64decode(v).decode() for k, v in secret['data'].items()}",
        ),
    ] {
        let text = sandbox
            .secrets(&format!("export --format {format}"))
            .succeeds()
            .out;
        let found = read_by_python(&sandbox, code, &text);
        for (name, value) in VALUES {
            assert_eq!(found[name], *value, "{format} {name}");
        }
    }
}

#[test]
fn shells_set_what_was_exported() {
    let sandbox = filled(&["PLAIN", "ODD", "LINES", "EMPTY", "BELL"]);
    for (format, shell, words) in [
        ("shell", "dash", "dash -c"),
        ("shell", "bash", "bash -c"),
        ("dotenv:shell", "dash", "dash -c"),
        ("fish", "fish", "fish --no-config -c"),
    ] {
        let text = sandbox
            .secrets(&format!("export --format {format}"))
            .succeeds()
            .out;
        let set = if format == "dotenv:shell" {
            "set -a; "
        } else {
            ""
        };
        sandbox.write("exported", text);
        let mut arguments: Vec<&str> = words.split(' ').skip(1).collect();
        let script = format!("{set}. ./exported; env -0");
        arguments.push(&script);
        let done = sandbox.command(shell, arguments).succeeds();
        let text = done.text();
        let entries: Vec<&str> = text.split('\0').collect();
        for (name, value) in VALUES {
            assert!(
                entries.contains(&format!("{name}={value}").as_str()),
                "{format} {shell} {name}: {text}"
            );
        }
    }
}

#[test]
fn supervisor_starts_a_process_with_the_exported_line() {
    let sandbox = Sandbox::initialised();
    for (name, value) in [
        ("PLAIN", "abc"),
        ("PERCENT", "50%(x)s, a=b"),
        ("QUOTED", "say \"hi\" now"),
        ("EMPTY", ""),
    ] {
        sandbox
            .secrets(&format!("set {name} --allow-empty"))
            .input(value)
            .succeeds();
    }
    let line = sandbox
        .secrets("export --format supervisor")
        .succeeds()
        .text();
    let python = python();
    let supervisord = python.parent().unwrap().join("supervisord");
    let folder = sandbox.project();
    sandbox.write(
        "supervisord.conf",
        format!(
            "[supervisord]\nnodaemon=true\nlogfile={0}/log\npidfile={0}/pid\nuser=root\n\
             [program:show]\ncommand=/bin/sh -c 'env -0 > {0}/seen.new; mv {0}/seen.new {0}/seen; kill $PPID'\n\
             directory={0}\nautorestart=false\nstartsecs=0\n{line}",
            folder.display()
        ),
    );
    // The program itself ends supervisor once it has shown its environment.
    let _ = sandbox
        .command(supervisord.to_str().unwrap(), ["-c", "supervisord.conf"])
        .done();
    let seen = sandbox.read("seen");
    let entries: Vec<&str> = seen.split('\0').collect();
    for wanted in [
        "PLAIN=abc",
        "PERCENT=50%(x)s, a=b",
        "QUOTED=say \"hi\" now",
        "EMPTY=",
    ] {
        assert!(entries.contains(&wanted), "{wanted}: {entries:?}");
    }
    sandbox.secrets("set LINES").input("a\nb").succeeds();
    sandbox
        .secrets("export --format supervisor")
        .ends(1)
        .says("LINES")
        .says("secrets exec");
}

#[test]
fn github_s_own_rules_read_back_what_is_appended() {
    let sandbox = filled(&["PLAIN", "ODD", "LINES", "EMPTY"]);
    let text = sandbox
        .secrets("export --format github-actions")
        .succeeds()
        .out;
    // As the runner's file commands are documented: NAME<<DELIMITER, lines, DELIMITER.
    let code = "lines = iter(text.split('\\n')); found = {}\n\
        for line in lines:\n\
        \x20   if not line: continue\n\
        \x20   name, delimiter = line.split('<<', 1)\n\
        \x20   value = []\n\
        \x20   for inner in lines:\n\
        \x20       if inner == delimiter: break\n\
        \x20       value.append(inner)\n\
        \x20   found[name] = '\\n'.join(value)";
    let found = read_by_python(&sandbox, code, &text);
    for (name, value) in VALUES.iter().filter(|(name, _)| *name != "BELL") {
        assert_eq!(found[name], *value, "{name}");
    }
    let masks = sandbox
        .secrets("export --format github-mask")
        .succeeds()
        .text();
    assert!(masks.contains("::add-mask::one%0Atwo%0A\n"), "{masks}");
}
