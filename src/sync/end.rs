//! How a sync ends: what was written, what was not and why, with which exit code, and how to resume.

use std::collections::{BTreeMap, BTreeSet};

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
pub fn end(printer: &Printer, work: &Work, ran: Result<bool>, again: &str) -> Result<Exit> {
    let done = say_done(printer, work);
    let went = match ran {
        Ok(went) => went,
        Err(failure) if done == 0 => return Err(failure),
        Err(failure) => {
            let message = failure
                .message
                .replace("nothing was written", "nothing more was written");
            let message = format!("{} written, then: {message}", counted(done, "secret"));
            return Err(Failure::new(Exit::Partly, message).with_hint(resume(again)));
        }
    };
    let mut first: Option<Failure> = None;
    let mut left = 0;
    for link in &work.links {
        left += say_left(printer, work, link, &mut first);
        if went {
            left += say_unknown(printer, work, link, &mut first);
        }
    }
    let Some(failure) = first else {
        return Ok(Exit::Done);
    };
    let down = work.links.iter().filter(|l| l.failed.is_some()).count();
    let some_are_well = down > 0 && down < work.links.len();
    if done == 0 && !some_are_well {
        return Err(failure);
    }
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
    Err(Failure::new(Exit::Partly, parts.join(", ")).with_hint(resume(again)))
}

fn resume(again: &str) -> String {
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
        let names = match names.as_slice() {
            few if few.len() <= MOST_NAMED => few.join(", "),
            [one, rest @ ..] => format!("{one} and {} more", rest.len()),
            [] => continue,
        };
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

/// Says that names could not be compared; how many.
fn say_unknown(printer: &Printer, work: &Work, link: &Link, first: &mut Option<Failure>) -> usize {
    let unknown = |step: &&Step| matches!(step.action, Action::Unknown { .. });
    let steps: Vec<&Step> = link.plan.steps.iter().filter(unknown).collect();
    for step in &steps {
        let Action::Unknown { on } = step.action else {
            continue;
        };
        let why = match step.seen.of(on) {
            Seen::Unknown(why) => why.as_str(),
            _ => "it cannot be read",
        };
        let label = &work.party(link, on).label;
        let message = format!("{} not compared, in {label}: {why}", step.name);
        if steps.len() > 1 || first.is_some() {
            printer.warn(&message);
        }
        let hint = format!("leave it out: --except {}", step.name);
        keep_first(first, &Failure::new(Exit::Failed, message).with_hint(hint));
    }
    steps.len()
}

fn keep_first(first: &mut Option<Failure>, failure: &Failure) {
    first.get_or_insert_with(|| failure.clone());
}
