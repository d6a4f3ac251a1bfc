//! The dialects: what differs between the readers of `.env` files, in one table. There are eleven
//! readers and six grammars.

use std::str::FromStr;

use secrets_api::Zeroizing;

/// Whose reading of a `.env` file counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Dialect {
    /// The `python-dotenv` package, which Django projects use most. Default.
    #[default]
    PythonDotenv,
    /// The `django-environ` package's `read_env`.
    DjangoEnviron,
    /// The `python-decouple` package's `RepositoryEnv`.
    Decouple,
    /// The `dotenv` package of npm.
    Node,
    /// `env_file:` of Docker Compose (the compose-go library).
    Compose,
    /// `docker run --env-file`.
    Docker,
    /// `EnvironmentFile=` of systemd.
    Systemd,
    /// A POSIX shell that reads it with `.`; nothing is ever run: a file that would is refused.
    Shell,
    /// The `dotenv` gem; `$(…)` is never run: a value that would is refused.
    Ruby,
    /// The `dotenvy` crate.
    Dotenvy,
    /// The `godotenv` module.
    Godotenv,
}

/// Whether `$` in a value stands for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interpolation {
    /// As the dialect has it.
    #[default]
    AsRead,
    /// Never: a value is what is written, quotes and escapes undone.
    Off,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reading {
    /// Whose reading counts.
    pub dialect: Dialect,
    /// Whether `$` stands for something.
    pub interpolation: Interpolation,
}

impl From<Dialect> for Reading {
    fn from(dialect: Dialect) -> Self {
        Self {
            dialect,
            interpolation: Interpolation::AsRead,
        }
    }
}

/// How a file is taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grammar {
    /// Regular expressions over a stream, one binding after another.
    Python,
    /// One line, one item.
    Lines(Lines),
    /// One regular expression searched over the whole text; what does not match is passed over.
    Pattern(Pattern),
    /// Go's scanners, of one descent.
    Go(Go),
    /// systemd's state machine.
    Systemd,
    /// Words of a shell.
    Words(Words),
}

/// What differs between the readers that go line by line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lines {
    DjangoEnviron,
    Decouple,
    Docker,
}

/// What differs between the readers that search a regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pattern {
    Node,
    Ruby,
}

/// What differs between the readers written in Go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    Compose,
    Godotenv,
}

/// What differs between the readers of a shell's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    Shell,
    Dotenvy,
}

/// What a reader does about bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    /// The file cannot be read.
    Refused,
    /// They become U+FFFD.
    Replaced,
    /// They stay.
    Kept,
    /// They may stand in a comment, and nowhere else.
    InComments,
}

/// Which value counts where a name is both in the environment given and in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Given {
    /// In `${NAME}` the file's, as far as it has been read.
    AfterFile,
    /// In `${NAME}` the environment's.
    BeforeFile,
    /// The environment's, everywhere: the file's own line is not even read.
    Instead,
}

/// What line ends within a value become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnds {
    /// What they are.
    Kept,
    /// `\r\n` and `\r` become `\n`.
    Universal,
    /// `\r\n` becomes `\n`.
    Dos,
}

impl LineEnds {
    /// The text with its line ends as they become.
    pub(crate) fn of(self, text: &str) -> Zeroizing<String> {
        let mut out = Zeroizing::new(String::with_capacity(text.len()));
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '\r' if self != Self::Kept && rest.peek() == Some(&'\n') => {}
                '\r' if self == Self::Universal => out.push('\n'),
                c => out.push(c),
            }
        }
        out
    }
}

/// What is particular to a dialect.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) dialect: Dialect,
    pub(crate) name: &'static str,
    pub(crate) grammar: Grammar,
    /// Whether a byte order mark at the start is passed over.
    pub(crate) skips_bom: bool,
    pub(crate) bytes: Bytes,
    pub(crate) given: Given,
    /// Whether `$` can stand for something in a value.
    pub(crate) interpolates: bool,
    /// What line ends within a value become.
    pub(crate) line_ends: LineEnds,
    /// Whether a carriage return at the end of a line is a part of its value.
    pub(crate) keeps_cr: bool,
}

