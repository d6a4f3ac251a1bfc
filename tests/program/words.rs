//! What the sync verbs say: what a store is called, what a hint says to type, what is refused with which words.
//! Each command that is printed is typed as it stands.

use std::os::unix::fs::symlink;

use secrets_testkit::web::{Reply, Request, Server};
use serde_json::json;

use crate::support::{Done, SECRETS, Sandbox};

const SYNC: &str = "sync dotenv:.env dotenv:b.env";

/// A project whose two files have both held this since they were synced.
fn agreed(text: &str) -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.write(".env", text);
    sandbox.write("b.env", text);
    sandbox.secrets(SYNC).succeeds();
    sandbox
}

/// A project with these environments, trusted.
fn with(environments: &str) -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.write("secrets.toml", environments);
    sandbox.trust();
    sandbox
}

/// Two environments in the encrypted store, of which production is protected.
fn two_environments(left: &str, right: &str) -> Sandbox {
    let sandbox = with(&format!(
        "[environments.{left}]\nsource = [\"local:\"]\n\
         [environments.{right}]\nsource = [\"local:\"]\nprotected = true\n"
    ));
    for (environment, value) in [(left, "1"), (right, "2")] {
        let set = sandbox.secrets(&format!("set A -e {environment} --yes"));
        set.input(value).succeeds();
    }
    sandbox
}

/// A project whose `prod` is read from a file and copied to others; `dev` comes first.
fn mirrored(mirrors: &str) -> Sandbox {
    let sandbox = with(&format!(
        "[project]\ndefault-environment = \"dev\"\n\
         [environments.dev]\nsource = [\"dotenv:dev.env\"]\nmirrors = [\"dotenv:dev-copy.env\"]\n\
         [environments.prod]\nsource = [\"dotenv:.env\"]\nmirrors = [{mirrors}]\n"
    ));
    sandbox.write("dev.env", "DEV=1\n");
    sandbox.write(".env", "A=1\nB=1\n");
    sandbox.secrets("push -e prod --yes").succeeds();
    sandbox
}

/// The commands of ours between backquotes, in order.
fn commands(done: &Done) -> Vec<String> {
    let parts = done.err.split('`').skip(1).step_by(2);
    let ours = parts.filter(|part| part.starts_with("secrets "));
    ours.map(str::to_owned).collect()
}

/// The command among them that begins so.
#[track_caller]
fn command(done: &Done, start: &str) -> String {
    let commands = commands(done);
    let found = commands.iter().find(|c| c.starts_with(start));
    found
        .unwrap_or_else(|| panic!("no `{start}`\n{}", done.err))
        .clone()
}

// ---- what a store is called --------------------------------------------------------------------------

#[test]
fn two_environments_of_the_encrypted_store_are_told_apart() {
    let sandbox = two_environments("staging", "production");
    let text = sandbox.secrets("diff staging production").ends(7).text();
    assert!(
        text.starts_with("# local:staging ↔ local:production"),
        "{text}"
    );
    let report = sandbox
        .secrets("diff staging production --json")
        .ends(7)
        .json();
    let pair = &report["pairs"][0];
    assert_eq!(pair["left"], "local:staging");
    assert_eq!(pair["right"], "local:production");
    assert_eq!(pair["secrets"][0]["right"]["store"], "local:production");
    sandbox
        .secrets("sync staging production --prefer left --yes")
        .succeeds()
        .says("1 secret written to local:production");
    let status = sandbox.secrets("status").succeeds().text();
    assert!(
        status.contains("local:staging") && status.contains("local:production"),
        "{status}"
    );
}

#[test]
fn a_write_to_a_protected_environment_is_asked_about_by_its_name() {
    let sandbox = two_environments("staging", "production");
    for line in [
        "sync staging production --prefer left",
        "push -e staging production --prefer source",
    ] {
        sandbox
            .secrets(line)
            .ends(2)
            .says("write 1 secret to local:production (production is protected)");
        sandbox
            .secrets(&format!("{line} --dry-run"))
            .succeeds()
            .says("(production is protected)");
    }
    sandbox
        .secrets("sync staging production --prefer right --dry-run")
        .succeeds()
        .says("would write 1 secret to local:staging;");
}

