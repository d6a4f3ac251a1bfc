//! What really happened in two stores, whoever did it, and what must never be among it.
//!
//! Every write goes through here, a person's and a machine's. Each state of a secret has an *origin*: the
//! person's act that made it. A machine's copy keeps the origin, and what a state came after is known, so
//! that it can be told whether a machine replaced a state by one that knew of it, or discarded it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use secrets::plan::{Rules, Side, Sides};
use secrets_api::{
    Capabilities, Change, Ctx, Guard, Lookup, Name, Op, Precondition, Provider, ProviderExt as _,
    Result, Revision, SecretValue, Select, Snapshot, Unit, Written, async_trait,
};
use secrets_testkit::bend::Bend;

use crate::dice::Dice;
use crate::support::cx;

/// Who wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Actor {
    /// Somebody, at the store itself.
    Person,
    /// Somebody, or something, that took the whole document away.
    Vanishing,
    /// A sync on this machine.
    Machine(usize),
}

/// One of the two stores.
pub(crate) struct Store {
    /// What machines write to.
    pub(crate) provider: Arc<dyn Provider>,
    /// What persons write to and the truth is read from.
    pub(crate) raw: Arc<dyn Provider>,
    /// Whether machines are told versions.
    pub(crate) versions: bool,
    /// Whether it is a document that is not there when it holds nothing.
    pub(crate) is_file: bool,
    /// Whether a look costs time.
    pub(crate) remote: bool,
}

impl Store {
    /// Whether a machine can tell a value that was put back from one that was always there: by its version,
    /// or by the document's revision and history.
    fn tells_put_back(&self) -> bool {
        let can = self.provider.capabilities();
        let by_history = can.unit == Unit::Document && can.history;
        self.versions && (can.own_versions || by_history)
    }
}

/// What stands under a name, and what it came after.
#[derive(Debug, Clone, Default)]
struct Standing {
    value: Option<String>,
    /// The act that made it; none for what never was.
    origin: Option<usize>,
    /// The acts that made the states before it, on either side.
    past: BTreeSet<usize>,
    /// The values of those states.
    past_values: BTreeSet<String>,
    /// When it came to stand here.
    since: usize,
    /// Whether it is nothing because the whole document was taken away.
    vanished: bool,
}

impl Standing {
    /// What is known to whoever sees this, this included.
    fn knowledge(&self) -> (BTreeSet<usize>, BTreeSet<String>) {
        let (mut past, mut values) = (self.past.clone(), self.past_values.clone());
        past.extend(self.origin);
        values.extend(self.value.clone());
        (past, values)
    }
}

/// One change that happened.
struct Effect {
    at: usize,
    actor: Actor,
    side: Side,
    name: Name,
    value: Option<String>,
}

/// What is said of single names in one round.
#[derive(Default)]
pub(crate) struct Round {
    /// The names for which its desk was shown a conflict and answered it, this round.
    pub(crate) decided: BTreeSet<Name>,
    /// What it knows to have moved since the agreement: an earlier run, cut off, was about to copy it.
    pub(crate) moved: BTreeSet<(Name, Side)>,
    /// The names for which it was told to keep one side, whatever that is.
    pub(crate) chosen: BTreeSet<Name>,
}

/// What a machine's run is allowed, and what it has seen.
#[derive(Default)]
struct Run {
    rules: Rules,
    /// The one name that it is about, if it is not about all.
    only: Option<Name>,
    keeps: bool,
    /// Whether its reads are looks, not read-backs.
    looking: bool,
    seen: Sides<BTreeMap<Name, Standing>>,
    /// What it saw since the plan was accepted: what stood there right before a write.
    again: Sides<BTreeMap<Name, Standing>>,
    /// What it has sent since the plan was accepted: what is read of that from then on is a read-back, of which
    /// nobody can tell whose value it shows.
    sent: Sides<BTreeSet<Name>>,
    /// What this round was told.
    round: Round,
}

#[derive(Default)]
struct Inner {
    clock: usize,
    now: Sides<BTreeMap<Name, Standing>>,
    effects: Vec<Effect>,
    /// Which act another one is the same as: both made the same value, and both sides held it at once.
    same_as: Vec<usize>,
    /// Every value a person wrote.
    written: Vec<(Name, String)>,
    /// Values that a person replaced or removed, or that were lost in a way that was announced.
    given_up: BTreeSet<String>,
    runs: Vec<Run>,
    wrong: Vec<String>,
    story: Vec<String>,
    windows: usize,
    /// Who made the document anew that had vanished.
    remade: Sides<Option<Actor>>,
}

