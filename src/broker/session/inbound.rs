//! What a client sent and is still owed an answer for.

use crate::broker::effect::{CommitId, CommitOutcome, Ticket};
use crate::broker::message::Message;
use crate::broker::reason::Reason;
use crate::broker::subscription::SubscriptionOptions;
use crate::protocol::{Packet, PacketId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// An acknowledgement that waits until what it promises is true.
#[derive(Debug)]
pub struct HeldAck {
    /// What will be sent.
    pub packet: Packet,
    /// What it waits for; `None` once it may go.
    pub ticket: Option<Ticket>,
    /// Retained messages that follow a SUBACK.
    pub retained: Vec<(Arc<Message>, SubscriptionOptions)>,
}

/// What a kept or broken promise means for the acknowledgements that waited for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// This connection is owed none.
    NotOwed,
    /// They may go, and say what is true.
    Ready,
    /// What is true cannot be said: SUBACK and UNSUBACK of this session would have to lie.
    Unspeakable,
}

/// A QoS 2 message that was taken over and is not released yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// What its PUBREC waits for; `None` once that may go.
    pub waits_for: Option<Ticket>,
    /// The change that wrote it down, or one before it in the same frame; 0 if that was in an earlier run.
    pub change: CommitId,
    /// Whether it came on the present connection, whose receive maximum is used up by it. [v5:4.9]
    counts: bool,
}

/// The receiving side of a session.
#[derive(Debug, Default)]
pub struct Inbound {
    /// QoS 2 messages taken over and not yet released; a PUBLISH with one of these is a repetition.
    /// [v5:MQTT-4.3.3-10]
    unreleased: BTreeMap<PacketId, Taken>,
    /// How many of them count.
    counted: usize,
    /// Those that were taken over before the broker was started, or that could not be stored and whose publisher cannot
    /// be told so: whether every receiver has them is not known, so a repetition is routed again.
    pub uncertain: BTreeSet<PacketId>,
    /// Acknowledgements in the order they are owed, which is the order they are sent in. [v5:MQTT-4.6.0-2] to -4
    held: VecDeque<HeldAck>,
    held_publishes: usize,
}

impl Inbound {
    /// The QoS 2 message with this identifier, if one is taken over and not released.
    pub fn taken(&self, packet_id: PacketId) -> Option<Taken> {
        self.unreleased.get(&packet_id).copied()
    }

    /// The identifiers of all of them.
    pub fn all_taken(&self) -> impl Iterator<Item = PacketId> {
        self.unreleased.keys().copied()
    }

    /// A QoS 2 message comes: it is taken over, with a change that is about to be written down, or it is a repetition.
    pub fn take(&mut self, packet_id: PacketId, change: CommitId) {
        let taken = Taken { waits_for: None, change, counts: false };
        let taken = self.unreleased.entry(packet_id).or_insert(taken);
        self.counted = self.counted.saturating_add(usize::from(!taken.counts));
        taken.counts = true;
    }

    /// One that was taken over before the broker was started.
    pub fn restore_taken(&mut self, packet_id: PacketId) {
        self.unreleased.insert(packet_id, Taken { waits_for: None, change: CommitId(0), counts: false });
        self.uncertain.insert(packet_id);
    }

    /// Its PUBREC waits for this.
    pub fn hold_taken(&mut self, packet_id: PacketId, ticket: Option<Ticket>) {
        if let Some(taken) = self.unreleased.get_mut(&packet_id) {
            taken.waits_for = ticket;
        }
    }

    /// The identifier is free again.
    pub fn release(&mut self, packet_id: PacketId) -> Option<Taken> {
        self.uncertain.remove(&packet_id);
        let taken = self.unreleased.remove(&packet_id)?;
        self.counted = self.counted.saturating_sub(usize::from(taken.counts));
        Some(taken)
    }

    /// Nobody can be told that these were not stored, so they will come again: perhaps some receivers have them.
    pub fn doubt(&mut self, ticket: Ticket) {
        for packet_id in self.waiting_for(ticket) {
            self.hold_taken(packet_id, None);
            self.uncertain.insert(packet_id);
        }
    }

    /// Owes an acknowledgement.
    pub fn hold(&mut self, ack: HeldAck) {
        if matches!(ack.packet, Packet::PubAck(_)) {
            self.held_publishes = self.held_publishes.saturating_add(1);
        }
        self.held.push_back(ack);
    }

    /// Whether none is owed, so that the next may go at once if it waits for nothing itself.
    pub fn holds_nothing(&self) -> bool {
        self.held.is_empty()
    }

    /// The next acknowledgement, if it may go.
    pub fn next_ready(&mut self) -> Option<HeldAck> {
        if self.held.front()?.ticket.is_some() {
            return None;
        }
        let ack = self.held.pop_front()?;
        if matches!(ack.packet, Packet::PubAck(_)) {
            self.held_publishes = self.held_publishes.saturating_sub(1);
        }
        Some(ack)
    }

