//! What connections are owed: acknowledgements in their order and not too early, and not more than they take.

use super::{Current, Oracle, user_of};
use securemq::broker::{CommitId, CommitOutcome, ConnectionId, Permission, Reason, SessionKey, Ticket, Timestamp, Who};
use securemq::protocol::{ConnAck, Packet, PacketId, ProtocolVersion, PubAck, QoS, SubAck};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A connection as its client may expect it to behave.
pub struct Connection {
    pub key: SessionKey,
    pub shard: u16,
    pub version: ProtocolVersion,
    pub last_packet: Timestamp,
    keep_alive: u16,
    receive_maximum: usize,
    /// PUBACKs and PUBRECs that are due, in their order.
    pubacks: VecDeque<Answer>,
    pubrecs: VecDeque<Answer>,
    pub pubcomps: VecDeque<(PacketId, Option<(u16, CommitId)>)>,
    pub unsubacks: VecDeque<(PacketId, Option<(u16, CommitId)>)>,
    /// When each UNSUBSCRIBE came that waits for its UNSUBACK.
    pub unsubscribed: VecDeque<u64>,
    pub subacks: VecDeque<PendingSubscribe>,
    /// Identifiers of messages sent on it and not completely acknowledged.
    pub unacknowledged: BTreeSet<PacketId>,
    /// Of the messages sent again, the one that was first sent last.
    pub last_resent: u64,
    /// When it was let in, and when its session began.
    pub began: u64,
    pub session: u64,
    /// Its will, unless it was sent or is void; and as it was in its CONNECT.
    pub will: Option<Will>,
    pub first_will: Option<Will>,
    pub said_goodbye: bool,
    /// Whether its CONNACK was sent, and what that has to wait for and say.
    pub is_welcome: bool,
    welcome_waits: Option<(u16, CommitId)>,
    is_present: bool,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

#[derive(Clone)]
pub struct Will {
    pub number: u64,
    topic: String,
    pub delay: u32,
}

/// An acknowledgement that is due, and what must have happened before.
#[derive(Clone, Copy)]
pub struct Answer {
    pub packet_id: PacketId,
    pub number: u64,
    pub is_allowed: bool,
    /// It may be answered in more than one way.
    pub is_unsure: bool,
    pub commit: Option<(u16, CommitId)>,
}

/// How many frames must have been handled, by sender and receiver.
pub type Barrier = BTreeMap<(u16, u16), u64>;

/// A SUBSCRIBE that waits for its SUBACK.
pub struct PendingSubscribe {
    packet_id: PacketId,
    /// The filters granted, and when.
    pub granted: Vec<(String, u64)>,
    /// How many frames each other shard must have handled.
    barrier: Option<Barrier>,
    /// The change that makes it durable.
    pub change: Option<(u16, CommitId)>,
    /// Tickets of the shards that keep its groups.
    pub joins: Vec<Ticket>,
}

impl Connection {
    pub fn is_welcome(&self) -> bool {
        self.is_welcome
    }
}

impl PendingSubscribe {
    pub fn new(packet_id: PacketId) -> Self {
        Self { packet_id, granted: Vec::new(), barrier: None, change: None, joins: Vec::new() }
    }
}

impl Oracle {
    pub(super) fn packet_leaves(&mut self, connection: ConnectionId, packet: &Packet) {
        if let Packet::ConnAck(connack) = packet {
            return self.connack_leaves(connection, connack);
        }
        let Some(fact) = self.connections.get_mut(&connection).filter(|fact| fact.ended.is_none()) else {
            return self.violation(&format!("{} is sent to a connection that is gone", packet.name()));
        };
        if !fact.is_welcome {
            return self.violation(&format!("{} is sent before CONNACK", packet.name()));
        }
        match packet {
            Packet::PubAck(ack) => {
                let due = fact.pubacks.pop_front();
                self.answer_leaves(connection, due, ack);
            }
            Packet::PubRec(ack) => {
                let due = fact.pubrecs.pop_front();
                self.answer_leaves(connection, due, ack);
            }
            Packet::PubComp(ack) => {
                let due = fact.pubcomps.pop_front();
                self.stored_answer_leaves(packet.name(), due, ack.packet_id);
            }
            Packet::UnsubAck(ack) => {
                let due = fact.unsubacks.pop_front();
                let (key, ended) = (fact.key.clone(), fact.unsubscribed.pop_front());
                self.stored_answer_leaves(packet.name(), due, ack.packet_id);
                self.end_is_confirmed(&key, ended);
            }
            Packet::PubRel(ack) if !ack.reason.is_error() => {
                let key = (fact.key.clone(), ack.packet_id);
                if self.received_with.get(&key).is_some_and(|change| !self.is_safe(*change)) {
                    self.violation(&format!("PUBREL #{} does not wait for the disk", ack.packet_id));
                }
                let session = self.sessions.get_mut(&key.0);
                if let Some(flight) = session.and_then(|session| session.in_flight.get_mut(&ack.packet_id)) {
                    flight.is_released = true;
                }
            }
            Packet::SubAck(suback) => self.suback_leaves(connection, suback),
            _ => {}
        }
    }

