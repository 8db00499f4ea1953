//! Backups: one file with everything that is needed to restore, as sealed as the database.
//!
//! The file is an SQLite database of its own: application id `SQMB` at byte 68, the format of the backup as user version
//! at byte 60. It holds every table of the original, the table `backup` (how the data keys are wrapped, and the sealed
//! manifest: when and by what it was written, how many rows it has, a MAC over all of them) and the table `backup_files`
//! (certificates and their keys, one sealed row each). Its data keys are wrapped under the master key of the original or
//! under a key that a passphrase makes.

use super::census::{Census, TableCount};
use super::connection::{options, read_only_options};
use super::copy::{copy_to, unfinished};
use super::database::Database;
use super::database_path::DATABASE;
use super::error::{FileAction, RecordError, RowLabel, StoreError};
use super::keys::{Keyring, MasterKey, Salt};
use super::migrate::{foreign_schema, migrations, schema_of};
use super::private_file::{PrivateFile, create_private_folder, put_in_place, remove_if_there, replace, sync_folder_of};
use super::record::{Decoder, Encoder};
use super::replacement::Replacement;
use super::seal::{Place, RowKey};
use super::wall_clock::UnixMillis;
use super::wrapping::{load_keys, rewrap, salt_of};
use sqlx::sqlite::SqliteJournalMode;
use sqlx::{ConnectOptions, Connection, SqliteConnection, query, query_as, query_scalar, raw_sql};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use zeroize::Zeroizing;

/// A backup in a file.
#[derive(Debug)]
pub struct Backup {
    path: PathBuf,
    protection: Protection,
    salt: Option<Salt>,
    schema: i64,
}

/// What opens a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protection {
    /// The master key of the database that it is of.
    MasterKey,
    /// A passphrase of its own.
    Passphrase,
}

/// A file beside the database that a broker needs to stay who it is.
#[derive(Clone, PartialEq, Eq)]
pub struct BackupFile {
    /// Its path in the data folder: `tls/…`.
    pub name: String,
    /// Its permission bits, 0600 for keys.
    pub mode: u32,
    /// What is in it.
    pub contents: Zeroizing<Vec<u8>>,
}

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupReport {
    /// When it was written.
    pub created: UnixMillis,
    /// By which version of the program.
    pub version: String,
    /// Its schema.
    pub schema: i64,
    /// What opens it.
    pub protection: Protection,
    /// Its tables.
    pub tables: Vec<TableCount>,
    /// How many files beside the database it holds.
    pub files: u64,
}

/// What a check of a backup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupCheck {
    /// What it holds.
    pub report: BackupReport,
    /// What is wrong with it, in words; nothing for a good backup.
    pub problems: Vec<String>,
}

/// What becomes of data that is where a backup is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It stays, and the backup goes nowhere.
    Refuse,
    /// A backup is replaced, a data folder's files are set aside under new names.
    Replace,
}

/// What the sealed manifest says.
struct Manifest {
    created: UnixMillis,
    version: String,
    files: u64,
    digest: [u8; Census::DIGEST_LEN],
}

impl Backup {
    /// Writes a database as it is at this moment, and files, to a new file of mode 0600 that is there whole or not at
    /// all. Whoever reads or writes the database meanwhile is not held up.
    ///
    /// `key` opens the database; with `passphrase`, that one opens the backup instead.
    pub async fn write(
        database: &Database,
        files: &[BackupFile],
        key: &MasterKey,
        passphrase: Option<&MasterKey>,
        to: &Path,
        existing: Existing,
    ) -> Result<BackupReport, StoreError> {
        if existing == Existing::Refuse && to.exists() {
            return Err(StoreError::AlreadyExists { path: to.to_owned() });
        }
        let unfinished = unfinished(to);
        let mut reader = read_only_options(database.path()).connect().await?;
        copy_to(&mut reader, &unfinished).await?;
        reader.close().await?;
        let written = fill(&unfinished, files, key, passphrase).await;
        let placed = match (&written, existing) {
            (Err(_), _) => Ok(()),
            (Ok(_), Existing::Refuse) => put_in_place(&unfinished, to),
            (Ok(_), Existing::Replace) => replace(&unfinished, to),
        };
        if written.is_err() || placed.is_err() {
            remove_if_there(&unfinished)?;
        }
        placed.and(written)
    }

