//! Secrets in AWS Secrets Manager.
//!
//! `aws:NAME` is one secret that holds a JSON object of texts, the common way (`layout=document`);
//! `aws:PREFIX?layout=each` is one secret for each name, `PREFIX/NAME`. Values that are no text are
//! held in the second as they are, in `SecretBinary`.
//!
//! | option | what |
//! |---|---|
//! | `region` | else the ARN's, `AWS_REGION`, `AWS_DEFAULT_REGION`, the profile's |
//! | `layout` | `document` (the default) or `each` |
//! | `profile` | of `~/.aws/config`; goes before keys in the environment |
//! | `role` | the ARN of a role to take on first |
//! | `kms-key-id`, `tags=KEY:VALUE,…` | given to what is created |
//! | `recovery-days` | 7 to 30: how long a deleted secret can be restored |
//!
//! The service has no conditional put, and a put without stages makes its value the present one
//! whatever is there. So nothing here ever puts without a stage: a new state is first put under a
//! private stage and then made the present one by moving `AWSCURRENT`, which the service does only
//! if it stands where we last saw it (`write.rs`). It must never retry (the program's layers do),
//! let a value or a token into an error, or ask for credentials that given ones make needless.
//!
//! | file | what |
//! |---|---|
//! | `place.rs` | what the address means |
//! | `login.rs`, `connection.rs` | credentials, region, endpoint; the client, built when first needed |
//! | `proxy.rs` | by which proxy TLS goes |
//! | `service.rs`, `refusal.rs` | the service's calls, and what its refusals mean |
//! | `states.rs` | how our versions are named, and which of a secret's versions were ever present |
//! | `write.rs` | the conditional write |
//! | `document.rs`, `each.rs` | the provider, one file a layout |
//! | `inspect.rs`, `policy.rs` | for `doctor` |

mod connection;
mod document;
mod each;
mod inspect;
mod login;
mod place;
mod policy;
mod proxy;
mod refusal;
mod service;
mod states;
mod write;

use std::sync::Arc;

use secrets_api::{Opening, Provider, Result};

use connection::Connection;
use place::{Layout, Place};

/// The word before the colon.
pub const SCHEME: &str = "aws";

/// The most bytes of one value (AWS Secrets Manager user guide, "Quotas": "Secret value size").
const VALUE_BYTES: usize = 65_536;

/// Requests under way at once for reads: their quota is 10,000 a second.
const READS: usize = 16;

/// Writes under way at once: puts and moves together have a quota of 50 a second, and a write is
/// three of them.
const WRITES: usize = 4;

/// Opens `aws:NAME-OR-PREFIX[?OPTION=VALUE…]`. No I/O.
///
/// # Errors
/// `InvalidConfig` for an address, option, region or endpoint that makes no sense; `Untrusted` for
/// an endpoint over plain HTTP on another machine.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let place = Place::parse(opening).map_err(|error| error.at_store(opening.uri))?;
    let connection =
        Connection::new(opening, &place).map_err(|error| error.at_store(&place.location))?;
    let key = opening.machine_key.clone();
    Ok(match place.layout {
        Layout::Document => Arc::new(document::Document::new(place, connection, key)),
        Layout::Each => Arc::new(each::Each::new(place, connection, key)),
    })
}