#[test]
fn a_preference_that_fits_both_sides_is_refused_with_what_to_write() {
    let sandbox = two_environments("staging", "production");
    sandbox
        .secrets("sync staging production --prefer local: --yes")
        .ends(2)
        .says("--prefer local: may be either side")
        .says("--prefer left for local:staging, --prefer right for local:production");
    for word in ["local:production", "production", "right"] {
        sandbox
            .secrets(&format!(
                "sync staging production --prefer {word} --dry-run"
            ))
            .succeeds()
            .says("would write 1 secret to local:staging");
    }
    // A store that is no environment is not called by that of the command line.
    sandbox.write("b.env", "A=3\n");
    sandbox
        .secrets("sync dotenv:b.env staging --prefer production --dry-run")
        .ends(2)
        .says("neither side");
    sandbox
        .secrets("sync dotenv:b.env staging --prefer staging --dry-run")
        .succeeds()
        .says("would write 1 secret to dotenv:b.env");
    sandbox
        .secrets("sync dotenv:b.env local: -e staging --prefer local: --dry-run")
        .succeeds()
        .says("would write 1 secret to dotenv:b.env");
}

#[test]
fn environments_that_are_called_like_a_side_do_not_change_what_the_word_means_unseen() {
    let sandbox = two_environments("right", "left");
    sandbox
        .secrets("sync right left --prefer left --yes")
        .ends(2)
        .says("--prefer left may be either side")
        .says("--prefer local:right for local:right, --prefer local:left for local:left");
    sandbox
        .secrets("sync right left --prefer local:left --dry-run")
        .succeeds()
        .says("would write 1 secret to local:right");
    // Nor does a hint say a word that is refused.
    sandbox
        .secrets("sync right left --yes")
        .ends(5)
        .says("--prefer local:right or --prefer local:left");
    // Where both meanings are the same side there is nothing to refuse.
    sandbox
        .secrets("sync left right --prefer left --dry-run")
        .succeeds();
    let sandbox = two_environments("mirror", "source");
    sandbox
        .secrets("push -e mirror source --prefer mirror --yes")
        .ends(2)
        .says("may be either side")
        .says("--prefer left for local:mirror");
    sandbox
        .secrets("push -e mirror source --prefer left --dry-run")
        .succeeds();
}

// ---- links -------------------------------------------------------------------------------------------

#[test]
fn a_link_out_of_the_project_is_not_followed_where_its_store_is_typed() {
    let sandbox = Sandbox::initialised();
    let outside = sandbox.home().join("bashrc");
    std::fs::write(&outside, "A=1\n").unwrap();
    symlink(&outside, sandbox.path(".env")).unwrap();
    symlink(sandbox.home(), sandbox.path("conf")).unwrap();
    symlink(sandbox.home().join("new"), sandbox.path("new.env")).unwrap();
    sandbox.secrets("set B").input("2").succeeds();
    let real = outside.canonicalize().unwrap().display().to_string();
    for line in [
        "sync dotenv:.env local: --first --yes",
        "sync local: dotenv:conf/bashrc --first --yes",
        "diff local: dotenv:.env",
        "push dotenv:.env --yes",
        "pull dotenv:.env --yes",
        "push --store dotenv:.env dotenv:b.env --yes",
        "pull --store dotenv:.env local: --yes",
        "status --store dotenv:.env",
    ] {
        sandbox
            .secrets(line)
            .ends(4)
            .says("leads out of this folder through a link")
            .says(&format!("name it itself: dotenv:{real}"));
        assert_eq!(
            std::fs::read_to_string(&outside).unwrap(),
            "A=1\n",
            "{line}"
        );
    }
    // What a link would make is no other case, and options are kept in what to type.
    let new = sandbox.home().canonicalize().unwrap().join("new");
    sandbox
        .secrets("push dotenv:new.env?dialect=docker --yes")
        .ends(4)
        .says(&format!("'dotenv:{}?dialect=docker'", new.display()));
    assert!(!new.exists());
    // Typed as it is, it is the person's own word.
    sandbox
        .secrets(&format!("push dotenv:{real} --yes"))
        .succeeds();
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "A=1\nB=2\n");
}

