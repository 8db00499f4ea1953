//! What a client that only counts needs to know of a packet, without decoding it whole: a generator of load must cost
//! less than the broker that it measures. Every packet outside the hot path goes through [`crate::protocol::decode`].

use crate::protocol::{PacketId, PacketType, ProtocolVersion, QoS};

/// One packet, looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glance<'a> {
    /// A message.
    Publish {
        /// What is expected in return.
        qos: QoS,
        /// Present exactly when the QoS is above 0.
        packet_id: Option<PacketId>,
        /// The application message.
        payload: &'a [u8],
    },
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Acknowledgement {
        /// Which of the four.
        packet: PacketType,
        /// Of which message.
        packet_id: PacketId,
        /// Whether its reason code is none of failure; always before 5.0.
        is_success: bool,
    },
    /// Another packet, or one that is not MQTT.
    Other,
}

impl<'a> Glance<'a> {
    /// Looks at a whole packet. What cannot be read is [`Glance::Other`], and the decoder then tells what is wrong.
    #[inline]
    pub fn at(packet: &'a [u8], version: ProtocolVersion) -> Self {
        Self::read(packet, version).unwrap_or(Self::Other)
    }

    #[inline]
    fn read(packet: &'a [u8], version: ProtocolVersion) -> Option<Self> {
        let (first, rest) = packet.split_first()?;
        let (_, mut body) = varint(rest)?;
        let bits = first >> 4;
        if bits == PacketType::Publish.bits() {
            let qos = QoS::from_bits(first >> 1 & 0b11)?;
            let topic_len = u16(&mut body)?;
            body = body.get(usize::from(topic_len)..)?;
            let packet_id = if qos > QoS::AtMostOnce { Some(PacketId::new(u16(&mut body)?)?) } else { None };
            if version.has_properties() {
                let (length, rest) = varint(body)?;
                body = rest.get(length..)?;
            }
            return Some(Self::Publish { qos, packet_id, payload: body });
        }
        let packet = ACKNOWLEDGEMENTS.into_iter().find(|packet| packet.bits() == bits)?;
        let packet_id = PacketId::new(u16(&mut body)?)?;
        let is_success = body.first().is_none_or(|reason| *reason < FIRST_FAILURE);
        Some(Self::Acknowledgement { packet, packet_id, is_success })
    }
}

const ACKNOWLEDGEMENTS: [PacketType; 4] =
    [PacketType::PubAck, PacketType::PubRec, PacketType::PubRel, PacketType::PubComp];

const FIRST_FAILURE: u8 = 0x80;

fn u16(bytes: &mut &[u8]) -> Option<u16> {
    let (number, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u16::from_be_bytes(*number))
}

/// A variable byte integer and what follows it.
fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut number = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((number, bytes.get(place + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Packet, PubAck, PublishView, ReasonCode, decode};
    use bytes::BytesMut;

    #[test]
    fn a_glance_at_a_message_sees_what_the_decoder_sees() {
        for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for payload in [vec![], vec![1; 100], vec![2; 20_000], vec![3; 3_000_000]] {
                    let mut view = PublishView::new("a/topic", &payload);
                    (view.qos, view.packet_id) = (qos, PacketId::new(0x1234));
                    view.content_type = Some("text/plain");
                    let mut bytes = BytesMut::new();
                    view.encode(version, &mut bytes);
                    let bytes = bytes.freeze();
                    let decoded = decode(&mut bytes.clone(), Some(version), u32::MAX).unwrap().unwrap();
                    let Packet::Publish(publish) = decoded else { panic!("{decoded:?}") };
                    let expected =
                        Glance::Publish { qos, packet_id: publish.packet_id, payload: publish.payload.as_ref() };
                    assert_eq!(Glance::at(&bytes, version), expected);
                }
            }
        }
    }

    #[test]
    fn acknowledgements_tell_failure_from_success() {
        let id = PacketId::new(7).unwrap();
        for (reason, is_success) in [
            (ReasonCode::Success, true),
            (ReasonCode::NoMatchingSubscribers, true),
            (ReasonCode::QuotaExceeded, false),
            (ReasonCode::NotAuthorized, false),
        ] {
            let mut bytes = BytesMut::new();
            Packet::PubAck(PubAck::new(id, reason)).encode(ProtocolVersion::V5, u32::MAX, &mut bytes).unwrap();
            let expected = Glance::Acknowledgement { packet: PacketType::PubAck, packet_id: id, is_success };
            assert_eq!(Glance::at(&bytes, ProtocolVersion::V5), expected);
        }
    }

    #[test]
    fn what_is_cut_short_is_left_to_the_decoder() {
        let mut bytes = BytesMut::new();
        PublishView::new("a/topic", b"").encode(ProtocolVersion::V5, &mut bytes);
        for length in 0..bytes.len() {
            assert_eq!(Glance::at(&bytes[..length], ProtocolVersion::V5), Glance::Other);
        }
        assert_eq!(Glance::at(&[0x20, 2, 0, 0], ProtocolVersion::V3_1_1), Glance::Other);
    }
}
