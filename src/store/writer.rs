//! The one writer of a running broker: everything that waits goes into one transaction, and then all are told.
//!
//! A commit costs one wait for the disk, whether it holds one change or thousands; so while one commit is under way the
//! next is collected.

use super::connection::{rest_of_change, whole_change};
use super::database::Database;
use super::error::StoreError;
use super::event_record::StoredEvent;
use super::frames::{FrameGroup, Run};
use super::logs;
use super::retained::{self, RetainedChange, RetainedRecord, topic_index};
use super::seal::BlindIndex;
use super::shrink::Rest;
use crate::broker::{Durability, Frame, RetainedVersion};
use crate::protocol::TopicName;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One change. Plain data: what it means is decided here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// Keeps a retained message, unless a later change of its topic is known.
    Retain(RetainedRecord),
    /// Forgets the retained message of a topic, unless a later one is known.
    Unretain {
        /// Which topic.
        topic: TopicName,
        /// Which change this is.
        version: RetainedVersion,
    },
    /// Appends to the log of events; whoever hands them over keeps them in case that they are refused.
    Events(Arc<Vec<StoredEvent>>),
    /// Begins a run of the broker: its frames may come now. Earlier runs are forgotten once all its shards have said that
    /// they need nothing of them.
    Begin {
        /// As `Database::begin_run` says.
        run: u64,
        /// How many shards it has.
        shards: u16,
    },
    /// Stores a frame of a shard. The frames of a shard come in their order.
    Frame {
        /// The run, which has begun.
        run: u64,
        /// Which of its shards.
        shard: u16,
        /// The frame.
        frame: Frame,
        /// Retained messages that changed with it; they expire by the wall clock.
        retained: Vec<StoreOp>,
    },
}

impl StoreOp {
    /// Roughly the memory it takes, in bytes: what the queue is bounded by.
    fn size(&self) -> usize {
        match self {
            Self::Retain(record) => record.message.size(),
            Self::Unretain { topic, .. } => size_of::<Self>() + topic.as_str().len(),
            Self::Events(events) => size_of::<Self>() + events.len() * ROUGH_EVENT_LEN,
            Self::Begin { .. } => size_of::<Self>(),
            Self::Frame { frame, retained, .. } => {
                size_of::<Self>() + frame_size(frame) + retained.iter().map(Self::size).sum::<usize>()
            }
        }
    }
}

fn frame_size(frame: &Frame) -> usize {
    let checkpoints = frame.checkpoints.iter().map(|(id, state)| size_of_val(id) + state.len());
    let chunks = frame.chunks.iter().map(|(id, content)| size_of_val(id) + content.len());
    let removed = size_of_val(frame.dropped_chunks.as_slice()) + size_of_val(frame.ended.as_slice());
    frame.records.len() + checkpoints.chain(chunks).sum::<usize>() + removed
}

/// Changes that belong together: all of them hold, or none.
pub struct Batch {
    /// The changes, in their order.
    pub ops: Vec<StoreOp>,
    /// What they must survive. A transaction survives what the strongest batch in it must.
    pub durability: Durability,
    /// Called once, after the commit or its failure, on the writer's task: it must be quick and must not block.
    pub done: Box<dyn FnOnce(Result<(), StoreFailure>) + Send>,
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("ops", &self.ops).finish_non_exhaustive()
    }
}

/// Why a batch was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum StoreFailure {
    /// More waits to be stored than the writer takes.
    #[error("too much waits to be stored")]
    QueueFull,
    /// No space is left.
    #[error("the disk is full")]
    DiskFull,
    /// Another process keeps the database locked.
    #[error("the database is locked")]
    Busy,
    /// The disk or the database refuses; the log of the program says more.
    #[error("the database refuses")]
    Refused,
    /// The writer has ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreFailure {
    fn of(error: &StoreError) -> Self {
        match error {
            StoreError::DiskFull => Self::DiskFull,
            StoreError::Busy => Self::Busy,
            _ => Self::Refused,
        }
    }
}

