//! `secrets completions`: what a shell needs to complete our command line.

use clap::CommandFactory as _;

use crate::cli::Cli;
use crate::exit::{Exit, Result};
use crate::session::Session;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  secrets completions bash > ~/.local/share/bash-completion/completions/secrets\n  \
                        secrets completions zsh > ~/.zfunc/_secrets\n  \
                        secrets completions fish > ~/.config/fish/completions/secrets.fish"
)]
pub struct Args {
    /// The shell
    shell: clap_complete::Shell,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "secrets", &mut script);
        session.printer.data(&script)?;
        Ok(Exit::Done)
    }
}
