//! Sync from end to end, without the command line: the engine between two stores, killed and cut off at
//! every step, and with others who write meanwhile.
#![allow(clippy::unwrap_used)]

mod crowd;
mod dice;
mod emptied;
mod ends;
mod fanout;
mod faults;
mod follow;
mod keeping;
#[path = "../../providers/keyring/tests/support/mod.rs"]
mod keyring_session;
mod killed;
mod kinds;
mod owners;
mod pairs;
mod putback;
#[path = "../program/support.rs"]
#[allow(dead_code, unreachable_pub)]
mod sandbox;
mod schedule;
mod several;
mod shapes;
mod simulate;
mod support;
mod truth;
mod unguarded;
