//! `diff` and `sync`: two stores compared, and brought to hold the same. What has mirrors is in
//! `mirrors.rs`, what takes a person in `terminal.rs`.

use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::json;

use crate::support::{Done, Sandbox, just_now};

/// The two files of most tests.
const SYNC: &str = "sync dotenv:.env dotenv:b.env";
const DIFF: &str = "diff dotenv:.env dotenv:b.env";

/// A project with a local store and these two files.
fn two(left: &str, right: &str) -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.write(".env", left);
    sandbox.write("b.env", right);
    sandbox
}

/// The same, synced once.
fn agreed(text: &str) -> Sandbox {
    let sandbox = two(text, text);
    sandbox.secrets(SYNC).succeeds();
    sandbox
}

/// A text with every fingerprint and version made `#`.
fn masked(text: &str) -> String {
    let is_hex = |word: &str| word.len() == 8 && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut out = String::new();
    for line in text.lines() {
        let words = line
            .split(' ')
            .map(|w| if is_hex(w) { "########" } else { w });
        out += &words.collect::<Vec<_>>().join(" ");
        out.push('\n');
    }
    out
}

/// All that the user's state and the project hold, by path.
fn contents(sandbox: &Sandbox) -> BTreeMap<PathBuf, Vec<u8>> {
    sandbox.files().into_iter().collect()
}

/// One name of a report.
fn secret<'a>(report: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let secrets = report["pairs"][0]["secrets"].as_array().unwrap();
    secrets.iter().find(|s| s["name"] == name).unwrap()
}

#[test]
fn a_plan_is_one_line_a_name_with_the_sides_where_they_are_named() {
    let sandbox = agreed("SAME=1\nLEFT=1\nRIGHT=1\nGONE=1\nBOTH=1\n");
    sandbox.write(".env", "SAME=1\nLEFT=2\nRIGHT=1\nBOTH=2\nNEW=1\n");
    sandbox.write("b.env", "SAME=1\nLEFT=1\nRIGHT=3\nGONE=1\nBOTH=3\n");
    let done = sandbox.secrets(DIFF).ends(7);
    assert_eq!(
        masked(&just_now(&done.text())),
        "\
# dotenv:.env ↔ dotenv:b.env  (synced 0s ago)
~ LEFT   ######## → ########
+ NEW    ######## → -         first sync
~ RIGHT  ######## ← ########
! BOTH   ######## ≠ ########  changed in both
? GONE   -        ######## deleted in the left store; --delete passes it on
= 1 the same
"
        .replace(
            "? GONE   -        ######## deleted",
            "? GONE   -          ########  deleted"
        )
    );
}

#[test]
fn equal_values_have_equal_fingerprints_and_others_have_others() {
    let sandbox = two("A=1\nB=1\n", "A=2\nB=1\n");
    let report = sandbox.secrets(&format!("{DIFF} --json")).ends(7).json();
    let print = |name: &str, side: &str| secret(&report, name)[side]["fingerprint"].clone();
    assert_eq!(print("B", "left"), print("B", "right"));
    assert_ne!(print("A", "left"), print("A", "right"));
    // The same value under another name is nothing that can be told.
    assert_ne!(print("A", "left"), print("B", "left"));
}

#[test]
fn stores_that_hold_the_same_differ_in_nothing() {
    let sandbox = two("A=1\nB='x y'\n", "B=\"x y\"\n# a remark\nA=1\n");
    sandbox
        .secrets(DIFF)
        .succeeds()
        .prints("# dotenv:.env ↔ dotenv:b.env  (never synced from here)\n= 2 the same\n");
}

#[test]
fn a_comparison_changes_nothing() {
    let sandbox = two("A=1\n", "A=2\n");
    sandbox.secrets(DIFF).ends(7);
    let before = contents(&sandbox);
    sandbox.secrets(DIFF).ends(7);
    assert_eq!(contents(&sandbox), before);
}

