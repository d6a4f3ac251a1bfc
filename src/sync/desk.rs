//! Who decides: shows each plan, lets a person choose where two sides differ, asks before the first
//! write.

use std::collections::{BTreeMap, BTreeSet};

use secrets_api::Name;

use super::line::{Line, listed};
use super::parties;
use super::request::Request;
use super::show::{self, To, sided};
use crate::apply::{self, Desk, Link, Place, Progress, Verdict, Work};
use crate::exit::{Exit, Failure, Result};
use crate::plan::{Action, Choice, Direction, Keep, Side, Step, Why};
use crate::printer::{Bar, counted};
use crate::session::Session;
use crate::shell::quoted;
use crate::stack::Layer;

/// So many names are told in a message; of others only how many there are.
const MOST_NAMED: usize = 3;
/// Of so many deletions it is asked one by one what is to become of each.
const MOST_ASKED: usize = 8;

/// The desk of a command line.
pub struct Counter<'a> {
    session: &'a Session,
    request: &'a Request<'a>,
    /// The names whose values are shown.
    reveal: BTreeSet<Name>,
    /// The last round that was shown.
    shown: Option<usize>,
    /// What was shown, by link and name.
    known: Vec<BTreeMap<Name, Step>>,
    /// The writes that were agreed to, by link and name.
    decided: Vec<BTreeMap<Name, Step>>,
}

impl<'a> Counter<'a> {
    /// A desk that nothing was shown at yet. `reveal`: the names whose values are shown.
    pub fn new(session: &'a Session, request: &'a Request<'a>, reveal: BTreeSet<Name>) -> Self {
        Self {
            session,
            request,
            reveal,
            shown: None,
            known: Vec::new(),
            decided: Vec::new(),
        }
    }

    /// The writes that were agreed to, by link and name: what a later look finds done is not planned any
    /// more.
    pub fn decided(&self) -> &[BTreeMap<Name, Step>] {
        &self.decided
    }

    /// Whether a person was shown this step, as it is now.
    fn knows(&self, link: usize, step: &Step) -> bool {
        let known = self.known.get(link).and_then(|known| known.get(&step.name));
        step.action.is_in_step()
            || known.is_some_and(|old| old.action == step.action && old.seen == step.seen)
    }

    /// Remembers that all steps were shown.
    fn remember(&mut self, work: &Work) {
        let by_name = |link: &Link| {
            let steps = link.plan.steps.iter();
            steps.map(|s| (s.name.clone(), s.clone())).collect()
        };
        self.known = work.links.iter().map(by_name).collect();
    }

    /// Whether anything is to be written that nobody has said yes to.
    fn has_news(&self, work: &Work) -> bool {
        work.links.iter().enumerate().any(|(n, link)| {
            let decided = self.decided.get(n);
            link.plan.writes().any(|step| {
                let old = decided.and_then(|decided| decided.get(&step.name));
                old.is_none_or(|old| old.action != step.action || old.seen != step.seen)
            })
        })
    }

    /// Shows what is new.
    fn show(&mut self, work: &Work, round: usize) -> Result<()> {
        let printer = &self.session.printer;
        let is_new = |n: usize, link: &Link| link.plan.steps.iter().any(|s| !self.knows(n, s));
        let opening = self.shown.is_none();
        let fresh = work.links.iter().enumerate().any(|(n, l)| is_new(n, l));
        if opening {
            show::surroundings(printer, work);
        } else if !fresh {
            return Ok(());
        } else if self.shown != Some(round) {
            printer.say(match work.following {
                true => {
                    "lines put together from what was written say something else now: this is new"
                }
                false => "somebody has written meanwhile: this is new",
            });
        }
        for (n, link) in work.links.iter().enumerate() {
            if link.failed.is_some() || !opening && !is_new(n, link) {
                continue;
            }
            if opening {
                show::memory(printer, link);
            }
            if !printer.is_quiet() {
                let holds = |step: &Step| opening || !self.knows(n, step);
                show::plan(printer, work, link, To::Person, holds)?;
            }
            if opening && !printer.json {
                show::reveal(printer, work, link, &self.reveal)?;
            }
        }
        self.shown = Some(round);
        self.remember(work);
        Ok(())
    }

