//! What the service keeps: secrets by their parent and id, each with its versions.
//! <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets>
//! <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions>

use std::collections::BTreeMap;
use std::time::Duration;

use secrets_api::Timestamp;
use serde_json::{Map, Value, json};

use super::crc::crc32c;

/// The state of a version.
/// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets.versions#State>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Enabled = 1,
    Disabled = 2,
    Destroyed = 3,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Destroyed => "DESTROYED",
        }
    }

    /// As a number or by its name, as the request asks
    /// (<https://cloud.google.com/apis/docs/system-parameters>, `$alt`).
    fn json(self, by_number: bool) -> Value {
        match by_number {
            true => json!(self as i32),
            false => json!(self.name()),
        }
    }
}

/// One version: its number is its place, from 1.
pub(super) struct Version {
    pub(super) payload: Vec<u8>,
    pub(super) crc: u32,
    created: Timestamp,
    destroyed: Option<Timestamp>,
    to_be_destroyed: Option<Timestamp>,
    pub(super) state: State,
    pub(super) etag: String,
    checksum_given: bool,
}

impl Version {
    pub(super) fn json(&self, name: &str, by_number: bool) -> Value {
        let mut version = json!({
            "name": name,
            "createTime": self.created.to_string(),
            "state": self.state.json(by_number),
            "etag": self.etag,
            "replicationStatus": { "automatic": {} },
        });
        if let Some(destroyed) = self.destroyed {
            version["destroyTime"] = json!(destroyed.to_string());
        }
        if let Some(scheduled) = self.to_be_destroyed {
            version["scheduledDestroyTime"] = json!(scheduled.to_string());
        }
        // Proto3 JSON leaves out what is false.
        if self.checksum_given {
            version["clientSpecifiedPayloadChecksum"] = json!(true);
        }
        version
    }

    /// Destroying forgets the payload for good:
    /// <https://cloud.google.com/secret-manager/docs/destroy-secret-version>
    pub(super) fn turn(&mut self, state: State, etag: String) {
        self.state = state;
        self.etag = etag;
        if state == State::Destroyed {
            self.payload.clear();
            self.destroyed = Some(Timestamp::now());
        }
    }

    /// Where destroying is delayed a version is disabled first, and enabling it calls the rest off:
    /// <https://cloud.google.com/secret-manager/docs/delay-destruction-of-secret-versions>
    pub(super) fn schedule(&mut self, state: State, etag: String) {
        let day = Duration::from_secs(24 * 60 * 60);
        self.to_be_destroyed = match state {
            State::Destroyed => Some(Timestamp::now() + day),
            State::Enabled | State::Disabled => None,
        };
        let turned = match state {
            State::Destroyed => State::Disabled,
            state => state,
        };
        self.turn(turned, etag);
    }
}

/// One secret.
pub(super) struct Secret {
    pub(super) labels: Map<String, Value>,
    pub(super) annotations: Map<String, Value>,
    replication: Value,
    created: Timestamp,
    pub(super) etag: String,
    pub(super) versions: Vec<Version>,
    pub(super) delayed: bool,
    order: usize,
}

impl Secret {
    pub(super) fn json(&self, name: &str) -> Value {
        let mut secret = json!({
            "name": name,
            "createTime": self.created.to_string(),
            "etag": self.etag,
        });
        for (key, value) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !value.is_empty() {
                secret[key] = Value::Object(value.clone());
            }
        }
        if !self.replication.is_null() {
            secret["replication"] = self.replication.clone();
        }
        secret
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Secrets {
    kept: BTreeMap<(String, String), Secret>,
    etags: u64,
    made: usize,
}

impl Secrets {
    /// An etag that was never given before; the quotes belong to it (AIP-154).
    /// <https://cloud.google.com/secret-manager/docs/etags>
    pub(super) fn etag(&mut self) -> String {
        self.etags += 1;
        format!("\"{:013x}\"", 0x0016_0000_0000_u64 + self.etags)
    }

    pub(super) fn get(&mut self, parent: &str, id: &str) -> Option<&mut Secret> {
        self.kept.get_mut(&(parent.to_owned(), id.to_owned()))
    }

    pub(super) fn remove(&mut self, parent: &str, id: &str) {
        self.kept.remove(&(parent.to_owned(), id.to_owned()));
    }

    /// The secrets of a parent, newest first.
    /// <https://cloud.google.com/secret-manager/docs/reference/rest/v1/projects.secrets/list>
    pub(super) fn of(&self, parent: &str) -> Vec<(&str, &Secret)> {
        let mut found: Vec<_> = self
            .kept
            .iter()
            .filter(|((kept_in, _), _)| kept_in == parent)
            .map(|((_, id), secret)| (id.as_str(), secret))
            .collect();
        found.sort_by_key(|(_, secret)| std::cmp::Reverse(secret.order));
        found
    }

    pub(super) fn create(
        &mut self,
        parent: &str,
        id: &str,
        labels: Map<String, Value>,
        annotations: Map<String, Value>,
        replication: Value,
    ) -> &Secret {
        let etag = self.etag();
        self.made += 1;
        let secret = Secret {
            labels,
            annotations,
            replication,
            created: Timestamp::now(),
            etag,
            versions: Vec::new(),
            delayed: false,
            order: self.made,
        };
        let key = (parent.to_owned(), id.to_owned());
        self.kept.entry(key).or_insert(secret)
    }

    /// Adds a version; gives its number. Adding leaves the secret's own etag as it is:
    /// <https://cloud.google.com/secret-manager/docs/etags>
    pub(super) fn add(
        &mut self,
        parent: &str,
        id: &str,
        payload: Vec<u8>,
        checksum_given: bool,
    ) -> Option<usize> {
        let etag = self.etag();
        let secret = self.get(parent, id)?;
        secret.versions.push(Version {
            crc: crc32c(&payload),
            payload,
            created: Timestamp::now(),
            destroyed: None,
            to_be_destroyed: None,
            state: State::Enabled,
            etag,
            checksum_given,
        });
        Some(secret.versions.len())
    }

    pub(super) fn plant(&mut self, parent: &str, id: &str, value: &[u8]) {
        self.plant_empty(parent, id);
        self.add(parent, id, value.to_vec(), false);
    }

    pub(super) fn plant_empty(&mut self, parent: &str, id: &str) {
        let replication = json!({ "automatic": {} });
        self.create(parent, id, Map::new(), Map::new(), replication);
    }

    pub(super) fn set_newest(&mut self, parent: &str, id: &str, state: State) {
        let etag = self.etag();
        self.get(parent, id)
            .and_then(|secret| secret.versions.last_mut())
            .expect("a test changes what it has planted")
            .turn(state, etag);
    }

    pub(super) fn delay_destruction(&mut self, parent: &str, id: &str) {
        let secret = self.get(parent, id);
        secret.expect("a test changes what it has planted").delayed = true;
    }

    pub(super) fn versions(&mut self, parent: &str, id: &str) -> usize {
        self.get(parent, id)
            .map_or(0, |secret| secret.versions.len())
    }

    pub(super) fn labels(&mut self, parent: &str, id: &str) -> Vec<(String, String)> {
        let labels = self.get(parent, id).map(|secret| secret.labels.clone());
        let text = |value: Value| value.as_str().unwrap_or_default().to_owned();
        let pairs = labels.into_iter().flatten();
        pairs.map(|(key, value)| (key, text(value))).collect()
    }
}
