//! The threads that hash: few, with a bounded queue, away from the threads that serve.
//!
//! The same login asked for many times at once, as by a fleet that reconnects, is hashed once.

use super::cache::Proof;
use super::error::AuthError;
use super::password::{HashMemory, PasswordCost, needs_rehash, verify_password};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// What to check.
pub struct Check {
    /// Tells equal checks from others.
    pub proof: Proof,
    /// What the peer sent.
    pub password: Bytes,
    /// What the store holds, or the dummy.
    pub stored_hash: Arc<str>,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// It is the password. If its hash was made at an outdated cost, here is a new one to store.
    Right {
        /// The new hash. Only one of those who asked for the same check gets it.
        rehashed: Option<String>,
    },
    /// It is not.
    Wrong,
}

/// There is no room for one more check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Busy;

/// The answer to come; it never comes if the pool stops first.
pub type Answer = oneshot::Receiver<Checked>;

/// A bounded pool of hashing threads. Dropping it answers nobody any more and waits for the hashes under way.
pub struct Pool {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    work: Condvar,
    capacity: usize,
    cost: PasswordCost,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Check>,
    /// Who waits for which check, queued or under way. One entry per connection, of which there is a bounded number.
    waiting: HashMap<Proof, Vec<oneshot::Sender<Checked>>>,
    stopping: bool,
}

impl Pool {
    /// Starts the threads. At most `capacity` checks wait for one.
    pub fn start(threads: usize, capacity: usize, cost: PasswordCost) -> Result<Self, AuthError> {
        let shared = Arc::new(Shared { state: Mutex::default(), work: Condvar::new(), capacity, cost });
        let mut pool = Self { shared, threads: Vec::with_capacity(threads) };
        for _ in 0..threads.max(1) {
            let shared = Arc::clone(&pool.shared);
            let thread = std::thread::Builder::new().name("password".into()).spawn(move || shared.run());
            pool.threads.push(thread.map_err(AuthError::Thread)?);
        }
        Ok(pool)
    }

    /// The answer of an equal check that is queued or under way.
    pub fn join(&self, proof: &Proof) -> Option<Answer> {
        let mut state = self.shared.lock();
        let waiting = state.waiting.get_mut(proof)?;
        let (sender, answer) = oneshot::channel();
        waiting.push(sender);
        Some(answer)
    }

