//! `.secrets/recipients.toml`: the people, their public keys, and what each may open. Public, and
//! committed; what in it counts is what was confirmed on this machine (see `pins`). Its id stands in
//! every document: one of another store, of the same people, is none of this one.

use std::path::{Path, PathBuf};

use secrets_api::{Error, ErrorKind, Result, Zeroizing};
use secrets_platform::files::{self, Contents, Edit, Options};
use serde::{Deserialize, Serialize};
use toml_edit::{Array, ArrayOfTables, DocumentMut, Item, Table, value};

use crate::envelope::verifying_key;
use crate::{hex, inside, seal};

/// How the name of a document ends that keeps what was replaced in an environment's other stores: it is
/// for the people of that environment.
pub const REPLACED: &str = ".replaced";

/// Stands for every environment.
pub(crate) const ALL: &str = "*";
/// Most people of a store, and most bytes of the file that lists them: it comes from a repository.
const MOST: usize = 1000;
const MOST_BYTES: usize = 1024 * 1024;
const RESTORE: &str = "restore it from source control: `git checkout .secrets/recipients.toml`";

/// One person, or one recovery key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// What to call them.
    pub name: String,
    /// The public key that is sealed to: `age1…` or `ssh-ed25519 …`.
    pub age: String,
    /// The public key that their signatures are checked with: `ed25519:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sign: Option<String>,
    /// The environments they may open; `*` is all.
    #[serde(default)]
    pub environments: Vec<String>,
    /// A key kept in a safe place: everything is sealed to it, and it signs nothing.
    #[serde(default)]
    pub recovery: bool,
}

impl Member {
    /// Whether documents of this environment are sealed to them.
    pub fn opens(&self, environment: &str) -> bool {
        let environment = environment.strip_suffix(REPLACED).unwrap_or(environment);
        self.recovery
            || self
                .environments
                .iter()
                .any(|e| e == environment || e == ALL)
    }

    /// Whether they may sign documents of this environment with this key.
    pub(crate) fn signs(&self, environment: &str, key: &str) -> bool {
        !self.recovery && self.opens(environment) && self.sign.as_deref() == Some(key)
    }

    /// One line that says all that matters of them.
    pub(crate) fn line(&self) -> String {
        let sign = self.sign.as_deref().unwrap_or("signs nothing");
        let what = if self.recovery {
            "recovery".to_owned()
        } else {
            self.environments.join(",")
        };
        format!("{} [{what}] {} {sign}", self.name, self.age)
    }

    fn check(&self) -> Result<()> {
        let invalid = |message: String| Err(Error::new(ErrorKind::InvalidConfig, message));
        let plain = |text: &str| {
            !text.is_empty()
                && text.len() <= 64
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "-_.@+".contains(c))
        };
        if !plain(&self.name) {
            return invalid(
                "a member's name holds letters, digits and `- _ . @ +`, at most 64".into(),
            );
        }
        // It is shown on a terminal: an SSH key's comment must not move the cursor.
        if self.age.len() > 1024 || !self.age.chars().all(|c| c == ' ' || c.is_ascii_graphic()) {
            return invalid(format!(
                "the public key of {} holds what no key does",
                self.name
            ));
        }
        seal::recipient(&self.age)?;
        if let Some(sign) = &self.sign
            && verifying_key(sign).is_none()
        {
            return invalid(format!(
                "the signing key of {} is not `ed25519:` and base64",
                self.name
            ));
        }
        if let Some(odd) = self.environments.iter().find(|e| *e != ALL && !plain(e)) {
            let shown: String = odd.chars().take(40).flat_map(char::escape_debug).collect();
            return invalid(format!("`{shown}` is no name of an environment"));
        }
        Ok(())
    }
}

/// The people of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Which store it is: random, made once.
    #[serde(default)]
    store: Option<String>,
    #[serde(default, rename = "recipient")]
    members: Vec<Member>,
}

/// Where they are listed.
///
/// # Errors
/// As [`inside::file`].
pub(crate) fn path(root: &Path) -> Result<PathBuf> {
    inside::file(root, "recipients.toml")
}

