//! Bytes that no client may send: each ends its connection with the right code, and no other connection.

use crate::support::broker::Broker;
use crate::support::wire::{self, Connect, Packet, Property, Publish, Request, packet, put_text};
use securemq::protocol::ProtocolVersion;

const V5: ProtocolVersion = ProtocolVersion::V5;
const MALFORMED: &[u8] = &[0x81];
const PROTOCOL: &[u8] = &[0x82];
/// Where the specification forbids something without saying which of the two it is.
const EITHER: &[u8] = &[0x81, 0x82];

/// What is wrong, what is sent after a good CONNECT, and the codes that the specification allows.
struct Case(&'static str, Vec<u8>, &'static [u8]);

/// A PUBLISH of QoS 0 to `a` whose properties are given as bytes.
fn publish_with(properties: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 1, b'a'];
    wire::put_varint(&mut body, properties.len().try_into().unwrap());
    body.extend(properties);
    packet(0x30, &body)
}

/// A PUBLISH of QoS 0 to these bytes.
fn publish_to(topic: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    wire::put_binary(&mut body, topic);
    body.push(0);
    packet(0x30, &body)
}

fn subscribe(requests: &[Request], properties: &[Property]) -> Vec<u8> {
    wire::subscribe(V5, 1, requests, properties)
}

fn headers() -> Vec<Case> {
    vec![
        Case("packet type 0", vec![0x00, 0], EITHER),
        Case("remaining length of five bytes [v5:MQTT-1.5.5-1]", vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01], MALFORMED),
        Case("remaining length longer than needed [v5:MQTT-1.5.5-1]", vec![0xC0, 0x80, 0x00], MALFORMED),
        Case("PINGREQ with flags [v5:MQTT-2.1.3-1]", vec![0xC1, 0], MALFORMED),
        Case("PINGREQ with a body", vec![0xC0, 1, 0], EITHER),
        Case("SUBSCRIBE without its flags [v5:MQTT-3.8.1-1]", packet(0x80, &[0, 1, 0, 0, 1, b'a', 0]), MALFORMED),
        Case("UNSUBSCRIBE without its flags [v5:MQTT-3.10.1-1]", packet(0xA0, &[0, 1, 0, 0, 1, b'a']), MALFORMED),
        Case("PUBREL without its flags [v5:MQTT-3.6.1-1]", packet(0x60, &[0, 1]), MALFORMED),
        Case("PUBACK with flags [v5:MQTT-2.1.3-1]", packet(0x42, &[0, 1]), MALFORMED),
        Case("DISCONNECT with flags [v5:MQTT-3.14.1-1]", packet(0xE1, &[0]), MALFORMED),
        Case("CONNACK from a client", vec![0x20, 3, 0, 0, 0], EITHER),
        Case("SUBACK from a client", vec![0x90, 4, 0, 1, 0, 0], EITHER),
        Case("UNSUBACK from a client", vec![0xB0, 4, 0, 1, 0, 0], EITHER),
        Case("PINGRESP from a client", vec![0xD0, 0], EITHER),
        Case("CONNECT again [v5:MQTT-3.1.0-2]", Connect::v5("again").encode(), PROTOCOL),
    ]
}

