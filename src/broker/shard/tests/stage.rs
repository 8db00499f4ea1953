//! A broker of some shards without threads, sockets or disk: frames between shards and commits are done at once, or
//! when the story says so.

pub use super::packets::{
    disconnect, id, puback, pubcomp, publish, pubrec, pubrel, request, retain, subscribe, subscribe_with,
    subscription_id, text, unsubscribe,
};
use crate::broker::access::{Policy, PolicyUser, Principal, RoleName, Rule, RuleEffect, RuleId, Subject};
use crate::broker::access::{TopicPattern, UserName};
use crate::broker::address::Address;
use crate::broker::carrier::Carrier;
use crate::broker::durability::Durability;
use crate::broker::effect::{CommitId, CommitOutcome, ConnectionId, Effect, Effects, PeerFrame, ShardId, StoreOp};
use crate::broker::event::EventKind;
use crate::broker::frame::{ChunkId, DurableId};
use crate::broker::input::{Connecting, Input};
use crate::broker::limits::Limits;
use crate::broker::reason::Reason;
use crate::broker::record::Record;
use crate::broker::shard::Shard;
use crate::broker::time::Timestamp;
use crate::protocol::{
    ClientId, Connect, ConnectProperties, Credentials, LastWill, Packet, ProtocolVersion, PubAck, Publish, QoS,
    ReasonCode, WillProperties, decode,
};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Shards, what is on its way between them, and what their clients were sent.
pub struct Stage {
    pub now: Timestamp,
    pub shards: Vec<Shard>,
    mail: VecDeque<(ShardId, ShardId, PeerFrame)>,
    pub holds_mail: bool,
    commits: VecDeque<(ShardId, CommitId)>,
    pub holds_commits: bool,
    /// What the store was asked to do, as lines.
    pub stored: Vec<String>,
    /// The journal of the first shard since the beginning.
    pub journal: Vec<(CommitId, Record)>,
    /// Parts of queues on disk, and how often reading one is still to fail.
    pub chunks: BTreeMap<ChunkId, Arc<Vec<Record>>>,
    pub unreadable: u32,
    loads: VecDeque<(u16, ChunkId)>,
    /// What each of that must survive.
    pub survives: Vec<Durability>,
    heard: BTreeMap<ConnectionId, Vec<Packet>>,
    shard_of: BTreeMap<ConnectionId, u16>,
    last_connection: u64,
    policy_generation: u64,
    events: Vec<EventKind>,
    /// Connections that report at once that everything was written.
    pub writes_at_once: bool,
}

/// A CONNECT to be, with what a story wants different from the usual.
#[derive(Clone)]
pub struct Hello {
    connecting: Connecting,
    shard: u16,
}

/// A client of 5.0 of the user `ann` that starts clean and leaves nothing behind.
pub fn client(id: &str) -> Hello {
    let connect = Connect {
        version: ProtocolVersion::V5,
        clean_start: true,
        keep_alive: 0,
        client_id: text(id),
        will: None,
        credentials: Credentials::default(),
        properties: ConnectProperties::default(),
    };
    let connecting = Connecting {
        connection: ConnectionId(0),
        connect,
        client_id: ClientId::new(text(id)).unwrap(),
        is_assigned: false,
        principal: Principal::User(UserName::new("ann").unwrap()),
        address: Address::Local,
        carrier: Carrier::Tls,
        durability: None,
    };
    Hello { connecting, shard: 0 }
}

impl Hello {
    pub fn change(mut self, change: impl FnOnce(&mut Connect)) -> Self {
        change(&mut self.connecting.connect);
        self
    }

    /// Goes on with its session, which outlives the connection by a thousand seconds.
    pub fn durable(self) -> Self {
        self.change(|connect| {
            connect.clean_start = false;
            connect.properties.session_expiry_interval = Some(1000);
        })
    }

    pub fn expiry(self, seconds: u32) -> Self {
        self.change(|connect| connect.properties.session_expiry_interval = Some(seconds))
    }

    pub fn clean_start(self) -> Self {
        self.change(|connect| connect.clean_start = true)
    }

    /// An older version; durable or not as decoding its Clean Session would have made it.
    pub fn version(self, version: ProtocolVersion) -> Self {
        self.change(|connect| {
            connect.version = version;
            let expiry = if connect.clean_start { 0 } else { u32::MAX };
            connect.properties =
                ConnectProperties { session_expiry_interval: Some(expiry), ..ConnectProperties::default() };
        })
    }

