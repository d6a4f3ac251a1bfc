//! The real readers beside python-dotenv: each reads back two thousand random values that we have
//! written for it, and reads random files as we do. `scripts/test` installs them and says where they
//! are; without one its test fails, unless `SECRETS_TEST_ALLOW_MISSING=1` says that this is known.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use secrets_api::{Name, SecretValue};
use secrets_dotenv::{Dialect, parse, render_line};

type Env = BTreeMap<String, Vec<u8>>;

const DJANGO_ENVIRON: &str = "
import environ, logging, os, sys
logging.disable()
def read(path):
    os.environ.clear()
    environ.Env.read_env(path, overwrite=True)
    env = environ.Env()
    # A value that begins with `$` is another name to env(): such are told by read_env alone.
    return {k: v if v.startswith('$') else env(k) for k, v in os.environ.items()}
";
const DECOUPLE: &str = "
import decouple
def read(path):
    return decouple.RepositoryEnv(path).data
";
const PRINT: &str = "
import sys
for path in sys.argv[1:]:
    try:
        for name, value in read(path).items():
            print(name.encode().hex(), '=' + value.encode().hex())
        print('read')
    except Exception:
        print('refused')
";
const NODE: &str = "
const { parse } = require('dotenv');
const fs = require('fs');
for (const path of process.argv.slice(1)) {
    const hex = (text) => Buffer.from(text, 'utf8').toString('hex');
    for (const [name, value] of Object.entries(parse(fs.readFileSync(path))))
        console.log(hex(name) + ' =' + hex(value));
    console.log('read');
}
";
/// Reads each file in a shell of its own, and prints what it has set of names like ours.
const SHELL: &str = "
shell=$1; python=$2; shift 2
for path; do
    env -i \"$shell\" -c 'set -a; . \"$1\" >/dev/null || exit 1; set +a; exec \"$2\" -c \"$3\"' sh \"$path\" \"$python\" \"$PRINT\" 2>/dev/null || echo refused
done
";
const PRINT_ENVIRONMENT: &str = "
import os, re
for name, value in os.environb.items():
    if re.fullmatch(b'V[0-9]+|[A-D]', name):
        print(name.hex(), '=' + value.hex())
print('read')
";

/// What `variable` names; `None` where it is not set and that is known.
fn installed(variable: &str) -> Option<String> {
    let found = std::env::var(variable).ok();
    let known = std::env::var_os("SECRETS_TEST_ALLOW_MISSING").is_some_and(|allow| allow == "1");
    assert!(
        found.is_some() || known,
        "{variable} is not set: run scripts/test, or set SECRETS_TEST_ALLOW_MISSING=1 to go without"
    );
    found
}

/// What the reader of this dialect makes of the files; `None` for one that it refuses.
fn read_by_it(reader: &str, paths: &[PathBuf]) -> Option<Vec<Option<Env>>> {
    if reader == "dotenvy" {
        return Some(paths.iter().map(|path| read_by_dotenvy(path)).collect());
    }
    let python = installed("SECRETS_TEST_PYTHON")?;
    let mut command = match reader {
        "django-environ" | "decouple" => {
            let code = if reader == "decouple" {
                DECOUPLE
            } else {
                DJANGO_ENVIRON
            };
            let mut command = Command::new(&python);
            command.env_clear().args(["-c", &format!("{code}{PRINT}")]);
            command
        }
        "node" => {
            let modules = installed("SECRETS_TEST_NODE_MODULES")?;
            let mut command = Command::new("node");
            command.env("NODE_PATH", modules).args(["-e", NODE]);
            command
        }
        shell => {
            let mut command = Command::new("sh");
            let script = SHELL.replace("$PRINT", PRINT_ENVIRONMENT.trim());
            command
                .env_clear()
                .env("PATH", std::env::var_os("PATH").unwrap());
            command.args(["-c", &script, "sh", shell, &python]);
            command
        }
    };
    let output = command.args(paths).output().unwrap();
    assert!(
        output.status.success(),
        "{reader}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut all = Vec::new();
    let mut env = Env::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        match line.split_once(" =") {
            Some((name, value)) => {
                env.insert(String::from_utf8(unhex(name)).unwrap(), unhex(value));
            }
            None => {
                let done = std::mem::take(&mut env);
                all.push((line == "read").then_some(done));
            }
        }
    }
    assert_eq!(all.len(), paths.len(), "{reader}");
    Some(all)
}

fn read_by_dotenvy(path: &Path) -> Option<Env> {
    let file = std::fs::File::open(path).unwrap();
    let mut env = Env::new();
    for item in dotenvy::Iter::new(file) {
        let (name, value) = item.ok()?;
        env.insert(name, value.into_bytes());
    }
    Some(env)
}

