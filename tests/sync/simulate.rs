//! Schedules by chance, one sync harmed at each of its calls in turn, and stores that do wrong, which must
//! be found out.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use secrets_api::{
    Capabilities, Change, Ctx, ErrorKind, Guard, Lookup, Provider, Result, Revision, Select,
    Snapshot, Unit, Version, Written, async_trait,
};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::block_on;
use secrets_testkit::faulty::IgnoresPreconditions;
use secrets_testkit::wrappers::Flaky;

use crate::faults::Harm;
use crate::schedule::{Sabotage, Totals, by_chance, harmed_at, put_back_and_replaced};

/// More than there are processors: the layers' waits between tries are real time, and overlap.
const THREADS: usize = 16;
/// How many pairs of stores are harmed at each call.
const STORES: u64 = 24;

pub(crate) fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => otherwise,
    }
}

/// Tries these seeds, several at once, until `enough` have failed; the failures, by seed.
pub(crate) fn failures(
    seeds: Range<u64>,
    enough: usize,
    one: impl Fn(u64) -> std::result::Result<(), String> + Sync,
) -> Vec<(u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end || failures.lock().unwrap().len() >= enough {
                        return;
                    }
                    let whole = std::panic::AssertUnwindSafe(|| one(seed));
                    let ended = std::panic::catch_unwind(whole);
                    let ended = ended.unwrap_or_else(|_| Err("it panicked".to_owned()));
                    if let Err(story) = ended {
                        failures.lock().unwrap().push((seed, story));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    failures
}

/// Fails if any of them has failed, with the command that replays the first.
///
/// # Panics
/// Then.
pub(crate) fn replayed(failures: &[(u64, String)], test: &str) {
    let Some((seed, story)) = failures.first() else {
        return;
    };
    let seeds: Vec<_> = failures.iter().map(|(seed, _)| seed).collect();
    panic!(
        "failed: {seeds:?}; again: SECRETS_TEST_SCHEDULES=1 SECRETS_TEST_SEED={seed} cargo test --test sync {test}\n{story}"
    );
}

#[test]
fn every_schedule_converges_and_loses_no_acknowledged_value() {
    let first = number("SECRETS_TEST_SEED", 1);
    let count = number("SECRETS_TEST_SCHEDULES", 1000);
    let totals = Totals::default();
    let one = |seed| block_on(by_chance(seed, &totals, &Sabotage::default()));
    let failures = failures(first..first + count, 3, one);
    replayed(&failures, "every_schedule_converges");
    if count >= 1000 {
        // All that was to be met was met.
        let words = totals.words();
        let often = |n: &AtomicUsize, least: usize| {
            assert!(n.load(Ordering::SeqCst) > least, "{least}: {words}");
        };
        for harm in Harm::ALL {
            assert!(totals.harms.of(harm) > 100, "{harm:?}: {words}");
        }
        often(&totals.killed, 500);
        often(&totals.conflicts, 1000);
        often(&totals.done, 1000);
        often(&totals.unknown, 10);
        often(&totals.windows, 0);
        often(&totals.remote, 10);
    }
}

#[test]
fn a_sync_harmed_at_any_of_its_calls_is_mended_by_the_next_one() {
    let (totals, struck) = (Totals::default(), AtomicUsize::new(0));
    let one = |seed| {
        for harm in Harm::ALL {
            let mut nth = 0;
            while block_on(harmed_at(seed, harm, nth, &totals))? {
                nth += 1;
            }
            // Each side is read at least, and one is written.
            assert!(nth >= 3, "{harm:?} met {nth} calls");
            struck.fetch_add(nth, Ordering::SeqCst);
        }
        Ok(())
    };
    let failures = failures(0..STORES, 1, one);
    if let Some((seed, story)) = failures.first() {
        panic!("with the stores of {seed}; again: cargo test --test sync a_sync_harmed\n{story}");
    }
    let struck = struck.load(Ordering::SeqCst);
    assert!(struck > 50 * usize::try_from(STORES).unwrap(), "{struck}");
}

/// A store that can do all this.
const ABLE: Capabilities = Capabilities {
    unit: Unit::Secret,
    idempotent: false,
    prune: false,
    cheap_poll: false,
    ..Memory::CAPABILITIES
};

/// That a sabotage is found out, and by which words.
fn is_found(sabotage: &Sabotage, words: &str) {
    let totals = Totals::default();
    let found = |seed: u64| match block_on(by_chance(seed, &totals, sabotage)) {
        Err(story) if story.contains(words) => Err(story),
        _ => Ok(()),
    };
    assert!(
        !failures(1..400, 1, found).is_empty(),
        "nobody found that anything {words}"
    );
}

#[test]
fn a_store_that_ignores_preconditions_is_found_out() {
    let sabotage = Sabotage {
        can: Some(ABLE),
        store: Some(|store| Bent::new(store, IgnoresPreconditions)),
        keeper: None,
    };
    is_found(&sabotage, "discarded what was written since it had looked");
}

/// Says that all is done, and does nothing, one time in two.
struct Pretends(AtomicUsize);

#[async_trait]
impl Bend for Pretends {
    fn label(&self) -> &'static str {
        "Pretends"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        if self.0.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return inner.write(cx, base, changes).await;
        }
        Ok(Written {
            revision: None,
            items: changes.iter().map(|_| Ok(None)).collect(),
        })
    }
}

