//! Promise 1: a value is planted, every verb is run at the highest log level, well and badly, on
//! every provider, and the value is searched for: in what is printed, in argv of every process, in
//! every file that was made. The verbs come from clap and the providers from the registry: a new
//! one without a scenario fails.

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory as _;
use secrets::registry::PROVIDERS;
use secrets_testkit::canary::Canary;

use crate::support::{SECRETS, Sandbox};

/// Stands for the value in what follows.
const MARK: &str = "@";

/// What is run for a verb: arguments, standard input, and whether it is asked to show the value.
struct Scenario {
    verb: &'static str,
    line: &'static str,
    input: &'static str,
    shows: bool,
}

const fn hides(verb: &'static str, line: &'static str) -> Scenario {
    Scenario {
        verb,
        line,
        input: "",
        shows: false,
    }
}

const fn shows(verb: &'static str, line: &'static str) -> Scenario {
    Scenario {
        verb,
        line,
        input: "",
        shows: true,
    }
}

const fn fed(verb: &'static str, line: &'static str, input: &'static str) -> Scenario {
    Scenario {
        verb,
        line,
        input,
        shows: false,
    }
}

/// Each verb, well and badly. They run in this order in one project whose `.env` and `local:` hold
/// the value.
const SCENARIOS: &[Scenario] = &[
    hides("init", "init --no-recovery --yes"),
    hides("init", "init --dry-run"),
    hides("generate", "generate"),
    fed("set", "set FROM_STDIN", MARK),
    fed("set", "set FROM_STDIN --dry-run", MARK),
    hides("set", "set COPY --from-file value.txt"),
    hides("set", "set BAD=@"),
    fed("set", "set FROM_STDIN --store dotenv:no/such/file", MARK),
    fed("set", "set FROM_STDIN --store env:", MARK),
    hides("list", "list"),
    hides("list", "list --json"),
    hides("list", "list --store dotenv:broken.env"),
    shows("get", "get CANARY"),
    hides("get", "get NOPE"),
    hides("get", "get CANARY --store dotenv:broken.env"),
    hides("history", "history CANARY"),
    hides("history", "history CANARY --json"),
    hides("history", "history prune CANARY --dry-run"),
    hides("rollback", "rollback CANARY --dry-run"),
    hides("rollback", "rollback CANARY"),
    hides("edit", "edit"),
    hides("exec", "exec -- true"),
    hides("exec", "exec -- no-such-command"),
    hides("exec", "exec --store dotenv:broken.env -- true"),
    shows("export", "export --format json"),
    shows("export", "export --format dotenv"),
    shows("export", "export --format yaml"),
    hides("export", "export --format null --store dotenv:broken.env"),
    hides("import", "import dotenv:.env --dry-run"),
    hides("import", "import dotenv:.env --prefer left --yes"),
    fed(
        "import",
        "import - --format json",
        "{\"CANARY\": \"@\", broken",
    ),
    fed("import", "import - --format shell", "export A=$(@)"),
    fed("import", "import - --format null", "@\0"),
    fed("import", "import - --format dotenv", "A='@"),
    hides("diff", "diff dotenv:.env local:"),
    hides("diff", "diff dotenv:.env local: --json"),
    hides("diff", "diff dotenv:broken.env local:"),
    shows("diff", "diff dotenv:.env local: --reveal CANARY"),
    hides("sync", "sync dotenv:.env dotenv:copy.env --dry-run"),
    hides("sync", "sync dotenv:.env dotenv:copy.env --yes"),
    hides("sync", "sync dotenv:.env local: --first --yes --json"),
    hides(
        "sync",
        "sync dotenv:.env local: --first --yes --prefer right --json",
    ),
    hides("sync", "sync dotenv:broken.env local: --yes"),
    hides("push", "push --store dotenv:.env local: --yes"),
    hides(
        "push",
        "push --store dotenv:.env local: --yes --prefer source",
    ),
    hides("push", "push env: --yes"),
    hides(
        "pull",
        "pull --store local: dotenv:.env --yes --prefer mirror",
    ),
    hides("pull", "pull dotenv:broken.env --yes"),
    hides("status", "status"),
    hides("status", "status --json"),
    hides("git", "git install"),
    hides("git", "git show .secrets/dev.age"),
    hides("git", "git show value.txt"),
    hides(
        "git",
        "git merge value.txt .secrets/dev.age value.txt .secrets/dev.age",
    ),
    hides("identity", "identity show"),
    hides("identity", "identity new"),
    hides("team", "team list"),
    hides("team", "team add x @-is-no-key ed25519:x --yes"),
    hides("env", "env list"),
    hides("trust", "trust"),
    hides("doctor", "doctor"),
    hides("check", "check --reader node,systemd,docker"),
    hides("check", "check --reader decouple --fix"),
    hides("check", "check --write-example"),
    hides("check", "check --reader node --store dotenv:broken.env"),
    hides("completions", "completions bash"),
    hides("man", "man"),
    hides("schema", "schema"),
    hides("unset", "unset CANARY --dry-run"),
    hides("unset", "unset CANARY"),
];

