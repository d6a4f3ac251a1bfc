//! The writes: noted, made in each store's unit, noted again.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use secrets_api::{Ctx, Error, ErrorKind, Name, Unit, Version};

use super::look::seen;
use super::observe::{needs_revision, state};
use super::prepare::Write;
use super::{Link, Party, Progress, Work};
use crate::exit::{Failure, Result};
use crate::plan::{Action, Agreed, Memory, Side, Sides};

/// What became of one write.
#[derive(Debug)]
pub enum Fate {
    /// The store has acknowledged it.
    Done,
    /// Somebody else has written meanwhile: nothing was changed.
    Conflict(Failure),
    /// It was sent, and whether it happened is not known.
    Unknown(Failure),
    /// It was not made.
    Failed(Failure),
}

impl Fate {
    /// Why it is not done.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Done => None,
            Self::Conflict(f) | Self::Unknown(f) | Self::Failed(f) => Some(f),
        }
    }
}

/// One write and what became of it.
#[derive(Debug)]
pub struct Outcome {
    /// The name.
    pub name: Name,
    /// Where it was to be written.
    pub to: Side,
    /// The layer, as it is called.
    pub store: String,
    /// Whether it was to be removed there.
    pub removal: bool,
    /// What became of it.
    pub fate: Fate,
}

impl Outcome {
    /// Whether somebody else has written meanwhile.
    pub fn is_conflict(&self) -> bool {
        matches!(self.fate, Fate::Conflict(_))
    }

    /// What became of a write.
    pub(super) fn of(work: &Work, link: &Link, write: &Write, fate: Fate) -> Self {
        let layers = &work.party(link, write.to).stack.layers;
        Self {
            name: write.name.clone(),
            to: write.to,
            store: layers[write.layer].label.clone(),
            removal: write.value.is_none(),
            fate,
        }
    }
}

/// Notes what is about to be written. A document or layer that is made and was not there: what was
/// remembered of its names would soon look like deletions of all that is not written now.
///
/// # Errors
/// If it cannot be noted: then nothing may be written.
pub(super) fn announce(work: &Work, link: &mut Link, writes: &[Write]) -> Result<()> {
    let made: Vec<(Side, usize, bool)> = writes
        .iter()
        .filter_map(|write| {
            let there = seen(work, link, write.to)?;
            let anew = there.lacking.contains_key(&write.layer);
            anew.then_some((write.to, write.layer, there.missing))
        })
        .collect();
    // What a higher layer supplies by now does not depend on it.
    let goes = |name: &Name, memory: &Memory| {
        made.iter().any(|(to, layer, all)| {
            let supplier = memory.agreed.as_ref().and_then(|a| *a.layers.of(*to));
            let now = seen(work, link, *to).and_then(|seen| seen.held.get(name));
            *all || match (supplier, now.map(|held| held.layer)) {
                (Some(then), Some(now)) => then == *layer && now < then,
                (Some(then), None) => then == *layer,
                (None, now) => now.is_none(),
            }
        })
    };
    let base = link.kept.base().iter();
    // Where all was gone, what is written now would make the rest look deleted one by one.
    let emptied = |name: &Name| {
        let mut sides = writes.iter().map(|write| write.to);
        sides.any(|to| link.plan.emptied.of(to).contains(name))
    };
    let gone = base.filter(|(name, memory)| goes(name, memory) || emptied(name));
    let forgotten: Vec<_> = gone.map(|(name, _)| (name.clone(), None)).collect();
    let forgotten = forgotten.into_iter();
    let intents = writes
        .iter()
        .map(|write| (write.name.clone(), Some(write.intent())));
    let noted = link.kept.note(forgotten.chain(intents).collect());
    noted.map_err(|error| {
        let failure = Failure::from(error);
        let message = format!(
            "what is about to be written cannot be noted, so nothing was written: {}",
            failure.message
        );
        let hint = "the state folder, ~/.local/state/secrets or below XDG_STATE_HOME, has to be writable; what is remembered of these two may be removed: they are compared as if never synced";
        Failure::new(failure.exit, message).with_hint(failure.hint.unwrap_or(hint.to_owned()))
    })
}

