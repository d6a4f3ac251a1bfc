//! The kinds of stores that are synced with one another: real ones, fakes, and memory that can do less.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use secrets_api::{
    Capabilities, Change, Ctx, Guard, Provider, Result, Revision, Unit, Values, Written,
    async_trait,
};
use secrets_local::{Folder, Identity};
use secrets_memory::Memory;
use secrets_testkit::bend::{Bend, Bent};
use secrets_testkit::fakes::azure::Azure;
use secrets_testkit::fakes::gcp::Gcp;
use secrets_testkit::opening::TestOpening;
use secrets_testkit::servers::{Moto, OpenBao};
use serde_json::json;

use crate::support::{bare, layered};

/// One kind of store.
pub(crate) struct Kind {
    /// What to call it.
    pub(crate) word: &'static str,
    open: fn(usize) -> Opened,
}

/// A store's address, the store itself, and what has to live as long.
type Opened = (String, Arc<dyn Provider>, Box<dyn Any + Send + Sync>);

/// An empty store of one kind.
pub(crate) struct Store {
    /// Its address.
    pub(crate) label: String,
    /// As a person at this store uses it.
    pub(crate) hands: Arc<dyn Provider>,
    /// As a sync uses it: what it writes is counted.
    pub(crate) synced: Arc<dyn Provider>,
    counted: Arc<Bent<Counted>>,
    _held: Box<dyn Any + Send + Sync>,
}

static PLACES: AtomicUsize = AtomicUsize::new(0);

impl Kind {
    /// A new store of this kind.
    pub(crate) fn store(&self) -> Store {
        let place = PLACES.fetch_add(1, Ordering::SeqCst);
        let (label, provider, held) = (self.open)(place);
        let counted = Bent::new(Arc::clone(&provider), Counted::default());
        Store {
            label,
            hands: layered(provider),
            synced: layered(Arc::clone(&counted) as Arc<dyn Provider>),
            counted,
            _held: held,
        }
    }
}

impl Store {
    /// How many writes it was asked for since this was last called.
    pub(crate) fn writes(&self) -> usize {
        self.counted.bend().0.swap(0, Ordering::SeqCst)
    }
}

/// Counts the calls that write.
#[derive(Default)]
struct Counted(AtomicUsize);

#[async_trait]
impl Bend for Counted {
    fn label(&self) -> &'static str {
        "Counted"
    }

    async fn write(
        &self,
        inner: &dyn Provider,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        self.0.fetch_add(1, Ordering::SeqCst);
        inner.write(cx, base, changes).await
    }
}

/// One server for all that need it at the same time: started for the first of them, ended with the last.
struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    fn get(&self, start: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.0.lock().unwrap_or_else(|e| e.into_inner());
        held.upgrade().unwrap_or_else(|| {
            let started = Arc::new(start());
            *held = Arc::downgrade(&started);
            started
        })
    }
}

static OPENBAO: Shared<OpenBao> = Shared::new();
static MOTO: Shared<Moto> = Shared::new();
static AZURE: Shared<Azure> = Shared::new();
static GCP: Shared<Gcp> = Shared::new();

fn openbao() -> Arc<OpenBao> {
    OPENBAO.get(|| {
        let server = OpenBao::start();
        let engine = json!({ "type": "kv", "options": { "version": "1" } });
        server.admin().ok("POST", "sys/mounts/one", &engine);
        server
    })
}

/// Keeps the servers that these kinds need, from one store to the next.
pub(crate) fn servers(kinds: &[&Kind]) -> Vec<Box<dyn Any + Send + Sync>> {
    let need = |part: &str| kinds.iter().any(|kind| kind.word.starts_with(part));
    let mut held: Vec<Box<dyn Any + Send + Sync>> = Vec::new();
    if need("vault") {
        held.push(Box::new(openbao()));
    }
    if need("aws") {
        held.push(Box::new(MOTO.get(Moto::start)));
    }
    held
}

fn in_folder(uri: &str) -> Opened {
    let opening = TestOpening::new();
    (uri.to_owned(), bare(&opening, uri), Box::new(opening))
}

