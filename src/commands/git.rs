//! `secrets git`: what git calls to merge and to show the encrypted store's documents.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use secrets_api::{Name, Zeroizing};
use secrets_local::{
    Clash, Description, Folder, Held, Merged, People, Pick, Side as Branch, Sides as Branches,
};
use secrets_platform::files;
use sha2::{Digest as _, Sha256};

use crate::age;
use crate::base::Keys;
use crate::drivers;
use crate::exit::{Exit, Failure, Result};
use crate::identity;
use crate::manifest;
use crate::plan::{self, Agreed, Memory, Present, Rules, Seen, Side, Sides};
use crate::printer::{Printer, printable};
use crate::session::Session;
use crate::settings::Project;
use crate::shell::quoted;

/// Have git merge and show the encrypted store by name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
`secrets init` and `secrets git install` set it up, in each clone. `git merge` then unites two branches of \
.secrets/*.age by name, and `git diff` shows which names changed. Where both branches changed a name, git reports \
a conflict: one value stays for now, the other is in the history, and the command that takes it is printed.")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Set the drivers up in this clone
    Install,
    /// Unite two branches of a document; git calls this
    Merge {
        /// What both come from; empty where there is nothing
        #[arg(value_name = "ANCESTOR")]
        ancestor: PathBuf,
        /// Ours; it is replaced by the merged document
        #[arg(value_name = "OURS")]
        ours: PathBuf,
        /// Theirs
        #[arg(value_name = "THEIRS")]
        theirs: PathBuf,
        /// Where the document is in the project
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// Show the names of a document with fingerprints, times and authors; git calls this
    Show {
        /// The document
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Never ask, and fail at nothing: git would end its whole list there
        #[arg(long, hide = true)]
        for_git: bool,
    },
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        match self.what {
            What::Install => install(session),
            What::Merge {
                ancestor,
                ours,
                theirs,
                path,
            } => merge(session, &[ancestor, ours, theirs], &path),
            What::Show { file, for_git } => show(session, &file, for_git),
        }
    }
}

fn install(session: &Session) -> Result<Exit> {
    let root = Project::discover(&session.surroundings)?.root;
    if !session.local_folder(&root).exists() {
        return Err(
            Failure::new(Exit::NotFound, "there is no encrypted store here")
                .with_hint("`secrets init` makes one"),
        );
    }
    if drivers::install(&root)? {
        session
            .printer
            .done("git merges and shows .secrets/*.age by name, in this clone");
        session
            .printer
            .hint("commit .secrets/.gitattributes; each clone runs `secrets git install` once");
    } else {
        session.printer.say("nothing to do: git knows the drivers");
    }
    Ok(Exit::Done)
}

/// A document, from where git says it is.
struct Place<'a> {
    /// Its path from the top of the repository.
    path: &'a Path,
    /// Its project's folder, from there; empty at the top.
    project: &'a Path,
    environment: &'a str,
}

impl<'a> Place<'a> {
    fn of(path: &'a Path) -> Result<Self> {
        let odd = || {
            Failure::usage(format!(
                "{} is no document of a local store",
                path.display()
            ))
            .with_hint("a document is `.secrets/NAME.age`")
        };
        let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
        let folder = path.parent().filter(|_| inside).ok_or_else(odd)?;
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.and_then(|name| name.strip_suffix(".age"));
        match (folder.file_name(), name) {
            (Some(last), Some(environment))
                if last == ".secrets" && manifest::is_label(environment) =>
            {
                Ok(Self {
                    path,
                    project: folder.parent().unwrap_or(Path::new("")),
                    environment,
                })
            }
            _ => Err(odd()),
        }
    }

    fn is_at_the_top(&self) -> bool {
        self.project.as_os_str().is_empty()
    }

    /// What to type to git about it, in any folder of the repository.
    fn for_git(&self, words: &str) -> String {
        let path = self.path.display();
        if self.is_at_the_top() {
            return format!("`git {words} {path}`");
        }
        format!("`git {words} {}`", quoted(&format!(":/{path}")))
    }

    /// What to do in the project, and where that is.
    fn there(&self, what: &str) -> String {
        if self.is_at_the_top() {
            return what.to_owned();
        }
        format!("in {}: {what}", self.project.display())
    }

    /// A failure, with how to go on: git takes what lies there, ours, for what was merged as soon as it
    /// is added.
    fn unmerged(&self, session: &Session, mut failure: Failure) -> Failure {
        session.printer.warn(format!(
            "{} is not merged: ours lies there, with nothing of theirs; do not add it as it is",
            self.path.display()
        ));
        let again = self.for_git("checkout --merge");
        failure.hint = Some(match failure.hint {
            Some(first) => self.there(&format!("{first}; then merge it again: {again}")),
            None => format!("merge it again: {again}"),
        });
        failure
    }
}

fn read(session: &Session, path: &Path) -> Result<Vec<u8>> {
    let path = session.surroundings.cwd.join(path);
    match files::read(&path)? {
        Some(contents) => Ok(contents.bytes.to_vec()),
        None => Err(Failure::new(
            Exit::NotFound,
            format!("{} is not there", path.display()),
        )),
    }
}

fn merge(session: &Session, sides: &[PathBuf; 3], path: &Path) -> Result<Exit> {
    let place = Place::of(path)?;
    let merged = unite(session, &place, sides).map_err(|f| place.unmerged(session, f))?;
    report(session, &place, &merged)
}

/// Puts what became of the three in the place of ours.
fn unite(session: &Session, place: &Place<'_>, sides: &[PathBuf; 3]) -> Result<Merged> {
    let [ancestor, ours, theirs] = sides;
    let root = session.surroundings.cwd.join(place.project);
    let keys = keys(session, &root, place.environment)?;
    let base = read(session, ancestor)?;
    let (one, other) = (read(session, ours)?, read(session, theirs)?);
    let merged = session.local_folder(&root).merge(
        place.environment,
        Some(base.as_slice()),
        &one,
        &other,
        &mut |name, branches| pick(&keys, name, branches),
    )?;
    let target = session.surroundings.cwd.join(ours);
    files::update(&target, &files::Options::default(), |_| {
        let bytes = Zeroizing::new(merged.bytes.clone());
        Ok((files::Edit::Replace(bytes), ()))
    })?;
    Ok(merged)
}

/// Says what was merged, and what a person has to choose.
fn report(session: &Session, place: &Place<'_>, merged: &Merged) -> Result<Exit> {
    let (printer, shown) = (&session.printer, place.path.display());
    if let Some(why) = &merged.without_ancestor {
        printer.warn(format!(
            "{shown}: merged without what both come from: {why}"
        ));
    }
    if !merged.taken.is_empty() {
        let taken = joined(&merged.taken);
        printer.say(format!("{shown}: from theirs: {taken}"));
    }
    for clash in &merged.conflicts {
        printer.warn(told(clash, place.environment));
    }
    if merged.overtaken.is_some() {
        // In a rebase the commits that follow may well bring the newest.
        printer.warn(format!(
            "{shown}: both sides are older than what was seen here, and so is what became of them: \
             `secrets trust` before it is used"
        ));
    }
    if merged.conflicts.is_empty() {
        return Ok(Exit::Done);
    }
    let open = joined(merged.conflicts.iter().map(|clash| &clash.name));
    let choose = format!("choose, then {}", place.for_git("add"));
    Err(
        Failure::new(Exit::Conflict, format!("{shown}: conflict in {open}"))
            .with_hint(place.there(&choose)),
    )
}

fn joined<'a>(names: impl IntoIterator<Item = &'a Name>) -> String {
    let names: Vec<_> = names.into_iter().map(Name::as_str).collect();
    names.join(", ")
}

/// One conflict, and what to type to have it the other way.
fn told(clash: &Clash, document: &str) -> String {
    let word = |side| match side {
        Branch::Ours => "ours",
        Branch::Theirs => "theirs",
    };
    let opposite = |side| match side {
        Branch::Ours => Branch::Theirs,
        Branch::Theirs => Branch::Ours,
    };
    let (name, present) = (&clash.name, clash.present);
    let other = opposite(present);
    let happened = match clash.removed {
        Some(Branch::Theirs) if clash.set_back => {
            format!("theirs goes back to when there was no {name}")
        }
        _ if clash.set_back => format!("theirs goes back to an earlier {name}"),
        Some(side) => format!(
            "{} removed {name}, {} changed it",
            word(side),
            word(opposite(side))
        ),
        None => format!("both changed {name}"),
    };
    let stays = match clash.removed {
        Some(side) if side == present => "it stays removed for now".to_owned(),
        Some(_) => "it stays for now".to_owned(),
        None => format!("{} stays for now", word(present)),
    };
    let store = quoted(&format!("local:{document}"));
    let command = match &clash.other {
        Some(version) if clash.removed != Some(other) => {
            let version = age::short(version.as_str());
            format!(
                "to take {}: secrets rollback {name} --store {store} --to {version}",
                word(other)
            )
        }
        _ => format!("to remove it: secrets unset {name} --store {store}"),
    };
    format!("{happened}: {stays}; {command}")
}

/// Makes fingerprints of one document.
fn keys(session: &Session, root: &Path, environment: &str) -> Result<Keys> {
    let machine_key = identity::machine_key(&session.surroundings.dirs, true);
    // As `diff` and `status` do it: a fingerprint is the same wherever it is shown.
    let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    let project = real.display().to_string();
    Ok(Keys::new(&machine_key, &project, environment)?)
}

/// Decides one name in which two branches have parted, as a sync would: a deletion is passed on.
fn pick(keys: &Keys, name: &Name, branches: &Branches<'_>) -> Pick {
    let version = |held: &Held<'_>| Some(secrets_api::Version::new(held.version));
    let seen = |held: Option<&Held<'_>>| match held {
        None => Seen::Absent,
        Some(held) => match held.value {
            None => Seen::Deleted,
            Some(value) => Seen::Present(Present {
                fingerprint: keys.fingerprint(name, value),
                version: version(held),
                modified: held.meta.modified,
                derived: false,
                refers: Vec::new(),
                layer: 0,
            }),
        },
    };
    let agreed = branches.ancestor.as_ref().and_then(|held| {
        Some(Agreed {
            fingerprint: keys.fingerprint(name, held.value?),
            versions: Sides {
                left: version(held),
                right: version(held),
            },
            layers: Sides::default(),
        })
    });
    let memory = Memory {
        agreed,
        intent: None,
    };
    let (ours, theirs) = (seen(branches.ours.as_ref()), seen(branches.theirs.as_ref()));
    let rules = Rules {
        delete: true,
        ..Rules::default()
    };
    let sides = Sides {
        left: &ours,
        right: &theirs,
    };
    match plan::merge(name, &memory, sides, &rules) {
        None => Pick::Ours,
        Some(action) if action.is_in_step() => Pick::Ours,
        Some(action) => match action.target() {
            Some(Side::Left) => Pick::Theirs,
            Some(Side::Right) => Pick::Ours,
            None => Pick::Conflict,
        },
    }
}

fn show(session: &Session, file: &Path, for_git: bool) -> Result<Exit> {
    let bytes = read(session, file)?;
    let lines = match describe(session, &bytes, for_git) {
        Ok(lines) => lines,
        // `git log -p` must go on for who cannot open it, and shows nothing at all of two versions that
        // read alike: the digest is of what is sealed, and public.
        Err(failure) if for_git => vec![
            format!("not opened here: {}", printable(&failure.message)),
            format!("sealed {}", short_digest(&bytes)),
        ],
        Err(failure) => return Err(failure),
    };
    let printer = &session.printer;
    lines.iter().try_for_each(|line| printer.line(line))?;
    Ok(Exit::Done)
}

/// The beginning of a digest of what everybody may see.
fn short_digest(public: &[u8]) -> String {
    let digest = Sha256::digest(public);
    digest.iter().take(4).map(|b| format!("{b:02x}")).collect()
}

/// What is shown of a document. Nothing that is another in each version: a difference is to show the
/// people and the names that changed, and nothing else.
fn describe(session: &Session, bytes: &[u8], for_git: bool) -> Result<Vec<String>> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let (root, described) = if for_git {
        described_for_git(session, bytes)?
    } else {
        let root = Project::discover(&session.surroundings)?.root;
        let described = session.local_folder(&root).describe(bytes)?;
        (root, described)
    };
    let keys = keys(session, &root, &described.environment)?;
    let mut lines = vec![format!("environment {}", described.environment)];
    lines.push(match &described.people {
        People::Listed(names) => format!("sealed to {}", printable(&names.join(", "))),
        People::Others(digest) => format!("sealed to others ({})", age::short(digest)),
    });
    let doubt = described.doubt.as_deref();
    lines.extend(doubt.map(|doubt| format!("not to be believed: {}", printable(doubt))));
    // A key that lasts as long as this process makes fingerprints that say nothing.
    let is_kept = identity::has_machine_key(&session.surroundings.dirs);
    for secret in &described.secrets {
        let what = match &secret.value {
            Some(value) if is_kept => keys.fingerprint(&secret.name, value).short(),
            Some(_) => "-".to_owned(),
            None => "removed".to_owned(),
        };
        let at = secret.meta.modified.map_or_else(
            || "-".to_owned(),
            |at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        );
        let by = secret.meta.author.as_deref().unwrap_or("-");
        lines.push(printable(&format!("{} {what} {at} {by}", secret.name)));
    }
    Ok(lines)
}

/// The same where git asks, which gives us a file of its own and tells nothing of where it belongs: in a
/// repository of many projects one that vouches for it counts. Nobody is asked for a passphrase: it
/// would be for each version of each file.
fn described_for_git(session: &Session, bytes: &[u8]) -> Result<(PathBuf, Description)> {
    let surroundings = &session.surroundings;
    let nobody = identity::unlocker(&Arc::new(Printer::bare()));
    let identity = identity::source(surroundings, nobody);
    let describe = |root: &Path| {
        let folder = Folder::new(root, &surroundings.dirs, Arc::clone(&identity));
        folder.describe(bytes)
    };
    let top = surroundings.cwd.clone();
    let first = describe(&top)?;
    if first.doubt.is_none() {
        return Ok((top, first));
    }
    let below = drivers::stores_below(&top);
    // A fingerprint must not hang on who vouches: it would differ where the value does not.
    let place = match below.as_slice() {
        [one] if !session.local_folder(&top).exists() => one.clone(),
        _ => top,
    };
    let others = below.iter().filter_map(|root| describe(root).ok());
    let vouched = others.into_iter().find(|other| other.doubt.is_none());
    Ok((place, vouched.unwrap_or(first)))
}
