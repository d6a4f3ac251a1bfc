//! Files that are no store, whatever an address says: the manifest, what git itself reads, and what is in
//! the encrypted store's folder. They are committed, or git runs by them: a value written there is
//! published, and the file is spoilt.
//!
//! Where a path really leads decides, not how it was written.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use crate::exit::{Failure, Result};
use crate::manifest::{self, trust};
use crate::settings::LayerSpec;

/// The folder of the encrypted store.
const STORE: &str = ".secrets";
/// What is in every encrypted store.
const TEAM: &str = "recipients.toml";
/// The folder, or the file, that makes a folder a repository.
const REPOSITORY: &str = ".git";
/// What git reads of a folder, and what is committed with it.
const OF_GIT: [&str; 3] = [".gitignore", ".gitattributes", ".gitmodules"];

/// Refuses a layer whose file is one of these.
///
/// # Errors
/// A usage failure that says which file it is.
pub fn refuse(layer: &LayerSpec, project: &Path) -> Result<()> {
    match layer.file() {
        Some(path) => refuse_file(&path, project, &layer.label),
        None => Ok(()),
    }
}

/// The same for a file that is to be written; `shown` is how it is called.
///
/// # Errors
/// As [`refuse`].
pub fn refuse_file(path: &Path, project: &Path, shown: &str) -> Result<()> {
    match what_is(path, project) {
        None => Ok(()),
        Some(what) => Err(
            Failure::usage(format!("{shown} is {what}: it holds no secrets"))
                .with_hint("name a file that git ignores, such as .env"),
        ),
    }
}

/// What the file at this path is, if it is none for secrets.
fn what_is(path: &Path, project: &Path) -> Option<&'static str> {
    let real = trust::real_path(path).unwrap_or_else(|| path.to_owned());
    let project = project
        .canonicalize()
        .unwrap_or_else(|_| project.to_owned());
    if is_same(&real, &project.join(manifest::FILE_NAME)) || is_called(&real, manifest::FILE_NAME) {
        return Some("a project's manifest, which is committed");
    }
    if OF_GIT.iter().any(|name| is_called(&real, name)) {
        return Some("git's own, and is committed");
    }
    // A project may itself lie in any folder.
    let known = project.components().count();
    let within = match real.starts_with(&project) {
        true => known,
        false => 0,
    };
    let mut folder = PathBuf::new();
    for (depth, component) in real.components().enumerate() {
        folder.push(component);
        if depth < within || !matches!(component, Component::Normal(_)) {
            continue;
        }
        if is_called(&folder, REPOSITORY) {
            return Some("git's own");
        }
        let is_of_project = folder.parent() == Some(&project);
        if is_called(&folder, STORE) && (is_of_project || folder.join(TEAM).exists()) {
            return Some("a part of the encrypted store, which is committed");
        }
    }
    None
}

/// Whether this is the entry of that name, in a folder that may not tell upper case from lower.
fn is_called(path: &Path, name: &str) -> bool {
    let Some(last) = path.file_name() else {
        return false;
    };
    // One that is not there yet would be found by the other name too.
    last == name
        || last.eq_ignore_ascii_case(name)
            && (!path.exists() || is_same(path, &path.with_file_name(name)))
}

/// Whether both lead to one file, which is there.
pub fn is_same(one: &Path, other: &Path) -> bool {
    let place = |meta: Metadata| (meta.dev(), meta.ino());
    let [one, other] = [one, other].map(|path| path.metadata().ok().map(place));
    one.is_some() && one == other
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_committed_or_git_s_own_is_no_store_however_it_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap().join("shop");
        for made in [".git/hooks", ".secrets", "conf", "other/.secrets"] {
            std::fs::create_dir_all(root.join(made)).unwrap();
        }
        std::fs::create_dir_all(root.join("../private/.secrets")).unwrap();
        for made in [
            "secrets.toml",
            "other/.secrets/recipients.toml",
            "plain.env",
        ] {
            std::fs::write(root.join(made), "").unwrap();
        }
        symlink("secrets.toml", root.join("manifest.env")).unwrap();
        symlink("../.gitignore", root.join("conf/ignored.env")).unwrap();
        symlink(".secrets", root.join("store")).unwrap();
        std::fs::hard_link(root.join("secrets.toml"), root.join("linked.env")).unwrap();
        for refused in [
            "secrets.toml",
            "./conf/../secrets.toml",
            "manifest.env",
            "linked.env",
            "conf/secrets.toml",
            ".gitignore",
            ".GitIgnore",
            "conf/.gitattributes",
            "conf/ignored.env",
            ".git/config",
            "conf/../.git/hooks/pre-commit",
            ".secrets/recipients.toml",
            ".secrets/dev.age",
            "store/new.env",
            "other/.secrets/x.env",
        ] {
            assert!(what_is(&root.join(refused), &root).is_some(), "{refused}");
        }
        for kept in [
            ".env",
            "plain.env",
            "conf/.env",
            "conf/secrets.env",
            "secrets.toml.env",
            "conf/.secrets/x.env",
            // Somebody's own folder of that name.
            "../private/.secrets/shop.env",
            "conf/git.env",
        ] {
            assert_eq!(what_is(&root.join(kept), &root), None, "{kept}");
        }
    }

    #[test]
    fn where_upper_case_is_another_name_it_is_another_file() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(".gitignore"), "").unwrap();
        let other = folder.path().join(".GITIGNORE");
        std::fs::write(&other, "").unwrap();
        let entries = std::fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(what_is(&other, folder.path()).is_none(), entries == 2);
    }

    #[test]
    fn a_project_in_a_folder_of_such_a_name_has_stores_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join(".git/shop");
        std::fs::create_dir_all(&root).unwrap();
        assert_eq!(what_is(&root.join(".env"), &root), None);
        assert!(what_is(&root.join(".git/config"), &root).is_some());
    }
}
