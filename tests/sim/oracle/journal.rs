//! What shards tell the disk, and what the disk has: everything that has to wait for it is noted here.

use super::{Current, Oracle, number_in};
use securemq::broker::{CommitId, CommitOutcome, Record, StoreOp};

impl Oracle {
    pub fn commit_arrives(&mut self, shard: u16, up_to: CommitId, outcome: CommitOutcome) {
        self.changes_are_written(shard, up_to, outcome);
        let before = self.frames[usize::from(shard)].last().map_or(CommitId(0), |(last, _)| *last);
        self.frames[usize::from(shard)].push((up_to, outcome));
        if outcome == CommitOutcome::Failed {
            let is_in =
                |(_, (of, commit)): &(u64, (u16, CommitId))| *of == shard && *commit > before && *commit <= up_to;
            self.messages.iter_mut().for_each(|known| known.commit_failed |= known.waits.iter().any(is_in));
        }
    }

    /// What became of a change when its frame was dealt with.
    pub(super) fn outcome_of(&self, (shard, commit): (u16, CommitId)) -> Option<CommitOutcome> {
        let mut frames = self.frames[usize::from(shard)].iter();
        frames.find(|(last, _)| *last >= commit).map(|(_, outcome)| *outcome)
    }

    /// Whether a change is on disk, with its own frame or a later one.
    pub(super) fn is_safe(&self, (shard, commit): (u16, CommitId)) -> bool {
        let mut frames = self.frames[usize::from(shard)].iter();
        frames.any(|(last, outcome)| *last >= commit && *outcome == CommitOutcome::Stored)
    }

    pub(super) fn store_is_told(&mut self, shard: u16, commit: CommitId, op: &StoreOp) {
        let (version, number) = match op {
            StoreOp::Retain { message, version } => (*version, number_in(message)),
            StoreOp::Unretain { version, .. } => (*version, None),
            StoreOp::Journal(record) => return self.journal_is_told((shard, commit), record),
            StoreOp::Checkpoint { .. }
            | StoreOp::Chunk { .. }
            | StoreOp::DropChunk(_)
            | StoreOp::Forget(_)
            | StoreOp::Cut { .. } => return,
        };
        self.will_is_seen(shard, number);
        let published = if let Current::Publish { number, .. } = self.current { Some(number) } else { None };
        let number = number.or(published.filter(|&number| self.messages[number as usize].new.is_empty));
        let Some(number) = number else { return self.kept_expires(version, (shard, commit)) };
        if matches!(self.current, Current::Other) && self.is_kept_again(number, version, (shard, commit)) {
            return;
        }
        let moment = self.moment;
        let known = self.message(number);
        known.commit = Some((shard, commit));
        if matches!(self.current, Current::Publish { .. })
            && self.messages[number as usize].routed.last() != Some(&moment)
        {
            self.repetition_is_routed(number);
        }
        self.message_is_kept(number, version, (shard, commit));
        if let Current::Publish { connection, .. } = self.current {
            self.answer_waits_for(connection, number, (shard, commit));
        }
    }

    fn journal_is_told(&mut self, change: (u16, CommitId), record: &Record) {
        if let Record::Began { session, key } = record {
            self.durable.insert(*session, (**key).clone());
            self.began = Some(*session);
        }
        match record {
            Record::Changed { session, gone_since, will, .. } => {
                self.absence_is_written(*session, gone_since.map(|_| change));
                self.wills_let_go.extend(self.durable.get(session).filter(|_| will.is_none()).cloned());
            }
            Record::Ended { session } => self.endings.push((change, *session)),
            _ => {}
        }
        match record {
            Record::Began { session, .. } | Record::Changed { session, .. } | Record::Ended { session } => {
                // A session that ends may take its will along to others, whose matter is not the client's.
                if let Current::Connect { key, .. } = &self.current
                    && self.durable.get(session) == Some(key)
                {
                    self.journaled = Some(change);
                }
            }
            Record::Subscribed { .. } => {
                if let Current::Subscribe { connection, .. } = self.current
                    && let Some(fact) = self.connections.get_mut(&connection)
                    && let Some(pending) = fact.subacks.back_mut()
                {
                    pending.change = Some(change);
                }
            }
            Record::Unsubscribed { .. } => {
                if let Current::Unsubscribe { connection } = self.current
                    && let Some(fact) = self.connections.get_mut(&connection)
                    && let Some((_, waits)) = fact.unsubacks.back_mut()
                {
                    *waits = Some(change);
                }
            }
            Record::Released { .. } => {
                if let Current::Release { connection } = self.current
                    && let Some(fact) = self.connections.get_mut(&connection)
                    && let Some((_, waits)) = fact.pubcomps.back_mut()
                {
                    *waits = Some(change);
                }
            }
            Record::Queued { message, receivers, .. } => {
                for receiver in receivers {
                    if let (Some(packet_id), Some(key)) = (receiver.packet_id, self.durable.get(&receiver.session)) {
                        self.sent_with.insert((key.clone(), packet_id), change);
                    }
                }
                match self.current {
                    Current::Publish { number, .. } => self.message_waits_for(number, self.moment, change),
                    Current::Passed { number, routed } if number_in(message).is_none_or(|of| of == number) => {
                        self.message_waits_for(number, routed, change);
                    }
                    _ => self.will_waits_for(message, change),
                }
            }
            Record::Taken { .. } => {
                if let Current::Publish { number, .. } = self.current {
                    self.message_waits_for(number, self.moment, change);
                }
            }
            Record::Sent { session, packet_id } => {
                if let Some(key) = self.durable.get(session) {
                    self.sent_with.insert((key.clone(), *packet_id), change);
                }
            }
            Record::Received { session, packet_id } => {
                if let Some(key) = self.durable.get(session) {
                    self.received_with.insert((key.clone(), *packet_id), change);
                }
            }
            _ => {}
        }
    }

    /// All who were owed a message have it, so it need not be on disk. That nothing else is left out shows when a session
    /// is compared with what a start would make of it.
    pub(super) fn nobody_waits_for(&mut self, change: (u16, CommitId)) {
        self.messages.iter_mut().for_each(|known| known.waits.retain(|(_, waits)| *waits != change));
    }

    fn message_waits_for(&mut self, number: u64, routed: u64, change: (u16, CommitId)) {
        self.message(number).waits.push((routed, change));
    }
}
