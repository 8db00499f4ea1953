//! Retained messages and their versions.

use super::*;
use crate::broker::Timestamp;
use crate::protocol::Rare;

async fn store(database: &Database, ops: Vec<StoreOp>) {
    let writer = Writer::start(database.clone());
    writer.handle().store(ops).await.unwrap();
    writer.close().await;
}

async fn loaded(database: &Database) -> Vec<RetainedRecord> {
    let mut loaded = database.load_retained().await.unwrap();
    assert!(loaded.damaged.is_empty(), "{:?}", loaded.damaged);
    loaded.records.sort_by(|a, b| a.message.topic.cmp(&b.message.topic));
    loaded.records
}

fn unretain(name: &str, counter: u64) -> StoreOp {
    StoreOp::Unretain { topic: topic(name), version: RetainedVersion { counter, shard: 0 } }
}

#[tokio::test]
async fn a_retained_message_is_loaded_as_it_was_stored() {
    let world = World::new();
    let database = world.create().await;
    let mut plain = record("b", b"", u64::MAX);
    plain.version.shard = 7;
    plain.expires = None;
    plain.message.origin = Origin::System;
    plain.message.properties = Rare::NOTHING;
    let mut dated = record("a/b", b"payload", 1);
    dated.message.expires_at = Some(Timestamp::from_millis(5));
    store(&database, vec![StoreOp::Retain(plain.clone()), StoreOp::Retain(dated.clone())]).await;
    dated.message.expires_at = None;
    assert_eq!(loaded(&database).await, [dated, plain]);
}

#[tokio::test]
async fn the_greater_version_wins_whatever_comes_first() {
    let world = World::new();
    let database = world.create().await;
    let at = |counter, shard, payload| {
        let mut record = record("t", payload, counter);
        record.version.shard = shard;
        StoreOp::Retain(record)
    };
    let payload = async || loaded(&database).await[0].message.payload.clone();
    store(&database, vec![at(5, 1, b"first")]).await;
    store(&database, vec![at(4, 9, b"earlier")]).await;
    assert_eq!(payload().await, "first");
    store(&database, vec![at(5, 2, b"same counter")]).await;
    assert_eq!(payload().await, "same counter");
    store(&database, vec![at(256, 0, b"later")]).await;
    store(&database, vec![at(255, 0, b"not as bytes")]).await;
    assert_eq!(payload().await, "later");
    store(&database, vec![at(300, 0, b"last"), at(299, 0, b"within one batch")]).await;
    assert_eq!(payload().await, "last");
}

#[tokio::test]
async fn forgetting_is_a_change_like_any_other() {
    let world = World::new();
    let database = world.create().await;
    store(&database, vec![StoreOp::Retain(record("a", b"1", 5)), StoreOp::Retain(record("b", b"1", 5))]).await;
    store(&database, vec![unretain("a", 4), unretain("b", 6), unretain("c", 1)]).await;
    assert_eq!(loaded(&database).await, [record("a", b"1", 5)]);
    store(&database, vec![StoreOp::Retain(record("c", b"1", 7)), unretain("c", 8), unretain("a", 9)]).await;
    assert_eq!(loaded(&database).await, []);
}

/// An expired message is taken out under the version that it was kept under.
#[tokio::test]
async fn a_message_is_forgotten_under_its_own_version() {
    let world = World::new();
    let database = world.create().await;
    store(&database, vec![StoreOp::Retain(record("t", b"1", 5))]).await;
    store(&database, vec![unretain("t", 5)]).await;
    assert_eq!(loaded(&database).await, []);
    store(&database, vec![StoreOp::Retain(record("t", b"2", 6)), unretain("t", 6)]).await;
    assert_eq!(loaded(&database).await, [], "within one batch");
}

#[tokio::test]
async fn what_was_forgotten_does_not_come_back_by_an_earlier_message_that_was_late() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    handle.store(vec![unretain("t", 10)]).await.unwrap();
    handle.store(vec![StoreOp::Retain(record("t", b"late", 9))]).await.unwrap();
    assert_eq!(loaded(&database).await, []);
    handle.store(vec![StoreOp::Retain(record("t", b"new", 11))]).await.unwrap();
    assert_eq!(loaded(&database).await.len(), 1);
}

#[tokio::test]
async fn many_topics_go_in_few_statements_and_come_back() {
    let world = World::new();
    let database = world.create().await;
    let ops = |op: &dyn Fn(usize) -> StoreOp| (0..10_000).map(op).collect::<Vec<_>>();
    store(&database, ops(&|n| StoreOp::Retain(record(&format!("t/{n}"), b"x", 1)))).await;
    assert_eq!(loaded(&database).await.len(), 10_000);
    store(&database, ops(&|n| unretain(&format!("t/{n}"), 2))).await;
    assert_eq!(loaded(&database).await.len(), 0);
}
