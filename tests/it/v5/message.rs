//! What a message says besides its payload: expiry, format, content type, response, user properties.

use crate::support::broker::{Broker, Settings};
use crate::support::wire::{Connect, Packet, Property, Publish, user_properties};
use std::time::{Duration, Instant};

/// [v5:MQTT-3.3.2-4] [v5:MQTT-3.3.2-15] [v5:MQTT-3.3.2-16] [v5:MQTT-3.3.2-20]
#[test]
fn properties_of_a_message_are_passed_on_unchanged() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("rich", 2);
    let properties = [
        Property::PayloadFormat(1),
        Property::ContentType("text/plain; charset=utf-8".into()),
        Property::ResponseTopic("answers/ä".into()),
        Property::CorrelationData((0..=255).collect()),
    ];
    for qos in [0, 1, 2] {
        let message = properties.iter().fold(Publish::new("rich", "x"), |it, property| it.with(property.clone()));
        client.publish(message.qos(qos));
        let received = client.message().properties;
        assert_eq!(received.len(), properties.len(), "{received:?}");
        assert!(properties.iter().all(|property| received.contains(property)), "{received:?}");
    }
    client.publish(Publish::new("rich", [0, 255]).with(Property::PayloadFormat(0)));
    assert!([vec![], vec![Property::PayloadFormat(0)]].contains(&client.message().properties));
}

/// [v5:MQTT-3.3.2-17] [v5:MQTT-3.3.2-18]: all of them, in order, doubles and empty ones too.
#[test]
fn user_properties_keep_their_order() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("users", 1);
    let pairs = [("z", "1"), ("a", "2"), ("z", "1"), ("", "empty name"), ("empty value", ""), ("ä", "ö"), ("a", "3")];
    let message = pairs.iter().fold(Publish::new("users", "x").qos(1), |message, (name, value)| {
        message.with(Property::User((*name).into(), (*value).into()))
    });
    client.publish(message);
    assert_eq!(user_properties(&client.message().properties), pairs);
}

/// Many user properties are many, not a reason to stumble; how many is an option.
#[test]
fn a_thousand_user_properties_arrive() {
    let broker = Settings::open().max_user_properties(1000).start();
    let mut client = broker.client("client");
    client.subscribe("users", 0);
    let message = (0..1000).fold(Publish::new("users", "x"), |message, number| {
        message.with(Property::User("name".into(), format!("{number}")))
    });
    client.publish(message.clone());
    assert_eq!(client.message().properties, message.properties);
}

/// A packet with more than that is refused, and the broker lives.
#[test]
fn too_many_user_properties_are_refused() {
    let broker = Settings::open().max_user_properties(10).start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe("users", 0);
    let mut client = broker.client("client");
    let message = (0..11).fold(Publish::new("users", "x").qos(1).id(1), |message, number| {
        message.with(Property::User("name".into(), format!("{number}")))
    });
    client.send_publish(message);
    match client.receive() {
        Packet::PubAck(ack) => assert_eq!(ack.code, 0x97),
        Packet::Disconnect(farewell) => assert!(farewell.code >= 0x80),
        other => panic!("the answer is {other:?}"),
    }
    watcher.expect_quiet();
}

/// [v5:MQTT-3.3.2-6]: the time spent in the broker is taken off.
#[test]
fn the_expiry_interval_is_counted_down() {
    let broker = Broker::start();
    let lasting = Connect::v5("away").lasting();
    let mut client = broker.connect(&lasting);
    client.subscribe("aging", 1);
    client.disconnect();
    broker.client("publisher").publish(Publish::new("aging", "x").qos(1).with(Property::MessageExpiry(100)));
    let mut clock = broker.connect(&Connect::v5("clock").keep_alive(1));
    clock.read_to_end();
    let mut client = broker.connect(&lasting);
    let left = property!(client.message().properties, Property::MessageExpiry).unwrap();
    assert!((80..100).contains(&left), "{left} of 100 seconds left");
}

/// A message delivered at once has all of its time, and one without expiry gets none.
#[test]
fn the_expiry_interval_is_passed_on() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("aging", 0);
    client.publish(Publish::new("aging", "x").with(Property::MessageExpiry(u32::MAX)));
    client.publish(Publish::new("aging", "x"));
    let left = property!(client.message().properties, Property::MessageExpiry).unwrap();
    assert!(left >= u32::MAX - 5, "{left} seconds left");
    assert_eq!(client.message().properties, []);
}

/// [v5:MQTT-3.3.2-5]
#[test]
fn an_expired_message_is_not_delivered() {
    let broker = Broker::start();
    let lasting = Connect::v5("away").lasting();
    let mut client = broker.connect(&lasting);
    client.subscribe("aging", 1);
    client.disconnect();
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("aging", "short").qos(1).with(Property::MessageExpiry(1)));
    publisher.publish(Publish::new("aging", "long").qos(1).with(Property::MessageExpiry(1000)));
    publisher.publish(Publish::new("aging", "for ever").qos(1));
    publisher.expect_silence_for(Duration::from_millis(2100));
    assert_eq!(broker.connect(&lasting).payloads(2), ["long", "for ever"]);
}

/// Section 4.10: request and response, as two clients play it.
#[test]
fn a_request_is_answered_on_its_response_topic() {
    let broker = Broker::start();
    let mut asks = broker.client("asks");
    asks.subscribe("answers/asks", 1);
    let mut answers = broker.client("answers");
    answers.subscribe("questions", 1);
    let question = Publish::new("questions", "6 * 7").qos(1);
    let question = question.with(Property::ResponseTopic("answers/asks".into()));
    asks.publish(question.with(Property::CorrelationData(vec![4, 2])));
    let question = answers.message().properties;
    let topic = property!(question, Property::ResponseTopic).unwrap();
    let correlation = property!(question, Property::CorrelationData).unwrap();
    answers.publish(Publish::new(&topic, "42").qos(1).with(Property::CorrelationData(correlation)));
    let answer = asks.message();
    assert_eq!((answer.text(), answer.properties.clone()), ("42", vec![Property::CorrelationData(vec![4, 2])]));
}

/// Payloads are bytes, and may be none. [v5:MQTT-3.3.2-1] and section 3.3.3
#[test]
fn payloads_are_bytes() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.subscribe("bytes", 1);
    for payload in [vec![], vec![0], (0..=255).collect(), vec![0xFF; 127], vec![0; 128], vec![1; 16_384]] {
        client.publish(Publish::new("bytes", payload.clone()).qos(1));
        assert_eq!(client.message().payload, payload);
    }
}

/// A burst is answered completely and quickly: nothing is quadratic.
#[test]
fn a_burst_of_ten_thousand_messages_arrives() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("burst", 0);
    let mut publisher = broker.client("publisher");
    let mut bytes = Vec::new();
    for number in 0..10_000u32 {
        bytes.extend(Publish::new("burst", number.to_be_bytes()).encode(Connect::v5("").version));
    }
    let begin = Instant::now();
    let sender = std::thread::spawn(move || publisher.send(&bytes));
    for number in 0..10_000u32 {
        assert_eq!(subscriber.take_publish().payload, number.to_be_bytes());
    }
    sender.join().unwrap();
    assert!(begin.elapsed() < Duration::from_secs(15), "the burst took {:?}", begin.elapsed());
}
