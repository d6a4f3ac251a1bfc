//! Stores that claim other than they are, or say what they must not.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::{
    Capabilities, Change, Ctx, Error, ErrorKind, Name, Op, Provider, Report, Result, Revision,
    SecretValue, Select, Snapshot, Written, async_trait,
};

use crate::bend::Bend;

/// Declares other capabilities than the wrapped store has: less of them, or more.
pub struct Declares(pub fn(&mut Capabilities));

#[async_trait]
impl Bend for Declares {
    fn label(&self) -> &'static str {
        "Declares"
    }

    fn capabilities(&self, inner: &dyn Provider) -> Capabilities {
        let mut can = inner.capabilities();
        (self.0)(&mut can);
        can
    }
}

/// Admits other values than it takes.
pub struct Admits(pub fn(&SecretValue) -> bool);

#[async_trait]
impl Bend for Admits {
    fn label(&self) -> &'static str {
        "Admits"
    }

    fn admit(&self, inner: &dyn Provider, name: &Name, value: &SecretValue) -> Result<()> {
        match (self.0)(value) {
            true => Ok(()),
            false => {
                Err(Error::unsupported(format!("{name} is not admitted"))
                    .at_store(inner.location()))
            }
        }
    }
}

/// Where a value is let out.
#[derive(Debug, Clone, Copy)]
pub enum Leak {
    /// In an error's message, as it is.
    Message,
    /// In an error's hint, its first half alone.
    Hint,
    /// In the error an error was caused by, in base64.
    Cause,
    /// In what `inspect` reports, in hex.
    Report,
    /// In a label of what was read, as a list of bytes.
    Tag,
    /// In a panic.
    Panic,
}

/// Shows the values it is given or holds.
pub struct LeaksValues(pub Leak);

impl LeaksValues {
    fn error(&self, error: Error, value: &SecretValue) -> Error {
        let bytes = value.expose();
        let text = String::from_utf8_lossy(bytes).into_owned();
        match self.0 {
            Leak::Message => Error::new(error.kind(), format!("cannot write `{text}`")),
            Leak::Hint => {
                let half: String = text.chars().take(text.len() / 2).collect();
                error.with_hint(format!("look at what starts with {half}"))
            }
            Leak::Cause => error.with_source(format!("sent {}", STANDARD.encode(bytes))),
            Leak::Panic => panic!("could not write {text}"),
            Leak::Report | Leak::Tag => error,
        }
    }
}

#[async_trait]
impl Bend for LeaksValues {
    fn label(&self) -> &'static str {
        "LeaksValues"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let answer = inner.write(cx, base, changes).await;
        let value = changes.iter().find_map(|change| match change.op {
            Op::Put(value) => Some(value),
            Op::Delete | Op::Restore => None,
        });
        match (answer, value) {
            (Err(error), Some(value)) => Err(self.error(error, value)),
            (answer, _) => answer,
        }
    }

    async fn inspect(&self, inner: &dyn Provider, cx: &Ctx) -> Result<Report> {
        let mut report = inner.inspect(cx).await?;
        if matches!(self.0, Leak::Report) {
            for (name, lookup) in inner.read(cx, Select::All).await?.items {
                let stored = lookup?.into_found();
                let bytes = stored.map_or_else(Vec::new, |s| s.value.expose().to_vec());
                let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                report.facts.push((name.to_string(), hex));
            }
        }
        Ok(report)
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let mut snapshot = inner.read(cx, what).await?;
        if matches!(self.0, Leak::Tag) {
            super::each_found(&mut snapshot, |stored| {
                let text = format!("{:?}", stored.value.expose());
                stored.meta.tags.push(("raw".to_owned(), text));
            });
        }
        Ok(snapshot)
    }
}

/// Cannot be looked at.
pub struct FailsToInspect;

#[async_trait]
impl Bend for FailsToInspect {
    fn label(&self) -> &'static str {
        "FailsToInspect"
    }

    async fn inspect(&self, _inner: &dyn Provider, _cx: &Ctx) -> Result<Report> {
        Err(Error::new(ErrorKind::Unexpected, "nobody may look"))
    }
}

/// Words its refusals otherwise.
pub struct WordsErrors(pub fn(Error) -> Error);

#[async_trait]
impl Bend for WordsErrors {
    fn label(&self) -> &'static str {
        "WordsErrors"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        inner.write(cx, base, changes).await.map_err(self.0)
    }
}
