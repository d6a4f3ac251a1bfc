//! How git merges and shows the encrypted store's documents: a merge driver that unites them by name, a
//! diff driver that shows names and fingerprints. What a repository says alone never makes git run
//! anything: the attributes are committed, the commands are in each clone's own configuration, put there
//! by `init` or `git install`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use secrets_api::{Error, ErrorKind, Zeroizing};
use secrets_platform::files;

use crate::exit::{Exit, Failure, Result};
use crate::manifest::trust;
use crate::shell::quoted;
use crate::variables;

/// The attributes that name the drivers, in `.secrets/.gitattributes`.
const ATTRIBUTES: &str = "*.age -text merge=secrets diff=secrets";
/// The same as it was before there were drivers.
const OLD_ATTRIBUTES: &str = "*.age -text";

/// How a shell calls us where it finds us by name.
const BY_NAME: &str = "secrets";

/// The setting that says how git merges.
const MERGE: &str = "merge.secrets.driver";
/// The setting that says how git shows.
const SHOW: &str = "diff.secrets.textconv";
/// What git calls to merge, after the program. It quotes the last one, a path.
const MERGE_WORDS: &str = " git merge -- %O %A %B %P";
/// What git calls to show, after the program; the file follows.
const SHOW_WORDS: &str = " git show --for-git --";

/// What the clone's configuration has to say, for this program as a shell calls it.
fn settings(program: &str) -> [(&'static str, String); 5] {
    [
        (
            "merge.secrets.name",
            "by name, with `secrets git merge`".to_owned(),
        ),
        // A `%` is git's own there.
        (MERGE, program.replace('%', "%%") + MERGE_WORDS),
        // Of what two branches both come from twice over, git would make a document of its own.
        ("merge.secrets.recursive", "binary".to_owned()),
        (SHOW, program.to_owned() + SHOW_WORDS),
        // What is shown hangs on this machine's key: nothing to be kept in the repository.
        ("diff.secrets.cachetextconv", "false".to_owned()),
    ]
}

/// What git needs of our environment: not its own variables, which may be about another repository, and no
/// credential.
const FOR_GIT: [&str; 6] = [
    "PATH",
    "HOME",
    "XDG_CONFIG_HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
];

/// What git answers in this folder. It runs no program that the repository's configuration names for it.
pub fn git(root: &Path, words: &[&str]) -> Result<Output> {
    let kept = FOR_GIT.map(|name| (name, std::env::var_os(name)));
    let kept = kept
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)));
    Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["-c", "core.fsmonitor=false"])
        .args(words)
        .stdin(Stdio::null())
        .env_clear()
        .envs(kept)
        .output()
        .map_err(|e| Failure::new(Exit::Failed, format!("git cannot be run: {e}")))
}

/// Why git did not do it, in its own words.
fn refusal(output: &Output) -> Failure {
    let text = String::from_utf8_lossy(&output.stderr);
    let first = text.lines().next().unwrap_or("without a word");
    let why = first.trim_start_matches("fatal: ");
    Failure::new(Exit::Failed, format!("git refuses: {why}"))
}

