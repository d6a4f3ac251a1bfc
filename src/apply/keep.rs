//! Values that are about to be replaced in a store without history: the local store keeps them first.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use secrets_api::{
    Change, Ctx, Lookup, Name, Op, OperationId, Precondition, Provider, SecretValue, Select,
};

use super::look::seen;
use super::observe::version_of;
use super::prepare::Write;
use super::{Link, Work};
use crate::exit::{Failure, Result};
use crate::plan::Side;

/// Of how many values a history is asked at once.
const ASKED_AT_ONCE: usize = 16;

/// Who keeps what is replaced.
#[derive(Debug, Clone)]
pub enum Keeper {
    /// This store, whose history is long enough.
    Store {
        /// How to name it on the command line.
        label: String,
        /// The store.
        provider: Arc<dyn Provider>,
    },
    /// Nobody can; why, and what to do about it.
    Nobody(Failure),
    /// Nobody shall: what is replaced may be lost.
    NotWanted,
}

/// Keeps what the writes replace where no history does, each side's with its own keeper. Says whom values
/// were given to.
///
/// # Errors
/// If a value would be lost: there is nobody to keep it, and it is not in the other side's history.
pub(super) async fn keep(
    work: &Work,
    link: &Link,
    cx: &Ctx,
    writes: &[Write],
) -> Result<BTreeSet<String>> {
    let mut kept_by = BTreeSet::new();
    for side in Side::BOTH {
        let doomed = doomed(work, link, side, writes);
        if doomed.is_empty() {
            continue;
        }
        let why = match &work.party(link, side).keeper {
            Keeper::NotWanted => continue,
            Keeper::Store { label, provider } => match store(&**provider, cx, &doomed).await {
                Ok(given) => {
                    kept_by.extend((given > 0).then(|| label.clone()));
                    continue;
                }
                Err(error) => Failure::from(error),
            },
            Keeper::Nobody(why) => why.clone(),
        };
        unless_held(work, link, cx, &doomed, why).await?;
    }
    Ok(kept_by)
}

/// Says, before anything is written, that there is nobody to keep what is replaced. Asks no store: of what
/// both sides held it is taken that the other side's history, where it keeps one, has it.
///
/// # Errors
/// As [`keep`], as far as it is known without asking.
pub(super) fn check_kept(work: &Work, link: &Link, writes: &[Write]) -> Result<()> {
    for side in Side::BOTH {
        if let Keeper::Nobody(why) = &work.party(link, side).keeper {
            let doomed = doomed(work, link, side, writes);
            let lost = doomed.iter().map(|(write, _)| *write);
            let lost: Vec<_> = lost.filter(|w| !may_be_held(work, link, w)).collect();
            refuse(work, link, &lost, why.clone())?;
        }
    }
    Ok(())
}

/// What the writes replace on a side where no history keeps it.
fn doomed<'a>(
    work: &'a Work,
    link: &Link,
    side: Side,
    writes: &'a [Write],
) -> Vec<(&'a Write, &'a SecretValue)> {
    let layers = &work.party(link, side).stack.layers;
    let forgets =
        |write: &&Write| write.to == side && !layers[write.layer].provider.capabilities().history;
    let replaced = |write: &'a Write| {
        let held = seen(work, link, side)?.held.get(&write.name)?;
        (held.layer == write.layer).then_some((write, &held.value))
    };
    writes.iter().filter(forgets).filter_map(replaced).collect()
}

/// Puts them into the keeper's history, but for those that are its newest already.
async fn store(
    keeper: &dyn Provider,
    cx: &Ctx,
    doomed: &[(&Write, &SecretValue)],
) -> secrets_api::Result<usize> {
    // An operation of its own: a store that remembers what it did would take the next mirror's values of the
    // same names for kept.
    let cx = &Ctx {
        operation: OperationId::random(),
        ..*cx
    };
    let names: Vec<Name> = doomed.iter().map(|(write, _)| write.name.clone()).collect();
    let there = keeper.read(cx, Select::Names(&names)).await?;
    let mut changes = Vec::with_capacity(doomed.len());
    for ((write, value), (_, lookup)) in doomed.iter().zip(there.items) {
        let newest = match lookup? {
            Lookup::Found(stored) => stored.value.same_as(value),
            Lookup::Absent | Lookup::Deleted { .. } => false,
        };
        if !newest {
            changes.push(Change {
                name: &write.name,
                op: Op::Put(value),
                when: Precondition::Unguarded,
            });
        }
    }
    if changes.is_empty() {
        return Ok(0);
    }
    for item in keeper.write(cx, None, &changes).await?.items {
        item?;
    }
    Ok(changes.len())
}

