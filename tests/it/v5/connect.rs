//! CONNECT and CONNACK.

use crate::support::broker::{Broker, Settings};
use crate::support::raw::Client;
use crate::support::wire::{self, Connect, Packet, Property, Publish, Request};
use std::time::Instant;

/// [v5:MQTT-3.2.0-1] [v5:MQTT-3.2.2-2]
#[test]
fn a_clean_start_is_answered_without_a_session() {
    let broker = Broker::start();
    let client = broker.client("first");
    assert!(!client.connack.session_present);
}

/// Everything that CONNECT can carry, in one packet. [v5:MQTT-3.1.2-10] and the properties of section 3.1.2.11
#[test]
fn a_connect_with_every_property_is_accepted() {
    let broker = Broker::start();
    let will = wire::Will::new("will/full", "gone")
        .qos(2)
        .retain()
        .with(Property::WillDelay(1))
        .with(Property::PayloadFormat(1))
        .with(Property::MessageExpiry(60))
        .with(Property::ContentType("text/plain".into()))
        .with(Property::ResponseTopic("will/answer".into()))
        .with(Property::CorrelationData(vec![0, 1, 2]))
        .with(Property::User("where".into(), "will".into()));
    let connect = Connect::v5("full")
        .keep_alive(60)
        .will(will)
        .with(Property::SessionExpiry(60))
        .with(Property::ReceiveMaximum(10))
        .with(Property::MaximumPacketSize(100_000))
        .with(Property::TopicAliasMaximum(10))
        .with(Property::RequestResponseInformation(1))
        .with(Property::RequestProblemInformation(1))
        .with(Property::User("where".into(), "connect".into()))
        .with(Property::User("where".into(), "connect".into()));
    broker.connect(&connect).ping();
}

/// [v5:MQTT-3.2.2-1] and section 3.2.2.3: what the broker says about itself holds, and what it leaves out has the
/// default that the specification gives it.
#[test]
fn connack_says_what_the_broker_can_do() {
    let broker = Broker::start();
    let properties = broker.client("curious").connack.properties;
    assert_eq!(property!(properties, Property::MaximumQoS), None, "QoS 2 is served");
    assert_ne!(property!(properties, Property::RetainAvailable), Some(0));
    assert_ne!(property!(properties, Property::WildcardAvailable), Some(0));
    assert_ne!(property!(properties, Property::SubscriptionIdsAvailable), Some(0));
    assert_ne!(property!(properties, Property::SharedAvailable), Some(0));
    assert_ne!(property!(properties, Property::ReceiveMaximum), Some(0));
    assert_ne!(property!(properties, Property::MaximumPacketSize), Some(0));
    assert!(property!(properties, Property::TopicAliasMaximum).unwrap_or(0) > 0, "aliases are taken");
    assert_eq!(property!(properties, Property::AssignedClientId), None, "the client brought its own");
}

/// [v5:MQTT-3.1.3-6] [v5:MQTT-3.1.3-7] [v5:MQTT-3.2.2-16]
#[test]
fn clients_without_an_identifier_get_different_ones() {
    let broker = Broker::start();
    let assigned = || {
        let client = broker.client("");
        property!(client.connack.properties, Property::AssignedClientId).expect("an assigned identifier")
    };
    let (first, second) = (assigned(), assigned());
    assert!(!first.is_empty() && !second.is_empty());
    assert_ne!(first, second);
}

/// [v5:MQTT-3.1.3-7]: the session can be found again by the identifier that was assigned.
#[test]
fn an_assigned_identifier_names_the_session() {
    let broker = Broker::start();
    let first = broker.connect(&Connect::v5("").with(Property::SessionExpiry(60)));
    let assigned = property!(first.connack.properties, Property::AssignedClientId).unwrap();
    first.disconnect();
    assert!(broker.connect(&Connect::v5(&assigned).lasting()).connack.session_present);
}

/// [v5:MQTT-3.1.3-5]: letters and digits up to 23; we take any text, longer too.
#[test]
fn client_identifiers_may_be_any_text() {
    let broker = Broker::start();
    for client_id in ["0123456789abcdefghijABC", "ein Gerät/mit $Zeichen", "日本語", &"x".repeat(200)] {
        broker.client(client_id).ping();
    }
}

/// [v5:MQTT-3.1.0-2]
#[test]
fn a_second_connect_ends_the_connection() {
    let broker = Broker::start();
    let mut client = broker.client("twice");
    client.send(&Connect::v5("twice").encode());
    client.expect_disconnect(0x82);
}

/// [v5:MQTT-3.1.0-1]
#[test]
fn anything_before_connect_ends_the_connection_without_an_answer() {
    let broker = Broker::start();
    for bytes in [
        wire::PINGREQ.to_vec(),
        Publish::new("early", "x").encode(Connect::v5("").version),
        wire::farewell(wire::DISCONNECT, 0, &[]),
        wire::farewell(wire::AUTH, 0x18, &[Property::AuthenticationMethod("x".into())]),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ] {
        let mut client = broker.open();
        client.send(&bytes);
        client.expect_closed();
    }
}

