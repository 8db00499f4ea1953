//! A client of MQTT 3.1.1 that is cheap enough to keep a broker busy: packets made once, acknowledgements in batches.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The first bytes of the packets that are measured with.
pub const PUBACK: u8 = 0x40;

/// A connected client.
pub struct Peer {
    socket: TcpStream,
    unread: Vec<u8>,
}

impl Peer {
    /// Connects with a clean session.
    pub fn connect(address: SocketAddr, client_id: &str) -> Self {
        let mut peer = Self::dial(address, client_id);
        peer.accepted();
        peer
    }

    /// Sends CONNECT and does not wait.
    pub fn dial(address: SocketAddr, client_id: &str) -> Self {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut peer = Self { socket, unread: Vec::new() };
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 0];
        put_text(&mut body, client_id);
        peer.send(&packet(0x10, &body));
        peer
    }

    /// Waits until CONNECT is accepted.
    pub fn accepted(&mut self) {
        self.each_packet(1, |bytes| assert_eq!(bytes, [0x20, 2, 0, 0], "CONNACK"));
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// Subscribes to these filters with one packet and waits for the answer.
    pub fn subscribe(&mut self, filters: &[String], qos: u8) {
        let mut body = vec![0, 1];
        for filter in filters {
            put_text(&mut body, filter);
            body.push(qos);
        }
        self.send(&packet(0x82, &body));
        self.each_packet(1, |bytes| {
            assert_eq!(bytes[0], 0x90, "SUBACK");
            assert!(bytes.ends_with(&vec![qos; filters.len()]), "not everything was granted");
        });
    }

    /// Hands over so many packets, each with its header.
    pub fn each_packet(&mut self, count: usize, mut take: impl FnMut(&[u8])) {
        let mut left = count;
        while left > 0 {
            left -= self.some_packets(left, &mut take);
        }
    }

    /// Reads once if nothing whole is there, and hands over what is; at most so many. Returns how many.
    pub fn some_packets(&mut self, most: usize, mut take: impl FnMut(&[u8])) -> usize {
        let (mut begin, mut count) = (0, 0);
        loop {
            while count < most
                && let Some(length) = packet_length(&self.unread[begin..])
            {
                take(&self.unread[begin..begin + length]);
                begin += length;
                count += 1;
            }
            if count > 0 {
                self.unread.drain(..begin);
                return count;
            }
            let mut bytes = [0; 64 * 1024];
            let read = self.socket.read(&mut bytes).unwrap();
            assert!(read > 0, "the broker closed the connection");
            self.unread.extend(&bytes[..read]);
        }
    }
}

/// A PUBLISH packet; QoS 0 has no place for the identifier.
pub fn publish(topic: &str, qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    put_text(&mut body, topic);
    if qos > 0 {
        body.extend(packet_id.to_be_bytes());
    }
    body.extend(payload);
    packet(0x30 | qos << 1, &body)
}

/// The identifier of a PUBLISH packet of QoS 1 whose topic is so long.
pub fn packet_id(publish: &[u8], topic: &str) -> [u8; 2] {
    let length_digits = publish[1..].iter().take_while(|&&byte| byte >= 0x80).count() + 1;
    let at = 1 + length_digits + 2 + topic.len();
    [publish[at], publish[at + 1]]
}

fn packet(first_byte: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first_byte];
    let mut length = body.len();
    loop {
        let low = u8::try_from(length & 0x7F).unwrap();
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    bytes
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
    bytes.extend(text.as_bytes());
}

/// The length of the packet in front, if it is there as a whole.
fn packet_length(bytes: &[u8]) -> Option<usize> {
    let (mut length, mut at) = (0, 1);
    loop {
        let digit = usize::from(*bytes.get(at)?);
        length |= (digit & 0x7F) << (7 * (at - 1));
        at += 1;
        if digit < 0x80 {
            break;
        }
    }
    (bytes.len() >= at + length).then_some(at + length)
}
