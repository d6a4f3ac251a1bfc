//! `secrets schema`: the manifest's JSON schema.

use crate::exit::{Exit, Result};
use crate::manifest;
use crate::session::Session;

/// Print the JSON schema of secrets.toml
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Editors use it to complete and check the manifest. It is generated from the types \
                        that read it."
)]
pub struct Args {}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        session.printer.document(&manifest::schema())?;
        Ok(Exit::Done)
    }
}
