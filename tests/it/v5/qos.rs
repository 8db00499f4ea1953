//! QoS 0, 1 and 2 in both directions.

use crate::support::broker::Broker;
use crate::support::wire::{self, Connect, Packet, Publish};

/// Section 3.8.4 [v5:MQTT-3.8.4-8]: the lower of the two levels.
#[test]
fn a_message_arrives_with_the_lower_of_both_levels() {
    let broker = Broker::start();
    let mut publisher = broker.client("publisher");
    for granted in [0, 1, 2] {
        let mut subscriber = broker.client("subscriber");
        subscriber.subscribe("level", granted);
        for published in [0, 1, 2] {
            publisher.publish(Publish::new("level", [published]).qos(published));
            let received = subscriber.message();
            assert_eq!((received.payload, received.qos), (vec![published], published.min(granted)));
        }
        subscriber.disconnect();
    }
}

/// [v5:MQTT-4.3.1-1]
#[test]
fn qos_0_is_not_acknowledged() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.send_publish(Publish::new("nowhere", "x"));
    client.expect_quiet();
}

/// [v5:MQTT-4.3.2-4] [v5:MQTT-3.3.4-1]
#[test]
fn qos_1_is_acknowledged_by_puback_with_its_identifier() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    for packet_id in [1, 2, 77, 65_535, 1] {
        client.send_publish(Publish::new("somewhere", "x").qos(1).id(packet_id));
        let Packet::PubAck(ack) = client.receive() else { panic!("not a PUBACK") };
        assert_eq!(ack.packet_id, packet_id);
        assert!([0x00, 0x10].contains(&ack.code), "{ack:?}");
    }
}

/// [v5:MQTT-4.3.3-8] [v5:MQTT-4.3.3-11]
#[test]
fn qos_2_is_acknowledged_in_two_steps() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    for packet_id in [1, 65_535, 1] {
        client.send_publish(Publish::new("somewhere", "x").qos(2).id(packet_id));
        let Packet::PubRec(received) = client.receive() else { panic!("not a PUBREC") };
        assert_eq!(received.packet_id, packet_id);
        client.send(&wire::acknowledgement(wire::PUBREL, packet_id));
        let Packet::PubComp(complete) = client.receive() else { panic!("not a PUBCOMP") };
        assert_eq!((complete.packet_id, complete.code), (packet_id, 0));
    }
}

/// [v5:MQTT-4.3.3-10] [v5:MQTT-4.3.3-12]
#[test]
fn a_qos_2_message_sent_twice_is_delivered_once() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("once", 2);
    let mut client = broker.client("client");
    let message = Publish::new("once", "first").qos(2).id(9);
    client.send_publish(message.clone());
    client.take_pubrec(9);
    client.send_publish(message.dup());
    client.take_pubrec(9);
    client.send(&wire::acknowledgement(wire::PUBREL, 9));
    client.take_pubcomp(9);
    client.publish(Publish::new("once", "second").qos(2).id(9));
    assert_eq!(subscriber.payloads(2), ["first", "second"]);
    subscriber.expect_quiet();
}

/// [v5:MQTT-4.3.3-11]: PUBREL may come again, when PUBCOMP was lost.
#[test]
fn a_release_is_answered_however_often_it_comes() {
    let broker = Broker::start();
    let mut client = broker.client("client");
    client.publish(Publish::new("somewhere", "x").qos(2).id(5));
    client.send(&wire::acknowledgement(wire::PUBREL, 5));
    assert_eq!(client.take_pubcomp(5).code, 0x92, "packet identifier not found");
}

/// [v5:MQTT-4.3.2-1] [v5:MQTT-2.2.1-4]: what waits for an acknowledgement has an identifier of its own.
#[test]
fn messages_in_flight_have_different_identifiers() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("many", 2);
    let mut publisher = broker.client("publisher");
    for number in 0..20 {
        publisher.publish(Publish::new("many", [number]).qos(1 + number % 2));
    }
    let mut identifiers: Vec<_> = (0..20).map(|_| subscriber.take_publish().packet_id).collect();
    identifiers.sort_unstable();
    identifiers.dedup();
    assert_eq!(identifiers.len(), 20);
}

/// [v5:MQTT-3.3.1-2] [v5:MQTT-4.3.2-2] [v5:MQTT-4.3.3-2]: DUP of the publisher is not passed on. [v5:MQTT-3.3.1-3]
#[test]
fn dup_is_not_passed_on() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("again", 2);
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("again", "one").qos(1).dup());
    publisher.publish(Publish::new("again", "two").qos(2).dup());
    assert!((0..2).all(|_| !subscriber.message().dup));
}

/// Section 4.3.3: the broker as sender, in the long form of the acknowledgements.
#[test]
fn the_broker_sends_qos_2_in_two_steps() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("exactly", 2);
    broker.client("publisher").publish(Publish::new("exactly", "once").qos(2));
    let publish = subscriber.take_publish();
    subscriber.send(&wire::acknowledgement_with(wire::PUBREC, publish.packet_id, 0, &[]));
    let Packet::PubRel(release) = subscriber.receive() else { panic!("not a PUBREL") };
    assert_eq!((release.packet_id, release.code), (publish.packet_id, 0));
    subscriber.send(&wire::acknowledgement_with(wire::PUBCOMP, publish.packet_id, 0, &[]));
    subscriber.expect_quiet();
}

/// [v5:MQTT-4.3.3-4] [v5:MQTT-4.3.3-5]: PUBREC with an error ends the delivery; no PUBREL follows.
#[test]
fn a_receiver_may_refuse_a_qos_2_message() {
    let broker = Broker::start();
    let mut subscriber = broker.connect(&Connect::v5("picky").with(wire::Property::ReceiveMaximum(1)));
    subscriber.subscribe("offer", 2);
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("offer", "unwanted").qos(2));
    publisher.publish(Publish::new("offer", "wanted").qos(2));
    let unwanted = subscriber.take_publish();
    subscriber.send(&wire::acknowledgement_with(wire::PUBREC, unwanted.packet_id, 0x97, &[]));
    let Packet::Publish(wanted) = subscriber.receive() else { panic!("no message follows a refused one") };
    assert_eq!(wanted.text(), "wanted");
}

/// Section 4.9: PUBACK with an error ends the delivery as well.
#[test]
fn a_receiver_may_refuse_a_qos_1_message() {
    let broker = Broker::start();
    let mut subscriber = broker.connect(&Connect::v5("picky").with(wire::Property::ReceiveMaximum(1)));
    subscriber.subscribe("offer", 1);
    let mut publisher = broker.client("publisher");
    publisher.publish(Publish::new("offer", "unwanted").qos(1));
    publisher.publish(Publish::new("offer", "wanted").qos(1));
    let unwanted = subscriber.take_publish();
    subscriber.send(&wire::acknowledgement_with(wire::PUBACK, unwanted.packet_id, 0x80, &[]));
    assert_eq!(subscriber.message().text(), "wanted");
}

/// Acknowledgements of what was never sent change nothing for anybody.
#[test]
fn acknowledgements_out_of_the_blue_do_no_harm() {
    let broker = Broker::start();
    let mut client = broker.client("confused");
    client.send(&wire::acknowledgement(wire::PUBACK, 100));
    client.send(&wire::acknowledgement(wire::PUBCOMP, 101));
    client.ping();
    client.send(&wire::acknowledgement(wire::PUBREC, 102));
    let Packet::PubRel(release) = client.receive() else { panic!("PUBREC is answered by PUBREL") };
    assert_eq!((release.packet_id, release.code), (102, 0x92));
    client.ping();
}
