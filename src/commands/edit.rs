//! `secrets edit`: all values of an environment in an editor, on a private file in memory; what
//! was changed there is written, name by name, guarded by what was seen before.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use secrets_api::{Change, Name, Op, SecretValue, Select};
use secrets_platform::scratch::Scratch;
use serde_json::json;

use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::flags::{Choice, Consent};
use crate::formats::{Context, Format, Items};
use crate::printer::{Mark, counted};
use crate::session::Session;
use crate::settings::Settings;
use crate::stack::{Merged, Stack};
use crate::sync::auto;
use crate::variables;

/// Change secrets in your editor
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The file the editor opens lies in memory, readable by you alone, and is wiped afterwards. Saving \
it unchanged changes nothing; a line that is removed removes the secret. The editor is VISUAL, \
else EDITOR, else vi.")]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    consent: Consent,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let editor = editor(session)?;
        let settings = session.settings()?;
        let chosen = Chosen::new(&self.choice);
        let stack = session.open(&settings)?;
        let merged = session.block_on(stack.read(&session.cx(), &settings, Select::All))?;
        chosen.check(merged.items.keys(), |name| settings.declares(name))?;
        let (shown, hidden) = split(&merged, &chosen);
        let text = page(&settings, &shown, &hidden)?;
        let runtime = session
            .surroundings
            .text(variables::XDG_RUNTIME_DIR)
            .map(Path::new);
        let scratch = Scratch::create("secrets.env", runtime)?;
        scratch.write(text.expose())?;
        let (after, derived) = loop {
            scratch.while_editing(|| open_editor(session, &editor, scratch.path()))?;
            let edited = scratch.read()?;
            match page_format().parse(&edited) {
                Ok(items) => break (items, crate::formats::derived(&edited)?),
                Err(error) if session.printer.can_ask() => {
                    session.printer.failure(&error.into());
                    if !session
                        .printer
                        .confirm("open the editor again?", "--no-input")?
                    {
                        return Err(Failure::new(Exit::Failed, "nothing was changed"));
                    }
                }
                Err(error) => return Err(error.into()),
            }
        };
        let wanted = difference(&shown, &hidden, after)?;
        for name in &derived {
            session.printer.warn(format!(
                "{name} holds `${{…}}`: it is kept as it reads now, not put together anew"
            ));
        }
        let mut outcome = self.apply(session, &settings, &stack, &merged, &wanted);
        // Someone changed one of the names meanwhile. What was typed is not thrown away.
        while let Err(failure) = &outcome
            && failure.exit == Exit::Conflict
            && session.printer.can_ask()
        {
            session.printer.failure(failure);
            let question = "write what you typed over what is there now?";
            if !session.printer.confirm(question, "--no-input")? {
                return Err(Failure::new(Exit::Conflict, "nothing was written over it"));
            }
            let fresh = session.block_on(stack.read(&session.cx(), &settings, Select::All))?;
            outcome = self.apply(session, &settings, &stack, &fresh, &wanted);
        }
        drop(scratch);
        outcome
    }

    fn apply(
        &self,
        session: &Session,
        settings: &Settings,
        stack: &Stack,
        merged: &Merged,
        wanted: &[(Name, Option<SecretValue>)],
    ) -> Result<Exit> {
        if wanted.is_empty() {
            session.printer.say("nothing was changed");
        }
        let mut by_layer = BTreeMap::<usize, Vec<(&Name, Option<SecretValue>)>>::new();
        for (name, value) in wanted {
            let held = merged.items.get(name);
            let layer = match (held, value) {
                (Some(held), None) => stack.layer_to_remove(name, held.layer)?,
                _ => stack.layer_for(held.map(|held| held.layer))?,
            };
            let (mark, sign) = match (held, value) {
                (None, _) => (Mark::Added, '+'),
                (Some(_), Some(_)) => (Mark::Same, '~'),
                (Some(_), None) => (Mark::Removed, '-'),
            };
            session.printer.step(
                mark,
                sign,
                &format!("{name}  {}", stack.layers[layer].label),
            );
            let value = value
                .as_ref()
                .map(|value| stack.encode(layer, settings, name, value));
            by_layer.entry(layer).or_default().push((name, value));
        }
        let removes = wanted.iter().any(|(_, value)| value.is_none());
        let layers = || by_layer.keys().copied();
        let writes = by_layer.iter().flat_map(|(layer, values)| {
            let names = values.iter().map(|(name, _)| *name);
            names.map(|name| (*layer, stack.guard_of(*layer, merged, name)))
        });
        let question = format!(
            "write {} to {}{}",
            counted(wanted.len(), "change"),
            settings.place(),
            stack.caution(writes)
        );
        let go_on = !wanted.is_empty()
            && self
                .consent
                .given(session, stack.protects(layers()) || removes, &question)?;
        if go_on {
            let mut done = false;
            for (layer, values) in &by_layer {
                let changes: Vec<Change<'_>> = values
                    .iter()
                    .map(|(name, value)| {
                        let op = value.as_ref().map_or(Op::Delete, Op::Put);
                        Change {
                            name,
                            op,
                            when: stack.guard_of(*layer, merged, name),
                        }
                    })
                    .collect();
                let outcome =
                    session.block_on(stack.write_all(&session.cx(), *layer, None, &changes));
                let rest = "`secrets edit` again shows what is left to do";
                outcome.map_err(|failure| failure.partly_if(done, "written", rest))?;
                done = true;
            }
            session.printer.done(format!(
                "{} written to {}",
                counted(wanted.len(), "change"),
                settings.place()
            ));
        }
        if session.printer.json {
            let list: Vec<_> = wanted
                .iter()
                .map(|(name, value)| json!({"name": name.as_str(), "step": if value.is_some() { "set" } else { "removed" }}))
                .collect();
            session
                .printer
                .document(&json!({"schema": 1, "written": go_on, "secrets": list}))?;
        }
        if !go_on {
            return Ok(Exit::Done);
        }
        auto::push(
            session,
            settings,
            "changed",
            wanted.iter().map(|(name, _)| name),
        )
    }
}

