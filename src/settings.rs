//! Flags, environment and manifest, resolved once into plain data.

use std::path::{Path, PathBuf};
use std::time::Duration;

use secrets_api::{Auth, Name, StoreUri};

use crate::credentials;
use crate::exit::{Exit, Failure, Result};
use crate::flags::Globals;
use crate::layers::TIMEOUT;
use crate::layers::names::Names;
use crate::manifest::trust::{self, Record};
use crate::manifest::{self, Manifest, Secret};
use crate::own_files;
use crate::registry::{self, Reach};
use crate::shell::quoted;
use crate::suggest;
use crate::surroundings::Surroundings;
use crate::variables;

/// The environment's name where nobody names one.
pub const DEFAULT_ENVIRONMENT: &str = "dev";

/// One layer of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerSpec {
    /// What to call it: as it was written, or with the environment's name where that is another's.
    pub label: String,
    /// Where it is.
    pub uri: StoreUri,
    /// The environment it belongs to (a parent's layers belong to the parent).
    pub environment: String,
    /// Where its relative paths start.
    pub root: PathBuf,
    /// Whether it belongs to an environment that the chosen one inherits: read, never written.
    pub inherited: bool,
    /// The servers' addresses.
    pub addresses: Vec<String>,
    /// Whether plain HTTP may leave the own machine.
    pub plain_http: bool,
    /// How to log in.
    pub auth: Option<Auth>,
    /// How long one call may take.
    pub timeout: Duration,
    /// What it calls our secrets.
    pub names: Names,
    /// The protected environment for whose sake writes to it ask first: the chosen one, or one that
    /// reads this very store, by whatever way it was reached.
    pub protected: Option<String>,
}

impl LayerSpec {
    /// A store of the project's own, which the program uses by itself.
    ///
    /// # Errors
    /// If it is no address.
    pub fn own(settings: &Settings, address: &str) -> Result<Self> {
        Ok(Self {
            label: address.to_owned(),
            uri: registry::parse(address)?,
            addresses: Vec::new(),
            plain_http: false,
            auth: None,
            timeout: TIMEOUT,
            names: Names::default(),
            environment: settings.environment.clone(),
            root: settings.root.clone(),
            inherited: false,
            protected: None,
        })
    }

    /// The file that it is, if it is one.
    pub fn file(&self) -> Option<PathBuf> {
        let reach = registry::find(self.uri.scheme()).map(|entry| entry.reach);
        (reach == Some(Reach::Path)).then(|| self.root.join(self.uri.location()))
    }

    /// What tells this store from all others, however it was spelled.
    pub fn canonical(&self) -> String {
        let location = self.uri.location();
        match registry::find(self.uri.scheme()).map(|entry| entry.reach) {
            Some(Reach::Path) => {
                let path = self.root.join(location);
                let real = trust::real_path(&path).unwrap_or(path);
                format!("{}:{}", self.uri.scheme(), real.display())
            }
            Some(Reach::Project) if location.is_empty() => {
                format!("{}:{}", self.uri.scheme(), self.environment)
            }
            _ => format!(
                "{}:{}",
                self.uri.scheme(),
                place_of(self.uri.scheme(), location)
            ),
        }
    }
}

/// A place on a service, as the service itself tells places apart.
fn place_of(scheme: &str, location: &str) -> String {
    let plain = location.trim_end_matches('/');
    match scheme {
        // Vaults and their secrets are named in whatever case.
        "azure" => plain.to_ascii_lowercase(),
        // `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME-RANDOM`
        "aws" => match plain.rsplit_once(":secret:") {
            Some((_, name)) => name
                .rsplit_once('-')
                .map_or(name, |(name, _)| name)
                .to_owned(),
            None => plain.to_owned(),
        },
        _ => plain.to_owned(),
    }
}

/// Who names the layers' addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whence {
    /// The command line: the user's own word.
    Typed,
    /// The manifest, as what an environment is read from.
    Source,
    /// The manifest, as what an environment is copied to.
    Mirror,
}

