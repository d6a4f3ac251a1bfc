//! Schedules by chance with one source and two or three mirrors, which share one keeper as an environment's
//! mirrors do: persons write in all of them, pushes are killed and cut off at any call. What each mirror had is
//! kept, whatever the others had; in the end all are in step.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use secrets::apply::{self, Fate, Keeper, Work};
use secrets::plan::{Direction, Keep, Rules, Side};
use secrets_api::{
    Capabilities, Change, Ctx, ErrorKind, Guard, Name, OperationId, Provider, ProviderExt as _,
    Result, Revision, Select, Snapshot, Unit, Written, async_trait,
};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::block_on;

use crate::dice::Dice;
use crate::faults::{Death, Harm, strike};
use crate::schedule::Wrap;
use crate::simulate::{failures, number, replayed};
use crate::support::{Clerk, Machine, change, cx, fan, is_settled, layered, name, party};
use crate::truth::values_in;

const NAMES: [&str; 3] = ["ALPHA", "BETA", "GAMMA"];

/// What all schedules together have come to.
#[derive(Default)]
struct Totals {
    killed: AtomicUsize,
    replaced: AtomicUsize,
    /// Values that two mirrors lost at once, of one name.
    together: AtomicUsize,
    windows: AtomicUsize,
}

/// What has happened so far.
#[derive(Default)]
struct Told {
    story: String,
    wrong: Vec<String>,
    written: Vec<(Name, String)>,
    /// What a person replaced or removed, or was overwritten where the store cannot guard.
    given_up: BTreeSet<String>,
    /// What persons have written in a store since a machine last looked there.
    unseen: BTreeSet<(usize, Name)>,
    /// What was looked at once more since the last look at all of a store.
    again: BTreeSet<(usize, Name)>,
    /// Which mirrors of a name a run has replaced a value of.
    replaced: BTreeMap<Name, BTreeSet<usize>>,
}

/// The stores, and everything that happens in them. The first is the source.
struct Place {
    raw: Vec<Arc<dyn Provider>>,
    can: Vec<Capabilities>,
    keeper: Arc<dyn Provider>,
    told: Mutex<Told>,
    dice: Mutex<Dice>,
    faults: Mutex<BTreeMap<usize, Harm>>,
    calls: AtomicUsize,
    death: Death,
    totals: Arc<Totals>,
}

impl Place {
    fn tell(&self, line: &str) {
        let _ = writeln!(self.told.lock().unwrap().story, "{line}");
    }

    fn wrong(&self, line: String) {
        self.tell(&format!("WRONG: {line}"));
        self.told.lock().unwrap().wrong.push(line);
    }

    async fn held(&self, store: usize, name: &Name) -> Option<String> {
        let lookup = self.raw[store].read_one(&cx(), name).await.unwrap();
        let stored = lookup.into_found()?;
        Some(stored.value.expose_text().unwrap().to_owned())
    }

    /// Somebody writes a new value, puts an old one back or removes it.
    async fn somebody_acts(&self, store: usize) {
        let (name, text) = {
            let (mut dice, told) = (self.dice.lock().unwrap(), self.told.lock().unwrap());
            let secret = name(dice.pick(&NAMES));
            let had = told.written.iter().filter(|(of, _)| *of == secret);
            let had: Vec<String> = had.map(|(_, value)| value.clone()).collect();
            let text = match dice.below(10) {
                0 => None,
                1 if !had.is_empty() => Some(dice.pick(&had)),
                _ => Some(format!("v{}", told.written.len())),
            };
            (secret, text)
        };
        let before = self.held(store, &name).await;
        if before == text {
            return;
        }
        change(&*self.raw[store], name.as_str(), text.as_deref()).await;
        self.tell(&format!("  person, {store} {name}: {before:?} → {text:?}"));
        let mut told = self.told.lock().unwrap();
        told.given_up.extend(before);
        if let Some(text) = text {
            // What is put back is acknowledged once more.
            told.given_up.remove(&text);
            told.written.push((name.clone(), text));
        }
        told.unseen.insert((store, name));
    }

