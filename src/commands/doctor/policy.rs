//! `doctor --policy`: the least policy of each store that has one, in the store's own language. A mirror's is
//! among them: it is read and written.

use serde_json::json;

use super::stores;
use crate::exit::{Exit, Failure, Result};
use crate::printer::printable;
use crate::session::Session;
use crate::stack::Layer;

/// Prints them; no store is asked.
pub(super) fn print(session: &Session) -> Result<Exit> {
    let settings = session.settings()?;
    let stack = session.open_to_read(&settings)?;
    let with_policy = |layer: &Layer| Some((layer.label.clone(), layer.provider.policy()?));
    let mut found: Vec<_> = stack.layers.iter().filter_map(with_policy).collect();
    let mut refused = None;
    for (label, opened) in stores::mirrors(session, &settings) {
        match opened {
            Ok((_, layer)) => found.extend(with_policy(&layer)),
            Err(failure) => {
                let said = format!("mirror {label} is left out: {}", failure.message);
                session.printer.warn(said);
                refused = Some(failure);
            }
        }
    }
    // A store that is source and mirror of others too needs one policy.
    found.dedup();
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
        return Err(refused.unwrap_or_else(|| {
            Failure::usage(format!(
                "no store of {} has policies of its own",
                settings.place()
            ))
            .with_hint("name one: `secrets doctor --policy --store vault:secret/shop/production`")
        }));
    }
    for (n, (store, policy)) in found.iter().enumerate() {
        if n > 0 {
            session.printer.line("")?;
        }
        if found.len() > 1 {
            session.printer.line(printable(&format!("# {store}")))?;
        }
        for line in policy.trim_end().lines() {
            session.printer.line(printable(line))?;
        }
    }
    Ok(Exit::Done)
}
