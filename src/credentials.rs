//! Where the credentials of stores are: a manifest names the place (`secret-id =
//! "keyring:shop/vault-secret-id"`), never the credential. It must never print what it fetches.

use std::path::Path;
use std::sync::Arc;

use secrets_api::{
    Auth, CredentialCache, CredentialSource, Ctx, Error, ErrorKind, KeySource, Name, Opening,
    ProviderExt as _, Result, SecretValue, StoreUri, async_trait,
};
use secrets_platform::files;

use crate::layers::TIMEOUT;
use crate::registry;
use crate::surroundings::Surroundings;

/// What is said where a reference makes no sense. The reference itself is not repeated: it may be a
/// credential in the wrong place.
const FORMS: &str = "a credential is named by its place: `env:NAME`, `file:PATH`, `keyring:SERVICE/ITEM` or `STORE#NAME`";

/// What a store's login needs to fetch its credentials.
struct Places {
    surroundings: Arc<Surroundings>,
    root: std::path::PathBuf,
    environment: String,
    machine_key: KeySource,
    identity: KeySource,
}

/// A source for one store's login.
pub fn source(
    surroundings: &Arc<Surroundings>,
    root: &Path,
    environment: &str,
    machine_key: &KeySource,
    identity: &KeySource,
) -> CredentialSource {
    let places = Arc::new(Places {
        surroundings: Arc::clone(surroundings),
        root: root.to_owned(),
        environment: environment.to_owned(),
        machine_key: Arc::clone(machine_key),
        identity: Arc::clone(identity),
    });
    Arc::new(move |reference| {
        let (places, reference) = (Arc::clone(&places), reference.to_owned());
        Box::pin(async move { places.fetch(&reference).await })
    })
}

/// The variable that a reference names, if it names one.
fn variable(reference: &str) -> Option<&str> {
    let name = reference.strip_prefix("env:")?;
    Some(name.strip_prefix('#').unwrap_or(name))
}

/// Adds the variables that this login is given its credentials by: those it names, and those its method
/// looks at by itself.
pub fn variables(auth: &Auth, names: &mut Vec<String>) {
    let named = auth
        .settings
        .values()
        .filter_map(|reference| variable(reference));
    names.extend(named.map(str::to_owned));
    if auth.get("jwt") == Some("github") {
        names.push("ACTIONS_ID_TOKEN_REQUEST_TOKEN".to_owned());
    }
    if auth.method == "client-secret" && auth.get("client-secret").is_none() {
        names.push("AZURE_CLIENT_SECRET".to_owned());
    }
}

impl Places {
    async fn fetch(&self, reference: &str) -> Result<SecretValue> {
        if let Some(name) = variable(reference) {
            return self.in_variable(name);
        }
        if let Some((store, name)) = reference.rsplit_once('#') {
            return self.in_store(store, name).await;
        }
        match reference.split_once(':') {
            Some(("file", path)) => self.in_file(path),
            Some(("keyring", place)) => in_keyring(place).await,
            _ => Err(Error::new(ErrorKind::InvalidConfig, FORMS)),
        }
    }

    fn in_variable(&self, name: &str) -> Result<SecretValue> {
        match self.surroundings.text(name) {
            Some(text) => Ok(SecretValue::from_slice(text.as_bytes())),
            None => Err(missing(&format!("the variable {name} is not set"))),
        }
    }

    /// The file's content without one final line end.
    fn in_file(&self, path: &str) -> Result<SecretValue> {
        let path = self.root.join(path);
        let Some(mut contents) = files::read(&path)? else {
            return Err(missing(&format!("{} is not there", path.display())));
        };
        if contents.bytes.ends_with(b"\n") {
            contents.bytes.pop();
        }
        Ok(SecretValue::from(contents.bytes))
    }

