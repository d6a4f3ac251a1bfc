//! `secrets import`: values of another store, or of a file on standard input, into the
//! environment. What is there and differs is a conflict, never silently replaced.

use secrets_api::{Change, Name, Op, Precondition, SecretValue, Select};
use serde_json::json;

use super::set::read_stdin;
use crate::choice::Chosen;
use crate::exec::hijack;
use crate::exit::{Exit, Failure, Result};
use crate::flags::{Choice, Consent};
use crate::formats::{Format, Items};
use crate::printer::{Mark, Printer, counted};
use crate::session::Session;
use crate::settings::Settings;
use crate::stack::{Merged, Stack};
use crate::sync::auto;

/// Which side counts where both have a value and they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Prefer {
    /// What is imported
    Left,
    /// What the environment has
    Right,
}

/// Take in the values of another store, or of standard input
#[derive(Debug, clap::Args)]
#[command(after_help = "\
New names are created, equal values left alone; where a value differs nothing is written until \
--prefer says which one counts.\n\nExamples:\n  secrets import dotenv:old/.env --dry-run\n  \
secrets import keyring:shop -e production\n  other-tool dump | secrets import - --format json")]
pub struct Args {
    /// A store (`dotenv:PATH`, a name from secrets.toml), or `-` for standard input
    #[arg(value_name = "STORE|-")]
    from: String,
    /// The format of standard input: json, dotenv[:DIALECT], docker, compose, systemd, shell or null
    #[arg(long, value_name = "FORMAT", value_parser = crate::formats::parser(), hide_possible_values = true)]
    format: Option<Format>,
    /// Where both have a value and they differ: `left` is what is imported, `right` what is there
    #[arg(long, value_name = "SIDE")]
    prefer: Option<Prefer>,
    #[command(flatten)]
    choice: Choice,
    #[command(flatten)]
    consent: Consent,
}

/// What becomes of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Change,
    Same,
    Kept,
    Conflict,
}

impl Step {
    fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Change => "change",
            Self::Same => "same",
            Self::Kept => "kept",
            Self::Conflict => "conflict",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Change => '~',
            Self::Same | Self::Kept => '=',
            Self::Conflict => '!',
        }
    }
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let settings = session.settings()?;
        let chosen = Chosen::new(&self.choice);
        let mut items = self.read_source(session, &settings)?;
        chosen.check(items.iter().map(|(name, _)| name), |_| false)?;
        items.retain(|(name, _)| chosen.holds(name));
        let stack = session.open(&settings)?;
        let names: Vec<Name> = items.iter().map(|(name, _)| name.clone()).collect();
        let present =
            session.block_on(stack.read(&session.cx(), &settings, Select::Names(&names)))?;
        let steps: Vec<Step> = items
            .iter()
            .map(|(name, value)| self.step(&present, name, value))
            .collect();
        show(&session.printer, &items, &steps);
        let writes = steps
            .iter()
            .filter(|s| matches!(s, Step::Create | Step::Change))
            .count();
        let conflicts = steps.iter().filter(|s| **s == Step::Conflict).count();
        if conflicts > 0 {
            report(session, &settings, &items, &steps, false)?;
            return Err(Failure::new(
                Exit::Conflict,
                format!(
                    "{} from what {} has; nothing was written",
                    if conflicts == 1 {
                        "1 value differs".into()
                    } else {
                        format!("{conflicts} values differ")
                    },
                    settings.place()
                ),
            )
            .with_hint("say which counts: --prefer left (imported) or --prefer right (there)"));
        }
        if writes == 0 {
            session.printer.say("nothing to do");
            report(session, &settings, &items, &steps, false)?;
            return Ok(Exit::Done);
        }
        let replaces = steps.contains(&Step::Change);
        let guards = guards(&stack, &present, &items, &steps)?;
        let question = format!(
            "write {} to {}{}",
            counted(writes, "secret"),
            settings.place(),
            stack.caution(guards.iter().cloned())
        );
        let needed = stack.protects(guards.iter().map(|(layer, _)| *layer)) || replaces;
        let go_on = self.consent.given(session, needed, &question)?;
        if go_on {
            write(session, &settings, &stack, &present, &items, &steps)?;
            session.printer.done(format!(
                "{} imported into {}",
                counted(writes, "secret"),
                settings.place()
            ));
        }
        report(session, &settings, &items, &steps, go_on)?;
        if !go_on {
            return Ok(Exit::Done);
        }
        let written = items.iter().zip(&steps);
        let written = written.filter(|(_, step)| matches!(step, Step::Create | Step::Change));
        auto::push(
            session,
            &settings,
            "imported",
            written.map(|((name, _), _)| name),
        )
    }

    fn read_source(&self, session: &Session, settings: &Settings) -> Result<Items> {
        if self.from == "-" {
            let Some(format) = self.format else {
                return Err(Failure::usage("the format of standard input is not given")
                    .with_hint("add --format json, dotenv, shell or null"));
            };
            if session.surroundings.stdin_is_terminal {
                return Err(Failure::usage("standard input is this terminal")
                    .with_hint("pipe the values in"));
            }
            return Ok(format.parse(&read_stdin()?)?);
        }
        if self.format.is_some() {
            return Err(Failure::usage(
                "--format is for standard input; a store knows its own",
            ));
        }
        let stack = session.open_store(settings, &self.from)?;
        let merged = session.block_on(stack.read(&session.cx(), settings, Select::All))?;
        if !merged.missing.is_empty() {
            return Err(Failure::new(
                Exit::NotFound,
                format!("{} is not there", self.from),
            ));
        }
        for (_, names) in &merged.foreign {
            session.printer.warn(format!(
                "left out, no names of secrets: {}",
                names.join(", ")
            ));
        }
        let derived: Vec<_> = merged
            .items
            .iter()
            .filter(|(_, h)| h.stored.meta.derived)
            .map(|(n, _)| n.as_str())
            .collect();
        if !derived.is_empty() {
            session.printer.warn(format!(
                "put together from other lines, taken as they now are: {}",
                derived.join(", ")
            ));
        }
        Ok(merged
            .items
            .into_iter()
            .map(|(name, held)| (name, held.stored.value))
            .collect())
    }

    fn step(&self, present: &Merged, name: &Name, value: &SecretValue) -> Step {
        match (present.items.get(name), self.prefer) {
            (None, _) => Step::Create,
            (Some(held), _) if held.stored.value.same_as(value) => Step::Same,
            (Some(_), Some(Prefer::Left)) => Step::Change,
            (Some(_), Some(Prefer::Right)) => Step::Kept,
            (Some(_), None) => Step::Conflict,
        }
    }
}

