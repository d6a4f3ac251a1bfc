//! The manifest, `secrets.toml`: names, kinds, environments and stores, never a value. It comes
//! from a repository and is untrusted input: what in it needs a person's word is in [`trust`].

mod edit;
mod find;
mod model;
mod parse;
pub mod trust;

pub use edit::{Editor, initial};
pub use find::{FILE_NAME, Found, find, owned_by_us};
pub use model::{
    Auth, Encoding, Environment, Manifest, Project, Required, Rotate, Secret, Store, schema,
};
pub use parse::{check_environment, duration, is_label, parse};
