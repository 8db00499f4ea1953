//! What happened per second and lately, for charts: a ring of seconds and a ring of tens of seconds.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

/// Sums since the broker began, and what is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Messages published by clients.
    pub received: u64,
    /// Messages sent to clients.
    pub sent: u64,
    /// Messages that were not delivered.
    pub dropped: u64,
    /// Bytes read from clients.
    pub bytes_in: u64,
    /// Bytes written to clients.
    pub bytes_out: u64,
    /// Clients that are connected now.
    pub connections: u64,
}

/// One step of a chart: rates per second, and how many were connected.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Step {
    /// Messages published by clients.
    pub received: f64,
    /// Messages sent to clients.
    pub sent: f64,
    /// Messages that were not delivered.
    pub dropped: f64,
    /// Bytes read from clients.
    pub bytes_in: f64,
    /// Bytes written to clients.
    pub bytes_out: f64,
    /// Clients connected at its end.
    pub connections: u64,
}

/// Some steps, the oldest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// Of one step, in seconds.
    pub step_secs: u32,
    /// The steps.
    pub steps: Vec<Step>,
}

/// The last quarter of an hour by the second, and the last day by ten seconds: half a megabyte.
#[derive(Debug, Default)]
pub struct History {
    rings: Mutex<Rings>,
}

#[derive(Debug, Default)]
struct Rings {
    seconds: VecDeque<Step>,
    tens: VecDeque<Step>,
    /// What came in at the last second and at the last ten.
    last: Option<Totals>,
    last_ten: Option<(Totals, u32)>,
}

const SECONDS: usize = 900;
const TENS: usize = 8640;
/// Seconds of a step of the longer ring.
pub const LONG_STEP: u32 = 10;

impl History {
    /// Another second has passed.
    pub fn second(&self, totals: Totals) {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = rings.last.replace(totals) {
            push(&mut rings.seconds, SECONDS, step(last, totals, 1));
        }
        let (since, seconds) = rings.last_ten.map_or((totals, 0), |(since, seconds)| (since, seconds + 1));
        rings.last_ten = Some((since, seconds));
        if seconds == LONG_STEP {
            push(&mut rings.tens, TENS, step(since, totals, LONG_STEP));
            rings.last_ten = Some((totals, 0));
        }
    }

    /// The last second.
    pub fn latest(&self) -> Step {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        rings.seconds.back().copied().unwrap_or_default()
    }

    /// The last so many seconds, as finely as they are known.
    pub fn chart(&self, seconds: u32) -> Chart {
        let rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = usize::try_from(seconds).unwrap_or(usize::MAX);
        let (ring, step_secs, count) =
            if wanted <= SECONDS { (&rings.seconds, 1, wanted) } else { (&rings.tens, LONG_STEP, wanted / 10) };
        let steps = ring.iter().skip(ring.len().saturating_sub(count)).copied().collect();
        Chart { step_secs, steps }
    }
}

fn push(ring: &mut VecDeque<Step>, capacity: usize, step: Step) {
    if ring.len() == capacity {
        ring.pop_front();
    }
    ring.push_back(step);
}

fn step(from: Totals, to: Totals, seconds: u32) -> Step {
    #[expect(clippy::cast_precision_loss, reason = "a chart does not show the fifteenth digit")]
    let rate = |from: u64, to: u64| to.saturating_sub(from) as f64 / f64::from(seconds);
    Step {
        received: rate(from.received, to.received),
        sent: rate(from.sent, to.sent),
        dropped: rate(from.dropped, to.dropped),
        bytes_in: rate(from.bytes_in, to.bytes_in),
        bytes_out: rate(from.bytes_out, to.bytes_out),
        connections: to.connections,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(received: u64) -> Totals {
        Totals { received, connections: received, ..Totals::default() }
    }

    #[test]
    fn steps_are_rates_and_the_rings_have_an_end() {
        let history = History::default();
        for second in 0..=2000 {
            history.second(totals(second * 5));
        }
        let short = history.chart(900);
        assert_eq!((short.step_secs, short.steps.len()), (1, 900));
        assert!(short.steps.iter().all(|step| (step.received - 5.0).abs() < 1e-9));
        let long = history.chart(3600);
        assert_eq!((long.step_secs, long.steps.len()), (10, 200));
        assert!(long.steps.iter().all(|step| (step.received - 5.0).abs() < 1e-9));
        assert_eq!(history.latest().connections, 10_000);
        assert_eq!(history.chart(3).steps.len(), 3);
    }
}
