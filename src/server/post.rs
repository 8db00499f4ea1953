//! The ways out of a worker: to the other workers, to the store, to the event log.

use super::clock::Clock;
use super::mailbox::{Mail, Mailbox};
use super::metrics::Latencies;
use crate::audit::JournalHandle;
use crate::broker::{
    AuditEvent, ChunkId, CommitId, CommitOutcome, Durability, Frame, FrameNumber, Record, ShardId, StoreOp,
};
use crate::store::{self, Database, RetainedRecord, UnixMillis, WriterCounters, WriterHandle};
use std::sync::Arc;
use std::time::Instant;

/// The mailboxes of all workers, by the number of their shard, and what they all write to.
pub struct Post {
    /// One for each shard.
    pub mailboxes: Vec<Arc<Mailbox>>,
    writer: WriterHandle,
    journal: JournalHandle,
    database: Database,
    runtime: tokio::runtime::Handle,
    run: u64,
    clock: Clock,
    latencies: Arc<Latencies>,
}

/// What one shard wants stored after one turn.
pub struct StoreBatch {
    /// Which shard.
    pub from: ShardId,
    /// What, in order.
    pub changes: Vec<StoreOp>,
    /// What it must survive.
    pub durability: Durability,
    /// The last of the changes.
    pub commit: CommitId,
}

impl Post {
    /// Ways out for `shards` workers in this run of the broker. What is read from the store is read on this runtime.
    pub fn new(
        shards: u16,
        writer: WriterHandle,
        journal: JournalHandle,
        database: Database,
        run: u64,
        clock: Clock,
    ) -> Self {
        let mailboxes = (0..shards).map(|_| Arc::default()).collect();
        Self {
            mailboxes,
            writer,
            journal,
            database,
            runtime: tokio::runtime::Handle::current(),
            run,
            clock,
            latencies: Arc::new(Latencies::new()),
        }
    }

    /// Tells one worker something.
    pub fn mail(&self, worker: usize, mail: Mail) {
        if let Some(mailbox) = self.mailboxes.get(worker) {
            mailbox.send(mail);
        }
    }

    /// How long commits take.
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// What the writer of the store has done.
    pub fn writer_counters(&self) -> WriterCounters {
        self.writer.counters()
    }

    /// Whether a worker other than this has fallen behind.
    pub fn is_backlogged(&self, own: ShardId) -> bool {
        let others = self.mailboxes.iter().enumerate().filter(|(worker, _)| *worker != usize::from(own.0));
        others.into_iter().any(|(_, mailbox)| mailbox.is_full())
    }

    /// Remembers an event. Never waits.
    pub fn record(&self, event: AuditEvent) {
        self.journal.record(event);
    }

    /// Counts events that a shard did not make because the log has enough of them.
    pub fn leave_out(&self, count: u64) {
        self.journal.leave_out(count);
    }

    /// Has the changes of a frame stored; the shard is told what became of them.
    pub fn store(&self, batch: StoreBatch) {
        let Some(mailbox) = self.mailboxes.get(usize::from(batch.from.0)).map(Arc::clone) else { return };
        let (commit, durability) = (batch.commit, batch.durability);
        let op = self.frame_of(batch);
        let (latencies, begin) = (Arc::clone(&self.latencies), Instant::now());
        let done = Box::new(move |result: Result<(), store::StoreFailure>| {
            latencies.count(begin.elapsed());
            let outcome = if result.is_ok() { CommitOutcome::Stored } else { CommitOutcome::Failed };
            mailbox.send(Mail::Committed { commit, outcome });
        });
        self.writer.submit(store::Batch { ops: vec![op], durability, done });
    }

    /// Has a part of a queue read back; the shard is told.
    pub fn load(&self, worker: ShardId, chunk: ChunkId) {
        let Some(mailbox) = self.mailboxes.get(usize::from(worker.0)).map(Arc::clone) else { return };
        let (database, clock) = (self.database.clone(), self.clock);
        self.runtime.spawn(async move {
            let records = match database.load_chunk(chunk).await {
                Ok(bytes) => Record::decode_all(bytes, clock.reading()).map_err(|problem| problem.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = &records {
                tracing::error!(%error, ?chunk, "a part of a queue cannot be read");
            }
            mailbox.send(Mail::Chunk { chunk, records: records.ok() });
        });
    }

    fn frame_of(&self, batch: StoreBatch) -> store::StoreOp {
        let reading = self.clock.reading();
        let mut frame = Frame { number: FrameNumber(batch.commit.0), ..Frame::default() };
        let (mut records, mut retained) = (Vec::new(), Vec::new());
        for change in batch.changes {
            match change {
                StoreOp::Journal(record) => records.push(record),
                StoreOp::Checkpoint { session, records } => {
                    frame.checkpoints.push((session, Record::encode_all(&records, reading)));
                }
                StoreOp::Chunk { chunk, records } => {
                    frame.chunks.push((chunk, Record::encode_all(records.iter(), reading)));
                }
                StoreOp::DropChunk(chunk) => frame.dropped_chunks.push(chunk),
                StoreOp::Forget(session) => frame.ended.push(session),
                StoreOp::Cut { before } => {
                    frame.cut_before = FrameNumber(before.0);
                    // Sessions of earlier runs count as changed before the first change of this one.
                    frame.is_past_covered = before > CommitId(0);
                }
                StoreOp::Retain { message, version } => {
                    // The core's clock goes on from run to run; where nobody sets the wall clock, it shows the same.
                    let expires = message.expires_at.map(|end| UnixMillis::from_millis(end.as_millis()));
                    let message = (*message).clone();
                    retained.push(store::StoreOp::Retain(RetainedRecord { version, expires, message }));
                }
                StoreOp::Unretain { topic, version } => retained.push(store::StoreOp::Unretain { topic, version }),
            }
        }
        if !records.is_empty() {
            frame.records = Record::encode_all(&records, reading);
        }
        store::StoreOp::Frame { run: self.run, shard: batch.from.0, frame, retained }
    }
}
