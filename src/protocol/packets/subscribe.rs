//! SUBSCRIBE, SUBACK, UNSUBSCRIBE and UNSUBACK.

use super::publish::{PubAckProperties, UserProperties};
use crate::protocol::packet_id::PacketId;
use crate::protocol::qos::QoS;
use crate::protocol::reason::ReasonCode;
use crate::protocol::text::Text;

/// A SUBSCRIBE packet with at least one request. [v5:MQTT-3.8.3-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// Ties the SUBACK to it.
    pub packet_id: PacketId,
    /// 0x0B: comes back with each message of these subscriptions.
    pub subscription_id: Option<SubscriptionId>,
    /// 0x26.
    pub user_properties: UserProperties,
    /// What is asked for, in order.
    pub requests: Vec<SubscribeRequest>,
}

/// One topic filter of a SUBSCRIBE, with its options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeRequest {
    /// The filter as sent, `$share/…` included. Whether it is a filter is decided by whoever subscribes, so that
    /// a bad one is answered in its own SUBACK code.
    pub filter: Text,
    /// The most that messages are sent with.
    pub qos: QoS,
    /// Not one's own messages.
    pub no_local: bool,
    /// The retain flag is forwarded as it was published.
    pub retain_as_published: bool,
    /// Which retained messages follow the SUBACK.
    pub retain_handling: RetainHandling,
}

/// Which retained messages a new subscription is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RetainHandling {
    /// 0: those that match.
    Send,
    /// 1: those that match, if the subscription did not exist.
    SendIfNew,
    /// 2: none.
    DoNotSend,
}

/// A subscription identifier: 1 to 268,435,455.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(u32);

impl SubscriptionId {
    /// An identifier, unless the number is zero or too large. [v5:MQTT-3.8.2-1]
    pub fn new(number: u32) -> Option<Self> {
        (1..=268_435_455).contains(&number).then_some(Self(number))
    }

    /// The number.
    pub fn number(self) -> u32 {
        self.0
    }
}

/// A SUBACK packet: one code per request, in the same order. [v5:MQTT-3.9.3-1]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck {
    /// Of the SUBSCRIBE.
    pub packet_id: PacketId,
    /// The properties of 5.0.
    pub properties: PubAckProperties,
    /// Granted QoS or why not; the encoder says 0x80 for every failure before 5.0.
    pub reasons: Vec<ReasonCode>,
}

/// An UNSUBSCRIBE packet with at least one filter. [v5:MQTT-3.10.3-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe {
    /// Ties the UNSUBACK to it.
    pub packet_id: PacketId,
    /// 0x26.
    pub user_properties: UserProperties,
    /// The filters as sent, `$share/…` included.
    pub filters: Vec<Text>,
}

/// An UNSUBACK packet: one code per filter in 5.0, none before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsubAck {
    /// Of the UNSUBSCRIBE.
    pub packet_id: PacketId,
    /// The properties of 5.0.
    pub properties: PubAckProperties,
    /// One per filter, in order; not encoded before 5.0.
    pub reasons: Vec<ReasonCode>,
}
