//! `secrets git`: what git calls to merge and to show the encrypted store's documents.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use secrets_api::{Name, Zeroizing};
use secrets_local::{Clash, Description, Folder, Held, Pick, Side as Branch, Sides as Branches};
use secrets_platform::files;

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
a conflict: ours stays for now, theirs is in the history, and the command that takes it is printed.")]
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

/// The project's folder and the environment of a document, from its path.
fn place_of(session: &Session, path: &Path) -> Result<(PathBuf, String)> {
    let odd = || {
        Failure::usage(format!(
            "{} is no document of a local store",
            path.display()
        ))
        .with_hint("a document is `.secrets/NAME.age`")
    };
    let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
    let folder = path.parent().filter(|_| inside).ok_or_else(odd)?;
    let name = path
        .file_name()
        .and_then(|n| n.to_str()?.strip_suffix(".age"));
    match (folder.file_name(), name) {
        (Some(last), Some(name)) if last == ".secrets" && manifest::is_label(name) => {
            let root = folder.parent().unwrap_or(Path::new(""));
            Ok((session.surroundings.cwd.join(root), name.to_owned()))
        }
        _ => Err(odd()),
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

fn merge(session: &Session, files: &[PathBuf; 3], path: &Path) -> Result<Exit> {
    let (root, environment) = place_of(session, path)?;
    let [ancestor, ours, theirs] = files;
    let keys = keys(session, &root, &environment)?;
    let (base, one, other) = (
        read(session, ancestor)?,
        read(session, ours)?,
        read(session, theirs)?,
    );
    let base = Some(base.as_slice()).filter(|bytes| !bytes.is_empty());
    let mut removed = Removed::new();
    let mut choose = |name: &Name, branches: &Branches<'_>| {
        let is_gone = |held: Option<&Held<'_>>| held.is_none_or(|held| held.value.is_none());
        let gone = [&branches.ours, &branches.theirs].map(|held| is_gone(held.as_ref()));
        removed.insert(name.clone(), gone);
        pick(&keys, name, branches)
    };
    let folder = session.local_folder(&root);
    let merged = folder.merge(&environment, base, &one, &other, &mut choose)?;
    let target = session.surroundings.cwd.join(ours);
    files::update(&target, &files::Options::default(), |_| {
        let bytes = Zeroizing::new(merged.bytes.clone());
        Ok((files::Edit::Replace(bytes), ()))
    })?;
    let (printer, shown) = (&session.printer, path.display());
    if let Some(why) = &merged.without_ancestor {
        printer.warn(format!(
            "{shown}: merged without what both come from: {why}"
        ));
    }
    let names = |names: &mut dyn Iterator<Item = &Name>| {
        names.map(Name::as_str).collect::<Vec<_>>().join(", ")
    };
    if !merged.taken.is_empty() {
        let taken = names(&mut merged.taken.iter());
        printer.say(format!("{shown}: from theirs: {taken}"));
    }
    if merged.conflicts.is_empty() {
        return Ok(Exit::Done);
    }
    for clash in &merged.conflicts {
        printer.warn(told(clash, &environment, &removed));
    }
    let open = names(&mut merged.conflicts.iter().map(|clash| &clash.name));
    let project = root.strip_prefix(&session.surroundings.cwd);
    let place = match project.unwrap_or(&root) {
        here if here.as_os_str().is_empty() => String::new(),
        there => format!("in {}: ", there.display()),
    };
    Err(
        Failure::new(Exit::Conflict, format!("{shown}: conflict in {open}")).with_hint(format!(
            "{place}choose, then `git add .secrets/{environment}.age`"
        )),
    )
}

/// Of each name that was asked about, whether ours and whether theirs has no value.
type Removed = HashMap<Name, [bool; 2]>;

/// One conflict, and what to type to have it the other way.
fn told(clash: &Clash, document: &str, removed: &Removed) -> String {
    let name = &clash.name;
    let [ours, theirs] = removed.get(name).copied().unwrap_or_default();
    let (kept, kept_gone, other, other_gone) = match clash.present {
        Branch::Ours => ("ours", ours, "theirs", theirs),
        Branch::Theirs => ("theirs", theirs, "ours", ours),
    };
    let happened = match (kept_gone, other_gone) {
        (true, _) => format!("{kept} removed {name}, {other} changed it: it stays removed for now"),
        (_, true) => format!("{other} removed {name}, {kept} changed it: it stays for now"),
        _ => format!("both changed {name}: {kept} stays for now"),
    };
    let store = quoted(&format!("local:{document}"));
    let version = age::short(clash.other.as_str());
    let command = if other_gone {
        format!("to remove it: secrets unset {name} --store {store}")
    } else {
        format!("to take {other}: secrets rollback {name} --store {store} --to {version}")
    };
    format!("{happened}; {command}")
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
    let printer = &session.printer;
    match describe(session, file, for_git) {
        Ok(lines) => lines.iter().try_for_each(|line| printer.line(line))?,
        // `git log -p` must go on for who cannot open it.
        Err(failure) if for_git => {
            let why = printable(&failure.message);
            printer.line(format!("sealed, and not opened here: {why}"))?;
        }
        Err(failure) => return Err(failure),
    }
    Ok(Exit::Done)
}

/// What is shown of a document. Nothing that is another in each version: a difference is to show the
/// names that changed, and nothing else.
fn describe(session: &Session, file: &Path, for_git: bool) -> Result<Vec<String>> {
    let bytes = read(session, file)?;
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let (root, described) = if for_git {
        described_for_git(session, &bytes)?
    } else {
        let root = Project::discover(&session.surroundings)?.root;
        let described = session.local_folder(&root).describe(&bytes)?;
        (root, described)
    };
    let keys = keys(session, &root, &described.environment)?;
    let mut lines = vec![format!("environment {}", described.environment)];
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
        let at = secret.meta.modified.map_or("-".into(), |at| at.to_string());
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
    let top = surroundings.cwd.clone();
    let roots = drivers::stores(&top);
    // Fingerprints must not hang on who vouches.
    let place = match roots.as_slice() {
        [one] => one.clone(),
        _ => top.clone(),
    };
    let describe = |root: &Path| {
        let folder = Folder::new(root, &surroundings.dirs, Arc::clone(&identity));
        folder.describe(bytes)
    };
    let mut described = describe(roots.first().unwrap_or(&top));
    for root in roots.iter().skip(1) {
        if described.as_ref().is_ok_and(|d| d.doubt.is_none()) {
            break;
        }
        let other = describe(root);
        if other.as_ref().is_ok_and(|d| d.doubt.is_none()) {
            described = other;
        }
    }
    Ok((place, described?))
}
