//! Clients: honest state machines of all three versions that acknowledge, resume and send again, and that now and then
//! do something rude.

use crate::oracle::{NewMessage, Oracle};
use crate::random::Random;
use bytes::Bytes;
use securemq::broker::{ConnectionId, Principal, SessionKey, UserName};
use securemq::protocol::{
    ClientId, ConnAck, Connect, ConnectProperties, Credentials, Disconnect, DisconnectProperties, LastWill, Packet,
    PacketId, ProtocolVersion, PubAck, Publish, PublishProperties, QoS, ReasonCode, RetainHandling, Subscribe,
    SubscribeRequest, SubscriptionId, Text, Unsubscribe, WillProperties,
};
use std::collections::{BTreeMap, VecDeque};

/// What messages are published to. Those under `j` are shared out as jobs.
const TOPICS: [&str; 9] = ["a", "a/b", "a/c0", "b", "ann/x", "bob/x", "j/1", "j/2", "$SYS/x"];
const FILTERS: [&str; 10] = ["a", "a/b", "a/+", "a/#", "+/+", "#", "b", "+", "ann/#", "j/1"];
const SHARED_FILTERS: [&str; 8] = [
    "$share/g/j/+",
    "$share/g/j/1",
    "$share/g/j/2",
    "$share/h/j/#",
    "$share/h/j/1",
    "$share/i/j/1",
    "$share/i/j/2",
    "$share/h/a/b",
];
const BAD_FILTERS: [&str; 3] = ["a/#/b", "a+", "$share/g"];

/// What the clients of one run like to do: runs that differ find more than runs that are all alike.
pub struct Manners {
    topics: Vec<&'static str>,
    filters: Vec<&'static str>,
    shared_filters: Vec<&'static str>,
    /// Subscriptions that are shared, in percent.
    sharing: usize,
    publishes: usize,
    subscribes: usize,
    unsubscribes: usize,
    disconnects: usize,
    /// Messages to be retained, in percent.
    retains: usize,
}

impl Manners {
    pub fn random(random: &mut Random) -> Self {
        let mut some = |of: &[&'static str]| -> Vec<&'static str> {
            let most = random.between(1, of.len());
            (0..most).map(|_| random.pick(of)).collect()
        };
        let (topics, filters, shared_filters) = (some(&TOPICS), some(&FILTERS), some(&SHARED_FILTERS));
        Self {
            topics,
            filters,
            shared_filters,
            sharing: random.pick(&[0, 25, 60, 95]),
            publishes: random.pick(&[20, 60, 200]),
            subscribes: random.pick(&[5, 20, 60]),
            unsubscribes: random.pick(&[0, 6, 40]),
            disconnects: random.pick(&[0, 3, 10]),
            retains: random.pick(&[0, 25, 80]),
        }
    }
}

/// One client: what it remembers between its connections, and where it stands with this one.
pub struct Client {
    pub key: SessionKey,
    pub version: ProtocolVersion,
    is_durable: bool,
    /// Whether its session outlives this connection.
    may_outlive: bool,
    receive_maximum: Option<u16>,
    keep_alive: u16,
    pub connection: Option<ConnectionId>,
    pub phase: Phase,
    /// Sent and not completely acknowledged, in order.
    outgoing: VecDeque<Outgoing>,
    last_id: u16,
    /// How many of those the server takes.
    quota: usize,
    /// Which session that was with.
    session: u64,
    /// QoS 2 messages received and not yet released.
    incoming: BTreeMap<PacketId, Option<u64>>,
    /// What is about to be sent on this connection, in order.
    outbox: VecDeque<(Packet, Option<u64>)>,
    aliases_in: BTreeMap<u16, Text>,
    aliases_out: BTreeMap<u16, Text>,
    /// Filters it has asked for.
    asked: Vec<String>,
}

/// Where a client stands with its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Away,
    /// CONNECT was sent.
    Connecting,
    Connected,
    /// It broke the protocol and waits for the end.
    Doomed,
}

/// What a connected client can do.
#[derive(Clone, Copy)]
enum Deed {
    Publish,
    Subscribe,
    Unsubscribe,
    Disconnect,
    Ping,
    AcknowledgeNothing,
}

