//! One scenario for any two stores, each way: the first sync, changes here and there, conflicts, deletions,
//! what cannot be held, one-way syncs, values put back. What is planned, what each side then holds, and
//! how often each was asked to write.

use std::sync::atomic::{AtomicUsize, Ordering};

use secrets::apply::Keeper;
use secrets::exit::{Exit, Failure};
use secrets::plan::{Action, Direction, Rules, Side, Sides, Why};
use secrets_api::{Lookup, Op, Provider, ProviderExt as _, SecretValue, Unit, Version};
use secrets_memory::Memory;
use secrets_testkit::block_on;

use crate::keyring_session::under_keyring;
use crate::kinds::{self, Kind, SITES, Store};
use crate::support::{Clerk, Ends, Machine, Ran, act, cx, is_settled, name, sync, value};

use Side::{Left, Right};

/// Two stores, two machines that sync them, and who keeps what is replaced.
struct Two {
    title: String,
    stores: Sides<Store>,
    machines: [Machine; 2],
    keeper: Memory,
}

fn prefer(side: Side) -> Rules {
    Rules {
        prefer: Some(side),
        ..Rules::default()
    }
}

fn deleting() -> Rules {
    Rules {
        delete: true,
        ..Rules::default()
    }
}

fn only_to(side: Side) -> Rules {
    Rules {
        direction: Direction::To(side),
        ..Rules::default()
    }
}

/// What a plan says of one name.
fn step(ran: &Ran, secret: &str) -> Action {
    let step = ran.plan.steps.iter().find(|s| s.name.as_str() == secret);
    step.map_or(Action::Same, |step| step.action.clone())
}

impl Two {
    fn new(left: &Kind, right: &Kind) -> Self {
        Self {
            title: format!("{} ↔ {}", left.word, right.word),
            stores: Sides {
                left: left.store(),
                right: right.store(),
            },
            machines: [Machine::new(1), Machine::new(2)],
            keeper: Memory::new(Memory::CAPABILITIES),
        }
    }

    fn ends(&self) -> Ends {
        let end = |store: &Store| (store.label.clone(), store.synced.clone());
        Ends(Sides {
            left: end(&self.stores.left),
            right: end(&self.stores.right),
        })
    }

    fn kept_by_memory(&self) -> Keeper {
        Keeper::Store {
            label: "memory:keeper".to_owned(),
            provider: std::sync::Arc::new(self.keeper.clone()),
        }
    }

    async fn sync_with(&self, machine: usize, rules: Rules, keeper: Keeper) -> Ran {
        self.writes();
        let machine = &self.machines[machine];
        sync(machine, &self.ends(), rules, keeper, &mut Clerk::leaving()).await
    }

    /// A sync in which nothing goes wrong.
    async fn sync(&self, machine: usize, rules: Rules) -> Ran {
        let ran = self.sync_with(machine, rules, self.kept_by_memory()).await;
        assert!(ran.is_clean(), "{}: {ran:#?}", self.title);
        ran
    }

    /// How often each side was asked to write since this was last asked.
    fn writes(&self) -> Sides<usize> {
        Sides {
            left: self.stores.left.writes(),
            right: self.stores.right.writes(),
        }
    }

    /// That there is nothing to do, and no write was asked for.
    async fn at_rest(&self, machine: usize, when: &str) {
        let ran = self.sync(machine, Rules::default()).await;
        assert!(
            is_settled(&ran.plan),
            "{}: {when}: {:#?}",
            self.title,
            ran.plan
        );
        self.wrote_nothing(when);
    }

    fn wrote_nothing(&self, when: &str) {
        let none = Sides { left: 0, right: 0 };
        assert_eq!(self.writes(), none, "{}: {when}", self.title);
    }

    /// That a sync leaves this conflict, and writes nothing.
    async fn conflicts(&self, rules: Rules, secret: &str, why: Why) {
        let ran = self.sync(0, rules).await;
        self.planned(&ran, secret, &Action::Conflict(why));
        self.wrote_nothing("a conflict");
    }

    fn planned(&self, ran: &Ran, secret: &str, wanted: &Action) {
        assert_eq!(step(ran, secret), *wanted, "{}: {secret}", self.title);
    }

    /// That a sync does this, and writes no other side.
    async fn does(&self, rules: Rules, secret: &str, wanted: Action) -> Ran {
        let ran = self.sync(0, rules).await;
        self.planned(&ran, secret, &wanted);
        let writes = self.writes();
        let to = wanted.target().unwrap();
        assert!(*writes.of(to) > 0, "{}: {secret}", self.title);
        assert_eq!(*writes.of(to.other()), 0, "{}: {secret}", self.title);
        ran
    }

