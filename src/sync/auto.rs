//! Copies a change of the source to the mirrors right away, where the manifest says so. A mirror that
//! cannot take it loses nothing: it is out of step, `status` shows it, and the next `push` brings it there.

use std::collections::{BTreeMap, BTreeSet};

use secrets_api::{Name, Precondition};

use super::line::{self, Line};
use super::parties::{self, Asked};
use super::show::{self, why_words};
use crate::apply::{self, Desk, Link, Progress, Verdict, Work};
use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::flags::Choice as Names;
use crate::manifest::trust::{self, Record};
use crate::plan::{Action, Choice, Direction, Keep, Rules, Seen, Side, Sides, Why};
use crate::session::Session;
use crate::settings::Settings;
use crate::stack::UNGUARDED;
use crate::variables;

/// Pushes these names, which have just been changed in the environment's source. `what` was done to them:
/// `set`, `removed`.
///
/// # Errors
/// `Partly` if a mirror does not hold what the source does now: the change itself is made.
pub fn push<'a>(
    session: &Session,
    settings: &Settings,
    what: &str,
    names: impl IntoIterator<Item = &'a Name>,
) -> Result<Exit> {
    let environment = settings.manifest.environments.get(&settings.environment);
    let wanted = environment.is_some_and(|e| e.auto_push && !e.mirrors.is_empty());
    let names: Vec<String> = names.into_iter().map(Name::to_string).collect();
    if !wanted || names.is_empty() || !session.globals.store.is_empty() {
        return Ok(Exit::Done);
    }
    let partly = |why: &str, hint: String| {
        let message = format!("{what}, but not in every mirror: {why}");
        Failure::new(Exit::Partly, message).with_hint(hint)
    };
    let late = |failure: Failure| {
        let again = verb("push", settings);
        let hint = match failure.hint {
            Some(hint) => format!("{hint}; then `{again}`"),
            None => format!("to resume: `{again}`"),
        };
        partly(&failure.message, hint)
    };
    if !settings.trusted {
        let around = &session.surroundings;
        let record = Record::load(&around.dirs, &settings.root).map_err(late)?;
        let variable = around.text(variables::TRUST);
        return Err(late(trust::untrusted(&record, variable)));
    }
    let mut work = work(session, &names).map_err(late)?;
    let mut desk = Silent {
        session,
        behind: Behind::default(),
        cautioned: BTreeSet::new(),
    };
    let ran = session.block_on(apply::run(&mut work, &session.cx(), &mut desk));
    ran.map_err(late)?;
    let mut behind = desk.behind;
    for link in &work.links {
        say(session, &work, link, &mut behind);
    }
    match behind.hint(session, settings, &work) {
        Some(hint) => Err(partly("see above", hint)),
        None => Ok(Exit::Done),
    }
}

/// Says what became of one mirror, and notes what it lacks.
fn say(session: &Session, work: &Work, link: &Link, behind: &mut Behind) {
    let printer = &session.printer;
    let label = &work.party(link, Side::Right).label;
    let right = link.sides.right;
    if let Some((_, failure)) = &link.failed {
        printer.warn(format!("{label}: not copied: {}", failure.message));
        behind.plainly.insert(right);
    }
    for outcome in &link.outcomes {
        let name = &outcome.name;
        match outcome.fate.failure() {
            None if outcome.removal => printer.done(format!("{name} removed from {label}")),
            None => printer.done(format!("{name} copied to {label}")),
            Some(failure) => {
                printer.warn(format!("{label}: {name} not copied: {}", failure.message));
                behind.plainly.insert(right);
            }
        }
    }
    for step in &link.plan.steps {
        let name = &step.name;
        match (&step.action, step.seen.of(Side::Left)) {
            (Action::Unknown { on }, _) => {
                let why = match step.seen.of(*on) {
                    Seen::Unknown(why) => why.as_str(),
                    _ => "it cannot be read",
                };
                printer.warn(format!("{label}: {name} not copied: {why}"));
                behind.plainly.insert(right);
            }
            (Action::Pending { .. }, _) => {
                printer.warn(format!("{label}: {name} is still there"));
                behind.undeleted.insert(name.clone());
            }
            // It was never synced with this mirror, so no push takes it for deleted.
            (Action::Extra { .. }, seen) if seen.is_gone() => {
                printer.warn(format!("{label}: {name} is still there"));
                behind.strange.insert((right, name.clone()));
            }
            _ => {}
        }
    }
}

