//! CONNECT and CONNACK.

use super::publish::UserProperties;
use crate::protocol::qos::QoS;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;
use crate::protocol::version::ProtocolVersion;
use bytes::Bytes;

/// A CONNECT packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Chosen for the whole connection.
    pub version: ProtocolVersion,
    /// Whether an existing session is thrown away first. Clean Session of 3.1 and 3.1.1 is decoded into this and
    /// [`ConnectProperties::session_expiry_interval`]: clean gives 0, not clean gives 0xFFFF_FFFF.
    pub clean_start: bool,
    /// Seconds without a packet after which the client counts as gone, times 1.5; 0 is never.
    pub keep_alive: u16,
    /// The identifier as sent; empty asks the server for one.
    pub client_id: Text,
    /// What the server publishes for a client that vanishes.
    pub will: Option<LastWill>,
    /// User name and password as far as sent.
    pub credentials: Credentials,
    /// The properties of 5.0.
    pub properties: ConnectProperties,
}

/// User name and password of CONNECT.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Credentials {
    /// The user name, if sent.
    pub user_name: Option<Text>,
    /// The password, if sent. Before 5.0 only beside a user name. [v311:MQTT-3.1.2-22]
    pub password: Option<Bytes>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user_name", &self.user_name).finish_non_exhaustive()
    }
}

/// The properties of CONNECT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnectProperties {
    /// 0x11: seconds for which the session outlives the connection; 0xFFFF_FFFF is for ever; absent is 0.
    pub session_expiry_interval: Option<u32>,
    /// 0x21: how many QoS 1 and 2 messages the client takes unacknowledged; zero is refused when decoding.
    pub receive_maximum: Option<u16>,
    /// 0x27: the largest packet the client takes, in bytes; zero is refused when decoding.
    pub maximum_packet_size: Option<u32>,
    /// 0x22: the highest topic alias the client takes.
    pub topic_alias_maximum: Option<u16>,
    /// 0x19: whether the client wants response information in CONNACK.
    pub request_response_information: Option<bool>,
    /// 0x17: whether the client wants reason strings and user properties; absent is yes.
    pub request_problem_information: Option<bool>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// 0x15: asks for extended authentication.
    pub authentication_method: Option<Text>,
    /// 0x16: only beside a method.
    pub authentication_data: Option<Bytes>,
}

/// The will of CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastWill {
    /// Where it is published. Checked to be a topic name when decoding.
    pub topic: Text,
    /// The message.
    pub payload: Bytes,
    /// How often it may arrive.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// The properties of 5.0.
    pub properties: WillProperties,
}

/// The properties of the will.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WillProperties {
    /// 0x18: seconds between the end of the connection and the will.
    pub will_delay_interval: Option<u32>,
    /// 0x01.
    pub payload_is_utf8: Option<bool>,
    /// 0x02: seconds, sent as the expiry of the message.
    pub message_expiry_interval: Option<u32>,
    /// 0x03.
    pub content_type: Option<Text>,
    /// 0x08.
    pub response_topic: Option<Text>,
    /// 0x09.
    pub correlation_data: Option<Bytes>,
    /// 0x26.
    pub user_properties: UserProperties,
}

/// A CONNACK packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck {
    /// Whether the server goes on with a session that it had.
    pub session_present: bool,
    /// Success, or why not; the encoder maps it to the return codes of 3.1 and 3.1.1.
    pub reason: ReasonCode,
    /// The properties of 5.0.
    pub properties: ConnAckProperties,
}

/// The properties of CONNACK.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConnAckProperties {
    /// 0x11: the expiry that the server uses instead of the one asked for.
    pub session_expiry_interval: Option<u32>,
    /// 0x21.
    pub receive_maximum: Option<u16>,
    /// 0x24: only QoS 0 and 1 are ever sent; absent is QoS 2.
    pub maximum_qos: Option<QoS>,
    /// 0x25.
    pub retain_available: Option<bool>,
    /// 0x27.
    pub maximum_packet_size: Option<u32>,
    /// 0x12.
    pub assigned_client_id: Option<Text>,
    /// 0x22.
    pub topic_alias_maximum: Option<u16>,
    /// 0x1F.
    pub reason_string: Option<Text>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// 0x28.
    pub wildcard_subscription_available: Option<bool>,
    /// 0x29.
    pub subscription_ids_available: Option<bool>,
    /// 0x2A.
    pub shared_subscription_available: Option<bool>,
    /// 0x13: seconds; the client must use it instead of its own.
    pub server_keep_alive: Option<u16>,
    /// 0x1A.
    pub response_information: Option<Text>,
    /// 0x1C.
    pub server_reference: Option<Text>,
    /// 0x15.
    pub authentication_method: Option<Text>,
    /// 0x16.
    pub authentication_data: Option<Bytes>,
}
