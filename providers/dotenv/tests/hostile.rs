//! What a file from a stranger can do to us: nothing but be refused, soon and in few words.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use secrets_api::{
    Change, Ctx, ErrorKind, Name, Op, Precondition, Provider, SecretValue, Select, StoreUri,
};
use secrets_dotenv::{Dialect, parse};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

/// Far above what linear work takes on a slow machine, far below what quadratic work takes.
const SOON: Duration = Duration::from_secs(10);

/// The same for one small file among many.
const QUICK: Duration = Duration::from_secs(1);

fn opened(content: &str) -> (TestOpening, std::sync::Arc<dyn Provider>) {
    let opening = TestOpening::new();
    std::fs::write(opening.root.join(".env"), content).unwrap();
    let uri = StoreUri::parse("dotenv:.env").unwrap();
    let store = secrets_dotenv::open(&opening.opening(&uri)).unwrap();
    (opening, store)
}

fn within() -> Ctx {
    Ctx::within(Duration::from_secs(60))
}

#[test]
fn lines_that_each_name_the_one_before_twice_do_not_fill_the_memory() {
    let mut text = String::from("V0=canary-canary\n");
    for n in 1..60 {
        text.push_str(&format!("V{n}=${{V{0}}}${{V{0}}}\n", n - 1));
    }
    let error = parse(Dialect::PythonDotenv, text.as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.message().starts_with("line "), "{error}");
    assert!(error.message().contains("16 MiB"), "{error}");
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[test]
fn many_uses_of_one_long_value_do_not_fill_the_memory() {
    let long = "x".repeat(1024 * 1024);
    let one_line = format!("A={long}\nB={}\n", "${A}".repeat(100_000));
    let many_lines = format!("A={long}\n{}", "B=${A}\n".repeat(50_000));
    for text in [one_line, many_lines] {
        let error = parse(Dialect::PythonDotenv, text.as_bytes()).unwrap_err();
        assert!(error.message().contains("16 MiB"), "{error}");
    }
}

#[test]
fn more_lines_than_any_file_of_settings_has_are_refused() {
    let error = parse(Dialect::PythonDotenv, "A\n".repeat(100_001).as_bytes()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert_eq!(
        parse(Dialect::PythonDotenv, "A\n".repeat(100_000).as_bytes())
            .unwrap()
            .len(),
        100_000
    );
}

#[test]
fn reading_takes_time_in_proportion_to_the_file() {
    let million = 1_000_000;
    for (what, text) in [
        ("braces", format!("A={}", "${".repeat(million))),
        ("colons", format!("A={}:", "${".repeat(million))),
        ("defaults", format!("A={}", "${:-".repeat(million))),
        ("a blank value", format!("A={}x", " ".repeat(million))),
        ("blanks in a value", format!("A=x{}x", " ".repeat(million))),
        ("blank lines", "\n".repeat(million)),
        ("an open quote", format!("A='{}", "\\'".repeat(million))),
        ("open quotes", "A=\"'\nB='\"\n".repeat(40_000)),
        ("quoted keys", "'\n".repeat(90_000)),
        ("carriage returns", format!("A='{}'", "\r".repeat(million))),
        (
            "keys",
            (0..90_000).map(|n| format!("{n}=1\n")).collect::<String>(),
        ),
    ] {
        let start = Instant::now();
        let (_opening, store) = opened(&text);
        let read = block_on(store.read(&within(), Select::All));
        let took = start.elapsed();
        assert!(took < SOON, "{what}: {took:?}");
        if let Err(error) = read {
            assert_eq!(error.kind(), ErrorKind::InvalidData, "{what}");
        }
    }
}

#[test]
fn a_batch_takes_time_in_proportion_to_its_size() {
    let names: Vec<Name> = (0..40_000)
        .map(|n| Name::new(&format!("N{n}")).unwrap())
        .collect();
    let (_opening, store) = opened("");
    for letter in [b'x', b'y'] {
        let value = SecretValue::from_slice(&[letter; 40]);
        let changes: Vec<_> = names
            .iter()
            .map(|name| Change {
                name,
                op: Op::Put(&value),
                when: Precondition::Unguarded,
            })
            .collect();
        let start = Instant::now();
        block_on(store.write(&within(), None, &changes)).unwrap();
        let took = start.elapsed();
        assert!(took < SOON, "{took:?}");
    }
}

#[test]
fn lines_of_a_value_that_lacks_its_quotes_are_not_shown_as_keys() {
    let (_opening, store) = opened(
        "KEY=LS0tLS1C\nMIIE+canary/one\nMIIE+canary/two==\npostgres://u:canary@db/shop?sslmode=require\nmy.key=1\n",
    );
    let snapshot = block_on(store.read(&within(), Select::All)).unwrap();
    assert_eq!(snapshot.foreign, ["line 2", "line 3", "line 4", "my.key"]);
    let report = block_on(store.inspect(&within())).unwrap();
    assert!(!format!("{report:?}").contains("canary"), "{report:?}");
}

#[test]
fn no_dialect_takes_long_over_a_hostile_file() {
    let mut slow = Vec::new();
    for pattern in [
        "A=\"x\"",
        "A='x'",
        "A=x;",
        "A=x ",
        "'",
        "\"",
        "`",
        "A='\\'",
        "A=\"\\\"",
        "$",
        "${A:-",
        "A=${B:-",
        "A=$A",
        "\\",
        "\\\n",
        " \n",
        "#",
        " #",
        "A=#",
        "export A\n",
        "A=1\nexport A\n",
        "A\n",
        "=",
        "A:",
        "(",
        "A=$(",
        "{",
        "}",
        "${A:-}",
        "\"$A\"",
        "A=\"${A}\" ",
        "\u{85}",
        "\u{2028}A=x",
    ] {
        for (prefix, suffix) in [("", ""), ("A=", ""), ("A=\"", "\""), ("A='", "\n'")] {
            let text = format!("{prefix}{}{suffix}", pattern.repeat(20_000));
            for dialect in Dialect::all() {
                let start = Instant::now();
                let _ = parse(dialect, text.as_bytes());
                let took = start.elapsed();
                if took > QUICK {
                    slow.push(format!("{dialect:?} {prefix:?} {pattern:?}: {took:?}"));
                }
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

#[test]
fn a_line_of_ten_megabytes_is_read_and_a_binary_file_is_refused() {
    let long = format!("A={}\n", "x".repeat(10 * 1024 * 1024));
    for dialect in Dialect::all() {
        let entries = parse(dialect, long.as_bytes()).unwrap();
        assert_eq!(
            entries[0].value.as_ref().unwrap().expose().len(),
            10 * 1024 * 1024
        );
        let binary = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0";
        let error = parse(dialect, binary).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{dialect:?}");
    }
}