    /// What the ticket stood for has happened, or has failed: then its message was not taken over, and its
    /// acknowledgements say so, those of QoS 2 once what they wait for next has happened.
    pub fn settle(&mut self, ticket: Ticket, outcome: CommitOutcome, next: Option<Ticket>) -> Settled {
        match outcome {
            CommitOutcome::Stored => {
                let waiting = self.unreleased.values_mut().find(|taken| taken.waits_for == Some(ticket));
                if let Some(taken) = waiting {
                    taken.waits_for = None;
                }
            }
            CommitOutcome::Refused | CommitOutcome::Failed => {
                for packet_id in self.waiting_for(ticket) {
                    self.release(packet_id);
                }
            }
        }
        let mut settled = Settled::NotOwed;
        // A repetition waits for the same ticket as the first copy.
        for ack in self.held.iter_mut().filter(|ack| ack.ticket == Some(ticket)) {
            ack.ticket = next.filter(|_| matches!(ack.packet, Packet::PubRec(_)));
            match (&mut ack.packet, outcome) {
                (Packet::PubAck(ack) | Packet::PubRec(ack), CommitOutcome::Failed) => {
                    ack.reason = Reason::StoreFailed.code();
                }
                (Packet::PubAck(ack) | Packet::PubRec(ack), CommitOutcome::Refused) => {
                    ack.reason = Reason::QueueFull.code();
                }
                (_, CommitOutcome::Failed) => return Settled::Unspeakable,
                (_, CommitOutcome::Refused | CommitOutcome::Stored) => {}
            }
            settled = Settled::Ready;
        }
        settled
    }

    /// The messages of QoS 2 that wait for this, and are not taken over if it fails.
    pub fn waiting_for(&self, ticket: Ticket) -> Vec<PacketId> {
        let waiting = self.unreleased.iter().filter(|(_, taken)| taken.waits_for == Some(ticket));
        waiting.map(|(packet_id, _)| *packet_id).collect()
    }

    /// Forgets what was owed to a connection that is gone; the client will ask again, and its receive maximum begins
    /// anew. [v5:4.9]
    pub fn forget_held(&mut self) {
        self.held.clear();
        self.held_publishes = 0;
        self.unreleased.values_mut().for_each(|taken| taken.counts = false);
        self.counted = 0;
    }

    /// QoS 1 and 2 messages of this connection taken and not completely acknowledged: what the receive maximum bounds.
    /// [v5:MQTT-3.3.4-7]
    pub fn unacknowledged(&self) -> usize {
        self.held_publishes.saturating_add(self.counted)
    }

    /// Acknowledgements that are held and that the receive maximum does not bound.
    pub fn held_requests(&self) -> usize {
        self.held.len().saturating_sub(self.unacknowledged())
    }

    /// The rights changed, so the retained messages that follow held SUBACKs must be asked about one by one, and those
    /// whose publisher may not publish them any more are dropped.
    pub fn recheck_retained(&mut self, mut may_still_publish: impl FnMut(&Message) -> bool) {
        for ack in &mut self.held {
            ack.retained.retain(|(message, _)| may_still_publish(message));
            ack.retained.iter_mut().for_each(|(_, options)| options.check_delivery = true);
        }
    }

    /// Retained messages that follow held SUBACKs.
    pub fn retained_waiting(&self) -> usize {
        self.held.iter().map(|ack| ack.retained.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{PubAck, ReasonCode};

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    fn held(packet: fn(PubAck) -> Packet, number: u16, ticket: Option<Ticket>) -> HeldAck {
        HeldAck { packet: packet(PubAck::new(id(number), ReasonCode::Success)), ticket, retained: Vec::new() }
    }

    fn ready(inbound: &mut Inbound) -> Vec<Packet> {
        std::iter::from_fn(|| inbound.next_ready()).map(|ack| ack.packet).collect()
    }

    /// [v5:MQTT-4.6.0-2]
    #[test]
    fn acknowledgements_leave_in_the_order_they_are_owed() {
        let mut inbound = Inbound::default();
        inbound.hold(held(Packet::PubAck, 1, Some(Ticket(7))));
        inbound.hold(held(Packet::PubAck, 2, None));
        assert!(ready(&mut inbound).is_empty());
        assert_eq!(inbound.unacknowledged(), 2);
        assert_eq!(inbound.settle(Ticket(7), CommitOutcome::Stored, None), Settled::Ready);
        assert_eq!(ready(&mut inbound).len(), 2);
        assert_eq!(inbound.unacknowledged(), 0);
        assert_eq!(inbound.settle(Ticket(7), CommitOutcome::Stored, None), Settled::NotOwed);
    }

    #[test]
    fn a_failure_is_told_by_all_that_waited_for_it_and_frees_the_identifier() {
        let mut inbound = Inbound::default();
        inbound.take(id(1), CommitId(1));
        inbound.hold_taken(id(1), Some(Ticket(7)));
        inbound.hold(held(Packet::PubRec, 1, Some(Ticket(7))));
        inbound.hold(held(Packet::PubRec, 1, Some(Ticket(7))));
        assert_eq!(inbound.settle(Ticket(7), CommitOutcome::Failed, None), Settled::Ready);
        assert!(inbound.unreleased.is_empty());
        for packet in ready(&mut inbound) {
            assert!(matches!(packet, Packet::PubRec(ack) if ack.reason == ReasonCode::QuotaExceeded));
        }
    }

    #[test]
    fn what_a_lost_connection_was_owed_is_forgotten_but_not_what_it_released() {
        let mut inbound = Inbound::default();
        inbound.take(id(1), CommitId(1));
        inbound.hold_taken(id(1), Some(Ticket(7)));
        inbound.hold(held(Packet::PubRec, 1, Some(Ticket(7))));
        inbound.forget_held();
        assert_eq!(inbound.settle(Ticket(7), CommitOutcome::Stored, None), Settled::NotOwed);
        assert_eq!(inbound.taken(id(1)).map(|taken| taken.waits_for), Some(None));
        assert_eq!((inbound.held_requests(), inbound.unacknowledged()), (0, 0));
        inbound.take(id(1), CommitId(2));
        assert_eq!(inbound.unacknowledged(), 1);
        assert_eq!(inbound.release(id(1)).map(|taken| taken.change), Some(CommitId(1)));
        assert_eq!(inbound.unacknowledged(), 0);
    }
}
