//! Two branches of a document become one, name by name. Pure: no file, no key, no clock but the one
//! that dates a deletion.
//!
//! Every state has a random id, so that most names settle themselves: a side whose newest state is in
//! the other's history is behind it. Only what has parted is asked about, and what is asked about is
//! never answered with a state that may be an old one played back: that is a conflict. So is a theirs that
//! went back behind what both come from: a `git revert` is meant, an old document played back is not.

use std::collections::{BTreeSet, HashSet};
use std::mem;

use secrets_api::{Error, ErrorKind, Meta, Name, Result, SecretValue, Version};

use crate::document::{Document, Kept, OPERATIONS, Operation, Secrets, State};
use crate::provider::{HISTORY, MOST_HISTORY};

/// What one document knows of one name.
#[derive(Debug)]
pub struct Held<'a> {
    /// The state's own random id.
    pub version: &'a str,
    /// `None` if it is deleted.
    pub value: Option<&'a SecretValue>,
    /// When, and by whom.
    pub meta: Meta,
}

/// The three sides of one name; `None` where the document has never had it. Theirs always has it:
/// what only ours has stays without a question.
#[derive(Debug)]
pub struct Sides<'a> {
    /// What both are said to come from.
    pub ancestor: Option<Held<'a>>,
    /// The branch that is merged into.
    pub ours: Option<Held<'a>>,
    /// The branch that is merged.
    pub theirs: Option<Held<'a>>,
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    /// Ours is right.
    Ours,
    /// Theirs is.
    Theirs,
    /// Both are: a person has to choose. Ours stays for now, and theirs is kept in the history.
    Conflict,
}

/// One of two documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The branch that is merged into.
    Ours,
    /// The branch that is merged.
    Theirs,
}

/// A name that a person has to choose for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clash {
    /// Which.
    pub name: Name,
    /// Whose state is the present one: ours, unless ours may be an old one played back.
    pub present: Side,
    /// The other's state, which is in the history: a rollback brings it. `None` if the other has none.
    pub other: Option<Version>,
    /// Who of the two has no value of it.
    pub removed: Option<Side>,
    /// Whether theirs is an earlier state than what both come from.
    pub set_back: bool,
}

/// Why a document may be an old one that somebody plays back.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standing {
    /// It is of no later generation than what it is said to come from.
    pub(crate) behind: bool,
    /// It is not known to be the newest: its states have to be newer than the other's to win.
    pub(crate) dated: bool,
}

/// Both.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Standings {
    pub(crate) ours: Standing,
    pub(crate) theirs: Standing,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct United {
    /// Ours, with what theirs has; of the higher generation.
    pub(crate) document: Document,
    /// Whether any state of it is not where ours had it.
    pub(crate) changed: bool,
    pub(crate) conflicts: Vec<Clash>,
    pub(crate) taken: Vec<Name>,
}

/// Whether theirs comes from ours in every name: it can stand as it is.
pub(crate) fn comes_from(ours: &Document, theirs: &Document) -> bool {
    ours.secrets.iter().all(|(name, ours)| {
        let theirs = states(theirs, name);
        ours.is_empty() || same(ours, theirs) || ahead(theirs, ours) && !ahead(ours, theirs)
    })
}

/// The names whose present state is another in theirs.
pub(crate) fn differing(ours: &Document, theirs: &Document) -> Vec<Name> {
    let differ = |(name, theirs): &(&String, &Vec<State>)| {
        !theirs.is_empty() && !same(states(ours, name), theirs)
    };
    let names = theirs.secrets.iter().filter(differ);
    names.filter_map(|(name, _)| Name::new(name).ok()).collect()
}

