//! Every way to log in, each alone: nobody else is asked.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use secrets_api::ErrorKind;
use secrets_testkit::fakes::azure::{
    ASSERTION, Azure, CLIENT, CLIENT_SECRET, IDENTITY_HEADER, TENANT,
};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::web::{Fault, Harm, Reply};
use serde_json::json;
use support::{open, shown, store};

fn azure() -> Azure {
    let azure = Azure::start();
    azure.seed("A", b"a");
    azure
}

/// That a value is read so, by one login and no other.
fn reads(azure: &Azure, opening: &TestOpening) {
    assert_eq!(open("azure:shop", opening).get("A").unwrap().unwrap(), "a");
    assert_eq!(azure.login.log().len() + azure.metadata.log().len(), 1);
    azure.login.forget();
    azure.metadata.forget();
}

const IDS: [(&str, &str); 2] = [("AZURE_TENANT_ID", TENANT), ("AZURE_CLIENT_ID", CLIENT)];

fn with_ids(azure: &Azure, more: &[(&str, &str)]) -> TestOpening {
    azure.opening_with(&[&IDS[..], more].concat())
}

#[test]
fn a_client_secret_is_taken_from_the_environment_or_from_where_it_is_kept() {
    let azure = azure();
    reads(&azure, &azure.opening());
    let kept = with_ids(&azure, &[])
        .with_auth("client-secret", &[("client-secret", "keyring:shop/azure")])
        .with_credential("keyring:shop/azure", CLIENT_SECRET.as_bytes());
    reads(&azure, &kept);
    let named = azure
        .opening_with(&[])
        .with_auth(
            "client-secret",
            &[
                ("tenant-id", TENANT),
                ("client-id", CLIENT),
                ("client-secret", "env:X"),
            ],
        )
        .with_credential("env:X", CLIENT_SECRET.as_bytes());
    reads(&azure, &named);
}

#[test]
fn a_login_that_is_refused_says_why_without_the_secret() {
    for (ids, secret, says) in [
        ((TENANT, CLIENT), "canary-secret", "wrong (AADSTS7000215)"),
        ((TENANT, "nobody"), CLIENT_SECRET, "AADSTS700016"),
        (("nowhere", CLIENT), CLIENT_SECRET, "AADSTS90002"),
    ] {
        let azure = azure();
        let opening = azure.opening_with(&[
            ("AZURE_TENANT_ID", ids.0),
            ("AZURE_CLIENT_ID", ids.1),
            ("AZURE_CLIENT_SECRET", secret),
        ]);
        let store = open("azure:shop", &opening);
        for error in [
            store.look("A").unwrap_err(),
            store.put("A", "v").unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Unauthenticated);
            assert!(error.message().contains(says), "{error}");
            assert!(error.hint().is_some());
            assert!(!shown(&error).contains(secret));
        }
        assert!(azure.log().is_empty());
    }
    let azure = azure();
    azure.expire_client_secret();
    let error = store(&azure).look("A").unwrap_err();
    assert!(
        error.message().contains("expired (AADSTS7000222)"),
        "{error}"
    );
}

#[test]
fn a_workload_proves_itself_by_the_token_in_its_file() {
    let azure = azure();
    let path = azure.ca().with_file_name("service-account-token");
    std::fs::write(&path, ASSERTION).unwrap();
    let path = path.display().to_string();
    reads(
        &azure,
        &with_ids(&azure, &[("AZURE_FEDERATED_TOKEN_FILE", &path)]),
    );
    let named = azure.opening_with(&[]).with_auth(
        "workload-identity",
        &[
            ("tenant-id", TENANT),
            ("client-id", CLIENT),
            ("token-file", &path),
        ],
    );
    reads(&azure, &named);

    std::fs::write(&path, "canary.assertion").unwrap();
    let error = open("azure:shop", &named).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("AADSTS700211"), "{error}");
    assert!(!shown(&error).contains("canary"));

    std::fs::remove_file(&path).unwrap();
    let error = open("azure:shop", &named).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("service-account-token"), "{error}");
}

