//! The conditional write: a new version under a private stage, then `AWSCURRENT` moved to it if it
//! still stands where we last saw it, then the private stage dropped. Nothing here decides what to
//! write, or whether to try again on top of what others wrote.

use secrets_api::{Ctx, Error, ErrorKind, Result};

use crate::refusal::Refusal;
use crate::service::{Described, Service};
use crate::states::{Draft, is_mark, is_private};

/// How many operations without a version of their own a secret remembers: a secret has at most 20
/// stages, and others need theirs.
const MARKS: usize = 4;

/// What became of a conditional write.
#[derive(Debug)]
pub(crate) enum Put {
    /// The version is the present one.
    Now(String),
    /// Somebody else wrote, deleted or restored since: nothing was changed.
    Lost,
}

/// Makes `value` the present state of `secret` if `base` is (`None`: if it has no value yet).
///
/// # Errors
/// What the service refuses; `OutcomeUnknown` where the answer to the move was lost.
pub(crate) async fn put(
    service: &Service,
    cx: &Ctx,
    secret: &str,
    draft: &Draft,
    base: Option<&str>,
    value: &[u8],
) -> Result<Put> {
    let id = draft.id(base, value.is_empty());
    let stage = draft.stage();
    let put = service.put(cx, secret, (&id, &stage), value, base.is_none());
    let at_once = match put.await {
        Ok(at_once) => at_once,
        Err(refusal) if refusal.is_absent() || refusal.is_state() => return Ok(Put::Lost),
        Err(refusal) if refusal.is(&["LimitExceededException"]) => {
            return Err(make_room(service, cx, secret)
                .await?
                .unwrap_or_else(|| refusal.into()));
        }
        Err(refusal) => return Err(refusal.into()),
    };
    if at_once {
        drop_stage(service, cx, secret, &stage, &id).await;
        return Ok(Put::Now(id));
    }
    let Some(base) = base else {
        // It had no value when we looked; somebody else gave it its first.
        drop_stage(service, cx, secret, &stage, &id).await;
        return Ok(Put::Lost);
    };
    let refusal = match service.promote(cx, secret, base, &id).await {
        Ok(()) => {
            drop_stage(service, cx, secret, &stage, &id).await;
            return Ok(Put::Now(id));
        }
        Err(refusal) => refusal,
    };
    if !is_about_the_state(&refusal) {
        if !matches!(
            refusal.kind(),
            ErrorKind::OutcomeUnknown | ErrorKind::Unavailable
        ) {
            drop_stage(service, cx, secret, &stage, &id).await;
        }
        // Else the stage stays: a repetition finds the version waiting and goes on from there.
        return Err(refusal.into());
    }
    let now = service.describe(cx, secret).await?;
    drop_stage(service, cx, secret, &stage, &id).await;
    let Some(now) = now else {
        return Ok(Put::Lost);
    };
    match now.current() {
        Some(current) if current == id => Ok(Put::Now(id)),
        // Refused for another reason than what is there now: another service manages the secret.
        Some(current) if current == base && refusal.is_state() && now.gone_by.is_none() => {
            Err(refusal.into())
        }
        _ => Ok(Put::Lost),
    }
}

/// Whether it says that the secret is not as it was: a stage that is elsewhere is an invalid
/// parameter to the service.
fn is_about_the_state(refusal: &Refusal) -> bool {
    refusal.is(&["InvalidParameterException"]) || refusal.is_absent() || refusal.is_state()
}

/// Drops the private stage. That it stays is no failure of the write: the next one to look takes the
/// version for one that waits, which harms nobody.
async fn drop_stage(service: &Service, cx: &Ctx, secret: &str, stage: &str, id: &str) {
    let _ = service.unmark(cx, secret, stage, id).await;
}

/// Drops the private stages of all versions that wait: writes that were interrupted leave them, and a
/// secret has at most 20 stages. A write under way loses nothing by it, since it moves `AWSCURRENT` by
/// its version's id. The error to answer with, if there were any.
async fn make_room(service: &Service, cx: &Ctx, secret: &str) -> Result<Option<Error>> {
    let Some(now) = service.describe(cx, secret).await? else {
        return Ok(None);
    };
    let mut dropped = false;
    for entry in &now.versions {
        for stage in entry.stages.iter().filter(|stage| is_private(stage)) {
            service.unmark(cx, secret, stage, &entry.id).await?;
            dropped = true;
        }
    }
    let message = "interrupted writes had used up the secret's stages, which are free again";
    let error = || Error::new(ErrorKind::Unavailable, message).with_hint("try again");
    Ok(dropped.then(error))
}

/// Remembers, on the present version, an operation that makes none; forgets the oldest-named of those
/// that are remembered where there are too many.
pub(crate) async fn remember(
    service: &Service,
    cx: &Ctx,
    secret: &str,
    now: &Described,
    mark: &str,
    current: &str,
) -> Result<()> {
    let marks = now.versions.iter().flat_map(|entry| {
        let marks = entry.stages.iter().filter(|stage| is_mark(stage));
        marks.map(|stage| (stage.as_str(), entry.id.as_str()))
    });
    let marks: Vec<_> = marks.collect();
    let too_many = (marks.len() + 1).saturating_sub(MARKS);
    for (stage, version) in marks.into_iter().take(too_many) {
        service.unmark(cx, secret, stage, version).await?;
    }
    service.mark(cx, secret, mark, current).await?;
    Ok(())
}

/// The error of a batch that others kept overtaking until the time was over.
pub(crate) fn overtaken() -> Error {
    Error::new(
        ErrorKind::Conflict,
        "others kept writing until the time was over: nothing was changed",
    )
    .with_hint("try again, or give the store more time")
}
