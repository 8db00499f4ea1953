//! The oracle: it watches everything that goes into the shards and comes out of them, knows what MQTT promises, and
//! says so when a promise is broken.
//!
//! It is told of every input before a shard handles it and of every effect in order. What it knows is kept by subject:
//! `answers` of connections (acknowledgements, their order, quotas), `deliveries` of sessions (who must and may be sent
//! what), `retained` of what every topic must end up with, `journal` of what is on disk, `restart` of what outlives the
//! broker's process. Time inside it is the number of the input.

mod answers;
mod deliveries;
mod retained;
mod journal;
mod restart;

pub use restart::Found;

use crate::rules::Rules;
use answers::Connection;
use deliveries::{Owed, Session};
use retained::Kept;
use securemq::broker::{
    AuditEvent, CommitId, CommitOutcome, ConnectionId, DurableId, Effect, EventKind, Message, PeerFrame, Permission,
    Reason, Record, SessionKey, StoreOp, Ticket, Timestamp, partition_of_session, shard_of_partition,
};
use securemq::protocol::{Packet, PacketId, ProtocolVersion, Publish, QoS, SubscribeRequest};
use std::collections::BTreeMap;

/// Everything that has been promised so far.
pub struct Oracle {
    now: Timestamp,
    /// Counts the inputs.
    moment: u64,
    shards: u16,
    /// All policies there were, by generation.
    rules: Vec<Rules>,
    /// Which of them each shard has.
    applied: Vec<usize>,
    messages: Vec<Known>,
    sessions: BTreeMap<SessionKey, Session>,
    connections: BTreeMap<ConnectionId, Connection>,
    owed: Vec<Owed>,
    /// Frames sent and handled between two shards.
    mail: BTreeMap<(u16, u16), (u64, u64)>,
    /// What was retained, in the order of its publication.
    kept: Vec<Kept>,
    /// What must have been handled before a shard may confirm that a session joined its group.
    joins: BTreeMap<(u16, Ticket), answers::Barrier>,
    current: Current,
    /// The frames of each shard that were dealt with, by their last change.
    frames: Vec<Vec<(CommitId, CommitOutcome)>>,
    /// Whose the durable sessions are, and the one that the input at hand began.
    durable: BTreeMap<DurableId, SessionKey>,
    began: Option<DurableId>,
    /// Durable sessions that ended, which the disk may not know yet, and the changes that tell it.
    ended: BTreeMap<DurableId, (SessionKey, Session)>,
    endings: Vec<((u16, CommitId), DurableId)>,
    /// When the broker ended last.
    crashed_at: u64,
    /// The changes that messages of QoS 2 and PUBRELs to durable sessions wait for.
    sent_with: BTreeMap<(SessionKey, PacketId), (u16, CommitId)>,
    received_with: BTreeMap<(SessionKey, PacketId), (u16, CommitId)>,
    /// The messages that the promises of each shard are about, and when they were routed.
    routings: BTreeMap<(u16, Ticket), (u64, u64)>,
    /// The last change of the session that the CONNECT at hand is about.
    journaled: Option<(u16, CommitId)>,
    /// Topics of wills that this input must bring out or refuse.
    wills_due: Vec<String>,
    /// The sessions that have no will any more since this input, because it is sent or taken back.
    wills_let_go: Vec<SessionKey>,
    /// What it said, if it said something.
    pub broken: Option<String>,
}

/// A message as its publisher made it.
pub struct NewMessage {
    pub key: SessionKey,
    pub topic: String,
    pub qos: QoS,
    pub retain: bool,
    pub is_empty: bool,
    pub expiry: Option<u32>,
    /// The connection whose will it is.
    pub will_of: Option<ConnectionId>,
}

