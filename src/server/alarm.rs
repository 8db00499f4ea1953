//! Says in the log of events, once each time, that the store refuses what it is given, and that it takes it again.

use super::post::Post;
use crate::broker::{AuditEvent, EventKind, Who};
use crate::store::WriterCounters;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the counters of the writer are looked at; a look reads three numbers.
const INTERVAL: Duration = Duration::from_millis(100);

/// What is known of the store.
#[derive(Debug, Default)]
pub struct Alarm {
    seen: WriterCounters,
    /// Since when it refuses, and how many transactions had failed before.
    begun: Option<(Instant, u64)>,
}

impl Alarm {
    /// Compares the counters with those of the last look; what there is to say.
    fn look(&mut self, now: Instant, counters: WriterCounters) -> Option<String> {
        let before = std::mem::replace(&mut self.seen, counters);
        let (has_failed, has_stored) = (counters.failures > before.failures, counters.commits > before.commits);
        match self.begun {
            None if has_failed => {
                self.begun = Some((now, before.failures));
                let why = counters.last_failure.map(|why| format!(": {why}")).unwrap_or_default();
                Some(format!("the store takes nothing{why}; QoS 1 and 2 are refused until it does"))
            }
            // Where some fail and some do not, it is not over.
            Some((since, failures)) if has_stored && !has_failed => {
                self.begun = None;
                let (time, failed) = (now.duration_since(since).as_secs(), counters.failures - failures);
                Some(format!(
                    "the store takes what is given to it again, after {time} s and {failed} failed transactions"
                ))
            }
            None | Some(_) => None,
        }
    }

    /// Looks until the broker stops.
    pub async fn watch(mut self, post: Arc<Post>, stop: CancellationToken) {
        loop {
            if let Some(text) = self.look(Instant::now(), post.writer_counters()) {
                post.record(AuditEvent { who: Who::default(), kind: EventKind::Notice { text } });
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreFailure;

    /// Commits and failures at each look, and whether something is said then.
    #[test]
    fn a_fault_is_said_once_at_its_beginning_and_once_at_its_end() {
        let looks = [
            ((0, 0), None),
            ((5, 0), None),
            ((5, 1), Some("the store takes nothing: the disk is full")),
            ((5, 3), None),
            ((6, 4), None),
            ((6, 4), None),
            ((7, 4), Some("after 40 s and 4 failed transactions")),
            ((9, 4), None),
            ((9, 5), Some("the store takes nothing")),
        ];
        let (mut alarm, begin) = (Alarm::default(), Instant::now());
        for (look, ((commits, failures), said)) in (0..).zip(looks) {
            let last_failure = (failures > 0).then_some(StoreFailure::DiskFull);
            let counters = WriterCounters { commits, failures, last_failure, ..WriterCounters::default() };
            let now = begin + Duration::from_secs(look * 10);
            let text = alarm.look(now, counters);
            assert_eq!(text.is_some(), said.is_some(), "look {look}: {text:?}");
            assert!(text.as_deref().is_none_or(|text| text.contains(said.unwrap())), "look {look}: {text:?}");
        }
    }
}
