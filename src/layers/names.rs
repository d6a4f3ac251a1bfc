//! Names that differ between us and a store: our `DATABASE_URL` is `SHOP_DATABASE_URL` there.
//!
//! A mapping is one-to-one in both directions: no two of our names are one name of the store, and a
//! name of the store that is the form of none of ours is none of our business: neither listed nor read nor
//! changed. Nothing here guesses, and nothing here reads a value.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use secrets_api::{
    Capabilities, Change, Ctx, Cursor, Error, ErrorKind, Lease, Leased, Leasing, Lookup, Meta,
    Name, Poll, Provider, REFERS, Report, Result, Revision, SecretValue, Select, Snapshot, Staging,
    Stored, Version, Written, async_trait,
};

/// What a store calls our secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Before every name that is not renamed.
    prefix: String,
    /// Ours to theirs.
    renamed: BTreeMap<Name, Name>,
    /// Theirs to ours: the same pairs.
    taken: BTreeMap<Name, Name>,
}

impl Names {
    /// The mapping of a manifest: `rename` is ours to theirs, without the prefix.
    ///
    /// # Errors
    /// `InvalidConfig` for a prefix that makes no names, for what is no name, and for two of our names
    /// that would be one there: it is about the second.
    pub fn new(prefix: Option<&str>, rename: &BTreeMap<String, String>) -> Result<Self> {
        let wrong = |message: String| Error::new(ErrorKind::InvalidConfig, message);
        if let Some(prefix) = prefix {
            Name::new(prefix).map_err(|why| {
                wrong(format!("a prefix is the beginning of a name: {why}")).with_hint(
                    "write it like `SHOP_`: letters, digits and `_`, not starting with a digit",
                )
            })?;
            if prefix.len() == Name::MAX_BYTES {
                return Err(wrong("the prefix leaves no room for a name".into()));
            }
        }
        let mut names = Self {
            prefix: prefix.unwrap_or_default().to_owned(),
            ..Self::default()
        };
        for (ours, theirs) in rename {
            let name = |text: &str| Name::new(text).map_err(|why| wrong(why.to_string()));
            let (ours, theirs) = (name(ours)?, name(theirs)?);
            if let Some(other) = names.taken.get(&theirs) {
                let message = format!("{other} and {ours} are both called {theirs} there");
                return Err(wrong(message)
                    .with_hint("two secrets need two names in the store")
                    .about(&ours));
            }
            names.taken.insert(theirs.clone(), ours.clone());
            names.renamed.insert(ours, theirs);
        }
        // Called as it would be anyway.
        let prefix = names.prefix.as_str();
        let same = |ours: &Name, theirs: &Name| {
            theirs.as_str().strip_prefix(prefix) == Some(ours.as_str())
        };
        names.renamed.retain(|ours, theirs| !same(ours, theirs));
        names.taken.retain(|theirs, ours| !same(ours, theirs));
        Ok(names)
    }

    /// Whether no name of one store can ever be one of ours and one of these others', also where the store
    /// does not tell capital letters from small ones.
    pub fn never_meets(&self, other: &Self) -> bool {
        let small = |text: &str| text.to_ascii_lowercase();
        let (ours, others) = (small(&self.prefix), small(&other.prefix));
        let crosses = |one: &Self, other: &Self, prefix: &str| {
            let mut renamed = one.taken.keys().map(|theirs| small(theirs.as_str()));
            let taken = |theirs: &str| other.taken.keys().any(|t| small(t.as_str()) == theirs);
            renamed.any(|theirs| theirs.starts_with(prefix) || taken(&theirs))
        };
        // Without a prefix it begins all others.
        !ours.starts_with(&others)
            && !others.starts_with(&ours)
            && !crosses(self, other, &others)
            && !crosses(other, self, &ours)
    }

    /// Whether every name is the same there.
    pub fn is_empty(&self) -> bool {
        self.prefix.is_empty() && self.renamed.is_empty()
    }

