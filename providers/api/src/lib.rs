//! What a provider is: one trait, the data that crosses it, and the errors it may answer with.
//!
//! This crate holds no runtime, no HTTP and does no I/O, so that a provider's author reads it in
//! one sitting and a plan can be computed from its types alone. It must never print, log, or give
//! a [`SecretValue`] any way out but [`SecretValue::expose`].

mod capability;
mod context;
mod data;
mod error;
mod name;
mod opening;
mod provider;
mod uri;
mod value;

pub use capability::{Capabilities, Guard, Limits, Unit, Values};
pub use context::{Ctx, OperationId};
pub use data::{
    Change, Cursor, Lease, Leased, Lookup, Meta, Op, Poll, Precondition, REFERS, REVISION, Report,
    Revision, Select, Snapshot, Stored, Version, Written,
};
pub use error::{Error, ErrorKind, Result};
pub use name::{InvalidName, Name};
pub use opening::{Auth, CredentialCache, CredentialSource, Dirs, Fetching, KeySource, Opening};
pub use provider::{Leasing, Provider, ProviderExt, Staging};
pub use uri::{InvalidUri, StoreUri};
pub use value::SecretValue;

pub use async_trait::async_trait;
pub use jiff::Timestamp;
pub use zeroize::Zeroizing;
