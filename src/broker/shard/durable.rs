//! What becomes durable: every change of a durable session is a record of the journal, and checkpoints let the journal
//! be cut at its head.

use super::core::Shard;
use super::journal::{Finish, Journal, Takers, kept_will, receiver, snapshot};
use super::policy::may_still_be_sent;
use super::timers::Timer;
use crate::broker::durability::Durability;
use crate::broker::effect::{
    CommitId, CommitOutcome, Delivery, Effect, Effects, PeerFrame, RetainedVersion, StoreOp, Ticket,
};
use crate::broker::frame::{DurableId, Once};
use crate::broker::message::Message;
use crate::broker::reason::Reason;
use crate::broker::record::{Receiver, Record};
use crate::broker::session::{Queued, Sent, Session};
use crate::broker::time::Timestamp;
use crate::protocol::{PacketId, QoS, TopicName};
use std::sync::Arc;

impl Shard {
    /// Writes down a change of a durable session. A session that is not durable is left alone.
    pub(super) fn journal(&mut self, index: u32, record: impl FnOnce(DurableId) -> Record, effects: &mut Effects) {
        self.journal_change_of(index, record, effects);
    }

    fn journal_change_of(
        &mut self,
        index: u32,
        record: impl FnOnce(DurableId) -> Record,
        effects: &mut Effects,
    ) -> Option<CommitId> {
        let session = self.sessions.get(index)?;
        let record = record(session.durable?);
        let commit = self.append(self.durability_of(session.listener, &record), record, effects);
        self.soil(index, commit);
        Some(commit)
    }

    /// What a record must survive. What only says that a message has arrived need not survive a power cut: the message
    /// is sent again then, and a change that relies on it is written behind it and takes it along.
    fn durability_of(&self, listener: Option<Durability>, record: &Record) -> Durability {
        let durabilities = &self.limits.durabilities;
        match record {
            Record::Began { .. }
            | Record::Changed { .. }
            | Record::Subscribed { .. }
            | Record::Unsubscribed { .. }
            | Record::Ended { .. } => durabilities.of_session(listener),
            Record::Queued { message, .. } | Record::InFlight { message, .. } => message.durability,
            Record::Sent { .. }
            | Record::Received { .. }
            | Record::Taken { .. }
            | Record::Released { .. }
            | Record::Once { .. }
            | Record::Forgotten { .. } => durabilities.of_identifiers(),
            Record::Finished { .. }
            | Record::Dropped { .. }
            | Record::Spilled { .. }
            | Record::Skipped { .. }
            | Record::Chunks { .. } => Durability::Os,
        }
    }

    fn append(&mut self, durability: Durability, record: Record, effects: &mut Effects) -> CommitId {
        self.journal.growing = self.journal.growing.saturating_add(u64::try_from(record.size()).unwrap_or(u64::MAX));
        self.store(durability, StoreOp::Journal(record), effects)
    }

    /// The first message of the queue went in flight.
    pub(super) fn journal_sent(&mut self, index: u32, qos: QoS, packet_id: PacketId, effects: &mut Effects) {
        let Some(session) = self.sessions.get(index).and_then(|session| session.durable) else { return };
        let durability = match qos {
            QoS::ExactlyOnce => self.limits.durabilities.of_identifiers(),
            QoS::AtMostOnce | QoS::AtLeastOnce => Durability::Os,
        };
        let commit = self.append(durability, Record::Sent { session, packet_id }, effects);
        self.soil(index, commit);
    }

    /// A receiver has acknowledged a message. If it was the last that the message of this very frame was for, nothing of
    /// it is stored, and whoever published it need not wait for the disk.
    pub(super) fn journal_finished(&mut self, now: Timestamp, index: u32, sent: &Sent, effects: &mut Effects) {
        if !sent.queued.is_recorded() {
            return;
        }
        let packet_id = sent.packet_id;
        let finish = self.journal.finish(sent.record);
        if let Finish::Last(changes) = finish {
            for commit in changes {
                effects.push(Effect::Unstore(commit));
                if let Some(ticket) = self.promises.release(commit)
                    && let Some(kept) = self.promises.settle(ticket, CommitOutcome::Stored)
                {
                    self.promise_kept(now, kept, effects);
                }
            }
            return;
        }
        let written = self.journal_change_of(index, |session| Record::Finished { session, packet_id }, effects);
        if let Some(written) = written.filter(|_| finish == Finish::NotLast) {
            self.journal.note_finished(sent.record, written);
        }
    }

    pub(super) fn unsoil(&mut self, since: CommitId, index: u32) {
        self.journal.dirty.remove(&(since, index));
    }

