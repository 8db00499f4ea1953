//! Frames of every shape become one stream of bytes, and back.

use super::house::{House, PATH, connect_tls, connect_websocket, meet};
use crate::broker::Reason;
use crate::server::transport::*;
use futures_util::{SinkExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::rustls::version::TLS13;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{self, Message};

type Client = WebSocketStream<TcpStream>;

async fn connected() -> (Client, Transport) {
    let acceptor = Acceptor::WebSocket { path: Arc::from(PATH) };
    let (client, server) = meet(&acceptor).await;
    let (client, server) = tokio::join!(connect_websocket(client, PATH, Some("mqtt")), server);
    (client.unwrap().0, server.unwrap())
}

async fn read(transport: &mut Transport, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    transport.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn write(transport: &mut Transport, bytes: &[u8]) {
    transport.write_all(bytes).await.unwrap();
    transport.flush().await.unwrap();
}

fn binary(bytes: &[u8]) -> Message {
    Message::Binary(bytes.to_vec().into())
}

fn problem(error: &std::io::Error) -> Option<&WebSocketProblem> {
    error.get_ref()?.downcast_ref()
}

/// [v5:MQTT-6.0.0-3] [v5:MQTT-6.0.0-4]
#[tokio::test]
async fn the_sub_protocol_is_agreed_on() {
    let acceptor = Acceptor::WebSocket { path: Arc::from(PATH) };
    for (offered, agreed) in
        [("mqtt", "mqtt"), ("mqttv3.1", "mqttv3.1"), ("chat, mqtt", "mqtt"), ("mqtt,mqttv3.1", "mqtt")]
    {
        let (client, server) = meet(&acceptor).await;
        let (client, server) = tokio::join!(connect_websocket(client, PATH, Some(offered)), server);
        assert_eq!(client.unwrap().1.headers()["Sec-WebSocket-Protocol"], agreed);
        assert_eq!(server.unwrap().kind(), TransportKind::WebSocket);
    }
}

#[tokio::test]
async fn a_request_that_is_not_for_mqtt_is_answered_and_refused() {
    let acceptor = Acceptor::WebSocket { path: Arc::from(PATH) };
    for (path, offered, status, expected) in [
        (PATH, None, 400, WebSocketProblem::NoSubProtocol),
        (PATH, Some("chat"), 400, WebSocketProblem::NoSubProtocol),
        (PATH, Some("MQTT"), 400, WebSocketProblem::NoSubProtocol),
        ("/", Some("mqtt"), 404, WebSocketProblem::WrongPath),
        ("/mqtt/", Some("mqtt"), 404, WebSocketProblem::WrongPath),
    ] {
        let (client, server) = meet(&acceptor).await;
        let (client, server) = tokio::join!(connect_websocket(client, path, offered), server);
        let Err(tungstenite::Error::Http(response)) = client else { panic!("{client:?}") };
        assert_eq!(response.status(), status, "{path} {offered:?}");
        let error = server.unwrap_err();
        assert!(matches!(&error, TransportError::WebSocket(problem) if *problem == expected), "{error}");
        assert_eq!(error.reason(), Reason::ForeignProtocol);
    }
}

#[tokio::test]
async fn a_request_that_is_no_upgrade_is_refused() {
    let acceptor = Acceptor::WebSocket { path: Arc::from(PATH) };
    for request in ["GET /mqtt HTTP/1.1\r\nHost: a\r\n\r\n", "POST /mqtt HTTP/1.1\r\n\r\n", "GARBAGE\r\n\r\n"] {
        let (mut client, server) = meet(&acceptor).await;
        client.write_all(request.as_bytes()).await.unwrap();
        let error = server.await.unwrap_err();
        assert!(matches!(error, TransportError::WebSocket(WebSocketProblem::NoRequest)), "{error}");
    }
}

#[tokio::test]
async fn headers_without_end_are_cut_off() {
    let acceptor = Acceptor::WebSocket { path: Arc::from(PATH) };
    let (mut client, server) = meet(&acceptor).await;
    let flood = async {
        let _ = client.write_all(b"GET /mqtt HTTP/1.1\r\nx: ").await;
        while client.write_all(&[b'a'; 4096]).await.is_ok() {}
    };
    let ((), server) = tokio::join!(flood, async { server.await.map(|_| ()) });
    assert!(server.is_err());
}

/// [v5:MQTT-6.0.0-2]
#[tokio::test]
async fn packets_may_be_split_over_frames_in_any_way() {
    let (mut client, mut transport) = connected().await;
    let bytes: Vec<u8> = (0..10_000_u32).flat_map(u32::to_be_bytes).collect();
    let mut rest = bytes.as_slice();
    for length in [1, 2, 0, 3, 5, 100, 2047, 2048, 2049, 16_384].into_iter().cycle() {
        let (frame, later) = rest.split_at(length.min(rest.len()));
        rest = later;
        client.feed(binary(frame)).await.unwrap();
        client.feed(Message::Ping("still here?".into())).await.unwrap();
        if rest.is_empty() {
            break;
        }
    }
    let (sent, received) = tokio::join!(client.flush(), read(&mut transport, bytes.len()));
    sent.unwrap();
    assert!(received == bytes);
}

#[tokio::test]
async fn a_message_in_fragments_is_one_message() {
    let (mut client, mut transport) = connected().await;
    let fragment =
        |opcode, last, bytes: &'static [u8]| Message::Frame(Frame::message(bytes, OpCode::Data(opcode), last));
    client.feed(fragment(Data::Binary, false, b"on")).await.unwrap();
    client.feed(Message::Ping("in between".into())).await.unwrap();
    client.feed(fragment(Data::Continue, false, b"")).await.unwrap();
    client.feed(fragment(Data::Continue, true, b"e")).await.unwrap();
    client.send(binary(b"two")).await.unwrap();
    assert_eq!(read(&mut transport, 6).await, b"onetwo");
}

#[tokio::test]
async fn a_write_is_a_frame_and_a_long_one_is_several() {
    let (mut client, mut transport) = connected().await;
    write(&mut transport, b"short").await;
    assert_eq!(client.next().await.unwrap().unwrap(), binary(b"short"));

    let long: Vec<u8> = (0..40_000_u32).map(|number| number as u8).collect();
    let ((), received) = tokio::join!(write(&mut transport, &long), async {
        let mut received = Vec::new();
        while received.len() < long.len() {
            received.extend(client.next().await.unwrap().unwrap().into_data());
        }
        received
    });
    assert!(received == long);
}

/// The network takes nothing more until the client reads; then everything arrives, pings answered in between.
#[tokio::test]
async fn a_client_that_reads_late_gets_everything_in_order() {
    let (mut client, transport) = connected().await;
    let (mut reading, mut writing) = tokio::io::split(transport);
    let sent: Vec<u8> = (0..8 * 1024 * 1024_u32).map(|number| (number / 251) as u8).collect();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        writing.write_all(&sent).await.unwrap();
        writing.flush().await.unwrap();
        writing
    });
    let reader = tokio::spawn(async move {
        let mut end = Vec::new();
        reading.read_to_end(&mut end).await.unwrap();
        end
    });
    client.send(Message::Ping("1".into())).await.unwrap();
    client.send(binary(b"hello")).await.unwrap();
    tokio::task::yield_now().await;
    let (mut received, mut pongs) = (Vec::new(), 0);
    while received.len() < expected.len() {
        match client.next().await.unwrap().unwrap() {
            Message::Binary(bytes) => received.extend(bytes),
            Message::Pong(_) => pongs += 1,
            other => panic!("{other}"),
        }
    }
    assert!(received == expected);
    drop(writer.await.unwrap());
    client.close(None).await.unwrap();
    while client.next().await.is_some() {}
    assert_eq!(reader.await.unwrap(), b"hello");
    assert!(pongs <= 1, "a pong may be put off, but not made up");
}