    /// An answer that can only say yes.
    fn stored_answer_leaves(
        &mut self,
        name: &str,
        due: Option<(PacketId, Option<(u16, CommitId)>)>,
        packet_id: PacketId,
    ) {
        let Some((_, change)) = due.filter(|(due, _)| *due == packet_id) else {
            return self.violation(&format!("{name} #{packet_id} is out of order"));
        };
        if change.is_some_and(|change| !self.is_safe(change)) {
            self.violation(&format!("{name} #{packet_id} is sent before its change is stored"));
        }
    }

    fn connack_leaves(&mut self, connection: ConnectionId, connack: &ConnAck) {
        if self.connections.contains_key(&connection) {
            return self.welcome_leaves(connection, connack);
        }
        let Current::Connect { key, connection: expected, hello } = &self.current else {
            return self.violation("a CONNACK comes without a CONNECT");
        };
        if *expected != connection {
            return self.violation("a CONNACK goes to another connection");
        }
        let rules = self.rules_of(self.shard_of(key));
        let may_will = hello.will.as_ref().is_none_or(|will| rules.may(Permission::Publish, key, will.topic.as_str()));
        if !connack.reason.is_error() || (rules.knows(user_of(key)) && may_will) {
            let key = key.clone();
            self.violation(&format!("CONNECT of {key:?} is answered with {:?}", connack.reason));
        }
    }

    /// The CONNACK of a client that was let in.
    fn welcome_leaves(&mut self, connection: ConnectionId, connack: &ConnAck) {
        let waits = match self.current {
            Current::Connect { connection: current, .. } if current == connection => self.journaled,
            _ => self.connections[&connection].welcome_waits,
        };
        let outcome = waits.map(|change| self.outcome_of(change));
        let Some(fact) = self.connections.get_mut(&connection) else { return };
        let key = fact.key.clone();
        if fact.is_welcome || fact.ended.is_some() {
            return self.violation("a second CONNACK, or one for a connection that is gone");
        }
        if connack.reason.is_error() {
            let will = fact.will.take();
            if let Some(will) = will {
                self.message(will.number).is_cancelled = true;
            }
            if outcome != Some(Some(CommitOutcome::Failed)) {
                self.violation(&format!("CONNECT of {key:?} is answered with {:?}", connack.reason));
            }
            return;
        }
        fact.is_welcome = true;
        let is_present = fact.is_present && fact.version != ProtocolVersion::V3_1;
        if connack.session_present != is_present {
            self.violation(&format!("session present is {} for {key:?}", connack.session_present));
        } else if outcome.is_some_and(|outcome| outcome != Some(CommitOutcome::Stored)) {
            self.violation(&format!("the CONNACK of {key:?} does not wait for the disk"));
        }
        self.session_is_confirmed(&key, waits.is_some());
    }

    /// All that the CONNECT at hand changed is to be stored before its CONNACK.
    pub(super) fn welcome_waits_for(&mut self, connection: ConnectionId) {
        let journaled = self.journaled;
        if let Some(fact) = self.connections.get_mut(&connection) {
            fact.welcome_waits = journaled;
        }
    }

