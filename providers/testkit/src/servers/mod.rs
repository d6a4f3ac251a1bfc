//! Real servers for tests, each on a loopback port that was free, in a folder of its own, ended with
//! the test. One that is not installed is a failure, never a pass.

mod cluster;
mod moto;
mod openbao;
mod postgres;
mod relay;

pub use cluster::Cluster;
pub use moto::Moto;
pub use openbao::OpenBao;
pub use postgres::Postgres;
pub use relay::Relay;

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Child;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a server may take to be ready, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program under target/tools, where `scripts/test` installs them, or where `variable` says.
///
/// # Panics
/// If it is not there.
pub(crate) fn program(variable: &str, pattern: &[&str]) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let tools = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/tools");
    find(tools.into(), pattern).unwrap_or_else(|| {
        panic!(
            "{} is not installed: run `scripts/test --tools-only`",
            pattern.join("/")
        )
    })
}

/// The first path with these parts, where a part may end in `*`.
fn find(folder: PathBuf, pattern: &[&str]) -> Option<PathBuf> {
    let Some((part, rest)) = pattern.split_first() else {
        return folder.exists().then_some(folder);
    };
    let Some(start) = part.strip_suffix('*') else {
        return find(folder.join(part), rest);
    };
    let entries = std::fs::read_dir(&folder).ok()?.filter_map(Result::ok);
    let fitting = entries.filter(|e| e.file_name().to_string_lossy().starts_with(start));
    fitting.map(|e| e.path()).find_map(|path| find(path, rest))
}

/// A port that was free a moment ago.
///
/// # Panics
/// If the operating system gives none.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port on loopback");
    listener
        .local_addr()
        .expect("a bound socket has an address")
        .port()
}

/// Waits until it is so.
///
/// # Panics
/// If it is not, in a minute: with `what`.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A process that ends with its owner.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// How a test speaks to a server beside the code under test.
#[derive(Debug, Clone)]
pub struct Admin {
    address: String,
    token: String,
    ca: Option<String>,
}

impl Admin {
    /// A request; its status and what was answered (`null` where that is no JSON). Status 0: nobody
    /// answered.
    ///
    /// # Panics
    /// If no client can be made.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        self.send(method, path, body, None)
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        header: Option<(&'static str, &'static str)>,
    ) -> (u16, Value) {
        let certificates = self.ca.iter().map(|pem| {
            reqwest::Certificate::from_pem(pem.as_bytes()).expect("the authority's certificate")
        });
        let client = reqwest::Client::builder()
            .tls_certs_only(certificates)
            .timeout(Duration::from_secs(20))
            .no_proxy()
            .build()
            .expect("a client");
        let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = client.request(method, format!("{}/v1/{path}", self.address));
        if !self.token.is_empty() {
            request = request.header("x-vault-token", &self.token);
        }
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.body(body.to_string());
        }
        // From within a runtime no other may be entered.
        std::thread::scope(|scope| {
            let called = scope.spawn(|| {
                crate::block_on(async {
                    let Ok(answer) = request.send().await else {
                        return (0, Value::Null);
                    };
                    let status = answer.status().as_u16();
                    let body = answer.bytes().await.unwrap_or_default();
                    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
                })
            });
            called.join().expect("the request ends")
        })
    }

    /// A request that must succeed.
    ///
    /// # Panics
    /// If it does not.
    pub fn ok(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = (!body.is_null()).then_some(body);
        let (status, answer) = self.call(method, path, body);
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// A token under which what is answered lies wrapped, for one to open.
    ///
    /// # Panics
    /// If nothing is wrapped.
    pub fn wrapped(&self, path: &str, body: &Value) -> String {
        let header = Some(("x-vault-wrap-ttl", "60"));
        let (status, answer) = self.send("POST", path, Some(body), header);
        let token = answer["wrap_info"]["token"].as_str();
        token
            .unwrap_or_else(|| panic!("{path}: {status}, nothing is wrapped"))
            .to_owned()
    }

    /// The same server as somebody else.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Self {
        Self {
            token: token.to_owned(),
            ..self.clone()
        }
    }
}
