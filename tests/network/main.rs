//! The program's layers over stores on a network: real servers that die, and connections that end at
//! the wrong moment.
#![allow(clippy::unwrap_used)]

mod cluster;
mod support;
