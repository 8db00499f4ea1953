//! A shard with the clients of a case, driven as a worker drives it.

use crate::broker::{
    Address, Carrier, CommitOutcome, Connecting, ConnectionId, Delivery, Effect, Effects, Input, Limits, PeerFrame,
    Policy, PolicyUser, Principal, RoleName, Rule, RuleEffect, RuleId, Shard, ShardId, Subject, Timestamp,
    TopicPattern, UserName,
};
use crate::protocol::{
    ClientId, Connect, ConnectProperties, Credentials, Packet, ProtocolVersion, QoS, RetainHandling, Subscribe,
    SubscribeRequest, Text, decode,
};
use bytes::{Bytes, BytesMut};
use std::hint::black_box;
use std::sync::Arc;

/// What all clients of the cases speak.
pub const VERSION: ProtocolVersion = ProtocolVersion::V3_1_1;

/// A shard and what it wrote last.
pub struct House {
    pub shard: Shard,
    pub now: Timestamp,
    effects: Effects,
    written: BytesMut,
    /// What came out for clients, in the order in which it did.
    pub delivered: Vec<Delivery>,
    pub sent: Vec<(ConnectionId, Packet)>,
    /// How many messages came out, so that a case that has come to nothing is seen.
    pub deliveries: u32,
    connections: u64,
}

pub fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

/// The rules that a student has as shipped, and more.
pub fn policy(rules: i64) -> Policy {
    let role = RoleName::new("Student").unwrap();
    let user = PolicyUser { name: UserName::new("ann").unwrap(), role: role.clone(), enabled: true };
    let rule = |id| Rule {
        id: RuleId(id),
        subject: Subject::Role(role.clone()),
        pattern: TopicPattern::new(&if id < rules { format!("rooms/{id}/#") } else { String::from("students/#") })
            .unwrap(),
        publish: true,
        subscribe: true,
        effect: RuleEffect::Allow,
    };
    Policy::new(1, vec![user], (1..=rules).map(rule).collect())
}

impl House {
    pub fn new(shards: u16) -> Self {
        Self {
            shard: Shard::new(ShardId(0), shards, Limits::default(), Arc::new(policy(3))),
            now: Timestamp::from_millis(1_000_000),
            effects: Effects::default(),
            written: BytesMut::with_capacity(1 << 16),
            delivered: Vec::new(),
            sent: Vec::new(),
            deliveries: 0,
            connections: 0,
        }
    }

    /// A client of its own name that leaves nothing behind.
    pub fn client(&mut self) -> ConnectionId {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        let name = text(&format!("client-{}", self.connections));
        let connect = Connect {
            version: VERSION,
            clean_start: true,
            keep_alive: 60,
            client_id: name.clone(),
            will: None,
            credentials: Credentials::default(),
            properties: ConnectProperties { session_expiry_interval: Some(0), ..ConnectProperties::default() },
        };
        self.input(Input::Connect(Box::new(Connecting {
            connection,
            connect,
            client_id: ClientId::new(name).unwrap(),
            is_assigned: false,
            principal: Principal::User(UserName::new("ann").unwrap()),
            address: Address::Local,
            carrier: Carrier::Tls,
            durability: None,
        })));
        connection
    }

    pub fn subscribe(&mut self, connection: ConnectionId, filter: &str, qos: QoS) {
        let request = SubscribeRequest {
            filter: text(filter),
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let subscribe = Subscribe {
            packet_id: crate::steps::id(1),
            subscription_id: None,
            user_properties: Vec::new(),
            requests: vec![request],
        };
        self.input(Input::Packet { connection, packet: Packet::Subscribe(subscribe) });
    }

    /// Hands over what a socket brought, and tells that all answers were written.
    pub fn receive(&mut self, connection: ConnectionId, mut bytes: Bytes, receivers: &[ConnectionId]) {
        while let Some(packet) = decode(&mut bytes, Some(VERSION), 1 << 20).unwrap() {
            self.input(Input::Packet { connection, packet });
        }
        black_box(&self.written);
        self.written.clear();
        receivers.iter().for_each(|receiver| self.input(Input::Written { connection: *receiver }));
    }

    /// Whether the clients of the case answer what they get.
    pub fn input(&mut self, input: Input) {
        self.shard.handle(self.now, input, &mut self.effects);
        while let Some(effect) = self.effects.pop() {
            match effect {
                Effect::Deliver { delivery, .. } => {
                    self.deliveries += 1;
                    delivery.encode(VERSION, &mut self.written);
                    if delivery.qos > QoS::AtMostOnce {
                        self.delivered.push(delivery);
                    }
                }
                Effect::Send { connection, packet } => {
                    packet.encode(VERSION, u32::MAX, &mut self.written).unwrap();
                    if matches!(packet, Packet::PubRec(_) | Packet::PubRel(_)) {
                        self.sent.push((connection, packet));
                    }
                }
                // The other shard has seen at once what was sent to it before.
                Effect::Forward { peer, frame: PeerFrame::Barrier { ticket } } => {
                    let frame = PeerFrame::Settled { ticket, outcome: CommitOutcome::Stored };
                    self.shard.handle(self.now, Input::Forwarded { peer, frame }, &mut self.effects);
                }
                Effect::Close { reason, .. } => panic!("a client was sent away: {reason:?}"),
                Effect::Store { .. }
                | Effect::Unstore(_)
                | Effect::Load(_)
                | Effect::Record(_)
                | Effect::Forward { .. } => {
                    black_box(effect);
                }
            }
        }
    }
}
