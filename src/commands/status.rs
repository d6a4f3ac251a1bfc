//! `secrets status`: environments and their mirrors, in step or not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use secrets_api::Name;
use serde_json::{Value, json};

use crate::age;
use crate::apply::{self, Link, Observed, Party, Work};
use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::flags::Choice;
use crate::plan::{Action, Direction, Plan, Rules, Side};
use crate::session::Session;
use crate::settings::Project;
use crate::sync::json::Report;
use crate::sync::parties::{self, Asked};

/// Show, for each environment, whether its mirrors hold what its source holds
#[derive(Debug, clap::Args)]
#[command(after_help = "\
All environments of secrets.toml, or the one that -e names; --store looks at another store in place of the \
source. Nothing is changed. Where nothing was synced from this machine (in CI) a value that differs counts as a \
conflict, and a name that only a mirror has is told as such.\n\n\
Exits 0 where all mirrors are in step, 7 on drift: fit for CI. A store that cannot be reached is said and does \
not hide the others; without drift its own code ends it (6 for unavailable).\n\n\
Examples:\n  secrets status\n  secrets status -e production --json\n  secrets status --only 'DB_*'")]
pub struct Args {
    #[command(flatten)]
    choice: Choice,
}

/// One line of the table.
struct Row {
    environment: String,
    store: String,
    role: &'static str,
    secrets: Option<usize>,
    synced: String,
    state: String,
}

/// What is found out, environment by environment.
#[derive(Default)]
struct Found {
    rows: Vec<Row>,
    documents: Vec<Value>,
    /// All names that are anywhere, or are remembered.
    names: BTreeSet<Name>,
    /// Environments whose mirrors a push would write.
    behind: Vec<String>,
    /// Whether a mirror has names that its source has not.
    extra: bool,
    drift: bool,
    failures: Vec<(String, Failure)>,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let project = Project::discover(&session.surroundings)?;
        let one = session.globals.env.is_some() || !session.globals.store.is_empty();
        let mut found = Found::default();
        if one || project.manifest.environments.is_empty() {
            let source = parties::source(session)?;
            let environment = source.settings.environment.clone();
            let looked = self.look(session, source, &mut found);
            found.unless(&environment, looked);
        } else {
            for environment in project.manifest.environments.keys() {
                let source = parties::source_of(session, environment);
                let looked = source.and_then(|source| self.look(session, source, &mut found));
                found.unless(environment, looked);
            }
        }
        if found.failures.is_empty() {
            let declared = |name: &str| project.manifest.secrets.contains_key(name);
            Chosen::new(&self.choice).check(found.names.iter(), declared)?;
        }
        if session.printer.json {
            let document = json!({
                "schema": 1,
                "verb": "status",
                "drift": found.drift,
                "environments": found.documents,
            });
            session.printer.document(&document)?;
        } else {
            found.print(session)?;
        }
        found.end(session)
    }

    /// Looks at one environment.
    fn look(&self, session: &Session, source: Party, found: &mut Found) -> Result<()> {
        let mirrors = parties::mirrors(session, &source, &[])?;
        let spinner = format!("reading {}", source.settings.environment);
        let mut all = vec![source];
        all.extend(mirrors);
        let rules = Rules {
            direction: Direction::To(Side::Right),
            ..Rules::default()
        };
        let asked = Asked {
            rules,
            mapping: "",
            locked: false,
        };
        let chosen = Chosen::new(&self.choice);
        let mut work = parties::work(session, all, &asked, chosen)?;
        let spinner = session.printer.spinner(&spinner);
        session.block_on(apply::look_at_all(&mut work, &session.cx()));
        drop(spinner);
        found.take(&work);
        Ok(())
    }
}

impl Found {
    /// Tells why an environment could not be looked at.
    fn unless(&mut self, environment: &str, looked: Result<()>) {
        let Err(failure) = looked else { return };
        self.rows.push(Row {
            environment: environment.to_owned(),
            store: "-".to_owned(),
            role: "source",
            secrets: None,
            synced: String::new(),
            state: word(&failure).to_owned(),
        });
        self.documents.push(json!({
            "environment": environment,
            "source": null,
            "secrets": null,
            "error": failure.message,
            "mirrors": [],
        }));
        self.failures.push((environment.to_owned(), failure));
    }

    fn take(&mut self, work: &Work) {
        let source = &work.parties[0];
        let environment = &source.settings.environment;
        let count = |n: usize| {
            let seen = work.observed[n].as_ref()?;
            Some(names(seen).filter(|name| work.chosen.holds(name)).count())
        };
        let layers = source.stack.layers.iter().map(|l| l.label.as_str());
        let missing = work.observed[0].as_ref().is_some_and(|seen| seen.missing);
        self.rows.push(Row {
            environment: environment.clone(),
            store: layers.collect::<Vec<_>>().join(", "),
            role: "source",
            secrets: count(0),
            synced: String::new(),
            state: match &work.unseen[0] {
                Some(failure) => word(failure).to_owned(),
                None if missing => "not there".to_owned(),
                None if work.links.is_empty() => "no mirrors".to_owned(),
                None => String::new(),
            },
        });
        for link in &work.links {
            self.take_mirror(work, link, count(link.sides.right));
        }
        let report = Report {
            verb: "status",
            work,
            decided: &[],
            reveal: &BTreeSet::new(),
            error: None,
        };
        let links = work.links.iter();
        let mirrors: Vec<Value> = links.map(|l| report.pair(l, &BTreeMap::new())).collect();
        self.documents.push(json!({
            "environment": environment,
            "source": source.label,
            "secrets": count(0),
            "error": work.unseen[0].as_ref().map(|f| f.message.as_str()),
            "mirrors": mirrors,
        }));
        let unseen = work.parties.iter().zip(&work.unseen);
        let unseen = unseen.filter_map(|(party, failure)| Some((party, failure.as_ref()?)));
        self.failures
            .extend(unseen.map(|(party, failure)| (party.label.clone(), failure.clone())));
        let seen = work.observed.iter().flatten();
        self.names.extend(seen.flat_map(names).cloned());
        let bases = work.links.iter().flat_map(|link| link.kept.base().keys());
        self.names.extend(bases.cloned());
    }

