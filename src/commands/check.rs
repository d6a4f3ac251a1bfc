//! `secrets check`: what the project's `.env` files say to each of its readers, and `.env.example`.
//! Values are compared, never shown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use secrets_api::{Error, ErrorKind, Name, Zeroizing};
use secrets_dotenv::{Dialect, LineCounter};
use secrets_platform::files::{self, Edit};
use serde_json::json;

use crate::exec::hijack;
use crate::exit::{Exit, Failure, Result};
use crate::flags::Consent;
use crate::formats::{ExampleLine, example};
use crate::links::Names;
use crate::manifest::trust;
use crate::printer::{counted, printable};
use crate::session::Session;
use crate::settings::{LayerSpec, Settings, shown};
use crate::suggest;

/// The file that lists a project's names.
const EXAMPLE: &str = ".env.example";

/// As many lines are listed one by one; of more their number is given.
const MOST_LISTED: usize = 12;

/// Check that every reader of your .env files reads the same, and that .env.example is complete
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The readers are those of secrets.toml, `readers = [\"python-dotenv\", \"compose\", \"systemd\"]` below \
[project], or those given here. Exits 7 if there is something to mend.\n\n\
--fix rewrites the lines that some reader reads otherwise, into a form that all of them read alike where \
there is one; a value put together from others (`${NAME}`) is left as it is.\n\n\
Examples:\n  secrets check\n  secrets check --reader compose,systemd --fix\n  secrets check --write-example")]
pub struct Args {
    /// The readers, in place of those in secrets.toml
    #[arg(long, value_name = "DIALECT", value_delimiter = ',')]
    reader: Vec<String>,
    /// Rewrite lines so that all readers agree, and add names that .env.example lacks
    #[arg(long)]
    fix: bool,
    /// Write .env.example anew: names, what they are for, no value
    #[arg(long)]
    write_example: bool,
    #[command(flatten)]
    consent: Consent,
}

