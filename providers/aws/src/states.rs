//! How the versions we make are named, and which versions of a secret were ever the present one.
//! Pure.
//!
//! A version's id is ours to choose (the ClientRequestToken becomes the VersionId). It is made of two
//! parts: the first names the operation, so that a repetition finds what it did before; the second
//! names the version it was put on top of. By the second the states of a secret form a chain from the
//! present one back. A version that lost its race was put on top of one that another version
//! succeeded: it stands beside the chain, and is never told as a state, although the service
//! keeps it among the others.

use std::collections::HashSet;
use std::fmt::Write as _;

use secrets_api::{OperationId, Timestamp};
use sha2::{Digest as _, Sha256};

/// The stage of the present version.
pub(crate) const CURRENT: &str = "AWSCURRENT";
/// The stage the service gives to the version that was present before.
pub(crate) const PREVIOUS: &str = "AWSPREVIOUS";
/// The stage of a rotation function's candidate: never ours to touch.
const PENDING: &str = "AWSPENDING";
/// How the stages begin under which our versions wait.
const STAGE: &str = "secrets-";
/// How the stages begin that remember a deletion or restore.
const MARK: &str = "secrets-done-";
/// How the id of a version ends that stands for an empty value.
const EMPTY: &str = "-e";

/// Hexadecimal digits of an operation's name.
const HEAD: usize = 32;
/// Hexadecimal digits of the name of what was there before.
const TAG: usize = 16;

/// One change about to be made: names its version and its stage.
#[derive(Debug)]
pub(crate) struct Draft {
    head: String,
}

impl Draft {
    /// `parts` say what the operation does: one operation may be sent in parts, and each has a draft
    /// of its own.
    pub(crate) fn new<'a>(
        operation: &OperationId,
        parts: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let mut digest = Sha256::new();
        digest.update(b"secrets aws draft 1");
        digest.update(operation.as_bytes());
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part.as_bytes());
        }
        Self {
            head: hex(&digest.finalize(), HEAD),
        }
    }

    /// The version's id, put on top of `base` (`None`: where nothing was). 49 or 51 characters; a
    /// ClientRequestToken has 32 to 64.
    pub(crate) fn id(&self, base: Option<&str>, empty: bool) -> String {
        let end = if empty { EMPTY } else { "" };
        format!("{}-{}{end}", self.head, tag(base))
    }

    /// The private stage it waits under.
    pub(crate) fn stage(&self) -> String {
        format!("{STAGE}{}", self.head)
    }

    /// The stage that remembers it where it made no version.
    pub(crate) fn mark(&self) -> String {
        format!("{MARK}{}", self.head)
    }

    /// Whether it made this version.
    pub(crate) fn made(&self, id: &str) -> bool {
        base_tag(id).is_some() && id.starts_with(&self.head)
    }
}

/// Whether this version of ours stands for an empty value: the service holds none.
pub(crate) fn stands_for_empty(id: &str) -> bool {
    base_tag(id).is_some() && id.ends_with(EMPTY)
}

/// Whether it is the stage of a version of ours that waits.
pub(crate) fn is_private(stage: &str) -> bool {
    stage.starts_with(STAGE) && !is_mark(stage)
}

/// Whether it is a stage that remembers a deletion or restore.
pub(crate) fn is_mark(stage: &str) -> bool {
    stage.starts_with(MARK)
}