    /// All that can be had of a name from a store or from the keeper.
    async fn kept_of(&self, store: usize, name: &Name) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        values_in(&*self.raw[store], self.can[store].history, name, &mut found).await;
        values_in(&*self.keeper, true, name, &mut found).await;
        found
    }

    /// What a run has replaced there: this store's own value is kept, nobody else's.
    async fn judge(&self, store: usize, change: &Change<'_>, before: Option<String>) {
        let after = self.held(store, change.name).await;
        if before == after {
            return;
        }
        let name = change.name;
        self.tell(&format!("    run, {store} {name}: {before:?} → {after:?}"));
        let Some(old) = before else { return };
        if store == 0 {
            self.wrong(format!("a push has written the source: {name}"));
        }
        let key = (store, name.clone());
        let (unseen, again) = {
            let told = self.told.lock().unwrap();
            (told.unseen.contains(&key), told.again.contains(&key))
        };
        if unseen {
            if self.can[store].guard >= Guard::Cooperative {
                self.wrong(format!(
                    "discarded what was written meanwhile: {store} {name} {old}"
                ));
            }
            if !again {
                self.wrong(format!(
                    "overwrote, unguarded, without another look: {store} {name} {old}"
                ));
            }
            self.told.lock().unwrap().given_up.insert(old);
            self.totals.windows.fetch_add(1, Ordering::SeqCst);
            return;
        }
        self.totals.replaced.fetch_add(1, Ordering::SeqCst);
        let several = {
            let mut told = self.told.lock().unwrap();
            let stores = told.replaced.entry(name.clone()).or_default();
            stores.insert(store);
            stores.len() == 2
        };
        self.totals
            .together
            .fetch_add(usize::from(several), Ordering::SeqCst);
        if !self.kept_of(store, name).await.contains(&old) {
            self.wrong(format!("replaced what nobody keeps: {store} {name} {old}"));
        }
    }
}

/// A run's way to one of the stores, or to the keeper.
struct Way {
    place: Arc<Place>,
    store: Option<usize>,
}

impl Way {
    async fn pass<T>(
        &self,
        lost: ErrorKind,
        call: impl Future<Output = Result<T>> + Send,
    ) -> Result<T> {
        let place = &self.place;
        let turns = place.dice.lock().unwrap().below(3);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let nth = place.calls.fetch_add(1, Ordering::SeqCst);
        let harm = place.faults.lock().unwrap().remove(&nth);
        let Some(harm) = harm else {
            return call.await;
        };
        place.tell(&format!("    call {nth}, {:?}: {harm:?}", self.store));
        if let (Harm::RivalBefore, Some(store)) = (harm, self.store) {
            place.somebody_acts(store).await;
        }
        strike(harm, lost, &place.death, call).await
    }
}

#[async_trait]
impl Bend for Way {
    fn label(&self) -> &'static str {
        "Way"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let call = async {
            let snapshot = inner.read(cx, what).await;
            if let Some(store) = self.store {
                let mut told = self.place.told.lock().unwrap();
                let looked_at = |name: &Name| match what {
                    Select::All => true,
                    Select::Names(names) => names.contains(name),
                };
                told.unseen
                    .retain(|(n, name)| *n != store || !looked_at(name));
                match what {
                    Select::All => told.again.retain(|(n, _)| *n != store),
                    Select::Names(names) => {
                        told.again
                            .extend(names.iter().map(|name| (store, name.clone())));
                    }
                }
            }
            snapshot
        };
        self.pass(ErrorKind::Unavailable, call).await
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let call = async {
            let Some(store) = self.store else {
                return inner.write(cx, base, changes).await;
            };
            let mut before = Vec::with_capacity(changes.len());
            for change in changes {
                before.push(self.place.held(store, change.name).await);
            }
            let answer = inner.write(cx, base, changes).await;
            for (change, before) in changes.iter().zip(before) {
                self.place.judge(store, change, before).await;
            }
            answer
        };
        self.pass(ErrorKind::OutcomeUnknown, call).await
    }
}

fn capabilities(dice: &mut Dice) -> Capabilities {
    Capabilities {
        unit: dice.pick(&[Unit::Document, Unit::Secret]),
        guard: dice.pick(&[Guard::None, Guard::Cooperative, Guard::CompareAndSet]),
        history: dice.chance(20),
        restore: false,
        prune: false,
        cheap_poll: false,
        idempotent: dice.chance(30),
        ..Memory::CAPABILITIES
    }
}

/// One schedule under way.
struct Schedule {
    place: Arc<Place>,
    machine: Machine,
    ways: Vec<Arc<dyn Provider>>,
    keeper: Arc<dyn Provider>,
}

