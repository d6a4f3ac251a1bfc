//! Flags that several verbs have: those that mean the same everywhere, which names, how to ask.

use clap::Args;

use crate::printer::Color;

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
