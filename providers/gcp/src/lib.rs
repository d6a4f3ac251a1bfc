//! Google Secret Manager, through Google's own client library, by its REST interface (v1).
//!
//! `gcp:PROJECT[/PREFIX][?location=LOCATION&labels=KEY:VALUE,…&replication=automatic|LOCATION+LOCATION]`
//!
//! A secret `NAME` is the secret of that id, or `PREFIX-NAME`; its value is the newest version of it.
//! Everything is read from and written to the service itself: nothing is kept here.
//!
//! What the service does not have, this provider does not claim:
//!
//! - **No guard.** Adding a version takes no etag, so a change can be made on no condition
//!   (<https://cloud.google.com/secret-manager/docs/etags>). Creating a secret is exclusive, but a secret
//!   that was created has no value yet: whoever comes between creating and adding is overwritten, and one
//!   that another tool has created empty could never be filled. So not even "only if new" is promised.
//! - **No empty value.** The service refuses one; so does this provider, before it asks.
//! - **No immediate consistency of `latest`** for others: what was written is seen by them "typically within
//!   minutes" (<https://cloud.google.com/secret-manager/docs/reference/consistency>). A store reads its own
//!   writes.
//!
//! Removing a secret must keep its history, must not take its access policy along, and must be seen by
//! others who read `latest`. Deleting it does none of the first two. So a removal adds one more version,
//! with the value that is there, and disables it: `latest` has no value from then on, the versions before
//! are as they were, and restoring is to enable it. A mark among the secret's annotations tells a list
//! which secrets may be removed, so that it asks after those alone. To be rid of a secret for good:
//! `gcloud secrets delete`.
//!
//! The client library is told not to retry (the program's layers do), not to follow redirects, and is
//! bounded in time. It takes its certificates from the system or from `SSL_CERT_FILE` of the process, has
//! no time limit for connecting of its own, and holds values in buffers that it does not wipe.
//!
//! It takes the process's proxies too. What it would say to one in plain text is refused, and the entry of
//! NO_PROXY named that mends it. One thing cannot be told to it: what asks for a token (at `token_uri`, at the
//! metadata server) follows redirects. Over TLS only Google could send us elsewhere so; the metadata server
//! speaks plain HTTP, and whoever answers in its place could, as they could give a false token. No request to
//! Secret Manager, which is where values go, is ever redirected.
//!
//! Nothing here may print, retry, or let a value or a token into an error.

mod failure;
mod inspect;
mod known;
mod login;
mod payload;
mod place;
mod proxy;
mod session;
mod store;
mod write;

use std::sync::Arc;

use secrets_api::{Opening, Provider, Result};

/// The word before the colon.
pub const SCHEME: &str = "gcp";

/// Opens a project's secrets. No I/O: the first call logs in.
///
/// # Errors
/// `InvalidConfig` for an address, an option or a way to log in that makes no sense; `Untrusted` for plain
/// HTTP to another machine or through a proxy.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let store = store::Store::new(opening).map_err(|error| error.at_store(opening.uri))?;
    Ok(Arc::new(store))
}