/// Unites them. `me` is who a deletion is by, where ours never had a name and theirs does not win.
///
/// # Errors
/// That the operating system gives no entropy.
pub(crate) fn unite(
    me: &str,
    base: Option<&Document>,
    mut ours: Document,
    mut theirs: Document,
    standings: Standings,
    choose: &mut dyn FnMut(&Name, &Sides<'_>) -> Pick,
) -> Result<United> {
    let (mut conflicts, mut taken, mut changed) = (Vec::new(), Vec::new(), false);
    let mut secrets = Secrets::new();
    let names: BTreeSet<String> = ours
        .secrets
        .keys()
        .chain(theirs.secrets.keys())
        .cloned()
        .collect();
    for text in names {
        let name = Name::new(&text)
            .map_err(|e| Error::new(ErrorKind::InvalidData, "a name is none").with_source(e))?;
        let from_base = base.map_or(&[][..], |base| states(base, &text));
        let mut from_ours = ours.secrets.remove(&text).unwrap_or_default();
        let from_theirs = theirs.secrets.remove(&text).unwrap_or_default();
        // One commit that is picked does not bring what those before it have added.
        if from_ours.is_empty() && same(from_base, &from_theirs) {
            continue;
        }
        let (top, clash) = settle(
            &name,
            from_base,
            &from_ours,
            &from_theirs,
            standings,
            choose,
        );
        if clash {
            conflicts.push(told(&name, top, from_base, &from_ours, &from_theirs));
        }
        if from_theirs.is_empty() {
            secrets.insert(text, from_ours);
            continue;
        }
        let before: Vec<String> = from_ours.iter().map(|state| state.id.clone()).collect();
        if top == Side::Ours && from_ours.is_empty() {
            from_ours.push(State::new(me, Kept::Deleted)?);
        }
        if top == Side::Theirs && !clash {
            taken.push(name);
        }
        let (first, second) = match top {
            Side::Ours => (from_ours, from_theirs),
            Side::Theirs => (from_theirs, from_ours),
        };
        let united = histories(from_base, first, second, clash);
        changed |= !united.iter().map(|state| &state.id).eq(&before);
        secrets.insert(text, united);
    }
    ours.secrets = secrets;
    ours.generation = ours.generation.max(theirs.generation);
    ours.generation = base.map_or(0, |base| base.generation).max(ours.generation);
    ours.operations = operations(mem::take(&mut ours.operations), theirs.operations);
    Ok(United {
        document: ours,
        changed,
        conflicts,
        taken,
    })
}

fn states<'a>(document: &'a Document, name: &str) -> &'a [State] {
    document.secrets.get(name).map_or(&[], Vec::as_slice)
}

fn has(states: &[State], id: &str) -> bool {
    states.iter().any(|state| state.id == id)
}

/// Whether their newest states are one.
fn same(one: &[State], other: &[State]) -> bool {
    matches!((one.first(), other.first()), (Some(one), Some(other)) if one.id == other.id)
}

/// Whether the newest state of `other` is known in `one`.
fn ahead(one: &[State], other: &[State]) -> bool {
    other.first().is_some_and(|newest| has(one, &newest.id))
}

/// Whether the newest state was written after all that the other side has.
fn later(one: &[State], other: &[State]) -> bool {
    one.first()
        .is_some_and(|newest| other.iter().all(|state| state.at < newest.at))
}

/// Whether a side has an earlier state than what it comes from, or none any more.
fn went_back(base: &[State], side: &[State]) -> bool {
    match side.first() {
        None => !base.is_empty(),
        Some(_) => !same(base, side) && ahead(base, side) && !ahead(side, base),
    }
}

/// Whether the present values are the same, or there is none in either.
fn equal(one: &[State], other: &[State]) -> bool {
    match (one.first().and_then(value), other.first().and_then(value)) {
        (Some(one), Some(other)) => one.same_as(other),
        (one, other) => one.is_none() && other.is_none(),
    }
}

fn held(states: &[State]) -> Option<Held<'_>> {
    let state = states.first()?;
    Some(Held {
        version: &state.id,
        value: value(state),
        meta: state.meta(),
    })
}

fn value(state: &State) -> Option<&SecretValue> {
    match &state.value {
        Kept::Value(value) => Some(value),
        Kept::Deleted => None,
    }
}

/// What a person has to know of a conflict.
fn told(name: &Name, present: Side, base: &[State], ours: &[State], theirs: &[State]) -> Clash {
    let other = match present {
        Side::Ours => theirs,
        Side::Theirs => ours,
    };
    let has_value = |states: &[State]| states.first().and_then(value).is_some();
    Clash {
        name: name.clone(),
        present,
        other: other.first().map(State::version),
        removed: match (has_value(ours), has_value(theirs)) {
            (false, _) => Some(Side::Ours),
            (_, false) => Some(Side::Theirs),
            _ => None,
        },
        set_back: went_back(base, theirs),
    }
}

