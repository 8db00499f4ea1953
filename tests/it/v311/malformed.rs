//! Bytes that no client may send: each ends its connection without a word, because this version has none.

use crate::support::broker::Broker;
use crate::support::wire::{self, Connect, Packet, Publish, Request, packet};
use securemq::protocol::ProtocolVersion;

const V311: ProtocolVersion = ProtocolVersion::V3_1_1;

fn publish_to(topic: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    wire::put_binary(&mut body, topic);
    packet(0x30, &body)
}

fn cases() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("packet type 0", vec![0x00, 0]),
        ("packet type 15, which is of 5.0", vec![0xF0, 0]),
        ("remaining length of five bytes", vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01]),
        ("PINGREQ with flags [v311:MQTT-2.2.2-2]", vec![0xC1, 0]),
        ("SUBSCRIBE without its flags [v311:MQTT-3.8.1-1]", packet(0x80, &[0, 1, 0, 1, b'a', 0])),
        ("UNSUBSCRIBE without its flags [v311:MQTT-3.10.1-1]", packet(0xA0, &[0, 1, 0, 1, b'a'])),
        ("PUBREL without its flags [v311:MQTT-3.6.1-1]", packet(0x60, &[0, 1])),
        ("DISCONNECT with flags [v311:MQTT-3.14.1-1]", packet(0xE1, &[])),
        ("CONNACK from a client", vec![0x20, 2, 0, 0]),
        ("SUBACK from a client", vec![0x90, 3, 0, 1, 0]),
        ("PINGRESP from a client", vec![0xD0, 0]),
        ("QoS 3 [v311:MQTT-3.3.1-4]", packet(0x36, &[0, 1, b'a', 0, 1])),
        ("DUP with QoS 0 [v311:MQTT-3.3.1-2]", Publish::new("a", "x").dup().encode(V311)),
        ("packet identifier 0 [v311:MQTT-2.3.1-1]", Publish::new("a", "x").qos(1).encode(V311)),
        ("a topic with + [v311:MQTT-3.3.2-2]", publish_to(b"a/+")),
        ("a topic with # [v311:MQTT-3.3.2-2]", publish_to(b"a/#")),
        ("no topic [v311:MQTT-4.7.3-1]", publish_to(b"")),
        ("a topic with NUL [v311:MQTT-1.5.3-2]", publish_to(b"a\0b")),
        ("a topic that is no UTF-8 [v311:MQTT-1.5.3-1]", publish_to(&[b'a', 0xFF])),
        ("a topic with a surrogate [v311:MQTT-1.5.3-1]", publish_to(&[0xED, 0xA0, 0x80])),
        ("a topic longer than the packet", packet(0x30, &[0, 9, b'a'])),
        ("no filter [v311:MQTT-3.8.3-3]", wire::subscribe(V311, 1, &[], &[])),
        ("QoS 3 of a filter [v311:MQTT-3-8.3-4]", wire::subscribe(V311, 1, &[Request::new("a", 3)], &[])),
        ("reserved bits [v311:MQTT-3-8.3-4]", wire::subscribe(V311, 1, &[Request::new("a", 4)], &[])),
        ("SUBSCRIBE with identifier 0", wire::subscribe(V311, 0, &[Request::new("a", 0)], &[])),
        ("UNSUBSCRIBE of nothing [v311:MQTT-3.10.3-2]", wire::unsubscribe(V311, 1, &[])),
        ("PUBACK of three bytes", packet(0x40, &[0, 1, 0])),
        ("PUBACK of one byte", packet(0x40, &[0])),
        ("DISCONNECT with a reason, which is of 5.0", packet(0xE0, &[0])),
    ]
}

/// [v311:MQTT-4.8.0-1] and the statements named in the table
#[test]
fn what_is_forbidden_ends_the_connection() {
    let broker = Broker::start();
    let mut honest = broker.connect(&Connect::v311("honest"));
    let mut wrong = Vec::new();
    for (name, bytes) in cases() {
        let mut client = broker.connect(&Connect::v311("offender"));
        client.try_send(&bytes);
        client.try_send(&wire::PINGREQ);
        if let Some(packet) = client.receive_or_end() {
            wrong.push(format!("{name}: {packet:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    honest.ping();
}

/// [v311:MQTT-3.1.4-1] and section 3.1.2.3 on
#[test]
fn a_malformed_connect_is_refused() {
    let broker = Broker::start();
    let good = Connect::v311("offender").encode();
    let flags = 9;
    let mut wrong = Vec::new();
    for (name, place, byte) in [
        ("flags of the header [v311:MQTT-2.2.2-2]", 0, 0x11),
        ("the reserved flag [v311:MQTT-3.1.2-3]", flags, 0x03),
        ("QoS of a will that is not there [v311:MQTT-3.1.2-13]", flags, 0x0A),
        ("retain of a will that is not there [v311:MQTT-3.1.2-15]", flags, 0x22),
        ("a will that is not there [v311:MQTT-3.1.2-9]", flags, 0x06),
        ("a user name that is not there [v311:MQTT-3.1.2-19]", flags, 0x82),
        ("a password without a user name [v311:MQTT-3.1.2-22]", flags, 0x42),
    ] {
        let mut bytes = good.clone();
        bytes[place] = byte;
        let mut client = broker.open().speaking(V311);
        client.try_send(&bytes);
        client.try_send(&wire::PINGREQ);
        match client.receive_or_end() {
            None => {}
            Some(Packet::ConnAck(answer)) if answer.code > 0 => client.expect_closed(),
            other => wrong.push(format!("{name}: {other:?}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
