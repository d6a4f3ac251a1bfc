//! Schedules from a seed: persons who write, machines that sync and are killed or cut off at any call, and
//! what must hold whatever happens:
//!
//! 1. it converges: once nothing goes wrong any more, one run makes both sides the same, and all later ones
//!    find nothing to do;
//! 2. no acknowledged value is lost, nor replaced without a word by one that never knew of it;
//! 3. what is said to be done is done, and what is said to have failed is not;
//! 4. a value that somebody put back is not overwritten in silence, where the store has versions;
//! 5. no value is in any file of a state folder.
//!
//! A kill drops the run at a call, which leaves behind what a killed process does: files, stores, no lock.
//! Between two calls a run does nothing that lasts but to note, in a file that is replaced whole: a kill
//! before the note is one after the call before it, a kill after it is one before the next call. The
//! only window left is the announced one: a store that cannot guard, between our look and our write.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use secrets::apply::{Desk, Fate, Keeper, Outcome, Progress, Verdict, Work};
use secrets::base::Keys;
use secrets::choice::Chosen;
use secrets::exit::{Exit, Failure};
use secrets::flags;
use secrets::plan::{Action, Direction, Fingerprint, Keep, Plan, Rules, Side, Sides, Step, merge};
use secrets_api::{Capabilities, Guard, Name, Provider, Unit};
use secrets_memory::Memory;
use secrets_testkit::bend::Bent;
use secrets_testkit::canary::Canary;
use secrets_testkit::fakes::azure::Azure;
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::opening::TestOpening;

use crate::dice::Dice;
use crate::faults::{Faulty, Harm, Injector, Tally};
use crate::shapes::{AsFile, Nameless};
use crate::support::{
    Ends, Machine, Ran, Task, Unwatched, bare, choose, is_settled, layered, name, sync_some, value,
};
use crate::truth::{Recorder, Round, Store, Truth};

const NAMES: [&str; 6] = ["ALPHA", "BETA", "GAMMA", "DELTA", "EPSILON", "ZETA"];
/// How many machines sync the two stores.
const MACHINES: usize = 2;
/// Of a hundred schedules so many have a store on a (fake) network.
const REMOTE: usize = 3;

/// What all schedules together have come to.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) harms: Arc<Tally>,
    pub(crate) runs: AtomicUsize,
    pub(crate) killed: AtomicUsize,
    pub(crate) conflicts: AtomicUsize,
    pub(crate) done: AtomicUsize,
    pub(crate) unknown: AtomicUsize,
    pub(crate) windows: AtomicUsize,
    pub(crate) remote: AtomicUsize,
}

impl Totals {
    fn add(&self, to: &AtomicUsize, count: usize) {
        to.fetch_add(count, Ordering::SeqCst);
    }

    /// In a line.
    pub(crate) fn words(&self) -> String {
        let of = |n: &AtomicUsize| n.load(Ordering::SeqCst);
        let mut words = format!(
            "{} runs, {} killed, {} conflicts shown, {} writes done, {} unknown, {} lost unguarded, {} schedules with a fake;",
            of(&self.runs),
            of(&self.killed),
            of(&self.conflicts),
            of(&self.done),
            of(&self.unknown),
            of(&self.windows),
            of(&self.remote),
        );
        for harm in Harm::ALL {
            let _ = write!(words, " {harm:?} {}", self.harms.of(harm));
        }
        words
    }
}

/// Makes a store a worse one.
pub(crate) type Wrap = fn(Arc<dyn Provider>) -> Arc<dyn Provider>;

/// Makes something in a schedule behave wrongly: what shows that the simulation can fail.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sabotage {
    /// What every store of the schedule can do, where that is not left to chance.
    pub(crate) can: Option<Capabilities>,
    /// Wraps both stores.
    pub(crate) store: Option<Wrap>,
    /// Wraps both keepers.
    pub(crate) keeper: Option<Wrap>,
}

/// What keeps a fake service alive.
enum Service {
    Azure(Box<Azure>),
    Gcp(Box<Gcp>),
}

impl Service {
    /// Whether it was asked at all.
    fn was_asked(&self) -> bool {
        match self {
            Self::Azure(fake) => !fake.log().is_empty(),
            Self::Gcp(fake) => !fake.server().log().is_empty(),
        }
    }
}

