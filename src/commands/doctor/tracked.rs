//! Whether git tracks the file of a store, or would: then what is written there is committed.

use std::path::Path;

use super::Finding;
use crate::drivers;
use crate::manifest::trust;
use crate::session::Session;
use crate::settings::{Settings, shown};
use crate::shell::quoted;
use crate::stack::Layer;

/// What git makes of a file.
enum Git {
    Tracks,
    WouldTrack,
    Ignores,
    /// It is in no repository, or git cannot be asked.
    Unknown,
}

/// Adds what is wrong to the finding of this layer.
pub(super) fn look(session: &Session, settings: &Settings, layer: &Layer, finding: &mut Finding) {
    // The content is where links lead.
    let Some(path) = layer.spec.file().and_then(|path| trust::real_path(&path)) else {
        return;
    };
    let root = &settings.root;
    let root = root.canonicalize().unwrap_or_else(|_| root.clone());
    let name = shown(&path, &root);
    match asked(&path) {
        Git::Tracks if is_for_all_to_read(session, settings, layer) => {
            finding.fact("git", "tracks it; it holds configuration alone");
        }
        Git::Tracks => finding.problem(
            format!("git tracks {name}: whoever has the repository has what is in it"),
            Some(format!(
                "`git rm --cached {}`, ignore it, and replace what was committed",
                quoted(&name)
            )),
        ),
        Git::WouldTrack => finding.problem(
            format!("git does not ignore {name}: the next `git add` takes it along"),
            Some(match name.as_str() {
                ".env" => "`secrets init` adds it to .gitignore".to_owned(),
                _ => format!("add {} to .gitignore", pattern(&name)),
            }),
        ),
        Git::Ignores => finding.fact("git", "ignores it"),
        Git::Unknown => {}
    }
}

/// What in `.gitignore` beside the manifest means this file alone.
fn pattern(name: &str) -> String {
    if name.starts_with('/') {
        name.to_owned()
    } else {
        format!("/{name}")
    }
}

/// Whether all the names it holds are declared to be no secrets.
fn is_for_all_to_read(session: &Session, settings: &Settings, layer: &Layer) -> bool {
    let listed = session.block_on(layer.provider.list(&session.cx()));
    listed.is_ok_and(|names| {
        let is_plain = |name| settings.secret(name).is_some_and(|s| !s.is_sensitive());
        !names.is_empty() && names.iter().all(|(name, _)| is_plain(name))
    })
}

fn asked(path: &Path) -> Git {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Git::Unknown;
    };
    if !drivers::is_repository(folder) {
        return Git::Unknown;
    }
    // No name is a pattern.
    let ask = |words: &str| {
        let name = format!("./{name}");
        let words: Vec<&str> = words.split(' ').chain([&*name]).collect();
        drivers::git(folder, &words)
    };
    let Ok(tracked) = ask("--literal-pathspecs ls-files -z --") else {
        return Git::Unknown;
    };
    if !tracked.status.success() {
        return Git::Unknown;
    }
    if !tracked.stdout.is_empty() {
        return Git::Tracks;
    }
    let ignored = ask("check-ignore -q --");
    match ignored.map(|output| output.status.code()) {
        Ok(Some(0)) => Git::Ignores,
        Ok(Some(1)) => Git::WouldTrack,
        _ => Git::Unknown,
    }
}
