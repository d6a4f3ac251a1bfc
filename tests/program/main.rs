//! Whole-program tests, one module a subject. They run the built program in a hermetic folder:
//! see [`support`].
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod auto_push;
mod canary;
mod check;
mod django;
mod edges;
mod exec;
mod export_import;
mod formats;
mod generate;
mod git;
mod history;
mod house;
mod init;
mod keyring;
mod layers;
mod mirrors;
mod mistakes;
mod names;
mod set_get;
mod support;
mod sync;
mod team;
mod terminal;
mod trust;
mod words;