fn capabilities(dice: &mut Dice) -> Capabilities {
    Capabilities {
        unit: dice.pick(&[Unit::Document, Unit::Secret]),
        guard: dice.pick(&[
            Guard::None,
            Guard::CreateOnly,
            Guard::Cooperative,
            Guard::CompareAndSet,
        ]),
        history: dice.chance(50),
        restore: dice.chance(40),
        idempotent: dice.chance(30),
        own_versions: dice.chance(60),
        prune: false,
        cheap_poll: false,
        limits: secrets_api::Limits {
            concurrency: dice.pick(&[1, 2, 8]),
            ..Memory::CAPABILITIES.limits
        },
        ..Memory::CAPABILITIES
    }
}

fn memory_store(dice: &mut Dice, sabotage: &Sabotage, story: &mut String) -> Store {
    let thrown = capabilities(dice);
    let can = sabotage.can.unwrap_or(thrown);
    let nameless = can.guard <= Guard::CreateOnly && !can.history && dice.chance(50);
    let is_file = can.unit == Unit::Document && !can.restore && dice.chance(50);
    let _ = write!(
        story,
        " {:?} {:?}{}{}{}{}{}{};",
        can.unit,
        can.guard,
        if can.history { " history" } else { "" },
        if can.restore { " restore" } else { "" },
        if can.idempotent { " idempotent" } else { "" },
        if can.own_versions {
            " own versions"
        } else {
            ""
        },
        if nameless { " no versions" } else { "" },
        if is_file { " file" } else { "" },
    );
    let memory = Memory::new(can);
    // Persons can do all of it; what versions are is the store's own.
    let raw = Arc::new(memory.limited_to(Capabilities {
        unit: can.unit,
        own_versions: can.own_versions,
        ..Memory::CAPABILITIES
    }));
    let mut provider: Arc<dyn Provider> = Arc::new(memory);
    if nameless {
        provider = Bent::new(provider, Nameless);
    }
    if is_file {
        provider = Bent::new(provider, AsFile);
    }
    if let Some(bend) = sabotage.store {
        provider = bend(provider);
    }
    Store {
        provider,
        raw,
        versions: !nameless,
        is_file,
        remote: false,
    }
}

fn remote_store(dice: &mut Dice, story: &mut String) -> (Service, TestOpening, Store) {
    let (service, opening, uri) = if dice.chance(50) {
        let fake = Azure::start();
        let opening = fake.opening();
        (Service::Azure(Box::new(fake)), opening, "azure:shop/place")
    } else {
        let fake = Gcp::plain();
        let opening = TestOpening::new()
            .with_addresses([fake.server().url()])
            .with_auth("anonymous", &[]);
        (Service::Gcp(Box::new(fake)), opening, "gcp:shop/place")
    };
    let _ = write!(story, " {uri};");
    let store = Store {
        provider: bare(&opening, uri),
        raw: layered(bare(&opening, uri)),
        versions: true,
        is_file: false,
        remote: true,
    };
    (service, opening, store)
}

/// What a desk answers when it is shown a conflict.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Leave,
    /// One or the other, by chance.
    Either,
    AsIs,
}

/// A desk that accepts all plans, answers conflicts, and holds what is said to be done against the truth.
struct Judge {
    truth: Arc<Truth>,
    machine: usize,
    keys: Keys,
    manner: Manner,
    dice: Dice,
    /// How many outcomes of this run have been checked.
    checked: usize,
    /// What this round is to write, and when it began.
    intended: BTreeMap<Name, (Side, Option<Fingerprint>)>,
    since: usize,
    conflicts: usize,
    writes: usize,
}

impl Judge {
    /// Checks what the last round is said to have done.
    fn check(&mut self, outcomes: &[Outcome]) {
        for outcome in &outcomes[self.checked..] {
            let (name, to) = (&outcome.name, outcome.to);
            let Some((side, wanted)) = self.intended.get(name) else {
                let line = format!("an outcome of {name}, which was not planned");
                self.truth.wrong(line);
                continue;
            };
            let is_wanted = |value_there: Option<&str>| {
                let there = value_there.map(|text| self.keys.fingerprint(name, &value(text)));
                there == *wanted
            };
            let line = match &outcome.fate {
                Fate::Done if *side != to || !self.truth.was(to, name, self.since, is_wanted) => {
                    "is said to be done and was never there"
                }
                Fate::Failed(_) if self.truth.has_changed(self.machine, to, name, self.since) => {
                    "is said to have failed and was written"
                }
                _ => continue,
            };
            let machine = self.machine;
            self.truth
                .wrong(format!("machine {machine}: {name} {} {line}", to.word()));
        }
        self.checked = outcomes.len();
    }

