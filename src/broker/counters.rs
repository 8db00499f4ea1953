//! Plain numbers of what a shard did; whoever drives it adds them up and shows them.

use super::reason::Reason;
use std::collections::BTreeMap;

/// What a shard did since it began.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Messages published by clients of this shard.
    pub received: u64,
    /// Messages sent to clients of this shard.
    pub sent: u64,
    /// Messages that were to be delivered and were not, by reason.
    pub dropped: BTreeMap<Reason, u64>,
}

impl Counters {
    /// Counts a message that is not delivered.
    pub fn drop(&mut self, reason: Reason) {
        self.drop_many(reason, 1);
    }

    /// Counts so many messages that are not delivered.
    pub fn drop_many(&mut self, reason: Reason, messages: u64) {
        let count = self.dropped.entry(reason).or_default();
        *count = count.saturating_add(messages);
    }
}
