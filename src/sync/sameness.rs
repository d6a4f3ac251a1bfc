//! Which store a party is, beyond how it is spelled: two sides must never be one, and what is remembered
//! of a pair must never be taken for another's.

use crate::apply::Party;
use crate::exit::{Failure, Result};
use crate::manifest::trust;
use crate::own_files;
use crate::registry;
use crate::session::Session;
use crate::settings::{LayerSpec, overlap};
use crate::surroundings::Surroundings;

/// Refuses two parties that are, in part, the same store, however they are spelled. What an environment
/// inherits it never writes: two may read that alike. Two that have names of their own in one document
/// (`STG_…`, `PRD_…`) are as good as two documents.
///
/// # Errors
/// A usage failure.
pub fn apart(session: &Session, left: &Party, right: &Party) -> Result<()> {
    let inherited = |one: &LayerSpec, other: &LayerSpec| {
        (one.inherited || other.inherited) && one.environment == other.environment
    };
    for one in &left.stack.layers {
        for other in &right.stack.layers {
            if is_same(&one.spec, &other.spec, &session.surroundings)
                && !inherited(&one.spec, &other.spec)
                && !share(&one.spec, &other.spec)
            {
                let message = if one.label == other.label {
                    format!("{} is on both sides", one.label)
                } else {
                    format!("{} and {} are the same store", one.label, other.label)
                };
                return Err(Failure::usage(message).with_hint("name two different stores"));
            }
        }
    }
    Ok(())
}

/// Whether two that are one place share it by name: no name of either can be one of the other.
fn share(one: &LayerSpec, other: &LayerSpec) -> bool {
    let (here, there) = (one.canonical(), other.canonical());
    let lies_below = here != there && overlap(&here, &there);
    !lies_below && one.names.never_meets(&other.names)
}

fn is_same(one: &LayerSpec, other: &LayerSpec, around: &Surroundings) -> bool {
    if one.uri.scheme() != other.uri.scheme() {
        return false;
    }
    if overlap(&one.canonical(), &other.canonical()) {
        let (here, there) = (places(one, around), places(other, around));
        // A place that one of them does not say may be the other's.
        return here.iter().all(|(what, place)| {
            let mut same = there.iter().filter(|(w, _)| w == what).peekable();
            same.peek().is_none() || same.any(|(_, p)| p == place)
        });
    }
    let files = one.file().zip(other.file());
    files.is_some_and(|(one, other)| own_files::is_same(&one, &other))
}

/// Where a store is beyond what its address says, as (what, place): its servers, region, namespace.
fn places(spec: &LayerSpec, around: &Surroundings) -> Vec<(&'static str, String)> {
    let plain = |address: &str| address.trim_end_matches('/').to_ascii_lowercase();
    let mut found: Vec<_> = spec
        .addresses
        .iter()
        .map(|address| ("server", plain(address)))
        .collect();
    let options = [("region", "region"), ("namespace", "namespace")];
    for (option, what) in options {
        found.extend(
            spec.uri
                .option(option)
                .map(|value| (what, value.to_owned())),
        );
    }
    let variables = registry::find(spec.uri.scheme()).map_or(&[][..], |entry| entry.place);
    for variable in variables {
        let what = match *variable {
            v if v.ends_with("_ADDR") || v.contains("ENDPOINT_URL") => "server",
            v if v.ends_with("_NAMESPACE") => "namespace",
            v if v.ends_with("_REGION") => "region",
            _ => continue,
        };
        if !found.iter().any(|(w, _)| *w == what)
            && let Some(value) = around.text(variable)
        {
            found.push((what, plain(value)));
        }
    }
    found
}

/// What tells a party from all others: where its layers are, how they are read, what their names are.
pub fn identity(party: &Party, around: &Surroundings, mapping: &str) -> String {
    let mut text = String::new();
    let mut add = |part: &str| {
        text.push_str(&format!("{}:{part};", part.len()));
    };
    for layer in &party.stack.layers {
        let spec = &layer.spec;
        add(&spec.canonical());
        let mut options: Vec<_> = spec.uri.options().collect();
        options.sort_unstable();
        for (key, value) in options {
            add(&format!("{key}={value}"));
        }
        for (what, place) in places(spec, around) {
            add(&format!("{what} {place}"));
        }
        // Whose account it is, as far as the surroundings say without asking.
        for variable in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID"] {
            let lasting = |v: &&str| !v.starts_with("ASIA");
            if spec.uri.scheme() == "aws"
                && let Some(value) = around.text(variable).filter(lasting)
            {
                add(&trust::digest(&[variable.to_owned(), value.to_owned()]));
            }
        }
        add(&spec.names.identity());
    }
    add(mapping);
    text
}
