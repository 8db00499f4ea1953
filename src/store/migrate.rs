//! The schema: forward only, with a backup before every change, and newer files refused untouched.

use super::connection::{options, read_only_options};
use super::copy::{copy_to, unfinished, with_suffix};
use super::error::StoreError;
use super::private_file::{put_in_place, remove_if_there};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqlSafeStr, SqliteConnection, query_as, query_scalar, raw_sql};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The steps from nothing to the present schema.
pub(super) fn migrations() -> Vec<Migration> {
    vec![
        migration(1, "init", include_str!("migrations/0001_init.sql")),
        migration(2, "journal", include_str!("migrations/0002_journal.sql")),
        migration(3, "classes", include_str!("migrations/0003_classes.sql")),
    ]
}

fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
}

/// The latest migration that was applied to a database; `None` for one that is not ours.
pub(super) async fn schema_of(connection: &mut SqliteConnection) -> Result<Option<i64>, StoreError> {
    let ours: Option<i64> =
        query_scalar("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = '_sqlx_migrations'")
            .fetch_optional(&mut *connection)
            .await?;
    if ours.is_none() {
        return Ok(None);
    }
    Ok(query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&mut *connection).await?)
}

/// What is in the schema of a database beside that which the migrations make, or is not as they make it, or missing: whoever can write
/// to a file can put a trigger into it, which needs no key and is run with the next change. `others` may be there, too.
pub(super) async fn foreign_schema(
    connection: &mut SqliteConnection,
    version: i64,
    others: &'static str,
) -> Result<Vec<String>, StoreError> {
    const SCHEMA: &str = "SELECT type || ' ' || name, ifnull(sql, '') FROM sqlite_schema ORDER BY 1";
    let mut ours = SqliteConnectOptions::new().in_memory(true).connect().await?;
    let known = migrations().into_iter().filter(|migration| migration.version <= version).collect();
    apply(&mut ours, Path::new(":memory:"), known).await?;
    raw_sql(others).execute(&mut ours).await?;
    let ours: BTreeMap<String, String> = query_as(SCHEMA).fetch_all(&mut ours).await?.into_iter().collect();
    let found: BTreeMap<String, String> = query_as(SCHEMA).fetch_all(connection).await?.into_iter().collect();
    let names = ours.keys().chain(found.keys().filter(|name| !ours.contains_key(*name)));
    Ok(names.filter(|name| ours.get(*name) != found.get(*name)).cloned().collect())
}

/// Refuses a database with triggers or views. Ours have none, and one that was put there would do what it likes with the
/// next change. Cheap.
pub(super) async fn demand_no_triggers(connection: &mut SqliteConnection, path: &Path) -> Result<(), StoreError> {
    let found: Option<String> =
        query_scalar("SELECT type || ' ' || name FROM sqlite_schema WHERE type IN ('trigger', 'view') LIMIT 1")
            .fetch_optional(connection)
            .await?;
    match found {
        Some(part) => Err(StoreError::ForeignPart { path: path.to_owned(), part }),
        None => Ok(()),
    }
}

/// Brings an existing database up to date: refuses a newer one untouched, backs up before it changes anything.
pub(super) async fn upgrade(path: &Path, migrations: Vec<Migration>) -> Result<(), StoreError> {
    let known = migrations.iter().map(|migration| migration.version).max().unwrap_or_default();
    let not_ours = || StoreError::NotOurs { path: path.to_owned() };
    refuse_newer_than(path, known).await?;
    let mut reader = read_only_options(path).connect().await?;
    let found = match schema_of(&mut reader).await {
        Err(StoreError::Damaged(_)) | Ok(None) => return Err(not_ours()),
        found => found?.unwrap_or_default(),
    };
    reader.close().await?;
    if found > known {
        return Err(StoreError::NewerSchema { path: path.to_owned(), found, known });
    }
    if found < known {
        let mut connection = options(path).connect().await?;
        backup(&mut connection, &backup_path(path, found)).await?;
        apply(&mut connection, path, migrations).await?;
        connection.close().await?;
    }
    Ok(())
}

/// Refuses a database of a later schema before anything is done to it, as soon as its files are looked at.
pub(super) async fn refuse_newer(path: &Path) -> Result<(), StoreError> {
    let known = migrations().iter().map(|migration| migration.version).max().unwrap_or_default();
    refuse_newer_than(path, known).await
}

/// SQLite makes files beside a database that it only reads, too, unless it may take it for one that nobody changes: so it
/// is when there is no log beside it. Where there is one, the database is refused when it is opened.
async fn refuse_newer_than(path: &Path, known: i64) -> Result<(), StoreError> {
    let log = with_suffix(path, "-wal");
    if fs::metadata(&log).is_ok_and(|about| about.len() > 0) {
        return Ok(());
    }
    let Ok(mut reader) = read_only_options(path).immutable(true).connect().await else { return Ok(()) };
    let found = schema_of(&mut reader).await;
    reader.close().await?;
    match found {
        Ok(Some(found)) if found > known => Err(StoreError::NewerSchema { path: path.to_owned(), found, known }),
        // What is wrong with it is said by whoever opens it.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// Applies what is missing.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    path: &Path,
    migrations: Vec<Migration>,
) -> Result<(), StoreError> {
    Migrator::with_migrations(migrations)
        .run_direct(None, connection, false)
        .await
        .map_err(|source| StoreError::Migration { path: path.to_owned(), source: Box::new(source) })
}

/// Keeps a whole copy of the database, as sealed as it is.
async fn backup(connection: &mut SqliteConnection, to: &Path) -> Result<(), StoreError> {
    let unfinished = unfinished(to);
    copy_to(connection, &unfinished).await?;
    match put_in_place(&unfinished, to) {
        // An earlier attempt at the same upgrade made it; the older copy is the one to keep.
        Err(StoreError::AlreadyExists { .. }) => remove_if_there(&unfinished),
        placed => placed,
    }
}

/// Where the backup of a database with that schema goes.
fn backup_path(path: &Path, schema: i64) -> PathBuf {
    with_suffix(path, &format!(".schema-{schema}.backup"))
}
