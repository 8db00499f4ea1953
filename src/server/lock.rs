//! One broker per data folder.

use super::error::ServerError;
use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Held as long as the broker runs. The system gives it back however the process ends.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl FolderLock {
    /// Takes the folder for this process.
    ///
    /// # Errors
    /// Another process has it, or the lock file cannot be made.
    pub fn take(folder: &Path) -> Result<Self, ServerError> {
        let path = folder.join("lock");
        let failed = |source| ServerError::Lock { file: path.clone(), source };
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(ServerError::Locked { folder: folder.to_owned() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_one_broker_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).unwrap();
        assert!(matches!(FolderLock::take(folder.path()), Err(ServerError::Locked { .. })));
        drop(lock);
        assert!(FolderLock::take(folder.path()).is_ok());
    }
}