#[test]
fn without_a_manifest_the_file_behind_a_link_is_named_too() {
    let sandbox = Sandbox::new();
    let outside = sandbox.home().canonicalize().unwrap().join("shared.env");
    std::fs::write(&outside, "A=1\n").unwrap();
    symlink(&outside, sandbox.path(".env")).unwrap();
    let flag = format!("--store dotenv:{}", outside.display());
    for line in ["push dotenv:b.env --yes", "status", "get A"] {
        sandbox.secrets(line).ends(4).says(&format!("`{flag}`"));
        sandbox.secrets(&format!("{line} {flag}")).succeeds();
    }
    assert_eq!(sandbox.read("b.env"), "A=1\n");
}

#[test]
fn a_link_that_stays_in_the_project_is_followed() {
    let sandbox = Sandbox::initialised();
    sandbox.write("conf/real.env", "A=1\n");
    symlink("conf/real.env", sandbox.path(".env")).unwrap();
    sandbox.write("sub/keep", "");
    symlink("../conf/real.env", sandbox.path("sub/up.env")).unwrap();
    sandbox.secrets("diff dotenv:.env local:").ends(7);
    let diff = sandbox.secrets("diff dotenv:up.env local:");
    diff.within("sub").ends(7);
}

// ---- what hints say to type --------------------------------------------------------------------------

#[test]
fn the_way_out_of_a_conflict_of_a_push_takes_what_the_mirror_has_and_nothing_else() {
    let sandbox = mirrored("\"dotenv:one.env\", \"dotenv:two.env\"");
    sandbox.write(".env", "A=2\nB=1\nC=1\n");
    sandbox.write("two.env", "A=1\nB=3\nOWN=1\n");
    let done = sandbox
        .secrets("push -e prod --yes")
        .ends(5)
        .says("B is in conflict");
    let pull = command(&done, "secrets pull");
    assert_eq!(
        pull,
        "secrets pull dotenv:two.env -e prod --only B --prefer mirror --yes"
    );
    sandbox.typed(&pull).succeeds();
    assert_eq!(sandbox.read(".env"), "A=2\nB=3\nC=1\n");
    assert_eq!(sandbox.read("two.env"), "A=1\nB=3\nOWN=1\n");
    // Both have changed: the mirror counts all the same.
    sandbox.write("one.env", "A=4\nB=1\n");
    let done = sandbox
        .secrets("push -e prod --yes")
        .ends(5)
        .says("A is in conflict");
    sandbox.typed(&command(&done, "secrets pull")).succeeds();
    assert_eq!(sandbox.read(".env"), "A=4\nB=3\nC=1\n");
    assert_eq!(sandbox.read("dev.env"), "DEV=1\n");
}

#[test]
fn the_way_out_of_a_conflict_of_a_pull_copies_what_the_source_has() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    sandbox.write(".env", "A=2\nB=1\n");
    let done = sandbox
        .secrets("pull -e prod --yes")
        .ends(5)
        .says("A is in conflict");
    let push = command(&done, "secrets push");
    assert_eq!(push, "secrets push -e prod --only A --prefer source --yes");
    sandbox.typed(&push).succeeds();
    assert_eq!(sandbox.read("one.env"), "A=2\nB=1\n");
    assert!(!sandbox.path("dev-copy.env").exists());
}

#[test]
fn what_a_push_was_asked_with_comes_along_into_its_hint() {
    let sandbox = Sandbox::initialised();
    sandbox.write("a b.env", "A=1\n");
    sandbox.write("to.env", "");
    let push = [
        "push",
        "--store",
        "dotenv:a b.env",
        "dotenv:to.env?dialect=docker",
    ];
    let flags = ["--prefix", "SHOP_", "--rename", "X=Y", "--yes"];
    let run = || sandbox.secrets_with(push.iter().chain(&flags));
    run().succeeds();
    sandbox.write("to.env", "SHOP_A=2\n");
    let done = run().ends(5);
    let pull = command(&done, "secrets pull");
    assert_eq!(
        pull,
        "secrets pull 'dotenv:to.env?dialect=docker' --store 'dotenv:a b.env' --rename X=Y --prefix SHOP_ --only A --prefer mirror --yes"
    );
    sandbox.typed(&pull).succeeds();
    assert_eq!(sandbox.read("a b.env"), "A=2\n");
}

