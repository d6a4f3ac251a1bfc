//! Files, read as they are and replaced whole.
//!
//! [`update`] is the only way any file is written: lock on the folder; temporary file in it,
//! `O_EXCL`; write; sync; exchange; sync of the folder. What was displaced is compared with what
//! had been read: if somebody saved meanwhile it is exchanged back and the edit is made again on
//! the new content. Killed at any instant, the file is the old or the new one, whole.
//!
//! Where a file system cannot exchange (Linux 3.15's `renameat2` is missing on some network file
//! systems) the file is compared once more right before a plain rename: a save in those few
//! microseconds is then lost, by an editor only: we ourselves hold the lock.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use secrets_api::{Error, ErrorKind, Result, Zeroizing};

use crate::contents::{contents_of, stamp_of};
use crate::folder::{Folder, Temporary};

pub use crate::contents::{Contents, MAX_BYTES};

/// How often an edit is made again on what others saved meanwhile.
const TRIES: usize = 8;

/// What is to become of a file.
#[derive(Debug)]
pub enum Edit {
    /// It stays as it is.
    Keep,
    /// It gets this content.
    Replace(Zeroizing<Vec<u8>>),
    /// It is removed.
    Remove,
}

/// How a file is written.
#[derive(Debug, Clone)]
pub struct Options {
    /// The mode of a file that is new; an old one keeps its own. Default `0o600`.
    pub mode_if_new: u32,
    /// Whether missing folders are made, with mode 0700. Default no.
    pub create_parents: bool,
    /// How long to wait for others that write in this folder. Default 10 s.
    pub lock_wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode_if_new: 0o600,
            create_parents: false,
            lock_wait: Duration::from_secs(10),
        }
    }
}

/// Reads a file; `None` if there is none.
///
/// # Errors
/// `InvalidConfig` for a folder, a device, a pipe, or a link that may not be followed (see
/// [`update`]); `PermissionDenied`; `InvalidData` for more than [`MAX_BYTES`].
pub fn read(path: &Path) -> Result<Option<Contents>> {
    match open_direct(path) {
        Ok(file) => checked(&file, path).map(Some),
        Err(Errno::NOENT) => Ok(None),
        // A link: the one case in which a second look is needed.
        Err(Errno::LOOP) => match open_direct(&target(path)?) {
            Ok(file) => checked(&file, path).map(Some),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refused("read", path, errno)),
        },
        Err(errno) => Err(refused("read", path, errno)),
    }
}

/// The state of a file without its content, as in [`Contents::stamp`]; `None` if there is none.
///
/// # Errors
/// As [`read`].
pub fn stamp(path: &Path) -> Result<Option<String>> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Some(stamp_of(&meta))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(failed("read", path, &e)),
    }
}

/// How many names the file has (hard links), a link at the end of the path followed; 0 if there is none.
/// [`update`] replaces a file under one of them: the others keep the old content.
pub fn names(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |meta| meta.nlink())
}

/// Makes a folder that only its owner can enter, and those above it that are missing.
///
/// # Errors
/// As [`update`].
pub fn private_folder(path: &Path) -> Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|e| failed("make", path, &e))
}