fn local() -> Opened {
    let opening = TestOpening::new().with_identity(Identity::generate().to_secret().expose());
    let folder = Folder::new(&opening.root, &opening.dirs, Arc::clone(&opening.identity));
    folder.init("ada", None).unwrap();
    (
        "local:".to_owned(),
        bare(&opening, "local:"),
        Box::new(opening),
    )
}

fn vault(uri: String) -> Opened {
    let server = openbao();
    let opening = TestOpening::new().with_variables([
        ("BAO_ADDR", server.address()),
        ("BAO_TOKEN", "root-token-of-the-tests"),
    ]);
    let store = bare(&opening, &uri);
    (uri, store, Box::new((server, opening)))
}

fn aws(uri: String) -> Opened {
    let server = MOTO.get(Moto::start);
    let opening = Moto::opening_at(&server.url());
    let store = bare(&opening, &uri);
    (uri, store, Box::new((server, opening)))
}

fn azure(uri: String) -> Opened {
    let fake = AZURE.get(Azure::start);
    let opening = fake.opening();
    let store = bare(&opening, &uri);
    (uri, store, Box::new((fake, opening)))
}

fn gcp(uri: String) -> Opened {
    let fake = GCP.get(Gcp::plain);
    let opening = TestOpening::new()
        .with_addresses([fake.server().url()])
        .with_auth("anonymous", &[]);
    let store = bare(&opening, &uri);
    (uri, store, Box::new((fake, opening)))
}

fn lesser(place: usize, can: Capabilities) -> Opened {
    let label = format!("memory:lesser-{place}");
    (label, Arc::new(Memory::new(can)), Box::new(()))
}

macro_rules! kinds {
    ($($kind:ident: $word:literal, $open:expr;)*) => {
        $(pub(crate) static $kind: Kind = Kind { word: $word, open: $open };)*
    };
}

kinds! {
    MEMORY: "memory", |n| in_folder(&format!("memory:pairs-{n}"));
    MEMORY_EACH: "memory of single secrets", |n| lesser(n, Capabilities {
        unit: Unit::Secret,
        ..Memory::CAPABILITIES
    });
    MEMORY_BARE: "memory that guards and keeps nothing", |n| lesser(n, Capabilities {
        unit: Unit::Secret,
        guard: Guard::None,
        values: Values::Utf8NoNul,
        history: false,
        prune: false,
        restore: false,
        idempotent: false,
        cheap_poll: false,
        ..Memory::CAPABILITIES
    });
    MEMORY_CREATING: "memory that guards what is new", |n| lesser(n, Capabilities {
        guard: Guard::CreateOnly,
        restore: false,
        ..Memory::CAPABILITIES
    });
    DOTENV: "dotenv", |_| in_folder("dotenv:.env");
    DOCKER: "dotenv of docker", |_| in_folder("dotenv:.env?dialect=docker");
    LOCAL: "local", |_| local();
    KEYRING: "keyring", |n| in_folder(&format!("keyring:pairs-{n}"));
    VAULT: "vault", |n| vault(format!("vault:secret/pairs/place-{n}"));
    VAULT_EACH: "vault, each", |n| vault(format!("vault:secret/pairs/place-{n}?layout=each"));
    VAULT_ONE: "vault, version 1", |n| vault(format!("vault:one/pairs/place-{n}?kv=1"));
    VAULT_ONE_EACH: "vault, version 1, each",
        |n| vault(format!("vault:one/pairs/place-{n}?kv=1&layout=each"));
    AWS: "aws", |n| aws(format!("aws:pairs-{n}/dev"));
    AWS_EACH: "aws, each", |n| aws(format!("aws:pairs-{n}/dev?layout=each"));
    AZURE_FAKE: "azure", |n| azure(format!("azure:shop/pairs-{n}"));
    GCP_FAKE: "gcp", |n| gcp(format!("gcp:pairs-{n}/dev"));
}

/// All that a team would keep its secrets in, but for the keyring, which needs a session of its own.
pub(crate) static SITES: [&Kind; 8] = [
    &DOTENV,
    &LOCAL,
    &VAULT,
    &VAULT_EACH,
    &AWS,
    &AWS_EACH,
    &AZURE_FAKE,
    &GCP_FAKE,
];
