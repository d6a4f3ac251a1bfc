//! `secrets unset`: removal, from the layer that supplies the name.

use secrets_api::{Change, Op, Select};
use serde_json::json;

use crate::exit::{Exit, Result};
use crate::flags::Consent;
use crate::missing;
use crate::session::Session;
use crate::settings;
use crate::sync::auto;
use crate::sync::line::Line;

/// Remove secrets
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Where a lower layer holds the name too, its value comes into effect again: \
                        that is said. Stores with history keep the removed value: see `secrets history`."
)]
pub struct Args {
    /// The secrets
    #[arg(required = true)]
    names: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let names = settings::names(&self.names)?;
        let settings = session.settings()?;
        let stack = session.open(&settings)?;
        let merged =
            session.block_on(stack.read_around(&session.cx(), &settings, Select::Names(&names)))?;
        let mut by_layer = std::collections::BTreeMap::<usize, Vec<Change<'_>>>::new();
        for name in &names {
            let Some(layer) = merged.layer_of(name) else {
                return Err(missing::failure(session, &settings, &stack, name));
            };
            let layer = stack.layer_to_remove(name, layer)?;
            let when = stack.guard_of(layer, &merged, name);
            by_layer.entry(layer).or_default().push(Change {
                name,
                op: Op::Delete,
                when,
            });
        }
        let list = names
            .iter()
            .map(|n| n.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let keeps = by_layer
            .keys()
            .all(|&l| stack.layers[l].provider.capabilities().history);
        let warning = if keeps { "" } else { "; the value is not kept" };
        let question = format!("remove {list} from {}{warning}", settings.place());
        // What a store keeps can be brought back; the rest takes a person's word.
        let writes = by_layer.iter().flat_map(|(layer, changes)| {
            let guards = changes.iter().map(|change| change.when.clone());
            guards.map(|when| (*layer, when))
        });
        let question = format!("{question}{}", stack.caution(writes));
        let needed = stack.protects(by_layer.keys().copied()) || !keeps;
        if !self.consent.given(session, needed, &question)? {
            return Ok(Exit::Done);
        }
        let mut done = false;
        for (layer, changes) in &by_layer {
            let outcome = session.block_on(stack.write_all(&session.cx(), *layer, None, changes));
            outcome.map_err(|failure| {
                failure.partly_if(
                    done,
                    "removed",
                    "run the same command again without the names that are gone",
                )
            })?;
            done = true;
        }
        if session.printer.json {
            let removed: Vec<_> = names
                .iter()
                .filter_map(|n| Some((n, &stack.layers[merged.layer_of(n)?].label)))
                .map(|(n, label)| json!({"name": n.as_str(), "store": label}))
                .collect();
            session
                .printer
                .document(&json!({"schema": 1, "removed": removed}))?;
        }
        for name in &names {
            let Some(layer) = merged.layer_of(name) else {
                continue;
            };
            let layer = &stack.layers[layer];
            session
                .printer
                .done(format!("{name} removed from {}", layer.label));
            if layer.provider.capabilities().history {
                let line = Line::new("rollback").words([name.as_str()]);
                let line = line.globals(&session.globals);
                session.printer.hint(format!("`{line}` brings it back"));
            }
            let covers = merged.items.get(name).map(|held| held.covers.as_slice());
            if let Some(below) = covers.unwrap_or_default().last() {
                let label = &stack.layers[*below].label;
                session.printer.warn(format!(
                    "{name} now has its value from {label}, which lay below"
                ));
            }
        }
        auto::push(session, &settings, "removed", &names)
    }
}
