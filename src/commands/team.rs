//! `secrets team`: the people the local store is sealed to.

use secrets_local::Member;
use serde_json::json;

use crate::exit::{Exit, Failure, Result};
use crate::flags::Consent;
use crate::session::Session;
use crate::settings::Project;
use crate::suggest;

/// Show or change the people the local store is sealed to
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Add a person, or widen what one may open, and seal the store anew
    #[command(
        after_help = "The keys are what `secrets identity show` prints for that person.\n\nExamples:\n  \
        secrets team add grace age1… ed25519:…\n  secrets team add grace age1… ed25519:… --environments dev,staging\n  \
        secrets team add safe age1… --recovery"
    )]
    Add(Add),
    /// Remove a person, seal the store anew, and say what has to be replaced
    Remove {
        /// The person
        name: String,
        #[command(flatten)]
        consent: Consent,
    },
    /// List the people and what they may open
    List,
}

#[derive(Debug, clap::Args)]
struct Add {
    /// The person's name
    name: String,
    /// The person's public keys: age1… or ssh-ed25519 …, and ed25519:…
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    /// The environments the person may open; `*` is all [default: the one of -e]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    environments: Vec<String>,
    /// A key kept in a safe place: opens everything, signs nothing
    #[arg(long)]
    recovery: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let project = Project::discover(&session.surroundings)?;
        match self.what {
            What::Add(add) => add.run(session, &project),
            What::Remove { name, consent } => remove(session, &project, &name, consent),
            What::List => list(session, &project),
        }
    }
}

impl Add {
    fn run(self, session: &Session, project: &Project) -> Result<Exit> {
        let member = self.member(session, project)?;
        let folder = session.local_folder(&project.root);
        let what = if member.recovery {
            " as a recovery key".to_owned()
        } else {
            format!(" to {}", member.environments.join(", "))
        };
        let question = format!("add {}{what} and seal the store anew", member.name);
        if !self.consent.given(session, true, &question)? {
            return Ok(Exit::Done);
        }
        let opens = |known: &Member| {
            known.name == member.name
                && known.age == member.age
                && known.sign == member.sign
                && known.recovery == member.recovery
                && (member.environments.iter())
                    .all(|e| known.environments.iter().any(|k| k == e || k == "*"))
        };
        if folder.team()?.members().iter().any(opens) {
            session.printer.say(format!(
                "{} may open that already; nothing was changed",
                self.name
            ));
            report(session, "added", &self.name, &[], json!({"changed": false}))?;
            return Ok(Exit::Done);
        }
        let resealed = folder.add(&member)?;
        session.printer.done(format!("{} added", self.name));
        report(session, "added", &self.name, &resealed, json!({}))?;
        session.printer.hint("commit .secrets/ and let them pull");
        Ok(partly(&resealed))
    }

    fn member(&self, session: &Session, project: &Project) -> Result<Member> {
        let (sign, age): (Vec<_>, Vec<_>) = self
            .keys
            .iter()
            .partition(|key| key.starts_with("ed25519:"));
        // An SSH key given without quotes comes as two words, or three.
        let age = age.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(" ");
        if age.is_empty() || sign.len() > 1 {
            return Err(Failure::usage(
                "give one key to seal to (age1… or ssh-ed25519 …) and one that signs (ed25519:…)",
            )
            .with_hint("`secrets identity show` prints both"));
        }
        if sign.is_empty() && !self.recovery {
            return Err(Failure::usage("the key that signs (ed25519:…) is missing")
                .with_hint("`secrets identity show` prints both; a key that only opens is added with --recovery"));
        }
        let environments = if self.recovery {
            vec!["*".to_owned()]
        } else if self.environments.is_empty() {
            vec![project.environment(&session.globals, &session.surroundings)?]
        } else {
            self.environments.clone()
        };
        for name in environments.iter().filter(|name| *name != "*") {
            if project.found.is_some() && !project.manifest.environments.contains_key(name.as_str())
            {
                let known = project.manifest.environments.keys().map(String::as_str);
                return Err(Failure::usage(format!("there is no environment `{name}`"))
                    .with_hint_opt(suggest::hint(name, known)));
            }
        }
        Ok(Member {
            name: self.name.clone(),
            age,
            sign: sign
                .first()
                .map(|s| (*s).clone())
                .filter(|_| !self.recovery),
            environments,
            recovery: self.recovery,
        })
    }
}

