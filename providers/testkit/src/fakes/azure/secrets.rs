//! One secret of the fake vault: its versions, whether it is deleted, and how the vault writes it.

use secrets_api::OperationId;
use serde_json::{Map, Value, json};

use super::login::now;

/// "Value should be >=7 and <=90": the default.
/// <https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview#soft-delete-behavior>
const DAYS: u64 = 90;

/// One version. "Tags, content type and attributes" are each version's own.
/// <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-attributes>
pub(super) struct Version {
    id: String,
    pub(super) value: Vec<u8>,
    pub(super) content_type: Option<String>,
    pub(super) tags: Option<Map<String, Value>>,
    pub(super) enabled: bool,
    created: u64,
    updated: u64,
}

impl Version {
    /// "An object-version is a system-generated, 32 character string identifier."
    /// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers>
    pub(super) fn new(value: Vec<u8>) -> Self {
        Self {
            id: OperationId::random().to_string(),
            value,
            content_type: None,
            tags: None,
            enabled: true,
            created: now(),
            updated: now(),
        }
    }

    pub(super) fn touch(&mut self) {
        self.updated = now();
    }
}

/// What a secret is on its way to. The vault answers before it is there.
/// <https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passing {
    Deletion,
    Recovery,
}

/// Where a secret stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Active,
    Deleted,
    On(Passing),
}

/// All versions of one name.
pub(super) struct Secret {
    /// As it was first written: "case-insensitive", and told as written.
    pub(super) id: String,
    /// Oldest first.
    pub(super) versions: Vec<Version>,
    pub(super) managed: bool,
    deleted: Option<u64>,
    passing: Option<(Passing, usize)>,
}

impl Secret {
    pub(super) fn new(id: &str, version: Version) -> Self {
        Self {
            id: id.to_owned(),
            versions: vec![version],
            managed: false,
            deleted: None,
            passing: None,
        }
    }

    /// Where it stands; each look brings it nearer to where it is going.
    pub(super) fn look(&mut self) -> Standing {
        match &mut self.passing {
            Some((_, 0)) => self.passing = None,
            Some((passing, left)) => {
                *left -= 1;
                return Standing::On(*passing);
            }
            None => {}
        }
        self.standing()
    }

    /// The same without a look.
    pub(super) fn standing(&self) -> Standing {
        match (&self.passing, self.deleted) {
            (Some((passing, left)), _) if *left > 0 => Standing::On(*passing),
            (_, Some(_)) => Standing::Deleted,
            (_, None) => Standing::Active,
        }
    }

    pub(super) fn delete(&mut self, looks: usize) {
        self.deleted = Some(now());
        self.passing = (looks > 0).then_some((Passing::Deletion, looks));
    }

    pub(super) fn recover(&mut self, looks: usize) {
        self.deleted = None;
        self.passing = (looks > 0).then_some((Passing::Recovery, looks));
    }

    pub(super) fn present(&self) -> Option<&Version> {
        self.versions.last()
    }

    pub(super) fn present_mut(&mut self) -> Option<&mut Version> {
        self.versions.last_mut()
    }

    pub(super) fn version(&self, id: &str) -> Option<&Version> {
        self.versions
            .iter()
            .find(|version| version.id.eq_ignore_ascii_case(id))
    }

    /// `SecretItem`: what a list tells, no value.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets#secretitem>
    pub(super) fn item(&self, base: &str, version: &Version, with_version: bool) -> Value {
        let mut id = format!("{base}/secrets/{}", self.id);
        if with_version {
            id = format!("{id}/{}", version.id);
        }
        let mut item = json!({
            "id": id,
            "attributes": {
                "enabled": version.enabled,
                "created": version.created,
                "updated": version.updated,
                "recoveryLevel": "Recoverable+Purgeable",
                "recoverableDays": DAYS,
            },
        });
        if let Some(content_type) = &version.content_type {
            item["contentType"] = json!(content_type);
        }
        if let Some(tags) = &version.tags {
            item["tags"] = Value::Object(tags.clone());
        }
        if self.managed {
            item["managed"] = json!(true);
        }
        item
    }

    /// `SecretBundle`: one version with its value.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret#secretbundle>
    pub(super) fn bundle(&self, base: &str, version: &Version) -> Value {
        let mut bundle = self.item(base, version, true);
        bundle["value"] = json!(String::from_utf8_lossy(&version.value));
        bundle
    }

    /// `DeletedSecretBundle`: the last version, no value, and until when it can be recovered.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-deleted-secret/get-deleted-secret#deletedsecretbundle>
    pub(super) fn deleted_bundle(&self, base: &str) -> Value {
        let mut bundle = match self.present() {
            Some(version) => self.item(base, version, true),
            None => json!({}),
        };
        let deleted = self.deleted.unwrap_or_default();
        bundle["recoveryId"] = json!(format!("{base}/deletedsecrets/{}", self.id));
        bundle["deletedDate"] = json!(deleted);
        bundle["scheduledPurgeDate"] = json!(deleted + DAYS * 24 * 60 * 60);
        bundle
    }
}
