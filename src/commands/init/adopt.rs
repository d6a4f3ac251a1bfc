//! Values that lie around in a project, moved into its store: a literal SECRET_KEY in the
//! settings, and the lines of `.env`. A value is in the store, and read back, before it is removed
//! from where it was.

use std::path::Path;

use secrets_api::{Change, Lookup, Name, Op, ProviderExt as _, SecretValue, Select, Zeroizing};
use secrets_platform::files::{self, Edit};

use super::Survey;
use crate::commands::set;
use crate::django::{self, SecretKey};
use crate::exit::{Exit, Failure, Result};
use crate::flags::Globals;
use crate::manifest::trust;
use crate::printer::{Mark, counted};
use crate::session::Session;
use crate::settings::{Settings, shown};
use crate::stack::{Layer, Merged, Stack};

/// The name Django knows its key by.
const SECRET_KEY: &str = "SECRET_KEY";

fn secret_key() -> Result<Name> {
    Name::new(SECRET_KEY).map_err(|e| Failure::usage(e.to_string()))
}

fn open(session: &Session, survey: &Survey) -> Result<(Settings, Stack)> {
    let globals = Globals {
        env: Some(survey.environment.clone()),
        ..session.globals.clone()
    };
    let settings = Settings::resolve(&globals, &session.surroundings)?;
    let stack = session.open(&settings)?;
    Ok((settings, stack))
}

/// What came of a look at the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing to move.
    Nothing,
    /// There is something, and it was not moved: nobody has said yes.
    Waits,
    /// It was moved, or would be.
    Moved,
}

/// Moves a literal SECRET_KEY from the settings into the store.
pub(super) fn settings(
    session: &Session,
    survey: &Survey,
    yes: bool,
    dry_run: bool,
) -> Result<Outcome> {
    let Some(project) = &survey.django else {
        return Ok(Outcome::Nothing);
    };
    let keys = django::secret_keys(project)?;
    let place = |path: &Path| shown(path, &session.surroundings.cwd);
    for key in &keys {
        match key {
            SecretKey::Environment { path, line, default_literal: true, .. } => session.printer.warn(format!(
                "{}:{line}: SECRET_KEY falls back to a key that stands in the code: remove that default",
                place(path)
            )),
            SecretKey::Computed { path, line } => session.printer.warn(format!(
                "{}:{line}: SECRET_KEY is computed: read it from the environment to use the store",
                place(path)
            )),
            SecretKey::Environment { .. } | SecretKey::Literal { .. } => {}
        }
    }
    let mut first: Option<SecretValue> = None;
    let mut outcome = Outcome::Nothing;
    for key in keys
        .iter()
        .filter(|k| matches!(k, SecretKey::Literal { .. }))
    {
        let path = key.path();
        // Which of several is in effect is the code's to say: none of them is touched.
        if keys.iter().filter(|k| k.path() == path).count() > 1 {
            session.printer.warn(format!(
                "{}: SECRET_KEY is assigned in several places: make it one, read from the environment",
                place(path)
            ));
            continue;
        }
        let value = django::literal(key)?;
        if value.is_empty() {
            session
                .printer
                .warn(format!("{}: SECRET_KEY is empty there", place(path)));
            continue;
        }
        if !first
            .get_or_insert_with(|| value.duplicate())
            .same_as(&value)
        {
            session.printer.warn(format!(
                "{}: another literal SECRET_KEY, left alone: an environment has one key",
                place(path)
            ));
            continue;
        }
        match move_literal(session, survey, key, &value, yes, dry_run)? {
            Outcome::Nothing => {}
            other => outcome = other,
        }
        if outcome == Outcome::Moved {
            others_need_it(session, project, &keys, path);
        }
    }
    Ok(outcome)
}

/// Other settings modules that read another variable, and may take all of this one's names in: they
/// now start only with SECRET_KEY in their environment too.
fn others_need_it(session: &Session, project: &django::Project, keys: &[SecretKey], moved: &Path) {
    let others = project
        .settings
        .iter()
        .filter(|path| *path != moved && keys.iter().any(|key| key.path() == *path));
    let others: Vec<_> = others
        .map(|path| shown(path, &session.surroundings.cwd))
        .collect();
    if !others.is_empty() {
        session.printer.warn(format!(
            "whatever imports {} now needs SECRET_KEY in its environment; look at {}",
            shown(moved, &session.surroundings.cwd),
            others.join(", ")
        ));
    }
}

