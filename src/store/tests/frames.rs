//! Frames: what is stored of them, what is loaded again, what is forgotten.

use super::*;
use crate::broker::{ChunkId, Durability, DurableId, Frame, FrameNumber};
use bytes::Bytes;
use sqlx::{AssertSqlSafe, query};

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

#[tokio::test]
async fn what_is_dropped_and_what_ended_is_gone() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    let whole = |session| Frame {
        checkpoints: vec![(DurableId(session), "state".into())],
        chunks: (0..6).map(|number| (chunk(session, number), "queue".into())).collect(),
        ..frame(1, b"")
    };
    handle.store(vec![begin(1, 3), of_shard(1, 0, whole(7)), of_shard(1, 1, whole(8))]).await.unwrap();
    handle.store(vec![of_shard(1, 2, whole(9))]).await.unwrap();
    let dropped = [1, 2, 4].map(|number| chunk(7, number)).to_vec();
    let dropping = Frame { dropped_chunks: dropped, ended: vec![DurableId(8)], ..frame(2, b"") };
    handle.store(vec![of_shard(1, 0, dropping)]).await.unwrap();
    let left: Vec<_> = sessions(&database).await.into_iter().map(|row| row.id.0).collect();
    assert_eq!(left, [7, 9]);
    assert_eq!(chunks(&database).await, ["7/0", "7/3", "7/5", "9/0", "9/1", "9/2", "9/3", "9/4", "9/5"]);
    let gone = database.load_chunk(chunk(7, 1)).await.unwrap_err().to_string();
    assert!(gone.starts_with("row 7/1 of table queues is missing"), "{gone}");
    writer.close().await;
}

#[tokio::test]
async fn what_one_group_writes_and_drops_again_is_never_written() {
    let world = World::new();
    let database = world.create().await;
    let mut raw = world.raw().await;
    for table in ["journal", "sessions", "queues"] {
        let refuse =
            format!("CREATE TRIGGER refuse_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END");
        query(AssertSqlSafe(refuse)).execute(&mut raw).await.unwrap();
    }
    let written = Frame {
        checkpoints: vec![(DurableId(7), "state".into())],
        chunks: vec![(chunk(7, 0), "queue".into()), (chunk(8, 0), "queue".into())],
        is_past_covered: true,
        ..frame(1, b"acknowledged at once")
    };
    let dropped = Frame {
        dropped_chunks: vec![chunk(8, 0)],
        ended: vec![DurableId(7)],
        cut_before: FrameNumber(2),
        ..frame(2, b"")
    };
    store(&database, vec![begin(1, 1), of_shard(1, 0, written), of_shard(1, 0, dropped)]).await;
}

#[tokio::test]
async fn what_follows_a_removal_in_one_group_stays() {
    let world = World::new();
    let database = world.create().await;
    let put =
        |number, content: &'static str| Frame { chunks: vec![(chunk(7, 0), content.into())], ..frame(number, b"") };
    let dropped = Frame { dropped_chunks: vec![chunk(7, 0)], ..frame(2, b"") };
    let ops = [put(1, "first"), dropped, put(3, "second")].map(|frame| of_shard(1, 0, frame));
    store(&database, [vec![begin(1, 1)], ops.to_vec()].concat()).await;
    assert_eq!(database.load_chunk(chunk(7, 0)).await.unwrap(), "second");
}

/// A frame that needs nothing of earlier runs, nor of its own below `cut_before`.
fn cutting(number: u64, records: &'static [u8], cut_before: u64) -> Frame {
    Frame { cut_before: FrameNumber(cut_before), is_past_covered: true, ..frame(number, records) }
}

