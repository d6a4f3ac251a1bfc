//! How long it takes to plan 10,000 names that both sides once agreed on and of which a tenth has changed
//! since: the median of so many runs (101, or the first argument), in milliseconds, as JSON. No store and
//! no value: what is planned are fingerprints. For `scripts/bench`; run it with `--release`.
#![allow(clippy::print_stdout, clippy::expect_used)]

use std::hint::black_box;
use std::time::Instant;

use secrets::plan::{
    Action, Agreed, Base, Direction, Fingerprint, Memory, Observation, Plan, Present, Rules, Seen,
    Side, Sides, plan,
};
use secrets_api::{Name, Version};

const NAMES: u64 = 10_000;
/// Each kind of change: five of them are a tenth.
const OF_EACH: usize = NAMES as usize / 50;

/// A state of a name: `turn` tells its values apart.
fn state(number: u64, turn: u8) -> (Fingerprint, Option<Version>) {
    let mut bytes = [turn; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    let version = Version::new(format!("{turn}"));
    (Fingerprint::from_bytes(bytes), Some(version))
}

fn seen(number: u64, turn: u8) -> Seen {
    let (fingerprint, version) = state(number, turn);
    Seen::Present(Present {
        fingerprint,
        version,
        modified: None,
        derived: false,
        refers: Vec::new(),
        layer: 0,
    })
}

fn agreed(number: u64) -> Memory {
    let (fingerprint, version) = state(number, 1);
    let versions = Sides {
        left: version.clone(),
        right: version,
    };
    Memory {
        agreed: Some(Agreed {
            fingerprint,
            versions,
            layers: Sides {
                left: Some(0),
                right: Some(0),
            },
        }),
        intent: None,
    }
}

/// What both once held, and what they hold now: changed on the left, on the right, on both, gone from
/// the left, new on the left; nine tenths as they were.
fn world() -> (Base, Sides<Observation>) {
    let mut base = Base::new();
    let mut sides = Sides::<Observation>::default();
    for number in 0..NAMES {
        let name = Name::new(&format!("NAME_{number:05}")).expect("a name");
        let (left, right) = match number % 50 {
            0 => (Some(2), Some(1)),
            10 => (Some(1), Some(2)),
            20 => (Some(2), Some(3)),
            30 => (None, Some(1)),
            40 => (Some(1), None),
            _ => (Some(1), Some(1)),
        };
        if number % 50 != 40 {
            base.insert(name.clone(), agreed(number));
        }
        for (side, turn) in [(Side::Left, left), (Side::Right, right)] {
            if let Some(turn) = turn {
                let names = &mut sides.of_mut(side).names;
                names.insert(name.clone(), seen(number, turn));
            }
        }
    }
    (base, sides)
}

fn check(plan: &Plan) {
    assert_eq!(plan.steps.len(), NAMES as usize);
    let of = |wanted: fn(&Action) -> bool| plan.count(wanted);
    assert_eq!(of(|a| matches!(a, Action::Change { .. })), 2 * OF_EACH);
    assert_eq!(of(|a| matches!(a, Action::Conflict(_))), OF_EACH);
    assert_eq!(of(|a| matches!(a, Action::Pending { .. })), OF_EACH);
    assert_eq!(of(|a| matches!(a, Action::Create { .. })), OF_EACH);
    assert_eq!(of(|a| matches!(a, Action::Same)), 45 * OF_EACH);
}

fn main() {
    let runs = std::env::args().nth(1);
    let runs = runs.map_or(101, |runs| runs.parse().expect("a number of runs"));
    let (base, sides) = world();
    let rules = Rules {
        direction: Direction::Both,
        ..Rules::default()
    };
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let start = Instant::now();
        let plan = black_box(plan(black_box(&base), black_box(&sides), &rules, |_| true));
        times.push(start.elapsed());
        check(&plan);
    }
    times.sort();
    let median = times[times.len() / 2].as_secs_f64() * 1e3;
    println!("{{\"names\": {NAMES}, \"runs\": {runs}, \"median_ms\": {median:.3}}}");
}
