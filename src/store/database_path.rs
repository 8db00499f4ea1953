//! Where the database of a data folder is.

use std::path::{Path, PathBuf};

/// The name of the database in the data folder.
pub(super) const DATABASE: &str = "securemq.db";

/// Its path.
pub(super) fn database_in(folder: &Path) -> PathBuf {
    folder.join(DATABASE)
}
