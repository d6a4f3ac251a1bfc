//! Files, as users and their machines have them: other writers, odd places, kept attributes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use secrets_api::{ErrorKind, Result};
use secrets_platform::files::{self, Contents, Edit, Options};

fn replace(path: &Path, text: &str) -> Result<()> {
    files::update(path, &Options::default(), |_| {
        Ok((Edit::Replace(text.as_bytes().to_vec().into()), ()))
    })
}

fn append(now: Option<&Contents>, text: &str) -> Edit {
    let mut bytes = now.map_or_else(Vec::new, |now| now.bytes.to_vec());
    bytes.extend_from_slice(text.as_bytes());
    Edit::Replace(bytes.into())
}

fn is_root() -> bool {
    secrets_platform::process::effective_user() == 0
}

#[test]
fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    replace(&path, "1").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    replace(&path, "2").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
}

#[test]
fn owner_group_and_attributes_are_kept() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "1").unwrap();
    xattr::set(&path, "user.note", b"kept").unwrap_or_else(|e| {
        // Kernels before 6.6 have no user attributes on tmpfs.
        assert_eq!(e.raw_os_error(), Some(95), "{e}");
    });
    let noted = xattr::get(&path, "user.note").ok().flatten();
    if is_root() {
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).unwrap();
    }
    let before = std::fs::metadata(&path).unwrap();
    replace(&path, "2").unwrap();
    let after = std::fs::metadata(&path).unwrap();
    assert_eq!(
        (before.uid(), before.gid(), before.mode()),
        (after.uid(), after.gid(), after.mode())
    );
    assert_eq!(xattr::get(&path, "user.note").ok().flatten(), noted);
}

/// An access control list as the kernel keeps it (`posix_acl_xattr.h`): version 2, then tag,
/// permissions and id of each entry.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

#[test]
fn a_folder_s_default_list_does_not_open_a_file_that_had_none() {
    let folder = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "1").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let nobody = u32::MAX;
    let list = acl(&[
        (1, 7, nobody),
        (2, 4, 1234),
        (4, 4, nobody),
        (16, 4, nobody),
        (32, 0, nobody),
    ]);
    xattr::set(folder.path(), "system.posix_acl_default", &list).unwrap();
    replace(&path, "2").unwrap();
    assert_eq!(xattr::get(&path, "system.posix_acl_access").unwrap(), None);
    assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn an_editor_that_saves_meanwhile_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    // In place, and by rename: the two ways editors save.
    for by_rename in [false, true] {
        std::fs::write(&path, "old\n").unwrap();
        let mut saves = 0;
        files::update(&path, &Options::default(), |now| {
            if saves < 3 {
                saves += 1;
                let text = format!("editor {saves}\n");
                if by_rename {
                    std::fs::write(folder.path().join("b"), text).unwrap();
                    std::fs::rename(folder.path().join("b"), &path).unwrap();
                } else {
                    std::fs::write(&path, text).unwrap();
                }
            }
            Ok((append(now, "ours\n"), ()))
        })
        .unwrap();
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "editor 3\nours\n",
            "by rename: {by_rename}"
        );
    }
}

#[test]
fn a_file_that_appears_or_vanishes_meanwhile_is_looked_at_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    let mut first = true;
    files::update(&path, &Options::default(), |now| {
        if std::mem::take(&mut first) {
            std::fs::write(&path, "appeared\n").unwrap();
        }
        Ok((append(now, "ours\n"), ()))
    })
    .unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "appeared\nours\n");
    let mut first = true;
    files::update(&path, &Options::default(), |now| {
        if std::mem::take(&mut first) {
            std::fs::remove_file(&path).unwrap();
        }
        Ok((append(now, "again\n"), ()))
    })
    .unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "again\n");
}

#[test]
fn who_saves_without_end_is_a_conflict_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "0").unwrap();
    let mut saves = 0;
    let error = files::update(&path, &Options::default(), |_| {
        saves += 1;
        std::fs::write(&path, format!("save {saves}")).unwrap();
        Ok((Edit::Replace(b"ours".to_vec().into()), ()))
    })
    .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        format!("save {saves}")
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn writers_take_turns_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let path = &path;
            scope.spawn(move || {
                for n in 0..10 {
                    files::update(path, &Options::default(), |now| {
                        Ok((append(now, &format!("{thread}.{n}\n")), ()))
                    })
                    .unwrap();
                }
            });
        }
    });
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 80);
}

#[test]
fn a_lock_that_is_held_is_waited_for_and_then_named() {
    let folder = tempfile::tempdir().unwrap();
    let holder = std::fs::File::open(folder.path()).unwrap();
    holder.lock().unwrap();
    let options = Options {
        lock_wait: Duration::from_millis(30),
        ..Options::default()
    };
    let path = folder.path().join("a");
    let error = files::update(&path, &options, |_| Ok((Edit::Remove, ()))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(
        error.message().contains("held by another process"),
        "{error}"
    );
    holder.unlock().unwrap();
    files::update(&path, &options, |_| Ok((Edit::Remove, ()))).unwrap();
}

#[test]
fn nothing_is_written_where_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "same").unwrap();
    let before = std::fs::metadata(&path).unwrap().ino();
    replace(&path, "same").unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), before);
}

#[test]
fn a_file_is_removed_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "x").unwrap();
    files::update(&path, &Options::default(), |_| Ok((Edit::Remove, ()))).unwrap();
    assert!(files::read(&path).unwrap().is_none());
}

