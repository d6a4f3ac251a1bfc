//! git merges and shows the encrypted store by name: real git, the real program as its driver.

mod histories;
mod merging;
mod people;
mod places;
mod showing;

use crate::support::{Done, Run, SECRETS, Sandbox};

const DOCUMENT: &str = ".secrets/dev.age";

/// A repository with an initialised store and one commit: `A` is `one`, `B` is `two`.
fn repository() -> Sandbox {
    let sandbox = Sandbox::new();
    git(&sandbox, "init -q -b main").succeeds();
    sandbox.secrets("init --no-recovery").succeeds();
    set(&sandbox, "A", "one");
    set(&sandbox, "B", "two");
    commit(&sandbox, "first");
    sandbox
}

fn git<'a>(sandbox: &'a Sandbox, words: &str) -> Run<'a> {
    git_with(sandbox, words.split_whitespace())
}

fn git_with<'a, 'w>(sandbox: &'a Sandbox, words: impl IntoIterator<Item = &'w str>) -> Run<'a> {
    let settings = [
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.com",
        "-c",
        "core.editor=true",
        "-c",
        "protocol.file.allow=always",
    ];
    sandbox.command("git", settings.into_iter().chain(words))
}

/// The program in a folder of the project, whatever that is called.
fn within<'a>(sandbox: &'a Sandbox, folder: &str, words: &str) -> Run<'a> {
    let script = "cd -- \"$1\" && shift && exec \"$@\"";
    let start = ["-c", script, "sh", folder, SECRETS];
    sandbox.command("sh", start.into_iter().chain(words.split_whitespace()))
}

fn commit(sandbox: &Sandbox, message: &str) {
    git(sandbox, "add -A").succeeds();
    git(sandbox, &format!("commit -q -m {message}")).succeeds();
}

fn set(sandbox: &Sandbox, name: &str, value: &str) {
    sandbox
        .secrets(&format!("set {name}"))
        .input(value)
        .succeeds();
}

#[track_caller]
fn holds(sandbox: &Sandbox, name: &str, value: &str) {
    sandbox
        .secrets(&format!("get {name}"))
        .succeeds()
        .prints(&format!("{value}\n"));
}

/// Says yes to all that `secrets trust` shows.
fn accept(sandbox: &Sandbox) {
    accept_in(sandbox, ".");
}

fn accept_in(sandbox: &Sandbox, folder: &str) {
    let shown = within(sandbox, folder, "trust --json").done().json();
    for waiting in shown["pending"].as_array().unwrap() {
        let digest = waiting["digest"].as_str().unwrap();
        within(sandbox, folder, &format!("trust --accept {digest}")).succeeds();
    }
}

/// Goes to a branch whose document may be older than what was seen: a person's word.
fn go_to(sandbox: &Sandbox, branch: &str) {
    git(sandbox, &format!("checkout -q {branch}")).succeeds();
    accept(sandbox);
}

/// What `main` and a branch `side` change, each committed; `main` is checked out.
fn parted(on_side: impl Fn(&Sandbox), on_main: impl Fn(&Sandbox)) -> Sandbox {
    let sandbox = repository();
    git(&sandbox, "checkout -q -b side").succeeds();
    on_side(&sandbox);
    commit(&sandbox, "side");
    go_to(&sandbox, "main");
    on_main(&sandbox);
    commit(&sandbox, "main");
    sandbox
}

/// As [`parted`]: `side` has changed `A`, `main` has changed `B`.
fn apart() -> Sandbox {
    parted(|side| set(side, "A", "side"), |main| set(main, "B", "main"))
}

fn merge(sandbox: &Sandbox) -> Done {
    git(sandbox, "merge --no-edit side").done()
}

#[track_caller]
fn merges(sandbox: &Sandbox) -> Done {
    git(sandbox, "merge --no-edit side").succeeds()
}

/// Merges what git has left unmerged once more, as it is printed to be done.
#[track_caller]
fn merges_again(sandbox: &Sandbox) {
    git(sandbox, "checkout --merge .secrets/dev.age").succeeds();
    commit(sandbox, "merged");
    holds(sandbox, "A", "side");
    holds(sandbox, "B", "main");
}

/// The command that was printed after these words, without `secrets`.
#[track_caller]
fn printed_after(done: &Done, words: &str) -> String {
    let start = format!("{words}: secrets ");
    let (_, rest) = done.err.split_once(&start).expect(&done.err);
    rest.lines().next().unwrap().to_owned()
}