    pub(super) fn soil(&mut self, index: u32, commit: CommitId) {
        if let Some(session) = self.sessions.get_mut(index)
            && session.dirty_since.is_none()
        {
            session.dirty_since = Some(commit);
            self.journal.dirty.insert((commit, index));
        }
    }

    /// A message is owed to a durable session; with an identifier if it is in flight already. The record is written by
    /// [`Shard::write_receivers`], one for all receivers.
    pub(super) fn owe(&mut self, index: u32, queued: &Queued, packet_id: Option<PacketId>) {
        let Some(session) = self.sessions.get(index).and_then(|session| session.durable) else { return };
        if !queued.is_recorded() {
            return;
        }
        if queued.qos == QoS::ExactlyOnce {
            self.take_once(index);
        }
        self.journal.receivers.push(receiver(session, queued, packet_id));
        self.journal.owing.push(index);
        let next = self.promises.coming_commit();
        self.soil(index, next);
    }

    /// Whether the session has taken the message that is being routed before.
    pub(super) fn has_taken(&self, index: u32) -> bool {
        let session = self.sessions.get(index);
        self.journal.once.zip(session).is_some_and(|(once, session)| session.once.contains(&once))
    }

    /// A receiver has the message that is being routed: whoever publishes it again is told so once the disk knows.
    pub(super) fn wait_for_takers(&mut self, effects: &mut Effects) {
        let takers = self.journal.once.and_then(|once| self.journal.takers.get(&once));
        if takers.is_some_and(|takers| self.journal.stored_up_to < takers.last) {
            self.begin_frame(self.limits.durabilities.of_identifiers(), effects);
        }
    }

    /// The session has taken the message that is being routed from now on.
    fn take_once(&mut self, index: u32) {
        if let Some(once) = self.journal.once
            && let Some(session) = self.sessions.get_mut(index)
            && session.once.insert(once)
        {
            let change = self.promises.coming_commit();
            let none = || Takers { change, last: change, sessions: Vec::new() };
            let takers = self.journal.takers.entry(once).or_insert_with(none);
            takers.last = change;
            takers.sessions.push(index);
        }
    }

    /// A message is released by its publisher, so its receivers forget that they have taken it.
    pub(super) fn forget_once(&mut self, once: Once, effects: &mut Effects) {
        let takers = self.journal.takers.remove(&once).unwrap_or_default();
        let is_lost = self.journal.is_lost(takers.change);
        for index in takers.sessions {
            let session = self.sessions.get_mut(index);
            if session.is_some_and(|session| session.once.remove(&once)) && !is_lost {
                self.journal(index, |session| Record::Forgotten { session, once }, effects);
            }
        }
    }

    /// A publisher's session is over, so nothing that it published comes again.
    pub(super) fn forget_publisher(&mut self, publisher: DurableId, effects: &mut Effects) {
        let first = Once { publisher, packet_id: PacketId::FIRST };
        let of_publisher = self.journal.takers.range(first..).map(|(once, _)| *once);
        let gone: Vec<Once> = of_publisher.take_while(|once| once.publisher == publisher).collect();
        gone.into_iter().for_each(|once| self.forget_once(once, effects));
    }

    /// Writes down to whom the message is owed. Whether it is owed to anybody.
    pub(super) fn write_receivers(&mut self, message: &Arc<Message>, effects: &mut Effects) -> bool {
        if self.journal.receivers.is_empty() {
            return false;
        }
        let receivers = std::mem::take(&mut self.journal.receivers);
        let once = self.journal.once;
        let is_at_once = |receiver: &Receiver| receiver.qos == QoS::AtLeastOnce && receiver.packet_id.is_some();
        let (count, may_be_needless) = (receivers.len(), receivers.iter().all(is_at_once));
        let commit = self.promises.coming_commit();
        for (index, receiver) in self.journal.owing.drain(..).zip(&receivers).filter(|_| may_be_needless) {
            if let Some(session) = self.sessions.get_mut(index) {
                receiver.packet_id.inspect(|packet_id| session.outbound.note_record(*packet_id, commit));
            }
        }
        let record = Record::Queued { message: Arc::clone(message), receivers, once };
        let size = record.size();
        self.append(message.durability, record, effects);
        if may_be_needless {
            self.journal.open(commit, size, count);
        }
        true
    }

    /// Writes down the connection, the expiry and the will of a session.
    pub(super) fn journal_change(&mut self, index: u32, effects: &mut Effects) {
        let Some(session) = self.sessions.get(index) else { return };
        let (expiry, gone_since, will) = (session.expiry, session.gone_since, kept_will(session));
        self.journal(index, |session| Record::Changed { session, expiry, gone_since, will }, effects);
    }

