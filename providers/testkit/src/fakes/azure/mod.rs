//! A fake of Azure Key Vault's secrets (REST, api-version 2025-07-01) over TLS, and of those who give
//! tokens for it: Entra's token endpoint over TLS, a machine's metadata service over plain HTTP. Values
//! are kept as bytes and stand in no log.

mod login;
mod secrets;
mod vault;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::opening::TestOpening;
use crate::web::{Authority, Fault, Reply, Request, Seen, Server};

use login::{Logins, Tokens};
use vault::VaultState;

/// The file of the authority's certificate.
const CA: &str = "ca.pem";

/// The tenant that the fake's login knows.
pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
/// The application that it knows.
pub const CLIENT: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
/// The application's client secret.
pub const CLIENT_SECRET: &str = "fake-client-secret~of-the-application";
/// What a workload proves itself by: the token of its Kubernetes service account.
pub const ASSERTION: &str = "fake.service-account.token";
/// The header that an App Service hands to its own processes.
pub const IDENTITY_HEADER: &str = "fake-identity-header";

/// What all three servers know.
struct State {
    vault: VaultState,
    tokens: Tokens,
    logins: Logins,
}

/// The fake service: a vault and its logins, gone when it is dropped.
pub struct Azure {
    /// The vault.
    pub vault: Server,
    /// The token endpoint.
    pub login: Server,
    /// The metadata service, which also answers as an App Service does, below `/msi/token`.
    pub metadata: Server,
    authority: Authority,
    folder: TempDir,
    state: Arc<Mutex<State>>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Azure {
    /// An empty vault, with an authority of its own that signs both certificates.
    ///
    /// # Panics
    /// If the operating system gives no port or no temporary folder.
    pub fn start() -> Self {
        let authority = Authority::new();
        let folder = TempDir::new().expect("a temporary folder can be made");
        std::fs::write(folder.path().join(CA), authority.pem()).expect("the folder is ours");
        let state = Arc::new(Mutex::new(State {
            vault: VaultState::default(),
            tokens: Tokens::default(),
            logins: Logins::default(),
        }));
        let login = {
            let state = Arc::clone(&state);
            let answer = move |request: &Request| {
                let state = &mut *lock(&state);
                state.logins.token(request, &mut state.tokens)
            };
            Server::over_tls(answer, &authority, &[])
        };
        let metadata = {
            let state = Arc::clone(&state);
            Server::plain(move |request: &Request| {
                login::managed(request, &mut lock(&state).tokens)
            })
        };
        let vault = {
            let (state, login) = (Arc::clone(&state), login.url());
            let answer = move |request: &Request| {
                let state = &mut *lock(&state);
                match state.tokens.check(request) {
                    Ok(()) => state.vault.answer(request),
                    Err(why) => challenge(&login, why),
                }
            };
            Server::over_tls(answer, &authority, &[])
        };
        Self {
            vault,
            login,
            metadata,
            authority,
            folder,
            state,
        }
    }

    /// The authority that signed the servers' certificates, in PEM.
    pub fn pem(&self) -> String {
        self.authority.pem()
    }

    /// The same in a file, for `SSL_CERT_FILE`: there for as long as the fake is.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join(CA)
    }

    /// What to open a store with that finds this vault and logs in by a client secret.
    pub fn opening(&self) -> TestOpening {
        self.opening_with(&[
            ("AZURE_TENANT_ID", TENANT),
            ("AZURE_CLIENT_ID", CLIENT),
            ("AZURE_CLIENT_SECRET", CLIENT_SECRET),
        ])
    }

    /// The same with these variables to log in by.
    pub fn opening_with(&self, login: &[(&str, &str)]) -> TestOpening {
        let opening = TestOpening::new().with_addresses([self.vault.url()]);
        let mut variables = vec![
            ("SSL_CERT_FILE".to_owned(), self.ca().display().to_string()),
            ("AZURE_AUTHORITY_HOST".to_owned(), self.login.url()),
        ];
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        variables.extend(login.iter().map(own));
        opening.with_variables(variables)
    }

