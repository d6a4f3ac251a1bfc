//! What holds in every dialect: whatever the file, reading it ends without a panic, an edit changes
//! what was asked and nothing else, and what is written is read back.
//!
//! Files are the 212 of the corpus with random changes, and rows of lines of the sort files have.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use proptest::prelude::*;
use secrets_api::{
    Change, Ctx, Name, Op, Precondition, Provider, ProviderExt as _, Result, SecretValue, StoreUri,
};
use secrets_dotenv::{Dialect, parse, render_line};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

static CORPUS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let rows: serde_json::Value = serde_json::from_str(include_str!("corpus/truth.json")).unwrap();
    let inputs = rows.as_array().unwrap().iter().map(|row| {
        let text = row["input_b64"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap()
    });
    inputs.filter(|input| input.len() < 2000).collect()
});

fn dialect() -> impl Strategy<Value = Dialect> {
    prop::sample::select(Dialect::all().collect::<Vec<_>>())
}

/// A file of the corpus with a few of its bytes cut, doubled or replaced by ones that mean something.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let place = (
        any::<prop::sample::Index>(),
        0_u8..3,
        "[ A='\"`\\\\#$\\{\\}:;\r\n\t\u{feff}\u{85}é-]",
    );
    (
        any::<prop::sample::Index>(),
        prop::collection::vec(place, 0..6),
    )
        .prop_map(|(which, places)| {
            let mut bytes = CORPUS[which.index(CORPUS.len())].clone();
            for (at, what, text) in places {
                let at = at.index(bytes.len() + 1);
                match what {
                    0 => drop(bytes.drain(at..(at + 3).min(bytes.len()))),
                    1 => drop(bytes.splice(at..at, text.into_bytes())),
                    _ => {
                        let tail = bytes[at..].to_vec();
                        bytes.extend(tail);
                    }
                }
            }
            bytes
        })
}

fn line() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "# [ -~é]{0,12}",
        "(export )?[A-D]=[a-z/:.@-]{0,10}",
        "[A-D] ?= ?[a-z$#é \\\\{}]{0,10}",
        "[A-D]='[a-z\"$#é \\\\{}]{0,10}'( # c)?",
        "[A-D]=\"[a-z'$#é {}]{0,10}\"( # c)?",
        "[A-D]='[a-z]{1,3}\n[a-z]{1,3}'",
        "[A-D]=\\$\\{[A-D](:-x)?\\}",
        "A=1 B=2",
        "A=1; B=2",
    ]
}

fn file() -> impl Strategy<Value = Vec<u8>> {
    let lines = (
        prop::collection::vec(line(), 0..7),
        prop::sample::select(vec!["\n", "\r\n"]),
        any::<bool>(),
    );
    let lines = lines.prop_map(|(lines, end, last)| {
        let mut text = lines.join(end);
        if last {
            text.push_str(end);
        }
        text.into_bytes()
    });
    prop_oneof![mutated(), lines]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z$'\"`#\\\\{}:%\r\n\t -]{0,16}",
        "[a-zA-Z0-9/:@.-]{1,12}"
    ]
}

struct File(TestOpening, Dialect);

impl File {
    fn new(content: &[u8], dialect: Dialect) -> Self {
        let opening = TestOpening::new();
        std::fs::write(opening.root.join(".env"), content).unwrap();
        Self(opening, dialect)
    }

    fn store(&self) -> Arc<dyn Provider> {
        let uri = StoreUri::parse(&format!("dotenv:.env?dialect={}", self.1.name())).unwrap();
        secrets_dotenv::open(&self.0.opening(&uri)).unwrap()
    }

    fn change(&self, name: &Name, op: Op<'_>) -> Result<()> {
        let store = self.store();
        let when = Precondition::Unguarded;
        let cx = Ctx::within(std::time::Duration::from_secs(5));
        block_on(store.write_one(&cx, Change { name, op, when })).map(|_| ())
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.0.root.join(".env")).unwrap()
    }
}

/// The items but those of `name`, each as it is read; the derived ones by name only.
fn others(dialect: Dialect, bytes: &[u8], name: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let entries = parse(dialect, bytes).unwrap();
    let others = entries.into_iter().filter(|entry| entry.name != name);
    others
        .map(|entry| {
            let value = entry.value.filter(|_| !entry.derived);
            (entry.name.into_owned(), value.map(|v| v.expose().to_vec()))
        })
        .collect()
}

/// Whether `part` is what is left of `whole` when some of it is taken out.
fn is_left_of(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(1500), ..ProptestConfig::default() })]

    #[test]
    fn no_file_makes_a_reader_panic(dialect in dialect(), bytes in file(), noise in prop::collection::vec(any::<u8>(), 0..48)) {
        let _ = parse(dialect, &bytes);
        let _ = parse(dialect, &noise);
    }

    #[test]
    fn what_is_written_is_read_back(dialect in dialect(), value in value()) {
        let name = Name::new("N").unwrap();
        let value = SecretValue::from_vec(value.replace('\0', "").into_bytes());
        if let Ok(line) = render_line(dialect, &name, &value) {
            let mut read = parse(dialect, line.expose()).unwrap();
            prop_assert_eq!(read.len(), 1);
            let read = read.remove(0);
            prop_assert_eq!((&*read.name, read.derived), ("N", false));
            prop_assert!(read.value.unwrap().into_secret().same_as(&value));
        }
    }

    #[test]
    fn what_is_admitted_is_what_a_new_file_takes(
        dialect in dialect(),
        name in prop::sample::select(vec!["A", "export", "EXPORT_1", "_", "x", "if", "UID", "IFS", "exportA", "null"]),
        value in value(),
    ) {
        let name = Name::new(name).unwrap();
        let value = SecretValue::from_vec(value.into_bytes());
        let file = File::new(b"", dialect);
        let admitted = file.store().admit(&name, &value);
        let written = file.change(&name, Op::Put(&value));
        prop_assert_eq!(admitted.as_ref().err().map(|e| e.kind()), written.err().map(|e| e.kind()));
        if admitted.is_ok() {
            let now = file.bytes();
            let read = parse(dialect, &now).unwrap().pop().unwrap();
            prop_assert_eq!(&*read.name, name.as_str());
            prop_assert!(read.value.unwrap().into_secret().same_as(&value));
        }
    }

    #[test]
    fn an_edit_changes_what_was_asked_and_nothing_else(dialect in dialect(), bytes in file(), value in value()) {
        let name = Name::new("A").unwrap();
        let file = File::new(&bytes, dialect);
        match file.change(&name, Op::Put(&SecretValue::from_slice(value.as_bytes()))) {
            Err(_) => prop_assert_eq!(&file.bytes(), &bytes),
            Ok(()) => {
                let now = file.bytes();
                let found = parse(dialect, &now).unwrap().into_iter().rfind(|e| e.name == "A").unwrap();
                let read = found.value.unwrap();
                prop_assert_eq!(read.expose(), value.as_bytes());
                prop_assert_eq!(others(dialect, &now, "A"), others(dialect, &bytes, "A"));
            }
        }
        let file = File::new(&bytes, dialect);
        match file.change(&name, Op::Delete) {
            Err(_) => prop_assert_eq!(&file.bytes(), &bytes),
            Ok(()) => {
                let now = file.bytes();
                prop_assert!(is_left_of(&now, &bytes));
                prop_assert!(parse(dialect, &now).unwrap().iter().all(|e| e.name != "A"));
                prop_assert_eq!(others(dialect, &now, "A"), others(dialect, &bytes, "A"));
            }
        }
    }
}