/// All of it.
pub(crate) struct Truth {
    pub(crate) names: Vec<Name>,
    pub(crate) stores: Sides<Store>,
    /// The machines' keepers, as they really are.
    pub(crate) keepers: Vec<Arc<dyn Provider>>,
    /// What every value starts with.
    mark: String,
    gates: Sides<tokio::sync::Mutex<()>>,
    under_way: AtomicUsize,
    inner: Mutex<Inner>,
}

/// A change that outlives the call that asked for it.
type Wish = (Name, Option<SecretValue>, Precondition);

impl Truth {
    pub(crate) fn new(
        names: Vec<Name>,
        stores: Sides<Store>,
        keepers: Vec<Arc<dyn Provider>>,
        mark: &str,
    ) -> Arc<Self> {
        let runs = keepers.iter().map(|_| Run::default()).collect();
        Arc::new(Self {
            names,
            stores,
            keepers,
            mark: mark.to_owned(),
            gates: Sides::default(),
            under_way: AtomicUsize::new(0),
            inner: Mutex::new(Inner {
                runs,
                ..Inner::default()
            }),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a line to the story that is told if something is wrong.
    pub(crate) fn tell(&self, line: impl Into<String>) {
        self.lock().story.push(line.into());
    }

    /// Something is not as it must be.
    pub(crate) fn wrong(&self, line: impl Into<String>) {
        let line = line.into();
        let mut inner = self.lock();
        inner.story.push(format!("WRONG: {line}"));
        inner.wrong.push(line);
    }

    /// What is wrong, and the whole story.
    pub(crate) fn verdict(&self) -> std::result::Result<(), String> {
        let inner = self.lock();
        if inner.wrong.is_empty() {
            return Ok(());
        }
        let all = [inner.wrong.join("\n"), inner.story.join("\n")];
        Err(all.join("\n--- the story:\n"))
    }

    /// How many values were lost in the announced way: overwritten between a look and a write that the
    /// store cannot guard.
    pub(crate) fn windows(&self) -> usize {
        self.lock().windows
    }

    /// A value in words of the story.
    fn shown(&self, value: Option<&str>) -> String {
        let value = value.map(|v| v.strip_prefix(self.mark.as_str()).unwrap_or("?"));
        value.map_or("nothing".into(), |v| format!("v{v}"))
    }

    /// The time; each change is later than the one before.
    pub(crate) fn clock(&self) -> usize {
        self.lock().clock
    }

    /// A run begins on this machine, under these rules.
    pub(crate) fn begin(&self, machine: usize, rules: &Rules, only: Option<&Name>, keeps: bool) {
        self.lock().runs[machine] = Run {
            rules: rules.clone(),
            only: only.cloned(),
            keeps,
            looking: true,
            ..Run::default()
        };
    }

    /// The plan is accepted; from now on the run writes.
    pub(crate) fn go(&self, machine: usize, round: Round) {
        let run = &mut self.lock().runs[machine];
        (run.looking, run.round, run.again) = (false, round, Sides::default());
        run.sent = Sides::default();
    }

    /// A machine sends a write of these names, which may never arrive.
    pub(crate) fn sends<'a>(
        &self,
        machine: usize,
        side: Side,
        names: impl Iterator<Item = &'a Name>,
    ) {
        let sent = &mut self.lock().runs[machine].sent;
        sent.of_mut(side).extend(names.cloned());
    }

    /// Waits until all that was sent has been carried out.
    pub(crate) async fn settled(&self) {
        while self.under_way.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }

    /// Somebody does something at one of the stores, and is told that it is done. More often than not it
    /// is to what is `about` to be written.
    pub(crate) async fn somebody_acts(
        self: &Arc<Self>,
        dice: &Mutex<Dice>,
        about: Option<(Side, &[Name])>,
    ) {
        let (side, name, value) = {
            let mut dice = dice.lock().unwrap();
            let about = about.filter(|(_, names)| !names.is_empty() && dice.chance(70));
            let side = match about {
                Some((side, _)) if dice.chance(80) => side,
                _ => dice.pick(&Side::BOTH),
            };
            let name = dice.pick(about.map_or(self.names.as_slice(), |(_, names)| names));
            (side, name.clone(), self.idea(&mut dice, side, &name))
        };
        let value = value.map(|text| SecretValue::from_vec(text.into_bytes()));
        let wish = vec![(name, value, Precondition::Unguarded)];
        self.perform(Actor::Person, side, wish, cx()).await.unwrap();
    }

    /// Somebody writes a new value.
    pub(crate) async fn somebody_puts(self: &Arc<Self>, side: Side, name: &Name) {
        let value = SecretValue::from_vec(self.new_value(name).into_bytes());
        let wish = vec![(name.clone(), Some(value), Precondition::Unguarded)];
        self.perform(Actor::Person, side, wish, cx()).await.unwrap();
    }

    /// Somebody puts an old value back.
    pub(crate) async fn somebody_puts_back(self: &Arc<Self>, side: Side, name: &Name, old: &str) {
        let value = SecretValue::from_slice(old.as_bytes());
        let wish = vec![(name.clone(), Some(value), Precondition::Unguarded)];
        self.perform(Actor::Person, side, wish, cx()).await.unwrap();
    }

    /// What stands there.
    pub(crate) fn standing(&self, side: Side, name: &Name) -> Option<String> {
        self.lock().now.of(side).get(name)?.value.clone()
    }

    /// Somebody removes it.
    pub(crate) async fn somebody_removes(self: &Arc<Self>, side: Side, name: &Name) {
        let wish = vec![(name.clone(), None, Precondition::Unguarded)];
        self.perform(Actor::Person, side, wish, cx()).await.unwrap();
    }

    /// A file is gone, with all that it held.
    pub(crate) async fn vanish(self: &Arc<Self>, side: Side) {
        if !self.stores.of(side).is_file {
            return;
        }
        let names = self.names.iter();
        let wishes = names.map(|name| (name.clone(), None, Precondition::Unguarded));
        self.perform(Actor::Vanishing, side, wishes.collect(), cx())
            .await
            .unwrap();
    }

    fn new_value(&self, name: &Name) -> String {
        let mut inner = self.lock();
        let value = format!("{}{}", self.mark, inner.written.len());
        inner.written.push((name.clone(), value.clone()));
        value
    }

    /// What somebody would do here: write a new value, put an old one back, remove it.
    fn idea(&self, dice: &mut Dice, side: Side, name: &Name) -> Option<String> {
        let inner = self.lock();
        let now = inner.now.of(side).get(name).and_then(|s| s.value.clone());
        let old: Vec<String> = inner
            .effects
            .iter()
            .filter(|e| e.side == side && e.name == *name)
            .filter_map(|e| e.value.clone())
            .filter(|value| Some(value) != now.as_ref())
            .collect();
        let what = dice.below(100);
        if what < 20 && now.is_some() {
            return None;
        }
        if what < 40 && !old.is_empty() {
            return Some(dice.pick(&old));
        }
        drop(inner);
        Some(self.new_value(name))
    }

    /// Carries a write out to its end, whatever becomes of who asked for it, and holds it against what must
    /// be.
    async fn perform(
        self: &Arc<Self>,
        actor: Actor,
        side: Side,
        wishes: Vec<Wish>,
        cx: Ctx,
    ) -> Result<Written> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let truth = Arc::clone(self);
        let work = async move {
            let _gate = truth.gates.of(side).lock().await;
            let store = truth.stores.of(side);
            let changes: Vec<Change<'_>> = wishes
                .iter()
                .map(|(name, value, when)| Change {
                    name,
                    op: value.as_ref().map_or(Op::Delete, Op::Put),
                    when: when.clone(),
                })
                .collect();
            let writer = match actor {
                Actor::Person | Actor::Vanishing => &store.raw,
                Actor::Machine(_) => &store.provider,
            };
            let answer = writer.write(&cx, None, &changes).await;
            let found = truth.look(side, &wishes).await;
            truth.record(actor, side, &found).await;
            truth.under_way.fetch_sub(1, Ordering::SeqCst);
            answer
        };
        tokio::spawn(work).await.unwrap()
    }

    /// What stands there now.
    async fn look(&self, side: Side, wishes: &[Wish]) -> Vec<(Name, Option<String>)> {
        let mut found = Vec::with_capacity(wishes.len());
        for (name, ..) in wishes {
            let lookup = self.stores.of(side).raw.read_one(&cx(), name).await;
            found.push((name.clone(), lookup.unwrap().into_found().map(text)));
        }
        found
    }

    async fn record(&self, actor: Actor, side: Side, found: &[(Name, Option<String>)]) {
        for (name, value) in found {
            let before = {
                let inner = self.lock();
                inner.now.of(side).get(name).cloned().unwrap_or_default()
            };
            if before.value == *value {
                continue;
            }
            // Of a remote store it is looked up once, at the end.
            let remote = Side::BOTH.iter().any(|s| self.stores.of(*s).remote);
            let kept = match (&before.value, actor) {
                (Some(_), Actor::Machine(machine)) if remote => self.lock().runs[machine].keeps,
                (Some(old), Actor::Machine(_)) => self.everywhere(name).await.contains(old),
                _ => true,
            };
            self.effect(actor, side, name, before, value.clone(), kept);
        }
    }

    fn effect(
        &self,
        actor: Actor,
        side: Side,
        name: &Name,
        before: Standing,
        value: Option<String>,
        kept: bool,
    ) {
        let line = format!(
            "    {actor:?} {} {name}: {} → {}",
            side.word(),
            self.shown(before.value.as_deref()),
            self.shown(value.as_deref())
        );
        self.tell(line);
        let mut standing = match actor {
            Actor::Person | Actor::Vanishing => {
                let mut inner = self.lock();
                inner.given_up.extend(before.value.clone());
                // What is put back is acknowledged once more: from now on it must not be lost.
                if let Some(value) = &value {
                    inner.given_up.remove(value);
                }
                let origin = inner.same_as.len();
                inner.same_as.push(origin);
                Standing {
                    origin: Some(origin),
                    vanished: actor == Actor::Vanishing,
                    ..Standing::default()
                }
            }
            Actor::Machine(machine) => {
                self.judge(machine, side, name, &before, value.as_deref(), kept)
            }
        };
        let (past, values) = before.knowledge();
        standing.past.extend(past);
        standing.past_values.extend(values);
        let mut inner = self.lock();
        inner.clock += 1;
        standing.since = inner.clock;
        standing.value.clone_from(&value);
        let at = inner.clock;
        inner.effects.push(Effect {
            at,
            actor,
            side,
            name: name.clone(),
            value,
        });
        let remade = inner.remade.of_mut(side);
        match actor {
            Actor::Vanishing => *remade = None,
            _ => *remade = remade.or(standing.value.is_some().then_some(actor)),
        }
        inner.now.of_mut(side).insert(name.clone(), standing);
        let both = Side::BOTH.map(|s| inner.now.of(s).get(name).cloned());
        if let [Some(left), Some(right)] = both {
            inner.unite(&left, &right);
        }
    }

    /// Whether a machine may do this. Gives the standing that its copy has.
    fn judge(
        &self,
        machine: usize,
        side: Side,
        name: &Name,
        before: &Standing,
        value: Option<&str>,
        kept: bool,
    ) -> Standing {
        let store = self.stores.of(side);
        let can = store.provider.capabilities();
        let mut inner = self.lock();
        let run = &inner.runs[machine];
        let look = |side: Side| run.seen.of(side).get(name).cloned().unwrap_or_default();
        let (source, target) = (look(side.other()), look(side));
        let again = run.again.of(side).get(name).cloned();
        let decided = run.round.decided.contains(name);
        let moved = run.round.moved.contains(&(name.clone(), side));
        let by_value = !store.tells_put_back() && !moved;
        let keeps = run.keeps;
        let mut there = run.seen.of(side.other()).values();
        let empty = there.all(|standing| standing.value.is_none());
        let missing = self.stores.of(side.other()).is_file && empty;
        let remade = *inner.remade.of(side.other()) == Some(Actor::Machine(machine));
        let mut wrong = Vec::new();
        if source.value.as_deref() != value {
            wrong.push("wrote what it had not seen on the other side");
        }
        if run.only.as_ref().is_some_and(|only| only != name) {
            wrong.push("wrote a name that it was to leave alone");
        }
        if !run.rules.direction.writes(side) {
            wrong.push("wrote the side that it was to leave alone");
        }
        if value.is_none() && !run.rules.delete && !run.round.chosen.contains(name) {
            wrong.push("removed what it was not to remove");
        }
        if value.is_none() && !decided && (missing || source.vanished && remade) {
            wrong.push("took a document that is not there for so many deletions");
        }
        if let Some(old) = &before.value {
            // A version that is only a MAC of the value comes back with it: then what is replaced is
            // what was seen, and kept.
            let same = !(can.own_versions && store.versions) && before.value == target.value;
            if before.since != target.since && !same {
                if guards(can, store.versions, target.value.is_some()) {
                    wrong.push("discarded what was written since it had looked");
                }
                // The plan had said so: unguarded. It looks again right before, and what it could see
                // then is not what was announced.
                match again {
                    None => wrong.push("overwrote, unguarded, without another look"),
                    Some(again) if again.since == before.since => {
                        wrong.push("overwrote, unguarded, what it had seen right before");
                    }
                    Some(again) if again.value != target.value => {
                        wrong.push("went on, unguarded, where it had seen something else");
                    }
                    Some(_) => {}
                }
                inner.windows += 1;
                inner.given_up.insert(old.clone());
            } else {
                let (past, values) = source.knowledge();
                let known = if by_value || before.since != target.since {
                    values.contains(old)
                } else {
                    let same =
                        |n: &usize| before.origin.map(|o| inner.root(o)) == Some(inner.root(*n));
                    past.iter().any(same)
                };
                if !decided && !known {
                    wrong.push("silently replaced what the other side had never seen");
                }
                if !kept && keeps {
                    wrong.push("replaced what nobody keeps");
                }
                if !kept && !keeps {
                    inner.given_up.insert(old.clone());
                }
            }
        }
        drop(inner);
        for line in wrong {
            self.wrong(format!("machine {machine} {line}: {name} {}", side.word()));
        }
        Standing {
            origin: source.origin,
            past: source.past,
            past_values: source.past_values,
            ..Standing::default()
        }
    }

    /// A machine has looked at a store.
    fn seen(&self, machine: usize, side: Side, what: Select<'_>) {
        let mut inner = self.lock();
        let now = inner.now.of(side).clone();
        let run = &mut inner.runs[machine];
        match what {
            Select::All => {
                run.looking = true;
                *run.seen.of_mut(side) = now;
            }
            Select::Names(names) if run.looking => {
                for name in names {
                    let standing = now.get(name).cloned().unwrap_or_default();
                    run.seen.of_mut(side).insert(name.clone(), standing);
                }
            }
            // Right before a write.
            Select::Names(names) => {
                let sent = run.sent.of(side);
                for name in names.iter().filter(|name| !sent.contains(*name)) {
                    let standing = now.get(name).cloned().unwrap_or_default();
                    run.again.of_mut(side).insert(name.clone(), standing);
                }
                return;
            }
        }
        // What it sees as the same it may take for agreed.
        for name in &self.names {
            let both = Side::BOTH.map(|s| inner.runs[machine].seen.of(s).get(name).cloned());
            if let [Some(left), Some(right)] = both {
                inner.unite(&left, &right);
            }
        }
    }

    /// Whether there was, at any moment since, what a machine says that it has done.
    pub(crate) fn was(
        &self,
        side: Side,
        name: &Name,
        since: usize,
        is: impl Fn(Option<&str>) -> bool,
    ) -> bool {
        let inner = self.lock();
        let here = |e: &&Effect| e.side == side && e.name == *name;
        let after = inner.effects.iter().filter(here).filter(|e| e.at > since);
        let before = inner.effects.iter().filter(here).rfind(|e| e.at <= since);
        let before = before.and_then(|e| e.value.as_deref());
        is(before) || after.map(|e| e.value.as_deref()).any(is)
    }

    /// Whether this machine changed it since.
    pub(crate) fn has_changed(
        &self,
        machine: usize,
        side: Side,
        name: &Name,
        since: usize,
    ) -> bool {
        let here = |e: &Effect| {
            e.side == side && e.name == *name && e.actor == Actor::Machine(machine) && e.at > since
        };
        self.lock().effects.iter().any(here)
    }

    /// Every value under this name that can be had from anywhere: present, in a history, kept.
    async fn everywhere(&self, name: &Name) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for side in Side::BOTH {
            let store = self.stores.of(side);
            let history = store.provider.capabilities().history;
            values_in(&*store.raw, history, name, &mut found).await;
        }
        for keeper in &self.keepers {
            values_in(&**keeper, true, name, &mut found).await;
        }
        found
    }