    async fn change(&self, side: Side, secret: &str, op: Op<'_>) {
        act(&*self.stores.of(side).hands, secret, op).await;
    }

    async fn put(&self, side: Side, secret: &str, text: &str) {
        self.change(side, secret, Op::Put(&value(text))).await;
    }

    async fn remove(&self, side: Side, secret: &str) {
        self.change(side, secret, Op::Delete).await;
    }

    async fn look(&self, side: Side, secret: &str) -> Option<(SecretValue, Option<Version>)> {
        let store = &self.stores.of(side).hands;
        let found = store.read_one(&cx(), &name(secret)).await.unwrap();
        found.into_found().map(|s| (s.value, s.meta.version))
    }

    async fn version(&self, side: Side, secret: &str) -> Option<Version> {
        self.look(side, secret).await.unwrap().1
    }

    /// That a side holds this, or (`None`) nothing.
    async fn holds(&self, side: Side, secret: &str, text: Option<&str>) {
        let found = self.look(side, secret).await.map(|(value, _)| value);
        let same = match (&found, text) {
            (None, None) => true,
            (Some(found), Some(text)) => found.same_as(&value(text)),
            _ => false,
        };
        assert!(same, "{}: {secret} in {side:?}", self.title);
    }

    async fn both_hold(&self, secret: &str, text: Option<&str>) {
        self.holds(Left, secret, text).await;
        self.holds(Right, secret, text).await;
    }

    /// That what was removed on a side can be had back: from the store itself, where it restores.
    async fn can_be_had_back(&self, side: Side, secret: &str, text: &str) {
        let store = &self.stores.of(side).hands;
        if !store.capabilities().restore {
            return self.remembers(side, secret, text).await;
        }
        let deleted = store.read_one(&cx(), &name(secret)).await.unwrap();
        let is_deleted = matches!(deleted, Lookup::Deleted { .. });
        assert!(is_deleted, "{}: {secret} on {side:?}", self.title);
        self.change(side, secret, Op::Restore).await;
        self.holds(side, secret, Some(text)).await;
        self.remove(side, secret).await;
    }

    /// That what was replaced on a side is in its history, or with the keeper where it has none.
    async fn remembers(&self, side: Side, secret: &str, text: &str) {
        let store = &*self.stores.of(side).hands;
        let keeper: &dyn Provider = &self.keeper;
        let place = if store.capabilities().history {
            store
        } else {
            keeper
        };
        let secret = name(secret);
        for meta in place.history(&cx(), &secret).await.unwrap() {
            let Some(version) = meta.version.filter(|_| !meta.deleted) else {
                continue;
            };
            let state = place.read_version(&cx(), &secret, &version).await.unwrap();
            if state.found().is_some_and(|s| s.value.same_as(&value(text))) {
                return;
            }
        }
        panic!("{}: what was in {secret} on {side:?} is lost", self.title);
    }

    fn admits(&self, side: Side, bytes: &[u8]) -> bool {
        let store = &self.stores.of(side).hands;
        let value = SecretValue::from_slice(bytes);
        store.admit(&name("ODD"), &value).is_ok()
    }

    /// This text where both can hold it, else a plain one.
    fn held_by_both(&self, text: &str) -> String {
        let both = self.admits(Left, text.as_bytes()) && self.admits(Right, text.as_bytes());
        if both { text } else { "plain" }.to_owned()
    }

    async fn the_first_sync_and_the_next(&self) {
        let secrets: [(&str, Side, String); 5] = [
            ("TEXT", Left, "postgres://shop:pw@db/shop".to_owned()),
            ("UNICODE", Right, "Grüße, 世界 🗝".to_owned()),
            ("LONG", Left, "0123456789abcdef".repeat(256)),
            (
                "QUOTED",
                Right,
                self.held_by_both("it's \"quoted\" # `so` \\ and\non two lines"),
            ),
            ("EMPTY", Left, self.held_by_both("")),
        ];
        for (secret, side, text) in &secrets {
            self.put(*side, secret, text).await;
        }
        let ran = self.sync(0, Rules::default()).await;
        for (secret, side, text) in &secrets {
            let created = Action::Create {
                to: side.other(),
                first: true,
            };
            self.planned(&ran, secret, &created);
            self.both_hold(secret, Some(text)).await;
        }
        assert_eq!(ran.outcomes.len(), secrets.len(), "{}", self.title);
        self.at_rest(0, "after the first sync").await;
        self.at_rest(1, "first seen from another machine").await;
    }

