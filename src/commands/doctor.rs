//! `secrets doctor`: each store: reachable, who we are, what we may do, how to mend it.

use secrets_api::Guard;
use serde_json::{Value, json};

#[cfg(feature = "local")]
use crate::drivers;
use crate::exit::{Exit, Failure, Result};
use crate::identity;
use crate::printer::printable;
use crate::resolve;
use crate::session::Session;
use crate::settings::Project;

/// Check the setup: manifest, identity and each store; say how to mend what is wrong
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exits 7 if it finds something to mend.\n\nExamples:\n  secrets doctor -e production\n  \
secrets doctor --policy --store vault:secret/shop/production | bao policy write shop -"
)]
pub struct Args {
    /// Print the least policy under which each store of the environment works, and nothing else; asks no store
    #[arg(long)]
    policy: bool,
}

/// What was found about one part.
struct Finding {
    part: String,
    facts: Vec<(String, String)>,
    problems: Vec<(String, Option<String>)>,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        if self.policy {
            return policies(session);
        }
        let mut findings = vec![manifest(session), own_identity(session)];
        #[cfg(feature = "local")]
        findings.extend(git(session));
        // What is wrong with the environment is a finding too, not the end.
        match session.settings() {
            Err(failure) => findings.push(Finding {
                part: "environment".into(),
                facts: Vec::new(),
                problems: vec![(failure.message, failure.hint)],
            }),
            Ok(settings) => match session.open_to_read(&settings) {
                Err(failure) => findings.push(Finding {
                    part: settings.place(),
                    facts: Vec::new(),
                    problems: vec![(failure.message, failure.hint)],
                }),
                Ok(stack) => {
                    let mut answers = true;
                    for layer in &stack.layers {
                        let (finding, answered) = store(session, layer);
                        findings.push(finding);
                        answers &= answered;
                    }
                    // One that did not answer would be waited for once more.
                    if answers {
                        findings.push(required(session, &settings, &stack));
                    }
                }
            },
        }
        let sound = findings.iter().all(|f| f.problems.is_empty());
        if session.printer.json {
            let list: Vec<Value> = findings.iter().map(Finding::json).collect();
            session
                .printer
                .document(&json!({"schema": 1, "sound": sound, "findings": list}))?;
        } else {
            for finding in &findings {
                finding.show(session)?;
            }
        }
        Ok(if sound { Exit::Done } else { Exit::Findings })
    }
}

impl Finding {
    fn json(&self) -> Value {
        let facts: serde_json::Map<_, _> = self
            .facts
            .iter()
            .map(|(k, v)| (k.clone(), json!(v)))
            .collect();
        let problems: Vec<_> = self
            .problems
            .iter()
            .map(|(what, hint)| json!({"what": what, "hint": hint}))
            .collect();
        json!({"part": self.part, "facts": facts, "problems": problems})
    }

    fn show(&self, session: &Session) -> Result<()> {
        session.printer.line(format!(
            "{} {}",
            if self.problems.is_empty() {
                "✓"
            } else {
                "✗"
            },
            printable(&self.part)
        ))?;
        for (label, text) in &self.facts {
            session
                .printer
                .line(printable(&format!("    {label}: {text}")))?;
        }
        for (what, hint) in &self.problems {
            // A part of the report, wherever that goes.
            session.printer.line(printable(&format!("    ! {what}")))?;
            if let Some(hint) = hint {
                session
                    .printer
                    .line(printable(&format!("      hint: {hint}")))?;
            }
        }
        Ok(())
    }
}

/// The least policy of each store that has one, in the store's own language.
fn policies(session: &Session) -> Result<Exit> {
    let settings = session.settings()?;
    let stack = session.open_to_read(&settings)?;
    let with_policy =
        |layer: &crate::stack::Layer| Some((layer.label.clone(), layer.provider.policy()?));
    let found: Vec<_> = stack.layers.iter().filter_map(with_policy).collect();
    if session.printer.json {
        let list: Vec<_> = found
            .iter()
            .map(|(store, policy)| json!({"store": store, "policy": policy}))
            .collect();
        session
            .printer
            .document(&json!({"schema": 1, "policies": list}))?;
        return Ok(Exit::Done);
    }
    if found.is_empty() {
        return Err(Failure::usage(format!(
            "no store of {} has policies of its own",
            settings.place()
        ))
        .with_hint("name one: `secrets doctor --policy --store vault:secret/shop/production`"));
    }
    for (n, (store, policy)) in found.iter().enumerate() {
        if found.len() > 1 {
            let gap = if n > 0 { "\n" } else { "" };
            session
                .printer
                .line(printable(&format!("{gap}# {store}")))?;
        }
        for line in policy.trim_end().lines() {
            session.printer.line(printable(line))?;
        }
    }
    Ok(Exit::Done)
}

