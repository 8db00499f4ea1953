//! The tree of topic filters: one walk finds everything that matches a topic name.

use crate::broker::effect::ShardId;
use crate::broker::subscription::SubscriptionOptions;
use crate::protocol::{TopicFilter, TopicName};
use std::collections::HashMap;
use std::sync::Arc;

/// Everything that is subscribed with one filter.
#[derive(Debug, Default)]
pub struct Leaf {
    /// Sessions of this shard by index, in ascending order.
    sessions: Vec<(u32, SubscriptionOptions)>,
    /// Shared groups kept by this shard.
    groups: Vec<u32>,
    /// Shards that have an interest in the filter.
    peers: Vec<ShardId>,
}

impl Leaf {
    /// The sessions of this shard, by index.
    pub fn sessions(&self) -> &[(u32, SubscriptionOptions)] {
        &self.sessions
    }

    /// The shared groups of this shard.
    pub fn groups(&self) -> &[u32] {
        &self.groups
    }

    /// The shards that asked for it.
    pub fn peers(&self) -> &[ShardId] {
        &self.peers
    }

    /// Whether anybody of this shard wants it, so that other shards have to know.
    pub fn is_wanted_here(&self) -> bool {
        !self.sessions.is_empty() || !self.groups.is_empty()
    }

    fn is_empty(&self) -> bool {
        !self.is_wanted_here() && self.peers.is_empty()
    }

    /// Adds or replaces the subscription of a session; whether it is new.
    pub fn set_session(&mut self, index: u32, options: SubscriptionOptions) -> bool {
        match self.sessions.binary_search_by_key(&index, |(session, _)| *session) {
            Ok(at) => {
                if let Some((_, old)) = self.sessions.get_mut(at) {
                    *old = options;
                }
                false
            }
            Err(at) => {
                if self.sessions.is_empty() {
                    // Most filters have one subscriber; a vector that grows by itself makes room for four.
                    self.sessions.reserve_exact(1);
                }
                self.sessions.insert(at, (index, options));
                true
            }
        }
    }

    /// Takes the subscription of a session out.
    pub fn remove_session(&mut self, index: u32) {
        if let Ok(at) = self.sessions.binary_search_by_key(&index, |(session, _)| *session) {
            self.sessions.remove(at);
        }
    }

    /// Adds a shared group.
    pub fn add_group(&mut self, group: u32) {
        if !self.groups.contains(&group) {
            self.groups.push(group);
        }
    }

    /// Takes a shared group out.
    pub fn remove_group(&mut self, group: u32) {
        self.groups.retain(|&other| other != group);
    }

    /// Adds a shard.
    pub fn add_peer(&mut self, peer: ShardId) {
        if !self.peers.contains(&peer) {
            self.peers.push(peer);
        }
    }

    /// Takes a shard out.
    pub fn remove_peer(&mut self, peer: ShardId) {
        self.peers.retain(|&other| other != peer);
    }
}

/// The tree. Nodes live in one vector; an emptied path is given back at once.
#[derive(Debug)]
pub struct Trie {
    nodes: Vec<Node>,
    free: Vec<u32>,
    /// Counts the changes, so that whoever remembers what was found knows whether it still holds.
    version: u64,
}

#[derive(Debug, Default)]
struct Node {
    parent: u32,
    level: Arc<[u8]>,
    /// Most nodes are the last of their filter, and have none.
    #[expect(clippy::box_collection, reason = "a pointer to nothing, mostly, instead of an empty map of 48 bytes")]
    children: Option<Box<HashMap<Arc<[u8]>, u32>>>,
    /// The child for the level `+`.
    plus: Option<u32>,
    /// What is subscribed with the path of this node.
    here: Option<Box<Leaf>>,
    /// What is subscribed with the path of this node and `/#`.
    below: Option<Box<Leaf>>,
}

impl Node {
    fn is_bare(&self) -> bool {
        self.children.is_none() && self.plus.is_none() && self.here.is_none() && self.below.is_none()
    }
}

const ROOT: u32 = 0;

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], free: Vec::new(), version: 0 }
    }
}