    async fn a_change_goes_to_the_other_side(&self) {
        for (side, secret) in [(Left, "TEXT"), (Right, "LONG")] {
            let (before, _) = self.look(side, secret).await.unwrap();
            let before = before.expose_text().unwrap().to_owned();
            self.put(side, secret, "changed").await;
            let change = Action::Change { to: side.other() };
            self.does(Rules::default(), secret, change).await;
            self.both_hold(secret, Some("changed")).await;
            self.remembers(side.other(), secret, &before).await;
            self.at_rest(0, "after a change").await;
            self.at_rest(1, "after a change that another machine copied")
                .await;
        }
        for side in Side::BOTH {
            self.put(side, "TEXT", "the same").await;
        }
        self.at_rest(0, "after the same change on both sides").await;
    }

    async fn two_changes_are_a_conflict(&self) {
        for kept in Side::BOTH {
            let to = kept.other();
            let [ours, theirs] =
                [kept, to].map(|side| format!("the {}'s, for the {}", side.word(), kept.word()));
            self.put(kept, "TEXT", &ours).await;
            self.put(to, "TEXT", &theirs).await;
            self.conflicts(Rules::default(), "TEXT", Why::BothChanged)
                .await;
            self.holds(kept, "TEXT", Some(&ours)).await;
            self.holds(to, "TEXT", Some(&theirs)).await;
            self.nothing_is_lost_where_nobody_keeps_it(to).await;
            self.does(prefer(kept), "TEXT", Action::Change { to }).await;
            self.both_hold("TEXT", Some(&ours)).await;
            self.remembers(to, "TEXT", &theirs).await;
            self.at_rest(0, "after a conflict").await;
        }
    }

    /// Both sides of a conflict stay where the one to be replaced has no history and there is no keeper.
    async fn nothing_is_lost_where_nobody_keeps_it(&self, to: Side) {
        if self.stores.of(to).hands.capabilities().history {
            return;
        }
        let nobody = Keeper::Nobody(Failure::new(Exit::Failed, "there is none"));
        let ran = self.sync_with(0, prefer(to.other()), nobody).await;
        self.refused(&ran);
    }

    /// That a run was refused before its first write.
    fn refused(&self, ran: &Ran) {
        let failure = ran.answer.as_ref().unwrap_err();
        assert!(
            failure.message.contains("nothing was written"),
            "{}: {failure}",
            self.title
        );
        assert!(failure.hint.is_some(), "{}: {failure}", self.title);
        self.wrote_nothing("a refusal");
    }

    async fn a_deletion_is_passed_on_only_if_asked(&self) {
        for (side, secret) in [(Left, "GONE"), (Right, "GONE_TOO")] {
            let to = side.other();
            self.put(side, secret, "for a while").await;
            self.sync(0, Rules::default()).await;
            self.remove(side, secret).await;
            let ran = self.sync(0, Rules::default()).await;
            self.planned(&ran, secret, &Action::Pending { to });
            self.wrote_nothing("a deletion nobody asked for");
            self.holds(to, secret, Some("for a while")).await;
            self.does(deleting(), secret, Action::Delete { to }).await;
            self.both_hold(secret, None).await;
            self.can_be_had_back(to, secret, "for a while").await;
            self.at_rest(0, "after a deletion").await;
            // Made anew: a store that remembers the deletion has it decided.
            self.put(side, secret, "again").await;
            if self.stores.of(to).hands.capabilities().restore {
                self.conflicts(Rules::default(), secret, Why::Tombstone(to))
                    .await;
                let made = Action::Create { to, first: false };
                self.does(prefer(side), secret, made).await;
            } else {
                let made = Action::Create { to, first: true };
                self.does(Rules::default(), secret, made).await;
            }
            self.both_hold(secret, Some("again")).await;
            self.at_rest(0, "after it was made anew").await;
        }
    }