/// A message and what became of it.
struct Known {
    new: NewMessage,
    /// When a shard took it and routed it.
    routed: Vec<u64>,
    expires_at: Option<Timestamp>,
    /// The sessions in which its publisher sent it: to another, it is another message.
    published_in: Vec<u64>,
    /// How often it was refused after it had been taken: from then on it is another message. [v5:MQTT-4.3.3-9]
    refusals: usize,
    /// QoS 2: a shard has its identifier, so that a repetition is not routed.
    is_taken: bool,
    is_refused: bool,
    is_acknowledged: bool,
    /// A shard has sent PUBACK or PUBREC for it, whether or not that arrived: for what was routed up to then.
    answered: Option<u64>,
    /// Somebody has received it.
    is_received: bool,
    /// Frames with it between shards.
    on_its_way: u64,
    /// A will that was sent, which the disk did not hear of before the broker ended.
    comes_again: bool,
    /// Its publisher will not hear of it any more, or was told that it failed.
    is_given_up: bool,
    /// A will that must not be sent any more.
    is_cancelled: bool,
    /// The change that retained it last.
    commit: Option<(u16, CommitId)>,
    commit_failed: bool,
    /// The changes that owe it to durable sessions, and when it was routed that led to them.
    waits: Vec<(u64, (u16, CommitId))>,
    /// It may be answered in more than one way.
    is_unsure: bool,
}

impl Known {
    /// How often it counts as published to those who take it at QoS 2. The store may not know of a will that it was sent.
    fn publications(&self) -> usize {
        if self.new.will_of.is_some() { self.routed.len() } else { self.published_in.len().max(1) + self.refusals }
    }
}

/// What the input at hand is about.
enum Current {
    Other,
    Connect {
        key: SessionKey,
        connection: ConnectionId,
        hello: Box<securemq::protocol::Connect>,
    },
    Publish {
        connection: ConnectionId,
        number: u64,
    },
    /// Another shard passed a message on that was routed then.
    Passed {
        number: u64,
        routed: u64,
    },
    Subscribe {
        connection: ConnectionId,
        requests: Vec<SubscribeRequest>,
    },
    Unsubscribe {
        connection: ConnectionId,
    },
    Release {
        connection: ConnectionId,
    },
    Join {
        from: u16,
        owner: u16,
        ticket: Ticket,
    },
}

impl Oracle {
    /// One that knows of no broker yet.
    pub fn new() -> Self {
        Self {
            now: Timestamp::default(),
            moment: 0,
            shards: 0,
            rules: vec![Rules::open(0)],
            applied: Vec::new(),
            messages: Vec::new(),
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            owed: Vec::new(),
            mail: BTreeMap::new(),
            kept: Vec::new(),
            joins: BTreeMap::new(),
            current: Current::Other,
            frames: Vec::new(),
            durable: BTreeMap::new(),
            began: None,
            ended: BTreeMap::new(),
            endings: Vec::new(),
            crashed_at: 0,
            sent_with: BTreeMap::new(),
            received_with: BTreeMap::new(),
            routings: BTreeMap::new(),
            journaled: None,
            wills_due: Vec::new(),
            wills_let_go: Vec::new(),
            broken: None,
        }
    }

    /// A promise is broken. The first one counts.
    pub fn violation(&mut self, what: &str) {
        self.broken.get_or_insert_with(|| what.to_owned());
    }

    /// Numbers a message; its payload will be that number.
    pub fn new_message(&mut self, new: NewMessage) -> u64 {
        self.messages.push(Known {
            is_acknowledged: new.will_of.is_some(),
            new,
            routed: Vec::new(),
            published_in: Vec::new(),
            refusals: 0,
            expires_at: None,
            is_taken: false,
            is_refused: false,
            answered: None,
            is_received: false,
            on_its_way: 0,
            comes_again: false,
            is_given_up: false,
            is_cancelled: false,
            commit: None,
            commit_failed: false,
            waits: Vec::new(),
            is_unsure: false,
        });
        self.messages.len() as u64 - 1
    }

    fn message(&mut self, number: u64) -> &mut Known {
        &mut self.messages[number as usize]
    }

    /// The publisher has its PUBACK or PUBREC.
    pub fn acknowledged(&mut self, number: u64) {
        self.message(number).is_acknowledged = true;
    }

    /// The publisher was told that it failed, or will not be told any more.
    pub fn given_up(&mut self, number: u64) {
        self.message(number).is_given_up = true;
    }

