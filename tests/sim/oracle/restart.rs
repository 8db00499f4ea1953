//! What outlives the broker's process: all that somebody was told, and nothing that nobody can have asked for.
//!
//! What was under way when the broker ended may have happened or not. So what comes back is compared with what must and
//! what may, and is what counts from then on.

use super::answers::{Connection, Will};
use super::deliveries::{Flight, Session, Subscription};
use super::{Known, Oracle, number_in, user_of};
use securemq::broker::{
    CommitId, CommitOutcome, ConnectionId, DurableId, KeptStage, KeptWill, Message, Receiver, Record, SessionKey,
    SubscriptionOptions, Timestamp,
};
use securemq::protocol::QoS;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What shards found when they started.
pub struct Found<'a> {
    /// The durable sessions.
    pub sessions: Vec<(DurableId, Vec<Record>)>,
    /// When the last broker was heard of.
    pub last_heard: Timestamp,
    /// What a moment on the broker's clock really is.
    pub true_time: &'a dyn Fn(Timestamp) -> Timestamp,
}

impl Oracle {
    /// The store was writing a frame when the process ended, and it is there.
    pub fn frame_survives(&mut self, shard: u16, up_to: CommitId) {
        self.commit_arrives(shard, up_to, CommitOutcome::Stored);
    }

    /// A change says since when a session is alone, or that it is not.
    pub(super) fn absence_is_written(&mut self, session: DurableId, change: Option<(u16, CommitId)>) {
        let key = self.durable.get(&session);
        if let Some(known) = key.and_then(|key| self.sessions.get_mut(key))
            && known.durable == Some(session)
        {
            known.gone_change = change;
        }
    }

    /// A change owes a will to durable sessions.
    pub(super) fn will_waits_for(&mut self, message: &Message, change: (u16, CommitId)) {
        let Some(number) = number_in(message) else { return };
        let moment = self.moment;
        let known = self.message(number);
        if known.new.will_of.is_some() {
            known.waits.push((moment, change));
        }
    }

    /// The client is told that subscriptions ended at this moment.
    pub(super) fn end_is_confirmed(&mut self, key: &SessionKey, ended: Option<u64>) {
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.past.iter_mut().filter(|old| old.ended == ended).for_each(|old| old.is_gone = true);
    }

    /// The client is told of its session. If that waited for the disk, earlier ones are over for good.
    pub(super) fn session_is_confirmed(&mut self, key: &SessionKey, has_waited: bool) {
        if has_waited {
            self.ended.retain(|_, (owner, _)| owner != key);
        }
        let Some(session) = self.sessions.get_mut(key) else { return };
        session.is_known = true;
        session.expiries = vec![session.expiry];
        session.gone_at.clear();
    }

    /// Everything but the disk is gone.
    pub fn crash(&mut self, now: Timestamp) {
        self.now = now;
        self.moment += 1;
        self.crashed_at = self.moment;
        self.kept_survives_on_disk();
        self.forget_what_nobody_was_told();
        self.connections_end();
        self.forget_the_process();
    }

    /// What was neither acknowledged nor stored may never have happened; its publisher will come again.
    fn forget_what_nobody_was_told(&mut self) {
        // Of a message that was routed again, an earlier answer says nothing of those that came in between.
        let safe_until: Vec<u64> = self
            .messages
            .iter()
            .map(|known| {
                let is_stored = known.on_its_way == 0 && known.waits.iter().all(|(_, change)| self.is_safe(*change));
                let is_safe_will = known.new.will_of.is_some() && is_stored;
                if is_safe_will { self.moment } else { known.answered.unwrap_or_default() }
            })
            .collect();
        let in_memory: Vec<bool> =
            self.messages.iter().map(|Known { new, .. }| self.bounds.is_in_memory(&new.topic, new.qos)).collect();
        self.owed.retain(|owed| owed.since <= safe_until[owed.number as usize] && !in_memory[owed.number as usize]);
        let over: BTreeSet<_> =
            self.endings.iter().filter(|(change, _)| self.is_safe(*change)).map(|(_, session)| *session).collect();
        self.ended.retain(|session, _| !over.contains(session));
        let all = self.sessions.values().chain(self.ended.values().map(|(_, session)| session));
        let are_gone: Vec<bool> =
            all.map(|session| session.gone_change.is_some_and(|gone| self.is_safe(gone))).collect();
        let all = self.sessions.values_mut().chain(self.ended.values_mut().map(|(_, session)| session));
        for (session, is_gone) in all.zip(are_gone) {
            session.is_surely_gone |= is_gone;
            session.gone_change = None;
        }
    }

