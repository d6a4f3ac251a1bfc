//! Looks at the parties and plans: what is there, what a store remembers as deleted, and what a document's
//! history says where a conflict hangs on it. Writes nothing.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};
use secrets_api::{Ctx, Error, ErrorKind, Meta, Name, REVISION};

use super::observe::revision_of;
use super::{Link, Observed, Work, observe};
use crate::exit::Failure;
use crate::plan::{self, Plan, Seen, Side, Sides};

/// How many histories are asked at once.
const DOUBTS_AT_ONCE: usize = 16;

/// Looks at all parties, and plans. A store that cannot be read is its links' failure.
pub async fn look(work: &mut Work, cx: &Ctx) {
    let parties = &work.parties;
    let looks = parties.iter().map(|party| observe(party, cx));
    let found = join_all(looks).await;
    work.observed = parties.iter().map(|_| None).collect();
    work.unseen = parties.iter().map(|_| None).collect();
    let mut links = std::mem::take(&mut work.links);
    links.iter_mut().for_each(|link| link.stayed.clear());
    for (n, seen) in found.into_iter().enumerate() {
        match seen {
            Ok(seen) => work.observed[n] = Some(seen),
            Err(failure) => {
                fail(&mut links, n, &failure);
                work.unseen[n] = Some(failure);
            }
        }
    }
    for link in &mut links {
        let owners = |n: usize| {
            let seen = work.observed[n].as_ref();
            seen.map(|seen| seen.owners.clone()).unwrap_or_default()
        };
        link.kept.meet(Sides {
            left: owners(link.sides.left),
            right: owners(link.sides.right),
        });
    }
    for link in links.iter_mut().filter(|link| link.failed.is_none()) {
        if let Err((side, failure)) = graves(work, link, cx).await {
            link.failed = Some((side, failure));
        }
    }
    work.links = links;
    plan_all(work);
    settle(work, cx).await;
}

/// Asks the histories of documents about values that may have been put back, because their document has
/// another revision than when they were agreed on, and on which a conflict hangs. A history that cannot be asked
/// now is its link's failure; one that is not shown to us leaves the conflict to a person.
async fn settle(work: &mut Work, cx: &Ctx) {
    let shared: &Work = work;
    let doubts = work.links.iter().enumerate().flat_map(|(n, link)| {
        let conflicts = link.plan.conflicts();
        let sides = conflicts.flat_map(|step| Side::BOTH.map(|side| (step, side)));
        let doubts = sides.filter_map(move |(step, side)| {
            let memory = link.kept.base().get(&step.name)?;
            let then = memory.agreed.as_ref()?.versions.of(side).as_ref()?;
            let held = seen(shared, link, side)?.held.get(&step.name)?;
            (step.seen.of(side).fingerprint() == step.agreed).then_some((step, side, then, held))
        });
        doubts.map(move |doubt| (n, doubt))
    });
    let asked = doubts.map(|(n, (step, side, then, held))| async move {
        let party = shared.party(&shared.links[n], side);
        let provider = &party.stack.layers[held.layer].provider;
        let stayed = match (revision_of(then), held.state().as_ref() != Some(then)) {
            (Some(revision), true) => match provider.history(cx, &step.name).await {
                Ok(states) => Ok(has_stayed(&states, revision)),
                // Another time it will tell: what it would say is not to be guessed.
                Err(error) if is_passing(&error) => Err(Failure::from(error)),
                Err(_) => Ok(false),
            },
            _ => Ok(false),
        };
        (n, side, step.name.clone(), stayed)
    });
    let asked: Vec<_> = asked.collect();
    let settled = stream::iter(asked).buffered(DOUBTS_AT_ONCE);
    let settled: Vec<_> = settled.collect().await;
    let mut is_new = false;
    for (n, side, name, stayed) in settled {
        let link = &mut work.links[n];
        is_new |= !matches!(stayed, Ok(false));
        match stayed {
            Ok(true) => {
                link.stayed.insert((side, name));
            }
            Ok(false) => {}
            Err(failure) => {
                link.failed.get_or_insert((side, failure));
            }
        }
    }
    if is_new {
        plan_all(work);
    }
}

