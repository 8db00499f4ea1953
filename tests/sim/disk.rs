//! A store that commits late, in groups, and sometimes not at all.
//!
//! What it promises is what the real one must: the operations of one shard become durable in their order, and a row
//! never gives way to an older version. So it keeps the version of a cleared topic as long as it runs; after a restart
//! nothing older can be on its way any more. When the process ends, by itself or with the power, what was answered is
//! there, and of each shard's frame under way all or nothing: the transaction of a torn one does not count.

use bytes::Bytes;
use securemq::broker::{
    ChunkId, ClockReading, CommitId, CommitOutcome, DurableId, Input, Message, Record, RetainedVersion, StoreOp,
    Timestamp, shard_of_partition,
};
use securemq::protocol::TopicName;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What is written, and what is on the way.
pub struct Disk {
    rows: BTreeMap<TopicName, Row>,
    /// What each shard wants in its next frame.
    gathered: Vec<Vec<(CommitId, StoreOp)>>,
    /// The frame of each shard that is on its way; there is one at most.
    frames: Vec<Option<Vec<(CommitId, StoreOp)>>>,
    /// The journal by run, shard and frame; sessions whole with the run and the frame they are of; parts of queues.
    journal: BTreeMap<(u64, u16, u64), Bytes>,
    checkpoints: BTreeMap<DurableId, ((u64, u64), Bytes)>,
    chunks: BTreeMap<ChunkId, Bytes>,
    run: u64,
    /// The shards that need nothing of earlier runs, and the first frame of this run that each still needs.
    past_covered: BTreeSet<u16>,
    needed: BTreeMap<u16, u64>,
    /// The shards whose last frame was lost.
    lost: BTreeSet<u16>,
}

/// What is retained for a topic, or since when nothing is.
struct Row {
    version: RetainedVersion,
    message: Option<Arc<Message>>,
    /// On the wall, in milliseconds: the clock of a run ends with it.
    expires: Option<u64>,
}

