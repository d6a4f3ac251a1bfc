//! Two people who sync the same two stores from two machines, one of which is a document whose versions come
//! back with the values: a value that one of them rolled back is told from one that nobody has touched.

use std::sync::Arc;

use secrets::apply::Keeper;
use secrets::plan::{Action, Rules, Side, Sides, Why};
use secrets_api::{Provider, ProviderExt as _};
use secrets_memory::Memory;
use secrets_testkit::block_on;
use secrets_testkit::opening::{TestOpening, key};
use secrets_testkit::servers::{Moto, OpenBao};
use serde_json::json;

use crate::support::{
    Clerk, Ends, Machine, Ran, bare, change, cx, is_settled, layered, name, sync, value,
};

use Side::{Left, Right};

/// A store as each of the two machines opens it: under that machine's own key.
struct Site {
    label: String,
    opened: [Arc<dyn Provider>; 2],
    _openings: [TestOpening; 2],
}

impl Site {
    fn new(label: &str, opening: impl Fn() -> TestOpening) -> Self {
        let openings = [1, 2].map(|n| {
            let mut opening = opening();
            opening.machine_key = key(&[n; 32]);
            opening
        });
        Self {
            label: label.to_owned(),
            opened: openings
                .each_ref()
                .map(|opening| layered(bare(opening, label))),
            _openings: openings,
        }
    }

    fn vault(server: &OpenBao, label: &str) -> Self {
        Self::new(label, || {
            TestOpening::new().with_variables([
                ("BAO_ADDR", server.address()),
                ("BAO_TOKEN", "root-token-of-the-tests"),
            ])
        })
    }

    fn aws(server: &Moto, label: &str) -> Self {
        Self::new(label, || Moto::opening_at(&server.url()))
    }

    fn memory(label: &str) -> Self {
        Self::new(label, TestOpening::new)
    }
}

/// Two people at their machines, and the two stores. The document under test is on `side`.
struct Team {
    title: String,
    side: Side,
    sites: Sides<Site>,
    machines: [Machine; 2],
}

/// What one of the two people does.
struct Person<'a>(&'a Team, usize);

impl Team {
    fn new(side: Side, document: Site, other: Site) -> Self {
        let sites = Sides {
            left: document,
            right: other,
        };
        let sites = if side == Left { sites } else { sites.swapped() };
        Self {
            title: format!("{} ↔ {}", sites.left.label, sites.right.label),
            side,
            sites,
            machines: [Machine::new(1), Machine::new(2)],
        }
    }

    fn people(&self) -> (Person<'_>, Person<'_>) {
        (Person(self, 0), Person(self, 1))
    }

    /// Both have synced: `KEY` is good, and there is another name.
    async fn agreed(&self) -> (Person<'_>, Person<'_>) {
        let (ann, bob) = self.people();
        ann.put(self.side, "KEY", "good").await;
        ann.put(self.side, "OTHER", "0").await;
        for person in [&ann, &bob] {
            person.sync().await;
            person.is_at_rest().await;
        }
        (ann, bob)
    }

    async fn holds(&self, side: Side, text: &str) {
        let store = &self.sites.of(side).opened[0];
        let found = store.read_one(&cx(), &name("KEY")).await.unwrap();
        let same = found.found().is_some_and(|s| s.value.same_as(&value(text)));
        assert!(same, "{}: KEY on {side:?} is not {text}", self.title);
    }

    async fn both_hold(&self, text: &str) {
        self.holds(Left, text).await;
        self.holds(Right, text).await;
    }
}

