//! Which vault a store is, from its URI and its trusted address: checked as text, no I/O.

use secrets_api::{Error, ErrorKind, Opening, Result, StoreUri};
use secrets_net::Address;

use crate::SCHEME;
use crate::names::Names;

const FORM: &str = "write `azure:VAULT` or `azure:VAULT/PREFIX`, such as `azure:shop-production`";

/// A store has as many tags of its own in a version; a version has at most 15, two of them ours.
/// <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags>
const MOST_TAGS: usize = 13;
const LONGEST_TAG: usize = 256;

/// One of the clouds, which share nothing: each has its own logins.
/// <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#dns-suffixes-for-object-identifiers>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloud {
    Public,
    China,
    UsGov,
}

impl Cloud {
    fn named(name: &str) -> Option<Self> {
        match name {
            "public" => Some(Self::Public),
            "china" => Some(Self::China),
            "usgov" => Some(Self::UsGov),
            _ => None,
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Public => "",
            Self::China => "?cloud=china",
            Self::UsGov => "?cloud=usgov",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::China => "vault.azure.cn",
            Self::UsGov => "vault.usgovcloudapi.net",
        }
    }

    /// What a token must be for: of any other audience we ask for none.
    pub(crate) fn resource(self) -> &'static str {
        match self {
            Self::Public => "https://vault.azure.net",
            Self::China => "https://vault.azure.cn",
            Self::UsGov => "https://vault.usgovcloudapi.net",
        }
    }

    /// Who gives tokens, unless `AZURE_AUTHORITY_HOST` names another.
    pub(crate) fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::China => "https://login.chinacloudapi.cn",
            Self::UsGov => "https://login.microsoftonline.us",
        }
    }
}

/// Where the store is and how it writes.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The canonical URI.
    pub(crate) location: String,
    /// The vault's name, in lower case.
    pub(crate) vault: String,
    pub(crate) names: Names,
    pub(crate) cloud: Cloud,
    pub(crate) endpoint: Address,
    /// What new versions are marked with.
    pub(crate) content_type: Option<String>,
    pub(crate) tags: Vec<(String, String)>,
}

impl Place {
    pub(crate) fn new(opening: &Opening<'_>) -> Result<Self> {
        let uri = opening.uri;
        Self::parse(uri, opening.addresses).map_err(|error| error.at_store(uri))
    }

    fn parse(uri: &StoreUri, addresses: &[String]) -> Result<Self> {
        if let Some(option) = uri.unknown_option(&["cloud", "content-type", "tags"]) {
            let message = format!("a Key Vault store has no option `{option}`");
            return Err(wrong(message)
                .with_hint("its options are `cloud`, `content-type` and `tags=NAME:VALUE,…`"));
        }
        let (vault, prefix) = match uri.location().split_once('/') {
            Some((vault, prefix)) => (vault, Some(prefix)),
            None => (uri.location(), None),
        };
        if !is_vault(vault) {
            let message =
                "a vault's name has 3 to 24 letters, digits and single `-`, the first a letter";
            return Err(wrong(message).with_hint(FORM));
        }
        let vault = vault.to_ascii_lowercase();
        let names = Names::new(prefix).ok_or_else(|| {
            let message =
                "a prefix has at most 63 letters, digits and single `-`, none at its ends";
            wrong(message).with_hint(FORM)
        })?;
        let cloud = match uri.option("cloud") {
            None => Cloud::Public,
            Some(name) => Cloud::named(name)
                .ok_or_else(|| wrong(format!("`cloud` is public, china or usgov, not `{name}`")))?,
        };
        let endpoint = match addresses {
            [] => format!("https://{vault}.{}", cloud.suffix()),
            [address] => address.clone(),
            _ => return Err(wrong("a vault has one address")),
        };
        let location = match prefix {
            Some(prefix) => format!("{SCHEME}:{vault}/{}", prefix.to_ascii_lowercase()),
            None => format!("{SCHEME}:{vault}"),
        };
        Ok(Self {
            location: format!("{location}{}", cloud.option()),
            vault,
            names,
            cloud,
            endpoint: over_tls(&endpoint, "the vault's address")?,
            content_type: uri.option("content-type").map(ToOwned::to_owned),
            tags: tags(uri.option("tags").unwrap_or_default())?,
        })
    }
}

