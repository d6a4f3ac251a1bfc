//! The stores of an environment: its source layer by layer, and its mirrors.

use secrets_api::Guard;

use super::Finding;
use crate::exit::Failure;
use crate::resolve;
use crate::session::Session;
use crate::settings::Settings;
use crate::stack::{Layer, Stack};

/// What is found about the environment's source and mirrors.
pub(super) fn look(session: &Session) -> Vec<Finding> {
    let settings = match session.settings() {
        // What is wrong with the environment is a finding too, not the end.
        Err(failure) => return vec![Finding::failed("environment", failure)],
        Ok(settings) => settings,
    };
    let mut findings = match session.open_to_read(&settings) {
        Err(failure) => vec![Finding::failed(settings.place(), failure)],
        Ok(stack) => source(session, &settings, &stack),
    };
    let mirrors = mirrors(session, &settings);
    findings.extend(mirrors.map(|(label, opened)| match opened {
        Err(failure) => Finding::failed(part_of_mirror(label), failure),
        Ok((settings, layer)) => mirror(session, &settings, &layer),
    }));
    findings
}

/// A mirror, opened for a look.
pub(super) type Mirror = (Settings, Layer);

/// The environment's mirrors as they are written; each with its store, or why it may not be opened. Where
/// the source is another that was named, it has none.
pub(super) fn mirrors<'a>(
    session: &'a Session,
    settings: &'a Settings,
) -> impl Iterator<Item = (&'a str, Result<Mirror, Failure>)> {
    let named = !session.globals.store.is_empty();
    let environment = settings.manifest.environments.get(&settings.environment);
    let stores = environment
        .filter(|_| !named)
        .map_or(&[][..], |e| &e.mirrors);
    stores.iter().map(|store| {
        let open = || {
            let (globals, around) = (&session.globals, &session.surroundings);
            let mirror = settings.mirror(store, globals, around)?;
            let mut layers = session.open_to_read(&mirror)?.layers;
            let layer = layers.pop();
            let layer =
                layer.ok_or_else(|| Failure::usage(format!("there is no store {store}")))?;
            Ok((mirror, layer))
        };
        (store.as_str(), open())
    })
}

fn part_of_mirror(label: &str) -> String {
    format!("mirror {label}")
}

fn source(session: &Session, settings: &Settings, stack: &Stack) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut answers = true;
    for layer in &stack.layers {
        let mut finding = Finding::about(&layer.label);
        answers &= store(session, layer, &mut finding);
        #[cfg(feature = "local")]
        super::tracked::look(session, settings, layer, &mut finding);
        findings.push(finding);
    }
    // One that did not answer would be waited for once more.
    if answers {
        findings.push(required(session, settings, stack));
    }
    findings
}

fn mirror(session: &Session, settings: &Settings, layer: &Layer) -> Finding {
    let mut finding = Finding::about(part_of_mirror(&layer.label));
    store(session, layer, &mut finding);
    if !layer.provider.capabilities().writable {
        finding.problem(
            "nothing can be copied to it: it is read-only",
            Some("take it out of `mirrors` in secrets.toml".into()),
        );
    }
    #[cfg(feature = "local")]
    super::tracked::look(session, settings, layer, &mut finding);
    #[cfg(not(feature = "local"))]
    let _ = settings;
    finding
}

/// Asks one store about itself; whether it answered.
fn store(session: &Session, layer: &Layer, finding: &mut Finding) -> bool {
    let can = layer.provider.capabilities();
    let spinner = session.printer.spinner(&layer.label);
    let report = session.block_on(layer.provider.inspect(&session.cx()));
    drop(spinner);
    let answered = report.is_ok();
    match report {
        Ok(report) => {
            if let Some(who) = report.identity {
                finding.fact("we are", who);
            }
            finding.facts(report.facts);
            finding.problems(report.problems);
        }
        Err(error) => finding.error(&error),
    }
    if !can.writable {
        finding.fact("writes", "never: it is read-only");
    }
    finding.fact("values", can.values.describe());
    if can.writable {
        let guard = match can.guard {
            Guard::None => "none: the last writer wins",
            Guard::CreateOnly => "new names only",
            Guard::Cooperative => {
                "against every writer that takes our lock; a text editor as far as possible"
            }
            Guard::CompareAndSet => "against every writer",
        };
        finding.fact("writes are guarded", guard);
    }
    finding.fact("history", if can.history { "kept" } else { "not kept" });
    answered
}

fn required(session: &Session, settings: &Settings, stack: &Stack) -> Finding {
    let mut finding = Finding::about(format!("environment {}", settings.environment));
    match session.block_on(stack.list(&session.cx())) {
        Err(failure) => finding.failure(failure),
        Ok(listed) => {
            finding.fact("secrets", listed.len().to_string());
            let is_held = |name: &_| listed.contains_key(name);
            let is_there =
                |name: &_| is_held(name) || resolve::is_in_file(session, settings, name, is_held);
            for name in settings.missing(is_there) {
                finding.problem(
                    format!("{name} is required and has no value"),
                    Some(format!("secrets set {name} -e {}", settings.environment)),
                );
            }
        }
    }
    finding
}
