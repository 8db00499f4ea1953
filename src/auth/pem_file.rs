//! Files of keys and certificates, written whole or not at all.

use super::error::AuthError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Who may read a file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner: keys.
    Owner,
    /// Everybody: certificates.
    Everybody,
}

impl Readers {
    fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Everybody => 0o644,
        }
    }
}

/// Writes a file so that after a crash it is there whole or not at all, and puts it in the place of an older one.
pub fn replace_file(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), AuthError> {
    write_beside(path, bytes, readers, |temporary| fs::rename(temporary, path))
}

/// The same, but what is already there stays, and that is an error.
pub fn create_file(path: &Path, bytes: &[u8], readers: Readers) -> Result<(), AuthError> {
    // A hard link does not replace what has the name, where a rename would.
    write_beside(path, bytes, readers, |temporary| {
        fs::hard_link(temporary, path)?;
        fs::remove_file(temporary)
    })
}

fn write_beside(
    path: &Path,
    bytes: &[u8],
    readers: Readers,
    put_in_place: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), AuthError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| AuthError::Randomness)?;
    let temporary = folder.join(format!(".{}.tmp", data_encoding::HEXLOWER.encode(&random)));
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(readers.mode()).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        put_in_place(&temporary)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|source| {
        let _ = fs::remove_file(&temporary);
        AuthError::Unwritable { path: path.into(), source }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn a_key_is_written_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        create_file(&path, b"key", Readers::Owner).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read(&path).unwrap(), b"key");
    }

    #[test]
    fn what_is_there_is_only_replaced_where_that_is_meant() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        create_file(&path, b"first", Readers::Owner).unwrap();
        assert!(matches!(create_file(&path, b"second", Readers::Owner), Err(AuthError::Unwritable { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"first");
        replace_file(&path, b"third", Readers::Everybody).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