#[test]
fn a_machine_or_an_app_service_has_an_identity_of_its_own() {
    let azure = azure();
    let metadata = azure.metadata.url();
    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", &*metadata)];
    reads(
        &azure,
        &azure
            .opening_with(&machine)
            .with_auth("managed-identity", &[]),
    );
    let one = [("client-id", CLIENT)];
    reads(
        &azure,
        &azure
            .opening_with(&machine)
            .with_auth("managed-identity", &one),
    );
    let endpoint = format!("{metadata}/msi/token");
    let app = [
        ("IDENTITY_ENDPOINT", &*endpoint),
        ("IDENTITY_HEADER", IDENTITY_HEADER),
    ];
    reads(&azure, &azure.opening_with(&app));
    reads(
        &azure,
        &azure.opening_with(&app).with_auth("managed-identity", &one),
    );

    let other = [("client-id", "another")];
    let strange = azure
        .opening_with(&machine)
        .with_auth("managed-identity", &other);
    let error = open("azure:shop", &strange).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("not assigned"), "{error}");
    let wrong = [
        ("IDENTITY_ENDPOINT", &*endpoint),
        ("IDENTITY_HEADER", "canary"),
    ];
    let error = open("azure:shop", &azure.opening_with(&wrong))
        .look("A")
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(!shown(&error).contains("canary"));
}

#[test]
fn an_identitys_answer_is_read_up_to_its_bound_and_no_further() {
    let azure = azure();
    let token = json!({"access_token": azure.token(), "expires_on": "4102444800"});
    let mut reply = Reply::json(200, &token);
    reply.body.resize(33 * 1024 * 1024, b' ');
    azure.metadata.inject(Fault::always(Harm::Answer(reply)));
    let metadata = azure.metadata.url();
    let machine = [("AZURE_POD_IDENTITY_AUTHORITY_HOST", &*metadata)];
    let opening = azure
        .opening_with(&machine)
        .with_auth("managed-identity", &[]);
    let error = open("azure:shop", &opening).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.message().contains("managed identity"), "{error}");
    assert!(azure.log().is_empty());
}

/// With an `az` on the `PATH` that does this.
fn with_az(azure: &Azure, script: &str, more: &[(&str, &str)]) -> TestOpening {
    let mut opening = azure.opening_with(more);
    let az = opening.folder().join("az");
    std::fs::write(&az, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&az, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", opening.folder().display());
    opening.variables.push(("PATH".into(), path.into()));
    opening.variables.sort();
    opening
}

#[test]
fn the_azure_cli_is_asked_where_nothing_else_is_configured() {
    let azure = azure();
    let answer = format!(
        r#"[ "$MARK" = here ] || exit 9
[ "$*" = "account get-access-token -o json --scope https://vault.azure.net/.default" ] || exit 8
echo '{{"accessToken":"{}","expires_on":4102444800,"tokenType":"Bearer"}}'"#,
        azure.token()
    );
    let opening = with_az(&azure, &answer, &[("MARK", "here")]);
    assert_eq!(open("azure:shop", &opening).get("A").unwrap().unwrap(), "a");
    let named = with_az(
        &azure,
        &answer,
        &[("MARK", "here"), ("AZURE_CLIENT_SECRET", "x")],
    )
    .with_auth("cli", &[]);
    assert_eq!(open("azure:shop", &named).get("A").unwrap().unwrap(), "a");
    assert!(azure.login.log().is_empty() && azure.metadata.log().is_empty());
}

#[test]
fn an_azure_cli_that_gives_no_token_says_what_to_type() {
    let azure = azure();
    let logged_out = "echo \"ERROR: Please run 'az login' canary\" >&2; exit 1";
    for (script, message, hint) in [
        (logged_out, "logged in", "az login"),
        (
            "echo canary >&2; exit 1",
            "no token",
            "az account get-access-token",
        ),
        ("echo canary", "no token", "az login"),
    ] {
        let opening = with_az(&azure, script, &[]).with_auth("cli", &[]);
        let error = open("azure:shop", &opening).look("A").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unauthenticated);
        assert!(error.message().contains(message), "{error}");
        assert!(error.hint().unwrap().contains(hint));
        assert!(!shown(&error).contains("canary"));
    }
    let none = azure
        .opening_with(&[("PATH", "/nonexistent")])
        .with_auth("cli", &[]);
    let error = open("azure:shop", &none).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.message().contains("not installed"), "{error}");
}

