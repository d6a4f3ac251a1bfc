//! What is to be done before a signal ends the process: files wiped, a terminal restored.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;

type Action = Box<dyn Fn() + Send>;

/// Everything that is to be done, by number. One list and one thread a process: each signal has one
/// answer, whoever waits for it.
static ACTIONS: Mutex<Vec<(u64, Action)>> = Mutex::new(Vec::new());
static NEXT: AtomicU64 = AtomicU64::new(0);
/// How many programs have the terminal just now: what is typed there is not for us.
static LENT: AtomicUsize = AtomicUsize::new(0);
static STARTED: OnceLock<Result<(), std::io::ErrorKind>> = OnceLock::new();

/// As long as it lives, what was given to [`before_end`] is done before a signal ends the process.
#[derive(Debug)]
pub struct Guard(u64);

/// Does `last` when a signal that ends a process arrives (HUP, INT, QUIT, TERM), then lets it end
/// us as it would have.
///
/// # Errors
/// If signals cannot be waited for.
pub fn before_end(last: impl Fn() + Send + 'static) -> std::io::Result<Guard> {
    STARTED
        .get_or_init(|| wait().map_err(|e| e.kind()))
        .map_err(std::io::Error::from)?;
    let number = NEXT.fetch_add(1, Ordering::SeqCst);
    actions().push((number, Box::new(last)));
    Ok(Guard(number))
}

fn actions() -> MutexGuard<'static, Vec<(u64, Action)>> {
    ACTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the thread that waits; it stays.
fn wait() -> std::io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let typed = matches!(signal, SIGINT | SIGQUIT);
                if typed && LENT.load(Ordering::SeqCst) > 0 {
                    continue;
                }
                // Nobody adds or takes away an action from here to the end.
                let actions = actions();
                actions.iter().for_each(|(_, last)| last());
                let _ = signal_hook::low_level::emulate_default_handler(signal);
            }
        })
        .map(|_| ())
}

/// Runs `other` while the terminal is its own: an interrupt or quit typed there does not end us, as
/// it does not end git while an editor runs.
pub fn lend_terminal<T>(other: impl FnOnce() -> T) -> T {
    LENT.fetch_add(1, Ordering::SeqCst);
    let answer = other();
    LENT.fetch_sub(1, Ordering::SeqCst);
    answer
}

impl Drop for Guard {
    fn drop(&mut self) {
        actions().retain(|(number, _)| *number != self.0);
    }
}
