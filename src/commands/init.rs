//! `secrets init`: a project made ready in one go. Whatever is there already is left alone, so
//! that a second run changes nothing; what touches the user's own code is shown first and asked.

mod adopt;
mod project_files;

use std::path::PathBuf;

use secrets_local::Created;
use serde_json::json;

use super::identity::create as create_identity;
use crate::exit::{Exit, Result};
use crate::identity;
use crate::session::Session;
use crate::settings::{DEFAULT_ENVIRONMENT, Project};
use crate::{django, variables};

/// Make a project ready: manifest, identity, encrypted store; move a literal SECRET_KEY into it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Run in a Django project it finds manage.py, the settings, the .env files and a literal SECRET_KEY. \
What would be changed in your settings is shown first, and asked on a terminal; without one it \
takes --yes. Run twice, it changes nothing.")]
pub struct Args {
    /// Your name in the team [default: your user name]
    #[arg(long)]
    name: Option<String>,
    /// A public key (age1…) whose identity is kept in a safe place: opens the store if yours is lost
    #[arg(long, value_name = "KEY", conflicts_with = "no_recovery")]
    recovery: Option<String>,
    /// Have no recovery key
    #[arg(long)]
    no_recovery: bool,
    /// Keep a new identity in the OS keyring instead of a file
    #[arg(long)]
    keyring: bool,
    /// Do not ask the OS keyring whether it holds an identity: for a machine that has none
    #[arg(long, conflicts_with = "keyring")]
    no_keyring: bool,
    /// Move the values of .env into the encrypted store, and remove them from the file
    #[arg(long)]
    move_env: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Edit the settings without asking
    #[arg(short, long)]
    yes: bool,
}

/// What was found before anything is done.
struct Survey {
    root: PathBuf,
    environment: String,
    django: Option<django::Project>,
    /// What the settings read, or will read, their key from.
    key_names: Vec<String>,
    has_dotenv: bool,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let known = Project::discover(&session.surroundings)?;
        let survey = survey(session, &known)?;
        if let Some(django) = &survey.django {
            let manage = crate::settings::shown(&django.manage, &session.surroundings.cwd);
            session
                .printer
                .say(format!("found a Django project: {manage}"));
        }
        // What is wrong with the flags is said before anything is written.
        if let Some(key) = &self.recovery {
            secrets_local::check_recipient(key)?;
        }
        let mut changed = project_files::manifest(session, &survey, &known, self.dry_run)?;
        changed |= project_files::gitignore(session, &survey, self.dry_run)?;
        changed |= self.local_store(session, &survey)?;
        changed |= project_files::drivers(session, &survey, self.dry_run)?;
        if self.dry_run && changed {
            session.printer.say(
                "what follows (settings, .env) is shown once these are there; nothing was changed",
            );
            return Ok(Exit::Done);
        }
        let member = self.dry_run || is_member(session, &survey)?;
        let mut waits = !member;
        if member {
            let outcome = adopt::settings(session, &survey, self.yes, self.dry_run)?;
            waits = outcome == adopt::Outcome::Waits;
            changed |= outcome == adopt::Outcome::Moved;
            changed |= adopt::dotenv(session, &survey, self.move_env, self.dry_run)?;
        }
        if session.printer.json {
            session.printer.document(&json!({
                "schema": 1,
                "root": survey.root,
                "environment": survey.environment,
                "changed": changed && !self.dry_run,
                "member": member,
                "waits": waits,
            }))?;
        }
        if changed && member {
            session.printer.hint(format!("next: {}", next(&survey)));
        } else if !changed && !waits {
            session.printer.say("nothing to do: this project is ready");
        }
        Ok(Exit::Done)
    }

    /// The identity and the folder of the encrypted store.
    fn local_store(&self, session: &Session, survey: &Survey) -> Result<bool> {
        let mut changed = false;
        // A place that may hold an identity and cannot be asked ends it here: no second one.
        let found = identity::find_in(&session.surroundings, !self.no_keyring)?;
        let folder = session.local_folder(&survey.root);
        if self.dry_run {
            if found.is_none() {
                session.printer.say("would make an identity");
            }
            if !folder.exists() {
                session.printer.say("would create .secrets/, sealed to you");
            }
            return Ok(found.is_none() || !folder.exists());
        }
        if found.is_none() {
            create_identity(session, self.keyring)?;
            changed = true;
        }
        if folder.exists() {
            return Ok(changed);
        }
        let recovery = self.recovery(session)?;
        let name = self.name.clone().unwrap_or_else(|| user_name(session));
        match folder.init(&name, recovery.as_deref())? {
            Created::Now => {
                let who = if recovery.is_some() {
                    "you and the recovery key"
                } else {
                    "you"
                };
                session
                    .printer
                    .done(format!(".secrets/ created, sealed to {who} ({name})"));
                // An environment without its document would not start anything: it begins empty.
                let project = Project::discover(&session.surroundings)?;
                for document in crate::settings::local_documents(&project) {
                    folder.begin(&document)?;
                }
                let me = secrets_local::Identity::parse(&*session.identity()()?)?;
                session
                    .printer
                    .say(format!("your public key: {}", me.recipient()));
                if recovery.is_none() && !self.no_recovery {
                    session.printer.warn(
                        "there is no recovery key: if your identity is lost, so are the secrets",
                    );
                    session.printer.hint("keep a copy (`secrets identity export`), or add one: secrets team add safe age1… --recovery");
                }
                Ok(true)
            }
            Created::Before => Ok(changed),
        }
    }

    fn recovery(&self, session: &Session) -> Result<Option<String>> {
        if self.recovery.is_some() || self.no_recovery || !session.printer.can_ask() {
            return Ok(self.recovery.clone());
        }
        session.printer.say("a recovery key opens the store if your identity is lost: `age-keygen -o recovery.key` makes one; keep that file away from this machine");
        loop {
            let answer = session.printer.ask(
                "public recovery key (age1…), or Enter for none: ",
                "--recovery or --no-recovery",
            )?;
            let answer = answer.trim();
            if answer.is_empty() {
                return Ok(None);
            }
            match secrets_local::check_recipient(answer) {
                Ok(()) => return Ok(Some(answer.to_owned())),
                Err(error) => session.printer.failure(&error.into()),
            }
        }
    }
}

