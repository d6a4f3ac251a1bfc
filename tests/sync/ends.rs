//! How a run ends whose writes were not all made: what one mirror cannot take keeps no other from it, and
//! what was never answered for is told as not known.

use std::sync::Arc;

use secrets::apply::{self, Fate, Keeper, Work};
use secrets::exit::Exit;
use secrets::plan::{Direction, Rules, Side};
use secrets::sync::end;
use secrets::sync::json::Report;
use secrets::sync::line::Line;
use secrets_api::{
    Change, Ctx, Error, ErrorKind, Op, Precondition, Provider, ProviderExt as _, Result, Revision,
    Values, Written, async_trait,
};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::block_on;

use crate::support::{Clerk, Machine, PRINTER, cx, fan, name, party, value};

/// Never answers a write.
struct Mute;

#[async_trait]
impl Bend for Mute {
    fn label(&self) -> &'static str {
        "Mute"
    }

    async fn write(
        &self,
        _inner: &dyn Provider,
        _cx: &Ctx,
        _base: Option<&Revision>,
        _changes: &[Change<'_>],
    ) -> Result<Written> {
        let error = Error::new(ErrorKind::OutcomeUnknown, "the answer was lost");
        Err(error.with_hint("look before doing it again"))
    }
}

fn memory(values: Values) -> Arc<dyn Provider> {
    Arc::new(Memory::new(secrets_api::Capabilities {
        values,
        ..Memory::CAPABILITIES
    }))
}

/// A source that holds A, and these mirrors, pushed by a desk that checks nothing.
fn push(machine: &Machine, text: &[u8], mirrors: Vec<Arc<dyn Provider>>) -> Work {
    let source = memory(Values::Bytes);
    let (name, value) = (name("A"), secrets_api::SecretValue::from_slice(text));
    let change = Change {
        name: &name,
        op: Op::Put(&value),
        when: Precondition::Absent,
    };
    block_on(source.write_one(&cx(), change)).unwrap();
    let mut parties = vec![party("memory:source", source, Keeper::NotWanted)];
    for mirror in mirrors {
        let label = format!("memory:m{}", parties.len());
        parties.push(party(&label, mirror, Keeper::NotWanted));
    }
    let rules = Rules {
        direction: Direction::To(Side::Right),
        ..Rules::default()
    };
    let mut work = block_on(fan(machine, parties, &rules));
    block_on(apply::run(&mut work, &cx(), &mut Clerk::leaving())).unwrap();
    work
}

#[test]
fn a_mirror_that_cannot_hold_a_value_keeps_no_other_from_it() {
    let machine = Machine::new(1);
    let (texts, bytes) = (memory(Values::Utf8), memory(Values::Bytes));
    let mirrors = vec![Arc::clone(&texts), Arc::clone(&bytes)];
    let work = push(&machine, &[0xff, 0xfe], mirrors);
    let (side, failure) = work.links[0].failed.as_ref().unwrap();
    assert_eq!(*side, Side::Right);
    assert!(failure.message.contains("A cannot be held"), "{failure:?}");
    assert!(work.links[0].outcomes.is_empty());
    let made = work.links[1].outcomes.iter().map(|o| &o.fate);
    assert!(made.into_iter().all(|fate| matches!(fate, Fate::Done)));
    let held = |store: &Arc<dyn Provider>| {
        let there = block_on(store.read_one(&cx(), &name("A"))).unwrap();
        there.into_found().is_some()
    };
    assert!(!held(&texts) && held(&bytes));
}

#[test]
fn writes_of_which_none_was_answered_for_are_told_as_not_known_with_what_finds_it_out() {
    let machine = Machine::new(1);
    let mute = Bent::new(memory(Values::Bytes), Mute);
    let work = push(&machine, value("1").expose(), vec![mute]);
    let report = |work: &Work| {
        let report = Report {
            verb: "push",
            work,
            decided: &[],
            reveal: &Default::default(),
            error: None,
        };
        report.document()["written"].clone()
    };
    assert_eq!(report(&work), serde_json::Value::Null);
    let again = Line::new("push").switch("--yes", true);
    let failure = end::end(&PRINTER, &work, Ok(true), &again).unwrap_err();
    assert_eq!(failure.exit, Exit::Unavailable);
    assert_eq!(
        failure.hint.as_deref(),
        Some("run the same command again, it finds out what was written: `secrets push --yes`")
    );
    let machine = Machine::new(2);
    let well = push(&machine, value("1").expose(), vec![memory(Values::Bytes)]);
    assert_eq!(report(&well), true);
}
