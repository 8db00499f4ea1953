//! Wrong codes and wrong keys are slowed, as wrong passwords are.

use super::problem::AdminError;
use crate::auth::{Allowance, Attempt, Familiarity, Throttle};
use crate::broker::{Address, Timestamp, UserName};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts wrong codes of a user, from wherever they come, and wrong keys from an address.
pub struct Guesses {
    codes: Mutex<Throttle>,
    keys: Mutex<Throttle>,
}

impl Default for Guesses {
    fn default() -> Self {
        let throttle = || Mutex::new(Throttle::new(Allowance::PAIR, Allowance::ADDRESS));
        Self { codes: throttle(), keys: throttle() }
    }
}

impl Guesses {
    /// Lets a code be tried, or not. It counts as wrong until it is forgiven. Ten a minute of a million find none in a
    /// month; whoever gets so far has the password, so where it comes from makes no difference.
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
