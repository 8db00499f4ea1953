//! Wrong codes and wrong keys are slowed, as wrong passwords are.

use super::problem::AdminError;
use crate::auth::{Allowance, Attempt, Familiarity, Throttle};
use crate::broker::{Address, Timestamp, UserName};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Counts wrong codes of a user, from wherever they come, and wrong keys from an address.
pub struct Guesses {
    codes: Mutex<Throttle>,
    keys: Mutex<Throttle>,
}

/// Three codes of a million are right at any moment. At 96 guesses a day one is found within a month with a chance of one
/// in a hundred; at ten a minute it would be three in four.
const CODES: Allowance = Allowance { burst: 10, refill: Duration::from_secs(15 * 60) };

impl Default for Guesses {
    fn default() -> Self {
        Self {
            codes: Mutex::new(Throttle::new(CODES, Allowance::ADDRESS)),
            keys: Mutex::new(Throttle::new(Allowance::PAIR, Allowance::ADDRESS)),
        }
    }
}

impl Guesses {
    /// Lets a code be tried, or not. It counts as wrong until it is forgiven. Whoever gets so far has the password, so where
    /// it comes from makes no difference.
    pub fn attempt(&self, now: Timestamp, user: &UserName) -> Result<Attempt, AdminError> {
        let attempt = locked(&self.codes).attempt(now, user.as_str(), Address::Local, Familiarity::Known);
        attempt.ok_or(AdminError::Throttled)
    }

    /// The code was right.
    pub fn forgive(&self, attempt: Attempt) {
        locked(&self.codes).forgive(attempt);
    }

    /// A key opened nothing. A right one from the same address is never held up by wrong ones.
    pub fn wrong_key(&self, now: Timestamp, address: Address) -> AdminError {
        match locked(&self.keys).attempt(now, "", address, Familiarity::Stranger) {
            Some(_) => AdminError::NotLoggedIn,
            None => AdminError::Throttled,
        }
    }
}

fn locked(throttle: &Mutex<Throttle>) -> MutexGuard<'_, Throttle> {
    throttle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_of_guessing_tries_few_codes() {
        let guesses = Guesses::default();
        let user = UserName::new("tina").unwrap();
        let mut tried = 0;
        for minute in 0..30 * 24 * 60 {
            let now = Timestamp::from_millis(1_000_000 + minute * 60_000);
            tried += (0..20).filter(|_| guesses.attempt(now, &user).is_ok()).count();
        }
        assert!((1_000..3_000).contains(&tried), "{tried}");
    }
}