/// Whose state is the present one, and whether that is for a person to say.
fn settle(
    name: &Name,
    base: &[State],
    ours: &[State],
    theirs: &[State],
    standings: Standings,
    choose: &mut dyn FnMut(&Name, &Sides<'_>) -> Pick,
) -> (Side, bool) {
    if same(ours, theirs) {
        return (Side::Ours, false);
    }
    let equal = equal(ours, theirs);
    if theirs.is_empty() {
        return (Side::Ours, !equal && went_back(base, theirs));
    }
    // Where each knows the other's newest, two people have settled a conflict in two ways.
    match (ahead(ours, theirs), ahead(theirs, ours)) {
        (true, false) => return (Side::Ours, !equal && went_back(base, theirs)),
        (false, true) => return (Side::Theirs, false),
        _ => {}
    }
    let pick = choose(
        name,
        &Sides {
            ancestor: held(base),
            ours: held(ours),
            theirs: held(theirs),
        },
    );
    // Histories forget: a state that the other does not know may have been replaced there long ago.
    let old = |standing: Standing, one: &[State], other: &[State]| {
        standing.behind || (standing.dated && !later(one, other))
    };
    let old_ours = !ours.is_empty() && old(standings.ours, ours, theirs);
    let old_theirs = old(standings.theirs, theirs, ours);
    match pick {
        Pick::Ours if equal || !old_ours => (Side::Ours, false),
        Pick::Theirs if equal || !old_theirs => (Side::Theirs, false),
        _ if old_ours && !old_theirs => (Side::Theirs, true),
        _ => (Side::Ours, true),
    }
}

/// The states of both: the first's newest on top, then the newest first, each side in its own order.
/// As many as either had, and as are kept by default; of more than that the newest of each. What one
/// side has pruned since does not come back.
fn histories(
    base: &[State],
    mut first: Vec<State>,
    mut second: Vec<State>,
    clash: bool,
) -> Vec<State> {
    let most = first.len().max(second.len()).clamp(HISTORY, MOST_HISTORY);
    let mut kept = HashSet::new();
    {
        // Writing makes a history longer, never shorter.
        let pruned = |side: &[State], id: &str| {
            !side.is_empty() && side.len() < base.len() && !has(side, id)
        };
        let gone = |id: &str| has(base, id) && (pruned(&first, id) || pruned(&second, id));
        let ranks = first.len().max(second.len());
        for rank in 0..ranks {
            for (side, stays) in [(&first, true), (&second, clash)] {
                let Some(state) = side.get(rank) else {
                    continue;
                };
                let stays = rank == 0 && stays;
                if kept.len() < most && (stays || !gone(&state.id)) {
                    kept.insert(state.id.clone());
                }
            }
        }
    }
    first.retain(|state| kept.remove(&state.id));
    second.retain(|state| kept.remove(&state.id));
    let (mut first, mut second) = (first.into_iter(), second.into_iter().peekable());
    let mut united: Vec<State> = first.next().into_iter().collect();
    for state in first {
        while let Some(newer) = second.next_if(|other| other.at > state.at) {
            united.push(newer);
        }
        united.push(state);
    }
    united.extend(second);
    united
}

/// The operations of both, the newest first as far as each side tells.
fn operations(ours: Vec<Operation>, theirs: Vec<Operation>) -> Vec<Operation> {
    let (mut ours, mut theirs) = (ours.into_iter(), theirs.into_iter());
    let mut united: Vec<Operation> = Vec::new();
    loop {
        let pair = [ours.next(), theirs.next()];
        if pair.iter().all(Option::is_none) {
            break;
        }
        for operation in pair.into_iter().flatten() {
            if !united.contains(&operation) {
                united.push(operation);
            }
        }
    }
    united.truncate(OPERATIONS);
    united
}

#[cfg(test)]
#[path = "unite_tests.rs"]
mod tests;