struct Outgoing {
    packet_id: PacketId,
    number: u64,
    publish: Publish,
    /// PUBREC came, so PUBREL is what is sent again.
    is_released: bool,
}

impl Client {
    pub fn random(random: &mut Random, taken: &[SessionKey]) -> Option<Self> {
        let user = UserName::new(random.pick(&crate::rules::USERS)).unwrap();
        let client_id = ClientId::new(text(random.pick(&["c0", "c1", "c2", "c3"]))).unwrap();
        let key = SessionKey { principal: Principal::User(user), client_id };
        if taken.contains(&key) {
            return None;
        }
        let version = random.pick(&[ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5]);
        Some(Self {
            key,
            version,
            is_durable: random.chance(70),
            may_outlive: false,
            receive_maximum: random.chance(50).then(|| random.between(1, 4) as u16),
            keep_alive: random.pick(&[0, 0, 10, 60]),
            connection: None,
            phase: Phase::Away,
            outgoing: VecDeque::new(),
            last_id: 0,
            quota: 5,
            session: 0,
            incoming: BTreeMap::new(),
            outbox: VecDeque::new(),
            aliases_in: BTreeMap::new(),
            aliases_out: BTreeMap::new(),
            asked: Vec::new(),
        })
    }

    /// The CONNECT of a new connection.
    pub fn hello(&mut self, connection: ConnectionId, random: &mut Random, oracle: &mut Oracle) -> Packet {
        let clean_start = if self.is_durable { random.chance(5) } else { random.chance(95) };
        self.hello_with(connection, clean_start, random, oracle)
    }

    fn hello_with(
        &mut self,
        connection: ConnectionId,
        clean_start: bool,
        random: &mut Random,
        oracle: &mut Oracle,
    ) -> Packet {
        let is_5 = self.version == ProtocolVersion::V5;
        self.forget_connection();
        self.connection = Some(connection);
        self.phase = Phase::Connecting;
        let will = random.chance(30).then(|| self.will(connection, random, oracle));
        let mut properties = ConnectProperties::default();
        if is_5 {
            // Now and then a durable session is to end with the connection that goes on with it.
            let seconds = if random.chance(5) { 0 } else { random.between(1, 100) as u32 };
            properties.session_expiry_interval = self.is_durable.then_some(seconds);
            self.may_outlive = self.is_durable && seconds > 0;
            properties.receive_maximum = self.receive_maximum;
            properties.topic_alias_maximum = random.chance(50).then_some(2);
        }
        Packet::Connect(Box::new(Connect {
            version: self.version,
            clean_start,
            keep_alive: self.keep_alive,
            client_id: self.key.client_id.text().clone(),
            will,
            credentials: Credentials::default(),
            properties,
        }))
    }

    /// The CONNECT that comes back for what the session still holds.
    pub fn hello_again(&mut self, connection: ConnectionId, random: &mut Random, oracle: &mut Oracle) -> Packet {
        self.hello_with(connection, !self.is_durable, random, oracle)
    }

    /// The CONNECT that ends the session with its connection.
    pub fn hello_for_the_last_time(&mut self, connection: ConnectionId) -> Packet {
        self.forget_connection();
        self.connection = Some(connection);
        self.phase = Phase::Connecting;
        Packet::Connect(Box::new(Connect {
            version: self.version,
            clean_start: true,
            keep_alive: 0,
            client_id: self.key.client_id.text().clone(),
            will: None,
            credentials: Credentials::default(),
            properties: ConnectProperties::default(),
        }))
    }

    fn will(&self, connection: ConnectionId, random: &mut Random, oracle: &mut Oracle) -> LastWill {
        let topic = random.pick(&TOPICS);
        let (qos, retain) = (any_qos(random), random.chance(30));
        let is_5 = self.version == ProtocolVersion::V5;
        let number = oracle.new_message(NewMessage {
            key: self.key.clone(),
            topic: topic.to_owned(),
            qos,
            retain,
            is_empty: false,
            expiry: None,
            will_of: Some(connection),
        });
        let delay = is_5.then(|| random.pick(&[0, 5, 200]));
        let properties = WillProperties { will_delay_interval: delay, ..WillProperties::default() };
        LastWill { topic: text(topic), payload: Bytes::from(number.to_string()), qos, retain, properties }
    }