/// What a run works on.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The project's folder: the manifest's, or the working directory.
    pub root: PathBuf,
    /// The manifest's file and text, if there is one.
    pub found: Option<manifest::Found>,
    /// The manifest; the empty one where there is none.
    pub manifest: Manifest,
    /// The environment's name.
    pub environment: String,
    /// What it is read from; later ones win. Never empty.
    pub layers: Vec<LayerSpec>,
    /// Whether a person, or `SECRETS_TRUST`, has accepted what the manifest reaches.
    pub trusted: bool,
    /// Whether the layers were typed on the command line: the environment is then the one in use, and says
    /// nothing of them.
    pub typed: bool,
    /// Names that can take a process over and were allowed by a person.
    pub allowed_names: Vec<String>,
}

/// A project, before an environment is chosen.
#[derive(Debug, Clone)]
pub struct Project {
    /// The manifest's folder, or the working directory.
    pub root: PathBuf,
    /// The manifest's file and text, if there is one.
    pub found: Option<manifest::Found>,
    /// The manifest; the empty one where there is none.
    pub manifest: Manifest,
}

impl Project {
    /// Finds and reads the manifest.
    ///
    /// # Errors
    /// As [`manifest::find`] and [`manifest::parse`].
    pub fn discover(surroundings: &Surroundings) -> Result<Self> {
        let found = manifest::find(&surroundings.cwd)?;
        let manifest = match &found {
            Some(found) => manifest::parse(&found.text, &shown(&found.path, &surroundings.cwd))?,
            None => Manifest::default(),
        };
        let root = found
            .as_ref()
            .map_or_else(|| surroundings.cwd.clone(), |f| f.root.clone());
        Ok(Self {
            root,
            found,
            manifest,
        })
    }

    /// The name of the environment that `-e`, `SECRETS_ENV` or the manifest choose.
    ///
    /// # Errors
    /// If the manifest has no such environment.
    pub fn environment(&self, globals: &Globals, surroundings: &Surroundings) -> Result<String> {
        let named = globals
            .env
            .as_deref()
            .or_else(|| surroundings.text(variables::ENV));
        let environments = &self.manifest.environments;
        let name = named
            .or(self.manifest.project.default_environment.as_deref())
            .or_else(|| match environments.len() {
                1 => environments.keys().next().map(String::as_str),
                _ => None,
            })
            .unwrap_or(DEFAULT_ENVIRONMENT);
        // Where stores are typed a project may have no environments; one that was named has to be one of them.
        let counts = globals.store.is_empty() || named.is_some() && !environments.is_empty();
        if self.found.is_some() && !environments.contains_key(name) && counts {
            let known = environments.keys().map(String::as_str);
            return Err(Failure::usage(format!("there is no environment `{name}`"))
                .with_hint_opt(suggest::hint(name, known)));
        }
        manifest::check_environment(name)?;
        Ok(name.to_owned())
    }
}

impl Settings {
    /// Resolves everything; no store is opened.
    ///
    /// # Errors
    /// Usage failures (unknown environment, store or provider; no source at all) and the refusal
    /// of a manifest that needs trust and has none.
    pub fn resolve(globals: &Globals, surroundings: &Surroundings) -> Result<Self> {
        let project = Project::discover(surroundings)?;
        let environment = project.environment(globals, surroundings)?;
        let layers = layers(&project, &environment, globals, surroundings)?;
        let whence = if globals.store.is_empty() {
            Whence::Source
        } else {
            Whence::Typed
        };
        Self::of_layers(project, environment, layers, whence, globals, surroundings)
    }

    /// The same for one of the environment's mirrors in place of its source, as the manifest was read for that.
    ///
    /// # Errors
    /// As [`Settings::resolve`].
    pub fn mirror(
        &self,
        mirror: &str,
        globals: &Globals,
        surroundings: &Surroundings,
    ) -> Result<Self> {
        let project = Project {
            root: self.root.clone(),
            found: self.found.clone(),
            manifest: self.manifest.clone(),
        };
        let environment = self.environment.clone();
        let layers = vec![layer(&project, mirror, &environment)?];
        let whence = Whence::Mirror;
        Self::of_layers(project, environment, layers, whence, globals, surroundings)
    }

