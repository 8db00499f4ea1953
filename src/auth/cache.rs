//! Logins that were verified lately, so that ten thousand clients who reconnect do not cost ten thousand hashes.
//!
//! In memory only, and only a MAC under a key that is made at start and never leaves the process. It covers the stored
//! hash, so that a changed password ends an entry without anybody having to think of it.

use super::error::AuthError;
use super::throttle::Network;
use crate::broker::{Timestamp, UserName};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use std::collections::HashMap;
use std::time::Duration;

/// What a user name, a stored hash and a password come to under the key of this process.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Proof([u8; PROOF_LEN]);

const PROOF_LEN: usize = 32;

/// Makes proofs. Sharing it is free of locks.
pub struct Prover {
    key: hmac::Key,
}

impl Prover {
    /// A prover with a new key.
    pub fn new() -> Result<Self, AuthError> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &aws_lc_rs::rand::SystemRandom::new());
        Ok(Self { key: key.map_err(|_| AuthError::Randomness)? })
    }

    /// The proof of these three. Each is preceded by its length, so that no two triples look alike.
    pub fn proof(&self, user: &str, stored_hash: &str, password: &[u8]) -> Proof {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user.as_bytes(), stored_hash.as_bytes(), password] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut proof = [0; PROOF_LEN];
        proof.copy_from_slice(context.sign().as_ref());
        Proof(proof)
    }
}

/// The last verified login of each user. Failures are never kept.
pub struct VerifiedLogins {
    logins: HashMap<UserName, VerifiedLogin>,
    capacity: usize,
    lifetime: Duration,
}

struct VerifiedLogin {
    proof: Proof,
    network: Network,
    until: Timestamp,
}

impl VerifiedLogins {
    /// At most that many, each for that long.
    pub fn new(capacity: usize, lifetime: Duration) -> Self {
        Self { logins: HashMap::new(), capacity, lifetime }
    }

    /// Whether this very login was verified lately. Compared in constant time.
    pub fn holds(&self, now: Timestamp, user: &UserName, proof: &Proof) -> bool {
        self.current(now, user).is_some_and(|login| verify_slices_are_equal(&login.proof.0, &proof.0).is_ok())
    }

    /// Whether the user was let in from there lately, with whatever password.
    pub fn knows(&self, now: Timestamp, user: &UserName, network: Network) -> bool {
        self.current(now, user).is_some_and(|login| login.network == network)
    }

    /// Keeps a login that was just verified. When there is no room even after those that ended were dropped, it is not
    /// kept: that costs a hash and nothing else.
    pub fn keep(&mut self, now: Timestamp, user: &UserName, proof: Proof, network: Network) {
        if self.logins.len() >= self.capacity && !self.logins.contains_key(user) {
            self.logins.retain(|_, login| login.until > now);
            if self.logins.len() >= self.capacity {
                return;
            }
        }
        self.logins.insert(user.clone(), VerifiedLogin { proof, network, until: now.after(self.lifetime) });
    }

    /// Drops the logins of all users that no longer pass.
    pub fn retain(&mut self, passes: impl Fn(&UserName) -> bool) {
        self.logins.retain(|user, _| passes(user));
    }

    fn current(&self, now: Timestamp, user: &UserName) -> Option<&VerifiedLogin> {
        self.logins.get(user).filter(|login| login.until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Address;

    fn user(name: &str) -> UserName {
        UserName::new(name).unwrap()
    }

    fn home() -> Network {
        Network::of(Address::Network("192.0.2.1:1".parse().unwrap()))
    }

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn a_login_is_known_again_until_its_time_is_over() {
        let proof = Prover::new().unwrap().proof("ann", "hash", b"secret");
        let mut logins = VerifiedLogins::new(10, Duration::from_millis(100));
        assert!(!logins.holds(at(0), &user("ann"), &proof));
        logins.keep(at(0), &user("ann"), proof, home());
        assert!(logins.holds(at(99), &user("ann"), &proof));
        assert!(logins.knows(at(99), &user("ann"), home()));
        assert!(!logins.knows(at(99), &user("ann"), Network::of(Address::Local)));
        assert!(!logins.holds(at(99), &user("bob"), &proof));
        assert!(!logins.holds(at(100), &user("ann"), &proof));
        assert!(!logins.knows(at(100), &user("ann"), home()));
    }

    #[test]
    fn another_password_a_changed_hash_and_another_process_prove_nothing() {
        let prover = Prover::new().unwrap();
        let mut logins = VerifiedLogins::new(10, Duration::from_secs(1));
        logins.keep(at(0), &user("ann"), prover.proof("ann", "hash", b"secret"), home());
        for other in [
            prover.proof("ann", "hash", b"secre"),
            prover.proof("ann", "hash2", b"secret"),
            prover.proof("ann", "has", b"hsecret"),
            Prover::new().unwrap().proof("ann", "hash", b"secret"),
        ] {
            assert!(!logins.holds(at(0), &user("ann"), &other));
        }
    }

    #[test]
    fn it_never_grows_over_its_capacity_and_makes_room_when_logins_end() {
        let prover = Prover::new().unwrap();
        let mut logins = VerifiedLogins::new(2, Duration::from_millis(100));
        for name in ["ann", "bob", "cid", "ann"] {
            logins.keep(at(0), &user(name), prover.proof(name, "hash", b"secret"), home());
        }
        assert!(logins.holds(at(0), &user("ann"), &prover.proof("ann", "hash", b"secret")));
        assert!(!logins.holds(at(0), &user("cid"), &prover.proof("cid", "hash", b"secret")));
        logins.keep(at(100), &user("cid"), prover.proof("cid", "hash", b"secret"), home());
        assert!(logins.holds(at(100), &user("cid"), &prover.proof("cid", "hash", b"secret")));
        assert_eq!(logins.logins.len(), 1);
    }

    #[test]
    fn logins_of_users_that_no_longer_pass_are_dropped() {
        let prover = Prover::new().unwrap();
        let mut logins = VerifiedLogins::new(10, Duration::from_secs(1));
        let proof = prover.proof("ann", "hash", b"secret");
        logins.keep(at(0), &user("ann"), proof, home());
        logins.retain(|name| name.as_str() != "ann");
        assert!(!logins.holds(at(0), &user("ann"), &proof));
    }
}
