//! The key-value engine, versions 1 and 2: one path read, written under compare-and-set, and looked
//! back at. What the documents at the paths mean is not known here.

use std::collections::BTreeMap;

use rustify::endpoint::Endpoint;
use secrets_api::{Ctx, Error, ErrorKind, Meta, Result, Timestamp, Zeroizing};
use secrets_net::{Document, Sent, spread};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::OnceCell;
use vaultrs::api::kv2::requests::{
    DeleteSecretVersionsRequest, DestroySecretVersionsRequest, ListSecretsRequest,
    ReadSecretMetadataRequest, UndeleteSecretVersionsRequest,
};

use crate::answer::Answer;
use crate::place::{Place, Version};
use crate::requests::Raw;
use crate::session::Session;

/// Most requests under way at once.
pub(crate) const CONCURRENCY: usize = 16;

/// Most bytes of one document: half a mebibyte less than the entry of integrated storage holds, for
/// what the engine adds (`max_entry_size`, 1 MiB:
/// <https://developer.hashicorp.com/vault/docs/internals/limits#entry-size>).
pub(crate) const MOST_BYTES: usize = 512 * 1024;

/// What is at one path.
#[derive(Debug)]
pub(crate) enum State {
    /// Nothing, and there never was: said only of an engine that was seen to be of this version.
    Never,
    /// Something of this version that was deleted.
    Deleted(u64),
    /// A document.
    Live(u64, Document, Meta),
}

impl State {
    /// The version that a compare-and-set write names: zero where nothing ever was.
    pub(crate) fn version(&self) -> u64 {
        match self {
            Self::Never => 0,
            Self::Deleted(version) | Self::Live(version, ..) => *version,
        }
    }

    /// The state in one word.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Deleted(version) => deleted(*version),
            other => other.version().to_string(),
        }
    }

    /// The state in one word that no other has, also where all there was is deleted for good and the numbers
    /// begin again.
    pub(crate) fn revision(&self) -> String {
        match self {
            Self::Live(version, _, meta) => dated(*version, meta.modified),
            other => other.name(),
        }
    }
}

/// The name of a version that was made then.
pub(crate) fn dated(version: u64, made: Option<Timestamp>) -> String {
    match made {
        Some(made) => format!("{version}@{made}"),
        None => version.to_string(),
    }
}

/// The name of a deletion: other than that of the version it deleted.
pub(crate) fn deleted(version: u64) -> String {
    format!("{version}d")
}

/// What is known of one version at a path.
#[derive(Debug, Deserialize)]
pub(crate) struct Known {
    created_time: String,
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    pub(crate) destroyed: bool,
}

impl Known {
    /// Whether its value is gone. A deletion may lie ahead (`delete_version_after`).
    pub(crate) fn is_deleted(&self) -> bool {
        let past = |time: Timestamp| time <= Timestamp::now();
        self.destroyed || self.deletion_time.parse().is_ok_and(past)
    }

    pub(crate) fn meta(&self) -> Meta {
        let deleted = self.is_deleted();
        let time = if deleted && !self.deletion_time.is_empty() {
            &self.deletion_time
        } else {
            &self.created_time
        };
        Meta {
            modified: time.parse().ok(),
            deleted,
            ..Meta::default()
        }
    }
}

/// What is known of all versions at a path, by their numbers.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Past {
    #[serde(default)]
    pub(crate) current_version: u64,
    #[serde(default)]
    pub(crate) versions: BTreeMap<u64, Known>,
}

impl Past {
    /// The present state in one word, as [`State::name`] has it.
    pub(crate) fn state(&self) -> String {
        match self.versions.get(&self.current_version) {
            Some(known) if known.is_deleted() => deleted(self.current_version),
            _ => self.current_version.to_string(),
        }
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: Option<T>,
    #[serde(default)]
    lease_id: String,
}

/// The engine at one mount.
#[derive(Debug)]
pub(crate) struct Kv {
    pub(crate) location: String,
    pub(crate) place: Place,
    pub(crate) session: Session,
    /// Whether the engine was seen to be of the version that the address names.
    checked: OnceCell<()>,
}

impl Kv {
    pub(crate) fn new(location: String, place: Place, session: Session) -> Self {
        Self {
            location,
            place,
            session,
            checked: OnceCell::new(),
        }
    }

    pub(crate) fn is_two(&self) -> bool {
        self.place.version == Version::Two
    }

    fn at(&self, part: &str, path: &str) -> String {
        match self.place.version {
            Version::One => format!("{}/{path}", self.place.mount),
            Version::Two => format!("{}/{part}/{path}", self.place.mount),
        }
    }

