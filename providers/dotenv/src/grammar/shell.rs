//! A POSIX shell that reads the file with `.`, as far as that only assigns. Whatever would run a
//! command, or depends on the process that reads it, is an error.

use super::{
    Binding, DEEPEST, LineStarts, MOST_BINDINGS, Otherwise, Piece, Pieces, Problem, Quote,
    Unreadable, Variable, line_end, line_start, rest_is_idle,
};

const COMMAND: &str =
    "a shell would run a command here: nothing is run; quote the value, or write NAME=value";
const REDIRECTION: &str = "a shell would take this for an operator: quote the value";
const UNFIXED: &str =
    "this differs from one shell, or one run, to the next: write the value itself";
const OPEN: &str = "this quote, or brace, is never closed";

pub(super) fn bindings(text: &str, start: usize) -> Vec<Binding> {
    let mut found = Vec::new();
    let mut reader = Reader {
        text,
        at: start,
        lines: LineStarts::from(start),
    };
    while found.len() <= MOST_BINDINGS {
        match reader.statement(&mut found) {
            Ok(true) => {}
            Ok(false) => break,
            Err((at, why)) => {
                found.push(Binding {
                    line: line_start(text, at)..line_end(text, at),
                    key: None,
                    key_end: at,
                    value: None,
                    quote: Quote::None,
                    problem: Some(Problem {
                        at,
                        why,
                        fatal: true,
                    }),
                });
                break;
            }
        }
    }
    found
}

/// What a value means.
pub(super) fn pieces(written: &str) -> Result<Vec<Piece<'_>>, Unreadable> {
    if !written.contains(['\\', '\'', '"', '$', '`', '~']) {
        return Ok(vec![Piece::Text(written)]);
    }
    let mut out = Pieces::default();
    let mut reader = Reader {
        text: written,
        at: 0,
        lines: LineStarts::default(),
    };
    reader.word(&mut out)?;
    Ok(out.finish())
}

/// What a shell sets by itself, to something else in every run (POSIX.1-2024, 2.5.3; bash, "Bash
/// Variables").
const OWN: &[&str] = &[
    "BASHOPTS",
    "BASHPID",
    "EPOCHREALTIME",
    "EPOCHSECONDS",
    "EUID",
    "IFS",
    "LINENO",
    "OLDPWD",
    "OPTIND",
    "PPID",
    "PS1",
    "PS2",
    "PS4",
    "PWD",
    "RANDOM",
    "SECONDS",
    "SHELLOPTS",
    "SHLVL",
    "SRANDOM",
    "UID",
];

/// What bash does not let a file set.
const READ_ONLY: &[&str] = &[
    "BASHOPTS",
    "BASH_VERSINFO",
    "EUID",
    "PPID",
    "SHELLOPTS",
    "UID",
];

/// The statement as a whole, where `cut` takes all the items of an `export`: by itself that word
/// would print the environment. A comment behind it stays.
pub(crate) fn whole(text: &str, cut: std::ops::Range<usize>) -> std::ops::Range<usize> {
    let line = line_start(text, cut.start);
    let word = "export";
    let before = text[line..cut.start].strip_suffix(word);
    let begins = before.is_some_and(|b| b.is_empty() || b.ends_with([' ', '\t', ';']));
    let after = text[cut.end..].trim_start_matches([' ', '\t']);
    if !begins || !(after.is_empty() || after.starts_with(['\n', '#', ';'])) {
        return cut;
    }
    let blank = before.is_some_and(|b| b.trim_matches([' ', '\t']).is_empty());
    let start = cut.start - word.len();
    let end = text.len() - after.len();
    if let Some(rest) = after.strip_prefix(';') {
        start..text.len() - rest.trim_start_matches([' ', '\t']).len()
    } else if blank && !after.starts_with('#') {
        line..line_end(text, end)
    } else {
        start..end
    }
}

