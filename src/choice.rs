//! `--only` and `--except`: which names a verb is about.

use secrets_api::Name;
use wildmatch::WildMatch;

use crate::exit::{Exit, Failure, Result};
use crate::flags::Choice;
use crate::suggest;

/// A choice of names, ready to be asked.
#[derive(Debug, Default)]
pub struct Chosen {
    only: Vec<Pattern>,
    except: Vec<Pattern>,
}

/// A pattern as it was given; `*` stands for any characters, `?` for one.
#[derive(Debug)]
struct Pattern {
    word: String,
    matches: WildMatch,
}

impl Pattern {
    fn fits(&self, name: &str) -> bool {
        self.matches.matches(name)
    }

    fn is_plain(&self) -> bool {
        !self.word.contains(['*', '?'])
    }

    /// That nothing there is fits it.
    fn unfit<'a>(&self, flag: &str, known: impl Iterator<Item = &'a str>) -> Failure {
        let near = suggest::nearest(&self.word, known).map(|n| format!("did you mean `{n}`?"));
        Failure::new(
            Exit::NotFound,
            format!("no name fits `{flag} {}`", self.word),
        )
        .with_hint_opt(near)
    }
}

impl Chosen {
    /// Takes the patterns.
    pub fn new(choice: &Choice) -> Self {
        let patterns = |words: &[String]| {
            let pattern = |word: &String| Pattern {
                word: word.clone(),
                matches: WildMatch::new(word),
            };
            words.iter().map(pattern).collect()
        };
        Self {
            only: patterns(&choice.only),
            except: patterns(&choice.except),
        }
    }

    /// Whether `name` is meant.
    pub fn holds(&self, name: &Name) -> bool {
        let name = name.as_str();
        (self.only.is_empty() || self.only.iter().any(|p| p.fits(name)))
            && !self.except.iter().any(|p| p.fits(name))
    }

    /// Refuses an `--only` that fits no name there is, and an `--except NAME` that is neither there
    /// nor `declared`: slips that would else go unseen.
    ///
    /// # Errors
    /// `NotFound`, naming the nearest name there is.
    pub fn check<'a>(
        &self,
        known: impl Iterator<Item = &'a Name> + Clone,
        declared: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let known = known.map(Name::as_str);
        let there = |pattern: &Pattern| known.clone().any(|name| pattern.fits(name));
        if let Some(unfit) = self.only.iter().find(|p| !there(p)) {
            return Err(unfit.unfit("--only", known.clone()));
        }
        let slip = |p: &&Pattern| p.is_plain() && !there(p) && !declared(&p.word);
        match self.except.iter().find(slip) {
            Some(unfit) => Err(unfit.unfit("--except", known.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_and_except_take_globs_and_except_wins() {
        let chosen = Chosen::new(&Choice {
            only: vec!["DB_*".into(), "KEY".into()],
            except: vec!["*_OLD".into()],
        });
        let holds = |name| chosen.holds(&Name::new(name).unwrap());
        assert!(holds("DB_URL") && holds("KEY"));
        assert!(!holds("DB_OLD") && !holds("KEYS") && !holds("OTHER"));
        assert!(Chosen::default().holds(&Name::new("ANY").unwrap()));
    }

    #[test]
    fn a_pattern_that_fits_nothing_names_the_nearest() {
        let known = [Name::new("SECRET_KEY").unwrap()];
        let check = |only: &[&str], except: &[&str]| {
            let words = |list: &[&str]| list.iter().map(|w| (*w).to_owned()).collect();
            let choice = Choice {
                only: words(only),
                except: words(except),
            };
            Chosen::new(&choice).check(known.iter(), |word| word == "DECLARED")
        };
        for (only, except) in [(&["SECRET_KYE"][..], &[][..]), (&[], &["SECRET_KYE"])] {
            let failure = check(only, except).unwrap_err();
            assert_eq!(failure.hint.as_deref(), Some("did you mean `SECRET_KEY`?"));
        }
        assert!(check(&["SECRET_*"], &["DECLARED", "OLD_*"]).is_ok());
        assert!(check(&["OLD_*"], &[]).is_err());
    }
}