    /// What is at this path: now, or at an earlier version.
    pub(crate) async fn read(&self, cx: &Ctx, path: &str, version: Option<u64>) -> Result<State> {
        if !self.is_two() {
            // At another engine's path a GET may issue credentials: a read never does.
            let check = || self.check_engine(cx);
            self.checked.get_or_try_init(check).await?;
        }
        let request = Raw::get(self.at("data", path)).version(version);
        let answer = self.session.call(cx, request, Sent::Read).await?;
        match self.place.version {
            Version::One => self.read_one(cx, &answer).await,
            Version::Two => self.read_two(cx, &answer).await,
        }
    }

    async fn read_one(&self, cx: &Ctx, answer: &Answer) -> Result<State> {
        if answer.is_success() {
            let body: Envelope<&RawValue> = answer.json()?;
            if !body.lease_id.is_empty() {
                return Err(self.issued(cx, &body.lease_id).await);
            }
            let data = body.data.map_or("null", RawValue::get);
            return Ok(State::Live(
                0,
                Document::parse(data.as_bytes())?,
                Meta::default(),
            ));
        }
        self.absence(cx, answer).await?;
        Ok(State::Never)
    }

    async fn read_two(&self, cx: &Ctx, answer: &Answer) -> Result<State> {
        #[derive(Deserialize)]
        struct Found<'a> {
            #[serde(borrow)]
            data: Option<&'a RawValue>,
            metadata: Metadata,
        }
        #[derive(Deserialize)]
        struct Metadata {
            version: u64,
            #[serde(flatten)]
            known: Known,
        }
        let body: Envelope<&RawValue> = if answer.is_success() || answer.status == 404 {
            answer.json()?
        } else {
            return Err(answer.refusal(Sent::Read));
        };
        let found = body.data.map(RawValue::get).filter(|json| *json != "null");
        let Some(found) = found else {
            if answer.is_success() {
                return Err(answer.unlike());
            }
            self.absence(cx, answer).await?;
            return Ok(State::Never);
        };
        // What an engine of version 1 keeps has no such frame.
        let found: Found<'_> = serde_json::from_str(found).map_err(|_| self.other_version())?;
        if !answer.is_success() {
            // Deleted or destroyed.
            return Ok(State::Deleted(found.metadata.version));
        }
        let fields = found.data.map_or("null", RawValue::get);
        let document = Document::parse(fields.as_bytes())?;
        Ok(State::Live(
            found.metadata.version,
            document,
            found.metadata.known.meta(),
        ))
    }

    /// Whether a refusal means that nothing is there; else it is the error.
    async fn absence(&self, cx: &Ctx, answer: &Answer) -> Result<()> {
        #[derive(Deserialize)]
        struct Warned {
            #[serde(default)]
            warnings: Option<Vec<String>>,
        }
        if !answer.is_absence() {
            return Err(answer.refusal(Sent::Read));
        }
        let warned: Option<Warned> = serde_json::from_slice(&answer.body).ok();
        let warnings = warned.and_then(|w| w.warnings).unwrap_or_default();
        if warnings.iter().any(|text| text.contains("versioned K/V")) {
            return Err(self.other_version());
        }
        if self.is_two() {
            let check = || self.check_engine(cx);
            self.checked.get_or_try_init(check).await?;
        }
        Ok(())
    }

    /// The path of another engine, which may not be asked about and has issued credentials for a read:
    /// they are ended at once.
    async fn issued(&self, cx: &Ctx, lease: &str) -> Error {
        let body = serde_json::json!({ "lease_id": lease, "sync": true }).to_string();
        let request = Raw::post(
            "sys/leases/revoke".into(),
            Zeroizing::new(body.into_bytes()),
        );
        let ended = self.session.succeed(cx, request, Sent::Read).await;
        let what = format!(
            "the engine at {}/ issues credentials and keeps none",
            self.place.mount
        );
        let hint = match ended {
            Ok(_) => {
                "what it issued was ended; for such credentials write `vault-dynamic:MOUNT/creds/ROLE`"
            }
            Err(_) => {
                "what it issued ends by itself; for such credentials write `vault-dynamic:MOUNT/creds/ROLE`"
            }
        };
        Error::new(ErrorKind::InvalidConfig, what).with_hint(hint)
    }

    fn other_version(&self) -> Error {
        let (is, other) = match self.place.version {
            Version::One => ("2", "leave out kv=1"),
            Version::Two => ("1", "add ?kv=1 to the address"),
        };
        let what = format!(
            "the engine at {}/ is key-value version {is}",
            self.place.mount
        );
        Error::new(ErrorKind::InvalidConfig, what).with_hint(other)
    }

