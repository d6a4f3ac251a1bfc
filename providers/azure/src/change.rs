//! Changes of single secrets. Nothing is sent twice: a change is repeated only where the vault has
//! answered that it did not happen because the name is between two states (409).
//!
//! What is deleted keeps its name until it is purged: it is brought back before it is written.
//! <https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview>

use std::collections::HashMap;
use std::time::{Duration, Instant};

use azure_core::http::RequestContent;
use azure_security_keyvault_secrets::models::{
    Secret, SecretClientDeleteSecretOptions, SecretClientRecoverDeletedSecretOptions,
    SecretClientSetSecretOptions, SetSecretParameters,
};
use secrets_api::{
    Change, Ctx, Error, ErrorKind, Name, Op, Result, SecretValue, Timestamp, Version,
};
use secrets_net::Sent;

use crate::failure::{Failure, failure};
use crate::session::options;
use crate::store::{Answer, NAME_TAG, Vault, WRITTEN_TAG, version_of};

/// Waits between two looks at a name that is between two states.
struct Patience {
    next: Duration,
    until: Instant,
}

impl Patience {
    fn new(cx: &Ctx) -> Self {
        Self {
            next: Duration::from_millis(100),
            until: cx.deadline,
        }
    }

    /// Whether there was time to wait.
    async fn wait(&mut self) -> bool {
        if Instant::now() + self.next >= self.until {
            return false;
        }
        tokio::time::sleep(self.next).await;
        self.next = (self.next * 2).min(Duration::from_secs(1));
        true
    }
}

/// What became of a recovery.
enum Recovered {
    /// It is back; its version, where we may see it.
    Back(Option<Version>),
    /// The vault has begun, and has not ended in our time.
    UnderWay,
}

impl Vault {
    /// Makes one change.
    pub(crate) async fn change(&self, cx: &Ctx, change: &Change<'_>) -> Result<Option<Version>> {
        let name = change.name;
        let Some(id) = self.place.names.id(name) else {
            // Only names within the limit come here.
            return Err(Error::unsupported(format!("{name} is too long for a vault")).about(name));
        };
        match change.op {
            Op::Put(value) => self.put(cx, name, &id, value).await,
            Op::Delete => self.delete(cx, name, &id).await,
            Op::Restore => self.restore(cx, name, &id).await,
        }
    }

    async fn put(
        &self,
        cx: &Ctx,
        name: &Name,
        id: &str,
        value: &SecretValue,
    ) -> Result<Option<Version>> {
        let mut patience = Patience::new(cx);
        let mut brought_back = false;
        let failure = loop {
            let refusal = match self.set(cx, name, id, value).await {
                Ok(secret) => return Ok(version_of(&secret)),
                Err(Failure::Refused(refusal)) => refusal,
                Err(other) => break other,
            };
            let deleted = refusal.is_deleted()
                || refusal.is_other_conflict() && self.get_deleted(cx, id).await.is_ok();
            if deleted && !brought_back {
                match self.recover(cx, id, &mut patience).await {
                    Ok(Recovered::Back(_)) => {}
                    Ok(Recovered::UnderWay) => return Err(self.still_recovering(name, id)),
                    Err(Failure::Refused(refusal)) if refusal.is_forbidden() => {
                        return Err(self.in_the_way(name, id));
                    }
                    // Somebody has brought it back, or purged it.
                    Err(Failure::Refused(refusal)) if refusal.is_not_found() => {}
                    Err(other) => break other,
                }
                brought_back = true;
                continue;
            }
            if (deleted || refusal.is_passing()) && patience.wait().await {
                continue;
            }
            break Failure::Refused(refusal);
        };
        let error = self.explain(failure, Sent::Write, Some(name));
        Err(match (brought_back, error.hint().is_some()) {
            (true, false) => error.with_hint(format!(
                "what was deleted under this name has been brought back: `secrets unset {name}` deletes it again"
            )),
            _ => error,
        })
    }

    async fn set(&self, cx: &Ctx, name: &Name, id: &str, value: &SecretValue) -> Answer<Secret> {
        let session = self.session(cx).await.map_err(Failure::Other)?;
        let own = [
            (NAME_TAG, name.as_str().to_owned()),
            (WRITTEN_TAG, Timestamp::now().to_string()),
        ];
        let tags: HashMap<String, String> = self
            .place
            .tags
            .iter()
            .cloned()
            .chain(own.map(|(key, value)| (key.to_owned(), value)))
            .collect();
        let parameters = SetSecretParameters {
            value: value.expose_text().map(ToOwned::to_owned),
            content_type: self.place.content_type.clone(),
            tags: Some(tags),
            ..SetSecretParameters::default()
        };
        let content: RequestContent<SetSecretParameters> =
            parameters.try_into().map_err(|error| failure(&error))?;
        let options = SecretClientSetSecretOptions {
            method_options: options(cx),
        };
        let answer = session.client.set_secret(id, content, Some(options)).await;
        let answer = answer.map_err(|error| failure(&error))?;
        let secret: Secret = answer.into_model().map_err(|_| unclear(name))?;
        match secret.id {
            Some(_) => Ok(secret),
            None => Err(unclear(name)),
        }
    }

