//! How a subscription is served.

use crate::protocol::{QoS, SubscriptionId};

/// The options of a subscription that matter when a message is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionOptions {
    /// The most that messages are sent with.
    pub qos: QoS,
    /// Not one's own messages. [v5:MQTT-3.8.3-3]
    pub no_local: bool,
    /// The retain flag is forwarded as published. [v5:MQTT-3.3.1-13]
    pub retain_as_published: bool,
    /// Comes back with each message. [v5:MQTT-3.3.4-3]
    pub id: Option<SubscriptionId>,
    /// Whether the rights of the moment must be asked for every message: a denial speaks of a part of the filter, or the
    /// rights changed after the subscription was made.
    pub check_delivery: bool,
}
