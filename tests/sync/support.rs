//! A whole sync of two stores as a command runs it: from one of several machines, each with a state folder
//! and a key of its own.

use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use secrets::apply::{self, Desk, Keeper, Link, Outcome, Party, Progress, Verdict, Work};
use secrets::base::{Kept, Keys, Pair};
use secrets::choice::Chosen;
use secrets::exit::Failure;
use secrets::layers::Layered;
use secrets::layers::names::Names;
use secrets::manifest::Manifest;
use secrets::plan::{Action, Choice, Keep, Plan, Rules, Sides, Step};
use secrets::printer::{Color, Printer};
use secrets::settings::{LayerSpec, Settings};
use secrets::stack::{Layer, Stack};
use secrets::surroundings::Surroundings;
use secrets_api::{
    Change, Ctx, KeySource, Name, Op, Precondition, Provider, ProviderExt as _, SecretValue,
    StoreUri,
};
use secrets_testkit::opening::{TestOpening, key};
use tempfile::TempDir;

/// The environment of every sync here.
const ENVIRONMENT: &str = "dev";

/// How long one call to a store may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A quiet one that asks nobody.
pub(crate) static PRINTER: LazyLock<Arc<Printer>> = LazyLock::new(|| {
    let surroundings = Surroundings::capture().unwrap();
    let printer = Printer::new(&surroundings, Color::Never, true, 0, false, true);
    Arc::new(printer)
});

/// A temporary folder, in memory where that can be had: every note is followed by an fsync.
pub(crate) fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        TempDir::new_in(memory).unwrap()
    } else {
        TempDir::new().unwrap()
    }
}

/// A machine that syncs: what it remembers, and the key it remembers it under.
pub(crate) struct Machine {
    folder: TempDir,
    key: KeySource,
}

impl Machine {
    /// A new one; `n` tells its key from others'.
    pub(crate) fn new(n: u8) -> Self {
        Self {
            folder: folder(),
            key: key(&[0x40 ^ n; 32]),
        }
    }

    /// Its state folder.
    pub(crate) fn state(&self) -> &Path {
        self.folder.path()
    }

    /// What makes its fingerprints.
    pub(crate) fn keys(&self) -> Keys {
        Keys::new(&self.key, PROJECT, ENVIRONMENT).unwrap()
    }
}

const PROJECT: &str = "/srv/shop";

/// A provider in the layers that the program opens it in.
pub(crate) fn layered(provider: Arc<dyn Provider>) -> Arc<dyn Provider> {
    Arc::new(Layered::new(provider, Arc::clone(&PRINTER), TIMEOUT))
}

/// Opens `uri`, without layers.
pub(crate) fn bare(opening: &TestOpening, uri: &str) -> Arc<dyn Provider> {
    let uri = StoreUri::parse(uri).unwrap();
    let entry = secrets::registry::find(uri.scheme()).unwrap();
    entry.open(&opening.opening(&uri)).unwrap()
}

/// The party of one store, already in its layers. `label` is an address such as `memory:left`.
pub(crate) fn party(label: &str, provider: Arc<dyn Provider>, keeper: Keeper) -> Party {
    let spec = LayerSpec {
        label: label.to_owned(),
        uri: StoreUri::parse(label).unwrap(),
        environment: ENVIRONMENT.to_owned(),
        root: PROJECT.into(),
        inherited: false,
        addresses: Vec::new(),
        plain_http: false,
        auth: None,
        timeout: TIMEOUT,
        names: Names::default(),
        protected: None,
    };
    let settings = Settings {
        root: PROJECT.into(),
        found: None,
        manifest: Manifest::default(),
        environment: ENVIRONMENT.to_owned(),
        layers: vec![spec.clone()],
        trusted: true,
        typed: false,
        allowed_names: Vec::new(),
    };
    let layer = Layer {
        label: label.to_owned(),
        spec,
        provider,
    };
    Party {
        label: label.to_owned(),
        settings,
        stack: Stack {
            layers: vec![layer],
        },
        keeper,
    }
}

/// Two stores that are to hold the same, each in its layers, by their addresses.
pub(crate) struct Ends(pub(crate) Sides<(String, Arc<dyn Provider>)>);

impl Ends {
    pub(crate) fn new(left: (&str, Arc<dyn Provider>), right: (&str, Arc<dyn Provider>)) -> Self {
        Self(Sides {
            left: (left.0.to_owned(), left.1),
            right: (right.0.to_owned(), right.1),
        })
    }

    /// What their base is kept under.
    pub(crate) fn pair(&self) -> Pair {
        pair(&self.0.left.0, &self.0.right.0)
    }
}

fn pair(left: &str, right: &str) -> Pair {
    Pair {
        project: PROJECT.to_owned(),
        environment: ENVIRONMENT.to_owned(),
        stores: Sides {
            left: left.to_owned(),
            right: right.to_owned(),
        },
    }
}

/// A run of one source, the first of these, and many mirrors, all under the same rules.
pub(crate) async fn fan(machine: &Machine, parties: Vec<Party>, rules: &Rules) -> Work {
    let mut links = Vec::new();
    for right in 1..parties.len() {
        let pair = pair(&parties[0].label, &parties[right].label);
        let kept = Kept::take(machine.state(), pair, machine.keys()).await;
        let sides = Sides { left: 0, right };
        links.push(Link::new(sides, kept.unwrap(), rules.clone()));
    }
    Work::new(parties, links, Chosen::default())
}

/// What became of a sync.
#[derive(Debug)]
pub(crate) struct Ran {
    /// What the engine answered: whether anything was to be done.
    pub(crate) answer: Result<bool, Failure>,
    /// What became of each write.
    pub(crate) outcomes: Vec<Outcome>,
    /// The last plan.
    pub(crate) plan: Plan,
    /// Why one side could not be looked at.
    pub(crate) failed: Option<Failure>,
}