fn manifest(session: &Session) -> Finding {
    let mut finding = Finding {
        part: "manifest".into(),
        facts: Vec::new(),
        problems: Vec::new(),
    };
    match Project::discover(&session.surroundings) {
        Ok(Project {
            found: Some(found), ..
        }) => {
            finding
                .facts
                .push(("file".into(), found.path.display().to_string()));
        }
        Ok(_) => finding.facts.push((
            "file".into(),
            "none: a .env in this folder is used, or --store".into(),
        )),
        Err(failure) => finding.problems.push((failure.message, failure.hint)),
    }
    finding
}

fn own_identity(session: &Session) -> Finding {
    let mut finding = Finding {
        part: "identity".into(),
        facts: Vec::new(),
        problems: Vec::new(),
    };
    match identity::find(&session.surroundings) {
        Ok(Some((place, _))) => finding.facts.push(("kept in".into(), place.to_string())),
        // Only the local store needs one; it says so itself.
        Ok(None) => finding.facts.push((
            "kept in".into(),
            "none: only `local:` stores need one".into(),
        )),
        Err(error) => {
            let hint = error.hint().map(str::to_owned);
            finding.problems.push((error.to_string(), hint));
        }
    }
    finding
}

/// Whether git merges the encrypted store by name in this clone, where there is one.
#[cfg(feature = "local")]
fn git(session: &Session) -> Option<Finding> {
    let root = Project::discover(&session.surroundings).ok()?.root;
    if !drivers::is_repository(&root) || !session.local_folder(&root).exists() {
        return None;
    }
    let mut finding = Finding {
        part: "git".into(),
        facts: Vec::new(),
        problems: Vec::new(),
    };
    match drivers::are_installed(&root) {
        Ok(true) => finding
            .facts
            .push(("merges and shows".into(), ".secrets/*.age by name".into())),
        Ok(false) => finding.problems.push((
            "git would not merge .secrets/*.age by name in this clone".into(),
            Some("`secrets git install`".into()),
        )),
        Err(failure) => finding.problems.push((failure.message, failure.hint)),
    }
    Some(finding)
}

/// What was found about one store, and whether it answered.
fn store(session: &Session, layer: &crate::stack::Layer) -> (Finding, bool) {
    let mut finding = Finding {
        part: layer.label.clone(),
        facts: Vec::new(),
        problems: Vec::new(),
    };
    let can = layer.provider.capabilities();
    let spinner = session.printer.spinner(&layer.label);
    let report = session.block_on(layer.provider.inspect(&session.cx()));
    drop(spinner);
    let answered = report.is_ok();
    match report {
        Ok(report) => {
            finding
                .facts
                .extend(report.identity.map(|who| ("we are".into(), who)));
            finding.facts.extend(report.facts);
            finding.problems = report.problems;
        }
        Err(error) => {
            let hint = error.hint().map(str::to_owned);
            finding.problems.push((error.to_string(), hint));
        }
    }
    let guard = match can.guard {
        Guard::None => "none: the last writer wins",
        Guard::CreateOnly => "new names only",
        Guard::Cooperative => {
            "against every writer that takes our lock; a text editor as far as possible"
        }
        Guard::CompareAndSet => "against every writer",
    };
    if !can.writable {
        finding
            .facts
            .push(("writes".into(), "never: it is read-only".into()));
    }
    finding
        .facts
        .push(("values".into(), can.values.describe().into()));
    if can.writable {
        finding
            .facts
            .push(("writes are guarded".into(), guard.into()));
    }
    finding.facts.push((
        "history".into(),
        if can.history { "kept" } else { "not kept" }.into(),
    ));
    (finding, answered)
}

fn required(
    session: &Session,
    settings: &crate::settings::Settings,
    stack: &crate::stack::Stack,
) -> Finding {
    let mut finding = Finding {
        part: format!("environment {}", settings.environment),
        facts: Vec::new(),
        problems: Vec::new(),
    };
    match session.block_on(stack.list(&session.cx())) {
        Err(failure) => finding.problems.push((failure.message, failure.hint)),
        Ok(listed) => {
            finding
                .facts
                .push(("secrets".into(), listed.len().to_string()));
            let is_held = |name: &_| listed.contains_key(name);
            let is_there =
                |name: &_| is_held(name) || resolve::is_in_file(session, settings, name, is_held);
            for name in settings.missing(is_there) {
                finding.problems.push((
                    format!("{name} is required and has no value"),
                    Some(format!("secrets set {name} -e {}", settings.environment)),
                ));
            }
        }
    }
    finding
}
