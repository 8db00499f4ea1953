//! Who must be sent what, and who may: sessions, their subscriptions, and the messages that are owed to them.

use super::{Current, Known, Oracle};
use crate::rules::matches;
use securemq::broker::{CommitId, ConnectionId, Delivery, DurableId, Permission, SessionKey, Timestamp};
use securemq::protocol::{Connect, PacketId, Publish, QoS, RetainHandling};
use std::collections::BTreeMap;

/// A session as its client may expect it to be kept.
#[derive(Default)]
pub struct Session {
    /// Whether it is there at all.
    pub exists: bool,
    /// Its number, if it outlives the broker's process.
    pub durable: Option<DurableId>,
    /// Whether its client was told of it.
    pub is_known: bool,
    /// What it may come back with, because the disk may know no later: its expiry, and since when it is alone.
    pub expiries: Vec<u32>,
    pub gone_at: Vec<Timestamp>,
    /// The change that says since when it is alone; and whether the disk surely knows that.
    pub gone_change: Option<(u16, CommitId)>,
    pub is_surely_gone: bool,
    /// How often the broker ended since it began.
    pub crashes: usize,
    /// When it began, which tells it from earlier ones.
    pub began: u64,
    /// Whether the last CONNECT went on with it.
    pub is_resumed: bool,
    /// Seconds it outlives its connection.
    pub expiry: u32,
    pub gone_since: Option<Timestamp>,
    pub subscriptions: BTreeMap<String, Subscription>,
    /// Those that ended or were replaced.
    pub past: Vec<Subscription>,
    pub in_flight: BTreeMap<PacketId, Flight>,
    pub flights: u64,
    /// How often each message was sent for the first time, by level.
    copies: BTreeMap<u64, [usize; 3]>,
    /// When the last message of each publisher, topic and level was published.
    pub order: BTreeMap<(SessionKey, String, QoS), u64>,
    /// When each message was received last.
    received: BTreeMap<u64, u64>,
    /// The last message above QoS 0, of those published to be retained, that was sent for each topic.
    states: BTreeMap<String, u64>,
    /// Which policy its shard had when it subscribed last.
    subscribed_under: usize,
}

#[derive(Clone)]
pub struct Subscription {
    /// The filter without a share name.
    pub filter: String,
    /// As asked for, where it is shared.
    pub group: Option<String>,
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub made: u64,
    /// It brings the retained messages above QoS 0, one's own included.
    pub wants_retained: bool,
    /// When its SUBACK was sent.
    pub acknowledged: Option<u64>,
    pub ended: Option<u64>,
    /// Its client was told that it ended.
    pub is_gone: bool,
}

impl Subscription {
    /// What was asked for.
    pub fn name(&self) -> &str {
        self.group.as_deref().unwrap_or(&self.filter)
    }
}

/// A message in flight.
pub struct Flight {
    pub number: Option<u64>,
    /// Counts what was sent first.
    pub serial: u64,
    pub topic: String,
    pub qos: QoS,
    /// PUBREL was sent for it.
    pub is_released: bool,
}

/// A message that must reach somebody.
pub struct Owed {
    pub number: u64,
    /// When the message was routed that owes it.
    pub since: u64,
    pub to: Creditor,
    filter: String,
}

pub enum Creditor {
    Session(SessionKey),
    /// One of them, and nobody has to say which.
    Group(Vec<SessionKey>),
}

impl Session {
    fn all_subscriptions(&self) -> impl Iterator<Item = &Subscription> {
        self.subscriptions.values().chain(&self.past)
    }

    /// When it asked last for the retained message of a topic, of those times that were answered and still hold.
    pub fn asked_for_the_state(&self, topic: &str) -> Option<u64> {
        let asked = |found: &&Subscription| {
            found.wants_retained && found.acknowledged.is_some() && matches(&found.filter, topic)
        };
        self.subscriptions.values().filter(asked).map(|subscription| subscription.made).max()
    }

