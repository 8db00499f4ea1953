//! The state of a shard, and which input goes where.

use super::journal::{Journal, snapshot};
use super::log_budget::LogBudget;
use super::promises::Promises;
use super::timers::{Timer, Timers};
use crate::broker::access::Policy;
use crate::broker::arena::Arena;
use crate::broker::counters::Counters;
use crate::broker::effect::{ConnectionId, Effect, Effects, GroupKey, SessionRef, ShardId};
use crate::broker::event::{AuditEvent, EventKind, Who};
use crate::broker::frame::DurableId;
use crate::broker::input::Input;
use crate::broker::limits::Limits;
use crate::broker::message::{Message, SessionKey};
use crate::broker::numbers::NumberHasher;
use crate::broker::reason::Reason;
use crate::broker::record::Record;
use crate::broker::routing::{Group, Recent, Retained, Trie};
use crate::broker::session::{HeldAck, Live, Queued, Session, Waiting};
use crate::broker::time::Timestamp;
use crate::protocol::{Packet, Violation};
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasherDefault;
use std::sync::Arc;

/// Some of the sessions of a broker. Nothing in it is locked, timed or random.
#[derive(Debug)]
pub struct Shard {
    pub(super) id: ShardId,
    /// How many shards the broker has, this one included.
    pub(super) shards: u16,
    pub(super) limits: Limits,
    pub(super) policy: Arc<Policy>,
    pub(super) sessions: Arena<Session>,
    pub(super) by_key: BTreeMap<Arc<SessionKey>, u32>,
    pub(super) by_connection: HashMap<ConnectionId, u32, BuildHasherDefault<NumberHasher>>,
    pub(super) by_durable: BTreeMap<DurableId, u32>,
    pub(super) trie: Trie,
    /// Where the messages went that came from other shards last.
    pub(super) recent: Recent,
    pub(super) groups: Arena<Group>,
    pub(super) groups_by_key: BTreeMap<Arc<GroupKey>, u32>,
    pub(super) retained: Retained,
    pub(super) promises: Promises,
    pub(super) journal: Journal,
    pub(super) timers: Timers,
    pub(super) counters: Counters,
    pub(super) log_budget: LogBudget,
    /// What waits for all sessions.
    pub(super) waiting: Waiting,
    /// Whether a queue had no room for the message that is being routed, and its publisher is to be told.
    pub(super) is_refused: bool,
    /// The last message that was copied out of its read buffer to be queued: its other receivers share the copy.
    pub(super) kept_copy: Option<(Arc<Message>, Arc<Message>)>,
}

impl Shard {
    /// Shard `id` of `shards`, without sessions.
    pub fn new(id: ShardId, shards: u16, limits: Limits, policy: Arc<Policy>) -> Self {
        Self {
            id,
            shards,
            limits,
            policy,
            sessions: Arena::default(),
            by_key: BTreeMap::new(),
            by_connection: HashMap::default(),
            by_durable: BTreeMap::new(),
            trie: Trie::default(),
            recent: Recent::default(),
            groups: Arena::default(),
            groups_by_key: BTreeMap::new(),
            retained: Retained::default(),
            promises: Promises::default(),
            journal: Journal::default(),
            timers: Timers::default(),
            counters: Counters::default(),
            log_budget: LogBudget::default(),
            waiting: Waiting::default(),
            is_refused: false,
            kept_copy: None,
        }
    }

