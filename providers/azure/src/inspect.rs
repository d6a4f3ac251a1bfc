//! What `doctor` is told: whether the vault is there, who we are to it and what it lets us do. Only
//! calls that change nothing and fetch no value.

use azure_security_keyvault_secrets::models::SecretProperties;
use futures_util::future::join3;
use secrets_api::{Ctx, Error, ErrorKind, Report, Result};
use secrets_net::Sent;
use tokio::sync::Semaphore;

use crate::failure::Failure;
use crate::names::Whose;
use crate::store::{Answer, Vault};

/// A clock that differs by more than this makes tokens seem too young or too old.
const SKEW: i64 = 60;

/// What one harmless call has shown.
enum Shown {
    Allowed,
    Denied(Error),
}

impl Vault {
    pub(crate) async fn report(&self, cx: &Ctx) -> Result<Report> {
        let session = self.session(cx).await?;
        // `0` with no mask names no secret, and the operation's id makes it one that nobody has: being
        // told that it is not there takes the permission to read.
        let nothing = format!("0-{}", cx.operation);
        let mut first = None;
        let mut count = 0;
        let permits = Semaphore::new(1);
        let listed = self.each_listed(cx, &permits, |secret| {
            if let Some(Whose::Ours(_)) = whose(self, &secret) {
                count += 1;
            }
            first.get_or_insert(secret);
        });
        let (listed, read, versions) = join3(
            listed,
            self.get(cx, &nothing, None),
            self.versions(cx, &nothing),
        )
        .await;
        let list = self.shown(listed)?;
        let read = self.shown(read)?;
        let history = self.shown(versions)?;

        let mut report = Report {
            identity: session.login.who(),
            ..Report::default()
        };
        let mut fact = |label: &str, text: String| report.facts.push((label.to_owned(), text));
        fact("reachable", self.place.endpoint.to_string());
        fact("tls", session.roots.clone());
        fact(
            "login",
            format!("{}, by {}", session.login.how, session.authority),
        );
        let ahead = session.wire.ahead();
        if let Some(ahead) = ahead {
            fact("clock", clock(ahead));
        }
        let may: Vec<&str> = [("list", &list), ("read", &read), ("history", &history)]
            .into_iter()
            .filter(|(_, shown)| matches!(shown, Shown::Allowed))
            .map(|(what, _)| what)
            .collect();
        let may = if may.is_empty() {
            "nothing that was tried".to_owned()
        } else {
            may.join(", ")
        };
        fact("we may", format!("{may} (write: not tried)"));
        if matches!(list, Shown::Allowed) {
            fact("secrets", count.to_string());
        }
        if let Some(text) = first.as_ref().and_then(recovery) {
            fact("deleted secrets", text);
        }
        // What one rule forbids is told once.
        let mut denied: Vec<(Vec<&str>, Error)> = Vec::new();
        for (what, shown) in [("list", list), ("read", read), ("history", history)] {
            let Shown::Denied(error) = shown else {
                continue;
            };
            let same = |(_, known): &&mut (_, Error)| known.message() == error.message();
            match denied.iter_mut().find(same) {
                Some((whats, _)) => whats.push(what),
                None => denied.push((vec![what], error)),
            }
        }
        for (whats, error) in denied {
            let problem = format!("we may not {}: {}", whats.join(", "), error.message());
            let hint = error.hint().map(ToOwned::to_owned);
            report.problems.push((problem, hint));
        }
        if let Some(ahead) = ahead.filter(|ahead| ahead.abs() > SKEW) {
            report.problems.push((
                format!("the clocks differ: the vault's is {}", clock(ahead)),
                Some("set this machine's clock (`timedatectl set-ntp true`)".to_owned()),
            ));
        }
        Ok(report)
    }

    /// Whether a call was let through; what is no refusal is the call's error.
    fn shown<T>(&self, answer: Answer<T>) -> Result<Shown> {
        match answer {
            Ok(_) => Ok(Shown::Allowed),
            Err(Failure::Refused(refusal)) if refusal.is_not_found() => Ok(Shown::Allowed),
            Err(failure) => {
                let error = self.explain(failure, Sent::Read, None);
                if error.kind() == ErrorKind::PermissionDenied {
                    Ok(Shown::Denied(error))
                } else {
                    Err(error)
                }
            }
        }
    }
}

fn whose(vault: &Vault, secret: &SecretProperties) -> Option<Whose> {
    use azure_security_keyvault_secrets::ResourceExt as _;
    let id = secret.resource_id().ok()?;
    Some(vault.place.names.whose(&id.name))
}

fn clock(ahead: i64) -> String {
    match ahead {
        0 => "the same as ours, to the second".to_owned(),
        ahead if ahead > 0 => format!("{ahead} s ahead of ours"),
        ahead => format!("{} s behind ours", -ahead),
    }
}

/// What the vault does with what is deleted.
/// <https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview#purge-protection>
fn recovery(secret: &SecretProperties) -> Option<String> {
    let attributes = secret.attributes.as_ref()?;
    let level = attributes.recovery_level.as_ref()?.to_string();
    let days = attributes.recoverable_days.unwrap_or_default();
    Some(
        match (level.contains("Recoverable"), level.contains("Purgeable")) {
            (true, true) => format!("can be brought back for {days} days, unless they are purged"),
            (true, false) => {
                format!("can be brought back for {days} days, and not be purged before")
            }
            (false, _) => "are gone at once".to_owned(),
        },
    )
}
