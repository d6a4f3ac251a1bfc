//! What wraps every provider: trace around retry around (concurrency limit around timeout).
//! One stack, one place: a provider of its own never retries, and no caller ever loops.

mod backoff;
pub mod names;
mod settle;

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Leasing, Lookup, Meta, Name, Poll,
    Precondition, Provider, Report, Result, Revision, SecretValue, Select, Snapshot, Staging,
    Version, Written, async_trait,
};
use tokio::sync::Semaphore;

use crate::links::Names;
use crate::printer::Printer;
use backoff::Backoff;

/// How long one call to a store may take, where the manifest sets no other time.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// A provider with its layers.
#[derive(Debug)]
pub struct Layered {
    inner: Arc<dyn Provider>,
    printer: Arc<Printer>,
    permits: Semaphore,
    timeout: Duration,
    file: Option<PathBuf>,
}

/// Whether a call may be sent again after it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It changes nothing, or is guarded, or carries an operation id the store honours.
    Safe,
    /// A second sending could apply it twice.
    Never,
}

impl Layered {
    /// Wraps `inner`, whose calls may take `timeout` each, retries included.
    pub fn new(inner: Arc<dyn Provider>, printer: Arc<Printer>, timeout: Duration) -> Self {
        let permits = Semaphore::new(inner.capabilities().limits.concurrency.max(1));
        Self {
            inner,
            printer,
            permits,
            timeout,
            file: None,
        }
    }

    /// Says that it is this file, of which a write may leave other names with the old content.
    #[must_use]
    pub fn with_file(mut self, path: PathBuf) -> Self {
        self.file = Some(path);
        self
    }

    /// The same operation, within this store's own time.
    fn bound(&self, cx: &Ctx) -> Ctx {
        Ctx {
            deadline: cx.deadline.min(Instant::now() + self.timeout),
            ..*cx
        }
    }

    /// One call through all layers.
    async fn call<T, F>(
        &self,
        what: &str,
        cx: &Ctx,
        again: Again,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let started = Instant::now();
        let mut backoff = Backoff::new(cx.deadline);
        let result = loop {
            let error = match self.bounded(cx, attempt()).await {
                Ok(answer) => break Ok(answer),
                Err(error) => error,
            };
            let passing = matches!(
                error.kind(),
                ErrorKind::Unavailable | ErrorKind::RateLimited
            );
            let wait = (passing && (again == Again::Safe || is_refusal(&error)))
                .then(|| backoff.next(error.retry_after(), is_refusal(&error)))
                .flatten();
            let Some(wait) = wait else { break Err(error) };
            self.printer.detail(1, || {
                format!(
                    "{}: {what} failed ({error}), trying again in {} ms",
                    self.location(),
                    wait.as_millis()
                )
            });
            tokio::time::sleep(wait).await;
        };
        self.printer.detail(2, || {
            let outcome = match &result {
                Ok(_) => "done".to_owned(),
                Err(error) => format!("failed: {error}"),
            };
            format!(
                "{}: {what}: {outcome} in {:.1} ms",
                self.location(),
                started.elapsed().as_secs_f64() * 1e3
            )
        });
        result.map_err(|error| error.at_store(self.location()))
    }

    /// One attempt: in its turn, and no longer than the deadline. A write keeps its own time: it
    /// reads back after the deadline.
    async fn bounded<T>(&self, cx: &Ctx, attempt: impl Future<Output = Result<T>>) -> Result<T> {
        let _permit = within(cx, async { Ok(self.permits.acquire().await) }).await?;
        attempt.await
    }

    /// One write through all layers; `first` where none of it has been sent before.
    async fn write_once(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
        first: bool,
    ) -> Result<Written> {
        let again = self.may_repeat(base, changes);
        let mut first = first;
        self.call("write", cx, again, || {
            let first = std::mem::replace(&mut first, false);
            let repeats = |change: &Change<'_>| self.may_repeat(None, std::slice::from_ref(change));
            settle::write(&*self.inner, cx, base, changes, again, repeats, first)
        })
        .await
    }

    /// Whether one change of a store of single secrets is to be sent again.
    fn may_try_again(&self, change: &Change<'_>, answer: &Result<Option<Version>>) -> bool {
        match answer {
            Err(error) if is_refusal(error) => true,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                self.may_repeat(None, std::slice::from_ref(change)) == Again::Safe
            }
            _ => false,
        }
    }

    fn may_repeat(&self, base: Option<&Revision>, changes: &[Change<'_>]) -> Again {
        let guarded = base.is_some() || changes.iter().all(|c| c.when != Precondition::Unguarded);
        if guarded || self.capabilities().idempotent {
            Again::Safe
        } else {
            Again::Never
        }
    }
}

