//! What goes wrong at one call of a run: the answer is lost, the process dies, the store asks for time,
//! somebody else writes, the state folder cannot be written any more.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use secrets::plan::Side;
use secrets_api::{
    Change, Ctx, Error, ErrorKind, Meta, Name, Provider, Result, Revision, Select, Snapshot, Unit,
    Written, async_trait,
};
use secrets_testkit::bend::Bend;
use tokio::sync::Notify;

use crate::dice::Dice;
use crate::truth::Truth;

/// What is done to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Harm {
    /// The store cannot be reached: no effect.
    Unreachable,
    /// The store has done nothing and asks to be called later.
    RateLimit,
    /// The connection ends before the store has seen the call.
    LoseBefore,
    /// The store carries the call out; its answer is lost.
    LoseAfter,
    /// The same, of the single changes of a store of single secrets.
    LoseItems,
    /// The process dies before the store has seen the call.
    KillBefore,
    /// The process dies when the store has carried the call out.
    KillAfter,
    /// Somebody else writes just before.
    RivalBefore,
    /// Somebody else writes just after.
    RivalAfter,
    /// From now on nothing can be noted.
    Unnotable,
}

impl Harm {
    /// All of them.
    pub(crate) const ALL: [Self; 10] = [
        Self::Unreachable,
        Self::RateLimit,
        Self::LoseBefore,
        Self::LoseAfter,
        Self::LoseItems,
        Self::KillBefore,
        Self::KillAfter,
        Self::RivalBefore,
        Self::RivalAfter,
        Self::Unnotable,
    ];
}

/// How often each harm was done, in all schedules.
#[derive(Debug, Default)]
pub(crate) struct Tally([AtomicUsize; Harm::ALL.len()]);

impl Tally {
    fn count(&self, harm: Harm) {
        self.0[harm as usize].fetch_add(1, Ordering::SeqCst);
    }

    /// How often this was done.
    pub(crate) fn of(&self, harm: Harm) -> usize {
        self.0[harm as usize].load(Ordering::SeqCst)
    }
}

/// What goes wrong in one run on one machine, by the number of the call to any of its stores.
pub(crate) struct Injector {
    truth: Arc<Truth>,
    machine: usize,
    state: PathBuf,
    tally: Arc<Tally>,
    /// The dice of this run: how long calls dawdle, what rivals do.
    dice: Mutex<Dice>,
    faults: Mutex<BTreeMap<usize, Harm>>,
    calls: AtomicUsize,
    death: Death,
}

/// A process that can die, once, in whatever it was doing.
#[derive(Default)]
pub(crate) struct Death {
    met: AtomicBool,
    told: Notify,
}

impl Death {
    /// Before a run: whoever died in the one before it, or as that ended, lives again.
    pub(crate) fn undo(&self) {
        self.met.store(false, Ordering::SeqCst);
        let _ = self.told.notified().now_or_never();
    }

    /// Ends when the process is to die.
    pub(crate) async fn comes(&self) {
        self.told.notified().await;
    }

    /// It dies here.
    pub(crate) async fn die(&self) -> ! {
        if !self.met.swap(true, Ordering::SeqCst) {
            self.told.notify_one();
        }
        loop {
            std::future::pending::<()>().await;
        }
    }
}

impl Injector {
    pub(crate) fn new(
        truth: &Arc<Truth>,
        machine: usize,
        state: PathBuf,
        tally: &Arc<Tally>,
    ) -> Arc<Self> {
        Arc::new(Self {
            truth: Arc::clone(truth),
            machine,
            state,
            tally: Arc::clone(tally),
            dice: Mutex::new(Dice::new(0)),
            faults: Mutex::default(),
            calls: AtomicUsize::new(0),
            death: Death::default(),
        })
    }

    /// Before a run.
    pub(crate) fn arm(&self, dice: Dice, faults: BTreeMap<usize, Harm>) {
        *self.dice.lock().unwrap() = dice;
        *self.faults.lock().unwrap() = faults;
        self.calls.store(0, Ordering::SeqCst);
        self.death.undo();
    }

    /// How many calls the run has made.
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Ends when the process is to die: whoever waits for it drops the run, and with it all that was in
    /// memory. What a `kill -9` leaves behind is the same: files as they are, and no lock.
    pub(crate) async fn killed(&self) {
        self.death.comes().await;
    }

