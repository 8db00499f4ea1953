//! What people may see of a shard, and the few things they may do to it from outside. Looking changes nothing.

use super::core::Shard;
use crate::broker::access::{Permission, Policy, Principal, Rights, UserName};
use crate::broker::address::Address;
use crate::broker::carrier::Carrier;
use crate::broker::counters::Counters;
use crate::broker::effect::Effects;
use crate::broker::message::{Message, SessionKey};
use crate::broker::reason::Reason;
use crate::broker::session::Session;
use crate::broker::subscription::SubscriptionOptions;
use crate::broker::time::Timestamp;
use crate::protocol::{ProtocolVersion, QoS, TopicFilter, TopicName};
use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

/// A session as it is listed.
#[derive(Debug, Clone)]
pub struct ClientView {
    /// Whose it is.
    pub key: Arc<SessionKey>,
    /// Where its connection comes from, or its last one came from.
    pub address: Address,
    /// Its connection.
    pub live: Option<LiveView>,
    /// When its last connection ended.
    pub gone_since: Option<Timestamp>,
    /// How long it outlives a connection.
    pub expiry: Option<Duration>,
    /// How many subscriptions it has.
    pub subscriptions: usize,
    /// Messages sent and not fully acknowledged.
    pub inflight: usize,
    /// Messages that wait to be sent.
    pub queued: usize,
    /// Their bytes.
    pub queued_bytes: usize,
}

/// A connection as it is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveView {
    /// What it speaks.
    pub version: ProtocolVersion,
    /// What carries its packets.
    pub carrier: Carrier,
    /// When it began.
    pub since: Timestamp,
    /// Silence longer than this ends it.
    pub silence_allowed: Option<Duration>,
    /// Messages that it published.
    pub received: u64,
    /// Messages that it was sent.
    pub sent: u64,
}

/// A session with what it is subscribed to and its will.
#[derive(Debug, Clone)]
pub struct ClientDetail {
    /// As it is listed.
    pub view: ClientView,
    /// Its subscriptions, as they were asked for.
    pub subscriptions: Vec<(String, SubscriptionOptions)>,
    /// What is published if it vanishes.
    pub will: Option<WillView>,
}

/// A will, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WillView {
    /// Where it is published.
    pub topic: TopicName,
    /// With what.
    pub qos: QoS,
    /// Whether it is retained.
    pub retain: bool,
    /// How long after the end of the connection.
    pub delay: Duration,
}

/// Which sessions are listed.
#[derive(Debug, Clone, Default)]
pub struct ClientQuery {
    /// Only those of these accounts.
    pub owners: Option<Arc<BTreeSet<UserName>>>,
    /// Only those whose client identifier or account contains this.
    pub search: String,
    /// Only those that are connected, or that are not.
    pub presence: Presence,
    /// Only those after this one.
    pub after: Option<SessionKey>,
    /// At most so many.
    pub limit: usize,
}

/// Whether a session is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Presence {
    /// It does not matter.
    #[default]
    Any,
    /// It is.
    Online,
    /// It is not.
    Offline,
}

/// Which retained messages are listed.
#[derive(Debug, Clone)]
pub struct RetainedQuery {
    /// Only those that this matches.
    pub filter: TopicFilter,
    /// Only those whose topic comes after this one.
    pub after: Option<TopicName>,
    /// At most so many.
    pub limit: usize,
}

/// The sums of a shard.
#[derive(Debug, Clone, Default)]
pub struct ShardReport {
    /// What it did since it began.
    pub counters: Counters,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Those that are connected.
    pub connections: usize,
    /// Subscriptions of all sessions.
    pub subscriptions: usize,
    /// Messages that wait to be sent.
    pub queued: usize,
    /// Retained messages; every shard knows all of them.
    pub retained: usize,
    /// Their bytes.
    pub retained_bytes: usize,
}

/// A connected client that would lose a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Whose session.
    pub key: Arc<SessionKey>,
    /// What it is subscribed to and would no longer get, or not all of it.
    pub filter: String,
}

impl Shard {
    /// Its sums; one look at every session.
    pub fn report(&self) -> ShardReport {
        let mut report = ShardReport {
            counters: self.counters.clone(),
            sessions: self.sessions.len(),
            connections: self.by_connection.len(),
            retained: self.retained.len(),
            retained_bytes: self.retained.bytes(),
            ..ShardReport::default()
        };
        for session in self.by_key.values().filter_map(|index| self.sessions.get(*index)) {
            report.subscriptions = report.subscriptions.saturating_add(session.subscriptions.len());
        }
        report.queued = self.waiting.messages;
        report
    }

    /// The sessions that are asked for, by principal and client identifier.
    pub fn clients(&self, query: &ClientQuery) -> Vec<ClientView> {
        let start = match &query.after {
            Some(after) => Bound::Excluded(after),
            None => Bound::Unbounded,
        };
        let sessions = self.by_key.range::<SessionKey, _>((start, Bound::Unbounded));
        let sessions = sessions.filter_map(|(_, index)| self.sessions.get(*index));
        sessions.filter(|session| query.wants(session)).take(query.limit).map(view).collect()
    }

