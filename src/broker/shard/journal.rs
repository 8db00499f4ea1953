//! What a shard keeps in order to keep its journal short, and the forms that sessions take in it.

use crate::broker::effect::{CommitId, ConnectionId, Effect, SessionRef};
use crate::broker::frame::{ChunkId, DurableId, Once};
use crate::broker::message::Message;
use crate::broker::record::{KeptStage, KeptWill, Receiver, Record};
use crate::broker::session::{Queued, Session, Stage};
use crate::protocol::PacketId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a shard keeps in order to keep its journal short.
#[derive(Debug, Default)]
pub struct Journal {
    /// The receivers of the message that is being delivered; they share one record.
    pub(super) receivers: Vec<Receiver>,
    /// Set while a message is routed that must not be taken twice.
    pub(super) once: Option<Once>,
    /// The sessions that have taken such a message.
    pub(super) takers: BTreeMap<Once, Vec<u32>>,
    /// The sessions with changes that their checkpoints do not have, those with the oldest first.
    pub(super) dirty: BTreeSet<(CommitId, u32)>,
    /// The sizes of the frames since the cut, in bytes, by their last change.
    pub(super) frames: VecDeque<(CommitId, u64)>,
    /// The size of the frame that is being made.
    pub(super) growing: u64,
    /// The size of all of them.
    pub(super) total: u64,
    pub(super) cut: CommitId,
    /// Sessions whose next chunk can leave the memory.
    pub(super) spilling: BTreeSet<u32>,
    /// Chunks that were read back; they are dropped with the checkpoint that has their messages.
    pub(super) read_back: Vec<(u32, ChunkId)>,
    /// Chunks that left the memory and are not on disk yet.
    pub(super) leaving: Vec<(CommitId, ChunkId, Arc<Vec<Record>>)>,
    /// Chunks that are not needed and may still be on disk.
    pub(super) dropping: Vec<(CommitId, ChunkId)>,
    /// Checkpoints that are on their way, each with the first change that the session's last one did not have.
    pub(super) covering: Vec<(CommitId, SessionRef, CommitId)>,
    /// Sessions that ended and may still be on disk.
    pub(super) ending: Vec<(CommitId, DurableId)>,
    /// What may be sent once a change is on disk.
    pub(super) waiting: VecDeque<(CommitId, SessionRef, ConnectionId, Effect)>,
    /// Whether rights changed while something waited, so that it must be asked about again.
    pub(super) rights_changed: bool,
    /// Whether a frame was lost, so that the next one must not rely on it.
    pub(super) has_lost: bool,
    /// The last number that a session was given, without the partition.
    pub(super) last_session: u64,
}

impl Journal {
    /// Sessions of earlier runs that are checkpointed with each frame, until all are.
    pub(super) const OLD_SESSIONS_AT_ONCE: usize = 64;

    /// How long a lost frame waits to be tried again when nothing else happens.
    pub(super) const RETRY: Duration = Duration::from_secs(1);
}

/// The records that make a session.
pub(super) fn snapshot(session: &Session) -> Option<(DurableId, Vec<Record>)> {
    let durable = session.durable?;
    let mut records = vec![
        Record::Began { session: durable, key: Arc::clone(&session.key) },
        Record::Changed {
            session: durable,
            expiry: session.expiry,
            gone_since: session.gone_since,
            will: kept_will(session),
        },
    ];
    records.extend(session.subscriptions.values().map(|subscription| Record::Subscribed {
        session: durable,
        filter: subscription.filter.clone(),
        options: subscription.options,
    }));
    records.extend(
        session.inbound.unreleased.keys().map(|packet_id| Record::Taken { session: durable, packet_id: *packet_id }),
    );
    records.extend(session.once.iter().map(|once| Record::Once { session: durable, once: *once }));
    records.extend(session.outbound.inflight().map(|sent| Record::InFlight {
        receiver: receiver(durable, &sent.queued, Some(sent.packet_id)),
        message: Arc::clone(&sent.queued.message),
        stage: match sent.stage {
            Stage::Ack => KeptStage::Ack,
            Stage::Rec => KeptStage::Rec,
            Stage::Comp => KeptStage::Comp,
        },
    }));
    let (head, first, sizes, end) = session.outbound.queue();
    let owed = |queued: &Queued| Record::Queued {
        message: Arc::clone(&queued.message),
        receivers: vec![receiver(durable, queued, None)],
        once: None,
    };
    records.extend(head.map(owed));
    records.push(Record::Chunks { session: durable, first, sizes });
    records.extend(end.map(owed));
    Some((durable, records))
}

pub(super) fn kept_will(session: &Session) -> Option<KeptWill> {
    session.will.as_ref().map(|will| KeptWill {
        message: Arc::new(will.message.clone()),
        delay: will.delay,
        expiry_interval: will.expiry_interval,
    })
}

pub(super) fn receiver(session: DurableId, queued: &Queued, packet_id: Option<PacketId>) -> Receiver {
    Receiver {
        session,
        qos: queued.qos,
        retain: queued.retain,
        is_retained: queued.is_retained,
        check_delivery: queued.check_delivery,
        subscription_ids: queued.subscription_ids.clone(),
        packet_id,
    }
}

/// A message as it was owed.
pub(super) fn queued(message: Arc<Message>, receiver: &Receiver) -> Queued {
    Queued {
        message,
        qos: receiver.qos,
        retain: receiver.retain,
        subscription_ids: receiver.subscription_ids.clone(),
        check_delivery: receiver.check_delivery,
        is_retained: receiver.is_retained,
    }
}