#[test]
fn a_value_is_shown_only_by_its_name() {
    let sandbox = two("A=canary1\nB=canary2\n", "A=canary3\n");
    for line in ["", " -vv", " --json"] {
        sandbox
            .secrets(&format!("{DIFF}{line}"))
            .ends(7)
            .hides("canary");
        sandbox
            .secrets(&format!("{SYNC}{line} --dry-run"))
            .ends(5)
            .hides("canary");
    }
    let done = sandbox.secrets(&format!("{DIFF} --reveal A")).ends(7);
    let text = done.hides("canary2").text();
    assert!(
        text.ends_with("A in dotenv:.env: canary1\nA in dotenv:b.env: canary3\n"),
        "{text}"
    );
}

#[test]
fn in_json_a_revealed_value_stands_beside_its_fingerprint_and_nothing_else_is_printed() {
    let sandbox = two("A=canary1\nB=canary2\n", "A=canary3\n");
    for (line, exit) in [(DIFF, 7), (SYNC, 5)] {
        let done = sandbox
            .secrets(&format!("{line} --json --reveal A"))
            .ends(exit)
            .hides("canary2");
        let report = done.json();
        assert_eq!(secret(&report, "A")["left"]["value"], "canary1");
        assert_eq!(secret(&report, "A")["right"]["value"], "canary3");
        assert_eq!(secret(&report, "B")["left"].get("value"), None);
    }
}

#[test]
fn configuration_is_shown_as_it_is() {
    let sandbox = two("DEBUG=true\nKEY=canary\n", "DEBUG=false\n");
    let manifest = sandbox.read("secrets.toml") + "\n[secrets.DEBUG]\nsensitive = false\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    let done = sandbox.secrets(DIFF).ends(7).hides("canary");
    let text = done.text();
    assert!(
        text.contains("! DEBUG  \"true\"   ≠ \"false\"  never agreed on"),
        "{text}"
    );
    let report = sandbox.secrets(&format!("{DIFF} --json")).ends(7).json();
    assert_eq!(secret(&report, "DEBUG")["left"]["value"], "true");
}

#[test]
fn long_store_names_leave_the_lines_short() {
    let sandbox = Sandbox::initialised();
    let folder = "a-folder-with-quite-a-long-name/and-another-one-below-it/of-the-same-kind";
    sandbox.write(&format!("{folder}/b.env"), "A=1\nDATABASE_PASSWORD=1\n");
    sandbox
        .secrets("set DATABASE_PASSWORD")
        .input("2")
        .succeeds();
    let done = sandbox
        .secrets(&format!("diff local: dotenv:{folder}/b.env"))
        .ends(7);
    for line in done.text().lines().skip(1) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    assert!(done.text().contains(folder), "the heading names both");
}

#[test]
fn the_store_s_version_and_age_are_told_where_it_has_them() {
    let sandbox = Sandbox::initialised();
    sandbox.write("b.env", "A=1\n");
    sandbox.secrets("set A").input("2").succeeds();
    let list = sandbox.secrets("list --json").succeeds().json();
    let version = list["secrets"][0]["version"].as_str().unwrap()[..8].to_owned();
    let text = sandbox.secrets("diff local: dotenv:b.env").ends(7).text();
    assert!(text.contains(&format!("(v{version}, ")), "{text}");
}

#[test]
fn a_slip_in_a_name_is_answered_with_the_nearest() {
    let sandbox = two("SECRET_KEY=1\n", "SECRET_KEY=1\n");
    for flag in [
        "--only SECRET_KYE",
        "--except SECRET_KYE",
        "--reveal SECRET_KYE",
    ] {
        for line in [DIFF, SYNC] {
            sandbox
                .secrets(&format!("{line} {flag}"))
                .ends(3)
                .says("did you mean `SECRET_KEY`?");
        }
    }
    sandbox.secrets(&format!("{DIFF} --only OLD_*")).ends(3);
}

#[test]
fn what_changed_in_one_is_copied_to_the_other_both_ways() {
    let sandbox = agreed("A=1\nB=1\n");
    sandbox.write(".env", "A=2\nB=1\n");
    sandbox.write("b.env", "A=1\nB=3\n");
    sandbox
        .secrets(&format!("{SYNC} --yes"))
        .succeeds()
        .says("1 secret written to dotenv:.env")
        .says("1 secret written to dotenv:b.env");
    assert_eq!(sandbox.read(".env"), "A=2\nB=3\n");
    assert_eq!(sandbox.read("b.env"), "A=2\nB=3\n");
    sandbox.secrets(SYNC).succeeds().says("nothing to do");
}