/// Changes a file. `edit` is given what is there now (`None` if there is no file) and says what is
/// to become of it; if somebody saves the file in the meantime it is asked again about the new
/// content. What it answered last is the result.
///
/// Owner, group, mode, extended attributes and access control lists of an old file are kept. A
/// link at the end of the path is followed once, to a regular file that has the link's owner, and
/// only in a folder that nobody else can write to; then the file it names is the one replaced. Other
/// names of the file (hard links) keep the old content.
///
/// A file whose mode lets nobody write it is read-only by somebody's will: it stays as it is, for root too.
///
/// # Errors
/// What `edit` answers; `Unavailable` if the lock is held longer than [`Options::lock_wait`];
/// `Conflict` if others save faster than we can; `PermissionDenied` where the file is read-only, or it, or
/// its owner and attributes, may not be written; `InvalidConfig` as for [`read`] and for a file that is a
/// mount point of its own; `Unexpected` for a full or read-only disk. The file is then unchanged.
pub fn update<T>(
    path: &Path,
    options: &Options,
    mut edit: impl FnMut(Option<&Contents>) -> Result<(Edit, T)>,
) -> Result<T> {
    let path = if path.is_symlink() {
        target(path)?
    } else {
        path.to_owned()
    };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str()))
    else {
        return Err(invalid(format!("{} is no path of a file", path.display())));
    };
    if options.create_parents && !parent.as_os_str().is_empty() && !parent.exists() {
        private_folder(parent)?;
    }
    let folder = Folder::open(parent).map_err(|errno| match errno {
        Errno::NOENT => Error::new(
            ErrorKind::InvalidConfig,
            format!("the folder {} is not there", parent.display()),
        ),
        errno => refused("open", parent, errno),
    })?;
    folder.lock(options.lock_wait).map_err(|errno| match errno {
        Errno::WOULDBLOCK => Error::new(
            ErrorKind::Unavailable,
            format!("{} is held by another process", path.display()),
        )
        .with_hint("another `secrets`, or a tool that locks this folder, is at work: try again when it is done"),
        errno => refused("lock", parent, errno),
    })?;
    let target = Target {
        folder: &folder,
        path: &path,
        name,
        mode: options.mode_if_new,
    };
    let mut swept = false;
    for _ in 0..TRIES {
        let old = target.open()?;
        let before = old.as_ref().map(|file| checked(file, &path)).transpose()?;
        if !std::mem::replace(&mut swept, true) {
            target.sweep(before.as_ref())?;
        }
        let (wanted, answer) = edit(before.as_ref())?;
        let done = match (wanted, before) {
            (Edit::Keep, _) | (Edit::Remove, None) => true,
            (Edit::Replace(new), Some(before)) if *new == *before.bytes => true,
            (Edit::Replace(_) | Edit::Remove, Some(before)) if before.mode & 0o222 == 0 => {
                return Err(read_only(&path, before.mode));
            }
            (Edit::Replace(new), Some(before)) => target.replace(&new, &before, old.as_ref())?,
            (Edit::Replace(new), None) => target.create(&new)?,
            (Edit::Remove, Some(before)) => target.remove(&before)?,
        };
        if done {
            return Ok(answer);
        }
    }
    Err(Error::new(
        ErrorKind::Conflict,
        format!(
            "{} is being saved by another program again and again",
            path.display()
        ),
    ))
}

/// The file to be changed.
struct Target<'a> {
    folder: &'a Folder,
    path: &'a Path,
    name: &'a str,
    mode: u32,
}

