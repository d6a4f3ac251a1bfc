//! The secrets of an environment as a process or a file is to get them: all layers merged,
//! defaults filled in, every required one there, narrowed to what was chosen.

use std::collections::BTreeMap;

use secrets_api::{ErrorKind, Name, SecretValue, Select};

use secrets_platform::files;

use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::manifest::trust::{self, Record};
use crate::session::Session;
use crate::settings::Settings;
use crate::stack::{Merged, Stack};

/// Whether one of the stores is not there that has to be: every one named on the command line, and of an environment's
/// layers the last, which the others only lie below. A lower one may be missing (a `.env` that
/// is kept out of source control); else a slip of the finger or a file that was deleted would start
/// the command without its secrets.
fn absent(
    session: &Session,
    settings: &Settings,
    stack: &Stack,
    merged: &Merged,
) -> Option<Failure> {
    // An environment that is inherited stands by the same rule.
    let is_last = |layer: usize| {
        let environment = |l: usize| stack.layers.get(l).map(|layer| &layer.spec.environment);
        environment(layer) != environment(layer + 1)
    };
    let typed = !session.globals.store.is_empty();
    for &layer in &merged.missing {
        let label = &stack.layers[layer].label;
        if !typed && !is_last(layer) {
            session
                .printer
                .detail(1, || format!("{label} is not there: passed over"));
            continue;
        }
        let failure = Failure::new(Exit::NotFound, format!("{label} is not there"));
        return Some(failure.with_hint(if typed {
            "is its name right? `secrets doctor` with the same --store shows what is looked for"
                .into()
        } else {
            format!(
                "`secrets set NAME -e {}` makes it; `secrets doctor` shows what is looked for",
                settings.environment
            )
        }));
    }
    None
}

/// The values that are in files: of names declared `from-file` without a value, the content of the file
/// that `NAME_FILE` names, in the stores or, as Docker has it, in the process environment.
fn from_files(
    session: &Session,
    settings: &Settings,
    chosen: &Chosen,
    secrets: &mut BTreeMap<Name, SecretValue>,
) -> Result<()> {
    for (name, _) in settings
        .manifest
        .secrets
        .iter()
        .filter(|(_, s)| s.from_file)
    {
        let (Ok(name), Ok(file)) = (Name::new(name), Name::new(&format!("{name}_FILE"))) else {
            continue;
        };
        if secrets.contains_key(&name) || !chosen.holds(&name) {
            continue;
        }
        let inherited = || {
            session
                .surroundings
                .text(file.as_str())
                .map(ToOwned::to_owned)
        };
        let named = secrets.get(&file).and_then(SecretValue::expose_text);
        let Some(path) = named.map(ToOwned::to_owned).or_else(inherited) else {
            continue;
        };
        if !settings.trusted {
            let record = Record::load(&session.surroundings.dirs, &settings.root)?;
            return Err(trust::untrusted(&record));
        }
        // The path is not repeated: whoever put the value itself there would see it shown.
        let unreadable =
            |exit, why: &str| Failure::new(exit, format!("the file that {file} names {why}"));
        let mut contents = match files::read(&settings.root.join(path)) {
            Ok(Some(contents)) => contents,
            Ok(None) => return Err(unreadable(Exit::NotFound, "is not there")),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Err(unreadable(Exit::Denied, "may not be read"));
            }
            Err(_) => {
                return Err(unreadable(Exit::Failed, "cannot be read")
                    .with_hint(format!("{file} holds the path of a file, not a value")));
            }
        };
        if contents.bytes.ends_with(b"\n") {
            contents.bytes.pop();
        }
        secrets.insert(name, SecretValue::from(contents.bytes));
    }
    Ok(())
}

/// Resolves them.
///
/// # Errors
/// A store that is not there, a layer that cannot be read, a required name without a value, an
/// `--only` that fits nothing.
pub fn resolve(
    session: &Session,
    settings: &Settings,
    chosen: &Chosen,
) -> Result<BTreeMap<Name, SecretValue>> {
    let stack = session.open_to_read(settings)?;
    let spinner = session.printer.spinner("reading secrets");
    let merged = session.block_on(stack.read(&session.cx(), settings, Select::All))?;
    drop(spinner);
    // What was named on the command line comes first; else a name that is missing says more.
    let absent = match absent(session, settings, &stack, &merged) {
        Some(failure) if !session.globals.store.is_empty() => return Err(failure),
        other => other,
    };
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
    from_files(session, settings, chosen, &mut secrets)?;
    let missing: Vec<_> = settings
        .missing(|n| secrets.contains_key(n))
        .filter(|n| chosen.holds(n))
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
    if let Some(absent) = absent {
        return Err(absent);
    }
    chosen.check(secrets.keys(), |name| settings.declares(name))?;
    secrets.retain(|name, _| chosen.holds(name));
    Ok(secrets)
}
