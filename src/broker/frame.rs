//! What a shard wants on disk after a turn: a frame of its journal, and what lets the journal be cut.

use crate::protocol::PacketId;
use bytes::Bytes;

/// A session, numbered for the store; never used again. Its low five bits are its partition, so whichever shard owns
/// that finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DurableId(pub u64);

impl DurableId {
    /// The session that is the `count`th of its partition.
    pub fn new(count: u64, partition: u16) -> Self {
        Self((count << Self::PARTITION_BITS) | u64::from(partition))
    }

    /// Which of its partition it is.
    pub fn count(self) -> u64 {
        self.0 >> Self::PARTITION_BITS
    }

    /// The partition that owns it.
    pub fn partition(self) -> u16 {
        u16::try_from(self.0 & ((1 << Self::PARTITION_BITS) - 1)).unwrap_or(0)
    }

    /// 32 partitions.
    const PARTITION_BITS: u32 = 5;
}

/// The number of a frame: it grows by one with each frame of one shard in one run of the broker. The first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FrameNumber(pub u64);

/// Everything a shard decided since its last frame, to be stored as one: all of it or nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frame {
    /// Its number.
    pub number: FrameNumber,
    /// The records of the journal, encoded; empty if there are none, and then there is no row.
    pub records: Bytes,
    /// Sessions written whole, as of the end of this frame.
    pub checkpoints: Vec<(DurableId, Bytes)>,
    /// Parts of queues that leave the memory.
    pub chunks: Vec<(ChunkId, Bytes)>,
    /// Parts of queues that are no longer needed.
    pub dropped_chunks: Vec<ChunkId>,
    /// Sessions that ended: their checkpoints and chunks are no longer needed.
    pub ended: Vec<DurableId>,
    /// Rows of the journal of this shard and run below this number are no longer needed.
    pub cut_before: FrameNumber,
    /// Whether this shard needs nothing of earlier runs any more.
    pub is_past_covered: bool,
}

/// A QoS 2 message of a durable publisher, until its publisher has released it: a receiver takes it once, however often
/// it is routed, even if a crash came between the commits of two shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Once {
    /// Whose.
    pub publisher: DurableId,
    /// Its identifier there, which means no other message before all receivers have forgotten this one.
    pub packet_id: PacketId,
}

/// A part of the queue of a session: consecutive messages. The parts of a session are numbered without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkId {
    /// Whose queue.
    pub session: DurableId,
    /// Which part.
    pub number: u64,
}
