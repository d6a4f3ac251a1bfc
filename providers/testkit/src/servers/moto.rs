//! moto, which stands for AWS: a server of its own, with what it gets wrong (see the tests of
//! `providers/aws`).

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use super::{PATIENCE, Running};
use crate::opening::TestOpening;

/// Ends when its standard input does, so that it outlives no test. moto has no locks: a thread keeps
/// the interpreter until it waits, so that each call is one step, as in the service.
const LAUNCHER: &str = "
import sys, threading, os
threading.Thread(target=lambda: (sys.stdin.buffer.read(), os._exit(0)), daemon=True).start()
sys.setswitchinterval(60)
from moto.server import main
main(['-H', '127.0.0.1', '-p', '0'])
";

/// A running moto.
#[derive(Debug)]
pub struct Moto {
    address: String,
    log: Arc<Mutex<Vec<u8>>>,
    _process: Running,
}

impl Moto {
    /// Starts one.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub fn start() -> Self {
        let python = python();
        let spawned = Command::new(&python)
            .args(["-c", LAUNCHER])
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut process = Running(
            spawned.unwrap_or_else(|error| panic!("{} cannot be run: {error}", python.display())),
        );
        let stderr = BufReader::new(process.0.stderr.take().expect("it is piped"));
        let log: Arc<Mutex<Vec<u8>>> = Arc::default();
        let (found, address) = mpsc::channel();
        let kept = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                let text = String::from_utf8_lossy(&line);
                // It listens before it says so.
                if let Some((_, address)) = text.split_once("Running on http://") {
                    let _ = found.send(address.trim().to_owned());
                }
                let mut log = kept.lock().unwrap_or_else(PoisonError::into_inner);
                log.extend_from_slice(&line);
                log.push(b'\n');
            }
        });
        let started = address.recv_timeout(PATIENCE);
        let told = || {
            String::from_utf8_lossy(&log.lock().unwrap_or_else(PoisonError::into_inner))
                .into_owned()
        };
        let address = started.unwrap_or_else(|_| {
            panic!(
                "moto does not start, by {}: run `scripts/test --tools-only`\n{}",
                python.display(),
                told()
            )
        });
        Self {
            address,
            log,
            _process: process,
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has logged so far.
    pub fn log(&self) -> Vec<u8> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// What to open a store with that speaks to it, or to what stands before it at `address`.
    pub fn opening_at(address: &str) -> TestOpening {
        TestOpening::new()
            .with_addresses([address])
            .with_variables([
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
                (
                    "AWS_SECRET_ACCESS_KEY",
                    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                ),
            ])
    }
}

/// The Python that has moto.
fn python() -> PathBuf {
    std::env::var_os("SECRETS_TEST_PYTHON").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/tools/python/bin/python"),
        PathBuf::from,
    )
}
