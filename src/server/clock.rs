//! The one place where time comes from.

use crate::broker::{ClockReading, Timestamp};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A clock that never steps back, and what it shows on the wall.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    begin: Instant,
}

impl Clock {
    /// Time already counted when the clock starts, so that what expired while the broker was down lies before now.
    const HEAD_START: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

    /// A clock that starts now.
    pub fn start() -> Self {
        Self { begin: Instant::now() }
    }

    /// The time.
    pub fn now(self) -> Timestamp {
        Timestamp::default().after(Self::HEAD_START).after(self.begin.elapsed())
    }

    /// Both clocks at this moment.
    pub fn reading(self) -> ClockReading {
        ClockReading { now: self.now(), wall_ms: unix_millis() }
    }

    /// How long it is until then.
    pub fn until(self, then: Timestamp) -> Duration {
        then.since(self.now())
    }

    /// A moment as milliseconds since 1970, by the wall clock of now.
    pub fn wall_of(self, moment: Timestamp) -> u64 {
        let now = self.now();
        let wall = unix_millis();
        let later = u64::try_from(moment.since(now).as_millis()).unwrap_or(u64::MAX);
        let earlier = u64::try_from(now.since(moment).as_millis()).unwrap_or(u64::MAX);
        wall.saturating_add(later).saturating_sub(earlier)
    }

    /// The moment of some milliseconds since 1970, by the wall clock of now.
    pub fn moment_of(self, millis: u64) -> Timestamp {
        let (now, wall) = (self.now(), unix_millis());
        if millis >= wall {
            now.after(Duration::from_millis(millis - wall))
        } else {
            Timestamp::from_millis(now.as_millis().saturating_sub(wall - millis))
        }
    }
}

fn unix_millis() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_survives_the_way_over_the_wall_clock() {
        let clock = Clock::start();
        for moment in
            [clock.now().after_secs(3600), clock.now(), Timestamp::from_millis(clock.now().as_millis() - 5000)]
        {
            let back = clock.moment_of(clock.wall_of(moment));
            assert!(back.since(moment).max(moment.since(back)) < Duration::from_secs(1), "{back:?} {moment:?}");
        }
    }
}
