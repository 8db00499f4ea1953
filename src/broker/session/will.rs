//! What is published for a client that vanishes.

use crate::broker::durability::Durability;
use crate::broker::effect::expires_at;
use crate::broker::message::{Message, MessageProperties, Origin, SessionKey};
use crate::broker::time::Timestamp;
use crate::protocol::{InvalidTopic, LastWill, TopicName};
use std::sync::Arc;
use std::time::Duration;

/// A will as the session keeps it.
#[derive(Debug, Clone)]
pub struct Will {
    /// What is published; its expiry begins when it is. [v5:MQTT-3.1.2-8]
    pub message: Message,
    /// Between the end of the connection and the will. [v5:MQTT-3.1.3-9]
    pub delay: Duration,
    /// Seconds from its publication until it expires.
    pub expiry_interval: Option<u32>,
}

impl Will {
    /// The will of a CONNECT packet.
    ///
    /// # Errors
    /// Its topic is no topic name.
    pub fn new(will: LastWill, owner: &Arc<SessionKey>) -> Result<Self, InvalidTopic> {
        let properties = will.properties;
        let message = Message {
            topic: TopicName::new(will.topic)?,
            payload: will.payload,
            qos: will.qos,
            retain: will.retain,
            expires_at: None,
            origin: Origin::Client(Arc::clone(owner)),
            durability: Durability::Commit,
            properties: MessageProperties {
                payload_is_utf8: properties.payload_is_utf8,
                content_type: properties.content_type,
                response_topic: properties.response_topic,
                correlation_data: properties.correlation_data,
                user_properties: properties.user_properties,
            }
            .into(),
        };
        Ok(Self {
            message: message.compact(),
            delay: Duration::from_secs(properties.will_delay_interval.unwrap_or(0).into()),
            expiry_interval: properties.message_expiry_interval,
        })
    }

    /// The message to publish now.
    pub fn publish(self, now: Timestamp) -> Message {
        Message { expires_at: expires_at(now, self.expiry_interval), ..self.message }
    }
}
