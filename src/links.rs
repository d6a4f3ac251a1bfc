//! Files that have several names (hard links). A file is replaced whole: its other names keep the old
//! content. That is said, never passed over in silence.

use std::path::{Path, PathBuf};

use secrets_platform::files;

use crate::printer::Printer;

/// How many names a file had before it was written.
#[derive(Debug)]
pub struct Names {
    path: PathBuf,
    before: u64,
}

impl Names {
    /// Counts them.
    pub fn of(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            before: files::names(path),
        }
    }

    /// Says it, if the file has been parted from its other names since. Whether it was said.
    pub fn tell(&self, printer: &Printer) -> bool {
        let parted = self.before > 1 && files::names(&self.path) == 1;
        if parted {
            let shown = self.path.display();
            let others = match self.before {
                2 => "another name (a hard link), which keeps".to_owned(),
                n => format!("{} other names (hard links), which keep", n - 1),
            };
            printer.warn(format!("{shown} had {others} the old content"));
            printer.hint(format!(
                "for one content under all names, link them anew: `ln -f {shown} OTHER`; a symbolic link lasts"
            ));
        }
        parted
    }
}