    /// The input at hand let a client in.
    pub(super) fn connection_begins(&mut self) {
        let Current::Connect { key, connection, hello } = &self.current else {
            return self.violation("a client is let in without a CONNECT");
        };
        let (key, connection, hello) = (key.clone(), *connection, hello.clone());
        let shard = self.shard_of(&key);
        let rules = self.rules_of(shard);
        let may_will = hello.will.as_ref().is_none_or(|will| rules.may(Permission::Publish, &key, will.topic.as_str()));
        if !rules.knows(user_of(&key)) || !may_will {
            return self.violation(&format!("{key:?} is let in, which it may not be"));
        }
        let is_present = self.session_goes_on(&key, &hello);
        let session = self.sessions.get(&key).map_or(0, |session| session.began);
        let number_of = |payload: &[u8]| std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        let will = hello.will.as_ref().and_then(|will| {
            let number = number_of(&will.payload)?;
            let delay = will.properties.will_delay_interval.unwrap_or(0);
            Some(Will { number, topic: will.topic.as_str().to_owned(), delay })
        });
        let fact = Connection {
            key,
            shard,
            version: hello.version,
            last_packet: self.now,
            keep_alive: hello.keep_alive,
            receive_maximum: hello.properties.receive_maximum.map_or(65_535, usize::from),
            pubacks: VecDeque::new(),
            pubrecs: VecDeque::new(),
            pubcomps: VecDeque::new(),
            unsubacks: VecDeque::new(),
            unsubscribed: VecDeque::new(),
            subacks: VecDeque::new(),
            unacknowledged: BTreeSet::new(),
            last_resent: 0,
            began: self.moment,
            session,
            first_will: will.clone(),
            will,
            said_goodbye: false,
            is_welcome: false,
            welcome_waits: None,
            is_present,
            ended: None,
        };
        self.connections.insert(connection, fact);
    }

    /// Which session the client of a connection has, and whether it went on with it.
    pub fn session_of(&self, connection: ConnectionId) -> (u64, bool) {
        let key = self.connections.get(&connection).map(|fact| &fact.key);
        let session = key.and_then(|key| self.sessions.get(key));
        session.map_or((0, false), |session| (session.began, session.is_resumed))
    }

    pub(super) fn answer_is_owed(&mut self, connection: ConnectionId, qos: QoS, answer: Answer) {
        let Some(fact) = self.connections.get_mut(&connection) else { return };
        let due = if qos == QoS::ExactlyOnce { &mut fact.pubrecs } else { &mut fact.pubacks };
        due.push_back(answer);
    }

    pub(super) fn answer_waits_for(&mut self, connection: ConnectionId, number: u64, commit: (u16, CommitId)) {
        let Some(fact) = self.connections.get_mut(&connection) else { return };
        let last = [fact.pubacks.back_mut(), fact.pubrecs.back_mut()];
        for answer in last.into_iter().flatten().filter(|answer| answer.number == number) {
            answer.commit = Some(commit);
        }
    }

    /// An acknowledgement says that a message is safe and its turn has come, or that it is not.
    fn answer_leaves(&mut self, connection: ConnectionId, due: Option<Answer>, ack: &PubAck) {
        let Some(answer) = due.filter(|due| due.packet_id == ack.packet_id) else {
            return self.violation(&format!("the acknowledgement of #{} is out of order", ack.packet_id));
        };
        let speaks = self.connections[&connection].version == ProtocolVersion::V5;
        let is_refused = ack.reason.is_error();
        if answer.is_unsure {
            return;
        }
        if !answer.is_allowed {
            if is_refused != speaks {
                self.violation(&format!("message {} is forbidden and answered {:?}", answer.number, ack.reason));
            }
            return;
        }
        let known = &self.messages[answer.number as usize];
        let routed = known.routed.last().copied().unwrap_or_default();
        let waits = known.waits.iter().filter(|(moment, _)| *moment == routed);
        let mut outcomes: Vec<_> = waits.map(|(_, change)| self.outcome_of(*change)).collect();
        let mut is_known = true;
        if known.new.retain {
            let fate = answer.commit.map_or((None, false), |commit| self.fate_of(commit, answer.number));
            outcomes.push(fate.0);
            is_known = fate.1;
        }
        let has_failed = outcomes.contains(&Some(CommitOutcome::Failed));
        let is_stored = is_known && outcomes.iter().all(|outcome| *outcome == Some(CommitOutcome::Stored));
        let is_true = if is_refused { has_failed && speaks } else { is_stored };
        if !is_true {
            self.violation(&format!(
                "message {} is acknowledged with {:?}, its commits being {outcomes:?}, all shards knowing it: {is_known}",
                answer.number, ack.reason
            ));
        } else if !is_refused {
            self.message(answer.number).answered = Some(routed);
        }
    }

