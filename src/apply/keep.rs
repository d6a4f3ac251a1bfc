//! Values that are about to be replaced in a store without history: the local store keeps them first.

use std::sync::Arc;

use secrets_api::{Change, Ctx, Lookup, Name, Op, Precondition, Provider, SecretValue, Select};

use super::look::seen;
use super::prepare::Write;
use super::{Link, Work};
use crate::exit::{Exit, Failure, Result};

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

/// Keeps what the writes replace where no history does. Says how many were kept.
///
/// # Errors
/// If a value would be lost: there is nobody to keep it, and the other side's history has not seen it.
pub(super) async fn keep(work: &Work, link: &Link, cx: &Ctx, writes: &[Write]) -> Result<usize> {
    let doomed = doomed(work, link, writes);
    if doomed.is_empty() {
        return Ok(0);
    }
    match &work.keeper {
        Keeper::NotWanted => Ok(0),
        Keeper::Store { provider, .. } => match store(&**provider, cx, &doomed).await {
            Ok(kept) => Ok(kept),
            Err(error) => {
                let why = Failure::from(error).message;
                unless_known(work, link, &doomed, &why).map(|()| 0)
            }
        },
        Keeper::Nobody(why) => unless_known(work, link, &doomed, why).map(|()| 0),
    }
}

/// Says, before anything is written, that there is nobody to keep what is replaced.
///
/// # Errors
/// As [`keep`], as far as it is known without asking the local store.
pub(super) fn check_kept(work: &Work, link: &Link, writes: &[Write]) -> Result<()> {
    match &work.keeper {
        Keeper::Nobody(why) => unless_known(work, link, &doomed(work, link, writes), why),
        Keeper::Store { .. } | Keeper::NotWanted => Ok(()),
    }
}

/// What the writes replace where no history keeps it.
fn doomed<'a>(
    work: &'a Work,
    link: &Link,
    writes: &'a [Write],
) -> Vec<(&'a Write, &'a SecretValue)> {
    let forgets = |write: &&Write| {
        let layer = &work.party(link, write.to).stack.layers[write.layer];
        !layer.provider.capabilities().history
    };
    let replaced = |write: &'a Write| {
        let held = seen(work, link, write.to)?.held.get(&write.name)?;
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
