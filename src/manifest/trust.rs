//! What in a manifest needs a person's word, and whether it was given.
//!
//! A manifest comes from a repository. Stores beyond the project's own files, servers' addresses,
//! ways to log in, files outside the project, what an environment inherits and where it is copied to,
//! another environment's document, secrets that are shown and names that can take a process over are
//! *claims*: they hold only once `secrets trust` has shown and recorded exactly these, or
//! `SECRETS_TRUST` names their digest. To be read from files inside the project and `local:` claims
//! nothing; to be copied there does: such a file may be served, or readable by others.

use std::path::{Component, Path, PathBuf};

use secrets_api::{Dirs, StoreUri, Zeroizing};
use secrets_platform::files;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Manifest;
use crate::exit::{Exit, Failure, Result};
use crate::registry::{self, Reach};

/// So many links in a row are followed to a file that is not there, as the system does.
const MOST_LINKS: usize = 40;

/// What was accepted for one project folder, in the user's state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The project's folder, for people who read the file.
    pub root: String,
    /// The claims accepted, sorted.
    pub claims: Vec<String>,
    /// Names that can take a process over and may be passed on all the same.
    #[serde(default)]
    pub allow: Vec<String>,
}

/// Everything the manifest claims, sorted, one line each. These lines are what is shown, what is
/// digested and what is recorded.
pub fn claims(manifest: &Manifest, root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, store) in &manifest.stores {
        let leads = leads_to(&store.uri, root);
        lines.push(format!("store {name} is {}{leads}", store.uri));
        lines.extend(
            store
                .addresses
                .iter()
                .map(|a| format!("store {name} may be reached at {a}")),
        );
        if let Some(why) = &store.plain_http {
            lines.push(format!("store {name} may be spoken to without TLS: {why}"));
        }
        if let Some(prefix) = &store.prefix {
            lines.push(format!("store {name} calls its secrets {prefix}…"));
        }
        let renamed = store.rename.iter();
        lines.extend(renamed.map(|(ours, theirs)| format!("store {name} calls {ours} {theirs}")));
        if let Some(auth) = &store.auth {
            lines.push(format!("store {name} logs in by {}", auth.method));
            let settings = auth.settings.iter();
            lines.extend(settings.map(|(k, v)| {
                let leads = login_leads_to(k, v, root);
                format!("store {name} logs in with {k} = {v}{leads}")
            }));
        }
    }
    for (name, environment) in &manifest.environments {
        if let Some(parent) = &environment.inherit {
            lines.push(format!("environment {name} inherits {parent}"));
        }
        let stores = environment.source.iter();
        let named = stores.map(|s| manifest.stores.get(s).map_or(s, |store| &store.uri));
        let uris: Vec<StoreUri> = named.filter_map(|s| StoreUri::parse(s).ok()).collect();
        let plain = ends_in_plain_file(&uris);
        for store in &environment.source {
            // Which environment a named store belongs to is as much a claim as where it is, and so is what is
            // copied to mirrors.
            let claims = !environment.mirrors.is_empty()
                || plain
                || match StoreUri::parse(store) {
                    Ok(uri) => source_needs_trust(&uri, name, root),
                    Err(_) => !store.contains(':'),
                };
            if claims {
                let leads = leads_to(store, root);
                lines.push(format!("environment {name} reads {store}{leads}"));
            }
        }
        lines.extend(environment.mirrors.iter().map(|store| {
            let leads = leads_to(store, root);
            format!("environment {name} is copied to {store}{leads}")
        }));
    }
    let copies = manifest.environments.iter().filter(|(_, e)| e.auto_push);
    lines.extend(
        copies.map(|(name, _)| format!("environment {name} copies every change to its mirrors")),
    );
    let shown = manifest.secrets.iter().filter(|(_, s)| !s.is_sensitive());
    lines.extend(shown.map(|(n, _)| format!("secret {n} is shown in plans and reports")));
    let from_file = manifest
        .secrets
        .iter()
        .filter(|(_, secret)| secret.from_file);
    lines.extend(
        from_file.map(|(n, _)| format!("secret {n} is read from the file that {n}_FILE names")),
    );
    lines.extend(
        manifest
            .project
            .allow_names
            .iter()
            .map(|n| format!("name {n} is passed on")),
    );
    lines.sort();
    lines.dedup();
    lines
}

/// Where the path of an address really leads, if a link in it leads elsewhere: a part of the claim,
/// so that another target takes another word.
fn leads_to(store: &str, root: &Path) -> String {
    let Ok(uri) = StoreUri::parse(store) else {
        return String::new();
    };
    let is_path = registry::find(uri.scheme()).is_some_and(|p| p.reach == Reach::Path);
    if is_path {
        path_leads_to(uri.location(), root)
    } else {
        String::new()
    }
}

