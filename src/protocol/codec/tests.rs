//! Framing, limits and what is left out; what is in the packets is tested by the tables of `wire_cases`.

use super::*;
use crate::protocol::packet_id::PacketId;
use crate::protocol::packets::{
    Auth, AuthProperties, ConnAck, ConnAckProperties, Disconnect, DisconnectProperties, PubAck, PubAckProperties,
    PublishView, SubAck, UnsubAck,
};
use crate::protocol::property::UserProperties;
use crate::protocol::qos::QoS;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use crate::protocol::wire_cases::WELL_FORMED;
use bytes::BytesMut;

const V311: Option<ProtocolVersion> = Some(ProtocolVersion::V3_1_1);
const V5: Option<ProtocolVersion> = Some(ProtocolVersion::V5);
const NO_LIMIT: u32 = u32::MAX;

fn text(text: &str) -> Text {
    Text::try_from(text).unwrap()
}

fn encoded(packet: &Packet, version: ProtocolVersion) -> Bytes {
    let mut out = BytesMut::new();
    packet.encode(version, NO_LIMIT, &mut out).unwrap();
    out.freeze()
}

#[test]
fn packets_that_arrive_together_are_read_one_after_the_other() {
    let mut source = Bytes::from_static(b"\xc0\0\x30\x03\0\x01a\xe0");
    assert_eq!(decode(&mut source, V311, NO_LIMIT), Ok(Some(Packet::PingReq)));
    let Ok(Some(Packet::Publish(publish))) = decode(&mut source, V311, NO_LIMIT) else { panic!("no PUBLISH") };
    assert_eq!(publish.topic.as_str(), "a");
    assert_eq!(decode(&mut source, V311, NO_LIMIT), Ok(None));
    assert_eq!(source, &b"\xe0"[..]);
}

#[test]
fn topic_and_payload_are_slices_of_what_was_read() {
    let buffer = Bytes::from(b"\x30\x07\0\x03a/bhi".to_vec());
    let Ok(Some(Packet::Publish(publish))) = decode(&mut buffer.clone(), V311, NO_LIMIT) else { panic!("no PUBLISH") };
    assert_eq!(publish.topic.as_bytes().as_ptr(), buffer[4..].as_ptr());
    assert_eq!(publish.payload.as_ptr(), buffer[7..].as_ptr());
}

/// [v5:MQTT-3.1.2-24]
#[test]
fn a_packet_is_as_long_as_the_maximum_but_no_longer() {
    let bytes = b"\x30\x03\0\x01a";
    assert_eq!(frame_len(bytes, 5), Ok(Some(5)));
    assert_eq!(frame_len(bytes, 4), Err(Violation::PacketTooLarge { length: 5, maximum: 4 }));
    assert_eq!(frame_len(b"\x30", 4), Ok(None));
    assert_eq!(frame_len(b"", 4), Ok(None));
    let mut out = BytesMut::new();
    let view = PublishView::new("a", b"");
    assert_eq!(view.encode_within(ProtocolVersion::V3_1_1, 4, &mut out).map_err(|error| error.maximum), Err(4));
    assert!(out.is_empty());
    assert_eq!(view.encode_within(ProtocolVersion::V3_1_1, 5, &mut out), Ok(()));
    assert_eq!(&out[..], bytes);
}

#[test]
fn what_no_packet_can_hold_is_not_written() {
    let long = vec![0; 65_536];
    let huge = vec![0; 268_435_456];
    for view in [
        PublishView { correlation_data: Some(&long), ..PublishView::new("a", b"") },
        PublishView { payload: &huge, ..PublishView::new("a", b"") },
    ] {
        let mut out = BytesMut::new();
        assert_eq!(view.encoded_len(ProtocolVersion::V5), usize::MAX);
        assert!(view.encode_within(ProtocolVersion::V5, NO_LIMIT, &mut out).is_err());
        view.encode(ProtocolVersion::V5, &mut out);
        assert!(out.is_empty());
    }
}

/// [v5:MQTT-2.2.1-2] [v5:MQTT-3.3.1-2]
#[test]
fn qos_0_has_neither_packet_identifier_nor_dup() {
    let view = PublishView { packet_id: PacketId::new(9), dup: true, ..PublishView::new("a", b"x") };
    let mut out = BytesMut::new();
    view.encode(ProtocolVersion::V3_1_1, &mut out);
    assert_eq!(&out[..], b"\x30\x04\0\x01ax");
}

#[test]
fn before_5_0_a_message_loses_its_properties() {
    let pairs = [(text("k"), text("v"))];
    let view = PublishView {
        qos: QoS::AtLeastOnce,
        packet_id: PacketId::new(1),
        message_expiry_interval: Some(1),
        user_properties: &pairs,
        content_type: Some("t"),
        ..PublishView::new("a", b"x")
    };
    let mut out = BytesMut::new();
    view.encode(ProtocolVersion::V3_1, &mut out);
    assert_eq!(&out[..], b"\x32\x06\0\x01a\0\x01x");
    assert_eq!(view.encoded_len(ProtocolVersion::V3_1), out.len());
}

#[test]
fn the_length_of_a_message_is_known_before_it_is_written() {
    for &(name, version, bytes) in WELL_FORMED.iter().filter(|(name, ..)| name.starts_with("PUBLISH")) {
        let Ok(Some(Packet::Publish(publish))) = decode(&mut Bytes::from_static(bytes), version, NO_LIMIT) else {
            panic!("{name}");
        };
        assert_eq!(publish.view().encoded_len(version.unwrap()), bytes.len(), "{name}");
    }
}

