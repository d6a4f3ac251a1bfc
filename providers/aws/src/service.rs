//! The service's calls, each once: no call is repeated here, and no put goes out without a stage.

use std::sync::{Arc, OnceLock};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::{Blob, DateTime};
use aws_sdk_secretsmanager::types::{ApiErrorType, Filter, FilterNameStringType, Tag};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use secrets_api::{Ctx, Result, SecretValue, Timestamp, Zeroizing};
use secrets_net::Sent;
use tokio::time::{Instant, timeout_at};

use crate::place::Place;
use crate::refusal::{self, Clock, Refusal};
use crate::states::{CURRENT, Entry, stands_for_empty};

/// The most secrets of one batch (API reference, BatchGetSecretValue).
pub(crate) const BATCH: usize = 20;
/// The most entries of one page of a list (API reference, ListSecrets, ListSecretVersionIds).
const PAGE: i32 = 100;
/// The most pages of one list that are followed: by twenty secrets a page, more than any environment
/// has.
const PAGES: usize = 1_000;
/// What is stored for an empty value, which the service does not take. Bytes, so that a reader of texts
/// finds none rather than a wrong one.
const NOTHING: &[u8] = b"\0";

/// The calls of one store.
#[derive(Debug)]
pub(crate) struct Service {
    client: Client,
    pub(crate) clock: Arc<Clock>,
    /// Whose the secrets are, as their ARNs say.
    owner: OnceLock<String>,
}

/// A value with the version that holds it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) is_current: bool,
    pub(crate) created: Option<Timestamp>,
    /// `None`: the version has no value.
    pub(crate) value: Option<SecretValue>,
}

/// What is known of a secret without its value.
#[derive(Debug)]
pub(crate) struct Described {
    /// Only versions that have stages.
    pub(crate) versions: Vec<Entry>,
    /// When it will be gone for good, where it is scheduled for deletion.
    pub(crate) gone_by: Option<Timestamp>,
}

impl Described {
    /// The present version.
    pub(crate) fn current(&self) -> Option<&str> {
        self.with_stage(CURRENT)
    }

    /// The version that has this stage.
    pub(crate) fn with_stage(&self, stage: &str) -> Option<&str> {
        let has = |entry: &&Entry| entry.stages.iter().any(|s| s == stage);
        self.versions.iter().find(has).map(|e| e.id.as_str())
    }
}

/// One secret of a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) current: Option<String>,
    pub(crate) changed: Option<Timestamp>,
    pub(crate) tags: Vec<(String, String)>,
}

/// One answer of a batch: which secret (name or ARN, as the service tells it), and why not.
#[derive(Debug)]
pub(crate) struct Missed {
    pub(crate) secret: String,
    pub(crate) why: Refusal,
}

/// One page of a batch, or all of them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) held: Vec<Held>,
    pub(crate) missed: Vec<Missed>,
    pub(crate) next: Option<String>,
}

/// Which of a secret's versions.
#[derive(Debug, Clone, Copy)]
pub(crate) enum At<'a> {
    /// The one with this stage.
    Stage(&'a str),
    /// The one with this id.
    Version(&'a str),
}

impl At<'_> {
    /// The present one.
    pub(crate) const CURRENT: Self = Self::Stage(CURRENT);
}

/// Which secrets a batch is about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted<'a> {
    /// These, at most [`BATCH`].
    These(&'a [String]),
    /// All whose names begin so.
    Below(&'a str),
}

/// Follows the pages of one list. A server that never comes to an end is not followed for ever.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    token: Option<String>,
    turned: usize,
}

impl Pages {
    /// The token of the page to ask for; `None` is the first.
    pub(crate) fn token(&self) -> Option<String> {
        self.token.clone()
    }

    /// Goes on to the page that this token names: whether there is one.
    pub(crate) fn turn(&mut self, next: Option<String>) -> Result<bool, Refusal> {
        let next = next.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(false);
        }
        self.turned += 1;
        if next == self.token || self.turned >= PAGES {
            return Err(Refusal::endless());
        }
        self.token = next;
        Ok(true)
    }
}

impl Service {
    pub(crate) fn new(client: Client, clock: Arc<Clock>) -> Self {
        Self {
            client,
            clock,
            owner: OnceLock::new(),
        }
    }

