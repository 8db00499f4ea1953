//! Order: per topic and publisher, whatever the QoS. [v5:MQTT-4.6.0-5] [v5:MQTT-4.6.0-6]

use crate::support::broker::Broker;
use crate::support::wire::{self, Packet, Publish};
use std::collections::HashMap;

/// [v5:MQTT-4.6.0-6]
#[test]
fn messages_of_one_topic_arrive_in_order() {
    let broker = Broker::start();
    for qos in [0, 1, 2] {
        let mut subscriber = broker.client("subscriber");
        subscriber.subscribe("ordered", qos);
        let mut publisher = broker.client("publisher");
        for number in 0..200u16 {
            publisher.publish(Publish::new("ordered", number.to_be_bytes()).qos(qos));
        }
        for number in 0..200u16 {
            assert_eq!(subscriber.message().payload, number.to_be_bytes(), "QoS {qos}");
        }
    }
}

/// [v5:MQTT-4.6.0-2] [v5:MQTT-4.6.0-3] [v5:MQTT-4.6.0-4]: the broker acknowledges in the order of arrival.
#[test]
fn acknowledgements_come_in_the_order_of_the_messages() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    let identifiers: Vec<u16> = (1..=15).map(|number| number * 37 % 101 + 1).collect();
    for &packet_id in &identifiers {
        client.send_publish(Publish::new("somewhere", "x").qos(1).id(packet_id));
    }
    for &packet_id in &identifiers {
        let Packet::PubAck(ack) = client.receive() else { panic!("not a PUBACK") };
        assert_eq!(ack.packet_id, packet_id);
    }
    for &packet_id in &identifiers {
        client.send_publish(Publish::new("somewhere", "x").qos(2).id(packet_id));
    }
    for &packet_id in &identifiers {
        let Packet::PubRec(ack) = client.receive() else { panic!("not a PUBREC") };
        assert_eq!(ack.packet_id, packet_id);
    }
    for &packet_id in &identifiers {
        client.send(&wire::acknowledgement(wire::PUBREL, packet_id));
    }
    for &packet_id in &identifiers {
        let Packet::PubComp(ack) = client.receive() else { panic!("not a PUBCOMP") };
        assert_eq!(ack.packet_id, packet_id);
    }
}

/// [v5:MQTT-4.6.0-3]: PUBREL in the order of PUBREC.
#[test]
fn releases_come_in_the_order_of_the_receipts() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("ordered", 2);
    let mut publisher = broker.client("publisher");
    for number in 0..10 {
        publisher.publish(Publish::new("ordered", [number]).qos(2));
    }
    let mut identifiers: Vec<_> = (0..10).map(|_| subscriber.take_publish().packet_id).collect();
    identifiers.reverse();
    for &packet_id in &identifiers {
        subscriber.send(&wire::acknowledgement(wire::PUBREC, packet_id));
    }
    for &packet_id in &identifiers {
        let Packet::PubRel(release) = subscriber.receive() else { panic!("not a PUBREL") };
        assert_eq!(release.packet_id, packet_id);
    }
}

/// Several publishers to several subscribers, all levels mixed: each publisher's messages keep their order everywhere.
#[test]
fn every_publisher_keeps_its_order_at_every_subscriber() {
    const EACH: u16 = 60;
    let broker = Broker::start();
    let mut subscribers: Vec<_> = (0..3)
        .map(|number| {
            let mut subscriber = broker.client(&format!("subscriber {number}"));
            subscriber.subscribe("mixed/+", 2);
            subscriber
        })
        .collect();
    let publishers: Vec<_> = (0..3)
        .map(|publisher| {
            let mut client = broker.client(&format!("publisher {publisher}"));
            std::thread::spawn(move || {
                for number in 0..EACH {
                    let topic = format!("mixed/{publisher}");
                    client.publish(Publish::new(&topic, number.to_be_bytes()).qos(1 + (number % 2) as u8));
                }
            })
        })
        .collect();
    for subscriber in &mut subscribers {
        let mut next = HashMap::<String, u16>::new();
        for _ in 0..3 * EACH {
            let message = subscriber.message();
            let expected = next.entry(message.topic).or_default();
            assert_eq!(message.payload, expected.to_be_bytes());
            *expected += 1;
        }
    }
    for publisher in publishers {
        publisher.join().unwrap();
    }
}
