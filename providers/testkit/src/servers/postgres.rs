//! A real PostgreSQL, Debian's: what issues credentials that somebody checks.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Admin, free_port, until};

/// Who may do all there.
const OWNER: &str = "owner";
/// And the password for it.
const PASSWORD: &str = "password-of-the-tests";

/// A running server.
#[derive(Debug)]
pub struct Postgres {
    programs: PathBuf,
    port: u16,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Postgres {
    /// Makes a database and starts its server.
    ///
    /// # Panics
    /// If PostgreSQL is not installed (Debian: `postgresql-15`) or does not start.
    pub fn start() -> Self {
        let programs = programs();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let user = user(folder.path());
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).expect("the folder is ours");
        if let Some((uid, gid)) = user {
            for path in [folder.path(), &password] {
                chown(path, Some(uid), Some(gid)).expect("root gives files away");
            }
        }
        let run = |program: &str| {
            let mut command = as_user(&programs.join(program), user);
            command.current_dir(folder.path()).stdin(Stdio::null());
            command.stdout(Stdio::null());
            command
        };
        let mut initdb = run("initdb");
        initdb
            .args([
                "-A",
                "scram-sha-256",
                "-U",
                OWNER,
                "--no-sync",
                "--no-locale",
                "-E",
                "UTF8",
            ])
            .arg("--pwfile")
            .arg(&password)
            .arg("-D")
            .arg(&data);
        let made = initdb.status().expect("initdb can be run");
        assert!(made.success(), "initdb makes a database");
        // Another process may take the port between our look and the server's: then another one.
        for _ in 0..5 {
            let port = free_port();
            let log = std::fs::File::create(folder.path().join("log")).expect("the folder is ours");
            let mut process = run("postgres")
                .arg("-D")
                .arg(&data)
                .args(["-p", &port.to_string()])
                .args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"])
                .arg("-c")
                .arg(format!(
                    "unix_socket_directories={}",
                    folder.path().display()
                ))
                .stderr(log)
                .spawn()
                .expect("PostgreSQL can be run");
            let mut is_up = false;
            until("PostgreSQL answers", || {
                is_up = logs_in(&programs, port, OWNER, PASSWORD);
                is_up || process.try_wait().is_ok_and(|ended| ended.is_some())
            });
            if is_up {
                return Self {
                    programs,
                    port,
                    process,
                    _folder: folder,
                };
            }
        }
        panic!("PostgreSQL does not start");
    }

    /// Where it is: `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The name of whoever may do all there, and the password.
    pub fn owner(&self) -> (&'static str, &'static str) {
        (OWNER, PASSWORD)
    }

    /// Has OpenBao's database engine issue roles of this database, at `database/creds/shop`, for a
    /// minute each.
    ///
    /// # Panics
    /// If it does not take that.
    pub fn issue_by(&self, admin: &Admin) {
        admin.ok(
            "POST",
            "sys/mounts/database",
            &json!({ "type": "database" }),
        );
        let (owner, password) = self.owner();
        let connection = json!({
            "plugin_name": "postgresql-database-plugin", "allowed_roles": "*",
            "connection_url": format!(
                "postgresql://{{{{username}}}}:{{{{password}}}}@{}/postgres?sslmode=disable",
                self.address(),
            ),
            "username": owner, "password": password, "password_authentication": "scram-sha-256",
        });
        admin.ok("POST", "database/config/main", &connection);
        let role = json!({
            "db_name": "main", "default_ttl": "1m", "max_ttl": "1h",
            "creation_statements":
                "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'",
        });
        admin.ok("POST", "database/roles/shop", &role);
    }

    /// Whether this user can log in by this password.
    ///
    /// # Panics
    /// If `psql` cannot be run.
    pub fn logs_in(&self, user: &str, password: &str) -> bool {
        logs_in(&self.programs, self.port, user, password)
    }
}

impl Drop for Postgres {
    /// Quits it by its own signal: killed outright it would leave shared memory behind.
    fn drop(&mut self) {
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args(["-QUIT", &id]).status();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(5) {
            if self.process.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The folder of the server's programs: the newest that Debian has installed, or `SECRETS_TEST_POSTGRES`.
fn programs() -> PathBuf {
    if let Some(folder) = std::env::var_os("SECRETS_TEST_POSTGRES") {
        return folder.into();
    }
    let installed = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let folders = installed.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders
        .filter(|folder| folder.join("initdb").exists())
        .max()
        .unwrap_or_else(|| {
            panic!("PostgreSQL is not installed: `apt-get install postgresql-15`, or SECRETS_TEST_POSTGRES=FOLDER")
        })
}

/// Whom it runs as: it refuses to be root's. `None`: as ourselves.
fn user(ours: &Path) -> Option<(u32, u32)> {
    if std::fs::metadata(ours).expect("the folder is ours").uid() != 0 {
        return None;
    }
    let id = |which: &str| {
        let output = Command::new("id").args([which, "postgres"]).output();
        let output = output.expect("`id` can be run");
        let text = String::from_utf8_lossy(&output.stdout);
        let id = text.trim().parse();
        id.expect("Debian's package has made the user postgres")
    };
    Some((id("-u"), id("-g")))
}

fn as_user(program: &Path, user: Option<(u32, u32)>) -> Command {
    let mut command = match user {
        None => Command::new(program),
        Some((uid, gid)) => {
            let mut command = Command::new("setpriv");
            command
                .arg(format!("--reuid={uid}"))
                .arg(format!("--regid={gid}"))
                .args(["--clear-groups", "--"])
                .arg(program);
            command
        }
    };
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C");
    command
}

fn logs_in(programs: &Path, port: u16, user: &str, password: &str) -> bool {
    let mut psql = Command::new(programs.join("psql"));
    psql.env_clear().env("PGPASSWORD", password);
    psql.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", user])
        .args(["-d", "postgres", "-w", "-tAc", "select 1"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    psql.status().expect("psql can be run").success()
}