fn publishes() -> Vec<Case> {
    let alias = |topic, alias| Publish::new(topic, "x").with(Property::TopicAlias(alias)).encode(V5);
    vec![
        Case("QoS 3 [v5:MQTT-3.3.1-4]", packet(0x36, &[0, 1, b'a', 0, 1, 0]), MALFORMED),
        Case("DUP with QoS 0 [v5:MQTT-3.3.1-2]", Publish::new("a", "x").dup().encode(V5), EITHER),
        Case("packet identifier 0 [v5:MQTT-2.2.1-3]", Publish::new("a", "x").qos(1).encode(V5), EITHER),
        Case("a topic with + [v5:MQTT-3.3.2-2]", publish_to(b"a/+"), &[0x81, 0x82, 0x90]),
        Case("a topic with # [v5:MQTT-3.3.2-2]", publish_to(b"a/#"), &[0x81, 0x82, 0x90]),
        Case("no topic and no alias [v5:MQTT-4.7.3-1]", publish_to(b""), &[0x82, 0x90]),
        Case("a topic with NUL [v5:MQTT-1.5.4-2]", publish_to(b"a\0b"), &[0x81, 0x90]),
        Case("a topic that is no UTF-8 [v5:MQTT-1.5.4-1]", publish_to(&[b'a', 0xFF]), MALFORMED),
        Case("a topic with a surrogate [v5:MQTT-1.5.4-1]", publish_to(&[0xED, 0xA0, 0x80]), MALFORMED),
        Case("a topic in overlong UTF-8 [v5:MQTT-1.5.4-1]", publish_to(&[0xC0, 0xAF]), MALFORMED),
        Case("a topic that ends in the middle of a character", publish_to(&[0xE2, 0x82]), MALFORMED),
        Case("a topic longer than the packet", packet(0x30, &[0, 9, b'a', 0]), MALFORMED),
        Case("no properties at all", packet(0x30, &[0, 1, b'a']), MALFORMED),
        Case("properties longer than the packet", packet(0x30, &[0, 1, b'a', 9, 1, 0]), MALFORMED),
        Case("a property length of five bytes", packet(0x30, &[0, 1, b'a', 0x80, 0x80, 0x80, 0x80, 1]), MALFORMED),
        Case("a property length longer than needed", packet(0x30, &[0, 1, b'a', 0x80, 0x00]), MALFORMED),
        Case("a property that does not exist", publish_with(&[0x7F, 0]), MALFORMED),
        Case("a property of another packet [v5:2.2.2]", publish_with(&[0x11, 0, 0, 0, 1]), EITHER),
        Case("a property without its value", publish_with(&[0x02, 0, 0]), MALFORMED),
        Case("message expiry twice", publish_with(&[2, 0, 0, 0, 1, 2, 0, 0, 0, 1]), PROTOCOL),
        Case("payload format twice", publish_with(&[1, 0, 1, 0]), PROTOCOL),
        Case("content type twice", publish_with(&[3, 0, 1, b'a', 3, 0, 1, b'a']), PROTOCOL),
        Case("payload format 2", publish_with(&[1, 2]), EITHER),
        Case("a subscription identifier from a client [v5:MQTT-3.3.4-6]", publish_with(&[0x0B, 1]), EITHER),
        Case("topic alias 0 [v5:MQTT-3.3.2-8]", alias("a", 0), &[0x81, 0x82, 0x94]),
        Case("topic alias above the maximum [v5:MQTT-3.3.2-9]", alias("a", 65_535), &[0x94]),
        Case("an alias that stands for nothing", alias("", 1), PROTOCOL),
        Case("a response topic with wildcards [v5:MQTT-3.3.2-14]", publish_with(&[8, 0, 1, b'#']), &[0x81, 0x82, 0x90]),
        Case("a response topic that is no UTF-8 [v5:MQTT-3.3.2-13]", publish_with(&[8, 0, 1, 0xFF]), MALFORMED),
        Case("a user property that is no UTF-8", publish_with(&[0x26, 0, 1, 0xFF, 0, 0]), MALFORMED),
        Case("a user property with NUL", publish_with(&[0x26, 0, 1, 0, 0, 0]), MALFORMED),
        Case("a user property without its value", publish_with(&[0x26, 0, 1, b'a']), MALFORMED),
    ]
}

fn subscriptions() -> Vec<Case> {
    let share = Request::new("$share/group/a", 0).no_local();
    let mut unsubscribe_nothing = vec![0, 1];
    unsubscribe_nothing.push(0);
    vec![
        Case("no filter [v5:MQTT-3.8.3-2]", subscribe(&[], &[]), PROTOCOL),
        Case("QoS 3", subscribe(&[Request::new("a", 3)], &[]), EITHER),
        Case("retain handling 3", subscribe(&[Request::new("a", 0).retain_handling(3)], &[]), EITHER),
        Case("reserved bits of the options [v5:MQTT-3.8.3-5]", subscribe(&[Request::new("a", 0x40)], &[]), MALFORMED),
        Case("no options", packet(0x82, &[0, 1, 0, 0, 1, b'a']), MALFORMED),
        Case("no-local of a shared subscription [v5:MQTT-3.8.3-4]", subscribe(&[share], &[]), PROTOCOL),
        Case("identifier 0", subscribe(&[Request::new("a", 0)], &[Property::SubscriptionId(0)]), PROTOCOL),
        Case(
            "two identifiers",
            subscribe(&[Request::new("a", 0)], &[Property::SubscriptionId(1), Property::SubscriptionId(2)]),
            PROTOCOL,
        ),
        Case("packet identifier 0", wire::subscribe(V5, 0, &[Request::new("a", 0)], &[]), EITHER),
        Case("a filter that is no UTF-8 [v5:MQTT-3.8.3-1]", packet(0x82, &[0, 1, 0, 0, 1, 0xFF, 0]), MALFORMED),
        Case("a filter with NUL", packet(0x82, &[0, 1, 0, 0, 1, 0, 0]), &[0x81, 0x8F]),
        Case("UNSUBSCRIBE of nothing [v5:MQTT-3.10.3-2]", packet(0xA2, &unsubscribe_nothing), PROTOCOL),
        Case("UNSUBSCRIBE with packet identifier 0", wire::unsubscribe(V5, 0, &["a"]), EITHER),
        Case("UNSUBSCRIBE that ends too early", packet(0xA2, &[0, 1, 0, 0, 2, b'a']), MALFORMED),
    ]
}

