//! The ways to log in, each against the server's own method.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrets_api::ErrorKind;
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::{Admin, OpenBao};
use secrets_testkit::web::{Authority, Reply, Request, Server};
use serde_json::{Value, json};

use crate::jwt::Issuer;
use crate::stage::{SHOP, Stage, get, open, shown, try_open};

/// Lets whoever has the policy `shop` do all below `secret/`.
pub(crate) fn grant_shop(admin: &Admin) {
    let policy =
        "path \"secret/*\" { capabilities = [\"create\", \"read\", \"update\", \"list\"] }";
    admin.ok(
        "POST",
        "sys/policies/acl/shop",
        &json!({ "policy": policy }),
    );
}

/// AppRole with one role, `shop`; its role id and a secret id.
pub(crate) fn approle(admin: &Admin, settings: &Value) -> (String, String) {
    grant_shop(admin);
    admin.ok("POST", "sys/auth/approle", &json!({ "type": "approle" }));
    admin.ok("POST", "auth/approle/role/shop", settings);
    let part = |method, path, field: &str| {
        let answer = admin.ok(
            method,
            &format!("auth/approle/role/shop/{path}"),
            &Value::Null,
        );
        answer["data"][field].as_str().unwrap().to_owned()
    };
    (
        part("GET", "role-id", "role_id"),
        part("POST", "secret-id", "secret_id"),
    )
}

/// An opening that logs in by AppRole.
pub(crate) fn by_approle(opening: TestOpening, role_id: &str, secret_id: &str) -> TestOpening {
    opening
        .with_auth("approle", &[("role-id", role_id), ("secret-id", "file:id")])
        .with_credential("file:id", secret_id.as_bytes())
}

fn kind_of_read(opening: &TestOpening) -> ErrorKind {
    let store = open(opening, SHOP);
    block_on(get(&*store, "A")).unwrap_err().kind()
}

fn reads(opening: &TestOpening) -> Option<String> {
    let store = open(opening, SHOP);
    block_on(get(&*store, "A")).unwrap()
}

#[test]
fn approle_logs_in_by_one_request_on_the_connection_of_all_others() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a", "B": "b" }));
    let (role, secret) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let opening = by_approle(stage.as_nobody(), &role, &secret);
    assert_eq!(reads(&opening).as_deref(), Some("a"));
    assert_eq!(
        stage.went(),
        ["POST /v1/auth/approle/login", "GET /v1/secret/data/shop"]
    );
    assert_eq!(stage.relay.connections(), 1);
}

#[test]
fn a_login_that_is_refused_says_so_and_shows_no_credential() {
    let stage = Stage::start();
    let (role, _) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let opening = by_approle(stage.as_nobody(), &role, "canary-secret-id");
    let store = open(&opening, SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().is_some());
    assert!(!shown(&error).contains("canary"), "{error}");
    assert!(shown(&error).contains(SHOP));
    // There is one login and no more.
    assert_eq!(stage.went(), ["POST /v1/auth/approle/login"]);
    let opening = stage
        .as_nobody()
        .with_auth(
            "approle",
            &[
                ("role-id", "x"),
                ("secret-id", "file:id"),
                ("mount", "ours"),
            ],
        )
        .with_credential("file:id", b"x");
    let store = open(&opening, SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().unwrap().contains("vault auth list"));
}

#[test]
fn a_wrapped_secret_id_is_opened_once_and_a_second_time_is_an_alarm() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let (role, _) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let wrapping = stage
        .admin()
        .wrapped("auth/approle/role/shop/secret-id", &json!({}));
    let opening = || {
        stage
            .as_nobody()
            .with_auth(
                "approle",
                &[
                    ("role-id", &role),
                    ("secret-id", "file:id"),
                    ("wrapped", "true"),
                ],
            )
            .with_credential("file:id", wrapping.as_bytes())
    };
    assert_eq!(reads(&opening()).as_deref(), Some("a"));
    assert_eq!(
        stage.went(),
        [
            "POST /v1/sys/wrapping/lookup",
            "POST /v1/sys/wrapping/unwrap",
            "POST /v1/auth/approle/login",
            "GET /v1/secret/data/shop"
        ]
    );
    assert_eq!(stage.relay.connections(), 1);
    let store = open(&opening(), SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(
        error
            .hint()
            .unwrap()
            .contains("somebody else may have opened it")
    );
    assert!(!shown(&error).contains(&wrapping));
}