    /// The history of what is deleted is shown by some services only when it is brought back.
    async fn bring_back(&self) {
        for side in Side::BOTH {
            let store = self.stores.of(side);
            for name in self.names.iter().filter(|_| store.remote) {
                let lookup = store.raw.read_one(&cx(), name).await.unwrap();
                if matches!(lookup, Lookup::Deleted { .. }) {
                    let restore = Change {
                        name,
                        op: Op::Restore,
                        when: Precondition::Unguarded,
                    };
                    store.raw.write_one(&cx(), restore).await.unwrap();
                }
            }
        }
    }

    /// At the end: both hold the same, it is what was recorded, and no acknowledged value is lost.
    pub(crate) async fn check_the_end(&self) {
        let mut held = Vec::new();
        for side in Side::BOTH {
            let snapshot = self.stores.of(side).raw.read(&cx(), Select::All).await;
            let mut values = BTreeMap::new();
            for (name, lookup) in snapshot.unwrap().items {
                if let Some(stored) = lookup.unwrap().into_found() {
                    values.insert(name, text(stored));
                }
            }
            let recorded: BTreeMap<Name, String> = {
                let inner = self.lock();
                let standing = inner.now.of(side).iter();
                standing
                    .filter_map(|(name, s)| Some((name.clone(), s.value.clone()?)))
                    .collect()
            };
            if recorded != values {
                self.wrong(format!("{} is not what was recorded of it", side.word()));
            }
            held.push(values);
        }
        if held[0] != held[1] {
            self.wrong("the two do not hold the same in the end");
        }
        self.bring_back().await;
        let (written, given_up) = {
            let inner = self.lock();
            (inner.written.clone(), inner.given_up.clone())
        };
        for (name, value) in written {
            if !given_up.contains(&value) && !self.everywhere(&name).await.contains(&value) {
                let shown = self.shown(Some(&value));
                self.wrong(format!("{name} {shown} was acknowledged and is lost"));
            }
        }
    }
}

