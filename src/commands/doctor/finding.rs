//! What was found about one part of the setup, and how it is shown.

use secrets_api::Error;
use serde_json::{Value, json};

use crate::exit::{Failure, Result};
use crate::printer::printable;
use crate::session::Session;

/// What was found about one part.
pub(super) struct Finding {
    part: String,
    facts: Vec<(String, String)>,
    problems: Vec<(String, Option<String>)>,
}

impl Finding {
    pub(super) fn about(part: impl Into<String>) -> Self {
        Self {
            part: part.into(),
            facts: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// A part of which nothing more can be said.
    pub(super) fn failed(part: impl Into<String>, failure: Failure) -> Self {
        let mut finding = Self::about(part);
        finding.failure(failure);
        finding
    }

    pub(super) fn fact(&mut self, label: &str, text: impl Into<String>) {
        self.facts.push((label.to_owned(), text.into()));
    }

    pub(super) fn facts(&mut self, facts: Vec<(String, String)>) {
        self.facts.extend(facts);
    }

    pub(super) fn problem(&mut self, what: impl Into<String>, hint: Option<String>) {
        self.problems.push((what.into(), hint));
    }

    pub(super) fn problems(&mut self, problems: Vec<(String, Option<String>)>) {
        self.problems.extend(problems);
    }

    pub(super) fn failure(&mut self, failure: Failure) {
        self.problem(failure.message, failure.hint);
    }

    pub(super) fn error(&mut self, error: &Error) {
        self.problem(error.to_string(), error.hint().map(str::to_owned));
    }

    pub(super) fn is_sound(&self) -> bool {
        self.problems.is_empty()
    }

    pub(super) fn json(&self) -> Value {
        let facts: serde_json::Map<_, _> = self
            .facts
            .iter()
            .map(|(k, v)| (k.clone(), json!(v)))
            .collect();
        let problems: Vec<_> = self
            .problems
            .iter()
            .map(|(what, hint)| json!({"what": what, "hint": hint}))
            .collect();
        json!({"part": self.part, "facts": facts, "problems": problems})
    }

    pub(super) fn show(&self, session: &Session) -> Result<()> {
        let line = |text: String| session.printer.line(printable(&text));
        let sign = if self.is_sound() { "✓" } else { "✗" };
        line(format!("{sign} {}", self.part))?;
        for (label, text) in &self.facts {
            line(format!("    {label}: {text}"))?;
        }
        for (what, hint) in &self.problems {
            // A part of the report, wherever that goes.
            line(format!("    ! {what}"))?;
            if let Some(hint) = hint {
                line(format!("      hint: {hint}"))?;
            }
        }
        Ok(())
    }
}
