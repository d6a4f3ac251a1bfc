//! A store's files are in `.secrets/` in the project's folder, and never anywhere else. A link in its
//! place would read and write another project's secrets under this one's manifest, which asks nobody
//! for trust; so links are refused, whatever they lead to.

use std::path::{Path, PathBuf};

use secrets_api::{Error, ErrorKind, Result};

/// The folder's name.
pub(crate) const FOLDER: &str = ".secrets";

/// A file of the store in `root`, by its name.
///
/// # Errors
/// `Untrusted` if it, or the folder it is in, is a link.
pub(crate) fn file(root: &Path, name: &str) -> Result<PathBuf> {
    let folder = root.join(FOLDER);
    let file = folder.join(name);
    for path in [&folder, &file] {
        if path.is_symlink() {
            return Err(Error::new(
                ErrorKind::Untrusted,
                format!(
                    "{} is a link: the local store lies in the project's own folder",
                    path.display()
                ),
            )
            .with_hint("put the store itself there, or name another one in secrets.toml"));
        }
    }
    Ok(file)
}

/// Whether it can be a file's name, and nothing but one.
pub(crate) fn is_plain(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.contains("..")
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}
