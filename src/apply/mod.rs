//! Carries a sync out: observes the stores, has them planned ([`crate::plan`]), writes with preconditions
//! in each store's unit, and remembers what both sides agreed on ([`crate::base`]).
//!
//! | where | what |
//! | --- | --- |
//! | `observe` | what is in the stores, values and all |
//! | `look` | observes all parties, asks about deletions and doubts, plans |
//! | `prepare` | from a plan to writes: which layer, in which form, guarded by what; refusals before the first write |
//! | `unguarded` | a second look, right before the write, where no store guards it |
//! | `keep` | values that are about to be replaced where no history keeps them |
//! | `carry` | the writes themselves, noted before and after |
//! | `run` | round after round until nobody has written meanwhile and nothing follows |
//!
//! A store that puts lines together from others says something else after a write than was written: then it is
//! looked and planned again, until nothing follows any more.
//!
//! Killed anywhere and run again it observes and plans anew: nothing is ever replayed.

mod carry;
mod keep;
mod look;
mod observe;
mod prepare;
mod run;
mod unguarded;

use crate::plan::{Plan, Rules, Side, Sides};
use crate::settings::Settings;
use crate::stack::Stack;

pub use carry::{Fate, Outcome};
pub use keep::Keeper;
pub use look::look;
pub use observe::{Held, Observed, observe};
pub use prepare::{Place, place};
pub use run::{Desk, Progress, Verdict, check, run};

/// One side of a sync: a store, or the layers of an environment.
#[derive(Debug)]
pub struct Party {
    /// What to call it.
    pub label: String,
    /// What is known of its secrets, such as which are kept in base64.
    pub settings: Settings,
    /// The opened layers.
    pub stack: Stack,
    /// Keeps what is replaced in it where nothing else does.
    pub keeper: Keeper,
}

/// Two parties that are to hold the same, by their places among all parties.
#[derive(Debug)]
pub struct Link {
    /// Who.
    pub sides: Sides<usize>,
    /// What they held when they last agreed.
    pub kept: crate::base::Kept,
    /// How it is to be planned.
    pub rules: Rules,
    /// Values whose document has changed since they were agreed on, and which have not: its history says so.
    pub stayed: std::collections::BTreeSet<(Side, secrets_api::Name)>,
    /// What is planned; empty before the first look.
    pub plan: Plan,
    /// What became of the writes, in all rounds.
    pub outcomes: Vec<Outcome>,
    /// The keepers that were given values before those were replaced.
    pub kept_by: std::collections::BTreeSet<String>,
    /// Why one of the two could not be looked at.
    pub failed: Option<(Side, crate::exit::Failure)>,
    /// The writes of the plan, where they were prepared to be checked.
    prepared: Option<Vec<prepare::Write>>,
}

impl Link {
    /// Two parties before the first look.
    pub fn new(sides: Sides<usize>, kept: crate::base::Kept, rules: Rules) -> Self {
        Self {
            sides,
            kept,
            rules,
            stayed: std::collections::BTreeSet::new(),
            plan: Plan::default(),
            outcomes: Vec::new(),
            kept_by: std::collections::BTreeSet::new(),
            failed: None,
            prepared: None,
        }
    }
}

/// A sync of one party with one or several others.
pub struct Work {
    /// The parties; each is observed once a round.
    pub parties: Vec<Party>,
    /// What was last seen of each.
    pub observed: Vec<Option<Observed>>,
    /// Why a party could not be observed.
    pub unseen: Vec<Option<crate::exit::Failure>>,
    /// Who is to hold the same as whom.
    pub links: Vec<Link>,
    /// Which names it is about.
    pub chosen: crate::choice::Chosen,
    /// Whether it was looked anew only because lines that are put together from others follow what was
    /// written, and nobody else is known to have written meanwhile.
    pub following: bool,
}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Work")
            .field("parties", &self.parties)
            .finish_non_exhaustive()
    }
}

impl Work {
    /// A sync before the first look.
    pub fn new(parties: Vec<Party>, links: Vec<Link>, chosen: crate::choice::Chosen) -> Self {
        Self {
            observed: parties.iter().map(|_| None).collect(),
            unseen: parties.iter().map(|_| None).collect(),
            parties,
            links,
            chosen,
            following: false,
        }
    }

    /// One side of a link.
    pub fn party(&self, link: &Link, side: Side) -> &Party {
        &self.parties[*link.sides.of(side)]
    }
}