#[test]
fn it_makes_no_difference_which_side_is_named_first() {
    let sandbox = agreed("A=1\n");
    sandbox.write("b.env", "A=2\n");
    sandbox
        .secrets("sync dotenv:b.env dotenv:.env --yes")
        .succeeds();
    assert_eq!(sandbox.read(".env"), "A=2\n");
}

#[test]
fn what_changed_in_both_is_a_conflict_and_nothing_is_written() {
    let sandbox = agreed("A=1\nB=1\nC=1\n");
    sandbox.write(".env", "A=2\nB=2\nC=1\n");
    sandbox.write("b.env", "A=3\nB=1\nC=1\n");
    for line in [SYNC, &format!("{SYNC} --yes"), &format!("{SYNC} --dry-run")] {
        sandbox
            .secrets(line)
            .ends(5)
            .says("A is in conflict; nothing was written")
            .says("--prefer left");
        assert_eq!(sandbox.read("b.env"), "A=3\nB=1\nC=1\n");
    }
    // What is left out is in nobody's way.
    sandbox
        .secrets(&format!("{SYNC} --yes --except A"))
        .succeeds();
    assert_eq!(sandbox.read("b.env"), "A=3\nB=2\nC=1\n");
}

#[test]
fn the_side_that_is_preferred_counts_only_where_both_have_changed() {
    for (prefer, expected) in [
        ("left", "A=2\nB=3\n"),
        ("dotenv:.env", "A=2\nB=3\n"),
        ("right", "A=3\nB=3\n"),
        ("dotenv:b.env", "A=3\nB=3\n"),
    ] {
        let sandbox = agreed("A=1\nB=1\n");
        sandbox.write(".env", "A=2\nB=1\n");
        sandbox.write("b.env", "A=3\nB=3\n");
        sandbox
            .secrets(&format!("{SYNC} --yes --prefer {prefer}"))
            .succeeds()
            .says("its own change is overwritten");
        assert_eq!(sandbox.read(".env"), expected, "{prefer}");
        assert_eq!(sandbox.read("b.env"), expected, "{prefer}");
    }
}

#[test]
fn a_preference_for_neither_side_is_refused() {
    let sandbox = two("A=1\n", "A=2\n");
    sandbox
        .secrets(&format!("{SYNC} --prefer dotenv:c.env"))
        .ends(2)
        .says("neither side");
}

#[test]
fn a_first_sync_takes_a_person_s_word_or_first() {
    let sandbox = two("A=1\n", "B=1\n");
    for line in [SYNC, &format!("{SYNC} --yes")] {
        sandbox
            .secrets(line)
            .ends(5)
            .says("2 secrets that were never synced")
            .says("--first");
        assert_eq!(sandbox.read(".env"), "A=1\n");
    }
    sandbox.secrets(&format!("{SYNC} --first --yes")).succeeds();
    assert_eq!(sandbox.read(".env"), "A=1\nB=1\n");
    assert_eq!(sandbox.read("b.env"), "B=1\nA=1\n");
}

#[test]
fn a_value_that_differs_and_was_never_agreed_on_is_a_conflict() {
    let sandbox = two("A=1\n", "A=2\n");
    sandbox
        .secrets(&format!("{SYNC} --first --yes"))
        .ends(5)
        .says("never agreed on");
}

#[test]
fn a_deletion_is_passed_on_only_when_asked_for() {
    let sandbox = agreed("A=1\nB=1\n");
    sandbox.write(".env", "B=1\n");
    sandbox
        .secrets(&format!("{SYNC} --yes"))
        .succeeds()
        .says("--delete passes it on")
        .says("nothing to write");
    assert_eq!(sandbox.read("b.env"), "A=1\nB=1\n");
    sandbox
        .secrets(&format!("{SYNC} --yes --delete"))
        .succeeds()
        .says("1 secret removed from dotenv:b.env");
    assert_eq!(sandbox.read("b.env"), "B=1\n");
    sandbox.secrets(SYNC).succeeds().says("nothing to do");
}

