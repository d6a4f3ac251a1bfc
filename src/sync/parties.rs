//! From the words of a command line to the stores of a sync: a store's address, a name from `[stores]`,
//! an environment, its mirrors. Refuses what can never be synced before any store is asked.

use std::sync::Arc;

use super::sameness::{apart, identity};
use crate::apply::{Keeper, Link, Party, Work};
use crate::base::{Kept, Keys, Pair};
use crate::choice::Chosen;
use crate::exit::{Failure, Result};
use crate::flags::{Globals, Mapping};
use crate::identity;
use crate::layers::names::Renamed;
use crate::plan::{Direction, Rules, Side, Sides};
use crate::session::Session;
use crate::settings::{Project, Settings};
use crate::suggest;

/// The party that a word names: a store, or an environment with all its layers.
///
/// # Errors
/// A usage failure for a word that names neither, or both; whatever is wrong with the store.
pub fn named(session: &Session, word: &str) -> Result<Party> {
    let project = Project::discover(&session.surroundings)?;
    let is_store = word.contains(':') || project.manifest.stores.contains_key(word);
    let is_environment = project.manifest.environments.contains_key(word);
    if is_store && is_environment {
        return Err(
            Failure::usage(format!("`{word}` is a store and an environment"))
                .with_hint("name the store by its address"),
        );
    }
    if !is_store && !is_environment {
        let manifest = &project.manifest;
        let known = manifest.stores.keys().chain(manifest.environments.keys());
        let fallback = format!(
            "a store is an address such as `dotenv:{word}`, or a name from [stores] in secrets.toml; an environment is one of its [environments]"
        );
        // What looks like a file is meant as one.
        let near = match word.contains(['/', '.']) {
            true => None,
            false => suggest::nearest(word, known.map(String::as_str)),
        };
        let near = near.map(|near| format!("did you mean `{near}`?"));
        return Err(
            Failure::usage(format!("there is no store or environment `{word}`"))
                .with_hint(near.unwrap_or(fallback)),
        );
    }
    let mut globals = session.globals.clone();
    if is_environment {
        globals.env = Some(word.to_owned());
        globals.store.clear();
    } else {
        globals.store = vec![word.to_owned()];
    }
    party(session, resolve(&globals, session)?)
}

/// The source of the environment, or what `--store` put in its place.
///
/// # Errors
/// As [`named`].
pub fn source(session: &Session) -> Result<Party> {
    party(session, session.settings()?)
}

/// The source of another environment than the chosen one.
///
/// # Errors
/// As [`named`].
pub fn source_of(session: &Session, environment: &str) -> Result<Party> {
    let globals = Globals {
        env: Some(environment.to_owned()),
        store: Vec::new(),
        ..session.globals.clone()
    };
    party(session, resolve(&globals, session)?)
}

/// One of an environment's mirrors.
///
/// # Errors
/// As [`named`].
fn mirror(session: &Session, environment: &str, store: &str) -> Result<Party> {
    let (globals, around) = (&session.globals, &session.surroundings);
    let settings = Settings::resolve_mirror(store, environment, globals, around)?;
    party(session, settings)
}

/// The mirrors of a source's environment, or the stores named in their place.
///
/// # Errors
/// As [`named`].
pub fn mirrors(session: &Session, source: &Party, words: &[String]) -> Result<Vec<Party>> {
    if !words.is_empty() {
        return words.iter().map(|word| named(session, word)).collect();
    }
    let settings = &source.settings;
    let environment = settings.manifest.environments.get(&settings.environment);
    let stores = environment.map_or(&[][..], |e| &e.mirrors);
    let open = |store: &String| mirror(session, &settings.environment, store);
    stores.iter().map(open).collect()
}

/// Refuses `--store` where both stores are arguments.
///
/// # Errors
/// A usage failure.
pub fn no_store_flag(session: &Session) -> Result<()> {
    if session.globals.store.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(
        "--store takes the place of an environment's source, and both stores are named here",
    )
    .with_hint("leave --store out"))
}

fn resolve(globals: &Globals, session: &Session) -> Result<Settings> {
    Settings::resolve(globals, &session.surroundings)
}

fn party(session: &Session, settings: Settings) -> Result<Party> {
    let stack = session.open(&settings)?;
    let issues = stack.layers.iter().find(|l| l.provider.leasing().is_some());
    if let Some(layer) = issues {
        return Err(Failure::usage(format!(
            "{} issues credentials as a command starts: there is nothing to sync",
            layer.label
        )));
    }
    let label = match stack.layers.as_slice() {
        [only] => only.label.clone(),
        _ => settings.place(),
    };
    Ok(Party {
        label,
        keeper: keeper(session, &settings),
        settings,
        stack,
    })
}

/// Renames a party's secrets as the flags say: its names are those, with the prefix.
///
/// # Errors
/// If two names would become one.
pub fn renamed(mut party: Party, mapping: &Mapping) -> Result<(Party, String)> {
    let names = mapping.names()?;
    if names.is_empty() {
        return Ok((party, String::new()));
    }
    let identity = names.identity();
    for layer in &mut party.stack.layers {
        let inner = Arc::clone(&layer.provider);
        layer.provider = Arc::new(Renamed::new(inner, names.clone()));
    }
    Ok((party, identity))
}

