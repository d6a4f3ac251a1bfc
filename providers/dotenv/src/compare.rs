//! One file, several readers: what each of them makes of every value, and the form in which all of
//! them would agree. Pure: bytes in, bytes out.

use std::collections::{BTreeMap, BTreeSet};

use secrets_api::{Error, Result, SecretValue, Zeroizing};

use crate::Dialect;
use crate::dialect::Reading;
use crate::document::{BOM, Document};
use crate::grammar::Binding;
use crate::write;

/// What the last lines of each name come to; `None` for a name without a value.
type Seen = BTreeMap<String, Option<Zeroizing<Vec<u8>>>>;

/// A name that not every reader reads alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The name.
    pub name: String,
    /// The line its value is in, from 1.
    pub line: usize,
    /// Who reads something else, or nothing.
    pub readers: Vec<Dialect>,
    /// Whether the value is put together from others: such a line is never rewritten.
    pub derived: bool,
}

/// What came of reading one file as several readers do.
#[derive(Debug, Default)]
pub struct Comparison {
    /// The names that are read otherwise by some, in the file's order.
    pub differences: Vec<Difference>,
    /// Readers that give the whole file up, and why.
    pub refusals: Vec<(Dialect, Error)>,
}

impl Comparison {
    /// Whether all agree.
    pub fn is_agreement(&self) -> bool {
        self.differences.is_empty() && self.refusals.is_empty()
    }
}

fn seen(reading: Reading, bytes: &[u8]) -> Result<Seen> {
    let document = Document::parse_leniently(reading, bytes)?;
    let entries = document.resolve(&[])?;
    Ok(entries
        .into_iter()
        .map(|entry| {
            let value = entry.value.map(|v| Zeroizing::new(v.expose().to_vec()));
            (entry.name.into_owned(), value)
        })
        .collect())
}

/// Reads the file as its own reader does, and compares.
///
/// # Errors
/// What its own reader finds wrong with it.
pub fn compare(reading: Reading, readers: &[Dialect], bytes: &[u8]) -> Result<Comparison> {
    let document = Document::parse(reading, bytes)?;
    let own = document.resolve(&[])?;
    let mut found = Comparison::default();
    let mut others = Vec::new();
    for reader in readers {
        match seen(Reading::from(*reader), bytes) {
            Ok(seen) => others.push((*reader, seen)),
            Err(error) => found.refusals.push((*reader, error)),
        }
    }
    let mut told = BTreeSet::new();
    for entry in own.iter().rev() {
        let Some(value) = &entry.value else { continue };
        if !told.insert(entry.name.as_ref()) {
            continue;
        }
        let agrees = |seen: &Seen| {
            let other = seen.get(entry.name.as_ref());
            matches!(other, Some(Some(other)) if ***other == *value.expose())
        };
        let differing: Vec<_> = others
            .iter()
            .filter(|(_, seen)| !agrees(seen))
            .map(|(r, _)| *r)
            .collect();
        if !differing.is_empty() {
            found.differences.push(Difference {
                name: entry.name.to_string(),
                line: entry.line(document.text.as_bytes()),
                readers: differing,
                derived: entry.derived,
            });
        }
    }
    found.differences.reverse();
    Ok(found)
}

/// The file with every line rewritten that some reader reads otherwise, in a form all of them read
/// alike, where there is one; no other line is touched. `None` if nothing can be mended.
///
/// A line is rewritten whole: `NAME=value` without `export` or blanks, which some readers take for a
/// part of the name; a comment behind it, which some take for a part of the value, goes before it.
///
/// # Errors
/// What the file's own reader finds wrong with it.
pub fn agree(
    reading: Reading,
    readers: &[Dialect],
    bytes: &[u8],
) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let mut all = readers.to_vec();
    all.push(reading.dialect);
    let mut text = Zeroizing::new(bytes.to_vec());
    if text.starts_with(BOM.as_bytes()) && all.iter().any(|r| !r.rules().skips_bom) {
        text.drain(..BOM.len());
    }
    // One line at a time: what is mended stays so, what cannot be is left.
    let document = Document::parse(reading, &text)?;
    let names: BTreeSet<String> = document
        .resolve(&[])?
        .into_iter()
        .filter(|entry| entry.value.is_some() && !entry.derived)
        .map(|entry| entry.name.into_owned())
        .collect();
    drop(document);
    for name in &names {
        if let Some(mended) = mended(reading, &all, &text, name)? {
            text = mended;
        }
    }
    Ok((*text != *bytes).then_some(text))
}

