//! What the broker sends, read strictly.

use super::property::{Property, Reader};
use super::sent::{AUTH, DISCONNECT, PUBACK, PUBCOMP, PUBREC, PUBREL, Publish};
use securemq::protocol::ProtocolVersion;

/// A packet from the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    ConnAck(ConnAck),
    Publish(Publish),
    PubAck(Ack),
    PubRec(Ack),
    PubRel(Ack),
    PubComp(Ack),
    SubAck(Codes),
    UnsubAck(Codes),
    PingResp,
    Disconnect(Farewell),
    Auth(Farewell),
}

/// CONNACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    pub session_present: bool,
    /// Reason code, or return code before 5.0.
    pub code: u8,
    pub properties: Vec<Property>,
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub packet_id: u16,
    pub code: u8,
    pub properties: Vec<Property>,
}

/// SUBACK, UNSUBACK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Codes {
    pub packet_id: u16,
    pub properties: Vec<Property>,
    pub codes: Vec<u8>,
}

/// DISCONNECT, AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Farewell {
    pub code: u8,
    pub properties: Vec<Property>,
}

impl Packet {
    /// The first packet of the bytes and its length, if it is there as a whole.
    pub fn decode(version: ProtocolVersion, bytes: &[u8]) -> Option<(Self, usize)> {
        let (&first_byte, rest) = bytes.split_first()?;
        let mut length = 0;
        let mut digits = 0;
        loop {
            assert!(digits < 4, "remaining length takes more than four bytes: {bytes:02x?}");
            let digit = usize::from(*rest.get(digits)?);
            length |= (digit & 0x7F) << (7 * digits);
            digits += 1;
            if digit < 0x80 {
                break;
            }
        }
        let body = rest.get(digits..digits + length)?;
        let mut reader = Reader { bytes: body, version };
        let packet = Self::body(first_byte, &mut reader);
        assert!(reader.bytes.is_empty(), "bytes are left over in {packet:?}: {:02x?}", reader.bytes);
        for property in packet.properties() {
            assert!(packet.may_carry(property), "{property:?} is not of this packet: {packet:?}");
        }
        Some((packet, 1 + digits + length))
    }

    fn properties(&self) -> &[Property] {
        match self {
            Self::ConnAck(ConnAck { properties, .. })
            | Self::Publish(Publish { properties, .. })
            | Self::PubAck(Ack { properties, .. })
            | Self::PubRec(Ack { properties, .. })
            | Self::PubRel(Ack { properties, .. })
            | Self::PubComp(Ack { properties, .. })
            | Self::SubAck(Codes { properties, .. })
            | Self::UnsubAck(Codes { properties, .. })
            | Self::Disconnect(Farewell { properties, .. })
            | Self::Auth(Farewell { properties, .. }) => properties,
            Self::PingResp => &[],
        }
    }

    /// Table 2-4 of 5.0 as far as a broker sends: [v5:MQTT-3.14.2-2] and its like.
    fn may_carry(&self, property: &Property) -> bool {
        use Property as P;
        match property {
            P::User(..) => true,
            P::ReasonString(_) => !matches!(self, Self::Publish(_)),
            P::PayloadFormat(_)
            | P::MessageExpiry(_)
            | P::ContentType(_)
            | P::ResponseTopic(_)
            | P::CorrelationData(_)
            | P::SubscriptionId(_)
            | P::TopicAlias(_) => matches!(self, Self::Publish(_)),
            P::ServerReference(_) => matches!(self, Self::ConnAck(_) | Self::Disconnect(_)),
            P::AuthenticationMethod(_) | P::AuthenticationData(_) => matches!(self, Self::ConnAck(_) | Self::Auth(_)),
            P::SessionExpiry(_)
            | P::AssignedClientId(_)
            | P::ServerKeepAlive(_)
            | P::ResponseInformation(_)
            | P::ReceiveMaximum(_)
            | P::TopicAliasMaximum(_)
            | P::MaximumQoS(_)
            | P::RetainAvailable(_)
            | P::MaximumPacketSize(_)
            | P::WildcardAvailable(_)
            | P::SubscriptionIdsAvailable(_)
            | P::SharedAvailable(_) => matches!(self, Self::ConnAck(_)),
            P::RequestProblemInformation(_) | P::WillDelay(_) | P::RequestResponseInformation(_) => false,
        }
    }

    fn body(first_byte: u8, reader: &mut Reader<'_>) -> Self {
        let v5 = reader.version.has_properties();
        match first_byte {
            0x20 => {
                let flags = reader.byte();
                assert!(flags <= 1, "CONNACK flags {flags:#04x} [v5:MQTT-3.2.2-1]");
                let code = reader.byte();
                let properties = reader.properties();
                assert!(code == 0 || flags == 0, "session present in a refusal [v5:MQTT-3.2.2-6]");
                Self::ConnAck(ConnAck { session_present: flags == 1, code, properties })
            }
            0x30..=0x3F => Self::Publish(reader.publish(first_byte)),
            PUBACK => Self::PubAck(reader.ack()),
            PUBREC => Self::PubRec(reader.ack()),
            PUBREL => Self::PubRel(reader.ack()),
            PUBCOMP => Self::PubComp(reader.ack()),
            0x90 => Self::SubAck(reader.codes()),
            0xB0 if v5 => Self::UnsubAck(reader.codes()),
            0xB0 => {
                let packet_id = reader.two();
                Self::UnsubAck(Codes { packet_id, properties: Vec::new(), codes: Vec::new() })
            }
            0xD0 => Self::PingResp,
            DISCONNECT if v5 => Self::Disconnect(reader.farewell()),
            AUTH if v5 => Self::Auth(reader.farewell()),
            other => panic!("the broker sent a packet that begins with {other:#04x}"),
        }
    }
}

impl Reader<'_> {
    fn publish(&mut self, first_byte: u8) -> Publish {
        let qos = first_byte >> 1 & 3;
        assert!(qos < 3, "PUBLISH with QoS 3 [v5:MQTT-3.3.1-4]");
        let dup = first_byte & 8 != 0;
        assert!(qos > 0 || !dup, "PUBLISH with QoS 0 and DUP [v5:MQTT-3.3.1-2]");
        let topic = self.text();
        assert!(!topic.contains(['+', '#']), "PUBLISH to a topic with wildcards [v5:MQTT-3.3.2-2]");
        let packet_id = if qos > 0 { self.two() } else { 0 };
        assert!(qos == 0 || packet_id > 0, "packet identifier zero [v5:MQTT-2.2.1-4]");
        let properties = self.properties();
        let payload = std::mem::take(&mut self.bytes).to_vec();
        Publish { dup, qos, retain: first_byte & 1 != 0, topic, packet_id, properties, payload }
    }

    fn ack(&mut self) -> Ack {
        let packet_id = self.two();
        let (code, properties) = self.code_and_properties();
        Ack { packet_id, code, properties }
    }

    fn farewell(&mut self) -> Farewell {
        let (code, properties) = self.code_and_properties();
        Farewell { code, properties }
    }

    /// Both may be left out at the end of a packet of 5.0.
    fn code_and_properties(&mut self) -> (u8, Vec<Property>) {
        if !self.version.has_properties() || self.bytes.is_empty() {
            return (0, Vec::new());
        }
        let code = self.byte();
        let properties = if self.bytes.is_empty() { Vec::new() } else { self.properties() };
        (code, properties)
    }

    fn codes(&mut self) -> Codes {
        let packet_id = self.two();
        let properties = self.properties();
        Codes { packet_id, properties, codes: std::mem::take(&mut self.bytes).to_vec() }
    }
}
