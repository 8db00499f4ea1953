//! All packets as one type.

use super::connect::{ConnAck, Connect};
use super::control::{Auth, Disconnect};
use super::publish::{PubAck, Publish};
use super::subscribe::{SubAck, Subscribe, UnsubAck, Unsubscribe};

/// A control packet of any version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet {
    /// 1: a client asks to be connected.
    Connect(Box<Connect>),
    /// 2: the server's answer.
    ConnAck(Box<ConnAck>),
    /// 3: a message.
    Publish(Publish),
    /// 4: a QoS 1 message was taken over.
    PubAck(PubAck),
    /// 5: a QoS 2 message was taken over.
    PubRec(PubAck),
    /// 6: the sender forgets the message.
    PubRel(PubAck),
    /// 7: the receiver forgets the packet identifier.
    PubComp(PubAck),
    /// 8.
    Subscribe(Subscribe),
    /// 9.
    SubAck(SubAck),
    /// 10.
    Unsubscribe(Unsubscribe),
    /// 11.
    UnsubAck(UnsubAck),
    /// 12.
    PingReq,
    /// 13.
    PingResp,
    /// 14.
    Disconnect(Box<Disconnect>),
    /// 15.
    Auth(Box<Auth>),
}