    /// The account and the region of what was answered so far.
    pub(crate) fn owner(&self) -> Option<String> {
        self.owner.get().cloned()
    }

    /// Takes note of whose a secret is: `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-RANDOM`.
    fn meet(&self, arn: Option<&str>) {
        let mut parts = arn.into_iter().flat_map(|arn| arn.splitn(7, ':')).skip(3);
        if let (Some(region), Some(account)) = (parts.next(), parts.next()) {
            self.owner.get_or_init(|| format!("{account} {region}"));
        }
    }

    async fn call<T, E>(
        &self,
        cx: &Ctx,
        action: &'static str,
        sent: Sent,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> Result<T, Refusal>
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        match timeout_at(Instant::from_std(cx.deadline), request).await {
            Err(_) => Err(Refusal::late(sent)),
            Ok(answer) => answer.map_err(|error| refusal::of(&error, action, sent, &self.clock)),
        }
    }

    /// The value of one version.
    pub(crate) async fn get(&self, cx: &Ctx, secret: &str, at: At<'_>) -> Result<Held, Refusal> {
        let request = self.client.get_secret_value().secret_id(secret);
        let request = match at {
            At::Version(id) => request.version_id(id),
            At::Stage(stage) => request.version_stage(stage),
        };
        let action = "secretsmanager:GetSecretValue";
        let found = self.call(cx, action, Sent::Read, request.send()).await?;
        self.meet(found.arn.as_deref());
        let version = found.version_id.unwrap_or_default();
        Ok(Held {
            name: found.name.unwrap_or_default(),
            is_current: found.version_stages.iter().flatten().any(|s| s == CURRENT),
            created: found.created_date.as_ref().and_then(time),
            value: content(&version, found.secret_string, found.secret_binary),
            version,
        })
    }

    /// One page of a batch.
    pub(crate) async fn batch(
        &self,
        cx: &Ctx,
        wanted: Wanted<'_>,
        page: Option<String>,
    ) -> Result<Batch, Refusal> {
        let request = self.client.batch_get_secret_value().set_next_token(page);
        let request = match wanted {
            Wanted::These(secrets) => request.set_secret_id_list(Some(secrets.to_vec())),
            Wanted::Below(prefix) => {
                let most = i32::try_from(BATCH).unwrap_or(i32::MAX);
                request.filters(named(prefix)).max_results(most)
            }
        };
        let action = "secretsmanager:BatchGetSecretValue";
        let found = self.call(cx, action, Sent::Read, request.send()).await?;
        let held = found
            .secret_values
            .unwrap_or_default()
            .into_iter()
            .map(|entry| {
                self.meet(entry.arn.as_deref());
                let version = entry.version_id.unwrap_or_default();
                Held {
                    name: entry.name.unwrap_or_default(),
                    is_current: entry.version_stages.iter().flatten().any(|s| s == CURRENT),
                    created: entry.created_date.as_ref().and_then(time),
                    value: content(&version, entry.secret_string, entry.secret_binary),
                    version,
                }
            });
        Ok(Batch {
            held: held.collect(),
            missed: found
                .errors
                .unwrap_or_default()
                .into_iter()
                .map(missed)
                .collect(),
            next: found.next_token,
        })
    }

    /// What is known of it; `None` where there is no such secret.
    pub(crate) async fn describe(
        &self,
        cx: &Ctx,
        secret: &str,
    ) -> Result<Option<Described>, Refusal> {
        let request = self.client.describe_secret().secret_id(secret);
        let action = "secretsmanager:DescribeSecret";
        let found = self.call(cx, action, Sent::Read, request.send()).await;
        let Some(found) = refusal::absent_is_none(found)? else {
            return Ok(None);
        };
        let versions = found.version_ids_to_stages.unwrap_or_default();
        Ok(Some(Described {
            versions: versions
                .into_iter()
                .map(|(id, stages)| Entry {
                    id,
                    stages,
                    created: None,
                })
                .collect(),
            gone_by: found.deleted_date.as_ref().and_then(time),
        }))
    }

