//! What is known of the topics that a client published to last: that it may, and who wants it.

use super::matches::Matches;
use crate::protocol::TopicName;

/// A topic with everything that has to be found out about it for one publisher. With it, a message costs the same
/// whatever the number of subscriptions and rules.
#[derive(Debug)]
pub struct Route {
    /// The topic, in memory of its own.
    pub topic: TopicName,
    /// Who wants its messages.
    pub matches: Matches,
    /// The tree that they were found in. It holds as long as the tree has this version.
    pub version: u64,
}

/// The last routes of one publisher. Whoever changes its rights forgets them; a change of the tree gives them away by
/// their version.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "each message takes its route out and puts it back: a pointer, not a hundred bytes")]
pub struct Routes(Vec<Box<Route>>);

impl Routes {
    /// A device has a few topics that it publishes to in turn. Each route is looked at for every message, so more would
    /// cost those who publish to ever new topics more than it saves.
    const KEPT: usize = 4;

    /// Larger ones are found anew for each message, which is little beside delivering it to so many, and memory that
    /// grows with publishers times subscribers.
    const MATCHES: usize = 32;

    /// Longer topics are not kept, so that the memory of a publisher stays bounded.
    const TOPIC_LEN: usize = 256;

    /// The topic of a route, if this is its name: it was checked when the route was made.
    pub fn topic(&self, name: &[u8]) -> Option<&TopicName> {
        self.0.iter().rev().map(|route| &route.topic).find(|topic| topic.as_bytes() == name)
    }

    /// Takes out the route of a topic, if it is known in this version of the tree.
    pub fn take(&mut self, topic: &TopicName, version: u64) -> Option<Box<Route>> {
        let at = self.0.iter().rposition(|route| route.topic == *topic)?;
        let route = self.0.remove(at);
        (route.version == version).then_some(route)
    }

    /// Keeps a route until others have pushed it out.
    pub fn keep(&mut self, route: Box<Route>) {
        if route.matches.count() > Self::MATCHES || route.topic.text().len() > Self::TOPIC_LEN {
            return;
        }
        if self.0.len() >= Self::KEPT {
            self.0.remove(0);
        }
        self.0.push(route);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(topic: &str) -> Box<Route> {
        let topic = TopicName::try_from(topic).unwrap();
        Box::new(Route { topic, matches: Matches::default(), version: 1 })
    }

    #[test]
    fn the_last_routes_are_kept_and_only_those_of_this_version_of_the_tree() {
        let mut routes = Routes::default();
        for topic in ["a", "b", "c", "d", "e"] {
            routes.keep(route(topic));
        }
        assert!(routes.topic(b"a").is_none(), "pushed out by the fifth");
        assert_eq!(routes.topic(b"b").map(TopicName::as_str), Some("b"));
        let taken = routes.take(&route("b").topic, 1);
        assert!(routes.topic(b"b").is_none());
        routes.keep(taken.unwrap());
        assert!(routes.take(&route("b").topic, 2).is_none(), "of an earlier tree");
        routes.keep(route(&"x".repeat(1000)));
        assert!(routes.topic("x".repeat(1000).as_bytes()).is_none(), "too long to be kept");
    }
}
