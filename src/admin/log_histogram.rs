//! How many events there were when: the log as bars, for the same filter as the list beneath.

use super::call::{Call, json};
use super::log_filter::LogFilter;
use super::logs::{LogQuery, Times};
use super::problem::AdminError;
use crate::store::{Choice, StoredEvent, UnixMillis};
use actix_web::HttpResponse;
use serde::{Deserialize, Serialize};
use serde_json::json as object;
use std::time::Duration;

#[derive(Deserialize)]
struct Bars {
    buckets: Option<usize>,
}

/// One bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
struct Bucket {
    ok: u64,
    failed: u64,
}

/// Events looked at for one answer; older ones are then not counted, and it says so.
const LOOKED_AT: usize = 200_000;
/// What is shown if nobody says since when.
const USUAL: Duration = Duration::from_secs(3600);
/// More bars than a screen is wide show nothing more.
const MOST: usize = 240;

/// Counts the events that the caller may see and asked for, per interval and outcome.
pub async fn show(call: Call) -> Result<HttpResponse, AdminError> {
    let query: LogQuery = call.query()?;
    let Bars { buckets } = call.query()?;
    let filter = query.filter(&call, &*call.office.directory().await?, Times::Asked)?;
    let until = filter.until.unwrap_or_else(UnixMillis::now);
    let since = filter.since.unwrap_or_else(|| until.before(USUAL));
    if since >= until {
        return Err(AdminError::invalid("since", "a time before until"));
    }
    let mut chart = Chart::new(since, until, buckets.unwrap_or(60).clamp(1, MOST));
    let filter = LogFilter { since: Some(since), until: Some(until), ..filter };
    let mut looked_at = 0;
    let count = |event: &StoredEvent| {
        looked_at += 1;
        match filter.choice(event) {
            _ if looked_at > LOOKED_AT => Choice::Pause,
            Choice::Take => {
                chart.count(event);
                Choice::Skip
            }
            other => other,
        }
    };
    let page = call.office.database.events_before(None, 1, count).await?;
    json(&object!({
        "from": since.as_millis(), "step_ms": chart.step_ms, "buckets": chart.buckets, "complete": page.next.is_none(),
    }))
}

struct Chart {
    since: u64,
    step_ms: u64,
    buckets: Vec<Bucket>,
}

impl Chart {
    fn new(since: UnixMillis, until: UnixMillis, buckets: usize) -> Self {
        let (since, span) = (since.as_millis(), until.as_millis().saturating_sub(since.as_millis()));
        let step_ms = span.div_ceil(u64::try_from(buckets).unwrap_or(u64::MAX).max(1)).max(1);
        Self { since, step_ms, buckets: vec![Bucket::default(); buckets] }
    }

    fn count(&mut self, event: &StoredEvent) {
        let place = event.at.as_millis().saturating_sub(self.since) / self.step_ms;
        let Some(bucket) = usize::try_from(place).ok().and_then(|place| self.buckets.get_mut(place)) else { return };
        if event.event.kind.is_failure() {
            bucket.failed += 1;
        } else {
            bucket.ok += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::{AuditEvent, EventKind, Reason, Who};

    #[test]
    fn every_event_is_in_the_bar_of_its_time_and_outcome() {
        let at = UnixMillis::from_millis;
        let mut chart = Chart::new(at(1000), at(2000), 10);
        let refused = || EventKind::ConnectRefused { reason: Reason::Malformed, detail: None };
        for (millis, kind) in
            [(1000, EventKind::Stopped), (1099, refused()), (1100, refused()), (1999, EventKind::Stopped)]
        {
            chart.count(&StoredEvent { at: at(millis), event: AuditEvent { who: Who::default(), kind } });
        }
        let bar = |ok, failed| Bucket { ok, failed };
        assert_eq!(chart.step_ms, 100);
        assert_eq!((chart.buckets[0], chart.buckets[1], chart.buckets[9]), (bar(1, 1), bar(0, 1), bar(1, 0)));
        chart.count(&StoredEvent { at: at(9999), event: AuditEvent { who: Who::default(), kind: EventKind::Stopped } });
        assert_eq!(chart.buckets.iter().map(|bar| bar.ok + bar.failed).sum::<u64>(), 4);
    }
}
