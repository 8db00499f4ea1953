//! What the core wants done: sends, writes, records, and frames for other shards.

use super::durability::Durability;
use super::event::AuditEvent;
use super::frame::{ChunkId, DurableId, Once};
use super::message::{Message, SessionKey};
use super::reason::Reason;
use super::record::Record;
use super::time::Timestamp;
use crate::protocol::{
    Packet, PacketId, PlainPublish, ProtocolVersion, PublishView, QoS, ShareName, SubscriptionId, TopicFilter,
    TopicName,
};
use bytes::BytesMut;
use std::collections::VecDeque;
use std::sync::Arc;

/// A network connection, numbered by whoever drives the shard; never used again while the shard lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// One of the shards of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A promise to be kept: an acknowledgement is held until everything its ticket waits for has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A change that is to be stored. Larger identifiers of one shard are later changes and commit no earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitId(pub u64);

/// Whether a change reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CommitOutcome {
    /// It is safe.
    Stored,
    /// A queue that it was for is full, and its publisher is to be told. The store never says so.
    Refused,
    /// It is not; whoever waits for it must be told.
    Failed,
}

/// A session as seen from another shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionRef {
    /// Its place in its shard.
    pub index: u32,
    /// Tells it from an earlier session in the same place.
    pub generation: u32,
}

/// Which of two retained messages of one topic is the later one, the same on every shard: they may arrive in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct RetainedVersion {
    /// Grows with every retained message that the shard has seen or made.
    pub counter: u64,
    /// Decides between equal counters.
    pub shard: u16,
}

/// A message on its way to one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Shared by all its receivers.
    pub message: Arc<Message>,
    /// Sent to this session before.
    pub dup: bool,
    /// The lower of the message's and the subscription's.
    pub qos: QoS,
    /// What the receiver is told.
    pub retain: bool,
    /// Whether it is the stored message of a topic, which does not outlive the right of its publisher.
    pub is_retained: bool,
    /// Above QoS 0.
    pub packet_id: Option<PacketId>,
    /// Of the subscriptions that matched.
    pub subscription_ids: Vec<SubscriptionId>,
    /// Seconds left of the message's expiry.
    pub expiry_left: Option<u32>,
    /// The alias of the topic on this connection.
    pub alias: AliasUse,
}

/// How the topic of a delivery is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AliasUse {
    /// In full.
    None,
    /// In full, with a number that stands for it from now on.
    Introduce(u16),
    /// By the number alone.
    Only(u16),
}

impl Delivery {
    /// The length of the PUBLISH packet that carries it, in bytes; `usize::MAX` if none can.
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        match self.plain() {
            Some(plain) => plain.encoded_len(version),
            None => self.view().encoded_len(version),
        }
    }

    /// Appends the PUBLISH packet that carries it, or nothing if none can.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) {
        match self.plain() {
            Some(plain) => plain.encode(version, out),
            None => self.view().encode(version, out),
        }
    }

    /// The packet, if it says nothing that takes properties.
    #[inline]
    fn plain(&self) -> Option<PlainPublish<'_>> {
        let message = &*self.message;
        let is_plain = message.properties.is_absent()
            && self.expiry_left.is_none()
            && self.subscription_ids.is_empty()
            && self.alias == AliasUse::None;
        is_plain.then(|| PlainPublish {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: message.topic.as_bytes(),
            packet_id: self.packet_id,
            payload: &message.payload,
        })
    }

    /// The PUBLISH packet that carries it.
    pub fn view(&self) -> PublishView<'_> {
        let message = &*self.message;
        let properties = &message.properties;
        let (topic, topic_alias) = match self.alias {
            AliasUse::None => (message.topic.as_bytes(), None),
            AliasUse::Introduce(alias) => (message.topic.as_bytes(), Some(alias)),
            AliasUse::Only(alias) => (&[][..], Some(alias)),
        };
        PublishView {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic,
            packet_id: self.packet_id,
            payload_is_utf8: properties.payload_is_utf8,
            message_expiry_interval: self.expiry_left,
            topic_alias,
            response_topic: properties.response_topic.as_ref().map(crate::protocol::Text::as_str),
            correlation_data: properties.correlation_data.as_deref(),
            user_properties: &properties.user_properties,
            subscription_ids: &self.subscription_ids,
            content_type: properties.content_type.as_ref().map(crate::protocol::Text::as_str),
            payload: &message.payload,
        }
    }
}

