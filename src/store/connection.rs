//! How SQLite is opened, and the one way to change something: a transaction that is undone unless it is committed.

use super::error::StoreError;
use sqlx::sqlite::{
    SqliteAutoVacuum, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, QueryBuilder, Sqlite, SqliteConnection, query};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a change that holds has survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// It is on the disk: a power cut cannot undo it.
    #[default]
    Commit,
    /// It is with the operating system: the end of the process cannot undo it, a power cut can, and with it all that
    /// followed.
    Os,
}

/// The options of every connection that writes.
pub(super) fn options(path: &Path, durability: Durability) -> SqliteConnectOptions {
    let synchronous = match durability {
        Durability::Commit => SqliteSynchronous::Full,
        Durability::Os => SqliteSynchronous::Normal,
    };
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .page_size(4096)
        .auto_vacuum(SqliteAutoVacuum::Incremental)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(synchronous)
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
    pub(super) fn new(path: &Path, durability: Durability) -> Self {
        Self { options: options(path, durability), idle: Mutex::new(None) }
    }

    /// Begins a change; waits up to five seconds for other processes to finish theirs.
    pub(super) async fn begin(&self) -> Result<Change<'_>, StoreError> {
        let mut change = self.open().await?;
        query("BEGIN IMMEDIATE").execute(change.connection()).await?;
        Ok(change)
    }

    /// Makes a whole change in one call: the statements begin as [`whole_change`] does.
    pub(super) async fn run(&self, statements: QueryBuilder<Sqlite>) -> Result<(), StoreError> {
        self.open().await?.finish(statements).await
    }

    /// Closes the connection.
    pub(super) async fn close(&self) -> Result<(), StoreError> {
        match self.take() {
            Some(connection) => Ok(connection.close().await?),
            None => Ok(()),
        }
    }

    /// A connection on which nothing has begun.
    async fn open(&self) -> Result<Change<'_>, StoreError> {
        let connection = match self.take() {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        Ok(Change { home: self, connection })
    }

    fn take(&self) -> Option<SqliteConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()
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
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        self.finish(rest_of_change()).await
    }

    /// Does the rest and makes the change hold, in one call.
    pub(super) async fn finish(mut self, mut statements: QueryBuilder<Sqlite>) -> Result<(), StoreError> {
        statements.push("COMMIT");
        // A short text comes again and again and stays prepared; a long one is as long as its rows are many.
        let stays_prepared = statements.sql().as_str().len() <= STAYS_PREPARED;
        statements.build().persistent(stays_prepared).execute(&mut self.connection).await?;
        *self.home.idle.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.connection);
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