impl Schedule {
    fn new(dice: &mut Dice, totals: &Arc<Totals>, wrap: Option<Wrap>) -> Self {
        let mirrors = 2 + dice.below(2);
        let can: Vec<_> = (0..=mirrors).map(|_| capabilities(dice)).collect();
        let stores: Vec<_> = can.iter().map(|can| Memory::new(*can)).collect();
        let every = Capabilities {
            restore: true,
            ..Memory::CAPABILITIES
        };
        let raw = stores.iter().zip(&can).map(|(store, can)| {
            let raw = store.limited_to(Capabilities {
                unit: can.unit,
                ..every
            });
            Arc::new(raw) as Arc<dyn Provider>
        });
        // By operation and names, as the local store is idempotent.
        let keeper: Arc<dyn Provider> = Arc::new(Memory::new(Memory::CAPABILITIES));
        let place = Arc::new(Place {
            raw: raw.collect(),
            keeper: Arc::clone(&keeper),
            told: Mutex::default(),
            dice: Mutex::new(dice.split()),
            faults: Mutex::default(),
            calls: AtomicUsize::new(0),
            death: Death::default(),
            totals: Arc::clone(totals),
            can,
        });
        let way = |provider: Arc<dyn Provider>, store| {
            let place = Arc::clone(&place);
            layered(Bent::new(provider, Way { place, store }))
        };
        let stores = stores.into_iter().enumerate();
        let ways = stores.map(|(n, store)| way(Arc::new(store), Some(n)));
        for (n, can) in place.can.iter().enumerate() {
            let history = if can.history { "history" } else { "" };
            place.tell(&format!(
                "store {n}: {:?} {:?} {history}",
                can.unit, can.guard
            ));
        }
        let keeper = match wrap {
            Some(wrap) => wrap(keeper),
            None => keeper,
        };
        Self {
            ways: ways.collect(),
            keeper: way(keeper, None),
            machine: Machine::new(1),
            place: Arc::clone(&place),
        }
    }

    async fn work(&self, rules: &Rules) -> Work {
        let parties: Vec<_> = self
            .ways
            .iter()
            .enumerate()
            .map(|(n, way)| {
                let keeper = Keeper::Store {
                    label: "memory:keeper".to_owned(),
                    provider: Arc::clone(&self.keeper),
                };
                party(&format!("memory:{n}"), Arc::clone(way), keeper)
            })
            .collect();
        fan(&self.machine, parties, rules).await
    }

    /// One push; none of it is left if it is killed.
    async fn push(
        &self,
        rules: Rules,
        answer: Option<Keep>,
        faults: BTreeMap<usize, Harm>,
    ) -> Option<Work> {
        let place = &self.place;
        place.tell(&format!("push prefer={:?} {answer:?}", rules.prefer));
        place.told.lock().unwrap().replaced.clear();
        place.calls.store(0, Ordering::SeqCst);
        place.death.undo();
        *place.faults.lock().unwrap() = faults;
        let mut work = self.work(&rules).await;
        let mut clerk = Clerk::answering(move |_| answer);
        let cx = cx();
        let ran = tokio::select! {
            biased;
            () = place.death.comes() => None,
            ran = apply::run(&mut work, &cx, &mut clerk) => Some(ran),
        };
        place.faults.lock().unwrap().clear();
        match ran {
            None => {
                place.totals.killed.fetch_add(1, Ordering::SeqCst);
                None
            }
            Some(ran) => {
                if let Err(failure) = ran {
                    place.tell(&format!("    ended: {failure}"));
                }
                Some(work)
            }
        }
    }

    async fn happen(&self, dice: &mut Dice) {
        for _ in 0..4 + dice.below(6) {
            for _ in 0..1 + dice.below(5) {
                let store = dice.below(self.ways.len());
                self.place.somebody_acts(store).await;
            }
            let rules = Rules {
                direction: Direction::To(Side::Right),
                prefer: dice.chance(50).then_some(Side::Left),
                delete: dice.chance(50),
                ..Rules::default()
            };
            let answer = dice.pick(&[None, Some(Keep::Side(Side::Left)), Some(Keep::AsIs)]);
            let harms = [
                Harm::Unreachable,
                Harm::LoseBefore,
                Harm::LoseAfter,
                Harm::KillBefore,
                Harm::KillAfter,
                Harm::RivalBefore,
                Harm::RivalBefore,
            ];
            let faults =
                (0..dice.pick(&[0, 0, 1, 1, 2, 3])).map(|_| (dice.below(14), dice.pick(&harms)));
            let faults = faults.collect();
            self.push(rules, answer, faults).await;
        }
    }

