//! `exec` with stores on a network: credentials that are issued as the command starts, and those of our own
//! logins, which the command never sees.

use secrets_testkit::servers::{OpenBao, Postgres};
use serde_json::json;

use crate::sandbox::Sandbox;

const ROOT: &str = "root-token-of-the-tests";

/// The digest that `secrets trust` prints for the sandbox's manifest.
fn digest(sandbox: &Sandbox) -> String {
    let shown = sandbox.secrets("trust --json").done().json();
    shown["digest"].as_str().unwrap().to_owned()
}

/// How many leases there are.
fn leases(server: &OpenBao) -> usize {
    let (_, told) = server
        .admin()
        .call("LIST", "sys/leases/lookup/database/creds/shop", None);
    told["data"]["keys"].as_array().map_or(0, Vec::len)
}

#[test]
fn credentials_are_issued_for_a_command_that_starts_and_ended_for_one_that_does_not() {
    let (server, postgres) = (OpenBao::start(), Postgres::start());
    postgres.issue_by(&server.admin());
    let sandbox = Sandbox::new();
    let store = "vault-dynamic:database/creds/shop?DB_USER=username&DB_PASSWORD=password";
    let run = |line: &str, command: &[&str]| {
        let words = line.split_whitespace().chain(["--store", store, "--"]);
        let words: Vec<&str> = words.chain(command.iter().copied()).collect();
        let run = sandbox.secrets_with(words);
        run.env("VAULT_ADDR", server.address())
            .env("VAULT_TOKEN", ROOT)
            .done()
    };
    let script = "test -z \"$VAULT_TOKEN\" && printf '%s %s' \"$DB_USER\" \"$DB_PASSWORD\"";
    let done = run("exec", &["sh", "-c", script]);
    assert_eq!(done.status, 0, "{}", done.err);
    let (user, password) = done
        .text()
        .split_once(' ')
        .map(|(u, p)| (u.to_owned(), p.to_owned()))
        .unwrap();
    assert!(postgres.logs_in(&user, &password));
    assert_eq!(leases(&server), 1);
    // Looking issues nothing.
    for verb in ["list", "get DB_USER", "doctor"] {
        let words: Vec<&str> = verb.split_whitespace().chain(["--store", store]).collect();
        let run = sandbox.secrets_with(words);
        run.env("VAULT_ADDR", server.address())
            .env("VAULT_TOKEN", ROOT)
            .done();
    }
    assert_eq!(leases(&server), 1);
    let done = run("exec", &["no-such-command"]);
    assert_eq!(done.status, 127, "{}", done.err);
    assert_eq!(leases(&server), 1, "what was issued for it was not ended");
    // None of its names is wanted: none is issued.
    assert_eq!(run("exec --except DB_*", &["true"]).status, 0);
    assert_eq!(leases(&server), 1);
}

#[test]
fn what_a_login_is_given_its_credential_by_does_not_reach_the_command() {
    let server = OpenBao::start();
    let admin = server.admin();
    admin.ok("POST", "sys/auth/userpass", &json!({ "type": "userpass" }));
    admin.ok(
        "POST",
        "sys/policies/acl/shop",
        &json!({ "policy": "path \"secret/*\" { capabilities = [\"read\"] }" }),
    );
    admin.ok(
        "POST",
        "auth/userpass/users/ann",
        &json!({ "password": "hunter2", "token_policies": "shop" }),
    );
    admin.ok(
        "POST",
        "secret/data/shop",
        &json!({ "data": { "KEY": "value" } }),
    );
    for reference in ["env:VAULT_PASSWORD", "env:#VAULT_PASSWORD"] {
        let sandbox = Sandbox::with_manifest(&format!(
            "[stores.hq]\nuri = \"vault:secret/shop\"\naddresses = [\"{}\"]\n\
             auth = {{ method = \"userpass\", username = \"ann\", password = \"{reference}\" }}\n\
             [environments.dev]\nsource = [\"env:\", \"hq\"]\n",
            server.address()
        ));
        let digest = digest(&sandbox);
        let script = "printf '%s,%s' \"$KEY\" \"$VAULT_PASSWORD\"";
        sandbox
            .secrets_with(["exec", "--", "sh", "-c", script])
            .env("SECRETS_TRUST", &digest)
            .env("VAULT_PASSWORD", "hunter2")
            .succeeds()
            .prints("value,");
        // Without it nothing starts.
        sandbox
            .secrets_with(["exec", "--", "true"])
            .env("SECRETS_TRUST", &digest)
            .ends(125)
            .hides("hunter2");
    }
}
