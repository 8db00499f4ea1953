//! Bytes to packets and back.

use crate::protocol::{ProtocolVersion, Publish, PublishProperties, PublishView, QoS, Rare, Text, decode};
use bytes::{Bytes, BytesMut};
use std::hint::black_box;

/// Messages that are read from a socket in one go.
pub const CHUNK: u32 = 64;

/// The bytes of many messages of 100 bytes.
pub fn chunk(version: ProtocolVersion, topic: &str, qos: QoS, properties: Rare<PublishProperties>) -> Bytes {
    let mut bytes = BytesMut::new();
    for number in 1..=CHUNK {
        let packet_id = (qos > QoS::AtMostOnce).then(|| crate::steps::id(number));
        let publish = Publish {
            dup: false,
            qos,
            retain: false,
            topic: Text::try_from(topic).unwrap(),
            packet_id,
            properties: properties.clone(),
            payload: Bytes::from_static(&[7; 100]),
        };
        publish.view().encode(version, &mut bytes);
    }
    bytes.freeze()
}

pub fn decode_publish(count: u32) {
    decode_chunks(count, ProtocolVersion::V3_1_1, Rare::NOTHING);
}

pub fn decode_publish_with_properties(count: u32) {
    let properties = PublishProperties {
        message_expiry_interval: Some(60),
        response_topic: Some(Text::try_from("answers/7").unwrap()),
        correlation_data: Some(Bytes::from_static(b"0123456789")),
        user_properties: vec![(Text::try_from("name").unwrap(), Text::try_from("value").unwrap())],
        ..PublishProperties::default()
    };
    decode_chunks(count, ProtocolVersion::V5, properties.into());
}

fn decode_chunks(count: u32, version: ProtocolVersion, properties: Rare<PublishProperties>) {
    let chunk = chunk(version, "students/bench/pairs/3", QoS::AtMostOnce, properties);
    for _ in 0..count / CHUNK {
        let mut bytes = chunk.clone();
        while let Some(packet) = decode(&mut bytes, Some(version), 1 << 20).unwrap() {
            black_box(packet);
        }
    }
}

pub fn encode_publish(count: u32) {
    let payload = [7; 100];
    let view = PublishView::new("students/bench/pairs/3", &payload);
    let mut bytes = BytesMut::with_capacity(1 << 16);
    for number in 0..count {
        black_box(view).encode(ProtocolVersion::V3_1_1, &mut bytes);
        if number % CHUNK == 0 {
            bytes.clear();
        }
    }
    black_box(bytes);
}
