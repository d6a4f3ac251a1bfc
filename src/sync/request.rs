//! One sync as a command line asks for it, from its parties to its end: what `sync`, `push` and `pull`
//! do alike.

use std::collections::BTreeSet;

use secrets_api::Name;

use super::desk::Counter;
use super::end;
use super::json::Report;
use super::line::{self, Line};
use super::parties::{self, Asked};
use crate::apply::{self, Keeper, Party};
use crate::choice::Chosen;
use crate::exit::{Exit, Result};
use crate::flags::{Choice, Consent, Globals, Mapping, Merge, Reveal};
use crate::plan::{Direction, Rules, Side};
use crate::session::Session;
use crate::settings::names;

/// What is asked for.
#[derive(Debug)]
pub struct Request<'a> {
    /// The verb, for reports.
    pub verb: &'a str,
    /// Which sides may be written.
    pub direction: Direction,
    /// How the two are brought together.
    pub merge: &'a Merge,
    /// Names that differ on the right side.
    pub mapping: &'a Mapping,
    /// Which names.
    pub choice: &'a Choice,
    /// What is shown.
    pub reveal: &'a Reveal,
    /// How to ask.
    pub consent: Consent,
    /// Whether first copies need no person's word.
    pub first: bool,
    /// The stores as they were named on the command line, for the command that resumes.
    pub words: Vec<String>,
}

impl Request<'_> {
    /// Does it: the first party with each of the others.
    ///
    /// # Errors
    /// Why it was not done, or only partly.
    pub fn run(&self, session: &Session, parties: Vec<Party>) -> Result<Exit> {
        let called = self.called(session, &parties);
        let back = || self.back(session, &parties);
        let prefer = self.merge.prefer.as_deref();
        let rules = Rules {
            direction: self.direction,
            prefer: parties::preferred(prefer, &parties, &called, self.direction, back)?,
            delete: self.merge.delete,
            flatten: names(&self.merge.flatten)?.into_iter().collect(),
            named: self.named(),
            ..Rules::default()
        };
        let (parties, mapping) = self.mapped(parties)?;
        let asked = Asked {
            rules,
            mapping: &mapping,
            // A run that writes nothing leaves no trace.
            locked: !self.consent.dry_run,
        };
        let chosen = Chosen::new(self.choice);
        let reveal: BTreeSet<Name> = names(&self.reveal.reveal)?.into_iter().collect();
        let mut work = parties::work(session, parties, &asked, chosen)?;
        if self.merge.no_keep {
            let parties = work.parties.iter_mut();
            parties.for_each(|party| party.keeper = Keeper::NotWanted);
        }
        let mut desk = Counter::new(session, self, reveal.clone());
        let ran = session.block_on(apply::run(&mut work, &session.cx(), &mut desk));
        let ended = end::end(&session.printer, &work, ran, &self.again(session));
        if session.printer.json {
            let report = Report {
                verb: self.verb,
                work: &work,
                decided: desk.decided(),
                reveal: &reveal,
                error: ended.as_ref().err(),
            };
            session.printer.document(&report.document())?;
        }
        ended
    }

    /// The names that were written out, one by one. A mapping has them as the left side does.
    fn named(&self) -> BTreeSet<Name> {
        let words = self.choice.only.iter();
        words.filter_map(|word| Name::new(word).ok()).collect()
    }

    /// The right sides under their own names.
    fn mapped(&self, parties: Vec<Party>) -> Result<(Vec<Party>, String)> {
        let mut mapping = String::new();
        let mut mapped = Vec::with_capacity(parties.len());
        for (n, party) in parties.into_iter().enumerate() {
            mapped.push(match n {
                0 => party,
                _ => {
                    let (party, identity) = parties::renamed(party, self.mapping)?;
                    mapping = identity;
                    party
                }
            });
        }
        Ok((mapped, mapping))
    }

    /// How each party was named: by its word on the command line, a source by its environment.
    pub fn called(&self, session: &Session, parties: &[Party]) -> Vec<Option<String>> {
        let words = self.words.iter().cloned().map(Some);
        if self.direction == Direction::Both {
            return words.collect();
        }
        let chosen = session.globals.store.is_empty();
        let source = chosen.then(|| parties[0].settings.environment.clone());
        std::iter::once(source).chain(words).collect()
    }

    /// The command that resumes.
    fn again(&self, session: &Session) -> Line {
        Line::new(self.verb)
            .words(&self.words)
            .globals(&session.globals)
            .choice(self.choice)
            .list("--flatten", &self.merge.flatten)
            .mapping(self.mapping)
            .flag_opt("--prefer", self.merge.prefer.as_deref())
            .switch("--delete", self.merge.delete)
            .switch("--no-keep", self.merge.no_keep)
            .switch("--first", self.first)
            .switch("--yes", self.consent.yes)
    }

    /// The command that copies between the same two parties to one side only: the first of them and one of the
    /// others, by its place.
    pub fn one_way(&self, session: &Session, parties: &[Party], right: usize, to: Side) -> Line {
        let line = Line::new(match to {
            Side::Right => "push",
            Side::Left => "pull",
        });
        let globals = &session.globals;
        let line = match (self.direction, self.words.as_slice()) {
            (Direction::Both, [left, other]) => {
                let manifest = &parties[0].settings.manifest;
                let globals = globals.clone();
                let globals = if manifest.environments.contains_key(left) {
                    Globals {
                        env: Some(left.clone()),
                        ..globals
                    }
                } else {
                    Globals {
                        store: vec![left.clone()],
                        ..globals
                    }
                };
                // A document of the encrypted store is another one in another environment.
                let other = match other.as_str() {
                    "local:" => &parties[right].label,
                    _ => other,
                };
                line.words([other]).globals(&globals)
            }
            (_, words) => {
                let named = || line::address(&parties[right], &session.surroundings.cwd);
                let mirror = match words.get(right - 1) {
                    Some(word) => Some(word.clone()),
                    None => (parties.len() > 2).then(named),
                };
                line.words(mirror).globals(globals)
            }
        };
        line.mapping(self.mapping)
    }

    /// A command of [`Self::one_way`] with how this run was to ask.
    pub fn as_asked(&self, line: Line) -> Line {
        line.switch("--no-keep", self.merge.no_keep)
            .switch("--yes", self.consent.yes)
    }

    /// The same the other way round, for what was asked for and cannot be.
    fn back(&self, session: &Session, parties: &[Party]) -> String {
        let to = match self.direction {
            Direction::To(to) => to.other(),
            Direction::Both => Side::Right,
        };
        let line = self
            .one_way(session, parties, 1, to)
            .choice(self.choice)
            .flag_opt("--prefer", self.merge.prefer.as_deref())
            .switch("--delete", self.merge.delete);
        self.as_asked(line).to_string()
    }
}
