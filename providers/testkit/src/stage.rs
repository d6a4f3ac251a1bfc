//! What a check works with: an empty place, handles on it, values to plant, and a witness who
//! keeps all that came back so that it can be searched.

use std::error::Error as _;
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Guard, Lookup, Meta, Name, Op, Poll,
    Precondition, Provider, Report, Result, Revision, SecretValue, Select, Snapshot, Unit, Version,
    Written,
};
use tokio::runtime::Runtime;

use crate::canary::Canary;
use crate::{Fixture, Place};

/// Why a check failed. Made from an error it holds the kind and the message, unless the message
/// holds the planted value.
pub(crate) struct Why(String);

/// What a check comes to.
pub(crate) type Outcome<T = ()> = std::result::Result<T, Why>;

impl Why {
    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

impl Why {
    /// The same, saying first what it is about.
    pub(crate) fn about(self, what: &str) -> Self {
        Self(format!("{what}: {}", self.0))
    }
}

impl From<String> for Why {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Error> for Why {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match Canary::of_this_process().found_in(message.as_bytes()) {
            None => Self(format!("{:?}: {message}", error.kind())),
            Some(_) => Self(format!("{:?}: (the message holds the value)", error.kind())),
        }
    }
}

/// Fails the check unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($why:tt)+) => {
        if !$condition {
            return Err($crate::stage::Why::from(format!($($why)+)));
        }
    };
}
pub(crate) use ensure;

/// One check's place and what it may use.
pub(crate) struct Stage<'a> {
    fixture: &'a dyn Fixture,
    place: Place,
    pub(crate) can: Capabilities,
    witness: Arc<Witness>,
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // The fixture may be what panicked: a second panic would end the process.
        if std::thread::panicking() {
            return;
        }
        for (label, content) in self.fixture.leaks(&self.place) {
            self.witness.saw(&label, &content);
        }
    }
}

impl<'a> Stage<'a> {
    pub(crate) fn new(fixture: &'a dyn Fixture) -> Self {
        let place = fixture.fresh();
        let can = fixture.open(&place).capabilities();
        Self {
            fixture,
            place,
            can,
            witness: Arc::default(),
        }
    }

    /// The same fixture and another empty place.
    pub(crate) fn another(&self) -> Self {
        Self {
            fixture: self.fixture,
            place: self.fixture.fresh(),
            can: self.can,
            witness: Arc::clone(&self.witness),
        }
    }

    /// A new handle on the place, with a runtime of its own: usable from the thread it is made on.
    pub(crate) fn open(&self) -> Handle {
        let store = self.fixture.open(&self.place);
        self.witness.saw("the location", store.location());
        self.witness.debug("the provider's Debug", &store);
        Handle {
            store,
            runtime: runtime(),
            witness: Arc::clone(&self.witness),
        }
    }

    /// Puts values there: through the provider where it writes, else by the fixture's own means.
    pub(crate) fn plant(&self, items: &[(&str, &[u8])]) -> Outcome {
        if self.can.writable {
            let store = self.open();
            for (text, bytes) in items {
                store.put(&name(text), bytes)?;
            }
            return Ok(());
        }
        ensure!(
            self.fixture.seed(&self.place, items),
            "the store is read-only and the fixture seeds no values"
        );
        Ok(())
    }

    /// Whether this place refuses the value beyond what the capabilities say.
    pub(crate) fn refuses(&self, value: &[u8]) -> bool {
        self.fixture.refuses(value)
    }

    pub(crate) fn guards(&self, least: Guard) -> bool {
        self.can.guard >= least
    }

    pub(crate) fn is_document(&self) -> bool {
        self.can.unit == Unit::Document
    }

