//! What queues hold, what happens beyond that, and what acknowledgements promise by topic: written down once for the
//! broker and once, naively, for the oracle.

use crate::random::Random;
use crate::rules::matches;
use securemq::broker::{Durabilities, Durability, Limits, QueueFull, TopicSettings};
use securemq::protocol::{QoS, TopicFilter};
use std::sync::Arc;

/// Another generator than that of the world: what a seed without such bounds does stays the same.
const SALT: u64 = 0x626f_756e_6473;

/// The bounds of one run.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    topics: Vec<(&'static str, Option<Durability>, QueueFull)>,
    /// Messages queued for one session, and for all of a shard.
    one: Option<usize>,
    all: Option<usize>,
    /// Bytes likewise.
    bytes_of_one: Option<usize>,
    bytes_of_all: Option<usize>,
}

impl Bounds {
    /// Half of all runs have none.
    pub fn random(seed: u64) -> Self {
        let mut random = Random::new(seed ^ SALT);
        let mut bounds = Self::default();
        if random.chance(50) {
            return bounds;
        }
        for filter in ["a", "a/#", "j/+", "b", "#"] {
            if random.chance(40) {
                let classes = [None, Some(Durability::Memory), Some(Durability::Os), Some(Durability::Commit)];
                bounds.topics.push((filter, random.pick(&classes), random.pick(&QueueFull::ALL)));
            }
        }
        bounds.one = random.chance(60).then(|| random.between(1, 12));
        bounds.all = random.chance(50).then(|| random.between(2, 40));
        bounds.bytes_of_one = random.chance(25).then(|| random.between(50, 3000));
        bounds.bytes_of_all = random.chance(25).then(|| random.between(50, 10_000));
        bounds
    }

    /// The same for the broker.
    pub fn apply(&self, limits: &Limits) -> Limits {
        let settings = |&(filter, durability, queue_full): &(&str, Option<Durability>, QueueFull)| TopicSettings {
            filter: TopicFilter::try_from(filter).unwrap(),
            durability,
            queue_full,
        };
        let topics = self.topics.iter().map(settings).collect();
        Limits {
            max_queued_messages: self.one.unwrap_or(limits.max_queued_messages),
            max_queued_bytes: self.bytes_of_one.unwrap_or(limits.max_queued_bytes),
            max_all_queued_bytes: self.bytes_of_all.unwrap_or(limits.max_all_queued_bytes),
            max_all_queued_messages: self.all.unwrap_or(limits.max_all_queued_messages),
            durabilities: Arc::new(Durabilities::new(Durability::Commit, [], topics)),
            ..limits.clone()
        }
    }

    /// Whether a publisher may be told that a queue is full. Without a bound none is.
    pub fn may_refuse(&self, topic: &str) -> bool {
        let bounds = [self.one, self.all, self.bytes_of_one, self.bytes_of_all];
        bounds.iter().any(Option::is_some)
            && self.find(topic).is_some_and(|(_, _, queue_full)| *queue_full == QueueFull::Refuse)
    }

    /// Whether a message in a queue may give way to another.
    pub fn drops_oldest(&self) -> bool {
        self.topics.iter().any(|(_, _, queue_full)| *queue_full == QueueFull::DropOldest)
    }

    /// Whether an acknowledged message may be lost with the process. Nothing of QoS 2 may.
    pub fn is_in_memory(&self, topic: &str, qos: QoS) -> bool {
        qos < QoS::ExactlyOnce && self.find(topic).is_some_and(|(_, class, _)| *class == Some(Durability::Memory))
    }

    /// The first that matches counts.
    fn find(&self, topic: &str) -> Option<&(&'static str, Option<Durability>, QueueFull)> {
        self.topics.iter().find(|(filter, _, _)| matches(filter, topic))
    }
}