    /// All versions, those without a stage included; empty where there is no such secret.
    pub(crate) async fn versions(&self, cx: &Ctx, secret: &str) -> Result<Vec<Entry>, Refusal> {
        let mut all = Vec::new();
        let mut pages = Pages::default();
        loop {
            let request = self.client.list_secret_version_ids().secret_id(secret);
            let request = request.include_deprecated(true).max_results(PAGE);
            let request = request.set_next_token(pages.token());
            let action = "secretsmanager:ListSecretVersionIds";
            let found = self.call(cx, action, Sent::Read, request.send()).await;
            let Some(found) = refusal::absent_is_none(found)? else {
                return Ok(Vec::new());
            };
            for entry in found.versions.unwrap_or_default() {
                all.push(Entry {
                    id: entry.version_id.unwrap_or_default(),
                    stages: entry.version_stages.unwrap_or_default(),
                    created: entry.created_date.as_ref().and_then(time),
                });
            }
            if !pages.turn(found.next_token)? {
                return Ok(all);
            }
        }
    }

    /// All secrets whose names begin so, without those scheduled for deletion.
    pub(crate) async fn list(&self, cx: &Ctx, prefix: &str) -> Result<Vec<Listed>, Refusal> {
        let mut all = Vec::new();
        let mut pages = Pages::default();
        loop {
            let request = self.client.list_secrets().filters(named(prefix));
            let request = request.max_results(PAGE).set_next_token(pages.token());
            let action = "secretsmanager:ListSecrets";
            let found = self.call(cx, action, Sent::Read, request.send()).await?;
            for entry in found.secret_list.unwrap_or_default() {
                let versions = entry.secret_versions_to_stages.unwrap_or_default();
                let mut versions = versions.into_iter();
                let current = versions.find(|(_, stages)| stages.iter().any(|s| s == CURRENT));
                let tags = entry.tags.unwrap_or_default().into_iter();
                all.push(Listed {
                    name: entry.name.unwrap_or_default(),
                    current: current.map(|(id, _)| id),
                    changed: entry.last_changed_date.as_ref().and_then(time),
                    tags: tags
                        .filter_map(|tag| Some((tag.key?, tag.value?)))
                        .collect(),
                });
            }
            if !pages.turn(found.next_token)? {
                return Ok(all);
            }
        }
    }

    /// Creates it, with this value as its first version.
    pub(crate) async fn create(
        &self,
        cx: &Ctx,
        place: &Place,
        secret: &str,
        id: &str,
        value: &[u8],
    ) -> Result<(), Refusal> {
        let (text, bytes) = as_sent(value);
        let tags = place.tags.iter();
        let tags: Vec<Tag> = tags
            .map(|(key, value)| Tag::builder().key(key).value(value).build())
            .collect();
        let request = self
            .client
            .create_secret()
            .name(secret)
            .client_request_token(id)
            .set_secret_string(text)
            .set_secret_binary(bytes)
            .set_kms_key_id(place.kms_key.clone())
            .set_tags((!tags.is_empty()).then_some(tags));
        let action = "secretsmanager:CreateSecret";
        let made = self.call(cx, action, Sent::Write, request.send()).await?;
        acknowledged(made.name, Sent::Write)
    }

    /// Puts a version under a private stage. Says whether it is the present one all the same: the first
    /// version of a secret is (API reference, PutSecretValue). `first` says that it may be that one;
    /// else nobody sees it yet, and losing the answer is no more than not having an answer.
    pub(crate) async fn put(
        &self,
        cx: &Ctx,
        secret: &str,
        (id, stage): (&str, &str),
        value: &[u8],
        first: bool,
    ) -> Result<bool, Refusal> {
        let (text, bytes) = as_sent(value);
        let request = self
            .client
            .put_secret_value()
            .secret_id(secret)
            .client_request_token(id)
            .version_stages(stage)
            .set_secret_string(text)
            .set_secret_binary(bytes);
        let action = "secretsmanager:PutSecretValue";
        let sent = if first { Sent::Write } else { Sent::Read };
        let put = self.call(cx, action, sent, request.send()).await?;
        acknowledged(put.name, sent)?;
        Ok(put.version_stages.iter().flatten().any(|s| s == CURRENT))
    }

