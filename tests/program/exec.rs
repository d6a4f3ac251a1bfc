//! `exec`: what the child is given, and that it takes our place. Promises 5, 6 and 8.

use std::os::unix::fs::PermissionsExt as _;

use crate::support::{SECRETS, Sandbox};

fn with_env(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write(".env", text);
    sandbox
}

#[test]
fn the_command_takes_our_place_with_its_own_status() {
    let sandbox = with_env("A=1\n");
    let script = format!("echo $$; exec {SECRETS} exec -- sh -c 'echo $$ $A; exit 41'");
    let done = sandbox.command("sh", ["-c", &script]).ends(41);
    let text = done.text();
    let (ours, child) = text.split_once('\n').unwrap();
    assert_eq!(child.trim_end(), format!("{ours} 1"));
    sandbox
        .secrets_with(["run", "--", "sh", "-c", "kill -TERM $$"])
        .ends(1000 + 15);
}

#[test]
fn failures_of_our_own_have_their_own_codes() {
    let sandbox = with_env("A=1\n");
    sandbox
        .secrets("exec -- no-such-command")
        .ends(127)
        .says("command not found");
    sandbox.write("file", "#!/bin/sh\n");
    sandbox
        .secrets("exec -- ./file")
        .ends(126)
        .says("cannot be executed");
    sandbox.secrets("exec").ends(125);
    sandbox.secrets("exec --no-such-flag -- true").ends(125);
    sandbox
        .secrets("exec --store dotenv:none/.env -- true")
        .ends(125)
        .says("dotenv:none/.env is not there");
    sandbox
        .secrets("exec --store nowhere -- true")
        .ends(125)
        .says("no store `nowhere`");
    sandbox.write(".env", "A='not closed\n");
    sandbox.secrets("exec -- true").ends(125).says("line 1");
}

#[test]
fn a_script_without_an_interpreter_line_is_run_by_the_shell() {
    let sandbox = with_env("A=1\n");
    sandbox.write("script", "echo \"A is $A, given $1\"\n");
    std::fs::set_permissions(
        sandbox.path("script"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    sandbox
        .secrets("exec -- ./script x")
        .succeeds()
        .prints("A is 1, given x\n");
}

#[test]
fn the_command_is_searched_where_we_were_started_not_where_a_store_says() {
    let sandbox = with_env("PATH=/evil\n");
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("secrets trust --allow PATH");
    sandbox.secrets("trust --allow PATH").succeeds();
    sandbox
        .secrets_with(["exec", "--", "sh", "-c", "echo $PATH"])
        .succeeds()
        .prints("/evil\n");
}

#[test]
fn names_that_hijack_a_process_are_refused_unless_allowed() {
    for name in [
        "LD_PRELOAD",
        "PYTHONSTARTUP",
        "BASH_ENV",
        "GUNICORN_CMD_ARGS",
        "GIT_SSH_COMMAND",
    ] {
        let sandbox = with_env(&format!("{name}=x\n"));
        sandbox
            .secrets("exec -- true")
            .ends(125)
            .says(&format!("secrets trust --allow {name}"));
        sandbox
            .secrets("export --format shell")
            .ends(4)
            .says(name)
            .hides("=x");
        sandbox
            .secrets(&format!("exec --except {name} -- true"))
            .succeeds();
    }
}

#[test]
fn the_store_wins_unless_inherited_names_are_kept() {
    let sandbox = with_env("A=store\nB=store\n");
    let run = |flags: &str| {
        let words: Vec<String> = format!("exec {flags} -- sh -c")
            .split_whitespace()
            .map(String::from)
            .collect();
        sandbox
            .secrets_with(words)
            .arg("echo $A $B $C")
            .env("A", "inherited")
            .env("C", "c")
            .succeeds()
    };
    run("").prints("store store c\n");
    run("-v")
        .prints("store store c\n")
        .says("A is overridden by the store");
    run("--keep-env").prints("inherited store c\n");
    run("--keep-env=B").prints("store store c\n");
    run("--keep-env=A -v")
        .prints("inherited store c\n")
        .says("A is kept as inherited");
    run("--only B").prints("inherited store c\n");
    run("--except B").prints("store c\n");
}

#[test]
fn a_pristine_child_is_given_the_secrets_alone() {
    let sandbox = with_env("A=1\n");
    sandbox
        .secrets("exec --pristine -- env")
        .env("C", "c")
        .succeeds()
        .prints("A=1\n");
}

#[test]
fn our_own_credentials_do_not_reach_the_child() {
    let sandbox = with_env("A=1\n");
    let run = || {
        sandbox
            .secrets("exec -- env")
            .env("VAULT_TOKEN", "canary")
            .env("BAO_TOKEN", "canary")
            .env("SECRETS_IDENTITY", "canary")
            .env("SECRETS_X", "canary")
    };
    run().succeeds().hides("canary");
    sandbox.write(".env", "VAULT_TOKEN=own\n");
    let text = run().succeeds().hides("canary").text();
    assert!(text.contains("VAULT_TOKEN=own"));
}

#[test]
fn nothing_starts_without_what_is_required() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\n[environments.ci]\nsource = [\"dotenv:.env\"]\n\
         [secrets.KEY]\nrequired = [\"dev\"]\n[secrets.DEBUG]\nsensitive = false\ndefault = \"false\"\n",
    );
    sandbox
        .secrets("exec -- touch started")
        .ends(125)
        .says("missing: KEY")
        .says("secrets set KEY");
    assert!(!sandbox.path("started").exists());
    sandbox.write(".env", "");
    sandbox
        .secrets_with(["exec", "-e", "ci", "--", "sh", "-c", "echo $DEBUG"])
        .succeeds()
        .prints("false\n");
}

#[test]
fn nothing_starts_if_a_layer_cannot_be_read() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A").input("1").succeeds();
    sandbox
        .secrets("exec -- touch started")
        .env("SECRETS_IDENTITY", "no identity")
        .ends(125);
    std::fs::remove_file(sandbox.home().join(".config/secrets/identity")).unwrap();
    sandbox
        .secrets("exec -- touch started")
        .ends(125)
        .says("you have no identity");
    assert!(!sandbox.path("started").exists());
}

