//! What every provider that speaks over a network shares: which addresses may be spoken to, the TLS
//! client, documents of several secrets in one value, their versions, and many calls at once.
//!
//! It knows no service. It must never retry (the program's layers do), follow a redirect, or let a
//! value into an error.

pub mod address;
pub mod client;
pub mod document;
mod failure;
mod fields;
mod marks;
mod spread;

pub use address::Address;
pub use document::Document;
pub use failure::{Sent, body, failed};
pub use marks::Marks;
pub use spread::{Spread, spread};
