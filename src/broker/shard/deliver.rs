//! From a message to the connections of those who want it.

use super::core::Shard;
use super::policy::may_still_be_sent;
use super::timers::Timer;
use crate::broker::access::Permission;
use crate::broker::durability::{Durability, QueueFull};
use crate::broker::effect::{
    AliasUse, Delivery, Effect, Effects, GroupKey, PeerFrame, RetainedVersion, SessionRef, ShardId, StoreOp, Ticket,
};
use crate::broker::event::EventKind;
use crate::broker::limits::Limits;
use crate::broker::message::{Message, Origin};
use crate::broker::reason::Reason;
use crate::broker::record::Record;
use crate::broker::routing::{Match, Matches};
use crate::broker::session::{Live, Queued, Session, Stage, Unsaid};
use crate::broker::time::Timestamp;
use crate::protocol::{Packet, PacketId, PubAck, QoS, ReasonCode, SharedFilter, Text, TopicName};
use std::sync::Arc;

impl Shard {
    /// Publishes a message that a client of this shard, or its will, brought: to everybody who wants it, and if it is to
    /// be retained, to all shards and the store.
    pub(super) fn publish_everywhere(
        &mut self,
        now: Timestamp,
        message: &Arc<Message>,
        matches: &Matches,
        ticket: Option<Ticket>,
        effects: &mut Effects,
    ) -> u32 {
        let retained = message.retain.then(|| self.retain(message, effects));
        for peer in self.peers() {
            let route = matches.peers.contains(&peer);
            if !route && retained.is_none() {
                continue;
            }
            if let Some(ticket) = ticket {
                self.promises.wait_for_one(ticket);
            }
            let once = self.journal.once;
            let frame = PeerFrame::Published { message: Arc::clone(message), route, retained, once, ticket };
            effects.push(Effect::Forward { peer, frame });
        }
        self.deliver_here(now, message, matches, ticket, effects);
        u32::try_from(matches.count()).unwrap_or(u32::MAX)
    }

    /// Delivers a message that another shard passed on.
    pub(super) fn deliver_forwarded(
        &mut self,
        now: Timestamp,
        message: &Arc<Message>,
        ticket: Option<Ticket>,
        effects: &mut Effects,
    ) {
        let known = self.recent.take(&message.topic, self.trie.version());
        let route = known.unwrap_or_else(|| self.find_route(&message.topic, &message.origin));
        self.deliver_here(now, message, &route.matches, ticket, effects);
        self.recent.keep(route);
    }

    /// Makes a message the retained one of its topic and stores that. [v5:MQTT-3.3.1-5]
    fn retain(&mut self, message: &Arc<Message>, effects: &mut Effects) -> RetainedVersion {
        let version = self.retained.next_version(self.id.0);
        self.retained.apply(message, version);
        let op = if message.payload.is_empty() {
            StoreOp::Unretain { topic: message.topic.clone(), version }
        } else {
            StoreOp::Retain { message: Arc::clone(message), version }
        };
        // What is retained is there after a restart in every class: an older message must not come back in its place.
        let commit = self.store(message.durability.max(Durability::Os), op, effects);
        self.journal.retaining.push((commit, message.topic.clone(), version));
        version
    }

    /// Stores again what is retained for a topic, if that change of it was lost and no later one is known: what everybody
    /// is told in the meantime must be there after a restart.
    pub(super) fn retain_again(&mut self, topic: &TopicName, version: RetainedVersion, effects: &mut Effects) {
        let op = match self.retained.get(topic) {
            Some(kept) if kept.version == version => StoreOp::Retain { message: Arc::clone(&kept.message), version },
            Some(_) => return,
            None => StoreOp::Unretain { topic: topic.clone(), version },
        };
        let commit = self.store(self.limits.durabilities.of_identifiers(), op, effects);
        self.journal.retaining.push((commit, topic.clone(), version));
    }