    pub fn copies_of_qos2(&self, number: u64) -> usize {
        self.copies.get(&number).map_or(0, |[.., copies]| *copies)
    }

    pub fn when_received(&self, number: u64) -> Option<u64> {
        self.received.get(&number).copied()
    }

    /// Groups have no order, so nothing is said of who shares the topic.
    pub fn last_sent(&self, topic: &str) -> Option<u64> {
        self.states.get(topic).copied().filter(|_| !self.shares(topic))
    }

    /// Whether it shares something that it may be sent a message of this topic for.
    pub fn shares(&self, topic: &str) -> bool {
        self.all_subscriptions().any(|found| found.group.is_some() && matches(&found.filter, topic))
    }

    fn was_in_group(&self, group: &str) -> bool {
        self.all_subscriptions().any(|subscription| subscription.group.as_deref() == Some(group))
    }
}

impl Oracle {
    /// Whether a CONNECT must find its session, which from here on is what the client has.
    pub(super) fn session_goes_on(&mut self, key: &SessionKey, hello: &Connect) -> bool {
        let moment = self.moment;
        let exists = self.sessions.get(key).is_some_and(|session| session.exists);
        let goes_on = exists && !self.is_over(key) && !hello.clean_start;
        if goes_on {
            self.wills_are_cancelled(key);
        } else {
            self.session_ends(key);
        }
        let expiry = hello.properties.session_expiry_interval.unwrap_or(0).min(super::super::world::MAX_EXPIRY);
        let began = self.began;
        let session = self.sessions.entry(key.clone()).or_default();
        if !goes_on {
            session.began = moment;
            session.durable = began;
        }
        session.exists = true;
        session.expiries.push(expiry);
        session.is_surely_gone = false;
        session.is_resumed = goes_on;
        session.expiry = expiry;
        session.gone_since = None;
        goes_on
    }

    /// Whether a session has been alone for so long that it is over.
    pub(super) fn is_over(&self, key: &SessionKey) -> bool {
        let ends = |session: &Session| Some(session.gone_since?.after_secs(session.expiry));
        self.sessions.get(key).and_then(ends).is_some_and(|end| end <= self.now)
    }

    /// A session is gone, and what it was owed.
    pub(super) fn session_ends(&mut self, key: &SessionKey) {
        let session = self.sessions.remove(key).unwrap_or_default();
        self.sent_with.retain(|(of, _), _| of != key);
        self.received_with.retain(|(of, _), _| of != key);
        self.sessions.insert(key.clone(), Session::default());
        self.messages.iter_mut().filter(|known| known.new.key == *key).for_each(|known| known.is_taken = false);
        self.nothing_is_owed_to(key, &session);
        if let Some(durable) = session.durable {
            self.ended.insert(durable, (key.clone(), session));
        }
    }

    /// A session took what it was owed along.
    pub(super) fn nothing_is_owed_to(&mut self, key: &SessionKey, session: &Session) {
        self.owed.retain(|owed| match &owed.to {
            Creditor::Session(creditor) => creditor != key,
            // It may have been chosen.
            Creditor::Group(_) => !session.was_in_group(&owed.filter),
        });
    }

    /// The input at hand made a subscription.
    pub(super) fn subscription_begins(&mut self, shard: u16, filter: &str, qos: QoS) {
        let Current::Subscribe { connection, requests } = &self.current else {
            return self.violation("a subscription is made without a SUBSCRIBE");
        };
        let Some(fact) = self.connections.get_mut(connection) else { return };
        let Some(request) = requests.iter().find(|request| request.filter.as_str() == filter) else {
            return self.violation("a subscription is made that nobody asked for");
        };
        if let Some(pending) = fact.subacks.back_mut() {
            pending.granted.push((filter.to_owned(), self.moment));
        }
        let subscription = Subscription {
            filter: plain(filter).to_owned(),
            group: filter.starts_with("$share/").then(|| filter.to_owned()),
            qos,
            no_local: request.no_local,
            retain_as_published: request.retain_as_published,
            made: self.moment,
            wants_retained: request.retain_handling == RetainHandling::Send
                && !request.no_local
                && !filter.starts_with("$share/")
                && qos > QoS::AtMostOnce,
            acknowledged: None,
            ended: None,
            is_gone: false,
        };
        let key = fact.key.clone();
        let (under, moment) = (self.applied[usize::from(shard)], self.moment);
        let session = self.sessions.entry(key.clone()).or_default();
        session.subscribed_under = under;
        if let Some(old) = session.subscriptions.insert(filter.to_owned(), subscription) {
            session.past.push(Subscription { ended: Some(moment), ..old });
        }
        self.owed.retain(|owed| {
            !matches!(&owed.to, Creditor::Session(creditor) if *creditor == key) || owed.filter != filter
        });
    }

