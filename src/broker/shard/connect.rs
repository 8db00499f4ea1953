//! How connections and sessions begin and end.

use super::core::Shard;
use super::journal::Journal;
use super::promises::Due;
use super::timers::Timer;
use crate::broker::access::{Permission, Verdict};
use crate::broker::address::Address;
use crate::broker::effect::{ConnectionId, Effect, Effects, SessionRef, partition_of_session};
use crate::broker::event::{AuditEvent, EventKind, Who};
use crate::broker::frame::DurableId;
use crate::broker::input::Connecting;
use crate::broker::message::SessionKey;
use crate::broker::reason::Reason;
use crate::broker::record::Record;
use crate::broker::routing::Routes;
use crate::broker::session::{
    Drops, HeldAck, Inbound, InboundAliases, Live, Outbound, OutboundAliases, Session, Waiting, Will,
};
use crate::broker::time::Timestamp;
use crate::protocol::{
    ConnAck, ConnAckProperties, Connect, Disconnect, DisconnectProperties, Packet, PacketType, Property,
    ProtocolVersion, ReasonCode, Text, Violation,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The will of a client that may be let in, and the session it has.
type Admitted = (Option<Will>, Option<u32>);

/// Why a client is not let in, with more for people.
type Refusal = (Reason, Option<String>);

impl Shard {
    /// Lets a client in, or not. Everything is decided before anything is changed.
    pub(super) fn connect(&mut self, now: Timestamp, connecting: &Connecting, effects: &mut Effects) {
        let client_id = connecting.client_id.compact();
        let key = Arc::new(SessionKey { principal: connecting.principal.clone(), client_id });
        let (will, existing) = match self.admission(connecting, &key) {
            Ok(admitted) => admitted,
            Err((reason, detail)) => return self.refuse(connecting, reason, detail, effects),
        };
        let before = self.promises.last_commit();
        let was_durable = existing.is_some_and(|index| self.is_durable(index));
        if let Some(index) = existing {
            self.catch_up(now, index, effects);
            self.end_connection(now, index, Reason::TakenOver, None, effects);
        }
        let existing = existing.filter(|&index| self.sessions.get(index).is_some());
        let resumed = match existing {
            Some(index) if connecting.connect.clean_start => {
                self.end_session(now, index, Reason::CleanStart, effects);
                None
            }
            other => other,
        };
        let index = resumed.unwrap_or_else(|| self.new_session(Arc::clone(&key), connecting));
        self.attach(now, index, connecting, will);
        if resumed.is_none() {
            let owner = Arc::clone(&key);
            self.journal(index, |session| Record::Began { session, key: owner }, effects);
        }
        self.journal_change(index, effects);
        let kind = EventKind::Connected {
            version: connecting.connect.version,
            session_present: resumed.is_some(),
            encrypted: connecting.carrier.is_encrypted(),
        };
        self.record(index, kind, effects);
        self.tell_groups(index, effects);
        // That a durable session begins, goes on or is over is said when it is on disk, and before everything else.
        let packet = self.connack(connecting, resumed.is_some());
        let Some(at) = self.sessions.get(index).map(|session| session.at) else { return };
        // A will that was retained meanwhile is no business of a session that is not stored.
        let must_wait = was_durable || self.is_durable(index);
        let ticket = must_wait.then(|| self.promises.open(Due::Session(at)));
        let ticket = self.close_promise(ticket, before);
        self.hold(now, index, HeldAck { packet, ticket, retained: Vec::new() }, effects);
    }

    fn is_durable(&self, index: u32) -> bool {
        self.sessions.get(index).is_some_and(|session| session.durable.is_some())
    }

    /// A session that cannot be stored is not begun.
    pub(super) fn refuse_welcome(&mut self, now: Timestamp, index: u32, effects: &mut Effects) {
        let reason = Reason::StoreFailed;
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(live) = session.live.take() else { return };
        // It is kept for a connection that was accepted, and this one is not. [v5:MQTT-3.1.2-7]
        session.will = None;
        self.by_connection.remove(&live.connection);
        let properties = ConnAckProperties::default();
        let connack = ConnAck { session_present: false, reason: reason.code(), properties };
        effects.push(Effect::Send { connection: live.connection, packet: Packet::ConnAck(Box::new(connack)) });
        effects.push(Effect::Close { connection: live.connection, reason });
        self.detached(now, index, reason, None, effects);
    }

    /// What was due for a session before this moment has happened, even if its timer was not looked at yet.
    fn catch_up(&mut self, now: Timestamp, index: u32, effects: &mut Effects) {
        let Some(at) = self.sessions.get(index).map(|session| session.at) else { return };
        self.will_due(now, at, effects);
        self.session_expiry_due(now, at, effects);
    }

    /// The will and the existing session of a client that may be let in.
    fn admission(&self, connecting: &Connecting, key: &Arc<SessionKey>) -> Result<Admitted, Refusal> {
        let rights = self.policy.rights(&key.principal, &key.client_id);
        if let crate::broker::access::Principal::User(name) = &key.principal
            && !self.policy.user(name).is_some_and(|user| user.enabled)
        {
            return Err((Reason::UserDisabled, None));
        }
        if connecting.connect.properties.authentication_method.is_some() {
            return Err((Reason::BadAuthenticationMethod, None));
        }
        if has_too_many_user_properties(&connecting.connect, self.limits.max_user_properties) {
            return Err((Reason::TooManyUserProperties, None));
        }
        let will = match connecting.connect.will.clone() {
            None => None,
            Some(will) => Some(Will::new(will, key).map_err(|why| (Reason::TopicNameInvalid, Some(why.to_string())))?),
        };
        if let Some(will) = &will {
            let verdict = rights.verdict(Permission::Publish, &will.message.topic);
            // While a class is paused its students may come; the will is judged again when it is published.
            if !verdict.is_granted() {
                return Err((Reason::WillNotAllowed, will_refusal(will, verdict)));
            }
        }
        let existing = self.by_key.get(key).copied();
        if existing.is_none() && self.sessions.len() >= self.limits.max_sessions {
            return Err((Reason::TooManySessions, None));
        }
        Ok((will, existing))
    }

    fn refuse(&self, connecting: &Connecting, reason: Reason, detail: Option<String>, effects: &mut Effects) {
        let connection = connecting.connection;
        let mut properties = ConnAckProperties::default();
        if connecting.connect.properties.request_problem_information != Some(false) {
            properties.reason_string = Text::try_from(reason.words()).ok();
        }
        let connack = ConnAck { session_present: false, reason: reason.code(), properties };
        effects.push(Effect::Send { connection, packet: Packet::ConnAck(Box::new(connack)) });
        let who = Who::client(connecting.principal.user(), &connecting.client_id, connecting.address);
        let kind = EventKind::ConnectRefused { reason, detail };
        effects.push(Effect::Record(Box::new(AuditEvent { who, kind })));
        effects.push(Effect::Close { connection, reason });
    }

    fn new_session(&mut self, key: Arc<SessionKey>, connecting: &Connecting) -> u32 {
        let expiry = connecting.connect.properties.session_expiry_interval.unwrap_or(0);
        let durable = (expiry.min(self.limits.max_session_expiry) > 0).then(|| self.new_durable_id(&key));
        let index = self.place_session(key, durable);
        if let Some(session) = self.sessions.get_mut(index) {
            session.address = connecting.address;
        }
        index
    }

    fn new_durable_id(&mut self, key: &SessionKey) -> DurableId {
        self.journal.last_session = self.journal.last_session.saturating_add(1);
        DurableId::new(self.journal.last_session, partition_of_session(key))
    }

    /// A session without a connection, at its place.
    pub(super) fn place_session(&mut self, key: Arc<SessionKey>, durable: Option<DurableId>) -> u32 {
        let rights = self.policy.rights(&key.principal, &key.client_id);
        let mut outbound = Outbound::default();
        if durable.is_some() {
            outbound.make_durable(self.limits.queue_parts);
        }
        let at = self.sessions.insert_with(|at| Session {
            key: Arc::clone(&key),
            at,
            durable,
            listener: None,
            dirty_since: None,
            rights,
            live: None,
            address: Address::Local,
            expiry: None,
            gone_since: None,
            subscriptions: BTreeMap::new(),
            inbound: Inbound::default(),
            outbound,
            once: BTreeSet::new(),
            will: None,
            counted: Waiting::default(),
            drops: Drops::default(),
            recheck_queue: false,
        });
        self.by_key.insert(key, at.index);
        if let Some(durable) = durable {
            self.journal.last_session = self.journal.last_session.max(durable.count());
            self.by_durable.insert(durable, at.index);
        }
        at.index
    }

    /// Gives a session its connection.
    fn attach(&mut self, now: Timestamp, index: u32, connecting: &Connecting, will: Option<Will>) {
        let connect = &connecting.connect;
        let properties = &connect.properties;
        let expiry = properties.session_expiry_interval.unwrap_or(0).min(self.limits.max_session_expiry);
        let keep_alive = self.imposed_keep_alive(connect).unwrap_or(connect.keep_alive);
        let silence_allowed = (keep_alive > 0).then(|| Duration::from_millis(u64::from(keep_alive) * 1500));
        let quota = properties.receive_maximum.unwrap_or(u16::MAX).min(self.limits.max_inflight);
        let aliases = properties.topic_alias_maximum.unwrap_or(0).min(self.limits.topic_alias_maximum);
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.expiry = (expiry > 0).then(|| Duration::from_secs(expiry.into()));
        session.gone_since = None;
        session.address = connecting.address;
        session.listener = connecting.durability;
        session.will = will.map(Box::new);
        session.outbound.begin_connection();
        // What is in flight was allowed when it was sent; the right may have gone since.
        session.recheck_queue = true;
        session.live = Some(Live {
            connection: connecting.connection,
            version: connect.version,
            silence_allowed,
            last_seen: now,
            send_quota: usize::from(quota.max(1)),
            max_packet_size: properties.maximum_packet_size.unwrap_or(u32::MAX),
            wants_reasons: properties.request_problem_information != Some(false),
            routes: Routes::default(),
            inbound_aliases: InboundAliases::new(self.limits.topic_alias_maximum),
            outbound_aliases: OutboundAliases::new(aliases),
            is_welcome: false,
            waiting: 0,
            unwritten: 0,
            since: now,
            carrier: connecting.carrier,
            received: 0,
            sent: 0,
        });
        self.by_connection.insert(connecting.connection, index);
        if let Some(silence) = silence_allowed {
            self.set_timer(now, now.after(silence), Timer::KeepAlive(connecting.connection));
        }
    }

    /// Sets a timer. Those of connections that are gone before their time would pile up behind clients that come and go,
    /// so all are set anew when most are stale.
    pub(super) fn set_timer(&mut self, now: Timestamp, at: Timestamp, timer: Timer) {
        /// So many stale timers are not worth the work.
        const FEW: usize = 1024;
        self.timers.set(at, timer);
        if self.timers.len() > self.sessions.len().saturating_mul(10).saturating_add(FEW) {
            self.renew_timers(now.after(Journal::RETRY));
        }
    }

    fn renew_timers(&mut self, soon: Timestamp) {
        let mut of_use = vec![(soon, Timer::Rewrite)];
        for index in self.sessions.indexes() {
            let Some(session) = self.sessions.get(index) else { continue };
            let live = session.live.as_ref();
            let keep_alive = live.and_then(|live| Some((live.last_seen.after(live.silence_allowed?), live.connection)));
            let expiry = session.gone_since.zip(session.expiry).map(|(gone, expiry)| gone.after(expiry));
            let will = session.gone_since.zip(session.will.as_ref()).map(|(gone, will)| gone.after(will.delay));
            let is_reloading = session.durable.is_some_and(|durable| self.journal.unreadable.contains_key(&durable));
            let reload = is_reloading.then_some(soon);
            of_use.extend(keep_alive.map(|(end, connection)| (end, Timer::KeepAlive(connection))));
            of_use.extend(expiry.map(|end| (end, Timer::SessionExpiry(session.at))));
            of_use.extend(will.map(|end| (end, Timer::Will(session.at))));
            of_use.extend(session.drops.due().map(|end| (end, Timer::Drops(session.at))));
            of_use.extend(reload.map(|at| (at, Timer::Reload(session.at))));
        }
        self.timers.replace(of_use);
    }

    /// The keep alive that a client gets that asks for a longer one, or for none.
    fn imposed_keep_alive(&self, connect: &Connect) -> Option<u16> {
        let maximum = self.limits.max_keep_alive;
        let is_longer = connect.keep_alive == 0 || connect.keep_alive > maximum;
        (maximum > 0 && is_longer).then_some(maximum)
    }

    fn connack(&self, connecting: &Connecting, session_present: bool) -> Packet {
        let connect = &connecting.connect;
        let mut properties = ConnAckProperties::default();
        if connect.version.has_properties() {
            let asked = connect.properties.session_expiry_interval.unwrap_or(0);
            properties.session_expiry_interval =
                (asked > self.limits.max_session_expiry).then_some(self.limits.max_session_expiry);
            properties.receive_maximum = Some(self.limits.receive_maximum);
            properties.maximum_packet_size = Some(self.limits.max_packet_size);
            properties.topic_alias_maximum = Some(self.limits.topic_alias_maximum);
            // [v5:MQTT-3.2.2-21]
            properties.server_keep_alive = self.imposed_keep_alive(connect);
            properties.assigned_client_id = connecting.is_assigned.then(|| connecting.client_id.text().clone());
        }
        let session_present = session_present && connect.version != ProtocolVersion::V3_1;
        Packet::ConnAck(Box::new(ConnAck { session_present, reason: ReasonCode::Success, properties }))
    }

    /// DISCONNECT from the client. [v5:MQTT-3.14.4-3]
    pub(super) fn disconnect(&mut self, now: Timestamp, index: u32, disconnect: &Disconnect, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if let Err(violation) = may_come_from_client(disconnect) {
            return self.violated(now, index, violation, effects);
        }
        if let Some(expiry) = disconnect.properties.session_expiry_interval {
            if session.expiry.is_none() && expiry > 0 {
                return self.violated(now, index, Violation::SessionExpiryRaised, effects);
            }
            let expiry = expiry.min(self.limits.max_session_expiry);
            session.expiry = (expiry > 0).then(|| Duration::from_secs(expiry.into()));
        }
        let reason = if disconnect.reason == ReasonCode::Success {
            session.will = None;
            Reason::ClientDisconnected
        } else {
            Reason::ClientDisconnectedWithWill
        };
        if let Some(live) = session.live.take() {
            self.by_connection.remove(&live.connection);
            effects.push(Effect::Close { connection: live.connection, reason });
        }
        self.detached(now, index, reason, None, effects);
    }

    /// The network connection of a client is gone.
    pub(super) fn lost(&mut self, now: Timestamp, connection: ConnectionId, reason: Reason, effects: &mut Effects) {
        let Some(index) = self.by_connection.remove(&connection) else { return };
        if let Some(session) = self.sessions.get_mut(index) {
            session.live = None;
        }
        self.detached(now, index, reason, None, effects);
    }

    /// Ends a session's connection, if it has one, and tells a client of 5.0 why. [v5:MQTT-3.14.2-1]
    pub(super) fn end_connection(
        &mut self,
        now: Timestamp,
        index: u32,
        reason: Reason,
        detail: Option<String>,
        effects: &mut Effects,
    ) {
        let Some(live) = self.sessions.get_mut(index).and_then(|session| session.live.take()) else { return };
        self.by_connection.remove(&live.connection);
        // [v5:MQTT-3.14.0-1]
        if live.is_welcome && live.version.server_explains_itself() {
            let words = detail.as_deref().unwrap_or(reason.words());
            let reason_string = live.wants_reasons.then(|| Text::try_from(words).ok()).flatten();
            let properties = DisconnectProperties { reason_string, ..DisconnectProperties::default() };
            let disconnect = Disconnect { reason: reason.code(), properties };
            let packet = Packet::Disconnect(Box::new(disconnect));
            effects.push(Effect::Send { connection: live.connection, packet });
        }
        effects.push(Effect::Close { connection: live.connection, reason });
        self.detached(now, index, reason, detail, effects);
    }

    /// The session has no connection any more: its will and its expiry begin to count.
    fn detached(&mut self, now: Timestamp, index: u32, reason: Reason, detail: Option<String>, effects: &mut Effects) {
        self.record(index, EventKind::Disconnected { reason, detail }, effects);
        let Some(session) = self.sessions.get_mut(index) else { return };
        session.gone_since = Some(now);
        session.inbound.forget_held();
        session.outbound.drop_queued_qos0();
        let (at, expiry) = (session.at, session.expiry);
        self.count_queue(index);
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(expiry) = expiry else { return self.end_session(now, index, reason, effects) };
        let delay = session.will.as_ref().map(|will| will.delay);
        self.journal_change(index, effects);
        self.set_timer(now, now.after(expiry), Timer::SessionExpiry(at));
        self.tell_groups(index, effects);
        match delay {
            None => {}
            Some(Duration::ZERO) => self.publish_will(now, index, effects),
            Some(delay) => self.set_timer(now, now.after(delay), Timer::Will(at)),
        }
    }

    /// The time of a will has come, unless the client came back. [v5:MQTT-3.1.3-9]
    pub(super) fn will_due(&mut self, now: Timestamp, at: SessionRef, effects: &mut Effects) {
        let Some(index) = self.find(at) else { return };
        let Some(session) = self.sessions.get(index) else { return };
        let due = session.gone_since.zip(session.will.as_ref()).map(|(gone, will)| gone.after(will.delay));
        if due.is_some_and(|due| due <= now) {
            self.publish_will(now, index, effects);
        }
    }

    /// The time of a session may be over, unless the client came back.
    pub(super) fn session_expiry_due(&mut self, now: Timestamp, at: SessionRef, effects: &mut Effects) {
        let Some(index) = self.find(at) else { return };
        let Some(session) = self.sessions.get(index) else { return };
        // One that was to end with its connection has a broker that went down with both.
        let end = session.gone_since.map(|gone| gone.after(session.expiry.unwrap_or_default()));
        if end.is_some_and(|end| end <= now) {
            self.end_session(now, index, Reason::SessionExpired, effects);
        }
    }

    /// A client may have been silent for too long. [v5:MQTT-3.1.2-22]
    pub(super) fn keep_alive_due(&mut self, now: Timestamp, connection: ConnectionId, effects: &mut Effects) {
        let Some(&index) = self.by_connection.get(&connection) else { return };
        let Some(live) = self.live(index) else { return };
        let Some(silence) = live.silence_allowed else { return };
        let end = live.last_seen.after(silence);
        if end <= now {
            self.end_connection(now, index, Reason::KeepAliveTimeout, None, effects);
        } else {
            self.set_timer(now, end, Timer::KeepAlive(connection));
        }
    }

    /// Ends a session and everything in it; a will that waited is published now. [v5:MQTT-3.1.2-10]
    pub(super) fn end_session(&mut self, now: Timestamp, index: u32, reason: Reason, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let (subscriptions, is_durable) = (std::mem::take(&mut session.subscriptions), session.expiry.is_some());
        for subscription in subscriptions.values() {
            self.remove_subscription(index, &subscription.filter, effects);
        }
        // Only now, or a group could choose the dying session to receive its own will.
        self.publish_will(now, index, effects);
        if is_durable {
            self.record(index, EventKind::SessionEnded { reason }, effects);
        }
        self.say_all_drops(index, effects);
        if let Some(session) = self.sessions.remove(index) {
            self.waiting = self.waiting.without(session.counted);
            self.by_key.remove(&session.key);
            if let Some(durable) = session.durable {
                self.forget(&session, durable, effects);
            }
        }
    }

    /// Publishes the session's will, if there is one and its owner may still publish it.
    fn publish_will(&mut self, now: Timestamp, index: u32, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(will) = session.will.take() else { return };
        self.journal_change(index, effects);
        let Some(session) = self.sessions.get(index) else { return };
        let mut message = will.publish(now);
        (message.durability, _) = self.limits.durabilities.of(&message.topic, message.qos, session.listener);
        let verdict = session.rights.verdict(Permission::Publish, &message.topic);
        let topic = message.topic.text().clone();
        let size = u32::try_from(message.payload.len()).unwrap_or(u32::MAX);
        if !verdict.is_allowed() {
            let rule = if let Verdict::Denied(rule) = verdict { Some(rule) } else { None };
            let kind = EventKind::PublishRefused { topic, size, reason: Reason::WillNotAllowed, rule };
            return self.record(index, kind, effects);
        }
        // Nobody is left to be told with 0x97, so whoever is subscribed gets it and nobody later does.
        message.retain = message.retain && !self.retained_is_full(&message.topic, message.payload.len());
        let message = Arc::new(message);
        let matches = self.matches_of(&message.topic, &message.origin);
        let delivered = self.publish_everywhere(now, &message, &matches, None, effects);
        let (qos, retain) = (message.qos, message.retain);
        let durability = self.unusual_durability(&message);
        self.record(index, EventKind::Published { topic, size, qos, retain, delivered, durability }, effects);
    }

    /// Everything handed to a connection was written, so it can take more.
    pub(super) fn written(&mut self, now: Timestamp, connection: ConnectionId, effects: &mut Effects) {
        let Some(&index) = self.by_connection.get(&connection) else { return };
        let Some(live) = self.live(index) else { return };
        live.unwritten = 0;
        self.pump(now, index, effects);
    }

    /// The broker stops: wills go out while there is somebody to receive them, then everybody is told.
    pub(super) fn shut_down(&mut self, now: Timestamp, effects: &mut Effects) {
        let live: Vec<u32> = self.sessions.indexes();
        for &index in &live {
            if self.live(index).is_some() {
                self.publish_will(now, index, effects);
            }
        }
        for index in live {
            self.end_connection(now, index, Reason::ShuttingDown, None, effects);
        }
    }
}

fn has_too_many_user_properties(connect: &Connect, maximum: usize) -> bool {
    let of_will = connect.will.as_ref().map_or(0, |will| will.properties.user_properties.len());
    connect.properties.user_properties.len().max(of_will) > maximum
}

/// What only a server says in DISCONNECT, a client may not. [v5:MQTT-3.14.2-1]
fn may_come_from_client(disconnect: &Disconnect) -> Result<(), Violation> {
    let packet = PacketType::Disconnect;
    if disconnect.properties.server_reference.is_some() {
        return Err(Violation::PropertyNotAllowed { property: Property::ServerReference, packet });
    }
    match disconnect.reason {
        ReasonCode::NotAuthorized
        | ReasonCode::ServerBusy
        | ReasonCode::ServerShuttingDown
        | ReasonCode::KeepAliveTimeout
        | ReasonCode::SessionTakenOver
        | ReasonCode::TopicFilterInvalid
        | ReasonCode::RetainNotSupported
        | ReasonCode::QoSNotSupported
        | ReasonCode::UseAnotherServer
        | ReasonCode::ServerMoved
        | ReasonCode::SharedSubscriptionsNotSupported
        | ReasonCode::ConnectionRateExceeded
        | ReasonCode::MaximumConnectTime
        | ReasonCode::SubscriptionIdentifiersNotSupported
        | ReasonCode::WildcardSubscriptionsNotSupported => {
            Err(Violation::ReasonCodeNotAllowed { packet, code: disconnect.reason.byte() })
        }
        _ => Ok(()),
    }
}

fn will_refusal(will: &Will, verdict: Verdict) -> Option<String> {
    Some(format!("will topic {:?}: {}", will.message.topic.as_str(), verdict.reason()))
}