/// The same for what a login reads: a file that a setting names, or a store that holds a credential.
fn login_leads_to(key: &str, value: &str, root: &Path) -> String {
    if let Some(path) = value.strip_prefix("file:") {
        return path_leads_to(path, root);
    }
    if let Some((store, _)) = value.rsplit_once('#') {
        return leads_to(store, root);
    }
    let names_a_file = ["certificate", "key", "token-file"].contains(&key);
    if names_a_file {
        path_leads_to(value, root)
    } else {
        String::new()
    }
}

/// Any link on the way counts, not the last part alone.
fn path_leads_to(path: &str, root: &Path) -> String {
    let Ok(root) = root.canonicalize() else {
        return String::new();
    };
    let Some(real) = real_path(&root.join(path)) else {
        return String::new();
    };
    let mut written = PathBuf::new();
    for component in root.join(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                written.pop();
            }
            other => written.push(other),
        }
    }
    if real == written {
        return String::new();
    }
    format!(" (which is {})", real.display())
}

/// Where a path leads, also if nothing is there yet; `None` for a link that leads nowhere.
pub fn real_path(path: &Path) -> Option<PathBuf> {
    real(path, MOST_LINKS)
}

/// The same through so many links: what is written makes it there.
fn real(path: &Path, links: usize) -> Option<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Some(real);
    }
    let folder = path.parent()?;
    match std::fs::read_link(path) {
        Ok(target) => real(&folder.join(target), links.checked_sub(1)?),
        Err(_) => Some(real(folder, links)?.join(path.file_name()?)),
    }
}

/// Whether an environment that is read from this store takes a person's word: the store lies beyond the
/// project, or is the document of another environment, which a change of this one would write.
pub fn source_needs_trust(uri: &StoreUri, environment: &str, root: &Path) -> bool {
    let is_other = uri.scheme() == "local" && !["", environment].contains(&uri.location());
    is_other || uri_needs_trust(uri, root)
}

/// Whether the last of an environment's layers is a plain file and another below it is none: it would take
/// the new names, in plain text.
pub fn ends_in_plain_file<'a>(source: impl IntoIterator<Item = &'a StoreUri>) -> bool {
    let is_plain: Vec<bool> = source
        .into_iter()
        .map(|uri| uri.scheme() == "dotenv")
        .collect();
    is_plain.last() == Some(&true) && is_plain.contains(&false)
}

/// Whether using this store takes a person's word.
pub fn uri_needs_trust(uri: &StoreUri, root: &Path) -> bool {
    match registry::find(uri.scheme()).map(|entry| entry.reach) {
        Some(Reach::Project) => false,
        Some(Reach::Path) => !is_inside(root, Path::new(uri.location())),
        Some(Reach::Beyond) | None => true,
    }
}

/// Whether `path`, relative to `root`, stays inside it: by its words, and where it exists also
/// after following links.
pub fn is_inside(root: &Path, path: &Path) -> bool {
    if !is_written_inside(root, path) {
        return false;
    }
    let relative = path.strip_prefix(root).unwrap_or(path);
    let Ok(real_root) = root.canonicalize() else {
        return false;
    };
    match root.join(relative).canonicalize() {
        Ok(real) => real.starts_with(&real_root),
        // It does not exist yet: its folder decides; a dangling link is not inside.
        Err(_) => {
            let full = root.join(relative);
            !full.is_symlink()
                && full.parent().is_some_and(|folder| {
                    folder
                        .canonicalize()
                        .map_or(true, |real| real.starts_with(&real_root))
                })
        }
    }
}

/// Whether `path`, relative to `root`, stays inside it by its words, whatever links it goes through.
pub fn is_written_inside(root: &Path, path: &Path) -> bool {
    let mut depth = 0_i32;
    let relative = path.strip_prefix(root).unwrap_or(path);
    relative.components().all(|component| {
        match component {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir => depth -= 1,
            Component::RootDir | Component::Prefix(_) => return false,
        }
        depth >= 0
    })
}

/// The digest of claims: SHA-256 over the lines, each with its length before it, in hexadecimal.
pub fn digest(claims: &[String]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"secrets-trust/1");
    for line in claims {
        hash.update((line.len() as u64).to_be_bytes());
        hash.update(line.as_bytes());
    }
    hash.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

impl Record {
    fn path(dirs: &Dirs, root: &Path) -> PathBuf {
        let real = root.canonicalize().unwrap_or_else(|_| root.to_owned());
        let name = digest(&[real.to_string_lossy().into_owned()]);
        dirs.state
            .join("trust")
            .join(format!("{}.json", &name[..32]))
    }

