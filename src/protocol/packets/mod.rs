//! The fifteen packets, one model in the terms of 5.0; for 3.1 and 3.1.1 the properties are empty.

mod connect;
mod publish;
mod subscribe;
mod control;
mod packet;

pub use connect::{ConnAck, ConnAckProperties, Connect, ConnectProperties, Credentials, LastWill, WillProperties};
pub use control::{Auth, AuthProperties, Disconnect, DisconnectProperties};
pub use packet::Packet;
pub use publish::{PubAck, PubAckProperties, Publish, PublishProperties, UserProperties};
pub use subscribe::{RetainHandling, SubAck, Subscribe, SubscribeRequest, SubscriptionId, UnsubAck, Unsubscribe};