    /// Takes expired retained messages out of memory and store. Every shard sees the same expiry, so the first one
    /// does it for the store.
    pub(super) fn expire_retained(&mut self, now: Timestamp, effects: &mut Effects) {
        while let Some(expired) = self.retained.pop_expired(now) {
            if self.id == ShardId(0) {
                let op = StoreOp::Unretain { topic: expired.message.topic.clone(), version: expired.version };
                self.store(Durability::Os, op, effects);
            }
        }
    }

    /// Who wants the messages of a topic, found in the tree.
    pub(super) fn matches_of(&self, topic: &TopicName, origin: &Origin) -> Matches {
        let mut matches = Matches::default();
        let found = &mut |leaf| matches.add(leaf, |index| self.is_from(origin, index));
        self.trie.for_each_match(topic, found);
        matches.join();
        matches
    }

    fn deliver_here(
        &mut self,
        now: Timestamp,
        message: &Arc<Message>,
        matches: &Matches,
        ticket: Option<Ticket>,
        effects: &mut Effects,
    ) {
        for found in &matches.sessions {
            self.deliver(now, found.index, Queued::live(Arc::clone(message), found), effects);
        }
        self.write_receivers(message, effects);
        for group in &matches.groups {
            self.deliver_to_group(now, *group, message, ticket, 0, effects);
        }
    }

    /// Whether a message was published by this session. [v5:MQTT-3.8.3-3]
    pub(super) fn is_from(&self, origin: &Origin, index: u32) -> bool {
        match (origin, self.sessions.get(index)) {
            (Origin::Client(key), Some(session)) => **key == *session.key,
            (Origin::Client(_) | Origin::System, _) => false,
        }
    }

    /// Gives a message to one member of a group that this shard keeps: to the next that may have it, after so many it
    /// was offered before.
    pub(super) fn deliver_to_group(
        &mut self,
        now: Timestamp,
        group: u32,
        message: &Arc<Message>,
        ticket: Option<Ticket>,
        mut tried: u16,
        effects: &mut Effects,
    ) {
        while let Some(keeper) = self.groups.get_mut(group) {
            let Some(member) = keeper.choose(tried) else { return self.counters.drop(Reason::Denied) };
            tried = tried.saturating_add(1);
            let (group, session) = (Arc::clone(&keeper.key), member.at.session);
            if member.at.shard != self.id {
                if let Some(ticket) = ticket {
                    self.promises.wait_for_one(ticket);
                }
                let (message, once) = (Arc::clone(message), self.journal.once);
                let frame = PeerFrame::GroupDelivery { group, member: session, message, once, ticket, tried };
                return effects.push(Effect::Forward { peer: member.at.shard, frame });
            }
            if self.deliver_to_member(now, &group, session, message, effects) == Offer::Taken {
                return;
            }
        }
    }

    /// Delivers to a member of a group, which this or another shard keeps, the way it takes part now, if it still does.
    pub(super) fn deliver_to_member(
        &mut self,
        now: Timestamp,
        group: &GroupKey,
        member: SessionRef,
        message: &Arc<Message>,
        effects: &mut Effects,
    ) -> Offer {
        let Some(index) = self.find(member) else { return Offer::Left };
        let Some(session) = self.sessions.get(index) else { return Offer::Left };
        let name = SharedFilter { share: Some(group.share.clone()), filter: group.filter.clone() }.to_string();
        let Some(subscription) = session.subscriptions.get(name.as_str()) else { return Offer::Left };
        let queued = Queued::live(Arc::clone(message), &Match::new(index, &subscription.options));
        if queued.check_delivery && !may_receive(session, &queued) {
            return Offer::Forbidden;
        }
        self.deliver(now, index, queued, effects);
        self.write_receivers(message, effects);
        Offer::Taken
    }

