//! The truth table: what the real python-dotenv 1.2.4 made of 212 files, with and without
//! interpolation, with `PROVIDED_BY_ENV=outer` in its environment.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

use crate::Dialect;
use crate::document::Document;

#[derive(Deserialize)]
struct Row {
    name: String,
    input_b64: String,
    interpolated: Value,
    raw: Value,
}

/// Where we differ on purpose.
fn differs(input: &[u8]) -> Option<&'static str> {
    input
        .contains(&0)
        .then_some("a NUL byte: no process environment can hold it, so the file is refused")
}

fn wanted(row: &Value) -> Option<BTreeMap<String, Option<Vec<u8>>>> {
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

fn rows() -> Vec<Row> {
    serde_json::from_str(include_str!("../tests/corpus/python-dotenv.json")).unwrap()
}

#[test]
fn every_file_is_read_as_python_dotenv_reads_it() {
    let (mut wrong, mut read, mut refused) = (Vec::new(), 0, Vec::new());
    for row in rows() {
        let input = STANDARD.decode(&row.input_b64).unwrap();
        if differs(&input).is_some() {
            assert!(
                Document::parse_leniently(Dialect::PythonDotenv, &input).is_err(),
                "{}",
                row.name
            );
            refused.push(row.name);
            continue;
        }
        let document = Document::parse_leniently(Dialect::PythonDotenv, &input);
        let (interpolated, raw) = match &document {
            Err(_) => (None, None),
            Ok(document) => {
                let outer = [("PROVIDED_BY_ENV", "outer")];
                let interpolated = document.resolve(&outer).unwrap().into_iter();
                let raw = document.bindings.iter().filter_map(|b| {
                    Some((
                        document.key(b)?.into_owned(),
                        document.raw(b).map(|raw| raw.as_bytes().to_vec()),
                    ))
                });
                (
                    Some(
                        interpolated
                            .map(|e| (e.name, e.value.map(|v| v.expose().to_vec())))
                            .collect(),
                    ),
                    Some(raw.collect()),
                )
            }
        };
        read += 1;
        if interpolated != wanted(&row.interpolated) {
            wrong.push(format!(
                "{}: {interpolated:?}, not {:?}",
                row.name, row.interpolated
            ));
        }
        if raw != wanted(&row.raw) {
            wrong.push(format!("{} (raw): {raw:?}, not {:?}", row.name, row.raw));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {read} files:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(read > 200, "only {read} files");
    assert!(refused.len() < 5, "{refused:?}");
}
