//! Who wants a message: what one walk of the tree finds, joined so that every session is there once.

use super::trie::Leaf;
use crate::broker::effect::ShardId;
use crate::broker::subscription::SubscriptionOptions;
use crate::protocol::{QoS, SubscriptionId};

/// A session that wants a message, by all of its subscriptions that match. [v5:MQTT-3.3.4-2]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// The session.
    pub index: u32,
    /// The most that one of its subscriptions allows.
    pub qos: QoS,
    /// Whether one of them wants the retain flag as published. [v5:MQTT-3.3.1-13]
    pub retain_as_published: bool,
    /// Whether the rights of the moment must be asked: none of them is free of that.
    pub check_delivery: bool,
    /// Of those that have one. [v5:MQTT-3.3.4-3]
    pub subscription_ids: Vec<SubscriptionId>,
}

impl Match {
    /// The session is served by one subscription.
    pub fn new(index: u32, options: &SubscriptionOptions) -> Self {
        Self {
            index,
            qos: options.qos,
            retain_as_published: options.retain_as_published,
            check_delivery: options.check_delivery,
            subscription_ids: options.id.into_iter().collect(),
        }
    }

    /// Another subscription of the same session matches, too.
    fn join(&mut self, other: &mut Self) {
        self.qos = self.qos.max(other.qos);
        self.retain_as_published |= other.retain_as_published;
        self.check_delivery &= other.check_delivery;
        self.subscription_ids.append(&mut other.subscription_ids);
    }
}

/// Who wants a message.
#[derive(Debug, Default)]
pub struct Matches {
    /// Sessions of this shard, each once.
    pub sessions: Vec<Match>,
    /// Shared groups kept by this shard.
    pub groups: Vec<u32>,
    /// Other shards, each once.
    pub peers: Vec<ShardId>,
    /// Leaves that had sessions.
    leaves: usize,
    /// Whether a session does not want its own messages.
    depend_on_publisher: bool,
}

impl Matches {
    /// Adds all that one filter brings, but for the sessions that do not want their own messages and are the publisher.
    pub fn add(&mut self, leaf: &Leaf, is_publisher: impl Fn(u32) -> bool) {
        let wants = |(index, options): &&(u32, SubscriptionOptions)| !(options.no_local && is_publisher(*index));
        let sessions = leaf.sessions().iter().filter(wants);
        self.sessions.extend(sessions.map(|(index, options)| Match::new(*index, options)));
        self.depend_on_publisher |= leaf.sessions().iter().any(|(_, options)| options.no_local);
        self.leaves = self.leaves.saturating_add(usize::from(!leaf.sessions().is_empty()));
        self.groups.extend_from_slice(leaf.groups());
        for peer in leaf.peers() {
            if !self.peers.contains(peer) {
                self.peers.push(*peer);
            }
        }
    }

    /// Joins the subscriptions of each session. To be called when all leaves are added.
    pub fn join(&mut self) {
        // One leaf has each session once already.
        if self.leaves > 1 {
            self.sessions.sort_by_key(|found| found.index);
            self.sessions.dedup_by(|later, kept| {
                let is_same = later.index == kept.index;
                if is_same {
                    kept.join(later);
                }
                is_same
            });
        }
    }

    /// Whether another publisher's messages of the same topic may go to others.
    pub fn depend_on_publisher(&self) -> bool {
        self.depend_on_publisher
    }

    /// How many it are, a group and another shard counted as one.
    pub fn count(&self) -> usize {
        self.sessions.len().saturating_add(self.groups.len()).saturating_add(self.peers.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(qos: QoS, id: u32) -> SubscriptionOptions {
        let id = SubscriptionId::new(id);
        SubscriptionOptions { qos, no_local: id.is_none(), retain_as_published: false, id, check_delivery: false }
    }

    /// [v5:MQTT-3.3.4-2] [v5:MQTT-3.3.4-3]
    #[test]
    fn a_session_with_several_subscriptions_is_there_once_with_the_best_of_each() {
        let (mut first, mut second) = (Leaf::default(), Leaf::default());
        first.set_session(7, options(QoS::AtLeastOnce, 1));
        first.set_session(9, options(QoS::AtMostOnce, 0));
        second.set_session(2, options(QoS::AtMostOnce, 0));
        second.set_session(7, options(QoS::ExactlyOnce, 2));
        let mut matches = Matches::default();
        for leaf in [&first, &second] {
            matches.add(leaf, |index| index == 9);
        }
        matches.join();
        let [two, seven] = &matches.sessions[..] else { panic!("{matches:?}") };
        assert_eq!((two.index, seven.index, seven.qos), (2, 7, QoS::ExactlyOnce));
        let ids: Vec<u32> = seven.subscription_ids.iter().map(|id| id.number()).collect();
        assert_eq!((ids, matches.count()), (vec![1, 2], 2));
    }
}
