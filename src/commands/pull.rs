//! `secrets pull`: from a mirror to the environment's source.

use crate::exit::{Exit, Failure, Result};
use crate::flags::{Choice, Consent, Mapping, Merge, Reveal};
use crate::plan::{Direction, Side};
use crate::session::Session;
use crate::shell::quoted;
use crate::sync::line::{Line, address};
use crate::sync::parties;
use crate::sync::request::Request;

/// Copy what changed in a mirror to the environment's source; the mirror is never written
#[derive(Debug, clap::Args)]
#[command(after_help = "\
What was changed in the source alone is a conflict: copy it with `secrets push`, or overwrite it with \
--prefer mirror. Names that only the source has are left alone; what was deleted in the mirror since they agreed is \
deleted in the source only with --delete. Of several layers the one that supplies a name is written.\n\n\
Exits 5 on a conflict: nothing is written then.\n\nExamples:\n  secrets pull -e production\n  \
secrets pull --store dotenv:.env vault:secret/shop/dev   # a .env from Vault")]
pub struct Args {
    /// The store to copy from: needed where the environment has no mirror, or several
    #[arg(value_name = "STORE")]
    from: Option<String>,
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
        parties::writable(
            &source,
            "pull writes the source: name one that can be written with --store",
        )?;
        let words: Vec<String> = self.from.iter().cloned().collect();
        let mirrors = parties::mirrors(session, &source, &words)?;
        let mut parties = vec![source];
        match <[_; 1]>::try_from(mirrors) {
            Ok([mirror]) => parties.push(mirror),
            Err(mirrors) => {
                let environment = &parties[0].settings.environment;
                let cwd = &session.surroundings.cwd;
                let stores: Vec<_> = mirrors.iter().map(|m| quoted(&address(m, cwd))).collect();
                let pull = |store: &str| {
                    let line = Line::new("pull").words([store]).globals(&session.globals);
                    format!("`{line}`")
                };
                let (how_many, hint) = match stores.is_empty() {
                    true => ("no", format!("name a store: {}", pull("STORE"))),
                    false => (
                        "several",
                        format!(
                            "name one: {}, STORE is {}",
                            pull("STORE"),
                            stores.join(", ")
                        ),
                    ),
                };
                let message = format!("environment `{environment}` has {how_many} mirrors");
                return Err(Failure::usage(message).with_hint(hint));
            }
        }
        let request = Request {
            verb: "pull",
            direction: Direction::To(Side::Left),
            merge: &self.merge,
            mapping: &self.mapping,
            choice: &self.choice,
            reveal: &self.reveal,
            consent: self.consent,
            first: false,
            words,
        };
        request.run(session, parties)
    }
}
