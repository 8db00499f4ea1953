//! What a shard keeps in order to keep its journal short, and the forms that sessions take in it.

use crate::broker::effect::{CommitId, CommitOutcome, ConnectionId, Effect, RetainedVersion, SessionRef, Ticket};
use crate::broker::frame::{ChunkId, DurableId, Once};
use crate::broker::message::Message;
use crate::broker::record::{KeptStage, KeptWill, Receiver, Record};
use crate::broker::session::{Queued, Session, Stage};
use crate::protocol::{PacketId, TopicName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// What a shard keeps in order to keep its journal short.
#[derive(Debug, Default)]
pub struct Journal {
    /// The receivers of the message that is being delivered; they share one record.
    pub(super) receivers: Vec<Receiver>,
    /// Their sessions.
    pub(super) owing: Vec<u32>,
    /// Messages of the frame that is being made which may not have to be stored.
    open: VecDeque<OpenMessage>,
    /// Set while a message is routed that must not be taken twice.
    pub(super) once: Option<Once>,
    /// The sessions that have taken such a message.
    pub(super) takers: BTreeMap<Once, Takers>,
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
    /// How often reading the next chunk of a session failed.
    pub(super) unreadable: BTreeMap<DurableId, u32>,
    /// Changes of what is retained that are not on disk yet.
    pub(super) retaining: Vec<(CommitId, TopicName, RetainedVersion)>,
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
    /// The last change of it.
    pub(super) lost_up_to: CommitId,
    /// The last change that is on disk.
    pub(super) stored_up_to: CommitId,
    /// Promises that cannot fail: they waited for the lost frame and wait for the next.
    pub(super) insisting: Vec<Ticket>,
    /// The last number that a session was given, without the partition.
    pub(super) last_session: u64,
}

/// The sessions that have taken a message which must not be taken twice.
#[derive(Debug, Default)]
pub(super) struct Takers {
    /// The first change that says so, or one before it in the same frame.
    pub(super) change: CommitId,
    /// The last of them.
    pub(super) last: CommitId,
    pub(super) sessions: Vec<u32>,
}

/// A message of QoS 1 that went to all its durable receivers at once: if all of them have acknowledged it before its frame
/// is closed, nobody needs it on disk.
#[derive(Debug)]
struct OpenMessage {
    /// Its record.
    commit: CommitId,
    /// The size of the record, in bytes.
    size: u64,
    /// Receivers that have not acknowledged it; none if it is not to be stored any more.
    waiting: usize,
    /// The records of those that have.
    finished: Vec<CommitId>,
}

/// What an acknowledgement means for the frame that is being made.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Finish {
    /// The message is in an earlier frame.
    Written,
    /// Others have it still to acknowledge.
    NotLast,
    /// It was the last: these changes need not be stored.
    Last(Vec<CommitId>),
}

impl Journal {
    /// A record was written down of a message that so many receivers were sent at once.
    pub(super) fn open(&mut self, commit: CommitId, size: usize, waiting: usize) {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        self.open.push_back(OpenMessage { commit, size, waiting, finished: Vec::new() });
    }

    /// Whether the change may not have to be stored.
    pub(super) fn is_open(&self, commit: CommitId) -> bool {
        self.open_at(commit).is_some()
    }

    fn open_at(&self, commit: CommitId) -> Option<usize> {
        self.open.binary_search_by_key(&commit, |message| message.commit).ok()
    }

    /// A receiver has acknowledged the message with this record.
    pub(super) fn finish(&mut self, commit: CommitId) -> Finish {
        let Some(message) = self.open_at(commit).and_then(|at| self.open.get_mut(at)) else { return Finish::Written };
        message.waiting = message.waiting.saturating_sub(1);
        if message.waiting > 0 {
            return Finish::NotLast;
        }
        let mut changes = std::mem::take(&mut message.finished);
        let of_others = u64::try_from(changes.len()).unwrap_or(u64::MAX).saturating_mul(Self::SMALL_RECORD);
        self.growing = self.growing.saturating_sub(message.size).saturating_sub(of_others);
        changes.push(commit);
        while self.open.pop_front_if(|message| message.waiting == 0).is_some() {}
        Finish::Last(changes)
    }

    /// What a receiver wrote down when it acknowledged the message with this record.
    pub(super) fn note_finished(&mut self, message: CommitId, finished: CommitId) {
        if let Some(message) = self.open_at(message).and_then(|at| self.open.get_mut(at)) {
            message.finished.push(finished);
        }
    }

    /// The frame with everything up to this change is on disk, or lost.
    pub(super) fn frame_ended(&mut self, up_to: CommitId, outcome: CommitOutcome) {
        match outcome {
            CommitOutcome::Stored | CommitOutcome::Refused => self.stored_up_to = up_to,
            CommitOutcome::Failed => {
                self.has_lost = true;
                self.lost_up_to = up_to;
            }
        }
    }

    /// Whether the change was in the lost frame, so that it need not be taken back: nothing of it is on disk.
    pub(super) fn is_lost(&self, change: CommitId) -> bool {
        self.has_lost && self.stored_up_to < change && change <= self.lost_up_to
    }

    /// The frame with everything up to this change is closed: what is in it is stored.
    pub(super) fn close_up_to(&mut self, commit: CommitId) {
        while self.open.pop_front_if(|message| message.commit <= commit).is_some() {}
    }

    /// The size of a record that has no message, in bytes.
    const SMALL_RECORD: u64 = 64;

    /// Sessions of earlier runs that are checkpointed with each frame, until all are.
    pub(super) const OLD_SESSIONS_AT_ONCE: usize = 64;

    /// How long a lost frame waits to be tried again when nothing else happens.
    pub(super) const RETRY: Duration = Duration::from_secs(1);

    /// How often a chunk that cannot be read is read again, each time after twice as long: for half a minute, in which a
    /// disk that was busy or full recovers.
    pub(super) const RELOADS: u32 = 5;
}

/// The records that make a session. Messages of the class `memory` are no part of them.
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
    records.extend(session.inbound.all_taken().map(|packet_id| Record::Taken { session: durable, packet_id }));
    records.extend(session.once.iter().map(|once| Record::Once { session: durable, once: *once }));
    let in_flight = session.outbound.inflight().filter(|sent| sent.queued.is_recorded());
    records.extend(in_flight.map(|sent| Record::InFlight {
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