/// Whether the same call may be answered another time.
fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::RateLimited | ErrorKind::Unavailable | ErrorKind::OutcomeUnknown
    )
}

/// Whether a secret has held its present value since its document had this revision; the newest state
/// comes first. A history that does not reach back so far does not say so.
fn has_stayed(states: &[Meta], revision: &str) -> bool {
    let is_it = |(key, value): &(String, String)| key == REVISION && value == revision;
    let newest = states.first().filter(|state| !state.deleted);
    newest.is_some_and(|state| state.tags.iter().any(is_it))
}

/// Every link of a party that cannot be read fails, for the same reason.
fn fail(links: &mut [Link], party: usize, failure: &Failure) {
    for link in links.iter_mut().filter(|link| link.failed.is_none()) {
        let side = Side::BOTH.into_iter().find(|s| *link.sides.of(*s) == party);
        if let Some(side) = side {
            let copy = Failure::new(failure.exit, failure.message.clone());
            link.failed = Some((side, copy.with_hint_opt(failure.hint.clone())));
        }
    }
}

/// Asks each side about the names that only the other has and that were never agreed on: a store that
/// remembers their deletion says so.
async fn graves(
    work: &mut Work,
    link: &Link,
    cx: &Ctx,
) -> std::result::Result<(), (Side, Failure)> {
    for side in Side::BOTH {
        let (Some(here), Some(there)) = (seen(work, link, side), seen(work, link, side.other()))
        else {
            continue;
        };
        let is_empty = here.held.is_empty() && here.unknown.is_empty();
        let known_here = |name: &Name| here.has(name) || here.deleted.contains(name);
        let unknown_here = |name: &&Name| !known_here(name) && work.chosen.holds(name);
        let agreed = |name: &&Name| {
            let memory = link.kept.base().get(*name);
            // Of one that was emptied it counts whether it remembers deletions.
            !here.missing && !is_empty && memory.is_some_and(|memory| memory.agreed.is_some())
        };
        let names: Vec<Name> = there
            .held
            .keys()
            .filter(unknown_here)
            .filter(|name| !agreed(name))
            .cloned()
            .collect();
        let n = *link.sides.of(side);
        if let Some(mut seen) = work.observed[n].take() {
            let looked = seen.look_for_graves(&work.parties[n], cx, &names).await;
            work.observed[n] = Some(seen);
            looked.map_err(|failure| (side, failure))?;
        }
    }
    Ok(())
}

/// Plans every link that could be looked at.
pub(super) fn plan_all(work: &mut Work) {
    let mut links = std::mem::take(&mut work.links);
    for link in &mut links {
        link.prepared = None;
        link.plan = match (seen(work, link, Side::Left), seen(work, link, Side::Right)) {
            (Some(left), Some(right)) if link.failed.is_none() => {
                let keys = link.kept.keys();
                let mut sides = Sides {
                    left: left.observation(keys),
                    right: right.observation(keys),
                };
                for (side, name) in &link.stayed {
                    let agreed = link.kept.base().get(name).and_then(|m| m.agreed.as_ref());
                    if let (Some(Seen::Present(present)), Some(agreed)) =
                        (sides.of_mut(*side).names.get_mut(name), agreed)
                    {
                        present.version.clone_from(agreed.versions.of(*side));
                    }
                }
                let chosen = |name: &Name| work.chosen.holds(name);
                plan::plan(link.kept.base(), &sides, &link.rules, chosen)
            }
            _ => Plan::default(),
        };
    }
    work.links = links;
}

/// What was seen of one side of a link.
pub(super) fn seen<'a>(work: &'a Work, link: &Link, side: Side) -> Option<&'a Observed> {
    work.observed[*link.sides.of(side)].as_ref()
}