#[test]
fn what_was_wrapped_at_another_path_is_not_opened() {
    let stage = Stage::start();
    let (role, _) = approle(&stage.admin(), &json!({ "token_policies": "shop" }));
    let theirs = json!({ "secret_id": "of-a-thief" });
    let wrapping = stage.admin().wrapped("sys/wrapping/wrap", &theirs);
    let opening = stage
        .as_nobody()
        .with_auth(
            "approle",
            &[
                ("role-id", &role),
                ("secret-id", "file:id"),
                ("wrapped", "true"),
            ],
        )
        .with_credential("file:id", wrapping.as_bytes());
    assert_eq!(kind_of_read(&opening), ErrorKind::Unauthenticated);
    assert_eq!(stage.went(), ["POST /v1/sys/wrapping/lookup"]);
    let theirs = stage.admin().with_token(&wrapping);
    theirs.ok("POST", "sys/wrapping/unwrap", &Value::Null);
}

#[test]
fn user_name_and_password_log_in() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let admin = stage.admin();
    grant_shop(&admin);
    admin.ok("POST", "sys/auth/people", &json!({ "type": "userpass" }));
    let user = json!({ "password": "canary-right", "token_policies": "shop" });
    admin.ok("POST", "auth/people/users/ada", &user);
    let opening = |name: &str, password: &str| {
        let settings = [
            ("mount", "people"),
            ("username", name),
            ("password", "file:p"),
        ];
        stage
            .as_nobody()
            .with_auth("userpass", &settings)
            .with_credential("file:p", password.as_bytes())
    };
    assert_eq!(reads(&opening("ada", "canary-right")).as_deref(), Some("a"));
    let store = open(&opening("ada", "canary-wrong"), SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!shown(&error).contains("canary"));
    for strange in ["../x", "a/b", "a%2fb", ".."] {
        let error = try_open(&opening(strange, "x"), SHOP).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{strange}");
    }
}

/// JWT with one role, `deploy`, for what `issuer` signs.
fn accept_jwt(admin: &Admin, issuer: &Issuer, mount: &str) {
    grant_shop(admin);
    admin.ok(
        "POST",
        &format!("sys/auth/{mount}"),
        &json!({ "type": "jwt" }),
    );
    let keys = json!({ "jwt_validation_pubkeys": [issuer.pem()], "bound_issuer": "https://ci" });
    admin.ok("POST", &format!("auth/{mount}/config"), &keys);
    let role = json!({
        "role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"],
        "token_policies": "shop",
    });
    admin.ok("POST", &format!("auth/{mount}/role/deploy"), &role);
}

fn claims(audience: &str) -> Value {
    let now = secrets_api::Timestamp::now().as_second();
    json!({
        "iss": "https://ci", "sub": "project:shop", "aud": audience,
        "iat": now - 10, "nbf": now - 10, "exp": now + 300,
    })
}

#[test]
fn a_statement_in_a_variable_logs_in_as_gitlab_hands_it_out() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let issuer = Issuer::new();
    accept_jwt(&stage.admin(), &issuer, "jwt");
    let opening = |statement: &str| {
        stage
            .as_nobody()
            .with_auth("jwt", &[("role", "deploy"), ("jwt", "env:VAULT_ID_TOKEN")])
            .with_credential("env:VAULT_ID_TOKEN", statement.as_bytes())
    };
    let statement = issuer.sign(&claims("vault"));
    assert_eq!(
        reads(&opening(&format!("{statement}\n"))).as_deref(),
        Some("a")
    );
    assert_eq!(
        stage.went(),
        ["POST /v1/auth/jwt/login", "GET /v1/secret/data/shop"]
    );
    let of_others = Issuer::new().sign(&claims("vault"));
    for wrong in [
        of_others,
        issuer.sign(&claims("elsewhere")),
        "canary".into(),
    ] {
        let store = open(&opening(&wrong), SHOP);
        let error = block_on(get(&*store, "A")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(!shown(&error).contains(&wrong));
    }
}

/// What GitHub runs beside a job.
fn github(statement: String) -> Server {
    Server::plain(move |request: &Request| {
        let asks = request.header("authorization") == Some("bearer canary-of-the-job")
            || request.header("authorization") == Some("Bearer canary-of-the-job");
        let fits = request.parameter("audience") == Some("vault")
            && request.parameter("api-version") == Some("2.0");
        match (asks, fits) {
            (true, true) => Reply::json(200, &json!({ "count": 1, "value": statement })),
            _ => Reply::json(403, &json!({ "message": "canary" })),
        }
    })
}

