//! What a client has sent and waits for, and what waits to be sent: everything that holds a packet identifier.

use crate::protocol::{PacketId, PacketType, Publish, QoS, ReasonCode, Violation};
use std::collections::{BTreeMap, VecDeque};

/// Exchanges under way from a client to its server, each under its packet identifier.
#[derive(Debug)]
pub struct Outbound {
    next_id: PacketId,
    exchanges: BTreeMap<PacketId, Exchange>,
    /// Messages that wait, in the order of their sending.
    queue: VecDeque<PacketId>,
    /// How many exchanges are `Sent` or `Released`.
    in_flight: usize,
    /// Numbers messages in the order of their first sending, which a resend keeps. [v5:MQTT-4.6.0-1]
    sent: u64,
}

#[derive(Debug)]
enum Exchange {
    /// A PUBLISH that waits for its turn.
    Queued(Publish),
    /// A PUBLISH that waits for PUBACK or PUBREC.
    Sent { order: u64, publish: Publish },
    /// A PUBREL that waits for PUBCOMP.
    Released { order: u64 },
    /// A SUBSCRIBE or UNSUBSCRIBE that waits for its acknowledgement.
    Asked { answer: PacketType, filters: usize },
}

/// What PUBREC leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterPubRec {
    /// PUBREL follows.
    Release,
    /// The server refused the message; the exchange is over.
    Finished,
    /// No exchange has this identifier, which PUBREL says.
    Unknown,
}

/// What PUBCOMP leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterPubComp {
    /// The exchange is over.
    Finished,
    /// No exchange has this identifier.
    Unknown,
}

