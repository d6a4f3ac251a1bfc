//! `secrets set`: a value into the layer that supplies the name, else the last writable one. A
//! value comes from a hidden prompt, standard input or a file; never from argv, unless the
//! manifest says that the name is no secret.

use std::io::Read as _;
use std::path::PathBuf;

use secrets_api::{Change, Name, Op, SecretValue, Select, Version, Zeroizing};
use serde_json::json;

use super::generate::{Shape, generator};
use crate::exec::hijack;
use crate::exit::{Exit, Failure, Result};
use crate::flags::Consent;
use crate::session::Session;
use crate::settings::{self, Settings};
use crate::stack::{Merged, Stack};
use crate::sync::auto;

/// More than any store holds.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// Set secrets: typed unseen, read from standard input or a file, or generated
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Without a terminal the value is read from standard input; one final newline is removed.\n\n\
Examples:\n  secrets set DATABASE_URL                     # asks, without showing\n  \
secrets set SECRET_KEY --generate            # 50 characters for Django\n  \
pass show shop/db | secrets set DB_PASSWORD  # standard input\n  \
secrets set TLS_KEY --from-file key.pem      # the file, byte for byte\n  \
secrets set DEBUG=true                       # only where secrets.toml says `sensitive = false`")]
pub struct Args {
    /// The names; NAME=VALUE only for what is declared `sensitive = false`
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Generate the value; of this kind, else of the one secrets.toml declares, else `django`
    #[arg(long, value_name = "KIND", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    generate: Option<String>,
    #[command(flatten)]
    shape: Shape,
    /// Take the value from this file, byte for byte
    #[arg(long, value_name = "PATH", conflicts_with = "generate")]
    from_file: Option<PathBuf>,
    /// Keep a final newline of standard input
    #[arg(long)]
    raw: bool,
    /// Let the value be empty
    #[arg(long)]
    allow_empty: bool,
    #[command(flatten)]
    consent: Consent,
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        self.check_shape()?;
        let settings = session.settings()?;
        let wanted = self.wanted(&settings)?;
        let names: Vec<Name> = wanted.iter().map(|(name, _)| name.clone()).collect();
        if names.len() > 1
            && self.generate.is_none()
            && !session.printer.can_ask()
            && wanted.iter().any(|(_, v)| v.is_none())
        {
            return Err(Failure::usage(
                "standard input holds one value, and several names were given",
            )
            .with_hint("set them one by one, or all at once with `secrets import -`"));
        }
        let stack = session.open(&settings)?;
        let merged =
            session.block_on(stack.read_around(&session.cx(), &settings, Select::Names(&names)))?;
        if !self.agreed(session, &settings, &stack, &merged, &names)? {
            return Ok(Exit::Done);
        }
        let mut written = Vec::with_capacity(names.len());
        for (name, given) in wanted {
            let value = match given {
                Some(value) => value,
                None => self.value(session, &settings, &name)?,
            };
            if value.is_empty() && !self.allow_empty {
                return Err(Failure::usage(format!("the value of {name} is empty"))
                    .with_hint("if that is meant: --allow-empty"));
            }
            let held = merged.items.get(&name);
            let there = merged.layer_of(&name).is_some();
            let (layer, version) = write(session, &settings, &stack, &merged, &name, &value)
                .map_err(|failure| {
                    let rest = "run the same command again without the names that are set";
                    failure.partly_if(!written.is_empty(), "set", rest)
                })?;
            let label = &stack.layers[layer].label;
            let verb = if there { "replaced" } else { "set" };
            session.printer.done(format!("{name} {verb} in {label}"));
            if let Some(why) = hijack::reason(name.as_str())
                && !settings.allowed_names.iter().any(|a| a == name.as_str())
            {
                session
                    .printer
                    .warn(format!("{name}: {why}: `exec` and `export` refuse it"));
                session
                    .printer
                    .hint(format!("if that is meant: `secrets trust --allow {name}`"));
            }
            if held.is_some_and(|h| h.stored.meta.derived) {
                session.printer.warn(format!(
                    "{name} was put together from other lines; now it is a value of its own"
                ));
            }
            written.push(json!({"name": name.as_str(), "store": label, "version": version.map(|v| v.as_str().to_owned())}));
        }
        if session.printer.json {
            session.printer.document(
                &json!({"schema": 1, "environment": settings.environment, "set": written}),
            )?;
        }
        auto::push(session, &settings, "set", &names)
    }

    fn check_shape(&self) -> Result<()> {
        if self.generate.is_none() && (self.shape.length.is_some() || self.shape.alphabet.is_some())
        {
            return Err(
                Failure::usage("--length and --alphabet shape a generated value")
                    .with_hint("add --generate"),
            );
        }
        if self.from_file.is_some() && self.names.len() > 1 {
            return Err(Failure::usage(
                "--from-file holds one value, and several names were given",
            ));
        }
        Ok(())
    }

    /// The names, with the values that argv gave to names that are no secrets.
    fn wanted(&self, settings: &Settings) -> Result<Vec<(Name, Option<SecretValue>)>> {
        let mut wanted = Vec::with_capacity(self.names.len());
        for word in &self.names {
            let open = word.split_once('=').and_then(|(name, value)| {
                let name = Name::new(name).ok()?;
                let declared = settings.secret(&name).is_some_and(|s| !s.is_sensitive());
                declared.then(|| (name, Some(SecretValue::from_slice(value.as_bytes()))))
            });
            let item = match open {
                Some(item) => item,
                None => (self.name(word, settings, wanted.len())?, None),
            };
            if wanted.iter().any(|(name, _)| *name == item.0) {
                return Err(Failure::usage(format!("{} is given twice", item.0)));
            }
            wanted.push(item);
        }
        Ok(wanted)
    }

    /// One word as a name. The second one is where a value or a kind is put by mistake: it is not
    /// repeated, and taken for a name only if it looks like one.
    fn name(&self, word: &str, settings: &Settings, before: usize) -> Result<Name> {
        if before == 0 || word.contains('=') {
            return settings::name(word);
        }
        let kind = crate::generate::kind(word).is_some();
        if self.generate.is_some() && kind && !settings.declares(word) {
            return Err(Failure::usage(format!("`{word}` is a kind, not a name"))
                .with_hint(format!("write `--generate={word}`")));
        }
        let like_a_name = |name: &Name| {
            settings.declares(word) || !name.as_str().contains(|c: char| c.is_ascii_lowercase())
        };
        Name::new(word).ok().filter(like_a_name).ok_or_else(|| {
            Failure::usage("a value is not given as an argument: other users and the shell's history would see it").with_hint(format!(
                "give it on standard input: `printf %s \"$VALUE\" | secrets set {}`; if the second word is a name, set it by itself",
                self.names[0]
            ))
        })
    }

    /// Whether to go on: a generated value never silently replaces one that is in use.
    fn agreed(
        &self,
        session: &Session,
        settings: &Settings,
        stack: &Stack,
        merged: &Merged,
        names: &[Name],
    ) -> Result<bool> {
        let replaced: Vec<String> = names
            .iter()
            .filter_map(|name| {
                let layer = merged.layer_of(name)?;
                Some(format!("{name} in {}", stack.layers[layer].label))
            })
            .collect();
        let replacing = self.generate.is_some() && !replaced.is_empty();
        let question = if replaced.is_empty() {
            let list = names
                .iter()
                .map(Name::as_str)
                .collect::<Vec<_>>()
                .join(", ");
            format!("set {list} in {}", settings.place())
        } else {
            format!("replace {}", replaced.join(", "))
        };
        let layers = names
            .iter()
            .map(|name| stack.layer_for(merged.layer_of(name)))
            .collect::<Result<Vec<_>>>()?;
        let writes = names.iter().zip(&layers);
        let writes = writes.map(|(name, &at)| (at, stack.guard_of(at, merged, name)));
        let caution = stack.caution(writes);
        let question = format!("{question}{caution}");
        if !caution.is_empty() && !replaced.is_empty() {
            session.printer.say(&question);
        }
        let needed = stack.protects(layers) || replacing;
        self.consent.given(session, needed, &question)
    }

    /// The value of one name, from where the flags say.
    fn value(&self, session: &Session, settings: &Settings, name: &Name) -> Result<SecretValue> {
        if let Some(kind) = &self.generate {
            let declared = settings.secret(name).and_then(|s| s.kind.as_deref());
            let kind = match (kind.as_str(), declared) {
                ("", None | Some("django-key")) => "django",
                ("", Some(declared)) => declared,
                (asked, _) => asked,
            };
            let (_, mut generator) = generator(kind, &self.shape)?;
            return generator
                .draw()
                .map_err(|r| Failure::new(Exit::Failed, r.message).with_hint_opt(r.hint));
        }
        if let Some(path) = &self.from_file {
            let path = session.surroundings.cwd.join(path);
            return match secrets_platform::files::read(&path)? {
                Some(contents) => Ok(SecretValue::from(contents.bytes)),
                None => Err(Failure::new(
                    Exit::NotFound,
                    format!("{} is not there", path.display()),
                )),
            };
        }
        if session.surroundings.stdin_is_terminal {
            let instead =
                format!("give it on standard input: `printf %s \"$VALUE\" | secrets set {name}`");
            return session
                .printer
                .ask_hidden(&format!("value of {name}"), &instead);
        }
        let mut value = read_stdin()?;
        if !self.raw && value.ends_with(b"\n") {
            value.pop();
            if value.ends_with(b"\r") {
                value.pop();
            }
        }
        Ok(SecretValue::from(value))
    }
}

