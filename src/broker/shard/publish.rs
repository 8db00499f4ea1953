//! PUBLISH from a client, and the acknowledgements in both directions.

use super::core::Shard;
use super::promises::Due;
use crate::broker::access::{Permission, RuleId, Verdict};
use crate::broker::durability::Durability;
use crate::broker::effect::{CommitId, CommitOutcome, Effect, Effects, PeerFrame, SessionRef, Ticket, expires_at};
use crate::broker::event::EventKind;
use crate::broker::frame::Once;
use crate::broker::message::{Message, MessageProperties, Origin};
use crate::broker::reason::Reason;
use crate::broker::record::Record;
use crate::broker::routing::Route;
use crate::broker::session::{HeldAck, Settled, Stage};
use crate::broker::time::Timestamp;
use crate::protocol::{
    Packet, PacketId, PubAck, PubAckProperties, Publish, QoS, ReasonCode, Text, TopicName, Violation,
};
use std::sync::Arc;

/// What is known of where a message goes when it arrives.
enum Way {
    /// Its publisher has published to the topic before, and may; nothing has changed since.
    Known(Box<Route>),
    /// It must be found out.
    Unknown(TopicName),
}

impl Way {
    fn topic(&self) -> &TopicName {
        match self {
            Self::Known(route) => &route.topic,
            Self::Unknown(topic) => topic,
        }
    }
}

impl Shard {
    /// A message from a client: authorised and routed here, whatever becomes of it later. [v5:MQTT-4.3.3-10]
    pub(super) fn publish(&mut self, now: Timestamp, index: u32, publish: Publish, effects: &mut Effects) {
        let way = match self.admit(index, &publish) {
            Ok(way) => way,
            Err(violation) => return self.violated(now, index, violation, effects),
        };
        if let Some((packet_id, ticket)) = self.repeated(index, &publish) {
            // The first copy may still be on its way to the disk, so the repetition waits for it, too.
            let packet = Packet::PubRec(PubAck::new(packet_id, ReasonCode::Success));
            return self.hold(now, index, HeldAck { packet, ticket, retained: Vec::new() }, effects);
        }
        self.counters.received = self.counters.received.saturating_add(1);
        if let Some(live) = self.live(index) {
            live.received = live.received.saturating_add(1);
        }
        match self.refusal_of(index, &publish, &way) {
            None => self.accept_publish(now, index, publish, way, effects),
            Some(refusal) => self.refuse_publish(now, index, &publish, way.topic(), refusal, effects),
        }
    }

    /// Why a message may not be published, if it may not.
    fn refusal_of(&self, index: u32, publish: &Publish, way: &Way) -> Option<(Reason, Option<RuleId>)> {
        if let Way::Unknown(topic) = way {
            match self.sessions.get(index)?.rights.verdict(Permission::Publish, topic) {
                Verdict::Allowed(_) => {}
                verdict @ (Verdict::Denied(rule) | Verdict::Paused(rule)) => {
                    return Some((verdict.reason(), Some(rule)));
                }
                verdict @ (Verdict::NoRule | Verdict::Reserved | Verdict::NoSuchUser) => {
                    return Some((verdict.reason(), None));
                }
            }
        }
        if publish.retain && self.retained_is_full(way.topic(), publish.payload.len()) {
            return Some((Reason::TooManyRetained, None));
        }
        if publish.properties.user_properties.len() > self.limits.max_user_properties {
            return Some((Reason::TooManyUserProperties, None));
        }
        None
    }

    /// The way of a message that may come now. A route that is known is taken out, to be kept again.
    fn admit(&mut self, index: u32, publish: &Publish) -> Result<Way, Violation> {
        let version = self.trie.version();
        let Some(session) = self.sessions.get_mut(index) else { return Err(Violation::TopicMissing) };
        let Some(live) = session.live.as_mut() else { return Err(Violation::TopicMissing) };
        // Before 5.0 a client is not told of a maximum, so its 65,535 identifiers are the bound.
        let maximum = if live.version.has_properties() { self.limits.receive_maximum } else { u16::MAX };
        if !publish.properties.subscription_ids.is_empty() {
            return Err(Violation::SubscriptionIdFromClient);
        }
        let is_repeated =
            publish.qos == QoS::ExactlyOnce && publish.packet_id.is_some_and(|id| session.inbound.taken(id).is_some());
        if publish.qos > QoS::AtMostOnce && !is_repeated && session.inbound.unacknowledged() >= usize::from(maximum) {
            return Err(Violation::ReceiveMaximumExceeded(maximum));
        }
        let alias = publish.properties.topic_alias;
        if alias.is_none()
            && let Some(route) = live.routes.take(publish.topic.as_bytes())
        {
            return Ok(if route.version == version { Way::Known(route) } else { Way::Unknown(route.topic) });
        }
        let topic = live.inbound_aliases.resolve(&publish.topic, alias)?;
        let route = live.routes.take(topic.as_bytes()).filter(|route| route.version == version);
        Ok(route.map_or(Way::Unknown(topic), Way::Known))
    }

