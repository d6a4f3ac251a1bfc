//! How long to wait before trying again: exponential, with full jitter, bounded by the deadline.

use std::time::{Duration, Instant};

use rand::TryRng as _;

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);
const ATTEMPTS: u32 = 5;

/// The waits of one call.
#[derive(Debug)]
pub(super) struct Backoff {
    tried: u32,
    deadline: Instant,
}

impl Backoff {
    pub(super) fn new(deadline: Instant) -> Self {
        Self { tried: 0, deadline }
    }

    /// The next wait; `None` when it is time to give up: if the wait would reach past the deadline,
    /// or after five attempts at a store that does not answer. One that answers and asks for time
    /// (`passing`: a rate limit, a cluster without a leader) is asked until the deadline, no sooner
    /// than it said.
    pub(super) fn next(&mut self, asked: Option<Duration>, passing: bool) -> Option<Duration> {
        self.tried += 1;
        if self.tried >= ATTEMPTS && !passing {
            return None;
        }
        let doublings = (self.tried - 1).min(16);
        let ceiling = FIRST.saturating_mul(1 << doublings).min(LONGEST);
        let wait = ceiling.mul_f64(fraction()).max(asked.unwrap_or_default());
        // A server may ask for any time: one that no clock reaches is past the deadline.
        let until = Instant::now().checked_add(wait)?;
        (until < self.deadline).then_some(wait)
    }
}

/// A random share between a half and the whole.
fn fraction() -> f64 {
    let random = rand::rngs::SysRng.try_next_u32().unwrap_or(u32::MAX);
    0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_and_end() {
        let mut backoff = Backoff::new(Instant::now() + Duration::from_secs(60));
        let waits: Vec<_> = std::iter::from_fn(|| backoff.next(None, false)).collect();
        assert_eq!(waits.len(), 4);
        for (n, wait) in waits.iter().enumerate() {
            let ceiling = FIRST * (1 << n);
            assert!(*wait >= ceiling / 2 && *wait <= ceiling, "{wait:?}");
        }
    }

    #[test]
    fn what_the_store_asks_for_is_honoured_but_not_past_the_deadline() {
        let mut backoff = Backoff::new(Instant::now() + Duration::from_secs(5));
        assert_eq!(
            backoff.next(Some(Duration::from_secs(1)), false),
            Some(Duration::from_secs(1))
        );
        for too_long in [Duration::from_secs(9), Duration::MAX] {
            assert_eq!(backoff.next(Some(too_long), false), None);
        }
    }

    #[test]
    fn a_store_that_asks_for_time_is_asked_until_the_deadline() {
        let mut backoff = Backoff::new(Instant::now() + Duration::from_secs(60));
        let waits: Vec<_> = (0..100).map_while(|_| backoff.next(None, true)).collect();
        assert_eq!(waits.len(), 100);
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
    }
}
