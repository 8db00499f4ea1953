//! The queues of durable sessions: parts of them leave the memory and are read back, and the oldest make room.

use super::core::Shard;
use super::journal::{Journal, queued, receiver};
use super::timers::Timer;
use crate::broker::effect::{Effect, Effects, SessionRef, StoreOp};
use crate::broker::event::EventKind;
use crate::broker::frame::ChunkId;
use crate::broker::reason::Reason;
use crate::broker::record::Record;
use crate::broker::session::Queued;
use crate::broker::time::Timestamp;
use crate::protocol::QoS;
use std::sync::Arc;

impl Shard {
    /// Remembers that the end of a queue may leave the memory with the next frame.
    pub(super) fn note_length(&mut self, index: u32) {
        if self.sessions.get(index).is_some_and(|session| session.outbound.can_spill()) {
            self.journal.spilling.insert(index);
        }
    }

    pub(super) fn spill(&mut self, index: u32, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(durable) = session.durable.filter(|_| session.outbound.can_spill()) else { return };
        let (number, messages) = session.outbound.spill();
        let records = messages.iter().map(|queued| Record::Queued {
            message: Arc::clone(&queued.message),
            receivers: vec![receiver(durable, queued, None)],
            once: None,
        });
        let (chunk, records) = (ChunkId { session: durable, number }, Arc::new(records.collect::<Vec<_>>()));
        self.journal(index, |session| Record::Spilled { session }, effects);
        let commit = self.tidy(StoreOp::Chunk { chunk, records: Arc::clone(&records) }, effects);
        self.journal.leaving.push((commit, chunk, records));
    }

    /// Asks for the next part of a queue if its head has run out.
    pub(super) fn load_chunk(&mut self, now: Timestamp, index: u32, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(durable) = session.durable else { return };
        let Some(number) = session.outbound.wanted_chunk() else { return };
        let chunk = ChunkId { session: durable, number };
        // One that is not on disk yet cannot be read from there.
        match self.journal.leaving.iter().position(|(_, leaving, _)| *leaving == chunk) {
            Some(at) => {
                let (_, _, records) = self.journal.leaving.remove(at);
                self.chunk_loaded(now, chunk, Some(Arc::unwrap_or_clone(records)), effects);
            }
            None => effects.push(Effect::Load(chunk)),
        }
    }

    /// A part of a queue was read back; `None` if it cannot be read, which is tried again, and in the end said and survived.
    pub(super) fn chunk_loaded(
        &mut self,
        now: Timestamp,
        chunk: ChunkId,
        records: Option<Vec<Record>>,
        effects: &mut Effects,
    ) {
        let Some(&index) = self.by_durable.get(&chunk.session) else { return };
        let Some(records) = records else { return self.chunk_unreadable(now, index, chunk, effects) };
        self.journal.unreadable.remove(&chunk.session);
        let messages = records.into_iter().filter_map(|record| match record {
            Record::Queued { message, receivers, .. } => Some(queued(message, receivers.first()?)),
            _ => None,
        });
        let messages = messages.collect();
        let Some(session) = self.sessions.get_mut(index) else { return };
        if session.outbound.chunk_loaded(chunk.number, messages) {
            self.journal.read_back.push((index, chunk));
            self.count_queue(index);
            // Nothing else may happen for a while, so the frame that drops the chunk is asked for.
            let next = self.promises.coming_commit();
            self.soil(index, next);
            self.journal_change(index, effects);
            self.pump(now, index, effects);
        }
    }

    /// Waits a while and tries again, in vain so many times; then the part is set aside: it stays in the store until its
    /// session ends, and the queue goes on behind it.
    fn chunk_unreadable(&mut self, now: Timestamp, index: u32, chunk: ChunkId, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if session.outbound.loading() != Some(chunk.number) {
            return;
        }
        let at = session.at;
        let tries = self.journal.unreadable.entry(chunk.session).or_default();
        if *tries < Journal::RELOADS {
            self.timers.set(now.after(Journal::RETRY.saturating_mul(1 << *tries)), Timer::Reload(at));
            *tries = tries.saturating_add(1);
            return;
        }
        self.journal.unreadable.remove(&chunk.session);
        session.outbound.give_up_loading();
        let Some((number, messages)) = session.outbound.skip_chunk() else { return };
        self.journal(index, |session| Record::Skipped { session }, effects);
        self.counters.drop_many(Reason::Unreadable, messages);
        let text = format!(
            "{messages} queued messages cannot be read from the store and are left out; part {number} of the queue of \
             session {} is kept until the session ends",
            chunk.session.0
        );
        self.record(index, EventKind::Notice { text }, effects);
        self.pump(now, index, effects);
    }

    /// Reads a part of a queue again that could not be read.
    pub(super) fn reload_due(&mut self, at: SessionRef, effects: &mut Effects) {
        let Some(session) = self.find(at).and_then(|index| self.sessions.get(index)) else { return };
        if let Some((session, number)) = session.durable.zip(session.outbound.loading()) {
            effects.push(Effect::Load(ChunkId { session, number }));
        }
    }

    /// Takes the oldest that waits for a session out of its queue to make room: a message, or of what is on disk the
    /// first part as a whole. Whether there was one.
    pub(super) fn drop_oldest(
        &mut self,
        now: Timestamp,
        index: u32,
        newest: &Queued,
        reason: Reason,
        effects: &mut Effects,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(index) else { return false };
        let oldest = match newest.qos {
            QoS::AtMostOnce => session.outbound.pop_qos0(),
            QoS::AtLeastOnce | QoS::ExactlyOnce => session.outbound.pop(),
        };
        let is_dropped = match oldest {
            Some(oldest) => {
                if oldest.is_recorded() {
                    self.journal(index, |session| Record::Dropped { session }, effects);
                }
                self.dropped(now, index, &oldest.message, reason, effects);
                true
            }
            None if newest.qos > QoS::AtMostOnce => self.drop_oldest_chunk(now, index, newest, reason, effects),
            None => false,
        };
        self.count_queue(index);
        is_dropped
    }

    fn drop_oldest_chunk(
        &mut self,
        now: Timestamp,
        index: u32,
        newest: &Queued,
        reason: Reason,
        effects: &mut Effects,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(index) else { return false };
        let Some(durable) = session.durable else { return false };
        let Some((number, messages)) = session.outbound.skip_chunk() else { return false };
        let chunk = ChunkId { session: durable, number };
        self.journal(index, |session| Record::Skipped { session }, effects);
        self.journal.leaving.retain(|(_, leaving, _)| *leaving != chunk);
        let commit = self.tidy(StoreOp::DropChunk(chunk), effects);
        self.journal.dropping.push((commit, chunk));
        self.counters.drop_many(reason, messages);
        self.say_drop(
            now,
            index,
            reason,
            newest.message.topic.text(),
            u32::try_from(messages).unwrap_or(u32::MAX),
            effects,
        );
        true
    }
}
