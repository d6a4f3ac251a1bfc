//! Stores that guard nothing, and others who write to them while a person thinks about the plan.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use secrets::apply::{self, Desk, Keeper, Progress, Verdict, Work};
use secrets::exit::Failure;
use secrets::plan::{Action, Rules, Side, Why};
use secrets_api::{Ctx, Guard, Provider, ProviderExt as _, Result, Select, Snapshot, async_trait};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::block_on;

use crate::support::{self, Machine, Unwatched, cx, fan, layered, name, party};

/// What somebody else does: on a thread of their own, since it happens while a sync runs on this one.
fn change(store: &dyn Provider, secret: &str, text: Option<&str>) {
    std::thread::scope(|scope| {
        let done = scope.spawn(|| block_on(support::change(store, secret, text)));
        done.join().unwrap();
    });
}

fn put(store: &dyn Provider, secret: &str, value: &str) {
    change(store, secret, Some(value));
}

fn text(store: &dyn Provider, secret: &str) -> Option<String> {
    let there = block_on(store.read_one(&cx(), &name(secret))).unwrap();
    Some(there.into_found()?.value.expose_text()?.to_owned())
}

/// A desk that says yes after something has happened meanwhile, once.
struct Meanwhile<'a> {
    happens: Option<Box<dyn FnOnce() + 'a>>,
    conflicts: Vec<Action>,
    verdict: Verdict,
}

impl<'a> Meanwhile<'a> {
    fn new(happens: impl FnOnce() + 'a) -> Self {
        Self {
            happens: Some(Box::new(happens)),
            conflicts: Vec::new(),
            verdict: Verdict::Agreed,
        }
    }
}

impl Desk for Meanwhile<'_> {
    fn decide(&mut self, work: &mut Work, _round: usize) -> std::result::Result<Verdict, Failure> {
        for link in &work.links {
            self.conflicts
                .extend(link.plan.conflicts().map(|step| step.action.clone()));
        }
        apply::check(work)?;
        if let Some(happens) = self.happens.take() {
            happens();
        }
        Ok(self.verdict)
    }

    fn begin(&self, _total: usize) -> Box<dyn Progress> {
        Box::new(Unwatched)
    }
}

async fn run(
    machine: &Machine,
    stores: [&Arc<dyn Provider>; 2],
    cx: &Ctx,
    desk: &mut dyn Desk,
) -> Work {
    let [left, right] = stores.map(Arc::clone);
    let rules = Rules {
        delete: true,
        ..Rules::default()
    };
    let parties = vec![
        party("memory:left", left, Keeper::NotWanted),
        party("memory:right", right, Keeper::NotWanted),
    ];
    let mut work = fan(machine, parties, &rules).await;
    apply::run(&mut work, cx, desk).await.unwrap();
    work
}

#[test]
fn what_somebody_wrote_while_a_person_was_asked_is_not_overwritten_where_nothing_guards() {
    for guard in [Guard::None, Guard::CreateOnly] {
        let machine = Machine::new(1);
        let store = |guard| {
            let can = secrets_api::Capabilities {
                guard,
                ..Memory::CAPABILITIES
            };
            layered(Arc::new(Memory::new(can)))
        };
        let (left, right) = (store(Guard::CompareAndSet), store(guard));
        for secret in ["A", "B", "C"] {
            put(&*left, secret, "1");
        }
        let stores = [&left, &right];
        block_on(run(&machine, stores, &cx(), &mut Meanwhile::new(|| {})));
        put(&*left, "A", "2");
        put(&*left, "B", "2");
        change(&*left, "C", None);
        put(&*left, "D", "2");
        let mut desk = Meanwhile::new(|| {
            for secret in ["A", "C", "D"] {
                put(&*right, secret, "theirs");
            }
        });
        let work = block_on(run(&machine, stores, &cx(), &mut desk));
        for secret in ["A", "C", "D"] {
            assert_eq!(
                text(&*right, secret).as_deref(),
                Some("theirs"),
                "{guard:?} {secret}"
            );
        }
        assert_eq!(text(&*right, "B").as_deref(), Some("2"));
        let wanted = [
            Action::Conflict(Why::BothChanged),
            Action::Conflict(Why::DeletedAndChanged(Side::Left)),
            Action::Conflict(Why::NeverAgreed),
        ];
        assert_eq!(desk.conflicts, wanted, "{guard:?}");
        assert!(
            work.links[0]
                .outcomes
                .iter()
                .all(|o| o.fate.failure().is_none())
        );
    }
}

#[test]
fn where_nobody_was_asked_a_store_with_a_history_is_not_looked_at_again() {
    for (history, verdict, looks) in [
        (true, Verdict::Go, 1),
        (true, Verdict::Agreed, 2),
        (false, Verdict::Go, 2),
    ] {
        let machine = Machine::new(1);
        let can = secrets_api::Capabilities {
            guard: Guard::None,
            history,
            restore: false,
            prune: false,
            ..Memory::CAPABILITIES
        };
        let reads = Arc::new(AtomicUsize::new(0));
        let counted = Bent::new(Arc::new(Memory::new(can)), Counts(Arc::clone(&reads)));
        let left = layered(Arc::new(Memory::new(Memory::CAPABILITIES)));
        let right = layered(counted);
        put(&*left, "A", "1");
        let mut desk = Meanwhile::new(|| {});
        desk.verdict = verdict;
        block_on(run(&machine, [&left, &right], &cx(), &mut desk));
        assert_eq!(reads.load(Ordering::SeqCst), looks, "{history} {verdict:?}");
        assert_eq!(text(&*right, "A").as_deref(), Some("1"));
    }
}

/// Counts how often a store is read.
struct Counts(Arc<AtomicUsize>);

#[async_trait]
impl Bend for Counts {
    fn label(&self) -> &'static str {
        "Counts"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        self.0.fetch_add(1, Ordering::SeqCst);
        inner.read(cx, what).await
    }
}

#[test]
fn a_person_who_thinks_for_longer_than_a_store_may_take_is_not_too_late() {
    let machine = Machine::new(1);
    let store = || layered(Arc::new(Memory::new(Memory::CAPABILITIES)));
    let (left, right) = (store(), store());
    put(&*left, "A", "1");
    let time = Duration::from_secs(2);
    let mut desk = Meanwhile::new(|| std::thread::sleep(time + Duration::from_millis(50)));
    let work = block_on(run(
        &machine,
        [&left, &right],
        &Ctx::within(time),
        &mut desk,
    ));
    let outcomes = &work.links[0].outcomes;
    assert!(
        outcomes.iter().all(|o| o.fate.failure().is_none()),
        "{outcomes:?}"
    );
    assert_eq!(text(&*right, "A").as_deref(), Some("1"));
}
