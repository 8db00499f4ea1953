//! What changes in a durable session, as the journal and the checkpoints hold it.
//!
//! A checkpoint of a session is the list of records that makes it; so there is one way to bring a session back, and
//! one format. Moments are written on the clock of the broker that wrote them, beside a reading of both of its clocks,
//! and brought onto the clock of the one that reads them.

use super::frame::{DurableId, Once};
use super::message::{Message, SessionKey};
use super::subscription::SubscriptionOptions;
use super::time::Timestamp;
use crate::protocol::{PacketId, QoS, SharedFilter, SubscriptionId};
use std::sync::Arc;
use std::time::Duration;

/// A change of one durable session, or a message for several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// A session begins.
    Began {
        /// Its number.
        session: DurableId,
        /// Whose it is.
        key: Arc<SessionKey>,
    },
    /// A connection begins or ends, or a will is gone.
    Changed {
        /// Which session.
        session: DurableId,
        /// How long it outlives its connection.
        expiry: Option<Duration>,
        /// Since when it has none; `None` while it has one.
        gone_since: Option<Timestamp>,
        /// What is published if it vanishes.
        will: Option<KeptWill>,
    },
    /// A subscription was made or replaced.
    Subscribed {
        /// Which session.
        session: DurableId,
        /// To what.
        filter: SharedFilter,
        /// How it is served.
        options: SubscriptionOptions,
    },
    /// A subscription ended.
    Unsubscribed {
        /// Which session.
        session: DurableId,
        /// Its filter as the session knows it.
        filter: SharedFilter,
    },
    /// A message is to be sent to sessions.
    Queued {
        /// The message.
        message: Arc<Message>,
        /// To whom and how.
        receivers: Vec<Receiver>,
        /// Set if those of QoS 2 must not take it twice.
        once: Option<Once>,
    },
    /// The first message of the queue is in flight.
    Sent {
        /// Which session.
        session: DurableId,
        /// Under which identifier.
        packet_id: PacketId,
    },
    /// The first message of the queue is not sent after all.
    Dropped {
        /// Which session.
        session: DurableId,
    },
    /// A message in flight; only in checkpoints.
    InFlight {
        /// The message and how it is sent.
        receiver: Receiver,
        /// The message.
        message: Arc<Message>,
        /// What is awaited.
        stage: KeptStage,
    },
    /// PUBREC came for a message in flight.
    Received {
        /// Which session.
        session: DurableId,
        /// Its identifier.
        packet_id: PacketId,
    },
    /// A message in flight is done with.
    Finished {
        /// Which session.
        session: DurableId,
        /// Its identifier.
        packet_id: PacketId,
    },
    /// A QoS 2 message of the client was taken over.
    Taken {
        /// Which session.
        session: DurableId,
        /// Its identifier.
        packet_id: PacketId,
    },
    /// The client will not send it again.
    Released {
        /// Which session.
        session: DurableId,
        /// Its identifier.
        packet_id: PacketId,
    },
    /// The end of the queue left the memory as the next chunk.
    Spilled {
        /// Which session.
        session: DurableId,
    },
    /// The first chunk of the queue is dropped, or cannot be read.
    Skipped {
        /// Which session.
        session: DurableId,
    },
    /// The chunks of a queue that are on disk; only in checkpoints.
    Chunks {
        /// Which session.
        session: DurableId,
        /// The number of the first.
        first: u64,
        /// How many messages and bytes each of them has.
        sizes: Vec<(u32, u64)>,
    },
    /// A message that the session must not take twice; only in checkpoints.
    Once {
        /// Which session.
        session: DurableId,
        /// Which message.
        once: Once,
    },
    /// Its publisher has released it.
    Forgotten {
        /// Which session.
        session: DurableId,
        /// Which message.
        once: Once,
    },
    /// The session is over.
    Ended {
        /// Which session.
        session: DurableId,
    },
}

/// How a message is sent to one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receiver {
    /// Which session.
    pub session: DurableId,
    /// With which quality.
    pub qos: QoS,
    /// What it is told.
    pub retain: bool,
    /// Whether it is the stored message of a topic.
    pub is_retained: bool,
    /// Whether the rights decide again when it is sent.
    pub check_delivery: bool,
    /// Of the subscriptions that matched.
    pub subscription_ids: Vec<SubscriptionId>,
    /// Set if it went in flight at once.
    pub packet_id: Option<PacketId>,
}

/// A will as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptWill {
    /// What is published.
    pub message: Arc<Message>,
    /// After which delay.
    pub delay: Duration,
    /// How long it is worth something then, in seconds.
    pub expiry_interval: Option<u32>,
}

/// What a message in flight waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptStage {
    /// PUBACK.
    Ack,
    /// PUBREC.
    Rec,
    /// PUBCOMP.
    Comp,
}

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// The clock of the core.
    pub now: Timestamp,
    /// The clock on the wall, in milliseconds since 1970.
    pub wall_ms: u64,
}

/// Bytes that are no records, or of a format of the future.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RecordProblem {
    /// The bytes end in the middle.
    #[error("the records end in the middle")]
    Truncated,
    /// A format that is not known.
    #[error("the records have format {0}, which this securemq does not know")]
    Format(u8),
    /// A value that means nothing.
    #[error("the records hold a value that means nothing")]
    Value,
}

impl Record {
    /// The session that it is about; `None` for a message, which may be for several.
    pub fn session(&self) -> Option<DurableId> {
        match self {
            Self::Began { session, .. }
            | Self::Changed { session, .. }
            | Self::Subscribed { session, .. }
            | Self::Unsubscribed { session, .. }
            | Self::Sent { session, .. }
            | Self::Dropped { session }
            | Self::Received { session, .. }
            | Self::Finished { session, .. }
            | Self::Taken { session, .. }
            | Self::Released { session, .. }
            | Self::Spilled { session }
            | Self::Skipped { session }
            | Self::Chunks { session, .. }
            | Self::Once { session, .. }
            | Self::Forgotten { session, .. }
            | Self::Ended { session } => Some(*session),
            Self::InFlight { receiver, .. } => Some(receiver.session),
            Self::Queued { .. } => None,
        }
    }

    /// Roughly what it takes, in bytes: what the journal is bounded by.
    pub fn size(&self) -> usize {
        match self {
            Self::Queued { message, receivers, .. } => {
                message.size().saturating_add(receivers.len().saturating_mul(16))
            }
            Self::InFlight { message, .. } => message.size(),
            Self::Changed { will: Some(will), .. } => will.message.size(),
            _ => 64,
        }
    }
}