    pub fn receive_maximum(self, maximum: u16) -> Self {
        self.change(|connect| connect.properties.receive_maximum = Some(maximum))
    }

    pub fn keep_alive(self, seconds: u16) -> Self {
        self.change(|connect| connect.keep_alive = seconds)
    }

    /// A will of QoS 1.
    pub fn will(self, topic: &str, delay: u32) -> Self {
        let properties = WillProperties { will_delay_interval: Some(delay), ..WillProperties::default() };
        let payload = Bytes::from_static(b"gone");
        let will = LastWill { topic: text(topic), payload, qos: QoS::AtLeastOnce, retain: false, properties };
        self.change(|connect| connect.will = Some(will))
    }

    pub fn user(mut self, name: &str) -> Self {
        self.connecting.principal = Principal::User(UserName::new(name).unwrap());
        self
    }

    /// Through a listener that says this about acknowledgements.
    pub fn through(mut self, durability: Durability) -> Self {
        self.connecting.durability = Some(durability);
        self
    }

    pub fn on(mut self, shard: u16) -> Self {
        self.shard = shard;
        self
    }
}

impl Stage {
    /// One shard on which `ann` and `bob` may do everything.
    pub fn one() -> Self {
        Self::new(1, &Limits::default())
    }

    /// Shards whose clients may do everything.
    pub fn new(shards: u16, limits: &Limits) -> Self {
        let policy = Arc::new(policy(0, &["ann", "bob"], &["Student allow pubsub #", "Student allow pubsub $SYS/#"]));
        let shard = |id| Shard::new(ShardId(id), shards, limits.clone(), Arc::clone(&policy));
        Self {
            now: Timestamp::from_millis(1_000_000),
            shards: (0..shards).map(shard).collect(),
            mail: VecDeque::new(),
            holds_mail: false,
            commits: VecDeque::new(),
            holds_commits: false,
            stored: Vec::new(),
            journal: Vec::new(),
            chunks: BTreeMap::new(),
            unreadable: 0,
            loads: VecDeque::new(),
            survives: Vec::new(),
            heard: BTreeMap::new(),
            shard_of: BTreeMap::new(),
            last_connection: 0,
            policy_generation: 0,
            events: Vec::new(),
            writes_at_once: true,
        }
    }

    /// Connects, and says nothing of the CONNACK.
    pub fn connect(&mut self, hello: Hello) -> ConnectionId {
        let connection = self.connect_and_hear(hello);
        self.hear(connection);
        connection
    }

    pub fn connect_and_hear(&mut self, mut hello: Hello) -> ConnectionId {
        self.last_connection += 1;
        let connection = ConnectionId(self.last_connection);
        hello.connecting.connection = connection;
        self.shard_of.insert(connection, hello.shard);
        self.input(hello.shard, Input::Connect(Box::new(hello.connecting)));
        connection
    }

    pub fn send(&mut self, connection: ConnectionId, packet: impl Into<Packet>) {
        let shard = self.shard_of[&connection];
        self.input(shard, Input::Packet { connection, packet: packet.into() });
    }

    /// The network connection breaks.
    pub fn lose(&mut self, connection: ConnectionId) {
        let shard = self.shard_of[&connection];
        self.input(shard, Input::Lost { connection, reason: Reason::ConnectionLost });
    }

    pub fn written(&mut self, connection: ConnectionId) {
        self.input(self.shard_of[&connection], Input::Written { connection });
    }

    /// What the client was sent since it was last asked.
    pub fn hear(&mut self, connection: ConnectionId) -> Vec<String> {
        let packets = self.heard.remove(&connection).unwrap_or_default();
        packets.iter().map(line).collect()
    }

    /// The messages among what the client was sent since it was last asked.
    pub fn hear_publishes(&mut self, connection: ConnectionId) -> Vec<Publish> {
        let packets = self.heard.remove(&connection).unwrap_or_default();
        let publish = |packet| if let Packet::Publish(publish) = packet { Some(publish) } else { None };
        packets.into_iter().filter_map(publish).collect()
    }

    /// Subscribes and swallows the SUBACK.
    pub fn subscribed(&mut self, connection: ConnectionId, filter: &str, qos: u8) {
        self.send(connection, subscribe(900, filter, qos));
        let heard = self.hear(connection);
        assert!(heard.first().is_some_and(|line| line.starts_with("suback")), "{heard:?}");
    }

