//! Lines that keep `.env` files, and what a killed run leaves beside them, out of source control.

/// The lines, most of which a project has.
const WANTED: &[&str] = &[
    ".env",
    ".env.*",
    "!.env.example",
    ".*.secrets-*",
    ".secrets/*.replaced.age",
];

/// The text with the lines that are missing; `None` if none is.
pub fn gitignore_lines(text: &str) -> Option<String> {
    let has = |line: &str| {
        text.lines()
            .map(str::trim)
            .any(|l| l == line || l.trim_start_matches('/') == line)
    };
    let missing: Vec<_> = WANTED.iter().filter(|line| !has(line)).collect();
    if missing.is_empty() {
        return None;
    }
    let line_end = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') {
        out.push_str(line_end);
    }
    for line in missing {
        out.push_str(line);
        out.push_str(line_end);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_added() {
        assert_eq!(
            gitignore_lines("").as_deref(),
            Some(".env\n.env.*\n!.env.example\n.*.secrets-*\n.secrets/*.replaced.age\n")
        );
        assert_eq!(
            gitignore_lines("*.pyc\n/.env").as_deref(),
            Some("*.pyc\n/.env\n.env.*\n!.env.example\n.*.secrets-*\n.secrets/*.replaced.age\n")
        );
        let whole = gitignore_lines("a\r\n").unwrap();
        assert!(whole.ends_with(".*.secrets-*\r\n.secrets/*.replaced.age\r\n"));
        assert_eq!(gitignore_lines(&whole), None);
    }
}
