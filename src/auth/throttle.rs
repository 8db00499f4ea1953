//! Guessing is slowed before it costs a hash: per user and address strictly, per address generously.
//!
//! Nobody is locked out from another address, whoever guesses; and behind one address only those are held up who were
//! never let in from there.

use crate::broker::{Address, Timestamp};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// How many attempts may fail at once, and how long until one more may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// How many at once.
    pub burst: u32,
    /// The time in which one comes back.
    pub refill: Duration,
}

impl Allowance {
    /// For one user from one address: a person mistypes a few times; ten guesses a minute find no password.
    pub const PAIR: Self = Self { burst: 10, refill: Duration::from_secs(6) };

    /// For one address, behind which a whole school may sit on its first morning. Ten hashes a second are 150 ms of
    /// one core.
    pub const ADDRESS: Self = Self { burst: 300, refill: Duration::from_millis(100) };

    /// That many at once, and as many in every minute that follows.
    pub fn per_minute(failures: u32) -> Self {
        let burst = failures.max(1);
        Self { burst, refill: Duration::from_secs(60) / burst }
    }

    fn refill_ms(self) -> u64 {
        u64::try_from(self.refill.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Whether this user was let in from this address lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Familiarity {
    /// It was, so what its neighbours do does not count against it.
    Known,
    /// It was not.
    Stranger,
}

/// Counts failed logins in a fixed amount of memory.
pub struct Throttle {
    hasher: RandomState,
    pairs: Sketch,
    addresses: Sketch,
}

/// An attempt that was let through. It counts as failed until it is forgiven, so that many at once, or one that is
/// broken off, gain nothing.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pair: Taken,
    address: Option<Taken>,
}

impl Throttle {
    /// Nobody has failed yet.
    pub fn new(pair: Allowance, address: Allowance) -> Self {
        Self { hasher: RandomState::new(), pairs: Sketch::new(pair), addresses: Sketch::new(address) }
    }

    /// Lets an attempt through, or not.
    pub fn attempt(
        &mut self,
        now: Timestamp,
        user: &str,
        address: Address,
        familiarity: Familiarity,
    ) -> Option<Attempt> {
        let network = Network::of(address);
        let pair = self.pairs.take(now, self.hasher.hash_one((user, network)))?;
        let address = match familiarity {
            Familiarity::Known => None,
            Familiarity::Stranger => match self.addresses.take(now, self.hasher.hash_one(network)) {
                Some(taken) => Some(taken),
                None => {
                    self.pairs.give_back(pair);
                    return None;
                }
            },
        };
        Some(Attempt { pair, address })
    }

    /// Whether so much has failed from this address that a stranger is not even checked.
    pub fn is_used_up(&self, now: Timestamp, address: Address) -> bool {
        self.addresses.is_empty(now, self.hasher.hash_one(Network::of(address)))
    }

    /// Takes an attempt back that was no failure: it succeeded, or was never checked.
    pub fn forgive(&mut self, attempt: Attempt) {
        self.pairs.give_back(attempt.pair);
        if let Some(address) = attempt.address {
            self.addresses.give_back(address);
        }
    }
}

/// What counts as one address: an IPv4 address, or the /64 that every IPv6 host commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(Option<IpAddr>);

impl Network {
    /// The network of a connection.
    pub fn of(address: Address) -> Self {
        Self(match address {
            Address::Local => None,
            Address::Network(address) => Some(match address.ip().to_canonical() {
                IpAddr::V4(ip) => IpAddr::V4(ip),
                IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
            }),
        })
    }
}

/// Buckets for any number of keys in fixed memory: each key has one cell in every row and is refused only when all of
/// them are empty. So keys that an attacker fills take nothing from another key unless they meet it in all four rows,
/// and he cannot see which do.
struct Sketch {
    allowance: Allowance,
    /// When each bucket will be full again.
    full_at: Vec<[u64; ROWS]>,
}

/// Which cells an attempt was counted in.
#[derive(Debug, Clone, Copy)]
struct Taken {
    key: u64,
    rows: [bool; ROWS],
}

impl Sketch {
    fn new(allowance: Allowance) -> Self {
        Self { allowance, full_at: vec![[0; ROWS]; CELLS] }
    }

    /// When a bucket that is empty now will be full again.
    fn empty_at(&self, now: Timestamp) -> u64 {
        now.as_millis().saturating_add(self.allowance.refill_ms().saturating_mul(u64::from(self.allowance.burst)))
    }

    fn is_empty(&self, now: Timestamp, key: u64) -> bool {
        let (refill, empty_at) = (self.allowance.refill_ms(), self.empty_at(now));
        (0..ROWS).all(|row| {
            let cell = self.full_at[column(key, row)][row];
            cell.max(now.as_millis()).saturating_add(refill) > empty_at
        })
    }

    fn take(&mut self, now: Timestamp, key: u64) -> Option<Taken> {
        let (refill, empty_at) = (self.allowance.refill_ms(), self.empty_at(now));
        let mut rows = [false; ROWS];
        for (row, taken) in rows.iter_mut().enumerate() {
            let cell = &mut self.full_at[column(key, row)][row];
            let taken_until = (*cell).max(now.as_millis()).saturating_add(refill);
            if taken_until <= empty_at {
                *cell = taken_until;
                *taken = true;
            }
        }
        rows.contains(&true).then_some(Taken { key, rows })
    }

    fn give_back(&mut self, taken: Taken) {
        let refill = self.allowance.refill_ms();
        for (row, taken_here) in taken.rows.into_iter().enumerate() {
            if taken_here {
                let cell = &mut self.full_at[column(taken.key, row)][row];
                *cell = cell.saturating_sub(refill);
            }
        }
    }
}

/// Each row looks at its own sixteen bits of the key.
fn column(key: u64, row: usize) -> usize {
    usize::from((key >> (16 * row)) as u16)
}

const ROWS: usize = 4;

/// Of each row. 2 MiB in all, of which the kernel gives what is touched. Ten thousand keys under attack at once hold up
/// another key with a probability of 1 in 2,500.
const CELLS: usize = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: Allowance = Allowance { burst: 3, refill: Duration::from_secs(10) };
    const ADDRESS: Allowance = Allowance { burst: 5, refill: Duration::from_secs(1) };

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(seconds * 1000)
    }

