//! What a client is to be sent: in flight until it is acknowledged, queued until it may be sent.

use crate::broker::message::Message;
use crate::broker::subscription::SubscriptionOptions;
use crate::protocol::{PacketId, QoS, SubscriptionId};
use std::collections::VecDeque;
use std::sync::Arc;

/// A message that waits to be sent.
#[derive(Debug, Clone)]
pub struct Queued {
    /// What.
    pub message: Arc<Message>,
    /// The lower of the message's and the subscription's.
    pub qos: QoS,
    /// What the receiver is told.
    pub retain: bool,
    /// Of the subscriptions that matched.
    pub subscription_ids: Vec<SubscriptionId>,
    /// Whether the rights of the moment decide again when it is sent.
    pub check_delivery: bool,
    /// Whether it is the stored message of a topic, which counts against another bound.
    pub is_retained: bool,
}

impl Queued {
    /// A message for one subscription. [v5:MQTT-3.3.1-12] [v5:MQTT-3.3.1-13]
    pub fn live(message: Arc<Message>, options: &SubscriptionOptions) -> Self {
        let retain = options.retain_as_published && message.retain;
        Self::new(message, options, retain, false)
    }

    /// A retained message for a new subscription. [v5:MQTT-3.3.1-8]
    pub fn retained(message: Arc<Message>, options: &SubscriptionOptions) -> Self {
        Self::new(message, options, true, true)
    }

    fn new(message: Arc<Message>, options: &SubscriptionOptions, retain: bool, is_retained: bool) -> Self {
        Self {
            qos: message.qos.min(options.qos),
            message,
            retain,
            subscription_ids: options.id.into_iter().collect(),
            check_delivery: options.check_delivery,
            is_retained,
        }
    }

    /// Another subscription of the same session matched too: one copy serves both. [v5:MQTT-3.3.4-2]
    pub fn merge(&mut self, options: &SubscriptionOptions) {
        self.qos = self.qos.max(self.message.qos.min(options.qos));
        self.retain |= options.retain_as_published && self.message.retain;
        self.subscription_ids.extend(options.id);
        self.check_delivery &= options.check_delivery;
    }
}

/// A message that was sent and is not completely acknowledged.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its identifier, kept when it is sent again. [v5:MQTT-4.4.0-1]
    pub packet_id: PacketId,
    /// The message.
    pub queued: Queued,
    /// What is awaited.
    pub stage: Stage,
    /// Counts what was sent, so that the age of an identifier is known.
    serial: u64,
}

/// What a message in flight waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// PUBACK.
    Ack,
    /// PUBREC.
    Rec,
    /// PUBCOMP: PUBREL was sent.
    Comp,
}

/// The sending side of a session.
#[derive(Debug, Default)]
pub struct Outbound {
    inflight: VecDeque<Sent>,
    /// How many at the end of those in flight this connection has not been sent again yet.
    unsent: usize,
    /// What will be in flight once the client takes more.
    queue: VecDeque<Queued>,
    /// What is of QoS 0 and waits for the socket alone: the receive maximum must not delay it. [v5:MQTT-3.3.4-10]
    queue_of_qos0: VecDeque<Queued>,
    queued_bytes: usize,
    queued_retained: usize,
    next_id: Option<PacketId>,
    serial: u64,
}

impl Outbound {
    /// Messages in flight.
    pub fn inflight_len(&self) -> usize {
        self.inflight.len()
    }

    /// Messages queued, retained ones not counted.
    pub fn queued_len(&self) -> usize {
        self.queue.len().saturating_add(self.queue_of_qos0.len()).saturating_sub(self.queued_retained)
    }

    /// Retained messages that wait to be sent.
    pub fn queued_retained(&self) -> usize {
        self.queued_retained
    }

    /// Bytes of the messages queued, retained ones not counted: they are shared with the store of retained messages.
    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Whether nothing waits.
    pub fn queue_is_empty(&self) -> bool {
        self.queue.is_empty() && self.queue_of_qos0.is_empty()
    }

    /// Whether nothing of this level waits, so that the next such message may be sent at once.
    pub fn queue_is_empty_for(&self, qos: QoS) -> bool {
        match qos {
            QoS::AtMostOnce => self.queue_of_qos0.is_empty(),
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.queue.is_empty(),
        }
    }

