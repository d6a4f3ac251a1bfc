//! Fakes of services that cannot be installed: their documented interface over HTTP, each rule with the
//! document it comes from. They are called fakes wherever they are used.

pub mod azure;
pub mod gcp;
