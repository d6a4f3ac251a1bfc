//! Round after round: look, plan, have it decided, write; again where somebody wrote meanwhile.

use futures_util::future::join_all;
use secrets_api::{Ctx, OperationId};

use super::carry::{self, Fate, Outcome};
use super::keep::{check_kept, keep};
use super::look::{look, plan_all, seen};
use super::prepare::{Write, prepare};
use super::Work;
use crate::exit::{Exit, Failure, Result};

/// How often it is looked and planned anew because others write.
const ROUNDS: usize = 6;

/// Who is shown what is planned, and decides.
pub trait Desk {
    /// Shows the plans of all links and says whether to go on. May add choices to the rules of links
    /// and have it planned again. `round` is 0, and one more each time somebody wrote meanwhile.
    ///
    /// # Errors
    /// Whatever ends the run before anything is written.
    fn decide(&mut self, work: &mut Work, round: usize) -> Result<Verdict>;

    /// So many writes begin.
    fn begin(&self, total: usize) -> Box<dyn Progress>;
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Write.
    Go,
    /// Plan again, by the rules as they are now.
    Replan,
    /// Leave it at that.
    Stop,
}

/// Is told of writes as they are answered.
pub trait Progress {
    /// So many more are answered.
    fn made(&self, count: usize);
}

/// Looks, plans, has it decided and writes, until nobody has written meanwhile. What became of each
/// write is in the links. Says whether anything was to be done at all.
///
/// # Errors
/// What the desk answers, and all that is known to fail before the first write.
pub async fn run(work: &mut Work, cx: &Ctx, desk: &mut dyn Desk) -> Result<bool> {
    for round in 0..ROUNDS {
        look(work, cx).await;
        loop {
            match desk.decide(work, round)? {
                Verdict::Go => break,
                Verdict::Replan => plan_all(work),
                Verdict::Stop => return Ok(false),
            }
        }
        if !write(work, cx, desk).await? {
            return Ok(true);
        }
        // What met somebody else's write is tried again, and told once.
        if round + 1 < ROUNDS {
            for link in &mut work.links {
                link.outcomes
                    .retain(|outcome| !matches!(outcome.fate, Fate::Conflict(_)));
            }
        }
    }
    Ok(true)
}

/// Says what can be known to fail before anything is asked or written: a name or a value that a store
/// cannot hold, a value that nobody could keep.
///
/// # Errors
/// The first of it.
pub fn check(work: &Work) -> Result<()> {
    work.links.iter().try_for_each(|link| {
        let writes = prepare(work, link)?;
        check_kept(work, link, &writes)
    })
}

/// Writes all links at once; whether somebody else wrote meanwhile.
async fn write(work: &mut Work, cx: &Ctx, desk: &dyn Desk) -> Result<bool> {
    // A new operation each round: a store that remembers what it did would take the same for done.
    let cx = &Ctx {
        operation: OperationId::random(),
        ..*cx
    };
    let mut prepared: Vec<Vec<Write>> = Vec::with_capacity(work.links.len());
    for link in &work.links {
        prepared.push(prepare(work, link)?);
    }
    let mut replaced = Vec::with_capacity(prepared.len());
    for (link, writes) in work.links.iter().zip(&prepared) {
        replaced.push(keep(work, link, cx, writes).await?);
    }
    let mut links = std::mem::take(&mut work.links);
    for (link, replaced) in links.iter_mut().zip(replaced) {
        link.kept_by.extend(replaced);
    }
    let announced = links
        .iter_mut()
        .zip(&prepared)
        .try_for_each(|(link, writes)| {
            let is_new = |write: &Write| seen(work, link, write.to).is_some_and(|s| s.missing);
            let anew = writes.iter().any(is_new);
            carry::announce(link, writes, anew)
        });
    if let Err(failure) = announced {
        work.links = links;
        return Err(failure);
    }
    let progress = desk.begin(prepared.iter().map(Vec::len).sum());
    let shared: &Work = work;
    let made = links
        .iter()
        .zip(&prepared)
        .map(|(link, writes)| carry::carry(shared, link, cx, writes, &*progress));
    let answers = join_all(made).await;
    drop(progress);
    let mut conflict = false;
    let mut failure = None;
    for ((link, writes), answers) in links.iter_mut().zip(prepared).zip(answers) {
        let (outcomes, noted) = carry::conclude(work, link, writes, answers);
        conflict |= outcomes.iter().any(is_conflict);
        link.outcomes.extend(outcomes);
        failure = failure.or(noted.err());
    }
    work.links = links;
    match failure {
        Some(failure) => {
            let rest = "run the same command again: it finds out what was written";
            Err(Failure::new(
                Exit::Partly,
                format!("written, but not remembered: {}", failure.message),
            )
            .with_hint(rest))
        }
        None => Ok(conflict),
    }
}

fn is_conflict(outcome: &Outcome) -> bool {
    matches!(outcome.fate, Fate::Conflict(_))
}
