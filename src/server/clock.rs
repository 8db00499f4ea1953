//! The one place where time comes from.

use crate::broker::{ClockReading, Timestamp};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that never steps back, and what it shows on the wall.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    begin: Instant,
    /// What it showed then.
    at_begin: Timestamp,
}

/// What both clocks showed at a moment when the broker was alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    /// The clock of the broker.
    pub at: Timestamp,
    /// The clock on the wall, in milliseconds since 1970.
    pub wall_ms: u64,
}

impl Clock {
    /// A clock that starts now, by the wall clock.
    pub fn start() -> Self {
        Self::going_on(Timestamp::from_millis(unix_millis()))
    }

    /// A clock that goes on from this moment.
    pub fn going_on(at_begin: Timestamp) -> Self {
        Self { begin: Instant::now(), at_begin }
    }

    /// The time.
    pub fn now(self) -> Timestamp {
        self.at_begin.after(self.begin.elapsed())
    }

    /// For what is stored: this clock goes on in the next run, so stored moments are read back as they are.
    pub fn reading(self) -> ClockReading {
        let now = self.now();
        ClockReading { now, wall_ms: now.as_millis() }
    }

    /// How long it is until then.
    pub fn until(self, then: Timestamp) -> Duration {
        then.since(self.now())
    }

    /// A moment as milliseconds since 1970, by the wall clock of now: for people.
    pub fn wall_of(self, moment: Timestamp) -> u64 {
        let now = self.now();
        let wall = unix_millis();
        let later = u64::try_from(moment.since(now).as_millis()).unwrap_or(u64::MAX);
        let earlier = u64::try_from(now.since(moment).as_millis()).unwrap_or(u64::MAX);
        wall.saturating_add(later).saturating_sub(earlier)
    }
}

/// The wall clock; one that is set before 1970 counts as 1970.
pub(super) fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::Record;

    #[test]
    fn a_moment_is_shown_by_the_wall_clock_of_now() {
        for clock in [Clock::start(), Clock::going_on(Timestamp::from_millis(5))] {
            let shown = clock.wall_of(clock.now().after_secs(3600));
            assert!(shown.abs_diff(unix_millis() + 3_600_000) < 10_000, "{shown}");
        }
    }

    /// What was stored in an earlier run is read with the clock of a later one.
    #[test]
    fn a_stored_moment_is_the_same_in_every_run() {
        let (first, second) =
            (Clock::going_on(Timestamp::from_millis(1000)), Clock::going_on(Timestamp::from_millis(9)));
        let stored = Record::encode_all(&[], first.reading());
        let written = Record::written_at(stored, second.reading()).unwrap();
        assert!(written.since(Timestamp::from_millis(1000)) < Duration::from_secs(10), "{written:?}");
        assert!(written >= Timestamp::from_millis(1000));
    }
}
