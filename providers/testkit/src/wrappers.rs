//! Stores that fail or are slow, for the tests of the layers: what a network does, on demand.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrets_api::{
    Change, Ctx, Cursor, Error, ErrorKind, Lookup, Meta, Name, Poll, Provider, Report, Result,
    Revision, Select, Snapshot, Version, Written, async_trait,
};

use crate::bend::Bend;

/// When a failing call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    Before,
    After,
}

/// Which calls it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    All,
    Reads,
    Writes,
}

impl Calls {
    /// Whether writes, or else all other calls, are among them.
    fn include(self, writing: bool) -> bool {
        match self {
            Self::All => true,
            Self::Reads => !writing,
            Self::Writes => writing,
        }
    }
}

/// Fails the first calls, and counts all. By default every call counts, and fails before it has
/// any effect.
#[derive(Debug)]
pub struct Flaky {
    kind: ErrorKind,
    failures: usize,
    moment: Moment,
    calls: Calls,
    retry_after: Option<Duration>,
    attempts: AtomicUsize,
}

impl Flaky {
    /// Fails the first `failures` calls with `kind`.
    pub fn new(failures: usize, kind: ErrorKind) -> Self {
        Self {
            kind,
            failures,
            moment: Moment::Before,
            calls: Calls::All,
            retry_after: None,
            attempts: AtomicUsize::new(0),
        }
    }

    /// Lets the call have its effect and loses its answer.
    #[must_use]
    pub fn after_the_effect(mut self) -> Self {
        self.moment = Moment::After;
        self
    }

    /// Only writes fail and count.
    #[must_use]
    pub fn writes_only(mut self) -> Self {
        self.calls = Calls::Writes;
        self
    }

    /// Only calls other than writes fail and count.
    #[must_use]
    pub fn reads_only(mut self) -> Self {
        self.calls = Calls::Reads;
        self
    }

    /// Asks to be left alone for so long with each failure.
    #[must_use]
    pub fn asking_for(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// How many calls were made, failed ones included.
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::SeqCst)
    }

    async fn pass<T>(
        &self,
        inner: &dyn Provider,
        writing: bool,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let fails = self.calls.include(writing)
            && self.attempts.fetch_add(1, Ordering::SeqCst) < self.failures;
        if !fails {
            return call.await;
        }
        if self.moment == Moment::After {
            call.await?;
        }
        let error =
            Error::new(self.kind, "the store failed as the test asked").at_store(inner.location());
        Err(match self.retry_after {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        })
    }
}

/// Delays every call by the runtime's clock, which a test may pause.
#[derive(Debug)]
pub struct Slow {
    delay: Duration,
    calls: Calls,
    under_way: AtomicUsize,
    most: AtomicUsize,
}

impl Slow {
    /// Every call takes `delay` longer, before it has any effect.
    pub fn new(delay: Duration) -> Self {
        Self {
            delay,
            calls: Calls::All,
            under_way: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    /// Only writes are delayed.
    #[must_use]
    pub fn writes_only(mut self) -> Self {
        self.calls = Calls::Writes;
        self
    }

    /// Only calls other than writes are delayed.
    #[must_use]
    pub fn reads_only(mut self) -> Self {
        self.calls = Calls::Reads;
        self
    }

    /// The most calls that were under way at once.
    pub fn most_at_once(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }

    async fn pass<T>(
        &self,
        _inner: &dyn Provider,
        writing: bool,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let _counted = Counted::new(self);
        if self.calls.include(writing) {
            tokio::time::sleep(self.delay).await;
        }
        call.await
    }
}

/// One call under way; also one that is given up is counted out.
struct Counted<'a>(&'a Slow);

impl<'a> Counted<'a> {
    fn new(slow: &'a Slow) -> Self {
        let now = slow.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        slow.most.fetch_max(now, Ordering::SeqCst);
        Self(slow)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sends every call through the wrapper's own `pass`.
macro_rules! pass_every_call {
    ($($wrapper:ident),*) => {$(
        #[async_trait]
        impl Bend for $wrapper {
            fn label(&self) -> &'static str {
                stringify!($wrapper)
            }

            async fn inspect(&self, inner: &dyn Provider, cx: &Ctx) -> Result<Report> {
                self.pass(inner, false, inner.inspect(cx)).await
            }

            async fn list(&self, inner: &dyn Provider, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
                self.pass(inner, false, inner.list(cx)).await
            }

            async fn read(
                &self,
                inner: &dyn Provider,
                cx: &Ctx,
                what: Select<'_>,
            ) -> Result<Snapshot> {
                self.pass(inner, false, inner.read(cx, what)).await
            }

            async fn write(
                &self,
                inner: &dyn Provider,
                cx: &Ctx,
                base: Option<&Revision>,
                changes: &[Change<'_>],
            ) -> Result<Written> {
                self.pass(inner, true, inner.write(cx, base, changes)).await
            }

            async fn history(
                &self,
                inner: &dyn Provider,
                cx: &Ctx,
                name: &Name,
            ) -> Result<Vec<Meta>> {
                self.pass(inner, false, inner.history(cx, name)).await
            }

            async fn read_version(
                &self,
                inner: &dyn Provider,
                cx: &Ctx,
                name: &Name,
                version: &Version,
            ) -> Result<Lookup> {
                self.pass(inner, false, inner.read_version(cx, name, version)).await
            }

            async fn prune(
                &self,
                inner: &dyn Provider,
                cx: &Ctx,
                name: &Name,
                keep: usize,
            ) -> Result<usize> {
                self.pass(inner, true, inner.prune(cx, name, keep)).await
            }

            async fn poll(
                &self,
                inner: &dyn Provider,
                cx: &Ctx,
                since: Option<&Cursor>,
            ) -> Result<Poll> {
                self.pass(inner, false, inner.poll(cx, since)).await
            }
        }
    )*};
}

pass_every_call!(Flaky, Slow);