/// What was found in one file.
struct Finding {
    place: String,
    name: Option<String>,
    what: String,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let settings = session.settings()?;
        let readers = self.readers(&settings)?;
        let path = settings.root.join(EXAMPLE);
        if !trust::is_inside(&settings.root, &path) {
            return Err(Failure::new(
                Exit::Denied,
                format!("{EXAMPLE} is a link that leads out of the project"),
            ));
        }
        if self.write_example {
            return self.write_example(session, &settings, &path);
        }
        let files = if readers.is_empty() {
            Vec::new()
        } else {
            files_there(session, &settings)?
        };
        if files.is_empty() && !path.exists() {
            let what = if readers.is_empty() {
                "no readers are declared".to_owned()
            } else {
                format!("{} has no .env file", settings.place())
            };
            return Err(Failure::usage(format!("there is nothing to check: {what}, and there is no {EXAMPLE}")).with_hint(
                "say who reads your .env: `readers = [\"python-dotenv\", \"compose\"]` below [project] in secrets.toml, or --reader",
            ));
        }
        let mut findings = Vec::new();
        for layer in files {
            findings.extend(self.file(session, layer, &readers)?);
        }
        if path.exists() {
            findings.extend(self.example(session, &settings, &path)?);
        }
        report(session, &readers, &findings)?;
        Ok(if findings.is_empty() {
            Exit::Done
        } else {
            Exit::Findings
        })
    }

    fn readers(&self, settings: &Settings) -> Result<Vec<Dialect>> {
        let words = if self.reader.is_empty() {
            &settings.manifest.project.readers
        } else {
            &self.reader
        };
        let reader = |word: &String| {
            word.parse().map_err(|()| {
                let shown = printable(word);
                Failure::usage(format!("there is no reader `{shown}`"))
                    .with_hint_opt(suggest::hint(word, Dialect::names()))
            })
        };
        words.iter().map(reader).collect()
    }

    /// One `.env` file, as all readers read it.
    fn file(
        &self,
        session: &Session,
        layer: &LayerSpec,
        readers: &[Dialect],
    ) -> Result<Vec<Finding>> {
        let path = layer.root.join(layer.uri.location());
        let place = shown(&path, &session.surroundings.cwd);
        let at = |error: Error| Failure::from(error.at_store(&layer.label));
        let reading = secrets_dotenv::reading(&layer.uri).map_err(at)?;
        let mut contents = files::read(&path)?.ok_or_else(|| gone(&path))?;
        let mut tried = false;
        if self.fix && layer.inherited {
            session.printer.hint(format!(
                "{place} belongs to {}: mend it there, with -e {}",
                layer.environment, layer.environment
            ));
        } else if self.fix {
            let mended = secrets_dotenv::agree(reading, readers, &contents.bytes).map_err(at)?;
            tried = match mended {
                None => true,
                Some(mended) => {
                    let done = self.mend(session, layer, readers, &path, &mended.lines)?;
                    contents = files::read(&path)?.ok_or_else(|| gone(&path))?;
                    done
                }
            };
        }
        let found = secrets_dotenv::compare(reading, readers, &contents.bytes).map_err(at)?;
        let names = |list: &[Dialect]| list.iter().map(|d| d.name()).collect::<Vec<_>>().join(", ");
        let refusals = found.refusals.iter().map(|(reader, error)| Finding {
            place: place.clone(),
            name: None,
            what: format!(
                "{} cannot read the file: {}",
                reader.name(),
                error.message()
            ),
        });
        let differences = found.differences.iter().map(|difference| Finding {
            place: format!("{place}:{}", difference.line),
            name: difference.name.clone(),
            what: format!(
                "{} {} something else{}",
                names(&difference.readers),
                if difference.readers.len() == 1 {
                    "reads"
                } else {
                    "read"
                },
                match (difference.derived, tried) {
                    (true, _) => ": it is put together from other values",
                    (false, true) => ": no form is read alike by all",
                    (false, false) => "",
                }
            ),
        });
        Ok(refusals.chain(differences).collect())
    }

    /// Rewrites what can be mended of one file, these lines as it is now; no if nobody wants that.
    fn mend(
        &self,
        session: &Session,
        layer: &LayerSpec,
        readers: &[Dialect],
        path: &Path,
        lines: &[usize],
    ) -> Result<bool> {
        let place = shown(path, &session.surroundings.cwd);
        let reading = secrets_dotenv::reading(&layer.uri)?;
        let list: Vec<String> = lines.iter().map(ToString::to_string).collect();
        let what = match lines {
            [] => "the byte order mark".to_owned(),
            [line] => format!("line {line}"),
            _ if lines.len() > MOST_LISTED => counted(lines.len(), "line"),
            _ => format!("lines {}", list.join(", ")),
        };
        let question = format!("rewrite {what} of {place}");
        if !self
            .consent
            .given(session, layer.protected.is_some(), &question)?
        {
            return Ok(false);
        }
        let names = Names::of(path);
        files::update(path, &files::Options::default(), |now| {
            let bytes = now.map_or(&[][..], |now| &now.bytes);
            Ok(match secrets_dotenv::agree(reading, readers, bytes)? {
                Some(mended) => (Edit::Replace(mended.text), ()),
                None => (Edit::Keep, ()),
            })
        })?;
        names.tell(&session.printer);
        session.printer.done(format!(
            "{what} of {place} rewritten, so that all read alike"
        ));
        Ok(true)
    }

    /// `.env.example`: every name there is, and no value that is one.
    fn example(&self, session: &Session, settings: &Settings, path: &Path) -> Result<Vec<Finding>> {
        let contents = files::read(path)?.ok_or_else(|| gone(path))?;
        let entries = secrets_dotenv::parse(Dialect::default(), &contents.bytes)
            .map_err(|e| Failure::from(e.at_store(EXAMPLE)))?;
        let listed: BTreeSet<String> = entries.iter().map(|e| e.name.to_string()).collect();
        let wanted = self.lines(session, settings)?;
        let missing: Vec<ExampleLine> = wanted
            .iter()
            .filter(|line| !listed.contains(&line.name))
            .cloned()
            .collect();
        let mut findings = Vec::new();
        let mut lines = LineCounter::new(&contents.bytes);
        let defaults: BTreeMap<&str, &str> = wanted
            .iter()
            .filter_map(|line| Some((line.name.as_str(), line.default.as_deref()?)))
            .collect();
        for entry in &entries {
            let default = defaults.get(entry.name.as_ref()).map(|d| d.as_bytes());
            let value = entry.value.as_ref().map_or(&[][..], |v| v.expose());
            if !value.is_empty() && default != Some(value) {
                findings.push(Finding {
                    place: format!("{EXAMPLE}:{}", lines.of(entry.at)),
                    name: entry.may_be_shown().then(|| entry.name.to_string()),
                    what: "has a value: this file is committed".into(),
                });
            }
        }
        if missing.is_empty() {
            return Ok(findings);
        }
        if self.fix {
            let text = example(&missing);
            // Without the head, which the file has.
            let lines = text.split_once('\n').map_or("", |(_, lines)| lines);
            if self.consent.given(
                session,
                true,
                &format!("add {} to {EXAMPLE}", counted(missing.len(), "name")),
            )? {
                files::update(path, &files::Options::default(), |now| {
                    let mut text = now.map_or(Vec::new(), |now| now.bytes.to_vec());
                    if !text.is_empty() && !text.ends_with(b"\n") {
                        text.push(b'\n');
                    }
                    text.extend_from_slice(lines.as_bytes());
                    Ok((Edit::Replace(Zeroizing::new(text)), ()))
                })?;
                session.printer.done(format!(
                    "{} added to {EXAMPLE}",
                    counted(missing.len(), "name")
                ));
                return Ok(findings);
            }
        }
        findings.extend(missing.into_iter().map(|line| Finding {
            place: EXAMPLE.into(),
            name: Some(line.name),
            what: "is not listed".into(),
        }));
        Ok(findings)
    }

    /// The names there are: declared, and held by the stores. One that is in a `.env` file alone and may
    /// be a part of a value is none to be committed.
    fn lines(&self, session: &Session, settings: &Settings) -> Result<Vec<ExampleLine>> {
        let stack = session.open_to_read(settings)?;
        let held = session.block_on(stack.list(&session.cx()))?;
        let is_plain = |name: &Name, layer: usize| {
            settings.declares(name.as_str())
                || stack.layers[layer].spec.uri.scheme() != "dotenv"
                || secrets_dotenv::may_be_shown(name.as_str(), b"value")
        };
        let (plain, odd): (Vec<_>, Vec<_>) = held
            .iter()
            .partition(|(name, item)| is_plain(name, item.layer));
        if !odd.is_empty() {
            session.printer.hint(format!(
                "left out of {EXAMPLE}: {} that may be a part of a value; declare it in secrets.toml if it is a name",
                counted(odd.len(), "name")
            ));
        }
        let mut names: BTreeSet<String> = plain.iter().map(|(name, _)| name.to_string()).collect();
        names.extend(settings.manifest.secrets.keys().cloned());
        let line = |name: String| {
            let secret = settings.manifest.secrets.get(&name);
            ExampleLine {
                description: secret.and_then(|s| s.description.clone()),
                // A default that takes a process over is not spread further.
                default: secret
                    .and_then(|s| s.default.clone())
                    .filter(|_| hijack::reason(&name).is_none()),
                name,
            }
        };
        Ok(names.into_iter().map(line).collect())
    }

    fn write_example(&self, session: &Session, settings: &Settings, path: &Path) -> Result<Exit> {
        let text = example(&self.lines(session, settings)?);
        let present = files::read(path)?;
        if present
            .as_ref()
            .is_some_and(|now| *now.bytes == text.as_bytes())
        {
            session.printer.say(format!("{EXAMPLE} is as it should be"));
            return Ok(Exit::Done);
        }
        let verb = if present.is_some() {
            "replace"
        } else {
            "write"
        };
        if self
            .consent
            .given(session, present.is_some(), &format!("{verb} {EXAMPLE}"))?
        {
            let options = files::Options {
                mode_if_new: 0o644,
                ..files::Options::default()
            };
            files::update(path, &options, |_| {
                Ok((Edit::Replace(Zeroizing::new(text.clone().into_bytes())), ()))
            })?;
            session.printer.done(format!("{EXAMPLE} written"));
        }
        Ok(Exit::Done)
    }
}