fn remove(session: &Session, project: &Project, name: &str, consent: Consent) -> Result<Exit> {
    let folder = session.local_folder(&project.root);
    let team = folder.team()?;
    if !team.members().iter().any(|m| m.name == name) {
        let known = team.members().iter().map(|m| m.name.as_str());
        return Err(
            Failure::new(Exit::NotFound, format!("there is no `{name}` in the team"))
                .with_hint_opt(suggest::hint(name, known)),
        );
    }
    if !consent.given(
        session,
        true,
        &format!("remove {name} and seal the store anew"),
    )? {
        return Ok(Exit::Done);
    }
    let removed = folder.remove(name)?;
    session.printer.done(format!("{name} removed"));
    let read: serde_json::Map<_, _> = removed
        .could_read
        .iter()
        .map(|(e, names)| (e.clone(), names.iter().map(|n| json!(n.as_str())).collect()))
        .collect();
    let known = json!({"could-read": read, "not-known": removed.unknown});
    report(session, "removed", name, &removed.resealed, known)?;
    if !removed.unknown.is_empty() {
        session.printer.warn(format!(
            "what {name} has been able to read in {} is not known: you cannot open it",
            removed.unknown.join(", ")
        ));
        session
            .printer
            .hint("someone who can looks with `secrets list -e NAME`");
    }
    for (environment, names) in &removed.could_read {
        let list = names
            .iter()
            .map(|n| n.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        session.printer.warn(format!(
            "{name} has been able to read in {environment}: {list}"
        ));
    }
    if !removed.could_read.is_empty() {
        session.printer.hint("they keep what they have read: replace those values where they are issued, then `secrets set` them");
    }
    Ok(partly(&removed.resealed))
}

/// Says which documents were sealed anew, and which were not.
fn report(
    session: &Session,
    verb: &str,
    name: &str,
    resealed: &[secrets_local::Resealed],
    more: serde_json::Value,
) -> Result<()> {
    for item in resealed {
        match &item.outcome {
            Ok(()) => session
                .printer
                .done(format!("{} sealed anew", item.environment)),
            Err(error) => session
                .printer
                .warn(format!("{} was not sealed anew: {error}", item.environment)),
        }
    }
    if session.printer.json {
        let list: Vec<_> = resealed
            .iter()
            .map(|r| json!({"environment": r.environment, "resealed": r.outcome.is_ok()}))
            .collect();
        let mut document = json!({"schema": 1, verb: name, "documents": list});
        if let (Some(document), serde_json::Value::Object(more)) = (document.as_object_mut(), more)
        {
            document.extend(more);
        }
        session.printer.document(&document)?;
    }
    Ok(())
}

fn partly(resealed: &[secrets_local::Resealed]) -> Exit {
    if resealed.iter().all(|r| r.outcome.is_ok()) {
        Exit::Done
    } else {
        Exit::Partly
    }
}

fn list(session: &Session, project: &Project) -> Result<Exit> {
    let team = session.local_folder(&project.root).team()?;
    if session.printer.json {
        let members: Vec<_> = team
            .members()
            .iter()
            .map(|m| json!({"name": m.name, "age": m.age, "sign": m.sign, "environments": m.environments, "recovery": m.recovery}))
            .collect();
        session
            .printer
            .document(&json!({"schema": 1, "members": members}))?;
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> = team
        .members()
        .iter()
        .map(|m| {
            let what = if m.recovery {
                "all (recovery)".to_owned()
            } else {
                m.environments.join(", ")
            };
            vec![m.name.clone(), what, shortened(&m.age)]
        })
        .collect();
    if rows.is_empty() {
        session.printer.say("nobody: there is no local store here");
        session.printer.hint("run `secrets init`");
        return Ok(Exit::Done);
    }
    session
        .printer
        .table(&["NAME", "ENVIRONMENTS", "KEY"], &rows)?;
    Ok(Exit::Done)
}

/// Enough of a key to tell it from others.
fn shortened(key: &str) -> String {
    if key.chars().count() <= 24 {
        return key.to_owned();
    }
    let end: Vec<char> = key.chars().rev().take(6).collect();
    format!(
        "{}…{}",
        key.chars().take(16).collect::<String>(),
        end.into_iter().rev().collect::<String>()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_by_its_ends() {
        assert_eq!(
            shortened("age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqzzzzzz"),
            "age1qqqqqqqqqqqq…zzzzzz"
        );
        assert_eq!(shortened("short"), "short");
    }
}
