//! The command line: what means the same everywhere, and the list of verbs.

use std::ffi::OsString;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, Parser};

use crate::commands::Verb;
use crate::printer::Color;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Generate, keep, share and inject the secrets of a Django site, or of anything that reads its
/// configuration from the environment.
#[derive(Debug, Parser)]
#[command(
    name = "secrets",
    version,
    styles = STYLES,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Start with `secrets init` in your project, then `secrets set SECRET_KEY --generate` \
                  and `secrets exec -- gunicorn shop.wsgi`."
)]
pub struct Cli {
    /// Flags that mean the same everywhere.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The same command line with `exec` alone. Describing every verb takes longer than all else that
/// `exec` does before it becomes the command, so a command line is first read as this one.
#[derive(Debug, Parser)]
#[command(
    name = "secrets",
    version,
    disable_help_subcommand = true,
    disable_help_flag = true,
    disable_version_flag = true
)]
pub struct ExecCli {
    /// Flags that mean the same everywhere.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub verb: ExecVerb,
}

/// The one verb of [`ExecCli`].
#[derive(Debug, clap::Subcommand)]
#[allow(
    missing_docs,
    reason = "never shown: help and errors come from the whole command line"
)]
pub enum ExecVerb {
    #[command(alias = "run", disable_help_flag = true, disable_version_flag = true)]
    Exec(crate::commands::exec::Args),
}

impl Cli {
    /// Reads a command line, the program's own name first.
    ///
    /// # Errors
    /// What clap says of it; help and the version come this way, too.
    pub fn read(arguments: &[OsString]) -> Result<Self, clap::Error> {
        if is_exec(arguments)
            && let Ok(ExecCli {
                globals,
                verb: ExecVerb::Exec(args),
            }) = ExecCli::try_parse_from(arguments)
        {
            return Ok(Self {
                globals,
                verb: Verb::Exec(args),
            });
        }
        Self::try_parse_from(arguments)
    }
}

/// Whether the verb of a command line is `exec`: the first word that is neither a flag nor the value
/// of one.
pub fn is_exec(arguments: &[OsString]) -> bool {
    let mut words = arguments.iter().skip(1);
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--env" | "--store" | "--color") => {
                words.next();
            }
            // Short flags together, the last of which takes a value.
            Some(flag)
                if flag.starts_with('-') && !flag.starts_with("--") && flag.ends_with('e') =>
            {
                words.next();
            }
            Some(flag) if flag.starts_with('-') => {}
            verb => return matches!(verb, Some("exec" | "run")),
        }
    }
    false
}

/// Flags that mean the same everywhere.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options everywhere")]
pub struct Globals {
    /// The environment to work on [default: SECRETS_ENV, else the manifest's default-environment]
    #[arg(short, long, global = true, value_name = "NAME")]
    pub env: Option<String>,
    /// A store (an address such as `dotenv:.env`, or a name from the manifest) in place of the
    /// environment's source; several are layers, later ones win
    #[arg(long, global = true, value_name = "STORE")]
    pub store: Vec<String>,
    /// Who reads the `.env` files that do not say so themselves by `?dialect=` [default: python-dotenv]
    #[cfg(feature = "dotenv")]
    #[arg(long, global = true, value_name = "DIALECT", hide_possible_values = true,
        value_parser = clap::builder::PossibleValuesParser::new(secrets_dotenv::Dialect::names()))]
    pub dialect: Option<String>,
    /// Report as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on standard error; twice for every call to a store
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing but errors and what was asked for
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Never ask; fail where an answer is needed
    #[arg(long, global = true)]
    pub no_input: bool,
}

/// Which names a verb is about.
#[derive(Debug, Clone, Default, Args)]
pub struct Choice {
    /// Only these names; `*` and `?` match
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// All but these names; `*` and `?` match
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub except: Vec<String>,
}

/// How a verb that changes something asks first.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct Consent {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask for confirmation
    #[arg(short, long)]
    pub yes: bool,
}