    /// What our name is there.
    ///
    /// # Errors
    /// `Unsupported` about a name that would be too long, or is what another of ours is called there.
    pub fn theirs(&self, ours: &Name) -> Result<Name> {
        if let Some(theirs) = self.renamed.get(ours) {
            return Ok(theirs.clone());
        }
        let theirs = match Name::new(&format!("{}{ours}", self.prefix)) {
            Ok(theirs) => theirs,
            // Of a prefix and a name that are names it is the length alone.
            Err(_) => return Err(self.too_long(ours, Name::MAX_BYTES)),
        };
        let Some(other) = self.taken.get(&theirs) else {
            return Ok(theirs);
        };
        let message = format!(
            "{ours} cannot be held: it would be {theirs} in the store, which is what {other} is called there"
        );
        Err(Error::unsupported(message).about(ours).with_hint(format!(
            "give it a name of its own there: `{ours} = \"…\"` beside {other} below `rename` in secrets.toml"
        )))
    }

    /// What a name of the store is to us; `None` where it is none of ours.
    pub fn ours(&self, theirs: &Name) -> Option<Name> {
        if let Some(ours) = self.taken.get(theirs) {
            return Some(ours.clone());
        }
        let ours = Name::new(theirs.as_str().strip_prefix(&self.prefix)?).ok()?;
        // A name that is renamed is not there under its prefixed form as well.
        (!self.renamed.contains_key(&ours)).then_some(ours)
    }

    /// The mapping as a text that is the same for the same mapping and for no other: what is known of a
    /// store under one mapping says nothing under another. Every part stands behind its length.
    pub fn identity(&self) -> String {
        let mut text = format!("{}:{}", self.prefix.len(), self.prefix);
        for part in self
            .renamed
            .iter()
            .flat_map(|(ours, theirs)| [ours, theirs])
        {
            // Writing to a text does not fail.
            let _ = write!(text, "{}:{part}", part.as_str().len());
        }
        text
    }

    fn too_long(&self, ours: &Name, most: usize) -> Error {
        let message = format!(
            "{ours} has {} characters with `{}` before it, and the store holds names of at most {most}",
            self.prefix.len() + ours.as_str().len(),
            self.prefix
        );
        Error::unsupported(message).about(ours)
    }
}

/// A store whose secrets are called otherwise there.
#[derive(Debug)]
pub struct Renamed {
    inner: Arc<dyn Provider>,
    names: Names,
}

impl Renamed {
    /// Shows `inner` under our names.
    pub fn new(inner: Arc<dyn Provider>, names: Names) -> Self {
        Self { inner, names }
    }

    fn here(&self, error: Error) -> Error {
        error.at_store(self.location())
    }

    /// What our name is there, if the store can hold it.
    fn theirs(&self, ours: &Name) -> Result<Name> {
        let theirs = self.names.theirs(ours).map_err(|error| self.here(error))?;
        let length = theirs.as_str().len();
        match self.inner.capabilities().limits.name_bytes {
            Some(most) if length > most && self.names.renamed.contains_key(ours) => {
                let message = format!(
                    "{ours} is called {theirs} there, which has {length} characters, and the store holds names of at most {most}"
                );
                Err(self.here(Error::unsupported(message).about(ours)))
            }
            Some(most) if length > most => Err(self.here(self.names.too_long(ours, most))),
            _ => Ok(theirs),
        }
    }

    /// What is known of a secret, with the names in it as ours; those of others are left out.
    fn known(&self, mut meta: Meta) -> Meta {
        meta.tags.retain_mut(|(key, value)| {
            if key != REFERS {
                return true;
            }
            let ours = Name::new(value)
                .ok()
                .and_then(|name| self.names.ours(&name));
            ours.is_some_and(|ours| {
                *value = ours.to_string();
                true
            })
        });
        meta
    }

    fn looked(&self, lookup: Lookup) -> Lookup {
        match lookup {
            Lookup::Found(Stored { value, meta }) => Lookup::Found(Stored {
                value,
                meta: self.known(meta),
            }),
            other => other,
        }
    }

    /// What the store said, about our name: nobody here knows the other.
    fn told(&self, error: Error) -> Error {
        match error.name().and_then(|theirs| self.names.ours(theirs)) {
            Some(ours) => self.told_of(&ours, error),
            None => error,
        }
    }