    /// The input at hand ended a subscription.
    pub(super) fn subscription_ends(&mut self, filter: &str) {
        let Current::Unsubscribe { connection } = &self.current else {
            return self.violation("a subscription ends without an UNSUBSCRIBE");
        };
        let moment = self.moment;
        let Some(key) = self.connections.get(connection).map(|fact| fact.key.clone()) else { return };
        let Some(session) = self.sessions.get_mut(&key) else { return };
        if let Some(old) = session.subscriptions.remove(filter) {
            session.past.push(Subscription { ended: Some(moment), ..old });
        }
        let is_left = !self.members_of(filter).is_empty();
        self.owed.retain(|owed| match &owed.to {
            _ if owed.filter != filter => true,
            Creditor::Session(creditor) => *creditor != key,
            Creditor::Group(_) => is_left,
        });
    }

    /// The sessions that share a subscription and know it.
    fn members_of(&self, group: &str) -> Vec<SessionKey> {
        let is_member = |session: &super::Session| {
            session.exists && session.subscriptions.get(group).is_some_and(|member| member.acknowledged.is_some())
        };
        self.sessions.iter().filter(|(_, session)| is_member(session)).map(|(key, _)| key.clone()).collect()
    }

    /// A message was routed, so whoever had its SUBACK before must be sent it.
    pub(super) fn deliveries_are_owed(&mut self, number: u64) {
        let known = &self.messages[number as usize];
        let (new, is_received) = (&known.new, known.is_received);
        if new.is_empty && known.routed.len() > 1 {
            // Nobody can say who has it already.
            return;
        }
        // Who took it the first time and lost the right to it since is not sent it when it is taken again.
        let was_always_allowed =
            |key: &SessionKey| self.rules.iter().all(|rules| rules.may(Permission::Subscribe, key, &new.topic));
        let is_repetition = known.routed.len() > 1;
        let since = self.moment;
        let is_owed =
            |key: &SessionKey| self.is_surely_allowed(key, &new.topic) && (!is_repetition || was_always_allowed(key));
        let mut owed = Vec::new();
        let mut groups: BTreeMap<&str, Vec<SessionKey>> = BTreeMap::new();
        for (key, session) in self.sessions.iter().filter(|(_, session)| session.exists) {
            for (name, subscription) in &session.subscriptions {
                if !matches(&subscription.filter, &new.topic) {
                    continue;
                }
                if subscription.group.is_some() {
                    groups.entry(name).or_default().push(key.clone());
                    continue;
                }
                let is_own = subscription.no_local && *key == new.key;
                let knows = subscription.acknowledged.is_some_and(|moment| moment < self.moment);
                // A repetition is not sent to those who have it.
                let has_it = session.received.contains_key(&number);
                let wants = subscription.qos > QoS::AtMostOnce && !is_own && !has_it;
                // Nor to one whose time is over, which may end at any moment.
                if knows && wants && !self.is_over(key) && is_owed(key) {
                    owed.push(Owed { number, since, to: Creditor::Session(key.clone()), filter: name.clone() });
                }
            }
        }
        for (name, members) in groups {
            let are_allowed = members.iter().all(is_owed);
            if are_allowed && !is_received && !self.members_of(name).is_empty() {
                owed.push(Owed { number, since, to: Creditor::Group(members), filter: name.to_owned() });
            }
        }
        self.owed.extend(owed);
    }

