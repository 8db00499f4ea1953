//! Files of keys and certificates, written whole or not at all.

use super::error::AuthError;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

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
    let temporary = folder.join(format!(".{}{UNFINISHED}", data_encoding::HEXLOWER.encode(&random)));
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

/// Removes the files that a crash left half written in a folder, which may hold keys. What cannot be removed stays.
pub fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_unfinished = name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(UNFINISHED));
        let age = entry.metadata().and_then(|about| about.modified()).map(|written| written.elapsed());
        if is_unfinished && age.is_ok_and(|age| age.is_ok_and(|age| age > LONGEST_WRITE)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// How the name of a file ends that is being written.
const UNFINISHED: &str = ".tmp";
/// Another command may be writing one at this moment.
const LONGEST_WRITE: Duration = Duration::from_secs(60);

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

    #[test]
    fn what_a_crash_left_half_written_goes_and_what_is_being_written_stays() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".0a1b.tmp", ".2c3d.tmp", "server.key", "notes.tmp"] {
            let file = File::create(folder.path().join(name)).unwrap();
            if name != ".2c3d.tmp" {
                file.set_modified(std::time::SystemTime::now() - LONGEST_WRITE * 2).unwrap();
            }
        }
        sweep(folder.path());
        let mut left: Vec<_> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [".2c3d.tmp", "notes.tmp", "server.key"]);
        sweep(&folder.path().join("missing"));
    }
}
