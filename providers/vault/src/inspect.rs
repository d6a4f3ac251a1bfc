//! What `doctor` is told: is the server there and ready, who are we to it, what may we do, and do the
//! clocks agree. Nothing is changed, and no value is read.

use std::collections::BTreeMap;

use secrets_api::{Ctx, Report, Result, Zeroizing};
use secrets_net::Sent;
use serde::Deserialize;
use vaultrs::api::{sys, token};

use crate::kv::Kv;
use crate::place::{Layout, Version};
use crate::requests::Raw;
use crate::session::Session;

/// How far clocks may differ before signed statements and leases go wrong, in seconds.
const SKEW: i64 = 30;

#[derive(Deserialize)]
struct Health {
    initialized: bool,
    sealed: bool,
    #[serde(default)]
    standby: bool,
    #[serde(default)]
    version: String,
    #[serde(default)]
    server_time_utc: Option<i64>,
}

#[derive(Deserialize)]
struct Looked {
    data: Us,
}

#[derive(Deserialize)]
struct Us {
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    policies: Vec<String>,
    #[serde(default)]
    ttl: u64,
    #[serde(default)]
    expire_time: Option<String>,
}

#[derive(Deserialize)]
struct Abilities {
    #[serde(default)]
    data: BTreeMap<String, Vec<String>>,
}

/// One thing we may do, and the path and capability it takes.
type Need = (&'static str, String, &'static str);

/// About a key-value store.
pub(crate) async fn kv(cx: &Ctx, kv: &Kv) -> Result<Report> {
    let place = &kv.place;
    let (mount, path) = (&place.mount, &place.path);
    let below = |path: &str| match place.layout {
        Layout::Document => path.to_owned(),
        // Any name will do: a policy for all of them covers it.
        Layout::Each => format!("{path}/SECRET_KEY"),
    };
    let needs: Vec<Need> = match (place.version, place.layout) {
        (Version::One, layout) => {
            let data = below(&format!("{mount}/{path}"));
            let list = match layout {
                Layout::Document => ("list", data.clone(), "read"),
                Layout::Each => ("list", format!("{mount}/{path}"), "list"),
            };
            vec![
                list,
                ("read", data.clone(), "read"),
                ("write", data, "update"),
            ]
        }
        (Version::Two, layout) => {
            let data = below(&format!("{mount}/data/{path}"));
            let list = match layout {
                // Where `subkeys` may not be asked, the values are read and dropped.
                Layout::Document => ("list", data.clone(), "read"),
                Layout::Each => ("list", format!("{mount}/metadata/{path}"), "list"),
            };
            let history = below(&format!("{mount}/metadata/{path}"));
            let mut needs = vec![list];
            if layout == Layout::Each {
                // A list names what was deleted too: only its past tells.
                needs.push(("list", history.clone(), "read"));
            }
            needs.extend([
                ("read", data.clone(), "read"),
                ("write", data, "update"),
                ("history", history, "read"),
            ]);
            needs
        }
    };
    let mut report = session(cx, &kv.session, &needs).await?;
    // An engine that is not there, or is another, is told where the server lets us ask.
    if let Err(error) = kv.check_engine(cx).await {
        let hint = error.hint().map(str::to_owned);
        report.problems.push((error.message().to_owned(), hint));
    }
    Ok(report)
}

