//! Words as a POSIX shell reads them: in commands that are printed to be typed, and in what git calls.

/// A word that a shell takes for itself (POSIX.1-2024, XCU 2.2 Quoting).
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_more_into_it() {
        for (word, expected) in [
            ("dotenv:.env", "dotenv:.env"),
            ("A=B,C", "A=B,C"),
            ("", "''"),
            ("DB_*", "'DB_*'"),
            ("aws:x?region=a&layout=each", "'aws:x?region=a&layout=each'"),
            ("it's", r"'it'\''s'"),
            ("~/x", "'~/x'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}
