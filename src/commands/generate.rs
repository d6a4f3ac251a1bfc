//! `secrets generate`: prints new credentials; keeps none.

use serde_json::json;

use crate::exit::{Exit, Failure, Result};
use crate::generate::{self, Alphabet, Generator, KINDS, Kind, Request};
use crate::session::Session;
use crate::suggest;

/// Most credentials of one run.
const MOST: u64 = 100_000_000;

/// Print a new credential: a Django key, or one of another kind
#[derive(Debug, clap::Args)]
#[command(after_help = kinds_help())]
pub struct Args {
    /// What kind
    #[arg(value_name = "KIND", default_value = "django")]
    kind: String,
    #[command(flatten)]
    shape: Shape,
    /// How many, one a line
    #[arg(short = 'n', long, value_name = "N", default_value_t = 1)]
    count: u64,
}

/// How a credential looks, where its kind leaves a choice.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Shape {
    /// How long, in the kind's own unit
    #[arg(long, value_name = "N")]
    pub length: Option<usize>,
    /// The characters of a Django key: `portable` (44, safe unquoted in every .env reader, shell
    /// and ini file) or `django` (the 50 of Django's own generator) [default: portable]
    #[arg(long, value_name = "NAME")]
    pub alphabet: Option<String>,
}

/// A generator of `kind`, shaped.
///
/// # Errors
/// An unknown kind or alphabet, with the nearest right one, and a weak request with the reason.
pub fn generator(kind: &str, shape: &Shape) -> Result<(&'static Kind, Generator)> {
    let Some(kind) = generate::kind(kind) else {
        return Err(Failure::usage(format!("there is no kind `{kind}`"))
            .with_hint_opt(suggest::hint(kind, KINDS.iter().map(|k| k.name))));
    };
    let alphabet = match shape.alphabet.as_deref() {
        None => None,
        Some("portable") => Some(Alphabet::Portable),
        Some("django") => Some(Alphabet::Django),
        Some(other) => {
            return Err(Failure::usage(format!("there is no alphabet `{other}`"))
                .with_hint_opt(suggest::hint(other, ["portable", "django"])));
        }
    };
    let request = Request {
        kind,
        length: shape.length,
        alphabet,
    };
    let generator = Generator::new(&request)
        .map_err(|refused| Failure::usage(refused.message).with_hint_opt(refused.hint))?;
    Ok((kind, generator))
}

impl Args {
    /// Runs it.
    pub fn run(self, session: &Session) -> Result<Exit> {
        let (kind, mut generator) = generator(&self.kind, &self.shape)?;
        if self.count == 0 || self.count > MOST {
            return Err(Failure::usage(format!(
                "-n takes a number from 1 to {MOST}"
            )));
        }
        if session.printer.json {
            let mut values = Vec::new();
            for _ in 0..self.count {
                let value = generator.draw().map_err(refused)?;
                values.push(value.expose_text().unwrap_or_default().to_owned());
            }
            session.printer.document(&json!({
                "schema": 1,
                "kind": kind.name,
                "bits": (generator.bits() * 10.0).round() / 10.0,
                "values": values,
            }))?;
            return Ok(Exit::Done);
        }
        session.printer.detail(1, || {
            format!("{}: {:.1} bits each", kind.name, generator.bits())
        });
        let mut outcome = Ok(());
        let written = generator.write_many(self.count, &mut |block| {
            outcome = session.printer.data(block);
            match outcome {
                Ok(()) => Ok(()),
                Err(_) => Err(std::io::ErrorKind::Other.into()),
            }
        });
        outcome?;
        written.map_err(refused)?;
        Ok(Exit::Done)
    }
}

fn refused(refused: generate::Refused) -> Failure {
    Failure::new(Exit::Failed, refused.message).with_hint_opt(refused.hint)
}

fn kinds_help() -> String {
    let mut text = String::from("Kinds:\n");
    for kind in KINDS {
        text.push_str(&format!("  {:<11} {}\n", kind.name, kind.about));
    }
    text.push_str(
        "\nAll are drawn from the operating system's entropy, each character with the same chance.",
    );
    text
}
