//! What carries bytes between clients and shards, and frames between shards: in order, in pieces, late, or not at all.

use bytes::{Bytes, BytesMut};
use securemq::broker::{Connecting, ConnectionId, Delivery, PeerFrame};
use securemq::protocol::{Packet, ProtocolVersion};
use std::collections::{BTreeMap, VecDeque};

/// One network connection, as both of its ends see it.
pub struct Wire {
    /// The client that opened it.
    pub client: usize,
    pub version: ProtocolVersion,
    /// Where the broker stands with it.
    pub stage: Stage,
    to_server: BytesMut,
    /// Arrived and not yet a whole packet.
    pub at_server: BytesMut,
    to_client: BytesMut,
    pub at_client: BytesMut,
    /// The messages that are on their way to the server, in order.
    pub published: VecDeque<u64>,
    /// Nothing moves any more.
    pub is_broken: bool,
    /// The server has closed its end: what it sent before still arrives.
    pub server_closed: bool,
    /// The client is gone: the server will find out.
    pub client_closed: bool,
    /// Its client broke the protocol.
    pub is_rude: bool,
    /// Messages were handed over that the shard was not told of as written.
    pub owes_written: bool,
}

/// How far the broker is with a connection.
pub enum Stage {
    /// No CONNECT yet.
    Fresh,
    /// Its password is being checked; what follows waits.
    Authenticating(Box<Connecting>),
    /// A shard has it.
    Open(u16),
    /// No shard has it any more.
    Gone,
}

impl Wire {
    pub fn new(client: usize, version: ProtocolVersion) -> Self {
        Self {
            client,
            version,
            stage: Stage::Fresh,
            to_server: BytesMut::new(),
            at_server: BytesMut::new(),
            to_client: BytesMut::new(),
            at_client: BytesMut::new(),
            published: VecDeque::new(),
            is_broken: false,
            server_closed: false,
            client_closed: false,
            is_rude: false,
            owes_written: false,
        }
    }

    pub fn shard(&self) -> Option<u16> {
        match self.stage {
            Stage::Open(shard) => Some(shard),
            Stage::Fresh | Stage::Authenticating(_) | Stage::Gone => None,
        }
    }

    pub fn client_sends(&mut self, packet: &Packet) {
        packet.encode(self.version, u32::MAX, &mut self.to_server).expect("no client here sends so much");
    }

    pub fn client_sends_bytes(&mut self, bytes: &[u8]) {
        self.to_server.extend_from_slice(bytes);
    }

    pub fn server_sends(&mut self, packet: &Packet) {
        packet.encode(self.version, u32::MAX, &mut self.to_client).expect("no answer is so large");
    }

    pub fn server_delivers(&mut self, delivery: &Delivery) {
        delivery.view().encode(self.version, &mut self.to_client);
        self.owes_written = true;
    }

    pub fn can_move_to_server(&self) -> bool {
        !self.is_broken && !self.to_server.is_empty() && !matches!(self.stage, Stage::Authenticating(_))
    }

    pub fn can_move_to_client(&self) -> bool {
        !self.is_broken && !self.client_closed && !self.to_client.is_empty()
    }

    pub fn len_to_server(&self) -> usize {
        self.to_server.len()
    }

    pub fn len_to_client(&self) -> usize {
        self.to_client.len()
    }

    pub fn move_to_server(&mut self, count: usize) {
        self.at_server.extend_from_slice(&self.to_server.split_to(count));
    }

    pub fn move_to_client(&mut self, count: usize) -> Bytes {
        let bytes = self.to_client.split_to(count).freeze();
        self.at_client.extend_from_slice(&bytes);
        bytes
    }

    /// Whether the server can find out that nobody is there any more.
    pub fn ends_for_server(&self) -> bool {
        let is_over = self.is_broken || (self.client_closed && self.to_server.is_empty());
        is_over && !matches!(self.stage, Stage::Gone)
    }

    /// Whether the client can find out that nobody is there any more.
    pub fn ends_for_client(&self) -> bool {
        !self.client_closed && (self.is_broken || (self.server_closed && self.to_client.is_empty()))
    }
}

/// All connections, and the mail between shards.
#[derive(Default)]
pub struct Network {
    pub wires: BTreeMap<ConnectionId, Wire>,
    mail: BTreeMap<(u16, u16), VecDeque<PeerFrame>>,
    last_connection: u64,
}

impl Network {
    pub fn open(&mut self, client: usize, version: ProtocolVersion) -> ConnectionId {
        self.last_connection += 1;
        let connection = ConnectionId(self.last_connection);
        self.wires.insert(connection, Wire::new(client, version));
        connection
    }

    pub fn wire(&mut self, connection: ConnectionId) -> &mut Wire {
        self.wires.get_mut(&connection).expect("wires stay until both ends are gone")
    }

    /// The connections of which something is true.
    pub fn which(&self, is_so: impl Fn(&Wire) -> bool) -> Vec<ConnectionId> {
        self.wires.iter().filter(|(_, wire)| is_so(wire)).map(|(connection, _)| *connection).collect()
    }

    /// Wires that nobody knows of any more are taken down.
    pub fn clean_up(&mut self, is_used_by_client: impl Fn(usize, ConnectionId) -> bool) {
        self.wires.retain(|connection, wire| {
            !matches!(wire.stage, Stage::Gone) || is_used_by_client(wire.client, *connection)
        });
    }

    pub fn post(&mut self, from: u16, to: u16, frame: PeerFrame) {
        self.mail.entry((from, to)).or_default().push_back(frame);
    }

    /// The pairs of shards between which something is on its way.
    pub fn mailboxes(&self) -> Vec<(u16, u16)> {
        self.mail.iter().filter(|(_, frames)| !frames.is_empty()).map(|(pair, _)| *pair).collect()
    }

    /// How many frames are on their way between two shards.
    pub fn frames_waiting(&self, pair: (u16, u16)) -> usize {
        self.mail.get(&pair).map_or(0, VecDeque::len)
    }

    pub fn next_frame(&mut self, pair: (u16, u16)) -> Option<PeerFrame> {
        self.mail.get_mut(&pair)?.pop_front()
    }

    /// The server is gone, and what was between its shards. What it had sent to clients may still arrive.
    pub fn crash(&mut self, mut arrives: impl FnMut() -> bool) {
        self.mail.clear();
        for wire in self.wires.values_mut().filter(|wire| !matches!(wire.stage, Stage::Gone)) {
            wire.stage = Stage::Gone;
            wire.owes_written = false;
            if arrives() {
                wire.server_closed = true;
            } else {
                wire.is_broken = true;
            }
        }
    }
}
