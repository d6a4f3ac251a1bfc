//! `.env.example`: the names a project needs, and no value that is one.

/// One name of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The name.
    pub name: String,
    /// What it is for, from the manifest.
    pub description: Option<String>,
    /// Its default, where it is no secret.
    pub default: Option<String>,
}

/// The text of a new file.
pub fn example(lines: &[Line]) -> String {
    let mut text = String::from(
        "# The names this project reads from its environment. No values: this file is committed.\n",
    );
    for line in lines {
        if let Some(description) = &line.description {
            let plain: String = description.chars().filter(|c| !c.is_control()).collect();
            text.push_str(&format!("\n# {plain}\n"));
        }
        let default = line.default.as_deref().filter(|d| {
            d.chars()
                .all(|c| c.is_ascii_alphanumeric() || "_./:@,+-".contains(c))
        });
        text.push_str(&format!("{}={}\n", line.name, default.unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_with_what_they_are_for_and_without_values() {
        let line = |name: &str, description: Option<&str>, default: Option<&str>| Line {
            name: name.into(),
            description: description.map(Into::into),
            default: default.map(Into::into),
        };
        let text = example(&[
            line("DATABASE_URL", Some("PostgreSQL"), None),
            line("DEBUG", None, Some("false")),
            line("ODD", None, Some("a b")),
        ]);
        assert!(
            text.ends_with("\n# PostgreSQL\nDATABASE_URL=\nDEBUG=false\nODD=\n"),
            "{text}"
        );
    }
}
