//! `secrets history`: the states of one secret, newest first; never a value.

use jiff::Timestamp;
use secrets_api::{Meta, Name};
use serde_json::json;

use crate::age;
use crate::exit::{Exit, Failure, Result};
use crate::missing;
use crate::session::Session;
use crate::settings::{self, Settings};
use crate::stack::Stack;

/// Show the earlier states of a secret; never a value
#[derive(Debug, clap::Args)]
#[command(after_help = "Bring one back with `secrets rollback NAME --to VERSION`.")]
pub struct Args {
    /// The secret
    name: String,
}

/// The states of `name` in the uppermost layer that knows any: the layer and the states, newest
/// first.
///
/// # Errors
/// If no layer keeps history, or none of those that do knows the name.
pub fn find(
    session: &Session,
    settings: &Settings,
    stack: &Stack,
    name: &Name,
) -> Result<(usize, Vec<Meta>)> {
    let keeping: Vec<usize> = (0..stack.layers.len())
        .rev()
        .filter(|&layer| stack.layers[layer].provider.capabilities().history)
        .collect();
    if keeping.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!("no store of {} keeps history", settings.place()),
        )
        .with_hint("`local:` does: put it last among the source's stores"));
    }
    for layer in keeping {
        let states = session.block_on(stack.layers[layer].provider.history(&session.cx(), name))?;
        if !states.is_empty() {
            return Ok((layer, states));
        }
    }
    Err(missing::failure(session, settings, stack, name))
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let name = settings::name(&self.name)?;
        let settings = session.settings()?;
        let stack = session.open_to_read(&settings)?;
        let (layer, states) = find(session, &settings, &stack, &name)?;
        let label = &stack.layers[layer].label;
        if session.printer.json {
            let versions: Vec<_> = states
                .iter()
                .map(|m| {
                    json!({
                        "version": m.version.as_ref().map(|v| v.as_str()),
                        "modified": m.modified.map(|t| t.to_string()),
                        "author": m.author,
                        "deleted": m.deleted,
                    })
                })
                .collect();
            session.printer.document(
                &json!({"schema": 1, "name": name.as_str(), "store": label, "versions": versions}),
            )?;
            return Ok(Exit::Done);
        }
        let now = Timestamp::now();
        let rows: Vec<Vec<String>> = states
            .iter()
            .enumerate()
            .map(|(index, m)| {
                vec![
                    m.version
                        .as_ref()
                        .map_or("-".into(), |v| age::short(v.as_str())),
                    m.modified
                        .map_or("-".into(), |then| age::between(then, now)),
                    m.author.clone().unwrap_or_else(|| "-".into()),
                    match (index, m.deleted) {
                        (_, true) => "removed".into(),
                        (0, false) => "present".into(),
                        _ => String::new(),
                    },
                ]
            })
            .collect();
        session
            .printer
            .table(&["VERSION", "AGE", "AUTHOR", ""], &rows)?;
        session.printer.detail(1, || format!("from {label}"));
        Ok(Exit::Done)
    }
}
