//! Servers that are not there, or never answer: told in the store's own time, by every provider that
//! speaks over a network.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use secrets_api::{Change, ErrorKind, Op, Precondition, Provider, ProviderExt as _, Select};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

use crate::support::{cx, layered, name, value};

/// A store of each kind at this port of this machine, over the scheme it speaks there.
fn stores(port: u16) -> Vec<(&'static str, TestOpening)> {
    let plain = format!("http://127.0.0.1:{port}");
    let tls = format!("https://localhost:{port}");
    let keys = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "example"),
    ];
    let entra = [
        ("AZURE_TENANT_ID", "11111111-2222-3333-4444-555555555555"),
        ("AZURE_CLIENT_ID", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"),
        ("AZURE_CLIENT_SECRET", "example"),
        ("AZURE_AUTHORITY_HOST", tls.as_str()),
    ];
    vec![
        (
            "vault:secret/shop",
            TestOpening::new()
                .with_addresses([&plain])
                .with_variables([("VAULT_TOKEN", "example")]),
        ),
        (
            "vault:secret/shop?layout=each",
            TestOpening::new()
                .with_addresses([&tls])
                .with_variables([("VAULT_TOKEN", "example")]),
        ),
        (
            "aws:shop",
            TestOpening::new()
                .with_addresses([&plain])
                .with_variables(keys),
        ),
        (
            "aws:shop?layout=each",
            TestOpening::new()
                .with_addresses([&plain])
                .with_variables(keys),
        ),
        (
            "azure:shop",
            TestOpening::new()
                .with_addresses([&tls])
                .with_variables(entra),
        ),
        (
            "gcp:shop",
            TestOpening::new()
                .with_addresses([&plain])
                .with_auth("anonymous", &[]),
        ),
    ]
}

/// Every kind of store on a network has a line above.
#[test]
fn no_provider_on_a_network_is_left_out() {
    let here: Vec<_> = stores(1)
        .into_iter()
        .map(|(uri, _)| uri.split(':').next().unwrap())
        .collect();
    for entry in secrets::registry::PROVIDERS {
        let on_a_network = !["dotenv", "local", "keyring", "env", "memory"].contains(&entry.scheme);
        // Its calls are those of `vault`.
        let covered = here.contains(&entry.scheme) || entry.scheme == "vault-dynamic";
        assert_eq!(on_a_network, covered, "{}", entry.scheme);
    }
}

fn read_and_write(store: &dyn Provider) -> [secrets_api::Error; 2] {
    let new = value("new");
    let change = Change {
        name: &name("KEY"),
        op: Op::Put(&new),
        when: Precondition::Unguarded,
    };
    block_on(async {
        [
            store.read(&cx(), Select::All).await.unwrap_err(),
            store.write_one(&cx(), change).await.unwrap_err(),
        ]
    })
}

#[test]
fn a_server_that_never_answers_is_left_in_the_stores_own_time() {
    // Connections are made, by the kernel, and nobody speaks.
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let timeout = Duration::from_millis(1500);
    std::thread::scope(|scope| {
        for (uri, opening) in stores(silent.local_addr().unwrap().port()) {
            scope.spawn(move || {
                let store = layered(&opening, uri, timeout);
                let start = Instant::now();
                let errors = read_and_write(&*store);
                let took = start.elapsed();
                for error in errors {
                    assert!(
                        matches!(
                            error.kind(),
                            ErrorKind::Unavailable | ErrorKind::OutcomeUnknown
                        ),
                        "{uri}: {:?}: {error}",
                        error.kind()
                    );
                }
                // Two calls, and the reading back of a write that may have been carried out.
                let most = timeout * 2 + Duration::from_secs(2) + Duration::from_secs(1);
                assert!(took < most, "{uri}: {took:?}");
            });
        }
    });
}

#[test]
fn a_port_where_nobody_listens_is_told_soon_and_nothing_is_said_to_be_sent() {
    let port = secrets_testkit::servers::free_port();
    std::thread::scope(|scope| {
        for (uri, opening) in stores(port) {
            scope.spawn(move || {
                let store = layered(&opening, uri, Duration::from_secs(10));
                let start = Instant::now();
                for error in read_and_write(&*store) {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{uri}: {error}");
                    assert!(error.hint().is_some(), "{uri}: {error}");
                }
                assert!(
                    start.elapsed() < Duration::from_secs(8),
                    "{uri}: {:?}",
                    start.elapsed()
                );
            });
        }
    });
}