    /// A new policy exists; shards will get it one by one.
    pub fn policy_made(&mut self, rules: Rules) {
        self.rules.push(rules);
        self.release_forbidden();
    }

    pub fn newest_rules(&self) -> &Rules {
        self.rules.last().expect("there is always a policy")
    }

    /// The oldest policy that a shard lacks.
    pub fn next_rules_for(&self, shard: u16) -> Option<&Rules> {
        self.rules.get(self.applied[usize::from(shard)] + 1)
    }

    fn rules_of(&self, shard: u16) -> &Rules {
        &self.rules[self.applied[usize::from(shard)]]
    }

    /// Whether every policy that some shard has or will have lets this session be sent messages of the topic.
    fn is_surely_allowed(&self, key: &SessionKey, topic: &str) -> bool {
        let oldest = self.applied.iter().min().copied().unwrap_or_default();
        self.rules[oldest..].iter().all(|rules| rules.may(Permission::Subscribe, key, topic))
    }

    fn shard_of(&self, key: &SessionKey) -> u16 {
        shard_of_partition(partition_of_session(key), self.shards).0
    }

    // What a shard is about to handle.

    pub fn begins(&mut self, now: Timestamp) {
        self.now = now;
        self.moment += 1;
        self.current = Current::Other;
        self.journaled = None;
        self.began = None;
        self.wills_let_go.clear();
    }

    pub fn connects(&mut self, key: &SessionKey, connection: ConnectionId, hello: &securemq::protocol::Connect) {
        self.current = Current::Connect { key: key.clone(), connection, hello: Box::new(hello.clone()) };
    }

    pub fn packet_arrives(&mut self, connection: ConnectionId, packet: &Packet, number: Option<u64>) {
        let now = self.now;
        let Some(fact) = self.connections.get_mut(&connection).filter(|fact| fact.ended.is_none()) else { return };
        fact.last_packet = now;
        match packet {
            Packet::Publish(publish) => {
                if let Some(number) = number {
                    self.publish_arrives(connection, publish, number);
                }
            }
            Packet::PubAck(ack) | Packet::PubComp(ack) => self.exchange_ends(connection, ack.packet_id),
            Packet::PubRec(ack) if ack.reason.is_error() => self.exchange_ends(connection, ack.packet_id),
            Packet::PubRel(ack) => {
                fact.pubcomps.push_back((ack.packet_id, None));
                self.current = Current::Release { connection };
            }
            Packet::Subscribe(subscribe) => {
                fact.subacks.push_back(answers::PendingSubscribe::new(subscribe.packet_id));
                self.current = Current::Subscribe { connection, requests: subscribe.requests.clone() };
            }
            Packet::Unsubscribe(unsubscribe) => {
                fact.unsubacks.push_back((unsubscribe.packet_id, None));
                fact.unsubscribed.push_back(self.moment);
                self.current = Current::Unsubscribe { connection };
            }
            Packet::Disconnect(disconnect) => {
                fact.said_goodbye = disconnect.reason == securemq::protocol::ReasonCode::Success;
                if let (Some(expiry), Some(session)) =
                    (disconnect.properties.session_expiry_interval, self.sessions.get_mut(&fact.key))
                {
                    session.expiry = expiry;
                    session.expiries.push(expiry);
                }
            }
            _ => {}
        }
    }

