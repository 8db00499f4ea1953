//! One core, one world: the thread that owns a shard and serves its connections.

use super::front::Front;
use super::guest::entertain;
use super::listener::BoundListener;
use super::mailbox::{Mail, Mailbox};
use super::past::Past;
use super::serve::serve;
use super::world::World;
use crate::broker::{Input, Timestamp};
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

/// How long the connections of a worker may take to end when the broker stops.
const FAREWELL: Duration = Duration::from_secs(3);

/// Rounds of mail until all subscriptions are known: a member tells the keeper of its group, and that tells everybody.
const ROUNDS: usize = 3;

/// How often a worker looks whether its last connections have ended.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a worker is made of; it is built on its own thread, since nothing in it may leave it.
pub struct Worker {
    /// Its world.
    pub world: Rc<World>,
    /// How it is told something.
    pub mailbox: Arc<Mailbox>,
    /// What admits clients.
    pub front: Rc<Front>,
    /// Its own handles of the listening sockets.
    pub listeners: Vec<Arc<BoundListener>>,
    /// Stops accepting.
    pub stop: CancellationToken,
    /// Counts for each worker the rounds of mail that it has read since it was told to shut down.
    pub rounds: Arc<AtomicUsize>,
    /// How many workers there are.
    pub count: usize,
}

impl Worker {
    /// Brings the sessions of earlier runs back, and waits until all workers know what all of them subscribe to: from
    /// the first message on that a client publishes, nobody who subscribed before is left out.
    pub fn recover(&self, past: &Past, went_down: Timestamp, run: u64, together: &Barrier) {
        for records in past.checkpoints() {
            self.world.input(Input::Checkpointed(records));
        }
        for record in past.changes() {
            self.world.input(Input::Replayed(record));
        }
        self.world.input(Input::Recovered { went_down, run });
        self.world.end_turn();
        let mut laters = Vec::new();
        for _ in 0..ROUNDS {
            together.wait();
            for mail in self.mailbox.take() {
                match mail {
                    Mail::Frames { from, frames } => self.world.frames(from, frames),
                    Mail::Committed { commit, outcome } => self.world.committed(commit, outcome),
                    Mail::Chunk { chunk, records } => self.world.input(Input::ChunkLoaded { chunk, records }),
                    // Another worker may have begun to serve by the last round.
                    later @ (Mail::Admitted(_)
                    | Mail::Guest(_)
                    | Mail::Ask(_)
                    | Mail::Policy { .. }
                    | Mail::ShutDown) => laters.push(later),
                }
            }
            self.world.end_turn();
        }
        laters.into_iter().for_each(|mail| self.mailbox.send(mail));
    }

    /// Serves until it is told to shut down and its connections have ended.
    pub fn run(self, runtime: &tokio::runtime::Runtime) {
        let local = LocalSet::new();
        local.block_on(runtime, async {
            for listener in &self.listeners {
                let (front, listener) = (Rc::clone(&self.front), Arc::clone(listener));
                tokio::task::spawn_local(listener.accept_loop(front, self.stop.clone()));
            }
            tokio::task::spawn_local(keep_time(Rc::clone(&self.world)));
            self.read_mail().await;
            self.say_farewell().await;
        });
    }

    /// Acts on mail until the one that ends it.
    async fn read_mail(&self) {
        loop {
            self.mailbox.arrived().await;
            let mut is_over = false;
            for mail in self.mailbox.take() {
                match mail {
                    Mail::Frames { from, frames } => self.world.frames(from, frames),
                    Mail::Committed { commit, outcome } => self.world.committed(commit, outcome),
                    Mail::Chunk { chunk, records } => self.world.input(Input::ChunkLoaded { chunk, records }),
                    Mail::Admitted(admitted) => serve(&self.world, *admitted),
                    Mail::Policy { policy, applied } => {
                        self.world.input(Input::PolicyChanged(policy));
                        drop(applied);
                    }
                    Mail::Ask(question) => self.world.ask(question),
                    Mail::Guest(guest) => entertain(&self.world, *guest),
                    Mail::ShutDown => {
                        self.world.input(Input::ShutDown);
                        is_over = true;
                    }
                }
            }
            self.world.end_turn();
            if is_over {
                return;
            }
        }
    }

    /// Waits for the last packets to be written, and for what the store still owes. Before that, for what the others send
    /// as they end: a will that goes to an absent subscriber here is gone from where it came from.
    async fn say_farewell(&self) {
        let all_gone = async {
            for round in 1..=ROUNDS {
                self.rounds.fetch_add(1, Ordering::SeqCst);
                while self.rounds.load(Ordering::SeqCst) < round * self.count {
                    self.read_last_mail().await;
                }
                self.act_on_last_mail();
            }
            while !self.world.is_deserted() {
                self.read_last_mail().await;
            }
        };
        // Whoever has not read its last packet by then is cut off.
        let _ = tokio::time::timeout(FAREWELL, all_gone).await;
    }

    async fn read_last_mail(&self) {
        tokio::select! {
            () = self.mailbox.arrived() => self.act_on_last_mail(),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }

    fn act_on_last_mail(&self) {
        for mail in self.mailbox.take() {
            match mail {
                Mail::Frames { from, frames } => self.world.frames(from, frames),
                Mail::Committed { commit, outcome } => self.world.committed(commit, outcome),
                Mail::Admitted(_) | Mail::Guest(_) | Mail::Ask(_) => {}
                Mail::Policy { .. } | Mail::Chunk { .. } | Mail::ShutDown => {}
            }
        }
        self.world.end_turn();
    }
}

/// Lets the shard know when something is due.
async fn keep_time(world: Rc<World>) {
    loop {
        match world.tick() {
            None => world.deadline_moved.notified().await,
            Some(wait) => {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    () = world.deadline_moved.notified() => {}
                }
            }
        }
    }
}
