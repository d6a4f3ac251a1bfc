//! Stores that write other than they are told.

use std::time::Duration;

use secrets_api::{
    Capabilities, Change, Ctx, Error, Guard, Lookup, Name, Op, OperationId, Precondition, Provider,
    Result, Revision, SecretValue, Select, Version, Written, async_trait,
};

use crate::bend::Bend;

/// How long a faulty store dwells between looking and writing: racers that started together all
/// look before the first has written.
const DWELL: Duration = Duration::from_millis(3);

fn unguarded<'a>(changes: &[Change<'a>]) -> Vec<Change<'a>> {
    let free = |change: &Change<'a>| Change {
        when: Precondition::Unguarded,
        ..change.clone()
    };
    changes.iter().map(free).collect()
}

/// What stands under each name, and the revision.
async fn look(
    inner: &dyn Provider,
    cx: &Ctx,
    changes: &[Change<'_>],
) -> Result<(Option<Revision>, Vec<Lookup>)> {
    let names: Vec<Name> = changes.iter().map(|change| change.name.clone()).collect();
    let snapshot = inner.read(cx, Select::Names(&names)).await?;
    let lookups: Result<Vec<Lookup>> = snapshot.items.into_iter().map(|item| item.1).collect();
    Ok((snapshot.revision, lookups?))
}

/// Takes every precondition for fulfilled.
pub struct IgnoresPreconditions;

#[async_trait]
impl Bend for IgnoresPreconditions {
    fn label(&self) -> &'static str {
        "IgnoresPreconditions"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        _base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        inner.write(cx, None, &unguarded(changes)).await
    }
}

/// Declares no guard and, given one, goes on without it.
pub struct AcceptsAnyGuard;

#[async_trait]
impl Bend for AcceptsAnyGuard {
    fn label(&self) -> &'static str {
        "AcceptsAnyGuard"
    }

    fn capabilities(&self, inner: &dyn Provider) -> Capabilities {
        Capabilities {
            guard: Guard::None,
            ..inner.capabilities()
        }
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        _base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        inner.write(cx, None, &unguarded(changes)).await
    }
}

/// Fakes a guard: looks, finds the preconditions fulfilled, then writes whatever is there by now.
pub struct LooksThenWrites;

#[async_trait]
impl Bend for LooksThenWrites {
    fn label(&self) -> &'static str {
        "LooksThenWrites"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let (revision, lookups) = look(inner, cx, changes).await?;
        let holds = changes.iter().zip(&lookups).all(|(change, lookup)| {
            let version = match lookup {
                Lookup::Found(stored) => stored.meta.version.as_ref(),
                Lookup::Deleted { version, .. } => version.as_ref(),
                Lookup::Absent => None,
            };
            match &change.when {
                Precondition::Unguarded => true,
                Precondition::Absent => lookup.found().is_none(),
                Precondition::Version(wanted) => version == Some(wanted),
            }
        });
        std::thread::sleep(DWELL);
        if !holds || base.is_some() && base != revision.as_ref() {
            return inner.write(cx, base, changes).await;
        }
        inner.write(cx, None, &unguarded(changes)).await
    }
}

/// Reads the whole document, dwells, and writes the whole of it back with its change.
pub struct LosesUpdates;

#[async_trait]
impl Bend for LosesUpdates {
    fn label(&self) -> &'static str {
        "LosesUpdates"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let before = inner.read(cx, Select::All).await?.items;
        std::thread::sleep(DWELL);
        let mut written = inner.write(cx, base, changes).await?;
        let had = |name: &Name| before.iter().any(|(had, _)| had == name);
        let now = inner.read(cx, Select::All).await?;
        for (name, _) in now.items {
            if !had(&name) && !changes.iter().any(|change| *change.name == name) {
                let delete = one(&name, Op::Delete);
                written.revision = inner.write(&anew(cx), None, &[delete]).await?.revision;
            }
        }
        Ok(written)
    }
}

fn one<'a>(name: &'a Name, op: Op<'a>) -> Change<'a> {
    Change {
        name,
        op,
        when: Precondition::Unguarded,
    }
}

/// The same call as another operation.
fn anew(cx: &Ctx) -> Ctx {
    Ctx {
        operation: OperationId::random(),
        ..*cx
    }
}

/// Carries every call out under an operation id of its choice.
pub struct Renames(pub fn(OperationId) -> OperationId);

#[async_trait]
impl Bend for Renames {
    fn label(&self) -> &'static str {
        "Renames"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let operation = (self.0)(cx.operation);
        inner.write(&Ctx { operation, ..*cx }, base, changes).await
    }
}

/// Writes each change of a batch by itself, in a document too.
pub struct SplitsBatches;

#[async_trait]
impl Bend for SplitsBatches {
    fn label(&self) -> &'static str {
        "SplitsBatches"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        if base.is_some() || changes.len() < 2 {
            return inner.write(cx, base, changes).await;
        }
        let mut whole = Written {
            revision: None,
            items: Vec::new(),
        };
        for change in changes {
            let written = inner.write(cx, None, std::slice::from_ref(change)).await?;
            std::thread::sleep(DWELL);
            whole.revision = written.revision;
            whole.items.extend(written.items);
        }
        Ok(whole)
    }
}

/// Alters the values it is given.
pub struct AltersValues(pub fn(&[u8]) -> Vec<u8>);