/// What the writer has done since it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriterCounters {
    /// Transactions that hold.
    pub commits: u64,
    /// Batches in them.
    pub batches: u64,
    /// Transactions that failed.
    pub failures: u64,
    /// Why the last of these did.
    pub last_failure: Option<StoreFailure>,
}

/// Hands changes to the writer. Cloning is cheap.
#[derive(Clone)]
pub struct WriterHandle {
    sender: mpsc::Sender<Batch>,
    shared: Arc<Shared>,
    usual: Durability,
}

#[derive(Default)]
struct Shared {
    /// What waits, in bytes.
    waiting: AtomicUsize,
    commits: AtomicU64,
    batches: AtomicU64,
    failures: AtomicU64,
    last_failure: Mutex<Option<StoreFailure>>,
}

impl WriterHandle {
    /// Hands over a batch and returns at once. If the writer takes no more, `done` is called here and now.
    pub fn submit(&self, batch: Batch) {
        let size = batch.size();
        let before = self.shared.waiting.fetch_add(size, Ordering::Relaxed);
        // One batch may be larger than the bound: alone, it is taken.
        if before > 0 && before.saturating_add(size) > WAITING_LIMIT {
            self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
            return (batch.done)(Err(StoreFailure::QueueFull));
        }
        if let Err(error) = self.sender.try_send(batch) {
            self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(batch) => (batch.done)(Err(StoreFailure::QueueFull)),
                mpsc::error::TrySendError::Closed(batch) => (batch.done)(Err(StoreFailure::Closed)),
            }
        }
    }

    /// Hands over changes and waits until they are stored.
    pub async fn store(&self, ops: Vec<StoreOp>) -> Result<(), StoreFailure> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let done = Box::new(move |result| {
            // Nobody may wait any more.
            let _ = sender.send(result);
        });
        self.submit(Batch { ops, durability: self.usual, done });
        receiver.await.unwrap_or(Err(StoreFailure::Closed))
    }

    /// What changes survive of which nothing else is said.
    pub fn usual_durability(&self) -> Durability {
        self.usual
    }

    /// What the writer has done.
    pub fn counters(&self) -> WriterCounters {
        WriterCounters {
            commits: self.shared.commits.load(Ordering::Relaxed),
            batches: self.shared.batches.load(Ordering::Relaxed),
            failures: self.shared.failures.load(Ordering::Relaxed),
            last_failure: *self.shared.last_failure.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Batch {
    fn size(&self) -> usize {
        size_of::<Self>() + self.ops.iter().map(StoreOp::size).sum::<usize>()
    }
}

/// The task that writes.
pub struct Writer {
    handle: WriterHandle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Writer {
    /// Starts the writer of a database on the current runtime. There is one per broker.
    pub fn start(database: Database) -> Self {
        Self::start_with(database, Durability::Commit)
    }

    /// The same; what nothing else is said of survives as much as `usual` says, and at least the end of the process.
    pub fn start_with(database: Database, usual: Durability) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_BATCHES);
        let shared = Arc::new(Shared::default());
        let stop = CancellationToken::new();
        let work = Work { database, shared: shared.clone(), graves: Graves::default(), run: None, is_failing: false };
        let task = tokio::spawn(work.run(receiver, stop.clone()));
        Self { handle: WriterHandle { sender, shared, usual: usual.max(Durability::Os) }, stop, task }
    }

    /// Where changes are handed in.
    pub fn handle(&self) -> WriterHandle {
        self.handle.clone()
    }

    /// Stores what was handed in, then ends; whatever is handed in later is refused.
    pub async fn close(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the writer ended early");
        }
    }
}

struct Work {
    database: Database,
    shared: Arc<Shared>,
    graves: Graves,
    run: Option<Run>,
    /// Whether the last transaction failed: that is said once, because a full disk may be where the log of the program
    /// goes, too.
    is_failing: bool,
}

