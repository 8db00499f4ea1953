//! One broker per data folder.

use super::clock::Beat;
use super::error::ServerError;
use crate::broker::Timestamp;
use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// How often a lock is tried for, and how long it rests in between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Held as long as the broker runs. The system gives it back however the process ends.
///
/// What is in the file is the last sign of life: two numbers of twenty digits.
#[derive(Debug)]
pub struct FolderLock(File);

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

    /// Notes that the broker is alive. Not synced: what a loss of power takes of it is less than a minute.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn note(&self, beat: Beat) -> io::Result<()> {
        let text = format!("{:020} {:020}\n", beat.at.as_millis(), beat.wall_ms);
        self.0.write_all_at(text.as_bytes(), 0)
    }

    /// When the last broker on this folder was alive, if that can be read.
    pub fn last_beat(&self) -> Option<Beat> {
        let mut bytes = [0; 42];
        self.0.read_exact_at(&mut bytes, 0).ok()?;
        let (at, wall) = std::str::from_utf8(&bytes).ok()?.strip_suffix('\n')?.split_once(' ')?;
        let is_whole = at.len() == 20 && wall.len() == 20;
        let (at, wall_ms) = (at.parse().ok()?, wall.parse().ok()?);
        is_whole.then_some(Beat { at: Timestamp::from_millis(at), wall_ms })
    }

    fn try_take(folder: &Path) -> Result<Self, ServerError> {
        let path = folder.join("lock");
        let failed = |source| ServerError::Lock { file: path.clone(), source };
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
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

    #[tokio::test]
    async fn a_sign_of_life_outlives_its_broker_and_nonsense_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let lock = FolderLock::take(folder.path()).await.unwrap();
        assert_eq!(lock.last_beat(), None);
        for number in [0, 1_795_000_000_000, u64::MAX] {
            let beat = Beat { at: Timestamp::from_millis(number), wall_ms: number / 2 };
            lock.note(beat).unwrap();
            assert_eq!(lock.last_beat(), Some(beat));
        }
        drop(lock);
        let lock = FolderLock::take(folder.path()).await.unwrap();
        assert_eq!(lock.last_beat().map(|beat| beat.wall_ms), Some(u64::MAX / 2));
        for nonsense in [vec![0; 42], b"1 2\n".to_vec(), b"99999999999999999999 00000000000000000000\n".to_vec()] {
            std::fs::write(folder.path().join("lock"), nonsense).unwrap();
            assert_eq!(lock.last_beat(), None);
        }
    }
}
