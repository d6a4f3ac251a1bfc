//! `secrets sync`: two stores, both ways.

use crate::exit::{Exit, Result};
use crate::flags::{Choice, Consent, Mapping, Merge, Reveal};
use crate::plan::{Direction, Side};
use crate::session::Session;
use crate::sync::parties;
use crate::sync::request::Request;

/// Bring two stores to hold the same: what changed in one is copied to the other
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A name that changed on both sides is a conflict: nothing is written until you say which side counts \
(--prefer), or choose name by name on a terminal. What was deleted on one side is deleted on the other only \
with --delete.\n\nExamples:\n  secrets sync dotenv:.env vault:secret/shop/dev\n  \
secrets sync dotenv:.env local: --dry-run\n  secrets sync staging aws:shop/staging --only 'DB_*' --prefer left\n  \
secrets sync dotenv:.env keyring:shop --first --yes   # without a terminal")]
pub struct Args {
    /// A store (an address, or a name from secrets.toml), or an environment
    #[arg(value_name = "A")]
    left: String,
    /// The other
    #[arg(value_name = "B")]
    right: String,
    /// Without a terminal: copy also what the two have never agreed on (each write still takes --yes)
    #[arg(long)]
    first: bool,
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
        parties::no_store_flag(session)?;
        let parties = vec![
            parties::named(session, &self.left)?,
            parties::named(session, &self.right)?,
        ];
        let request = Request {
            verb: "sync",
            direction: Direction::Both,
            merge: &self.merge,
            mapping: &self.mapping,
            choice: &self.choice,
            reveal: &self.reveal,
            consent: self.consent,
            first: self.first,
            words: vec![self.left.clone(), self.right.clone()],
        };
        for (n, to) in [(0, Side::Right), (1, Side::Left)] {
            let line = request.one_way(session, &parties, 1, to);
            let line = request.as_asked(line.choice(&self.choice));
            let hint = format!("sync writes both sides; to copy one way: `{line}`");
            parties::writable(&parties[n], &hint)?;
        }
        request.run(session, parties)
    }
}
