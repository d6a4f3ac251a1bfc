//! One sync as a command line asks for it, from its parties to its end: what `sync`, `push` and `pull`
//! do alike.

use std::collections::BTreeSet;

use secrets_api::Name;

use super::desk::Counter;
use super::end;
use super::json::Report;
use super::parties::{self, Asked};
use crate::apply::{self, Keeper, Party};
use crate::choice::Chosen;
use crate::exit::{Exit, Result};
use crate::flags::{Choice, Consent, Mapping, Merge, Reveal};
use crate::plan::{Direction, Rules};
use crate::session::Session;
use crate::settings::names;
use crate::shell::quoted;

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
        let prefer = self.merge.prefer.as_deref();
        let rules = Rules {
            direction: self.direction,
            prefer: parties::preferred(prefer, &parties, self.direction)?,
            delete: self.merge.delete,
            flatten: names(&self.merge.flatten)?.into_iter().collect(),
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
        let mut desk = Counter::new(session, self.consent, self.first, reveal.clone());
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

    /// The command that resumes, as a shell reads it.
    fn again(&self, session: &Session) -> String {
        let mut words = vec!["secrets".to_owned(), self.verb.to_owned()];
        words.extend(self.words.iter().cloned());
        let mut add = |flag: &str, value: &str| words.extend([flag.to_owned(), value.to_owned()]);
        let globals = &session.globals;
        globals.env.iter().for_each(|env| add("--env", env));
        let stores = globals.store.iter();
        stores.for_each(|store| add("--store", store));
        #[cfg(feature = "dotenv")]
        globals.dialect.iter().for_each(|d| add("--dialect", d));
        for (flag, names) in [
            ("--only", &self.choice.only),
            ("--except", &self.choice.except),
            ("--flatten", &self.merge.flatten),
            ("--rename", &self.mapping.rename),
        ] {
            if !names.is_empty() {
                add(flag, &names.join(","));
            }
        }
        let (prefix, prefer) = (&self.mapping.prefix, &self.merge.prefer);
        prefix.iter().for_each(|prefix| add("--prefix", prefix));
        prefer.iter().for_each(|side| add("--prefer", side));
        let flags = [
            (self.merge.delete, "--delete"),
            (self.merge.no_keep, "--no-keep"),
            (self.first, "--first"),
            (self.consent.yes, "--yes"),
        ];
        let set = flags.iter().filter(|(on, _)| *on);
        words.extend(set.map(|(_, flag)| (*flag).to_owned()));
        let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        quoted.join(" ")
    }
}
