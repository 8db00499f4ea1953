//! TCP, TLS, WebSocket: what carries the bytes does not change what they say.

use crate::support::broker::{Broker, Settings};
use crate::support::raw::Client;
use crate::support::tls::{self, connect};
use crate::support::wire::{self, Connect, Packet, Publish};
use rustls::HandshakeKind;
use std::io::{Read, Write};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::Message;

/// A broker with all four kinds of listeners, open to everybody.
fn every_listener() -> Broker {
    Settings::open()
        .listen("mqtts://127.0.0.1:0")
        .listen("ws://127.0.0.1:0/mqtt")
        .listen("wss://127.0.0.1:0/mqtt")
        .start()
}

fn talk(clients: Vec<Client>) {
    for (number, client) in clients.into_iter().enumerate() {
        let connect = Connect::v5(&format!("client {number}"));
        let mut client = client.connect(&connect);
        client.subscribe("carried", 2);
        for payload in [vec![], vec![7; 10], vec![8; 100_000]] {
            client.publish(Publish::new("carried", payload.clone()).qos(2));
            assert!(client.message().payload == payload);
        }
        client.disconnect();
    }
}

#[test]
fn every_transport_carries_every_packet() {
    let broker = every_listener();
    let trust = broker.trust();
    talk(vec![
        broker.open(),
        trust.open(broker.address_of(1)),
        broker.open_websocket(2),
        trust.open_websocket(broker.address_of(3)),
    ]);
}

/// Clients on different listeners are clients of one broker.
#[test]
fn transports_meet_on_topics() {
    let broker = every_listener();
    let mut plain = broker.client("plain");
    plain.subscribe("meeting", 1);
    let mut encrypted = broker.trust().open(broker.address_of(1)).connect(&Connect::v311("encrypted"));
    encrypted.subscribe("meeting", 1);
    let mut websocket = broker.open_websocket(2).connect(&Connect::v5("websocket"));
    websocket.publish(Publish::new("meeting", "hello").qos(1));
    assert_eq!([plain.message().text(), encrypted.message().text()], ["hello", "hello"]);
}

/// TLS 1.2 and 1.3, nothing older; the certificate of the broker is signed by its own authority.
#[test]
fn tls_is_of_this_century() {
    let broker = Settings::secure().start();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = broker.trust().speaking(&[version]).handshake(broker.address()).unwrap();
        assert_eq!(stream.conn.protocol_version(), Some(version.version));
    }
}

/// A client that trusts another authority gets no connection.
#[test]
fn another_authority_is_not_trusted() {
    let (broker, other) = (Settings::secure().start(), Settings::secure().start());
    assert!(other.trust().handshake(broker.address()).is_err());
}

/// ALPN `mqtt` is confirmed; a client that offers only something else is not served MQTT.
#[test]
fn the_protocol_is_negotiated() {
    let broker = Settings::secure().start();
    let stream = broker.trust().offering(&["mqtt"]).handshake(broker.address()).unwrap();
    assert_eq!(stream.conn.alpn_protocol(), Some(b"mqtt".as_slice()));
    assert!(broker.trust().offering(&["h2", "http/1.1"]).handshake(broker.address()).is_err());
}

