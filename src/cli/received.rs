//! A message as `sub --json` shows it.

use crate::audit::time;
use crate::protocol::{Publish, PublishProperties, SubscriptionId, Text};
use crate::store::UnixMillis;
use data_encoding::BASE64;
use serde::Serialize;

/// A message that has just come.
#[derive(Debug, Serialize)]
pub struct Received<'a> {
    time: String,
    topic: &'a str,
    qos: u8,
    retain: bool,
    #[serde(flatten)]
    payload: Payload<'a>,
    properties: Properties<'a>,
}

#[derive(Debug, Serialize)]
enum Payload<'a> {
    #[serde(rename = "payload")]
    Text(&'a str),
    #[serde(rename = "payload_base64")]
    Bytes(String),
}

/// Those that there are, named as in the specification.
#[derive(Debug, Serialize)]
struct Properties<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_format_indicator: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_expiry_interval: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_topic: Option<&'a str>,
    /// In base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_data: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subscription_identifiers: Vec<u32>,
    /// Pairs of name and value: their order counts, and names may come twice.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    user_properties: Vec<(&'a str, &'a str)>,
}

impl<'a> Received<'a> {
    /// With the time of this moment.
    pub fn now(message: &'a Publish) -> Self {
        Self::at(UnixMillis::now(), message)
    }

    fn at(moment: UnixMillis, message: &'a Publish) -> Self {
        let payload = match std::str::from_utf8(&message.payload) {
            Ok(text) => Payload::Text(text),
            Err(_) => Payload::Bytes(BASE64.encode(&message.payload)),
        };
        Self {
            time: time(moment),
            topic: message.topic.as_str(),
            qos: message.qos.bits(),
            retain: message.retain,
            payload,
            properties: Properties::of(&message.properties),
        }
    }
}

impl<'a> Properties<'a> {
    fn of(properties: &'a PublishProperties) -> Self {
        let pair = |(name, value): &'a (Text, Text)| (name.as_str(), value.as_str());
        Self {
            payload_format_indicator: properties.payload_is_utf8.map(u8::from),
            message_expiry_interval: properties.message_expiry_interval,
            content_type: properties.content_type.as_ref().map(Text::as_str),
            response_topic: properties.response_topic.as_ref().map(Text::as_str),
            correlation_data: properties.correlation_data.as_ref().map(|data| BASE64.encode(data)),
            subscription_identifiers: properties
                .subscription_ids
                .iter()
                .map(|id| SubscriptionId::number(*id))
                .collect(),
            user_properties: properties.user_properties.iter().map(pair).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::QoS;
    use bytes::Bytes;

    fn shown(payload: &'static [u8], properties: PublishProperties) -> String {
        let topic = Text::try_from("a/b").unwrap();
        let payload = Bytes::from_static(payload);
        let message = Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: true,
            topic,
            packet_id: None,
            properties: properties.into(),
            payload,
        };
        serde_json::to_string(&Received::at(UnixMillis::from_millis(0), &message)).unwrap()
    }

    #[test]
    fn a_payload_is_text_where_it_can_be_and_base64_where_not() {
        let head = r#"{"time":"1970-01-01T00:00:00.000Z","topic":"a/b","qos":1,"retain":true,"#;
        let none = PublishProperties::default;
        assert_eq!(shown("é\n".as_bytes(), none()), format!("{head}{}", r#""payload":"é\n","properties":{}}"#));
        assert_eq!(shown(b"", none()), format!("{head}{}", r#""payload":"","properties":{}}"#));
        assert_eq!(shown(b"\xff\0", none()), format!("{head}{}", r#""payload_base64":"/wA=","properties":{}}"#));
    }

    #[test]
    fn properties_are_named_as_in_the_specification() {
        let text = |text: &str| Text::try_from(text).unwrap();
        let properties = PublishProperties {
            payload_is_utf8: Some(true),
            message_expiry_interval: Some(60),
            response_topic: Some(text("r")),
            correlation_data: Some(Bytes::from_static(b"\x01")),
            content_type: Some(text("text/plain")),
            subscription_ids: vec![SubscriptionId::new(7).unwrap()],
            user_properties: vec![(text("n"), text("1")), (text("n"), text("2"))],
            ..PublishProperties::default()
        };
        let expected = r#""properties":{"payload_format_indicator":1,"message_expiry_interval":60,"content_type":"text/plain","response_topic":"r","correlation_data":"AQ==","subscription_identifiers":[7],"user_properties":[["n","1"],["n","2"]]}}"#;
        assert!(shown(b"x", properties).ends_with(expected));
    }
}