    /// Has a person choose, name by name.
    fn choose(&self, work: &mut Work) -> Result<()> {
        let mut links = std::mem::take(&mut work.links);
        let chosen = links.iter_mut().try_for_each(|link| {
            let open: Vec<Step> = open(link).cloned().collect();
            let mut steps = open.iter();
            steps.try_for_each(|step| self.choose_one(work, link, step))
        });
        work.links = links;
        chosen
    }

    fn choose_one(&self, work: &Work, link: &mut Link, step: &Step) -> Result<()> {
        let printer = &self.session.printer;
        let name = &step.name;
        let offers = Offers::of(link, step, printer.out_is_terminal() && !printer.json);
        let keep = loop {
            // The end of the input is nobody's wish to skip.
            let answer = printer.ask_on(&offers.question, "--prefer")?;
            match offers.understand(answer.as_deref().unwrap_or("quit")) {
                Some(Answer::Flatten) => {
                    link.rules.flatten.insert(name.clone());
                    return Ok(());
                }
                Some(Answer::Keep(keep)) => break keep,
                Some(Answer::Reveal) => {
                    show::reveal(printer, work, link, &BTreeSet::from([name.clone()]))?;
                }
                Some(Answer::Quit) => {
                    return Err(Failure::new(Exit::Failed, "nothing was changed"));
                }
                None => printer.say("answer with one of the letters in brackets"),
            }
        };
        let shown = step.shown();
        let choice = Choice { keep, shown };
        link.rules.choices.insert(name.clone(), choice);
        Ok(())
    }

    /// What makes no sense whatever a person says: names that are nowhere, a source that is not there.
    fn check(&self, work: &Work) -> Result<()> {
        check_names(work)?;
        show::check_there(work, "--reveal", &self.reveal)?;
        let flatten = work.links.iter().flat_map(|link| &link.rules.flatten);
        show::check_there(work, "--flatten", &flatten.cloned().collect())?;
        for link in work.links.iter().filter(|link| link.failed.is_none()) {
            let Direction::To(to) = link.rules.direction else {
                continue;
            };
            let from = *link.sides.of(to.other());
            if work.observed[from]
                .as_ref()
                .is_some_and(|seen| seen.missing)
            {
                let message = format!("{} is not there", work.parties[from].label);
                return Err(Failure::new(Exit::NotFound, message)
                    .with_hint("there is nothing to copy; is its name right?"));
            }
        }
        show::check_any(work)
    }

    /// What stands in the way of all writes: conflicts, first copies that nobody has agreed to.
    fn refuse(&self, work: &Work) -> Result<()> {
        let conflicts: Vec<(&Link, &Step)> = work
            .links
            .iter()
            .flat_map(|link| link.plan.conflicts().map(move |step| (link, step)))
            .collect();
        if !conflicts.is_empty() {
            let message = conflict(&conflicts);
            let hint = self.conflict_hint(work, &conflicts);
            return Err(Failure::new(Exit::Conflict, message).with_hint(hint));
        }
        let firsts = |link: &Link| {
            let first = |a: &Action| matches!(a, Action::Create { first: true, .. });
            match link.rules.direction {
                Direction::Both => link.plan.count(first),
                Direction::To(_) => 0,
            }
        };
        let firsts: usize = work.links.iter().map(firsts).sum();
        if firsts == 0 || self.request.first || self.session.printer.can_ask() {
            return Ok(());
        }
        if self.request.consent.dry_run {
            self.session.printer.say(
                "what is marked `first sync` is copied after a yes; without a terminal only with --first",
            );
            return Ok(());
        }
        let (subject, them) = match firsts {
            1 => ("1 secret that was never synced".to_owned(), "it"),
            _ => (format!("{firsts} secrets that were never synced"), "them"),
        };
        let message = format!(
            "{subject} would be copied, and there is no terminal to ask on; nothing was written"
        );
        Err(Failure::new(Exit::Conflict, message)
            .with_hint(format!("if both sides are to have {them}: --first --yes")))
    }

