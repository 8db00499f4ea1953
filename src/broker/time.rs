//! Time as the core sees it: a number that only grows.

use std::time::Duration;

/// Milliseconds on a clock that never steps back; where it began means nothing.
///
/// Expiries of sessions and messages are counted on it, so that setting the wall clock ends none early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that many milliseconds after the clock's beginning.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the clock's beginning.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The moment that much later, or the last moment there is.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The moment that many seconds later, or the last moment there is.
    #[must_use]
    pub fn after_secs(self, seconds: u32) -> Self {
        self.after(Duration::from_secs(u64::from(seconds)))
    }

    /// How much later this is than `earlier`; zero if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Whole seconds from `now` until this moment, rounded up so that what is not over is never shown as 0.
    pub fn secs_left(self, now: Self) -> u32 {
        u32::try_from(self.0.saturating_sub(now.0).div_ceil(1000)).unwrap_or(u32::MAX)
    }
}
