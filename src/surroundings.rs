//! What surrounds one run of the program, looked at once, at the start. Nothing else in the
//! library asks for the terminal, the home folder, the working directory or a variable.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use secrets_api::Dirs;

use crate::variables;

/// The process as it was started.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The process environment, in the order given.
    pub variables: Vec<(OsString, OsString)>,
    /// The working directory, absolute.
    pub cwd: PathBuf,
    /// The user's folders.
    pub dirs: Dirs,
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
}

impl Surroundings {
    /// Looks around.
    ///
    /// # Errors
    /// If the working directory is gone or cannot be read.
    pub fn capture() -> std::io::Result<Self> {
        let variables: Vec<_> = std::env::vars_os().collect();
        Ok(Self {
            cwd: std::env::current_dir()?,
            dirs: dirs(&variables),
            variables,
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        })
    }

    /// The value of one variable; the first counts where a name is given twice.
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        lookup(&self.variables, name)
    }

    /// The value of one variable, if it is text and not empty.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.variable(name)
            .and_then(OsStr::to_str)
            .filter(|text| !text.is_empty())
    }
}

fn lookup<'a>(variables: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    variables
        .iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value.as_os_str())
}

/// The XDG folders. A relative path in a variable is ignored, as the specification demands.
/// Without a home folder they lie below `/nonexistent` (Debian's name for "no home"): nothing is
/// found there and nothing can be written.
fn dirs(variables: &[(OsString, OsString)]) -> Dirs {
    let absolute = |name| {
        lookup(variables, name)
            .map(Path::new)
            .filter(|path| path.is_absolute())
            .map(PathBuf::from)
    };
    let home = absolute(variables::HOME).unwrap_or_else(|| PathBuf::from("/nonexistent"));
    let config = absolute(variables::XDG_CONFIG_HOME).unwrap_or_else(|| home.join(".config"));
    let state = absolute(variables::XDG_STATE_HOME).unwrap_or_else(|| home.join(".local/state"));
    Dirs {
        home,
        config: config.join("secrets"),
        state: state.join("secrets"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(list: &[(&str, &str)]) -> Dirs {
        dirs(
            &list
                .iter()
                .map(|(n, v)| (n.into(), v.into()))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn folders_follow_the_xdg_specification() {
        let home = given(&[("HOME", "/home/ada")]);
        assert_eq!(home.config, Path::new("/home/ada/.config/secrets"));
        assert_eq!(home.state, Path::new("/home/ada/.local/state/secrets"));
        let own = given(&[
            ("HOME", "/home/ada"),
            ("XDG_STATE_HOME", "/s"),
            ("XDG_CONFIG_HOME", "c"),
        ]);
        assert_eq!(own.state, Path::new("/s/secrets"));
        assert_eq!(
            own.config,
            Path::new("/home/ada/.config/secrets"),
            "relative paths are ignored"
        );
        assert_eq!(
            given(&[]).state,
            Path::new("/nonexistent/.local/state/secrets")
        );
    }
}