    /// Sends something once the change that was written down last is on disk; at once for sessions that are not durable.
    pub(super) fn send_when_stored(&mut self, index: u32, effect: Effect, effects: &mut Effects) {
        self.send_with(self.promises.last_commit(), index, effect, effects);
    }

    /// Sends something with the change that is about to be written down.
    pub(super) fn send_with_next(&mut self, index: u32, effect: Effect, effects: &mut Effects) {
        self.send_with(self.promises.coming_commit(), index, effect, effects);
    }

    fn send_with(&mut self, commit: CommitId, index: u32, effect: Effect, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(live) = session.live.as_mut() else { return };
        if session.durable.is_none() {
            return self.send_now(index, effect, effects);
        }
        live.waiting = live.waiting.saturating_add(1);
        self.journal.waiting.push_back((commit, session.at, live.connection, effect));
    }

    /// Sends a message that need not wait itself, but not before those that do.
    pub(super) fn send_in_order(&mut self, index: u32, effect: Effect, effects: &mut Effects) {
        match self.live(index) {
            // It waits for nothing but those before it: the last change may be one that is never stored.
            Some(live) if live.waiting > 0 => {
                let last = self.journal.waiting.back().map_or(CommitId(0), |(commit, ..)| *commit);
                self.send_with(last, index, effect, effects);
            }
            _ => self.send_now(index, effect, effects),
        }
    }

    /// Sends what has not to wait any more; a message by an alias, if its receiver takes one.
    fn send_now(&mut self, index: u32, mut effect: Effect, effects: &mut Effects) {
        if let Effect::Deliver { delivery, .. } = &mut effect
            && let Some(live) = self.live(index)
        {
            live.give_alias(delivery);
        }
        effects.push(effect);
    }

    /// The changes so far are about to be stored as one: what keeps the journal short goes with them.
    pub(super) fn complete_frame(&mut self, now: Timestamp, effects: &mut Effects) {
        self.journal.close_up_to(self.promises.last_commit());
        let has_lost = std::mem::take(&mut self.journal.has_lost);
        if has_lost {
            // What waited for the lost frame waits for this one.
            let commit = self.begin_frame(self.limits.durabilities.of_identifiers(), effects);
            for ticket in std::mem::take(&mut self.journal.insisting) {
                self.promises.wait_again(ticket, commit);
            }
            self.repeat_what_was_lost(effects);
        }
        for index in std::mem::take(&mut self.journal.spilling) {
            self.spill(index, effects);
        }
        // A checkpoint has everything that its frame says of the session, so no change may come after it.
        if has_lost {
            let dirty: Vec<u32> = self.journal.dirty.iter().map(|(_, index)| *index).collect();
            dirty.into_iter().for_each(|index| self.checkpoint(index, effects));
        }
        for (index, chunk) in std::mem::take(&mut self.journal.read_back) {
            self.checkpoint(index, effects);
            let commit = self.tidy(StoreOp::DropChunk(chunk), effects);
            self.journal.dropping.push((commit, chunk));
        }
        let last = self.promises.last_commit();
        let growing = std::mem::take(&mut self.journal.growing);
        self.journal.total = self.journal.total.saturating_add(growing);
        self.journal.frames.push_back((last, growing));
        for _ in 0..Journal::OLD_SESSIONS_AT_ONCE {
            match self.journal.dirty.first() {
                Some((CommitId(0), index)) => self.checkpoint(*index, effects),
                _ => break,
            }
        }
        if self.has_old_sessions() {
            self.timers.set(now, Timer::Rewrite);
        }
        while self.journal.total > self.limits.max_journal_bytes
            && let Some((_, index)) = self.journal.dirty.first().copied()
        {
            self.checkpoint(index, effects);
            self.cut(last, effects);
        }
        self.cut(last, effects);
    }

    /// Lets go of the frames before the oldest change that is in no checkpoint.
    fn cut(&mut self, last: CommitId, effects: &mut Effects) {
        let needed = self.journal.dirty.first().map_or(last, |(commit, _)| *commit);
        if needed <= self.journal.cut {
            return;
        }
        self.journal.cut = needed;
        while let Some((_, size)) = self.journal.frames.front().copied().filter(|(number, _)| *number < needed) {
            self.journal.total = self.journal.total.saturating_sub(size);
            self.journal.frames.pop_front();
        }
        self.tidy(StoreOp::Cut { before: needed }, effects);
    }