    /// Sends a message to a session, or queues it.
    fn deliver(&mut self, now: Timestamp, index: u32, queued: Queued, effects: &mut Effects) {
        let Some(session) = self.sessions.get(index) else { return };
        if queued.check_delivery && !may_receive(session, &queued) {
            self.counters.drop(Reason::Denied);
            return;
        }
        if queued.qos == QoS::ExactlyOnce && self.has_taken(index) {
            return self.wait_for_takers(effects);
        }
        let is_first = session.outbound.queue_is_empty_for(queued.qos);
        if is_first && may_send(session, queued.qos, self.limits.high_water) {
            self.transmit(now, index, queued, Source::Router, effects);
        } else {
            self.enqueue(now, index, queued, effects);
        }
    }

    /// Queues a message, which is owed from here on.
    pub(super) fn queue(&mut self, index: u32, queued: Queued) {
        if queued.qos > QoS::AtMostOnce {
            self.owe(index, &queued, None);
        }
        if let Some(session) = self.sessions.get_mut(index) {
            session.outbound.push(queued);
        }
        self.note_length(index);
        self.count_queue(index);
    }

    /// Counts what waits for a session anew, for the sum over all.
    pub(super) fn count_queue(&mut self, index: u32) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let before = std::mem::replace(&mut session.counted, session.outbound.waiting());
        self.waiting = self.waiting.without(before).with(session.counted);
    }

    fn enqueue(&mut self, now: Timestamp, index: u32, mut queued: Queued, effects: &mut Effects) {
        let Some(session) = self.sessions.get(index) else { return };
        // Nobody is owed a message of QoS 0 while away, so its absence is not worth a word.
        if queued.qos == QoS::AtMostOnce && session.live.is_none() {
            return;
        }
        let queue_full = self.limits.durabilities.queue_full(&queued.message.topic);
        while let Some(reason) = self.why_full(index, queued.qos, &queued.message) {
            let makes_room = queue_full == QueueFull::DropOldest && self.fits_an_empty_queue(&queued.message);
            if !makes_room || !self.drop_oldest(now, index, &queued, reason, effects) {
                self.is_refused |= queue_full == QueueFull::Refuse && queued.qos > QoS::AtMostOnce;
                return self.dropped(now, index, &queued.message, reason, effects);
            }
        }
        if queued.qos == QoS::AtMostOnce || queued.message.qos == QoS::AtMostOnce {
            queued.message = kept_copy(&mut self.kept_copy, queued.message);
        }
        self.queue(index, queued);
    }

    /// Why a message may not wait for a session, if it may not.
    fn why_full(&self, index: u32, qos: QoS, message: &Message) -> Option<Reason> {
        let (limits, session) = (&self.limits, self.sessions.get(index)?);
        let (outbound, size) = (&session.outbound, message.size());
        if qos == QoS::AtMostOnce && outbound.queued_qos0_bytes() >= Limits::QUEUED_QOS0_BYTES {
            return Some(Reason::SlowReceiver);
        }
        let waiting = outbound.waiting();
        let (bytes, max_bytes) = match session.durable {
            Some(_) if message.durability > Durability::Memory => (waiting.bytes, limits.max_queued_bytes),
            Some(_) => (outbound.queued_memory_bytes(), Limits::QUEUED_IN_MEMORY_BYTES),
            None => (waiting.bytes, limits.max_queued_bytes.min(Limits::QUEUED_IN_MEMORY_BYTES)),
        };
        if waiting.messages >= limits.max_queued_messages || bytes.saturating_add(size) > max_bytes {
            return Some(Reason::QueueFull);
        }
        let is_full = self.waiting.messages >= limits.max_all_queued_messages
            || self.waiting.bytes.saturating_add(size) > limits.max_all_queued_bytes;
        is_full.then_some(Reason::BrokerFull)
    }

    /// Whether dropping others can make room for a message at all.
    fn fits_an_empty_queue(&self, message: &Message) -> bool {
        let limits = &self.limits;
        message.size() <= limits.max_queued_bytes.min(limits.max_all_queued_bytes) && limits.max_queued_messages > 0
    }

    /// The first session of this shard that would have to refuse the message, with the reason: then nobody gets it, and its
    /// publisher is told. What other shards refuse is known when they have been asked.
    pub(super) fn would_be_refused(&self, topic: &TopicName, qos: QoS, message: &Message) -> Option<(u32, Reason)> {
        if qos == QoS::AtMostOnce || self.limits.durabilities.queue_full(topic) != QueueFull::Refuse {
            return None;
        }
        let mut refusal = None;
        self.trie.for_each_match(topic, &mut |leaf| {
            for (index, options) in leaf.sessions() {
                if refusal.is_some() || options.qos == QoS::AtMostOnce {
                    continue;
                }
                let goes_at_once = self.sessions.get(*index).is_some_and(|session| {
                    session.outbound.queue_is_empty_for(qos) && may_send(session, qos, self.limits.high_water)
                });
                let reason = || self.why_full(*index, qos.min(options.qos), message);
                refusal = (!goes_at_once).then(reason).flatten().map(|reason| (*index, reason));
            }
        });
        refusal
    }

    /// Counts a message that a subscriber does not get, and says so in the log: the first at once, more in sums.
    pub(super) fn dropped(
        &mut self,
        now: Timestamp,
        index: u32,
        message: &Message,
        reason: Reason,
        effects: &mut Effects,
    ) {
        self.counters.drop(reason);
        if reason != Reason::Expired {
            self.say_drop(now, index, reason, message.topic.text(), 1, effects);
        }
    }

    pub(super) fn say_drop(
        &mut self,
        now: Timestamp,
        index: u32,
        reason: Reason,
        topic: &Text,
        count: u32,
        effects: &mut Effects,
    ) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        if session.drops.note(now, reason, topic, count) {
            let (at, due) = (session.at, session.drops.due());
            due.into_iter().for_each(|due| self.timers.set(due, Timer::Drops(at)));
            self.record(index, EventKind::Dropped { topic: topic.clone(), reason, count }, effects);
        }
    }

    /// It is time to say how many messages a session was not sent.
    pub(super) fn drops_due(&mut self, now: Timestamp, at: SessionRef, effects: &mut Effects) {
        let Some(index) = self.find(at) else { return };
        let Some(session) = self.sessions.get_mut(index) else { return };
        let sums = session.drops.take_due(now);
        let next = session.drops.due();
        next.into_iter().for_each(|due| self.timers.set(due, Timer::Drops(at)));
        self.say_sums(index, sums, effects);
    }

    /// A session ends, so what is not said yet is said now.
    pub(super) fn say_all_drops(&mut self, index: u32, effects: &mut Effects) {
        let sums = self.sessions.get_mut(index).map(|session| session.drops.take());
        self.say_sums(index, sums.unwrap_or_default(), effects);
    }

    fn say_sums(&self, index: u32, sums: Vec<Unsaid>, effects: &mut Effects) {
        for Unsaid { reason, topic, count } in sums {
            self.record(index, EventKind::Dropped { topic, reason, count }, effects);
        }
    }

    /// Sends what waits and may go: what is of QoS 0, what was in flight when the connection began, and the queue.
    pub(super) fn pump(&mut self, now: Timestamp, index: u32, effects: &mut Effects) {
        self.send_what_may_go(now, index, effects);
        self.count_queue(index);
    }

    fn send_what_may_go(&mut self, now: Timestamp, index: u32, effects: &mut Effects) {
        let high_water = self.limits.high_water;
        while let Some(session) = self.sessions.get_mut(index) {
            let next = if may_send(session, QoS::AtMostOnce, high_water)
                && let Some(queued) = session.outbound.pop_qos0()
            {
                queued
            } else if session.outbound.has_unsent() {
                if !may_resend(session, high_water) {
                    return;
                }
                self.resend_next(now, index, effects);
                continue;
            } else if may_send(session, QoS::AtLeastOnce, high_water)
                && let Some(queued) = session.outbound.pop()
            {
                queued
            } else {
                session.recheck_queue &= !session.outbound.queue_is_empty();
                return self.load_chunk(now, index, effects);
            };
            let is_allowed = match session.recheck_queue {
                true => may_still_be_sent(&self.policy, session, &next.message, next.is_retained),
                false => !next.check_delivery || may_receive(session, &next),
            };
            if !is_allowed {
                self.counters.drop(Reason::Denied);
                if next.is_recorded() {
                    self.journal(index, |session| Record::Dropped { session }, effects);
                }
                continue;
            }
            self.transmit(now, index, next, Source::Queue, effects);
        }
    }

    /// Sends a message now; above QoS 0 it is in flight from here on. One of QoS 2 goes to a durable session when that is
    /// on disk: sent again under another identifier it would arrive twice.
    fn transmit(&mut self, now: Timestamp, index: u32, queued: Queued, source: Source, effects: &mut Effects) {
        let qos = queued.qos;
        if queued.message.is_expired(now) {
            return self.not_sent(now, index, (&queued.message, qos), Reason::Expired, source, effects);
        }
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(live) = session.live.as_mut() else { return };
        let in_flight = (qos > QoS::AtMostOnce).then(|| queued.clone());
        let mut delivery = delivery_of(now, queued);
        // To be measured; all identifiers are of one length.
        delivery.packet_id = in_flight.as_ref().map(|_| PacketId::FIRST);
        if !fit(live, &delivery) {
            return self.not_sent(now, index, (&delivery.message, qos), Reason::TooLargeForReceiver, source, effects);
        }
        let connection = live.connection;
        self.counters.sent = self.counters.sent.saturating_add(1);
        live.sent = live.sent.saturating_add(1);
        if session.durable.is_none() && live.waiting == 0 {
            // Nothing to write down and nothing to wait for: the usual case, in the fewest steps.
            delivery.packet_id = in_flight.map(|queued| session.outbound.send(queued));
            live.give_alias(&mut delivery);
            return effects.push(Effect::Deliver { connection, delivery });
        }
        let Some(queued) = in_flight else {
            return self.send_in_order(index, Effect::Deliver { connection, delivery }, effects);
        };
        let packet_id = session.outbound.send(queued.clone());
        delivery.packet_id = Some(packet_id);
        match source {
            Source::Router => self.owe(index, &queued, Some(packet_id)),
            Source::Queue if queued.is_recorded() => self.journal_sent(index, qos, packet_id, effects),
            Source::Queue => {}
        }
        let effect = Effect::Deliver { connection, delivery };
        match (qos, source) {
            (QoS::ExactlyOnce, Source::Router) => self.send_with_next(index, effect, effects),
            (QoS::ExactlyOnce, Source::Queue) => self.send_when_stored(index, effect, effects),
            (QoS::AtMostOnce | QoS::AtLeastOnce, _) => self.send_in_order(index, effect, effects),
        }
    }

    /// A message that cannot be sent is dropped; one that was owed is owed no longer.
    fn not_sent(
        &mut self,
        now: Timestamp,
        index: u32,
        (message, qos): (&Message, QoS),
        reason: Reason,
        source: Source,
        effects: &mut Effects,
    ) {
        self.dropped(now, index, message, reason, effects);
        if source == Source::Queue && qos > QoS::AtMostOnce && message.durability > Durability::Memory {
            self.journal(index, |session| Record::Dropped { session }, effects);
        }
    }

    /// Sends a message again that was in flight when the last connection ended. [v5:MQTT-4.4.0-1]
    fn resend_next(&mut self, now: Timestamp, index: u32, effects: &mut Effects) {
        let Some(session) = self.sessions.get_mut(index) else { return };
        let Some(sent) = session.outbound.next_unsent() else { return };
        let (message, is_retained) = (&sent.queued.message, sent.queued.is_retained);
        let is_forbidden = session.recheck_queue && !may_still_be_sent(&self.policy, session, message, is_retained);
        let Some(live) = session.live.as_mut() else { return };
        let pubrel = Packet::PubRel(PubAck::new(sent.packet_id, ReasonCode::Success));
        let pubrel = Effect::Send { connection: live.connection, packet: pubrel };
        if sent.stage == Stage::Comp {
            return effects.push(pubrel);
        }
        let mut delivery = delivery_of(now, sent.queued.clone());
        delivery.dup = true;
        delivery.packet_id = Some(sent.packet_id);
        if is_forbidden || !fit(live, &delivery) {
            let packet_id = sent.packet_id;
            if session.outbound.receive(packet_id) {
                // The receiver may hold this identifier of QoS 2, so it is released before it is used again.
                self.journal(index, |session| Record::Received { session, packet_id }, effects);
                self.send_when_stored(index, pubrel, effects);
            } else {
                session.outbound.forget(packet_id);
                self.journal_finished(now, index, &sent, effects);
            }
            let reason = if is_forbidden { Reason::Denied } else { Reason::TooLargeForReceiver };
            self.dropped(now, index, &delivery.message, reason, effects);
            return;
        }
        live.give_alias(&mut delivery);
        effects.push(Effect::Deliver { connection: live.connection, delivery });
    }
}