#[test]
fn a_deletion_on_one_side_and_a_change_on_the_other_are_a_conflict() {
    let sandbox = agreed("A=1\nB=1\n");
    sandbox.write(".env", "B=1\n");
    sandbox.write("b.env", "A=2\nB=1\n");
    sandbox
        .secrets(&format!("{SYNC} --yes --delete"))
        .ends(5)
        .says("deleted in the left store, changed in the right store");
    sandbox
        .secrets(&format!("{SYNC} --yes --prefer right"))
        .succeeds()
        .says("written again, deleted in the left store");
    assert_eq!(sandbox.read(".env"), "B=1\nA=2\n");
}

#[test]
fn a_value_that_was_rolled_back_is_not_overwritten_unasked() {
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
        .says("the left store was written since, an old value may have been put back");
}

#[test]
fn a_dry_run_writes_no_store_and_remembers_nothing() {
    let sandbox = two("A=1\nC=1\n", "B=1\nC=1\n");
    let line = format!("{SYNC} --first --yes --dry-run");
    let before = contents(&sandbox);
    sandbox
        .secrets(&line)
        .succeeds()
        .says("would write 1 secret to dotenv:.env, write 1 secret to dotenv:b.env");
    let mut after = contents(&sandbox);
    // The machine's key is made on first need.
    after.retain(|path, _| !path.ends_with("machine-key") || before.contains_key(path));
    assert_eq!(after, before);
}

#[test]
fn a_dry_run_says_what_would_be_refused() {
    let sandbox = two("A='x\ny'\n", "");
    sandbox
        .secrets("sync dotenv:.env dotenv:b.env?dialect=docker --first --dry-run")
        .ends(1)
        .says("A");
}

#[test]
fn names_are_mapped_and_another_mapping_is_no_base() {
    let sandbox = two("A=1\nKEY=1\n", "OTHER=1\n");
    let mapped = format!("{SYNC} --prefix SHOP_ --rename KEY=THEIR_KEY --yes");
    sandbox.secrets(&format!("{mapped} --first")).succeeds();
    assert_eq!(sandbox.read("b.env"), "OTHER=1\nSHOP_A=1\nTHEIR_KEY=1\n");
    assert_eq!(sandbox.read(".env"), "A=1\nKEY=1\n");
    sandbox.secrets(&mapped).succeeds().says("synced ");
    sandbox
        .secrets(&format!("{DIFF} --prefix SHOP_"))
        .ends(7)
        .prints_start("# dotenv:.env ↔ dotenv:b.env  (never synced from here)");
}

#[test]
fn a_mapping_that_makes_one_name_of_two_is_refused() {
    let sandbox = two("A=1\nB=1\n", "");
    sandbox
        .secrets(&format!("{SYNC} --rename A=X,B=X"))
        .ends(2)
        .says("A and B are both called X there");
}

#[test]
fn what_is_replaced_where_no_history_is_is_kept_in_the_local_store() {
    let sandbox = agreed("A=first\n");
    sandbox.write(".env", "A=second\n");
    let done = sandbox.secrets(&format!("{SYNC} --yes")).succeeds();
    let hint = "what was replaced is kept: `secrets history NAME --store local:dev.replaced`";
    assert_eq!(done.err.matches(hint).count(), 1, "{}", done.err);
    sandbox
        .secrets("get A --store local:dev.replaced")
        .succeeds()
        .prints("first\n");
}

#[test]
fn what_nobody_could_keep_is_not_replaced_unless_told_so() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\n");
    sandbox.write("b.env", "A=2\n");
    let line = format!("{SYNC} --prefer left --yes");
    sandbox
        .secrets(&line)
        .ends(1)
        .says("nothing was written")
        .says("--no-keep");
    assert_eq!(sandbox.read("b.env"), "A=2\n");
    sandbox.secrets(&format!("{line} --no-keep")).succeeds();
    assert_eq!(sandbox.read("b.env"), "A=1\n");
}

#[test]
fn a_line_put_together_from_others_is_written_over_only_by_name() {
    let sandbox = agreed("USER_NAME=u\nURL=db://u\n");
    sandbox.write("b.env", "USER_NAME=u\nURL=db://${USER_NAME}\n");
    sandbox.write(".env", "USER_NAME=u\nURL=db://v\n");
    for line in [SYNC, &format!("{SYNC} --prefer left")] {
        sandbox
            .secrets(&format!("{line} --yes"))
            .ends(5)
            .says("--flatten URL");
    }
    sandbox
        .secrets(&format!("{SYNC} --yes --flatten URL"))
        .succeeds();
    assert_eq!(sandbox.read("b.env"), "USER_NAME=u\nURL=db://v\n");
}

