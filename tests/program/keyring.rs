//! The OS keyring as the identity's place, with a real gnome-keyring: one that is locked, missing
//! or without a bus is an error of its own, never "there is no identity", and makes no second one.

use crate::support::{Done, SECRETS, Sandbox};

/// Runs `secrets` with these arguments beside a keyring in the given state.
fn beside(sandbox: &Sandbox, state: &[&str], arguments: &[&str]) -> Done {
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers/keyring");
    // The server has a home of its own; the program keeps the sandbox's.
    let home = sandbox.home();
    let home = format!("HOME={}", home.display());
    let words =
        state
            .iter()
            .copied()
            .chain(["env", &home, "XDG_CONFIG_HOME=", "XDG_STATE_HOME=", SECRETS]);
    sandbox
        .command(server, words.chain(arguments.iter().copied()))
        .done()
}

/// Whether an identity was made, in a file or by the marker of one in the keyring.
fn identity_was_made(sandbox: &Sandbox) -> bool {
    sandbox.files().iter().any(|(path, _)| {
        path.file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("identity"))
    })
}

#[test]
fn a_keyring_that_cannot_be_asked_never_leads_to_an_identity() {
    let mut messages = std::collections::BTreeSet::new();
    for state in ["--locked", "--no-provider", "--no-bus"] {
        let sandbox = Sandbox::new();
        let done = beside(&sandbox, &[state], &["identity", "new", "--keyring"]);
        assert!(
            matches!(done.status, 4 | 6),
            "{state}: {} {}",
            done.status,
            done.err
        );
        assert!(done.err.contains("hint:"), "{state}: {}", done.err);
        assert!(!identity_was_made(&sandbox), "{state}");
        messages.insert(done.err);
    }
    assert_eq!(messages.len(), 3, "{messages:#?}");
}

#[test]
fn a_locked_keyring_stops_init_and_identity_new_before_anything_is_made() {
    for arguments in [
        &["identity", "new"][..],
        &["init", "--no-recovery", "--yes"],
    ] {
        let sandbox = Sandbox::new();
        let done = beside(&sandbox, &["--locked"], arguments);
        assert_eq!(done.status, 4, "{}", done.err);
        assert!(!identity_was_made(&sandbox), "{arguments:?}");
    }
}

#[test]
fn an_identity_in_the_keyring_opens_the_store() {
    let sandbox = Sandbox::new();
    let script = format!(
        "set -e; {SECRETS} identity new --keyring >/dev/null; {SECRETS} init --no-recovery; \
         printf kept | {SECRETS} set A; {SECRETS} get A; secret-tool lookup service secrets username identity | cut -c1-16"
    );
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers/keyring");
    let done = sandbox.command(server, ["sh", "-c", &script]).done();
    assert_eq!(done.status, 0, "{}", done.err);
    assert_eq!(done.text(), "kept\nAGE-SECRET-KEY-1\n", "{}", done.err);
}
