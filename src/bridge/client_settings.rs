//! What a client asks of a server in CONNECT, and what the server allows it in CONNACK.

use crate::protocol::{
    ConnAckProperties, Connect, ConnectProperties, Credentials, InvalidTopic, LastWill, ProtocolVersion, Publish, QoS,
    Text, TopicName,
};
use std::time::Duration;

/// How a client connects.
#[derive(Debug, Clone)]
pub struct ClientSettings {
    /// Which MQTT it speaks.
    pub version: ProtocolVersion,
    /// Its identifier; empty asks the server for one, which is then kept.
    pub client_id: Text,
    /// Whether the first connection throws away a session that the server has; 3.1 and 3.1.1 then keep none either.
    pub clean_start: bool,
    /// The longest silence, in seconds; 0 never pings.
    pub keep_alive: u16,
    /// User name and password.
    pub credentials: Credentials,
    /// What the server publishes if this client vanishes.
    pub will: Option<LastWill>,
    /// Seconds for which the session outlives a connection; only 5.0 sends it.
    pub session_expiry_interval: u32,
    /// How many QoS 1 and 2 messages may be under way to this client, and at most from it.
    pub receive_maximum: u16,
    /// The largest packet it takes, in bytes; `u32::MAX` says nothing.
    pub maximum_packet_size: u32,
    /// How many topic aliases it keeps.
    pub topic_alias_maximum: u16,
    /// How many messages wait for their turn before another is refused: they are held in memory.
    pub queue_limit: usize,
    /// How long the server may take to answer CONNECT or PINGREQ.
    pub patience: Duration,
}

impl ClientSettings {
    /// A client with a clean start, a keep alive of a minute and limits that suit a command line.
    pub fn new(version: ProtocolVersion, client_id: Text) -> Self {
        Self {
            version,
            client_id,
            clean_start: true,
            keep_alive: 60,
            credentials: Credentials::default(),
            will: None,
            session_expiry_interval: 0,
            receive_maximum: 1000,
            maximum_packet_size: u32::MAX,
            topic_alias_maximum: 0,
            queue_limit: 1000,
            patience: Duration::from_secs(10),
        }
    }

    /// Whether the server keeps the session when a connection ends.
    pub fn session_outlives_connection(&self) -> bool {
        if self.version.has_properties() { self.session_expiry_interval > 0 } else { !self.clean_start }
    }

    /// The CONNECT of the first connection, or of a later one, which goes on with the session.
    pub fn connect(&self, is_first: bool) -> Connect {
        let has_properties = self.version.has_properties();
        let in_5 = |is_said: bool| has_properties && is_said;
        let properties = ConnectProperties {
            session_expiry_interval: in_5(self.session_expiry_interval > 0).then_some(self.session_expiry_interval),
            receive_maximum: in_5(self.receive_maximum < u16::MAX).then_some(self.receive_maximum.max(1)),
            maximum_packet_size: in_5(self.maximum_packet_size < u32::MAX).then_some(self.maximum_packet_size.max(1)),
            topic_alias_maximum: in_5(self.topic_alias_maximum > 0).then_some(self.topic_alias_maximum),
            ..ConnectProperties::default()
        };
        Connect {
            version: self.version,
            clean_start: self.clean_start && (is_first || !self.session_outlives_connection()),
            keep_alive: self.keep_alive,
            client_id: self.client_id.clone(),
            will: self.will.clone(),
            credentials: self.credentials.clone(),
            properties,
        }
    }
}

/// What a server takes. Until it has said so, everything that its version allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// How many QoS 1 and 2 messages it takes unacknowledged.
    pub receive_maximum: u16,
    /// The highest QoS it takes.
    pub maximum_qos: QoS,
    /// Whether it keeps retained messages.
    pub retain_available: bool,
    /// The largest packet it takes, in bytes.
    pub maximum_packet_size: u32,
}

/// Why a message is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// Messages of QoS 0 are for a connection that is open; others wait.
    #[error("there is no connection")]
    NotConnected,
    /// As many messages wait as may.
    #[error("{0} messages wait already")]
    QueueFull(usize),
    /// All 65,535 packet identifiers are in use.
    #[error("all packet identifiers are in use")]
    NoPacketId,
    /// Not a name to publish to.
    #[error("the topic {0}")]
    BadTopic(#[from] InvalidTopic),
    /// [v5:MQTT-3.2.2-11]
    #[error("the server takes QoS {0} at most")]
    QoSNotSupported(QoS),
    /// [v5:MQTT-3.2.2-14]
    #[error("the server keeps no retained messages")]
    RetainNotSupported,
    /// [v5:MQTT-3.2.2-15]
    #[error("the packet is longer than the {0} bytes that the server takes")]
    PacketTooLarge(u32),
}

impl ServerLimits {
    /// Those of a server that sets none.
    pub const NONE: Self = Self {
        receive_maximum: u16::MAX,
        maximum_qos: QoS::ExactlyOnce,
        retain_available: true,
        maximum_packet_size: u32::MAX,
    };

    /// Those that a CONNACK tells.
    pub fn of(properties: &ConnAckProperties) -> Self {
        Self {
            receive_maximum: properties.receive_maximum.unwrap_or(Self::NONE.receive_maximum),
            maximum_qos: properties.maximum_qos.unwrap_or(Self::NONE.maximum_qos),
            retain_available: properties.retain_available.unwrap_or(Self::NONE.retain_available),
            maximum_packet_size: properties.maximum_packet_size.unwrap_or(Self::NONE.maximum_packet_size),
        }
    }

    /// Whether the server takes a message.
    pub fn admit(&self, publish: &Publish, version: ProtocolVersion) -> Result<(), Unsendable> {
        TopicName::new(publish.topic.clone())?;
        if publish.qos > self.maximum_qos {
            return Err(Unsendable::QoSNotSupported(self.maximum_qos));
        }
        if publish.retain && !self.retain_available {
            return Err(Unsendable::RetainNotSupported);
        }
        match u32::try_from(publish.view().encoded_len(version)) {
            Ok(length) if length <= self.maximum_packet_size => Ok(()),
            Ok(_) | Err(_) => Err(Unsendable::PacketTooLarge(self.maximum_packet_size)),
        }
    }
}