    /// Everything that was sent to other shards up to a SUBSCRIBE must have arrived before its SUBACK.
    pub(super) fn barrier_is_set(&mut self, connection: ConnectionId) {
        let Some(fact) = self.connections.get_mut(&connection) else { return };
        let barrier = sent_by(&self.mail, fact.shard);
        if let Some(pending) = fact.subacks.back_mut() {
            pending.barrier = Some(barrier);
        }
    }

    /// The input at hand asks another shard to take a member into its group.
    pub(super) fn join_is_asked_for(&mut self, ticket: Ticket) {
        let Current::Subscribe { connection, .. } = &self.current else { return };
        if let Some(pending) = self.connections.get_mut(connection).and_then(|fact| fact.subacks.back_mut()) {
            pending.joins.push(ticket);
        }
    }

    /// A shard took a member into a group that it keeps: everybody has to know before that is confirmed.
    pub(super) fn join_is_made(&mut self, from: u16, owner: u16, ticket: Ticket) {
        self.joins.insert((from, ticket), sent_by(&self.mail, owner));
    }

    fn is_passed(&self, barrier: &Barrier) -> bool {
        barrier.iter().all(|(pair, sent)| self.mail.get(pair).map_or(0, |(_, handled)| *handled) >= *sent)
    }

    fn suback_leaves(&mut self, connection: ConnectionId, suback: &SubAck) {
        let (moment, shards) = (self.moment, self.shards);
        let Some(fact) = self.connections.get_mut(&connection) else { return };
        let (key, shard) = (fact.key.clone(), fact.shard);
        let Some(pending) = fact.subacks.pop_front().filter(|pending| pending.packet_id == suback.packet_id) else {
            return self.violation(&format!("SUBACK #{} is out of order", suback.packet_id));
        };
        let has_passed = pending.barrier.as_ref().map_or(shards == 1, |barrier| self.is_passed(barrier));
        let is_joined =
            |ticket: &Ticket| self.joins.get(&(shard, *ticket)).is_some_and(|barrier| self.is_passed(barrier));
        if !pending.joins.iter().all(is_joined) {
            return self.violation("a SUBACK is sent before all shards know of the group");
        }
        if !pending.granted.is_empty() && !has_passed {
            return self.violation("a SUBACK is sent before all shards know of the subscription");
        }
        let change = pending.change;
        if change.is_some_and(|change| self.outcome_of(change) != Some(CommitOutcome::Stored)) {
            return self.violation("a SUBACK is sent before the subscription is stored");
        }
        let Some(session) = self.sessions.get_mut(&key) else { return };
        for (filter, made) in &pending.granted {
            if let Some(subscription) = session.subscriptions.get_mut(filter).filter(|found| found.made == *made) {
                subscription.acknowledged = Some(moment);
            }
        }
        for (_, made) in pending.granted {
            self.end_is_confirmed(&key, Some(made));
        }
    }

    /// A message above QoS 0 goes out on a connection: its identifier must be free there and the quota not used up.
    pub(super) fn quota_is_used(&mut self, connection: ConnectionId, packet_id: PacketId) {
        let Some(fact) = self.connections.get_mut(&connection) else { return };
        if !fact.unacknowledged.insert(packet_id) {
            return self.violation(&format!("identifier {packet_id} is in flight twice on one connection"));
        }
        if fact.unacknowledged.len() > fact.receive_maximum {
            let maximum = fact.receive_maximum;
            self.violation(&format!("more than {maximum} messages are in flight"));
        }
    }

