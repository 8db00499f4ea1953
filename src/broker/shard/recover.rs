//! How durable sessions come back after a start: record by record, then all at once.

use super::core::Shard;
use super::journal::queued;
use super::timers::Timer;
use crate::broker::durability::Durability;
use crate::broker::effect::{CommitId, Effects};
use crate::broker::frame::{DurableId, Once};
use crate::broker::message::{Message, SessionKey};
use crate::broker::reason::Reason;
use crate::broker::record::{KeptStage, Receiver, Record};
use crate::broker::session::{Queued, Stage, Subscription, Will};
use crate::broker::time::Timestamp;
use crate::protocol::{PacketId, QoS};
use std::sync::Arc;

/// A run of the broker has this many numbers for new sessions, in powers of two.
const SESSIONS_PER_RUN_BITS: u32 = 32;

impl Shard {
    /// A session as a checkpoint has it.
    pub(super) fn restore_checkpoint(&mut self, records: Vec<Record>) {
        let mut restored = None;
        let mut is_head = true;
        for record in records {
            match record {
                // The messages before the chunks are the head of the queue, those after them its end.
                Record::Queued { message, receivers, .. } => {
                    for receiver in &receivers {
                        self.restore_queued(queued(Arc::clone(&message), receiver), receiver.session, is_head);
                    }
                }
                Record::Began { session, key } => {
                    restored = Some(session);
                    self.restore_session(session, key);
                }
                other => {
                    is_head &= !matches!(other, Record::Chunks { .. });
                    self.apply(other);
                }
            }
        }
        if let Some(index) = restored.and_then(|session| self.by_durable.get(&session).copied()) {
            // What the checkpoint has is on disk already.
            self.clean(index);
        }
    }

    fn restore_queued(&mut self, queued: Queued, session: DurableId, is_head: bool) {
        let Some(&index) = self.by_durable.get(&session) else { return };
        let Some(session) = self.sessions.get_mut(index) else { return };
        if is_head {
            session.outbound.push_head(queued);
        } else {
            session.outbound.push_end(queued);
        }
    }

    /// A change that came after the checkpoint of its session.
    pub(super) fn replay(&mut self, record: Record) {
        self.apply(record);
    }