#[test]
fn github_is_asked_for_the_statement_of_the_job() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let issuer = Issuer::new();
    accept_jwt(&stage.admin(), &issuer, "github");
    let service = github(issuer.sign(&claims("vault")));
    let opening = |audience: &str, variables: &[(&str, &str)]| {
        let settings = [
            ("mount", "github"),
            ("role", "deploy"),
            ("jwt", "github"),
            ("audience", audience),
        ];
        let all = [("BAO_ADDR", stage.relay.url())].into_iter();
        let all = all.chain(variables.iter().map(|(k, v)| (*k, (*v).to_owned())));
        TestOpening::new()
            .with_auth("jwt", &settings)
            .with_variables(all)
    };
    let url = format!("{}/job/1?api-version=2.0", service.url());
    let (url, token) = (
        ("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "canary-of-the-job"),
    );
    assert_eq!(
        reads(&opening("vault", &[url, token])).as_deref(),
        Some("a")
    );
    let store = open(&opening("elsewhere", &[url, token]), SHOP);
    let error = block_on(get(&*store, "A")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().unwrap().contains("id-token: write"));
    assert!(!shown(&error).contains("canary"), "{error}");
    assert!(!format!("{store:?}").contains("canary"));
    for missing in [&[][..], &[url], &[token]] {
        // What needs no login can be asked outside of a job.
        let store = open(&opening("vault", missing), SHOP);
        assert!(store.policy().is_some());
        let error = block_on(get(&*store, "A")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.hint().unwrap().contains("id-token: write"));
    }
    let elsewhere = ("ACTIONS_ID_TOKEN_REQUEST_URL", "http://github.example.com/");
    let error = try_open(&opening("vault", &[elsewhere, token]), SHOP).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Untrusted);
}

/// A cluster's interface, as far as a login asks it: TokenReview
/// (<https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>).
fn cluster(authority: &Authority, asked: Arc<AtomicBool>) -> Server {
    let app = move |request: &Request| {
        if request.path != "/apis/authentication.k8s.io/v1/tokenreviews" {
            return Reply::json(404, &json!({ "kind": "Status", "code": 404 }));
        }
        asked.store(true, Ordering::SeqCst);
        let sent = request.json().unwrap_or_default();
        let review = json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "status": {
                "authenticated": true, "audiences": sent["spec"]["audiences"],
                "user": {
                    "username": "system:serviceaccount:shop:web", "uid": "1b2c",
                    "groups": ["system:serviceaccounts", "system:serviceaccounts:shop"],
                },
            },
        });
        Reply::json(201, &review)
    };
    Server::over_tls(app, authority, &[])
}

#[test]
fn a_pod_logs_in_by_its_token() {
    let stage = Stage::start();
    stage.write("shop", &json!({ "A": "a" }));
    let admin = stage.admin();
    grant_shop(&admin);
    let (authority, asked) = (Authority::new(), Arc::new(AtomicBool::new(false)));
    let cluster = cluster(&authority, Arc::clone(&asked));
    admin.ok(
        "POST",
        "sys/auth/kubernetes",
        &json!({ "type": "kubernetes" }),
    );
    let config = json!({
        "kubernetes_host": cluster.url(), "kubernetes_ca_cert": authority.pem(),
        "token_reviewer_jwt": Issuer::new().sign(&claims("reviewer")),
        "disable_local_ca_jwt": true,
    });
    admin.ok("POST", "auth/kubernetes/config", &config);
    let role = json!({
        "bound_service_account_names": "web", "bound_service_account_namespaces": "shop",
        "token_policies": "shop",
    });
    admin.ok("POST", "auth/kubernetes/role/web", &role);
    let now = secrets_api::Timestamp::now().as_second();
    let statement = Issuer::new().sign(&json!({
        "iss": "https://kubernetes.default.svc.cluster.local",
        "aud": ["https://kubernetes.default.svc.cluster.local"],
        "sub": "system:serviceaccount:shop:web", "iat": now, "nbf": now - 5, "exp": now + 600,
        "kubernetes.io": {
            "namespace": "shop", "serviceaccount": { "name": "web", "uid": "1b2c" },
        },
    }));
    let place = "file:/var/run/secrets/kubernetes.io/serviceaccount/token";
    let opening = stage
        .as_nobody()
        .with_auth("kubernetes", &[("role", "web")])
        .with_credential(place, statement.as_bytes());
    assert_eq!(reads(&opening).as_deref(), Some("a"));
    assert!(asked.load(Ordering::SeqCst), "the cluster was asked");
    let opening = stage
        .as_nobody()
        .with_auth("kubernetes", &[("role", "other")])
        .with_credential(place, statement.as_bytes());
    assert_eq!(kind_of_read(&opening), ErrorKind::Unauthenticated);
}