#[test]
fn quiet_says_nothing_and_verbose_names_what_is_the_same() {
    let sandbox = agreed("A=1\nB=1\n");
    sandbox.write(".env", "A=2\nB=1\n");
    let done = sandbox.secrets(&format!("{SYNC} -v --dry-run")).succeeds();
    assert!(
        masked(&done.err).contains("= B  ######## = ########"),
        "{}",
        done.err
    );
    let done = sandbox.secrets(&format!("{SYNC} --yes -q")).succeeds();
    assert_eq!((done.err.as_str(), done.text().as_str()), ("", ""));
}

#[test]
fn without_a_terminal_a_write_takes_yes() {
    let sandbox = agreed("A=1\n");
    sandbox.write(".env", "A=2\n");
    for line in [SYNC, &format!("{SYNC} --no-input")] {
        sandbox
            .secrets(line)
            .ends(2)
            .says("write 1 secret to dotenv:b.env")
            .says("--yes");
    }
    assert_eq!(sandbox.read("b.env"), "A=1\n");
}

/// Every way out that got as far as a plan prints one document, and nothing else.
#[test]
fn json_is_one_document_on_every_way_out() {
    let sandbox = agreed("A=1\nB=1\nC=1\n");
    let before = sandbox.secrets(&format!("{SYNC} --json")).succeeds().json();
    assert_eq!(before["pairs"][0]["in-step"], true);
    sandbox.write(".env", "A=2\nB=2\nNEW=1\n");
    sandbox.write("b.env", "A=3\nB=1\nC=1\n");
    let conflict = sandbox.secrets(&format!("{SYNC} --json")).ends(5).json();
    assert_eq!(conflict["written"], false);
    assert_eq!(conflict["error"], "A is in conflict; nothing was written");
    assert_eq!(secret(&conflict, "A")["why"], "both-changed");
    assert_eq!(secret(&conflict, "C")["step"], "pending");
    let line = format!("{SYNC} --prefer left --first --delete --json");
    let dry = sandbox
        .secrets(&format!("{line} --dry-run"))
        .succeeds()
        .json();
    assert_eq!(dry["written"], false);
    assert_eq!(secret(&dry, "A")["outcome"], json!(null));
    let unasked = sandbox.secrets(&line).ends(2).json();
    assert_eq!(unasked["written"], false);
    let done = sandbox.secrets(&format!("{line} --yes")).succeeds().json();
    assert_eq!(done["written"], true);
    assert_eq!(done["error"], json!(null));
    for (name, step) in [
        ("A", "change"),
        ("B", "change"),
        ("C", "delete"),
        ("NEW", "create"),
    ] {
        let secret = secret(&done, name);
        assert_eq!(secret["step"], step, "{name}");
        assert_eq!(secret["to"], "right", "{name}");
        assert_eq!(secret["outcome"], "done", "{name}");
    }
}

#[test]
fn a_store_that_cannot_be_read_is_told_also_in_json() {
    let sandbox = two("A=1\n", "A='broken\n");
    for line in [DIFF, SYNC] {
        let done = sandbox.secrets(&format!("{line} --json")).ends(1);
        let report = done.json();
        assert_eq!(report["pairs"][0]["in-step"], false);
        assert!(
            report["error"].as_str().unwrap().contains("b.env"),
            "{report}"
        );
        assert!(done.err.contains("error: "), "{}", done.err);
    }
    assert_eq!(sandbox.read("b.env"), "A='broken\n");
}

