//! The conformance suite every provider passes, with the faulty wrappers that prove it can fail.
//!
//! A provider's test gives the suite a [`Fixture`] and calls [`conformance`]: every capability that
//! is declared is exercised, and every one that is denied is shown to be refused. The suite knows
//! no provider, and trusts none: what it asserts it reads back through a second handle. It never
//! puts a value into a failure's text.

pub mod bend;
pub mod canary;
mod checks;
pub mod fakes;
pub mod faulty;
mod fixture;
pub mod opening;
pub mod servers;
mod stage;
mod suite;
pub mod web;
pub mod wrappers;

pub use fixture::{Fixture, Place, seed_through};
pub use suite::{CANARY_CHECK, Failure, check_names, conformance, failures};

/// Runs `future` to its end on a current-thread runtime of its own, with time enabled: what the
/// program itself runs on.
///
/// # Panics
/// If the operating system gives no runtime.
pub fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a current-thread runtime starts")
        .block_on(future)
}