#[tokio::test]
async fn a_shard_cuts_its_own_rows_only() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    handle.store(vec![begin(1, 2)]).await.unwrap();
    for number in 1..=5 {
        let ops = [0, 1].map(|shard| of_shard(1, shard, cutting(number, b"r", 0)));
        handle.store(ops.to_vec()).await.unwrap();
    }
    handle.store(vec![of_shard(1, 1, cutting(6, b"r", 5))]).await.unwrap();
    let left = ["1/0/1 r", "1/0/2 r", "1/0/3 r", "1/0/4 r", "1/0/5 r", "1/1/5 r", "1/1/6 r"];
    let mut rows = journal(&database).await;
    rows.sort();
    assert_eq!(rows, left);
    // A frame without records cuts too, and an earlier number takes nothing back.
    handle.store(vec![of_shard(1, 0, cutting(6, b"", 5)), of_shard(1, 1, cutting(7, b"", 1))]).await.unwrap();
    assert_eq!(journal(&database).await, ["1/0/5 r", "1/1/5 r", "1/1/6 r"]);
    writer.close().await;
}

#[tokio::test]
async fn earlier_runs_stay_until_every_shard_covers_them_and_so_does_all_of_this_run() {
    let world = World::new();
    let database = world.create().await;
    for run in 1..=2 {
        store(&database, vec![begin(run, 1), of_shard(run, 0, cutting(1, b"old", 0))]).await;
    }
    // The second run covered the first.
    assert_eq!(journal(&database).await, ["2/0/1 old"]);

    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    handle.store(vec![begin(3, 2), of_shard(3, 0, cutting(1, b"a", 0))]).await.unwrap();
    handle.store(vec![of_shard(3, 0, cutting(2, b"b", 2)), of_shard(3, 1, frame(1, b"c"))]).await.unwrap();
    assert_eq!(journal(&database).await, ["2/0/1 old", "3/0/1 a", "3/0/2 b", "3/1/1 c"]);

    // What a failed transaction said was not said.
    let mut raw = world.raw().await;
    query("CREATE TRIGGER refuse BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'no'); END")
        .execute(&mut raw)
        .await
        .unwrap();
    let last = vec![of_shard(3, 1, cutting(2, b"d", 0))];
    assert_eq!(handle.store(last.clone()).await, Err(StoreFailure::Refused));
    query("DROP TRIGGER refuse").execute(&mut raw).await.unwrap();
    handle.store(vec![of_shard(3, 0, cutting(3, b"e", 2))]).await.unwrap();
    assert_eq!(journal(&database).await, ["2/0/1 old", "3/0/1 a", "3/0/2 b", "3/1/1 c", "3/0/3 e"]);

    handle.store(last).await.unwrap();
    assert_eq!(journal(&database).await, ["3/0/2 b", "3/1/1 c", "3/0/3 e", "3/1/2 d"]);
    writer.close().await;
}

#[tokio::test]
async fn a_frame_of_a_run_that_did_not_begin_is_refused() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    assert_eq!(handle.store(vec![of_shard(1, 0, frame(1, b"r"))]).await, Err(StoreFailure::Refused));
    handle.store(vec![begin(2, 1)]).await.unwrap();
    assert_eq!(handle.store(vec![of_shard(1, 0, frame(1, b"r"))]).await, Err(StoreFailure::Refused));
    assert_eq!(handle.store(vec![of_shard(2, 0, frame(1, b"r"))]).await, Ok(()));
    writer.close().await;
    assert_eq!(journal(&database).await, ["2/0/1 r"]);
}

#[tokio::test]
async fn no_run_has_the_number_of_an_earlier_one() {
    let world = World::new();
    let database = world.create().await;
    assert_eq!(database.begin_run().await.unwrap(), 1);
    assert_eq!(world.open().await.unwrap().begin_run().await.unwrap(), 2);
    store(&database, vec![begin(2, 1), of_shard(2, 0, frame(1, b"r"))]).await;
    query("UPDATE counters SET value = 0 WHERE name = 'run'").execute(&mut world.raw().await).await.unwrap();
    assert_eq!(database.begin_run().await.unwrap(), 3);
    assert_eq!(database.begin_run().await.unwrap(), 4);
    query("UPDATE journal SET run = 9223372036854775807").execute(&mut world.raw().await).await.unwrap();
    let error = database.begin_run().await.unwrap_err().to_string();
    assert!(error.starts_with("row run of table counters cannot be read"), "{error}");
}

