//! `secrets list`: names, with store, version and age; never a value.

use jiff::Timestamp;
use serde_json::json;

use crate::age;
use crate::choice::Chosen;
use crate::exit::{Exit, Result};
use crate::flags::Choice;
use crate::resolve;
use crate::session::Session;

/// List names with store, version and age; never a value
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let settings = session.settings()?;
        let chosen = Chosen::new(&self.choice);
        let stack = session.open(&settings)?;
        let mut listed = session.block_on(stack.list(&session.cx()))?;
        chosen.check(listed.keys(), |name| settings.declares(name))?;
        let missing: Vec<_> = settings
            .missing(|name| {
                let is_held = |name: &_| listed.contains_key(name);
                is_held(name) || resolve::is_in_file(session, &settings, name, is_held)
            })
            .filter(|name| chosen.holds(name))
            .collect();
        listed.retain(|name, _| chosen.holds(name));
        if session.printer.json {
            let secrets: Vec<_> = listed
                .iter()
                .map(|(name, item)| {
                    json!({
                        "name": name.as_str(),
                        "store": stack.layers[item.layer].label,
                        "version": item.meta.version.as_ref().map(|v| v.as_str()),
                        "modified": item.meta.modified.map(|t| t.to_string()),
                        "author": item.meta.author,
                        "derived": item.meta.derived,
                    })
                })
                .collect();
            let missing: Vec<_> = missing.iter().map(|n| n.as_str()).collect();
            session.printer.document(&json!({
                "schema": 1,
                "environment": settings.environment,
                "secrets": secrets,
                "missing": missing,
            }))?;
            return Ok(Exit::Done);
        }
        if listed.is_empty() {
            session
                .printer
                .say(format!("no secrets in {}", settings.place()));
        } else {
            let now = Timestamp::now();
            let rows: Vec<Vec<String>> = listed
                .iter()
                .map(|(name, item)| {
                    vec![
                        name.to_string(),
                        stack.layers[item.layer].label.clone(),
                        item.meta
                            .version
                            .as_ref()
                            .map_or("-".into(), |v| age::short(v.as_str())),
                        item.meta
                            .modified
                            .map_or("-".into(), |then| age::between(then, now)),
                    ]
                })
                .collect();
            session
                .printer
                .table(&["NAME", "STORE", "VERSION", "AGE"], &rows)?;
        }
        for name in missing {
            session.printer.warn(format!(
                "{name} is required in {} and has no value",
                settings.environment
            ));
        }
        Ok(Exit::Done)
    }
}