#[async_trait]
impl Bend for AltersValues {
    fn label(&self) -> &'static str {
        "AltersValues"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let values: Vec<Option<SecretValue>> = changes
            .iter()
            .map(|change| match change.op {
                Op::Put(value) => Some(SecretValue::from_vec((self.0)(value.expose()))),
                Op::Delete | Op::Restore => None,
            })
            .collect();
        let altered: Vec<Change<'_>> = changes
            .iter()
            .zip(&values)
            .map(|(change, value)| Change {
                op: value.as_ref().map_or(change.op, Op::Put),
                ..change.clone()
            })
            .collect();
        inner.write(cx, base, &altered).await
    }
}

/// Overwrites from the start and leaves the rest of a longer value standing.
pub struct DoesNotTruncate;

#[async_trait]
impl Bend for DoesNotTruncate {
    fn label(&self) -> &'static str {
        "DoesNotTruncate"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let ([change], (_, lookups)) = (changes, look(inner, cx, changes).await?) else {
            return inner.write(cx, base, changes).await;
        };
        let (Op::Put(value), Some(stored)) = (change.op, lookups[0].found()) else {
            return inner.write(cx, base, changes).await;
        };
        let rest = stored.value.expose().get(value.len()..).unwrap_or_default();
        let value = SecretValue::from_vec([value.expose(), rest].concat());
        let change = Change {
            op: Op::Put(&value),
            ..change.clone()
        };
        inner.write(cx, base, &[change]).await
    }
}

/// Writes the good part of a batch before it refuses the rest.
pub struct RefusesTooLate;

#[async_trait]
impl Bend for RefusesTooLate {
    fn label(&self) -> &'static str {
        "RefusesTooLate"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let answer = inner.write(cx, base, changes).await;
        if answer.is_err() {
            for change in changes {
                // What fails by itself is what the batch was refused for.
                let _ = inner.write(cx, None, std::slice::from_ref(change)).await;
            }
        }
        answer
    }
}

/// Takes the last of several changes to one name for the one that is meant.
pub struct TakesNamesTwice;

#[async_trait]
impl Bend for TakesNamesTwice {
    fn label(&self) -> &'static str {
        "TakesNamesTwice"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let mut kept: Vec<Change<'_>> = Vec::new();
        for change in changes {
            kept.retain(|earlier| earlier.name != change.name);
            kept.push(change.clone());
        }
        inner.write(cx, base, &kept).await
    }
}

/// Writes something with every call, an empty one too.
pub struct WritesOnEmptyBatches;

#[async_trait]
impl Bend for WritesOnEmptyBatches {
    fn label(&self) -> &'static str {
        "WritesOnEmptyBatches"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        if !changes.is_empty() {
            return inner.write(cx, base, changes).await;
        }
        let touched = Name::new("TOUCHED").expect("it is a name");
        let now = SecretValue::from_slice(b"now");
        inner
            .write(cx, None, &[one(&touched, Op::Put(&now))])
            .await?;
        inner.write(&anew(cx), base, changes).await
    }
}

/// Deletes a neighbour with every deletion.
pub struct DeletesTooMuch;

#[async_trait]
impl Bend for DeletesTooMuch {
    fn label(&self) -> &'static str {
        "DeletesTooMuch"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let written = inner.write(cx, base, changes).await?;
        if changes.iter().any(|change| matches!(change.op, Op::Delete)) {
            let left = inner.list(cx).await?;
            if let Some((name, _)) = left.first() {
                inner
                    .write(&anew(cx), None, &[one(name, Op::Delete)])
                    .await?;
            }
        }
        Ok(written)
    }
}

/// Says that what never was is restored, and restores nothing.
pub struct RestoresNothing;

#[async_trait]
impl Bend for RestoresNothing {
    fn label(&self) -> &'static str {
        "RestoresNothing"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        if changes
            .iter()
            .any(|change| matches!(change.op, Op::Restore))
        {
            return Ok(Written {
                revision: None,
                items: changes.iter().map(|_| Ok(None)).collect(),
            });
        }
        inner.write(cx, base, changes).await
    }
}

/// Alters what a batch is answered with.
pub struct AltersAnswers(pub fn(&mut Vec<Result<Option<Version>>>));

#[async_trait]
impl Bend for AltersAnswers {
    fn label(&self) -> &'static str {
        "AltersAnswers"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let mut written = inner.write(cx, base, changes).await?;
        (self.0)(&mut written.items);
        Ok(written)
    }
}

/// Knows names by their upper-case form.
pub struct IgnoresCase;

#[async_trait]
impl Bend for IgnoresCase {
    fn label(&self) -> &'static str {
        "IgnoresCase"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let names: Vec<Name> = changes
            .iter()
            .map(|c| upper(c.name))
            .collect::<Result<_>>()?;
        let upper: Vec<Change<'_>> = changes
            .iter()
            .zip(&names)
            .map(|(change, name)| Change {
                name,
                ..change.clone()
            })
            .collect();
        inner.write(cx, base, &upper).await
    }

    async fn read(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        what: Select<'_>,
    ) -> Result<secrets_api::Snapshot> {
        let Select::Names(asked) = what else {
            return inner.read(cx, what).await;
        };
        let names: Vec<Name> = asked.iter().map(upper).collect::<Result<_>>()?;
        let mut snapshot = inner.read(cx, Select::Names(&names)).await?;
        for (item, name) in snapshot.items.iter_mut().zip(asked) {
            item.0 = name.clone();
        }
        Ok(snapshot)
    }
}

fn upper(name: &Name) -> Result<Name> {
    Name::new(&name.as_str().to_ascii_uppercase())
        .map_err(|e| Error::new(secrets_api::ErrorKind::Unexpected, e.to_string()))
}
