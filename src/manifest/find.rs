//! Where the manifest is: the nearest `secrets.toml` at or above the working directory.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::exit::{Exit, Failure, Result};

/// The manifest's file name.
pub const FILE_NAME: &str = "secrets.toml";

/// A manifest's place and text.
#[derive(Debug, Clone)]
pub struct Found {
    /// The project's folder.
    pub root: PathBuf,
    /// The file.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Walks up from `start`.
///
/// # Errors
/// If the nearest one belongs to another user than ourselves or root (whoever owns it decides
/// which stores are used), is no regular file, or cannot be read.
pub fn find(start: &Path) -> Result<Option<Found>> {
    for root in start.ancestors() {
        let path = root.join(FILE_NAME);
        // Whatever is there counts, also a link that leads nowhere: never as if there were none.
        match path.symlink_metadata() {
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                continue;
            }
            Err(e) => {
                return Err(Failure::new(
                    Exit::Denied,
                    format!("whether there is a {} cannot be told: {e}", path.display()),
                ));
            }
        }
        if !owned_by_us(&path)?.is_file() {
            return Err(Failure::usage(format!(
                "{} is not a regular file",
                path.display()
            )));
        }
        let contents = secrets_platform::files::read(&path)?
            .ok_or_else(|| Failure::usage(format!("{} has just been removed", path.display())))?;
        let text = std::str::from_utf8(&contents.bytes).map_err(|e| {
            Failure::usage(format!(
                "{} is not UTF-8 at byte {}",
                path.display(),
                e.valid_up_to()
            ))
        })?;
        return Ok(Some(Found {
            root: root.to_owned(),
            path,
            text: text.to_owned(),
        }));
    }
    Ok(None)
}

/// What is known of a file that is used without being named by a person, which has to be our own
/// or root's: whoever owns it decides what is read.
///
/// # Errors
/// If it belongs to another user, or cannot be looked at.
pub fn owned_by_us(path: &Path) -> Result<Metadata> {
    let shown = path.display();
    let meta = std::fs::metadata(path)
        .map_err(|e| Failure::usage(format!("{shown} cannot be used: {e}")))?;
    let us = secrets_platform::process::effective_user();
    if meta.uid() == us || meta.uid() == 0 {
        return Ok(meta);
    }
    Err(Failure::new(
        Exit::Denied,
        format!("{shown} belongs to another user (uid {})", meta.uid()),
    )
    .with_hint(format!(
        "if it is yours to use, take it over: chown {us} {shown}"
    )))
}