/// Makes the writes, in all layers at once. The answers are in the order of the writes.
pub(super) async fn carry(
    work: &Work,
    link: &Link,
    cx: &Ctx,
    writes: &[Write],
    progress: &dyn Progress,
) -> Vec<std::result::Result<Option<Version>, Refused>> {
    let mut batches = BTreeMap::<(Side, usize), Vec<usize>>::new();
    for (index, write) in writes.iter().enumerate() {
        let batch = batches.entry((write.to, write.layer)).or_default();
        batch.push(index);
    }
    let made = batches.iter().map(|((side, layer), indices)| async move {
        let batch: Vec<&Write> = indices.iter().map(|n| &writes[*n]).collect();
        let party = work.party(link, *side);
        let answers = one_layer(party, *layer, cx, &batch, progress).await;
        indices.iter().copied().zip(answers)
    });
    let mut answers: Vec<_> = join_all(made).await.into_iter().flatten().collect();
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

async fn one_layer(
    party: &Party,
    layer: usize,
    cx: &Ctx,
    batch: &[&Write],
    progress: &dyn Progress,
) -> Vec<std::result::Result<Option<Version>, Refused>> {
    let provider = &party.stack.layers[layer].provider;
    let can = provider.capabilities();
    if can.unit == Unit::Document {
        let changes: Vec<_> = batch.iter().map(|write| write.change()).collect();
        let answer = provider.write(cx, None, &changes).await;
        progress.made(batch.len());
        return match answer {
            Ok(written) if written.items.len() == batch.len() => {
                let revision = written.revision.filter(|_| needs_revision(party, layer));
                let state = |version: Option<Version>| state(version.as_ref(), revision.as_ref());
                let items = written.items.into_iter();
                let items = items.map(|item| item.map_err(Refused::from));
                items.map(|item| item.map(&state)).collect()
            }
            Ok(_) => batch
                .iter()
                .map(|w| Err(unanswered(party, layer, w).into()))
                .collect(),
            // A batch has one fate.
            Err(error) => {
                let refused = Refused::from(error);
                batch.iter().map(|_| Err(refused.clone())).collect()
            }
        };
    }
    let calls = batch.iter().enumerate().map(|(index, write)| async move {
        let answer = provider.write(cx, None, &[write.change()]).await;
        progress.made(1);
        let item = answer.map(|mut written| written.items.pop());
        let item =
            item.and_then(|item| item.unwrap_or_else(|| Err(unanswered(party, layer, write))));
        (index, item.map_err(Refused::from))
    });
    // One call each, as many at once as the store takes: the next starts as soon as one is answered, and
    // a slow one holds no other up.
    let calls: Vec<_> = calls.collect();
    let limit = can.limits.concurrency.max(1);
    let answers = stream::iter(calls).buffer_unordered(limit);
    let mut answers: Vec<_> = answers.collect().await;
    answers.sort_by_key(|(index, _)| *index);
    answers.into_iter().map(|(_, answer)| answer).collect()
}

pub(super) fn unanswered(party: &Party, layer: usize, write: &Write) -> Error {
    let message = format!("the store did not answer for {}", write.name);
    Error::new(ErrorKind::OutcomeUnknown, message).at_store(&party.stack.layers[layer].label)
}

/// Why a write was not made: of what kind, and what a person is told. A batch has one for all its names.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    kind: ErrorKind,
    failure: Failure,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self {
            kind: error.kind(),
            failure: error.into(),
        }
    }
}

/// Notes what became of the writes, and all that the two agree on without one.
///
/// The failure says that it could not be noted: what was written is written, and the next run finds it out
/// again.
pub(super) fn conclude(
    work: &Work,
    link: &mut Link,
    writes: Vec<Write>,
    answers: Vec<std::result::Result<Option<Version>, Refused>>,
) -> (Vec<Outcome>, Result<()>) {
    let mut notes = agreements(link);
    let mut outcomes = Vec::with_capacity(writes.len());
    for (write, answer) in writes.into_iter().zip(answers) {
        let name = write.name.clone();
        let mut outcome = Outcome::of(work, link, &write, Fate::Done);
        outcome.fate = match answer {
            Ok(version) => {
                notes.push((name, agreed(write, version)));
                Fate::Done
            }
            Err(Refused { kind, failure }) => match kind {
                ErrorKind::Conflict => {
                    notes.push((name, some(write.before)));
                    Fate::Conflict(failure)
                }
                // The note that it was about to be made stays.
                ErrorKind::OutcomeUnknown => Fate::Unknown(failure),
                _ => {
                    notes.push((name, some(write.before)));
                    Fate::Failed(failure)
                }
            },
        };
        outcomes.push(outcome);
    }
    (outcomes, link.kept.note(notes).map_err(Failure::from))
}

fn some(memory: Memory) -> Option<Memory> {
    (memory != Memory::default()).then_some(memory)
}

/// What both hold after a write; nothing after a removal.
fn agreed(write: Write, version: Option<Version>) -> Option<Memory> {
    let (mut versions, mut layers) = (Sides::default(), Sides::default());
    *versions.of_mut(write.to) = version;
    *versions.of_mut(write.to.other()) = write.version;
    *layers.of_mut(write.to) = Some(write.layer);
    *layers.of_mut(write.to.other()) = write.from;
    Some(Memory {
        agreed: Some(Agreed {
            fingerprint: write.fingerprint?,
            versions,
            layers,
        }),
        intent: None,
    })
}

/// What a plan found to be the same, or gone from both.
fn agreements(link: &Link) -> Vec<(Name, Option<Memory>)> {
    let notes = link.plan.steps.iter().filter_map(|step| {
        let (left, right) = (step.seen.left.present(), step.seen.right.present());
        match step.action {
            Action::Forget => Some((step.name.clone(), None)),
            Action::Agree => {
                let memory = Memory {
                    agreed: Some(Agreed::of(left?, right?)),
                    intent: None,
                };
                Some((step.name.clone(), Some(memory)))
            }
            _ => None,
        }
    });
    notes.collect()
}
