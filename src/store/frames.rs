//! What the frames of one transaction come to: of what they write, replace and drop again, only the end is stored.

use super::error::StoreError;
use super::journal::{self, FrameKey};
use super::keys::Keyring;
use super::queues;
use super::sessions::{self, Checkpoint};
use crate::broker::{ChunkId, DurableId, Frame, FrameNumber};
use sqlx::{QueryBuilder, Sqlite};
use std::collections::{BTreeMap, BTreeSet};

/// The run that writes, and what of the journal its shards still need.
///
/// Shards of an earlier run owned other partitions, so no shard alone can say that a row of the past is needless. While
/// the past is there, nothing of this run is cut either: a record that ends a session must not go before the older one
/// that made it, or the session would be back after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    number: u64,
    shards: u16,
    /// The shards that need nothing of earlier runs.
    past_covered: BTreeSet<u16>,
    /// The first frame of each shard that is still needed.
    needed: BTreeMap<u16, FrameNumber>,
}

impl Run {
    pub(super) fn new(number: u64, shards: u16) -> Self {
        Self { number, shards, past_covered: BTreeSet::new(), needed: BTreeMap::new() }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    fn note(&mut self, shard: u16, frame: &Frame) {
        if frame.is_past_covered {
            self.past_covered.insert(shard);
        }
        let needed = self.needed.entry(shard).or_default();
        *needed = frame.cut_before.max(*needed);
    }

    fn is_past_gone(&self) -> bool {
        self.past_covered.len() >= usize::from(self.shards)
    }

    fn is_needed(&self, key: &FrameKey) -> bool {
        !self.is_past_gone() || self.needed.get(&key.shard).is_none_or(|needed| *needed <= key.frame)
    }
}

/// The frames of one transaction.
#[derive(Default)]
pub(super) struct FrameGroup<'a> {
    rows: Vec<(FrameKey, &'a [u8])>,
    checkpoints: BTreeMap<DurableId, Checkpoint<'a>>,
    chunks: BTreeMap<ChunkId, &'a [u8]>,
    dropped: BTreeSet<ChunkId>,
    ended: BTreeSet<DurableId>,
}

impl<'a> FrameGroup<'a> {
    /// Adds the next frame of a shard. What it drops or ends goes after what it writes.
    pub(super) fn add(&mut self, run: &mut Run, shard: u16, frame: &'a Frame) {
        run.note(shard, frame);
        if !frame.records.is_empty() {
            let key = FrameKey { run: run.number, shard, frame: frame.number };
            self.rows.push((key, &frame.records));
        }
        for (id, state) in &frame.checkpoints {
            self.checkpoints.insert(*id, Checkpoint { run: run.number, frame: frame.number, state });
        }
        for (id, content) in &frame.chunks {
            self.chunks.insert(*id, content);
        }
        for id in &frame.dropped_chunks {
            self.chunks.remove(id);
            self.dropped.insert(*id);
        }
        for id in &frame.ended {
            self.checkpoints.remove(id);
            let all = ChunkId { session: *id, number: 0 }..=ChunkId { session: *id, number: u64::MAX };
            let written: Vec<_> = self.chunks.range(all).map(|(chunk, _)| *chunk).collect();
            for chunk in written {
                self.chunks.remove(&chunk);
            }
            self.ended.insert(*id);
        }
    }

    /// Writes what is left, given what was known of the run before these frames and after them. Removals come first:
    /// what is still to be put was put later.
    pub(super) fn write(
        self,
        statements: &mut QueryBuilder<Sqlite>,
        keys: &Keyring,
        before: &Run,
        after: &Run,
    ) -> Result<(), StoreError> {
        if after.is_past_gone() {
            if !before.is_past_gone() {
                journal::cut_past(statements, after.number);
            }
            let held = |shard| if before.is_past_gone() { before.needed.get(shard).copied() } else { None };
            let cuts: Vec<_> = after
                .needed
                .iter()
                .filter(|(shard, needed)| **needed > held(shard).unwrap_or_default())
                .map(|(shard, needed)| (*shard, *needed))
                .collect();
            journal::cut(statements, after.number, &cuts);
        }
        sessions::remove(statements, self.ended.iter().copied());
        queues::remove_all(statements, self.ended.iter().copied());
        queues::remove(statements, &self.dropped);
        let rows: Vec<_> = self.rows.into_iter().filter(|(key, _)| after.is_needed(key)).collect();
        journal::append(statements, keys, &rows)?;
        queues::put(statements, keys, self.chunks)?;
        sessions::put(statements, keys, self.checkpoints)
    }
}
