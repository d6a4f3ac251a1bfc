//! Three servers, their leader killed again and again while we write and read: whatever was
//! acknowledged is there, and nothing is there twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use secrets_api::{
    Change, ErrorKind, Lookup, Op, Precondition, Provider, ProviderExt as _, Version,
};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::Cluster;
use serde_json::json;

use crate::support::{cx, layered, name, value};

const WRITERS: usize = 3;
const URI: &str = "vault:secret/shop/production";

/// What one writer has come to.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: u64,
    unknown: u64,
}

fn number(lookup: Lookup) -> u64 {
    let stored = lookup.into_found();
    stored.map_or(0, |stored| {
        stored.value.expose_text().unwrap().parse().unwrap()
    })
}

/// Counts a secret of its own upwards, each step guarded by the one before, until it is told to end.
async fn count_up(n: usize, store: Arc<dyn Provider>, end: &AtomicBool, done: &AtomicU64) -> Tally {
    let name = name(&format!("COUNTER_{n}"));
    let mut tally = Tally::default();
    let (mut now, mut seen): (u64, Option<Version>) = (0, None);
    while !end.load(Ordering::SeqCst) {
        let next = value(&(now + 1).to_string());
        let change = Change {
            name: &name,
            op: Op::Put(&next),
            when: seen
                .clone()
                .map_or(Precondition::Absent, Precondition::Version),
        };
        let written = store.write_one(&cx(), change).await;
        let is_acknowledged = written.is_ok();
        match written {
            Ok(version) => {
                tally.acknowledged += 1;
                done.fetch_add(1, Ordering::SeqCst);
                (now, seen) = (now + 1, version);
            }
            Err(error) => {
                let kind = error.kind();
                assert!(
                    matches!(kind, ErrorKind::OutcomeUnknown | ErrorKind::Unavailable),
                    "a writer without rivals met {kind:?}: {error}"
                );
                tally.unknown += 1;
            }
        }
        // What was acknowledged is read; what was not is there or is not.
        let lookup = loop {
            match store.read_one(&cx(), &name).await {
                Ok(lookup) => break lookup,
                Err(error) => assert!(
                    matches!(
                        error.kind(),
                        ErrorKind::Unavailable | ErrorKind::RateLimited
                    ),
                    "a read met {:?}: {error}",
                    error.kind()
                ),
            }
        };
        let version = lookup
            .found()
            .and_then(|stored| stored.meta.version.clone());
        let there = number(lookup);
        if is_acknowledged {
            assert_eq!(there, now, "what was acknowledged is not what is read");
        } else {
            assert!(
                there == now || there == now + 1,
                "{there} is there after {now}"
            );
            (now, seen) = (there, version);
        }
    }
    tally
}

/// Writes and reads by way of one server that does not lead, again and again: it answers reads from
/// its own copy, which lags behind.
fn read_our_own_writes(opening: &TestOpening) {
    let store = layered(opening, "vault:secret/shop/behind", Duration::from_secs(30));
    let key = name("KEY");
    block_on(async {
        for round in 0..30 {
            let new = value(&round.to_string());
            let change = Change {
                name: &key,
                op: Op::Put(&new),
                when: Precondition::Unguarded,
            };
            store.write_one(&cx(), change).await.unwrap();
            let lookup = store.read_one(&cx(), &key).await.unwrap();
            assert_eq!(number(lookup), round, "a read behind our own write");
        }
    });
}

#[test]
fn whatever_was_acknowledged_survives_the_death_of_the_leader_and_nothing_is_applied_twice() {
    let kills: usize = std::env::var("SECRETS_TEST_KILLS").map_or(2, |n| n.parse().unwrap());
    let mut cluster = Cluster::start();
    let admin = cluster.admin();
    admin.ok(
        "POST",
        "secret/config",
        &json!({ "max_versions": 1_000_000 }),
    );
    let opening = || {
        TestOpening::new()
            .with_addresses(cluster.addresses())
            .with_variables([
                ("BAO_TOKEN", cluster.token().to_owned()),
                ("BAO_CACERT", cluster.ca_file().display().to_string()),
            ])
    };
    let leader = cluster.leader();
    for (n, address) in cluster.addresses().into_iter().enumerate() {
        if Some(n) != leader {
            read_our_own_writes(&opening().with_addresses([address]));
        }
    }
    let openings: Vec<_> = (0..WRITERS).map(|_| opening()).collect();
    let stores: Vec<_> = openings
        .iter()
        .map(|opening| layered(opening, URI, Duration::from_secs(30)))
        .collect();
    let (end, done) = (AtomicBool::new(false), AtomicU64::new(0));
    let tallies = std::thread::scope(|scope| {
        let (ends, dones) = (&end, &done);
        let writing = scope.spawn(move || {
            block_on(async {
                let writers = stores.into_iter().enumerate();
                let counting = writers.map(|(n, store)| count_up(n, store, ends, dones));
                futures_util::future::join_all(counting).await
            })
        });
        // However this ends, the writers are told.
        let killing = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for kill in 0..kills {
                // Writes are under way before the kill and go on after it.
                let more = |by: u64| {
                    let from = done.load(Ordering::SeqCst);
                    secrets_testkit::servers::until("writes go on", || {
                        done.load(Ordering::SeqCst) >= from + by || writing.is_finished()
                    });
                };
                more(20);
                let dead = cluster.kill_leader();
                more(20);
                if kill + 1 < kills {
                    cluster.revive(dead);
                }
            }
        }));
        end.store(true, Ordering::SeqCst);
        let tallies = writing.join().unwrap();
        killing.unwrap();
        tallies
    });

    let (_, found) = cluster
        .admin()
        .call("GET", "secret/data/shop/production", None);
    let fields = &found["data"]["data"];
    let mut applied = 0;
    for (n, tally) in tallies.iter().enumerate() {
        let last: u64 = fields[format!("COUNTER_{n}")]
            .as_str()
            .unwrap()
            .parse()
            .unwrap();
        assert!(last >= tally.acknowledged, "{last} of {tally:?}");
        assert!(
            last <= tally.acknowledged + tally.unknown,
            "{last} of {tally:?}"
        );
        applied += last;
    }
    // Each step is one version of the document: one applied twice would be one more.
    let versions = found["data"]["metadata"]["version"].as_u64().unwrap();
    assert_eq!(versions, applied, "{tallies:?}");
}
