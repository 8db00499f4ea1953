//! Packets in few words.

use crate::protocol::{
    Disconnect, Packet, PacketId, PubAck, Publish, QoS, Rare, ReasonCode, RetainHandling, Subscribe, SubscribeRequest,
    SubscriptionId, Text, Unsubscribe,
};
use bytes::Bytes;

pub fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

pub fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// A PUBLISH; the identifier is left out at QoS 0.
pub fn publish(topic: &str, payload: &str, qos: u8, packet_id: u16) -> Publish {
    let qos = QoS::from_bits(qos).unwrap();
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: text(topic),
        packet_id: (qos > QoS::AtMostOnce).then(|| id(packet_id)),
        properties: Rare::NOTHING,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

/// A PUBLISH to be retained.
pub fn retain(topic: &str, payload: &str, qos: u8, packet_id: u16) -> Publish {
    Publish { retain: true, ..publish(topic, payload, qos, packet_id) }
}

pub fn subscribe(packet_id: u16, filter: &str, qos: u8) -> Subscribe {
    subscribe_with(packet_id, &[SubscribeRequest::new(text(filter), QoS::from_bits(qos).unwrap())])
}

pub fn subscribe_with(packet_id: u16, requests: &[SubscribeRequest]) -> Subscribe {
    Subscribe {
        packet_id: id(packet_id),
        subscription_id: None,
        user_properties: Vec::new(),
        requests: requests.to_vec(),
    }
}

pub fn request(filter: &str, qos: u8, retain_handling: RetainHandling) -> SubscribeRequest {
    SubscribeRequest { retain_handling, ..SubscribeRequest::new(text(filter), QoS::from_bits(qos).unwrap()) }
}

pub fn subscription_id(number: u32) -> Option<SubscriptionId> {
    SubscriptionId::new(number)
}

pub fn unsubscribe(packet_id: u16, filter: &str) -> Packet {
    Packet::Unsubscribe(Unsubscribe {
        packet_id: id(packet_id),
        user_properties: Vec::new(),
        filters: vec![text(filter)],
    })
}

pub fn puback(number: u16) -> Packet {
    Packet::PubAck(PubAck::new(id(number), ReasonCode::Success))
}

pub fn pubrec(number: u16) -> Packet {
    Packet::PubRec(PubAck::new(id(number), ReasonCode::Success))
}

pub fn pubrel(number: u16) -> Packet {
    Packet::PubRel(PubAck::new(id(number), ReasonCode::Success))
}

pub fn pubcomp(number: u16) -> Packet {
    Packet::PubComp(PubAck::new(id(number), ReasonCode::Success))
}

pub fn disconnect() -> Packet {
    Packet::Disconnect(Box::new(Disconnect::new(ReasonCode::Success)))
}

impl From<Publish> for Packet {
    fn from(publish: Publish) -> Self {
        Self::Publish(publish)
    }
}

impl From<Subscribe> for Packet {
    fn from(subscribe: Subscribe) -> Self {
        Self::Subscribe(subscribe)
    }
}
