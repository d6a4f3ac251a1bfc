//! Values that are about to be replaced in a store without history: the local store keeps them first.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrets_api::{
    Change, Ctx, Lookup, Name, Op, OperationId, Precondition, Provider, SecretValue, Select,
};

use super::look::seen;
use super::prepare::Write;
use super::{Link, Work};
use crate::exit::{Exit, Failure, Result};
use crate::plan::Side;

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
    /// Nobody can; why.
    Nobody(String),
    /// Nobody shall: what is replaced may be lost.
    NotWanted,
}

/// Keeps what the writes replace where no history does, each side's with its own keeper. Says whom values
/// were given to.
///
/// # Errors
/// If a value would be lost: there is nobody to keep it, and the other side's history has not seen it.
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
        match &work.party(link, side).keeper {
            Keeper::NotWanted => {}
            Keeper::Store { label, provider } => match store(&**provider, cx, &doomed).await {
                Ok(0) => {}
                Ok(_) => {
                    kept_by.insert(label.clone());
                }
                Err(error) => {
                    let why = Failure::from(error).message;
                    unless_known(work, link, &doomed, &why)?;
                }
            },
            Keeper::Nobody(why) => unless_known(work, link, &doomed, why)?,
        }
    }
    Ok(kept_by)
}

/// Says, before anything is written, that there is nobody to keep what is replaced.
///
/// # Errors
/// As [`keep`], as far as it is known without asking the local store.
pub(super) fn check_kept(work: &Work, link: &Link, writes: &[Write]) -> Result<()> {
    for side in Side::BOTH {
        if let Keeper::Nobody(why) = &work.party(link, side).keeper {
            unless_known(work, link, &doomed(work, link, side, writes), why)?;
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

/// A value that both sides held is in the other side's history, where that keeps one.
fn unless_known(
    work: &Work,
    link: &Link,
    doomed: &[(&Write, &SecretValue)],
    why: &str,
) -> Result<()> {
    let known = |write: &Write| {
        let other = &work.party(link, write.to.other()).stack.layers;
        write.was_agreed && other.iter().all(|l| l.provider.capabilities().history)
    };
    let lost: Vec<_> = doomed
        .iter()
        .filter(|(write, _)| !known(write))
        .map(|(write, _)| write.name.as_str())
        .collect();
    let Some((write, _)) = doomed.first().filter(|_| !lost.is_empty()) else {
        return Ok(());
    };
    let label = &work.party(link, write.to).stack.layers[write.layer].label;
    Err(Failure::new(
        Exit::Failed,
        format!(
            "{label} keeps no history and the local store cannot keep what is replaced there ({}): {why}; nothing was written",
            lost.join(", ")
        ),
    )
    .with_hint("`secrets init` makes a local store; to lose what is replaced: --no-keep"))
}
