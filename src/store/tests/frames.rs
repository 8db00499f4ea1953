//! Frames: what is stored of them, what is loaded again, what is forgotten.

use super::*;
use crate::broker::{ChunkId, DurableId, Frame, FrameNumber};
use bytes::Bytes;

pub(super) fn begin(run: u64, shards: u16) -> StoreOp {
    StoreOp::Begin { run, shards }
}

pub(super) fn frame(number: u64, records: &'static [u8]) -> Frame {
    Frame { number: FrameNumber(number), records: records.into(), ..Frame::default() }
}

pub(super) fn of_shard(run: u64, shard: u16, frame: Frame) -> StoreOp {
    StoreOp::Frame { run, shard, frame, retained: Vec::new() }
}

pub(super) fn chunk(session: u64, number: u64) -> ChunkId {
    ChunkId { session: DurableId(session), number }
}

pub(super) async fn store(database: &Database, ops: Vec<StoreOp>) {
    let writer = Writer::start(database.clone());
    writer.handle().store(ops).await.unwrap();
    writer.close().await;
}

/// The journal, each row as run/shard/frame and its records.
pub(super) async fn journal(database: &Database) -> Vec<String> {
    let mut rows = Vec::new();
    let damaged = database
        .load_journal(|row| {
            let records = String::from_utf8_lossy(&row.records).into_owned();
            rows.push(format!("{}/{}/{} {records}", row.run, row.shard, row.frame.0));
        })
        .await
        .unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    rows
}

pub(super) async fn sessions(database: &Database) -> Vec<SessionRow> {
    let mut rows = Vec::new();
    let damaged = database.load_sessions(|row| rows.push(row)).await.unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    rows
}

/// The parts of queues, each as session/number.
async fn chunks(database: &Database) -> Vec<String> {
    let mut chunks = Vec::new();
    for range in database.chunk_ranges().await.unwrap() {
        for number in range.first..=range.last {
            if !range.missing.iter().any(|missing| missing.contains(&number)) {
                chunks.push(format!("{}/{number}", range.session.0));
            }
        }
    }
    chunks
}

#[tokio::test]
async fn a_frame_is_loaded_as_it_was_stored() {
    let world = World::new();
    let database = world.create().await;
    let run = database.begin_run().await.unwrap();
    let (old, high) = (DurableId(5), DurableId(u64::MAX));
    let first = Frame {
        checkpoints: vec![(high, "state".into()), (old, Bytes::new())],
        chunks: vec![(chunk(5, 0), "queue".into()), (chunk(5, 1), Bytes::from(vec![7; 100_000]))],
        ..frame(1, b"first")
    };
    let other = frame(1, b"other");
    let second = Frame { number: FrameNumber(2), checkpoints: vec![(old, "newer".into())], ..Frame::default() };
    let retained = vec![StoreOp::Retain(record("t", b"x", 1))];
    let ops = vec![
        begin(run, 2),
        of_shard(run, 0, first),
        of_shard(run, 1, other),
        StoreOp::Frame { run, shard: 0, frame: second, retained },
    ];
    store(&database, ops).await;
    database.close().await.unwrap();

    let database = world.open().await.unwrap();
    assert_eq!(journal(&database).await, ["1/0/1 first", "1/1/1 other"]);
    let row = |id, frame, state: &'static str| SessionRow { id, run, frame: FrameNumber(frame), state: state.into() };
    let mut expected = [row(old, 2, "newer"), row(high, 1, "state")];
    expected.sort_by_key(|row| row.id.0.cast_signed());
    assert_eq!(sessions(&database).await, expected);
    assert_eq!(chunks(&database).await, ["5/0", "5/1"]);
    assert_eq!(database.load_chunk(chunk(5, 0)).await.unwrap(), "queue");
    assert_eq!(database.load_chunk(chunk(5, 1)).await.unwrap(), vec![7; 100_000]);
    assert_eq!(database.load_retained().await.unwrap().records.len(), 1);
    assert_eq!(database.begin_run().await.unwrap(), run + 1);
}