impl Target<'_> {
    fn open(&self) -> Result<Option<File>> {
        match self.folder.open_file(self.name) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(refused("read", self.path, errno)),
        }
    }

    fn sweep(&self, now: Option<&Contents>) -> Result<()> {
        match self.folder.sweep(self.name, now) {
            Ok(None) => Ok(()),
            Ok(Some(kept)) => {
                let kept = self.path.with_file_name(kept);
                let message = format!(
                    "a run that was killed left what somebody had just saved in {}",
                    kept.display()
                );
                Err(Error::new(ErrorKind::Conflict, message).with_hint(format!(
                    "compare it with {}, take over what is missing, then remove it",
                    self.path.display()
                )))
            }
            // A folder that cannot be listed can still be written to.
            Err(Errno::ACCESS) => Ok(()),
            Err(errno) => Err(refused("clean up beside", self.path, errno)),
        }
    }

    fn stage(&self, bytes: &[u8], like: Option<&File>) -> Result<Temporary> {
        self.folder
            .stage(self.name, bytes, self.mode, like)
            .map_err(|e| {
                let denied = e.raw_os_error() == Some(Errno::PERM.raw_os_error());
                let error = failed("write", self.path, &e);
                if denied && like.is_some() {
                    return error.with_hint(
                        "its owner, group or attributes could not be kept: run as its owner",
                    );
                }
                error
            })
    }

    /// A file that is not there yet; says whether it was still so.
    fn create(&self, bytes: &[u8]) -> Result<bool> {
        let staged = self.stage(bytes, None)?;
        let renamed = match self.folder.rename_new(&staged.name, self.name) {
            Err(Errno::INVAL | Errno::NOSYS) => match self.open()? {
                None => self.folder.rename_over(&staged.name, self.name),
                Some(_) => Err(Errno::EXIST),
            },
            other => other,
        };
        match renamed {
            Ok(()) => self.finish().map(|()| true),
            Err(errno) => {
                let _ = self.folder.unlink(&staged.name);
                if errno == Errno::EXIST {
                    Ok(false)
                } else {
                    Err(refused("write", self.path, errno))
                }
            }
        }
    }

    /// New content for a file that is there; says whether it was still what had been read.
    fn replace(&self, bytes: &[u8], before: &Contents, like: Option<&File>) -> Result<bool> {
        let staged = self.stage(bytes, like)?;
        match self.folder.exchange(&staged.name, self.name) {
            Ok(()) => {
                if self.is_displaced(&staged.name, before) {
                    self.folder
                        .unlink(&staged.name)
                        .map_err(|e| refused("write", self.path, e))?;
                    return self.finish().map(|()| true);
                }
                self.put_back(&staged)?;
                Ok(false)
            }
            // Removed meanwhile: there is nothing to exchange with.
            Err(Errno::NOENT) => {
                let _ = self.folder.unlink(&staged.name);
                Ok(false)
            }
            Err(Errno::INVAL | Errno::NOSYS) => self.replace_plainly(&staged, before),
            Err(errno) => {
                let _ = self.folder.unlink(&staged.name);
                Err(refused("write", self.path, errno))
            }
        }
    }

    /// Whether the file now under `name` holds what had been read.
    fn is_displaced(&self, name: &str, before: &Contents) -> bool {
        let displaced = self
            .folder
            .open_file(name)
            .ok()
            .and_then(|file| contents_of(&file).ok());
        displaced.is_some_and(|now| *now.bytes == *before.bytes)
    }

    /// Gives the file back to whoever saved it. If they saved once more in between, that newest
    /// save is the one that stays.
    fn put_back(&self, staged: &Temporary) -> Result<()> {
        let undo = || {
            self.folder.exchange(&staged.name, self.name)?;
            if !self.folder.is(staged) {
                self.folder.exchange(&staged.name, self.name)?;
            }
            self.folder.unlink(&staged.name)?;
            self.folder.sync()
        };
        undo().map_err(|errno| refused("put back", self.path, errno))
    }

    fn replace_plainly(&self, staged: &Temporary, before: &Contents) -> Result<bool> {
        let same = self.is_displaced(self.name, before);
        let renamed = if same {
            self.folder.rename_over(&staged.name, self.name)
        } else {
            Ok(())
        };
        if !same || renamed.is_err() {
            let _ = self.folder.unlink(&staged.name);
        }
        renamed.map_err(|errno| refused("write", self.path, errno))?;
        if same {
            self.finish().map(|()| true)
        } else {
            Ok(false)
        }
    }

    /// Takes the file away; says whether it was still what had been read.
    fn remove(&self, before: &Contents) -> Result<bool> {
        if !self.is_displaced(self.name, before) {
            return Ok(false);
        }
        match self.folder.unlink(self.name) {
            Ok(()) => self.finish().map(|()| true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(refused("remove", self.path, errno)),
        }
    }

    fn finish(&self) -> Result<()> {
        self.folder
            .sync()
            .map_err(|errno| refused("sync the folder of", self.path, errno))
    }
}

fn open_direct(path: &Path) -> Result<File, Errno> {
    let flags =
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(path, flags, Mode::empty()).map(File::from)
}

/// The content of an open file that must be a regular one.
fn checked(file: &File, path: &Path) -> Result<Contents> {
    let meta = file.metadata().map_err(|e| failed("read", path, &e))?;
    if meta.is_dir() {
        return Err(invalid(format!("{} is a folder", path.display())));
    }
    if !meta.is_file() {
        return Err(invalid(format!("{} is no regular file", path.display())));
    }
    if meta.len() > MAX_BYTES {
        return Err(too_large(path));
    }
    let contents = contents_of(file).map_err(|e| failed("read", path, &e))?;
    if contents.bytes.len() as u64 > MAX_BYTES {
        return Err(too_large(path));
    }
    Ok(contents)
}

