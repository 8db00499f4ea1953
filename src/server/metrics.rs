//! How long commits take: counted in buckets that double, for the present minute and the one before.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// The times of the last one to two minutes.
#[derive(Debug)]
pub struct Latencies {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    since: Instant,
    present: Buckets,
    before: Buckets,
}

/// Four for each doubling of the microseconds, so that what is read off is at most a fifth too much.
#[derive(Debug, Clone)]
struct Buckets([u32; Buckets::COUNT]);

impl Buckets {
    const COUNT: usize = 128;

    const EMPTY: Self = Self([0; Self::COUNT]);

    fn of(time: Duration) -> usize {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(4);
        let power = micros.ilog2();
        let quarter = (micros >> (power - 2)) & 3;
        usize::try_from((power - 2) * 4).unwrap_or(0).saturating_add(quarter as usize).min(Self::COUNT - 1)
    }

    /// The most that a time in this bucket can be, in milliseconds.
    fn top(bucket: usize) -> f64 {
        let power = i32::try_from(bucket / 4).unwrap_or(i32::MAX);
        #[expect(clippy::cast_precision_loss, reason = "a number below four")]
        let quarter = (bucket % 4) as f64;
        (5.0 + quarter) * 2_f64.powi(power) / 1000.0
    }
}

const WINDOW: Duration = Duration::from_secs(60);

impl Latencies {
    /// Nothing was measured yet.
    pub fn new() -> Self {
        Self { state: Mutex::new(State { since: Instant::now(), present: Buckets::EMPTY, before: Buckets::EMPTY }) }
    }

    /// One more took that long.
    pub fn count(&self, time: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn(Instant::now());
        if let Some(count) = state.present.0.get_mut(Buckets::of(time)) {
            *count = count.saturating_add(1);
        }
    }

    /// What that share of them took at most, in milliseconds; nothing if there were none.
    pub fn quantile_ms(&self, share: f64) -> Option<f64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.turn(Instant::now());
        let counts: Vec<u64> =
            state.present.0.iter().zip(&state.before.0).map(|(a, b)| u64::from(*a) + u64::from(*b)).collect();
        let total: u64 = counts.iter().sum();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counts of two minutes"
        )]
        let rank = ((total as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        bucket.map(Buckets::top)
    }
}

impl State {
    fn turn(&mut self, now: Instant) {
        let passed = now.duration_since(self.since);
        if passed >= WINDOW {
            let present = std::mem::replace(&mut self.present, Buckets::EMPTY);
            self.before = if passed >= 2 * WINDOW { Buckets::EMPTY } else { present };
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_never_below_what_was_measured_and_little_above() {
        for micros in [0, 3, 4, 5, 100, 999, 1500, 20_000, 1_000_000] {
            let latencies = Latencies::new();
            latencies.count(Duration::from_micros(micros));
            let told = latencies.quantile_ms(0.99).unwrap() * 1000.0;
            let real = f64::from(u32::try_from(micros).unwrap());
            assert!(told >= real && told <= (real.max(4.0) * 1.26), "{micros} µs is told as {told}");
        }
    }

    #[test]
    fn the_half_and_the_rest_are_told_apart() {
        let latencies = Latencies::new();
        assert_eq!(latencies.quantile_ms(0.5), None);
        (0..98).for_each(|_| latencies.count(Duration::from_millis(1)));
        (0..2).for_each(|_| latencies.count(Duration::from_millis(100)));
        assert!(latencies.quantile_ms(0.5).unwrap() < 2.0);
        assert!(latencies.quantile_ms(0.99).unwrap() > 90.0);
    }
}