/// What became of a message that was offered to a member of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// It is the member's.
    Taken,
    /// The member takes part no more, which the keeper of the group is told, too.
    Left,
    /// The member lacks the right.
    Forbidden,
}

/// Where a message comes from that is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// It was published just now.
    Router,
    /// It waited in the queue.
    Queue,
}

/// Whether the owner of the session may receive the message, by the rights of this moment.
fn may_receive(session: &Session, queued: &Queued) -> bool {
    session.rights.verdict(Permission::Subscribe, &queued.message.topic).is_allowed()
}

/// Whether the session is connected, has its CONNACK [v5:MQTT-3.2.0-1], and takes another message of this level now.
/// [v5:MQTT-3.3.4-9]
fn may_send(session: &Session, qos: QoS, high_water: usize) -> bool {
    let has_quota = |quota| !session.outbound.has_unsent() && session.outbound.inflight_len() < quota;
    session
        .live
        .as_ref()
        .filter(|live| live.is_welcome && live.unwritten < high_water)
        .is_some_and(|live| qos == QoS::AtMostOnce || has_quota(live.send_quota))
}

fn may_resend(session: &Session, high_water: usize) -> bool {
    session
        .live
        .as_ref()
        .filter(|live| live.is_welcome && live.unwritten < high_water)
        .is_some_and(|live| session.outbound.inflight_on_connection() < live.send_quota)
}