    /// The identifier of a QoS 2 message that was taken over before, with what its acknowledgement waits for. A new
    /// one counts as taken from now on.
    fn repeated(&mut self, index: u32, publish: &Publish) -> Option<(PacketId, Option<Ticket>)> {
        let packet_id = publish.packet_id.filter(|_| publish.qos == QoS::ExactlyOnce)?;
        let change = self.promises.coming_commit();
        let inbound = &mut self.sessions.get_mut(index)?.inbound;
        let known = inbound.taken(packet_id).filter(|_| !inbound.uncertain.contains(&packet_id));
        inbound.take(packet_id, change);
        Some((packet_id, known?.waits_for))
    }

    /// Whether a message for this topic would be one retained message too many.
    pub(super) fn retained_is_full(&self, topic: &TopicName, payload_len: usize) -> bool {
        payload_len > 0
            && self.retained.get(topic).is_none()
            && (self.retained.len() >= self.limits.max_retained_messages
                || self.retained.bytes().saturating_add(payload_len) > self.limits.max_retained_bytes)
    }

    fn accept_publish(&mut self, now: Timestamp, index: u32, publish: Publish, way: Way, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let (at, listener, origin) = (session.at, session.listener, Origin::Client(Arc::clone(&session.key)));
        let (qos, packet_id, retain) = (publish.qos, publish.packet_id, publish.retain);
        let size = u32::try_from(publish.payload.len()).unwrap_or(u32::MAX);
        let route = match way {
            Way::Known(route) => route,
            Way::Unknown(topic) => self.find_route(&topic, &origin),
        };
        let (durability, _) = self.limits.durabilities.of(&route.topic, qos, listener);
        let message = Message {
            topic: route.topic.clone(),
            payload: publish.payload,
            qos,
            retain,
            expires_at: expires_at(now, publish.properties.message_expiry_interval),
            origin,
            durability,
            properties: MessageProperties::of(publish.properties),
        };
        // What may be kept must not keep the read buffer that it arrived in.
        let message = Arc::new(if retain || qos > QoS::AtMostOnce { message.let_go() } else { message });
        if let Some((refusing, reason)) = self.refusal_for(index, &message) {
            self.keep_route(index, route);
            self.dropped(now, refusing, &message, reason, effects);
            return self.answer_refusal(now, index, qos, packet_id, reason, effects);
        }
        if let Some(packet_id) = packet_id.filter(|_| qos == QoS::ExactlyOnce)
            && let Some(session) = self.sessions.get_mut(index)
        {
            session.inbound.uncertain.remove(&packet_id);
        }
        let ticket = (qos > QoS::AtMostOnce).then(|| self.promises.open(Due::Session(at)));
        let before = self.promises.last_commit();
        if let Some(packet_id) = packet_id.filter(|_| qos == QoS::ExactlyOnce) {
            self.journal(index, |session| Record::Taken { session, packet_id }, effects);
        }
        self.journal.once = self.once_of(index, packet_id.filter(|_| qos == QoS::ExactlyOnce));
        self.is_refused = false;
        let matched = self.publish_everywhere(now, &message, &route.matches, ticket, effects);
        self.journal.once = None;
        self.keep_route(index, route);
        let ticket = self.close_message_promise(ticket, before, &message);
        let outcome = self.outcome_of_routing();
        if self.limits.log_publish && self.log_budget.affords(now, self.limits.max_events_per_second) {
            let topic = message.topic.text().clone();
            let (delivered, durability) = (matched, self.unusual_durability(&message));
            let kind = EventKind::Published { topic, size, qos, retain, delivered, durability };
            self.record(index, kind, effects);
        }
        if let Some(packet_id) = packet_id {
            self.acknowledge(now, index, qos, packet_id, (matched, outcome), ticket, effects);
        }
    }