#[test]
fn a_link_is_followed_once_to_a_file_of_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("real"), "1").unwrap();
    symlink("real", at("link")).unwrap();
    replace(&at("link"), "2").unwrap();
    assert!(at("link").is_symlink());
    assert_eq!(std::fs::read_to_string(at("real")).unwrap(), "2");
    assert_eq!(*files::read(&at("link")).unwrap().unwrap().bytes, b"2");
    symlink("link", at("twice")).unwrap();
    assert_eq!(
        files::read(&at("twice")).unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
    symlink("nowhere", at("dangling")).unwrap();
    assert_eq!(
        replace(&at("dangling"), "x").unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
    assert!(!at("nowhere").exists());
}

#[test]
fn a_link_to_another_owners_file_or_in_an_open_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("real"), "1").unwrap();
    symlink("real", at("link")).unwrap();
    if is_root() {
        std::os::unix::fs::chown(at("real"), Some(1234), None).unwrap();
        let error = files::read(&at("link")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        assert!(error.message().contains("another owner"), "{error}");
        assert_eq!(
            replace(&at("link"), "x").unwrap_err().kind(),
            ErrorKind::PermissionDenied
        );
        std::os::unix::fs::chown(at("real"), Some(0), None).unwrap();
    }
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(
        files::read(&at("link")).unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
}

#[test]
fn what_is_no_regular_file_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let error = files::read(folder.path()).unwrap_err();
    assert!(error.message().contains("is a folder"), "{error}");
    assert_eq!(
        replace(folder.path(), "x").unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
    let pipe = folder.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        files::read(&pipe).unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
    assert_eq!(
        files::read(Path::new("/dev/null")).unwrap_err().kind(),
        ErrorKind::InvalidConfig
    );
    assert_eq!(
        replace(&folder.path().join("no/such"), "x")
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidConfig
    );
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert_eq!(
        files::read(&folder.path().join("file/x"))
            .unwrap_err()
            .kind(),
        ErrorKind::InvalidConfig
    );
}

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge");
    std::fs::File::create(&path)
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let error = files::read(&path).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidData);
    assert!(error.message().contains("64 MiB"), "{error}");
}

/// Runs the example under a shell in which something about the machine is different.
fn example(script: &str, folder: &Path) -> std::process::Output {
    let tests = std::env::current_exe().unwrap();
    let change = tests
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("examples/change");
    Command::new("bash")
        .arg("-c")
        .arg(script)
        .env("CHANGE", change)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn a_full_disk_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a"), "old").unwrap();
    // One block of 1024 bytes is all that a file may have.
    let output = example(
        "trap '' XFSZ; ulimit -f 1; \"$CHANGE\" a \"$(head -c 5000 /dev/zero | tr '\\0' x)\"",
        folder.path(),
    );
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("a")).unwrap(),
        "old"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left behind"
    );
}

#[test]
fn a_folder_that_may_not_be_written_leaves_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "old").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    // Root may write everywhere: another user tries.
    let script = if is_root() {
        "cp \"$CHANGE\" /dev/shm/change-$$ && chmod 755 /dev/shm/change-$$ && setpriv --reuid=65534 --regid=65534 --clear-groups /dev/shm/change-$$ a new; s=$?; rm /dev/shm/change-$$; exit $s"
    } else {
        "\"$CHANGE\" a new"
    };
    let output = example(script, folder.path());
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "old");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn somebodys_save_that_a_killed_run_had_displaced_is_never_thrown_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "ours").unwrap();
    // As after a kill right between the exchange and the comparison: under our name, which says
    // another inode, lies what an editor had saved an instant before.
    let displaced = folder.path().join(".a.secrets-00000000000000ff");
    std::fs::write(&displaced, "the editor's").unwrap();
    let error = replace(&path, "next").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(
        error.message().contains(".a.secrets-00000000000000ff"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(&displaced).unwrap(), "the editor's");
    std::fs::remove_file(&displaced).unwrap();
    replace(&path, "next").unwrap();
}

#[test]
fn a_file_that_nobody_may_write_is_not_replaced_by_a_rename_either() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a");
    std::fs::write(&path, "1").unwrap();
    for mode in [0o400, 0o444, 0o440] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let removed = files::update(&path, &Options::default(), |_| Ok((Edit::Remove, ())));
        for error in [replace(&path, "2").unwrap_err(), removed.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{mode:o}");
            assert!(error.message().contains("read-only (mode 4"), "{error}");
            let hint = format!("if it is to be changed: chmod u+w {}", path.display());
            assert_eq!(error.hint(), Some(&*hint));
        }
        // What changes nothing is no write.
        replace(&path, "1").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, mode);
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    replace(&path, "2").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "2");
}

#[test]
fn other_names_of_a_file_are_counted_and_keep_the_old_content() {
    let folder = tempfile::tempdir().unwrap();
    let [path, other] = ["a", "b"].map(|name| folder.path().join(name));
    assert_eq!(files::names(&path), 0);
    std::fs::write(&path, "1").unwrap();
    std::fs::hard_link(&path, &other).unwrap();
    assert_eq!((files::names(&path), files::names(&other)), (2, 2));
    replace(&path, "2").unwrap();
    assert_eq!((files::names(&path), files::names(&other)), (1, 1));
    assert_eq!(std::fs::read_to_string(&other).unwrap(), "1");
}
