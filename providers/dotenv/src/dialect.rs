//! The dialects: what differs between the readers of `.env` files, in one table.

use std::str::FromStr;

/// Whose reading of a `.env` file counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The `python-dotenv` package, which Django projects use most. Default.
    #[default]
    PythonDotenv,
}

/// What is particular to a dialect. Each further reader is one more row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) dialect: Dialect,
    pub(crate) name: &'static str,
    /// Characters after a backslash that have a meaning in `'…'`, each beside what it becomes.
    pub(crate) single_escapes: &'static [(char, char)],
    /// The same in `"…"`.
    pub(crate) double_escapes: &'static [(char, char)],
    /// Whether `${NAME}` and `${NAME:-default}` are replaced, in every kind of value.
    pub(crate) interpolates: bool,
}

/// The rows.
pub(crate) const TABLE: &[Rules] = &[
    // python-dotenv 1.2, `src/dotenv/parser.py` and `variables.py`.
    Rules {
        dialect: Dialect::PythonDotenv,
        name: "python-dotenv",
        single_escapes: &[('\\', '\\'), ('\'', '\'')],
        double_escapes: &[
            ('\\', '\\'),
            ('\'', '\''),
            ('"', '"'),
            ('a', '\x07'),
            ('b', '\x08'),
            ('f', '\x0c'),
            ('n', '\n'),
            ('r', '\r'),
            ('t', '\t'),
            ('v', '\x0b'),
        ],
        interpolates: true,
    },
];

impl Dialect {
    pub(crate) fn rules(self) -> &'static Rules {
        TABLE
            .iter()
            .find(|rules| rules.dialect == self)
            .unwrap_or(&TABLE[0])
    }

    /// What it is called in a store's address.
    pub fn name(self) -> &'static str {
        self.rules().name
    }

    /// The names of all.
    pub fn names() -> impl Iterator<Item = &'static str> {
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