fn unhex(text: &str) -> Vec<u8> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

const READERS: &[(&str, Dialect)] = &[
    ("django-environ", Dialect::DjangoEnviron),
    ("decouple", Dialect::Decouple),
    ("node", Dialect::Node),
    ("bash", Dialect::Shell),
    ("dash", Dialect::Shell),
    ("dotenvy", Dialect::Dotenvy),
];

/// Characters that some reader gives a meaning to, and some that need more than one byte.
const NASTY: &[char] = &[
    'a', 'Z', '0', ' ', '\t', '\n', '\r', '\'', '"', '`', '\\', '$', '{', '}', '#', '=', ':', '-',
    '%', '&', '(', ')', '!', '~', ';', 'é', '\u{85}', '\u{2028}', '\u{feff}', '😀', '\x0b', '\x1c',
    '\x07', 'n', 't',
];

#[test]
fn two_thousand_random_values_come_back_through_each_reader() {
    for (reader, dialect) in READERS {
        let mut random = StdRng::seed_from_u64(20_261_124);
        let folder = tempfile::tempdir().unwrap();
        let (mut text, mut expected, mut tried) = (Vec::new(), Env::new(), 0);
        while expected.len() < 2000 {
            tried += 1;
            let length = random.random_range(0..20);
            let value: String = (0..length)
                .map(|_| NASTY[random.random_range(0..NASTY.len())])
                .collect();
            let name = Name::new(&format!("V{tried}")).unwrap();
            let value = SecretValue::from_slice(value.as_bytes());
            // What the dialect cannot hold is refused; most can be held.
            if let Ok(line) = render_line(*dialect, &name, &value) {
                text.extend_from_slice(line.expose());
                expected.insert(name.to_string(), value.expose().to_vec());
            }
        }
        assert!(tried < 12_000, "{reader}: {tried} tries");
        let path = folder.path().join(".env");
        std::fs::write(&path, text).unwrap();
        let Some(mut read) = read_by_it(reader, &[path]) else {
            continue;
        };
        let read = read.remove(0).unwrap_or_default();
        let wrong: Vec<_> = expected
            .iter()
            .filter(|(name, value)| read.get(*name) != Some(value))
            .map(|(name, value)| (name, String::from_utf8_lossy(value), read.get(name)))
            .take(3)
            .collect();
        assert!(wrong.is_empty(), "{reader}: {wrong:?}");
        assert_eq!(read.len(), 2000, "{reader}");
    }
}

/// Pieces of which files are made, well formed or not.
const PIECES: &[&str] = &[
    "A=",
    "B=",
    "C=",
    "D=",
    "A",
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
    "export ",
    "${A}",
    "${B:-x}",
    "$",
    "x",
    "é",
    "\u{85}",
    "\\n",
    "\\'",
    "\\\"",
    "A='x'\n",
    "B=\"${A}\"\n",
    "C=y # c\n",
    "D='two\nlines'\n",
];

#[test]
fn a_random_file_that_we_read_its_reader_reads_alike() {
    for (reader, dialect) in READERS {
        let mut random = StdRng::seed_from_u64(2_026_112_401);
        let folder = tempfile::tempdir().unwrap();
        let (mut paths, mut texts, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        // A shell is a process for each file.
        let wanted = if *dialect == Dialect::Shell {
            150
        } else {
            1000
        };
        while paths.len() < wanted {
            let text: String = (0..random.random_range(1..12))
                .map(|_| PIECES[random.random_range(0..PIECES.len())])
                .collect();
            // A shell's environment has more in it: these names are looked at there.
            let looked_at =
                |name: &str| *dialect != Dialect::Shell || ["A", "B", "C", "D"].contains(&name);
            let Ok(entries) = parse(*dialect, text.as_bytes()) else {
                continue;
            };
            let valued = entries.into_iter().filter(|entry| looked_at(&entry.name));
            let env: Env = valued
                .filter_map(|e| Some((e.name.into_owned(), e.value?.expose().to_vec())))
                .collect();
            let path = folder.path().join(paths.len().to_string());
            std::fs::write(&path, &text).unwrap();
            paths.push(path);
            texts.push(text);
            ours.push(env);
        }
        let Some(theirs) = read_by_it(reader, &paths) else {
            continue;
        };
        let wrong: Vec<_> = (0..wanted)
            .filter(|n| theirs[*n].as_ref() != Some(&ours[*n]))
            .map(|n| (&texts[n], &ours[n], &theirs[n]))
            .take(4)
            .collect();
        assert!(wrong.is_empty(), "{reader}: {wrong:#?}");
    }
}