    fn address(text: &str) -> Address {
        Address::Network(text.parse().unwrap())
    }

    fn failures(throttle: &mut Throttle, now: Timestamp, user: &str, from: &str) -> usize {
        (0..100).take_while(|_| throttle.attempt(now, user, address(from), Familiarity::Stranger).is_some()).count()
    }

    #[test]
    fn a_guesser_is_slowed_after_a_few_failures_and_let_on_with_time() {
        let mut throttle = Throttle::new(PAIR, ADDRESS);
        assert_eq!(failures(&mut throttle, at(0), "ann", "192.0.2.1:1"), 3);
        assert_eq!(failures(&mut throttle, at(9), "ann", "192.0.2.1:2"), 0, "another port is the same address");
        assert_eq!(failures(&mut throttle, at(10), "ann", "192.0.2.1:1"), 1);
        assert_eq!(failures(&mut throttle, at(1000), "ann", "192.0.2.1:1"), 3);
    }

    #[test]
    fn what_may_fail_in_a_minute_may_fail_in_every_minute() {
        assert_eq!(Allowance::per_minute(10), Allowance::PAIR);
        let mut throttle = Throttle::new(Allowance::per_minute(20), Allowance { burst: 1000, ..ADDRESS });
        for minute in [0, 1, 2] {
            assert_eq!(failures(&mut throttle, at(60 * minute), "ann", "192.0.2.1:1"), 20);
        }
        assert_eq!(Allowance::per_minute(0).burst, 1);
    }

    #[test]
    fn the_owner_is_not_locked_out_from_another_address() {
        let mut throttle = Throttle::new(PAIR, ADDRESS);
        failures(&mut throttle, at(0), "ann", "192.0.2.1:1");
        assert_eq!(failures(&mut throttle, at(0), "ann", "192.0.2.2:1"), 3);
        assert_eq!(failures(&mut throttle, at(0), "ann", "[2001:db8::1]:1"), 3);
        assert_eq!(failures(&mut throttle, at(0), "ann", "[2001:db8::2]:1"), 0, "a /64 is one address");
        assert_eq!(failures(&mut throttle, at(0), "ann", "[2001:db8:0:1::2]:1"), 3);
    }

    #[test]
    fn others_behind_an_address_are_not_locked_out_if_they_were_let_in_before() {
        let mut throttle = Throttle::new(PAIR, ADDRESS);
        let from = "192.0.2.1:1";
        assert_eq!(failures(&mut throttle, at(0), "ann", from) + failures(&mut throttle, at(0), "bob", from), 5);
        assert!(throttle.attempt(at(0), "cid", address(from), Familiarity::Stranger).is_none());
        assert!(throttle.is_used_up(at(0), address(from)) && !throttle.is_used_up(at(2), address(from)));
        assert!(!throttle.is_used_up(at(0), address("192.0.2.2:1")));
        assert!(throttle.attempt(at(0), "cid", address(from), Familiarity::Known).is_some());
        assert!(throttle.attempt(at(0), "ann", address(from), Familiarity::Known).is_none(), "guessed too often");
    }

    #[test]
    fn a_success_costs_nothing() {
        let mut throttle = Throttle::new(PAIR, ADDRESS);
        for _ in 0..1000 {
            let attempt = throttle.attempt(at(0), "ann", address("192.0.2.1:1"), Familiarity::Stranger).unwrap();
            throttle.forgive(attempt);
        }
        assert_eq!(failures(&mut throttle, at(0), "ann", "192.0.2.1:1"), 3);
    }

    #[test]
    fn attempts_count_while_they_are_under_way() {
        let mut throttle = Throttle::new(PAIR, ADDRESS);
        let from = address("192.0.2.1:1");
        let under_way: Vec<_> =
            (0..3).map(|_| throttle.attempt(at(0), "ann", from, Familiarity::Stranger).unwrap()).collect();
        assert!(throttle.attempt(at(0), "ann", from, Familiarity::Stranger).is_none());
        throttle.forgive(under_way[0]);
        assert!(throttle.attempt(at(0), "ann", from, Familiarity::Stranger).is_some());
    }

    /// A thousand attackers each use up what they have; of a hundred honest users none is held up.
    #[test]
    fn attacked_keys_do_not_use_up_what_others_have() {
        let mut throttle = Throttle::new(PAIR, Allowance { burst: 1_000_000, ..ADDRESS });
        for attacker in 0..1000 {
            failures(&mut throttle, at(0), &format!("victim{attacker}"), "192.0.2.1:1");
        }
        let honest = (0..100).filter(|user| failures(&mut throttle, at(0), &format!("user{user}"), "192.0.2.1:1") > 0);
        assert!(honest.count() >= 99);
    }
}