/// The rows. Each was held to what the reader itself made of 212 files (`tests/corpus`).
#[rustfmt::skip]
pub(crate) const TABLE: &[Rules] = &[
    // python-dotenv 1.2, `src/dotenv/parser.py`, `variables.py`.
    Rules { dialect: Dialect::PythonDotenv, name: "python-dotenv", grammar: Grammar::Python, skips_bom: true, bytes: Bytes::Refused, given: Given::AfterFile, interpolates: true, line_ends: LineEnds::Universal, keeps_cr: false },
    // django-environ 0.14, `environ/environ.py`, `Env.read_env`.
    Rules { dialect: Dialect::DjangoEnviron, name: "django-environ", grammar: Grammar::Lines(Lines::DjangoEnviron), skips_bom: false, bytes: Bytes::Refused, given: Given::AfterFile, interpolates: false, line_ends: LineEnds::Kept, keeps_cr: false },
    // python-decouple 3.8, `decouple.py`, `RepositoryEnv`.
    Rules { dialect: Dialect::Decouple, name: "decouple", grammar: Grammar::Lines(Lines::Decouple), skips_bom: false, bytes: Bytes::Refused, given: Given::AfterFile, interpolates: false, line_ends: LineEnds::Kept, keeps_cr: false },
    // npm dotenv 16 to 18, `lib/main.js`, `LINE` and `parse`.
    Rules { dialect: Dialect::Node, name: "node", grammar: Grammar::Pattern(Pattern::Node), skips_bom: true, bytes: Bytes::Replaced, given: Given::AfterFile, interpolates: false, line_ends: LineEnds::Universal, keeps_cr: false },
    // compose-go 2, `dotenv/parser.go`, `template/template.go`.
    Rules { dialect: Dialect::Compose, name: "compose", grammar: Grammar::Go(Go::Compose), skips_bom: true, bytes: Bytes::Kept, given: Given::BeforeFile, interpolates: true, line_ends: LineEnds::Kept, keeps_cr: false },
    // docker CLI 28, `pkg/kvfile/kvfile.go`.
    Rules { dialect: Dialect::Docker, name: "docker", grammar: Grammar::Lines(Lines::Docker), skips_bom: true, bytes: Bytes::Refused, given: Given::AfterFile, interpolates: false, line_ends: LineEnds::Kept, keeps_cr: false },
    // systemd 252, `src/basic/env-file.c`, `env-util.c`.
    Rules { dialect: Dialect::Systemd, name: "systemd", grammar: Grammar::Systemd, skips_bom: false, bytes: Bytes::InComments, given: Given::AfterFile, interpolates: false, line_ends: LineEnds::Kept, keeps_cr: false },
    // POSIX.1-2024, 2.2 Quoting, 2.6 Word Expansions, 2.9.1 Simple Commands; dash 0.5.12, bash 5.2.
    Rules { dialect: Dialect::Shell, name: "shell", grammar: Grammar::Words(Words::Shell), skips_bom: false, bytes: Bytes::Kept, given: Given::AfterFile, interpolates: true, line_ends: LineEnds::Kept, keeps_cr: true },
    // ruby dotenv 3.2, `lib/dotenv/parser.rb`, `substitutions/*.rb`.
    Rules { dialect: Dialect::Ruby, name: "ruby", grammar: Grammar::Pattern(Pattern::Ruby), skips_bom: true, bytes: Bytes::Refused, given: Given::Instead, interpolates: true, line_ends: LineEnds::Universal, keeps_cr: false },
    // dotenvy 0.15, `src/parse.rs`, `src/iter.rs`.
    Rules { dialect: Dialect::Dotenvy, name: "dotenvy", grammar: Grammar::Words(Words::Dotenvy), skips_bom: false, bytes: Bytes::Refused, given: Given::BeforeFile, interpolates: true, line_ends: LineEnds::Kept, keeps_cr: false },
    // godotenv 1.6.0-pre, `parser.go`.
    Rules { dialect: Dialect::Godotenv, name: "godotenv", grammar: Grammar::Go(Go::Godotenv), skips_bom: false, bytes: Bytes::Replaced, given: Given::AfterFile, interpolates: true, line_ends: LineEnds::Dos, keeps_cr: false },
];

impl Dialect {
    pub(crate) fn rules(self) -> &'static Rules {
        TABLE
            .iter()
            .find(|rules| rules.dialect == self)
            .unwrap_or(&TABLE[0])
    }

    /// What it is called in a store's address, in a manifest and by `--format dotenv:NAME`.
    pub fn name(self) -> &'static str {
        self.rules().name
    }

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|rules| rules.dialect)
    }

    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> + Clone {
        TABLE.iter().map(|rules| rules.name)
    }
}

impl FromStr for Dialect {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        TABLE
            .iter()
            .find(|rules| rules.name == text)
            .map(|rules| rules.dialect)
            .ok_or(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_has_its_row_and_its_name() {
        for dialect in Dialect::all() {
            assert_eq!(dialect.name().parse(), Ok(dialect));
        }
        assert_eq!(Dialect::all().count(), 11);
    }
}
