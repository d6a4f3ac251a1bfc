//! A token kept between runs, where a person asked for it (`cache = "keyring"`): the Azure CLI takes a
//! second for each, a login server a round trip.

use std::sync::Arc;

use azure_core::credentials::{AccessToken, Secret};
use azure_core::time::OffsetDateTime;
use secrets_api::{CredentialCache, Opening, Result, SecretValue};
use serde::{Deserialize, Serialize};

use crate::cli::Profile;
use crate::place::wrong;

/// What is left of a token's time, in seconds, for it to be used: what the SDK asks of its own.
const LEAST: i64 = 300;

/// Where it is kept, and under which key.
pub(crate) struct Keep {
    cache: Arc<dyn CredentialCache>,
    /// Who gives the token, what it is for and how we log in; nothing secret.
    key: String,
    /// Whose token the Azure CLI gives, where it is the one that gives it.
    profile: Option<Profile>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    token: Secret,
    /// Seconds since the epoch.
    expires: i64,
}

impl Keep {
    /// `None` where nobody asked for it.
    ///
    /// # Errors
    /// `InvalidConfig` for a place that is not known.
    pub(crate) fn new(
        opening: &Opening<'_>,
        key: String,
        profile: Option<Profile>,
    ) -> Result<Option<Self>> {
        Ok(is_asked(opening)?.then(|| Self {
            cache: Arc::clone(&opening.cache),
            key,
            profile,
        }))
    }

    /// Under which key a token of now is kept; `None` where it cannot be told whose it is.
    pub(crate) fn key(&self) -> Option<String> {
        match &self.profile {
            None => Some(self.key.clone()),
            Some(profile) => Some(format!("{} {}", self.key, profile.mark()?)),
        }
    }

    /// A token that still has time. What cannot be read is not there.
    pub(crate) async fn get(&self, key: &str) -> Option<AccessToken> {
        let kept = self.cache.get(key).await.ok().flatten()?;
        let kept: Kept = serde_json::from_slice(kept.expose()).ok()?;
        let left = kept.expires - OffsetDateTime::now_utc().unix_timestamp();
        let expires = OffsetDateTime::from_unix_timestamp(kept.expires).ok()?;
        (left > LEAST).then(|| AccessToken::new(kept.token, expires))
    }

    /// Keeps it. Where it cannot be kept the next run asks again.
    pub(crate) async fn put(&self, key: &str, token: &AccessToken) {
        let kept = Kept {
            token: token.token.clone(),
            expires: token.expires_on.unix_timestamp(),
        };
        if let Ok(text) = serde_json::to_vec(&kept) {
            let value = SecretValue::from_vec(text);
            let _ = self.cache.put(key, &value).await;
        }
    }
}

/// Whether a token may be kept.
///
/// # Errors
/// `InvalidConfig` for a place that is not known.
pub(crate) fn is_asked(opening: &Opening<'_>) -> Result<bool> {
    match opening.auth.and_then(|auth| auth.get("cache")) {
        None => Ok(false),
        Some("keyring") => Ok(true),
        Some(_) => Err(wrong(
            "a token is kept in `cache = \"keyring\"`, or not at all",
        )),
    }
}