/// TLS says goodbye as well, so that a client can tell an end from an attack that cuts it off.
#[test]
fn the_end_of_a_tls_connection_is_announced() {
    let broker = Settings::open().listen("mqtts://127.0.0.1:0").start();
    for last in [&[wire::DISCONNECT, 0][..], &[0x00, 0x00]] {
        let mut stream = broker.trust().handshake(broker.address_of(1)).unwrap();
        stream.write_all(&[&Connect::v5("x").encode(), last].concat()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the connection ends with close_notify");
        assert_eq!(answer[0], 0x20);
    }
}

/// Session resumption makes coming back cheap.
#[test]
fn a_tls_session_is_resumed() {
    let broker = Settings::open().listen("mqtts://127.0.0.1:0").start();
    let trust = broker.trust();
    let kind = || {
        let stream = trust.handshake(broker.address_of(1)).unwrap();
        let kind = stream.conn.handshake_kind();
        let socket = stream.sock.try_clone().unwrap();
        // The ticket comes with the first bytes of the broker.
        Client::over(stream, socket).connect(&Connect::v5("returns")).ping();
        kind
    };
    assert_ne!(kind(), Some(HandshakeKind::Resumed));
    assert_eq!(kind(), Some(HandshakeKind::Resumed));
}

/// A new certificate is served after SIGHUP, and connections that stand go on.
#[test]
fn certificates_are_read_again() {
    let mut broker = Settings::open().listen("mqtts://127.0.0.1:0").start();
    let trust = broker.trust();
    let mut standing = trust.open(broker.address_of(1)).connect(&Connect::v5("standing"));
    let shown = |broker: &Broker| {
        let stream = trust.handshake(broker.address_of(1)).unwrap();
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let before = shown(&broker);
    broker.replace_server_certificate();
    broker.reload();
    let deadline = Instant::now() + crate::support::PATIENCE;
    while shown(&broker) == before {
        assert!(Instant::now() < deadline, "the old certificate is still served");
    }
    standing.ping();
    broker.stop();
}

/// A client that speaks the wrong protocol to a port is told so in the log, in words.
#[test]
fn the_wrong_protocol_is_named_in_the_log() {
    let broker = every_listener();
    let strangers = [
        (0, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), "HTTP"),
        (0, [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[0; 505]].concat(), "TLS"),
        (1, Connect::v5("plain").encode(), "TLS"),
        (2, Connect::v5("plain").encode(), "WebSocket"),
    ];
    for (listener, bytes, word) in strangers {
        let mut socket = connect(broker.address_of(listener));
        socket.write_all(&bytes).unwrap();
        let mut answer = Vec::new();
        // A reset is an end as well.
        let _ = socket.read_to_end(&mut answer);
        let deadline = Instant::now() + crate::support::PATIENCE;
        loop {
            let log = broker.run(&["logs", "--failed"]);
            if log.lines().next().is_some_and(|_| log.contains(word)) {
                break;
            }
            assert!(Instant::now() < deadline, "the log does not say {word:?}:\n{log}");
        }
    }
}

/// [v5:MQTT-6.0.0-3] [v5:MQTT-6.0.0-4]: without the sub-protocol `mqtt` there is no connection.
#[test]
fn websocket_clients_must_speak_mqtt() {
    let broker = every_listener();
    let address = broker.address_of(2);
    for protocol in [None, Some("chat")] {
        assert!(tls::websocket(connect(address), address, protocol).is_err(), "{protocol:?} was taken");
    }
    for protocol in ["mqtt", "chat, mqtt"] {
        assert!(tls::websocket(connect(address), address, Some(protocol)).is_ok(), "{protocol:?} was refused");
    }
}

/// [v5:MQTT-6.0.0-2]: packets may be split and joined over frames in any way.
#[test]
fn frames_are_not_packets() {
    let broker = every_listener();
    let mut client = broker.open_websocket(2);
    let connect = Connect::v5("framed");
    let mut bytes = connect.encode();
    bytes.extend(wire::subscribe(connect.version, 1, &[wire::Request::new("framed", 1)], &[]));
    bytes.extend(Publish::new("framed", "in pieces").qos(1).id(2).encode(connect.version));
    for piece in bytes.chunks(3) {
        client.send(piece);
    }
    assert_eq!(client.take_connack().code, 0);
    assert_eq!(client.take_suback(1).codes, [1]);
    client.take_puback(2);
    assert_eq!(client.message().text(), "in pieces");
    client.send(&[wire::PINGREQ, wire::PINGREQ].concat());
    assert_eq!([client.receive(), client.receive()], [Packet::PingResp, Packet::PingResp]);
}

/// [v5:MQTT-6.0.0-1]: text is not MQTT.
#[test]
fn a_text_frame_ends_the_connection() {
    let broker = every_listener();
    let address = broker.address_of(2);
    let (mut websocket, _) = tls::websocket(connect(address), address, Some("mqtt")).unwrap();
    websocket.send(Message::Text("hello".into())).unwrap();
    loop {
        match websocket.read() {
            Ok(Message::Close(_)) | Err(_) => break,
            Ok(_) => {}
        }
    }
    broker.client("honest").ping();
}

/// A peer that does not finish its handshake is not waited for.
#[test]
fn half_a_handshake_is_dropped() {
    let broker = Settings::open()
        .listen("mqtts://127.0.0.1:0")
        .listen("ws://127.0.0.1:0/mqtt")
        .connect_timeout_seconds(1)
        .start();
    let begin = Instant::now();
    for (listener, bytes) in [(1, &[0x16, 3, 1, 2, 0][..]), (2, b"GET /mqtt HTTP/1.1\r\n".as_slice())] {
        let mut socket = connect(broker.address_of(listener));
        socket.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
    }
    assert!(begin.elapsed() < Duration::from_secs(10), "closed after {:?}", begin.elapsed());
}

/// Many strangers who claim much and send what they may: the broker holds 64 KB of each at most, and soon nothing.
#[test]
fn strangers_can_not_fill_the_memory() {
    const STRANGERS: usize = 300;
    let broker = Settings::open().connect_timeout_seconds(5).start();
    let before = broker.resident_bytes();
    let mut strangers: Vec<_> = (0..STRANGERS).map(|_| broker.open()).collect();
    for stranger in &mut strangers {
        // A whole packet of 65,000 bytes would be taken; this one stays incomplete.
        stranger.try_send(&[0x10, 0xF0, 0xFB, 0x03, 0, 4, b'M', b'Q', b'T', b'T', 5]);
        stranger.try_send(&vec![0; 60_000]);
    }
    broker.client("honest").ping();
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 64 * 1024 * STRANGERS as u64 + (16 << 20), "{grown} bytes for {STRANGERS} strangers");
    for stranger in &mut strangers {
        assert!(stranger.read_bytes_to_end().len() < 100);
    }
    broker.client("honest").ping();
}

/// A stranger may claim a huge packet; before login it is not believed.
#[test]
fn a_stranger_can_not_send_much() {
    let broker = Broker::start();
    let mut client = broker.open();
    client.try_send(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F]);
    for _ in 0..100 {
        client.try_send(&[0; 10_000]);
    }
    let answer = client.read_bytes_to_end();
    assert!(answer.len() < 20, "{answer:02x?}");
}
