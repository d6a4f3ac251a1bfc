//! What the tests share: a fake vault, a store on it, and one runtime for all calls of a test.
#![allow(clippy::unwrap_used, dead_code)]

use std::sync::Arc;
use std::time::Duration;

use secrets_api::{
    Change, Ctx, Error, Lookup, Name, Op, Precondition, Provider, ProviderExt as _, Result,
    SecretValue, Select, StoreUri, Version,
};
use secrets_testkit::fakes::azure::Azure;
use secrets_testkit::opening::TestOpening;
use tokio::runtime::Runtime;

/// A store and the runtime its connections live in.
pub(crate) struct Store {
    pub(crate) provider: Arc<dyn Provider>,
    runtime: Runtime,
    timeout: Duration,
}

/// A store on the fake's vault, logged in by a client secret.
pub(crate) fn store(azure: &Azure) -> Store {
    open("azure:shop", &azure.opening())
}

pub(crate) fn open(uri: &str, opening: &TestOpening) -> Store {
    try_open(uri, opening).unwrap()
}

pub(crate) fn try_open(uri: &str, opening: &TestOpening) -> Result<Store> {
    let uri = StoreUri::parse(uri).unwrap();
    Ok(Store {
        provider: secrets_azure::open(&opening.opening(&uri))?,
        runtime: tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap(),
        timeout: Duration::from_secs(60),
    })
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

impl Store {
    /// The same with calls that may take so long.
    pub(crate) fn within(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    pub(crate) fn cx(&self) -> Ctx {
        Ctx::within(self.timeout)
    }

    pub(crate) fn run<T>(&self, call: impl Future<Output = T>) -> T {
        self.runtime.block_on(call)
    }

    pub(crate) fn change(&self, secret: &str, op: Op<'_>) -> Result<Option<Version>> {
        let change = Change {
            name: &name(secret),
            op,
            when: Precondition::Unguarded,
        };
        self.run(self.provider.write_one(&self.cx(), change))
    }

    pub(crate) fn put(&self, secret: &str, value: &str) -> Result<Option<Version>> {
        self.change(secret, Op::Put(&SecretValue::from_slice(value.as_bytes())))
    }

    pub(crate) fn delete(&self, secret: &str) -> Result<Option<Version>> {
        self.change(secret, Op::Delete)
    }

    pub(crate) fn restore(&self, secret: &str) -> Result<Option<Version>> {
        self.change(secret, Op::Restore)
    }

    pub(crate) fn look(&self, secret: &str) -> Result<Lookup> {
        self.run(self.provider.read_one(&self.cx(), &name(secret)))
    }

    /// The value, as text.
    pub(crate) fn get(&self, secret: &str) -> Result<Option<String>> {
        let found = self.look(secret)?.into_found();
        Ok(found.map(|stored| stored.value.expose_text().unwrap().to_owned()))
    }

    pub(crate) fn all(&self) -> Result<secrets_api::Snapshot> {
        self.run(self.provider.read(&self.cx(), Select::All))
    }
}

/// An error in all its forms, to be searched.
pub(crate) fn shown(error: &Error) -> String {
    format!("{error} {error:?} {:?}", error.hint())
}
