//! How names of secrets are written in a vault, and read back. A vault holds
//! `[0-9a-zA-Z-]{1,127}` and takes no notice of case, so that `_` and lower-case letters need a
//! spelling of their own. It must never give two names one id, whatever the case.
//!
//! Names and their case: <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers>

use secrets_api::Name;

/// The longest id of a vault, in characters (the document above, "object-name").
pub(crate) const LONGEST: usize = 127;

/// What stands between a prefix and the name.
const BETWEEN: &str = "--";

/// Whose entry of a vault an id is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whose {
    /// It is a secret of this store.
    Ours(Name),
    /// It is of this store and its name is none that we could have written.
    Foreign,
    /// It is none of this store's: it lacks the prefix.
    Elsewhere,
}

/// The spelling within one store.
///
/// `SECRET_KEY` is `SECRET-KEY`. A name with lower-case letters starts with `0` (which no name does),
/// a mask of its letters in hexadecimal digits, the first letter being the highest bit, set where it is
/// lower-case, and `-`: `Debug` is `078-DEBUG`. All of it below the prefix: `shop--SECRET-KEY`.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// With what separates it from the name; empty where there is none.
    prefix: String,
}

impl Names {
    /// `None` for a prefix that could be mistaken for a part of a name, or leaves no room for one.
    pub(crate) fn new(prefix: Option<&str>) -> Option<Self> {
        let Some(prefix) = prefix else {
            return Some(Self {
                prefix: String::new(),
            });
        };
        let fits = prefix.len() <= LONGEST / 2
            && prefix.starts_with(|c: char| c.is_ascii_alphanumeric())
            && !prefix.ends_with('-')
            && !prefix.contains(BETWEEN)
            && prefix
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-');
        fits.then(|| Self {
            prefix: format!("{prefix}{BETWEEN}"),
        })
    }

    /// The id of a name; `None` where it would be too long.
    pub(crate) fn id(&self, name: &Name) -> Option<String> {
        let id = format!("{}{}", self.prefix, spelled(name.as_str()));
        (id.len() <= LONGEST).then_some(id)
    }

    /// Whose id it is.
    pub(crate) fn whose(&self, id: &str) -> Whose {
        let Some((prefix, rest)) = id.split_at_checked(self.prefix.len()) else {
            return Whose::Elsewhere;
        };
        if !prefix.eq_ignore_ascii_case(&self.prefix) {
            return Whose::Elsewhere;
        }
        match read(rest) {
            Some(name) => Whose::Ours(name),
            None => Whose::Foreign,
        }
    }

    /// How long a name may be and fit whatever its letters.
    pub(crate) fn longest(&self) -> usize {
        let room = LONGEST - self.prefix.len();
        let fits = |length: &usize| 1 + length.div_ceil(4) + 1 + length <= room;
        (1..=room).rev().find(fits).unwrap_or_default()
    }
}

fn spelled(name: &str) -> String {
    let plain = name.to_ascii_uppercase().replace('_', "-");
    if !name.contains(|c: char| c.is_ascii_lowercase()) {
        return plain;
    }
    let letters = name.chars().filter(char::is_ascii_alphabetic);
    let lower: Vec<bool> = letters.map(|c| c.is_ascii_lowercase()).collect();
    let digit = |four: &[bool]| {
        let bits = (0..4).map(|at| u32::from(four.get(at).copied().unwrap_or(false)) << (3 - at));
        char::from_digit(bits.sum(), 16).unwrap_or('0')
    };
    let mask: String = lower.chunks(4).map(digit).collect();
    format!("0{mask}-{plain}")
}

