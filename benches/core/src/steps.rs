//! From the bytes of a publisher to the bytes of its receivers, and what decides on the way.

use crate::broker::{
    ConnectionId, Durability, Input, Message, Origin, PeerFrame, Permission, Principal, SessionKey, ShardId, UserName,
};
use crate::codec::{CHUNK, chunk};
use crate::house::{House, VERSION, policy, text};
use crate::protocol::{ClientId, Packet, PacketId, PubAck, QoS, Rare, ReasonCode, TopicName, Unsubscribe};
use bytes::{Bytes, BytesMut};
use std::hint::black_box;
use std::sync::Arc;

const TOPIC: &str = "students/bench/pairs/3";

pub fn id(number: u32) -> PacketId {
    PacketId::new(u16::try_from(number).unwrap()).unwrap()
}

pub fn verdict(count: u32) {
    let (principal, name) = (Principal::User(UserName::new("ann").unwrap()), ClientId::new(text("c")).unwrap());
    let rights = policy(20).rights(&principal, &name);
    let topic = TopicName::try_from(TOPIC).unwrap();
    for _ in 0..count {
        assert!(black_box(&rights).verdict(Permission::Publish, &topic).is_allowed());
    }
}

pub fn pair_qos_0(count: u32) {
    let (mut house, publisher, receiver) = pair(QoS::AtMostOnce);
    let chunk = chunk(VERSION, TOPIC, QoS::AtMostOnce, Rare::NOTHING);
    for _ in 0..count / CHUNK {
        house.receive(publisher, chunk.clone(), &[receiver]);
    }
    assert_eq!(house.deliveries, count);
}

pub fn pair_qos_1(count: u32) {
    let (mut house, publisher, receiver) = pair(QoS::AtLeastOnce);
    let chunk = chunk(VERSION, TOPIC, QoS::AtLeastOnce, Rare::NOTHING);
    for _ in 0..count / CHUNK {
        house.receive(publisher, chunk.clone(), &[publisher, receiver]);
        let answers = answers(&mut house, Packet::PubAck);
        house.receive(receiver, answers, &[receiver]);
    }
    assert_eq!(house.deliveries, count);
}

pub fn pair_qos_2(count: u32) {
    let (mut house, publisher, receiver) = pair(QoS::ExactlyOnce);
    let chunk = chunk(VERSION, TOPIC, QoS::ExactlyOnce, Rare::NOTHING);
    for _ in 0..count / CHUNK {
        house.receive(publisher, chunk.clone(), &[publisher, receiver]);
        let received = answers(&mut house, Packet::PubRec);
        let released = replies(&mut house, Packet::PubRel);
        house.receive(publisher, released, &[publisher]);
        house.receive(receiver, received, &[receiver]);
        let completed = replies(&mut house, Packet::PubComp);
        house.receive(receiver, completed, &[receiver]);
    }
    assert_eq!(house.deliveries, count);
}

pub fn fan_out(count: u32) {
    let mut house = House::new(2);
    let publisher = house.client();
    let receivers: Vec<ConnectionId> = (0..100).map(|_| house.client()).collect();
    receivers.iter().for_each(|receiver| house.subscribe(*receiver, "students/bench/+/3", QoS::AtMostOnce));
    let chunk = chunk(VERSION, TOPIC, QoS::AtMostOnce, Rare::NOTHING);
    for _ in 0..count / CHUNK {
        house.receive(publisher, chunk.clone(), &receivers);
    }
    assert_eq!(house.deliveries, count * 100);
}

