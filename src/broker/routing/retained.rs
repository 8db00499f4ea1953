//! The retained messages: the last of each topic, found by filter.
//!
//! Every shard holds all of them, sharing the messages themselves, so that subscribing is answered in one step. Which of
//! two messages of a topic is the later one is decided by their version, so all shards and the disk agree.

use crate::broker::effect::RetainedVersion;
use crate::broker::message::Message;
use crate::broker::time::Timestamp;
use crate::protocol::{TopicFilter, TopicName};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

/// A message that is kept for later subscribers.
#[derive(Debug, Clone)]
pub struct RetainedMessage {
    /// The message.
    pub message: Arc<Message>,
    /// Decides which is the later one.
    pub version: RetainedVersion,
}

/// All retained messages by topic.
#[derive(Debug, Default)]
pub struct Retained {
    by_topic: BTreeMap<TopicName, RetainedMessage>,
    by_expiry: BTreeSet<(Timestamp, TopicName)>,
    /// The versions that cleared a topic or expired lately, so that an older message that was on its way does not come back.
    cleared: BTreeMap<TopicName, RetainedVersion>,
    cleared_order: VecDeque<TopicName>,
    bytes: usize,
    /// The greatest counter seen; the next version is above it.
    counter: u64,
}

impl Retained {
    /// How many topics have one.
    pub fn len(&self) -> usize {
        self.by_topic.len()
    }

    /// What they take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The message of this topic.
    pub fn get(&self, topic: &TopicName) -> Option<&RetainedMessage> {
        self.by_topic.get(topic)
    }

    /// Whether this very message is still the one of its topic.
    pub fn is_current(&self, message: &Arc<Message>) -> bool {
        self.get(&message.topic).is_some_and(|kept| Arc::ptr_eq(&kept.message, message))
    }

    /// A version later than everything seen so far.
    pub fn next_version(&mut self, shard: u16) -> RetainedVersion {
        self.counter = self.counter.saturating_add(1);
        RetainedVersion { counter: self.counter, shard }
    }

    /// Keeps a message, or with an empty payload [v5:MQTT-3.3.1-6] clears its topic, unless what is there is later.
    /// Whether it was the later one.
    pub fn apply(&mut self, message: &Arc<Message>, version: RetainedVersion) -> bool {
        self.counter = self.counter.max(version.counter);
        let kept = self.by_topic.get(&message.topic).map(|old| old.version);
        if kept.max(self.cleared.get(&message.topic).copied()).is_some_and(|old| old >= version) {
            return false;
        }
        self.remove(&message.topic);
        if message.payload.is_empty() {
            self.remember_cleared(message.topic.compact(), version);
        } else {
            self.bytes = self.bytes.saturating_add(message.size());
            if let Some(end) = message.expires_at {
                self.by_expiry.insert((end, message.topic.clone()));
            }
            self.by_topic.insert(message.topic.clone(), RetainedMessage { message: Arc::clone(message), version });
        }
        true
    }

    fn remember_cleared(&mut self, topic: TopicName, version: RetainedVersion) {
        if self.cleared.insert(topic.clone(), version).is_none() {
            self.cleared_order.push_back(topic);
        }
        if self.cleared_order.len() > Self::CLEARED_REMEMBERED
            && let Some(oldest) = self.cleared_order.pop_front()
        {
            self.cleared.remove(&oldest);
        }
    }

    /// Frames between shards are on their way for milliseconds; this many clearings take longer than that.
    const CLEARED_REMEMBERED: usize = 4096;

    /// Takes the message of a topic out.
    pub fn remove(&mut self, topic: &TopicName) -> Option<RetainedMessage> {
        let old = self.by_topic.remove(topic)?;
        self.bytes = self.bytes.saturating_sub(old.message.size());
        if let Some(end) = old.message.expires_at {
            self.by_expiry.remove(&(end, topic.clone()));
        }
        Some(old)
    }

    /// Takes out one message that has expired by now, if there is one.
    pub fn pop_expired(&mut self, now: Timestamp) -> Option<RetainedMessage> {
        let topic = self.by_expiry.first().filter(|(end, _)| *end <= now).map(|(_, topic)| topic.clone())?;
        let expired = self.remove(&topic)?;
        self.remember_cleared(topic.compact(), expired.version);
        Some(expired)
    }

