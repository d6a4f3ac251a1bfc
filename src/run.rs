//! From argv to the exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::Cli;
use crate::exit::{Exit, Failure};
use crate::printer::{Color, Printer};
use crate::session::Session;
use crate::surroundings::Surroundings;

/// Runs the program with these arguments, the program's own name first.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let surroundings = match Surroundings::capture() {
        Ok(surroundings) => surroundings,
        Err(e) => {
            let failure = Failure::new(
                Exit::Failed,
                format!("the working directory cannot be used: {e}"),
            );
            return end(&Printer::bare(), &failure);
        }
    };
    let cli = match Cli::read(&arguments) {
        Ok(cli) => cli,
        Err(error) => return refused(&surroundings, &arguments, error),
    };
    let Cli { globals, verb } = cli;
    quiet_panics();
    if verb.handles_values() {
        secrets_platform::process::harden();
    }
    let session = match Session::new(globals, surroundings) {
        Ok(session) => session,
        Err(e) => {
            return end(
                &Printer::bare(),
                &Failure::new(Exit::Failed, format!("cannot start: {e}")),
            );
        }
    };
    let is_exec = verb.is_exec();
    match verb.run(&session) {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(mut failure) => {
            if is_exec {
                failure.exit = failure.exit.of_exec();
            }
            end(&session.printer, &failure)
        }
    }
}

fn end(printer: &Printer, failure: &Failure) -> ExitCode {
    printer.failure(failure);
    ExitCode::from(failure.exit as u8)
}

/// Help, the version, or a command line that makes no sense.
fn refused(
    surroundings: &Surroundings,
    arguments: &[OsString],
    mut error: clap::Error,
) -> ExitCode {
    let printer = Printer::new(surroundings, Color::Auto, false, 0, false, true);
    conceal(&mut error);
    if let Err(failure) = printer.clap(&error) {
        return end(&printer, &failure);
    }
    let is_exec = crate::cli::is_exec(arguments);
    match (error.use_stderr(), is_exec) {
        (false, _) => ExitCode::SUCCESS,
        (true, true) => ExitCode::from(Exit::ExecFailed as u8),
        (true, false) => ExitCode::from(Exit::Usage as u8),
    }
}

/// What is no flag and was not expected may be a value pasted into the wrong place: it is not
/// repeated.
fn conceal(error: &mut clap::Error) {
    let kind = match error.kind() {
        ErrorKind::UnknownArgument => ContextKind::InvalidArg,
        ErrorKind::InvalidSubcommand => ContextKind::InvalidSubcommand,
        ErrorKind::TooManyValues => ContextKind::InvalidValue,
        _ => return,
    };
    let harmless = match error.get(kind) {
        Some(ContextValue::String(text)) => is_plain_word(text),
        _ => false,
    };
    if !harmless {
        error.insert(kind, ContextValue::String("…".to_owned()));
        error.remove(ContextKind::Suggested);
    }
}

/// Whether a word can be shown: a verb or a flag as they are written, misspelled perhaps. Generated
/// values have digits, capitals or more characters.
fn is_plain_word(word: &str) -> bool {
    let short = word
        .strip_prefix('-')
        .is_some_and(|rest| rest.chars().count() == 1);
    let letters = |c: char| c.is_ascii_lowercase() || c == '-';
    short || (word.len() <= 24 && word.chars().all(letters))
}

/// A panic says where, never what: its message may have been made from a value.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(String::new, |l| format!(" at {}:{}", l.file(), l.line()));
        let failure = Failure::new(
            Exit::Failed,
            format!("a defect in secrets{place}: please report it"),
        );
        Printer::bare().failure(&failure);
    }));
}