    async fn a_deletion_and_a_change_are_a_conflict(&self) {
        for (side, secret) in [(Left, "TORN"), (Right, "TORN_TOO")] {
            let to = side.other();
            self.put(side, secret, "old").await;
            self.sync(0, Rules::default()).await;
            self.remove(side, secret).await;
            self.put(to, secret, "new").await;
            self.conflicts(deleting(), secret, Why::DeletedAndChanged(side))
                .await;
            self.holds(side, secret, None).await;
            self.holds(to, secret, Some("new")).await;
            let made = Action::Create {
                to: side,
                first: false,
            };
            self.does(prefer(to), secret, made).await;
            self.both_hold(secret, Some("new")).await;
        }
        self.at_rest(0, "after deletions that did not count").await;
    }

    /// Whether there is anything that the right side cannot hold and the left one can.
    async fn what_cannot_be_held_stops_all(&self) -> bool {
        let odd: [Vec<u8>; 6] = [
            b"\xff\xfe no text".to_vec(),
            b"nul\0inside".to_vec(),
            b"two\nlines".to_vec(),
            Vec::new(),
            vec![b'x'; 30_000],
            vec![b'x'; 65_600],
        ];
        let Some(bytes) = odd
            .iter()
            .find(|bytes| self.admits(Left, bytes) && !self.admits(Right, bytes))
        else {
            return false;
        };
        let odd = SecretValue::from_slice(bytes);
        self.change(Left, "ODD", Op::Put(&odd)).await;
        self.put(Right, "TEXT", "meanwhile").await;
        let ran = self
            .sync_with(0, Rules::default(), self.kept_by_memory())
            .await;
        self.refused(&ran);
        self.holds(Right, "ODD", None).await;
        self.remove(Left, "ODD").await;
        let change = Action::Change { to: Left };
        self.does(Rules::default(), "TEXT", change).await;
        self.both_hold("TEXT", Some("meanwhile")).await;
        true
    }

    /// `push` where it writes the right side, `pull` where it writes the left.
    async fn one_way(&self, to: Side) {
        let from = to.other();
        let text = format!("one way to the {}", to.word());
        let extra = format!("EXTRA_{}", to.word());
        self.put(from, "TEXT", &text).await;
        self.put(to, &extra, "only there").await;
        let ran = self.does(only_to(to), "TEXT", Action::Change { to }).await;
        self.planned(&ran, &extra, &Action::Extra { on: to });
        self.both_hold("TEXT", Some(&text)).await;
        self.holds(from, &extra, None).await;
        self.put(to, "TEXT", "the other way").await;
        self.conflicts(only_to(to), "TEXT", Why::TargetChanged(to))
            .await;
        self.holds(from, "TEXT", Some(&text)).await;
        let rules = Rules {
            prefer: Some(from),
            ..only_to(to)
        };
        self.does(rules, "TEXT", Action::Change { to }).await;
        self.both_hold("TEXT", Some(&text)).await;
        self.remembers(to, "TEXT", "the other way").await;
        self.remove(to, &extra).await;
    }

    async fn a_value_put_back_counts_as_touched(&self) {
        for (side, secret) in [(Left, "BACK"), (Right, "BACK_TOO")] {
            let to = side.other();
            self.put(side, secret, "good").await;
            self.sync(0, Rules::default()).await;
            let before = self.version(side, secret).await;
            self.put(side, secret, "bad").await;
            self.put(side, secret, "good").await;
            let can = self.stores.of(side).hands.capabilities();
            let moved = self.version(side, secret).await != before;
            assert_eq!(moved, can.own_versions, "{}: {side:?}", self.title);
            // Of a document its history tells.
            let told = can.own_versions || can.unit == Unit::Document && can.history;
            self.put(to, secret, "newer").await;
            let change = Action::Change { to: side };
            if told {
                self.conflicts(Rules::default(), secret, Why::PutBack(side))
                    .await;
                self.does(prefer(to), secret, change).await;
            } else {
                self.does(Rules::default(), secret, change).await;
            }
            self.both_hold(secret, Some("newer")).await;
        }
    }

    /// All of it. Whether there was something that the right side could not hold.
    async fn play(&self) -> bool {
        self.the_first_sync_and_the_next().await;
        self.a_change_goes_to_the_other_side().await;
        self.two_changes_are_a_conflict().await;
        self.a_deletion_is_passed_on_only_if_asked().await;
        self.a_deletion_and_a_change_are_a_conflict().await;
        let refused = self.what_cannot_be_held_stops_all().await;
        self.one_way(Right).await;
        self.one_way(Left).await;
        self.a_value_put_back_counts_as_touched().await;
        self.at_rest(0, "in the end").await;
        self.at_rest(1, "in the end, on a machine that was away")
            .await;
        refused
    }
}