/// What the clone's configuration says of drivers.
fn configured(root: &Path) -> Result<BTreeMap<String, String>> {
    let pattern = r"^(merge|diff)\.secrets\.";
    let words = ["config", "--local", "-z", "--get-regexp", pattern];
    let output = git(root, &words)?;
    // 1: there is none.
    if !matches!(output.status.code(), Some(0 | 1)) {
        return Err(refusal(&output));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let pair = |entry: &str| {
        let (name, value) = entry.split_once('\n')?;
        Some((name.to_owned(), value.to_owned()))
    };
    Ok(text.split('\0').filter_map(pair).collect())
}

/// Whether this folder is in a git repository, as far as can be told without running git.
pub fn is_repository(root: &Path) -> bool {
    root.ancestors().any(|folder| folder.join(".git").exists())
}

/// Whether git will use the drivers here: this clone's configuration is as `install` makes it, the program
/// can still be called, and no attribute says otherwise.
///
/// # Errors
/// If git cannot be run, or refuses this repository.
pub fn are_installed(root: &Path) -> Result<bool> {
    let now = configured(root)?;
    let show = now.get(SHOW);
    let Some(program) = show.and_then(|value| value.strip_suffix(SHOW_WORDS)) else {
        return Ok(false);
    };
    let wanted = settings(program);
    let as_installed = wanted
        .iter()
        .all(|(name, value)| now.get(*name) == Some(value));
    Ok(as_installed && can_be_called(program) && are_assigned(root)?)
}

/// Whether git gives the drivers to a document, by all the attributes that it knows.
fn are_assigned(root: &Path) -> Result<bool> {
    let words = "check-attr -z merge diff text -- .secrets/dev.age";
    let output = git(root, &words.split(' ').collect::<Vec<_>>())?;
    if !output.status.success() {
        return Err(refusal(&output));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    // Path, attribute and value, three by three.
    let fields: Vec<&str> = text.split('\0').collect();
    let values = fields.iter().skip(2).step_by(3);
    Ok(values.eq(&["secrets", "secrets", "unset"]))
}

fn attributes_file(root: &Path) -> PathBuf {
    root.join(".secrets/.gitattributes")
}

/// The attributes with the drivers named; `None` if they are already.
fn with_attributes(now: &[u8]) -> secrets_api::Result<Option<String>> {
    let text = std::str::from_utf8(now).map_err(|_| {
        let message = ".secrets/.gitattributes is not UTF-8";
        Error::new(ErrorKind::InvalidData, message)
    })?;
    let named = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("*.age")
            && words.clone().any(|w| w == "merge=secrets")
            && words.any(|w| w == "diff=secrets")
    };
    if text.lines().any(named) {
        return Ok(None);
    }
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter_mut().find(|line| line.trim() == OLD_ATTRIBUTES) {
        Some(line) => *line = ATTRIBUTES,
        None => lines.push(ATTRIBUTES),
    }
    Ok(Some(lines.join(line_end) + line_end))
}

/// Names the drivers in the store's attributes and in the clone's configuration. Whether anything was
/// changed.
///
/// # Errors
/// If there is no repository or no git, or git refuses; if the attributes cannot be written.
pub fn install(root: &Path) -> Result<bool> {
    if !is_repository(root) {
        return Err(
            Failure::new(Exit::NotFound, "there is no git repository here or above")
                .with_hint("`git init` makes one"),
        );
    }
    let file = attributes_file(root);
    if file.is_symlink() || !trust::is_inside(root, &file) {
        return Err(Failure::new(
            Exit::Denied,
            ".secrets/.gitattributes is a link, which git does not follow either",
        )
        .with_hint("remove it, then `secrets git install`"));
    }
    let configured = configure(root)?;
    let options = files::Options {
        mode_if_new: 0o644,
        ..files::Options::default()
    };
    let assigned = files::update(&file, &options, |now| {
        let wanted = with_attributes(now.map_or(&[], |now| &now.bytes))?;
        Ok(match wanted {
            None => (files::Edit::Keep, false),
            Some(text) => (
                files::Edit::Replace(Zeroizing::new(text.into_bytes())),
                true,
            ),
        })
    })?;
    if !are_assigned(root)? {
        return Err(Failure::new(
            Exit::Failed,
            "other attributes keep git from using the drivers for .secrets/*.age",
        )
        .with_hint("see which: `git check-attr -a .secrets/dev.age`; they are in .secrets/.gitattributes or .git/info/attributes"));
    }
    Ok(configured || assigned)
}

/// Puts the commands into the clone's configuration. Whether anything was changed.
fn configure(root: &Path) -> Result<bool> {
    let now = configured(root)?;
    let mut changed = false;
    for (name, value) in settings(&program()?) {
        if now.get(name) == Some(&value) {
            continue;
        }
        let set = git(root, &["config", "--local", "--replace-all", name, &value])?;
        if !set.status.success() {
            return Err(refusal(&set));
        }
        changed = true;
    }
    Ok(changed)
}

/// The list of people that every encrypted store has.
const TEAM: &str = ".secrets/recipients.toml";

/// The folders below `top`, the repository's own, that have an encrypted store.
pub fn stores_below(top: &Path) -> Vec<PathBuf> {
    let Ok(listed) = git(top, &["ls-files", "-z", "--", &format!("*/{TEAM}")]) else {
        return Vec::new();
    };
    let paths = listed.stdout.split(|byte| *byte == 0);
    let paths = paths.filter_map(|path| std::str::from_utf8(path).ok());
    let folders = paths.filter_map(|path| path.strip_suffix(TEAM));
    folders.map(|folder| top.join(folder)).collect()
}

/// How git is to call us, for its shell: by name where that leads to this very program, else by path.
fn program() -> Result<String> {
    let own = std::env::current_exe()
        .and_then(|path| path.canonicalize())
        .map_err(|e| {
            Failure::new(
                Exit::Failed,
                format!("this program's path is not known: {e}"),
            )
        })?;
    if on_path().and_then(|found| found.canonicalize().ok()) == Some(own.clone()) {
        return Ok(BY_NAME.to_owned());
    }
    let text = own.to_str().ok_or_else(|| {
        Failure::new(
            Exit::Failed,
            "git could not call this program: its path is not UTF-8",
        )
    })?;
    Ok(quoted(text))
}

/// What a shell finds by our name, wherever it is started: nothing where it would look in its own folder
/// first, which is the repository's.
fn on_path() -> Option<PathBuf> {
    let path = std::env::var_os(variables::PATH)?;
    std::env::split_paths(&path)
        .take_while(|folder| folder.is_absolute())
        .map(|folder| folder.join(BY_NAME))
        .find(|candidate| candidate.is_file())
}

/// Whether what `program` named is still there.
fn can_be_called(program: &str) -> bool {
    match unquoted(program) {
        Some(path) => path.is_file(),
        None => program == BY_NAME && on_path().is_some(),
    }
}

/// The path that was quoted; `None` for what is found by its name.
fn unquoted(program: &str) -> Option<PathBuf> {
    let inner = program
        .strip_prefix('\'')
        .and_then(|p| p.strip_suffix('\''));
    match inner {
        Some(inner) => Some(PathBuf::from(inner.replace(r"'\''", "'"))),
        None => program.contains('/').then(|| PathBuf::from(program)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(text: &str) -> Option<String> {
        with_attributes(text.as_bytes()).unwrap()
    }

    #[test]
    fn attributes_are_added_once_and_others_are_kept() {
        let fresh = with("").unwrap();
        assert_eq!(fresh, format!("{ATTRIBUTES}\n"));
        assert_eq!(with(&fresh), None);
        assert_eq!(
            with("*.age -text\nrecipients.toml -text\n").unwrap(),
            format!("{ATTRIBUTES}\nrecipients.toml -text\n")
        );
        assert_eq!(
            with("*.age binary").unwrap(),
            format!("*.age binary\n{ATTRIBUTES}\n")
        );
        assert_eq!(
            with("x y\r\n*.age -text\r\n").unwrap(),
            format!("x y\r\n{ATTRIBUTES}\r\n")
        );
        assert!(with_attributes(b"\xff").is_err());
    }

    #[test]
    fn a_program_s_path_is_for_a_shell_and_for_git() {
        let path = "/opt/it's 100%/secrets";
        let word = quoted(path);
        assert_eq!(word, r"'/opt/it'\''s 100%/secrets'");
        assert_eq!(unquoted(&word), Some(PathBuf::from(path)));
        assert_eq!(unquoted("secrets"), None);
        let settings = settings(&word);
        let of = |name| &settings.iter().find(|(n, _)| *n == name).unwrap().1;
        assert!(of(MERGE).starts_with(r"'/opt/it'\''s 100%%/secrets' git merge"));
        assert!(of(SHOW).starts_with(r"'/opt/it'\''s 100%/secrets' git show"));
    }
}