/// A change of what is on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreOp {
    /// This message is now retained for its topic.
    Retain {
        /// The message; its expiry is on the core's clock.
        message: Arc<Message>,
        /// Replaces older versions only.
        version: RetainedVersion,
    },
    /// Nothing is retained for this topic any more.
    Unretain {
        /// The topic.
        topic: TopicName,
        /// Replaces older versions only.
        version: RetainedVersion,
    },
    /// A durable session changed.
    Journal(Record),
    /// A durable session as it is after all changes before this one.
    Checkpoint {
        /// Which.
        session: DurableId,
        /// What makes it.
        records: Vec<Record>,
    },
    /// A part of a queue leaves the memory.
    Chunk {
        /// Which.
        chunk: ChunkId,
        /// Its messages.
        records: Arc<Vec<Record>>,
    },
    /// A part of a queue is no longer needed.
    DropChunk(ChunkId),
    /// A durable session is over; its checkpoint and chunks are no longer needed.
    Forget(DurableId),
    /// Changes of this shard before this one are no longer needed.
    Cut {
        /// The first that is.
        before: CommitId,
    },
}

impl StoreOp {
    /// Roughly what it takes, in bytes: what a frame in the making is bounded by.
    pub fn size(&self) -> usize {
        let content = match self {
            Self::Retain { message, .. } => message.size(),
            Self::Journal(record) => record.size(),
            Self::Checkpoint { records, .. } => records.iter().map(Record::size).sum(),
            Self::Chunk { records, .. } => records.iter().map(Record::size).sum(),
            Self::Unretain { .. } | Self::DropChunk(_) | Self::Forget(_) | Self::Cut { .. } => 0,
        };
        std::mem::size_of::<Self>().saturating_add(content)
    }
}

/// What one shard tells another. Frames from one shard arrive in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerFrame {
    /// Messages that match this filter are wanted from now on.
    InterestAdded {
        /// The filter, without the sessions behind it.
        filter: TopicFilter,
    },
    /// They are no longer wanted.
    InterestRemoved {
        /// The filter.
        filter: TopicFilter,
    },
    /// Everything sent before this has been seen when it is settled.
    Barrier {
        /// Of the sending shard.
        ticket: Ticket,
    },
    /// A message was published.
    Published {
        /// The message.
        message: Arc<Message>,
        /// Whether this shard asked for it by an interest.
        route: bool,
        /// Set if it replaces (or, with an empty payload, clears) the retained message of its topic.
        retained: Option<RetainedVersion>,
        /// Set if it must not be taken twice.
        once: Option<Once>,
        /// To be settled once this shard has taken it.
        ticket: Option<Ticket>,
    },
    /// A session joins a shared group that this shard keeps, or its connection came or went.
    GroupJoined {
        /// The group.
        group: Arc<GroupKey>,
        /// The member, in the sending shard.
        member: SessionRef,
        /// Whether it is connected.
        online: bool,
        /// To be settled once it holds.
        ticket: Option<Ticket>,
    },
    /// A session leaves a shared group.
    GroupLeft {
        /// The group.
        group: Arc<GroupKey>,
        /// The member, in the sending shard.
        member: SessionRef,
    },
    /// The group chose a member of this shard for a message.
    GroupDelivery {
        /// The group.
        group: Arc<GroupKey>,
        /// The member, in the receiving shard.
        member: SessionRef,
        /// The message.
        message: Arc<Message>,
        /// Set if it must not be taken twice.
        once: Option<Once>,
        /// To be settled once the member has taken it.
        ticket: Option<Ticket>,
        /// How many members it was offered before.
        tried: u16,
    },
    /// The member that was chosen takes part no more, which was said before this, or lacks the right: the group has to
    /// choose another.
    GroupRefused {
        /// The group.
        group: Arc<GroupKey>,
        /// The message.
        message: Arc<Message>,
        /// Set if it must not be taken twice.
        once: Option<Once>,
        /// What was to be settled; it still waits.
        ticket: Option<Ticket>,
        /// How many members it was offered.
        tried: u16,
    },
    /// A message is released: its identifier may mean another from when this is settled.
    Released {
        /// Which.
        once: Once,
        /// To be settled once this shard has forgotten it, and the disk knows.
        ticket: Option<Ticket>,
        /// It may have been said before, and the disk may not know yet.
        again: bool,
    },
    /// A durable session is over; nothing that it published comes again.
    PublisherGone {
        /// Which.
        publisher: DurableId,
    },
    /// What the ticket stood for has happened on the sending shard.
    Settled {
        /// A ticket of the receiving shard.
        ticket: Ticket,
        /// Whether it is safe on the sending shard.
        outcome: CommitOutcome,
    },
}