    fn answer(&mut self, step: &Step) -> Option<Keep> {
        self.conflicts += 1;
        let keep = match self.manner {
            Manner::Leave => None,
            Manner::AsIs => Some(Keep::AsIs),
            Manner::Either => Some(Keep::Side(self.dice.pick(&Side::BOTH))),
        };
        let line = format!(
            "    Machine({}) is shown {:?} of {}: {keep:?}",
            self.machine, step.action, step.name
        );
        self.truth.tell(line);
        keep
    }
}

impl Desk for Judge {
    fn decide(&mut self, work: &mut Work, round: usize) -> Result<Verdict, Failure> {
        let mut link = work.links.pop().unwrap();
        self.check(&link.outcomes);
        let again = choose(&mut link, |step| self.answer(step));
        if !again {
            let plain = Rules {
                prefer: None,
                choices: BTreeMap::new(),
                ..link.rules.clone()
            };
            let mut said = Round::default();
            self.intended.clear();
            // Of a document that is not there nothing is remembered.
            let missing = work.observed.iter().flatten().any(|seen| seen.missing);
            for step in link.plan.writes() {
                let memory = link.kept.base().get(&step.name).filter(|_| !missing);
                let memory = memory.cloned().unwrap_or_default();
                let seen = Sides {
                    left: &step.seen.left,
                    right: &step.seen.right,
                };
                if let Some(intent) = memory.intent {
                    let moved = (step.name.clone(), intent.to.other());
                    said.moved.insert(moved);
                }
                if link.rules.choices.contains_key(&step.name) {
                    said.chosen.insert(step.name.clone());
                }
                let natural = merge(&step.name, &memory, seen, &plain);
                if matches!(natural, Some(Action::Conflict(_))) {
                    said.decided.insert(step.name.clone());
                }
                if let Some(to) = step.action.target() {
                    let wanted = step.seen.of(to.other()).fingerprint();
                    self.intended.insert(step.name.clone(), (to, wanted));
                }
            }
            self.writes += self.intended.len();
            self.since = self.truth.clock();
            let plan = words(&link.plan);
            self.truth.tell(format!(
                "    Machine({}) round {round}:{plan}",
                self.machine
            ));
            self.truth.go(self.machine, said);
        }
        work.links.push(link);
        Ok(if again {
            Verdict::Replan
        } else {
            Verdict::Agreed
        })
    }

    fn begin(&self, _total: usize) -> Box<dyn Progress> {
        Box::new(Unwatched)
    }
}

fn words(plan: &Plan) -> String {
    plan.steps.iter().fold(String::new(), |mut text, step| {
        let _ = write!(text, " {} {:?};", step.name, step.action);
        text
    })
}

fn faulty(injector: &Arc<Injector>, side: Option<Side>) -> Faulty {
    Faulty {
        injector: Arc::clone(injector),
        side,
    }
}

/// One of the machines, with its own way to the stores.
struct Seat {
    machine: Machine,
    injector: Arc<Injector>,
    ends: Ends,
    keeper: Arc<dyn Provider>,
}

/// How one run is to be.
struct Way {
    /// Whether it is about this name alone.
    only: Option<Name>,
    rules: Rules,
    manner: Manner,
    keeper: Keeper,
    faults: BTreeMap<usize, Harm>,
    dice: Dice,
}

/// One schedule under way.
struct Schedule<'a> {
    truth: Arc<Truth>,
    seats: Vec<Seat>,
    totals: &'a Totals,
    canary: Canary,
    /// Whether what is replaced is kept where no history keeps it.
    keeps: bool,
}

