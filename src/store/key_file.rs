//! The file of the master key while another key takes its place. The database changes first and the file after it, so
//! between the two the file beside it, `FILE.new`, has the key that opens.

use super::error::{FileAction, StoreError};
use super::private_file::{PrivateFile, remove_if_there, replace, sync_folder_of};
use std::fs;
use std::path::{Path, PathBuf};

/// A file that is about to take the place of the one with the present key or passphrase.
#[derive(Debug)]
pub struct NewKeyFile {
    path: PathBuf,
}

impl NewKeyFile {
    /// Writes the new contents beside the file that they are to replace. The database must have been opened with that file
    /// before: then nothing is left of an earlier attempt that is needed.
    pub fn write(path: &Path, contents: &[u8]) -> Result<Self, StoreError> {
        let new = Self::beside(path);
        remove_if_there(&new)?;
        PrivateFile::create(&new, contents)?;
        sync_folder_of(&new)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where the new contents are until they are put in force.
    pub fn beside(path: &Path) -> PathBuf {
        with_suffix(path, ".new")
    }

    /// What was left by an attempt that a crash ended.
    pub fn left_behind(path: &Path) -> Option<Self> {
        Self::beside(path).exists().then(|| Self { path: path.to_owned() })
    }

    /// The database goes by the new key: the file does, too. The old one stays under the name that is returned, because
    /// backups may need it.
    pub fn put_in_force(self) -> Result<PathBuf, StoreError> {
        let old =
            (1_u32..).map(|number| with_suffix(&self.path, &format!(".old-{number}"))).find(|path| !path.exists());
        let old = old.unwrap_or_else(|| with_suffix(&self.path, ".old"));
        fs::hard_link(&self.path, &old).map_err(|source| StoreError::File {
            action: FileAction::Create,
            path: old.clone(),
            source,
        })?;
        replace(&Self::beside(&self.path), &self.path)?;
        Ok(old)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}
