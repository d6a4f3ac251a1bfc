//! Where projects lie: below the top of a repository, several in one, in linked worktrees and submodules,
//! under names that a shell or git could read otherwise.

use super::{
    accept_in, apart, doctor_asks_for_install, git, git_with, holds, merge, repository, set, within,
};
use crate::support::{SECRETS, Sandbox};

const ODD: [&str; 3] = [
    "shop it's $HOME; \"x\" `id` %A %% [a]",
    "-n\nü",
    "plain/deep",
];

fn set_in(sandbox: &Sandbox, folder: &str, name: &str, value: &str) {
    within(sandbox, folder, &format!("set {name}"))
        .input(value)
        .succeeds();
}

#[track_caller]
fn holds_in(sandbox: &Sandbox, folder: &str, name: &str, value: &str) {
    within(sandbox, folder, &format!("get {name}"))
        .succeeds()
        .prints(&format!("{value}\n"));
}

fn commit_in(sandbox: &Sandbox, folder: &str, message: &str) {
    git_with(sandbox, ["-C", folder, "add", "-A"]).succeeds();
    git_with(sandbox, ["-C", folder, "commit", "-q", "-m", message]).succeeds();
}

/// One repository of these projects; `side` has changed `A` in each and set `C`, `main` has changed `B`.
fn projects(folders: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    git(&sandbox, "init -q -b main").succeeds();
    let in_each = |name, value| {
        for folder in folders {
            set_in(&sandbox, folder, name, value);
        }
    };
    for folder in folders {
        std::fs::create_dir_all(sandbox.path(folder)).unwrap();
        within(&sandbox, folder, "init --no-recovery").succeeds();
    }
    in_each("A", "one");
    in_each("B", "two");
    commit_in(&sandbox, ".", "first");
    git(&sandbox, "checkout -q -b side").succeeds();
    in_each("A", "side");
    commit_in(&sandbox, ".", "side");
    git(&sandbox, "checkout -q main").succeeds();
    for folder in folders {
        accept_in(&sandbox, folder);
    }
    in_each("B", "main");
    commit_in(&sandbox, ".", "main");
    sandbox
}

#[test]
fn projects_below_the_top_are_merged_each_by_itself_whatever_their_folders_are_called() {
    let sandbox = projects(&ODD);
    git(&sandbox, "merge --no-edit side").succeeds();
    for folder in ODD {
        holds_in(&sandbox, folder, "A", "side");
        holds_in(&sandbox, folder, "B", "main");
    }
    git(&sandbox, "status --short").succeeds().prints("");
    shows_a_change_of_each(&sandbox, ODD.len());
}

#[track_caller]
fn shows_a_change_of_each(sandbox: &Sandbox, projects: usize) {
    let shown = git(sandbox, "log -p -1 side").succeeds().text();
    let changed = shown.lines().filter(|line| line.starts_with("+A "));
    assert_eq!(changed.count(), projects, "{shown}");
    assert!(!shown.contains("not to be believed"), "{shown}");
}

#[test]
fn a_project_at_the_top_and_one_below_are_two_stores() {
    // The one below first: its `init` would else find the one above.
    let folders = ["below", "."];
    let sandbox = projects(&folders);
    git(&sandbox, "merge --no-edit side").succeeds();
    for folder in folders {
        holds_in(&sandbox, folder, "A", "side");
        holds_in(&sandbox, folder, "B", "main");
    }
    shows_a_change_of_each(&sandbox, folders.len());
}

#[test]
fn a_conflict_below_the_top_says_where_and_its_commands_work_in_any_folder() {
    let sandbox = projects(&["web shop", "api"]);
    set_in(&sandbox, "api", "A", "main");
    commit_in(&sandbox, ".", "more");
    let merged = merge(&sandbox)
        .says("api/.secrets/dev.age: conflict in A")
        .says("in api: choose, then `git add :/api/.secrets/dev.age`");
    assert_eq!(merged.status, 1);
    holds_in(&sandbox, "web shop", "A", "side");
    holds_in(&sandbox, "api", "A", "main");
    git_with(
        &sandbox,
        ["-C", "web shop", "add", ":/api/.secrets/dev.age"],
    )
    .succeeds();
    git(&sandbox, "commit -q -m merged").succeeds();

    let sandbox = projects(&["web shop"]);
    let config = sandbox.home().join(".config");
    let away = sandbox.home().join("away");
    std::fs::rename(&config, &away).unwrap();
    merge(&sandbox).says("`git checkout --merge ':/web shop/.secrets/dev.age'`");
    std::fs::rename(&away, &config).unwrap();
    let again = [
        "-C",
        "web shop/.secrets",
        "checkout",
        "--merge",
        ":/web shop/.secrets/dev.age",
    ];
    git_with(&sandbox, again).succeeds();
    holds_in(&sandbox, "web shop", "A", "side");
}