#[test]
fn a_store_that_says_what_it_does_not_do_is_found_out() {
    let sabotage = Sabotage {
        can: Some(ABLE),
        store: Some(|store| Bent::new(store, Pretends(AtomicUsize::new(0)))),
        keeper: None,
    };
    is_found(&sabotage, "is said to be done and was never there");
}

#[test]
fn a_keeper_that_keeps_nothing_is_found_out() {
    let sabotage = Sabotage {
        can: Some(Capabilities {
            history: false,
            ..ABLE
        }),
        store: None,
        keeper: Some(|keeper| Bent::new(keeper, Pretends(AtomicUsize::new(1)))),
    };
    is_found(&sabotage, "replaced what nobody keeps");
}

#[test]
fn a_value_that_was_put_back_is_no_longer_given_up() {
    let mut sabotage = Sabotage {
        can: Some(Capabilities {
            history: false,
            ..ABLE
        }),
        ..Sabotage::default()
    };
    block_on(put_back_and_replaced(&sabotage)).unwrap();
    sabotage.keeper = Some(|keeper| Bent::new(keeper, Pretends(AtomicUsize::new(1))));
    let story = block_on(put_back_and_replaced(&sabotage)).unwrap_err();
    assert!(story.contains("v0 was acknowledged and is lost"), "{story}");
}

/// Does what it is asked, and says that it did not.
fn denies() -> Flaky {
    Flaky::new(usize::MAX, ErrorKind::PermissionDenied)
        .after_the_effect()
        .writes_only()
}

#[test]
fn a_store_that_denies_what_it_did_is_found_out() {
    let sabotage = Sabotage {
        can: Some(ABLE),
        store: Some(|store| Bent::new(store, denies())),
        keeper: None,
    };
    is_found(&sabotage, "is said to have failed and was written");
}

/// Gives all states the same version.
struct NeverMoves;

#[async_trait]
impl Bend for NeverMoves {
    fn label(&self) -> &'static str {
        "NeverMoves"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let mut snapshot = inner.read(cx, what).await?;
        for (_, lookup) in &mut snapshot.items {
            if let Ok(Lookup::Found(stored)) = lookup {
                stored.meta.version = Some(Version::new("1"));
            }
        }
        Ok(snapshot)
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let mut written = inner.write(cx, base, changes).await?;
        for version in written.items.iter_mut().flatten() {
            *version = version.take().map(|_| Version::new("1"));
        }
        Ok(written)
    }
}

#[test]
fn a_store_whose_versions_do_not_tell_what_was_put_back_is_found_out() {
    let sabotage = Sabotage {
        can: Some(Capabilities {
            guard: Guard::None,
            ..ABLE
        }),
        store: Some(|store| Bent::new(store, NeverMoves)),
        keeper: None,
    };
    is_found(
        &sabotage,
        "silently replaced what the other side had never seen",
    );
}
