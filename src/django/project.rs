//! Where a Django project's parts are.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::tokens::{Kind, tokens};

/// How many levels below the start manage.py is looked for.
const DEPTH: usize = 2;
/// How many entries of folders are looked at in all.
const MOST_ENTRIES: usize = 5000;
/// manage.py is not larger, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;
/// Folders that hold no project of the user's own.
const SKIPPED: &[&str] = &[
    "node_modules",
    "venv",
    "env",
    "site-packages",
    "__pycache__",
    "build",
    "dist",
    "target",
];

/// A project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The folder of manage.py.
    pub root: PathBuf,
    /// manage.py.
    pub manage: PathBuf,
    /// The settings, the one that manage.py names first.
    pub settings: Vec<PathBuf>,
}

impl Project {
    /// The package of the settings, where `wsgi.py` lies by custom: `shop`.
    pub fn package(&self) -> Option<String> {
        let settings = self.settings.first()?.strip_prefix(&self.root).ok()?;
        let first = settings.components().next()?.as_os_str().to_str()?;
        settings.parent().filter(|p| !p.as_os_str().is_empty())?;
        Some(first.to_owned())
    }
}

/// Finds the project that `start` lies in or above.
///
/// # Errors
/// If a folder cannot be read.
pub fn find(start: &Path) -> std::io::Result<Option<Project>> {
    for folder in start.ancestors() {
        if let Some(project) = project_in(folder) {
            return Ok(Some(project));
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    let mut level = vec![start.to_owned()];
    let mut left = MOST_ENTRIES;
    for _ in 0..DEPTH {
        let mut next = Vec::new();
        for folder in &level {
            next.extend(folders_in(folder, &mut left)?);
        }
        if let Some(project) = next.iter().find_map(|folder| project_in(folder)) {
            return Ok(Some(project));
        }
        level = next;
    }
    Ok(None)
}

fn folders_in(folder: &Path, left: &mut usize) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let Some(rest) = left.checked_sub(1) else {
            break;
        };
        *left = rest;
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // Links are not followed: they may lead out of the project, or round in a circle.
        if entry.file_type()?.is_dir()
            && !name.starts_with('.')
            && !SKIPPED.contains(&name.as_ref())
        {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

fn project_in(folder: &Path) -> Option<Project> {
    let manage = folder.join("manage.py");
    let meta = manage.symlink_metadata().ok()?;
    if !meta.is_file() || meta.len() > MOST_BYTES {
        return None;
    }
    let mut text = String::new();
    std::fs::File::open(&manage)
        .ok()?
        .take(MOST_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    if !text.contains("DJANGO_SETTINGS_MODULE") {
        return None;
    }
    let settings = settings(folder, settings_module(&text).as_deref());
    Some(Project {
        root: folder.to_owned(),
        manage,
        settings,
    })
}

/// `shop.settings` of `os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")`.
fn settings_module(text: &str) -> Option<String> {
    let tokens = tokens(text)?;
    let mut strings = tokens
        .iter()
        .filter(|t| t.kind == Kind::String { plain: true })
        .filter_map(|t| super::literal::decode(&text[t.span.clone()]));
    strings.find(|s| s.as_str() == "DJANGO_SETTINGS_MODULE")?;
    let module = strings.next()?;
    let plain =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    module.split('.').all(plain).then(|| module.to_string())
}

/// The settings files: the module's own, then the others of its package, `base` first.
fn settings(root: &Path, module: Option<&str>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let is_file = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_file());
    let named = module.map(|module| root.join(module.replace('.', "/")));
    let mut packages = Vec::new();
    if let Some(path) = &named {
        let file = path.with_extension("py");
        if is_file(&file) {
            found.push(file);
            // `config.settings.local`: its neighbours are settings too.
            packages.extend(
                path.parent()
                    .filter(|p| p.file_name().is_some_and(|n| n == "settings"))
                    .map(Path::to_owned),
            );
        }
        packages.push(path.clone());
    }
    let mut left = MOST_ENTRIES;
    let folders = folders_in(root, &mut left).unwrap_or_default();
    if named.is_none() {
        let files = folders.iter().map(|folder| folder.join("settings.py"));
        found.extend(files.filter(|file| is_file(file)));
    }
    packages.extend(folders.iter().map(|folder| folder.join("settings")));
    for package in packages {
        let mut modules: Vec<PathBuf> = std::fs::read_dir(package)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|e| e == "py") && is_file(path))
            .collect();
        modules.sort_by_key(|path| {
            (
                path.file_stem().is_none_or(|stem| stem != "base"),
                path.clone(),
            )
        });
        for module in modules {
            if !found.contains(&module) {
                found.push(module);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".git")).unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn manage(module: &str) -> String {
        format!("import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', '{module}')\n")
    }

    fn names(project: &Project) -> Vec<String> {
        let strip = |path: &PathBuf| {
            path.strip_prefix(&project.root)
                .unwrap()
                .display()
                .to_string()
        };
        project.settings.iter().map(strip).collect()
    }

    #[test]
    fn one_file_of_settings_is_found_from_anywhere_in_the_project() {
        let folder = project(&[
            ("manage.py", &manage("shop.settings")),
            ("shop/settings.py", ""),
            ("shop/app/x.py", ""),
        ]);
        for start in ["", "shop", "shop/app"] {
            let found = find(&folder.path().join(start)).unwrap().unwrap();
            assert_eq!(names(&found), ["shop/settings.py"]);
        }
    }

    #[test]
    fn a_package_of_settings_is_found_with_base_before_the_others() {
        let folder = project(&[
            ("manage.py", &manage("config.settings.local")),
            ("config/settings/__init__.py", ""),
            ("config/settings/base.py", ""),
            ("config/settings/local.py", ""),
            ("config/settings/production.py", ""),
        ]);
        let found = find(folder.path()).unwrap().unwrap();
        assert_eq!(
            names(&found),
            [
                "config/settings/local.py",
                "config/settings/base.py",
                "config/settings/__init__.py",
                "config/settings/production.py"
            ]
        );
    }

    #[test]
    fn a_project_below_is_found_and_what_is_none_is_not() {
        let folder = project(&[
            ("backend/src/manage.py", &manage("shop.settings")),
            ("backend/src/shop/settings.py", ""),
        ]);
        assert!(
            find(folder.path())
                .unwrap()
                .unwrap()
                .root
                .ends_with("backend/src")
        );
        let folder = project(&[
            ("manage.py", "print('not django')"),
            ("node_modules/x/manage.py", &manage("a")),
        ]);
        assert!(find(folder.path()).unwrap().is_none());
    }
}
