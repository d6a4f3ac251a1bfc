//! What differs by operating system: replacing files whole, shutting the process against
//! inspection, becoming another program, and a private file in memory.
//!
//! It must never follow a path it was not given, leave a value outside the target's folder, or
//! report as done what was not synced.

mod contents;
pub mod files;
mod folder;
mod inherited;
pub mod process;
pub mod scratch;
pub mod signals;
pub mod terminal;
