//! Credentials, drawn from the operating system's entropy, each symbol with exactly the same
//! chance: random bits are masked and what falls outside is drawn again, never folded back.
//!
//! A request that would make a weak credential is refused with the reason.

mod draw;
mod entropy;
mod kinds;

use secrets_api::{SecretValue, Zeroizing};

use draw::Recipe;
use entropy::Entropy;
pub use kinds::{KINDS, Kind, Unit, kind};

/// How many bytes of output are gathered before they are handed on.
const BLOCK: usize = 64 * 1024;

/// The characters of a Django key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Django's own less `# $ % & ( )`, which some `.env` reader, shell or ini file misreads; the
    /// first character is a letter or digit. 44 symbols.
    Portable,
    /// Exactly that of Django's `get_random_secret_key` (django/core/management/utils.py): 50
    /// symbols.
    Django,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    /// The kind.
    pub kind: &'static Kind,
    /// How long, in the kind's unit; the kind's own length if not given.
    pub length: Option<usize>,
    /// The characters, of a Django key only.
    pub alphabet: Option<Alphabet>,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong with it.
    pub message: String,
    /// What to ask for instead.
    pub hint: Option<String>,
}

/// Draws credentials of one shape.
#[derive(Debug)]
pub struct Generator {
    recipe: Recipe,
    entropy: Entropy,
}

impl Generator {
    /// A generator for this request.
    ///
    /// # Errors
    /// If it would be weak, or asks for what the kind has no choice of.
    pub fn new(request: &Request) -> Result<Self, Refused> {
        let kind = request.kind;
        if request.alphabet.is_some() && kind.name != "django" {
            return Err(Refused {
                message: format!("{} has no choice of alphabet", kind.name),
                hint: None,
            });
        }
        let length = kinds::length(kind, request.length)?;
        let recipe = Recipe::new(
            kind.name,
            length,
            request.alphabet.unwrap_or(Alphabet::Portable),
        );
        Ok(Self {
            recipe,
            entropy: Entropy::new(),
        })
    }

    /// The entropy of one credential, in bits.
    pub fn bits(&self) -> f64 {
        self.recipe.bits()
    }

    /// One credential.
    ///
    /// # Errors
    /// If the operating system gives no entropy.
    pub fn draw(&mut self) -> Result<SecretValue, Refused> {
        let mut one = Zeroizing::new(Vec::with_capacity(self.recipe.most_bytes()));
        self.recipe.append(&mut self.entropy, &mut one)?;
        Ok(SecretValue::from(one))
    }