impl Team {
    /// Reads `.secrets/recipients.toml` below `root`; `None` if it is not there.
    ///
    /// # Errors
    /// `InvalidConfig` for what is broken in it; `Untrusted` for a link in its place.
    pub fn load(root: &Path) -> Result<Option<Self>> {
        let path = path(root)?;
        files::read(&path)?
            .map(|contents| Self::parse(&contents.bytes, &path))
            .transpose()
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let invalid = |why: String| {
            Error::new(
                ErrorKind::InvalidConfig,
                format!("{}: {why}", path.display()),
            )
        };
        if bytes.len() > MOST_BYTES {
            return Err(invalid("it is larger than 1 MiB".into()).with_hint(RESTORE));
        }
        if seal::has_conflict_marks(bytes) {
            return Err(invalid(
                "it holds git's conflict marks: two branches changed it".into(),
            )
            .with_hint(
                "take one side, `git checkout --theirs .secrets/recipients.toml`, run `secrets trust`, and add whom the other had added: `secrets team add`",
            ));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| invalid("not UTF-8".into()))?;
        let team: Self = toml_edit::de::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start);
            let line = text[..at.min(text.len())].matches('\n').count() + 1;
            let why = e.message().lines().next().unwrap_or("broken");
            let shown: String = why.chars().filter(|c| !c.is_control()).take(200).collect();
            invalid(format!("line {line}: {shown}"))
        })?;
        if team.store.as_deref().is_some_and(|id| !hex::is_id(id)) {
            return Err(
                invalid("`store` is not the id that `secrets init` made".into()).with_hint(RESTORE),
            );
        }
        if team.members.len() > MOST {
            return Err(invalid(format!(
                "it lists {} people, and at most {MOST} can be",
                team.members.len()
            ))
            .with_hint(RESTORE));
        }
        for (index, member) in team.members.iter().enumerate() {
            member.check().map_err(|e| invalid(e.to_string()))?;
            if team.members[..index]
                .iter()
                .any(|other| other.name == member.name)
            {
                return Err(invalid(format!("{} is in it twice", member.name)));
            }
        }
        Ok(team)
    }

    /// The people of a store as they were confirmed.
    pub(crate) fn of(store: Option<String>, members: Vec<Member>) -> Self {
        Self { store, members }
    }

    /// The store's id; one that was made without has none.
    pub(crate) fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// The people, in the file's order.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The public keys that a document of this environment is sealed to.
    pub(crate) fn recipients(&self, environment: &str) -> Vec<String> {
        self.members
            .iter()
            .filter(|m| m.opens(environment))
            .map(|m| m.age.clone())
            .collect()
    }

    /// The digest of the people of one environment, in whatever order they stand.
    pub(crate) fn digest_for(&self, environment: &str) -> String {
        let mut lines: Vec<_> = self
            .members
            .iter()
            .filter(|m| m.opens(environment))
            .map(Member::line)
            .collect();
        lines.sort();
        hex::digest_parts(lines.iter().map(String::as_str))
    }

    /// The digest of the store's id and all of them, in the file's order.
    pub(crate) fn digest(&self) -> String {
        let lines: Vec<_> = self.members.iter().map(Member::line).collect();
        let store = self.store().unwrap_or_default();
        hex::digest_parts(std::iter::once(store).chain(lines.iter().map(String::as_str)))
    }

    /// The member who signs with this key for this environment.
    pub(crate) fn signer(&self, environment: &str, key: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.signs(environment, key))
    }
}

/// A person in the file, in the form new ones are written.
fn table(member: &Member) -> Table {
    let mut table = Table::new();
    table.insert("name", value(&member.name));
    table.insert("age", value(&member.age));
    if let Some(sign) = &member.sign {
        table.insert("sign", value(sign));
    }
    if member.recovery {
        table.insert("recovery", value(true));
    } else {
        table.insert(
            "environments",
            value(
                member
                    .environments
                    .iter()
                    .map(String::as_str)
                    .collect::<Array>(),
            ),
        );
    }
    table
}

const HEAD: &str = "\
# The people this store is sealed to: public keys only. Changed by `secrets team`; commit it.\n";

/// How the file of a new store begins.
fn head() -> Result<String> {
    Ok(format!("{HEAD}store = \"{}\"\n\n", hex::random_id()?))
}

/// Changes the file, leaving comments and order as they are; says what it now holds. The file must
/// still hold `before`, which was confirmed.
pub(crate) fn update(
    root: &Path,
    before: Option<&Team>,
    change: impl Fn(&mut Vec<Member>),
) -> Result<Team> {
    let path = path(root)?;
    let options = Options {
        mode_if_new: 0o644,
        create_parents: true,
        ..Options::default()
    };
    files::update(&path, &options, |now: Option<&Contents>| {
        let present = now.map(|now| Team::parse(&now.bytes, &path)).transpose()?;
        if present.as_ref() != before {
            return Err(Error::new(
                ErrorKind::Conflict,
                "recipients.toml was changed by someone else meanwhile",
            ));
        }
        let text = match now {
            Some(now) => String::from_utf8_lossy(&now.bytes).into_owned(),
            None => head()?,
        };
        let mut after = match present {
            Some(present) => present,
            None => Team::parse(text.as_bytes(), &path)?,
        };
        let old = after.members.clone();
        change(&mut after.members);
        for member in &after.members {
            member.check()?;
        }
        let mut document: DocumentMut = text
            .parse()
            .map_err(|_| Error::new(ErrorKind::InvalidConfig, "recipients.toml is not TOML"))?;
        let list = document
            .entry("recipient")
            .or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new()));
        let Some(list) = list.as_array_of_tables_mut() else {
            return Err(Error::new(
                ErrorKind::InvalidConfig,
                "recipients.toml has to hold [[recipient]] tables",
            ));
        };
        for index in (0..old.len()).rev() {
            match after.members.iter().find(|m| m.name == old[index].name) {
                None => {
                    list.remove(index);
                }
                Some(member) if *member != old[index] => {
                    if let Some(present) = list.get_mut(index) {
                        let prefix = present.decor().clone();
                        *present = table(member);
                        *present.decor_mut() = prefix;
                    }
                }
                Some(_) => {}
            }
        }
        for member in after
            .members
            .iter()
            .filter(|m| !old.iter().any(|o| o.name == m.name))
        {
            list.push(table(member));
        }
        Ok((
            Edit::Replace(Zeroizing::new(document.to_string().into_bytes())),
            after,
        ))
    })
}