#[tokio::test]
async fn gaps_in_a_queue_are_told() {
    let world = World::new();
    let database = world.create().await;
    let numbers = [3, 4, 7, 10, 11];
    let chunks = numbers.iter().map(|number| (chunk(5, *number), Bytes::new())).chain([(chunk(6, 0), Bytes::new())]);
    store(&database, vec![begin(1, 1), of_shard(1, 0, Frame { chunks: chunks.collect(), ..frame(1, b"") })]).await;
    let expected = [
        ChunkRange { session: DurableId(5), first: 3, last: 11, missing: vec![5..=6, 8..=9] },
        ChunkRange { session: DurableId(6), first: 0, last: 0, missing: vec![] },
    ];
    assert_eq!(database.chunk_ranges().await.unwrap(), expected);
}

#[tokio::test]
async fn thousands_of_rows_of_each_table_go_in_one_transaction() {
    const ROWS: u64 = 10_000;
    let world = World::new();
    let database = world.create().await;
    let first = Frame {
        checkpoints: (0..ROWS).map(|id| (DurableId(id), "state".into())).collect(),
        chunks: (0..ROWS).map(|id| (chunk(id, 0), "queue".into())).collect(),
        ..frame(1, b"r")
    };
    let rest = (2..=ROWS).map(|number| of_shard(1, 0, frame(number, b"r")));
    store(&database, [begin(1, 1), of_shard(1, 0, first)].into_iter().chain(rest).collect()).await;
    assert_eq!(journal(&database).await.len(), 10_000);
    assert_eq!(sessions(&database).await.len(), 10_000);
    assert_eq!(chunks(&database).await.len(), 10_000);
    let ended = (0..ROWS / 2).map(DurableId).collect();
    let dropped_chunks = (ROWS / 2..ROWS).map(|id| chunk(id, 0)).collect();
    let last = Frame { ended, dropped_chunks, ..cutting(ROWS + 1, b"", ROWS + 1) };
    store(&database, vec![begin(1, 1), of_shard(1, 0, last)]).await;
    assert_eq!(journal(&database).await, [""; 0]);
    assert_eq!(sessions(&database).await.len(), 5_000);
    assert_eq!(chunks(&database).await, [""; 0]);
}

#[tokio::test]
async fn the_file_stays_small_when_frames_are_cut_as_they_come() {
    const GROUPS: u64 = 1000;
    const FRAMES: u64 = 100;
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start_with(database.clone(), Durability::Os);
    let handle = writer.handle();
    handle.store(vec![begin(1, 1)]).await.unwrap();
    for group in 0..GROUPS {
        // Every row is written: what lets go of it comes in a later group.
        let cut_before = (group * FRAMES).saturating_sub(FRAMES / 2);
        let frames = (1..=FRAMES).map(|n| of_shard(1, 0, cutting(group * FRAMES + n, &[7; 200], cut_before)));
        handle.store(frames.collect()).await.unwrap();
    }
    assert_eq!(handle.counters().commits, GROUPS + 1);
    let sizes = ["securemq.db", "securemq.db-wal"].map(|name| world.folder().join(name).metadata().unwrap().len());
    assert!(sizes[0] < 1 << 20 && sizes[1] < 8 << 20, "{sizes:?}");
    assert_eq!(journal(&database).await.len(), 151);
    writer.close().await;
}

/// SQLite takes the word only between two changes, and only when it is prepared anew.
#[tokio::test]
async fn a_change_waits_for_the_disk_or_for_the_system_as_it_must() {
    let world = World::new();
    let database = world.create().await;
    let synchronous = async |durability| -> i64 {
        let mut change = database.change_that_survives(durability).await.unwrap();
        let synchronous = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *change.connection()).await.unwrap();
        change.commit().await.unwrap();
        synchronous
    };
    for _ in 0..3 {
        assert_eq!(synchronous(Durability::Os).await, 1);
        assert_eq!(synchronous(Durability::Memory).await, 1);
        assert_eq!(synchronous(Durability::Commit).await, 2);
        assert_eq!(synchronous(Durability::Commit).await, 2);
    }
    let mut change = database.change().await.unwrap();
    let usual: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(change.connection()).await.unwrap();
    assert_eq!(usual, 2);
}