    /// What was accepted for this folder; the empty record if nothing was, or where the user's state is out of
    /// reach (a container's user without a home of their own).
    ///
    /// # Errors
    /// If the record is there and is none: never taken for trust.
    pub fn load(dirs: &Dirs, root: &Path) -> Result<Self> {
        let path = Self::path(dirs, root);
        let Ok(Some(contents)) = files::read(&path) else {
            return Ok(Self::default());
        };
        serde_json::from_slice(&contents.bytes).map_err(|e| {
            let what = format!(
                "the record of what you trusted is broken: {}: {e}",
                path.display()
            );
            Failure::new(Exit::Denied, what).with_hint(format!(
                "remove {} and run `secrets trust` again",
                path.display()
            ))
        })
    }

    /// Records it.
    ///
    /// # Errors
    /// If the state folder cannot be written.
    pub fn save(&self, dirs: &Dirs, root: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self)
            .map_err(|e| Failure::new(Exit::Failed, format!("cannot write the record: {e}")))?;
        let options = files::Options {
            create_parents: true,
            ..files::Options::default()
        };
        files::update(&Self::path(dirs, root), &options, |_| {
            Ok((files::Edit::Replace(Zeroizing::new(text.clone())), ()))
        })?;
        Ok(())
    }

    /// Whether exactly these claims were accepted, here or by `variable` (`SECRETS_TRUST`).
    pub fn covers(&self, claims: &[String], variable: Option<&str>) -> bool {
        self.claims == claims || variable.is_some_and(|given| given == digest(claims))
    }
}

/// What is wrong with a manifest that claims something and was never accepted.
const NOT_TRUSTED: &str = "secrets.toml names mirrors, or stores or files outside the project, and has not been trusted yet";

