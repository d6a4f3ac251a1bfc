//! Copies a change of the source to the mirrors right away, where the manifest says so. A mirror that
//! cannot take it loses nothing: it is out of step, `status` shows it, and the next `push` brings it there.

use std::collections::BTreeSet;

use secrets_api::{Name, Precondition};

use super::parties::{self, Asked};
use super::show::{self, why_words};
use crate::apply::{self, Desk, Link, Progress, Verdict, Work};
use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::flags::Choice as Names;
use crate::manifest::trust::{self, Record};
use crate::plan::{Action, Choice, Direction, Keep, Rules, Side, Sides};
use crate::session::Session;
use crate::settings::Settings;
use crate::stack::UNGUARDED;
use crate::variables;

/// Pushes these names, which have just been changed in the environment's source.
///
/// # Errors
/// `Partly` if a mirror does not hold what the source does now: the change itself is made.
pub fn push<'a>(
    session: &Session,
    settings: &Settings,
    names: impl IntoIterator<Item = &'a Name>,
) -> Result<Exit> {
    let environment = settings.manifest.environments.get(&settings.environment);
    let wanted = environment.is_some_and(|e| e.auto_push && !e.mirrors.is_empty());
    let names: Vec<String> = names.into_iter().map(Name::to_string).collect();
    if !wanted || names.is_empty() || !session.globals.store.is_empty() {
        return Ok(Exit::Done);
    }
    let late = |failure: Failure| {
        let again = format!("secrets push -e {}", settings.environment);
        let message = format!("set, but not in every mirror: {}", failure.message);
        let hint = match failure.hint {
            Some(hint) => format!("{hint}; then `{again}`"),
            None => format!("to resume: `{again}`"),
        };
        Failure::new(Exit::Partly, message).with_hint(hint)
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
        left: BTreeSet::new(),
        cautioned: BTreeSet::new(),
    };
    let ran = session.block_on(apply::run(&mut work, &session.cx(), &mut desk));
    ran.map_err(late)?;
    let printer = &session.printer;
    let mut behind = !desk.left.is_empty();
    for link in &work.links {
        let label = &work.party(link, Side::Right).label;
        if let Some((_, failure)) = &link.failed {
            printer.warn(format!("{label}: not copied: {}", failure.message));
            behind = true;
        }
        for outcome in &link.outcomes {
            match outcome.fate.failure() {
                None => printer.done(format!("{} copied to {label}", outcome.name)),
                Some(failure) => {
                    printer.warn(format!(
                        "{label}: {} not copied: {}",
                        outcome.name, failure.message
                    ));
                    behind = true;
                }
            }
        }
        for step in &link.plan.steps {
            if matches!(step.action, Action::Pending { .. }) {
                printer.warn(format!("{label}: {} is still there", step.name));
                printer.hint(format!(
                    "`secrets push --delete -e {}` removes it there too",
                    settings.environment
                ));
            }
        }
    }
    if behind {
        return Err(late(Failure::usage("see above")));
    }
    Ok(Exit::Done)
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
    left: BTreeSet<(String, Name)>,
    /// The mirrors that were said to guard no write.
    cautioned: BTreeSet<String>,
}

impl Silent<'_> {
    /// Why a link's writes would take a person's word: another environment, a protected one, reads what
    /// they are made to. Who changed this one was asked about this one alone, if at all.
    fn refusal(work: &Work, link: &Link) -> Option<Failure> {
        let stack = &work.party(link, Side::Right).stack;
        let mut targets = link.plan.writes().filter_map(|step| {
            let (_, layer) = show::target_layer(work, link, step)?;
            stack.protector(layer)
        });
        let other = targets.next()?;
        let message = format!("{other} reads it and is protected: that takes your word");
        Some(Failure::usage(message))
    }

    /// Says of each mirror once that it guards none of the writes that are about to be made.
    fn caution(&mut self, work: &Work) {
        for link in &work.links {
            let label = &work.party(link, Side::Right).label;
            let unguarded = link.plan.writes().any(|step| {
                let at = show::target_layer(work, link, step);
                at.is_some_and(|at| show::guard(work, link, step, at) == Precondition::Unguarded)
            });
            if unguarded && self.cautioned.insert(label.clone()) {
                self.session.printer.warn(format!("{label}: {UNGUARDED}"));
            }
        }
    }

    /// Leaves the conflicts of a link as they are; whether there were any that are new.
    fn leave(&mut self, work: &Work, link: &Link) -> Vec<(Name, Choice)> {
        let label = |side: Side| work.party(link, side).label.as_str();
        let mut choices = Vec::new();
        for step in link.plan.conflicts() {
            let Action::Conflict(why) = step.action else {
                continue;
            };
            let mirror = label(Side::Right).to_owned();
            self.session.printer.warn(format!(
                "{mirror}: {} not copied: {}",
                step.name,
                why_words(why, &label)
            ));
            self.left.insert((mirror, step.name.clone()));
            let shown = Sides {
                left: step.seen.left.fingerprint(),
                right: step.seen.right.fingerprint(),
            };
            let keep = Keep::AsIs;
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
