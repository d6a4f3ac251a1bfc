//! The command line: what means the same everywhere, and the list of verbs.

use std::ffi::OsString;

use clap::Parser;
use clap::builder::styling::{AnsiColor, Styles};

use crate::commands::Verb;
use crate::flags::Globals;

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
            Some("--env" | "--store" | "--dialect" | "--color") => {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn exec_is_recognised_behind_every_flag_that_takes_a_value() {
        let command = Cli::command();
        let flags: Vec<_> = command
            .get_arguments()
            .filter(|arg| arg.get_action().takes_values())
            .collect();
        assert!(flags.len() >= 4, "{flags:?}");
        for flag in flags {
            let long = format!("--{}", flag.get_long().unwrap());
            let short = flag.get_short().map(|short| format!("-{short}"));
            for flag in [long].into_iter().chain(short) {
                let line = ["secrets", &flag, "value", "exec"].map(OsString::from);
                assert!(is_exec(&line), "{flag}");
                let line = ["secrets", &flag, "exec", "list"].map(OsString::from);
                assert!(!is_exec(&line), "{flag}");
            }
        }
    }
}
