//! The files `init` writes into a project: the manifest and lines of `.gitignore`.

use secrets_api::{Error, ErrorKind, Zeroizing};
use secrets_platform::files::{self, Edit};

use super::Survey;
use crate::exit::{Failure, Result};
use crate::manifest::{self, FILE_NAME};
use crate::session::Session;
use crate::settings::Project;
use crate::{django, drivers};

/// Committed files are for everyone to read.
fn committed() -> files::Options {
    files::Options {
        mode_if_new: 0o644,
        ..files::Options::default()
    }
}

/// Writes the manifest, unless there is one.
pub(super) fn manifest(
    session: &Session,
    survey: &Survey,
    known: &Project,
    dry_run: bool,
) -> Result<bool> {
    if known.found.is_some() {
        return Ok(false);
    }
    let folder = survey
        .root
        .file_name()
        .map_or("project".into(), |n| n.to_string_lossy().into_owned());
    let mut source = vec!["local:".to_owned()];
    if survey.has_dotenv {
        source.insert(0, "dotenv:.env".to_owned());
    }
    let secrets: Vec<_> = survey
        .key_names
        .iter()
        .map(|name| (name.clone(), Some("django-key")))
        .collect();
    let text = manifest::initial(&folder, &survey.environment, &source, &secrets);
    if dry_run {
        session.printer.say(format!(
            "would write {FILE_NAME}, source {}",
            source.join(", ")
        ));
        return Ok(true);
    }
    files::update(
        &survey.root.join(FILE_NAME),
        &committed(),
        |now| match now {
            // Written by another run at this moment: theirs stays.
            Some(_) => Ok((Edit::Keep, ())),
            None => Ok((Edit::Replace(Zeroizing::new(text.clone().into_bytes())), ())),
        },
    )?;
    session
        .printer
        .done(format!("{FILE_NAME} written, source {}", source.join(", ")));
    Ok(true)
}

/// Adds what keeps `.env` files out of source control, unless it is there.
pub(super) fn gitignore(session: &Session, survey: &Survey, dry_run: bool) -> Result<bool> {
    let path = survey.root.join(".gitignore");
    if !manifest::trust::is_inside(&survey.root, &path) {
        session
            .printer
            .warn(".gitignore is a link that leads out of the project: left alone");
        return Ok(false);
    }
    if dry_run {
        let present = files::read(&path)?;
        let text = present
            .map(|now| String::from_utf8_lossy(&now.bytes).into_owned())
            .unwrap_or_default();
        let missing = django::gitignore_lines(&text).is_some();
        if missing {
            session.printer.say("would add .env to .gitignore");
        }
        return Ok(missing);
    }
    let added = files::update(&path, &committed(), |now| {
        let text = std::str::from_utf8(now.map_or(&[], |now| &now.bytes)).map_err(|_| {
            Error::new(
                ErrorKind::InvalidData,
                format!("{} is not UTF-8", path.display()),
            )
        })?;
        Ok(match django::gitignore_lines(text) {
            Some(more) => (Edit::Replace(Zeroizing::new(more.into_bytes())), true),
            None => (Edit::Keep, false),
        })
    })
    .map_err(Failure::from)?;
    if added {
        session.printer.done(".env added to .gitignore");
    }
    Ok(added)
}

/// The drivers by which git merges and shows the encrypted store: in this clone alone.
pub(super) fn drivers(session: &Session, survey: &Survey, dry_run: bool) -> Result<bool> {
    let root = &survey.root;
    if !drivers::is_repository(root) || drivers::are_installed(root).unwrap_or(false) {
        return Ok(false);
    }
    if dry_run {
        session
            .printer
            .say("would have git merge and show .secrets/*.age by name");
        return Ok(true);
    }
    match drivers::install(root) {
        Ok(changed) => {
            if changed {
                session
                    .printer
                    .done("git merges and shows .secrets/*.age by name, in this clone");
            }
            Ok(changed)
        }
        // A project is ready without it.
        Err(failure) => {
            session.printer.warn(failure.message);
            Ok(false)
        }
    }
}