    /// Looks at a file without changing anything, not even beside it.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let not_a_backup = || StoreError::NotABackup { path: path.to_owned() };
        File::open(path).map_err(|source| StoreError::File {
            action: FileAction::Read,
            path: path.to_owned(),
            source,
        })?;
        let mut connection = reader(path).connect().await.map_err(|_| not_a_backup())?;
        let header: Result<(i64, i64), _> =
            query_as("SELECT application_id, user_version FROM pragma_application_id(), pragma_user_version()")
                .fetch_one(&mut connection)
                .await;
        let Ok((APPLICATION_ID, found)) = header else { return Err(not_a_backup()) };
        if found != FORMAT {
            return Err(StoreError::NewerBackup { path: path.to_owned(), found, known: FORMAT });
        }
        let damaged = |_| StoreError::BackupDamaged { path: path.to_owned() };
        let known = migrations().iter().map(|migration| migration.version).max().unwrap_or_default();
        let schema = schema_of(&mut connection).await.map_err(damaged)?.ok_or_else(not_a_backup)?;
        if schema > known {
            return Err(StoreError::NewerSchema { path: path.to_owned(), found: schema, known });
        }
        let protection: Option<Vec<u8>> = query_scalar("SELECT value FROM backup WHERE name = ?")
            .bind(PROTECTION)
            .fetch_optional(&mut connection)
            .await
            .map_err(|error| damaged(error.into()))?;
        let protection = match protection.as_deref() {
            Some(BY_MASTER_KEY) => Protection::MasterKey,
            Some(BY_PASSPHRASE) => Protection::Passphrase,
            Some(_) | None => return Err(StoreError::BackupDamaged { path: path.to_owned() }),
        };
        let salt = salt_of(&mut connection).await.map_err(damaged)?;
        connection.close().await?;
        Ok(Self { path: path.to_owned(), protection, salt, schema })
    }

    /// What opens it.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// What its passphrase is mixed with, if a passphrase made its key.
    pub fn salt(&self) -> Option<Salt> {
        self.salt
    }

    /// Refuses a key that does not open it.
    pub async fn demand_key(&self, key: &MasterKey) -> Result<(), StoreError> {
        let mut connection = reader(&self.path).connect().await?;
        self.keys(&mut connection, key).await?;
        Ok(connection.close().await?)
    }

    /// Refuses a folder with data in it.
    pub fn demand_empty(folder: &Path) -> Result<(), StoreError> {
        if Database::exists_in(folder) || folder.join("tls").exists() {
            return Err(StoreError::DataExists { path: folder.to_owned() });
        }
        Ok(())
    }

    /// Reads everything: the structure of the file, every seal, the chain of the event log, the MAC over all rows.
    pub async fn check(&self, key: &MasterKey) -> Result<BackupCheck, StoreError> {
        self.read_all(key).await.map_err(|error| match error {
            StoreError::Damaged(_) => StoreError::BackupDamaged { path: self.path.clone() },
            error => error,
        })
    }

    async fn read_all(&self, key: &MasterKey) -> Result<BackupCheck, StoreError> {
        let mut connection = reader(&self.path).connect().await?;
        let keys = self.keys(&mut connection, key).await?;
        let mut problems: Vec<String> = query_scalar("PRAGMA integrity_check(20)").fetch_all(&mut connection).await?;
        problems.retain(|line| line != "ok");
        let foreign = foreign_schema(&mut connection, self.schema, TABLES).await?;
        problems.extend(foreign.into_iter().map(|part| format!("{part} is none of ours, was altered or is missing")));
        let manifest = read_manifest(&mut connection, &keys).await?;
        let census = Census::take(&mut connection, &keys).await?;
        let damaged = census.tables.iter().filter(|count| count.damaged > 0);
        problems.extend(damaged.map(|count| format!("{} rows of table {} do not open", count.damaged, count.table)));
        if census.digest != manifest.digest {
            problems.push("rows were taken out, put in or altered since it was written".to_owned());
        }
        let files = read_files(&mut connection, &keys).await?;
        if u64::try_from(files.len()) != Ok(manifest.files) {
            problems.push(format!("{} of {} files are there", files.len(), manifest.files));
        }
        let chain = super::logs::verify_chain(&mut connection, &keys).await?;
        problems.extend(chain.breaks.iter().map(|problem| format!("event log: {problem}")));
        connection.close().await?;
        Ok(BackupCheck { report: self.report(manifest, census.tables), problems })
    }

    /// Puts it into a data folder, all of it or nothing, however that is interrupted. The data keys are then wrapped under
    /// `new_key`. Returns what it holds and where the old files are, if there were any. No broker may run there.
    pub async fn restore(
        &self,
        key: &MasterKey,
        new_key: &MasterKey,
        folder: &Path,
        existing: Existing,
    ) -> Result<(BackupReport, Vec<PathBuf>), StoreError> {
        if existing == Existing::Refuse {
            Self::demand_empty(folder)?;
        }
        let check = self.check(key).await?;
        if !check.problems.is_empty() {
            return Err(StoreError::BackupDamaged { path: self.path.clone() });
        }
        let replacement = Replacement::begin(folder)?;
        if let Err(error) = self.stage(key, new_key, &replacement.staged()).await {
            replacement.abandon()?;
            return Err(error);
        }
        Ok((check.report, replacement.put_in_force("replaced")?))
    }

    /// Writes the database and the files as they are to be.
    async fn stage(&self, key: &MasterKey, new_key: &MasterKey, staged: &Path) -> Result<(), StoreError> {
        let path = staged.join(DATABASE);
        PrivateFile::create(&path, &[])?;
        copy_file(&self.path, &path)?;
        let mut connection = options(&path).connect().await?;
        let keys = self.keys(&mut connection, key).await?;
        for file in read_files(&mut connection, &keys).await? {
            write_file(staged, &file)?;
        }
        query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        rewrap(&mut connection, &path, key, new_key).await?;
        raw_sql(
            "DROP TABLE backup; DROP TABLE backup_files; PRAGMA application_id = 0; PRAGMA user_version = 0; COMMIT",
        )
        .execute(&mut connection)
        .await?;
        Ok(connection.close().await?)
    }

    async fn keys(&self, connection: &mut SqliteConnection, key: &MasterKey) -> Result<Keyring, StoreError> {
        load_keys(connection, &self.path, key).await.map_err(|error| match (self.protection, error) {
            (Protection::Passphrase, StoreError::WrongKey { path }) => StoreError::WrongPassphrase { path },
            (_, error) => error,
        })
    }

    fn report(&self, manifest: Manifest, tables: Vec<TableCount>) -> BackupReport {
        BackupReport {
            created: manifest.created,
            version: manifest.version,
            schema: self.schema,
            protection: self.protection,
            tables,
            files: manifest.files,
        }
    }
}