    /// What this call meets.
    fn next(&self) -> Option<Harm> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        let harm = self.faults.lock().unwrap().remove(&n)?;
        self.tally.count(harm);
        self.truth
            .tell(format!("    Machine({}) call {n}: {harm:?}", self.machine));
        Some(harm)
    }

    /// Others get a turn: the stores answer in any order.
    async fn dawdle(&self) {
        let turns = self.dice.lock().unwrap().below(4);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    }

    /// A folder stands where the file is to be replaced.
    fn spoil(&self) {
        for file in self.bases().into_iter().filter(|file| !file.is_dir()) {
            let _ = std::fs::rename(&file, file.with_extension("away"));
            let _ = std::fs::create_dir(&file);
        }
    }

    /// As it was before [`Harm::Unnotable`].
    pub(crate) fn mend(&self) {
        for file in self.bases().into_iter().filter(|file| file.is_dir()) {
            std::fs::remove_dir(&file).unwrap();
            let _ = std::fs::rename(file.with_extension("away"), &file);
        }
    }

    /// What the machine remembers, by file.
    pub(crate) fn bases(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.state.join("sync")) else {
            return Vec::new();
        };
        let folders = entries.map(|entry| entry.unwrap().path());
        folders.map(|folder| folder.join("base.json")).collect()
    }
}

/// What a harm makes of the call itself; those around a call leave it as it is.
pub(crate) async fn strike<T>(
    harm: Harm,
    lost: ErrorKind,
    death: &Death,
    call: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let is = |kind: ErrorKind| Error::new(kind, "it went wrong as the test asked");
    match harm {
        Harm::Unreachable => Err(is(ErrorKind::Unavailable)),
        Harm::RateLimit => {
            Err(is(ErrorKind::RateLimited).with_retry_after(Duration::from_millis(5)))
        }
        Harm::LoseBefore => Err(is(lost)),
        Harm::LoseAfter => {
            call.await?;
            Err(is(lost))
        }
        Harm::KillBefore => death.die().await,
        Harm::KillAfter => {
            let _ = call.await;
            death.die().await
        }
        Harm::LoseItems | Harm::RivalBefore | Harm::RivalAfter | Harm::Unnotable => call.await,
    }
}

/// A machine's way to a store: calls go wrong on it.
pub(crate) struct Faulty {
    pub(crate) injector: Arc<Injector>,
    /// Which of the two stores, if it is one of them.
    pub(crate) side: Option<Side>,
}

impl Faulty {
    async fn pass<T>(
        &self,
        lost: ErrorKind,
        names: &[Name],
        call: impl Future<Output = Result<T>> + Send,
        lose_items: impl FnOnce(T) -> Result<T> + Send,
    ) -> Result<T> {
        let injector = &self.injector;
        let about = self.side.map(|side| (side, names));
        injector.dawdle().await;
        let Some(harm) = injector.next() else {
            let answer = call.await;
            injector.dawdle().await;
            return answer;
        };
        let rival = || injector.truth.somebody_acts(&injector.dice, about);
        match harm {
            Harm::RivalBefore => rival().await,
            Harm::Unnotable => injector.spoil(),
            _ => {}
        }
        let answer = strike(harm, lost, &injector.death, call).await;
        match harm {
            Harm::RivalAfter => rival().await,
            Harm::LoseItems => return lose_items(answer?),
            _ => {}
        }
        answer
    }
}

#[async_trait]
impl Bend for Faulty {
    fn label(&self) -> &'static str {
        "Faulty"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        self.pass(ErrorKind::Unavailable, &[], inner.read(cx, what), Ok)
            .await
    }

    async fn history(&self, inner: &dyn Provider, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let call = inner.history(cx, name);
        self.pass(ErrorKind::Unavailable, &[], call, Ok).await
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let single = inner.capabilities().unit == Unit::Secret;
        let lose = |mut written: Written| {
            let lost = || Error::new(ErrorKind::OutcomeUnknown, "the answer was lost");
            if !single {
                return Err(lost());
            }
            written.items.fill_with(|| Err(lost()));
            Ok(written)
        };
        let call = inner.write(cx, base, changes);
        if let Some(side) = self.side {
            let Injector { truth, machine, .. } = &*self.injector;
            truth.sends(*machine, side, changes.iter().map(|change| change.name));
        }
        let names: Vec<Name> = changes.iter().map(|c| c.name.clone()).collect();
        self.pass(ErrorKind::OutcomeUnknown, &names, call, lose)
            .await
    }
}
