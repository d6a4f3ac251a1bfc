//! Runs a test once more where a real keyring is, or where it is missing in one particular way.

use std::path::Path;
use std::process::{Command, Stdio};

/// Which test the second run is for.
const INNER: &str = "SECRETS_TEST_INNER";

/// What the script says of missing packages ends with this status.
const SCRIPT_FAILED: i32 = 125;

/// Runs `body` in a second run of this very test, `test` by its full name, under
/// `scripts/servers/keyring` with `options`; the test passes if that run does.
pub(crate) fn under_keyring(test: &str, options: &[&str], body: impl FnOnce()) {
    if std::env::var_os(INNER).is_some_and(|inner| inner == test) {
        return body();
    }
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut scripts = above.map(|folder| folder.join("scripts/servers/keyring"));
    let script = scripts.find(|path| path.exists()).unwrap();
    let output = Command::new(script)
        .args(options)
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INNER, test)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.code() == Some(SCRIPT_FAILED) && said.contains("please install") {
        assert!(
            std::env::var_os("SECRETS_TEST_ALLOW_MISSING").is_some_and(|allow| allow == "1"),
            "{said}\nor set SECRETS_TEST_ALLOW_MISSING=1 to go without"
        );
        return;
    }
    assert!(output.status.success(), "{said}");
    // A name that matches no test runs none, and passes.
    assert!(
        said.contains("1 passed"),
        "the second run ran no test:\n{said}"
    );
}