    /// All that hangs on the layers.
    fn of_layers(
        project: Project,
        environment: String,
        mut layers: Vec<LayerSpec>,
        whence: Whence,
        globals: &Globals,
        surroundings: &Surroundings,
    ) -> Result<Self> {
        for layer in &layers {
            own_files::refuse(layer, &project.root)?;
        }
        let record = Record::load(&surroundings.dirs, &project.root)?;
        let claims = trust::claims(&project.manifest, &project.root);
        let trusted = record.covers(&claims, surroundings.text(variables::TRUST));
        let needs_trust = |layer: &LayerSpec| {
            let named = !layer.label.contains(':');
            let (uri, environment) = (&layer.uri, &layer.environment);
            named
                || match whence {
                    Whence::Typed => false,
                    Whence::Source => trust::source_needs_trust(uri, environment, &layer.root),
                    Whence::Mirror => true,
                }
        };
        let own = layers.iter().filter(|layer| !layer.inherited);
        let plain =
            whence == Whence::Source && trust::ends_in_plain_file(own.map(|layer| &layer.uri));
        if project.found.is_some() && !trusted && (plain || layers.iter().any(needs_trust)) {
            return Err(trust::untrusted(
                &record,
                surroundings.text(variables::TRUST),
            ));
        }
        let mut allowed_names = record.allow;
        if trusted {
            allowed_names.extend(project.manifest.project.allow_names.iter().cloned());
        }
        protect(&mut layers, &project, &environment)?;
        #[cfg(feature = "dotenv")]
        if let Some(dialect) = &globals.dialect {
            let files = layers.iter_mut().filter(|l| l.uri.scheme() == "dotenv");
            files.for_each(|layer| layer.uri.set_default("dialect", dialect));
        }
        Ok(Self {
            found: project.found,
            root: project.root,
            manifest: project.manifest,
            environment,
            layers,
            trusted,
            typed: whence == Whence::Typed,
            allowed_names,
        })
    }

    /// The variables that stores' logins are given their credentials by: those of the layers, and of
    /// all stores that the environment and those it inherits are read from or copied to. They do not
    /// reach a child.
    pub fn credential_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        let layers = self.layers.iter().filter_map(|layer| layer.auth.as_ref());
        layers.for_each(|auth| credentials::variables(auth, &mut names));
        let mut next = Some(self.environment.as_str());
        while let Some(environment) = next.and_then(|n| self.manifest.environments.get(n)) {
            let stores = environment.source.iter().chain(&environment.mirrors);
            for auth in stores.filter_map(|s| self.manifest.stores.get(s)?.auth.as_ref()) {
                credentials::variables(&as_given(auth), &mut names);
            }
            next = environment.inherit.as_deref();
        }
        names
    }

    /// What the manifest says of this secret.
    pub fn secret(&self, name: &Name) -> Option<&Secret> {
        self.manifest.secrets.get(name.as_str())
    }

    /// Whether the manifest has a secret of this name.
    pub fn declares(&self, name: &str) -> bool {
        self.manifest.secrets.contains_key(name)
    }

    /// The names the manifest requires in this environment.
    pub fn required(&self) -> impl Iterator<Item = Name> {
        let secrets = self.manifest.secrets.iter();
        secrets
            .filter(|(_, secret)| secret.required.holds_in(&self.environment))
            .filter_map(|(name, _)| Name::new(name).ok())
    }

    /// The names that are required and have no value: neither among `there` nor by a default.
    pub fn missing<'a>(
        &'a self,
        there: impl Fn(&Name) -> bool + 'a,
    ) -> impl Iterator<Item = Name> + 'a {
        self.required().filter(move |name| {
            !there(name) && self.secret(name).is_none_or(|s| s.default.is_none())
        })
    }

    /// The environment and its layers, for messages: `dev (dotenv:.env, local:)`.
    pub fn place(&self) -> String {
        let labels: Vec<_> = self
            .layers
            .iter()
            .map(|layer| layer.label.as_str())
            .collect();
        format!("{} ({})", self.environment, labels.join(", "))
    }
}

