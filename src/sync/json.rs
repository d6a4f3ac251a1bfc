//! The report of a sync for programs. Stable: see `docs/json.md`. A value is in it where it is
//! configuration, or was asked for by name.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::Name;
use serde_json::{Value, json};

use super::show::{held, is_configuration};
use crate::apply::{Fate, Link, Outcome, Work};
use crate::base::Lost;
use crate::exit::Failure;
use crate::plan::{Action, Direction, Seen, Side, Step, Why};

/// What is reported of all links.
#[derive(Debug)]
pub struct Report<'a> {
    /// The verb.
    pub verb: &'a str,
    /// The parties with their links.
    pub work: &'a Work,
    /// The writes that were agreed to, by link and name.
    pub decided: &'a [BTreeMap<Name, Step>],
    /// The names whose values are shown.
    pub reveal: &'a BTreeSet<Name>,
    /// Why it was not done, or only partly.
    pub error: Option<&'a Failure>,
}

impl Report<'_> {
    /// The document.
    pub fn document(&self) -> Value {
        let nothing = BTreeMap::new();
        let links = self.work.links.iter().enumerate();
        let pairs: Vec<Value> = links
            .map(|(n, link)| self.pair(link, self.decided.get(n).unwrap_or(&nothing)))
            .collect();
        json!({
            "schema": 1,
            "verb": self.verb,
            "environment": self.work.parties[0].settings.environment,
            "written": self.written(),
            "error": self.error.map(|failure| failure.message.as_str()),
            "pairs": pairs,
        })
    }

    /// Whether anything was written; nothing where that is not known.
    fn written(&self) -> Option<bool> {
        let outcomes = || self.work.links.iter().flat_map(|link| &link.outcomes);
        let unknown = outcomes().any(|outcome| matches!(outcome.fate, Fate::Unknown(_)));
        match outcomes().any(|outcome| matches!(outcome.fate, Fate::Done)) {
            false if unknown => None,
            written => Some(written),
        }
    }

    /// One link.
    pub fn pair(&self, link: &Link, decided: &BTreeMap<Name, Step>) -> Value {
        let label = |side| self.work.party(link, side).label.as_str();
        // The last round's answer is the one that counts.
        let outcomes: BTreeMap<&Name, &Outcome> =
            link.outcomes.iter().map(|o| (&o.name, o)).collect();
        let planned = link.plan.steps.iter().map(|step| (&step.name, step));
        let mut steps: BTreeMap<&Name, &Step> = planned.collect();
        // What was written and seen again is in step by now: what was done is told.
        for (name, step) in decided {
            if outcomes.contains_key(name)
                && steps
                    .get(name)
                    .is_none_or(|later| later.action.is_in_step())
            {
                steps.insert(name, step);
            }
        }
        let secrets: Vec<Value> = steps
            .values()
            .map(|step| self.secret(link, step, outcomes.get(&step.name).copied()))
            .collect();
        json!({
            "left": label(Side::Left),
            "right": label(Side::Right),
            "direction": match link.rules.direction {
                Direction::Both => "both",
                Direction::To(to) => to.word(),
            },
            "base": {
                "known": link.kept.lost().is_none(),
                "saved": link.kept.saved().map(|t| t.to_string()),
                "why": link.kept.lost().map(lost_word),
            },
            "in-step": self.is_in_step(link, &outcomes),
            "error": link.failed.as_ref().map(|(_, failure)| failure.message.as_str()),
            "secrets": secrets,
        })
    }

    /// Whether both sides hold the same, as it is after what was written; of two that are not there that says
    /// nothing.
    fn is_in_step(&self, link: &Link, outcomes: &BTreeMap<&Name, &Outcome>) -> bool {
        let is_there = |side: Side| {
            let seen = self.work.observed[*link.sides.of(side)].as_ref();
            seen.is_some_and(|seen| !seen.missing)
        };
        let is_done = |step: &Step| {
            let outcome = outcomes.get(&step.name);
            outcome.is_some_and(|outcome| matches!(outcome.fate, Fate::Done))
        };
        let mut steps = link.plan.steps.iter();
        link.failed.is_none()
            && Side::BOTH.into_iter().any(is_there)
            && steps.all(|step| step.action.is_in_step() || is_done(step))
    }

    fn secret(&self, link: &Link, step: &Step, outcome: Option<&Outcome>) -> Value {
        let word = outcome.map(|outcome| match outcome.fate {
            Fate::Done => "done",
            Fate::Conflict(_) => "conflict",
            Fate::Unknown(_) => "unknown",
            Fate::Failed(_) => "failed",
        });
        let error = outcome.and_then(|outcome| outcome.fate.failure());
        json!({
            "name": step.name.as_str(),
            "step": step.action.word(),
            "to": step.action.target().map(Side::word),
            "first": matches!(step.action, Action::Create { first: true, .. }),
            "why": match step.action {
                Action::Conflict(why) => Some(why_word(why)),
                _ => None,
            },
            "left": self.state(link, step, Side::Left),
            "right": self.state(link, step, Side::Right),
            "outcome": word,
            "error": error.map(|failure| failure.message.as_str()),
        })
    }

    fn state(&self, link: &Link, step: &Step, side: Side) -> Value {
        let present = match step.seen.of(side) {
            Seen::Present(present) => present,
            Seen::Absent => return json!({"state": "absent"}),
            Seen::Deleted => return json!({"state": "deleted"}),
            Seen::Unknown(why) => return json!({"state": "unknown", "error": why}),
        };
        let held = held(self.work, link, side, &step.name);
        let layers = &self.work.party(link, side).stack.layers;
        let mut state = json!({
            "state": "present",
            "store": held.map(|held| layers[held.layer].label.as_str()),
            "fingerprint": present.fingerprint.short(),
            "version": held.and_then(|held| held.meta.version.as_ref()).map(|v| v.as_str()),
            "modified": present.modified.map(|t| t.to_string()),
            "derived": present.derived,
        });
        let shown = self.reveal.contains(&step.name) || is_configuration(self.work, &step.name);
        if let Some(held) = held.filter(|_| shown) {
            match held.value.expose_text() {
                Some(text) => state["value"] = json!(text),
                None => state["base64"] = json!(STANDARD.encode(held.value.expose())),
            }
        }
        state
    }
}

/// Why nothing is remembered, for programs.
fn lost_word(lost: &Lost) -> &'static str {
    match lost {
        Lost::First => "first",
        Lost::Broken => "broken",
        Lost::OtherKey => "other-key",
        Lost::OtherPair => "other-pair",
        Lost::OtherOwner => "other-owner",
        Lost::Newer => "newer",
        Lost::NoState => "no-state",
    }
}

/// Why a person has to decide, for programs.
fn why_word(why: Why) -> &'static str {
    match why {
        Why::BothChanged => "both-changed",
        Why::NeverAgreed => "never-agreed",
        Why::PutBack(_) => "put-back",
        Why::DeletedAndChanged(_) => "deleted-and-changed",
        Why::Tombstone(_) => "deleted-before",
        Why::TargetChanged(_) => "target-changed",
        Why::TargetDeleted(_) => "target-deleted",
        Why::Derived(_) => "derived",
    }
}