/// [v5:MQTT-3.1.2-2]: level 6 does not exist; the broker may say so, in the terms of any version.
#[test]
fn an_unknown_protocol_level_is_refused() {
    let broker = Broker::start();
    let mut bytes = Connect::v5("future").encode();
    bytes[8] = 6;
    let mut client = broker.open();
    client.send(&bytes);
    refused_or_closed(&mut client);
}

/// [v5:MQTT-3.1.2-1]
#[test]
fn an_unknown_protocol_name_is_refused() {
    let broker = Broker::start();
    let mut bytes = Connect::v5("other").encode();
    bytes[4..8].copy_from_slice(b"MQTX");
    let mut client = broker.open();
    client.send(&bytes);
    refused_or_closed(&mut client);
}

/// The broker may answer in the terms of any version, because it can't know what the client reads; 5.0 may add words.
fn refused_or_closed(client: &mut Client) {
    let answer = client.read_bytes_to_end();
    let known: [&[u8]; 2] = [&[], &[0x20, 2, 0, 1]];
    let of_5_0 = matches!(answer.as_slice(), [0x20, length, 0, 0x84, ..] if answer.len() == 2 + usize::from(*length));
    assert!(of_5_0 || known.contains(&answer.as_slice()), "the answer is {answer:02x?}");
}

/// [v5:MQTT-4.12.0-1]: no method of extended authentication is configured.
#[test]
fn an_authentication_method_that_is_not_supported_is_refused() {
    let broker = Broker::start();
    let connect = Connect::v5("scram").with(Property::AuthenticationMethod("SCRAM-SHA-1".into()));
    assert_eq!(broker.refused(&connect).code, 0x8C);
}

/// Section 3.1.4: clients need not wait for CONNACK.
#[test]
fn packets_that_follow_connect_at_once_are_handled_after_it() {
    let broker = Broker::start();
    let connect = Connect::v5("hasty");
    let mut bytes = connect.encode();
    bytes.extend(wire::subscribe(connect.version, 1, &[Request::new("hasty/#", 1)], &[]));
    bytes.extend(Publish::new("hasty/a", "message").qos(1).id(2).encode(connect.version));
    bytes.extend(wire::PINGREQ);
    let mut client = broker.open().speaking(connect.version);
    client.send(&bytes);
    assert_eq!(client.take_connack().code, 0);
    assert_eq!(client.take_suback(1).codes, [1]);
    assert_eq!(client.take_puback(2).code, 0);
    assert_eq!(client.message().text(), "message");
}

/// A packet may arrive in any number of pieces.
#[test]
fn packets_may_come_byte_by_byte() {
    let broker = Broker::start();
    let connect = Connect::v5("slow");
    let mut client = broker.open().speaking(connect.version);
    for byte in connect.encode() {
        client.send(&[byte]);
    }
    assert_eq!(client.take_connack().code, 0);
    client.subscribe("slow", 0);
    for byte in Publish::new("slow", "in pieces").encode(connect.version) {
        client.send(&[byte]);
    }
    assert_eq!(client.message().text(), "in pieces");
}

/// A peer that sends no CONNECT is not waited for; the time is an option.
#[test]
fn a_peer_that_sends_no_connect_is_dropped() {
    let broker = Settings::open().connect_timeout_seconds(1).start();
    let begin = Instant::now();
    let mut silent = broker.open();
    let mut halting = broker.open();
    halting.send(&Connect::v5("halting").encode()[..6]);
    silent.expect_closed();
    halting.expect_closed();
    let waited = begin.elapsed().as_millis();
    assert!((900..8000).contains(&waited), "closed after {waited} ms");
    broker.client("prompt").ping();
}

/// Section 3.1.2.11.7 [v5:MQTT-3.1.2-29]: reasons in words only where they are wanted.
#[test]
fn reason_strings_are_left_out_where_the_client_does_not_want_them() {
    let broker = Broker::start();
    let mut client = broker.connect(&Connect::v5("terse").with(Property::RequestProblemInformation(0)));
    client.send(&wire::acknowledgement(wire::PUBREL, 77));
    let answer = client.take_pubcomp(77);
    assert_eq!((answer.code, answer.properties), (0x92, vec![]));
}

/// [v5:MQTT-3.1.2-28]
#[test]
fn response_information_is_not_sent_to_who_does_not_ask() {
    let broker = Broker::start();
    let connect = Connect::v5("asks not").with(Property::RequestResponseInformation(0));
    let properties = broker.connect(&connect).connack.properties;
    assert_eq!(property!(properties, Property::ResponseInformation), None);
}

/// Section 3.14 [v5:MQTT-3.14.4-1] [v5:MQTT-3.14.4-2]
#[test]
fn the_broker_closes_after_disconnect() {
    let broker = Broker::start();
    broker.client("leaves").disconnect();
    broker.client("leaves with words").disconnect_with(0x00, &[Property::ReasonString("done".into())]);
}

/// [v5:MQTT-3.12.4-1]
#[test]
fn a_ping_is_answered() {
    let broker = Broker::start();
    let mut client = broker.client("pings");
    client.send(&wire::PINGREQ);
    assert_eq!(client.receive(), Packet::PingResp);
}
