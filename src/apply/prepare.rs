//! From a plan to writes: which layer, in which form, guarded by what. All that can be known to fail is
//! said here, before the first write.

use secrets_api::{Change, Name, Op, Precondition, SecretValue, Version};

use super::look::seen;
use super::observe::Held;
use super::{Link, Party, Work};
use crate::exit::{Exit, Failure, Result};
use crate::plan::{Action, Fingerprint, Intent, Memory, Side, Step};
use crate::shell::quoted;

/// One write that is about to be made.
#[derive(Debug)]
pub(super) struct Write {
    pub name: Name,
    pub to: Side,
    pub layer: usize,
    /// What is to be there, in the form in which the layer keeps it; nothing for a removal.
    pub value: Option<SecretValue>,
    /// The same as a fingerprint.
    pub fingerprint: Option<Fingerprint>,
    pub when: Precondition,
    /// The other side's version of what is written.
    pub version: Option<Version>,
    /// The other side's layer that supplies it.
    pub from: Option<usize>,
    /// What was remembered of the name before.
    pub before: Memory,
    /// Whether what it replaces is, or was, on the other side too, as far as is remembered.
    pub was_agreed: bool,
}

impl Write {
    /// The same for a provider.
    pub(super) fn change(&self) -> Change<'_> {
        Change {
            name: &self.name,
            op: self.value.as_ref().map_or(Op::Delete, Op::Put),
            when: self.when.clone(),
        }
    }

    /// What is noted before it is sent.
    pub(super) fn intent(&self) -> Memory {
        Memory {
            agreed: self.before.agreed.clone(),
            intent: Some(Intent { to: self.to }),
        }
    }
}

