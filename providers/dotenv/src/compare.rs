//! One file, several readers: what each of them makes of every value, and the form in which all of
//! them would agree. Pure: bytes in, bytes out.

use std::collections::BTreeMap;

use secrets_api::{Error, Result, SecretValue, Zeroizing};

use crate::dialect::Reading;
use crate::document::{BOM, Document};
use crate::edit::{Cut, spliced};
use crate::grammar::Binding;
use crate::write;
use crate::{Dialect, LineCounter};

/// What the last lines of each name come to; `None` for a name without a value.
type Seen = BTreeMap<String, Option<Zeroizing<Vec<u8>>>>;

/// A name that not every reader reads alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The name; `None` where it may be a part of a value.
    pub name: Option<String>,
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
        match seen(read_by(reading, *reader), bytes) {
            Ok(seen) => others.push((*reader, seen)),
            Err(error) => found.refusals.push((*reader, error)),
        }
    }
    let mut last = BTreeMap::new();
    for (index, entry) in own.iter().enumerate() {
        last.insert(entry.name.as_ref(), index);
    }
    let mut lines = LineCounter::new(document.text.as_bytes());
    for (index, entry) in own.iter().enumerate() {
        let Some(value) = entry
            .value
            .as_ref()
            .filter(|_| last[entry.name.as_ref()] == index)
        else {
            continue;
        };
        let agrees = |reader: Dialect, seen: &Seen| {
            let other = seen.get(entry.name.as_ref());
            matches!(other, Some(Some(other)) if ***other == *value.expose())
                && hands_on(reader, value.expose())
        };
        let differing: Vec<_> = others
            .iter()
            .filter(|(reader, seen)| !agrees(*reader, seen))
            .map(|(r, _)| *r)
            .collect();
        if !differing.is_empty() {
            found.differences.push(Difference {
                name: entry.may_be_shown().then(|| entry.name.to_string()),
                line: lines.of(entry.at),
                readers: differing,
                derived: entry.derived,
            });
        }
    }
    Ok(found)
}

/// Whether a program that asks this reader for the value gets it as it was read: django-environ puts
/// another variable's in place of one that begins with a dollar sign (`Env.get_value`).
fn hands_on(reader: Dialect, value: &[u8]) -> bool {
    reader != Dialect::DjangoEnviron || !value.starts_with(b"$")
}

/// How a reader reads: the file's own as the file is read, the others as they do.
fn read_by(reading: Reading, reader: Dialect) -> Reading {
    if reader == reading.dialect {
        reading
    } else {
        Reading::from(reader)
    }
}

/// A file that its readers read alike, or more alike than before.
#[derive(Debug)]
pub struct Mended {
    /// The whole file.
    pub text: Zeroizing<Vec<u8>>,
    /// The lines that were rewritten, as they were numbered, from 1; none where only the byte order
    /// mark is gone.
    pub lines: Vec<usize>,
}

/// The file with every line rewritten that some reader reads otherwise, in a form all of them read
/// alike, where there is one; no other line is touched. `None` if nothing can be mended.
///
/// A line is rewritten whole: `NAME=value` without `export` or blanks, which some readers take for a
/// part of the name; a comment behind it, which some take for a part of the value, goes before it.
///
/// # Errors
/// What the file's own reader finds wrong with it.
pub fn agree(reading: Reading, readers: &[Dialect], bytes: &[u8]) -> Result<Option<Mended>> {
    let mut all: Vec<Reading> = readers.iter().map(|r| read_by(reading, *r)).collect();
    all.push(reading);
    let mut text = Zeroizing::new(bytes.to_vec());
    if text.starts_with(BOM.as_bytes()) && all.iter().any(|r| !r.dialect.rules().skips_bom) {
        text.drain(..BOM.len());
    }
    let before = seen(reading, &text)?;
    let document = Document::parse(reading, &text)?;
    let cuts = cuts(&document, &all)?;
    // All lines at once; if they stand in each other's way, each by itself, as far as that goes.
    let whole = spliced(&document.text, &cuts, &[], "");
    let kept = if seen(reading, &whole)? == before {
        cuts
    } else {
        let mut kept = Vec::new();
        for cut in cuts.into_iter().take(ONE_BY_ONE) {
            kept.push(cut);
            if seen(reading, &spliced(&document.text, &kept, &[], ""))
                .ok()
                .as_ref()
                != Some(&before)
            {
                kept.pop();
            }
        }
        kept
    };
    let mut counter = LineCounter::new(document.text.as_bytes());
    let lines = kept
        .iter()
        .map(|(span, _)| counter.of(u32::try_from(span.start).unwrap_or(u32::MAX)))
        .collect();
    let text = spliced(&document.text, &kept, &[], "");
    Ok((*text != *bytes).then_some(Mended { text, lines }))
}

/// At most as many lines are tried by themselves: each takes a reading of the file.
const ONE_BY_ONE: usize = 200;

/// The lines that some reader reads otherwise, with what they become, in the text's order.
fn cuts(document: &Document<'_>, readers: &[Reading]) -> Result<Vec<Cut>> {
    let mut values = BTreeMap::new();
    for entry in document.resolve(&[])? {
        let value = entry.value.filter(|_| !entry.derived);
        values.insert(entry.name, value.map(crate::Value::into_secret));
    }
    let mut cuts = Vec::new();
    for binding in document.bindings.iter().rev() {
        // Of several lines for one name the last counts.
        let value = document
            .key(binding)
            .and_then(|key| values.remove_entry(&key));
        if let Some((name, Some(value))) = value
            && let Some(new) = rewritten(document, readers, binding, &name, &value)
        {
            cuts.push((binding.line.clone(), new));
        }
    }
    cuts.reverse();
    Ok(cuts)
}

/// The line of one item as all readers would read it alike; `None` if they do, or cannot.
fn rewritten(
    document: &Document<'_>,
    readers: &[Reading],
    binding: &Binding,
    name: &str,
    value: &SecretValue,
) -> Option<Zeroizing<String>> {
    let plain = write::text_of(value)?;
    let line = &document.text[binding.line.clone()];
    let reads = |line: &str| {
        readers.iter().all(|reader| {
            seen(*reader, line.as_bytes()).is_ok_and(|seen| {
                seen.len() == 1
                    && hands_on(reader.dialect, value.expose())
                    && matches!(seen.get(name), Some(Some(v)) if ***v == *value.expose())
            })
        })
    };
    if reads(line) {
        return None;
    }
    let dialects: Vec<Dialect> = readers.iter().map(|r| r.dialect).collect();
    let token = write::agreed(&dialects, plain, value)?;
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
    reads(&new).then_some(new)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use Dialect::{Compose, Decouple, Docker, Node, PythonDotenv, Systemd};

    fn differing(readers: &[Dialect], text: &str) -> Vec<(String, Vec<Dialect>)> {
        let found = compare(PythonDotenv.into(), readers, text.as_bytes()).unwrap();
        found
            .differences
            .into_iter()
            .map(|d| (d.name.unwrap(), d.readers))
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
            let text = mended.map(|m| String::from_utf8(m.text.to_vec()).unwrap());
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
