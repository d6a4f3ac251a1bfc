//! A private file in memory, for what an editor is to open: never on a disk, wiped when dropped and
//! when a signal ends the process. What a kill left behind is wiped by the next one made.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::TryRng as _;
use rustix::fs::FlockOperation;
use secrets_api::{Error, ErrorKind, Result, Zeroizing};

use crate::signals::{self, Guard};

/// `statfs(2)` magic numbers of file systems that keep nothing on a disk.
const TMPFS: i64 = 0x0102_1994;
const RAMFS: i64 = 0x8584_58f6;
/// Most bytes read back.
const MOST: u64 = crate::files::MAX_BYTES;

/// The file, in a folder of its own: an editor's backup and swap files stay with it.
#[derive(Debug)]
pub struct Scratch {
    folder: PathBuf,
    path: PathBuf,
    _guard: Guard,
    /// Locked as long as we live: that tells a folder in use from one a kill left behind.
    _lock: File,
}

/// How every folder of ours begins; 16 hexadecimal digits follow.
const PREFIX: &str = "secrets-";
/// Making one takes much less than this.
const YOUNG: Duration = Duration::from_secs(10);

impl Scratch {
    /// Makes an empty one named `name`, below `runtime` (`$XDG_RUNTIME_DIR`) if that lies in
    /// memory, else below `/dev/shm`.
    ///
    /// # Errors
    /// `Unsupported` if neither lies in memory.
    pub fn create(name: &str, runtime: Option<&Path>) -> Result<Self> {
        let places = runtime.into_iter().chain([Path::new("/dev/shm")]);
        let Some(place) = places.into_iter().find(|place| in_memory(place)) else {
            return Err(Error::unsupported(
                "there is no private place in memory for the editor's file",
            )
            .with_hint("mount a tmpfs at /dev/shm, or use `secrets set NAME`"));
        };
        let mut random = [0; 8];
        rand::rngs::SysRng
            .try_fill_bytes(&mut random)
            .map_err(|e| {
                Error::new(
                    ErrorKind::Unexpected,
                    "the operating system gives no entropy",
                )
                .with_source(e)
            })?;
        sweep(place);
        let folder = place.join(format!("{PREFIX}{:016x}", u64::from_ne_bytes(random)));
        DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|e| failed("make", &folder, e))?;
        let lock = locked(&folder).map_err(|e| failed("lock", &folder, e.into()))?;
        let doomed = folder.clone();
        let guard = signals::before_end(move || wipe(&doomed)).map_err(|e| {
            Error::new(ErrorKind::Unexpected, "signals cannot be waited for").with_source(e)
        })?;
        let scratch = Self {
            path: folder.join(name),
            folder,
            _guard: guard,
            _lock: lock,
        };
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&scratch.path)
            .map_err(|e| failed("make", &scratch.path, e))?;
        Ok(scratch)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `editor` while the terminal is its own: an interrupt or quit typed there does not end
    /// us, as it does not end git. Anything else that would end us wipes the file first.
    pub fn while_editing<T>(&self, editor: impl FnOnce() -> T) -> T {
        signals::lend_terminal(editor)
    }

    /// Replaces the content.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let write = || -> std::io::Result<()> {
            let mut file = OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&self.path)?;
            file.write_all(bytes)
        };
        write().map_err(|e| failed("write", &self.path, e))
    }

    /// The content as it now is; an editor may have put another file in its place.
    ///
    /// # Errors
    /// If it cannot be read, or has more than 64 MiB.
    pub fn read(&self) -> Result<Zeroizing<Vec<u8>>> {
        let read = || -> std::io::Result<Zeroizing<Vec<u8>>> {
            let file = File::open(&self.path)?;
            let size = usize::try_from(file.metadata()?.len().min(MOST)).unwrap_or(0);
            let mut bytes = Zeroizing::new(Vec::with_capacity(size + 1));
            file.take(MOST + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|e| failed("read", &self.path, e))?;
        if bytes.len() as u64 > MOST {
            return Err(Error::new(
                ErrorKind::InvalidData,
                "the edited file is larger than 64 MiB",
            ));
        }
        Ok(bytes)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        wipe(&self.folder);
    }
}

