//! What the tests of this provider share: a fake service, and stores at it.
#![allow(dead_code, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use secrets_api::{
    Change, Ctx, Lookup, Name, Op, Precondition, Provider, ProviderExt as _, Result, SecretValue,
    StoreUri, Version,
};
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::web::Seen;

/// What most stores of the tests are opened on.
pub(crate) const PARENT: &str = "projects/shop";

/// A store that logs in as nobody, at this fake.
pub(crate) fn open_at(fake: &Gcp, uri: &str) -> Arc<dyn Provider> {
    let opening = TestOpening::new()
        .with_addresses([fake.server().url()])
        .with_auth("anonymous", &[]);
    open_with(&opening, uri).unwrap()
}

pub(crate) fn open_with(opening: &TestOpening, uri: &str) -> Result<Arc<dyn Provider>> {
    let uri = StoreUri::parse(uri).unwrap();
    secrets_gcp::open(&opening.opening(&uri))
}

pub(crate) fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(20))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) async fn put(store: &dyn Provider, text: &str, value: &[u8]) -> Result<Option<Version>> {
    let value = SecretValue::from_slice(value);
    change(store, text, Op::Put(&value)).await
}

pub(crate) async fn change(
    store: &dyn Provider,
    text: &str,
    op: Op<'_>,
) -> Result<Option<Version>> {
    let change = Change {
        name: &name(text),
        op,
        when: Precondition::Unguarded,
    };
    store.write_one(&cx(), change).await
}

/// The value under a name, if there is one.
pub(crate) async fn value(store: &dyn Provider, text: &str) -> Result<Option<Vec<u8>>> {
    let lookup: Lookup = store.read_one(&cx(), &name(text)).await?;
    Ok(lookup
        .into_found()
        .map(|stored| stored.value.expose().to_vec()))
}

/// The requests of a log as `METHOD path`, without the query.
pub(crate) fn requests(log: &[Seen]) -> Vec<String> {
    let plain = |seen: &Seen| {
        let path = seen.target.split('?').next().unwrap_or_default();
        format!("{} {path}", seen.method)
    };
    log.iter().map(plain).collect()
}
