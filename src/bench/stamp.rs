//! What every payload begins with: who sent it, which one it is, and when it was due.

/// The first bytes of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Number of the publisher.
    pub source: u32,
    /// Counts the messages of this publisher on one lane, that is, for the same receivers.
    pub sequence: u32,
    /// When it was due to be sent, in nanoseconds since the run began. Not when it was sent: a generator that falls
    /// behind must not hide how long its messages have waited.
    pub due_ns: u64,
}

impl Stamp {
    /// In bytes: no payload is shorter.
    pub const LEN: usize = 16;

    /// As it is sent.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let number = u128::from(self.source) << 96 | u128::from(self.sequence) << 64 | u128::from(self.due_ns);
        number.to_be_bytes()
    }

    /// The stamp of a payload, unless it is too short to be one of ours.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let number = u128::from_be_bytes(*payload.first_chunk()?);
        let part = |shift: u32, bits: u32| number >> shift & ((1 << bits) - 1);
        Some(Self {
            source: u32::try_from(part(96, 32)).ok()?,
            sequence: u32::try_from(part(64, 32)).ok()?,
            due_ns: u64::try_from(part(0, 64)).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        for stamp in [
            Stamp { source: 0, sequence: 0, due_ns: 0 },
            Stamp { source: 1, sequence: 2, due_ns: 3 },
            Stamp { source: u32::MAX, sequence: u32::MAX - 1, due_ns: u64::MAX },
        ] {
            let payload = [&stamp.to_bytes()[..], b"rest"].concat();
            assert_eq!(Stamp::read(&payload), Some(stamp));
        }
        assert_eq!(Stamp::read(&[0; Stamp::LEN - 1]), None);
    }
}