#[test]
fn a_deletion_in_the_mirror_is_taken_by_the_printed_command_too() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    sandbox.write("one.env", "B=1\n");
    let done = sandbox
        .secrets("push -e prod --yes")
        .ends(5)
        .says("A is in conflict");
    let pull = command(&done, "secrets pull");
    assert!(pull.ends_with("--delete --yes"), "{pull}");
    sandbox.typed(&pull).succeeds();
    assert_eq!(sandbox.read(".env"), "B=1\n");
}

#[test]
fn what_cannot_count_is_answered_with_the_whole_command_that_goes_the_other_way() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    sandbox.write("one.env", "A=2\nB=1\n");
    let done = sandbox
        .secrets("push -e prod --prefer mirror --only A --yes")
        .ends(2);
    let pull = command(&done, "secrets pull");
    assert_eq!(pull, "secrets pull -e prod --only A --prefer mirror --yes");
    sandbox.typed(&pull).succeeds();
    assert_eq!(sandbox.read(".env"), "A=2\nB=1\n");
    // A source that cannot be written is not proposed as a target.
    let done = sandbox
        .secrets("push --store env:?prefix=APP_ dotenv:one.env --yes")
        .env("APP_A", "9")
        .ends(5);
    assert!(commands(&done).is_empty(), "{}", done.err);
}

#[test]
fn a_sync_with_what_is_read_only_says_which_way_can_be_copied() {
    let sandbox = Sandbox::initialised();
    sandbox.write("b.env", "");
    let run = |line: &str| sandbox.secrets(line).env("APP_A", "1");
    for (line, expected) in [
        (
            "sync env:?prefix=APP_ dotenv:b.env --prefix SHOP_",
            "secrets push dotenv:b.env --store 'env:?prefix=APP_' --prefix SHOP_",
        ),
        (
            "sync dev env:?prefix=APP_ --only A",
            "secrets pull 'env:?prefix=APP_' -e dev --only A",
        ),
    ] {
        let done = run(line).ends(2).says("is read-only");
        assert_eq!(commands(&done), [expected]);
    }
}

#[test]
fn a_mirror_s_path_is_typed_where_the_command_line_is() {
    let sandbox = mirrored("\"dotenv:one.env\", \"dotenv:two.env\"");
    sandbox.write("sub/keep", "");
    sandbox.write("two.env", "A=5\nB=1\n");
    let done = sandbox.secrets("push -e prod --yes").within("sub").ends(5);
    let pull = command(&done, "secrets pull");
    sandbox.typed(&pull).within("sub").succeeds();
    assert_eq!(sandbox.read(".env"), "A=5\nB=1\n");
    let two = sandbox.path("two.env").display().to_string();
    let done = sandbox.secrets("pull -e prod").within("sub").ends(2);
    done.says("`secrets pull STORE -e prod`")
        .says(&format!("dotenv:{two}"));
}

#[test]
fn what_status_says_to_type_brings_the_mirrors_in_step() {
    let sandbox = mirrored("\"dotenv:one.env\", \"dotenv:two.env\"");
    sandbox.write(".env", "A=2\n");
    sandbox.write("two.env", "A=1\nB=1\nOWN=1\nOTHER=1\n");
    let status = || sandbox.secrets("status -e prod").ends(7);
    let done = status();
    let pull = command(&done, "secrets pull");
    assert_eq!(pull, "secrets pull dotenv:two.env -e prod --only OTHER,OWN");
    let unset = command(&done, "secrets unset");
    assert_eq!(
        unset,
        "secrets unset OTHER OWN -e prod --store dotenv:two.env"
    );
    let push = command(&done, "secrets push");
    assert_eq!(push, "secrets push -e prod --delete");
    sandbox.typed(&format!("{push} --yes")).succeeds();
    sandbox.typed(&format!("{unset} --yes")).succeeds();
    sandbox.secrets("status -e prod").succeeds();
    assert_eq!(sandbox.read("one.env"), "A=2\n");
    assert_eq!(sandbox.read("two.env"), "A=2\n");
    // The other way for what only a mirror has.
    sandbox.write("two.env", "A=2\nOWN=1\n");
    let pull = command(&status(), "secrets pull");
    sandbox.typed(&format!("{pull} --yes")).succeeds();
    assert_eq!(sandbox.read(".env"), "A=2\nOWN=1\n");
    assert_eq!(command(&status(), "secrets push"), "secrets push -e prod");
}