/// Overwrites and removes a folder's files: pages of memory given back may be seen in an image of a
/// running machine.
fn wipe(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if let Ok(mut file) = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_NOFOLLOW)
            .open(entry.path())
        {
            let mut left = file.metadata().map_or(0, |m| m.len());
            let _ = file.rewind();
            let zeros = [0_u8; 4096];
            while left > 0 {
                let n = left.min(zeros.len() as u64);
                if file
                    .write_all(&zeros[..usize::try_from(n).unwrap_or(0)])
                    .is_err()
                {
                    break;
                }
                left -= n;
            }
        }
    }
    let _ = std::fs::remove_dir_all(folder);
}

/// The folder, locked; the lock ends with the process, however that ends.
fn locked(folder: &Path) -> Result<File, rustix::io::Errno> {
    let flags = rustix::fs::OFlags::RDONLY
        | rustix::fs::OFlags::DIRECTORY
        | rustix::fs::OFlags::NOFOLLOW
        | rustix::fs::OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(folder, flags, rustix::fs::Mode::empty())?);
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

/// Wipes what runs that were killed have left.
fn sweep(place: &Path) {
    for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let ours = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|b| b.is_ascii_hexdigit()));
        let us = rustix::process::geteuid().as_raw();
        let made_by_us = entry.metadata().is_ok_and(|m| m.is_dir() && m.uid() == us);
        // One that is just being made is not locked yet.
        let age = entry.metadata().and_then(|m| m.modified()).ok();
        let old = age.and_then(|then| then.elapsed().ok()) > Some(YOUNG);
        if ours && made_by_us && old && locked(&entry.path()).is_ok() {
            wipe(&entry.path());
        }
    }
}

fn in_memory(folder: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        #[allow(
            clippy::useless_conversion,
            reason = "the type differs between architectures"
        )]
        rustix::fs::statfs(folder).is_ok_and(|s| [TMPFS, RAMFS].contains(&i64::from(s.f_type)))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = folder;
        false
    }
}

fn failed(verb: &str, path: &Path, error: std::io::Error) -> Error {
    Error::new(
        ErrorKind::Unexpected,
        format!("cannot {verb} {}", path.display()),
    )
    .with_source(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn it_lies_in_memory_is_private_and_leaves_nothing() {
        let on_disk = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let scratch = Scratch::create("secrets.env", Some(on_disk.path())).unwrap();
        assert!(scratch.path().starts_with("/dev/shm"));
        assert_eq!(
            std::fs::metadata(&scratch.folder).unwrap().mode() & 0o777,
            0o700
        );
        assert_eq!(
            std::fs::metadata(scratch.path()).unwrap().mode() & 0o777,
            0o600
        );
        scratch.write(b"A=1\n").unwrap();
        assert_eq!(*scratch.read().unwrap(), b"A=1\n");
        std::fs::write(scratch.folder.join("secrets.env~"), "backup").unwrap();
        let folder = scratch.folder.clone();
        drop(scratch);
        assert!(!folder.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_wiped_and_what_is_in_use_is_not() {
        let memory = Path::new("/dev/shm");
        let left = memory.join(format!("{PREFIX}00000000{:08x}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&left).unwrap();
        std::fs::write(left.join("secrets.env"), "A=1").unwrap();
        let past = std::time::SystemTime::now() - 2 * YOUNG;
        File::open(&left).unwrap().set_modified(past).unwrap();
        let one = Scratch::create("secrets.env", None).unwrap();
        assert!(!left.exists());
        let _other = Scratch::create("secrets.env", None).unwrap();
        assert!(one.path().exists());
    }
}
