//! A live connection moves from one thread's runtime to another's and loses nothing.

use super::house::{House, PATH, connect_tls, connect_websocket, soon};
use crate::server::transport::*;
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_tungstenite::tungstenite::Message;

/// What the client sends and the server echoes: more than any buffer on the way holds at once.
fn bytes() -> Vec<u8> {
    let first = std::iter::once(0x10);
    first.chain((1..200_000_u32).map(|number| (number % 251) as u8)).collect()
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A server of two workers: the first accepts, echoes a little and passes the connection on in the middle of things.
fn serve(acceptor: Acceptor) -> SocketAddr {
    let (address_sender, address) = mpsc::channel();
    let (passing, passed) = mpsc::channel::<Transport>();
    std::thread::spawn(move || {
        runtime().block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            address_sender.send(listener.local_addr().unwrap()).unwrap();
            let (stream, peer) = listener.accept().await.unwrap();
            let socket = Socket::new(stream, peer).unwrap();
            let mut transport = accept(&acceptor, socket, soon()).await.unwrap();
            echo(&mut transport, 1001).await;
            // Something is written and not flushed, something read by the layers below and not delivered.
            let next = transport.read_u8().await.unwrap();
            transport.write_all(&[next]).await.unwrap();
            transport.detach().unwrap();
            passing.send(transport).unwrap();
        });
    });
    std::thread::spawn(move || {
        let mut transport = passed.recv().unwrap();
        runtime().block_on(async move {
            transport.attach().unwrap();
            echo(&mut transport, bytes().len() - 1002).await;
            transport.close(std::time::Duration::from_secs(30)).await;
        });
    });
    address.recv().unwrap()
}

async fn echo(transport: &mut Transport, mut count: usize) {
    let mut buffer = [0; 700];
    while count > 0 {
        let limit = count.min(buffer.len());
        let read = transport.read(&mut buffer[..limit]).await.unwrap();
        assert!(read > 0);
        transport.write_all(&buffer[..read]).await.unwrap();
        count -= read;
    }
    transport.flush().await.unwrap();
}

async fn expect_echo(stream: impl AsyncRead + AsyncWrite) {
    let (mut reading, mut writing) = tokio::io::split(stream);
    let (sent, mut received) = (bytes(), Vec::new());
    let (written, read) = tokio::join!(
        async {
            writing.write_all(&sent).await?;
            writing.flush().await
        },
        reading.read_to_end(&mut received)
    );
    written.unwrap();
    read.unwrap();
    assert!(received == sent);
}

async fn expect_echo_in_frames(stream: impl AsyncRead + AsyncWrite + Unpin) {
    let (mut sink, mut source) = connect_websocket(stream, PATH, Some("mqtt")).await.unwrap().0.split();
    let (sent, mut received) = (bytes(), Vec::new());
    tokio::join!(
        async {
            for frame in sent.chunks(3000) {
                sink.send(Message::Binary(frame.to_vec().into())).await.unwrap();
            }
        },
        async {
            while let Some(Ok(Message::Binary(frame))) = source.next().await {
                received.extend(frame);
            }
        }
    );
    assert!(received == sent);
}

#[test]
fn a_tcp_connection_moves() {
    runtime().block_on(async {
        let address = serve(Acceptor::Tcp);
        expect_echo(TcpStream::connect(address).await.unwrap()).await;
    });
}

#[test]
fn a_tls_connection_moves_in_the_middle_of_a_stream() {
    let house = House::new();
    for version in [&TLS12, &TLS13] {
        let config = Arc::new(house.client(&[version], None));
        runtime().block_on(async {
            let tcp = TcpStream::connect(serve(house.acceptor(TransportKind::Tls))).await.unwrap();
            expect_echo(connect_tls(tcp, &config).await.unwrap()).await;
        });
    }
}

#[test]
fn a_websocket_connection_moves_in_the_middle_of_a_message() {
    let house = House::new();
    runtime().block_on(async {
        let tcp = TcpStream::connect(serve(house.acceptor(TransportKind::WebSocket))).await.unwrap();
        expect_echo_in_frames(tcp).await;
    });
}

#[test]
fn a_secure_websocket_connection_moves_in_the_middle_of_a_message() {
    let house = House::new();
    let config = Arc::new(house.client(&[&TLS13], None));
    runtime().block_on(async {
        let tcp = TcpStream::connect(serve(house.acceptor(TransportKind::SecureWebSocket))).await.unwrap();
        expect_echo_in_frames(connect_tls(tcp, &config).await.unwrap()).await;
    });
}

#[test]
fn a_connection_that_belongs_to_no_runtime_is_not_read() {
    runtime().block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        let mut transport = Transport::Tcp(Socket::new(stream, peer).unwrap());
        client.write_all(b"x").await.unwrap();
        transport.detach().unwrap();
        assert_eq!(transport.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::NotConnected);
        transport.attach().unwrap();
        assert_eq!(transport.read_u8().await.unwrap(), b'x');
    });
}

/// What moves between threads must be allowed to.
#[test]
fn a_transport_is_send() {
    fn is_send<T: Send + Unpin>() {}
    is_send::<Transport>();
}
