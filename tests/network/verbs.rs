//! The verbs on stores on a network, where these differ from files: what is guarded by nothing, what is
//! deleted and held back, what is made in part.

use secrets_testkit::fakes::azure::{Azure, CLIENT, CLIENT_SECRET, TENANT};
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::servers::{Moto, OpenBao};
use serde_json::json;

use crate::sandbox::{Done, Sandbox};

/// A project at one store, with the variables that a run there needs.
struct At {
    sandbox: Sandbox,
    variables: Vec<(&'static str, String)>,
}

impl At {
    /// With this manifest, which is trusted.
    fn manifest(text: &str, mut variables: Vec<(&'static str, String)>) -> Self {
        let sandbox = Sandbox::with_manifest(text);
        let shown = sandbox.secrets("trust --json").done().json();
        variables.push((
            "SECRETS_TRUST",
            shown["digest"].as_str().unwrap().to_owned(),
        ));
        Self { sandbox, variables }
    }

    fn openbao(server: &OpenBao, manifest: &str, token: &str) -> Self {
        let variables = vec![
            ("VAULT_ADDR", server.address().to_owned()),
            ("VAULT_TOKEN", token.to_owned()),
        ];
        Self::manifest(manifest, variables)
    }

    fn run(&self, line: &str, input: &str) -> Done {
        let mut run = self.sandbox.secrets(line).input(input);
        for (name, value) in &self.variables {
            run = run.env(name, value);
        }
        run.done()
    }

    #[track_caller]
    fn ends(&self, line: &str, input: &str, status: i32) -> Done {
        let done = self.run(line, input);
        assert_eq!(done.status, status, "{line}\n{}\n{}", done.text(), done.err);
        done
    }
}

const ROOT: &str = "root-token-of-the-tests";

fn source(store: &str) -> String {
    format!("[environments.dev]\nsource = [\"{store}\"]\n")
}

/// A store by a name, with its server's address.
fn named(uri: &str, address: &str, more: &str) -> String {
    format!(
        "[stores.it]\nuri = \"{uri}\"\naddresses = [\"{address}\"]\n{more}\n{}",
        source("it")
    )
}

/// Set twice, rolled back, removed, brought back.
fn there_and_back(at: &At) {
    at.ends("set KEY", "one", 0);
    at.ends("set KEY", "two", 0);
    at.ends("rollback KEY --yes", "", 0);
    assert_eq!(at.ends("get KEY", "", 0).text(), "one\n");
    at.ends("unset KEY --yes", "", 0);
    at.ends("get KEY", "", 3);
    at.ends("rollback KEY --yes", "", 0);
    assert_eq!(at.ends("get KEY", "", 0).text(), "one\n");
}

#[test]
fn a_value_is_rolled_back_and_a_removal_taken_back_at_the_fake_of_azure() {
    let fake = Azure::start();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, fake.pem()).unwrap();
    let variables = vec![
        ("SSL_CERT_FILE", ca.display().to_string()),
        ("AZURE_AUTHORITY_HOST", fake.login.url()),
        ("AZURE_TENANT_ID", TENANT.to_owned()),
        ("AZURE_CLIENT_ID", CLIENT.to_owned()),
        ("AZURE_CLIENT_SECRET", CLIENT_SECRET.to_owned()),
    ];
    let production = "[environments.production]\ninherit = \"dev\"\nsource = [\"env:\"]\n";
    let manifest = format!("{}{production}", named("azure:shop", &fake.vault.url(), ""));
    let at = At::manifest(&manifest, variables);
    there_and_back(&at);
    // Who only inherits the store changes nothing in it.
    at.ends("unset KEY --yes", "", 0);
    at.ends("rollback KEY --yes -e production", "", 2);
    at.ends("get KEY", "", 3);
}

#[test]
fn a_value_is_rolled_back_and_a_removal_taken_back_at_the_fake_of_google() {
    let fake = Gcp::plain();
    let login = "auth = { method = \"anonymous\" }";
    there_and_back(&At::manifest(
        &named("gcp:shop", &fake.server().url(), login),
        Vec::new(),
    ));
}

#[test]
fn a_value_is_rolled_back_and_a_removal_taken_back_at_aws() {
    let server = Moto::start();
    let variables = vec![
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER", server.url()),
        ("AWS_REGION", "eu-west-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "example".to_owned()),
    ];
    there_and_back(&At::manifest(&source("aws:shop"), variables.clone()));
    there_and_back(&At::manifest(
        &source("aws:shop-each?layout=each"),
        variables,
    ));
}

#[test]
fn a_value_is_rolled_back_and_a_removal_taken_back_at_openbao() {
    let server = OpenBao::start();
    there_and_back(&At::openbao(&server, &source("vault:secret/shop"), ROOT));
    let each = At::openbao(&server, &source("vault:secret/each?layout=each"), ROOT);
    there_and_back(&each);
    // Its versions are numbers, and named as they are.
    each.ends("rollback KEY --to 2 --yes", "", 0);
    assert_eq!(each.ends("get KEY", "", 0).text(), "two\n");
}

#[test]
fn what_was_made_in_part_is_told_with_what_is_left() {
    let server = OpenBao::start();
    let policy = "path \"secret/+/part/*\" { capabilities = [\"create\", \"read\", \"update\", \"list\"] }\n\
                  path \"secret/metadata/part\" { capabilities = [\"list\"] }\n\
                  path \"secret/data/part/C\" { capabilities = [\"read\"] }";
    let token = server.token_under("part", policy);
    let at = At::openbao(&server, &source("vault:secret/part?layout=each"), &token);
    let done = at.ends(
        "import - --format json --yes",
        r#"{"A": "a", "B": "b", "C": "c"}"#,
        8,
    );
    assert!(done.err.contains("A, B made, C left"), "{}", done.err);
    let text = at.ends("list --json", "", 0).json();
    let names: Vec<_> = text["secrets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["name"].clone())
        .collect();
    assert_eq!(names, ["A", "B"]);
    at.ends("set A C --generate --yes", "", 8);
    let full = At::openbao(&server, &source("vault:secret/part?layout=each"), ROOT);
    full.ends("set C", "c", 0);
    let done = at.ends("unset A C --yes", "", 8);
    assert!(done.err.contains("A made, C left"), "{}", done.err);
    at.ends("get A", "", 3);
    at.ends("get C", "", 0);
}

#[test]
fn a_protected_store_is_protected_in_every_layout_that_reaches_it() {
    let server = OpenBao::start();
    let manifest = format!(
        "{}[environments.production]\nsource = [\"vault:secret/pq/prot\"]\nprotected = true\n",
        source("local:")
    );
    let at = At::openbao(&server, &manifest, ROOT);
    at.ends("set KEY -e production --yes", "value", 0);
    for line in [
        "set prot --store vault:secret/pq?layout=each",
        "set value --store vault:secret/pq/prot/",
        "set KEY --store vault:secret/pq/prot?layout=each",
    ] {
        let done = at.run(line, "clobber");
        assert_ne!(done.status, 0, "{line}: {}", done.err);
    }
    assert_eq!(at.ends("get KEY -e production", "", 0).text(), "value\n");
    let (_, there) = server.admin().call("GET", "secret/data/pq/prot", None);
    assert_eq!(there["data"]["data"], json!({ "KEY": "value" }));
}

#[test]
fn what_is_no_text_stands_in_nobodys_way_but_its_own() {
    let server = OpenBao::start();
    let document = json!({ "data": { "port": 5432, "SECRET_KEY": "value" } });
    server.admin().ok("POST", "secret/data/rds", &document);
    let at = At::openbao(&server, &source("vault:secret/rds"), ROOT);
    let done = at.ends("exec -- true", "", 125);
    assert!(
        done.err.contains("port is a number, not a text"),
        "{}",
        done.err
    );
    at.ends("exec --only SECRET_KEY -- true", "", 0);
    at.ends("exec --except port -- true", "", 0);
    assert_eq!(at.ends("get SECRET_KEY", "", 0).text(), "value\n");
    // What the hint says to type works.
    at.ends("set port", "5432", 0);
    at.ends("exec -- true", "", 0);
    server.admin().ok("POST", "secret/data/rds", &document);
    at.ends("unset port --yes", "", 0);
    at.ends("exec -- true", "", 0);
}

#[test]
fn a_server_that_is_no_vault_is_never_taken_for_an_empty_store() {
    let server = OpenBao::start();
    let moto = Moto::start();
    for address in [format!("{}/some/path", server.address()), moto.url()] {
        let variables = vec![("VAULT_ADDR", address), ("VAULT_TOKEN", ROOT.to_owned())];
        for store in [
            "vault:secret/shop",
            "vault:secret/shop?layout=each",
            "vault:secret/shop?kv=1",
        ] {
            let at = At::manifest(&source(store), variables.clone());
            for line in ["list", "get KEY", "exec -- true", "doctor"] {
                let done = at.run(line, "");
                assert!(
                    ![0, 3].contains(&done.status),
                    "{store}: {line}: {}\n{}",
                    done.text(),
                    done.err
                );
            }
        }
    }
}
