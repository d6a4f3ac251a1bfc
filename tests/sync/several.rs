//! Parties of several layers, and several that have names of their own in one document.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrets::apply::{self, Keeper, Outcome, Party};
use secrets::layers::names::{Names, Renamed};
use secrets::plan::{Action, Direction, Plan, Rules, Side};
use secrets_api::{Provider, Select};
use secrets_memory::Memory;
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::OpenBao;

use crate::support::{Clerk, Machine, bare, change, cx, fan, layered, party};

fn plain(label: &str, provider: Arc<dyn Provider>) -> Party {
    party(label, provider, Keeper::NotWanted)
}

/// What became of each mirror: the last plan, and the writes.
type Pushed = Vec<(Plan, Vec<Outcome>)>;

/// A source and its mirrors, all pushed at once. What it held is given back.
async fn push(machine: &Machine, parties: Vec<Party>, delete: bool) -> (Pushed, Clerk) {
    copy(machine, parties, Side::Right, delete).await
}

async fn copy(machine: &Machine, parties: Vec<Party>, to: Side, delete: bool) -> (Pushed, Clerk) {
    let rules = Rules {
        direction: Direction::To(to),
        delete,
        ..Rules::default()
    };
    let mut work = fan(machine, parties, &rules).await;
    let mut clerk = Clerk::leaving();
    apply::run(&mut work, &cx(), &mut clerk).await.unwrap();
    let links = work.links.into_iter();
    let pushed = links.map(|link| (link.plan, link.outcomes)).collect();
    (pushed, clerk)
}

/// The names of a store with their values.
async fn texts(store: &dyn Provider) -> BTreeMap<String, String> {
    let snapshot = store.read(&cx(), Select::All).await.unwrap();
    let found = snapshot.items.into_iter().filter_map(|(name, lookup)| {
        let stored = lookup.unwrap().into_found()?;
        Some((name.to_string(), stored.value.expose_text()?.to_owned()))
    });
    found.collect()
}

/// `.env` and `.env.local` as one source, and a mirror.
struct Site {
    opening: TestOpening,
    machine: Machine,
    mirror: Arc<dyn Provider>,
}

impl Site {
    fn new() -> Self {
        Self {
            opening: TestOpening::new(),
            machine: Machine::new(1),
            mirror: layered(Arc::new(Memory::new(Memory::CAPABILITIES))),
        }
    }

    fn file(&self, file: &str, text: &str) {
        std::fs::write(self.opening.root.join(file), text).unwrap();
    }

    fn lose(&self, file: &str) {
        std::fs::remove_file(self.opening.root.join(file)).unwrap();
    }

    fn push(&self, delete: bool) -> Plan {
        self.copy(Side::Right, delete, false)
    }

    /// `inherits`: the lower layer is another environment's.
    fn copy(&self, to: Side, delete: bool, inherits: bool) -> Plan {
        let layer = |label: &str| plain(label, layered(bare(&self.opening, label)));
        let mut source = layer("dotenv:.env");
        source.stack.layers[0].spec.inherited = inherits;
        source
            .stack
            .layers
            .extend(layer("dotenv:.env.local").stack.layers);
        let parties = vec![source, plain("memory:mirror", Arc::clone(&self.mirror))];
        block_on(copy(&self.machine, parties, to, delete))
            .0
            .remove(0)
            .0
    }

    fn mirrored(&self) -> BTreeMap<String, String> {
        block_on(texts(&*self.mirror))
    }
}

fn step(plan: &Plan, secret: &str) -> Action {
    let mut steps = plan.steps.iter();
    let found = steps.find(|step| step.name.as_str() == secret);
    found.unwrap().action.clone()
}

const UNKNOWN: Action = Action::Unknown { on: Side::Left };

#[test]
fn a_layer_that_is_gone_deletes_nothing_and_does_again_once_it_is_there_empty() {
    let site = Site::new();
    site.file(".env", "A=1\nB=1\n");
    site.file(".env.local", "C=1\n");
    site.push(false);
    let all = site.mirrored();
    assert_eq!(all.len(), 3);
    site.lose(".env");
    for _ in 0..2 {
        let plan = site.push(true);
        assert_eq!(step(&plan, "A"), UNKNOWN);
        assert_eq!(step(&plan, "C"), Action::Same);
        assert_eq!(site.mirrored(), all);
    }
    site.file(".env", "");
    site.push(true);
    assert_eq!(site.mirrored(), [("C".into(), "1".into())].into());
}

#[test]
fn a_layer_that_never_was_is_in_nobodys_way() {
    let site = Site::new();
    site.file(".env", "A=1\nB=1\n");
    site.push(false);
    site.file(".env", "A=2\n");
    let plan = site.push(true);
    let left = plan.count(|a| matches!(a, Action::Unknown { .. }));
    assert_eq!(left, 0);
    assert_eq!(site.mirrored(), [("A".into(), "2".into())].into());
}

