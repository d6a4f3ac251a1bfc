//! `secrets rollback`: an earlier value becomes the present one, as a new state.

use jiff::Timestamp;
use secrets_api::{Change, Guard, Lookup, Meta, Name, Op, Precondition, ProviderExt as _};
use serde_json::json;

use super::history;
use crate::age;
use crate::exit::{Exit, Failure, Result};
use crate::flags::Consent;
use crate::session::Session;
use crate::settings::{self, Settings};
use crate::stack::Stack;
use crate::sync::auto;

/// The fewest characters that name a version.
const SHORTEST: usize = 4;

/// Bring back an earlier value of a secret, or one that was removed
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The value becomes a new state: nothing is lost, and rolling back again undoes it."
)]
pub struct Args {
    /// The secret
    name: String,
    /// The version, or how it begins; see `secrets history` [default: the value before the present one]
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    #[command(flatten)]
    consent: Consent,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let name = settings::name(&self.name)?;
        let settings = session.settings()?;
        let stack = session.open(&settings)?;
        let (layer, states) = history::find(session, &settings, &stack, &name)?;
        let store = &stack.layers[layer];
        if store.spec.inherited {
            let environment = &store.spec.environment;
            return Err(
                Failure::usage(format!("{name} is inherited from {environment}")).with_hint(
                    format!("roll it back there: `secrets rollback {name} -e {environment}`"),
                ),
            );
        }
        let chosen = choose(&name, &states, self.to.as_deref());
        let is_gone = states.first().is_some_and(|state| state.deleted);
        let can = store.provider.capabilities();
        if chosen.is_err() && self.to.is_none() && is_gone && can.restore {
            return self.restore(session, &settings, &stack, layer, &name);
        }
        let target = chosen?;
        let Some(version) = &target.version else {
            return Err(Failure::new(
                Exit::Failed,
                "the store gives its states no names",
            ));
        };
        let mut when = match states.first() {
            Some(Meta {
                version: Some(now), ..
            }) if can.guard >= Guard::Cooperative => Precondition::Version(now.clone()),
            _ => Precondition::Unguarded,
        };
        let age = target.modified.map_or(String::new(), |then| {
            format!(", {} old", age::between(then, Timestamp::now()))
        });
        let question = format!(
            "bring back {name} {}{age} in {}",
            age::short(version.as_str()),
            store.label
        );
        let caution = stack.caution([(layer, when.clone())]);
        let question = format!("{question}{caution}");
        if !self
            .consent
            .given(session, stack.protects([layer]), &question)?
        {
            return Ok(Exit::Done);
        }
        let read = || session.block_on(store.provider.read_version(&session.cx(), &name, version));
        let mut lookup = read()?;
        if can.restore && is_gone && !matches!(lookup, Lookup::Found(_)) {
            // The service shows nothing of what is deleted until it is restored.
            let restore = Change {
                name: &name,
                op: Op::Restore,
                when: when.clone(),
            };
            let back = session.block_on(store.provider.write_one(&session.cx(), restore))?;
            if let (Precondition::Version(_), Some(back)) = (&when, back) {
                when = Precondition::Version(back);
            }
            lookup = read()?;
        }
        let Lookup::Found(stored) = lookup else {
            return Err(Failure::new(
                Exit::NotFound,
                format!("{} no longer keeps that value of {name}", store.label),
            ));
        };
        let change = Change {
            name: &name,
            op: Op::Put(&stored.value),
            when,
        };
        let written = session.block_on(store.provider.write_one(&session.cx(), change))?;
        session.printer.done(format!(
            "{name} rolled back to {} in {}",
            age::short(version.as_str()),
            store.label
        ));
        for above in &stack.layers[layer + 1..] {
            let covered = session.block_on(above.provider.read_one(&session.cx(), &name))?;
            if covered.found().is_some() {
                session.printer.warn(format!(
                    "{} lies above and holds {name} too: its value is the one in effect",
                    above.label
                ));
            }
        }
        if session.printer.json {
            session.printer.document(&json!({
                "schema": 1,
                "name": name.as_str(),
                "store": store.label,
                "from": version.as_str(),
                "version": written.as_ref().map(|v| v.as_str()),
            }))?;
        }
        auto::push(session, &settings, "rolled back", [&name])
    }

    /// Takes a removal back where the service shows nothing of what was there until then.
    fn restore(
        &self,
        session: &Session,
        settings: &Settings,
        stack: &Stack,
        layer: usize,
        name: &Name,
    ) -> Result<Exit> {
        let store = &stack.layers[layer];
        let question = format!(
            "bring back {name} in {}{}",
            store.label,
            // What is gone is brought back: where a store guards at all, over nothing else.
            stack.caution([(layer, stack.guard(layer, None))])
        );
        if !self
            .consent
            .given(session, stack.protects([layer]), &question)?
        {
            return Ok(Exit::Done);
        }
        let change = Change {
            name,
            op: Op::Restore,
            when: Precondition::Unguarded,
        };
        let version = session.block_on(store.provider.write_one(&session.cx(), change))?;
        session
            .printer
            .done(format!("{name} brought back in {}", store.label));
        if session.printer.json {
            session.printer.document(&json!({
                "schema": 1,
                "name": name.as_str(),
                "store": store.label,
                "from": null,
                "version": version.as_ref().map(|v| v.as_str()),
            }))?;
        }
        auto::push(session, settings, "brought back", [name])
    }
}

