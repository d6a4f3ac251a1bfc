//! The README's recipes, as they stand there, on real servers and on fakes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrets_testkit::fakes::azure::{Azure, CLIENT, CLIENT_SECRET, TENANT};
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::servers::{Moto, OpenBao};

use crate::sandbox::{SECRETS, Sandbox};

/// The first block of shell below this heading of the README.
fn recipe(heading: &str) -> String {
    let readme = include_str!("../../README.md");
    let (_, below) = readme.split_once(&format!("\n## {heading}\n")).unwrap();
    let (_, block) = below.split_once("```sh\n").unwrap();
    block.split_once("\n```").unwrap().0.to_owned()
}

/// Runs it. `address` stands for the server's own line; everything else is typed as written, but that
/// nobody is there to say yes to `secrets trust`: the digest it prints is given.
fn follow(heading: &str, address: (&str, &str), variables: &[(&str, &str)]) -> String {
    let text = recipe(heading);
    assert!(
        text.lines().count() <= 14,
        "{heading}: {} lines",
        text.lines().count()
    );
    let (from, to) = address;
    assert!(text.contains(from), "{heading} does not name {from}");
    let script = text.replace(from, to).replace(
        "secrets trust ",
        "secrets trust --accept \"$(secrets trust --json | sed -n 's/.*\"digest\": *\"\\([0-9a-f]*\\)\".*/\\1/p' | head -n1)\" ",
    );
    let sandbox = Sandbox::new();
    let bin = sandbox.home().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink(SECRETS, bin.join("secrets")).unwrap();
    // Stands for gunicorn: says what it was started with.
    stand_in(
        &bin.join("gunicorn"),
        "#!/bin/sh\nprintf 'started with %s and %s\\n' \"${#SECRET_KEY}\" \"$DATABASE_PASSWORD\"\n",
    );
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut run = sandbox
        .command("bash", ["-euo", "pipefail", "-c", &script])
        .env("PATH", path)
        .env("PASSWORD", "pa$$ 'word'");
    for (name, value) in variables {
        run = run.env(name, value);
    }
    run.succeeds().text()
}

fn stand_in(path: &Path, script: &str) {
    std::fs::write(path, script).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_recipe_for_vault_and_openbao_works() {
    let server = OpenBao::start();
    let said = follow(
        "Vault and OpenBao",
        ("https://vault.example.com:8200", server.address()),
        &[("VAULT_TOKEN", "root-token-of-the-tests")],
    );
    assert!(
        said.ends_with("started with 50 and pa$$ 'word'\n"),
        "{said}"
    );
}

#[test]
fn the_recipe_for_aws_works_on_moto() {
    let server = Moto::start();
    let said = follow(
        "AWS Secrets Manager",
        ("eu-west-1", "eu-west-1"),
        &[
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &server.url()),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "example"),
        ],
    );
    assert!(
        said.ends_with("started with 50 and pa$$ 'word'\n"),
        "{said}"
    );
}

/// The source by a name, with the address of a server of ours and how to log in there.
fn at(uri: &str, address: &str, more: &str) -> String {
    format!(
        "source = [\"fake\"]\n[stores.fake]\nuri = \"{uri}\"\naddresses = [\"{address}\"]\n{more}"
    )
}

#[test]
fn the_recipe_for_azure_works_on_the_fake() {
    let fake = Azure::start();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, fake.pem()).unwrap();
    let uri = "azure:shop-production";
    let said = follow(
        "Azure Key Vault",
        (
            &format!("source = [\"{uri}\"]"),
            &at(uri, &fake.vault.url(), ""),
        ),
        &[
            ("SSL_CERT_FILE", ca.to_str().unwrap()),
            ("AZURE_AUTHORITY_HOST", &fake.login.url()),
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
        ],
    );
    assert!(
        said.ends_with("started with 50 and pa$$ 'word'\n"),
        "{said}"
    );
    assert!(
        fake.ids().contains(&"SECRET-KEY".to_owned()),
        "{:?}",
        fake.ids()
    );
}

#[test]
fn the_recipe_for_google_works_on_the_fake() {
    let fake = Gcp::plain();
    let uri = "gcp:shop-project/production";
    let login = "auth = { method = \"anonymous\" }";
    let said = follow(
        "Google Secret Manager",
        (
            &format!("source = [\"{uri}\"]"),
            &at(uri, &fake.server().url(), login),
        ),
        &[],
    );
    assert!(
        said.ends_with("started with 50 and pa$$ 'word'\n"),
        "{said}"
    );
}
