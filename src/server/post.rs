//! The ways out of a worker: to the other workers, to the store, to the event log.

use super::clock::Clock;
use super::mailbox::{Mail, Mailbox};
use super::metrics::Latencies;
use crate::audit::JournalHandle;
use crate::broker::{AuditEvent, CommitId, CommitOutcome, ShardId, StoreOp};
use crate::store::{self, RetainedRecord, UnixMillis, WriterHandle};
use std::sync::Arc;
use std::time::Instant;

/// The mailboxes of all workers, by the number of their shard, and what they all write to.
pub struct Post {
    /// One for each shard.
    pub mailboxes: Vec<Arc<Mailbox>>,
    writer: WriterHandle,
    journal: JournalHandle,
    clock: Clock,
    latencies: Arc<Latencies>,
}

/// What one shard wants stored after one turn.
pub struct StoreBatch {
    /// Which shard.
    pub from: ShardId,
    /// What, in order.
    pub changes: Vec<StoreOp>,
    /// The last of the changes.
    pub commit: CommitId,
}

impl Post {
    /// Ways out for `shards` workers.
    pub fn new(shards: u16, writer: WriterHandle, journal: JournalHandle, clock: Clock) -> Self {
        Self {
            mailboxes: (0..shards).map(|_| Arc::default()).collect(),
            writer,
            journal,
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

    /// Whether a worker other than this has fallen behind.
    pub fn is_backlogged(&self, own: ShardId) -> bool {
        let others = self.mailboxes.iter().enumerate().filter(|(worker, _)| *worker != usize::from(own.0));
        others.into_iter().any(|(_, mailbox)| mailbox.is_full())
    }

    /// Remembers an event. Never waits.
    pub fn record(&self, event: AuditEvent) {
        self.journal.record(event);
    }

    /// Has changes stored; the shard is told what became of them.
    pub fn store(&self, batch: StoreBatch) {
        let ops = batch.changes.into_iter().map(|change| self.store_op(change)).collect();
        let Some(mailbox) = self.mailboxes.get(usize::from(batch.from.0)).map(Arc::clone) else { return };
        let commit = batch.commit;
        let (latencies, begin) = (Arc::clone(&self.latencies), Instant::now());
        let done = Box::new(move |result: Result<(), store::StoreFailure>| {
            latencies.count(begin.elapsed());
            let outcome = if result.is_ok() { CommitOutcome::Stored } else { CommitOutcome::Failed };
            mailbox.send(Mail::Committed { commit, outcome });
        });
        self.writer.submit(store::Batch { ops, done });
    }

    /// The core's clock begins anew with every process, so what is stored expires by the wall clock.
    fn store_op(&self, change: StoreOp) -> store::StoreOp {
        match change {
            StoreOp::Retain { message, version } => {
                let expires = message.expires_at.map(|end| UnixMillis::from_millis(self.clock.wall_of(end)));
                let message = (*message).clone();
                store::StoreOp::Retain(RetainedRecord { version, expires, message })
            }
            StoreOp::Unretain { topic, version } => store::StoreOp::Unretain { topic, version },
        }
    }
}