/// The failure of a manifest that was not accepted.
pub fn untrusted(record: &Record, variable: Option<&str>) -> Failure {
    if variable.is_some() {
        let message = "SECRETS_TRUST holds another digest than what secrets.toml reaches now";
        return Failure::new(Exit::Denied, message)
            .with_hint("`secrets trust` shows what it reaches, with its digest");
    }
    let message = if record.claims.is_empty() {
        NOT_TRUSTED
    } else {
        "secrets.toml has changed since it was trusted, in what it may reach"
    };
    Failure::new(Exit::Denied, message).with_hint(
        "run `secrets trust` to see and accept it; in CI set SECRETS_TRUST to the digest it prints",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::parse;

    #[test]
    fn files_of_the_project_and_the_local_store_claim_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let text =
            "[environments.dev]\nsource = [\"dotenv:.env\", \"dotenv:conf/../.env\", \"local:\"]\n";
        assert!(claims(&parse(text, "m").unwrap(), folder.path()).is_empty());
    }

    #[test]
    fn a_plain_file_that_would_take_new_names_over_another_store_is_a_claim() {
        let folder = tempfile::tempdir().unwrap();
        let of = |source: &str| {
            let text = format!("[environments.dev]\nsource = {source}\n");
            claims(&parse(&text, "m").unwrap(), folder.path())
        };
        assert_eq!(
            of("['local:', 'dotenv:static/app.css']"),
            [
                "environment dev reads dotenv:static/app.css",
                "environment dev reads local:",
            ]
        );
        assert!(of("['dotenv:.env', 'local:']").is_empty());
        assert!(of("['dotenv:.env', 'dotenv:.env.local']").is_empty());
    }

    #[test]
    fn wherever_an_environment_is_copied_to_is_a_claim_and_what_else_it_holds_too() {
        let folder = tempfile::tempdir().unwrap();
        let text = "
            [environments.dev]
            source = ['dotenv:.env', 'local:', 'local:dev', 'local:production']
            mirrors = ['dotenv:static/app.css', 'local:dev', 'local:production']
            [environments.production]
            inherit = 'dev'
            source = ['local:']
            [secrets.DEBUG]
            sensitive = false
            [secrets.KEY]
            sensitive = true";
        assert_eq!(
            claims(&parse(text, "m").unwrap(), folder.path()),
            [
                "environment dev is copied to dotenv:static/app.css",
                "environment dev is copied to local:dev",
                "environment dev is copied to local:production",
                "environment dev reads dotenv:.env",
                "environment dev reads local:",
                "environment dev reads local:dev",
                "environment dev reads local:production",
                "environment production inherits dev",
                "secret DEBUG is shown in plans and reports",
            ]
        );
    }

    #[test]
    fn a_mirror_that_is_not_there_yet_is_claimed_with_where_its_link_leads() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("static")).unwrap();
        let text =
            "environments.dev.mirrors = ['dotenv:out/app.css', 'dotenv:file', 'dotenv:plain']";
        let claims = || claims(&parse(text, "m").unwrap(), root);
        assert!(!claims().concat().contains("which is"), "{:?}", claims());
        std::os::unix::fs::symlink("static", root.join("out")).unwrap();
        std::os::unix::fs::symlink("out/new.css", root.join("file")).unwrap();
        let root = root.canonicalize().unwrap();
        let real = root.join("static").display().to_string();
        assert_eq!(
            claims(),
            [
                format!("environment dev is copied to dotenv:file (which is {real}/new.css)"),
                format!(
                    "environment dev is copied to dotenv:out/app.css (which is {real}/app.css)"
                ),
                "environment dev is copied to dotenv:plain".to_owned(),
            ]
        );
        // One that leads to itself leads nowhere.
        std::os::unix::fs::symlink("self", root.join("self")).unwrap();
        assert_eq!(path_leads_to("self", &root), "");
    }

    #[test]
    fn where_a_link_leads_is_a_part_of_the_claim() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir(root.join("real")).unwrap();
        std::fs::write(root.join("real/id"), "x").unwrap();
        let text = "
            [stores.cfg]
            uri = 'dotenv:conf/app.env'
            [stores.hq]
            uri = 'vault:a/b'
            auth = { method = 'cert', certificate = 'conf/id', secret-id = 'file:conf/id', other = 'dotenv:conf/id#N' }";
        let claims = || claims(&parse(text, "m").unwrap(), root);
        std::fs::create_dir(root.join("conf")).unwrap();
        std::fs::write(root.join("conf/id"), "x").unwrap();
        std::fs::write(root.join("conf/app.env"), "x").unwrap();
        let before = claims();
        assert!(
            !before.iter().any(|line| line.contains("which is")),
            "{before:?}"
        );
        // The folder becomes a link, as a later commit could make it.
        std::fs::remove_dir_all(root.join("conf")).unwrap();
        std::os::unix::fs::symlink("real", root.join("conf")).unwrap();
        std::fs::write(root.join("real/app.env"), "x").unwrap();
        let after = claims();
        assert_eq!(
            after
                .iter()
                .filter(|line| line.contains("which is"))
                .count(),
            4,
            "{after:?}"
        );
    }

    #[test]
    fn whatever_reaches_further_is_a_claim() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/etc/none-such", folder.path().join("dangling")).unwrap();
        let text = "
            project.allow-names = ['PATH']
            [stores.hq]
            uri = 'vault:a/b'
            addresses = ['https://v']
            auth = { method = 'token', role = 'r' }
            prefix = 'SHOP_'
            rename = { SECRET_KEY = 'DJANGO_SECRET' }
            [environments.dev]
            auto-push = true
            source = ['dotenv:/etc/env', 'dotenv:../up', 'dotenv:a/../../up', 'dotenv:link', 'dotenv:dangling', 'keyring:x', 'hq']
            mirrors = ['aws:x', 'hq']";
        let claims = claims(&parse(text, "m").unwrap(), folder.path());
        assert_eq!(
            claims,
            [
                "environment dev copies every change to its mirrors",
                "environment dev is copied to aws:x",
                "environment dev is copied to hq",
                "environment dev reads dotenv:../up",
                "environment dev reads dotenv:/etc/env",
                "environment dev reads dotenv:a/../../up",
                "environment dev reads dotenv:dangling (which is /etc/none-such)",
                "environment dev reads dotenv:link (which is /etc/passwd)",
                "environment dev reads hq",
                "environment dev reads keyring:x",
                "name PATH is passed on",
                "store hq calls SECRET_KEY DJANGO_SECRET",
                "store hq calls its secrets SHOP_…",
                "store hq is vault:a/b",
                "store hq logs in by token",
                "store hq logs in with role = r",
                "store hq may be reached at https://v",
            ]
        );
    }

    #[test]
    fn a_record_covers_only_what_it_was_made_for() {
        let record = Record {
            claims: vec!["a".into()],
            ..Record::default()
        };
        assert!(record.covers(&["a".into()], None));
        assert!(!record.covers(&["a".into(), "b".into()], None));
        assert!(!record.covers(&[], Some("")));
        let other = vec!["a".to_owned(), "b".to_owned()];
        assert!(record.covers(&other, Some(&digest(&other))));
        assert_ne!(digest(&["ab".into()]), digest(&["a".into(), "b".into()]));
    }
}
