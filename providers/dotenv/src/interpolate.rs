//! `${NAME}` and `${NAME:-default}`, as python-dotenv's `variables.py` has them: one pass, never
//! into what was put in.

/// A part of a value.
pub(crate) enum Part<'a> {
    Text(&'a str),
    Variable { name: &'a str, default: &'a str },
}

/// Takes a value apart: `\$\{([^}:]*)(?::-([^}]*))?\}`.
pub(crate) fn parts(value: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let (mut from, mut search) = (0, 0);
    while let Some(start) = value[search..].find("${").map(|at| search + at) {
        let Some((variable, length)) = variable(&value[start + 2..]) else {
            search = start + 2;
            continue;
        };
        if start > from {
            parts.push(Part::Text(&value[from..start]));
        }
        parts.push(variable);
        from = start + 2 + length;
        search = from;
    }
    if from < value.len() {
        parts.push(Part::Text(&value[from..]));
    }
    parts
}

/// What follows `${`, and how long it is with its `}`.
fn variable(rest: &str) -> Option<(Part<'_>, usize)> {
    let end = rest.find(['}', ':'])?;
    let name = &rest[..end];
    if rest.as_bytes()[end] == b'}' {
        return Some((Part::Variable { name, default: "" }, end + 1));
    }
    let default = rest[end..].strip_prefix(":-")?;
    let length = default.find('}')?;
    Some((
        Part::Variable {
            name,
            default: &default[..length],
        },
        end + 2 + length + 1,
    ))
}

/// Whether a value depends on another. `${:-text}` has no name: it stands for its text.
pub(crate) fn is_derived(value: &str) -> bool {
    value.contains("${")
        && parts(value)
            .iter()
            .any(|part| matches!(part, Part::Variable { name, .. } if !name.is_empty()))
}
