//! What the house itself promises: no forgotten file, no printing elsewhere, one TLS stack, and
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

/// What a plan says follows from what it was given, and it cannot give away a value it never had.
#[test]
fn planning_does_no_io_asks_no_clock_and_sees_no_value() {
    let folder = root().join("src/plan");
    let proofs = folder.join("laws");
    let planning: Vec<_> = sources(&folder)
        .into_iter()
        .filter(|path| !path.starts_with(&proofs) && !path.ends_with("laws.rs"))
        .collect();
    assert!(planning.len() >= 3, "{planning:?}");
    for path in planning {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in [
            "async ",
            ".await",
            "tokio",
            "futures",
            "std::fs",
            "std::io",
            "std::net",
            "std::env",
            "std::process",
            "std::thread",
            "std::time",
            "Instant",
            "SystemTime",
            "now()",
            "rand::",
            "secrets_platform",
            "Provider",
            "SecretValue",
            "expose",
        ] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

/// What `cargo tree` tells of the program's own dependencies, on this platform.
fn dependencies() -> String {
    let output = std::process::Command::new(env!("CARGO"))
        .args([
            "tree",
            "--offline",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
        ])
        .args(["--format", "{p} {f}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// Promise 7: one TLS stack, so that one set of rules verifies every connection.
#[test]
fn there_is_one_tls_stack_and_one_http_client() {
    let tree = dependencies();
    let versions = |name: &str| {
        let lines = tree
            .lines()
            .filter_map(|line| line.strip_prefix(&format!("{name} v")));
        let versions: std::collections::BTreeSet<_> = lines
            .filter_map(|line| line.split_whitespace().next())
            .collect();
        versions.len()
    };
    for other in [
        "ring",
        "openssl",
        "openssl-sys",
        "native-tls",
        "boring",
        "curl",
        "ureq",
        "s2n-tls",
    ] {
        assert_eq!(
            versions(other),
            0,
            "{other} came in beside rustls with aws-lc-rs"
        );
    }
    for one in ["rustls", "aws-lc-rs", "reqwest", "hyper"] {
        assert_eq!(
            versions(one),
            1,
            "{one} is there in {} versions",
            versions(one)
        );
    }
}

/// Nothing turns verification off, anywhere.
#[test]
fn no_code_of_ours_turns_verification_off() {
    for path in all_sources()
        .into_iter()
        .filter(|path| !path.ends_with("house.rs"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        for off in [
            "accept_invalid_certs(true)",
            "accept_invalid_hostnames(true)",
            "dangerous()",
        ] {
            assert!(!text.contains(off), "{}: {off}", path.display());
        }
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
