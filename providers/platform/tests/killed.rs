//! Promise 2: killed at any instant, the file is the old or the new one, whole; and the order of
//! the system calls is the one that survives a power cut. With `strace`, which the tests need.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every system call that `change` can alter a disk with.
const WRITING: &str = "openat,write,fchown,fchmod,fsetxattr,fsync,fdatasync,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,linkat,ftruncate,flock";

/// The example program; built with the tests, beside them.
fn change() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let path = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/change");
    assert!(
        path.exists(),
        "the example is built with the tests: cargo build --examples ({})",
        path.display()
    );
    path
}

fn strace(arguments: &[&str], path: &Path, content: &str) -> std::process::Output {
    Command::new("strace")
        .arg("-f")
        .args(arguments)
        .arg(change())
        .arg(path)
        .arg(content)
        .output()
        .expect("strace is installed (Debian: apt-get install strace)")
}

/// The calls of one undisturbed run, in order, as strace writes them.
fn calls(path: &Path, content: &str) -> Vec<String> {
    let log = tempfile::NamedTempFile::new().unwrap();
    let trace = format!("trace={WRITING}");
    let output = strace(
        &["-o", log.path().to_str().unwrap(), "-y", "-e", &trace],
        path,
        content,
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = std::fs::read_to_string(log.path()).unwrap();
    // `PID call(…) = result`; the pid is not always there.
    text.lines()
        .map(|line| {
            line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ')
                .to_owned()
        })
        .filter(|line| !line.starts_with('+') && !line.starts_with('-'))
        .collect()
}

fn name_of(call: &str) -> &str {
    call.split('(').next().unwrap()
}

/// Runs `change` again and again, killed at the entry of each system call in turn, and calls
/// `check` after each.
fn killed_everywhere(
    prepare: impl Fn() -> (tempfile::TempDir, PathBuf),
    content: &str,
    check: impl Fn(&Path, &str),
) {
    let (_folder, path) = prepare();
    let mut times = BTreeMap::<String, usize>::new();
    for call in calls(&path, content) {
        *times.entry(name_of(&call).to_owned()).or_default() += 1;
    }
    assert!(
        times.contains_key("fsync") && times.values().sum::<usize>() > 8,
        "{times:?}"
    );
    let mut kills = 0;
    for (call, count) in times {
        for when in 1..=count {
            let (_folder, path) = prepare();
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let trace = format!("trace={WRITING}");
            let output = strace(
                &["-o", "/dev/null", "-e", &trace, "-e", &inject],
                &path,
                content,
            );
            assert!(!output.status.success(), "not killed: {inject}");
            check(&path, &inject);
            // The next run is not disturbed by what the killed one left, and clears it away.
            let status = Command::new(change())
                .arg(&path)
                .arg("next")
                .status()
                .unwrap();
            assert!(status.success(), "after {inject}");
            assert_eq!(
                std::fs::read_to_string(&path).unwrap(),
                "next",
                "after {inject}"
            );
            let left: Vec<_> = std::fs::read_dir(path.parent().unwrap())
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect();
            assert_eq!(left, [path.file_name().unwrap()], "after {inject}");
            kills += 1;
        }
    }
    assert!(kills > 8, "only {kills} kills");
}

fn with_old_file() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    std::fs::write(&path, "old").unwrap();
    // Written long ago, as such a file usually was.
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(60);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(then)
        .unwrap();
    (folder, path)
}

#[test]
fn killed_at_every_system_call_a_replaced_file_is_the_old_or_the_new_one() {
    killed_everywhere(with_old_file, "new content", |path, when| {
        let now = std::fs::read_to_string(path).unwrap();
        assert!(now == "old" || now == "new content", "{when}: {now:?}");
    });
}

#[test]
fn killed_at_every_system_call_a_new_file_is_absent_or_whole() {
    let prepare = || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".env");
        (folder, path)
    };
    killed_everywhere(prepare, "new content", |path, when| {
        let now = std::fs::read_to_string(path).ok();
        assert!(
            now.is_none() || now.as_deref() == Some("new content"),
            "{when}: {now:?}"
        );
    });
}

#[test]
fn the_content_is_synced_before_it_is_exchanged_and_the_folder_after() {
    let (_folder, path) = with_old_file();
    let calls = calls(&path, "new content");
    let at = |wanted: &dyn Fn(&String) -> bool, what: &str| {
        calls
            .iter()
            .position(wanted)
            .unwrap_or_else(|| panic!("no {what}: {calls:#?}"))
    };
    let lock = at(&|c| c.starts_with("flock("), "lock");
    let created = at(
        &|c| c.starts_with("openat(") && c.contains("O_EXCL"),
        "exclusive creation",
    );
    let written = at(
        &|c| c.starts_with("write(") && c.contains("new content"),
        "write",
    );
    let synced = at(
        &|c| c.starts_with("fsync(") && c.contains("secrets-new-"),
        "sync of the file",
    );
    let exchanged = at(
        &|c| c.starts_with("renameat2(") && c.contains("RENAME_EXCHANGE"),
        "exchange",
    );
    let removed = at(&|c| c.starts_with("unlinkat("), "removal of the old file");
    let folder = calls.iter().rposition(|c| c.starts_with("fsync(")).unwrap();
    let order = [lock, created, written, synced, exchanged, removed, folder];
    assert!(order.is_sorted(), "{order:?}\n{calls:#?}");
    assert!(
        !calls[folder].contains("secrets-"),
        "the last sync is the folder's: {}",
        calls[folder]
    );
    assert!(calls[created].contains("0600"), "{}", calls[created]);
}
