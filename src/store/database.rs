//! The database: opened with the master key, read through a few connections, changed one change at a time.

use super::connection::{Change, ChangeConnection, readers};
use super::database_path::{DATABASE, database_in};
use super::error::{RowLabel, StoreError};
use super::keys::{Keyring, MasterKey, Salt};
use super::migrate::{migrations, upgrade};
use super::private_file::PrivateFile;
use super::replacement::{finish_replacement, is_replacement_pending};
use super::seal::SealKey;
use super::wrapping::{salt_of, unwrap_keys, wrapping_key};
use crate::broker::Durability;
use sqlx::pool::PoolConnection;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection, SqlitePool, query, query_scalar};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The sealed database of one data folder. Cloning is cheap: clones share their connections.
#[derive(Clone)]
pub struct Database {
    shared: Arc<Shared>,
    changes: Arc<ChangeConnection>,
}

struct Shared {
    path: PathBuf,
    keys: Keyring,
    /// Wraps the data keys: what a running broker needs to learn of a new one.
    wrapping: SealKey,
    readers: SqlitePool,
}

impl Database {
    /// The name of the database in the data folder.
    pub const FILE_NAME: &'static str = DATABASE;

    /// Where the database of a data folder is.
    pub fn path_in(folder: &Path) -> PathBuf {
        database_in(folder)
    }

    /// Whether a data folder has a database.
    pub fn exists_in(folder: &Path) -> bool {
        Self::path_in(folder).exists() || is_replacement_pending(folder)
    }

    /// The salt to make the master key from a passphrase with, if this database was made with one.
    pub async fn passphrase_salt(folder: &Path) -> Result<Option<Salt>, StoreError> {
        finish_replacement(folder)?;
        let path = Self::path_in(folder);
        demand_database(&path)?;
        let readers = readers(&path);
        let salt = salt_of(&mut *readers.acquire().await?).await?;
        readers.close().await;
        Ok(salt)
    }

    /// Whether a key is the master key of the database of a data folder.
    pub async fn is_opened_by(folder: &Path, key: &MasterKey) -> Result<bool, StoreError> {
        let path = Self::path_in(folder);
        let readers = readers(&path);
        let mut reader = readers.acquire().await?;
        let wrapping = wrapping_key(&mut reader, key).await?;
        let opened = unwrap_keys(&mut reader, &path, &wrapping).await;
        drop(reader);
        readers.close().await;
        match opened {
            Ok(_) => Ok(true),
            Err(StoreError::WrongKey { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens the database of a data folder; one of an earlier schema is backed up and brought up to date.
    pub async fn open(folder: &Path, key: &MasterKey) -> Result<Self, StoreError> {
        finish_replacement(folder)?;
        let path = Self::path_in(folder);
        demand_database(&path)?;
        upgrade(&path, migrations()).await?;
        let readers = readers(&path);
        let mut reader = readers.acquire().await?;
        let wrapping = wrapping_key(&mut reader, key).await?;
        let keys = unwrap_keys(&mut reader, &path, &wrapping).await?.keyring()?;
        drop(reader);
        let changes = Arc::new(ChangeConnection::new(&path));
        Ok(Self { shared: Arc::new(Shared { path, keys, wrapping, readers }), changes })
    }

    /// Closes the connections of all clones, after what they do now. If no other process has it open, the database is
    /// whole in one file then.
    pub async fn close(&self) -> Result<(), StoreError> {
        self.shared.readers.close().await;
        self.changes.close_last().await
    }

    /// Closes the connection that changes are made through; the next change opens it again.
    pub(super) async fn close_changes(&self) -> Result<(), StoreError> {
        self.changes.close().await
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    pub(super) fn keys(&self) -> &Keyring {
        &self.shared.keys
    }

    pub(super) fn wrapping(&self) -> &SealKey {
        &self.shared.wrapping
    }

    /// A connection for reading what is sealed, whichever key another process has sealed it with meanwhile.
    pub(super) async fn reader(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        let mut reader = self.shared.readers.acquire().await?;
        self.learn_keys(&mut reader).await?;
        Ok(reader)
    }

    /// Begins a change; it seals with the key that is the latest within it.
    pub(super) async fn change(&self) -> Result<Change<'_>, StoreError> {
        let mut change = self.changes.begin(Durability::Commit).await?;
        self.learn_keys(change.connection()).await?;
        Ok(change)
    }

    /// Takes up the data keys that another process has made.
    pub(super) async fn learn_keys(&self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let latest: Option<i64> = query_scalar("SELECT max(id) FROM data_keys").fetch_one(&mut *connection).await?;
        if latest <= Some(i64::from(self.keys().latest().0)) {
            return Ok(());
        }
        let unwrapped = unwrap_keys(connection, self.path(), self.wrapping()).await?;
        self.keys().learn(&unwrapped.keys)
    }

    /// Begins a change that must survive this much.
    pub(super) async fn change_that_survives(&self, durability: Durability) -> Result<Change<'_>, StoreError> {
        self.changes.begin(durability).await
    }

    /// Makes a whole change in one call, which must survive this much.
    pub(super) async fn run(&self, statements: QueryBuilder<Sqlite>, durability: Durability) -> Result<(), StoreError> {
        self.changes.run(statements, durability).await
    }

    /// The number of the present users, roles and rules: it grows with every change of them. Cheap.
    pub async fn generation(&self) -> Result<u64, StoreError> {
        counter(&mut *self.shared.readers.acquire().await?, GENERATION).await
    }

    /// The generation that the running broker, or the last one that ran, goes by.
    pub async fn generation_in_force(&self) -> Result<u64, StoreError> {
        counter(&mut *self.shared.readers.acquire().await?, GENERATION_IN_FORCE).await
    }

    /// Says which generation the running broker goes by, for commands that wait until what they changed holds.
    pub async fn put_in_force(&self, generation: u64) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        query("UPDATE counters SET value = ? WHERE name = ?")
            .bind(generation.cast_signed())
            .bind(GENERATION_IN_FORCE)
            .execute(&mut *change.connection())
            .await?;
        change.commit().await
    }
}

/// A database file that is there and that only its owner may touch.
pub(super) fn demand_database(path: &Path) -> Result<(), StoreError> {
    if !path.exists() {
        return Err(StoreError::NoDatabase { path: path.to_owned() });
    }
    PrivateFile::demand(path)
}

/// The number of the present users, roles and rules, within a reading.
pub(super) async fn generation(connection: &mut SqliteConnection) -> Result<u64, StoreError> {
    counter(connection, GENERATION).await
}

async fn counter(connection: &mut SqliteConnection, name: &'static str) -> Result<u64, StoreError> {
    let value: Option<i64> =
        query_scalar("SELECT value FROM counters WHERE name = ?").bind(name).fetch_optional(connection).await?;
    Ok(value.ok_or_else(|| no_counter(name))?.cast_unsigned())
}

/// Counts on, within a change: the next number of a row, or the generation that the change makes.
pub(super) async fn count(connection: &mut SqliteConnection, name: &'static str) -> Result<i64, StoreError> {
    let value: Option<i64> = query_scalar("UPDATE counters SET value = value + 1 WHERE name = ? RETURNING value")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    value.ok_or_else(|| no_counter(name))
}

fn no_counter(name: &'static str) -> StoreError {
    StoreError::Missing { table: "counters", row: RowLabel::Name(name) }
}

pub(super) const GENERATION: &str = "generation";
pub(super) const GENERATION_IN_FORCE: &str = "generation_in_force";