#[test]
fn the_same_store_by_another_spelling_is_refused() {
    let sandbox = two("A=1\n", "");
    symlink("b.env", sandbox.path("link.env")).unwrap();
    std::fs::hard_link(sandbox.path("b.env"), sandbox.path("hard.env")).unwrap();
    symlink(".", sandbox.path("folder")).unwrap();
    let manifest = sandbox.read("secrets.toml")
        + "\n[stores.file]\nuri = \"dotenv:b.env\"\n[environments.other]\nsource = [\"dotenv:b.env\", \"local:dev\"]\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    let absolute = format!("dotenv:{}", sandbox.path("b.env").display());
    for (one, other) in [
        ("dotenv:b.env", "dotenv:b.env"),
        ("dotenv:b.env", "dotenv:./b.env"),
        ("dotenv:b.env", absolute.as_str()),
        ("dotenv:b.env", "dotenv:link.env"),
        ("dotenv:b.env", "dotenv:hard.env"),
        ("dotenv:b.env", "dotenv:folder/b.env"),
        ("dotenv:b.env", "dotenv:b.env?dialect=docker"),
        ("dotenv:b.env", "file"),
        ("dotenv:b.env", "other"),
        ("dotenv:gone.env", "dotenv:./gone.env"),
        ("local:", "local:dev"),
        ("local:", "dev"),
        ("dev", "other"),
        ("azure:shop", "azure:SHOP"),
        (
            "aws:shop?region=eu-west-1",
            "aws:shop?region=eu-west-1&layout=each",
        ),
    ] {
        for verb in ["diff", "sync"] {
            let done = sandbox
                .secrets(&format!("{verb} {one} {other}"))
                .env("VAULT_ADDR", "https://127.0.0.1:1")
                .ends(2);
            assert!(
                done.err.contains("same store") || done.err.contains("on both sides"),
                "{one} {other}: {}",
                done.err
            );
        }
    }
}

#[test]
fn what_cannot_be_written_is_no_side_of_a_sync() {
    let sandbox = two("A=1\n", "");
    sandbox
        .secrets("sync dotenv:.env env:")
        .ends(2)
        .says("env: is read-only")
        .says("`secrets pull env: --store dotenv:.env`");
    sandbox.secrets("diff dotenv:.env env:").ends(7);
}

#[test]
fn a_word_that_names_no_store_is_answered_with_what_was_meant() {
    let sandbox = two("A=1\n", "");
    sandbox
        .secrets("diff .env b.env")
        .ends(2)
        .says("dotenv:.env");
    sandbox
        .secrets("diff dve dotenv:.env")
        .ends(2)
        .says("did you mean `dev`?");
    sandbox
        .secrets(&format!("{DIFF} --store local:"))
        .ends(2)
        .says("both stores are named");
    sandbox
        .secrets("diff dotenv:x.env dotenv:y.env")
        .ends(3)
        .says("neither is there");
    sandbox.secrets("diff dotenv:.env").ends(2);
}

#[test]
fn a_value_that_a_dialect_cannot_hold_is_refused_before_anything_is_written() {
    let sandbox = two("A=1\nKEY='x\ny'\n", "");
    let line = "sync dotenv:.env dotenv:b.env?dialect=docker --first --yes";
    sandbox
        .secrets(line)
        .ends(1)
        .says("KEY")
        .says("nothing was written")
        .says("--except KEY");
    assert_eq!(sandbox.read("b.env"), "");
    sandbox.secrets(&format!("{line} --except KEY")).succeeds();
}

#[test]
fn a_name_that_the_target_cannot_hold_is_refused_before_anything_is_written() {
    let sandbox = two("A=1\nLONG_NAME=1\n", "");
    let prefix = "P".repeat(250);
    sandbox
        .secrets(&format!("{SYNC} --prefix {prefix} --first --yes"))
        .ends(1)
        .says("LONG_NAME")
        .says("nothing was written");
    assert_eq!(sandbox.read("b.env"), "");
}

#[test]
fn what_was_remembered_of_others_or_is_damaged_counts_as_nothing_and_is_said() {
    let sandbox = agreed("A=1\n");
    sandbox.write("c.env", "A=1\n");
    let [of_b] = sandbox.bases().try_into().unwrap();
    sandbox.secrets("sync dotenv:.env dotenv:c.env").succeeds();
    let of_c = sandbox.bases().into_iter().find(|path| *path != of_b);
    let of_c = of_c.unwrap();
    sandbox.write(".env", "A=2\n");
    let whole = std::fs::read(&of_b).unwrap();
    let line = format!("{SYNC} --yes");
    for (bytes, why) in [
        (
            std::fs::read(&of_c).unwrap(),
            "of other stores or another project",
        ),
        (whole[..whole.len() / 2].to_vec(), "damaged"),
        (b"{\"format\": 99}".to_vec(), "a newer version"),
    ] {
        std::fs::write(&of_b, bytes).unwrap();
        sandbox
            .secrets(&line)
            .ends(5)
            .says(why)
            .says("never agreed on");
        assert_eq!(sandbox.read("b.env"), "A=1\n");
    }
    // With what was kept it is a change of one side.
    std::fs::write(&of_b, whole).unwrap();
    sandbox.secrets(&line).succeeds();
}

