//! The wrappers do what the tests of the layers rely on.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use secrets_api::{
    Change, Ctx, ErrorKind, Name, Op, Precondition, Provider, ProviderExt as _, SecretValue,
};
use secrets_memory::Memory;
use secrets_testkit::bend::Bent;
use secrets_testkit::block_on;
use secrets_testkit::wrappers::{Flaky, Slow};

fn memory() -> Arc<dyn Provider> {
    Arc::new(Memory::new(Memory::CAPABILITIES))
}

fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(60))
}

async fn put(store: &dyn Provider, name: &str) -> secrets_api::Result<()> {
    let change = Change {
        name: &Name::new(name).unwrap(),
        op: Op::Put(&SecretValue::from_slice(b"x")),
        when: Precondition::Unguarded,
    };
    store.write_one(&cx(), change).await.map(drop)
}

#[test]
fn a_flaky_store_fails_as_often_as_asked_and_counts_every_attempt() {
    let flaky = Flaky::new(2, ErrorKind::RateLimited).asking_for(Duration::from_secs(3));
    let store = Bent::new(memory(), flaky);
    block_on(async {
        for _ in 0..2 {
            let error = put(&*store, "A").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::RateLimited);
            assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
            assert_eq!(error.store(), Some("memory:"));
        }
        put(&*store, "A").await.unwrap();
        assert_eq!(store.list(&cx()).await.unwrap().len(), 1);
    });
    assert_eq!(store.bend().attempts(), 4);
}

#[test]
fn a_failure_before_the_effect_leaves_none_and_one_after_it_does() {
    for (flaky, left) in [
        (Flaky::new(1, ErrorKind::Unavailable), 0),
        (
            Flaky::new(1, ErrorKind::OutcomeUnknown).after_the_effect(),
            1,
        ),
    ] {
        let inner = memory();
        let store = Bent::new(Arc::clone(&inner), flaky);
        block_on(put(&*store, "A")).unwrap_err();
        assert_eq!(block_on(inner.list(&cx())).unwrap().len(), left);
    }
}

#[test]
fn only_the_calls_meant_fail_and_count() {
    block_on(async {
        let store = Bent::new(
            memory(),
            Flaky::new(1, ErrorKind::Unavailable).writes_only(),
        );
        store.list(&cx()).await.unwrap();
        put(&*store, "A").await.unwrap_err();
        assert_eq!(store.bend().attempts(), 1);

        let store = Bent::new(memory(), Flaky::new(1, ErrorKind::Unavailable).reads_only());
        put(&*store, "A").await.unwrap();
        store.list(&cx()).await.unwrap_err();
        assert_eq!(store.bend().attempts(), 1);
    });
}

#[test]
fn a_slow_store_takes_its_time_and_counts_who_waits() {
    let delay = Duration::from_millis(20);
    let store = Bent::new(memory(), Slow::new(delay));
    block_on(async {
        let started = Instant::now();
        let waiting = [1, 2].map(|_| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.list(&cx()).await.map(drop) })
        });
        for task in waiting {
            task.await.unwrap().unwrap();
        }
        assert!(started.elapsed() >= delay);
    });
    assert_eq!(store.bend().most_at_once(), 2);
}

#[test]
fn a_slow_call_that_is_given_up_is_counted_out_and_has_no_effect() {
    let inner = memory();
    let store = Bent::new(
        Arc::clone(&inner),
        Slow::new(Duration::from_secs(3600)).writes_only(),
    );
    block_on(async {
        for _ in 0..3 {
            let given_up = tokio::time::timeout(Duration::from_millis(1), put(&*store, "A"));
            given_up.await.unwrap_err();
        }
        assert!(store.list(&cx()).await.unwrap().is_empty());
    });
    assert_eq!(store.bend().most_at_once(), 1);
}
