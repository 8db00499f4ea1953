//! CONNECT and CONNACK.

use crate::support::broker::Broker;
use crate::support::wire::{self, Connect, Packet};
use std::time::{Duration, Instant};

/// [v311:MQTT-3.2.0-1] [v311:MQTT-3.2.2-1]
#[test]
fn a_clean_session_is_answered_without_a_session() {
    let broker = Broker::start();
    assert!(!broker.connect(&Connect::v311("first")).connack.session_present);
}

/// [v311:MQTT-3.1.3-6] [v311:MQTT-3.1.3-7]
#[test]
fn an_empty_identifier_is_taken_for_a_clean_session() {
    let broker = Broker::start();
    let mut first = broker.connect(&Connect::v311(""));
    let mut second = broker.connect(&Connect::v311(""));
    first.ping();
    second.ping();
}

/// [v311:MQTT-3.1.3-8] [v311:MQTT-3.1.3-9]
#[test]
fn an_empty_identifier_can_not_keep_a_session() {
    let broker = Broker::start();
    assert_eq!(broker.refused(&Connect::v311("").clean(false)).code, 2);
}

/// [v311:MQTT-3.1.2-2]: a level that is older or newer than all we speak; a newer one may be answered in newer terms.
#[test]
fn an_unknown_protocol_level_is_refused_with_code_1() {
    let broker = Broker::start();
    for level in [0, 2, 6, 255] {
        let mut bytes = Connect::v311("future").encode();
        bytes[8] = level;
        let mut client = broker.open();
        client.send(&bytes);
        let answer = client.read_bytes_to_end();
        let newer = level > 5 && matches!(answer.as_slice(), [0x20, _, 0, 0x84, ..]);
        assert!(newer || answer == [0x20, 2, 0, 1], "level {level} is answered by {answer:02x?}");
    }
}

/// [v311:MQTT-3.1.0-2]: closed, and without a packet that this version does not have.
#[test]
fn a_second_connect_ends_the_connection() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("twice"));
    client.send(&Connect::v311("twice").encode());
    client.expect_closed();
}

/// [v311:MQTT-3.1.2-24]
#[test]
fn a_silent_client_is_dropped_after_one_and_a_half_times_its_keep_alive() {
    let broker = Broker::start();
    let begin = Instant::now();
    let mut client = broker.connect(&Connect::v311("silent").keep_alive(1));
    client.expect_silence_for(Duration::from_millis(1200));
    client.expect_closed();
    let waited = begin.elapsed().as_millis();
    assert!((1400..4000).contains(&waited), "dropped after {waited} ms instead of 1500");
}

/// [v311:MQTT-3.12.4-1] [v311:MQTT-3.14.4-1]
#[test]
fn a_ping_is_answered_and_disconnect_is_not() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v311("client"));
    client.send(&wire::PINGREQ);
    assert_eq!(client.receive(), Packet::PingResp);
    client.disconnect();
}
