//! Backups: whole, of one moment, and whatever is altered in one is noticed.

use super::frames::{begin, frame, of_shard};
use super::tampering::filled;
use super::*;
use crate::store::tables::{Column, OTHER_TABLES, SEALED_TABLES};
use sqlx::{AssertSqlSafe, Connection, query, query_scalar};
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

fn certificate() -> BackupFile {
    BackupFile { name: "tls/ca.key".into(), mode: 0o100_600, contents: b"zebra-key".to_vec().into() }
}

/// A backup of a store in which every table has rows.
async fn written(world: &World) -> PathBuf {
    let path = world.folder().join("a.smqb");
    let database = world.open().await.unwrap();
    let report = Backup::write(&database, &[certificate()], &world.key, None, &path, Existing::Refuse).await.unwrap();
    assert!(report.tables.iter().all(|count| count.rows > 1 && count.damaged == 0), "{report:?}");
    database.close().await.unwrap();
    path
}

/// A new table must be known to backup, salvage and new keys, or its rows would be lost there.
#[tokio::test]
async fn every_table_and_every_column_is_known() {
    let world = World::new();
    world.create().await.close().await.unwrap();
    let mut raw = world.raw().await;
    let found: Vec<String> =
        query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .fetch_all(&mut raw)
            .await
            .unwrap();
    let known: BTreeSet<_> = SEALED_TABLES.iter().map(|table| table.name).chain(OTHER_TABLES.iter().copied()).collect();
    assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    for table in SEALED_TABLES {
        let columns: Vec<String> = query_scalar("SELECT name FROM pragma_table_info(?) ORDER BY cid")
            .bind(table.name)
            .fetch_all(&mut raw)
            .await
            .unwrap();
        let known: BTreeSet<_> = table.columns.iter().map(Column::name).chain(["sealed"]).collect();
        assert_eq!(columns.iter().map(String::as_str).collect::<BTreeSet<_>>(), known, "{}", table.name);
    }
}

#[tokio::test]
async fn a_backup_holds_everything_and_is_restored_to_the_same() {
    let world = filled().await;
    let path = written(&world).await;
    let backup = Backup::open(&path).await.unwrap();
    let check = backup.check(&world.key).await.unwrap();
    assert_eq!((check.problems, check.report.files), (vec![], 1));

    let other = World { folder: tempfile::tempdir().unwrap(), key: world.key.clone() };
    let restored = backup.restore(&world.key, &world.key, other.folder(), Existing::Refuse).await.unwrap();
    assert_eq!((restored.0.tables, restored.1), (check.report.tables, vec![]));
    assert_eq!(fs::read(other.folder().join("tls/ca.key")).unwrap(), b"zebra-key");
    let (before, after) = (world.open().await.unwrap(), other.open().await.unwrap());
    let names = |users: Vec<StoredUser>| users.into_iter().map(|user| user.name).collect::<Vec<_>>();
    assert_eq!(names(before.users().await.unwrap()), names(after.users().await.unwrap()));
    assert_eq!(before.rules().await.unwrap(), after.rules().await.unwrap());
    assert_eq!(before.load_retained().await.unwrap().records, after.load_retained().await.unwrap().records);
    assert!(after.verify_chain().await.unwrap().is_whole());
    // Neither the tables of the backup nor its mark are left.
    let tables: i64 = query_scalar("SELECT count(*) FROM sqlite_schema WHERE name LIKE 'backup%'")
        .fetch_one(&mut *after.reader().await.unwrap())
        .await
        .unwrap();
    assert_eq!(tables, 0);
    assert!(matches!(Backup::open(after.path()).await, Err(StoreError::NotABackup { .. })));
}

