//! MQTT 3.1: the protocol name `MQIsdp`, and what differs from 3.1.1.

use crate::support::broker::Broker;
use crate::support::wire::{Connect, Packet, Publish, Request, Will};

/// [v31:3.1] [v31:3.2]
#[test]
fn a_client_of_the_oldest_version_connects() {
    let broker = Broker::start();
    let mut client = broker.open().speaking(Connect::v31("").version);
    client.send_connect(&Connect::v31("old").keep_alive(60));
    assert_eq!(client.read_bytes(4), [0x20, 2, 0, 0]);
}

/// [v31:3.2]: the first byte of CONNACK is not used in this version, so nothing is said about sessions.
#[test]
fn connack_says_nothing_about_sessions() {
    let broker = Broker::start();
    let lasting = Connect::v31("old").lasting();
    for _ in 0..2 {
        let mut client = broker.open();
        client.send_connect(&lasting);
        assert_eq!(client.read_bytes(4), [0x20, 2, 0, 0]);
        client.disconnect();
    }
}

/// [v31:3.1]: an identifier has 1 to 23 characters; an empty one is refused with code 2, a longer one we take.
#[test]
fn an_empty_identifier_is_refused() {
    let broker = Broker::start();
    for clean in [true, false] {
        assert_eq!(broker.refused(&Connect::v31("").clean(clean)).code, 2);
    }
    broker.connect(&Connect::v31("longer than twenty-three characters")).ping();
}

/// [v31:3.3] [v31:4.1]
#[test]
fn messages_of_every_level_arrive() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v31("old"));
    assert_eq!(client.subscribe_with(&[Request::new("a/+", 2), Request::new("b", 0)], &[]), [2, 0]);
    for qos in [0, 1, 2] {
        client.publish(Publish::new("a/b", [qos]).qos(qos));
        let message = client.message();
        assert_eq!((message.payload, message.qos), (vec![qos], qos));
    }
    client.unsubscribe(&["a/+"]);
    client.publish(Publish::new("a/b", "x").qos(1));
    client.expect_quiet();
}

/// [v31:3.1] [v31:3.3]: wills and retained messages.
#[test]
fn a_will_is_published_and_may_be_retained() {
    let broker = Broker::start();
    let mut watcher = broker.connect(&Connect::v31("watcher"));
    watcher.subscribe("will", 1);
    broker.connect(&Connect::v31("doomed").will(Will::new("will", "gone").qos(1).retain())).vanish();
    assert_eq!(watcher.message().text(), "gone");
    let mut late = broker.connect(&Connect::v31("late"));
    late.subscribe("will", 1);
    assert!(late.message().retain);
}

/// [v31:3.1]: the name of one version with the level of another is none.
#[test]
fn name_and_level_must_belong_together() {
    let broker = Broker::start();
    for (connect, place, level) in [(Connect::v31("odd"), 10, 4), (Connect::v311("odd"), 8, 3)] {
        let mut bytes = connect.encode();
        bytes[place] = level;
        let mut client = broker.open();
        client.send(&bytes);
        let answer = client.read_bytes_to_end();
        assert!(
            answer.is_empty() || [[0x20, 2, 0, 1], [0x20, 2, 0, 0x84]].iter().any(|it| answer == it),
            "{answer:02x?}"
        );
    }
}

/// [v31:4.1]: the session of a client that does not ask for a clean one.
#[test]
fn a_session_survives_its_connection() {
    let broker = Broker::start();
    let lasting = Connect::v31("old").lasting();
    let mut client = broker.connect(&lasting);
    client.subscribe("news", 1);
    client.disconnect();
    broker.connect(&Connect::v31("publisher")).publish(Publish::new("news", "x").qos(1));
    let mut client = broker.connect(&lasting);
    let Packet::Publish(message) = client.receive() else { panic!("not a message") };
    assert_eq!(message.text(), "x");
}