    /// Takes one input and says what to do about it.
    pub fn handle(&mut self, now: Timestamp, input: Input, effects: &mut Effects) {
        match input {
            Input::Connect(connecting) => self.connect(now, &connecting, effects),
            Input::Packet { connection, packet } => self.packet(now, connection, packet, effects),
            Input::Violated { connection, violation } => {
                if let Some(&index) = self.by_connection.get(&connection) {
                    self.violated(now, index, violation, effects);
                }
            }
            Input::Lost { connection, reason } => self.lost(now, connection, reason, effects),
            Input::Written { connection } => self.written(now, connection, effects),
            Input::Forwarded { peer, frame } => self.forwarded(now, peer, frame, effects),
            Input::Committed { commit, outcome } => self.committed(now, commit, outcome, effects),
            Input::Restored { message, version } => {
                self.retained.apply(&message, version);
            }
            Input::Checkpointed(records) => self.restore_checkpoint(records),
            Input::Replayed(record) => self.replay(record),
            Input::Recovered { went_down, run } => self.recovered(now, went_down, run, effects),
            Input::FrameEnds => self.complete_frame(now, effects),
            Input::ChunkLoaded { chunk, records } => self.chunk_loaded(now, chunk, records, effects),
            Input::PolicyChanged(policy) => self.policy_changed(now, policy, effects),
            Input::Tick => self.tick(now, effects),
            Input::ShutDown => self.shut_down(now, effects),
        }
    }

