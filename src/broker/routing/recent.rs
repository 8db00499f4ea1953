//! Who wanted the messages of the topics that came by last, whoever published them.

use super::routes::Route;
use crate::broker::numbers::NumberHasher;
use crate::protocol::TopicName;
use std::hash::Hasher;

/// The routes of the messages that other shards passed on last. Nobody's rights are in them: the shard of the publisher has
/// judged those.
#[derive(Debug, Default)]
pub struct Recent(Vec<Option<Box<Route>>>);

impl Recent {
    /// A place for each of the topics that a few thousand devices publish to in turn. A route takes 2 KiB at most.
    const PLACES: usize = 1024;

    /// Takes out the route of a topic, if it is known in this version of the tree.
    pub fn take(&mut self, topic: &TopicName, version: u64) -> Option<Box<Route>> {
        let place = self.0.get_mut(Self::place_of(topic))?;
        place.take_if(|route| route.topic == *topic).filter(|route| route.version == version)
    }

    /// Keeps a route until another takes its place. One that is not the same for all publishers is not kept.
    pub fn keep(&mut self, route: Box<Route>) {
        if !route.is_small() || route.matches.depend_on_publisher() {
            return;
        }
        if self.0.is_empty() {
            self.0.resize_with(Self::PLACES, || None);
        }
        if let Some(place) = self.0.get_mut(Self::place_of(&route.topic)) {
            *place = Some(route);
        }
    }

    /// Two topics may have the same place, by chance or because somebody wants it so: then each message costs what it would
    /// cost if nothing were kept.
    fn place_of(topic: &TopicName) -> usize {
        let mut hasher = NumberHasher::default();
        let (words, rest) = topic.as_bytes().as_chunks();
        words.iter().for_each(|word| hasher.write_u64(u64::from_le_bytes(*word)));
        let rest = rest.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        hasher.write_u64(rest);
        usize::try_from(hasher.finish() >> 40).unwrap_or(0) % Self::PLACES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::routing::{Leaf, Matches};
    use crate::broker::subscription::SubscriptionOptions;
    use crate::protocol::QoS;

    fn route(topic: &str, no_local: bool) -> Box<Route> {
        let mut leaf = Leaf::default();
        let options = SubscriptionOptions {
            qos: QoS::AtMostOnce,
            no_local,
            retain_as_published: false,
            id: None,
            check_delivery: false,
        };
        leaf.set_session(7, options);
        let mut matches = Matches::default();
        matches.add(&leaf, |_| false);
        Box::new(Route { topic: TopicName::try_from(topic).unwrap(), matches, version: 1 })
    }

    #[test]
    fn a_route_is_found_by_its_topic_in_the_tree_that_it_was_made_from() {
        let mut recent = Recent::default();
        let topics: Vec<String> = (0..50).map(|number| format!("room/{number}/temperature")).collect();
        topics.iter().for_each(|topic| recent.keep(route(topic, false)));
        let mut found = 0;
        for topic in &topics {
            if let Some(taken) = recent.take(&route(topic, false).topic, 1) {
                assert_eq!(taken.topic.as_str(), topic);
                found += 1;
                recent.keep(taken);
                assert!(recent.take(&route(topic, false).topic, 2).is_none(), "of an earlier tree");
            }
        }
        assert!(found > 40, "{found}");
    }

    /// [v5:MQTT-3.8.3-3]
    #[test]
    fn a_route_that_is_not_the_same_for_everybody_is_not_kept() {
        let mut recent = Recent::default();
        recent.keep(route("a", true));
        recent.keep(route(&"x".repeat(1000), false));
        assert!(recent.take(&route("a", true).topic, 1).is_none());
        assert!(recent.take(&route(&"x".repeat(1000), false).topic, 1).is_none(), "too long");
    }
}