#[test]
fn an_azure_cli_that_hangs_is_ended_in_time() {
    let azure = azure();
    let opening = with_az(&azure, "exec sleep 60", &[]).with_auth("cli", &[]);
    let store = open("azure:shop", &opening).within(Duration::from_millis(700));
    let started = Instant::now();
    let error = store.look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn nobody_is_asked_for_an_identity_while_one_is_configured() {
    let azure = azure();
    let metadata = azure.metadata.url();
    let endpoint = format!("{metadata}/msi/token");
    let opening = with_ids(
        &azure,
        &[
            ("AZURE_CLIENT_SECRET", "wrong"),
            ("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata),
            ("IDENTITY_ENDPOINT", &endpoint),
            ("IDENTITY_HEADER", IDENTITY_HEADER),
        ],
    );
    let error = open("azure:shop", &opening).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(azure.metadata.log().is_empty());
    // With nothing at all the machine is asked: somebody may be there, or nobody.
    let somebody = azure.opening_with(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", &metadata)]);
    azure.login.forget();
    reads(&azure, &somebody);
    let nobody = azure.opening_with(&[("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1")]);
    let error = open("azure:shop", &nobody).look("A").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated);
    assert!(error.hint().unwrap().contains("az login"));
}

#[test]
fn a_token_is_kept_between_runs_only_where_that_is_asked_for() {
    let azure = azure();
    let not_asked = azure.opening();
    reads(&azure, &not_asked);
    reads(&azure, &not_asked);
    assert!(not_asked.cache.is_empty());

    let asked = azure
        .opening()
        .with_auth("environment", &[("cache", "keyring")]);
    reads(&azure, &asked);
    assert_eq!(asked.cache.len(), 1);
    assert_eq!(open("azure:shop", &asked).get("A").unwrap().unwrap(), "a");
    assert!(azure.login.log().is_empty());
    // One that is refused is replaced, and the new one kept.
    azure.revoke_tokens();
    reads(&azure, &asked);
    assert_eq!(open("azure:shop", &asked).get("A").unwrap().unwrap(), "a");
    assert!(azure.login.log().is_empty());
}

#[test]
fn a_token_of_the_azure_cli_is_kept_for_the_one_who_is_logged_in_to_it() {
    let azure = azure();
    let answer = format!(
        r#"echo asked >> "$0.log"
echo '{{"accessToken":"{}","expires_on":4102444800,"tokenType":"Bearer"}}'"#,
        azure.token()
    );
    // In the user's folder, and where AZURE_CONFIG_DIR names another.
    let elsewhere = tempfile::tempdir().unwrap();
    let named = [("AZURE_CONFIG_DIR", elsewhere.path().to_str().unwrap())];
    for more in [&[][..], &named] {
        let opening = with_az(&azure, &answer, more).with_auth("cli", &[("cache", "keyring")]);
        let folder = match more {
            [] => opening.dirs.home.join(".azure"),
            _ => elsewhere.path().to_owned(),
        };
        std::fs::create_dir_all(&folder).unwrap();
        let profile = folder.join("azureProfile.json");
        let asked = || {
            assert_eq!(open("azure:shop", &opening).get("A").unwrap().unwrap(), "a");
            let log = std::fs::read_to_string(opening.folder().join("az.log"));
            log.unwrap().lines().count()
        };
        std::fs::write(&profile, r#"{"user":"ann"}"#).unwrap();
        assert_eq!((asked(), asked()), (1, 1));
        std::fs::write(&profile, r#"{"user":"bob"}"#).unwrap();
        assert_eq!((asked(), asked()), (2, 2));
        std::fs::write(&profile, r#"{"user":"ann"}"#).unwrap();
        assert_eq!(asked(), 2);
        // Where it cannot be told who that is, none is kept and none is used.
        std::fs::remove_file(&profile).unwrap();
        assert_eq!((asked(), asked()), (3, 4));
        assert_eq!(opening.cache.len(), 2);
    }
}

#[test]
fn a_token_is_not_kept_where_somebody_else_has_logged_in_meanwhile() {
    let azure = azure();
    let answer = format!(
        r#"echo '{{"user":"bob"}}' > "$AZURE_CONFIG_DIR/azureProfile.json"
echo '{{"accessToken":"{}","expires_on":4102444800,"tokenType":"Bearer"}}'"#,
        azure.token()
    );
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("azureProfile.json"), "ann").unwrap();
    let named = [("AZURE_CONFIG_DIR", folder.path().to_str().unwrap())];
    let opening = with_az(&azure, &answer, &named).with_auth("cli", &[("cache", "keyring")]);
    assert_eq!(open("azure:shop", &opening).get("A").unwrap().unwrap(), "a");
    assert!(opening.cache.is_empty());
}
