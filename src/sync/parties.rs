//! From the words of a command line to the stores of a sync: a store's address, a name from `[stores]`,
//! an environment, its mirrors. Refuses what can never be synced before any store is asked.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::line;
use super::sameness::{apart, identity};
use crate::apply::{Keeper, Link, Party, Work};
use crate::base::{Kept, Keys, Pair};
use crate::choice::Chosen;
use crate::exit::{Exit, Failure, Result};
use crate::flags::{Globals, Mapping};
use crate::identity;
use crate::layers::names::Renamed;
use crate::manifest::trust;
use crate::plan::{Direction, Rules, Side, Sides};
use crate::session::Session;
use crate::settings::{LayerSpec, Project, Settings};
use crate::shell::quoted;
use crate::suggest;

/// After so long another run that holds a pair's lock is spoken of.
const SOON: Duration = Duration::from_secs(1);

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
    let settings = resolve(&globals, session)?;
    if is_store {
        stays_here(&settings)?;
    }
    party(session, settings)
}

/// The source of the environment, or what `--store` put in its place.
///
/// # Errors
/// As [`named`].
pub fn source(session: &Session) -> Result<Party> {
    let settings = session.settings()?;
    if !session.globals.store.is_empty() {
        stays_here(&settings)?;
    }
    party(session, settings)
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
    let (globals, around) = (&session.globals, &session.surroundings);
    let open = |store: &String| party(session, settings.mirror(store, globals, around)?);
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

/// Refuses an address that was typed as that of a file of this folder and is, through a link, that of one
/// outside it and outside the project: the link may have come with the code, and nobody has typed where it
/// leads.
fn stays_here(settings: &Settings) -> Result<()> {
    let typed = settings.layers.iter().filter(|l| l.label.contains(':'));
    for layer in typed {
        let Some(file) = layer.file() else { continue };
        let path = Path::new(layer.uri.location());
        if !trust::is_written_inside(&layer.root, path) || trust::is_inside(&layer.root, path) {
            continue;
        }
        // A link that leads nowhere is the store's to refuse.
        let Some(real) = trust::real_path(&file) else {
            continue;
        };
        let root = settings.root.canonicalize();
        if root.is_ok_and(|root| real.starts_with(root)) {
            continue;
        }
        let message = format!(
            "{} leads out of this folder through a link: it is {}",
            layer.label,
            real.display()
        );
        let itself = quoted(&line::at(&layer.label, &real));
        return Err(Failure::new(Exit::Denied, message)
            .with_hint(format!("if that file is meant, name it itself: {itself}")));
    }
    Ok(())
}

/// Gives the environment's own encrypted document its name: two environments have one each, and both are
/// written `local:`.
fn called(layer: &mut LayerSpec) {
    if is_own_document(layer) && layer.label.contains(':') {
        layer.label = format!("local:{}", layer.environment);
    }
}

/// Whether this is the encrypted document of whatever environment it is asked for in.
fn is_own_document(layer: &LayerSpec) -> bool {
    layer.uri.scheme() == "local" && layer.uri.location().is_empty()
}

fn party(session: &Session, mut settings: Settings) -> Result<Party> {
    settings.layers.iter_mut().for_each(called);
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
            let both = apart(session, one, other);
            both.map_err(|failure| match n > 0 && one.label == other.label {
                true => Failure::usage(format!("{} is named twice", one.label))
                    .with_hint("name each mirror once"),
                false => failure,
            })?;
        }
    }
    let around = &session.surroundings;
    let machine_key = identity::kept_machine_key(&around.dirs);
    let left = &parties[0];
    let mut links = Vec::with_capacity(parties.len() - 1);
    for (n, right) in parties.iter().enumerate().skip(1) {
        let environment = environment_of([left, right]);
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
            session.block_on(taken(session, [left, right], pair, keys))?
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

/// The environment that what is remembered of two parties belongs to: that of the one which was not typed as a
/// store, or both, whichever is named first.
fn environment_of(parties: [&Party; 2]) -> String {
    let mut names = parties.map(|party| party.settings.environment.as_str());
    names.sort_unstable();
    match (parties.map(|party| party.settings.typed), names) {
        ([false, true], _) => parties[0].settings.environment.clone(),
        ([true, false], _) => parties[1].settings.environment.clone(),
        (_, [one, other]) if one == other => one.to_owned(),
        (_, [one, other]) => format!("{one} and {other}"),
    }
}

/// Takes a pair's lock, and says whom it waits for if that takes time.
async fn taken(session: &Session, parties: [&Party; 2], pair: Pair, keys: Keys) -> Result<Kept> {
    let state = &session.surroundings.dirs.state;
    let mut kept = pin!(Kept::take(state, pair, keys));
    if let Ok(kept) = tokio::time::timeout(SOON, &mut kept).await {
        return Ok(kept?);
    }
    let [left, right] = parties.map(|party| &party.label);
    let printer = &session.printer;
    printer.say(format!(
        "waiting for another run that syncs {left} and {right}"
    ));
    let _spinner = printer.spinner("waiting");
    Ok(kept.await?)
}

/// Who keeps what is replaced in a store without history: a document of the local store, for the people
/// of that party's own environment.
#[cfg(feature = "local")]
fn keeper(session: &Session, settings: &Settings) -> Keeper {
    if !session.local_folder(&settings.root).exists() {
        let none = Failure::new(Exit::Failed, "there is none");
        return Keeper::Nobody(none.with_hint("`secrets init` makes a local store"));
    }
    let label = format!("local:{}{}", settings.environment, secrets_local::REPLACED);
    match session.open_address(settings, &label) {
        Ok(provider) => Keeper::Store { label, provider },
        Err(failure) => Keeper::Nobody(failure),
    }
}

#[cfg(not(feature = "local"))]
fn keeper(_: &Session, _: &Settings) -> Keeper {
    Keeper::Nobody(Failure::new(Exit::Failed, "it is not built in"))
}

/// The word of each party by which `--prefer` may name it beside its labels: as it was named on the command
/// line, or the environment's name where that was chosen.
pub type Called = [Option<String>];

/// The sides that a word of `--prefer` fits, each once.
fn fits(word: &str, parties: &[Party], called: &Called, direction: Direction) -> Vec<Side> {
    let names = |n: usize| {
        let party = &parties[n];
        let is_layer = |layer: &LayerSpec| {
            layer.label == word || is_own_document(layer) && layer.uri.to_string() == word
        };
        called.get(n).is_some_and(|c| c.as_deref() == Some(word))
            || party.label == word
            || party.settings.layers.iter().any(is_layer)
    };
    let one_way = direction != Direction::Both;
    let left = word == "left" || one_way && word == "source" || names(0);
    let right = word == "right" || one_way && word == "mirror" || (1..parties.len()).any(names);
    let sides = [(left, Side::Left), (right, Side::Right)];
    sides
        .iter()
        .filter(|(fits, _)| *fits)
        .map(|(_, side)| *side)
        .collect()
}

/// A word for `--prefer` that names this side and no other.
pub fn word_for(side: Side, parties: &[Party], called: &Called, direction: Direction) -> String {
    let n = usize::from(side == Side::Right);
    let role = match (direction, side) {
        (Direction::Both, side) => side.word(),
        (_, Side::Left) => "source",
        (_, Side::Right) => "mirror",
    };
    let layers = parties[n].settings.layers.iter();
    let labels = layers.map(|layer| layer.label.as_str());
    let words = [role, side.word(), parties[n].label.as_str()]
        .into_iter()
        .chain(labels);
    let one = |word: &&str| fits(word, parties, called, direction) == [side];
    let mut words = words.filter(one);
    words.next().unwrap_or(role).to_owned()
}

/// The side that `--prefer` names: `left`, `right`, `source`, `mirror`, or one of the two stores. `back` is the
/// command that copies the other way.
///
/// # Errors
/// A usage failure for a word that names neither or both, and for the side that cannot count in this
/// direction.
pub fn preferred(
    word: Option<&str>,
    parties: &[Party],
    called: &Called,
    direction: Direction,
    back: impl FnOnce() -> String,
) -> Result<Option<Side>> {
    let Some(word) = word else { return Ok(None) };
    let instead = |side: Side| {
        let word = word_for(side, parties, called, direction);
        format!("--prefer {}", quoted(&word))
    };
    let side = match fits(word, parties, called, direction).as_slice() {
        [side] => *side,
        [] => {
            let hint = match direction {
                Direction::Both => "write left, right, or one of the two stores as you named it",
                Direction::To(_) => "write source or mirror",
            };
            return Err(Failure::usage(format!("--prefer {word} is neither side")).with_hint(hint));
        }
        _ => {
            let [left, right] = [Side::Left, Side::Right].map(|side| {
                let party = &parties[usize::from(side == Side::Right)];
                format!("{} for {}", instead(side), party.label)
            });
            let message = format!("--prefer {word} may be either side");
            return Err(Failure::usage(message).with_hint(format!("write {left}, {right}")));
        }
    };
    let Direction::To(to) = direction else {
        return Ok(Some(side));
    };
    if to != side {
        return Ok(Some(side));
    }
    let (verb, written) = match to {
        Side::Right => ("push", "mirror"),
        Side::Left => ("pull", "source"),
    };
    let message = format!("{verb} writes the {written} only: it cannot count against itself");
    Err(Failure::usage(message).with_hint(format!("to copy the other way: `{}`", back())))
}