    /// New rights for `ann` and `bob`.
    pub fn rules(&mut self, rules: &[&str]) {
        self.users_and_rules(&["ann", "bob"], rules);
    }

    pub fn users_and_rules(&mut self, users: &[&str], rules: &[&str]) {
        self.policy_generation += 1;
        let policy = Arc::new(policy(self.policy_generation, users, rules));
        for shard in 0..self.shard_count() {
            self.input(shard, Input::PolicyChanged(Arc::clone(&policy)));
        }
    }

    /// The next policies are numbered from the beginning again.
    pub fn forget_generations(&mut self) {
        self.policy_generation = 0;
    }

    /// Time passes, and every deadline is kept.
    pub fn pass(&mut self, seconds: u32) {
        let end = self.now.after_secs(seconds);
        loop {
            let soonest = (0..self.shard_count()).filter_map(|id| Some((self.shard(id).next_deadline()?, id))).min();
            let Some((deadline, id)) = soonest.filter(|(deadline, _)| *deadline <= end) else { break };
            self.now = self.now.max(deadline);
            self.input(id, Input::Tick);
        }
        self.now = end;
    }

    pub fn shut_down(&mut self) {
        (0..self.shard_count()).for_each(|shard| self.input(shard, Input::ShutDown));
    }

    /// Frames that were held back arrive, and all that follow from them.
    pub fn deliver_mail(&mut self) {
        while let Some((from, to, frame)) = self.mail.pop_front() {
            self.handle(to.0, Input::Forwarded { peer: from, frame });
        }
    }

    /// Frames that one shard sent another arrive; nothing else moves.
    pub fn deliver_mail_from(&mut self, from: u16, to: u16) {
        let held = std::mem::take(&mut self.mail);
        for (sender, receiver, frame) in held {
            if (sender.0, receiver.0) == (from, to) {
                self.handle(to, Input::Forwarded { peer: sender, frame });
            } else {
                self.mail.push_back((sender, receiver, frame));
            }
        }
    }

    /// The store has dealt with everything it was given.
    pub fn commit(&mut self, outcome: CommitOutcome) {
        while let Some((shard, commit)) = self.commits.pop_front() {
            self.handle(shard.0, Input::Committed { commit, outcome });
        }
        self.settle();
    }

    /// The store has dealt with everything that one shard gave it; other shards hear of it when the mail is delivered.
    pub fn commit_of(&mut self, shard: u16, outcome: CommitOutcome) {
        let (of_shard, rest) = std::mem::take(&mut self.commits).into_iter().partition(|(of, _)| of.0 == shard);
        self.commits = rest;
        for (_, commit) in VecDeque::into_iter(of_shard) {
            self.handle(shard, Input::Committed { commit, outcome });
        }
        self.settle();
    }

    /// How many changes are to be stored.
    pub fn to_be_stored(&self) -> usize {
        self.commits.len()
    }

    /// What a shard wants stored is on its way to the disk.
    pub fn close_frame(&mut self, shard: u16) {
        self.handle(shard, Input::FrameEnds);
    }

    /// The store has dealt with the first that it was given; the rest waits on.
    pub fn commit_first(&mut self, outcome: CommitOutcome) {
        if let Some((shard, commit)) = self.commits.pop_front() {
            self.handle(shard.0, Input::Committed { commit, outcome });
        }
    }

    pub fn input(&mut self, shard: u16, input: Input) {
        self.handle(shard, input);
        self.settle();
    }

    fn write(&mut self, shard: u16, commit: CommitId, op: StoreOp) {
        match op {
            StoreOp::Journal(record) if shard == 0 => self.journal.push((commit, record)),
            StoreOp::Chunk { chunk, records } => {
                self.chunks.insert(chunk, records);
            }
            StoreOp::DropChunk(chunk) => {
                self.chunks.remove(&chunk);
            }
            _ => {}
        }
    }

    /// The durable sessions of the first shard as a start would make them of its journal alone.
    pub fn replayed(&self) -> Vec<(DurableId, Vec<Record>)> {
        let policy = Arc::new(policy(0, &["ann", "bob"], &["Student allow pubsub #"]));
        let mut shard = Shard::new(ShardId(0), 1, Limits::default(), policy);
        for (_, record) in &self.journal {
            shard.handle(self.now, Input::Replayed(record.clone()), &mut Effects::default());
        }
        shard.durable_sessions()
    }