    pub(super) fn exchange_ends(&mut self, connection: ConnectionId, packet_id: PacketId) {
        let Some(fact) = self.connections.get_mut(&connection) else { return };
        fact.unacknowledged.remove(&packet_id);
        self.sent_with.remove(&(fact.key.clone(), packet_id));
        if let Some(session) = self.sessions.get_mut(&fact.key) {
            session.in_flight.remove(&packet_id);
        }
    }

    pub(super) fn connection_ends(&mut self, connection: ConnectionId, reason: Reason, is_rude: bool) {
        let now = self.now;
        let cannot_say_no = self.connections.get(&connection).is_some_and(|fact| {
            let subscribes = fact.subacks.iter().filter_map(|pending| pending.change);
            let others = fact.unsubacks.iter().filter_map(|(_, change)| *change);
            let mut waits = subscribes.chain(others).chain(fact.welcome_waits);
            waits.any(|change| self.outcome_of(change) == Some(CommitOutcome::Failed))
        });
        let Some(fact) = self.connections.get_mut(&connection).filter(|fact| fact.ended.is_none()) else { return };
        fact.ended = Some(now);
        let silence = now.since(fact.last_packet).as_millis();
        let may_end = match reason {
            Reason::KeepAliveTimeout => fact.keep_alive > 0 && silence >= u128::from(fact.keep_alive) * 1500,
            Reason::TakenOver | Reason::UserDisabled | Reason::UserRemoved => true,
            Reason::ClientDisconnected | Reason::ClientDisconnectedWithWill | Reason::ConnectionLost => true,
            Reason::StoreFailed => fact.version != ProtocolVersion::V5 || cannot_say_no,
            _ => is_rude,
        };
        let key = fact.key.clone();
        if fact.said_goodbye {
            fact.will = None;
        }
        let will = fact.will.as_ref().map(|will| (will.topic.clone(), will.delay));
        if !may_end {
            return self.violation(&format!("the connection of {key:?} is closed: {reason}"));
        }
        let expiry = self.sessions.get(&key).map_or(0, |session| session.expiry);
        if let Some((topic, _)) = will.filter(|(_, delay)| *delay == 0 || expiry == 0) {
            self.wills_due.push(topic);
        }
        if let Some(session) = self.sessions.get_mut(&key) {
            session.gone_since = Some(now);
            session.gone_at.push(now);
        }
        if expiry == 0 {
            self.session_ends(&key);
        }
    }

    /// A session goes on: a will that was not due yet is not sent any more.
    pub(super) fn wills_are_cancelled(&mut self, key: &SessionKey) {
        let now = self.now;
        let mut cancelled = Vec::new();
        for fact in self.connections.values_mut().filter(|fact| fact.key == *key) {
            let Some(ended) = fact.ended else { continue };
            if let Some(will) = fact.will.take()
                && ended.after_secs(will.delay) > now
            {
                cancelled.push(will.number);
            }
        }
        for number in cancelled {
            // One that was sent before the broker ended is only on its way in queues from now on.
            let known = self.message(number);
            known.is_cancelled = known.routed.is_empty();
            known.comes_again = false;
        }
    }

    /// The will of somebody whose connection has ended is sent, or refused.
    pub(super) fn will_is_decided(&mut self, shard: u16, who: &Who, topic: &str, is_sent: bool) {
        let is_theirs = |fact: &&Connection| {
            let user = fact.key.principal.user().map(securemq::broker::UserName::as_str);
            fact.ended.is_some()
                && user == who.user.as_ref().map(securemq::protocol::Text::as_str)
                && Some(fact.key.client_id.text()) == who.client_id.as_ref()
        };
        let wills = self.connections.values().filter(is_theirs).filter_map(|fact| fact.will.as_ref());
        let Some(number) = wills.filter(|will| will.topic == topic).last().map(|will| will.number) else { return };
        if is_sent {
            self.will_is_seen(shard, Some(number));
        }
        self.will_is_over(number);
    }

    fn will_is_over(&mut self, number: u64) {
        for fact in self.connections.values_mut() {
            fact.will.take_if(|will| will.number == number);
        }
    }