#[test]
fn status_of_another_source_and_of_some_names_says_so_in_what_to_type() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    sandbox.write("other.env", "A=1\nB=1\nNEW=1\n");
    let done = sandbox
        .secrets("status -e prod --store dotenv:other.env --only N*")
        .ends(7);
    let push = command(&done, "secrets push");
    assert_eq!(
        push,
        "secrets push -e prod --store dotenv:other.env --only 'N*'"
    );
    sandbox.typed(&format!("{push} --yes")).succeeds();
    assert_eq!(sandbox.read("one.env"), "A=1\nB=1\nNEW=1\n");
}

#[test]
fn a_conflict_in_status_is_not_said_to_be_brought_in_step() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    sandbox.write("one.env", "A=3\nB=1\n");
    sandbox
        .secrets("status -e prod")
        .ends(7)
        .says("`secrets push -e prod --dry-run` shows what is in conflict")
        .hides("brings its mirrors in step");
}

// ---- what is not there -------------------------------------------------------------------------------

#[test]
fn a_source_that_is_not_there_is_not_in_step_with_a_mirror_that_is_not_there_either() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    std::fs::remove_file(sandbox.path(".env")).unwrap();
    std::fs::remove_file(sandbox.path("one.env")).unwrap();
    let done = sandbox
        .secrets("status -e prod")
        .ends(3)
        .says("dotenv:.env is not there");
    assert!(!done.text().contains("in step"), "{}", done.text());
    let report = sandbox.secrets("status -e prod --json").ends(3).json();
    let environment = &report["environments"][0];
    assert_eq!(environment["error"], "dotenv:.env is not there");
    assert_eq!(environment["mirrors"][0]["in-step"], false);
    // Nor with one that is there and empty.
    sandbox.write("one.env", "");
    sandbox.secrets("status -e prod").ends(3);
    // What only the mirror has is drift.
    sandbox.write("one.env", "A=1\n");
    sandbox.secrets("status -e prod").ends(7);
    // A source that is there and empty lacks nothing in a mirror that is not.
    sandbox.write(".env", "");
    std::fs::remove_file(sandbox.path("one.env")).unwrap();
    sandbox.secrets("status -e prod").succeeds();
}

#[test]
fn where_nothing_is_compared_a_source_is_missed_only_if_it_was_typed() {
    let sandbox = with("[environments.dev]\nsource = [\"dotenv:.env\"]\n");
    let text = sandbox.secrets("status").succeeds().text();
    assert!(text.contains("not there"), "{text}");
    sandbox.secrets("status --store dotenv:typo.env").ends(3);
}

#[test]
fn two_stores_that_are_not_there_are_never_in_step() {
    let sandbox = Sandbox::initialised();
    for line in [
        "diff dotenv:x.env dotenv:y.env",
        "sync dotenv:x.env dotenv:y.env --yes --first",
    ] {
        let done = sandbox.secrets(&format!("{line} --json")).ends(3);
        assert_eq!(done.json()["pairs"][0]["in-step"], false);
        done.says("neither is there: dotenv:x.env, dotenv:y.env");
    }
}

// ---- deletions ---------------------------------------------------------------------------------------

#[test]
fn a_line_that_was_deleted_by_accident_comes_back_by_the_printed_command() {
    let sandbox = agreed("A=1\nB=1\nC=1\n");
    sandbox.write(".env", "B=1\nC=2\n");
    let done = sandbox.secrets(&format!("{SYNC} --yes")).succeeds();
    let pull = command(&done, "secrets pull");
    assert_eq!(
        pull,
        "secrets pull dotenv:b.env --store dotenv:.env --only A --prefer mirror --yes"
    );
    sandbox.typed(&pull).succeeds();
    assert_eq!(sandbox.read(".env"), "B=1\nC=2\nA=1\n");
    sandbox.secrets(SYNC).succeeds().says("nothing to do");
    // On the other side it is a push.
    sandbox.write("b.env", "A=1\nB=1\n");
    let done = sandbox.secrets(&format!("{SYNC} --yes")).succeeds();
    sandbox.typed(&command(&done, "secrets push")).succeeds();
    assert_eq!(sandbox.read("b.env"), "A=1\nB=1\nC=2\n");
}