    fn told_of(&self, ours: &Name, error: Error) -> Error {
        let Ok(theirs) = self.names.theirs(ours) else {
            return error;
        };
        let message = reworded(error.message(), &theirs, ours, |_| true);
        let hint = error
            .hint()
            .map(|hint| reworded(hint, &theirs, ours, is_for_us));
        let is_about = error.name() == Some(&theirs);
        let error = error.with_message(message);
        let error = match hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        };
        if is_about { error.about(ours) } else { error }
    }

    /// What the store answered for our name; for no other is it taken.
    fn answered(
        &self,
        ours: &Name,
        theirs: &Name,
        answer: Option<(Name, Result<Lookup>)>,
    ) -> Result<Lookup> {
        match answer {
            Some((name, lookup)) if name == *theirs => {
                let lookup = lookup.map(|lookup| self.looked(lookup));
                lookup.map_err(|error| self.told_of(ours, error))
            }
            _ => {
                let message = format!("the store did not answer for {ours}");
                Err(self.here(Error::new(ErrorKind::Unexpected, message).about(ours)))
            }
        }
    }

    async fn read_all(&self, cx: &Ctx) -> Result<Snapshot> {
        let snapshot = self.inner.read(cx, Select::All).await;
        let mut snapshot = snapshot.map_err(|error| self.told(error))?;
        let items = std::mem::take(&mut snapshot.items).into_iter();
        snapshot.items = items
            .filter_map(|(theirs, lookup)| {
                let ours = self.names.ours(&theirs)?;
                let lookup = lookup.map(|lookup| self.looked(lookup));
                let lookup = lookup.map_err(|error| self.told_of(&ours, error));
                Some((ours, lookup))
            })
            .collect();
        Ok(snapshot)
    }

    async fn read_names(&self, cx: &Ctx, names: &[Name]) -> Result<Snapshot> {
        // A name that the store cannot hold is not there: no question.
        let mapped: Vec<Option<Name>> = names.iter().map(|n| self.theirs(n).ok()).collect();
        let asked: Vec<Name> = mapped.iter().flatten().cloned().collect();
        let snapshot = self.inner.read(cx, Select::Names(&asked)).await;
        let mut snapshot = snapshot.map_err(|error| self.told(error))?;
        let mut answers = std::mem::take(&mut snapshot.items).into_iter();
        snapshot.items = names
            .iter()
            .zip(mapped)
            .map(|(ours, theirs)| {
                let lookup = match theirs {
                    Some(theirs) => self.answered(ours, &theirs, answers.next()),
                    None => Ok(Lookup::Absent),
                };
                (ours.clone(), lookup)
            })
            .collect();
        Ok(snapshot)
    }
}

/// The text with the word `from` made `to` wherever `fits` says so of what stands before it.
fn reworded(text: &str, from: &Name, to: &Name, fits: impl Fn(&str) -> bool) -> String {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-/".contains(c);
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for (at, word) in text.match_indices(from.as_str()) {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let is_word = !before.ends_with(is_part) && !after.starts_with(is_part);
        if is_word && fits(before) {
            out.push_str(&text[done..at]);
            out.push_str(to.as_str());
            done = at + word.len();
        }
    }
    out.push_str(&text[done..]);
    out
}

/// Whether what follows in a hint is typed to this program or into its manifest (`secrets unset NAME`,
/// `[secrets.NAME]`), where our names hold. What is typed to a service's own tool stays.
fn is_for_us(before: &str) -> bool {
    if before.ends_with("[secrets.") {
        return true;
    }
    let command = before.rsplit('`').next().unwrap_or(before);
    command.strip_prefix("secrets ").is_some_and(|verb| {
        verb.ends_with(' ')
            && verb
                .chars()
                .all(|c| c.is_ascii_lowercase() || " -".contains(c))
    })
}

#[async_trait]
impl Provider for Renamed {
    fn location(&self) -> &str {
        self.inner.location()
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = self.inner.capabilities();
        let prefix = self.names.prefix.len();
        if prefix > 0 {
            let most = can.limits.name_bytes.unwrap_or(Name::MAX_BYTES);
            can.limits.name_bytes = Some(most.saturating_sub(prefix));
        }
        can
    }

    fn admit(&self, name: &Name, value: &SecretValue) -> Result<()> {
        let admitted = self.inner.admit(&self.theirs(name)?, value);
        admitted.map_err(|error| self.told_of(name, error))
    }

    async fn inspect(&self, cx: &Ctx) -> Result<Report> {
        self.inner.inspect(cx).await
    }

