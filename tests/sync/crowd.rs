//! Five writers and two syncers at once, on one Vault document and one `.env`, on a real OpenBao.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all};
use secrets::apply::{Fate, Keeper};
use secrets::plan::{Keep, Rules, Side, Step};
use secrets_api::{Change, ErrorKind, Lookup, Op, Precondition, Provider, ProviderExt as _};
use secrets_memory::Memory;
use secrets_testkit::opening::{TestOpening, key};
use secrets_testkit::servers::OpenBao;
use serde_json::json;

use crate::support::{Clerk, Ends, Machine, bare, cx, folder, layered, name, sync, value};
use crate::truth::values_in;

/// How often each writer writes each of its names, at least.
const ROUNDS: usize = 4;
/// How many of the five write to Vault; the others write to the file.
const AT_VAULT: usize = 3;
const DOCUMENT: &str = "vault:secret/crowd";
/// Which side counts in a conflict, on each machine.
const COUNTS: [Side; 2] = [Side::Left, Side::Right];

/// A write that was acknowledged.
struct Told {
    name: String,
    text: String,
    /// What the writer had read there, and knowingly replaced.
    replaced: Option<String>,
}

/// Writes until the store says so, guarded by what was last seen there.
async fn write(store: &dyn Provider, secret: &str, text: String) -> Told {
    let (name, new) = (name(secret), value(&text));
    for _ in 0..200 {
        let (when, replaced) = match store.read_one(&cx(), &name).await.unwrap() {
            Lookup::Found(stored) => {
                let old = stored.value.expose_text().unwrap().to_owned();
                let version = stored.meta.version.unwrap();
                (Precondition::Version(version), Some(old))
            }
            Lookup::Absent | Lookup::Deleted { .. } => (Precondition::Absent, None),
        };
        let change = Change {
            name: &name,
            op: Op::Put(&new),
            when,
        };
        match store.write_one(&cx(), change).await {
            Ok(_) => {
                return Told {
                    name: secret.to_owned(),
                    text,
                    replaced,
                };
            }
            Err(error) if error.kind() == ErrorKind::Conflict => tokio::task::yield_now().await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{secret} was never written");
}

/// What all syncs together have come to.
#[derive(Default)]
struct Counters {
    runs: AtomicUsize,
    /// Writes that were made.
    made: AtomicUsize,
    /// Conflicts that were shown.
    conflicts: AtomicUsize,
}

impl Counters {
    /// Whether a sync has met the writers: otherwise nothing would be proven.
    fn have_met(&self) -> bool {
        let some = |n: &AtomicUsize| n.load(Ordering::SeqCst) > 0;
        some(&self.made) && some(&self.conflicts)
    }
}

/// All that one writer was told is written. Between two rounds a sync ends: it meets what was written. It
/// goes on until one has.
async fn writer(store: &dyn Provider, n: usize, counters: &Counters) -> Vec<Told> {
    let until = Instant::now() + Duration::from_secs(60);
    let mut told = Vec::new();
    let runs = &counters.runs;
    for round in 0.. {
        if round >= ROUNDS && counters.have_met() {
            break;
        }
        assert!(
            Instant::now() < until,
            "no sync has written and met a conflict"
        );
        for secret in [&format!("OWN_{n}"), "SHARED", "COMMON"] {
            let text = format!("writer {n} round {round} of {secret}");
            told.push(write(store, secret, text).await);
        }
        let before = runs.load(Ordering::SeqCst);
        while runs.load(Ordering::SeqCst) == before {
            assert!(Instant::now() < until, "no sync ends");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    told
}

/// One of the two machines that sync.
struct Syncer {
    machine: Machine,
    ends: Ends,
    keeper: Arc<dyn Provider>,
    counts: Side,
}

impl Syncer {
    /// One run, which is counted; what it has shown as conflicts.
    async fn run(&self, at_peace: bool, counters: &Counters) -> Vec<Step> {
        let counts = self.counts;
        let mut clerk = Clerk::answering(move |_| Some(Keep::Side(counts)));
        let keeper = Keeper::Store {
            label: "memory:keeper".to_owned(),
            provider: Arc::clone(&self.keeper),
        };
        let (machine, ends) = (&self.machine, &self.ends);
        let ran = sync(machine, ends, Rules::default(), keeper, &mut clerk).await;
        assert!(ran.answer.is_ok() && ran.failed.is_none(), "{ran:?}");
        assert!(ran.is_clean() || !at_peace, "{ran:?}");
        for outcome in &ran.outcomes {
            match outcome.fate {
                Fate::Done => counters.made.fetch_add(1, Ordering::SeqCst),
                // Others were faster, again and again.
                Fate::Conflict(_) => 0,
                Fate::Unknown(_) | Fate::Failed(_) => panic!("{outcome:?}"),
            };
        }
        let shown = clerk.conflicts.len();
        counters.conflicts.fetch_add(shown, Ordering::SeqCst);
        counters.runs.fetch_add(1, Ordering::SeqCst);
        clerk.conflicts
    }

    /// Whether the file's value was shown here as one side of a conflict.
    fn was_told(&self, shown: &[Step], secret: &str, text: &str) -> bool {
        let mark = self.machine.keys().fingerprint(&name(secret), &value(text));
        let mut about = shown.iter().filter(|step| step.name.as_str() == secret);
        about.any(|step| step.seen.right.fingerprint() == Some(mark))
    }
}

/// Every value of a name that a store has, or had.
async fn held(store: &dyn Provider, history: bool, secret: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    values_in(store, history, &name(secret), &mut found).await;
    found
}

async fn crowd(syncers: &[Syncer]) {
    let (vault, dotenv) = (&syncers[0].ends.0.left.1, &syncers[0].ends.0.right.1);
    let (left, counters) = (AtomicUsize::new(5), Counters::default());
    let writers = join_all((0..5).map(|n| {
        let store = if n < AT_VAULT { vault } else { dotenv };
        let (left, counters) = (&left, &counters);
        async move {
            let told = writer(&**store, n, counters).await;
            left.fetch_sub(1, Ordering::SeqCst);
            told
        }
    }));
    let syncing = join_all(syncers.iter().map(|syncer| {
        let (left, counters) = (&left, &counters);
        async move {
            let mut shown = Vec::new();
            while left.load(Ordering::SeqCst) > 0 {
                shown.extend(syncer.run(false, counters).await);
            }
            shown
        }
    }));
    let (told, mut shown) = join(writers, syncing).await;
    // Nobody writes any more: both come to rest.
    for _ in 0..2 {
        for (syncer, shown) in syncers.iter().zip(&mut shown) {
            shown.extend(syncer.run(true, &counters).await);
        }
    }

    let secrets: BTreeSet<&str> = told.iter().flatten().map(|t| t.name.as_str()).collect();
    let (mut past, mut kept, mut there) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for secret in secrets {
        past.insert(secret, held(&**vault, true, secret).await);
        there.insert(secret, held(&**dotenv, false, secret).await);
        assert_eq!(there[secret], held(&**vault, false, secret).await);
        let mut all = BTreeSet::new();
        for syncer in syncers {
            all.append(&mut held(&*syncer.keeper, true, secret).await);
        }
        kept.insert(secret, all);
    }
    let at_file = || told[AT_VAULT..].iter().flatten();
    for Told { name, text, .. } in told[..AT_VAULT].iter().flatten() {
        assert!(
            past[name.as_str()].contains(text),
            "Vault's history lacks `{text}`"
        );
    }
    for Told { name, text, .. } in at_file() {
        let secret = name.as_str();
        let copied = past[secret].contains(text);
        let present = there[secret].contains(text);
        let known_to_next = at_file().any(|t| t.name == *name && t.replaced.as_ref() == Some(text));
        let reported = || {
            let mut all = syncers.iter().zip(&shown);
            kept[secret].contains(text)
                && all.any(|(syncer, shown)| syncer.was_told(shown, secret, text))
        };
        assert!(
            present || copied || known_to_next || reported(),
            "`{text}` is nowhere and nobody was told"
        );
    }
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
    let openings = [1, 2].map(|n| {
        let mut opening = TestOpening::new().with_variables([
            ("BAO_ADDR", server.address()),
            ("BAO_TOKEN", "root-token-of-the-tests"),
        ]);
        opening.machine_key = key(&[n; 32]);
        opening
    });
    let syncers: Vec<Syncer> = openings
        .iter()
        .zip(COUNTS)
        .zip(1..)
        .map(|((opening, counts), n)| {
            let store = |uri: &str| layered(bare(opening, uri));
            Syncer {
                machine: Machine::new(n),
                ends: Ends::new((DOCUMENT, store(DOCUMENT)), (&file, store(&file))),
                keeper: Arc::new(Memory::new(Memory::CAPABILITIES)),
                counts,
            }
        })
        .collect();
    secrets_testkit::block_on(crowd(&syncers));
}