/// Whether the other side's history may have what is replaced: both sides held it, and that one keeps one.
fn may_be_held(work: &Work, link: &Link, write: &Write) -> bool {
    let other = &work.party(link, write.to.other()).stack.layers;
    write.was_agreed && other.iter().any(|l| l.provider.capabilities().history)
}

/// Refuses values that nobody keeps, but for those that the other side's history really has.
async fn unless_held(
    work: &Work,
    link: &Link,
    cx: &Ctx,
    doomed: &[(&Write, &SecretValue)],
    mut why: Failure,
) -> Result<()> {
    let asked = doomed.iter().map(|(write, value)| async move {
        let held = match may_be_held(work, link, write) {
            true => is_held(work, link, cx, write, value).await,
            false => Ok(false),
        };
        (*write, held)
    });
    let asked: Vec<_> = asked.collect();
    let answers: Vec<_> = stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
    let mut lost = Vec::new();
    for (write, held) in answers {
        match held {
            Ok(true) => continue,
            Ok(false) => {}
            Err(failure) if !why.message.contains(&failure.message) => {
                why.message = format!("{}; {}", why.message, failure.message);
            }
            Err(_) => {}
        }
        lost.push(write);
    }
    refuse(work, link, &lost, why)
}

/// Whether the other side's history has a value: first the state that was agreed on, then all there are.
async fn is_held(
    work: &Work,
    link: &Link,
    cx: &Ctx,
    write: &Write,
    value: &SecretValue,
) -> Result<bool> {
    let side = write.to.other();
    let party = work.party(link, side);
    let agreed = write.before.agreed.as_ref();
    let agreed = agreed.and_then(|agreed| agreed.versions.of(side).as_ref());
    let is_it = |layer: usize, lookup: Lookup| match lookup {
        Lookup::Found(stored) => {
            let decoded = party
                .stack
                .decode(layer, &party.settings, &write.name, stored);
            decoded.is_ok_and(|stored| stored.value.same_as(value))
        }
        Lookup::Absent | Lookup::Deleted { .. } => false,
    };
    let layers = party.stack.layers.iter().enumerate();
    for (n, layer) in layers.filter(|(_, l)| l.provider.capabilities().history) {
        let provider = &layer.provider;
        if let Some(version) = agreed.map(version_of)
            && let Ok(lookup) = provider.read_version(cx, &write.name, &version).await
            && is_it(n, lookup)
        {
            return Ok(true);
        }
        let states = provider.history(cx, &write.name).await?;
        let states = states.into_iter().filter(|state| !state.deleted);
        for version in states.filter_map(|state| state.version) {
            if is_it(n, provider.read_version(cx, &write.name, &version).await?) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Refuses to write what makes values be lost, if there are any.
fn refuse(work: &Work, link: &Link, lost: &[&Write], why: Failure) -> Result<()> {
    let Some(first) = lost.first() else {
        return Ok(());
    };
    let label = &work.party(link, first.to).stack.layers[first.layer].label;
    let names: Vec<_> = lost.iter().map(|write| write.name.as_str()).collect();
    let message = format!(
        "{label} keeps no history and the local store cannot keep what is replaced there ({}): {}; nothing was written",
        names.join(", "),
        why.message
    );
    let lose = "to lose what is replaced: --no-keep";
    let hint = match why.hint {
        Some(own) => format!("{own}; {lose}"),
        None => lose.to_owned(),
    };
    Err(Failure::new(why.exit, message).with_hint(hint))
}
