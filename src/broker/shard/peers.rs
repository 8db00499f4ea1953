//! Other shards: what they want, what they pass on, and the groups kept for them. And the store, which commits.

use super::core::Shard;
use super::deliver::Offer;
use super::promises::{Due, Kept};
use crate::broker::durability::Durability;
use crate::broker::effect::{
    CommitId, CommitOutcome, Effect, Effects, GroupKey, PeerFrame, ShardId, Ticket, partition_of_group,
    shard_of_partition,
};
use crate::broker::message::Message;
use crate::broker::routing::{Group, Member, MemberAt};
use crate::broker::session::Subscription;
use crate::broker::time::Timestamp;
use crate::protocol::TopicFilter;
use std::sync::Arc;

impl Shard {
    /// Another shard says something.
    pub(super) fn forwarded(&mut self, now: Timestamp, peer: ShardId, frame: PeerFrame, effects: &mut Effects) {
        match frame {
            PeerFrame::InterestAdded { filter } => self.trie.change(&filter, |leaf| leaf.add_peer(peer)),
            PeerFrame::InterestRemoved { filter } => self.trie.change(&filter, |leaf| leaf.remove_peer(peer)),
            PeerFrame::Barrier { ticket } => settled(peer, ticket, CommitOutcome::Stored, effects),
            PeerFrame::Published { message, route, retained, once, ticket } => {
                // A subscription that the sender does not know of yet was answered with what was retained before, so it
                // is brought the later message even so.
                let is_later = retained.is_some_and(|version| self.retained.apply(&message, version));
                let (promise, before) = self.promise_to_peer(peer, ticket);
                if route || is_later {
                    self.journal.once = once;
                    self.deliver_forwarded(now, &message, promise, effects);
                    self.journal.once = None;
                }
                self.end_message_promise(peer, ticket, promise, before, &message, effects);
            }
            PeerFrame::GroupJoined { group, member, online, ticket } => {
                let member = Member { at: MemberAt { shard: peer, session: member }, online };
                let promise = ticket.map(|ticket| self.promises.open(Due::Peer(peer, ticket)));
                self.add_member(group, member, effects);
                if let Some((promise, ticket)) = promise.zip(ticket) {
                    self.wait_for_peers(promise, effects);
                    if self.promises.close_if_empty(promise).is_none() {
                        settled(peer, ticket, CommitOutcome::Stored, effects);
                    }
                }
            }
            PeerFrame::GroupLeft { group, member } => {
                self.remove_member(&group, MemberAt { shard: peer, session: member }, effects);
            }
            PeerFrame::GroupDelivery { group, member, message, once, ticket, tried } => {
                let (promise, before) = self.promise_to_peer(peer, ticket);
                self.journal.once = once;
                let offer = self.deliver_to_member(now, &group, member, &message, effects);
                self.journal.once = None;
                if offer == Offer::Taken {
                    self.end_message_promise(peer, ticket, promise, before, &message, effects);
                } else {
                    promise.and_then(|promise| self.promises.close_if_empty(promise));
                    // One that left is not counted: the group has one member less to try.
                    let tried = if offer == Offer::Left { tried.saturating_sub(1) } else { tried };
                    effects.push(Effect::Forward {
                        peer,
                        frame: PeerFrame::GroupRefused { group, message, once, ticket, tried },
                    });
                }
            }
            PeerFrame::GroupRefused { group, message, once, ticket, tried } => {
                self.is_refused = false;
                let before = self.promises.last_commit();
                if let Some(&index) = self.groups_by_key.get(&group) {
                    self.journal.once = once;
                    self.deliver_to_group(now, index, &message, ticket, tried, effects);
                    self.journal.once = None;
                }
                if let Some(ticket) = ticket.filter(|_| message.durability > Durability::Memory) {
                    self.wait_for_changes(ticket, before);
                }
                let outcome = self.outcome_of_routing();
                if let Some(kept) = ticket.and_then(|ticket| self.promises.settle(ticket, outcome)) {
                    self.promise_kept(now, kept, effects);
                }
            }
            PeerFrame::Released { once, ticket, again } => {
                let (promise, before) = self.promise_to_peer(peer, ticket);
                promise.inspect(|promise| self.promises.insist(*promise));
                self.forget_once(once, effects);
                if again {
                    self.wait_for_earlier_changes(effects);
                }
                self.end_promise_to_peer(peer, ticket, promise, before, effects);
            }
            PeerFrame::PublisherGone { publisher } => self.forget_publisher(publisher, effects),
            PeerFrame::Settled { ticket, outcome } => {
                if let Some(kept) = self.promises.settle(ticket, outcome) {
                    self.promise_kept(now, kept, effects);
                }
            }
        }
    }

