//! What is to be done before a signal ends the process: a file wiped, a terminal restored.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

/// As long as it lives, what was given to [`before_end`] is done before a signal ends the process.
#[derive(Debug)]
pub struct Guard {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    armed: AtomicBool,
    /// Another program has the terminal: what is typed there is not for us.
    lent: AtomicBool,
}

/// Does `last` when a signal that ends a process arrives (HUP, INT, QUIT, TERM), then lets it end
/// us as it would have. Runs on a thread of its own, which stays: one call a run.
///
/// # Errors
/// If signals cannot be waited for.
pub fn before_end(last: impl Fn() + Send + 'static) -> std::io::Result<Guard> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    let state = Arc::new(State {
        armed: AtomicBool::new(true),
        lent: AtomicBool::new(false),
    });
    let seen = Arc::clone(&state);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let typed = matches!(signal, SIGINT | SIGQUIT);
                if typed && seen.lent.load(Ordering::SeqCst) {
                    continue;
                }
                if seen.armed.load(Ordering::SeqCst) {
                    last();
                }
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })?;
    Ok(Guard { state })
}

impl Guard {
    /// Runs `other` while the terminal is its own: an interrupt or quit typed there does not end us,
    /// as it does not end git while an editor runs.
    pub fn lend_terminal<T>(&self, other: impl FnOnce() -> T) -> T {
        self.state.lent.store(true, Ordering::SeqCst);
        let answer = other();
        self.state.lent.store(false, Ordering::SeqCst);
        answer
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.state.armed.store(false, Ordering::SeqCst);
    }
}
