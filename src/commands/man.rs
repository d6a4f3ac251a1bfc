//! `secrets man`: the manual pages, generated from the command line's own description.

use std::path::PathBuf;

use clap::CommandFactory as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use secrets_api::Zeroizing;
use secrets_platform::files;

use crate::cli::Cli;
use crate::exit::{Exit, Failure, Result};
use crate::session::Session;
use crate::variables;

/// Print the manual page, or write one for each verb
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  secrets man | man -l -\n  secrets man -o ~/.local/share/man/man1"
)]
pub struct Args {
    /// Write all pages into this folder
    #[arg(short, long, value_name = "FOLDER")]
    output: Option<PathBuf>,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let mut root = Cli::command();
        root.build();
        let Some(folder) = self.output else {
            session.printer.data(&main_page(root)?)?;
            return Ok(Exit::Done);
        };
        let mut pages = vec![("secrets.1".to_owned(), main_page(root.clone())?)];
        for verb in root.get_subcommands() {
            let name = format!("secrets-{}", verb.get_name());
            let page = Man::new(verb.clone().name(name.clone()));
            let mut text = Vec::new();
            page.render(&mut text).map_err(unwritable)?;
            pages.push((format!("{name}.1"), text));
        }
        let options = files::Options {
            mode_if_new: 0o644,
            create_parents: true,
            ..files::Options::default()
        };
        for (name, text) in &pages {
            files::update(&folder.join(name), &options, |_| {
                Ok((files::Edit::Replace(Zeroizing::new(text.clone())), ()))
            })?;
        }
        session.printer.done(format!(
            "{} pages written to {}",
            pages.len(),
            folder.display()
        ));
        Ok(Exit::Done)
    }
}

fn unwritable(error: std::io::Error) -> Failure {
    Failure::new(
        Exit::Failed,
        format!("cannot write the manual page: {error}"),
    )
}

/// The page of the program as a whole, with the sections clap knows nothing of.
fn main_page(command: clap::Command) -> Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text).map_err(unwritable)?;
    let mut more = Roff::new();
    more.control("SH", ["ENVIRONMENT"]);
    for (name, meaning) in variables::TABLE {
        more.control("TP", []);
        more.text([bold(*name)]);
        more.text([roman(*meaning)]);
    }
    more.control("SH", ["EXIT STATUS"]);
    for (exit, meaning) in Exit::TABLE {
        more.control("TP", []);
        more.text([bold((*exit as u8).to_string())]);
        more.text([roman(*meaning)]);
    }
    more.to_writer(&mut text).map_err(unwritable)?;
    Ok(text)
}