/// An address that is spoken to over TLS, on the own machine too: the SDK sends no token otherwise.
pub(crate) fn over_tls(address: &str, from: &str) -> Result<Address> {
    let address = Address::parse(address, from, false)?;
    if address.is_tls() {
        return Ok(address);
    }
    Err(Error::new(
        ErrorKind::Untrusted,
        format!("{from} is plain HTTP, and tokens go over TLS alone"),
    )
    .with_hint("write https://"))
}

pub(crate) fn wrong(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

/// <https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules#microsoftkeyvault>
fn is_vault(name: &str) -> bool {
    (3..=24).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !name.ends_with('-')
        && !name.contains("--")
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
}

fn tags(text: &str) -> Result<Vec<(String, String)>> {
    let form = || wrong("`tags` is written `tags=NAME:VALUE,NAME:VALUE`");
    let mut tags: Vec<(String, String)> = Vec::new();
    for pair in text.split(',').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once(':').ok_or_else(form)?;
        if name.is_empty() || tags.iter().any(|(known, _)| known == name) {
            return Err(form());
        }
        if matches!(name, crate::store::NAME_TAG | crate::store::WRITTEN_TAG) {
            return Err(wrong(format!("the tag `{name}` is kept for our own use")));
        }
        if name.len() > LONGEST_TAG || value.len() > LONGEST_TAG {
            return Err(wrong(format!("a tag has at most {LONGEST_TAG} characters")));
        }
        tags.push((name.to_owned(), value.to_owned()));
    }
    if tags.len() > MOST_TAGS {
        return Err(wrong(format!("at most {MOST_TAGS} tags can be set")));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn place(uri: &str, addresses: &[&str]) -> Result<Place> {
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        Place::parse(&StoreUri::parse(uri).unwrap(), &addresses)
    }

    #[test]
    fn a_vault_is_at_the_address_of_its_cloud_unless_another_is_trusted() {
        for (uri, address, location) in [
            ("azure:Shop", "https://shop.vault.azure.net", "azure:shop"),
            (
                "azure:shop/Web?cloud=china",
                "https://shop.vault.azure.cn",
                "azure:shop/web?cloud=china",
            ),
            (
                "azure:s-1?cloud=usgov",
                "https://s-1.vault.usgovcloudapi.net",
                "azure:s-1?cloud=usgov",
            ),
        ] {
            let place = place(uri, &[]).unwrap();
            assert_eq!(place.endpoint.as_str(), address);
            assert_eq!(place.location, location);
        }
        let other = place("azure:shop", &["https://localhost:1"]).unwrap();
        assert_eq!(other.endpoint.as_str(), "https://localhost:1");
    }

    #[test]
    fn what_is_no_vault_is_refused_with_what_to_write() {
        for uri in [
            "azure:",
            "azure:ab",
            "azure:1ab",
            "azure:a--b",
            "azure:ab-",
            "azure:a.b.c",
            "azure:shop.vault.azure.net",
            "azure:shop/",
            "azure:shop/a--b",
            "azure:shop/a/b",
            "azure:shop/a-",
            "azure:shop?cloud=germany",
            "azure:shop?region=x",
            "azure:shop?tags=a",
            "azure:shop?tags=:b",
            "azure:shop?tags=a:1,a:2",
            "azure:shop?tags=name:x",
            "azure:shop?tags=a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1,k:1,l:1,m:1,n:1",
        ] {
            let error = place(uri, &[]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{uri}");
        }
        let two = place("azure:shop", &["https://a", "https://b"]).unwrap_err();
        assert_eq!(two.kind(), ErrorKind::InvalidConfig);
    }

    #[test]
    fn a_vault_is_spoken_to_over_tls_alone() {
        for address in ["http://localhost:1", "http://vault.example.com"] {
            let error = place("azure:shop", &[address]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Untrusted, "{address}");
        }
    }

    #[test]
    fn tags_are_taken_apart() {
        let place = place(
            "azure:shop?tags=team:web,url:a:b&content-type=text/plain",
            &[],
        )
        .unwrap();
        let expected = [("team", "web"), ("url", "a:b")].map(|(k, v)| (k.to_owned(), v.to_owned()));
        assert_eq!(place.tags, expected);
        assert_eq!(place.content_type.as_deref(), Some("text/plain"));
    }
}