fn layers(
    project: &Project,
    environment: &str,
    globals: &Globals,
    surroundings: &Surroundings,
) -> Result<Vec<LayerSpec>> {
    if !globals.store.is_empty() {
        return globals
            .store
            .iter()
            .map(|store| {
                let mut layer = layer(project, store, environment)?;
                // A path on the command line starts where the command line is.
                let path =
                    registry::find(layer.uri.scheme()).is_some_and(|p| p.reach == Reach::Path);
                if path && store.contains(':') {
                    layer.root.clone_from(&surroundings.cwd);
                }
                Ok(layer)
            })
            .collect();
    }
    if project.found.is_none() {
        if globals.env.is_some() || surroundings.text(variables::ENV).is_some() {
            return Err(Failure::usage(format!(
                "there is no secrets.toml here or above that says what environment `{environment}` is"
            ))
            .with_hint("run `secrets init`, or name a store: `--store dotenv:PATH`"));
        }
        let file = surroundings.cwd.join(".env");
        if file.is_symlink() || file.exists() {
            manifest::owned_by_us(&file)?;
            let layer = layer(project, "dotenv:.env", environment)?;
            if trust::uri_needs_trust(&layer.uri, &layer.root) {
                return Err(Failure::new(
                    Exit::Denied,
                    ".env here is a link that leads out of this folder",
                )
                .with_hint(format!(
                    "if it is meant, name the file it is: `--store {}`",
                    quoted(&format!(
                        "dotenv:{}",
                        trust::real_path(&file).unwrap_or(file).display()
                    ))
                )));
            }
            return Ok(vec![layer]);
        }
        return Err(
            Failure::usage("there is no secrets.toml here or above, and no .env here")
                .with_hint("run `secrets init`, or name a store: `--store dotenv:PATH`"),
        );
    }
    let mut chain = vec![environment];
    while let Some(parent) = chain
        .last()
        .and_then(|e| project.manifest.environments.get(*e)?.inherit.as_deref())
    {
        chain.push(parent);
    }
    let chosen = environment;
    let mut found = Vec::new();
    for environment in chain.into_iter().rev() {
        if let Some(settings) = project.manifest.environments.get(environment) {
            for store in &settings.source {
                let mut layer = layer(project, store, environment)?;
                layer.inherited = environment != chosen;
                if layer.inherited
                    && layer.uri.scheme() == "local"
                    && layer.uri.location().is_empty()
                {
                    layer.label = format!("local:{environment}");
                }
                found.push(layer);
            }
        }
    }
    if found.is_empty() {
        return Err(
            Failure::usage(format!("environment `{environment}` has no source")).with_hint(
                format!(
                    "add `source = [\"local:\"]` below [environments.{environment}] in secrets.toml"
                ),
            ),
        );
    }
    Ok(found)
}

fn layer(project: &Project, store: &str, environment: &str) -> Result<LayerSpec> {
    let (uri, named) = if store.contains(':') {
        (registry::parse(store)?, None)
    } else {
        let Some(named) = project.manifest.stores.get(store) else {
            let known = project.manifest.stores.keys().map(String::as_str);
            let failure = Failure::usage(format!("there is no store `{store}`"));
            let fallback = format!(
                "a store is an address such as `dotenv:{store}`, or a name from [stores] in secrets.toml"
            );
            let near = suggest::nearest(store, known).map(|n| format!("did you mean `{n}`?"));
            return Err(failure.with_hint(near.unwrap_or(fallback)));
        };
        (registry::parse(&named.uri)?, Some(named))
    };
    let is_remote = registry::find(uri.scheme()).is_some_and(|p| p.reach == Reach::Beyond);
    if let Some(named) = named
        && !is_remote
        && (!named.addresses.is_empty() || named.auth.is_some() || named.plain_http.is_some())
    {
        return Err(Failure::usage(format!(
            "store `{store}` is not on a network: it takes no addresses, auth or plain-http"
        )));
    }
    let auth = named.and_then(|n| n.auth.as_ref()).map(as_given);
    let timeout = match named.and_then(|n| n.timeout.as_deref()) {
        None => TIMEOUT,
        Some(text) => manifest::duration(text).ok_or_else(|| {
            Failure::usage(format!(
                "store `{store}`: a timeout is written like `10s` or `500ms`, from 100ms to 10m"
            ))
        })?,
    };
    let names = match named {
        None => Names::default(),
        Some(named) => Names::new(named.prefix.as_deref(), &named.rename)
            .map_err(|error| error.at_store(store))?,
    };
    Ok(LayerSpec {
        label: store.to_owned(),
        uri,
        addresses: named.map(|n| n.addresses.clone()).unwrap_or_default(),
        plain_http: named.is_some_and(|n| n.plain_http.is_some()),
        auth,
        timeout,
        names,
        environment: environment.to_owned(),
        root: project.root.clone(),
        inherited: false,
        protected: None,
    })
}

