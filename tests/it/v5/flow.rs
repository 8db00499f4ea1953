//! Flow control: how much may be under way, and how large a packet may be.

use crate::support::broker::{Broker, Settings};
use crate::support::wire::{self, Connect, Packet, Property, Publish, Request};

/// [v5:MQTT-3.3.4-9] [v5:MQTT-4.9.0-2] [v5:MQTT-4.9.0-3]
#[test]
fn the_broker_never_has_more_under_way_than_the_client_takes() {
    let broker = Broker::start();
    for qos in [1, 2] {
        let mut subscriber = broker.connect(&Connect::v5("narrow").with(Property::ReceiveMaximum(2)));
        subscriber.subscribe("flow", qos);
        let mut publisher = broker.client("publisher");
        for number in 0..5 {
            publisher.publish(Publish::new("flow", [number]).qos(qos));
        }
        let (first, second) = (subscriber.take_publish(), subscriber.take_publish());
        subscriber.expect_quiet();
        subscriber.acknowledge(&first);
        let third = subscriber.take_publish();
        subscriber.expect_quiet();
        for publish in [second, third] {
            subscriber.acknowledge(&publish);
        }
        let rest: Vec<_> = (0..2).map(|_| subscriber.message().payload).collect();
        assert_eq!(rest, [[3], [4]]);
    }
}

/// [v5:MQTT-4.9.0-1]: PUBREC does not give the place back, PUBCOMP does.
#[test]
fn a_qos_2_message_holds_its_place_until_it_is_complete() {
    let broker = Broker::start();
    let mut subscriber = broker.connect(&Connect::v5("narrow").with(Property::ReceiveMaximum(1)));
    subscriber.subscribe("flow", 2);
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("flow", "first").qos(2));
    publisher.publish(Publish::new("flow", "second").qos(2));
    let first = subscriber.take_publish();
    subscriber.send(&wire::acknowledgement(wire::PUBREC, first.packet_id));
    subscriber.take_pubrel(first.packet_id);
    subscriber.expect_quiet();
    subscriber.send(&wire::acknowledgement(wire::PUBCOMP, first.packet_id));
    assert_eq!(subscriber.message().text(), "second");
}

/// [v5:MQTT-4.9.0-2]: QoS 0 may pass a full window or wait behind it; it is not lost there.
#[test]
fn qos_0_is_not_lost_behind_a_full_window() {
    let broker = Broker::start();
    let mut subscriber = broker.connect(&Connect::v5("narrow").with(Property::ReceiveMaximum(1)));
    subscriber.subscribe("flow/#", 1);
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("flow/1", "holds the place").qos(1));
    publisher.publish(Publish::new("flow/1", "waits").qos(1));
    publisher.publish(Publish::new("flow/0", "passes"));
    publisher.ping();
    let mut payloads = subscriber.payloads(3);
    payloads.sort();
    assert_eq!(payloads, ["holds the place", "passes", "waits"]);
}

/// [v5:MQTT-3.3.4-7] [v5:MQTT-3.3.4-8]: what the broker says of itself, it enforces.
#[test]
fn a_client_that_sends_more_than_the_broker_takes_is_dropped() {
    let broker = Settings::open().receive_maximum(3).start();
    let mut client = broker.client("eager");
    assert_eq!(property!(client.connack.properties, Property::ReceiveMaximum), Some(3));
    for packet_id in 1..=3 {
        client.send_publish(Publish::new("flow", "x").qos(2).id(packet_id));
        client.take_pubrec(packet_id);
    }
    client.send_publish(Publish::new("flow", "one too many").qos(2).id(4));
    client.expect_disconnect(0x93);
}

/// The window opens again as handshakes end, and QoS 0 takes no place in it.
#[test]
fn a_client_within_the_window_may_send_for_ever() {
    let broker = Settings::open().receive_maximum(2).start();
    let mut client = broker.client("careful");
    client.send_publish(Publish::new("flow", "stays").qos(2).id(100));
    client.take_pubrec(100);
    for packet_id in 1..=20 {
        client.publish(Publish::new("flow", "x"));
        client.publish(Publish::new("flow", "x").qos(1 + (packet_id % 2) as u8).id(packet_id));
    }
    client.ping();
}