/// The environment's `.env` files, as far as they are there: they are kept out of source control, and
/// a fresh clone has none. One named on the command line has to be.
fn files_there<'s>(session: &Session, settings: &'s Settings) -> Result<Vec<&'s LayerSpec>> {
    let mut there = Vec::new();
    for layer in &settings.layers {
        if layer.uri.scheme() != "dotenv" {
            continue;
        }
        let path = layer.root.join(layer.uri.location());
        if files::stamp(&path)?.is_some() {
            there.push(layer);
        } else if session.globals.store.is_empty() {
            let place = shown(&path, &session.surroundings.cwd);
            session
                .printer
                .say(format!("{place} is not there: not checked"));
        } else {
            let what = format!("{} is not there", layer.label);
            return Err(Failure::new(Exit::NotFound, what));
        }
    }
    Ok(there)
}

fn gone(path: &std::path::Path) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("{} has just been removed", path.display()),
    )
}

fn report(session: &Session, readers: &[Dialect], findings: &[Finding]) -> Result<()> {
    if session.printer.json {
        let list: Vec<_> = findings
            .iter()
            .map(|f| json!({"place": f.place, "name": f.name, "what": f.what}))
            .collect();
        let readers: Vec<_> = readers.iter().map(|r| r.name()).collect();
        return session
            .printer
            .document(&json!({"schema": 1, "readers": readers, "findings": list}));
    }
    if findings.is_empty() {
        session.printer.done("every reader reads the same");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|f| {
            vec![
                f.place.clone(),
                f.name.clone().unwrap_or_else(|| "-".into()),
                f.what.clone(),
            ]
        })
        .collect();
    session.printer.table(&["PLACE", "NAME", "FOUND"], &rows)
}