#[tokio::test]
async fn a_backup_with_a_passphrase_is_restored_without_the_master_key() {
    let world = filled().await;
    let path = world.folder().join("a.smqb");
    let passphrase = "correct horse battery".into();
    let sealing = MasterKey::from_passphrase(&passphrase, Salt::generate().unwrap()).unwrap();
    let database = world.open().await.unwrap();
    Backup::write(&database, &[], &world.key, Some(&sealing), &path, Existing::Refuse).await.unwrap();

    let backup = Backup::open(&path).await.unwrap();
    assert_eq!(backup.protection(), Protection::Passphrase);
    let opening = |text: &str| MasterKey::from_passphrase(&text.into(), backup.salt().unwrap()).unwrap();
    for wrong in [world.key.clone(), opening("wrong horse battery")] {
        assert!(matches!(backup.demand_key(&wrong).await, Err(StoreError::WrongPassphrase { .. })));
    }
    let other = World::new();
    let key = opening("correct horse battery");
    backup.restore(&key, &other.key, other.folder(), Existing::Refuse).await.unwrap();
    let restored = other.open().await.unwrap();
    assert_eq!(restored.users().await.unwrap().len(), 2);
    assert_eq!(Database::passphrase_salt(other.folder()).await.unwrap(), None);
    let old_key = Database::open(other.folder(), &world.key).await;
    assert!(matches!(old_key, Err(StoreError::WrongKey { .. })));
}

#[tokio::test]
async fn whatever_is_taken_out_of_a_backup_put_in_or_altered_is_noticed() {
    let world = filled().await;
    let path = written(&world).await;
    for deed in [
        "DELETE FROM users WHERE id = 1",
        "DELETE FROM rules WHERE id = 7",
        "DELETE FROM queues WHERE chunk = 1",
        "DELETE FROM backup_files",
        "DELETE FROM events WHERE seq = 3",
        "INSERT INTO sessions SELECT id + 100, run, frame, sealed FROM sessions WHERE id = 1",
        "UPDATE counters SET value = value + 1 WHERE name = 'last_rule'",
        "UPDATE retained SET version = x'00' WHERE rowid = 1",
        "UPDATE journal SET seq = 99 WHERE seq = 1",
    ] {
        let copy = world.folder().join("altered.smqb");
        fs::copy(&path, &copy).unwrap();
        let mut raw = SqliteConnectOptions::new().filename(&copy).connect().await.unwrap();
        query(AssertSqlSafe(deed.to_owned())).execute(&mut raw).await.unwrap();
        raw.close().await.unwrap();
        let backup = Backup::open(&copy).await.unwrap();
        assert!(!backup.check(&world.key).await.unwrap().problems.is_empty(), "{deed}");
        let folder = tempfile::tempdir().unwrap();
        let restored = backup.restore(&world.key, &world.key, folder.path(), Existing::Refuse).await;
        assert!(matches!(restored, Err(StoreError::BackupDamaged { .. })), "{deed}");
        assert!(!Database::exists_in(folder.path()), "{deed}");
    }
}

#[tokio::test]
async fn a_flipped_byte_anywhere_in_a_backup_is_noticed_or_means_nothing() {
    let world = filled().await;
    let path = written(&world).await;
    let whole = fs::read(&path).unwrap();
    let copy = world.folder().join("altered.smqb");
    let mut noticed = 0;
    for position in (0..whole.len()).step_by(whole.len() / 60) {
        let mut bytes = whole.clone();
        bytes[position] ^= 0x11;
        fs::write(&copy, &bytes).unwrap();
        let problems = match Backup::open(&copy).await {
            Ok(backup) => backup.check(&world.key).await.map_or(1, |check| check.problems.len()),
            Err(_) => 1,
        };
        noticed += usize::from(problems > 0);
        if problems == 0 {
            // It lies where nothing is: what is restored is the same.
            let folder = tempfile::tempdir().unwrap();
            let backup = Backup::open(&copy).await.unwrap();
            backup.restore(&world.key, &world.key, folder.path(), Existing::Refuse).await.unwrap();
            let database = Database::open(folder.path(), &world.key).await.unwrap();
            assert_eq!(database.users().await.unwrap().len(), 2, "byte {position}");
        }
    }
    // Most of the file is the free space of its pages.
    assert!(noticed > 0, "nothing was noticed");
}