    async fn delete(&self, cx: &Ctx, name: &Name, id: &str) -> Result<Option<Version>> {
        let session = self.session(cx).await?;
        let mut patience = Patience::new(cx);
        loop {
            let options = SecretClientDeleteSecretOptions {
                method_options: options(cx),
            };
            let answer = session.client.delete_secret(id, Some(options)).await;
            let failed = match answer {
                Ok(answer) => {
                    let understood = answer.into_model().map_err(|_| unclear(name));
                    match understood {
                        Ok(deleted) if deleted.id.is_some() => return Ok(None),
                        Ok(_) => unclear(name),
                        Err(failure) => failure,
                    }
                }
                Err(error) => failure(&error),
            };
            match failed {
                Failure::Refused(refusal)
                    if refusal.is_not_found() || refusal.is_being_deleted() =>
                {
                    return Ok(None);
                }
                Failure::Refused(refusal) if refusal.is_passing() && patience.wait().await => {}
                failed => return Err(self.explain(failed, Sent::Write, Some(name))),
            }
        }
    }

    async fn restore(&self, cx: &Ctx, name: &Name, id: &str) -> Result<Option<Version>> {
        match self.recover(cx, id, &mut Patience::new(cx)).await {
            Ok(Recovered::Back(version)) => Ok(version),
            Ok(Recovered::UnderWay) => Err(self.still_recovering(name, id)),
            Err(Failure::Refused(refusal)) if refusal.is_not_found() => {
                let message = format!("{name} is not deleted: there is nothing to restore");
                Err(Error::new(ErrorKind::Conflict, message)
                    .at_store(&self.place.location)
                    .about(name))
            }
            Err(failure) => Err(self.explain(failure, Sent::Write, Some(name))),
        }
    }

    /// Brings back what was deleted, and waits until it is there: the vault answers before it is.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/recover-deleted-secret/recover-deleted-secret>
    async fn recover(&self, cx: &Ctx, id: &str, patience: &mut Patience) -> Answer<Recovered> {
        let session = self.session(cx).await.map_err(Failure::Other)?;
        loop {
            let options = SecretClientRecoverDeletedSecretOptions {
                method_options: options(cx),
            };
            let answer = session
                .client
                .recover_deleted_secret(id, Some(options))
                .await;
            let Err(error) = answer else { break };
            match failure(&error) {
                // Its deletion is not over yet.
                Failure::Refused(refusal)
                    if refusal.is_being_deleted() && patience.wait().await => {}
                Failure::Refused(refusal)
                    if refusal.is_passing() && !refusal.is_being_deleted() =>
                {
                    break;
                }
                failed => return Err(failed),
            }
        }
        loop {
            match self.get(cx, id, None).await {
                Ok(secret) => return Ok(Recovered::Back(version_of(&secret))),
                // It is back and disabled, or not ours to read.
                Err(Failure::Refused(refusal)) if refusal.is_forbidden() => {
                    return Ok(Recovered::Back(None));
                }
                Err(Failure::Refused(refusal))
                    if refusal.is_not_found() || refusal.is_passing() =>
                {
                    if !patience.wait().await {
                        return Ok(Recovered::UnderWay);
                    }
                }
                Err(failed) => return Err(failed),
            }
        }
    }

    fn still_recovering(&self, name: &Name, id: &str) -> Error {
        let vault = &self.place.vault;
        let message = format!("{name} is being brought back, and was not there in time");
        Error::new(ErrorKind::OutcomeUnknown, message)
            .with_hint(format!(
                "look again in a little while: az keyvault secret show-deleted --vault-name {vault} --name {id}"
            ))
            .at_store(&self.place.location)
            .about(name)
    }

    /// The name is taken and we may not free it.
    fn in_the_way(&self, name: &Name, id: &str) -> Error {
        let vault = &self.place.vault;
        let message =
            format!("{name} was deleted and keeps its name, and we may not bring it back");
        Error::new(ErrorKind::PermissionDenied, message)
            .with_hint(format!(
                "az keyvault secret recover --vault-name {vault} --name {id} (or `purge` in place of `recover`, where the vault is not protected from it)"
            ))
            .at_store(&self.place.location)
            .about(name)
    }
}

/// A success that cannot be understood: something other than the vault may have answered.
fn unclear(name: &Name) -> Failure {
    let message = format!("the answer to the write of {name} cannot be understood");
    Failure::Other(Error::new(ErrorKind::OutcomeUnknown, message))
}