    fn take_mirror(&mut self, work: &Work, link: &Link, secrets: Option<usize>) {
        let environment = &work.parties[0].settings.environment;
        let label = &work.party(link, Side::Right).label;
        let state = match &link.failed {
            // The source's own failure stands in its own line.
            Some((Side::Left, _)) => "not compared".to_owned(),
            Some((Side::Right, failure)) => {
                if work.unseen[link.sides.right].is_none() {
                    self.failures.push((label.clone(), failure.clone()));
                }
                word(failure).to_owned()
            }
            None if link.plan.is_in_step() => "in step".to_owned(),
            None => {
                self.drift = true;
                let extra = |a: &Action| matches!(a, Action::Extra { .. });
                self.extra |= link.plan.count(extra) > 0;
                let pushed = |a: &Action| !a.is_in_step() && !extra(a);
                if link.plan.count(pushed) > 0 && self.behind.last() != Some(environment) {
                    self.behind.push(environment.clone());
                }
                summary(&link.plan)
            }
        };
        self.rows.push(Row {
            environment: environment.clone(),
            store: label.clone(),
            role: "mirror",
            secrets,
            synced: link.kept.saved().map_or("never".to_owned(), |then| {
                format!("{} ago", age::between(then, Timestamp::now()))
            }),
            state,
        });
    }

    fn print(&self, session: &Session) -> Result<()> {
        let cells = |row: &Row| {
            vec![
                row.environment.clone(),
                row.store.clone(),
                row.role.to_owned(),
                row.secrets.map_or("-".to_owned(), |n| n.to_string()),
                row.synced.clone(),
                row.state.clone(),
            ]
        };
        let rows: Vec<_> = self.rows.iter().map(cells).collect();
        let header = ["ENVIRONMENT", "STORE", "ROLE", "SECRETS", "SYNCED", "STATE"];
        session.printer.table(&header, &rows)
    }

    fn end(mut self, session: &Session) -> Result<Exit> {
        let printer = &session.printer;
        if !self.drift && self.failures.len() == 1 {
            return Err(self.failures.remove(0).1);
        }
        for (place, failure) in &self.failures {
            printer.warn(format!("{place}: {}", failure.message));
        }
        match self.behind.as_slice() {
            [] => {}
            [one] => printer.hint(format!(
                "`secrets push -e {one}` brings its mirrors in step; --dry-run shows how"
            )),
            [first, ..] => printer.hint(format!(
                "`secrets push -e {first}` brings its mirrors in step, and so on; --dry-run shows how"
            )),
        }
        if self.extra {
            printer.hint(
                "what only a mirror has: `secrets pull` takes it, `secrets unset NAME --store MIRROR` removes it, --except leaves it out",
            );
        }
        if self.drift {
            return Ok(Exit::Findings);
        }
        let count = self.failures.len();
        match self.failures.into_iter().next() {
            Some((_, failure)) => {
                let message = format!("{count} stores could not be looked at");
                Err(Failure::new(failure.exit, message).with_hint_opt(failure.hint))
            }
            None => Ok(Exit::Done),
        }
    }
}

/// All names that are there, readable or not.
fn names(seen: &Observed) -> impl Iterator<Item = &Name> {
    seen.held.keys().chain(seen.unknown.keys())
}

/// Why a store could not be looked at, in a word.
fn word(failure: &Failure) -> &'static str {
    match failure.exit {
        Exit::Unavailable => "unavailable",
        Exit::Denied => "denied",
        Exit::NotFound => "not found",
        Exit::Usage => "not usable",
        _ => "failed",
    }
}

/// How many names are how far apart.
fn summary(plan: &Plan) -> String {
    type Kind = (&'static str, fn(&Action) -> bool);
    let kinds: [Kind; 7] = [
        ("to create", |a| matches!(a, Action::Create { .. })),
        ("to change", |a| matches!(a, Action::Change { .. })),
        ("to delete", |a| {
            matches!(a, Action::Delete { .. } | Action::Pending { .. })
        }),
        ("in conflict", |a| matches!(a, Action::Conflict(_))),
        ("only here", |a| matches!(a, Action::Extra { .. })),
        ("unreadable", |a| matches!(a, Action::Unknown { .. })),
        ("the same", Action::is_in_step),
    ];
    let parts = kinds.iter().filter_map(|(word, of)| {
        let count = plan.count(of);
        (count > 0).then(|| format!("{count} {word}"))
    });
    parts.collect::<Vec<_>>().join(", ")
}