#[test]
fn of_mirrors_that_hold_the_same_one_way_back_is_said() {
    let sandbox = mirrored("\"dotenv:one.env\", \"dotenv:two.env\"");
    sandbox.write(".env", "A=1\n");
    let done = sandbox.secrets("push -e prod --yes").succeeds();
    let expected = "secrets pull dotenv:one.env -e prod --only B --prefer mirror --yes";
    assert_eq!(commands(&done), [expected]);
    sandbox.typed(expected).succeeds();
    sandbox.secrets("status -e prod").succeeds();
}

#[test]
fn a_deletion_comes_back_from_a_mirror_and_in_an_environment() {
    let sandbox = mirrored("\"dotenv:one.env\"");
    sandbox.write(".env", "A=1\n");
    let done = sandbox.secrets("push -e prod --yes").succeeds();
    let pull = command(&done, "secrets pull");
    assert_eq!(pull, "secrets pull -e prod --only B --prefer mirror --yes");
    sandbox.typed(&pull).succeeds();
    assert_eq!(sandbox.read(".env"), "A=1\nB=1\n");
    let sandbox = two_environments("staging", "production");
    sandbox
        .secrets("sync staging production --prefer left --yes")
        .succeeds();
    sandbox.secrets("unset A -e staging --yes").succeeds();
    let done = sandbox.secrets("sync staging production --yes").succeeds();
    sandbox.typed(&command(&done, "secrets pull")).succeeds();
    sandbox.secrets("get A -e staging").succeeds().prints("1\n");
}

// ---- smaller words -----------------------------------------------------------------------------------

#[test]
fn an_environment_that_the_manifest_does_not_have_is_refused_where_stores_are_typed_too() {
    let sandbox = Sandbox::initialised();
    sandbox.write(".env", "A=1\n");
    for line in [
        "sync dotenv:.env local: -e dve --first --yes",
        "diff dotenv:.env local: -e dve",
        "push --store dotenv:.env local: -e dve --yes",
        "set A --store local: -e dve",
    ] {
        sandbox
            .secrets(line)
            .ends(2)
            .says("there is no environment `dve`")
            .says("did you mean `dev`?");
    }
    assert!(sandbox.path(".secrets/dev.age").exists());
    assert!(!sandbox.path(".secrets/dve.age").exists());
    // Without environments, or without a manifest, there is nothing it could be checked against.
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    sandbox.write("b.env", "A=1\n");
    sandbox
        .secrets("diff dotenv:.env dotenv:b.env -e any")
        .succeeds();
}

#[test]
fn a_line_that_is_put_together_is_first_left_alone() {
    let sandbox = agreed("USER_NAME=u\nURL=db://u\n");
    sandbox.write("b.env", "USER_NAME=u\nURL=db://${USER_NAME}\n");
    sandbox.write(".env", "USER_NAME=u\nURL=db://v\n");
    let done = sandbox.secrets(&format!("{SYNC} --yes")).ends(5);
    let (except, flatten) = (
        done.err.find("--except URL"),
        done.err.find("--flatten URL"),
    );
    assert!(except.is_some() && except < flatten, "{}", done.err);
    done.says("it follows what it refers to");
}

#[test]
fn a_value_that_came_back_is_not_said_to_be_an_old_one_for_certain() {
    let sandbox = Sandbox::initialised();
    sandbox.write("b.env", "A=old\n");
    let line = "sync local: dotenv:b.env --yes";
    sandbox.secrets(&format!("{line} --first")).succeeds();
    sandbox.secrets("set A --yes").input("leaked").succeeds();
    sandbox.secrets("rollback A --yes").succeeds();
    sandbox.write("b.env", "A=leaked\n");
    sandbox
        .secrets(line)
        .ends(5)
        .says("was written since, an old value may have been put back");
}

#[test]
fn a_name_to_flatten_that_is_nowhere_is_refused() {
    let sandbox = agreed("SECRET_KEY=1\n");
    sandbox.write(".env", "SECRET_KEY=2\n");
    sandbox
        .secrets(&format!("{SYNC} --flatten SECRET_KYE --yes"))
        .ends(3)
        .says("--flatten SECRET_KYE")
        .says("did you mean `SECRET_KEY`?");
    assert_eq!(sandbox.read("b.env"), "SECRET_KEY=1\n");
}

