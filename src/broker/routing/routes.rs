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

impl Route {
    /// More are found anew for each message, which is little beside delivering it to so many, and memory that grows with
    /// publishers times subscribers.
    const MATCHES: usize = 32;

    /// Longer topics are not kept, so that the memory stays bounded.
    const TOPIC_LEN: usize = 256;

    /// Whether it is small enough to be kept.
    pub fn is_small(&self) -> bool {
        self.matches.count() <= Self::MATCHES && self.topic.text().len() <= Self::TOPIC_LEN
    }
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

    /// Takes out the route of the topic with this name, which was checked when the route was made.
    pub fn take(&mut self, name: &[u8]) -> Option<Box<Route>> {
        let at = self.0.iter().rposition(|route| route.topic.as_bytes() == name)?;
        Some(self.0.remove(at))
    }

    /// Keeps a route until others have pushed it out.
    pub fn keep(&mut self, route: Box<Route>) {
        if !route.is_small() {
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
    fn the_last_routes_are_kept() {
        let mut routes = Routes::default();
        for topic in ["a", "b", "c", "d", "e"] {
            routes.keep(route(topic));
        }
        assert!(routes.take(b"a").is_none(), "pushed out by the fifth");
        let taken = routes.take(b"b").unwrap();
        assert_eq!(taken.topic.as_str(), "b");
        assert!(routes.take(b"b").is_none());
        routes.keep(taken);
        assert!(routes.take(b"b").is_some());
        routes.keep(route(&"x".repeat(1000)));
        assert!(routes.take("x".repeat(1000).as_bytes()).is_none(), "too long to be kept");
    }
}