    /// `count` credentials, one a line, handed to `out` in blocks of about 64 KiB.
    ///
    /// # Errors
    /// If the operating system gives no entropy, or `out` refuses a block.
    pub fn write_many(
        &mut self,
        count: u64,
        out: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Refused> {
        let line = self.recipe.most_bytes() + 1;
        let mut block = Zeroizing::new(Vec::with_capacity(BLOCK.max(line)));
        for _ in 0..count {
            if block.len() + line > block.capacity() {
                self.hand_on(&mut block, out)?;
            }
            self.recipe.append(&mut self.entropy, &mut block)?;
            block.push(b'\n');
        }
        self.hand_on(&mut block, out)
    }

    fn hand_on(
        &self,
        block: &mut Vec<u8>,
        out: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Refused> {
        let handed = out(block);
        block.clear();
        handed.map_err(|e| Refused {
            message: format!("cannot write what was generated: {e}"),
            hint: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn generator(
        name: &str,
        length: Option<usize>,
        alphabet: Option<Alphabet>,
    ) -> Result<Generator, Refused> {
        Generator::new(&Request {
            kind: kind(name).unwrap(),
            length,
            alphabet,
        })
    }

    fn draw(name: &str) -> String {
        let mut generator = generator(name, None, None).unwrap();
        String::from_utf8(generator.draw().unwrap().expose().to_vec()).unwrap()
    }

    #[test]
    fn a_django_key_passes_w009_and_has_the_entropy_it_claims() {
        for (alphabet, symbols, bits) in [
            (
                Alphabet::Portable,
                "abcdefghijklmnopqrstuvwxyz0123456789!@^*-_=+",
                272.7,
            ),
            (
                Alphabet::Django,
                "abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)",
                282.2,
            ),
        ] {
            let mut generator = generator("django", None, Some(alphabet)).unwrap();
            assert!(
                (generator.bits() - bits).abs() < 0.05,
                "{}",
                generator.bits()
            );
            for _ in 0..1000 {
                let key = generator.draw().unwrap();
                let key = key.expose_text().unwrap();
                assert_eq!(key.len(), 50);
                assert!(key.chars().all(|c| symbols.contains(c)));
                assert!(key.chars().collect::<BTreeSet<_>>().len() >= 5);
                assert!(!key.starts_with("django-insecure-"));
            }
        }
    }

    /// Pearson's test: the statistic of a fair draw of 44 symbols has mean 43 and exceeds 110 once
    /// in a million; folding by modulo would put it in the thousands.
    #[test]
    fn every_symbol_has_the_same_chance() {
        let mut generator = generator("django", Some(4096), None).unwrap();
        let mut counts = std::collections::BTreeMap::<u8, f64>::new();
        let mut total = 0.0;
        for _ in 0..100 {
            for byte in &generator.draw().unwrap().expose()[1..] {
                *counts.entry(*byte).or_default() += 1.0;
                total += 1.0;
            }
        }
        assert_eq!(counts.len(), 44);
        let expected = total / 44.0;
        let statistic: f64 = counts
            .values()
            .map(|n| (n - expected).powi(2) / expected)
            .sum();
        assert!(statistic < 110.0, "{statistic}");
        assert!(statistic > 10.0, "{statistic}: too even to be random");
    }

    #[test]
    fn each_kind_has_the_form_it_says() {
        assert_eq!(draw("hex").len(), 64);
        assert!(draw("hex").bytes().all(|b| b.is_ascii_hexdigit()));
        assert_eq!(draw("base64").len(), 44);
        assert_eq!(draw("urlsafe").len(), 43);
        assert!(
            draw("urlsafe")
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        );
        assert_eq!(draw("fernet").len(), 44);
        assert!(draw("fernet").ends_with('='));
        assert_eq!(draw("password").len(), 24);
        assert_eq!(draw("passphrase").split('-').count(), 8);
        let uuid = draw("uuid");
        assert_eq!((uuid.len(), &uuid[14..15]), (36, "4"));
        assert!("89ab".contains(&uuid[19..20]));
    }

    #[test]
    fn the_entropy_claimed_is_that_of_the_form() {
        for (name, bits) in [
            ("hex", 256.0),
            ("base64", 256.0),
            ("urlsafe", 256.0),
            ("fernet", 256.0),
            ("uuid", 122.0),
            ("passphrase", 88.0),
            ("password", 143.8),
        ] {
            let claimed = generator(name, None, None).unwrap().bits();
            assert!((claimed - bits).abs() < 0.05, "{name}: {claimed}");
        }
    }

    #[test]
    fn weak_and_senseless_requests_are_refused_with_the_reason() {
        assert!(
            generator("django", Some(49), None)
                .unwrap_err()
                .message
                .contains("W009")
        );
        for (name, least) in [
            ("password", 12),
            ("hex", 16),
            ("base64", 16),
            ("urlsafe", 16),
            ("passphrase", 6),
        ] {
            assert!(generator(name, Some(least - 1), None).is_err(), "{name}");
            assert!(generator(name, Some(least), None).is_ok(), "{name}");
        }
        for name in ["uuid", "fernet"] {
            assert!(generator(name, Some(64), None).is_err(), "{name}");
        }
        assert!(generator("hex", None, Some(Alphabet::Django)).is_err());
        assert!(generator("django", Some(1 << 20), None).is_err());
    }

    #[test]
    fn many_are_written_one_a_line_and_all_differ() {
        let mut text = Vec::new();
        generator("django", None, None)
            .unwrap()
            .write_many(5000, &mut |block| {
                text.extend_from_slice(block);
                Ok(())
            })
            .unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: BTreeSet<_> = text.lines().collect();
        assert_eq!(lines.len(), 5000);
        assert!(lines.iter().all(|line| line.len() == 50));
    }
}
