//! A provider wrapped so that it behaves otherwise: what every wrapper for tests is made with.
//!
//! [`Bend`] passes every call on; a wrapper says only what it does otherwise. It is the one place
//! where calls are handed through, so that no wrapper forgets one.

use std::fmt;
use std::sync::Arc;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Leasing, Lookup, Meta, Name, Poll, Provider, Report, Result,
    Revision, SecretValue, Select, Snapshot, Staging, Version, Written, async_trait,
};

/// What is done otherwise. Each method is given the wrapped provider and, unless it is written
/// anew, passes the call on.
#[async_trait]
pub trait Bend: Send + Sync + 'static {
    /// The name shown by `Debug`.
    fn label(&self) -> &'static str;

    /// See [`Provider::capabilities`].
    fn capabilities(&self, inner: &dyn Provider) -> Capabilities {
        inner.capabilities()
    }

    /// See [`Provider::admit`].
    fn admit(&self, inner: &dyn Provider, name: &Name, value: &SecretValue) -> Result<()> {
        inner.admit(name, value)
    }

    /// See [`Provider::inspect`].
    async fn inspect(&self, inner: &dyn Provider, cx: &Ctx) -> Result<Report> {
        inner.inspect(cx).await
    }

    /// See [`Provider::list`].
    async fn list(&self, inner: &dyn Provider, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        inner.list(cx).await
    }

    /// See [`Provider::read`].
    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        inner.read(cx, what).await
    }

    /// See [`Provider::write`].
    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        inner.write(cx, base, changes).await
    }

    /// See [`Provider::history`].
    async fn history(&self, inner: &dyn Provider, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        inner.history(cx, name).await
    }

    /// See [`Provider::read_version`].
    async fn read_version(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        name: &Name,
        version: &Version,
    ) -> Result<Lookup> {
        inner.read_version(cx, name, version).await
    }

    /// See [`Provider::prune`].
    async fn prune(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        name: &Name,
        keep: usize,
    ) -> Result<usize> {
        inner.prune(cx, name, keep).await
    }

    /// See [`Provider::poll`].
    async fn poll(&self, inner: &dyn Provider, cx: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        inner.poll(cx, since).await
    }

    /// See [`Provider::leasing`].
    fn leasing<'a>(&'a self, inner: &'a dyn Provider) -> Option<&'a dyn Leasing> {
        inner.leasing()
    }
}

/// A provider and what it does otherwise.
pub struct Bent<B> {
    inner: Arc<dyn Provider>,
    bend: B,
}

impl<B: Bend> Bent<B> {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn Provider>, bend: B) -> Arc<Self> {
        Arc::new(Self { inner, bend })
    }

    /// What is done otherwise: to ask it what it counted.
    pub fn bend(&self) -> &B {
        &self.bend
    }
}

impl<B: Bend> fmt::Debug for Bent<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({:?})", self.bend.label(), self.inner)
    }
}

#[async_trait]
impl<B: Bend> Provider for Bent<B> {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.bend.capabilities(&*self.inner)
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.bend.admit(&*self.inner, name, value)
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        self.bend.inspect(&*self.inner, cx).await
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        self.bend.list(&*self.inner, cx).await
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        self.bend.read(&*self.inner, cx, what).await
    }

    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.bend.write(&*self.inner, cx, base, changes).await
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        self.bend.history(&*self.inner, cx, name).await
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        self.bend
            .read_version(&*self.inner, cx, name, version)
            .await
    }

    async fn prune(&self, cx: &Ctx, name: &Name, keep: usize) -> Result<usize> {
        self.bend.prune(&*self.inner, cx, name, keep).await
    }

    async fn poll(&self, cx: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        self.bend.poll(&*self.inner, cx, since).await
    }

    fn policy(&self) -> Option<String> {
        self.inner.policy()
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        self.bend.leasing(&*self.inner)
    }

    fn staging(&self) -> Option<&dyn Staging> {
        self.inner.staging()
    }
}
