//! SUBSCRIBE and UNSUBSCRIBE.

use crate::support::broker::Broker;
use crate::support::wire::{self, Connect, Packet, Publish, Request};

/// [v311:MQTT-3.8.4-1] [v311:MQTT-3.8.4-4] [v311:MQTT-3.8.4-5] [v311:MQTT-3.9.3-1] [v311:MQTT-3.9.3-2]
#[test]
fn every_filter_has_its_code_in_order() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("client"));
    let requests = [Request::new("a", 2), Request::new("b/+", 0), Request::new("c/#", 1)];
    assert_eq!(client.subscribe_with(&requests, &[]), [2, 0, 1]);
}

/// [v311:MQTT-4.7.1-1] [v311:MQTT-4.7.1-2] [v311:MQTT-4.7.1-3]: 0x80 in SUBACK, or the end of the connection.
#[test]
fn malformed_filters_are_refused() {
    let broker = Broker::start();
    for filter in ["", "a/#/b", "a#", "a+", "a/+b"] {
        let mut client = broker.connect(&Connect::v311("client"));
        client.send_subscribe(&[Request::new(filter, 1)], &[]);
        match client.receive_or_end() {
            None => {}
            Some(Packet::SubAck(suback)) => assert_eq!(suback.codes, [0x80], "filter {filter:?}"),
            Some(other) => panic!("filter {filter:?} is answered by {other:?}"),
        }
    }
}

/// [v311:MQTT-3.10.4-4] [v311:MQTT-3.10.4-5]: two bytes, known filter or not.
#[test]
fn unsubscribing_is_always_acknowledged() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("client"));
    client.subscribe("a", 0);
    for filter in ["a", "never subscribed"] {
        client.send(&wire::unsubscribe(Connect::v311("").version, 258, &[filter]));
        assert_eq!(client.read_bytes(4), [0xB0, 2, 1, 2]);
    }
    client.publish(Publish::new("a", "x"));
    client.expect_quiet();
}

/// [v311:MQTT-4.7.2-1] [v311:MQTT-4.7.3-1] and section 4.7
#[test]
fn wildcards_match_as_in_every_version() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("client"));
    client.subscribe("sport/+/#", 0);
    for topic in ["sport", "sport/", "sport/tennis", "sports/tennis", "sport/tennis/ranking", "/sport/x"] {
        client.publish(Publish::new(topic, topic));
    }
    assert_eq!(client.payloads(3), ["sport/", "sport/tennis", "sport/tennis/ranking"]);
    client.expect_quiet();
}

/// Shared subscriptions exist for clients of every version: the filter says it.
#[test]
fn shared_subscriptions_work_in_the_older_version() {
    let broker = Broker::start();
    let mut members = ["one", "two"].map(|client_id| broker.connect(&Connect::v311(client_id)));
    for member in &mut members {
        member.subscribe("$share/group/work", 1);
    }
    let mut publisher = broker.connect(&Connect::v311("publisher"));
    for number in 0..10 {
        publisher.publish(Publish::new("work", [number]).qos(1));
    }
    let [one, two] = &mut members;
    let mut count = 0;
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while count < 10 {
        assert!(std::time::Instant::now() < deadline, "{count} of 10 messages came");
        for member in [&mut *one, &mut *two] {
            count += usize::from(member.poll_message(std::time::Duration::from_millis(10)).is_some());
        }
    }
    one.expect_quiet();
    two.expect_quiet();
}