/// What the changes of one transaction come to.
struct Group<'a> {
    /// Of several changes of one topic only the latest is written.
    topics: BTreeMap<BlindIndex, (RetainedVersion, RetainedChange<'a>)>,
    events: Vec<&'a [StoredEvent]>,
    frames: FrameGroup<'a>,
    /// What is known of the run before these frames and after them.
    run: Option<(Run, Run)>,
}

impl Work {
    async fn run(mut self, mut receiver: mpsc::Receiver<Batch>, stop: CancellationToken) {
        let mut group = Vec::new();
        // How long nothing has to come before the file is made smaller; nothing while it is as small as it is to be.
        let mut pause = None;
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled(), if !receiver.is_closed() => {
                    // What is in the channel is still received; then `recv_many` says 0.
                    receiver.close();
                    continue;
                }
                received = receiver.recv_many(&mut group, WAITING_BATCHES) => received,
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {
                    pause = self.shrink().await;
                    continue;
                }
            };
            if received == 0 {
                break;
            }
            self.commit_group(&mut group).await;
            pause = Some(IDLE);
        }
        if let Err(error) = self.database.close_changes().await {
            tracing::warn!(%error, "the writer's connection did not close");
        }
    }

    /// Makes the file a little smaller; how long to wait before it is done again.
    async fn shrink(&self) -> Option<Duration> {
        match self.database.shrink().await {
            Ok(Rest::More) => Some(BREATH),
            Ok(Rest::Nothing) => None,
            Err(error) => {
                tracing::debug!(%error, "the database was not made smaller; the next pause tries again");
                None
            }
        }
    }

    async fn commit_group(&mut self, group: &mut Vec<Batch>) {
        let size = group.iter().map(Batch::size).sum();
        let durability = group.iter().map(|batch| batch.durability).max().unwrap_or_default();
        let mut waiters = Vec::with_capacity(group.len());
        let mut ops = Vec::with_capacity(group.len());
        for batch in group.drain(..) {
            ops.extend(batch.ops);
            waiters.push(batch.done);
        }
        let result = self.commit(&ops, durability).await;
        match &result {
            Ok(()) => {
                self.shared.commits.fetch_add(1, Ordering::Relaxed);
                self.shared.batches.fetch_add(u64::try_from(waiters.len()).unwrap_or_default(), Ordering::Relaxed);
                self.is_failing = false;
            }
            Err(error) => self.note_failure(error),
        }
        self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
        let result = result.map_err(|error| StoreFailure::of(&error));
        for done in waiters {
            done(result);
        }
    }

    fn note_failure(&mut self, error: &StoreError) {
        *self.shared.last_failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(StoreFailure::of(error));
        self.shared.failures.fetch_add(1, Ordering::Relaxed);
        if self.is_failing {
            tracing::debug!(%error, "one more transaction failed and was undone");
        } else {
            tracing::error!(%error, "a transaction failed and was undone");
        }
        self.is_failing = true;
    }

    /// One transaction with few statements in one call, whatever the number of changes.
    async fn commit(&mut self, ops: &[StoreOp], durability: Durability) -> Result<(), StoreError> {
        let mut group = Group {
            topics: BTreeMap::new(),
            events: Vec::new(),
            frames: FrameGroup::default(),
            run: self.run.clone().map(|run| (run.clone(), run)),
        };
        for op in ops {
            self.gather(op, &mut group)?;
        }
        let topics: Vec<_> = group.topics.into_iter().map(|(index, (version, op))| (index, version, op)).collect();
        let run = group.run.as_ref().map(|(_, after)| after.clone());
        self.write(&topics, &group.events, group.frames, group.run, durability).await?;
        // What the changes left behind in memory holds only now.
        self.run = run;
        for (index, version, change) in topics {
            if matches!(change, RetainedChange::Remove) {
                self.graves.bury(index, version);
            }
        }
        Ok(())
    }

    fn gather<'a>(&self, op: &'a StoreOp, group: &mut Group<'a>) -> Result<(), StoreError> {
        match op {
            StoreOp::Retain(record) => {
                self.gather_topic(&record.message.topic, record.version, RetainedChange::Put(record), group);
            }
            StoreOp::Unretain { topic, version } => {
                self.gather_topic(topic, *version, RetainedChange::Remove, group);
            }
            StoreOp::Events(events) => group.events.push(events),
            StoreOp::Begin { run, shards } => {
                let run = Run::new(*run, *shards);
                group.run = Some((run.clone(), run));
            }
            StoreOp::Frame { run, shard, frame, retained } => {
                let known = group.run.as_mut().map(|(_, after)| after).filter(|known| known.number() == *run);
                let known = known.ok_or(StoreError::ForeignRun(*run))?;
                group.frames.add(known, *shard, frame);
                for op in retained {
                    self.gather(op, group)?;
                }
            }
        }
        Ok(())
    }

    fn gather_topic<'a>(
        &self,
        topic: &TopicName,
        version: RetainedVersion,
        change: RetainedChange<'a>,
        group: &mut Group<'a>,
    ) {
        let index = topic_index(self.database.keys(), topic);
        let known = group.topics.get(&index).map(|(version, _)| *version).max(self.graves.version(&index));
        // An expired message is taken out under its own version, so a removal goes after the message of that version.
        let is_later = match change {
            RetainedChange::Put(_) => known < Some(version),
            RetainedChange::Remove => known <= Some(version),
        };
        if is_later {
            group.topics.insert(index, (version, change));
        }
    }

    async fn write(
        &self,
        topics: &[(BlindIndex, RetainedVersion, RetainedChange<'_>)],
        events: &[&[StoredEvent]],
        frames: FrameGroup<'_>,
        run: Option<(Run, Run)>,
        durability: Durability,
    ) -> Result<(), StoreError> {
        let keys = self.database.keys();
        let mut statements = if events.is_empty() { whole_change() } else { rest_of_change() };
        let nothing = statements.sql().as_str().len();
        retained::write(&mut statements, keys, topics)?;
        if let Some((before, after)) = run {
            frames.write(&mut statements, keys, &before, &after)?;
        }
        if !events.is_empty() {
            // What the log goes on from has to be read within the change.
            let mut change = self.database.change_that_survives(durability).await?;
            logs::append(change.connection(), keys, events).await?;
            change.finish(statements).await
        } else if statements.sql().as_str().len() > nothing {
            self.database.run(statements, durability).await
        } else {
            Ok(())
        }
    }
}

/// The topics whose retained message was forgotten lately. Two shards may change one topic at the same time and their
/// changes may arrive here in the other order: then the earlier message must not come back.
#[derive(Default)]
struct Graves {
    versions: HashMap<BlindIndex, RetainedVersion>,
    order: VecDeque<BlindIndex>,
}

impl Graves {
    fn version(&self, index: &BlindIndex) -> Option<RetainedVersion> {
        self.versions.get(index).copied()
    }

    fn bury(&mut self, index: BlindIndex, version: RetainedVersion) {
        if self.versions.insert(index, version).is_none() {
            self.order.push_back(index);
        }
        if self.order.len() > GRAVES
            && let Some(oldest) = self.order.pop_front()
        {
            self.versions.remove(&oldest);
        }
    }
}

/// Nothing came for so long: then there is time to make the file smaller.
const IDLE: Duration = Duration::from_millis(200);
/// Between two slices of that, so that it takes less than half of the disk's time.
const BREATH: Duration = Duration::from_millis(10);
/// So many batches wait at most: far more than clients can have unacknowledged in one commit's time.
const WAITING_BATCHES: usize = 16 * 1024;
/// So many bytes wait at most: a disk that stalls must not fill the memory.
const WAITING_LIMIT: usize = 64 * 1024 * 1024;
/// Changes of one topic are microseconds apart when they race; so many others do not come in between.
const GRAVES: usize = 64 * 1024;
/// What an event takes in memory, with its strings.
const ROUGH_EVENT_LEN: usize = 400;