fn move_literal(
    session: &Session,
    survey: &Survey,
    key: &SecretKey,
    value: &SecretValue,
    yes: bool,
    dry_run: bool,
) -> Result<Outcome> {
    let path = key.path();
    let place = shown(path, &session.surroundings.cwd);
    if !trust::is_inside(&survey.root, path) {
        session.printer.warn(format!(
            "{place} is a link that leads out of the project: left alone"
        ));
        return Ok(Outcome::Nothing);
    }
    let Some(before) = files::read(path)? else {
        return Err(Failure::new(
            Exit::Conflict,
            format!("{place} has just been removed"),
        ));
    };
    let text = std::str::from_utf8(&before.bytes)
        .map_err(|_| Failure::new(Exit::Failed, format!("{place} is not UTF-8")))?;
    let edit = django::edited(text, key, SECRET_KEY)?;
    session.printer.say(format!(
        "{place} holds a SECRET_KEY; it would be read from the environment instead:"
    ));
    for line in edit.diff.lines() {
        match line.as_bytes().first() {
            Some(b'+') => session.printer.mark(Mark::Added, &line[1..]),
            Some(b'-') => session.printer.mark(Mark::Removed, &line[1..]),
            _ => session
                .printer
                .mark(Mark::Same, line.get(1..).unwrap_or_default()),
        }
    }
    if dry_run {
        return Ok(Outcome::Moved);
    }
    if !yes && !session.printer.can_ask() {
        session.printer.hint("to move it: secrets init --yes");
        return Ok(Outcome::Waits);
    }
    if !yes
        && !session
            .printer
            .confirm("move the key into the store and make this change?", "--yes")?
    {
        return Ok(Outcome::Waits);
    }
    let name = secret_key()?;
    let Some(label) = keep(session, survey, &name, value)? else {
        session.printer.warn(format!(
            "the store has another SECRET_KEY than {place}, which was left alone"
        ));
        session.printer.hint("make the settings read the environment, or take the other one out: secrets unset SECRET_KEY");
        return Ok(Outcome::Nothing);
    };
    files::update(path, &files::Options::default(), |now| {
        if now.is_none_or(|now| *now.bytes != *before.bytes) {
            return Err(secrets_api::Error::new(
                secrets_api::ErrorKind::Conflict,
                format!("{place} was changed meanwhile; nothing was changed in it"),
            )
            .with_hint("run `secrets init` again"));
        }
        Ok((
            Edit::Replace(Zeroizing::new(edit.new_text.as_bytes().to_vec())),
            (),
        ))
    })?;
    session
        .printer
        .done(format!("SECRET_KEY moved from {place} into {label}"));
    let replace = "replace it: secrets set SECRET_KEY --generate";
    match django::key_in_git_history(&survey.root, path, value) {
        Ok(Some(true)) => {
            session
                .printer
                .warn("that key is in this repository's history: everyone with the code has it");
            session.printer.hint(replace);
        }
        Ok(_) => {
            session
                .printer
                .warn("that key stood in a file: whoever had the code may have it");
            session.printer.hint(replace);
        }
        Err(error) => session.printer.warn(format!(
            "whether that key is in the repository's history is not known: {error}"
        )),
    }
    Ok(Outcome::Moved)
}

/// Puts the value into the store, unless it is there, and reads it back; says where. `None` if the
/// store has another one: that is not ours to replace.
fn keep(
    session: &Session,
    survey: &Survey,
    name: &Name,
    value: &SecretValue,
) -> Result<Option<String>> {
    let (settings, stack) = open(session, survey)?;
    let names = [name.clone()];
    let merged = session.block_on(stack.read(&session.cx(), &settings, Select::Names(&names)))?;
    if let Some(held) = merged.items.get(name) {
        let label = stack.layers[held.layer].label.clone();
        return Ok(held.stored.value.same_as(value).then_some(label));
    }
    let (layer, _) = set::write(session, &settings, &stack, &Merged::default(), name, value)?;
    let back = session.block_on(stack.read(&session.cx(), &settings, Select::Names(&names)))?;
    let label = stack.layers[layer].label.clone();
    if back
        .items
        .get(name)
        .is_some_and(|held| held.stored.value.same_as(value))
    {
        return Ok(Some(label));
    }
    Err(Failure::new(
        Exit::Failed,
        format!("{label} did not keep {name}; the settings were not changed"),
    ))
}

