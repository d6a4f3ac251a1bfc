//! A second look right before a write that nothing guards, where a person was asked since the first or no
//! history keeps what is replaced: what somebody wrote meanwhile is seen then, and is not overwritten. What
//! is written between this look and the write no store can tell. Without either it would only cost a request
//! for each secret, and come no closer.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use secrets_api::{Ctx, Error, ErrorKind, Lookup, Name, Precondition, Select};

use super::carry::{Fate, Outcome, unanswered};
use super::look::seen;
use super::observe::ASKED_AT_ONCE;
use super::prepare::Write;
use super::{Link, Work};
use crate::exit::Failure;
use crate::plan::Side;

/// The writes that may be made: those that are guarded, and those whose place holds what it was planned on.
/// Of the others what became of them. `waited`: a person was asked since the stores were looked at.
pub(super) async fn unmoved(
    work: &Work,
    link: &Link,
    cx: &Ctx,
    writes: Vec<Write>,
    waited: bool,
) -> (Vec<Write>, Vec<Outcome>) {
    let is_doubtful = |write: &Write| {
        let layer = &work.party(link, write.to).stack.layers[write.layer];
        let is_kept = layer.provider.capabilities().history;
        write.when == Precondition::Unguarded && (waited || !is_kept)
    };
    let mut layers = BTreeMap::<(Side, usize), Vec<Name>>::new();
    for write in &writes {
        if is_doubtful(write) {
            let names = layers.entry((write.to, write.layer)).or_default();
            names.push(write.name.clone());
        }
    }
    let looks = layers.into_iter().map(|(at, names)| async move {
        let provider = &work.party(link, at.0).stack.layers[at.1].provider;
        let mut found = Vec::with_capacity(names.len());
        for part in names.chunks(ASKED_AT_ONCE) {
            match provider.read(cx, Select::Names(part)).await {
                Ok(snapshot) => found.extend(
                    snapshot
                        .items
                        .into_iter()
                        .map(|(name, lookup)| ((at, name), lookup.map_err(Failure::from))),
                ),
                Err(error) => {
                    let failure = Failure::from(error);
                    let each = part.iter().cloned();
                    found.extend(each.map(|name| ((at, name), Err(failure.clone()))));
                }
            }
        }
        found
    });
    let mut now: BTreeMap<_, _> = join_all(looks).await.into_iter().flatten().collect();
    let (mut ready, mut left) = (Vec::with_capacity(writes.len()), Vec::new());
    for write in writes {
        if !is_doubtful(&write) {
            ready.push(write);
            continue;
        }
        let fate = match now.remove(&((write.to, write.layer), write.name.clone())) {
            Some(Ok(lookup)) => {
                if is_as_planned(work, link, &write, lookup) {
                    ready.push(write);
                    continue;
                }
                Fate::Conflict(moved(work, link, &write).into())
            }
            Some(Err(failure)) => Fate::Failed(failure),
            None => {
                Fate::Failed(unanswered(work.party(link, write.to), write.layer, &write).into())
            }
        };
        left.push(Outcome::of(work, link, &write, fate));
    }
    (ready, left)
}

/// Whether a place holds what it was planned on.
fn is_as_planned(work: &Work, link: &Link, write: &Write, now: Lookup) -> bool {
    let held = seen(work, link, write.to).and_then(|seen| seen.held.get(&write.name));
    let held = held.filter(|held| held.layer == write.layer);
    let (then, now) = match (held, now) {
        (Some(then), Lookup::Found(now)) => (then, now),
        (then, now) => return then.is_none() && now.into_found().is_none(),
    };
    let told = then.meta.version.as_ref().zip(now.meta.version.as_ref());
    if told.is_some_and(|(then, now)| then != now) {
        return false;
    }
    let party = work.party(link, write.to);
    let now = party
        .stack
        .decode(write.layer, &party.settings, &write.name, now);
    now.is_ok_and(|now| now.value.same_as(&then.value))
}

fn moved(work: &Work, link: &Link, write: &Write) -> Error {
    let message = format!("{} was changed meanwhile", write.name);
    let label = &work.party(link, write.to).stack.layers[write.layer].label;
    Error::new(ErrorKind::Conflict, message)
        .at_store(label)
        .about(&write.name)
}
