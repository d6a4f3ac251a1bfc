//! How long a file of 10,000 lines takes to read, by us and by the dotenvy crate, and one line of it
//! to change, fsync included: medians in milliseconds, as JSON. With a path, the file is written there
//! for others to read; with `--hold PATH` it only reads that file. For `scripts/bench`; run it with `--release`.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::time::{Duration, Instant};

use secrets_api::{Change, Ctx, Name, Op, Precondition, ProviderExt as _, SecretValue, StoreUri};
use secrets_dotenv::{Dialect, open, parse};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

fn median(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--hold") {
        // Without a path, of a small one: what is left is the same.
        let file = match std::env::args().nth(2) {
            Some(path) => std::fs::read(path).expect("a file"),
            None => b"A=1\nB='two' # c\nexport C=\"a\\nb\"\n# c\n".to_vec(),
        };
        let held = parse(Dialect::PythonDotenv, &file).expect("it is read");
        assert!(matches!(held.len(), 3 | 7500));
        return;
    }
    let text: String = (0..10_000)
        .map(|n| match n % 4 {
            0 => format!("NAME_{n}=plain-value-{n}\n"),
            1 => format!("NAME_{n}='a quoted value {n}' # why\n"),
            2 => format!("export NAME_{n}=\"one\\ntwo {n}\"\n"),
            _ => format!("# a comment, line {n}\n"),
        })
        .collect();
    if let Some(path) = std::env::args().nth(1) {
        std::fs::write(path, &text).expect("the file can be written");
    }
    // In turn, so that what else the machine does falls on both.
    let (mut ours, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..41 {
        let mine = timed(|| {
            let entries = parse(Dialect::PythonDotenv, text.as_bytes()).expect("it is well formed");
            assert_eq!(entries.len(), 7500);
        });
        let other = timed(|| {
            let entries = dotenvy::Iter::new(text.as_bytes()).map(|item| item.expect("as well"));
            assert_eq!(entries.count(), 7500);
        });
        ratios.push(other.as_secs_f64() / mine.as_secs_f64());
        ours.push(mine);
        theirs.push(other);
    }
    ratios.sort_by(f64::total_cmp);
    let opening = TestOpening::new();
    std::fs::write(opening.root.join(".env"), &text).expect("the file can be written");
    let uri = StoreUri::parse("dotenv:.env").expect("an address");
    let store = open(&opening.opening(&uri)).expect("it opens");
    let name = Name::new("NAME_5000").expect("a name");
    let mut edits: Vec<_> = (0..21)
        .map(|n| {
            let value = SecretValue::from_vec(format!("changed {n}").into_bytes());
            let change = Change {
                name: &name,
                op: Op::Put(&value),
                when: Precondition::Unguarded,
            };
            let cx = Ctx::within(Duration::from_secs(5));
            timed(|| drop(block_on(store.write_one(&cx, change)).expect("it is written")))
        })
        .collect();
    println!(
        "{{\"lines\": 10000, \"bytes\": {}, \"parse_ms\": {:.3}, \"dotenvy_ms\": {:.3}, \"dotenvy_ratio\": {:.2}, \"edit_ms\": {:.3}}}",
        text.len(),
        median(&mut ours),
        median(&mut theirs),
        ratios[ratios.len() / 2],
        median(&mut edits),
    );
}
