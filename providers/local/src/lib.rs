//! The encrypted store in the project's own folder: signed age documents, safe to commit.