    /// Writes a document: where the engine has versions, only over `seen`. Gives the new version, and when it
    /// was made.
    ///
    /// # Errors
    /// `Conflict` where the path has moved on since.
    pub(crate) async fn write(
        &self,
        cx: &Ctx,
        path: &str,
        document: &Document,
        seen: &State,
    ) -> Result<(u64, Option<Timestamp>)> {
        let json = document.to_json();
        if json.len() > MOST_BYTES {
            return Err(Error::unsupported(format!(
                "the document would have {} bytes and the store holds at most {MOST_BYTES}",
                json.len()
            )));
        }
        if !self.is_two() {
            // Version 1 takes no document without fields: it is one that is not there.
            let request = if document.is_empty() {
                Raw::delete(self.at("", path))
            } else {
                Raw::post(self.at("", path), json)
            };
            self.change(cx, request).await?;
            return Ok((0, None));
        }
        let tail = format!(",\"options\":{{\"cas\":{}}}}}", seen.version());
        let mut body = Zeroizing::new(Vec::with_capacity(json.len() + tail.len() + 8));
        body.extend_from_slice(b"{\"data\":");
        body.extend_from_slice(&json);
        body.extend_from_slice(tail.as_bytes());
        let request = Raw::post(self.at("data", path), body);
        let answer = self.session.succeed(cx, request, Sent::Write).await?;
        #[derive(Deserialize)]
        struct Made {
            version: u64,
            #[serde(default)]
            created_time: String,
        }
        let body: Envelope<Made> = answer.made()?;
        let made = body.data.ok_or_else(|| answer.unclear())?;
        Ok((made.version, made.created_time.parse().ok()))
    }

    /// A change of which there is nothing to learn but that it was made.
    async fn change<E: Endpoint>(&self, cx: &Ctx, request: E) -> Result<()> {
        let answer = self.session.succeed(cx, request, Sent::Write).await?;
        answer.done()
    }

    /// Whether a write can say, unseen, that nothing is there: the engine compares, and is the one it was
    /// named as.
    pub(crate) fn guards_unseen(&self) -> bool {
        self.is_two() && self.checked.initialized()
    }

    /// Before nothing is said to be there, or written there, for the first time: an engine of version 1
    /// answers to our paths as one of version 2 does, and would take our frame for a secret. One that
    /// may not be asked about is taken as it was named.
    pub(crate) async fn check_engine(&self, cx: &Ctx) -> Result<()> {
        #[derive(Deserialize)]
        struct Mount {
            #[serde(default, rename = "type")]
            kind: String,
            #[serde(default)]
            options: Option<BTreeMap<String, String>>,
        }
        let request = Raw::get(format!("sys/internal/ui/mounts/{}", self.place.mount));
        let answer = self.session.call(cx, request, Sent::Read).await?;
        if answer.status == 403 {
            return Ok(());
        }
        if !answer.is_success() {
            // What knows nothing of mounts is no Vault, though its 404 looks like absence.
            return Err(if answer.status == 404 {
                answer.unlike()
            } else {
                answer.refusal(Sent::Read)
            });
        }
        let body: Envelope<Mount> = answer.json()?;
        let Some(mount) = body.data else {
            return Err(answer.unlike());
        };
        if !["kv", "generic", "cubbyhole"].contains(&mount.kind.as_str()) {
            let what = format!(
                "the engine at {}/ keeps no key-value secrets",
                self.place.mount
            );
            return Err(Error::new(ErrorKind::InvalidConfig, what)
                .with_hint("`vault secrets list` shows the mounts and their kinds"));
        }
        let options = mount.options.unwrap_or_default();
        let is_two = options.get("version").is_some_and(|version| version == "2");
        if is_two == self.is_two() {
            Ok(())
        } else {
            Err(self.other_version())
        }
    }

    /// All that is known of the past of a path; nothing where nothing ever was.
    pub(crate) async fn past(&self, cx: &Ctx, path: &str) -> Result<Past> {
        let request = ReadSecretMetadataRequest {
            mount: self.place.mount.clone(),
            path: path.to_owned(),
        };
        let answer = self.session.call(cx, request, Sent::Read).await?;
        if answer.is_success() {
            let body: Envelope<Past> = answer.json()?;
            return Ok(body.data.unwrap_or_default());
        }
        self.absence(cx, &answer).await?;
        Ok(Past::default())
    }