#[test]
fn a_mirror_that_is_named_twice_is_said_to_be() {
    let sandbox = agreed("A=1\n");
    sandbox
        .secrets("push --store dotenv:.env dotenv:b.env dotenv:b.env")
        .ends(2)
        .says("dotenv:b.env is named twice");
}

#[test]
fn where_nothing_can_be_noted_nothing_is_written_and_that_is_said() {
    let sandbox = agreed("A=1\n");
    let [base] = sandbox.bases().try_into().unwrap();
    std::fs::remove_file(&base).unwrap();
    std::fs::create_dir(&base).unwrap();
    sandbox.write(".env", "A=2\n");
    sandbox
        .secrets(&format!("{SYNC} --prefer left --yes"))
        .ends(2)
        .says("nothing was written")
        .says("hint: the state folder");
    assert_eq!(sandbox.read("b.env"), "A=1\n");
}

#[test]
fn a_run_that_waits_for_another_says_for_whom() {
    let sandbox = agreed("A=1\n");
    let [base] = sandbox.bases().try_into().unwrap();
    let lock = std::fs::File::open(base.with_file_name("lock")).unwrap();
    lock.lock().unwrap();
    let mut child = std::process::Command::new(SECRETS)
        .args(SYNC.split(' '))
        .env_clear()
        .env("HOME", sandbox.home())
        .current_dir(sandbox.project())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    lock.unlock().unwrap();
    assert_eq!(
        line,
        "waiting for another run that syncs dotenv:.env and dotenv:b.env\n"
    );
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut said, &mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
}

#[test]
fn a_report_after_the_writing_says_whether_both_hold_the_same_now() {
    let sandbox = agreed("A=1\nB=1\n");
    sandbox.write(".env", "A=2\n");
    let run = |flags: &str| {
        sandbox
            .secrets(&format!("{SYNC} --yes --json {flags}"))
            .succeeds()
    };
    let report = run("").json();
    // The deletion is left.
    assert_eq!(report["pairs"][0]["in-step"], false);
    assert_eq!(report["pairs"][0]["secrets"][0]["outcome"], "done");
    let report = run("--delete").json();
    assert_eq!(report["pairs"][0]["in-step"], true);
    assert_eq!(report["error"], json!(null));
    let report = run("").json();
    assert_eq!(report["pairs"][0]["in-step"], true);
}

/// A service that holds one Vault document and is never written.
fn vault(document: serde_json::Value) -> Server {
    Server::plain(move |request: &Request| match request.path.as_str() {
        "/v1/sys/internal/ui/mounts/secret" => Reply::json(
            200,
            &json!({"data": {"type": "kv", "path": "secret/", "options": {"version": "2"}}}),
        ),
        "/v1/secret/data/shop" => Reply::json(
            200,
            &json!({"data": {
                "data": document,
                "metadata": {
                    "created_time": "2026-01-01T00:00:00Z", "deletion_time": "", "destroyed": false, "version": 3
                }
            }}),
        ),
        _ => Reply::empty(404),
    })
}

#[test]
fn fields_that_are_no_texts_are_told_once_with_all_that_is_to_be_left_out() {
    let sandbox = Sandbox::initialised();
    let server = vault(json!({"KEY": "text", "PORT": 5432, "DEBUG": true}));
    let run = |line: &str| {
        let run = sandbox.secrets(line).env("VAULT_TOKEN", "example");
        run.env("VAULT_ADDR", server.url())
    };
    let push = "push --store vault:secret/shop dotenv:one.env dotenv:two.env --yes";
    let partly = run(push).ends(8).says("2 secrets written, 2 not");
    let nothing = run(push).ends(1);
    for done in [partly, nothing] {
        let message = "DEBUG, PORT not compared, in vault:secret/shop";
        assert_eq!(done.err.matches(message).count(), 1, "{}", done.err);
        done.says("store it as a text: `secrets set DEBUG -e dev --store vault:secret/shop`")
            .says("--except DEBUG,PORT")
            .hides("to resume");
    }
    run(&format!("{push} --except DEBUG,PORT")).succeeds();
    assert_eq!(sandbox.read("two.env"), "KEY=text\n");
}
