//! A manifest comes with the code: what it reaches beyond the project takes a person's word.

use crate::support::Sandbox;

fn outside() -> Sandbox {
    let sandbox =
        Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:../outside.env\"]\n");
    sandbox.write("../outside.env", "A=1\n");
    sandbox
}

#[test]
fn what_lies_outside_is_reached_only_once_trusted_and_a_change_asks_again() {
    let sandbox = outside();
    sandbox.secrets("get A").ends(4).says("secrets trust");
    sandbox
        .secrets("exec -- true")
        .ends(125)
        .says("secrets trust");
    let shown = sandbox
        .secrets("trust --json")
        .ends(4)
        .says("reads dotenv:../outside.env")
        .json();
    let digest = shown["digest"].as_str().unwrap();
    sandbox
        .secrets(&format!("trust --accept {digest}"))
        .succeeds();
    sandbox.secrets("get A").succeeds().prints("1\n");
    sandbox.write(
        "secrets.toml",
        "[environments.dev]\nsource = [\"dotenv:../other.env\"]\n",
    );
    sandbox
        .secrets("get A")
        .ends(4)
        .says("has changed since it was trusted");
    sandbox.secrets(&format!("trust --accept {digest}")).ends(5);
    sandbox
        .secrets("trust")
        .ends(4)
        .says("+environment dev reads dotenv:../other.env")
        .says("-environment dev reads dotenv:../outside.env");
}

#[test]
fn a_ci_job_trusts_exactly_one_digest() {
    let sandbox = outside();
    let shown = sandbox.secrets("trust --json").ends(4).json();
    let digest = shown["digest"].as_str().unwrap();
    sandbox
        .secrets("get A")
        .env("SECRETS_TRUST", digest)
        .succeeds()
        .prints("1\n");
    sandbox
        .secrets("get A")
        .env("SECRETS_TRUST", "0000")
        .ends(4);
}

#[test]
fn what_stays_inside_the_project_needs_no_word() {
    let sandbox =
        Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:conf/.env\", \"local:\"]\n");
    sandbox.write("conf/.env", "A=1\n");
    sandbox.secrets("get A").succeeds().prints("1\n");
    sandbox.secrets("trust").succeeds().says("nothing waits");
}

#[test]
fn a_link_that_leads_out_of_the_project_is_outside() {
    let sandbox = Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:.env\"]\n");
    sandbox.write("../outside.env", "A=1\n");
    std::os::unix::fs::symlink("../outside.env", sandbox.path(".env")).unwrap();
    sandbox.secrets("get A").ends(4).says("secrets trust");
}

#[test]
fn trust_is_taken_back() {
    let sandbox = outside();
    let digest = sandbox.secrets("trust --json").ends(4).json()["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    sandbox
        .secrets(&format!("trust --accept {digest}"))
        .succeeds();
    sandbox.secrets("trust --revoke").succeeds();
    sandbox.secrets("get A").ends(4);
}

#[test]
fn a_store_typed_on_the_command_line_is_the_users_own_word() {
    let sandbox = outside();
    sandbox
        .secrets("get A --store dotenv:../outside.env")
        .succeeds()
        .prints("1\n");
}

#[test]
fn a_manifest_of_another_user_is_not_used() {
    if !rustix_is_root() {
        return assert!(
            std::env::var_os("CI").is_none(),
            "this test changes a file's owner: CI runs it as root"
        );
    }
    let sandbox = Sandbox::with_manifest("[environments.dev]\nsource = [\"dotenv:.env\"]\n");
    std::os::unix::fs::chown(sandbox.path("secrets.toml"), Some(1234), None).unwrap();
    sandbox
        .secrets("list")
        .ends(4)
        .says("belongs to another user (uid 1234)");
}

fn rustix_is_root() -> bool {
    secrets_platform::process::effective_user() == 0
}
