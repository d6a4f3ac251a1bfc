//! Which values are held, and that all others are refused before anything happens.

use secrets_api::{Change, ErrorKind, Name, Op, Precondition, SecretValue, Select, Unit, Values};

use crate::stage::{Handle, Outcome, Stage, became, ensure, is, name, value};

/// A value by what is odd about it.
type Sample = (&'static str, Vec<u8>);

/// Texts that some reader, shell or serialiser is known to misread.
fn texts() -> Vec<Sample> {
    let long_line = format!("{} end", "word ".repeat(200));
    [
        ("one letter", "x"),
        ("a space", " "),
        ("spaces around", "  x  "),
        ("a tab", "\t"),
        ("tabs around", "\tx\t"),
        ("a line feed", "\n"),
        ("lines", "one\ntwo\n\nfour"),
        ("a final line feed", "x\n"),
        ("a first line feed", "\nx"),
        ("CRLF", "one\r\ntwo\r\n"),
        ("a lone CR", "one\rtwo\r"),
        ("double quotes", "\"x\" \"\""),
        ("a double quote", "\""),
        ("single quotes", "'x' ''"),
        ("a single quote", "'"),
        ("all quotes", "'\"`"),
        ("a triple quote", "\"\"\"x\"\"\""),
        ("a backslash", "\\"),
        ("a final backslash", "x\\"),
        ("escapes", "\\n\\t\\\\ \\\" \\' \\x41 \\u0041 \\$"),
        ("a dollar", "$"),
        ("a variable", "$HOME ${HOME} ${HOME:-x} $$ $(id) `id`"),
        ("a final dollar", "x$"),
        ("a comment", "#x"),
        ("a comment after a space", "x # y"),
        ("an assignment", "A=b"),
        ("equal signs", "==x=="),
        (
            "a line that sets another name",
            "x\nINJECTED=1\nexport INJECTED=2",
        ),
        ("shell signs", "a;b|c&d<e>f(g)h[i]j{k}l*m?n!o~p^q%r@s"),
        ("percent signs", "%s %d %41 %%"),
        ("a JSON text", "{\"a\": [1, null, \"\\u0000\"]}"),
        ("a number", "00123.50"),
        ("a word of YAML", "no"),
        ("null", "null"),
        ("base64", "AAECAw=="),
        (
            "a key",
            "-----BEGIN PRIVATE KEY-----\nMIIE/+==\n-----END PRIVATE KEY-----\n",
        ),
        ("a URL", "postgres://u:p%40@h:5432/d?sslmode=require&x=#f"),
        ("umlauts", "äöü ß é"),
        ("a decomposed letter", "e\u{301}"),
        ("other scripts", "日本語 العربية עברית"),
        ("an emoji", "👩‍👩‍👧 \u{1f600}"),
        ("a byte order mark", "\u{feff}x"),
        (
            "no-break and line separators",
            "\u{a0}\u{2028}\u{2029}\u{85}",
        ),
        (
            "control characters",
            "\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}[31m\u{7f}",
        ),
        ("the last code point", "\u{10ffff}\u{fffd}\u{fffe}"),
        ("a long line", &long_line),
    ]
    .into_iter()
    .map(|(label, text)| (label, text.as_bytes().to_vec()))
    .collect()
}

fn with_nul() -> Vec<Sample> {
    vec![
        ("a NUL", b"\0".to_vec()),
        ("a NUL within", b"a\0b".to_vec()),
        ("a final NUL", b"a\0".to_vec()),
    ]
}

fn no_text() -> Vec<Sample> {
    vec![
        ("a byte that is no UTF-8", b"\xff".to_vec()),
        ("a UTF-8 text cut off", b"a\xe2\x82".to_vec()),
        ("an encoded surrogate", b"\xed\xa0\x80".to_vec()),
        ("Latin-1", b"gr\xfc\xdfe".to_vec()),
        ("every byte", (0..=255).collect()),
    ]
}

/// All samples, each also next to the planted text, so that a leak of it is found.
fn samples() -> Vec<Sample> {
    let mut all = texts();
    all.extend(with_nul());
    all.extend(no_text());
    let planted: Vec<Sample> = all
        .iter()
        .map(|(label, bytes)| (*label, [&value("v")[..], bytes].concat()))
        .collect();
    all.extend(planted);
    all
}

pub(super) fn every_value_declared_comes_back_as_it_was(stage: &Stage<'_>) -> Outcome {
    let held: Vec<(Name, Sample)> = samples()
        .into_iter()
        .filter(|(_, bytes)| stage.can.values.holds(bytes) && !stage.refuses(bytes))
        .enumerate()
        .map(|(n, sample)| (name(&format!("V{n}")), sample))
        .collect();
    let all_back = |reader: &Handle, how: &str| -> Outcome {
        let names: Vec<Name> = held.iter().map(|(name, _)| name.clone()).collect();
        let items = reader.read(Select::Names(&names))?.items;
        for ((_, (label, bytes)), (_, lookup)) in held.iter().zip(items) {
            let stored = lookup?.into_found();
            ensure!(
                stored.is_some_and(|stored| stored.value.expose() == bytes),
                "{label}, {how}, does not come back as it was"
            );
        }
        Ok(())
    };
    let early = stage.open();
    early.read(Select::All)?;
    for (name, (label, bytes)) in &held {
        let planted = stage.plant(&[(name.as_str(), bytes.as_slice())]);
        planted.map_err(|why| why.about(label))?;
    }
    all_back(&stage.open(), "written by itself")?;
    if !stage.can.writable {
        return Ok(());
    }
    all_back(&early, "read through a handle opened before")?;

    let stage = stage.another();
    let values: Vec<_> = held
        .iter()
        .map(|(_, (_, bytes))| SecretValue::from_slice(bytes))
        .collect();
    let changes: Vec<_> = held
        .iter()
        .zip(&values)
        .map(|((name, _), value)| Change {
            name,
            op: Op::Put(value),
            when: Precondition::Unguarded,
        })
        .collect();
    for item in stage.open().write(None, &changes)?.items {
        item?;
    }
    all_back(&stage.open(), "written in one batch")
}

pub(super) fn an_empty_value_is_a_value(stage: &Stage<'_>) -> Outcome {
    let empty = name("EMPTY");
    if stage.refuses(b"") {
        let store = stage.open();
        let answer = store.put(&empty, b"");
        ensure!(
            is(&answer, ErrorKind::Unsupported),
            "an empty value where none is held: {}",
            became(&answer)
        );
        ensure!(store.lacks(&empty)?, "it was refused and written");
        return Ok(());
    }
    stage.plant(&[("EMPTY", b""), ("FULL", &value("full"))])?;
    let store = stage.open();
    ensure!(store.holds(&empty, b"")?, "it is not found");
    let listed = store.list()?.iter().any(|(name, _)| *name == empty);
    ensure!(listed, "it is not listed");
    let items = store.read(Select::All)?.items;
    ensure!(items.len() == 2, "it is not among all");
    if stage.can.writable {
        store.put(&empty, &value("no longer"))?;
        store.put(&empty, b"")?;
        ensure!(stage.open().holds(&empty, b"")?, "a value is not emptied");
    }
    Ok(())
}

pub(super) fn a_value_of_64_kib_is_held_or_refused(stage: &Stage<'_>) -> Outcome {
    let big = name("BIG");
    let mut bytes = value("big");
    bytes.resize(64 * 1024, b'z');
    let store = stage.open();
    let answer = store.put(&big, &bytes);
    if stage
        .can
        .limits
        .value_bytes
        .is_some_and(|most| most < bytes.len())
    {
        ensure!(
            is(&answer, ErrorKind::Unsupported),
            "over the limit: {}",
            became(&answer)
        );
        ensure!(stage.open().lacks(&big)?, "it was refused and written");
        return Ok(());
    }
    answer?;
    ensure!(stage.open().holds(&big, &bytes)?, "it does not come back");
    Ok(())
}

/// Samples this store must refuse.
fn refused(stage: &Stage<'_>) -> Vec<Sample> {
    let mut refused: Vec<Sample> = samples()
        .into_iter()
        .filter(|(_, bytes)| !stage.can.values.holds(bytes) || stage.refuses(bytes))
        .collect();
    if let Some(most) = limit(stage) {
        let mut bytes = value("over");
        bytes.resize(most + 1, b'z');
        refused.push(("a value over the limit", bytes));
    }
    refused
}

/// The declared limit, where trying it out is not too costly.
fn limit(stage: &Stage<'_>) -> Option<usize> {
    stage
        .can
        .limits
        .value_bytes
        .filter(|most| *most <= 4 * 1024 * 1024)
}

pub(super) fn a_value_beyond_the_declared_kind_is_refused(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    store.put(&a, &value("before"))?;
    for (label, bytes) in refused(stage) {
        let answer = store.put(&a, &bytes);
        ensure!(
            is(&answer, ErrorKind::Unsupported),
            "{label} where {} is declared: {}",
            stage.can.values.describe(),
            became(&answer)
        );
    }
    ensure!(
        stage.open().holds(&a, &value("before"))?,
        "a refused value was written"
    );
    Ok(())
}

pub(super) fn a_value_over_the_limit_is_refused_and_one_at_it_held(stage: &Stage<'_>) -> Outcome {
    let Some(most) = limit(stage) else {
        return Ok(());
    };
    let a = name("A");
    let store = stage.open();
    let mut bytes = value("limit");
    bytes.resize(most, b'z');
    store.put(&a, &bytes)?;
    ensure!(
        stage.open().holds(&a, &bytes)?,
        "a value at the limit does not come back"
    );
    bytes.push(b'z');
    let answer = store.put(&a, &bytes);
    ensure!(
        is(&answer, ErrorKind::Unsupported),
        "one byte over the limit: {}",
        became(&answer)
    );
    bytes.pop();
    ensure!(
        stage.open().holds(&a, &bytes)?,
        "a refused value was written"
    );
    Ok(())
}

pub(super) fn a_refusal_comes_before_anything_is_written(stage: &Stage<'_>) -> Outcome {
    let (a, b, c) = (name("A"), name("B"), name("C"));
    let store = stage.open();
    store.put(&a, &value("a"))?;
    let revision = || -> Outcome<_> { Ok(stage.open().read(Select::All)?.revision) };
    let before = revision()?;
    for (label, bytes) in refused(stage) {
        let (good, bad) = (
            SecretValue::from_slice(&value("new")),
            SecretValue::from_slice(&bytes),
        );
        let put = |name, value| Change {
            name,
            op: Op::Put(value),
            when: Precondition::Unguarded,
        };
        let changes = [put(&a, &good), put(&b, &bad), put(&c, &good)];
        let answer = store.write(None, &changes);
        ensure!(
            is(&answer, ErrorKind::Unsupported),
            "a batch with {label}: {}",
            became(&answer)
        );
        let reader = stage.open();
        ensure!(
            reader.holds(&a, &value("a"))? && reader.lacks(&b)? && reader.lacks(&c)?,
            "a part of a batch with {label} was written"
        );
    }
    ensure!(
        stage.can.unit != Unit::Document || revision()? == before,
        "the revision moved"
    );
    Ok(())
}

/// A name and a value for it, by what is odd about them.
struct Candidate {
    label: String,
    name: Name,
    bytes: Vec<u8>,
}

/// Values of every kind, and names and values about the limits.
fn candidates(stage: &Stage<'_>) -> Vec<Candidate> {
    let mut all: Vec<Candidate> = samples()
        .into_iter()
        .chain([("an empty value", Vec::new())])
        .enumerate()
        .map(|(n, (label, bytes))| Candidate {
            label: label.to_owned(),
            name: name(&format!("V{n}")),
            bytes,
        })
        .collect();
    let longest = stage.can.limits.name_bytes.unwrap_or(Name::MAX_BYTES);
    for length in longest..=Name::MAX_BYTES.min(longest + 1) {
        all.push(Candidate {
            label: format!("a name of {length} characters"),
            name: name(&"L".repeat(length)),
            bytes: value("long"),
        });
    }
    all
}

/// Values about the limit, also such that a format may need more room for than they have bytes.
fn about_the_limit(stage: &Stage<'_>) -> Vec<Candidate> {
    let Some(most) = limit(stage) else {
        return Vec::new();
    };
    let sizes = [("at the limit", most), ("over the limit", most + 1)];
    let fillings = [("a value", b'z'), ("quotes", b'"')];
    let each = sizes.iter().flat_map(|(size, length)| {
        fillings.iter().map(move |(filling, byte)| {
            let mut bytes = value("limit");
            bytes.resize(*length, *byte);
            Candidate {
                label: format!("{filling} {size}"),
                name: name("AT_LIMIT"),
                bytes,
            }
        })
    });
    each.collect()
}

pub(super) fn what_is_admitted_is_what_a_write_takes(stage: &Stage<'_>) -> Outcome {
    let agree = |store: &Handle, candidate: &Candidate| -> Outcome {
        let Candidate { label, name, bytes } = candidate;
        let admitted = store.admit(name, bytes);
        let answer = store.put(name, bytes);
        match admitted {
            Ok(()) => ensure!(
                answer.is_ok(),
                "{label} is admitted, and a write of it: {}",
                became(&answer)
            ),
            Err(error) => {
                ensure!(
                    error.kind() == ErrorKind::Unsupported && is(&answer, ErrorKind::Unsupported),
                    "{label} is not admitted ({:?}), and a write of it: {}",
                    error.kind(),
                    became(&answer)
                );
                ensure!(
                    error.store() == Some(store.location()),
                    "that {label} is not admitted does not say where"
                );
            }
        }
        Ok(())
    };
    let store = stage.open();
    for candidate in candidates(stage) {
        agree(&store, &candidate)?;
    }
    // A document has room for each of these, not for all.
    for candidate in about_the_limit(stage) {
        let place = stage.another();
        agree(&place.open(), &candidate)?;
    }
    Ok(())
}

pub(super) fn a_value_replaced_leaves_nothing_of_it(stage: &Stage<'_>) -> Outcome {
    let a = name("A");
    let store = stage.open();
    let early = stage.open();
    for (step, text) in [
        "a long value\nof two lines",
        "short",
        "",
        "'\"",
        "short",
        "longer again",
    ]
    .into_iter()
    .filter(|text| !stage.refuses(text.as_bytes()))
    .enumerate()
    {
        store.put(&a, text.as_bytes())?;
        for reader in [&early, &stage.open()] {
            ensure!(
                reader.holds(&a, text.as_bytes())?,
                "after write {step} another value is read"
            );
        }
        ensure!(
            early.list()?.len() == 1,
            "after write {step} there is not one name"
        );
    }
    let bytes = match stage.can.values {
        Values::Bytes => b"\0\xff".to_vec(),
        Values::Utf8 | Values::Utf8NoNul => "ü".into(),
    };
    store.put(&a, &bytes)?;
    ensure!(early.holds(&a, &bytes)?, "the last value is not read");
    Ok(())
}
