//! Framing, versions and limits; what is in the packets is tested by the tables of `wire_cases`.

use super::*;
use crate::protocol::packet_id::PacketId;
use crate::protocol::packets::{Publish, PublishProperties};
use crate::protocol::qos::QoS;
use crate::protocol::text::Text;
use bytes::BytesMut;

const V5: Option<ProtocolVersion> = Some(ProtocolVersion::V5);
const NO_LIMIT: u32 = u32::MAX;

#[test]
fn a_message_is_read_as_it_was_written() {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: Text::try_from("a/b").unwrap(),
        packet_id: PacketId::new(7),
        properties: PublishProperties::default(),
        payload: Bytes::from_static(b"hi"),
    };
    let mut out = BytesMut::new();
    Packet::Publish(publish.clone()).encode(ProtocolVersion::V5, NO_LIMIT, &mut out).unwrap();
    assert_eq!(&out[..], b"\x33\x0a\x00\x03a/b\x00\x07\x00hi");
    assert_eq!(publish.view().encoded_len(ProtocolVersion::V5), out.len());
    assert_eq!(decode(&mut out.freeze(), V5, NO_LIMIT), Ok(Some(Packet::Publish(publish))));
}