impl Inner {
    fn root(&self, mut act: usize) -> usize {
        while self.same_as[act] != act {
            act = self.same_as[act];
        }
        act
    }

    /// The same value on both sides: whoever made it, both know of it.
    fn unite(&mut self, left: &Standing, right: &Standing) {
        if let (Some(one), Some(other)) = (left.origin, right.origin)
            && left.value.is_some()
            && left.value == right.value
        {
            let (one, other) = (self.root(one), self.root(other));
            self.same_as[one.max(other)] = one.min(other);
        }
    }
}

/// Whether the store can refuse to replace what was seen there.
fn guards(can: Capabilities, versions: bool, present: bool) -> bool {
    match present {
        true => can.guard >= Guard::Cooperative && versions,
        false => can.guard >= Guard::CreateOnly,
    }
}

pub(crate) async fn values_in(
    store: &dyn Provider,
    history: bool,
    name: &Name,
    found: &mut BTreeSet<String>,
) {
    let now = store.read_one(&cx(), name).await.unwrap();
    found.extend(now.into_found().map(text));
    if !history {
        return;
    }
    for meta in store.history(&cx(), name).await.unwrap() {
        let Some(version) = meta.version.filter(|_| !meta.deleted) else {
            continue;
        };
        let state = store.read_version(&cx(), name, &version).await.unwrap();
        found.extend(state.into_found().map(text));
    }
}

fn text(stored: secrets_api::Stored) -> String {
    stored.value.expose_text().unwrap().to_owned()
}

/// A machine's way to a store: what it does and sees is recorded.
pub(crate) struct Recorder {
    pub(crate) truth: Arc<Truth>,
    pub(crate) machine: usize,
    pub(crate) side: Side,
}

#[async_trait]
impl Bend for Recorder {
    fn label(&self) -> &'static str {
        "Recorder"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let _gate = self.truth.gates.of(self.side).lock().await;
        let snapshot = inner.read(cx, what).await;
        self.truth.seen(self.machine, self.side, what);
        snapshot
    }

    async fn write(
        &self,
        _inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        assert!(base.is_none(), "the engine guards by name");
        let wishes = changes.iter().map(|change| {
            let value = match change.op {
                Op::Put(value) => Some(value.duplicate()),
                Op::Delete => None,
                Op::Restore => panic!("the engine restores nothing"),
            };
            (change.name.clone(), value, change.when.clone())
        });
        let actor = Actor::Machine(self.machine);
        self.truth
            .perform(actor, self.side, wishes.collect(), *cx)
            .await
    }
}
