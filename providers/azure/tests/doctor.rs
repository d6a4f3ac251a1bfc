//! What `doctor` is told of a vault, and what it prints as its policy.
#![allow(clippy::unwrap_used)]

mod support;

use secrets_api::{ErrorKind, Report};
use secrets_testkit::fakes::azure::{Azure, CLIENT, TENANT};
use secrets_testkit::web::{Fault, Harm, Reply};
use serde_json::json;
use support::{Store, open, store};

fn report(store: &Store) -> Report {
    store.run(store.provider.inspect(&store.cx())).unwrap()
}

fn fact<'a>(report: &'a Report, label: &str) -> &'a str {
    let found = report.facts.iter().find(|(known, _)| known == label);
    &found
        .unwrap_or_else(|| panic!("no {label} in {report:?}"))
        .1
}

#[test]
fn a_vault_in_order_is_told_with_what_was_proven() {
    let azure = Azure::start();
    azure.seed("A", b"canary-value");
    azure.seed("1-foreign", b"x");
    let report = report(&store(&azure));
    let identity = report.identity.as_deref().unwrap();
    assert_eq!(identity, format!("application {CLIENT} in tenant {TENANT}"));
    assert_eq!(fact(&report, "reachable"), azure.vault.url());
    assert!(fact(&report, "tls").contains("ca.pem"));
    assert!(fact(&report, "login").contains("client secret"));
    assert!(fact(&report, "clock").contains("ours"));
    assert_eq!(
        fact(&report, "we may"),
        "list, read, history (write: not tried)"
    );
    assert_eq!(fact(&report, "secrets"), "1");
    assert!(fact(&report, "deleted secrets").contains("90 days"));
    assert!(report.problems.is_empty());
    assert!(!format!("{report:?}").contains("canary-value"));
    // Nothing was changed, and no secret was fetched.
    assert!(
        azure
            .log()
            .iter()
            .all(|seen| seen.method == "GET" && !seen.target.contains("/A"))
    );
}

#[test]
fn what_is_not_allowed_is_a_problem_with_what_mends_it() {
    let azure = Azure::start();
    azure.forbid("get", "ForbiddenByRbac");
    let report = report(&store(&azure));
    assert_eq!(fact(&report, "we may"), "list, history (write: not tried)");
    let [(problem, hint)] = &*report.problems else {
        panic!("one problem: {report:?}");
    };
    assert!(problem.contains("read"));
    assert!(hint.as_deref().unwrap().contains("secrets doctor --policy"));
}

#[test]
fn clocks_that_differ_are_a_problem() {
    let azure = Azure::start();
    let nothing = json!({"error": {"code": "SecretNotFound"}});
    let late = Reply::json(404, &nothing).with_header("date", "Sun, 06 Nov 2094 08:49:37 GMT");
    azure.inject(Fault::always(Harm::Answer(late)));
    let report = report(&store(&azure));
    assert!(fact(&report, "clock").contains("ahead of ours"));
    assert!(
        report
            .problems
            .iter()
            .any(|(problem, _)| problem.contains("clocks differ"))
    );
}

#[test]
fn a_vault_that_cannot_be_reached_or_does_not_know_us_is_an_error() {
    let azure = Azure::start();
    azure.expire_client_secret();
    let unknown = store(&azure);
    let error = unknown
        .run(unknown.provider.inspect(&unknown.cx()))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
}

#[test]
fn the_policy_names_the_least_roles_for_this_vault() {
    let azure = Azure::start();
    let store = open("azure:shop/web", &azure.opening());
    let policy = store.provider.policy().unwrap();
    for part in [
        "az role assignment create",
        "Key Vault Secrets User",
        "Key Vault Secrets Officer",
        "az keyvault show --name shop",
        "--secret-permissions get list set delete recover",
    ] {
        assert!(policy.contains(part), "{part}");
    }
    assert!(azure.log().is_empty());
}