/// All of standard input, bounded.
///
/// # Errors
/// If it cannot be read, or is larger than any store could hold.
pub fn read_stdin() -> Result<Zeroizing<Vec<u8>>> {
    // Grown by doubling into fresh, wiped blocks: `Vec` would leave copies behind.
    let mut all = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let mut block = Zeroizing::new([0_u8; 16 * 1024]);
    let mut stdin = std::io::stdin().lock();
    loop {
        let n = match stdin.read(&mut *block) {
            Ok(0) => return Ok(all),
            Ok(n) => n,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => {
                return Err(Failure::new(
                    Exit::Failed,
                    format!("cannot read standard input: {e}"),
                ));
            }
        };
        if (all.len() + n) as u64 > MOST_BYTES {
            return Err(Failure::new(
                Exit::Failed,
                "standard input is larger than 64 MiB",
            ));
        }
        if all.len() + n > all.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(all.capacity() * 2));
            larger.extend_from_slice(&all);
            all = larger;
        }
        all.extend_from_slice(&block[..n]);
    }
}

/// Writes one value where it belongs, guarded by what was seen; says where and as what version.
///
/// # Errors
/// The store's refusal.
pub fn write(
    session: &Session,
    settings: &Settings,
    stack: &Stack,
    merged: &Merged,
    name: &Name,
    value: &SecretValue,
) -> Result<(usize, Option<Version>)> {
    let layer = stack.layer_for(merged.layer_of(name))?;
    let kept = stack.encode(layer, settings, name, value);
    let change = Change {
        name,
        op: Op::Put(&kept),
        when: stack.guard_of(layer, merged, name),
    };
    let version = session.block_on(stack.write(&session.cx(), layer, change))?;
    Ok((layer, version))
}