#[test]
fn a_client_certificate_logs_in() {
    let bao = OpenBao::over_tls();
    let admin = bao.admin();
    grant_shop(&admin);
    admin.ok("POST", "secret/data/shop", &json!({ "data": { "A": "a" } }));
    admin.ok("POST", "sys/auth/cert", &json!({ "type": "cert" }));
    let authority = Authority::new();
    let role = json!({ "certificate": authority.pem(), "token_policies": "shop" });
    admin.ok("POST", "auth/cert/certs/web", &role);
    let (certificate, key) = authority.sign(&["web.example.com"]);
    let ca = bao.ca_file().to_str().unwrap().to_owned();
    let variables = [("BAO_ADDR", bao.address()), ("BAO_CACERT", &ca)];
    let settings = [
        ("role", "web"),
        ("certificate", "web.pem"),
        ("key", "web-key.pem"),
    ];
    let opening = TestOpening::new()
        .with_variables(variables)
        .with_auth("cert", &settings);
    std::fs::write(opening.root.join("web.pem"), &certificate).unwrap();
    std::fs::write(opening.root.join("web-key.pem"), &key).unwrap();
    assert_eq!(reads(&opening).as_deref(), Some("a"));
    // The same by the servers' own variables.
    let path = |name: &str| opening.root.join(name).to_str().unwrap().to_owned();
    let by_variables = TestOpening::new()
        .with_auth("cert", &[("role", "web")])
        .with_variables([
            ("VAULT_ADDR", bao.address().to_owned()),
            ("VAULT_CACERT", ca.clone()),
            ("VAULT_CLIENT_CERT", path("web.pem")),
            ("VAULT_CLIENT_KEY", path("web-key.pem")),
        ]);
    assert_eq!(reads(&by_variables).as_deref(), Some("a"));
    // Somebody else's is refused.
    let (certificate, key) = Authority::new().sign(&["web.example.com"]);
    std::fs::write(opening.root.join("web.pem"), certificate).unwrap();
    std::fs::write(opening.root.join("web-key.pem"), key).unwrap();
    assert_eq!(kind_of_read(&opening), ErrorKind::Unauthenticated);
    // And half of one, or none, is noticed at once.
    let lone = [("role", "web"), ("certificate", "web.pem")];
    let lone = TestOpening::new()
        .with_variables(variables)
        .with_auth("cert", &lone);
    std::fs::write(lone.root.join("web.pem"), "no certificate").unwrap();
    let error = try_open(&lone, SHOP).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    let none = TestOpening::new()
        .with_variables(variables)
        .with_auth("cert", &[]);
    let error = try_open(&none, SHOP).unwrap_err();
    assert!(error.hint().unwrap().contains("VAULT_CLIENT_CERT"));
}

/// Method, settings, and what the hint says.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

#[test]
fn a_login_that_nobody_knows_is_answered_with_those_there_are() {
    let stage = TestOpening::new().with_variables([("BAO_ADDR", "https://vault.example.com")]);
    let cases: &[Case] = &[
        ("ldap", &[], "approle"),
        ("approle", &[("role-id", "r")], "secret-id ="),
        (
            "approle",
            &[("role-id", "r"), ("secret-id", "env:X"), ("secretid", "x")],
            "secret-id",
        ),
        ("userpass", &[("username", "ada")], "password"),
        ("jwt", &[("role", "r")], "jwt ="),
        ("kubernetes", &[], "role"),
        ("token", &[("tokn", "env:X")], "token"),
        (
            "approle",
            &[("role-id", "r"), ("secret-id", "env:X"), ("wrapped", "yes")],
            "",
        ),
        (
            "approle",
            &[("role-id", "r"), ("secret-id", "env:X"), ("cache", "disk")],
            "",
        ),
        ("jwt", &[("jwt", "env:X"), ("audience", "a")], ""),
        (
            "approle",
            &[
                ("role-id", "r"),
                ("secret-id", "env:X"),
                ("mount", "a/../b"),
            ],
            "",
        ),
    ];
    let mut opening = stage;
    for (method, settings, hint) in cases {
        opening = opening.with_auth(method, settings);
        let error = try_open(&opening, SHOP).unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::InvalidConfig,
            "{method} {settings:?}"
        );
        let said = error.hint().unwrap_or_default();
        assert!(
            said.contains(hint),
            "{method} {settings:?}: {error}, {said}"
        );
        assert!(shown(&error).contains(SHOP));
    }
}
