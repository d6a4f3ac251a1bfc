//! `secrets get`: one value, on standard output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::{Name, Select};
use serde_json::json;

use crate::exit::{Exit, Result};
use crate::missing;
use crate::resolve;
use crate::session::Session;
use crate::settings;

/// Print one value
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The value is printed with a final newline, which `$(…)` removes; --raw \
                        prints the bytes alone.\n\nExample:\n  psql \"$(secrets get DATABASE_URL)\""
)]
pub struct Args {
    /// The secret
    name: String,
    /// Print the bytes alone, without a final newline
    #[arg(long)]
    raw: bool,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let name = settings::name(&self.name)?;
        let settings = session.settings()?;
        // Versions that are shown have to be the same the next time.
        let stack = if session.printer.json {
            session.open(&settings)?
        } else {
            session.open_to_read(&settings)?
        };
        let file = resolve::file_name(&settings, &name);
        let names: Vec<Name> = [name.clone()].into_iter().chain(file).collect();
        let selected = Select::Names(&names);
        let mut merged = session.block_on(stack.read_around(&session.cx(), &settings, selected))?;
        if let Some((_, failure)) = merged.broken.remove(&name) {
            return Err(failure);
        }
        let Some(held) = merged.items.remove(&name) else {
            let held = |file: &Name| resolve::text_of(&merged.items.get(file)?.stored.value);
            if let Some(value) = resolve::from_file(session, &settings, &name, held)? {
                let label = format!("the file that {name}_FILE names");
                return print(session, &name, value.expose(), &label, None, self.raw);
            }
            if let Some(default) = settings.secret(&name).and_then(|s| s.default.as_deref()) {
                return print(
                    session,
                    &name,
                    default.as_bytes(),
                    "the manifest's default",
                    None,
                    self.raw,
                );
            }
            return Err(missing::failure(session, &settings, &stack, &name));
        };
        let label = &stack.layers[held.layer].label;
        let version = held.stored.meta.version.as_ref().map(|v| v.as_str());
        print(
            session,
            &name,
            held.stored.value.expose(),
            label,
            version,
            self.raw,
        )
    }
}

fn print(
    session: &Session,
    name: &Name,
    value: &[u8],
    store: &str,
    version: Option<&str>,
    raw: bool,
) -> Result<Exit> {
    if session.printer.json {
        let mut document =
            json!({"schema": 1, "name": name.as_str(), "store": store, "version": version});
        match std::str::from_utf8(value) {
            Ok(text) => document["value"] = json!(text),
            Err(_) => document["base64"] = json!(STANDARD.encode(value)),
        }
        session.printer.document(&document)?;
    } else {
        session.printer.data(value)?;
        if !raw {
            session.printer.data(b"\n")?;
        }
    }
    Ok(Exit::Done)
}
