//! The only place that prints, asks and draws.
//!
//! Data goes to standard output, all that is for a person to standard error. A value reaches
//! standard output only through [`Printer::data`], which only the verbs that were asked for a
//! value by name call.

use std::fmt::Display;
use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use secrets_api::{SecretValue, Zeroizing};
use serde::Serialize;

use crate::exit::{Exit, Failure, Result};
use crate::surroundings::Surroundings;
use crate::variables;

const ERROR: Style = AnsiColor::Red.on_default().bold();
const WARNING: Style = AnsiColor::Yellow.on_default().bold();
const HINT: Style = AnsiColor::Cyan.on_default();
const DONE: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CLASH: Style = AnsiColor::Red.on_default().bold();
const HEADER: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is `dumb`; always with `CLICOLOR_FORCE`.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether a stream is coloured.
    fn applies(self, surroundings: &Surroundings, terminal: bool) -> bool {
        let set = |name| surroundings.text(name).is_some();
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto if set(variables::NO_COLOR) => false,
            Self::Auto
                if surroundings
                    .text(variables::CLICOLOR_FORCE)
                    .is_some_and(|v| v != "0") =>
            {
                true
            }
            Self::Auto => terminal && surroundings.text(variables::TERM) != Some("dumb"),
        }
    }
}

/// How one line of a difference is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// New.
    Added,
    /// Gone.
    Removed,
    /// Other than before.
    Changed,
    /// In conflict.
    Clash,
    /// As before.
    Same,
    /// A heading.
    Heading,
}

/// Prints; knows whether to colour, how much to say, and whether there is anyone to ask.
#[derive(Debug)]
pub struct Printer {
    out_color: bool,
    err_color: bool,
    out_terminal: bool,
    err_terminal: bool,
    quiet: bool,
    verbosity: u8,
    /// Whether verbs that report do so as JSON.
    pub json: bool,
    can_ask: bool,
}

impl Printer {
    /// A printer for these flags.
    pub fn new(
        surroundings: &Surroundings,
        color: Color,
        quiet: bool,
        verbosity: u8,
        json: bool,
        no_input: bool,
    ) -> Self {
        Self {
            out_color: color.applies(surroundings, surroundings.stdout_is_terminal),
            err_color: color.applies(surroundings, surroundings.stderr_is_terminal),
            out_terminal: surroundings.stdout_is_terminal,
            err_terminal: surroundings.stderr_is_terminal,
            quiet,
            verbosity,
            json,
            can_ask: !no_input && surroundings.stdin_is_terminal && surroundings.stderr_is_terminal,
        }
    }

    /// A printer for what cannot wait for flags: no colour, nobody to ask.
    pub fn bare() -> Self {
        Self {
            out_color: false,
            err_color: false,
            out_terminal: false,
            err_terminal: false,
            quiet: false,
            verbosity: 0,
            json: false,
            can_ask: false,
        }
    }

    /// Whether standard output is a terminal.
    pub fn out_is_terminal(&self) -> bool {
        self.out_terminal
    }

    /// Whether there is a person to ask.
    pub fn can_ask(&self) -> bool {
        self.can_ask
    }

