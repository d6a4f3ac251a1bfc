//! HashiCorp Vault and OpenBao: `vault:MOUNT/PATH`, key-value secrets of version 2 (the default) and 1,
//! and `vault-dynamic:MOUNT/creds/ROLE`, credentials that are issued for a time.
//!
//! By default all secrets of an environment are one document at one path: one request reads them
//! all, and a change is one compare-and-set write in which sibling fields stay as they are.
//! `?layout=each` keeps one secret a path, in the field `value`.
//!
//! A token goes only to `VAULT_ADDR` (`BAO_ADDR`) or to an address of the manifest that a person has
//! trusted; redirects are followed to those alone. It must never retry: the program's layers do.

mod answer;
mod document;
mod dynamic;
mod each;
mod inspect;
mod kv;
mod login;
mod place;
mod policy;
mod requests;
mod session;
mod token;
mod transport;

use std::sync::Arc;

use secrets_api::{Opening, Provider, Result};

use kv::Kv;
use place::{Layout, Place};
use session::Session;

/// The word before the colon.
pub const SCHEME: &str = "vault";

/// The word before the colon for credentials that are issued for a time.
pub const DYNAMIC_SCHEME: &str = "vault-dynamic";

/// Opens `vault:MOUNT/PATH[?kv=1|2&layout=document|each&mount=&namespace=]`; no I/O.
///
/// # Errors
/// `InvalidConfig` for an address, option, variable or login that makes no sense, and for
/// `VAULT_SKIP_VERIFY`; `Untrusted` for plain HTTP to another machine.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let at = |error: secrets_api::Error| error.at_store(opening.uri);
    let place = Place::parse(opening.uri).map_err(at)?;
    let session = Session::new(opening, place.namespace.as_deref()).map_err(at)?;
    let layout = place.layout;
    let kv = Kv::new(opening.uri.to_string(), place, session);
    Ok(match layout {
        Layout::Document => Arc::new(document::Document::new(kv, opening.machine_key.clone())),
        Layout::Each => Arc::new(each::Each::new(kv, opening.machine_key.clone())),
    })
}

/// Opens `vault-dynamic:MOUNT/creds/ROLE[?NAME=username&NAME=password…]`: which name gets which field
/// of what is issued; without any, `username` and `password` are `USERNAME` and `PASSWORD`.
/// No I/O.
///
/// # Errors
/// As [`open`].
pub fn open_dynamic(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let at = |error: secrets_api::Error| error.at_store(opening.uri);
    let role = dynamic::Role::parse(opening.uri).map_err(at)?;
    let session = Session::new(opening, opening.uri.option("namespace")).map_err(at)?;
    let location = opening.uri.to_string();
    Ok(Arc::new(dynamic::Dynamic::new(location, role, session)))
}