#[tokio::test]
async fn a_ping_is_answered() {
    let (mut client, mut transport) = connected().await;
    client.send(Message::Ping("hello".into())).await.unwrap();
    client.send(binary(b"x")).await.unwrap();
    read(&mut transport, 1).await;
    write(&mut transport, b"y").await;
    assert_eq!(client.next().await.unwrap().unwrap(), Message::Pong("hello".into()));
    assert_eq!(client.next().await.unwrap().unwrap(), binary(b"y"));
}

async fn farewell(client: &mut Client) -> CloseCode {
    loop {
        match client.next().await.unwrap().unwrap() {
            Message::Close(Some(frame)) => return frame.code,
            Message::Close(None) => panic!("no code"),
            _ => {}
        }
    }
}

/// [v5:MQTT-6.0.0-1]
#[tokio::test]
async fn a_text_frame_ends_the_connection() {
    let (mut client, mut transport) = connected().await;
    client.send(Message::Text("CONNECT".into())).await.unwrap();
    let error = transport.read_u8().await.unwrap_err();
    assert_eq!(problem(&error), Some(&WebSocketProblem::TextFrame));
    assert_eq!(farewell(&mut client).await, CloseCode::Unsupported);
}

#[tokio::test]
async fn a_message_before_login_is_small_and_after_it_may_be_large() {
    let (mut client, mut transport) = connected().await;
    let large = vec![7; 64 * 1024 + 1];
    let (sent, error) = tokio::join!(client.send(binary(&large)), async { transport.read_u8().await.unwrap_err() });
    sent.unwrap();
    assert_eq!(problem(&error), Some(&WebSocketProblem::TooLarge));
    assert_eq!(farewell(&mut client).await, CloseCode::Size);

    let (mut client, mut transport) = connected().await;
    transport.set_message_limit(1024 * 1024);
    let (sent, received) = tokio::join!(client.send(binary(&large)), read(&mut transport, large.len()));
    sent.unwrap();
    assert!(received == large);
}

