//! How a sync ends: what was written, what was not and why, with which exit code, and how to resume.

use std::collections::{BTreeMap, BTreeSet};

use secrets_api::Name;

use super::line::{Line, listed};
use super::show::{emptied, if_deleted};
use crate::apply::{Fate, Link, Work};
use crate::exit::{Exit, Failure, Result};
use crate::plan::{Action, Seen, Step};
use crate::printer::{Printer, counted};

/// So many names are told of what failed alike; of more only how many there are.
const MOST_NAMED: usize = 3;

/// Says what became of it. `ran` is whether it went as far as writing, `again` the command that
/// resumes.
///
/// # Errors
/// `Partly` where a part was done; else why nothing was.
pub fn end(printer: &Printer, work: &Work, ran: Result<bool>, again: &Line) -> Result<Exit> {
    let done = say_done(printer, work);
    let went = match ran {
        Ok(went) => went,
        Err(failure) if done == 0 => return Err(failure),
        Err(failure) => {
            let message = failure
                .message
                .replace("nothing was written", "nothing more was written");
            let message = format!("{} written, then: {message}", counted(done, "secret"));
            let hint = match failure.hint {
                Some(own) => format!("{own}; then `{again}`"),
                None => resume(again),
            };
            return Err(Failure::new(Exit::Partly, message).with_hint(hint));
        }
    };
    let mut first: Option<Failure> = None;
    let mut left = 0;
    for link in &work.links {
        left += say_left(printer, work, link, &mut first);
    }
    left += say_emptied(work, &mut first);
    let unread = if went { unread(work) } else { Vec::new() };
    let down = work.links.iter().filter(|l| l.failed.is_some()).count();
    let some_are_well = down > 0 && down < work.links.len();
    let nothing_done = done == 0 && !some_are_well;
    // What could not be read is told once: as the failure where there is no other.
    let told = usize::from(nothing_done && first.is_none());
    for unread in unread.iter().skip(told) {
        printer.warn(&unread.message);
    }
    let hint = match (&first, unread.first()) {
        (None, None) => return Ok(Exit::Done),
        (None, Some(unread)) if nothing_done => {
            return Err(Failure::new(Exit::Failed, &unread.message).with_hint(&unread.hint));
        }
        // The same command looks first: it finds out what was written, and writes the rest.
        (Some(failure), _) if nothing_done && is_unknown(work) => {
            return Err(failure.clone().with_hint(format!(
                "run the same command again, it finds out what was written: `{again}`"
            )));
        }
        (Some(failure), _) if nothing_done => return Err(failure.clone()),
        // The same command again would end as this one did.
        (None, Some(unread)) => unread.hint.clone(),
        (Some(_), _) => {
            let names: Vec<String> = unread.iter().flat_map(|u| u.names.clone()).collect();
            resume(&again.clone().list("--except", &names))
        }
    };
    left += unread
        .iter()
        .map(|unread| unread.names.len())
        .sum::<usize>();
    let mut parts = Vec::new();
    if done > 0 {
        parts.push(format!("{} written", counted(done, "secret")));
    }
    if left > 0 {
        parts.push(format!("{left} not"));
    }
    if down > 0 {
        parts.push(match down {
            1 => "one store was not reached".to_owned(),
            _ => format!("{down} stores were not reached"),
        });
    }
    Err(Failure::new(Exit::Partly, parts.join(", ")).with_hint(hint))
}

/// Whether of any write it is not known if it was made.
fn is_unknown(work: &Work) -> bool {
    let mut outcomes = work.links.iter().flat_map(|link| &link.outcomes);
    outcomes.any(|outcome| matches!(outcome.fate, Fate::Unknown(_)))
}

fn resume(again: &Line) -> String {
    format!("to resume: `{again}`")
}

/// Says what was written, by store; how many that were.
fn say_done(printer: &Printer, work: &Work) -> usize {
    let mut done = 0;
    for link in &work.links {
        let mut stores = BTreeMap::<&str, [usize; 2]>::new();
        for outcome in &link.outcomes {
            if matches!(outcome.fate, Fate::Done) {
                stores.entry(&outcome.store).or_default()[usize::from(outcome.removal)] += 1;
                done += 1;
            }
        }
        for (store, [written, removed]) in stores {
            if written > 0 {
                let count = counted(written, "secret");
                printer.done(format!("{count} written to {store}"));
            }
            if removed > 0 {
                let count = counted(removed, "secret");
                printer.done(format!("{count} removed from {store}"));
            }
        }
    }
    let kept_by: BTreeSet<_> = work.links.iter().flat_map(|link| &link.kept_by).collect();
    for label in kept_by.into_iter().filter(|_| done > 0) {
        printer.hint(format!(
            "what was replaced is kept: `secrets history NAME --store {label}`"
        ));
    }
    done
}