    /// A promise of this shard for a ticket of another, and what was written down before it.
    fn promise_to_peer(&mut self, peer: ShardId, ticket: Option<Ticket>) -> (Option<Ticket>, CommitId) {
        self.is_refused = false;
        let promise = ticket.map(|ticket| self.promises.open(Due::Peer(peer, ticket)));
        (promise, self.promises.last_commit())
    }

    /// Settles the ticket of another shard at once if nothing has to be waited for.
    fn end_promise_to_peer(
        &mut self,
        peer: ShardId,
        ticket: Option<Ticket>,
        promise: Option<Ticket>,
        before: CommitId,
        effects: &mut Effects,
    ) {
        if let Some(ticket) = ticket
            && self.close_promise(promise, before).is_none()
        {
            settled(peer, ticket, CommitOutcome::Stored, effects);
        }
    }

    /// The same for the ticket of a message.
    fn end_message_promise(
        &mut self,
        peer: ShardId,
        ticket: Option<Ticket>,
        promise: Option<Ticket>,
        before: CommitId,
        message: &Message,
        effects: &mut Effects,
    ) {
        let outcome = self.outcome_of_routing();
        let Some(ticket) = ticket else { return };
        match self.close_message_promise(promise, before, message) {
            Some(promise) => self.promises.spoil(promise, outcome),
            None => settled(peer, ticket, outcome, effects),
        }
    }

    /// Whether a queue refused the message that was routed last.
    pub(super) fn outcome_of_routing(&mut self) -> CommitOutcome {
        match std::mem::take(&mut self.is_refused) {
            true => CommitOutcome::Refused,
            false => CommitOutcome::Stored,
        }
    }

    /// The store has dealt with every change up to this one.
    pub(super) fn committed(&mut self, now: Timestamp, up_to: CommitId, outcome: CommitOutcome, effects: &mut Effects) {
        self.journal.frame_ended(up_to, outcome);
        // A CONNACK is among the promises, and goes before everything else.
        while let Some(ticket) = self.promises.next_committed(up_to) {
            if outcome == CommitOutcome::Failed && self.promises.insists(ticket) {
                self.journal.insisting.push(ticket);
            } else if let Some(kept) = self.promises.settle(ticket, outcome) {
                self.promise_kept(now, kept, effects);
            }
        }
        self.journal.close_up_to(up_to);
        self.frame_stored(now, up_to, outcome, effects);
    }

    pub(super) fn promise_kept(&mut self, now: Timestamp, kept: Kept, effects: &mut Effects) {
        match kept.due {
            Due::Session(at) => self.promise_to_session(now, at, kept.ticket, kept.outcome, effects),
            Due::Peer(peer, ticket) => settled(peer, ticket, kept.outcome, effects),
        }
    }

    pub(super) fn tell_interest(&self, filter: &TopicFilter, effects: &mut Effects) {
        for peer in self.peers() {
            let frame = PeerFrame::InterestAdded { filter: filter.clone() };
            effects.push(Effect::Forward { peer, frame });
        }
    }

