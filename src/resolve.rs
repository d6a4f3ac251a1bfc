//! The secrets of an environment as a process or a file is to get them: all layers merged,
//! defaults filled in, every required one there, narrowed to what was chosen.

use std::collections::BTreeMap;

use secrets_api::{ErrorKind, Name, SecretValue, Select, Zeroizing};

use secrets_platform::files;

use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::leases::{self, Issued};
use crate::manifest::trust::{self, Record};
use crate::session::Session;
use crate::settings::Settings;
use crate::stack::{Merged, Stack};
use crate::variables;

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

/// `NAME_FILE`, for a name declared `from-file`.
pub fn file_name(settings: &Settings, name: &Name) -> Option<Name> {
    let declared = settings.secret(name)?;
    let file = declared.from_file.then(|| format!("{name}_FILE"))?;
    Name::new(&file).ok()
}

/// Whether a name that no store has is supplied by a file: it is declared `from-file`, and `NAME_FILE` is
/// set, in the stores, as Docker has it in the process environment, or by its default.
pub fn is_in_file(
    session: &Session,
    settings: &Settings,
    name: &Name,
    is_held: impl Fn(&Name) -> bool,
) -> bool {
    file_name(settings, name).is_some_and(|file| {
        is_held(&file)
            || session.surroundings.text(file.as_str()).is_some()
            || settings.secret(&file).is_some_and(|s| s.default.is_some())
    })
}

/// The content of the file that `NAME_FILE` names, without its final line end. `held` is what the stores
/// have for a name, as text.
///
/// # Errors
/// A manifest that is not trusted, a file that cannot be read.
pub fn from_file(
    session: &Session,
    settings: &Settings,
    name: &Name,
    held: impl FnOnce(&Name) -> Option<Zeroizing<String>>,
) -> Result<Option<SecretValue>> {
    let Some(file) = file_name(settings, name) else {
        return Ok(None);
    };
    let inherited = || session.surroundings.text(file.as_str());
    let default = || settings.secret(&file)?.default.as_deref();
    let owned = |path: &str| Zeroizing::new(path.to_owned());
    let Some(path) = held(&file).or_else(|| inherited().or_else(default).map(owned)) else {
        return Ok(None);
    };
    if !settings.trusted {
        let record = Record::load(&session.surroundings.dirs, &settings.root)?;
        return Err(trust::untrusted(
            &record,
            session.surroundings.text(variables::TRUST),
        ));
    }
    // The path is not repeated: whoever put the value itself there would see it shown.
    let unreadable =
        |exit, why: &str| Failure::new(exit, format!("the file that {file} names {why}"));
    let mut contents = match files::read(&settings.root.join(path.as_str())) {
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
    Ok(Some(SecretValue::from(contents.bytes)))
}

/// A value as text, in a copy that is wiped: a path may be a value in the wrong place.
pub fn text_of(value: &SecretValue) -> Option<Zeroizing<String>> {
    Some(Zeroizing::new(value.expose_text()?.to_owned()))
}

/// Adds the values that are in files.
fn from_files(
    session: &Session,
    settings: &Settings,
    chosen: &Chosen,
    secrets: &mut BTreeMap<Name, SecretValue>,
) -> Result<()> {
    for name in settings.manifest.secrets.keys() {
        let Ok(name) = Name::new(name) else {
            continue;
        };
        if secrets.contains_key(&name) || !chosen.holds(&name) {
            continue;
        }
        let held = |file: &Name| text_of(secrets.get(file)?);
        if let Some(value) = from_file(session, settings, &name, held)? {
            secrets.insert(name, value);
        }
    }
    Ok(())
}

/// What a command is started with.
#[derive(Debug)]
pub struct Resolved {
    /// The values, by name.
    pub secrets: BTreeMap<Name, SecretValue>,
    stack: Stack,
    issued: Vec<Issued>,
}

impl Resolved {
    /// Ends what was issued for a command that is not started.
    pub fn give_back(&self, session: &Session) {
        leases::end(session, &self.stack, &self.issued);
    }
}

/// Resolves what is kept; nothing is issued.
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
    for (layer, names) in leases::wanted(session, &stack, chosen)? {
        let list: Vec<_> = names.iter().map(Name::as_str).collect();
        session.printer.warn(format!(
            "{}: left out, issued only as `exec` starts a command: {}",
            stack.layers[layer].label,
            list.join(", ")
        ));
    }
    kept(session, settings, chosen, &stack, &[])
}