/// What the editor is shown.
fn page_format() -> Format {
    #[cfg(feature = "dotenv")]
    return Format::Dotenv(secrets_dotenv::Dialect::default());
    #[cfg(not(feature = "dotenv"))]
    return Format::Json;
}

/// What is shown in the editor, and the names that cannot be: bytes, and values put together from
/// other lines.
fn split<'a>(
    merged: &'a Merged,
    chosen: &Chosen,
) -> (BTreeMap<&'a Name, &'a SecretValue>, Vec<&'a Name>) {
    let mut shown = BTreeMap::new();
    let mut hidden = Vec::new();
    for (name, held) in &merged.items {
        let value = &held.stored.value;
        let text = value.expose_text().is_some() && !value.has_nul();
        if chosen.holds(name) && text && !held.stored.meta.derived {
            shown.insert(name, value);
        } else {
            hidden.push(name);
        }
    }
    (shown, hidden)
}

/// The text the editor opens.
fn page(
    settings: &Settings,
    shown: &BTreeMap<&Name, &SecretValue>,
    hidden: &[&Name],
) -> Result<SecretValue> {
    let mut head = format!(
        "# {}\n# NAME=value, as in a .env file. A line that is removed removes the secret.\n",
        settings.place()
    );
    if !hidden.is_empty() {
        let list = hidden
            .iter()
            .map(|n| n.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        head.push_str(&format!(
            "# not shown (not chosen, bytes, or put together from other lines): {list}\n"
        ));
    }
    head.push('\n');
    let items = shown
        .iter()
        .map(|(name, value)| ((*name).clone(), value.duplicate()))
        .collect();
    let lines = page_format().render(&items, &Context::default())?;
    let mut text = secrets_api::Zeroizing::new(Vec::with_capacity(head.len() + lines.len()));
    text.extend_from_slice(head.as_bytes());
    text.extend_from_slice(lines.expose());
    Ok(SecretValue::from(text))
}

/// What the editor changed: names with their new value, or `None` where the line is gone.
///
/// # Errors
/// If a name was written that was left out on purpose.
fn difference(
    shown: &BTreeMap<&Name, &SecretValue>,
    hidden: &[&Name],
    after: Items,
) -> Result<Vec<(Name, Option<SecretValue>)>> {
    let mut wanted = Vec::new();
    let removed = shown
        .keys()
        .filter(|name| !after.iter().any(|(n, _)| n == **name));
    wanted.extend(removed.map(|name| ((*name).clone(), None)));
    for (name, value) in after {
        if hidden.contains(&&name) {
            return Err(
                Failure::usage(format!("{name} was not shown and cannot be set here"))
                    .with_hint(format!("use `secrets set {name}`; nothing was changed")),
            );
        }
        if !shown
            .get(&name)
            .is_some_and(|before| before.same_as(&value))
        {
            wanted.push((name, Some(value)));
        }
    }
    wanted.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(wanted)
}

fn editor(session: &Session) -> Result<String> {
    let chosen = session
        .surroundings
        .text(variables::VISUAL)
        .or_else(|| session.surroundings.text(variables::EDITOR));
    if let Some(editor) = chosen {
        return Ok(editor.to_owned());
    }
    let path = session.surroundings.variable(variables::PATH);
    match secrets_platform::process::find_program("vi".as_ref(), path) {
        // Without one to draw on, vi writes the values into whatever stands for it.
        Ok(_) if !session.printer.can_ask() => Err(Failure::usage("there is no terminal for vi")
            .with_hint("set EDITOR to a program that needs none, or use `secrets set NAME`")),
        Ok(_) => Ok("vi".to_owned()),
        Err(_) => Err(Failure::usage("there is no editor")
            .with_hint("set EDITOR, such as `EDITOR=nano secrets edit`")),
    }
}

/// Runs the editor as git does: by a shell, since EDITOR may hold arguments (`code --wait`).
fn open_editor(session: &Session, editor: &str, path: &Path) -> Result<()> {
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        // A handler, unlike an ignored signal, is not handed on: an interrupt is the editor's own.
        .arg(format!("trap : INT QUIT; {editor} \"$@\""))
        .arg("editor")
        .arg(path);
    for (name, _) in &session.surroundings.variables {
        if name.to_string_lossy().starts_with("SECRETS_") {
            command.env_remove(name);
        }
    }
    let status = command
        .status()
        .map_err(|e| Failure::new(Exit::Failed, format!("the editor cannot be started: {e}")))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!("the editor ended with {status}; nothing was changed"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_changed_is_written() {
        let name = |text| Name::new(text).unwrap();
        let value = |text: &str| SecretValue::from_slice(text.as_bytes());
        let (a, b, c, hidden) = (name("A"), name("B"), name("C"), name("H"));
        let (one, two, three) = (value("1"), value("2"), value("3"));
        let shown = BTreeMap::from([(&a, &one), (&b, &two), (&c, &three)]);
        let after = vec![
            (name("A"), value("1")),
            (name("B"), value("new")),
            (name("D"), value("4")),
        ];
        let wanted = difference(&shown, &[&hidden], after).unwrap();
        let plain: Vec<_> = wanted
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_ref().map(|v| v.expose_text().unwrap())))
            .collect();
        assert_eq!(plain, [("B", Some("new")), ("C", None), ("D", Some("4"))]);
        assert!(difference(&shown, &[&hidden], vec![(name("H"), value("x"))]).is_err());
    }
}
