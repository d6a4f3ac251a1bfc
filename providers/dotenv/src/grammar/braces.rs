//! `${NAME}` and `${NAME:-default}`, as python-dotenv's `variables.py` has them: one pass, never
//! into what was put in, and in time that grows with the length alone, whatever a file holds.

/// A part of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    Text(&'a str),
    Variable { name: &'a str, default: &'a str },
}

/// Takes a value apart: `\$\{([^}:]*)(?::-([^}]*))?\}`.
pub(crate) fn parts(value: &str) -> Parts<'_> {
    Parts {
        rest: value,
        next: None,
    }
}

/// See [`parts`].
#[derive(Clone)]
pub(crate) struct Parts<'a> {
    rest: &'a str,
    next: Option<Part<'a>>,
}

impl<'a> Iterator for Parts<'a> {
    type Item = Part<'a>;

    fn next(&mut self) -> Option<Part<'a>> {
        if let Some(part) = self.next.take() {
            return Some(part);
        }
        if self.rest.is_empty() {
            return None;
        }
        let Some((start, end, variable)) = first_variable(self.rest) else {
            return Some(Part::Text(std::mem::take(&mut self.rest)));
        };
        let text = &self.rest[..start];
        self.rest = &self.rest[end..];
        if text.is_empty() {
            return Some(variable);
        }
        self.next = Some(variable);
        Some(Part::Text(text))
    }
}

/// The first variable, with where it starts and ends.
fn first_variable(value: &str) -> Option<(usize, usize, Part<'_>)> {
    let mut search = 0;
    loop {
        let start = search + value[search..].find("${")?;
        let name_start = start + "${".len();
        // Without a `}` or `:` behind it no later `${` is one either.
        let stop = name_start + value[name_start..].find(['}', ':'])?;
        let name = &value[name_start..stop];
        if value.as_bytes()[stop] == b'}' {
            return Some((start, stop + 1, Part::Variable { name, default: "" }));
        }
        if let Some(rest) = value[stop..].strip_prefix(":-") {
            // Without a `}` behind it, likewise.
            let default = &rest[..rest.find('}')?];
            let end = stop + ":-".len() + default.len() + 1;
            return Some((start, end, Part::Variable { name, default }));
        }
        // All `${` before this colon end at it, and fail at it.
        search = stop;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variable<'a>(name: &'a str, default: &'a str) -> Part<'a> {
        Part::Variable { name, default }
    }

    #[test]
    fn a_value_is_taken_apart_as_the_regular_expression_does() {
        use Part::Text;
        for (value, wanted) in [
            ("", vec![]),
            ("a$b{c}", vec![Text("a$b{c}")]),
            ("${A}", vec![variable("A", "")]),
            ("${A", vec![Text("${A")]),
            ("${A:-", vec![Text("${A:-")]),
            ("x${A:-d}y", vec![Text("x"), variable("A", "d"), Text("y")]),
            ("${A:-${B}}", vec![variable("A", "${B"), Text("}")]),
            ("${A${B}", vec![variable("A${B", "")]),
            ("${A:+1}${B}", vec![Text("${A:+1}"), variable("B", "")]),
            ("${${:${B:-}", vec![Text("${${:"), variable("B", "")]),
            ("${:-$}{A}", vec![variable("", "$"), Text("{A}")]),
            ("${}$", vec![variable("", ""), Text("$")]),
        ] {
            assert_eq!(parts(value).collect::<Vec<_>>(), wanted, "{value:?}");
        }
    }
}
