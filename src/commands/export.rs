//! `secrets export`: the environment's secrets in a format that another tool reads.

use std::path::{Path, PathBuf};

use secrets_api::{SecretValue, Zeroizing};
use secrets_platform::files;

use crate::choice::Chosen;
use crate::exec::environment;
use crate::exit::{Exit, Failure, Result};
use crate::flags::{Choice, Consent};
use crate::formats::{self, Context, Format};
use crate::links::Names;
use crate::own_files;
use crate::printer::counted;
use crate::resolve::resolve;
use crate::session::Session;

/// Write the environment's secrets in another tool's format
#[derive(Debug, clap::Args)]
#[command(after_help = after_help())]
pub struct Args {
    /// The format; all are listed below
    #[arg(long, value_name = "FORMAT", required_unless_present = "json",
          value_parser = formats::parser(), hide_possible_values = true)]
    format: Option<Format>,
    /// Write into this file, readable by you alone, instead of standard output
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,
    /// Show the values on the terminal
    #[arg(long)]
    reveal: bool,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    consent: Consent,
}

fn after_help() -> String {
    let mut text = String::from("Formats:\n");
    for (name, about) in formats::FORMATS {
        text.push_str(&format!("  {name:<15} {about}\n"));
    }
    #[cfg(feature = "dotenv")]
    {
        let names: Vec<_> = secrets_dotenv::Dialect::names().collect();
        text.push_str(&format!("\nDialects: {}\n", names.join(", ")));
    }
    text.push_str(
        "\nA format refuses what its reader cannot hold. To a terminal it takes --reveal, or -o.\n\n\
         Examples:\n  eval \"$(secrets export --format shell)\"\n  \
         secrets export --format json | jq -r .SECRET_KEY\n  \
         secrets export --format systemd -o /run/shop/env\n  \
         secrets export --format k8s -e production | kubectl apply -f -",
    );
    text
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        // Before anything is read: a refusal must not depend on what is there.
        if self.output.is_none() && session.printer.out_is_terminal() && !self.reveal {
            return Err(Failure::usage("the values would be shown on this terminal")
                .with_hint("if that is meant: --reveal; else write them to a file with -o PATH, or pipe them on"));
        }
        let format = self.format.unwrap_or(Format::Json);
        let settings = session.settings()?;
        let secrets = resolve(session, &settings, &Chosen::new(&self.choice))?;
        environment::check_names(secrets.keys(), &settings.allowed_names)?;
        let context = Context {
            project: settings.manifest.project.name.clone(),
            environment: settings.environment.clone(),
        };
        let text = format.render(&secrets, &context)?;
        match &self.output {
            None if self.consent.dry_run => {
                session.printer.say(format!(
                    "would write {} to standard output",
                    counted(secrets.len(), "secret")
                ));
            }
            None => session.printer.data(text.expose())?,
            Some(path) => {
                let shown = path.display().to_string();
                let path = session.surroundings.cwd.join(path);
                own_files::refuse_file(&path, &settings.root, &shown)?;
                if self.save(session, &path, &text)? {
                    session.printer.done(format!(
                        "{} written to {}",
                        counted(secrets.len(), "secret"),
                        path.display()
                    ));
                }
            }
        }
        Ok(Exit::Done)
    }

    fn save(&self, session: &Session, path: &Path, text: &SecretValue) -> Result<bool> {
        let present = files::read(path)?;
        if let Some(open) = present.as_ref().filter(|now| now.mode & 0o077 != 0) {
            return Err(Failure::new(
                Exit::Denied,
                format!(
                    "others may read {} (mode {:03o})",
                    path.display(),
                    open.mode & 0o777
                ),
            )
            .with_hint(format!(
                "chmod 600 {}, or name another file",
                path.display()
            )));
        }
        if present
            .as_ref()
            .is_some_and(|now| *now.bytes == text.expose())
        {
            session
                .printer
                .say(format!("{} holds exactly this already", path.display()));
            return Ok(false);
        }
        let (verb, needed) = if present.is_some() {
            ("replace", true)
        } else {
            ("write", false)
        };
        if !self
            .consent
            .given(session, needed, &format!("{verb} {}", path.display()))?
        {
            return Ok(false);
        }
        let names = Names::of(path);
        let seen = present.map(|now| now.bytes);
        files::update(path, &files::Options::default(), |now| {
            if now.map(|now| &now.bytes[..]) != seen.as_deref().map(Vec::as_slice) {
                return Err(secrets_api::Error::new(
                    secrets_api::ErrorKind::Conflict,
                    format!("{} was changed by someone else meanwhile", path.display()),
                ));
            }
            Ok((
                files::Edit::Replace(Zeroizing::new(text.expose().to_vec())),
                (),
            ))
        })?;
        names.tell(&session.printer);
        Ok(true)
    }
}