    /// When the shard wants [`Input::Tick`] at the latest.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        match (self.timers.next(), self.retained.next_expiry()) {
            (Some(timer), Some(expiry)) => Some(timer.min(expiry)),
            (timer, expiry) => timer.or(expiry),
        }
    }

    /// What it did so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Events that were left out since this was asked last, because more came in a second than are kept.
    pub fn take_left_out(&mut self) -> u64 {
        self.log_budget.take_left_out()
    }

    /// What waits for its sessions.
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// How many sessions it has, connected or not.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// What makes each of its durable sessions, by its number.
    pub fn durable_sessions(&self) -> Vec<(DurableId, Vec<Record>)> {
        self.by_durable.values().filter_map(|index| snapshot(self.sessions.get(*index)?)).collect()
    }

    /// How many of them are connected.
    pub fn connection_count(&self) -> usize {
        self.by_connection.len()
    }

    /// How many acknowledgements wait for something.
    pub fn promise_count(&self) -> usize {
        self.promises.len()
    }

    /// How many retained messages it knows.
    pub fn retained_count(&self) -> usize {
        self.retained.len()
    }

    /// How many nodes its tree of filters has; one is the least.
    pub fn filter_node_count(&self) -> usize {
        self.trie.node_count()
    }

    fn packet(&mut self, now: Timestamp, connection: ConnectionId, packet: Packet, effects: &mut Effects) {
        let Some(&index) = self.by_connection.get(&connection) else { return };
        let Some(live) = self.sessions.get_mut(index).and_then(|session| session.live.as_mut()) else { return };
        live.last_seen = now;
        match packet {
            Packet::Publish(publish) => self.publish(now, index, publish, effects),
            Packet::PubAck(ack) => self.puback(now, index, &ack, effects),
            Packet::PubRec(ack) => self.pubrec(now, index, &ack, effects),
            Packet::PubRel(ack) => self.pubrel(now, index, &ack, effects),
            Packet::PubComp(ack) => self.pubcomp(now, index, &ack, effects),
            Packet::Subscribe(subscribe) => self.subscribe(now, index, &subscribe, effects),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(now, index, &unsubscribe, effects),
            Packet::PingReq => self.answer(now, index, Packet::PingResp, effects),
            Packet::Disconnect(disconnect) => self.disconnect(now, index, &disconnect, effects),
            Packet::Auth(_) => self.violated(now, index, Violation::UnexpectedAuth, effects),
            Packet::Connect(_) => self.violated(now, index, Violation::SecondConnect, effects),
            Packet::ConnAck(_) | Packet::SubAck(_) | Packet::UnsubAck(_) | Packet::PingResp => {
                self.violated(now, index, Violation::WrongDirection(packet.packet_type()), effects);
            }
        }
    }

    fn tick(&mut self, now: Timestamp, effects: &mut Effects) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::KeepAlive(connection) => self.keep_alive_due(now, connection, effects),
                Timer::Will(at) => self.will_due(now, at, effects),
                Timer::SessionExpiry(at) => self.session_expiry_due(now, at, effects),
                Timer::Rewrite => self.rewrite_due(effects),
                Timer::Drops(at) => self.drops_due(now, at, effects),
                Timer::Reload(at) => self.reload_due(at, effects),
            }
        }
        self.expire_retained(now, effects);
    }

    /// Ends a connection whose client broke the protocol. [v5:MQTT-4.13.1-1]
    pub(super) fn violated(&mut self, now: Timestamp, index: u32, violation: Violation, effects: &mut Effects) {
        self.end_connection(now, index, Reason::of(&violation), Some(violation.to_string()), effects);
    }

    /// Answers what waits for nothing but the CONNACK, which is before everything else. [v5:MQTT-3.2.0-1]
    pub(super) fn answer(&mut self, now: Timestamp, index: u32, packet: Packet, effects: &mut Effects) {
        match self.live(index) {
            Some(live) if live.is_welcome => {
                let connection = live.connection;
                effects.push(Effect::Send { connection, packet });
            }
            _ => self.hold(now, index, HeldAck { packet, ticket: None, retained: Vec::new() }, effects),
        }
    }

    /// Owes the session's client an acknowledgement and sends what may go by now. Whoever asks for too many at once is
    /// disconnected.
    pub(super) fn hold(&mut self, now: Timestamp, index: u32, ack: HeldAck, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if ack.ticket.is_none()
            && ack.retained.is_empty()
            && session.inbound.holds_nothing()
            && let Some(live) = session.live.as_ref().filter(|live| live.is_welcome)
        {
            return effects.push(Effect::Send { connection: live.connection, packet: ack.packet });
        }
        if session.inbound.held_requests() >= Limits::MAX_HELD_ACKS {
            let detail = Some(String::from("too many requests wait for their answer"));
            return self.end_connection(now, index, Reason::QueueFull, detail, effects);
        }
        session.inbound.hold(ack);
        self.release_held(now, index, effects);
    }

    /// Sends the acknowledgements that need wait no longer, in their order.
    pub(super) fn release_held(&mut self, now: Timestamp, index: u32, effects: &mut Effects) {
        let mut has_more = false;
        while let Some(session) = self.sessions.get_mut(index) {
            let Some(live) = &mut session.live else { return };
            let Some(ack) = session.inbound.next_ready() else { break };
            has_more |= !live.is_welcome;
            live.is_welcome = true;
            effects.push(Effect::Send { connection: live.connection, packet: ack.packet });
            // One that was replaced while the SUBACK waited is left out: the later one was routed as it came.
            for (message, options) in ack.retained {
                if !self.retained.is_current(&message) {
                    continue;
                }
                has_more = true;
                let queued = Queued::retained(Arc::clone(&message), &options);
                self.queue(index, queued);
                self.write_receivers(&message, effects);
            }
        }
        if has_more {
            self.pump(now, index, effects);
        }
    }

    pub(super) fn live(&mut self, index: u32) -> Option<&mut Live> {
        self.sessions.get_mut(index)?.live.as_mut()
    }

    /// The session of a reference from a timer, a promise or another shard, if it is still there.
    pub(super) fn find(&self, at: SessionRef) -> Option<u32> {
        self.sessions.find(at)
    }

    /// Remembers something that a session did or suffered.
    pub(super) fn record(&self, index: u32, kind: EventKind, effects: &mut Effects) {
        let who = self.sessions.get(index).map_or_else(Who::default, Session::who);
        effects.push(Effect::Record(Box::new(AuditEvent { who, kind })));
    }

    /// The other shards of the broker.
    pub(super) fn peers(&self) -> impl Iterator<Item = ShardId> + use<> {
        let own = self.id;
        (0..self.shards).map(ShardId).filter(move |peer| *peer != own)
    }
}
