//! Crashes: the files as they are at any moment of a writer's work, opened elsewhere.

use super::frames::{begin, chunk, of_shard, sessions};
use super::*;
use crate::broker::{Durability, DurableId, Frame, FrameNumber};
use bytes::Bytes;
use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

/// Frame `number`: a row of the journal, a session and a part of a queue. It lets go of what is ten frames older.
fn numbered(number: u64) -> Frame {
    let old = number.saturating_sub(10);
    Frame {
        number: FrameNumber(number),
        records: content(number),
        checkpoints: vec![(DurableId(number), content(number))],
        chunks: vec![(chunk(number, 0), content(number))],
        dropped_chunks: vec![chunk(old, 0)],
        ended: vec![DurableId(old)],
        cut_before: FrameNumber(old + 1),
        is_past_covered: true,
    }
}

/// Some are larger than a page and some are not.
fn content(number: u64) -> Bytes {
    number.to_be_bytes().repeat(usize::try_from(1 + number % 7 * 300).unwrap()).into()
}

/// The files as a crash of the process leaves them: the database, and then the log beside it. If the log began anew in
/// between, the two do not belong together, so they are copied again.
pub(super) fn crash(world: &World) -> World {
    let name = |folder: &Path| folder.join("securemq.db-wal");
    // Salts in the header of the log tell one beginning from another.
    let beginning = |folder: &Path| fs::read(name(folder)).unwrap().get(..32).map(<[u8]>::to_vec);
    loop {
        let before = beginning(world.folder());
        let copy = world.copy();
        fs::copy(name(world.folder()), name(copy.folder())).unwrap();
        if before.is_some() && beginning(copy.folder()) == before && beginning(world.folder()) == before {
            return copy;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_crash_at_any_moment_every_frame_that_was_stored_is_there_and_none_is_half() {
    const CRASHES: u64 = 40;
    let world = World::new();
    let database = world.create().await;
    let writer = Writer::start_with(database.clone(), Durability::Os);
    let handle = writer.handle();
    handle.store(vec![begin(1, 1)]).await.unwrap();
    let stored = Arc::new(AtomicU64::new(0));
    let is_over = Arc::new(AtomicU64::new(0));
    let work = tokio::spawn({
        let (stored, is_over) = (stored.clone(), is_over.clone());
        async move {
            let mut next = 1;
            while is_over.load(Ordering::Acquire) == 0 {
                // One to four frames in a transaction.
                let count = 1 + next % 4;
                let frames = (next..next + count).map(|number| of_shard(1, 0, numbered(number)));
                handle.store(frames.collect()).await.unwrap();
                next += count;
                stored.store(next - 1, Ordering::Release);
            }
        }
    });
    let mut seen = BTreeSet::new();
    for _ in 0..CRASHES {
        let at_least = stored.load(Ordering::Acquire);
        let copy = tokio::task::block_in_place(|| crash(&world));
        let survived = copy.open().await.unwrap();
        seen.insert(check(&survived, at_least).await);
        survived.close().await.unwrap();
    }
    is_over.store(1, Ordering::Release);
    work.await.unwrap();
    writer.close().await;
    assert!(seen.len() > 5, "the copies are of few moments: {seen:?}");
}

/// Everything is as the last frame that survived left it, and that is `at_least` this one.
async fn check(database: &Database, at_least: u64) -> u64 {
    let mut rows = Vec::new();
    let damaged = database.load_journal(|row| rows.push(row)).await.unwrap();
    assert!(damaged.is_empty(), "{damaged:?}");
    let Some(last) = rows.last().map(|row| row.frame.0) else {
        assert_eq!(at_least, 0);
        return 0;
    };
    assert!(last >= at_least, "frame {at_least} was stored, and {last} is the last one that is there");
    let expected: Vec<u64> = (last.saturating_sub(9).max(1)..=last).collect();
    assert_eq!(rows.iter().map(|row| row.frame.0).collect::<Vec<_>>(), expected);
    assert!(rows.iter().all(|row| row.records == content(row.frame.0)));
    let sessions = sessions(database).await;
    assert_eq!(sessions.iter().map(|row| row.id.0).collect::<Vec<_>>(), expected);
    assert!(sessions.iter().all(|row| row.frame.0 == row.id.0 && row.state == content(row.id.0)));
    let ranges = database.chunk_ranges().await.unwrap();
    assert_eq!(ranges.iter().map(|range| range.session.0).collect::<Vec<_>>(), expected);
    for number in expected {
        assert_eq!(database.load_chunk(chunk(number, 0)).await.unwrap(), content(number));
    }
    last
}
