//! `secrets doctor`: each store and mirror: reachable, who we are, what we may do, how to mend it.

mod finding;
mod policy;
mod stores;
#[cfg(feature = "local")]
mod tracked;

use serde_json::{Value, json};

use self::finding::Finding;
#[cfg(feature = "local")]
use crate::drivers;
use crate::exit::{Exit, Result};
use crate::identity;
use crate::session::Session;
use crate::settings::Project;

/// Check the setup: manifest, identity, each store and mirror; say how to mend what is wrong
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exits 7 if it finds something to mend.\n\nExamples:\n  secrets doctor -e production\n  \
secrets doctor --policy --store vault:secret/shop/production | bao policy write shop -"
)]
pub struct Args {
    /// Print the least policy under which each store and mirror of the environment works, and nothing else;
    /// asks no store
    #[arg(long)]
    policy: bool,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        if self.policy {
            return policy::print(session);
        }
        let mut findings = vec![manifest(session), own_identity(session)];
        findings.extend(machine_key(session));
        #[cfg(feature = "local")]
        findings.extend(git(session));
        findings.extend(stores::look(session));
        let sound = findings.iter().all(Finding::is_sound);
        if session.printer.json {
            let list: Vec<Value> = findings.iter().map(Finding::json).collect();
            session
                .printer
                .document(&json!({"schema": 1, "sound": sound, "findings": list}))?;
        } else {
            for finding in &findings {
                finding.show(session)?;
            }
        }
        Ok(if sound { Exit::Done } else { Exit::Findings })
    }
}

fn manifest(session: &Session) -> Finding {
    let mut finding = Finding::about("manifest");
    match Project::discover(&session.surroundings) {
        Ok(Project {
            found: Some(found), ..
        }) => finding.fact("file", found.path.display().to_string()),
        Ok(_) => finding.fact("file", "none: a .env in this folder is used, or --store"),
        Err(failure) => finding.failure(failure),
    }
    finding
}

fn own_identity(session: &Session) -> Finding {
    let mut finding = Finding::about("identity");
    match identity::find(&session.surroundings) {
        Ok(Some((place, _))) => finding.fact("kept in", place.to_string()),
        // Only the local store needs one; it says so itself.
        Ok(None) => finding.fact("kept in", "none: only `local:` stores need one"),
        Err(error) => finding.error(&error),
    }
    finding
}

/// What is wrong with the machine key, if anything is.
fn machine_key(session: &Session) -> Option<Finding> {
    let fault = identity::machine_key_fault(&session.surroundings.dirs)?;
    let mut finding = Finding::about("machine key");
    finding.error(&fault);
    Some(finding)
}

/// Whether git merges the encrypted store by name in this clone, where there is one.
#[cfg(feature = "local")]
fn git(session: &Session) -> Option<Finding> {
    let root = Project::discover(&session.surroundings).ok()?.root;
    if !drivers::is_repository(&root) || !session.local_folder(&root).exists() {
        return None;
    }
    let mut finding = Finding::about("git");
    match drivers::are_installed(&root) {
        Ok(true) => finding.fact("merges and shows", ".secrets/*.age by name"),
        Ok(false) => finding.problem(
            "git would not merge .secrets/*.age by name in this clone",
            Some("`secrets git install`".into()),
        ),
        Err(failure) => finding.failure(failure),
    }
    Some(finding)
}