impl Trie {
    /// Changes the leaf of a filter, which is made if need be and taken away if nothing is left in it.
    pub fn change<T>(&mut self, filter: &TopicFilter, change: impl FnOnce(&mut Leaf) -> T) -> T {
        self.version = self.version.wrapping_add(1);
        let (node, is_below) = self.make_path(filter);
        let mut leaf = self.take_leaf(node, is_below).unwrap_or_default();
        let result = change(&mut leaf);
        if leaf.is_empty() {
            self.prune(node);
        } else {
            self.put_leaf(node, is_below, leaf);
        }
        result
    }

    /// Shows every leaf whose filter matches the topic. [v5:MQTT-4.7.2-1] [v5:MQTT-4.7.3-4]
    pub fn for_each_match<'a>(&'a self, topic: &TopicName, found: &mut impl FnMut(&'a Leaf)) {
        self.walk(ROOT, Some(topic.as_bytes()), topic.is_reserved(), found);
    }

    /// Differs after every change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many nodes are in use.
    pub fn node_count(&self) -> usize {
        self.nodes.len().saturating_sub(self.free.len())
    }

    fn walk<'a>(&'a self, node: u32, rest: Option<&[u8]>, is_reserved: bool, found: &mut impl FnMut(&'a Leaf)) {
        let Some(node) = self.node(node) else { return };
        if !is_reserved && let Some(below) = &node.below {
            found(below);
        }
        let Some(rest) = rest else {
            if let Some(here) = &node.here {
                found(here);
            }
            return;
        };
        let mut parts = rest.splitn(2, |byte| *byte == b'/');
        let (level, rest) = (parts.next().unwrap_or_default(), parts.next());
        if let Some(&child) = node.children.as_ref().and_then(|children| children.get(level)) {
            self.walk(child, rest, false, found);
        }
        if !is_reserved && let Some(plus) = node.plus {
            self.walk(plus, rest, false, found);
        }
    }

    /// The node that holds the filter's leaf, and whether it is the leaf for `#`.
    fn make_path(&mut self, filter: &TopicFilter) -> (u32, bool) {
        let mut at = ROOT;
        for level in filter.as_bytes().split(|byte| *byte == b'/') {
            if level == b"#" {
                return (at, true);
            }
            at = self.child(at, level).unwrap_or_else(|| self.add_child(at, level));
        }
        (at, false)
    }

    fn child(&self, parent: u32, level: &[u8]) -> Option<u32> {
        let node = self.node(parent)?;
        if level == b"+" { node.plus } else { node.children.as_ref()?.get(level).copied() }
    }

    fn add_child(&mut self, parent: u32, level: &[u8]) -> u32 {
        let level: Arc<[u8]> = Arc::from(level);
        let child = Node { parent, level: Arc::clone(&level), ..Node::default() };
        let index = match self.free.pop() {
            Some(index) => {
                if let Some(slot) = self.node_mut(index) {
                    *slot = child;
                }
                index
            }
            None => {
                self.nodes.push(child);
                u32::try_from(self.nodes.len().saturating_sub(1)).unwrap_or(u32::MAX)
            }
        };
        if let Some(node) = self.node_mut(parent) {
            if &*level == b"+" {
                node.plus = Some(index);
            } else {
                node.children.get_or_insert_default().insert(level, index);
            }
        }
        index
    }

    fn take_leaf(&mut self, node: u32, is_below: bool) -> Option<Box<Leaf>> {
        let node = self.node_mut(node)?;
        if is_below { node.below.take() } else { node.here.take() }
    }

    fn put_leaf(&mut self, node: u32, is_below: bool, leaf: Box<Leaf>) {
        if let Some(node) = self.node_mut(node) {
            *(if is_below { &mut node.below } else { &mut node.here }) = Some(leaf);
        }
    }

    /// Gives back the nodes from here up that lead nowhere.
    fn prune(&mut self, mut at: u32) {
        while at != ROOT && self.node(at).is_some_and(Node::is_bare) {
            let Some(node) = self.node_mut(at) else { return };
            let gone = std::mem::take(node);
            self.free.push(at);
            if let Some(parent) = self.node_mut(gone.parent) {
                if &*gone.level == b"+" {
                    parent.plus = None;
                } else {
                    if let Some(children) = &mut parent.children {
                        children.remove(&gone.level);
                    }
                    parent.children.take_if(|children| children.is_empty());
                }
            }
            at = gone.parent;
        }
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.nodes.get(usize::try_from(index).ok()?)
    }

    fn node_mut(&mut self, index: u32) -> Option<&mut Node> {
        self.nodes.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests;