/// Where a link at the end of a path leads, if it may be followed.
fn target(link: &Path) -> Result<PathBuf> {
    let read =
        || -> std::io::Result<_> { Ok((link.symlink_metadata()?, std::fs::read_link(link)?)) };
    let (meta, to) = read().map_err(|e| failed("read", link, &e))?;
    let folder = link
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let target = folder.join(to);
    let place = folder.metadata().map_err(|e| failed("read", folder, &e))?;
    if place.mode() & 0o022 != 0 && place.mode() & 0o1000 == 0 {
        return Err(invalid(format!(
            "{} is a link in a folder that others can write to",
            link.display()
        ))
        .with_hint("name the file itself"));
    }
    match target.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(invalid(format!(
            "{} is a link to a file that is not there",
            link.display()
        ))),
        Err(e) => Err(failed("read", &target, &e)),
        Ok(found) if found.is_symlink() => Err(invalid(format!(
            "{} is a link to another link",
            link.display()
        ))
        .with_hint("name the file itself")),
        Ok(found) if found.uid() != meta.uid() => Err(Error::new(
            ErrorKind::PermissionDenied,
            format!(
                "{} is a link to a file of another owner (uid {})",
                link.display(),
                found.uid()
            ),
        )
        .with_hint("name the file itself, if that is meant")),
        Ok(_) => Ok(target),
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidConfig, message)
}

/// A rename would replace it all the same: that the folder can be written is not what its mode says.
fn read_only(path: &Path, mode: u32) -> Error {
    let path = path.display();
    Error::new(
        ErrorKind::PermissionDenied,
        format!("{path} is read-only (mode {:03o})", mode & 0o777),
    )
    .with_hint(format!("if it is to be changed: chmod u+w {path}"))
}

fn too_large(path: &Path) -> Error {
    Error::new(
        ErrorKind::InvalidData,
        format!("{} is larger than 64 MiB", path.display()),
    )
}

fn failed(verb: &str, path: &Path, error: &std::io::Error) -> Error {
    match Errno::from_io_error(error) {
        Some(errno) => refused(verb, path, errno),
        None => Error::new(
            ErrorKind::Unexpected,
            format!("cannot {verb} {}: {error}", path.display()),
        ),
    }
}

/// What the kernel answered, in words a person can act on.
fn refused(verb: &str, path: &Path, errno: Errno) -> Error {
    let path = path.display();
    let (kind, why, hint) = match errno {
        Errno::ACCESS | Errno::PERM => (ErrorKind::PermissionDenied, "permission denied", None),
        Errno::NOSPC | Errno::DQUOT => (
            ErrorKind::Unexpected,
            "the disk is full",
            Some("make room and try again: nothing was changed"),
        ),
        Errno::ROFS => (
            ErrorKind::PermissionDenied,
            "the file system is read-only",
            None,
        ),
        Errno::FBIG => (
            ErrorKind::Unexpected,
            "the file would be larger than is allowed here",
            None,
        ),
        Errno::ISDIR => (ErrorKind::InvalidConfig, "it is a folder", None),
        Errno::NOTDIR => (
            ErrorKind::InvalidConfig,
            "a part of its path is no folder",
            None,
        ),
        Errno::LOOP => (
            ErrorKind::InvalidConfig,
            "it is a link",
            Some("name the file itself"),
        ),
        Errno::NXIO => (ErrorKind::InvalidConfig, "it is no regular file", None),
        Errno::BUSY => (
            ErrorKind::InvalidConfig,
            "it is a mount point of its own and cannot be replaced",
            Some("mount its folder into the container instead of the file"),
        ),
        errno => {
            return Error::new(ErrorKind::Unexpected, format!("cannot {verb} {path}"))
                .with_source(std::io::Error::from(errno));
        }
    };
    let error = Error::new(kind, format!("cannot {verb} {path}: {why}"));
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
