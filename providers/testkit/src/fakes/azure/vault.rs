//! The vault's operations on secrets, api-version 2025-07-01.
//! <https://learn.microsoft.com/rest/api/keyvault/secrets/operation-groups>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::error;
use super::secrets::{Passing, Secret, Standing, Version};
use crate::web::{Reply, Request};

/// "If not specified the service will return up to 25 results", and no more if it is.
/// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets#uri-parameters>
const PAGE: usize = 25;

/// "Secret is beyond the maximum permitted length of 25600 characters", the service says; "a maximum
/// size of 25k bytes each", its document.
/// <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>
const LONGEST: usize = 25_600;

/// <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags>
const MOST_TAGS: usize = 15;

/// What the vault holds and how it behaves.
#[derive(Default)]
pub(super) struct VaultState {
    /// By their names in lower case: "case-insensitive".
    /// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers>
    secrets: BTreeMap<String, Secret>,
    /// How many looks a deletion or a recovery takes.
    pub(super) takes: usize,
    /// Which actions are forbidden, and why.
    pub(super) forbidden: Vec<(String, String)>,
    /// Where the list goes on.
    pub(super) next_host: Option<String>,
}

impl VaultState {
    pub(super) fn answer(&mut self, request: &Request) -> Reply {
        if request.parameter("api-version").is_none() {
            return bad("AKV10101: The api-version query parameter is missing.");
        }
        let segments = request.segments();
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let base = format!("https://{}", request.header("host").unwrap_or_default());
        // "secrets/get permission", and so on: each operation's document names its own.
        let (action, id) = match (&*request.method, &*path) {
            ("GET", ["secrets" | "deletedsecrets"]) | ("GET", ["secrets", _, "versions"]) => {
                ("list", None)
            }
            ("GET", ["secrets", id] | ["secrets", id, _] | ["deletedsecrets", id]) => {
                ("get", Some(*id))
            }
            ("PUT", ["secrets", id]) => ("set", Some(*id)),
            ("DELETE", ["secrets", id]) => ("delete", Some(*id)),
            ("POST", ["deletedsecrets", id, "recover"]) => ("recover", Some(*id)),
            ("DELETE", ["deletedsecrets", id]) => ("purge", Some(*id)),
            _ => {
                return error(
                    405,
                    "MethodNotAllowed",
                    "The method is not supported.",
                    None,
                );
            }
        };
        let forbidden = self.forbidden.iter().find(|(what, _)| what == action);
        if let Some((_, reason)) = forbidden {
            // <https://learn.microsoft.com/azure/key-vault/general/rest-error-codes#http-403-insufficient-permissions>
            let message = "Caller is not authorized to perform action on resource.";
            return error(403, "Forbidden", message, Some(reason));
        }
        // "pattern: ^[0-9a-zA-Z-]+$"; "a 1-127 character string".
        // <https://learn.microsoft.com/rest/api/keyvault/secrets/set-secret/set-secret#uri-parameters>
        let well_named = |id: &str| {
            (1..=127).contains(&id.len())
                && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        if id.is_some_and(|id| !well_named(id)) {
            return bad("The request URI contains an invalid name.");
        }
        match (&*request.method, &*path) {
            ("GET", ["secrets"]) => self.list(request, &base),
            ("GET", ["deletedsecrets"]) => self.list_deleted(request, &base),
            ("GET", ["secrets", id, "versions"]) => self.list_versions(request, &base, id),
            ("GET", ["secrets", id]) => self.get(&base, id, None),
            ("GET", ["secrets", id, version]) => self.get(&base, id, Some(version)),
            ("GET", ["deletedsecrets", id]) => self.get_deleted(&base, id),
            ("PUT", ["secrets", id]) => self.set(request, &base, id),
            ("DELETE", ["secrets", id]) => self.delete(&base, id),
            ("POST", ["deletedsecrets", id, "recover"]) => self.recover(&base, id),
            (_, ["deletedsecrets", id]) => self.purge_by_request(id),
            _ => Reply::empty(404),
        }
    }

    fn entry(&mut self, id: &str) -> Option<&mut Secret> {
        self.secrets.get_mut(&id.to_ascii_lowercase())
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret>
    fn get(&mut self, base: &str, id: &str, version: Option<&str>) -> Reply {
        let Some(secret) = self.entry(id) else {
            return not_found(id);
        };
        if secret.look() != Standing::Active {
            return not_found(id);
        }
        let found = match version {
            None => secret.present(),
            Some(version) => secret.version(version),
        };
        match found {
            None => not_found(&format!("{id}/{}", version.unwrap_or_default())),
            // "Operation get is not allowed on a disabled secret."
            Some(version) if !version.enabled => error(
                403,
                "Forbidden",
                "Operation get is not allowed on a disabled secret.",
                Some("SecretDisabled"),
            ),
            Some(version) => Reply::json(200, &secret.bundle(base, version)),
        }
    }

    /// A set is always a new version; it takes no precondition.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/set-secret/set-secret>
    fn set(&mut self, request: &Request, base: &str, id: &str) -> Reply {
        let body = request.json().unwrap_or_default();
        let Some(value) = body["value"].as_str() else {
            return bad("The request body is invalid: value is required.");
        };
        if value.chars().count() > LONGEST {
            return bad("Secret is beyond the maximum permitted length of 25600 characters.");
        }
        let tags = body["tags"].as_object().cloned();
        if tags.as_ref().is_some_and(|tags| tags.len() > MOST_TAGS) {
            return bad("A secret can have at most 15 tags.");
        }
        let mut version = Version::new(value.as_bytes().to_vec());
        version.content_type = body["contentType"].as_str().map(ToOwned::to_owned);
        version.tags = tags;
        version.enabled = body["attributes"]["enabled"].as_bool().unwrap_or(true);
        match self.entry(id).map(Secret::look) {
            Some(Standing::Deleted) => {
                return conflict(
                    &format!(
                        "Secret {id} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged."
                    ),
                    "ObjectIsDeletedButRecoverable",
                );
            }
            Some(Standing::On(passing)) => return underway(id, passing),
            Some(Standing::Active) | None => {}
        }
        let secret = match self.secrets.entry(id.to_ascii_lowercase()) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(Secret::new(id, version))
            }
            std::collections::btree_map::Entry::Occupied(taken) => {
                let secret = taken.into_mut();
                secret.versions.push(version);
                secret
            }
        };
        match secret.present() {
            Some(version) => Reply::json(200, &secret.bundle(base, version)),
            None => Reply::empty(500),
        }
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/delete-secret/delete-secret>
    fn delete(&mut self, base: &str, id: &str) -> Reply {
        let takes = self.takes;
        let Some(secret) = self.entry(id) else {
            return not_found(id);
        };
        match secret.look() {
            Standing::Deleted => not_found(id),
            Standing::On(passing) => underway(id, passing),
            Standing::Active => {
                secret.delete(takes);
                Reply::json(200, &secret.deleted_bundle(base))
            }
        }
    }

    /// Told once the deletion is over.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-deleted-secret/get-deleted-secret>
    fn get_deleted(&mut self, base: &str, id: &str) -> Reply {
        let Some(secret) = self.entry(id) else {
            return deleted_not_found(id);
        };
        match secret.look() {
            Standing::Deleted => Reply::json(200, &secret.deleted_bundle(base)),
            Standing::Active | Standing::On(_) => deleted_not_found(id),
        }
    }

    /// The answer is the secret's version, without its value; the secret is there a little later.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/recover-deleted-secret/recover-deleted-secret>
    fn recover(&mut self, base: &str, id: &str) -> Reply {
        let takes = self.takes;
        let Some(secret) = self.entry(id) else {
            return deleted_not_found(id);
        };
        match secret.look() {
            Standing::Active => deleted_not_found(id),
            Standing::On(passing) => underway(id, passing),
            Standing::Deleted => {
                secret.recover(takes);
                match secret.present() {
                    Some(version) => Reply::json(200, &secret.item(base, version, true)),
                    None => Reply::empty(500),
                }
            }
        }
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/purge-deleted-secret/purge-deleted-secret>
    fn purge_by_request(&mut self, id: &str) -> Reply {
        match self.entry(id).map(Secret::look) {
            Some(Standing::Deleted) => {
                self.purge(id);
                Reply::empty(204)
            }
            Some(Standing::On(passing)) => underway(id, passing),
            Some(Standing::Active) | None => deleted_not_found(id),
        }
    }

    /// "Only the base secret identifier and its attributes": no version, no value.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secrets/get-secrets>
    fn list(&mut self, request: &Request, base: &str) -> Reply {
        let active = self.secrets.values();
        let active = active.filter(|secret| secret.standing() == Standing::Active);
        let items = active
            .filter_map(|secret| Some(secret.item(base, secret.present()?, false)))
            .collect();
        self.page(request, base, "secrets", items)
    }

    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-deleted-secrets/get-deleted-secrets>
    fn list_deleted(&mut self, request: &Request, base: &str) -> Reply {
        let deleted = self.secrets.values();
        let deleted = deleted.filter(|secret| secret.standing() == Standing::Deleted);
        let items = deleted.map(|secret| secret.deleted_bundle(base)).collect();
        self.page(request, base, "deletedsecrets", items)
    }

    /// In no documented order: oldest first here, which is not what a reader wants.
    /// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret-versions/get-secret-versions>
    fn list_versions(&mut self, request: &Request, base: &str, id: &str) -> Reply {
        let Some(secret) = self.entry(id) else {
            return not_found(id);
        };
        if secret.look() != Standing::Active {
            return not_found(id);
        }
        let versions = secret.versions.iter();
        let items = versions
            .map(|version| secret.item(base, version, true))
            .collect();
        self.page(request, base, &format!("secrets/{id}/versions"), items)
    }

    /// One page, and where the next one is.
    fn page(&self, request: &Request, base: &str, path: &str, items: Vec<Value>) -> Reply {
        let size = match request.parameter("maxresults").map(str::parse) {
            None => PAGE,
            Some(Ok(size)) if (1..=PAGE).contains(&size) => size,
            Some(_) => return bad("maxresults must be between 1 and 25."),
        };
        let from = request.parameter("$skiptoken").map_or(Ok(0), str::parse);
        let Ok(from): Result<usize, _> = from else {
            return bad("The skip token is invalid.");
        };
        let host = self.next_host.as_deref().unwrap_or(base);
        let next = (from + size < items.len()).then(|| {
            let from = from + size;
            format!("{host}/{path}?api-version=2025-07-01&$skiptoken={from}&maxresults={size}")
        });
        let page: Vec<Value> = items.into_iter().skip(from).take(size).collect();
        Reply::json(200, &json!({ "value": page, "nextLink": next }))
    }

    pub(super) fn seed(&mut self, id: &str, value: &[u8]) {
        let version = Version::new(value.to_vec());
        match self.entry(id) {
            Some(secret) => secret.versions.push(version),
            None => {
                let secret = Secret::new(id, version);
                self.secrets.insert(id.to_ascii_lowercase(), secret);
            }
        }
    }

    fn active(&self, id: &str) -> Option<&Secret> {
        let secret = self.secrets.get(&id.to_ascii_lowercase())?;
        (secret.standing() == Standing::Active).then_some(secret)
    }

    pub(super) fn value(&self, id: &str) -> Option<Vec<u8>> {
        Some(self.active(id)?.present()?.value.clone())
    }

    pub(super) fn ids(&self) -> Vec<String> {
        let ids = self.secrets.values();
        let active = ids.filter(|secret| secret.standing() == Standing::Active);
        active.map(|secret| secret.id.clone()).collect()
    }

    pub(super) fn versions(&self, id: &str) -> usize {
        let secret = self.secrets.get(&id.to_ascii_lowercase());
        secret.map_or(0, |secret| secret.versions.len())
    }

    pub(super) fn labels(&self, id: &str) -> Value {
        let version = self.active(id).and_then(Secret::present);
        version.map_or(
            Value::Null,
            |version| json!({ "contentType": version.content_type, "tags": version.tags }),
        )
    }

    pub(super) fn enable(&mut self, id: &str, enabled: bool) {
        if let Some(version) = self.entry(id).and_then(Secret::present_mut) {
            version.enabled = enabled;
            version.touch();
        }
    }

    pub(super) fn make_managed(&mut self, id: &str) {
        if let Some(secret) = self.entry(id) {
            secret.managed = true;
        }
    }

    pub(super) fn purge(&mut self, id: &str) {
        self.secrets.remove(&id.to_ascii_lowercase());
    }
}

fn bad(message: &str) -> Reply {
    error(400, "BadParameter", message, None)
}

fn not_found(id: &str) -> Reply {
    let message = format!(
        "A secret with (name/id) {id} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command."
    );
    error(404, "SecretNotFound", &message, None)
}

fn deleted_not_found(id: &str) -> Reply {
    error(
        404,
        "SecretNotFound",
        &format!("Deleted Secret not found: {id}"),
        None,
    )
}

fn conflict(message: &str, inner: &str) -> Reply {
    error(409, "Conflict", message, Some(inner))
}

/// The two 409s of a name between two states, as the service words them.
fn underway(id: &str, passing: Passing) -> Reply {
    match passing {
        Passing::Deletion => conflict(
            &format!("Secret {id} is currently being deleted."),
            "ObjectIsBeingDeleted",
        ),
        Passing::Recovery => conflict(
            &format!(
                "Secret {id} is currently being recovered and cannot be re-created; retry later."
            ),
            "ObjectIsBeingRecovered",
        ),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderMap;

    use super::*;

    fn ask(vault: &mut VaultState, method: &str, target: &str, body: &Value) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let mut query: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(pair)
            .collect();
        query.push(pair(("api-version", "2025-07-01")));
        let mut headers = HeaderMap::new();
        headers.insert("host", "shop.vault.azure.net".parse().unwrap());
        let reply = vault.answer(&Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query,
            headers,
            body: body.to_string().into_bytes(),
        });
        let body = serde_json::from_slice(&reply.body).unwrap_or_default();
        (reply.status, body)
    }

    fn set(vault: &mut VaultState, id: &str, value: &str) -> (u16, Value) {
        ask(
            vault,
            "PUT",
            &format!("/secrets/{id}"),
            &json!({ "value": value }),
        )
    }

    fn get(vault: &mut VaultState, method: &str, target: &str) -> (u16, Value) {
        ask(vault, method, target, &Value::Null)
    }

    #[test]
    fn names_are_told_as_first_written_and_found_in_whatever_case() {
        let mut vault = VaultState::default();
        assert_eq!(set(&mut vault, "Some-Name", "1").0, 200);
        assert_eq!(set(&mut vault, "SOME-NAME", "2").0, 200);
        let (status, bundle) = get(&mut vault, "GET", "/secrets/some-name/");
        assert_eq!((status, &bundle["value"]), (200, &json!("2")));
        let id = bundle["id"].as_str().unwrap();
        let version = id
            .strip_prefix("https://shop.vault.azure.net/secrets/Some-Name/")
            .unwrap();
        assert_eq!(version.len(), 32);
        assert_eq!(vault.versions("some-name"), 2);
        for wrong in ["a_b", "a.b", &"x".repeat(128)] {
            assert_eq!(set(&mut vault, wrong, "v").0, 400, "{wrong}");
        }
    }

    #[test]
    fn a_value_and_its_tags_have_their_bounds() {
        let mut vault = VaultState::default();
        assert_eq!(set(&mut vault, "A", &"ü".repeat(LONGEST)).0, 200);
        let (status, body) = set(&mut vault, "A", &"x".repeat(LONGEST + 1));
        assert_eq!(
            (status, &body["error"]["code"]),
            (400, &json!("BadParameter"))
        );
        let tags: serde_json::Map<_, _> = (0..16).map(|n| (n.to_string(), json!(""))).collect();
        let body = json!({ "value": "v", "tags": tags });
        assert_eq!(ask(&mut vault, "PUT", "/secrets/A", &body).0, 400);
        assert_eq!(ask(&mut vault, "PUT", "/secrets/A", &json!({})).0, 400);
    }

    #[test]
    fn what_is_deleted_keeps_its_name_until_it_is_recovered_or_purged() {
        let mut vault = VaultState::default();
        set(&mut vault, "A", "1");
        let (status, deleted) = get(&mut vault, "DELETE", "/secrets/A");
        assert_eq!(status, 200);
        assert_eq!(
            deleted["recoveryId"],
            "https://shop.vault.azure.net/deletedsecrets/A"
        );
        assert_eq!(deleted["value"], Value::Null);
        assert_eq!(get(&mut vault, "GET", "/secrets/A").0, 404);
        assert_eq!(get(&mut vault, "DELETE", "/secrets/A").0, 404);
        let (status, body) = set(&mut vault, "A", "2");
        let inner = &body["error"]["innererror"]["code"];
        assert_eq!(
            (status, inner),
            (409, &json!("ObjectIsDeletedButRecoverable"))
        );
        let listed = get(&mut vault, "GET", "/deletedsecrets").1;
        assert_eq!(listed["value"].as_array().unwrap().len(), 1);
        assert_eq!(get(&mut vault, "POST", "/deletedsecrets/A/recover").0, 200);
        assert_eq!(get(&mut vault, "POST", "/deletedsecrets/A/recover").0, 404);
        assert_eq!(get(&mut vault, "GET", "/secrets/A").1["value"], "1");
        get(&mut vault, "DELETE", "/secrets/A");
        assert_eq!(get(&mut vault, "DELETE", "/deletedsecrets/A").0, 204);
        assert_eq!(get(&mut vault, "GET", "/deletedsecrets/A").0, 404);
        assert_eq!(set(&mut vault, "A", "3").0, 200);
    }

    #[test]
    fn a_list_has_pages_of_25_at_most_and_names_the_next_one() {
        let mut vault = VaultState::default();
        for n in 0..60 {
            vault.seed(&format!("S{n}"), b"v");
        }
        let mut target = "/secrets".to_owned();
        let mut sizes = Vec::new();
        loop {
            let page = get(&mut vault, "GET", &target).1;
            let items = page["value"].as_array().unwrap();
            assert!(items.iter().all(|item| item.get("value").is_none()));
            sizes.push(items.len());
            let Some(next) = page["nextLink"].as_str() else {
                break;
            };
            let path = next.strip_prefix("https://shop.vault.azure.net").unwrap();
            target = path.to_owned();
        }
        assert_eq!(sizes, [25, 25, 10]);
        assert_eq!(get(&mut vault, "GET", "/secrets?maxresults=26").0, 400);
        assert_eq!(get(&mut vault, "GET", "/secrets?maxresults=0").0, 400);
    }

    #[test]
    fn a_disabled_version_is_listed_and_not_read() {
        let mut vault = VaultState::default();
        set(&mut vault, "A", "1");
        vault.enable("A", false);
        let (status, body) = get(&mut vault, "GET", "/secrets/A");
        let inner = &body["error"]["innererror"]["code"];
        assert_eq!((status, inner), (403, &json!("SecretDisabled")));
        let listed = get(&mut vault, "GET", "/secrets").1;
        assert_eq!(listed["value"][0]["attributes"]["enabled"], false);
    }
}
