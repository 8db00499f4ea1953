//! Wills: what is published for a client that vanishes.

use crate::support::broker::Broker;
use crate::support::raw::Client;
use crate::support::wire::{Connect, Packet, Property, Publish, Request, Will, user_properties};
use std::time::{Duration, Instant};

fn watcher(broker: &Broker) -> Client {
    let mut watcher = broker.client("watcher");
    watcher.subscribe("will/#", 2);
    watcher
}

/// Insists that the watcher hears of nothing before the mark that is set now.
fn expect_no_will(broker: &Broker, watcher: &mut Client) {
    broker.client("marker").publish(Publish::new("will/mark", "mark").qos(1));
    assert_eq!(watcher.message().text(), "mark", "a will came that should not");
}

/// [v5:MQTT-3.1.2-8]
#[test]
fn a_will_is_published_when_the_client_vanishes() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    broker.connect(&Connect::v5("doomed").will(Will::new("will/doomed", "gone").qos(1))).vanish();
    let will = watcher.message();
    assert_eq!((will.topic.as_str(), will.text(), will.qos, will.retain), ("will/doomed", "gone", 1, false));
}

/// [v5:MQTT-3.14.4-3] [v5:MQTT-3.1.2-10]
#[test]
fn a_will_is_not_sent_after_a_normal_disconnect() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    broker.connect(&Connect::v5("polite").will(Will::new("will/polite", "gone"))).disconnect();
    broker.connect(&Connect::v5("polite").will(Will::new("will/polite", "gone"))).disconnect_with(0, &[]);
    expect_no_will(&broker, &mut watcher);
}

/// Section 3.14.2.1: 0x04 is a goodbye that wants the will, and so is every error code.
#[test]
fn a_disconnect_may_ask_for_the_will() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for code in [0x04, 0x80, 0x98] {
        let payload = format!("after {code:#04x}");
        let will = Will::new("will/wanted", payload.as_str());
        broker.connect(&Connect::v5("wants it").will(will)).disconnect_with(code, &[]);
        assert_eq!(watcher.message().text(), payload);
    }
}

/// [v5:MQTT-3.1.2-8]: the broker closed because of an error of the client.
#[test]
fn a_will_is_published_after_a_protocol_error() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let mut client = broker.connect(&Connect::v5("clumsy").will(Will::new("will/clumsy", "gone")));
    client.send(&[0x00, 0x00]);
    assert!(matches!(client.read_to_end().as_slice(), [Packet::Disconnect(_)]));
    assert_eq!(watcher.message().text(), "gone");
}

/// [v5:MQTT-3.1.2-14] [v5:MQTT-3.1.2-15]
#[test]
fn a_will_may_be_retained() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    broker.connect(&Connect::v5("doomed").will(Will::new("will/kept", "kept").retain().qos(1))).vanish();
    assert!(!watcher.message().retain);
    let mut late = broker.client("late");
    late.subscribe("will/kept", 1);
    let kept = late.message();
    assert_eq!((kept.text(), kept.retain), ("kept", true));
    let mut other = broker.client("other");
    broker.connect(&Connect::v5("doomed").will(Will::new("will/passing", "passing"))).vanish();
    watcher.message();
    other.subscribe("will/passing", 1);
    other.expect_quiet();
}

/// [v5:MQTT-3.1.2-12]: a will of each level arrives with that level.
#[test]
fn a_will_has_the_qos_that_was_asked_for() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for qos in [0, 1, 2] {
        broker.connect(&Connect::v5("doomed").will(Will::new("will/qos", "gone").qos(qos))).vanish();
        assert_eq!(watcher.message().qos, qos);
    }
}

/// Section 3.1.3.2 and [v5:MQTT-3.1.3-10]: the properties of the will are those of its message.
#[test]
fn a_will_carries_its_properties() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let properties = [
        Property::PayloadFormat(1),
        Property::ContentType("text/plain".into()),
        Property::ResponseTopic("answers".into()),
        Property::CorrelationData(vec![1, 0, 255]),
        Property::User("b".into(), "1".into()),
        Property::User("a".into(), "2".into()),
        Property::User("b".into(), "1".into()),
    ];
    let will = properties.iter().fold(Will::new("will/rich", "gone"), |will, property| will.with(property.clone()));
    broker.connect(&Connect::v5("rich").will(will.with(Property::MessageExpiry(100)))).vanish();
    let received = watcher.message().properties;
    for property in &properties {
        assert!(received.contains(property), "{property:?} is missing in {received:?}");
    }
    assert_eq!(user_properties(&received), [("b", "1"), ("a", "2"), ("b", "1")]);
    assert!(matches!(property!(received, Property::MessageExpiry), Some(90..=100)));
    assert_eq!(property!(received, Property::WillDelay), None);
}

