//! PUBLISH, and the four packets that acknowledge it: PUBACK, PUBREC, PUBREL, PUBCOMP.

use super::subscribe::SubscriptionId;
use crate::protocol::packet_id::PacketId;
use crate::protocol::qos::QoS;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use bytes::Bytes;

/// Name and value pairs whose order is kept. [v5:MQTT-3.3.2-18]
pub type UserProperties = Vec<(Text, Text)>;

/// A PUBLISH packet: carries one application message once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Sent before, perhaps received before.
    pub dup: bool,
    /// How often it may arrive.
    pub qos: QoS,
    /// To be kept for later subscribers, or: was kept.
    pub retain: bool,
    /// The topic; empty where a topic alias stands for it. Checked to be a name by whoever resolves the alias.
    pub topic: Text,
    /// Present exactly when the QoS is above 0.
    pub packet_id: Option<PacketId>,
    /// The properties of 5.0.
    pub properties: PublishProperties,
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

/// A PUBACK, PUBREC, PUBREL or PUBCOMP packet: [`super::Packet`] says which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PubAck {
    /// Which packet is acknowledged.
    pub packet_id: PacketId,
    /// What became of it; always success before 5.0.
    pub reason: ReasonCode,
    /// The properties of 5.0.
    pub properties: PubAckProperties,
}

impl PubAck {
    /// An acknowledgement that says nothing more than its reason.
    pub fn new(packet_id: PacketId, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: PubAckProperties::default() }
    }
}

/// The properties that acknowledgements share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PubAckProperties {
    /// 0x1F: for people.
    pub reason_string: Option<Text>,
    /// 0x26.
    pub user_properties: UserProperties,
}
