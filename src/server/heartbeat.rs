//! The broker's time goes on from run to run, so that neither a stop nor a step of the wall clock ends anything early or
//! keeps it for ever.
//!
//! Everything that expires is counted on one clock that only goes forward: within a run by the clock of the machine that
//! never steps, between runs by what the wall clock says of the time in between. For that the broker notes now and then
//! what both clocks showed: in its lock file and without a sync, which costs the card of a small computer a page a minute.

use super::clock::{Beat, Clock, unix_millis};
use super::lock::FolderLock;
use crate::broker::Timestamp;
use std::sync::Weak;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the files tell of the last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LastRun {
    /// The last beat that was noted.
    pub beat: Option<Beat>,
    /// When the last change was stored.
    pub last_change: Option<Timestamp>,
}

impl LastRun {
    /// Where the broker's time goes on in a run that starts when the wall clock shows this.
    ///
    /// A wall clock that went back says that no time has passed. One that was wrong when it was noted last, and is right
    /// now, cannot be told from a long stop.
    pub fn go_on_at(self, wall_ms: u64) -> Timestamp {
        let by_wall = match self.beat {
            Some(beat) => beat.at.after(Duration::from_millis(wall_ms.saturating_sub(beat.wall_ms))),
            // Before there were beats, times were stored by the wall clock.
            None => Timestamp::from_millis(wall_ms),
        };
        by_wall.max(self.last_change.unwrap_or_default())
    }

    /// When the last run had ended for certain, given where time goes on: what ends with it may end late, but not early.
    pub fn went_down(self, goes_on_at: Timestamp) -> Timestamp {
        let alive = self.beat.map(|beat| beat.at).max(self.last_change);
        alive.map_or(goes_on_at, |alive| alive.after(INTERVAL + WRITE_BACK).min(goes_on_at))
    }
}

/// Decides when a beat is noted.
#[derive(Debug)]
struct Pulse {
    /// How far the wall clock was ahead of the broker's at the last look.
    offset: i128,
    /// How far the wall clock showed less at the start than it had shown before: until somebody is seen to set it, it is
    /// taken to be late by that much, as it is on a computer without a battery.
    lead: u64,
    noted: Option<Timestamp>,
}

impl Pulse {
    fn new(last: Option<Beat>, now: Timestamp, wall_ms: u64) -> Self {
        let lead = last.map_or(0, |beat| beat.wall_ms.saturating_sub(wall_ms));
        Self { offset: offset(now, wall_ms), lead, noted: None }
    }

    /// What is to be noted at this moment, if anything: a wall clock that was set is noted at once.
    fn look(&mut self, now: Timestamp, wall_ms: u64) -> Option<Beat> {
        let before = std::mem::replace(&mut self.offset, offset(now, wall_ms));
        let was_set = before.abs_diff(self.offset) > STEP.as_millis();
        if was_set {
            self.lead = 0;
        }
        if !was_set && self.noted.is_some_and(|noted| now.since(noted) < INTERVAL) {
            return None;
        }
        Some(self.beat(now, wall_ms))
    }

    fn beat(&mut self, now: Timestamp, wall_ms: u64) -> Beat {
        self.noted = Some(now);
        Beat { at: now, wall_ms: wall_ms.saturating_add(self.lead) }
    }
}

fn offset(now: Timestamp, wall_ms: u64) -> i128 {
    i128::from(wall_ms) - i128::from(now.as_millis())
}

