//! A retained message as a line of JSON.

use crate::broker::{
    Durability, Message, MessageProperties, Origin, Principal, RetainedVersion, RoleName, SessionKey, UserName,
};
use crate::protocol::{ClientId, QoS, Text, TopicName};
use crate::store::{RetainedRecord, UnixMillis};
use bytes::Bytes;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// A retained message on a line. What is no text is in base64.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetainedLine {
    topic: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
    #[serde(default)]
    qos: u8,
    /// Seconds that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message_expiry_interval: Option<u32>,
    /// Nobody is the broker itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    publisher: Option<PublisherLine>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_is_utf8: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correlation_data_base64: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(String, String)>,
}

/// Who published it: a user, or somebody without a login in a role.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublisherLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    client_id: String,
}

impl RetainedLine {
    /// The line of a message; nothing for one that is worthless by now.
    pub fn of(record: &RetainedRecord, now: UnixMillis) -> Option<Self> {
        let message = &record.message;
        let left = match record.expires.map(|end| end.as_millis().saturating_sub(now.as_millis())) {
            Some(0) => return None,
            Some(left) => Some(u32::try_from(left.div_ceil(1000)).unwrap_or(u32::MAX)),
            None => None,
        };
        let text = std::str::from_utf8(&message.payload).ok();
        let properties = &message.properties;
        let string = |text: &Option<Text>| text.as_ref().map(|text| text.as_str().to_owned());
        Some(Self {
            topic: message.topic.to_string(),
            payload: text.map(str::to_owned),
            payload_base64: text.is_none().then(|| BASE64.encode(&message.payload)),
            qos: message.qos.bits(),
            message_expiry_interval: left,
            publisher: PublisherLine::of(&message.origin),
            payload_is_utf8: properties.payload_is_utf8,
            content_type: string(&properties.content_type),
            response_topic: string(&properties.response_topic),
            correlation_data_base64: properties.correlation_data.as_ref().map(|data| BASE64.encode(data)),
            user_properties: properties
                .user_properties
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_str().to_owned()))
                .collect(),
        })
    }

    /// The message of the line, which has so much time left from now on. Its version is still to be given.
    pub fn record(self, now: UnixMillis) -> Result<RetainedRecord, String> {
        let topic = TopicName::new(text(self.topic, "the topic")?).map_err(|error| format!("the topic {error}"))?;
        if topic.is_reserved() {
            return Err("topics that begin with $ are not for messages of clients".to_owned());
        }
        let payload = match (self.payload, self.payload_base64) {
            (Some(text), None) => Bytes::from(text),
            (None, Some(data)) => base64(&data, "payload_base64")?,
            (Some(_), Some(_)) | (None, None) => {
                return Err("a message has either a payload or a payload_base64".to_owned());
            }
        };
        if payload.is_empty() {
            return Err("the payload is empty: that is how a topic is cleared".to_owned());
        }
        let data = self.correlation_data_base64.map(|data| base64(&data, "correlation_data_base64")).transpose()?;
        let pairs = self.user_properties.into_iter();
        let properties = MessageProperties {
            payload_is_utf8: self.payload_is_utf8,
            content_type: self.content_type.map(|one| text(one, "content_type")).transpose()?,
            response_topic: self.response_topic.map(|one| text(one, "response_topic")).transpose()?,
            correlation_data: data,
            user_properties: pairs
                .map(|(name, value)| Ok((text(name, "a user property")?, text(value, "a user property")?)))
                .collect::<Result<_, String>>()?,
        };
        let interval = self.message_expiry_interval.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(RetainedRecord {
            version: RetainedVersion::default(),
            expires: interval.map(|interval| now.after(interval)),
            message: Message {
                topic,
                payload,
                qos: QoS::from_bits(self.qos).ok_or("the qos is 0, 1 or 2")?,
                retain: true,
                expires_at: None,
                origin: self.publisher.map_or(Ok(Origin::System), PublisherLine::origin)?,
                durability: Durability::Commit,
                properties: properties.into(),
            },
        })
    }
}

impl PublisherLine {
    fn of(origin: &Origin) -> Option<Self> {
        let Origin::Client(key) = origin else { return None };
        let (user, role) = match &key.principal {
            Principal::User(name) => (Some(name.to_string()), None),
            Principal::Anonymous(role) => (None, Some(role.to_string())),
        };
        Some(Self { user, role, client_id: key.client_id.as_str().to_owned() })
    }

    fn origin(self) -> Result<Origin, String> {
        let words = |error: &dyn Display| format!("the publisher: {error}");
        let principal = match (self.user, self.role) {
            (Some(name), None) => Principal::User(UserName::new(&name).map_err(|error| words(&error))?),
            (None, Some(name)) => Principal::Anonymous(RoleName::new(&name).map_err(|error| words(&error))?),
            (Some(_), Some(_)) | (None, None) => return Err("a publisher has either a user or a role".to_owned()),
        };
        let client_id = ClientId::new(text(self.client_id, "the client_id")?).map_err(|error| words(&error))?;
        Ok(Origin::Client(Arc::new(SessionKey { principal, client_id })))
    }
}

fn text(text: String, what: &str) -> Result<Text, String> {
    Text::new(Bytes::from(text)).map_err(|error| format!("{what} {error}"))
}

fn base64(data: &str, what: &str) -> Result<Bytes, String> {
    let decoded = BASE64.decode(data.as_bytes());
    decoded.map(Bytes::from).map_err(|_| format!("{what} is no base64 as `securemq export` writes it"))
}
