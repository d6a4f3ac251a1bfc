//! Credentials that are issued for a time, by OpenBao's database engine in a real PostgreSQL.

use std::time::Duration;

use secrets_api::{
    Ctx, ErrorKind, Leased, Provider, ProviderExt as _, Result, Select, async_trait,
};
use secrets_testkit::block_on;
use secrets_testkit::servers::{Postgres, until};
use secrets_testkit::web::{Fault, Harm, Request};
use serde_json::json;

use crate::stage::{Stage, cx, name, open, shown, try_open};

const ROLE: &str = "vault-dynamic:database/creds/shop";
const ISSUE: &str = "GET /v1/database/creds/";

/// An engine that issues roles of the database to whoever asks for `shop`.
fn issuing() -> (Stage, Postgres) {
    let (stage, postgres) = (Stage::start(), Postgres::start());
    postgres.issue_by(&stage.admin());
    (stage, postgres)
}

/// The same as leasing.
#[async_trait]
trait Issues {
    async fn issue(&self) -> Result<Leased>;
}

#[async_trait]
impl Issues for dyn Provider {
    async fn issue(&self) -> Result<Leased> {
        self.leasing().unwrap().issue(&cx()).await
    }
}

/// What was issued under a name.
fn part(leased: &Leased, of: &str) -> String {
    let found = leased.items.iter().find(|(name, _)| name.as_str() == of);
    found.unwrap().1.expose_text().unwrap().to_owned()
}

#[test]
fn what_is_issued_logs_in_until_its_lease_is_revoked() {
    let (stage, postgres) = issuing();
    let store = open(&stage.as_root(), ROLE);
    block_on(async {
        // Looking issues nothing, however often.
        let listed = store.list(&cx()).await.unwrap();
        let names: Vec<_> = listed.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["USERNAME", "PASSWORD"]);
        assert!(
            store
                .read(&cx(), Select::All)
                .await
                .unwrap()
                .items
                .is_empty()
        );
        let one = store.read_one(&cx(), &name("PASSWORD")).await.unwrap();
        assert!(one.found().is_none());
        let report = store.inspect(&cx()).await.unwrap();
        assert!(
            report
                .facts
                .iter()
                .any(|(l, t)| l == "we may" && t == "issue")
        );
        assert_eq!(stage.count(ISSUE), 0);
        let leased = store.issue().await.unwrap();
        assert_eq!(stage.count(ISSUE), 1);
        let (user, password) = (part(&leased, "USERNAME"), part(&leased, "PASSWORD"));
        assert!(postgres.logs_in(&user, &password));
        assert!(!postgres.logs_in(&user, "another"));
        assert!(leased.lease.renewable);
        assert!(leased.lease.lasts > Duration::from_secs(50));
        assert!(leased.lease.lasts <= Duration::from_secs(60));
        let printed = format!("{leased:?} {store:?}");
        assert!(!printed.contains(&password));
        let leasing = store.leasing().unwrap();
        let longer = Duration::from_secs(600);
        let renewed = leasing
            .renew(&cx(), &leased.lease.id, longer)
            .await
            .unwrap();
        assert_eq!(renewed.id, leased.lease.id);
        assert!(renewed.lasts > Duration::from_secs(500) && renewed.renewable);
        // Each issue is one of its own.
        let second = store.issue().await.unwrap();
        assert_ne!(part(&second, "USERNAME"), user);
        leasing.revoke(&cx(), &leased.lease.id).await.unwrap();
        assert!(!postgres.logs_in(&user, &password));
        assert!(postgres.logs_in(&part(&second, "USERNAME"), &part(&second, "PASSWORD")));
        // Ending what has ended is no error; renewing it is.
        leasing.revoke(&cx(), &leased.lease.id).await.unwrap();
        let error = leasing
            .renew(&cx(), &leased.lease.id, longer)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("lease"), "{error}");
    });
}

