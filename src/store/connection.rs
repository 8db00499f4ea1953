//! How SQLite is opened, and the one way to change something: a transaction that is undone unless it is committed.

use super::error::StoreError;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqliteConnection, query};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The options of every connection.
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
    idle: Mutex<Option<SqliteConnection>>,
}

impl ChangeConnection {
    pub(super) fn new(path: &Path) -> Self {
        Self { options: options(path), idle: Mutex::new(None) }
    }

    /// Begins a change; waits up to five seconds for other processes to finish theirs.
    pub(super) async fn begin(&self) -> Result<Change<'_>, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        query("BEGIN IMMEDIATE").execute(&mut connection).await?;
        Ok(Change { home: self, connection })
    }

    /// Closes the connection.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        match idle {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }
}

/// A change that is under way. Dropped before it is committed, whether by an error or because nobody waits any more, it
/// takes its connection with it, and SQLite undoes it: so no half-made change ever stays open.
pub(super) struct Change<'a> {
    home: &'a ChangeConnection,
    connection: SqliteConnection,
}

impl Change<'_> {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Makes the change hold.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        query("COMMIT").execute(&mut self.connection).await?;
        *self.home.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.connection);
        Ok(())
    }
}