    /// The states of a document, newest first, each with its revision; those that were destroyed are unknown.
    pub(crate) async fn states(
        &self,
        cx: &Ctx,
        path: &str,
    ) -> Result<Vec<secrets_net::document::State>> {
        let past = self.past(cx, path).await?;
        let newest_first = past.versions.iter().rev();
        let named = |name: String, meta: Meta| Meta {
            version: Some(secrets_api::Version::new(name)),
            ..meta
        };
        let reads = newest_first.map(|(version, known)| async move {
            if known.destroyed {
                return Ok(secrets_net::document::unknown());
            }
            if known.is_deleted() {
                return Ok((named(deleted(*version), known.meta()), None));
            }
            let state = self.read(cx, path, Some(*version)).await?;
            let name = state.revision();
            match state {
                State::Live(_, document, meta) => Ok((named(name, meta), Some(document))),
                // Deleted since.
                State::Never | State::Deleted(..) => Ok((named(name, known.meta()), None)),
            }
        });
        spread(CONCURRENCY, reads).await.into_iter().collect()
    }

    /// The names of the fields at a path, and the time they were written; no value is sent.
    pub(crate) async fn fields(&self, cx: &Ctx, path: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Subkeys {
            // Always there: an answer without it is not a Vault's.
            #[serde(rename = "metadata")]
            _metadata: serde::de::IgnoredAny,
            subkeys: Option<BTreeMap<String, serde::de::IgnoredAny>>,
        }
        let request = Raw::get(format!("{}/subkeys/{path}", self.place.mount));
        let answer = self.session.call(cx, request, Sent::Read).await?;
        if answer.is_success() {
            let body: Envelope<Subkeys> = answer.json()?;
            let keys = body.data.and_then(|data| data.subkeys).unwrap_or_default();
            return Ok(keys.into_keys().collect());
        }
        let denied = answer.status == 403 && !answer.refuses_token();
        if denied || answer.says("unsupported path") {
            // A policy for the values alone, or a server from before 1.10, which has no subkeys: the
            // values are read and dropped.
            return Ok(match self.read(cx, path, None).await? {
                State::Live(_, document, _) => {
                    document.names().map(|name| name.to_string()).collect()
                }
                State::Never | State::Deleted(..) => Vec::new(),
            });
        }
        self.absence(cx, &answer).await?;
        Ok(Vec::new())
    }

    /// What lies directly below a path; folders are left out.
    pub(crate) async fn below(&self, cx: &Ctx, path: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<String>,
        }
        let answer = if self.is_two() {
            let request = ListSecretsRequest {
                mount: self.place.mount.clone(),
                path: path.to_owned(),
            };
            self.session.call(cx, request, Sent::Read).await?
        } else {
            self.session
                .call(cx, Raw::list(self.at("", path)), Sent::Read)
                .await?
        };
        if answer.is_success() {
            let body: Envelope<Keys> = answer.json()?;
            let keys = body.data.map(|data| data.keys).unwrap_or_default();
            return Ok(keys.into_iter().filter(|key| !key.ends_with('/')).collect());
        }
        self.absence(cx, &answer).await?;
        Ok(Vec::new())
    }

    /// Deletes one version, which can be taken back.
    pub(crate) async fn delete(&self, cx: &Ctx, path: &str, version: u64) -> Result<()> {
        let request = DeleteSecretVersionsRequest {
            mount: self.place.mount.clone(),
            path: path.to_owned(),
            versions: vec![version],
        };
        self.change(cx, request).await
    }

    /// Takes the deletion of one version back.
    pub(crate) async fn undelete(&self, cx: &Ctx, path: &str, version: u64) -> Result<()> {
        let request = UndeleteSecretVersionsRequest {
            mount: self.place.mount.clone(),
            path: path.to_owned(),
            versions: vec![version],
        };
        self.change(cx, request).await
    }

    /// Destroys versions for good.
    pub(crate) async fn destroy(&self, cx: &Ctx, path: &str, versions: Vec<u64>) -> Result<()> {
        let request = DestroySecretVersionsRequest {
            mount: self.place.mount.clone(),
            path: path.to_owned(),
            versions,
        };
        self.change(cx, request).await
    }

    /// Removes a path of version 1.
    pub(crate) async fn remove(&self, cx: &Ctx, path: &str) -> Result<()> {
        self.change(cx, Raw::delete(self.at("", path))).await
    }

    /// A path below that of the store.
    pub(crate) fn child(&self, name: &str) -> String {
        format!("{}/{name}", self.place.path)
    }
}
