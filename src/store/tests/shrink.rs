//! The file gets smaller when a queue is gone.

use super::frames::{begin, chunk, of_shard};
use super::*;
use crate::broker::{Frame, FrameNumber};
use std::fs;
use std::time::{Duration, Instant};

const CHUNKS: u64 = 400;

fn frame_with(number: u64, chunks: impl Iterator<Item = u64>, dropped: impl Iterator<Item = u64>) -> Frame {
    Frame {
        number: FrameNumber(number),
        chunks: chunks.map(|number| (chunk(1, number), vec![7; 64 * 1024].into())).collect(),
        dropped_chunks: dropped.map(|number| chunk(1, number)).collect(),
        ..Frame::default()
    }
}

#[tokio::test]
async fn a_queue_that_was_drained_gives_its_disk_back_and_everything_else_stays() {
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start(database.clone());
    let handle = writer.handle();
    handle.store(vec![begin(1, 1)]).await.unwrap();
    for number in 0..CHUNKS / 10 {
        let frame = frame_with(number + 1, number * 10..number * 10 + 10, 0..0);
        handle.store(vec![of_shard(1, 0, frame)]).await.unwrap();
    }
    // It lies behind the queue in the file, so it has to move.
    handle.store(vec![StoreOp::Retain(record("kept", b"still here", 1))]).await.unwrap();
    let size = || fs::metadata(Database::path_in(world.folder())).unwrap().len();
    database.checkpoint().await.unwrap();
    let full = size();
    assert!(full > CHUNKS * 64 * 1024, "{full} bytes");

    handle.store(vec![of_shard(1, 0, frame_with(1000, 0..0, 0..CHUNKS))]).await.unwrap();
    let begin = Instant::now();
    let mut counter = 2;
    while size() > 8 * 1024 * 1024 {
        assert!(begin.elapsed() < Duration::from_secs(120), "the file still has {} of {full} bytes", size());
        // Others write in between, at times.
        tokio::time::sleep(Duration::from_millis(300)).await;
        handle.store(vec![StoreOp::Retain(record("busy", b"x", counter))]).await.unwrap();
        counter += 1;
    }
    writer.close().await;
    let mut names: Vec<_> = database
        .load_retained()
        .await
        .unwrap()
        .records
        .into_iter()
        .map(|kept| kept.message.topic.to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["busy", "kept"]);
    database.close().await.unwrap();
    let whole: String = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut world.raw().await).await.unwrap();
    assert_eq!(whole, "ok");
}
