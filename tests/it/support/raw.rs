//! A client of bytes: it sends exactly what a test says, and knows no manners of its own unless asked.

use super::PATIENCE;
use super::wire::{self, Ack, Codes, ConnAck, Connect, Packet, Property, Publish, Request};
use securemq::protocol::ProtocolVersion;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// What bytes travel over: TCP itself, TLS, or WebSocket.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// One network connection.
pub struct Client {
    stream: Box<dyn Stream>,
    socket: TcpStream,
    version: ProtocolVersion,
    unread: Vec<u8>,
    /// Packets that came while another one was waited for.
    inbox: VecDeque<Packet>,
    next_packet_id: u16,
    /// The answer to CONNECT.
    pub connack: ConnAck,
}

impl Client {
    /// A TCP connection on which nothing was sent yet.
    pub fn open(address: SocketAddr) -> Self {
        let socket = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        socket.set_nodelay(true).unwrap();
        Self::over(socket.try_clone().unwrap(), socket)
    }

    /// The same over a stream that is spoken on a socket.
    pub fn over(stream: impl Stream + 'static, socket: TcpStream) -> Self {
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream: Box::new(stream),
            socket,
            version: ProtocolVersion::V5,
            unread: Vec::new(),
            inbox: VecDeque::new(),
            next_packet_id: 1,
            connack: ConnAck { session_present: false, code: 0, properties: Vec::new() },
        }
    }

    /// The port of this end.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    /// Sends CONNECT and returns once it was accepted.
    pub fn connect(mut self, connect: &Connect) -> Self {
        let answer = self.try_connect(connect);
        assert_eq!(answer.code, 0, "CONNECT was refused: {answer:?}");
        self.connack = answer;
        self
    }

    /// Sends CONNECT and returns the answer.
    pub fn try_connect(&mut self, connect: &Connect) -> ConnAck {
        self.send_connect(connect);
        self.take_connack()
    }

    /// Sends CONNECT and does not wait.
    pub fn send_connect(&mut self, connect: &Connect) {
        self.version = connect.version;
        self.send(&connect.encode());
    }

    pub fn take_connack(&mut self) -> ConnAck {
        match self.receive() {
            Packet::ConnAck(answer) => answer,
            other => panic!("the answer to CONNECT is {other:?}"),
        }
    }

    /// Reads in the terms of this version although no CONNECT was sent by [`Self::connect`].
    pub fn speaking(mut self, version: ProtocolVersion) -> Self {
        self.version = version;
        self
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
        self.stream.flush().unwrap();
    }

    /// Sends bytes to a broker that may have closed the connection meanwhile.
    pub fn try_send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// The next packet.
    pub fn receive(&mut self) -> Packet {
        if let Some(packet) = self.inbox.pop_front() {
            return packet;
        }
        self.read_packet(PATIENCE).unwrap_or_else(|end| panic!("no packet came: {end:?}"))
    }

    /// The next packet, or nothing if the connection ended first.
    pub fn receive_or_end(&mut self) -> Option<Packet> {
        match self.read_packet(PATIENCE) {
            Ok(packet) => Some(packet),
            Err(End::Closed) => None,
            Err(End::Silence) => panic!("the broker neither answers nor closes the connection"),
        }
    }

    /// The first packet that the test waits for; others stay for later.
    fn wait_for<T>(&mut self, what: &str, wanted: impl Fn(&Packet) -> Option<T>) -> T {
        for place in 0..self.inbox.len() {
            if let Some(found) = wanted(&self.inbox[place]) {
                self.inbox.remove(place);
                return found;
            }
        }
        loop {
            let packet = self.read_packet(PATIENCE).unwrap_or_else(|end| {
                panic!("{what} did not come: {end:?}; came: {:?}", self.inbox);
            });
            match wanted(&packet) {
                Some(found) => return found,
                None => self.inbox.push_back(packet),
            }
        }
    }

    fn read_packet(&mut self, patience: Duration) -> Result<Packet, End> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some((packet, length)) = Packet::decode(self.version, &self.unread) {
                self.unread.drain(..length);
                return Ok(packet);
            }
            self.read_some(deadline)?;
        }
    }

    fn read_some(&mut self, deadline: Instant) -> Result<(), End> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(End::Silence);
        }
        self.socket.set_read_timeout(Some(left)).unwrap();
        let mut bytes = [0; 16 * 1024];
        match self.stream.read(&mut bytes) {
            Ok(0) => Err(End::Closed),
            Ok(count) => {
                self.unread.extend(&bytes[..count]);
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(End::Silence),
                ErrorKind::Interrupted => Ok(()),
                _ => Err(End::Closed),
            },
        }
    }

    /// Publishes and completes the handshake of the QoS; returns the code of PUBACK or PUBREC.
    pub fn publish(&mut self, publish: Publish) -> u8 {
        let (qos, packet_id) = (publish.qos, self.send_publish(publish));
        match qos {
            0 => 0,
            1 => self.take_puback(packet_id).code,
            _ => {
                let received = self.take_pubrec(packet_id);
                if received.code < 0x80 {
                    self.send(&wire::acknowledgement(wire::PUBREL, packet_id));
                    self.take_pubcomp(packet_id);
                }
                received.code
            }
        }
    }

    /// Sends PUBLISH and returns its packet identifier, chosen here if the test did not.
    pub fn send_publish(&mut self, mut publish: Publish) -> u16 {
        if publish.qos > 0 && publish.packet_id == 0 {
            publish.packet_id = self.packet_id();
        }
        self.send(&publish.encode(self.version));
        publish.packet_id
    }

    /// An identifier that this client did not use before.
    pub fn packet_id(&mut self) -> u16 {
        let packet_id = self.next_packet_id;
        self.next_packet_id = self.next_packet_id.checked_add(1).unwrap_or(1);
        packet_id
    }

    pub fn take_puback(&mut self, packet_id: u16) -> Ack {
        self.wait_for("PUBACK", |packet| match packet {
            Packet::PubAck(ack) if ack.packet_id == packet_id => Some(ack.clone()),
            _ => None,
        })
    }

    pub fn take_pubrec(&mut self, packet_id: u16) -> Ack {
        self.wait_for("PUBREC", |packet| match packet {
            Packet::PubRec(ack) if ack.packet_id == packet_id => Some(ack.clone()),
            _ => None,
        })
    }

    pub fn take_pubrel(&mut self, packet_id: u16) -> Ack {
        self.wait_for("PUBREL", |packet| match packet {
            Packet::PubRel(ack) if ack.packet_id == packet_id => Some(ack.clone()),
            _ => None,
        })
    }

    pub fn take_pubcomp(&mut self, packet_id: u16) -> Ack {
        self.wait_for("PUBCOMP", |packet| match packet {
            Packet::PubComp(ack) if ack.packet_id == packet_id => Some(ack.clone()),
            _ => None,
        })
    }

    /// Subscribes and insists that the QoS is granted.
    pub fn subscribe(&mut self, filter: &str, qos: u8) {
        let codes = self.subscribe_with(&[Request::new(filter, qos)], &[]);
        assert_eq!(codes, [qos], "SUBACK codes for {filter}");
    }

    /// Subscribes and returns the codes of SUBACK.
    pub fn subscribe_with(&mut self, requests: &[Request], properties: &[Property]) -> Vec<u8> {
        let packet_id = self.send_subscribe(requests, properties);
        self.take_suback(packet_id).codes
    }

    pub fn send_subscribe(&mut self, requests: &[Request], properties: &[Property]) -> u16 {
        let packet_id = self.packet_id();
        self.send(&wire::subscribe(self.version, packet_id, requests, properties));
        packet_id
    }

    pub fn take_suback(&mut self, packet_id: u16) -> Codes {
        self.wait_for("SUBACK", |packet| match packet {
            Packet::SubAck(codes) if codes.packet_id == packet_id => Some(codes.clone()),
            _ => None,
        })
    }

    /// Unsubscribes and returns the codes of UNSUBACK, none before 5.0.
    pub fn unsubscribe(&mut self, filters: &[&str]) -> Vec<u8> {
        let packet_id = self.packet_id();
        self.send(&wire::unsubscribe(self.version, packet_id, filters));
        self.wait_for("UNSUBACK", |packet| match packet {
            Packet::UnsubAck(codes) if codes.packet_id == packet_id => Some(codes.codes.clone()),
            _ => None,
        })
    }

    /// The next message, not acknowledged.
    pub fn take_publish(&mut self) -> Publish {
        self.wait_for("PUBLISH", |packet| match packet {
            Packet::Publish(publish) => Some(publish.clone()),
            _ => None,
        })
    }

    /// The next message, acknowledged as its QoS demands.
    pub fn message(&mut self) -> Publish {
        let publish = self.take_publish();
        self.acknowledge(&publish);
        publish
    }

    /// The payloads of the next messages, acknowledged.
    pub fn payloads(&mut self, count: usize) -> Vec<String> {
        (0..count).map(|_| self.message().text().to_owned()).collect()
    }

    /// Goes through the receiver's part of the QoS handshake.
    pub fn acknowledge(&mut self, publish: &Publish) {
        match publish.qos {
            0 => {}
            1 => self.send(&wire::acknowledgement(wire::PUBACK, publish.packet_id)),
            _ => {
                self.send(&wire::acknowledgement(wire::PUBREC, publish.packet_id));
                self.take_pubrel(publish.packet_id);
                self.send(&wire::acknowledgement(wire::PUBCOMP, publish.packet_id));
            }
        }
    }

    /// Insists that no packet came before the answer to a PINGREQ, which the broker gives in its turn.
    pub fn expect_quiet(&mut self) {
        self.send(&wire::PINGREQ);
        let packet = self.receive();
        assert_eq!(packet, Packet::PingResp, "something came that should not");
    }

    /// A PINGREQ and its answer: everything sent before was read by the broker.
    pub fn ping(&mut self) {
        self.send(&wire::PINGREQ);
        self.wait_for("PINGRESP", |packet| (*packet == Packet::PingResp).then_some(()));
    }

    /// Insists that nothing comes for a while; only for promises about time, which no event can replace.
    pub fn expect_silence_for(&mut self, time: Duration) {
        assert_eq!(self.inbox.front(), None);
        match self.read_packet(time) {
            Err(End::Silence) => {}
            other => panic!("something happened that should not: {other:?}"),
        }
    }

    /// Reads for a while, throws messages away, and returns the code of a DISCONNECT if one came.
    pub fn poll_disconnect(&mut self, time: Duration) -> Option<u8> {
        let deadline = Instant::now() + time;
        loop {
            match self.read_packet(deadline.saturating_duration_since(Instant::now())) {
                Ok(Packet::Disconnect(farewell)) => return Some(farewell.code),
                Ok(_) => {}
                Err(End::Silence) => return None,
                Err(End::Closed) => panic!("the connection ended without DISCONNECT"),
            }
        }
    }

    /// The next message, acknowledged, if one comes within a while.
    pub fn poll_message(&mut self, time: Duration) -> Option<Publish> {
        let publish = self.poll_publish(time)?;
        self.acknowledge(&publish);
        Some(publish)
    }

    /// The next message, not acknowledged, if one comes within a while.
    pub fn poll_publish(&mut self, time: Duration) -> Option<Publish> {
        if self.inbox.is_empty() {
            match self.read_packet(time) {
                Ok(packet) => self.inbox.push_back(packet),
                Err(End::Silence) => return None,
                Err(End::Closed) => panic!("the connection ended"),
            }
        }
        Some(self.take_publish())
    }

    /// The same from a connection that may end meanwhile, which is as good as silence.
    pub fn poll_end_or_message(&mut self, time: Duration) -> Option<Publish> {
        if self.inbox.is_empty() {
            match self.read_packet(time) {
                Ok(Packet::Disconnect(_)) | Err(_) => return None,
                Ok(packet) => self.inbox.push_back(packet),
            }
        }
        Some(self.message())
    }

    /// A message that has come already, acknowledged.
    pub fn waiting_message(&mut self) -> Option<Publish> {
        (!self.inbox.is_empty()).then(|| self.message())
    }

    /// Says goodbye as a client does that needs no will, and returns when the broker has closed.
    pub fn disconnect(mut self) {
        self.send(&[wire::DISCONNECT, 0]);
        self.expect_closed();
    }

    /// DISCONNECT of 5.0 with a code.
    pub fn disconnect_with(mut self, code: u8, properties: &[Property]) {
        self.send(&wire::farewell(wire::DISCONNECT, code, properties));
        self.expect_closed();
    }

    /// Ends the connection without a word.
    pub fn vanish(self) {
        self.socket.shutdown(Shutdown::Both).unwrap();
    }

    /// Ends the connection as the system does for a process that died with data unread: by a reset.
    pub fn reset(self) {
        let linger = socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
        linger.unwrap();
    }

    /// Reads to the end of the connection; returns the packets that came before it.
    pub fn read_to_end(&mut self) -> Vec<Packet> {
        let mut packets = Vec::from(std::mem::take(&mut self.inbox));
        loop {
            match self.read_packet(PATIENCE) {
                Ok(packet) => packets.push(packet),
                Err(End::Closed) => return packets,
                Err(End::Silence) => panic!("the broker does not close the connection; came: {packets:?}"),
            }
        }
    }

    /// The next bytes as they are.
    pub fn read_bytes(&mut self, count: usize) -> Vec<u8> {
        assert!(self.inbox.is_empty(), "packets were read already: {:?}", self.inbox);
        let deadline = Instant::now() + PATIENCE;
        while self.unread.len() < count {
            self.read_some(deadline).unwrap_or_else(|end| panic!("{end:?} after {:02x?}", self.unread));
        }
        self.unread.drain(..count).collect()
    }

    /// Reads to the end of the connection without knowing what comes.
    pub fn read_bytes_to_end(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read_some(deadline) {
                Ok(()) => {}
                Err(End::Closed) => return std::mem::take(&mut self.unread),
                Err(End::Silence) => panic!("the broker does not close the connection"),
            }
        }
    }

    /// Insists that the broker ends the connection without saying anything more.
    pub fn expect_closed(&mut self) {
        assert_eq!(self.read_to_end(), [], "before the end of the connection");
    }

    /// Insists that the broker says why, then ends the connection.
    pub fn expect_disconnect(&mut self, code: u8) {
        let packets = self.read_to_end();
        match packets.last() {
            Some(Packet::Disconnect(farewell)) => {
                assert_eq!(format!("{:#04x}", farewell.code), format!("{code:#04x}"), "{farewell:?}");
            }
            other => panic!("not a DISCONNECT with {code:#04x} but {other:?}"),
        }
    }
}

/// Why no packet came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The connection was ended.
    Closed,
    /// It stands, and nothing comes.
    Silence,
}
