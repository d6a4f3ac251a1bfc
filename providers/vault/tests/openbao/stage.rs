//! What the tests stand on: a real server behind a relay, and providers opened at it.

use std::sync::Arc;
use std::time::Duration;

use secrets_api::{
    Change, Ctx, Error, Lookup, Name, Op, Precondition, Provider, ProviderExt as _, Result,
    SecretValue, StoreUri, Version,
};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::{Admin, OpenBao, Relay};
use secrets_testkit::web::Server;
use serde_json::{Value, json};

/// The token of whoever may do all.
pub(crate) const ROOT: &str = "root-token-of-the-tests";

/// Where most tests keep their secrets.
pub(crate) const SHOP: &str = "vault:secret/shop";

/// A server, and the relay before it.
pub(crate) struct Stage {
    pub(crate) bao: OpenBao,
    pub(crate) relay: Server,
}

impl Stage {
    pub(crate) fn start() -> Self {
        let bao = OpenBao::start();
        let relay = Server::plain(Relay::to(bao.address()));
        Self { bao, relay }
    }

    pub(crate) fn admin(&self) -> Admin {
        self.bao.admin()
    }

    /// Through the relay, logged in as nobody.
    pub(crate) fn as_nobody(&self) -> TestOpening {
        TestOpening::new().with_variables([("BAO_ADDR", self.relay.url())])
    }

    /// Through the relay, with this token.
    pub(crate) fn under(&self, token: &str) -> TestOpening {
        TestOpening::new().with_variables([
            ("BAO_ADDR", self.relay.url()),
            ("BAO_TOKEN", token.to_owned()),
        ])
    }

    /// Through the relay, as who may do all.
    pub(crate) fn as_root(&self) -> TestOpening {
        self.under(ROOT)
    }

    /// A key-value engine of this version.
    pub(crate) fn mount(&self, path: &str, version: u8) {
        let engine = json!({ "type": "kv", "options": { "version": version.to_string() } });
        self.admin()
            .ok("POST", &format!("sys/mounts/{path}"), &engine);
        // A new one of version 2 is prepared for a moment.
        secrets_testkit::servers::until("the engine is ready", || {
            version == 1 || self.admin().call("GET", &format!("{path}/config"), None).0 == 200
        });
    }

    /// A document written by another tool.
    pub(crate) fn write(&self, path: &str, fields: &Value) -> Value {
        let body = json!({ "data": fields });
        self.admin()
            .ok("POST", &format!("secret/data/{path}"), &body)
    }

    /// The document as another tool reads it.
    pub(crate) fn document(&self, path: &str) -> Value {
        let answer = self
            .admin()
            .ok("GET", &format!("secret/data/{path}"), &Value::Null);
        answer["data"]["data"].clone()
    }

    /// What went over the relay: `GET /v1/secret/data/shop`, …
    pub(crate) fn went(&self) -> Vec<String> {
        let seen = self.relay.log().into_iter();
        seen.map(|seen| format!("{} {}", seen.method, seen.target))
            .collect()
    }

    /// How many requests of this method and start went over the relay.
    pub(crate) fn count(&self, start: &str) -> usize {
        self.went()
            .iter()
            .filter(|line| line.starts_with(start))
            .count()
    }
}

pub(crate) fn uri(text: &str) -> StoreUri {
    StoreUri::parse(text).unwrap()
}

pub(crate) fn try_open(opening: &TestOpening, text: &str) -> Result<Arc<dyn Provider>> {
    let uri = uri(text);
    match uri.scheme() {
        secrets_vault::SCHEME => secrets_vault::open(&opening.opening(&uri)),
        _ => secrets_vault::open_dynamic(&opening.opening(&uri)),
    }
}

pub(crate) fn open(opening: &TestOpening, text: &str) -> Arc<dyn Provider> {
    try_open(opening, text).unwrap()
}

pub(crate) fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(20))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn value(text: &str) -> SecretValue {
    SecretValue::from_slice(text.as_bytes())
}

pub(crate) fn text(lookup: Lookup) -> Option<String> {
    let stored = lookup.into_found()?;
    stored.value.expose_text().map(str::to_owned)
}

/// The value of a name, as text.
pub(crate) async fn get(store: &dyn Provider, of: &str) -> Result<Option<String>> {
    store.read_one(&cx(), &name(of)).await.map(text)
}

/// The version that a name has now.
pub(crate) async fn version(store: &dyn Provider, of: &str) -> Option<Version> {
    let lookup = store.read_one(&cx(), &name(of)).await.unwrap();
    match lookup {
        Lookup::Found(stored) => stored.meta.version,
        Lookup::Deleted { version, .. } => version,
        Lookup::Absent => None,
    }
}

/// One change.
pub(crate) async fn change(
    store: &dyn Provider,
    of: &str,
    op: Op<'_>,
    when: Precondition,
) -> Result<Option<Version>> {
    let name = name(of);
    let change = Change {
        name: &name,
        op,
        when,
    };
    store.write_one(&cx(), change).await
}

/// Stores a text, whatever is there.
pub(crate) async fn put(store: &dyn Provider, of: &str, text: &str) -> Result<Option<Version>> {
    change(store, of, Op::Put(&value(text)), Precondition::Unguarded).await
}

/// All that an error can show to anybody.
pub(crate) fn shown(error: &Error) -> String {
    format!("{error:?} {error} {}", error.hint().unwrap_or_default())
}
