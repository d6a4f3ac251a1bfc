//! Runs the checks: each in a new place, each failure under the check's name, and after each the
//! search for the planted value in all that came back.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::checks::{self, Check};
use crate::stage::Stage;
use crate::{Fixture, canary::Canary};

/// What went wrong in one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The check's name: the sentence that does not hold.
    pub check: &'static str,
    /// What was seen instead. Holds no value.
    pub why: String,
}

/// The name under which a value in an error, a report or a log is reported, whichever check met it.
pub const CANARY_CHECK: &str = "no_value_is_ever_shown";

/// Runs every check.
///
/// # Panics
/// If any fails, with the names of all that do. No value is shown.
pub fn conformance(fixture: &dyn Fixture) {
    let failures = failures(fixture);
    if failures.is_empty() {
        return;
    }
    let list: String = failures
        .iter()
        .map(|failure| format!("\n  {}: {}", failure.check, failure.why))
        .collect();
    panic!("{} checks failed:{list}", failures.len());
}

/// Runs every check and gives what failed: for proving that the suite can fail.
pub fn failures(fixture: &dyn Fixture) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    for check in checks::ALL {
        run(check, fixture, &mut failures);
    }
    failures
}

/// The names of all checks.
pub fn check_names() -> Vec<&'static str> {
    let names = checks::ALL.iter().map(|check| check.name);
    names.chain([CANARY_CHECK]).collect()
}

fn run(check: &Check, fixture: &dyn Fixture, failures: &mut Vec<Failure>) {
    let mut fail = |check: &'static str, why: String| {
        if !failures.iter().any(|f| f.check == check) {
            failures.push(Failure { check, why });
        }
    };
    let ended = catch_unwind(AssertUnwindSafe(|| {
        let stage = Stage::new(fixture);
        let outcome = if (check.applies)(&stage.can) {
            (check.run)(&stage)
        } else {
            Ok(())
        };
        (outcome, stage.shown())
    }));
    match ended {
        Ok((outcome, shown)) => {
            if let Err(why) = outcome {
                fail(check.name, why.into_text());
            }
            if let Some((label, form)) = shown {
                let why = format!("the value stands {form} in {label}, met in {}", check.name);
                fail(CANARY_CHECK, why);
            }
        }
        Err(payload) => {
            let text = payload
                .downcast_ref::<String>()
                .map(String::as_str)
                .or_else(|| payload.downcast_ref::<&str>().copied())
                .unwrap_or("");
            if let Some(form) = Canary::of_this_process().found_in(text.as_bytes()) {
                let why = format!("the value stands {form} in a panic, met in {}", check.name);
                fail(CANARY_CHECK, why);
                fail(check.name, "it panicked".to_owned());
            } else {
                fail(check.name, format!("it panicked: {text}"));
            }
        }
    }
}
