//! `export NAME='value'` lines for a POSIX shell (POSIX.1-2024, XCU 2.2 Quoting). Reading takes
//! plain assignments with any quoting and runs nothing: what a shell would expand is an error.

use std::collections::BTreeMap;

use secrets_api::{Error, Name, Result, SecretValue, Zeroizing};

use super::{Items, broken, gather, name};

pub(super) fn render(items: &BTreeMap<Name, SecretValue>) -> Result<SecretValue> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for (name, value) in items {
        if value.has_nul() {
            return Err(Error::unsupported(format!(
                "{name} holds a NUL byte, which no shell can hold"
            ))
            .about(name)
            .with_hint("use `--format json`"));
        }
        parts.extend([b"export ", name.as_str().as_bytes(), b"='"]);
        for (index, piece) in value.expose().split(|b| *b == b'\'').enumerate() {
            if index > 0 {
                parts.push(br"'\''");
            }
            parts.push(piece);
        }
        parts.push(b"'\n");
    }
    Ok(gather(&parts))
}

pub(super) fn parse(bytes: &[u8]) -> Result<Items> {
    let mut reader = Reader {
        bytes,
        at: 0,
        line: 1,
    };
    let mut items = Vec::new();
    while let Some(item) = reader.assignment()? {
        items.push(item);
    }
    Ok(items)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn skip(&mut self, wanted: impl Fn(u8) -> bool) {
        while self.peek().is_some_and(&wanted) {
            self.next();
        }
    }

    fn error(&self, what: &str) -> Error {
        broken(format!("line {}: {what}", self.line))
    }

    /// The next assignment; `None` at the end.
    fn assignment(&mut self) -> Result<Option<(Name, SecretValue)>> {
        loop {
            self.skip(|b| b" \t\n;".contains(&b));
            match self.peek() {
                None => return Ok(None),
                Some(b'#') => self.skip(|b| b != b'\n'),
                Some(_) => break,
            }
        }
        if self.bytes[self.at..].starts_with(b"export ") {
            self.at += "export ".len();
            self.skip(|b| b" \t".contains(&b));
        }
        let start = self.at;
        self.skip(|b| b.is_ascii_alphanumeric() || b == b'_');
        let word = &self.bytes[start..self.at];
        if self.peek() != Some(b'=') {
            return Err(self.error("not an assignment: a command is never run"));
        }
        let name = name(word, &format!("line {}: what stands before `=`", self.line))?;
        self.next();
        let value = self.word()?;
        self.skip(|b| b" \t".contains(&b));
        match self.peek() {
            None | Some(b'\n' | b';' | b'#') => Ok(Some((name, value))),
            Some(_) => Err(self.error("more than one assignment, or a command, in a line")),
        }
    }

    /// One word, its quotes removed.
    fn word(&mut self) -> Result<SecretValue> {
        // No longer than what is left: never moved, so nothing is left behind.
        let mut value = Zeroizing::new(Vec::with_capacity(self.bytes.len() - self.at));
        loop {
            match self.peek() {
                None | Some(b' ' | b'\t' | b'\n' | b';') => {
                    return Ok(SecretValue::from_slice(&value));
                }
                Some(b'\'') => {
                    self.next();
                    loop {
                        match self.next() {
                            Some(b'\'') => break,
                            Some(byte) => value.push(byte),
                            None => return Err(self.error("a quote is not closed")),
                        }
                    }
                }
                Some(b'"') => {
                    self.next();
                    self.double_quoted(&mut value)?;
                }
                Some(b'\\') => {
                    self.next();
                    match self.next() {
                        Some(b'\n') => {}
                        Some(byte) => value.push(byte),
                        None => return Err(self.error("a backslash at the end")),
                    }
                }
                Some(
                    b'$' | b'`' | b'(' | b')' | b'<' | b'>' | b'&' | b'|' | b'*' | b'?' | b'['
                    | b'~' | b'{' | 0,
                ) => {
                    return Err(self
                        .error("a character that a shell would act on")
                        .with_hint("quote the value: NAME='value'"));
                }
                Some(byte) => {
                    self.next();
                    value.push(byte);
                }
            }
        }
    }

    fn double_quoted(&mut self, value: &mut Vec<u8>) -> Result<()> {
        loop {
            match self.next() {
                None => return Err(self.error("a quote is not closed")),
                Some(b'"') => return Ok(()),
                Some(b'$' | b'`') => {
                    return Err(self
                        .error("a `$` or backquote that a shell would expand")
                        .with_hint("use single quotes: NAME='value'"));
                }
                Some(b'\\') => match self.peek() {
                    Some(b'\n') => {
                        self.next();
                    }
                    Some(byte @ (b'$' | b'`' | b'"' | b'\\')) => {
                        self.next();
                        value.push(byte);
                    }
                    _ => value.push(b'\\'),
                },
                Some(byte) => value.push(byte),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_read_as_a_shell_reads_them() {
        let text = b"# c\nexport A='it'\\''s' ; B=\"a\\\"b\\\\c\\d\" # end\nC=plain\\ space\nD=\n";
        let items = parse(text).unwrap();
        let plain: Vec<_> = items
            .iter()
            .map(|(n, v)| (n.as_str(), v.expose_text().unwrap()))
            .collect();
        assert_eq!(
            plain,
            [
                ("A", "it's"),
                ("B", "a\"b\\c\\d"),
                ("C", "plain space"),
                ("D", "")
            ]
        );
    }
}