/// Whether the identity opens this project's store; what to do about it is said.
fn is_member(session: &Session, survey: &Survey) -> Result<bool> {
    let found = identity::find(&session.surroundings)?;
    // One with a passphrase is asked for when it is needed.
    let Some((_, found)) = found.filter(|(_, f)| !secrets_local::Identity::is_encrypted(f)) else {
        return Ok(true);
    };
    let me = secrets_local::Identity::parse(&found)?;
    let team = session.local_folder(&survey.root).team()?;
    let (age, sign) = (me.recipient(), me.signing_key());
    if team
        .members()
        .iter()
        .any(|m| m.age == age || m.sign.as_ref() == Some(&sign))
    {
        return Ok(true);
    }
    session
        .printer
        .warn("you are not in this project's team: its store is not sealed to you yet");
    session.printer.hint(format!(
        "someone who is in runs: secrets team add YOUR-NAME '{age}' {sign}; then you pull"
    ));
    Ok(false)
}

/// What to type next.
fn next(survey: &Survey) -> String {
    let module = survey.django.as_ref().and_then(django::Project::package);
    match (survey.key_names.first(), module) {
        (Some(key), Some(module)) => {
            format!("secrets set {key} --generate, then secrets exec -- gunicorn {module}.wsgi")
        }
        _ => "secrets set NAME, then secrets exec -- COMMAND".to_owned(),
    }
}

/// The names the settings read their key from: the variables they name, and SECRET_KEY where a
/// literal will be moved or nothing says otherwise.
fn key_names(project: &django::Project) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for key in django::secret_keys(project)? {
        let name = match key {
            django::SecretKey::Literal { .. } => "SECRET_KEY".to_owned(),
            django::SecretKey::Environment {
                variable: Some(name),
                ..
            } => name.to_string(),
            _ => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names.push("SECRET_KEY".to_owned());
    }
    Ok(names)
}

fn survey(session: &Session, known: &Project) -> Result<Survey> {
    let django = django::find(&session.surroundings.cwd).map_err(|e| {
        crate::exit::Failure::new(
            Exit::Failed,
            format!("cannot look for a Django project: {e}"),
        )
    })?;
    let cwd = &session.surroundings.cwd;
    let root = match (&known.found, &django) {
        (Some(found), _) => found.root.clone(),
        // Above manage.py the working directory is the project's; inside it, manage.py's folder.
        (None, Some(django)) if cwd.starts_with(&django.root) => django.root.clone(),
        (None, _) => cwd.clone(),
    };
    let environment = match &known.found {
        Some(_) => known.environment(&session.globals, &session.surroundings)?,
        None => session
            .globals
            .env
            .as_deref()
            .or_else(|| session.surroundings.text(variables::ENV))
            .unwrap_or(DEFAULT_ENVIRONMENT)
            .to_owned(),
    };
    crate::manifest::check_environment(&environment)?;
    Ok(Survey {
        has_dotenv: root.join(".env").is_file(),
        key_names: django.as_ref().map_or(Ok(Vec::new()), key_names)?,
        root,
        environment,
        django,
    })
}

/// The user's name for the team, from where a login puts it.
fn user_name(session: &Session) -> String {
    let given = session
        .surroundings
        .text(variables::USER)
        .or_else(|| session.surroundings.text(variables::LOGNAME));
    let plain: String = given
        .unwrap_or("me")
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect();
    if plain.is_empty() {
        "me".to_owned()
    } else {
        plain
    }
}