#[test]
fn a_linked_worktree_has_the_drivers_of_its_repository() {
    let sandbox = repository();
    git(&sandbox, "worktree add -q ../linked -b side").succeeds();
    within(&sandbox, "../linked", "doctor").succeeds();
    within(&sandbox, "../linked", "git install")
        .succeeds()
        .says("nothing to do");
    set_in(&sandbox, "../linked", "A", "side");
    commit_in(&sandbox, "../linked", "side");
    set(&sandbox, "B", "main");
    commit_in(&sandbox, ".", "main");
    git_with(&sandbox, ["-C", "../linked", "merge", "--no-edit", "main"]).succeeds();
    holds_in(&sandbox, "../linked", "A", "side");
    holds_in(&sandbox, "../linked", "B", "main");
}

#[test]
fn a_submodule_is_a_repository_of_its_own() {
    let sandbox = repository();
    let outer = sandbox.home().join("outer");
    let outer = outer.to_str().unwrap();
    git_with(&sandbox, ["init", "-q", outer]).succeeds();
    let inner = sandbox.project();
    let add = [
        "-C",
        outer,
        "submodule",
        "add",
        "-q",
        inner.to_str().unwrap(),
        "inner",
    ];
    git_with(&sandbox, add).succeeds();
    let inner = format!("{outer}/inner");
    doctor_asks_for_install(within(&sandbox, &inner, "doctor"));
    within(&sandbox, &inner, "git install").succeeds();
    within(&sandbox, &inner, "doctor").succeeds();
    git_with(&sandbox, ["-C", &inner, "checkout", "-q", "-b", "side"]).succeeds();
    set_in(&sandbox, &inner, "A", "side");
    commit_in(&sandbox, &inner, "side");
    git_with(&sandbox, ["-C", &inner, "checkout", "-q", "main"]).succeeds();
    accept_in(&sandbox, &inner);
    set_in(&sandbox, &inner, "B", "main");
    commit_in(&sandbox, &inner, "main");
    git_with(&sandbox, ["-C", &inner, "merge", "--no-edit", "side"]).succeeds();
    holds_in(&sandbox, &inner, "A", "side");
    holds_in(&sandbox, &inner, "B", "main");
}

#[test]
fn the_program_may_lie_under_a_name_that_a_shell_would_take_apart() {
    let sandbox = apart();
    let folder = sandbox.home().join("it's 100%; $(x) ü");
    std::fs::create_dir(&folder).unwrap();
    let program = folder.join("secrets");
    std::fs::copy(SECRETS, &program).unwrap();
    sandbox
        .command(program.to_str().unwrap(), ["git", "install"])
        .succeeds();
    sandbox.secrets("doctor").succeeds();
    git(&sandbox, "merge --no-edit side").succeeds();
    holds(&sandbox, "A", "side");
    let shown = git(&sandbox, "log -p").succeeds().text();
    assert!(shown.contains("\n+A "), "{shown}");
    // Moved away, it is missed.
    std::fs::remove_file(&program).unwrap();
    doctor_asks_for_install(sandbox.secrets("doctor"));
}

#[test]
fn the_program_is_called_by_its_name_only_where_the_repository_s_own_is_not_found_first() {
    let sandbox = repository();
    std::fs::create_dir(sandbox.home().join("bin")).unwrap();
    std::os::unix::fs::symlink(SECRETS, sandbox.home().join("bin/secrets")).unwrap();
    let rest = std::env::var("PATH").unwrap();
    let bin = sandbox.home().join("bin").display().to_string();
    for (path, by_name) in [
        (format!("{bin}:{rest}"), true),
        (format!(".:{bin}:{rest}"), false),
        (format!(":{bin}:{rest}"), false),
        (format!("{bin}:.:{rest}"), true),
    ] {
        let install = sandbox.secrets("git install").env("PATH", &path);
        install.succeeds();
        let driver = git(&sandbox, "config diff.secrets.textconv").succeeds();
        assert_eq!(driver.text().starts_with("secrets "), by_name, "{path}");
    }
}

#[test]
fn no_program_that_the_repository_s_configuration_names_is_run_for_an_answer() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = repository();
    sandbox.write("spy", "#!/bin/sh\ntouch spied\n");
    std::fs::set_permissions(sandbox.path("spy"), std::fs::Permissions::from_mode(0o755)).unwrap();
    git(&sandbox, "config core.fsmonitor ./spy").succeeds();
    sandbox.secrets("doctor").done();
    sandbox.secrets("git install").succeeds();
    sandbox
        .secrets("git show --for-git .secrets/dev.age")
        .succeeds();
    assert!(!sandbox.path("spied").exists());
}