    /// Queues a check, or joins an equal one.
    pub fn submit(&self, check: Check) -> Result<Answer, Busy> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.shared.lock();
        if let Some(waiting) = state.waiting.get_mut(&check.proof) {
            waiting.push(sender);
            return Ok(answer);
        }
        if state.queue.len() >= self.shared.capacity {
            return Err(Busy);
        }
        state.waiting.insert(check.proof, vec![sender]);
        state.queue.push_back(check);
        drop(state);
        self.shared.work.notify_one();
        Ok(answer)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopping = true;
        state.queue.clear();
        state.waiting.clear();
        drop(state);
        self.shared.work.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// The life of one thread.
    fn run(&self) {
        let mut memory = HashMemory::new();
        while let Some(check) = self.next() {
            // Hashing cannot panic by any input; if it does all the same, those who wait get an answer and the thread
            // goes on.
            let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check.run(self.cost, &mut memory)));
            self.answer(&check.proof, &checked.unwrap_or(Checked::Wrong));
        }
    }

    /// The next check that somebody still waits for; `None` when the pool stops.
    fn next(&self) -> Option<Check> {
        let mut state = self.lock();
        loop {
            if state.stopping {
                return None;
            }
            match state.queue.pop_front() {
                Some(check) if state.is_wanted(&check.proof) => return Some(check),
                Some(abandoned) => {
                    state.waiting.remove(&abandoned.proof);
                }
                None => state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn answer(&self, proof: &Proof, checked: &Checked) {
        let waiting = self.lock().waiting.remove(proof).unwrap_or_default();
        let mut checked = checked.clone();
        for sender in waiting {
            if sender.send(checked.clone()).is_ok()
                && let Checked::Right { rehashed } = &mut checked
            {
                *rehashed = None;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_wanted(&self, proof: &Proof) -> bool {
        self.waiting.get(proof).is_some_and(|waiting| waiting.iter().any(|sender| !sender.is_closed()))
    }
}

impl Check {
    fn run(&self, cost: PasswordCost, memory: &mut HashMemory) -> Checked {
        match verify_password(&self.password, &self.stored_hash, memory) {
            Ok(true) if needs_rehash(&self.stored_hash, cost) => {
                Checked::Right { rehashed: memory.hash_password(&self.password, cost).ok() }
            }
            Ok(true) => Checked::Right { rehashed: None },
            Ok(false) => Checked::Wrong,
            Err(error) => {
                tracing::error!(%error, "a stored password hash cannot be checked");
                Checked::Wrong
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::cache::Prover;
    use secrecy::SecretString;

    struct Fixture {
        prover: Prover,
        stored_hash: Arc<str>,
    }

    impl Fixture {
        fn new(cost: PasswordCost) -> Self {
            let hash = super::super::password::hash_password(&SecretString::from("secret"), cost).unwrap();
            Self { prover: Prover::new().unwrap(), stored_hash: hash.into() }
        }

        fn check(&self, password: &'static str) -> Check {
            Check {
                proof: self.prover.proof("ann", &self.stored_hash, password.as_bytes()),
                password: Bytes::from_static(password.as_bytes()),
                stored_hash: Arc::clone(&self.stored_hash),
            }
        }
    }

    /// A pool whose only thread is stopped at a lock, so that what is queued stays queued.
    fn idle_pool(capacity: usize) -> Pool {
        let shared = Shared { state: Mutex::default(), work: Condvar::new(), capacity, cost: PasswordCost::LEAST };
        Pool { shared: Arc::new(shared), threads: Vec::new() }
    }

    #[tokio::test]
    async fn right_and_wrong_passwords_are_told_apart() {
        let fixture = Fixture::new(PasswordCost::LEAST);
        let pool = Pool::start(2, 10, PasswordCost::LEAST).unwrap();
        let right = pool.submit(fixture.check("secret")).unwrap();
        let wrong = pool.submit(fixture.check("Secret")).unwrap();
        assert_eq!(right.await, Ok(Checked::Right { rehashed: None }));
        assert_eq!(wrong.await, Ok(Checked::Wrong));
    }

    #[tokio::test]
    async fn a_hash_of_outdated_cost_is_made_anew_for_one_of_those_who_ask() {
        let fixture = Fixture::new(PasswordCost::LEAST);
        let today = PasswordCost::new(16, 1).unwrap();
        let pool = Pool::start(1, 10, today).unwrap();
        let answers: Vec<_> = (0..3).map(|_| pool.submit(fixture.check("secret")).unwrap()).collect();
        let mut rehashed = Vec::new();
        for answer in answers {
            let Checked::Right { rehashed: hash } = answer.await.unwrap() else { panic!("the password is right") };
            rehashed.extend(hash);
        }
        // The three may have been one check or several, but at least one brings a hash of today's cost.
        assert!(!rehashed.is_empty());
        assert!(rehashed.iter().all(|hash| !needs_rehash(hash, today)));
    }

    #[test]
    fn equal_checks_take_one_place_and_others_are_refused_when_the_queue_is_full() {
        let fixture = Fixture::new(PasswordCost::LEAST);
        let pool = idle_pool(2);
        let _answers =
            [pool.submit(fixture.check("1")), pool.submit(fixture.check("1")), pool.submit(fixture.check("2"))];
        assert_eq!(pool.shared.lock().queue.len(), 2);
        assert!(pool.submit(fixture.check("1")).is_ok());
        assert_eq!(pool.submit(fixture.check("3")).err(), Some(Busy));
        assert!(pool.join(&fixture.check("2").proof).is_some());
        assert!(pool.join(&fixture.check("3").proof).is_none());
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_hashed() {
        let fixture = Fixture::new(PasswordCost::LEAST);
        let pool = idle_pool(10);
        drop(pool.submit(fixture.check("abandoned")).unwrap());
        let _answer = pool.submit(fixture.check("wanted")).unwrap();
        assert!(pool.shared.next().unwrap().proof == fixture.check("wanted").proof);
        assert!(pool.join(&fixture.check("abandoned").proof).is_none());
    }

    #[tokio::test]
    async fn who_waits_is_released_when_the_pool_stops() {
        let fixture = Fixture::new(PasswordCost::LEAST);
        let pool = idle_pool(10);
        let answer = pool.submit(fixture.check("secret")).unwrap();
        drop(pool);
        assert!(answer.await.is_err());
        let pool = Pool::start(3, 10, PasswordCost::LEAST).unwrap();
        drop(pool);
    }
}
