//! Racing writers: on real threads, each with its own handle and runtime, started together.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use secrets_api::{
    Change, ErrorKind, Name, Op, Precondition, Result, SecretValue, Select, Version,
};

use crate::stage::{Handle, Outcome, Stage, became, ensure, is, name, value};

const WRITERS: usize = 4;
const ROUNDS: usize = 8;

/// What each writer came to; all start together.
fn race<T: Send>(stage: &Stage<'_>, run: impl Fn(usize, &Handle) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(WRITERS);
    // Made before any thread starts: one that could not be would leave the others waiting.
    let handles: Vec<Handle> = (0..WRITERS).map(|_| stage.open()).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = handles
            .into_iter()
            .enumerate()
            .map(|(n, handle)| {
                let (run, barrier) = (&run, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    run(n, &handle)
                })
            })
            .collect();
        let joined = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined
            .map(|ended| ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Which writer won; all others must have met a conflict.
fn winner<T>(answers: &[Result<T>]) -> Outcome<usize> {
    let winners: Vec<_> = (0..answers.len()).filter(|n| answers[*n].is_ok()).collect();
    for answer in answers.iter().filter(|answer| answer.is_err()) {
        ensure!(
            is(answer, ErrorKind::Conflict),
            "a writer that lost met {}",
            became(answer)
        );
    }
    ensure!(
        winners.len() == 1,
        "{} of {} writers won",
        winners.len(),
        answers.len()
    );
    Ok(winners[0])
}

pub(super) fn of_racing_creators_exactly_one_wins(stage: &Stage<'_>) -> Outcome {
    for round in 0..ROUNDS {
        let a = name(&format!("A{round}"));
        let answers = race(stage, |n, handle| {
            handle.put_when(&a, &value(&n.to_string()), Precondition::Absent)
        });
        let winner = winner(&answers)?;
        ensure!(
            stage.open().holds(&a, &value(&winner.to_string()))?,
            "what the winner wrote is not there"
        );
    }
    Ok(())
}

pub(super) fn of_racing_writers_exactly_one_wins(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    store.put(&a, &value("start"))?;
    for round in 0..ROUNDS {
        let seen: Version = store.version(&a)?;
        let text = |n: usize| value(&format!("{round}-{n}"));
        let answers = race(stage, |n, handle| {
            handle.put_when(&a, &text(n), Precondition::Version(seen.clone()))
        });
        let winner = winner(&answers)?;
        ensure!(
            stage.open().holds(&a, &text(winner))?,
            "what the winner wrote is not there"
        );
    }
    Ok(())
}

pub(super) fn of_racing_batches_under_one_base_exactly_one_wins(stage: &Stage<'_>) -> Outcome {
    let names: Vec<Name> = (0..WRITERS).map(|n| name(&format!("N{n}"))).collect();
    let store = stage.open();
    for round in 0..ROUNDS {
        let base = store.revision()?;
        let bytes = value(&round.to_string());
        // Each writes a name of its own: the base alone sets them at odds.
        let answers = race(stage, |n, handle| {
            let change = Change {
                name: &names[n],
                op: Op::Put(&SecretValue::from_slice(&bytes)),
                when: Precondition::Unguarded,
            };
            handle.write(Some(&base), &[change])
        });
        let winner = winner(&answers)?;
        for (n, name) in names.iter().enumerate() {
            let holds = stage.open().holds(name, &bytes)?;
            ensure!(
                holds == (n == winner),
                "another than the winner's write is there"
            );
        }
    }
    Ok(())
}

pub(super) fn writers_of_different_names_lose_nothing(stage: &Stage<'_>) -> Outcome {
    let name_of = |n: usize, round: usize| name(&format!("N{n}_{round}"));
    let answers = race(stage, |n, handle| {
        (0..ROUNDS).try_for_each(|round| {
            let name = name_of(n, round);
            handle.put(&name, &value(name.as_str())).map(drop)
        })
    });
    for answer in answers {
        answer?;
    }
    let reader = stage.open();
    for n in 0..WRITERS {
        for round in 0..ROUNDS {
            let name = name_of(n, round);
            ensure!(
                reader.holds(&name, &value(name.as_str()))?,
                "what one writer wrote was lost by another's write"
            );
        }
    }
    Ok(())
}

pub(super) fn a_batch_is_seen_whole_or_not_at_all(stage: &Stage<'_>) -> Outcome {
    let names = [name("A"), name("B"), name("C")];
    let ended = AtomicBool::new(false);
    let write = |handle: &Handle, round: usize| -> Result<()> {
        let value = SecretValue::from_slice(&value(&round.to_string()));
        let changes = names.each_ref().map(|name| Change {
            name,
            op: Op::Put(&value),
            when: Precondition::Unguarded,
        });
        handle.write(None, &changes).map(drop)
    };
    write(&stage.open(), 0)?;
    let outcomes = race(stage, |n, handle| -> Outcome {
        if n == 0 {
            let written = (1..=ROUNDS * 2).try_for_each(|round| write(handle, round));
            ended.store(true, Ordering::SeqCst);
            return Ok(written?);
        }
        while !ended.load(Ordering::SeqCst) {
            let mut seen: Vec<Vec<u8>> = Vec::new();
            for (_, lookup) in handle.read(Select::Names(&names))?.items {
                let stored = lookup?.into_found();
                seen.push(stored.map_or_else(Vec::new, |s| s.value.expose().to_vec()));
            }
            seen.dedup();
            ensure!(seen.len() == 1, "a reader saw a part of a batch");
        }
        Ok(())
    });
    outcomes.into_iter().collect()
}