    fn publish_arrives(&mut self, connection: ConnectionId, publish: &Publish, number: u64) {
        self.current = Current::Publish { connection, number };
        let fact = &self.connections[&connection];
        let (shard, version, session) = (fact.shard, fact.version, fact.session);
        let (now, moment) = (self.now, self.moment);
        let known = &self.messages[number as usize];
        let is_allowed = self.rules_of(shard).may(Permission::Publish, &known.new.key, &known.new.topic);
        let known = self.message(number);
        let is_repetition = publish.qos == QoS::ExactlyOnce && known.is_taken;
        if !is_repetition {
            known.is_refused = !is_allowed;
            known.refusals += usize::from(!is_allowed && !known.routed.is_empty());
            known.is_taken = is_allowed || version != ProtocolVersion::V5;
            if is_allowed {
                if !known.published_in.contains(&session) {
                    known.published_in.push(session);
                }
                known.routed.push(moment);
                known.expires_at = known.new.expiry.map(|seconds| now.after_secs(seconds));
            }
        }
        // After a failed commit the shard takes it again, or not yet, or may not any more: that shows in what it does.
        known.is_unsure |= is_repetition && known.commit_failed && !is_allowed;
        let is_unsure = known.is_unsure;
        let is_allowed = !known.is_refused;
        let commit = known.commit.filter(|_| is_repetition);
        if let Some(packet_id) = publish.packet_id {
            let answer = answers::Answer { packet_id, number, is_allowed, is_unsure, commit };
            self.answer_is_owed(connection, publish.qos, answer);
        }
        if is_allowed && !is_repetition && publish.qos > QoS::AtMostOnce {
            self.deliveries_are_owed(number);
        }
    }

    /// The first effect of a message says whether it is routed again.
    fn repetition_is_seen(&mut self, effect: &Effect) {
        let Current::Publish { number, .. } = self.current else { return };
        let message = match effect {
            Effect::Deliver { delivery, .. } if !delivery.dup => &delivery.message,
            Effect::Forward { frame: PeerFrame::Published { message, .. }, .. }
            | Effect::Forward { frame: PeerFrame::GroupDelivery { message, .. }, .. }
            | Effect::Store { op: StoreOp::Journal(Record::Queued { message, .. }), .. } => message,
            _ => return,
        };
        let known = &self.messages[number as usize];
        let is_queued_now = message.qos == QoS::ExactlyOnce && known.routed.last() != Some(&self.moment);
        if number_in(message) == Some(number) && is_queued_now {
            self.repetition_is_routed(number);
        }
    }

    /// A message of QoS 2 is routed again, which may only happen if it was never stored.
    fn repetition_is_routed(&mut self, number: u64) {
        let (now, moment) = (self.now, self.moment);
        let known = self.message(number);
        if !known.commit_failed {
            return self.violation(&format!("message {number} is routed again"));
        }
        known.is_unsure = false;
        known.routed.push(moment);
        known.expires_at = known.new.expiry.map(|seconds| now.after_secs(seconds));
    }

    pub fn connection_is_lost(&mut self, connection: ConnectionId) {
        self.connection_ends(connection, Reason::ConnectionLost, true);
    }

    pub fn frame_arrives(&mut self, from: u16, to: u16, frame: &PeerFrame) {
        self.mail.entry((from, to)).or_default().1 += 1;
        match frame {
            PeerFrame::Published { retained: Some(version), .. } => self.version_arrives(*version),
            PeerFrame::GroupJoined { ticket: Some(ticket), .. } => {
                self.current = Current::Join { from, owner: to, ticket: *ticket };
            }
            _ => {}
        }
        if let PeerFrame::Published { message, .. }
        | PeerFrame::GroupDelivery { message, .. }
        | PeerFrame::GroupRefused { message, .. } = frame
        {
            let of_message = number_in(message);
            if let Some(known) = of_message.and_then(|number| self.messages.get_mut(number as usize)) {
                known.on_its_way -= 1;
            }
            // A group's shard gets its own ticket back.
            let (owner, ticket) = match frame {
                PeerFrame::GroupRefused { ticket, .. } => (to, ticket),
                PeerFrame::Published { ticket, .. } | PeerFrame::GroupDelivery { ticket, .. } => (from, ticket),
                _ => return,
            };
            if let Some(&(number, routed)) = ticket.and_then(|ticket| self.routings.get(&(owner, ticket))) {
                debug_assert!(of_message.is_none_or(|of_message| of_message == number));
                self.current = Current::Passed { number, routed };
            }
        }
    }