    /// Bytes to standard output, as they are.
    ///
    /// # Errors
    /// A closed pipe ends without a word; anything else says what failed.
    pub fn data(&self, bytes: &[u8]) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|e| {
                if e.kind() == std::io::ErrorKind::BrokenPipe {
                    Failure::closed_pipe()
                } else {
                    Failure::new(
                        Exit::Failed,
                        format!("cannot write to standard output: {e}"),
                    )
                }
            })
    }

    /// One line to standard output.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub fn line(&self, text: impl Display) -> Result<()> {
        self.data(format!("{text}\n").as_bytes())
    }

    /// A JSON document to standard output, indented.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub fn document(&self, document: &impl Serialize) -> Result<()> {
        let mut text = Zeroizing::new(Vec::with_capacity(1024));
        serde_json::to_writer_pretty(&mut *text, document)
            .map_err(|e| Failure::new(Exit::Failed, format!("cannot write JSON: {e}")))?;
        text.push(b'\n');
        self.data(&text)
    }

    /// Aligned columns to standard output, under a header. Cells come from stores and files:
    /// control characters are shown escaped.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub fn table(&self, header: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| printable(cell)).collect())
            .collect();
        let widths: Vec<usize> = (0..header.len())
            .map(|column| {
                let cells = rows.iter().filter_map(|row| row.get(column));
                let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
                widest.max(header[column].len())
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded: Vec<_> = cells
                .zip(&widths)
                .map(|(c, w)| format!("{c:<w$}"))
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        let mut text = paint(self.out_color, HEADER, &line(&mut header.iter().copied()));
        for row in &rows {
            text.push('\n');
            text.push_str(&line(&mut row.iter().map(String::as_str)));
        }
        self.line(text)
    }

    /// What was done, or is about to be: for a person.
    pub fn say(&self, text: impl Display) {
        if !self.quiet {
            self.err_line(&printable(&text.to_string()));
        }
    }

    /// Something went well.
    pub fn done(&self, text: impl Display) {
        if !self.quiet {
            let text = printable(&text.to_string());
            self.err_line(&format!("{} {text}", paint(self.err_color, DONE, "✓")));
        }
    }

    /// Something to know that is no failure.
    pub fn warn(&self, text: impl Display) {
        self.err_line(&format!(
            "{}: {}",
            paint(self.err_color, WARNING, "warning"),
            printable(&text.to_string())
        ));
    }

    /// What to type next.
    pub fn hint(&self, text: impl Display) {
        if !self.quiet {
            self.hint_line(&text.to_string());
        }
    }

    fn hint_line(&self, text: &str) {
        self.err_line(&format!(
            "{}: {}",
            paint(self.err_color, HINT, "hint"),
            printable(text)
        ));
    }

    /// Details, with `-v` given at least `level` times.
    pub fn detail(&self, level: u8, text: impl FnOnce() -> String) {
        if self.verbosity >= level {
            self.err_line(&paint(self.err_color, DIM, &printable(&text())));
        }
    }

    /// Whether only errors and what was asked for are shown.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// How often `-v` was given.
    pub fn verbosity(&self) -> u8 {
        self.verbosity
    }

    /// Why the verb failed. Shown also when quiet.
    pub fn failure(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        self.err_line(&format!(
            "{}: {}",
            paint(self.err_color, ERROR, "error"),
            printable(&failure.message)
        ));
        for line in failure.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
            self.err_line(&paint(
                self.err_color,
                DIM,
                &format!("  {}", printable(line)),
            ));
        }
        if let Some(hint) = &failure.hint {
            self.hint_line(hint);
        }
    }

    /// One line of a difference, to standard error.
    pub fn mark(&self, mark: Mark, text: &str) {
        let text = printable(text);
        self.err_line(&match mark {
            Mark::Added => paint(self.err_color, DONE, &format!("+{text}")),
            Mark::Removed => paint(self.err_color, REMOVED, &format!("-{text}")),
            Mark::Changed => paint(self.err_color, WARNING, &format!("~{text}")),
            Mark::Clash => paint(self.err_color, CLASH, &format!("!{text}")),
            Mark::Same => format!(" {text}"),
            Mark::Heading => paint(self.err_color, HEADER, &text),
        });
    }

    /// One step of a plan, to standard error: its sign and the name.
    pub fn step(&self, mark: Mark, sign: char, text: &str) {
        self.err_line(&stepped(self.err_color, mark, sign, text));
    }

    /// The same where the plan is what was asked for: to standard output.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub fn step_out(&self, mark: Mark, sign: char, text: &str) -> Result<()> {
        self.line(stepped(self.out_color, mark, sign, text))
    }

    /// A text that clap rendered: help to standard output, errors to standard error.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub fn clap(&self, error: &clap::Error) -> Result<()> {
        let rendered = error.render();
        if error.use_stderr() {
            let text = if self.err_color {
                rendered.ansi().to_string()
            } else {
                rendered.to_string()
            };
            self.err_line(text.trim_end());
            Ok(())
        } else {
            let text = if self.out_color {
                rendered.ansi().to_string()
            } else {
                rendered.to_string()
            };
            self.data(text.as_bytes())
        }
    }

    /// Asks a yes-or-no question; no answer is no.
    ///
    /// # Errors
    /// Without a terminal (or with `--no-input`), naming the flag that answers: `flag`.
    pub fn confirm(&self, question: &str, flag: &str) -> Result<bool> {
        let answer = self.ask(&format!("{question} [y/N] "), flag)?;
        Ok(matches!(
            answer.trim().to_ascii_lowercase().as_str(),
            "y" | "yes"
        ))
    }

    /// Asks for a line of text that is no secret.
    ///
    /// # Errors
    /// As [`Printer::confirm`].
    pub fn ask(&self, question: &str, flag: &str) -> Result<String> {
        Ok(self.ask_on(question, flag)?.unwrap_or_default())
    }

    /// The same where no answer is one too: `None` at the end of the input.
    ///
    /// # Errors
    /// As [`Printer::confirm`].
    pub fn ask_on(&self, question: &str, flag: &str) -> Result<Option<String>> {
        if !self.can_ask {
            return Err(Failure::usage(format!(
                "there is no terminal to ask on: {}",
                question.trim_end().trim_end_matches(" [y/N]")
            ))
            .with_hint(format!("answer it with {flag}")));
        }
        let mut err = std::io::stderr().lock();
        let mut line = String::new();
        let answered = err
            .write_all(printable(question).as_bytes())
            .and_then(|()| err.flush())
            .and_then(|()| std::io::stdin().lock().read_line(&mut line));
        let read = answered.map_err(|e| Failure::new(Exit::Failed, format!("cannot ask: {e}")))?;
        if read == 0 {
            // What is said next has a line of its own.
            let _ = writeln!(err);
            return Ok(None);
        }
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Asks for a secret, without showing what is typed.
    ///
    /// # Errors
    /// As [`Printer::confirm`].
    pub fn ask_hidden(&self, question: &str, instead: &str) -> Result<SecretValue> {
        if !self.can_ask {
            return Err(
                Failure::usage(format!("there is no terminal to ask on: {question}"))
                    .with_hint(instead.to_owned()),
            );
        }
        // Whoever presses Ctrl-C here gets their echo back.
        let _guard = secrets_platform::terminal::keep()
            .map_err(|e| Failure::new(Exit::Failed, format!("cannot ask: {e}")))?;
        rpassword::prompt_password(format!("{}: ", printable(question)))
            .map(|typed| SecretValue::from_vec(typed.into_bytes()))
            .map_err(|e| Failure::new(Exit::Failed, format!("cannot ask: {e}")))
    }

    /// A spinner for something that may take over a second; gone when dropped. Nothing is drawn
    /// without a terminal, nor in the first half second.
    pub fn spinner(&self, text: &str) -> Spinner {
        if !self.err_terminal || self.quiet || self.json {
            return Spinner(None);
        }
        let bar = indicatif::ProgressBar::new_spinner().with_message(printable(text));
        bar.enable_steady_tick(Duration::from_millis(100));
        Spinner(Some(bar))
    }

    /// A bar for `total` pieces of work that may take over a second; gone when dropped. Nothing is
    /// drawn without a terminal.
    pub fn bar(&self, total: usize, text: &str) -> Bar {
        if !self.err_terminal || self.quiet || self.json {
            return Bar(None);
        }
        let style = indicatif::ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}")
            .unwrap_or_else(|_| indicatif::ProgressStyle::default_bar());
        let bar = indicatif::ProgressBar::new(total as u64)
            .with_message(printable(text))
            .with_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Bar(Some(bar))
    }

    fn err_line(&self, text: &str) {
        // Nobody to tell that standard error is closed.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

/// Something under way; the drawing ends with it.
#[derive(Debug)]
pub struct Spinner(Option<indicatif::ProgressBar>);

impl Drop for Spinner {
    fn drop(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

/// Work under way, piece by piece; the drawing ends with it.
#[derive(Debug)]
pub struct Bar(Option<indicatif::ProgressBar>);

impl Bar {
    /// So many more pieces are done.
    pub fn advance(&self, by: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(by as u64);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = self.0.take() {
            bar.finish_and_clear();
        }
    }
}

/// `1 secret`, `2 secrets`.
pub fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// One step of a plan.
fn stepped(color: bool, mark: Mark, sign: char, text: &str) -> String {
    let line = format!("{sign} {}", printable(text));
    match mark {
        Mark::Added => paint(color, DONE, &line),
        Mark::Removed => paint(color, REMOVED, &line),
        Mark::Changed => paint(color, WARNING, &line),
        Mark::Clash => paint(color, CLASH, &line),
        Mark::Same => line,
        Mark::Heading => paint(color, HEADER, &line),
    }
}

fn paint(color: bool, style: Style, text: &str) -> String {
    if color {
        format!("{style}{text}{style:#}")
    } else {
        text.to_owned()
    }
}

/// `text` with control characters escaped: what a store or a file says must not reach the terminal
/// as a command to it, nor look like lines of ours.
pub fn printable(text: &str) -> String {
    let harmless = |c: char| !c.is_control() && !is_bidi(c);
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    text.chars()
        .flat_map(|c| {
            let (kept, escaped) = if harmless(c) {
                (Some(c), None)
            } else {
                (None, Some(c.escape_debug()))
            };
            kept.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// Characters that change the direction of what follows (Unicode Standard Annex 9): a text could be
/// shown as another.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_commands_in_foreign_text_are_shown_not_obeyed() {
        assert_eq!(printable("a\x1b[31mb\n"), "a\\u{1b}[31mb\\n");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(printable("plain ünï"), "plain ünï");
    }
}