impl<'a> Schedule<'a> {
    fn new(
        dice: &mut Dice,
        names: usize,
        stores: Sides<Store>,
        totals: &'a Totals,
        sabotage: &Sabotage,
    ) -> Self {
        let canary = Canary::random();
        let names = NAMES[..names].iter().map(|n| name(n)).collect();
        let keepers: Vec<Arc<dyn Provider>> = (0..MACHINES)
            .map(|_| Arc::new(Memory::new(Memory::CAPABILITIES)) as Arc<dyn Provider>)
            .collect();
        let mark = format!("{}-", canary.text());
        let truth = Truth::new(names, stores, keepers, &mark);
        let seats = (0..MACHINES).map(|n| {
            let machine = Machine::new(u8::try_from(n).unwrap());
            let state = machine.state().to_owned();
            let injector = Injector::new(&truth, n, state, &totals.harms);
            let way = |side: Side| {
                let recorder = Recorder {
                    truth: Arc::clone(&truth),
                    machine: n,
                    side,
                };
                let store = Arc::clone(&truth.stores.of(side).provider);
                let store = Bent::new(store, recorder);
                layered(Bent::new(store, faulty(&injector, Some(side))))
            };
            let mut keeper = Arc::clone(&truth.keepers[n]);
            if let Some(bend) = sabotage.keeper {
                keeper = bend(keeper);
            }
            Seat {
                ends: Ends::new(
                    ("memory:left", way(Side::Left)),
                    ("memory:right", way(Side::Right)),
                ),
                keeper: layered(Bent::new(keeper, faulty(&injector, None))),
                machine,
                injector,
            }
        });
        Self {
            seats: seats.collect(),
            truth: Arc::clone(&truth),
            totals,
            canary,
            keeps: dice.chance(85),
        }
    }

    /// One run on one machine, which may be killed in it: then there is no answer.
    async fn run(&self, n: usize, way: Way) -> Option<Ran> {
        let seat = &self.seats[n];
        self.truth.tell(format!(
            "  Machine({n}) syncs {:?} only={:?} delete={} prefer={:?} {:?} keeper={}",
            way.rules.direction,
            way.only.as_ref().map(Name::as_str),
            way.rules.delete,
            way.rules.prefer,
            way.manner,
            match way.keeper {
                Keeper::Store { .. } => "store",
                Keeper::Nobody(_) => "nobody",
                Keeper::NotWanted => "not wanted",
            }
        ));
        self.truth
            .begin(n, &way.rules, way.only.as_ref(), self.keeps);
        let mut judge = Judge {
            truth: Arc::clone(&self.truth),
            machine: n,
            keys: seat.machine.keys(),
            manner: way.manner,
            dice: way.dice.clone(),
            checked: 0,
            intended: BTreeMap::new(),
            since: 0,
            conflicts: 0,
            writes: 0,
        };
        seat.injector.arm(way.dice, way.faults);
        let chosen = Chosen::new(&flags::Choice {
            only: way.only.iter().map(ToString::to_string).collect(),
            except: Vec::new(),
        });
        let task = Task {
            rules: way.rules,
            keeper: way.keeper,
            chosen,
        };
        let run = sync_some(&seat.machine, &seat.ends, task, &mut judge);
        let ran = tokio::select! {
            biased;
            () = seat.injector.killed() => None,
            ran = run => Some(ran),
        };
        self.truth.settled().await;
        seat.injector.mend();
        self.totals.add(&self.totals.runs, 1);
        self.totals.add(&self.totals.conflicts, judge.conflicts);
        let Some(ran) = ran else {
            self.totals.add(&self.totals.killed, 1);
            return None;
        };
        judge.check(&ran.outcomes);
        for outcome in &ran.outcomes {
            match &outcome.fate {
                Fate::Done => self.totals.add(&self.totals.done, 1),
                Fate::Unknown(_) => self.totals.add(&self.totals.unknown, 1),
                _ => {}
            }
            if let Some(failure) = outcome.fate.failure() {
                self.truth.tell(format!("    {} {failure}", outcome.name));
            }
        }
        if let Err(failure) = &ran.answer {
            self.truth.tell(format!("    ended: {failure}"));
            let wrote = self.intended_happened(n, &judge);
            if wrote && failure.exit != Exit::Partly {
                self.truth.wrong(format!(
                    "machine {n} wrote and failed as if it had not: {failure}"
                ));
            }
        }
        Some(ran)
    }

    /// Whether the last round of a run changed anything.
    fn intended_happened(&self, n: usize, judge: &Judge) -> bool {
        let mut intended = judge.intended.iter();
        intended.any(|(name, (to, _))| self.truth.has_changed(n, *to, name, judge.since))
    }

