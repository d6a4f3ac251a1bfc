//! A fake service for `scripts/bench`: `fake azure` or `fake gcp`. Prints one line of JSON: where it
//! listens, its address, and the variables and login that a store needs to be opened on it. Ends with its
//! standard input.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::io::Read as _;

use secrets_testkit::fakes::azure::{Azure, CLIENT, CLIENT_SECRET, TENANT};
use secrets_testkit::fakes::gcp::Gcp;
use serde_json::json;

fn main() {
    let mut rest = Vec::new();
    match std::env::args().nth(1).as_deref() {
        Some("azure") => {
            let fake = Azure::start();
            let folder = tempfile::tempdir().unwrap();
            let ca = folder.path().join("ca.pem");
            std::fs::write(&ca, fake.pem()).unwrap();
            let told = json!({
                "listens": format!("127.0.0.1:{}", fake.vault.port()),
                "address": fake.vault.url(),
                "variables": {
                    "SSL_CERT_FILE": ca,
                    "AZURE_AUTHORITY_HOST": fake.login.url(),
                    "AZURE_TENANT_ID": TENANT,
                    "AZURE_CLIENT_ID": CLIENT,
                    "AZURE_CLIENT_SECRET": CLIENT_SECRET,
                },
            });
            println!("{told}");
            let _ = std::io::stdin().read_to_end(&mut rest);
        }
        Some("gcp") => {
            let fake = Gcp::plain();
            let url = fake.server().url();
            let told = json!({
                "listens": url.trim_start_matches("http://"),
                "address": url,
                "method": "anonymous",
                "variables": {},
            });
            println!("{told}");
            let _ = std::io::stdin().read_to_end(&mut rest);
        }
        _ => std::process::exit(2),
    }
}