    /// What to type about conflicts.
    fn conflict_hint(&self, work: &Work, conflicts: &[(&Link, &Step)]) -> String {
        let is_derived = |step: &Step| matches!(step.action, Action::Conflict(Why::Derived(_)));
        let (derived, others): (Vec<_>, Vec<_>) =
            conflicts.iter().partition(|(_, step)| is_derived(step));
        let mut hints = Vec::new();
        if let Some((link, _)) = others.first() {
            let (session, parties) = (self.session, work.parties.as_slice());
            let called = self.request.called(session, parties);
            let direction = link.rules.direction;
            let prefer = |side| {
                let word = parties::word_for(side, parties, &called, direction);
                format!("--prefer {}", quoted(&word))
            };
            match direction {
                Direction::Both => hints.push(format!(
                    "say which side counts: {} or {}",
                    prefer(Side::Left),
                    prefer(Side::Right)
                )),
                Direction::To(to) => {
                    let here = others.iter().filter(|(l, _)| std::ptr::eq(*l, *link));
                    let steps: Vec<&Step> = here.map(|(_, step)| *step).collect();
                    let is_gone = steps.iter().all(|step| step.seen.of(to).is_gone());
                    let what = match (to, is_gone) {
                        (Side::Right, false) => "take what the mirror has",
                        (Side::Left, false) => "copy what the source has",
                        (Side::Right, true) => "delete in the source too",
                        (Side::Left, true) => "delete in the mirror too",
                    };
                    if let Some(line) = self.other_way(work, link, to.other(), &steps) {
                        hints.push(format!("{what}: `{line}`"));
                    }
                    hints.push(format!("overwrite it: {}", prefer(to.other())));
                }
            }
            let may_delete = |side: Side| direction.writes(side.other());
            let deletes = |step: &Step| {
                let sides = Side::BOTH.into_iter().filter(|side| may_delete(*side));
                sides.into_iter().any(|side| step.seen.of(side).is_gone())
            };
            if others.iter().any(|(_, step)| deletes(step))
                && !self.request.merge.delete
                && let Some(last) = hints.last_mut()
            {
                last.push_str(" (a deletion also takes --delete)");
            }
            let names = others.iter().map(|(_, step)| &step.name);
            hints.push(format!("leave out: --except {}", listed(names)));
        }
        if !derived.is_empty() {
            let names = listed(derived.iter().map(|(_, step)| &step.name));
            hints.push(format!(
                "leave what is put together as it is, it follows what it refers to: --except {names}; or replace the line by its value: --flatten {names}"
            ));
        }
        hints.join("; ")
    }

    /// The command that copies these names of one link to a side, a deletion too; `None` where that cannot be
    /// written.
    fn other_way(&self, work: &Work, link: &Link, to: Side, steps: &[&Step]) -> Option<Line> {
        work.party(link, to).stack.last_writable().ok()?;
        let counts = match to {
            Side::Left => "mirror",
            Side::Right => "source",
        };
        let gone = steps.iter().any(|s| s.seen.of(to.other()).is_gone());
        let names = [listed(steps.iter().map(|step| &step.name))];
        let request = self.request;
        let line = request.one_way(self.session, &work.parties, link.sides.right, to);
        let line = line.list("--only", &names).flag("--prefer", counts);
        Some(request.as_asked(line.switch("--delete", gone)))
    }

    /// Says how what was deleted on one side comes back there, where that is not asked. Of several mirrors that
    /// have the same one is enough.
    fn say_way_back(&self, work: &Work, asks: bool) {
        let mut said = BTreeSet::new();
        let links = work.links.iter();
        for link in links.filter(|link| !asks || !asks_of_deletions(link)) {
            for side in Side::BOTH {
                let pending = |step: &&Step| step.action == Action::Pending { to: side };
                let steps: Vec<&Step> = link.plan.steps.iter().filter(pending).collect();
                let names: BTreeSet<&Name> = steps.iter().map(|step| &step.name).collect();
                if names.is_empty() || !said.insert((side, names)) {
                    continue;
                }
                let place = sided(link.rules.direction, side.other());
                if let Some(line) = self.other_way(work, link, side.other(), &steps) {
                    self.session.printer.hint(format!(
                        "to have back what was deleted in {place}: `{line}`"
                    ));
                }
            }
        }
    }

