//! Round after round: look, plan, have it decided, write; again where somebody wrote meanwhile, and where
//! something follows from what was written.

use futures_util::future::join_all;
use secrets_api::Ctx;

use super::carry::{self, Fate, Outcome};
use super::keep::{check_kept, keep};
use super::look::{look, plan_all, seen};
use super::prepare::{Write, prepare};
use super::unguarded::unmoved;
use super::{Link, Work};
use crate::exit::{Exit, Failure, Result};
use crate::plan::{Direction, Side};

/// How often it is looked and planned at most, because others write or lines follow.
const ROUNDS: usize = 6;

/// Who is shown what is planned, and decides.
pub trait Desk {
    /// Shows the plans of all links and says whether to go on. May add choices to the rules of links
    /// and have it planned again. `round` is 0, and one more each time it is looked anew.
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
    /// Write: a person has said so, and has taken their time. What nothing guards is looked at once more.
    Agreed,
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

/// What a round leaves to be done.
#[derive(Debug, Clone, Copy, Default)]
struct After {
    /// Somebody else has written meanwhile.
    others: bool,
    /// It was written where lines are put together from others: they may say something else now.
    follows: bool,
}

/// Looks, plans, has it decided and writes, until nobody has written meanwhile and nothing follows from what
/// was written. What became of each write is in the links. Says whether anything was to be done at all.
///
/// Each look, and what is written after it, has as long as `cx` leaves when this begins: a person may take
/// their time over a plan.
///
/// # Errors
/// What the desk answers, and all that is known to fail before the first write; `Partly` where lines that are
/// put together from others never come to rest.
pub async fn run(work: &mut Work, cx: &Ctx, desk: &mut dyn Desk) -> Result<bool> {
    let time = cx.remaining();
    for round in 0..ROUNDS {
        look(work, &Ctx::within(time)).await;
        let waited = loop {
            match desk.decide(work, round)? {
                Verdict::Go => break false,
                Verdict::Agreed => break true,
                Verdict::Replan => plan_all(work),
                Verdict::Stop => return Ok(false),
            }
        };
        // A new operation each round: a store that remembers what it did would take the same for done.
        let after = write(work, &Ctx::within(time), desk, waited).await?;
        work.following = after.follows && !after.others;
        match after {
            After {
                others: false,
                follows: false,
            } => return Ok(true),
            _ if round + 1 < ROUNDS => {}
            After { others: true, .. } => return Ok(true),
            After { .. } => return Err(restless()),
        }
        // What met somebody else's write is tried again, and told once.
        for link in &mut work.links {
            link.outcomes.retain(|outcome| !outcome.is_conflict());
        }
    }
    Ok(true)
}

fn restless() -> Failure {
    let message = format!(
        "lines that are put together from others change one another: not in step after {ROUNDS} rounds"
    );
    Failure::new(Exit::Partly, message)
        .with_hint("give one of them a value of its own: --flatten NAME")
}

/// Says what can be known to fail before anything is asked or written: a name or a value that a store
/// cannot hold, a value that nobody could keep. What was prepared for it is what is written, unless it is
/// planned anew.
///
/// # Errors
/// The first of it.
pub fn check(work: &mut Work) -> Result<()> {
    let mut links = std::mem::take(&mut work.links);
    let checked = links.iter_mut().try_for_each(|link| {
        let writes = prepare(work, link).map_err(unwritten)?;
        check_kept(work, link, &writes)?;
        link.prepared = Some(writes);
        Ok(())
    });
    work.links = links;
    checked
}

/// The same failure, of a run that has written nothing.
fn unwritten(failure: Failure) -> Failure {
    let message = format!("{}; nothing was written", failure.message);
    Failure { message, ..failure }
}

/// Writes all links at once. `waited`: a person was waited for since the look.
async fn write(work: &mut Work, cx: &Ctx, desk: &dyn Desk, waited: bool) -> Result<After> {
    let mut links = std::mem::take(&mut work.links);
    let written = write_links(work, &mut links, cx, desk, waited).await;
    work.links = links;
    written
}

async fn write_links(
    work: &Work,
    links: &mut [Link],
    cx: &Ctx,
    desk: &dyn Desk,
    waited: bool,
) -> Result<After> {
    let mut prepared: Vec<Vec<Write>> = Vec::with_capacity(links.len());
    let mut after = After::default();
    let is_only = links.len() == 1;
    for link in links.iter_mut() {
        let checked = link.prepared.take();
        let is_checked = checked.is_some();
        let ready = match checked.map_or_else(|| prepare(work, link), Ok) {
            Ok(writes) => writes,
            Err(failure) if link.rules.direction == Direction::Both => {
                return Err(unwritten(failure));
            }
            // Nobody had it checked before the first write: what one mirror cannot take keeps no other from it.
            Err(failure) => {
                prepared.push(fail(link, failure));
                continue;
            }
        };
        prepared.push(match keep(work, link, cx, &ready).await {
            Ok(kept_by) => {
                link.kept_by.extend(kept_by);
                ready
            }
            Err(failure) if is_checked || is_only => return Err(failure),
            Err(failure) => fail(link, failure),
        });
    }
    // As late as it can be, and at all of them at once.
    let looks = links.iter().zip(prepared);
    let looks = looks.map(|(link, writes)| unmoved(work, link, cx, writes, waited));
    let looked = join_all(looks).await;
    let mut prepared = Vec::with_capacity(links.len());
    for (link, (writes, moved)) in links.iter_mut().zip(looked) {
        after.others |= moved.iter().any(Outcome::is_conflict);
        link.outcomes.extend(moved);
        prepared.push(writes);
    }
    for (link, writes) in links.iter_mut().zip(&prepared) {
        carry::announce(work, link, writes)?;
    }
    let progress = desk.begin(prepared.iter().map(Vec::len).sum());
    let made = links
        .iter()
        .zip(&prepared)
        .map(|(link, writes)| carry::carry(work, link, cx, writes, &*progress));
    let answers = join_all(made).await;
    drop(progress);
    let mut failure = None;
    for ((link, writes), answers) in links.iter_mut().zip(prepared).zip(answers) {
        let followed: Vec<bool> = writes.iter().map(|w| is_followed(work, link, w)).collect();
        let (outcomes, noted) = carry::conclude(work, link, writes, answers);
        for (outcome, followed) in outcomes.iter().zip(followed) {
            after.others |= outcome.is_conflict();
            after.follows |= followed && matches!(outcome.fate, Fate::Done);
        }
        link.outcomes.extend(outcomes);
        failure = failure.or(noted.err());
    }
    match failure {
        Some(failure) => {
            let rest = "run the same command again: it finds out what was written";
            Err(Failure::new(
                Exit::Partly,
                format!("written, but not remembered: {}", failure.message),
            )
            .with_hint(rest))
        }
        None => Ok(after),
    }
}

/// Leaves a link as it is, for this reason.
fn fail(link: &mut Link, failure: Failure) -> Vec<Write> {
    let target = link.plan.writes().find_map(|step| step.action.target());
    link.failed = Some((target.unwrap_or(Side::Right), failure));
    Vec::new()
}

/// Whether lines that are put together from others stand where this is written.
fn is_followed(work: &Work, link: &Link, write: &Write) -> bool {
    let there = seen(work, link, write.to).into_iter();
    let mut there = there.flat_map(|seen| seen.held.values());
    there.any(|held| held.layer == write.layer && held.meta.derived)
}