    /// Where the publisher's messages of this topic go, as far as the tree knows now.
    pub(super) fn find_route(&self, topic: &TopicName, origin: &Origin) -> Box<Route> {
        let matches = self.matches_of(topic, origin);
        Box::new(Route { topic: topic.compact(), matches, version: self.trie.version() })
    }

    fn keep_route(&mut self, index: u32, route: Box<Route>) {
        if let Some(live) = self.live(index) {
            live.routes.keep(route);
        }
    }

    /// The session that would have to refuse a message whose publisher can be told so, with the reason.
    fn refusal_for(&mut self, index: u32, message: &Message) -> Option<(u32, Reason)> {
        let speaks = self.live(index).is_some_and(|live| live.version.has_properties());
        speaks.then(|| self.would_be_refused(&message.topic, message.qos, message)).flatten()
    }

    /// What a QoS 2 message of a durable publisher is known by.
    fn once_of(&self, index: u32, packet_id: Option<PacketId>) -> Option<Once> {
        let publisher = self.sessions.get(index)?.durable?;
        Some(Once { publisher, packet_id: packet_id? })
    }

    /// A promise waits for what was written down since `before`; one that waits for nothing is closed.
    pub(super) fn close_promise(&mut self, ticket: Option<Ticket>, before: CommitId) -> Option<Ticket> {
        let ticket = ticket?;
        self.wait_for_changes(ticket, before);
        self.promises.close_if_empty(ticket)
    }

    /// The same for the promise that a message was taken over: one of the weakest class does not wait for the disk.
    pub(super) fn close_message_promise(
        &mut self,
        ticket: Option<Ticket>,
        before: CommitId,
        message: &Message,
    ) -> Option<Ticket> {
        match message.durability {
            Durability::Memory => ticket.and_then(|ticket| self.promises.close_if_empty(ticket)),
            Durability::Os | Durability::Commit => self.close_promise(ticket, before),
        }
    }

    /// The class of a message where it is not that which holds in general.
    pub(super) fn unusual_durability(&self, message: &Message) -> Option<Durability> {
        Some(message.durability).filter(|class| *class != self.limits.durabilities.general())
    }

    #[expect(clippy::too_many_arguments, reason = "what became of one message, told once")]
    fn acknowledge(
        &mut self,
        now: Timestamp,
        index: u32,
        qos: QoS,
        packet_id: PacketId,
        (matched, outcome): (u32, CommitOutcome),
        ticket: Option<Ticket>,
        effects: &mut Effects,
    ) {
        let speaks = self.live(index).is_some_and(|live| live.version.has_properties());
        let is_refused = outcome == CommitOutcome::Refused && speaks;
        let reason = match matched {
            // Of a promise that waits, the outcome decides when it is kept.
            _ if is_refused && ticket.is_none() => Reason::QueueFull.code(),
            0 if speaks => ReasonCode::NoMatchingSubscribers,
            _ => ReasonCode::Success,
        };
        ticket.filter(|_| is_refused).inspect(|ticket| self.promises.spoil(*ticket, outcome));
        let ack = PubAck::new(packet_id, reason);
        let packet = if qos == QoS::ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
        if let Some(session) = self.sessions.get_mut(index).filter(|_| qos == QoS::ExactlyOnce) {
            if reason.is_error() {
                session.inbound.release(packet_id);
                self.journal(index, |session| Record::Released { session, packet_id }, effects);
            } else {
                session.inbound.hold_taken(packet_id, ticket);
            }
        }
        self.hold(now, index, HeldAck { packet, ticket, retained: Vec::new() }, effects);
    }

    /// A message that may not be published: 5.0 is told so; older clients get the acknowledgement that ends their
    /// retries, and the log says what happened. [v5:MQTT-3.3.5-2] [v311:MQTT-3.3.5-2]
    fn refuse_publish(
        &mut self,
        now: Timestamp,
        index: u32,
        publish: &Publish,
        topic: &TopicName,
        (reason, rule): (Reason, Option<RuleId>),
        effects: &mut Effects,
    ) {
        let size = u32::try_from(publish.payload.len()).unwrap_or(u32::MAX);
        let kind = EventKind::PublishRefused { topic: topic.text().clone(), size, reason, rule };
        self.record(index, kind, effects);
        self.answer_refusal(now, index, publish.qos, publish.packet_id, reason, effects);
    }

