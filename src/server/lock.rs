//! One broker per data folder.

use super::error::ServerError;
use std::fs::{File, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

/// How often a lock is tried for, and how long it rests in between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Held as long as the broker runs. The system gives it back however the process ends.
#[derive(Debug)]
pub struct FolderLock(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

impl FolderLock {
    /// Takes the folder for this process.
    ///
    /// # Errors
    /// Another process has it, or the lock file cannot be made.
    pub async fn take(folder: &Path) -> Result<Self, ServerError> {
        // A command that looks whether a broker runs holds the lock for a moment.
        for _ in 0..TRIES {
            match Self::try_take(folder) {
                Err(ServerError::Locked { .. }) => tokio::time::sleep(PAUSE).await,
                taken => return taken,
            }
        }
        Self::try_take(folder)
    }

    /// Whether a broker has the folder.
    pub fn is_taken(folder: &Path) -> bool {
        matches!(Self::try_take(folder), Err(ServerError::Locked { .. }))
    }

    fn try_take(folder: &Path) -> Result<Self, ServerError> {
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

    #[tokio::test]
    async fn a_folder_has_one_broker_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!FolderLock::is_taken(folder.path()));
        let lock = FolderLock::take(folder.path()).await.unwrap();
        assert!(FolderLock::is_taken(folder.path()));
        assert!(matches!(FolderLock::take(folder.path()).await, Err(ServerError::Locked { .. })));
        drop(lock);
        assert!(FolderLock::take(folder.path()).await.is_ok());
    }
}