#[test]
fn what_is_too_large_is_named_before_the_kernel_refuses() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", format!("BIG={}\n", "x".repeat(131_071 - 4)));
    sandbox.secrets("exec -- true").succeeds();
    sandbox.write(".env", format!("BIG={}\n", "x".repeat(131_072 - 4)));
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("BIG has 131072 bytes")
        .says("131071");
    let many: String = (0..80)
        .map(|n| format!("V{n}={}\n", "x".repeat(100_000)))
        .collect();
    sandbox.write(".env", many);
    sandbox.secrets("exec -- true").ends(125).says("together");
}

/// Promise 5: shut before the first value is read, and the child is as if we had never been.
#[test]
fn the_process_is_shut_before_a_value_is_read_and_the_child_is_not() {
    let sandbox = with_env("A=1\n");
    let log = sandbox.path("log");
    let arguments = [
        "-f",
        "-e",
        "trace=prctl,prlimit64,open,openat,execve,rt_sigaction",
        "-o",
        log.to_str().unwrap(),
        SECRETS,
        "exec",
        "--",
        "true",
    ];
    sandbox.command("strace", arguments).succeeds();
    let log = sandbox.read("log");
    let at = |what: &str| {
        log.lines()
            .position(|line| line.contains(what))
            .unwrap_or_else(|| panic!("no {what}:\n{log}"))
    };
    let read = at("/.env\"");
    assert!(at("PR_SET_DUMPABLE, SUID_DUMP_DISABLE") < read || at("PR_SET_DUMPABLE, 0") < read);
    assert!(at("RLIMIT_CORE, {rlim_cur=0") < read);
    let exec = log
        .lines()
        .collect::<Vec<_>>()
        .iter()
        .rposition(|line| line.contains("execve("))
        .unwrap();
    assert!(exec > read);
}

#[test]
fn the_child_gets_core_limit_signals_and_descriptors_as_we_got_them() {
    let sandbox = with_env("A=1\n");
    let script = format!(
        "ulimit -c 1024; exec {SECRETS} exec -- bash -c 'ulimit -c; grep -E \"^Sig(Ign|Blk)\" /proc/self/status; ls /proc/self/fd'"
    );
    let with = sandbox.command("bash", ["-c", &script]).succeeds().text();
    let plain = "ulimit -c 1024; exec bash -c 'ulimit -c; grep -E \"^Sig(Ign|Blk)\" /proc/self/status; ls /proc/self/fd'";
    let without = sandbox.command("bash", ["-c", plain]).succeeds().text();
    assert_eq!(with, without);
    assert!(with.starts_with("1024\n"), "{with}");
    // SIGPIPE, which Rust ignores, is signal 13: bit 12.
    let ignored = with
        .lines()
        .find_map(|l| l.strip_prefix("SigIgn:"))
        .unwrap()
        .trim();
    assert_eq!(
        u64::from_str_radix(ignored, 16).unwrap() & (1 << 12),
        0,
        "{with}"
    );
}

#[test]
fn a_sigpipe_that_was_ignored_stays_ignored() {
    let sandbox = with_env("A=1\n");
    let script = format!("trap '' PIPE; exec {SECRETS} exec -- grep SigIgn /proc/self/status");
    let text = sandbox.command("bash", ["-c", &script]).succeeds().text();
    let ignored = text.trim().rsplit('\t').next().unwrap();
    assert_ne!(
        u64::from_str_radix(ignored, 16).unwrap() & (1 << 12),
        0,
        "{text}"
    );
}