/// That git finds the document unmerged, and it is as it was, without a mark.
#[track_caller]
fn is_left_alone(sandbox: &Sandbox, before: &str) {
    let status = git(sandbox, "status --short").succeeds().text();
    assert!(status.contains("UU .secrets/dev.age"), "{status}");
    assert_eq!(sandbox.read(DOCUMENT), before);
}

#[track_caller]
fn doctor_asks_for_install(doctor: Run<'_>) {
    let done = doctor.ends(7);
    let shown = done.text() + &done.err;
    assert!(shown.contains("secrets git install"), "{shown}");
}

fn configured(sandbox: &Sandbox, name: &str) -> String {
    let value = git(sandbox, &format!("config --local {name}"))
        .succeeds()
        .text();
    value.trim_end().to_owned()
}

#[test]
fn init_has_git_merge_and_show_by_name_and_once_is_enough() {
    let sandbox = repository();
    let driver = configured(&sandbox, "merge.secrets.driver");
    assert!(driver.contains("git merge -- %O %A %B %P"), "{driver}");
    let attributes = sandbox.read(".secrets/.gitattributes");
    assert!(
        attributes.contains("*.age -text merge=secrets diff=secrets"),
        "{attributes}"
    );
    sandbox
        .secrets("git install")
        .succeeds()
        .says("nothing to do");
    sandbox.secrets("init --no-recovery").succeeds();
    assert_eq!(sandbox.read(".secrets/.gitattributes"), attributes);
    let status = git(&sandbox, "status --short").succeeds();
    assert_eq!(status.text(), "");
}

#[test]
fn outside_a_repository_nothing_is_set_up_and_install_says_why() {
    let sandbox = Sandbox::initialised();
    sandbox
        .secrets("git install")
        .ends(3)
        .says("there is no git repository here or above");
}

#[test]
fn without_an_encrypted_store_there_is_nothing_to_set_up() {
    let sandbox = Sandbox::new();
    git(&sandbox, "init -q").succeeds();
    sandbox
        .secrets("git install")
        .ends(3)
        .says("there is no encrypted store here")
        .says("secrets init");
    assert!(!sandbox.path(".secrets").exists());
}

#[test]
fn a_clone_has_no_driver_until_somebody_installs_it_there() {
    let sandbox = repository();
    git(&sandbox, "clone -q . clone").succeeds();
    let there = |words: &str| {
        git_with(
            &sandbox,
            ["-C", "clone"].into_iter().chain(words.split(' ')),
        )
    };
    there("config --local merge.secrets.driver").ends(1);
    doctor_asks_for_install(within(&sandbox, "clone", "doctor"));
    within(&sandbox, "clone", "git install").succeeds();
    within(&sandbox, "clone", "doctor").succeeds();
    there("status --short").succeeds().prints("");
}

#[test]
fn what_git_never_asks_is_refused_kindly() {
    let sandbox = repository();
    sandbox.write("text.txt", "x");
    for path in [
        "text.txt",
        "../.secrets/dev.age",
        "/.secrets/dev.age",
        ".secrets/-x.age",
    ] {
        sandbox
            .secrets_with([
                "git", "merge", "--", "text.txt", "text.txt", "text.txt", path,
            ])
            .ends(2)
            .says("no document of a local store");
    }
    sandbox.secrets("git merge a b c .secrets/dev.age").ends(3);
    sandbox
        .secrets("git show text.txt")
        .ends(1)
        .says("no age file");
    assert_eq!(sandbox.read("text.txt"), "x");
}

#[test]
fn doctor_says_that_a_clone_lacks_what_install_sets_up() {
    let sandbox = repository();
    sandbox.secrets("doctor").succeeds();
    for change in [
        "config --local --unset merge.secrets.driver",
        "config --local merge.secrets.recursive text",
        "config --local diff.secrets.textconv true",
        "config --local merge.secrets.driver secrets-of-long-ago",
    ] {
        git(&sandbox, change).succeeds();
        doctor_asks_for_install(sandbox.secrets("doctor"));
        sandbox.secrets("git install").succeeds();
        sandbox.secrets("doctor").succeeds();
    }
}

#[test]
fn attributes_that_say_otherwise_are_found_and_named() {
    let sandbox = repository();
    for file in [".secrets/.gitattributes", ".git/info/attributes"] {
        let before = std::fs::read(sandbox.path(file)).unwrap_or_default();
        let more = [&before[..], b"*.age merge=union\n"].concat();
        sandbox.write(file, more);
        doctor_asks_for_install(sandbox.secrets("doctor"));
        sandbox
            .secrets("git install")
            .ends(1)
            .says("other attributes keep git from using the drivers")
            .says("git check-attr -a .secrets/dev.age");
        sandbox.write(file, before);
        sandbox.secrets("doctor").succeeds();
    }
}
