//! One run of the program: what surrounds it, who prints, and the stores it opens.

use std::ffi::OsString;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use secrets_api::{Ctx, KeySource, Opening, Provider, StoreUri};

use crate::credentials;
use crate::exit::{Failure, Result};
use crate::flags::Globals;
use crate::identity;
use crate::layers::Layered;
use crate::layers::names::Renamed;
use crate::printer::Printer;
use crate::registry;
use crate::settings::{LayerSpec, Settings};
use crate::stack::{Layer, Stack};
use crate::surroundings::Surroundings;

/// How long a verb may take all in all; each store's own time is shorter, and kept by its layers.
const PATIENCE: Duration = Duration::from_secs(600);

/// What every verb is given.
pub struct Session {
    /// The flags that mean the same everywhere.
    pub globals: Globals,
    /// The process as it was started.
    pub surroundings: Arc<Surroundings>,
    /// Prints and asks.
    pub printer: Arc<Printer>,
    /// The identity, once it was found: a passphrase is asked for once.
    identity: KeySource,
    runtime: tokio::runtime::Runtime,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment it was started with may hold an identity.
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Sets a run up.
    ///
    /// # Errors
    /// If the runtime cannot be made.
    pub fn new(globals: Globals, surroundings: Surroundings) -> std::io::Result<Self> {
        let printer = Printer::new(
            &surroundings,
            globals.color,
            globals.quiet,
            globals.verbose,
            globals.json,
            globals.no_input,
        );
        let (surroundings, printer) = (Arc::new(surroundings), Arc::new(printer));
        let identity = identity::source(&surroundings, identity::unlocker(&printer));
        Ok(Self {
            globals,
            surroundings,
            printer,
            identity,
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?,
        })
    }

    /// Runs one future to its end.
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// A new operation.
    pub fn cx(&self) -> Ctx {
        Ctx::within(PATIENCE)
    }

    /// Flags, environment and manifest, resolved.
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub fn settings(&self) -> Result<Settings> {
        let settings = Settings::resolve(&self.globals, &self.surroundings)?;
        self.printer
            .detail(1, || format!("environment {}", settings.place()));
        Ok(settings)
    }

    /// Opens the layers of an environment; no I/O yet.
    ///
    /// # Errors
    /// What a provider finds wrong with its address.
    pub fn open(&self, settings: &Settings) -> Result<Stack> {
        self.open_layers(settings, &settings.layers, true)
    }

    /// The same for a run that only reads and leaves no trace in the user's state.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_to_read(&self, settings: &Settings) -> Result<Stack> {
        self.open_layers(settings, &settings.layers, false)
    }

    /// Opens one store beside the environment's: an address (a path in it starts where the command
    /// line is) or a name from the manifest.
    ///
    /// # Errors
    /// As [`Session::open`], and the refusal of a named store that has no trust.
    pub fn open_store(&self, settings: &Settings, store: &str) -> Result<Stack> {
        let globals = Globals {
            store: vec![store.to_owned()],
            ..self.globals.clone()
        };
        let globals = Globals {
            env: Some(settings.environment.clone()),
            ..globals
        };
        let other = Settings::resolve(&globals, &self.surroundings)?;
        self.open_layers(&other, &other.layers, false)
    }

    /// Opens a store of the project's own by its address, for the program's own use.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_address(&self, settings: &Settings, address: &str) -> Result<Arc<dyn Provider>> {
        let spec = LayerSpec::own(settings, address)?;
        let mut stack = self.open_layers(settings, &[spec], true)?;
        let layer = stack.layers.pop().map(|layer| layer.provider);
        layer.ok_or_else(|| Failure::usage("there is no such store"))
    }

    fn open_layers(
        &self,
        settings: &Settings,
        specs: &[LayerSpec],
        keep_key: bool,
    ) -> Result<Stack> {
        let machine_key = identity::machine_key(&self.surroundings.dirs, keep_key);
        let identity = self.identity();
        let no_logins = match specs.iter().any(|spec| spec.uri.scheme() == "env") {
            true => self.variables_without_logins(settings),
            false => Vec::new(),
        };
        let open = |spec: &LayerSpec| {
            let mut opening = self.opening(spec, &spec.uri, &machine_key, &identity);
            if spec.uri.scheme() == "env" {
                opening.variables = &no_logins;
            }
            let mut provider = registry::open(&opening)?;
            // Within the other layers: what they say of a name says it of ours.
            if !spec.names.is_empty() {
                provider = Arc::new(Renamed::new(provider, spec.names.clone()));
            }
            let printer = Arc::clone(&self.printer);
            let mut layered = Layered::new(provider, printer, spec.timeout);
            if let Some(path) = spec.file() {
                layered = layered.with_file(path);
            }
            Ok(Layer {
                label: spec.label.clone(),
                spec: spec.clone(),
                provider: Arc::new(layered),
            })
        };
        Ok(Stack {
            layers: specs.iter().map(open).collect::<Result<_>>()?,
        })
    }

    /// The process environment as a store holds it: what a login is given its credential by is no secret
    /// of the environment.
    fn variables_without_logins(&self, settings: &Settings) -> Vec<(OsString, OsString)> {
        let logins = settings.credential_names();
        let is_login = |variable: &OsString| logins.iter().any(|login| *variable == **login);
        let variables = self.surroundings.variables.iter();
        variables
            .filter(|(name, _)| !is_login(name))
            .cloned()
            .collect()
    }

    /// What a provider is given to open a store.
    pub fn opening<'a>(
        &'a self,
        spec: &'a LayerSpec,
        uri: &'a StoreUri,
        machine_key: &KeySource,
        identity: &KeySource,
    ) -> Opening<'a> {
        Opening {
            uri,
            root: &spec.root,
            environment: &spec.environment,
            dirs: &self.surroundings.dirs,
            machine_key: Arc::clone(machine_key),
            identity: Arc::clone(identity),
            addresses: &spec.addresses,
            plain_http: spec.plain_http,
            auth: spec.auth.as_ref(),
            credentials: credentials::source(
                &self.surroundings,
                &spec.root,
                &spec.environment,
                machine_key,
                identity,
            ),
            cache: credentials::cache(),
            timeout: spec.timeout,
            variables: &self.surroundings.variables,
        }
    }

    /// The folder of the project's local store.
    #[cfg(feature = "local")]
    pub fn local_folder(&self, root: &std::path::Path) -> secrets_local::Folder {
        secrets_local::Folder::new(root, &self.surroundings.dirs, self.identity())
    }

    /// The identity, looked for when a store first needs it.
    pub fn identity(&self) -> KeySource {
        Arc::clone(&self.identity)
    }
}