/// The name that is spelled so in whatever case; `None` where none is.
fn read(id: &str) -> Option<Name> {
    let text = match id.strip_prefix('0') {
        None => id.to_ascii_uppercase(),
        Some(rest) => {
            let (mask, plain) = rest.split_once('-')?;
            let digits: Option<Vec<u32>> = mask.chars().map(|c| c.to_digit(16)).collect();
            let digits = digits?;
            let mut letters = 0;
            let mut cased = |c: char| {
                if !c.is_ascii_alphabetic() {
                    return c;
                }
                let bits = digits.get(letters / 4).copied().unwrap_or(0);
                let lower = bits >> (3 - letters % 4) & 1 == 1;
                letters += 1;
                if lower {
                    c.to_ascii_lowercase()
                } else {
                    c.to_ascii_uppercase()
                }
            };
            plain.chars().map(&mut cased).collect()
        }
    };
    let name = Name::new(&text.replace('-', "_")).ok()?;
    // A mask of the wrong length, or of no letter, is another spelling of a name that has its own.
    spelled(name.as_str())
        .eq_ignore_ascii_case(id)
        .then_some(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn plain() -> Names {
        Names::new(None).unwrap()
    }

    #[test]
    fn names_are_spelled_as_a_vault_allows() {
        for (text, id) in [
            ("SECRET_KEY", "SECRET-KEY"),
            ("A", "A"),
            ("_", "-"),
            ("__", "--"),
            ("_9", "-9"),
            ("a", "08-A"),
            ("aB", "08-AB"),
            ("Ab", "04-AB"),
            ("Debug", "078-DEBUG"),
            ("export", "0fc-EXPORT"),
            ("_x1_y", "0c--X1-Y"),
        ] {
            assert_eq!(plain().id(&name(text)).unwrap(), id);
            assert_eq!(plain().whose(id), Whose::Ours(name(text)), "{id}");
            let shop = Names::new(Some("shop")).unwrap();
            assert_eq!(shop.id(&name(text)).unwrap(), format!("shop--{id}"));
            let other_case = format!("SHOP--{}", id.to_lowercase());
            assert_eq!(shop.whose(&other_case), Whose::Ours(name(text)));
        }
    }

    #[test]
    fn what_others_have_made_is_read_in_whatever_case() {
        let ours = |text| Whose::Ours(name(text));
        assert_eq!(
            plain().whose("django-secret-key"),
            ours("DJANGO_SECRET_KEY")
        );
        assert_eq!(plain().whose("DjangoSecretKey"), ours("DJANGOSECRETKEY"));
        // Not a mask that we would have written.
        for foreign in [
            "1a", "0-A", "00-A", "0f-A", "08-1", "0g-A", "08", "0", "080-A",
        ] {
            assert_eq!(plain().whose(foreign), Whose::Foreign, "{foreign}");
        }
        let shop = Names::new(Some("shop")).unwrap();
        for elsewhere in ["shop", "shop-", "shop-A", "shoq--A", "A", "", "ünï--A"] {
            assert_eq!(shop.whose(elsewhere), Whose::Elsewhere, "{elsewhere}");
        }
        assert_eq!(shop.whose("shop--"), Whose::Foreign);
    }

    #[test]
    fn a_prefix_that_could_be_part_of_a_name_is_refused() {
        for fine in ["shop", "Shop-2", "0a", "a-b-c"] {
            assert!(Names::new(Some(fine)).is_some(), "{fine}");
        }
        for wrong in ["", "a--b", "a-", "-a", "a_b", "a/b", "ä", &"x".repeat(64)] {
            assert!(Names::new(Some(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn the_longest_name_fits_and_the_next_one_does_not() {
        for prefix in [
            None,
            Some("shop"),
            Some("a-b-c-d-e-f-g-h-i"),
            Some(&*"x".repeat(63)),
        ] {
            let names = Names::new(prefix).unwrap();
            let most = names.longest();
            assert!(most >= 48, "{prefix:?}: {most}");
            assert!(names.id(&name(&"x".repeat(most))).is_some());
            assert!(names.id(&name(&"x".repeat(most + 1))).is_none());
        }
        assert_eq!(plain().longest(), 100);
    }

    proptest! {
        #[test]
        fn every_name_comes_back_in_whatever_case(
            text in "[A-Za-z_][A-Za-z0-9_]{0,99}",
            prefix in proptest::option::of("[a-zA-Z0-9]{1,8}(-[a-zA-Z0-9]{1,4}){0,2}"),
        ) {
            let names = Names::new(prefix.as_deref()).unwrap();
            if let Some(id) = names.id(&name(&text)) {
                prop_assert!(id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
                for id in [id.clone(), id.to_lowercase(), id.to_uppercase()] {
                    prop_assert_eq!(names.whose(&id), Whose::Ours(name(&text)));
                }
            }
        }

        #[test]
        fn no_two_names_share_an_id(
            texts in proptest::collection::hash_set("[aAbB0_]{1,5}", 1..60),
        ) {
            let mut seen: HashMap<String, String> = HashMap::new();
            for text in texts {
                let Ok(name) = Name::new(&text) else { continue };
                let id = plain().id(&name).unwrap().to_lowercase();
                prop_assert_eq!(seen.insert(id, text), None);
            }
        }

        #[test]
        fn an_id_is_one_name_or_none(id in "[0-9a-fA-F-]{1,8}") {
            if let Whose::Ours(name) = plain().whose(&id) {
                prop_assert!(plain().id(&name).unwrap().eq_ignore_ascii_case(&id));
            }
        }
    }
}
