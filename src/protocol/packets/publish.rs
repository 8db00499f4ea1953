//! PUBLISH: carries a message. It is what a broker spends its time on, so there are two forms: [`Publish`] owns what
//! was received, [`PublishView`] borrows what is to be sent.

use crate::protocol::error::{PacketTooLarge, Violation};
use crate::protocol::packet_id::PacketId;
use crate::protocol::packet_type::PacketType;
use crate::protocol::property::{Property, SubscriptionId, UserProperties};
use crate::protocol::qos::QoS;
use crate::protocol::rare::{Absent, Rare};
use crate::protocol::text::Text;
use crate::protocol::version::ProtocolVersion;
use crate::protocol::wire::{
    Body, Detail, Form, PropertyReader, PropertyWriter, Reader, Writer, encoded_len, packet_len, write_packet,
};
use bytes::{Bytes, BytesMut};

/// A PUBLISH packet: carries one application message once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Sent before, perhaps received before.
    pub dup: bool,
    /// How often it may arrive.
    pub qos: QoS,
    /// To be kept for later subscribers, or: was kept.
    pub retain: bool,
    /// The topic; empty where a topic alias stands for it, else checked to be a name by whoever resolves the alias.
    pub topic: Text,
    /// Present exactly when the QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// The properties of 5.0.
    pub properties: Rare<PublishProperties>,
    /// The application message.
    pub payload: Bytes,
}

/// The properties of PUBLISH.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PublishProperties {
    /// 0x01: whether the payload is declared to be UTF-8 (`Some(true)`) or bytes (`Some(false)`).
    pub payload_is_utf8: Option<bool>,
    /// 0x02: seconds until the message is worthless.
    pub message_expiry_interval: Option<u32>,
    /// 0x23: a number that stands for the topic on this connection; zero is refused when decoding.
    pub topic_alias: Option<u16>,
    /// 0x08: where to answer. Without wildcards. [v5:MQTT-3.3.2-14]
    pub response_topic: Option<Text>,
    /// 0x09: what the answer should carry.
    pub correlation_data: Option<Bytes>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// 0x0B: which subscriptions of the receiver matched; only a server sends them. [v5:MQTT-3.3.4-6]
    pub subscription_ids: Vec<SubscriptionId>,
    /// 0x03: what the payload is.
    pub content_type: Option<Text>,
}

/// A PUBLISH packet to be sent, borrowing all it says, so that one message goes to many without a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishView<'a> {
    /// Sent before, perhaps received before; never said at QoS 0.
    pub dup: bool,
    /// How often it may arrive.
    pub qos: QoS,
    /// To be kept for later subscribers, or: was kept.
    pub retain: bool,
    /// The bytes of the topic; empty where a topic alias stands for it.
    pub topic: &'a [u8],
    /// Present when the QoS is above 0; not sent at QoS 0.
    pub packet_id: Option<PacketId>,
    /// 0x01.
    pub payload_is_utf8: Option<bool>,
    /// 0x02.
    pub message_expiry_interval: Option<u32>,
    /// 0x23.
    pub topic_alias: Option<u16>,
    /// 0x08.
    pub response_topic: Option<&'a str>,
    /// 0x09.
    pub correlation_data: Option<&'a [u8]>,
    /// 0x26.
    pub user_properties: &'a [(Text, Text)],
    /// 0x0B.
    pub subscription_ids: &'a [SubscriptionId],
    /// 0x03.
    pub content_type: Option<&'a str>,
    /// The application message.
    pub payload: &'a [u8],
}

impl Publish {
    /// Reads what follows the fixed header.
    #[inline]
    pub fn decode(flags: u8, mut reader: Reader<'_>, version: ProtocolVersion) -> Result<Self, Violation> {
        let qos = QoS::from_bits((flags & QOS) >> 1).ok_or(Violation::QoS3(PacketType::Publish))?;
        let is_acknowledged = qos > QoS::AtMostOnce;
        if flags & DUP != 0 && !is_acknowledged && version.reserves_bits() {
            return Err(Violation::DupAtQoS0);
        }
        let topic = reader.text()?;
        let packet_id = if is_acknowledged { Some(reader.packet_id(PacketType::Publish)?) } else { None };
        let properties = PublishProperties::decode(version, &mut reader)?;
        if topic.is_empty() && properties.topic_alias.is_none() {
            return Err(Violation::TopicMissing);
        }
        Ok(Self {
            dup: flags & DUP != 0 && is_acknowledged,
            qos,
            retain: flags & RETAIN != 0,
            topic,
            packet_id,
            properties,
            payload: reader.into_rest(),
        })
    }