    fn ask(&self, work: &Work) -> Result<bool> {
        let mut parts = Vec::new();
        let mut caution = BTreeSet::new();
        let mut protected = BTreeSet::new();
        for link in &work.links {
            // What is written and what is removed, layer by layer.
            let mut layers = BTreeMap::<(Side, usize), ([usize; 2], Vec<_>)>::new();
            for step in link.plan.writes() {
                let Some(Place { to, layer, when }) = show::target(work, link, step) else {
                    continue;
                };
                let removal = matches!(step.action, Action::Delete { .. });
                let (counts, guards) = layers.entry((to, layer)).or_default();
                counts[usize::from(removal)] += 1;
                guards.push((layer, when));
            }
            for ((side, layer), ([written, removed], guards)) in layers {
                let stack = &work.party(link, side).stack;
                let Layer { label, spec, .. } = &stack.layers[layer];
                let own = spec.protected.as_deref();
                protected.extend(own.filter(|p| *p == spec.environment));
                if written > 0 {
                    parts.push(format!("write {} to {label}", counted(written, "secret")));
                }
                if removed > 0 {
                    parts.push(format!(
                        "remove {} from {label}",
                        counted(removed, "secret")
                    ));
                }
                caution.insert(stack.caution(guards));
            }
        }
        let caution: String = caution.into_iter().collect();
        let protected: String = protected
            .iter()
            .map(|environment| format!(" ({environment} is protected)"))
            .collect();
        let question = format!("{}{protected}{caution}", parts.join(", "));
        if !caution.is_empty() && self.request.consent.yes && !self.request.consent.dry_run {
            self.session.printer.say(&question);
        }
        self.request.consent.given(self.session, true, &question)
    }
}

/// Refuses names of `--only` and `--except` that are on no side, nor remembered. Says nothing where a side
/// could not be looked at.
///
/// # Errors
/// `NotFound`, naming the nearest name there is.
pub fn check_names(work: &Work) -> Result<()> {
    if work.observed.iter().any(Option::is_none) {
        return Ok(());
    }
    let seen = work.observed.iter().flatten();
    let seen = seen.flat_map(|s| s.held.keys().chain(s.unknown.keys()));
    let remembered = work.links.iter().flat_map(|link| link.kept.base().keys());
    let declared = |name: &str| work.parties.iter().any(|p| p.settings.declares(name));
    work.chosen.check(seen.chain(remembered), declared)
}

/// What a person may answer about one conflict.
struct Offers {
    question: String,
    derived: bool,
    left: bool,
    right: bool,
    reveal: bool,
}

/// What a person has answered.
enum Answer {
    Keep(Keep),
    Flatten,
    Reveal,
    Quit,
}

impl Offers {
    fn of(link: &Link, step: &Step, reveal: bool) -> Self {
        let direction = link.rules.direction;
        let derived = matches!(step.action, Action::Conflict(Why::Derived(_)));
        let may_keep = |side: Side| !derived && direction.writes(side.other());
        let (left, right) = (may_keep(Side::Left), may_keep(Side::Right));
        let mut offers = Vec::new();
        if derived {
            offers.push("[f]latten".to_owned());
        }
        for (side, key, may) in [
            (Side::Left, "[l]eft", left),
            (Side::Right, "[r]ight", right),
        ] {
            if may {
                let role = sided(direction, side).trim_start_matches("the ");
                let pending = matches!(step.action, Action::Pending { .. });
                let about = match (direction, step.seen.of(side).is_gone()) {
                    (Direction::Both, false) if pending => " (brings it back)".to_owned(),
                    (Direction::Both, false) => String::new(),
                    (Direction::Both, true) => " (removes it)".to_owned(),
                    (Direction::To(_), false) => format!(" (the {role})"),
                    (Direction::To(_), true) => format!(" (the {role}: removes it)"),
                };
                offers.push(format!("{key}{about}"));
            }
        }
        offers.push("[s]kip".to_owned());
        if reveal {
            offers.push("re[v]eal".to_owned());
        }
        offers.push("[q]uit".to_owned());
        let verb = if derived { "" } else { "keep " };
        Self {
            question: format!("{}: {verb}{}? ", step.name, offers.join(", ")),
            derived,
            left,
            right,
            reveal,
        }
    }