    pub(super) fn clean(&mut self, index: u32) {
        if let Some(since) = self.sessions.get_mut(index).and_then(|session| session.dirty_since.take()) {
            self.unsoil(since, index);
        }
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Began { session, key } => self.restore_session(session, key),
            Record::Changed { session, expiry, gone_since, will } => {
                let Some(index) = self.touch(session) else { return };
                let Some(session) = self.sessions.get_mut(index) else { return };
                session.expiry = expiry;
                session.gone_since = gone_since;
                session.will = will.map(|will| {
                    Box::new(Will {
                        message: Arc::unwrap_or_clone(will.message),
                        delay: will.delay,
                        expiry_interval: will.expiry_interval,
                    })
                });
            }
            Record::Subscribed { session, filter, options } => {
                let Some(index) = self.touch(session) else { return };
                let Some(session) = self.sessions.get_mut(index) else { return };
                session.subscriptions.insert(filter.to_string().into(), Box::new(Subscription { filter, options }));
            }
            Record::Unsubscribed { session, filter } => {
                let Some(index) = self.touch(session) else { return };
                let Some(session) = self.sessions.get_mut(index) else { return };
                session.subscriptions.remove(filter.to_string().as_str());
            }
            Record::Queued { message, receivers, once } => {
                for receiver in &receivers {
                    let Some(index) = self.touch(receiver.session) else { continue };
                    if let Some(once) = once.filter(|_| receiver.qos == QoS::ExactlyOnce) {
                        self.restore_once(index, once);
                    }
                    let Some(session) = self.sessions.get_mut(index) else { continue };
                    let queued = queued(Arc::clone(&message), receiver);
                    match receiver.packet_id {
                        Some(packet_id) => {
                            let stage = Stage::first(queued.qos);
                            session.outbound.put_inflight(packet_id, queued, stage);
                        }
                        None => session.outbound.push(queued),
                    }
                }
            }
            Record::Sent { session, packet_id } => {
                let Some(index) = self.touch(session) else { return };
                let Some(session) = self.sessions.get_mut(index) else { return };
                if let Some(queued) = session.outbound.pop() {
                    let stage = Stage::first(queued.qos);
                    session.outbound.put_inflight(packet_id, queued, stage);
                }
            }
            Record::Dropped { session } => {
                let Some(index) = self.touch(session) else { return };
                if let Some(session) = self.sessions.get_mut(index) {
                    session.outbound.pop();
                }
            }
            Record::InFlight { receiver, message, stage } => self.restore_inflight(&receiver, message, stage),
            Record::Received { session, packet_id } => {
                let Some(index) = self.touch(session) else { return };
                if let Some(session) = self.sessions.get_mut(index) {
                    session.outbound.receive(packet_id);
                }
            }
            Record::Finished { session, packet_id } => {
                let Some(index) = self.touch(session) else { return };
                if let Some(session) = self.sessions.get_mut(index) {
                    session.outbound.forget(packet_id);
                }
            }
            Record::Taken { session, packet_id } => self.restore_taken(session, packet_id),
            Record::Released { session, packet_id } => {
                let Some(index) = self.touch(session) else { return };
                if let Some(session) = self.sessions.get_mut(index) {
                    session.inbound.release(packet_id);
                }
            }
            Record::Spilled { session } => {
                let Some(index) = self.touch(session) else { return };
                if let Some(session) = self.sessions.get_mut(index) {
                    session.outbound.spill();
                }
            }
            Record::Skipped { session } => {
                let Some(index) = self.touch(session) else { return };
                if let Some(session) = self.sessions.get_mut(index) {
                    session.outbound.skip_chunk();
                }
            }
            Record::Chunks { session, first, sizes } => {
                let Some(index) = self.touch(session) else { return };
                if let Some(session) = self.sessions.get_mut(index) {
                    session.outbound.set_chunks(first, sizes);
                }
            }
            Record::Once { session, once } => {
                if let Some(index) = self.touch(session) {
                    self.restore_once(index, once);
                }
            }
            Record::Forgotten { session, once } => {
                let Some(index) = self.touch(session) else { return };
                if let Some(session) = self.sessions.get_mut(index) {
                    session.once.remove(&once);
                }
            }
            Record::Ended { session } => {
                let Some(index) = self.by_durable.remove(&session) else { return };
                self.clean(index);
                if let Some(session) = self.sessions.remove(index) {
                    // A later session of the same client may be there already, from its checkpoint.
                    if self.by_key.get(&session.key) == Some(&index) {
                        self.by_key.remove(&session.key);
                    }
                }
            }
        }
    }

    /// The session of a record, which has a change now that its checkpoint does not have.
    fn touch(&mut self, session: DurableId) -> Option<u32> {
        let index = *self.by_durable.get(&session)?;
        self.soil(index, CommitId(0));
        Some(index)
    }

    fn restore_session(&mut self, session: DurableId, key: Arc<SessionKey>) {
        if self.by_durable.contains_key(&session) {
            return;
        }
        let later = self.by_key.get(&key).copied().filter(|&index| self.is_later(index, session));
        let index = self.place_session(Arc::clone(&key), Some(session));
        if let Some(later) = later {
            // This one is over, which its journal is about to say.
            self.by_key.insert(key, later);
        }
        self.soil(index, CommitId(0));
    }

    fn is_later(&self, index: u32, session: DurableId) -> bool {
        let durable = self.sessions.get(index).and_then(|session| session.durable);
        durable.is_some_and(|durable| durable.count() > session.count())
    }

    fn restore_inflight(&mut self, receiver: &Receiver, message: Arc<Message>, stage: KeptStage) {
        let Some(index) = self.touch(receiver.session) else { return };
        let Some(session) = self.sessions.get_mut(index) else { return };
        let stage = match stage {
            KeptStage::Ack => Stage::Ack,
            KeptStage::Rec => Stage::Rec,
            KeptStage::Comp => Stage::Comp,
        };
        if let Some(packet_id) = receiver.packet_id {
            session.outbound.put_inflight(packet_id, queued(message, receiver), stage);
        }
    }

    fn restore_once(&mut self, index: u32, once: Once) {
        if let Some(session) = self.sessions.get_mut(index)
            && session.once.insert(once)
        {
            self.journal.takers.entry(once).or_default().sessions.push(index);
        }
    }

    fn restore_taken(&mut self, session: DurableId, packet_id: PacketId) {
        let Some(index) = self.touch(session) else { return };
        if let Some(session) = self.sessions.get_mut(index) {
            session.inbound.restore_taken(packet_id);
        }
    }

    /// Every session is as it was: now its subscriptions hold, its rights are those of today, and what was due while the
    /// broker was down, or became due because it went down, is done.
    pub(super) fn recovered(&mut self, now: Timestamp, went_down: Timestamp, run: u64, effects: &mut Effects) {
        // Numbers of sessions that are over are not given out again: somebody may still know them.
        self.journal.last_session = self.journal.last_session.max(run << SESSIONS_PER_RUN_BITS);
        for index in self.sessions.indexes() {
            let Some(session) = self.sessions.get_mut(index) else { continue };
            let was_connected = session.gone_since.is_none();
            let gone_since = *session.gone_since.get_or_insert(went_down);
            session.recheck_queue = true;
            let (at, expiry) = (session.at, session.expiry);
            let delay = session.will.as_ref().map(|will| will.delay);
            let subscriptions: Vec<_> = session.subscriptions.values().cloned().collect();
            for subscription in subscriptions {
                self.add_subscription(index, &subscription.filter, subscription.options, None, effects);
            }
            self.renew_rights(index);
            self.count_queue(index);
            self.timers.set(gone_since.after(expiry.unwrap_or_default()), Timer::SessionExpiry(at));
            if let Some(delay) = delay {
                self.timers.set(gone_since.after(delay), Timer::Will(at));
            }
            if was_connected {
                self.journal_change(index, effects);
            }
            if self.is_removed(index) {
                self.end_session(now, index, Reason::UserRemoved, effects);
            }
        }
        // The first frame says how much of the past is still needed, even if nothing happens.
        self.begin_frame(Durability::Os, effects);
    }
}
