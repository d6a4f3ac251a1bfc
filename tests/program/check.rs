//! `check`: one file and its several readers; `.env.example`; values from files.

use crate::support::Sandbox;

const MANIFEST: &str = "[project]\nreaders = [\"python-dotenv\", \"node\", \"systemd\"]\n\
    [environments.dev]\nsource = [\"dotenv:.env\"]\n\
    [secrets.DATABASE_URL]\ndescription = \"PostgreSQL\"\n\
    [secrets.DEBUG]\nsensitive = false\ndefault = \"false\"\n";

#[test]
fn each_value_that_a_declared_reader_reads_otherwise_is_named_and_never_shown() {
    let sandbox = Sandbox::with_manifest(MANIFEST);
    sandbox.write(
        ".env",
        "GOOD=plain\nKEY=ca#nary\nexport DATABASE_URL=canary\n",
    );
    let done = sandbox.secrets("check").ends(7).hides("nary");
    let text = done.text();
    assert!(
        text.contains(".env:2  KEY           node reads something else"),
        "{text}"
    );
    assert!(
        text.contains(".env:3  DATABASE_URL  systemd reads something else"),
        "{text}"
    );
    assert!(!text.contains("GOOD"), "{text}");
    let report = sandbox.secrets("check --json").ends(7).json();
    assert_eq!(report["findings"][0]["name"], "KEY");
    sandbox.secrets("check --reader decouple").ends(7);
    sandbox
        .secrets("check --reader pyton-dotenv")
        .ends(2)
        .says("did you mean `python-dotenv`?");
}

#[test]
fn a_fix_rewrites_those_lines_alone_and_says_what_has_no_common_form() {
    let sandbox = Sandbox::with_manifest(MANIFEST);
    let before = "# title\nGOOD='kept as is'\nKEY=a#b # why\nURL=x${GOOD}\nexport DATABASE_URL=p\n";
    sandbox.write(".env", before);
    sandbox
        .secrets("check --fix --dry-run")
        .ends(7)
        .says("nothing was changed");
    assert_eq!(sandbox.read(".env"), before);
    let done = sandbox.secrets("check --fix").ends(7);
    assert!(
        done.text().contains("put together from other values"),
        "{}",
        done.text()
    );
    assert_eq!(
        sandbox.read(".env"),
        "# title\nGOOD='kept as is'\n# why\nKEY='a#b'\nURL=x${GOOD}\nDATABASE_URL=p\n"
    );
    sandbox.secrets("get KEY").succeeds().prints("a#b\n");
    sandbox.write(".env", "KEY=plain\n");
    sandbox.secrets("check").succeeds();
}

#[test]
fn a_file_that_a_reader_gives_up_is_told_with_its_place() {
    let sandbox = Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:.env\"]\n");
    sandbox.write(".env", "A=1\nexport B=2\n");
    sandbox
        .secrets("check")
        .ends(2)
        .says("no readers are declared")
        .says("readers = [");
    let done = sandbox.secrets("check --reader docker").ends(7);
    assert!(
        done.text()
            .contains("docker cannot read the file: line 2, column 1"),
        "{}",
        done.text()
    );
    sandbox
        .secrets("check --reader docker --fix --yes")
        .succeeds();
    assert_eq!(sandbox.read(".env"), "A=1\nB=2\n");
}

