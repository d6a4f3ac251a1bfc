//! What we were started with, seen before Rust's own start-up code changes it. The only module
//! with `unsafe` in it.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

static SIGPIPE_IGNORED: AtomicBool = AtomicBool::new(false);

/// Rust's start-up code sets SIGPIPE to "ignore" before `main`; the loader runs this before that.
#[cfg(target_os = "linux")]
#[used]
#[unsafe(link_section = ".init_array")]
static OBSERVE: extern "C" fn() = observe;

#[cfg(target_os = "linux")]
extern "C" fn observe() {
    // SAFETY: `sigaction` with a null new action only writes the old one, into memory of its size
    // that outlives the call; it is async-signal-safe and needs nothing of Rust's runtime.
    let ignored = unsafe {
        let mut old = std::mem::zeroed::<libc::sigaction>();
        libc::sigaction(libc::SIGPIPE, std::ptr::null(), &raw mut old) == 0
            && old.sa_sigaction == libc::SIG_IGN
    };
    SIGPIPE_IGNORED.store(ignored, Ordering::Relaxed);
}

/// Sets SIGPIPE to what it was when we were started: what a child is to inherit.
pub(crate) fn restore_sigpipe() {
    set_sigpipe(SIGPIPE_IGNORED.load(Ordering::Relaxed));
}

/// Sets SIGPIPE as Rust programs have it: a closed pipe is an error, not the end.
pub(crate) fn ignore_sigpipe() {
    set_sigpipe(true);
}

fn set_sigpipe(ignore: bool) {
    let action = if ignore { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: both are valid dispositions, and no handler of ours is replaced.
    unsafe {
        libc::signal(libc::SIGPIPE, action);
    }
}
