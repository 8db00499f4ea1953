//! QoS 0, 1 and 2.

use crate::support::broker::Broker;
use crate::support::wire::{self, Connect, Packet, Publish};

/// [v311:MQTT-3.8.4-6] [v311:MQTT-4.3.1-1] [v311:MQTT-4.3.2-1] [v311:MQTT-4.3.3-1]
#[test]
fn a_message_arrives_with_the_lower_of_both_levels() {
    let broker = Broker::start();
    let mut publisher = broker.connect(&Connect::v311("publisher"));
    for granted in [0, 1, 2] {
        let mut subscriber = broker.connect(&Connect::v311("subscriber"));
        subscriber.subscribe("level", granted);
        for published in [0, 1, 2] {
            publisher.publish(Publish::new("level", [published]).qos(published));
            let received = subscriber.message();
            assert_eq!((received.payload, received.qos), (vec![published], published.min(granted)));
        }
        subscriber.disconnect();
    }
}

/// [v311:MQTT-4.3.2-2] [v311:MQTT-4.3.3-2]: acknowledgements are two bytes long, nothing else exists in this version.
#[test]
fn acknowledgements_carry_the_identifier_and_nothing_else() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("client"));
    client.send_publish(Publish::new("somewhere", "x").qos(1).id(258));
    assert_eq!(client.read_bytes(4), [0x40, 2, 1, 2]);
    client.send_publish(Publish::new("somewhere", "x").qos(2).id(258));
    assert_eq!(client.read_bytes(4), [0x50, 2, 1, 2]);
    client.send(&wire::acknowledgement(wire::PUBREL, 258));
    assert_eq!(client.read_bytes(4), [0x70, 2, 1, 2]);
}

/// [v311:MQTT-4.3.3-2]
#[test]
fn a_qos_2_message_sent_twice_is_delivered_once() {
    let broker = Broker::start();
    let mut subscriber = broker.connect(&Connect::v311("subscriber"));
    subscriber.subscribe("once", 2);
    let lasting = Connect::v311("publisher").lasting();
    let mut publisher = broker.connect(&lasting);
    let message = Publish::new("once", "first").qos(2).id(7);
    publisher.send_publish(message.clone());
    publisher.take_pubrec(7);
    publisher.vanish();
    let mut publisher = broker.connect(&lasting);
    publisher.send_publish(message.dup());
    publisher.take_pubrec(7);
    publisher.send(&wire::acknowledgement(wire::PUBREL, 7));
    publisher.take_pubcomp(7);
    publisher.publish(Publish::new("once", "second").qos(2).id(7));
    assert_eq!(subscriber.payloads(2), ["first", "second"]);
}

/// [v311:MQTT-3.6.4-1]: a release of something unknown is answered all the same.
#[test]
fn a_release_is_answered_however_often_it_comes() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("client"));
    for _ in 0..2 {
        client.send(&wire::acknowledgement(wire::PUBREL, 5));
        let Packet::PubComp(complete) = client.receive() else { panic!("not a PUBCOMP") };
        assert_eq!(complete.packet_id, 5);
    }
}

/// [v311:MQTT-4.6.0-6]
#[test]
fn messages_of_one_topic_arrive_in_order() {
    let broker = Broker::start();
    for qos in [0, 1, 2] {
        let mut subscriber = broker.connect(&Connect::v311("subscriber"));
        subscriber.subscribe("ordered", qos);
        let mut publisher = broker.connect(&Connect::v311("publisher"));
        for number in 0..100 {
            publisher.publish(Publish::new("ordered", [number]).qos(qos));
        }
        for number in 0..100 {
            assert_eq!(subscriber.message().payload, [number]);
        }
    }
}

/// Versions meet on the same topic: properties stay with those who know them.
#[test]
fn versions_exchange_messages() {
    let broker = Broker::start();
    let mut clients = [Connect::v31("oldest"), Connect::v311("old"), Connect::v5("new")].map(|it| broker.connect(&it));
    for client in &mut clients {
        client.subscribe("meeting", 2);
    }
    let mut publisher = broker.client("publisher");
    let rich = Publish::new("meeting", "from 5.0").qos(2).with(wire::Property::ContentType("text".into()));
    publisher.publish(rich);
    broker.connect(&Connect::v311("publisher")).publish(Publish::new("meeting", "from 3.1.1").qos(2));
    for client in &mut clients {
        assert_eq!(client.payloads(2), ["from 5.0", "from 3.1.1"]);
    }
}
