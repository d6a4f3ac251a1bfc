//! What one sealed file says, for whoever looks at it in source control: any version of it, whoever
//! signed it. Nothing of it may be used, only shown.

use secrets_api::{Error, ErrorKind, Meta, Name, Result, SecretValue, Timestamp, Version};

use crate::document::{Kept, State};
use crate::folder::Folder;
use crate::identity::Identity;
use crate::inside::is_plain;
use crate::open::{self, Trust};

/// Most characters shown of a text that anybody can have written.
const MOST: usize = 64;

/// What a document says of itself, and what is known of it. Its texts are fit for a terminal.
#[derive(Debug)]
pub struct Description {
    /// The environment it is for.
    pub environment: String,
    /// 1, and one more with each write.
    pub generation: u64,
    /// When it was written.
    pub written: Timestamp,
    /// Who wrote it, by its own word.
    pub author: String,
    /// Who signed it, as `recipients.toml` calls them: only if they are confirmed here.
    pub signer: Option<String>,
    /// Why it would not be believed: nobody known has signed it.
    pub doubt: Option<String>,
    /// Whom it says it is sealed to.
    pub people: People,
    /// The names, sorted.
    pub secrets: Vec<Described>,
}

/// Whom a document says it is sealed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum People {
    /// Those of `recipients.toml` as it is now, by name.
    Listed(Vec<String>),
    /// Others; the digest of their list.
    Others(String),
}

/// What a document holds under one name.
#[derive(Debug)]
pub struct Described {
    /// Which.
    pub name: Name,
    /// `None` if it is deleted.
    pub value: Option<SecretValue>,
    /// When, and by whom by its own word; its version.
    pub meta: Meta,
    /// How many states are kept of it, this one among them.
    pub states: usize,
}

impl Folder {
    /// What one sealed file says. Neither a signature nor a generation is asked for: it is to be shown,
    /// not used. Records nothing.
    ///
    /// # Errors
    /// `Unauthenticated` if it is not sealed to us; `InvalidData` for what is broken.
    pub fn describe(&self, bytes: &[u8]) -> Result<Description> {
        let pins = self.place.pins()?;
        let listed = self.team()?;
        let trust = Trust {
            pins: &pins,
            listed: &listed,
            resealing: None,
        };
        let found = open::read(bytes, &Identity::parse(&*(self.identity)()?)?)?;
        let doubt = found.unvouched(&trust);
        let (document, key) = found.into_parts();
        let people = if document.recipients == listed.digest_for(&document.environment) {
            let members = listed.members().iter();
            let members = members.filter(|member| member.opens(&document.environment));
            People::Listed(members.map(|member| plain(&member.name)).collect())
        } else {
            People::Others(plain(&document.recipients))
        };
        if !is_plain(&document.environment) {
            return Err(Error::new(
                ErrorKind::InvalidData,
                "the document is for what is no environment's name",
            ));
        }
        let signer = key.and_then(|key| listed.signer(&document.environment, &key));
        let signer = signer.map(|member| member.name.clone());
        let secrets = document.secrets.into_iter();
        let described = secrets.filter_map(|(name, states)| {
            let count = states.len();
            let state = states.into_iter().next()?;
            Some(Described {
                name: Name::new(&name).ok()?,
                meta: meta(&state),
                value: match state.value {
                    Kept::Value(value) => Some(value),
                    Kept::Deleted => None,
                },
                states: count,
            })
        });
        Ok(Description {
            secrets: described.collect(),
            environment: document.environment,
            generation: document.generation,
            written: document.written,
            author: plain(&document.author),
            signer: signer.filter(|_| doubt.is_none()),
            doubt,
            people,
        })
    }
}

fn meta(state: &State) -> Meta {
    Meta {
        version: Some(Version::new(plain(&state.id))),
        author: Some(plain(&state.by)),
        ..state.meta()
    }
}

/// A text that cannot move the cursor.
fn plain(text: &str) -> String {
    text.chars()
        .take(MOST)
        .flat_map(char::escape_debug)
        .collect()
}
