//! The nearest right word for a wrong one.

/// The candidate that `word` was most likely meant to be, if any is near enough.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|c| {
            (
                strsim::damerau_levenshtein(&folded, &c.to_ascii_lowercase()),
                c,
            )
        })
        .filter(|(distance, c)| *distance <= c.len().max(word.len()).div_ceil(3).min(4))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, c)| c)
}

/// `did you mean …?`, or the list of what there is.
pub fn hint<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(near) = nearest(word, candidates.clone()) {
        return Some(format!("did you mean `{near}`?"));
    }
    let all: Vec<_> = candidates.into_iter().collect();
    (!all.is_empty()).then(|| format!("there is {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_finds_its_word() {
        let words = ["dev", "staging", "production", "SECRET_KEY"];
        assert_eq!(nearest("prodution", words), Some("production"));
        assert_eq!(nearest("secretkey", words), Some("SECRET_KEY"));
        assert_eq!(nearest("dve", words), Some("dev"));
        assert_eq!(nearest("elephant", words), None);
        assert_eq!(
            hint("elephant", ["dev", "prod"]).as_deref(),
            Some("there is dev, prod")
        );
    }
}