#[test]
fn what_lies_below_a_layer_that_is_gone_is_not_taken_for_a_change() {
    let site = Site::new();
    site.file(".env", "A=below\n");
    site.file(".env.local", "A=1\n");
    site.push(false);
    site.lose(".env.local");
    let plan = site.push(true);
    assert_eq!(step(&plan, "A"), UNKNOWN);
    assert_eq!(site.mirrored()["A"], "1");
    site.file(".env.local", "");
    site.push(true);
    assert_eq!(site.mirrored()["A"], "below");
}

#[test]
fn a_name_that_moved_from_one_layer_to_another_is_the_same_and_belongs_there_from_then_on() {
    let site = Site::new();
    site.file(".env", "A=1\n");
    site.file(".env.local", "");
    site.push(false);
    site.file(".env", "");
    site.file(".env.local", "A=1\n");
    let plan = site.push(true);
    assert_eq!(step(&plan, "A"), Action::Agree);
    site.lose(".env");
    assert_eq!(step(&site.push(true), "A"), Action::Same);
    // From where it is now it may be deleted.
    site.file(".env.local", "");
    site.push(true);
    assert!(site.mirrored().is_empty());
}

/// A name that is inherited is written to the environment's own layer, which makes that anew.
#[test]
fn a_layer_that_is_made_anew_by_an_inherited_name_deletes_nothing() {
    let site = Site::new();
    site.file(".env", "A=1\n");
    site.file(".env.local", "B=1\n");
    let push = |delete| site.copy(Side::Right, delete, true);
    push(false);
    site.lose(".env.local");
    block_on(change(&*site.mirror, "A", Some("2")));
    let plan = site.copy(Side::Left, true, true);
    assert_eq!(step(&plan, "A"), Action::Change { to: Side::Left });
    assert_eq!(step(&plan, "B"), UNKNOWN);
    let made = site.opening.root.join(".env.local");
    assert_eq!(std::fs::read_to_string(made).unwrap(), "A=2\n");
    let plan = push(true);
    assert_eq!(step(&plan, "B"), Action::Extra { on: Side::Right });
    assert_eq!(site.mirrored().len(), 2);
}

fn prefixed(store: Arc<dyn Provider>, prefix: &str) -> Arc<dyn Provider> {
    let names = Names::new(Some(prefix), &BTreeMap::new()).unwrap();
    Arc::new(Renamed::new(store, names))
}

/// Each is guarded by the names it has seen, and the two are written at once.
async fn two_mirrors_in_one_document_converge(document: &dyn Fn() -> Arc<dyn Provider>) {
    let machine = Machine::new(1);
    let source: Arc<dyn Provider> = Arc::new(Memory::new(Memory::CAPABILITIES));
    let parties = || {
        let mirror = |prefix: &str| {
            let store = prefixed(layered(document()), prefix);
            plain(&format!("memory:{prefix}"), store)
        };
        vec![
            plain("memory:source", Arc::clone(&source)),
            mirror("STG_"),
            mirror("PRD_"),
        ]
    };
    for round in 0..4 {
        for n in 0..20 {
            let secret = format!("NAME_{n}");
            let text = format!("{round} of {n}");
            let text = (round < 3 || n % 2 == 0).then_some(text.as_str());
            change(&*source, &secret, text).await;
        }
        let (pushed, _) = push(&machine, parties(), true).await;
        for (_, outcomes) in &pushed {
            let failed = outcomes.iter().find(|o| o.fate.failure().is_some());
            assert!(failed.is_none(), "{failed:?}");
        }
        let held = texts(&*source).await;
        let wanted = held.iter().flat_map(|(name, text)| {
            ["STG_", "PRD_"].map(|prefix| (format!("{prefix}{name}"), text.clone()))
        });
        assert_eq!(texts(&*document()).await, wanted.collect());
        let (again, clerk) = push(&machine, parties(), true).await;
        assert!(again.iter().all(|(_, outcomes)| outcomes.is_empty()));
        assert!(clerk.conflicts.is_empty());
    }
}

#[test]
fn two_that_have_names_of_their_own_in_one_document_are_written_at_once() {
    let server = OpenBao::start();
    let opening = TestOpening::new().with_variables([
        ("BAO_ADDR", server.address()),
        ("BAO_TOKEN", "root-token-of-the-tests"),
    ]);
    let vault = || bare(&opening, "vault:secret/pre2");
    let file = || bare(&opening, "dotenv:pre2.env");
    block_on(async {
        two_mirrors_in_one_document_converge(&vault).await;
        two_mirrors_in_one_document_converge(&file).await;
    });
}
