//! Connections that end at the worst moment: before the server has seen a request, or after it has carried
//! it out. Each request of a write is lost in turn, in both ways, at every kind of store, and what is
//! said of the write is held against what the store then holds, and how often the value was sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::{
    Change, ErrorKind, Guard, Op, Precondition, Provider, ProviderExt as _, SecretValue,
};
use secrets_testkit::block_on;
use secrets_testkit::fakes::azure::Azure;
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::{Moto, OpenBao, Relay};
use secrets_testkit::web::{Fault, Harm, Request, Server};

use crate::support::{cx, layered, name, value};

const TIMEOUT: Duration = Duration::from_secs(10);

/// A kind of store and the server before it that loses answers.
struct Subject<'a> {
    uri: String,
    opening: &'a TestOpening,
    server: &'a Server,
}

/// Whether the request carries this value, as it is or in base64.
fn carries(request: &Request, value: &[u8]) -> bool {
    let found = |form: &[u8]| request.body.windows(form.len()).any(|part| part == form);
    found(value) || found(STANDARD.encode(value).as_bytes())
}

/// Loses the `nth` request from now on; says how many there were in the end, and how many carried the value.
fn lose(
    server: &Server,
    nth: usize,
    harm: &Harm,
    new: &'static str,
) -> (Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (requests, sent): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
    let (seen, carried) = (Arc::clone(&requests), Arc::clone(&sent));
    server.heal();
    server.inject(Fault::always(harm.clone()).only(move |request| {
        if carries(request, new.as_bytes()) {
            carried.fetch_add(1, Ordering::SeqCst);
        }
        seen.fetch_add(1, Ordering::SeqCst) == nth
    }));
    (requests, sent)
}

const NEW: &str = "new-value-7f3a";

fn put<'a>(at: &'a secrets_api::Name, new: &'a SecretValue, when: Precondition) -> Change<'a> {
    Change {
        name: at,
        op: Op::Put(new),
        when,
    }
}

/// How many states of the history hold the new value.
async fn states(store: &dyn Provider) -> usize {
    let key = name("KEY");
    let mut found = 0;
    for meta in store.history(&cx(), &key).await.unwrap() {
        let Some(version) = meta.version.filter(|_| !meta.deleted) else {
            continue;
        };
        let lookup = store.read_version(&cx(), &key, &version).await.unwrap();
        let stored = lookup.into_found();
        found += usize::from(stored.is_some_and(|s| s.value.expose() == NEW.as_bytes()));
    }
    found
}

/// One write of which one request is lost. Whether there was such a request.
async fn one_loss(
    subject: &Subject<'_>,
    place: usize,
    nth: usize,
    harm: &Harm,
    guarded: bool,
) -> bool {
    let uri = subject.uri.replace("PLACE", &format!("place{place}"));
    let store = layered(subject.opening, &uri, TIMEOUT);
    let key = name("KEY");
    let what = format!("{uri}, request {nth}, {harm:?}, guarded: {guarded}");
    // What is there before, and a login that is made.
    store
        .write_one(&cx(), put(&key, &value("old"), Precondition::Unguarded))
        .await
        .unwrap();
    let seen = store
        .read_one(&cx(), &key)
        .await
        .unwrap()
        .into_found()
        .unwrap()
        .meta
        .version;
    let when = match seen {
        Some(version) if guarded => Precondition::Version(version),
        _ => Precondition::Unguarded,
    };
    let (requests, sent) = lose(subject.server, nth, harm, NEW);
    let answer = store.write_one(&cx(), put(&key, &value(NEW), when)).await;
    let struck = requests.load(Ordering::SeqCst) > nth;
    let sent = sent.load(Ordering::SeqCst);
    subject.server.heal();

    let now = store
        .read_one(&cx(), &key)
        .await
        .unwrap()
        .into_found()
        .unwrap();
    let is_new = now.value.expose() == NEW.as_bytes();
    assert!(
        is_new || now.value.expose() == b"old",
        "{what}: neither old nor new is there"
    );
    match &answer {
        Ok(version) => {
            assert!(is_new, "{what}: said to be written, and is not there");
            assert!(
                version.is_none() || *version == now.meta.version,
                "{what}: another version is told"
            );
        }
        Err(error) if error.kind() == ErrorKind::OutcomeUnknown => {}
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}: {error}");
            assert!(
                !is_new,
                "{what}: said not to be written, and is there: {error}"
            );
        }
    }
    if guarded {
        assert!(
            answer.is_ok(),
            "{what}: a guarded write is sent again: {:?}",
            answer.err()
        );
    } else if !store.capabilities().idempotent {
        assert!(
            sent <= 1,
            "{what}: an unguarded write was sent {sent} times"
        );
    }
    if store.capabilities().history {
        assert_eq!(
            states(&*store).await,
            usize::from(is_new),
            "{what}: applied more than once"
        );
    }
    struck
}

/// Every request of a write, lost in both ways.
fn every_loss(subject: &Subject<'_>) {
    let guard = layered(
        subject.opening,
        &subject.uri.replace("PLACE", "place"),
        TIMEOUT,
    )
    .capabilities()
    .guard;
    let mut place = 0;
    for guarded in [false, true] {
        if guarded && guard < Guard::Cooperative {
            continue;
        }
        for harm in [Harm::DropBefore, Harm::DropAfter] {
            let mut losses = 0;
            loop {
                place += 1;
                if !block_on(one_loss(subject, place, losses, &harm, guarded)) {
                    break;
                }
                losses += 1;
            }
            assert!(losses > 0, "{}: no request was lost", subject.uri);
        }
    }
}

fn at_openbao(layout: &str) {
    let bao = OpenBao::start();
    let server = Server::plain(Relay::to(bao.address()));
    let opening = TestOpening::new()
        .with_addresses([server.url()])
        .with_variables([("BAO_TOKEN", "root-token-of-the-tests")]);
    every_loss(&Subject {
        uri: format!("vault:secret/shop/PLACE{layout}"),
        opening: &opening,
        server: &server,
    });
}

#[test]
fn no_loss_is_misreported_for_a_document_at_openbao() {
    at_openbao("");
}

#[test]
fn no_loss_is_misreported_for_single_secrets_at_openbao() {
    at_openbao("?layout=each");
}

fn at_aws(layout: &str) {
    let moto = Moto::start();
    let server = Server::plain(Relay::to(&moto.url()));
    let opening = Moto::opening_at(&server.url());
    every_loss(&Subject {
        uri: format!("aws:shop/PLACE{layout}"),
        opening: &opening,
        server: &server,
    });
}

#[test]
fn no_loss_is_misreported_for_a_document_at_aws() {
    at_aws("");
}

#[test]
fn no_loss_is_misreported_for_single_secrets_at_aws() {
    at_aws("?layout=each");
}

#[test]
fn no_loss_is_misreported_at_the_fake_of_azure() {
    let fake = Azure::start();
    every_loss(&Subject {
        uri: "azure:shop/PLACE".to_owned(),
        opening: &fake.opening(),
        server: &fake.vault,
    });
}

#[test]
fn no_loss_is_misreported_at_the_fake_of_google() {
    let fake = Gcp::plain();
    let opening = TestOpening::new()
        .with_addresses([fake.server().url()])
        .with_auth("anonymous", &[]);
    every_loss(&Subject {
        uri: "gcp:shop/PLACE".to_owned(),
        opening: &opening,
        server: fake.server(),
    });
}
