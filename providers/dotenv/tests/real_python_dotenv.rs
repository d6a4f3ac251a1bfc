//! The real python-dotenv reads back what we write. `SECRETS_TEST_PYTHON` names a Python that has
//! it; `scripts/test` installs one. Without it the test fails: what was not asked has not passed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;
use std::process::Command;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use secrets_api::{Name, SecretValue};
use secrets_dotenv::{Dialect, render_line};

const READ: &str = "
import dotenv, sys
for name, value in dotenv.dotenv_values(sys.argv[1], encoding='utf-8').items():
    print(name, value.encode('utf-8').hex())
";

/// Characters that some reader gives a meaning to, and some that need more than one byte.
const NASTY: &[char] = &[
    'a', 'Z', '0', ' ', '\t', '\n', '\r', '\'', '"', '`', '\\', '$', '{', '}', '#', '=', ':', '-',
    '%', '&', '(', ')', '!', '~', ';', 'é', '\u{85}', '\u{2028}', '\u{feff}', '\u{fffe}', '😀',
    '\x0b', '\x1c', '\x07', 'n', 't',
];

#[test]
fn two_thousand_random_values_come_back_through_python_dotenv() {
    let python = std::env::var("SECRETS_TEST_PYTHON")
        .expect("SECRETS_TEST_PYTHON names a Python with python-dotenv: run scripts/test");
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
        let hex: String = value.bytes().map(|b| format!("{b:02x}")).collect();
        writeln!(expected, "{name} {hex}").unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(python)
        .env_clear()
        .args(["-c", READ])
        .arg(&path)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read = String::from_utf8(output.stdout).unwrap();
    let wrong: Vec<_> = read
        .lines()
        .zip(expected.lines())
        .filter(|(a, b)| a.trim_end() != b.trim_end())
        .take(3)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(read.lines().count(), 2000);
}
