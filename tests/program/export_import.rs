use crate::support::Sandbox;

const VALUE: &str = "it's \"$HOME\" `x` \\ #é\n\t end ";

fn filled() -> Sandbox {
    let sandbox = Sandbox::initialised();
    sandbox.secrets("set A --raw").input(VALUE).succeeds();
    sandbox.secrets("set B --allow-empty").succeeds();
    sandbox.secrets("set C").input("plain").succeeds();
    sandbox
}

#[test]
fn a_round_trip_through_every_format_loses_nothing() {
    let source = filled();
    for format in [
        "json",
        "dotenv",
        "dotenv:compose",
        "systemd",
        "shell",
        "null",
    ] {
        let text = source
            .secrets(&format!("export --format {format}"))
            .succeeds()
            .out;
        let target = Sandbox::initialised();
        target
            .secrets(&format!("import - --format {format}"))
            .input(&text)
            .succeeds();
        for (name, value) in [("A", VALUE), ("B", ""), ("C", "plain")] {
            target
                .secrets(&format!("get {name} --raw"))
                .succeeds()
                .prints(value);
        }
        let again = target
            .secrets(&format!("export --format {format}"))
            .succeeds()
            .out;
        assert_eq!(again, text, "{format}");
    }
}

#[test]
fn a_real_shell_reads_what_is_exported_for_it() {
    let sandbox = filled();
    let secrets = crate::support::SECRETS;
    for shell in ["sh", "bash"] {
        let script = format!("eval \"$({secrets} export --format shell)\"; printf %s \"$A\"");
        sandbox
            .command(shell, ["-c", &script])
            .succeeds()
            .prints(VALUE);
    }
}

#[test]
fn bytes_travel_by_json() {
    let source = Sandbox::initialised();
    source.write("b", [0_u8, 159, 146, 150]);
    source.secrets("set B --from-file b").succeeds();
    source.secrets("export --format dotenv").ends(1).says("B");
    let text = source.secrets("export --format json").succeeds().out;
    let target = Sandbox::initialised();
    target
        .secrets("import - --format json")
        .input(&text)
        .succeeds();
    assert_eq!(
        target.secrets("get B --raw").succeeds().out,
        [0, 159, 146, 150]
    );
}

#[test]
fn a_difference_is_a_conflict_until_a_side_is_preferred() {
    let sandbox = filled();
    let text = "C=other\nD=new\n";
    let run = |flags: &str| {
        sandbox
            .secrets(&format!("import - --format dotenv {flags}"))
            .input(text)
    };
    run("").ends(5).says("--prefer left");
    sandbox.secrets("get D").ends(3);
    run("--prefer right").succeeds();
    sandbox.secrets("get C").succeeds().prints("plain\n");
    sandbox.secrets("get D").succeeds().prints("new\n");
    run("--prefer left").ends(2).says("--yes");
    run("--prefer left --yes").succeeds();
    sandbox.secrets("get C").succeeds().prints("other\n");
    run("").succeeds().says("nothing to do");
}

#[test]
fn another_store_is_imported_by_its_address() {
    let sandbox = Sandbox::initialised();
    sandbox.write("old/.env", "X=1\nY=\"${X}2\"\n");
    sandbox
        .secrets("import dotenv:old/.env --dry-run")
        .succeeds()
        .says("+ X");
    sandbox.secrets("get X").ends(3);
    sandbox
        .secrets("import dotenv:old/.env")
        .succeeds()
        .says("put together");
    sandbox.secrets("get Y").succeeds().prints("12\n");
    assert_eq!(sandbox.read("old/.env"), "X=1\nY=\"${X}2\"\n");
}

#[test]
fn an_exported_file_is_private_and_replaced_only_when_asked() {
    use std::os::unix::fs::MetadataExt as _;
    let sandbox = filled();
    sandbox
        .secrets("export --format json -o out.json")
        .succeeds()
        .says("3 secrets");
    assert_eq!(
        std::fs::metadata(sandbox.path("out.json")).unwrap().mode() & 0o777,
        0o600
    );
    sandbox
        .secrets("export --format json -o out.json")
        .succeeds()
        .says("already");
    sandbox.secrets("set C").input("changed").succeeds();
    sandbox
        .secrets("export --format json -o out.json")
        .ends(2)
        .says("--yes");
    sandbox
        .secrets("export --format json -o out.json --yes")
        .succeeds();
    assert!(sandbox.read("out.json").contains("changed"));
}

#[test]
fn only_and_except_narrow_what_is_exported() {
    let sandbox = filled();
    sandbox
        .secrets("export --format dotenv --only C")
        .succeeds()
        .prints("C=plain\n");
    sandbox
        .secrets("export --format dotenv --except A,B")
        .succeeds()
        .prints("C=plain\n");
    sandbox
        .secrets("export --format dotenv --only CC")
        .ends(3)
        .says("did you mean `C`?");
}

#[test]
fn a_broken_import_names_the_place_and_not_the_content() {
    let sandbox = Sandbox::initialised();
    sandbox
        .secrets("import - --format json")
        .input("{\"A\": canary}")
        .ends(1)
        .says("line 1")
        .hides("canary");
    sandbox.secrets("import -").ends(2).says("--format");
    sandbox
        .secrets("import nowhere")
        .ends(2)
        .says("dotenv:nowhere");
}
