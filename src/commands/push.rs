//! `secrets push`: from the environment's source to its mirrors.

use crate::exit::{Exit, Failure, Result};
use crate::flags::{Choice, Consent, Mapping, Merge, Reveal};
use crate::plan::{Direction, Side};
use crate::session::Session;
use crate::sync::line::Line;
use crate::sync::parties;
use crate::sync::request::Request;

/// Copy what changed in the environment's source to its mirrors; the source is never written
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What was changed in a mirror alone is a conflict: take it with `secrets pull`, or overwrite it with --prefer \
source. Names that only a mirror has are left alone; what was deleted in the source since the last push is deleted \
there only with --delete. The plan is shown first, and a yes asked for.\n\n\
Exits 5 on a conflict: nothing is written then. 8 where a mirror could not be written: the others are, and the \
printed command resumes.\n\nExamples:\n  secrets push -e production\n  \
secrets push 'aws:shop/production?layout=each' --dry-run\n  \
secrets push --store vault:secret/shop 'dotenv:/etc/shop/env?dialect=systemd' --yes")]
pub struct Args {
    /// The stores to copy to, in place of the environment's mirrors
    #[arg(value_name = "STORE")]
    stores: Vec<String>,
    #[command(flatten)]
    merge: Merge,
    #[command(flatten)]
    mapping: Mapping,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    reveal: Reveal,
    #[command(flatten)]
    consent: Consent,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let source = parties::source(session)?;
        let targets = parties::mirrors(session, &source, &self.stores)?;
        for target in &targets {
            parties::writable(target, "push to a store that can be written")?;
        }
        if targets.is_empty() {
            let environment = &source.settings.environment;
            let push = Line::new("push").words(["STORE"]).globals(&session.globals);
            let message = format!("environment `{environment}` has no mirrors");
            return Err(Failure::usage(message).with_hint(format!(
                "name a store: `{push}`, or add `mirrors = [\"…\"]` below [environments.{environment}] in secrets.toml"
            )));
        }
        let mut all = vec![source];
        all.extend(targets);
        let request = Request {
            verb: "push",
            direction: Direction::To(Side::Right),
            merge: &self.merge,
            mapping: &self.mapping,
            choice: &self.choice,
            reveal: &self.reveal,
            consent: self.consent,
            first: false,
            words: self.stores.clone(),
        };
        request.run(session, all)
    }
}
