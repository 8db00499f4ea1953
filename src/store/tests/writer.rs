//! The writer: group commit, failures, the end.

use super::*;
use sqlx::query;
use std::sync::Mutex;

fn batch(ops: Vec<StoreOp>, told: &Arc<Mutex<Vec<Result<(), StoreFailure>>>>) -> Batch {
    let told = told.clone();
    Batch { ops, done: Box::new(move |result| told.lock().unwrap().push(result)) }
}

#[tokio::test]
async fn what_waits_goes_into_one_commit_and_everybody_is_told() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    let told = Arc::new(Mutex::new(Vec::new()));
    // The writer's task runs when this one waits for the first time.
    for number in 0..1000 {
        let retain = StoreOp::Retain(record(&format!("t/{number}"), b"x", 1));
        handle.submit(batch(vec![retain, StoreOp::Events(vec![event(number, "t")])], &told));
    }
    writer.close().await;
    assert_eq!(*told.lock().unwrap(), vec![Ok(()); 1000]);
    let counters = handle.counters();
    assert_eq!((counters.commits, counters.batches, counters.failures), (1, 1000, 0));
    assert_eq!(database.load_retained().await.unwrap().records.len(), 1000);
    assert_eq!(database.verify_chain().await.unwrap().events, 1000);
}

#[tokio::test]
async fn a_failed_transaction_is_undone_reported_and_followed_by_others() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    let mut raw = world.raw().await;
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END";
    query(trigger).execute(&mut raw).await.unwrap();
    let ops = || vec![StoreOp::Retain(record("t", b"x", 1)), StoreOp::Events(vec![event(1, "t")])];
    assert_eq!(handle.store(ops()).await, Err(StoreFailure::Refused));
    assert!(database.load_retained().await.unwrap().records.is_empty());
    query("DROP TRIGGER refuse").execute(&mut raw).await.unwrap();
    assert_eq!(handle.store(ops()).await, Ok(()));
    assert_eq!(database.load_retained().await.unwrap().records.len(), 1);
    assert_eq!(handle.counters().failures, 1);
}

#[tokio::test]
async fn a_full_disk_is_said_and_the_writer_goes_on_when_there_is_space() {
    let world = World::new();
    let database = world.create().await;
    // The connection of the change that follows is the one that the writer will take.
    let mut change = database.change().await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(change.connection()).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 4));
    query(limit).execute(change.connection()).await.unwrap();
    change.commit().await.unwrap();
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    let large = |counter| vec![StoreOp::Retain(record("t", &[7; 100_000], counter))];
    assert_eq!(handle.store(large(1)).await, Err(StoreFailure::DiskFull));
    // The connection that failed is given up, and its limit with it.
    assert_eq!(handle.store(large(2)).await, Ok(()));
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_at_once() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database);
    let handle = writer.handle();
    let told = Arc::new(Mutex::new(Vec::new()));
    handle.submit(batch(vec![StoreOp::Retain(record("small", b"x", 1))], &told));
    let payload = Box::leak(vec![0; 65 * 1024 * 1024].into_boxed_slice());
    handle.submit(batch(vec![StoreOp::Retain(record("large", payload, 1))], &told));
    assert_eq!(*told.lock().unwrap(), [Err(StoreFailure::QueueFull)]);
    writer.close().await;
    assert_eq!(told.lock().unwrap()[1], Ok(()));
}

#[tokio::test]
async fn batches_are_bounded_in_number_too() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database);
    let handle = writer.handle();
    let told = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..20_000 {
        handle.submit(batch(Vec::new(), &told));
    }
    let refused = told.lock().unwrap().iter().filter(|told| **told == Err(StoreFailure::QueueFull)).count();
    assert_eq!(refused, 20_000 - 16 * 1024);
    writer.close().await;
    assert_eq!(told.lock().unwrap().len(), 20_000);
}

#[tokio::test]
async fn after_the_end_everything_is_refused() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database);
    let handle = writer.handle();
    writer.close().await;
    assert_eq!(handle.store(vec![]).await, Err(StoreFailure::Closed));
}

#[tokio::test]
async fn a_command_changes_users_while_the_writer_is_busy() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    let command = world.open().await.unwrap();
    let busy = async {
        for number in 0..200 {
            handle.store(vec![StoreOp::Retain(record("t", b"x", number + 1))]).await.unwrap();
        }
    };
    let change = async {
        for number in 0..10 {
            command.add_user(&user(&format!("u{number}"), "Student")).await.unwrap();
        }
    };
    tokio::join!(busy, change);
    assert_eq!(database.users().await.unwrap().len(), 10);
}