    pub fn policy_arrives(&mut self, shard: u16) {
        self.applied[usize::from(shard)] += 1;
        let gone: Vec<_> = self
            .sessions
            .keys()
            .filter(|key| self.shard_of(key) == shard && !self.rules_of(shard).has(user_of(key)))
            .cloned()
            .collect();
        gone.iter().for_each(|key| self.session_ends(key));
    }

    // What a shard has done about it.

    pub fn effect(&mut self, shard: u16, effect: &Effect, is_rude: bool) {
        self.repetition_is_seen(effect);
        match effect {
            Effect::Send { connection, packet } => self.packet_leaves(*connection, packet),
            Effect::Deliver { connection, delivery } => {
                self.will_is_seen(shard, number_in(&delivery.message));
                self.delivery_leaves(shard, *connection, delivery);
            }
            Effect::Close { connection, reason } => self.connection_ends(*connection, *reason, is_rude),
            Effect::Store { commit, op, .. } => self.store_is_told(shard, *commit, op),
            Effect::Unstore(commit) => self.nobody_waits_for((shard, *commit)),
            Effect::Load(_) => {}
            Effect::Record(event) => self.event_is_recorded(shard, event),
            Effect::Forward { peer, frame } => {
                self.mail.entry((shard, peer.0)).or_default().0 += 1;
                let routed = match self.current {
                    Current::Passed { number, routed } => Some((number, routed)),
                    Current::Publish { number, .. } => Some((number, self.moment)),
                    _ => None,
                };
                if let PeerFrame::Published { ticket: Some(ticket), .. }
                | PeerFrame::GroupDelivery { ticket: Some(ticket), .. } = frame
                    && let Some(routed) = routed
                {
                    self.routings.insert((shard, *ticket), routed);
                }
                if let PeerFrame::Published { message, .. }
                | PeerFrame::GroupDelivery { message, .. }
                | PeerFrame::GroupRefused { message, .. } = frame
                    && let Some(number) = number_in(message)
                {
                    self.message(number).on_its_way += 1;
                }
                match frame {
                    PeerFrame::Published { message, .. } => self.will_is_seen(shard, number_in(message)),
                    PeerFrame::GroupJoined { ticket: Some(ticket), .. } => self.join_is_asked_for(*ticket),
                    _ => {}
                }
            }
        }
    }

    fn event_is_recorded(&mut self, shard: u16, event: &AuditEvent) {
        match &event.kind {
            EventKind::Connected { .. } => self.connection_begins(),
            EventKind::Subscribed { filter, qos } => self.subscription_begins(shard, filter.as_str(), *qos),
            EventKind::Unsubscribed { filter } => self.subscription_ends(filter.as_str()),
            EventKind::Published { topic, .. } | EventKind::PublishRefused { topic, .. } => {
                if let Current::Publish { number, .. } = self.current
                    && matches!(event.kind, EventKind::Published { .. })
                    && self.messages[number as usize].routed.last() != Some(&self.moment)
                {
                    self.repetition_is_routed(number);
                }
                if !matches!(self.current, Current::Publish { .. }) {
                    let is_sent = matches!(event.kind, EventKind::Published { .. });
                    self.will_is_decided(shard, &event.who, topic.as_str(), is_sent);
                }
                if let Some(at) = self.wills_due.iter().position(|due| due == topic.as_str()) {
                    self.wills_due.swap_remove(at);
                }
            }
            _ => {}
        }
    }

    /// The shard has done all it does about the input.
    pub fn ends(&mut self) {
        match self.current {
            Current::Connect { connection, .. } => self.welcome_waits_for(connection),
            Current::Subscribe { connection, .. } => self.barrier_is_set(connection),
            Current::Join { from, owner, ticket } => self.join_is_made(from, owner, ticket),
            _ => {}
        }
        if let Some(topic) = self.wills_due.pop() {
            self.violation(&format!("the will for {topic} is neither published nor refused"));
        }
        self.wills_due.clear();
    }
}

/// The message in a payload.
fn number_in(message: &Message) -> Option<u64> {
    std::str::from_utf8(&message.payload).ok()?.parse().ok()
}

fn user_of(key: &SessionKey) -> &str {
    key.principal.user().map_or("", |name| name.as_str())
}