fn project(value: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".env", format!("CANARY={value}\nOTHER=1\n"));
    sandbox.write("broken.env", format!("A=1\nB='{value}\n"));
    sandbox.write("value.txt", value);
    sandbox.secrets("init --no-recovery").succeeds();
    sandbox
        .secrets("set CANARY --store local:")
        .input(value)
        .succeeds();
    sandbox
        .secrets("set CANARY --store local:")
        .input(format!("{value}2"))
        .succeeds();
    sandbox
}

#[test]
fn every_verb_has_a_scenario() {
    let verbs: BTreeSet<String> = secrets::cli::Cli::command()
        .get_subcommands()
        .map(|verb| verb.get_name().to_owned())
        .collect();
    let covered: BTreeSet<String> = SCENARIOS.iter().map(|s| s.verb.to_owned()).collect();
    assert_eq!(verbs, covered);
}

#[test]
fn no_verb_leaks_a_value_at_the_highest_log_level() {
    let canary = Canary::random();
    let sandbox = project(canary.text());
    // A run under strace shows the argv of every process that was started.
    let log = sandbox.path("../strace.log");
    for scenario in SCENARIOS {
        let line = scenario.line.replace(MARK, canary.text());
        let mut words = vec![
            "-f",
            "-s",
            "4096",
            "-v",
            "-e",
            "trace=execve",
            "-o",
            log.to_str().unwrap(),
            SECRETS,
        ];
        words.extend(line.split_whitespace().take_while(|w| *w != "--"));
        words.push("-vvv");
        words.extend(line.split_whitespace().skip_while(|w| *w != "--"));
        let done = sandbox
            .command("strace", words)
            .input(scenario.input.replace(MARK, canary.text()))
            .env("EDITOR", "true")
            .done();
        let argv = std::fs::read(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        let typed_by_us = scenario.line.contains(MARK);
        let argv: Vec<u8> = argv
            .split(|b| *b == b'\n')
            .filter(|line| {
                !(typed_by_us && line.windows(SECRETS.len()).any(|w| w == SECRETS.as_bytes()))
            })
            // What the child is given in its environment is the purpose of `exec`.
            .flat_map(|line| line.split(|b| *b == b']').next().unwrap_or_default())
            .copied()
            .collect();
        assert!(
            canary.found_in(&argv).is_none(),
            "argv of a process: {}",
            scenario.line
        );
        assert!(
            canary.found_in(done.err.as_bytes()).is_none(),
            "{}: {}",
            scenario.line,
            done.err
        );
        let shown = canary.found_in(&done.out).is_some();
        assert_eq!(
            shown,
            scenario.shows,
            "{}: {}{}",
            scenario.line,
            done.text(),
            done.err
        );
    }
    let planted = [".env", "broken.env", "value.txt"].map(|name| sandbox.path(name));
    for (path, bytes) in sandbox.files() {
        let is_planted = planted
            .iter()
            .any(|p| p.canonicalize().ok() == path.canonicalize().ok());
        assert!(
            is_planted || canary.found_in(&bytes).is_none(),
            "{}",
            path.display()
        );
    }
    assert!(!leftovers(Path::new("/dev/shm")));
}

/// Whether the editor's private folder is still there.
fn leftovers(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|e| e.file_name().to_string_lossy().starts_with("secrets-"))
        .any(|e| {
            // Another test's run may be under way: its folder is young and goes away.
            e.metadata()
                .and_then(|m| m.modified())
                .is_ok_and(|t| t.elapsed().is_ok_and(|age| age.as_secs() > 60))
        })
}

#[test]
fn every_provider_is_searched_too() {
    for provider in PROVIDERS {
        let sandbox = Sandbox::initialised();
        let store = provider.example;
        let canary = Canary::random();
        let value = canary.text();
        sandbox.write(".env", format!("CANARY={value}\n"));
        let run = |line: &str| {
            let done = sandbox
                .secrets(&format!("{line} --store {store} -vvv"))
                .env("CANARY", value)
                .input(value)
                .done();
            assert!(
                canary.found_in(done.err.as_bytes()).is_none(),
                "{store}: {line}: {}",
                done.err
            );
            done
        };
        for line in [
            "set CANARY",
            "list",
            "list --json",
            "doctor",
            "history CANARY",
            "unset CANARY --dry-run",
        ] {
            let done = run(line);
            assert!(canary.found_in(&done.out).is_none(), "{store}: {line}");
        }
        run("get CANARY");
    }
}