/// The state to bring back.
fn choose<'a>(name: &Name, states: &'a [Meta], to: Option<&str>) -> Result<&'a Meta> {
    let Some(wanted) = to else {
        // After a removal the value before it; else the one before the present.
        return states.iter().skip(1).find(|m| !m.deleted).ok_or_else(|| {
            Failure::new(
                Exit::NotFound,
                format!("there is no earlier value of {name}"),
            )
        });
    };
    let is_it = |m: &&Meta| m.version.as_ref().is_some_and(|v| v.as_str() == wanted);
    let begins = |m: &&Meta| {
        m.version
            .as_ref()
            .is_some_and(|v| v.as_str().starts_with(wanted))
    };
    let exactly: Vec<&Meta> = states.iter().filter(is_it).take(1).collect();
    let is_exact = !exactly.is_empty();
    let found: Vec<&Meta> = if is_exact {
        exactly
    } else {
        states.iter().filter(begins).collect()
    };
    match found.as_slice() {
        _ if wanted.len() < SHORTEST && !is_exact => Err(Failure::usage(format!(
            "a version is named by at least {SHORTEST} characters"
        ))),
        [one] if one.deleted => Err(Failure::usage(format!(
            "{name} was removed in that state: it has no value"
        ))
        .with_hint(format!("to remove it: `secrets unset {name}`"))),
        [one] => Ok(*one),
        [] => Err(Failure::new(
            Exit::NotFound,
            format!("{name} has no version that begins so"),
        )
        .with_hint(format!("`secrets history {name}` lists them"))),
        _ => Err(Failure::usage("several versions begin so").with_hint("give more characters")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrets_api::Version;

    fn state(version: &str, deleted: bool) -> Meta {
        Meta {
            version: Some(Version::new(version)),
            deleted,
            ..Meta::default()
        }
    }

    #[test]
    fn without_a_version_the_value_before_the_present_one_is_meant() {
        let name = Name::new("A").unwrap();
        let states = [
            state("dddd4", false),
            state("cccc3", true),
            state("bbbb2", false),
        ];
        assert_eq!(choose(&name, &states, None).unwrap(), &states[2]);
        let removed = [
            state("cccc3", true),
            state("bbbb2", false),
            state("aaaa1", false),
        ];
        assert_eq!(choose(&name, &removed, None).unwrap(), &removed[1]);
        assert_eq!(
            choose(&name, &states[..1], None).unwrap_err().exit,
            Exit::NotFound
        );
    }

    #[test]
    fn a_version_is_named_by_its_beginning_if_that_is_clear() {
        let name = Name::new("A").unwrap();
        let states = [
            state("abcd1", false),
            state("abcd2", true),
            state("beef3", false),
        ];
        assert_eq!(choose(&name, &states, Some("beef")).unwrap(), &states[2]);
        assert_eq!(
            choose(&name, &states, Some("abcd")).unwrap_err().exit,
            Exit::Usage
        );
        assert_eq!(
            choose(&name, &states, Some("be")).unwrap_err().exit,
            Exit::Usage
        );
        assert_eq!(
            choose(&name, &states, Some("abcd2")).unwrap_err().exit,
            Exit::Usage
        );
        let numbered = [state("10", false), state("2", false), state("1", false)];
        assert_eq!(choose(&name, &numbered, Some("1")).unwrap(), &numbered[2]);
        assert_eq!(
            choose(&name, &states, Some("ffff")).unwrap_err().exit,
            Exit::NotFound
        );
    }
}
