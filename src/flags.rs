//! Flags that several verbs have: those that mean the same everywhere, which names, how to ask.

use std::collections::BTreeMap;

use clap::Args;

use crate::exit::{Failure, Result};
use crate::layers::names::Names;
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

/// How two stores are brought together.
#[derive(Debug, Clone, Default, Args)]
pub struct Merge {
    /// Which side counts where both have changed: left, right, or one of the stores as it is named
    /// (push and pull: source, mirror)
    #[arg(long, value_name = "SIDE")]
    pub prefer: Option<String>,
    /// Pass deletions on: what was deleted on one side since the last sync is deleted on the other
    #[arg(long)]
    pub delete: bool,
    /// Write these names also where they are put together from other lines of a `.env` file
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub flatten: Vec<String>,
    /// Do not keep, in the local store, what is replaced in a store without history
    #[arg(long)]
    pub no_keep: bool,
}

/// Names that are called otherwise on the right side.
#[derive(Debug, Clone, Default, Args)]
pub struct Mapping {
    /// Names on the right side (of push and pull: in the mirror) begin with this
    #[arg(long, value_name = "PREFIX")]
    pub prefix: Option<String>,
    /// A name that is called otherwise there
    #[arg(long, value_name = "HERE=THERE", value_delimiter = ',')]
    pub rename: Vec<String>,
}

impl Mapping {
    /// The mapping that the flags describe.
    ///
    /// # Errors
    /// A usage failure for what is no `HERE=THERE`, or makes one name of two.
    pub fn names(&self) -> Result<Names> {
        let mut rename = BTreeMap::new();
        for pair in &self.rename {
            let (here, there) = pair.split_once('=').ok_or_else(|| {
                Failure::usage("--rename takes HERE=THERE: a name here, and what it is there")
            })?;
            if rename.insert(here.to_owned(), there.to_owned()).is_some() {
                return Err(Failure::usage("--rename names the same secret twice"));
            }
        }
        Ok(Names::new(self.prefix.as_deref(), &rename)?)
    }
}

/// What of two stores is shown.
#[derive(Debug, Clone, Default, Args)]
pub struct Reveal {
    /// Show the values of these names, on standard output
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub reveal: Vec<String>,
}
