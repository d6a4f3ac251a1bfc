//! Where a token is kept by the servers' own command lines: a variable, a token helper, or a file in
//! the home folder.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use secrets_api::{Error, ErrorKind, Opening, Result, SecretValue, Zeroizing};

use crate::transport::variable;

/// Most bytes that a helper prints.
const MOST_PRINTED: usize = 16 * 1024;

/// The places, looked at when a token is first needed.
pub(crate) struct Kept {
    variable: Option<SecretValue>,
    home: std::path::PathBuf,
    config: std::path::PathBuf,
}

impl Kept {
    /// Reads no file yet.
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        let token = variable(opening, "TOKEN").map(|(_, text)| text.trim());
        let home = &opening.dirs.home;
        let config = opening.variable("VAULT_CONFIG_PATH");
        Self {
            variable: token.map(|text| SecretValue::from_slice(text.as_bytes())),
            home: home.clone(),
            config: config.map_or_else(|| home.join(".vault"), Into::into),
        }
    }

    /// The token: of `BAO_TOKEN` or `VAULT_TOKEN`, of the token helper that `~/.vault` names
    /// (<https://developer.hashicorp.com/vault/docs/commands/token-helper>), or of `~/.vault-token`.
    /// Blocks while a helper runs, no longer than `until`.
    ///
    /// # Errors
    /// `Unauthenticated` where there is none.
    pub(crate) fn find(&self, until: Instant) -> Result<SecretValue> {
        if let Some(token) = &self.variable {
            return Ok(token.duplicate());
        }
        let found = match helper(&self.config)? {
            Some(helper) => ask(&helper, until)?,
            None => of_file(&self.home.join(".vault-token"))?,
        };
        found.ok_or_else(|| {
            Error::new(ErrorKind::Unauthenticated, "nobody is logged in: there is no token")
                .with_hint("`vault login` or `bao login`, set VAULT_TOKEN, or give the store an `auth` in secrets.toml")
        })
    }
}

fn of_file(path: &Path) -> Result<Option<SecretValue>> {
    match std::fs::read(path).map(Zeroizing::new) {
        Ok(bytes) => Ok(trimmed(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::new(
            ErrorKind::Unauthenticated,
            format!("{} cannot be read: {}", path.display(), error.kind()),
        )),
    }
}

fn trimmed(bytes: &[u8]) -> Option<SecretValue> {
    let token = bytes.trim_ascii();
    (!token.is_empty()).then(|| SecretValue::from_slice(token))
}

/// The program that `token_helper = "PATH"` names in the command line's own configuration.
fn helper(config: &Path) -> Result<Option<String>> {
    let Ok(text) = std::fs::read_to_string(config) else {
        return Ok(None);
    };
    let line = text.lines().map(str::trim).find_map(|line| {
        let rest = line.strip_prefix("token_helper")?.trim_start();
        rest.strip_prefix('=').map(str::trim)
    });
    let Some(quoted) = line else {
        return Ok(None);
    };
    let path = quoted
        .strip_prefix('"')
        .and_then(|rest| rest.split('"').next());
    match path {
        Some(path) if Path::new(path).is_absolute() => Ok(Some(path.to_owned())),
        _ => Err(Error::new(
            ErrorKind::InvalidConfig,
            format!(
                "token_helper in {} names no absolute path",
                config.display()
            ),
        )),
    }
}

/// Runs `HELPER get`.
fn ask(helper: &str, until: Instant) -> Result<Option<SecretValue>> {
    let failed = |what: String| {
        Error::new(
            ErrorKind::Unauthenticated,
            format!("the token helper {helper} {what}"),
        )
    };
    let child = Command::new(helper)
        .arg("get")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn();
    let mut child = child.map_err(|e| failed(format!("cannot be run: {}", e.kind())))?;
    // A token is shorter than what a pipe holds: the helper ends before it is read.
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(5)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed("does not come to an end".to_owned()));
            }
        }
    };
    let mut printed = Zeroizing::new(Vec::with_capacity(MOST_PRINTED));
    if let Some(stdout) = child.stdout.take() {
        let most = u64::try_from(MOST_PRINTED).unwrap_or(u64::MAX);
        let read = stdout.take(most).read_to_end(&mut printed);
        read.map_err(|e| failed(format!("cannot be read: {}", e.kind())))?;
    }
    if !status.success() {
        return Err(failed("failed".to_owned()));
    }
    Ok(trimmed(&printed))
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}