    async fn in_store(&self, store: &str, name: &str) -> Result<SecretValue> {
        let uri = StoreUri::parse(store)
            .map_err(|e| Error::new(ErrorKind::InvalidConfig, format!("{e}; {FORMS}")))?;
        let entry = registry::find(uri.scheme())
            .ok_or_else(|| Error::new(ErrorKind::InvalidConfig, FORMS))?;
        let name = Name::new(name)
            .map_err(|e| Error::new(ErrorKind::InvalidConfig, format!("{e}; {FORMS}")))?;
        let opening = Opening {
            uri: &uri,
            root: &self.root,
            environment: &self.environment,
            dirs: &self.surroundings.dirs,
            machine_key: Arc::clone(&self.machine_key),
            identity: Arc::clone(&self.identity),
            addresses: &[],
            plain_http: false,
            auth: None,
            credentials: Arc::new(|_| {
                let message = "a store that holds a login's credential cannot itself be given one";
                Box::pin(async move { Err(Error::new(ErrorKind::InvalidConfig, message)) })
            }),
            cache: cache(),
            timeout: TIMEOUT,
            variables: &self.surroundings.variables,
        };
        let provider = entry.open(&opening)?;
        let lookup = provider.read_one(&Ctx::within(TIMEOUT), &name).await?;
        match lookup.into_found() {
            Some(stored) => Ok(stored.value),
            None => Err(missing(&format!("{name} is not in {uri}"))),
        }
    }
}

/// Where tokens are kept between runs, for logins that ask for it: the operating system's keyring.
pub fn cache() -> Arc<dyn CredentialCache> {
    Arc::new(InKeyring)
}

/// The service under which tokens are kept.
#[cfg(feature = "keyring")]
const LOGINS: &str = "secrets-logins";

struct InKeyring;

#[async_trait]
impl CredentialCache for InKeyring {
    #[cfg(feature = "keyring")]
    async fn get(&self, key: &str) -> Result<Option<SecretValue>> {
        let key = key.to_owned();
        apart(move || secrets_keyring::get(LOGINS, &key)).await
    }

    #[cfg(feature = "keyring")]
    async fn put(&self, key: &str, value: &SecretValue) -> Result<()> {
        let (key, value) = (key.to_owned(), value.duplicate());
        apart(move || secrets_keyring::set(LOGINS, &key, &value)).await
    }

    #[cfg(not(feature = "keyring"))]
    async fn get(&self, _key: &str) -> Result<Option<SecretValue>> {
        Ok(None)
    }

    #[cfg(not(feature = "keyring"))]
    async fn put(&self, _key: &str, _value: &SecretValue) -> Result<()> {
        Err(Error::unsupported("this build has no keyring"))
    }
}

/// The keyring's library waits: not on the thread that all calls share.
#[cfg(feature = "keyring")]
async fn apart<T: Send + 'static>(call: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let ended = tokio::task::spawn_blocking(call).await;
    ended.map_err(|_| Error::new(ErrorKind::Unexpected, "the keyring could not be asked"))?
}

fn missing(what: &str) -> Error {
    Error::new(
        ErrorKind::Unauthenticated,
        format!("the credential for the login is missing: {what}"),
    )
}

#[cfg(feature = "keyring")]
async fn in_keyring(place: &str) -> Result<SecretValue> {
    let Some((service, item)) = place.rsplit_once('/') else {
        return Err(Error::new(ErrorKind::InvalidConfig, FORMS));
    };
    let (service, item) = (service.to_owned(), item.to_owned());
    let shown = format!("keyring:{service}/{item}");
    let found = tokio::task::spawn_blocking(move || secrets_keyring::get(&service, &item)).await;
    match found
        .map_err(|_| Error::new(ErrorKind::Unexpected, "the keyring could not be asked"))??
    {
        Some(value) => Ok(value),
        None => Err(missing(&format!("{shown} is not there")).with_hint(
            "store it with `secret-tool store --label LABEL service SERVICE username ITEM`",
        )),
    }
}

#[cfg(not(feature = "keyring"))]
async fn in_keyring(_place: &str) -> Result<SecretValue> {
    Err(Error::unsupported("this build has no keyring"))
}