/// The same for a command that is about to start: credentials are issued, once nothing else stands
/// in the way.
///
/// # Errors
/// As [`resolve`], and what a store that issues answers.
pub fn resolve_to_start(
    session: &Session,
    settings: &Settings,
    chosen: &Chosen,
) -> Result<Resolved> {
    let stack = session.open_to_read(settings)?;
    let wanted = leases::wanted(session, &stack, chosen)?;
    let mut secrets = kept(session, settings, chosen, &stack, &wanted)?;
    let issued = leases::issue(session, &stack, wanted.iter().map(|(layer, _)| *layer))?;
    for (name, value) in issued.iter().flat_map(|one| &one.items) {
        if chosen.holds(name) {
            let held = secrets.entry(name.clone());
            held.or_insert_with(|| value.duplicate());
        }
    }
    Ok(Resolved {
        secrets,
        stack,
        issued,
    })
}

/// What is kept in the stores, in files and in the manifest. `issued` is what will come beside it, by the
/// layer that issues it: over what lower layers hold, under what higher ones do not.
fn kept(
    session: &Session,
    settings: &Settings,
    chosen: &Chosen,
    stack: &Stack,
    issued: &[(usize, Vec<Name>)],
) -> Result<BTreeMap<Name, SecretValue>> {
    let spinner = session.printer.spinner("reading secrets");
    let mut merged = session.block_on(stack.read_around(&session.cx(), settings, Select::All))?;
    drop(spinner);
    let wanted = merged
        .broken
        .keys()
        .find(|name| chosen.holds(name))
        .cloned();
    if let Some((_, failure)) = wanted.and_then(|name| merged.broken.remove(&name)) {
        let hint = failure.hint.as_deref().unwrap_or_default();
        let hint = format!("{hint}, or leave it out with `--except`");
        return Err(failure.with_hint(hint.trim_start_matches(", ").to_owned()));
    }
    // What was named on the command line comes first; else a name that is missing says more.
    let absent = match absent(session, settings, stack, &merged) {
        Some(failure) if !session.globals.store.is_empty() => return Err(failure),
        other => other,
    };
    for (layer, names) in &merged.foreign {
        session.printer.warn(format!(
            "{}: left out, no names of secrets: {}",
            stack.layers[*layer].label,
            names.join(", ")
        ));
    }
    let issuer = |name: &Name| {
        let by = |(_, names): &&(usize, Vec<Name>)| names.contains(name);
        issued.iter().rev().find(by).map(|(layer, _)| *layer)
    };
    let mut secrets: BTreeMap<Name, SecretValue> = merged
        .items
        .into_iter()
        .filter(|(name, held)| issuer(name).is_none_or(|layer| held.layer > layer))
        .map(|(name, held)| (name, held.stored.value))
        .collect();
    from_files(session, settings, chosen, &mut secrets)?;
    for (name, secret) in &settings.manifest.secrets {
        if let (Some(default), Ok(name)) = (&secret.default, Name::new(name))
            && issuer(&name).is_none()
        {
            secrets
                .entry(name)
                .or_insert_with(|| SecretValue::from_slice(default.as_bytes()));
        }
    }
    let missing: Vec<_> = settings
        .missing(|n| secrets.contains_key(n) || issuer(n).is_some())
        .filter(|n| chosen.holds(n))
        .collect();
    if let Some(first) = missing.first() {
        let list = missing
            .iter()
            .map(Name::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let what = format!("required in {} and missing: {list}", settings.environment);
        let mut hint = format!(
            "set it with `secrets set {first} -e {}`",
            settings.environment
        );
        if let Some(file) = file_name(settings, first) {
            hint += &format!(", or name its file in {file}");
        }
        return Err(Failure::new(Exit::NotFound, what).with_hint(hint));
    }
    if let Some(absent) = absent {
        return Err(absent);
    }
    let names = secrets
        .keys()
        .chain(merged.broken.keys())
        .chain(issued.iter().flat_map(|(_, names)| names));
    chosen.check(names, |name| settings.declares(name))?;
    secrets.retain(|name, _| chosen.holds(name));
    Ok(secrets)
}