    /// Makes `to` the present version if `from` is (API reference, UpdateSecretVersionStage: "If the
    /// staging label … the version ID does not match, then the operation fails").
    pub(crate) async fn promote(
        &self,
        cx: &Ctx,
        secret: &str,
        from: &str,
        to: &str,
    ) -> Result<(), Refusal> {
        let moved = (Some(to.to_owned()), Some(from.to_owned()));
        self.stage(cx, secret, CURRENT, moved).await
    }

    /// Gives a stage that no version has yet to this one.
    pub(crate) async fn mark(
        &self,
        cx: &Ctx,
        secret: &str,
        stage: &str,
        version: &str,
    ) -> Result<(), Refusal> {
        self.stage(cx, secret, stage, (Some(version.to_owned()), None))
            .await
    }

    /// Takes a stage from this version.
    pub(crate) async fn unmark(
        &self,
        cx: &Ctx,
        secret: &str,
        stage: &str,
        version: &str,
    ) -> Result<(), Refusal> {
        self.stage(cx, secret, stage, (None, Some(version.to_owned())))
            .await
    }

    async fn stage(
        &self,
        cx: &Ctx,
        secret: &str,
        stage: &str,
        (to, from): (Option<String>, Option<String>),
    ) -> Result<(), Refusal> {
        let request = self
            .client
            .update_secret_version_stage()
            .secret_id(secret)
            .version_stage(stage)
            .set_move_to_version_id(to)
            .set_remove_from_version_id(from);
        let action = "secretsmanager:UpdateSecretVersionStage";
        let done = self.call(cx, action, Sent::Write, request.send()).await?;
        acknowledged(done.name, Sent::Write)
    }

    /// Schedules it for deletion.
    pub(crate) async fn delete(
        &self,
        cx: &Ctx,
        secret: &str,
        days: Option<i64>,
    ) -> Result<(), Refusal> {
        let request = self.client.delete_secret().secret_id(secret);
        let request = request.set_recovery_window_in_days(days);
        let action = "secretsmanager:DeleteSecret";
        let done = self.call(cx, action, Sent::Write, request.send()).await?;
        acknowledged(done.name, Sent::Write)
    }

    /// Takes it back from deletion. No error where it is not scheduled.
    pub(crate) async fn restore(&self, cx: &Ctx, secret: &str) -> Result<(), Refusal> {
        let request = self.client.restore_secret().secret_id(secret);
        let action = "secretsmanager:RestoreSecret";
        let done = self.call(cx, action, Sent::Write, request.send()).await?;
        acknowledged(done.name, Sent::Write)
    }
}

/// Whether what the service tells of a change is there: the SDK takes a success without a body, or
/// any other document, for an answer in which nothing is said.
fn acknowledged(told: Option<String>, sent: Sent) -> Result<(), Refusal> {
    match told {
        Some(_) => Ok(()),
        None => Err(Refusal::unlike(sent)),
    }
}

/// Names that begin so ("Filter": the key `name` matches prefixes, upper and lower case apart).
fn named(prefix: &str) -> Filter {
    Filter::builder()
        .key(FilterNameStringType::Name)
        .values(prefix)
        .build()
}

fn missed(error: ApiErrorType) -> Missed {
    let code = error.error_code.unwrap_or_default();
    let message = error.message.unwrap_or_default();
    Missed {
        secret: error.secret_id.unwrap_or_default(),
        why: refusal::of_item(&code, &message, "secretsmanager:GetSecretValue"),
    }
}

/// Text as text, other bytes as they are.
fn as_sent(value: &[u8]) -> (Option<String>, Option<Blob>) {
    match std::str::from_utf8(value) {
        Ok("") => (None, Some(Blob::new(NOTHING))),
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(Blob::new(value))),
    }
}

fn content(version: &str, text: Option<String>, bytes: Option<Blob>) -> Option<SecretValue> {
    let value = match (text, bytes) {
        (Some(text), _) => SecretValue::from_vec(text.into_bytes()),
        (None, Some(bytes)) => SecretValue::from(Zeroizing::new(bytes.into_inner())),
        (None, None) => return None,
    };
    if stands_for_empty(version) {
        return Some(SecretValue::from_slice(b""));
    }
    Some(value)
}

fn time(date: &DateTime) -> Option<Timestamp> {
    let nanos = i32::try_from(date.subsec_nanos()).ok()?;
    Timestamp::new(date.secs(), nanos).ok()
}
