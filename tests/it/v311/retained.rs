//! Retained messages.

use crate::support::broker::Broker;
use crate::support::wire::{Connect, Publish};

/// [v311:MQTT-3.3.1-5] [v311:MQTT-3.3.1-6] [v311:MQTT-3.3.1-7] [v311:MQTT-3.3.1-8]
#[test]
fn a_retained_message_is_kept_replaced_and_cleared() {
    let broker = Broker::start();
    let mut keeper = broker.connect(&Connect::v311("keeper"));
    let seen = || {
        let mut client = broker.connect(&Connect::v311("client"));
        client.subscribe("kept/+", 1);
        client.ping();
        let message = client.waiting_message()?;
        assert!(message.retain);
        Some(message.text().to_owned())
    };
    for payload in ["first", "second"] {
        keeper.publish(Publish::new("kept/x", payload).qos(1).retain());
        assert_eq!(seen().as_deref(), Some(payload));
    }
    keeper.publish(Publish::new("kept/x", "passing").qos(1));
    assert_eq!(seen().as_deref(), Some("second"));
    keeper.publish(Publish::new("kept/x", "").qos(1).retain());
    assert_eq!(seen(), None);
}

/// [v311:MQTT-3.3.1-9]
#[test]
fn a_message_that_comes_at_once_is_not_marked_as_retained() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("client"));
    client.subscribe("kept", 1);
    client.publish(Publish::new("kept", "x").qos(1).retain());
    assert!(!client.message().retain);
}

/// [v311:MQTT-3.8.4-3]: this version repeats retained messages for every SUBSCRIBE.
#[test]
fn subscribing_again_brings_retained_messages_again() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("client"));
    client.publish(Publish::new("kept", "x").qos(1).retain());
    for _ in 0..2 {
        client.subscribe("kept", 1);
        assert!(client.message().retain);
    }
}
