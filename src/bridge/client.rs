//! MQTT from the client's side: a state machine without I/O.
//!
//! The owner of the socket calls [`Client::connect`] when it is open, hands in what arrives, sends what
//! [`Client::take_outgoing`] gives, and calls [`Client::tick`] when [`Client::next_tick`] says so. Times are durations
//! since a moment of the owner's choice. The session lives on in the client when a connection ends.

use super::client_settings::{ClientSettings, ServerLimits, Unsendable};
use super::outbound::{AfterPubComp, AfterPubRec, Outbound};
use crate::protocol::{
    ConnAck, Disconnect, Packet, PacketId, PacketType, PubAck, Publish, QoS, ReasonCode, Subscribe, SubscribeRequest,
    SubscriptionId, Text, TopicName, Unsubscribe, UserProperties, Violation,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One client of one server.
#[derive(Debug)]
pub struct Client {
    settings: ClientSettings,
    phase: Phase,
    /// Whether a server has accepted this client before, so that there is a session to go on with.
    was_accepted: bool,
    /// Of the server of the last connection.
    server: ServerLimits,
    keep_alive: Duration,
    outbound: Outbound,
    /// QoS 2 messages that were received and wait for PUBREL.
    inbound: BTreeSet<PacketId>,
    /// Topics by the aliases that the server gave them on this connection.
    aliases: BTreeMap<u16, Text>,
    outgoing: Vec<Packet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Closed,
    /// CONNECT is sent.
    Connecting {
        answer_by: Duration,
    },
    /// CONNACK has come.
    Open {
        last_sent: Duration,
        /// When PINGRESP must be there, if PINGREQ is sent.
        answer_by: Option<Duration>,
    },
}

/// What the owner of a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server accepts.
    Connected(Box<ConnAck>),
    /// The server refuses; the connection is over.
    Refused(Box<ConnAck>),
    /// A message arrives, with its topic where an alias stood for it. It is acknowledged as soon as it is told.
    Message(Publish),
    /// The server has taken over a QoS 1 or 2 message, or refuses to.
    Published {
        /// As [`Client::publish`] gave it.
        packet_id: PacketId,
        /// Success, or why not.
        reason: ReasonCode,
    },
    /// A message that waited cannot be sent to the server of this connection.
    GivenUp {
        /// As [`Client::publish`] gave it.
        packet_id: PacketId,
        /// What the server does not take.
        why: Unsendable,
    },
    /// The server lost the session while a QoS 2 message was under way: it may have arrived or not.
    Unconfirmed {
        /// As [`Client::publish`] gave it.
        packet_id: PacketId,
    },
    /// The server answers a SUBSCRIBE.
    Subscribed {
        /// As [`Client::subscribe`] gave it.
        packet_id: PacketId,
        /// One for each request.
        reasons: Vec<ReasonCode>,
    },
    /// The server answers an UNSUBSCRIBE.
    Unsubscribed {
        /// As [`Client::unsubscribe`] gave it.
        packet_id: PacketId,
        /// One for each filter; success before 5.0.
        reasons: Vec<ReasonCode>,
    },
    /// The server ends the connection and says why.
    Disconnected(Box<Disconnect>),
}

/// The server has not answered CONNECT or PINGREQ in time; the connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the server does not answer")]
pub struct ServerSilent;

impl Client {
    /// A client that is not connected.
    pub fn new(settings: ClientSettings) -> Self {
        Self {
            settings,
            phase: Phase::Closed,
            was_accepted: false,
            server: ServerLimits::NONE,
            keep_alive: Duration::ZERO,
            outbound: Outbound::new(),
            inbound: BTreeSet::new(),
            aliases: BTreeMap::new(),
            outgoing: Vec::new(),
        }
    }

    /// How it connects; with the identifier that the server assigned, once it has.
    pub fn settings(&self) -> &ClientSettings {
        &self.settings
    }

    /// What the server takes; its maximum packet size is for whoever encodes.
    pub fn server(&self) -> ServerLimits {
        self.server
    }

