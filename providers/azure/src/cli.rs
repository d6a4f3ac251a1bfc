//! The Azure CLI as the SDK runs it, in the environment the store was opened with, and who is logged in
//! to it. What it prints goes into no message: it may be a token.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use azure_identity::Executor;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrets_api::{Error, ErrorKind, Opening, async_trait};
use sha2::{Digest as _, Sha256};

use crate::failure::number;

/// Runs `az`.
pub(crate) struct Az {
    variables: Vec<(OsString, OsString)>,
}

impl Az {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        Self {
            variables: opening.variables.to_vec(),
        }
    }

    fn path(&self) -> Option<&OsStr> {
        let found = self.variables.iter().find(|(name, _)| name == "PATH");
        found.map(|(_, value)| value.as_os_str())
    }

    /// Whether there is an `az` on the `PATH`.
    pub(crate) fn is_installed(&self) -> bool {
        let folders = self.path().map(std::env::split_paths);
        folders
            .into_iter()
            .flatten()
            .filter(|folder| folder.is_absolute())
            .any(|folder| is_command(&folder.join("az")))
    }
}

#[cfg(unix)]
fn is_command(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_command(path: &Path) -> bool {
    path.with_extension("cmd").is_file()
}

/// Who is logged in to the CLI: the accounts in its own folder, of which it takes the default one.
/// <https://learn.microsoft.com/cli/azure/azure-cli-configuration#cli-configuration-file>
pub(crate) struct Profile {
    folder: PathBuf,
}

impl Profile {
    pub(crate) fn new(opening: &Opening<'_>) -> Self {
        let variables = opening.variables.iter();
        let named = variables
            .filter(|(name, value)| name == "AZURE_CONFIG_DIR" && !value.is_empty())
            .map(|(_, value)| PathBuf::from(value))
            .next();
        Self {
            folder: named.unwrap_or_else(|| opening.dirs.home.join(".azure")),
        }
    }

    /// A name for who is logged in now, another after each `az login` as someone else; `None` where
    /// it cannot be told.
    pub(crate) fn mark(&self) -> Option<String> {
        // From where the CLI would take a relative one is not for us to guess.
        if !self.folder.is_absolute() {
            return None;
        }
        let profile = std::fs::read(self.folder.join("azureProfile.json")).ok()?;
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&profile));
        Some(format!("{:?} {digest}", self.folder))
    }
}

#[async_trait]
impl Executor for Az {
    async fn run(&self, program: &OsStr, args: &[&OsStr]) -> io::Result<Output> {
        // Killed where the caller no longer waits: it would go on to ask for a token.
        let output = tokio::process::Command::new(program)
            .args(args)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        if output.status.success() {
            return Ok(output);
        }
        Err(io::Error::other(refused(
            output.status.code(),
            &output.stderr,
        )))
    }
}

/// Why `az` gave no token, by the signs in what it said.
fn refused(status: Option<i32>, said: &[u8]) -> Error {
    let said = String::from_utf8_lossy(said);
    let unauthenticated = |message: String, hint: &str| {
        Error::new(ErrorKind::Unauthenticated, message).with_hint(hint)
    };
    if status == Some(127) {
        return unauthenticated(
            "the Azure CLI is not installed".to_owned(),
            "install `az` and type `az login`, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
        );
    }
    let told = number(&said, "AADSTS").map_or_else(String::new, |number| format!(" ({number})"));
    if said.contains("az login") {
        return unauthenticated(
            format!("nobody is logged in to the Azure CLI, or the login has expired{told}"),
            "az login",
        );
    }
    unauthenticated(
        format!("the Azure CLI gives no token{told}"),
        "see what it says: az account get-access-token --scope https://vault.azure.net/.default --query expiresOn",
    )
}

impl std::fmt::Debug for Az {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Az")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_and_its_text_is_not_repeated() {
        for (status, said, message) in [
            (127, "sh: az: not found canary", "not installed"),
            (1, "ERROR: Please run 'az login' canary", "logged in"),
            (1, "AADSTS70043: canary. Run az login", "AADSTS70043"),
            (1, "canary", "no token"),
        ] {
            let error = refused(Some(status), said.as_bytes());
            assert!(error.message().contains(message), "{said}");
            assert!(error.hint().is_some());
            assert!(!format!("{error:?}").contains("canary"));
        }
    }
}
