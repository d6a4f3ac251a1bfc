//! What is particular to the store in memory.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use secrets_api::{
    Change, Ctx, ErrorKind, Name, Op, Precondition, Provider, ProviderExt as _, Result,
    SecretValue, StoreUri, Version,
};
use secrets_memory::Memory;
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

fn open(uri: &str) -> Result<Arc<dyn Provider>> {
    secrets_memory::open(&TestOpening::new().opening(&StoreUri::parse(uri).unwrap()))
}

fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(60))
}

fn put(store: &dyn Provider, text: &str) -> Version {
    let change = Change {
        name: &Name::new("A").unwrap(),
        op: Op::Put(&SecretValue::from_slice(text.as_bytes())),
        when: Precondition::Unguarded,
    };
    block_on(store.write_one(&cx(), change)).unwrap().unwrap()
}

#[test]
fn one_name_is_one_map_and_another_name_another() {
    let (one, same, other) = (open("memory:one"), open("memory:one"), open("memory:other"));
    put(&*one.unwrap(), "x");
    assert_eq!(block_on(same.unwrap().list(&cx())).unwrap().len(), 1);
    assert_eq!(block_on(other.unwrap().list(&cx())).unwrap().len(), 0);
    assert_eq!(open("memory:one").unwrap().location(), "memory:one");
}

#[test]
fn an_option_is_refused_with_a_hint() {
    let error = open("memory:x?size=1").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig);
    assert!(error.message().contains("`size`") && error.hint().is_some());
}

#[test]
fn a_map_made_for_a_test_is_shared_with_its_clones_alone() {
    let (one, other) = (
        Memory::new(Memory::CAPABILITIES),
        Memory::new(Memory::CAPABILITIES),
    );
    put(&one.clone(), "x");
    assert_eq!(block_on(one.list(&cx())).unwrap().len(), 1);
    assert_eq!(block_on(other.list(&cx())).unwrap().len(), 0);
}

#[test]
fn a_history_is_bounded_and_keeps_the_newest() {
    let store = Memory::new(Memory::CAPABILITIES);
    let versions: Vec<_> = (0..250).map(|n| put(&store, &n.to_string())).collect();
    let history = block_on(store.history(&cx(), &Name::new("A").unwrap())).unwrap();
    assert_eq!(history.len(), 100);
    assert_eq!(history[0].version.as_ref(), versions.last());
}
