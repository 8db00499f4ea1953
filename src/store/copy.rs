//! A whole copy of a database in a file of its own, while others read and write the original.

use super::error::{FileAction, StoreError};
use super::private_file::{PrivateFile, remove_if_there, sync_file};
use sqlx::{SqliteConnection, query};
use std::io;
use std::path::{Path, PathBuf};

/// Writes the database as it is at this moment, without its free pages, to a new file of mode 0600. What an earlier
/// attempt left there goes; a failure, as of a full disk, leaves nothing.
///
/// The connection reads and takes no lock that a writer waits for.
pub(super) async fn copy_to(connection: &mut SqliteConnection, to: &Path) -> Result<(), StoreError> {
    let target = to.to_str().ok_or_else(|| StoreError::PathNotText { path: to.to_owned() })?;
    remove_if_there(to)?;
    // VACUUM INTO writes into an empty file that exists, and so keeps its mode.
    PrivateFile::create(to, &[])?;
    let copied = match query("VACUUM INTO ?").bind(target).execute(connection).await {
        // SQLite leaves it to its caller to make the copy survive a loss of power.
        Ok(_) => sync_file(to),
        Err(error) => Err(error.into()),
    };
    if copied.is_err() {
        remove_if_there(to)?;
    }
    copied
}

/// Refuses a database that was closed and has its log still: it must not be moved, because it is whole with that alone.
///
/// SQLite does not say so when the disk refuses to take the log into the file as the last connection closes.
pub(super) fn demand_no_log(path: &Path) -> Result<(), StoreError> {
    let log = with_suffix(path, "-wal");
    if !log.exists() {
        return Ok(());
    }
    let source = io::Error::other("the disk did not take it into the database");
    Err(StoreError::File { action: FileAction::Remove, path: log, source })
}

/// Under which name a file is made before it is put in its place.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    with_suffix(path, ".unfinished")
}

/// The name of a file that goes with another.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
