//! Whether everything arrives, once and in order.

use std::collections::BTreeMap;

/// What one receiver has seen of one publisher.
#[derive(Debug, Clone, Default)]
pub struct Sequence {
    next: u32,
    /// Skipped numbers, as first and last of each gap: a message that comes late is none that comes twice.
    gaps: BTreeMap<u32, u32>,
    faults: Faults,
}

/// What went wrong with messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Faults {
    /// Never arrived.
    pub lost: u64,
    /// Arrived again. At QoS 1 that is allowed, when a connection was lost.
    pub duplicates: u64,
    /// Arrived after one that was sent later.
    pub out_of_order: u64,
}

impl Faults {
    /// Takes over those of another.
    pub fn add(&mut self, other: Self) {
        self.lost += other.lost;
        self.duplicates += other.duplicates;
        self.out_of_order += other.out_of_order;
    }

    /// Whether there were none.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Gaps kept for one publisher. Beyond it a late message counts as a duplicate: with so much lost, it matters little.
const MAX_GAPS: usize = 10_000;

impl Sequence {
    /// This one has arrived.
    #[inline]
    pub fn take(&mut self, number: u32) {
        if number == self.next {
            self.next = self.next.wrapping_add(1);
        } else {
            self.take_unexpected(number);
        }
    }

    fn take_unexpected(&mut self, number: u32) {
        if number > self.next {
            if self.gaps.len() < MAX_GAPS {
                self.gaps.insert(self.next, number - 1);
            }
            self.next = number.wrapping_add(1);
        } else if self.close(number) {
            self.faults.out_of_order += 1;
        } else {
            self.faults.duplicates += 1;
        }
    }

    /// Takes a number out of the gap that it is in.
    fn close(&mut self, number: u32) -> bool {
        let gap = self.gaps.range(..=number).next_back().map(|(first, last)| (*first, *last));
        let Some((first, last)) = gap.filter(|(_, last)| number <= *last) else { return false };
        self.gaps.remove(&first);
        if first < number {
            self.gaps.insert(first, number - 1);
        }
        if number < last {
            self.gaps.insert(number + 1, last);
        }
        true
    }

    /// What went wrong, if so many were sent and no more will come.
    pub fn faults(&self, sent: u32) -> Faults {
        let in_gaps: u64 = self.gaps.iter().map(|(first, last)| u64::from(last - first) + 1).sum();
        let at_the_end = u64::from(sent.saturating_sub(self.next));
        Faults { lost: in_gaps + at_the_end, ..self.faults }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults_of(numbers: &[u32], sent: u32) -> (u64, u64, u64) {
        let mut sequence = Sequence::default();
        numbers.iter().for_each(|number| sequence.take(*number));
        let Faults { lost, duplicates, out_of_order } = sequence.faults(sent);
        (lost, duplicates, out_of_order)
    }

    #[test]
    fn loss_duplicates_and_disorder_are_told_apart() {
        for (numbers, sent, expected) in [
            (&[][..], 0, (0, 0, 0)),
            (&[0, 1, 2], 3, (0, 0, 0)),
            (&[], 3, (3, 0, 0)),
            (&[0, 1], 3, (1, 0, 0)),
            (&[0, 3], 4, (2, 0, 0)),
            (&[0, 0, 1, 0], 2, (0, 2, 0)),
            (&[0, 2, 1], 3, (0, 0, 1)),
            (&[5, 2, 2, 0, 4, 3, 1], 6, (0, 1, 5)),
            (&[4, 2, 2], 6, (4, 1, 1)),
        ] {
            assert_eq!(faults_of(numbers, sent), expected, "{numbers:?} of {sent}");
        }
    }
}