impl Person<'_> {
    fn store(&self, side: Side) -> &dyn Provider {
        &*self.0.sites.of(side).opened[self.1]
    }

    async fn put(&self, side: Side, secret: &str, text: &str) {
        change(self.store(side), secret, Some(text)).await;
    }

    /// Writes another name of the document so many times.
    async fn changes_others(&self, times: usize) {
        for n in 0..times {
            self.put(self.0.side, "OTHER", &format!("changed {n}"))
                .await;
        }
    }

    async fn sync_by(&self, rules: Rules) -> Ran {
        let Self(team, n) = *self;
        let end = |site: &Site| (site.label.clone(), Arc::clone(&site.opened[n]));
        let ends = Ends(Sides {
            left: end(&team.sites.left),
            right: end(&team.sites.right),
        });
        let keeper = Keeper::Store {
            label: "memory:keeper".to_owned(),
            provider: Arc::new(Memory::new(Memory::CAPABILITIES)),
        };
        let desk = &mut Clerk::leaving();
        let ran = sync(&team.machines[n], &ends, rules, keeper, desk).await;
        assert!(ran.is_clean(), "{}: {ran:#?}", team.title);
        ran
    }

    async fn sync(&self) -> Ran {
        self.sync_by(Rules::default()).await
    }

    /// A sync that does this about `KEY`.
    async fn syncs_to(&self, wanted: Action) {
        let ran = self.sync().await;
        let step = ran.plan.steps.iter().find(|s| s.name.as_str() == "KEY");
        let action = step.map(|step| &step.action);
        assert_eq!(action, Some(&wanted), "{}", self.0.title);
    }

    /// A sync that finds the document's value put back, and writes neither side.
    async fn finds_it_put_back(&self, here: &str, there: &str) {
        let side = self.0.side;
        self.syncs_to(Action::Conflict(Why::PutBack(side))).await;
        self.0.holds(side, here).await;
        self.0.holds(side.other(), there).await;
    }

    async fn is_at_rest(&self) {
        let ran = self.sync().await;
        assert!(is_settled(&ran.plan), "{}: {:#?}", self.0.title, ran.plan);
    }

    async fn is_at_rest_by(&self, rules: Rules) {
        self.sync_by(rules).await;
        self.is_at_rest().await;
    }
}

fn prefer(side: Side) -> Rules {
    Rules {
        prefer: Some(side),
        ..Rules::default()
    }
}

/// Ann has agreed on the good value; Bob changes it, syncs, and rolls it back, which he does not sync.
async fn rolls_back(team: &Team) -> (Person<'_>, Person<'_>) {
    let (ann, bob) = team.agreed().await;
    bob.put(team.side, "KEY", "bad").await;
    let to = team.side.other();
    bob.syncs_to(Action::Change { to }).await;
    bob.put(team.side, "KEY", "good").await;
    team.holds(to, "bad").await;
    (ann, bob)
}

/// Whoever of the two syncs first, the other finds both sides as that one left them.
async fn a_roll_back_is_never_undone_by_another_machine(team: &dyn Fn() -> Team) {
    for others in [0, 3] {
        for kept in ["good", "bad"] {
            let team = team();
            let (ann, bob) = rolls_back(&team).await;
            bob.changes_others(others).await;
            ann.finds_it_put_back("good", "bad").await;
            // It stays one until it is decided.
            ann.finds_it_put_back("good", "bad").await;
            let side = if kept == "good" {
                team.side
            } else {
                team.side.other()
            };
            ann.is_at_rest_by(prefer(side)).await;
            team.both_hold(kept).await;
            bob.is_at_rest().await;
            team.both_hold(kept).await;
        }
        let team = team();
        let (ann, bob) = rolls_back(&team).await;
        bob.changes_others(others).await;
        // Bob knows both values: to him the roll back is a change.
        let to = team.side.other();
        bob.syncs_to(Action::Change { to }).await;
        team.both_hold("good").await;
        ann.is_at_rest().await;
        team.both_hold("good").await;
    }
}

async fn a_deletion_that_was_taken_back_counts_as_touched(team: Team) {
    let (ann, bob) = team.agreed().await;
    change(bob.store(team.side), "KEY", None).await;
    bob.put(team.side, "KEY", "good").await;
    bob.put(team.side.other(), "KEY", "newer").await;
    ann.finds_it_put_back("good", "newer").await;
}