/// A verb about the environment that was changed.
fn verb(verb: &str, settings: &Settings) -> Line {
    Line::new(verb).flag("-e", &settings.environment)
}

/// What mirrors do not hold, by what makes up for it. Mirrors go by their place among the parties.
#[derive(Default)]
struct Behind {
    /// Mirrors that the same push may bring into step.
    plainly: BTreeSet<usize>,
    /// What is in conflict there, and whether one of the two sides has nothing.
    conflicts: BTreeMap<(usize, Name), (Why, Sides<bool>)>,
    /// What was deleted in the source and is in a mirror.
    undeleted: BTreeSet<Name>,
    /// The same of names that the two never agreed on.
    strange: BTreeSet<(usize, Name)>,
}

impl Behind {
    /// The commands that make up for it, if there is anything to make up for.
    fn hint(&self, session: &Session, settings: &Settings, work: &Work) -> Option<String> {
        let address =
            |mirror: usize| line::address(&work.parties[mirror], &session.surroundings.cwd);
        let several = work.links.len() > 1;
        let mut hints = Vec::new();
        if !self.plainly.is_empty() {
            let mut again = Line::new("push");
            // A conflict would hold up all that goes with it.
            if !self.conflicts.is_empty() {
                again = again.words(self.plainly.iter().map(|mirror| address(*mirror)));
            }
            let same = |mirror: &usize| self.plainly.contains(mirror);
            let held_up = self.conflicts.keys().filter(|(mirror, _)| same(mirror));
            let held_up: BTreeSet<String> = held_up.map(|(_, name)| name.to_string()).collect();
            let held_up: Vec<String> = held_up.into_iter().collect();
            let again = again
                .flag("-e", &settings.environment)
                .list("--except", &held_up);
            hints.push(format!("to resume: `{again}`"));
        }
        for ((mirror, name), (why, gone)) in &self.conflicts {
            let only = |verb: &str| {
                let named = several.then(|| address(*mirror));
                let line = Line::new(verb).words(named);
                line.flag("-e", &settings.environment)
                    .flag("--only", name.as_str())
            };
            let label = &work.parties[*mirror].label;
            if let Why::Derived(_) = why {
                let push = only("push").flag("--flatten", name.as_str());
                hints.push(format!("to replace that line of {label}: `{push}`"));
                continue;
            }
            let push = only("push")
                .flag("--prefer", "source")
                .switch("--delete", gone.left);
            let pull = only("pull")
                .flag("--prefer", "mirror")
                .switch("--delete", gone.right);
            hints.push(format!(
                "to overwrite {name} in {label}: `{push}`; to take what it has: `{pull}`"
            ));
        }
        if !self.undeleted.is_empty() {
            let names: Vec<String> = self.undeleted.iter().map(Name::to_string).collect();
            let push = verb("push", settings)
                .list("--only", &names)
                .switch("--delete", true);
            hints.push(format!("to remove it there too: `{push}`"));
        }
        for (mirror, name) in &self.strange {
            let unset = verb("unset", settings)
                .flag("--store", &address(*mirror))
                .words([name.as_str()]);
            hints.push(format!("to remove it there too: `{unset}`"));
        }
        (!hints.is_empty()).then(|| hints.join("; "))
    }
}