    async fn list(&self, cx: &Ctx) -> Result<Vec<(Name, Meta)>> {
        let list = self.inner.list(cx).await;
        let list = list.map_err(|error| self.told(error))?.into_iter();
        Ok(list
            .filter_map(|(theirs, meta)| Some((self.names.ours(&theirs)?, self.known(meta))))
            .collect())
    }

    async fn read(&self, cx: &Ctx, what: Select<'_>) -> Result<Snapshot> {
        match what {
            Select::All => self.read_all(cx).await,
            Select::Names(names) => self.read_names(cx, names).await,
        }
    }

    async fn write(
        &self,
        cx: &Ctx,
        base: Option<&Revision>,
        changes: &[Change<'_>],
    ) -> Result<Written> {
        let names = changes.iter().map(|change| self.theirs(change.name));
        let names: Vec<Name> = names.collect::<Result<_>>()?;
        let theirs: Vec<Change<'_>> = changes
            .iter()
            .zip(&names)
            .map(|(change, name)| Change {
                name,
                op: change.op,
                when: change.when.clone(),
            })
            .collect();
        let written = self.inner.write(cx, base, &theirs).await;
        let mut written = written.map_err(|error| self.told(error))?;
        let items = std::mem::take(&mut written.items).into_iter().enumerate();
        written.items = items
            .map(|(n, item)| {
                item.map_err(|error| match changes.get(n) {
                    Some(change) => self.told_of(change.name, error),
                    None => error,
                })
            })
            .collect();
        Ok(written)
    }

    async fn history(&self, cx: &Ctx, name: &Name) -> Result<Vec<Meta>> {
        let Ok(theirs) = self.theirs(name) else {
            return Ok(Vec::new());
        };
        let history = self.inner.history(cx, &theirs).await;
        history.map_err(|error| self.told_of(name, error))
    }

    async fn read_version(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<Lookup> {
        let Ok(theirs) = self.theirs(name) else {
            return Ok(Lookup::Absent);
        };
        let lookup = self.inner.read_version(cx, &theirs, version).await;
        lookup.map_err(|error| self.told_of(name, error))
    }

    async fn prune(&self, cx: &Ctx, name: &Name, keep: usize) -> Result<usize> {
        let Ok(theirs) = self.theirs(name) else {
            return Ok(0);
        };
        let pruned = self.inner.prune(cx, &theirs, keep).await;
        pruned.map_err(|error| self.told_of(name, error))
    }

    async fn poll(&self, cx: &Ctx, since: Option<&Cursor>) -> Result<Poll> {
        self.inner.poll(cx, since).await
    }

    fn policy(&self) -> Option<String> {
        self.inner.policy()
    }

    fn leasing(&self) -> Option<&dyn Leasing> {
        self.inner.leasing().map(|_| self as &dyn Leasing)
    }

    fn staging(&self) -> Option<&dyn Staging> {
        self.inner.staging().map(|_| self as &dyn Staging)
    }
}

impl Renamed {
    fn issuer(&self) -> Result<&dyn Leasing> {
        let none = || self.here(Error::unsupported("the store issues no credentials"));
        self.inner.leasing().ok_or_else(none)
    }
}

#[async_trait]
impl Leasing for Renamed {
    async fn issue(&self, cx: &Ctx) -> Result<Leased> {
        let leased = self.issuer()?.issue(cx).await;
        let leased = leased.map_err(|error| self.told(error))?;
        let items = leased.items.into_iter();
        Ok(Leased {
            lease: leased.lease,
            items: items
                .filter_map(|(theirs, value)| Some((self.names.ours(&theirs)?, value)))
                .collect(),
        })
    }

    async fn renew(&self, cx: &Ctx, lease: &str, increment: Duration) -> Result<Lease> {
        self.issuer()?.renew(cx, lease, increment).await
    }

    async fn revoke(&self, cx: &Ctx, lease: &str) -> Result<()> {
        self.issuer()?.revoke(cx, lease).await
    }
}

#[async_trait]
impl Staging for Renamed {
    async fn promote(&self, cx: &Ctx, name: &Name, version: &Version) -> Result<()> {
        let none = || self.here(Error::unsupported("the store has no stages"));
        let staging = self.inner.staging().ok_or_else(none)?;
        let promoted = staging.promote(cx, &self.theirs(name)?, version).await;
        promoted.map_err(|error| self.told_of(name, error))
    }
}

#[cfg(test)]
mod tests;
