//! One folder, held open by its descriptor: the lock, and the steps that replace a file in it.

use std::fs::File;
use std::io::Write as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rand::TryRng as _;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::contents::{Contents, contents_of};

/// How long to sleep between two tries for the lock.
const TURN: Duration = Duration::from_millis(5);
/// A displaced file that was last written longer than this before it was displaced is the one we
/// had read, not a save that came between.
const FRESH: i64 = 2;

#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

/// A file of ours beside the target, not yet in its place.
#[derive(Debug)]
pub(crate) struct Temporary {
    pub(crate) name: String,
    inode: u64,
}

impl Folder {
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        rustix::fs::open(
            path,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map(Self)
    }

    /// Takes the lock (flock(2)); it is given back when the folder is closed, also by a kill.
    pub(crate) fn lock(&self, wait: Duration) -> Result<(), Errno> {
        let until = Instant::now() + wait;
        loop {
            match rustix::fs::flock(&self.0, FlockOperation::NonBlockingLockExclusive) {
                Err(Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(TURN),
                Err(Errno::INTR) => {}
                other => return other,
            }
        }
    }

    /// Opens a file of the folder without following a link.
    pub(crate) fn open_file(&self, name: &str) -> Result<File, Errno> {
        let flags =
            OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        rustix::fs::openat(&self.0, name, flags, Mode::empty()).map(File::from)
    }

    /// Writes `bytes` to a new file, with what `like` has of owner, mode and attributes, and syncs
    /// it. Its name then says its inode: so a later run can tell it from a file it was exchanged
    /// with.
    pub(crate) fn stage(
        &self,
        name: &str,
        bytes: &[u8],
        mode: u32,
        like: Option<&File>,
    ) -> std::io::Result<Temporary> {
        let draft = format!("{}new-{}", prefix(name), random()?);
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let mut file = File::from(rustix::fs::openat(
            &self.0,
            &draft,
            flags,
            Mode::from_raw_mode(0o600),
        )?);
        let staged = (|| {
            file.write_all(bytes)?;
            match like {
                Some(like) => copy_attributes(like, &file)?,
                None => rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?,
            }
            file.sync_all()?;
            let inode = rustix::fs::fstat(&file)?.st_ino;
            let name = format!("{}{inode:016x}", prefix(name));
            rustix::fs::renameat(&self.0, &draft, &self.0, &name)?;
            Ok(Temporary { name, inode })
        })();
        if staged.is_err() {
            let _ = self.unlink(&draft);
        }
        staged
    }

    /// Exchanges two files of the folder, in one step.
    pub(crate) fn exchange(&self, one: &str, other: &str) -> Result<(), Errno> {
        rustix::fs::renameat_with(&self.0, one, &self.0, other, RenameFlags::EXCHANGE)
    }

    /// Gives a file another name, if that is free.
    pub(crate) fn rename_new(&self, from: &str, to: &str) -> Result<(), Errno> {
        rustix::fs::renameat_with(&self.0, from, &self.0, to, RenameFlags::NOREPLACE)
    }

    /// Gives a file another name, whatever had it.
    pub(crate) fn rename_over(&self, from: &str, to: &str) -> Result<(), Errno> {
        rustix::fs::renameat(&self.0, from, &self.0, to)
    }

    pub(crate) fn unlink(&self, name: &str) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.0, name, AtFlags::empty())
    }

    /// Syncs the folder itself: names that were changed in it. Some file systems have nothing to
    /// sync and say EINVAL.
    pub(crate) fn sync(&self) -> Result<(), Errno> {
        match rustix::fs::fsync(&self.0) {
            Err(Errno::INVAL) => Ok(()),
            other => other,
        }
    }

    /// Whether this name still is the file we staged.
    pub(crate) fn is(&self, temporary: &Temporary) -> bool {
        rustix::fs::statat(&self.0, &temporary.name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| stat.st_ino == temporary.inode)
    }

    /// Removes what killed runs left beside `name`. To be called under the lock: then nobody is at
    /// work. A file that may be somebody's save (we were killed right after it was displaced) is
    /// not removed: its name is the answer.
    pub(crate) fn sweep(
        &self,
        name: &str,
        now: Option<&Contents>,
    ) -> Result<Option<String>, Errno> {
        let prefix = prefix(name);
        for entry in rustix::fs::Dir::read_from(self.0.as_fd())? {
            let entry = entry?;
            let Ok(found) = entry.file_name().to_str() else {
                continue;
            };
            let Some(rest) = found.strip_prefix(&prefix) else {
                continue;
            };
            let stat = rustix::fs::statat(&self.0, found, AtFlags::SYMLINK_NOFOLLOW)?;
            if stat.st_uid != rustix::process::geteuid().as_raw()
                && !rustix::process::geteuid().is_root()
            {
                continue;
            }
            let draft = rest.strip_prefix("new-").is_some_and(is_hex);
            let unfinished = is_hex(rest) && u64::from_str_radix(rest, 16) == Ok(stat.st_ino);
            let displaced = is_hex(rest) && !unfinished;
            let long_before = stat.st_mtime < stat.st_ctime - FRESH;
            if draft || unfinished || (displaced && (long_before || self.holds(found, now))) {
                self.unlink(found)?;
            } else if displaced {
                return Ok(Some(found.to_owned()));
            }
        }
        Ok(None)
    }

    fn holds(&self, name: &str, contents: Option<&Contents>) -> bool {
        let displaced = self
            .open_file(name)
            .ok()
            .and_then(|file| contents_of(&file).ok());
        matches!((displaced, contents), (Some(a), Some(b)) if *a.bytes == *b.bytes)
    }
}

/// How every file of ours beside `name` begins.
fn prefix(name: &str) -> String {
    format!(".{name}.secrets-")
}

fn is_hex(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn random() -> std::io::Result<String> {
    let mut bytes = [0; 8];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(std::io::Error::other)?;
    Ok(format!("{:016x}", u64::from_ne_bytes(bytes)))
}

/// Owner, group, extended attributes (access control lists are among them) and mode.
fn copy_attributes(from: &File, to: &File) -> std::io::Result<()> {
    use xattr::FileExt as _;
    let old = rustix::fs::fstat(from)?;
    let new = rustix::fs::fstat(to)?;
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) {
        let owner = rustix::fs::Uid::from_raw(old.st_uid);
        let group = rustix::fs::Gid::from_raw(old.st_gid);
        rustix::fs::fchown(to, Some(owner), Some(group))?;
    }
    match from.list_xattr() {
        Ok(names) => {
            let names: Vec<_> = names.collect();
            // What the new file has from its folder (a default access control list) and the old one
            // had not would open it to others.
            let label = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b"security.");
            for inherited in to.list_xattr()?.filter(|n| !names.contains(n) && !label(n)) {
                to.remove_xattr(&inherited)?;
            }
            for name in names {
                let value = from.get_xattr(&name)?;
                if to.get_xattr(&name)? != value {
                    to.set_xattr(&name, &value.unwrap_or_default())?;
                }
            }
        }
        Err(e) if e.raw_os_error() == Some(Errno::NOTSUP.raw_os_error()) => {}
        Err(e) => return Err(e),
    }
    rustix::fs::fchmod(to, Mode::from_raw_mode(old.st_mode & 0o7777))?;
    Ok(())
}