fn play(left: &Kind, right: &Kind) -> bool {
    block_on(Two::new(left, right).play())
}

/// Both ways with memory, which holds anything.
fn with_memory(kind: &Kind, holds_anything: bool) {
    let _servers = kinds::servers(&[kind]);
    let refused = play(&kinds::MEMORY, kind);
    assert_eq!(refused, !holds_anything, "{}", kind.word);
    play(kind, &kinds::MEMORY);
}

macro_rules! with_memory {
    ($($test:ident: $kind:ident, holds anything: $all:literal;)*) => {
        $(#[test] fn $test() { with_memory(&kinds::$kind, $all); })*
    };
}

with_memory! {
    a_dotenv_file_is_synced_both_ways_with_memory: DOTENV, holds anything: false;
    a_dotenv_file_for_docker_is_synced_both_ways_with_memory: DOCKER, holds anything: false;
    a_local_store_is_synced_both_ways_with_memory: LOCAL, holds anything: true;
    a_vault_document_is_synced_both_ways_with_memory: VAULT, holds anything: false;
    single_secrets_in_vault_are_synced_both_ways_with_memory: VAULT_EACH, holds anything: false;
    a_vault_document_without_versions_is_synced_both_ways_with_memory: VAULT_ONE, holds anything: false;
    single_secrets_in_vault_without_versions_are_synced_both_ways_with_memory: VAULT_ONE_EACH,
        holds anything: false;
    an_aws_document_is_synced_both_ways_with_memory: AWS, holds anything: false;
    single_secrets_in_aws_are_synced_both_ways_with_memory: AWS_EACH, holds anything: false;
    the_fake_of_azure_is_synced_both_ways_with_memory: AZURE_FAKE, holds anything: false;
    the_fake_of_google_is_synced_both_ways_with_memory: GCP_FAKE, holds anything: false;
    memory_of_single_secrets_is_synced_both_ways_with_memory: MEMORY_EACH, holds anything: true;
    memory_that_guards_and_keeps_nothing_is_synced_both_ways_with_memory: MEMORY_BARE,
        holds anything: false;
    memory_that_guards_what_is_new_is_synced_both_ways_with_memory: MEMORY_CREATING,
        holds anything: true;
}

/// Whether all ordered pairs are asked for, rather than the named ones: scripts/soak does.
fn all() -> bool {
    match std::env::var("SECRETS_TEST_PAIRS") {
        Ok(word) if word == "all" => true,
        Ok(word) => panic!("SECRETS_TEST_PAIRS is all, or not set: {word}"),
        Err(_) => false,
    }
}

/// Pairs of real stores that teams have, each to be played both ways. The sixth is the keyring's.
static NAMED: [(&Kind, &Kind); 5] = [
    (&kinds::DOTENV, &kinds::VAULT),
    (&kinds::DOTENV, &kinds::LOCAL),
    (&kinds::LOCAL, &kinds::VAULT_EACH),
    (&kinds::VAULT, &kinds::VAULT_EACH),
    (&kinds::AWS, &kinds::VAULT),
];

#[test]
fn stores_of_different_kinds_are_synced_both_ways() {
    let pairs: Vec<(&Kind, &Kind)> = if all() {
        let others = |left: &'static Kind| {
            let others = SITES.into_iter().filter(move |k| k.word != left.word);
            others.map(move |right| (left, right))
        };
        SITES.into_iter().flat_map(others).collect()
    } else {
        NAMED
            .into_iter()
            .flat_map(|(a, b)| [(a, b), (b, a)])
            .collect()
    };
    let _servers = kinds::servers(&SITES);
    let next = AtomicUsize::new(0);
    let played = AtomicUsize::new(0);
    // Two at a time: most of it is waiting for a server.
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((left, right)) = pairs.get(next.fetch_add(1, Ordering::SeqCst)) {
                    play(left, right);
                    played.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    assert_eq!(played.into_inner(), pairs.len());
}

#[test]
fn the_keyring_is_synced_both_ways_with_memory_and_with_other_stores() {
    let test = "pairs::the_keyring_is_synced_both_ways_with_memory_and_with_other_stores";
    under_keyring(test, &[], || {
        with_memory(&kinds::KEYRING, false);
        let others: &[&Kind] = if all() { &SITES } else { &[&kinds::DOTENV] };
        let _servers = kinds::servers(others);
        for other in others {
            play(other, &kinds::KEYRING);
            play(&kinds::KEYRING, other);
        }
    });
}