fn work(session: &Session, names: &[String]) -> Result<Work> {
    let source = parties::source(session)?;
    let mirrors = parties::mirrors(session, &source, &[])?;
    let mut all = vec![source];
    all.extend(mirrors);
    let rules = Rules {
        direction: Direction::To(Side::Right),
        ..Rules::default()
    };
    let asked = Asked {
        rules,
        mapping: "",
        locked: true,
    };
    let chosen = Chosen::new(&Names {
        only: names.to_vec(),
        except: Vec::new(),
    });
    parties::work(session, all, &asked, chosen)
}

/// A desk that asks nobody: what is in conflict, and what would take a person's word, stays as it is and
/// is said.
struct Silent<'a> {
    session: &'a Session,
    behind: Behind,
    /// The mirrors that were said to guard no write.
    cautioned: BTreeSet<String>,
}

impl Silent<'_> {
    /// Why a link's writes would take a person's word: another environment, a protected one, reads what
    /// they are made to. Who changed this one was asked about this one alone, if at all.
    fn refusal(work: &Work, link: &Link) -> Option<Failure> {
        let stack = &work.party(link, Side::Right).stack;
        let mut targets = link
            .plan
            .writes()
            .filter_map(|step| stack.protector(show::target(work, link, step)?.layer));
        let other = targets.next()?;
        let message = format!("{other} reads it and is protected: that takes your word");
        Some(Failure::usage(message))
    }

    /// Says of each mirror once that it guards none of the writes that are about to be made.
    fn caution(&mut self, work: &Work) {
        for link in &work.links {
            let label = &work.party(link, Side::Right).label;
            let unguarded = link.plan.writes().any(|step| {
                let place = show::target(work, link, step);
                place.is_some_and(|place| place.when == Precondition::Unguarded)
            });
            if unguarded && self.cautioned.insert(label.clone()) {
                self.session.printer.warn(format!("{label}: {UNGUARDED}"));
            }
        }
    }

    /// Leaves the conflicts of a link as they are: what is to be said to each so that it stays.
    fn leave(&mut self, work: &Work, link: &Link) -> Vec<(Name, Choice)> {
        let label = |side: Side| work.party(link, side).label.as_str();
        let mut choices = Vec::new();
        for step in link.plan.conflicts() {
            let Action::Conflict(why) = step.action else {
                continue;
            };
            self.session.printer.warn(format!(
                "{}: {} not copied: {}",
                label(Side::Right),
                step.name,
                why_words(why, &label)
            ));
            let gone = Sides {
                left: step.seen.left.is_gone(),
                right: step.seen.right.is_gone(),
            };
            let key = (link.sides.right, step.name.clone());
            self.behind.conflicts.insert(key, (why, gone));
            let (keep, shown) = (Keep::AsIs, step.shown());
            choices.push((step.name.clone(), Choice { keep, shown }));
        }
        choices
    }
}

impl Desk for Silent<'_> {
    fn decide(&mut self, work: &mut Work, _round: usize) -> Result<Verdict> {
        let refused: Vec<_> = work.links.iter().map(|l| Self::refusal(work, l)).collect();
        if refused.iter().any(Option::is_some) {
            for (link, refusal) in work.links.iter_mut().zip(refused) {
                let refusal = refusal.map(|failure| (Side::Right, failure));
                link.failed = link.failed.take().or(refusal);
            }
            return Ok(Verdict::Replan);
        }
        let mut left = Vec::with_capacity(work.links.len());
        for link in &work.links {
            left.push(self.leave(work, link));
        }
        if left.iter().all(Vec::is_empty) {
            self.caution(work);
            return Ok(Verdict::Go);
        }
        for (link, choices) in work.links.iter_mut().zip(left) {
            link.rules.choices.extend(choices);
        }
        Ok(Verdict::Replan)
    }

    fn begin(&self, total: usize) -> Box<dyn Progress> {
        Box::new(super::desk::Drawn(
            self.session.printer.bar(total, "copying to the mirrors"),
        ))
    }
}