    /// The sessions that asked for the state of a topic and must have been sent this message of it.
    pub(super) fn subscribers_to_the_state(&self, topic: &str, new: &super::NewMessage) -> Vec<&SessionKey> {
        let must_have = |(key, session): &(&SessionKey, &Session)| {
            session.exists
                && session.gone_since.is_none()
                && new.qos > QoS::AtMostOnce
                && session.asked_for_the_state(topic).is_some()
                && self.rules.iter().all(|rules| rules.may(Permission::Subscribe, key, topic))
        };
        self.sessions.iter().filter(must_have).map(|(key, _)| key).collect()
    }

    /// A new policy may take the right to what is owed.
    pub(super) fn release_forbidden(&mut self) {
        let owed = std::mem::take(&mut self.owed);
        let stays = |owed: &Owed| {
            let topic = &self.messages[owed.number as usize].new.topic;
            match &owed.to {
                Creditor::Session(key) => self.is_surely_allowed(key, topic),
                Creditor::Group(members) => members.iter().all(|key| self.is_surely_allowed(key, topic)),
            }
        };
        self.owed = owed.into_iter().filter(stays).collect();
    }

    /// A client has a message.
    pub fn received(&mut self, key: &SessionKey, number: Option<u64>, publish: &Publish) {
        let Some(number) = number else {
            // An empty message cannot say which it is, so it pays for all that it may be.
            let messages = &self.messages;
            let may_be = |owed: &Owed| {
                let new = &messages[owed.number as usize].new;
                new.is_empty && new.topic == publish.topic.as_str()
            };
            self.owed.retain(|owed| !may_be(owed));
            return;
        };
        self.message(number).is_received = true;
        if let Some(session) = self.sessions.get_mut(key) {
            session.received.insert(number, self.moment);
        }
        let was_in = |group: &str| self.sessions.get(key).is_some_and(|session| session.was_in_group(group));
        self.owed.retain(|owed| {
            owed.number != number
                || match &owed.to {
                    Creditor::Session(creditor) => creditor != key,
                    Creditor::Group(_) => !was_in(&owed.filter),
                }
        });
    }

    /// A message goes to a client. Everything that forbids it is checked here.
    pub(super) fn delivery_leaves(&mut self, shard: u16, connection: ConnectionId, delivery: &Delivery) {
        let Some(fact) = self.connections.get(&connection).filter(|fact| fact.ended.is_none()) else {
            return self.violation("a message is sent to a connection that is gone");
        };
        let key = fact.key.clone();
        let topic = delivery.message.topic.as_str();
        if !self.rules_of(shard).may(Permission::Subscribe, &key, topic) {
            return self.violation(&format!("{key:?} is sent {topic}, which it may not receive"));
        }
        let number = super::number_in(&delivery.message);
        if let Some(number) = number
            && let Err(what) = self.may_be_sent(shard, &key, number, delivery)
        {
            return self.violation(&format!("message {number} is sent to {key:?}: {what}"));
        }
        if let Err(what) = self.may_leave_now(connection, &key, delivery) {
            return self.violation(&format!("a message is sent to {key:?} {what}"));
        }
        let mut is_first = true;
        if let Some(packet_id) = delivery.packet_id {
            self.quota_is_used(connection, packet_id);
            is_first = self.sessions.get(&key).is_none_or(|session| !session.in_flight.contains_key(&packet_id));
            self.flight_begins(connection, &key, packet_id, number, delivery);
        } else if delivery.dup {
            self.violation("a message of QoS 0 is sent with DUP");
        }
        if is_first && let Some(number) = number {
            self.copy_is_sent(&key, number, delivery);
        }
    }

