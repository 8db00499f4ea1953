//! What was not acknowledged is sent again when the session goes on, and never at another time.

use crate::support::broker::Broker;
use crate::support::wire::{self, Connect, Packet, Publish};

/// [v5:MQTT-4.4.0-1] [v5:MQTT-3.3.1-1]: the same identifier, DUP, and the same order.
#[test]
fn unacknowledged_messages_are_sent_again_with_dup() {
    let broker = Broker::start();
    let lasting = Connect::v5("subscriber").lasting();
    let mut subscriber = broker.connect(&lasting);
    subscriber.subscribe("again", 2);
    let mut publisher = broker.client("publisher");
    for number in 0..6 {
        publisher.publish(Publish::new("again", [number]).qos(1 + number % 2));
    }
    let before: Vec<_> = (0..6).map(|_| subscriber.take_publish()).collect();
    assert!(before.iter().all(|publish| !publish.dup));
    subscriber.vanish();
    let mut subscriber = broker.connect(&lasting);
    assert!(subscriber.connack.session_present);
    for sent in before {
        let again = subscriber.take_publish();
        assert_eq!(again, sent.dup());
    }
}

/// [v5:MQTT-4.4.0-1]: where PUBREC was sent, the broker goes on with PUBREL.
#[test]
fn an_unfinished_release_is_sent_again() {
    let broker = Broker::start();
    let lasting = Connect::v5("subscriber").lasting();
    let mut subscriber = broker.connect(&lasting);
    subscriber.subscribe("again", 2);
    broker.client("publisher").publish(Publish::new("again", "x").qos(2));
    let publish = subscriber.take_publish();
    subscriber.send(&wire::acknowledgement(wire::PUBREC, publish.packet_id));
    subscriber.take_pubrel(publish.packet_id);
    subscriber.vanish();
    let mut subscriber = broker.connect(&lasting);
    let Packet::PubRel(release) = subscriber.receive() else { panic!("the first packet is not PUBREL") };
    assert_eq!(release.packet_id, publish.packet_id);
    subscriber.send(&wire::acknowledgement(wire::PUBCOMP, publish.packet_id));
    subscriber.expect_quiet();
}

/// [v5:MQTT-4.3.3-10] across connections: the broker remembers what it received.
#[test]
fn a_qos_2_message_sent_again_after_a_reconnect_is_delivered_once() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("once", 2);
    let lasting = Connect::v5("publisher").lasting();
    let mut publisher = broker.connect(&lasting);
    let message = Publish::new("once", "first").qos(2).id(7);
    publisher.send_publish(message.clone());
    publisher.take_pubrec(7);
    publisher.vanish();
    let mut publisher = broker.connect(&lasting);
    publisher.send_publish(message.dup());
    publisher.take_pubrec(7);
    publisher.send(&wire::acknowledgement(wire::PUBREL, 7));
    assert_eq!(publisher.take_pubcomp(7).code, 0);
    publisher.publish(Publish::new("once", "second").qos(2));
    assert_eq!(subscriber.payloads(2), ["first", "second"]);
}

/// The other half: a release may come on the next connection.
#[test]
fn a_release_may_come_on_the_next_connection() {
    let broker = Broker::start();
    let lasting = Connect::v5("publisher").lasting();
    let mut publisher = broker.connect(&lasting);
    publisher.send_publish(Publish::new("somewhere", "x").qos(2).id(7));
    publisher.take_pubrec(7);
    publisher.vanish();
    let mut publisher = broker.connect(&lasting);
    publisher.send(&wire::acknowledgement(wire::PUBREL, 7));
    assert_eq!(publisher.take_pubcomp(7).code, 0);
}

/// [v5:MQTT-4.4.0-1]: only a reconnect makes the broker send again.
#[test]
fn nothing_is_sent_again_while_the_connection_stands() {
    let broker = Broker::start();
    let mut subscriber = broker.client("subscriber");
    subscriber.subscribe("patience", 1);
    broker.client("publisher").publish(Publish::new("patience", "x").qos(1));
    subscriber.take_publish();
    let mut clock = broker.connect(&Connect::v5("clock").keep_alive(1));
    clock.expect_disconnect(0x8D);
    subscriber.expect_quiet();
}

/// A clean start forgets what was in flight, and its identifiers are free.
#[test]
fn a_clean_start_sends_nothing_again() {
    let broker = Broker::start();
    let lasting = Connect::v5("subscriber").lasting();
    let mut subscriber = broker.connect(&lasting);
    subscriber.subscribe("again", 1);
    broker.client("publisher").publish(Publish::new("again", "x").qos(1));
    subscriber.take_publish();
    subscriber.vanish();
    broker.client("subscriber").expect_quiet();
}
