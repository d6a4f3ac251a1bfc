//! One verb a file: its arguments beside its `run`. This module only dispatches.

use clap::Subcommand;

use crate::exit::{Exit, Result};
use crate::session::Session;

#[cfg(feature = "dotenv")]
mod check;
mod completions;
mod diff;
mod doctor;
mod edit;
mod env;
pub(crate) mod exec;
mod export;
mod generate;
mod get;
#[cfg(feature = "local")]
mod git;
mod history;
#[cfg(feature = "local")]
mod identity;
mod import;
#[cfg(feature = "local")]
mod init;
mod list;
mod man;
mod pull;
mod push;
mod rollback;
mod schema;
mod set;
mod status;
mod sync;
#[cfg(feature = "local")]
mod team;
mod trust;
mod unset;

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "clap would take a variant's documentation for the verb's help, which is its Args'")]
#[rustfmt::skip]
pub enum Verb {
    #[cfg(feature = "local")] #[command(display_order = 1)] Init(init::Args),
    #[command(display_order = 2)] Generate(generate::Args),
    #[command(display_order = 3)] Set(set::Args),
    #[command(display_order = 4)] Get(get::Args),
    #[command(display_order = 5, visible_alias = "ls")] List(list::Args),
    #[command(display_order = 6, visible_alias = "rm")] Unset(unset::Args),
    #[command(display_order = 7)] Edit(edit::Args),
    #[command(display_order = 8)] History(history::Args),
    #[command(display_order = 9)] Rollback(rollback::Args),
    #[command(display_order = 10, visible_alias = "run")] Exec(exec::Args),
    #[command(display_order = 11)] Export(export::Args),
    #[command(display_order = 12)] Import(import::Args),
    #[command(display_order = 13)] Diff(diff::Args),
    #[command(display_order = 14)] Status(status::Args),
    #[command(display_order = 15)] Sync(sync::Args),
    #[command(display_order = 16)] Push(push::Args),
    #[command(display_order = 17)] Pull(pull::Args),
    #[cfg(feature = "local")] #[command(display_order = 18)] Identity(identity::Args),
    #[cfg(feature = "local")] #[command(display_order = 19)] Team(team::Args),
    #[cfg(feature = "local")] #[command(display_order = 24)] Git(git::Args),
    #[command(display_order = 20)] Env(env::Args),
    #[command(display_order = 21)] Trust(trust::Args),
    #[command(display_order = 22)] Doctor(doctor::Args),
    #[cfg(feature = "dotenv")] #[command(display_order = 23)] Check(check::Args),
    #[command(display_order = 25)] Completions(completions::Args),
    #[command(display_order = 26)] Man(man::Args),
    #[command(display_order = 27)] Schema(schema::Args),
}

impl Verb {
    /// Does it.
    ///
    /// # Errors
    /// What the verb could not do, with its exit code.
    pub fn run(self, session: &Session) -> Result<Exit> {
        match self {
            #[cfg(feature = "local")]
            Self::Init(args) => args.run(session),
            Self::Generate(args) => args.run(session),
            Self::Set(args) => args.run(session),
            Self::Get(args) => args.run(session),
            Self::List(args) => args.run(session),
            Self::Unset(args) => args.run(session),
            Self::Edit(args) => args.run(session),
            Self::History(args) => args.run(session),
            Self::Rollback(args) => args.run(session),
            Self::Exec(args) => args.run(session),
            Self::Export(args) => args.run(session),
            Self::Import(args) => args.run(session),
            Self::Diff(args) => args.run(session),
            Self::Status(args) => args.run(session),
            Self::Sync(args) => args.run(session),
            Self::Push(args) => args.run(session),
            Self::Pull(args) => args.run(session),
            #[cfg(feature = "local")]
            Self::Identity(args) => args.run(session),
            #[cfg(feature = "local")]
            Self::Team(args) => args.run(session),
            #[cfg(feature = "local")]
            Self::Git(args) => args.run(session),
            Self::Env(args) => args.run(session),
            Self::Trust(args) => args.run(session),
            Self::Doctor(args) => args.run(session),
            #[cfg(feature = "dotenv")]
            Self::Check(args) => args.run(session),
            Self::Completions(args) => args.run(session),
            Self::Man(args) => args.run(session),
            Self::Schema(args) => args.run(session),
        }
    }

    /// Whether this is `exec`, whose exit codes are its own.
    pub fn is_exec(&self) -> bool {
        matches!(self, Self::Exec(_))
    }

    /// Whether values may pass through memory: then the process is shut against inspection first.
    pub fn handles_values(&self) -> bool {
        !matches!(self, Self::Completions(_) | Self::Man(_) | Self::Schema(_))
    }
}
