//! What a session was not sent, for the log: said at once when it begins, and then in sums, so that a full queue does not
//! fill the log.

use crate::broker::reason::Reason;
use crate::broker::time::Timestamp;
use crate::protocol::Text;
use std::collections::BTreeMap;
use std::time::Duration;

/// Messages that a session was not sent since that was last said.
#[derive(Debug, Default)]
pub struct Drops {
    /// Until then they are only counted.
    silent_until: Option<Timestamp>,
    /// By their reason; there are few.
    unsaid: BTreeMap<Reason, (Text, u32)>,
}

/// So many messages were dropped for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsaid {
    /// Why.
    pub reason: Reason,
    /// Where the last of them was published.
    pub topic: Text,
    /// How many.
    pub count: u32,
}

impl Drops {
    /// How long further drops are counted before their sum is said.
    pub const SILENCE: Duration = Duration::from_secs(10);

    /// Messages are dropped: whether that is to be said at once. Then the next sum is due after [`Drops::SILENCE`].
    pub fn note(&mut self, now: Timestamp, reason: Reason, topic: &Text, count: u32) -> bool {
        if self.silent_until.is_none() {
            self.silent_until = Some(now.after(Self::SILENCE));
            return true;
        }
        let (last, sum) = self.unsaid.entry(reason).or_insert_with(|| (topic.compact(), 0));
        if last != topic {
            *last = topic.compact();
        }
        *sum = sum.saturating_add(count);
        false
    }

    /// When the next sum is due.
    pub fn due(&self) -> Option<Timestamp> {
        self.silent_until
    }

    /// The sums that are due by now. After one that says something, the next are due later.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<Unsaid> {
        if self.silent_until.is_none_or(|end| end > now) {
            return Vec::new();
        }
        let sums = self.take();
        self.silent_until = (!sums.is_empty()).then(|| now.after(Self::SILENCE));
        sums
    }

    /// All sums.
    pub fn take(&mut self) -> Vec<Unsaid> {
        let unsaid = std::mem::take(&mut self.unsaid);
        unsaid.into_iter().map(|(reason, (topic, count))| Unsaid { reason, topic, count }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    #[test]
    fn the_first_is_said_at_once_and_the_rest_in_sums_by_reason() {
        let (a, b) = (Text::try_from("a").unwrap(), Text::try_from("b").unwrap());
        let mut drops = Drops::default();
        assert!(drops.note(moment(0), Reason::QueueFull, &a, 1));
        for _ in 0..1000 {
            assert!(!drops.note(moment(1), Reason::QueueFull, &b, 1));
        }
        assert!(!drops.note(moment(1), Reason::SlowReceiver, &a, 1));
        assert_eq!(drops.take_due(moment(9)), []);
        let sums = drops.take_due(moment(10));
        assert_eq!(sums[0], Unsaid { reason: Reason::QueueFull, topic: b, count: 1000 });
        assert_eq!(sums[1], Unsaid { reason: Reason::SlowReceiver, topic: a.clone(), count: 1 });
        assert_eq!(drops.due(), Some(moment(20)));
        assert_eq!((drops.take_due(moment(20)), drops.due()), (vec![], None));
        assert!(drops.note(moment(21), Reason::QueueFull, &a, 1), "it begins again");
    }
}
