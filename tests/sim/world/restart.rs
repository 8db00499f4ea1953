//! The end of the broker's process at any moment, and its next start: with as many shards as it likes, with another
//! clock, seconds or hours later.

use super::World;
use crate::oracle::Found;
use crate::rules::Rules;
use securemq::broker::{
    ChunkId, CommitOutcome, Durability, Effects, Input, Record, Shard, ShardId, Timestamp, shard_of_partition,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How often at most a running broker writes down that it is there, in milliseconds.
const HEARTBEAT: usize = 10_000;

/// Rounds of mail before the first client is let in, as the real workers have them.
const ROUNDS: usize = 3;

/// What the clock of a broker shows at least when it starts: all that happened before it must have a place on it.
const HEAD_START: u64 = 100 * 365 * 24 * 3_600_000;

/// How often a broker ends while it starts, at most.
const MOST_CRASHES: usize = 3;

impl World {
    /// The process ends, or the power goes. What was answered is on disk; of what was not, nobody knows.
    pub(super) fn crash(&mut self) {
        for _ in 0..MOST_CRASHES {
            self.end_at_once();
            self.start();
            if self.is_broken() || !self.random.chance(20) {
                return;
            }
            // The next end comes before anybody is served, and some of what the start wrote is there.
            for shard in 0..self.shard_count {
                if self.random.chance(50) && !self.disk.is_storing(shard) {
                    self.input(shard, Input::FrameEnds);
                    self.disk.send_frame(shard);
                }
                if self.random.chance(30) && self.disk.is_storing(shard) {
                    self.commit(shard, CommitOutcome::Stored);
                }
            }
        }
    }

    fn end_at_once(&mut self) {
        self.note(|| String::from("everything crashes"));
        let clock = self.clock();
        let random = &mut self.random;
        for (shard, commit) in self.disk.crash(clock, || random.chance(50)) {
            self.note(|| format!("the frame of shard {shard} up to {commit:?} is there"));
            self.oracle.frame_survives(shard, commit);
        }
        let random = &mut self.random;
        self.network.crash(|| random.chance(50));
        self.loads.clear();
        self.oracle.crash(self.now);
        self.clean_up();
    }

    /// The broker starts with what the disk has.
    pub(super) fn start(&mut self) {
        let last_heard = self.last_heard();
        if self.starts > 0 {
            let seconds = self.random.pick(&[0, 1, 5, 30, 100, 400, 20_000]);
            self.now = self.now.after_secs(seconds).after(std::time::Duration::from_millis(seconds.into()));
            self.shard_count = self.random.between(1, 4) as u16;
            if self.plan.policies > 0 && self.random.chance(30) {
                let generation = self.oracle.newest_rules().generation + 1;
                self.make_policy(|random| Rules::random(generation, random));
            }
        }
        self.starts += 1;
        self.started = self.now;
        self.head_start = Timestamp::from_millis(HEAD_START + self.random.below(1_000_000) as u64);
        // A policy that was made is stored, so all start with the newest.
        self.policy = self.oracle.newest_rules().policy();
        let run = self.disk.begin_run(self.shard_count);
        let (shards, seconds) = (self.shard_count, self.now.as_millis() / 1000);
        self.note(|| format!("start {run} at {seconds} s with {shards} shards, last heard of at {last_heard:?}"));
        self.build_shards();
        self.bring_back(last_heard);
        for shard in 0..self.shard_count {
            let went_down = self.on_its_clock(last_heard);
            self.input(shard, Input::Recovered { went_down, run });
        }
        for _ in 0..ROUNDS {
            self.take_mail();
        }
    }

    /// Nobody knows when the process ended; what the disk has last is close to it. Another process may never have said
    /// so, in which case the last run was already over then.
    fn last_heard(&mut self) -> Timestamp {
        let heartbeat = self.now.as_millis().saturating_sub(self.random.below(HEARTBEAT) as u64);
        let (_, written) = self.disk.past(1, self.clock());
        // The heartbeat was of the run that ended, or there was none.
        Timestamp::from_millis(heartbeat).max(self.true_time(written)).max(self.started).min(self.now)
    }

    fn build_shards(&mut self) {
        let shard = |id| Shard::new(ShardId(id), self.shard_count, self.limits.clone(), Arc::clone(&self.policy));
        self.shards = (0..self.shard_count).map(shard).collect();
    }

    /// Every shard is told what is its own of the past, and the oracle what they made of it.
    fn bring_back(&mut self, last_heard: Timestamp) {
        let (now, clock) = (self.shard_now(), self.clock());
        let (pasts, _) = self.disk.past(self.shard_count, clock);
        let retained: Vec<_> = self.disk.messages(clock).collect();
        let mut sessions = Vec::new();
        for (id, past) in (0_u16..).zip(pasts) {
            for (message, version) in &retained {
                self.tell(id, now, Input::Restored { message: Arc::clone(message), version: *version });
            }
            past.into_iter().for_each(|input| self.tell(id, now, input));
            sessions.extend(self.shards[usize::from(id)].durable_sessions());
        }
        self.check_chunks(sessions.iter().flat_map(|(_, records)| records));
        let (started, head_start) = (self.started, self.head_start);
        let true_time = |moment: Timestamp| true_time(moment, started, head_start);
        let found = Found { sessions, last_heard, true_time: &true_time };
        self.oracle.comes_back(self.now, self.shard_count, found);
    }

    /// A shard that is being started is told something, and can have nothing to say about it.
    fn tell(&mut self, shard: u16, now: Timestamp, input: Input) {
        self.note(|| format!("shard {shard} is told {input:?}"));
        let mut effects = Effects::default();
        self.shards[usize::from(shard)].handle(now, input, &mut effects);
        if !effects.is_empty() {
            self.oracle.violation("a shard acts before all is back");
        }
    }

    /// The parts of queues on disk are those that the sessions will ask for.
    fn check_chunks<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        let sizes = self.disk.chunk_sizes(self.clock());
        let mut wanted = BTreeSet::new();
        let mut found = None;
        for record in records {
            let Record::Chunks { session, first, sizes: expected } = record else { continue };
            for (number, (messages, _)) in (*first..).zip(expected) {
                let chunk = ChunkId { session: *session, number };
                wanted.insert(chunk);
                if sizes.get(&chunk) != Some(&(*messages as usize)) {
                    found = Some(format!("{chunk:?} has {:?} messages on disk, not {messages}", sizes.get(&chunk)));
                }
            }
        }
        if let Some(chunk) = sizes.keys().find(|chunk| !wanted.contains(chunk)) {
            found = Some(format!("{chunk:?} is on disk and nobody knows it"));
        }
        if let Some(what) = found {
            self.oracle.violation(&what);
        }
    }

    /// Every shard reads the mail that it has so far, in any order.
    fn take_mail(&mut self) {
        let first = self.random.below(usize::from(self.shard_count)) as u16;
        for to in (first..self.shard_count).chain(0..first) {
            for pair in self.network.mailboxes().into_iter().filter(|(_, receiver)| *receiver == to) {
                for _ in 0..self.network.frames_waiting(pair) {
                    self.deliver_frame(pair);
                }
            }
        }
    }

    /// A moment on the broker's clock.
    pub(super) fn true_time(&self, moment: Timestamp) -> Timestamp {
        true_time(moment, self.started, self.head_start)
    }

    fn on_its_clock(&self, moment: Timestamp) -> Timestamp {
        let millis = self.head_start.as_millis() + moment.as_millis();
        Timestamp::from_millis(millis.saturating_sub(self.started.as_millis()))
    }

    /// What another start would make of the disk, with any number of shards: the sessions of a shard that waits for nothing.
    pub(super) fn compare_sessions(&mut self, shard: u16) {
        let shards = self.random.between(1, 4) as u16;
        let (pasts, _) = self.disk.past(shards, self.clock());
        let mut recovered = BTreeMap::new();
        for (id, past) in (0..).zip(pasts) {
            let mut fresh = Shard::new(ShardId(id), shards, self.limits.clone(), Arc::clone(&self.policy));
            let mut effects = Effects::default();
            let now = self.shard_now();
            past.into_iter().for_each(|input| fresh.handle(now, input, &mut effects));
            recovered.extend(fresh.durable_sessions());
        }
        let count = self.shard_count;
        recovered.retain(|session, _| shard_of_partition(session.partition(), count).0 == shard);
        let mut live: BTreeMap<_, _> = self.shards[usize::from(shard)].durable_sessions().into_iter().collect();
        // A start asks the rights of the day.
        let sessions = live.values_mut().chain(recovered.values_mut());
        for record in sessions.flatten() {
            match record {
                Record::Subscribed { options, .. } => options.check_delivery = false,
                // What is on disk is as safe as anything.
                Record::Queued { message, .. } | Record::InFlight { message, .. } => {
                    Arc::make_mut(message).durability = Durability::Commit;
                }
                _ => {}
            }
        }
        if live != recovered {
            let differs = live.keys().chain(recovered.keys()).find(|key| live.get(key) != recovered.get(key)).copied();
            let differs = differs.map(|key| (live.get(&key), recovered.get(&key)));
            self.oracle.violation(&format!("shard {shard} has and would come back with: {differs:?}"));
        }
    }
}

fn true_time(moment: Timestamp, started: Timestamp, head_start: Timestamp) -> Timestamp {
    Timestamp::from_millis((moment.as_millis() + started.as_millis()).saturating_sub(head_start.as_millis()))
}
