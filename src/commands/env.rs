//! `secrets env`: the environments.

use serde_json::json;

use crate::exit::{Exit, Result};
use crate::session::Session;
use crate::settings::Project;

/// Show the environments
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the environments with their sources and mirrors
    List,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let What::List = self.what;
        let project = Project::discover(&session.surroundings)?;
        let chosen = project
            .environment(&session.globals, &session.surroundings)
            .ok();
        let environments = &project.manifest.environments;
        if session.printer.json {
            let list: Vec<_> = environments
                .iter()
                .map(|(name, e)| {
                    json!({
                        "name": name,
                        "chosen": chosen.as_ref() == Some(name),
                        "source": e.source,
                        "mirrors": e.mirrors,
                        "inherit": e.inherit,
                        "protected": e.protected,
                    })
                })
                .collect();
            session
                .printer
                .document(&json!({"schema": 1, "environments": list}))?;
            return Ok(Exit::Done);
        }
        if environments.is_empty() {
            session.printer.say("no environments are declared");
            session.printer.hint("run `secrets init`");
            return Ok(Exit::Done);
        }
        let rows: Vec<Vec<String>> = environments
            .iter()
            .map(|(name, e)| {
                let mut source = e.source.clone();
                source.splice(0..0, e.inherit.iter().map(|p| format!("({p})")));
                vec![
                    if chosen.as_ref() == Some(name) {
                        "*"
                    } else {
                        ""
                    }
                    .to_owned(),
                    name.clone(),
                    source.join(", "),
                    e.mirrors.join(", "),
                    if e.protected { "yes" } else { "" }.to_owned(),
                ]
            })
            .collect();
        session
            .printer
            .table(&["", "NAME", "SOURCE", "MIRRORS", "PROTECTED"], &rows)?;
        Ok(Exit::Done)
    }
}
