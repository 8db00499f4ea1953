//! A PUBLISH that is encoded once and sent many times: only its stamp, packet identifier and topic number change.

use super::stamp::Stamp;
use crate::protocol::{PacketId, ProtocolVersion, PublishView, QoS};
use bytes::BytesMut;

/// The bytes of a PUBLISH, and where in them is what changes.
#[derive(Debug)]
pub struct Template {
    bytes: BytesMut,
    stamp_at: usize,
    /// Only above QoS 0.
    packet_id_at: Option<usize>,
    /// The digits that end the topic.
    topic_number_end: usize,
}

/// Whether the broker keeps a message for those who subscribe later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// How many digits number a topic.
const DIGITS: usize = 7;

impl Template {
    /// A message to `topic`, which is numbered if it ends with [`topic_number`]. The payload is at least a stamp long.
    pub fn new(topic: &str, payload_len: usize, qos: QoS, version: ProtocolVersion, retain: Retain) -> Self {
        Self::of(topic, &vec![b'.'; payload_len.max(Stamp::LEN)], qos, version, retain)
    }

    /// A message without payload, and so without a stamp; retained, it takes a retained message away.
    pub fn empty(topic: &str, qos: QoS, version: ProtocolVersion) -> Self {
        Self::of(topic, &[], qos, version, Retain::Yes)
    }

    fn of(topic: &str, payload: &[u8], qos: QoS, version: ProtocolVersion, retain: Retain) -> Self {
        let mut view = PublishView::new(topic, payload);
        (view.qos, view.retain) = (qos, retain == Retain::Yes);
        view.packet_id = (qos > QoS::AtMostOnce).then_some(PacketId::FIRST);
        let mut bytes = BytesMut::new();
        view.encode(version, &mut bytes);
        let stamp_at = bytes.len() - payload.len();
        let properties_len = usize::from(version.has_properties());
        let packet_id_at = view.packet_id.map(|_| stamp_at - properties_len - 2);
        let topic_number_end = packet_id_at.unwrap_or(stamp_at - properties_len);
        Self { bytes, stamp_at, packet_id_at, topic_number_end }
    }

    /// From now on messages go to the topic with this number.
    pub fn renumber(&mut self, number: u32) {
        let digits = topic_number(number);
        let end = self.topic_number_end;
        if let Some(place) = self.bytes.get_mut(end.saturating_sub(DIGITS)..end) {
            place.copy_from_slice(digits.as_bytes());
        }
    }

    /// Appends the packet with this stamp and identifier.
    #[inline]
    pub fn write(&mut self, stamp: Stamp, packet_id: Option<PacketId>, out: &mut Vec<u8>) {
        if let Some(place) = self.bytes.get_mut(self.stamp_at..self.stamp_at + Stamp::LEN) {
            place.copy_from_slice(&stamp.to_bytes());
        }
        if let (Some(at), Some(packet_id)) = (self.packet_id_at, packet_id)
            && let Some(place) = self.bytes.get_mut(at..at + 2)
        {
            place.copy_from_slice(&packet_id.number().to_be_bytes());
        }
        out.extend_from_slice(&self.bytes);
    }
}

/// How a topic ends that is one of many.
pub fn topic_number(number: u32) -> String {
    format!("{:0DIGITS$}", number % 10_u32.pow(7))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{Packet, decode};

    #[test]
    fn a_message_decodes_to_what_was_put_in() {
        for version in [ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
            for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
                for length in [0, 100, 5000] {
                    let mut template = Template::new("a/0000000", length, qos, version, Retain::Yes);
                    template.renumber(1_234_567);
                    let stamp = Stamp { source: 1, sequence: 2, due_ns: 3 };
                    let packet_id = PacketId::new(0x4321).filter(|_| qos > QoS::AtMostOnce);
                    let mut out = Vec::new();
                    template.write(stamp, packet_id, &mut out);
                    let packet = decode(&mut out.into(), Some(version), u32::MAX).unwrap().unwrap();
                    let Packet::Publish(publish) = packet else { panic!("{packet:?}") };
                    assert_eq!(publish.topic.as_str(), "a/1234567");
                    assert_eq!((publish.qos, publish.retain, publish.packet_id), (qos, true, packet_id));
                    assert_eq!(publish.payload.len(), length.max(Stamp::LEN));
                    assert_eq!(Stamp::read(&publish.payload), Some(stamp));
                }
            }
        }
    }
}
