//! The terminal's own state, to be given back as it was.

use std::io::IsTerminal as _;

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::signals::{self, Guard};

/// As long as it lives, a signal that ends the process leaves the terminal as it is now: a prompt
/// that hides what is typed must not leave a shell that does.
///
/// # Errors
/// If signals cannot be waited for.
pub fn keep() -> std::io::Result<Guard> {
    let stdin = std::io::stdin();
    let state = stdin
        .is_terminal()
        .then(|| tcgetattr(&stdin).ok())
        .flatten();
    signals::before_end(move || {
        if let Some(state) = &state {
            let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, state);
        }
    })
}