/// A word ends here.
fn ends_word(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | ';')
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: LineStarts,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn blanks(&mut self) {
        while let Some(c) = self.peek() {
            if c == ' ' || c == '\t' {
                self.at += 1;
            } else if self.rest().starts_with("\\\n") {
                self.at += 2;
            } else {
                break;
            }
        }
    }

    fn name(&self) -> &'a str {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return "";
        }
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        &rest[..end.unwrap_or(rest.len())]
    }

    /// The next statement; no at the end of the text.
    fn statement(&mut self, found: &mut Vec<Binding>) -> Result<bool, Unreadable> {
        loop {
            self.blanks();
            match self.peek() {
                None => return Ok(false),
                Some('\n') => self.at += 1,
                Some('#') => self.at = line_end(self.text, self.at),
                Some(_) => break,
            }
        }
        let first = found.len();
        let start = self.at;
        let before = found.last().map_or(0, |b| b.line.end);
        let exports = self
            .rest()
            .strip_prefix("export")
            .is_some_and(|r| r.starts_with([' ', '\t']));
        if exports {
            self.at += "export".len();
        }
        let mut items = 0;
        loop {
            self.blanks();
            match self.peek() {
                None | Some('\n' | '#') => break,
                Some(';') if items > 0 => {
                    self.at += 1;
                    break;
                }
                Some(_) => found.extend(self.assignment(exports)?),
            }
            items += 1;
        }
        if items == 0 {
            // A bare `export` prints the environment.
            return Err((start, COMMAND));
        }
        let only = items == 1;
        self.lines(&mut found[first..], only, start, before);
        Ok(true)
    }

    /// An assignment; none where `export NAME` passes on what is set elsewhere.
    fn assignment(&mut self, exports: bool) -> Result<Option<Binding>, Unreadable> {
        let start = self.at;
        let key = start..start + self.name().len();
        if key.is_empty() {
            return Err((start, COMMAND));
        }
        if READ_ONLY.contains(&&self.text[key.clone()]) {
            return Err((start, UNFIXED));
        }
        self.at = key.end;
        let mut binding = Binding {
            line: start..start,
            key_end: key.end,
            key: Some(key.clone()),
            value: None,
            quote: Quote::None,
            problem: None,
        };
        match self.peek() {
            Some('=') => {
                self.at += 1;
                let from = self.at;
                let braces = self.word(&mut Pieces::default())?;
                let word = &self.text[from..self.at];
                // Bash may make several words of this one, as it is no assignment of its own.
                if exports && braces && (word.contains(',') || word.contains("..")) {
                    return Err((from, UNFIXED));
                }
                binding.value = Some(from..self.at);
            }
            None | Some(' ' | '\t' | '\n' | ';') if exports => return Ok(None),
            _ => return Err((start, COMMAND)),
        }
        binding.line.end = self.at;
        Ok(Some(binding))
    }

    /// What goes with each of these items of one statement: alone on its lines, these; else its own
    /// part.
    fn lines(&mut self, items: &mut [Binding], only: bool, start: usize, before: usize) {
        let begin = self.lines.of(self.text, start);
        // Nothing of the statement before it is on its line.
        let alone = before <= begin;
        match items {
            [one] if only && alone && rest_is_idle(self.text, self.at) => {
                one.line = begin..line_end(self.text, one.line.end);
            }
            [one] if only => one.line = start..self.at,
            many => {
                for one in many {
                    // With the blanks before it.
                    let before = self.text[..one.line.start].trim_end_matches([' ', '\t']);
                    one.line = before.len()..one.line.end;
                }
            }
        }
    }

    /// One word, to the blank, line end or `;` after it, and whether a brace opens in it.
    fn word(&mut self, out: &mut Pieces<'a>) -> Result<bool, Unreadable> {
        // A `~` here is somebody's home folder.
        let mut tilde = true;
        let mut braces = false;
        while let Some(c) = self.peek() {
            match c {
                c if ends_word(c) => break,
                '&' | '|' | '<' | '>' | '(' | ')' => return Err((self.at, REDIRECTION)),
                '~' if tilde => return Err((self.at, UNFIXED)),
                _ => self.part(c, out, 0, false)?,
            }
            tilde = c == ':';
            braces |= c == '{';
        }
        Ok(braces)
    }

    /// One part of a word: a quoted text, a variable, a character.
    fn part(
        &mut self,
        c: char,
        out: &mut Pieces<'a>,
        depth: usize,
        within: bool,
    ) -> Result<(), Unreadable> {
        let start = self.at;
        self.at += c.len_utf8();
        match c {
            '\\' => match self.peek() {
                None => out.push('\\'),
                Some('\n') => self.at += 1,
                // Within `"${…}"` a backslash is what it is in quotes.
                Some(after) => {
                    if within && !matches!(after, '$' | '`' | '"' | '\\' | '}') {
                        out.push('\\');
                    }
                    out.push(after);
                    self.at += after.len_utf8();
                }
            },
            '\'' if !within => {
                let rest = self.rest();
                let length = rest.find('\'').ok_or((start, OPEN))?;
                out.push_str(&rest[..length]);
                self.at += length + 1;
            }
            '"' => self.double(start, out, depth)?,
            '`' => return Err((start, COMMAND)),
            '$' => self.variable(start, out, depth, within)?,
            c => out.push(c),
        }
        Ok(())
    }

    fn double(
        &mut self,
        start: usize,
        out: &mut Pieces<'a>,
        depth: usize,
    ) -> Result<(), Unreadable> {
        while let Some(c) = self.peek() {
            let at = self.at;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(()),
                '`' => return Err((at, COMMAND)),
                '$' => self.variable(at, out, depth, true)?,
                '\\' => match self.peek() {
                    Some('\n') => self.at += 1,
                    Some(after @ ('$' | '`' | '"' | '\\')) => {
                        out.push(after);
                        self.at += 1;
                    }
                    _ => out.push('\\'),
                },
                c => out.push(c),
            }
        }
        Err((start, OPEN))
    }

    /// Behind a `$`.
    fn variable(
        &mut self,
        start: usize,
        out: &mut Pieces<'a>,
        depth: usize,
        quoted: bool,
    ) -> Result<(), Unreadable> {
        match self.peek() {
            Some('(') => Err((start, COMMAND)),
            // `$'…'` and `$"…"` are bash's own.
            Some('\'' | '"') if !quoted => Err((start, UNFIXED)),
            Some('$' | '!' | '?' | '#' | '*' | '@' | '-' | '0') => Err((start, UNFIXED)),
            // A file that is read with `.` has no arguments.
            Some('1'..='9') => {
                self.at += 1;
                Ok(())
            }
            Some('{') => {
                self.at += 1;
                self.braced(start, out, depth, quoted)
            }
            _ => {
                let name = self.name();
                if name.is_empty() {
                    out.push('$');
                } else if OWN.contains(&name) {
                    return Err((start, UNFIXED));
                } else {
                    self.at += name.len();
                    out.variable(Variable::plain(name));
                }
                Ok(())
            }
        }
    }

    fn braced(
        &mut self,
        start: usize,
        out: &mut Pieces<'a>,
        depth: usize,
        quoted: bool,
    ) -> Result<(), Unreadable> {
        let name = self.name();
        if depth > DEEPEST {
            return Err((start, "variables are nested too deeply"));
        }
        if name.is_empty() || OWN.contains(&name) {
            return Err((start, UNFIXED));
        }
        self.at += name.len();
        let empty = self.rest().starts_with(':');
        self.at += usize::from(empty);
        let operator = self.peek();
        let otherwise = match operator {
            Some('}') if !empty => Otherwise::Nothing,
            Some('-' | '+' | '?') => {
                self.at += 1;
                let mut word = Pieces::default();
                loop {
                    match self.peek() {
                        None => return Err((start, OPEN)),
                        Some('}') => break,
                        Some(c) => self.part(c, &mut word, depth + 1, quoted)?,
                    }
                }
                let word = word.finish();
                match operator {
                    Some('-') => Otherwise::Default { empty, word },
                    Some('+') => Otherwise::Instead { empty, word },
                    _ => Otherwise::Required { empty },
                }
            }
            None => return Err((start, OPEN)),
            _ => {
                return Err((
                    start,
                    "a shell computes something here: write the value itself",
                ));
            }
        };
        self.at += 1;
        let name = name.into();
        out.variable(Variable { name, otherwise });
        Ok(())
    }
}