/// Refuses a party that is to be written and cannot be.
///
/// # Errors
/// A usage failure.
pub fn writable(party: &Party, hint: &str) -> Result<()> {
    match party.stack.last_writable() {
        Ok(_) => Ok(()),
        Err(_) => {
            let message = format!("{} is read-only", party.label);
            Err(Failure::usage(message).with_hint(hint.to_owned()))
        }
    }
}

/// What is asked about one pair.
#[derive(Debug)]
pub struct Asked<'a> {
    /// Which way, who counts, whether deletions are passed on.
    pub rules: Rules,
    /// Other names on the right side, as [`renamed`] says.
    pub mapping: &'a str,
    /// Whether to take the pair's lock: a run that only looks takes none.
    pub locked: bool,
}

/// Puts parties together: the first is the left side of all links, the others are their right sides.
///
/// # Errors
/// If two of them are the same store; if another run holds a pair's lock for too long, or the machine's key cannot be had.
pub fn work(
    session: &Session,
    parties: Vec<Party>,
    asked: &Asked<'_>,
    chosen: Chosen,
) -> Result<Work> {
    // Two mirrors that are one would wait for each other's lock.
    for (n, one) in parties.iter().enumerate() {
        for other in &parties[n + 1..] {
            apart(session, one, other)?;
        }
    }
    let around = &session.surroundings;
    let machine_key = identity::machine_key(&around.dirs, true);
    let left = &parties[0];
    let mut links = Vec::with_capacity(parties.len() - 1);
    for (n, right) in parties.iter().enumerate().skip(1) {
        let settings = [left, right].map(|party| &party.settings.environment);
        let environment = match settings {
            [one, other] if one == other => one.clone(),
            [one, other] => format!("{one} and {other}"),
        };
        let root = &left.settings.root;
        let project = root.canonicalize().unwrap_or_else(|_| root.clone());
        let pair = Pair {
            project: project.display().to_string(),
            environment,
            stores: Sides {
                left: identity(left, around, ""),
                right: identity(right, around, asked.mapping),
            },
        };
        let keys = Keys::new(&machine_key, &pair.project, &pair.environment)?;
        let kept = if asked.locked {
            session.block_on(Kept::take(&around.dirs.state, pair, keys))?
        } else {
            Kept::peek(&around.dirs.state, pair, keys)
        };
        links.push(Link::new(
            Sides { left: 0, right: n },
            kept,
            asked.rules.clone(),
        ));
    }
    Ok(Work::new(parties, links, chosen))
}

/// Who keeps what is replaced in a store without history: a document of the local store, for the people
/// of that party's own environment.
#[cfg(feature = "local")]
fn keeper(session: &Session, settings: &Settings) -> Keeper {
    if !session.local_folder(&settings.root).exists() {
        return Keeper::Nobody("there is none".to_owned());
    }
    let label = format!("local:{}{}", settings.environment, secrets_local::REPLACED);
    match session.open_address(settings, &label) {
        Ok(provider) => Keeper::Store { label, provider },
        Err(failure) => Keeper::Nobody(failure.message),
    }
}

#[cfg(not(feature = "local"))]
fn keeper(_: &Session, _: &Settings) -> Keeper {
    Keeper::Nobody("it is not built in".to_owned())
}

/// The side that `--prefer` names: `left`, `right`, `source`, `mirror`, or one of the two stores.
///
/// # Errors
/// A usage failure for a word that names neither, and for the side that cannot count in this
/// direction.
pub fn preferred(
    word: Option<&str>,
    parties: &[Party],
    direction: Direction,
) -> Result<Option<Side>> {
    let Some(word) = word else { return Ok(None) };
    let names = |party: &Party| {
        party.label == word
            || party.settings.environment == word && !word.contains(':')
            || party.stack.layers.iter().any(|l| l.label == word)
    };
    // With several mirrors the right side is any of them.
    let of_right = || parties.len() == 2 && names(&parties[1]);
    let side = match word {
        "left" => Side::Left,
        "right" => Side::Right,
        "source" if direction != Direction::Both => Side::Left,
        "mirror" if direction != Direction::Both => Side::Right,
        _ if names(&parties[0]) => Side::Left,
        _ if of_right() => Side::Right,
        _ => {
            let hint = match direction {
                Direction::Both => "write left, right, or one of the two stores as you named it",
                Direction::To(_) => "write source or mirror",
            };
            return Err(Failure::usage(format!("--prefer {word} is neither side")).with_hint(hint));
        }
    };
    if let Direction::To(to) = direction
        && to == side
    {
        let (verb, other) = match to {
            Side::Right => ("push", "pull"),
            Side::Left => ("pull", "push"),
        };
        let message = format!(
            "{verb} writes {} only: it cannot count against itself",
            match to {
                Side::Right => "the mirror",
                Side::Left => "the source",
            }
        );
        return Err(
            Failure::usage(message).with_hint(format!("to copy the other way: `secrets {other}`"))
        );
    }
    Ok(Some(side))
}