#[test]
fn an_issue_whose_answer_is_lost_or_unreadable_is_unknown_and_never_asked_for_again() {
    let (stage, _postgres) = issuing();
    let store = open(&stage.as_root(), ROLE);
    let unreadable = Harm::unreadable().into_iter().map(|(_, harm)| harm);
    for harm in [Harm::DropAfter, Harm::DropBefore]
        .into_iter()
        .chain(unreadable)
    {
        stage.relay.forget();
        let fault = Fault::once(harm);
        let issues = |request: &Request| request.path.contains("/creds/");
        stage.relay.inject(fault.only(issues));
        let error = block_on(store.issue()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
        assert_eq!(stage.count(ISSUE), 1);
    }
    stage.relay.forget();
    let slow = Fault::once(Harm::Latency(Duration::from_secs(60)));
    stage.relay.inject(slow);
    let brief = Ctx::within(Duration::from_millis(300));
    let error = block_on(store.leasing().unwrap().issue(&brief)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutcomeUnknown);
    assert_eq!(stage.count(ISSUE), 1);
}

#[test]
fn fields_go_to_the_names_that_the_address_says() {
    let (stage, postgres) = issuing();
    let mapped = format!("{ROLE}?DB_USER=username&DB_PASSWORD=password");
    let leased = block_on(open(&stage.as_root(), &mapped).issue()).unwrap();
    assert!(postgres.logs_in(&part(&leased, "DB_USER"), &part(&leased, "DB_PASSWORD")));
    let half = open(&stage.as_root(), &format!("{ROLE}?PGPASSWORD=password"));
    let leased = block_on(half.issue()).unwrap();
    assert_eq!(leased.items.len(), 1);
    let unknown = open(&stage.as_root(), &format!("{ROLE}?CERTIFICATE=certificate"));
    stage.relay.forget();
    let error = block_on(unknown.issue()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.hint().unwrap().contains("username"), "{error}");
    // What nobody was given is ended at once.
    assert_eq!(
        stage.went(),
        ["GET /v1/database/creds/shop", "POST /v1/sys/leases/revoke"]
    );
    for uri in [
        "vault-dynamic:database",
        "vault-dynamic:database//creds",
        "vault-dynamic:database/creds/../../sys/raw",
        "vault-dynamic:database/creds/shop?not-a-name=username",
    ] {
        let error = try_open(&stage.as_root(), uri).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{uri}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn a_role_that_is_not_there_or_not_ours_is_told() {
    let (stage, _postgres) = issuing();
    for (uri, kind, says) in [
        (
            "vault-dynamic:database/creds/none",
            ErrorKind::InvalidConfig,
            "role",
        ),
        (
            "vault-dynamic:nowhere/creds/shop",
            ErrorKind::InvalidConfig,
            "mount",
        ),
    ] {
        let error = block_on(open(&stage.as_root(), uri).issue()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(shown(&error).contains(uri));
        assert!(error.hint().is_some());
    }
    let policy = open(&stage.as_root(), ROLE).policy().unwrap();
    let token = stage.bao.token_under("issues", &policy);
    let store = open(&stage.under(&token), ROLE);
    block_on(async {
        let leased = store.issue().await.unwrap();
        let leasing = store.leasing().unwrap();
        leasing
            .renew(&cx(), &leased.lease.id, Duration::from_secs(90))
            .await
            .unwrap();
        leasing.revoke(&cx(), &leased.lease.id).await.unwrap();
    });
    let token = stage.bao.token_under(
        "narrow",
        "path \"database/*\" { capabilities = [\"list\"] }",
    );
    let error = block_on(open(&stage.under(&token), ROLE).issue()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
}

#[test]
fn what_has_run_out_logs_nobody_in() {
    let (stage, postgres) = issuing();
    let brief = json!({
        "db_name": "main", "default_ttl": "1s", "max_ttl": "1s",
        "creation_statements": "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'",
    });
    stage.admin().ok("POST", "database/roles/shop", &brief);
    let leased = block_on(open(&stage.as_root(), ROLE).issue()).unwrap();
    let (user, password) = (part(&leased, "USERNAME"), part(&leased, "PASSWORD"));
    until("the role is dropped", || {
        !postgres.logs_in(&user, &password)
    });
}

#[test]
fn an_address_of_key_value_secrets_never_issues_at_another_engine() {
    let (stage, _postgres) = issuing();
    let store = open(&stage.as_root(), "vault:database/creds/shop?kv=1");
    block_on(async {
        let error = store.read(&cx(), Select::All).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
        assert_eq!(stage.count(ISSUE), 0);
    });
    // Who may not ask what engine it is: what the read has issued is ended at once.
    let admin = stage.admin();
    let policy = "path \"database/creds/shop\" { capabilities = [\"read\"] }\n\
                  path \"sys/leases/revoke\" { capabilities = [\"update\"] }\n\
                  path \"sys/internal/ui/mounts/*\" { capabilities = [\"deny\"] }";
    admin.ok(
        "POST",
        "sys/policies/acl/blind",
        &json!({ "policy": policy }),
    );
    let request = json!({ "policies": ["blind"], "no_default_policy": true });
    let granted = admin.ok("POST", "auth/token/create", &request);
    let token = granted["auth"]["client_token"].as_str().unwrap();
    let store = open(&stage.under(token), "vault:database/creds/shop?kv=1");
    block_on(async {
        let error = store.read(&cx(), Select::All).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    });
    let (_, leases) = admin.call("LIST", "sys/leases/lookup/database/creds/shop", None);
    assert!(
        leases["data"]["keys"].as_array().is_none_or(Vec::is_empty),
        "{leases}"
    );
}
