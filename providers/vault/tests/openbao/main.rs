//! The provider against a real OpenBao, with a relay before it that counts, delays and loses requests:
//! logins, trust, refusals, lost answers, what lies in the past, leases, and how many requests it takes.
#![allow(clippy::unwrap_used)]

mod jwt;
mod leases;
mod logins;
mod losses;
mod past;
mod places;
mod policies;
mod refusals;
mod requests;
mod stage;
mod tokens;
mod trust;
