//! Servers that are none, or bad ones, played by the test.

use super::commands::{Ended, run};
use crate::support::PATIENCE;
use crate::support::broker::securemq;
use bytes::Bytes;
use rustix::process::{Pid, Signal, kill_process};
use securemq::protocol::{Packet, ProtocolVersion, decode};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};

/// A server of something else, which answers the first bytes and hangs up.
fn impostor(answer: &'static [u8]) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let _ = socket.read(&mut [0; 1024]);
        let _ = socket.write_all(answer);
    });
    port
}

#[test]
fn a_server_of_something_else_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (answer, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "speaks HTTP"),
        (b"SSH-2.0-OpenSSH_10.0\r\n", "speaks SSH"),
        (b"\x15\x03\x03\0\x02\x02\x46", "speaks TLS"),
        (b"\x30\x04\0\x01ax", "does not keep to MQTT"),
        (b"", "ended the connection without an answer"),
        // CONNACK: use another server, with a reason in words.
        (b"\x20\x0c\0\x9c\x09\x1f\0\x06closed", "use another server (closed)"),
    ] {
        let mut command = securemq(folder.path());
        command.args(["sub", "--topic", "a", "--plain", "--port", &impostor(answer).to_string()]);
        run(command, "").says(1, &[words]);
    }
}

/// A server that takes everything and acknowledges nothing but pings; it tells what it took. It goes when nobody
/// listens to it any more.
fn lazy_server() -> (u16, Receiver<Packet>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, taken) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut version = None;
        let mut unread = Vec::new();
        while let Some(packet) = next_packet(&mut socket, &mut unread, version) {
            match &packet {
                Packet::Connect(connect) => {
                    version = Some(connect.version);
                    socket.write_all(b"\x20\x03\0\0\0").unwrap();
                }
                Packet::PingReq => socket.write_all(b"\xd0\0").unwrap(),
                _ => {}
            }
            if sender.send(packet).is_err() {
                return;
            }
        }
    });
    (port, taken)
}

/// The next packet, or none if the client has gone.
fn next_packet(socket: &mut TcpStream, unread: &mut Vec<u8>, version: Option<ProtocolVersion>) -> Option<Packet> {
    loop {
        let mut bytes = Bytes::copy_from_slice(unread);
        if let Some(packet) = decode(&mut bytes, version, u32::MAX).unwrap() {
            *unread = bytes.to_vec();
            return Some(packet);
        }
        let mut chunk = [0; 4096];
        match socket.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(count) => unread.extend(&chunk[..count]),
        }
    }
}

/// Standard input is read no further than the broker keeps up, however much there is.
#[test]
fn an_endless_input_is_not_read_ahead() {
    let (port, taken) = lazy_server();
    let folder = tempfile::tempdir().unwrap();
    let mut command = securemq(folder.path());
    command.args(["pub", "--topic", "a", "--lines", "--plain", "--keep-alive", "1", "--port", &port.to_string()]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let line = [&[b'x'; 999][..], b"\n"].concat();
    std::thread::spawn(move || {
        while stdin.write_all(&line).is_ok() {
            counter.fetch_add(line.len(), Ordering::Relaxed);
        }
    });
    // Pings mean that nothing else was sent for a while.
    let (mut messages, mut pings) = (0, 0);
    while pings < 2 {
        match taken.recv_timeout(PATIENCE).unwrap() {
            Packet::Publish(_) => messages += 1,
            Packet::PingReq => pings += 1,
            _ => {}
        }
    }
    let read_ahead = written.load(Ordering::Relaxed).saturating_sub(messages * 1000);
    assert!(messages <= 1000 && read_ahead < 200_000, "{messages} messages, {read_ahead} bytes read ahead");
    drop(taken);
    Ended::of(child.wait_with_output().unwrap()).says(1, &["ended the connection without a reason"]);
}

/// A signal waits a little for the acknowledgements and says which are missing; a second one ends the wait.
#[test]
fn an_interrupted_publisher_says_what_was_not_acknowledged() {
    let (port, taken) = lazy_server();
    let folder = tempfile::tempdir().unwrap();
    let mut command = securemq(folder.path());
    command.args(["pub", "--topic", "a", "--message", "x", "--plain", "--port", &port.to_string()]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    while !matches!(taken.recv_timeout(PATIENCE).unwrap(), Packet::Publish(_)) {}
    kill_process(pid, Signal::INT).unwrap();
    kill_process(pid, Signal::INT).unwrap();
    let words = "interrupted: messages sent 1, not answered 1";
    Ended::of(child.wait_with_output().unwrap()).says(1, &[words]);
}