    /// The first effect of a will.
    pub(super) fn will_is_seen(&mut self, shard: u16, number: Option<u64>) {
        let moment = self.moment;
        let Some(number) = number else { return };
        let Some(known) = self.messages.get(number as usize) else { return };
        // Copies of one that was sent before the broker ended are still on their way beside it.
        let is_sent_again = known.comes_again && self.wills_let_go.contains(&known.new.key);
        let is_news = known.routed.is_empty() || is_sent_again;
        let Some(connection) = known.new.will_of.filter(|_| is_news) else { return };
        let is_due = self.connections.get(&connection).is_some_and(|fact| self.may_be_due(fact));
        let (key, topic) = (known.new.key.clone(), known.new.topic.clone());
        let is_allowed = self.rules_of(shard).may(Permission::Publish, &key, &topic);
        if !is_due || known.is_cancelled || !is_allowed {
            let is_cancelled = known.is_cancelled;
            return self.violation(&format!(
                "the will {number} is sent; due: {is_due}, cancelled: {is_cancelled}, allowed: {is_allowed}"
            ));
        }
        self.will_is_over(number);
        let known = self.message(number);
        known.comes_again = false;
        known.routed.push(moment);
        if known.new.qos > QoS::AtMostOnce {
            self.deliveries_are_owed(number);
        }
    }

    /// Everybody is quiet, so nothing can be due any more.
    pub(super) fn check_answers(&mut self) {
        let open = self.connections.values().filter(|fact| fact.ended.is_none());
        let waiting = open.filter(|fact| {
            !(fact.is_welcome
                && fact.unsubacks.is_empty()
                && fact.pubacks.is_empty()
                && fact.pubrecs.is_empty()
                && fact.pubcomps.is_empty()
                && fact.subacks.is_empty())
        });
        let keys: Vec<_> = waiting.map(|fact| fact.key.clone()).collect();
        if let Some(key) = keys.first() {
            self.violation(&format!("an acknowledgement for {key:?} never comes"));
        }
    }

    /// Whether a will may be sent by now: its delay is over, or its session.
    fn may_be_due(&self, fact: &Connection) -> bool {
        let Some(ended) = fact.ended.filter(|_| !fact.said_goodbye) else { return false };
        let (Current::Other, Some(will), Some(session)) = (&self.current, &fact.will, self.sessions.get(&fact.key))
        else {
            return true;
        };
        session.began != fact.session || ended.after_secs(will.delay.min(session.expiry)) <= self.now
    }

    /// A shard has done everything that was due by now: no will may be left that is, and no session.
    pub fn nothing_is_due(&mut self, now: Timestamp, shard: u16, session_count: usize) {
        self.now = now;
        let keys: Vec<_> = self.sessions.keys().filter(|key| self.shard_of(key) == shard).cloned().collect();
        let late = self.connections.values().find(|fact| {
            let Some((ended, will)) = fact.ended.zip(fact.will.as_ref()) else { return false };
            let session = self.sessions.get(&fact.key).filter(|session| session.began == fact.session);
            let delay = session.map_or(0, |session| session.expiry.min(will.delay));
            self.shard_of(&fact.key) == shard && ended.after_secs(delay) <= now
        });
        if let Some(fact) = late {
            let (key, topic) = (&fact.key, fact.will.as_ref().map(|will| &will.topic));
            let what = format!("the will of {key:?} for {topic:?} is due and not sent");
            return self.violation(&what);
        }
        let over: Vec<_> = keys.iter().filter(|key| self.is_over(key)).collect();
        over.into_iter().for_each(|key| self.session_ends(key));
        let expected = keys.iter().filter(|key| self.sessions.get(key).is_some_and(|session| session.exists)).count();
        if expected != session_count {
            self.violation(&format!("shard {shard} has {session_count} sessions, and not {expected}"));
        }
    }
}

/// What a shard has sent to each other one so far.
fn sent_by(mail: &BTreeMap<(u16, u16), (u64, u64)>, shard: u16) -> Barrier {
    mail.range((shard, 0)..=(shard, u16::MAX)).map(|(pair, (sent, _))| (*pair, *sent)).collect()
}
