//! The process environment passes the suite, and shows what it should of what it is given.
#![allow(clippy::unwrap_used)]

use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use secrets_api::{Ctx, ErrorKind, Name, Provider, ProviderExt as _, Select, StoreUri};
use secrets_testkit::opening::TestOpening;
use secrets_testkit::{Fixture, Place, block_on, conformance};

struct Environment {
    uri: &'static str,
    prefix: &'static str,
}

/// Bytes as the operating system's own text. Only UTF-8 is portable; Unix takes any bytes.
fn os(bytes: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt as _;
    OsString::from_vec(bytes.to_vec())
}

impl Fixture for Environment {
    fn fresh(&self) -> Place {
        Place::new(Mutex::new(
            TestOpening::new().with_variables([("1FOREIGN", "kept")]),
        ))
    }

    fn open(&self, place: &Place) -> Arc<dyn Provider> {
        let opening = place.get::<Mutex<TestOpening>>().lock().unwrap();
        secrets_env::open(&opening.opening(&StoreUri::parse(self.uri).unwrap())).unwrap()
    }

    fn seed(&self, place: &Place, items: &[(&str, &[u8])]) -> bool {
        let mut opening = place.get::<Mutex<TestOpening>>().lock().unwrap();
        for (name, bytes) in items {
            let variable = (format!("{}{name}", self.prefix).into(), os(bytes));
            opening.variables.push(variable);
        }
        opening.variables.sort();
        true
    }

    /// No process environment can hold a NUL.
    fn refuses(&self, value: &[u8]) -> bool {
        value.contains(&0)
    }
}

#[test]
fn the_environment_passes_the_conformance_suite() {
    conformance(&Environment {
        uri: "env:",
        prefix: "",
    });
}

#[test]
fn the_environment_under_a_prefix_passes_the_conformance_suite() {
    conformance(&Environment {
        uri: "env:?prefix=DJANGO_",
        prefix: "DJANGO_",
    });
}

fn open(uri: &str, opening: &TestOpening) -> secrets_api::Result<Arc<dyn Provider>> {
    secrets_env::open(&opening.opening(&StoreUri::parse(uri).unwrap()))
}

fn cx() -> Ctx {
    Ctx::within(Duration::from_secs(60))
}

#[test]
fn a_prefix_is_stripped_and_the_rest_left_out() {
    let opening = TestOpening::new().with_variables([
        ("DJANGO_DEBUG", "1"),
        ("DJANGO_", "no name is left"),
        ("DJANGO_2FA", "no name either"),
        ("OTHER", "x"),
    ]);
    let store = open("env:?prefix=DJANGO_", &opening).unwrap();
    let snapshot = block_on(store.read(&cx(), Select::All)).unwrap();
    let names: Vec<_> = snapshot
        .items
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["DEBUG"]);
    assert_eq!(snapshot.foreign, ["DJANGO_", "DJANGO_2FA"]);
    let found = block_on(store.read_one(&cx(), &Name::new("DEBUG").unwrap())).unwrap();
    assert_eq!(found.found().unwrap().value.expose(), b"1");
    assert_eq!(store.location(), "env:?prefix=DJANGO_");
}

#[test]
fn names_of_other_forms_are_foreign_and_values_are_bytes() {
    let opening = TestOpening::new().with_variables([
        (os(b"BASH_FUNC_x%%"), os(b"() { :; }")),
        (os(b"N\xff"), os(b"x")),
        (os(b"A"), os(b"\xff\xfe")),
    ]);
    let store = open("env:", &opening).unwrap();
    let snapshot = block_on(store.read(&cx(), Select::All)).unwrap();
    assert_eq!(snapshot.foreign, ["BASH_FUNC_x%%", "N\u{fffd}"]);
    let value = snapshot
        .items
        .into_iter()
        .next()
        .unwrap()
        .1
        .unwrap()
        .into_found()
        .unwrap()
        .value;
    assert_eq!(value.expose(), b"\xff\xfe");
}

#[test]
fn the_machine_key_is_never_asked_for() {
    let mut opening = TestOpening::new().with_variables([("A", "1")]);
    opening.machine_key = Arc::new(|| panic!("the machine key was asked for"));
    let store = open("env:", &opening).unwrap();
    assert_eq!(
        block_on(store.read(&cx(), Select::All))
            .unwrap()
            .items
            .len(),
        1
    );
    assert_eq!(block_on(store.list(&cx())).unwrap().len(), 1);
}

#[test]
fn addresses_that_mean_nothing_are_refused() {
    let opening = TestOpening::new();
    for uri in ["env:HOME", "env:?prefx=A", "env:x?prefix=A"] {
        let error = open(uri, &opening).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{uri}");
        assert!(error.hint().is_some(), "{uri}");
    }
}
