//! Files that nobody else may read: made with mode 0600 from their first moment, refused when found wider.

use super::error::{FileAction, StoreError};
use rustix::process::geteuid;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// A file of mode 0600 that belongs to this process's user.
pub struct PrivateFile;

impl PrivateFile {
    /// Writes a new file and makes sure that it survives a loss of power. A file that exists is left as it is.
    ///
    /// It is written under another name and renamed when it is whole: a crash leaves no half-made file.
    pub fn create(path: &Path, contents: &[u8]) -> Result<(), StoreError> {
        if path.exists() {
            return Err(StoreError::AlreadyExists { path: path.to_owned() });
        }
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        remove_if_there(&unfinished)?;
        let failed = |action, source| StoreError::File { action, path: unfinished.clone(), source };
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(FILE_MODE).open(&unfinished);
        let mut file = file.map_err(|error| failed(FileAction::Create, error))?;
        file.write_all(contents).and_then(|()| file.sync_all()).map_err(|error| failed(FileAction::Write, error))?;
        put_in_place(&unfinished, path)
    }

    /// Reads a file of at most `limit` bytes; one that is open to others or belongs to somebody else is refused.
    pub fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let failed = |source| StoreError::File { action: FileAction::Read, path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // Asked of the open file, so that it cannot be exchanged in between.
        demand_private(path, &file)?;
        let mut contents = Zeroizing::new(Vec::new());
        file.take(limit).read_to_end(&mut contents).map_err(failed)?;
        Ok(contents)
    }

    /// Refuses a file that is open to others or belongs to somebody else.
    pub fn demand(path: &Path) -> Result<(), StoreError> {
        let file = File::open(path).map_err(|source| StoreError::File {
            action: FileAction::Read,
            path: path.to_owned(),
            source,
        })?;
        demand_private(path, &file)
    }
}

/// Makes a folder that only its owner may enter, where there is none, and makes sure that it survives a loss of power:
/// what is synced in it is lost if its own name is.
pub fn create_private_folder(path: &Path) -> Result<(), StoreError> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let missing: Vec<_> = path.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(|source| StoreError::File {
        action: FileAction::Create,
        path: path.to_owned(),
        source,
    })?;
    if missing.is_empty() {
        // An earlier start that was killed may have made it. Where we may not look, it was somebody else.
        let _ = sync_folder_of(path);
    }
    missing.into_iter().try_for_each(sync_folder_of)
}

/// Puts a file in its place and makes sure that it stays there; an existing file is never replaced.
pub(super) fn put_in_place(from: &Path, to: &Path) -> Result<(), StoreError> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => sync_folder_of(to),
        Err(rustix::io::Errno::EXIST) => Err(StoreError::AlreadyExists { path: to.to_owned() }),
        Err(error) => Err(StoreError::File { action: FileAction::Rename, path: from.to_owned(), source: error.into() }),
    }
}

/// Puts a file in its place, whatever is there, and makes sure that it stays there.
pub(super) fn replace(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File { action: FileAction::Rename, path: from.to_owned(), source };
    fs::rename(from, to).map_err(failed)?;
    sync_folder_of(to)
}

/// Makes sure that what was written to a file survives a loss of power.
pub(super) fn sync_file(path: &Path) -> Result<(), StoreError> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| StoreError::File { action: FileAction::Write, path: path.to_owned(), source })
}

/// Removes a file if it is there.
pub(super) fn remove_if_there(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::File { action: FileAction::Remove, path: path.to_owned(), source }),
    }
}

fn demand_private(path: &Path, file: &File) -> Result<(), StoreError> {
    let about = file.metadata().map_err(|source| StoreError::File {
        action: FileAction::Read,
        path: path.to_owned(),
        source,
    })?;
    let own = geteuid().as_raw();
    if about.uid() != own {
        return Err(StoreError::ForeignOwner { path: path.to_owned(), owner: about.uid(), own });
    }
    if about.mode() & OTHERS != 0 {
        return Err(StoreError::OpenToOthers { path: path.to_owned(), mode: about.mode() & PERMISSIONS });
    }
    Ok(())
}

/// A new name in a folder survives a loss of power only when the folder itself is written.
pub(super) fn sync_folder_of(path: &Path) -> Result<(), StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    File::open(&folder).and_then(|folder| folder.sync_all()).map_err(|source| StoreError::File {
        action: FileAction::Write,
        path: folder,
        source,
    })
}

const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;
const OTHERS: u32 = 0o077;
const PERMISSIONS: u32 = 0o7777;

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_private_file_is_made_with_mode_0600_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        PrivateFile::create(&path, b"one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & PERMISSIONS, FILE_MODE);
        assert!(matches!(PrivateFile::create(&path, b"two"), Err(StoreError::AlreadyExists { .. })));
        assert_eq!(PrivateFile::read(&path, 10).unwrap().as_slice(), b"one");
    }

    #[test]
    fn what_a_crash_left_half_made_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(folder.path().join("secret.unfinished"), "o").unwrap();
        PrivateFile::create(&path, b"one").unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert_eq!(PrivateFile::read(&path, 10).unwrap().as_slice(), b"one");
    }

    #[test]
    fn a_file_open_to_others_is_refused_with_the_command_that_mends_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        PrivateFile::create(&path, b"one").unwrap();
        for mode in [0o604, 0o640, 0o602, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = PrivateFile::read(&path, 10).unwrap_err().to_string();
            assert!(error.contains(&format!("(mode {mode:04o}); run: chmod 600 {}", path.display())), "{error}");
        }
    }

    #[test]
    fn a_folder_is_made_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        create_private_folder(&path).unwrap();
        create_private_folder(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, FOLDER_MODE);
    }

    #[test]
    fn a_file_is_put_in_place_but_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("new"), folder.path().join("file"));
        PrivateFile::create(&from, b"new").unwrap();
        PrivateFile::create(&to, b"old").unwrap();
        assert!(matches!(put_in_place(&from, &to), Err(StoreError::AlreadyExists { .. })));
        remove_if_there(&to).unwrap();
        remove_if_there(&to).unwrap();
        put_in_place(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"new");
    }
}