    /// Queues at the end.
    pub fn push(&mut self, queued: Queued) {
        if queued.is_retained {
            self.queued_retained = self.queued_retained.saturating_add(1);
        } else {
            self.queued_bytes = self.queued_bytes.saturating_add(queued.message.size());
        }
        match queued.qos {
            QoS::AtMostOnce => self.queue_of_qos0.push_back(queued),
            QoS::AtLeastOnce | QoS::ExactlyOnce => self.queue.push_back(queued),
        }
    }

    /// Takes the next of QoS 0 out of the queue.
    pub fn pop_qos0(&mut self) -> Option<Queued> {
        let queued = pop_front(&mut self.queue_of_qos0)?;
        Some(self.popped(queued))
    }

    /// Takes the next above QoS 0 out of the queue.
    pub fn pop(&mut self) -> Option<Queued> {
        let queued = pop_front(&mut self.queue)?;
        Some(self.popped(queued))
    }

    fn popped(&mut self, queued: Queued) -> Queued {
        if queued.is_retained {
            self.queued_retained = self.queued_retained.saturating_sub(1);
        } else {
            self.queued_bytes = self.queued_bytes.saturating_sub(queued.message.size());
        }
        queued
    }

    /// Drops what is queued and may not be kept for an absent client.
    pub fn drop_queued_qos0(&mut self) {
        while self.pop_qos0().is_some() {}
    }

    /// Puts a message in flight under an identifier that no other message in flight has. [v5:MQTT-2.2.1-4]
    pub fn send(&mut self, queued: Queued) -> PacketId {
        let packet_id = self.free_packet_id();
        let stage = if queued.qos == QoS::ExactlyOnce { Stage::Rec } else { Stage::Ack };
        self.serial = self.serial.wrapping_add(1);
        self.inflight.push_back(Sent { packet_id, queued, stage, serial: self.serial });
        packet_id
    }

    fn free_packet_id(&mut self) -> PacketId {
        let mut id = self.next_id.unwrap_or(PacketId::FIRST);
        // Identifiers are given in turn, so one can only be in use if the oldest message in flight was sent nearly a
        // whole round ago. The receive maximum is at most 65,535, of which that message has one, so the search ends.
        let oldest = self.inflight.front().map_or(self.serial, |sent| sent.serial);
        if self.serial.wrapping_sub(oldest) >= Self::SAFE_ROUND {
            while self.inflight.iter().any(|sent| sent.packet_id == id) {
                id = id.next();
            }
        }
        self.next_id = Some(id.next());
        id
    }

    /// A full round is 65,535 identifiers; skipping those in use shortens it by at most as many as are in flight.
    const SAFE_ROUND: u64 = 32_000;

    /// Ends a message that waits for this acknowledgement; `None` if there is none.
    pub fn acknowledge(&mut self, packet_id: PacketId, stage: Stage) -> Option<Sent> {
        let at = self.position(packet_id)?;
        if self.inflight.get(at)?.stage != stage {
            return None;
        }
        self.take(at)
    }

    /// PUBREC came: the message is the client's now, only its identifier stays. Whether it was awaited.
    pub fn receive(&mut self, packet_id: PacketId) -> bool {
        let sent = self.position(packet_id).and_then(|at| self.inflight.get_mut(at));
        match sent {
            Some(sent) if sent.stage != Stage::Ack => {
                sent.stage = Stage::Comp;
                true
            }
            _ => false,
        }
    }

    /// A new connection begins: what is in flight is to be sent again.
    pub fn begin_connection(&mut self) {
        self.unsent = self.inflight.len();
    }

    /// Whether something in flight is to be sent again first.
    pub fn has_unsent(&self) -> bool {
        self.unsent > 0
    }

    /// Messages in flight that this connection was sent.
    pub fn inflight_on_connection(&self) -> usize {
        self.inflight.len().saturating_sub(self.unsent)
    }

    /// The next message that is to be sent again, in the order of the first time. [v5:MQTT-4.6.0-1]
    pub fn next_unsent(&mut self) -> Option<Sent> {
        if self.unsent == 0 {
            return None;
        }
        let sent = self.inflight.get(self.inflight_on_connection())?.clone();
        self.unsent = self.unsent.saturating_sub(1);
        Some(sent)
    }