    /// Has a change stored that must survive this much.
    pub(super) fn store(&mut self, durability: Durability, op: StoreOp, effects: &mut Effects) -> CommitId {
        let commit = self.promises.next_commit();
        effects.push(Effect::Store { commit, durability, op });
        commit
    }

    /// Has something stored that says again what is stored: if a power cut undoes it, what it replaced is there.
    pub(super) fn tidy(&mut self, op: StoreOp, effects: &mut Effects) -> CommitId {
        self.store(Durability::Os, op, effects)
    }

    /// Writes a session down whole, as it is after all changes so far.
    fn checkpoint(&mut self, index: u32, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let at = session.at;
        let since = session.dirty_since.take();
        if let Some(since) = since {
            self.journal.dirty.remove(&(since, index));
        }
        if let Some((session, records)) = self.sessions.get(index).and_then(snapshot) {
            let commit = self.tidy(StoreOp::Checkpoint { session, records }, effects);
            self.journal.covering.extend(since.map(|since| (commit, at, since)));
        }
    }

    /// A session is over.
    pub(super) fn forget(&mut self, session: &Session, durable: DurableId, effects: &mut Effects) {
        let index = session.at.index;
        if let Some(since) = session.dirty_since {
            self.journal.dirty.remove(&(since, index));
        }
        self.journal.spilling.remove(&index);
        self.journal.unreadable.remove(&durable);
        self.journal.read_back.retain(|(other, _)| *other != index);
        self.journal.leaving.retain(|(_, chunk, _)| chunk.session != durable);
        self.by_durable.remove(&durable);
        self.forget_publisher(durable, effects);
        let record = Record::Ended { session: durable };
        let durability = self.durability_of(session.listener, &record).max(self.limits.durabilities.of_session(None));
        self.append(durability, record, effects);
        let commit = self.tidy(StoreOp::Forget(durable), effects);
        self.journal.ending.push((commit, durable));
    }

    /// Sessions that cannot come back any more: other shards may forget what they took from them. If they did so before
    /// the end of the session is on disk, a crash could bring it back, and what it publishes again would be taken twice.
    fn tell_who_is_gone(&mut self, up_to: CommitId, effects: &mut Effects) {
        let (gone, rest) =
            std::mem::take(&mut self.journal.ending).into_iter().partition(|(commit, _)| *commit <= up_to);
        self.journal.ending = rest;
        for (_, publisher) in Vec::into_iter(gone) {
            for peer in self.peers() {
                effects.push(Effect::Forward { peer, frame: PeerFrame::PublisherGone { publisher } });
            }
        }
    }

    /// The store has dealt with every change up to this one.
    pub(super) fn frame_stored(
        &mut self,
        now: Timestamp,
        up_to: CommitId,
        outcome: CommitOutcome,
        effects: &mut Effects,
    ) {
        match outcome {
            CommitOutcome::Stored | CommitOutcome::Refused => {
                self.journal.retaining.retain(|(commit, ..)| *commit > up_to);
                self.journal.leaving.retain(|(commit, _, _)| *commit > up_to);
                self.tell_who_is_gone(up_to, effects);
                self.journal.covering.retain(|(commit, ..)| *commit > up_to);
                self.journal.dropping.retain(|(commit, _)| *commit > up_to);
            }
            CommitOutcome::Failed => {
                self.uncover();
                self.timers.set(now.after(Journal::RETRY), Timer::Rewrite);
            }
        }
        // What waited for a lost frame waits for the next, which says the same again: it cannot be taken back, and to
        // send it once more on the same connection is not allowed. [v5:MQTT-4.4.0-1]
        while outcome != CommitOutcome::Failed
            && let Some((_, at, connection, effect)) =
                self.journal.waiting.pop_front_if(|(commit, ..)| *commit <= up_to)
        {
            let Some(index) = self.find(at) else { continue };
            let Some(live) = self.live(index).filter(|live| live.connection == connection) else { continue };
            live.waiting = live.waiting.saturating_sub(1);
            if let Effect::Deliver { delivery, .. } = &effect
                && self.journal.rights_changed
                && !self.may_still_receive(index, delivery)
            {
                self.withdraw(now, index, delivery, effects);
            } else if let Some(effect) = as_of(now, effect) {
                self.send_now(index, effect, effects);
            }
        }
        self.journal.rights_changed &= !self.journal.waiting.is_empty();
    }

    fn may_still_receive(&self, index: u32, delivery: &Delivery) -> bool {
        let Some(session) = self.sessions.get(index) else { return false };
        may_still_be_sent(&self.policy, session, &delivery.message, delivery.is_retained)
    }

