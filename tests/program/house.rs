//! What the house itself promises: no forgotten file, no printing elsewhere, no network yet, and
//! documents that say what the code says.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use secrets::exit::Exit;
use secrets::variables;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

fn all_sources() -> Vec<PathBuf> {
    ["src", "providers", "tests"]
        .iter()
        .flat_map(|folder| sources(&root().join(folder)))
        .collect()
}

#[test]
fn every_file_stays_readable_in_one_sitting() {
    for path in all_sources() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 800, "{} has {lines} lines", path.display());
    }
}

#[test]
fn every_module_says_what_it_is_for() {
    for path in sources(&root().join("src")) {
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("//!"), "{}", path.display());
    }
}

#[test]
fn unsafe_code_is_in_one_module_alone() {
    for path in all_sources() {
        let text = std::fs::read_to_string(&path).unwrap();
        let allowed =
            path.ends_with("providers/platform/src/inherited.rs") || path.ends_with("house.rs");
        assert!(
            allowed || !text.contains("unsafe_code"),
            "{}",
            path.display()
        );
    }
}

/// Promise 7: what cannot speak over a network cannot do so without TLS.
#[test]
fn no_provider_of_this_version_speaks_over_a_network() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for network in [
        "reqwest",
        "hyper",
        "rustls",
        "native-tls",
        "openssl",
        "ureq",
        "curl",
    ] {
        assert!(
            !lock.contains(&format!("name = \"{network}\"\n")),
            "{network} came in: TLS needs its own test now"
        );
    }
}

#[test]
fn every_document_says_what_the_code_says() {
    let codes: String = Exit::TABLE
        .iter()
        .map(|(exit, what)| format!("| {} | {what} |\n", *exit as u8))
        .collect();
    let names: String = variables::TABLE
        .iter()
        .map(|(name, what)| format!("| `{name}` | {what} |\n"))
        .collect();
    for (file, table) in [
        ("docs/exit-codes.md", codes),
        ("docs/environment.md", names),
    ] {
        let text = std::fs::read_to_string(root().join(file)).unwrap();
        assert!(
            text.contains(&table),
            "{file} has to hold this table:\n{table}"
        );
    }
    let schema = std::fs::read_to_string(root().join("docs/secrets.schema.json")).unwrap();
    let published: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(
        published,
        secrets::manifest::schema(),
        "docs/secrets.schema.json: secrets schema > docs/secrets.schema.json"
    );
}

#[test]
fn every_verb_has_help_that_says_what_it_does() {
    for verb in secrets::cli::Cli::command().get_subcommands() {
        let about = verb
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(about.len() > 10, "{}", verb.get_name());
        let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
        assert!(
            readme.contains(&format!("`{}", verb.get_name())),
            "the README does not name `{}`",
            verb.get_name()
        );
    }
}

#[test]
fn completions_manual_and_schema_are_generated() {
    let sandbox = crate::support::Sandbox::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            sandbox
                .secrets(&format!("completions {shell}"))
                .succeeds()
                .text()
                .contains("rollback")
        );
    }
    let page = sandbox.secrets("man").succeeds().text();
    assert!(page.contains("SECRETS_IDENTITY_FILE") && page.contains("EXIT STATUS"));
    sandbox.secrets("man -o man").succeeds();
    assert!(sandbox.path("man/secrets-exec.1").exists());
    assert_eq!(
        sandbox.secrets("schema").succeeds().json()["title"],
        "Manifest"
    );
}
