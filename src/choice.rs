//! `--only` and `--except`: which names a verb is about.

use globset::{GlobBuilder, GlobMatcher};
use secrets_api::Name;

use crate::cli::Choice;
use crate::exit::{Failure, Result};
use crate::suggest;

/// A choice of names, ready to be asked.
#[derive(Debug, Default)]
pub struct Chosen {
    only: Vec<GlobMatcher>,
    except: Vec<GlobMatcher>,
}

impl Chosen {
    /// Understands the patterns.
    ///
    /// # Errors
    /// If one is no glob.
    pub fn new(choice: &Choice) -> Result<Self> {
        Ok(Self {
            only: globs(&choice.only)?,
            except: globs(&choice.except)?,
        })
    }

    /// Whether `name` is meant.
    pub fn holds(&self, name: &Name) -> bool {
        let name = name.as_str();
        (self.only.is_empty() || self.only.iter().any(|g| g.is_match(name)))
            && !self.except.iter().any(|g| g.is_match(name))
    }

    /// Refuses an `--only` that fits no name: a slip that would else go unseen.
    ///
    /// # Errors
    /// `NotFound`, naming the nearest name there is.
    pub fn check<'a>(&self, known: impl Iterator<Item = &'a Name> + Clone) -> Result<()> {
        for glob in &self.only {
            if !known.clone().any(|name| glob.is_match(name.as_str())) {
                let word = glob.glob().glob();
                let names: Vec<&str> = known.clone().map(Name::as_str).collect();
                return Err(Failure::new(
                    crate::exit::Exit::NotFound,
                    format!("no name fits `--only {word}`"),
                )
                .with_hint_opt(
                    suggest::nearest(word, names).map(|n| format!("did you mean `{n}`?")),
                ));
            }
        }
        Ok(())
    }
}

fn globs(patterns: &[String]) -> Result<Vec<GlobMatcher>> {
    patterns
        .iter()
        .map(|pattern| {
            let glob = GlobBuilder::new(pattern).literal_separator(false).build();
            glob.map(|g| g.compile_matcher()).map_err(|e| {
                Failure::usage(format!("`{pattern}` is no pattern: {}", e.kind()))
                    .with_hint("`*` matches any characters, `?` one, `[ab]` either")
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_and_except_take_globs_and_except_wins() {
        let chosen = Chosen::new(&Choice {
            only: vec!["DB_*".into(), "KEY".into()],
            except: vec!["*_OLD".into()],
        })
        .unwrap();
        let holds = |name| chosen.holds(&Name::new(name).unwrap());
        assert!(holds("DB_URL") && holds("KEY"));
        assert!(!holds("DB_OLD") && !holds("KEYS") && !holds("OTHER"));
        assert!(Chosen::default().holds(&Name::new("ANY").unwrap()));
    }

    #[test]
    fn an_only_that_fits_nothing_names_the_nearest() {
        let chosen = Chosen::new(&Choice {
            only: vec!["SECRET_KYE".into()],
            except: vec![],
        })
        .unwrap();
        let known = [Name::new("SECRET_KEY").unwrap()];
        let failure = chosen.check(known.iter()).unwrap_err();
        assert_eq!(failure.hint.as_deref(), Some("did you mean `SECRET_KEY`?"));
    }
}
