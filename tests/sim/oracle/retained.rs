//! What every topic must end up with: the last retained message that was acknowledged, or a later one.
//!
//! Messages that were on their way at the same time may win in any order. One that all shards knew before another was
//! published has lost against that.

use super::Oracle;
use securemq::broker::{CommitId, CommitOutcome, Permission, RetainedVersion, Timestamp};
use std::collections::BTreeMap;

/// A message that was once made the retained one of its topic.
pub struct Kept {
    number: u64,
    topic: String,
    /// When it was published.
    moment: u64,
    version: RetainedVersion,
    commit: (u16, CommitId),
    outcome: Option<CommitOutcome>,
    /// The changes that write it again because it was lost, or take it out.
    changes: Vec<((u16, CommitId), Change)>,
    /// The disk knows of it: it has it, or has taken it out.
    is_on_disk: bool,
    /// Shards that do not know it yet.
    missing: u16,
    /// When the last of them did.
    settled: Option<u64>,
    /// It was not stored when everything crashed.
    is_lost: bool,
    is_empty: bool,
    expires_at: Option<Timestamp>,
}

/// What becomes of a message on disk after it was written for the first time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Again,
    Out,
}

impl Kept {
    /// Whether nothing is retained after this message.
    fn leaves_nothing(&self, now: Timestamp) -> bool {
        self.is_empty || self.expires_at.is_some_and(|end| end <= now)
    }
}

impl Oracle {
    pub(super) fn message_is_kept(&mut self, number: u64, version: RetainedVersion, commit: (u16, CommitId)) {
        let known = &self.messages[number as usize];
        let missing = self.shards - 1;
        let kept = Kept {
            number,
            topic: known.new.topic.clone(),
            moment: self.moment,
            version,
            commit,
            outcome: None,
            changes: Vec::new(),
            is_on_disk: false,
            missing,
            settled: (missing == 0).then_some(self.moment),
            is_lost: false,
            is_empty: known.new.is_empty,
            expires_at: known.expires_at,
        };
        if self.kept.iter().any(|other| other.version == version && !other.is_lost && other.settled.is_none()) {
            self.violation(&format!("{version:?} is given to two messages"));
        }
        self.kept.push(kept);
    }

    /// Whether a message is written again, since the frame before was lost.
    pub(super) fn is_kept_again(&mut self, number: u64, version: RetainedVersion, commit: (u16, CommitId)) -> bool {
        let is_it = |kept: &&mut Kept| kept.version == version && kept.number == number && !kept.is_lost;
        let again = self.kept.iter_mut().rev().find(is_it);
        again.map(|kept| kept.changes.push((commit, Change::Again))).is_some()
    }

    /// A shard tells the store that a message has expired.
    pub(super) fn kept_expires(&mut self, version: RetainedVersion, commit: (u16, CommitId)) {
        let now = self.now;
        // After a crash a version may be given again.
        let at = self.kept.iter().rposition(|kept| kept.version == version && !kept.is_lost);
        let nothing_is_left = at.is_some_and(|at| {
            let kept = &self.kept[at];
            // One whose frame was lost need not be written again if nothing is retained by now.
            let ends_it =
                |later: &Kept| later.topic == kept.topic && later.version > kept.version && later.leaves_nothing(now);
            kept.leaves_nothing(now) || self.kept.iter().any(ends_it)
        });
        match at.filter(|_| nothing_is_left) {
            Some(at) => self.kept[at].changes.push((commit, Change::Out)),
            None => self.violation("a retained message is taken out of the store for no reason"),
        }
    }

    pub(super) fn version_arrives(&mut self, version: RetainedVersion) {
        let moment = self.moment;
        let is_it = |kept: &&mut Kept| kept.version == version && !kept.is_lost && kept.missing > 0;
        let Some(kept) = self.kept.iter_mut().find(is_it) else {
            return self.violation("a shard is told of a retained message that the store was not");
        };
        kept.missing -= 1;
        kept.settled = (kept.missing == 0).then_some(moment);
    }

    /// The store has dealt with the changes of a shard up to this one.
    pub(super) fn changes_are_written(&mut self, shard: u16, up_to: CommitId, outcome: CommitOutcome) {
        let is_news = |kept: &&mut Kept| {
            let (of, commit) = kept.commit;
            of == shard && commit <= up_to && kept.outcome.is_none() && !kept.is_lost
        };
        let news: Vec<u64> = self
            .kept
            .iter_mut()
            .filter(is_news)
            .map(|kept| {
                kept.outcome = Some(outcome);
                kept.is_on_disk |= outcome == CommitOutcome::Stored;
                kept.number
            })
            .collect();
        for kept in self.kept.iter_mut().filter(|kept| !kept.is_lost) {
            let is_dealt_with = |of: u16, commit: CommitId| of == shard && commit <= up_to;
            for (_, change) in kept.changes.extract_if(.., |((of, commit), _)| is_dealt_with(*of, *commit)) {
                // Even if it never was on disk, what it had replaced is not there any more.
                let is_stored = outcome == CommitOutcome::Stored;
                kept.is_on_disk |= is_stored;
                kept.is_empty |= is_stored && change == Change::Out;
            }
        }
        if outcome == CommitOutcome::Failed {
            news.into_iter().for_each(|number| self.message(number).commit_failed = true);
        }
    }