    /// What a client is sent and acknowledges until nothing more comes, as payloads.
    pub fn drain(&mut self, connection: ConnectionId) -> Vec<String> {
        let mut payloads = Vec::new();
        loop {
            let publishes = self.hear_publishes(connection);
            if publishes.is_empty() {
                return payloads;
            }
            for publish in publishes {
                payloads.push(String::from_utf8_lossy(&publish.payload).into_owned());
                publish.packet_id.into_iter().for_each(|id| self.send(connection, puback(id.number())));
            }
        }
    }

    fn settle(&mut self) {
        loop {
            if !self.holds_mail && !self.mail.is_empty() {
                self.deliver_mail();
            } else if !self.holds_commits && !self.commits.is_empty() {
                self.commit(CommitOutcome::Stored);
            } else if let Some((shard, chunk)) = self.loads.pop_front() {
                let is_readable = self.unreadable == 0;
                self.unreadable = self.unreadable.saturating_sub(1);
                let records = self.chunks.get(&chunk).filter(|_| is_readable).map(|records| records.to_vec());
                self.handle(shard, Input::ChunkLoaded { chunk, records });
            } else {
                return;
            }
        }
    }

    fn handle(&mut self, shard: u16, input: Input) {
        let mut effects = Effects::default();
        self.shards[usize::from(shard)].handle(self.now, input, &mut effects);
        self.carry_out(shard, effects);
    }

    /// What somebody had the shard do from outside takes its course.
    pub fn perform(&mut self, shard: u16, effects: Effects) {
        self.carry_out(shard, effects);
        self.settle();
    }

    fn carry_out(&mut self, shard: u16, mut effects: Effects) {
        let mut written = Vec::new();
        while let Some(effect) = effects.pop() {
            match effect {
                Effect::Send { connection, packet } => self.heard.entry(connection).or_default().push(packet),
                Effect::Deliver { connection, delivery } => {
                    let mut bytes = BytesMut::new();
                    delivery.view().encode(ProtocolVersion::V5, &mut bytes);
                    let packet = decode(&mut bytes.freeze(), Some(ProtocolVersion::V5), u32::MAX).unwrap().unwrap();
                    self.heard.entry(connection).or_default().push(packet);
                    written.push(connection);
                }
                Effect::Close { connection, .. } => {
                    // Told apart from packets by a packet that no server sends.
                    self.heard.entry(connection).or_default().push(Packet::PingReq);
                }
                Effect::Unstore(commit) => {
                    self.commits.retain(|waiting| *waiting != (ShardId(shard), commit));
                    self.journal.retain(|(written, _)| shard > 0 || *written != commit);
                }
                Effect::Store { commit, durability, op } => {
                    self.survives.push(durability);
                    self.stored.extend(store_line(&op));
                    self.write(shard, commit, op);
                    self.commits.push_back((ShardId(shard), commit));
                }
                Effect::Load(chunk) => self.loads.push_back((shard, chunk)),
                Effect::Record(event) => self.events.push(event.kind),
                Effect::Forward { peer, frame } => self.mail.push_back((ShardId(shard), peer, frame)),
            }
        }
        if self.writes_at_once {
            written.into_iter().for_each(|connection| self.handle(shard, Input::Written { connection }));
        }
    }

    pub fn shard(&self, id: u16) -> &Shard {
        &self.shards[usize::from(id)]
    }

    pub fn shard_mut(&mut self, id: u16) -> &mut Shard {
        &mut self.shards[usize::from(id)]
    }

    fn shard_count(&self) -> u16 {
        u16::try_from(self.shards.len()).unwrap()
    }

    /// The events since they were last asked for.
    pub fn events(&mut self) -> Vec<EventKind> {
        std::mem::take(&mut self.events)
    }

    /// Nothing is left of anybody.
    pub fn assert_empty(&self) {
        for shard in &self.shards {
            assert_eq!(shard.session_count(), 0);
            assert_eq!(shard.connection_count(), 0);
            assert_eq!(shard.promise_count(), 0);
            assert_eq!(shard.filter_node_count(), 1);
        }
    }
}