    fn answer_refusal(
        &mut self,
        now: Timestamp,
        index: u32,
        qos: QoS,
        packet_id: Option<PacketId>,
        reason: Reason,
        effects: &mut Effects,
    ) {
        let Some(packet_id) = packet_id else { return };
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(live) = session.live.as_ref() else { return };
        let was_taken = qos == QoS::ExactlyOnce && session.inbound.uncertain.remove(&packet_id);
        let mut ticket = None;
        let ack = if live.version.has_properties() {
            let taken = session.inbound.release(packet_id).filter(|_| was_taken);
            let reason_string = live.wants_reasons.then(|| Text::try_from(reason.words()).ok()).flatten();
            let properties = PubAckProperties { reason_string, user_properties: Vec::new() }.into();
            if let Some(taken) = taken {
                ticket = self.forget_taken(index, vec![(packet_id, taken.change)], effects);
            }
            PubAck { packet_id, reason: reason.code(), properties }
        } else {
            if qos == QoS::ExactlyOnce {
                self.journal(index, |session| Record::Taken { session, packet_id }, effects);
            }
            PubAck::new(packet_id, ReasonCode::Success)
        };
        let packet = if qos == QoS::ExactlyOnce { Packet::PubRec(ack) } else { Packet::PubAck(ack) };
        self.hold(now, index, HeldAck { packet, ticket, retained: Vec::new() }, effects);
    }