    pub(super) fn tell_no_interest(&self, filter: &TopicFilter, effects: &mut Effects) {
        for peer in self.peers() {
            let frame = PeerFrame::InterestRemoved { filter: filter.clone() };
            effects.push(Effect::Forward { peer, frame });
        }
    }

    fn owner_of(&self, group: &GroupKey) -> ShardId {
        shard_of_partition(partition_of_group(group), self.shards)
    }

    /// A session of this shard joins a group, or comes and goes as its member. With a ticket, that waits until it holds.
    pub(super) fn join_group(
        &mut self,
        index: u32,
        group: Arc<GroupKey>,
        ticket: Option<Ticket>,
        effects: &mut Effects,
    ) {
        let Some(session) = self.sessions.get(index) else { return };
        let (member, online) = (session.at, session.live.is_some());
        let owner = self.owner_of(&group);
        if owner == self.id {
            let at = MemberAt { shard: self.id, session: member };
            return self.add_member(group, Member { at, online }, effects);
        }
        if let Some(ticket) = ticket {
            self.promises.wait_for_one(ticket);
        }
        let frame = PeerFrame::GroupJoined { group, member, online, ticket };
        effects.push(Effect::Forward { peer: owner, frame });
    }

    pub(super) fn leave_group(&mut self, index: u32, group: &Arc<GroupKey>, effects: &mut Effects) {
        let Some(session) = self.sessions.get(index) else { return };
        let member = session.at;
        let owner = self.owner_of(group);
        if owner == self.id {
            return self.remove_member(group, MemberAt { shard: self.id, session: member }, effects);
        }
        let frame = PeerFrame::GroupLeft { group: Arc::clone(group), member };
        effects.push(Effect::Forward { peer: owner, frame });
    }

    /// Tells the groups of a session whether it is connected.
    pub(super) fn tell_groups(&mut self, index: u32, effects: &mut Effects) {
        let Some(session) = self.sessions.get(index) else { return };
        let group_of = |subscription: &Subscription| {
            let share = subscription.filter.share.clone()?;
            Some(Arc::new(GroupKey { share, filter: subscription.filter.filter.clone() }))
        };
        let groups: Vec<_> = session.subscriptions.values().filter_map(|subscription| group_of(subscription)).collect();
        for group in groups {
            self.join_group(index, group, None, effects);
        }
    }

    fn add_member(&mut self, key: Arc<GroupKey>, member: Member, effects: &mut Effects) {
        if let Some(&index) = self.groups_by_key.get(&key) {
            if let Some(group) = self.groups.get_mut(index) {
                group.join(member);
            }
            return;
        }
        let at = self.groups.insert_with(|_| Group::new(Arc::clone(&key)));
        if let Some(group) = self.groups.get_mut(at.index) {
            group.join(member);
        }
        let was_wanted = self.trie.change(&key.filter, |leaf| {
            let was_wanted = leaf.is_wanted_here();
            leaf.add_group(at.index);
            was_wanted
        });
        if !was_wanted {
            self.tell_interest(&key.filter, effects);
        }
        self.groups_by_key.insert(key, at.index);
    }

    fn remove_member(&mut self, key: &GroupKey, at: MemberAt, effects: &mut Effects) {
        let Some(&index) = self.groups_by_key.get(key) else { return };
        let Some(group) = self.groups.get_mut(index) else { return };
        group.leave(at);
        if !group.is_empty() {
            return;
        }
        self.groups.remove(index);
        self.groups_by_key.remove(key);
        let is_wanted = self.trie.change(&key.filter, |leaf| {
            leaf.remove_group(index);
            leaf.is_wanted_here()
        });
        if !is_wanted {
            self.tell_no_interest(&key.filter, effects);
        }
    }
}

fn settled(peer: ShardId, ticket: Ticket, outcome: CommitOutcome, effects: &mut Effects) {
    effects.push(Effect::Forward { peer, frame: PeerFrame::Settled { ticket, outcome } });
}