/// A policy in words: rules such as `Student allow pubsub a/#` or `ann deny sub a/+`; a user with `!` is disabled.
fn policy(generation: u64, users: &[&str], rules: &[&str]) -> Policy {
    let role = |name: &str| RoleName::new(name).unwrap();
    let user = |name: &&str| PolicyUser {
        name: UserName::new(name.trim_end_matches('!')).unwrap(),
        role: role("Student"),
        enabled: !name.ends_with('!'),
    };
    let rule = |(number, words): (i64, &&str)| {
        let words: Vec<&str> = words.split(' ').collect();
        let [subject, effect, permissions, pattern] = words[..] else { panic!("not a rule: {words:?}") };
        Rule {
            id: RuleId(number),
            subject: match RoleName::BUILT_IN.contains(&subject) {
                true => Subject::Role(role(subject)),
                false => Subject::User(UserName::new(subject).unwrap()),
            },
            pattern: TopicPattern::new(pattern).unwrap(),
            publish: permissions.contains("pub"),
            subscribe: permissions.contains("sub"),
            effect: if effect == "allow" { RuleEffect::Allow } else { RuleEffect::Deny },
        }
    };
    Policy::new(generation, users.iter().map(user).collect(), (1..).zip(rules).map(rule).collect())
}

pub fn connect_packet(client_id: &str) -> Packet {
    Packet::Connect(Box::new(client(client_id).connecting.connect))
}

/// A packet as a story tells it: `publish a/b=hi q1 #1 dup`, `suback #1 0x01,0x87`.
fn line(packet: &Packet) -> String {
    let code = |reason: ReasonCode| format!("{:#04x}", reason.byte());
    let ack = |name: &str, ack: &PubAck| match ack.reason {
        ReasonCode::Success => format!("{name} #{}", ack.packet_id),
        reason => format!("{name} #{} {}", ack.packet_id, code(reason)),
    };
    match packet {
        Packet::ConnAck(connack) if connack.reason.is_error() => format!("connack {}", code(connack.reason)),
        Packet::ConnAck(connack) if connack.session_present => String::from("connack present"),
        Packet::ConnAck(_) => String::from("connack"),
        Packet::Publish(publish) => publish_line(publish),
        Packet::PubAck(packet) => ack("puback", packet),
        Packet::PubRec(packet) => ack("pubrec", packet),
        Packet::PubRel(packet) => ack("pubrel", packet),
        Packet::PubComp(packet) => ack("pubcomp", packet),
        Packet::SubAck(suback) => {
            let codes: Vec<String> = suback.reasons.iter().map(|reason| code(*reason)).collect();
            format!("suback #{} {}", suback.packet_id, codes.join(","))
        }
        Packet::UnsubAck(unsuback) => {
            let codes: Vec<String> = unsuback.reasons.iter().map(|reason| code(*reason)).collect();
            format!("unsuback #{} {}", unsuback.packet_id, codes.join(","))
        }
        Packet::PingResp => String::from("pingresp"),
        Packet::Disconnect(disconnect) => format!("disconnect {}", code(disconnect.reason)),
        Packet::PingReq => String::from("closed"),
        Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::Auth(_) => {
            panic!("no server sends {packet:?}")
        }
    }
}

fn publish_line(publish: &Publish) -> String {
    let properties = &publish.properties;
    let mut line = format!("publish {}={}", publish.topic, String::from_utf8_lossy(&publish.payload));
    if let Some(packet_id) = publish.packet_id {
        line.push_str(&format!(" q{} #{packet_id}", publish.qos));
    }
    for (name, is_set) in [(" dup", publish.dup), (" retain", publish.retain)] {
        line.push_str(if is_set { name } else { "" });
    }
    if let Some(left) = properties.message_expiry_interval {
        line.push_str(&format!(" expiry={left}"));
    }
    if let Some(alias) = properties.topic_alias {
        line.push_str(&format!(" alias={alias}"));
    }
    for id in &properties.subscription_ids {
        line.push_str(&format!(" id={}", id.number()));
    }
    line
}

/// What the stories ask about: retained messages. What durable sessions write down is told by what they do after a start.
fn store_line(op: &StoreOp) -> Option<String> {
    match op {
        StoreOp::Retain { message, version } => {
            let payload = String::from_utf8_lossy(&message.payload);
            Some(format!("retain {}={payload} v{}", message.topic, version.counter))
        }
        StoreOp::Unretain { topic, version } => Some(format!("unretain {topic} v{}", version.counter)),
        StoreOp::Journal(_)
        | StoreOp::Checkpoint { .. }
        | StoreOp::Chunk { .. }
        | StoreOp::DropChunk(_)
        | StoreOp::Forget(_)
        | StoreOp::Cut { .. } => None,
    }
}