    /// Takes a message out of flight without an acknowledgement.
    pub fn forget(&mut self, packet_id: PacketId) {
        if let Some(at) = self.position(packet_id) {
            self.take(at);
        }
    }

    fn take(&mut self, at: usize) -> Option<Sent> {
        if at >= self.inflight_on_connection() {
            self.unsent = self.unsent.saturating_sub(1);
        }
        self.inflight.remove(at)
    }

    /// Acknowledgements mostly come in the order of the messages, so the search ends at once.
    fn position(&self, packet_id: PacketId) -> Option<usize> {
        self.inflight.iter().position(|sent| sent.packet_id == packet_id)
    }
}

/// Takes the first out. A burst must not pin its high-water mark in every session.
fn pop_front(queue: &mut VecDeque<Queued>) -> Option<Queued> {
    let first = queue.pop_front()?;
    if queue.is_empty() {
        *queue = VecDeque::new();
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::message::{MessageProperties, Origin};
    use crate::protocol::TopicName;
    use bytes::Bytes;

    fn queued(qos: QoS) -> Queued {
        let message = Message {
            topic: TopicName::try_from("t").unwrap(),
            payload: Bytes::new(),
            qos,
            retain: false,
            expires_at: None,
            origin: Origin::System,
            properties: MessageProperties::default(),
        };
        let options =
            SubscriptionOptions { qos, no_local: false, retain_as_published: false, id: None, check_delivery: false };
        Queued::live(Arc::new(message), &options)
    }

    fn id(number: u16) -> PacketId {
        PacketId::new(number).unwrap()
    }

    /// [v5:MQTT-2.2.1-4]
    #[test]
    fn an_identifier_is_not_given_again_while_it_is_in_use_even_after_a_whole_round() {
        let mut outbound = Outbound::default();
        let kept = [outbound.send(queued(QoS::AtLeastOnce)), outbound.send(queued(QoS::ExactlyOnce))];
        for _ in 0..200_000 {
            let given = outbound.send(queued(QoS::AtLeastOnce));
            assert!(!kept.contains(&given));
            assert!(outbound.acknowledge(given, Stage::Ack).is_some());
        }
        assert_eq!(outbound.inflight_len(), 2);
    }

    /// [v5:MQTT-4.6.0-1]
    #[test]
    fn what_is_sent_again_keeps_its_order_whatever_is_acknowledged_meanwhile() {
        let mut outbound = Outbound::default();
        for _ in 0..5 {
            outbound.send(queued(QoS::AtLeastOnce));
        }
        outbound.begin_connection();
        assert_eq!(outbound.next_unsent().map(|sent| sent.packet_id), Some(id(1)));
        assert!(outbound.acknowledge(id(3), Stage::Ack).is_some(), "a client may acknowledge what it had before");
        assert!(outbound.acknowledge(id(1), Stage::Ack).is_some());
        assert_eq!(outbound.inflight_on_connection(), 0);
        let rest: Vec<_> = std::iter::from_fn(|| outbound.next_unsent()).map(|sent| sent.packet_id).collect();
        assert_eq!(rest, [id(2), id(4), id(5)]);
        assert!(!outbound.has_unsent());
        assert_eq!(outbound.inflight_on_connection(), 3);
    }

    #[test]
    fn an_acknowledgement_of_the_wrong_kind_ends_nothing() {
        let mut outbound = Outbound::default();
        let (first, second) = (outbound.send(queued(QoS::AtLeastOnce)), outbound.send(queued(QoS::ExactlyOnce)));
        assert!(outbound.acknowledge(first, Stage::Rec).is_none());
        assert!(!outbound.receive(first));
        assert!(outbound.acknowledge(second, Stage::Comp).is_none());
        assert!(outbound.receive(second));
        assert!(outbound.receive(second), "PUBREC may come twice");
        assert!(outbound.acknowledge(second, Stage::Rec).is_none());
        assert!(outbound.acknowledge(second, Stage::Comp).is_some());
        assert_eq!(outbound.inflight_len(), 1);
    }
}
