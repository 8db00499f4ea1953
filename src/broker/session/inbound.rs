//! What a client sent and is still owed an answer for.

use crate::broker::effect::Ticket;
use crate::broker::message::Message;
use crate::broker::subscription::SubscriptionOptions;
use crate::protocol::{Packet, PacketId};
use std::collections::{BTreeSet, VecDeque};
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

/// The receiving side of a session.
#[derive(Debug, Default)]
pub struct Inbound {
    /// QoS 2 messages taken over and not yet released; a PUBLISH with one of these is a repetition. [v5:MQTT-4.3.3-10]
    pub unreleased: BTreeSet<PacketId>,
    /// Acknowledgements in the order they are owed, which is the order they are sent in. [v5:MQTT-4.6.0-2] to -4
    held: VecDeque<HeldAck>,
    held_publishes: usize,
}

impl Inbound {
    /// Owes an acknowledgement.
    pub fn hold(&mut self, ack: HeldAck) {
        if matches!(ack.packet, Packet::PubAck(_)) {
            self.held_publishes = self.held_publishes.saturating_add(1);
        }
        self.held.push_back(ack);
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

    /// What the ticket stood for has happened; it may have failed, so the acknowledgement can be changed.
    pub fn settle(&mut self, ticket: Ticket) -> Option<&mut HeldAck> {
        let ack = self.held.iter_mut().find(|ack| ack.ticket == Some(ticket))?;
        ack.ticket = None;
        Some(ack)
    }

    /// Forgets what was owed to a connection that is gone; the client will ask again.
    pub fn forget_held(&mut self) {
        self.held.clear();
        self.held_publishes = 0;
    }

    /// QoS 1 and 2 messages taken and not completely acknowledged: what the receive maximum bounds. [v5:MQTT-3.3.4-7]
    pub fn unacknowledged(&self) -> usize {
        self.held_publishes.saturating_add(self.unreleased.len())
    }

    /// Acknowledgements of any kind that are held.
    pub fn held_len(&self) -> usize {
        self.held.len()
    }

    /// Retained messages that follow held SUBACKs.
    pub fn retained_waiting(&self) -> usize {
        self.held.iter().map(|ack| ack.retained.len()).sum()
    }
}
