//! This process, and becoming another one.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::unistd::AccessFlags;
use rustix::process::{DumpableBehavior, Resource, Rlimit};

use crate::inherited;

/// Most bytes of one `NAME=value` with its final NUL: 32 pages (Linux `MAX_ARG_STRLEN`, execve(2)).
const ONE: usize = 32 * 4096;
/// What Linux takes of the stack limit for arguments and environment: a quarter (execve(2)).
const SHARE: u64 = 4;
/// But never more than three quarters of 8 MiB (Linux `bprm_stack_limits`).
const MOST: u64 = 8 * 1024 * 1024 / 4 * 3;
/// And never less than 32 pages.
const LEAST: u64 = 32 * 4096;
/// Where commands are searched without a PATH (execvp(3), without the working directory).
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The effective user id.
pub fn effective_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

static CORE_LIMIT: OnceLock<Rlimit> = OnceLock::new();

/// Shuts the process: no core dump, and not dumpable, so that no process of the same user can
/// attach to it or read its memory (prctl(2) `PR_SET_DUMPABLE`). [`exec`] undoes it for the child.
pub fn harden() {
    let before = rustix::process::getrlimit(Resource::Core);
    CORE_LIMIT.get_or_init(|| before);
    let _ = rustix::process::setrlimit(
        Resource::Core,
        Rlimit {
            current: Some(0),
            maximum: before.maximum,
        },
    );
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Gives the child the core limit that we were given. That it is dumpable again is execve's doing.
fn soften() {
    if let Some(before) = CORE_LIMIT.get() {
        let _ = rustix::process::setrlimit(Resource::Core, *before);
    }
    inherited::restore_sigpipe();
}

/// What a process can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes of one argument, or of one variable as `NAME=value`.
    pub one: usize,
    /// Most bytes of all arguments and variables, with a NUL and a pointer each.
    pub total: usize,
}

/// What is too large for a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excess {
    /// One variable.
    One {
        /// Its name.
        name: String,
        /// The bytes of `NAME=value`.
        bytes: usize,
    },
    /// All together.
    Total {
        /// Their bytes.
        bytes: usize,
    },
}

/// The limits of a process started now.
pub fn limits() -> Limits {
    let stack = rustix::process::getrlimit(Resource::Stack)
        .current
        .unwrap_or(u64::MAX);
    let total = (stack / SHARE).clamp(LEAST, MOST);
    Limits {
        one: ONE - 1,
        total: usize::try_from(total).unwrap_or(usize::MAX),
    }
}

impl Limits {
    /// Whether a process can be given these; what is too large is named before the kernel answers
    /// E2BIG without a name.
    ///
    /// # Errors
    /// The first variable that is too large, else the total that is.
    pub fn check(
        &self,
        arguments: &[OsString],
        variables: &[(OsString, OsString)],
    ) -> Result<(), Excess> {
        let pointer = size_of::<usize>();
        let mut total = arguments
            .iter()
            .map(|a| a.len() + 1 + pointer)
            .sum::<usize>();
        for (name, value) in variables {
            let bytes = name.len() + 1 + value.len();
            if bytes > self.one {
                return Err(Excess::One {
                    name: name.to_string_lossy().into_owned(),
                    bytes,
                });
            }
            total += bytes + 1 + pointer;
        }
        if total > self.total {
            Err(Excess::Total { bytes: total })
        } else {
            Ok(())
        }
    }
}

/// Why a command could not be run.
#[derive(Debug)]
pub enum ExecError {
    /// There is no such command.
    NotFound,
    /// It is there and may not, or cannot, be executed.
    NotExecutable(std::io::Error),
    /// Arguments and environment are too large for the kernel.
    TooBig,
    /// Anything else.
    Other(std::io::Error),
}

impl fmt::Display for ExecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("command not found"),
            Self::NotExecutable(e) => write!(f, "cannot be executed: {e}"),
            Self::TooBig => f.write_str("arguments and environment are too large for a process"),
            Self::Other(e) => write!(f, "cannot be started: {e}"),
        }
    }
}

impl From<Errno> for ExecError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::ENOENT | Errno::ENOTDIR => Self::NotFound,
            Errno::EACCES | Errno::ENOEXEC | Errno::EISDIR | Errno::EPERM | Errno::ELIBBAD => {
                Self::NotExecutable(errno.into())
            }
            Errno::E2BIG => Self::TooBig,
            other => Self::Other(other.into()),
        }
    }
}

