//! What waits for somebody who looks on: a burst is passed on whole, a flood at the pace that a person can follow, and the
//! oldest are left out and counted, so that nobody looks at what happened a while ago.

use std::collections::VecDeque;

/// Sent at once when it was quiet before; also the most that waits.
const BURST: usize = 5_000;
/// Sent with every turn, ten times a second: a thousand a second are more than anybody reads, and fifty pages that look on
/// take a few per cent of a core.
const PER_TURN: usize = 100;

/// Things on their way to one who looks on.
pub struct Backlog<T> {
    waiting: VecDeque<T>,
    /// What one counts if it is left out: something that tells of others left out counts for them, too.
    weight: fn(&T) -> u64,
    /// How many may be sent now.
    left: usize,
    dropped: u64,
}

impl<T> Backlog<T> {
    /// Nothing waits, and it was quiet.
    pub fn new(weight: fn(&T) -> u64) -> Self {
        Self { waiting: VecDeque::new(), weight, left: BURST, dropped: 0 }
    }

    /// One more; the oldest goes if too many wait.
    pub fn push(&mut self, item: T) {
        if self.waiting.len() == BURST {
            self.leave_out(1);
        }
        self.waiting.push_back(item);
    }

    /// A turn has come: lets go of the oldest beyond what may be sent in it.
    pub fn turn(&mut self) {
        self.left = self.left.saturating_add(PER_TURN).min(BURST);
        self.leave_out(self.waiting.len().saturating_sub(self.left));
    }

    fn leave_out(&mut self, oldest: usize) {
        let left_out: u64 = self.waiting.drain(..oldest).map(|item| (self.weight)(&item)).sum();
        self.dropped = self.dropped.saturating_add(left_out);
    }

    /// The next ones to send, at most so many, and how many were left out since it was asked last.
    pub fn take(&mut self, most: usize) -> (Vec<T>, u64) {
        let count = self.waiting.len().min(most).min(self.left);
        self.left = self.left.saturating_sub(count);
        (self.waiting.drain(..count).collect(), std::mem::take(&mut self.dropped))
    }

    /// Whether there is nothing to send and nothing to tell.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.dropped == 0
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everything that one turn sends, and what it leaves out.
    fn turn(backlog: &mut Backlog<usize>) -> (Vec<usize>, u64) {
        backlog.turn();
        let mut sent = (Vec::new(), 0);
        while !backlog.is_idle() {
            let (items, dropped) = backlog.take(500);
            sent.0.extend(items);
            sent.1 += dropped;
        }
        sent
    }

    #[test]
    fn a_burst_comes_whole_and_in_order() {
        let mut backlog = Backlog::new(|_| 1);
        (0..4_000).for_each(|number| backlog.push(number));
        assert_eq!(turn(&mut backlog), ((0..4_000).collect(), 0));
        assert_eq!(turn(&mut backlog), (vec![], 0));
    }

    #[test]
    fn of_a_flood_the_latest_come_at_a_pace_and_all_others_are_counted() {
        let mut backlog = Backlog::new(|_| 1);
        let (mut sent, mut dropped) = (Vec::new(), 0);
        for round in 0..100 {
            (0..2_000).for_each(|number| backlog.push(round * 2_000 + number));
            let told = turn(&mut backlog);
            assert_eq!(told.0.last(), Some(&(round * 2_000 + 1_999)), "never behind");
            sent.extend(told.0);
            dropped += told.1;
        }
        assert_eq!(sent.len(), BURST + 99 * PER_TURN);
        assert_eq!(sent.len() + usize::try_from(dropped).unwrap(), 200_000);
        assert!(sent.is_sorted());
        // When it is over, there is soon room for a burst again.
        (0..50).for_each(|_| assert_eq!(turn(&mut backlog), (vec![], 0)));
        (0..4_000).for_each(|number| backlog.push(number));
        assert_eq!(turn(&mut backlog), ((0..4_000).collect(), 0));
    }

    #[test]
    fn what_tells_of_others_counts_for_them_when_it_is_left_out() {
        let mut backlog = Backlog::new(|&number| if number == 0 { 70 } else { 1 });
        (0..BURST + 10).for_each(|number| backlog.push(number));
        assert_eq!(turn(&mut backlog).1, 79);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut backlog = Backlog::new(|_| 1);
        (0..100_000).for_each(|number| backlog.push(number));
        assert_eq!(backlog.waiting.len(), BURST);
        assert_eq!(turn(&mut backlog), ((95_000..100_000).collect(), 95_000));
    }
}
