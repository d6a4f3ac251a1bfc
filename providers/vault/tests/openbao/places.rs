//! Where in a server, and which server: namespaces, and authorities of one's own.

use secrets_api::ErrorKind;
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::{OpenBao, until};
use serde_json::{Value, json};

use crate::stage::{ROOT, SHOP, Stage, get, open, put, shown};

/// A namespace `team` with an engine and a document of its own.
fn team(stage: &Stage) {
    let admin = stage.admin();
    admin.ok("POST", "sys/namespaces/team", &Value::Null);
    let engine = json!({ "type": "kv", "options": { "version": "2" } });
    admin.ok("POST", "team/sys/mounts/secret", &engine);
    until("the engine is ready", || {
        admin.call("GET", "team/secret/config", None).0 == 200
    });
    let theirs = json!({ "data": { "A": "of the team" } });
    admin.ok("POST", "team/secret/data/shop", &theirs);
}

#[test]
fn a_namespace_is_named_by_the_address_or_by_the_servers_own_variable() {
    let stage = Stage::start();
    team(&stage);
    stage.write("shop", &json!({ "A": "of the root" }));
    let read = |opening: &TestOpening, uri: &str| {
        let store = open(opening, uri);
        block_on(get(&*store, "A")).unwrap()
    };
    let within = |variable: &str, namespace: &str| {
        TestOpening::new().with_variables([
            ("BAO_ADDR", stage.relay.url()),
            ("BAO_TOKEN", ROOT.to_owned()),
            (variable, namespace.to_owned()),
        ])
    };
    let team = Some("of the team");
    assert_eq!(read(&stage.as_root(), SHOP).as_deref(), Some("of the root"));
    let by_address = "vault:secret/shop?namespace=team";
    assert_eq!(read(&stage.as_root(), by_address).as_deref(), team);
    for variable in ["BAO_NAMESPACE", "VAULT_NAMESPACE"] {
        assert_eq!(read(&within(variable, "team"), SHOP).as_deref(), team);
    }
    // The address says more than the variable.
    let opening = within("BAO_NAMESPACE", "nowhere");
    assert_eq!(read(&opening, by_address).as_deref(), team);
    let store = open(&opening, SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.to_string().contains("no such namespace"), "{error}");
    let store = open(&stage.as_root(), by_address);
    block_on(put(&*store, "B", "b")).unwrap();
    let answer = stage
        .admin()
        .ok("GET", "team/secret/data/shop", &Value::Null);
    assert_eq!(answer["data"]["data"]["B"], "b");
    assert_eq!(stage.document("shop"), json!({ "A": "of the root" }));
}

#[test]
fn an_authority_of_ones_own_is_named_by_each_of_the_usual_variables() {
    let bao = OpenBao::over_tls();
    let body = json!({ "data": { "A": "a" } });
    bao.admin().ok("POST", "secret/data/shop", &body);
    let ca = bao.ca_file().to_str().unwrap().to_owned();
    for variable in ["BAO_CACERT", "VAULT_CACERT", "SSL_CERT_FILE"] {
        let opening = TestOpening::new().with_variables([
            ("VAULT_ADDR", bao.address()),
            ("VAULT_TOKEN", ROOT),
            (variable, &ca),
        ]);
        let store = open(&opening, SHOP);
        let read = block_on(get(&*store, "A"));
        assert_eq!(read.unwrap().as_deref(), Some("a"), "{variable}");
    }
    // Without one, it is nobody we know.
    let opening = TestOpening::new().with_variables([
        ("VAULT_ADDR", bao.address()),
        ("VAULT_TOKEN", "canary-token"),
    ]);
    let store = open(&opening, SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
    assert!(error.hint().unwrap().contains("VAULT_CACERT"));
    assert!(!shown(&error).contains("canary"));
}
