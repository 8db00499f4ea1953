//! The fifteen packets, one model in the terms of 5.0; for 3.1 and 3.1.1 the properties are empty.
//!
//! Struct, decode and encode of a packet stand in one file.

mod connect;
mod connack;
mod publish;
mod puback;
mod subscribe;
mod control;
mod packet;

pub use connack::{ConnAck, ConnAckProperties};
pub use connect::{Connect, ConnectProperties, Credentials, LastWill, WillProperties, chosen_version};
pub use control::{Auth, AuthProperties, Disconnect, DisconnectProperties};
pub use packet::Packet;
pub use puback::{PubAck, PubAckProperties};
pub use publish::{PlainPublish, Publish, PublishProperties, PublishView};
pub use subscribe::{RetainHandling, SubAck, Subscribe, SubscribeRequest, UnsubAck, Unsubscribe};
