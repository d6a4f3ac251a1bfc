//! Azure Key Vault: each secret is one of the vault's, with its versions.
//!
//! `azure:VAULT[/PREFIX]` takes a whole vault, or what starts with `PREFIX--`. What a vault cannot do is
//! said: it guards no write, and forgets no single version. The official SDK speaks to it, on our own
//! client (`transport`) and without its retries. It must never send a token to another server than
//! the vault, probe for identities while one is configured, or send a write again whose answer was
//! lost.
//!
//! Options: `cloud=public|china|usgov`, `content-type=TEXT`, `tags=NAME:VALUE,…`. Login (`auth`):
//! `method = "environment" | "client-secret" | "workload-identity" | "managed-identity" | "cli"`; with
//! none, what the AZURE_… variables name, else the Azure CLI, else the machine's identity. With
//! `cache = "keyring"` a token is kept between runs.

mod change;
mod cli;
mod entra;
mod failure;
mod inspect;
mod keep;
mod login;
mod managed;
mod method;
mod names;
mod place;
mod policy;
mod session;
mod store;
mod transport;

use std::sync::Arc;

use secrets_api::{Opening, Provider, Result};

/// The word before the colon.
pub const SCHEME: &str = "azure";

/// Opens `azure:VAULT[/PREFIX]`. No I/O: the client is made by the first call.
///
/// # Errors
/// `InvalidConfig` for what names no vault, an option or a login that is not known; `Untrusted` for an
/// address that is not HTTPS; `Unauthenticated` where the variables that are to name a login do not.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    store::open(opening)
}