/// Finds a command as execvp(3) does: a name with a slash is a path, any other is searched in
/// `path`. An entry that is empty means the working directory, as POSIX says.
///
/// # Errors
/// `NotFound`; `NotExecutable` if the only one found may not be executed.
pub fn find_program(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, ExecError> {
    if name.is_empty() {
        return Err(ExecError::NotFound);
    }
    if name.as_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let mut refused = None;
    for folder in path
        .unwrap_or(OsStr::new(DEFAULT_PATH))
        .as_bytes()
        .split(|b| *b == b':')
    {
        let folder = if folder.is_empty() {
            Path::new(".")
        } else {
            Path::new(OsStr::from_bytes(folder))
        };
        let candidate = folder.join(name);
        if !candidate.is_file() {
            continue;
        }
        match nix::unistd::access(&candidate, AccessFlags::X_OK) {
            Ok(()) => return Ok(candidate),
            Err(errno) => refused = Some(ExecError::NotExecutable(errno.into())),
        }
    }
    Err(refused.unwrap_or(ExecError::NotFound))
}

/// Becomes the program: same pid, its own signals and exit status. Returns only if that failed;
/// then this process is as it was before.
///
/// A file that is no binary and has no `#!` line is run by `/bin/sh`, as execvp(3) does. Every
/// descriptor of ours is close-on-exec by the way it was opened; those we inherited (a socket of
/// systemd's) stay open for the child. The signal mask is not touched: we never change it.
pub fn exec(
    program: &Path,
    arguments: &[OsString],
    variables: &[(OsString, OsString)],
) -> ExecError {
    let (Some(path), Some(argv), Some(envp)) = (
        c_string(program.as_os_str()),
        arguments
            .iter()
            .map(|a| c_string(a))
            .collect::<Option<Vec<_>>>(),
        variables
            .iter()
            .map(|(name, value)| pair(name, value))
            .collect::<Option<Vec<_>>>(),
    ) else {
        let error = std::io::Error::new(
            std::io::ErrorKind::InvalidInput,
            "a NUL byte cannot be passed on",
        );
        return ExecError::Other(error);
    };
    soften();
    let Err(mut errno) = nix::unistd::execve(&path, &argv, &envp);
    if errno == Errno::ENOEXEC {
        let mut shell = vec![c"/bin/sh".to_owned(), path];
        shell.extend(argv.into_iter().skip(1));
        let Err(second) = nix::unistd::execve(c"/bin/sh", &shell, &envp);
        errno = second;
    }
    inherited::ignore_sigpipe();
    if CORE_LIMIT.get().is_some() {
        harden();
    }
    errno.into()
}

fn c_string(text: &OsStr) -> Option<CString> {
    CString::new(text.as_bytes()).ok()
}

fn pair(name: &OsStr, value: &OsStr) -> Option<CString> {
    let mut both = Vec::with_capacity(name.len() + value.len() + 2);
    both.extend_from_slice(name.as_bytes());
    both.push(b'=');
    both.extend_from_slice(value.as_bytes());
    CString::new(both).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_variable_that_is_too_large_is_named_at_the_exact_byte() {
        let limits = limits();
        let with = |bytes: usize| [(OsString::from("BIG"), OsString::from("x".repeat(bytes)))];
        assert_eq!(limits.check(&[], &with(131_071 - 4)), Ok(()));
        let excess = limits.check(&[], &with(131_072 - 4)).unwrap_err();
        assert_eq!(
            excess,
            Excess::One {
                name: "BIG".into(),
                bytes: 131_072
            }
        );
    }

    #[test]
    fn the_kernel_draws_the_line_where_we_do() {
        let run = |bytes: usize| {
            std::process::Command::new("/bin/true")
                .env("BIG", "x".repeat(bytes))
                .status()
        };
        assert!(run(131_071 - 4).unwrap().success());
        assert_eq!(
            run(131_072 - 4).unwrap_err().raw_os_error(),
            Some(Errno::E2BIG as i32)
        );
    }

    #[test]
    fn all_together_are_bounded_too() {
        let many: Vec<_> = (0..100)
            .map(|n| {
                (
                    OsString::from(format!("V{n}")),
                    OsString::from("x".repeat(100_000)),
                )
            })
            .collect();
        assert!(
            matches!(limits().check(&[], &many), Err(Excess::Total { bytes }) if bytes > 10_000_000)
        );
    }

    #[test]
    fn a_command_is_searched_as_execvp_searches() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tool");
        std::fs::write(&path, "").unwrap();
        let search = |name: &str| find_program(name.as_ref(), Some(folder.path().as_os_str()));
        assert!(matches!(search("none"), Err(ExecError::NotFound)));
        assert!(matches!(search("tool"), Err(ExecError::NotExecutable(_))));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        assert_eq!(search("tool").unwrap(), path);
        assert_eq!(
            find_program("a/b".as_ref(), None).unwrap(),
            Path::new("a/b")
        );
        assert!(find_program("sh".as_ref(), None).is_ok());
    }
}
