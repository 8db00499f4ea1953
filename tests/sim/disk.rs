//! A store that commits late, in groups, and sometimes not at all.
//!
//! What it promises is what the real one must: the operations of one shard become durable in their order, and a row
//! never gives way to an older version. So it keeps the version of a cleared topic as long as it runs; after a restart
//! nothing older can be on its way any more.

use securemq::broker::{CommitId, CommitOutcome, Message, RetainedVersion, StoreOp};
use securemq::protocol::TopicName;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What is written, and what is on the way.
pub struct Disk {
    rows: BTreeMap<TopicName, Row>,
    pending: Vec<VecDeque<(CommitId, StoreOp)>>,
}

/// What is retained for a topic, or since when nothing is.
struct Row {
    version: RetainedVersion,
    message: Option<Arc<Message>>,
}

impl Disk {
    pub fn new(shards: usize) -> Self {
        Self { rows: BTreeMap::new(), pending: (0..shards).map(|_| VecDeque::new()).collect() }
    }

    pub fn write(&mut self, shard: u16, commit: CommitId, op: StoreOp) {
        self.pending[usize::from(shard)].push_back((commit, op));
    }

    /// The shards that wait for a commit.
    pub fn waiting(&self) -> Vec<u16> {
        (0..).zip(&self.pending).filter(|(_, pending)| !pending.is_empty()).map(|(shard, _)| shard).collect()
    }

    pub fn pending_len(&self, shard: u16) -> usize {
        self.pending[usize::from(shard)].len()
    }

    /// Deals with the first `count` operations of a shard; the last of them.
    pub fn commit(&mut self, shard: u16, count: usize, outcome: CommitOutcome) -> CommitId {
        let group: Vec<_> = self.pending[usize::from(shard)].drain(..count).collect();
        let last = group.last().map(|(commit, _)| *commit).expect("a group is not empty");
        if outcome == CommitOutcome::Stored {
            group.into_iter().for_each(|(_, op)| self.apply(op));
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
        self.pending.iter_mut().for_each(VecDeque::clear);
        self.rows.retain(|_, row| row.message.is_some());
        self.messages().map(|(message, version)| (Arc::clone(message), version)).collect()
    }

    /// What is retained, by topic.
    pub fn messages(&self) -> impl Iterator<Item = (&Arc<Message>, RetainedVersion)> {
        self.rows.values().filter_map(|row| Some((row.message.as_ref()?, row.version)))
    }
}
