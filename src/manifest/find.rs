//! Where the manifest is: the nearest `secrets.toml` at or above the working directory.

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
        let Ok(meta) = std::fs::metadata(&path) else {
            continue;
        };
        if !meta.is_file() {
            return Err(Failure::usage(format!(
                "{} is not a regular file",
                path.display()
            )));
        }
        let us = secrets_platform::process::effective_user();
        if meta.uid() != us && meta.uid() != 0 {
            return Err(Failure::new(
                Exit::Denied,
                format!(
                    "{} belongs to another user (uid {})",
                    path.display(),
                    meta.uid()
                ),
            )
            .with_hint(format!(
                "if it is yours to use, take it over: chown {us} {}",
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
