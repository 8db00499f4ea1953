//! What the connections of a run tell each other and whoever watches them: counts, and the clock of the run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// What all connections of a run share.
pub struct Progress {
    began: Instant,
    /// Latencies of messages that were due before this, or after the end, are of no interest.
    measured_from_ns: AtomicU64,
    measured_until_ns: AtomicU64,
    is_stopped: AtomicBool,
    published: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
    delivered: AtomicU64,
    flows: Vec<Flow>,
    /// Tells receivers that nothing more will come.
    pub finished: CancellationToken,
}

/// The messages of one publisher, as far as others see them.
#[derive(Default)]
pub struct Flow {
    /// Deliveries to all receivers together.
    delivered: AtomicU64,
    /// The publisher wants to know when so many are delivered.
    wanted: AtomicU64,
    moved: Notify,
}

/// Counts at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Messages handed to the network.
    pub published: u64,
    /// Messages that are fully acknowledged.
    pub acknowledged: u64,
    /// Messages that the broker refused.
    pub refused: u64,
    /// Messages that arrived, once for each receiver.
    pub delivered: u64,
}

impl Counts {
    /// What has moved since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            published: self.published.saturating_sub(earlier.published),
            acknowledged: self.acknowledged.saturating_sub(earlier.acknowledged),
            refused: self.refused.saturating_sub(earlier.refused),
            delivered: self.delivered.saturating_sub(earlier.delivered),
        }
    }
}

impl Progress {
    /// Nothing has moved yet.
    pub fn new(publishers: u32) -> Self {
        Self {
            began: Instant::now(),
            measured_from_ns: AtomicU64::new(u64::MAX),
            measured_until_ns: AtomicU64::new(u64::MAX),
            is_stopped: AtomicBool::new(false),
            published: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            flows: (0..publishers).map(|_| Flow::default()).collect(),
            finished: CancellationToken::new(),
        }
    }

    /// Nanoseconds since the run began.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// How long until that moment.
    pub fn until(&self, moment_ns: u64) -> Duration {
        Duration::from_nanos(moment_ns.saturating_sub(self.now_ns()))
    }

    /// Latencies count from now on.
    pub fn begin_measuring(&self) {
        self.measured_from_ns.store(self.now_ns(), Ordering::Relaxed);
    }

    /// Latencies of what is due from now on do not count.
    pub fn end_measuring(&self) {
        self.measured_until_ns.store(self.now_ns(), Ordering::Relaxed);
    }

    /// Whether the latency of a message that was due then counts.
    #[inline]
    pub fn is_measured(&self, due_ns: u64) -> bool {
        due_ns >= self.measured_from_ns.load(Ordering::Relaxed)
            && due_ns < self.measured_until_ns.load(Ordering::Relaxed)
    }

    /// Publishers send nothing new from now on.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        self.flows.iter().for_each(|flow| flow.moved.notify_one());
    }

    /// Whether publishers send nothing new.
    #[inline]
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Messages of this publisher.
    pub fn flow(&self, publisher: usize) -> Option<&Flow> {
        self.flows.get(publisher)
    }

    /// So many more were published, acknowledged and refused.
    pub fn add(&self, more: Counts) {
        let add = |counter: &AtomicU64, count: u64| {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        };
        add(&self.published, more.published);
        add(&self.acknowledged, more.acknowledged);
        add(&self.refused, more.refused);
        add(&self.delivered, more.delivered);
    }

    /// All counts of the run.
    pub fn counts(&self) -> Counts {
        Counts {
            published: self.published.load(Ordering::Relaxed),
            acknowledged: self.acknowledged.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            delivered: self.delivered.load(Ordering::Relaxed),
        }
    }

    /// Counts what is still under way as lost, so that publishers that wait for it go on. [`super::sequence`] tells
    /// how much it was.
    pub fn forgive(&self) {
        for flow in &self.flows {
            let wanted = flow.wanted.load(Ordering::SeqCst);
            if flow.delivered.fetch_max(wanted, Ordering::SeqCst) < wanted {
                flow.moved.notify_one();
            }
        }
    }
}

impl Flow {
    /// So many more of its messages have arrived.
    #[inline]
    pub fn arrived(&self, count: u64) {
        let delivered = self.delivered.fetch_add(count, Ordering::SeqCst) + count;
        // Only the one that reaches the number wakes it, and not each that goes beyond.
        let wanted = self.wanted.load(Ordering::SeqCst);
        if delivered >= wanted && delivered - count < wanted {
            self.moved.notify_one();
        }
    }

    /// How many have arrived.
    #[inline]
    pub fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::SeqCst)
    }

    /// Waits until so many have arrived, or the run is stopped.
    pub async fn wait_for(&self, delivered: u64) {
        self.wanted.store(delivered, Ordering::SeqCst);
        if self.delivered() < delivered {
            self.moved.notified().await;
        }
    }

    /// Waits until the run is stopped.
    pub async fn wait_for_stop(&self) {
        self.moved.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_publisher_is_woken_by_the_message_it_waits_for() {
        let progress = Progress::new(1);
        let flow = progress.flow(0).unwrap();
        let mut waiting = Box::pin(flow.wait_for(3));
        assert!((&mut waiting).now_or_never().is_none());
        flow.arrived(2);
        assert!((&mut waiting).now_or_never().is_none());
        flow.arrived(2);
        assert!(waiting.now_or_never().is_some());
        assert!(flow.wait_for(4).now_or_never().is_some(), "they are there already");
    }

    #[test]
    fn what_is_lost_is_forgiven() {
        let progress = Progress::new(1);
        let flow = progress.flow(0).unwrap();
        let mut waiting = Box::pin(flow.wait_for(3));
        assert!((&mut waiting).now_or_never().is_none());
        progress.forgive();
        assert!(waiting.now_or_never().is_some());
        assert_eq!(flow.delivered(), 3);
    }

    #[test]
    fn only_what_is_due_in_the_measured_span_counts() {
        let progress = Progress::new(0);
        assert!(!progress.is_measured(progress.now_ns()));
        progress.begin_measuring();
        let within = progress.now_ns();
        assert!(progress.is_measured(within));
        progress.end_measuring();
        assert!(progress.is_measured(within) && !progress.is_measured(progress.now_ns()));
    }
}