fn show(printer: &Printer, items: &Items, steps: &[Step]) {
    for ((name, _), step) in items.iter().zip(steps) {
        let mark = match step {
            Step::Create => Mark::Added,
            Step::Conflict => Mark::Removed,
            _ => Mark::Same,
        };
        if *step != Step::Same {
            let note =
                hijack::reason(name.as_str()).map_or(String::new(), |why| format!("  ({why})"));
            printer.step(mark, step.sign(), &format!("{name}{note}"));
        }
    }
    let same = steps.iter().filter(|s| **s == Step::Same).count();
    if same > 0 {
        printer.say(format!("= {same} the same"));
    }
}

fn report(
    session: &Session,
    settings: &Settings,
    items: &Items,
    steps: &[Step],
    written: bool,
) -> Result<()> {
    if !session.printer.json {
        return Ok(());
    }
    let list: Vec<_> = items
        .iter()
        .zip(steps)
        .map(|((name, _), step)| json!({"name": name.as_str(), "step": step.word()}))
        .collect();
    session.printer.document(&json!({
        "schema": 1, "environment": settings.environment, "written": written, "secrets": list,
    }))
}

/// The layers that will be written to, with what guards each write.
fn guards(
    stack: &Stack,
    present: &Merged,
    items: &Items,
    steps: &[Step],
) -> Result<Vec<(usize, Precondition)>> {
    let written = items.iter().zip(steps);
    written
        .filter(|(_, step)| matches!(step, Step::Create | Step::Change))
        .map(|((name, _), _)| {
            let layer = stack.layer_for(present.layer_of(name))?;
            Ok((layer, stack.guard_of(layer, present, name)))
        })
        .collect()
}

/// Writes layer by layer, each in one batch, guarded by what was seen.
fn write(
    session: &Session,
    settings: &Settings,
    stack: &Stack,
    present: &Merged,
    items: &Items,
    steps: &[Step],
) -> Result<()> {
    let mut by_layer = std::collections::BTreeMap::<usize, Vec<(&Name, SecretValue)>>::new();
    for ((name, value), step) in items.iter().zip(steps) {
        if matches!(step, Step::Create | Step::Change) {
            let layer = stack.layer_for(present.layer_of(name))?;
            by_layer
                .entry(layer)
                .or_default()
                .push((name, stack.encode(layer, settings, name, value)));
        }
    }
    let mut done = 0;
    for (layer, values) in &by_layer {
        let changes: Vec<Change<'_>> = values
            .iter()
            .map(|(name, value)| Change {
                name,
                op: Op::Put(value),
                when: stack.guard_of(*layer, present, name),
            })
            .collect();
        let spinner = session.printer.spinner("writing");
        let outcome = session.block_on(stack.write_all(&session.cx(), *layer, None, &changes));
        drop(spinner);
        if let Err(failure) = outcome {
            // A store of single secrets says itself which were made.
            let rest = "run the same command again: what is written already is left alone";
            return Err(failure.partly_if(done > 0, "imported", rest));
        }
        done += changes.len();
    }
    Ok(())
}
