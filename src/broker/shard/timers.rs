//! What a shard has to do at a certain time.

use crate::broker::effect::{ConnectionId, SessionRef};
use crate::broker::time::Timestamp;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Something to look at when its time comes. It may no longer apply then, so whoever acts on it checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Has the client been silent for too long?
    KeepAlive(ConnectionId),
    /// Is the will due?
    Will(SessionRef),
    /// Is the session over?
    SessionExpiry(SessionRef),
    /// Is a frame of the journal to be tried again that could not be stored?
    Rewrite,
    /// Is it to be said how many messages a session was not sent?
    Drops(SessionRef),
    /// Is a part of a queue to be read again?
    Reload(SessionRef),
}

/// The timers of a shard, soonest first. At most five per session are of use. Stale ones go when their time comes, or all
/// at once when they are more than the others.
#[derive(Debug, Default)]
pub struct Timers(BinaryHeap<Reverse<(Timestamp, Timer)>>);

impl Timers {
    /// Looks at it then.
    pub fn set(&mut self, at: Timestamp, timer: Timer) {
        self.0.push(Reverse((at, timer)));
    }

    /// How many there are, stale ones included.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets all, and sets those that are of use.
    pub fn replace(&mut self, of_use: Vec<(Timestamp, Timer)>) {
        self.0 = of_use.into_iter().map(Reverse).collect();
    }

    /// When the soonest is due.
    pub fn next(&self) -> Option<Timestamp> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes the soonest that is due by now.
    pub fn pop_due(&mut self, now: Timestamp) -> Option<Timer> {
        if self.next()? > now {
            return None;
        }
        self.0.pop().map(|Reverse((_, timer))| timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_are_due_in_their_order_and_not_early() {
        let (at, moment) = (SessionRef { index: 1, generation: 0 }, Timestamp::from_millis);
        let mut timers = Timers::default();
        timers.set(moment(30), Timer::KeepAlive(ConnectionId(1)));
        timers.set(moment(20), Timer::SessionExpiry(at));
        timers.set(moment(20), Timer::Will(at));
        assert_eq!(timers.next(), Some(moment(20)));
        assert_eq!(timers.pop_due(moment(19)), None);
        assert_eq!(timers.pop_due(moment(25)), Some(Timer::Will(at)), "a will before its session ends");
        assert_eq!(timers.pop_due(moment(25)), Some(Timer::SessionExpiry(at)));
        assert_eq!(timers.pop_due(moment(25)), None);
        assert_eq!(timers.next(), Some(moment(30)));
    }
}
