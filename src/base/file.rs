//! The file of what is remembered: JSON, sealed. Read with no trust in it: what does not fit is no base.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets_api::{Error, ErrorKind, Name, Result, Timestamp, Version};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use subtle::ConstantTimeEq as _;

use super::{Keys, Lost, Pair, Remembered};
use crate::plan::{Agreed, Base, Fingerprint, Intent, Memory, Side, Sides};

/// The format; a greater number is a newer program's. There never was a 3: one bit turns it into 2.
const FORMAT: u32 = 4;
/// The oldest format that is understood: it notes no layers, and the next no owners.
const OLDEST: u32 = 1;

/// What stands around the rest: enough to know whether it can be read.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    format: u32,
    key: String,
    seal: String,
    #[serde(borrow)]
    base: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    project: String,
    environment: String,
    stores: [String; 2],
    saved: Timestamp,
    /// Whose each layer is, of both in the order of `stores`.
    #[serde(default, skip_serializing_if = "no_owners")]
    owners: [BTreeMap<usize, String>; 2],
    names: BTreeMap<String, Entry>,
}

/// One name; both sides in the order of `stores`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    #[serde(default, skip_serializing_if = "is_empty")]
    versions: [Option<String>; 2],
    /// The layers that supply it.
    #[serde(default, skip_serializing_if = "is_empty")]
    layers: [Option<usize>; 2],
    #[serde(default, skip_serializing_if = "Option::is_none")]
    /// A write under way: to which of `stores`.
    writing: Option<usize>,
}

fn is_empty<T>(sides: &[Option<T>; 2]) -> bool {
    sides.iter().all(Option::is_none)
}

fn no_owners(sides: &[BTreeMap<usize, String>; 2]) -> bool {
    sides.iter().all(BTreeMap::is_empty)
}

fn encode(fingerprint: Fingerprint) -> String {
    STANDARD.encode(fingerprint.as_bytes())
}

fn decode(text: &str) -> Option<Fingerprint> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(Fingerprint::from_bytes(bytes))
}

/// Understands a file.
///
/// # Errors
/// Why it is no base of this pair.
pub(super) fn parse(
    bytes: &[u8],
    pair: &Pair,
    keys: &Keys,
) -> std::result::Result<(Remembered, Timestamp), Lost> {
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let Format { format } = serde_json::from_slice(bytes).map_err(|_| Lost::Broken)?;
    match format {
        OLDEST..=2 | FORMAT => {}
        newer if newer > FORMAT => return Err(Lost::Newer),
        _ => return Err(Lost::Broken),
    }
    let sealed: Sealed<'_> = serde_json::from_slice(bytes).map_err(|_| Lost::Broken)?;
    if sealed.key != STANDARD.encode(keys.mark()) {
        return Err(Lost::OtherKey);
    }
    let text = sealed.base.get();
    let seal = STANDARD.decode(&sealed.seal).map_err(|_| Lost::Broken)?;
    if !bool::from(seal.ct_eq(&keys.seal(text.as_bytes()))) {
        return Err(Lost::Broken);
    }
    let content: Content = serde_json::from_str(text).map_err(|_| Lost::Broken)?;
    let stores = pair.in_order();
    if content.project != pair.project
        || content.environment != pair.environment
        || content.stores != [stores.left, stores.right]
    {
        return Err(Lost::OtherPair);
    }
    let entries = content.names.into_iter();
    let base: Option<Base> = entries
        .map(|(name, entry)| Some((Name::new(&name).ok()?, entry.memory(pair.is_swapped())?)))
        .collect();
    let remembered = Remembered {
        base: base.ok_or(Lost::Broken)?,
        owners: sides(content.owners, pair.is_swapped()),
    };
    Ok((remembered, content.saved))
}

/// The file's text.
///
/// # Errors
/// None that can be caused from outside.
pub(super) fn write(
    remembered: &Remembered,
    pair: &Pair,
    keys: &Keys,
    saved: Timestamp,
) -> Result<Vec<u8>> {
    let stores = pair.in_order();
    let swapped = pair.is_swapped();
    let owners = remembered.owners.clone();
    let owners = if swapped { owners.swapped() } else { owners };
    let content = Content {
        project: pair.project.clone(),
        environment: pair.environment.clone(),
        stores: [stores.left, stores.right],
        saved,
        owners: [owners.left, owners.right],
        names: remembered
            .base
            .iter()
            .map(|(name, memory)| (name.to_string(), Entry::new(memory, swapped)))
            .collect(),
    };
    let failed =
        |e| Error::new(ErrorKind::Unexpected, "the sync's state cannot be written").with_source(e);
    let text = serde_json::to_string(&content).map_err(failed)?;
    let seal = STANDARD.encode(keys.seal(text.as_bytes()));
    let raw = RawValue::from_string(text).map_err(failed)?;
    let sealed = Sealed {
        format: FORMAT,
        key: STANDARD.encode(keys.mark()),
        seal,
        base: &raw,
    };
    serde_json::to_vec(&sealed).map_err(failed)
}

/// A side's place in the file.
fn index(side: Side, swapped: bool) -> usize {
    usize::from((side == Side::Right) != swapped)
}

/// The two of a file as they are named.
fn sides<T>([left, right]: [T; 2], swapped: bool) -> Sides<T> {
    let sides = Sides { left, right };
    if swapped { sides.swapped() } else { sides }
}

impl Entry {
    fn new(memory: &Memory, swapped: bool) -> Self {
        let agreed = |n: usize| {
            let side = Side::BOTH.into_iter().find(|s| index(*s, swapped) == n)?;
            Some((memory.agreed.as_ref()?, side))
        };
        let version = |n: usize| {
            let (agreed, side) = agreed(n)?;
            let version = agreed.versions.of(side).as_ref()?;
            Some(version.as_str().to_owned())
        };
        let layer = |n: usize| agreed(n).and_then(|(agreed, side)| *agreed.layers.of(side));
        Self {
            fingerprint: memory.agreed.as_ref().map(|a| encode(a.fingerprint)),
            versions: [version(0), version(1)],
            layers: [layer(0), layer(1)],
            writing: memory.intent.map(|intent| index(intent.to, swapped)),
        }
    }

    fn memory(self, swapped: bool) -> Option<Memory> {
        let agreed = match self.fingerprint {
            None => None,
            Some(text) => Some(Agreed {
                fingerprint: decode(&text)?,
                versions: sides(self.versions.map(|v| v.map(Version::new)), swapped),
                layers: sides(self.layers, swapped),
            }),
        };
        let intent = match self.writing {
            None => None,
            Some(to) => Some(Intent {
                to: Side::BOTH.into_iter().find(|s| index(*s, swapped) == to)?,
            }),
        };
        Some(Memory { agreed, intent })
    }
}
