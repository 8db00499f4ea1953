//! MQTT words and bytes: one packet model for 3.1, 3.1.1 and 5.0.
//!
//! Pure: no I/O, no clock, no randomness. A file imports only files listed above it.

mod version;
mod text;
mod client_id;
mod qos;
mod packet_id;
mod topic;
mod reason;
mod error;
mod packets;

pub use client_id::{ClientId, InvalidClientId};
pub use error::Violation;
pub use packet_id::PacketId;
pub use packets::{
    Auth, AuthProperties, ConnAck, ConnAckProperties, Connect, ConnectProperties, Credentials, Disconnect,
    DisconnectProperties, LastWill, Packet, PubAck, PubAckProperties, Publish, PublishProperties, RetainHandling,
    SubAck, Subscribe, SubscribeRequest, SubscriptionId, UnsubAck, Unsubscribe, UserProperties, WillProperties,
};
pub use qos::QoS;
pub use reason::ReasonCode;
pub use text::{InvalidText, Text};
pub use topic::{InvalidTopic, ShareName, SharedFilter, TopicFilter, TopicName};
pub use version::ProtocolVersion;
