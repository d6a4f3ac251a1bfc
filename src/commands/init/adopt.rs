//! Values that lie around in a project, moved into its store: a literal SECRET_KEY in the
//! settings, and the lines of `.env`. A value is in the store, and read back, before it is removed
//! from where it was.

use std::path::Path;

use secrets_api::{Change, Lookup, Name, Op, ProviderExt as _, SecretValue, Select, Zeroizing};
use secrets_platform::files::{self, Edit};

use super::Survey;
use crate::cli::Globals;
use crate::commands::set;
use crate::django::{self, SecretKey};
use crate::exit::{Exit, Failure, Result};
use crate::printer::Mark;
use crate::session::Session;
use crate::settings::{Settings, shown};
use crate::stack::Stack;

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

/// Moves a literal SECRET_KEY from the settings into the store.
pub(super) fn settings(
    session: &Session,
    survey: &Survey,
    yes: bool,
    dry_run: bool,
) -> Result<bool> {
    let Some(project) = &survey.django else {
        return Ok(false);
    };
    let mut literals = Vec::new();
    for key in django::secret_keys(project)? {
        match &key {
            SecretKey::Literal { .. } => literals.push(key),
            SecretKey::Environment { path, line, default_literal: true, .. } => session.printer.warn(format!(
                "{}:{line}: SECRET_KEY falls back to a key that stands in the code: remove that default",
                shown(path, &session.surroundings.cwd)
            )),
            SecretKey::Environment { .. } => {}
            SecretKey::Computed { path, line } => session.printer.warn(format!(
                "{}:{line}: SECRET_KEY is computed: read it from the environment to use the store",
                shown(path, &session.surroundings.cwd)
            )),
        }
    }
    let Some(first) = literals.first() else {
        return Ok(false);
    };
    let value = django::literal(first)?;
    let mut changed = false;
    for key in &literals {
        if django::literal(key)?.same_as(&value) {
            changed |= move_literal(session, survey, key, &value, yes, dry_run)?;
        } else {
            session.printer.warn(format!(
                "{}: another literal SECRET_KEY, left alone: an environment has one key",
                shown(key.path(), &session.surroundings.cwd)
            ));
        }
    }
    Ok(changed)
}

fn move_literal(
    session: &Session,
    survey: &Survey,
    key: &SecretKey,
    value: &SecretValue,
    yes: bool,
    dry_run: bool,
) -> Result<bool> {
    let path = key.path();
    let place = shown(path, &session.surroundings.cwd);
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
        return Ok(true);
    }
    if !yes && !session.printer.can_ask() {
        session.printer.hint("to move it: secrets init --yes");
        return Ok(false);
    }
    if !yes
        && !session
            .printer
            .confirm("move the key into the store and make this change?", "--yes")?
    {
        return Ok(false);
    }
    let name = secret_key()?;
    let label = keep(session, survey, &name, value)?;
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
    Ok(true)
}

/// Puts the value into the store, unless it is there, and reads it back; says where.
fn keep(session: &Session, survey: &Survey, name: &Name, value: &SecretValue) -> Result<String> {
    let (settings, stack) = open(session, survey)?;
    let names = [name.clone()];
    let merged = session.block_on(stack.read(&session.cx(), &settings, Select::Names(&names)))?;
    if let Some(held) = merged.items.get(name) {
        let label = stack.layers[held.layer].label.clone();
        if held.stored.value.same_as(value) {
            return Ok(label);
        }
        return Err(Failure::new(
            Exit::Conflict,
            format!("{label} has another {name} than the settings; nothing was changed"),
        )
        .with_hint(format!(
            "remove the one that is wrong: `secrets unset {name}`, or the line in the settings"
        )));
    }
    let (layer, _) = set::write(session, &settings, &stack, None, name, value)?;
    let back = session.block_on(stack.read(&session.cx(), &settings, Select::Names(&names)))?;
    let label = stack.layers[layer].label.clone();
    if back
        .items
        .get(name)
        .is_some_and(|held| held.stored.value.same_as(value))
    {
        return Ok(label);
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
    if !wanted && !session.printer.can_ask() {
        return Ok(false);
    }
    let (_, stack) = open(session, survey)?;
    let find = |scheme: &str| {
        stack
            .layers
            .iter()
            .position(|layer| layer.spec.uri.scheme() == scheme)
    };
    let (Some(from), Some(to)) = (find("dotenv"), find("local")) else {
        return Ok(false);
    };
    if to < from {
        return Ok(false);
    }
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
    if dry_run {
        session
            .printer
            .say("they can be moved into the encrypted store: --move-env");
        return Ok(wanted);
    }
    if !wanted
        && !session.printer.confirm(
            "move them into the encrypted store, and out of .env?",
            "--move-env",
        )?
    {
        return Ok(false);
    }
    move_values(session, &stack, from, to, &values)
}

fn move_values(
    session: &Session,
    stack: &Stack,
    from: usize,
    to: usize,
    values: &[(Name, secrets_api::Stored)],
) -> Result<bool> {
    let target = &stack.layers[to];
    let mut moved = Vec::new();
    let mut new = Vec::new();
    for (name, stored) in values {
        match session.block_on(target.provider.read_one(&session.cx(), name))? {
            Lookup::Found(there) if there.value.same_as(&stored.value) => {
                moved.push((name, stored))
            }
            Lookup::Found(_) => session.printer.warn(format!(
                "{name} is in {} with another value: left in .env",
                target.label
            )),
            Lookup::Absent | Lookup::Deleted { .. } => {
                new.push(Change {
                    name,
                    op: Op::Put(&stored.value),
                    when: stack.guard(to, None),
                });
                moved.push((name, stored));
            }
        }
    }
    if !new.is_empty() {
        session.block_on(stack.write_all(&session.cx(), to, None, &new))?;
    }
    for (name, stored) in &moved {
        let back = session.block_on(target.provider.read_one(&session.cx(), name))?;
        if !back
            .found()
            .is_some_and(|there| there.value.same_as(&stored.value))
        {
            return Err(Failure::new(
                Exit::Failed,
                format!("{} did not keep {name}; .env was not changed", target.label),
            ));
        }
    }
    let removals: Vec<_> = moved
        .iter()
        .map(|(name, stored)| Change {
            name,
            op: Op::Delete,
            when: stack.guard(from, Some(&stored.meta)),
        })
        .collect();
    session.block_on(stack.write_all(&session.cx(), from, None, &removals))?;
    session.printer.done(format!(
        "{} values moved from .env into {}",
        moved.len(),
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