#[tokio::test]
async fn a_file_that_is_no_backup_is_told_from_one_that_is() {
    let world = filled().await;
    let path = written(&world).await;
    for (name, bytes) in [("text", b"hello".to_vec()), ("empty", vec![])] {
        let path = world.folder().join(name);
        fs::write(&path, bytes).unwrap();
        assert!(matches!(Backup::open(&path).await, Err(StoreError::NotABackup { .. })), "{name}");
    }
    let missing = Backup::open(&world.folder().join("missing")).await;
    assert!(matches!(missing, Err(StoreError::File { .. })));
    let mut raw = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    query("PRAGMA user_version = 2").execute(&mut raw).await.unwrap();
    raw.close().await.unwrap();
    let newer = Backup::open(&path).await;
    assert!(matches!(newer, Err(StoreError::NewerBackup { found: 2, known: 1, .. })));
}

/// A name in a backup must not lead out of the data folder.
#[tokio::test]
async fn a_file_of_a_backup_stays_in_its_folder() {
    for name in ["tls/../../evil", "/etc/evil", "securemq.db", "tls/./../x"] {
        let world = filled().await;
        let database = world.open().await.unwrap();
        let path = world.folder().join("a.smqb");
        let file = BackupFile { name: name.into(), ..certificate() };
        Backup::write(&database, &[file], &world.key, None, &path, Existing::Refuse).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let backup = Backup::open(&path).await.unwrap();
        let restored = backup.restore(&world.key, &world.key, folder.path(), Existing::Refuse).await;
        assert!(matches!(restored, Err(StoreError::Unreadable { .. })), "{name}");
    }
}

#[tokio::test]
async fn a_backup_shows_nothing_of_what_is_in_it() {
    let world = filled().await;
    let bytes = fs::read(written(&world).await).unwrap();
    for needle in ["zebra-key", "alice", "tls/ca.key", "t/1", "sensor-1"] {
        assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{needle}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_of_one_moment_and_holds_up_no_writer() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    handle.store(vec![begin(1, 1)]).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let work = tokio::spawn(async move {
        let mut stopped = stopped;
        let mut number = 0;
        while stopped.try_recv().is_err() {
            number += 1;
            let session = crate::broker::Frame {
                checkpoints: vec![(crate::broker::DurableId(number), "state".into())],
                ..frame(number, b"records")
            };
            handle.store(vec![of_shard(1, 0, session)]).await.unwrap();
        }
        number
    });
    let mut seen = BTreeSet::new();
    for round in 0..8 {
        let path = world.folder().join(format!("{round}.smqb"));
        Backup::write(&database, &[], &world.key, None, &path, Existing::Refuse).await.unwrap();
        let check = Backup::open(&path).await.unwrap().check(&world.key).await.unwrap();
        assert_eq!(check.problems, Vec::<String>::new());
        let rows = |name| check.report.tables.iter().find(|count| count.table == name).unwrap().rows;
        // A frame and its checkpoint are one transaction.
        assert_eq!(rows("journal"), rows("sessions"));
        seen.insert(rows("journal"));
    }
    stop.send(()).unwrap();
    let written = work.await.unwrap();
    writer.close().await;
    assert!(seen.len() > 1 && seen.iter().all(|rows| *rows <= written), "{seen:?} of {written}");
}

#[tokio::test]
async fn a_backup_replaces_a_file_only_when_told() {
    let world = filled().await;
    let path = written(&world).await;
    let before = fs::read(&path).unwrap();
    let database = world.open().await.unwrap();
    let write = async |existing| Backup::write(&database, &[], &world.key, None, &path, existing).await;
    assert!(matches!(write(Existing::Refuse).await, Err(StoreError::AlreadyExists { .. })));
    assert_eq!(fs::read(&path).unwrap(), before);
    write(Existing::Replace).await.unwrap();
    assert_ne!(fs::read(&path).unwrap(), before);
}