fn acknowledgements() -> Vec<Case> {
    vec![
        Case("PUBACK without identifier", packet(0x40, &[]), MALFORMED),
        Case("PUBACK with half an identifier", packet(0x40, &[0]), MALFORMED),
        Case("PUBACK with identifier 0", packet(0x40, &[0, 0]), EITHER),
        Case("PUBACK with a code that does not exist [v5:MQTT-3.4.2-1]", packet(0x40, &[0, 1, 0x7F]), EITHER),
        Case("PUBREC with a code of another packet [v5:MQTT-3.5.2-1]", packet(0x50, &[0, 1, 0x8E]), EITHER),
        Case("PUBREL with a code of another packet [v5:MQTT-3.6.2-1]", packet(0x62, &[0, 1, 0x10]), EITHER),
        Case("PUBCOMP with a code of another packet [v5:MQTT-3.7.2-1]", packet(0x70, &[0, 1, 0x80]), EITHER),
        Case("PUBACK with two reason strings", packet(0x40, &[0, 1, 0, 6, 0x1F, 0, 0, 0x1F, 0, 0]), PROTOCOL),
        Case("PUBACK with bytes left over", packet(0x40, &[0, 1, 0, 0, 0]), MALFORMED),
    ]
}

fn farewells() -> Vec<Case> {
    let expiry = [Property::SessionExpiry(10)];
    vec![
        Case("a session made longer at the end", wire::farewell(wire::DISCONNECT, 0, &expiry), PROTOCOL),
        Case("DISCONNECT with a code that does not exist", packet(0xE0, &[0x7F]), EITHER),
        Case("AUTH without a method [v5:MQTT-4.12.0-6]", packet(0xF0, &[0x18, 0]), &[0x82, 0x8C, 0x81]),
        Case("AUTH with flags [v5:MQTT-3.15.1-1]", packet(0xF1, &[]), MALFORMED),
        Case(
            "AUTH where CONNECT had no method [v5:MQTT-4.12.1-1]",
            wire::farewell(wire::AUTH, 0x19, &[Property::AuthenticationMethod("x".into())]),
            &[0x82, 0x8C],
        ),
    ]
}

