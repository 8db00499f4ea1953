//! Files: their modes, wrong keys, other schemas, interrupted creation.

use super::frames::{begin, frame, journal, of_shard, store};
use super::*;
use crate::store::connection::options;
use crate::store::create::fill;
use crate::store::migrate::{apply, migrations, upgrade};
use sqlx::migrate::{Migration, MigrationType};
use sqlx::{ConnectOptions, Connection, SqlSafeStr, query, query_scalar};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

#[tokio::test]
async fn every_file_is_for_its_owner_alone() {
    let world = World::new();
    let database = world.create().await;
    database.add_user(&user("alice", "Student")).await.unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(world.folder()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["securemq.db", "securemq.db-shm", "securemq.db-wal"]);
}

#[tokio::test]
async fn the_options_of_sqlite_are_those_that_were_measured() {
    let world = World::new();
    let database = world.create().await;
    let mut change = database.change().await.unwrap();
    let mut ask = async |sql: &'static str| -> String {
        query_scalar::<_, i64>(sql).fetch_one(change.connection()).await.unwrap().to_string()
    };
    assert_eq!(ask("PRAGMA synchronous").await, "2");
    assert_eq!(ask("PRAGMA page_size").await, "4096");
    assert_eq!(ask("PRAGMA auto_vacuum").await, "2");
    assert_eq!(ask("PRAGMA wal_autocheckpoint").await, "1000");
    assert_eq!(ask("PRAGMA journal_size_limit").await, "67108864");
    assert_eq!(ask("PRAGMA busy_timeout").await, "5000");
    assert_eq!(ask("PRAGMA foreign_keys").await, "1");
    assert_eq!(ask("PRAGMA trusted_schema").await, "0");
    assert_eq!(ask("PRAGMA cell_size_check").await, "1");
    let mode: String = query_scalar("PRAGMA journal_mode").fetch_one(change.connection()).await.unwrap();
    assert_eq!(mode, "wal");
}

#[tokio::test]
async fn an_existing_database_is_left_as_it_is() {
    let world = World::new();
    world.create().await.close().await.unwrap();
    let before = fs::read(Database::path_in(world.folder())).unwrap();
    let error = Database::create(world.folder(), &MasterKey::generate().unwrap()).await.err().unwrap();
    assert!(matches!(error, StoreError::AlreadyExists { .. }), "{error}");
    assert_eq!(fs::read(Database::path_in(world.folder())).unwrap(), before);
}

#[tokio::test]
async fn what_an_interrupted_creation_left_is_swept_away() {
    let world = World::new();
    for name in ["securemq.db.unfinished", "securemq.db.unfinished-wal"] {
        fs::write(world.folder().join(name), b"half").unwrap();
    }
    assert!(!Database::exists_in(world.folder()));
    world.create().await;
    assert!(Database::exists_in(world.folder()));
    assert!(!world.folder().join("securemq.db.unfinished").exists());
}

#[tokio::test]
async fn a_missing_database_is_named_with_what_makes_one() {
    let error = World::new().open().await.err().unwrap().to_string();
    assert!(error.contains("there is no database") && error.contains("securemq serve"), "{error}");
}

#[tokio::test]
async fn a_wrong_key_is_noticed_at_once_and_changes_nothing() {
    let world = World::new();
    world.create().await.close().await.unwrap();
    let before = fs::read(Database::path_in(world.folder())).unwrap();
    let error = Database::open(world.folder(), &MasterKey::generate().unwrap()).await.err().unwrap();
    assert!(matches!(error, StoreError::WrongKey { .. }));
    let path = Database::path_in(world.folder()).display().to_string();
    assert!(error.to_string().starts_with(&format!("the master key does not open {path}: ")), "{error}");
    assert_eq!(fs::read(Database::path_in(world.folder())).unwrap(), before);
    world.open().await.unwrap();
}

#[tokio::test]
async fn a_passphrase_opens_the_database_with_the_salt_that_is_stored_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let passphrase = "correct horse".into();
    let key = MasterKey::from_passphrase(&passphrase, Salt::generate().unwrap()).unwrap();
    Database::create(folder.path(), &key).await.unwrap().close().await.unwrap();
    let salt = Database::passphrase_salt(folder.path()).await.unwrap().unwrap();
    let key = MasterKey::from_passphrase(&passphrase, salt).unwrap();
    Database::open(folder.path(), &key).await.unwrap();
    let key = MasterKey::from_passphrase(&"wrong horse".into(), salt).unwrap();
    assert!(matches!(Database::open(folder.path(), &key).await, Err(StoreError::WrongKey { .. })));
    assert_eq!(Database::passphrase_salt(World::new().open_new().await.folder()).await.unwrap(), None);
}

impl World {
    async fn open_new(self) -> Self {
        self.create().await;
        self
    }
}

