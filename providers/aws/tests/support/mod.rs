//! Real moto, one a test, and stores opened on it: nothing of the surrounding environment reaches
//! them. Answers in the service's own form, where a test gives them itself.
#![allow(dead_code)] // Each test file uses its own part of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrets_api::{
    Change, Ctx, Lookup, Name, Op, Precondition, Provider, Result, SecretValue, Select, StoreUri,
    Version, Written,
};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
pub(crate) use secrets_testkit::servers::Moto;
use secrets_testkit::web::{App, Reply, Request};
use serde_json::{Value, json};

/// The region of every test.
pub(crate) const REGION: &str = "eu-west-1";

/// Which call a request is: `GetSecretValue`.
pub(crate) fn call(request: &Request) -> &str {
    let target = request.header("x-amz-target").unwrap_or_default();
    target.strip_prefix("secretsmanager.").unwrap_or(target)
}

/// An error in the service's own form (AWS JSON 1.1).
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Reply {
    Reply::json(status, &json!({ "__type": code, "Message": message }))
}

pub(crate) fn ok(body: &Value) -> Reply {
    Reply::json(200, body)
}

/// Answers every request so.
pub(crate) fn always(reply: Reply) -> impl App {
    move |_: &Request| reply.clone()
}

pub(crate) fn entry(name: &str, text: &str) -> Value {
    json!({
        "ARN": format!("arn:aws:secretsmanager:eu-west-1:123456789012:secret:{name}-AbCdEf"),
        "Name": name, "VersionId": "0b9f5c6e-0000-4000-8000-000000000001", "SecretString": text,
        "VersionStages": ["AWSCURRENT"], "CreatedDate": 1_700_000_000.25,
    })
}

pub(crate) fn text(lookup: &Result<Lookup>) -> Option<&str> {
    lookup.as_ref().ok()?.found()?.value.expose_text()
}

/// A name no other place of this process has.
pub(crate) fn fresh(stem: &str) -> String {
    static PLACES: AtomicUsize = AtomicUsize::new(0);
    format!("{stem}-{}", PLACES.fetch_add(1, Ordering::Relaxed))
}

/// What a store on `url` is opened with: keys, and nothing else.
pub(crate) fn opening(url: &str) -> TestOpening {
    Moto::opening_at(url)
}

/// One store, called as plain functions.
pub(crate) struct Store {
    pub(crate) provider: Arc<dyn Provider>,
}

/// Opens `uri` on `url`.
pub(crate) fn store(url: &str, uri: &str) -> Store {
    store_with(&opening(url), uri)
}

pub(crate) fn store_with(opening: &TestOpening, uri: &str) -> Store {
    let uri = StoreUri::parse(uri).unwrap();
    Store {
        provider: secrets_aws::open(&opening.opening(&uri)).unwrap(),
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn value(text: &str) -> SecretValue {
    SecretValue::from_slice(text.as_bytes())
}

pub(crate) fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(20))
}

impl Store {
    pub(crate) fn write(&self, cx: &Ctx, changes: &[Change<'_>]) -> Result<Written> {
        block_on(self.provider.write(cx, None, changes))
    }

    pub(crate) fn change(
        &self,
        cx: &Ctx,
        text: &str,
        op: Op<'_>,
        when: Precondition,
    ) -> Result<Option<Version>> {
        let name = name(text);
        let change = Change {
            name: &name,
            op,
            when,
        };
        self.write(cx, &[change])?.items.pop().unwrap()
    }

    pub(crate) fn put(&self, text: &str, new: &str, when: Precondition) -> Result<Option<Version>> {
        self.change(&cx(), text, Op::Put(&value(new)), when)
    }

    pub(crate) fn look(&self, text: &str) -> Result<Lookup> {
        let names = [name(text)];
        let mut snapshot = block_on(self.provider.read(&cx(), Select::Names(&names)))?;
        snapshot.items.pop().unwrap().1
    }

    pub(crate) fn text(&self, text: &str) -> Option<String> {
        let stored = self.look(text).unwrap().into_found()?;
        Some(String::from_utf8(stored.value.expose().to_vec()).unwrap())
    }
}