/// The text with the last line of `name` rewritten, if that makes more readers agree on it and leaves
/// its own reader with the same items.
fn mended(
    reading: Reading,
    readers: &[Dialect],
    bytes: &[u8],
    name: &str,
) -> Result<Option<Zeroizing<Vec<u8>>>> {
    let document = Document::parse(reading, bytes)?;
    let entries = document.resolve(&[])?;
    let last = entries.iter().rfind(|entry| entry.name == name);
    let Some(value) = last.and_then(|entry| entry.value.as_ref()) else {
        return Ok(None);
    };
    let value = SecretValue::from_slice(value.expose());
    let is_named = |b: &&Binding| document.key(b).is_some_and(|key| key == name);
    let (Some(binding), Some(plain)) = (
        document.bindings.iter().rfind(is_named),
        write::text_of(&value),
    ) else {
        return Ok(None);
    };
    let line = &document.text[binding.line.clone()];
    let reads = |line: &str| {
        readers.iter().all(|reader| {
            seen(Reading::from(*reader), line.as_bytes()).is_ok_and(|seen| {
                seen.len() == 1
                    && matches!(seen.get(name), Some(Some(v)) if ***v == *value.expose())
            })
        })
    };
    if reads(line) {
        return Ok(None);
    }
    let Some(token) = write::agreed(readers, plain, &value) else {
        return Ok(None);
    };
    let end = if line.ends_with("\r\n") {
        "\r\n"
    } else if line.ends_with('\n') {
        "\n"
    } else {
        ""
    };
    let comment = binding
        .value
        .as_ref()
        .map(|span| document.text[span.end.min(binding.line.end)..binding.line.end].trim())
        .filter(|rest| rest.starts_with('#'));
    let mut new = Zeroizing::new(String::with_capacity(line.len() * 2 + token.len()));
    if let Some(comment) = comment {
        new.push_str(comment);
        new.push_str(if end.is_empty() { "\n" } else { end });
    }
    for part in [name, "=", &token, end] {
        new.push_str(part);
    }
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() + new.len()));
    text.extend_from_slice(document.text[..binding.line.start].as_bytes());
    text.extend_from_slice(new.as_bytes());
    text.extend_from_slice(document.text[binding.line.end..].as_bytes());
    let same = reads(&new) && seen(reading, &text)? == seen(reading, bytes)?;
    Ok(same.then_some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Dialect::{Compose, Decouple, Docker, Node, PythonDotenv, Systemd};

    fn differing(readers: &[Dialect], text: &str) -> Vec<(String, Vec<Dialect>)> {
        let found = compare(PythonDotenv.into(), readers, text.as_bytes()).unwrap();
        found
            .differences
            .into_iter()
            .map(|d| (d.name, d.readers))
            .collect()
    }

    #[test]
    fn each_value_names_who_reads_something_else() {
        let text = "A=plain\nB=x#y\nexport C=1\nD='q'\n";
        assert_eq!(
            differing(&[Node, Systemd, Docker, PythonDotenv], text),
            [
                ("B".to_owned(), vec![Node]),
                ("C".to_owned(), vec![Systemd]),
                ("D".to_owned(), vec![]),
            ]
            .into_iter()
            .filter(|(_, readers)| !readers.is_empty())
            .collect::<Vec<_>>()
        );
        // docker gives up over `export`, so nothing is said of single names there.
        let found = compare(PythonDotenv.into(), &[Docker], text.as_bytes()).unwrap();
        assert_eq!(found.refusals[0].0, Docker);
        assert!(
            compare(PythonDotenv.into(), &[Node], b"A=1\n")
                .unwrap()
                .is_agreement()
        );
    }

    #[test]
    fn what_can_be_agreed_on_is_rewritten_and_nothing_else() {
        for (readers, before, after) in [
            (
                &[Node, Systemd][..],
                "A=1 # why\r\nB=x#y\r\n",
                Some("# why\r\nA=1\r\nB='x#y'\r\n"),
            ),
            (
                &[Systemd, Decouple],
                "  export A = \"x\"\n# c\nB=2\n",
                Some("A=x\n# c\nB=2\n"),
            ),
            (&[Node], "A=1\n# c\nB='x'\n", None),
            (&[Systemd], "\u{feff}A=1\n", Some("A=1\n")),
            // Interpolation is a matter of the readers: such a line is left.
            (&[Node], "A=1\nU=x${A}\n", None),
            // No form is read alike by these.
            (&[Docker], "A='two\nlines'\n", None),
        ] {
            let mended = agree(PythonDotenv.into(), readers, before.as_bytes()).unwrap();
            let text = mended.map(|m| String::from_utf8(m.to_vec()).unwrap());
            assert_eq!(text.as_deref(), after, "{before:?}");
            if let Some(after) = after {
                assert!(
                    compare(PythonDotenv.into(), readers, after.as_bytes())
                        .unwrap()
                        .is_agreement()
                );
            }
        }
        assert!(differing(&[Compose], "A='$x'\n").is_empty());
    }
}