/// What a message costs that another worker has received.
pub fn from_another_shard(count: u32) {
    let mut house = House::new(2);
    let receiver = house.client();
    house.subscribe(receiver, "students/bench/#", QoS::AtMostOnce);
    let key = SessionKey {
        principal: Principal::User(UserName::new("ann").unwrap()),
        client_id: ClientId::new(text("publisher")).unwrap(),
    };
    let origin = Origin::Client(Arc::new(key));
    let topics: Vec<TopicName> =
        (0..10).map(|n| TopicName::try_from(&*format!("students/bench/in/{n}")).unwrap()).collect();
    for number in 0..count {
        let message = Message {
            topic: topics[(number / 8) as usize % topics.len()].clone(),
            payload: Bytes::from_static(&[7; 100]),
            qos: QoS::AtMostOnce,
            retain: false,
            expires_at: None,
            origin: origin.clone(),
            durability: Durability::Commit,
            properties: Rare::NOTHING,
        };
        let frame =
            PeerFrame::Published { message: Arc::new(message), route: true, retained: None, once: None, ticket: None };
        house.input(Input::Forwarded { peer: ShardId(1), frame });
        if number % CHUNK == 0 {
            house.receive(receiver, Bytes::new(), &[receiver]);
        }
    }
    assert_eq!(house.deliveries, count);
}

pub fn route_10(count: u32) {
    route(count, 10);
}

pub fn route_1000(count: u32) {
    route(count, 1000);
}

pub fn route_100000(count: u32) {
    route(count, 100_000);
}

/// Topics that come by too seldom to be remembered, among so many filters.
fn route(count: u32, filters: u32) {
    let mut house = House::new(2);
    let (publisher, receiver) = (house.client(), house.client());
    for number in 0..filters {
        let kind = if number % 2 == 0 { "students/room/+/door" } else { "students/room/x/#" };
        house.subscribe(receiver, &kind.replace("room", &format!("{number}")), QoS::AtMostOnce);
    }
    let chunks: Vec<Bytes> = (0..10)
        .map(|number| chunk(VERSION, &format!("students/{number}/x/door"), QoS::AtMostOnce, Rare::NOTHING))
        .collect();
    let one = chunks[0].len() / CHUNK as usize;
    for number in 0..count {
        house.receive(publisher, chunks[number as usize % chunks.len()].slice(..one), &[receiver]);
    }
    assert_eq!(house.deliveries, count);
}

pub fn subscribe_and_unsubscribe(count: u32) {
    let mut house = House::new(2);
    let client = house.client();
    for number in 0..count {
        let filter = format!("students/bench/{}/door", number % 1000);
        house.subscribe(client, &filter, QoS::AtMostOnce);
        let unsubscribe = Unsubscribe { packet_id: id(2), user_properties: Vec::new(), filters: vec![text(&filter)] };
        house.input(Input::Packet { connection: client, packet: Packet::Unsubscribe(unsubscribe) });
        house.receive(client, Bytes::new(), &[client]);
    }
}

fn pair(qos: QoS) -> (House, ConnectionId, ConnectionId) {
    // Two shards, as on two cores.
    let mut house = House::new(2);
    let (publisher, receiver) = (house.client(), house.client());
    house.subscribe(receiver, TOPIC, qos);
    (house, publisher, receiver)
}

/// What a receiver says to the messages that it was sent.
fn answers(house: &mut House, packet: fn(PubAck) -> Packet) -> Bytes {
    let ids = house.delivered.drain(..).filter_map(|delivery| delivery.packet_id);
    written(ids, packet)
}

/// What follows PUBREC or PUBREL.
fn replies(house: &mut House, packet: fn(PubAck) -> Packet) -> Bytes {
    let ids = house.sent.drain(..).filter_map(|(_, packet)| match packet {
        Packet::PubRec(ack) | Packet::PubRel(ack) => Some(ack.packet_id),
        _ => None,
    });
    written(ids, packet)
}

fn written(ids: impl Iterator<Item = PacketId>, packet: fn(PubAck) -> Packet) -> Bytes {
    let mut bytes = BytesMut::new();
    for id in ids {
        packet(PubAck::new(id, ReasonCode::Success)).encode(VERSION, u32::MAX, &mut bytes).unwrap();
    }
    bytes.freeze()
}