    /// Whether the server has accepted and the connection is not over.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open { .. })
    }

    /// How many messages wait, or are sent and not fully acknowledged.
    pub fn unfinished(&self) -> usize {
        self.outbound.queued().saturating_add(self.outbound.in_flight())
    }

    /// A connection to the server is there: CONNECT goes out. Whatever an earlier one left unsent is dropped, and its
    /// session kept. [v5:MQTT-3.1.0-1]
    pub fn connect(&mut self, now: Duration) {
        self.close();
        self.phase = Phase::Connecting { answer_by: now.saturating_add(self.settings.patience) };
        self.outgoing.push(Packet::Connect(Box::new(self.settings.connect(!self.was_accepted))));
    }

    /// The connection is lost, or was never made. The session waits for the next.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
        self.outgoing.clear();
        self.aliases.clear();
        self.outbound.forget_questions();
    }

    /// Says goodbye; nothing is sent after it. [v5:MQTT-3.14.4-1]
    pub fn disconnect(&mut self, disconnect: Disconnect) {
        if self.is_open() {
            self.outgoing.push(Packet::Disconnect(Box::new(disconnect)));
        }
        self.phase = Phase::Closed;
    }

    /// Sends a message, or lets it wait for its turn. DUP, packet identifier, topic alias and subscription identifiers
    /// are the client's to set. The identifier comes back in the event that ends a QoS 1 or 2 message.
    pub fn publish(&mut self, mut publish: Publish) -> Result<Option<PacketId>, Unsendable> {
        publish.dup = false;
        publish.packet_id = None;
        publish.properties.topic_alias = None;
        publish.properties.subscription_ids.clear();
        if publish.qos == QoS::AtMostOnce {
            if !self.is_open() {
                return Err(Unsendable::NotConnected);
            }
            self.server.admit(&publish, self.settings.version)?;
            self.outgoing.push(Packet::Publish(publish));
            return Ok(None);
        }
        if self.outbound.queued() >= self.settings.queue_limit {
            return Err(Unsendable::QueueFull(self.settings.queue_limit));
        }
        // Measured with the largest identifier; all take two bytes.
        self.server.admit(&Publish { packet_id: Some(PacketId::FIRST), ..publish.clone() }, self.settings.version)?;
        let packet_id = self.outbound.enqueue(publish).ok_or(Unsendable::NoPacketId)?;
        // What has just been admitted is not given up, so there is nothing to tell.
        self.send_queued(&mut Vec::new());
        Ok(Some(packet_id))
    }

    /// Asks for messages. The answer is [`Event::Subscribed`].
    pub fn subscribe(
        &mut self,
        requests: Vec<SubscribeRequest>,
        subscription_id: Option<SubscriptionId>,
    ) -> Result<PacketId, Unsendable> {
        let packet_id = self.ask(PacketType::SubAck, requests.len())?;
        let user_properties = UserProperties::new();
        self.outgoing.push(Packet::Subscribe(Subscribe { packet_id, subscription_id, user_properties, requests }));
        Ok(packet_id)
    }

    /// Asks for no more messages. The answer is [`Event::Unsubscribed`].
    pub fn unsubscribe(&mut self, filters: Vec<Text>) -> Result<PacketId, Unsendable> {
        let packet_id = self.ask(PacketType::UnsubAck, filters.len())?;
        let user_properties = UserProperties::new();
        self.outgoing.push(Packet::Unsubscribe(Unsubscribe { packet_id, user_properties, filters }));
        Ok(packet_id)
    }

    /// What is to be sent, in order.
    pub fn take_outgoing(&mut self, now: Duration) -> std::vec::Drain<'_, Packet> {
        if let Phase::Open { last_sent, .. } = &mut self.phase
            && !self.outgoing.is_empty()
        {
            *last_sent = now;
        }
        self.outgoing.drain(..)
    }

    /// When to call [`Client::tick`] at the latest.
    pub fn next_tick(&self) -> Option<Duration> {
        match self.phase {
            Phase::Closed => None,
            Phase::Connecting { answer_by } | Phase::Open { answer_by: Some(answer_by), .. } => Some(answer_by),
            Phase::Open { answer_by: None, .. } if self.keep_alive.is_zero() => None,
            Phase::Open { last_sent, answer_by: None } => Some(last_sent.saturating_add(self.keep_alive)),
        }
    }

    /// Time passes: pings a server that was sent nothing for the keep alive, and gives one up that does not answer.
    /// [v5:MQTT-3.1.2-20]
    pub fn tick(&mut self, now: Duration) -> Result<(), ServerSilent> {
        if self.next_tick().is_none_or(|due| now < due) {
            return Ok(());
        }
        match self.phase {
            Phase::Open { last_sent, answer_by: None } => {
                let answer_by = Some(now.saturating_add(self.settings.patience));
                self.phase = Phase::Open { last_sent, answer_by };
                self.outgoing.push(Packet::PingReq);
                Ok(())
            }
            Phase::Closed | Phase::Connecting { .. } | Phase::Open { answer_by: Some(_), .. } => {
                self.close();
                Err(ServerSilent)
            }
        }
    }

    /// Takes a packet from the server. After a violation the connection is over; in 5.0 the server is told why.
    pub fn receive(&mut self, now: Duration, packet: Packet, events: &mut Vec<Event>) -> Result<(), Violation> {
        let received = match self.phase {
            Phase::Closed => Ok(()),
            Phase::Connecting { .. } => self.receive_answer(now, packet, events),
            Phase::Open { .. } => self.receive_open(packet, events),
        };
        received.inspect_err(|violation| self.refuse(*violation))
    }

    fn refuse(&mut self, violation: Violation) {
        if self.is_open() && self.settings.version.has_properties() {
            self.outgoing.push(Packet::Disconnect(Box::new(Disconnect::new(violation.reason()))));
        }
        self.phase = Phase::Closed;
    }

    /// The first packet of a server. [v5:MQTT-3.2.0-1]
    fn receive_answer(&mut self, now: Duration, packet: Packet, events: &mut Vec<Event>) -> Result<(), Violation> {
        match packet {
            Packet::ConnAck(connack) if connack.reason.is_error() => {
                self.phase = Phase::Closed;
                events.push(Event::Refused(connack));
                Ok(())
            }
            Packet::ConnAck(connack) => self.open(now, *connack, events),
            Packet::Auth(_) => Err(Violation::UnexpectedAuth),
            packet => Err(Violation::UnexpectedPacket(packet.packet_type())),
        }
    }

    fn open(&mut self, now: Duration, connack: ConnAck, events: &mut Vec<Event>) -> Result<(), Violation> {
        let goes_on = self.session_goes_on(&connack)?;
        self.phase = Phase::Open { last_sent: now, answer_by: None };
        self.was_accepted = true;
        self.server = ServerLimits::of(&connack.properties);
        // [v5:MQTT-3.1.2-21]
        let keep_alive = connack.properties.server_keep_alive.unwrap_or(self.settings.keep_alive);
        self.keep_alive = Duration::from_secs(keep_alive.into());
        if let Some(assigned) = &connack.properties.assigned_client_id {
            self.settings.client_id = assigned.compact();
        }
        events.push(Event::Connected(Box::new(connack)));
        if goes_on {
            for packet_id in self.outbound.resume() {
                self.send_pubrel(packet_id, ReasonCode::Success);
            }
        } else {
            self.inbound.clear();
            let unconfirmed = self.outbound.restart();
            events.extend(unconfirmed.into_iter().map(|packet_id| Event::Unconfirmed { packet_id }));
        }
        self.send_queued(events);
        Ok(())
    }

    /// Whether the server has the session, which 3.1 does not say. [v5:MQTT-3.2.2-2]
    fn session_goes_on(&self, connack: &ConnAck) -> Result<bool, Violation> {
        let was_clean = self.settings.connect(!self.was_accepted).clean_start;
        match (self.settings.version.has_session_present(), connack.session_present) {
            (true, true) if was_clean => Err(Violation::SessionPresentAfterCleanStart),
            (true, session_present) => Ok(session_present),
            (false, _) => Ok(!was_clean),
        }
    }

    fn receive_open(&mut self, packet: Packet, events: &mut Vec<Event>) -> Result<(), Violation> {
        let packet_type = packet.packet_type();
        if !packet_type.may_come_from_server(self.settings.version) {
            return Err(Violation::WrongDirection(packet_type));
        }
        match packet {
            Packet::Publish(publish) => self.receive_message(publish, events),
            Packet::PubAck(ack) => {
                self.outbound.puback(ack.packet_id)?;
                self.finished(&ack, events);
                Ok(())
            }
            Packet::PubRec(ack) => {
                match self.outbound.pubrec(ack.packet_id, ack.reason)? {
                    AfterPubRec::Release => self.send_pubrel(ack.packet_id, ReasonCode::Success),
                    AfterPubRec::Finished => self.finished(&ack, events),
                    AfterPubRec::Unknown => self.send_pubrel(ack.packet_id, ReasonCode::PacketIdentifierNotFound),
                }
                Ok(())
            }
            Packet::PubComp(ack) => {
                match self.outbound.pubcomp(ack.packet_id)? {
                    AfterPubComp::Finished => self.finished(&ack, events),
                    AfterPubComp::Unknown => {}
                }
                Ok(())
            }
            Packet::PubRel(ack) => {
                self.release(ack.packet_id);
                Ok(())
            }
            Packet::SubAck(suback) => {
                let filters = self.outbound.answered(packet_type, suback.packet_id)?;
                let reasons = counted(packet_type, suback.reasons, filters)?;
                events.push(Event::Subscribed { packet_id: suback.packet_id, reasons });
                Ok(())
            }
            Packet::UnsubAck(unsuback) => {
                let filters = self.outbound.answered(packet_type, unsuback.packet_id)?;
                let reasons = match self.settings.version.has_properties() {
                    true => counted(packet_type, unsuback.reasons, filters)?,
                    false => vec![ReasonCode::Success; filters],
                };
                events.push(Event::Unsubscribed { packet_id: unsuback.packet_id, reasons });
                Ok(())
            }
            Packet::PingResp => {
                if let Phase::Open { answer_by, .. } = &mut self.phase {
                    *answer_by = None;
                }
                Ok(())
            }
            Packet::Disconnect(disconnect) => {
                if disconnect.properties.session_expiry_interval.is_some() {
                    return Err(Violation::SessionExpiryFromServer);
                }
                self.phase = Phase::Closed;
                events.push(Event::Disconnected(disconnect));
                Ok(())
            }
            Packet::Auth(_) => Err(Violation::UnexpectedAuth),
            Packet::ConnAck(_)
            | Packet::Connect(_)
            | Packet::Subscribe(_)
            | Packet::Unsubscribe(_)
            | Packet::PingReq => Err(Violation::UnexpectedPacket(packet_type)),
        }
    }

    fn receive_message(&mut self, mut publish: Publish, events: &mut Vec<Event>) -> Result<(), Violation> {
        self.resolve_alias(&mut publish)?;
        TopicName::new(publish.topic.clone()).map_err(Violation::BadTopicName)?;
        match (publish.qos, publish.packet_id) {
            (QoS::AtLeastOnce, Some(packet_id)) => {
                events.push(Event::Message(publish));
                self.outgoing.push(Packet::PubAck(PubAck::new(packet_id, ReasonCode::Success)));
            }
            (QoS::ExactlyOnce, Some(packet_id)) => {
                // Received before and not released: told once, acknowledged again. [v5:MQTT-4.3.3-10]
                if !self.inbound.contains(&packet_id) {
                    self.make_room()?;
                    self.inbound.insert(packet_id);
                    events.push(Event::Message(publish));
                }
                self.outgoing.push(Packet::PubRec(PubAck::new(packet_id, ReasonCode::Success)));
            }
            (QoS::AtMostOnce, _) | (_, None) => events.push(Event::Message(publish)),
        }
        Ok(())
    }

    /// [v5:MQTT-3.3.2-10] [v5:MQTT-3.3.2-11]
    fn resolve_alias(&mut self, publish: &mut Publish) -> Result<(), Violation> {
        let Some(alias) = publish.properties.topic_alias else { return Ok(()) };
        let maximum = self.settings.topic_alias_maximum;
        if alias > maximum {
            return Err(Violation::TopicAliasAboveMaximum { alias, maximum });
        }
        if publish.topic.is_empty() {
            publish.topic = self.aliases.get(&alias).cloned().ok_or(Violation::TopicAliasUnknown(alias))?;
        } else {
            self.aliases.insert(alias, publish.topic.compact());
        }
        Ok(())
    }

    /// [v5:MQTT-3.3.4-9]
    fn make_room(&self) -> Result<(), Violation> {
        let maximum = match self.settings.version.has_properties() {
            true => self.settings.receive_maximum,
            false => u16::MAX,
        };
        let has_room = self.inbound.len() < usize::from(maximum);
        if has_room { Ok(()) } else { Err(Violation::ReceiveMaximumExceeded(maximum)) }
    }

    /// [v5:MQTT-4.3.3-11]
    fn release(&mut self, packet_id: PacketId) {
        let was_held = self.inbound.remove(&packet_id);
        let reason = if was_held { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        self.outgoing.push(Packet::PubComp(PubAck::new(packet_id, reason)));
    }

    fn send_pubrel(&mut self, packet_id: PacketId, reason: ReasonCode) {
        self.outgoing.push(Packet::PubRel(PubAck::new(packet_id, reason)));
    }

    fn finished(&mut self, ack: &PubAck, events: &mut Vec<Event>) {
        events.push(Event::Published { packet_id: ack.packet_id, reason: ack.reason });
        self.send_queued(events);
    }

    /// Sends what waits, as far as the server has room for it. [v5:MQTT-3.3.4-7]
    fn send_queued(&mut self, events: &mut Vec<Event>) {
        let window = self.server.receive_maximum.min(self.settings.receive_maximum);
        while self.is_open()
            && let Some(publish) = self.outbound.send_next(window)
        {
            match (self.server.admit(&publish, self.settings.version), publish.packet_id) {
                (Err(why), Some(packet_id)) => {
                    self.outbound.give_up(packet_id);
                    events.push(Event::GivenUp { packet_id, why });
                }
                (Ok(()) | Err(_), _) => self.outgoing.push(Packet::Publish(publish)),
            }
        }
    }

    fn ask(&mut self, answer: PacketType, filters: usize) -> Result<PacketId, Unsendable> {
        if !self.is_open() {
            return Err(Unsendable::NotConnected);
        }
        self.outbound.ask(answer, filters).ok_or(Unsendable::NoPacketId)
    }
}

/// [v5:MQTT-3.8.4-6]
fn counted(packet: PacketType, reasons: Vec<ReasonCode>, filters: usize) -> Result<Vec<ReasonCode>, Violation> {
    let count = reasons.len();
    if count == filters { Ok(reasons) } else { Err(Violation::WrongReasonCount { packet, reasons: count, filters }) }
}

#[cfg(test)]
mod tests;