/// Makes a backup of the copy of a database.
async fn fill(
    path: &Path,
    files: &[BackupFile],
    key: &MasterKey,
    passphrase: Option<&MasterKey>,
) -> Result<BackupReport, StoreError> {
    // Without a log of its own it is one file at every moment.
    let mut connection = options(path).journal_mode(SqliteJournalMode::Delete).connect().await?;
    let keys = load_keys(&mut connection, path, key).await?;
    let schema = schema_of(&mut connection).await?.unwrap_or_default();
    query("BEGIN IMMEDIATE").execute(&mut connection).await?;
    raw_sql(TABLES).execute(&mut connection).await?;
    let (protection, value) = match passphrase {
        Some(_) => (Protection::Passphrase, BY_PASSPHRASE),
        None => (Protection::MasterKey, BY_MASTER_KEY),
    };
    if let Some(passphrase) = passphrase {
        rewrap(&mut connection, path, key, passphrase).await?;
    }
    for (id, file) in (1_i64..).zip(files) {
        query("INSERT INTO backup_files (id, sealed) VALUES (?, ?)")
            .bind(id)
            .bind(keys.seal(&file_place(id), &encode_file(file))?)
            .execute(&mut connection)
            .await?;
    }
    let census = Census::take(&mut connection, &keys).await?;
    let manifest = Manifest {
        created: UnixMillis::now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        files: u64::try_from(files.len()).unwrap_or(u64::MAX),
        digest: census.digest,
    };
    query("INSERT INTO backup (name, value) VALUES (?, ?), (?, ?)")
        .bind(PROTECTION)
        .bind(value)
        .bind(MANIFEST)
        .bind(keys.seal(&manifest_place(), &encode_manifest(&manifest))?)
        .execute(&mut connection)
        .await?;
    raw_sql("COMMIT").execute(&mut connection).await?;
    connection.close().await?;
    super::private_file::sync_file(path)?;
    let backup = Backup { path: path.to_owned(), protection, salt: None, schema };
    Ok(backup.report(manifest, census.tables))
}

/// Reads a file that nobody writes, from a read-only disk as well.
fn reader(path: &Path) -> sqlx::sqlite::SqliteConnectOptions {
    read_only_options(path).immutable(true)
}

async fn read_manifest(connection: &mut SqliteConnection, keys: &Keyring) -> Result<Manifest, StoreError> {
    let missing = || StoreError::Missing { table: "backup", row: RowLabel::Name(MANIFEST) };
    let sealed: Option<Vec<u8>> =
        query_scalar("SELECT value FROM backup WHERE name = ?").bind(MANIFEST).fetch_optional(connection).await?;
    let opened = keys.open(&manifest_place(), &sealed.ok_or_else(missing)?)?;
    decode_manifest(&opened).map_err(|source| StoreError::Unreadable {
        table: "backup",
        row: RowLabel::Name(MANIFEST),
        source,
    })
}