#[test]
fn a_store_that_vanished_is_no_deletion_of_all_it_held() {
    let sandbox = agreed("A=1\nB=1\n");
    std::fs::remove_file(sandbox.path("b.env")).unwrap();
    sandbox
        .secrets(&format!("{SYNC} --yes --delete"))
        .ends(5)
        .says("dotenv:b.env is not there yet")
        .says("--first");
    assert_eq!(sandbox.read(".env"), "A=1\nB=1\n");
}

#[test]
fn a_value_that_cannot_be_read_is_told_and_never_taken_for_a_deletion() {
    let sandbox = two("A=MQ==\nB=1\n", "A=no base64!\nB=1\n");
    let manifest = sandbox.read("secrets.toml") + "\n[secrets.A]\nencoding = \"base64\"\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.secrets(DIFF).ends(7).hides("no base64!");
    sandbox
        .secrets(&format!("{SYNC} --yes --delete --prefer left"))
        .ends(1)
        .says("A not compared, in dotenv:b.env")
        .says("--except A");
    assert_eq!(sandbox.read("b.env"), "A=no base64!\nB=1\n");
}

#[test]
fn a_thousand_names_are_planned_and_shown_in_no_time() {
    let text = |value: &str| {
        (0..1000).fold(String::new(), |text, n| {
            text + &format!("NAME_{n:04}={value}{n}\n")
        })
    };
    let sandbox = two(&text("a"), &text("b"));
    let start = std::time::Instant::now();
    let done = sandbox.secrets(DIFF).ends(7);
    // A heading, a line for each, and how many that are.
    assert_eq!(done.text().lines().count(), 1002);
    assert!(done.text().ends_with("\n  (1000 in conflict)\n"));
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
    let done = sandbox.secrets(SYNC).ends(5);
    assert!(
        done.err.contains("and 997 more are in conflict"),
        "{}",
        done.err
    );
}

impl Done {
    /// Expects standard output to begin with this.
    #[track_caller]
    fn prints_start(self, text: &str) -> Self {
        assert!(self.text().starts_with(text), "{}", self.text());
        self
    }
}

#[test]
fn a_file_that_vanished_and_is_made_anew_in_part_deletes_nothing_elsewhere() {
    let sandbox = Sandbox::initialised();
    sandbox.write(".env", "A=1\nB=2\nC=3\n");
    let sync = |flags: &str| {
        let line = format!("sync dotenv:.env local: --yes --first {flags}");
        sandbox.secrets(&line).succeeds()
    };
    sync("");
    std::fs::remove_file(sandbox.path(".env")).unwrap();
    sync("--only A");
    assert_eq!(sandbox.read(".env"), "A=1\n");
    sync("--delete");
    sandbox
        .secrets("get B --store local:")
        .succeeds()
        .prints("2\n");
    assert_eq!(sandbox.read(".env"), "A=1\nB=2\nC=3\n");
}

#[test]
fn what_a_login_is_given_its_credential_by_is_not_copied_from_the_process_environment() {
    let sandbox = Sandbox::initialised();
    let manifest = sandbox.read("secrets.toml")
        + "mirrors = [\"hq\"]\n[stores.hq]\nuri = \"vault:secret/shop\"\naddresses = [\"https://127.0.0.1:1\"]\nauth = { method = \"approle\", role-id = \"r\", secret-id = \"env:APP_SECRET_ID\" }\n";
    sandbox.write("secrets.toml", manifest);
    sandbox.trust();
    for store in ["env:?prefix=APP_", "env:"] {
        sandbox
            .secrets(&format!("push --store {store} dotenv:copy.env --yes"))
            .env("APP_SECRET_ID", "login-canary")
            .env("APP_NAME", "shop")
            .succeeds()
            .hides("login-canary");
        assert!(
            !sandbox.read("copy.env").contains("login-canary"),
            "{store}"
        );
    }
    assert!(sandbox.read("copy.env").contains("NAME=shop"));
}