    /// A run as it may come.
    fn any_way(&self, n: usize, dice: &mut Dice) -> Way {
        let direction = match dice.below(10) {
            0..6 => Direction::Both,
            6 | 7 => Direction::To(Side::Right),
            _ => Direction::To(Side::Left),
        };
        let prefer = dice.chance(10).then(|| dice.pick(&Side::BOTH));
        let rules = Rules {
            direction,
            prefer,
            delete: dice.chance(50),
            ..Rules::default()
        };
        let count = dice.pick(&[0, 0, 1, 1, 1, 1, 2, 2, 3, 4]);
        let faults = (0..count).map(|_| (dice.below(9), dice.pick(&Harm::ALL)));
        let faults = faults.collect();
        let keeper = match self.keeps {
            true if dice.chance(15) => Keeper::Nobody(Failure::new(Exit::Failed, "there is none")),
            _ => self.keeper(n),
        };
        let only = dice.chance(10).then(|| dice.pick(&self.truth.names));
        Way {
            only,
            rules,
            manner: dice.pick(&[
                Manner::Leave,
                Manner::Leave,
                Manner::Either,
                Manner::Either,
                Manner::AsIs,
            ]),
            keeper,
            faults,
            dice: dice.split(),
        }
    }

    /// A run that leaves nothing open, and in which nothing goes wrong.
    fn thorough(&self, n: usize, dice: &mut Dice) -> Way {
        Way {
            only: None,
            rules: Rules {
                delete: true,
                ..Rules::default()
            },
            manner: Manner::Either,
            keeper: self.keeper(n),
            faults: BTreeMap::new(),
            dice: dice.split(),
        }
    }

    fn keeper(&self, n: usize) -> Keeper {
        if !self.keeps {
            return Keeper::NotWanted;
        }
        Keeper::Store {
            label: "memory:keeper".to_owned(),
            provider: Arc::clone(&self.seats[n].keeper),
        }
    }

    /// What a machine remembers is gone, or damaged.
    fn lose_memory(&self, n: usize, dice: &mut Dice) {
        for base in self.seats[n].injector.bases() {
            let Ok(mut bytes) = std::fs::read(&base) else {
                continue;
            };
            self.truth.tell(format!("  Machine({n}) forgets"));
            if dice.chance(50) {
                std::fs::remove_file(&base).unwrap();
            } else {
                let place = dice.below(bytes.len());
                bytes[place] ^= 1;
                std::fs::write(&base, bytes).unwrap();
            }
        }
    }

    /// Everything happens: persons act, machines sync, alone and at once.
    async fn happen(&self, dice: &mut Dice) {
        let persons = Mutex::new(dice.split());
        for _ in 0..2 + dice.below(5) {
            self.truth.somebody_acts(&persons, None).await;
        }
        for event in 0..5 + dice.below(26) {
            self.truth.tell(format!("{event}."));
            match dice.below(100) {
                0..55 => self.truth.somebody_acts(&persons, None).await,
                55..90 => {
                    let n = dice.below(MACHINES);
                    let way = self.any_way(n, dice);
                    self.run(n, way).await;
                }
                90..96 => {
                    let ways = (self.any_way(0, dice), self.any_way(1, dice));
                    tokio::join!(self.run(0, ways.0), self.run(1, ways.1));
                }
                96 | 97 => self.truth.vanish(dice.pick(&Side::BOTH)).await,
                _ => self.lose_memory(dice.below(MACHINES), dice),
            }
        }
    }

    /// Nothing goes wrong any more.
    async fn come_to_rest(&self, dice: &mut Dice) {
        self.truth.tell("at last:");
        let first = dice.below(MACHINES);
        for (turn, n) in [first, 1 - first, first, first].into_iter().enumerate() {
            let Some(ran) = self.run(n, self.thorough(n, dice)).await else {
                self.truth.wrong("killed without cause");
                return;
            };
            if !ran.is_clean() {
                self.truth
                    .wrong(format!("run {turn} in peace is not clean: {ran:?}"));
            }
            let only_same = ran.plan.count(|a| *a != Action::Same) == 0;
            if turn > 0 && !is_settled(&ran.plan) || turn > 2 && !only_same {
                self.truth
                    .wrong(format!("run {turn} in peace has something to do"));
            }
        }
        self.truth.check_the_end().await;
    }

    /// No value is in any file that a machine keeps.
    fn check_the_files(&self) {
        for seat in &self.seats {
            let mut folders = vec![seat.machine.state().to_owned()];
            while let Some(folder) = folders.pop() {
                for entry in std::fs::read_dir(folder).unwrap() {
                    let path = entry.unwrap().path();
                    if path.is_dir() {
                        folders.push(path);
                    } else if let Some(form) = self.canary.found_in(&std::fs::read(&path).unwrap())
                    {
                        let file = path.file_name().unwrap().display();
                        self.truth.wrong(format!("a value is in {file} {form}"));
                    }
                }
            }
        }
    }
}

