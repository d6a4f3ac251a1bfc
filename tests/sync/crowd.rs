//! Five writers and two syncers at once, on one Vault document and one `.env`, on a real OpenBao.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::{join, join_all};
use secrets::apply::Keeper;
use secrets::plan::{Keep, Rules, Side};
use secrets_api::{
    Change, ErrorKind, Lookup, Op, Precondition, Provider, ProviderExt as _, SecretValue,
};
use secrets_testkit::opening::{TestOpening, key};
use secrets_testkit::servers::OpenBao;
use serde_json::json;

use crate::support::{Clerk, Ends, Machine, bare, cx, folder, layered, name, sync};
use crate::truth::values_in;

/// How often each writer writes each of its names.
const WRITES: usize = 4;
const DOCUMENT: &str = "vault:secret/crowd";

/// Writes until the store says so: guarded by what it last saw there.
async fn write(store: &dyn Provider, secret: &str, text: &str) {
    let secret = name(secret);
    let value = SecretValue::from_slice(text.as_bytes());
    for _ in 0..200 {
        let when = match store.read_one(&cx(), &secret).await.unwrap() {
            Lookup::Found(stored) => Precondition::Version(stored.meta.version.unwrap()),
            Lookup::Absent | Lookup::Deleted { .. } => Precondition::Absent,
        };
        let change = Change {
            name: &secret,
            op: Op::Put(&value),
            when,
        };
        match store.write_one(&cx(), change).await {
            Ok(_) => return,
            Err(error) if error.kind() == ErrorKind::Conflict => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{secret} was never written");
}

/// All that one writer was told is written: by name, in order.
async fn writer(store: &dyn Provider, n: usize, names: &[String]) -> Vec<(String, String)> {
    let mut told = Vec::new();
    for round in 0..WRITES {
        for secret in names {
            let text = format!("writer {n} round {round} of {secret}");
            write(store, secret, &text).await;
            told.push((secret.clone(), text));
            tokio::task::yield_now().await;
        }
    }
    told
}

#[test]
fn of_five_writers_and_two_syncers_nobody_loses_an_acknowledged_write() {
    let server = OpenBao::start();
    let keep_all = json!({ "max_versions": 2000 });
    server
        .admin()
        .ok("POST", "secret/metadata/crowd", &keep_all);
    let site = folder();
    let file = format!("dotenv:{}", site.path().join("crowd.env").display());
    // Each machine has a key of its own, and so its own names for the same versions.
    let opening = |n: u8| {
        let mut opening = TestOpening::new().with_variables([
            ("BAO_ADDR", server.address()),
            ("BAO_TOKEN", "root-token-of-the-tests"),
        ]);
        opening.machine_key = key(&[n; 32]);
        opening
    };
    let openings = [opening(1), opening(2)];
    let ends = openings.each_ref().map(|opening| {
        let store = |uri: &str| layered(bare(opening, uri));
        Ends::new((DOCUMENT, store(DOCUMENT)), (&file, store(&file)))
    });
    let machines = [Machine::new(1), Machine::new(2)];
    let (vault, dotenv) = (&ends[0].0.left.1, &ends[0].0.right.1);
    let names = |n: usize| vec![format!("OWN_{n}"), "SHARED".to_owned()];

    let left = AtomicUsize::new(5);
    let (told, conflicts) = secrets_testkit::block_on(async {
        let writers = join_all((0..5).map(|n| {
            let store = if n < 3 { vault } else { dotenv };
            let left = &left;
            async move {
                let told = writer(&**store, n, &names(n)).await;
                left.fetch_sub(1, Ordering::SeqCst);
                told
            }
        }));
        let syncers = join_all(machines.iter().zip(&ends).map(|(machine, ends)| {
            let left = &left;
            async move {
                let mut clerk = Clerk::answering(|_| Some(Keep::Side(Side::Left)));
                while left.load(Ordering::SeqCst) > 0 {
                    let rules = Rules::default();
                    sync(machine, ends, rules, Keeper::NotWanted, &mut clerk).await;
                    tokio::task::yield_now().await;
                }
                clerk.conflicts
            }
        }));
        let (told, mut conflicts) = join(writers, syncers).await;
        // Nobody writes any more: both come to rest.
        for _ in 0..3 {
            for (machine, ends) in machines.iter().zip(&ends) {
                let mut clerk = Clerk::answering(|_| Some(Keep::Side(Side::Left)));
                let rules = Rules::default();
                let ran = sync(machine, ends, rules, Keeper::NotWanted, &mut clerk).await;
                assert!(ran.is_clean(), "{ran:?}");
                conflicts.push(clerk.conflicts);
            }
        }
        (told, conflicts)
    });

    // What a conflict has shown, on any machine.
    let reported = |secret: &str, text: &str| {
        let value = SecretValue::from_slice(text.as_bytes());
        machines.iter().any(|machine| {
            let fingerprint = machine.keys().fingerprint(&name(secret), &value);
            let shown = conflicts.iter().flatten();
            shown
                .filter(|step| step.name.as_str() == secret)
                .any(|step| {
                    Side::BOTH
                        .iter()
                        .any(|s| step.seen.of(*s).fingerprint() == Some(fingerprint))
                })
        })
    };
    let held = |store: &Arc<dyn Provider>, history: bool, secret: &str| {
        let mut found = BTreeSet::new();
        secrets_testkit::block_on(values_in(&**store, history, &name(secret), &mut found));
        found
    };
    let secrets: BTreeSet<&String> = told.iter().flatten().map(|(secret, _)| secret).collect();
    let past: BTreeMap<&String, BTreeSet<String>> = secrets
        .iter()
        .map(|secret| (*secret, held(vault, true, secret)))
        .collect();
    for (n, told) in told.iter().enumerate() {
        for (index, (secret, text)) in told.iter().enumerate() {
            let known = past[secret].contains(text);
            if n < 3 {
                assert!(known, "Vault's history lacks `{text}`");
                continue;
            }
            // Its own later write may have replaced it in the file before anybody looked.
            let replaced = told[index + 1..].iter().any(|(later, _)| later == secret);
            // The shared name is written by the other writer of the file, too.
            let shared = secret == "SHARED";
            let there = held(dotenv, false, secret).contains(text);
            assert!(
                known || there || replaced || shared || reported(secret, text),
                "`{text}` is nowhere and nobody was told"
            );
        }
    }
    // At rest both hold the same, and what both writers of the file wrote last to it was seen.
    for secret in secrets {
        let now = |store| held(store, false, secret);
        assert_eq!(now(vault), now(dotenv), "{secret}");
    }
}
