//! `secrets status`: environments and their mirrors, in step or not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use secrets_api::Name;
use serde_json::{Value, json};

use crate::age;
use crate::apply::{self, Link, Observed, Party, Work};
use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::flags::{Choice, Globals};
use crate::plan::{Action, Direction, Rules, Side, Step};
use crate::session::Session;
use crate::settings::Project;
use crate::sync::json::Report;
use crate::sync::line::{Line, address, listed};
use crate::sync::parties::{self, Asked};
use crate::sync::show;

/// Show, for each environment, whether its mirrors hold what its source holds
#[derive(Debug, clap::Args)]
#[command(after_help = "\
All environments of secrets.toml, or the one that -e names; --store looks at another store in place of the \
source. Nothing is changed. Where nothing was synced from this machine (in CI) a value that differs counts as a \
conflict, and a name that only a mirror has is told as such. Where neither the source is there nor a mirror holds \
anything, nothing was compared: that is no success.\n\n\
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
    /// What to type about what is not in step.
    hints: Vec<String>,
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
        session.block_on(apply::look(&mut work, &session.cx()));
        drop(spinner);
        compared(session, &mut work);
        found.take(&work);
        found.hint(session, &self.choice, &work);
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
                _ if missing => "not there".to_owned(),
                Some(failure) => word(failure).to_owned(),
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
        let there = work.observed[link.sides.right].as_ref();
        let state = match &link.failed {
            Some((Side::Left, _)) if there.is_some_and(|seen| seen.missing) => {
                "not there".to_owned()
            }
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
                show::summary(&link.plan)
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

    /// Says how an environment and its mirrors come in step.
    fn hint(&mut self, session: &Session, choice: &Choice, work: &Work) {
        let source = &work.parties[0];
        let globals = Globals {
            env: Some(source.settings.environment.clone()),
            ..session.globals.clone()
        };
        let count = |of: fn(&Action) -> bool| -> usize {
            work.links.iter().map(|link| link.plan.count(of)).sum()
        };
        let conflicts = count(|a| matches!(a, Action::Conflict(_)));
        let deletions = count(|a| matches!(a, Action::Pending { .. }));
        let unread = count(|a| matches!(a, Action::Unknown { .. }));
        let is_left = |a: &Action| matches!(a, Action::Extra { .. } | Action::Unknown { .. });
        let pushed = work.links.iter().map(|link| {
            let steps = link.plan.steps.iter().map(|step| &step.action);
            steps.filter(|a| !a.is_in_step() && !is_left(a)).count()
        });
        let line = Line::new("push").globals(&globals).choice(choice);
        let push = line.clone().switch("--delete", deletions > 0);
        let too = match deletions {
            0 => "",
            _ => " and removes there what was deleted in the source",
        };
        if conflicts > 0 {
            self.hints.push(format!(
                "`{line} --dry-run` shows what is in conflict, and how to decide it"
            ));
        } else if pushed.sum::<usize>() > 0 {
            self.hints.push(format!(
                "`{push}` brings its mirrors in step{too}; --dry-run shows how"
            ));
        }
        if unread > 0 {
            self.hints.push(format!(
                "`{push} --dry-run` shows why what is unreadable is"
            ));
        }
        for link in &work.links {
            let extra = |step: &&Step| matches!(step.action, Action::Extra { .. });
            let names: Vec<&Name> = link
                .plan
                .steps
                .iter()
                .filter(extra)
                .map(|step| &step.name)
                .collect();
            if names.is_empty() {
                continue;
            }
            let names = listed(names);
            let mirror = work.party(link, Side::Right);
            let store = address(mirror, &session.surroundings.cwd);
            let named = (work.links.len() > 1).then_some(store.as_str());
            let pull = Line::new("pull").words(named).globals(&globals);
            let pull = pull.flag("--only", &names);
            let takes = match source.stack.last_writable() {
                Ok(_) => format!("`{pull}` takes it, "),
                Err(_) => String::new(),
            };
            let unset = Line::new("unset").words(names.split(','));
            let unset = unset
                .flag_opt("-e", globals.env.as_deref())
                .flag("--store", &store);
            self.hints.push(format!(
                "what only {} has: {takes}`{unset}` removes it, --except {names} leaves it out",
                mirror.label
            ));
        }
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
            let told = failure.message.contains(place.as_str());
            let place = if told {
                String::new()
            } else {
                format!("{place}: ")
            };
            printer.warn(format!("{place}{}", failure.message));
        }
        self.hints.iter().for_each(|hint| printer.hint(hint));
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

/// Takes a source that is not there for what it is where nothing else tells: two stores that hold nothing hold
/// the same, but most likely a name is wrong.
fn compared(session: &Session, work: &mut Work) {
    let source = &work.parties[0];
    if !work.observed[0].as_ref().is_some_and(|seen| seen.missing) {
        return;
    }
    let message = format!("{} is not there", source.label);
    let failure = Failure::new(Exit::NotFound, message)
        .with_hint("nothing was compared with it; is its name right?");
    let empty = |link: &&mut Link| link.failed.is_none() && link.plan.is_in_step();
    let mut any = work.links.is_empty() && !session.globals.store.is_empty();
    for link in work.links.iter_mut().filter(empty) {
        link.failed = Some((Side::Left, failure.clone()));
        any = true;
    }
    if any {
        work.unseen[0].get_or_insert(failure);
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
