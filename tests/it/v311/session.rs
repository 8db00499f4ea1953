//! Sessions: Clean Session decides both where one begins and where it ends.

use crate::support::broker::Broker;
use crate::support::wire::{self, Connect, Packet, Publish};

/// [v311:MQTT-3.1.2-4] [v311:MQTT-3.1.2-5] [v311:MQTT-3.2.2-2] [v311:MQTT-3.2.2-3]
#[test]
fn a_session_survives_its_connection() {
    let broker = Broker::start();
    let lasting = Connect::v311("lasting").lasting();
    let mut client = broker.connect(&lasting);
    assert!(!client.connack.session_present);
    client.subscribe("news", 2);
    client.disconnect();
    let mut publisher = broker.connect(&Connect::v311("publisher"));
    for (payload, qos) in [("one", 1), ("two", 2), ("three", 1)] {
        publisher.publish(Publish::new("news", payload).qos(qos));
    }
    let mut client = broker.connect(&lasting);
    assert!(client.connack.session_present);
    assert_eq!(client.payloads(3), ["one", "two", "three"]);
}

/// [v311:MQTT-3.1.2-6]
#[test]
fn a_clean_session_ends_with_its_connection() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("brief"));
    client.subscribe("news", 1);
    client.disconnect();
    assert!(!broker.connect(&Connect::v311("brief").lasting()).connack.session_present);
}

/// [v311:MQTT-3.1.2-6]: it also throws away what was there before.
#[test]
fn a_clean_session_throws_the_old_one_away() {
    let broker = Broker::start();
    let lasting = Connect::v311("forgetful").lasting();
    let mut client = broker.connect(&lasting);
    client.subscribe("news", 1);
    client.disconnect();
    broker.connect(&Connect::v311("forgetful")).disconnect();
    assert!(!broker.connect(&lasting).connack.session_present);
}

/// [v311:MQTT-3.1.4-2]: the first is closed, without a packet that this version does not have.
#[test]
fn the_same_client_identifier_takes_the_session_over() {
    let broker = Broker::start();
    let lasting = Connect::v311("twin").lasting();
    let mut first = broker.connect(&lasting);
    first.subscribe("twin/news", 1);
    let mut second = broker.connect(&lasting);
    first.expect_closed();
    second.publish(Publish::new("twin/news", "to the second").qos(1));
    assert_eq!(second.message().text(), "to the second");
}

/// The versions share one session: a client may be updated.
#[test]
fn a_session_may_change_its_version() {
    let broker = Broker::start();
    let mut old = broker.connect(&Connect::v311("updated").lasting());
    old.subscribe("news", 1);
    old.disconnect();
    let mut new = broker.connect(&Connect::v5("updated").lasting());
    assert!(new.connack.session_present);
    new.publish(Publish::new("news", "x").qos(1));
    assert_eq!(new.message().text(), "x");
    let _older = broker.connect(&Connect::v311("updated").lasting());
    new.expect_disconnect(0x8E);
}

/// [v311:MQTT-4.4.0-1] [v311:MQTT-3.3.1-1]
#[test]
fn unacknowledged_packets_are_sent_again() {
    let broker = Broker::start();
    let lasting = Connect::v311("subscriber").lasting();
    let mut subscriber = broker.connect(&lasting);
    subscriber.subscribe("again", 2);
    let mut publisher = broker.connect(&Connect::v311("publisher"));
    for (payload, qos) in [("one", 1), ("two", 2), ("three", 2)] {
        publisher.publish(Publish::new("again", payload).qos(qos));
    }
    let [one, two, three] = [subscriber.take_publish(), subscriber.take_publish(), subscriber.take_publish()];
    subscriber.send(&wire::acknowledgement(wire::PUBREC, two.packet_id));
    subscriber.take_pubrel(two.packet_id);
    subscriber.vanish();
    let mut subscriber = broker.connect(&lasting);
    let again: Vec<_> = (0..3).map(|_| subscriber.receive()).collect();
    let released = |packet: &Packet| matches!(packet, Packet::PubRel(release) if release.packet_id == two.packet_id);
    assert!(again.contains(&Packet::Publish(one.dup())), "{again:?}");
    assert!(again.contains(&Packet::Publish(three.dup())), "{again:?}");
    assert!(again.iter().any(released), "{again:?}");
}
