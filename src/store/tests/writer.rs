//! The writer: group commit, failures, the end.

use super::frames::{begin, chunk, frame, journal, of_shard, sessions};
use super::*;
use crate::broker::Durability;
use crate::broker::{DurableId, Frame};
use sqlx::query;
use std::sync::Mutex;

fn batch(ops: Vec<StoreOp>, told: &Arc<Mutex<Vec<Result<(), StoreFailure>>>>) -> Batch {
    let told = told.clone();
    Batch { ops, durability: Durability::Commit, done: Box::new(move |result| told.lock().unwrap().push(result)) }
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
        handle.submit(batch(vec![retain, StoreOp::Events(Arc::new(vec![event(number, "t")]))], &told));
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
    let ops = || vec![StoreOp::Retain(record("t", b"x", 1)), StoreOp::Events(Arc::new(vec![event(1, "t")]))];
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
async fn frames_that_a_full_disk_refuses_leave_nothing_behind() {
    let world = World::new();
    let database = world.create().await;
    let mut change = database.change().await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(change.connection()).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {}", pages + 4));
    query(limit).execute(change.connection()).await.unwrap();
    change.commit().await.unwrap();
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    // The row of the journal fits; what the frame writes after it does not.
    let large = Frame {
        checkpoints: vec![(DurableId(1), "state".into())],
        chunks: vec![(chunk(1, 0), vec![7; 100_000].into())],
        ..frame(1, b"r")
    };
    let ops = vec![begin(1, 1), of_shard(1, 0, large.clone())];
    assert_eq!(handle.store(ops.clone()).await, Err(StoreFailure::DiskFull));
    assert_eq!(journal(&database).await, [""; 0]);
    assert_eq!(sessions(&database).await, []);
    assert_eq!(database.chunk_ranges().await.unwrap(), []);
    // The run did not begin either, so the same changes can be handed in again.
    assert_eq!(handle.store(ops).await, Ok(()));
    assert_eq!(journal(&database).await, ["1/0/1 r"]);
    assert_eq!(database.load_chunk(chunk(1, 0)).await.unwrap().len(), 100_000);
}

#[tokio::test]
async fn frames_that_fail_take_everything_of_their_group_with_them() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    handle.store(vec![begin(1, 2)]).await.unwrap();
    let mut raw = world.raw().await;
    // The last statement of the transaction fails.
    let trigger = "CREATE TRIGGER refuse BEFORE INSERT ON sessions BEGIN SELECT RAISE(ABORT, 'no'); END";
    query(trigger).execute(&mut raw).await.unwrap();
    let whole = Frame { checkpoints: vec![(DurableId(1), "state".into())], ..frame(1, b"a") };
    let groups = [
        vec![of_shard(1, 0, whole), StoreOp::Events(Arc::new(vec![event(1, "t")]))],
        vec![StoreOp::Frame {
            run: 1,
            shard: 1,
            frame: frame(1, b"b"),
            retained: vec![StoreOp::Retain(record("t", b"x", 1))],
        }],
    ];
    let told = Arc::new(Mutex::new(Vec::new()));
    for ops in groups.clone() {
        handle.submit(batch(ops, &told));
    }
    // The queue is first in, first out, so both are told when this is.
    handle.store(vec![]).await.unwrap_err();
    assert_eq!(*told.lock().unwrap(), [Err(StoreFailure::Refused); 2]);
    assert_eq!(journal(&database).await, [""; 0]);
    assert!(database.load_retained().await.unwrap().records.is_empty());
    assert_eq!(database.verify_chain().await.unwrap().events, 0);
    query("DROP TRIGGER refuse").execute(&mut raw).await.unwrap();
    for ops in groups {
        handle.submit(batch(ops, &told));
    }
    writer.close().await;
    assert_eq!(told.lock().unwrap()[2..], [Ok(()); 2]);
    assert_eq!(journal(&database).await, ["1/0/1 a", "1/1/1 b"]);
    assert_eq!(sessions(&database).await.len(), 1);
    assert_eq!(database.load_retained().await.unwrap().records.len(), 1);
    assert_eq!(database.verify_chain().await.unwrap().events, 1);
}

#[tokio::test]
async fn everything_in_a_frame_counts_towards_what_may_wait() {
    let large = bytes::Bytes::from(vec![0; 65 * 1024 * 1024]);
    let retained = StoreOp::Retain(RetainedRecord {
        message: Message { payload: large.clone(), ..message("t", b"") },
        ..record("t", b"", 1)
    });
    let op = |frame, retained| StoreOp::Frame { run: 1, shard: 0, frame, retained };
    let many = |count: u64| (0..count).map(|number| chunk(1, number)).collect();
    for op in [
        op(Frame { records: large.clone(), ..Frame::default() }, vec![]),
        op(Frame { checkpoints: vec![(DurableId(1), large.clone())], ..Frame::default() }, vec![]),
        op(Frame { chunks: vec![(chunk(1, 0), large.clone())], ..Frame::default() }, vec![]),
        op(Frame { dropped_chunks: many(5_000_000), ..Frame::default() }, vec![]),
        op(Frame { ended: vec![DurableId(1); 10_000_000], ..Frame::default() }, vec![]),
        op(Frame::default(), vec![retained]),
    ] {
        let world = World::new();
        let writer = Writer::start(world.create().await);
        let told = Arc::new(Mutex::new(Vec::new()));
        writer.handle().submit(batch(vec![], &told));
        writer.handle().submit(batch(vec![op], &told));
        assert_eq!(*told.lock().unwrap(), [Err(StoreFailure::QueueFull)]);
    }
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

#[tokio::test]
async fn a_second_process_changes_users_and_reads_queues_while_frames_are_stored() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    handle.store(vec![begin(1, 1)]).await.unwrap();
    let other = world.open().await.unwrap();
    let busy = async {
        for number in 1..=200 {
            let chunks = vec![(chunk(1, number), number.to_string().into())];
            let frame = Frame { chunks, ..frame(number, b"r") };
            handle.store(vec![of_shard(1, 0, frame)]).await.unwrap();
            // What was stored is seen at once, by everybody.
            assert_eq!(other.load_chunk(chunk(1, number)).await.unwrap(), number.to_string());
        }
    };
    let change = async {
        for number in 0..10 {
            other.add_user(&user(&format!("u{number}"), "Student")).await.unwrap();
        }
    };
    tokio::join!(busy, change);
    assert_eq!(journal(&other).await.len(), 200);
    assert_eq!(database.users().await.unwrap().len(), 10);
}
