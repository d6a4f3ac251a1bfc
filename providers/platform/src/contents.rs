//! A file as it was read: once, whole, into one block.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use secrets_api::Zeroizing;

/// The largest file that is read, in bytes: 64 MiB.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// A file's content as it was read, once.
#[derive(Debug)]
pub struct Contents {
    /// The bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Permission bits, `0o600`.
    pub mode: u32,
    /// When it was last changed, where on the disk it is and how large: differs whenever the file
    /// was replaced or written. Opaque.
    pub stamp: String,
}

/// Reads an open file, at most one byte more than is allowed, into a block of its size: the
/// content is not copied about.
pub(crate) fn contents_of(mut file: &File) -> std::io::Result<Contents> {
    let meta = file.metadata()?;
    let expected = usize::try_from(meta.len().min(MAX_BYTES)).unwrap_or(0);
    let mut bytes = Zeroizing::new(vec![0; expected + 1]);
    let mut filled = 0;
    loop {
        let n = file.read(&mut bytes[filled..])?;
        filled += n;
        if n == 0 || filled as u64 > MAX_BYTES {
            break;
        }
        if filled == bytes.len() {
            // It grew while it was read.
            let mut larger = Zeroizing::new(vec![0; filled * 2]);
            larger[..filled].copy_from_slice(&bytes);
            bytes = larger;
        }
    }
    bytes.truncate(filled);
    Ok(Contents {
        bytes,
        mode: meta.mode() & 0o7777,
        stamp: stamp_of(&meta),
    })
}

/// [`Contents::stamp`] of a file.
pub(crate) fn stamp_of(meta: &Metadata) -> String {
    format!(
        "{}.{:09}-{}-{}",
        meta.mtime(),
        meta.mtime_nsec(),
        meta.ino(),
        meta.size()
    )
}
