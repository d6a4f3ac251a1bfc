//! `secrets diff`: two stores compared by name and fingerprint.

use std::collections::BTreeSet;

use secrets_api::Name;

use crate::apply::{self, Work};
use crate::choice::Chosen;
use crate::exit::{Exit, Result};
use crate::flags::{Choice, Mapping, Reveal};
use crate::plan::Rules;
use crate::session::Session;
use crate::settings::names;
use crate::sync::desk::check_names;
use crate::sync::json::Report;
use crate::sync::parties::{self, Asked};
use crate::sync::show::{self, To};

/// Compare two stores by name; values are shown only with --reveal
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Shows what `secrets sync` would do, and changes nothing. A is on the left, B on the right, and an arrow shows \
which way a value would go. The eight digits stand for a value: they are equal where the values are; behind them \
the store's version and how old it is, where the store tells.\n\n\
+ on one side only   ~ changed on one side   - deleted on one side   = the same\n\
! in conflict        ? to be deleted with --delete, or not readable\n\n\
Exits 0 where both hold the same, 7 where they differ.\n\n\
Examples:\n  secrets diff dotenv:.env vault:secret/shop/dev\n  secrets diff staging production\n  \
secrets diff dotenv:.env local: --reveal DATABASE_URL")]
pub struct Args {
    /// A store (an address, or a name from secrets.toml), or an environment
    #[arg(value_name = "A")]
    left: String,
    /// The other
    #[arg(value_name = "B")]
    right: String,
    #[command(flatten)]
    mapping: Mapping,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    reveal: Reveal,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        parties::no_store_flag(session)?;
        let left = parties::named(session, &self.left)?;
        let right = parties::named(session, &self.right)?;
        let (right, mapping) = parties::renamed(right, &self.mapping)?;
        let asked = Asked {
            rules: Rules::default(),
            mapping: &mapping,
            locked: false,
        };
        let chosen = Chosen::new(&self.choice);
        let reveal: BTreeSet<Name> = names(&self.reveal.reveal)?.into_iter().collect();
        let mut work = parties::work(session, vec![left, right], &asked, chosen)?;
        let spinner = session.printer.spinner("reading both");
        session.block_on(apply::look(&mut work, &session.cx()));
        drop(spinner);
        let found = match &work.links[0].failed {
            Some((_, failure)) => Err(failure.clone()),
            None => check(&work, &reveal),
        };
        if session.printer.json {
            let report = Report {
                verb: "diff",
                work: &work,
                decided: &[],
                reveal: &reveal,
                error: found.as_ref().err(),
            };
            session.printer.document(&report.document())?;
            return found;
        }
        let found = found?;
        let link = &work.links[0];
        show::surroundings(&session.printer, &work);
        show::memory(&session.printer, link);
        show::plan(&session.printer, &work, link, To::Out, |_| true)?;
        show::reveal(&session.printer, &work, link, &reveal)?;
        Ok(found)
    }
}

/// Whether the two hold the same.
fn check(work: &Work, reveal: &BTreeSet<Name>) -> Result<Exit> {
    check_names(work)?;
    show::check_there(work, "--reveal", reveal)?;
    show::check_any(work)?;
    Ok(if work.links[0].plan.is_in_step() {
        Exit::Done
    } else {
        Exit::Findings
    })
}