    /// Sessions that do not outlive their connection end with it, and their wills are lost with the process.
    fn connections_end(&mut self) {
        let now = self.now;
        let is_lasting = |session: &Session| session.exists && session.durable.is_some();
        let fleeting: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, session)| session.exists && !is_lasting(session))
            .map(|(key, _)| key.clone())
            .collect();
        let mut lost = Vec::new();
        for fact in self.connections.values_mut() {
            fact.ended.get_or_insert(now);
            if fleeting.contains(&fact.key) {
                lost.extend(fact.will.take().map(|will| will.number));
            }
        }
        lost.into_iter().for_each(|number| self.will_is_void(number));
        fleeting.iter().for_each(|key| self.session_ends(key));
    }

    fn will_is_void(&mut self, number: u64) {
        let known = self.message(number);
        known.is_cancelled = known.routed.is_empty() || known.comes_again;
    }

    fn forget_the_process(&mut self) {
        for known in &mut self.messages {
            known.is_taken = false;
            known.commit = None;
            known.on_its_way = 0;
            known.waits.clear();
        }
        self.mail.clear();
        self.joins.clear();
        self.endings.clear();
        self.sent_with.clear();
        self.routings.clear();
        self.received_with.clear();
        self.wills_due.clear();
    }

    /// The next broker has brought back what it found, and is about to go on.
    pub fn comes_back(&mut self, now: Timestamp, shards: u16, found: Found<'_>) {
        self.begins(now);
        self.shards = shards;
        self.applied = vec![self.rules.len() - 1; usize::from(shards)];
        self.frames = vec![Vec::new(); usize::from(shards)];
        let mut lost = std::mem::take(&mut self.sessions);
        for (durable, records) in found.sessions {
            let Some(key) = self.durable.get(&durable).cloned() else {
                return self.violation(&format!("session {durable:?} comes back and never was"));
            };
            let session = match lost.get(&key) {
                Some(session) if session.durable == Some(durable) => lost.remove(&key),
                _ => self.ended.remove(&durable).map(|(_, session)| session),
            };
            let Some(mut session) = session else {
                return self.violation(&format!("a session of {key:?} comes back that is over"));
            };
            session.crashes += 1;
            session.order.retain(|(_, _, qos), _| *qos == QoS::ExactlyOnce);
            if let Err(what) = self.takes_back(&key, &mut session, records, found.last_heard, found.true_time) {
                return self.violation(&format!("the session of {key:?} comes back {what}"));
            }
            if self.sessions.insert(key.clone(), session).is_some() {
                return self.violation(&format!("{key:?} has two sessions"));
            }
        }
        for (key, session) in lost {
            self.session_is_not_back(&key, &session);
        }
        let removed: Vec<_> =
            self.sessions.keys().filter(|key| !self.newest_rules().has(user_of(key))).cloned().collect();
        removed.iter().for_each(|key| self.session_ends(key));
    }

    /// A session that the disk does not have: nobody was told of it, or its time is over.
    fn session_is_not_back(&mut self, key: &SessionKey, session: &Session) {
        if !session.exists {
            return;
        }
        let end = session.gone_since.map(|gone| gone.after_secs(session.expiry));
        if session.is_known && end.is_none_or(|end| end > self.now) {
            return self.violation(&format!("the session of {key:?} is lost"));
        }
        self.nothing_is_owed_to(key, session);
        self.wills_of(key, session.began).into_iter().for_each(|(connection, _)| self.has_no_will(connection));
    }

    /// A session is what its records say, if it can be.
    fn takes_back(
        &mut self,
        key: &SessionKey,
        session: &mut Session,
        records: Vec<Record>,
        last_heard: Timestamp,
        true_time: &dyn Fn(Timestamp) -> Timestamp,
    ) -> Result<(), String> {
        let mut flights = Vec::new();
        let mut subscriptions = BTreeMap::new();
        for record in records {
            match record {
                Record::Changed { expiry, gone_since, will, .. } => {
                    absence(session, expiry, gone_since.map(true_time), last_heard)?;
                    self.will_is_back(key, session, will.as_ref())?;
                }
                Record::Subscribed { filter, options, .. } => {
                    subscriptions.insert(filter.to_string(), options);
                }
                Record::InFlight { receiver, message, stage } => flights.push((receiver, message, stage)),
                _ => {}
            }
        }
        self.subscriptions_are_back(session, &subscriptions)?;
        self.flights_are_back(session, flights)
    }

    /// The subscriptions that were confirmed, and perhaps those that nobody was told of.
    fn subscriptions_are_back(
        &self,
        session: &mut Session,
        found: &BTreeMap<String, SubscriptionOptions>,
    ) -> Result<(), String> {
        for (name, options) in found {
            let is_it = |known: &Subscription| {
                (known.qos, known.no_local, known.retain_as_published)
                    == (options.qos, options.no_local, options.retain_as_published)
            };
            if session.subscriptions.get(name).is_some_and(is_it) {
                continue;
            }
            let at = session.past.iter().rposition(|old| old.name() == name && !old.is_gone && is_it(old));
            let Some(at) = at else { return Err(format!("with a subscription to {name} that it cannot have")) };
            let mut old = session.past.remove(at);
            old.ended = None;
            if let Some(unborn) = session.subscriptions.insert(name.clone(), old) {
                session.past.push(Subscription { ended: Some(self.moment), ..unborn });
            }
        }
        let missing: Vec<_> = session.subscriptions.keys().filter(|name| !found.contains_key(*name)).cloned().collect();
        for name in missing {
            let Some(unborn) = session.subscriptions.remove(&name) else { continue };
            if unborn.acknowledged.is_some() {
                return Err(format!("without its subscription to {name}"));
            }
            session.past.push(Subscription { ended: Some(self.moment), ..unborn });
        }
        Ok(())
    }

    /// What is in flight keeps its identifier and its order; of QoS 2, everything that was sent is still in flight.
    fn flights_are_back(
        &self,
        session: &mut Session,
        found: Vec<(Receiver, Arc<Message>, KeptStage)>,
    ) -> Result<(), String> {
        let mut before = std::mem::take(&mut session.in_flight);
        let mut last = 0;
        session.flights = 0;
        for (receiver, message, stage) in found {
            let Some(packet_id) = receiver.packet_id else { return Err(String::from("with a nameless message")) };
            let number = number_in(&message);
            let is_released = stage == KeptStage::Comp;
            match before.remove(&packet_id) {
                Some(flight) if flight.number == number => {
                    if flight.serial < last {
                        return Err(format!("with #{packet_id} behind a later one"));
                    }
                    last = flight.serial;
                    if flight.is_released && !is_released {
                        return Err(format!("about to send #{packet_id} again, which was released"));
                    }
                }
                Some(flight) if flight.qos == QoS::ExactlyOnce => {
                    return Err(format!("with another message as #{packet_id}"));
                }
                _ => {
                    let was_sent = number.is_some_and(|number| self.was_sent_once(session, number));
                    if was_sent && stage == KeptStage::Rec {
                        return Err(format!("about to send {number:?} again as #{packet_id}"));
                    }
                }
            }
            session.flights += 1;
            let (serial, topic) = (session.flights, message.topic.as_str().to_owned());
            let flight = Flight { number, serial, topic, qos: receiver.qos, is_released };
            if session.in_flight.insert(packet_id, flight).is_some() {
                return Err(format!("with two messages as #{packet_id}"));
            }
        }
        match before.into_iter().find(|(_, flight)| flight.qos == QoS::ExactlyOnce) {
            Some((packet_id, _)) => Err(format!("without #{packet_id}, which was in flight")),
            None => Ok(()),
        }
    }

    /// Whether a message that may be sent once was.
    fn was_sent_once(&self, session: &Session, number: u64) -> bool {
        let known = &self.messages[number as usize];
        let may_come_again =
            known.commit_failed || known.new.retain || known.new.will_of.is_some() || session.shares(&known.new.topic);
        !may_come_again && session.copies_of_qos2(number) >= known.publications()
    }

    /// The wills that the connections of a session came with, from the last that was let in to the last.
    fn wills_of(&self, key: &SessionKey, session: u64) -> Vec<(ConnectionId, Option<Will>)> {
        let is_its = |fact: &Connection| fact.key == *key && fact.session == session;
        let mut all: Vec<_> = self.connections.iter().filter(|(_, fact)| is_its(fact)).collect();
        all.sort_by_key(|(_, fact)| fact.began);
        let mut wills = Vec::new();
        for (connection, fact) in all {
            if fact.is_welcome {
                wills.clear();
            }
            wills.push((*connection, fact.first_will.clone()));
        }
        wills
    }

    fn has_no_will(&mut self, connection: ConnectionId) {
        let will = self.connections.get_mut(&connection).and_then(|fact| fact.will.take());
        if let Some(will) = will {
            self.will_is_void(will.number);
        }
    }

    /// The will of the last connection, unless it was sent or taken back; or what came after that and nobody was told of.
    fn will_is_back(&mut self, key: &SessionKey, session: &Session, will: Option<&KeptWill>) -> Result<(), String> {
        let candidates = self.wills_of(key, session.began);
        let number = will.and_then(|will| number_in(&will.message));
        let it =
            candidates.iter().rev().find(|(_, will)| number.is_some() && will.as_ref().map(|w| w.number) == number);
        let is_due = |connection: &ConnectionId| self.connections[connection].will.is_some();
        if let (None, [(first, _)]) = (number, &candidates[..])
            && is_due(first)
        {
            return Err(String::from("without its will"));
        }
        if number.is_some() && it.is_none() {
            return Err(format!("with will {number:?}, which it cannot have"));
        }
        let it = it.cloned();
        for fact in self.connections.values_mut().filter(|fact| fact.key == *key) {
            fact.will = None;
        }
        if let Some((connection, Some(will))) = it {
            let known = self.message(will.number);
            known.comes_again = !known.routed.is_empty();
            known.is_cancelled = false;
            if let Some(fact) = self.connections.get_mut(&connection) {
                fact.will = Some(will);
                fact.said_goodbye = false;
                fact.ended = session.gone_since;
            }
        }
        Ok(())
    }
}

/// Since when a session is alone, and for how long it stays.
fn absence(
    session: &mut Session,
    expiry: Option<Duration>,
    gone_since: Option<Timestamp>,
    last_heard: Timestamp,
) -> Result<(), String> {
    let expiry = expiry.map_or(0, |expiry| expiry.as_secs() as u32);
    if !session.expiries.contains(&expiry) {
        return Err(format!("with the expiry {expiry}, not {:?}", session.expiries));
    }
    let is_possible = gone_since.map_or(!session.is_surely_gone, |gone| session.gone_at.contains(&gone));
    if !is_possible {
        return Err(format!("gone since {gone_since:?}, not {:?}", session.gone_at));
    }
    let gone = gone_since.unwrap_or(last_heard);
    session.is_surely_gone = gone_since.is_some();
    session.gone_since = Some(gone);
    // What comes next is told the disk with the first frame.
    session.gone_at = vec![gone];
    session.expiry = expiry;
    session.expiries = vec![expiry];
    Ok(())
}