/// [v5:MQTT-4.13.1-1] [v5:MQTT-4.13.2-1] and the statements named in the tables
#[test]
fn what_is_forbidden_ends_the_connection_with_the_right_code() {
    let broker = Broker::start();
    let mut honest = broker.client("honest");
    honest.subscribe("honest", 1);
    let mut wrong = Vec::new();
    for Case(name, bytes, codes) in
        [headers(), publishes(), subscriptions(), acknowledgements(), farewells()].into_iter().flatten()
    {
        let mut client = broker.client("offender");
        client.try_send(&bytes);
        // A broker that still answers has let it pass.
        client.try_send(&wire::PINGREQ);
        match client.receive_or_end() {
            Some(Packet::Disconnect(farewell)) if codes.contains(&farewell.code) => client.expect_closed(),
            other => wrong.push(format!("{name}: {other:?} instead of DISCONNECT with {codes:02x?}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    honest.publish(Publish::new("honest", "works").qos(1));
    assert_eq!(honest.message().text(), "works");
}

/// Section 3.14: a goodbye in words that are the broker's ends the connection all the same; an answer may be given.
#[test]
fn a_goodbye_in_the_words_of_a_broker_is_the_end() {
    let broker = Broker::start();
    for (name, bytes) in [
        ("a code for brokers [v5:MQTT-3.14.2-1]", packet(0xE0, &[0x8E])),
        ("a server reference", packet(0xE0, &[0, 4, 0x1C, 0, 1, b'a'])),
    ] {
        let mut client = broker.client("offender");
        client.try_send(&bytes);
        client.try_send(&wire::PINGREQ);
        match client.read_to_end().as_slice() {
            [] => {}
            [Packet::Disconnect(farewell)] if EITHER.contains(&farewell.code) => {}
            other => panic!("{name} is answered by {other:?}"),
        }
    }
}

/// CONNECT packets that may not be; a refusal must carry an allowed code, a broker may also just close.
fn connects() -> Vec<Case> {
    let good = Connect::v5("offender").encode();
    let patched = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    let with = |properties: &[u8]| {
        let mut body = Vec::new();
        put_text(&mut body, "MQTT");
        body.extend([5, 2, 0, 0]);
        wire::put_varint(&mut body, properties.len().try_into().unwrap());
        body.extend(properties);
        put_text(&mut body, "offender");
        packet(0x10, &body)
    };
    let flags = 9;
    let will = |properties: &[u8], topic: &[u8]| {
        let mut body = Vec::new();
        put_text(&mut body, "MQTT");
        body.extend([5, 0b110, 0, 0, 0]);
        put_text(&mut body, "offender");
        wire::put_varint(&mut body, properties.len().try_into().unwrap());
        body.extend(properties);
        wire::put_binary(&mut body, topic);
        wire::put_binary(&mut body, b"gone");
        packet(0x10, &body)
    };
    vec![
        Case("flags of the header [v5:MQTT-2.1.3-1]", patched(0, 0x11), MALFORMED),
        Case("the reserved flag [v5:MQTT-3.1.2-3]", patched(flags, 0x03), MALFORMED),
        Case("QoS of a will that is not there [v5:MQTT-3.1.2-11]", patched(flags, 0x0A), EITHER),
        Case("retain of a will that is not there [v5:MQTT-3.1.2-13]", patched(flags, 0x22), EITHER),
        Case("a user name that is not there [v5:MQTT-3.1.2-17]", patched(flags, 0x82), MALFORMED),
        Case("a password that is not there [v5:MQTT-3.1.2-19]", patched(flags, 0x42), MALFORMED),
        Case("a will that is not there [v5:MQTT-3.1.2-9]", patched(flags, 0x06), MALFORMED),
        Case("a will of QoS 3 [v5:MQTT-3.1.2-12]", patched(flags, 0x1E), EITHER),
        Case("a will topic with a wildcard", will(&[], b"a/#"), &[0x81, 0x82, 0x90]),
        Case("no will topic", will(&[], b""), &[0x81, 0x82, 0x90]),
        Case("a will topic that is no UTF-8 [v5:MQTT-3.1.3-11]", will(&[], &[0xFF]), MALFORMED),
        Case("a will delay twice", will(&[0x18, 0, 0, 0, 1, 0x18, 0, 0, 0, 1], b"a"), PROTOCOL),
        Case("a will with a property of PUBLISH", will(&[0x23, 0, 1], b"a"), EITHER),
        Case("bytes left over", [packet(0x10, &[&good[2..], &[0]].concat())].concat(), MALFORMED),
        Case("receive maximum 0", with(&[0x21, 0, 0]), PROTOCOL),
        Case("maximum packet size 0", with(&[0x27, 0, 0, 0, 0]), PROTOCOL),
        Case("request problem information 2", with(&[0x17, 2]), PROTOCOL),
        Case("request response information 2", with(&[0x19, 2]), PROTOCOL),
        Case("session expiry twice", with(&[0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1]), PROTOCOL),
        Case("topic alias maximum twice", with(&[0x22, 0, 1, 0x22, 0, 1]), PROTOCOL),
        Case("authentication data without method", with(&[0x16, 0, 1, 0]), PROTOCOL),
        Case("a property of another packet", with(&[0x23, 0, 1]), EITHER),
        Case("a property that does not exist", with(&[0x00]), MALFORMED),
    ]
}

/// [v5:MQTT-3.1.4-1] [v5:MQTT-3.1.4-2]
#[test]
fn a_malformed_connect_is_refused_and_has_no_effect() {
    let broker = Broker::start();
    let mut honest = broker.connect(&Connect::v5("offender").lasting());
    let mut wrong = Vec::new();
    for Case(name, bytes, codes) in connects() {
        let mut client = broker.open();
        client.try_send(&bytes);
        client.try_send(&wire::PINGREQ);
        match client.receive_or_end() {
            None => {}
            Some(Packet::ConnAck(answer)) if codes.contains(&answer.code) => client.expect_closed(),
            other => wrong.push(format!("{name}: {other:?} instead of a refusal with {codes:02x?}")),
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    honest.ping();
}

/// A connection that ends in the middle of a packet has sent nothing.
#[test]
fn half_a_packet_has_no_effect() {
    let broker = Broker::start();
    let mut watcher = broker.client("watcher");
    watcher.subscribe("half", 1);
    let mut client = broker.client("client");
    let bytes = Publish::new("half", "never complete").qos(1).id(1).encode(V5);
    client.send(&bytes[..bytes.len() - 1]);
    client.vanish();
    broker.client("marker").publish(Publish::new("half", "mark").qos(1));
    assert_eq!(watcher.message().text(), "mark");
}