    /// When the next message expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.by_expiry.first().map(|(end, _)| *end)
    }

    /// Every message that the filter matches and that has not expired, by topic. [v5:MQTT-3.3.1-9]
    ///
    /// Only topics that begin with the levels before the filter's first wildcard are looked at.
    pub fn matching<'a>(
        &'a self,
        filter: &'a TopicFilter,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a RetainedMessage> + 'a {
        let all = filter.as_str();
        let wild = all.find(['+', '#']);
        let prefix = match wild {
            Some(at) => all.get(..at).unwrap_or_default().trim_end_matches('/'),
            None => all,
        };
        let start = match TopicName::try_from(prefix) {
            Ok(first) => Bound::Included(first),
            Err(_) => Bound::Unbounded,
        };
        self.by_topic
            .range((start, Bound::Unbounded))
            .map(|(_, kept)| kept)
            .take_while(move |kept| kept.message.topic.as_str().starts_with(prefix))
            .filter(move |kept| filter.matches(&kept.message.topic) && !kept.message.is_expired(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::message::Origin;
    use crate::protocol::QoS;
    use crate::protocol::Rare;
    use bytes::Bytes;

    fn message(topic: &str, payload: &'static str, expires_at: Option<u64>) -> Arc<Message> {
        Arc::new(Message {
            topic: TopicName::try_from(topic).unwrap(),
            payload: Bytes::from_static(payload.as_bytes()),
            qos: QoS::AtMostOnce,
            retain: true,
            expires_at: expires_at.map(Timestamp::from_millis),
            origin: Origin::System,
            durability: crate::broker::Durability::Commit,
            properties: Rare::NOTHING,
        })
    }

    fn topics(retained: &Retained, filter: &str, now: u64) -> Vec<String> {
        let filter = TopicFilter::try_from(filter).unwrap();
        retained.matching(&filter, Timestamp::from_millis(now)).map(|kept| kept.message.topic.to_string()).collect()
    }

    #[test]
    fn a_filter_finds_the_topics_it_matches() {
        let mut retained = Retained::default();
        for topic in ["a", "a/b", "a/b/c", "ab", "b", "$SYS/x", "/", "a/c"] {
            let version = retained.next_version(0);
            retained.apply(&message(topic, "x", None), version);
        }
        assert_eq!(topics(&retained, "a/#", 0), ["a", "a/b", "a/b/c", "a/c"]);
        assert_eq!(topics(&retained, "a/+", 0), ["a/b", "a/c"]);
        assert_eq!(topics(&retained, "a", 0), ["a"]);
        assert_eq!(topics(&retained, "+/+", 0), ["/", "a/b", "a/c"]);
        assert_eq!(topics(&retained, "/+", 0), ["/"]);
        assert_eq!(topics(&retained, "#", 0).len(), 7);
        assert_eq!(topics(&retained, "$SYS/#", 0), ["$SYS/x"]);
    }

    #[test]
    fn the_later_version_stays_in_whatever_order_they_arrive() {
        let (first, second) = (message("t", "1", None), message("t", "2", None));
        let (early, late) = (RetainedVersion { counter: 1, shard: 9 }, RetainedVersion { counter: 2, shard: 0 });
        let mut retained = Retained::default();
        assert!(retained.apply(&second, late));
        assert!(!retained.apply(&first, early));
        assert_eq!(retained.get(&first.topic).unwrap().message.payload, "2");
        assert!(retained.next_version(0) > late);
    }

    #[test]
    fn a_cleared_topic_stays_clear_when_an_older_message_arrives_late() {
        let mut retained = Retained::default();
        assert!(retained.apply(&message("t", "", None), RetainedVersion { counter: 2, shard: 0 }));
        assert!(!retained.apply(&message("t", "old", None), RetainedVersion { counter: 1, shard: 1 }));
        assert_eq!(retained.len(), 0);
        assert!(retained.apply(&message("t", "new", None), RetainedVersion { counter: 3, shard: 1 }));
    }

    #[test]
    fn an_empty_payload_clears_and_expiry_takes_out() {
        let mut retained = Retained::default();
        for (topic, payload, end) in [("a", "1", None), ("b", "2", Some(50)), ("a", "", None)] {
            let version = retained.next_version(0);
            retained.apply(&message(topic, payload, end), version);
        }
        assert_eq!(topics(&retained, "#", 49), ["b"]);
        assert_eq!(topics(&retained, "#", 50), [""; 0]);
        assert_eq!(retained.next_expiry(), Some(Timestamp::from_millis(50)));
        assert!(retained.pop_expired(Timestamp::from_millis(49)).is_none());
        assert!(retained.pop_expired(Timestamp::from_millis(50)).is_some());
        assert_eq!(retained.len(), 0);
        assert_eq!(retained.bytes(), 0);
    }
}
