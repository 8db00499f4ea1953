//! A new state of the data folder in the place of the old one: an interruption leaves the old or the new, never half.
//!
//! Everything new is written into the folder `replacement.unfinished`. Renamed to `replacement` it holds: whoever opens
//! the data folder next first moves the old files aside and the new ones in, as often as it takes.

use super::copy::{demand_no_log, with_suffix};
use super::database_path::{DATABASE, database_in};
use super::error::{FileAction, StoreError};
use super::private_file::{PrivateFile, create_private_folder, put_in_place, remove_if_there, sync_folder_of};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// New files on their way into a data folder.
pub(super) struct Replacement {
    folder: PathBuf,
}

impl Replacement {
    /// Begins; what an interrupted attempt left goes.
    pub(super) fn begin(folder: &Path) -> Result<Self, StoreError> {
        let staged = folder.join(UNFINISHED);
        remove_folder(&staged)?;
        create_private_folder(&staged)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Where the new database, and what else is new, is to be written.
    pub(super) fn staged(&self) -> PathBuf {
        self.folder.join(UNFINISHED)
    }

    /// Makes it hold and moves everything. The old files get names that end with `.WHY-1`, `.WHY-2` and so on; returns
    /// those that there are.
    pub(super) fn put_in_force(self, why: &str) -> Result<Vec<PathBuf>, StoreError> {
        let suffix = free_suffix(&self.folder, why);
        let staged = self.staged();
        PrivateFile::create(&staged.join(SUFFIX), suffix.as_bytes())?;
        demand_no_log(&staged.join(DATABASE))?;
        put_in_place(&staged, &self.folder.join(READY))?;
        finish_replacement(&self.folder)?;
        let aside = MOVED.iter().map(|name| with_suffix(&self.folder.join(name), &suffix));
        Ok(aside.filter(|path| path.exists()).collect())
    }

    /// Gives it up.
    pub(super) fn abandon(self) -> Result<(), StoreError> {
        remove_folder(&self.staged())
    }
}

/// Finishes a replacement that was interrupted, if there is one. Everybody who opens a data folder calls this first.
pub(super) fn finish_replacement(folder: &Path) -> Result<(), StoreError> {
    let ready = folder.join(READY);
    let failed = |source: io::Error| StoreError::File { action: FileAction::Rename, path: ready.clone(), source };
    // Only what is not there is finished: a disk that cannot say so now is asked again by the next start.
    let Some(handle) = if_there(File::open(&ready)).map_err(failed)? else { return Ok(()) };
    // Whoever comes second waits, and then finds nothing left to do.
    flock(&handle, FlockOperation::LockExclusive).map_err(|error| failed(error.into()))?;
    // Without this file everything is in its place, and only the folder is left.
    if let Some(suffix) = if_there(fs::read_to_string(ready.join(SUFFIX))).map_err(failed)? {
        for name in MOVED {
            move_in(&ready, folder, name, &suffix)?;
        }
        remove_if_there(&ready.join(SUFFIX))?;
    }
    remove_folder(&ready)
}

/// Whether a replacement holds that was not finished.
pub(super) fn is_replacement_pending(folder: &Path) -> bool {
    folder.join(READY).join(DATABASE).exists()
}

/// As long as the new file is not in its place, what stands there is old.
fn move_in(ready: &Path, folder: &Path, name: &str, suffix: &str) -> Result<(), StoreError> {
    let (new, place) = (ready.join(name), folder.join(name));
    let failed = |source: io::Error| StoreError::File { action: FileAction::Rename, path: new.clone(), source };
    if !new.try_exists().map_err(failed)? {
        return Ok(());
    }
    let aside = with_suffix(&place, suffix);
    if name == DATABASE {
        // The log belongs to the old database, and the index of the log to nobody.
        remove_if_there(&with_suffix(&place, "-shm"))?;
        if with_suffix(&place, "-wal").exists() {
            put_in_place(&with_suffix(&place, "-wal"), &with_suffix(&aside, "-wal"))?;
        }
    }
    if place.exists() {
        put_in_place(&place, &aside)?;
    }
    put_in_place(&new, &place)
}

fn free_suffix(folder: &Path, why: &str) -> String {
    let is_free = |suffix: &String| {
        let taken = |name: &str| with_suffix(&folder.join(name), suffix).exists();
        !MOVED.iter().any(|name| taken(name)) && !with_suffix(&database_in(folder), &format!("{suffix}-wal")).exists()
    };
    (1_u32..).map(|number| format!(".{why}-{number}")).find(is_free).unwrap_or_else(|| format!(".{why}"))
}

/// What was found; `None` if it is surely not there.
fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_folder(path: &Path) -> Result<(), StoreError> {
    match fs::remove_dir_all(path) {
        Ok(()) => sync_folder_of(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoreError::File { action: FileAction::Remove, path: path.to_owned(), source }),
    }
}

const UNFINISHED: &str = "replacement.unfinished";
const READY: &str = "replacement";
const SUFFIX: &str = "suffix";
/// What may be replaced, in the order in which it is.
const MOVED: [&str; 2] = [DATABASE, "tls"];

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Old files, and new ones that hold.
    fn committed() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["securemq.db", "securemq.db-wal", "securemq.db-shm", "tls/ca.crt"] {
            write(&folder.path().join(name), "old");
        }
        for name in ["securemq.db", "tls/ca.crt"] {
            write(&folder.path().join("replacement").join(name), "new");
        }
        write(&folder.path().join("replacement/suffix"), ".replaced-1");
        folder
    }

    fn check(folder: &Path) {
        let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
        assert_eq!((read("securemq.db"), read("tls/ca.crt")), ("new".into(), "new".into()));
        let aside = ["securemq.db.replaced-1", "securemq.db.replaced-1-wal", "tls.replaced-1/ca.crt"];
        assert!(aside.iter().all(|name| read(name) == "old"));
        let left = ["securemq.db-wal", "securemq.db-shm", "replacement"];
        assert!(left.iter().all(|name| !folder.join(name).exists()));
    }

    /// What cannot be read is not gone.
    #[test]
    fn a_replacement_that_cannot_be_read_now_is_kept_for_the_next_start() {
        let folder = committed();
        let suffix = folder.path().join("replacement/suffix");
        let text = fs::read(&suffix).unwrap();
        fs::remove_file(&suffix).unwrap();
        // A folder in its place fails to be read in another way than by not being there.
        fs::create_dir(&suffix).unwrap();
        assert!(finish_replacement(folder.path()).is_err());
        assert!(folder.path().join("replacement/securemq.db").exists());
        fs::remove_dir(&suffix).unwrap();
        fs::write(&suffix, text).unwrap();
        finish_replacement(folder.path()).unwrap();
        check(folder.path());
    }

    #[test]
    fn the_old_files_go_aside_and_the_new_ones_take_their_place() {
        let folder = committed();
        finish_replacement(folder.path()).unwrap();
        check(folder.path());
        finish_replacement(folder.path()).unwrap();
        check(folder.path());
    }

    /// The states in which each of its steps can leave the folder.
    #[test]
    fn an_interruption_at_any_step_is_finished_by_the_next_who_opens_the_folder() {
        let steps: [(&str, Option<&str>); 8] = [
            ("securemq.db-shm", None),
            ("securemq.db-wal", Some("securemq.db.replaced-1-wal")),
            ("securemq.db", Some("securemq.db.replaced-1")),
            ("replacement/securemq.db", Some("securemq.db")),
            ("tls", Some("tls.replaced-1")),
            ("replacement/tls", Some("tls")),
            ("replacement/suffix", None),
            ("replacement", None),
        ];
        for interrupted_after in 0..=steps.len() {
            let folder = committed();
            let at = |name: &str| folder.path().join(name);
            for (from, to) in &steps[..interrupted_after] {
                match to {
                    Some(to) => fs::rename(at(from), at(to)).unwrap(),
                    None if at(from).is_dir() => fs::remove_dir(at(from)).unwrap(),
                    None => fs::remove_file(at(from)).unwrap(),
                }
            }
            finish_replacement(folder.path()).unwrap();
            check(folder.path());
        }
    }

    #[test]
    fn what_was_not_finished_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("securemq.db"), "old");
        let replacement = Replacement::begin(folder.path()).unwrap();
        write(&replacement.staged().join("securemq.db"), "new");
        finish_replacement(folder.path()).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("securemq.db")).unwrap(), "old");
        Replacement::begin(folder.path()).unwrap().abandon().unwrap();
        assert!(!folder.path().join("replacement.unfinished").exists());
    }
}