/// Notes beats until the broker stops, and the moment of the stop.
pub async fn keep_beating(lock: Weak<FolderLock>, last: Option<Beat>, clock: Clock, stop: CancellationToken) {
    let mut pulse = Pulse::new(last, clock.now(), unix_millis());
    let mut is_failing = false;
    loop {
        let (now, wall_ms) = (clock.now(), unix_millis());
        let is_over = stop.is_cancelled();
        let beat = if is_over { Some(pulse.beat(now, wall_ms)) } else { pulse.look(now, wall_ms) };
        // The lock is gone with the broker.
        let Some(lock) = lock.upgrade() else { return };
        if let Some(Err(error)) = beat.map(|beat| lock.note(beat))
            && !std::mem::replace(&mut is_failing, true)
        {
            tracing::warn!(%error, "what time it is cannot be noted; after a crash sessions may end early");
        }
        drop(lock);
        if is_over {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

/// How often a beat is noted.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long a system may keep what was not synced in memory: half a minute on all that are usual.
const WRITE_BACK: Duration = Duration::from_secs(30);
/// How often the clocks are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A wall clock that runs away from the other by so much between two looks was set; a correction is slower by far.
const STEP: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const NOW: u64 = 1_800_000_000_000;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    /// The last beat and the last change of a run, the wall clock at the next start, and where time goes on.
    #[test]
    fn time_goes_on_from_run_to_run_whatever_the_wall_clock_did() {
        let beat = |at_ms, wall_ms| Some(Beat { at: at(at_ms), wall_ms });
        let cases = [
            ("the very first start", None, None, NOW, NOW),
            ("a store from before there were beats", None, Some(NOW - HOUR), NOW, NOW),
            ("the same, and the clock went back", None, Some(NOW), NOW - HOUR, NOW),
            ("an hour's stop", beat(NOW, NOW), None, NOW + HOUR, NOW + HOUR),
            ("the clocks differ since the wall clock was set", beat(NOW, NOW - HOUR), None, NOW, NOW + HOUR),
            ("the clock went back", beat(NOW, NOW), None, NOW - 3 * HOUR, NOW),
            ("no battery: 1970 again", beat(NOW, NOW), Some(NOW + 9), 5, NOW + 9),
            ("changes after the last beat", beat(NOW, NOW), Some(NOW + 50), NOW + 20, NOW + 50),
        ];
        for (case, beat, last_change, wall_ms, expected) in cases {
            let last = LastRun { beat, last_change: last_change.map(at) };
            assert_eq!(last.go_on_at(wall_ms), at(expected), "{case}");
        }
    }

    /// The broker may have lived on after its last beat, but not beyond the next one, nor beyond now.
    #[test]
    fn the_end_of_a_run_is_never_taken_for_earlier_than_it_was() {
        let beat = Some(Beat { at: at(NOW), wall_ms: NOW });
        let cases = [
            (LastRun { beat, last_change: None }, NOW + HOUR, NOW + 90_000),
            (LastRun { beat, last_change: None }, NOW + 1000, NOW + 1000),
            (LastRun { beat, last_change: Some(at(NOW + 5)) }, NOW + HOUR, NOW + 90_005),
            (LastRun::default(), NOW, NOW),
        ];
        for (last, now, expected) in cases {
            assert_eq!(last.went_down(at(now)), at(expected), "{last:?}");
        }
    }

    /// The clocks at each look, and the wall clock that is noted.
    #[test]
    fn a_beat_is_noted_each_minute_and_whenever_the_wall_clock_was_set() {
        let looks = [
            (0, NOW, Some(NOW)),
            (1000, NOW + 1000, None),
            (59_999, NOW + 60_500, None),
            (60_000, NOW + 60_501, Some(NOW + 60_501)),
            (61_000, NOW + 3 * HOUR, Some(NOW + 3 * HOUR)),
            (62_000, NOW + 3 * HOUR + 1000, None),
            (63_000, NOW - HOUR, Some(NOW - HOUR)),
            (64_000, NOW - HOUR + 1000, None),
        ];
        let mut pulse = Pulse::new(None, at(0), NOW);
        for (now, wall_ms, noted) in looks {
            let expected = noted.map(|wall_ms| Beat { at: at(now), wall_ms });
            assert_eq!(pulse.look(at(now), wall_ms), expected, "{now}");
        }
    }

    /// A computer without a battery starts in 1970 and loses its power again, twice, before it learns what time it is: the
    /// days in between are no decades.
    #[test]
    fn a_wall_clock_that_is_late_at_the_start_is_not_believed_until_it_is_set() {
        let mut last = Beat { at: at(NOW), wall_ms: NOW };
        for _ in 0..2 {
            let start = LastRun { beat: Some(last), last_change: None }.go_on_at(7);
            assert_eq!(start, last.at);
            let mut pulse = Pulse::new(Some(last), start, 7);
            last = pulse.look(start.after(INTERVAL), 7 + 60_000).unwrap();
        }
        let next = LastRun { beat: Some(last), last_change: None }.go_on_at(NOW + HOUR);
        assert_eq!(next, at(NOW + HOUR));
        // Now it is set while the broker runs.
        let mut pulse = Pulse::new(Some(last), last.at, 7);
        pulse.look(last.at, 7);
        assert_eq!(pulse.look(last.at.after(LOOK), NOW + 5 * HOUR).unwrap().wall_ms, NOW + 5 * HOUR);
    }
}