    /// What is known of the last time that a message was made the retained one: its fate on disk, and whether all
    /// shards know it.
    pub(super) fn fate_of(&self, commit: (u16, CommitId), number: u64) -> (Option<CommitOutcome>, bool) {
        let it = self.kept.iter().rev().find(|kept| kept.commit == commit && kept.number == number && !kept.is_lost);
        it.map_or((None, false), |kept| (kept.outcome, kept.settled.is_some()))
    }

    /// Everything but the disk is gone.
    pub(super) fn kept_survives_on_disk(&mut self) {
        for kept in self.kept.iter_mut().filter(|kept| !kept.is_lost) {
            kept.missing = 0;
            kept.settled.get_or_insert(self.moment);
            kept.is_lost = !kept.is_on_disk;
            kept.outcome = Some(CommitOutcome::Stored);
            kept.changes.clear();
        }
    }

    /// Compares what the shards and the disk have, by topic, with what they must have.
    pub fn check_retained(&mut self, shards: &[BTreeMap<String, String>], disk: &BTreeMap<String, String>) {
        for shard in shards {
            if *shard != shards[0] {
                return self.violation(&format!("two shards retain different messages: {shard:?} {:?}", shards[0]));
            }
        }
        let mut topics: BTreeMap<&str, Vec<&Kept>> = BTreeMap::new();
        for kept in self.kept.iter().filter(|kept| !kept.is_lost) {
            topics.entry(&kept.topic).or_default().push(kept);
        }
        let mut found = None;
        for (topic, all) in &topics {
            let there = shards[0].get(*topic);
            let has_failed = all.iter().any(|kept| kept.outcome == Some(CommitOutcome::Failed) && !kept.is_on_disk);
            if there != disk.get(*topic) && !has_failed {
                found = Some(format!("{topic} is {there:?} in memory and {:?} on disk", disk.get(*topic)));
            }
            let is_beaten =
                |kept: &Kept| kept.settled.is_some_and(|settled| all.iter().any(|other| other.moment > settled));
            let winners: Vec<&&Kept> = all.iter().filter(|kept| !is_beaten(kept)).collect();
            let is_right = |kept: &&&Kept| match there {
                Some(payload) => kept.number.to_string() == *payload && !kept.leaves_nothing(self.now),
                None => kept.leaves_nothing(self.now),
            };
            if !winners.iter().any(is_right) {
                let numbers: Vec<u64> = winners.iter().map(|kept| kept.number).collect();
                found = Some(format!("{topic} is {there:?}, and it must be one of {numbers:?}"));
            }
        }
        if let Some(what) = self.stale_state(&shards[0]) {
            found = Some(what);
        }
        if let Some(topic) = shards[0].keys().find(|topic| !topics.contains_key(topic.as_str())) {
            found = Some(format!("{topic} has a retained message that nobody published"));
        }
        if let Some(what) = found {
            self.violation(&what);
        }
    }

    /// A subscriber that asked for retained messages and does not have the last of a topic, or has an older one after it.
    fn stale_state(&self, retained: &BTreeMap<String, String>) -> Option<String> {
        for (topic, payload) in retained {
            let last = self.kept.iter().rev().find(|kept| kept.number.to_string() == *payload && !kept.is_lost)?;
            let known = &self.messages[last.number as usize];
            let new = &known.new;
            // One of QoS 2 that is taken again after that is retained again, but not sent again to those who had it.
            if known.commit_failed || known.routed.len() > 1 {
                continue;
            }
            // What was on its way to a subscriber when the broker ended is on its way again, if its publisher sends it.
            if last.moment < self.crashed_at {
                continue;
            }
            if last.expires_at.is_some()
                || !self.rules.iter().all(|rules| rules.may(Permission::Publish, &new.key, topic))
            {
                continue;
            }
            for key in self.subscribers_to_the_state(topic, new).into_iter().filter(|key| !self.lacks_some(key)) {
                let session = &self.sessions[key];
                let since = session.asked_for_the_state(topic);
                if session.when_received(last.number) < since {
                    return Some(format!("{key:?} subscribed to {topic} and never had its retained message {payload}"));
                }
                let sent = session.last_sent(topic);
                let older = self.kept.iter().rev().find(|kept| Some(kept.number) == sent && !kept.is_lost);
                if older.is_some_and(|older| older.settled.is_some_and(|settled| settled < last.moment)) {
                    return Some(format!("{key:?} was sent the older {sent:?} of {topic} after {payload}"));
                }
            }
        }
        None
    }

    /// Everybody is quiet: every promise must have been kept.
    pub fn check_all(&mut self) {
        self.check_answers();
        self.check_deliveries();
    }
}
