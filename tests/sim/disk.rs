//! A store that commits late, in groups, and sometimes not at all.
//!
//! What it promises is what the real one must: the operations of one shard become durable in their order, and a row
//! never gives way to an older version. So it keeps the version of a cleared topic as long as it runs; after a restart
//! nothing older can be on its way any more.

use securemq::broker::{CommitId, CommitOutcome, Message, RetainedVersion, StoreOp};
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
    /// The shards whose last frame was lost.
    lost: BTreeSet<u16>,
}

/// What is retained for a topic, or since when nothing is.
struct Row {
    version: RetainedVersion,
    message: Option<Arc<Message>>,
}

impl Disk {
    pub fn new(shards: usize) -> Self {
        let gathered = (0..shards).map(|_| Vec::new()).collect();
        let frames = (0..shards).map(|_| None).collect();
        Self { rows: BTreeMap::new(), gathered, frames, lost: BTreeSet::new() }
    }

    pub fn write(&mut self, shard: u16, commit: CommitId, op: StoreOp) {
        self.gathered[usize::from(shard)].push((commit, op));
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
    pub fn commit(&mut self, shard: u16, outcome: CommitOutcome) -> CommitId {
        let frame = self.frames[usize::from(shard)].take().expect("a frame is on its way");
        let last = frame.last().map(|(commit, _)| *commit).expect("a frame is not empty");
        if outcome == CommitOutcome::Stored {
            frame.into_iter().for_each(|(_, op)| self.apply(op));
            self.lost.remove(&shard);
        } else {
            self.lost.insert(shard);
        }
        last
    }

    fn apply(&mut self, op: StoreOp) {
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
            self.rows.insert(topic, Row { version, message });
        }
    }

    /// The power is gone: what was on the way never happened. What is left for the next start.
    pub fn crash(&mut self) -> Vec<(Arc<Message>, RetainedVersion)> {
        self.gathered.iter_mut().for_each(Vec::clear);
        self.frames.iter_mut().for_each(|frame| *frame = None);
        self.lost.clear();
        self.rows.retain(|_, row| row.message.is_some());
        self.messages().map(|(message, version)| (Arc::clone(message), version)).collect()
    }

    /// What is retained, by topic.
    pub fn messages(&self) -> impl Iterator<Item = (&Arc<Message>, RetainedVersion)> {
        self.rows.values().filter_map(|row| Some((row.message.as_ref()?, row.version)))
    }
}