/// One whole schedule by chance; what is wrong and the story, if anything is.
pub(crate) async fn by_chance(
    seed: u64,
    totals: &Totals,
    sabotage: &Sabotage,
) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let mut story = String::from("stores:");
    let mut service = None;
    let left = memory_store(&mut dice, sabotage, &mut story);
    let right = if sabotage.can.is_none() && dice.chance(REMOTE) {
        totals.add(&totals.remote, 1);
        let (fake, opening, store) = remote_store(&mut dice, &mut story);
        service = Some((fake, opening));
        store
    } else {
        memory_store(&mut dice, sabotage, &mut story)
    };
    let names = 3 + dice.below(4);
    let stores = Sides { left, right };
    let schedule = Schedule::new(&mut dice, names, stores, totals, sabotage);
    schedule.truth.tell(story);
    schedule.happen(&mut dice).await;
    schedule.come_to_rest(&mut dice).await;
    schedule.check_the_files();
    totals.add(&totals.windows, schedule.truth.windows());
    if service.is_some_and(|(fake, _)| !fake.was_asked()) {
        schedule.truth.wrong("the fake was never asked");
    }
    schedule.truth.verdict()
}

/// One sync that has something of everything to do, harmed at its `nth` call, and then run again. Whether
/// there was such a call.
pub(crate) async fn harmed_at(
    seed: u64,
    harm: Harm,
    nth: usize,
    totals: &Totals,
) -> Result<bool, String> {
    let mut dice = Dice::new(seed);
    let mut story = format!("{harm:?} at call {nth}, stores:");
    let sabotage = Sabotage::default();
    let stores = Sides {
        left: memory_store(&mut dice, &sabotage, &mut story),
        right: memory_store(&mut dice, &sabotage, &mut story),
    };
    let schedule = Schedule::new(&mut dice, 5, stores, totals, &sabotage);
    let truth = &schedule.truth;
    truth.tell(story);
    let [deleted, changed, new, disputed, same] = &truth.names[..] else {
        unreachable!("five names were asked for");
    };
    for name in [deleted, changed, disputed, same] {
        truth.somebody_puts(Side::Left, name).await;
    }
    schedule.run(0, schedule.thorough(0, &mut dice)).await;
    truth.somebody_removes(Side::Left, deleted).await;
    truth.somebody_puts(Side::Right, changed).await;
    truth.somebody_puts(Side::Left, new).await;
    truth.somebody_puts(Side::Left, disputed).await;
    truth.somebody_puts(Side::Right, disputed).await;
    let mut way = schedule.thorough(0, &mut dice);
    way.faults.insert(nth, harm);
    schedule.run(0, way).await;
    let struck = schedule.seats[0].injector.calls() > nth;
    schedule.come_to_rest(&mut dice).await;
    schedule.check_the_files();
    truth.verdict().map(|()| struck)
}

/// A value that somebody replaced and put back, and that a sync replaces by another one which a person chose.
pub(crate) async fn put_back_and_replaced(sabotage: &Sabotage) -> Result<(), String> {
    let (mut dice, totals) = (Dice::new(1), Totals::default());
    let mut story = String::from("stores:");
    let stores = Sides {
        left: memory_store(&mut dice, sabotage, &mut story),
        right: memory_store(&mut dice, sabotage, &mut story),
    };
    let mut schedule = Schedule::new(&mut dice, 1, stores, &totals, sabotage);
    schedule.keeps = true;
    let truth = &schedule.truth;
    truth.tell(story);
    let name = &truth.names[0];
    truth.somebody_puts(Side::Left, name).await;
    let old = truth.standing(Side::Left, name).unwrap();
    truth.somebody_puts(Side::Left, name).await;
    truth.somebody_puts_back(Side::Left, name, &old).await;
    truth.somebody_puts(Side::Right, name).await;
    let mut way = schedule.thorough(0, &mut dice);
    way.rules.prefer = Some(Side::Right);
    way.manner = Manner::Leave;
    schedule.run(0, way).await;
    schedule.come_to_rest(&mut dice).await;
    truth.verdict()
}
