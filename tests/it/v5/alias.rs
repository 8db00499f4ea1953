//! Topic aliases in both directions.

use crate::support::broker::Broker;
use crate::support::wire::{Connect, Property, Publish};
use std::collections::HashMap;

fn aliased(topic: &str, alias: u16, payload: &str) -> Publish {
    Publish::new(topic, payload).with(Property::TopicAlias(alias))
}

/// [v5:MQTT-3.3.2-12] and section 3.3.2.3.4
#[test]
fn an_alias_stands_for_its_topic() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("a/#", 0);
    client.publish(aliased("a/long/topic", 1, "named"));
    client.publish(aliased("", 1, "by alias"));
    client.publish(aliased("a/other/topic", 1, "renamed"));
    client.publish(aliased("", 1, "by new alias"));
    let messages: Vec<_> = (0..4).map(|_| client.message()).collect();
    let topics: Vec<_> = messages.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(topics, ["a/long/topic", "a/long/topic", "a/other/topic", "a/other/topic"]);
    assert!(messages.iter().all(|message| message.properties.is_empty()), "the publisher's alias is not passed on");
}

/// [v5:MQTT-3.3.2-9] [v5:MQTT-3.3.2-8]: all that the broker takes, and no more.
#[test]
fn aliases_go_up_to_the_maximum_of_the_broker() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    let maximum = property!(client.connack.properties, Property::TopicAliasMaximum).unwrap();
    client.subscribe("a", 0);
    client.publish(aliased("a", maximum, "highest"));
    client.publish(aliased("", maximum, "highest again"));
    assert_eq!(client.payloads(2), ["highest", "highest again"]);
    if let Some(over) = maximum.checked_add(1) {
        client.send_publish(aliased("a", over, "too high"));
        client.expect_disconnect(0x94);
    }
}

/// [v5:MQTT-3.3.2-7]
#[test]
fn aliases_are_forgotten_with_the_connection() {
    let broker = Broker::start();
    let lasting = Connect::v5("client").lasting();
    let mut client = broker.connect(&lasting);
    client.publish(aliased("a", 1, "named"));
    client.ping();
    client.disconnect();
    let mut client = broker.connect(&lasting);
    client.send_publish(aliased("", 1, "unknown"));
    client.expect_disconnect(0x82);
}

/// Aliases belong to one connection. [v5:MQTT-3.3.2-7]
#[test]
fn aliases_of_others_are_unknown() {
    let broker = Broker::start();
    let mut first = broker.client("first");
    first.publish(aliased("a", 1, "named"));
    first.ping();
    let mut second = broker.client("second");
    second.send_publish(aliased("", 1, "unknown"));
    second.expect_disconnect(0x82);
}

/// [v5:MQTT-3.3.2-11] [v5:MQTT-3.1.2-27]
#[test]
fn a_client_that_takes_no_aliases_gets_none() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("a/#", 0);
    for _ in 0..5 {
        client.publish(Publish::new("a/long/topic", "x"));
        let message = client.message();
        assert_eq!((message.topic.as_str(), message.properties), ("a/long/topic", vec![]));
    }
}

/// [v5:MQTT-3.3.2-10] [v5:MQTT-3.1.2-26]: whatever the broker does with aliases, the client can follow.
#[test]
fn the_aliases_of_the_broker_can_be_followed() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("client").with(Property::TopicAliasMaximum(2)));
    client.subscribe("a/#", 1);
    let topics: Vec<_> = (0..40).map(|number| format!("a/{}", number * 7 % 5)).collect();
    for topic in &topics {
        client.publish(Publish::new(topic, topic.as_str()).qos(u8::from(topic.ends_with('1'))));
    }
    let mut known = HashMap::new();
    for _ in &topics {
        let message = client.message();
        let topic = match property!(message.properties, Property::TopicAlias) {
            None => message.topic.clone(),
            Some(alias) => {
                assert!((1..=2).contains(&alias), "alias {alias}");
                if !message.topic.is_empty() {
                    known.insert(alias, message.topic.clone());
                }
                known[&alias].clone()
            }
        };
        assert_eq!(topic, message.text());
    }
}