#[tokio::test]
async fn fragments_count_together_towards_the_limit() {
    let (mut client, mut transport) = connected().await;
    let fragment = |opcode| Message::Frame(Frame::message(vec![7; 40 * 1024], OpCode::Data(opcode), false));
    let flood = async {
        client.send(fragment(Data::Binary)).await.unwrap();
        while client.send(fragment(Data::Continue)).await.is_ok() {}
    };
    let reader = async {
        let error = transport.read_u8().await.unwrap_err();
        drop(transport);
        error
    };
    let ((), error) = tokio::join!(flood, reader);
    assert_eq!(problem(&error), Some(&WebSocketProblem::TooLarge));
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let (mut client, mut transport) = connected().await;
    // Not masked, as a client's frames must be.
    client.get_mut().write_all(b"\x82\x01x").await.unwrap();
    let error = transport.read_u8().await.unwrap_err();
    assert_eq!(problem(&error), Some(&WebSocketProblem::Misbehaved));
    assert_eq!(farewell(&mut client).await, CloseCode::Protocol);
}

#[tokio::test]
async fn the_end_is_the_end_whether_announced_or_not() {
    let (mut client, mut transport) = connected().await;
    client.send(binary(b"last")).await.unwrap();
    client.close(None).await.unwrap();
    let mut bytes = Vec::new();
    transport.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"last");
    assert!(matches!(client.next().await, Some(Ok(Message::Close(None)))), "the farewell is returned");

    let (client, mut transport) = connected().await;
    drop(client);
    assert_eq!(transport.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn the_server_says_farewell_after_what_it_wrote() {
    let (mut client, mut transport) = connected().await;
    write(&mut transport, b"DISCONNECT").await;
    let ((), ()) = tokio::join!(transport.close(Duration::from_secs(30)), async {
        assert_eq!(client.next().await.unwrap().unwrap(), binary(b"DISCONNECT"));
        assert_eq!(farewell(&mut client).await, CloseCode::Normal);
        while client.next().await.is_some() {}
    });
}

#[tokio::test]
async fn a_peer_that_does_not_answer_a_farewell_is_left() {
    let (_client, mut transport) = connected().await;
    transport.close(Duration::from_millis(1)).await;
}

#[tokio::test]
async fn over_tls_it_is_the_same() {
    let house = House::new();
    let acceptor = house.acceptor(TransportKind::SecureWebSocket);
    let mut config = house.client(&[&TLS13], None);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let (client, server) = meet(&acceptor).await;
    let (mut client, server) = tokio::join!(
        async {
            let stream = connect_tls(client, &config).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
            connect_websocket(stream, PATH, Some("mqtt")).await.unwrap().0
        },
        server
    );
    let mut transport = server.unwrap();
    assert_eq!((transport.kind(), transport.kind().carrier().is_encrypted()), (TransportKind::SecureWebSocket, true));
    client.send(binary(b"ping")).await.unwrap();
    assert_eq!(read(&mut transport, 4).await, b"ping");
    write(&mut transport, b"pong").await;
    assert_eq!(client.next().await.unwrap().unwrap(), binary(b"pong"));

    let (client, server) = meet(&acceptor).await;
    let (_client, error) = tokio::join!(
        async {
            let mut stream = connect_tls(client, &config).await.unwrap();
            stream.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a").await.unwrap();
            stream
        },
        async { server.await.unwrap_err() }
    );
    assert!(matches!(error, TransportError::WebSocket(WebSocketProblem::NoRequest)), "{error}");
}