/// Says what was not written, and why; how many that are.
fn say_left(printer: &Printer, work: &Work, link: &Link, first: &mut Option<Failure>) -> usize {
    let mut left = 0;
    // What failed alike is said once: a batch has one fate.
    let mut alike = BTreeMap::<[&str; 3], Vec<&str>>::new();
    for outcome in &link.outcomes {
        let Some(failure) = outcome.fate.failure() else {
            continue;
        };
        left += 1;
        let what = match outcome.fate {
            Fate::Conflict(_) => "not written, others write it again and again",
            Fate::Unknown(_) => "whether it was written is not known",
            _ if outcome.removal => "not removed",
            _ => "not written",
        };
        let said = [outcome.store.as_str(), what, failure.message.as_str()];
        alike.entry(said).or_default().push(outcome.name.as_str());
        keep_first(first, failure);
    }
    for ([store, what, why], names) in alike {
        let names = few(&names);
        printer.warn(format!("{names} in {store}: {what}: {why}"));
    }
    if let Some((side, failure)) = &link.failed {
        let label = &work.party(link, *side).label;
        if work.links.len() > 1 {
            printer.warn(format!("{label}: not synced: {}", failure.message));
        }
        let mut failure = failure.clone();
        if !failure.message.contains(label.as_str()) {
            failure.message = format!("{label}: {}", failure.message);
        }
        keep_first(first, &failure);
    }
    left
}

/// Of the deletions that were asked for and not made, because all was gone: how many that are.
fn say_emptied(work: &Work, first: &mut Option<Failure>) -> usize {
    let mut left = 0;
    for link in &work.links {
        for (n, names) in emptied(link) {
            let stays = |step: &&Step| {
                matches!(step.action, Action::Extra { .. }) && names.contains(&step.name)
            };
            let stay = link.plan.steps.iter().filter(stays).count();
            if stay > 0 {
                left += stay;
                let message = format!(
                    "{} holds nothing any more: {} not removed from the other side",
                    work.parties[n].label,
                    counted(stay, "secret")
                );
                let failure = Failure::new(Exit::Conflict, message);
                keep_first(first, &failure.with_hint(if_deleted(names)));
            }
        }
    }
    left
}

/// The names that could not be read in one party, and were compared with none.
struct Unread {
    names: Vec<String>,
    message: String,
    hint: String,
}

/// What could not be read, party by party, however many others each was to be compared with.
fn unread(work: &Work) -> Vec<Unread> {
    let mut parties = BTreeMap::<usize, BTreeMap<&Name, &str>>::new();
    for link in &work.links {
        for step in &link.plan.steps {
            if let Action::Unknown { on } = step.action {
                let why = match step.seen.of(on) {
                    Seen::Unknown(why) => why.as_str(),
                    _ => "it cannot be read",
                };
                let names = parties.entry(*link.sides.of(on)).or_default();
                names.insert(&step.name, why);
            }
        }
    }
    let told = parties.into_iter().filter_map(|(n, names)| {
        let (first, why) = names.first_key_value()?;
        let (first, party) = (*first, &work.parties[n]);
        let words: Vec<&str> = names.keys().map(|name| name.as_str()).collect();
        let message = format!("{} not compared, in {}: {why}", few(&words), party.label);
        let leave = format!(
            "leave out what cannot be compared: --except {}",
            listed(names.keys().copied())
        );
        // The store's own hint is for its environment's source.
        let store = party.settings.layers.first();
        let store = store.filter(|_| party.settings.layers.len() == 1);
        let set = Line::new("set").words([first.as_str()]);
        let set_there = set
            .clone()
            .flag("-e", &party.settings.environment)
            .flag_opt("--store", store.map(|layer| layer.label.as_str()));
        let seen = work.observed[n].as_ref();
        let failure = seen.and_then(|seen| seen.unknown.get(first));
        let own = failure
            .and_then(|failure| failure.hint.as_ref())
            .map(|hint| {
                let there = format!("`{set_there}`");
                hint.replace(&format!("`{set}`"), &there)
            });
        Some(Unread {
            names: words.into_iter().map(str::to_owned).collect(),
            message,
            hint: match own {
                Some(own) => format!("{own}; or {leave}"),
                None => leave,
            },
        })
    });
    told.collect()
}

/// Some names, or one and how many more.
fn few(names: &[&str]) -> String {
    match names {
        [one, rest @ ..] if rest.len() >= MOST_NAMED => format!("{one} and {} more", rest.len()),
        names => names.join(", "),
    }
}

fn keep_first(first: &mut Option<Failure>, failure: &Failure) {
    first.get_or_insert_with(|| failure.clone());
}