/// Whether a delivery is small enough for its receiver [v5:MQTT-3.1.2-24]; if so it counts as handed over.
fn fit(live: &mut Live, delivery: &Delivery) -> bool {
    let len = delivery.encoded_len(live.version);
    if len > usize::try_from(live.max_packet_size).unwrap_or(usize::MAX) {
        return false;
    }
    live.unwritten = live.unwritten.saturating_add(len);
    true
}

fn delivery_of(now: Timestamp, queued: Queued) -> Delivery {
    Delivery {
        expiry_left: queued.message.expires_at.map(|end| end.secs_left(now)),
        message: queued.message,
        dup: false,
        qos: queued.qos,
        retain: queued.retain,
        is_retained: queued.is_retained,
        packet_id: None,
        subscription_ids: queued.subscription_ids,
        alias: AliasUse::None,
    }
}

/// The message in memory of its own; receivers of one message share one copy.
fn kept_copy(last: &mut Option<(Arc<Message>, Arc<Message>)>, message: Arc<Message>) -> Arc<Message> {
    match last {
        Some((original, copy)) if Arc::ptr_eq(original, &message) => Arc::clone(copy),
        _ => {
            let copy = Arc::new(message.compact());
            *last = Some((message, Arc::clone(&copy)));
            copy
        }
    }
}