/// Whether the store itself said that it did nothing and is to be asked later: a rate limit, a cluster
/// without a leader. Such a call may be made again, guarded or not.
fn is_refusal(error: &Error) -> bool {
    let says_when = error.retry_after().is_some();
    error.kind() == ErrorKind::RateLimited || error.kind() == ErrorKind::Unavailable && says_when
}

/// No longer than the deadline.
async fn within<T>(cx: &Ctx, call: impl Future<Output = Result<T>>) -> Result<T> {
    let deadline = tokio::time::Instant::from_std(cx.deadline);
    tokio::time::timeout_at(deadline, call)
        .await
        .unwrap_or_else(|_| {
            Err(Error::new(
                ErrorKind::Unavailable,
                "the store did not answer in time",
            ))
        })
}

#[async_trait]
impl Provider for Layered {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        self.inner.admit(name, value)
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        let cx = &self.bound(cx);
        self.call("inspect", cx, Again::Safe, || {
            within(cx, self.inner.inspect(cx))
        })
        .await
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let cx = &self.bound(cx);
        self.call("list", cx, Again::Safe, || within(cx, self.inner.list(cx)))
            .await
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let cx = &self.bound(cx);
        self.call("read", cx, Again::Safe, || {
            within(cx, self.inner.read(cx, what))
        })
        .await
    }

    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let cx = &self.bound(cx);
        let names = self.file.as_deref().map(Names::of);
        let mut written = self.write_once(cx, base, changes, true).await?;
        if let Some(names) = names {
            names.tell(&self.printer);
        }
        if written.items.len() != changes.len() {
            return Ok(written);
        }
        // In a store of single secrets each change has its own answer, and its own second try.
        let mut backoff = Backoff::new(cx.deadline);
        loop {
            let again: Vec<usize> = (0..changes.len())
                .filter(|n| self.may_try_again(&changes[*n], &written.items[*n]))
                .collect();
            let Some(error) = again.first().and_then(|n| written.items[*n].as_ref().err()) else {
                return Ok(written);
            };
            let Some(wait) = backoff.next(error.retry_after(), is_refusal(error)) else {
                return Ok(written);
            };
            self.printer.detail(1, || {
                format!(
                    "{}: {} of {} changes failed ({error}), trying again in {} ms",
                    self.location(),
                    again.len(),
                    changes.len(),
                    wait.as_millis()
                )
            });
            tokio::time::sleep(wait).await;
            let part: Vec<_> = again.iter().map(|n| changes[*n].clone()).collect();
            match self.write_once(cx, base, &part, false).await {
                Ok(answers) => {
                    for (n, answer) in again.into_iter().zip(answers.items) {
                        written.items[n] = answer;
                    }
                }
                // It failed for all that were left; what was made before stays told.
                Err(error) => {
                    for n in again {
                        let told = Error::new(error.kind(), error.message()).about(changes[n].name);
                        let told = match error.hint() {
                            Some(hint) => told.with_hint(hint),
                            None => told,
                        };
                        written.items[n] = Err(told.at_store(self.location()));
                    }
                    return Ok(written);
                }
            }
        }
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let cx = &self.bound(cx);
        self.call("history", cx, Again::Safe, || {
            within(cx, self.inner.history(cx, name))
        })
        .await
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        let cx = &self.bound(cx);
        self.call("read version", cx, Again::Safe, || {
            within(cx, self.inner.read_version(cx, name, version))
        })
        .await
    }

    async fn prune(&self, cx: &Ctx, name: &Name, keep: usize) -> Result<usize> {
        let cx = &self.bound(cx);
        // Sent again it forgets nothing more.
        self.call("prune", cx, Again::Safe, || {
            within(cx, self.inner.prune(cx, name, keep))
        })
        .await
    }

    async fn poll(&self, cx: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        let cx = &self.bound(cx);
        self.call("poll", cx, Again::Safe, || {
            within(cx, self.inner.poll(cx, since))
        })
        .await
    }

    fn policy(&self) -> Option<String> {
        self.inner.policy()
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        self.inner.leasing()
    }

    fn staging(&self) -> Option<&dyn Staging> {
        self.inner.staging()
    }
}