impl PeerFrame {
    /// Roughly the memory it takes, in bytes: what mailboxes are bounded by.
    pub fn size(&self) -> usize {
        let message = match self {
            Self::Published { message, .. }
            | Self::GroupDelivery { message, .. }
            | Self::GroupRefused { message, .. } => message.size(),
            Self::InterestAdded { filter } | Self::InterestRemoved { filter } => filter.as_str().len(),
            Self::Barrier { .. }
            | Self::GroupJoined { .. }
            | Self::GroupLeft { .. }
            | Self::Released { .. }
            | Self::PublisherGone { .. }
            | Self::Settled { .. } => 0,
        };
        std::mem::size_of::<Self>().saturating_add(message)
    }
}

/// A shared group: its name and what it subscribes to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// The name behind `$share/`.
    pub share: ShareName,
    /// The filter behind that.
    pub filter: TopicFilter,
}

/// Something that the driver of a shard must do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send a packet.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// What.
        packet: Packet,
    },
    /// Send a message.
    Deliver {
        /// To whom.
        connection: ConnectionId,
        /// What.
        delivery: Delivery,
    },
    /// End a connection once what was sent to it is written. The shard has forgotten it already.
    Close {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: Reason,
    },
    /// Write this with the next frame, and say when it is safe. Changes are numbered without gaps.
    Store {
        /// Comes back in `Input::Committed`.
        commit: CommitId,
        /// What it must survive; a frame must survive what the strongest change in it must.
        durability: Durability,
        /// What.
        op: StoreOp,
    },
    /// Do not write this after all: it was to be stored with the next frame, and nobody needs it any more. A frame of
    /// which nothing is left is not stored, and what it would have settled is settled.
    Unstore(CommitId),
    /// Read a part of a queue back; it comes in `Input::ChunkLoaded`.
    Load(ChunkId),
    /// Remember this event.
    Record(Box<AuditEvent>),
    /// Tell another shard.
    Forward {
        /// Which.
        peer: ShardId,
        /// What.
        frame: PeerFrame,
    },
}

/// The effects of one input, in order.
#[derive(Debug, Default)]
pub struct Effects(VecDeque<Effect>);

impl Effects {
    /// Adds one at the end.
    pub fn push(&mut self, effect: Effect) {
        self.0.push_back(effect);
    }

    /// Takes the first.
    pub fn pop(&mut self) -> Option<Effect> {
        self.0.pop_front()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The partitions of a store; fixed when it is made, whatever the number of cores.
pub const PARTITIONS: u16 = 32;

/// The partition that owns a session.
pub fn partition_of_session(key: &SessionKey) -> u16 {
    let user = key.principal.user().map_or("", super::access::UserName::as_str);
    partition_of(user.as_bytes(), key.client_id.as_str().as_bytes())
}

/// The partition that keeps a shared group.
pub fn partition_of_group(group: &GroupKey) -> u16 {
    partition_of(group.share.as_str().as_bytes(), group.filter.as_str().as_bytes())
}

/// FNV-1a over both names with a separator that neither holds. It only spreads; who aims at one partition slows himself.
fn partition_of(first: &[u8], second: &[u8]) -> u16 {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in first.iter().chain(&[0]).chain(second) {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    // The low bits of FNV are its weakest.
    u16::try_from((hash ^ (hash >> 32)) % u64::from(PARTITIONS)).unwrap_or(0)
}

/// The shard that owns a partition when there are `shards` of them.
pub fn shard_of_partition(partition: u16, shards: u16) -> ShardId {
    ShardId(partition % shards.max(1))
}

/// When an expiry given in seconds ends.
pub fn expires_at(now: Timestamp, seconds: Option<u32>) -> Option<Timestamp> {
    seconds.map(|seconds| now.after_secs(seconds))
}