/// [v5:MQTT-3.1.2-24] [v5:MQTT-3.1.2-25]: too large for one receiver, and as good as sent to it.
#[test]
fn the_broker_sends_no_packet_larger_than_the_client_takes() {
    let broker = Broker::start();
    let small = Connect::v5("small").with(Property::MaximumPacketSize(100)).with(Property::ReceiveMaximum(1));
    let mut small = broker.connect(&small);
    let mut large = broker.client("large");
    for client in [&mut small, &mut large] {
        client.subscribe("size", 1);
    }
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("size", vec![b'x'; 200]).qos(1));
    publisher.publish(Publish::new("size", vec![b'x'; 200]));
    publisher.publish(Publish::new("size", "fits").qos(1));
    assert_eq!(small.message().text(), "fits");
    assert_eq!([large.message(), large.message(), large.message()].map(|it| it.payload.len()), [200, 200, 4]);
}

/// [v5:MQTT-3.1.2-24]: at the limit, to the byte.
#[test]
fn a_packet_of_exactly_the_maximum_size_is_sent() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("exact").with(Property::MaximumPacketSize(60)));
    client.subscribe("size", 0);
    // Two bytes of header, six of topic, one of properties.
    for (length, fits) in [(60, true), (61, false)] {
        let mut publisher = broker.client("publisher");
        publisher.publish(Publish::new("size", vec![0; length - 9]));
        publisher.publish(Publish::new("size", "mark"));
        if fits {
            assert_eq!(client.message().payload.len(), length - 9);
        }
        assert_eq!(client.message().text(), "mark");
    }
}

/// [v5:MQTT-3.4.2-2] [v5:MQTT-3.9.2-1] [v5:MQTT-3.11.2-1] [v5:MQTT-3.14.2-3]: words for people are left out where
/// they would make the packet too large.
#[test]
fn acknowledgements_are_made_to_fit() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("tiny").with(Property::MaximumPacketSize(60)));
    client.subscribe_with(&[Request::new("$SYS/x/#", 1), Request::new("ok", 1)], &[]);
    client.unsubscribe(&["never subscribed"]);
    client.publish(Publish::new("$SYS/forged", "x").qos(1));
    client.publish(Publish::new("$SYS/forged", "x").qos(2));
    client.send(&wire::acknowledgement(wire::PUBREL, 99));
    client.take_pubcomp(99);
    client.send(&Connect::v5("tiny").encode());
    let end = client.read_bytes_to_end();
    assert!(end.len() <= 60, "{end:02x?}");
}

/// [v5:MQTT-3.2.2-15] and section 3.2.2.3.6
#[test]
fn a_packet_larger_than_the_broker_takes_ends_the_connection() {
    let broker = Settings::open().maximum_packet_size(2000).start();
    let mut client = broker.client("large");
    assert_eq!(property!(client.connack.properties, Property::MaximumPacketSize), Some(2000));
    client.publish(Publish::new("size", vec![0; 2000 - 10]).qos(0));
    client.ping();
    // The header alone tells; the broker need not wait for the rest.
    client.send(&wire::packet(0x30, &[0; 2000])[..3]);
    client.expect_disconnect(0x95);
}

/// Large messages arrive whole.
#[test]
fn a_large_message_arrives_whole() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("large", 2);
    let payload: Vec<u8> = (0..200_000u32).map(|number| (number % 251) as u8).collect();
    let mut publisher = broker.client("publisher");
    for qos in [0, 1, 2] {
        publisher.publish(Publish::new("large", payload.clone()).qos(qos));
        assert!(subscriber.message().payload == payload, "the payload was changed");
    }
}

/// A client that reads nothing does not hold up the others.
#[test]
fn a_deaf_client_does_not_hold_up_others() {
    let broker = Broker::start();
    let mut deaf = broker.client("deaf");
    let mut hears = broker.client("hears");
    for client in [&mut deaf, &mut hears] {
        client.subscribe("noise", 0);
    }
    let mut publisher = broker.client("publisher");
    for number in 0..200u32 {
        let mut payload = vec![0; 100_000];
        payload[..4].copy_from_slice(&number.to_be_bytes());
        publisher.publish(Publish::new("noise", payload));
        assert_eq!(hears.message().payload[..4], number.to_be_bytes());
    }
    let Packet::Publish(_) = deaf.receive() else { panic!("not a message") };
}
