//! Files of keys and certificates: written whole or not at all, and read only if nobody else can.

use super::error::AuthError;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use zeroize::Zeroizing;

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

/// Reads a private key, if the file is ours and nobody else may read or write it.
pub fn read_key_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, AuthError> {
    let unreadable = |source| AuthError::Unreadable { path: path.into(), source };
    // The open file is looked at, not its name, which could come to mean another file in between.
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.mode() & 0o077 != 0 {
        return Err(AuthError::KeyFileOpen { path: path.into(), mode: metadata.mode() & 0o777 });
    }
    let us = rustix::process::geteuid().as_raw();
    if metadata.uid() != us && metadata.uid() != 0 && us != 0 {
        return Err(AuthError::KeyFileForeign { path: path.into(), owner: metadata.uid() });
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_KEY_FILE));
    file.take(MAX_KEY_FILE as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
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

/// Makes a folder, and those above it, that only their owner may enter. What is there stays as it is.
pub fn create_folder(path: &Path) -> Result<(), AuthError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| AuthError::Unwritable { path: path.into(), source })
}

/// No key is longer: RSA of 16,384 bits takes 13 KB in PEM.
const MAX_KEY_FILE: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_written_for_its_owner_alone_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls/ca.key");
        create_folder(path.parent().unwrap()).unwrap();
        create_file(&path, b"key", Readers::Owner).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        assert_eq!(read_key_file(&path).unwrap().as_slice(), b"key");
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

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.key");
        create_file(&path, b"key", Readers::Owner).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o660, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = read_key_file(&path).unwrap_err();
            assert!(refused.to_string().contains("chmod 600"), "{refused}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(read_key_file(&path).is_ok());
    }

    #[test]
    fn a_missing_key_is_named() {
        let refused = read_key_file(Path::new("/nowhere/server.key")).unwrap_err();
        assert!(refused.to_string().contains("/nowhere/server.key"), "{refused}");
    }
}