impl Outbound {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { next_id: PacketId::FIRST, exchanges: BTreeMap::new(), queue: VecDeque::new(), in_flight: 0, sent: 0 }
    }

    /// How many messages wait for their turn.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// How many messages are sent and not fully acknowledged.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Puts a message behind those that wait, unless no identifier is free.
    pub fn enqueue(&mut self, mut publish: Publish) -> Option<PacketId> {
        let packet_id = self.free_id()?;
        publish.packet_id = Some(packet_id);
        self.exchanges.insert(packet_id, Exchange::Queued(publish));
        self.queue.push_back(packet_id);
        Some(packet_id)
    }

    /// An identifier for a SUBSCRIBE or UNSUBSCRIBE of some filters, unless none is free.
    pub fn ask(&mut self, answer: PacketType, filters: usize) -> Option<PacketId> {
        let packet_id = self.free_id()?;
        self.exchanges.insert(packet_id, Exchange::Asked { answer, filters });
        Some(packet_id)
    }

    /// The message whose turn it is, if fewer than `window` are in flight. It is in flight from then on.
    pub fn send_next(&mut self, window: u16) -> Option<Publish> {
        if self.in_flight >= usize::from(window) {
            return None;
        }
        let packet_id = self.queue.pop_front()?;
        let exchange = self.exchanges.get_mut(&packet_id)?;
        let Exchange::Queued(publish) = exchange else { return None };
        let publish = publish.clone();
        self.sent = self.sent.saturating_add(1);
        *exchange = Exchange::Sent { order: self.sent, publish: publish.clone() };
        self.in_flight = self.in_flight.saturating_add(1);
        Some(publish)
    }

    /// Gives up a message that the server would not take.
    pub fn give_up(&mut self, packet_id: PacketId) {
        self.finish(packet_id);
    }

    /// PUBACK ends the exchange of a QoS 1 message.
    pub fn puback(&mut self, packet_id: PacketId) -> Result<(), Violation> {
        match self.exchanges.get(&packet_id) {
            Some(Exchange::Sent { publish, .. }) if publish.qos == QoS::AtLeastOnce => {
                self.finish(packet_id);
                Ok(())
            }
            Some(Exchange::Queued(_) | Exchange::Sent { .. } | Exchange::Released { .. } | Exchange::Asked { .. })
            | None => Err(unexpected(PacketType::PubAck, packet_id)),
        }
    }

    /// PUBREC is answered by PUBREL, again if it comes again; one that refuses the message ends its exchange.
    /// [v5:MQTT-4.4.0-2]
    pub fn pubrec(&mut self, packet_id: PacketId, reason: ReasonCode) -> Result<AfterPubRec, Violation> {
        let Some(exchange) = self.exchanges.get_mut(&packet_id) else { return Ok(AfterPubRec::Unknown) };
        match exchange {
            Exchange::Sent { order, publish } if publish.qos == QoS::ExactlyOnce => {
                if reason.is_error() {
                    self.finish(packet_id);
                    return Ok(AfterPubRec::Finished);
                }
                *exchange = Exchange::Released { order: *order };
                Ok(AfterPubRec::Release)
            }
            Exchange::Released { .. } => Ok(AfterPubRec::Release),
            Exchange::Queued(_) | Exchange::Sent { .. } | Exchange::Asked { .. } => {
                Err(unexpected(PacketType::PubRec, packet_id))
            }
        }
    }

    /// PUBCOMP ends the exchange of a QoS 2 message; for an unknown one it answers a PUBREL that said so.
    pub fn pubcomp(&mut self, packet_id: PacketId) -> Result<AfterPubComp, Violation> {
        match self.exchanges.get(&packet_id) {
            None => Ok(AfterPubComp::Unknown),
            Some(Exchange::Released { .. }) => {
                self.finish(packet_id);
                Ok(AfterPubComp::Finished)
            }
            Some(Exchange::Queued(_) | Exchange::Sent { .. } | Exchange::Asked { .. }) => {
                Err(unexpected(PacketType::PubComp, packet_id))
            }
        }
    }

    /// SUBACK or UNSUBACK: how many filters it answers.
    pub fn answered(&mut self, packet: PacketType, packet_id: PacketId) -> Result<usize, Violation> {
        match self.exchanges.get(&packet_id) {
            Some(&Exchange::Asked { answer, filters }) if answer == packet => {
                self.exchanges.remove(&packet_id);
                Ok(filters)
            }
            Some(_) | None => Err(unexpected(packet, packet_id)),
        }
    }

    /// A SUBSCRIBE or UNSUBSCRIBE belongs to its connection and is not sent again.
    pub fn forget_questions(&mut self) {
        self.exchanges.retain(|_, exchange| match exchange {
            Exchange::Asked { .. } => false,
            Exchange::Queued(_) | Exchange::Sent { .. } | Exchange::Released { .. } => true,
        });
    }

    /// A new connection goes on with the session: what was sent goes to the front of the queue with DUP, and the
    /// identifiers to be released again are returned, both in their order. [v5:MQTT-4.4.0-1]
    pub fn resume(&mut self) -> Vec<PacketId> {
        let mut sent = Vec::new();
        let mut released = Vec::new();
        for (&packet_id, exchange) in &self.exchanges {
            match exchange {
                Exchange::Sent { order, .. } => sent.push((*order, packet_id)),
                Exchange::Released { order } => released.push((*order, packet_id)),
                Exchange::Queued(_) | Exchange::Asked { .. } => {}
            }
        }
        sent.sort_unstable();
        for (_, packet_id) in sent.into_iter().rev() {
            if let Some(exchange) = self.exchanges.get_mut(&packet_id)
                && let Exchange::Sent { publish, .. } = exchange
            {
                *exchange = Exchange::Queued(Publish { dup: true, ..publish.clone() });
                self.queue.push_front(packet_id);
                self.in_flight = self.in_flight.saturating_sub(1);
            }
        }
        released.sort_unstable();
        released.into_iter().map(|(_, packet_id)| packet_id).collect()
    }

    /// A new connection finds no session. Messages at QoS 1 are sent again as new ones; those at QoS 2 end here and
    /// are returned: sent again they might arrive twice, and nobody can tell. [v5:MQTT-3.2.2-5]
    pub fn restart(&mut self) -> Vec<PacketId> {
        let mut unconfirmed = self.resume();
        self.queue.retain(|packet_id| match self.exchanges.get_mut(packet_id) {
            Some(Exchange::Queued(publish)) if publish.dup && publish.qos == QoS::ExactlyOnce => {
                unconfirmed.push(*packet_id);
                false
            }
            Some(Exchange::Queued(publish)) => {
                publish.dup = false;
                true
            }
            Some(Exchange::Sent { .. } | Exchange::Released { .. } | Exchange::Asked { .. }) | None => false,
        });
        for packet_id in &unconfirmed {
            self.finish(*packet_id);
        }
        unconfirmed
    }

    fn finish(&mut self, packet_id: PacketId) {
        match self.exchanges.remove(&packet_id) {
            Some(Exchange::Sent { .. } | Exchange::Released { .. }) => {
                self.in_flight = self.in_flight.saturating_sub(1);
            }
            Some(Exchange::Queued(_) | Exchange::Asked { .. }) | None => {}
        }
    }

    /// The next identifier that no exchange holds. [v5:MQTT-2.2.1-3]
    fn free_id(&mut self) -> Option<PacketId> {
        for _ in 0..u16::MAX {
            let packet_id = self.next_id;
            self.next_id = packet_id.next();
            if !self.exchanges.contains_key(&packet_id) {
                return Some(packet_id);
            }
        }
        None
    }
}

fn unexpected(packet: PacketType, packet_id: PacketId) -> Violation {
    Violation::UnexpectedAcknowledgement { packet, packet_id }
}