#[test]
fn nothing_starts_without_a_store_that_has_to_be_there() {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set DATABASE_URL").input("x").succeeds();
    for store in ["local:prodution", "dotenv:typo.env"] {
        sandbox
            .secrets_with(["exec", "--store", store, "--", "touch", "started"])
            .ends(125)
            .says(&format!("{store} is not there"));
    }
    // A document that was seen here and has vanished is not an empty one.
    std::fs::remove_file(sandbox.path(".secrets/dev.age")).unwrap();
    for line in ["exec -- touch started", "list", "set NEW --generate"] {
        let done = sandbox.secrets(line).done();
        assert!(matches!(done.status, 4 | 125), "{line}: {}", done.err);
        done.says("dev.age is gone: generation 2 of it was seen here")
            .says("git checkout .secrets/dev.age");
    }
    assert!(!sandbox.path("started").exists());
    assert!(!sandbox.path(".secrets/dev.age").exists());
}

#[test]
fn a_lower_layer_may_be_missing_and_the_last_may_not() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\", \"dotenv:.env.prod\"]\n",
    );
    sandbox.write(".env.prod", "A=1\n");
    sandbox.secrets("exec -- true").succeeds();
    sandbox.write(".env", "A=dev\n");
    std::fs::remove_file(sandbox.path(".env.prod")).unwrap();
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("dotenv:.env.prod is not there");
}

#[test]
fn an_environment_that_nothing_says_anything_of_starts_nothing() {
    let sandbox = with_env("A=1\n");
    sandbox
        .secrets("exec -e prodcution -- true")
        .ends(125)
        .says("no secrets.toml");
    sandbox
        .secrets("exec -- true")
        .env("SECRETS_ENV", "production")
        .ends(125);
}

#[test]
fn the_env_store_hands_on_neither_our_credentials_nor_another_name_for_them() {
    let sandbox = Sandbox::new();
    for store in ["env:", "env:?prefix=SECRETS_", "env:?prefix=VAULT_"] {
        let done = sandbox
            .secrets_with(["exec", "--store", store, "--", "env"])
            .env("SECRETS_IDENTITY", "canary-identity")
            .env("VAULT_TOKEN", "canary-token")
            .env("APP_KEY", "kept")
            .succeeds()
            .hides("canary");
        assert!(done.text().contains("APP_KEY=kept"), "{store}");
    }
}

#[test]
fn a_link_does_not_lead_to_another_project_s_store() {
    let (victim, evil) = (Sandbox::initialised(), Sandbox::new());
    victim.secrets("set PAYROLL_KEY").input("canary").succeeds();
    evil.write("secrets.toml", victim.read("secrets.toml"));
    let identity = victim.home().join(".config/secrets/identity");
    let run = |line: &str| {
        evil.secrets(line)
            .env("SECRETS_IDENTITY_FILE", &identity)
            .input("new")
    };
    std::os::unix::fs::symlink(victim.path(".secrets"), evil.path(".secrets")).unwrap();
    for line in [
        "exec -- env",
        "set PAYROLL_KEY",
        "get PAYROLL_KEY",
        "init --no-recovery",
    ] {
        let done = run(line).done();
        assert!(matches!(done.status, 4 | 125), "{line}: {}", done.err);
        done.hides("canary").says("is a link");
    }
    std::fs::remove_file(evil.path(".secrets")).unwrap();
    std::fs::create_dir(evil.path(".secrets")).unwrap();
    for name in ["recipients.toml", "dev.age"] {
        let from = victim.path(".secrets").join(name);
        std::os::unix::fs::symlink(from, evil.path(".secrets").join(name)).unwrap();
    }
    run("exec -- env")
        .ends(125)
        .hides("canary")
        .says("is a link");
    victim
        .secrets("get PAYROLL_KEY")
        .succeeds()
        .prints("canary\n");
}

#[test]
fn a_file_that_is_used_unnamed_is_our_own_and_lies_here() {
    let (sandbox, other) = (Sandbox::new(), Sandbox::new());
    other.write(".env", "A=elsewhere\n");
    std::os::unix::fs::symlink(other.path(".env"), sandbox.path(".env")).unwrap();
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("leads out of this folder");
    sandbox
        .secrets("get A --store dotenv:.env")
        .succeeds()
        .prints("elsewhere\n");
    // A manifest that is a link to nowhere is not "no manifest".
    let sandbox = with_env("A=1\n");
    std::os::unix::fs::symlink("nowhere", sandbox.path("secrets.toml")).unwrap();
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("secrets.toml");
}
