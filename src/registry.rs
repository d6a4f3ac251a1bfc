//! The providers: one line each. A test compares the folders of `providers/` with this table.

use std::sync::Arc;

use secrets_api::{Opening, Provider, StoreUri};

use crate::exit::{Failure, Result};
use crate::suggest;

/// How far a kind of store reaches: what decides whether a manifest that names it needs trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Never beyond the project's folder or this process.
    Project,
    /// As far as the path in its address.
    Path,
    /// Beyond the project, always.
    Beyond,
}

/// One kind of store.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The word before the colon.
    pub scheme: &'static str,
    /// An address of the kind, for help and hints.
    pub example: &'static str,
    /// How far it reaches.
    pub reach: Reach,
    /// The variables that say where its stores are, where their addresses do not.
    pub place: &'static [&'static str],
    open: fn(&Opening<'_>) -> secrets_api::Result<Arc<dyn Provider>>,
}

/// All that are built in.
#[rustfmt::skip]
pub const PROVIDERS: &[Entry] = &[
    #[cfg(feature = "dotenv")]
    Entry { scheme: secrets_dotenv::SCHEME, example: "dotenv:.env", reach: Reach::Path, place: &[], open: secrets_dotenv::open },
    #[cfg(feature = "local")]
    Entry { scheme: secrets_local::SCHEME, example: "local:", reach: Reach::Project, place: &[], open: secrets_local::open },
    #[cfg(feature = "keyring")]
    Entry { scheme: secrets_keyring::SCHEME, example: "keyring:shop", reach: Reach::Beyond, place: &[], open: secrets_keyring::open },
    #[cfg(feature = "env")]
    Entry { scheme: secrets_env::SCHEME, example: "env:", reach: Reach::Project, place: &[], open: secrets_env::open },
    #[cfg(feature = "vault")]
    Entry { scheme: secrets_vault::SCHEME, example: "vault:secret/shop/production", reach: Reach::Beyond, place: &["BAO_ADDR", "VAULT_ADDR", "BAO_NAMESPACE", "VAULT_NAMESPACE"], open: secrets_vault::open },
    #[cfg(feature = "vault")]
    Entry { scheme: secrets_vault::DYNAMIC_SCHEME, example: "vault-dynamic:database/creds/shop", reach: Reach::Beyond, place: &["BAO_ADDR", "VAULT_ADDR", "BAO_NAMESPACE", "VAULT_NAMESPACE"], open: secrets_vault::open_dynamic },
    #[cfg(feature = "aws")]
    Entry { scheme: secrets_aws::SCHEME, example: "aws:shop/production", reach: Reach::Beyond, place: &["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SECRETS_MANAGER"], open: secrets_aws::open },
    #[cfg(feature = "azure")]
    Entry { scheme: secrets_azure::SCHEME, example: "azure:shop-production", reach: Reach::Beyond, place: &[], open: secrets_azure::open },
    #[cfg(feature = "gcp")]
    Entry { scheme: secrets_gcp::SCHEME, example: "gcp:shop-project/production", reach: Reach::Beyond, place: &[], open: secrets_gcp::open },
    #[cfg(feature = "memory")]
    Entry { scheme: secrets_memory::SCHEME, example: "memory:test", reach: Reach::Project, place: &[], open: secrets_memory::open },
];

/// The provider of this scheme.
pub fn find(scheme: &str) -> Option<&'static Entry> {
    PROVIDERS.iter().find(|entry| entry.scheme == scheme)
}

impl Entry {
    /// Opens a store of this kind; does no I/O.
    ///
    /// # Errors
    /// What the provider finds wrong with the address.
    pub fn open(&self, opening: &Opening<'_>) -> secrets_api::Result<Arc<dyn Provider>> {
        (self.open)(opening)
    }
}

/// Understands a store's address.
///
/// # Errors
/// A usage failure: not an address, or a provider that is not built in (the nearest is named).
pub fn parse(text: &str) -> Result<StoreUri> {
    // The text may hold a pasted credential: only the part before the colon is ever repeated.
    let uri = StoreUri::parse(text)
        .map_err(|e| Failure::usage(e.to_string()).with_hint_opt(examples()))?;
    if find(uri.scheme()).is_none() {
        let failure = Failure::usage(format!("there is no provider `{}`", uri.scheme()));
        return Err(failure.with_hint_opt(suggest::hint(
            uri.scheme(),
            PROVIDERS.iter().map(|p| p.scheme),
        )));
    }
    Ok(uri)
}

fn examples() -> Option<String> {
    let list: Vec<_> = PROVIDERS.iter().map(|p| p.example).collect();
    Some(format!("stores are written {}", list.join(", ")))
}

/// Opens a store; does no I/O.
///
/// # Errors
/// What the provider finds wrong with the address.
pub fn open(opening: &Opening<'_>) -> Result<Arc<dyn Provider>> {
    let scheme = opening.uri.scheme();
    let entry =
        find(scheme).ok_or_else(|| Failure::usage(format!("there is no provider `{scheme}`")))?;
    Ok(entry.open(opening)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(all(
        feature = "dotenv",
        feature = "local",
        feature = "keyring",
        feature = "env",
        feature = "memory",
        feature = "vault",
        feature = "aws",
        feature = "azure",
        feature = "gcp"
    ))]
    fn every_provider_folder_has_its_line() {
        let support = ["api", "net", "platform", "testkit"];
        let mut folders: Vec<_> =
            std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/providers"))
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .filter(|name| !support.contains(&name.as_str()))
                .collect();
        // A folder may have several schemes: `vault-dynamic` is in `vault`.
        let folder = |scheme: &str| scheme.split('-').next().unwrap_or(scheme).to_owned();
        let mut lines: Vec<_> = PROVIDERS.iter().map(|p| folder(p.scheme)).collect();
        folders.sort();
        lines.sort();
        lines.dedup();
        assert_eq!(folders, lines);
    }

    #[test]
    fn a_wrong_provider_is_answered_with_the_nearest() {
        let failure = parse("dotnev:.env").unwrap_err();
        assert_eq!(failure.message, "there is no provider `dotnev`");
        assert_eq!(failure.hint.as_deref(), Some("did you mean `dotenv`?"));
    }

    #[test]
    fn a_pasted_credential_is_not_repeated() {
        let failure = parse("vault://me:hunter2canary@host/x").unwrap_err();
        assert!(!format!("{failure:?}").contains("hunter2canary"));
    }
}