/// Moves the values of `.env` into the encrypted store.
pub(super) fn dotenv(
    session: &Session,
    survey: &Survey,
    wanted: bool,
    dry_run: bool,
) -> Result<bool> {
    if !survey.has_dotenv {
        if wanted {
            return Err(Failure::new(
                Exit::NotFound,
                format!("{} is not there", survey.root.join(".env").display()),
            ));
        }
        return Ok(false);
    }
    let (settings, stack) = open(session, survey)?;
    let file = survey.root.join(".env");
    let own = |layer: &Layer| !layer.spec.inherited;
    let is_file = |layer: &Layer| {
        let uri = &layer.spec.uri;
        uri.scheme() == "dotenv" && layer.spec.root.join(uri.location()) == file
    };
    let from = stack.layers.iter().position(|l| own(l) && is_file(l));
    let to = stack
        .layers
        .iter()
        .rposition(|l| own(l) && l.spec.uri.scheme() == "local");
    let (Some(from), Some(to)) = (from, to.filter(|to| Some(*to) > from)) else {
        if wanted {
            return Err(Failure::usage(format!(
                "`.env` and a `local:` above it are not both in the source of {}",
                settings.environment
            ))
            .with_hint("write `source = [\"dotenv:.env\", \"local:\"]` in secrets.toml"));
        }
        return Ok(false);
    };
    let cx = session.cx();
    let snapshot = session.block_on(stack.layers[from].provider.read(&cx, Select::All))?;
    let mut values = Vec::new();
    for (name, lookup) in snapshot.items {
        let Lookup::Found(stored) = lookup? else {
            continue;
        };
        if stored.meta.derived {
            session.printer.warn(format!(
                "{name} in .env is put together from other lines: the file is left as it is"
            ));
            return Ok(false);
        }
        let stored = stack.decode(from, &settings, &name, stored)?;
        values.push((name, stored));
    }
    if values.is_empty() {
        return Ok(false);
    }
    let list = values
        .iter()
        .map(|(name, _)| name.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    session
        .printer
        .say(format!(".env holds, in plain text: {list}"));
    if django::is_tracked(&survey.root, &file) {
        session
            .printer
            .warn(".env is in source control: everyone with the code has these values");
        session
            .printer
            .hint("take it out: git rm --cached .env; then replace the values");
    }
    if dry_run || (!wanted && !session.printer.can_ask()) {
        session
            .printer
            .hint("to move them into the encrypted store: secrets init --move-env");
        return Ok(dry_run && wanted);
    }
    if !wanted
        && !session.printer.confirm(
            "move them into the encrypted store, and out of .env?",
            "--move-env",
        )?
    {
        return Ok(false);
    }
    move_values(session, &settings, &stack, (from, to), &values)
}

fn move_values(
    session: &Session,
    settings: &Settings,
    stack: &Stack,
    (from, to): (usize, usize),
    values: &[(Name, secrets_api::Stored)],
) -> Result<bool> {
    let target = &stack.layers[to];
    // As the target keeps them: it may hold bytes where the file has base64.
    let values: Vec<_> = values
        .iter()
        .map(|(name, stored)| {
            let value = stack.encode(to, settings, name, &stored.value);
            (name, value, &stored.meta)
        })
        .collect();
    let mut moved = Vec::new();
    let mut new = Vec::new();
    for (name, value, meta) in &values {
        match session.block_on(target.provider.read_one(&session.cx(), name))? {
            Lookup::Found(there) if there.value.same_as(value) => moved.push((name, value, meta)),
            Lookup::Found(_) => session.printer.warn(format!(
                "{name} is in {} with another value: left in .env",
                target.label
            )),
            Lookup::Absent | Lookup::Deleted { .. } => {
                new.push(Change {
                    name,
                    op: Op::Put(value),
                    when: stack.guard(to, None),
                });
                moved.push((name, value, meta));
            }
        }
    }
    if !new.is_empty() {
        session.block_on(stack.write_all(&session.cx(), to, None, &new))?;
    }
    for (name, value, _) in &moved {
        let back = session.block_on(target.provider.read_one(&session.cx(), name))?;
        if !back.found().is_some_and(|there| there.value.same_as(value)) {
            return Err(Failure::new(
                Exit::Failed,
                format!("{} did not keep {name}; .env was not changed", target.label),
            ));
        }
    }
    let removals: Vec<_> = moved
        .iter()
        .map(|(name, _, meta)| Change {
            name,
            op: Op::Delete,
            when: stack.guard(from, Some(meta)),
        })
        .collect();
    session.block_on(stack.write_all(&session.cx(), from, None, &removals))?;
    session.printer.done(format!(
        "{} moved from .env into {}",
        counted(moved.len(), "value"),
        target.label
    ));
    Ok(!moved.is_empty())
}

/// The path of a key's place.
trait Place {
    fn path(&self) -> &Path;
}

impl Place for SecretKey {
    fn path(&self) -> &Path {
        match self {
            Self::Literal { path, .. }
            | Self::Environment { path, .. }
            | Self::Computed { path, .. } => path,
        }
    }
}
