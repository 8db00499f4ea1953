//! Databases of other schemas: an older one is brought up to date whatever interrupts it, a newer one is left alone.

use crate::support::broker::{Broker, Settings, finish, killed_at, make_private_folder, securemq};
use crate::support::wire::{Connect, Publish};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, query, query_scalar};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use tempfile::TempDir;

/// A stopped broker with a user, a retained message and a message that waits for a client that is away.
fn stopped() -> Broker {
    let mut broker = Settings::open().start();
    broker.add_user("tina", "Teacher", "correct horse");
    let mut away = broker.connect(&Connect::v5("away").lasting());
    away.subscribe("school/#", 1);
    away.disconnect();
    broker.client("publisher").publish(Publish::new("school/0", "hello").qos(1).retain());
    broker.stop();
    broker
}

fn check(folder: &Arc<TempDir>) {
    let broker = Settings::open().on(Arc::clone(folder)).start();
    assert_eq!(broker.connect(&Connect::v5("away").lasting()).payloads(1), ["hello"]);
    let mut new = broker.client("new");
    new.subscribe("school/0", 0);
    assert_eq!(new.payloads(1), ["hello"]);
    assert!(broker.run(&["logs", "verify"]).contains("the log is whole"));
}

/// Changes the database as SQLite has it, or asks it for a number.
fn sql(database: &Path, statements: &'static str) -> Option<i64> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnectOptions::new().filename(database).connect().await.unwrap();
        let answer = match statements.starts_with("SELECT") {
            true => Some(query_scalar(statements).fetch_one(&mut connection).await.unwrap()),
            false => query(statements).execute(&mut connection).await.map(|_| None).unwrap(),
        };
        connection.close().await.unwrap();
        answer
    })
}

/// What the third migration made goes: then the schema is the second.
const BACK_TO_2: &str = "DROP TABLE classes; DROP TABLE api_keys; DROP TABLE second_factors; \
     DELETE FROM counters WHERE name IN ('last_class', 'last_api_key'); DELETE FROM _sqlx_migrations WHERE version > 2";
const SCHEMA: &str = "SELECT max(version) FROM _sqlx_migrations";

fn copy_of(data: &Path) -> Arc<TempDir> {
    let folder = TempDir::new().unwrap();
    make_private_folder(&folder.path().join("data"));
    for name in ["securemq.db", "master.key", "lock"] {
        fs::copy(data.join(name), folder.path().join("data").join(name)).unwrap();
    }
    Arc::new(folder)
}

#[test]
fn a_migration_that_is_killed_at_any_write_is_made_by_the_next_start_and_the_backup_is_there() {
    let broker = stopped();
    let database = broker.data().join("securemq.db");
    sql(&database, BACK_TO_2);
    let mut killed = 0;
    for number in 1.. {
        let folder = copy_of(&broker.data());
        let database = folder.path().join("data/securemq.db");
        let backup = folder.path().join("data/securemq.db.schema-2.backup");
        let mut command = killed_at(folder.path(), number);
        command.args(["user", "list"]);
        let is_whole = finish(command, "").status.success();
        killed += u32::from(!is_whole);
        // Never is a database changed that has no backup, and never is the backup half.
        if backup.exists() {
            assert_eq!(sql(&backup, SCHEMA), Some(2), "killed at call {number}");
        } else {
            assert_eq!(sql(&database, SCHEMA), Some(2), "killed at call {number}");
        }
        let mut command = securemq(folder.path());
        command.args(["user", "list"]);
        let said = finish(command, "");
        assert!(said.status.success(), "killed at call {number}: {said:?}");
        assert!(String::from_utf8(said.stdout).unwrap().contains("tina"));
        assert_eq!((sql(&database, SCHEMA), sql(&backup, SCHEMA)), (Some(3), Some(2)), "killed at call {number}");
        if is_whole || number % 8 == 0 {
            check(&folder);
        }
        if is_whole {
            break;
        }
    }
    assert!(killed > 10, "{killed} migrations were killed");
}

/// Name, a digest of the contents and the moment of the last change of every file.
fn files(data: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut folders = vec![data.to_owned()];
    let mut files = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    let changed = fs::metadata(&path).unwrap().modified().unwrap();
                    let mut digest = DefaultHasher::new();
                    fs::read(&path).unwrap().hash(&mut digest);
                    files.insert(path, (digest.finish(), changed));
                }
            }
        }
    }
    files
}

const ONE_LATER: &str = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
     VALUES (99, 'later', 1, x'00', 1)";

#[test]
fn a_newer_schema_is_refused_by_every_command_and_no_file_is_touched() {
    let broker = stopped();
    sql(&broker.data().join("securemq.db"), ONE_LATER);
    let before = files(&broker.data());
    assert!(!before.keys().any(|path| path.to_string_lossy().ends_with("-wal")));
    let backup = broker.scratch().join("new.smqb");
    let commands: &[&[&str]] = &[
        &["serve", "--listen", "mqtt://127.0.0.1:0"],
        &["user", "list"],
        &["backup", backup.to_str().unwrap()],
        &["key", "list"],
        &["key", "rotate"],
        &["export", "retained"],
        &["logs"],
    ];
    for arguments in commands {
        let output = finish(broker.command(arguments), "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {said}");
        assert!(said.contains("has schema 99") && said.contains("nothing was changed"), "{arguments:?}: {said}");
        assert_eq!(files(&broker.data()), before, "{arguments:?}");
    }
    assert!(!backup.exists());
}

/// A newer broker that was killed leaves its log, which is a part of the database.
#[test]
fn a_newer_schema_that_is_only_in_the_log_is_refused_and_database_and_log_are_not_touched() {
    let broker = stopped();
    let database = broker.data().join("securemq.db");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = copy_of(&broker.data());
    let data = folder.path().join("data");
    runtime.block_on(async {
        let mut connection = SqliteConnectOptions::new().filename(&database).connect().await.unwrap();
        query(ONE_LATER).execute(&mut connection).await.unwrap();
        for name in ["securemq.db-wal", "securemq.db-shm"] {
            fs::copy(broker.data().join(name), data.join(name)).unwrap();
        }
        connection.close().await.unwrap();
    });
    let kept = |data: &Path| {
        let mut files = files(data);
        // The index of the log is made anew by whoever reads it first.
        files.remove(&data.join("securemq.db-shm"));
        files
    };
    let before = kept(&data);
    for arguments in [&["serve", "--listen", "mqtt://127.0.0.1:0"][..], &["user", "list"]] {
        let mut command = securemq(folder.path());
        command.args(arguments);
        let output = finish(command, "");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("has schema 99") && said.contains("nothing was changed"), "{arguments:?}: {said}");
        assert_eq!(kept(&data), before, "{arguments:?}");
    }
}