    /// Nothing goes wrong any more, and the source counts.
    async fn come_to_rest(&self) {
        self.place.tell("at last:");
        for turn in 0..3 {
            let rules = Rules {
                direction: Direction::To(Side::Right),
                prefer: Some(Side::Left),
                delete: true,
                ..Rules::default()
            };
            let work = self.push(rules, None, BTreeMap::new()).await.unwrap();
            for link in &work.links {
                let failed = link.outcomes.iter().find(|o| !matches!(o.fate, Fate::Done));
                if link.failed.is_some() || failed.is_some() {
                    self.place
                        .wrong(format!("not clean in peace: {failed:?} {:?}", link.failed));
                }
                let extra = link
                    .plan
                    .count(|a| matches!(a, secrets::plan::Action::Extra { .. }));
                if turn > 0 && !(is_settled(&link.plan) || extra > 0 && link.outcomes.is_empty()) {
                    self.place
                        .wrong(format!("run {turn} in peace has something to do"));
                }
            }
        }
        for secret in NAMES.map(name) {
            let source = self.place.held(0, &secret).await;
            for store in 1..self.ways.len() {
                let held = self.place.held(store, &secret).await;
                // What was never synced is a mirror's own.
                if held != source && source.is_some() {
                    self.place.wrong(format!(
                        "{secret}: {store} holds {held:?}, the source {source:?}"
                    ));
                }
            }
        }
        let (written, given_up) = {
            let told = self.place.told.lock().unwrap();
            (told.written.clone(), told.given_up.clone())
        };
        for (secret, text) in written {
            let mut anywhere = BTreeSet::new();
            for store in 0..self.ways.len() {
                anywhere.extend(self.place.kept_of(store, &secret).await);
            }
            if !anywhere.contains(&text) && !given_up.contains(&text) {
                self.place
                    .wrong(format!("{secret} {text} was acknowledged and is lost"));
            }
        }
    }
}

async fn by_chance(
    seed: u64,
    totals: &Arc<Totals>,
    wrap: Option<Wrap>,
) -> std::result::Result<(), String> {
    let mut dice = Dice::new(seed ^ 0xfa);
    let schedule = Schedule::new(&mut dice, totals, wrap);
    schedule.happen(&mut dice).await;
    schedule.come_to_rest().await;
    let told = schedule.place.told.lock().unwrap();
    match told.wrong.as_slice() {
        [] => Ok(()),
        wrong => Err(format!(
            "{}\n--- the story:\n{}",
            wrong.join("\n"),
            told.story
        )),
    }
}

#[test]
fn every_mirror_s_own_value_is_kept_and_all_converge() {
    let first = number("SECRETS_TEST_SEED", 1);
    // Of as many schedules of two stores a quarter has more.
    let count = number("SECRETS_TEST_SCHEDULES", 1000).div_ceil(4);
    let totals = Arc::new(Totals::default());
    let failures = failures(first..first + count, 3, |seed| {
        block_on(by_chance(seed, &totals, None))
    });
    replayed(&failures, "every_mirror_s_own_value");
    let of = |n: &AtomicUsize| n.load(Ordering::SeqCst);
    let met = [&totals.killed, &totals.replaced, &totals.together].map(of);
    if count >= 250 {
        assert!(
            met.iter().all(|n| *n > 100),
            "killed, replaced, together: {met:?}"
        );
        assert!(of(&totals.windows) < of(&totals.replaced) / 10);
    }
}

/// Takes all that it is given for one operation, as all mirrors' values once were.
struct OneOperation;

#[async_trait]
impl Bend for OneOperation {
    fn label(&self) -> &'static str {
        "OneOperation"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        static ONE: std::sync::LazyLock<OperationId> =
            std::sync::LazyLock::new(OperationId::random);
        let cx = Ctx {
            operation: *ONE,
            ..*cx
        };
        inner.write(&cx, base, changes).await
    }
}

#[test]
fn values_of_two_mirrors_that_are_given_to_the_keeper_as_one_operation_are_found_out() {
    let totals = Arc::new(Totals::default());
    let wrap: Wrap = |keeper| Bent::new(keeper, OneOperation);
    let found = |seed: u64| match block_on(by_chance(seed, &totals, Some(wrap))) {
        Err(story) if story.contains("replaced what nobody keeps") => Err(story),
        _ => Ok(()),
    };
    let failures = failures(1..100, 1, found);
    assert!(!failures.is_empty(), "nobody found it out");
}
