//! What must have happened before something may be said.

use crate::broker::effect::{CommitId, CommitOutcome, SessionRef, ShardId, Ticket};
use std::collections::{BTreeMap, VecDeque};

/// To whom a promise is due when it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A held acknowledgement of a session of this shard.
    Session(SessionRef),
    /// A ticket of another shard.
    Peer(ShardId, Ticket),
}

/// A promise that is kept now, or has failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its ticket here.
    pub ticket: Ticket,
    /// To whom it is due.
    pub due: Due,
    /// Whether a part of it failed.
    pub outcome: CommitOutcome,
}

#[derive(Debug)]
struct Promise {
    due: Due,
    /// Events still to come.
    remaining: usize,
    outcome: CommitOutcome,
    /// It cannot fail: what waits for a change that was lost waits until it is stored all the same.
    insists: bool,
}

/// The promises that are not kept yet. Each is bounded by an acknowledgement that is held for it.
#[derive(Debug, Default)]
pub struct Promises {
    open: BTreeMap<Ticket, Promise>,
    /// The last that was opened. Most wait for nothing and are closed at once, so only those that stay go into the map.
    youngest: Option<(Ticket, Promise)>,
    /// What waits for a change, in their order; nobody any more if the change need not be stored.
    commits: VecDeque<(CommitId, Option<Ticket>)>,
    last_ticket: u64,
    last_commit: u64,
}

impl Promises {
    /// A ticket for a promise that is due to somebody once everything added to it has happened.
    pub fn open(&mut self, due: Due) -> Ticket {
        self.last_ticket = self.last_ticket.wrapping_add(1);
        let ticket = Ticket(self.last_ticket);
        let promise = Promise { due, remaining: 0, outcome: CommitOutcome::Stored, insists: false };
        self.open.extend(self.youngest.replace((ticket, promise)));
        ticket
    }

    /// It cannot fail.
    pub fn insist(&mut self, ticket: Ticket) {
        if let Some(promise) = self.get_mut(ticket) {
            promise.insists = true;
        }
    }

    /// Whether it cannot fail.
    pub fn insists(&mut self, ticket: Ticket) -> bool {
        self.get_mut(ticket).is_some_and(|promise| promise.insists)
    }

    /// What it waited for was lost, and is said again with this change, which none that is waited for comes after.
    pub fn wait_again(&mut self, ticket: Ticket, commit: CommitId) {
        self.commits.push_back((commit, Some(ticket)));
    }

    /// It waits for one more event.
    pub fn wait_for_one(&mut self, ticket: Ticket) {
        if let Some(promise) = self.get_mut(ticket) {
            promise.remaining = promise.remaining.saturating_add(1);
        }
    }

    /// It waits for a change to be stored, too, which none that was waited for before comes after.
    pub fn wait_for_commit(&mut self, ticket: Ticket, commit: CommitId) {
        self.wait_for_one(ticket);
        self.commits.push_back((commit, Some(ticket)));
    }

    /// A change need not be stored any more: what waited for it, which is one promise at most.
    pub fn release(&mut self, commit: CommitId) -> Option<Ticket> {
        let at = self.commits.binary_search_by_key(&commit, |(commit, _)| *commit).ok()?;
        let ticket = self.commits.get_mut(at)?.1.take();
        while self.commits.pop_front_if(|(_, ticket)| ticket.is_none()).is_some() {}
        ticket
    }

    /// The last commit that was given out.
    pub fn last_commit(&self) -> CommitId {
        CommitId(self.last_commit)
    }

    /// The commit that will be given out next.
    pub fn coming_commit(&self) -> CommitId {
        CommitId(self.last_commit.wrapping_add(1))
    }

    /// A new commit.
    pub fn next_commit(&mut self) -> CommitId {
        self.last_commit = self.last_commit.wrapping_add(1);
        CommitId(self.last_commit)
    }

    /// A promise that waits for nothing is dropped again; `None` then.
    pub fn close_if_empty(&mut self, ticket: Ticket) -> Option<Ticket> {
        if self.get_mut(ticket).is_some_and(|promise| promise.remaining == 0) {
            self.remove(ticket);
            return None;
        }
        Some(ticket)
    }

    fn get_mut(&mut self, ticket: Ticket) -> Option<&mut Promise> {
        match &mut self.youngest {
            Some((youngest, promise)) if *youngest == ticket => Some(promise),
            _ => self.open.get_mut(&ticket),
        }
    }

    fn remove(&mut self, ticket: Ticket) -> Option<Promise> {
        match self.youngest.take_if(|(youngest, _)| *youngest == ticket) {
            Some((_, promise)) => Some(promise),
            None => self.open.remove(&ticket),
        }
    }

    /// A part of it has gone wrong, whatever else happens; nothing else is known to have happened yet.
    pub fn spoil(&mut self, ticket: Ticket, outcome: CommitOutcome) {
        if let Some(promise) = self.get_mut(ticket) {
            promise.outcome = promise.outcome.max(outcome);
        }
    }

    /// One of its events has happened.
    pub fn settle(&mut self, ticket: Ticket, outcome: CommitOutcome) -> Option<Kept> {
        let promise = self.get_mut(ticket)?;
        promise.outcome = promise.outcome.max(outcome);
        promise.remaining = promise.remaining.saturating_sub(1);
        if promise.remaining > 0 {
            return None;
        }
        let promise = self.remove(ticket)?;
        Some(Kept { ticket, due: promise.due, outcome: promise.outcome })
    }

    /// The next promise that waited for a commit up to this one.
    pub fn next_committed(&mut self, up_to: CommitId) -> Option<Ticket> {
        while let Some((_, ticket)) = self.commits.pop_front_if(|(commit, _)| *commit <= up_to) {
            if ticket.is_some() {
                return ticket;
            }
        }
        None
    }

    /// How many are open.
    pub fn len(&self) -> usize {
        self.open.len().saturating_add(usize::from(self.youngest.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUE: Due = Due::Session(SessionRef { index: 1, generation: 1 });

    #[test]
    fn a_promise_is_kept_when_everything_has_happened_and_fails_if_a_part_failed() {
        for outcome in [CommitOutcome::Stored, CommitOutcome::Failed] {
            let mut promises = Promises::default();
            let ticket = promises.open(DUE);
            promises.wait_for_one(ticket);
            promises.wait_for_one(ticket);
            assert_eq!(promises.settle(ticket, outcome), None);
            let kept = promises.settle(ticket, CommitOutcome::Stored);
            assert_eq!(kept, Some(Kept { ticket, due: DUE, outcome }));
            assert_eq!(promises.settle(ticket, CommitOutcome::Stored), None);
            assert_eq!(promises.len(), 0);
        }
    }

    #[test]
    fn a_promise_that_waits_for_nothing_is_dropped() {
        let mut promises = Promises::default();
        let (empty, waiting) = (promises.open(DUE), promises.open(DUE));
        promises.wait_for_one(waiting);
        assert_eq!(promises.close_if_empty(empty), None);
        assert_eq!(promises.close_if_empty(waiting), Some(waiting));
        assert_eq!(promises.len(), 1);
    }
}