/// Whether two stores hold something in common: they are the same, or one lies below the other, as the
/// secrets of `layout=each` lie below their prefix.
pub fn overlap(one: &str, other: &str) -> bool {
    let lies_below = |inner: &str, outer: &str| {
        inner
            .strip_prefix(outer)
            .is_some_and(|rest| rest.starts_with('/'))
    };
    one == other || lies_below(one, other) || lies_below(other, one)
}

/// A login as providers are given it.
fn as_given(auth: &manifest::Auth) -> Auth {
    Auth {
        method: auth.method.clone(),
        settings: auth.settings.clone(),
    }
}

/// Marks the layers whose writes ask first.
fn protect(layers: &mut [LayerSpec], project: &Project, environment: &str) -> Result<()> {
    let environments = &project.manifest.environments;
    let mut protected = Vec::new();
    for (name, _) in environments.iter().filter(|(_, e)| e.protected) {
        // What it inherits, it reads too.
        let mut next = Some(name);
        while let Some((at, environment)) = next.and_then(|n| environments.get_key_value(n)) {
            for store in &environment.source {
                protected.push((layer(project, store, at)?.canonical(), name));
            }
            next = environment.inherit.as_ref();
        }
    }
    let chosen = environments.get(environment).is_some_and(|e| e.protected);
    for layer in layers {
        let readers: Vec<&String> = if protected.is_empty() {
            Vec::new()
        } else {
            let store = layer.canonical();
            let reads = protected.iter().filter(|(read, _)| overlap(read, &store));
            reads.map(|(_, name)| *name).collect()
        };
        // Of a mirror that only another one reads, that one is told of.
        layer.protected = match readers.first() {
            Some(other) if !(chosen && readers.iter().any(|r| *r == environment)) => {
                Some((*other).clone())
            }
            _ => chosen.then(|| environment.to_owned()),
        };
    }
    Ok(())
}

/// The documents of the local store that the project's environments name.
pub fn local_documents(project: &Project) -> std::collections::BTreeSet<String> {
    let mut documents = std::collections::BTreeSet::new();
    for (name, environment) in &project.manifest.environments {
        for store in environment.source.iter().chain(&environment.mirrors) {
            let named = project.manifest.stores.get(store).map_or(store, |s| &s.uri);
            if let Ok(uri) = StoreUri::parse(named)
                && uri.scheme() == "local"
            {
                let document = if uri.location().is_empty() {
                    name.as_str()
                } else {
                    uri.location()
                };
                documents.insert(document.to_owned());
            }
        }
    }
    documents
}

/// A path as a person at `cwd` would write it.
pub fn shown(path: &Path, cwd: &Path) -> String {
    path.strip_prefix(cwd).unwrap_or(path).display().to_string()
}

/// The names given as arguments, checked.
///
/// # Errors
/// A usage failure that repeats the argument only if it cannot be a value.
pub fn names(words: &[String]) -> Result<Vec<Name>> {
    words.iter().map(|word| name(word)).collect()
}

/// One name, checked.
///
/// # Errors
/// As [`names`].
pub fn name(word: &str) -> Result<Name> {
    Name::new(word).map_err(|e| {
        // `set KEY=VALUE`: the value must not be repeated, nor what a paste may have brought.
        // A value with base64's padding has an `=` too: only what is written as a name is shown.
        let shown = word.split_once('=').filter(|(name, value)| {
            let padding = value.chars().all(|c| c == '=');
            !padding && !name.contains(|c: char| c.is_ascii_lowercase())
        });
        match shown.and_then(|(n, _)| Name::new(n).ok()) {
            Some(name) => Failure::new(Exit::Usage, "a value is not given as an argument: other users and the shell's history would see it")
                .with_hint(format!("give it on standard input: `printf %s \"$VALUE\" | secrets set {name}`")),
            None if word.contains('=') => Failure::new(Exit::Usage, "a value is not given as an argument: other users and the shell's history would see it")
                .with_hint("give it on standard input: `printf %s \"$VALUE\" | secrets set NAME`"),
            None => Failure::new(Exit::Usage, e.to_string()),
        }
    })
}