/// About the server, who we are there, and these needs.
pub(crate) async fn session(cx: &Ctx, session: &Session, needs: &[Need]) -> Result<Report> {
    let mut report = Report::default();
    let health = sys::requests::ReadHealthRequest::default();
    let answer = session
        .transport
        .send(cx, None, &health, Sent::Read)
        .await?;
    // 429, 472, 473, 501 and 503 say the same in the body.
    let health: Health = serde_json::from_slice(&answer.body).map_err(|_| {
        let is_refusal = answer.status >= 400 && answer.status != 404;
        if is_refusal {
            answer.refusal(Sent::Read)
        } else {
            answer.unlike()
        }
    })?;
    // Another of the store's servers may have answered than the first.
    let address = session.transport.address();
    report.facts.push(("reachable".into(), address.to_string()));
    let state = match (health.initialized, health.sealed, health.standby) {
        (false, ..) => "not initialised",
        (true, true, _) => "sealed",
        (true, false, true) => "standby",
        (true, false, false) => "active",
    };
    report
        .facts
        .push(("server".into(), format!("{} {}", health.version, state)));
    if health.sealed || !health.initialized {
        report.problems.push((
            format!("the server is {state}"),
            Some("whoever holds the keys: `vault operator unseal`".into()),
        ));
        return Ok(report);
    }
    let tls = if address.is_tls() {
        "verified"
    } else {
        "none: plain HTTP"
    };
    report.facts.push(("tls".into(), tls.into()));
    let by_body = health
        .server_time_utc
        .map(|time| time - secrets_api::Timestamp::now().as_second());
    if let Some(skew) = by_body.or(session.transport.skew()) {
        report.facts.push((
            "clock".into(),
            format!(
                "{} s {}",
                skew.abs(),
                if skew < 0 {
                    "behind ours"
                } else {
                    "ahead of ours"
                }
            ),
        ));
        if skew.abs() > SKEW {
            report.problems.push((
                format!("the server's clock and ours differ by {} s", skew.abs()),
                Some("`timedatectl set-ntp true` keeps ours right".into()),
            ));
        }
    }
    who(cx, session, &mut report).await?;
    abilities(cx, session, needs, &mut report).await?;
    Ok(report)
}

async fn who(cx: &Ctx, session: &Session, report: &mut Report) -> Result<()> {
    let answer = session
        .call(cx, token::requests::LookupTokenSelfRequest {}, Sent::Read)
        .await?;
    if answer.refuses_token() {
        return Err(answer.refusal(Sent::Read));
    }
    if !answer.is_success() {
        // A token without the policy `default` may not ask.
        report.identity = Some("a token that may not ask who it is".into());
        return Ok(());
    }
    let us: Looked = answer.json()?;
    let us = us.data;
    let lasts = match us.expire_time {
        None => "no end".to_owned(),
        Some(_) => format!("{} min left", us.ttl / 60),
    };
    report.identity = Some(format!(
        "{} ({}; {lasts})",
        us.display_name,
        us.policies.join(", ")
    ));
    Ok(())
}

async fn abilities(cx: &Ctx, session: &Session, needs: &[Need], report: &mut Report) -> Result<()> {
    let mut paths: Vec<&str> = needs.iter().map(|(_, path, _)| path.as_str()).collect();
    paths.dedup();
    let body = serde_json::json!({ "paths": paths })
        .to_string()
        .into_bytes();
    let request = Raw::post("sys/capabilities-self".into(), Zeroizing::new(body));
    let answer = session.call(cx, request, Sent::Read).await?;
    if !answer.is_success() {
        report
            .facts
            .push(("we may".into(), "not told: this token may not ask".into()));
        return Ok(());
    }
    let told: Abilities = answer.json()?;
    let may = |path: &str, capability: &str| {
        let granted = told.data.get(path).map(Vec::as_slice).unwrap_or_default();
        granted.iter().any(|c| c == capability || c == "root")
    };
    let has_all = |what: &str| {
        let of_it = needs.iter().filter(|(other, ..)| *other == what);
        of_it.into_iter().all(|(_, path, c)| may(path, c))
    };
    let mut granted: Vec<&str> = needs.iter().map(|(what, ..)| *what).collect();
    granted.dedup();
    granted.retain(|what| has_all(what));
    let all = if granted.is_empty() {
        "nothing".to_owned()
    } else {
        granted.join(", ")
    };
    report.facts.push(("we may".into(), all));
    for (what, path, capability) in needs.iter().filter(|(_, path, c)| !may(path, c)) {
        // Who only reads lacks nothing for reading.
        if matches!(*what, "write" | "history") && granted.contains(&"read") {
            continue;
        }
        report.problems.push((
            format!("we may not {what}: \"{capability}\" on {path} is missing"),
            Some("`secrets doctor --policy` prints the least policy".into()),
        ));
    }
    Ok(())
}
