//! Who decides: shows each plan, lets a person choose where two sides differ, asks before the first
//! write.

use std::collections::{BTreeMap, BTreeSet};

use secrets_api::Name;

use super::show::{self, To, sided};
use crate::apply::{self, Desk, Link, Progress, Verdict, Work};
use crate::exit::{Exit, Failure, Result};
use crate::flags::Consent;
use crate::plan::{Action, Choice, Direction, Keep, Side, Sides, Step, Why};
use crate::printer::{Bar, counted};
use crate::session::Session;

/// So many names are told in a message; of others only how many there are.
const MOST_NAMED: usize = 3;

/// The desk of a command line.
pub struct Counter<'a> {
    session: &'a Session,
    consent: Consent,
    /// Whether what the two have never agreed on may be copied without a person's word.
    first: bool,
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
    /// A desk that nothing was shown at yet. `first`: whether what the two have never agreed on may be
    /// copied without a person's word; `reveal`: the names whose values are shown.
    pub fn new(
        session: &'a Session,
        consent: Consent,
        first: bool,
        reveal: BTreeSet<Name>,
    ) -> Self {
        Self {
            session,
            consent,
            first,
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
            printer.say("somebody has written meanwhile: this is new");
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

    /// Has a person choose, conflict by conflict.
    fn choose(&self, work: &mut Work) -> Result<()> {
        let mut links = std::mem::take(&mut work.links);
        let chosen = links.iter_mut().try_for_each(|link| {
            let conflicts: Vec<Step> = link.plan.conflicts().cloned().collect();
            let mut steps = conflicts.iter();
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
            let answer = printer.ask(&offers.question, "--prefer")?;
            match offers.understand(&answer) {
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
        let shown = Sides {
            left: step.seen.left.fingerprint(),
            right: step.seen.right.fingerprint(),
        };
        let choice = Choice { keep, shown };
        link.rules.choices.insert(name.clone(), choice);
        Ok(())
    }

    /// What makes no sense whatever a person says: names that are nowhere, a source that is not there.
    fn check(&self, work: &Work) -> Result<()> {
        check_names(work)?;
        show::check_revealed(work, &self.reveal)?;
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
        Ok(())
    }

    /// What stands in the way of all writes: conflicts, first copies that nobody has agreed to.
    fn refuse(&self, work: &Work) -> Result<()> {
        let conflicts: Vec<(&Link, &Step)> = work
            .links
            .iter()
            .flat_map(|link| link.plan.conflicts().map(move |step| (link, step)))
            .collect();
        if let Some((link, first)) = conflicts.first() {
            let names: Vec<&Name> = conflicts.iter().map(|(_, step)| &step.name).collect();
            return Err(conflict(link, first, &names));
        }
        let firsts = |link: &Link| {
            let first = |a: &Action| matches!(a, Action::Create { first: true, .. });
            match link.rules.direction {
                Direction::Both => link.plan.count(first),
                Direction::To(_) => 0,
            }
        };
        let firsts: usize = work.links.iter().map(firsts).sum();
        if firsts == 0 || self.first || self.session.printer.can_ask() {
            return Ok(());
        }
        if self.consent.dry_run {
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
            .with_hint(format!("if both sides are to have {them}: --first")))
    }

    fn ask(&self, work: &Work) -> Result<bool> {
        let mut parts = Vec::new();
        let mut caution = BTreeSet::new();
        for link in &work.links {
            // What is written and what is removed, layer by layer.
            let mut layers = BTreeMap::<(Side, usize), ([usize; 2], Vec<_>)>::new();
            let writes = link.plan.writes();
            for (step, at) in
                writes.filter_map(|step| Some((step, show::target_layer(work, link, step)?)))
            {
                let removal = matches!(step.action, Action::Delete { .. });
                let (counts, guards) = layers.entry(at).or_default();
                counts[usize::from(removal)] += 1;
                guards.push((at.1, show::guard(work, link, step, at)));
            }
            for ((side, layer), ([written, removed], guards)) in layers {
                let stack = &work.party(link, side).stack;
                let label = &stack.layers[layer].label;
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
        let question = format!("{}{caution}", parts.join(", "));
        if !caution.is_empty() && self.consent.yes && !self.consent.dry_run {
            self.session.printer.say(&question);
        }
        self.consent.given(self.session, true, &question)
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
                let about = match (direction, step.seen.of(side).is_gone()) {
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

/// The refusal of a plan with conflicts.
fn conflict(link: &Link, first: &Step, names: &[&Name]) -> Failure {
    let named: Vec<&str> = names.iter().take(MOST_NAMED).map(|n| n.as_str()).collect();
    let message = match (named.as_slice(), names.len().saturating_sub(MOST_NAMED)) {
        ([one], _) => format!("{one} is in conflict; nothing was written"),
        (named, 0) => format!("{} are in conflict; nothing was written", named.join(", ")),
        (named, more) => format!(
            "{} and {more} more are in conflict; nothing was written",
            named.join(", ")
        ),
    };
    let hint = match (&first.action, link.rules.direction) {
        (Action::Conflict(Why::Derived(_)), _) => {
            format!("replace the line by its value: --flatten {}; leave it out: --except {}", first.name, first.name)
        }
        (_, Direction::Both) => {
            "say which side counts: --prefer left or --prefer right (a deletion also takes --delete); leave names out: --except NAME".to_owned()
        }
        (_, Direction::To(Side::Right)) => {
            "take what the mirror has: `secrets pull`; overwrite it: --prefer source (a deletion also takes --delete); leave names out: --except NAME".to_owned()
        }
        (_, Direction::To(Side::Left)) => {
            "copy what the source has: `secrets push`; overwrite it: --prefer mirror (a deletion also takes --delete); leave names out: --except NAME".to_owned()
        }
    };
    Failure::new(Exit::Conflict, message).with_hint(hint)
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
        self.show(work, round)?;
        let asks = self.session.printer.can_ask() && !self.consent.yes && !self.consent.dry_run;
        let conflicts = |link: &Link| link.plan.conflicts().next().is_some();
        if asks && work.links.iter().any(conflicts) {
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
            return Ok(if self.consent.dry_run {
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
        Ok(Verdict::Go)
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
