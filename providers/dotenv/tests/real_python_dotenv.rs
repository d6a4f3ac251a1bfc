//! The real python-dotenv reads back what we write, and we read what it reads. `SECRETS_TEST_PYTHON` names a Python that has
//! it; `scripts/test` installs one. Without it the test fails, unless `SECRETS_TEST_ALLOW_MISSING=1`
//! says that this is known.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use secrets_api::{Name, SecretValue};
use secrets_dotenv::{Dialect, parse, render_line};

/// Prints, for each file named, a line for each item and one for each line that it skips.
const READ: &str = "
import dotenv, dotenv.parser, logging, sys
logging.disable()
hexed = lambda text: text.encode('utf-8').hex()
for path in sys.argv[1:]:
    with open(path, encoding='utf-8') as file:
        if any(binding.error for binding in dotenv.parser.parse_stream(file)):
            print('refused')
            continue
    for name, value in dotenv.dotenv_values(path, encoding='utf-8').items():
        print(hexed(name), '-' if value is None else '=' + hexed(value))
    print('read')
";

/// Characters that some reader gives a meaning to, and some that need more than one byte.
const NASTY: &[char] = &[
    'a', 'Z', '0', ' ', '\t', '\n', '\r', '\'', '"', '`', '\\', '$', '{', '}', '#', '=', ':', '-',
    '%', '&', '(', ')', '!', '~', ';', 'é', '\u{85}', '\u{2028}', '\u{feff}', '\u{fffe}', '😀',
    '\x0b', '\x1c', '\x07', 'n', 't',
];

/// `None` where there is none and that is known.
fn python() -> Option<String> {
    let python = std::env::var("SECRETS_TEST_PYTHON").ok();
    assert!(
        python.is_some()
            || std::env::var_os("SECRETS_TEST_ALLOW_MISSING").is_some_and(|allow| allow == "1"),
        "SECRETS_TEST_PYTHON names a Python with python-dotenv: run scripts/test, \
         or set SECRETS_TEST_ALLOW_MISSING=1 to go without"
    );
    python
}

/// What python-dotenv makes of the files.
fn read_by_python(python: &str, paths: &[PathBuf]) -> String {
    let output = Command::new(python)
        .env_clear()
        .args(["-c", READ])
        .args(paths)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// What we make of a file, in the form of [`READ`]: the last value of each key, at its first place.
fn read_by_us(bytes: &[u8]) -> String {
    let Ok(entries) = parse(Dialect::PythonDotenv, bytes) else {
        return "refused\n".to_owned();
    };
    let mut items: Vec<(String, String)> = Vec::new();
    for entry in entries {
        let value = entry
            .value
            .map_or("-".to_owned(), |v| format!("={}", hex(v.expose())));
        match items.iter_mut().find(|(name, _)| *name == entry.name) {
            Some((_, earlier)) => *earlier = value,
            None => items.push((entry.name.into_owned(), value)),
        }
    }
    let mut text = String::new();
    for (name, value) in items {
        writeln!(text, "{} {value}", hex(name.as_bytes())).unwrap();
    }
    text + "read\n"
}

#[test]
fn two_thousand_random_values_come_back_through_python_dotenv() {
    let Some(python) = python() else { return };
    let mut random = StdRng::seed_from_u64(20_261_124);
    let (mut text, mut expected) = (Vec::new(), String::new());
    for n in 0..2000 {
        let length = random.random_range(0..24);
        let value: String = (0..length)
            .map(|_| NASTY[random.random_range(0..NASTY.len())])
            .collect();
        let name = Name::new(&format!("V{n}")).unwrap();
        let line = render_line(
            Dialect::PythonDotenv,
            &name,
            &SecretValue::from_slice(value.as_bytes()),
        )
        .unwrap();
        text.extend_from_slice(line.expose());
        writeln!(
            expected,
            "{} ={}",
            hex(name.as_str().as_bytes()),
            hex(value.as_bytes())
        )
        .unwrap();
    }
    expected.push_str("read\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    std::fs::write(&path, text).unwrap();
    let read = read_by_python(&python, &[path]);
    let wrong: Vec<_> = read
        .lines()
        .zip(expected.lines())
        .filter(|(a, b)| a != b)
        .take(3)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(read.lines().count(), 2001);
}

/// Pieces of which lines are made, well formed or not.
const PIECES: &[&str] = &[
    "A",
    "B",
    "C",
    "=",
    "=",
    "=",
    "'",
    "'",
    "\"",
    "\"",
    "\\",
    "#",
    " #",
    " ",
    "\t",
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\r",
    "export ",
    "export",
    "${A}",
    "${B:-x}",
    "${",
    "}",
    ":-",
    "$",
    "x",
    "é",
    "\u{85}",
    "\u{2028}",
    "\u{feff}",
    "\x0b",
    "\x1c",
    "\x1f",
    "\u{a0}",
    "\u{200b}",
    "\\n",
    "\\'",
    "A='x'\n",
    "B=\"${A}\"\n",
    "C=y # c\n",
];

#[test]
fn random_files_are_read_as_python_dotenv_reads_them_and_refused_where_it_skips_a_line() {
    let Some(python) = python() else { return };
    let mut random = StdRng::seed_from_u64(2_026_112_401);
    let folder = tempfile::tempdir().unwrap();
    let (mut paths, mut texts, mut ours) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..3000 {
        let text: String = (0..random.random_range(1..20))
            .map(|_| PIECES[random.random_range(0..PIECES.len())])
            .collect();
        let path = folder.path().join(n.to_string());
        std::fs::write(&path, &text).unwrap();
        paths.push(path);
        ours.push(read_by_us(text.as_bytes()));
        texts.push(text);
    }
    let theirs = read_by_python(&python, &paths);
    let mut rest = theirs.as_str();
    let mut wrong = Vec::new();
    for (text, ours) in texts.iter().zip(&ours) {
        let end = ["read\n", "refused\n"]
            .iter()
            .filter_map(|word| rest.find(word).map(|at| at + word.len()))
            .min()
            .unwrap();
        let (theirs, after) = rest.split_at(end);
        rest = after;
        if theirs != ours {
            wrong.push((text, theirs, ours));
        }
    }
    assert!(rest.is_empty());
    assert!(
        wrong.is_empty(),
        "{} of {}: {:#?}",
        wrong.len(),
        texts.len(),
        &wrong[..wrong.len().min(5)]
    );
    let read = ours.iter().filter(|ours| *ours != "refused\n").count();
    assert!((500..2900).contains(&read), "{read} of 3000 could be read");
}