fn hex(bytes: &[u8], digits: usize) -> String {
    let mut text = String::with_capacity(digits);
    for byte in &bytes[..digits / 2] {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// What names `base` in the ids of the versions put on top of it.
fn tag(base: Option<&str>) -> String {
    let mut digest = Sha256::new();
    digest.update(b"secrets aws base 1");
    digest.update([u8::from(base.is_some())]);
    digest.update(base.unwrap_or_default().as_bytes());
    hex(&digest.finalize(), TAG)
}

/// The second part of an id of ours.
fn base_tag(id: &str) -> Option<&str> {
    let id = id.strip_suffix(EMPTY).unwrap_or(id);
    let (head, tag) = id.split_once('-')?;
    let digits = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (head.len() == HEAD && tag.len() == TAG && digits(head) && digits(tag)).then_some(tag)
}

/// One version as the service lists it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) stages: Vec<String>,
    pub(crate) created: Option<Timestamp>,
}

impl Entry {
    fn has(&self, stage: &str) -> bool {
        self.stages.iter().any(|s| s == stage)
    }

    fn is_in_use(&self) -> bool {
        self.has(CURRENT) || self.has(PREVIOUS)
    }

    /// Whether it only waits to become the present one.
    fn waits(&self) -> bool {
        !self.is_in_use() && self.stages.iter().any(|s| s == PENDING || is_private(s))
    }
}

/// The versions that were ever the present one, newest first, out of all there are (in the service's
/// order, oldest first where it tells no times).
pub(crate) fn states(all: &[Entry]) -> Vec<&Entry> {
    let mut left: Vec<&Entry> = all.iter().rev().filter(|entry| !entry.waits()).collect();
    left.sort_by_key(|entry| std::cmp::Reverse(entry.created));
    let mut states: Vec<&Entry> = Vec::with_capacity(left.len());
    let mut succeeded: HashSet<&str> = HashSet::new();
    let mut next = left.iter().position(|entry| entry.has(CURRENT));
    while let Some(at) = next {
        let entry = left.remove(at);
        states.push(entry);
        let tag_before = base_tag(&entry.id);
        succeeded.extend(tag_before);
        let before = tag_before
            .and_then(|wanted| left.iter().position(|other| tag(Some(&other.id)) == wanted));
        // Where the chain ends (another tool's version tells nothing of what was before it) it goes on
        // with the newest that did not lose a race.
        next = before
            .or_else(|| left.iter().position(|other| other.has(PREVIOUS)))
            .or_else(|| {
                left.iter().position(|other| {
                    base_tag(&other.id).is_none_or(|tag| !succeeded.contains(tag))
                })
            });
    }
    states
}

/// The version an operation made, if it was ever the present one.
pub(crate) fn done<'a>(draft: &Draft, all: &'a [Entry]) -> Option<&'a Entry> {
    states(all).into_iter().find(|entry| draft.made(&entry.id))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn draft(n: u8) -> Draft {
        Draft::new(&OperationId::from_bytes([n; 16]), ["A"])
    }

    fn entry(id: &str, stages: &[&str]) -> Entry {
        Entry {
            id: id.to_owned(),
            stages: stages.iter().map(|s| (*s).to_owned()).collect(),
            created: None,
        }
    }

    fn ids(all: &[Entry]) -> Vec<&str> {
        states(all).into_iter().map(|e| e.id.as_str()).collect()
    }

    #[test]
    fn an_id_tells_its_operation_and_what_was_before_it() {
        let id = draft(1).id(Some("before"), false);
        assert_eq!(id.len(), 49);
        assert!(draft(1).made(&id) && !draft(2).made(&id));
        assert_ne!(id, draft(1).id(None, false));
        assert!(stands_for_empty(&draft(1).id(None, true)) && !stands_for_empty(&id));
        for foreign in [
            "",
            "x-e",
            "b0f8c0de-0000-4000-8000-000000000000",
            &"a".repeat(51),
        ] {
            assert!(!draft(1).made(foreign) && !stands_for_empty(foreign));
        }
        let parts = |parts: &[&'static str]| {
            Draft::new(&OperationId::from_bytes([1; 16]), parts.iter().copied()).stage()
        };
        assert_ne!(parts(&["ab", "c"]), parts(&["a", "bc"]));
    }

    #[test]
    fn the_states_are_the_chain_from_the_present_one_without_what_lost_its_race() {
        let first = draft(1).id(None, false);
        let second = draft(2).id(Some(&first), false);
        let lost = draft(3).id(Some(&first), false);
        let third = draft(4).id(Some(&second), false);
        let waits = draft(5).id(Some(&third), false);
        let all = [
            entry(&first, &[]),
            entry(&lost, &[]),
            entry(&second, &[PREVIOUS]),
            entry(&third, &[CURRENT]),
            entry(&waits, &["secrets-x"]),
            entry("rotating", &["AWSPENDING"]),
        ];
        assert_eq!(ids(&all), [&third, &second, &first]);
        assert!(done(&draft(1), &all).is_some() && done(&draft(2), &all).is_some());
        assert!(done(&draft(3), &all).is_none() && done(&draft(5), &all).is_none());
    }

    #[test]
    fn another_tools_versions_are_states_too() {
        let ours = draft(1).id(None, false);
        let lost = draft(2).id(Some("console"), false);
        let won = draft(3).id(Some("console"), false);
        let all = [
            entry(&ours, &[]),
            entry("console", &[]),
            entry(&lost, &[]),
            entry(&won, &[PREVIOUS]),
            entry("terraform", &[CURRENT]),
        ];
        assert_eq!(ids(&all), ["terraform", &won, "console", &ours]);
        assert!(ids(&[entry("x", &[])]).is_empty());
    }
}