    /// What a message must have waited for.
    fn may_leave_now(
        &self,
        connection: ConnectionId,
        key: &SessionKey,
        delivery: &Delivery,
    ) -> Result<(), &'static str> {
        if !self.connections.get(&connection).is_some_and(super::Connection::is_welcome) {
            return Err("before its CONNACK");
        }
        let Some(packet_id) = delivery.packet_id.filter(|_| delivery.qos == QoS::ExactlyOnce) else { return Ok(()) };
        match self.sent_with.get(&(key.clone(), packet_id)) {
            Some(change) if !self.is_safe(*change) => Err("before the disk knows its identifier"),
            _ => Ok(()),
        }
    }

    /// Why a message may not be sent to somebody.
    fn may_be_sent(&self, shard: u16, key: &SessionKey, number: u64, delivery: &Delivery) -> Result<(), &'static str> {
        let known = self.messages.get(number as usize).ok_or("nobody published it")?;
        let Known { new, routed, expires_at, .. } = known;
        let Some(&first) = routed.first() else { return Err("it was never allowed to be published") };
        if delivery.message.topic.as_str() != new.topic || delivery.qos > new.qos || (delivery.retain && !new.retain) {
            return Err("it is not what was published");
        }
        // What waited for the disk was sent, for all that matters, when it was written down.
        let packet_id = delivery.packet_id.map(|packet_id| (key.clone(), packet_id));
        let has_waited = packet_id.is_some_and(|key| self.sent_with.contains_key(&key));
        if !delivery.dup && !has_waited && expires_at.is_some_and(|end| end <= self.now) {
            return Err("it has expired");
        }
        if routed.len() == 1 && delivery.expiry_left != expires_at.map(|end| end.secs_left(self.now)) {
            return Err("its expiry is not what is left");
        }
        let session = self.sessions.get(key).ok_or("it has no session")?;
        let was_wanted = |subscription: &&Subscription| {
            matches(&subscription.filter, &new.topic)
                && subscription.ended.is_none_or(|ended| ended >= first)
                && !(subscription.no_local && *key == new.key)
        };
        if !session.all_subscriptions().any(|subscription| was_wanted(&subscription)) {
            return Err("it is not subscribed to it");
        }
        let as_published = session.all_subscriptions().filter(was_wanted).any(|found| found.retain_as_published);
        let is_kept_copy = delivery.retain && !as_published;
        let is_current = session.subscribed_under == self.applied[usize::from(shard)];
        if is_kept_copy && is_current && !self.rules_of(shard).may(Permission::Publish, &new.key, &new.topic) {
            return Err("it is retained, and its publisher has lost the right");
        }
        Ok(())
    }

    fn flight_begins(
        &mut self,
        connection: ConnectionId,
        key: &SessionKey,
        packet_id: PacketId,
        number: Option<u64>,
        delivery: &Delivery,
    ) {
        // Its connection may have ended while it waited for the disk: then nobody can say that it was not sent.
        let was_written = self.sent_with.contains_key(&(key.clone(), packet_id));
        let session = self.sessions.entry(key.clone()).or_default();
        match session.in_flight.get(&packet_id) {
            None if delivery.dup && !was_written => {
                self.violation(&format!("#{packet_id} has DUP and was not in flight"));
            }
            Some(_) if !delivery.dup => self.violation(&format!("identifier {packet_id} is used while it is in use")),
            Some(flight) if flight.number != number => {
                self.violation(&format!("#{packet_id} is sent again with another message"));
            }
            Some(flight) => {
                let serial = flight.serial;
                let Some(fact) = self.connections.get_mut(&connection) else { return };
                if std::mem::replace(&mut fact.last_resent, serial) >= serial {
                    self.violation("messages are sent again in another order");
                }
            }
            None => {
                session.flights += 1;
                let (serial, topic) = (session.flights, delivery.message.topic.as_str().to_owned());
                let flight = Flight { number, serial, topic, qos: delivery.qos, is_released: false };
                session.in_flight.insert(packet_id, flight);
            }
        }
    }

    /// A message is sent for the first time: not more often than it may be, and not before an earlier one.
    fn copy_is_sent(&mut self, key: &SessionKey, number: u64, delivery: &Delivery) {
        let known = &self.messages[number as usize];
        let topic = &known.new.topic;
        let Some(session) = self.sessions.get_mut(key) else { return };
        let matching =
            || session.subscriptions.values().chain(&session.past).filter(|found| matches(&found.filter, topic));
        let groups = matching().filter(|subscription| subscription.group.is_some()).count();
        let requests = matching().filter(|_| known.new.retain).count();
        // Whoever was sent one of QoS 1 when the broker ended may be sent each copy once more, though it was not routed
        // again; one of QoS 2 may be routed again, but is sent once.
        let allowed = match delivery.qos {
            QoS::ExactlyOnce => known.publications() * (1 + groups) + requests,
            QoS::AtLeastOnce => known.routed.len() * (1 + session.crashes) * (1 + groups) + requests,
            QoS::AtMostOnce => known.routed.len() * (1 + groups) + requests,
        };
        if known.new.retain && delivery.qos > QoS::AtMostOnce {
            session.states.insert(topic.clone(), number);
        }
        let by_level = session.copies.entry(number).or_default();
        by_level[delivery.qos as usize] += 1;
        let copies = match delivery.qos {
            QoS::AtLeastOnce => by_level.iter().sum(),
            QoS::AtMostOnce | QoS::ExactlyOnce => by_level[delivery.qos as usize],
        };
        if copies > allowed && !known.commit_failed {
            return self.violation(&format!("message {number} is sent {copies} times to {key:?}"));
        }
        let is_plain = groups == 0 && !known.new.retain && known.new.will_of.is_none() && known.routed.len() == 1;
        if is_plain {
            let place = (known.new.key.clone(), topic.clone(), delivery.qos);
            let moment = known.routed[0];
            if session.order.insert(place, moment).is_some_and(|last| last >= moment) {
                self.violation(&format!("message {number} comes after a later one of its publisher and topic"));
            }
        }
    }

    /// Everybody came back and is quiet, so nothing can be owed any more.
    pub(super) fn check_deliveries(&mut self) {
        let is_due = |owed: &&Owed| {
            let known = &self.messages[owed.number as usize];
            // Taken again after a failed commit or a crash, it may have expired the first time.
            let is_taken_again = known.commit_failed || known.routed.len() > 1;
            let has_expired = known.expires_at.is_some_and(|end| end <= self.now || is_taken_again);
            known.is_acknowledged && !known.is_given_up && !has_expired
        };
        if let Some(owed) = self.owed.iter().find(is_due) {
            let whom = match &owed.to {
                Creditor::Session(key) => format!("{key:?}"),
                Creditor::Group(members) => format!("the group of {members:?}"),
            };
            let what = format!("message {} never reached {whom} through {}", owed.number, owed.filter);
            return self.violation(&what);
        }
        for (key, session) in &self.sessions {
            let is_connected = session.exists && session.gone_since.is_none();
            // A retained message is not sent again, either, if its publisher has lost the right to it.
            let is_stuck = |flight: &Flight| {
                let publisher = flight.number.map(|number| &self.messages[number as usize].new.key);
                self.rules.iter().all(|rules| {
                    rules.may(Permission::Subscribe, key, &flight.topic)
                        && publisher.is_none_or(|publisher| rules.may(Permission::Publish, publisher, &flight.topic))
                })
            };
            let stuck = session.in_flight.iter().find(|(_, flight)| is_connected && is_stuck(flight));
            if let Some((packet_id, _)) = stuck {
                let what = format!("#{packet_id} of {key:?} stays in flight for ever");
                return self.violation(&what);
            }
        }
    }
}

/// The filter without a share name.
fn plain(filter: &str) -> &str {
    match filter.strip_prefix("$share/") {
        Some(rest) => rest.split_once('/').map_or(rest, |(_, filter)| filter),
        None => filter,
    }
}