#[tokio::test]
async fn a_database_that_others_may_read_is_refused() {
    let world = World::new();
    world.create().await.close().await.unwrap();
    fs::set_permissions(Database::path_in(world.folder()), fs::Permissions::from_mode(0o640)).unwrap();
    let error = world.open().await.err().unwrap().to_string();
    assert!(error.contains("run: chmod 600"), "{error}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_nothing_is_touched() {
    let world = World::new();
    world.create().await.close().await.unwrap();
    let mut raw = world.raw().await;
    query("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9, 'later', 1, x'00', 1)")
        .execute(&mut raw)
        .await
        .unwrap();
    raw.close().await.unwrap();
    let before = fs::read(Database::path_in(world.folder())).unwrap();
    let error = world.open().await.err().unwrap();
    assert!(matches!(error, StoreError::NewerSchema { found: 9, known: 3, .. }), "{error}");
    assert!(error.to_string().contains("nothing was changed: run the newer securemq"), "{error}");
    assert_eq!(fs::read(Database::path_in(world.folder())).unwrap(), before);
    let files: Vec<_> = fs::read_dir(world.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!files.iter().any(|name| name.to_string_lossy().contains("backup")), "{files:?}");
}

#[tokio::test]
async fn a_foreign_file_is_refused_and_nothing_is_touched() {
    let world = World::new();
    let path = Database::path_in(world.folder());
    PrivateFile::create(&path, &b"this is no database. ".repeat(100)).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(world.open().await, Err(StoreError::NotOurs { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);

    fs::write(&path, b"").unwrap();
    let mut raw = world.raw().await;
    query("CREATE TABLE other (a)").execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(world.open().await, Err(StoreError::NotOurs { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_backup_is_made_before_a_migration() {
    let world = World::new();
    let database = world.create().await;
    database.add_user(&user("alice", "Student")).await.unwrap();
    database.close().await.unwrap();
    let mut steps = migrations();
    let sql = "CREATE TABLE later (id INTEGER PRIMARY KEY) STRICT";
    steps.push(Migration::new(99, "later".into(), MigrationType::Simple, sql.into_sql_str(), false));
    let path = Database::path_in(world.folder());
    upgrade(&path, steps).await.unwrap();

    let backup = world.folder().join("securemq.db.schema-3.backup");
    assert_eq!(fs::metadata(&backup).unwrap().mode() & 0o777, 0o600);
    assert!(matches!(world.open().await, Err(StoreError::NewerSchema { found: 99, .. })));
    // The backup is a whole database of the earlier schema.
    fs::rename(&backup, &path).unwrap();
    assert_eq!(world.open().await.unwrap().users().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_database_of_the_first_schema_is_backed_up_and_gets_a_journal() {
    let world = World::new();
    let path = Database::path_in(world.folder());
    PrivateFile::create(&path, &[]).unwrap();
    let mut connection = options(&path).connect().await.unwrap();
    let first = migrations().into_iter().take(1).collect();
    apply(&mut connection, &path, first).await.unwrap();
    fill(&mut connection, &world.key).await.unwrap();
    connection.close().await.unwrap();

    let database = world.open().await.unwrap();
    database.add_user(&user("alice", "Student")).await.unwrap();
    let run = database.begin_run().await.unwrap();
    assert_eq!(run, 1);
    store(&database, vec![begin(run, 1), of_shard(run, 0, frame(1, b"r"))]).await;
    assert_eq!(journal(&database).await, ["1/0/1 r"]);
    database.close().await.unwrap();

    let backup = world.folder().join("securemq.db.schema-1.backup");
    assert_eq!(fs::metadata(&backup).unwrap().mode() & 0o777, 0o600);
    // The backup is as the database was before, and can take its place.
    let mut reader = options(&backup).connect().await.unwrap();
    let tables: Vec<String> =
        query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table'").fetch_all(&mut reader).await.unwrap();
    assert!(tables.contains(&"users".to_owned()) && !tables.contains(&"journal".to_owned()), "{tables:?}");
    reader.close().await.unwrap();
    fs::rename(&backup, &path).unwrap();
    // The log beside a database belongs to that database; with another one it would be nonsense.
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(world.folder().join(format!("securemq.db{suffix}")));
    }
    let database = world.open().await.unwrap();
    assert!(database.users().await.unwrap().is_empty());
    assert_eq!(database.begin_run().await.unwrap(), 1);
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_database_as_it_was() {
    let world = World::new();
    world.create().await.close().await.unwrap();
    let mut steps = migrations();
    let sql = "CREATE TABLE half (id INTEGER); CREATE TABLE users (id INTEGER)";
    steps.push(Migration::new(99, "broken".into(), MigrationType::Simple, sql.into_sql_str(), false));
    let error = upgrade(&Database::path_in(world.folder()), steps).await.unwrap_err();
    assert!(matches!(error, StoreError::Migration { .. }), "{error}");
    let database = world.open().await.unwrap();
    let half: Option<i64> = query_scalar("SELECT 1 FROM sqlite_schema WHERE name = 'half'")
        .fetch_optional(&mut *database.reader().await.unwrap())
        .await
        .unwrap();
    assert_eq!(half, None);
}

#[tokio::test]
async fn what_is_closed_is_whole_in_one_file_even_after_a_change_that_was_given_up() {
    let world = World::new();
    let database = world.create().await;
    database.add_user(&user("alice", "Teacher")).await.unwrap();
    drop(database.change().await.unwrap());
    assert_eq!(database.users().await.unwrap().len(), 1);
    database.close().await.unwrap();
    assert!(!world.folder().join("securemq.db-wal").exists());
    assert_eq!(world.open().await.unwrap().users().await.unwrap().len(), 1);
}
