//! `secrets history`: the states of one secret, newest first; never a value.

use jiff::Timestamp;
use secrets_api::{Meta, Name};
use serde_json::json;

use crate::age;
use crate::exit::{Exit, Failure, Result};
use crate::flags::Consent;
use crate::missing;
use crate::printer::counted;
use crate::session::Session;
use crate::settings::{self, Settings};
use crate::stack::Stack;

/// Show the earlier states of a secret; never a value
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Bring one back with `secrets rollback NAME --to VERSION`."
)]
pub struct Args {
    /// The secret
    #[arg(required = true)]
    name: Option<String>,
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Forget earlier states, but the newest
    #[command(
        after_help = "What was committed to source control before stays there, sealed to who could \
        open it then: a value that has leaked is replaced where it is issued."
    )]
    Prune {
        /// The secrets
        #[arg(required = true)]
        names: Vec<String>,
        /// How many states to keep, the present one among them
        #[arg(long, value_name = "N", default_value_t = 1)]
        keep: usize,
        #[command(flatten)]
        consent: Consent,
    },
}

/// The states of `name` in the uppermost layer that knows any: the layer and the states, newest
/// first.
///
/// # Errors
/// If no layer keeps history, or none of those that do knows the name.
pub fn find(
    session: &Session,
    settings: &Settings,
    stack: &Stack,
    name: &Name,
) -> Result<(usize, Vec<Meta>)> {
    let keeping: Vec<usize> = (0..stack.layers.len())
        .rev()
        .filter(|&layer| stack.layers[layer].provider.capabilities().history)
        .collect();
    if keeping.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!("no store of {} keeps history", settings.place()),
        )
        .with_hint("`local:` does: put it last among the source's stores"));
    }
    for layer in keeping {
        let states = session.block_on(stack.layers[layer].provider.history(&session.cx(), name))?;
        if !states.is_empty() {
            return Ok((layer, states));
        }
    }
    let held = session.block_on(stack.list(&session.cx()))?;
    match held.get(name) {
        Some(listed) => Err(Failure::new(
            Exit::Failed,
            format!(
                "{name} is in {}, which keeps no history",
                stack.layers[listed.layer].label
            ),
        )),
        None => Err(missing::failure(session, settings, stack, name)),
    }
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let word = match (self.what, self.name) {
            (
                Some(What::Prune {
                    names,
                    keep,
                    consent,
                }),
                _,
            ) => {
                return prune(session, &names, keep, consent);
            }
            (None, Some(word)) => word,
            (None, None) => return Err(Failure::usage("which secret?")),
        };
        let name = settings::name(&word)?;
        let settings = session.settings()?;
        let stack = session.open_to_read(&settings)?;
        let (layer, states) = find(session, &settings, &stack, &name)?;
        let label = &stack.layers[layer].label;
        if session.printer.json {
            let versions: Vec<_> = states
                .iter()
                .map(|m| {
                    json!({
                        "version": m.version.as_ref().map(|v| v.as_str()),
                        "modified": m.modified.map(|t| t.to_string()),
                        "author": m.author,
                        "deleted": m.deleted,
                    })
                })
                .collect();
            session.printer.document(
                &json!({"schema": 1, "name": name.as_str(), "store": label, "versions": versions}),
            )?;
            return Ok(Exit::Done);
        }
        let now = Timestamp::now();
        let rows: Vec<Vec<String>> = states
            .iter()
            .enumerate()
            .map(|(index, m)| {
                vec![
                    m.version
                        .as_ref()
                        .map_or("-".into(), |v| age::short(v.as_str())),
                    m.modified
                        .map_or("-".into(), |then| age::between(then, now)),
                    m.author.clone().unwrap_or_else(|| "-".into()),
                    match (index, m.deleted) {
                        (_, true) => "removed".into(),
                        (0, false) => "present".into(),
                        _ => String::new(),
                    },
                ]
            })
            .collect();
        session
            .printer
            .table(&["VERSION", "AGE", "AUTHOR", ""], &rows)?;
        session.printer.detail(1, || format!("from {label}"));
        Ok(Exit::Done)
    }
}

/// Forgets earlier states, in the layer that keeps them.
fn prune(session: &Session, words: &[String], keep: usize, consent: Consent) -> Result<Exit> {
    if keep == 0 {
        return Err(Failure::usage(
            "the present state is always kept: --keep takes at least 1",
        ));
    }
    let names = settings::names(words)?;
    let settings = session.settings()?;
    let stack = session.open(&settings)?;
    let mut found = Vec::with_capacity(names.len());
    for name in &names {
        let (layer, states) = find(session, &settings, &stack, name)?;
        let spec = &stack.layers[layer].spec;
        if spec.inherited {
            return Err(
                Failure::usage(format!("{name} is inherited from {}", spec.environment))
                    .with_hint(format!("prune it there: `-e {}`", spec.environment)),
            );
        }
        if !stack.layers[layer].provider.capabilities().prune {
            let what = format!(
                "{}: one secret's past cannot be forgotten alone",
                stack.layers[layer].label
            );
            return Err(Failure::new(Exit::Failed, what)
                .with_hint("the service's own tools forget whole documents or secrets"));
        }
        found.push((name, layer, states.len().saturating_sub(keep)));
    }
    let gone: usize = found.iter().map(|(_, _, gone)| gone).sum();
    let list = names
        .iter()
        .map(Name::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let question = format!(
        "forget {} of {list}, for good",
        counted(gone, "earlier state")
    );
    // What is forgotten does not come back.
    if gone > 0 && !consent.given(session, true, &question)? {
        return Ok(Exit::Done);
    }
    let mut report = Vec::with_capacity(found.len());
    for (name, layer, _) in found {
        let store = &stack.layers[layer];
        let gone = session.block_on(store.provider.prune(&session.cx(), name, keep))?;
        session.printer.done(format!(
            "{name}: {} forgotten in {}",
            counted(gone, "earlier state"),
            store.label
        ));
        report.push(json!({"name": name.as_str(), "store": store.label, "forgotten": gone}));
    }
    if session.printer.json {
        session
            .printer
            .document(&json!({"schema": 1, "pruned": report}))?;
    }
    Ok(Exit::Done)
}
