//! The truth table: what each real reader made of 212 files, with `PROVIDED_BY_ENV=outer` in its
//! environment. Every dialect agrees with its reader on every one of them, but for the few named here.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::document::Document;
use crate::{Dialect, Interpolation, Reading};

#[derive(Deserialize)]
struct Row {
    name: String,
    input_b64: String,
    truth: BTreeMap<String, Value>,
}

/// Each dialect with the readers that had a column; one of them has to be agreed with.
const READERS: &[(Dialect, &[&str])] = &[
    (Dialect::PythonDotenv, &["py-dotenv"]),
    (Dialect::DjangoEnviron, &["django-environ"]),
    (Dialect::Decouple, &["decouple"]),
    (Dialect::Node, &["node-dotenv18"]),
    (Dialect::Compose, &["compose-go"]),
    (Dialect::Docker, &["docker-env-file"]),
    (Dialect::Systemd, &["systemd-252"]),
    (Dialect::Shell, &["dash", "bash"]),
    (Dialect::Ruby, &["ruby-dotenv-3.2"]),
    (Dialect::Dotenvy, &["dotenvy-0.15"]),
    (Dialect::Godotenv, &["godotenv-head"]),
];

/// Where we differ on purpose, and why: the file is refused.
fn refused(dialect: Dialect, name: &str, input: &[u8]) -> Option<&'static str> {
    if input.contains(&0) {
        return Some("a NUL byte: no process environment can hold it");
    }
    let runs = "it runs a command, or an operator of the shell";
    let unfixed = "bash and dash, or two runs of one of them, differ";
    match dialect {
        Dialect::Ruby if name == "uq.dollar_paren" => Some(runs),
        Dialect::Shell => match name {
            "dq.dollar_dollar" | "uq.tilde" | "port.tilde_first_bare" => Some(unfixed),
            _ if RUN_BY_A_SHELL.contains(&name) => Some(runs),
            _ => None,
        },
        _ => None,
    }
}

/// Files that are more than assignments to a shell.
#[rustfmt::skip]
const RUN_BY_A_SHELL: &[&str] = &[
    "basic.value_json_bare",
    "basic.unicode_key",
    "key.no_equals",
    "key.space_after_eq",
    "key.tab_both",
    "key.digit_start",
    "key.dash",
    "key.dot",
    "key.slash",
    "key.at",
    "key.star",
    "key.inner_space",
    "key.empty",
    "key.single_quoted",
    "key.plus_equals",
    "key.colon_nospace",
    "key.colon_equals",
    "export.set_prefix",
    "export.upper",
    "comment.slashes",
    "comment.after_double_nospace",
    "sq.trailing_word",
    "sq.space_before",
    "sq.space_before_eq",
    "dq.backtick",
    "dq.trailing_word",
    "dq.space_before",
    "uq.quote_mid_pair",
    "uq.ampersand",
    "uq.lt_gt",
    "uq.dollar_paren",
    "interp.dollar_alone",
    "interp.dollar_symbol",
    "django.raw_amp",
    "bytes.bom",
    "bytes.bom_comment",
    "bytes.crlf",
    "bytes.crlf_blank_lines",
    "bytes.ctrl_z",
    "cont.uq",
    "junk.section",
    "junk.heredoc",
    "junk.gha_heredoc",
    "junk.yaml_doc",
    "junk.json_doc",
];

type Env = BTreeMap<String, Option<Vec<u8>>>;

fn wanted(row: &Value) -> Option<Env> {
    let env = row.get("env")?.as_object().unwrap();
    Some(
        env.iter()
            .map(|(name, value)| {
                let value = match value {
                    Value::Null => None,
                    Value::String(text) => Some(text.clone().into_bytes()),
                    other => Some(STANDARD.decode(other["$b64"].as_str().unwrap()).unwrap()),
                };
                (name.clone(), value)
            })
            .collect(),
    )
}

/// What we make of a file; `None` if it is refused.
fn read(reading: Reading, input: &[u8]) -> Option<Env> {
    let document = Document::parse_leniently(reading, input).ok()?;
    let entries = document.resolve(&[("PROVIDED_BY_ENV", "outer")]).ok()?;
    let mut env = Env::new();
    for entry in entries {
        let value = entry.value.map(|v| v.expose().to_vec());
        // A name without `=` is one only to python-dotenv; the others inherit it, or leave it out.
        if value.is_some() || reading.dialect == Dialect::PythonDotenv {
            env.insert(entry.name.into_owned(), value);
        }
    }
    Some(env)
}

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("../tests/corpus/truth.json")).unwrap()
}

#[test]
fn every_file_is_read_as_its_reader_reads_it() {
    let (mut wrong, mut agreed) = (Vec::new(), 0);
    for row in rows() {
        let input = STANDARD.decode(&row.input_b64).unwrap();
        for (dialect, readers) in READERS {
            let found = read(Reading::from(*dialect), &input);
            // A shell sets `_` itself, to the last word of each command.
            if *dialect == Dialect::Shell && row.name == "key.underscore_only" {
                continue;
            }
            if let Some(why) = refused(*dialect, &row.name, &input) {
                if found.is_some() {
                    wrong.push(format!("{dialect:?} {} is not refused: {why}", row.name));
                }
                continue;
            }
            let truths: Vec<_> = readers.iter().map(|r| wanted(&row.truth[*r])).collect();
            if truths.contains(&found) {
                agreed += 1;
            } else {
                wrong.push(format!(
                    "{dialect:?} {}: {:?}\n    we {found:?}\n    it {truths:?}",
                    row.name,
                    String::from_utf8_lossy(&input)
                ));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(agreed > 2200, "only {agreed}");
}

#[test]
fn without_interpolation_values_are_what_is_written() {
    let reading = Reading {
        dialect: Dialect::PythonDotenv,
        interpolation: Interpolation::Off,
    };
    for row in rows() {
        let input = STANDARD.decode(&row.input_b64).unwrap();
        if !input.contains(&0) {
            let truth = wanted(&row.truth["py-dotenv-nointerp"]);
            assert_eq!(read(reading, &input), truth, "{}", row.name);
        }
    }
}