/// [v311:MQTT-3.2.2-6]
#[test]
fn what_a_version_cannot_say_is_not_written() {
    let auth = Packet::Auth(Box::new(Auth { reason: ReasonCode::Success, properties: AuthProperties::default() }));
    let refused = |reason| {
        let properties = ConnAckProperties::default();
        Packet::ConnAck(Box::new(ConnAck { session_present: false, reason, properties }))
    };
    assert_eq!(encoded(&auth, ProtocolVersion::V3_1_1), &b""[..]);
    assert_eq!(encoded(&refused(ReasonCode::MalformedPacket), ProtocolVersion::V3_1_1), &b""[..]);
    assert_eq!(encoded(&refused(ReasonCode::MalformedPacket), ProtocolVersion::V5), &b"\x20\x03\0\x81\0"[..]);
    assert_eq!(encoded(&refused(ReasonCode::Banned), ProtocolVersion::V3_1), &b"\x20\x02\0\x05"[..]);
}

/// [v311:MQTT-3.2.2-4] [v5:MQTT-3.2.2-6]
#[test]
fn a_session_is_present_from_3_1_1_on_and_never_in_a_refusal() {
    for (version, reason, expected) in [
        (ProtocolVersion::V3_1, ReasonCode::Success, &b"\x20\x02\0\0"[..]),
        (ProtocolVersion::V3_1_1, ReasonCode::Success, b"\x20\x02\x01\0"),
        (ProtocolVersion::V3_1_1, ReasonCode::NotAuthorized, b"\x20\x02\0\x05"),
        (ProtocolVersion::V5, ReasonCode::NotAuthorized, b"\x20\x03\0\x87\0"),
    ] {
        let properties = ConnAckProperties::default();
        let packet = Packet::ConnAck(Box::new(ConnAck { session_present: true, reason, properties }));
        assert_eq!(encoded(&packet, version), expected);
    }
}

/// [v5:MQTT-3.2.2-19] [v5:MQTT-3.2.2-20] [v5:MQTT-3.4.2-2] [v5:MQTT-3.4.2-3] [v5:MQTT-3.9.2-1] [v5:MQTT-3.9.2-2]
/// [v5:MQTT-3.11.2-1] [v5:MQTT-3.11.2-2] [v5:MQTT-3.14.2-3] [v5:MQTT-3.14.2-4] [v5:MQTT-3.15.2-2] [v5:MQTT-3.15.2-3]
#[test]
fn user_properties_and_then_the_reason_string_give_way_to_the_maximum_packet_size() {
    let explained = |reason_string: Option<Text>, user_properties: UserProperties| -> Vec<Packet> {
        let packet_id = PacketId::FIRST;
        let reason = ReasonCode::NotAuthorized;
        let properties =
            PubAckProperties { reason_string: reason_string.clone(), user_properties: user_properties.clone() };
        let puback = PubAck { packet_id, reason, properties: properties.clone().into() };
        vec![
            Packet::ConnAck(Box::new(ConnAck {
                session_present: false,
                reason,
                properties: ConnAckProperties {
                    reason_string: reason_string.clone(),
                    user_properties: user_properties.clone(),
                    ..Default::default()
                },
            })),
            Packet::Disconnect(Box::new(Disconnect {
                reason,
                properties: DisconnectProperties {
                    reason_string: reason_string.clone(),
                    user_properties: user_properties.clone(),
                    ..Default::default()
                },
            })),
            Packet::Auth(Box::new(Auth {
                reason: ReasonCode::ContinueAuthentication,
                properties: AuthProperties {
                    authentication_method: Some(text("m")),
                    reason_string,
                    user_properties,
                    ..Default::default()
                },
            })),
            Packet::PubAck(puback.clone()),
            Packet::PubRec(puback.clone()),
            Packet::PubRel(puback.clone()),
            Packet::PubComp(puback),
            Packet::SubAck(SubAck { packet_id, properties: properties.clone(), reasons: vec![reason] }),
            Packet::UnsubAck(UnsubAck { packet_id, properties, reasons: vec![reason] }),
        ]
    };
    let why = Some(text("because"));
    let full = explained(why.clone(), vec![(text("name"), text("value"))]);
    let without_pairs = explained(why, vec![]);
    let bare = explained(None, vec![]);
    for ((full, without_pairs), bare) in full.iter().zip(&without_pairs).zip(&bare) {
        let lengths = [full, without_pairs, bare].map(|packet| encoded(packet, ProtocolVersion::V5));
        for maximum in 0..=lengths[0].len() {
            let expected = lengths.iter().find(|bytes| bytes.len() <= maximum);
            let mut out = BytesMut::new();
            let result = full.encode(ProtocolVersion::V5, u32::try_from(maximum).unwrap(), &mut out);
            assert_eq!(result.is_ok(), expected.is_some(), "{} within {maximum}", full.name());
            assert_eq!(out, expected.cloned().unwrap_or_default(), "{} within {maximum}", full.name());
        }
    }
}

#[test]
fn a_connection_without_a_version_takes_a_connect_alone() {
    let connect = b"\x10\x0d\0\x04MQTT\x04\x02\0\x3c\0\x01c";
    assert!(matches!(decode(&mut Bytes::from_static(connect), None, NO_LIMIT), Ok(Some(Packet::Connect(_)))));
    // A second one is decoded; the session says that it may not come. [v5:MQTT-3.1.0-2]
    assert!(matches!(decode(&mut Bytes::from_static(connect), V5, NO_LIMIT), Ok(Some(Packet::Connect(_)))));
    for first_byte in (0..=u8::MAX).filter(|&byte| byte != 0x10) {
        assert!(decode(&mut Bytes::copy_from_slice(&[first_byte]), None, NO_LIMIT).is_err(), "{first_byte:#04x}");
    }
}