impl Disk {
    /// An empty one, not in use.
    pub fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            gathered: Vec::new(),
            frames: Vec::new(),
            lost: BTreeSet::new(),
            journal: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            chunks: BTreeMap::new(),
            run: 0,
            past_covered: BTreeSet::new(),
            needed: BTreeMap::new(),
        }
    }

    pub fn write(&mut self, shard: u16, commit: CommitId, op: StoreOp) {
        self.gathered[usize::from(shard)].push((commit, op));
    }

    /// A change that was to go into the next frame of a shard is not needed.
    pub fn unwrite(&mut self, shard: u16, commit: CommitId) {
        self.gathered[usize::from(shard)].retain(|(gathered, _)| *gathered != commit);
    }

    /// The shards that wait for something.
    pub fn waiting(&self) -> Vec<u16> {
        let has_work = |shard: &u16| self.is_storing(*shard) || !self.gathered[usize::from(*shard)].is_empty();
        (0..).take(self.frames.len()).filter(has_work).collect()
    }

    /// Whether a frame of a shard is on its way.
    pub fn is_storing(&self, shard: u16) -> bool {
        self.frames[usize::from(shard)].is_some()
    }

    /// What a shard has gathered is on its way as one frame.
    pub fn send_frame(&mut self, shard: u16) {
        let shard = usize::from(shard);
        self.frames[shard] = Some(std::mem::take(&mut self.gathered[shard]));
    }

    /// Whether a lost frame is still to be tried again.
    pub fn has_lost(&self) -> bool {
        !self.lost.is_empty()
    }

    /// Deals with the frame of a shard: all of it or nothing. The last change in it.
    pub fn commit(&mut self, shard: u16, outcome: CommitOutcome, clock: ClockReading) -> CommitId {
        let frame = self.frames[usize::from(shard)].take().expect("a frame is on its way");
        let last = frame.last().map(|(commit, _)| *commit).expect("a frame is not empty");
        if outcome == CommitOutcome::Stored {
            self.store(shard, last, frame, clock);
            self.lost.remove(&shard);
        } else {
            self.lost.insert(shard);
        }
        last
    }

    fn store(&mut self, shard: u16, last: CommitId, frame: Vec<(CommitId, StoreOp)>, clock: ClockReading) {
        self.store_frame(shard, last, &frame, clock);
        frame.into_iter().for_each(|(_, op)| self.apply(op, clock));
    }

    fn store_frame(&mut self, shard: u16, last: CommitId, frame: &[(CommitId, StoreOp)], clock: ClockReading) {
        let (run, number) = (self.run, last.0);
        let mut records = Vec::new();
        for (_, op) in frame {
            match op {
                StoreOp::Journal(record) => records.push(record),
                StoreOp::Checkpoint { session, records } => {
                    self.checkpoints.insert(*session, ((run, number), Record::encode_all(records, clock)));
                }
                StoreOp::Chunk { chunk, records } => {
                    self.chunks.insert(*chunk, Record::encode_all(records.iter(), clock));
                }
                StoreOp::DropChunk(chunk) => {
                    self.chunks.remove(chunk);
                }
                StoreOp::Forget(session) => {
                    self.checkpoints.remove(session);
                    self.chunks.retain(|chunk, _| chunk.session != *session);
                }
                StoreOp::Cut { before } => {
                    if *before > CommitId(0) {
                        self.past_covered.insert(shard);
                    }
                    let needed = self.needed.entry(shard).or_default();
                    *needed = before.0.max(*needed);
                }
                StoreOp::Retain { .. } | StoreOp::Unretain { .. } => {}
            }
        }
        if !records.is_empty() {
            self.journal.insert((run, shard, number), Record::encode_all(records, clock));
        }
        // Nothing of this run goes before everything of the earlier ones has gone.
        if self.past_covered.len() == self.frames.len() {
            let needed = &self.needed;
            self.journal.retain(|(of, shard, number), _| {
                *of == run && *number >= needed.get(shard).copied().unwrap_or_default()
            });
        }
    }

    /// A part of a queue, if it is there.
    pub fn chunk(&self, chunk: ChunkId, clock: ClockReading) -> Option<Vec<Record>> {
        Record::decode_all(self.chunks.get(&chunk)?.clone(), clock).ok()
    }

    /// What each of so many shards is told when it starts: its sessions, what changed after, and when it was last heard
    /// of.
    pub fn past(&self, shards: u16, clock: ClockReading) -> (Vec<Vec<Input>>, Timestamp) {
        let mut inputs: Vec<Vec<Input>> = (0..shards).map(|_| Vec::new()).collect();
        let shard_of = |session: DurableId| usize::from(shard_of_partition(session.partition(), shards).0);
        let mut went_down = Timestamp::default();
        for (session, (_, bytes)) in &self.checkpoints {
            went_down = went_down.max(Record::written_at(bytes.clone(), clock).expect("records"));
            let records = Record::decode_all(bytes.clone(), clock).expect("records");
            inputs[shard_of(*session)].push(Input::Checkpointed(records));
        }
        for ((run, _, number), bytes) in &self.journal {
            went_down = went_down.max(Record::written_at(bytes.clone(), clock).expect("records"));
            let is_new = |session: &DurableId| {
                self.checkpoints.get(session).is_none_or(|(covered, _)| *covered < (*run, *number))
            };
            for record in Record::decode_all(bytes.clone(), clock).expect("records") {
                match record {
                    Record::Queued { message, receivers, once } => {
                        for receiver in receivers.into_iter().filter(|receiver| is_new(&receiver.session)) {
                            let shard = shard_of(receiver.session);
                            let record =
                                Record::Queued { message: Arc::clone(&message), receivers: vec![receiver], once };
                            inputs[shard].push(Input::Replayed(record));
                        }
                    }
                    record => {
                        let session = record.session().expect("only a message is for several");
                        if is_new(&session) {
                            inputs[shard_of(session)].push(Input::Replayed(record));
                        }
                    }
                }
            }
        }
        (inputs, went_down)
    }

    fn apply(&mut self, op: StoreOp, clock: ClockReading) {
        let (topic, version, message) = match op {
            StoreOp::Retain { message, version } => (message.topic.clone(), version, Some(message)),
            StoreOp::Unretain { topic, version } => (topic, version, None),
            StoreOp::Journal(_)
            | StoreOp::Checkpoint { .. }
            | StoreOp::Chunk { .. }
            | StoreOp::DropChunk(_)
            | StoreOp::Forget(_)
            | StoreOp::Cut { .. } => return,
        };
        // An expired message is taken out under its own version.
        let is_outdated = self.rows.get(&topic).is_some_and(|row| row.version > version);
        if !is_outdated {
            let expires = message.as_ref().and_then(|message| message.expires_at);
            let expires = expires.map(|end| clock.wall_ms + end.as_millis() - clock.now.as_millis());
            self.rows.insert(topic, Row { version, message, expires });
        }
    }

    /// The process ends. Of the frames that were on their way some are there, which are those returned, with their last
    /// changes; nothing else ever happened.
    pub fn crash(&mut self, clock: ClockReading, mut is_there: impl FnMut() -> bool) -> Vec<(u16, CommitId)> {
        let mut survivors = Vec::new();
        for shard in (0..).take(self.frames.len()) {
            if let Some(frame) = self.frames[usize::from(shard)].take()
                && let Some((last, _)) = frame.last()
                && is_there()
            {
                survivors.push((shard, *last));
                self.store(shard, *last, frame, clock);
            }
        }
        self.lost.clear();
        survivors
    }

    /// The next run begins, with so many shards. Its number.
    pub fn begin_run(&mut self, shards: u16) -> u64 {
        self.run += 1;
        self.gathered = (0..shards).map(|_| Vec::new()).collect();
        self.frames = (0..shards).map(|_| None).collect();
        self.past_covered.clear();
        self.needed.clear();
        self.rows.retain(|_, row| row.message.is_some());
        self.run
    }

    /// What is retained, by topic, with its expiry on the clock of now.
    pub fn messages(&self, clock: ClockReading) -> impl Iterator<Item = (Arc<Message>, RetainedVersion)> {
        self.rows.values().filter_map(move |row| {
            let since = |end: u64| (clock.now.as_millis() + end).saturating_sub(clock.wall_ms);
            let expires_at = row.expires.map(|end| Timestamp::from_millis(since(end)));
            let message = Message { expires_at, ..Message::clone(row.message.as_ref()?) };
            Some((Arc::new(message), row.version))
        })
    }

    /// How many messages each part of a queue has that is on disk.
    pub fn chunk_sizes(&self, clock: ClockReading) -> BTreeMap<ChunkId, usize> {
        self.chunks.keys().map(|chunk| (*chunk, self.chunk(*chunk, clock).map_or(0, |records| records.len()))).collect()
    }

    /// How many sessions a start would find that its journal does not end.
    pub fn session_count(&self, clock: ClockReading) -> usize {
        let (pasts, _) = self.past(1, clock);
        let mut sessions = BTreeSet::new();
        for input in pasts.into_iter().flatten() {
            match input {
                Input::Replayed(Record::Began { session, .. }) => sessions.insert(session),
                Input::Replayed(Record::Ended { session }) => sessions.remove(&session),
                _ => false,
            };
        }
        sessions.len()
    }

    /// How many sessions are written down whole.
    pub fn checkpoint_count(&self) -> usize {
        self.checkpoints.len()
    }
}
