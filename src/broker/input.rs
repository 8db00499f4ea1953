//! What happens to a shard.

use super::access::{Policy, Principal};
use super::address::Address;
use super::carrier::Carrier;
use super::durability::Durability;
use super::effect::{CommitId, CommitOutcome, ConnectionId, PeerFrame, RetainedVersion, ShardId};
use super::frame::ChunkId;
use super::message::Message;
use super::reason::Reason;
use super::record::Record;
use super::time::Timestamp;
use crate::protocol::{ClientId, Connect, Packet, Violation};
use std::sync::Arc;

/// A client that has proved who it is and wants to be connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connecting {
    /// Its connection.
    pub connection: ConnectionId,
    /// Its CONNECT packet.
    pub connect: Connect,
    /// Its client identifier, or the one assigned to it.
    pub client_id: ClientId,
    /// Whether the identifier was assigned. [v5:MQTT-3.2.2-16]
    pub is_assigned: bool,
    /// Who it is.
    pub principal: Principal,
    /// Where it comes from.
    pub address: Address,
    /// What carries its packets.
    pub carrier: Carrier,
    /// What its listener says about acknowledgements, if it says anything.
    pub durability: Option<Durability>,
}

/// Everything that can happen to a shard.
#[derive(Debug, Clone)]
pub enum Input {
    /// A client wants to be connected. Nothing of its CONNECT has had any effect before.
    Connect(Box<Connecting>),
    /// A packet arrived.
    Packet {
        /// From whom.
        connection: ConnectionId,
        /// What.
        packet: Packet,
    },
    /// Bytes arrived that are no packet.
    Violated {
        /// From whom.
        connection: ConnectionId,
        /// What is wrong with them.
        violation: Violation,
    },
    /// The network connection is gone.
    Lost {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: Reason,
    },
    /// Everything handed to the connection so far was written to its socket.
    Written {
        /// Which.
        connection: ConnectionId,
    },
    /// Another shard says something.
    Forwarded {
        /// Which.
        peer: ShardId,
        /// What.
        frame: PeerFrame,
    },
    /// Every change up to this one has been dealt with by the store.
    Committed {
        /// The last of them.
        commit: CommitId,
        /// What became of those that were not reported before.
        outcome: CommitOutcome,
    },
    /// A retained message from the store, while the shard is being started.
    Restored {
        /// The message.
        message: Arc<Message>,
        /// Which of several of its topic.
        version: RetainedVersion,
    },
    /// A durable session as its checkpoint has it, while the shard is being started.
    Checkpointed(Vec<Record>),
    /// A change that came after the checkpoint, while the shard is being started.
    Replayed(Record),
    /// All sessions are back.
    Recovered {
        /// When the last broker was heard of, on this broker's clock: its connections ended then.
        went_down: Timestamp,
        /// The number of this run of the broker; it grows with every start.
        run: u64,
    },
    /// What was written down so far is about to be stored as one frame.
    FrameEnds,
    /// A part of a queue was read back from the store.
    ChunkLoaded {
        /// Which.
        chunk: ChunkId,
        /// Its messages, or `None` if it cannot be read.
        records: Option<Vec<Record>>,
    },
    /// Users, roles or rules changed.
    PolicyChanged(Arc<Policy>),
    /// The deadline that the shard asked for has come.
    Tick,
    /// The broker stops: wills are published and clients told.
    ShutDown,
}
