//! The bounds of everything a client can make grow.

use super::durability::Durabilities;
use std::sync::Arc;

/// What one shard allows. Each bound says what happens beyond it; none is infinite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The largest packet accepted, in bytes; announced in CONNACK. Beyond: 0x95 and the connection ends.
    pub max_packet_size: u32,
    /// QoS 1 and 2 messages accepted unacknowledged; announced in CONNACK. Beyond: 0x93 and the connection ends.
    pub receive_maximum: u16,
    /// QoS 1 and 2 messages sent unacknowledged, where the client allows more. Beyond: they wait in the queue.
    pub max_inflight: u16,
    /// Topic aliases accepted and used on one connection. Beyond: 0x94; topics are sent in full.
    pub topic_alias_maximum: u16,
    /// The longest keep alive, in seconds; 0 accepts any. Beyond: 5.0 is told to use this one.
    pub max_keep_alive: u16,
    /// The longest session expiry, in seconds. Beyond: this one is used, and 5.0 is told.
    pub max_session_expiry: u32,
    /// Sessions in this shard. Beyond: CONNECT is refused with 0x97.
    pub max_sessions: usize,
    /// Messages queued for one session. Beyond: what [`Durabilities::queue_full`] says.
    pub max_queued_messages: usize,
    /// Bytes queued for one session. Beyond: what [`Durabilities::queue_full`] says.
    pub max_queued_bytes: usize,
    /// Messages queued for all sessions of this shard. Beyond: as for one session.
    pub max_all_queued_messages: usize,
    /// Bytes queued for all sessions of this shard. Beyond: as for one session.
    pub max_all_queued_bytes: usize,
    /// Subscriptions of one session. Beyond: 0x97 in SUBACK.
    pub max_subscriptions: usize,
    /// Retained messages. Beyond: a new topic is refused with 0x97.
    pub max_retained_messages: usize,
    /// Bytes of retained messages. Beyond: 0x97.
    pub max_retained_bytes: usize,
    /// User properties of one packet. Beyond: 0x97, and the connection ends. They cost far more than their bytes.
    pub max_user_properties: usize,
    /// Bytes handed to a connection and not yet written to its socket. Beyond: messages wait in the queue, QoS 0 up
    /// to [`Limits::QUEUED_QOS0_BYTES`].
    pub high_water: usize,
    /// Bytes of journal that a start has to replay. Beyond: the sessions with the oldest changes are written whole.
    pub max_journal_bytes: u64,
    /// Where the queue of a durable session is cut. Beyond: it leaves the memory.
    pub queue_parts: QueueParts,
    /// Whether every routed message becomes an event.
    pub log_publish: bool,
    /// Such events per second. Beyond: they are only counted.
    pub max_events_per_second: u32,
    /// What acknowledgements promise, and what happens when a queue is full.
    pub durabilities: Arc<Durabilities>,
}

/// How long the parts of a queue are that is partly on disk.
///
/// The journal says that a part left the memory, not which messages it had: that follows from these numbers. So a journal
/// is replayed with the numbers it was written with, and nobody can set them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueParts {
    /// Messages that the head of a queue has when it stops growing; the rest can leave the memory.
    pub head_messages: usize,
    /// Bytes that it has then.
    pub head_bytes: usize,
    /// Messages that make a chunk: enough for one read to be worth it, few enough to be in memory for each client that
    /// drains its queue.
    pub chunk_messages: usize,
    /// Bytes that make one, too.
    pub chunk_bytes: usize,
}

impl Limits {
    /// Bytes queued for a session beyond which its QoS 0 messages are dropped: a receiver that reads this slowly
    /// must not hold the memory of all others.
    pub const QUEUED_QOS0_BYTES: usize = 1 << 20;

    /// Bytes queued for a session that ends with its connection: its queue cannot leave the memory.
    pub const QUEUED_IN_MEMORY_BYTES: usize = 16 << 20;

    /// Acknowledgements of one session that wait for something, those of new messages not counted: the receive maximum
    /// bounds them. Beyond: 0x97 and the connection ends of a client that asks on without waiting for answers.
    pub const MAX_HELD_ACKS: usize = 4096;

    /// Retained messages waiting to be sent to one session. A subscription that would exceed it is refused with 0x97,
    /// so that subscribing to `#` in a loop without reading cannot fill the memory.
    pub const MAX_RETAINED_BACKLOG: usize = 1_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_packet_size: 1 << 20,
            receive_maximum: 1024,
            max_inflight: 1024,
            topic_alias_maximum: 64,
            max_keep_alive: 0,
            max_session_expiry: 7 * 24 * 3600,
            max_sessions: 1_000_000,
            max_queued_messages: 1_000_000,
            max_queued_bytes: 1 << 30,
            max_all_queued_messages: 20_000_000,
            max_all_queued_bytes: 16 << 30,
            max_subscriptions: 100_000,
            max_retained_messages: 1_000_000,
            max_retained_bytes: 1 << 30,
            max_user_properties: 64,
            high_water: 256 << 10,
            max_journal_bytes: 16 << 20,
            queue_parts: QueueParts {
                head_messages: 256,
                head_bytes: 64 << 10,
                chunk_messages: 1024,
                chunk_bytes: 256 << 10,
            },
            log_publish: true,
            max_events_per_second: 2000,
            durabilities: Arc::default(),
        }
    }
}
