//! A fake of Google Secret Manager (its REST interface, v1), with the token endpoint and the metadata
//! server that its clients log in by.
//!
//! One loopback server speaks for all three. It knows no client: what it refuses, it refuses by the
//! service's own documents, cited at each rule. Beyond them it can do what a broken line or disk does: alter
//! a value on its way in or out.

mod crc;
mod secrets;
mod service;
mod status;
mod tokens;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::web::{App, Authority, Reply, Request, Server};
use secrets::{Secrets, State};
use tokens::Tokens;

pub use tokens::ServiceAccount;

/// A running fake.
pub struct Gcp {
    world: Arc<World>,
    server: Server,
}

/// All that the fake keeps.
#[derive(Default)]
struct World {
    secrets: Mutex<Secrets>,
    tokens: Mutex<Tokens>,
    rules: Mutex<Rules>,
}

/// What a test has asked of it.
#[derive(Default)]
struct Rules {
    /// Permissions that nobody has.
    denied: BTreeSet<String>,
    /// Whether the interface is not enabled in the project.
    disabled: bool,
    /// The most entries of a page, where that is less than the service's own bound.
    page: Option<usize>,
    /// Whether values are altered before the service sees them, or after.
    altered_in: bool,
    altered_out: bool,
    /// Whether `latest` is the version before the newest.
    lagging: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    fn secrets(&self) -> MutexGuard<'_, Secrets> {
        lock(&self.secrets)
    }

    fn tokens(&self) -> MutexGuard<'_, Tokens> {
        lock(&self.tokens)
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        lock(&self.rules)
    }
}

impl App for Arc<World> {
    fn answer(&self, request: &Request) -> Reply {
        tokens::answer(self, request).unwrap_or_else(|| service::answer(self, request))
    }
}

impl Gcp {
    /// Starts one over plain HTTP; it serves whoever asks until [`Gcp::demand_tokens`].
    ///
    /// # Panics
    /// If the operating system gives no port.
    pub fn plain() -> Self {
        let world = Arc::<World>::default();
        Self {
            server: Server::plain(Arc::clone(&world)),
            world,
        }
    }

    /// Starts one over TLS.
    ///
    /// # Panics
    /// If the operating system gives no port.
    pub fn over_tls(authority: &Authority) -> Self {
        let world = Arc::<World>::default();
        Self {
            server: Server::over_tls(Arc::clone(&world), authority, &[]),
            world,
        }
    }

    /// The server: its address, its log, and what it does to requests.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where an `authorized_user` gets its tokens.
    pub fn token_uri(&self) -> String {
        format!("{}/token", self.server.url())
    }

    /// Where the metadata server is, as `GCE_METADATA_HOST` names it.
    pub fn metadata_host(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// From now on a request needs a token: one this fake has issued, or one that an account it knows
    /// has signed.
    pub fn demand_tokens(&self) {
        self.world.tokens().demanded = true;
    }

    /// Makes an account known.
    pub fn know(&self, account: &ServiceAccount) {
        self.world.tokens().know(account);
    }

    /// The refresh token of a user who is logged in.
    pub fn log_in(&self) -> String {
        self.world.tokens().log_in()
    }

    /// Ends all logins: refresh tokens and issued tokens are worth nothing any more.
    pub fn log_out(&self) {
        self.world.tokens().log_out();
    }

    /// Nobody has this permission any more.
    pub fn deny(&self, permission: &str) {
        self.world.rules().denied.insert(permission.to_owned());
    }

    /// Whether the interface is enabled in the project.
    pub fn enable(&self, enabled: bool) {
        self.world.rules().disabled = !enabled;
    }

    /// Pages hold no more entries than this; the service's own bound is 25,000.
    pub fn page_at_most(&self, entries: usize) {
        self.world.rules().page = Some(entries);
    }

    /// Whether a value is altered on its way to the service.
    pub fn alter_what_comes_in(&self, altered: bool) {
        self.world.rules().altered_in = altered;
    }

    /// Whether a value is altered on its way from the service.
    pub fn alter_what_goes_out(&self, altered: bool) {
        self.world.rules().altered_out = altered;
    }

    /// Whether `latest` still is what it was before the last change: "eventually consistent operations
    /// typically converge within minutes".
    /// <https://cloud.google.com/secret-manager/docs/reference/consistency>
    pub fn lag(&self, lagging: bool) {
        self.world.rules().lagging = lagging;
    }

    /// Versions of this secret are destroyed a day after they are asked to be.
    ///
    /// # Panics
    /// If there is no such secret.
    pub fn delay_destruction(&self, parent: &str, id: &str) {
        self.world.secrets().delay_destruction(parent, id);
    }

    /// Puts values there as another client would have: one version each. `parent` is
    /// `projects/PROJECT`, or that with `/locations/LOCATION`.
    pub fn plant(&self, parent: &str, items: &[(&str, &[u8])]) {
        let mut secrets = self.world.secrets();
        for (id, value) in items {
            secrets.plant(parent, id, value);
        }
    }

    /// Makes a secret without a version, as an infrastructure tool does.
    pub fn plant_empty(&self, parent: &str, id: &str) {
        self.world.secrets().plant_empty(parent, id);
    }

    /// Disables the newest version of a secret.
    ///
    /// # Panics
    /// If there is none.
    pub fn disable_newest(&self, parent: &str, id: &str) {
        self.world.secrets().set_newest(parent, id, State::Disabled);
    }

    /// Destroys the newest version of a secret.
    ///
    /// # Panics
    /// If there is none.
    pub fn destroy_newest(&self, parent: &str, id: &str) {
        self.world
            .secrets()
            .set_newest(parent, id, State::Destroyed);
    }

    /// How many versions of a secret there are, destroyed ones included.
    pub fn versions(&self, parent: &str, id: &str) -> usize {
        self.world.secrets().versions(parent, id)
    }

    /// A secret's labels.
    pub fn labels(&self, parent: &str, id: &str) -> Vec<(String, String)> {
        self.world.secrets().labels(parent, id)
    }
}

impl std::fmt::Debug for Gcp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gcp({:?})", self.server)
    }
}