    /// The right to a message went while it waited for the disk: it never was on the wire, so it is not in flight.
    fn withdraw(&mut self, now: Timestamp, index: u32, delivery: &Delivery, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if let Some(live) = &mut session.live {
            live.unwritten = live.unwritten.saturating_sub(delivery.encoded_len(live.version));
        }
        self.counters.drop(Reason::Denied);
        if let Some(packet_id) = delivery.packet_id {
            if let Some(sent) = session.outbound.forget(packet_id) {
                self.journal_finished(now, index, &sent, effects);
            }
            self.pump(now, index, effects);
        }
    }

    /// The checkpoints of a lost frame are not there, so their sessions have changes from long before it.
    fn uncover(&mut self) {
        for (_, at, since) in std::mem::take(&mut self.journal.covering) {
            let Some(index) = self.find(at) else { continue };
            self.clean(index);
            self.soil(index, since);
        }
    }

    /// Goes on with what waits for a frame, even if nothing else happens: what was lost, and sessions of earlier runs.
    pub(super) fn rewrite_due(&mut self, effects: &mut Effects) {
        if self.journal.has_lost || self.has_old_sessions() {
            self.begin_frame(Durability::Os, effects);
        }
    }

    /// Whether sessions of earlier runs are still to be checkpointed.
    fn has_old_sessions(&self) -> bool {
        self.journal.dirty.first().is_some_and(|(since, _)| *since == CommitId(0))
    }

    /// Has a frame made, even if nothing changed.
    pub(super) fn begin_frame(&mut self, durability: Durability, effects: &mut Effects) -> CommitId {
        self.store(durability, StoreOp::Cut { before: self.journal.cut }, effects)
    }

    /// Somebody asks again for what was done already: a promise that is opened now waits until the disk knows.
    pub(super) fn wait_for_earlier_changes(&mut self, effects: &mut Effects) {
        if self.journal.has_lost || self.journal.stored_up_to < self.promises.last_commit() {
            self.begin_frame(self.limits.durabilities.of_identifiers(), effects);
        }
    }

    /// After a lost frame nothing on disk is relied on: what left the memory or ended meanwhile is said again.
    fn repeat_what_was_lost(&mut self, effects: &mut Effects) {
        for (_, chunk) in std::mem::take(&mut self.journal.dropping) {
            let commit = self.tidy(StoreOp::DropChunk(chunk), effects);
            self.journal.dropping.push((commit, chunk));
        }
        for (_, chunk, records) in std::mem::take(&mut self.journal.leaving) {
            let commit = self.tidy(StoreOp::Chunk { chunk, records: Arc::clone(&records) }, effects);
            self.journal.leaving.push((commit, chunk, records));
        }
        // What is retained with this frame for the first time is not lost.
        let lost_up_to = self.journal.lost_up_to;
        let is_lost = |(commit, ..): &(CommitId, TopicName, RetainedVersion)| *commit <= lost_up_to;
        let (lost, rest) = std::mem::take(&mut self.journal.retaining).into_iter().partition(is_lost);
        self.journal.retaining = rest;
        for (_, topic, version) in Vec::into_iter(lost) {
            self.retain_again(&topic, version, effects);
        }
        for (_, durable) in std::mem::take(&mut self.journal.ending) {
            self.append(self.limits.durabilities.of_session(None), Record::Ended { session: durable }, effects);
            let commit = self.tidy(StoreOp::Forget(durable), effects);
            self.journal.ending.push((commit, durable));
        }
    }

    /// A promise waits for what was written down since `before`: for the last of it that is stored in any case, and for
    /// each message that may not have to be.
    pub(super) fn wait_for_changes(&mut self, ticket: Ticket, before: CommitId) {
        let last = self.promises.last_commit().0;
        let certain = (before.0.saturating_add(1)..=last).rev().find(|commit| !self.journal.is_open(CommitId(*commit)));
        for commit in (before.0.saturating_add(1)..=last).map(CommitId) {
            if Some(commit.0) == certain || self.journal.is_open(commit) {
                self.promises.wait_for_commit(ticket, commit);
            }
        }
    }
}

/// What waited for the disk, as it is sent now: with the expiry that is left by now [v5:MQTT-3.3.2-6]. Of QoS 0, nothing
/// is sent that expired meanwhile; above it, its delivery had begun before.
fn as_of(now: Timestamp, effect: Effect) -> Option<Effect> {
    let Effect::Deliver { connection, mut delivery } = effect else { return Some(effect) };
    if delivery.packet_id.is_none() && delivery.message.is_expired(now) {
        return None;
    }
    delivery.expiry_left = delivery.message.expires_at.map(|end| end.secs_left(now));
    Some(Effect::Deliver { connection, delivery })
}
