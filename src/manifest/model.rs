//! What a manifest may say. The JSON schema is generated from these types.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// What follows an environment's name in that of the document with its replaced values.
pub(super) const REPLACED: &str = ".replaced";

/// `secrets.toml`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Manifest {
    /// The project as a whole.
    pub project: Project,
    /// Named sets of values: `dev`, `staging`, `production`.
    pub environments: BTreeMap<String, Environment>,
    /// Stores with a name of their own.
    pub stores: BTreeMap<String, Store>,
    /// What is known of each secret. A secret need not be named here to be used.
    pub secrets: BTreeMap<String, Secret>,
}

/// The project as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Project {
    /// Its name, for messages.
    pub name: Option<String>,
    /// The environment used where none is named.
    pub default_environment: Option<String>,
    /// Who reads the project's `.env` files: `python-dotenv`, `django-environ`, `decouple`, `node`,
    /// `compose`, `docker`, `systemd`, `shell`, `ruby`, `dotenvy`, `godotenv`. `secrets check` holds the
    /// files to what all of them read alike.
    pub readers: Vec<String>,
    /// Names that can take a process over (`PATH`, `LD_PRELOAD`, …) and are passed on all the
    /// same. Needs trust.
    pub allow_names: Vec<String>,
}

/// A named set of values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Environment {
    /// The stores it is read from: URIs or names of `[stores]`. Several are layers, later ones
    /// win. Files of the project and `local:` need no trust.
    pub source: Vec<String>,
    /// Stores that get copies from the source. Need trust, wherever they lie.
    pub mirrors: Vec<String>,
    /// Another environment whose source lies below this one's.
    pub inherit: Option<String>,
    /// Writes ask for confirmation, or take `--yes`.
    pub protected: bool,
    /// After every change of the source its mirrors get a copy. Needs trust.
    pub auto_push: bool,
}

/// A store with a name of its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Store {
    /// Where it is: `vault:secret/shop/production`.
    pub uri: String,
    /// The servers' addresses. Need trust.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// How to log in. Needs trust.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// How long one call may take, such as `10s`, which is the default.
    #[serde(default)]
    pub timeout: Option<String>,
    /// Why this store may be spoken to over plain HTTP, in words. Needs trust. Without it plain HTTP goes
    /// to the own machine only.
    #[serde(default)]
    pub plain_http: Option<String>,
    /// What stands before every name there: with `SHOP_` our `DATABASE_URL` is `SHOP_DATABASE_URL`, and
    /// names without it are not looked at. Needs trust.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Names that are others there, ours = theirs, without the prefix. Needs trust.
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
}

/// How to log in to a store. Names of credentials and where they are kept, never a credential.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Auth {
    /// The method: `token`, `approle`, …
    pub method: String,
    /// What else the method needs.
    #[serde(flatten)]
    pub settings: BTreeMap<String, String>,
}

/// What is known of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Secret {
    /// What kind of value it is: `django-key`, `password`, `url`, `bool`, …
    pub kind: Option<String>,
    /// A line for people.
    pub description: Option<String>,
    /// Whether `exec` refuses to start without it: everywhere, or in these environments.
    pub required: Required,
    /// `false`: configuration, which may be given in argv, and is shown in plans and reports once that
    /// has trust. Default `true`.
    pub sensitive: Option<bool>,
    /// The value where no store has one. Only for what is not sensitive.
    pub default: Option<String>,
    /// `base64`: bytes kept as text in stores that hold only text.
    pub encoding: Option<Encoding>,
    /// Where no store has a value: whether it is read from the file that `NAME_FILE` names, as
    /// Docker's `/run/secrets/name`. One final newline is not a part of it. Needs trust.
    pub from_file: bool,
    /// How it is replaced.
    pub rotate: Option<Rotate>,
}

impl Secret {
    /// Whether it must not be shown or given in argv.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive != Some(false)
    }
}

/// How bytes are kept in a store that holds only text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Base64 with padding (RFC 4648, section 4).
    Base64,
}

/// Where a secret is required.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Required {
    /// Everywhere, or nowhere.
    Always(bool),
    /// In these environments.
    In(Vec<String>),
}

impl Default for Required {
    fn default() -> Self {
        Self::Always(false)
    }
}

impl Required {
    /// Whether it is required in `environment`.
    pub fn holds_in(&self, environment: &str) -> bool {
        match self {
            Self::Always(always) => *always,
            Self::In(list) => list.iter().any(|e| e == environment),
        }
    }
}

/// How a secret is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rotate {
    /// How often, such as `90d`.
    pub every: Option<String>,
    /// The name that holds former keys.
    pub fallbacks: Option<String>,
    /// How long former keys stay valid, such as `14d`.
    pub overlap: Option<String>,
}

/// The manifest's JSON schema (draft 2020-12).
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Manifest).into()
}

#[cfg(all(test, feature = "local"))]
mod tests {
    #[test]
    fn the_document_of_replaced_values_is_called_as_the_store_calls_it() {
        assert_eq!(super::REPLACED, secrets_local::REPLACED);
    }
}
