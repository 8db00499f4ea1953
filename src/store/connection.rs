//! How SQLite is opened, and the one way to change something: a transaction that is undone unless it is committed.

use super::error::StoreError;
use crate::broker::Durability;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite, SqliteConnection, query};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The options of every connection that writes. Its changes are on the disk when they hold, unless [`Change::must_survive`]
/// says that they need not be.
pub(super) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .page_size(4096)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        .pragma("wal_autocheckpoint", "1000")
        .pragma("journal_size_limit", "67108864")
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .row_buffer_size(50)
        .disable_statement_logging()
}

/// The options of a connection that changes nothing, not even the header of a file that is none of ours.
pub(super) fn read_only_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .read_only(true)
        .busy_timeout(Duration::from_secs(5))
        .pragma("trusted_schema", "OFF")
        .pragma("cell_size_check", "ON")
        .row_buffer_size(50)
        .disable_statement_logging()
}

/// Connections for reading, opened when they are needed.
pub(super) fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new().max_connections(2).test_before_acquire(false).connect_lazy_with(read_only_options(path))
}

/// A connection for writing, opened when it is needed and kept while nothing goes wrong.
pub(super) struct ChangeConnection {
    options: SqliteConnectOptions,
    /// The connection, and what its changes survive as it is set.
    idle: Mutex<Option<(SqliteConnection, Synced)>>,
}

impl ChangeConnection {
    pub(super) fn new(path: &Path) -> Self {
        Self { options: options(path), idle: Mutex::new(None) }
    }

    /// Begins a change that must survive this much; waits up to five seconds for other processes to finish theirs.
    pub(super) async fn begin(&self, durability: Durability) -> Result<Change<'_>, StoreError> {
        let mut change = self.open().await?;
        change.must_survive(durability).await?;
        query("BEGIN IMMEDIATE").execute(change.connection()).await?;
        Ok(change)
    }

    /// Makes a whole change in one call: the statements begin as [`whole_change`] does.
    pub(super) async fn run(&self, statements: QueryBuilder<Sqlite>, durability: Durability) -> Result<(), StoreError> {
        let mut change = self.open().await?;
        change.must_survive(durability).await?;
        change.finish(statements).await
    }

    /// Brings the log into the file as far as nobody reads what is there.
    pub(super) async fn checkpoint(&self) -> Result<(), StoreError> {
        let mut change = self.open().await?;
        query("PRAGMA wal_checkpoint(PASSIVE)").execute(change.connection()).await?;
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((change.connection, change.synced));
        Ok(())
    }

    /// Closes the connection.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        match self.take() {
            Some((connection, _)) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }

    /// Closes the connection as the last one: SQLite brings its log into the file when the last connection ends, but only
    /// if that one may write. So one is opened if there is none, as after a change that was given up.
    pub(super) async fn close_last(&self) -> Result<(), StoreError> {
        let Ok(mut last) = self.open().await else {
            // The log stays beside the file, and the next start reads it.
            return Ok(());
        };
        query("SELECT 1 FROM sqlite_schema LIMIT 1").execute(last.connection()).await?;
        Ok(last.connection.close().await?)
    }

    /// A connection on which nothing has begun.
    async fn open(&self) -> Result<Change<'_>, StoreError> {
        let (connection, synced) = match self.take() {
            Some(idle) => idle,
            None => (self.options.connect().await?, Synced::Always),
        };
        Ok(Change { home: self, connection, synced })
    }

    fn take(&self) -> Option<(SqliteConnection, Synced)> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A change that is under way. Dropped before it is committed, whether by an error or because nobody waits any more, it
/// takes its connection with it, and SQLite undoes it: so no half-made change ever stays open.
pub(super) struct Change<'a> {
    home: &'a ChangeConnection,
    connection: SqliteConnection,
    synced: Synced,
}

/// When SQLite waits for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Synced {
    /// At the end of every change.
    Always,
    /// Only where the file would not be readable otherwise. A later change that is synced takes along what came before.
    WhenNeeded,
}

impl Change<'_> {
    /// Says what the change must survive, before it begins. Within one SQLite does not take the word.
    async fn must_survive(&mut self, durability: Durability) -> Result<(), StoreError> {
        let (wanted, pragma) = match durability {
            Durability::Commit => (Synced::Always, "PRAGMA synchronous = FULL"),
            Durability::Os | Durability::Memory => (Synced::WhenNeeded, "PRAGMA synchronous = NORMAL"),
        };
        if self.synced != wanted {
            // It acts when it is prepared, so one that stayed prepared would do nothing.
            query(pragma).persistent(false).execute(&mut self.connection).await?;
            self.synced = wanted;
        }
        Ok(())
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Makes the change hold.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.finish(rest_of_change()).await
    }

    /// Does the rest and makes the change hold, in one call.
    pub(super) async fn finish(mut self, mut statements: QueryBuilder<Sqlite>) -> Result<(), StoreError> {
        statements.push("COMMIT");
        // A short text comes again and again and stays prepared; a long one is as long as its rows are many.
        let stays_prepared = statements.sql().as_str().len() <= STAYS_PREPARED;
        statements.build().persistent(stays_prepared).execute(&mut self.connection).await?;
        *self.home.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some((self.connection, self.synced));
        Ok(())
    }
}

/// Statements that are a change from its beginning. Each that is added ends with a semicolon and a space.
///
/// Through sqlx a call costs 10 to 35 µs and a statement in it one, so many statements make one call.
pub(super) fn whole_change() -> QueryBuilder<Sqlite> {
    QueryBuilder::new("BEGIN IMMEDIATE; ")
}

/// Statements that end a change which has begun. Each that is added ends with a semicolon and a space.
pub(super) fn rest_of_change() -> QueryBuilder<Sqlite> {
    QueryBuilder::default()
}

/// A hundred texts stay prepared in a connection; frames of a few shards make fewer of this length.
const STAYS_PREPARED: usize = 1000;