async fn read_files(connection: &mut SqliteConnection, keys: &Keyring) -> Result<Vec<BackupFile>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> =
        query_as("SELECT id, sealed FROM backup_files ORDER BY id").fetch_all(connection).await?;
    let open = |(id, sealed): (i64, Vec<u8>)| {
        let opened = keys.open(&file_place(id), &sealed)?;
        decode_file(&opened).map_err(|source| StoreError::Unreadable {
            table: "backup_files",
            row: RowLabel::Number(id),
            source,
        })
    };
    rows.into_iter().map(open).collect()
}

fn encode_manifest(manifest: &Manifest) -> Vec<u8> {
    let mut encoder = Encoder::new(VERSION);
    encoder.number(manifest.created.as_millis());
    encoder.string(&manifest.version);
    encoder.number(manifest.files);
    encoder.raw(&manifest.digest);
    encoder.finish()
}

fn decode_manifest(bytes: &[u8]) -> Result<Manifest, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let manifest = Manifest {
        created: UnixMillis::from_millis(decoder.number()?),
        version: decoder.string()?.to_owned(),
        files: decoder.number()?,
        digest: decoder.raw()?,
    };
    decoder.finish()?;
    Ok(manifest)
}

fn encode_file(file: &BackupFile) -> Zeroizing<Vec<u8>> {
    let mut encoder = Encoder::new(VERSION);
    encoder.string(&file.name);
    encoder.number(u64::from(file.mode));
    encoder.data(&file.contents);
    Zeroizing::new(encoder.finish())
}

/// The name is sealed, but whoever holds the key could still have written one that leads out of the data folder.
fn decode_file(bytes: &[u8]) -> Result<BackupFile, RecordError> {
    let mut decoder = Decoder::new(bytes, VERSION)?;
    let (name, mode) = (decoder.string()?.to_owned(), decoder.narrow()?);
    let contents = Zeroizing::new(decoder.data()?.to_vec());
    decoder.finish()?;
    let stays_inside = Path::new(&name).components().all(|part| matches!(part, Component::Normal(_)));
    if !stays_inside || !name.starts_with(FILES) {
        return Err(RecordError::Disagrees);
    }
    Ok(BackupFile { name, mode, contents })
}

fn write_file(staged: &Path, file: &BackupFile) -> Result<(), StoreError> {
    let path = staged.join(&file.name);
    if let Some(folder) = path.parent() {
        create_private_folder(folder)?;
    }
    PrivateFile::create(&path, &file.contents)?;
    let opened_up = fs::set_permissions(&path, fs::Permissions::from_mode(file.mode & MODES));
    opened_up.map_err(|source| StoreError::File { action: FileAction::Write, path: path.clone(), source })?;
    path.ancestors().skip(1).take_while(|folder| *folder != staged).try_for_each(sync_folder_of)
}

fn copy_file(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::File { action, path, source }
    };
    let mut source = File::open(from).map_err(failed(FileAction::Read, from))?;
    let mut target = File::options().write(true).open(to).map_err(failed(FileAction::Write, to))?;
    io::copy(&mut source, &mut target).map_err(failed(FileAction::Write, to))?;
    target.sync_all().map_err(failed(FileAction::Write, to))
}

fn manifest_place() -> Place<'static> {
    Place { table: "backup", column: "value", row: RowKey::Name(MANIFEST) }
}

fn file_place(id: i64) -> Place<'static> {
    Place { table: "backup_files", column: "sealed", row: RowKey::Number(id) }
}

const TABLES: &str = "\
    CREATE TABLE backup (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID; \
    CREATE TABLE backup_files (id INTEGER PRIMARY KEY, sealed BLOB NOT NULL) STRICT; \
    PRAGMA application_id = 1397837122; PRAGMA user_version = 1";
/// `SQMB`.
const APPLICATION_ID: i64 = 0x5351_4d42;
const FORMAT: i64 = 1;
const PROTECTION: &str = "protection";
const BY_MASTER_KEY: &[u8] = b"master key";
const BY_PASSPHRASE: &[u8] = b"passphrase";
const MANIFEST: &str = "manifest";
const VERSION: u8 = 1;
/// Files of a backup are of this folder.
const FILES: &str = "tls/";
/// Nothing that is restored can be run, or written by others.
const MODES: u32 = 0o644;
