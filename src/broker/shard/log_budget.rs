//! How many published messages become events.

use crate::broker::time::Timestamp;

/// What is left of the events of one second. The log keeps no more of them anyway; to make an event that nobody keeps
/// took a fifth of all that a message of QoS 0 costs.
#[derive(Debug, Default)]
pub struct LogBudget {
    second: u64,
    used: u32,
    left_out: u64,
}

impl LogBudget {
    /// Whether one more of this second's events is kept, `per_second` being all of them; else it counts as left out.
    pub fn affords(&mut self, now: Timestamp, per_second: u32) -> bool {
        let second = now.as_millis() / 1000;
        if second != self.second {
            self.second = second;
            self.used = 0;
        }
        let affords = self.used < per_second;
        if affords {
            self.used = self.used.saturating_add(1);
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
        affords
    }

    /// How many were left out since this was asked last.
    pub fn take_left_out(&mut self) -> u64 {
        std::mem::take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_has_its_own_events_and_the_rest_is_counted() {
        let mut budget = LogBudget::default();
        let mut kept = |millis| (0..5).filter(|_| budget.affords(Timestamp::from_millis(millis), 3)).count();
        assert_eq!([kept(1000), kept(1999), kept(2000)], [3, 0, 3]);
        assert_eq!(budget.take_left_out(), 9);
        assert_eq!(budget.take_left_out(), 0);
    }
}