    fn understand(&self, answer: &str) -> Option<Answer> {
        match answer.trim().to_ascii_lowercase().as_str() {
            "f" | "flatten" if self.derived => Some(Answer::Flatten),
            "l" | "left" | "source" if self.left => Some(Answer::Keep(Keep::Side(Side::Left))),
            "r" | "right" | "mirror" if self.right => Some(Answer::Keep(Keep::Side(Side::Right))),
            "s" | "skip" | "" => Some(Answer::Keep(Keep::AsIs)),
            "v" | "reveal" if self.reveal => Some(Answer::Reveal),
            "q" | "quit" => Some(Answer::Quit),
            _ => None,
        }
    }
}

/// Whether a person is asked about the deletions of a link that were not asked to be passed on.
fn asks_of_deletions(link: &Link) -> bool {
    let pending = link.plan.count(|a| matches!(a, Action::Pending { .. }));
    link.rules.direction == Direction::Both && pending <= MOST_ASKED
}

/// The steps that a person is asked about.
fn open(link: &Link) -> impl Iterator<Item = &Step> {
    let deletions = asks_of_deletions(link);
    link.plan
        .steps
        .iter()
        .filter(move |step| match step.action {
            Action::Conflict(_) => true,
            Action::Pending { .. } => deletions,
            _ => false,
        })
}

/// That a plan has conflicts.
fn conflict(conflicts: &[(&Link, &Step)]) -> String {
    let names: BTreeSet<&Name> = conflicts.iter().map(|(_, step)| &step.name).collect();
    let named: Vec<&str> = names.iter().take(MOST_NAMED).map(|n| n.as_str()).collect();
    match (named.as_slice(), names.len().saturating_sub(MOST_NAMED)) {
        ([one], _) => format!("{one} is in conflict; nothing was written"),
        (named, 0) => format!("{} are in conflict; nothing was written", named.join(", ")),
        (named, more) => format!(
            "{} and {more} more are in conflict; nothing was written",
            named.join(", ")
        ),
    }
}

impl Desk for Counter<'_> {
    fn decide(&mut self, work: &mut Work, round: usize) -> Result<Verdict> {
        if work.links.iter().all(|link| link.failed.is_some()) {
            return Ok(Verdict::Stop);
        }
        if self.shown.is_none() {
            self.check(work)?;
        }
        let news = self.has_news(work);
        let opening = self.shown.is_none();
        self.show(work, round)?;
        let asks = self.session.printer.can_ask()
            && !self.request.consent.yes
            && !self.request.consent.dry_run;
        if opening {
            self.say_way_back(work, asks);
        }
        if asks && work.links.iter().any(|link| open(link).next().is_some()) {
            self.choose(work)?;
            return Ok(Verdict::Replan);
        }
        self.refuse(work)?;
        let printer = &self.session.printer;
        if work.links.iter().all(|l| l.plan.writes().next().is_none()) {
            if round == 0 {
                let in_step = work.links.iter().all(|link| link.plan.is_in_step());
                printer.say(if in_step {
                    "nothing to do"
                } else {
                    "nothing to write"
                });
            }
            return Ok(if self.request.consent.dry_run {
                Verdict::Stop
            } else {
                Verdict::Go
            });
        }
        apply::check(work)?;
        if news && !self.ask(work)? {
            return Ok(Verdict::Stop);
        }
        self.decided.resize_with(work.links.len(), BTreeMap::new);
        for (link, decided) in work.links.iter().zip(&mut self.decided) {
            decided.extend(link.plan.writes().map(|s| (s.name.clone(), s.clone())));
        }
        Ok(if asks { Verdict::Agreed } else { Verdict::Go })
    }

    fn begin(&self, total: usize) -> Box<dyn Progress> {
        Box::new(Drawn(self.session.printer.bar(total, "writing")))
    }
}

/// Progress as it is drawn.
pub(super) struct Drawn(pub(super) Bar);

impl Progress for Drawn {
    fn made(&self, count: usize) {
        self.0.advance(count);
    }
}
