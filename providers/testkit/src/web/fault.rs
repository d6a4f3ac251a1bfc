//! What a network or a service does to some requests: delays, refusals, answers that never arrive.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::{Reply, Request};

/// What is done to a request.
#[derive(Debug, Clone)]
pub enum Harm {
    /// It waits so long before it is answered.
    Latency(Duration),
    /// It is answered so, and has no effect: 429, 500.
    Answer(Reply),
    /// The connection ends before the service has seen it.
    DropBefore,
    /// The service carries it out and the connection ends before the answer.
    DropAfter,
    /// The service carries it out and this comes back in place of its answer: a proxy's page.
    AnswerAfter(Reply),
    /// The service carries it out and the connection ends in the middle of the answer.
    CutShort,
}

impl Harm {
    /// The ways in which a request is carried out, and said to be, by what cannot be understood.
    pub fn unreadable() -> Vec<(&'static str, Self)> {
        let reply = |kind: &str, body: &str| {
            let reply = Reply {
                body: body.as_bytes().to_vec(),
                ..Reply::empty(200)
            };
            Self::AnswerAfter(reply.with_header("content-type", kind))
        };
        vec![
            ("cut short", Self::CutShort),
            ("broken", reply("application/json", "{\"data\": {\"canary")),
            ("nothing", reply("application/json", "")),
            ("another's", reply("application/json", "{\"ok\": true}")),
            ("a page", reply("text/html", "<html>canary</html>")),
        ]
    }
}

type Choice = Box<dyn Fn(&Request) -> bool + Send + Sync>;

/// What is done to which requests, and how often.
pub struct Fault {
    harm: Harm,
    chosen: Choice,
    left: AtomicUsize,
}

impl Fault {
    /// Every request from now on.
    pub fn always(harm: Harm) -> Self {
        Self {
            harm,
            chosen: Box::new(|_| true),
            left: AtomicUsize::new(usize::MAX),
        }
    }

    /// The next request.
    pub fn once(harm: Harm) -> Self {
        Self::always(harm).times(1)
    }

    /// So many requests.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.left = AtomicUsize::new(times);
        self
    }

    /// Only requests that this holds for.
    #[must_use]
    pub fn only(mut self, chosen: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        self.chosen = Box::new(chosen);
        self
    }

    /// What is done to this request, if anything.
    pub(super) fn strike(&self, request: &Request) -> Option<Harm> {
        if !(self.chosen)(request) {
            return None;
        }
        let take = |left: usize| left.checked_sub(1);
        let struck = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take);
        struck.is_ok().then(|| self.harm.clone())
    }
}

impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fault")
            .field("harm", &self.harm)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