/// [v5:MQTT-3.1.3-9] and section 3.1.3.2.2: not before the delay has passed, and then.
#[test]
fn a_delayed_will_waits() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let will = Will::new("will/late", "late").with(Property::WillDelay(1));
    let client = broker.connect(&Connect::v5("slow to die").with(Property::SessionExpiry(100)).will(will));
    let begin = Instant::now();
    client.vanish();
    assert_eq!(watcher.message().text(), "late");
    let waited = begin.elapsed().as_millis();
    assert!((900..5000).contains(&waited), "published after {waited} ms instead of 1000");
}

/// [v5:MQTT-3.1.3-9]
#[test]
fn a_delayed_will_is_forgotten_when_the_client_comes_back() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let returning = Connect::v5("returns").clean(false).with(Property::SessionExpiry(100));
    let with_will = returning.clone().will(Will::new("will/returns", "late").with(Property::WillDelay(1)));
    broker.connect(&with_will).vanish();
    let _back = broker.connect(&returning);
    let clock = Will::new("will/clock", "clock").with(Property::WillDelay(2));
    broker.connect(&Connect::v5("clock").with(Property::SessionExpiry(100)).will(clock)).vanish();
    assert_eq!(watcher.message().text(), "clock");
}

/// Section 3.1.3.2.2: the end of the session is the latest moment.
#[test]
fn a_delayed_will_comes_when_its_session_ends() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let will = |payload: &str| Will::new("will/session", payload).with(Property::WillDelay(1000));
    broker.connect(&Connect::v5("no session").will(will("no session"))).vanish();
    assert_eq!(watcher.message().text(), "no session");
    broker.connect(&Connect::v5("short").with(Property::SessionExpiry(1)).will(will("short session"))).vanish();
    assert_eq!(watcher.message().text(), "short session");
    broker.connect(&Connect::v5("replaced").with(Property::SessionExpiry(100)).will(will("clean start"))).vanish();
    expect_no_will(&broker, &mut watcher);
    let _clean = broker.client("replaced");
    assert_eq!(watcher.message().text(), "clean start");
}

/// Section 3.1.4 and 3.1.3.2.2: a takeover ends the connection of the first without DISCONNECT.
#[test]
fn a_will_is_published_at_a_takeover_unless_it_is_delayed() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let lasting = Connect::v5("twin").lasting();
    let mut first = broker.connect(&lasting.clone().will(Will::new("will/twin", "at once")));
    let mut second = broker.connect(&lasting.clone().will(Will::new("will/twin", "x").with(Property::WillDelay(100))));
    first.expect_disconnect(0x8E);
    assert_eq!(watcher.message().text(), "at once");
    let _third = broker.connect(&lasting);
    second.expect_disconnect(0x8E);
    expect_no_will(&broker, &mut watcher);
}

/// [v5:MQTT-3.1.2-7]: it belongs to the connection, not to the client.
#[test]
fn a_will_is_published_once() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    let lasting = Connect::v5("once").lasting();
    broker.connect(&lasting.clone().will(Will::new("will/once", "gone"))).vanish();
    assert_eq!(watcher.message().text(), "gone");
    broker.connect(&lasting).vanish();
    expect_no_will(&broker, &mut watcher);
}

/// [v5:MQTT-3.1.2-9] and section 3.1.3.3: the payload is binary and may be empty.
#[test]
fn a_will_may_be_empty_or_binary() {
    let broker = Broker::start();
    let mut watcher = watcher(&broker);
    for payload in [vec![], vec![0, 255, 254], vec![7; 30_000]] {
        broker.connect(&Connect::v5("doomed").will(Will::new("will/bytes", payload.clone()))).vanish();
        assert_eq!(watcher.message().payload, payload);
    }
}

/// The will of a client that subscribed to it: it waits in the client's own session.
#[test]
fn a_will_reaches_the_session_of_its_own_client() {
    let broker = Broker::start();
    let lasting = Connect::v5("narcissus").lasting();
    let mut client = broker.connect(&lasting.clone().will(Will::new("own/will", "own").qos(1)));
    client.subscribe_with(&[Request::new("own/will", 1)], &[]);
    client.vanish();
    let deadline = Instant::now() + crate::support::PATIENCE;
    // The broker may notice the end of the first connection after the begin of the second.
    let mut client = broker.connect(&lasting);
    while client.poll_message(Duration::from_millis(100)).is_none() {
        assert!(Instant::now() < deadline, "the will does not come");
        client.vanish();
        client = broker.connect(&lasting);
    }
}