impl Ran {
    /// Whether it ended with nothing left to do and nothing undecided.
    pub(crate) fn is_clean(&self) -> bool {
        let done = |o: &Outcome| o.fate.failure().is_none();
        self.answer.is_ok() && self.failed.is_none() && self.outcomes.iter().all(done)
    }
}

/// What a run is told.
pub(crate) struct Task {
    pub(crate) rules: Rules,
    pub(crate) keeper: Keeper,
    pub(crate) chosen: Chosen,
}

/// One whole run on one machine: takes the pair's lock, looks, plans, has it decided, writes, remembers.
pub(crate) async fn sync(
    machine: &Machine,
    ends: &Ends,
    rules: Rules,
    keeper: Keeper,
    desk: &mut dyn Desk,
) -> Ran {
    let chosen = Chosen::default();
    let task = Task {
        rules,
        keeper,
        chosen,
    };
    sync_some(machine, ends, task, desk).await
}

/// The same, about some names.
pub(crate) async fn sync_some(
    machine: &Machine,
    ends: &Ends,
    task: Task,
    desk: &mut dyn Desk,
) -> Ran {
    let kept = match Kept::take(machine.state(), ends.pair(), machine.keys()).await {
        Ok(kept) => kept,
        Err(error) => {
            return Ran {
                answer: Err(error.into()),
                outcomes: Vec::new(),
                plan: Plan::default(),
                failed: None,
            };
        }
    };
    let side = |(label, provider): &(String, Arc<dyn Provider>)| {
        party(label, Arc::clone(provider), task.keeper.clone())
    };
    let mut work = Work::new(
        vec![side(&ends.0.left), side(&ends.0.right)],
        vec![Link::new(Sides { left: 0, right: 1 }, kept, task.rules)],
        task.chosen,
    );
    let answer = apply::run(&mut work, &cx(), desk).await;
    let link = work.links.pop().unwrap();
    Ran {
        answer,
        outcomes: link.outcomes,
        plan: link.plan,
        failed: link.failed.map(|(_, failure)| failure),
    }
}

/// A person's answers to conflicts, bound to what was shown. Whether any was new: then it is to be planned
/// again.
pub(crate) fn choose(link: &mut Link, mut answer: impl FnMut(&Step) -> Option<Keep>) -> bool {
    let conflicts: Vec<Step> = link.plan.conflicts().cloned().collect();
    let mut any = false;
    for step in conflicts {
        let shown = Sides {
            left: step.seen.left.fingerprint(),
            right: step.seen.right.fingerprint(),
        };
        let before = link.rules.choices.get(&step.name);
        if before.is_some_and(|choice| choice.shown == shown) {
            continue;
        }
        if let Some(keep) = answer(&step) {
            link.rules.choices.insert(step.name, Choice { keep, shown });
            any = true;
        }
    }
    any
}

/// What is said to a conflict; `None` leaves it.
type Answer = dyn FnMut(&Step) -> Option<Keep>;

/// A desk that says yes to all that is planned, and answers conflicts.
pub(crate) struct Clerk {
    answer: Box<Answer>,
    /// Every conflict that was shown, in order.
    pub(crate) conflicts: Vec<Step>,
    /// The plan of each round, as it was carried out.
    pub(crate) plans: Vec<Plan>,
}

impl Clerk {
    /// Answers each conflict so; `None` leaves it.
    pub(crate) fn answering(answer: impl FnMut(&Step) -> Option<Keep> + 'static) -> Self {
        Self {
            answer: Box::new(answer),
            conflicts: Vec::new(),
            plans: Vec::new(),
        }
    }

    /// Leaves all conflicts as they are.
    pub(crate) fn leaving() -> Self {
        Self::answering(|_| None)
    }
}

impl Desk for Clerk {
    fn decide(&mut self, work: &mut Work, _round: usize) -> Result<Verdict, Failure> {
        for link in &mut work.links {
            self.conflicts.extend(link.plan.conflicts().cloned());
            if choose(link, &mut self.answer) {
                return Ok(Verdict::Replan);
            }
            self.plans.push(link.plan.clone());
        }
        // Whoever answers takes their time.
        Ok(Verdict::Agreed)
    }

    fn begin(&self, _total: usize) -> Box<dyn Progress> {
        Box::new(Unwatched)
    }
}

/// Progress that nobody looks at.
pub(crate) struct Unwatched;

impl Progress for Unwatched {
    fn made(&self, _count: usize) {}
}

/// A new operation; the layers give each call its own time.
pub(crate) fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(600))
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

pub(crate) fn value(text: &str) -> SecretValue {
    SecretValue::from_slice(text.as_bytes())
}

/// Somebody does this at a store, unguarded.
pub(crate) async fn act(store: &dyn Provider, secret: &str, op: Op<'_>) {
    let change = Change {
        name: &name(secret),
        op,
        when: Precondition::Unguarded,
    };
    store.write_one(&cx(), change).await.unwrap();
}

/// Somebody writes this in a store, or (`None`) removes what is there, unguarded.
pub(crate) async fn change(store: &dyn Provider, secret: &str, text: Option<&str>) {
    let value = text.map(value);
    act(store, secret, value.as_ref().map_or(Op::Delete, Op::Put)).await;
}

/// Whether nothing of this plan is left to do or to decide.
pub(crate) fn is_settled(plan: &Plan) -> bool {
    plan.count(|action| !matches!(action, Action::Same | Action::Agree | Action::Forget)) == 0
}
