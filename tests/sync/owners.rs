//! Stores of one address in two accounts: what is remembered of the one's is nothing to the other's.

use std::sync::{Arc, Mutex};

use secrets::apply::Keeper;
use secrets::plan::{Action, Rules, Side, Why};
use secrets_api::{Ctx, Provider, Result, Select, Snapshot, async_trait};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::block_on;

use crate::support::{Clerk, Ends, Machine, change, layered, name, sync};

/// Says whose the store is.
struct Owned(Mutex<&'static str>);

#[async_trait]
impl Bend for Owned {
    fn label(&self) -> &'static str {
        "Owned"
    }

    async fn read(&self, inner: &dyn Provider, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        let owner = Some((*self.0.lock().unwrap()).to_owned());
        let snapshot = inner.read(cx, what).await?;
        Ok(Snapshot { owner, ..snapshot })
    }
}

#[test]
fn what_was_agreed_with_one_accounts_store_deletes_and_changes_nothing_in_anothers() {
    let machine = Machine::new(1);
    let memory = || -> Arc<dyn Provider> { Arc::new(Memory::new(Memory::CAPABILITIES)) };
    let (left, right) = (memory(), memory());
    let owned = |account| layered(Bent::new(Arc::clone(&right), Owned(Mutex::new(account))));
    let put = |store: &Arc<dyn Provider>, secret: &str, text: &str| {
        block_on(change(&**store, secret, Some(text)));
    };
    let run = |account| {
        let ends = Ends::new(
            ("memory:left", layered(Arc::clone(&left))),
            ("memory:right", owned(account)),
        );
        let rules = Rules {
            delete: true,
            ..Rules::default()
        };
        let mut desk = Clerk::leaving();
        block_on(sync(&machine, &ends, rules, Keeper::NotWanted, &mut desk))
    };
    put(&left, "A", "1");
    put(&left, "B", "1");
    assert!(run("1 eu-west-1").is_clean());
    put(&left, "A", "2");
    let action = |account| {
        let ran = run(account);
        let step = ran.plan.steps.into_iter().find(|s| s.name == name("A"));
        step.unwrap().action
    };
    // The other account's A was never agreed on, whatever it holds.
    let never = Action::Conflict(Why::NeverAgreed);
    assert_eq!(action("2 eu-west-1"), never);
    // It is remembered as that one's from then on.
    assert_eq!(action("2 eu-west-1"), never);
    assert_eq!(action("1 eu-west-1"), never);
    put(&right, "A", "2");
    assert!(run("1 eu-west-1").is_clean());
    put(&left, "A", "3");
    let changed = Action::Change { to: Side::Right };
    assert_eq!(action("1 eu-west-1"), changed);
}
