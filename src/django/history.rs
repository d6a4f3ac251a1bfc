//! Whether a key has ever been committed. The repository is untrusted input: git is run so that
//! nothing in its configuration is, and the key is searched for by us, never given to git.

use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use secrets_api::{SecretValue, Zeroizing};

/// How much history is looked through.
const MOST_BYTES: u64 = 512 * 1024 * 1024;
/// For how long.
const MOST_TIME: Duration = Duration::from_secs(20);

/// Settings of a repository that would make git run something.
const HARMLESS: &[&str] = &[
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.pager=cat",
    "core.sshCommand=false",
    "core.attributesFile=/dev/null",
    "diff.external=",
    "log.showSignature=false",
    "protocol.allow=never",
    "submodule.recurse=false",
];

/// A git that runs nothing of the repository's choosing, quiet, in this folder.
fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    command.arg("-C").arg(root);
    HARMLESS.iter().for_each(|setting| {
        command.args(["-c", setting]);
    });
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_NO_LAZY_FETCH", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SECRETS_") {
            command.env_remove(name);
        }
    }
    command
}

/// Whether git keeps this file; no where there is no git, or no repository.
pub fn is_tracked(root: &Path, path: &Path) -> bool {
    let mut command = git(root);
    command
        .args(["ls-files", "--error-unmatch", "--"])
        .arg(path);
    command.status().is_ok_and(|status| status.success())
}

/// Whether any commit of any branch has the key in this file; `None` where there is no git, or no
/// repository.
///
/// # Errors
/// If git cannot be run to its end, or there is too much history to look through.
pub fn key_in_git_history(
    root: &Path,
    path: &Path,
    key: &SecretValue,
) -> std::io::Result<Option<bool>> {
    let mut command = git(root);
    command
        .args([
            "log",
            "--all",
            "-p",
            "--format=",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--",
        ])
        .arg(path)
        .stdout(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e),
    };
    let Some(out) = child.stdout.take() else {
        return Ok(None);
    };
    let found = search(out, key.expose());
    // Found early, there is no need to read on.
    let _ = child.kill();
    let status = child.wait()?;
    match found? {
        true => Ok(Some(true)),
        // 128: no repository, or no commit yet.
        false if status.success() => Ok(Some(false)),
        false => Ok(None),
    }
}

/// Whether a stream holds `wanted`.
fn search(mut stream: impl std::io::Read, wanted: &[u8]) -> std::io::Result<bool> {
    if wanted.is_empty() {
        return Ok(false);
    }
    let until = Instant::now() + MOST_TIME;
    let mut window = Zeroizing::new(vec![0; 64 * 1024 + wanted.len()]);
    let (mut kept, mut total) = (0, 0_u64);
    loop {
        let n = stream.by_ref().take(64 * 1024).read(&mut window[kept..])?;
        if n == 0 {
            return Ok(false);
        }
        let filled = kept + n;
        if window[..filled]
            .windows(wanted.len())
            .any(|part| part == wanted)
        {
            return Ok(true);
        }
        // A match may begin in what has been read and end in what comes.
        kept = filled.min(wanted.len() - 1);
        window.copy_within(filled - kept..filled, 0);
        total += n as u64;
        if total > MOST_BYTES || Instant::now() > until {
            return Err(std::io::Error::other(
                "there is too much of it to look through",
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_match_across_two_reads_is_found() {
        let mut text = vec![b'x'; 64 * 1024 - 3];
        text.extend_from_slice(b"canary-key");
        assert!(search(text.as_slice(), b"canary-key").unwrap());
        assert!(!search(text.as_slice(), b"canary-keys").unwrap());
    }

    #[test]
    fn a_key_is_found_in_the_past_and_the_repositorys_own_programs_are_not_run() {
        let folder = tempfile::tempdir().unwrap();
        let git = |arguments: &[&str]| {
            let status = Command::new("git")
                .args([
                    "-C",
                    folder.path().to_str().unwrap(),
                    "-c",
                    "user.name=a",
                    "-c",
                    "user.email=a@b",
                ])
                .args(arguments)
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .stdout(Stdio::null())
                .status()
                .expect("git is installed");
            assert!(status.success(), "{arguments:?}");
        };
        let settings = folder.path().join("settings.py");
        let key = SecretValue::from_slice(b"the-old-key");
        assert_eq!(
            key_in_git_history(folder.path(), &settings, &key).unwrap(),
            None
        );
        git(&["init", "-q"]);
        std::fs::write(&settings, "SECRET_KEY = 'the-old-key'\n").unwrap();
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "one"]);
        std::fs::write(&settings, "SECRET_KEY = 'another'\n").unwrap();
        git(&["commit", "-q", "-a", "-m", "two"]);
        let trace = folder.path().join("ran");
        let evil = format!("touch {}", trace.display());
        for setting in [
            "diff.external",
            "core.pager",
            "core.fsmonitor",
            "diff.evil.textconv",
            "gpg.program",
        ] {
            git(&["config", setting, &evil]);
        }
        std::fs::write(folder.path().join(".gitattributes"), "*.py diff=evil\n").unwrap();
        assert_eq!(
            key_in_git_history(folder.path(), &settings, &key).unwrap(),
            Some(true)
        );
        let other = SecretValue::from_slice(b"never-committed");
        assert_eq!(
            key_in_git_history(folder.path(), &settings, &other).unwrap(),
            Some(false)
        );
        assert!(!trace.exists());
    }
}
