//! Times in buckets that double: percentiles of millions of times in five kilobytes.

use std::time::Duration;

/// How often which time was measured. What is read off is at most three per cent too much.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    /// Made with the first time: most connections never measure one.
    counts: Vec<u32>,
    total: u64,
    longest_ns: u64,
}

/// Each doubling is cut into that many buckets.
const FINE: u64 = 32;
const FINE_BITS: u32 = FINE.ilog2();
/// Enough for [`LONGEST_NS`].
const BUCKETS: usize = 37 * 32;
/// About an hour; what takes longer counts as this.
const LONGEST_NS: u64 = 1 << 41;

impl Histogram {
    /// One more took that long.
    pub fn record(&mut self, nanos: u64) {
        if self.counts.is_empty() {
            self.counts.resize(BUCKETS, 0);
        }
        let nanos = nanos.min(LONGEST_NS - 1);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count = count.saturating_add(1);
        }
        self.total += 1;
        self.longest_ns = self.longest_ns.max(nanos);
    }

    /// Takes over what another one has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (own, count) in self.counts.iter_mut().zip(&other.counts) {
            *own = own.saturating_add(*count);
        }
        self.total += other.total;
        self.longest_ns = self.longest_ns.max(other.longest_ns);
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// What `per_100_000` of 100,000 took at most; nothing if none were counted.
    pub fn percentile(&self, per_100_000: u32) -> Option<Duration> {
        let rank = u128::from(self.total) * u128::from(per_100_000);
        let rank = u64::try_from(rank.div_ceil(100_000)).unwrap_or(u64::MAX).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        });
        found.map(|bucket| Duration::from_nanos(top(bucket).min(self.longest_ns)))
    }

    /// The longest of all; nothing if none were counted.
    pub fn longest(&self) -> Option<Duration> {
        (self.total > 0).then(|| Duration::from_nanos(self.longest_ns))
    }
}

/// Below [`FINE`] each number has its own bucket; above it the first bits of a number choose.
fn bucket(nanos: u64) -> usize {
    let doublings = u64::from(nanos.max(FINE).ilog2() - FINE_BITS);
    usize::try_from(doublings * FINE + (nanos >> doublings)).unwrap_or(usize::MAX)
}

/// The most that a time in this bucket can be.
fn top(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    let doublings = (bucket / FINE).saturating_sub(1);
    ((bucket - doublings * FINE + 1) << doublings) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_never_below_what_was_measured_and_little_above() {
        for nanos in [0, 1, 31, 32, 33, 1000, 999_999, 5_000_000_000, LONGEST_NS - 1] {
            assert!(top(bucket(nanos)) >= nanos, "{nanos}");
            assert!(top(bucket(nanos)) <= nanos + nanos / FINE, "{nanos} is told as {}", top(bucket(nanos)));
            assert!(bucket(nanos) < BUCKETS);
        }
    }

    #[test]
    fn no_bucket_overlaps_the_next() {
        for number in 0..BUCKETS - 1 {
            assert_eq!((bucket(top(number)), bucket(top(number) + 1)), (number, number + 1));
        }
    }

    #[test]
    fn the_slow_hundredth_is_told_apart_from_the_rest() {
        let mut times = Histogram::default();
        assert_eq!((times.percentile(50_000), times.longest()), (None, None));
        (0..985).for_each(|_| times.record(1000));
        let mut slow = Histogram::default();
        (0..15).for_each(|_| slow.record(7_000_000));
        times.merge(&slow);
        assert_eq!(times.total(), 1000);
        assert!(times.percentile(98_000) < Some(Duration::from_micros(2)));
        assert_eq!(times.percentile(99_000), Some(Duration::from_millis(7)));
        assert_eq!(times.longest(), Some(Duration::from_millis(7)));
    }
}
