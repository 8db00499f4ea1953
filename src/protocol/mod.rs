//! MQTT words and bytes: one packet model for 3.1, 3.1.1 and 5.0.
//!
//! Bytes become packets in [`decode`], and packets become bytes in [`Packet::encode`]; a message that goes to many is
//! written from a [`PublishView`]. Whatever a peer does wrong, in its bytes or in the order of its packets, is a
//! [`Violation`], and [`Violation::reason`] is the one place that says which code it is told.
//!
//! Pure: no I/O, no clock, no randomness. A file imports only files listed above it. Nothing here panics, whatever
//! the bytes, and nothing is allocated that is larger than the bytes that arrived.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::string_slice, clippy::arithmetic_side_effects, clippy::as_conversions)
)]

mod version;
mod text;
mod client_id;
mod qos;
mod packet_id;
mod topic;
mod packet_type;
mod property;
mod reason;
mod error;
mod rare;
mod foreign;
mod wire;
mod packets;
mod codec;
#[cfg(test)]
mod wire_cases;
#[cfg(test)]
mod round_trips;

pub use client_id::{ClientId, InvalidClientId};
pub use codec::{decode, frame_len, version_to_answer_in};
pub use error::{PacketTooLarge, Violation};
pub use foreign::{ForeignProtocol, guess_protocol};
pub use packet_id::PacketId;
pub use packet_type::PacketType;
pub use packets::{
    Auth, AuthProperties, ConnAck, ConnAckProperties, Connect, ConnectProperties, Credentials, Disconnect,
    DisconnectProperties, LastWill, Packet, PlainPublish, PubAck, PubAckProperties, Publish, PublishProperties,
    PublishView, RetainHandling, SubAck, Subscribe, SubscribeRequest, UnsubAck, Unsubscribe, WillProperties,
};
pub use property::{Property, SubscriptionId, UserProperties};
pub use qos::QoS;
pub use rare::{Absent, Rare};
pub use reason::ReasonCode;
pub use text::{InvalidText, Text};
pub use topic::{InvalidTopic, ShareName, SharedFilter, TopicFilter, TopicName};
pub use version::ProtocolVersion;