    /// PUBREL: the client will not send the message again. [v5:MQTT-4.3.3-11]
    pub(super) fn pubrel(&mut self, now: Timestamp, index: u32, ack: &PubAck, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let (at, packet_id) = (session.at, ack.packet_id);
        let taken = session.inbound.release(packet_id);
        let reason = if taken.is_some() { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        let packet = Packet::PubComp(PubAck::new(packet_id, reason));
        // Once the client knows that it may use the identifier again, the broker must not take that for a repetition.
        let before = self.promises.last_commit();
        let ticket = self.sessions.get(index).and_then(|session| session.durable).map(|_| {
            let ticket = self.promises.open(Due::Session(at));
            self.release_everywhere(index, packet_id, taken.map(|taken| taken.change), ticket, effects);
            ticket
        });
        let ticket = self.close_promise(ticket, before);
        self.hold(now, index, HeldAck { packet, ticket, retained: Vec::new() }, effects);
    }

    /// PUBACK: a QoS 1 message has arrived.
    pub(super) fn puback(&mut self, now: Timestamp, index: u32, ack: &PubAck, effects: &mut Effects) {
        self.finished(now, index, ack.packet_id, Stage::Ack, effects);
        self.pump(now, index, effects);
    }

    /// PUBREC: a QoS 2 message has arrived, or was refused. [v5:MQTT-4.3.3-4] [v5:MQTT-4.4.0-2]
    pub(super) fn pubrec(&mut self, now: Timestamp, index: u32, ack: &PubAck, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let packet_id = ack.packet_id;
        if ack.reason.is_error() {
            self.finished(now, index, packet_id, Stage::Rec, effects);
            return self.pump(now, index, effects);
        }
        let known = session.outbound.receive(packet_id);
        let reason = if known { ReasonCode::Success } else { ReasonCode::PacketIdentifierNotFound };
        let Some(connection) = session.live.as_ref().map(|live| live.connection) else { return };
        let packet = Packet::PubRel(PubAck::new(packet_id, reason));
        if known {
            // After PUBREL the client forgets the identifier, so the broker must not send the message again.
            self.journal(index, |session| Record::Received { session, packet_id }, effects);
            self.send_when_stored(index, Effect::Send { connection, packet }, effects);
        } else {
            self.answer(now, index, packet, effects);
        }
    }

    /// PUBCOMP: the identifier of a QoS 2 message is free again.
    pub(super) fn pubcomp(&mut self, now: Timestamp, index: u32, ack: &PubAck, effects: &mut Effects) {
        self.finished(now, index, ack.packet_id, Stage::Comp, effects);
        self.pump(now, index, effects);
    }

    /// A message in flight is done with, if it waited for this.
    fn finished(&mut self, now: Timestamp, index: u32, packet_id: PacketId, stage: Stage, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if let Some(sent) = session.outbound.acknowledge(packet_id, stage) {
            self.journal_finished(now, index, &sent, effects);
        }
    }

    /// A promise to a session is kept, or could not be: then the publisher must not believe that it was.
    pub(super) fn promise_to_session(
        &mut self,
        now: Timestamp,
        at: SessionRef,
        ticket: Ticket,
        outcome: CommitOutcome,
        effects: &mut Effects,
    ) {
        let Some(index) = self.find(at) else { return };
        let speaks = self.live(index).is_some_and(|live| live.version.has_properties());
        // Before 5.0 there is no way to say that a queue is full: it is counted and logged.
        let outcome = match outcome {
            CommitOutcome::Refused if !speaks => CommitOutcome::Stored,
            other => other,
        };
        let next = match outcome {
            CommitOutcome::Stored => None,
            CommitOutcome::Refused | CommitOutcome::Failed if speaks => self.give_back(index, ticket, effects),
            CommitOutcome::Refused | CommitOutcome::Failed => None,
        };
        let Some(session) = self.sessions.get_mut(index) else { return };
        if outcome == CommitOutcome::Failed && !speaks {
            session.inbound.doubt(ticket);
        }
        let settled = session.inbound.settle(ticket, outcome, next);
        if settled == Settled::NotOwed {
            return;
        }
        let is_welcome = session.live.as_ref().is_some_and(|live| live.is_welcome);
        if outcome == CommitOutcome::Failed && !is_welcome {
            return self.refuse_welcome(now, index, effects);
        }
        if outcome == CommitOutcome::Failed && (!speaks || settled == Settled::Unspeakable) {
            // Where there is no way to say no, as before 5.0, the client must find out by connecting again.
            return self.end_connection(now, index, Reason::StoreFailed, None, effects);
        }
        self.release_held(now, index, effects);
    }

    /// A message of QoS 2 is not taken over after all. If only another shard could not store it, the journal of this one
    /// says that it was.
    fn give_back(&mut self, index: u32, ticket: Ticket, effects: &mut Effects) -> Option<Ticket> {
        let inbound = &self.sessions.get(index)?.inbound;
        let waiting = inbound.waiting_for(ticket).into_iter();
        let given_back = waiting.filter_map(|id| Some((id, inbound.taken(id)?.change))).collect();
        self.forget_taken(index, given_back, effects)
    }

    /// Messages of QoS 2 were taken over, here or by some receivers, and are refused now: a new message with the same
    /// identifier must not be taken for a repetition. What their publisher has to wait for until it is told, and may use
    /// the identifier again: that everybody has forgotten them.
    fn forget_taken(&mut self, index: u32, taken: Vec<(PacketId, CommitId)>, effects: &mut Effects) -> Option<Ticket> {
        if taken.is_empty() {
            return None;
        }
        let at = self.sessions.get(index)?.at;
        let (next, before) = (self.promises.open(Due::Session(at)), self.promises.last_commit());
        for (packet_id, change) in taken {
            self.release_everywhere(index, packet_id, Some(change), next, effects);
        }
        self.close_promise(Some(next), before)
    }

    /// Has every shard forget a message of QoS 2 that was taken over by that change; if nobody remembers which, it was
    /// forgotten before. The promise waits until the disk knows, however long: what came of an identifier that is used
    /// again too early could not be told from the message before.
    fn release_everywhere(
        &mut self,
        index: u32,
        packet_id: PacketId,
        taken: Option<CommitId>,
        promise: Ticket,
        effects: &mut Effects,
    ) {
        self.promises.insist(promise);
        match taken {
            Some(change) if self.journal.is_lost(change) => {}
            Some(_) => self.journal(index, |session| Record::Released { session, packet_id }, effects),
            None => self.wait_for_earlier_changes(effects),
        }
        let Some(once) = self.once_of(index, Some(packet_id)) else { return };
        self.forget_once(once, effects);
        for peer in self.peers() {
            self.promises.wait_for_one(promise);
            let (ticket, again) = (Some(promise), taken.is_none());
            effects.push(Effect::Forward { peer, frame: PeerFrame::Released { once, ticket, again } });
        }
    }
}