#[test]
fn the_example_lists_every_name_and_no_value() {
    let sandbox = Sandbox::with_manifest(MANIFEST);
    sandbox.write(".env", "KEY=canary\n");
    sandbox.secrets("check --write-example").succeeds();
    let text = sandbox.read(".env.example");
    assert!(
        text.contains("\n# PostgreSQL\nDATABASE_URL=\nDEBUG=false\nKEY=\n"),
        "{text}"
    );
    sandbox
        .secrets("check --write-example")
        .succeeds()
        .says("as it should be");
    sandbox.secrets("check").succeeds();
    sandbox.write(".env", "KEY=canary\nNEW=x\n");
    sandbox.write(
        ".env.example",
        "# mine\nKEY=canary\nDATABASE_URL=\nDEBUG=false",
    );
    let done = sandbox.secrets("check").ends(7).hides("canary");
    assert!(done.text().contains("NEW"), "{}", done.text());
    assert!(done.text().contains("has a value"), "{}", done.text());
    sandbox.secrets("check --fix").ends(2).says("--yes");
    sandbox.secrets("check --fix --yes").ends(7);
    assert_eq!(
        sandbox.read(".env.example"),
        "# mine\nKEY=canary\nDATABASE_URL=\nDEBUG=false\nNEW=\n"
    );
}

#[test]
fn a_file_that_is_not_there_is_not_said_to_be_in_order() {
    let sandbox = Sandbox::with_manifest(
        "[project]\nreaders = [\"node\"]\n[environments.dev]\nsource = [\"dotenv:.env\"]\n",
    );
    sandbox
        .secrets("check --store dotenv:nope")
        .ends(3)
        .says("dotenv:nope is not there");
    // A clone has no .env: what there is, is checked.
    sandbox.write(".env.example", "");
    sandbox
        .secrets("check")
        .succeeds()
        .says(".env is not there: not checked");
    std::fs::remove_file(sandbox.path(".env.example")).unwrap();
    sandbox.secrets("check").ends(2).says("nothing to check");
}

#[test]
fn what_django_environ_would_look_up_is_found_and_not_rewritten() {
    let sandbox = Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:.env\"]\n");
    sandbox.write(".env", "A=1\nB='$A'\n");
    sandbox
        .secrets("check --reader django-environ")
        .ends(7)
        .prints("PLACE   NAME  FOUND\n.env:2  B     django-environ reads something else\n");
    sandbox
        .secrets("check --reader django-environ --fix --yes")
        .ends(7)
        .prints("PLACE   NAME  FOUND\n.env:2  B     django-environ reads something else: no form is read alike by all\n");
    assert_eq!(sandbox.read(".env"), "A=1\nB='$A'\n");
}

#[test]
fn a_file_is_read_as_the_dialect_says_that_is_asked_for() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=`x`\n");
    sandbox.secrets("get A").succeeds().prints("`x`\n");
    sandbox
        .secrets("get A --dialect node")
        .succeeds()
        .prints("x\n");
    // What the address says counts.
    sandbox
        .secrets("get A --dialect node --store dotenv:.env?dialect=docker")
        .succeeds()
        .prints("`x`\n");
    sandbox
        .secrets("set A --dialect docker")
        .input("a b")
        .succeeds();
    assert_eq!(sandbox.read(".env"), "A=a b\n");
    sandbox
        .secrets("get A --dialect nod")
        .ends(2)
        .says("'node'");
}

#[test]
fn a_name_no_variable_can_have_is_left_out_and_said() {
    let sandbox = Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:.env\"]\n");
    sandbox.write(".env", "A=1\nA.B=canary\n");
    sandbox
        .secrets("exec -- true")
        .succeeds()
        .says("dotenv:.env: left out, no names of secrets: A.B")
        .hides("canary");
}

