//! A new data key: everything opens before, during and after; and nothing needs the old one in the end but the log.

use super::tampering::filled;
use super::*;
use std::collections::BTreeSet;

/// The keys with what they are needed for: (key, rows, batches of the log).
async fn uses(database: &Database) -> Vec<(u32, u64, u64)> {
    let uses = database.key_uses().await.unwrap();
    uses.iter().map(|of_key| (of_key.id, of_key.rows, of_key.log_batches)).collect()
}

async fn demand_everything(database: &Database) {
    let directory = database.directory().await.unwrap();
    let names: BTreeSet<_> = directory.users.iter().map(|user| user.name.as_str().to_owned()).collect();
    assert_eq!(names, ["alice", "bob"].map(str::to_owned).into());
    assert!(database.find_user(&user_name("bob")).await.unwrap().is_some());
    assert!(database.find_api_key(&"smq_bob".into()).await.unwrap().is_some());
    assert!(database.second_factor(&user_name("bob")).await.unwrap().is_some());
    let retained = database.load_retained().await.unwrap();
    assert_eq!((retained.records.len(), retained.damaged.len()), (2, 0));
    assert_eq!(database.load_sessions(drop).await.unwrap().len(), 0);
    assert_eq!(database.load_journal(drop).await.unwrap().len(), 0);
    assert!(database.verify_chain().await.unwrap().is_whole());
}

#[tokio::test]
async fn everything_but_the_log_is_sealed_again_and_the_old_key_goes_with_the_log() {
    let world = filled().await;
    let database = world.open().await.unwrap();
    let [(1, rows, batches)] = uses(&database).await[..] else { panic!("one key") };
    let (key, _) = database.begin_rotation().await.unwrap();
    assert_eq!(uses(&database).await, [(1, rows, batches), (key, 0, 0)]);
    demand_everything(&database).await;
    let rotation = database.seal_again(|_| {}).await.unwrap();
    assert_eq!((rotation.rows, rotation.damaged), (rows, 0));
    assert_eq!(uses(&database).await, [(1, 0, batches), (key, rows, 0)]);
    assert_eq!(database.seal_again(|_| {}).await.unwrap().rows, 0);
    demand_everything(&database).await;
    // The log still needs it.
    assert_eq!(database.drop_unused_keys().await.unwrap(), [0; 0]);
    database.append_events(&[event(9, "t")]).await.unwrap();
    let keep = Retention { oldest: UnixMillis::from_millis(9), total_bytes: u64::MAX };
    database.prune_events(keep).await.unwrap();
    assert_eq!(database.drop_unused_keys().await.unwrap(), [1]);
    database.close().await.unwrap();

    let database = world.open().await.unwrap();
    assert_eq!(uses(&database).await, [(key, rows, 1)]);
    demand_everything(&database).await;
    database.add_user(&user("carol", "Teacher")).await.unwrap();
    assert!(database.find_user(&user_name("carol")).await.unwrap().is_some());
    database.close().await.unwrap();
}

/// The other process may have the store open since before the key was made.
#[tokio::test]
async fn another_process_takes_the_new_key_up_when_it_reads_or_writes() {
    let world = filled().await;
    let (database, other) = (world.open().await.unwrap(), world.open().await.unwrap());
    demand_everything(&other).await;
    let (key, _) = database.begin_rotation().await.unwrap();
    database.seal_again(|_| {}).await.unwrap();
    demand_everything(&other).await;
    let third = world.open().await.unwrap();
    let (newest, _) = third.begin_rotation().await.unwrap();
    assert_eq!(newest, key + 1);
    other.set_enabled(&user_name("bob"), Access::Disabled, UnixMillis::default()).await.unwrap();
    assert_eq!(uses(&database).await.last().map(|(id, rows, _)| (*id, *rows)), Some((newest, 1)));
    for database in [database, other, third] {
        database.close().await.unwrap();
    }
}

#[tokio::test]
async fn a_row_that_does_not_open_stays_as_it_is_and_is_counted() {
    let world = filled().await;
    let mut raw = world.raw().await;
    sqlx::query("UPDATE users SET sealed = zeroblob(60) WHERE id = 2").execute(&mut raw).await.unwrap();
    sqlx::Connection::close(raw).await.unwrap();
    let database = world.open().await.unwrap();
    let (key, _) = database.begin_rotation().await.unwrap();
    assert_eq!(database.seal_again(|_| {}).await.unwrap().damaged, 1);
    assert_eq!(
        uses(&database).await.iter().map(|(id, rows, _)| (*id, *rows > 1)).collect::<Vec<_>>(),
        [(1, false), (key, true)]
    );
    database.close().await.unwrap();
}

#[tokio::test]
async fn another_master_key_wraps_the_same_data_keys() {
    for rotates_before in [false, true] {
        let mut world = filled().await;
        let database = world.open().await.unwrap();
        if rotates_before {
            database.begin_rotation().await.unwrap();
            database.seal_again(|_| {}).await.unwrap();
        }
        let new = MasterKey::generate().unwrap();
        database.rotate_master(&world.key, &new).await.unwrap();
        database.close().await.unwrap();
        assert!(matches!(world.open().await, Err(StoreError::WrongKey { .. })));
        assert!(!Database::is_opened_by(world.folder(), &world.key).await.unwrap());
        assert!(Database::is_opened_by(world.folder(), &new).await.unwrap());
        world.key = new;
        let database = world.open().await.unwrap();
        demand_everything(&database).await;
        // A key that is made later is wrapped with it as well.
        database.begin_rotation().await.unwrap();
        database.close().await.unwrap();
        demand_everything(&world.open().await.unwrap()).await;
    }
}

#[tokio::test]
async fn a_backup_and_a_salvage_keep_all_keys() {
    let world = filled().await;
    let database = world.open().await.unwrap();
    database.begin_rotation().await.unwrap();
    database.seal_again(|_| {}).await.unwrap();
    let path = world.folder().join("a.smqb");
    let other = MasterKey::generate().unwrap();
    Backup::write(&database, &[], &world.key, Some(&other), &path, Existing::Refuse).await.unwrap();
    database.close().await.unwrap();
    Database::salvage(world.folder(), &world.key).await.unwrap();
    demand_everything(&world.open().await.unwrap()).await;

    let restored = World { folder: tempfile::tempdir().unwrap(), key: MasterKey::generate().unwrap() };
    let backup = Backup::open(&path).await.unwrap();
    backup.restore(&other, &restored.key, restored.folder(), Existing::Refuse).await.unwrap();
    demand_everything(&restored.open().await.unwrap()).await;
}
