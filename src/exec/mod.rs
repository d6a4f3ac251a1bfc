//! The child's environment, and becoming the child.
//!
//! Nothing here starts a process beside ours: `exec` replaces it, so that the pid, the signals and
//! the exit status are the child's own.

pub mod environment;
pub mod hijack;