    /// One session.
    pub fn client(&self, key: &SessionKey) -> Option<ClientDetail> {
        let session = self.sessions.get(*self.by_key.get(key)?)?;
        let subscriptions = session.subscriptions.iter();
        Some(ClientDetail {
            view: view(session),
            subscriptions: subscriptions.map(|(name, subscription)| (name.to_string(), subscription.options)).collect(),
            will: session.will.as_ref().map(|will| WillView {
                topic: will.message.topic.clone(),
                qos: will.message.qos,
                retain: will.message.retain,
                delay: will.delay,
            }),
        })
    }

    /// The retained messages that are asked for and that somebody with these rights would be sent, by topic.
    pub fn retained_messages(&self, now: Timestamp, query: &RetainedQuery, rights: &Rights) -> Vec<Arc<Message>> {
        let after = |message: &Message| query.after.as_ref().is_none_or(|after| message.topic > *after);
        self.retained
            .matching(&query.filter, now)
            .map(|kept| &kept.message)
            .filter(|message| after(message))
            .filter(|message| rights.verdict(Permission::Subscribe, &message.topic).is_allowed())
            .take(query.limit)
            .cloned()
            .collect()
    }

    /// What this principal may do with this client identifier, as of the policy of the moment.
    pub fn rights_of(&self, key: &SessionKey) -> Rights {
        self.policy.rights(&key.principal, &key.client_id)
    }

    /// How many sessions and groups of this shard a message for this topic would reach.
    pub fn receivers_of(&self, topic: &TopicName) -> usize {
        let mut sessions = Vec::new();
        let mut groups = 0_usize;
        self.trie.for_each_match(topic, &mut |leaf| {
            sessions.extend(leaf.sessions().iter().map(|(index, _)| *index));
            groups = groups.saturating_add(leaf.groups().len());
        });
        sessions.sort_unstable();
        sessions.dedup();
        sessions.len().saturating_add(groups)
    }

    /// The subscriptions of connected clients that would bring less, or nothing, under another policy.
    pub fn losses_under(&self, policy: &Policy, limit: usize) -> Vec<Loss> {
        let mut losses = Vec::new();
        for session in self.by_key.values().filter_map(|index| self.sessions.get(*index)) {
            if session.live.is_none() {
                continue;
            }
            let then = policy.rights(&session.key.principal, &session.key.client_id);
            for (name, subscription) in &session.subscriptions {
                let filter = &subscription.filter.filter;
                if losses.len() < limit && whole(&session.rights, filter) > whole(&then, filter) {
                    losses.push(Loss { key: Arc::clone(&session.key), filter: name.to_string() });
                }
            }
        }
        losses
    }

    /// Ends a client's connection, for somebody who may. Whether it had one.
    pub fn disconnect_client(&mut self, now: Timestamp, key: &SessionKey, effects: &mut Effects) -> bool {
        let Some(&index) = self.by_key.get(key) else { return false };
        let was_connected = self.live(index).is_some();
        self.end_connection(now, index, Reason::Administrative, None, effects);
        was_connected
    }

    /// Ends a client's connection and its session, for somebody who may. Whether there was one.
    pub fn end_client(&mut self, now: Timestamp, key: &SessionKey, effects: &mut Effects) -> bool {
        let Some(&index) = self.by_key.get(key) else { return false };
        self.end_connection(now, index, Reason::Administrative, None, effects);
        // A session without an expiry has ended with its connection.
        if let Some(&index) = self.by_key.get(key) {
            self.end_session(now, index, Reason::Administrative, effects);
        }
        true
    }
}

/// How much of a subscription is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Share {
    Nothing,
    Part,
    Everything,
}

fn whole(rights: &Rights, filter: &TopicFilter) -> Share {
    match (rights.subscribe_verdict(filter).is_allowed(), rights.must_check_delivery(filter)) {
        (false, _) => Share::Nothing,
        (true, true) => Share::Part,
        (true, false) => Share::Everything,
    }
}

impl ClientQuery {
    fn wants(&self, session: &Session) -> bool {
        let (principal, client_id) = (&session.key.principal, session.key.client_id.as_str());
        let name = match principal {
            Principal::User(name) => name.as_str(),
            Principal::Anonymous(_) => "",
        };
        let present = match self.presence {
            Presence::Any => true,
            Presence::Online => session.live.is_some(),
            Presence::Offline => session.live.is_none(),
        };
        present
            && self.owners.as_ref().is_none_or(|owners| principal.user().is_some_and(|user| owners.contains(user)))
            && (self.search.is_empty() || client_id.contains(&self.search) || name.contains(&self.search))
    }
}

fn view(session: &Session) -> ClientView {
    ClientView {
        key: Arc::clone(&session.key),
        address: session.address,
        live: session.live.as_ref().map(|live| LiveView {
            version: live.version,
            carrier: live.carrier,
            since: live.since,
            silence_allowed: live.silence_allowed,
            received: live.received,
            sent: live.sent,
        }),
        gone_since: session.gone_since,
        expiry: session.expiry,
        subscriptions: session.subscriptions.len(),
        inflight: session.outbound.inflight_len(),
        queued: session.outbound.waiting().messages,
        queued_bytes: session.outbound.waiting().bytes,
    }
}
