//! Groups of sessions that share a subscription: each message goes to one of them.

use crate::broker::effect::{GroupKey, SessionRef, ShardId};
use std::sync::Arc;

/// Where a member of a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberAt {
    /// Its shard.
    pub shard: ShardId,
    /// Its session there.
    pub session: SessionRef,
}

/// One session that takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// Where it is.
    pub at: MemberAt,
    /// Whether it is connected.
    pub online: bool,
}

/// The members of a shared group and whose turn it is. [v5:MQTT-4.8.2-4]
#[derive(Debug)]
pub struct Group {
    /// What they share.
    pub key: Arc<GroupKey>,
    members: Vec<Member>,
    next: usize,
}

impl Group {
    /// A group without members.
    pub fn new(key: Arc<GroupKey>) -> Self {
        Self { key, members: Vec::new(), next: 0 }
    }

    /// Adds a member, or changes whether it is connected.
    pub fn join(&mut self, member: Member) {
        match self.members.iter_mut().find(|other| other.at == member.at) {
            Some(old) => *old = member,
            None => self.members.push(member),
        }
    }

    /// Takes a member out.
    pub fn leave(&mut self, at: MemberAt) {
        self.members.retain(|member| member.at != at);
    }

    /// Whether nobody takes part any more.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The member whose turn it is: the next that is connected, else the next at all, whose session keeps the message.
    /// After so many that it was offered in vain it is the turn of those who are not, and then of nobody.
    pub fn choose(&mut self, tried: u16) -> Option<Member> {
        let (count, tried) = (self.members.len(), usize::from(tried));
        let connected = self.members.iter().filter(|member| member.online).count();
        if tried >= count {
            return None;
        }
        let mut turns = (0..count).filter_map(|step| self.next.checked_add(step)?.checked_rem(count));
        let at = turns.find(|&at| self.members.get(at).is_some_and(|member| member.online == (tried < connected)))?;
        self.next = at.wrapping_add(1);
        self.members.get(at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{SharedFilter, Text};

    fn member(index: u32, online: bool) -> Member {
        Member { at: MemberAt { shard: ShardId(0), session: SessionRef { index, generation: 0 } }, online }
    }

    fn group(members: &[Member]) -> Group {
        let SharedFilter { share, filter } = SharedFilter::new(&Text::try_from("$share/g/t").unwrap()).unwrap();
        let mut group = Group::new(Arc::new(GroupKey { share: share.unwrap(), filter }));
        members.iter().for_each(|member| group.join(*member));
        group
    }

    fn turns(group: &mut Group, count: usize) -> Vec<u32> {
        (0..count).filter_map(|_| Some(group.choose(0)?.at.session.index)).collect()
    }

    #[test]
    fn connected_members_take_turns() {
        let mut group = group(&[member(1, true), member(2, false), member(3, true)]);
        assert_eq!(turns(&mut group, 4), [1, 3, 1, 3]);
    }

    #[test]
    fn absent_members_take_turns_when_nobody_is_connected() {
        let mut group = group(&[member(1, false), member(2, false)]);
        assert_eq!(turns(&mut group, 3), [1, 2, 1]);
    }

    #[test]
    fn every_member_is_tried_once_and_the_connected_ones_first() {
        let mut group = group(&[member(1, false), member(2, true), member(3, false), member(4, true)]);
        let tried: Vec<_> = (0..6).map(|tried| Some(group.choose(tried)?.at.session.index)).collect();
        assert_eq!(tried, [Some(2), Some(4), Some(1), Some(3), None, None]);
    }

    #[test]
    fn an_empty_group_chooses_nobody() {
        let mut group = group(&[member(1, true)]);
        group.leave(member(1, true).at);
        assert!(group.is_empty());
        assert!(turns(&mut group, 1).is_empty());
    }
}