#[test]
fn a_value_comes_from_the_file_that_its_name_names_once_that_is_trusted() {
    let sandbox = Sandbox::with_manifest(
        "[environments.dev]\nsource = [\"dotenv:.env\"]\n[secrets.SECRET_KEY]\nfrom-file = true\nrequired = true\n",
    );
    sandbox.write(".env", "A=1\n");
    sandbox.write("run/key", "from-the-file\n");
    let run = || {
        sandbox
            .secrets_with(["exec", "--", "sh", "-c", "echo $SECRET_KEY"])
            .env("SECRET_KEY_FILE", "run/key")
    };
    run().ends(125).says("secrets trust");
    let listing = sandbox.secrets("trust").ends(4);
    assert!(
        listing
            .err
            .contains("secret SECRET_KEY is read from the file that SECRET_KEY_FILE names")
    );
    let digest = listing
        .err
        .split("--accept ")
        .nth(1)
        .unwrap()
        .trim()
        .to_owned();
    sandbox
        .secrets(&format!("trust --accept {digest}"))
        .succeeds();
    run().succeeds().prints("from-the-file\n");
    // Every command agrees that it is there.
    let ours = |line: &str| sandbox.secrets(line).env("SECRET_KEY_FILE", "run/key");
    ours("get SECRET_KEY").succeeds().prints("from-the-file\n");
    ours("list").succeeds().hides("required");
    ours("doctor").ends(7).hides("SECRET_KEY is required");
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("name its file in SECRET_KEY_FILE");
    sandbox.write(".env", "SECRET_KEY_FILE=run/none\n");
    run()
        .ends(125)
        .says("the file that SECRET_KEY_FILE names is not there");
    // A value of its own comes first.
    sandbox.write(".env", "SECRET_KEY=own\n");
    run().succeeds().prints("own\n");
}

#[test]
fn an_error_in_a_file_points_at_its_place_and_masks_the_value() {
    let sandbox = Sandbox::new();
    sandbox.write(".env", "A=1\nKEY='canary x\n");
    sandbox
        .secrets("list")
        .ends(1)
        .says("line 2, column 5")
        .says("2 | KEY='········\n")
        .says("    |     ^\n")
        .hides("canary");
}

#[test]
fn what_may_be_a_part_of_a_value_is_shown_nowhere() {
    let sandbox = Sandbox::with_manifest(MANIFEST);
    sandbox.write(
        ".env",
        "KEY=abc\nc2VjcmV0+Y2FuYXJ5=\nc2VjcmV0Y2FuYXJ5=\"x#y\"\n",
    );
    let done = sandbox.secrets("check").ends(7).hides("c2Vjcm");
    assert!(done.text().contains(".env:"), "{}", done.text());
    // Nor is it written into a file that is committed.
    sandbox
        .secrets("check --write-example")
        .succeeds()
        .says("left out of .env.example")
        .hides("c2Vjcm");
    assert!(!sandbox.read(".env.example").contains("c2Vjcm"));
    assert!(sandbox.read(".env.example").contains("KEY="));
    sandbox.secrets("check").ends(7).hides("c2Vjcm");
    sandbox.write(".env", "KEY=-----BEGIN\nc2VjcmV0Y2FuYXJ5=\"\n");
    sandbox
        .secrets("list")
        .ends(1)
        .says("line 2")
        .hides("c2Vjcm");
}

#[test]
fn a_fix_writes_only_what_is_the_environment_s_own_and_the_project_s() {
    let sandbox = Sandbox::with_manifest(
        "[project]\nreaders = [\"node\"]\n[environments.base]\nsource = [\"dotenv:base.env\"]\n\
         [environments.dev]\ninherit = \"base\"\nsource = [\"dotenv:.env?interpolate=no\"]\n",
    );
    sandbox.write("base.env", "A=x#y\n");
    sandbox.write(".env", "C=${:-x}\n");
    sandbox
        .secrets("check -e dev --fix --yes")
        .ends(7)
        .says("-e base");
    assert_eq!(sandbox.read("base.env"), "A=x#y\n");
    assert_eq!(sandbox.read(".env"), "C=${:-x}\n");
    let outside = sandbox.home().join("conf");
    std::fs::write(&outside, "mine\n").unwrap();
    std::os::unix::fs::symlink(&outside, sandbox.path(".env.example")).unwrap();
    for line in ["check --fix --yes", "check --write-example --yes"] {
        sandbox
            .secrets(&format!("{line} -e dev"))
            .ends(4)
            .says("leads out of the project");
    }
    assert_eq!(std::fs::read_to_string(&outside).unwrap(), "mine\n");
}
