//! The program's layers over stores on a network: real servers that die, and connections that end at
//! the wrong moment.
#![allow(clippy::unwrap_used)]

mod cluster;
mod dead;
mod exec;
mod garbled;
mod losses;
mod parts;
mod recipes;
#[path = "../program/support.rs"]
#[allow(dead_code, unreachable_pub)]
mod sandbox;
mod support;
mod verbs;