    /// Ends the check: where the planted value was shown, and in which form.
    pub(crate) fn shown(self) -> Option<(String, &'static str)> {
        let witness = Arc::clone(&self.witness);
        drop(self);
        let seen = witness.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.first().cloned()
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a current-thread runtime starts")
}

/// Searches whatever passes by, and keeps where the value was found.
#[derive(Default)]
struct Witness(Mutex<Vec<(String, &'static str)>>);

impl Witness {
    fn saw(&self, label: &str, content: impl AsRef<[u8]>) {
        if let Some(form) = Canary::of_this_process().found_in(content.as_ref()) {
            let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            found.push((label.to_owned(), form));
        }
    }

    fn debug(&self, label: &str, what: &dyn Debug) {
        self.saw(label, format!("{what:?}"));
        self.saw(label, format!("{what:#?}"));
    }

    fn error(&self, during: &str, error: &Error) {
        let kind = error.kind();
        self.saw(
            &format!("the {kind:?} error of {during}"),
            error.to_string(),
        );
        self.debug(&format!("the {kind:?} error's Debug of {during}"), error);
        self.saw(
            &format!("the {kind:?} error's hint of {during}"),
            error.hint().unwrap_or_default(),
        );
        let mut source = error.source();
        while let Some(cause) = source {
            let label = format!("the cause of the {kind:?} error of {during}");
            self.saw(&label, cause.to_string());
            self.debug(&label, &cause);
            source = cause.source();
        }
    }
}

/// A handle on the place that is called as plain functions, with all answers witnessed.
pub(crate) struct Handle {
    store: Arc<dyn Provider>,
    runtime: Runtime,
    witness: Arc<Witness>,
}

/// How long one call may take. Long: a slow machine is no failure.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A new operation.
pub(crate) fn operation() -> Ctx {
    Ctx::within(TIMEOUT)
}

impl Handle {
    fn call<T: Debug>(&self, during: &str, future: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = self.runtime.block_on(future);
        match &answer {
            Ok(answer) => self.witness.saw(
                &format!("the Debug of what {during} answered"),
                format!("{answer:?}"),
            ),
            Err(error) => self.witness.error(during, error),
        }
        answer
    }

    pub(crate) fn location(&self) -> &str {
        self.store.location()
    }

    pub(crate) fn provider(&self) -> &dyn Provider {
        &*self.store
    }

    /// Whether the store could hold these bytes under this name, by its own word.
    pub(crate) fn admit(&self, name: &Name, bytes: &[u8]) -> Result<()> {
        let answer = self.store.admit(name, &SecretValue::from_slice(bytes));
        if let Err(error) = &answer {
            self.witness.error("admit", error);
        }
        answer
    }

    pub(crate) fn inspect(&self) -> Result<Report> {
        self.call("inspect", self.store.inspect(&operation()))
    }

    pub(crate) fn list(&self) -> Result<Vec<(Name, Meta)>> {
        self.call("list", self.store.list(&operation()))
    }

    pub(crate) fn read(&self, what: Select<'_>) -> Result<Snapshot> {
        let snapshot = self.call("read", self.store.read(&operation(), what))?;
        for (_, item) in &snapshot.items {
            if let Err(error) = item {
                self.witness.error("read", error);
            }
        }
        Ok(snapshot)
    }

    pub(crate) fn write_as(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let written = self.call("write", self.store.write(cx, base, changes))?;
        for item in &written.items {
            if let Err(error) = item {
                self.witness.error("write", error);
            }
        }
        Ok(written)
    }

    pub(crate) fn write(&self, base: Option<&Revision>, changes: &[Change<'_>]) -> Result<Written> {
        self.write_as(&operation(), base, changes)
    }

    pub(crate) fn history(&self, name: &Name) -> Result<Vec<Meta>> {
        self.call("history", self.store.history(&operation(), name))
    }

    pub(crate) fn read_version(&self, name: &Name, version: &Version) -> Result<Lookup> {
        let cx = operation();
        self.call("read_version", self.store.read_version(&cx, name, version))
    }

    pub(crate) fn prune(&self, name: &Name, keep: usize) -> Result<usize> {
        self.call("prune", self.store.prune(&operation(), name, keep))
    }

    pub(crate) fn poll(&self, since: Option<&Cursor>) -> Result<Poll> {
        self.call("poll", self.store.poll(&operation(), since))
    }

    /// One change under one operation; inner and outer answer are one.
    pub(crate) fn change_as(&self, cx: &Ctx, change: Change<'_>) -> Result<Option<Version>> {
        let written = self.write_as(cx, None, &[change])?;
        let mut items = written.items.into_iter();
        match (items.next(), items.next()) {
            (Some(item), None) => item,
            _ => Err(Error::new(
                ErrorKind::Unexpected,
                "one change was not answered by one item",
            )),
        }
    }

    /// One change.
    pub(crate) fn change(
        &self,
        name: &Name,
        op: Op<'_>,
        when: Precondition,
    ) -> Result<Option<Version>> {
        self.change_as(&operation(), Change { name, op, when })
    }

    /// Stores bytes, whatever is there.
    pub(crate) fn put(&self, name: &Name, bytes: &[u8]) -> Result<Option<Version>> {
        self.put_when(name, bytes, Precondition::Unguarded)
    }

    /// Stores bytes under a precondition.
    pub(crate) fn put_when(
        &self,
        name: &Name,
        bytes: &[u8],
        when: Precondition,
    ) -> Result<Option<Version>> {
        let value = SecretValue::from_slice(bytes);
        self.change(name, Op::Put(&value), when)
    }

    /// Removes, whatever is there.
    pub(crate) fn delete(&self, name: &Name) -> Result<Option<Version>> {
        self.change(name, Op::Delete, Precondition::Unguarded)
    }

    /// What stands under one name.
    pub(crate) fn look(&self, name: &Name) -> Outcome<Lookup> {
        let snapshot = self.read(Select::Names(std::slice::from_ref(name)))?;
        let mut items = snapshot.items.into_iter();
        match (items.next(), items.next()) {
            (Some((found, lookup)), None) if found == *name => Ok(lookup?),
            _ => Err(Why::from(format!("a read of {name} did not answer for it"))),
        }
    }

    /// Whether exactly these bytes stand under the name.
    pub(crate) fn holds(&self, name: &Name, bytes: &[u8]) -> Outcome<bool> {
        let lookup = self.look(name)?;
        Ok(lookup.found().is_some_and(|s| s.value.expose() == bytes))
    }

    /// Whether nothing stands under the name.
    pub(crate) fn lacks(&self, name: &Name) -> Outcome<bool> {
        Ok(self.look(name)?.found().is_none())
    }

    /// The version that stands under the name; a check that asks needs one.
    pub(crate) fn version(&self, name: &Name) -> Outcome<Version> {
        let version = match self.look(name)? {
            Lookup::Found(stored) => stored.meta.version,
            Lookup::Deleted { version, .. } => version,
            Lookup::Absent => None,
        };
        version.ok_or_else(|| Why::from(format!("a read of {name} told no version")))
    }

    /// The document's revision; a check that asks needs one.
    pub(crate) fn revision(&self) -> Outcome<Revision> {
        let revision = self.read(Select::All)?.revision;
        revision.ok_or_else(|| Why::from("a read told no revision of the document".to_owned()))
    }
}

impl Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handle")
    }
}

/// The name `text`.
pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("the suite's own names are names")
}

/// A value that holds the planted text and is told from others by `tag`.
pub(crate) fn value(tag: &str) -> Vec<u8> {
    format!("{}-{tag}", Canary::of_this_process().text()).into_bytes()
}

/// Whether it failed, and in this way.
pub(crate) fn is<T>(answer: &Result<T>, kind: ErrorKind) -> bool {
    answer.as_ref().is_err_and(|error| error.kind() == kind)
}

/// What came of it, for a failure's text.
pub(crate) fn became<T>(answer: &Result<T>) -> String {
    match answer {
        Ok(_) => "done".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    }
}