/// The writes of a link's plan, all of which the stores can hold as far as can be told.
///
/// # Errors
/// The first that cannot be made: a store that cannot be written, a name or a value it cannot hold.
pub(super) fn prepare(work: &Work, link: &Link) -> Result<Vec<Write>> {
    let mut refused: Vec<(Name, Failure)> = Vec::new();
    let mut writes = Vec::new();
    for step in link.plan.writes() {
        match one(work, link, step) {
            Ok(Some(write)) => writes.push(write),
            Ok(None) => {}
            Err(failure) => refused.push((step.name.clone(), failure)),
        }
    }
    refused.extend(writes.iter().filter_map(|write| {
        let failure = named_by_another(work, link, &writes, write)?;
        Some((write.name.clone(), failure))
    }));
    let Some((_, first)) = refused.first() else {
        return Ok(writes);
    };
    let names: Vec<_> = refused.iter().map(|(name, _)| name.as_str()).collect();
    let message = match names.as_slice() {
        [_] => first.message.clone(),
        [_, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
        [] => String::new(),
    };
    let hint = format!("leave it out: `--except {}`", names.join(","));
    let hint = match &first.hint {
        Some(own) => format!("{own}; or {hint}"),
        None => hint,
    };
    let exit = first.exit;
    Err(Failure::new(
        if exit == Exit::Done {
            Exit::Failed
        } else {
            exit
        },
        message,
    )
    .with_hint(hint))
}

/// Why a name is not to be removed: a line of its layer that stays is put together from it, and what that
/// line says without it would be passed on next.
fn named_by_another(
    work: &Work,
    link: &Link,
    writes: &[Write],
    removal: &Write,
) -> Option<Failure> {
    if removal.value.is_some() {
        return None;
    }
    let here = |layer: usize| layer == removal.layer;
    let written = |name: &Name| {
        let mut written = writes.iter();
        written.any(|w| w.to == removal.to && here(w.layer) && w.name == *name)
    };
    let held = &seen(work, link, removal.to)?.held;
    let (line, _) = held.iter().find(|(name, held)| {
        here(held.layer) && !written(name) && held.refers().any(|name| name == removal.name)
    })?;
    let label = &work.party(link, removal.to).stack.layers[removal.layer].label;
    let name = &removal.name;
    let message = format!("{label}: {line} is put together from {name}, which would be removed");
    let hint = format!("give {line} a value of its own, or remove it too");
    Some(Failure::new(Exit::Failed, message).with_hint(hint))
}

/// Why a name is not to be removed from the layer that supplies it: what a lower one says would be passed
/// on next, as if it were new.
fn uncovered(party: &Party, name: &Name, below: usize) -> Failure {
    let layer = &party.stack.layers[below];
    let label = &layer.label;
    let message = format!("{name} cannot be removed alone: it would be {label}'s again");
    let failure = Failure::new(Exit::Conflict, message);
    let place = match party.stack.layer_to_remove(name, below) {
        Ok(_) => format!("--store {}", quoted(label)),
        Err(_) if layer.spec.inherited => format!("-e {}", quoted(&layer.spec.environment)),
        Err(_) => return failure,
    };
    failure.with_hint(format!(
        "remove it there first: `secrets unset {name} {place}`"
    ))
}

/// Where a step writes.
#[derive(Debug, Clone)]
pub struct Place {
    /// The side.
    pub to: Side,
    /// The layer, by its place among those of its side.
    pub layer: usize,
    /// What guards the write, as it was seen.
    pub when: Precondition,
}

/// Where a step writes; `None` where it writes nothing, or its side was not seen.
///
/// # Errors
/// If no layer takes the write.
pub fn place(work: &Work, link: &Link, step: &Step) -> Result<Option<Place>> {
    let Some(to) = step.action.target() else {
        return Ok(None);
    };
    let Some(target) = seen(work, link, to) else {
        return Ok(None);
    };
    let stack = &work.party(link, to).stack;
    let there = target.held.get(&step.name);
    let supplier = there.map(|held| held.layer);
    let layer = match (&step.action, supplier) {
        (Action::Delete { .. }, Some(supplier)) => stack.layer_to_remove(&step.name, supplier)?,
        _ => stack.layer_for(supplier)?,
    };
    let there = there.filter(|held| held.layer == layer);
    let when = stack.guard(layer, there.map(|held| &held.meta));
    Ok(Some(Place { to, layer, when }))
}

fn one(work: &Work, link: &Link, step: &Step) -> Result<Option<Write>> {
    let Some(Place { to, layer, when }) = place(work, link, step)? else {
        return Ok(None);
    };
    let (Some(target), Some(source)) = (seen(work, link, to), seen(work, link, to.other())) else {
        return Ok(None);
    };
    let party = work.party(link, to);
    if matches!(step.action, Action::Delete { .. })
        && let Some(below) = target.covers(&step.name).next()
    {
        return Err(uncovered(party, &step.name, below));
    }
    let held = source.held.get(&step.name);
    let kept = match (&step.action, held) {
        (Action::Delete { .. }, _) => None,
        (_, Some(held)) => {
            let encoded = party
                .stack
                .encode(layer, &party.settings, &step.name, &held.value);
            let provider = &party.stack.layers[layer].provider;
            provider.admit(&step.name, &encoded)?;
            Some(encoded)
        }
        (_, None) => return Ok(None),
    };
    let fingerprint = kept
        .as_ref()
        .and_then(|_| step.seen.of(to.other()).fingerprint());
    let emptied = &link.plan.emptied;
    let emptied = emptied.left.contains(&step.name) || emptied.right.contains(&step.name);
    Ok(Some(Write {
        when,
        name: step.name.clone(),
        to,
        layer,
        value: kept,
        fingerprint,
        version: held.and_then(Held::state),
        from: held.map(|held| held.layer),
        // What was remembered of a document that is not there counts no more, nor of one that was emptied.
        before: (!target.missing && !source.missing && !emptied)
            .then(|| link.kept.base().get(&step.name).cloned())
            .flatten()
            .unwrap_or_default(),
        was_agreed: step.agreed.is_some() && step.agreed == step.seen.of(to).fingerprint(),
    }))
}
