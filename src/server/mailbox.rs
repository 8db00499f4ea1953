//! How workers are told something: by each other, by the store and by whoever runs the broker.

use super::admitted::{Admitted, Guest};
use crate::broker::{ChunkId, CommitId, CommitOutcome, Effects, PeerFrame, Policy, Record, Shard, ShardId, Timestamp};
use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc};

/// Something for a worker.
pub enum Mail {
    /// What another worker's shard says, in order.
    Frames {
        /// Whose shard.
        from: ShardId,
        /// What it says.
        frames: Vec<PeerFrame>,
    },
    /// A connection whose session this worker owns.
    Admitted(Box<Admitted>),
    /// A part of a queue was read back; `None` if it cannot be read.
    Chunk {
        /// Which.
        chunk: ChunkId,
        /// Its messages.
        records: Option<Vec<Record>>,
    },
    /// The store has dealt with all changes up to this one.
    Committed {
        /// The last of them.
        commit: CommitId,
        /// What became of them.
        outcome: CommitOutcome,
    },
    /// Users, roles or rules changed.
    Policy {
        /// What holds now.
        policy: Arc<Policy>,
        /// Dropped once it does.
        applied: mpsc::Sender<Infallible>,
    },
    /// Somebody wants to know something, or to have something done.
    Ask(Question),
    /// A client inside this process, whose session this worker owns.
    Guest(Box<Guest>),
    /// The broker stops.
    ShutDown,
}

/// What is asked of a worker. It is called on the worker's thread, between two pieces of mail, so it must be quick.
pub struct Question(pub Box<dyn FnOnce(Asked<'_>) + Send>);

/// What a question is put to.
pub struct Asked<'a> {
    /// The shard of the worker.
    pub shard: &'a mut Shard,
    /// The time.
    pub now: Timestamp,
    /// What the shard wants done.
    pub effects: &'a mut Effects,
    /// Bytes that connections of the worker read and wrote since it began.
    pub bytes: (u64, u64),
}

/// The mail of one worker. One wake-up serves everything that lies in it.
#[derive(Default)]
pub struct Mailbox {
    mail: Mutex<Vec<Mail>>,
    arrived: Notify,
    /// Bytes of the frames that lie in it; whoever makes frames stops reading from its clients above
    /// [`Mailbox::FULL`].
    bytes: AtomicUsize,
}

impl Mailbox {
    /// Bytes above which workers stop taking messages from clients until this one has caught up: enough for what two
    /// cores exchange in a tenth of a second, and no more than a client may queue anyway.
    const FULL: usize = 16 << 20;

    /// Puts something in.
    pub fn send(&self, mail: Mail) {
        if let Mail::Frames { frames, .. } = &mail {
            let bytes: usize = frames.iter().map(PeerFrame::size).sum();
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        let was_empty = {
            let mut all = self.mail.lock().unwrap_or_else(PoisonError::into_inner);
            all.push(mail);
            all.len() == 1
        };
        if was_empty {
            self.arrived.notify_one();
        }
    }

    /// Waits until something lies in it.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything out.
    pub fn take(&self) -> Vec<Mail> {
        let mail = std::mem::take(&mut *self.mail.lock().unwrap_or_else(PoisonError::into_inner));
        self.bytes.store(0, Ordering::Relaxed);
        mail
    }

    /// Whether its worker has fallen behind.
    pub fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= Self::FULL
    }
}