    /// The packet as it is sent.
    pub fn view(&self) -> PublishView<'_> {
        PublishView {
            dup: self.dup,
            qos: self.qos,
            retain: self.retain,
            topic: self.topic.as_bytes(),
            packet_id: self.packet_id,
            payload_is_utf8: self.properties.payload_is_utf8,
            message_expiry_interval: self.properties.message_expiry_interval,
            topic_alias: self.properties.topic_alias,
            response_topic: self.properties.response_topic.as_ref().map(Text::as_str),
            correlation_data: self.properties.correlation_data.as_deref(),
            user_properties: &self.properties.user_properties,
            subscription_ids: &self.properties.subscription_ids,
            content_type: self.properties.content_type.as_ref().map(Text::as_str),
            payload: &self.payload,
        }
    }
}

const DUP: u8 = 0b1000;
const QOS: u8 = 0b0110;
const RETAIN: u8 = 0b0001;

impl Absent for PublishProperties {
    fn absent() -> &'static Self {
        static ABSENT: PublishProperties = PublishProperties {
            payload_is_utf8: None,
            message_expiry_interval: None,
            topic_alias: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
            subscription_ids: Vec::new(),
            content_type: None,
        };
        &ABSENT
    }
}

impl PublishProperties {
    #[inline]
    fn decode(version: ProtocolVersion, reader: &mut Reader<'_>) -> Result<Rare<Self>, Violation> {
        let mut values = PropertyReader::open(PacketType::Publish, version, reader)?;
        let mut all: Rare<Self> = Rare::NOTHING;
        while let Some(property) = values.next()? {
            match property {
                Property::PayloadFormatIndicator => values.boolean(&mut all.payload_is_utf8)?,
                Property::MessageExpiryInterval => values.u32(&mut all.message_expiry_interval)?,
                Property::TopicAlias => values.nonzero_u16(&mut all.topic_alias)?,
                Property::ResponseTopic => values.response_topic(&mut all.response_topic)?,
                Property::CorrelationData => values.binary(&mut all.correlation_data)?,
                Property::UserProperty => values.pair(&mut all.user_properties)?,
                Property::SubscriptionIdentifier => values.subscription_ids(&mut all.subscription_ids)?,
                Property::ContentType => values.text(&mut all.content_type)?,
                _ => return Err(values.misplaced()),
            }
        }
        Ok(all)
    }
}

/// A PUBLISH packet to be sent that has no properties, as nearly all have none: its length is a sum, where that of a
/// [`PublishView`] is counted by writing it to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlainPublish<'a> {
    /// Sent before, perhaps received before; never said at QoS 0.
    pub dup: bool,
    /// How often it may arrive.
    pub qos: QoS,
    /// To be kept for later subscribers, or: was kept.
    pub retain: bool,
    /// The bytes of the topic.
    pub topic: &'a [u8],
    /// Present when the QoS is above 0; not sent at QoS 0.
    pub packet_id: Option<PacketId>,
    /// The application message.
    pub payload: &'a [u8],
}

impl PlainPublish<'_> {
    /// The length of the whole packet, or `usize::MAX` if no packet can hold it.
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        let length = self.remaining(version).and_then(packet_len).map(usize::try_from);
        length.and_then(Result::ok).unwrap_or(usize::MAX)
    }

    /// Appends the packet, or nothing if no packet can hold it.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) {
        let (Some(remaining), Ok(topic_len)) = (self.remaining(version), u16::try_from(self.topic.len())) else {
            return;
        };
        let packet_id = self.packet_id.filter(|_| self.qos > QoS::AtMostOnce);
        let first_byte = first_byte(self.dup, packet_id.map_or(QoS::AtMostOnce, |_| self.qos), self.retain);
        out.reserve(self.topic.len().saturating_add(self.payload.len()).saturating_add(Self::REST));
        out.u8(first_byte);
        out.varint(remaining);
        out.u16(topic_len);
        out.bytes(self.topic);
        if let Some(packet_id) = packet_id {
            out.packet_id(packet_id);
        }
        if version.has_properties() {
            out.u8(0);
        }
        out.bytes(self.payload);
    }

    /// The most that goes with topic and payload: the first byte, the length, that of the topic, an identifier and the
    /// length of no properties.
    const REST: usize = 1 + 4 + 2 + 2 + 1;

    /// What the length in the fixed header says, unless no packet is that long.
    fn remaining(&self, version: ProtocolVersion) -> Option<u32> {
        let topic_len = u16::try_from(self.topic.len()).ok()?;
        let packet_id = if self.qos > QoS::AtMostOnce && self.packet_id.is_some() { 2 } else { 0 };
        let properties = u32::from(version.has_properties());
        let payload = u32::try_from(self.payload.len()).ok()?;
        payload
            .checked_add(u32::from(topic_len))?
            .checked_add(2)?
            .checked_add(packet_id)?
            .checked_add(properties)
            .filter(|remaining| packet_len(*remaining).is_some())
    }
}

/// The first byte of a PUBLISH.
fn first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    let dup = if dup && qos > QoS::AtMostOnce { DUP } else { 0 };
    let retain = if retain { RETAIN } else { 0 };
    PacketType::Publish.first_byte() | dup | (qos.bits() << 1) | retain
}

