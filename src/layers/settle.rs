//! A write whose answer was lost: nothing is said about it before the store was read again.

use secrets_api::{
    Change, Ctx, Error, ErrorKind, Lookup, Name, Op, Provider, Result, Revision, Select, Version,
    Written,
};

use super::Again;

/// How long a read-back may take beyond the deadline.
const GRACE: std::time::Duration = std::time::Duration::from_secs(2);

/// Writes once. Where the answer is lost, or a repeated guarded write meets a conflict that may be
/// its own earlier effect, the store is read back: what we wanted is there → done; else the write
/// may be sent again (`Unavailable`) or, where that could apply it twice, is `OutcomeUnknown`.
pub(super) async fn write(
    store: &dyn Provider,
    cx: &Ctx,
    base: Option<&Revision>,
    changes: &[Change<'_>],
    again: Again,
    repeats: impl Fn(&Change<'_>) -> Again,
    first: bool,
) -> Result<Written> {
    let deadline = tokio::time::Instant::from_std(cx.deadline);
    let error = match tokio::time::timeout_at(deadline, store.write(cx, base, changes)).await {
        Ok(Ok(mut written)) => {
            settle_items(store, changes, &mut written, repeats, first).await;
            return Ok(written);
        }
        Ok(Err(error)) => error,
        Err(_) => Error::new(
            ErrorKind::OutcomeUnknown,
            "the store did not answer in time",
        ),
    };
    let own_echo = !first && error.kind() == ErrorKind::Conflict;
    if error.kind() != ErrorKind::OutcomeUnknown && !own_echo {
        return Err(error);
    }
    // The deadline may be over: reading back is worth a little more.
    let grace = Ctx::within(GRACE);
    let limit = tokio::time::Instant::from_std(grace.deadline);
    match tokio::time::timeout_at(limit, read_back(store, &grace, changes)).await {
        Ok(Ok(Some(written))) => Ok(written),
        _ if own_echo => Err(error),
        Ok(Ok(None)) if again == Again::Safe => Err(Error::new(
            ErrorKind::Unavailable,
            "the write was not carried out",
        )
        .with_source(error)),
        _ => Err(Error::new(
            ErrorKind::OutcomeUnknown,
            "the write was sent and its answer lost: it may or may not have happened",
        )
        .with_hint("look with `secrets list` or `secrets history` before doing it again")
        .with_source(error)),
    }
}

/// Reads back each change whose own answer was lost, or that meets what may be its own earlier effect, in
/// stores that answer one by one.
async fn settle_items(
    store: &dyn Provider,
    changes: &[Change<'_>],
    written: &mut Written,
    repeats: impl Fn(&Change<'_>) -> Again,
    first: bool,
) {
    for (change, item) in changes.iter().zip(&mut written.items) {
        let kind = item.as_ref().err().map(Error::kind);
        let own_echo = !first && kind == Some(ErrorKind::Conflict);
        if kind != Some(ErrorKind::OutcomeUnknown) && !own_echo {
            continue;
        }
        let grace = Ctx::within(GRACE);
        let limit = tokio::time::Instant::from_std(grace.deadline);
        let back = read_back(store, &grace, std::slice::from_ref(change));
        match tokio::time::timeout_at(limit, back).await {
            Ok(Ok(Some(mut found))) => {
                if let Some(answer) = found.items.pop() {
                    *item = answer;
                }
            }
            Ok(Ok(None)) if !own_echo && repeats(change) == Again::Safe => {
                let lost = std::mem::replace(item, Ok(None));
                let error = Error::new(ErrorKind::Unavailable, "the write was not carried out");
                *item = Err(match lost {
                    Err(lost) => error.about(change.name).with_source(lost),
                    Ok(_) => error.about(change.name),
                });
            }
            _ => {}
        }
    }
}

/// What the store now holds, as the answer to the write, if it is what was wanted.
async fn read_back(
    store: &dyn Provider,
    cx: &Ctx,
    changes: &[Change<'_>],
) -> Result<Option<Written>> {
    let names: Vec<Name> = changes.iter().map(|c| c.name.clone()).collect();
    let snapshot = store.read(cx, Select::Names(&names)).await?;
    let mut items: Vec<Result<Option<Version>>> = Vec::with_capacity(changes.len());
    for (change, (_, lookup)) in changes.iter().zip(snapshot.items) {
        let as_wanted = match (change.op, lookup?) {
            (Op::Put(value), Lookup::Found(now)) if now.value.same_as(value) => now.meta.version,
            (Op::Delete, Lookup::Absent | Lookup::Deleted { .. }) => None,
            (Op::Restore, Lookup::Found(now)) => now.meta.version,
            _ => return Ok(None),
        };
        items.push(Ok(as_wanted));
    }
    Ok((items.len() == changes.len()).then_some(Written {
        revision: snapshot.revision,
        items,
    }))
}
