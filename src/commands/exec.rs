//! `secrets exec`: resolve, check, then become the command.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;

use secrets_api::Name;
use secrets_platform::process;

use crate::choice::Chosen;
use crate::exec::environment::{self, Keep, Rules};
use crate::exit::{Exit, Failure, Result};
use crate::flags::Choice;
use crate::resolve::{Resolved, resolve_to_start};
use crate::session::Session;
use crate::settings::Settings;
use crate::variables;

/// Run a command with the environment's secrets in its environment
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The command takes this process's place: same pid, its own signals and exit \
status. It is not started if a required secret is missing or a store cannot be read.\n\n\
Exit status: the command's own; 125 if secrets itself failed, 126 if the command cannot be \
executed, 127 if it was not found.\n\nExamples:\n  secrets exec -- gunicorn shop.wsgi\n  \
secrets exec -e production --only 'DB_*,SECRET_KEY' -- ./manage.py migrate"
)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
    /// Let inherited variables win over the stores: all of them, or those named
    #[arg(long, value_name = "NAMES", num_args = 0..=1, require_equals = true,
          default_missing_value = "*", value_delimiter = ',')]
    keep_env: Option<Vec<String>>,
    /// Pass on nothing but the secrets
    #[arg(long)]
    pristine: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

impl Args {
    /// Runs it; returns only if the command could not be started.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let settings = session.settings()?;
        let resolved = resolve_to_start(session, &settings, &Chosen::new(&self.choice))?;
        let started = self.start(session, &settings, &resolved);
        // Whoever comes back has not become the command.
        resolved.give_back(session);
        started
    }

    fn start(self, session: &Session, settings: &Settings, resolved: &Resolved) -> Result<Exit> {
        let secrets = &resolved.secrets;
        // What a name has anyway takes nothing over: `env:` as a layer hands PATH on as it was.
        let inherited = |name: &&Name| {
            let present = session.surroundings.variable(name.as_str());
            present.is_some_and(|v| v.as_bytes() == secrets[*name].expose())
        };
        let new = secrets.keys().filter(|name| !inherited(name));
        environment::check_names(new, &settings.allowed_names)?;
        let rules = Rules {
            keep: match self.keep_env {
                None => Keep::None,
                Some(names) if names.iter().any(|n| n == "*") => Keep::All,
                Some(names) => Keep::Names(names),
            },
            pristine: self.pristine,
            credentials: settings.credential_names(),
        };
        let given: Vec<_> = secrets.iter().collect();
        let built = environment::build(&session.surroundings.variables, &given, &rules)?;
        for name in &built.overridden {
            session
                .printer
                .detail(1, || format!("{name} is overridden by the store"));
        }
        for name in &built.kept {
            session
                .printer
                .detail(1, || format!("{name} is kept as inherited"));
        }
        become_command(session, &self.command, &built.variables)
    }
}

fn become_command(
    session: &Session,
    command: &[OsString],
    variables: &[(OsString, OsString)],
) -> Result<Exit> {
    let Some(name) = command.first() else {
        return Err(Failure::usage("there is no command to run"));
    };
    let shown = name.display();
    let limits = process::limits();
    limits.check(command, variables).map_err(|excess| match excess {
        process::Excess::One { name, bytes } => Failure::new(
            Exit::Failed,
            format!("{name} has {bytes} bytes; one variable, name and value, holds at most {}", limits.one),
        )
        .with_hint(format!("leave it out with `--except {name}`, or keep it in a file")),
        process::Excess::Total { bytes } => Failure::new(
            Exit::Failed,
            format!("arguments and environment have {bytes} bytes together; a process is given at most {}", limits.total),
        )
        .with_hint("pass fewer on with `--only` or `--pristine`"),
    })?;
    // The command is searched where we were started, not where a store says.
    let path = session.surroundings.variable(variables::PATH);
    let program = process::find_program(name, path).map_err(|e| failed(&e, &shown.to_string()))?;
    let error = process::exec(&program, command, variables);
    Err(failed(&error, &shown.to_string()))
}

fn failed(error: &process::ExecError, command: &str) -> Failure {
    let exit = match error {
        process::ExecError::NotFound => Exit::CommandNotFound,
        process::ExecError::NotExecutable(_) => Exit::NotExecutable,
        _ => Exit::ExecFailed,
    };
    let failure = Failure::new(exit, format!("{command}: {error}"));
    match error {
        process::ExecError::NotFound => {
            failure.with_hint("is it installed, and in PATH? give its path to be sure")
        }
        _ => failure,
    }
}
