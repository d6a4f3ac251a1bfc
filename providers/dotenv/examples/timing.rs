//! How long a file of 10,000 lines takes to read, and one line of it to change, fsync included:
//! medians in milliseconds, as JSON. For `scripts/bench`; run it with `--release`.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::time::{Duration, Instant};

use secrets_api::{Change, Ctx, Name, Op, Precondition, ProviderExt as _, SecretValue, StoreUri};
use secrets_dotenv::{Dialect, open, parse};
use secrets_testkit::block_on;
use secrets_testkit::opening::TestOpening;

fn median(mut run: impl FnMut(usize)) -> f64 {
    let mut times: Vec<Duration> = (0..21)
        .map(|n| {
            let start = Instant::now();
            run(n);
            start.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

fn main() {
    let text: String = (0..10_000)
        .map(|n| match n % 4 {
            0 => format!("NAME_{n}=plain-value-{n}\n"),
            1 => format!("NAME_{n}='a quoted value {n}' # why\n"),
            2 => format!("export NAME_{n}=\"one\\ntwo {n}\"\n"),
            _ => format!("# a comment, line {n}\n"),
        })
        .collect();
    let opening = TestOpening::new();
    std::fs::write(opening.root.join(".env"), &text).expect("the file can be written");
    let read = median(|_| {
        let entries = parse(Dialect::PythonDotenv, text.as_bytes()).expect("it is well formed");
        assert_eq!(entries.len(), 7500);
    });
    let uri = StoreUri::parse("dotenv:.env").expect("an address");
    let store = open(&opening.opening(&uri)).expect("it opens");
    let name = Name::new("NAME_5000").expect("a name");
    let edit = median(|n| {
        let value = SecretValue::from_vec(format!("changed {n}").into_bytes());
        let change = Change {
            name: &name,
            op: Op::Put(&value),
            when: Precondition::Unguarded,
        };
        block_on(store.write_one(&Ctx::within(Duration::from_secs(5)), change))
            .expect("it is written");
    });
    println!(
        "{{\"lines\": 10000, \"bytes\": {}, \"parse_ms\": {read:.3}, \"edit_ms\": {edit:.3}}}",
        text.len()
    );
}
