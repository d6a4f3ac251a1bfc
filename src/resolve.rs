//! The secrets of an environment as a process or a file is to get them: all layers merged,
//! defaults filled in, every required one there, narrowed to what was chosen.

use std::collections::BTreeMap;

use secrets_api::{Name, SecretValue, Select};

use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::session::Session;
use crate::settings::Settings;

/// Resolves them.
///
/// # Errors
/// A layer that cannot be read, a required name without a value, an `--only` that fits nothing.
pub fn resolve(
    session: &Session,
    settings: &Settings,
    chosen: &Chosen,
) -> Result<BTreeMap<Name, SecretValue>> {
    let stack = session.open_to_read(settings)?;
    let spinner = session.printer.spinner("reading secrets");
    let merged = session.block_on(stack.read(&session.cx(), settings, Select::All))?;
    drop(spinner);
    for (layer, names) in &merged.foreign {
        session.printer.detail(1, || {
            format!(
                "{}: left out, no names of secrets: {}",
                stack.layers[*layer].label,
                names.join(", ")
            )
        });
    }
    let mut secrets: BTreeMap<Name, SecretValue> = merged
        .items
        .into_iter()
        .map(|(name, held)| (name, held.stored.value))
        .collect();
    for (name, secret) in &settings.manifest.secrets {
        if let (Some(default), Ok(name)) = (&secret.default, Name::new(name)) {
            secrets
                .entry(name)
                .or_insert_with(|| SecretValue::from_slice(default.as_bytes()));
        }
    }
    let missing: Vec<_> = settings
        .required()
        .filter(|n| !secrets.contains_key(n) && chosen.holds(n))
        .collect();
    if let Some(first) = missing.first() {
        let list = missing
            .iter()
            .map(Name::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let what = format!("required in {} and missing: {list}", settings.environment);
        return Err(Failure::new(Exit::NotFound, what).with_hint(format!(
            "set it with `secrets set {first} -e {}`",
            settings.environment
        )));
    }
    chosen.check(secrets.keys())?;
    secrets.retain(|name, _| chosen.holds(name));
    Ok(secrets)
}
