//! The application message: what is published, routed, queued and retained.

use super::access::Principal;
use super::durability::Durability;
use super::time::Timestamp;
use crate::protocol::{Absent, ClientId, PublishProperties, QoS, Rare, Text, TopicName, UserProperties};
use bytes::Bytes;
use std::sync::Arc;

/// Which session: nobody else inherits, ends or wipes it by using its client identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionKey {
    /// Whose it is.
    pub principal: Principal,
    /// Which of theirs.
    pub client_id: ClientId,
}

/// Where a message came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A client published it, or it is its will. No-local and the check of a retained message's source ask for it.
    Client(Arc<SessionKey>),
    /// The broker itself.
    System,
}

/// An application message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Where it was published.
    pub topic: TopicName,
    /// What it says.
    pub payload: Bytes,
    /// What it was published with.
    pub qos: QoS,
    /// Whether it was published to be retained.
    pub retain: bool,
    /// When it becomes worthless.
    pub expires_at: Option<Timestamp>,
    /// Who published it.
    pub origin: Origin,
    /// What its acknowledgement promised. It is not kept on disk: what is read back promises everything.
    pub durability: Durability,
    /// What else 5.0 sends along unaltered.
    pub properties: Rare<MessageProperties>,
}

/// The properties of a message that reach its receivers unaltered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MessageProperties {
    /// Whether the payload is declared to be UTF-8.
    pub payload_is_utf8: Option<bool>,
    /// What the payload is.
    pub content_type: Option<Text>,
    /// Where to answer.
    pub response_topic: Option<Text>,
    /// What the answer should carry.
    pub correlation_data: Option<Bytes>,
    /// In their order. [v5:MQTT-3.3.2-18]
    pub user_properties: UserProperties,
}

impl MessageProperties {
    /// Those of a PUBLISH that belong to the message and not to the hop.
    pub fn of(properties: Rare<PublishProperties>) -> Rare<Self> {
        let Some(properties) = properties.into_inner() else { return Rare::NOTHING };
        Rare::from(Self {
            payload_is_utf8: properties.payload_is_utf8,
            content_type: properties.content_type,
            response_topic: properties.response_topic,
            correlation_data: properties.correlation_data,
            user_properties: properties.user_properties,
        })
    }

    /// A copy that keeps no read buffer alive.
    fn compact(&self) -> Self {
        let pairs = self.user_properties.iter().map(|(name, value)| (name.compact(), value.compact()));
        Self {
            payload_is_utf8: self.payload_is_utf8,
            content_type: self.content_type.as_ref().map(Text::compact),
            response_topic: self.response_topic.as_ref().map(Text::compact),
            correlation_data: self.correlation_data.as_ref().map(|data| Bytes::copy_from_slice(data)),
            user_properties: pairs.collect(),
        }
    }
}

impl Absent for MessageProperties {
    fn absent() -> &'static Self {
        static ABSENT: MessageProperties = MessageProperties {
            payload_is_utf8: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        };
        &ABSENT
    }
}

impl Message {
    /// A copy that owns its bytes alone: one that is kept must not keep the read buffer it arrived in.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self {
            topic: self.topic.compact(),
            payload: Bytes::copy_from_slice(&self.payload),
            qos: self.qos,
            retain: self.retain,
            expires_at: self.expires_at,
            origin: self.origin.clone(),
            durability: self.durability,
            properties: self.properties.map(MessageProperties::compact),
        }
    }

    /// The message without the read buffer that it arrived in; its topic has memory of its own already, which it shares
    /// with all messages that came by the same route.
    #[must_use]
    pub fn let_go(self) -> Self {
        let properties = self.properties.map(MessageProperties::compact);
        Self { payload: Bytes::copy_from_slice(&self.payload), properties, ..self }
    }

    /// Roughly the memory it takes, in bytes: what queues are bounded by.
    pub fn size(&self) -> usize {
        let pairs = self.properties.user_properties.iter().map(|(name, value)| name.len() + value.len());
        std::mem::size_of::<Self>()
            + self.topic.text().len()
            + self.payload.len()
            + self.properties.correlation_data.as_ref().map_or(0, Bytes::len)
            + pairs.sum::<usize>()
    }

    /// Whether it is worthless by now.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}
