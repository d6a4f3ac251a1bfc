//! What `doctor` is told: who we are, and what harmless calls have shown we may do. Writes nothing, and
//! lets go of every value it met.

use secrets_api::{Ctx, Error, ErrorKind, Report, Result};

use crate::connection::Connection;
use crate::document::day;
use crate::place::Place;
use crate::refusal::Refusal;
use crate::service::At;

/// How far apart the clocks may be, in seconds, before it is a problem: requests are refused from five
/// minutes on (Signature Version 4).
const SKEW: i64 = 240;

/// What has been shown so far.
#[derive(Default)]
struct Shown {
    report: Report,
    may: Vec<&'static str>,
}

impl Shown {
    fn fact(&mut self, label: &str, text: impl Into<String>) {
        self.report.facts.push((label.to_owned(), text.into()));
    }

    fn problem(&mut self, error: &Error) {
        let hint = error.hint().map(str::to_owned);
        let problem = (error.message().to_owned(), hint);
        if !self.report.problems.contains(&problem) {
            self.report.problems.push(problem);
        }
    }

    /// A denial is a finding; what keeps every call from being made is the caller's error.
    fn tried<T>(&mut self, what: &'static str, answer: Result<T, Refusal>) -> Result<Option<T>> {
        match answer {
            Ok(found) => {
                self.may.push(what);
                Ok(Some(found))
            }
            // Whoever may not is not told that there is nothing.
            Err(refusal) if refusal.is_absent() => {
                self.may.push(what);
                Ok(None)
            }
            Err(refusal) => match refusal.kind() {
                ErrorKind::PermissionDenied => {
                    self.problem(&refusal.into_error());
                    Ok(None)
                }
                _ if refusal.is_state() => Ok(None),
                _ => Err(refusal.into()),
            },
        }
    }
}

async fn begin(connection: &Connection, cx: &Ctx) -> Shown {
    let mut shown = Shown::default();
    // That STS is out of reach says nothing of the store.
    if let Ok(caller) = connection.caller(cx).await {
        shown.report.identity = caller;
    }
    shown
}

async fn end(connection: &Connection, mut shown: Shown) -> Result<Report> {
    let clock = connection.service().await?.clock.ahead();
    let may = match shown.may.as_slice() {
        [] => "nothing that was tried; write was not tried".to_owned(),
        may => format!("{}; write was not tried", may.join(", ")),
    };
    shown.fact("we may", may);
    shown
        .report
        .facts
        .insert(0, ("reachable".to_owned(), connection.endpoint()));
    let tls = if connection.is_tls() {
        "the certificate was verified"
    } else {
        "none: plain HTTP"
    };
    shown
        .report
        .facts
        .insert(1, ("tls".to_owned(), tls.to_owned()));
    if let Some(ahead) = clock {
        let text = match ahead {
            -1..=1 => "as the server's".to_owned(),
            2.. => format!("{ahead} s behind the server's"),
            _ => format!("{} s ahead of the server's", -ahead),
        };
        shown.report.facts.insert(2, ("clock".to_owned(), text));
        if ahead.abs() > SKEW {
            let problem = "this machine's clock is wrong".to_owned();
            let hint = "set it, and keep it set: `timedatectl set-ntp true`".to_owned();
            shown.report.problems.push((problem, Some(hint)));
        }
    }
    Ok(shown.report)
}

/// Looks at a document.
pub(crate) async fn document(connection: &Connection, place: &Place, cx: &Ctx) -> Result<Report> {
    let service = connection.service().await?;
    let mut shown = begin(connection, cx).await;
    let described = match service.describe(cx, &place.id).await {
        Ok(described) => described,
        Err(refusal) if refusal.is_denied() => {
            shown.problem(&refusal.into_error());
            None
        }
        Err(refusal) => return Err(refusal.into()),
    };
    let state = described.map(|found| match (found.gone_by, found.current()) {
        (Some(by), _) => format!("scheduled for deletion, restorable until {}", day(by)),
        (None, Some(version)) => format!("version {version}"),
        (None, None) => "created, without a value".to_owned(),
    });
    let read = service.get(cx, &place.id, At::CURRENT).await;
    let read = shown.tried("list, read", read)?;
    if read.is_some() {
        let history = service.versions(cx, &place.id).await;
        shown.tried("history", history)?;
    }
    if let Some(state) = state.or_else(|| read.map(|held| format!("version {}", held.version))) {
        shown.fact("secret", state);
    } else if shown.report.problems.is_empty() {
        shown.fact("secret", "not created yet");
    }
    end(connection, shown).await
}

/// Looks at single secrets.
pub(crate) async fn each(connection: &Connection, place: &Place, cx: &Ctx) -> Result<Report> {
    let service = connection.service().await?;
    let mut shown = begin(connection, cx).await;
    let listed = service.list(cx, &format!("{}/", place.id)).await;
    let listed = shown.tried("list", listed)?.unwrap_or_default();
    shown.fact("secrets", listed.len().to_string());
    if let Some(first) = listed.first() {
        let read = service.get(cx, &first.name, At::CURRENT).await;
        shown.tried("read", read)?;
        let history = service.versions(cx, &first.name).await;
        shown.tried("history", history)?;
    }
    end(connection, shown).await
}