    /// The connection is gone, or was given up.
    pub fn forget_connection(&mut self) {
        self.connection = None;
        self.phase = Phase::Away;
        self.outbox.clear();
        self.aliases_in.clear();
        self.aliases_out.clear();
    }

    /// Whether everything it has to say was said.
    pub fn has_nothing_to_send(&self) -> bool {
        self.outbox.is_empty()
    }

    /// Whether everything it published was acknowledged.
    pub fn has_nothing_outstanding(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// The next packet to put on the wire, with the number of the message in it.
    pub fn next_to_send(&mut self) -> Option<(Packet, Option<u64>)> {
        self.outbox.pop_front()
    }

    /// Publishes, subscribes, or does something else that a connected client may do.
    pub fn act(&mut self, manners: &Manners, random: &mut Random, oracle: &mut Oracle) {
        match random.weighted(&[
            (manners.publishes, Deed::Publish),
            (manners.subscribes, Deed::Subscribe),
            (manners.unsubscribes, Deed::Unsubscribe),
            (manners.disconnects, Deed::Disconnect),
            (4, Deed::Ping),
            (2, Deed::AcknowledgeNothing),
        ]) {
            Deed::Publish => self.publish(manners, random, oracle),
            Deed::Subscribe => self.subscribe(manners, random),
            Deed::Unsubscribe => self.unsubscribe(random),
            Deed::Disconnect => self.disconnect(random),
            Deed::Ping => self.outbox.push_back((Packet::PingReq, None)),
            Deed::AcknowledgeNothing => self.acknowledge_nothing(random),
        }
    }

    fn next_id(&mut self) -> PacketId {
        loop {
            self.last_id = self.last_id % 200 + 1;
            let id = PacketId::new(self.last_id).unwrap();
            if self.outgoing.iter().all(|outgoing| outgoing.packet_id != id) {
                return id;
            }
        }
    }

    fn publish(&mut self, manners: &Manners, random: &mut Random, oracle: &mut Oracle) {
        let topic = random.pick(&manners.topics);
        let qos = any_qos(random);
        if qos > QoS::AtMostOnce && self.outgoing.len() >= self.quota {
            return;
        }
        let retain = random.chance(manners.retains);
        let is_empty = retain && random.chance(25);
        let is_5 = self.version == ProtocolVersion::V5;
        let expiry = (is_5 && random.chance(15)).then(|| random.between(1, 20) as u32);
        let (key, name) = (self.key.clone(), topic.to_owned());
        let number = oracle.new_message(NewMessage { key, topic: name, qos, retain, is_empty, expiry, will_of: None });
        let packet_id = (qos > QoS::AtMostOnce).then(|| self.next_id());
        let mut publish = Publish {
            dup: false,
            qos,
            retain,
            topic: text(topic),
            packet_id,
            properties: PublishProperties { message_expiry_interval: expiry, ..PublishProperties::default() }.into(),
            payload: if is_empty { Bytes::new() } else { Bytes::from(number.to_string()) },
        };
        if let Some(packet_id) = packet_id {
            let publish = Publish { dup: true, ..publish.clone() };
            self.outgoing.push_back(Outgoing { packet_id, number, publish, is_released: false });
        }
        if is_5 && random.chance(20) {
            let alias = random.between(1, 2) as u16;
            publish.properties.topic_alias = Some(alias);
            if self.aliases_out.get(&alias) == Some(&publish.topic) {
                publish.topic = Text::default();
            } else {
                self.aliases_out.insert(alias, publish.topic.clone());
            }
        }
        self.outbox.push_back((Packet::Publish(publish), Some(number)));
    }

    fn subscribe(&mut self, manners: &Manners, random: &mut Random) {
        let mut requests: Vec<SubscribeRequest> = Vec::new();
        let is_5 = self.version == ProtocolVersion::V5;
        for _ in 0..random.between(1, 3) {
            let is_shared = random.chance(manners.sharing);
            let filters = if is_shared { &manners.shared_filters } else { &manners.filters };
            let filter = if random.chance(3) { random.pick(&BAD_FILTERS) } else { random.pick(filters) };
            if requests.iter().any(|request| request.filter.as_str() == filter) {
                continue;
            }
            // Members of a group take what they are sent, or nobody could say who owes a message.
            let qos = if is_shared { QoS::ExactlyOnce } else { any_qos(random) };
            requests.push(SubscribeRequest {
                no_local: is_5 && !filter.starts_with('$') && random.chance(20),
                retain_as_published: is_5 && random.chance(20),
                retain_handling: match is_5 {
                    true => random.pick(&[RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend]),
                    false => RetainHandling::Send,
                },
                ..SubscribeRequest::new(text(filter), qos)
            });
            self.asked.push(filter.to_owned());
        }
        let subscription_id = (is_5 && random.chance(30)).then(|| SubscriptionId::new(7).unwrap());
        let packet_id = self.next_id();
        let subscribe = Subscribe { packet_id, subscription_id, user_properties: Vec::new(), requests };
        self.outbox.push_back((Packet::Subscribe(subscribe), None));
    }

    fn unsubscribe(&mut self, random: &mut Random) {
        if self.asked.is_empty() {
            return;
        }
        let filter = self.asked.swap_remove(random.below(self.asked.len()));
        let packet_id = self.next_id();
        let unsubscribe = Unsubscribe { packet_id, user_properties: Vec::new(), filters: vec![text(&filter)] };
        self.outbox.push_back((Packet::Unsubscribe(unsubscribe), None));
    }

    fn disconnect(&mut self, random: &mut Random) {
        let mut disconnect = Disconnect::new(ReasonCode::Success);
        if self.version == ProtocolVersion::V5 {
            if random.chance(20) {
                disconnect.reason = ReasonCode::DisconnectWithWill;
            }
            if self.may_outlive && random.chance(20) {
                let properties = DisconnectProperties { session_expiry_interval: Some(2), ..Default::default() };
                disconnect.properties = properties;
            }
        }
        self.outbox.push_back((Packet::Disconnect(Box::new(disconnect)), None));
    }

    /// Says goodbye without asking for anything.
    pub fn leave(&mut self) {
        self.outbox.push_back((Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::Success))), None));
    }

    /// Acknowledges what was never sent, which is to be harmless.
    fn acknowledge_nothing(&mut self, random: &mut Random) {
        let ack = PubAck::new(PacketId::new(60_000).unwrap(), ReasonCode::Success);
        let packet = match random.below(4) {
            0 => Packet::PubAck(ack),
            1 => Packet::PubRec(ack),
            2 => Packet::PubRel(ack),
            _ => Packet::PubComp(ack),
        };
        self.outbox.push_back((packet, None));
    }

    /// Bytes that no client may send here.
    pub fn be_rude(&mut self, random: &mut Random) -> Vec<u8> {
        self.phase = Phase::Doomed;
        self.outbox.clear();
        let rude: [&[u8]; 8] = [
            b"\xd0\x00",             // PINGRESP
            b"\x90\x03\x00\x01\x00", // SUBACK
            b"\xf1\x00",             // AUTH with flags
            b"\x36\x00",             // QoS 3
            b"\x82\x02\x00\x01",     // SUBSCRIBE without a filter
            b"\x32\x07\x00\x03a/#\x00\x01",
            b"\xff\xff\xff\xff\xff\xff",
            b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x00\x00\x00", // a second CONNECT
        ];
        random.pick(&rude).to_vec()
    }

    /// Takes a packet from the server.
    pub fn receive(&mut self, packet: Packet, session: (u64, bool), oracle: &mut Oracle) {
        match packet {
            Packet::ConnAck(connack) => self.connack(&connack, session, oracle),
            Packet::Publish(publish) => self.receive_publish(publish, oracle),
            Packet::PubAck(ack) => self.end_outgoing(&ack, oracle),
            Packet::PubRec(ack) if ack.reason.is_error() => self.end_outgoing(&ack, oracle),
            Packet::PubRec(ack) => self.release(&ack, oracle),
            Packet::PubRel(ack) => {
                let known = self.incoming.remove(&ack.packet_id).is_some();
                let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
                self.answer(Packet::PubComp(PubAck::new(ack.packet_id, reason)));
            }
            Packet::PubComp(ack) => self.outgoing.retain(|outgoing| outgoing.packet_id != ack.packet_id),
            Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp | Packet::Disconnect(_) => {}
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq | Packet::Auth(_) => {
                oracle.violation(&format!("a server sends {}", packet.name()));
            }
        }
    }

    fn connack(&mut self, connack: &ConnAck, (session, is_resumed): (u64, bool), oracle: &mut Oracle) {
        if connack.reason.is_error() {
            self.phase = Phase::Doomed;
            return;
        }
        self.phase = Phase::Connected;
        self.quota = connack.properties.receive_maximum.map_or(5, usize::from).min(5);
        if std::mem::replace(&mut self.session, session) != session {
            // A client that missed the CONNACK of a new session cannot know that what it holds belongs to an older one.
            // It would take messages for repetitions, which is not the broker's fault, so it is told here.
            self.incoming.clear();
        }
        if !is_resumed {
            for lost in self.outgoing.drain(..).filter(|outgoing| !outgoing.is_released) {
                oracle.given_up(lost.number);
            }
            self.incoming.clear();
            self.asked.clear();
            return;
        }
        for outgoing in &self.outgoing {
            let again = match outgoing.is_released {
                true => (Packet::PubRel(PubAck::new(outgoing.packet_id, ReasonCode::Success)), None),
                false => (Packet::Publish(outgoing.publish.clone()), Some(outgoing.number)),
            };
            self.outbox.push_back(again);
        }
    }

    fn receive_publish(&mut self, mut publish: Publish, oracle: &mut Oracle) {
        if let Some(alias) = publish.properties.topic_alias {
            if publish.topic.is_empty() {
                let Some(topic) = self.aliases_in.get(&alias) else { return oracle.violation("an unknown alias") };
                publish.topic = topic.clone();
            } else {
                self.aliases_in.insert(alias, publish.topic.clone());
            }
        }
        let number = std::str::from_utf8(&publish.payload).ok().and_then(|text| text.parse().ok());
        oracle.received(&self.key, number, &publish);
        let Some(packet_id) = publish.packet_id else { return };
        let ack = PubAck::new(packet_id, ReasonCode::Success);
        if publish.qos == QoS::AtLeastOnce {
            return self.answer(Packet::PubAck(ack));
        }
        if self.incoming.insert(packet_id, number).is_some_and(|held| held != number) {
            oracle.violation(&format!("identifier {packet_id} is used again before it was released"));
        }
        self.answer(Packet::PubRec(ack));
    }

    fn answer(&mut self, packet: Packet) {
        if self.phase == Phase::Connected {
            self.outbox.push_back((packet, None));
        }
    }

    /// PUBACK, or a PUBREC that refuses.
    fn end_outgoing(&mut self, ack: &PubAck, oracle: &mut Oracle) {
        let Some(at) = self.outgoing.iter().position(|outgoing| outgoing.packet_id == ack.packet_id) else { return };
        let Some(outgoing) = self.outgoing.remove(at) else { return };
        if ack.reason.is_error() {
            oracle.given_up(outgoing.number);
        } else {
            oracle.acknowledged(outgoing.number);
        }
    }

    fn release(&mut self, ack: &PubAck, oracle: &mut Oracle) {
        let outgoing = self.outgoing.iter_mut().find(|outgoing| outgoing.packet_id == ack.packet_id);
        if let Some(outgoing) = outgoing {
            outgoing.is_released = true;
            oracle.acknowledged(outgoing.number);
        }
        self.answer(Packet::PubRel(PubAck::new(ack.packet_id, ReasonCode::Success)));
    }
}

fn any_qos(random: &mut Random) -> QoS {
    random.pick(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}