    /// Puts a secret there as somebody else did: no tags, whatever the case of its id.
    pub fn seed(&self, id: &str, value: &[u8]) {
        lock(&self.state).vault.seed(id, value);
    }

    /// The present value of a secret, as bytes.
    pub fn value(&self, id: &str) -> Option<Vec<u8>> {
        lock(&self.state).vault.value(id)
    }

    /// The ids of the secrets that are there, as they were first written.
    pub fn ids(&self) -> Vec<String> {
        lock(&self.state).vault.ids()
    }

    /// How many versions a secret has.
    pub fn versions(&self, id: &str) -> usize {
        lock(&self.state).vault.versions(id)
    }

    /// The tags and the content type of a secret's present version.
    pub fn labels(&self, id: &str) -> Value {
        lock(&self.state).vault.labels(id)
    }

    /// Disables or enables the present version of a secret.
    pub fn enable(&self, id: &str, enabled: bool) {
        lock(&self.state).vault.enable(id, enabled);
    }

    /// Makes a secret one that backs a certificate.
    pub fn make_managed(&self, id: &str) {
        lock(&self.state).vault.make_managed(id);
    }

    /// How many looks at a secret it takes from now on until its deletion or recovery is over.
    pub fn take_time(&self, looks: usize) {
        lock(&self.state).vault.takes = looks;
    }

    /// Purges what was deleted.
    pub fn purge(&self, id: &str) {
        lock(&self.state).vault.purge(id);
    }

    /// Forbids an action (`get`, `list`, `set`, `delete`, `recover`, `purge`) for this reason, an inner
    /// error's code: `ForbiddenByRbac`, `ForbiddenByFirewall`.
    pub fn forbid(&self, action: &str, reason: &str) {
        let denied = (action.to_owned(), reason.to_owned());
        lock(&self.state).vault.forbidden.push(denied);
    }

    /// Where the list goes on, in place of the vault itself: a vault that is not one.
    pub fn lead_away(&self, address: &str) {
        lock(&self.state).vault.next_host = Some(address.to_owned());
    }

    /// A token that the vault accepts: for tests of those who hand on tokens.
    pub fn token(&self) -> String {
        lock(&self.state).tokens.give_for_vault()
    }

    /// All tokens that were given are refused from now on.
    pub fn revoke_tokens(&self) {
        lock(&self.state).tokens.revoke();
    }

    /// What the vault asks tokens for, in its challenge.
    pub fn ask_for(&self, resource: &str) {
        lock(&self.state).tokens.resource = resource.to_owned();
    }

    /// The client secret has expired.
    pub fn expire_client_secret(&self) {
        lock(&self.state).logins.expired = true;
    }

    /// The vault's requests so far, without those of the login.
    pub fn log(&self) -> Vec<Seen> {
        self.vault.log()
    }

    /// Does this to requests of the vault from now on.
    pub fn inject(&self, fault: Fault) {
        self.vault.inject(fault);
    }
}

impl std::fmt::Debug for Azure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Azure")
            .field("vault", &self.vault)
            .finish_non_exhaustive()
    }
}

/// An error as the vault writes it.
/// <https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret#keyvaulterror>
fn error(status: u16, code: &str, message: &str, inner: Option<&str>) -> Reply {
    let mut error = json!({ "code": code, "message": message });
    if let Some(inner) = inner {
        error["innererror"] = json!({ "code": inner });
    }
    Reply::json(status, &json!({ "error": error }))
}

/// "401 means that the request is unauthenticated", with a challenge that says who gives tokens.
/// <https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses#authentication>
fn challenge(login: &str, why: login::Refused) -> Reply {
    let bearer = format!(
        "Bearer authorization=\"{login}/{TENANT}\", resource=\"{}\"",
        why.resource
    );
    error(401, "Unauthorized", why.message, None).with_header("WWW-Authenticate", bearer)
}