async fn what_stayed_is_no_conflict_whatever_was_written_beside_it(team: Team) {
    let (ann, bob) = team.agreed().await;
    bob.changes_others(3).await;
    bob.put(team.side.other(), "KEY", "newer").await;
    ann.syncs_to(Action::Change { to: team.side }).await;
    team.both_hold("newer").await;
    bob.is_at_rest().await;
    ann.is_at_rest().await;
}

fn play(team: &dyn Fn() -> Team) {
    block_on(async {
        a_roll_back_is_never_undone_by_another_machine(team).await;
        a_deletion_that_was_taken_back_counts_as_touched(team()).await;
        what_stayed_is_no_conflict_whatever_was_written_beside_it(team()).await;
    });
}

/// Addresses that were not used before.
fn fresh(scheme: &str) -> String {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let n = NEXT.fetch_add(1, Ordering::SeqCst);
    format!("{scheme}putback/place-{n}")
}

fn vault(server: &OpenBao) -> Site {
    Site::vault(server, &fresh("vault:secret/"))
}

fn memory() -> Site {
    Site::memory(&fresh("memory:"))
}

#[test]
fn a_value_rolled_back_in_a_vault_document_is_not_overwritten_from_another_machine() {
    let server = OpenBao::start();
    for side in Side::BOTH {
        play(&|| Team::new(side, vault(&server), memory()));
    }
}

#[test]
fn a_value_rolled_back_in_one_of_two_vault_documents_is_not_overwritten_from_another_machine() {
    let server = OpenBao::start();
    play(&|| Team::new(Left, vault(&server), vault(&server)));
}

#[test]
fn a_value_rolled_back_in_an_aws_document_is_not_overwritten_from_another_machine() {
    let server = Moto::start();
    for side in Side::BOTH {
        play(&|| Team::new(side, Site::aws(&server, &fresh("aws:")), memory()));
    }
}

/// A team at a Vault document that keeps so many versions, and the document's path.
fn forgetful(server: &OpenBao, most: usize) -> (Team, String) {
    let site = vault(server);
    let path = site.label.replace("vault:secret/", "");
    let most = json!({ "max_versions": most });
    let metadata = format!("secret/metadata/{path}");
    server.admin().ok("POST", &metadata, &most);
    (Team::new(Left, site, memory()), path)
}

#[test]
fn a_history_that_does_not_reach_back_to_the_agreement_vouches_for_nothing() {
    let server = OpenBao::start();
    block_on(async {
        // Rolled back, and the versions that would tell are gone: only the good value is left.
        let (team, _) = forgetful(&server, 3);
        let (ann, bob) = rolls_back(&team).await;
        bob.changes_others(3).await;
        ann.finds_it_put_back("good", "bad").await;
        // Not touched, which nobody can tell any more.
        let (team, _) = forgetful(&server, 3);
        let (ann, bob) = team.agreed().await;
        bob.changes_others(4).await;
        bob.put(Right, "KEY", "newer").await;
        ann.finds_it_put_back("good", "newer").await;
        // As far as it reaches, it tells.
        let (team, _) = forgetful(&server, 3);
        let (ann, bob) = team.agreed().await;
        bob.changes_others(2).await;
        bob.put(Right, "KEY", "newer").await;
        ann.syncs_to(Action::Change { to: Left }).await;
        // Every sync in between is another agreement.
        let (team, _) = forgetful(&server, 3);
        let (ann, bob) = team.agreed().await;
        for _ in 0..3 {
            bob.changes_others(2).await;
            ann.sync().await;
        }
        bob.put(Right, "KEY", "newer").await;
        ann.syncs_to(Action::Change { to: Left }).await;
        team.both_hold("newer").await;
    });
}

#[test]
fn a_version_that_was_destroyed_in_between_is_not_taken_for_one_that_held_the_value() {
    let server = OpenBao::start();
    block_on(async {
        let (team, path) = forgetful(&server, 10);
        let (ann, _) = rolls_back(&team).await;
        // The document's third version is the one with the bad value.
        let bad = json!({ "versions": [3] });
        let destroy = format!("secret/destroy/{path}");
        server.admin().ok("POST", &destroy, &bad);
        ann.finds_it_put_back("good", "bad").await;
    });
}