impl<'a> PublishView<'a> {
    /// A message without properties, sent once.
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: topic.as_bytes(),
            packet_id: None,
            payload_is_utf8: None,
            message_expiry_interval: None,
            topic_alias: None,
            response_topic: None,
            correlation_data: None,
            user_properties: &[],
            subscription_ids: &[],
            content_type: None,
            payload,
        }
    }

    /// The length of the whole packet, or `usize::MAX` if no packet can hold it.
    pub fn encoded_len(&self, version: ProtocolVersion) -> usize {
        u32::try_from(encoded_len(&self.form(version)))
            .ok()
            .and_then(packet_len)
            .and_then(|length| usize::try_from(length).ok())
            .unwrap_or(usize::MAX)
    }

    /// Appends the packet; before 5.0 without its properties. Whoever has a receiver with a maximum compares it with
    /// [`PublishView::encoded_len`] first; what no packet can hold is not written.
    pub fn encode(&self, version: ProtocolVersion, out: &mut BytesMut) {
        // Only the limit of every packet is left to exceed, and `encoded_len` has told.
        let _ = self.encode_within(version, u32::MAX, out);
    }

    /// Appends the packet unless it is longer than `maximum`.
    pub fn encode_within(
        &self,
        version: ProtocolVersion,
        maximum: u32,
        out: &mut BytesMut,
    ) -> Result<(), PacketTooLarge> {
        write_packet(self.first_byte(), &self.form(version), maximum, out)
    }

    /// The identifier, which goes with a QoS above 0 and with nothing else. [v5:MQTT-2.2.1-2]
    fn sent_packet_id(&self) -> Option<PacketId> {
        debug_assert!(self.qos == QoS::AtMostOnce || self.packet_id.is_some(), "QoS above 0 needs a packet identifier");
        self.packet_id.filter(|_| self.qos > QoS::AtMostOnce)
    }

    fn first_byte(&self) -> u8 {
        first_byte(self.dup, self.sent_packet_id().map_or(QoS::AtMostOnce, |_| self.qos), self.retain)
    }

    fn form(&self, version: ProtocolVersion) -> Form<'_, Self> {
        Form { of: self, version, detail: Detail::Full }
    }
}

impl Body for Form<'_, PublishView<'_>> {
    fn write(&self, out: &mut impl Writer) {
        out.binary(self.of.topic);
        if let Some(packet_id) = self.of.sent_packet_id() {
            out.packet_id(packet_id);
        }
        if self.version.has_properties() {
            out.block(&ViewProperties(self.of));
        }
        out.bytes(self.of.payload);
    }
}

struct ViewProperties<'a>(&'a PublishView<'a>);

impl Body for ViewProperties<'_> {
    fn write(&self, out: &mut impl Writer) {
        let all = self.0;
        out.property_bool(Property::PayloadFormatIndicator, all.payload_is_utf8);
        out.property_u32(Property::MessageExpiryInterval, all.message_expiry_interval);
        out.property_u16(Property::TopicAlias, all.topic_alias);
        out.property_binary(Property::ResponseTopic, all.response_topic.map(str::as_bytes));
        out.property_binary(Property::CorrelationData, all.correlation_data);
        out.property_pairs(all.user_properties);
        for id in all.subscription_ids {
            out.property_varint(Property::SubscriptionIdentifier, Some(id.number()));
        }
        out.property_binary(Property::ContentType, all.content_type.map(str::as_bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plain packet is written as the same packet with all its fields is.
    #[test]
    fn a_packet_without_properties_is_the_same_either_way() {
        let topics = [&b"t"[..], &[b'x'; 300], &[b'x'; 70_000]];
        let payloads = [&b""[..], &[1; 100], &[2; 20_000]];
        for (topic, payload) in topics.into_iter().flat_map(|topic| payloads.map(|payload| (topic, payload))) {
            for (qos, dup) in [(QoS::AtMostOnce, false), (QoS::AtLeastOnce, true), (QoS::ExactlyOnce, false)] {
                let packet_id = PacketId::new(7);
                let plain = PlainPublish { dup, qos, retain: dup, topic, packet_id, payload };
                let view = PublishView { dup, qos, retain: dup, topic, packet_id, ..PublishView::new("", payload) };
                for version in [ProtocolVersion::V3_1, ProtocolVersion::V3_1_1, ProtocolVersion::V5] {
                    let (mut written, mut expected) = (BytesMut::new(), BytesMut::new());
                    plain.encode(version, &mut written);
                    view.encode(version, &mut expected);
                    assert_eq!(written, expected, "{} bytes of topic, {} of payload", topic.len(), payload.len());
                    assert_eq!(plain.encoded_len(version), view.encoded_len(version));
                }
            }
        }
    }
}
